//! A disk that is full or fails at any write, cut or sync: the store says so, and what it holds is whole batches.
#![allow(missing_docs)]

use rusqlite::ffi::{SQLITE_FULL, SQLITE_IOERR_FSYNC, SQLITE_IOERR_TRUNCATE, SQLITE_IOERR_WRITE};
use std::path::Path;
use tillgate_vfs::campaign::Campaign;
use tillgate_vfs::disk::Op;
use tillgate_vfs::history::History;
use tillgate_vfs::judge::{Folder, judge};
use tillgate_vfs::life::{Life, Manner, Moment, Scene, after};
use tillgate_vfs::recorder::{Deed, Fault};

const BATCHES: usize = 14;

const FAULTS: [(Deed, i32); 6] = [
    (Deed::Write, SQLITE_FULL),
    (Deed::Write, SQLITE_IOERR_WRITE),
    (Deed::Truncate, SQLITE_IOERR_TRUNCATE),
    (Deed::Truncate, SQLITE_FULL),
    (Deed::Sync, SQLITE_IOERR_FSYNC),
    (Deed::Sync, SQLITE_FULL),
];

fn history() -> History {
    let folder = Folder::new();
    History::new(BATCHES, &folder.db())
}

/// A short life in which this fault is met, until the store says so; and what it said. None if the fault never came.
fn life_with(history: &History, fault: Fault) -> Option<(Life, Result<(), String>)> {
    let start = Moment::default();
    let mut scene = Scene::set(history, &start, Manner::Right);
    scene.recorder().fail(Some(fault));
    let mut said = scene.open();
    for _ in 0..3 {
        said = said.and_then(|()| scene.commit(BATCHES / 3));
        if said.is_err() {
            break;
        }
        // The daemon stops by itself now and then; what a stop and a start write fails as well.
        scene.stop();
        said = scene.open();
    }
    let failed = scene.recorder().failed();
    scene.stop();
    scene.recorder().fail(None);
    (failed > 0).then(|| (scene.end(format!("{fault:?}"), &start), said))
}

fn each_fault(history: &History, mut see: impl FnMut(Fault, Life, Result<(), String>)) {
    for (deed, code) in FAULTS {
        for stays in [false, true] {
            for after in 0.. {
                let fault = Fault { deed, after, code, stays };
                let Some((life, said)) = life_with(history, fault) else { break };
                see(fault, life, said);
            }
        }
    }
}

#[test]
fn a_disk_that_is_full_or_fails_leaves_whole_batches_and_an_error_that_says_which() {
    let history = history();
    let folder = Folder::new();
    let (mut faults, mut said_so, mut came_back) = (0, 0, 0);
    each_fault(&history, |fault, life, said| {
        let moment = life.moment(life.ops.len());
        folder.put(&moment.disk.seen(), None);
        let found = judge(&history, &folder.db(), true).unwrap_or_else(|what| panic!("{fault:?}: {what}"));
        let whole = moment.acknowledged..=moment.begun.max(moment.acknowledged);
        assert!(whole.contains(&found), "{fault:?}: {found} batches, not {whole:?}");
        if let Err(what) = said {
            let full = what.contains("DiskFull") || what.contains("disk is full");
            assert_eq!(full, fault.code == SQLITE_FULL, "{fault:?}: {what}");
            said_so += 1;
        }
        faults += 1;
        // Only a failed sync may leave the batch behind that it was told about.
        if found > moment.acknowledged {
            assert_eq!(fault.deed, Deed::Sync, "{fault:?} left what it said was not written");
            came_back += 1;
        }
    });
    println!("{faults} faults, {said_so} told to the caller, {came_back} left the whole failed batch behind");
    assert!(said_so > 0 && came_back > 0);
}

#[test]
fn a_power_cut_after_a_fault_finds_all_that_was_acknowledged() {
    let history = history();
    let mut lives = Vec::new();
    each_fault(&history, |fault, mut life, _| {
        // A fault that stays ends all writing: the cuts after it are those of one that does not.
        if !fault.stays {
            life.from = life.ops.len().saturating_sub(40);
            lives.push(life);
        }
    });
    cut(&history, &lives, "a_power_cut_after_a_fault_finds_all_that_was_acknowledged");
}

#[test]
fn what_is_acknowledged_after_a_failed_sync_and_a_new_start_survives_a_power_cut() {
    let history = history();
    let mut lives = Vec::new();
    each_fault(&history, |fault, life, said| {
        if fault.deed == Deed::Sync && !fault.stays && said.is_err() {
            let found = life.moment(life.ops.len());
            let mut next = after(&history, format!("after {fault:?}"), &found).expect("it starts again");
            // What the failed sync left in doubt is so until the start is done.
            let started = next.ops.iter().position(|op| matches!(op, Op::Acknowledged(_)));
            next.from = started.expect("it started") + 1;
            lives.push(next);
        }
    });
    assert!(lives.len() > 10);
    cut(&history, &lives, "what_is_acknowledged_after_a_failed_sync_and_a_new_start_survives_a_power_cut");
}

#[test]
fn a_start_on_a_full_disk_shows_the_open_sales() {
    let history = history();
    let folder = Folder::new();
    let mut found = 0;
    each_fault(&history, |fault, life, _| {
        if fault.stays && fault.code == SQLITE_FULL && fault.deed == Deed::Write {
            let moment = life.moment(life.ops.len());
            folder.put(&moment.disk.seen(), None);
            if moment.acknowledged > 0 {
                let mut scene = Scene::set(&history, &moment, Manner::Right);
                scene.recorder().fail(Some(fault_at_once()));
                scene.open().unwrap_or_else(|what| panic!("{fault:?}: {what}"));
                found += 1;
            }
        }
    });
    assert!(found > 10);
}

fn fault_at_once() -> Fault {
    Fault { deed: Deed::Write, after: 0, code: SQLITE_FULL, stays: true }
}

fn cut(history: &History, lives: &[Life], test: &str) {
    let keep = Path::new(env!("CARGO_TARGET_TMPDIR")).join("crash-states").join(test);
    let campaign = Campaign { history, lives, seed: 1, keep };
    let tally = campaign.run(0);
    println!("{test}: {} lives, {tally}", lives.len());
    for wrong in &tally.told {
        println!("{}", campaign.story(wrong, test));
    }
    assert_eq!((tally.lost, tally.broken), (0, 0), "see above");
}
