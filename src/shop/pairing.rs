//! Which phone stands at which till, until when.

use super::event::TillNumber;
use super::time::Mono;

/// A phone at a till. The phones of a till stand in line by `since`; the first is paired, the others are next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pairing {
    /// At which till.
    pub till: TillNumber,
    /// Since when: the place in line. No two phones of a till have the same.
    pub since: Mono,
    /// Until when, unless a sale begins.
    pub until: Mono,
}
