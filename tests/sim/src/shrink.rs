//! Makes a failing run short: steps are left out as long as the same law still breaks.

use crate::machine::Disk;
use crate::run::play;
use crate::story::Story;
use std::time::{Duration, Instant};

/// How long shrinking may take.
const TIME_MAX: Duration = Duration::from_secs(60);

/// The fewest steps found with which this seed still breaks this law.
pub fn shrink(seed: u64, law: u8, disk: &Disk) -> Vec<usize> {
    let began = Instant::now();
    let fails =
        |kept: &[usize]| play(seed, Some(kept), disk, Story::Untold).broken.first().is_some_and(|b| b.law == law);
    let steps = play(seed, Some(&[]), disk, Story::Untold).steps;
    let mut kept: Vec<usize> = (0..steps).collect();
    // What comes after the failure does not matter: the shortest beginning that fails.
    let (mut low, mut high) = (0, steps);
    while low < high {
        let middle = (low + high) / 2;
        if fails(&kept[..middle]) { high = middle } else { low = middle + 1 }
    }
    if fails(&kept[..high]) {
        kept.truncate(high);
    }
    let mut chunk = kept.len().div_ceil(2).max(1);
    loop {
        let mut at = 0;
        let mut shorter = false;
        while at < kept.len() {
            if began.elapsed() > TIME_MAX {
                return kept;
            }
            let end = (at + chunk).min(kept.len());
            let without: Vec<usize> = kept[..at].iter().chain(&kept[end..]).copied().collect();
            if fails(&without) {
                kept = without;
                shorter = true;
            } else {
                at = end;
            }
        }
        if chunk == 1 && !shorter {
            return kept;
        }
        chunk = if shorter { chunk } else { (chunk / 2).max(1) }.min(kept.len().max(1));
    }
}

/// Steps as people type them: `3,7-9`.
pub fn written(kept: &[usize]) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut at = 0;
    while at < kept.len() {
        let mut end = at;
        while end + 1 < kept.len() && kept[end + 1] == kept[end] + 1 {
            end += 1;
        }
        words.push(if end > at { format!("{}-{}", kept[at], kept[end]) } else { kept[at].to_string() });
        at = end + 1;
    }
    if words.is_empty() { "none".to_owned() } else { words.join(",") }
}

/// The steps in such words.
pub fn read(text: &str) -> Option<Vec<usize>> {
    if text == "none" {
        return Some(Vec::new());
    }
    let mut kept = Vec::new();
    for word in text.split(',') {
        let (from, to) = word.split_once('-').unwrap_or((word, word));
        kept.extend(from.trim().parse::<usize>().ok()?..=to.trim().parse::<usize>().ok()?);
    }
    Some(kept)
}
