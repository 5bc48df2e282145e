//! What money of a sale goes back, and why. Only notes down refunds; asks nobody for them.

use super::attempt::{AttemptState, Refund, RefundState, RefundWhy};
use super::id::{AttemptId, Ids, RefundId};
use super::money::Amount;
use super::planted::{Mistake, planted};
use super::sale::{Sale, SaleState, Telling};
use super::time::Now;

impl Sale {
    /// Minor units of the sale given back, or on their way back. What was taken too much does not count.
    pub fn given_back_minor(&self) -> u64 {
        let of_sale = self.refunds.iter().filter(|r| r.state.counts() && !r.why.is_surplus());
        of_sale.fold(0, |sum, r| sum.saturating_add(r.amount.minor()))
    }

    /// Minor units of what paid the sale that are neither back nor on their way back; 0 unless it is paid.
    pub fn left_minor(&self) -> u64 {
        let kept = self.amount.minor().saturating_sub(self.given_back_minor());
        if self.winner().is_some() { kept } else { 0 }
    }

    /// Begins the refund that a till asks for: the payment it is of, and its id. `None`: not so much is left.
    pub(super) fn give_back_asked(&mut self, amount: Amount, ids: &mut Ids) -> Option<(AttemptId, RefundId)> {
        let winner = self.winner()?;
        let fits = amount.minor() <= self.left_minor() || planted(Mistake::MoreThanLeft);
        if amount.minor() == 0 || !fits {
            return None;
        }
        self.begin_refund(winner, amount.minor(), RefundWhy::Till, ids).map(|refund| (winner, refund))
    }

    /// Begins the refunds that are owed: all that was taken, less what the sale is entitled to, less what goes back.
    pub fn give_back(&mut self, now: Now, ids: &mut Ids) {
        if let Some(Telling::Unheard { refund_at: Some(at) }) = self.state.telling()
            && now.mono >= at
        {
            self.set_telling(Telling::Unheard { refund_at: None });
            self.give_back_winner(RefundWhy::Unheard, ids);
        }
        if self.state.telling() == Some(Telling::Rejected) {
            self.give_back_winner(RefundWhy::Rejected, ids);
        }
        for at in 0..self.attempts.len() {
            let Some(attempt) = self.attempts.get(at) else { continue };
            let (id, right) = match attempt.state {
                AttemptState::Paid { right, .. } => (attempt.id, right),
                AttemptState::Intent { .. } | AttemptState::Open { .. } | AttemptState::Closed(_) => continue,
            };
            // A payment of a sale being paid is left alone until that is decided. One that comes when the next phone has
            // the sale already goes back: nobody else may be shown a sale as paid.
            let back = self.surplus_back(id);
            if right && matches!(self.state, SaleState::Paying { .. } | SaleState::Aborting { .. }) && back == 0 {
                continue;
            }
            let refused = self.refunds.iter().any(|r| r.attempt == id && !r.state.counts() && r.why.is_surplus());
            let owed = attempt.paid_minor.saturating_sub(self.entitled_minor(id)).saturating_sub(self.surplus_back(id));
            let kept = match self.winner() == Some(id) {
                true => planted(Mistake::SurplusKept),
                false => planted(Mistake::LoserKept),
            };
            if owed > 0 && !refused && !kept {
                let why = if self.winner() == Some(id) { RefundWhy::Overpaid } else { RefundWhy::Loser };
                let _ = self.begin_refund(id, owed, why, ids);
            }
        }
    }

    /// Minor units of this attempt's payment that the sale has a right to keep, deliberate refunds not counted.
    fn entitled_minor(&self, attempt: AttemptId) -> u64 {
        if self.winner() == Some(attempt) && !planted(Mistake::WinnerGoesBack) { self.amount.minor() } else { 0 }
    }

    /// Minor units of this attempt's payment going back because the sale never had a right to them.
    pub(super) fn surplus_back(&self, attempt: AttemptId) -> u64 {
        let of_it = self.refunds.iter().filter(|r| r.attempt == attempt && r.state.counts() && r.why.is_surplus());
        let of_it = of_it.filter(|r| {
            !(planted(Mistake::SecondRefundId) && matches!(r.state, RefundState::Intent { doubt: Some(_) }))
        });
        of_it.fold(0, |sum, r| sum.saturating_add(r.amount.minor()))
    }

    /// Gives all that remains of the winning payment back, once per reason.
    fn give_back_winner(&mut self, why: RefundWhy, ids: &mut Ids) {
        let Some(winner) = self.winner() else { return };
        let begun = self.refunds.iter().any(|r| r.attempt == winner && r.why == why);
        let left = self.left_minor();
        if left > 0 && !begun {
            let _ = self.begin_refund(winner, left, why, ids);
        }
    }

    fn begin_refund(&mut self, attempt: AttemptId, minor: u64, why: RefundWhy, ids: &mut Ids) -> Option<RefundId> {
        // More than an amount can say goes back piece by piece.
        let piece = minor.min(Amount::MINOR_MAX);
        let amount = Amount::from_minor(piece, self.amount.currency()).ok()?;
        let (id, state) = (RefundId(ids.draw()), RefundState::Intent { doubt: None });
        self.refunds.push(Refund { id, attempt, amount, why, state, needs_person: None, booked: None });
        Some(id)
    }
}
