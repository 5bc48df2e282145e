//! The books as they are found on a disk: taken out of its image without a mount, read and proved by the program's own
//! code. Changes no disk but its own copy's journal.

use crate::image::does;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tillgate::shop::effect::Outcome;
use tillgate::store::{Books, Filter, SaleLine, Store, verify};

/// Replays the disk's journal, as the kernel does, and copies all files into a new folder; the books there.
pub(crate) fn taken_out(disk: &Path, folder: &Path) -> Result<PathBuf, String> {
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder).unwrap();
    let path = "/usr/bin:/usr/sbin:/bin:/sbin";
    let replayed =
        Command::new("e2fsck").env("PATH", path).args(["-y", "-E", "journal_only"]).arg(disk).output().unwrap();
    if replayed.status.code().is_none_or(|code| code > 1) {
        return Err(format!("the file system: {}", String::from_utf8_lossy(&replayed.stdout)));
    }
    does(Command::new("debugfs").arg("-R").arg(format!("rdump / {}", folder.display())).arg(disk));
    Ok(folder.join("tillgate.db"))
}

/// Opens the books as a start does, proves them, and says what is sold.
pub(crate) fn read(db: &Path) -> Result<Vec<SaleLine>, String> {
    if !db.exists() {
        return Ok(Vec::new());
    }
    let store = Store::open(db).map_err(|e| format!("they do not open: {e}"))?;
    drop(store);
    verify(db, &mut |_, _| {}).map_err(|e| format!("they do not prove: {e}"))?;
    let mut sales = Vec::new();
    let mut each = |sale| {
        sales.push(sale);
        true
    };
    let books = Books::open_read_only(db).map_err(|e| format!("they cannot be read: {e}"))?;
    books.sales(&Filter::default(), &mut each).map_err(|e| format!("they cannot be read: {e}"))?;
    Ok(sales)
}

/// The amounts of approved sales, in their order.
pub(crate) fn approved(sales: &[SaleLine]) -> Vec<u64> {
    sales
        .iter()
        .rev()
        .filter(|sale| sale.outcome() == Some(Outcome::Approved))
        .map(|sale| sale.amount.minor())
        .collect()
}
