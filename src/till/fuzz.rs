//! Drivers under arbitrary bytes, answers and times, and what must hold whatever comes. Opens no port.
//! A new protocol joins by implementing [`Fuzzed`] and one line in `src/fuzz.rs`.
#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::panic)]

use super::driver::{Driver, Out};
use super::frame::{BODY_BYTES_MAX, Decoder, FRAME_BYTES_MAX, encode, field, number};
use super::plain::{ID_MAX, LATER_SECS_MAX, Plain, PlainSettings, UNHEARD_MAX, WAITING_MAX};
use super::player_frames::{BoxFrame, fields_of};
use super::receipt::{self, COLUMNS, LINES_MAX, ReceiptFacts};
use super::request::{Reply, Request};
use super::shown::{Outcome as Ended, Shown};
use crate::shop::effect::{CancelledWhy, DeclinedWhy, Finish, Outcome, Progress, Refusal, TillAnswer, Totals};
use crate::shop::event::{Ask, AskKind, NoSales, Of, Reason, ReceiptNumber, Span, Ticket, TillEvent, TillNumber};
use crate::shop::id::{AttemptId, SaleId};
use crate::shop::money::{Amount, Currency};
use crate::shop::sale::Code;
use crate::shop::time::{Mono, Wall};
use arbitrary::{Result, Unstructured};

/// Most things that happen to a driver in one run.
const OPS_MAX: usize = 32;
/// Different sales that a run knows.
const SALES: u128 = 24;

/// What a driver must tell about itself so that it can be driven without knowing its protocol.
pub trait Fuzzed: Driver {
    /// A driver whose line is up.
    fn fresh(seed: u16) -> Self;
    /// The bytes of one frame of a till around `body`.
    fn framed(body: &[u8]) -> Vec<u8>;
    /// What a till answers, in the way number `how`, to the last frame in `said`; nothing if there is none.
    fn answered(how: u8, said: &[u8]) -> Vec<u8>;
    /// How many frames these bytes of ours are; all of them must be whole and within their limits, and where it is to be
    /// thorough a till must understand them.
    fn frames_said(said: &[u8], thorough: bool) -> usize;
    /// How many frames these bytes of a till are at most.
    fn frames_heard(bytes: &[u8]) -> usize;
    /// Everything the driver keeps is within its named limits.
    fn within_limits(&self) -> bool;
    /// The frame that a till would ask this with, heard by a fresh driver, brings the same event.
    fn says_again(ask: &Ask);
    /// From which byte on a read may not be cut without its meaning another thing.
    fn whole_from(bytes: &[u8]) -> usize {
        bytes.len()
    }
    /// After whatever came, a good request is understood.
    fn still_works(&mut self, _now: Mono) {}
}

enum Op<'a> {
    Heard(Vec<u8>, usize),
    Raw(&'a [u8], usize),
    Told(Box<TillAnswer>),
    Passed,
    Line(bool),
}

/// Plays what `data` says on two drivers, of which one, if it is there, gets all bytes in pieces: both must do the same.
pub fn drive<D: Fuzzed>(data: &[u8]) {
    let _ = play::<D>(&mut Unstructured::new(data));
}

fn play<D: Fuzzed>(u: &mut Unstructured<'_>) -> Result<()> {
    let seed: u16 = u.arbitrary()?;
    let mut now = if seed & 0x8000 == 0 { Mono(1_000_000) } else { Mono(u64::MAX - 2_000) };
    let (mut whole, mut cut) = (D::fresh(seed & 0x1fff), D::fresh(seed & 0x1fff));
    let (mut out, mut cut_out) = (Out::default(), Out::default());
    let mut said: Vec<u8> = Vec::new();
    let mut told = 0_u32;
    // Both cost time, and a run of bytes is found by either.
    let (cuts, thorough) = (seed & 0x6000 == 0x4000, seed & 0x6000 == 0x2000);
    for _ in 0..OPS_MAX {
        if u.is_empty() {
            break;
        }
        let op = next_op::<D>(u, &said, &mut now, whole.deadline())?;
        for out in [&mut out, &mut cut_out] {
            out.bytes.clear();
            out.events.clear();
            out.warnings.clear();
        }
        let mut heard = 0;
        match &op {
            Op::Heard(..) | Op::Raw(..) => {
                let (bytes, piece) = match &op {
                    Op::Heard(bytes, piece) => (bytes.as_slice(), *piece),
                    Op::Raw(bytes, piece) => (*bytes, *piece),
                    Op::Told(_) | Op::Passed | Op::Line(_) => (&[][..], 1),
                };
                heard = D::frames_heard(bytes);
                whole.received(now, bytes, &mut out);
                let (first, rest) = bytes.split_at(D::whole_from(bytes));
                for part in first.chunks(piece).chain([rest]).filter(|part| cuts && !part.is_empty()) {
                    cut.received(now, part, &mut cut_out);
                }
            }
            Op::Told(answer) => {
                if let TillAnswer::Finish(finish) = &**answer {
                    told |= 1 << (finish.sale.0 % SALES);
                }
                whole.tell(now, answer, &mut out);
                if cuts {
                    cut.tell(now, answer, &mut cut_out);
                }
            }
            Op::Passed => {
                whole.passed(now, &mut out);
                if cuts {
                    cut.passed(now, &mut cut_out);
                }
                assert!(whole.deadline().is_none_or(|d| d > now || now.0 == u64::MAX), "a deadline that stays");
            }
            Op::Line(up) => {
                whole.line(now, *up, &mut out);
                if cuts {
                    cut.line(now, *up, &mut cut_out);
                }
            }
        }
        assert!(!cuts || out == cut_out, "cutting the bytes changes what comes of them: {out:?}, {cut_out:?}");
        assert!(!cuts || whole.counts() == cut.counts());
        // At most one frame goes out by itself, an answer and the next one for each frame heard.
        // At the end of time there is no later.
        let most = 1 + 2 * heard + usize::from(now.0 == u64::MAX);
        assert!(D::frames_said(&out.bytes, thorough) <= most, "too much is said to {heard} frames: {out:02x?}");
        assert!(out.events.len() <= (2 + UNHEARD_MAX) * (1 + heard), "too many events");
        assert!(whole.within_limits(), "a limit is broken");
        out.events.iter().for_each(|event| check_event::<D>(event, told, whole.capabilities().longest_wait_ms));
        if !out.bytes.is_empty() {
            said.clone_from(&out.bytes);
        }
    }
    whole.still_works(now);
    Ok(())
}

fn next_op<'a, D: Fuzzed>(
    u: &mut Unstructured<'a>,
    said: &[u8],
    now: &mut Mono,
    deadline: Option<Mono>,
) -> Result<Op<'a>> {
    let op: u8 = u.arbitrary()?;
    let piece = 1 + usize::from(op >> 5);
    Ok(match op % 8 {
        0 => Op::Raw(text(u)?, piece),
        1 => Op::Heard(D::framed(text(u)?), piece),
        2 => Op::Heard(D::answered(u.arbitrary()?, said), piece),
        3 => {
            *now = now.plus_ms(u64::from(u.arbitrary::<u16>()?));
            Op::Passed
        }
        4 => {
            *now = deadline.unwrap_or(*now).max(*now);
            Op::Passed
        }
        5 | 6 => Op::Told(Box::new(answer(u)?)),
        _ => Op::Line(op & 8 == 0),
    })
}

/// A short piece of the input, or a long one.
fn text<'a>(u: &mut Unstructured<'a>) -> Result<&'a [u8]> {
    let long: u8 = u.arbitrary()?;
    let bytes = if long >= 0xf0 { usize::from(long & 15) * 100 } else { usize::from(long) };
    u.bytes(bytes.min(u.len()))
}

fn check_event<D: Fuzzed>(event: &TillEvent, told: u32, patience_max_ms: u64) {
    let was_told = |sale: &SaleId| assert!(told & (1 << (sale.0 % SALES)) != 0, "a word on a result never told");
    match event {
        TillEvent::Asked(ask) => {
            assert!(ask.amount.minor() <= Amount::MINOR_MAX);
            assert_eq!(Currency::from_code(ask.amount.currency().code()), Some(ask.amount.currency()));
            assert!(ask.patience_ms <= patience_max_ms);
            D::says_again(ask);
        }
        TillEvent::TakeLater { sale, after_ms } => {
            was_told(sale);
            assert!((1..=LATER_SECS_MAX * 1_000).contains(after_ms));
        }
        TillEvent::Taken { sale } | TillEvent::Rejected { sale } | TillEvent::Unheard { sale } => was_told(sale),
        TillEvent::Online
        | TillEvent::Offline
        | TillEvent::Aborted { .. }
        | TillEvent::AskedAgain { .. }
        | TillEvent::AskedStatus
        | TillEvent::AskedTotals { .. }
        | TillEvent::DayClosed { .. }
        | TillEvent::Knows { .. } => {}
    }
}

impl Fuzzed for Plain {
    fn fresh(seed: u16) -> Plain {
        let settings = PlainSettings {
            till: TillNumber::new(9_999).unwrap(),
            currency: Currency::from_code("EUR").unwrap(),
            facts: ReceiptFacts { shop_name: "Café | «Nord» \u{2}\u{3}".to_owned(), time_zone: None },
            columns: usize::from(seed % 50),
            byte_us: 1_042,
        };
        let mut plain = Plain::new(settings, seed);
        plain.line(Mono(0), true, &mut Out::default());
        plain
    }

    fn framed(body: &[u8]) -> Vec<u8> {
        // What is no text stays what it is: such frames must be dropped.
        let mut frame = encode("");
        frame.splice(1..1, body.iter().copied());
        let check = super::frame::crc16(&frame[1..=body.len() + 1]);
        frame.truncate(body.len() + 2);
        frame.extend_from_slice(format!("{check:04X}").as_bytes());
        frame
    }

    fn answered(how: u8, said: &[u8]) -> Vec<u8> {
        let Some(start) = said.iter().rposition(|b| *b == super::frame::STX) else { return Vec::new() };
        let mut fields = said[start + 1..].split(|b| matches!(*b, b'|' | super::frame::ETX));
        let mut next = || String::from_utf8_lossy(fields.next().unwrap_or_default()).into_owned();
        let (_, id, epoch, ticket) = (next(), next(), next(), next());
        encode(&match how % 8 {
            0..3 => format!("ACK|{id}"),
            3 | 4 => format!("TAKEN|{id}|{epoch}|{ticket}"),
            5 => format!("LATER|{id}|{epoch}|{ticket}|{}", how >> 2),
            6 => format!("REJECT|{id}|{epoch}|{ticket}"),
            _ => format!("TAKEN|{}|{epoch}|{ticket}", how >> 3),
        })
    }

    fn frames_said(said: &[u8], thorough: bool) -> usize {
        let mut decoder = Decoder::default();
        let bodies: Vec<String> = said.iter().filter_map(|b| decoder.push(*b)).collect();
        assert_eq!((decoder.junk_bytes, decoder.bad_frames, decoder.held()), (0, 0, 0), "no frame of ours");
        for body in &bodies {
            assert!(body.len() <= BODY_BYTES_MAX);
            assert!(!thorough || understood(body).is_some(), "a till does not understand {body}");
        }
        bodies.len()
    }

    fn frames_heard(bytes: &[u8]) -> usize {
        bytes.iter().filter(|b| **b == super::frame::ETX).count() + 1
    }

    fn within_limits(&self) -> bool {
        let (waiting, unheard, frame) = self.held();
        waiting <= WAITING_MAX && unheard <= UNHEARD_MAX && frame <= FRAME_BYTES_MAX
    }

    fn says_again(ask: &Ask) {
        let (minor, currency, secs) = (ask.amount.minor(), ask.amount.currency(), ask.patience_ms / 1_000);
        let ticket = fields_of(ask.ticket);
        let (word, rest) = match ask.kind {
            AskKind::Pay => ("PAY", format!("{ticket}|{minor}|{currency}|{secs}")),
            AskKind::Refund | AskKind::Reverse => {
                let of = ask.of.map(|of| match of {
                    Of::Ticket(ticket) => ticket,
                    Of::Receipt(_) => panic!("the plain protocol knows no receipt numbers"),
                });
                let word = if ask.kind == AskKind::Refund { "REFUND" } else { "REVERSE" };
                (word, format!("{ticket}|{minor}|{currency}|{secs}|{}", fields_of(of)))
            }
        };
        let fields: Vec<&str> = rest.split('|').collect();
        let again = Request::parse(word, &fields).ok().and_then(Request::event);
        assert_eq!(again, Some(TillEvent::Asked(*ask)));
    }
}

/// A frame of the box as a till reads it; written again it must read the same.
fn understood(body: &str) -> Option<BoxFrame> {
    let fields: Vec<&str> = body.split('|').collect();
    let [word, id, rest @ ..] = fields.as_slice() else { return None };
    let id = u16::try_from(number(id, u64::from(ID_MAX))?).ok()?;
    let frame = BoxFrame::parse(word, id, rest)?;
    let again = body_of(&frame);
    let fields: Vec<&str> = again.split('|').collect();
    assert_eq!(BoxFrame::parse(fields[0], id, &fields[2..]).as_ref(), Some(&frame), "{body} and {again}");
    Some(frame)
}

fn body_of(frame: &BoxFrame) -> String {
    match frame {
        BoxFrame::Ack(id) => format!("ACK|{id}"),
        BoxFrame::Bad(id, why) => format!("BAD|{id}|{why}"),
        BoxFrame::Accept(t, code) => format!("ACCEPT|0|{}|{code}", fields_of(*t)),
        BoxFrame::Refuse(t, reason, text) => format!("REFUSE|0|{}|{reason}|{text}", fields_of(*t)),
        BoxFrame::Progress(t, Shown::Progress { step, text }) => format!("PROGRESS|0|{}|{step}|{text}", fields_of(*t)),
        BoxFrame::Progress(t, Shown::Failed { try_no, reason, new_attempt, text }) => {
            let next = if *new_attempt { "NEW" } else { "SAME" };
            format!("FAILED|0|{}|{try_no}|{reason}|{next}|{text}", fields_of(*t))
        }
        BoxFrame::Progress(_, other) => panic!("{other:?} is no progress"),
        BoxFrame::Result(r) => {
            assert!(r.amount.minor() <= Amount::MINOR_MAX && r.given_back_minor <= Amount::MINOR_MAX);
            let outcome = match r.outcome {
                Ended::Approved => "APPROVED",
                Ended::Returned => "RETURNED",
                Ended::Refunded => "REFUNDED",
                Ended::Declined => "DECLINED",
                Ended::Cancelled => "CANCELLED",
                Ended::Lapsed => "LAPSED",
            };
            let (ticket, minor, currency) = (fields_of(r.ticket), r.amount.minor(), r.amount.currency());
            let payment = r.payment.as_deref().unwrap_or_default();
            let head = format!(
                "RESULT|0|{ticket}|{outcome}|{}|{minor}|{currency}|{}|{payment}|{}|{}|{}|{}",
                r.reason,
                r.given_back_minor,
                r.code,
                r.failed_tries,
                r.text,
                r.lines.len()
            );
            std::iter::once(head).chain(r.lines.iter().cloned()).collect::<Vec<_>>().join("|")
        }
        BoxFrame::NoResult(t) => format!("NORESULT|0|{}", fields_of(*t)),
        BoxFrame::Aborting(t) => format!("ABORTING|0|{}", fields_of(*t)),
        BoxFrame::NoAbort(t) => format!("NOABORT|0|{}", fields_of(*t)),
        BoxFrame::State(word, text) => format!("STATE|0|{word}|{text}"),
        BoxFrame::Sums(s) => {
            let epoch = s.epoch.map(|e| e.to_string()).unwrap_or_default();
            let (sum, back) = (s.approved_minor, s.given_back_minor);
            format!("SUMS|0|{epoch}|{}|{sum}|{back}|{}|{}", s.approved, s.unpaid, s.currency)
        }
        BoxFrame::DaySums(s) => {
            let (mark, sum, back) = (s.mark, s.approved_minor, s.given_back_minor);
            format!("DAYSUMS|0|{mark}|{}|{sum}|{}|{back}|{}|{}", s.approved, s.given_back, s.unpaid, s.currency)
        }
    }
}

/// What a Concert till hears.
pub fn hear_concert(data: &[u8]) {
    super::concert_fuzz::read(data);
}

/// What a till hears, and the parts that need no driver: bytes, bodies, texts, the till's memory, receipts.
pub fn hear(data: &[u8]) {
    let Some((how, rest)) = data.split_first() else { return };
    let mut decoder = Decoder::default();
    match how % 8 {
        0 => rest.iter().filter_map(|b| decoder.push(*b)).for_each(|body| hear_body(&body)),
        1..5 => {
            let frame = Plain::framed(rest);
            let bodies: Vec<String> = frame.iter().filter_map(|b| decoder.push(*b)).collect();
            let sound = rest.len() <= BODY_BYTES_MAX && rest.iter().all(|b| matches!(b, b' '..=b'~'));
            assert!(!sound || bodies.iter().any(|b| b.as_bytes() == rest), "a sound frame is lost");
            bodies.iter().for_each(|body| hear_body(body));
        }
        5 => {
            let text = String::from_utf8_lossy(rest);
            let plain = field(&text, usize::from(*how));
            assert!(plain.len() <= usize::from(*how));
            assert!(plain.bytes().all(|b| matches!(b, b' '..=b'~') && b != b'|'));
        }
        6 => {
            let text = String::from_utf8_lossy(rest);
            if let Some(n) = number(&text, u64::MAX) {
                assert_eq!(n.to_string(), text);
            }
            super::player_memory::fuzz(&text);
        }
        _ => drop(print(&mut Unstructured::new(rest), usize::from(*how))),
    }
    assert!(decoder.held() <= FRAME_BYTES_MAX);
}

fn print(u: &mut Unstructured<'_>, columns: usize) -> Result<()> {
    let finish = finish(u)?;
    let shop_name = String::from_utf8_lossy(u.take_rest_slice()).into_owned();
    let till = TillNumber::new(1).unwrap();
    let lines = receipt::lines(&ReceiptFacts { shop_name, time_zone: None }, till, columns, &finish);
    let width = columns.clamp(*COLUMNS.start(), *COLUMNS.end());
    assert!(lines.len() <= LINES_MAX);
    assert!(lines.iter().all(|l| l.len() <= width && l.bytes().all(|b| matches!(b, b' '..=b'~') && b != b'|')));
    Ok(())
}

trait Rest<'a> {
    fn take_rest_slice(&mut self) -> &'a [u8];
}

impl<'a> Rest<'a> for Unstructured<'a> {
    fn take_rest_slice(&mut self) -> &'a [u8] {
        self.bytes(self.len()).unwrap_or_default()
    }
}

fn hear_body(body: &str) {
    let _ = understood(body);
    let fields: Vec<&str> = body.split('|').collect();
    let [word, _, rest @ ..] = fields.as_slice() else { return };
    if let Ok(request) = Request::parse(word, rest)
        && let Some(TillEvent::Asked(ask)) = request.event()
    {
        Plain::says_again(&ask);
    }
    if let Some(Reply::Later(_, secs)) = Reply::parse(word, rest) {
        assert!((1..=LATER_SECS_MAX).contains(&secs));
    }
}

fn ticket(u: &mut Unstructured<'_>) -> Result<Option<Ticket>> {
    let short: u8 = u.arbitrary()?;
    Ok(match short {
        0..32 => None,
        32..64 => Some(Ticket { epoch: None, number: u32::from(short) }),
        64..224 => Some(Ticket { epoch: Some(u32::from(short >> 6)), number: u32::from(short & 7) }),
        _ => Some(Ticket { epoch: Some(u.arbitrary()?), number: u.arbitrary()? }),
    })
}

fn amount(u: &mut Unstructured<'_>) -> Result<Amount> {
    let code = ["EUR", "JPY", "KWD", "IDR"][usize::from(u.arbitrary::<u8>()? % 4)];
    let minor = u.arbitrary::<u64>()? % (Amount::MINOR_MAX + 1);
    Ok(Amount::from_minor(minor, Currency::from_code(code).unwrap()).unwrap())
}

fn sale(u: &mut Unstructured<'_>) -> Result<SaleId> {
    Ok(SaleId(u128::from(u.arbitrary::<u8>()?) % SALES))
}

fn reason(u: &mut Unstructured<'_>) -> Result<Reason> {
    use Reason::{Declined, NoFunds, NotAllowed, Other, TooManyTries, WrongPassword};
    Ok(*u.choose(&[WrongPassword, TooManyTries, NoFunds, Declined, NotAllowed, Other])?)
}

fn finish(u: &mut Unstructured<'_>) -> Result<Finish> {
    let (sale, ticket, amount) = (sale(u)?, ticket(u)?, amount(u)?);
    let how: u8 = u.arbitrary()?;
    let outcome = match how % 14 {
        0..3 => Outcome::Approved,
        3 => Outcome::Lapsed,
        4 => Outcome::Cancelled(CancelledWhy::Till),
        5 => Outcome::Cancelled(CancelledWhy::Clock),
        6 => Outcome::Cancelled(CancelledWhy::PowerCut),
        7 => Outcome::Declined(DeclinedWhy::Customer),
        8 => Outcome::Declined(DeclinedWhy::GivenUp),
        9 => Outcome::Declined(DeclinedWhy::Failed(reason(u)?)),
        10 => Outcome::Declined(DeclinedWhy::Refused(reason(u)?)),
        11 => Outcome::Returned { pending: how & 1 == 0 },
        12 => Outcome::Returned { pending: how & 16 == 0 },
        _ => Outcome::Declined(DeclinedWhy::WrongPayment),
    };
    let paid = outcome == Outcome::Approved;
    let back = if paid && how & 16 != 0 { u.arbitrary::<u64>()? % (amount.minor() + 1) } else { 0 };
    Ok(Finish {
        sale,
        ticket,
        code: Code::from_bits(u128::from(how)),
        amount,
        kind: match (outcome, how & 3) {
            (Outcome::Returned { .. }, 0..2) => AskKind::Refund,
            (Outcome::Returned { .. }, _) => AskKind::Reverse,
            (Outcome::Approved, _) | (_, 0..2) => AskKind::Pay,
            (_, 2) => AskKind::Refund,
            (_, _) => AskKind::Reverse,
        },
        receipt: ReceiptNumber::new(u16::from(how)),
        outcome,
        attempt: paid.then_some(AttemptId(u128::from(how) << 120)),
        given_back_minor: if how & 32 != 0 && paid { amount.minor() } else { back },
        failed_tries: if how & 64 != 0 { u.arbitrary()? } else { 0 },
        at: if how & 128 != 0 { Some(Wall(u.arbitrary()?)) } else { None },
    })
}

fn refusal(u: &mut Unstructured<'_>) -> Result<Refusal> {
    let how: u8 = u.arbitrary()?;
    Ok(match how % 16 {
        0 => Refusal::NoLine,
        1 => Refusal::ClockNotSet,
        2 => Refusal::Busy,
        3 => Refusal::WrongCurrency,
        4 => Refusal::TooLittle { min_minor: u.arbitrary()? },
        5 => Refusal::TooMuch { max_minor: u.arbitrary()? },
        6 => Refusal::TicketUsed,
        7 => Refusal::TooShort,
        8 => Refusal::NotPossible(AskKind::Refund),
        9 => Refusal::NotPossible(AskKind::Reverse),
        10 => Refusal::NoSales(NoSales::StoreDamaged),
        11 => Refusal::NoSuchSale,
        12 => Refusal::AllGivenBack,
        13 => Refusal::MoreThanLeft { left_minor: u.arbitrary()? },
        14 => Refusal::NoPhone,
        _ => Refusal::UnknownTill,
    })
}

fn answer(u: &mut Unstructured<'_>) -> Result<TillAnswer> {
    let how: u8 = u.arbitrary()?;
    Ok(match how % 16 {
        0 => TillAnswer::Accepted { sale: sale(u)?, ticket: ticket(u)?, code: Code::from_bits(u128::from(how)) },
        1 => TillAnswer::Refused { ticket: ticket(u)?, why: refusal(u)? },
        2..5 => TillAnswer::Progress { sale: sale(u)?, ticket: ticket(u)?, progress: progress(u)? },
        5..10 => TillAnswer::Finish(Box::new(finish(u)?)),
        10 => TillAnswer::NothingToRepeat { ticket: ticket(u)? },
        11 => TillAnswer::NothingToAbort { ticket: ticket(u)? },
        12 => TillAnswer::Aborting { ticket: ticket(u)? },
        13 => TillAnswer::Status { ready: Ok(()) },
        14 => TillAnswer::Status { ready: Err(refusal(u)?) },
        _ => TillAnswer::Totals(Totals {
            of: span(u)?,
            mark: u.arbitrary()?,
            approved: u.arbitrary()?,
            approved_minor: u.arbitrary()?,
            given_back: u.arbitrary()?,
            given_back_minor: u.arbitrary()?,
            unpaid: u.arbitrary()?,
        }),
    })
}

fn span(u: &mut Unstructured<'_>) -> Result<Span> {
    Ok(match u.arbitrary::<Option<u32>>()? {
        None => Span::All,
        Some(0) => Span::Day,
        Some(epoch) => Span::Epoch(epoch),
    })
}

fn progress(u: &mut Unstructured<'_>) -> Result<Progress> {
    let how: u8 = u.arbitrary()?;
    Ok(match how % 8 {
        0 => Progress::WaitingForPhone,
        1 => Progress::Offered,
        2 => Progress::Confirmed,
        3 => Progress::AtCheckout,
        4 => Progress::Checking,
        5 => Progress::Closing,
        _ => Progress::Failed { reason: reason(u)?, try_no: u32::from(how), new_attempt: how & 8 == 0 },
    })
}
