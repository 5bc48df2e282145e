//! The model check: every state that the real shop can reach in small complete worlds is visited, and every law is judged
//! there. A world is one till, two phones, the platform behind a bad line, customers, and a power switch. It runs with
//! `cargo test -p tillgate-model model`; `MODEL_DOSE=full` goes into larger worlds, and `MODEL_WORLD` names a single one.
//! Does not cover more tills or phones, the store, several events in one commit, or how long anything takes.
//!
//! Time is *which deadline is next*: it only ever passes to the next deadline of shop, link or held question, and all
//! instants are kept relative to now (`clock.rs`), so that states repeat and are finitely many. Messages overtake one
//! another, are lost and doubled, and the program stops before, within and after each step; each as often as a world's
//! `Left` allows. What keeps the worlds small:
//!
//! - two messages are under way at a time, further ones wait; questions held by the platform are not counted;
//! - a held question is answered at once when there is news; that answer may still be slow;
//! - a till answers a result before the next deadline, except where `refusals` says that it may do otherwise;
//! - phones stay as long as they like: their visits and pairings end by what they do, not by the clock;
//! - the platform's list comes when all else is quiet and there is money on it that the shop has not heard of;
//! - an idle line to the platform is well, except where `probes` has it tried.

mod actions;
mod clock;
mod explore;
mod platform;
mod state;
mod story;
mod truth;
mod worlds;

use explore::explore;
use state::Left;
use worlds::World;

const NONE: Left = Left::NONE;

type Make = fn() -> World;

/// The small complete world: one abort, two crashes, a second attempt, a second phone behind the first, and a line on
/// which a message is lost or comes twice.
fn whole() -> World {
    World::new("whole", Left { aborts: 1, crashes: 2, failures: 1, faults: 1, ..NONE }).both_phones()
}

/// Messages are lost and doubled, and the program stops.
fn bad_line() -> World {
    World::new("bad line", Left { aborts: 1, crashes: 1, faults: 1, ..NONE })
}

/// Nothing but a line that loses and doubles.
fn worse_line() -> World {
    World::new("worse line", Left { faults: 2, aborts: 1, ..NONE })
}

/// Money that comes too late or twice, over a bad line.
fn late_money() -> World {
    World::new("late money", Left { extras: 2, faults: 1, ..NONE })
}

/// Money that comes too late or twice, and the program stops.
fn late_money_and_crashes() -> World {
    World::new("late money, crashes", Left { extras: 1, crashes: 1, aborts: 1, ..NONE })
}

/// A till that asks again, puts off, refuses, is silent.
fn difficult_till() -> World {
    World::new("difficult till", Left { repeats: 1, refusals: 2, crashes: 1, ..NONE })
}

/// A till that goes on to its next sale, whatever became of the result of the one before.
fn two_sales() -> World {
    World::new("two sales", Left { sales: 2, refusals: 1, ..NONE })
}

/// What the till does not hear of goes back.
fn unheard_goes_back() -> World {
    let mut world = World::new("unheard goes back", Left { repeats: 1, refusals: 1, crashes: 1, ..NONE });
    world.policy.unheard_refund_after_secs = Some(60);
    world
}

/// The same, with a message lost or doubled.
fn unheard_on_a_bad_line() -> World {
    let left = Left { faults: 1, ..unheard_goes_back().left };
    World { name: "unheard on a bad line", left, ..unheard_goes_back() }
}

/// Phones that change their minds, and take turns.
fn moody_phones() -> World {
    World::new("moody phones", Left { moods: 3, ..NONE }).both_phones()
}

/// Two phones, the power switch, and one change of mind.
fn phones_and_crashes() -> World {
    World::new("phones, crashes", Left { moods: 1, crashes: 1, ..NONE }).both_phones()
}

/// Phones that post what their page does not offer.
fn forging_phones() -> World {
    World::new("forging phones", Left { forged: 1, failures: 1, ..NONE }).both_phones()
}

/// A platform that refuses, forgets, is slow or books another amount.
fn odd_platform() -> World {
    World::new("odd platform", Left { manners: 1, others: 1, foreign: 1, faults: 1, ..NONE })
}

/// A platform that keeps no tombstones or refuses refunds, when a sale is aborted.
fn forgetful_platform() -> World {
    World::new("forgetful platform", Left { manners: 1, aborts: 1, faults: 1, extras: 1, ..NONE })
}

/// A machine that starts without knowing the date.
fn no_date() -> World {
    World::new("no date", Left { crashes: 1, dateless: 1, aborts: 1, ..NONE })
}

/// The line to the platform is not known to be well, and is tried.
fn unknown_line() -> World {
    World::new("unknown line", Left { probes: true, faults: 1, repeats: 1, ..NONE })
}

/// A till without tickets, which asks for two sales.
fn no_tickets() -> World {
    let world = World::new("no tickets", Left { sales: 2, ..NONE });
    World { has_tickets: false, ..world }
}

/// A till that cannot be told a result.
fn deaf_till() -> World {
    let world = World::new("deaf till", Left { aborts: 1, crashes: 1, extras: 1, ..NONE });
    World { hears_result: false, ..world }
}

/// Long after: the first sale was paid and put away, the next one lapsed; then money comes once more.
fn long_after() -> World {
    World::new("long after", Left { extras: 2, crashes: 2, faults: 1, repeats: 1, ..NONE }).long_after()
}

/// Two messages lost or doubled, and the program stops twice: nobody but the line and the power.
fn worst_line() -> World {
    World::new("worst line", Left { faults: 2, crashes: 2, aborts: 1, ..NONE })
}

/// The whole world, and phones that change their minds.
fn whole_and_moody() -> World {
    let left = whole().left;
    World::new("whole and moody", Left { moods: 1, ..left }).both_phones()
}

/// The whole world, and money that comes too late or twice.
fn whole_and_late_money() -> World {
    let left = whole().left;
    World::new("whole and late money", Left { extras: 1, faults: 0, ..left }).both_phones()
}

/// What every change has to pass, the small ones first.
const CI: &[Make] = &[
    long_after,
    forging_phones,
    deaf_till,
    no_date,
    no_tickets,
    unheard_goes_back,
    phones_and_crashes,
    late_money_and_crashes,
    difficult_till,
    late_money,
    odd_platform,
    whole,
];

/// Before a release.
const FULL: &[Make] = &[
    moody_phones,
    two_sales,
    unknown_line,
    unheard_on_a_bad_line,
    forgetful_platform,
    bad_line,
    worse_line,
    worst_line,
    whole_and_moody,
    whole_and_late_money,
];

#[test]
fn every_law_holds_in_every_state_of_every_small_world() {
    let full = std::env::var("MODEL_DOSE").is_ok_and(|dose| dose == "full");
    let one = std::env::var("MODEL_WORLD").ok();
    println!("{}", explore::heading());
    let worlds = CI.iter().chain(FULL.iter().filter(|_| full || one.is_some()));
    let worlds: Vec<_> = worlds.filter(|world| one.as_ref().is_none_or(|name| world().name == name)).collect();
    assert!(!worlds.is_empty(), "no world has the name in MODEL_WORLD");
    for world in worlds {
        if let Err((law, way)) = explore(world) {
            panic!("{}: broken is {law}, in this way:\n{way}", world().name);
        }
    }
}

#[cfg(feature = "planted-mistakes")]
mod teeth {
    use super::super::super::planted::{
        ALL,
        Mistake::{self, *},
    };
    use super::*;

    fn calm() -> World {
        World::new("calm", NONE)
    }

    fn lost_message() -> World {
        World::new("lost message", Left { faults: 1, ..NONE })
    }

    fn abort() -> World {
        World::new("abort", Left { aborts: 1, ..NONE })
    }

    fn paid_anyway() -> World {
        World::new("paid anyway", Left { extras: 1, aborts: 1, faults: 1, ..NONE })
    }

    fn a_crash() -> World {
        World::new("a crash", Left { crashes: 1, extras: 1, ..NONE })
    }

    fn a_failure() -> World {
        World::new("a failure", Left { failures: 1, ..NONE })
    }

    fn odd_till() -> World {
        World::new("odd till", Left { repeats: 1, refusals: 1, ..NONE })
    }

    fn forging_pair() -> World {
        World::new("forging pair", Left { forged: 1, ..NONE }).both_phones()
    }

    /// Where each is found.
    const FOUND: &[(Mistake, Make)] = &[
        (WrongAmountApproves, odd_platform),
        (ForeignIdApproves, odd_platform),
        (CancelledTooSoon, abort),
        (WinnerGoesBack, calm),
        (LoserKept, paid_anyway),
        (SurplusKept, paid_anyway),
        (LateMoneyIgnored, paid_anyway),
        (AbortAssumedDone, abort),
        (SecondRefundId, paid_anyway),
        (FreshIdAfterTimeOut, lost_message),
        (IntentNotWritten, calm),
        (RetryWhileOpen, a_failure),
        (LatePaymentApproves, paid_anyway),
        (TicketForgotten, odd_till),
        (UnknownMeansFailed, lost_message),
        (NotFoundCloses, forgetful_platform),
        (ResultLostAtStart, a_crash),
        (TakenNotRepeated, odd_till),
        (SecondPhoneSeesLink, forging_pair),
        (AnyPhoneConfirms, forging_pair),
        (LinkAfterBoot, a_crash),
        (OtherAmountConfirmed, forging_pair),
        (OtherAmountCreated, calm),
        (BegunTooLate, forging_pair),
        (ApprovalNotWritten, calm),
        (BodyChanges, lost_message),
        (RefundForgotten, paid_anyway),
        (LaterForgotten, odd_till),
        (NotReopened, long_after),
    ];

    #[test]
    fn planted_mistakes_are_found_in_small_worlds() {
        let mut missed = Vec::new();
        for (_, mistake) in ALL {
            let name = format!("{mistake:?}");
            let Some((_, world)) = FOUND.iter().find(|(of, _)| of == mistake) else {
                println!("{name:<22} not looked for here");
                continue;
            };
            match explore::first_broken(|| World { mistake: Some(*mistake), ..world() }) {
                Some((law, way)) => {
                    println!("{name:<22} {:<22} {:>2} lines  {law}", world().name, way.lines().count());
                    if std::env::var("MODEL_DOSE").is_ok_and(|dose| dose == "full") {
                        print!("{way}");
                    }
                }
                None => missed.push(*mistake),
            }
        }
        assert_eq!(missed, [], "not found where they should be");
    }
}
