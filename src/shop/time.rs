//! Time as a parameter: the shop has no clock, it is told what time it is.

/// Milliseconds since the machine booted, sleep included. Comparable only within one boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mono(pub u64);

impl Mono {
    /// The instant `ms` milliseconds later.
    pub fn plus_ms(self, ms: u64) -> Mono {
        Mono(self.0.saturating_add(ms))
    }

    /// The instant `ms` milliseconds earlier, or the boot.
    pub fn minus_ms(self, ms: u64) -> Mono {
        Mono(self.0.saturating_sub(ms))
    }

    /// Milliseconds from here to `later`; 0 if that has passed.
    pub fn ms_until(self, later: Mono) -> u64 {
        later.0.saturating_sub(self.0)
    }
}

/// Milliseconds since 1970-01-01T00:00:00Z. A label for people; never decides an order or an expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wall(pub i64);

/// Which boot of the machine a `Mono` belongs to (`/proc/sys/kernel/random/boot_id`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootId(pub u128);

/// The time of an event. `wall` is absent while the clock is not trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Now {
    /// The boot that `mono` counts from.
    pub boot: BootId,
    /// Milliseconds since that boot.
    pub mono: Mono,
    /// The date, if it can be believed.
    pub wall: Option<Wall>,
}

/// All that a step may use besides its event: the time, and 128 fresh random bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stamp {
    /// When the event is handled.
    pub now: Now,
    /// Where this step's ids come from.
    pub seed: u128,
}
