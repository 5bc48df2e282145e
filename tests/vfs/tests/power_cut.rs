//! The store on every disk that a power cut can leave: it opens, it is whole, and nothing acknowledged is missing.
#![allow(missing_docs)]

use std::path::Path;
use tillgate_vfs::campaign::{Campaign, Tally};
use tillgate_vfs::dice::Dice;
use tillgate_vfs::disk::Disk;
use tillgate_vfs::history::History;
use tillgate_vfs::judge::Folder;
use tillgate_vfs::life::*;
use tillgate_vfs::states::state;

const BATCHES: usize = 36;

fn number(name: &str, otherwise: usize) -> usize {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text}")),
        Err(_) => otherwise,
    }
}

fn dose() -> usize {
    number("TILLGATE_CRASH_STATES", 100_000)
}

fn history() -> History {
    let folder = Folder::new();
    History::new(BATCHES, &folder.db())
}

fn run(test: &str, history: &History, lives: &[Life], dose: usize) -> Tally {
    let keep = Path::new(env!("CARGO_TARGET_TMPDIR")).join("crash-states").join(test);
    let seed = number("TILLGATE_CRASH_SEED", 1) as u64;
    let campaign = Campaign { history, lives, seed, keep };
    if let Ok(at) = std::env::var("TILLGATE_CRASH_REPEAT") {
        let at: Vec<usize> = at.split('/').map(|n| n.parse().expect("LIFE/CUT/STATE")).collect();
        let wrong = campaign.repeat((at[0], at[1], at[2]));
        println!("{}", wrong.as_ref().map_or("this state is right now".to_owned(), |w| campaign.story(w, test)));
        return Tally { told: wrong.into_iter().collect(), ..Tally::default() };
    }
    let tally = campaign.run(dose);
    println!("{test}: seed {seed}, {} lives, {tally}", lives.len());
    for wrong in &tally.told {
        println!("{}", campaign.story(wrong, test));
    }
    tally
}

fn right(tally: &Tally) {
    assert_eq!((tally.lost, tally.broken, tally.told.len()), (0, 0, 0), "see above");
}

#[test]
fn nothing_acknowledged_is_missing_after_any_power_cut() {
    let history = history();
    let lives = [made_and_used(&history, Manner::Right), stopped_and_started(&history), read_and_copied(&history)];
    right(&run("nothing_acknowledged_is_missing_after_any_power_cut", &history, &lives, dose() / 2));
}

/// Moments of a life at which a second one begins: all of the making of the store, and some of what follows.
fn second_starts(life: &Life, count: usize) -> Vec<(usize, Moment)> {
    let mut all = Vec::new();
    life.each_moment(|cut, moment| {
        if moment.disk.unsure() {
            all.push((cut, moment.clone()));
        }
    });
    let step = all.len().div_ceil(count).max(1);
    all.into_iter().enumerate().filter(|(at, _)| *at < 40 || at % step == 0).map(|(_, found)| found).collect()
}

#[test]
fn a_power_cut_after_a_kill_takes_nothing_that_the_second_start_showed() {
    let history = history();
    let mut lives = Vec::new();
    for first in [made_and_used(&history, Manner::Right), read_and_copied(&history)] {
        for (cut, found) in second_starts(&first, 60) {
            let name = format!("{}, killed after operation {cut}", first.name);
            lives.push(after(&history, name, &found).expect("what a kill leaves opens"));
        }
    }
    right(&run("a_power_cut_after_a_kill_takes_nothing_that_the_second_start_showed", &history, &lives, dose() / 5));
}

#[test]
fn a_power_cut_after_a_power_cut_takes_nothing_that_the_second_start_showed() {
    let history = history();
    let mut lives = Vec::new();
    for first in [made_and_used(&history, Manner::Right), stopped_and_started(&history)] {
        for (cut, found) in second_starts(&first, 60) {
            let mut dice = Dice::new(&[cut as u64]);
            let left = state(&found.disk, usize::MAX, &mut dice);
            let name = format!("{}, power cut after operation {cut} ({})", first.name, left.kept);
            let found = Moment { disk: Disk::of(left.files), ..found };
            lives.push(after(&history, name, &found).expect("what a power cut leaves opens"));
        }
    }
    right(&run("a_power_cut_after_a_power_cut_takes_nothing_that_the_second_start_showed", &history, &lives, dose() / 5));
}

#[test]
fn a_store_without_syncs_is_caught() {
    let history = history();
    for (manner, breaks) in [(Manner::Normal, false), (Manner::Off, true), (Manner::Lying, true)] {
        let lives = [made_and_used(&history, manner)];
        let tally = run("a_store_without_syncs_is_caught", &history, &lives, dose() / 50);
        assert!(tally.lost > 0, "{manner:?} loses what was acknowledged, and nobody noticed");
        assert!(!breaks || tally.broken > 0, "{manner:?} breaks stores, and nobody noticed");
    }
}
