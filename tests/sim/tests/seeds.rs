//! Seeds that once broke a law, and a small dose of others: none breaks one now.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use tillgate_sim::machine::Disk;
use tillgate_sim::run::play;
use tillgate_sim::shrink::read;
use tillgate_sim::story::Story;
use tillgate_sim::tally::Tally;

/// How many seeds are played besides those kept.
const SEEDS: u64 = 60;

fn no_law_breaks(seed: u64, keep: Option<&[usize]>, disk: &Disk) -> Tally {
    let ended = play(seed, keep, disk, Story::Untold);
    assert_eq!(ended.broken, [], "cargo run --release --bin simulate -- --seed {seed} --trace");
    ended.tally
}

#[test]
fn a_seed_that_once_broke_a_law_breaks_none_now() {
    for line in include_str!("../seeds.txt").lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (words, _) = line.split_once('#').unwrap_or((line, ""));
        let (seed, keep) = words.trim().split_once(' ').unwrap_or((words.trim(), ""));
        let keep = (!keep.is_empty()).then(|| read(keep).unwrap());
        let _ = no_law_breaks(seed.parse().unwrap(), keep.as_deref(), &Disk::Memory);
    }
}

#[test]
fn no_law_breaks_in_a_small_dose_of_seeds() {
    let mut all = Tally::default();
    (0..SEEDS).for_each(|seed| all.add(&no_law_breaks(seed, None, &Disk::Memory)));
    // Where nothing happens no law breaks, either.
    for (how, least) in [("paid", 100), ("declined", 20), ("cancelled", 100), ("back, named", 10)] {
        assert!(all.sales.get(how).is_some_and(|n| *n >= least), "{how}: {:?}", all.sales);
    }
}

#[test]
fn a_store_on_a_file_is_closed_and_opened_by_each_power_cut() {
    let folder = std::env::temp_dir().join(format!("tillgate-sim-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let disk = Disk::File(folder.join("simulate.db"));
    for seed in 0..4 {
        assert!(no_law_breaks(seed, None, &disk).commits > 0);
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_seed_is_the_same_run_every_time() {
    let told = |seed| play(seed, None, &Disk::Memory, Story::Kept(Vec::new())).story.lines().to_vec();
    assert_eq!(told(7), told(7));
    assert_ne!(told(7), told(8));
}
