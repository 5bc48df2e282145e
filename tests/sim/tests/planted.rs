//! Every planted mistake is found by the simulation within a stated number of seeds. Prints law, mistake and seeds needed.
#![cfg(feature = "planted-mistakes")]
#![allow(missing_docs, clippy::unwrap_used)]

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use tillgate::shop::planted::{ALL, plant};
use tillgate_sim::machine::Disk;
use tillgate_sim::run::play;
use tillgate_sim::story::Story;

/// Seeds within which each is found.
const SEEDS_MAX: u64 = 500;

#[test]
fn every_planted_mistake_is_found() {
    let next = AtomicUsize::new(0);
    let found = Mutex::new(Vec::new());
    let missed = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((law, mistake)) = ALL.get(next.fetch_add(1, Ordering::Relaxed)) {
                    plant(Some(*mistake));
                    let broken = (0..SEEDS_MAX).find_map(|seed| {
                        let ended = play(seed, None, &Disk::Memory, Story::Untold);
                        Some((seed + 1, ended.broken.into_iter().next()?))
                    });
                    plant(None);
                    match broken {
                        Some((seeds, broken)) => found.lock().unwrap().push((*law, *mistake, seeds, broken)),
                        None => missed.lock().unwrap().push(*mistake),
                    }
                }
            });
        }
    });
    let mut found = found.into_inner().unwrap();
    found.sort_by_key(|(law, _, seeds, _)| (*law, *seeds));
    println!("law  mistake                 seeds needed, and the first law seen broken");
    for (law, mistake, seeds, broken) in &found {
        println!("{law:>3}  {:<22} {seeds:>6}   {}: {:.90}", format!("{mistake:?}"), broken.law, broken.what);
    }
    assert_eq!(missed.into_inner().unwrap(), [], "not found in {SEEDS_MAX} seeds");
    for law in 1..=17 {
        assert!(found.iter().any(|(of, ..)| *of == law), "no mistake is planted against law {law}");
    }
}
