//! THE LOOP: inbox -> shop -> store.commit -> dispatch. Sees every part; decides nothing.

use crate::clock::Clock;
use crate::inbox::Incoming;
use crate::platform::Desk;
use crate::portal::Board;
use crate::shop::effect::{Effect, Record, Step, TillAnswer};
use crate::shop::event::{Event, NoSales, TillEvent, TillNumber};
use crate::shop::{Missing, Shop};
use crate::store::{Books, CommitError, DISK_LOW_BYTES, LookUpError, Reserve, Store, disk_free_bytes};
use crate::till::Tills;
use std::path::PathBuf;
use std::time::Duration;
use std::{fmt, mem};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};

/// How many events share one commit at most: what waits longer would wait for the disk twice.
pub const BATCH_MAX: usize = 64;
/// How many questions about the shop may wait; a further one is refused.
pub const LOOKS_MAX: usize = 16;

/// A question about the shop as it is now, answered between two batches.
pub type Look = Box<dyn FnOnce(&Shop) + Send>;

/// The ways out.
#[derive(Debug)]
pub struct Outs {
    /// To the tills.
    pub tills: Tills,
    /// To the phones.
    pub board: Board,
    /// To the platform.
    pub desk: Desk,
}

/// Why the loop ended other than by being told to. The store is right in every case; the process must end.
#[derive(Debug)]
pub enum Stopped {
    /// A commit failed: none or all of it is on disk, and nothing of it went out.
    Commit(CommitError),
    /// An ended sale could not be read.
    LookUp(LookUpError),
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stopped::Commit(_) => f.write_str("the store could not be written: see the cause, then start again"),
            Stopped::LookUp(_) => f.write_str("the store could not be read: see the cause, then start again"),
        }
    }
}

impl std::error::Error for Stopped {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Stopped::Commit(e) => Some(e),
            Stopped::LookUp(e) => Some(e),
        }
    }
}

impl From<CommitError> for Stopped {
    fn from(error: CommitError) -> Self {
        Stopped::Commit(error)
    }
}

impl From<LookUpError> for Stopped {
    fn from(error: LookUpError) -> Self {
        Stopped::LookUp(error)
    }
}

/// Where the loop hears from.
#[derive(Debug)]
pub struct Ins {
    /// Everything that happens.
    pub inbox: mpsc::Receiver<Incoming>,
    /// Questions about the shop.
    pub looks: mpsc::Receiver<Look>,
    /// Becomes true when the loop is to end.
    pub stop: watch::Receiver<bool>,
}

/// The loop and all it owns. One plain thread; no lock.
#[derive(Debug)]
pub struct Gateway {
    shop: Shop,
    store: Store,
    clock: Clock,
    outs: Outs,
    disk: Disk,
    batch: Batch,
}

/// What waits for the commit.
#[derive(Debug, Default)]
struct Batch {
    records: Vec<Record>,
    effects: Vec<Effect>,
    done: Vec<oneshot::Sender<()>>,
    events: usize,
}

/// The room left beside the store.
#[derive(Debug)]
struct Disk {
    store: PathBuf,
    reserve: Reserve,
    low: bool,
}

enum Wake {
    Event(Incoming),
    Look(Look),
    Deadline,
    Stop,
}

impl Gateway {
    /// A loop over this shop, whose first step (what opening it brought) is written and sent out at once.
    pub fn start(opened: (Shop, Step), store: Store, path: PathBuf, clock: Clock, outs: Outs) -> Result<Self, Stopped> {
        let (shop, step) = opened;
        let disk = Disk { reserve: Reserve::beside(&path), store: path, low: false };
        if let Err(error) = disk.reserve.hold() {
            tracing::warn!(%error, "no reserve file beside the store: little disk left");
        }
        let mut gateway = Gateway { shop, store, clock, outs, disk, batch: Batch::default() };
        gateway.take(step);
        gateway.flush()?;
        Ok(gateway)
    }

    /// Goes round until told to stop. What is in the inbox then is handled first.
    pub fn run(mut self, mut ins: Ins, runtime: &Handle) -> Result<(), Stopped> {
        loop {
            let wait = Clock::mono().ms_until(self.shop.deadline());
            match runtime.block_on(wake(&mut ins, wait)) {
                Wake::Event(first) => self.batch(first, &mut ins.inbox)?,
                Wake::Look(look) => look(&self.shop),
                Wake::Deadline => self.pass_time(),
                Wake::Stop => {
                    self.step(Event::NewSales(Err(NoSales::Stopping)));
                    while let Ok(incoming) = ins.inbox.try_recv() {
                        self.batch(incoming, &mut ins.inbox)?;
                    }
                    return self.flush();
                }
            }
            self.flush()?;
        }
    }

    /// Handles what waits, up to [`BATCH_MAX`], so that it shares one commit.
    fn batch(&mut self, first: Incoming, inbox: &mut mpsc::Receiver<Incoming>) -> Result<(), Stopped> {
        let mut next = Some(first);
        while let Some(Incoming { event, done }) = next.take() {
            self.pass_time();
            self.mind_disk(&event);
            self.fetch_missing(&event)?;
            self.step(event);
            self.batch.done.extend(done);
            if self.batch.events < BATCH_MAX {
                next = inbox.try_recv().ok();
            }
        }
        self.flush()
    }

    fn pass_time(&mut self) {
        if self.shop.deadline() <= Clock::mono() {
            self.step(Event::DeadlinePassed);
        }
    }

    fn step(&mut self, event: Event) {
        tracing::debug!(?event, "event");
        let step = self.shop.handle(&self.clock.stamp(), event);
        self.take(step);
    }

    fn take(&mut self, step: Step) {
        self.batch.records.extend(step.records);
        self.batch.effects.extend(step.effects);
        self.batch.events = self.batch.events.saturating_add(1);
    }

    /// Fetches the ended sales that an event may concern. What waits is written first: it may be about them.
    fn fetch_missing(&mut self, event: &Event) -> Result<(), Stopped> {
        let missing = self.shop.missing(event);
        if missing.is_empty() {
            return Ok(());
        }
        self.flush()?;
        for what in missing {
            let found = match what {
                Missing::Ticket(till, ticket) => self.store.sale_of_ticket(till, &ticket)?,
                Missing::Attempt(attempt) => self.store.sale_of_attempt(attempt)?,
            };
            if let Some(sale) = found {
                self.shop.recall(what, sale);
            }
        }
        Ok(())
    }

    /// Looks at the room left before each sale: little of it, and new sales are refused while open ones finish.
    fn mind_disk(&mut self, event: &Event) {
        if !matches!(event, Event::Till { what: TillEvent::Asked(_) | TillEvent::AskedStatus, .. }) {
            return;
        }
        let low = disk_free_bytes(&self.disk.store).is_ok_and(|free| free < DISK_LOW_BYTES);
        if low == self.disk.low {
            return;
        }
        self.disk.low = low;
        let reserve = if low { self.disk.reserve.give_up() } else { self.disk.reserve.hold() };
        if low {
            tracing::error!("less than {} MiB of disk left: new sales are refused; make room", DISK_LOW_BYTES >> 20);
        }
        if let Err(error) = reserve {
            tracing::warn!(%error, "the reserve file beside the store could not be changed");
        }
        self.step(Event::NewSales(if low { Err(NoSales::DiskLow) } else { Ok(()) }));
    }

    /// First all records, in one transaction; then the effects; then whoever waits is told that it is done.
    fn flush(&mut self) -> Result<(), Stopped> {
        let batch = mem::take(&mut self.batch);
        self.store.commit(self.clock.now().wall, &batch.records)?;
        for effect in batch.effects {
            self.dispatch(effect);
        }
        for done in batch.done {
            let _ = done.send(()); // Nobody waits any more: the page will show the present anyway.
        }
        Ok(())
    }

    fn dispatch(&self, effect: Effect) {
        tracing::debug!(?effect, "effect");
        match effect {
            Effect::Till { till, answer } => {
                say_sale(till, &answer);
                self.outs.tills.tell(till, answer);
            }
            Effect::Show { session, screen } => self.outs.board.show(session, screen),
            Effect::Forget { session } => self.outs.board.forget(session),
            Effect::Platform(call) => {
                if !self.outs.desk.call(call) {
                    tracing::warn!("the calls to the platform have ended: the program is stopping");
                }
            }
            // The network is not governed yet: every phone reaches what the shop's router lets it reach.
            Effect::Reach { .. } => {}
            Effect::Totals { till, epoch } => {
                let books = Books::open_read_only(&self.disk.store).map_err(|e| e.to_string());
                match books.and_then(|books| books.totals(till, epoch).map_err(|e| e.to_string())) {
                    Ok(totals) => self.outs.tills.tell(till, TillAnswer::Totals(totals)),
                    Err(error) => tracing::error!(%error, till = till.number(), "the totals could not be read"),
                }
            }
            Effect::Alarm(alarm) => tracing::error!(alarm = ?alarm, "a person must look"),
        }
    }
}

async fn wake(ins: &mut Ins, wait_ms: u64) -> Wake {
    tokio::select! {
        biased;
        _ = ins.stop.wait_for(|stop| *stop) => Wake::Stop,
        Some(look) = ins.looks.recv() => Wake::Look(look),
        incoming = ins.inbox.recv() => incoming.map_or(Wake::Stop, Wake::Event),
        () = tokio::time::sleep(Duration::from_millis(wait_ms)) => Wake::Deadline,
    }
}

/// A line in the journal when a sale begins and when it ends; the steps between are for `debug`.
fn say_sale(till: TillNumber, answer: &TillAnswer) {
    let till = till.number();
    match answer {
        TillAnswer::Accepted { sale, .. } => tracing::info!(till, %sale, "sale asked for"),
        TillAnswer::Finish(finish) => {
            let (sale, amount, outcome) = (finish.sale, finish.amount, finish.outcome);
            tracing::info!(till, %sale, %amount, ?outcome, given_back_minor = finish.given_back_minor, "result told");
        }
        TillAnswer::Refused { why, .. } => tracing::info!(till, ?why, "request refused"),
        TillAnswer::Progress { .. }
        | TillAnswer::NothingToRepeat { .. }
        | TillAnswer::NothingToAbort { .. }
        | TillAnswer::Aborting { .. }
        | TillAnswer::Status { .. }
        | TillAnswer::Totals(_) => {}
    }
}
