//! Time relative to now: after each step every instant is moved so that it is always the same moment, and what differs in
//! no way that the shop could notice becomes equal. So states repeat, and there are finitely many of them.

use super::super::super::attempt::{Attempt, AttemptState, Refund, RefundState, Since};
use super::super::super::calls::{Calls, Line};
use super::super::super::effect::{EnterNote, Screen};
use super::super::super::sale::{Sale, SaleState, Telling};
use super::super::super::time::{BootId, Mono, Now, Wall};
use super::super::super::{Live, Shop};
use super::super::world::Disk;
use std::collections::BTreeSet;

/// It is always this moment.
pub(super) const NOW: Mono = Mono(1_000_000_000);
const PAST: Mono = Mono(NOW.0 - 1);
/// Never comes.
pub(super) const NEVER: Mono = Mono(u64::MAX);
/// What is left of an instant of an earlier boot: a number that means nothing any more, and looks like a far future.
const OTHER_BOOT: Mono = Mono(NOW.0 + 1_000_000);
/// Places in line, as instants.
const LINE_FROM: u64 = NOW.0 - 1_000;
/// After so many tries the waits between them grow no more.
const TRIES_MAX: u32 = 10;

pub(super) fn now(boot: u128, is_set: bool) -> Now {
    Now { boot: BootId(boot), mono: NOW, wall: is_set.then_some(Wall(1_800_000_000_000)) }
}

/// Moves an instant by the time that has passed. What is over is over, however long ago.
pub(super) fn sooner(at: &mut Mono, ms: u64) {
    if *at != NEVER {
        *at = at.minus_ms(ms).max(PAST);
    }
}

/// Moves all of the shop, and makes equal what is equal.
pub(super) fn rebase(shop: &mut Shop, ms: u64, now: Now) {
    for Live { sale, saved, calls, .. } in shop.sales.values_mut() {
        std::iter::once(sale).chain(saved).for_each(|sale| of_sale(sale, ms, now));
        of_calls(calls, ms);
    }
    for till in shop.tills.values_mut() {
        till.asking.iter_mut().for_each(|(_, until)| sooner(until, ms));
    }
    for visit in shop.visits.values_mut() {
        visit.pause_until.iter_mut().chain(&mut visit.unseen_until).for_each(|until| sooner(until, ms));
        visit.open.iter_mut().for_each(|(_, until, _)| sooner(until, ms));
        visit.shown.iter_mut().for_each(|screen| of_screen(screen, ms));
        if let Some(EnterNote::TooManyGuesses { until }) = &mut visit.note {
            sooner(until, ms);
        }
    }
    shop.late.values_mut().for_each(|due| sooner(due, ms));
    of_line(&mut shop.line, ms);
}

/// The same for the disk, when it was written or time has passed.
pub(super) fn rebase_disk(shop: &mut Shop, disk: &mut Disk, ms: u64, now: Now) {
    disk.sales.iter_mut().for_each(|(sale, _)| of_sale(sale, ms, now));
    disk.alarms = 0;
    places(shop, disk);
}

fn of_sale(sale: &mut Sale, ms: u64, now: Now) {
    let gone = sale.boot != now.boot;
    let other_boot = |at: &mut Mono| if gone { *at = OTHER_BOOT } else { sooner(at, ms) };
    other_boot(&mut sale.ends);
    for Attempt { state, .. } in &mut sale.attempts {
        match state {
            AttemptState::Open { until, doubt, .. } => {
                other_boot(until);
                of_doubt(doubt, now);
            }
            AttemptState::Intent { doubt } => of_doubt(doubt, now),
            AttemptState::Paid { .. } | AttemptState::Closed(_) => {}
        }
    }
    for Refund { state, .. } in &mut sale.refunds {
        if let RefundState::Intent { doubt } = state {
            of_doubt(doubt, now);
        }
    }
    state_times(&mut sale.state, |at| sooner(at, ms));
}

fn state_times(state: &mut SaleState, change: impl Fn(&mut Mono)) {
    match state {
        SaleState::Waiting | SaleState::Paying { back_by: None, .. } => {}
        SaleState::Offered { until, .. } | SaleState::Aborting { until, .. } => change(until),
        SaleState::Paying { back_by: Some(until), .. } => change(until),
        SaleState::Approved { telling, .. }
        | SaleState::Declined { telling, .. }
        | SaleState::Cancelled { telling, .. }
        | SaleState::Lapsed { telling } => match telling {
            Telling::TakeLater { at, .. } | Telling::Unheard { refund_at: Some(at) } => change(at),
            Telling::Telling { .. }
            | Telling::Taken
            | Telling::Rejected
            | Telling::Unheard { refund_at: None }
            | Telling::NoChannel => {}
        },
    }
}

/// The machine starts anew: the instants on disk mean nothing any more.
pub(super) fn forget(disk: &mut Disk, now: Now) {
    for (sale, _) in &mut disk.sales {
        of_sale(sale, 0, now);
        state_times(&mut sale.state, |at| *at = OTHER_BOOT);
    }
}

/// Doubt grows old in days only; no run of this world lasts so long.
fn of_doubt(doubt: &mut Option<Since>, now: Now) {
    doubt.iter_mut().for_each(|since| *since = now);
}

fn of_calls(calls: &mut Calls, ms: u64) {
    for asking in calls.0.values_mut() {
        sooner(&mut asking.due, ms);
        asking.tries = asking.tries.min(TRIES_MAX);
    }
}

/// An idle line that works is known to work, and the hour of the list strikes when the world says so.
fn of_line(line: &mut Line, ms: u64) {
    line.list_due = NEVER;
    line.fails = line.fails.min(TRIES_MAX);
    match &mut line.heard {
        Some(heard) if !line.down => (*heard, line.probe_due) = (NOW, NEVER),
        Some(heard) => sooner(heard, ms),
        None => {}
    }
    sooner(&mut line.probe_due, ms);
}

pub(super) fn of_screen(screen: &mut Screen, ms: u64) {
    match screen {
        Screen::Confirm { until, .. } | Screen::Pay { until, .. } | Screen::ChooseReturn { until, .. } => {
            sooner(until, ms)
        }
        Screen::EnterTill { note: Some(EnterNote::TooManyGuesses { until }) } => sooner(until, ms),
        Screen::EnterTill { .. }
        | Screen::InLine { .. }
        | Screen::Waiting { .. }
        | Screen::TooLate { .. }
        | Screen::Contacting { .. }
        | Screen::Closing { .. }
        | Screen::Returning { .. }
        | Screen::Returned(_)
        | Screen::Result(_) => {}
    }
}

/// Of the instants by which phones stand in line only the order counts.
fn places(shop: &mut Shop, disk: &mut Disk) {
    let visits = shop.visits.values_mut().flat_map(|visit| std::iter::once(&mut visit.session).chain(&mut visit.saved));
    let pairings = visits.chain(disk.sessions.values_mut()).filter_map(|session| session.pairing.as_mut());
    let mut pairings: Vec<_> = pairings.map(|pairing| &mut pairing.since).collect();
    let order: BTreeSet<Mono> = pairings.iter().map(|since| **since).collect();
    for since in &mut pairings {
        let before = order.range(..**since).count();
        **since = Mono(LINE_FROM + before as u64);
    }
}
