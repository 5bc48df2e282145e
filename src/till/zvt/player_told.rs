//! What the box's messages say, in words for people: results, intermediate texts, receipts. Sends nothing.
//!
//! Source: PA00P015, chapters 3.1 to 3.7 and the list of the bitmaps.

use super::apdu::{Fields, Reader, bitmap, code, tag};
use super::player::Shown;
use crate::shop::money::Currency;

/// A status information or completion, read as far as it can be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Result code; 00 is success.
    pub result: Option<u8>,
    /// Minor units.
    pub amount_minor: Option<u64>,
    /// The currency's number (ISO 4217).
    pub currency: Option<u16>,
    /// Receipt number.
    pub receipt: Option<u16>,
    /// Trace number.
    pub trace: Option<u32>,
    /// HHMMSS.
    pub time: Option<u32>,
    /// MMDD.
    pub date: Option<u16>,
    /// Terminal identifier.
    pub terminal: Option<u32>,
    /// Status byte.
    pub status: Option<u8>,
    /// Kind of card, for our purpose the kind of payment.
    pub card_type: Option<u8>,
    /// Its name.
    pub name: Option<String>,
    /// Additional text.
    pub text: Option<String>,
    /// How many payments the sums count, if these are sums.
    pub counted: Option<u64>,
}

impl Told {
    /// What these bitmaps say. Those that make no sense are left out.
    pub fn read(data: &[u8]) -> Told {
        let Ok(fields) = Reader(data).fields() else { return Told::default() };
        let text = |bitmap| fields.get(bitmap).map(text).filter(|text: &String| !text.is_empty());
        Told {
            result: fields.byte(bitmap::RESULT),
            amount_minor: decimal(&fields, bitmap::AMOUNT),
            currency: decimal(&fields, bitmap::CURRENCY),
            receipt: decimal(&fields, bitmap::RECEIPT),
            trace: decimal(&fields, bitmap::TRACE),
            time: decimal(&fields, bitmap::TIME),
            date: decimal(&fields, bitmap::DATE),
            terminal: decimal(&fields, bitmap::TERMINAL_ID),
            status: fields.byte(bitmap::STATUS),
            card_type: fields.byte(bitmap::CARD_TYPE),
            name: text(bitmap::CARD_NAME),
            text: text(bitmap::TEXT),
            counted: fields.get(bitmap::SUMS).and_then(counted),
        }
    }

    /// Line by line, for a person.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut line =
            |name: &str, value: Option<String>| lines.extend(value.map(|value| format!("{name:<10} {value}")));
        line("result", self.result.map(|code| format!("{} ({code:02X})", code_text(code))));
        line("amount", self.amount_minor.map(|minor| money(minor, self.currency)));
        line("payments", self.counted.map(|n| n.to_string()));
        line("receipt", self.receipt.map(|n| format!("{n:04}")));
        line("trace", self.trace.map(|n| format!("{n:06}")));
        line("date", self.date.map(|d| format!("{:02}-{:02}", d / 100, d % 100)));
        line("time", self.time.map(|t| format!("{:02}:{:02}:{:02}", t / 10_000, t / 100 % 100, t % 100)));
        line("terminal", self.terminal.map(|n| format!("{n:08}")));
        line("paid with", self.name.clone().or(self.card_type.map(|n| format!("kind {n}"))));
        line("text", self.text.clone());
        lines
    }
}

fn decimal<N: TryFrom<u64>>(fields: &Fields<'_>, bitmap: u8) -> Option<N> {
    fields.number(bitmap).ok().flatten().and_then(|n| N::try_from(n).ok())
}

/// Bitmap 60: first and last receipt number, then a count of one byte and a sum of six for each kind of card.
fn counted(sums: &[u8]) -> Option<u64> {
    let kinds = sums.get(4..)?.chunks_exact(7);
    Some(kinds.filter_map(|kind| kind.first()).map(|count| u64::from(*count)).sum())
}

fn money(minor: u64, number: Option<u16>) -> String {
    match number.and_then(Currency::from_number) {
        Some(currency) => format!("{} {currency}", currency.decimal(minor)),
        None => format!("{minor} (least units)"),
    }
}

/// An intermediate status: its text, or ours for its code.
pub(super) fn waiting(data: &[u8]) -> Shown {
    let code = data.first().copied().unwrap_or(0xff);
    let lines = Reader(data.get(2..).unwrap_or_default()).fields().ok().and_then(|fields| {
        let objects = fields.objects().ok()?;
        let display = objects.iter().find(|(tag, _)| *tag == tag::DISPLAY)?.1;
        Some(lines_in(display).join(" / "))
    });
    let text = lines.filter(|text| !text.is_empty()).unwrap_or_else(|| waiting_text(code));
    Shown::Waiting { code, text }
}

fn waiting_text(code: u8) -> String {
    match code {
        0x0e | 0x17 => "please wait".to_owned(),
        0x1d => "declined".to_owned(),
        0x41 => "please wait (time is getting short)".to_owned(),
        other => format!("status {other:02X}"),
    }
}

/// The lines of a block of text.
pub(super) fn block(data: &[u8]) -> Vec<String> {
    let Ok(fields) = Reader(data).fields() else { return Vec::new() };
    let Ok(objects) = fields.objects() else { return Vec::new() };
    objects.iter().filter(|(tag, _)| *tag == tag::PRINT).flat_map(|(_, lines)| lines_in(lines)).collect()
}

fn lines_in(objects: &[u8]) -> Vec<String> {
    let Ok(objects) = Reader(objects).objects() else { return Vec::new() };
    objects.into_iter().filter(|(tag, _)| *tag == tag::LINE).map(|(_, line)| text(line)).collect()
}

/// Text of the box, up to its NUL if it has one. Letters outside ASCII are those of code page 437 that German needs.
pub(super) fn text(bytes: &[u8]) -> String {
    bytes.iter().take_while(|byte| **byte != 0).map(|byte| letter(*byte)).collect()
}

fn letter(byte: u8) -> char {
    match byte {
        0x20..=0x7e => char::from(byte),
        0x81 => 'ü',
        0x84 => 'ä',
        0x8e => 'Ä',
        0x94 => 'ö',
        0x99 => 'Ö',
        0x9a => 'Ü',
        0xe1 => 'ß',
        _ => '?',
    }
}

/// What a result or error code means.
pub fn code_text(code: u8) -> String {
    let text = match code {
        code::DONE => "done",
        code::ABORTED => "aborted, or time over",
        code::CURRENCY => "wrong currency",
        code::NOT_POSSIBLE => "not possible",
        code::UNREADABLE => "command not understood",
        code::WAIT => "busy, wait",
        code::NO_ANSWER => "payment platform does not answer",
        code::NO_CONNECTION => "no line to the payment platform",
        code::REVERSED => "reversed already",
        code::IRREVERSIBLE => "cannot be reversed",
        code::TOO_MUCH => "amount too great",
        code::TOO_LITTLE => "amount too small",
        code::SYSTEM => "error of the box",
        _ => return format!("code {code:02X}"),
    };
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        hex.split_whitespace().map(|b| u8::from_str_radix(b, 16).unwrap()).collect()
    }

    #[test]
    fn a_result_is_read_into_words() {
        let told = Told::read(&bytes(
            "27 00 04 00 00 00 00 12 50 0B 00 00 07 0C 12 34 56 0D 11 23 29 00 00 00 07 49 09 78 87 00 42 8A 61 \
             8B F0 F6 50 68 6F 6E 65 00 3C F0 F0 F5 81 62 65 72 21",
        ));
        assert_eq!((told.amount_minor, told.receipt, told.text.as_deref()), (Some(1_250), Some(42), Some("über!")));
        let lines = told.lines();
        for line in [
            "result     done (00)",
            "amount     12.50 EUR",
            "receipt    0042",
            "trace      000007",
            "date       11-23",
            "time       12:34:56",
            "terminal   00000007",
            "paid with  Phone",
        ] {
            assert!(lines.contains(&line.to_owned()), "{line}: {lines:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_left_out() {
        assert_eq!(Told::read(&bytes("27 00 04 00")), Told::default());
        assert_eq!(Told::read(&[]).lines(), Vec::<String>::new());
        let odd = Told::read(&bytes("27 6C EE 01 02"));
        assert_eq!((odd.result, odd.amount_minor), (Some(0x6c), None));
        assert_eq!(Told::read(&bytes("04 0A 00 00 00 00 00")).amount_minor, None);
    }

    #[test]
    fn texts_of_the_display_are_shown_and_known_codes_have_a_text_without() {
        let text = |hex: &str| match waiting(&bytes(hex)) {
            Shown::Waiting { text, .. } => text,
            other => panic!("{other:?}"),
        };
        assert_eq!(text("0E"), "please wait");
        assert_eq!(text("0E 03"), "please wait");
        assert_eq!(text("FF 03 06 0B 24 09 07 03 41 42 43 07 02 4B 37"), "ABC / K7");
        assert_eq!(text(""), "status FF");
    }

    #[test]
    fn sums_count_the_payments_of_every_kind() {
        let mut sums = bytes("60 F0 F5 F3 00 01 00 09");
        for count in [0, 0, 3, 0, 0, 0, 2] {
            sums.push(count);
            sums.extend([0; 6]);
        }
        assert_eq!(Told::read(&sums).counted, Some(5));
    }
}
