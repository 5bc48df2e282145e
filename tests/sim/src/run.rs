//! One run from its seed to its closed books.

use crate::dice::mix;
use crate::ledger::{Broken, hex};
use crate::machine::Disk;
use crate::platform::Paper;
use crate::story::Story;
use crate::tally::Tally;
use crate::world::World;
use tillgate::shop::Asked;
use tillgate::shop::attempt::Refund;
use tillgate::shop::effect::{Outcome, Screen, TillAnswer};
use tillgate::shop::event::{PhoneEvent, RefundStatus, TillEvent, TillNumber};
use tillgate::shop::id::SaleId;
use tillgate::shop::sale::{Sale, Telling};

/// Once the faults have ended everything is at rest within this time: the platform's list is fetched hourly.
pub const REST_MS: u64 = 2 * 3_600_000;
/// What needs a person is asked about once a day.
const PERSON_MS: u64 = 26 * 3_600_000;

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The laws it broke.
    pub broken: Vec<Broken>,
    /// Counts.
    pub tally: Tally,
    /// What happened, if it was kept.
    pub story: Story,
    /// How many steps it had.
    pub steps: usize,
}

/// Plays one seed. `keep`: these steps only.
pub fn play(seed: u64, keep: Option<&[usize]>, disk: &Disk, story: Story) -> Ended {
    let mut world = World::new(seed, disk, story);
    let steps = world.climate.steps;
    let all: Vec<usize>;
    let kept = match keep {
        Some(kept) => kept,
        None => {
            all = (0..steps).collect();
            &all
        }
    };
    for step in kept {
        if world.is_broken() {
            break;
        }
        world.step(mix(seed, 1_000 + *step as u64));
    }
    if !world.is_broken() {
        world.rest();
    }
    world.tally.ms = world.t;
    Ended { broken: world.broken().to_vec(), tally: world.tally, story: world.story, steps }
}

impl World {
    /// The faults end: everything must come to rest, and the books must agree.
    fn rest(&mut self) {
        self.story.note(self.t, || "THE FAULTS END".to_owned());
        self.calm_down();
        self.come_to_rest();
        if self.climate.money_after_all && !self.is_broken() {
            self.story.note(self.t, || "long after, everything is paid once more".to_owned());
            for at in 0..self.platform.papers.len() {
                self.platform.pay_once_more(at);
            }
            self.pass(self.dice.clone().below(3_700_000));
            self.cut();
            self.come_to_rest();
        }
        if !self.is_broken() {
            self.close();
        }
    }

    fn come_to_rest(&mut self) {
        let begun = self.t;
        while !self.is_broken() {
            self.answer_all();
            for at in 0..self.tills.len() {
                let till = self.tills[at].number;
                for sale in std::mem::take(&mut self.tills[at].results) {
                    self.happen(tillgate::shop::event::Event::Till { till, what: TillEvent::Taken { sale } });
                }
            }
            let Some((person, unrest)) = self.unrest() else { return };
            let limit = if person { PERSON_MS } else { REST_MS };
            if self.t > begun + limit {
                self.ledger.broken.extend(unrest.into_iter().take(1));
                return;
            }
            let next = self.ring.as_ref().map_or(0, |ring| self.machine.when(ring.shop().deadline()));
            self.pass(next.saturating_sub(self.t).clamp(1, 600_000));
        }
    }

    /// What keeps the world from resting, and whether a person has to look at it.
    fn unrest(&mut self) -> Option<(bool, Vec<Broken>)> {
        let ring = self.ring.as_ref()?;
        let waits = |sale: &Sale| {
            let person = sale.attempts.iter().any(|a| a.needs_person.is_some())
                || sale.refunds.iter().any(|r: &Refund| r.needs_person.is_some());
            let what = format!("sale {:.8} is not at rest: {sale:?}", hex(sale.id.0));
            (person, vec![Broken { law: 17, what }])
        };
        if let Some(unrest) = ring.shop().open_sales().next().map(waits) {
            return Some(unrest);
        }
        if let Some(given) = ring.shop().open_returns().next() {
            let what = format!("return {:.8} is not at rest: {given:?}", hex(given.id.0));
            return Some((false, vec![Broken { law: 17, what }]));
        }
        let sales = self.sales();
        let before = self.ledger.broken.len();
        let ring = self.ring.as_ref()?;
        self.ledger.close(ring.store(), &self.platform, &sales, self.t);
        let unrest = self.ledger.broken.split_off(before);
        (!unrest.is_empty()).then_some((false, unrest))
    }

    /// All sales on disk, oldest first.
    fn sales(&self) -> Vec<Sale> {
        let Some(ring) = &self.ring else { return Vec::new() };
        let store = ring.store();
        let mut ids = store.connection().prepare_cached("SELECT id FROM sales ORDER BY no").expect("a statement");
        let ids = ids.query_map([], |row| row.get::<_, [u8; 16]>(0)).expect("the store can be read");
        let id = |id: Result<[u8; 16], _>| SaleId(u128::from_be_bytes(id.expect("an id")));
        ids.map(id).filter_map(|id| store.sale(id).expect("the store can be read")).collect()
    }

    /// All is at rest: tills and phones agree with the books, and the journal with the rows.
    fn close(&mut self) {
        let sales = self.sales();
        for sale in &sales {
            let kind = match sale.state.outcome() {
                Some(Outcome::Approved) => "paid",
                Some(Outcome::Returned { .. }) => "given back",
                Some(Outcome::Declined(_)) => "declined",
                Some(Outcome::Cancelled(_)) => "cancelled",
                Some(Outcome::Lapsed) => "lapsed",
                None => "open",
            };
            *self.tally.sales.entry(kind).or_default() += 1;
        }
        self.people_know(&sales);
        self.returns_agree();
        self.tills_agree();
        self.phones_agree(&sales);
        if self.climate.prove
            && let Some(ring) = &self.ring
        {
            match ring.store().prove() {
                Ok(verified) => {
                    self.tally.proved.0 += 1;
                    self.tally.proved.1 += verified.rows;
                }
                Err(error) => self.ledger.law(15, false, || format!("the journal is not the books: {error}")),
            }
        }
    }

    /// Whatever waits for a person was said to people: the journal has an alarm about it.
    fn people_know(&mut self, sales: &[Sale]) {
        let mut matters = Vec::new();
        for sale in sales {
            let unheard = matches!(sale.state.telling(), Some(Telling::Unheard { .. })) && sale.winner().is_some();
            matters.extend(unheard.then_some(sale.id.0));
            matters.extend(sale.attempts.iter().filter(|a| a.needs_person.is_some()).map(|a| a.id.0));
            matters.extend(sale.refunds.iter().filter(|r| r.needs_person.is_some()).map(|r| r.id.0));
        }
        for id in matters {
            let Some(ring) = &self.ring else { return };
            let sql = "SELECT count(*) FROM journal WHERE kind = 'alarm' AND id = ?1";
            let mut alarms = ring.store().connection().prepare_cached(sql).expect("a statement");
            let alarms: u64 = alarms.query_row([hex(id)], |row| row.get(0)).expect("the store can be read");
            self.ledger.law(17, alarms > 0, || format!("{:.8} needs a person, and nobody was told", hex(id)));
        }
    }

    /// What this till asked for last.
    fn newest(&self, till: TillNumber) -> Option<Asked> {
        let store = self.ring.as_ref()?.store();
        let sql = "SELECT id FROM sales WHERE till = ?1 ORDER BY no DESC LIMIT 1";
        let mut newest = store.connection().prepare_cached(sql).expect("a statement");
        let id = newest.query_row([till.number()], |row| row.get::<_, [u8; 16]>(0)).ok()?;
        store.asked(SaleId(u128::from_be_bytes(id))).expect("the store can be read")
    }

    /// What every return says is what became of its money.
    fn returns_agree(&mut self) {
        let Some(ring) = &self.ring else { return };
        let mut ids = ring.store().connection().prepare("SELECT id FROM sales WHERE kind IS NOT NULL").expect("sql");
        let ids = ids.query_map([], |row| row.get::<_, [u8; 16]>(0)).expect("the store can be read");
        for id in ids {
            let id = SaleId(u128::from_be_bytes(id.expect("an id")));
            let Ok(Some(Asked::Return(given))) = ring.store().asked(id) else { continue };
            *self.tally.sales.entry(if given.named.is_some() { "back, named" } else { "back, chosen" }).or_default() +=
                u64::from(given.state.back().is_some());
            let paper = given.state.back().and_then(|back| self.platform.paper(back.attempt).map(|p| (back, p)));
            let truly = paper.and_then(|(back, paper)| {
                let refund = paper.refunds.iter().find(|(id, ..)| *id == back.refund);
                refund.map(|(_, minor, status)| (*minor == back.amount.minor(), *status != RefundStatus::Refused))
            });
            let done = given.state.outcome() == Some(Outcome::Returned { pending: false });
            // What the platform accepts and refuses later is a person's.
            let person = given.state.back().is_some_and(|back| {
                let sale = ring.store().sale(back.sale).expect("the store can be read");
                sale.is_some_and(|s| s.refunds.iter().any(|r| r.id == back.refund && r.needs_person.is_some()))
            });
            let fits =
                truly.is_none_or(|(amount, made)| amount && (made == done || person)) && (truly.is_some() || !done);
            self.ledger.law(17, fits && !given.is_live(), || format!("{given:?}, and at the platform {truly:?}"));
        }
    }

    /// A till that asks again hears what it was told.
    fn tills_agree(&mut self) {
        for at in 0..self.tills.len() {
            let till = self.tills[at].number;
            let newest = self.newest(till).and_then(|asked| match asked {
                Asked::Sale(sale) => Some((sale.id, sale.state.outcome()?)),
                Asked::Return(given) => Some((given.id, given.state.outcome()?)),
            });
            let Some((sale, told)) = newest else { continue };
            let answers = self.ask_till(till, TillEvent::AskedAgain { ticket: None });
            let same = answers.iter().any(|answer| match answer {
                TillAnswer::Finish(finish) => finish.sale == sale && finish.outcome == told,
                _ => false,
            });
            self.ledger.law(12, same, || format!("till {till} asks for its last result, {told:?}: {answers:?}"));
            let tickets: Vec<_> = self.tills[at].tickets().rev().take(3).collect();
            for ticket in tickets.into_iter().filter(|ticket| ticket.epoch.is_some()) {
                let Some((sale, told)) = self.ledger.told_under(till, ticket) else { continue };
                let answers = self.ask_till(till, TillEvent::AskedAgain { ticket: Some(ticket) });
                let same = answers.iter().any(|answer| match answer {
                    TillAnswer::Finish(finish) => finish.sale == sale && finish.outcome == told,
                    _ => false,
                });
                self.ledger.law(12, same, || {
                    format!("till {till} asks for ticket {}, told {told:?}: {answers:?}", ticket.number)
                });
            }
        }
    }

    /// No phone waits for what is over, and each can put its result away.
    fn phones_agree(&mut self, sales: &[Sale]) {
        for at in 0..self.phones.len() {
            let session = self.phones[at].session;
            let stuck = match self.ledger.page(session) {
                Some(
                    Screen::Confirm { facts, .. }
                    | Screen::TooLate { facts }
                    | Screen::Contacting { facts, .. }
                    | Screen::Pay { facts, .. }
                    | Screen::Closing { facts },
                ) => sales.iter().any(|sale| sale.id == facts.sale),
                Some(Screen::Result(receipt)) => {
                    let (sale, back) = (receipt.facts.sale, receipt.given_back_done_minor);
                    let mine = |p: &&Paper| p.create.session == session && p.create.sale == sale;
                    let truly: u64 = self.platform.papers.iter().filter(mine).map(Paper::done_minor).sum();
                    self.ledger.law(17, back == truly, || format!("a phone shows {back} given back, it is {truly}"));
                    self.portal(at, PhoneEvent::Finishes);
                    matches!(self.ledger.page(session), Some(Screen::Result(_)))
                }
                Some(Screen::ChooseReturn { .. } | Screen::Returning { .. }) => true,
                Some(Screen::Returned(_)) => {
                    self.portal(at, PhoneEvent::Finishes);
                    matches!(self.ledger.page(session), Some(Screen::Returned(_)))
                }
                Some(Screen::EnterTill { .. } | Screen::InLine { .. } | Screen::Waiting { .. }) | None => false,
            };
            self.ledger.law(17, !stuck, || format!("a phone is left with {:?}", self.phones[at].screen));
        }
    }
}
