//! A simulated phone and the customer who holds it. Knows only what its page has shown.

use crate::climate::Climate;
use crate::dice::Dice;
use crate::platform::{Act, attempt_behind};
use crate::tally::Tally;
use tillgate::shop::effect::{Repayable, SaleFacts, Screen};
use tillgate::shop::event::{PhoneEvent, TillNumber};
use tillgate::shop::id::{AttemptId, SaleId, SessionId};
use tillgate::shop::money::Amount;
use tillgate::shop::session::Place;

/// A phone.
#[derive(Debug)]
pub struct Phone {
    /// Its visit.
    pub session: SessionId,
    /// The page as the portal has it; none before the visit and after it.
    pub screen: Option<Screen>,
    /// The page has been loaded since it changed.
    pub seen: bool,
    /// Sales that its pages have shown.
    pub facts: Vec<SaleFacts>,
    /// Checkouts that its pages have shown.
    pub links: Vec<AttemptId>,
    home: TillNumber,
    no: u8,
    visits: u64,
}

/// What a phone or its customer does.
#[derive(Clone, Debug)]
pub enum Does {
    /// Something at the portal.
    Portal(PhoneEvent),
    /// Something at the checkout.
    Checkout(AttemptId, Act),
    /// Pays what is over, or pays again.
    PaysMore(AttemptId),
}

impl Phone {
    /// A phone whose owner mostly stands at `home`.
    pub fn new(no: usize, home: TillNumber, d: &mut Dice) -> Phone {
        let (facts, links) = (Vec::new(), Vec::new());
        let no = no as u8;
        Phone { session: name(d), screen: None, seen: false, facts, links, home, no, visits: 0 }
    }

    /// The page changes.
    pub fn shows(&mut self, screen: &Screen) {
        let facts = match screen {
            Screen::Confirm { facts, .. }
            | Screen::TooLate { facts }
            | Screen::Contacting { facts, .. }
            | Screen::Closing { facts } => Some(*facts),
            Screen::Pay { facts, link, .. } => {
                if let Some(id) = attempt_behind(link.as_str()).filter(|id| !self.links.contains(id)) {
                    self.links.push(id);
                }
                Some(*facts)
            }
            Screen::Result(receipt) => Some(receipt.facts),
            Screen::EnterTill { .. } | Screen::InLine { .. } | Screen::Waiting { .. } => None,
            Screen::ChooseReturn { .. } | Screen::Returning { .. } | Screen::Returned(_) => None,
        };
        if let Some(facts) = facts.filter(|facts| !self.facts.contains(facts)) {
            self.facts.push(facts);
            if self.facts.len() > 4 {
                self.facts.remove(0);
            }
        }
        (self.screen, self.seen) = (Some(screen.clone()), false);
    }

    /// Whether its owner has nothing to do now.
    pub fn rests(&self) -> bool {
        matches!(self.screen, Some(Screen::Waiting { .. } | Screen::InLine { .. } | Screen::Closing { .. }))
    }

    /// What happens next at this phone. `other`: something another phone was shown.
    pub fn act(
        &mut self,
        climate: &Climate,
        other: Option<SaleFacts>,
        tills: &[TillNumber],
        d: &mut Dice,
        tally: &mut Tally,
    ) -> Vec<Does> {
        if d.chance(climate.phone_odd) {
            return self.odd(other, tills, d, tally);
        }
        if !self.links.is_empty() && d.chance(climate.late_money) {
            let link = self.links[d.at(self.links.len())];
            tally.fault("paid late, twice or all the same");
            return vec![Does::PaysMore(link)];
        }
        let Some(screen) = self.screen.clone() else {
            return vec![Does::Portal(PhoneEvent::LoggedIn { place: self.place(d) })];
        };
        let does = |what| vec![Does::Portal(what)];
        match screen {
            Screen::EnterTill { .. } => {
                let at = if d.chance(850) { self.home } else { d.pick(tills) };
                does(PhoneEvent::Stands { at: Some(at) })
            }
            Screen::InLine { .. } | Screen::Waiting { .. } | Screen::Closing { .. } => Vec::new(),
            Screen::TooLate { facts } => does(PhoneEvent::NotMine { sale: facts.sale }),
            Screen::Confirm { facts, .. } if d.chance(climate.abort) => {
                tally.fault("customer says no");
                does(d.pick(&[
                    PhoneEvent::Declines { sale: facts.sale },
                    PhoneEvent::NotMine { sale: facts.sale },
                    PhoneEvent::Leaves,
                ]))
            }
            Screen::Confirm { facts, .. } => does(PhoneEvent::Confirms { sale: facts.sale, amount: facts.amount }),
            Screen::Contacting { facts, .. } | Screen::Pay { facts, .. } if d.chance(climate.abort) => {
                tally.fault("customer gives up or lets go");
                let sale = facts.sale;
                does(d.pick(&[PhoneEvent::GivesUp { sale }, PhoneEvent::LetsGo { sale }, PhoneEvent::LetsGo { sale }]))
            }
            Screen::Contacting { facts, .. } if !self.seen => {
                self.seen = true;
                does(PhoneEvent::Saw { sale: facts.sale })
            }
            Screen::Contacting { .. } => Vec::new(),
            Screen::Pay { facts, .. } if !self.seen && d.chance(500) => {
                self.seen = true;
                does(PhoneEvent::Saw { sale: facts.sale })
            }
            Screen::Pay { link, .. } => match attempt_behind(link.as_str()) {
                Some(id) => vec![Does::Checkout(id, self.at_checkout(climate, d, tally))],
                None => Vec::new(),
            },
            Screen::Result(receipt) if !self.seen => {
                self.seen = true;
                does(PhoneEvent::Saw { sale: receipt.facts.sale })
            }
            Screen::Result(_) if d.chance(600) => does(PhoneEvent::Finishes),
            Screen::Result(_) => does(PhoneEvent::Stands { at: Some(self.home) }),
            Screen::ChooseReturn { facts, payments, .. } => self.chooses(facts.asked, &payments, d, tally),
            Screen::Returning { .. } => Vec::new(),
            Screen::Returned(_) if d.chance(600) => does(PhoneEvent::Finishes),
            Screen::Returned(_) => does(PhoneEvent::Stands { at: Some(self.home) }),
        }
    }

    /// The till gives money back, and the customer says which payment.
    fn chooses(&self, asked: SaleId, payments: &[Repayable], d: &mut Dice, tally: &mut Tally) -> Vec<Does> {
        let portal = |what| vec![Does::Portal(what)];
        match (d.below(12), payments.get(d.at(payments.len().max(1)))) {
            (0, _) => {
                tally.fault("customer wants nothing back");
                portal(PhoneEvent::Refuses { asked })
            }
            (1, Some(payment)) => {
                tally.fault("phone chooses another amount");
                portal(PhoneEvent::Chooses { asked, sale: payment.sale, amount: payment.amount })
            }
            (2, Some(payment)) => {
                tally.fault("phone chooses twice");
                let what = PhoneEvent::Chooses { asked, sale: payment.sale, amount: payment.back };
                vec![Does::Portal(what), Does::Portal(what)]
            }
            (3, _) => portal(PhoneEvent::Leaves),
            (_, Some(payment)) => portal(PhoneEvent::Chooses { asked, sale: payment.sale, amount: payment.back }),
            (_, None) => Vec::new(),
        }
    }

    fn at_checkout(&self, climate: &Climate, d: &mut Dice, tally: &mut Tally) -> Act {
        if d.chance(climate.tries_fail) {
            tally.fault("a try fails");
            return d.pick(&[Act::Mistypes, Act::Mistypes, Act::Fails, Act::Fails, Act::Cancels]);
        }
        if d.chance(climate.wrong_amount) {
            tally.fault("another amount or currency is taken");
            return d.pick(&[Act::PaysOther, Act::PaysForeign]);
        }
        if d.chance(200) { Act::PaysSlowly } else { Act::Pays }
    }

    /// What phones do that they need not do.
    fn odd(&mut self, other: Option<SaleFacts>, tills: &[TillNumber], d: &mut Dice, tally: &mut Tally) -> Vec<Does> {
        let mine = (!self.facts.is_empty()).then(|| self.facts[d.at(self.facts.len())]);
        let one = |kind, what| (kind, vec![Does::Portal(what)]);
        let confirm = |facts: SaleFacts| PhoneEvent::Confirms { sale: facts.sale, amount: facts.amount };
        let (kind, does) = match (d.below(16), mine, other) {
            (0 | 1, Some(facts), _) => ("phone confirms an old page", vec![Does::Portal(confirm(facts))]),
            (2 | 3, Some(facts), _) => {
                ("phone taps twice", vec![Does::Portal(confirm(facts)), Does::Portal(confirm(facts))])
            }
            (4 | 5, Some(facts), _) => {
                let amount = Amount::from_minor(facts.amount.minor() / 2 + 1, facts.amount.currency());
                let amount = amount.expect("an amount");
                one("phone confirms another amount", PhoneEvent::Confirms { sale: facts.sale, amount })
            }
            (6 | 7, _, Some(facts)) => one("phone confirms what another was shown", confirm(facts)),
            (8, _, Some(facts)) => {
                let sale = facts.sale;
                one(
                    "phone ends what another was shown",
                    d.pick(&[
                        PhoneEvent::Declines { sale },
                        PhoneEvent::GivesUp { sale },
                        PhoneEvent::LetsGo { sale },
                        PhoneEvent::NotMine { sale },
                    ]),
                )
            }
            (9, ..) => one("phone leaves", PhoneEvent::Leaves),
            (10, ..) => one("phone logs out", PhoneEvent::LogsOut),
            (11, ..) => one("phone comes back from another place", PhoneEvent::LoggedIn { place: self.place(d) }),
            (12, ..) => {
                // The little browser has lost everything but the memory of its owner.
                self.session = name(d);
                (self.screen, self.facts) = (None, Vec::new());
                one("phone comes back as another", PhoneEvent::LoggedIn { place: self.place(d) })
            }
            (13, ..) => {
                let at = if d.chance(300) { None } else { TillNumber::new(d.below(99) as u16) };
                one("phone types a wrong number", PhoneEvent::Stands { at })
            }
            (14, ..) => one("phone goes to another till", PhoneEvent::Stands { at: Some(d.pick(tills)) }),
            (_, Some(facts), _) => one("phone reloads an old page", PhoneEvent::Saw { sale: facts.sale }),
            (_, None, _) => one("phone puts away nothing", PhoneEvent::Finishes),
        };
        tally.fault(kind);
        does
    }

    fn place(&mut self, d: &mut Dice) -> Place {
        self.visits += 1;
        let moved = if d.chance(300) { (self.visits % 200) as u8 } else { 0 };
        let mac = d.chance(800).then_some([2, 0, 0, 0, moved, self.no]);
        Place { ip: [10, 77, moved, self.no].into(), mac }
    }
}

fn name(d: &mut Dice) -> SessionId {
    SessionId(u128::from(d.bits()) << 64 | u128::from(d.bits()))
}
