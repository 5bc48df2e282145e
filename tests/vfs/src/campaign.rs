//! Many lives cut at every boundary, and every disk that is left judged. Decides nothing about what is right.

use crate::dice::Dice;
use crate::disk::Files;
use crate::history::History;
use crate::judge::{Folder, judge, junk};
use crate::life::{Life, Moment};
use crate::states::{plain_states, possible_states, state};
use std::collections::HashMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// So many failures are told in full.
const TOLD_MAX: usize = 5;

/// One in so many states goes on for a batch and is judged again.
const GOES_ON: u64 = 8;

/// A disk on which the store was not right.
#[derive(Debug)]
pub struct Wrong {
    /// Which life, which boundary, which state of it.
    pub at: (usize, usize, usize),
    /// What was not right.
    pub what: String,
    /// What the disk had kept.
    pub kept: String,
    /// Where its files are now.
    pub files: PathBuf,
    /// Whether the store was whole but lacked acknowledged batches.
    pub only_lost: bool,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Tally {
    /// Boundaries at which power was cut.
    pub boundaries: usize,
    /// Disks that were left.
    pub states: usize,
    /// How many of them no earlier one was like, byte by byte.
    pub distinct: usize,
    /// Whole stores that lacked what was acknowledged.
    pub lost: usize,
    /// Stores that did not open, did not verify, or held half a batch.
    pub broken: usize,
    /// The first few of both.
    pub told: Vec<Wrong>,
    /// How long it took.
    pub took: Duration,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per_second = self.states as f64 / self.took.as_secs_f64().max(0.001);
        write!(
            f,
            "{} boundaries, {} states ({} distinct), {} with acknowledged batches lost, {} broken, {:.1} s, {per_second:.0} states/s",
            self.boundaries,
            self.states,
            self.distinct,
            self.lost,
            self.broken,
            self.took.as_secs_f64()
        )
    }
}

/// The lives, what they wrote, and how they are cut.
#[derive(Debug)]
pub struct Campaign<'a> {
    /// What the lives wrote.
    pub history: &'a History,
    /// The lives.
    pub lives: &'a [Life],
    /// From which the states are drawn.
    pub seed: u64,
    /// Where failed states are kept.
    pub keep: PathBuf,
}

type Known = Mutex<HashMap<u64, Result<usize, String>>>;

impl Campaign<'_> {
    /// Judges about so many states, spread over all boundaries at which more than one disk can be left; every other
    /// boundary once.
    pub fn run(&self, dose: usize) -> Tally {
        let began = Instant::now();
        let each = self.share_of(dose);
        let known = Known::default();
        let tally = Mutex::new(Tally::default());
        let next = AtomicUsize::new(0);
        let threads = std::thread::available_parallelism().map_or(2, |n| n.get().min(8));
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    let folder = Folder::new();
                    // Small shares, taken in turn: a thread that has an easy one takes the next.
                    let shares = self.lives.len() * 16;
                    loop {
                        let share = next.fetch_add(1, Ordering::Relaxed);
                        if share >= shares {
                            break;
                        }
                        self.share(share / 16, share % 16, each, &folder, &known, &tally);
                    }
                });
            }
        });
        let mut tally = tally.into_inner().unwrap_or_default();
        tally.took = began.elapsed();
        tally
    }

    /// How many states each boundary gets at most, so that together they are about the dose: where few disks are
    /// possible, few are made.
    fn share_of(&self, dose: usize) -> usize {
        let mut possible = Vec::new();
        for life in self.lives {
            life.each_moment(|_, moment| possible.push(possible_states(&moment.disk)));
        }
        possible.sort_unstable();
        let (mut left, mut each) = (dose, 1);
        for (at, possible_here) in possible.iter().enumerate() {
            each = left / (possible.len() - at);
            if *possible_here > each {
                break;
            }
            left -= possible_here;
        }
        each.max(1)
    }

    fn share(&self, life: usize, share: usize, each: usize, folder: &Folder, known: &Known, tally: &Mutex<Tally>) {
        self.lives[life].each_moment(|cut, moment| {
            if cut % 16 != share {
                return;
            }
            let states = possible_states(&moment.disk).min(each.max(plain_states(&moment.disk)));
            let mut distinct = 0;
            for number in 0..states {
                let at = (life, cut, number);
                let wrong = self.one(at, moment, folder, known, &mut distinct);
                if let Some(wrong) = wrong {
                    let mut tally = tally.lock().expect("no thread dies");
                    *(if wrong.only_lost { &mut tally.lost } else { &mut tally.broken }) += 1;
                    if tally.told.len() < TOLD_MAX {
                        tally.told.push(wrong);
                    }
                }
            }
            let mut tally = tally.lock().expect("no thread dies");
            tally.boundaries += 1;
            tally.states += states;
            tally.distinct += distinct;
        });
    }

    /// Judges one state again, as a failure named it.
    pub fn repeat(&self, at: (usize, usize, usize)) -> Option<Wrong> {
        let moment = self.lives[at.0].moment(at.1);
        self.one(at, &moment, &Folder::new(), &Known::default(), &mut 0)
    }

    fn one(
        &self,
        at: (usize, usize, usize),
        moment: &Moment,
        folder: &Folder,
        known: &Known,
        distinct: &mut usize,
    ) -> Option<Wrong> {
        let mut dice = Dice::new(&[self.seed, at.0 as u64, at.1 as u64, at.2 as u64]);
        let left = state(&moment.disk, at.2, &mut dice);
        let name = name_of(&left.files);
        let found = known.lock().expect("no thread dies").get(&name).cloned();
        let found = found.unwrap_or_else(|| {
            *distinct += 1;
            folder.put(&left.files, junk(&mut dice).as_deref());
            let found = judge(self.history, &folder.db(), name.is_multiple_of(GOES_ON));
            known.lock().expect("no thread dies").insert(name, found.clone());
            found
        });
        let (what, only_lost) = match found {
            Ok(batches) if batches < moment.acknowledged => {
                (format!("{batches} batches are there, {} were acknowledged", moment.acknowledged), true)
            }
            Ok(batches) if batches > moment.begun.max(moment.acknowledged) => {
                (format!("{batches} batches are there, {} were begun", moment.begun), false)
            }
            Ok(_) => return None,
            Err(what) => (what, false),
        };
        let files = self.keep.join(format!("{}-{}-{}", at.0, at.1, at.2));
        keep(&files, &left.files);
        Some(Wrong { at, what, kept: left.kept, files, only_lost })
    }

    /// What went wrong, for people; and how to see it again. `test` is the test's name.
    pub fn story(&self, wrong: &Wrong, test: &str) -> String {
        let (life, cut, number) = wrong.at;
        format!(
            "{}: power cut after operation {cut} of {}, state {number}: {}\n  kept: {}\n  files: {}\n  again: \
             TILLGATE_CRASH_SEED={} TILLGATE_CRASH_REPEAT={life}/{cut}/{number} cargo test -p tillgate-vfs {test}",
            self.lives[life].name,
            self.lives[life].ops.len(),
            wrong.what,
            wrong.kept,
            wrong.files.display(),
            self.seed
        )
    }
}

fn name_of(files: &Files) -> u64 {
    let mut hash = DefaultHasher::new();
    files.hash(&mut hash);
    hash.finish()
}

fn keep(folder: &Path, files: &Files) {
    // A control fails thousands of times: what cannot be kept is still counted and told.
    if std::fs::create_dir_all(folder).is_ok() {
        for (name, bytes) in files {
            let _ = std::fs::write(folder.join(format!("tillgate.db{}", name.suffix())), bytes);
        }
    }
}
