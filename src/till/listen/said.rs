//! What bytes of a till say in the protocols that we know, for people. Pure; answers nothing and keeps nothing.

use crate::shop::event::AskKind;
use crate::till::concert_frames::{ETX, REQUEST_CHARS, Request, STX, unframed};
use crate::till::frame;
use crate::till::zvt::apdu::{Apdu, Reader, bitmap, control};
use crate::till::zvt::link::{self, DLE, Found};

/// The protocols that are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speech {
    /// Our own.
    Plain,
    /// Concert, which tills in France speak with card terminals.
    Concert,
    /// ZVT, which tills in Germany and around speak with card terminals.
    Zvt,
}

impl Speech {
    /// As the configuration writes it.
    pub fn word(self) -> &'static str {
        match self {
            Speech::Plain => "plain",
            Speech::Concert => "concert",
            Speech::Zvt => "zvt",
        }
    }

    /// As people call it.
    pub fn name(self) -> &'static str {
        match self {
            Speech::Plain => "Tillgate's own plain protocol",
            Speech::Concert => "Concert (E, E+), as spoken with card terminals in France",
            Speech::Zvt => "ZVT, as spoken with card terminals in Germany and around",
        }
    }
}

/// How much a piece tells about the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Nothing: several protocols have it, or none.
    None,
    /// A shape that this protocol has, and others might.
    Shape(Speech),
    /// A whole frame of this protocol whose check is right.
    Checked(Speech),
}

/// One piece of what was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// What it proves.
    pub proof: Proof,
    /// What it says, for people.
    pub text: String,
    /// The number that the till gives itself, where the protocol has one.
    pub till: Option<u8>,
}

impl Said {
    fn new(proof: Proof, text: impl Into<String>) -> Said {
        Said { proof, text: text.into(), till: None }
    }
}

/// Longest frame that is looked for, doubled bytes included.
const FRAME_BYTES_MAX: usize = 2 * link::APDU_BYTES_MAX;

/// All that these bytes say, in their order. Bytes that say nothing are gathered in pieces without proof.
pub fn said(bytes: &[u8]) -> Vec<Said> {
    let mut all = Vec::new();
    let mut junk = 0_usize;
    let mut left = bytes;
    while let Some((first, rest)) = left.split_first() {
        let found = frame_at(left).or_else(|| single(*first).map(|said| (said, 1)));
        let Some((piece, length)) = found else {
            junk = junk.saturating_add(1);
            left = rest;
            continue;
        };
        end_junk(&mut all, &mut junk);
        all.push(piece);
        left = left.get(length..).unwrap_or_default();
    }
    end_junk(&mut all, &mut junk);
    all
}

fn end_junk(all: &mut Vec<Said>, junk: &mut usize) {
    match std::mem::take(junk) {
        0 => {}
        1 => all.push(Said::new(Proof::None, "a byte that says nothing")),
        n => all.push(Said::new(Proof::None, format!("{n} bytes that say nothing"))),
    }
}

/// A frame that begins here, and its length.
fn frame_at(bytes: &[u8]) -> Option<(Said, usize)> {
    plain_at(bytes).or_else(|| concert_at(bytes)).or_else(|| zvt_at(bytes))
}

fn single(byte: u8) -> Option<Said> {
    let said = |proof, text: &str| Some(Said::new(proof, text));
    match byte {
        0x05 => said(Proof::Shape(Speech::Concert), "ENQ: the till asks whether a terminal is there"),
        0x04 => said(Proof::None, "EOT: the till has ended what it said"),
        0x06 => said(Proof::None, "ACK: the till has understood"),
        0x15 => said(Proof::None, "NAK: the till has not understood"),
        _ => None,
    }
}

fn plain_at(bytes: &[u8]) -> Option<(Said, usize)> {
    if bytes.first() != Some(&frame::STX) {
        return None;
    }
    let mut decoder = frame::Decoder::default();
    for (at, byte) in bytes.iter().enumerate().take(frame::FRAME_BYTES_MAX) {
        if let Some(body) = decoder.push(*byte) {
            let said = Said::new(Proof::Checked(Speech::Plain), format!("plain {body}"));
            return Some((said, at.saturating_add(1)));
        }
        if decoder.bad_frames > 0 {
            return None;
        }
    }
    None
}

fn concert_at(bytes: &[u8]) -> Option<(Said, usize)> {
    let length = REQUEST_CHARS.saturating_add(3);
    let message = bytes.get(..length)?;
    if let Some(request) = unframed(message).and_then(Request::read) {
        let said = Said::new(Proof::Checked(Speech::Concert), concert(&request));
        return Some((Said { till: request.number().parse().ok(), ..said }, length));
    }
    let [STX, body @ .., ETX, _] = message else { return None };
    let text = body.iter().all(|b| matches!(b, b' '..=b'~'));
    let why = "Concert: a request that cannot be read, or whose check (LRC) is wrong: noise on the line?";
    let said = Said::new(Proof::Shape(Speech::Concert), why);
    text.then_some((said, length))
}

fn concert(request: &Request) -> String {
    let asks = match request.kind() {
        Some(AskKind::Pay) => "a payment",
        Some(AskKind::Refund) => "a refund",
        Some(AskKind::Reverse) => "to cancel a payment",
        None => "something unknown",
    };
    let sum = match request.amount() {
        Some(amount) => amount.to_string(),
        None => format!("{} in the smallest coin of currency {}", request.minor(), request.currency_number()),
    };
    let answer = match request.at_once() {
        true => "answer at once: this till never learns whether a sale was paid",
        false => "answer at the end",
    };
    format!("Concert: till {} asks for {asks}, {sum}, {answer}", request.number())
}

fn zvt_at(bytes: &[u8]) -> Option<(Said, usize)> {
    let [DLE, link::STX, ..] = bytes else { return None };
    let mut frames = link::Frames::default();
    for (at, byte) in bytes.iter().enumerate().take(FRAME_BYTES_MAX) {
        let said = match frames.push(*byte) {
            None if frames.bad_frames == 0 => continue,
            // What was begun is no frame, or another one begins within it.
            None | Some(Found::Ack | Found::Nak) => return None,
            Some(Found::Frame(apdu)) => Said::new(Proof::Checked(Speech::Zvt), zvt(&apdu)),
            Some(Found::Bad) => {
                let why = "ZVT: a frame whose check (CRC) is wrong: noise on the line?";
                Said::new(Proof::Shape(Speech::Zvt), why)
            }
        };
        return Some((said, at.saturating_add(1)));
    }
    None
}

fn zvt(apdu: &[u8]) -> String {
    let Ok(apdu) = Apdu::parse(apdu) else { return "ZVT: a frame without a command".to_owned() };
    let means = match apdu.control {
        control::REGISTRATION => "registration",
        control::AUTHORISATION => "a payment",
        control::ABORT => "abort",
        control::REVERSAL => "reversal of a receipt",
        control::REFUND => "a refund",
        control::REPEAT_RECEIPT => "the last receipt again",
        control::END_OF_DAY => "end of day",
        control::STATUS_ENQUIRY => "how are you (status enquiry)",
        control::DIAGNOSIS => "diagnosis",
        control::INITIALISATION => "initialisation",
        control::RESET => "reset of the terminal",
        control::TOTALS => "totals",
        control::REPRINT => "a reprint",
        control::LOG_OFF => "log-off",
        _ => match apdu.answer() {
            Some(Ok(())) => "the till agrees",
            Some(Err(_)) => "the till disagrees",
            None => "another command",
        },
    };
    let amount = || Reader(&apdu.data).fields().ok()?.number(bitmap::AMOUNT).ok()?;
    let amount = Some(control::AUTHORISATION).filter(|c| *c == apdu.control).and_then(|_| amount());
    let amount = amount.map(|minor| format!(", {minor} in the smallest coin")).unwrap_or_default();
    let [class, instruction] = apdu.control.to_be_bytes();
    format!("ZVT {class:02X} {instruction:02X}: {means}{amount}")
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn hex(text: &str) -> Vec<u8> {
        text.split_whitespace().map(|b| u8::from_str_radix(b, 16).unwrap()).collect()
    }

    #[test]
    fn frames_are_found_among_other_bytes_and_say_what_they_ask() {
        let concert = "02 30 31 30 30 30 30 31 32 35 30 31 31 30 39 37 38 20 20 20 20 20 20 20 20 20 20 41 30 31 30 \
                       42 30 31 30 03 01";
        for (bytes, expected) in [
            (hex("05"), "Shape(Concert) ENQ: the till asks whether a terminal is there"),
            (hex(concert), "Checked(Concert) Concert: till 01 asks for a payment, 12.50 EUR, answer at the end"),
            (
                hex(&concert.replace("03 01", "03 02")),
                "Shape(Concert) Concert: a request that cannot be read, or whose check (LRC) is wrong: noise on the line?",
            ),
            (frame::encode("STATUS|1"), "Checked(Plain) plain STATUS|1"),
            (hex("10 02 80 00 00 10 03 F5 1F"), "Checked(Zvt) ZVT 80 00: the till agrees"),
            (hex("10 02 05 01 03 12 34 56 10 03 E0 43"), "Checked(Zvt) ZVT 05 01: how are you (status enquiry)"),
            (
                hex("10 02 05 01 03 12 34 56 10 03 E0 44"),
                "Shape(Zvt) ZVT: a frame whose check (CRC) is wrong: noise on the line?",
            ),
            (
                hex("06 15 41 42"),
                "None ACK: the till has understood; None NAK: the till has not understood; None 2 bytes that say nothing",
            ),
            (
                hex("00 10 02 80 00 00 10 03 F5 1F 10"),
                "None a byte that says nothing; Checked(Zvt) ZVT 80 00: the till agrees; None a byte that says nothing",
            ),
        ] {
            let all: Vec<_> = said(&bytes).into_iter().map(|s| format!("{:?} {}", s.proof, s.text)).collect();
            assert_eq!(all.join("; "), expected);
        }
    }

    #[test]
    fn an_amount_whose_digits_are_the_escape_byte_is_read() {
        let bytes = link::frame(&hex("06 01 07 04 00 00 00 00 10 00"));
        assert!(bytes.windows(2).any(|two| two == [DLE, DLE]));
        assert_eq!(said(&bytes)[0].text, "ZVT 06 01: a payment, 1000 in the smallest coin");
    }

    #[test]
    fn no_cut_and_no_changed_byte_of_a_frame_panics_or_proves_anything_else() {
        let whole = [hex("10 02 05 01 03 12 34 56 10 03 E0 43"), frame::encode("STATUS|1")];
        for whole in whole {
            for cut in 0..whole.len() {
                let proves = |bytes: &[u8]| said(bytes).iter().any(|s| matches!(s.proof, Proof::Checked(_)));
                assert!(!proves(&whole[..cut]));
                let mut changed = whole.clone();
                changed[cut] ^= 0x20;
                assert!(!proves(&changed), "{changed:x?}");
            }
        }
    }
}
