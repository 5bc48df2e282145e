//! The storm: payments at full speed while daemon, platform and tills are killed and their line is cut; then three books.

use crate::books::{Three, changes, open_sales, reconciled, unsettled};
use crate::cashier::{Cashier, Hand, TillBook};
use crate::customer::{Crowd, comes};
use crate::dice::Dice;
use crate::town::{Town, Which, eventually, pause};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tillgate::demo::visitor::Visitor;
use tillgate::shop::event::TillNumber;

/// Kills of the daemon where nothing else is asked for.
const KILLS: u64 = 50;
const TILLS: u16 = 4;
const STROLLERS: u64 = 2;
/// How long all may take to come to rest, late payments and stalled answers included.
const REST: Duration = Duration::from_secs(240);

/// What breaks next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blow {
    /// The daemon, in full work.
    Daemon,
    /// The daemon, several times in a row: at once, while it starts, while it picks everything up.
    DaemonInARow,
    Sandbox,
    /// Both at once, as in a power cut of everything.
    Both,
    Till,
    Cut,
}

const BLOWS: &[(u64, Blow)] = &[
    (40, Blow::Daemon),
    (10, Blow::DaemonInARow),
    (12, Blow::Sandbox),
    (6, Blow::Both),
    (30, Blow::Till),
    (20, Blow::Cut),
];

#[derive(Debug, Default)]
struct Struck {
    daemon: u64,
    sandbox: u64,
    till: u64,
    cut: u64,
}

/// A number from the environment.
fn asked_for(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

#[test]
fn whatever_is_killed_the_three_books_agree() {
    let kills = asked_for("TILLGATE_KILLS").unwrap_or(KILLS);
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let seed = asked_for("TILLGATE_SEED").unwrap_or(u64::try_from(clock).unwrap());
    println!("TILLGATE_KILLS={kills} TILLGATE_SEED={seed}");
    let mut dice = Dice::new(seed);
    let town = Town::new(TILLS, dice.split());
    town.start_and_wait(Which::Sandbox);
    town.start_and_wait(Which::Daemon);
    let began = Instant::now();
    let (struck, tills) = play(&town, kills, &mut dice);
    let stormed = began.elapsed();
    let three = Three::read(&town, tills);
    report(&town, &struck, &three, stormed, began.elapsed());
    let differs = three.differs(&town.stage.shop_books());
    assert!(differs.is_empty(), "{} differences (seed {seed}):\n{}", differs.len(), differs.join("\n"));
    assert!(town.open_files(Which::Daemon) < 100, "the daemon leaks files");
    assert_eq!(town.stop(Which::Daemon).code(), Some(0));
    assert_eq!(town.stop(Which::Sandbox).code(), Some(0));
}

/// Everybody at work until the blows are over and all is at rest.
fn play(town: &Town, kills: u64, dice: &mut Dice) -> (Struck, BTreeMap<TillNumber, TillBook>) {
    let (closing, leaving) = (AtomicBool::new(false), AtomicBool::new(false));
    let crowd = Crowd::default();
    let hands: Vec<Hand> = (0..TILLS).map(|_| Arc::new(Mutex::new(None))).collect();
    std::thread::scope(|scope| {
        // Should anything fail, everybody goes home, so that it is said.
        let home = Home([&closing, &leaving]);
        let phones: Vec<_> = (1..=TILLS).map(Some).chain((0..STROLLERS).map(|_| None)).collect();
        for till in phones {
            let (dice, crowd, leaving) = (dice.split(), &crowd, &leaving);
            scope.spawn(move || {
                let phone = Visitor::new("en");
                town.runtime.block_on(comes(town, phone, till, dice, crowd, leaving, |_| {}));
            });
        }
        let cashiers: Vec<_> = hands
            .iter()
            .enumerate()
            .map(|(at, hand)| {
                let mut cashier = Cashier::new(town, at, Arc::clone(hand), dice.split());
                let closing = &closing;
                scope.spawn(move || {
                    cashier.sells(closing);
                    cashier
                })
            })
            .collect();
        let struck = storm(town, &hands, kills, dice, || cashiers.iter().any(|c| c.is_finished()));
        closing.store(true, Ordering::SeqCst);
        let mut cashiers: Vec<_> = cashiers.into_iter().map(|c| c.join().unwrap()).collect();
        come_to_rest(town, &mut cashiers);
        leaving.store(true, Ordering::SeqCst);
        drop(home);
        let met = (crowd.at_checkout.load(Ordering::Relaxed), crowd.pages_missed.load(Ordering::Relaxed));
        println!("customers came to the checkout {} times and met {} pages that did not come", met.0, met.1);
        (struck, cashiers.into_iter().map(|c| (c.till, c.book)).collect())
    })
}

struct Home<'a>([&'a AtomicBool; 2]);

impl Drop for Home<'_> {
    fn drop(&mut self) {
        self.0.iter().for_each(|over| over.store(true, Ordering::SeqCst));
    }
}

fn storm(town: &Town, hands: &[Hand], kills: u64, dice: &mut Dice, failed: impl Fn() -> bool) -> Struck {
    let mut struck = Struck::default();
    town.proxy.calm(false);
    town.cables.iter().for_each(|(_, cable)| cable.noisy(true));
    while struck.daemon < kills && !failed() {
        pause(Duration::from_millis(
            dice.pick(&[(3, 5), (3, 60), (4, 250), (4, 900), (2, 1_500)]) + dice.within(0, 200),
        ));
        let in_a_row = dice.within(2, 6);
        match dice.pick(BLOWS) {
            Blow::Daemon => strike(town, Which::Daemon, 1, dice, &mut struck.daemon),
            Blow::DaemonInARow => strike(town, Which::Daemon, in_a_row, dice, &mut struck.daemon),
            Blow::Sandbox => strike(town, Which::Sandbox, in_a_row.min(2), dice, &mut struck.sandbox),
            Blow::Both => {
                town.kill(Which::Sandbox);
                strike(town, Which::Daemon, 1, dice, &mut struck.daemon);
                pause(Duration::from_millis(dice.within(0, 2_000)));
                town.start(Which::Sandbox);
                struck.sandbox += 1;
            }
            Blow::Till => {
                let hand = &hands[usize::try_from(dice.next()).unwrap() % hands.len()];
                if let Some(till) = hand.lock().unwrap().as_mut() {
                    till.kill().unwrap();
                    struck.till += 1;
                }
            }
            Blow::Cut => {
                town.proxy.cut_all();
                struck.cut += 1;
            }
        }
    }
    town.proxy.calm(true);
    town.proxy.cut_all();
    town.cables.iter().for_each(|(_, cable)| cable.noisy(false));
    struck
}

/// Kills and starts, some times in a row.
fn strike(town: &Town, which: Which, times: u64, dice: &mut Dice, struck: &mut u64) {
    for time in 0..times {
        if time > 0 {
            pause(Duration::from_millis(dice.within(0, 120)));
        }
        town.kill(which);
        pause(Duration::from_millis(dice.pick(&[(6, 0), (2, 100), (1, 1_500)])));
        town.start(which);
        *struck += 1;
    }
}

/// Nothing is broken any more: what is open ends, what came late goes back, every till knows all.
fn come_to_rest(town: &Town, cashiers: &mut [Cashier<'_>]) {
    let (shop, platform) = (town.stage.shop_books(), town.platform_books());
    let at_rest = |what| {
        eventually(what, REST, || {
            town.is_running(Which::Daemon);
            open_sales(&shop) == 0 && unsettled(&platform) == 0
        });
    };
    at_rest("all sales are at rest");
    // A start asks the platform what has changed: what came late is heard now rather than within the hour.
    assert_eq!(town.stop(Which::Daemon).code(), Some(0));
    let there = changes(&platform);
    town.start_and_wait(Which::Daemon);
    eventually("the shop has read all that the platform says", REST, || {
        reconciled(&shop) >= there && open_sales(&shop) == 0 && unsettled(&platform) == 0
    });
    for cashier in cashiers {
        let tickets: Vec<_> = cashier.book.keys().copied().collect();
        for ticket in tickets.into_iter().rev().take(20) {
            cashier.asks_again(ticket);
        }
    }
    at_rest("all sales are at rest again");
}

fn report(town: &Town, struck: &Struck, three: &Three, stormed: Duration, in_all: Duration) {
    let mut outcomes: BTreeMap<String, u64> = BTreeMap::new();
    for sale in &three.sales {
        *outcomes.entry(format!("{:?}", sale.outcome())).or_default() += 1;
    }
    let asked: usize = three.tills.values().map(BTreeMap::len).sum();
    let refunded = three.payments.iter().filter(|p| p.refunded_minor > 0).count();
    let (faults, connections) =
        (town.proxy.faults.load(Ordering::Relaxed), town.proxy.connections.load(Ordering::Relaxed));
    let log_bytes = |which| std::fs::metadata(town.log(which)).unwrap().len();
    println!("{struck:?} in {:.0} s, {:.0} s in all", stormed.as_secs_f64(), in_all.as_secs_f64());
    println!("{asked} sales asked for, {} begun: {outcomes:?}", three.sales.len());
    println!("{} payments, {refunded} with money given back", three.payments.len());
    println!("{faults} of {connections} connections to the platform were broken");
    println!("{} bytes of the daemon's log, {} of the platform's", log_bytes(Which::Daemon), log_bytes(Which::Sandbox));
}
