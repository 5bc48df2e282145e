//! The corpus played on every fuzz target, and a short run of small changes to it. libFuzzer's long runs are in `fuzz/`.
//!
//!   FUZZ_SECS=60 FUZZ_SEED=7 FUZZ_TARGET=till_plain cargo test --features fuzzing --test fuzz -- --nocapture
//!
//!   FUZZ_FILE=input FUZZ_TARGET=till_plain cargo test --features fuzzing --test fuzz every_input -- --nocapture
//!
//! An input on which a target panics is left in `target/tmp/TARGET-crash`; with FUZZ_TRACE=1 every input is in
//! `target/tmp/TARGET-last` while it is played, for those that end the process.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic
)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tillgate::fuzz::{TARGETS, Target};

/// How long each target is run on changed inputs, unless `FUZZ_SECS` says otherwise.
const SECS: u64 = 8;
/// Where the changes come from, unless `FUZZ_SEED` says otherwise.
const SEED: u64 = 1;
/// Longest input made.
const INPUT_BYTES_MAX: usize = 2_048;
/// Numbers at which programs break.
const NUMBERS: [u64; 12] =
    [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_ffff, i64::MAX as u64, 1 << 63, u64::MAX];

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut files: Vec<_> = files.map(|f| f.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

/// Leaves the input in a file if the target panics on it.
struct Witness<'a> {
    target: &'a str,
    input: &'a [u8],
}

impl Drop for Witness<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-crash", self.target));
            let kept = std::fs::write(&path, self.input);
            println!("{} broke on {} ({kept:?}): {}", self.target, path.display(), self.input.escape_ascii());
        }
    }
}

fn play(name: &str, target: Target, input: &[u8]) {
    // A stack that overflows leaves no time for a witness.
    if std::env::var_os("FUZZ_TRACE").is_some() {
        std::fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-last")), input).unwrap();
    }
    let _witness = Witness { target: name, input };
    target(input);
}

#[test]
fn every_input_of_the_corpus_keeps_every_promise() {
    let (only, file) = (std::env::var("FUZZ_TARGET").ok(), std::env::var("FUZZ_FILE").ok());
    for (name, target) in TARGETS.iter().filter(|(name, _)| only.as_ref().is_none_or(|o| o == name)) {
        let files = match &file {
            Some(file) => vec![(PathBuf::from(file), std::fs::read(file).unwrap())],
            None => corpus(name),
        };
        assert!(!files.is_empty(), "{name} has a corpus");
        for (path, input) in &files {
            println!("{}", path.display());
            play(name, *target, input);
        }
    }
}

#[test]
fn no_small_change_to_the_corpus_breaks_a_promise() {
    let (secs, seed) = (number("FUZZ_SECS", SECS), number("FUZZ_SEED", SEED));
    let only = std::env::var("FUZZ_TARGET").ok();
    for (name, target) in TARGETS.iter().filter(|(name, _)| only.as_ref().is_none_or(|o| o == name)) {
        let mut inputs: Vec<Vec<u8>> = corpus(name).into_iter().map(|(_, input)| input).collect();
        inputs.push(Vec::new());
        let mut dice = Dice(seed);
        let (began, mut runs) = (Instant::now(), 0_u64);
        while began.elapsed() < Duration::from_secs(secs) {
            let input = changed(&inputs, &mut dice);
            play(name, *target, &input);
            runs += 1;
        }
        println!("{name}: {runs} runs from seed {seed} in {secs} s");
    }
}

struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((x ^ (x >> 31)) % below.max(1) as u64).unwrap()
    }
}

/// One of the inputs with a few changes: bits, bytes, numbers, pieces left out, doubled, or taken from another input.
fn changed(inputs: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let mut input = inputs[dice.roll(inputs.len())].clone();
    for _ in 0..=dice.roll(4) {
        let (at, end) = (dice.roll(input.len() + 1), dice.roll(input.len() + 1));
        let piece = at.min(end)..at.max(end);
        match dice.roll(8) {
            0 if at < input.len() => input[at] ^= 1 << dice.roll(8),
            1 if at < input.len() => input[at] = dice.roll(256) as u8,
            2 => {
                let number = NUMBERS[dice.roll(NUMBERS.len())].to_le_bytes();
                let many = [1, 2, 4, 8][dice.roll(4)];
                let end = (at + many).min(input.len());
                input.splice(at..end, number[..many].iter().copied());
            }
            3 => drop(input.drain(piece)),
            4 => {
                let piece = input[piece].to_vec();
                input.splice(at..at, piece);
            }
            5 => {
                let other = &inputs[dice.roll(inputs.len())];
                let (from, to) = (dice.roll(other.len() + 1), dice.roll(other.len() + 1));
                let piece = other[from.min(to)..from.max(to)].to_vec();
                input.splice(at..at, piece);
            }
            6 => {
                let digits = NUMBERS[dice.roll(NUMBERS.len())].to_string();
                input.splice(at..at, digits.into_bytes());
            }
            _ => input.insert(at, dice.roll(256) as u8),
        }
    }
    input.truncate(INPUT_BYTES_MAX);
    input
}
