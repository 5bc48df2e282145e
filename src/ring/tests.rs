//! The ring alone: what waits, what goes out, and what is read in between.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::shop::attempt::{Attempt, Refund, RefundState, RefundWhy};
use crate::shop::effect::TillAnswer;
use crate::shop::event::{Ask, AskKind, PlatformEvent, ReceiptNumber, ReturnKind, Ticket, TillEvent, TillNumber};
use crate::shop::giveback::{Return, ReturnState};
use crate::shop::id::{AttemptId, RefundId, SaleId, SessionId};
use crate::shop::money::{Amount, Currency};
use crate::shop::sale::{Sale, Telling};
use crate::shop::time::{BootId, Mono, Now};

fn till(number: u16) -> TillNumber {
    TillNumber::new(number).unwrap()
}

fn ticket(number: u32) -> Ticket {
    Ticket { epoch: Some(1), number }
}

fn eur(minor: u64) -> Amount {
    Amount::from_minor(minor, Currency::from_code("EUR").unwrap()).unwrap()
}

/// A ring over an empty store, what went out of it, and how many steps it has taken.
struct Round {
    ring: Ring,
    out: Vec<Effect>,
    steps: u64,
}

impl Round {
    fn new() -> Round {
        let policy = Policy::with_defaults(eur(1).currency(), [till(7), till(8)].into());
        let store = Store::in_memory().unwrap();
        let loaded = store.load().unwrap();
        let mut out = Vec::new();
        let ring = Ring::open(&Round::stamp(0), policy, loaded.shop, store, &mut |effect| out.push(effect)).unwrap();
        let mut round = Round { ring, out, steps: 0 };
        for number in [7, 8] {
            round.till(number, TillEvent::Online);
        }
        round.takes(Event::Platform(PlatformEvent::Line { up: true }));
        round.flush();
        round
    }

    fn stamp(step: u64) -> Stamp {
        let wall = i64::try_from(step).unwrap();
        let now = Now { boot: BootId(1), mono: Mono(1_000 + step), wall: Some(Wall(1_800_000_000_000 + wall)) };
        Stamp { now, seed: u128::from(step) << 64 | 7 }
    }

    fn till(&mut self, number: u16, what: TillEvent) {
        self.takes(Event::Till { till: till(number), what });
    }

    fn takes(&mut self, event: Event) {
        self.steps += 1;
        self.ring.take(&Round::stamp(self.steps), event, &mut |effect| self.out.push(effect)).unwrap();
    }

    fn asks(&mut self, number: u16, minor: u64, of: u32) {
        let ask = Ask {
            ticket: Some(ticket(of)),
            amount: eur(minor),
            kind: AskKind::Pay,
            of: None,
            patience_ms: 120_000,
            hears_result: true,
        };
        self.till(number, TillEvent::Asked(ask));
    }

    fn flush(&mut self) {
        self.ring.flush(None, &mut |effect| self.out.push(effect)).unwrap();
    }

    /// A sale that has ended and been taken, and has left memory for the next one of its till, which has ended, too.
    fn ended(&mut self, number: u16) {
        for of in [1, 2] {
            self.asks(number, 1_250, of);
            self.till(number, TillEvent::Aborted { ticket: None });
            let sale = self.ring.shop().open_sales().find(|sale| sale.till == till(number)).unwrap().id;
            self.till(number, TillEvent::Taken { sale });
        }
    }

    /// What the tills were told since this was asked last.
    fn told(&mut self) -> Vec<(u16, TillAnswer)> {
        let told = self.out.drain(..).filter_map(|effect| match effect {
            Effect::Till { till, answer } => Some((till.number(), answer)),
            _ => None,
        });
        told.collect()
    }
}

/// The tills whose requests were taken.
fn accepted(told: &[(u16, TillAnswer)]) -> Vec<u16> {
    told.iter().filter(|(_, answer)| matches!(answer, TillAnswer::Accepted { .. })).map(|(till, _)| *till).collect()
}

#[test]
fn a_look_up_of_what_nobody_knows_makes_nothing_wait_less() {
    let mut round = Round::new();
    round.told();
    round.asks(7, 1_250, 1);
    round.asks(8, 1_250, 1);
    assert_eq!(round.told(), []);
    round.flush();
    assert_eq!(accepted(&round.told()), [7, 8]);
}

#[test]
fn what_waits_is_written_before_its_ticket_is_looked_up() {
    let mut round = Round::new();
    round.ended(7);
    round.told();
    round.till(7, TillEvent::AskedAgain { ticket: Some(ticket(1)) });
    round.flush();
    let told = round.told();
    let again =
        told.iter().any(|(_, answer)| matches!(answer, TillAnswer::Finish(finish) if finish.amount == eur(1_250)));
    assert!(again, "{told:?}");
}

#[test]
fn what_is_found_on_disk_is_read_once_more_after_what_waits_is_written() {
    let mut round = Round::new();
    round.ended(7);
    round.flush();
    round.told();
    round.asks(8, 500, 1);
    assert_eq!(round.told(), []);
    round.till(7, TillEvent::AskedAgain { ticket: Some(ticket(1)) });
    assert_eq!(accepted(&round.told()), [8], "before the look-up");
}

/// Every kind of name under which something is looked up, and the record that gives it.
#[test]
fn what_waits_goes_first_exactly_if_it_gives_the_name_that_is_looked_up() {
    let mut round = Round::new();
    round.asks(7, 1_250, 1);
    let sale = round.ring.shop().open_sales().next().unwrap().clone();
    let receipt = ReceiptNumber::new(5).unwrap();
    let bearer = Sale { receipt: Some(receipt), ..sale.clone() };
    let attempt = Attempt::new(AttemptId(4), 1, SessionId(6), 900);
    let refund = Refund {
        id: RefundId(5),
        attempt: attempt.id,
        amount: eur(1),
        why: RefundWhy::Till,
        state: RefundState::Done,
        needs_person: None,
        booked: None,
    };
    let given = Return {
        id: SaleId(9),
        till: till(7),
        ticket: None,
        receipt,
        kind: ReturnKind::Refund,
        named: None,
        asked: eur(1),
        code: sale.code,
        asked_at: None,
        ticket_at: None,
        ended_at: None,
        booked: None,
        boot: sale.boot,
        ends: sale.ends,
        hears_result: true,
        state: ReturnState::Lapsed { telling: Telling::Taken },
    };
    let of = |number, of| Missing::Of(till(number), of);
    let named = [
        of(7, Of::Ticket(ticket(1))),
        of(8, Of::Ticket(ticket(1))),
        of(7, Of::Ticket(ticket(2))),
        of(7, Of::Receipt(receipt)),
        of(8, Of::Receipt(receipt)),
        of(7, Of::Receipt(ReceiptNumber::new(6).unwrap())),
        Missing::Attempt(AttemptId(4)),
        Missing::Attempt(AttemptId(5)),
        Missing::PaidBy(SessionId(6)),
        Missing::PaidBy(SessionId(7)),
    ];
    let id = sale.id;
    for (record, gives) in [
        (Record::Ticket { till: till(7), ticket: ticket(1), sale: id }, &[0][..]),
        (Record::Sale { sale: Box::new(bearer), open: true }, &[3]),
        (Record::Sale { sale: Box::new(sale), open: true }, &[]),
        (Record::Return { given: Box::new(given), open: false }, &[3]),
        (Record::Attempt { sale: id, attempt: Box::new(attempt) }, &[6, 8]),
        // Whose payment it gives back is not in it.
        (Record::Refund { sale: id, refund }, &[8, 9]),
        (Record::Cursor("c-1".to_owned()), &[]),
    ] {
        for (n, missing) in named.iter().enumerate() {
            assert_eq!(names(&record, *missing), gives.contains(&n), "{record:?} {missing:?}");
        }
    }
}
