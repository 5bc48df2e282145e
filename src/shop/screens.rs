//! What a phone's page shows, and how far the phone reaches: both follow from the state, nothing is remembered.

use super::attempt::{AttemptState, Refund, RefundState, TryFailure};
use super::effect::{Reach, Receipt, SaleFacts, Screen};
use super::id::SessionId;
use super::sale::{Sale, SaleState};
use super::time::Mono;
use super::{Shop, Visit};

impl Shop {
    /// The screen of a visit.
    pub(super) fn screen(&self, visit: &Visit) -> Screen {
        let live = visit.session.sale.and_then(|sale| self.sales.get(&sale));
        if let Some(screen) = live.and_then(|live| self.sale_screen(visit, &live.sale)) {
            return screen;
        }
        let Some(pairing) = visit.session.pairing else { return Screen::EnterTill { note: visit.note } };
        let line = self.tills.get(&pairing.till).map(|till| till.line.as_slice()).unwrap_or_default();
        match line.iter().position(|session| *session == visit.session.id).map(u32::try_from) {
            Some(Ok(ahead)) if ahead > 0 => Screen::InLine { till: pairing.till, ahead },
            Some(_) | None => Screen::Waiting { till: pairing.till },
        }
    }

    fn sale_screen(&self, visit: &Visit, sale: &Sale) -> Option<Screen> {
        let facts = SaleFacts { sale: sale.id, till: sale.till, amount: sale.amount, code: sale.code };
        match sale.state {
            SaleState::Waiting => None,
            SaleState::Offered { session, .. }
            | SaleState::Paying { session, .. }
            | SaleState::Aborting { session, .. }
                if session != visit.session.id =>
            {
                None
            }
            SaleState::Offered { .. } if visit.too_late == Some(sale.id) => Some(Screen::TooLate { facts }),
            SaleState::Offered { until, .. } => Some(Screen::Confirm { facts, until }),
            SaleState::Aborting { .. } => Some(Screen::Closing { facts }),
            SaleState::Paying { .. } => Some(self.paying_screen(visit.session.id, sale, facts)),
            SaleState::Approved { .. }
            | SaleState::Declined { .. }
            | SaleState::Cancelled { .. }
            | SaleState::Lapsed { .. } => Some(Screen::Result(Box::new(receipt(visit.session.id, sale, facts)?))),
        }
    }

    fn paying_screen(&self, session: SessionId, sale: &Sale, facts: SaleFacts) -> Screen {
        let attempt = sale.attempts.last();
        let attempt_no = attempt.map_or(1, |a| a.number);
        let before = sale.attempts.iter().rev().nth(1).and_then(|a| a.failed_for_good());
        match attempt.map(|a| (&a.state, a)) {
            Some((AttemptState::Open { link, until, doubt }, attempt)) => Screen::Pay {
                facts,
                attempt_no,
                link: link.clone(),
                failed: attempt.last_failure.or(before.map(|reason| TryFailure { reason, at: None })),
                until: (*until).min(sale.ends),
                others_wait: self.others_wait(session),
                checking: doubt.is_some(),
            },
            Some((AttemptState::Intent { .. } | AttemptState::Paid { .. } | AttemptState::Closed(_), attempt)) => {
                Screen::Contacting { facts, attempt_no, failed: before, checking: attempt.doubt().is_some() }
            }
            None => Screen::Contacting { facts, attempt_no, failed: None, checking: false },
        }
    }

    /// How far a visit's phone reaches, and until when. After the outcome the checkout stays in reach until our result page
    /// was loaded, so that the platform's own page arrives whole; giving up cuts at once.
    pub(super) fn reach(&self, visit: &Visit) -> (Reach, Mono) {
        let sale = visit.session.sale.and_then(|sale| self.sales.get(&sale)).map(|live| &live.sale);
        match (sale.map(|sale| (sale, sale.state)), visit.unseen_until) {
            (Some((sale, SaleState::Paying { session, .. })), _) if session == visit.session.id => {
                (Reach::Checkout, sale.ends)
            }
            (_, Some(until)) => (Reach::Checkout, until),
            (_, None) => (Reach::Captive, visit.session.until),
        }
    }
}

/// What a phone is told about an ended sale.
fn receipt(session: SessionId, sale: &Sale, facts: SaleFacts) -> Option<Receipt> {
    let mine = |id| sale.attempts.iter().any(|a| a.id == id && a.session == session);
    let sum = |of: &dyn Fn(&Refund) -> bool| {
        let refunds = sale.refunds.iter().filter(|r| mine(r.attempt) && r.state.counts() && of(r));
        refunds.fold(0_u64, |sum, r| sum.saturating_add(r.amount.minor()))
    };
    Some(Receipt {
        facts,
        outcome: sale.state.outcome()?,
        attempt: sale.winner().or_else(|| sale.attempts.iter().rev().map(|a| a.id).find(|id| mine(*id))),
        given_back_minor: sum(&|_| true),
        given_back_done_minor: sum(&|r| r.state == RefundState::Done),
        surplus_back_minor: sum(&|r| r.why.is_surplus()),
        at: sale.ended_at,
    })
}
