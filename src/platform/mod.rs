//! The payment platform: the words every platform must understand, and the desk that makes the shop's calls to it.
//! Decides nothing about money.

pub mod channel;
pub mod code;
pub mod command;
pub mod counter;
pub mod enrol;
#[cfg(feature = "fuzzing")]
pub mod fuzz;
pub mod identity;
pub mod life;
pub mod renewal;
mod wall;

use crate::inbox::Inbox;
use crate::shop::effect::{Create, PlatformCall};
use crate::shop::event::{Call, CallError, Event, Page, Payment, PlatformEvent, RefundStatus};
use crate::shop::id::{AttemptId, RefundId};
use crate::shop::money::{Amount, Currency};
use crate::shop::time::Wall;
use std::future::Future;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};

/// What a platform says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The platform's time.
    pub time: Wall,
    /// What can be paid, and within which limits.
    pub limits: Vec<Limits>,
    /// Shortest time that a link can be open.
    pub expires_in_min_secs: u32,
    /// Longest time that a query may be held.
    pub wait_max_secs: u32,
    /// Hosts (`name` or `name:port`) that a phone must reach in order to pay.
    pub checkout_hosts: Vec<String>,
}

/// The least and the greatest payment in one currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The currency.
    pub currency: Currency,
    /// Least amount in minor units.
    pub min_minor: u64,
    /// Greatest amount in minor units.
    pub max_minor: u64,
}

/// A payment platform. Every call ends by itself within a time that the platform names, may be repeated without harm,
/// and its error says what may be concluded: see [`CallError`].
pub trait Platform: Send + Sync + 'static {
    /// Creates the payment, or gets the one created earlier under the same id.
    fn create(&self, create: &Create) -> impl Future<Output = Result<Payment, CallError>> + Send;

    /// The payment's state: at once, or held for at most `wait_secs` until it is newer than `version`.
    fn query(
        &self,
        attempt: AttemptId,
        version: u64,
        wait_secs: u32,
    ) -> impl Future<Output = Result<Payment, CallError>> + Send;

    /// Closes the payment. A final one stays as it is and is returned; an id that is not known is closed for ever
    /// ([`crate::shop::attempt::Refused::Tombstone`]).
    fn cancel(&self, attempt: AttemptId) -> impl Future<Output = Result<Payment, CallError>> + Send;

    /// Gives money back, or gets the refund begun earlier under the same id.
    fn refund(
        &self,
        attempt: AttemptId,
        refund: RefundId,
        amount: Amount,
    ) -> impl Future<Output = Result<RefundStatus, CallError>> + Send;

    /// The state of a refund.
    fn query_refund(
        &self,
        attempt: AttemptId,
        refund: RefundId,
    ) -> impl Future<Output = Result<RefundStatus, CallError>> + Send;

    /// One page of the payments that changed since the cursor; empty: from the beginning.
    fn list(&self, since: &str) -> impl Future<Output = Result<Page, CallError>> + Send;

    /// What the platform says about itself: an answer means that the line works.
    fn probe(&self) -> impl Future<Output = Result<Facts, CallError>> + Send;
}

/// Calls under way at the same time, held queries aside. More wait their turn.
pub const CALLS_MAX: usize = 32;
/// Held queries under way at the same time. More wait their turn, and hold up no other call.
pub const HELD_MAX: usize = 128;
/// Calls that may be under way or waiting. Beyond, a call is answered *not sent*.
pub const WAITING_MAX: usize = 4_096;

/// Where the shop's calls are handed in. Each is answered by exactly one event in the inbox.
#[derive(Clone, Debug)]
pub struct Desk(mpsc::Sender<PlatformCall>);

impl Desk {
    /// Opens the desk on this runtime. It closes once all its clones are dropped; calls under way still end.
    pub fn start<P: Platform>(handle: &Handle, platform: Arc<P>, inbox: Inbox) -> Desk {
        let (put, mut take) = mpsc::channel::<PlatformCall>(WAITING_MAX);
        let counter = Turns { calls: turns(CALLS_MAX), held: turns(HELD_MAX), waiting: turns(WAITING_MAX) };
        let spawner = handle.clone();
        handle.spawn(async move {
            while let Some(call) = take.recv().await {
                let (platform, inbox) = (Arc::clone(&platform), inbox.clone());
                let Ok(place) = Arc::clone(&counter.waiting).try_acquire_owned() else {
                    let answer = not_sent(&call);
                    spawner.spawn(async move { inbox.put(Event::Platform(answer)).await });
                    continue;
                };
                let turns = Arc::clone(if is_held(&call) { &counter.held } else { &counter.calls });
                spawner.spawn(async move {
                    // The semaphores are never closed; were they, the call would just not wait for its turn.
                    let turn = turns.acquire_owned().await;
                    let answer = make(platform.as_ref(), call).await;
                    drop((turn, place));
                    inbox.put(Event::Platform(answer)).await
                });
            }
        });
        Desk(put)
    }

    /// Hands a call in and returns at once. For plain threads, not for tasks. False once the runtime has gone.
    pub fn call(&self, call: PlatformCall) -> bool {
        self.0.blocking_send(call).is_ok()
    }
}

struct Turns {
    calls: Arc<Semaphore>,
    held: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

fn turns(count: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(count))
}

fn is_held(call: &PlatformCall) -> bool {
    match call {
        PlatformCall::Query { wait_secs, .. } => *wait_secs > 0,
        PlatformCall::Create(_)
        | PlatformCall::Cancel { .. }
        | PlatformCall::Refund { .. }
        | PlatformCall::QueryRefund { .. }
        | PlatformCall::Probe
        | PlatformCall::List { .. } => false,
    }
}

async fn make<P: Platform>(platform: &P, call: PlatformCall) -> PlatformEvent {
    match call {
        PlatformCall::Create(create) => {
            let answer = platform.create(&create).await;
            PlatformEvent::Answered { attempt: create.attempt, call: Call::Create, answer }
        }
        PlatformCall::Query { attempt, version, wait_secs } => {
            let answer = platform.query(attempt, version, wait_secs).await;
            PlatformEvent::Answered { attempt, call: Call::Query, answer }
        }
        PlatformCall::Cancel { attempt } => {
            let answer = platform.cancel(attempt).await;
            PlatformEvent::Answered { attempt, call: Call::Cancel, answer }
        }
        PlatformCall::Refund { attempt, refund, amount } => {
            let answer = platform.refund(attempt, refund, amount).await;
            PlatformEvent::RefundAnswered { attempt, refund, answer }
        }
        PlatformCall::QueryRefund { attempt, refund } => {
            let answer = platform.query_refund(attempt, refund).await;
            PlatformEvent::RefundAnswered { attempt, refund, answer }
        }
        PlatformCall::Probe => PlatformEvent::Line { up: platform.probe().await.is_ok() },
        PlatformCall::List { since } => PlatformEvent::Listed { answer: platform.list(&since).await },
    }
}

fn not_sent(call: &PlatformCall) -> PlatformEvent {
    let about =
        |attempt: AttemptId, call: Call| PlatformEvent::Answered { attempt, call, answer: Err(CallError::NotSent) };
    match call {
        PlatformCall::Create(create) => about(create.attempt, Call::Create),
        PlatformCall::Query { attempt, .. } => about(*attempt, Call::Query),
        PlatformCall::Cancel { attempt } => about(*attempt, Call::Cancel),
        PlatformCall::Refund { attempt, refund, .. } | PlatformCall::QueryRefund { attempt, refund } => {
            PlatformEvent::RefundAnswered { attempt: *attempt, refund: *refund, answer: Err(CallError::NotSent) }
        }
        PlatformCall::Probe => PlatformEvent::Line { up: false },
        PlatformCall::List { .. } => PlatformEvent::Listed { answer: Err(CallError::NotSent) },
    }
}
