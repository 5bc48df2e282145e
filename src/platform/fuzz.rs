//! Answers of the platform, from arbitrary statuses, media types and bytes. Makes no connection.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use super::channel::{self, Answer};
use super::code::Code;
use super::counter::{cancelled, created, listed, probed, queried, refund_queried, refunded};
use crate::shop::attempt::{Attempt, AttemptState, Heard, Link, TryFailure};
use crate::shop::event::{Call, CallError, Payment, PaymentStatus, Reason, RefundStatus};
use crate::shop::id::{AttemptId, RefundId, SessionId};
use crate::shop::money::{Amount, Currency};
use crate::shop::time::{BootId, Mono, Now, Wall};
use bytes::Bytes;
use serde_json::Value;

/// The attempt and the refund that everything is asked about.
const ATTEMPT: AttemptId = AttemptId(0x0a00_0000_0000_0000_0000_0000_0000_0001);
const REFUND: RefundId = RefundId(0x0b00_0000_0000_0000_0000_0000_0000_0002);
/// Answers in a run at most, one after another about the same attempt.
const ANSWERS_MAX: usize = 4;
/// Ends one answer of a run and begins the next.
const NEXT: u8 = 0x1d;

const STATUSES: [u16; 16] = [200, 201, 200, 404, 410, 422, 403, 500, 503, 200, 409, 202, 204, 302, 100, 999];
const MEDIA: [&str; 4] = ["application/json", "application/problem+json", "text/html", ""];

/// What the answers in `data` are taken for.
pub fn hear(data: &[u8]) {
    let asked = Amount::from_minor(1_250, Currency::from_code("EUR").unwrap()).unwrap();
    let mut attempt = Attempt::new(ATTEMPT, 1, SessionId(1), 120);
    for (at, part) in data.split(|b| *b == NEXT).take(ANSWERS_MAX).enumerate() {
        let [how, status, body @ ..] = part else { return };
        let answer = Answer {
            status: STATUSES[usize::from(status % 16)],
            media_type: MEDIA[usize::from(status >> 4 & 3)].to_owned(),
            body: Bytes::copy_from_slice(body),
        };
        let mono = Mono(1_000 * u64::try_from(at).unwrap());
        let now = Now { boot: BootId(1), mono, wall: Some(Wall(1_800_000_000_000)) };
        match how % 8 {
            0 => hear_payment(&mut attempt, Call::Create, created(&answer), &answer, asked, now),
            1 | 2 => hear_payment(&mut attempt, Call::Query, queried(&answer), &answer, asked, now),
            3 => hear_payment(&mut attempt, Call::Cancel, cancelled(&answer, ATTEMPT), &answer, asked, now),
            4 => hear_refund(refunded(&answer, ATTEMPT, REFUND, asked), &answer, Some(asked)),
            5 => hear_refund(refund_queried(&answer, ATTEMPT, REFUND), &answer, None),
            6 => hear_page(&answer),
            _ => {
                let _ = probed(&answer);
                channel::fuzz(body);
                let _ = Code::parse(&String::from_utf8_lossy(body));
            }
        }
    }
}

/// The attempt is *paid as asked* only on an answer that says so itself, read here by other means.
fn hear_payment(
    attempt: &mut Attempt,
    call: Call,
    found: Result<Payment, CallError>,
    answer: &Answer,
    asked: Amount,
    now: Now,
) {
    if let Ok(payment) = &found {
        check_payment(payment);
    }
    if found == Err(CallError::NotFound) {
        assert_eq!((answer.status, says(answer, "code").as_str()), (404, Some("not_found")));
    }
    if let Err(CallError::Refused(_)) = found {
        assert!(matches!(answer.status, 200 | 403 | 410 | 422), "{}", answer.status);
    }
    let before = attempt.clone();
    let heard = attempt.hear(&found, call, asked, now);
    assert!(attempt.version >= before.version && attempt.paid_minor >= before.paid_minor);
    let approves = |a: &Attempt| matches!(a.state, AttemptState::Paid { right: true, .. });
    if approves(attempt) && !approves(&before) {
        assert_ne!(heard, Heard::Odd);
        assert!(matches!(answer.status, 200 | 201) && answer.media_type == "application/json");
        assert_eq!(says(answer, "id").as_str(), Some(ATTEMPT.to_string().as_str()));
        assert_eq!(says(answer, "status").as_str(), Some("paid"));
        assert!(says(answer, "paid").as_u64().is_some_and(|paid| paid >= asked.minor()));
        check_amount(&says(answer, "amount"), asked);
    }
    if let AttemptState::Paid { .. } = before.state {
        assert!(matches!(attempt.state, AttemptState::Paid { .. }), "paid, and then {:?}", attempt.state);
    }
    if found.is_err() {
        let money = |a: &Attempt| (a.paid_minor, approves(a));
        assert_eq!(money(attempt), money(&before), "an error moved money");
    }
}

fn check_payment(payment: &Payment) {
    assert!(payment.amount.minor() <= Amount::MINOR_MAX);
    let body = written(payment);
    let again = queried(&Answer { status: 200, media_type: "application/json".to_owned(), body: body.into() });
    assert_eq!(again.as_ref(), Ok(payment));
}

/// A payment as the platform would write it.
fn written(payment: &Payment) -> Vec<u8> {
    let word = |reason| match reason {
        Reason::WrongPassword => "wrong_password",
        Reason::TooManyTries => "too_many_tries",
        Reason::NoFunds => "no_funds",
        Reason::Declined => "declined",
        Reason::NotAllowed => "not_allowed",
        Reason::Other => "other",
    };
    let at = |wall: Wall| jiff::Timestamp::from_millisecond(wall.0).map(|t| t.to_string()).unwrap_or_default();
    let failure = |f: TryFailure| serde_json::json!({"code": word(f.reason), "at": f.at.map(at).unwrap_or_default()});
    let status = match payment.status {
        PaymentStatus::Awaiting => "awaiting",
        PaymentStatus::Processing => "processing",
        PaymentStatus::Paid => "paid",
        PaymentStatus::Failed => "failed",
        PaymentStatus::Expired => "expired",
        PaymentStatus::Cancelled => "cancelled",
    };
    let currency = payment.amount.currency();
    let body = serde_json::json!({
        "id": payment.id.to_string(),
        "version": payment.version,
        "status": status,
        "reason": payment.reason.map(word),
        "tries": payment.tries,
        "last_failure": payment.last_failure.map(failure),
        "amount": {"value": payment.amount.minor(), "currency": currency.code(), "exponent": currency.exponent()},
        "paid": payment.paid_minor,
        "refunded": payment.refunded_minor,
        "checkout_url": payment.link.as_ref().map(Link::as_str),
        "expires_in": payment.expires_in_ms.map(|ms| ms.div_ceil(1_000)),
    });
    body.to_string().into_bytes()
}

fn hear_refund(found: Result<RefundStatus, CallError>, answer: &Answer, amount: Option<Amount>) {
    let Ok(status) = found else { return };
    let word = match status {
        RefundStatus::Accepted => "accepted",
        RefundStatus::Done => "done",
        RefundStatus::Refused => "refused",
    };
    assert_eq!(says(answer, "status").as_str(), Some(word));
    assert_eq!(says(answer, "id").as_str(), Some(REFUND.to_string().as_str()));
    assert_eq!(says(answer, "payment").as_str(), Some(ATTEMPT.to_string().as_str()));
    if let Some(amount) = amount {
        check_amount(&says(answer, "amount"), amount);
    }
}

fn hear_page(answer: &Answer) {
    let Ok(page) = listed(answer) else { return };
    assert!(page.next.len() <= 128);
    assert_eq!(says(answer, "payments").as_array().map(Vec::len), Some(page.payments.len()));
    page.payments.iter().for_each(check_payment);
    assert!(page.payments.iter().all(|p| p.status != PaymentStatus::Paid || answer.status == 200));
}

/// One member of the answer's object.
fn says(answer: &Answer, member: &str) -> Value {
    let whole: Value = serde_json::from_slice(&answer.body).unwrap();
    whole.get(member).cloned().unwrap_or_default()
}

fn check_amount(said: &Value, amount: Amount) {
    assert_eq!(said.get("value").and_then(Value::as_u64), Some(amount.minor()));
    assert_eq!(said.get("currency").and_then(Value::as_str), Some(amount.currency().code()));
    assert_eq!(said.get("exponent").and_then(Value::as_u64), Some(u64::from(amount.currency().exponent())));
}
