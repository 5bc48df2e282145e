//! THE LOOP: takes what waits in the inbox round the ring and sends out what comes of it. Sees every part; decides nothing.

use crate::clock::Clock;
use crate::inbox::Incoming;
use crate::network::Reaches;
use crate::platform::Desk;
use crate::portal::Board;
use crate::ring::{Ring, Stopped};
use crate::shop::effect::{Effect, Reach, TillAnswer};
use crate::shop::event::{Event, NoSales, TillEvent, TillNumber};
use crate::shop::policy::Policy;
use crate::shop::{Loaded, Shop};
use crate::store::{Books, DISK_LOW_BYTES, Reserve, Store, disk_free_bytes};
use crate::till::Tills;
use std::mem;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
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
    /// To the firewall, if this box governs what phones reach.
    pub reaches: Option<Reaches>,
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
    ring: Ring,
    clock: Clock,
    outs: Outs,
    disk: Disk,
    /// Whoever is told once what waits is on disk.
    done: Vec<oneshot::Sender<()>>,
    watchdog: Option<Watchdog>,
}

/// The room left beside the store.
#[derive(Debug)]
struct Disk {
    store: PathBuf,
    reserve: Reserve,
    low: bool,
}

/// What the service manager waits for: a sign of life from this loop, and from nothing else.
#[derive(Debug)]
pub(crate) struct Watchdog {
    every: Duration,
    due: Instant,
}

/// Why the loop goes round.
pub(crate) enum Wake {
    /// Something has happened.
    Event(Incoming),
    /// Somebody asks.
    Look(Look),
    /// The time has come.
    Deadline,
    /// It is to end.
    Stop,
}

impl Gateway {
    /// A loop over this store. What opening the shop brings is written and sent out at once. `path`: the store's file.
    pub fn start(
        policy: Policy,
        loaded: Loaded,
        store: Store,
        path: &Path,
        clock: Clock,
        outs: Outs,
    ) -> Result<Self, Stopped> {
        let mut disk = Disk { reserve: Reserve::beside(path), store: path.to_owned(), low: false };
        if disk.is_low() {
            // Now, not when a till asks: what opening the shop brings may need the room.
            disk.turn(true);
        } else if let Err(error) = disk.reserve.hold() {
            tracing::warn!(%error, "no reserve file beside the store: little disk left");
        }
        let ring = Ring::open(&clock.stamp(), policy, loaded, store, &mut |effect| dispatch(&outs, &disk, effect))?;
        let low = disk.low;
        let mut gateway = Gateway { ring, clock, outs, disk, done: Vec::new(), watchdog: None };
        if low {
            gateway.step(Event::NewSales(Err(NoSales::DiskLow)))?;
        }
        Ok(gateway)
    }

    /// From now on the service manager hears of this loop each time it has gone round, at least this often.
    pub fn watched(mut self, every: Option<Duration>) -> Self {
        self.watchdog = every.map(Watchdog::new);
        self
    }

    /// Goes round until told to stop. What is in the inbox then is handled first.
    pub fn run(mut self, mut ins: Ins, runtime: &Handle) -> Result<(), Stopped> {
        loop {
            match runtime.block_on(wake(&mut ins, self.wait())) {
                Wake::Event(first) => self.batch(first, &mut ins.inbox)?,
                Wake::Look(look) => look(self.ring.shop()),
                Wake::Deadline => self.pass_time()?,
                Wake::Stop => {
                    self.step(Event::NewSales(Err(NoSales::Stopping)))?;
                    while let Ok(incoming) = ins.inbox.try_recv() {
                        self.batch(incoming, &mut ins.inbox)?;
                    }
                    return self.flush();
                }
            }
            self.flush()?;
            if let Some(watchdog) = &mut self.watchdog {
                watchdog.feed();
            }
        }
    }

    /// How long there is nothing to do unless something happens.
    fn wait(&self) -> Duration {
        let ms = Clock::mono().ms_until(self.ring.shop().deadline());
        let fed = self.watchdog.as_ref().map(Watchdog::wait);
        fed.unwrap_or(Duration::MAX).min(Duration::from_millis(ms))
    }

    /// Handles what waits, up to [`BATCH_MAX`], so that it shares one commit.
    fn batch(&mut self, first: Incoming, inbox: &mut mpsc::Receiver<Incoming>) -> Result<(), Stopped> {
        let mut next = Some(first);
        for taken in 1.. {
            let Some(Incoming { event, done }) = next.take() else { break };
            self.pass_time()?;
            self.mind_disk(&event)?;
            self.step(event)?;
            self.done.extend(done);
            if taken < BATCH_MAX {
                next = inbox.try_recv().ok();
            }
        }
        self.flush()
    }

    fn pass_time(&mut self) -> Result<(), Stopped> {
        if self.ring.shop().deadline() > Clock::mono() {
            return Ok(());
        }
        self.step(Event::DeadlinePassed)
    }

    fn step(&mut self, event: Event) -> Result<(), Stopped> {
        tracing::debug!(?event, "event");
        let (outs, disk) = (&self.outs, &self.disk);
        self.ring.take(&self.clock.stamp(), event, &mut |effect| dispatch(outs, disk, effect))
    }

    /// Looks at the room left before each sale: little of it, and new sales are refused while open ones finish.
    fn mind_disk(&mut self, event: &Event) -> Result<(), Stopped> {
        if !matches!(event, Event::Till { what: TillEvent::Asked(_) | TillEvent::AskedStatus, .. }) {
            return Ok(());
        }
        let low = self.disk.is_low();
        if low == self.disk.low {
            return Ok(());
        }
        self.disk.turn(low);
        self.step(Event::NewSales(if low { Err(NoSales::DiskLow) } else { Ok(()) }))
    }

    /// What waits is committed and sent out; then whoever waits is told that it is done.
    fn flush(&mut self) -> Result<(), Stopped> {
        let (outs, disk) = (&self.outs, &self.disk);
        self.ring.flush(self.clock.now().wall, &mut |effect| dispatch(outs, disk, effect))?;
        for done in mem::take(&mut self.done) {
            let _ = done.send(()); // Nobody waits any more: the page will show the present anyway.
        }
        Ok(())
    }
}

impl Disk {
    fn is_low(&self) -> bool {
        disk_free_bytes(&self.store).is_ok_and(|free| free < DISK_LOW_BYTES)
    }

    /// The room has become little, or enough: the reserve goes, or comes back.
    fn turn(&mut self, low: bool) {
        self.low = low;
        let reserve = if low { self.reserve.give_up() } else { self.reserve.hold() };
        if low {
            tracing::error!(
                message_id = "6274d9b44bae4c4498121f2a70ddc43d",
                "less than {} MiB of disk left: new sales are refused; make room",
                DISK_LOW_BYTES >> 20
            );
        }
        if let Err(error) = reserve {
            tracing::warn!(%error, "the reserve file beside the store could not be changed");
        }
    }
}

impl Watchdog {
    /// To be fed this often.
    pub(crate) fn new(every: Duration) -> Watchdog {
        Watchdog { every, due: Instant::now() }
    }

    /// How long it can wait.
    pub(crate) fn wait(&self) -> Duration {
        self.due.saturating_duration_since(Instant::now())
    }

    /// Says that the loop has gone round, if it is time to.
    pub(crate) fn feed(&mut self) {
        let now = Instant::now();
        if now < self.due {
            return;
        }
        self.due = now.checked_add(self.every).unwrap_or(now);
        if let Err(error) = sd_notify::notify(&[sd_notify::NotifyState::Watchdog]) {
            tracing::warn!(%error, "the service manager's watchdog could not be fed");
        }
    }
}

fn dispatch(outs: &Outs, disk: &Disk, effect: Effect) {
    tracing::debug!(?effect, "effect");
    match effect {
        Effect::Till { till, answer } => {
            say_sale(till, &answer);
            outs.tills.tell(till, answer);
        }
        Effect::Show { session, screen } => outs.board.show(session, screen),
        Effect::Forget { session } => {
            outs.board.forget(session);
            outs.reaches.iter().for_each(|reaches| reaches.forget(session));
        }
        Effect::Platform(call) => {
            if !outs.desk.call(call) {
                tracing::warn!("the calls to the platform have ended: the program is stopping");
            }
        }
        Effect::Reach { session, place, reach, until } => {
            // Without a network of our own, every phone reaches what the shop's router lets it reach.
            outs.board.set_free(session, place.ip, (reach == Reach::Online).then_some(until));
            outs.reaches.iter().for_each(|reaches| reaches.say(session, place, reach, until));
        }
        Effect::Totals { till, of } => {
            let books = Books::open_read_only(&disk.store).map_err(|e| e.to_string());
            match books.and_then(|books| books.totals(till, of).map_err(|e| e.to_string())) {
                Ok(totals) => outs.tills.tell(till, TillAnswer::Totals(totals)),
                Err(error) => tracing::error!(%error, till = till.number(), "the totals could not be read"),
            }
        }
        Effect::Alarm(alarm) => {
            tracing::error!(message_id = "723123cdfad94111a45e226724982d68", alarm = ?alarm, "a person must look")
        }
    }
}

/// Waits for the next thing, or for so long.
pub(crate) async fn wake(ins: &mut Ins, wait: Duration) -> Wake {
    tokio::select! {
        biased;
        _ = ins.stop.wait_for(|stop| *stop) => Wake::Stop,
        Some(look) = ins.looks.recv() => Wake::Look(look),
        incoming = ins.inbox.recv() => incoming.map_or(Wake::Stop, Wake::Event),
        () = tokio::time::sleep(wait) => Wake::Deadline,
    }
}

/// A line in the journal when a sale begins and when it ends; the steps between are for `debug`.
fn say_sale(till: TillNumber, answer: &TillAnswer) {
    let till = till.number();
    match answer {
        TillAnswer::Accepted { sale, .. } => tracing::info!(till, %sale, "request taken"),
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
