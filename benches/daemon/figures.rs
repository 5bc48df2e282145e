//! Figures, one a line, beside what is aimed at. Measures nothing.

use std::time::Duration;

/// How many times its aim a figure may be before the run fails: other work on the machine makes times longer, but no
/// program larger.
const GROSS_TIME: f64 = 20.0;
const GROSS_OTHER: f64 = 2.0;

/// What was measured so far.
#[derive(Default)]
pub(crate) struct Figures {
    missed: u32,
    gross: u32,
}

impl Figures {
    /// A figure without an aim.
    pub(crate) fn plain(&self, name: &str, value: f64, unit: &str) {
        println!("{name:46} {value:10.2} {unit}");
    }

    /// A figure that is to be at most `aim`.
    pub(crate) fn at_most(&mut self, name: &str, value: f64, aim: f64, unit: &str) {
        let gross = value > aim * if unit == "ms" { GROSS_TIME } else { GROSS_OTHER };
        let word = match (value <= aim, gross) {
            (true, _) => "ok",
            (false, false) => "MISSED",
            (false, true) => "MISSED GROSSLY",
        };
        self.missed += u32::from(value > aim);
        self.gross += u32::from(gross);
        println!("{name:46} {value:10.2} {unit:6} aim {aim:8.2}  {word}");
    }

    /// The last line. Whether nothing was missed grossly.
    pub(crate) fn end(&self) -> bool {
        println!("{} figures missed their aim, {} of them grossly", self.missed, self.gross);
        self.gross == 0
    }
}

/// The value below which this part of all values lies, in milliseconds.
pub(crate) fn part_ms(times: &mut [Duration], part: f64) -> f64 {
    assert!(!times.is_empty(), "nothing was measured");
    times.sort();
    let at = (times.len() as f64 * part).ceil() as usize;
    times[at.clamp(1, times.len()) - 1].as_secs_f64() * 1e3
}
