//! Arbitrary text as a configuration: it is one, or every fault has its place in the text. Looks at files named in it.
#![allow(clippy::panic, clippy::arithmetic_side_effects)]

use super::fault::FAULTS_MAX;
use super::{Config, FILE_BYTES_MAX, Faults, Trust};
use std::path::Path;

/// Most bytes that are said about a file: so many faults, each with a line of it and two texts.
const SAID_BYTES_MAX: usize = FAULTS_MAX * 4_096;

/// Reads `data` as a configuration. The first byte says how often what follows stands there again.
pub fn parse(data: &[u8]) {
    let Some((times, rest)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    // Long files show what takes more than its share of time.
    let times = if *times >= 0xfe { usize::from(times & 7) * 4 } else { 1 };
    let long = if times > 1 && rest.len() < 512 { text.repeat(times) } else { String::new() };
    let text = if long.is_empty() { text } else { &long };
    assert!(text.len() <= FILE_BYTES_MAX);
    match Config::parse(Path::new("fuzz.toml"), text) {
        Ok(config) => {
            let policy = config.policy();
            assert!(!config.tills.is_empty());
            if let Trust::Named(named) = &config.platform.trust {
                assert!(!named.pins.is_empty());
            }
            assert!(0 < policy.amount_min_minor && policy.amount_min_minor <= policy.amount_max_minor);
            assert_eq!(policy.tills.len(), config.tills.len(), "each till has a number of its own");
        }
        Err(Faults::Wrong(faults)) => {
            assert!(!faults.is_empty() && faults.len() <= FAULTS_MAX);
            let mut before = (0, 0);
            for fault in &faults {
                assert!(before <= (fault.line, fault.column), "out of order");
                before = (fault.line, fault.column);
                let mut lines = text.split('\n');
                let line = lines.nth(fault.line - 1);
                assert!(line.is_some() || fault.line == 1, "no line {}", fault.line);
                let width = line.unwrap_or_default().chars().count();
                assert!(fault.column >= 1 && fault.column <= width + 1, "no column {} of {width}", fault.column);
                assert!(!fault.what.is_empty() && !fault.fix.is_empty());
            }
            assert!(Faults::Wrong(faults).to_string().len() <= SAID_BYTES_MAX);
        }
        Err(Faults::Unreadable { .. }) => panic!("no file was to be read"),
    }
}
