//! The machine's power is cut in the middle of payments, again and again; then the books, the platform and what tills were
//! told are laid side by side.

use crate::books;
use crate::cashier::{Cashier, Hand, TillBook};
use crate::dice::Dice;
use crate::machine::{Disks, Machine, alone};
use crate::shop::opens;
use crate::three::{Three, changes, unsettled};
use crate::town::{Town, pause};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tillgate::shop::event::TillNumber;

/// Power cuts where nothing else is asked for, and the number that asks.
const CUTS: u64 = 1;
const ASKED: &str = "TILLGATE_POWER_CUTS";
const TILLS: u16 = 3;
/// How long after a start the power is cut at the latest: some payments are made by then.
const LATEST_MS: u64 = 15_000;
/// How long all may take to come to rest.
const REST: Duration = Duration::from_secs(600);

#[test]
fn whenever_the_power_is_cut_books_platform_and_tills_agree() {
    let _alone = alone();
    let cuts = std::env::var(ASKED).map_or(CUTS, |text| text.parse().unwrap());
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let seed = std::env::var("TILLGATE_SEED").map_or(u64::try_from(clock).unwrap(), |text| text.parse().unwrap());
    println!("{ASKED}={cuts} TILLGATE_SEED={seed}");
    let mut dice = Dice::new(seed);
    let town = Town::new(TILLS);
    let disks = Disks::new(&town, "cuts");
    let mut machine = Machine::start(&disks);
    println!("up after {:.0} s", machine.is_up().as_secs_f64());
    opens(&mut machine, &town);
    machine.does("systemctl --quiet enable --now phone@1 phone@2 phone@3 phone@4; sync");
    let tills = storm(&town, &disks, machine, cuts, &mut dice);
    let folder = town.stage.file("taken-out");
    let db = books::taken_out(&disks.books, &folder).unwrap();
    for end in ["db", "db-wal"] {
        let _ = std::fs::copy(db.with_extension(end), town.stage.shop_books().with_extension(end));
    }
    let three = Three::read_books(&town.stage.shop_books(), &town.platform_books(), tills);
    let mut outcomes: BTreeMap<String, u64> = BTreeMap::new();
    for sale in &three.sales {
        *outcomes.entry(format!("{:?}", sale.outcome())).or_default() += 1;
    }
    println!("{} sales: {outcomes:?}; {} payments", three.sales.len(), three.payments.len());
    // A storm without money proves little.
    let paid = three.payments.iter().filter(|payment| payment.paid_minor > 0).count();
    assert!(paid as u64 >= cuts / 2, "only {paid} payments were made");
    let differs = three.differs(&town.stage.shop_books());
    assert!(differs.is_empty(), "{} differences (seed {seed}):\n{}", differs.len(), differs.join("\n"));
}

/// Everybody at work until the cuts are over and all is at rest; then the machine is shut down. What the tills were told.
fn storm(town: &Town, disks: &Disks, machine: Machine, cuts: u64, dice: &mut Dice) -> BTreeMap<TillNumber, TillBook> {
    let closing = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Should anything fail, everybody goes home, so that it is said.
        let home = Home(&closing);
        let cashiers: Vec<_> = (0..usize::from(TILLS))
            .map(|at| {
                let hand: Hand = Arc::new(Mutex::new(None));
                let mut cashier = Cashier::new(town, at, hand, dice.split());
                let closing = &closing;
                scope.spawn(move || {
                    cashier.sells(closing);
                    cashier
                })
            })
            .collect();
        let mut machine = cut_again_and_again(disks, machine, cuts, dice, || cashiers.iter().any(|c| c.is_finished()));
        drop(home);
        let mut cashiers: Vec<_> = cashiers.into_iter().map(|c| c.join().unwrap()).collect();
        come_to_rest(town, &mut machine);
        for cashier in &mut cashiers {
            let tickets: Vec<_> = cashier.book.keys().copied().collect();
            for ticket in tickets.into_iter().rev().take(5) {
                cashier.asks_again(ticket);
            }
        }
        come_to_rest(town, &mut machine);
        machine.does("systemctl stop 'phone@*'");
        machine.shut_down();
        cashiers.into_iter().map(|c| (c.till, c.book)).collect()
    })
}

struct Home<'a>(&'a AtomicBool);

impl Drop for Home<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn cut_again_and_again(
    disks: &Disks,
    machine: Machine,
    cuts: u64,
    dice: &mut Dice,
    failed: impl Fn() -> bool,
) -> Machine {
    let (began, mut machine, mut proved) = (Instant::now(), machine, 0);
    for cut in 1..=cuts {
        let after = Duration::from_millis(dice.within(0, LATEST_MS));
        pause(after);
        machine.power_off();
        machine = Machine::start(disks);
        let up = machine.is_up();
        let said = machine.eventually("the books prove", "tillgate verify 2>&1");
        proved += 1;
        let open = machine.does("inside rest");
        println!(
            "cut {cut} after {:.1} s: up after {:.0} s; open sales and changes read: {open}; {}",
            after.as_secs_f64(),
            up.as_secs_f64(),
            said.lines().last().unwrap_or_default()
        );
        assert!(!failed(), "a cashier has gone");
    }
    println!("{cuts} power cuts in {:.0} s, the books proved after {proved}", began.elapsed().as_secs_f64());
    machine
}

/// What is open ends, what came late goes back, every till knows all.
fn come_to_rest(town: &Town, machine: &mut Machine) {
    let until = Instant::now() + REST;
    let platform = town.platform_books();
    let mut restarted = None;
    loop {
        let said = machine.does("inside rest");
        let (open, read) = said.split_once(' ').unwrap();
        let quiet = open == "0" && unsettled(&platform) == 0;
        match restarted {
            Some(there) if quiet && read.parse::<i64>().unwrap() >= there => return,
            // A start asks the platform what has changed: what came late is heard now rather than within the hour.
            None if quiet => {
                restarted = Some(changes(&platform));
                machine.does("systemctl restart tillgate");
            }
            Some(_) | None => {}
        }
        assert!(Instant::now() < until, "{open} sales are open, {} payments unsettled", unsettled(&platform));
        pause(Duration::from_millis(500));
    }
}
