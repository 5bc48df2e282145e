//! The box as a ZVT payment terminal, on a serial line or over TCP. Owns no port.
//!
//! Sources: PA00P016 (transport), PA00P015 (commands), chapters named where they matter. A till is their ECR, the box
//! their PT.

pub mod apdu;
pub mod installer;
pub mod link;
pub mod player;
pub mod player_told;
pub mod player_wire;

use super::driver::{Capabilities, Counts, Driver, Out, Prints};
use super::port::{Flow, LineSettings, Parity};
use super::receipt::ReceiptFacts;
use crate::shop::effect::TillAnswer;
use crate::shop::event::TillNumber;
use crate::shop::money::Currency;
use crate::shop::time::Mono;
pub use link::Link;

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

/// What an installer may choose for one till.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZvtOptions {
    /// The terminal identifier that the till is told, at most 99,999,999.
    pub terminal_id: u32,
    /// The password that registration and the like must have, at most 999,999; `None`: any will do.
    pub password: Option<u32>,
    /// How long a customer may take with a till that wants intermediate status, 60 to 900 s. Others wait 180 s.
    pub longest_wait_secs: u64,
    /// The letters that the till's display and printer have.
    pub letters: Letters,
}

impl Default for ZvtOptions {
    fn default() -> Self {
        ZvtOptions { terminal_id: 1, password: None, longest_wait_secs: 300, letters: Letters::Ascii }
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

/// The driver of one till.
#[derive(Debug)]
pub struct Zvt {
    settings: ZvtSettings,
    link: Link,
}

impl Zvt {
    /// A driver whose line is still down.
    pub fn new(settings: ZvtSettings, link: Link) -> Zvt {
        Zvt { settings, link }
    }
}

impl Driver for Zvt {
    fn capabilities(&self) -> Capabilities {
        let _ = self.link;
        Capabilities {
            shows_progress: true,
            aborts: true,
            refunds: true,
            result_channel: true,
            prints: Prints::Lines,
            longest_wait_ms: self.settings.options.longest_wait_secs.saturating_mul(1_000),
            gap_ms: 0,
        }
    }

    fn received(&mut self, _now: Mono, _bytes: &[u8], _out: &mut Out) {}

    fn tell(&mut self, _now: Mono, _answer: &TillAnswer, _out: &mut Out) {}

    fn deadline(&self) -> Option<Mono> {
        None
    }

    fn passed(&mut self, _now: Mono, _out: &mut Out) {}

    fn line(&mut self, _now: Mono, _up: bool, _out: &mut Out) {}

    fn counts(&self) -> Counts {
        Counts::default()
    }
}
