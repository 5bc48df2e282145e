//! The Counter Payment Protocol as the sandbox reads and writes it. Written a second time on purpose, from the document
//! alone: what both sides understand alike is then what the document says.

use super::payment::AMOUNT_MAX;
use super::rows::{Payment, Refund};
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::fmt;

/// What the sandbox takes: currency and exponent.
pub(super) const CURRENCIES: &[(&str, u8)] = &[
    ("AUD", 2),
    ("BRL", 2),
    ("CAD", 2),
    ("CHF", 2),
    ("CNY", 2),
    ("CZK", 2),
    ("DKK", 2),
    ("EUR", 2),
    ("GBP", 2),
    ("HUF", 2),
    ("INR", 2),
    ("JPY", 0),
    ("KRW", 0),
    ("KWD", 3),
    ("MXN", 2),
    ("NOK", 2),
    ("PLN", 2),
    ("SEK", 2),
    ("SGD", 2),
    ("USD", 2),
];

/// Longest time that the sandbox holds a query.
pub(super) const WAIT_MAX_SECS: u64 = 30;

/// An amount: minor units, ISO 4217, digits after the point.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Money {
    pub(super) value: u64,
    pub(super) currency: String,
    pub(super) exponent: u8,
}

impl Money {
    fn json(&self) -> Value {
        json!({ "value": self.value, "currency": self.currency, "exponent": self.exponent })
    }

    /// As people write it, without its currency.
    pub(super) fn decimal(&self, minor: u64) -> String {
        let exponent = usize::from(self.exponent);
        let digits = format!("{minor:0width$}", width = exponent.saturating_add(1));
        match digits.split_at_checked(digits.len().saturating_sub(exponent)) {
            Some((whole, part)) if !part.is_empty() => format!("{whole}.{part}"),
            Some(_) | None => digits,
        }
    }
}

/// What a payment is created with.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct CreateBody {
    pub(super) sale: String,
    pub(super) till: u16,
    pub(super) shop: String,
    pub(super) amount: Money,
    pub(super) code: String,
    pub(super) return_url: String,
    pub(super) expires_in: u32,
}

impl CreateBody {
    /// The first rule that the body breaks.
    pub(super) fn broken_rule(&self) -> Option<&'static str> {
        let printable = |text: &str| text.bytes().all(|b| b.is_ascii_graphic());
        let url = &self.return_url;
        let absolute = url.starts_with("https://") || url.starts_with("http://");
        [
            (is_id(&self.sale), "sale is 32 lower-case hexadecimal digits"),
            ((1..=9999).contains(&self.till), "till is 1 to 9999"),
            ((1..=64).contains(&self.shop.chars().count()), "shop is 1 to 64 characters"),
            (!self.shop.chars().any(char::is_control), "shop has no control characters"),
            (self.amount.currency.bytes().all(|b| b.is_ascii_uppercase()), "currency is three capital letters"),
            (self.amount.currency.len() == 3, "currency is three capital letters"),
            ((1..=8).contains(&self.code.len()) && printable(&self.code), "code is 1 to 8 printable ASCII characters"),
            (absolute && printable(url) && url.len() <= 1_024, "return_url is an http or https address"),
            (self.expires_in >= 1, "expires_in is at least 1"),
        ]
        .into_iter()
        .find(|(kept, _)| !kept)
        .map(|(_, rule)| rule)
    }
}

/// What a payment is closed with.
#[derive(Debug, Deserialize)]
pub(super) struct CancelBody {
    #[serde(default)]
    pub(super) refund: Option<String>,
}

/// What a refund is asked for with.
#[derive(Debug, Deserialize)]
pub(super) struct RefundBody {
    pub(super) amount: Money,
}

/// Whether the text is an id: 32 lower-case hexadecimal digits.
pub(super) fn is_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Reads a body; duplicate members anywhere are refused, unknown ones ignored.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    serde_json::from_slice::<Once>(body).map_err(|e| e.to_string())?;
    serde_json::from_slice(body).map_err(|e| e.to_string())
}

/// RFC 3339 in UTC, with milliseconds.
pub(super) fn time(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map(|t| format!("{t:.3}")).unwrap_or_default()
}

/// The payment as an answer has it.
pub(super) fn payment(payment: &Payment, public_url: &str, now_ms: i64) -> Value {
    let open = !payment.status.is_final();
    let mut body = json!({
        "id": payment.id,
        "sale": payment.asked.sale,
        "version": payment.version,
        "status": payment.status.as_str(),
        "tries": payment.tries,
        "amount": payment.asked.amount.json(),
        "paid": payment.paid,
        "refunded": payment.refunded,
        "created_at": time(payment.created_at),
        "expires_at": time(payment.expires_at),
    });
    let mut add = |name: &str, value: Option<Value>| {
        if let (Some(value), Some(members)) = (value, body.as_object_mut()) {
            members.insert(name.to_owned(), value);
        }
    };
    add("reason", payment.reason.as_deref().map(Value::from));
    add("last_failure", payment.failure.as_ref().map(|(code, at)| json!({ "code": code, "at": time(*at) })));
    add("checkout_url", open.then(|| Value::from(format!("{public_url}/checkout/{}", payment.token))));
    add("expires_in", open.then(|| Value::from(payment.expires_at.saturating_sub(now_ms).max(0) / 1_000)));
    add("paid_at", payment.paid_at.map(|at| Value::from(time(at))));
    body
}

/// The refund as an answer has it.
pub(super) fn refund(refund: &Refund) -> Value {
    let mut body = json!({
        "id": refund.id,
        "payment": refund.payment,
        "status": refund.status,
        "amount": refund.amount.json(),
    });
    if let (Some(reason), Some(members)) = (&refund.reason, body.as_object_mut()) {
        members.insert("reason".to_owned(), Value::from(reason.as_str()));
    }
    body
}

/// What the platform says about itself.
pub(super) fn facts(now_ms: i64, expires_in: (u32, u32), checkout_host: &str) -> Value {
    let currencies: Vec<Value> = CURRENCIES
        .iter()
        .map(|(code, exponent)| json!({ "currency": code, "exponent": exponent, "min": 1, "max": AMOUNT_MAX }))
        .collect();
    json!({
        "name": "Tillgate sandbox",
        "protocol": 1,
        "time": time(now_ms),
        "currencies": currencies,
        "expires_in_min": expires_in.0,
        "expires_in_max": expires_in.1,
        "wait_max": WAIT_MAX_SECS,
        "features": ["long_poll", "partial_refunds", "cancel_with_refund"],
        "checkout_hosts": [checkout_host],
    })
}

/// JSON in which each object has each of its members once.
struct Once;

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Once, D::Error> {
        from.deserialize_any(Once)
    }
}

impl<'de> Visitor<'de> for Once {
    type Value = Once;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Once, A::Error> {
        let mut names = HashSet::new();
        while let Some((name, Once)) = members.next_entry::<String, Once>()? {
            if let Some(again) = names.replace(name) {
                return Err(A::Error::custom(format_args!("member {again:?} stands twice in one object")));
            }
        }
        Ok(Once)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Once, A::Error> {
        while let Some(Once) = items.next_element()? {}
        Ok(Once)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Once, E> {
        Ok(Once)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Once, E> {
        Ok(Once)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Once, E> {
        Ok(Once)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Once, E> {
        Ok(Once)
    }

    fn visit_str<E>(self, _: &str) -> Result<Once, E> {
        Ok(Once)
    }

    fn visit_unit<E>(self) -> Result<Once, E> {
        Ok(Once)
    }
}
