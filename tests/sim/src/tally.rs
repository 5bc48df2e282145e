//! What was counted in one run or in many. Judges nothing.

use std::collections::BTreeMap;

/// Counts of a run, or of many.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Runs.
    pub seeds: u64,
    /// Simulated milliseconds.
    pub ms: u64,
    /// Sales on disk, by how they ended.
    pub sales: BTreeMap<&'static str, u64>,
    /// Power cuts, those of the process alone included.
    pub cuts: u64,
    /// Commits.
    pub commits: u64,
    /// Events the shop has taken in.
    pub events: u64,
    /// Faults by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// Journals proved, and their rows.
    pub proved: (u64, u64),
}

impl Tally {
    /// One more of this fault.
    pub fn fault(&mut self, kind: &'static str) {
        *self.faults.entry(kind).or_default() += 1;
    }

    /// All sales.
    pub fn sales_in_all(&self) -> u64 {
        self.sales.values().sum()
    }

    /// Adds another tally.
    pub fn add(&mut self, other: &Tally) {
        self.seeds += other.seeds;
        self.ms += other.ms;
        self.cuts += other.cuts;
        self.commits += other.commits;
        self.events += other.events;
        self.proved.0 += other.proved.0;
        self.proved.1 += other.proved.1;
        for (kind, n) in &other.sales {
            *self.sales.entry(kind).or_default() += n;
        }
        for (kind, n) in &other.faults {
            *self.faults.entry(kind).or_default() += n;
        }
    }
}
