//! One shop with tills 7 and 8 and phones a to d, driven by words. Its disk is what the records say, nothing else.

use super::super::attempt::{Link, Refused, TryFailure};
use super::super::effect::*;
use super::super::event::*;
use super::super::giveback::Return;
use super::super::id::{AttemptId, RefundId, SaleId, SessionId};
use super::super::money::{Amount, Currency};
use super::super::policy::Policy;
use super::super::sale::Sale;
use super::super::session::{Place, Session};
use super::super::time::{BootId, Mono, Now, Stamp, Wall};
use super::super::{Asked, Loaded, Missing, REPAYABLE_MAX, Shop};
use super::laws::Laws;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Disk {
    pub(super) sessions: BTreeMap<SessionId, Session>,
    /// Oldest first, and whether it is open.
    pub(super) sales: Vec<(Sale, bool)>,
    /// Oldest first, and whether it is open.
    pub(super) returns: Vec<(Return, bool)>,
    /// All that tills ever asked for, oldest first.
    asked: Vec<(TillNumber, SaleId, Option<ReceiptNumber>)>,
    pub(super) tickets: BTreeMap<(TillNumber, Ticket), SaleId>,
    pub(super) days: BTreeMap<TillNumber, u64>,
    cursor: String,
    pub(super) alarms: usize,
}

impl Disk {
    pub(super) fn find(&self, id: SaleId) -> Option<&Sale> {
        self.sales.iter().map(|(sale, _)| sale).find(|sale| sale.id == id)
    }

    pub(super) fn given(&self, id: SaleId) -> Option<&Return> {
        self.returns.iter().map(|(given, _)| given).find(|given| given.id == id)
    }

    /// The newest thing that a till asked for, or the newest with this receipt.
    pub(super) fn newest(&self, till: TillNumber, receipt: Option<ReceiptNumber>) -> Option<SaleId> {
        let fits = |of: Option<ReceiptNumber>| receipt.is_none() || of == receipt;
        self.asked.iter().rfind(|(at, _, of)| *at == till && fits(*of)).map(|(_, id, _)| *id)
    }

    /// What the ring fetches.
    pub(super) fn fetch(&self, missing: Missing) -> Vec<Asked> {
        let found = match missing {
            Missing::Of(till, Of::Ticket(ticket)) => self.tickets.get(&(till, ticket)).copied(),
            Missing::Of(till, Of::Receipt(receipt)) => self.newest(till, Some(receipt)),
            Missing::Attempt(id) => {
                let has = |(sale, _): &&(Sale, bool)| sale.attempts.iter().any(|a| a.id == id);
                self.sales.iter().find(has).map(|(sale, _)| sale.id)
            }
            Missing::PaidBy(session) => {
                let paid = |sale: &Sale| {
                    let payer = sale.attempts.iter().find(|a| Some(a.id) == sale.winner()).map(|a| a.session);
                    payer == Some(session) && sale.left_minor() > 0
                };
                let sales = self.sales.iter().rev().map(|(sale, _)| sale).filter(|sale| paid(sale));
                return sales.take(REPAYABLE_MAX).map(|sale| Asked::Sale(Box::new(sale.clone()))).collect();
            }
        };
        let sale = |id| self.find(id).map(|sale| Asked::Sale(Box::new(sale.clone())));
        let given = |id| self.given(id).map(|given| Asked::Return(Box::new(given.clone())));
        found.and_then(|id| sale(id).or_else(|| given(id))).into_iter().collect()
    }

    fn sale(&mut self, id: SaleId) -> &mut Sale {
        &mut self.sales.iter_mut().find(|(sale, _)| sale.id == id).expect("a record for a sale comes after the sale").0
    }

    pub(super) fn write(&mut self, record: Record) {
        match record {
            Record::Session(session) => drop(self.sessions.insert(session.id, session)),
            Record::SessionEnded(id) => drop(self.sessions.remove(&id)),
            Record::Sale { sale, open } => match self.sales.iter_mut().find(|(old, _)| old.id == sale.id) {
                Some((old, old_open)) => {
                    let (attempts, refunds) = (std::mem::take(&mut old.attempts), std::mem::take(&mut old.refunds));
                    (*old, *old_open) = (Sale { attempts, refunds, ..*sale }, open);
                }
                None => {
                    self.asked.push((sale.till, sale.id, sale.receipt));
                    self.sales.push((*sale, open));
                }
            },
            Record::Return { given, open } => match self.returns.iter_mut().find(|(old, _)| old.id == given.id) {
                Some(old) => *old = (*given, open),
                None => {
                    self.asked.push((given.till, given.id, Some(given.receipt)));
                    self.returns.push((*given, open));
                }
            },
            Record::DayClosed { till, mark } => drop(self.days.insert(till, mark)),
            Record::Attempt { sale, attempt } => put(&mut self.sale(sale).attempts, *attempt, |a| a.id.0),
            Record::Refund { sale, refund } => put(&mut self.sale(sale).refunds, refund, |r| r.id.0),
            Record::Ticket { till, ticket, sale } => drop(self.tickets.insert((till, ticket), sale)),
            Record::Cursor(cursor) => self.cursor = cursor,
            Record::Alarm(_) => self.alarms += 1,
        }
    }

    pub(super) fn load(&self) -> Loaded {
        let shown: BTreeSet<_> = self.sessions.values().filter_map(|s| s.sale).collect();
        let newest = |till, id| self.newest(till, None) == Some(id);
        let wanted = |(sale, open): &&(Sale, bool)| *open || newest(sale.till, sale.id) || shown.contains(&sale.id);
        let needed =
            |(given, open): &&(Return, bool)| *open || newest(given.till, given.id) || shown.contains(&given.id);
        let rest = self.sales.iter().filter(|(_, open)| !open).flat_map(|(sale, _)| &sale.attempts);
        Loaded {
            sessions: self.sessions.values().cloned().collect(),
            sales: self.sales.iter().filter(wanted).map(|(sale, _)| sale.clone()).collect(),
            returns: self.returns.iter().filter(needed).map(|(given, _)| given.clone()).collect(),
            receipts: self.asked.iter().filter_map(|(till, _, receipt)| Some((*till, (*receipt)?))).collect(),
            days: self.days.clone(),
            booked: self.booked(),
            unchecked: rest.filter(|a| !a.checked).map(|a| a.id).collect(),
            cursor: self.cursor.clone(),
        }
    }

    fn booked(&self) -> u64 {
        let sales = self.sales.iter().map(|(sale, _)| sale);
        let refunds = sales.clone().flat_map(|sale| sale.refunds.iter().map(|refund| refund.booked));
        let returns = self.returns.iter().map(|(given, _)| given.booked);
        sales.map(|sale| sale.booked).chain(refunds).chain(returns).flatten().max().unwrap_or(0)
    }
}

fn put<T>(rows: &mut Vec<T>, row: T, key: impl Fn(&T) -> u128) {
    match rows.iter_mut().find(|old| key(old) == key(&row)) {
        Some(old) => *old = row,
        None => rows.push(row),
    }
}

pub(super) struct World {
    pub(super) policy: Policy,
    pub(super) shop: Shop,
    pub(super) disk: Disk,
    pub(super) laws: Laws,
    pub(super) now: Now,
    pub(super) seed: u128,
    attempts: Vec<AttemptId>,
    refunds: Vec<(AttemptId, RefundId)>,
    versions: BTreeMap<AttemptId, (u64, u32, u64)>,
    pub(super) shown: BTreeMap<SessionId, Screen>,
    last_sale: Option<SaleId>,
    pub(super) said: Vec<String>,
    /// The effects of the last step, and whether steps are cut off before their effects leave.
    pub(super) left: Vec<Effect>,
    pub(super) cut_off: bool,
}

pub(super) fn eur(text: &str) -> Amount {
    Amount::parse(text, Currency::from_code("EUR").unwrap()).unwrap()
}

pub(super) fn till(number: u16) -> TillNumber {
    TillNumber::new(number).unwrap()
}

impl World {
    pub(super) fn new() -> World {
        let mut policy = Policy::with_defaults(Currency::from_code("EUR").unwrap(), [till(7), till(8)].into());
        policy.unheard_refund_after_secs = None;
        let now = Now { boot: BootId(1), mono: Mono(1_000_000), wall: Some(Wall(1_800_000_000_000)) };
        let (shop, step) = Shop::open(&Stamp { now, seed: 1 }, policy.clone(), Loaded::default());
        let mut world = World {
            policy,
            shop,
            disk: Disk::default(),
            laws: Laws::default(),
            now,
            seed: 1,
            attempts: Vec::new(),
            refunds: Vec::new(),
            versions: BTreeMap::new(),
            shown: BTreeMap::new(),
            last_sale: None,
            said: Vec::new(),
            left: Vec::new(),
            cut_off: false,
        };
        world.take(step);
        world.platform(PlatformEvent::Line { up: true });
        for phone in ["a", "b", "c", "d"] {
            world.phone(phone, PhoneEvent::LoggedIn { place: Place { ip: [10, 77, 0, 9].into(), mac: None } });
        }
        world
    }

    fn take(&mut self, step: Step) {
        for record in step.records {
            self.laws.written(&self.disk, &self.shown, &record, self.now);
            self.disk.write(record);
        }
        if self.cut_off {
            return;
        }
        for effect in &step.effects {
            self.laws.leaving(&self.disk, effect, self.now);
        }
        self.left.extend(step.effects.iter().cloned());
        for effect in &step.effects {
            self.hear(effect.clone());
        }
        self.laws.step_over(&self.disk, &self.shown, &step.effects);
    }

    pub(super) fn handle(&mut self, event: Event) {
        for missing in self.shop.missing(&event) {
            for found in self.disk.fetch(missing) {
                self.shop.recall(missing, found);
            }
        }
        self.laws.heard(&event);
        self.seed += 1;
        let step = self.shop.handle(&Stamp { now: self.now, seed: self.seed << 64 }, event);
        self.take(step);
    }

    pub(super) fn till(&mut self, number: u16, what: TillEvent) {
        self.handle(Event::Till { till: till(number), what });
    }

    pub(super) fn phone(&mut self, name: &str, what: PhoneEvent) {
        self.handle(Event::Phone { session: session(name), what });
    }

    pub(super) fn platform(&mut self, what: PlatformEvent) {
        self.handle(Event::Platform(what));
    }

    fn hear(&mut self, effect: Effect) {
        let words = match effect {
            Effect::Till { till, answer } => {
                let at = if till.number() == 7 { String::new() } else { format!("{till}:") };
                format!("{at}{}", self.answer(answer))
            }
            Effect::Show { session, screen } => {
                self.shown.insert(session, screen.clone());
                format!("{}:{}", name(session), words_of(&screen))
            }
            Effect::Forget { session } => {
                self.shown.remove(&session);
                format!("{}:gone", name(session))
            }
            Effect::Platform(call) => match self.call(call) {
                Some(words) => words,
                None => return,
            },
            Effect::Totals { .. } => "totals".into(),
            Effect::Alarm(alarm) => format!("ALARM {alarm:?}").split([' ', '{']).take(2).collect::<Vec<_>>().join(" "),
            Effect::Reach { .. } => return,
        };
        self.said.push(words);
    }

    fn answer(&mut self, answer: TillAnswer) -> String {
        match answer {
            TillAnswer::Accepted { sale, .. } => {
                self.last_sale = Some(sale);
                "accept".into()
            }
            TillAnswer::Refused { why, .. } => format!("refuse {why:?}"),
            TillAnswer::Progress { progress: Progress::Failed { reason, try_no, new_attempt }, .. } => {
                format!("failed {reason:?} {try_no}{}", if new_attempt { " again" } else { "" })
            }
            TillAnswer::Progress { progress, .. } => format!("{progress:?}").to_lowercase(),
            TillAnswer::Finish(finish) => {
                let back =
                    if finish.given_back_minor > 0 { format!(" -{}", finish.given_back_minor) } else { String::new() };
                format!("finish {:?}{back}", finish.outcome)
            }
            TillAnswer::NothingToRepeat { .. } => "nothing-to-repeat".into(),
            TillAnswer::NothingToAbort { .. } => "nothing-to-abort".into(),
            TillAnswer::Aborting { .. } => "aborting".into(),
            TillAnswer::Status { ready } => format!("status {ready:?}"),
            TillAnswer::Totals(_) => "totals".into(),
        }
    }

    fn number(&mut self, attempt: AttemptId) -> usize {
        let at = self.attempts.iter().position(|a| *a == attempt);
        at.unwrap_or_else(|| {
            self.attempts.push(attempt);
            self.attempts.len() - 1
        }) + 1
    }

    fn call(&mut self, call: PlatformCall) -> Option<String> {
        Some(match call {
            PlatformCall::Create(create) => {
                format!("create {}", self.number(create.attempt))
            }
            PlatformCall::Query { attempt, .. } => format!("query {}", self.number(attempt)),
            PlatformCall::Cancel { attempt } => format!("cancel {}", self.number(attempt)),
            PlatformCall::Refund { attempt, refund, amount } => {
                if !self.refunds.contains(&(attempt, refund)) {
                    self.refunds.push((attempt, refund));
                }
                format!("refund {} {}", self.number(attempt), amount.decimal())
            }
            PlatformCall::QueryRefund { attempt, .. } => format!("query-refund {}", self.number(attempt)),
            PlatformCall::Probe | PlatformCall::List { .. } => return None,
        })
    }

    fn payment(&mut self, attempt: AttemptId, status: PaymentStatus) -> Payment {
        let sale = self.disk.sales.iter().find(|(s, _)| s.attempts.iter().any(|a| a.id == attempt)).unwrap().0.amount;
        let (version, tries, paid) = self.versions.entry(attempt).or_insert((0, 0, 0));
        *version += 1;
        Payment {
            id: attempt,
            version: *version,
            status,
            reason: None,
            tries: *tries,
            last_failure: None,
            amount: sale,
            paid_minor: *paid,
            refunded_minor: 0,
            link: Link::new("http://127.0.0.1:7080/checkout/x"),
            expires_in_ms: Some(110_000),
        }
    }

    /// The platform's words: `[N:]open`, `try`, `fail`, `funds`, `paid [total]`, `wrong`, `foreign`, `late`, `cancelled`, ..
    fn platform_word(&mut self, words: &[&str]) {
        let (number, word) =
            words[0].split_once(':').map_or((self.attempts.len(), words[0]), |(n, w)| (n.parse().unwrap(), w));
        let id = self.attempts[number - 1];
        let mut call = Call::Query;
        let answer = match word {
            "open" => {
                call = Call::Create;
                Ok(self.payment(id, PaymentStatus::Awaiting))
            }
            "still" => Ok(self.payment(id, PaymentStatus::Awaiting)),
            "try" | "fail" | "funds" => {
                self.versions.entry(id).or_insert((0, 0, 0)).1 += 1;
                let status = if word == "try" { PaymentStatus::Awaiting } else { PaymentStatus::Failed };
                let mut payment = self.payment(id, status);
                let reason = if word == "funds" { Reason::NoFunds } else { Reason::WrongPassword };
                payment.last_failure = Some(TryFailure { reason, at: None });
                payment.reason = (word != "try").then_some(reason);
                Ok(payment)
            }
            "paid" | "late" => {
                let amount = words.get(1).map(|w| eur(w));
                let status = if word == "paid" { PaymentStatus::Paid } else { PaymentStatus::Cancelled };
                let mut payment = self.payment(id, status);
                payment.paid_minor = amount.unwrap_or(payment.amount).minor();
                self.versions.get_mut(&id).unwrap().2 = payment.paid_minor;
                Ok(payment)
            }
            "wrong" => {
                let mut payment = self.payment(id, PaymentStatus::Paid);
                payment.amount = eur(words[1]);
                payment.paid_minor = payment.amount.minor();
                Ok(payment)
            }
            "foreign" => {
                let mut payment = self.payment(id, PaymentStatus::Paid);
                payment.id = AttemptId(99);
                payment.paid_minor = payment.amount.minor();
                Ok(payment)
            }
            "closed" => {
                call = Call::Cancel;
                Ok(self.payment(id, PaymentStatus::Cancelled))
            }
            "cancelled" => Ok(self.payment(id, PaymentStatus::Cancelled)),
            "expired" => Ok(self.payment(id, PaymentStatus::Expired)),
            "old" => {
                let mut payment = self.payment(id, PaymentStatus::Failed);
                payment.version = 0;
                Ok(payment)
            }
            "refused" => {
                call = Call::Create;
                Err(CallError::Refused(Refused::Payment(Reason::NotAllowed)))
            }
            "tombstone" => {
                call = Call::Cancel;
                Err(CallError::Refused(Refused::Tombstone))
            }
            "unknown" => {
                call = Call::Create;
                Err(CallError::Unknown)
            }
            "unclosed" => {
                call = Call::Cancel;
                Err(CallError::Unknown)
            }
            "notfound" => Err(CallError::NotFound),
            "down" => {
                call = Call::Create;
                Err(CallError::NotSent)
            }
            other => panic!("what is {other}?"),
        };
        self.platform(PlatformEvent::Answered { attempt: id, call, answer });
    }

    /// Time goes by, every deadline on the way at its own time.
    pub(super) fn wait(&mut self, ms: u64) {
        let end = self.now.mono.plus_ms(ms);
        while self.shop.deadline() <= end {
            let at = self.shop.deadline().max(self.now.mono);
            self.to(at);
            self.handle(Event::DeadlinePassed);
            // The line is idle and well: its probes are answered.
            self.platform(PlatformEvent::Line { up: true });
        }
        self.to(end);
    }

    pub(super) fn to(&mut self, at: Mono) {
        let ms = i64::try_from(self.now.mono.ms_until(at)).unwrap();
        self.now = Now { mono: at, wall: self.now.wall.map(|wall| Wall(wall.0 + ms)), ..self.now };
    }

    /// The program is started again.
    pub(super) fn open(&mut self) {
        self.seed += 1;
        let stamp = Stamp { now: self.now, seed: self.seed << 64 };
        let (shop, step) = Shop::open(&stamp, self.policy.clone(), self.disk.load());
        self.shop = shop;
        self.laws.opened();
        self.take(step);
    }

    fn restart(&mut self, boot: BootId) {
        self.now.boot = boot;
        self.open();
        self.platform(PlatformEvent::Line { up: true });
    }

    fn run(&mut self, step: &str) {
        let words: Vec<&str> = step.split_whitespace().collect();
        let sale = self.last_sale.unwrap_or(SaleId(0));
        if let Some(phone) =
            words[0].strip_prefix(['a', 'b', 'c', 'd']).filter(|rest| rest.is_empty() && words.len() > 1)
        {
            let _ = phone;
            return self.run_phone(&words, sale);
        }
        match words[0] {
            "ask" | "8ask" => {
                let ticket = words.iter().find_map(|w| w.strip_prefix('#'));
                let patience = words
                    .iter()
                    .find_map(|w| w.strip_prefix('~'))
                    .map_or(120_000, |s| s.parse::<u64>().unwrap() * 1_000);
                let ask = Ask {
                    ticket: ticket.map(|n| Ticket { epoch: Some(1), number: n.parse().unwrap() }),
                    amount: eur(words[1]),
                    kind: AskKind::Pay,
                    of: None,
                    patience_ms: patience,
                    hears_result: !words.contains(&"deaf"),
                };
                self.till(if words[0] == "ask" { 7 } else { 8 }, TillEvent::Asked(ask));
            }
            "refund" | "reverse" | "8refund" | "8reverse" => {
                let (at, word) = words[0].strip_prefix('8').map_or((7, words[0]), |word| (8, word));
                self.till(at, TillEvent::Asked(return_of(word, &words)));
            }
            "knows" => {
                self.till(7, TillEvent::Knows { receipt: ReceiptNumber::new(words[1].parse().unwrap()).unwrap() })
            }
            "close" => self.till(7, TillEvent::DayClosed { mark: words[1].parse().unwrap() }),
            "abort" => self.till(7, TillEvent::Aborted { ticket: None }),
            "last" => self.till(7, TillEvent::AskedAgain { ticket: None }),
            "take" => self.till(7, TillEvent::Taken { sale }),
            "later" => self.till(7, TillEvent::TakeLater { sale, after_ms: 2_000 }),
            "reject" => self.till(7, TillEvent::Rejected { sale }),
            "unheard" => self.till(7, TillEvent::Unheard { sale }),
            "online" => self.till(7, TillEvent::Online),
            "offline" => self.till(7, TillEvent::Offline),
            "status" => self.till(7, TillEvent::AskedStatus),
            "line-down" => self.platform(PlatformEvent::Line { up: false }),
            "line-doubt" => self.platform(PlatformEvent::Listed { answer: Err(CallError::Unknown) }),
            "last1" => self.till(7, TillEvent::AskedAgain { ticket: Some(Ticket { epoch: Some(1), number: 1 }) }),
            "line-up" => self.platform(PlatformEvent::Line { up: true }),
            "no-clock" => self.now.wall = None,
            "disk-low" => self.handle(Event::NewSales(Err(NoSales::DiskLow))),
            "disk-well" => self.handle(Event::NewSales(Ok(()))),
            "store-damaged" => self.handle(Event::NewSales(Err(NoSales::StoreDamaged))),
            "refund-by-policy" => self.policy.unheard_refund_after_secs = Some(60),
            "short-visits" => self.policy.session_secs = 10,
            "online-by-policy" => self.policy.online_secs = 600,
            "restart" => self.restart(self.now.boot),
            "reboot" => self.restart(BootId(self.now.boot.0 + 1)),
            "refunded" | "refund-refused" | "refund-taken" | "refund-unknown" => {
                let (attempt, refund) = *self.refunds.last().unwrap();
                let answer = match words[0] {
                    "refunded" => Ok(RefundStatus::Done),
                    "refund-taken" => Ok(RefundStatus::Accepted),
                    "refund-refused" => Ok(RefundStatus::Refused),
                    _ => Err(CallError::Unknown),
                };
                self.platform(PlatformEvent::RefundAnswered { attempt, refund, answer });
            }
            word if word.starts_with('+') => {
                let number: u64 = word[1..word.len() - 1].parse().unwrap();
                self.wait(number * if word.ends_with('m') { 60_000 } else { 1_000 });
            }
            _ => self.platform_word(&words),
        }
    }

    fn run_phone(&mut self, words: &[&str], sale: SaleId) {
        let phone = words[0];
        let what = match words[1] {
            "at" => PhoneEvent::Stands { at: words[2].parse().ok().and_then(TillNumber::new) },
            "confirm" => {
                let facts = match self.shown.get(&session(phone)) {
                    Some(Screen::Confirm { facts, .. }) => Some(*facts),
                    _ => None,
                };
                let amount = words.get(2).map(|w| eur(w)).or(facts.map(|f| f.amount)).unwrap_or(eur("12.50"));
                PhoneEvent::Confirms { sale: facts.map_or(sale, |f| f.sale), amount }
            }
            "choose" => match self.shown.get(&session(phone)) {
                // `choose N [amount]`: the Nth payment on the page.
                Some(Screen::ChooseReturn { facts, payments, .. }) => {
                    let at: usize = words.get(2).map_or(1, |n| n.parse().unwrap());
                    let chosen = payments[at - 1];
                    let amount = words.get(3).map_or(chosen.back, |w| eur(w));
                    PhoneEvent::Chooses { asked: facts.asked, sale: chosen.sale, amount }
                }
                _ => {
                    let sale = self.disk.sales.first().map_or(SaleId(0), |(sale, _)| sale.id);
                    let amount = words.get(3).map_or(eur("5.00"), |w| eur(w));
                    PhoneEvent::Chooses { asked: self.last_sale.unwrap_or(SaleId(0)), sale, amount }
                }
            },
            "refuse" => PhoneEvent::Refuses { asked: sale },
            "decline" => PhoneEvent::Declines { sale },
            "notmine" => PhoneEvent::NotMine { sale },
            "giveup" => PhoneEvent::GivesUp { sale },
            "letgo" => PhoneEvent::LetsGo { sale },
            "saw" => PhoneEvent::Saw { sale },
            "leave" => PhoneEvent::Leaves,
            "finish" => PhoneEvent::Finishes,
            "logout" => PhoneEvent::LogsOut,
            "relogin" => PhoneEvent::LoggedIn { place: Place { ip: [10, 77, 0, 10].into(), mac: None } },
            other => panic!("what is {other}?"),
        };
        self.phone(phone, what);
    }
}

/// `refund 5.00 [of #1|r1|-] [#2] [~60]`: of which ticket or receipt, under which ticket.
fn return_of(word: &str, words: &[&str]) -> Ask {
    let ticket = |n: &str| Ticket { epoch: Some(1), number: n.parse().unwrap() };
    let of = words.iter().skip_while(|w| **w != "of").nth(1).copied().unwrap_or("-");
    let named = words.iter().position(|w| *w == "of").map_or(0, |at| at + 2);
    let own = words.iter().skip(named).find(|w| w.starts_with('#'));
    let patience = words.iter().find_map(|w| w.strip_prefix('~')).map_or(90, |secs| secs.parse::<u64>().unwrap());
    Ask {
        ticket: own.map(|w| ticket(&w[1..])),
        amount: words.get(1).filter(|w| w.contains('.')).map_or(eur("0.00"), |w| eur(w)),
        kind: if word == "refund" { AskKind::Refund } else { AskKind::Reverse },
        of: match (of.strip_prefix('#'), of.strip_prefix('r')) {
            (Some(n), _) => Some(Of::Ticket(ticket(n))),
            (None, Some(n)) => Some(Of::Receipt(ReceiptNumber::new(n.parse().unwrap()).unwrap())),
            (None, None) => None,
        },
        patience_ms: patience * 1_000,
        hears_result: !words.contains(&"deaf"),
    }
}

pub(super) fn session(name: &str) -> SessionId {
    SessionId(u128::from(name.as_bytes()[0]))
}

pub(super) fn name(session: SessionId) -> char {
    char::from(u8::try_from(session.0).unwrap())
}

fn words_of(screen: &Screen) -> String {
    match screen {
        Screen::EnterTill { note: None } => "enter".into(),
        Screen::EnterTill { note: Some(EnterNote::WrongNumber { guesses_left, .. }) } => {
            format!("enter wrong {guesses_left}")
        }
        Screen::EnterTill { note: Some(EnterNote::TooManyGuesses { .. }) } => "enter pause".into(),
        Screen::EnterTill { note: Some(note) } => format!("enter {note:?}"),
        Screen::InLine { ahead, .. } => format!("line {ahead}"),
        Screen::Waiting { .. } => "waiting".into(),
        Screen::Confirm { facts, .. } => format!("confirm {}", facts.amount.decimal()),
        Screen::TooLate { .. } => "toolate".into(),
        Screen::Contacting { attempt_no, checking, .. } => {
            format!("contacting {attempt_no}{}", if *checking { "?" } else { "" })
        }
        Screen::Pay { attempt_no, failed, checking, .. } => {
            let failed = failed.map_or(String::new(), |f| format!(" {:?}", f.reason));
            format!("pay {attempt_no}{failed}{}", if *checking { "?" } else { "" })
        }
        Screen::Closing { .. } => "closing".into(),
        Screen::Result(receipt) => {
            let back =
                if receipt.given_back_minor > 0 { format!(" -{}", receipt.given_back_minor) } else { String::new() };
            let extra = receipt.outcome == Outcome::Approved && receipt.surplus_back_minor > 0;
            format!("result {:?}{back}{}", receipt.outcome, if extra { " extra" } else { "" })
        }
        Screen::ChooseReturn { facts, payments, .. } => {
            let amount = facts.amount.map_or("all".into(), |amount| amount.decimal());
            let payments: Vec<_> = payments.iter().map(|p| format!("{}:{}", p.till, p.back.decimal())).collect();
            format!("choose {amount} of {}", payments.join(","))
        }
        Screen::Returning { checking, .. } => format!("returning{}", if *checking { "?" } else { "" }),
        Screen::Returned(receipt) => format!("returned {:?}", receipt.outcome),
    }
}

pub(super) fn played(script: &str) -> World {
    let mut world = World::new();
    for step in script.split(';') {
        world.said.clear();
        world.run(step.trim());
        assert_eq!(world.laws.broken, [], "script: {script}");
    }
    world
}

/// Runs the script; what came of its last step, joined by "; ".
pub(super) fn play(script: &str) -> String {
    played(script).said.join("; ")
}

/// How many alarms the journal holds after a script.
pub(super) fn alarms(script: &str) -> usize {
    played(script).disk.alarms
}

/// How many sales and returns are still open on disk after a script.
pub(super) fn left_open(script: &str) -> usize {
    let disk = played(script).disk;
    let returns = disk.returns.iter().filter(|(_, open)| *open).count();
    disk.sales.iter().filter(|(_, open)| *open).count() + returns
}
