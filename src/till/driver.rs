//! What every till protocol is to the rest of the program: a pure state machine. Owns no port and no clock.

use crate::shop::effect::TillAnswer;
use crate::shop::event::TillEvent;
use crate::shop::time::Mono;

/// Longest memory of a driver.
pub const MEMORY_BYTES_MAX: usize = 256;

/// What comes out of a driver. The port writes the bytes and reports the events, in order, bytes first.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Out {
    /// For the line.
    pub bytes: Vec<u8>,
    /// For the shop.
    pub events: Vec<TillEvent>,
    /// For the log: what an installer should mend.
    pub warnings: Vec<String>,
}

/// How a till prints what a sale left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prints {
    /// Line by line, as we send them.
    Lines,
    /// One block of text.
    Block,
    /// Nothing of ours.
    None,
}

/// What a protocol can do, as data. A driver that is given an answer its protocol cannot say drops it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// The till can be shown how a sale goes on.
    pub shows_progress: bool,
    /// The till can abort a sale.
    pub aborts: bool,
    /// The till can ask for money to be given back.
    pub refunds: bool,
    /// The till can be told a result at all.
    pub result_channel: bool,
    /// How receipts are printed.
    pub prints: Prints,
    /// The longest time for which the till listens for a result, in milliseconds.
    pub longest_wait_ms: u64,
    /// The smallest gap between two frames of ours, in milliseconds. The driver keeps it by its own deadline.
    pub gap_ms: u64,
}

/// What a driver has counted since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Bytes that belonged to no frame.
    pub junk_bytes: u64,
    /// Frames begun and dropped: wrong check, too long, cut off, or not understood.
    pub bad_frames: u64,
    /// Frames of ours sent again because no answer came.
    pub repeats_sent: u64,
    /// Frames of the till that came again.
    pub repeats_heard: u64,
}

/// One protocol, one till. Never blocks, never fails: what makes no sense is dropped and counted.
///
/// A `Finish` is repeated until the till has answered it (`Taken`, `TakeLater`, `Rejected`) or all repeats are used up
/// (`Unheard`). A newer `Finish` of the same sale takes the place of the older one; the same one told twice does no harm.
pub trait Driver: Send {
    /// What the protocol can do.
    fn capabilities(&self) -> Capabilities;

    /// Bytes came, cut anywhere.
    fn received(&mut self, now: Mono, bytes: &[u8], out: &mut Out);

    /// The shop has something to say to the till.
    fn tell(&mut self, now: Mono, answer: &TillAnswer, out: &mut Out);

    /// When `passed` must be called, if ever.
    fn deadline(&self) -> Option<Mono>;

    /// Time has gone on. Called at the deadline or any time; does nothing before the deadline.
    fn passed(&mut self, now: Mono, out: &mut Out);

    /// The line has come up or gone down. Reports `Online` or `Offline`; a sale under way survives.
    fn line(&mut self, now: Mono, up: bool, out: &mut Out);

    /// What was counted.
    fn counts(&self) -> Counts;

    /// What the next driver of this till should know if the program is started again: how to say what is still to be
    /// said, never what. At most [`MEMORY_BYTES_MAX`]. The port keeps it before it writes the bytes.
    fn memory(&self) -> &[u8] {
        &[]
    }
}
