//! The box's side of the plain protocol (`docs/till-protocol.md`). Owns no port; frames are found in `frame.rs`.

use super::driver::{Capabilities, Counts, Driver, Out, Prints};
use super::frame::{Decoder, encode, field, number};
use super::receipt::{self, ReceiptFacts};
use super::request::{Reply, Request};
use super::words;
use crate::shop::effect::{Finish, Progress, Refusal, TillAnswer, Totals};
use crate::shop::event::{Span, Ticket, TillEvent, TillNumber};
use crate::shop::id::SaleId;
use crate::shop::money::Currency;
use crate::shop::time::Mono;
use std::collections::VecDeque;

/// How long to wait for the answer to a frame, from the moment its last byte is out.
pub const ACK_WAIT_MS: u64 = 1_000;
/// How often a frame is sent again when no answer comes; then it is given up.
pub const REPEATS: u32 = 3;
/// How often a result is sent again when no answer comes; then it counts as unheard.
pub const RESULT_REPEATS: u32 = 9;
/// A request equal to the last one, byte for byte, within this time of it is a repeat and no new request.
pub const REPEAT_WINDOW_MS: u64 = 5_000;
/// Greatest frame number; the next one is 0.
pub const ID_MAX: u16 = 9_999;
/// The longest patience a till may ask for.
pub const PATIENCE_SECS_MAX: u64 = 600;
/// The longest time for which a till may put a result off.
pub const LATER_SECS_MAX: u64 = 60;
/// Frames that may wait to be sent. Full: the oldest progress goes, then the oldest failed try, then the oldest answer
/// (the till asks again); results stay, one for each sale, and the oldest counts as unheard.
pub const WAITING_MAX: usize = 16;
/// Unheard results that are remembered so that a late *taken* still counts and the shop is asked when the till is back.
pub const UNHEARD_MAX: usize = 8;
/// Longest explaining text in a frame.
pub const TEXT_BYTES_MAX: usize = 40;

/// What the driver needs to know of its till.
#[derive(Clone, Debug)]
pub struct PlainSettings {
    /// The till's number, for receipts.
    pub till: TillNumber,
    /// The shop's currency, for limits and sums.
    pub currency: Currency,
    /// What receipts say about the shop.
    pub facts: ReceiptFacts,
    /// Width of the till's paper, in characters.
    pub columns: usize,
    /// How long one byte takes on the line, in microseconds.
    pub byte_us: u64,
}

/// The driver of one till.
#[derive(Debug)]
pub struct Plain {
    settings: PlainSettings,
    decoder: Decoder,
    up: bool,
    next_id: u16,
    /// The first one is on its way while `flight` says so.
    waiting: VecDeque<Frame>,
    flight: Option<Flight>,
    heard: Option<Heard>,
    unheard: VecDeque<Unheard>,
    /// Whether the till has said anything since the frame on its way was first sent.
    spoke: bool,
    counts: Counts,
}

/// A result that was given up.
#[derive(Clone, Copy, Debug)]
struct Unheard {
    sale: SaleId,
    ticket: Option<Ticket>,
    /// Whether the till was silent all the time. One that spoke but never took the result is not asked for again
    /// and again: it would be told the same for ever.
    silent: bool,
}

/// A frame of ours, without its number.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Frame {
    kind: Kind,
    word: &'static str,
    rest: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Answer,
    Progress { sale: SaleId },
    FailedTry,
    Result { sale: SaleId, ticket: Option<Ticket> },
}

#[derive(Clone, Copy, Debug)]
struct Flight {
    id: u16,
    sends: u32,
    due: Mono,
}

/// The last request and what was answered to it.
#[derive(Debug)]
struct Heard {
    body: String,
    reply: String,
    at: Mono,
}

impl Plain {
    /// A driver whose line is still down. `first_id` numbers its first frame: any number that is not always the same.
    pub fn new(settings: PlainSettings, first_id: u16) -> Plain {
        Plain {
            settings,
            decoder: Decoder::default(),
            up: false,
            next_id: first_id % (ID_MAX + 1),
            waiting: VecDeque::new(),
            flight: None,
            heard: None,
            unheard: VecDeque::new(),
            spoke: false,
            counts: Counts::default(),
        }
    }

    /// Frames that wait, results that are remembered, and bytes of a frame begun.
    #[cfg(feature = "fuzzing")]
    pub(super) fn held(&self) -> (usize, usize, usize) {
        (self.waiting.len(), self.unheard.len(), self.decoder.held())
    }

    fn heard_body(&mut self, now: Mono, body: &str, out: &mut Out) {
        let fields: Vec<&str> = body.split('|').collect();
        let (word, id, rest) = match fields.as_slice() {
            [word, id, rest @ ..] => (*word, number(id, u64::from(ID_MAX)), rest),
            [] | [_] => ("", None, fields.as_slice()),
        };
        let Some(id) = id.and_then(|n| u16::try_from(n).ok()) else {
            self.counts.bad_frames = self.counts.bad_frames.saturating_add(1);
            return;
        };
        self.spoke = true;
        match word {
            "ACK" | "TAKEN" | "LATER" | "REJECT" => self.reply(now, word, id, rest, out),
            _ => self.request(now, body, word, id, rest, out),
        }
        self.ask_for_unheard(word, |u| u.silent, out);
    }

    /// An answer of the till to a frame of ours.
    fn reply(&mut self, now: Mono, word: &str, id: u16, rest: &[&str], out: &mut Out) {
        let front = self.waiting.front().filter(|_| self.flight.is_some_and(|f| f.id == id)).map(|f| f.kind);
        let event = match (front, Reply::parse(word, rest)) {
            (_, None) => return self.counts.bad_frames = self.counts.bad_frames.saturating_add(1),
            (Some(Kind::Answer | Kind::Progress { .. } | Kind::FailedTry), Some(Reply::Ack)) => None,
            (Some(Kind::Result { sale, ticket }), Some(Reply::Taken(t))) if same(t, ticket) => {
                Some(TillEvent::Taken { sale })
            }
            (Some(Kind::Result { sale, ticket }), Some(Reply::Later(t, secs))) if same(t, ticket) => {
                Some(TillEvent::TakeLater { sale, after_ms: secs.saturating_mul(1_000) })
            }
            (Some(Kind::Result { sale, ticket }), Some(Reply::Reject(t))) if same(t, ticket) => {
                Some(TillEvent::Rejected { sale })
            }
            (Some(_) | None, Some(Reply::Taken(ticket))) => return self.taken_late(ticket, out),
            // Late or doubled: its frame was answered before.
            (Some(_) | None, Some(Reply::Ack | Reply::Later(..) | Reply::Reject(_))) => return,
        };
        out.events.extend(event);
        self.waiting.pop_front();
        self.flight = None;
        self.send_next(now, out);
    }

    /// A result that was given up as unheard was taken after all.
    fn taken_late(&mut self, ticket: Option<Ticket>, out: &mut Out) {
        let at = self.unheard.iter().position(|u| ticket.is_some() && same(u.ticket, ticket));
        if let Some(Unheard { sale, .. }) = at.and_then(|at| self.unheard.remove(at)) {
            out.events.push(TillEvent::Taken { sale });
        }
    }

    fn request(&mut self, now: Mono, body: &str, word: &str, id: u16, rest: &[&str], out: &mut Out) {
        if let Some(last) = self.heard.as_mut()
            && last.body == body
            && last.at.ms_until(now) <= REPEAT_WINDOW_MS
        {
            last.at = now;
            self.counts.repeats_heard = self.counts.repeats_heard.saturating_add(1);
            let reply = last.reply.clone();
            return self.write(&reply, out);
        }
        let reply = match Request::parse(word, rest) {
            Ok(request) => {
                out.events.extend(request.event());
                format!("ACK|{id}")
            }
            Err(why) => {
                self.counts.bad_frames = self.counts.bad_frames.saturating_add(1);
                format!("BAD|{id}|{why}")
            }
        };
        self.write(&reply, out);
        self.heard = Some(Heard { body: body.to_owned(), reply, at: now });
    }

    /// The till is there again: the shop says what is true by now of the results that it has not heard.
    fn ask_for_unheard(&mut self, word: &str, which: impl Fn(&Unheard) -> bool, out: &mut Out) {
        // A till that begins a sale or asks for results itself knows what it wants to hear.
        let asks_itself = matches!(word, "PAY" | "REFUND" | "REVERSE" | "LAST");
        self.unheard.retain(|u| {
            let asked = which(u) && !asks_itself;
            if asked {
                out.events.push(TillEvent::AskedAgain { ticket: u.ticket });
            }
            !asked && !asks_itself
        });
    }

    fn queue(&mut self, now: Mono, kind: Kind, word: &'static str, rest: String, out: &mut Out) {
        let frame = Frame { kind, word, rest };
        let first = usize::from(self.flight.is_some());
        match kind {
            Kind::Progress { .. } => self.drop_waiting(first, |k| k == kind),
            Kind::Result { sale, .. } => {
                self.unheard.retain(|u| u.sale != sale);
                self.drop_waiting(first, |k| k == Kind::Progress { sale });
                if let Some(at) = self.waiting.iter().position(|f| f.kind == kind) {
                    return self.replace(now, at, frame, out);
                }
            }
            Kind::Answer | Kind::FailedTry => {}
        }
        self.make_room(first, out);
        self.waiting.push_back(frame);
        self.send_next(now, out);
    }

    /// A newer result of the same sale; the one on its way, if it is another, must no longer be taken.
    fn replace(&mut self, now: Mono, at: usize, frame: Frame, out: &mut Out) {
        let on_its_way = at == 0 && self.flight.is_some();
        let Some(old) = self.waiting.get_mut(at) else { return };
        if *old == frame {
            return;
        }
        *old = frame;
        if on_its_way {
            self.flight = None;
            self.send_next(now, out);
        }
    }

    fn make_room(&mut self, first: usize, out: &mut Out) {
        if self.waiting.len() < WAITING_MAX {
            return;
        }
        let oldest = |wanted: fn(Kind) -> bool| {
            let mut after_flight = self.waiting.iter().enumerate().skip(first);
            after_flight.find(|(_, f)| wanted(f.kind)).map(|(at, _)| at)
        };
        let at = oldest(|k| matches!(k, Kind::Progress { .. }))
            .or_else(|| oldest(|k| k == Kind::FailedTry))
            .or_else(|| oldest(|k| k == Kind::Answer))
            .unwrap_or(first);
        if let Some(Frame { kind: Kind::Result { sale, ticket }, .. }) = self.waiting.remove(at) {
            self.give_up(sale, ticket, out);
        }
    }

    fn drop_waiting(&mut self, first: usize, unwanted: impl Fn(Kind) -> bool) {
        let mut at = 0_usize;
        self.waiting.retain(|f| {
            at = at.saturating_add(1);
            at <= first || !unwanted(f.kind)
        });
    }

    fn give_up(&mut self, sale: SaleId, ticket: Option<Ticket>, out: &mut Out) {
        out.events.push(TillEvent::Unheard { sale });
        self.unheard.push_back(Unheard { sale, ticket, silent: !self.spoke });
        if self.unheard.len() > UNHEARD_MAX {
            self.unheard.pop_front();
        }
    }

    fn send_next(&mut self, now: Mono, out: &mut Out) {
        if self.flight.is_none() && !self.waiting.is_empty() {
            let id = self.next_id;
            self.next_id = if id >= ID_MAX { 0 } else { id.saturating_add(1) };
            self.spoke = false;
            self.send(now, id, 1, out);
        }
    }

    fn send(&mut self, now: Mono, id: u16, sends: u32, out: &mut Out) {
        let Some(frame) = self.waiting.front() else { return };
        let body = if frame.rest.is_empty() {
            format!("{}|{id}", frame.word)
        } else {
            format!("{}|{id}|{}", frame.word, frame.rest)
        };
        let bytes_out = u64::try_from(body.len()).unwrap_or(u64::MAX).saturating_add(6);
        let line_ms = bytes_out.saturating_mul(self.settings.byte_us).div_ceil(1_000);
        self.flight = Some(Flight { id, sends, due: now.plus_ms(ACK_WAIT_MS.saturating_add(line_ms)) });
        self.write(&body, out);
    }

    fn write(&self, body: &str, out: &mut Out) {
        if self.up {
            out.bytes.extend_from_slice(&encode(body));
        }
    }
}

impl Driver for Plain {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            shows_progress: true,
            aborts: true,
            refunds: true,
            result_channel: true,
            prints: Prints::Lines,
            longest_wait_ms: PATIENCE_SECS_MAX * 1_000,
            gap_ms: 0,
        }
    }

    fn received(&mut self, now: Mono, bytes: &[u8], out: &mut Out) {
        for byte in bytes {
            if let Some(body) = self.decoder.push(*byte) {
                self.heard_body(now, &body, out);
            }
        }
    }

    fn tell(&mut self, now: Mono, answer: &TillAnswer, out: &mut Out) {
        let currency = self.settings.currency;
        let (kind, word, rest) = match answer {
            TillAnswer::Accepted { ticket, code, .. } => {
                (Kind::Answer, "ACCEPT", format!("{}|{code}", ticket_fields(*ticket)))
            }
            TillAnswer::Refused { ticket, why } => {
                (Kind::Answer, "REFUSE", format!("{}|{}", ticket_fields(*ticket), refusal_fields(*why, currency)))
            }
            TillAnswer::Progress { sale, ticket, progress } => progress_frame(*sale, *ticket, *progress),
            TillAnswer::Finish(finish) => {
                let kind = Kind::Result { sale: finish.sale, ticket: finish.ticket };
                (kind, "RESULT", result_fields(&self.settings, finish))
            }
            TillAnswer::NothingToRepeat { ticket } => (Kind::Answer, "NORESULT", ticket_fields(*ticket)),
            TillAnswer::NothingToAbort { ticket } => (Kind::Answer, "NOABORT", ticket_fields(*ticket)),
            TillAnswer::Aborting { ticket } => (Kind::Answer, "ABORTING", ticket_fields(*ticket)),
            TillAnswer::Status { ready: Ok(()) } => (Kind::Answer, "STATE", "READY|ready".to_owned()),
            TillAnswer::Status { ready: Err(why) } => (Kind::Answer, "STATE", refusal_fields(*why, currency)),
            TillAnswer::Totals(totals) if totals.of == Span::Day => {
                (Kind::Answer, "DAYSUMS", day_fields(totals, currency))
            }
            TillAnswer::Totals(totals) => (Kind::Answer, "SUMS", totals_fields(totals, currency)),
        };
        self.queue(now, kind, word, rest, out);
    }

    fn deadline(&self) -> Option<Mono> {
        self.flight.map(|f| f.due)
    }

    fn passed(&mut self, now: Mono, out: &mut Out) {
        let Some(flight) = self.flight.filter(|f| f.due <= now) else { return };
        let Some(frame) = self.waiting.front() else { return };
        let repeats = match frame.kind {
            Kind::Result { .. } => RESULT_REPEATS,
            Kind::Answer | Kind::Progress { .. } | Kind::FailedTry => REPEATS,
        };
        if flight.sends <= repeats {
            self.counts.repeats_sent = self.counts.repeats_sent.saturating_add(1);
            return self.send(now, flight.id, flight.sends.saturating_add(1), out);
        }
        self.flight = None;
        if let Some(Frame { kind: Kind::Result { sale, ticket }, .. }) = self.waiting.pop_front() {
            self.give_up(sale, ticket, out);
        }
        self.send_next(now, out);
    }

    fn line(&mut self, now: Mono, up: bool, out: &mut Out) {
        if up == self.up {
            return;
        }
        self.up = up;
        self.decoder.cut();
        if !up {
            return out.events.push(TillEvent::Offline);
        }
        out.events.push(TillEvent::Online);
        self.ask_for_unheard("", |_| true, out);
        if let Some(flight) = self.flight {
            self.send(now, flight.id, 1, out);
        }
    }

    fn counts(&self) -> Counts {
        Counts {
            junk_bytes: self.decoder.junk_bytes,
            bad_frames: self.counts.bad_frames.saturating_add(self.decoder.bad_frames),
            ..self.counts
        }
    }
}

fn ticket_fields(ticket: Option<Ticket>) -> String {
    match ticket {
        None => "|".to_owned(),
        Some(Ticket { epoch, number }) => format!("{}|{number}", epoch.unwrap_or(0)),
    }
}

/// Whether the till means this ticket, as it was written to it.
fn same(one: Option<Ticket>, other: Option<Ticket>) -> bool {
    ticket_fields(one) == ticket_fields(other)
}

fn refusal_fields(why: Refusal, currency: Currency) -> String {
    let (word, text) = words::refusal(why, currency);
    format!("{word}|{}", field(&text, TEXT_BYTES_MAX))
}

fn progress_frame(sale: SaleId, ticket: Option<Ticket>, progress: Progress) -> (Kind, &'static str, String) {
    let ticket = ticket_fields(ticket);
    if let Progress::Failed { reason, try_no, new_attempt } = progress {
        let (word, text) = words::reason(reason);
        let next = if new_attempt { "NEW" } else { "SAME" };
        return (Kind::FailedTry, "FAILED", format!("{ticket}|{try_no}|{word}|{next}|{text}"));
    }
    let (word, text) = words::step(progress).unwrap_or_default();
    (Kind::Progress { sale }, "PROGRESS", format!("{ticket}|{word}|{text}"))
}

fn result_fields(settings: &PlainSettings, finish: &Finish) -> String {
    let lines = receipt::lines(&settings.facts, settings.till, settings.columns, finish);
    let payment = finish.attempt.map(|a| a.to_string()).unwrap_or_default();
    let mut fields = format!(
        "{}|{}|{}|{}|{}|{}|{payment}|{}|{}|{}|{}",
        ticket_fields(finish.ticket),
        words::outcome(finish),
        words::outcome_reason(finish),
        finish.amount.minor(),
        finish.amount.currency(),
        finish.given_back_minor,
        finish.code,
        finish.failed_tries,
        field(&words::outcome_text(finish), TEXT_BYTES_MAX),
        lines.len(),
    );
    for line in lines {
        fields.push('|');
        fields.push_str(&line);
    }
    fields
}

fn totals_fields(totals: &Totals, currency: Currency) -> String {
    let Totals { of, mark: _, approved, approved_minor, given_back: _, given_back_minor, unpaid } = totals;
    let epoch = match of {
        Span::Epoch(epoch) => epoch.to_string(),
        Span::All | Span::Day => String::new(),
    };
    format!("{epoch}|{approved}|{approved_minor}|{given_back_minor}|{unpaid}|{currency}")
}

fn day_fields(totals: &Totals, currency: Currency) -> String {
    let Totals { of: _, mark, approved, approved_minor, given_back, given_back_minor, unpaid } = totals;
    format!("{mark}|{approved}|{approved_minor}|{given_back}|{given_back_minor}|{unpaid}|{currency}")
}

#[cfg(test)]
#[path = "plain_tests.rs"]
mod tests;
