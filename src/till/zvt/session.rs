//! The dialogue with one till: its commands become events, the shop's answers become commands. Decides nothing about
//! money: what a till takes, refuses or does not hear is told to the shop, which says what becomes of it.
//!
//! Nothing is said but in answer to the till or while a command of it runs (PA00P015 1). A result that comes when none
//! runs is unheard, and the shop has it until the till asks.

use super::apdu::{Apdu, code};
use super::link::Link;
use super::request::{Bad, Registration, Request, WANTS_STATUS, Wish};
use super::said;
use super::wire::{Heard, T3_MS, What, Wire};
use super::words;
use super::{ANSWER_MS, KEEP_ALIVE_MS, KEPT_AFTER_MS, LONGEST_WAIT_SECS, PATIENCE_MS, T4_MS, ZvtOptions, ZvtSettings};
use crate::shop::effect::{Finish, Progress, Refusal, TillAnswer, Totals};
use crate::shop::event::{Ask, AskKind, Of, Span, TillEvent};
use crate::shop::id::SaleId;
use crate::shop::money::{Amount, Currency};
use crate::shop::sale::Code;
use crate::shop::time::Mono;
use crate::till::driver::{Capabilities, Counts, Driver, Out, Prints};
use crate::till::words as plain;

mod answers;

/// The driver of one till.
#[derive(Debug)]
pub struct Zvt {
    settings: ZvtSettings,
    wire: Wire,
    till: Registration,
    run: Option<Run>,
    /// When the till last asked for an abort that the shop has not answered yet.
    aborting: Option<Mono>,
    bad_commands: u64,
}

/// The till's command that runs.
#[derive(Debug)]
enum Run {
    /// A sale, a refund, a reversal, or one of these heard of again.
    Sale(Sale),
    /// Sums, until their receipt is printed.
    Sums { close: bool, mark: Option<u64>, until: Mono },
    /// A status enquiry.
    Status { until: Mono },
    /// All is said but its end.
    Ending,
}

#[derive(Debug)]
struct Sale {
    /// What the till asked for; `None` where it asked for its last result.
    wish: Option<Wish>,
    /// Once the shop has said which it is.
    sale: Option<SaleId>,
    matching: Option<Code>,
    shown: (u8, String),
    /// The result that the till has been told and not yet taken, and its code.
    told: Option<(SaleId, u8)>,
    /// Until when the till is kept listening.
    kept_until: Mono,
}

impl Zvt {
    /// A driver whose line is still down.
    pub fn new(settings: ZvtSettings, link: Link) -> Zvt {
        let till = Registration { config: settings.options.config_byte, ..Registration::default() };
        let wire = Wire::new(link, settings.byte_us);
        Zvt { settings, wire, till, run: None, aborting: None, bad_commands: 0 }
    }

    /// Commands that wait and bytes of a frame begun.
    #[cfg(feature = "fuzzing")]
    pub(super) fn held(&self) -> (usize, usize) {
        self.wire.held()
    }

    fn hear(&mut self, now: Mono, heard: Heard, out: &mut Out) {
        match heard {
            Heard::Command(apdu) => self.command(now, &apdu, out),
            Heard::Unreadable => self.unreadable(now, code::UNREADABLE, out),
            Heard::Answer(command, answer) => self.answered(now, command, answer, out),
            Heard::Silence(command) => self.silence(now, &command, out),
            Heard::Deaf => self.over(out),
        }
    }

    fn unreadable(&mut self, now: Mono, code: u8, out: &mut Out) {
        self.bad_commands = self.bad_commands.saturating_add(1);
        self.wire.answer(now, &Apdu::negative(code), &mut out.bytes);
    }

    fn command(&mut self, now: Mono, apdu: &Apdu, out: &mut Out) {
        let request = match Request::parse(apdu, self.settings.options.password) {
            Ok(request) => request,
            Err(Bad::Malformed) => return self.unreadable(now, code::UNREADABLE, out),
            Err(Bad::Password) => return self.unreadable(now, code::NOT_POSSIBLE, out),
        };
        match &request {
            Request::Unknown => return self.unreadable(now, code::NOT_POSSIBLE, out),
            Request::Abort => return self.abort(now, out),
            // Tills poll these, whatever runs.
            Request::Status | Request::Formality if self.is_busy() => {
                return self.wire.answer(now, &Apdu::negative(code::WAIT), &mut out.bytes);
            }
            Request::Wish(wish) if self.is_running(wish) => {
                self.wire.begin(now);
                return self.wire.answer(now, &Apdu::positive(), &mut out.bytes);
            }
            // Any other begins anew: the till has forgotten what ran.
            Request::Wish(_)
            | Request::Status
            | Request::Formality
            | Request::RepeatReceipt
            | Request::Sums { .. }
            | Request::Register(_)
            | Request::LogOff
            | Request::Reset => {}
        }
        if let Some(code) = self.not_ours(&request) {
            return self.unreadable(now, code, out);
        }
        self.stop(out);
        self.aborting = None;
        self.wire.begin(now);
        self.begin(now, request, out);
    }

    fn is_busy(&self) -> bool {
        match self.run {
            Some(Run::Sale(_) | Run::Sums { .. } | Run::Status { .. }) => true,
            Some(Run::Ending) | None => false,
        }
    }

    /// Whether this is the request that runs, asked for again before it is decided: the same sale.
    fn is_running(&self, again: &Wish) -> bool {
        match &self.run {
            Some(Run::Sale(Sale { wish: Some(wish), told: None, .. })) => wish == again,
            Some(Run::Sale(_) | Run::Sums { .. } | Run::Status { .. } | Run::Ending) | None => false,
        }
    }

    /// Why a command is refused before it runs: a currency that is not the shop's.
    fn not_ours(&self, request: &Request) -> Option<u8> {
        let said = match request {
            Request::Register(registration) => registration.currency,
            // Which of the currencies that exist are taken is for the shop to say.
            Request::Wish(wish) => wish.currency.filter(|number| Currency::from_number(*number).is_none()),
            Request::LogOff
            | Request::Reset
            | Request::RepeatReceipt
            | Request::Sums { .. }
            | Request::Status
            | Request::Abort
            | Request::Formality
            | Request::Unknown => None,
        };
        said.filter(|number| *number != self.settings.currency.number()).map(|_| code::CURRENCY)
    }

    fn begin(&mut self, now: Mono, request: Request, out: &mut Out) {
        if let Request::Wish(wish) = &request
            && self.ask(wish).is_none()
        {
            return self.unreadable(now, code::UNREADABLE, out);
        }
        self.wire.answer(now, &Apdu::positive(), &mut out.bytes);
        let until = now.plus_ms(ANSWER_MS);
        match request {
            Request::Register(registration) => {
                self.till = registration;
                self.end(now, &said::registered(&self.settings), out);
            }
            Request::Wish(wish) => {
                self.run = Some(Run::Sale(self.sale(now, Some(wish))));
                out.events.extend(wish.knows.map(|receipt| TillEvent::Knows { receipt }));
                out.events.extend(self.ask(&wish).map(TillEvent::Asked));
            }
            Request::RepeatReceipt => {
                self.run = Some(Run::Sale(self.sale(now, None)));
                out.events.push(TillEvent::AskedAgain { ticket: None });
            }
            Request::Sums { close } => {
                self.run = Some(Run::Sums { close, mark: None, until });
                out.events.push(TillEvent::AskedTotals { of: Span::Day });
            }
            Request::Status => {
                self.run = Some(Run::Status { until });
                out.events.push(TillEvent::AskedStatus);
            }
            Request::Formality | Request::Reset => self.end(now, &said::completion(), out),
            Request::LogOff | Request::Abort | Request::Unknown => {}
        }
    }

    fn sale(&self, now: Mono, wish: Option<Wish>) -> Sale {
        let shown = (words::step(Progress::WaitingForPhone).0, String::new());
        let kept_until = now.plus_ms(self.patience_ms().saturating_add(KEPT_AFTER_MS));
        Sale { wish, sale: None, matching: None, shown, told: None, kept_until }
    }

    fn ask(&self, wish: &Wish) -> Option<Ask> {
        let currency = wish.currency.and_then(Currency::from_number).unwrap_or(self.settings.currency);
        Some(Ask {
            ticket: None,
            amount: Amount::from_minor(wish.minor.unwrap_or(0), currency).ok()?,
            kind: wish.kind,
            of: wish.of.map(Of::Receipt),
            patience_ms: self.patience_ms(),
            hears_result: true,
        })
    }

    fn wants_status(&self) -> bool {
        self.till.config & WANTS_STATUS != 0
    }

    fn patience_ms(&self) -> u64 {
        if self.wants_status() { longest_wait_ms(&self.settings.options) } else { PATIENCE_MS }
    }

    /// Whether currencies are named to the till: only to one that names them itself.
    fn currency_said(&self) -> bool {
        let wish = match &self.run {
            Some(Run::Sale(sale)) => sale.wish.and_then(|wish| wish.currency),
            Some(Run::Sums { .. } | Run::Status { .. } | Run::Ending) | None => None,
        };
        self.till.currency.or(wish).is_some()
    }

    /// Abort (2.23). The shop says whether the sale can still be stopped.
    fn abort(&mut self, now: Mono, out: &mut Out) {
        let stoppable = match &self.run {
            Some(Run::Sale(sale)) => sale.told.is_none(),
            Some(Run::Sums { .. } | Run::Status { .. } | Run::Ending) => false,
            // A sale may go on of which the till has lost its line.
            None => true,
        };
        if !stoppable {
            return self.wire.answer(now, &Apdu::negative(code::NOT_POSSIBLE), &mut out.bytes);
        }
        if self.aborting.is_some_and(|asked| asked.ms_until(now) < T3_MS) {
            return self.wire.answer(now, &Apdu::negative(code::WAIT), &mut out.bytes);
        }
        self.aborting = Some(now);
        out.events.push(TillEvent::Aborted { ticket: None });
    }

    fn abort_answered(&mut self, now: Mono, answer: &Apdu, out: &mut Out) {
        // One that comes later than the till waits for it would be taken for the answer to something else.
        if self.aborting.take().is_some_and(|asked| asked.ms_until(now) < T3_MS) {
            self.wire.answer(now, answer, &mut out.bytes);
        }
    }

    /// There is no sale to be aborted. If ours was not even begun, it never will be.
    fn nothing_to_abort(&mut self, now: Mono, out: &mut Out) {
        match &self.run {
            Some(Run::Sale(Sale { wish: Some(_), sale: None, .. })) if self.aborting.is_some() => {
                self.abort_answered(now, &Apdu::positive(), out);
                self.fail(now, code::ABORTED, "aborted at the till", out);
            }
            Some(Run::Sale(_) | Run::Sums { .. } | Run::Status { .. } | Run::Ending) | None => {
                self.abort_answered(now, &Apdu::negative(code::NOT_POSSIBLE), out);
            }
        }
    }

    /// What ran is over, and the till waits for no more of it.
    fn over(&mut self, out: &mut Out) {
        self.stop(out);
        self.wire.forget();
    }

    /// What ran is over: what the till has not taken of it is unheard.
    fn stop(&mut self, out: &mut Out) {
        if let Some(Run::Sale(Sale { told: Some((sale, _)), .. })) = self.run.take() {
            out.events.push(TillEvent::Unheard { sale });
        }
        self.wire.end();
    }

    fn end(&mut self, now: Mono, last: &Apdu, out: &mut Out) {
        self.run = Some(Run::Ending);
        self.wire.order(now, What::End, last, &mut out.bytes);
    }

    fn end_with(&mut self, now: Mono, result: u8, out: &mut Out) {
        let last = if result == code::DONE { said::completion() } else { said::aborted(result) };
        self.end(now, &last, out);
    }

    /// A command that nothing was begun for: the till hears why, and it ends.
    fn fail(&mut self, now: Mono, result: u8, text: &str, out: &mut Out) {
        self.status(now, words::FAILED, text, None, out);
        self.wire.order(now, What::Status, &said::refused(result, text), &mut out.bytes);
        self.end(now, &said::aborted(result), out);
    }

    /// Intermediate status, to a till that wants it.
    fn status(&mut self, now: Mono, byte: u8, text: &str, matching: Option<Code>, out: &mut Out) {
        if self.wants_status() {
            self.wire.drop_waiting(What::Status);
            let status = said::status(&self.till, byte, text, matching);
            self.wire.order(now, What::Status, &status, &mut out.bytes);
        }
    }

    fn accepted(&mut self, id: SaleId, matching: Code) {
        if let Some(Run::Sale(sale)) = &mut self.run
            && sale.sale.is_none()
        {
            (sale.sale, sale.matching) = (Some(id), Some(matching));
        }
    }

    fn refused(&mut self, now: Mono, why: Refusal, out: &mut Out) {
        if let Some(Run::Sale(Sale { wish: Some(_), sale: None, .. })) = &self.run {
            let (_, text) = plain::refusal(why, self.settings.currency);
            self.fail(now, words::refusal(why), &text, out);
        }
    }

    fn ready(&mut self, now: Mono, ready: Result<(), Refusal>, out: &mut Out) {
        let result = ready.map_or_else(words::refusal, |()| code::DONE);
        match &self.run {
            Some(Run::Status { .. }) => self.end(now, &said::state(result), out),
            // Neither the last result nor sums can be said.
            Some(Run::Sale(Sale { wish: None, sale: None, .. })) => {
                if let Err(why) = ready {
                    let (_, text) = plain::refusal(why, self.settings.currency);
                    self.fail(now, result, &text, out);
                }
            }
            Some(Run::Sums { mark: None, .. }) if ready.is_err() => self.end(now, &said::aborted(result), out),
            Some(Run::Sale(_) | Run::Sums { .. } | Run::Ending) | None => {}
        }
    }

    fn nothing_to_repeat(&mut self, now: Mono, out: &mut Out) {
        if let Some(Run::Sale(Sale { wish: None, sale: None, .. })) = &self.run {
            self.fail(now, code::NOT_POSSIBLE, "no earlier payment", out);
        }
    }

    fn progress(&mut self, now: Mono, id: SaleId, progress: Progress, out: &mut Out) {
        let Some(Run::Sale(sale)) = &mut self.run else { return };
        if sale.sale != Some(id) || sale.told.is_some() {
            return;
        }
        let (byte, text) = words::step(progress);
        sale.shown = (byte, text.to_owned());
        let matching = sale.matching;
        self.status(now, byte, text, matching, out);
    }

    fn finish(&mut self, now: Mono, finish: &Finish, out: &mut Out) {
        let unheard = TillEvent::Unheard { sale: finish.sale };
        let Some(Run::Sale(sale)) = &mut self.run else { return out.events.push(unheard) };
        match (sale.told, sale.sale, sale.wish) {
            // It is on its way; told twice it does no harm.
            (Some((told, _)), _, _) if told == finish.sale => return,
            (Some(_), _, _) => return out.events.push(unheard),
            (None, Some(id), _) if id != finish.sale => return out.events.push(unheard),
            (None, Some(_), Some(wish)) if !answers(&wish, finish) => {
                // An answer to an earlier request of a till that has lost its line since.
                out.events.push(unheard);
                return self.fail(now, code::SYSTEM, "press repeat receipt", out);
            }
            (None, None, Some(_)) => return out.events.push(unheard),
            (None, Some(_) | None, None) | (None, Some(_), Some(_)) => {}
        }
        let result = words::result(finish);
        (sale.sale, sale.told) = (Some(finish.sale), Some((finish.sale, result)));
        self.abort_answered(now, &Apdu::negative(code::NOT_POSSIBLE), out);
        self.wire.drop_waiting(What::Status);
        if result != code::DONE {
            self.status(now, words::FAILED, &plain::outcome_text(finish), None, out);
        }
        let told = said::result(&self.settings, self.currency_said(), finish);
        self.wire.order(now, What::Result, &told, &mut out.bytes);
        for printed in said::receipt(&self.settings, &self.till, finish) {
            self.wire.order(now, What::Receipt, &printed, &mut out.bytes);
        }
    }

    fn totals(&mut self, now: Mono, totals: &Totals, out: &mut Out) {
        let Some(Run::Sums { close, mark, .. }) = &mut self.run else { return };
        if mark.is_some() || totals.of != Span::Day {
            return;
        }
        *mark = Some(totals.mark);
        let close = *close;
        let sums = said::sums(self.settings.currency, self.currency_said(), totals);
        self.wire.order(now, What::Sums, &sums, &mut out.bytes);
        for printed in said::sums_receipt(&self.settings, &self.till, totals, close) {
            self.wire.order(now, What::SumsReceipt, &printed, &mut out.bytes);
        }
    }

    /// When the till no longer waits for us.
    fn till_gone_at(&self) -> Option<Mono> {
        self.run.as_ref().map(|_| self.wire.spoke_at.plus_ms(T4_MS))
    }

    fn keep_alive_at(&self) -> Option<Mono> {
        let Some(Run::Sale(Sale { told: None, kept_until, .. })) = &self.run else { return None };
        let at = self.wire.spoke_at.plus_ms(KEEP_ALIVE_MS);
        (self.wants_status() && !self.wire.has(What::Status) && at <= *kept_until).then_some(at)
    }

    fn answer_due(&self) -> Option<Mono> {
        match &self.run {
            Some(Run::Sums { mark: None, until, .. } | Run::Status { until }) => Some(*until),
            Some(Run::Sums { mark: Some(_), .. } | Run::Sale(_) | Run::Ending) | None => None,
        }
    }
}

/// Whether a result is about what the till asked for.
fn answers(wish: &Wish, finish: &Finish) -> bool {
    let same_amount = wish.minor.is_none_or(|minor| minor == finish.amount.minor());
    finish.kind == wish.kind && (same_amount || wish.kind == AskKind::Reverse)
}

fn longest_wait_ms(options: &ZvtOptions) -> u64 {
    options.longest_wait_secs.clamp(*LONGEST_WAIT_SECS.start(), *LONGEST_WAIT_SECS.end()).saturating_mul(1_000)
}

impl Driver for Zvt {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            shows_progress: self.wants_status(),
            aborts: true,
            refunds: true,
            result_channel: true,
            prints: if self.till.block { Prints::Block } else { Prints::Lines },
            longest_wait_ms: longest_wait_ms(&self.settings.options).max(PATIENCE_MS),
            gap_ms: super::GAP_MS,
        }
    }

    fn received(&mut self, now: Mono, bytes: &[u8], out: &mut Out) {
        for byte in bytes {
            if let Some(heard) = self.wire.push(now, *byte, &mut out.bytes) {
                self.hear(now, heard, out);
            }
        }
    }

    fn tell(&mut self, now: Mono, answer: &TillAnswer, out: &mut Out) {
        match answer {
            TillAnswer::Accepted { sale, ticket: _, code } => self.accepted(*sale, *code),
            TillAnswer::Refused { ticket: _, why } => self.refused(now, *why, out),
            TillAnswer::Progress { sale, ticket: _, progress } => self.progress(now, *sale, *progress, out),
            TillAnswer::Finish(finish) => self.finish(now, finish, out),
            TillAnswer::NothingToRepeat { ticket: _ } => self.nothing_to_repeat(now, out),
            TillAnswer::NothingToAbort { ticket: _ } => self.nothing_to_abort(now, out),
            TillAnswer::Aborting { ticket: _ } => self.abort_answered(now, &Apdu::positive(), out),
            TillAnswer::Status { ready } => self.ready(now, *ready, out),
            TillAnswer::Totals(totals) => self.totals(now, totals, out),
        }
    }

    fn deadline(&self) -> Option<Mono> {
        let ours = [self.till_gone_at(), self.keep_alive_at(), self.answer_due()];
        ours.into_iter().flatten().chain(self.wire.deadline()).min()
    }

    fn passed(&mut self, now: Mono, out: &mut Out) {
        if self.till_gone_at().is_some_and(|at| at <= now) {
            self.over(out);
        }
        while let Some(heard) = self.wire.passed(now, &mut out.bytes) {
            self.hear(now, heard, out);
        }
        if self.answer_due().is_some_and(|due| due <= now) {
            self.end(now, &said::aborted(code::SYSTEM), out);
        }
        if self.keep_alive_at().is_some_and(|at| at <= now)
            && let Some(Run::Sale(sale)) = &self.run
        {
            let ((byte, text), matching) = (sale.shown.clone(), sale.matching);
            self.status(now, byte, &text, matching, out);
        }
    }

    fn line(&mut self, now: Mono, up: bool, out: &mut Out) {
        if up == self.wire.is_up() {
            return;
        }
        out.events.push(if up { TillEvent::Online } else { TillEvent::Offline });
        if !self.wire.survives() {
            self.over(out);
            self.aborting = None;
        }
        self.wire.line(now, up, &mut out.bytes);
    }

    fn counts(&self) -> Counts {
        let (junk_bytes, bad_frames) = self.wire.junk();
        Counts {
            junk_bytes,
            bad_frames: bad_frames.saturating_add(self.bad_commands),
            repeats_sent: self.wire.repeats_sent,
            repeats_heard: self.wire.repeats_heard,
        }
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
