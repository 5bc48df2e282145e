//! What a till remembers over a power cut: its epoch, its last ticket, and the sale whose result it does not know.

use super::frame::number;
use crate::shop::event::Ticket;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Kept in a small text file, written anew, synced and renamed at each change; or nowhere, and then every start is a
/// loss of memory and begins a new epoch.
#[derive(Debug)]
pub(super) struct Memory {
    file: Option<PathBuf>,
    epoch: u32,
    ticket: u32,
    pub(super) unfinished: Option<Ticket>,
}

impl Memory {
    pub(super) fn load(file: Option<&Path>) -> io::Result<Memory> {
        let mut memory = Memory { file: file.map(Path::to_owned), epoch: fresh_epoch(), ticket: 0, unfinished: None };
        let text = match file.map(fs::read_to_string) {
            Some(Ok(text)) => text,
            Some(Err(e)) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            Some(Err(_)) | None => return Ok(memory),
        };
        // What cannot be read is lost memory: a new epoch.
        if let Some((epoch, ticket, unfinished)) = parse(&text) {
            memory = Memory { epoch, ticket, unfinished, ..memory };
        }
        Ok(memory)
    }

    /// A sale begins: under this ticket, or the next one.
    pub(super) fn begin(&mut self, ticket: Option<Ticket>) -> io::Result<Ticket> {
        let next = Ticket { epoch: Some(self.epoch), number: self.ticket.saturating_add(1) };
        let ticket = ticket.unwrap_or(next);
        if ticket == next {
            self.ticket = next.number;
        }
        self.unfinished = Some(ticket);
        self.save().map(|()| ticket)
    }

    /// The result of a sale is known.
    pub(super) fn finish(&mut self, ticket: Ticket) -> io::Result<()> {
        if self.unfinished != Some(ticket) {
            return Ok(());
        }
        self.unfinished = None;
        self.save()
    }

    fn save(&self) -> io::Result<()> {
        let Some(path) = &self.file else { return Ok(()) };
        let fresh = path.with_extension("new");
        let mut file = File::create(&fresh)?;
        file.write_all(self.text().as_bytes())?;
        file.sync_all()?;
        fs::rename(&fresh, path)
    }

    fn text(&self) -> String {
        let mut text = format!("epoch {}\nticket {}\n", self.epoch, self.ticket);
        if let Some(Ticket { epoch, number }) = self.unfinished {
            text.push_str(&format!("unfinished {} {number}\n", epoch.unwrap_or(0)));
        }
        text
    }
}

/// Seconds since 1970: grows from one loss of memory to the next.
fn fresh_epoch() -> u32 {
    let secs = SystemTime::now().duration_since(UNIX_EPOCH).map(|d| d.as_secs()).unwrap_or(0);
    u32::try_from(secs).unwrap_or(u32::MAX).max(1)
}

fn parse(text: &str) -> Option<(u32, u32, Option<Ticket>)> {
    let small = |text: &str| number(text, u64::from(u32::MAX)).and_then(|n| u32::try_from(n).ok());
    let (mut epoch, mut ticket, mut unfinished) = (None, None, None);
    for line in text.lines() {
        match line.split(' ').collect::<Vec<_>>().as_slice() {
            ["epoch", n] => epoch = Some(small(n)?),
            ["ticket", n] => ticket = Some(small(n)?),
            ["unfinished", e, n] => unfinished = Some(Ticket { epoch: Some(small(e)?), number: small(n)? }),
            _ => return None,
        }
    }
    Some((epoch?, ticket?, unfinished))
}

/// Arbitrary text read; what is read is read again from what is written of it.
#[cfg(feature = "fuzzing")]
pub(super) fn fuzz(text: &str) {
    if let Some((epoch, ticket, unfinished)) = parse(text) {
        let memory = Memory { file: None, epoch, ticket, unfinished };
        assert_eq!(parse(&memory.text()), Some((epoch, ticket, unfinished)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tickets_and_the_unfinished_sale_survive_a_restart_and_a_broken_file_begins_a_new_epoch() {
        let path = std::env::temp_dir().join(format!("tillgate-memory-{}", std::process::id()));
        let _ = fs::remove_file(&path);
        let first = Memory::load(Some(&path)).unwrap().begin(None).unwrap();
        let mut again = Memory::load(Some(&path)).unwrap();
        assert_eq!((first.number, again.unfinished), (1, Some(first)));
        again.finish(first).unwrap();
        let mut third = Memory::load(Some(&path)).unwrap();
        assert_eq!(third.unfinished, None);
        assert_eq!(third.begin(None).unwrap(), Ticket { number: 2, ..first });
        fs::write(&path, "epoch x").unwrap();
        let lost = Memory::load(Some(&path)).unwrap();
        assert_eq!((lost.ticket, lost.unfinished), (0, None));
        assert!(lost.epoch >= first.epoch.unwrap());
        fs::remove_file(&path).unwrap();
    }
}
