//! The loop of a daemon whose books cannot be used: tills and phones hear why nothing is sold. Opens no store, calls no
//! platform, and says nothing about a sale: whether one was paid stands in the books.

use crate::clock::Clock;
use crate::gateway::{Ins, Wake, Watchdog, wake};
use crate::inbox::Incoming;
use crate::portal::Board;
use crate::shop::effect::{Refusal, TillAnswer};
use crate::shop::event::{Event, NoSales, TillEvent};
use crate::shop::policy::Policy;
use crate::shop::{Loaded, Shop};
use crate::store::Hold;
use crate::till::Tills;
use std::time::Duration;
use tokio::runtime::Handle;

const WHY: Refusal = Refusal::NoSales(NoSales::StoreDamaged);

/// A shop that is closed until somebody restores its books.
#[derive(Debug)]
pub(super) struct Closed {
    /// Nobody else opens the books meanwhile.
    _books: Hold,
    /// Without a sale; it answers who asks how things stand.
    shop: Shop,
    tills: Tills,
    board: Board,
    watchdog: Option<Watchdog>,
}

impl Closed {
    pub(super) fn new(
        books: Hold,
        policy: Policy,
        clock: &Clock,
        tills: Tills,
        board: Board,
        fed_every: Option<Duration>,
    ) -> Closed {
        let (shop, _) = Shop::open(&clock.stamp(), policy, Loaded::default());
        Closed { _books: books, shop, tills, board, watchdog: fed_every.map(Watchdog::new) }
    }

    /// Goes round until told to stop.
    pub(super) fn run(mut self, mut ins: Ins, runtime: &Handle) {
        loop {
            let wait = self.watchdog.as_ref().map_or(Duration::MAX, Watchdog::wait);
            match runtime.block_on(wake(&mut ins, wait)) {
                Wake::Event(Incoming { event, done }) => {
                    self.answer(event);
                    if let Some(done) = done {
                        let _ = done.send(()); // Nobody waits any more.
                    }
                }
                Wake::Look(look) => look(&self.shop),
                Wake::Deadline => {}
                Wake::Stop => return,
            }
            if let Some(watchdog) = &mut self.watchdog {
                watchdog.feed();
            }
        }
    }

    fn answer(&self, event: Event) {
        match event {
            Event::Till { till, what } => {
                if let Some(answer) = answer_to(&what) {
                    tracing::info!(till = till.number(), "request refused: the books are damaged");
                    self.tills.tell(till, answer);
                }
            }
            // The start page says why.
            Event::Phone { session, what: _ } => self.board.forget(session),
            Event::Platform(_) | Event::NewSales(_) | Event::DeadlinePassed => {}
        }
    }
}

/// A new sale is refused. To a question about an earlier one "no" would be as wrong as "yes": the till hears how things
/// stand with the box, and where its protocol has no word for that, nothing.
fn answer_to(what: &TillEvent) -> Option<TillAnswer> {
    match what {
        TillEvent::Asked(ask) => Some(TillAnswer::Refused { ticket: ask.ticket, why: WHY }),
        TillEvent::AskedStatus
        | TillEvent::AskedAgain { .. }
        | TillEvent::Aborted { .. }
        | TillEvent::AskedTotals { .. } => Some(TillAnswer::Status { ready: Err(WHY) }),
        TillEvent::Online
        | TillEvent::Offline
        | TillEvent::Taken { .. }
        | TillEvent::TakeLater { .. }
        | TillEvent::Rejected { .. }
        | TillEvent::Unheard { .. }
        | TillEvent::DayClosed { .. }
        | TillEvent::Knows { .. } => None,
    }
}
