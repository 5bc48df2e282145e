//! What the platform says. Only an authenticated answer about the right id changes what is known of money.

use super::attempt::{Attempt, Heard, NeedsPerson, NeedsPersonWhy};
use super::calls::{Pace, Want};
use super::effect::{Alarm, Record};
use super::event::{Call, CallError, Page, Payment, PlatformEvent, RefundStatus};
use super::id::{AttemptId, RefundId};
use super::retry::wait_ms;
use super::sale::Sale;
use super::time::Now;
use super::{Shop, Turn};

/// Wait before an attempt at rest is asked about again after no answer.
const LATE_AGAIN_MS: u64 = 60_000;

impl Shop {
    pub(super) fn platform(&mut self, what: PlatformEvent, turn: &mut Turn) {
        match what {
            PlatformEvent::Line { up: true } => self.line_answered(turn),
            PlatformEvent::Line { up: false } => self.line_broken(turn),
            PlatformEvent::Answered { attempt, call, answer } => {
                self.line_heard(answer.as_ref().err().copied(), turn);
                self.answered(attempt, call, &answer, turn);
            }
            PlatformEvent::RefundAnswered { attempt, refund, answer } => {
                self.line_heard(answer.err(), turn);
                self.refund_answered(attempt, refund, answer, turn);
            }
            PlatformEvent::Listed { answer } => {
                self.line_heard(answer.as_ref().err().copied(), turn);
                match answer {
                    Ok(page) => self.listed(page, turn),
                    Err(_) => self.line.listed(None, turn.now.mono),
                }
            }
        }
    }

    fn line_heard(&mut self, error: Option<CallError>, turn: &mut Turn) {
        match error {
            None | Some(CallError::NotFound | CallError::Refused(_)) => self.line_answered(turn),
            Some(CallError::NotSent) => self.line_broken(turn),
            Some(CallError::Unknown) => self.line.doubted(turn.now.mono),
        }
    }

    fn line_answered(&mut self, turn: &mut Turn) {
        if self.line.answered(turn.now.mono) {
            for live in self.sales.values_mut() {
                live.calls.hurry(turn.now.mono);
                turn.sales.insert(live.sale.id);
            }
        }
        self.answer_waiting(turn);
    }

    fn line_broken(&mut self, turn: &mut Turn) {
        self.line.broken(turn.now.mono);
        self.answer_waiting(turn);
    }

    fn answered(&mut self, id: AttemptId, call: Call, answer: &Result<Payment, CallError>, turn: &mut Turn) {
        let looked_late = self.late.contains_key(&id);
        let Some(sale) = self.sale_of_attempt(id) else {
            turn.alarm(Alarm::OddAnswer { attempt: id });
            self.late.remove(&id);
            return;
        };
        let limit_hours = self.policy.doubt_hours_max;
        let mut heard = Heard::Believed;
        let (mut before, mut after) = (None, None);
        self.change(turn, sale, |sale, turn, _| {
            let asked = sale.amount;
            let Some(attempt) = sale.attempts.iter_mut().find(|a| a.id == id) else { return };
            before = Some(attempt.clone());
            heard = attempt.hear(answer, call, asked, turn.now);
            doubt_too_long(attempt, limit_hours, turn);
            after = Some(attempt.clone());
        });
        match heard {
            Heard::Believed | Heard::Doubted => {}
            Heard::Odd => turn.alarm(Alarm::OddAnswer { attempt: id }),
            Heard::Late => turn.alarm(Alarm::LatePayment { attempt: id }),
        }
        let needs = |a: &Option<Attempt>| a.as_ref().and_then(|a| a.needs_person).map(|n| n.why);
        if needs(&after) == Some(NeedsPersonWhy::WrongPayment) && needs(&before) != needs(&after) {
            turn.alarm(Alarm::WrongPayment { attempt: id });
        }
        let believed = matches!(heard, Heard::Believed | Heard::Late);
        if let Some(live) = self.sales.get_mut(&sale) {
            let pace = pace(&live.sale, after.as_ref());
            live.calls.answered(id, want_of(call), believed, before != after, pace, turn.now.mono);
        }
        if looked_late {
            let said = believed || answer == &Err(CallError::NotFound);
            self.looked_late(id, sale, said, turn);
        }
    }

    /// The platform's last word on an ended attempt: once had, nothing more is asked.
    fn looked_late(&mut self, id: AttemptId, sale: super::SaleId, said: bool, turn: &mut Turn) {
        if !said {
            self.late.insert(id, turn.now.mono.plus_ms(LATE_AGAIN_MS));
            return;
        }
        self.late.remove(&id);
        self.change(turn, sale, |sale, _, _| {
            if let Some(attempt) = sale.attempts.iter_mut().find(|a| a.id == id && !a.is_unresolved()) {
                attempt.checked = true;
            }
        });
    }

    fn refund_answered(
        &mut self,
        attempt: AttemptId,
        refund: RefundId,
        answer: Result<RefundStatus, CallError>,
        turn: &mut Turn,
    ) {
        let Some(sale) = self.sale_of_attempt(attempt) else { return };
        let limit_hours = self.policy.doubt_hours_max;
        let mut person = None;
        self.change(turn, sale, |sale, turn, _| {
            let Some(refund) = sale.refunds.iter_mut().find(|r| r.id == refund) else { return };
            let before = refund.needs_person.map(|n| n.why);
            refund.hear(answer, turn.now);
            let too_long = refund.doubt().is_some_and(|since| is_too_long(since, limit_hours, turn.now));
            if too_long && refund.needs_person.is_none() {
                refund.needs_person = Some(NeedsPerson { why: NeedsPersonWhy::Doubt, since: turn.now.wall });
            }
            person = refund.needs_person.map(|n| n.why);
            match person.filter(|_| person != before) {
                Some(NeedsPersonWhy::RefundRefused) => turn.alarm(Alarm::RefundRefused { refund: refund.id }),
                Some(NeedsPersonWhy::Doubt) => turn.alarm(Alarm::DoubtTooLong { attempt }),
                Some(NeedsPersonWhy::WrongPayment) | None => {}
            }
        });
        let pace = match person {
            Some(_) => Pace::Person,
            None if self.till_waits_for(refund) => Pace::Live,
            None => Pace::Rest,
        };
        if let Some(live) = self.sales.get_mut(&sale) {
            live.calls.refund_answered(refund, answer.is_ok(), pace, turn.now.mono);
        }
    }

    fn listed(&mut self, page: Page, turn: &mut Turn) {
        self.line.listed(Some(page.more), turn.now.mono);
        for payment in page.payments {
            let id = payment.id;
            self.answered(id, Call::Query, &Ok(payment), turn);
        }
        if page.next != self.cursor {
            self.cursor.clone_from(&page.next);
            turn.step.records.push(Record::Cursor(page.next));
        }
    }

    /// An attempt whose sale is at rest is asked about once more, when its link has certainly ended.
    pub(super) fn look_late(&mut self, turn: &mut Turn) {
        for (attempt, due) in &mut self.late {
            if *due <= turn.now.mono && turn.now.wall.is_none() {
                *due = turn.now.mono.plus_ms(LATE_AGAIN_MS);
            } else if *due <= turn.now.mono {
                *due = turn.now.mono.plus_ms(wait_ms(8, 300_000));
                let call = super::effect::PlatformCall::Query { attempt: *attempt, version: 0, wait_secs: 0 };
                turn.step.effects.push(super::Effect::Platform(call));
            }
        }
    }
}

fn want_of(call: Call) -> Want {
    match call {
        Call::Create => Want::Create,
        Call::Query => Want::Watch,
        Call::Cancel => Want::Close,
    }
}

pub(super) fn pace(sale: &Sale, attempt: Option<&Attempt>) -> Pace {
    match attempt.and_then(|a| a.needs_person) {
        Some(_) => Pace::Person,
        None if sale.is_live() => Pace::Live,
        None => Pace::Rest,
    }
}

/// What has been in doubt for too long needs a person; a later definite answer still settles it.
fn doubt_too_long(attempt: &mut Attempt, limit_hours: u64, turn: &mut Turn) {
    let Some(since) = attempt.doubt() else {
        if attempt.needs_person.is_some_and(|n| n.why == NeedsPersonWhy::Doubt) {
            attempt.needs_person = None;
        }
        return;
    };
    if is_too_long(since, limit_hours, turn.now) && attempt.needs_person.is_none() {
        attempt.needs_person = Some(NeedsPerson { why: NeedsPersonWhy::Doubt, since: turn.now.wall });
        turn.alarm(Alarm::DoubtTooLong { attempt: attempt.id });
    }
}

pub(super) fn is_too_long(since: Now, limit_hours: u64, now: Now) -> bool {
    age_ms(since, now) > limit_hours.saturating_mul(3_600_000)
}

fn age_ms(since: Now, now: Now) -> u64 {
    match (since.wall, now.wall) {
        _ if since.boot == now.boot => since.mono.ms_until(now.mono),
        (Some(since), Some(now)) => u64::try_from(now.0.saturating_sub(since.0)).unwrap_or(0),
        (None, _) | (_, None) => 0,
    }
}
