//! The fault switches: what the sandbox does wrong on purpose, for which call, and how often. In memory only.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Which calls a fault is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultyCall {
    /// `PUT /v1/payments/{id}`
    Create,
    /// `GET /v1/payments/{id}`
    Query,
    /// `POST /v1/payments/{id}/cancel`
    Cancel,
    /// `PUT /v1/payments/{id}/refunds/{refund}`
    Refund,
    /// `GET /v1/payments/{id}/refunds/{refund}`
    QueryRefund,
    /// `GET /v1/payments`
    List,
    /// `GET /v1/platform`
    Platform,
    /// `POST /v1/enrolments`
    Enrol,
    /// `POST /v1/renewals`
    Renew,
    /// Not a call: the next connections.
    Connection,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The call is done, the connection closed without an answer.
    DropAnswer,
    /// The call is done, the answer comes later by `ms`.
    Delay,
    /// 500, and nothing is done.
    #[serde(rename = "error_500")]
    Error500,
    /// 500, although the call is done.
    #[serde(rename = "error_500_after")]
    Error500After,
    /// 500 and nothing done, now and for ever under this id (create only).
    #[serde(rename = "error_500_stored")]
    Error500Stored,
    /// The answer says one minor unit more.
    WrongAmount,
    /// The answer is about another id.
    OtherId,
    /// The answer is no JSON.
    Garbage,
    /// The answer says *awaiting*, whatever is true.
    StatusBack,
    /// The answer's version is one less.
    VersionBack,
    /// The answer's certificate is for another key than the one asked about (enrol and renew only).
    OtherKey,
    /// The connection is closed before anything is read (`connection` only).
    CloseConnection,
    /// The certificate's time is over (`connection` only).
    ExpiredCertificate,
    /// The certificate is by an authority that nobody trusts (`connection` only).
    ForeignCertificate,
}

impl FaultKind {
    /// Whether this fault is one of connections, not of calls.
    pub fn is_of_connections(self) -> bool {
        match self {
            FaultKind::CloseConnection | FaultKind::ExpiredCertificate | FaultKind::ForeignCertificate => true,
            FaultKind::DropAnswer
            | FaultKind::Delay
            | FaultKind::Error500
            | FaultKind::Error500After
            | FaultKind::Error500Stored
            | FaultKind::WrongAmount
            | FaultKind::OtherId
            | FaultKind::Garbage
            | FaultKind::StatusBack
            | FaultKind::VersionBack
            | FaultKind::OtherKey => false,
        }
    }
}

/// One switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// For which calls.
    pub call: FaultyCall,
    /// What goes wrong.
    pub fault: FaultKind,
    /// For how many of them; 0 switches it off.
    #[serde(default = "once")]
    pub count: u32,
    /// For a delay: how long, at most [`DELAY_MAX_MS`].
    #[serde(default)]
    pub ms: u64,
}

impl Fault {
    /// The switch as the admin API writes it.
    pub fn json(&self) -> Value {
        json!({ "call": self.call, "fault": self.fault, "count": self.count, "ms": self.ms })
    }

    /// All that can be chosen, as `call/fault`.
    pub fn choices() -> Vec<String> {
        const CALLS: [&str; 9] =
            ["create", "query", "cancel", "refund", "query_refund", "list", "platform", "enrol", "renew"];
        const OF_CALLS: [&str; 9] = [
            "drop_answer",
            "delay",
            "error_500",
            "error_500_after",
            "wrong_amount",
            "other_id",
            "garbage",
            "status_back",
            "version_back",
        ];
        let of_calls = CALLS.iter().flat_map(|call| OF_CALLS.iter().map(move |fault| format!("{call}/{fault}")));
        let others = ["close_connection", "expired_certificate", "foreign_certificate"];
        let others = others.iter().map(|fault| format!("connection/{fault}"));
        let of_keys = ["enrol/other_key".to_owned(), "renew/other_key".to_owned()];
        of_calls.chain(["create/error_500_stored".to_owned()]).chain(of_keys).chain(others).collect()
    }
}

/// Longest delay.
pub(super) const DELAY_MAX_MS: u64 = 600_000;

fn once() -> u32 {
    1
}

/// The switches that are on, used up in the order in which they were set.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Fault>);

impl Faults {
    /// Sets a switch; one of the same call and kind is replaced. Or says what is wrong with it.
    pub(super) fn set(&mut self, fault: Fault) -> Result<(), &'static str> {
        if fault.fault.is_of_connections() != (fault.call == FaultyCall::Connection) {
            return Err("close_connection and the certificates are faults of call connection, all others of calls");
        }
        if fault.fault == FaultKind::Error500Stored && fault.call != FaultyCall::Create {
            return Err("error_500_stored is a fault of call create");
        }
        if fault.fault == FaultKind::OtherKey && !matches!(fault.call, FaultyCall::Enrol | FaultyCall::Renew) {
            return Err("other_key is a fault of calls enrol and renew");
        }
        if fault.ms > DELAY_MAX_MS {
            return Err("ms is at most 600000");
        }
        self.0.retain(|f| (f.call, f.fault) != (fault.call, fault.fault));
        if fault.count > 0 {
            self.0.push(fault);
        }
        Ok(())
    }

    /// Uses up one of the first switch that is on for this call.
    pub(super) fn take(&mut self, call: FaultyCall) -> Option<Fault> {
        let fault = self.0.iter_mut().find(|f| f.call == call)?;
        fault.count = fault.count.saturating_sub(1);
        let taken = *fault;
        self.0.retain(|f| f.count > 0);
        Some(taken)
    }

    /// All that are on.
    pub(super) fn all(&self) -> &[Fault] {
        &self.0
    }

    /// Switches all off.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
