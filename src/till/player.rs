//! The till's side of the plain protocol (`docs/till-protocol.md`): for installers, the demo and tests. No daemon uses it.

use super::frame::{Decoder, encode, number};
use super::plain::{ACK_WAIT_MS, ID_MAX, REPEAT_WINDOW_MS, REPEATS};
use super::player_frames::{BoxFrame, fields_of};
use super::player_memory::Memory;
use super::port::{LineSettings, open, write_all};
pub use super::shown::{Answer, DaySums, Ended, Last, Outcome, PlayError, Show, Shown, Sums, TillResult};
use crate::shop::event::Ticket;
use crate::shop::money::Amount;
use serialport::{SerialPort, TTYPort};
use std::collections::VecDeque;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long the till waits for the answer to an acknowledged request before it asks again.
pub const ANSWER_WAIT: Duration = Duration::from_secs(5);
/// How often it asks in all.
pub const ASKS_MAX: u32 = 3;
/// How long the line may be silent during a sale before the till tries it.
pub const PING_AFTER: Duration = Duration::from_secs(10);
/// How long after its patience the till still waits for the result before it asks for it.
pub const GRACE: Duration = Duration::from_secs(5);
/// How often a line that hung up is opened again, and an abort from another thread is looked for.
const REOPEN_EVERY: Duration = Duration::from_millis(200);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What a player is made with.
#[derive(Clone, Debug)]
pub struct PlayerSettings {
    /// How its line is set.
    pub line: LineSettings,
    /// Where epoch, ticket and the unfinished sale are kept; without it every player begins a new epoch.
    pub memory: Option<PathBuf>,
    /// What it answers to results.
    pub answer: fn(&TillResult) -> Answer,
}

impl Default for PlayerSettings {
    fn default() -> Self {
        PlayerSettings { line: LineSettings::default(), memory: None, answer: |_| Answer::Taken }
    }
}

/// Aborts the sale that a player is busy with, from another thread.
#[derive(Clone, Debug)]
pub struct AbortKey(Arc<AtomicBool>);

impl AbortKey {
    /// Presses the key. The player sends the abort within 50 ms; the sale ends with a result as ever.
    pub fn press(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A till. Its calls block; between them nothing is read.
#[derive(Debug)]
pub struct Player {
    port: TTYPort,
    path: Option<PathBuf>,
    settings: PlayerSettings,
    memory: Memory,
    decoder: Decoder,
    next_id: u16,
    last: Option<(String, String, Instant)>,
    ready: VecDeque<BoxFrame>,
    abort: Arc<AtomicBool>,
    reopened: bool,
    /// How often anything was sent in the sale under way, repeats included.
    sends: u32,
}

impl Player {
    /// A till on the port of this name. A port that hangs up is opened again while a call lasts.
    pub fn open(path: &Path, settings: PlayerSettings) -> Result<Player, PlayError> {
        let port = open(path, &settings.line).map_err(|e| PlayError::Port(e.into()))?;
        Player::new(port, Some(path.to_owned()), settings)
    }

    /// A till on a port that is open already, such as one end of a pty pair.
    pub fn over(port: TTYPort, settings: PlayerSettings) -> Result<Player, PlayError> {
        Player::new(port, None, settings)
    }

    fn new(port: TTYPort, path: Option<PathBuf>, settings: PlayerSettings) -> Result<Player, PlayError> {
        let memory = Memory::load(settings.memory.as_deref()).map_err(PlayError::Memory)?;
        let next_id = u16::try_from(crate::clock::Clock::mono().0 % 10_000).unwrap_or(0);
        Ok(Player {
            port,
            path,
            settings,
            memory,
            decoder: Decoder::default(),
            next_id,
            last: None,
            ready: VecDeque::new(),
            abort: Arc::new(AtomicBool::new(false)),
            reopened: false,
            sends: 0,
        })
    }

    /// The abort key, for another thread.
    pub fn abort_key(&self) -> AbortKey {
        AbortKey(Arc::clone(&self.abort))
    }

    /// The sale whose result this till does not know, if any: ask with [`Player::last`] after a restart.
    pub fn unfinished(&self) -> Option<Ticket> {
        self.memory.unfinished
    }

    /// Asks for a payment and waits for its end. Without a ticket the next one is used. In any doubt the request is
    /// sent again under the same ticket: it is one sale.
    pub fn pay(
        &mut self,
        amount: Amount,
        ticket: Option<Ticket>,
        patience_secs: u64,
        show: Show,
    ) -> Result<Ended, PlayError> {
        let ticket = self.memory.begin(ticket).map_err(PlayError::Memory)?;
        let (minor, currency) = (amount.minor(), amount.currency());
        let body = format!("PAY|{}|{minor}|{currency}|{patience_secs}", fields_of(Some(ticket)));
        self.sale(&body, ticket, Duration::from_secs(patience_secs), show)
    }

    /// Asks to give back part of an earlier sale, or of one that the customer's phone chooses.
    pub fn refund(
        &mut self,
        amount: Amount,
        of: Option<Ticket>,
        patience_secs: u64,
        show: Show,
    ) -> Result<Ended, PlayError> {
        self.give_back("REFUND", amount, of, patience_secs, show)
    }

    /// Asks to give back all that is left of an earlier sale, or of one that the customer's phone chooses. `amount`: what
    /// the till takes the sale to be; zero if it does not say.
    pub fn reverse(
        &mut self,
        amount: Amount,
        of: Option<Ticket>,
        patience_secs: u64,
        show: Show,
    ) -> Result<Ended, PlayError> {
        self.give_back("REVERSE", amount, of, patience_secs, show)
    }

    fn give_back(
        &mut self,
        word: &str,
        amount: Amount,
        of: Option<Ticket>,
        patience_secs: u64,
        show: Show,
    ) -> Result<Ended, PlayError> {
        let ticket = self.memory.begin(None).map_err(PlayError::Memory)?;
        let (minor, currency, own) = (amount.minor(), amount.currency(), fields_of(Some(ticket)));
        let body = format!("{word}|{own}|{minor}|{currency}|{patience_secs}|{}", fields_of(of));
        self.sale(&body, ticket, Duration::from_secs(patience_secs), show)
    }

    /// Aborts a sale, or whichever is under way. If there was one its result comes within seconds and is waited for.
    pub fn abort(&mut self, ticket: Option<Ticket>, show: Show) -> Result<Option<TillResult>, PlayError> {
        let body = format!("ABORT|{}", fields_of(ticket));
        let answer = self.ask(&body, show, BoxFrame::abort_answer)?;
        show(if answer { &Shown::Aborting } else { &Shown::NothingToAbort });
        if !answer {
            return Ok(None);
        }
        let until = Instant::now().checked_add(PING_AFTER);
        while let Some(frame) = self.read_frame(until, show)? {
            if let BoxFrame::Result(result) = frame {
                return Ok(Some(result));
            }
        }
        Ok(None)
    }

    /// Asks for the last result, or that of a ticket.
    pub fn last(&mut self, ticket: Option<Ticket>, show: Show) -> Result<Last, PlayError> {
        let last = self.ask(&format!("LAST|{}", fields_of(ticket)), show, |frame| frame.last_answer(ticket))?;
        if let (Last::Nothing, Some(ticket)) = (&last, ticket) {
            self.memory.finish(ticket).map_err(PlayError::Memory)?;
        }
        Ok(last)
    }

    /// Asks whether a sale would be possible now; else the word and the text why not.
    pub fn status(&mut self, show: Show) -> Result<Result<(), (String, String)>, PlayError> {
        self.ask("STATUS", show, BoxFrame::state_answer)
    }

    /// Asks for the sums of an epoch, or of all that is on the books.
    pub fn totals(&mut self, epoch: Option<u32>, show: Show) -> Result<Sums, PlayError> {
        let epoch = epoch.map(|e| e.to_string()).unwrap_or_default();
        self.ask(&format!("TOTALS|{epoch}"), show, BoxFrame::sums_answer)
    }

    /// Asks for the sums of the day.
    pub fn day(&mut self, show: Show) -> Result<DaySums, PlayError> {
        self.ask("DAY", show, BoxFrame::day_answer)
    }

    /// Closes the day with these sums: what comes after them belongs to the next.
    pub fn close_day(&mut self, sums: &DaySums, show: Show) -> Result<(), PlayError> {
        self.request(&format!("CLOSE|{}", sums.mark), show)
    }

    /// Listens for so long without asking anything: a till between sales. Results that come are shown and answered.
    pub fn listen(&mut self, time: Duration, show: Show) -> Result<(), PlayError> {
        let until = Instant::now().checked_add(time);
        while until.is_some_and(|u| Instant::now() < u) {
            self.read_frame(until, show)?;
        }
        Ok(())
    }

    fn sale(&mut self, body: &str, ticket: Ticket, patience: Duration, show: Show) -> Result<Ended, PlayError> {
        self.abort.store(false, Ordering::SeqCst);
        self.sends = 0;
        let end = Instant::now().checked_add(patience.saturating_add(GRACE));
        let begun = self.request(body, show);
        if let Err(PlayError::NotUnderstood(_)) = begun {
            self.memory.finish(ticket).map_err(PlayError::Memory)?;
        }
        begun?;
        let mut waits = Waits { accepted: false, asks: 1, quiet_since: Instant::now() };
        loop {
            let until = waits.until().min(end);
            match self.next(until, show)? {
                Some(frame) => {
                    waits.quiet_since = Instant::now();
                    if let Some(ended) = self.heard_in_sale(frame, ticket, &mut waits, show)? {
                        return Ok(ended);
                    }
                }
                None if self.abort.swap(false, Ordering::SeqCst) => {
                    self.try_request(&format!("ABORT|{}", fields_of(Some(ticket))), show)?;
                }
                None if std::mem::take(&mut self.reopened) => self.try_request(body, show)?,
                None if end.is_some_and(|end| Instant::now() >= end) => break,
                None if waits.accepted => {
                    waits.quiet_since = Instant::now();
                    self.try_request("PING", show)?;
                }
                None if waits.asks >= ASKS_MAX => return Err(PlayError::Unknown(ticket)),
                None => {
                    waits = Waits { asks: waits.asks.saturating_add(1), quiet_since: Instant::now(), ..waits };
                    self.try_request(body, show)?;
                }
            }
        }
        match self.last(Some(ticket), show) {
            Ok(Last::Result(result)) => Ok(Ended::Result(result)),
            Ok(Last::Nothing) => Ok(Ended::NeverBegan),
            Ok(Last::UnderWay) | Err(PlayError::Silent) => Err(PlayError::Unknown(ticket)),
            Err(e) => Err(e),
        }
    }

    fn heard_in_sale(
        &mut self,
        frame: BoxFrame,
        ticket: Ticket,
        waits: &mut Waits,
        show: Show,
    ) -> Result<Option<Ended>, PlayError> {
        let mine = |t: Option<Ticket>| t == Some(ticket);
        match frame {
            BoxFrame::Result(result) if mine(result.ticket) => return Ok(Some(Ended::Result(result))),
            // Once accepted, only a result ends a sale.
            BoxFrame::Refuse(t, reason, text) if mine(t) && !waits.accepted => {
                if self.sends > 1 {
                    return self.doubts_refusal(ticket, Ended::Refused { reason, text }, waits, show);
                }
                self.memory.finish(ticket).map_err(PlayError::Memory)?;
                return Ok(Some(Ended::Refused { reason, text }));
            }
            BoxFrame::Accept(t, code) if mine(t) => {
                waits.accepted = true;
                show(&Shown::Accepted { code });
            }
            BoxFrame::Progress(t, shown) if mine(t) => {
                waits.accepted = true;
                show(&shown);
            }
            BoxFrame::Aborting(_) => show(&Shown::Aborting),
            BoxFrame::NoAbort(_) => show(&Shown::NothingToAbort),
            BoxFrame::Result(_)
            | BoxFrame::Refuse(..)
            | BoxFrame::Accept(..)
            | BoxFrame::Progress(..)
            | BoxFrame::NoResult(_)
            | BoxFrame::State(..)
            | BoxFrame::Sums(_)
            | BoxFrame::DaySums(_)
            | BoxFrame::Ack(_)
            | BoxFrame::Bad(..) => {}
        }
        Ok(None)
    }

    /// One of several requests was refused: a box that was started again meanwhile may have taken on another.
    fn doubts_refusal(
        &mut self,
        ticket: Ticket,
        refused: Ended,
        waits: &mut Waits,
        show: Show,
    ) -> Result<Option<Ended>, PlayError> {
        match self.last(Some(ticket), show) {
            Ok(Last::Nothing) => Ok(Some(refused)),
            Ok(Last::Result(result)) => Ok(Some(Ended::Result(result))),
            Ok(Last::UnderWay) => {
                *waits = Waits { accepted: true, quiet_since: Instant::now(), ..*waits };
                Ok(None)
            }
            Err(PlayError::Silent) => Err(PlayError::Unknown(ticket)),
            Err(error) => Err(error),
        }
    }

    /// A request whose answer is one frame.
    fn ask<T>(
        &mut self,
        body: &str,
        show: Show,
        mut wanted: impl FnMut(BoxFrame) -> Option<T>,
    ) -> Result<T, PlayError> {
        for _ in 0..ASKS_MAX {
            self.request(body, show)?;
            let until = Instant::now().checked_add(ANSWER_WAIT);
            while let Some(frame) = self.read_frame(until, show)? {
                if let Some(answer) = wanted(frame) {
                    return Ok(answer);
                }
            }
        }
        Err(PlayError::Silent)
    }

    /// A request in the middle of a sale: silence is shown and the sale goes on.
    fn try_request(&mut self, body: &str, show: Show) -> Result<(), PlayError> {
        match self.request(body, show) {
            Err(PlayError::Silent) => {
                show(&Shown::LineSilent);
                Ok(())
            }
            other => other,
        }
    }

    /// Sends a request until it is acknowledged. What else comes meanwhile is kept for the next reading.
    fn request(&mut self, body: &str, show: Show) -> Result<(), PlayError> {
        self.reopened = false;
        let id = self.next_id;
        self.next_id = if id >= ID_MAX { 0 } else { id.saturating_add(1) };
        let body = match body.split_once('|') {
            Some((word, rest)) => format!("{word}|{id}|{rest}"),
            None => format!("{body}|{id}"),
        };
        let mut kept = VecDeque::new();
        let mut answer = Err(PlayError::Silent);
        'sends: for _ in 0..=REPEATS {
            self.write(&body);
            self.sends = self.sends.saturating_add(1);
            let wait = Duration::from_millis(ACK_WAIT_MS).saturating_add(self.line_time(&body));
            let until = Instant::now().checked_add(wait);
            while Instant::now() < until.unwrap_or_else(Instant::now) {
                match self.read_frame(until, show)? {
                    Some(BoxFrame::Ack(n)) if n == id => answer = Ok(()),
                    Some(BoxFrame::Bad(n, why)) if n == id => answer = Err(PlayError::NotUnderstood(why)),
                    Some(frame) => {
                        kept.push_back(frame);
                        continue;
                    }
                    None => continue,
                }
                break 'sends;
            }
        }
        // What came before the answer is older than what came behind it.
        kept.append(&mut self.ready);
        self.ready = kept;
        answer
    }

    /// The next frame of the box in a sale. `None`: the time is over, the abort key was pressed, or the line was opened again.
    fn next(&mut self, until: Option<Instant>, show: Show) -> Result<Option<BoxFrame>, PlayError> {
        loop {
            let look = Instant::now().checked_add(LOOK_EVERY);
            let frame = self.read_frame([look, until].into_iter().flatten().min(), show)?;
            let over = until.is_some_and(|u| Instant::now() >= u) || self.reopened || self.abort.load(Ordering::SeqCst);
            if frame.is_some() || over {
                return Ok(frame);
            }
        }
    }

    /// The next frame of the box, acknowledged already. `None`: the time is over, or the line was opened again.
    fn read_frame(&mut self, until: Option<Instant>, show: Show) -> Result<Option<BoxFrame>, PlayError> {
        let mut buffer = [0; 256];
        loop {
            if let Some(frame) = self.ready.pop_front() {
                return Ok(Some(frame));
            }
            let left = until.map_or(LOOK_EVERY, |u| u.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Ok(None);
            }
            let _ = self.port.set_timeout(left);
            match self.port.read(&mut buffer) {
                Ok(n) if n > 0 => {
                    for byte in buffer.get(..n).unwrap_or_default() {
                        if let Some(body) = self.decoder.push(*byte) {
                            self.heard(&body, show)?;
                        }
                    }
                }
                Err(e) if matches!(e.kind(), io::ErrorKind::TimedOut | io::ErrorKind::Interrupted) => {}
                Ok(_) => return self.reopen(until, io::ErrorKind::UnexpectedEof.into()).map(|()| None),
                Err(e) => return self.reopen(until, e).map(|()| None),
            }
        }
    }

    /// One frame of the box: shown where it is a result, put away, answered, and only then passed on.
    fn heard(&mut self, body: &str, show: Show) -> Result<(), PlayError> {
        if let Some((last, reply, at)) = &mut self.last
            && last == body
            && at.elapsed() < Duration::from_millis(REPEAT_WINDOW_MS)
        {
            *at = Instant::now();
            let reply = reply.clone();
            self.write(&reply);
            return Ok(());
        }
        let fields: Vec<&str> = body.split('|').collect();
        let [word, id, rest @ ..] = fields.as_slice() else { return Ok(()) };
        let Some(id) = number(id, u64::from(ID_MAX)).and_then(|n| u16::try_from(n).ok()) else { return Ok(()) };
        let frame = BoxFrame::parse(word, id, rest);
        let reply = match &frame {
            Some(BoxFrame::Ack(_) | BoxFrame::Bad(..)) => {
                self.ready.extend(frame);
                return Ok(());
            }
            Some(BoxFrame::Result(result)) => {
                show(&Shown::Result(result.clone()));
                self.answer(id, result)?
            }
            // A result that cannot be read must not be taken: the box goes on repeating it.
            None if *word == "RESULT" => return Ok(()),
            _ => format!("ACK|{id}"),
        };
        self.write(&reply);
        self.last = Some((body.to_owned(), reply, Instant::now()));
        self.ready.extend(frame);
        Ok(())
    }

    fn answer(&mut self, id: u16, result: &TillResult) -> Result<String, PlayError> {
        let ticket = fields_of(result.ticket);
        let answer = (self.settings.answer)(result);
        if let (Answer::Taken | Answer::Rejected, Some(ticket)) = (answer, result.ticket) {
            self.memory.finish(ticket).map_err(PlayError::Memory)?;
        }
        Ok(match answer {
            Answer::Taken => format!("TAKEN|{id}|{ticket}"),
            Answer::Later(secs) => format!("LATER|{id}|{ticket}|{secs}"),
            Answer::Rejected => format!("REJECT|{id}|{ticket}"),
        })
    }

    /// Writing that fails is like a frame that is lost: it is repeated.
    fn write(&mut self, body: &str) {
        let _ = self.port.set_timeout(Duration::from_millis(ACK_WAIT_MS));
        let _ = write_all(&mut self.port, &encode(body));
    }

    fn line_time(&self, body: &str) -> Duration {
        let bytes = u64::try_from(body.len()).unwrap_or(u64::MAX).saturating_add(6);
        Duration::from_micros(bytes.saturating_mul(self.settings.line.byte_us()))
    }

    fn reopen(&mut self, until: Option<Instant>, why: io::Error) -> Result<(), PlayError> {
        let Some(path) = self.path.clone() else { return Err(PlayError::Port(why)) };
        self.decoder.cut();
        while until.is_some_and(|u| Instant::now() < u) {
            if let Ok(port) = open(&path, &self.settings.line) {
                self.port = port;
                self.reopened = true;
                return Ok(());
            }
            thread::sleep(REOPEN_EVERY);
        }
        Ok(())
    }
}

/// What a till in a sale waits for.
struct Waits {
    accepted: bool,
    asks: u32,
    quiet_since: Instant,
}

impl Waits {
    fn until(&self) -> Option<Instant> {
        self.quiet_since.checked_add(if self.accepted { PING_AFTER } else { ANSWER_WAIT })
    }
}
