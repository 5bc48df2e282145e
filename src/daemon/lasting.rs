//! What keeps a box going for years: damaged books close the shop and not the daemon, backups are made by themselves, and
//! a disk that fills up is foreseen. Decides nothing about money.

use super::DaemonError;
use crate::clock::{Clock, Trust};
use crate::config::{self, Config};
use crate::control;
use crate::inbox::Inbox;
use crate::shop::event::{Event, NoSales};
use crate::shop::time::Wall;
use crate::store::{
    Books, Copies, CopyError, DISK_LOW_BYTES, Hold, Loaded, OpenError, Store, WholeCheck, disk_free_bytes,
};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use std::{fs, io};

/// How long after a start the first look at the backups is taken: what the start brings comes first.
const FIRST_LOOK: Duration = Duration::from_secs(10);
/// The hour of later looks, once a day, by the shop's clock.
const LOOK_HOUR: i8 = 3;
/// The next look while no date is known to name a backup by.
const NO_DATE: Duration = Duration::from_secs(600);
/// The longest time between two looks.
const DAY: Duration = Duration::from_secs(86_400);
/// By how many sales and days the need for room is judged.
const SALES_FEW: u64 = 50;
const LATE_DAYS: u64 = 30;
/// What a sale takes in the books as long as there are few to measure.
const SALE_BYTES: u64 = 4_096;

/// The books as a start finds them.
pub(super) enum Found {
    /// They can be worked with.
    Sound(Box<Store>, Loaded),
    /// They are kept as they are.
    Damaged(Hold, String),
}

/// Opens the books, or keeps them as they are.
pub(super) fn open(path: &Path) -> Result<Found, DaemonError> {
    let fail = DaemonError::new;
    match Store::open(path) {
        Ok(store) => {
            let loaded = store.load().map_err(|e| fail("the store cannot be read")(e.into()))?;
            Ok(Found::Sound(Box::new(store), loaded))
        }
        Err(error) if error.is_damage() => {
            let hold = Store::hold(path).map_err(|e| fail("the store cannot be kept")(e.into()))?;
            tracing::error!(
                message_id = "d1fe47074cd049e0a626dd6ee1a067db",
                %error,
                "the books are damaged: no new sales; tillgate restore puts a backup in place"
            );
            Ok(Found::Damaged(hold, said(&error)))
        }
        Err(error) => Err(fail("the store cannot be opened")(error.into())),
    }
}

/// What is wrong, without what to do: each who says it knows that better.
fn said(error: &OpenError) -> String {
    match error {
        OpenError::Damaged { path, what } => format!("{}: {what}", path.display()),
        OpenError::NotAStore(path) => format!("{} is not a tillgate store", path.display()),
        OpenError::InUse(_) | OpenError::Newer { .. } | OpenError::NoCopy(_) | OpenError::Unusable { .. } => {
            error.to_string()
        }
    }
}

impl Found {
    /// The newest date on the books.
    pub(super) fn last_wall(&self) -> Option<Wall> {
        match self {
            Found::Sound(_, loaded) => loaded.last_wall,
            Found::Damaged(..) => None,
        }
    }
}

/// Reads the whole store beside the work, after an unclean end: with a defect no new sale is taken.
pub(super) fn read_whole(check: WholeCheck, inbox: Inbox, care: Arc<Care>) -> io::Result<()> {
    tracing::info!("the store was not closed in order: reading all of it beside the work");
    let read = move || match check.run() {
        Ok(()) => tracing::info!("the store was read to its end: nothing is wrong"),
        Err(what) => care.is_damaged(what, &inbox),
    };
    std::thread::Builder::new().name("tillgate-check".into()).spawn(read).map(drop)
}

/// What is known of books, backups, room and clock.
#[derive(Debug)]
pub(super) struct Care {
    store: PathBuf,
    copies: Copies,
    clock: Clock,
    zone: TimeZone,
    damage: OnceLock<String>,
    backup_failed: Mutex<Option<String>>,
    /// Bytes of backups written since the start.
    copied_bytes: AtomicU64,
    /// Sales on the books at the start, and bytes written until they were open.
    sales_before: u64,
    bytes_before: Option<u64>,
}

impl Care {
    pub(super) fn new(config: &Config, found: &Found, clock: Clock, zone: TimeZone) -> Care {
        let damage = OnceLock::new();
        if let Found::Damaged(_, what) = found {
            let _ = damage.set(what.clone()); // It is new.
        }
        let config::Backups { folder, keep } = config.backups.clone();
        let mut care = Care {
            store: config.store.clone(),
            copies: Copies { folder, keep },
            clock,
            zone,
            damage,
            backup_failed: Mutex::new(None),
            copied_bytes: AtomicU64::new(0),
            sales_before: 0,
            bytes_before: written_bytes(),
        };
        care.sales_before = care.sales().unwrap_or(0);
        care.says_clock();
        care
    }

    /// A word in the journal where the date is not believed.
    fn says_clock(&self) {
        let fix = "a time server must be in reach; timedatectl shows more";
        match self.clock.trust() {
            Trust::Wrong => tracing::error!("the clock is not set: no new sales; {fix}"),
            Trust::MayBeLate => tracing::warn!("the clock may be late: no battery, no time server known of; {fix}"),
            Trust::Synchronised | Trust::Plausible => {}
        }
    }

    /// What is wrong with the books.
    pub(super) fn damage(&self) -> Option<&str> {
        self.damage.get().map(String::as_str)
    }

    /// Whether no sale can begin, whatever tills and phones do.
    pub(super) fn is_closed(&self) -> bool {
        self.damage().is_some()
            || self.clock.now().wall.is_none()
            || disk_free_bytes(&self.store).is_ok_and(|free| free < DISK_LOW_BYTES)
    }

    /// A backup was written beside the work.
    pub(super) fn has_copied(&self, bytes: u64) {
        self.copied_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn is_damaged(&self, what: String, inbox: &Inbox) {
        tracing::error!(
            message_id = "d1fe47074cd049e0a626dd6ee1a067db",
            %what,
            "the store is damaged: no new sales; stop, and put a backup in place: tillgate restore"
        );
        let _ = self.damage.set(what); // The first word is enough.
        inbox.put_blocking(Event::NewSales(Err(NoSales::StoreDamaged)));
    }

    fn books(&self) -> Option<Books> {
        if self.damage().is_some() {
            return None; // Nobody touches them.
        }
        Books::open_read_only(&self.store).ok()
    }

    fn sales(&self) -> Option<u64> {
        self.books()?.sales_ever().ok()
    }

    /// How the books stand.
    pub(super) fn books_line(&self) -> control::Books {
        let copies = self.copies.all().unwrap_or_default();
        let failed = self.backup_failed.lock().unwrap_or_else(PoisonError::into_inner);
        control::Books {
            damage: self.damage().map(str::to_owned),
            sales: self.sales(),
            backups: (self.copies.keep > 0).then(|| self.copies.folder.display().to_string()),
            newest_backup: copies.last().map(|newest| newest.path.display().to_string()),
            backups_kept: u64::try_from(copies.len()).unwrap_or(u64::MAX),
            backup_failed: failed.clone(),
        }
    }

    /// How the clock stands.
    pub(super) fn clock_line(&self) -> control::Clock {
        let trust = self.clock.trust();
        control::Clock {
            trusted: trust != Trust::Wrong,
            synchronised: trust == Trust::Synchronised,
            may_be_late: trust == Trust::MayBeLate,
        }
    }

    /// What was written, backups aside.
    pub(super) fn written_line(&self) -> control::Written {
        let copied = self.copied_bytes.load(Ordering::Relaxed).saturating_add(self.bytes_before.unwrap_or(0));
        let bytes = written_bytes().map(|all| all.saturating_sub(copied));
        let sales = self.sales().unwrap_or(0).saturating_sub(self.sales_before);
        control::Written { bytes, sales, bytes_a_sale: bytes.and_then(|bytes| bytes.checked_div(sales)) }
    }

    /// How much room there is, and for how long.
    pub(super) fn disk_line(&self) -> control::Disk {
        let free_bytes = disk_free_bytes(&self.store).unwrap_or(0);
        let mut disk = control::Disk { free_bytes, low: free_bytes < DISK_LOW_BYTES, ..control::Disk::default() };
        let Some(books) = self.books() else { return disk };
        let Ok(sales) = books.sales_ever() else { return disk };
        let size = fs::metadata(&self.store).map_or(0, |file| file.len());
        let each = if sales < SALES_FEW { SALE_BYTES } else { size.checked_div(sales).unwrap_or(SALE_BYTES) };
        // Each sale stands in every backup, too.
        let each = each.max(1).saturating_mul(u64::from(self.copies.keep).saturating_add(1));
        let left = free_bytes.saturating_sub(DISK_LOW_BYTES).checked_div(each).unwrap_or(0);
        disk.sales_left = Some(left);
        disk.days_left = self.days(&books, left);
        disk
    }

    /// How many days so many sales take, as they went of late. Books that are younger than that count by their age.
    fn days(&self, books: &Books, sales: u64) -> Option<u64> {
        let now = self.clock.now().wall?;
        let since = |days: u64| {
            let ms = i64::try_from(days.saturating_mul(86_400_000)).unwrap_or(i64::MAX);
            books.asked_since(Wall(now.0.saturating_sub(ms))).ok()
        };
        let late = since(LATE_DAYS)?;
        if late < SALES_FEW {
            return None;
        }
        let days = if since(LATE_DAYS.saturating_mul(2))? > late {
            LATE_DAYS
        } else {
            books.age_days(now).ok()?.clamp(1, LATE_DAYS)
        };
        sales.saturating_mul(days).checked_div(late)
    }
}

/// Bytes that this process has had written to disks so far, where the kernel says.
fn written_bytes() -> Option<u64> {
    let counted = fs::read_to_string("/proc/self/io").ok()?;
    counted.lines().find_map(|line| line.strip_prefix("write_bytes: "))?.trim().parse().ok()
}

/// The thread that makes backups; it ends when this is dropped, once it has nothing under way.
#[derive(Debug)]
pub(super) struct Keeper {
    _stop: Sender<()>,
}

/// Looks once a day whether a backup is due, and how the room goes.
pub(super) fn keep_copies(care: Arc<Care>, inbox: Inbox) -> io::Result<Keeper> {
    let (stop, stopped) = channel();
    let keep = move || follow(&care, &inbox, &stopped);
    std::thread::Builder::new().name("tillgate-copies".into()).spawn(keep)?;
    Ok(Keeper { _stop: stop })
}

fn follow(care: &Care, inbox: &Inbox, stopped: &Receiver<()>) {
    let mut wait = FIRST_LOOK;
    while stopped.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
        let now = care.clock.now().wall.and_then(|wall| Timestamp::from_millisecond(wall.0).ok());
        let Some(now) = now.map(|now| now.to_zoned(care.zone.clone())) else {
            care.says_clock();
            wait = NO_DATE;
            continue;
        };
        if care.damage().is_none() {
            look(care, inbox, now.date());
        }
        let at = now.date().tomorrow().map(|day| day.at(LOOK_HOUR, 0, 0, 0));
        let next = at.and_then(|at| at.to_zoned(care.zone.clone()));
        let left = next.ok().and_then(|next| Duration::try_from(now.duration_until(&next)).ok());
        wait = left.map_or(DAY, |left| left.min(DAY.saturating_add(DAY)));
    }
}

fn look(care: &Care, inbox: &Inbox, day: jiff::civil::Date) {
    let failed = match care.copies.keep_one(&care.store, day) {
        Ok(None) => None,
        Ok(Some(copy)) => {
            care.has_copied(fs::metadata(&copy.path).map_or(0, |file| file.len()));
            tracing::info!(file = %copy.path.display(), rows = copy.rows, "the books were copied, and the copy proved");
            None
        }
        Err(CopyError::Bad(error)) => {
            care.is_damaged(error.to_string(), inbox);
            Some(error.to_string())
        }
        Err(error) => {
            tracing::error!(%error, "no backup was made; the older ones are as they were");
            Some(error.to_string())
        }
    };
    *care.backup_failed.lock().unwrap_or_else(PoisonError::into_inner) = failed;
    let disk = care.disk_line();
    if disk.fills_up() && !disk.low {
        tracing::warn!("the disk will be full: {}; make room where the books are", disk.room());
    }
}
