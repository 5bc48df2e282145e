//! What the gateway has said to a till and its port has not yet taken. Never makes the gateway wait.

use crate::shop::effect::TillAnswer;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Answers that may wait besides results. Full: the oldest progress goes; if there is none, the new answer goes (a till
/// asks again). Results are never dropped: one for each sale waits, and the shop holds those sales anyway.
pub(super) const ANSWERS_MAX: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Mailbox(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    answers: VecDeque<TillAnswer>,
    closed: bool,
}

impl Mailbox {
    /// Puts an answer in. A result takes the place of an older one of the same sale, at the end of the queue.
    pub(super) fn put(&self, answer: TillAnswer) {
        let answers = &mut self.lock().answers;
        if let TillAnswer::Finish(new) = &answer {
            answers.retain(|a| !matches!(a, TillAnswer::Finish(old) if old.sale == new.sale));
            return answers.push_back(answer);
        }
        let others = answers.iter().filter(|a| !matches!(a, TillAnswer::Finish(_))).count();
        if others >= ANSWERS_MAX {
            match answers.iter().position(|a| matches!(a, TillAnswer::Progress { .. })) {
                Some(at) => answers.remove(at),
                None => return,
            };
        }
        answers.push_back(answer);
    }

    /// The oldest answer.
    pub(super) fn take(&self) -> Option<TillAnswer> {
        self.lock().answers.pop_front()
    }

    /// No more will come.
    pub(super) fn close(&self) {
        self.lock().closed = true;
    }

    /// Whether no more will come.
    pub(super) fn closed(&self) -> bool {
        self.lock().closed
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shop::effect::{Finish, Outcome, Progress};
    use crate::shop::event::AskKind;
    use crate::shop::id::SaleId;
    use crate::shop::money::{Amount, Currency};
    use crate::shop::sale::Code;

    fn result(sale: u128, given_back_minor: u64) -> TillAnswer {
        TillAnswer::Finish(Box::new(Finish {
            sale: SaleId(sale),
            ticket: None,
            code: Code::parse("K7").unwrap(),
            amount: Amount::from_minor(1250, Currency::from_code("EUR").unwrap()).unwrap(),
            kind: AskKind::Pay,
            receipt: None,
            outcome: Outcome::Lapsed,
            attempt: None,
            given_back_minor,
            failed_tries: 0,
            at: None,
        }))
    }

    fn progress(sale: u128) -> TillAnswer {
        TillAnswer::Progress { sale: SaleId(sale), ticket: None, progress: Progress::Offered }
    }

    #[test]
    fn a_full_mailbox_drops_progress_first_and_a_result_never() {
        let mailbox = Mailbox::default();
        mailbox.put(progress(1));
        for _ in 1..ANSWERS_MAX {
            mailbox.put(TillAnswer::NothingToAbort { ticket: None });
        }
        for sale in 0..100 {
            mailbox.put(result(sale, 0));
        }
        mailbox.put(TillAnswer::Aborting { ticket: None });
        mailbox.put(TillAnswer::NothingToRepeat { ticket: None });
        let taken: Vec<_> = std::iter::from_fn(|| mailbox.take()).collect();
        assert!(!taken.contains(&progress(1)));
        assert_eq!(taken.last(), Some(&TillAnswer::Aborting { ticket: None }));
        assert_eq!(taken.iter().filter(|a| matches!(a, TillAnswer::Finish(_))).count(), 100);
    }

    #[test]
    fn only_the_newest_result_of_a_sale_waits() {
        let mailbox = Mailbox::default();
        mailbox.put(result(1, 0));
        mailbox.put(result(2, 0));
        mailbox.put(result(1, 500));
        assert_eq!(mailbox.take(), Some(result(2, 0)));
        assert_eq!(mailbox.take(), Some(result(1, 500)));
        assert_eq!(mailbox.take(), None);
    }
}
