//! What is on the line between shop and platform: calls on their way, answers on theirs, and who still waits.

use tillgate::shop::effect::PlatformCall;
use tillgate::shop::event::{Call, CallError, PlatformEvent};

/// How long the channel waits for an answer before it says *unknown*; a held question longer by its hold.
const ANSWER_MS: u64 = 20_000;

/// A call, from leaving until nobody cares.
#[derive(Clone, Debug)]
pub struct Mail {
    /// What is asked.
    pub call: PlatformCall,
    /// It will reach the platform.
    pub arrives: bool,
    /// Its answer will find the way back.
    pub returns: bool,
    /// The answer, once the platform has given it.
    pub answer: Option<PlatformEvent>,
    /// Until when the program waits for the answer; none if it has stopped waiting.
    pub until: Option<u64>,
    /// The answer has been garbled.
    pub garbled: bool,
}

impl Mail {
    /// A call that leaves at `t` and meets nothing bad.
    pub fn new(call: PlatformCall, t: u64) -> Mail {
        let held = match &call {
            PlatformCall::Query { wait_secs, .. } => u64::from(*wait_secs) * 1_000,
            PlatformCall::Create(_)
            | PlatformCall::Cancel { .. }
            | PlatformCall::Refund { .. }
            | PlatformCall::QueryRefund { .. }
            | PlatformCall::Probe
            | PlatformCall::List { .. } => 0,
        };
        Mail { call, arrives: true, returns: true, answer: None, until: Some(t + ANSWER_MS + held), garbled: false }
    }

    /// Whether the platform may hold its answer.
    pub fn is_held(&self) -> bool {
        matches!(self.call, PlatformCall::Query { wait_secs: 1.., .. })
    }
}

/// What the program concludes when a call brings no answer.
pub fn no_answer(call: &PlatformCall, error: CallError) -> PlatformEvent {
    let answered = |attempt, call| PlatformEvent::Answered { attempt, call, answer: Err(error) };
    match call {
        PlatformCall::Create(create) => answered(create.attempt, Call::Create),
        PlatformCall::Query { attempt, .. } => answered(*attempt, Call::Query),
        PlatformCall::Cancel { attempt } => answered(*attempt, Call::Cancel),
        PlatformCall::Refund { attempt, refund, .. } | PlatformCall::QueryRefund { attempt, refund } => {
            PlatformEvent::RefundAnswered { attempt: *attempt, refund: *refund, answer: Err(error) }
        }
        PlatformCall::Probe => PlatformEvent::Line { up: false },
        PlatformCall::List { .. } => PlatformEvent::Listed { answer: Err(error) },
    }
}
