//! The shop under events made of bytes: random runs whose dice are the bytes, and events as no adapter would send them.

use super::super::attempt::{Link, Refused, TryFailure};
use super::super::event::*;
use super::super::id::{AttemptId, RefundId, SaleId, SessionId};
use super::super::money::{Amount, Currency};
use super::super::policy::Policy;
use super::super::session::Place;
use super::super::time::{BootId, Mono, Wall};
use super::random;
use super::world::{World, till};
use arbitrary::{Result, Unstructured};

/// Events in a run at most.
const EVENTS_MAX: usize = 64;
/// Deadlines that may come at one and the same instant.
const AT_ONCE_MAX: u32 = 50;
/// Records and effects of a step at most: the world has two tills, few phones and the attempts of this run.
const STEP_MAX: usize = 512;

/// A run with an honest platform, customers and faults: no law may be broken, and all must come to rest.
pub(in crate::shop) fn run(data: &[u8]) {
    if let Some((law, what)) = random::run_on(data) {
        panic!("law {law}: {what}");
    }
}

/// Events of any kind, about anything, in any order, at any time, the platform's word included. No step may panic, and
/// no deadline may come for ever.
pub(in crate::shop) fn events(data: &[u8]) {
    let mut world = World::new();
    let _ = play(&mut world, &mut Unstructured::new(data));
}

fn play(world: &mut World, u: &mut Unstructured<'_>) -> Result<()> {
    let first: u8 = u.arbitrary()?;
    world.policy.unheard_refund_after_secs = (first & 1 == 0).then_some(60);
    world.policy.online_secs = u64::from(first & 2) * 30;
    if first & 0xf0 == 0xf0 {
        // A machine that has run for ever.
        world.now.mono = Mono(u64::MAX - 200_000);
        world.open();
    }
    for _ in 0..EVENTS_MAX {
        if u.is_empty() {
            break;
        }
        world.said.clear();
        world.left.clear();
        match u.arbitrary::<u8>()? % 16 {
            0..4 => {
                let (number, what) = (u.int_in_range(6..=8)?, till_event(world, u)?);
                world.till(number, what);
            }
            4..8 => {
                let (session, what) = (session(u)?, phone_event(world, u)?);
                world.handle(Event::Phone { session, what });
            }
            8..13 => {
                let what = platform_event(world, u)?;
                world.platform(what);
            }
            13 => pass(world, u64::from(u.arbitrary::<u16>()?) * 10),
            14 => pass(world, if u.ratio(1, 16)? { u.arbitrary()? } else { u64::from(u.arbitrary::<u16>()?) * 1_000 }),
            _ => other(world, u)?,
        }
        assert!(world.left.len() <= STEP_MAX, "{} effects", world.left.len());
        assert!(world.shop.visits() <= Policy::SESSIONS_MAX);
        if let Some((law, what)) = world.laws.broken.iter().find(|(law, _)| holds_whatever_the_platform_says(*law)) {
            panic!("law {law}: {what}");
        }
    }
    pass(world, 60_000);
    Ok(())
}

/// The laws about money, truth and privacy. The others are checked as if the platform kept its word, dates never jumped
/// and tills asked for payments only; `random.rs` keeps to that.
fn holds_whatever_the_platform_says(law: u8) -> bool {
    matches!(law, 1 | 2 | 3 | 4 | 8 | 13 | 14 | 15)
}

fn other(world: &mut World, u: &mut Unstructured<'_>) -> Result<()> {
    match u.arbitrary::<u8>()? % 8 {
        0 => world.handle(Event::NewSales(Err(NoSales::DiskLow))),
        1 => world.handle(Event::NewSales(Ok(()))),
        2 => world.now.wall = None,
        3 => world.now.wall = Some(Wall(u.arbitrary()?)),
        4 => {
            world.now.boot = BootId(world.now.boot.0 + 1);
            world.now.mono = Mono(5_000);
            world.open();
        }
        5 => world.open(),
        _ => world.handle(Event::DeadlinePassed),
    }
    Ok(())
}

/// Time passes; every deadline on the way comes, a few times at one instant at most.
fn pass(world: &mut World, ms: u64) {
    let end = world.now.mono.plus_ms(ms);
    let (mut at_once, mut passed) = (0, 0);
    while world.shop.deadline() <= end && passed < 400 {
        let at = world.shop.deadline().max(world.now.mono);
        at_once = if at == world.now.mono { at_once + 1 } else { 0 };
        // At the end of time nothing can be put off any more.
        assert!(at_once < AT_ONCE_MAX || at.0 == u64::MAX, "the same deadline comes again and again");
        if at.0 == u64::MAX {
            break;
        }
        world.now.mono = at;
        world.said.clear();
        world.left.clear();
        world.handle(Event::DeadlinePassed);
        passed += 1;
    }
    if passed < 400 {
        world.now.mono = end.max(world.now.mono);
    }
}

fn session(u: &mut Unstructured<'_>) -> Result<SessionId> {
    Ok(SessionId(u128::from(b'a' + u.int_in_range(0..=5)?)))
}

fn sale(world: &World, u: &mut Unstructured<'_>) -> Result<SaleId> {
    let newest_first: u8 = u.arbitrary()?;
    let sales = &world.disk.sales;
    Ok(sales.iter().rev().nth(usize::from(newest_first % 8)).map_or(SaleId(7), |(sale, _)| sale.id))
}

fn amount(world: &World, u: &mut Unstructured<'_>) -> Result<Amount> {
    let newest = world.disk.sales.last().map(|(sale, _)| sale.amount);
    Ok(match (u.arbitrary::<u8>()? % 8, newest) {
        (0..5, Some(amount)) => amount,
        (5, _) => {
            Amount::from_minor(u.arbitrary::<u64>()? % (Amount::MINOR_MAX + 1), Currency::from_code("EUR").unwrap())
                .unwrap()
        }
        (6, _) => Amount::from_minor(1_250, Currency::from_code("JPY").unwrap()).unwrap(),
        _ => Amount::from_minor(u64::from(u.arbitrary::<u16>()?), Currency::from_code("EUR").unwrap()).unwrap(),
    })
}

fn ticket(u: &mut Unstructured<'_>) -> Result<Option<Ticket>> {
    let how: u8 = u.arbitrary()?;
    let epoch = (how & 1 == 0).then_some(1);
    Ok((how & 7 != 7).then_some(Ticket { epoch, number: u32::from(how >> 4) }))
}

/// Mostly times that people mean, sometimes any.
fn millis(u: &mut Unstructured<'_>) -> Result<u64> {
    if u.ratio(1, 8)? { u.arbitrary() } else { Ok(u64::from(u.arbitrary::<u8>()?) * 1_000) }
}

fn till_event(world: &World, u: &mut Unstructured<'_>) -> Result<TillEvent> {
    Ok(match u.arbitrary::<u8>()? % 16 {
        0..5 => TillEvent::Asked(Ask {
            ticket: ticket(u)?,
            amount: amount(world, u)?,
            kind: *u.choose(&[AskKind::Pay, AskKind::Pay, AskKind::Pay, AskKind::Refund, AskKind::Reverse])?,
            of: None,
            patience_ms: millis(u)?,
            hears_result: u.arbitrary::<u8>()? != 0,
        }),
        5 => TillEvent::Aborted { ticket: ticket(u)? },
        6 => TillEvent::AskedAgain { ticket: ticket(u)? },
        7..9 => TillEvent::Taken { sale: sale(world, u)? },
        9 => TillEvent::TakeLater { sale: sale(world, u)?, after_ms: millis(u)? },
        10 => TillEvent::Rejected { sale: sale(world, u)? },
        11 => TillEvent::Unheard { sale: sale(world, u)? },
        12 => TillEvent::AskedStatus,
        13 => TillEvent::AskedTotals { of: u.arbitrary::<Option<u32>>()?.map_or(Span::Day, Span::Epoch) },
        14 => TillEvent::Offline,
        _ => TillEvent::Online,
    })
}

fn phone_event(world: &World, u: &mut Unstructured<'_>) -> Result<PhoneEvent> {
    Ok(match u.arbitrary::<u8>()? % 20 {
        0..5 => PhoneEvent::Stands { at: Some(till(7)) },
        5 => PhoneEvent::Stands { at: *u.choose(&[None, Some(till(8)), Some(till(9))])? },
        6..12 => PhoneEvent::Confirms { sale: sale(world, u)?, amount: amount(world, u)? },
        12 => PhoneEvent::Declines { sale: sale(world, u)? },
        13 => PhoneEvent::NotMine { sale: sale(world, u)? },
        14 => PhoneEvent::GivesUp { sale: sale(world, u)? },
        15 => PhoneEvent::LetsGo { sale: sale(world, u)? },
        16 => PhoneEvent::Saw { sale: sale(world, u)? },
        17 => *u.choose(&[PhoneEvent::Finishes, PhoneEvent::Leaves])?,
        18 => PhoneEvent::LogsOut,
        _ => PhoneEvent::LoggedIn { place: Place { ip: [10, 77, 0, 9].into(), mac: None } },
    })
}

fn platform_event(world: &World, u: &mut Unstructured<'_>) -> Result<PlatformEvent> {
    let all: Vec<_> = world.disk.sales.iter().rev().flat_map(|(s, _)| s.attempts.iter().rev().map(|a| a.id)).collect();
    let which = usize::from(u.arbitrary::<u8>()?);
    let attempt = all.get(which % 8).copied().unwrap_or(AttemptId(99));
    Ok(match u.arbitrary::<u8>()? % 16 {
        0 => PlatformEvent::Line { up: which & 8 == 0 },
        1 => {
            let refunds = world.disk.sales.iter().rev().flat_map(|(sale, _)| &sale.refunds);
            let found = refunds.map(|r| (r.attempt, r.id)).nth(which % 4);
            let (attempt, refund) = found.unwrap_or((attempt, RefundId(3)));
            use RefundStatus::{Accepted, Done, Refused};
            let status = [Ok(Accepted), Ok(Done), Ok(Refused), Err(CallError::NotFound), Err(CallError::Unknown)];
            PlatformEvent::RefundAnswered { attempt, refund, answer: *u.choose(&status)? }
        }
        2 => {
            let payments = (0..u.int_in_range(0..=3)?).map(|_| payment(world, attempt, u)).collect::<Result<_>>()?;
            let page = Page { payments, next: which.to_string(), more: which & 1 == 0 };
            PlatformEvent::Listed { answer: if which & 2 == 0 { Ok(page) } else { Err(CallError::Unknown) } }
        }
        3..5 => {
            let call = *u.choose(&[Call::Create, Call::Query, Call::Cancel])?;
            let refused = Refused::Payment(Reason::NotAllowed);
            let errors = [
                CallError::NotSent,
                CallError::Unknown,
                CallError::NotFound,
                CallError::Refused(Refused::Tombstone),
                CallError::Refused(refused),
            ];
            PlatformEvent::Answered { attempt, call, answer: Err(*u.choose(&errors)?) }
        }
        _ => {
            let call = *u.choose(&[Call::Query, Call::Create, Call::Cancel])?;
            PlatformEvent::Answered { attempt, call, answer: Ok(payment(world, attempt, u)?) }
        }
    })
}

fn payment(world: &World, id: AttemptId, u: &mut Unstructured<'_>) -> Result<Payment> {
    use PaymentStatus::{Awaiting, Cancelled, Expired, Failed, Paid, Processing};
    let how: u8 = u.arbitrary()?;
    let of = world.disk.sales.iter().find(|(sale, _)| sale.attempts.iter().any(|a| a.id == id));
    let right = of.map_or(world.policy.amount_min_minor, |(sale, _)| sale.amount.minor());
    let amount = match of {
        Some((sale, _)) if how & 0x1c != 0 => sale.amount,
        Some(_) | None => amount(world, u)?,
    };
    let status = *u.choose(&[Awaiting, Awaiting, Paid, Paid, Failed, Expired, Cancelled, Processing])?;
    let reason = Some(Reason::NoFunds).filter(|_| how & 1 == 0);
    Ok(Payment {
        id: if how == 0xff { AttemptId(98) } else { id },
        version: if how & 0x60 == 0x60 { u.arbitrary()? } else { u64::from(u.arbitrary::<u8>()?) },
        status,
        reason,
        tries: if how & 0x60 == 0x20 { u.arbitrary()? } else { u32::from(how & 3) },
        last_failure: reason.map(|reason| TryFailure { reason, at: world.now.wall }),
        amount,
        paid_minor: match (status, how & 3) {
            (Paid, 0..3) => right,
            (_, 3) => u.arbitrary()?,
            _ => 0,
        },
        refunded_minor: 0,
        link: Link::new("https://pay.example/c/1").filter(|_| how & 0x80 == 0),
        expires_in_ms: if how & 2 == 0 { Some(millis(u)?) } else { None },
    })
}
