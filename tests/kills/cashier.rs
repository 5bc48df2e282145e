//! A cashier at a till program that can be killed: what was asked, and everything the till printed about it.

use crate::dice::Dice;
use crate::town::{END, LOOK, PATIENT, Town, pause, tillgate};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tillgate::shop::event::{Ticket, TillNumber};

/// What a till said about a ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// A receipt: its headline and its amount.
    Receipt(String, String),
    /// The box did not take it on.
    Refused(String),
    /// There is no such sale.
    Nothing,
}

/// One sale as the cashier knows it.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) minor: u64,
    pub(crate) words: Vec<Word>,
}

/// A till's own book.
pub(crate) type TillBook = BTreeMap<Ticket, Asked>;

/// The running till program, for who wants to kill it.
pub(crate) type Hand = Arc<Mutex<Option<Child>>>;

pub(crate) struct Cashier<'a> {
    town: &'a Town,
    pub(crate) till: TillNumber,
    port: PathBuf,
    state: PathBuf,
    hand: Hand,
    dice: Dice,
    pub(crate) book: TillBook,
    pub(crate) killed: u64,
}

impl<'a> Cashier<'a> {
    pub(crate) fn new(town: &'a Town, at: usize, hand: Hand, dice: Dice) -> Cashier<'a> {
        let (till, cable) = &town.cables[at];
        let state = town.stage.file(&format!("till-{till}"));
        let port = cable.till_end.clone();
        Cashier { town, till: *till, port, state, hand, dice, book: TillBook::new(), killed: 0 }
    }

    /// Sells until told to stop; then no sale is unknown.
    pub(crate) fn sells(&mut self, over: &AtomicBool) {
        while !over.load(Ordering::SeqCst) {
            let minor = self.dice.within(10, 1_000);
            let patience = self.dice.pick(&[(2, 40), (1, 50), (1, 75)]);
            let aborts = self.dice.percent(15).then(|| Duration::from_millis(self.dice.within(0, 4_000)));
            self.asks(minor, patience, aborts.unwrap_or(PATIENT));
        }
    }

    /// One sale, to the end of all doubt.
    fn asks(&mut self, minor: u64, patience: u64, abort_after: Duration) {
        let before = self.remembers().map(|(ticket, _)| ticket);
        let amount = format!("{}.{:02}", minor / 100, minor % 100);
        let (code, text) = self.runs(&["pay", &amount, "--patience", &patience.to_string()], Some(abort_after));
        let Some((ticket, _)) = self.remembers() else { return };
        if Some(ticket) == before {
            return; // It was killed before it began.
        }
        self.book.insert(ticket, Asked { minor, words: Vec::new() });
        self.notes(&text);
        match code {
            Some(0 | 1) => self.notes_no_result(ticket, &text),
            Some(2) => panic!("till {}: {text}", self.till),
            _ => {}
        }
        let until = Instant::now() + END;
        while self.book[&ticket].words.is_empty() {
            assert!(Instant::now() < until, "till {} never learns of {ticket:?} ({:?})", self.till, self.remembers());
            self.asks_again(ticket);
        }
    }

    /// Asks what became of a sale.
    pub(crate) fn asks_again(&mut self, ticket: Ticket) {
        let (epoch, number) = (ticket.epoch.unwrap().to_string(), ticket.number.to_string());
        let (code, text) = self.runs(&["last", "--epoch", &epoch, "--ticket", &number], None);
        self.notes(&text);
        if code == Some(1) {
            self.notes_no_result(ticket, &text);
        }
        pause(LOOK * 5);
    }

    /// Runs the till program to its end or its death. The exit code, unless killed, and what it printed.
    fn runs(&mut self, args: &[&str], abort_after: Option<Duration>) -> (Option<i32>, String) {
        self.town.cables.iter().filter(|(n, _)| *n == self.till).for_each(|(_, cable)| cable.unlock());
        let mut till = tillgate()
            .args(["till", "--port"])
            .arg(&self.port)
            .arg("--state")
            .arg(&self.state)
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let id = Pid::from_raw(i32::try_from(till.id()).unwrap()).unwrap();
        let (mut out, mut err) = (till.stdout.take().unwrap(), till.stderr.take().unwrap());
        *self.hand.lock().unwrap() = Some(till);
        let reader = std::thread::spawn(move || {
            let mut text = String::new();
            out.read_to_string(&mut text).unwrap();
            err.read_to_string(&mut text).unwrap();
            text
        });
        let began = Instant::now();
        let mut abort_after = abort_after;
        let status = loop {
            if let Some(status) = self.hand.lock().unwrap().as_mut().unwrap().try_wait().unwrap() {
                break status;
            }
            if abort_after.is_some_and(|after| began.elapsed() > after) {
                abort_after = None;
                kill_process(id, Signal::INT).unwrap();
            }
            assert!(began.elapsed() < END, "till {} hangs in {args:?}", self.till);
            pause(LOOK);
        };
        self.hand.lock().unwrap().take();
        self.killed += u64::from(status.signal().is_some());
        (status.code(), reader.join().unwrap())
    }

    /// The last ticket and the unfinished one in the till's memory.
    fn remembers(&self) -> Option<(Ticket, Option<Ticket>)> {
        let text = std::fs::read_to_string(&self.state).ok()?;
        let numbers = |word: &str| -> Option<Vec<u32>> {
            let line = text.lines().find(|line| line.starts_with(word))?;
            Some(line.split(' ').skip(1).map(|n| n.parse().unwrap()).collect())
        };
        let epoch = numbers("epoch")?[0];
        let unfinished = numbers("unfinished").map(|n| Ticket { epoch: Some(n[0]), number: n[1] });
        Some((Ticket { epoch: Some(epoch), number: numbers("ticket")?[0] }, unfinished))
    }

    /// Puts every receipt that was printed whole under its ticket.
    fn notes(&mut self, text: &str) {
        let parts: Vec<_> = text.split("----------------------------------------\n").collect();
        // The last part is open: a till may have been killed while it printed.
        let closed = parts.len() - 1;
        for receipt in parts[..closed].iter().skip(1).step_by(2) {
            let line = |begins: &str| receipt.lines().find_map(|line| line.strip_prefix(begins)).map(str::trim);
            let (epoch, number) = line("Ticket ").and_then(|t| t.split_once('/')).expect(receipt);
            let ticket = Ticket { epoch: epoch.parse().ok(), number: number.parse().unwrap() };
            let headline = receipt.lines().skip_while(|line| *line != "Phone payment").nth(1).unwrap();
            let word = Word::Receipt(headline.to_owned(), line("EUR").unwrap().to_owned());
            let asked = self.book.get_mut(&ticket);
            asked.unwrap_or_else(|| panic!("till {} never asked for {receipt}", self.till)).words.push(word);
        }
    }

    fn notes_no_result(&mut self, ticket: Ticket, text: &str) {
        let word = if let Some(why) = text.lines().find_map(|line| line.strip_prefix("refused: ")) {
            Word::Refused(why.to_owned())
        } else if text.contains("the sale never began") || text.contains("no result") {
            Word::Nothing
        } else {
            return;
        };
        self.book.get_mut(&ticket).unwrap().words.push(word);
    }
}
