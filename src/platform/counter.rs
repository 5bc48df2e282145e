//! The Counter Payment Protocol (`docs/counter-payment-protocol.md`) as the box speaks it. Turns calls into requests and
//! answers into the shop's words; an answer that is not exactly what the protocol says is *unknown*.

use super::channel::{Answer, Channel, SendError};
use super::{Facts, Limits, Platform};
use crate::shop::attempt::{Link, Refused, TryFailure};
use crate::shop::effect::Create;
use crate::shop::event::{CallError, Page, Payment, PaymentStatus, Reason, RefundStatus};
use crate::shop::id::{AttemptId, RefundId};
use crate::shop::money::{Amount, Currency};
use crate::shop::time::Wall;
use hyper::Method;
use serde::de::{DeserializeOwned, DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

/// Longest body of one payment or refund, both ways.
pub const BODY_BYTES_MAX: usize = 16 * 1024;
/// Longest body of a page of payments.
pub const PAGE_BYTES_MAX: usize = 1024 * 1024;
/// Longest cursor.
const CURSOR_BYTES_MAX: usize = 128;

/// What goes into every payment besides the payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CounterSettings {
    /// The shop's name as the box knows it; the platform's own record decides what the checkout shows.
    pub shop_name: String,
    /// Where phones find the portal, such as `http://10.77.0.1`.
    pub portal_url: String,
}

/// The open protocol's platform, at the other end of a [`Channel`].
#[derive(Debug)]
pub struct Counter {
    channel: Channel,
    settings: CounterSettings,
}

impl Counter {
    /// The platform at the end of this channel.
    pub fn new(channel: Channel, settings: CounterSettings) -> Counter {
        Counter { channel, settings }
    }

    /// The channel, to reload it.
    pub fn channel(&self) -> &Channel {
        &self.channel
    }

    /// The body a payment is created with: the same to the byte for the same `create` and settings.
    pub fn create_body(&self, create: &Create) -> Vec<u8> {
        let portal = self.settings.portal_url.trim_end_matches('/');
        let body = CreateWire {
            sale: create.sale.to_string(),
            till: create.till.number(),
            shop: &self.settings.shop_name,
            amount: AmountWire::from(create.amount),
            code: create.code.to_string(),
            return_url: format!("{portal}/s/{:032x}/", create.session.0),
            expires_in: create.expires_in_secs,
        };
        // Cannot fail: strings and numbers only.
        serde_json::to_vec(&body).unwrap_or_default()
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
        held_secs: u32,
    ) -> Result<Answer, CallError> {
        let held = Duration::from_secs(u64::from(held_secs));
        self.ask_within(method, path, body, held, BODY_BYTES_MAX).await
    }

    async fn ask_within(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
        held: Duration,
        answer_max: usize,
    ) -> Result<Answer, CallError> {
        match self.channel.call(method, path, body, held, answer_max).await {
            Ok(answer) => Ok(answer),
            Err(SendError::NotSent(why)) => {
                tracing::warn!(error = why.as_ref(), "no connection to the platform");
                Err(CallError::NotSent)
            }
            Err(SendError::Unknown(why)) => {
                tracing::warn!(error = why.as_ref(), "no answer from the platform");
                Err(CallError::Unknown)
            }
        }
    }
}

impl Platform for Counter {
    async fn create(&self, create: &Create) -> Result<Payment, CallError> {
        let path = format!("/v1/payments/{}", create.attempt);
        let answer = self.ask(Method::PUT, &path, Some(self.create_body(create)), 0).await?;
        created(&answer)
    }

    async fn query(&self, attempt: AttemptId, version: u64, wait_secs: u32) -> Result<Payment, CallError> {
        let path = match wait_secs {
            0 => format!("/v1/payments/{attempt}"),
            secs => format!("/v1/payments/{attempt}?wait={secs}&version={version}"),
        };
        let answer = self.ask(Method::GET, &path, None, wait_secs).await?;
        queried(&answer)
    }

    async fn cancel(&self, attempt: AttemptId) -> Result<Payment, CallError> {
        let path = format!("/v1/payments/{attempt}/cancel");
        let answer = self.ask(Method::POST, &path, Some(b"{}".to_vec()), 0).await?;
        cancelled(&answer, attempt)
    }

    async fn refund(&self, attempt: AttemptId, refund: RefundId, amount: Amount) -> Result<RefundStatus, CallError> {
        let path = format!("/v1/payments/{attempt}/refunds/{refund}");
        let body = serde_json::to_vec(&RefundAskWire { amount: AmountWire::from(amount) }).unwrap_or_default();
        let answer = self.ask(Method::PUT, &path, Some(body), 0).await?;
        refunded(&answer, attempt, refund, amount)
    }

    async fn query_refund(&self, attempt: AttemptId, refund: RefundId) -> Result<RefundStatus, CallError> {
        let path = format!("/v1/payments/{attempt}/refunds/{refund}");
        let answer = self.ask(Method::GET, &path, None, 0).await?;
        refund_queried(&answer, attempt, refund)
    }

    async fn list(&self, since: &str) -> Result<Page, CallError> {
        if !is_cursor(since) {
            return Err(odd("a cursor that no platform gave"));
        }
        let path = format!("/v1/payments?since={since}");
        let answer = self.ask_within(Method::GET, &path, None, Duration::ZERO, PAGE_BYTES_MAX).await?;
        listed(&answer)
    }

    async fn probe(&self) -> Result<Facts, CallError> {
        let answer = self.ask(Method::GET, "/v1/platform", None, 0).await?;
        probed(&answer)
    }
}

/// Cursors are opaque, but only of characters that need no escape in an address.
fn is_cursor(text: &str) -> bool {
    text.len() <= CURSOR_BYTES_MAX && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

fn odd(what: impl fmt::Display) -> CallError {
    tracing::warn!(%what, "the platform's answer makes no sense");
    CallError::Unknown
}

// What each call concludes from its answer, whatever it is.

pub(super) fn created(answer: &Answer) -> Result<Payment, CallError> {
    match answer.status {
        200 | 201 => payment(answer),
        _ => Err(refusal(answer)),
    }
}

pub(super) fn queried(answer: &Answer) -> Result<Payment, CallError> {
    match answer.status {
        200 => payment(answer),
        _ => Err(absence(answer)),
    }
}

pub(super) fn cancelled(answer: &Answer, attempt: AttemptId) -> Result<Payment, CallError> {
    match answer.status {
        200 => match parse::<TombstoneWire>(answer) {
            Ok(stone) if stone.tombstone && stone.id == attempt.to_string() => {
                Err(CallError::Refused(Refused::Tombstone))
            }
            Ok(stone) if stone.tombstone => Err(odd("a tombstone of another id")),
            Ok(_) | Err(_) => payment(answer),
        },
        _ => Err(absence(answer)),
    }
}

pub(super) fn refunded(
    answer: &Answer,
    attempt: AttemptId,
    refund: RefundId,
    amount: Amount,
) -> Result<RefundStatus, CallError> {
    match answer.status {
        200 | 201 => refund_status(answer, attempt, refund, Some(amount)),
        _ => Err(absence(answer)),
    }
}

pub(super) fn refund_queried(answer: &Answer, attempt: AttemptId, refund: RefundId) -> Result<RefundStatus, CallError> {
    match answer.status {
        200 => refund_status(answer, attempt, refund, None),
        _ => Err(absence(answer)),
    }
}

pub(super) fn listed(answer: &Answer) -> Result<Page, CallError> {
    if answer.status != 200 {
        return Err(odd("no page"));
    }
    let page: PageWire = parse(answer)?;
    if !is_cursor(&page.next) {
        return Err(odd("a cursor that breaks the rules"));
    }
    let payments = page.payments.into_iter().map(Payment::try_from).collect::<Result<_, _>>().map_err(odd)?;
    Ok(Page { payments, next: page.next, more: page.more })
}

pub(super) fn probed(answer: &Answer) -> Result<Facts, CallError> {
    if answer.status != 200 {
        return Err(odd("no facts"));
    }
    let facts: FactsWire = parse(answer)?;
    // A currency that this program does not know is of no use to its shop, and no error.
    let limits = facts.currencies.into_iter().filter_map(|c| {
        let currency = Currency::from_code(&c.currency).filter(|known| known.exponent() == c.exponent)?;
        Some(Limits { currency, min_minor: c.min, max_minor: c.max })
    });
    Ok(Facts {
        time: wall(&facts.time).ok_or_else(|| odd("a time that is none"))?,
        limits: limits.collect(),
        expires_in_min_secs: facts.expires_in_min,
        wait_max_secs: facts.wait_max,
        checkout_hosts: facts.checkout_hosts,
    })
}

fn payment(answer: &Answer) -> Result<Payment, CallError> {
    Payment::try_from(parse::<PaymentWire>(answer)?).map_err(odd)
}

fn refund_status(
    answer: &Answer,
    attempt: AttemptId,
    refund: RefundId,
    amount: Option<Amount>,
) -> Result<RefundStatus, CallError> {
    let wire: RefundWire = parse(answer)?;
    let theirs = wire.amount.amount().map_err(odd)?;
    let same = wire.id == refund.to_string() && wire.payment == attempt.to_string();
    if !same || amount.is_some_and(|ours| ours != theirs) {
        return Err(odd("another refund"));
    }
    match wire.status.as_str() {
        "accepted" => Ok(RefundStatus::Accepted),
        "done" => Ok(RefundStatus::Done),
        "refused" => Ok(RefundStatus::Refused),
        _ => Err(odd("a refund's status that the protocol does not have")),
    }
}

/// What a create may conclude from an answer that is no payment.
fn refusal(answer: &Answer) -> CallError {
    match (answer.status, problem_code(answer).as_deref()) {
        (410, Some("tombstone")) => CallError::Refused(Refused::Tombstone),
        (422, Some("amount_not_allowed" | "currency_not_allowed")) | (403, Some("merchant_blocked")) => {
            CallError::Refused(Refused::Payment(Reason::NotAllowed))
        }
        (422, Some("declined")) => CallError::Refused(Refused::Payment(Reason::Declined)),
        (status, code) => unexpected(status, code),
    }
}

/// What any other call may conclude from an answer that is neither payment nor refund.
fn absence(answer: &Answer) -> CallError {
    match (answer.status, problem_code(answer).as_deref()) {
        (404, Some("not_found")) => CallError::NotFound,
        (410, Some("tombstone")) => CallError::Refused(Refused::Tombstone),
        (status, code) => unexpected(status, code),
    }
}

fn unexpected(status: u16, code: Option<&str>) -> CallError {
    tracing::warn!(status, code, "the platform's answer decides nothing");
    CallError::Unknown
}

pub(super) fn problem_code(answer: &Answer) -> Option<String> {
    if answer.media_type != "application/problem+json" {
        return None;
    }
    serde_json::from_slice::<NoDuplicates>(&answer.body).ok()?;
    serde_json::from_slice::<ProblemWire>(&answer.body).ok().map(|p| p.code)
}

pub(super) fn parse<T: DeserializeOwned>(answer: &Answer) -> Result<T, CallError> {
    if answer.media_type != "application/json" {
        return Err(odd("no JSON"));
    }
    serde_json::from_slice::<NoDuplicates>(&answer.body).map_err(odd)?;
    serde_json::from_slice(&answer.body).map_err(odd)
}

fn wall(text: &str) -> Option<Wall> {
    text.parse::<jiff::Timestamp>().ok().map(|t| Wall(t.as_millisecond()))
}

#[derive(Serialize)]
struct CreateWire<'a> {
    sale: String,
    till: u16,
    shop: &'a str,
    amount: AmountWire,
    code: String,
    return_url: String,
    expires_in: u32,
}

#[derive(Serialize)]
struct RefundAskWire {
    amount: AmountWire,
}

#[derive(Serialize, Deserialize)]
struct AmountWire {
    value: u64,
    currency: String,
    exponent: u8,
}

impl From<Amount> for AmountWire {
    fn from(amount: Amount) -> AmountWire {
        let currency = amount.currency();
        AmountWire { value: amount.minor(), currency: currency.code().to_owned(), exponent: currency.exponent() }
    }
}

impl AmountWire {
    fn amount(&self) -> Result<Amount, &'static str> {
        let currency = Currency::from_code(&self.currency).ok_or("a currency that is none")?;
        if currency.exponent() != self.exponent {
            return Err("a currency with another exponent");
        }
        Amount::from_minor(self.value, currency).map_err(|_| "an amount beyond twelve digits")
    }
}

#[derive(Deserialize)]
struct FailureWire {
    code: String,
    at: String,
}

#[derive(Deserialize)]
struct PaymentWire {
    id: String,
    version: u64,
    status: String,
    #[serde(default)]
    reason: Option<String>,
    tries: u32,
    #[serde(default)]
    last_failure: Option<FailureWire>,
    amount: AmountWire,
    paid: u64,
    refunded: u64,
    #[serde(default)]
    checkout_url: Option<String>,
    #[serde(default)]
    expires_in: Option<u64>,
}

#[derive(Deserialize)]
struct TombstoneWire {
    id: String,
    #[serde(default)]
    tombstone: bool,
}

#[derive(Deserialize)]
struct RefundWire {
    id: String,
    payment: String,
    status: String,
    amount: AmountWire,
}

#[derive(Deserialize)]
struct PageWire {
    payments: Vec<PaymentWire>,
    next: String,
    more: bool,
}

#[derive(Deserialize)]
struct LimitsWire {
    currency: String,
    exponent: u8,
    min: u64,
    max: u64,
}

#[derive(Deserialize)]
struct FactsWire {
    time: String,
    currencies: Vec<LimitsWire>,
    expires_in_min: u32,
    wait_max: u32,
    checkout_hosts: Vec<String>,
}

#[derive(Deserialize)]
struct ProblemWire {
    code: String,
}

/// Who closed a payment is no reason for people; why it failed is.
fn reason_of_end(code: &str) -> Option<Reason> {
    match code {
        "customer" | "shop" | "time" => None,
        why => Some(reason(why)),
    }
}

/// Codes that this program does not know are *other*: the protocol may get new ones.
fn reason(code: &str) -> Reason {
    match code {
        "wrong_password" => Reason::WrongPassword,
        "too_many_tries" => Reason::TooManyTries,
        "no_funds" => Reason::NoFunds,
        "declined" => Reason::Declined,
        "not_allowed" => Reason::NotAllowed,
        _ => Reason::Other,
    }
}

impl TryFrom<PaymentWire> for Payment {
    type Error = &'static str;

    fn try_from(wire: PaymentWire) -> Result<Payment, &'static str> {
        let status = match wire.status.as_str() {
            "awaiting" => PaymentStatus::Awaiting,
            "processing" => PaymentStatus::Processing,
            "paid" => PaymentStatus::Paid,
            "failed" => PaymentStatus::Failed,
            "expired" => PaymentStatus::Expired,
            "cancelled" => PaymentStatus::Cancelled,
            _ => return Err("a status that the protocol does not have"),
        };
        let link = wire.checkout_url.map(|url| Link::new(&url).ok_or("a checkout address that is none"));
        let last_failure = wire.last_failure.map(|f| TryFailure { reason: reason(&f.code), at: wall(&f.at) });
        Ok(Payment {
            id: wire.id.parse().map_err(|_| "an id that is none")?,
            version: wire.version,
            status,
            reason: wire.reason.as_deref().and_then(reason_of_end),
            tries: wire.tries,
            last_failure,
            amount: wire.amount.amount()?,
            paid_minor: wire.paid,
            refunded_minor: wire.refunded,
            link: link.transpose()?,
            expires_in_ms: wire.expires_in.map(|secs| secs.saturating_mul(1_000)),
        })
    }
}

/// Any JSON in which no object has the same member twice: two readers could read such a one differently.
struct NoDuplicates;

impl<'de> Deserialize<'de> for NoDuplicates {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<NoDuplicates, D::Error> {
        from.deserialize_any(NoDuplicates)
    }
}

impl<'de> DeserializeSeed<'de> for NoDuplicates {
    type Value = NoDuplicates;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<NoDuplicates, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for NoDuplicates {
    type Value = NoDuplicates;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<NoDuplicates, A::Error> {
        let mut seen = BTreeSet::new();
        while let Some(name) = map.next_key::<String>()? {
            map.next_value_seed(NoDuplicates)?;
            if !seen.insert(name) {
                return Err(A::Error::custom("an object has a member twice"));
            }
        }
        Ok(NoDuplicates)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<NoDuplicates, A::Error> {
        while seq.next_element_seed(NoDuplicates)?.is_some() {}
        Ok(NoDuplicates)
    }

    fn visit_bool<E>(self, _: bool) -> Result<NoDuplicates, E> {
        Ok(NoDuplicates)
    }

    fn visit_i64<E>(self, _: i64) -> Result<NoDuplicates, E> {
        Ok(NoDuplicates)
    }

    fn visit_u64<E>(self, _: u64) -> Result<NoDuplicates, E> {
        Ok(NoDuplicates)
    }

    fn visit_f64<E>(self, _: f64) -> Result<NoDuplicates, E> {
        Ok(NoDuplicates)
    }

    fn visit_str<E>(self, _: &str) -> Result<NoDuplicates, E> {
        Ok(NoDuplicates)
    }

    fn visit_unit<E>(self) -> Result<NoDuplicates, E> {
        Ok(NoDuplicates)
    }
}
