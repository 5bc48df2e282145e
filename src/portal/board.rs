//! What each phone's page shows at present, left here by the gateway and read by the pages. Decides nothing.

use super::language::Language;
use crate::clock::Clock;
use crate::shop::effect::Screen;
use crate::shop::event::TillNumber;
use crate::shop::id::{SaleId, SessionId};
use crate::shop::session::Place;
use crate::shop::time::Mono;
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{oneshot, watch};

/// Live streams of one visit; an older one is ended for a newer one.
const LIVE_PER_SESSION_MAX: usize = 2;
/// Ended visits whose till is remembered, so that a phone that comes back need not type it again.
const ENDED_MAX: usize = 512;

/// The screens of all visits. Clones are the same board; no call waits for anything but the others' short ones.
#[derive(Clone, Debug)]
pub struct Board(Arc<Mutex<Seats>>);

#[derive(Debug)]
struct Seats {
    taken: BTreeMap<SessionId, Seat>,
    ended: VecDeque<(SessionId, TillNumber)>,
    /// The version given last. It begins with the time, so that a page from before a restart is not taken for new.
    version: u64,
}

#[derive(Debug)]
struct Seat {
    /// `None` between the phone's log-in and the first screen.
    screen: Option<Screen>,
    version: watch::Sender<u64>,
    /// The version that the shop knows was loaded.
    seen: Option<u64>,
    /// Until when its phone reaches the internet.
    free: Option<Mono>,
    /// The attempt whose checkout the phone was sent to.
    handed_over: Option<(SaleId, u32)>,
    language: Option<Language>,
    opened_from: Option<IpAddr>,
    /// Where the shop was told last that its phone is.
    place: Option<Place>,
    till: Option<TillNumber>,
    live: VecDeque<oneshot::Sender<()>>,
    /// Taps that wait for the shop.
    taps: usize,
}

impl Seat {
    fn new(version: u64) -> Seat {
        Seat {
            screen: None,
            version: watch::Sender::new(version),
            seen: None,
            free: None,
            handed_over: None,
            language: None,
            opened_from: None,
            place: None,
            till: None,
            live: VecDeque::new(),
            taps: 0,
        }
    }

    /// Whether it stands at a till, or its sale is not over.
    fn is_busy(&self) -> bool {
        match &self.screen {
            None | Some(Screen::EnterTill { .. } | Screen::Result(_) | Screen::Returned(_)) => false,
            Some(
                Screen::InLine { .. }
                | Screen::Waiting { .. }
                | Screen::Confirm { .. }
                | Screen::TooLate { .. }
                | Screen::Contacting { .. }
                | Screen::Pay { .. }
                | Screen::Closing { .. }
                | Screen::ChooseReturn { .. }
                | Screen::Returning { .. },
            ) => true,
        }
    }
}

/// A visit as a page finds it.
#[derive(Debug)]
pub(super) enum Found {
    /// No such visit, or it has ended. If it is known where it stood last: there.
    Ended { till: Option<TillNumber> },
    /// Logged in; the shop has not answered yet.
    Blank { language: Option<Language> },
    /// This is its page.
    Shown(Box<Shown>),
}

/// A visit's page.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) screen: Screen,
    pub(super) version: u64,
    pub(super) language: Option<Language>,
}

/// Why no new visit can be opened.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoSeat {
    /// The address has all that it may have.
    OfAddress,
    /// All are taken.
    AtAll,
}

/// A tap that waits for the shop; counted until dropped.
#[derive(Debug)]
pub(super) struct Tap {
    board: Board,
    session: SessionId,
}

impl Drop for Tap {
    fn drop(&mut self) {
        if let Some(seat) = self.board.lock().taken.get_mut(&self.session) {
            seat.taps = seat.taps.saturating_sub(1);
        }
    }
}

/// The ends of a live stream: new versions, and the word to stop.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) version: watch::Receiver<u64>,
    pub(super) displaced: oneshot::Receiver<()>,
}

impl Board {
    pub(super) fn new() -> Board {
        Board(Arc::new(Mutex::new(Seats { taken: BTreeMap::new(), ended: VecDeque::new(), version: Clock::mono().0 })))
    }

    /// From now on `screen` is what the visit's page shows. The same screen again changes nothing.
    pub fn show(&self, session: SessionId, screen: Screen) {
        let mut seats = self.lock();
        let version = seats.version.saturating_add(1);
        let seat = seats.taken.entry(session).or_insert_with(|| Seat::new(version));
        if seat.screen.as_ref() == Some(&screen) {
            return;
        }
        if let Some(till) = till_of(&screen) {
            seat.till = Some(till);
        }
        seat.screen = Some(screen);
        seat.version.send_replace(version);
        seats.version = version;
    }

    /// The visit has ended: its pages lead to the start.
    pub fn forget(&self, session: SessionId) {
        let mut seats = self.lock();
        let Some(seat) = seats.taken.remove(&session) else { return };
        if let Some(till) = seat.till {
            if seats.ended.len() >= ENDED_MAX {
                seats.ended.pop_front();
            }
            seats.ended.push_back((session, till));
        }
    }

    /// How many visits there are.
    pub fn count(&self) -> usize {
        self.lock().taken.len()
    }

    /// From now on the visit's phone, at this address, reaches the internet, until then; `None`: not any more.
    pub fn set_free(&self, session: SessionId, address: IpAddr, until: Option<Mono>) {
        let mut seats = self.lock();
        let version = seats.version;
        let seat = match until {
            Some(_) => Some(seats.taken.entry(session).or_insert_with(|| Seat::new(version))),
            None => seats.taken.get_mut(&session),
        };
        if let Some(seat) = seat {
            (seat.opened_from, seat.free) = (Some(address.to_canonical()), until);
        }
    }

    /// Until when the phone at this address is free in its system's eyes; `None`: it is captive. It is while one of its
    /// visits stands at a till.
    pub(super) fn free_until(&self, address: IpAddr, now: Mono) -> Option<Mono> {
        let seats = self.lock();
        let mut until = None;
        for seat in seats.taken.values().filter(|seat| seat.opened_from == Some(address)) {
            if seat.is_busy() {
                return None;
            }
            until = until.max(seat.free.filter(|until| *until > now));
        }
        until
    }

    /// Takes a seat for a visit that is about to begin, unless all (`max`), or the address's share, are taken.
    pub(super) fn reserve(
        &self,
        session: SessionId,
        language: Option<Language>,
        from: IpAddr,
        max: usize,
        per_address_max: usize,
    ) -> Result<(), NoSeat> {
        let mut seats = self.lock();
        let of_address = seats.taken.values().filter(|seat| seat.opened_from == Some(from)).count();
        if of_address >= per_address_max {
            return Err(NoSeat::OfAddress);
        }
        if seats.taken.len() >= max {
            return Err(NoSeat::AtAll);
        }
        let version = seats.version;
        let seat = seats.taken.entry(session).or_insert_with(|| Seat::new(version));
        seat.language = language;
        seat.opened_from = Some(from);
        Ok(())
    }

    /// Notes where the visit's phone is; true if that is news to the shop. That nobody knows the hardware address at the
    /// moment is none.
    pub(super) fn moves(&self, session: SessionId, place: Place) -> bool {
        let mut seats = self.lock();
        let Some(seat) = seats.taken.get_mut(&session) else { return false };
        let same =
            seat.place.is_some_and(|known| known.ip == place.ip && (known.mac == place.mac || place.mac.is_none()));
        if !same {
            seat.place = Some(place);
            seat.opened_from = Some(place.ip);
        }
        !same
    }

    /// The shop could not be told where the visit's phone is: the next load tries again.
    pub(super) fn is_nowhere(&self, session: SessionId) {
        if let Some(seat) = self.lock().taken.get_mut(&session) {
            seat.place = None;
        }
    }

    /// Gives a seat back that no screen came for.
    pub(super) fn release_blank(&self, session: SessionId) {
        let mut seats = self.lock();
        if seats.taken.get(&session).is_some_and(|seat| seat.screen.is_none()) {
            seats.taken.remove(&session);
        }
    }

    /// Counts a tap of the visit, unless as many as `max` wait already. Of visits that have ended none is counted.
    pub(super) fn tap(&self, session: SessionId, max: usize) -> Option<Tap> {
        if let Some(seat) = self.lock().taken.get_mut(&session) {
            if seat.taps >= max {
                return None;
            }
            seat.taps = seat.taps.saturating_add(1);
        }
        Some(Tap { board: self.clone(), session })
    }

    /// Of the visits that stand at no till and whose page no phone follows, the one that has changed least lately.
    pub(super) fn least_missed(&self) -> Option<SessionId> {
        let seats = self.lock();
        let missed_least = seats.taken.iter().filter(|(_, seat)| {
            matches!(seat.screen, Some(Screen::EnterTill { .. })) && seat.version.receiver_count() == 0
        });
        missed_least.min_by_key(|(_, seat)| *seat.version.borrow()).map(|(session, _)| *session)
    }

    /// What the visit's page shows.
    pub(super) fn find(&self, session: SessionId) -> Found {
        let seats = self.lock();
        let Some(seat) = seats.taken.get(&session) else {
            let ended = seats.ended.iter().find(|(id, _)| *id == session);
            return Found::Ended { till: ended.map(|(_, till)| *till) };
        };
        let language = seat.language;
        match &seat.screen {
            None => Found::Blank { language },
            Some(screen) => {
                Found::Shown(Box::new(Shown { screen: screen.clone(), version: *seat.version.borrow(), language }))
            }
        }
    }

    /// Whether the visit lives.
    pub(super) fn has(&self, session: SessionId) -> bool {
        self.lock().taken.contains_key(&session)
    }

    /// True for the first load of this version: then the shop is to be told.
    pub(super) fn claim_seen(&self, session: SessionId, version: u64) -> bool {
        let mut seats = self.lock();
        let Some(seat) = seats.taken.get_mut(&session) else { return false };
        let first = seat.seen != Some(version);
        seat.seen = Some(version);
        first
    }

    /// The shop could not be told: the next load tries again.
    pub(super) fn unclaim_seen(&self, session: SessionId) {
        if let Some(seat) = self.lock().taken.get_mut(&session) {
            seat.seen = None;
        }
    }

    /// Whether the phone was already sent to this attempt's checkout.
    pub(super) fn handed_over(&self, session: SessionId, sale: SaleId, attempt_no: u32) -> bool {
        self.lock().taken.get(&session).is_some_and(|seat| seat.handed_over == Some((sale, attempt_no)))
    }

    /// The phone is being sent to this attempt's checkout.
    pub(super) fn hand_over(&self, session: SessionId, sale: SaleId, attempt_no: u32) {
        if let Some(seat) = self.lock().taken.get_mut(&session) {
            seat.handed_over = Some((sale, attempt_no));
        }
    }

    /// Opens a live stream, ending the visit's oldest if it has too many.
    pub(super) fn listen(&self, session: SessionId) -> Option<Live> {
        let mut seats = self.lock();
        let seat = seats.taken.get_mut(&session)?;
        seat.live.retain(|stream| !stream.is_closed());
        if seat.live.len() >= LIVE_PER_SESSION_MAX {
            // The word alone says "displaced": a stream whose seat vanishes must load its page again.
            let _ = seat.live.pop_front().map(|oldest| oldest.send(()));
        }
        let (displace, displaced) = oneshot::channel();
        seat.live.push_back(displace);
        Some(Live { version: seat.version.subscribe(), displaced })
    }

    /// As new.
    #[cfg(feature = "fuzzing")]
    pub(super) fn clear(&self) {
        let mut seats = self.lock();
        (seats.taken, seats.ended, seats.version) = (BTreeMap::new(), VecDeque::new(), 1);
    }

    fn lock(&self) -> MutexGuard<'_, Seats> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The till that a screen says the phone stands at.
fn till_of(screen: &Screen) -> Option<TillNumber> {
    match screen {
        Screen::EnterTill { .. } => None,
        Screen::InLine { till, .. } | Screen::Waiting { till } => Some(*till),
        Screen::Confirm { facts, .. }
        | Screen::TooLate { facts }
        | Screen::Contacting { facts, .. }
        | Screen::Pay { facts, .. }
        | Screen::Closing { facts } => Some(facts.till),
        Screen::Result(receipt) => Some(receipt.facts.till),
        Screen::ChooseReturn { facts, .. } | Screen::Returning { facts, .. } => Some(facts.till),
        Screen::Returned(receipt) => Some(receipt.facts.till),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shop::effect::{Outcome, Receipt, SaleFacts};
    use crate::shop::money::{Amount, Currency};
    use crate::shop::sale::Code;

    const SESSION: SessionId = SessionId(7);

    fn till() -> TillNumber {
        TillNumber::new(7).unwrap()
    }

    fn result() -> Screen {
        let amount = Amount::from_minor(1_250, Currency::from_code("EUR").unwrap()).unwrap();
        let facts = SaleFacts { sale: SaleId(1), till: till(), amount, code: Code::parse("7K").unwrap() };
        Screen::Result(Box::new(Receipt {
            facts,
            outcome: Outcome::Lapsed,
            attempt: None,
            given_back_minor: 0,
            given_back_done_minor: 0,
            surplus_back_minor: 0,
            at: None,
        }))
    }

    #[test]
    fn a_phone_that_was_let_through_is_captive_again_while_one_of_its_visits_stands_at_a_till() {
        let (board, phone, other) = (Board::new(), IpAddr::from([10, 77, 0, 2]), IpAddr::from([10, 77, 0, 3]));
        let second = SessionId(8);
        let in_ms = |ms| Mono(Clock::mono().0 + ms);
        let free = |ms| board.free_until(phone, in_ms(ms)).is_some();
        let until = in_ms(3_600_000);
        board.reserve(SESSION, None, phone, 9, 9).unwrap();
        board.show(SESSION, result());
        assert!(!free(0), "nobody has let it through");
        board.set_free(SESSION, phone, Some(until));
        assert_eq!(board.free_until(phone, in_ms(0)), Some(until));
        assert_eq!(board.free_until(other, in_ms(0)), None, "another phone is another phone");
        board.reserve(second, None, phone, 9, 9).unwrap();
        board.show(second, Screen::EnterTill { note: None });
        assert!(free(0), "it stands at no till");
        board.show(second, Screen::Waiting { till: till() });
        assert!(!free(0));
        board.forget(second);
        assert!(free(0));
        board.moves(SESSION, Place { ip: other, mac: None });
        assert!(!free(0) && board.free_until(other, in_ms(0)).is_some(), "it is where it is now");
        assert_eq!(board.free_until(other, in_ms(3_600_000)), None, "the end has come");
        board.set_free(SESSION, other, None);
        assert_eq!(board.free_until(other, in_ms(0)), None);
        board.set_free(second, phone, None);
        assert!(!board.has(second), "what has ended stays ended");
    }
}
