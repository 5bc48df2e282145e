//! What a till asks for, read from its commands. Decides nothing.
//!
//! Source: PA00P015, chapter 2.

use super::apdu::{Apdu, Fields, Malformed, Reader, bitmap, control, number, tag};
use crate::shop::event::{AskKind, ReceiptNumber};

/// Config byte: the till prints the receipts of payments.
pub(super) const PRINTS_RECEIPTS: u8 = 0x02;
/// Config byte: the till prints the receipts of administration.
pub(super) const PRINTS_ADMINISTRATION: u8 = 0x04;
/// Config byte: the till wants intermediate status.
pub(super) const WANTS_STATUS: u8 = 0x08;
/// Config byte: receipts come from us, line by line or as a block; else the till makes them from the result.
pub(super) const RECEIPTS_FROM_US: u8 = 0x80;

/// What a till has said of itself when it registered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Registration {
    pub(super) config: u8,
    pub(super) currency: Option<u16>,
    /// It understands TLV containers.
    pub(super) tlv: bool,
    /// It prints blocks of text.
    pub(super) block: bool,
}

/// A request for a sale or for giving back, as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) kind: AskKind,
    pub(super) minor: Option<u64>,
    pub(super) currency: Option<u16>,
    pub(super) of: Option<ReceiptNumber>,
    /// The last receipt that the till has.
    pub(super) knows: Option<ReceiptNumber>,
}

/// A command of the till.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    Register(Registration),
    LogOff,
    Reset,
    Wish(Wish),
    RepeatReceipt,
    /// The sums of the day; `close`: a new day begins after them.
    Sums {
        close: bool,
    },
    Status,
    Abort,
    /// Diagnosis and initialisation: done at once, since there is nothing to do.
    Formality,
    Unknown,
}

/// Why a command is refused unread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bad {
    Malformed,
    Password,
}

impl From<Malformed> for Bad {
    fn from(_: Malformed) -> Bad {
        Bad::Malformed
    }
}

impl Request {
    /// The command in an APDU. Where it has a password, that must be `password`, if there is one.
    pub(super) fn parse(apdu: &Apdu, password: Option<u32>) -> Result<Request, Bad> {
        let reader = Reader(&apdu.data);
        let after_password = || check(reader, password);
        Ok(match apdu.control {
            control::REGISTRATION => Request::Register(registration(after_password()?)?),
            control::AUTHORISATION => Request::Wish(wish(AskKind::Pay, reader)?),
            control::REVERSAL => Request::Wish(wish(AskKind::Reverse, after_password()?)?),
            control::REFUND => Request::Wish(wish(AskKind::Refund, after_password()?)?),
            control::REPEAT_RECEIPT => after_password().map(|_| Request::RepeatReceipt)?,
            control::TOTALS => after_password().map(|_| Request::Sums { close: false })?,
            control::END_OF_DAY => after_password().map(|_| Request::Sums { close: true })?,
            control::REPRINT | control::INITIALISATION => after_password().map(|_| Request::Formality)?,
            control::DIAGNOSIS => Request::Formality,
            control::RESET => Request::Reset,
            control::STATUS_ENQUIRY => Request::Status,
            control::ABORT => Request::Abort,
            control::LOG_OFF => Request::LogOff,
            _ => Request::Unknown,
        })
    }
}

/// Passes over the password: three bytes BCD.
fn check(mut reader: Reader<'_>, password: Option<u32>) -> Result<Reader<'_>, Bad> {
    let Some(right) = password else {
        // Whether it is there or not is of no matter either.
        return Ok(reader.take(3).map_or(Reader(&[]), |_| reader));
    };
    let said = reader.take(3).map_err(|_| Bad::Password)?;
    if number(said) == Ok(u64::from(right)) { Ok(reader) } else { Err(Bad::Password) }
}

fn registration(mut reader: Reader<'_>) -> Result<Registration, Bad> {
    let config = reader.byte()?;
    let bare = reader.fields().ok().filter(|fields| fields.whole);
    let (currency, fields) = match bare {
        Some(fields) => (None, fields),
        // Two bytes before the bitmaps that can be no bitmaps themselves.
        None => (Some(currency(reader.take(2)?)?), reader.fields()?),
    };
    let objects = fields.objects()?;
    let commands = objects.iter().find(|(tag, _)| *tag == tag::COMMANDS).map_or(&[][..], |(_, value)| *value);
    // A list that cannot be read names no command.
    let commands = Reader(commands).objects().unwrap_or_default();
    let block = commands.contains(&(tag::COMMAND, &control::PRINT_BLOCK.to_be_bytes()[..]));
    Ok(Registration { config, currency, tlv: fields.get(bitmap::TLV).is_some(), block })
}

fn wish(kind: AskKind, reader: Reader<'_>) -> Result<Wish, Bad> {
    let fields = reader.fields()?;
    let minor = fields.number(bitmap::AMOUNT)?;
    if minor.is_none() && kind != AskKind::Reverse {
        return Err(Bad::Malformed);
    }
    let of = match fields.get(bitmap::RECEIPT) {
        Some(value) => Some(receipt(value).ok_or(Malformed)?),
        None => None,
    };
    let currency = fields.get(bitmap::CURRENCY).map(currency).transpose()?;
    Ok(Wish { kind, minor, currency, of, knows: knows(&fields)? })
}

/// TLV 1F1F; what is no receipt number there says that the till has none.
fn knows(fields: &Fields<'_>) -> Result<Option<ReceiptNumber>, Malformed> {
    let objects = fields.objects()?;
    Ok(objects.iter().find(|(tag, _)| *tag == tag::LAST_RECEIPT).and_then(|(_, value)| receipt(value)))
}

fn receipt(bcd: &[u8]) -> Option<ReceiptNumber> {
    number(bcd).ok().and_then(|n| u16::try_from(n).ok()).and_then(ReceiptNumber::new)
}

fn currency(bcd: &[u8]) -> Result<u16, Malformed> {
    number(bcd).and_then(|n| u16::try_from(n).map_err(|_| Malformed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, password: Option<u32>) -> Result<Request, Bad> {
        let bytes: Vec<u8> = text.split_whitespace().map(|b| u8::from_str_radix(b, 16).unwrap()).collect();
        Request::parse(&Apdu::parse(&bytes).unwrap(), password)
    }

    fn registered(text: &str) -> (u8, Option<u16>, bool, bool) {
        match parse(text, None) {
            Ok(Request::Register(r)) => (r.config, r.currency, r.tlv, r.block),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn registrations_of_known_clients_are_read() {
        for (text, is) in [
            ("06 00 10 00 00 00 B6 09 78 03 01 06 06 26 04 0A 02 06 D3", (0xb6, Some(978), true, true)),
            ("06 00 06 12 34 56 DE 09 78", (0xde, Some(978), false, false)),
            ("06 00 04 00 00 00 8E", (0x8e, None, false, false)),
            ("06 00 0E 00 00 00 8E 06 08 26 06 0A 02 06 D1 1F 04", (0x8e, None, true, false)),
            ("06 00 0C 00 00 00 8E 06 06 26 04 0A 02 06 D3", (0x8e, None, true, true)),
            ("06 00 06 00 00 00 8E 03 01", (0x8e, None, false, false)),
            ("06 00 06 00 00 00 8E 06 00", (0x8e, None, true, false)),
            ("06 00 0D 12 34 56 02 09 78 06 05 1A 02 08 00 00", (0, None, false, false)),
        ] {
            match parse(text, None) {
                Ok(Request::Register(_)) => assert_eq!(registered(text), is, "{text}"),
                other => assert_eq!((is.0, other), (0, Err(Bad::Malformed)), "{text}"),
            }
        }
    }

    #[test]
    fn requests_for_money_are_read_and_what_is_missing_or_no_number_is_refused() {
        let pay = |minor, currency, knows| {
            let knows = ReceiptNumber::new(knows);
            Ok(Request::Wish(Wish { kind: AskKind::Pay, minor: Some(minor), currency, of: None, knows }))
        };
        for (text, is) in [
            ("06 01 07 04 00 00 00 00 10 00", pay(1000, None, 0)),
            ("06 01 0C 04 00 00 00 00 12 50 49 09 78 06 00", pay(1250, Some(978), 0)),
            ("06 01 0E 04 00 00 00 00 12 50 06 05 1F 1F 02 00 41", pay(1250, None, 41)),
            ("06 01 0E 04 00 00 00 00 12 50 06 05 1F 1F 02 00 00", pay(1250, None, 0)),
            ("06 01 0E 04 00 00 00 00 12 50 06 05 1F 1F 02 FF FF", pay(1250, None, 0)),
            ("06 01 00", Err(Bad::Malformed)),
            ("06 01 03 49 09 78", Err(Bad::Malformed)),
            ("06 01 07 04 00 00 00 00 1A 00", Err(Bad::Malformed)),
            ("06 01 06 04 00 00 00 00 10", Err(Bad::Malformed)),
            ("06 01 0C 04 00 00 00 00 12 50 06 04 1F 1F 02", Err(Bad::Malformed)),
        ] {
            assert_eq!(parse(text, None), is, "{text}");
        }
        let back = |kind, minor, of| {
            let of = ReceiptNumber::new(of);
            Ok(Request::Wish(Wish { kind, minor, currency: None, of, knows: None }))
        };
        for (text, is) in [
            ("06 30 06 12 34 56 87 00 41", back(AskKind::Reverse, None, 41)),
            ("06 30 0D 12 34 56 87 00 41 04 00 00 00 00 12 50", back(AskKind::Reverse, Some(1250), 41)),
            ("06 30 06 12 34 56 87 FF FF", Err(Bad::Malformed)),
            ("06 30 06 12 34 56 87 00 00", Err(Bad::Malformed)),
            ("06 31 0A 12 34 56 04 00 00 00 00 12 50", back(AskKind::Refund, Some(1250), 0)),
            ("06 31 0D 12 34 56 04 00 00 00 00 12 50 87 00 41", back(AskKind::Refund, Some(1250), 41)),
            ("06 31 03 12 34 56", Err(Bad::Malformed)),
        ] {
            assert_eq!(parse(text, None), is, "{text}");
        }
    }

    #[test]
    fn a_password_counts_only_where_one_is_set() {
        for (text, right) in [
            ("06 20 03 12 34 56", Ok(Request::RepeatReceipt)),
            ("06 50 03 12 34 57", Err(Bad::Password)),
            ("06 50 00", Err(Bad::Password)),
            ("06 93 03 AA AA AA", Err(Bad::Password)),
            ("06 70 00", Ok(Request::Formality)),
            ("05 01 00", Ok(Request::Status)),
        ] {
            assert_eq!(parse(text, Some(123_456)), right, "{text}");
            assert!(parse(text, None).is_ok(), "{text}");
        }
    }

    #[test]
    fn whatever_else_a_till_asks_is_unknown() {
        for text in ["06 22 07 04 00 00 00 00 10 00", "06 23 00", "06 03 00", "06 C0 00", "08 30 00", "06 D1 01 00"] {
            assert_eq!(parse(text, None), Ok(Request::Unknown), "{text}");
        }
    }
}
