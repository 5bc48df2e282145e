//! Mistakes that can be planted, one for each way of breaking a law: the checks of the laws must find them. Exists as code
//! under the feature `planted-mistakes` only; without it every question is answered *no* while compiling.

/// A mistake. Each says which law it breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(hidden)]
pub enum Mistake {
    /// Law 1: another amount approves.
    WrongAmountApproves,
    /// Law 1: an answer about another id approves.
    ForeignIdApproves,
    /// Law 2: the till hears *cancelled* while the attempt is still being closed.
    CancelledTooSoon,
    /// Law 3: the winning payment goes back.
    WinnerGoesBack,
    /// Law 4: only what the winner took too much goes back.
    LoserKept,
    /// Law 4: what was taken too much is kept.
    SurplusKept,
    /// Law 4: what is paid after the attempt was closed is not believed.
    LateMoneyIgnored,
    /// Law 5: what is being ended counts as closed without the platform's word.
    AbortAssumedDone,
    /// Law 6: a refund in doubt gets a second id.
    SecondRefundId,
    /// Law 6: a time-out gets a fresh id.
    FreshIdAfterTimeOut,
    /// Law 6: the intent is not written.
    IntentNotWritten,
    /// Law 7: a failed try begins a new attempt while the link is open.
    RetryWhileOpen,
    /// Law 8: a late payment changes the outcome.
    LatePaymentApproves,
    /// Law 9: a repeated ticket begins another sale.
    TicketForgotten,
    /// Law 10: a time-out means failed.
    UnknownMeansFailed,
    /// Law 11: *not found* means closed.
    NotFoundCloses,
    /// Law 12: a result that was under way is not told again after a start.
    ResultLostAtStart,
    /// Law 12: a till that asks again for what it has taken hears nothing.
    TakenNotRepeated,
    /// Law 13: a phone in line sees the link of the first.
    SecondPhoneSeesLink,
    /// Law 13: any phone may confirm.
    AnyPhoneConfirms,
    /// Law 13: after a power cut the link goes on.
    LinkAfterBoot,
    /// Law 14: another amount may be confirmed.
    OtherAmountConfirmed,
    /// Law 14: the platform is given another amount.
    OtherAmountCreated,
    /// Law 14: an attempt begins although too little time is left.
    BegunTooLate,
    /// Law 15: the approval is not written.
    ApprovalNotWritten,
    /// Law 16: a repeated create has another body.
    BodyChanges,
    /// Law 17: a refund in doubt is not asked for again.
    RefundForgotten,
    /// Law 17: a result put off is not told again.
    LaterForgotten,
    /// Law 17: a sale at rest that owes money again is not opened again on disk.
    NotReopened,
    /// Law 3: more goes back than is left.
    MoreThanLeft,
    /// Law 6: a return whose refund is in doubt begins another.
    SecondReturnId,
    /// Law 10: a time-out means that the platform refuses to give back.
    UnknownReturnRefused,
    /// Law 13: payments of other phones are offered.
    ForeignPaymentOffered,
    /// Law 15: a till is told that money is given back before the platform has said so.
    ReturnToldTooSoon,
    /// Law 6, in the ring: the intent is written after the call has left.
    IntentAfterSending,
    /// Law 15, in the ring: effects go out before their records are written.
    EffectsBeforeRecords,
    /// Law 1, in the ring: the till is told before the commit.
    TillToldBeforeCommit,
    /// Law 15, in the ring: a commit that failed is passed over.
    FailedCommitIgnored,
    /// Law 9, in the ring: an ended sale is not fetched from disk.
    EndedSaleNotFetched,
    /// Law 16, in the ring: only the first effect of a commit goes out.
    EffectsForgotten,
}

#[cfg(feature = "planted-mistakes")]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Mistake>> = const { std::cell::Cell::new(None) };
}

/// Every mistake, and the law it breaks.
#[cfg(feature = "planted-mistakes")]
#[rustfmt::skip]
pub const ALL: &[(u8, Mistake)] = &[
    (1, Mistake::WrongAmountApproves), (1, Mistake::ForeignIdApproves), (1, Mistake::TillToldBeforeCommit),
    (2, Mistake::CancelledTooSoon), (3, Mistake::WinnerGoesBack), (3, Mistake::MoreThanLeft), (6, Mistake::SecondReturnId),
    (10, Mistake::UnknownReturnRefused), (13, Mistake::ForeignPaymentOffered), (15, Mistake::ReturnToldTooSoon), (4, Mistake::LoserKept), (4, Mistake::SurplusKept),
    (4, Mistake::LateMoneyIgnored), (5, Mistake::AbortAssumedDone), (6, Mistake::SecondRefundId),
    (6, Mistake::FreshIdAfterTimeOut), (6, Mistake::IntentNotWritten), (6, Mistake::IntentAfterSending),
    (7, Mistake::RetryWhileOpen), (8, Mistake::LatePaymentApproves), (9, Mistake::TicketForgotten),
    (9, Mistake::EndedSaleNotFetched), (10, Mistake::UnknownMeansFailed), (11, Mistake::NotFoundCloses),
    (12, Mistake::ResultLostAtStart), (12, Mistake::TakenNotRepeated),
    (13, Mistake::SecondPhoneSeesLink), (13, Mistake::AnyPhoneConfirms), (13, Mistake::LinkAfterBoot),
    (14, Mistake::OtherAmountConfirmed), (14, Mistake::OtherAmountCreated), (14, Mistake::BegunTooLate),
    (15, Mistake::ApprovalNotWritten), (15, Mistake::EffectsBeforeRecords), (15, Mistake::FailedCommitIgnored),
    (16, Mistake::BodyChanges), (17, Mistake::RefundForgotten), (17, Mistake::LaterForgotten),
    (17, Mistake::NotReopened), (17, Mistake::EffectsForgotten),
];

/// From now on, on this thread, this mistake is made; or none.
#[cfg(feature = "planted-mistakes")]
pub fn plant(mistake: Option<Mistake>) {
    PLANTED.set(mistake);
}

/// Whether this mistake is to be made.
#[cfg(feature = "planted-mistakes")]
pub(crate) fn planted(mistake: Mistake) -> bool {
    PLANTED.get() == Some(mistake)
}

/// Whether this mistake is to be made: never.
#[cfg(not(feature = "planted-mistakes"))]
pub(crate) const fn planted(_: Mistake) -> bool {
    false
}

impl super::sale::Sale {
    /// Whether a new attempt is to begin although the last one is in doubt, or open after a failed try.
    pub(super) fn retries_wrongly(&self) -> bool {
        self.attempts.last().is_some_and(|last| {
            let in_doubt = last.link().is_none() && last.doubt().is_some();
            let failed_try = last.link().is_some() && last.tries > 0;
            in_doubt && planted(Mistake::FreshIdAfterTimeOut) || failed_try && planted(Mistake::RetryWhileOpen)
        })
    }
}

impl super::sale::Sale {
    /// Begins a second refund for one that a till asked for and that is in doubt.
    pub(super) fn returns_twice(&mut self, ids: &mut super::id::Ids) {
        use super::attempt::{RefundState, RefundWhy};
        if !planted(Mistake::SecondReturnId) {
            return;
        }
        let asked = || self.refunds.iter().filter(|r| r.why == RefundWhy::Till);
        let doubted = asked().find(|r| matches!(r.state, RefundState::Intent { doubt: Some(_) })).cloned();
        if let Some(doubted) = doubted.filter(|r| asked().filter(|other| other.amount == r.amount).count() == 1) {
            let id = super::id::RefundId(ids.draw());
            self.refunds.push(super::attempt::Refund { id, state: RefundState::Intent { doubt: None }, ..doubted });
        }
    }
}

#[cfg(all(feature = "planted-mistakes", not(debug_assertions)))]
compile_error!("planted mistakes are for tests: a release cannot have them");
