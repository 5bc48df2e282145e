//! Mistakes that can be planted, one for each way of breaking a law: the checks of the laws must find them. Exists as code
//! under the feature `planted-mistakes` only; without it every question is answered *no* while compiling.

/// A mistake. Each says which law it breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mistake {
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
}

#[cfg(feature = "planted-mistakes")]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Mistake>> = const { std::cell::Cell::new(None) };
}

/// Whether this mistake is to be made.
#[cfg(feature = "planted-mistakes")]
pub(super) fn planted(mistake: Mistake) -> bool {
    PLANTED.get() == Some(mistake)
}

/// Plants a mistake in this thread, or takes it away.
#[cfg(all(test, feature = "planted-mistakes", feature = "model-check"))]
pub(super) fn plant(mistake: Option<Mistake>) {
    PLANTED.set(mistake);
}

/// Whether this mistake is to be made: never.
#[cfg(not(feature = "planted-mistakes"))]
pub(super) const fn planted(_: Mistake) -> bool {
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

#[cfg(all(feature = "planted-mistakes", not(debug_assertions)))]
compile_error!("planted mistakes are for tests: a release cannot have them");

#[cfg(all(test, feature = "planted-mistakes"))]
pub(super) mod tests {
    use super::{Mistake, PLANTED};
    use crate::shop::tests::random;
    use Mistake::*;

    /// How many random runs it may take to find any of them.
    const RUNS_MAX: u64 = 5_000;

    #[rustfmt::skip]
    pub(in crate::shop) const ALL: &[Mistake] = &[
        WrongAmountApproves, ForeignIdApproves, CancelledTooSoon, WinnerGoesBack, LoserKept, SurplusKept,
        LateMoneyIgnored, AbortAssumedDone, SecondRefundId, FreshIdAfterTimeOut, IntentNotWritten, RetryWhileOpen,
        LatePaymentApproves, TicketForgotten, UnknownMeansFailed, NotFoundCloses, ResultLostAtStart, TakenNotRepeated,
        SecondPhoneSeesLink, AnyPhoneConfirms, LinkAfterBoot, OtherAmountConfirmed, OtherAmountCreated, BegunTooLate,
        ApprovalNotWritten, BodyChanges, RefundForgotten, LaterForgotten, NotReopened,
    ];

    #[test]
    fn every_planted_mistake_is_found() {
        let mut missed = Vec::new();
        for mistake in ALL {
            PLANTED.set(Some(*mistake));
            match (0..RUNS_MAX).find_map(|seed| Some((seed, random::run(seed, false)?))) {
                Some((seed, (law, what))) => println!("{mistake:?}: law {law} in run {}: {what}", seed + 1),
                None => missed.push(*mistake),
            }
        }
        PLANTED.set(None);
        assert_eq!(missed, [], "not found in {RUNS_MAX} runs");
    }
}
