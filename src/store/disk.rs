//! The disk: how much room is left, and the reserve that open sales finish with. Decides nothing.

use rustix::fs::{FallocateFlags, fallocate, statvfs};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// With less room than this no new sale is taken.
pub const DISK_LOW_BYTES: u64 = 64 << 20;

/// Size of the reserve: the records of more open sales than a shop has tills.
pub const RESERVE_BYTES: u64 = 1 << 20;

/// Bytes that an unprivileged process can still write on the disk of `path`.
pub fn disk_free_bytes(path: &Path) -> io::Result<u64> {
    let disk = statvfs(path)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// A file that holds room for when the disk is full.
#[derive(Debug)]
pub struct Reserve(PathBuf);

impl Reserve {
    /// The reserve in the folder of the store. Touches nothing yet.
    pub fn beside(store: &Path) -> Reserve {
        Reserve(store.with_file_name("tillgate.reserve"))
    }

    /// Takes the room again, if it is not held and the disk has enough besides. Returns whether it is held now.
    pub fn hold(&self) -> io::Result<bool> {
        if fs::metadata(&self.0).is_ok_and(|m| m.len() >= RESERVE_BYTES) {
            return Ok(true);
        }
        let folder = self.folder();
        if disk_free_bytes(folder)? < DISK_LOW_BYTES.saturating_add(RESERVE_BYTES) {
            return Ok(false);
        }
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&self.0)?;
        fallocate(&file, FallocateFlags::empty(), 0, RESERVE_BYTES)?;
        file.sync_all()?;
        Ok(true)
    }

    /// Gives the room up, so that what is under way can finish. Returns whether there was any.
    pub fn give_up(&self) -> io::Result<bool> {
        match fs::remove_file(&self.0) {
            Ok(()) => File::open(self.folder())?.sync_all().map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn folder(&self) -> &Path {
        folder_of(&self.0)
    }
}

/// The folder a file is in.
pub(super) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
