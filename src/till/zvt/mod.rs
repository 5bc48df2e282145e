//! The box as a ZVT payment terminal, on a serial line or over TCP. Owns no port.
//!
//! Sources: PA00P016 (transport), PA00P015 (commands), chapters named where they matter. A till is their ECR, the box
//! their PT.

pub mod apdu;
#[cfg(feature = "fuzzing")]
pub mod fuzz;
pub mod installer;
pub mod link;
#[cfg(test)]
mod lossy_tests;
mod numbers;
pub mod player;
pub mod player_told;
pub mod player_wire;
mod request;
mod said;
mod session;
mod wire;
mod words;

use super::port::{Flow, LineSettings, Parity};
use super::receipt::ReceiptFacts;
use crate::shop::event::TillNumber;
use crate::shop::money::Currency;
pub use link::Link;
pub use session::Zvt;
pub use wire::{GAP_MS, REPEATS, REST_MS, RESULT_REPEATS, T1_MS, T2_MS, T3_MS, T3_SERIAL_MS, WAITING_MAX};

/// How a serial line is set: 9600 8N2, no flow control (PA00P016 2.1).
pub const LINE: LineSettings = LineSettings {
    baud: 9_600,
    seven_bits: false,
    parity: Parity::None,
    two_stop_bits: true,
    flow: Flow::None,
    rts: None,
    dtr: None,
};

/// T4: how long a till waits for our next word, from its command or our last status or result (PA00P016 3).
pub const T4_MS: u64 = 180_000;
/// How long a till that takes no intermediate status may be kept waiting: T4 less what two repeats of the result take.
pub const PATIENCE_MS: u64 = T4_MS - 15_000;
/// Bounds of [`ZvtOptions::longest_wait_secs`].
pub const LONGEST_WAIT_SECS: std::ops::RangeInclusive<u64> = 60..=900;
/// How often a till that wants intermediate status hears one while a sale goes on, at least.
pub const KEEP_ALIVE_MS: u64 = 60_000;
/// For how long after its patience is over a till is still kept listening: the result is about to come.
pub const KEPT_AFTER_MS: u64 = 60_000;
/// After `84 9C` the till is told again so much later (PA00P015 2.2).
pub const LATER_MS: u64 = 2_000;
/// How long the box may take to answer an enquiry or a request for sums; then the command ends.
pub const ANSWER_MS: u64 = 30_000;

/// What an installer may choose for one till.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZvtOptions {
    /// The terminal identifier that the till is told, at most 99,999,999.
    pub terminal_id: u32,
    /// The password that registration and the like must have, at most 999,999; `None`: any will do.
    pub password: Option<u32>,
    /// How long a customer may take with a till that wants intermediate status, brought within [`LONGEST_WAIT_SECS`].
    /// Other tills wait [`PATIENCE_MS`].
    pub longest_wait_secs: u64,
    /// The config byte (PA00P015 2.1) of a till that has not registered since this program began: many do so once a day.
    pub config_byte: u8,
    /// The letters that the till's display and printer have.
    pub letters: Letters,
}

impl Default for ZvtOptions {
    fn default() -> Self {
        ZvtOptions { terminal_id: 1, password: None, longest_wait_secs: 300, config_byte: 0, letters: Letters::Ascii }
    }
}

/// The letters that a till can show and print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Letters {
    /// ASCII: `ä` becomes `ae`.
    #[default]
    Ascii,
    /// Code page 437.
    Cp437,
}

/// What the driver needs to know of its till.
#[derive(Clone, Debug)]
pub struct ZvtSettings {
    /// The till's number, for receipts.
    pub till: TillNumber,
    /// The shop's currency; no other is taken.
    pub currency: Currency,
    /// What receipts say about the shop.
    pub facts: ReceiptFacts,
    /// Width of the till's paper, in characters.
    pub columns: usize,
    /// How long one byte takes on a serial line, in microseconds; of no matter over TCP.
    pub byte_us: u64,
    /// What the installer chose.
    pub options: ZvtOptions,
}
