//! What a till answers to the commands of the box, and what follows: the commit at the counter. Says nothing of its own
//! accord.
//!
//! A result is taken by the till's answer to it and to each line of its receipt; put off by `84 9C`; rejected by another
//! `84`; unheard without an answer (PA00P015 2.2).

use super::super::LATER_MS;
use super::super::apdu::code;
use super::super::said;
use super::super::wire::{Command, What};
use super::{Run, Sale, Zvt};
use crate::shop::event::TillEvent;
use crate::shop::time::Mono;
use crate::till::driver::Out;

impl Zvt {
    /// The till's answer to a command of ours.
    pub(super) fn answered(&mut self, now: Mono, command: Command, answer: Result<(), u8>, out: &mut Out) {
        match (command.what, answer) {
            (What::Result, _) => self.result_answered(now, answer, out),
            (What::Receipt | What::SumsReceipt | What::Sums, Err(code::WAIT)) => {
                self.wire.later(command, now.plus_ms(LATER_MS));
            }
            (What::Receipt, Ok(())) => self.taken_if_printed(now, out),
            (What::Receipt, Err(_)) => self.not_printed(now, out),
            (What::Sums, Ok(())) => {
                if let Some(Run::Sums { close: true, mark: Some(mark), .. }) = self.run {
                    out.events.push(TillEvent::DayClosed { mark });
                }
                self.sums_printed(now, out);
            }
            (What::Sums, Err(_)) => {
                self.wire.drop_waiting(What::SumsReceipt);
                self.end(now, &said::aborted(code::ABORTED), out);
            }
            // What is not printed of the sums is on the books.
            (What::SumsReceipt, Ok(()) | Err(_)) => self.sums_printed(now, out),
            (What::Status, Ok(()) | Err(_)) => {}
            (What::End, Ok(()) | Err(_)) => self.over(out),
        }
        self.wire.pump(now, &mut out.bytes);
    }

    fn result_answered(&mut self, now: Mono, answer: Result<(), u8>, out: &mut Out) {
        let Some(Run::Sale(sale)) = &mut self.run else { return };
        let Some((id, _)) = sale.told else { return };
        match answer {
            Ok(()) => self.taken_if_printed(now, out),
            Err(code::WAIT) => {
                sale.told = None;
                self.wire.drop_waiting(What::Receipt);
                out.events.push(TillEvent::TakeLater { sale: id, after_ms: LATER_MS });
            }
            Err(_) => {
                self.wire.drop_waiting(What::Receipt);
                out.events.push(TillEvent::Rejected { sale: id });
                self.end(now, &said::aborted(code::ABORTED), out);
            }
        }
    }

    /// The result is taken once its whole receipt is.
    fn taken_if_printed(&mut self, now: Mono, out: &mut Out) {
        let Some(Run::Sale(Sale { told: Some((sale, result)), .. })) = self.run else { return };
        if !self.wire.has(What::Receipt) {
            out.events.push(TillEvent::Taken { sale });
            self.end_with(now, result, out);
        }
    }

    /// The till has the result and cannot print: the command ends as the sale did, and the till asks for the receipt
    /// again when it can.
    fn not_printed(&mut self, now: Mono, out: &mut Out) {
        let Some(Run::Sale(Sale { told: Some((sale, result)), .. })) = self.run else { return };
        self.wire.drop_waiting(What::Receipt);
        out.events.push(TillEvent::Unheard { sale });
        self.end_with(now, result, out);
    }

    fn sums_printed(&mut self, now: Mono, out: &mut Out) {
        if matches!(self.run, Some(Run::Sums { .. })) && !self.wire.has(What::SumsReceipt) {
            self.end(now, &said::completion(), out);
        }
    }

    /// The till answers no more.
    pub(super) fn silence(&mut self, now: Mono, command: &Command, out: &mut Out) {
        match command.what {
            What::Result | What::Receipt | What::Sums | What::End => self.over(out),
            What::SumsReceipt => self.sums_printed(now, out),
            What::Status => {}
        }
    }
}
