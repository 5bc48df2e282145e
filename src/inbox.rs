//! The one queue into the ring. Every adapter puts its events here; only the gateway takes them out.

use crate::shop::event::Event;
use tokio::sync::{mpsc, oneshot};

/// How many events may wait. Full: tills and platform answers wait for room.
pub const INBOX_MAX: usize = 1_024;
/// How much of that phones leave free for tills and platform. Beyond, phones are told to come back (503).
pub const INBOX_KEPT: usize = 256;

/// An event on its way to the shop.
#[derive(Debug)]
pub struct Incoming {
    /// What happened.
    pub event: Event,
    /// Fired once the event was handled, its records are on disk and its effects are out.
    pub done: Option<oneshot::Sender<()>>,
}

/// The inbox takes no more for now: say "come back in two seconds".
#[derive(Debug, PartialEq, Eq)]
pub struct Full;

/// The adapters' end of the queue.
#[derive(Clone, Debug)]
pub struct Inbox(mpsc::Sender<Incoming>);

impl Inbox {
    /// A new queue of [`INBOX_MAX`]: the end to put in, and the one end to take out.
    pub fn new() -> (Inbox, mpsc::Receiver<Incoming>) {
        let (put, take) = mpsc::channel(INBOX_MAX);
        (Inbox(put), take)
    }

    /// For plain threads: puts an event in, waiting for room. False once the gateway has gone.
    pub fn put_blocking(&self, event: Event) -> bool {
        self.0.blocking_send(Incoming { event, done: None }).is_ok()
    }

    /// For tasks: puts an event in, waiting for room. False once the gateway has gone.
    pub async fn put(&self, event: Event) -> bool {
        self.0.send(Incoming { event, done: None }).await.is_ok()
    }

    /// For what must not wait: puts an event in if more than [`INBOX_KEPT`] is free; the receiver fires when it is done.
    pub fn try_ask(&self, event: Event) -> Result<oneshot::Receiver<()>, Full> {
        if self.0.capacity() <= INBOX_KEPT {
            return Err(Full);
        }
        let (done, wait) = oneshot::channel();
        self.0.try_send(Incoming { event, done: Some(done) }).map_err(|_| Full)?;
        Ok(wait)
    }
}
