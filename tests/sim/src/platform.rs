//! The payment platform of a run: it does what it is asked and knows what was truly paid. Whether anybody hears of it is
//! for the line.

use crate::climate::Climate;
use crate::dice::Dice;
use crate::tally::Tally;
use std::collections::{BTreeMap, BTreeSet};
use tillgate::shop::attempt::{Link, Refused, TryFailure};
use tillgate::shop::effect::{Create, PlatformCall};
use tillgate::shop::event::{Call, CallError, Page, Payment, PaymentStatus, PlatformEvent, Reason, RefundStatus};
use tillgate::shop::id::{AttemptId, RefundId};
use tillgate::shop::money::{Amount, Currency};

/// Payments on one page of the list: few, so that lists have pages.
const PAGE_MAX: usize = 5;

/// A payment as the platform has it.
#[derive(Clone, Debug)]
pub struct Paper {
    /// What it was created with.
    pub create: Create,
    /// What is to be paid: as created, unless the customer paid something else.
    pub amount: Amount,
    /// Grows with every change.
    pub version: u64,
    /// Where it stands.
    pub status: PaymentStatus,
    reason: Option<Reason>,
    tries: u32,
    /// Taken in all, in minor units of `amount`.
    pub paid_minor: u64,
    /// Refunds asked for.
    pub refunds: Vec<(RefundId, u64, RefundStatus)>,
    /// When the link's time is over.
    pub ends: u64,
}

impl Paper {
    /// Whether it can still be paid.
    pub fn is_open(&self) -> bool {
        matches!(self.status, PaymentStatus::Awaiting | PaymentStatus::Processing)
    }

    /// Given back, or promised to be.
    pub fn back_minor(&self) -> u64 {
        self.refunds.iter().filter(|(.., status)| *status != RefundStatus::Refused).map(|(_, minor, _)| minor).sum()
    }

    /// Truly given back.
    pub fn done_minor(&self) -> u64 {
        self.refunds.iter().filter(|(.., status)| *status == RefundStatus::Done).map(|(_, minor, _)| minor).sum()
    }
}

/// What a customer does at the checkout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Pays.
    Pays,
    /// Pays, and the platform takes its time.
    PaysSlowly,
    /// A wrong password.
    Mistypes,
    /// No money: failed for good.
    Fails,
    /// Cancels on the platform's page.
    Cancels,
    /// Something else is taken than was asked.
    PaysOther,
    /// In another currency.
    PaysForeign,
}

/// The platform.
#[derive(Debug, Default)]
pub struct Platform {
    /// All payments, in the order in which they came.
    pub papers: Vec<Paper>,
    index: BTreeMap<AttemptId, usize>,
    /// Ids that never become payments, and why.
    pub dead: BTreeMap<AttemptId, Refused>,
    /// Ids under which a create is answered 500 for ever.
    cursed: BTreeSet<AttemptId>,
    changes: Vec<usize>,
}

impl Platform {
    /// The payment under an id.
    pub fn paper(&self, id: AttemptId) -> Option<&Paper> {
        self.index.get(&id).map(|at| &self.papers[*at])
    }

    /// Where a payment stands in `papers`.
    pub fn at(&self, id: AttemptId) -> Option<usize> {
        self.index.get(&id).copied()
    }

    fn changed(&mut self, at: usize) {
        self.papers[at].version += 1;
        self.changes.push(at);
    }

    /// Links whose time is over.
    pub fn expire(&mut self, t: u64) {
        for at in 0..self.papers.len() {
            if self.papers[at].status == PaymentStatus::Awaiting && self.papers[at].ends <= t {
                self.papers[at].status = PaymentStatus::Expired;
                self.changed(at);
            }
        }
    }

    /// Does what it is asked. `calm`: nothing goes wrong any more.
    pub fn serve(
        &mut self,
        call: &PlatformCall,
        t: u64,
        calm: bool,
        climate: &Climate,
        dice: &mut Dice,
        tally: &mut Tally,
    ) -> PlatformEvent {
        self.expire(t);
        let mut odds = |kind, per_mille| {
            let hit = !calm && dice.chance(per_mille);
            if hit {
                tally.fault(kind);
            }
            hit
        };
        match call {
            PlatformCall::Create(create) => {
                let id = create.attempt;
                if self.cursed.contains(&id) {
                    odds("500 stored under an id, again", 1_000);
                    return PlatformEvent::Answered {
                        attempt: id,
                        call: Call::Create,
                        answer: Err(CallError::Unknown),
                    };
                }
                let fresh = !self.index.contains_key(&id) && !self.dead.contains_key(&id);
                if fresh && odds("payment refused", climate.refuse) {
                    self.dead.insert(id, Refused::Payment(Reason::Declined));
                } else if fresh && odds("500 stored, nothing done", climate.stored_500 / 2) {
                    self.cursed.insert(id);
                    return PlatformEvent::Answered {
                        attempt: id,
                        call: Call::Create,
                        answer: Err(CallError::Unknown),
                    };
                } else if fresh {
                    self.create(create, t);
                    if odds("500 stored, done all the same", climate.stored_500 / 2) {
                        self.cursed.insert(id);
                        let answer = Err(CallError::Unknown);
                        return PlatformEvent::Answered { attempt: id, call: Call::Create, answer };
                    }
                }
                let same = self.paper(id).is_none_or(|paper| paper.create == **create);
                let answer = if same { self.payment(id, t) } else { Err(CallError::Unknown) };
                PlatformEvent::Answered { attempt: id, call: Call::Create, answer }
            }
            PlatformCall::Query { attempt, .. } => {
                let answer = match self.payment(*attempt, t) {
                    // Why a create was refused is said to creates only.
                    Err(CallError::Refused(Refused::Payment(_))) => Err(CallError::Refused(Refused::Tombstone)),
                    answer => answer,
                };
                PlatformEvent::Answered { attempt: *attempt, call: Call::Query, answer }
            }
            PlatformCall::Cancel { attempt } => {
                match self.at(*attempt) {
                    Some(at) if self.papers[at].is_open() => {
                        self.papers[at].status = PaymentStatus::Cancelled;
                        self.changed(at);
                    }
                    Some(_) => {}
                    None if self.dead.contains_key(attempt) => {}
                    None if odds("cancel of an unknown id leaves no tombstone", climate.no_tombstone) => {}
                    None => drop(self.dead.insert(*attempt, Refused::Tombstone)),
                }
                let answer = match self.payment(*attempt, t) {
                    Err(CallError::Refused(_)) => Err(CallError::Refused(Refused::Tombstone)),
                    answer => answer,
                };
                PlatformEvent::Answered { attempt: *attempt, call: Call::Cancel, answer }
            }
            PlatformCall::Refund { attempt, refund, amount } => {
                let (refuse, slow) =
                    (odds("refund refused", climate.refund_refused), odds("refund slow", climate.refund_slow));
                let answer = self.refund(*attempt, *refund, *amount, refuse, slow);
                PlatformEvent::RefundAnswered { attempt: *attempt, refund: *refund, answer }
            }
            PlatformCall::QueryRefund { attempt, refund } => {
                let (late_no, slow) =
                    (odds("refund refused late", climate.refund_refused), odds("refund slow", climate.refund_slow));
                let answer = self.see_refund(*attempt, *refund, late_no, slow);
                PlatformEvent::RefundAnswered { attempt: *attempt, refund: *refund, answer }
            }
            PlatformCall::Probe => PlatformEvent::Line { up: true },
            PlatformCall::List { since } => PlatformEvent::Listed { answer: self.page(since, t) },
        }
    }

    fn create(&mut self, create: &Create, t: u64) {
        let ends = t + u64::from(create.expires_in_secs) * 1_000;
        self.index.insert(create.attempt, self.papers.len());
        self.papers.push(Paper {
            create: create.clone(),
            amount: create.amount,
            version: 0,
            status: PaymentStatus::Awaiting,
            reason: None,
            tries: 0,
            paid_minor: 0,
            refunds: Vec::new(),
            ends,
        });
        self.changed(self.papers.len() - 1);
    }

    fn refund(
        &mut self,
        attempt: AttemptId,
        refund: RefundId,
        amount: Amount,
        refuse: bool,
        slow: bool,
    ) -> Result<RefundStatus, CallError> {
        let at = self.at(attempt).ok_or(CallError::NotFound)?;
        let paper = &mut self.papers[at];
        if let Some((_, minor, status)) = paper.refunds.iter().find(|(id, ..)| *id == refund) {
            return if *minor == amount.minor() { Ok(*status) } else { Err(CallError::Unknown) };
        }
        let fits =
            amount.currency() == paper.amount.currency() && paper.back_minor() + amount.minor() <= paper.paid_minor;
        let status = match (fits && !refuse, slow) {
            (false, _) => RefundStatus::Refused,
            (true, true) => RefundStatus::Accepted,
            (true, false) => RefundStatus::Done,
        };
        paper.refunds.push((refund, amount.minor(), status));
        if status == RefundStatus::Done {
            self.changed(at);
        }
        Ok(status)
    }

    fn see_refund(
        &mut self,
        attempt: AttemptId,
        refund: RefundId,
        refuse: bool,
        slow: bool,
    ) -> Result<RefundStatus, CallError> {
        let at = self.at(attempt).ok_or(CallError::NotFound)?;
        let entry = self.papers[at].refunds.iter_mut().find(|(id, ..)| *id == refund);
        let (.., status) = entry.ok_or(CallError::NotFound)?;
        if *status == RefundStatus::Accepted && !slow {
            *status = if refuse { RefundStatus::Refused } else { RefundStatus::Done };
            let status = *status;
            self.changed(at);
            return Ok(status);
        }
        Ok(*status)
    }

    fn page(&self, since: &str, t: u64) -> Result<Page, CallError> {
        let from: usize = since.parse().unwrap_or(0);
        let newest = self.changes.len();
        let mut seen = BTreeSet::new();
        let mut payments = Vec::new();
        let mut next = from;
        for (n, at) in self.changes.iter().enumerate().skip(from) {
            if payments.len() == PAGE_MAX {
                break;
            }
            next = n + 1;
            if seen.insert(*at) {
                payments.extend(self.payment(self.papers[*at].create.attempt, t));
            }
        }
        Ok(Page { payments, next: next.to_string(), more: next < newest })
    }

    /// The platform's word about a payment.
    pub fn payment(&self, id: AttemptId, t: u64) -> Result<Payment, CallError> {
        if let Some(refused) = self.dead.get(&id) {
            return Err(CallError::Refused(*refused));
        }
        let paper = self.paper(id).ok_or(CallError::NotFound)?;
        let failure = TryFailure { reason: Reason::WrongPassword, at: None };
        Ok(Payment {
            id,
            version: paper.version,
            status: paper.status,
            reason: paper.reason,
            tries: paper.tries,
            last_failure: (paper.tries > 0).then_some(failure),
            amount: paper.amount,
            paid_minor: paper.paid_minor,
            refunded_minor: paper.done_minor(),
            link: paper.is_open().then(|| Link::new(&link_to(id)).expect("a link")),
            expires_in_ms: Some(paper.ends.saturating_sub(t)),
        })
    }

    /// A customer does something with a payment. False if nothing came of it.
    pub fn act(&mut self, id: AttemptId, act: Act, t: u64) -> bool {
        self.expire(t);
        let Some(at) = self.at(id) else { return false };
        let paper = &mut self.papers[at];
        if !paper.is_open() || (paper.status == PaymentStatus::Processing && act != Act::Pays) {
            return false;
        }
        let minor = paper.create.amount.minor();
        match act {
            Act::Pays => (paper.status, paper.paid_minor) = (PaymentStatus::Paid, minor),
            Act::PaysSlowly => paper.status = PaymentStatus::Processing,
            Act::Mistypes if paper.tries < 2 => paper.tries += 1,
            Act::Mistypes => {
                (paper.tries, paper.status, paper.reason) =
                    (paper.tries + 1, PaymentStatus::Failed, Some(Reason::TooManyTries));
            }
            Act::Fails => {
                (paper.tries, paper.status, paper.reason) =
                    (paper.tries + 1, PaymentStatus::Failed, Some(Reason::NoFunds));
            }
            Act::Cancels => paper.status = PaymentStatus::Cancelled,
            Act::PaysOther => {
                let other = if minor > 1 && minor.is_multiple_of(2) { minor - 1 } else { minor + 1 };
                paper.amount = Amount::from_minor(other, paper.amount.currency()).expect("an amount");
                (paper.status, paper.paid_minor) = (PaymentStatus::Paid, other);
            }
            Act::PaysForeign => {
                let usd = Currency::from_code("USD").expect("USD");
                paper.amount = Amount::from_minor(minor, usd).expect("an amount");
                (paper.status, paper.paid_minor) = (PaymentStatus::Paid, minor);
            }
        }
        self.changed(at);
        true
    }

    /// Money that nobody waits for: twice, or after the end.
    pub fn pay_once_more(&mut self, at: usize) {
        let paper = &mut self.papers[at];
        if paper.is_open() {
            paper.status = PaymentStatus::Paid;
        }
        paper.paid_minor += paper.create.amount.minor();
        self.changed(at);
    }
}

/// The checkout of a payment.
pub fn link_to(id: AttemptId) -> String {
    format!("https://pay.test/{id}")
}

/// The payment behind a checkout's address.
pub fn attempt_behind(link: &str) -> Option<AttemptId> {
    link.rsplit('/').next()?.parse().ok()
}
