//! What a phone's page shows, and how far the phone reaches: both follow from the state, nothing is remembered.

use super::attempt::{AttemptState, Link, Refund, RefundState, TryFailure};
use super::effect::{Outcome, Reach};
use super::event::{Reason, ReceiptNumber, ReturnKind, TillNumber};
use super::id::{AttemptId, SaleId, SessionId};
use super::money::Amount;
use super::planted::{Mistake, planted};
use super::sale::{Code, Sale, SaleState};
use super::time::{Mono, Wall};
use super::{Shop, Visit};

/// What every screen about a sale shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SaleFacts {
    /// The sale.
    pub sale: SaleId,
    /// Its till.
    pub till: TillNumber,
    /// Its amount.
    pub amount: Amount,
    /// Its matching code.
    pub code: Code,
}

/// What every screen about a return shows: the till gives money back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReturnFacts {
    /// The return.
    pub asked: SaleId,
    /// The till that asked for it.
    pub till: TillNumber,
    /// Its matching code.
    pub code: Code,
    /// Any part, or all that is left.
    pub kind: ReturnKind,
    /// How much goes back; `None`: all that is left of the payment that is chosen.
    pub amount: Option<Amount>,
}

/// A payment of this very phone that may be chosen to be given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Repayable {
    /// The sale it paid.
    pub sale: SaleId,
    /// At this till; not always the one that gives back.
    pub till: TillNumber,
    /// The number on its receipt.
    pub receipt: Option<ReceiptNumber>,
    /// What was paid.
    pub amount: Amount,
    /// What is left of it.
    pub left: Amount,
    /// What goes back if it is chosen: to be named in [`super::event::PhoneEvent::Chooses`].
    pub back: Amount,
    /// When it was paid.
    pub at: Option<Wall>,
}

/// What a phone's page shows. The whole truth for that page: rendering one needs nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Screen {
    /// Type the till's number.
    EnterTill {
        /// What came before, if it needs a word.
        note: Option<EnterNote>,
    },
    /// Another phone stands at the till.
    InLine {
        /// Which till.
        till: TillNumber,
        /// How many are ahead, at least 1.
        ahead: u32,
    },
    /// Paired; waiting for the cashier.
    Waiting {
        /// With this till.
        till: TillNumber,
    },
    /// Confirm, please.
    Confirm {
        /// What.
        facts: SaleFacts,
        /// Until when.
        until: Mono,
    },
    /// Too little time is left to pay: ask the cashier to start again.
    TooLate {
        /// What.
        facts: SaleFacts,
    },
    /// The payment is being submitted (or submitted again after a failed attempt).
    Contacting {
        /// What.
        facts: SaleFacts,
        /// Which attempt, from 1.
        attempt_no: u32,
        /// Why the attempt before failed.
        failed: Option<Reason>,
        /// The platform does not answer: still checking.
        checking: bool,
    },
    /// Pay at the platform's page.
    Pay {
        /// What.
        facts: SaleFacts,
        /// Which attempt, from 1.
        attempt_no: u32,
        /// Where.
        link: Link,
        /// The last failed try on this link, or, before any, why the attempt before failed.
        failed: Option<TryFailure>,
        /// Until when the link can be used here.
        until: Mono,
        /// Whether another phone waits in line (then "let the next one pay" is offered).
        others_wait: bool,
        /// The platform does not answer: still checking.
        checking: bool,
    },
    /// The payment is being closed at the platform.
    Closing {
        /// What.
        facts: SaleFacts,
    },
    /// How it ended; a receipt.
    Result(Box<Receipt>),
    /// The till gives money back: choose which payment, or refuse.
    ChooseReturn {
        /// What the till wants.
        facts: ReturnFacts,
        /// The phone's own payments that will do, newest first; at least one, at most 20.
        payments: Vec<Repayable>,
        /// Until when.
        until: Mono,
    },
    /// Chosen; the platform is being asked to give it back.
    Returning {
        /// What.
        facts: ReturnFacts,
        /// The platform does not answer: still checking.
        checking: bool,
    },
    /// How a return ended.
    Returned(Box<ReturnReceipt>),
}

impl Screen {
    /// The sale this screen is about, if the shop wants to know that the phone has loaded it.
    pub fn wants_seen(&self) -> Option<SaleId> {
        match self {
            Screen::Pay { facts, .. } | Screen::Contacting { facts, .. } => Some(facts.sale),
            Screen::Result(receipt) => Some(receipt.facts.sale),
            Screen::EnterTill { .. }
            | Screen::InLine { .. }
            | Screen::Waiting { .. }
            | Screen::Confirm { .. }
            | Screen::TooLate { .. }
            | Screen::Closing { .. }
            | Screen::ChooseReturn { .. }
            | Screen::Returning { .. }
            | Screen::Returned(_) => None,
        }
    }
}

/// What a phone is told about an ended sale.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Receipt {
    /// What.
    pub facts: SaleFacts,
    /// How it ended.
    pub outcome: Outcome,
    /// The platform's name for the payment, or for this phone's last try, for questions later.
    pub attempt: Option<AttemptId>,
    /// Minor units given back or on their way back to the customer, over all attempts.
    pub given_back_minor: u64,
    /// Of these, how many the platform has confirmed as back.
    pub given_back_done_minor: u64,
    /// Of what is given back, what the shop never had a right to: taken twice, or for an attempt that did not win.
    pub surplus_back_minor: u64,
    /// When it ended.
    pub at: Option<Wall>,
}

/// What a phone is told about an ended return.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ReturnReceipt {
    /// What.
    pub facts: ReturnFacts,
    /// How it ended: returned (done, or pending: on its way, the platform has not said so yet), or not given back.
    pub outcome: Outcome,
    /// The sale whose payment was chosen.
    pub of: Option<SaleId>,
    /// The platform's name for that payment.
    pub attempt: Option<AttemptId>,
    /// When it ended.
    pub at: Option<Wall>,
}

/// A word on the page that asks for the till's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EnterNote {
    /// No till has that number.
    WrongNumber {
        /// What was typed, if it could be a till's number at all.
        typed: Option<TillNumber>,
        /// How many guesses are left before a pause.
        guesses_left: u32,
    },
    /// Too many wrong numbers: wait.
    TooManyGuesses {
        /// Until then.
        until: Mono,
    },
    /// The phone said the sale was not its own.
    NotMine,
    /// The time to confirm was over.
    ConfirmOver,
    /// Nothing happened at the till for too long.
    Idle,
    /// Too many phones stand at that till already.
    LineFull,
    /// The phone let the next one pay.
    LetGo,
}

impl Shop {
    /// The screen of a visit.
    pub(super) fn screen(&self, visit: &Visit) -> Screen {
        let live = visit.session.sale.and_then(|sale| self.sales.get(&sale));
        if let Some(screen) = live.and_then(|live| self.sale_screen(visit, &live.sale)) {
            return screen;
        }
        let given = visit.session.sale.and_then(|id| self.return_screen(visit.session.id, id));
        if let Some(screen) = given {
            return screen;
        }
        let Some(pairing) = visit.session.pairing else { return Screen::EnterTill { note: visit.note } };
        let line = self.tills.get(&pairing.till).map(|till| till.line.as_slice()).unwrap_or_default();
        match line.iter().position(|session| *session == visit.session.id).map(u32::try_from) {
            Some(Ok(1)) if planted(Mistake::SecondPhoneSeesLink) => {
                let sale = self.sales.values().map(|l| &l.sale).find(|s| s.at_phone() == line.first().copied());
                let facts = |s: &Sale| SaleFacts { sale: s.id, till: s.till, amount: s.amount, code: s.code };
                let paying = sale.filter(|s| matches!(s.state, SaleState::Paying { .. }));
                let shown = paying.map(|s| self.paying_screen(visit.session.id, s, facts(s)));
                shown.unwrap_or(Screen::InLine { till: pairing.till, ahead: 1 })
            }
            Some(Ok(ahead)) if ahead > 0 => Screen::InLine { till: pairing.till, ahead },
            Some(_) | None => Screen::Waiting { till: pairing.till },
        }
    }

    fn sale_screen(&self, visit: &Visit, sale: &Sale) -> Option<Screen> {
        let facts = SaleFacts { sale: sale.id, till: sale.till, amount: sale.amount, code: sale.code };
        match sale.state {
            SaleState::Waiting => None,
            SaleState::Offered { session, .. }
            | SaleState::Paying { session, .. }
            | SaleState::Aborting { session, .. }
                if session != visit.session.id =>
            {
                None
            }
            SaleState::Offered { .. } if visit.too_late == Some(sale.id) => Some(Screen::TooLate { facts }),
            SaleState::Offered { until, .. } => Some(Screen::Confirm { facts, until }),
            SaleState::Aborting { .. } => Some(Screen::Closing { facts }),
            SaleState::Paying { .. } => Some(self.paying_screen(visit.session.id, sale, facts)),
            SaleState::Approved { .. }
            | SaleState::Declined { .. }
            | SaleState::Cancelled { .. }
            | SaleState::Lapsed { .. } => Some(Screen::Result(Box::new(receipt(visit.session.id, sale, facts)?))),
        }
    }

    fn paying_screen(&self, session: SessionId, sale: &Sale, facts: SaleFacts) -> Screen {
        let attempt = sale.attempts.last();
        let attempt_no = attempt.map_or(1, |a| a.number);
        let before = sale.attempts.iter().rev().nth(1).and_then(|a| a.failed_for_good());
        match attempt.map(|a| (&a.state, a)) {
            Some((AttemptState::Open { link, until, doubt }, attempt)) => Screen::Pay {
                facts,
                attempt_no,
                link: link.clone(),
                failed: attempt.last_failure.or(before.map(|reason| TryFailure { reason, at: None })),
                until: (*until).min(sale.ends),
                others_wait: self.others_wait(session),
                checking: doubt.is_some(),
            },
            Some((AttemptState::Intent { .. } | AttemptState::Paid { .. } | AttemptState::Closed(_), attempt)) => {
                Screen::Contacting { facts, attempt_no, failed: before, checking: attempt.doubt().is_some() }
            }
            None => Screen::Contacting { facts, attempt_no, failed: None, checking: false },
        }
    }

    /// How far a visit's phone reaches, and until when. After the outcome the checkout stays in reach until our result page
    /// was loaded, so that the platform's own page arrives whole; giving up cuts at once.
    pub(super) fn reach(&self, visit: &Visit, now: Mono) -> (Reach, Mono) {
        let sale = visit.session.sale.and_then(|sale| self.sales.get(&sale)).map(|live| &live.sale);
        match (sale.map(|sale| (sale, sale.state)), visit.unseen_until) {
            (Some((sale, SaleState::Paying { session, .. })), _) if session == visit.session.id => {
                (Reach::Checkout, sale.ends)
            }
            (_, Some(until)) => (Reach::Checkout, until),
            (_, None) => match visit.session.online_until.filter(|until| *until > now) {
                Some(until) => (Reach::Online, until),
                None => (Reach::Captive, visit.session.until),
            },
        }
    }
}

/// What a phone is told about an ended sale.
fn receipt(session: SessionId, sale: &Sale, facts: SaleFacts) -> Option<Receipt> {
    let mine = |id| sale.attempts.iter().any(|a| a.id == id && a.session == session);
    let sum = |of: &dyn Fn(&Refund) -> bool| {
        let refunds = sale.refunds.iter().filter(|r| mine(r.attempt) && r.state.counts() && of(r));
        refunds.fold(0_u64, |sum, r| sum.saturating_add(r.amount.minor()))
    };
    Some(Receipt {
        facts,
        outcome: sale.state.outcome()?,
        attempt: sale.winner().or_else(|| sale.attempts.iter().rev().map(|a| a.id).find(|id| mine(*id))),
        given_back_minor: sum(&|_| true),
        given_back_done_minor: sum(&|r| r.state == RefundState::Done),
        surplus_back_minor: sum(&|r| r.why.is_surplus()),
        at: sale.ended_at,
    })
}
