//! The shop's rules, as the configuration gives them: limits and times, nothing that changes while running.

use super::event::TillNumber;
use super::money::Currency;
use std::collections::BTreeSet;

/// The rules. Durations say their unit; defaults in [`Policy::with_defaults`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Policy {
    /// The one currency of the shop.
    pub currency: Currency,
    /// Least amount of a sale, in minor units, at least 1.
    pub amount_min_minor: u64,
    /// Greatest amount of a sale, in minor units.
    pub amount_max_minor: u64,
    /// The tills there are.
    pub tills: BTreeSet<TillNumber>,
    /// How long a phone may take to confirm.
    pub confirm_secs: u64,
    /// How long a phone stands at a till without a sale.
    pub pair_idle_secs: u64,
    /// How long a visit lasts after the phone was last heard.
    pub session_secs: u64,
    /// Attempts per sale.
    pub attempts_max: u32,
    /// How long before the end of the till's patience a sale must be over.
    pub margin_ms: u64,
    /// What the till does not hear of: `None` keeps the money and raises an alarm, `Some` gives it back after so long.
    pub unheard_refund_after_secs: Option<u64>,
    /// How long a ticket number without an epoch means the same sale.
    pub ticket_life_secs: u64,
    /// How long money may be in doubt before a person must look.
    pub doubt_hours_max: u64,
    /// Wrong till numbers a phone may type before it has to pause.
    pub guesses_max: u32,
    /// How long that pause is.
    pub guess_pause_secs: u64,
    /// How long a phone reaches the internet after it has paid and seen its receipt; 0: it does not.
    pub online_secs: u64,
}

impl Policy {
    /// Least time that must be left to begin an attempt.
    pub const START_LEFT_MS: u64 = 30_000;
    /// How long a phone may stay away after a failed attempt.
    pub const BACK_MS: u64 = 45_000;
    /// How long the platform may take to close a payment after the till's abort.
    pub const ABORT_MS: u64 = 3_000;
    /// Phones in line at one till, the paired one included; further ones are told to come back.
    pub const LINE_MAX: usize = 16;
    /// Visits at the same time; further phones find the portal full.
    pub const SESSIONS_MAX: usize = 4_096;

    /// The rules of a shop that says nothing but its currency and tills.
    pub fn with_defaults(currency: Currency, tills: BTreeSet<TillNumber>) -> Policy {
        Policy {
            currency,
            amount_min_minor: 1,
            amount_max_minor: 100_000,
            tills,
            confirm_secs: 60,
            pair_idle_secs: 120,
            session_secs: 1_800,
            attempts_max: 3,
            margin_ms: 5_000,
            unheard_refund_after_secs: None,
            ticket_life_secs: 12 * 3_600,
            doubt_hours_max: 72,
            guesses_max: 5,
            guess_pause_secs: 60,
            online_secs: 0,
        }
    }
}
