//! Who may come in: counts the connections and requests of each address, and has connections that only wait make room
//! for new ones. Reads no request.

use super::Limits;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Addresses whose requests are counted. Beyond, those without a connection are forgotten.
const CALLERS_MAX: usize = 4_096;
/// Connections that browsers open to one place at most: whoever holds more gives way first.
const BROWSER_CONNECTIONS: usize = 6;

/// A request that takes longer than any of ours is held up by its own phone: a body that does not come.
const ASKING_MAX: Duration = Duration::from_secs(3);

/// So long a phone may take to say what it wants before it counts as silent.
const SILENT_AFTER: Duration = Duration::from_millis(250);

/// All that is open, by connection and by address.
#[derive(Debug, Default)]
pub(super) struct Door(Mutex<Inside>);

#[derive(Debug, Default)]
struct Inside {
    next: u64,
    open: BTreeMap<u64, Held>,
    /// Those of `open` that have not yet said the whole head of a request; the oldest first.
    fresh: BTreeSet<u64>,
    callers: BTreeMap<IpAddr, Caller>,
}

#[derive(Debug)]
struct Held {
    address: IpAddr,
    state: State,
    since: Instant,
    leave: Arc<Notify>,
}

/// What a connection does, those first that are missed least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    /// Nothing yet: the head of its first request is not complete.
    Fresh,
    /// Its request was answered; it takes its time over the answer, or may have another.
    Idle,
    /// Its request is being answered.
    Asking,
    /// It follows a visit.
    Live,
}

#[derive(Debug, Default)]
struct Caller {
    connections: usize,
    /// Requests are paid for with time: up to here it is spent. Never further ahead than the burst.
    spent_until: Option<Instant>,
}

/// One open connection's place; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    door: Arc<Door>,
    id: u64,
    address: IpAddr,
    leave: Arc<Notify>,
}

impl Door {
    /// A place for a new connection, unless its address has all that it may have. If all places are taken, the
    /// connection that is missed least must leave; if none can, there is no place.
    pub(super) fn enter(door: &Arc<Door>, peer: IpAddr, limits: &Limits) -> Option<Place> {
        let address = caller_of(peer);
        let mut inside = door.lock();
        let held = inside.callers.get(&address).map_or(0, |caller| caller.connections);
        if held >= limits.connections_per_address_max {
            return None;
        }
        if inside.open.len() >= limits.connections_max {
            let gives_way = inside.missed_least()?;
            if let Some(gone) = inside.remove(gives_way) {
                gone.leave.notify_one();
            }
        }
        inside.forget_callers();
        let caller = inside.callers.entry(address).or_default();
        caller.connections = caller.connections.saturating_add(1);
        let id = inside.next;
        inside.next = id.saturating_add(1);
        let leave = Arc::new(Notify::new());
        inside.fresh.insert(id);
        inside.open.insert(id, Held { address, state: State::Fresh, since: Instant::now(), leave: leave.clone() });
        Some(Place { door: door.clone(), id, address, leave })
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    /// The oldest connection that never asked for anything; else one of the address that holds most, by what it does
    /// and then by how long it has done so. One that has just come goes only if there is no other.
    fn missed_least(&self) -> Option<u64> {
        let now = Instant::now();
        let aged = |one: &Held, age| now.saturating_duration_since(one.since) > age;
        let oldest = self.fresh.first().and_then(|id| Some((*id, self.open.get(id)?)));
        if let Some((id, _)) = oldest.filter(|(_, one)| aged(one, SILENT_AFTER)) {
            return Some(id);
        }
        let held = |address: &IpAddr| self.callers.get(address).map_or(0, |caller| caller.connections);
        let order = |one: &Held| {
            let many = held(&one.address).max(BROWSER_CONNECTIONS);
            let stuck = one.state == State::Asking && aged(one, ASKING_MAX);
            let state = if stuck { State::Fresh } else { one.state };
            (one.state == State::Fresh, std::cmp::Reverse(many), state, one.since)
        };
        self.open.iter().min_by_key(|(_, one)| order(one)).map(|(id, _)| *id)
    }

    fn remove(&mut self, id: u64) -> Option<Held> {
        self.fresh.remove(&id);
        let held = self.open.remove(&id)?;
        if let Some(caller) = self.callers.get_mut(&held.address) {
            caller.connections = caller.connections.saturating_sub(1);
            if caller.connections == 0 && caller.spent_until.is_none_or(|until| until <= Instant::now()) {
                self.callers.remove(&held.address);
            }
        }
        Some(held)
    }

    fn forget_callers(&mut self) {
        if self.callers.len() < CALLERS_MAX {
            return;
        }
        let now = Instant::now();
        self.callers.retain(|_, caller| caller.connections > 0 || caller.spent_until.is_some_and(|until| until > now));
        if self.callers.len() >= CALLERS_MAX {
            self.callers.retain(|_, caller| caller.connections > 0);
        }
    }
}

impl Place {
    /// Returns when the place is wanted for another.
    pub(super) async fn wanted(&self) {
        self.leave.notified().await;
    }

    /// The head of a request has come. Whether its address may ask now.
    pub(super) fn asks(&self, limits: &Limits) -> bool {
        let mut inside = self.door.lock();
        inside.fresh.remove(&self.id);
        let now = Instant::now();
        let fits = inside.callers.get_mut(&self.address).is_none_or(|caller| caller.pays(now, limits));
        inside.set(self.id, if fits { State::Asking } else { State::Idle });
        fits
    }

    /// The request was answered; `live`: the answer goes on.
    pub(super) fn answered(&self, live: bool) {
        self.door.lock().set(self.id, if live { State::Live } else { State::Idle });
    }
}

impl Inside {
    fn set(&mut self, id: u64, state: State) {
        if let Some(held) = self.open.get_mut(&id) {
            (held.state, held.since) = (state, Instant::now());
        }
    }
}

impl Caller {
    fn pays(&mut self, now: Instant, limits: &Limits) -> bool {
        let price = Duration::from_secs(1).checked_div(limits.requests_a_second).unwrap_or(Duration::ZERO);
        let ahead = price.saturating_mul(limits.requests_burst);
        let spent = self.spent_until.map_or(now, |until| until.max(now));
        let (Some(after), Some(furthest)) = (spent.checked_add(price), now.checked_add(ahead)) else { return true };
        let fits = after <= furthest;
        if fits {
            self.spent_until = Some(after);
        }
        fits
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.door.lock().remove(self.id);
    }
}

/// Whom an address stands for: a phone has one address of version 4, and a whole net of version 6.
fn caller_of(peer: IpAddr) -> IpAddr {
    match peer {
        IpAddr::V4(_) => peer,
        IpAddr::V6(six) => {
            let [a, b, c, d, ..] = six.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phone(n: u8) -> IpAddr {
        IpAddr::from([10, 77, 0, n])
    }

    fn limits(connections_max: usize) -> Limits {
        Limits { connections_max, requests_burst: 3, requests_a_second: 1, ..Limits::default() }
    }

    /// Longer ago than that.
    fn before(age: Duration) -> Instant {
        Instant::now().checked_sub(age + Duration::from_millis(1)).unwrap()
    }

    fn wanted(place: &Place) -> bool {
        !place.door.lock().open.contains_key(&place.id)
    }

    #[test]
    fn who_never_asked_gives_way_before_who_did_and_who_holds_most_before_the_others() {
        let (door, limits) = (Arc::new(Door::default()), limits(9));
        let enter = |n| Door::enter(&door, phone(n), &limits).unwrap();
        let follows = enter(1);
        follows.asks(&limits);
        follows.answered(true);
        let silent = enter(2);
        door.lock().open.get_mut(&silent.id).unwrap().since = before(SILENT_AFTER);
        let many: Vec<Place> = (0..7).map(|_| enter(3)).collect();
        many.iter().for_each(|place| {
            place.asks(&limits);
            place.answered(true);
        });
        let first = enter(4);
        assert!(wanted(&silent) && !wanted(&follows));
        first.asks(&limits);
        first.answered(false);
        let second = enter(5);
        assert!(wanted(&many[0]) && !wanted(&first), "seven are more than a browser opens");
        second.asks(&limits);
        second.answered(false);
        let third = enter(6);
        assert!(wanted(&first) && !wanted(&follows), "of equals, who waits longest without following a visit");
        drop(third);
        assert_eq!(door.lock().open.len(), 8);
    }

    #[test]
    fn a_request_whose_body_does_not_come_gives_way_before_who_was_answered() {
        let (door, limits) = (Arc::new(Door::default()), limits(3));
        let enter = |n| Door::enter(&door, phone(n), &limits).unwrap();
        let [answered, stuck, asking] = [1, 2, 3].map(enter);
        for place in [&answered, &stuck, &asking] {
            place.asks(&limits);
        }
        answered.answered(false);
        door.lock().open.get_mut(&stuck.id).unwrap().since = before(ASKING_MAX);
        let fourth = enter(4);
        assert!(wanted(&stuck) && !wanted(&answered) && !wanted(&asking));
        let fifth = enter(5);
        assert!(wanted(&answered) && !wanted(&fourth), "who has just come is not the one to go");
        let _sixth = enter(6);
        assert!(wanted(&asking) && !wanted(&fourth) && !wanted(&fifth));
    }

    #[test]
    fn an_address_may_ask_in_a_burst_and_then_at_its_pace() {
        let limits = limits(9);
        let mut caller = Caller::default();
        let begin = Instant::now();
        let at = |ms| begin + Duration::from_millis(ms);
        let asked = [0, 0, 1, 1, 900, 1_001, 1_002, 60_000, 60_000, 60_000, 60_000];
        let fits = asked.map(|ms| caller.pays(at(ms), &limits));
        assert_eq!(fits, [true, true, true, false, false, true, false, true, true, true, false]);
    }

    #[test]
    fn nothing_stays_behind_of_addresses_that_have_gone() {
        let (door, limits) = (Arc::new(Door::default()), limits(9));
        for n in 0..=255 {
            drop(Door::enter(&door, phone(n), &limits).unwrap());
        }
        let inside = door.lock();
        assert!(inside.open.is_empty() && inside.fresh.is_empty() && inside.callers.is_empty());
    }

    #[test]
    fn a_phone_with_a_net_of_addresses_counts_as_one() {
        let limits = Limits { connections_per_address_max: 2, ..limits(9) };
        let door = Arc::new(Door::default());
        let enter = |text: &str| Door::enter(&door, text.parse().unwrap(), &limits);
        let held = [enter("fd00:0:0:1::1"), enter("fd00:0:0:1::2")];
        assert!(held.iter().all(Option::is_some) && enter("fd00:0:0:1::3").is_none());
        assert!(enter("fd00:0:0:2::1").is_some());
    }
}
