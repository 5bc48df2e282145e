//! What one line has on its way: acknowledgements, answers, repeats and the timers T1 to T3. Knows no command's meaning.
//!
//! Source: PA00P016, chapters 2.1 (serial) and 3 (timers). One rule for both kinds of line: nothing of ours goes out while
//! an answer to something of ours is awaited, save an answer to the till.

use super::apdu::{Apdu, Malformed, Stream};
use super::link::{ACK, Found, Frames, Link, NAK, frame};
use crate::shop::time::Mono;
use std::collections::VecDeque;

/// T1: a frame whose next byte does not come within this time is refused. Serial.
pub const T1_MS: u64 = 200;
/// T2: a frame that is not acknowledged within this time, from its last byte, is sent again. Serial.
pub const T2_MS: u64 = 5_000;
/// How often a frame is sent again; then it is given up. Serial.
pub const REPEATS: u32 = 2;
/// T3: how long the till may take to answer a command of ours.
pub const T3_MS: u64 = 5_000;
/// T3 on a serial line for all but intermediate status: a till that hears no acknowledgement of its answer says it again
/// after its own T2, and that is no silence.
pub const T3_SERIAL_MS: u64 = T3_MS + T2_MS * REPEATS as u64 + 1_000;
/// How often a result is said again that the till has, but does not answer; then it counts as unheard.
pub const RESULT_REPEATS: u32 = 2;
/// Between our answer to a command and our own first command: clients of tills take what comes in one piece for one
/// message.
pub const GAP_MS: u64 = 50;
/// An APDU whose rest does not come within this time is dropped. TCP.
pub const REST_MS: u64 = 5_000;
/// Commands that may wait to be sent: a result, a receipt and an end, and some intermediate status.
pub const WAITING_MAX: usize = 64;

/// What a command of ours is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// Intermediate status.
    Status,
    /// The result of a sale.
    Result,
    /// A line or a block of its receipt.
    Receipt,
    /// The sums of a day.
    Sums,
    /// A line or a block of what is printed with the sums.
    SumsReceipt,
    /// The end of the till's command.
    End,
}

impl What {
    /// Whether something is decided by the till's answer: then it counts only after the frame was acknowledged. The
    /// answer to the command before it, repeated because our acknowledgement was lost, is the same bytes.
    fn commits(self) -> bool {
        match self {
            What::Result | What::Receipt | What::Sums => true,
            What::Status | What::SumsReceipt | What::End => false,
        }
    }

    /// Whether it may be said again when the till does not answer. Receipts would be printed twice.
    fn said_again(self) -> bool {
        match self {
            What::Result | What::Sums => true,
            What::Status | What::Receipt | What::SumsReceipt | What::End => false,
        }
    }
}

/// A command of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Command {
    pub(super) what: What,
    pub(super) bytes: Vec<u8>,
}

/// What comes of a byte, or of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// A command of the till.
    Command(Apdu),
    /// A command that cannot be read.
    Unreadable,
    /// The till's answer to a command of ours: done, or why not.
    Answer(Command, Result<(), u8>),
    /// The till gave no answer to a command of ours after all repeats.
    Silence(Command),
    /// The till did not acknowledge our answer to its command after all repeats: it waits for nothing any more.
    Deaf,
}

/// A frame of ours that is not acknowledged yet. Serial.
#[derive(Clone, Copy, Debug)]
struct Air {
    /// The answer to the till's command, else our first command.
    answer: bool,
    sends: u32,
    due: Mono,
}

#[derive(Debug)]
enum Side {
    Serial { frames: Frames, byte_us: u64 },
    Tcp { stream: Stream },
}

/// One line.
#[derive(Debug)]
pub(super) struct Wire {
    side: Side,
    up: bool,
    /// The answer to the till's last command, once there is one. Serial.
    answer: Option<Vec<u8>>,
    /// The till's last command, until the till says anything else: the same again is a repeat, since our acknowledgement
    /// may have been lost even if it has our answer. Serial.
    repeatable: Option<Vec<u8>>,
    commands: VecDeque<Command>,
    air: Option<Air>,
    /// The till has our first command; until when it may answer.
    asked: Option<Mono>,
    /// How often our first command was said to a till that has it.
    says: u32,
    /// Answers that the till still owes to commands that were given up: they are not those to later ones.
    owed: u32,
    /// Our next command waits until then.
    quiet_until: Option<Mono>,
    /// Until when the rest of what the till has begun may come.
    rest_due: Option<Mono>,
    /// When a status or a result last went out, or the till's command was taken: T4 of the till begins afresh.
    pub(super) spoke_at: Mono,
    pub(super) repeats_sent: u64,
    pub(super) repeats_heard: u64,
}

impl Wire {
    pub(super) fn new(link: Link, byte_us: u64) -> Wire {
        let side = match link {
            Link::Serial => Side::Serial { frames: Frames::default(), byte_us },
            Link::Tcp => Side::Tcp { stream: Stream::default() },
        };
        Wire {
            side,
            up: false,
            answer: None,
            repeatable: None,
            commands: VecDeque::new(),
            air: None,
            asked: None,
            says: 0,
            owed: 0,
            quiet_until: None,
            rest_due: None,
            spoke_at: Mono(0),
            repeats_sent: 0,
            repeats_heard: 0,
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.up
    }

    /// Whether the till's dialogue outlives a loss of the line.
    pub(super) fn survives(&self) -> bool {
        matches!(self.side, Side::Serial { .. })
    }

    /// Bytes outside any frame, and frames dropped.
    pub(super) fn junk(&self) -> (u64, u64) {
        match &self.side {
            Side::Serial { frames, .. } => (frames.junk_bytes, frames.bad_frames),
            Side::Tcp { stream } => (stream.junk_bytes, stream.bad_frames),
        }
    }

    /// Commands that wait and bytes of what was begun.
    #[cfg(feature = "fuzzing")]
    pub(super) fn held(&self) -> (usize, usize) {
        let held = match &self.side {
            Side::Serial { frames, .. } => frames.held(),
            Side::Tcp { stream } => stream.held(),
        };
        (self.commands.len(), held)
    }

    /// Takes one byte of the till.
    pub(super) fn push(&mut self, now: Mono, byte: u8, out: &mut Vec<u8>) -> Option<Heard> {
        match &mut self.side {
            Side::Tcp { stream } => {
                let found = stream.push(byte);
                let begun = stream.held() > 0;
                self.rest_due = begun.then(|| self.rest_due.unwrap_or(now.plus_ms(REST_MS)));
                match found? {
                    Ok(apdu) => self.heard(apdu),
                    Err(Malformed) => Some(Heard::Unreadable),
                }
            }
            Side::Serial { frames, .. } => {
                let found = frames.push(byte);
                self.rest_due = frames.begun().then(|| now.plus_ms(T1_MS));
                match found? {
                    Found::Ack => self.acknowledged(now, out),
                    Found::Nak => return self.send_again(now, out),
                    Found::Bad => self.write(&[NAK], out),
                    Found::Frame(bytes) => {
                        self.write(&[ACK], out);
                        return self.framed(now, &bytes, out);
                    }
                }
                None
            }
        }
    }

    fn framed(&mut self, now: Mono, bytes: &[u8], out: &mut Vec<u8>) -> Option<Heard> {
        let Ok(apdu) = Apdu::parse(bytes) else { return Some(Heard::Unreadable) };
        if apdu.answer().is_some() {
            // The till has gone on: it knows that we have its command.
            self.repeatable = None;
            return self.heard(apdu);
        }
        if self.repeatable.as_deref() == Some(bytes) {
            self.repeats_heard = self.repeats_heard.saturating_add(1);
            if self.answer.is_some() {
                self.fly(now, true, 1, out);
            }
            return None;
        }
        self.repeatable = Some(bytes.to_vec());
        self.answer = None;
        if self.air.is_some_and(|air| air.answer) {
            self.air = None;
        }
        self.heard(apdu)
    }

    fn heard(&mut self, apdu: Apdu) -> Option<Heard> {
        let Some(answer) = apdu.answer() else { return Some(Heard::Command(apdu)) };
        if self.owed > 0 {
            self.owed = self.owed.saturating_sub(1);
            return None;
        }
        let in_air = self.air.is_some_and(|air| !air.answer);
        let first = self.commands.front()?;
        if self.asked.is_none() && (!in_air || first.what.commits()) {
            return None;
        }
        self.done();
        self.commands.pop_front().map(|command| Heard::Answer(command, answer))
    }

    /// The first command is over, one way or the other.
    fn done(&mut self) {
        if self.air.is_some_and(|air| !air.answer) {
            self.air = None;
        }
        (self.asked, self.says) = (None, 0);
    }

    /// The till has the frame that is on its way.
    fn acknowledged(&mut self, now: Mono, out: &mut Vec<u8>) {
        match self.air.take() {
            Some(Air { answer: true, .. }) => self.keep_quiet(now.plus_ms(GAP_MS)),
            Some(Air { answer: false, .. }) => {
                let status = self.commands.front().is_some_and(|first| first.what == What::Status);
                self.asked = Some(now.plus_ms(if status { T3_MS } else { T3_SERIAL_MS }));
            }
            None => {}
        }
        self.pump(now, out);
    }

    /// The frame on its way was not acknowledged.
    fn send_again(&mut self, now: Mono, out: &mut Vec<u8>) -> Option<Heard> {
        let air = self.air?;
        if air.sends <= REPEATS {
            self.repeats_sent = self.repeats_sent.saturating_add(1);
            self.fly(now, air.answer, air.sends.saturating_add(1), out);
            return None;
        }
        self.air = None;
        if air.answer {
            return Some(Heard::Deaf);
        }
        self.done();
        self.commands.pop_front().map(Heard::Silence)
    }

    /// Answers the till's command. Goes before anything else of ours.
    pub(super) fn answer(&mut self, now: Mono, apdu: &Apdu, out: &mut Vec<u8>) {
        let bytes = apdu.bytes();
        match self.side {
            Side::Tcp { .. } => {
                self.write(&bytes, out);
                self.keep_quiet(now.plus_ms(GAP_MS));
            }
            Side::Serial { .. } => {
                self.answer = Some(bytes);
                self.fly(now, true, 1, out);
            }
        }
    }

    /// Says a command after those that wait already.
    pub(super) fn order(&mut self, now: Mono, what: What, apdu: &Apdu, out: &mut Vec<u8>) {
        if self.commands.len() < WAITING_MAX {
            self.commands.push_back(Command { what, bytes: apdu.bytes() });
        }
        self.pump(now, out);
    }

    /// Says a command again, before all others, at that time.
    pub(super) fn later(&mut self, command: Command, at: Mono) {
        self.commands.push_front(command);
        self.keep_quiet(at);
    }

    fn keep_quiet(&mut self, until: Mono) {
        self.quiet_until = self.quiet_until.max(Some(until));
    }

    /// Whether such a command waits or is on its way.
    pub(super) fn has(&self, what: What) -> bool {
        self.commands.iter().any(|command| command.what == what)
    }

    /// Forgets commands of this kind that are not on their way yet.
    pub(super) fn drop_waiting(&mut self, what: What) {
        let first = usize::from(self.asked.is_some() || self.air.is_some_and(|air| !air.answer));
        let mut at = 0_usize;
        self.commands.retain(|command| {
            at = at.saturating_add(1);
            at <= first || command.what != what
        });
    }

    /// The till's last command is over: the same bytes are a new one.
    pub(super) fn forget(&mut self) {
        self.repeatable = None;
    }

    /// Nothing more is said of what waits or is on its way.
    pub(super) fn end(&mut self) {
        if self.asked.is_some() {
            self.owed = self.owed.saturating_add(1);
        }
        self.commands.clear();
        (self.asked, self.says) = (None, 0);
        if self.air.is_some_and(|air| !air.answer) {
            self.air = None;
        }
    }

    /// The till begins anew: it owes no answer any more, and its T4 begins.
    pub(super) fn begin(&mut self, now: Mono) {
        (self.owed, self.spoke_at) = (0, now);
    }

    /// Sends the next command, if it may go out now.
    pub(super) fn pump(&mut self, now: Mono, out: &mut Vec<u8>) {
        let waits = self.air.is_some() || self.asked.is_some() || self.quiet_until.is_some_and(|until| until > now);
        if !waits && !self.commands.is_empty() {
            self.quiet_until = None;
            self.say(now, out);
        }
    }

    fn say(&mut self, now: Mono, out: &mut Vec<u8>) {
        let Some(first) = self.commands.front() else { return };
        if matches!(first.what, What::Status | What::Result) {
            self.spoke_at = now;
        }
        self.says = self.says.saturating_add(1);
        match self.side {
            Side::Serial { .. } => self.fly(now, false, 1, out),
            Side::Tcp { .. } => {
                let bytes = first.bytes.clone();
                self.write(&bytes, out);
                self.asked = Some(now.plus_ms(T3_MS));
            }
        }
    }

    /// Writes the frame around our answer or our first command. Serial.
    fn fly(&mut self, now: Mono, answer: bool, sends: u32, out: &mut Vec<u8>) {
        let first = self.commands.front().map(|command| &command.bytes);
        let Some(bytes) = (if answer { self.answer.as_ref() } else { first }) else { return };
        let bytes = frame(bytes);
        let byte_us = match self.side {
            Side::Serial { byte_us, .. } => byte_us,
            Side::Tcp { .. } => 0,
        };
        let line_ms = u64::try_from(bytes.len()).unwrap_or(u64::MAX).saturating_mul(byte_us).div_ceil(1_000);
        self.air = Some(Air { answer, sends, due: now.plus_ms(T2_MS.saturating_add(line_ms)) });
        self.write(&bytes, out);
    }

    fn write(&self, bytes: &[u8], out: &mut Vec<u8>) {
        if self.up {
            out.extend_from_slice(bytes);
        }
    }

    pub(super) fn deadline(&self) -> Option<Mono> {
        let idle = self.air.is_none() && self.asked.is_none() && !self.commands.is_empty();
        let quiet = self.quiet_until.filter(|_| idle);
        let asked = self.asked.filter(|_| self.air.is_none());
        [self.air.map(|air| air.due), asked, quiet, self.rest_due].into_iter().flatten().min()
    }

    /// Time has gone on.
    pub(super) fn passed(&mut self, now: Mono, out: &mut Vec<u8>) -> Option<Heard> {
        if self.rest_due.is_some_and(|due| due <= now) {
            self.rest_due = None;
            match &mut self.side {
                Side::Tcp { stream } => stream.cut(),
                Side::Serial { frames, .. } => {
                    if frames.cut() {
                        self.write(&[NAK], out);
                    }
                }
            }
        }
        let mut heard = None;
        if self.air.is_some_and(|air| air.due <= now) {
            heard = self.send_again(now, out);
        }
        if heard.is_none() && self.air.is_none() && self.asked.is_some_and(|due| due <= now) {
            heard = self.unanswered(now, out);
        }
        if heard.is_none() {
            self.pump(now, out);
        }
        heard
    }

    /// The till has our command and says nothing.
    fn unanswered(&mut self, now: Mono, out: &mut Vec<u8>) -> Option<Heard> {
        self.asked = None;
        if self.says <= RESULT_REPEATS && self.commands.front().is_some_and(|first| first.what.said_again()) {
            self.repeats_sent = self.repeats_sent.saturating_add(1);
            self.say(now, out);
            return None;
        }
        self.done();
        self.owed = self.owed.saturating_add(1);
        self.commands.pop_front().map(Heard::Silence)
    }

    /// The line came up or went down. Over TCP what was on its way is forgotten.
    pub(super) fn line(&mut self, now: Mono, up: bool, out: &mut Vec<u8>) {
        self.up = up;
        self.rest_due = None;
        match &mut self.side {
            Side::Tcp { stream } => {
                stream.cut();
                self.end();
                self.quiet_until = None;
            }
            Side::Serial { frames, .. } => {
                frames.cut();
                if let Some(air) = self.air.filter(|_| up) {
                    self.fly(now, air.answer, 1, out);
                }
            }
        }
    }
}
