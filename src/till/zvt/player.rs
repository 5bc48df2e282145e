//! The till's side of ZVT, on a serial line or over TCP: for installers and tests. No daemon uses it.
//!
//! Source: PA00P015, chapters 2.1 to 2.24 and 2.56.

use super::apdu::{Apdu, Writer, bcd, bitmap, code, control, number, tag};
use super::player_told::{self as told, Told};
use super::player_wire::Wire;
use crate::shop::money::{Amount, Currency};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{fmt, io};

/// How long the box may take to accept or refuse a command (T3).
pub const ANSWER_WAIT: Duration = Duration::from_secs(5);
/// How long it may take from there to its next sign (T4).
pub const SIGN_WAIT: Duration = Duration::from_secs(180);
/// What the till asks for when it registers: receipts printed by the till, intermediate status, print lines.
pub const CONFIG: u8 = 0x02 | 0x04 | 0x08 | 0x80;
/// How often an abort from another thread is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What a till is made with.
#[derive(Clone, Debug)]
pub struct PlayerSettings {
    /// Of its amounts.
    pub currency: Currency,
    /// Six digits.
    pub password: u32,
    /// See [`CONFIG`].
    pub config: u8,
    /// Whether it says that it takes receipts as blocks of text.
    pub takes_blocks: bool,
    /// What it answers to results.
    pub answer: Decides,
}

/// What a till answers, by what it was told.
pub type Decides = fn(&Told) -> Answer;

/// What a till answers to a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Put away: the commit point.
    Taken,
    /// The goods are still coming out: tell me again.
    Wait,
    /// Refused for this reason: the money is to go back.
    Rejected(u8),
}

/// How a till shows and prints, in the order in which things happen; a result before the till answers it.
pub type Show<'a> = &'a mut dyn FnMut(&Shown);

/// What a till shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// The command was accepted.
    Accepted,
    /// How it goes on.
    Waiting {
        /// The box's code.
        code: u8,
        /// Its text, or ours for that code.
        text: String,
    },
    /// A result.
    Told(Box<Told>),
    /// The command is being aborted.
    Aborting,
    /// It cannot be aborted any more.
    CannotAbort,
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// `Ok` by completion, `Err` by abort.
    pub how: Result<Told, u8>,
    /// The last result before that.
    pub told: Option<Told>,
    /// The lines of the receipts.
    pub lines: Vec<String>,
}

/// Why a till learns nothing.
#[derive(Debug)]
pub enum TillError {
    /// Nothing answers.
    Silent,
    /// The command was refused, nothing was begun.
    Refused(u8),
    /// The command was accepted and its end did not come.
    Unknown,
    /// Port or connection cannot be used, or has hung up.
    Line(io::Error),
}

impl fmt::Display for TillError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TillError::Silent => f.write_str(
                "no answer from the box: check the cable (crossed?), that the box runs and has this till on that port \
                 with protocol zvt, and that the line settings (usually 9600 8N2) are the same on both sides",
            ),
            TillError::Refused(code) => write!(f, "refused: {} ({code:02X})", told::code_text(*code)),
            TillError::Unknown => {
                f.write_str("the end did not come: it is not known whether this is paid; ask with `repeat`")
            }
            TillError::Line(e) if e.kind() == io::ErrorKind::UnexpectedEof => f.write_str(
                "the box hung up: is this machine's address the one that is configured for the till? another program \
                 of the till may have connected, or the box was stopped",
            ),
            TillError::Line(e) => write!(f, "the line cannot be used: {e}; check port or address, and the network"),
        }
    }
}

impl std::error::Error for TillError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            TillError::Line(e) => Some(e),
            TillError::Silent | TillError::Refused(_) | TillError::Unknown => None,
        }
    }
}

impl From<io::Error> for TillError {
    fn from(e: io::Error) -> Self {
        TillError::Line(e)
    }
}

/// Aborts the command that a till is busy with, from another thread.
#[derive(Clone, Debug)]
pub struct AbortKey(Arc<AtomicBool>);

impl AbortKey {
    /// Presses the key.
    pub fn press(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A till. Its calls block; between them nothing is read.
#[derive(Debug)]
pub struct Player {
    wire: Wire,
    settings: PlayerSettings,
    abort: Arc<AtomicBool>,
}

impl Player {
    /// A till on this line.
    pub fn new(wire: Wire, settings: PlayerSettings) -> Player {
        Player { wire, settings, abort: Arc::new(AtomicBool::new(false)) }
    }

    /// The abort key, for another thread.
    pub fn abort_key(&self) -> AbortKey {
        AbortKey(Arc::clone(&self.abort))
    }

    /// Registration: what the till can do and wants.
    pub fn register(&mut self, show: Show) -> Result<Ended, TillError> {
        let mut data = self.password();
        data.byte(self.settings.config).bytes(None, &bcd(u64::from(self.settings.currency.number()), 2));
        if self.settings.takes_blocks {
            let mut commands = Writer::default();
            commands.object(tag::COMMAND, &control::PRINT_BLOCK.to_be_bytes());
            let mut container = Writer::default();
            container.object(tag::COMMANDS, &commands.0);
            data.container(&container);
        }
        self.command(control::REGISTRATION, data, show)
    }

    /// Authorisation: a payment.
    pub fn pay(&mut self, amount: Amount, show: Show) -> Result<Ended, TillError> {
        let mut data = Writer::default();
        data.amount(amount);
        self.currency(&mut data);
        self.command(control::AUTHORISATION, data, show)
    }

    /// Reversal of the payment with this receipt number.
    pub fn reverse(&mut self, receipt: u16, show: Show) -> Result<Ended, TillError> {
        let mut data = self.password();
        data.number(bitmap::RECEIPT, u64::from(receipt), 2);
        self.command(control::REVERSAL, data, show)
    }

    /// Refund to the phone at the till.
    pub fn refund(&mut self, amount: Amount, show: Show) -> Result<Ended, TillError> {
        let mut data = self.password();
        data.amount(amount);
        self.currency(&mut data);
        self.command(control::REFUND, data, show)
    }

    /// The last result and its receipt again.
    pub fn repeat(&mut self, show: Show) -> Result<Ended, TillError> {
        let data = self.password();
        self.command(control::REPEAT_RECEIPT, data, show)
    }

    /// Status enquiry.
    pub fn status(&mut self, show: Show) -> Result<Ended, TillError> {
        self.command(control::STATUS_ENQUIRY, Writer::default(), show)
    }

    /// End of day: the sums, and the day is closed.
    pub fn end_of_day(&mut self, show: Show) -> Result<Ended, TillError> {
        let data = self.password();
        self.command(control::END_OF_DAY, data, show)
    }

    /// The sums, and nothing is closed.
    pub fn totals(&mut self, show: Show) -> Result<Ended, TillError> {
        let data = self.password();
        self.command(control::TOTALS, data, show)
    }

    fn password(&self) -> Writer {
        Writer(bcd(u64::from(self.settings.password), 3))
    }

    fn currency(&self, data: &mut Writer) {
        data.number(bitmap::CURRENCY, u64::from(self.settings.currency.number()), 2);
    }

    /// One command from its request to its end.
    fn command(&mut self, command: u16, data: Writer, show: Show) -> Result<Ended, TillError> {
        self.abort.store(false, Ordering::SeqCst);
        if !self.wire.send(&Apdu::new(command, data.0))? {
            return Err(TillError::Silent);
        }
        self.accepted()?;
        show(&Shown::Accepted);
        let (mut heard, mut aborting) = (Heard::default(), false);
        let mut signs = Signs::begin();
        loop {
            if !aborting && self.abort.load(Ordering::SeqCst) {
                aborting = true;
                self.wire.send(&Apdu::new(control::ABORT, Vec::new()))?;
            }
            let Some(apdu) = self.wire.receive(LOOK_EVERY)? else {
                if signs.are_over() {
                    return Err(TillError::Unknown);
                }
                continue;
            };
            if let Some(answer) = apdu.answer() {
                show(if answer.is_ok() { &Shown::Aborting } else { &Shown::CannotAbort });
                continue;
            }
            let reply = self.hear(&apdu, &mut heard, &mut signs, show);
            self.wire.send(&reply)?;
            if let Some(how) = heard.how {
                return Ok(Ended { how, told: heard.told, lines: heard.lines });
            }
        }
    }

    /// One message of the box; what it is answered with.
    fn hear(&self, apdu: &Apdu, heard: &mut Heard, signs: &mut Signs, show: Show) -> Apdu {
        match apdu.control {
            control::COMPLETION => heard.how = Some(Ok(Told::read(&apdu.data))),
            control::ABORTED => heard.how = Some(Err(apdu.data.first().copied().unwrap_or(code::SYSTEM))),
            control::INTERMEDIATE_STATUS => {
                show(&told::waiting(&apdu.data));
                signs.renew(apdu.data.get(1).copied());
            }
            control::STATUS_INFORMATION => {
                let result = Told::read(&apdu.data);
                show(&Shown::Told(Box::new(result.clone())));
                let reply = reply_of((self.settings.answer)(&result));
                heard.told = Some(result);
                signs.renew(None);
                return reply;
            }
            control::PRINT_LINE => heard.lines.push(told::text(apdu.data.get(1..).unwrap_or_default())),
            control::PRINT_BLOCK => heard.lines.extend(told::block(&apdu.data)),
            _ => return Apdu::negative(code::NOT_POSSIBLE),
        }
        Apdu::positive()
    }

    /// Whether the box accepts the command. Something else before its answer belongs to an earlier command and is
    /// acknowledged, so that the box comes to its end.
    fn accepted(&mut self) -> Result<(), TillError> {
        let begun = Instant::now();
        while let Some(apdu) = self.wire.receive(ANSWER_WAIT.saturating_sub(begun.elapsed()))? {
            match apdu.answer() {
                Some(Ok(())) => return Ok(()),
                Some(Err(code)) => return Err(TillError::Refused(code)),
                None => drop(self.wire.send(&Apdu::positive())?),
            }
        }
        Err(TillError::Silent)
    }
}

/// What was heard of a command so far.
#[derive(Default)]
struct Heard {
    how: Option<Result<Told, u8>>,
    told: Option<Told>,
    lines: Vec<String>,
}

fn reply_of(answer: Answer) -> Apdu {
    match answer {
        Answer::Taken => Apdu::positive(),
        Answer::Wait => Apdu::negative(code::WAIT),
        Answer::Rejected(code) => Apdu::negative(code),
    }
}

/// T4: how long the box may still be silent.
struct Signs {
    since: Instant,
    wait: Duration,
}

impl Signs {
    fn begin() -> Signs {
        Signs { since: Instant::now(), wait: SIGN_WAIT }
    }

    /// From now on as long as this BCD number of minutes says, or as before.
    fn renew(&mut self, minutes: Option<u8>) {
        let minutes = minutes.and_then(|bcd| number(&[bcd]).ok()).filter(|minutes| *minutes > 0);
        self.since = Instant::now();
        if let Some(minutes) = minutes {
            self.wait = Duration::from_secs(minutes.saturating_mul(60));
        }
    }

    fn are_over(&self) -> bool {
        self.since.elapsed() >= self.wait
    }
}
