//! The platform of the model: honest, with a memory that never fails. What the customer truly paid stands here.

use super::super::super::attempt::{Link, Refused, TryFailure};
use super::super::super::effect::{Create, PlatformCall};
use super::super::super::event::*;
use super::super::super::id::{AttemptId, RefundId};
use super::super::super::money::Amount;
use super::super::super::time::Mono;
use super::clock::{NOW, sooner};
use std::collections::BTreeMap;

/// A payment as the platform has it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Paper {
    pub(super) create: Create,
    pub(super) version: u64,
    pub(super) status: PaymentStatus,
    pub(super) tries: u32,
    pub(super) amount: Amount,
    pub(super) paid_minor: u64,
    pub(super) refunds: BTreeMap<RefundId, (u64, RefundStatus)>,
    pub(super) ends: Mono,
}

impl Paper {
    pub(super) fn is_open(&self) -> bool {
        match self.status {
            PaymentStatus::Awaiting | PaymentStatus::Processing => true,
            PaymentStatus::Paid | PaymentStatus::Failed | PaymentStatus::Expired | PaymentStatus::Cancelled => false,
        }
    }

    /// Given back, or promised to be.
    pub(super) fn back_minor(&self) -> u64 {
        let given = self.refunds.values().filter(|(_, status)| *status != RefundStatus::Refused);
        given.map(|(minor, _)| minor).sum()
    }
}

/// What a customer can do at the checkout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Customer {
    Pays,
    /// A try fails; the link stays open.
    FailsATry,
    /// The payment fails for good.
    Fails,
    /// The customer cancels it there.
    Cancels,
    /// The platform books another amount than was asked.
    PaysOther,
    /// Paid although it is over, or paid once more.
    PaysAnyway,
}

/// What the platform may do besides what it is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Manner {
    /// It refuses new payments.
    pub(super) refuses: bool,
    /// It keeps no tombstones: what it never saw it cannot close.
    pub(super) forgetful: bool,
    /// It takes refunds in, and does them later.
    pub(super) slow_refunds: bool,
    /// It refuses refunds.
    pub(super) no_refunds: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Platform {
    pub(super) papers: BTreeMap<AttemptId, Paper>,
    pub(super) dead: BTreeMap<AttemptId, Refused>,
    /// A law that what it was asked would break.
    pub(super) odd: Option<(u8, &'static str)>,
}

impl Platform {
    pub(super) fn sooner(&mut self, ms: u64) {
        self.papers.values_mut().for_each(|paper| sooner(&mut paper.ends, ms));
    }

    /// Does what it is asked, and answers.
    pub(super) fn serve(&mut self, call: &PlatformCall, manner: Manner) -> PlatformEvent {
        match call {
            PlatformCall::Create(create) => {
                let attempt = create.attempt;
                self.create(create, manner);
                // Why it was refused is said to its creation alone; to everything else it never was.
                let answer = match self.dead.get(&attempt) {
                    Some(refused) => Err(CallError::Refused(*refused)),
                    None => self.payment(attempt),
                };
                PlatformEvent::Answered { attempt, call: Call::Create, answer }
            }
            PlatformCall::Query { attempt, .. } => {
                PlatformEvent::Answered { attempt: *attempt, call: Call::Query, answer: self.payment(*attempt) }
            }
            PlatformCall::Cancel { attempt } => {
                match self.papers.get_mut(attempt) {
                    Some(paper) if paper.is_open() => {
                        (paper.status, paper.version) = (PaymentStatus::Cancelled, paper.version + 1);
                    }
                    Some(_) => {}
                    None if manner.forgetful => {}
                    None => drop(self.dead.entry(*attempt).or_insert(Refused::Tombstone)),
                }
                PlatformEvent::Answered { attempt: *attempt, call: Call::Cancel, answer: self.payment(*attempt) }
            }
            PlatformCall::Refund { attempt, refund, amount } => {
                let answer = self.refund(*attempt, *refund, amount.minor(), manner);
                PlatformEvent::RefundAnswered { attempt: *attempt, refund: *refund, answer }
            }
            PlatformCall::QueryRefund { attempt, refund } => {
                let entry = self.papers.get_mut(attempt).and_then(|paper| paper.refunds.get_mut(refund));
                let answer = entry.map(|(_, status)| {
                    if *status == RefundStatus::Accepted {
                        *status = RefundStatus::Done;
                    }
                    *status
                });
                let answer = answer.ok_or(CallError::NotFound);
                PlatformEvent::RefundAnswered { attempt: *attempt, refund: *refund, answer }
            }
            PlatformCall::Probe => PlatformEvent::Line { up: true },
            PlatformCall::List { .. } => PlatformEvent::Listed { answer: Ok(self.list()) },
        }
    }

    /// Everything, always from the beginning.
    pub(super) fn list(&self) -> Page {
        let payments = self.papers.keys().filter_map(|id| self.payment(*id).ok()).collect();
        Page { payments, next: String::new(), more: false }
    }

    fn create(&mut self, create: &Create, manner: Manner) {
        let id = create.attempt;
        if let Some(paper) = self.papers.get(&id) {
            if paper.create != *create {
                self.odd = Some((16, "the platform has it with another body"));
            }
            return;
        }
        if self.dead.contains_key(&id) {
            return;
        }
        if manner.refuses {
            self.dead.insert(id, Refused::Payment(Reason::NotAllowed));
            return;
        }
        let paper = Paper {
            create: create.clone(),
            version: 1,
            status: PaymentStatus::Awaiting,
            tries: 0,
            amount: create.amount,
            paid_minor: 0,
            refunds: BTreeMap::new(),
            ends: NOW.plus_ms(u64::from(create.expires_in_secs) * 1_000),
        };
        self.papers.insert(id, paper);
    }

    fn refund(
        &mut self,
        attempt: AttemptId,
        refund: RefundId,
        minor: u64,
        manner: Manner,
    ) -> Result<RefundStatus, CallError> {
        let paper = self.papers.get_mut(&attempt).ok_or(CallError::NotFound)?;
        if let Some((_, status)) = paper.refunds.get(&refund) {
            return Ok(*status);
        }
        let fits = paper.back_minor() + minor <= paper.paid_minor;
        if !fits {
            self.odd = Some((4, "more is to be given back than was paid"));
        }
        let status = match (fits && !manner.no_refunds, manner.slow_refunds) {
            (false, _) => RefundStatus::Refused,
            (true, true) => RefundStatus::Accepted,
            (true, false) => RefundStatus::Done,
        };
        paper.refunds.insert(refund, (minor, status));
        Ok(status)
    }

    fn payment(&self, id: AttemptId) -> Result<Payment, CallError> {
        if self.dead.contains_key(&id) {
            return Err(CallError::Refused(Refused::Tombstone));
        }
        let paper = self.papers.get(&id).ok_or(CallError::NotFound)?;
        let failed = paper.status == PaymentStatus::Failed;
        Ok(Payment {
            id,
            version: paper.version,
            status: paper.status,
            reason: failed.then_some(Reason::NoFunds),
            tries: paper.tries,
            last_failure: (paper.tries > 0).then_some(TryFailure { reason: Reason::WrongPassword, at: None }),
            amount: paper.amount,
            paid_minor: paper.paid_minor,
            refunded_minor: paper.back_minor(),
            link: paper.is_open().then(|| Link::new(&format!("http://127.0.0.1/{id}")).expect("a link")),
            expires_in_ms: Some(NOW.ms_until(paper.ends)),
        })
    }

    /// Whether it has anything newer to say about this attempt.
    pub(super) fn has_news(&self, attempt: AttemptId, version: u64) -> bool {
        self.papers.get(&attempt).is_none_or(|paper| paper.version > version)
    }

    /// A customer does something; `None` if that is not possible now.
    pub(super) fn customer(&mut self, id: AttemptId, act: Customer) -> Option<()> {
        let paper = self.papers.get_mut(&id)?;
        let minor = paper.create.amount.minor();
        if paper.is_open() == (act == Customer::PaysAnyway) {
            return None;
        }
        match act {
            Customer::Pays => (paper.status, paper.paid_minor) = (PaymentStatus::Paid, minor),
            Customer::FailsATry => paper.tries += 1,
            Customer::Fails => (paper.status, paper.tries) = (PaymentStatus::Failed, paper.tries + 1),
            Customer::Cancels => paper.status = PaymentStatus::Cancelled,
            Customer::PaysOther => {
                let other = Amount::from_minor(minor - 1, paper.amount.currency()).expect("one less");
                (paper.status, paper.amount, paper.paid_minor) = (PaymentStatus::Paid, other, minor - 1);
            }
            Customer::PaysAnyway => paper.paid_minor += minor,
        }
        paper.version += 1;
        Some(())
    }

    /// The link's time is over.
    pub(super) fn expire(&mut self, id: AttemptId) -> Option<()> {
        let paper = self.papers.get_mut(&id).filter(|paper| paper.is_open() && paper.ends <= NOW)?;
        (paper.status, paper.version) = (PaymentStatus::Expired, paper.version + 1);
        Some(())
    }
}
