//! What a box meets in its years: damaged books and their backups, a disk that fills up, days on which nobody buys.

use super::rig::{Dress, Phone, Rig, eventually};
use super::{PRICE, confirm_and_pay};
use rusqlite::Connection;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};
use tillgate::store::{CommitError, Newer, RestoreError, Store, restore, verify};
use tillgate::till::player::{self, Ended};

const CLOSED: &str = "Paying by phone is not possible at the moment.";
/// How long nothing happens where that is looked at.
const IDLE: Duration = Duration::from_secs(60);
/// Whoever is woken more often than that in this time does something.
const WAKES_MAX: u64 = 30;
/// So many sales are enough for the log to move to the file.
const SALES: u64 = 120;
/// Most bytes that one sale may have written.
const SALE_KIB_MAX: u64 = 64;

/// A whole payment; the phone stands at the till before and after.
fn pay(rig: &Rig, phone: &mut Phone) {
    let asked = rig.till.asks(PRICE);
    confirm_and_pay(phone);
    assert_eq!(asked.result().outcome, player::Outcome::Approved);
    phone.sees("/finish");
    phone.send("/finish");
    phone.stands();
}

fn status(rig: &Rig) -> Value {
    let told = rig.tillgate(&["status", "--json", "--socket", rig.stage.file("control.sock").to_str().unwrap()]);
    assert!(told.status.success(), "{told:?}");
    serde_json::from_slice(&told.stdout).unwrap()
}

fn restores(rig: &Rig, from: &Path, more: &[&str]) -> Output {
    let config = rig.stage.file("tillgate.toml");
    let args = ["restore", from.to_str().unwrap(), "--config", config.to_str().unwrap()];
    rig.tillgate(&[args.as_slice(), more].concat())
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The store's file and its log.
fn bytes_of(db: &Path) -> [Vec<u8>; 2] {
    [fs::read(db).unwrap(), fs::read(db.with_extension("db-wal")).unwrap_or_default()]
}

/// Zeroes the first page of a table.
fn damage(db: &Path) {
    let conn = Connection::open(db).unwrap();
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    let find =
        "SELECT (rootpage - 1) * (SELECT page_size FROM pragma_page_size), (SELECT page_size FROM pragma_page_size)
        FROM sqlite_schema WHERE name = 'attempts'";
    let (at, size): (usize, usize) = conn.query_row(find, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    drop(conn);
    let mut bytes = fs::read(db).unwrap();
    bytes[at..at + size].fill(0);
    fs::write(db, bytes).unwrap();
}

#[test]
fn a_daemon_on_damaged_books_stays_up_says_so_everywhere_and_sells_again_after_a_restore() {
    let mut rig = Rig::new();
    let db = rig.stage.shop_books();
    let mut phone = rig.paired();
    pay(&rig, &mut phone);
    let copy = rig.stage.file("copy.db");
    let socket = rig.stage.file("control.sock");
    let backs_up =
        |to: &Path| ["backup", to.to_str().unwrap(), "--socket", socket.to_str().unwrap()].map(str::to_owned);
    let good = backs_up(&copy);
    assert!(rig.tillgate(&good.each_ref().map(String::as_str)).status.success());
    pay(&rig, &mut phone);
    rig.kill();
    damage(&db);
    let before = bytes_of(&db);

    rig.start();
    let refused = rig.till.asks(PRICE).end();
    let Ended::Refused { reason, text } = refused else { panic!("{refused:?}") };
    assert_eq!((reason.as_str(), text.as_str()), ("NO_SALES", "books of the box damaged"));
    // The last sale was paid: neither that it was nor that there was none.
    assert_eq!(rig.till.tries_last(), None);
    assert!(
        status(&rig)["books"]["damage"].as_str().is_some_and(|what| what.contains("tillgate.db")),
        "{}",
        status(&rig)
    );
    let doctor = rig.tillgate(&["doctor", "--config", rig.stage.file("tillgate.toml").to_str().unwrap()]);
    assert!(doctor.status.code() == Some(1) && said(&doctor).contains("tillgate restore"), "{doctor:?}");
    assert!(rig.log().contains("the books are damaged: no new sales"), "{}", rig.log());
    let mut stranger = rig.stranger();
    stranger.reads(CLOSED);
    stranger.send("/login");
    stranger.reads(CLOSED);
    let other = backs_up(&rig.stage.file("other.db"));
    let refused = rig.tillgate(&other.each_ref().map(String::as_str));
    assert!(refused.status.code() == Some(1) && said(&refused).contains("books are damaged"), "{refused:?}");
    let running = restores(&rig, &copy, &["--lose-newer"]);
    assert!(
        running.status.code() == Some(1) && said(&running).contains("systemctl stop 'tillgate-http*' tillgate"),
        "{running:?}"
    );

    assert_eq!(rig.stop().code(), Some(0));
    assert_eq!(bytes_of(&db), before, "the damaged files were changed");
    let asked = restores(&rig, &copy, &[]);
    assert!(asked.status.code() == Some(1) && said(&asked).contains("--lose-newer"), "{asked:?}");
    assert_eq!(bytes_of(&db), before, "a restore that is refused changes nothing");
    let done = restores(&rig, &copy, &["--lose-newer"]);
    assert!(done.status.success() && said(&done).contains("systemctl start tillgate"), "{done:?}");
    assert_eq!(bytes_of(&kept_in(&done).join("tillgate.db")), before, "{done:?}");

    rig.start();
    let mut phone = rig.paired();
    pay(&rig, &mut phone);
    assert_eq!(status(&rig)["books"]["damage"], Value::Null);
    assert_eq!(rig.sales().len(), 2);
    verify(&db, &mut |_, _| {}).unwrap();
    // The payment that the books have lost: a person is called, and nothing goes back by itself.
    eventually("the lost payment is met on the platform's list", || rig.log().contains("OddAnswer"));
    assert_eq!(rig.payments().iter().filter(|payment| payment.moved_minor > 0).count(), 3);
}

/// Where a restore says that it keeps what was there.
fn kept_in(restored: &Output) -> PathBuf {
    let text = said(restored);
    let line = text.lines().find_map(|line| line.strip_prefix("what was there is kept in "));
    PathBuf::from(line.unwrap_or_else(|| panic!("{text}")))
}

#[test]
fn a_restore_says_how_many_sales_would_be_lost_and_loses_none_unless_told() {
    let mut rig = Rig::new();
    let db = rig.stage.shop_books();
    let mut phone = rig.paired();
    pay(&rig, &mut phone);
    rig.kill();
    let copy = rig.stage.file("copy.db");
    tillgate::store::backup(&db, &copy).unwrap();
    let same = restores(&rig, &copy, &[]);
    assert!(same.status.success() && said(&same).contains("nothing is lost"), "{same:?}");
    rig.start();
    let mut phone = rig.paired();
    for _ in 0..3 {
        pay(&rig, &mut phone);
    }
    rig.kill();
    let before = bytes_of(&db);
    let asked = restores(&rig, &copy, &[]);
    assert!(asked.status.code() == Some(1) && said(&asked).contains("3 sales are lost"), "{asked:?}");
    assert_eq!(bytes_of(&db), before);
    let own = restores(&rig, &db, &["--lose-newer"]);
    assert!(own.status.code() == Some(1) && said(&own).contains("these are the books themselves"), "{own:?}");

    // There and back: what was kept aside is a store with its log.
    let done = restores(&rig, &copy, &["--lose-newer"]);
    assert!(done.status.success() && said(&done).contains("3 sales are lost"), "{done:?}");
    assert_eq!(rig.sales().len(), 1);
    let back = restores(&rig, &kept_in(&done).join("tillgate.db"), &[]);
    assert!(back.status.success() && said(&back).contains("nothing is lost"), "{back:?}");
    assert_eq!(rig.sales().len(), 4);
    rig.start();
    assert_eq!(rig.agree().len(), 4);
}

#[test]
fn a_backup_that_was_changed_or_is_of_another_shop_or_program_does_not_become_the_books() {
    let mut rig = Rig::new();
    let db = rig.stage.shop_books();
    let mut phone = rig.paired();
    pay(&rig, &mut phone);
    rig.kill();
    let before = bytes_of(&db);
    let good = rig.stage.file("good.db");
    tillgate::store::backup(&db, &good).unwrap();
    for (change, says) in [
        (
            "UPDATE journal SET body = replace(body, 'minor=1250', 'minor=1') WHERE kind = 'sale'",
            "does not prove itself",
        ),
        ("UPDATE sales SET minor = 1", "does not prove itself"),
        ("PRAGMA user_version = 7", "schema version 7, this program knows up to 2"),
        ("PRAGMA application_id = 7", "not a tillgate store"),
    ] {
        let bad = rig.stage.file("bad.db");
        fs::copy(&good, &bad).unwrap();
        Connection::open(&bad).unwrap().execute_batch(change).unwrap();
        let refused = restores(&rig, &bad, &["--lose-newer"]);
        assert!(refused.status.code() == Some(1) && said(&refused).contains(says), "{change}: {refused:?}");
    }
    let foreign = rig.stage.file("foreign.db");
    let mut other = Rig::new();
    let mut phone = other.paired();
    pay(&other, &mut phone);
    other.kill();
    tillgate::store::backup(&other.stage.shop_books(), &foreign).unwrap();
    let refused = restores(&rig, &foreign, &[]);
    assert!(refused.status.code() == Some(1) && said(&refused).contains("not of these books"), "{refused:?}");
    assert_eq!(bytes_of(&db), before);
    assert!(!rig.stage.file("tillgate.db.restoring").exists() && !rig.stage.file("tillgate.db.looked-at").exists());
}

/// The steps of putting a store in place, as a power cut may leave them.
#[test]
fn a_power_cut_in_the_middle_of_a_restore_leaves_the_old_books_or_the_new_ones() {
    let folder = std::env::temp_dir().join(format!("tillgate-restore-{}", std::process::id()));
    for moved in 0..=4 {
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let db = folder.join("tillgate.db");
        let mut store = Store::open(&db).unwrap();
        write(&mut store, "old").unwrap();
        std::mem::forget(store); // Killed: its rows are in the log.
        fs::remove_file(folder.join("tillgate.db-lock")).unwrap();
        let new = folder.join("new.db");
        let mut store = Store::open(&new).unwrap();
        write(&mut store, "new").unwrap();
        drop(store);
        tillgate::store::backup(&new, &folder.join("tillgate.db.restored")).unwrap();
        let aside = folder.join("tillgate.db.replaced");
        if moved > 0 {
            fs::create_dir(&aside).unwrap();
        }
        for end in ["", "-wal", "-shm"].iter().take(moved) {
            fs::rename(folder.join(format!("tillgate.db{end}")), aside.join(format!("tillgate.db{end}"))).unwrap();
        }
        if moved == 4 {
            fs::rename(folder.join("tillgate.db.restored"), &db).unwrap();
        }
        let store = Store::open(&db).unwrap();
        assert_eq!(store.load().unwrap().shop.cursor, "new", "after {moved} moves");
        drop(store);
        let kept: Vec<_> = fs::read_dir(&folder)
            .unwrap()
            .map(|file| file.unwrap().path())
            .filter(|path| path.display().to_string().contains(".replaced"))
            .collect();
        assert_eq!(kept.len(), 1, "{kept:?}");
        let old = Store::open(&kept[0].join("tillgate.db")).unwrap();
        assert_eq!(old.load().unwrap().shop.cursor, "old", "after {moved} moves");
    }
    fs::remove_dir_all(&folder).unwrap();
}

fn write(store: &mut Store, cursor: &str) -> Result<(), CommitError> {
    store.commit(None, &[tillgate::shop::effect::Record::Cursor(cursor.to_owned())])
}

#[test]
fn a_backup_of_an_older_program_is_brought_up_to_date_and_the_file_itself_stays() {
    let folder = std::env::temp_dir().join(format!("tillgate-older-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let (db, old) = (folder.join("tillgate.db"), folder.join("old.db"));
    let conn = Connection::open(&old).unwrap();
    conn.execute_batch(include_str!("../../../src/store/schema.sql")).unwrap();
    conn.execute_batch("PRAGMA application_id = 0x54696c6c; PRAGMA user_version = 1").unwrap();
    drop(conn);
    let before = fs::read(&old).unwrap();
    let restored = restore(&db, &old, false, &mut |_, _| {}).unwrap();
    assert_eq!((restored.newer, restored.kept), (Newer::Nothing, None));
    assert_eq!(fs::read(&old).unwrap(), before);
    let mut store = Store::open(&db).unwrap();
    write(&mut store, "later").unwrap();
    assert!(matches!(restore(&db, &old, true, &mut |_, _| {}), Err(RestoreError::Store(_))));
    drop(store);
    fs::remove_dir_all(&folder).unwrap();
}

fn backups(rig: &Rig) -> Vec<PathBuf> {
    let files = fs::read_dir(rig.stage.file("backups")).into_iter().flatten();
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn books_are_copied_once_a_day_if_there_was_a_sale_and_the_oldest_copy_goes() {
    let mut rig = Rig::dressed(Dress::default());
    let config = rig.stage.file("tillgate.toml");
    let text = fs::read_to_string(&config).unwrap().replace("[control]", "backups_keep = 2\n\n[control]");
    let text = text.replace("\n\nbackups_keep", "\nbackups_keep");
    fs::write(&config, text).unwrap();
    rig.start();
    let mut phone = rig.paired();
    pay(&rig, &mut phone);
    eventually("the first copy is made", || {
        backups(&rig).len() == 1
            && backups(&rig)[0].extension().is_some_and(|e| e == "db")
            && !backups(&rig)[0].ends_with(".making.db")
    });
    let today = backups(&rig)[0].clone();
    verify(&today, &mut |_, _| {}).unwrap();
    assert_eq!(status(&rig)["books"]["newest_backup"].as_str(), today.to_str());

    // As if it had been made on these days: now one is due.
    let on =
        |day: &str| today.with_file_name(today.file_name().unwrap().to_str().unwrap().replace(&day_of(&today), day));
    let copied = |rig: &Rig| rig.log().matches("the books were copied").count();
    let before = copied(&rig);
    pay(&rig, &mut phone);
    rig.stop();
    fs::copy(&today, on("2026-01-01")).unwrap();
    fs::rename(&today, on("2026-01-02")).unwrap();
    // A clock that was ahead for a while has dated this one; a process was killed over that one.
    fs::copy(on("2026-01-02"), on("2037-01-02")).unwrap();
    fs::write(rig.stage.file("backups").join(".making.db"), "half").unwrap();
    fs::write(rig.stage.file("backups").join("notes.txt"), "of the shopkeeper").unwrap();
    rig.start();
    eventually("the next copy is made", || copied(&rig) == before + 1);
    eventually("the oldest has gone", || backups(&rig).len() == 3);
    assert!(!on("2037-01-02").exists() && !on("2026-01-01").exists() && on("2026-01-02").exists());
    assert!(rig.stage.file("backups").join("notes.txt").exists());
    assert_eq!(status(&rig)["books"]["backups_kept"], 2);
}

fn day_of(copy: &Path) -> String {
    let name = copy.file_name().unwrap().to_str().unwrap();
    name["tillgate-".len()..][..10].to_owned()
}

/// What the kernel has counted of the daemon: bytes to disk, and how often one of its threads was woken.
fn counted(rig: &Rig) -> (u64, u64) {
    let folder = PathBuf::from(format!("/proc/{}", rig.pid().as_raw_nonzero()));
    let field = |text: &str, name: &str| -> u64 {
        let rest = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        rest.trim().parse().unwrap()
    };
    let written = field(&fs::read_to_string(folder.join("io")).unwrap(), "write_bytes:");
    let tasks = fs::read_dir(folder.join("task")).unwrap().map(|task| task.unwrap().path().join("status"));
    let woken = tasks.map(|file| field(&fs::read_to_string(file).unwrap(), "voluntary_ctxt_switches:")).sum();
    (written, woken)
}

#[test]
fn in_an_idle_minute_nothing_is_written_and_nearly_nothing_wakes() {
    let mut rig = Rig::dressed(Dress::default());
    rig.start();
    // What a start brings, the first look at the backups included, is over by then.
    let began = Instant::now();
    let waits = |time: Duration| {
        let until = Instant::now() + time;
        eventually("time passes", || Instant::now() >= until);
    };
    waits(Duration::from_secs(15));
    let before = counted(&rig);
    waits(IDLE);
    let after = counted(&rig);
    println!(
        "idle for {IDLE:?} after {:?}: {} bytes written, woken {} times",
        began.elapsed() - IDLE,
        after.0 - before.0,
        after.1 - before.1
    );
    assert_eq!(after.0 - before.0, 0, "bytes were written although nothing happened");
    assert!(after.1 - before.1 <= WAKES_MAX, "woken {} times", after.1 - before.1);
}

#[test]
fn the_bytes_that_a_sale_writes_are_said_and_few() {
    let rig = Rig::new();
    let mut phone = rig.paired();
    assert_eq!(status(&rig)["written"]["bytes_a_sale"], Value::Null);
    for _ in 0..SALES {
        pay(&rig, &mut phone);
    }
    let written = status(&rig)["written"].clone();
    assert_eq!(written["sales"], SALES, "{written}");
    let each = written["bytes_a_sale"].as_u64().unwrap();
    // A disk in memory counts nothing.
    println!("{written}");
    assert!(each <= SALE_KIB_MAX << 10 || each == 0, "{written}");
    let disk = status(&rig)["disk"].clone();
    assert!(disk["sales_left"].as_u64().is_some_and(|left| left > 0), "{disk}");
}
