//! The terminal's side of Concert E+, as French tills speak it. Owns no port; messages are read and written in
//! `concert_frames.rs`.
//!
//! The protocol has neither tickets nor a word on whose result an answer is. So an answer goes out for the till's last
//! request only, never for an older one: the till would take it for the new customer's.

use super::concert_frames::{ACK, ENQ, EOT, NAK, OLD_REQUEST_CHARS, REQUEST_CHARS, Request, STX, Verdict, unframed};
use super::driver::{Capabilities, Counts, Driver, Out, Prints};
use crate::shop::effect::{Finish, Outcome, TillAnswer};
use crate::shop::event::{Ask, TillEvent, TillNumber};
use crate::shop::id::SaleId;
use crate::shop::time::Mono;

/// How long a sale may take. A till waits 120 s for its answer; the rest is for telling it.
pub const PATIENCE_MS: u64 = 110_000;
/// How long a till waits for its answer. Then it is no longer busy for us either.
pub const TILL_WAIT_MS: u64 = 120_000;
/// When a till that wants to be answered at once is told *not known yet*, if the shop has not spoken; it waits 3 s.
pub const AT_ONCE_MS: u64 = 2_500;
/// How long a till that has called may take for its message.
pub const REQUEST_WAIT_MS: u64 = 3_000;
/// How long a message may pause; less than the second for which the till waits for our answer.
pub const GAP_MS: u64 = 500;
/// How many messages that do not check are answered in one exchange.
pub const REQUEST_TRIES: u32 = 4;
/// How long after its message a till may close the exchange; more than the 3 s after which the slowest one repeats it.
pub const EOT_WAIT_MS: u64 = 3_500;
/// How long to wait for the answer to our call, which is also the time from one call to the next.
pub const CALL_EVERY_MS: u64 = 1_000;
/// How often the till is called for one answer.
pub const CALLS: u32 = 3;
/// How long to wait for the till's word on our answer, from the moment its last byte is out.
pub const ANSWER_WAIT_MS: u64 = 3_000;
/// How often an answer that the till did not understand is said again.
pub const ANSWER_REPEATS: u32 = 3;
/// Bytes of a request on the line behind STX.
const REQUEST_BYTES: usize = REQUEST_CHARS + 2;

/// STX with even parity, read as eight bits.
const STX_7E1: u8 = 0x82;

/// What a shop may say about a Concert till.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConcertOptions {
    /// The number that the till writes into its requests, 0 to 99; without it the last two digits of its number.
    pub number: Option<u8>,
}

impl ConcertOptions {
    /// The number on the line, as written.
    fn written(self, till: TillNumber) -> String {
        format!("{:02}", self.number.map_or(till.number() % 100, |n| u16::from(n) % 100))
    }
}

/// The driver of one till.
#[derive(Debug)]
pub struct Concert {
    /// The till's number on the line.
    number: String,
    byte_us: u64,
    up: bool,
    place: Place,
    /// Of a message that is passed over: how many bytes may still come, and when it is over at the latest.
    skip: Option<(usize, Mono)>,
    asked: Option<Asked>,
    telling: Option<Telling>,
    /// The answer went out in this very read: what else is in it was said before.
    answered_now: bool,
    memory: Vec<u8>,
    counts: Counts,
}

/// What happens on the line.
#[derive(Debug)]
enum Place {
    Idle,
    /// An answer waits for its next call.
    Resting {
        until: Mono,
    },
    /// The till has called; its message comes.
    Message {
        until: Mono,
        begun: Option<Begun>,
        tries: u32,
    },
    /// The message is good; the till closes. `again`: it is the request of the sale under way once more.
    Closing {
        request: Request,
        again: bool,
        until: Mono,
    },
    /// We have called.
    Called {
        until: Mono,
    },
    /// Our answer is out. `stale`: a newer one has come meanwhile.
    Answered {
        until: Mono,
        repeats: u32,
        stale: bool,
    },
}

/// A message of which STX has come.
#[derive(Debug)]
struct Begun {
    bytes: Vec<u8>,
    gap: Mono,
}

/// The till's last request.
#[derive(Debug)]
struct Asked {
    request: Request,
    /// The sale it became, until its result is taken or told in vain.
    sale: Option<SaleId>,
    wait: Wait,
    /// Whether the till closed the exchange; if not, it may not know that we took its request.
    closed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    /// For the shop's word whether it takes the request. `say_by`: the till must be answered then.
    Shop { until: Mono, say_by: Option<Mono> },
    /// For the end of the sale.
    Result { until: Mono },
    /// For nothing.
    Over,
}

/// An answer on its way.
#[derive(Debug)]
struct Telling {
    /// Whose result it is; none if nothing hangs on it.
    sale: Option<SaleId>,
    message: Vec<u8>,
    calls: u32,
    /// Not before then.
    next: Mono,
}

impl Concert {
    /// A driver whose line is still down. `byte_us`: how long one byte takes on the line, in microseconds. `memory`:
    /// what [`Driver::memory`] of an earlier one was, or nothing.
    pub fn new(till: TillNumber, options: ConcertOptions, byte_us: u64, memory: &[u8]) -> Concert {
        Concert {
            number: options.written(till),
            byte_us,
            up: false,
            place: Place::Idle,
            skip: None,
            asked: recalled(memory),
            telling: None,
            answered_now: false,
            memory: memory.to_vec(),
            counts: Counts::default(),
        }
    }

    fn byte(&mut self, now: Mono, byte: u8, out: &mut Out) {
        if self.skips(now, byte) {
            self.counts.junk_bytes = self.counts.junk_bytes.saturating_add(1);
            return;
        }
        match (&mut self.place, byte) {
            (Place::Message { begun: Some(begun), .. }, _) => {
                begun.bytes.push(byte);
                begun.gap = now.plus_ms(GAP_MS);
                if begun.bytes.len() >= REQUEST_BYTES {
                    self.message(now, out);
                }
            }
            // What is said to us while we speak is said by a till that no longer listens: it goes first.
            (_, ENQ) => self.called(now, out),
            (Place::Message { begun, .. }, STX) => *begun = Some(Begun::at(now)),
            (Place::Message { .. }, STX_7E1) => {
                out.warnings
                    .push("the till's line seems to be 7E1: set data_bits = 7 and parity = \"even\"".to_owned());
                self.counts.junk_bytes = self.counts.junk_bytes.saturating_add(1);
            }
            (Place::Message { .. }, EOT) => self.rest(now, out),
            (Place::Closing { .. }, STX) => {
                let until = now.plus_ms(REQUEST_WAIT_MS);
                self.place = Place::Message { until, begun: Some(Begun::at(now)), tries: 0 };
            }
            (Place::Closing { request, again, .. }, EOT) => {
                let (request, again) = (*request, *again);
                self.begin(now, request, again, true, out);
            }
            (Place::Called { .. }, ACK) => self.answer(now, 0, out),
            (Place::Answered { stale, .. }, ACK) if !self.answered_now => {
                let stale = *stale;
                self.taken(stale, out);
            }
            (Place::Answered { repeats, .. }, NAK) if !self.answered_now => {
                let repeats = *repeats;
                self.not_understood(now, repeats, out);
            }
            // The till is busy: it is called again in a while.
            (Place::Called { .. }, NAK) => {}
            (
                Place::Idle
                | Place::Resting { .. }
                | Place::Message { .. }
                | Place::Closing { .. }
                | Place::Called { .. }
                | Place::Answered { .. },
                _,
            ) => self.counts.junk_bytes = self.counts.junk_bytes.saturating_add(1),
        }
    }

    /// A message that nobody has called for is passed over as a whole: its check may be any byte, and would be heard as a
    /// call or as an acknowledgement.
    fn skips(&mut self, now: Mono, byte: u8) -> bool {
        if let Some((left, gap)) = self.skip.take().filter(|(_, gap)| now < *gap) {
            let left = left.saturating_sub(1);
            self.skip = (left > 0).then_some((left, gap.max(now.plus_ms(GAP_MS))));
            return true;
        }
        let expected = matches!(self.place, Place::Message { .. } | Place::Closing { .. });
        let begins = byte == STX && !expected;
        self.skip = begins.then_some((REQUEST_BYTES, now.plus_ms(GAP_MS)));
        begins
    }

    /// The till calls.
    fn called(&mut self, now: Mono, out: &mut Out) {
        if self.asked.as_ref().is_some_and(|asked| asked.wait != Wait::Over && asked.closed) {
            return self.write(&[NAK], out);
        }
        self.place = Place::Message { until: now.plus_ms(REQUEST_WAIT_MS), begun: None, tries: 0 };
        self.write(&[ACK], out);
    }

    /// A message is there, as long as a request is.
    fn message(&mut self, now: Mono, out: &mut Out) {
        let Place::Message { begun, tries, .. } = &mut self.place else { return };
        let (bytes, tries) = (begun.take().map_or(Vec::new(), |begun| begun.bytes), tries.saturating_add(1));
        let request = unframed(&[&[STX], bytes.as_slice()].concat()).and_then(Request::read);
        let open = self.open_request();
        let Some(request) = request.filter(|request| open.is_none_or(|open| open == *request)) else {
            return self.message_lost(now, tries, &bytes, out);
        };
        if open.is_none() {
            // From our word on the till waits for this one's answer, however the exchange ends.
            self.give_up(out);
            self.forget();
        }
        self.place = Place::Closing { request, again: open.is_some(), until: now.plus_ms(EOT_WAIT_MS) };
        self.write(&[ACK], out);
    }

    /// A message does not check, or has stopped in the middle.
    fn message_lost(&mut self, now: Mono, tries: u32, bytes: &[u8], out: &mut Out) {
        self.counts.bad_frames = self.counts.bad_frames.saturating_add(1);
        let old = unframed(&[&[STX], bytes].concat()).is_some_and(|body| body.len() == OLD_REQUEST_CHARS);
        if old {
            out.warnings.push("the till speaks Concert E: set it to E+".to_owned());
        }
        self.write(&[NAK], out);
        if tries < REQUEST_TRIES {
            self.place = Place::Message { until: now.plus_ms(REQUEST_WAIT_MS), begun: None, tries };
        } else {
            // The till's next word comes first: a call on the heels of our refusal would meet it.
            if let Some(telling) = &mut self.telling {
                telling.next = telling.next.max(now.plus_ms(CALL_EVERY_MS));
            }
            self.rest(now, out);
        }
    }

    /// The request of a sale under way that the till may not know of: only the same one may be asked again.
    fn open_request(&self) -> Option<Request> {
        self.asked.as_ref().filter(|asked| asked.wait != Wait::Over).map(|asked| asked.request)
    }

    /// The request counts: the till has closed, or has been silent for so long that it waits for the answer.
    fn begin(&mut self, now: Mono, request: Request, again: bool, closed: bool, out: &mut Out) {
        let until = now.plus_ms(TILL_WAIT_MS);
        // The till had not heard that its request was taken. The sale may have ended meanwhile.
        if let Some(asked) = self.asked.as_mut().filter(|_| again) {
            asked.closed |= closed;
            asked.wait = match asked.wait {
                Wait::Shop { say_by, .. } => Wait::Shop { until, say_by },
                Wait::Result { .. } => Wait::Result { until },
                Wait::Over => Wait::Over,
            };
            self.counts.repeats_heard = self.counts.repeats_heard.saturating_add(1);
            return self.rest(now, out);
        }
        self.place = Place::Idle;
        let refused = self.ask(&request).map_err(|why| out.warnings.push(why));
        let wait = match &refused {
            Ok(_) => Wait::Shop { until, say_by: request.at_once().then(|| now.plus_ms(AT_ONCE_MS)) },
            Err(()) => Wait::Over,
        };
        self.asked = Some(Asked { request, sale: None, wait, closed });
        match refused {
            Ok(ask) => out.events.push(TillEvent::Asked(ask)),
            Err(()) => {
                self.counts.bad_frames = self.counts.bad_frames.saturating_add(1);
                self.say(now, None, Verdict::Refused, request.minor(), out);
            }
        }
    }

    /// What the request asks of the shop, or what an installer should read.
    fn ask(&self, request: &Request) -> Result<Ask, String> {
        if request.number() != self.number {
            let (said, wanted) = (request.number(), &self.number);
            return Err(format!("the till calls itself {said:?} instead of {wanted:?}: refused, correct its number"));
        }
        let kind = request.kind().filter(|_| request.by_card());
        let kind = kind.ok_or("the till asks for something other than a card payment: refused")?;
        let amount = request.amount().ok_or_else(|| {
            format!(
                "the till names currency {:?}, which is none: refused, correct its currency",
                request.currency_number()
            )
        })?;
        if amount.minor() == 0 {
            return Err("the till asks for nothing (0.00): refused".to_owned());
        }
        let hears_result = !request.at_once();
        Ok(Ask { ticket: None, amount, kind, of: None, patience_ms: PATIENCE_MS, hears_result })
    }

    /// Has the till told this. It takes the place of what was still to be told.
    fn say(&mut self, now: Mono, sale: Option<SaleId>, verdict: Verdict, minor: u64, out: &mut Out) {
        let Some(asked) = &self.asked else { return };
        let message = asked.request.answer(verdict, minor);
        if let Some(telling) = self.telling.as_mut() {
            let same = telling.message == message && telling.sale == sale;
            if let Place::Answered { stale, .. } = &mut self.place {
                *stale |= !same;
            }
            (telling.sale, telling.message) = (sale, message);
            return;
        }
        self.telling = Some(Telling { sale, message, calls: 0, next: now });
        if let Place::Idle = self.place {
            self.call(now, out);
        }
    }

    /// Calls the till, or gives up.
    fn call(&mut self, now: Mono, out: &mut Out) {
        let Some(telling) = self.telling.as_mut() else { return self.place = Place::Idle };
        if telling.calls >= CALLS {
            return self.give_up(out);
        }
        telling.calls = telling.calls.saturating_add(1);
        telling.next = now.plus_ms(CALL_EVERY_MS);
        if telling.calls > 1 {
            self.counts.repeats_sent = self.counts.repeats_sent.saturating_add(1);
        }
        self.place = Place::Called { until: telling.next };
        self.write(&[ENQ], out);
    }

    fn answer(&mut self, now: Mono, repeats: u32, out: &mut Out) {
        let Some(message) = self.telling.as_ref().map(|telling| telling.message.clone()) else { return };
        let bytes = u64::try_from(message.len()).unwrap_or(u64::MAX);
        let until = now.plus_ms(ANSWER_WAIT_MS.saturating_add(bytes.saturating_mul(self.byte_us).div_ceil(1_000)));
        self.place = Place::Answered { until, repeats, stale: false };
        self.answered_now = true;
        self.write(&message, out);
    }

    fn not_understood(&mut self, now: Mono, repeats: u32, out: &mut Out) {
        if repeats >= ANSWER_REPEATS {
            self.write(&[EOT], out);
            return self.give_up(out);
        }
        self.counts.repeats_sent = self.counts.repeats_sent.saturating_add(1);
        self.answer(now, repeats.saturating_add(1), out);
    }

    /// The till has acknowledged the answer. If that is no longer the newest, it does not have the newest.
    fn taken(&mut self, stale: bool, out: &mut Out) {
        if stale {
            self.write(&[EOT], out);
            return self.give_up(out);
        }
        self.place = Place::Idle;
        if let Some(Telling { sale: Some(sale), .. }) = self.telling.take() {
            out.events.push(TillEvent::Taken { sale });
            self.forget();
        }
        self.write(&[EOT], out);
    }

    /// Not taken. A till that could have heard us is not called for this again: it no longer waits, and bytes that it
    /// has not read would spoil its next calls. It hears of it when it asks anew.
    fn give_up(&mut self, out: &mut Out) {
        self.place = Place::Idle;
        if let Some(Telling { sale: Some(sale), .. }) = self.telling.take() {
            out.events.push(TillEvent::Unheard { sale });
            if self.up {
                self.forget();
            }
        }
    }

    fn forget(&mut self) {
        self.memory.clear();
        if let Some(asked) = self.asked.as_mut() {
            asked.sale = None;
        }
    }

    /// The till's exchange is over; what was to be told is told, a second after the last call.
    fn rest(&mut self, now: Mono, out: &mut Out) {
        match self.telling.as_ref().map(|telling| telling.next) {
            Some(until) if until > now => self.place = Place::Resting { until },
            Some(_) | None => self.call(now, out),
        }
    }

    /// The shop has taken the request on as this sale.
    fn accepted(&mut self, now: Mono, sale: SaleId, out: &mut Out) {
        let Some(asked) = self.asked.as_mut() else { return };
        let Wait::Shop { until, say_by } = asked.wait else { return };
        if !asked.request.at_once() {
            asked.sale = Some(sale);
            asked.wait = Wait::Result { until };
            self.memory = remembered(&asked.request, sale);
            return;
        }
        asked.wait = Wait::Over;
        let minor = asked.request.minor();
        if say_by.is_some() {
            self.say(now, None, Verdict::NotYet, minor, out);
        }
    }

    fn refused(&mut self, now: Mono, out: &mut Out) {
        let Some(asked) = self.asked.as_mut() else { return };
        let Wait::Shop { say_by, .. } = asked.wait else { return };
        let (minor, answered) = (asked.request.minor(), asked.request.at_once() && say_by.is_none());
        asked.wait = Wait::Over;
        if answered {
            out.warnings
                .push("a sale was refused after the till had been answered that it is not known yet".to_owned());
        } else {
            self.say(now, None, Verdict::Refused, minor, out);
        }
    }

    fn finish(&mut self, now: Mono, finish: &Finish, out: &mut Out) {
        let Some(asked) = self.asked.as_mut().filter(|asked| asked.sale == Some(finish.sale)) else {
            return out.events.push(TillEvent::Unheard { sale: finish.sale });
        };
        asked.wait = Wait::Over;
        let (verdict, asked_minor) = (verdict(finish), asked.request.minor());
        let minor = if verdict == Verdict::Done { finish.amount.minor() } else { asked_minor };
        self.say(now, Some(finish.sale), verdict, minor, out);
    }

    fn line_passed(&mut self, now: Mono, out: &mut Out) {
        match &mut self.place {
            Place::Idle => {}
            Place::Message { begun, tries, .. } => match begun.take() {
                Some(Begun { bytes, .. }) => {
                    let tries = tries.saturating_add(1);
                    self.message_lost(now, tries, &bytes, out);
                }
                None => self.rest(now, out),
            },
            Place::Closing { request, again, .. } => {
                let (request, again) = (*request, *again);
                self.begin(now, request, again, false, out);
            }
            Place::Resting { .. } | Place::Called { .. } | Place::Answered { .. } => self.call(now, out),
        }
    }

    fn wait_passed(&mut self, now: Mono, out: &mut Out) {
        let Some(asked) = self.asked.as_mut() else { return };
        let minor = asked.request.minor();
        match asked.wait {
            Wait::Shop { until, .. } | Wait::Result { until } if until <= now => asked.wait = Wait::Over,
            Wait::Shop { until, say_by: Some(by) } if by <= now => {
                asked.wait = Wait::Shop { until, say_by: None };
                self.say(now, None, Verdict::NotYet, minor, out);
            }
            Wait::Shop { .. } | Wait::Result { .. } | Wait::Over => {}
        }
    }

    fn line_deadline(&self) -> Option<Mono> {
        match &self.place {
            Place::Idle => None,
            Place::Message { until, begun, .. } => begun.as_ref().map(|begun| begun.gap.min(*until)).or(Some(*until)),
            Place::Resting { until }
            | Place::Closing { until, .. }
            | Place::Called { until }
            | Place::Answered { until, .. } => Some(*until),
        }
    }

    fn wait_deadline(&self) -> Option<Mono> {
        match self.asked.as_ref()?.wait {
            Wait::Shop { until, say_by } => Some(say_by.map_or(until, |by| by.min(until))),
            Wait::Result { until } => Some(until),
            Wait::Over => None,
        }
    }

    fn write(&self, bytes: &[u8], out: &mut Out) {
        if self.up {
            out.bytes.extend_from_slice(bytes);
        }
    }

    /// Bytes of a message begun.
    #[cfg(feature = "fuzzing")]
    pub(super) fn held(&self) -> usize {
        let Place::Message { begun: Some(begun), .. } = &self.place else { return 0 };
        begun.bytes.len()
    }
}

impl Begun {
    fn at(now: Mono) -> Begun {
        Begun { bytes: Vec::with_capacity(REQUEST_BYTES), gap: now.plus_ms(GAP_MS) }
    }
}

impl Driver for Concert {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            shows_progress: false,
            aborts: false,
            refunds: true,
            result_channel: true,
            prints: Prints::None,
            longest_wait_ms: PATIENCE_MS,
            gap_ms: 0,
        }
    }

    fn received(&mut self, now: Mono, bytes: &[u8], out: &mut Out) {
        self.answered_now = false;
        for byte in bytes {
            self.byte(now, *byte, out);
        }
    }

    fn tell(&mut self, now: Mono, answer: &TillAnswer, out: &mut Out) {
        match answer {
            TillAnswer::Accepted { sale, .. } => self.accepted(now, *sale, out),
            TillAnswer::Refused { .. } => self.refused(now, out),
            TillAnswer::Finish(finish) => self.finish(now, finish, out),
            // Nothing of the kind can be said or was asked.
            TillAnswer::Progress { .. }
            | TillAnswer::NothingToRepeat { .. }
            | TillAnswer::NothingToAbort { .. }
            | TillAnswer::Aborting { .. }
            | TillAnswer::Status { .. }
            | TillAnswer::Totals(_) => {}
        }
    }

    fn deadline(&self) -> Option<Mono> {
        [self.line_deadline(), self.wait_deadline()].into_iter().flatten().min()
    }

    fn passed(&mut self, now: Mono, out: &mut Out) {
        // Time out first: a till that has given up is not told *not known yet*.
        if self.wait_deadline().is_some_and(|due| due <= now) {
            self.wait_passed(now, out);
        }
        if self.line_deadline().is_some_and(|due| due <= now) {
            self.line_passed(now, out);
        }
    }

    fn line(&mut self, now: Mono, up: bool, out: &mut Out) {
        if up == self.up {
            return;
        }
        self.up = up;
        self.skip = None;
        if let Place::Message { begun: Some(_), .. } = self.place {
            self.counts.bad_frames = self.counts.bad_frames.saturating_add(1);
        }
        out.events.push(if up { TillEvent::Online } else { TillEvent::Offline });
        if let Some(telling) = self.telling.as_mut().filter(|_| up) {
            (telling.calls, telling.next) = (0, now);
        }
        // A request that we have acknowledged counts.
        if !matches!(self.place, Place::Closing { .. }) {
            self.rest(now, out);
        }
    }

    fn counts(&self) -> Counts {
        self.counts
    }

    fn memory(&self) -> &[u8] {
        &self.memory
    }
}

fn verdict(finish: &Finish) -> Verdict {
    match finish.outcome {
        // Given back in full: no longer paid.
        Outcome::Approved if finish.given_back_minor >= finish.amount.minor() => Verdict::Refused,
        // What is still pending is on disk and followed up: a till that hears *not known* would have it given back twice.
        Outcome::Approved | Outcome::Returned { .. } => Verdict::Done,
        Outcome::Declined(_) | Outcome::Cancelled(_) | Outcome::Lapsed => Verdict::Refused,
    }
}

fn remembered(request: &Request, sale: SaleId) -> Vec<u8> {
    format!("{}{sale}", request.body()).into_bytes()
}

/// The request that an earlier driver was busy with. The till still waits, or calls again.
fn recalled(memory: &[u8]) -> Option<Asked> {
    let (body, sale) = std::str::from_utf8(memory).ok()?.split_at_checked(REQUEST_CHARS)?;
    Some(Asked { request: Request::read(body)?, sale: Some(sale.parse().ok()?), wait: Wait::Over, closed: true })
}

#[cfg(test)]
#[path = "concert_noise_tests.rs"]
mod noise_tests;
#[cfg(test)]
#[path = "concert_tests.rs"]
mod tests;
