//! The Concert driver and its messages under arbitrary bytes, answers and times. Opens no port.
#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::panic)]

use super::concert::{Concert, ConcertOptions, GAP_MS, PATIENCE_MS};
use super::concert_frames::{
    ACK, Answer, ENQ, EOT, LONG_BYTES, NAK, REQUEST_CHARS, Request, SHORT_BYTES, STX, framed, unframed,
};
use super::driver::{Driver, MEMORY_BYTES_MAX, Out};
use super::fuzz::Fuzzed;
use crate::shop::event::{Ask, AskKind, TillEvent, TillNumber};
use crate::shop::id::SaleId;
use crate::shop::money::Currency;
use crate::shop::time::Mono;

/// A request that is changed here and there.
const REQUEST: [u8; REQUEST_CHARS] = *b"01000012501109780123456789A010B010";

/// What a till reads, from arbitrary bytes.
pub(super) fn read(data: &[u8]) {
    let request = Request::read(std::str::from_utf8(&REQUEST).unwrap()).unwrap();
    if let Ok(answer) = Answer::read(data, &request) {
        assert_eq!(data.len(), LONG_BYTES);
        assert!(answer.minor <= super::concert_frames::MINOR_MAX);
    }
    if let Some(read) = unframed(data).and_then(Request::read) {
        assert_eq!(framed(read.body().as_bytes()), data);
    }
}

impl Fuzzed for Concert {
    fn fresh(seed: u16) -> Concert {
        let memory = [&REQUEST[..], SaleId(u128::from(seed >> 1) % 24).to_string().as_bytes()].concat();
        let known = if seed & 1 == 0 { &[][..] } else { &memory };
        let mut concert = Concert::new(TillNumber::new(1).unwrap(), ConcertOptions::default(), 1_042, known);
        concert.line(Mono(0), true, &mut Out::default());
        concert
    }

    /// Pairs of place and character changed; a first byte that says what stands around the message.
    fn framed(body: &[u8]) -> Vec<u8> {
        let (how, changes) = body.split_first().map_or((0, body), |(how, rest)| (*how, rest));
        let mut request = REQUEST;
        for pair in changes.chunks_exact(2) {
            request[usize::from(pair[0]) % REQUEST_CHARS] = pair[1];
        }
        let mut bytes = if how & 1 == 0 { vec![ENQ] } else { Vec::new() };
        bytes.extend(framed(&request));
        if how & 4 != 0 {
            *bytes.last_mut().unwrap() ^= how;
        }
        if how & 2 == 0 {
            bytes.push(EOT);
        }
        bytes
    }

    fn answered(how: u8, said: &[u8]) -> Vec<u8> {
        let Some(last) = said.last() else { return Vec::new() };
        match (how % 8, *last) {
            (0, _) => vec![NAK],
            (1, _) => vec![ENQ],
            (2, _) => vec![EOT],
            (3, _) => vec![ACK, ACK],
            (4.., NAK) => vec![ENQ],
            // Our acknowledgement: of the call or of the message.
            (4 | 5, ACK) => framed(&REQUEST),
            (6.., ACK) => vec![EOT],
            (4.., _) => vec![ACK],
        }
    }

    fn frames_said(said: &[u8], thorough: bool) -> usize {
        let mut left = said;
        let mut frames = 0;
        while let Some(first) = left.first() {
            let bytes = if *first == STX {
                let sizes = [LONG_BYTES, SHORT_BYTES];
                let whole = |size: &usize| left.get(..*size).is_some_and(|message| unframed(message).is_some());
                sizes.into_iter().find(whole).expect("an answer has its size and check")
            } else {
                assert!(matches!(*first, ENQ | ACK | NAK | EOT), "a stray byte {first:02x}");
                1
            };
            if thorough && bytes > 1 {
                let body = unframed(&left[..bytes]).unwrap();
                assert!(matches!(&body[2..3], "0" | "7" | "9") && body[3..11].bytes().all(|b| b.is_ascii_digit()));
            }
            left = &left[bytes..];
            frames += 1;
        }
        frames
    }

    fn frames_heard(bytes: &[u8]) -> usize {
        bytes.len()
    }

    fn within_limits(&self) -> bool {
        self.held() <= REQUEST_CHARS + 2 && self.memory().len() <= MEMORY_BYTES_MAX
    }

    fn says_again(ask: &Ask) {
        assert_eq!((ask.ticket, ask.of, ask.patience_ms), (None, None, PATIENCE_MS));
        let (minor, currency, at_once) = (ask.amount.minor(), ask.amount.currency(), !ask.hears_result);
        let request = Request::write(1, minor, false, ask.kind, currency, at_once).unwrap();
        asks(&mut Concert::fresh(0), Mono(5), &request, ask);
    }

    /// Our answer goes out, again too, at an acknowledgement or a refusal; what else is in that read was said before it.
    fn whole_from(bytes: &[u8]) -> usize {
        bytes.iter().position(|b| matches!(*b, ACK | NAK)).unwrap_or(bytes.len())
    }

    fn still_works(&mut self, mut now: Mono) {
        let mut out = Out::default();
        self.line(now, true, &mut out);
        for _ in 0..64 {
            let Some(due) = self.deadline() else { break };
            now = due.max(now);
            self.passed(now, &mut out);
        }
        // The till's own pause before it calls again ends a message that nobody called for.
        now = now.plus_ms(GAP_MS);
        let eur = Currency::from_number(978).unwrap();
        let request = Request::write(1, 4_711, true, AskKind::Pay, eur, false).unwrap();
        let amount = request.amount().unwrap();
        let ask =
            Ask { ticket: None, amount, kind: AskKind::Pay, of: None, patience_ms: PATIENCE_MS, hears_result: true };
        asks(self, now, &request, &ask);
    }
}

fn asks(concert: &mut Concert, now: Mono, request: &Request, ask: &Ask) {
    let (mut out, mut said) = (Out::default(), Vec::new());
    for bytes in [vec![ENQ], framed(request.body().as_bytes()), vec![EOT]] {
        concert.received(now, &bytes, &mut out);
        said.append(&mut out.bytes);
    }
    assert_eq!((said.as_slice(), out.events.as_slice()), (&[ACK, ACK][..], &[TillEvent::Asked(*ask)][..]));
}
