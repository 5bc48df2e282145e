//! The log of all writes to a disk, as QEMU's `blklogwrites` keeps it (the format of Linux' dm-log-writes), and the disks
//! that a power cut can leave by it. Knows nothing of what stands on the disk.

use crate::dice::Dice;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// First word of a log.
const MAGIC: u64 = 0x006a_7366_7773_6872;
/// Size of a sector, of the disk and of the log.
const SECTOR: usize = 512;
/// The disk is held in pieces of this size; those of zeros are not held.
const PIECE: usize = 4_096;
/// Flags of an entry.
const FLUSH: u64 = 1;
const FUA: u64 = 2;
const DISCARD: u64 = 4;

/// A write or a flush.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Where it begins in the log: what was acknowledged when the log was so long may depend on it.
    pub(crate) at: u64,
    sector: u64,
    flags: u64,
    from: usize,
    bytes: usize,
}

/// All of a log.
pub(crate) struct Log {
    raw: Vec<u8>,
    pub(crate) entries: Vec<Entry>,
}

impl Log {
    pub(crate) fn read(path: &Path) -> Log {
        let raw = std::fs::read(path).unwrap();
        let word = |at: usize| u64::from_le_bytes(raw[at..at + 8].try_into().unwrap());
        assert_eq!(word(0), MAGIC, "{} is no log of writes", path.display());
        let mut entries = Vec::new();
        let mut at = SECTOR;
        while at + SECTOR <= raw.len() {
            let (sector, sectors, flags) = (word(at), word(at + 8), word(at + 16));
            let bytes = if flags & DISCARD == 0 { usize::try_from(sectors).unwrap() * SECTOR } else { 0 };
            let from = at + SECTOR;
            if from + bytes > raw.len() {
                break; // The emulator ended in the middle of it.
            }
            entries.push(Entry { at: at as u64, sector, flags, from, bytes });
            at = from + bytes;
        }
        Log { raw, entries }
    }

    fn bytes(&self, entry: &Entry) -> &[u8] {
        &self.raw[entry.from..entry.from + entry.bytes]
    }
}

/// A disk in memory.
#[derive(Clone)]
pub(crate) struct Disk {
    size: u64,
    pieces: BTreeMap<usize, Box<[u8; PIECE]>>,
}

impl Disk {
    pub(crate) fn read(path: &Path) -> Disk {
        let file = File::open(path).unwrap();
        let size = file.metadata().unwrap().len();
        let mut pieces = BTreeMap::new();
        for at in 0..usize::try_from(size).unwrap() / PIECE {
            let mut piece = Box::new([0; PIECE]);
            file.read_exact_at(piece.as_mut_slice(), (at * PIECE) as u64).unwrap();
            if piece.iter().any(|byte| *byte != 0) {
                pieces.insert(at, piece);
            }
        }
        Disk { size, pieces }
    }

    fn write(&mut self, sector: u64, bytes: &[u8]) {
        let mut at = usize::try_from(sector).unwrap() * SECTOR;
        for part in bytes.chunks(SECTOR) {
            let piece = self.pieces.entry(at / PIECE).or_insert_with(|| Box::new([0; PIECE]));
            piece[at % PIECE..at % PIECE + part.len()].copy_from_slice(part);
            at += part.len();
        }
    }

    /// As a file, where there was none of this name before.
    pub(crate) fn put(&self, path: &Path) {
        let file = OpenOptions::new().write(true).create_new(true).open(path).unwrap();
        file.set_len(self.size).unwrap();
        for (at, piece) in &self.pieces {
            file.write_all_at(piece.as_slice(), (at * PIECE) as u64).unwrap();
        }
    }
}

/// The disk as time goes by.
pub(crate) struct Replay<'a> {
    log: &'a Log,
    /// All that is sure to be there.
    flushed: Disk,
    /// The first entry that is not yet flushed.
    from: usize,
}

impl<'a> Replay<'a> {
    pub(crate) fn new(log: &'a Log, before: Disk) -> Replay<'a> {
        Replay { log, flushed: before, from: 0 }
    }

    /// The disk that a power cut after the first `cut` entries leaves; cuts must not become less. What came before the last
    /// flush is there; of what came after it each write is kept, lost, or torn.
    pub(crate) fn cut(&mut self, cut: usize, dice: &mut Dice) -> Disk {
        let flush = self.log.entries[..cut].iter().rposition(|entry| entry.flags & FLUSH != 0).map_or(0, |at| at + 1);
        for entry in &self.log.entries[self.from.min(flush)..flush] {
            self.flushed.write(entry.sector, self.log.bytes(entry));
        }
        self.from = self.from.max(flush);
        let mut disk = self.flushed.clone();
        for entry in &self.log.entries[self.from..cut] {
            let bytes = self.log.bytes(entry);
            if entry.flags & FUA != 0 {
                disk.write(entry.sector, bytes);
                continue;
            }
            let sectors = (bytes.len() / SECTOR) as u64;
            if dice.percent(50) && sectors > 0 {
                let torn = dice.percent(30);
                let kept = if torn { dice.within(0, sectors) } else { sectors };
                disk.write(entry.sector, &bytes[..usize::try_from(kept).unwrap() * SECTOR]);
            }
        }
        disk
    }
}
