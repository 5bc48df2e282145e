//! The order of things: what happens goes into the shop, its records are committed, only then its effects go out. Has no
//! thread, clock or socket of its own, so that the daemon and the tests go round in the very same ring.

use crate::shop::attempt::AttemptState;
use crate::shop::effect::{Effect, Record, Step};
use crate::shop::event::{Event, Of};
use crate::shop::planted::{Mistake, planted};
use crate::shop::policy::Policy;
use crate::shop::sale::Sale;
use crate::shop::time::{Stamp, Wall};
use crate::shop::{Asked, Loaded, Missing, Shop};
use crate::store::{CommitError, LookUpError, Store};
use std::{fmt, mem};

/// Why the ring cannot go on. The store is right in every case; the process must end, and starts again from the store.
#[derive(Debug)]
pub enum Stopped {
    /// A commit failed: none or all of it is on disk, and nothing of it went out.
    Commit(CommitError),
    /// An ended sale could not be read.
    LookUp(LookUpError),
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stopped::Commit(_) => f.write_str("the store could not be written: see the cause, then start again"),
            Stopped::LookUp(_) => f.write_str("the store could not be read: see the cause, then start again"),
        }
    }
}

impl std::error::Error for Stopped {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Stopped::Commit(e) => Some(e),
            Stopped::LookUp(e) => Some(e),
        }
    }
}

impl From<CommitError> for Stopped {
    fn from(error: CommitError) -> Self {
        Stopped::Commit(error)
    }
}

impl From<LookUpError> for Stopped {
    fn from(error: LookUpError) -> Self {
        Stopped::LookUp(error)
    }
}

/// Shop and store, and what waits for the next commit. After an error it must be dropped.
#[derive(Debug)]
pub struct Ring {
    shop: Shop,
    store: Store,
    records: Vec<Record>,
    effects: Vec<Effect>,
}

impl Ring {
    /// A ring over what the store holds. What opening the shop brings is written and goes to `out` at once.
    pub fn open(
        stamp: &Stamp,
        policy: Policy,
        loaded: Loaded,
        store: Store,
        out: &mut impl FnMut(Effect),
    ) -> Result<Ring, Stopped> {
        let mut ring = Ring::unflushed(stamp, policy, loaded, store);
        ring.flush(stamp.now.wall, out)?;
        Ok(ring)
    }

    /// As [`Ring::open`], before its commit, for tests whose store must outlive a commit that fails.
    #[doc(hidden)]
    pub fn unflushed(stamp: &Stamp, policy: Policy, loaded: Loaded, store: Store) -> Ring {
        let (shop, step) = Shop::open(stamp, policy, loaded);
        let mut ring = Ring { shop, store, records: Vec::new(), effects: Vec::new() };
        ring.gather(step);
        ring
    }

    /// The store alone; shop and all that waits are gone, as after a power cut. For tests.
    #[doc(hidden)]
    pub fn into_store(self) -> Store {
        self.store
    }

    /// Takes one event in. What comes of it waits for [`Ring::flush`], except that what waits already may have to go first.
    pub fn take(&mut self, stamp: &Stamp, event: Event, out: &mut impl FnMut(Effect)) -> Result<(), Stopped> {
        for what in self.shop.missing(&event) {
            for found in self.fetch(what, stamp.now.wall, out)? {
                self.shop.recall(what, found);
            }
        }
        let mut step = self.shop.handle(stamp, event);
        if planted(Mistake::TillToldBeforeCommit) {
            step.effects.extract_if(.., |effect| matches!(effect, Effect::Till { .. })).for_each(out);
        }
        self.gather(step);
        Ok(())
    }

    /// First all records that wait, in one transaction dated `wall`; then the effects, in order.
    pub fn flush(&mut self, wall: Option<Wall>, out: &mut impl FnMut(Effect)) -> Result<(), Stopped> {
        let (mut records, mut effects) = (mem::take(&mut self.records), mem::take(&mut self.effects));
        if planted(Mistake::EffectsBeforeRecords) {
            mem::take(&mut effects).into_iter().for_each(&mut *out);
        }
        if planted(Mistake::IntentAfterSending) {
            self.records.extend(records.extract_if(.., |record| is_intent(record)));
        }
        let committed = self.store.commit(wall, &records);
        if !planted(Mistake::FailedCommitIgnored) {
            committed?;
        }
        if planted(Mistake::EffectsForgotten) {
            effects.truncate(1);
        }
        effects.into_iter().for_each(out);
        Ok(())
    }

    /// The shop as it is now; what it decided last may still wait for the commit.
    pub fn shop(&self) -> &Shop {
        &self.shop
    }

    /// The store; what waits for the commit is not in it.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The store, for faults. For tests.
    #[doc(hidden)]
    pub fn store_mut(&mut self) -> &mut Store {
        &mut self.store
    }

    fn gather(&mut self, step: Step) {
        self.records.extend(step.records);
        self.effects.extend(step.effects);
    }

    /// What has ended, from disk. If what waits may be about it, that is written first and read as it is then.
    fn fetch(
        &mut self,
        what: Missing,
        wall: Option<Wall>,
        out: &mut impl FnMut(Effect),
    ) -> Result<Vec<Asked>, Stopped> {
        if planted(Mistake::EndedSaleNotFetched) {
            return Ok(Vec::new());
        }
        let found = self.read(what)?;
        if self.records.is_empty() || (found.is_empty() && !self.records.iter().any(|record| names(record, what))) {
            return Ok(found);
        }
        self.flush(wall, out)?;
        Ok(self.read(what)?)
    }

    fn read(&self, what: Missing) -> Result<Vec<Asked>, LookUpError> {
        let sale = |sale: Sale| Asked::Sale(Box::new(sale));
        Ok(match what {
            Missing::Of(till, Of::Ticket(ticket)) => self.store.asked_under(till, &ticket)?.into_iter().collect(),
            Missing::Of(till, Of::Receipt(receipt)) => self.store.newest_with(till, receipt)?.into_iter().collect(),
            Missing::Attempt(attempt) => self.store.sale_of_attempt(attempt)?.map(sale).into_iter().collect(),
            Missing::PaidBy(session) => self.store.paid_by(session)?.into_iter().map(sale).collect(),
        })
    }
}

/// Whether after this record the store finds something under that name which it may not have found before.
fn names(record: &Record, what: Missing) -> bool {
    match (record, what) {
        (Record::Ticket { till, ticket, .. }, Missing::Of(of, wanted)) => (*till, Of::Ticket(*ticket)) == (of, wanted),
        (Record::Attempt { attempt, .. }, Missing::Attempt(wanted)) => attempt.id == wanted,
        (Record::Attempt { attempt, .. }, Missing::PaidBy(session)) => attempt.session == session,
        (Record::Refund { .. }, Missing::PaidBy(_)) => true,
        (Record::Sale { sale, .. }, Missing::Of(of, Of::Receipt(wanted))) => {
            (sale.till, sale.receipt) == (of, Some(wanted))
        }
        (Record::Return { given, .. }, Missing::Of(of, Of::Receipt(wanted))) => {
            (given.till, given.receipt) == (of, wanted)
        }
        _ => false,
    }
}

fn is_intent(record: &Record) -> bool {
    let Record::Attempt { attempt, .. } = record else { return false };
    matches!(attempt.state, AttemptState::Intent { .. })
}

#[cfg(test)]
mod tests;
