//! The till's side of Concert E+, for installers and tests: plays one request to its end and says what happens. No daemon
//! uses it.

use super::concert_frames::{ACK, Answer, ENQ, EOT, LONG_BYTES, NAK, Request, SHORT_BYTES, STX, Verdict, framed};
use super::installer::{EXIT_DONE, EXIT_NO_ANSWER, EXIT_NOT_PAID};
use super::port::write_all;
use clap::Args;
use serialport::{SerialPort, TTYPort};
use std::fmt;
use std::io::{self, Read};
use std::time::{Duration, Instant};

/// How long a till waits for the answer to its call.
pub const CALL_WAIT: Duration = Duration::from_secs(1);
/// How often it calls.
pub const CALLS: u32 = 3;
/// How long it waits for the word on its message.
pub const MESSAGE_WAIT: Duration = Duration::from_secs(3);
/// How often it says its message.
pub const MESSAGES: u32 = 3;
/// How long it waits for an answer at once.
pub const AT_ONCE_WAIT: Duration = Duration::from_secs(3);
/// How long it waits for the rest of an answer that has begun, and for its end.
pub const REST_WAIT: Duration = Duration::from_secs(2);
/// How often it lets an answer be said again.
pub const ANSWERS: u32 = 4;

/// How a Concert till asks
#[derive(Args, Clone, Copy, Debug)]
pub struct ConcertArgs {
    /// Concert: the till's number in its requests
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=99))]
    pub number: u8,
    /// Concert: ask for the answer without report (28 bytes instead of 83)
    #[arg(long)]
    pub short: bool,
    /// Concert: ask to be answered before anybody has paid (A011)
    #[arg(long)]
    pub at_once: bool,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum PlayError {
    /// The port is gone: look at the cable.
    Port(io::Error),
    /// Nothing answers: look at cable, speed and the box.
    Silent,
    /// The box is busy with another sale: wait.
    Busy,
    /// The box takes no such message: look at the line's parity.
    NotUnderstood,
    /// The request was taken, but its answer did not come, or not whole. Look into the box's list of sales.
    Unknown(String),
}

impl fmt::Display for PlayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PlayError::Port(_) => f.write_str("the serial port is gone: look at the cable"),
            PlayError::Silent => f.write_str("nothing answers: look at cable, speed, and whether the box runs"),
            PlayError::Busy => f.write_str("the box is busy with another sale of this till: wait until it has ended"),
            PlayError::NotUnderstood => f.write_str("the box understands no message: look at data bits and parity"),
            PlayError::Unknown(why) => {
                write!(f, "not known whether it was paid: {why}; look at the box's list of sales")
            }
        }
    }
}

impl std::error::Error for PlayError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            PlayError::Port(error) => Some(error),
            PlayError::Silent | PlayError::Busy | PlayError::NotUnderstood | PlayError::Unknown(_) => None,
        }
    }
}

impl From<io::Error> for PlayError {
    fn from(error: io::Error) -> Self {
        PlayError::Port(error)
    }
}

/// The exit code of an answer.
pub fn code_of(answer: &Answer) -> u8 {
    match answer.verdict {
        Verdict::Done => EXIT_DONE,
        Verdict::Refused => EXIT_NOT_PAID,
        Verdict::NotYet => EXIT_NO_ANSWER,
    }
}

/// Plays one request to its end: blocks for at most `patience` and some seconds. `show` gets a line for each thing that
/// happens.
pub fn play(
    port: &mut TTYPort,
    request: &Request,
    patience: Duration,
    show: &mut dyn FnMut(&str),
) -> Result<Answer, PlayError> {
    let mut till = Till { port, show };
    till.call()?;
    till.ask(request)?;
    let patience = if request.at_once() { AT_ONCE_WAIT } else { patience };
    till.answer(request, patience)
}

struct Till<'a> {
    port: &'a mut TTYPort,
    show: &'a mut dyn FnMut(&str),
}

impl Till<'_> {
    fn call(&mut self) -> Result<(), PlayError> {
        let mut busy = false;
        for _ in 0..CALLS {
            let again = Instant::now().checked_add(CALL_WAIT);
            self.write(&[ENQ])?;
            match self.word(CALL_WAIT, &[ACK, NAK])? {
                Some(ACK) => return Ok(()),
                Some(_) => {
                    busy = true;
                    (self.show)("the box says it is busy");
                    while self.byte(again)?.is_some() {}
                }
                None => (self.show)("the box does not answer the call (ENQ)"),
            }
        }
        Err(if busy { PlayError::Busy } else { PlayError::Silent })
    }

    fn ask(&mut self, request: &Request) -> Result<(), PlayError> {
        for _ in 0..MESSAGES {
            self.write(&framed(request.body().as_bytes()))?;
            match self.word(MESSAGE_WAIT, &[ACK, NAK])? {
                Some(ACK) => {
                    (self.show)("the box has taken the request");
                    return self.write(&[EOT]);
                }
                Some(_) => (self.show)("the box did not understand the request, again"),
                None => (self.show)("the box does not acknowledge the request, again"),
            }
        }
        self.write(&[EOT])?;
        Err(PlayError::NotUnderstood)
    }

    fn answer(&mut self, request: &Request, patience: Duration) -> Result<Answer, PlayError> {
        (self.show)(&format!("waiting for the answer, {} s at most", patience.as_secs()));
        if self.word(patience, &[ENQ])?.is_none() {
            let why = format!("the box did not call in {} s", patience.as_secs());
            return Err(PlayError::Unknown(why));
        }
        self.write(&[ACK])?;
        let mut wrong = String::new();
        for _ in 0..ANSWERS {
            match Answer::read(&self.message(request)?, request) {
                Ok(answer) => {
                    self.write(&[ACK])?;
                    if self.word(REST_WAIT, &[EOT])?.is_none() {
                        (self.show)("the box did not close the exchange (EOT)");
                    }
                    (self.show)(&said(&answer));
                    return Ok(answer);
                }
                Err(why) => {
                    (self.show)(&why);
                    wrong = why;
                    self.write(&[NAK])?;
                }
            }
        }
        Err(PlayError::Unknown(wrong))
    }

    /// As many bytes as the answer has, or what came of them.
    fn message(&mut self, request: &Request) -> Result<Vec<u8>, PlayError> {
        let wanted = if request.wants_report() { LONG_BYTES } else { SHORT_BYTES };
        let until = Instant::now().checked_add(REST_WAIT);
        let mut message = Vec::new();
        while message.len() < wanted
            && let Some(byte) = self.byte(until)?
        {
            if message.is_empty() && byte != STX {
                self.stray(byte);
            } else {
                message.push(byte);
            }
        }
        Ok(message)
    }

    /// The next of these bytes; others are shown as stray.
    fn word(&mut self, wait: Duration, wanted: &[u8]) -> Result<Option<u8>, PlayError> {
        let until = Instant::now().checked_add(wait);
        while let Some(byte) = self.byte(until)? {
            if wanted.contains(&byte) {
                return Ok(Some(byte));
            }
            self.stray(byte);
        }
        Ok(None)
    }

    fn stray(&mut self, byte: u8) {
        (self.show)(&format!("a byte that belongs to nothing: {byte:02x}"));
    }

    fn byte(&mut self, until: Option<Instant>) -> Result<Option<u8>, PlayError> {
        let mut byte = [0];
        loop {
            let left = until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Ok(None);
            }
            self.port.set_timeout(left).map_err(io::Error::from)?;
            match self.port.read(&mut byte) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                Ok(_) => return Ok(byte.first().copied()),
                Err(e) if matches!(e.kind(), io::ErrorKind::TimedOut | io::ErrorKind::Interrupted) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), PlayError> {
        self.port.set_timeout(REST_WAIT).map_err(io::Error::from)?;
        Ok(write_all(self.port, bytes)?)
    }
}

fn said(answer: &Answer) -> String {
    let result = match answer.verdict {
        Verdict::Done => "0, done",
        Verdict::Refused => "7, refused",
        Verdict::NotYet => "9, not known yet (the box tells such tills no more; look at its list of sales)",
    };
    let size = if answer.report.is_some() { LONG_BYTES } else { SHORT_BYTES };
    format!("answer of {size} bytes, check correct: result {result}, amount {} minor units", answer.minor)
}
