//! How the last writer ended: a mark in the lock file, set at an end in order and taken away at a start. Costs a sale nothing.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

const IN_ORDER: &str = "ended in order\n";

/// Whether the last writer ended in order.
pub(super) fn was_in_order(lock: &File) -> io::Result<bool> {
    let mut text = String::new();
    let length = u64::try_from(IN_ORDER.len()).unwrap_or(u64::MAX).saturating_add(1);
    lock.take(length).read_to_string(&mut text)?;
    Ok(text == IN_ORDER)
}

/// A writer begins: the mark is gone from now on. This needs no room on the disk.
pub(super) fn begin(lock: &File) -> io::Result<()> {
    lock.set_len(0)?;
    lock.sync_all()
}

/// The writer ends in order. Where this cannot be written, the next start looks closer than it would have to.
pub(super) fn in_order(lock: &File) -> io::Result<()> {
    let mut lock = lock;
    lock.seek(SeekFrom::Start(0))?;
    lock.write_all(IN_ORDER.as_bytes())?;
    lock.sync_all()
}
