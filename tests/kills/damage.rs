//! Damaged stores: each is refused or named by `tillgate verify`, with what to do, and nothing is lost without a word.

use crate::dice::Dice;
use crate::ground;
use crate::rig::{Dress, Rig, eventually};
use crate::town::tillgate;
use rusqlite::{Connection, OpenFlags};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tillgate::demo::stage::Stage;
use tillgate::shop::event::TillNumber;
use tillgate::shop::time::Wall;
use tillgate::store::{CHECKED_AT_ONCE_BYTES, Store, verify};
use tillgate::till::player::Ended;

/// Bytes of a page of a new store.
const PAGE: usize = 512;
/// Sales in the damaged store: most of its pages are not in the log.
const SALES: u64 = 2_000;
/// Commits that are in the log only.
const STEPS: u32 = 200;
/// Random damages where nothing else is asked for, and the number that asks.
const DAMAGES: u64 = 120;
const ASKED: &str = "TILLGATE_DAMAGES";

/// What the journal has only the beginning of, or nothing, because it would name a phone or let somebody pay.
const UNPROVED: &[&str] = &["session", "boot", "doubt_boot", "link"];

/// The rows whose loss would be one of money, as text. The newest journal row stands first.
fn contents(db: &Path) -> Result<Vec<String>, rusqlite::Error> {
    let conn = Connection::open_with_flags(db, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    let mut all = Vec::new();
    for (table, order) in
        [("journal", "seq DESC"), ("sales", "no"), ("attempts", "no"), ("refunds", "no"), ("tickets", "seq")]
    {
        let mut statement = conn.prepare(&format!("SELECT * FROM {table} ORDER BY {order}"))?;
        let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let columns: Vec<_> = (0..names.len()).filter(|at| !UNPROVED.contains(&names[*at].as_str())).collect();
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let cells: Result<Vec<_>, _> = columns.iter().map(|at| row.get::<_, rusqlite::types::Value>(*at)).collect();
            all.push(format!("{table} {:?}", cells?));
        }
    }
    Ok(all)
}

/// A store as a killed daemon leaves it: part of it in the file, part in the log.
struct Original {
    folder: PathBuf,
    db: Vec<u8>,
    log: Vec<u8>,
    index: Vec<u8>,
    /// What the lock file says of how the last writer ended.
    mark: &'static str,
    contents: Vec<String>,
}

impl Original {
    /// Killed, with commits that are in the log only; or ended in order.
    fn new(killed: bool) -> Original {
        let name = format!("damage-{killed}-{}-{:?}", std::process::id(), std::thread::current().id());
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&folder).unwrap();
        let db = folder.join("original.db");
        ground::fill(&db, SALES);
        let mut store = Store::open(&db).unwrap();
        let mut steps = ground::Steps::new(3);
        for _ in 0..STEPS {
            store.commit(Some(Wall(steps.wall)), &steps.next()).unwrap();
        }
        // A process that is killed closes nothing.
        if killed {
            std::mem::forget(store)
        } else {
            drop(store)
        }
        let [log, index] = ["db-wal", "db-shm"].map(|end| fs::read(db.with_extension(end)).unwrap_or_default());
        let mark = if killed { "" } else { "ended in order\n" };
        Original { db: fs::read(&db).unwrap(), contents: contents(&db).unwrap(), log, index, mark, folder }
    }

    /// A copy, with the damage done to it.
    fn damaged(&self, name: &str, damage: impl FnOnce(&mut Vec<u8>, &mut Vec<u8>)) -> PathBuf {
        let path = self.folder.join(name).with_extension("db");
        fs::write(path.with_extension("db-lock"), self.mark).unwrap();
        let (mut db, mut log) = (self.db.clone(), self.log.clone());
        damage(&mut db, &mut log);
        fs::write(&path, db).unwrap();
        fs::write(path.with_extension("db-wal"), log).unwrap();
        fs::write(path.with_extension("db-shm"), &self.index).unwrap();
        path
    }
}

impl Drop for Original {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn bytes_of(path: &Path) -> [Vec<u8>; 2] {
    [fs::read(path).unwrap(), fs::read(path.with_extension("db-wal")).unwrap_or_default()]
}

#[test]
fn damage_anywhere_is_refused_or_named_by_verify_or_did_no_harm() {
    let originals = [true, false].map(Original::new);
    let damages = std::env::var(ASKED).map_or(DAMAGES, |text| text.parse().unwrap());
    let seed = std::env::var("TILLGATE_SEED").map_or(7, |text| text.parse().unwrap());
    println!("{ASKED}={damages} TILLGATE_SEED={seed}");
    let mut dice = Dice::new(seed);
    let counts: Vec<[u64; 3]> = std::thread::scope(|scope| {
        let workers = [0, 1, 2, 3].map(|worker| {
            let (mut dice, originals) = (dice.split(), &originals);
            scope.spawn(move || {
                let mut counts = [0; 3];
                for _ in 0..damages / 4 {
                    let original = &originals[usize::from(dice.percent(50))];
                    let damage = Damage::roll(&mut dice, original.db.len(), original.log.len());
                    counts[suffer(original, &damage, &worker.to_string())] += 1;
                }
                counts
            })
        });
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    let [refused, named, harmless] = [0, 1, 2].map(|kind| counts.iter().map(|of_one| of_one[kind]).sum::<u64>());
    println!("{refused} refused at the start, {named} named by verify, {harmless} did no harm");
    assert!(refused > 0 && named > 0);
}

/// What comes of a damage: refused at the start, named by verify, or no harm done.
fn suffer(original: &Original, damage: &Damage, name: &str) -> usize {
    let path = original.damaged(name, |db, log| damage.does(db, log));
    let before = bytes_of(&path);
    match Store::open(&path) {
        Err(error) => {
            let said = error.to_string();
            assert!(said.contains(path.to_str().unwrap()), "{damage:?}: {said}");
            assert_eq!(bytes_of(&path), before, "{damage:?}: the refused files were changed");
            0
        }
        Ok(store) => {
            drop(store);
            if verify(&path, &mut |_, _| {}).is_err() {
                return 1;
            }
            assert!(contents(&path).unwrap() == original.contents, "{damage:?}: lost without a word");
            2
        }
    }
}

/// A damage and where.
#[derive(Debug)]
enum Damage {
    Flip { log: bool, at: usize, bit: u8 },
    Zero { log: bool, at: usize, bytes: usize },
    Noise { log: bool, at: usize, bytes: usize, seed: u64 },
    Cut { log: bool, at: usize },
}

impl Damage {
    fn roll(dice: &mut Dice, db: usize, log: usize) -> Damage {
        let in_log = dice.percent(40);
        let size = u64::try_from(if in_log { log } else { db }).unwrap();
        let (anywhere, in_header) = (dice.next() % size, dice.next() % 120);
        let at = usize::try_from(dice.pick(&[(8, anywhere), (1, in_header)])).unwrap();
        let bytes = usize::try_from(dice.pick(&[(1, 16), (1, 512), (1, 1_024), (1, 4_096)])).unwrap();
        let seed = dice.next();
        let bit = u8::try_from(seed % 8).unwrap();
        let log = in_log;
        match dice.pick(&[(5, 0), (2, 1), (2, 2), (2, 3)]) {
            0 => Damage::Flip { log, at, bit },
            1 => Damage::Zero { log, at, bytes },
            2 => Damage::Noise { log, at, bytes, seed },
            _ => Damage::Cut { log, at },
        }
    }

    fn does(&self, db: &mut Vec<u8>, log: &mut Vec<u8>) {
        let end = |file: &Vec<u8>, at: usize, bytes: usize| (at + bytes).min(file.len());
        match *self {
            Damage::Flip { log: in_log, at, bit } => (if in_log { log } else { db })[at] ^= 1 << bit,
            Damage::Zero { log: in_log, at, bytes } => {
                let file = if in_log { log } else { db };
                let end = end(file, at, bytes);
                file[at..end].fill(0);
            }
            Damage::Noise { log: in_log, at, bytes, seed } => {
                let (file, mut dice) = (if in_log { log } else { db }, Dice::new(seed));
                let end = end(file, at, bytes);
                file[at..end].iter_mut().for_each(|byte| *byte = dice.next().to_le_bytes()[0]);
            }
            Damage::Cut { log: in_log, at } => (if in_log { log } else { db }).truncate(at),
        }
    }
}

/// What is damaged by name, and whether the start sees it; else `verify` does.
type Named = (&'static str, fn(&mut Vec<u8>, &mut Vec<u8>), bool);

/// Those of the log are done to a store that was killed; the others to one whose log has moved to the file, since what
/// stands in the log hides what is damaged behind it.
const NAMED: &[Named] = &[
    ("the file's header", |db, _| db[16..100].fill(0xa5), true),
    ("the middle of the file", |db, _| damage_middle(db), true),
    ("an index", |db, _| zero_root(db, "sales_summed"), true),
    ("a table", |db, _| zero_root(db, "attempts"), true),
    ("the text of an old row of the journal", |db, _| change_text(db), false),
    ("the file, which is empty beside its log", |db, _| db.clear(), true),
    ("the end of the file", |db, _| db.truncate(db.len() / 2), true),
    ("the log's header", |_, log| log[4..32].fill(0x11), true),
    ("a commit in the log", |_, log| log[40_000] ^= 1, true),
    ("the last commit in the log", |_, log| damage_last_commit(log), true),
    ("the end of the log", |_, log| log.truncate(log.len() / 8), true),
    ("the log, which is empty", |_, log| log.clear(), true),
    ("the log, which is gone", |_, log| log.clear(), true),
];

fn damage_middle(db: &mut [u8]) {
    let (from, to) = (db.len() / 4, db.len() / 2);
    db[from..to].fill(0x5a);
}

/// The last frame of the log's present run; what stands behind it is of an earlier one.
fn damage_last_commit(log: &mut [u8]) {
    let salts = log[16..24].to_vec();
    let frames = (32..log.len()).step_by(24 + PAGE);
    let last = frames.take_while(|at| log.get(at + 8..at + 16) == Some(&salts)).last().unwrap();
    log[last + 500] ^= 1;
}

/// Zeroes the first page of a table or an index.
fn zero_root(db: &mut [u8], name: &str) {
    let file = std::env::temp_dir().join(format!("tillgate-root-{}-{name}", std::process::id()));
    fs::write(&file, &*db).unwrap();
    // Not as a log's file: there is none beside this copy.
    let conn = Connection::open(&file).unwrap();
    let page: usize =
        conn.query_row("SELECT rootpage FROM sqlite_schema WHERE name = ?1", [name], |row| row.get(0)).unwrap();
    drop(conn);
    for end in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{end}", file.display()));
    }
    db[(page - 1) * PAGE..page * PAGE].fill(0);
}

/// Another amount in a row that no start looks at.
fn change_text(db: &mut [u8]) {
    let text = b"minor=1250";
    let at = db.windows(text.len()).position(|window| window == text).unwrap();
    db[at + 6] = b'7';
}

#[test]
fn a_daemon_on_a_damaged_store_stays_up_says_which_file_and_what_to_do_and_changes_nothing() {
    let originals = [true, false].map(Original::new);
    let stage = Stage::new().unwrap();
    let till = TillNumber::new(7).unwrap();
    let config = stage.write_config("127.0.0.1:9".parse().unwrap(), &[(till, Path::new("/dev/null"))], "").unwrap();
    let db = stage.shop_books();
    for (name, damage, at_start) in NAMED {
        let in_log = name.contains("log");
        let copy = originals[usize::from(!in_log)].damaged("named", |db, log| {
            if !in_log {
                log.clear();
            }
            damage(db, log);
        });
        fs::copy(&copy, &db).unwrap();
        for end in ["db-wal", "db-shm"] {
            fs::copy(copy.with_extension(end), db.with_extension(end)).unwrap();
        }
        let _ = fs::remove_file(db.with_extension("db-lock"));
        if name.contains("gone") {
            fs::remove_file(db.with_extension("db-wal")).unwrap();
        }
        let before = bytes_of(&db);
        if *at_start {
            let said = stays_up(&stage, &config);
            let path = db.display().to_string();
            let told = said.contains(&path) && said.contains("damaged") && said.contains("tillgate restore");
            assert!(told, "{name}: {said}");
            assert_eq!(bytes_of(&db), before, "{name}: the files were changed");
            println!("{name}: {}", said.lines().find(|line| line.contains("books are damaged")).unwrap());
        }
        let verified = tillgate().args(["verify", "--config"]).arg(&config).output().unwrap();
        assert!(matches!(verified.status.code(), Some(1 | 2)), "{name}: {verified:?}");
        println!("{name}: {}", String::from_utf8_lossy(&verified.stderr).trim());
    }
}

/// Starts a daemon, asks how things stand, stops it in order: what all three said.
fn stays_up(stage: &Stage, config: &Path) -> String {
    let log = stage.file("closed.log");
    let out = fs::File::create(&log).unwrap();
    let mut daemon = tillgate();
    daemon.args(["run", "--config"]).arg(config).stdin(Stdio::null()).stdout(out.try_clone().unwrap()).stderr(out);
    let mut daemon = daemon.spawn().unwrap();
    let status = || tillgate().args(["status", "--socket"]).arg(stage.file("control.sock")).output().unwrap();
    eventually("the daemon answers", || status().status.success());
    let told = String::from_utf8(status().stdout).unwrap();
    assert!(told.contains("DAMAGED: new sales are refused"), "{told}");
    kill_process(Pid::from_child(&daemon), Signal::TERM).unwrap();
    assert_eq!(daemon.wait().unwrap().code(), Some(0));
    fs::read_to_string(log).unwrap() + &told
}

/// A store that is too large to be checked before the work begins, not closed in order, and damaged where no start looks.
fn large_damaged(stage: &Stage) {
    let db = stage.shop_books();
    ground::fill(&db, 30_000);
    assert!(fs::metadata(&db).unwrap().len() > CHECKED_AT_ONCE_BYTES);
    let mut bytes = fs::read(&db).unwrap();
    zero_root(&mut bytes, "sales_summed");
    fs::write(&db, bytes).unwrap();
    for end in ["db-wal", "db-shm", "db-lock"] {
        let _ = fs::remove_file(db.with_extension(end));
    }
}

#[test]
fn a_large_store_is_checked_beside_the_work_and_damage_stops_new_sales() {
    let mut rig = Rig::dressed(Dress { folder: Some(large_damaged), ..Dress::default() });
    rig.start();
    eventually("the damage is found", || rig.log().contains("the store is damaged: no new sales"));
    let refused = rig.till.asks(1_250).end();
    let Ended::Refused { reason, text } = refused else { panic!("{refused:?}") };
    assert_eq!((reason.as_str(), text.as_str()), ("NO_SALES", "books of the box damaged"));
    // Ended in order or not, the next start looks again.
    assert_eq!(rig.stop().code(), Some(0));
    rig.start();
    eventually("it is found again", || rig.log().matches("the store is damaged: no new sales").count() == 2);
}

#[test]
fn a_commit_that_a_power_cut_tore_is_forgotten_and_the_store_goes_on() {
    let original = Original::new(true);
    let first = original.damaged("torn-first", |_, _| {});
    let mut store = Store::open(&first).unwrap();
    let mut steps = ground::Steps::new(11);
    let mut commit = |store: &mut Store| store.commit(Some(Wall(steps.wall)), &steps.next()).unwrap();
    commit(&mut store);
    // As the disk has it while the next commit is on its way: the index does not know of that yet.
    let (acknowledged, index) = (contents(&first).unwrap(), fs::read(first.with_extension("db-shm")).unwrap());
    commit(&mut store);
    let (db, mut log) = (fs::read(&first).unwrap(), fs::read(first.with_extension("db-wal")).unwrap());
    let frames = |index: &[u8]| usize::try_from(u32::from_ne_bytes(index[16..20].try_into().unwrap())).unwrap();
    let at = 32 + frames(&index) * (24 + PAGE);
    let end = 32 + frames(&fs::read(first.with_extension("db-shm")).unwrap()) * (24 + PAGE);
    drop(store);
    for torn in [at + 10, at + 600, end - 600] {
        let path = original.folder.join("torn.db");
        log[torn] ^= 1;
        fs::write(&path, &db).unwrap();
        fs::write(path.with_extension("db-wal"), &log).unwrap();
        fs::write(path.with_extension("db-shm"), &index).unwrap();
        let _ = fs::remove_file(path.with_extension("db-lock"));
        log[torn] ^= 1;
        let mut store = Store::open(&path).unwrap();
        assert!(contents(&path).unwrap() == acknowledged, "torn at {torn} of {at}..{end}");
        // Another power cut, in the middle of a commit over what the first one left.
        commit(&mut store);
        std::mem::forget(store);
        let again = original.folder.join("again.db");
        for end in ["db", "db-wal", "db-shm"] {
            fs::copy(path.with_extension(end), again.with_extension(end)).unwrap();
        }
        let _ = fs::remove_file(again.with_extension("db-lock"));
        drop(Store::open(&again).unwrap());
        verify(&again, &mut |_, _| {}).unwrap();
        // The forgotten writer holds its lock to the end of this process.
        fs::remove_file(path.with_extension("db-lock")).unwrap();
    }
}
