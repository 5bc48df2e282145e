//! Waiting in tests for what nothing tells of. Sleeps never.

use std::time::{Duration, Instant};

/// How often what cannot be waited for is looked at.
pub(crate) const LOOK: Duration = Duration::from_millis(20);

/// Waits so long.
pub(crate) fn pause(time: Duration) {
    let until = Instant::now() + time;
    while Instant::now() < until {
        std::thread::park_timeout(until.saturating_duration_since(Instant::now()));
    }
}

/// Waits on a condition that nothing tells of.
pub(crate) fn eventually(what: &str, wait: Duration, mut so: impl FnMut() -> bool) {
    let until = Instant::now() + wait;
    while !so() {
        assert!(Instant::now() < until, "waited in vain for {} s: {what}", wait.as_secs());
        pause(LOOK);
    }
}
