//! The store on every disk that a power cut can leave: it opens, it is whole, and nothing acknowledged is missing.
#![allow(missing_docs)]

use std::path::Path;
use tillgate_vfs::campaign::Campaign;
use tillgate_vfs::dice::Dice;
use tillgate_vfs::disk::Disk;
use tillgate_vfs::dose::Dose;
use tillgate_vfs::history::History;
use tillgate_vfs::judge::Folder;
use tillgate_vfs::life::*;
use tillgate_vfs::states::state;

const BATCHES: usize = 36;

fn history() -> History {
    History::new(Dose::asked().seed, BATCHES, &Folder::new().db())
}

fn campaign<'a>(test: &'a str, history: &'a History, lives: &'a [Life]) -> Campaign<'a> {
    let keep = Path::new(env!("CARGO_TARGET_TMPDIR"));
    Campaign { test, history, lives, dose: Dose::asked(), keep }
}

#[test]
fn nothing_acknowledged_is_missing_after_any_power_cut() {
    let history = history();
    let lives = [made_and_used(&history, Manner::Right), stopped_and_started(&history), read_and_copied(&history)];
    campaign("nothing_acknowledged_is_missing_after_any_power_cut", &history, &lives)
        .all_right(Dose::asked().states / 2);
}

/// Moments of a life at which the next one begins: all of the making of the store, and some of what follows.
fn next_starts(life: &Life, count: usize) -> Vec<(usize, Moment)> {
    let mut all = Vec::new();
    life.each_moment(|cut, moment| {
        if moment.disk.unsure() {
            all.push((cut, moment.clone()));
        }
    });
    let step = all.len().div_ceil(count.max(4));
    all.into_iter()
        .enumerate()
        .filter(|(at, _)| at % step == 0 || (*at < 40 && at % 3 == 0))
        .map(|(_, found)| found)
        .collect()
}

/// What is left for the next start: after a kill all of it, synced or not; after a power cut one of the disks.
fn left_by(cut: usize, found: &Moment, kill: bool, dice: &mut Dice) -> (String, Moment) {
    if kill {
        return (format!("killed after {cut}"), found.clone());
    }
    let left = state(&found.disk, usize::MAX, dice);
    (format!("power cut after {cut} ({})", left.kept), Moment { disk: Disk::of(left.files), ..found.clone() })
}

fn second_lives(history: &History, kill: bool) -> Vec<Life> {
    let mut lives = Vec::new();
    let firsts = [made_and_used(history, Manner::Right), stopped_and_started(history), read_and_copied(history)];
    for first in firsts {
        for (cut, found) in next_starts(&first, Dose::asked().states / 1_000) {
            let (how, found) = left_by(cut, &found, kill, &mut Dice::new(&[Dose::asked().seed, cut as u64]));
            lives.push(after(history, format!("{}, {how}", first.name), &found).expect("what was left opens"));
        }
    }
    lives
}

#[test]
fn a_power_cut_after_a_kill_takes_nothing_that_the_second_start_showed() {
    let history = history();
    let lives = second_lives(&history, true);
    campaign("a_power_cut_after_a_kill_takes_nothing_that_the_second_start_showed", &history, &lives)
        .all_right(Dose::asked().states / 4);
}

#[test]
fn a_power_cut_after_a_power_cut_takes_nothing_that_the_second_start_showed() {
    let history = history();
    let lives = second_lives(&history, false);
    campaign("a_power_cut_after_a_power_cut_takes_nothing_that_the_second_start_showed", &history, &lives)
        .all_right(Dose::asked().states / 4);
}

#[test]
fn a_store_that_dies_again_and_again_as_it_starts_loses_nothing() {
    let history = history();
    let first = stopped_and_started(&history);
    let mut dice = Dice::new(&[Dose::asked().seed]);
    let mut lives = Vec::new();
    for (cut, found) in next_starts(&first, Dose::asked().states / 1_000).into_iter().step_by(5) {
        let (mut cut, mut found, mut name) = (cut, found, first.name.clone());
        for _ in 0..4 {
            let kill = dice.percent(50);
            let (how, left) = left_by(cut, &found, kill, &mut dice);
            name = format!("{name}, {how}");
            let life = after(&history, name.clone(), &left).expect("what was left opens");
            cut = dice.below(life.ops.len() + 1);
            found = life.moment(cut);
            lives.push(life);
        }
    }
    campaign("a_store_that_dies_again_and_again_as_it_starts_loses_nothing", &history, &lives)
        .all_right(Dose::asked().states / 10);
}

#[test]
fn a_store_without_syncs_is_caught() {
    let history = history();
    for (manner, breaks) in [(Manner::Normal, false), (Manner::Off, true), (Manner::Lying, true)] {
        let lives = [made_and_used(&history, manner)];
        let tally = campaign("a_store_without_syncs_is_caught", &history, &lives).count(Dose::asked().states / 50);
        assert!(tally.lost > 0, "{manner:?} loses what was acknowledged, and nobody noticed");
        assert!(!breaks || tally.broken > 0, "{manner:?} breaks stores, and nobody noticed");
    }
}

#[test]
fn the_bundled_sqlite_is_free_of_the_wal_reset_defect() {
    // Before 3.51.3 a checkpoint beside a reset of the log could lose commits or damage the file.
    assert!(rusqlite::version_number() >= 3_051_003, "SQLite {}", rusqlite::version());
}
