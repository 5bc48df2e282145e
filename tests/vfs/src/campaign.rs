//! Many lives cut at every boundary, and every disk that is left judged. Decides nothing about what is right.

use crate::dice::Dice;
use crate::disk::Files;
use crate::dose::Dose;
use crate::history::History;
use crate::judge::{Extra, Folder, judge, junk};
use crate::life::{Life, Moment};
use crate::states::{plain_states, state, weight};
use std::collections::HashMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// So many failures are told in full.
const TOLD_MAX: usize = 5;

/// One in so many stores goes on for a batch and is judged again; one in so many is read before it is started.
const MORE_THAN_A_START: u64 = 8;

/// A disk on which the store was not right.
#[derive(Debug)]
pub struct Wrong {
    /// Which life, which boundary, which state of it.
    pub at: [usize; 3],
    /// What was not right.
    pub what: String,
    /// What the disk had kept.
    pub kept: String,
    /// Its files.
    pub files: Files,
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

impl Tally {
    fn add(&mut self, wrong: Wrong) {
        *(if wrong.only_lost { &mut self.lost } else { &mut self.broken }) += 1;
        if self.told.len() < TOLD_MAX {
            self.told.push(wrong);
        }
    }
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
    /// The name of the test.
    pub test: &'a str,
    /// What the lives wrote.
    pub history: &'a History,
    /// The lives.
    pub lives: &'a [Life],
    /// How much was asked for.
    pub dose: Dose,
    /// Where failed states are kept.
    pub keep: &'a Path,
}

type Known = Mutex<HashMap<u64, Result<usize, String>>>;

impl Campaign<'_> {
    /// Judges about so many states, each boundary at least once; the more can be left there, the more often. Or the one
    /// state that is to be seen again. Prints what came of it.
    pub fn count(&self, states: usize) -> Tally {
        let tally = match self.dose.repeat {
            None => self.judge_all(states),
            Some(at) => self.judge_again(at),
        };
        let first = self.lives.first().map_or("", |life| &life.name);
        println!("{} ({first} ..): seed {}, {} lives, {tally}", self.test, self.dose.seed, self.lives.len());
        tally
    }

    /// As [`Campaign::count`]; a store that is not right ends the test, with how to see it again.
    pub fn all_right(&self, states: usize) {
        let tally = self.count(states);
        for wrong in &tally.told {
            println!("{}", self.story(wrong));
        }
        assert_eq!((tally.lost, tally.broken), (0, 0), "stores that lost something, and broken ones: see above");
    }

    fn judge_all(&self, states: usize) -> Tally {
        let began = Instant::now();
        let mut weights = 0;
        for life in self.lives {
            life.each_moment(|_, moment| weights += weight(&moment.disk));
        }
        let each = states as f64 / weights.max(1) as f64;
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

    fn share(&self, life: usize, share: usize, each: f64, folder: &Folder, known: &Known, tally: &Mutex<Tally>) {
        self.lives[life].each_moment(|cut, moment| {
            if cut % 16 != share {
                return;
            }
            let plain = plain_states(&moment.disk);
            let states = ((weight(&moment.disk) as f64 * each) as usize).max(1);
            let states = if moment.disk.unsure() { states } else { 1 };
            // With few states for a boundary, they begin at another of the plain ones each time.
            let first = if states < plain { Dice::new(&[self.dose.seed, cut as u64]).below(plain) } else { 0 };
            let mut distinct = 0;
            for number in first..first + states {
                let at = [life, cut, number];
                let wrong = self.one(at, moment, folder, known, &mut distinct);
                if let Some(wrong) = wrong {
                    tally.lock().expect("no thread dies").add(wrong);
                }
            }
            let mut tally = tally.lock().expect("no thread dies");
            tally.boundaries += 1;
            tally.states += states;
            tally.distinct += distinct;
        });
    }

    fn judge_again(&self, at: [usize; 3]) -> Tally {
        let moment = self.lives[at[0]].moment(at[1]);
        let mut tally = Tally { boundaries: 1, states: 1, ..Tally::default() };
        let wrong = self.one(at, &moment, &Folder::new(), &Known::default(), &mut tally.distinct);
        wrong.into_iter().for_each(|wrong| tally.add(wrong));
        tally
    }

    fn one(
        &self,
        at: [usize; 3],
        moment: &Moment,
        folder: &Folder,
        known: &Known,
        distinct: &mut usize,
    ) -> Option<Wrong> {
        let mut dice = Dice::new(&[self.dose.seed, at[0] as u64, at[1] as u64, at[2] as u64]);
        let left = state(&moment.disk, at[2], &mut dice);
        let name = name_of(&left.files);
        let found = known.lock().expect("no thread dies").get(&name).cloned();
        let found = found.unwrap_or_else(|| {
            *distinct += 1;
            folder.put(&left.files, junk(&mut dice).as_deref());
            let extra = match name % MORE_THAN_A_START {
                0 => Extra::GoesOn,
                1 => Extra::ReaderFirst,
                _ => Extra::None,
            };
            let found = judge(self.history, &folder.db(), extra);
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
        Some(Wrong { at, what, kept: left.kept, files: left.files, only_lost })
    }

    /// What went wrong, for people; and how to see it again.
    fn story(&self, wrong: &Wrong) -> String {
        let [life, cut, number] = wrong.at;
        let folder = self.keep.join(self.test).join(format!("{life}-{cut}-{number}"));
        let kept_there = keep(&folder, &wrong.files).map_or_else(|e| e.to_string(), |()| folder.display().to_string());
        format!(
            "{}: power cut after operation {cut} of {}, state {number}: {}\n  on the disk: {}\n  files: {kept_there}\n  \
             again: TILLGATE_CRASH_STATES={} TILLGATE_CRASH_SEED={} TILLGATE_CRASH_REPEAT={life}/{cut}/{number} cargo \
             test -p tillgate-vfs {} -- --nocapture",
            self.lives[life].name,
            self.lives[life].ops.len(),
            wrong.what,
            wrong.kept,
            self.dose.states,
            self.dose.seed,
            self.test
        )
    }
}

fn name_of(files: &Files) -> u64 {
    let mut hash = DefaultHasher::new();
    files.hash(&mut hash);
    hash.finish()
}

fn keep(folder: &Path, files: &Files) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for (name, bytes) in files {
        std::fs::write(folder.join(format!("tillgate.db{}", name.suffix())), bytes)?;
    }
    Ok(())
}
