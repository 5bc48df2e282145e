//! The commands that read, prove, copy and bring back the books. Each says how it went; none decides what is right.

use crate::{Exit, fail, not_asked, say};
use clap::Args;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use tillgate::config::{self, Config, Faults};
use tillgate::control;
use tillgate::listing::{self, BooksArgs, SalesArgs};
use tillgate::store::{self, Books, Newer, Verified, VerifyError};

/// Copy the books of a running daemon to a file
///
/// The daemon goes on working. The file is yours, appears whole or not at all, and is never written over.
#[derive(Args)]
#[command(after_help = "\
Examples:
  tillgate backup tillgate-$(date +%F).db
  tillgate backup /mnt/usb/books.db --socket /run/tillgate/control.sock

Exit codes: 0 it is there, 1 the daemon refused or the copy broke off, 2 the file cannot be written, 3 no daemon is there")]
pub(super) struct BackupArgs {
    /// The new file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The daemon's socket
    #[arg(long, value_name = "PATH", default_value = config::CONTROL)]
    socket: PathBuf,
}

/// Put a backup in the place of the books, with the daemon stopped
///
/// Verifies the backup first, and refuses if the books that are there know of sales that it does not. What is there is kept
/// aside in any case. Whatever happens meanwhile, the old books are in place or the new ones.
#[derive(Args)]
#[command(after_help = "\
Examples:
  systemctl stop 'tillgate-http*' tillgate
  tillgate restore /var/lib/tillgate/backups/tillgate-2027-01-15-r4711.db
  systemctl start tillgate

Exit codes: 0 it is in place, 1 it was refused and nothing was changed, 2 the configuration cannot be used")]
pub(super) struct RestoreArgs {
    /// The backup
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Even if newer sales are lost from the books
    #[arg(long)]
    lose_newer: bool,
    #[command(flatten)]
    books: BooksArgs,
}

/// Walk the journal and the books, and name the first row that does not fit
///
/// Works beside a running daemon. Note the hash it prints somewhere else: it proves later that nothing was cut off since.
#[derive(Args)]
#[command(after_help = "\
Examples:
  tillgate verify
  tillgate verify --config /etc/tillgate/tillgate.toml
  tillgate verify --db /mnt/backup/tillgate.db

Exit codes: 0 all fits, 1 a row does not fit or cannot be read, 2 the file is no store")]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    books: BooksArgs,
}

pub(super) fn backup(args: &BackupArgs) -> Exit {
    match control::backup(&args.socket, &args.file) {
        Ok(bytes) => say(&format!("{}: {bytes} bytes", args.file.display())),
        Err(cause) => not_asked(&cause),
    }
}

pub(super) fn restore(args: &RestoreArgs) -> Exit {
    let path = match place(&args.books) {
        Ok((path, _)) => path,
        Err(cause) => return fail(&cause, Exit::Usage),
    };
    let restored = match with_progress(|progress| store::restore(&path, &args.file, args.lose_newer, progress)) {
        Ok(restored) => restored,
        Err(cause) => return fail(&cause, Exit::No),
    };
    let mut text = format!("{}: restored, {} rows fit; {}", path.display(), restored.books.rows, restored.newer);
    if let Some(kept) = &restored.kept {
        text = format!("{text}\nwhat was there is kept in {}", kept.display());
    }
    text.push_str("\nnext: systemctl start tillgate; tillgate doctor");
    if restored.newer != Newer::Nothing {
        text.push_str(
            "\npayments that these books do not know stand on the platform's list: the daemon raises an alarm for each, and \
             the tills' own journals say what was sold",
        );
    }
    say(&text)
}

/// Rows done and rows in all, shown to whoever watches.
fn with_progress<T>(work: impl FnOnce(&mut dyn FnMut(u64, u64)) -> T) -> T {
    let shown = io::stderr().is_terminal();
    let mut progress = |done, all| {
        if shown {
            eprint!("\r{done} of {all} rows");
        }
    };
    let done = work(&mut progress);
    if shown {
        eprint!("\r\x1b[K");
    }
    done
}

pub(super) fn sales(args: &SalesArgs) -> Exit {
    let (path, zone) = match place(&args.books) {
        Ok(found) => found,
        Err(cause) => return fail(&cause, Exit::Usage),
    };
    let now = Timestamp::now().to_zoned(zone.clone());
    let filter = match args.filter(&now) {
        Ok(filter) => filter,
        Err(cause) => return fail(&cause, Exit::Usage),
    };
    let mut found = Vec::new();
    let read = Books::open_read_only(&path).map_err(|cause| fail(&cause, Exit::Usage)).and_then(|books| {
        let all = books.sales(&filter, |sale| {
            found.push(sale);
            true
        });
        all.map_err(|cause| fail(&cause, Exit::No))
    });
    match read {
        Err(exit) => exit,
        Ok(_) if args.json => say(&listing::json(&found, &zone)),
        Ok(_) if args.csv => say(&listing::csv(&found, &zone)),
        Ok(_) => say(&listing::table(&found, &zone)),
    }
}

pub(super) fn verify(args: &VerifyArgs) -> Exit {
    let path = match place(&args.books) {
        Ok((path, _)) => path,
        Err(cause) => return fail(&cause, Exit::Usage),
    };
    match with_progress(|progress| store::verify(&path, progress)) {
        Ok(Verified { rows, head }) => say(&format!("{}: {rows} rows fit; the newest is {head}", path.display())),
        Err(cause @ VerifyError::Open(_)) => fail(&cause, Exit::Usage),
        Err(cause @ (VerifyError::Unreadable(_) | VerifyError::Damaged(_) | VerifyError::Bad(_))) => {
            fail(&cause, Exit::No)
        }
    }
}

/// Where the books are, and in which time zone they are read.
fn place(args: &BooksArgs) -> Result<(PathBuf, TimeZone), Faults> {
    let config = args.config.as_deref().map(Config::load).transpose()?;
    let zone = config.as_ref().and_then(|c| c.shop.time_zone.as_deref()).map(TimeZone::get);
    let path = args.db.clone().or(config.map(|c| c.store)).unwrap_or_else(|| PathBuf::from(config::STORE));
    Ok((path, zone.and_then(Result::ok).unwrap_or_else(TimeZone::system)))
}
