//! The laws, judged in every state by what stands in it: what the customer truly paid, what is on disk, what the till was
//! told and the phones were shown. What only a step can break is judged by `laws.rs` at the step.

use super::super::super::effect::{Outcome, Screen};
use super::super::super::id::AttemptId;
use super::super::super::sale::Sale;
use super::platform::Paper;
use super::state::{Left, State};
use super::worlds::World;
use stateright::Property;

/// Every law as a property of every state.
pub(super) fn laws() -> Vec<Property<World>> {
    vec![
        Property::always("1: told paid only what is paid, as asked, and on disk", |_, s: &State| {
            s.keeps(1, told_paid_is_paid)
        }),
        Property::always("2: not paid is told only of what is not paid", |_, s: &State| {
            s.keeps(2, told_not_paid_is_over)
        }),
        Property::always("3: approved is one payment, lessened by recorded refunds only", |_, s: &State| {
            s.keeps(3, one_winner)
        }),
        Property::always("4: never more given back than was paid", |_, s: &State| s.keeps(4, back_within_paid)),
        Property::always("5: no link of a finished sale can be paid and kept", |_, s: &State| {
            s.keeps(5, closed_at_the_end)
        }),
        Property::always("6: nothing at the platform that is not on disk", |_, s: &State| s.keeps(6, all_on_disk)),
        Property::always("7: one attempt at a time can be paid", |_, s: &State| s.keeps(7, earlier_attempts_closed)),
        Property::always("8: an outcome is final", |_, s: &State| s.keeps(8, told_is_kept)),
        Property::always("9: one sale for a ticket", |_, s: &State| s.keeps(9, one_sale_a_ticket)),
        Property::always("10: unknown is not failed", |_, s: &State| s.keeps(10, |_| true)),
        Property::always("11: not found closes nothing that may come into being", |_, s: &State| s.keeps(11, |_| true)),
        Property::always("12: a result waits until it is taken", |_, s: &State| s.keeps(12, |_| true)),
        Property::always("13: only the payer sees the link", |_, s: &State| s.keeps(13, only_the_payer)),
        Property::always("14: one amount everywhere", |_, s: &State| s.keeps(14, one_amount)),
        Property::always("15: nothing leaves before it is on disk", |_, s: &State| s.keeps(15, |_| true)),
        Property::always("16: a repeat is the same", |_, s: &State| s.keeps(16, |_| true)),
        Property::always("17: the end is at rest, and the books agree", |world: &World, s: &State| {
            s.keeps(17, |_| true) && world.goes_on(s)
        }),
    ]
}

/// That the world is not empty: these do happen.
pub(super) fn sights(left: Left) -> Vec<Property<World>> {
    let mut sights = vec![
        Property::sometimes("paid", |_: &World, s: &State| s.sales().any(|sale| sale.winner().is_some())),
        Property::sometimes("not paid", |_: &World, s: &State| {
            s.sales().any(|sale| sale.state.outcome().is_some_and(|outcome| outcome != Outcome::Approved))
        }),
    ];
    if left.failures > 0 {
        sights.push(Property::sometimes("paid by the second attempt", |_: &World, s: &State| {
            s.sales().any(|sale| sale.attempts.len() > 1 && sale.winner() == sale.attempts.last().map(|a| a.id))
        }));
    }
    if left.extras > 0 {
        sights.push(Property::sometimes("given back", |_: &World, s: &State| {
            s.papers().any(|(_, paper)| paper.back_minor() > 0)
        }));
    }
    sights
}

impl State {
    fn keeps(&self, law: u8, holds: fn(&State) -> bool) -> bool {
        let broken = self.laws.broken.iter().map(|(number, _)| *number);
        !broken.chain(self.platform.odd.map(|(number, _)| number)).any(|number| number == law) && holds(self)
    }

    /// Whether a step has broken a law: nothing after that is of interest.
    pub(super) fn is_broken(&self) -> bool {
        !self.laws.broken.is_empty() || self.platform.odd.is_some()
    }

    pub(super) fn sales(&self) -> impl Iterator<Item = &Sale> {
        self.disk.sales.iter().map(|(sale, _)| sale)
    }

    fn of_attempt(&self, id: AttemptId) -> Option<&Sale> {
        self.sales().find(|sale| sale.attempts.iter().any(|a| a.id == id))
    }

    fn told(&self) -> impl Iterator<Item = (Option<&Sale>, Outcome)> {
        self.laws.told.iter().map(|(id, outcome)| (self.disk.find(*id), *outcome))
    }

    fn papers(&self) -> impl Iterator<Item = (AttemptId, &Paper)> {
        self.platform.papers.iter().map(|(id, paper)| (*id, paper))
    }

    /// What keeps the end from being one: nothing more happens by itself.
    pub(super) fn unrest(&self) -> Option<(u8, String)> {
        for (id, paper) in self.papers() {
            let Some(sale) = self.of_attempt(id) else { return Some((6, format!("{id:?} is not on disk"))) };
            if paper.is_open() {
                return Some((5, format!("{id:?} can still be paid")));
            }
            let wanted = sale.refunds.iter().filter(|r| r.state.counts() && !r.why.is_surplus());
            let wanted: u64 = wanted.map(|r| r.amount.minor()).sum();
            let due = if sale.winner() == Some(id) { sale.amount.minor() - wanted } else { 0 };
            let kept = paper.paid_minor - paper.back_minor();
            let refused = sale.refunds.iter().any(|r| r.attempt == id && r.needs_person.is_some());
            if kept != due && !refused {
                return Some((if kept < due { 3 } else { 4 }, format!("{kept} kept of {id:?}, {due} due")));
            }
        }
        let awake = self.disk.sales.iter().find(|(sale, open)| *open || !sale.is_at_rest()).map(|(sale, _)| sale);
        if let Some(sale) = awake.or(self.shop.open_sales().next()) {
            return Some((17, format!("not at rest: {:?}, {:?}", sale.state, sale.refunds)));
        }
        let busy = self.shown.values().find(|screen| match screen {
            Screen::Contacting { .. } | Screen::Pay { .. } | Screen::Closing { .. } | Screen::Confirm { .. } => true,
            Screen::ChooseReturn { .. } | Screen::Returning { .. } => true,
            Screen::Returned(_) => false,
            Screen::TooLate { .. }
            | Screen::EnterTill { .. }
            | Screen::InLine { .. }
            | Screen::Waiting { .. }
            | Screen::Result(_) => false,
        });
        busy.map(|screen| (17, format!("a phone still shows {screen:?}")))
    }
}

fn told_paid_is_paid(s: &State) -> bool {
    s.told().filter(|(_, outcome)| *outcome == Outcome::Approved).all(|(sale, _)| {
        sale.is_some_and(|sale| {
            let winner = sale.winner().and_then(|id| s.platform.papers.get(&id));
            winner.is_some_and(|paper| paper.amount == sale.amount && paper.paid_minor >= sale.amount.minor())
        })
    })
}

fn told_not_paid_is_over(s: &State) -> bool {
    let mut not_paid = s.told().filter(|(_, outcome)| *outcome != Outcome::Approved);
    not_paid.all(|(sale, _)| sale.is_some_and(|sale| sale.winner().is_none() && !sale.is_live()))
}

fn one_winner(s: &State) -> bool {
    s.sales().filter_map(|sale| Some((sale, sale.winner()?))).all(|(sale, winner)| {
        let recorded: u64 = sale.refunds.iter().filter(|r| r.attempt == winner).map(|r| r.amount.minor()).sum();
        s.platform.papers.get(&winner).is_some_and(|paper| paper.paid_minor > 0 && paper.back_minor() <= recorded)
    })
}

fn back_within_paid(s: &State) -> bool {
    s.papers().all(|(_, paper)| paper.back_minor() <= paper.paid_minor)
}

/// A sale at rest has nothing open at the platform.
fn closed_at_the_end(s: &State) -> bool {
    let at_rest = |id| s.of_attempt(id).is_some_and(Sale::is_at_rest);
    s.papers().filter(|(_, paper)| paper.is_open()).all(|(id, _)| !at_rest(id))
}

fn all_on_disk(s: &State) -> bool {
    let ids = s.platform.papers.keys().chain(s.platform.dead.keys());
    let refunds = s.papers().flat_map(|(id, paper)| paper.refunds.keys().map(move |refund| (id, *refund)));
    ids.copied().all(|id| s.of_attempt(id).is_some())
        && refunds.into_iter().all(|(id, refund)| {
            s.of_attempt(id).is_some_and(|sale| sale.refunds.iter().any(|r| r.id == refund && r.attempt == id))
        })
}

fn earlier_attempts_closed(s: &State) -> bool {
    s.sales().all(|sale| {
        let earlier = sale.attempts.split_last().map_or(&[][..], |(_, earlier)| earlier);
        earlier.iter().all(|attempt| {
            let over = s.platform.papers.get(&attempt.id).is_some_and(|paper| !paper.is_open());
            over || s.platform.dead.contains_key(&attempt.id)
        })
    })
}

fn told_is_kept(s: &State) -> bool {
    s.told().all(|(sale, outcome)| sale.is_some_and(|sale| sale.state.outcome() == Some(outcome)))
}

fn one_sale_a_ticket(s: &State) -> bool {
    s.sales().count() <= s.tickets as usize
}

fn only_the_payer(s: &State) -> bool {
    s.seen.iter().all(|(phone, id)| {
        let attempt = s.of_attempt(*id).and_then(|sale| sale.attempts.iter().find(|a| a.id == *id));
        attempt.is_some_and(|attempt| attempt.session == *phone)
    })
}

fn one_amount(s: &State) -> bool {
    s.papers().all(|(id, paper)| s.of_attempt(id).is_none_or(|sale| sale.amount == paper.create.amount))
}
