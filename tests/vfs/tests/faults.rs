//! A disk that is full or fails at any write, cut or sync: the store says so, and what it holds is whole batches.
#![allow(missing_docs)]

use rusqlite::ffi::{SQLITE_FULL, SQLITE_IOERR_FSYNC, SQLITE_IOERR_TRUNCATE, SQLITE_IOERR_WRITE};
use std::path::Path;
use tillgate_vfs::campaign::Campaign;
use tillgate_vfs::disk::Op;
use tillgate_vfs::dose::Dose;
use tillgate_vfs::history::History;
use tillgate_vfs::judge::{Extra, Folder, judge};
use tillgate_vfs::life::{Life, Manner, Moment, Scene, after};
use tillgate_vfs::recorder::{Deed, Fault};

const BATCHES: usize = 14;

const WRITES: [(Deed, i32); 4] = [
    (Deed::Write, SQLITE_FULL),
    (Deed::Write, SQLITE_IOERR_WRITE),
    (Deed::Truncate, SQLITE_IOERR_TRUNCATE),
    (Deed::Truncate, SQLITE_FULL),
];

const SYNCS: [(Deed, i32); 2] = [(Deed::Sync, SQLITE_IOERR_FSYNC), (Deed::Sync, SQLITE_FULL)];

fn history() -> History {
    History::new(Dose::asked().seed, BATCHES, &Folder::new().db())
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

/// A life for every `step`th place at which one of these faults can come, the first included.
fn each_fault(
    history: &History,
    faults: &[(Deed, i32)],
    stays: bool,
    step: usize,
    mut see: impl FnMut(Fault, Life, Result<(), String>),
) {
    for (deed, code) in faults {
        for after in (0..).step_by(step) {
            let fault = Fault { deed: *deed, after, code: *code, stays };
            let Some((life, said)) = life_with(history, fault) else { break };
            see(fault, life, said);
        }
    }
}

/// Which part of all faults a test tries: with the smallest dose a few, with 100,000 states all.
fn step() -> usize {
    (100_000 / Dose::asked().states.max(1)).clamp(1, 10)
}

#[test]
fn a_disk_that_is_full_or_fails_leaves_whole_batches_and_an_error_that_says_which() {
    let history = history();
    let folder = Folder::new();
    let (mut faults, mut said_so, mut came_back) = (0, 0, 0);
    let mut check = |fault: Fault, life: Life, said: Result<(), String>| {
        let moment = life.moment(life.ops.len());
        folder.put(&moment.disk.seen(), None);
        let found = judge(&history, &folder.db(), Extra::GoesOn).unwrap_or_else(|what| panic!("{fault:?}: {what}"));
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
    };
    for stays in [false, true] {
        each_fault(&history, &WRITES, stays, step(), &mut check);
        each_fault(&history, &SYNCS, stays, 1, &mut check);
    }
    println!("{faults} faults, {said_so} told to the caller, {came_back} left the whole failed batch behind");
    assert!(said_so > 0 && came_back > 0);
}

#[test]
fn a_power_cut_after_a_fault_finds_all_that_was_acknowledged() {
    let history = history();
    let mut lives = Vec::new();
    // A fault that stays ends all writing: the cuts after it are those of one that does not.
    for (faults, step) in [(&WRITES[..], 8 * step()), (&SYNCS[..1], 1)] {
        each_fault(&history, faults, false, step, |_, mut life, _| {
            life.from = life.ops.len().saturating_sub(40);
            lives.push(life);
        });
    }
    cut(&history, &lives, "a_power_cut_after_a_fault_finds_all_that_was_acknowledged");
}

#[test]
fn what_is_acknowledged_after_a_failed_sync_and_a_new_start_survives_a_power_cut() {
    let history = history();
    let mut lives = Vec::new();
    each_fault(&history, &SYNCS[..1], false, 1, |fault, life, said| {
        if said.is_err() {
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
    let mut found = 0;
    each_fault(&history, &WRITES[..1], true, step(), |fault, life, _| {
        let moment = life.moment(life.ops.len());
        if moment.acknowledged > 0 {
            let mut scene = Scene::set(&history, &moment, Manner::Right);
            scene.recorder().fail(Some(Fault { after: 0, ..fault }));
            scene.open().unwrap_or_else(|what| panic!("{fault:?}: {what}"));
            found += 1;
        }
    });
    assert!(found > 10);
}

fn cut(history: &History, lives: &[Life], test: &str) {
    let keep = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let dose = Dose::asked();
    Campaign { test, history, lives, dose, keep }.all_right(dose.states / 20);
}
