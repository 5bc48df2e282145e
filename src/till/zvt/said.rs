//! The commands of the box: status, result, receipts, sums and the end of a command. Says what it is given.
//!
//! Source: PA00P015, chapter 3.

use super::apdu::{Apdu, Writer, bitmap, code, control, tag};
use super::request::{PRINTS_ADMINISTRATION, PRINTS_RECEIPTS, RECEIPTS_FROM_US, Registration};
use super::words::{self, AS_THE_TEXT_SAYS};
use super::{Letters, ZvtSettings};
use crate::shop::effect::{Finish, Totals};
use crate::shop::money::Currency;
use crate::shop::sale::Code;
use crate::till::frame::field;
use crate::till::receipt;
use crate::till::words as plain;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Longest line on a till's display.
pub(super) const DISPLAY_CHARS: usize = 24;
/// Longest additional text.
const TEXT_CHARS: usize = 40;
/// What stands where a card's name would.
const CARD_NAME: &str = "Phone payment";
/// T4 that intermediate status asks for, in minutes.
const T4_MINUTES: u64 = 3;
/// Attribute of an ordinary line.
const LINE: u8 = 0x00;
/// Attribute of the last line.
const LAST_LINE: u8 = 0x81;
/// Receipt for the customer.
const FOR_CUSTOMER: u8 = 2;
/// Receipt of administration.
const ADMINISTRATION: u8 = 3;
/// What 6 BCD bytes can say.
const SUM_MAX: u64 = 999_999_999_999;

/// Intermediate status (3.7): a code for tills without texts, else texts and the sale's matching code.
pub(super) fn status(till: &Registration, byte: u8, text: &str, matching: Option<Code>) -> Apdu {
    let mut data = Writer::default();
    if till.tlv {
        let mut lines = Writer::default();
        lines.object(tag::LINE, field(text, DISPLAY_CHARS).as_bytes());
        if let Some(matching) = matching {
            lines.object(tag::LINE, format!("Code {matching}").as_bytes());
        }
        let mut display = Writer::default();
        display.object(tag::DISPLAY, &lines.0);
        data.byte(AS_THE_TEXT_SAYS).bytes(None, &super::apdu::bcd(T4_MINUTES, 1)).container(&display);
    } else {
        data.byte(byte);
    }
    Apdu::new(control::INTERMEDIATE_STATUS, data.0)
}

/// The result of a sale (3.1), bitmaps in the order of the table. Only what succeeded has an amount.
pub(super) fn result(settings: &ZvtSettings, currency_said: bool, finish: &Finish) -> Apdu {
    let result = words::result(finish);
    let mut data = Writer::default();
    data.bytes(Some(bitmap::RESULT), &[result]);
    let done = result == code::DONE;
    if done {
        data.amount(finish.amount);
        if let Some(receipt) = finish.receipt {
            data.number(bitmap::TRACE, u64::from(receipt.number()), 3);
        }
        when(settings, finish, &mut data);
        data.number(bitmap::TERMINAL_ID, u64::from(settings.options.terminal_id), 4);
        if currency_said {
            data.number(bitmap::CURRENCY, u64::from(settings.currency.number()), 2);
        }
    }
    // Also without success: a till mirrors the last number that it has heard (TLV 1F1F).
    if let Some(receipt) = finish.receipt {
        data.number(bitmap::RECEIPT, u64::from(receipt.number()), 2);
    }
    if done {
        data.ll(bitmap::CARD_NAME, &[CARD_NAME.as_bytes(), &[0]].concat());
    }
    data.lll(bitmap::TEXT, outcome_text(finish).as_bytes());
    Apdu::new(control::STATUS_INFORMATION, data.0)
}

fn outcome_text(finish: &Finish) -> String {
    let text = plain::outcome_text(finish);
    let back = finish.given_back_minor;
    if back > 0 && !plain::given_back_in_full(finish) {
        let currency = finish.amount.currency();
        return field(&format!("{text}, {currency} {} given back", currency.decimal(back)), TEXT_CHARS);
    }
    field(&text, TEXT_CHARS)
}

fn when(settings: &ZvtSettings, finish: &Finish, data: &mut Writer) {
    let Some(at) = finish.at.and_then(|wall| Timestamp::from_millisecond(wall.0).ok()) else { return };
    let at = at.to_zoned(settings.facts.time_zone.clone().unwrap_or(TimeZone::UTC));
    let digits = |format: &str| at.strftime(format).to_string().parse::<u64>().unwrap_or(0);
    data.number(bitmap::TIME, digits("%H%M%S"), 3).number(bitmap::DATE, digits("%m%d"), 2);
}

/// What a refused request is answered with instead of a result.
pub(super) fn refused(result: u8, text: &str) -> Apdu {
    let mut data = Writer::default();
    data.bytes(Some(bitmap::RESULT), &[result]).lll(bitmap::TEXT, field(text, TEXT_CHARS).as_bytes());
    Apdu::new(control::STATUS_INFORMATION, data.0)
}

/// The end of a command that succeeded (3.2).
pub(super) fn completion() -> Apdu {
    Apdu::new(control::COMPLETION, Vec::new())
}

/// The end of a command that failed (3.3).
pub(super) fn aborted(result: u8) -> Apdu {
    Apdu::new(control::ABORTED, vec![result])
}

/// The end of a registration (2.1): nothing needs doing, our terminal identifier, our currency.
pub(super) fn registered(settings: &ZvtSettings) -> Apdu {
    let mut data = Writer::default();
    data.bytes(Some(bitmap::STATUS), &[0]);
    data.number(bitmap::TERMINAL_ID, u64::from(settings.options.terminal_id), 4);
    data.number(bitmap::CURRENCY, u64::from(settings.currency.number()), 2);
    Apdu::new(control::COMPLETION, data.0)
}

/// The end of a status enquiry (2.56): our version, and whether a sale would be possible.
pub(super) fn state(result: u8) -> Apdu {
    let mut version = Writer::default();
    version.lll(0, env!("CARGO_PKG_VERSION").as_bytes());
    let mut data = Writer::default();
    data.bytes(None, version.0.get(1..).unwrap_or_default()).byte(result);
    Apdu::new(control::COMPLETION, data.0)
}

/// The sums of a day (3.1): what was paid less what was given back, nothing if that is negative.
pub(super) fn sums(currency: Currency, currency_said: bool, totals: &Totals) -> Apdu {
    let left = totals.approved_minor.saturating_sub(totals.given_back_minor).min(SUM_MAX);
    let mut data = Writer::default();
    data.bytes(Some(bitmap::RESULT), &[code::DONE]).number(bitmap::AMOUNT, left, 6);
    if currency_said {
        data.number(bitmap::CURRENCY, u64::from(currency.number()), 2);
    }
    Apdu::new(control::STATUS_INFORMATION, data.0)
}

/// The receipt of a sale, in as many commands as it takes; none if the till prints nothing of ours.
pub(super) fn receipt(settings: &ZvtSettings, till: &Registration, finish: &Finish) -> Vec<Apdu> {
    if !wants(till, PRINTS_RECEIPTS) || !words::moved_money(finish) {
        return Vec::new();
    }
    let lines = receipt::lines(&settings.facts, settings.till, settings.columns, finish);
    let mut lines: Vec<Vec<u8>> = lines.into_iter().map(String::into_bytes).collect();
    if let (Letters::Cp437, Some(first)) = (settings.options.letters, lines.first_mut()) {
        *first = cp437(&settings.facts.shop_name, settings.columns);
    }
    let number = finish.receipt.map(|receipt| format!("Receipt {receipt}").into_bytes());
    if let Some(number) = number.filter(|number| !lines.contains(number)) {
        lines.insert(lines.len().min(2), number);
    }
    printed(till, FOR_CUSTOMER, &lines)
}

/// The receipt of the sums of a day.
pub(super) fn sums_receipt(settings: &ZvtSettings, till: &Registration, totals: &Totals, closed: bool) -> Vec<Apdu> {
    if !wants(till, PRINTS_ADMINISTRATION) {
        return Vec::new();
    }
    let columns = settings.columns.clamp(*receipt::COLUMNS.start(), *receipt::COLUMNS.end());
    let money = |minor| settings.currency.decimal(minor);
    let row = |left: &str, right: String| {
        let room = columns.saturating_sub(left.len()).max(right.len().saturating_add(1));
        format!("{left}{right:>room$}")
    };
    let lines = [
        settings.facts.shop_name.clone(),
        format!("Till {}", settings.till),
        if closed { "END OF DAY" } else { "SUMS SO FAR" }.to_owned(),
        row("Payments", totals.approved.to_string()),
        row(settings.currency.code(), money(totals.approved_minor)),
        row("Given back", totals.given_back.to_string()),
        row(settings.currency.code(), money(totals.given_back_minor)),
        row("Not paid", totals.unpaid.to_string()),
    ];
    let lines: Vec<Vec<u8>> = lines.iter().map(|line| field(line, columns).into_bytes()).collect();
    printed(till, ADMINISTRATION, &lines)
}

fn wants(till: &Registration, receipts: u8) -> bool {
    let both = receipts | RECEIPTS_FROM_US;
    till.config & both == both
}

/// One block (3.6) where the till prints such, else line by line (3.5).
fn printed(till: &Registration, kind: u8, lines: &[Vec<u8>]) -> Vec<Apdu> {
    if till.block {
        let mut block = Writer::default();
        for line in lines {
            block.object(tag::LINE, line);
        }
        block.object(tag::LINE_ATTRIBUTE, &[0xff]);
        let mut objects = Writer::default();
        objects.object(tag::RECEIPT_KIND, &[kind]).object(tag::PRINT, &block.0);
        let mut data = Writer::default();
        data.container(&objects);
        return vec![Apdu::new(control::PRINT_BLOCK, data.0)];
    }
    let last = lines.len().saturating_sub(1);
    let one = |(at, line): (usize, &Vec<u8>)| {
        let attribute = if at == last { LAST_LINE } else { LINE };
        Apdu::new(control::PRINT_LINE, [&[attribute], line.as_slice()].concat())
    };
    lines.iter().enumerate().map(one).collect()
}

/// Text in code page 437; what it has not is written as in ASCII.
fn cp437(text: &str, columns: usize) -> Vec<u8> {
    let columns = columns.clamp(*receipt::COLUMNS.start(), *receipt::COLUMNS.end());
    const HIGH: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿";
    let mut bytes = Vec::new();
    for letter in text.chars() {
        let high = HIGH.chars().position(|c| c == letter).and_then(|at| u8::try_from(at).ok());
        match (letter, high) {
            ('ß', _) => bytes.push(0xe1),
            (_, Some(at)) => bytes.push(at.saturating_add(0x80)),
            (_, None) => bytes.extend_from_slice(field(&letter.to_string(), columns).as_bytes()),
        }
    }
    bytes.truncate(columns);
    bytes
}
