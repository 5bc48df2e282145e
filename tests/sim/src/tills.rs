//! A simulated till: what its cashier and its driver do. Knows only what it was told.

use crate::climate::{Climate, Style};
use crate::dice::Dice;
use crate::tally::Tally;
use tillgate::shop::effect::{Finish, Outcome, TillAnswer};
use tillgate::shop::event::{Ask, AskKind, Of, ReceiptNumber, Span, Ticket, TillEvent, TillNumber};
use tillgate::shop::id::SaleId;
use tillgate::shop::money::{Amount, Currency};

/// A till.
#[derive(Debug)]
pub struct Till {
    /// Its number.
    pub number: TillNumber,
    style: Style,
    epoch: u32,
    next: u32,
    /// The request under way, until its result was told or the cashier gave up.
    asked: Option<Ask>,
    /// The last requests and when, for repeats.
    past: Vec<(Ask, u64)>,
    /// Results told and not answered yet. Whoever tells them answers in the end, or dies with the program.
    pub results: Vec<SaleId>,
    /// What was paid here lately, as the till was told it.
    paid: Vec<(Option<Ticket>, Option<ReceiptNumber>, Amount)>,
}

impl Till {
    /// A till of this make.
    pub fn new(number: TillNumber, style: Style) -> Till {
        Till { number, style, epoch: 1, next: 0, asked: None, past: Vec::new(), results: Vec::new(), paid: Vec::new() }
    }

    /// The till is told something.
    pub fn hear(&mut self, answer: &TillAnswer) {
        match answer {
            TillAnswer::Finish(finish) => self.hear_finish(finish),
            TillAnswer::Refused { ticket, .. } => {
                if self.asked.is_some_and(|ask| ask.ticket == *ticket) {
                    self.asked = None;
                }
            }
            TillAnswer::Accepted { .. }
            | TillAnswer::Progress { .. }
            | TillAnswer::NothingToRepeat { .. }
            | TillAnswer::NothingToAbort { .. }
            | TillAnswer::Aborting { .. }
            | TillAnswer::Status { .. }
            | TillAnswer::Totals(_) => {}
        }
    }

    fn hear_finish(&mut self, finish: &Finish) {
        if self.asked.is_some_and(|ask| ask.ticket == finish.ticket) {
            self.asked = None;
        }
        if finish.outcome == Outcome::Approved && self.paid.len() < 12 {
            self.paid.push((finish.ticket, finish.receipt, finish.amount));
        }
        if !self.results.contains(&finish.sale) {
            self.results.push(finish.sale);
        }
    }

    /// The program has died: whoever told the results has gone.
    pub fn cut_off(&mut self) {
        self.results.clear();
        if self.style == Style::Deaf {
            self.asked = None;
        }
    }

    /// What the till does next, if anything.
    pub fn act(&mut self, t: u64, climate: &Climate, d: &mut Dice, tally: &mut Tally) -> Vec<TillEvent> {
        if !self.results.is_empty() && d.chance(700) {
            return self.answer(climate, d, tally);
        }
        if d.chance(climate.till_odd) {
            return self.odd(climate, d, tally);
        }
        let given_up = self.asked.is_some()
            && self
                .past
                .last()
                .is_some_and(|(ask, at)| t > at + ask.patience_ms + u64::from(ask.hears_result) * 20_000);
        if given_up {
            self.asked = None;
        }
        match self.asked {
            Some(ask) if d.chance(climate.abort) => {
                tally.fault("till aborts");
                vec![TillEvent::Aborted { ticket: ask.ticket.filter(|_| d.chance(500)) }]
            }
            Some(_) => Vec::new(),
            None => {
                let ask = self.new_ask(t, climate, d);
                let ask = if d.chance(climate.returns) { self.instead_back(ask, d) } else { ask };
                vec![TillEvent::Asked(ask)]
            }
        }
    }

    /// The word on a result.
    fn answer(&mut self, climate: &Climate, d: &mut Dice, tally: &mut Tally) -> Vec<TillEvent> {
        let sale = self.results.remove(d.at(self.results.len()));
        let taken = TillEvent::Taken { sale };
        if !d.chance(climate.till_deaf) {
            return vec![taken; 1 + usize::from(d.chance(climate.twice))];
        }
        match d.below(8) {
            0..3 => {
                tally.fault("till takes later");
                vec![TillEvent::TakeLater { sale, after_ms: 1_000 + d.below(3) * 1_000 }]
            }
            3 => {
                tally.fault("till rejects");
                vec![TillEvent::Rejected { sale }]
            }
            4 => {
                tally.fault("till rejects and then takes");
                vec![TillEvent::Rejected { sale }, taken]
            }
            _ => {
                tally.fault("till does not hear");
                vec![TillEvent::Unheard { sale }]
            }
        }
    }

    /// What tills do that they need not do.
    fn odd(&mut self, climate: &Climate, d: &mut Dice, tally: &mut Tally) -> Vec<TillEvent> {
        let last = self.past.last().map(|(ask, _)| *ask);
        let any = (!self.past.is_empty()).then(|| self.past[d.at(self.past.len())].0);
        let what = match (d.below(12), last, any) {
            (0, ..) => ("till comes back", TillEvent::Online),
            (1, ..) => ("till asks for its last result", TillEvent::AskedAgain { ticket: None }),
            (2, _, Some(ask)) => ("till asks for a result", TillEvent::AskedAgain { ticket: ask.ticket }),
            (3..6, Some(ask), _) => ("till repeats its request", TillEvent::Asked(ask)),
            (6, _, Some(ask)) if ask.ticket.is_some() => ("till repeats an old request", TillEvent::Asked(ask)),
            (7, Some(ask), _) if ask.ticket.is_some() => {
                let amount = some_amount(ask.amount.currency(), d);
                ("till repeats with another amount", TillEvent::Asked(Ask { amount, ..ask }))
            }
            (8, ..) => {
                self.asked = None;
                ("till gives up", TillEvent::Offline)
            }
            (9, Some(ask), _) => {
                let kind = d.pick(&[AskKind::Refund, AskKind::Reverse]);
                self.next += 1;
                let ticket = ask.ticket.map(|ticket| Ticket { number: self.next, ..ticket });
                ("till wants money back", TillEvent::Asked(Ask { kind, ticket, of: ask.ticket.map(Of::Ticket), ..ask }))
            }
            (10, ..) => {
                self.epoch += 1;
                self.next = 0;
                self.asked = None;
                ("till begins a new epoch", TillEvent::AskedTotals { of: Span::Epoch(self.epoch - 1) })
            }
            _ => ("till asks for the state", TillEvent::AskedStatus),
        };
        let _ = climate;
        tally.fault(what.0);
        vec![what.1]
    }

    fn new_ask(&mut self, t: u64, climate: &Climate, d: &mut Dice) -> Ask {
        self.next += 1;
        let mut number = self.next;
        let life_ms = climate.policy.ticket_life_secs * 1_000;
        if self.style == Style::Tickets
            && let Some((old, at)) = self.past.first()
            && t > at + life_ms * 2
            && let Some(ticket) = old.ticket
        {
            number = ticket.number; // Tickets come round.
            self.past.remove(0);
        }
        let ticket = match self.style {
            Style::Epochs => Some(Ticket { epoch: Some(self.epoch), number }),
            Style::Tickets => Some(Ticket { epoch: None, number }),
            Style::Bare | Style::Deaf => None,
        };
        let currency = if d.chance(5) { Currency::from_code("USD").expect("USD") } else { climate.policy.currency };
        let ask = Ask {
            ticket,
            amount: some_amount(currency, d),
            kind: AskKind::Pay,
            of: None,
            patience_ms: if d.chance(10) { 20_000 } else { 40_000 + d.below(140) * 1_000 },
            hears_result: self.style != Style::Deaf,
        };
        self.asked = Some(ask);
        self.past.push((ask, t));
        if self.past.len() > 40 {
            self.past.remove(0);
        }
        ask
    }

    /// Money back instead: of a payment by ticket or receipt, or of one that the phone chooses.
    fn instead_back(&mut self, ask: Ask, d: &mut Dice) -> Ask {
        let paid = (!self.paid.is_empty()).then(|| self.paid[d.at(self.paid.len())]);
        let of = match (paid, d.below(5)) {
            (Some((_, Some(receipt), _)), 0 | 1) => Some(Of::Receipt(receipt)),
            (Some((Some(ticket), ..)), 2 | 3) => Some(Of::Ticket(ticket)),
            _ => None,
        };
        let kind = d.pick(&[AskKind::Refund, AskKind::Refund, AskKind::Reverse]);
        let most = paid.map_or(1_250, |(_, _, amount)| amount.minor());
        let minor = match (kind, d.below(4)) {
            (AskKind::Reverse, 0..3) => 0,
            (_, 0) => most,
            (_, 1) => most / 2 + 1,
            _ => 1 + d.below(most.max(1)),
        };
        let amount = Amount::from_minor(minor, ask.amount.currency()).expect("an amount");
        let back = Ask { kind, of, amount, patience_ms: 12_000 + d.below(80) * 1_000, ..ask };
        self.asked = Some(back);
        if let Some((last, _)) = self.past.last_mut() {
            *last = back;
        }
        back
    }

    /// The tickets it has used lately, newest last.
    pub fn tickets(&self) -> impl DoubleEndedIterator<Item = Ticket> {
        self.past.iter().filter_map(|(ask, _)| ask.ticket)
    }
}

fn some_amount(currency: Currency, d: &mut Dice) -> Amount {
    let minor = match d.below(40) {
        0 => 0,
        1 => 100_001,
        2 => 100_000,
        3 => 1,
        4..12 => 1 + d.below(99_999),
        12..20 => 300,
        _ => 1_250,
    };
    Amount::from_minor(minor, currency).expect("an amount")
}
