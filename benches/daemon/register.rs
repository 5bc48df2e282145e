//! A till at one end of a pty: asks, answers every frame, and notes when each result began. Prints nothing.

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};
use tillgate::till::frame::{Decoder, STX, encode};

/// Longest wait for a result.
const PATIENCE: Duration = Duration::from_secs(20);

/// A result as it came.
struct Heard {
    ticket: u32,
    outcome: String,
    /// When its first byte was there.
    began: Instant,
}

/// The till's side of a line.
pub(crate) struct Register {
    line: File,
    /// Keeps the line up while nobody else has it open.
    _other_end: File,
    path: PathBuf,
    ticket: u32,
    results: Receiver<Heard>,
}

impl Register {
    pub(crate) fn new() -> Register {
        let (register, reading, put) = Register::unheard();
        thread::spawn(move || read(reading, &put));
        register
    }

    /// A till that never reads what it is sent.
    pub(crate) fn deaf() -> Register {
        Register::unheard().0
    }

    /// A till that reads what it is sent and answers nothing.
    pub(crate) fn mute() -> Register {
        let (register, mut reading, _) = Register::unheard();
        thread::spawn(move || {
            let mut bytes = [0; 512];
            while reading.read(&mut bytes).is_ok() {}
        });
        register
    }

    fn unheard() -> (Register, File, Sender<Heard>) {
        let line = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&line).unwrap();
        unlockpt(&line).unwrap();
        let path = PathBuf::from(ptsname(&line, Vec::new()).unwrap().into_string().unwrap());
        let other_end = File::from(rustix::fs::open(&path, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap());
        let line = File::from(line);
        let (put, results) = channel();
        let reading = line.try_clone().unwrap();
        (Register { line, _other_end: other_end, path, ticket: 0, results }, reading, put)
    }

    /// Another hand on the line, to write anything at all.
    pub(crate) fn line(&self) -> File {
        self.line.try_clone().unwrap()
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Asks for 12.50 EUR. When the last byte was about to leave.
    pub(crate) fn pay(&mut self) -> Instant {
        self.ticket += 1;
        let frame = encode(&format!("PAY|{}|1|{}|1250|EUR|120", self.ticket % 10_000, self.ticket));
        let at = Instant::now();
        self.line.write_all(&frame).unwrap();
        at
    }

    /// When the first byte of the result of the sale under way came. It must be a payment.
    pub(crate) fn paid(&self) -> Instant {
        loop {
            let heard = match self.results.recv_timeout(PATIENCE) {
                Ok(heard) => heard,
                Err(RecvTimeoutError::Timeout) => {
                    panic!("no result of sale {} on {}", self.ticket, self.path.display())
                }
                Err(RecvTimeoutError::Disconnected) => panic!("the line {} is gone", self.path.display()),
            };
            // A result may be told twice.
            if heard.ticket == self.ticket {
                assert_eq!(heard.outcome, "APPROVED");
                return heard.began;
            }
        }
    }
}

fn read(mut line: File, results: &Sender<Heard>) {
    let mut decoder = Decoder::default();
    let mut began = Instant::now();
    let mut bytes = [0; 512];
    while let Ok(count) = line.read(&mut bytes) {
        let now = Instant::now();
        for byte in &bytes[..count] {
            if *byte == STX {
                began = now;
            }
            let Some(body) = decoder.push(*byte) else { continue };
            let fields: Vec<&str> = body.split('|').collect();
            let answer = match fields[..] {
                ["RESULT", id, epoch, ticket, outcome, ..] => {
                    // Taken before it is passed on: were the next request the first to leave, it would be taken for the
                    // same sale asked for again.
                    if line.write_all(&encode(&format!("TAKEN|{id}|{epoch}|{ticket}"))).is_err() {
                        return;
                    }
                    let heard = Heard { ticket: ticket.parse().unwrap(), outcome: outcome.to_owned(), began };
                    if results.send(heard).is_err() {
                        return;
                    }
                    continue;
                }
                ["ACK", ..] => continue,
                ["BAD" | "REFUSE", ..] => panic!("the box refuses: {body}"),
                [_, id, ..] => format!("ACK|{id}"),
                _ => continue,
            };
            if line.write_all(&encode(&answer)).is_err() {
                return;
            }
        }
    }
}
