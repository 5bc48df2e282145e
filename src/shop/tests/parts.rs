//! The small parts by themselves: what an attempt believes, ids, currencies, what is fetched, what is counted.

use super::super::attempt::{Attempt, AttemptState, Heard, Link, TryFailure};
use super::super::code::Code;
use super::super::effect::{Effect, PlatformCall, Reach, Screen};
use super::super::event::*;
use super::super::id::{AttemptId, Ids, RefundId, SaleId, SessionId};
use super::super::money::{Amount, Currency};
use super::super::policy::Policy;
use super::super::time::{BootId, Mono, Now};
use super::super::{LineState, Missing};
use super::world::{World, eur, played, session, till};
use std::net::IpAddr;

const NOW: Now = Now { boot: BootId(1), mono: Mono(1_000), wall: None };

fn link() -> Link {
    Link::new("https://pay.example/c/1").unwrap()
}

fn attempt(state: AttemptState) -> Attempt {
    Attempt {
        id: AttemptId(5),
        number: 1,
        session: SessionId(1),
        expires_in_secs: 110,
        state,
        version: 3,
        tries: 1,
        last_failure: Some(TryFailure { reason: Reason::WrongPassword, at: None }),
        paid_minor: 0,
        checked: false,
        needs_person: None,
    }
}

fn payment(status: PaymentStatus) -> Payment {
    Payment {
        id: AttemptId(5),
        version: 3,
        status,
        reason: None,
        tries: 1,
        last_failure: None,
        amount: eur("12.50"),
        paid_minor: 0,
        refunded_minor: 0,
        link: Some(link()),
        expires_in_ms: Some(1_000),
    }
}

fn hears(attempt: &mut Attempt, payment: Payment) -> Heard {
    attempt.hear(&Ok(payment), Call::Query, eur("12.50"), NOW)
}

#[test]
fn the_version_known_already_ends_a_doubt_and_an_older_one_says_nothing() {
    let doubted = AttemptState::Open { link: link(), until: Mono(9_000), doubt: Some(NOW) };
    let mut open = attempt(doubted.clone());
    hears(&mut open, Payment { version: 2, ..payment(PaymentStatus::Awaiting) });
    assert_eq!(open.state, doubted);
    hears(&mut open, payment(PaymentStatus::Awaiting));
    assert_eq!(open.state, AttemptState::Open { link: link(), until: Mono(9_000), doubt: None });
}

#[test]
fn paid_without_money_is_odd_and_puts_in_doubt() {
    let mut open = attempt(AttemptState::Open { link: link(), until: Mono(9_000), doubt: None });
    assert_eq!(hears(&mut open, payment(PaymentStatus::Paid)), Heard::Odd);
    assert!(open.doubt().is_some());
}

#[test]
fn money_that_is_said_to_have_gone_is_odd_and_stays() {
    let mut paid = Attempt { paid_minor: 1_250, ..attempt(AttemptState::Paid { at: None, right: true }) };
    for (paid_minor, heard) in [(1_249, Heard::Odd), (1_250, Heard::Believed)] {
        assert_eq!(hears(&mut paid, Payment { paid_minor, ..payment(PaymentStatus::Failed) }), heard);
        assert_eq!((paid.paid_minor, &paid.state), (1_250, &AttemptState::Paid { at: None, right: true }));
    }
}

#[test]
fn only_a_further_try_changes_why_the_last_one_failed() {
    let mut open = attempt(AttemptState::Open { link: link(), until: Mono(9_000), doubt: None });
    let no_funds = Some(TryFailure { reason: Reason::NoFunds, at: None });
    hears(&mut open, Payment { last_failure: no_funds, ..payment(PaymentStatus::Awaiting) });
    assert_eq!((open.tries, open.last_failure.unwrap().reason), (1, Reason::WrongPassword));
    hears(&mut open, Payment { tries: 2, last_failure: no_funds, ..payment(PaymentStatus::Awaiting) });
    assert_eq!((open.tries, open.last_failure.unwrap().reason), (2, Reason::NoFunds));
}

#[test]
fn a_link_is_known_by_its_address_and_never_printed() {
    assert_eq!(link().as_str(), "https://pay.example/c/1");
    assert_eq!(format!("{:?}", link()), "Link(..)");
    assert_eq!(Link::new("pay.example/c/1"), None);
    assert_eq!(Link::new("https://pay.example/c/\"1"), None);
    let long = format!("https://pay.example/{}", "x".repeat(Link::BYTES_MAX - 20));
    assert_eq!(long.len(), Link::BYTES_MAX);
    assert!(Link::new(&long).is_some() && Link::new(&format!("{long}x")).is_none());
}

#[test]
fn the_ids_of_a_seed_are_always_the_same_and_all_different() {
    let draw = |seed| {
        let mut ids = Ids::new(seed);
        [ids.draw(), ids.draw(), ids.draw()]
    };
    let (first, second) = (draw(0), draw(1));
    assert_eq!(first.map(|id| format!("{id:032x}")), PINNED);
    let all: std::collections::BTreeSet<_> = first.iter().chain(&second).collect();
    assert_eq!(all.len(), 6);
}

/// Worked out by hand from the formula of `draw`.
const PINNED: [&str; 3] =
    ["0094f95246411a31aa283bec62c31c8c", "8066d1799b4d28ac3a6e38e9cc888515", "3226c4a92d7a6bca3dc5003ffca90214"];

#[test]
fn ids_are_read_as_they_are_written_and_shown_by_their_beginning() {
    let id = SaleId(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
    assert_eq!(id.to_string().parse(), Ok(id));
    assert_eq!(format!("{id:?}"), "SaleId(01234567..)");
    for bad in
        ["", "0123456789abcdef0123456789abcde", "0123456789ABCDEF0123456789ABCDEF", "+123456789abcdef0123456789abcdef"]
    {
        assert!(bad.parse::<RefundId>().is_err(), "{bad}");
    }
}

#[test]
fn a_currency_is_found_by_its_letters_and_by_its_number() {
    for (code, number, exponent) in [("EUR", 978, 2), ("JPY", 392, 0), ("KWD", 414, 3), ("ALL", 8, 2)] {
        let currency = Currency::from_number(number).unwrap();
        assert_eq!((currency.code(), currency.number(), currency.exponent()), (code, number, exponent));
        assert_eq!(Currency::from_code(code), Some(currency));
        assert_eq!(format!("{currency:?}"), code);
    }
    assert_eq!((Currency::from_number(1), Currency::from_code("eur")), (None, None));
}

#[test]
fn an_amount_has_at_most_twelve_digits() {
    let currency = eur("1.00").currency();
    assert_eq!(Amount::from_minor(Amount::MINOR_MAX, currency).unwrap().decimal(), "9999999999.99");
    assert!(Amount::from_minor(Amount::MINOR_MAX + 1, currency).is_err());
    assert_eq!(format!("{:?}", eur("1.00")), "1.00 EUR");
}

#[test]
fn a_shop_that_says_nothing_has_the_usual_rules() {
    let policy = Policy::with_defaults(eur("1.00").currency(), [till(7)].into());
    assert_eq!((policy.ticket_life_secs, policy.doubt_hours_max, policy.session_secs), (43_200, 72, 1_800));
}

#[test]
fn what_is_in_memory_is_not_fetched_and_what_is_not_is() {
    let mut world = World::new();
    world.open();
    let ticket = Ticket { epoch: Some(1), number: 1 };
    let asked = |number, ticket| Event::Till { till: till(number), what: TillEvent::AskedAgain { ticket } };
    let ask = Ask {
        ticket: Some(ticket),
        amount: eur("12.50"),
        kind: AskKind::Pay,
        of: None,
        patience_ms: 120_000,
        hears_result: true,
    };
    world.handle(Event::Platform(PlatformEvent::Line { up: true }));
    world.handle(Event::Till { till: till(7), what: TillEvent::Asked(ask) });
    assert_eq!((world.shop.open_sales().count(), world.shop.visits()), (1, 4));

    assert_eq!(world.shop.missing(&asked(7, Some(ticket))), []);
    assert_eq!(world.shop.missing(&asked(8, Some(ticket))), [Missing::Of(till(8), Of::Ticket(ticket))]);
    let other = Ticket { epoch: Some(1), number: 2 };
    assert_eq!(world.shop.missing(&asked(7, Some(other))), [Missing::Of(till(7), Of::Ticket(other))]);
    assert_eq!(world.shop.missing(&asked(7, None)), []);
    let late = Event::Platform(PlatformEvent::RefundAnswered {
        attempt: AttemptId(9),
        refund: RefundId(1),
        answer: Err(CallError::NotFound),
    });
    assert_eq!(world.shop.missing(&late), [Missing::Attempt(AttemptId(9))]);
}

/// What of the platform's line is asked for since the last look: `probe`, `list`.
fn asked(world: &mut World) -> Vec<&'static str> {
    let word = |effect| match effect {
        Effect::Platform(PlatformCall::Probe) => Some("probe"),
        Effect::Platform(PlatformCall::List { .. }) => Some("list"),
        _ => None,
    };
    std::mem::take(&mut world.left).into_iter().filter_map(word).collect()
}

fn says(world: &mut World, what: PlatformEvent) -> Vec<&'static str> {
    world.handle(Event::Platform(what));
    asked(world)
}

/// Time passes in silence.
fn passes(world: &mut World, ms: u64) -> Vec<&'static str> {
    world.to(world.now.mono.plus_ms(ms));
    world.handle(Event::DeadlinePassed);
    asked(world)
}

fn page(more: bool) -> PlatformEvent {
    PlatformEvent::Listed { answer: Ok(Page { payments: Vec::new(), next: "1".into(), more }) }
}

#[test]
fn the_line_is_up_for_a_minute_after_a_word_and_then_unknown() {
    let mut world = World::new();
    world.left.clear();
    world.open();
    assert_eq!(asked(&mut world), ["probe", "list"]);
    assert_eq!(world.shop.platform_line(world.now.mono), (LineState::Unknown, None));
    assert_eq!(says(&mut world, PlatformEvent::Line { up: true }), [""; 0]);
    let heard = Some(world.now.mono);
    for (after_ms, state) in [(0, LineState::Up), (60_000, LineState::Up), (60_001, LineState::Unknown)] {
        assert_eq!(world.shop.platform_line(world.now.mono.plus_ms(after_ms)), (state, heard), "{after_ms}");
    }
    says(&mut world, PlatformEvent::Line { up: false });
    assert_eq!(world.shop.platform_line(world.now.mono), (LineState::Down, None));
}

#[test]
fn the_list_is_fetched_page_by_page_then_hourly_and_soon_again_where_it_could_not_be_had() {
    let mut world = World::new();
    world.open();
    asked(&mut world);
    assert_eq!(says(&mut world, page(true)), ["list"]);
    assert_eq!(says(&mut world, page(false)), [""; 0]);
    assert_eq!(passes(&mut world, 3_599_999), ["probe"]);
    assert_eq!(passes(&mut world, 1), ["list"]);
    assert_eq!(says(&mut world, PlatformEvent::Listed { answer: Err(CallError::NotSent) }), [""; 0]);
    assert!(!passes(&mut world, 59_999).contains(&"list"));
    assert!(passes(&mut world, 1).contains(&"list"));
}

#[test]
fn a_till_that_asks_while_nothing_is_known_has_the_line_tried_at_once() {
    let mut world = World::new();
    world.open();
    says(&mut world, PlatformEvent::Line { up: true });
    says(&mut world, PlatformEvent::Listed { answer: Err(CallError::Unknown) });
    let ask = Ask {
        ticket: None,
        amount: eur("12.50"),
        kind: AskKind::Pay,
        of: None,
        patience_ms: 120_000,
        hears_result: true,
    };
    world.handle(Event::Till { till: till(7), what: TillEvent::Asked(ask) });
    assert_eq!(asked(&mut world), ["probe"]);
}

#[test]
fn a_matching_code_is_two_of_twenty_four_letters() {
    for (bits, code) in [(0, "33"), (1, "43"), (23, "X3"), (24, "34"), (24 * 24 - 1, "XX"), (24 * 24, "33")] {
        assert_eq!(Code::from_bits(bits).to_string(), code);
        assert_eq!(Code::parse(code), Some(Code::from_bits(bits)));
        assert_eq!(format!("{:?}", Code::from_bits(bits)), code);
    }
    for bad in ["", "3", "333", "3O", "O3", "OO", "a3"] {
        assert_eq!(Code::parse(bad), None, "{bad}");
    }
}

/// What a phone's page and reach did in a script, in order: `pay`, `result`, `checkout`, `captive`.
fn page_and_reach(phone: &str, script: &str) -> Vec<&'static str> {
    let word = |effect: &Effect| match effect {
        Effect::Reach { session: of, reach: Reach::Checkout, .. } if *of == session(phone) => Some("checkout"),
        Effect::Reach { session: of, reach: Reach::Captive, .. } if *of == session(phone) => Some("captive"),
        Effect::Show { session: of, screen: Screen::Pay { .. } } if *of == session(phone) => Some("pay"),
        Effect::Show { session: of, screen: Screen::Result(_) } if *of == session(phone) => Some("result"),
        _ => None,
    };
    played(script).left.iter().filter_map(word).collect()
}

#[test]
fn a_phone_reaches_the_checkout_before_its_page_leads_there_and_until_it_has_seen_the_result() {
    let paid = "a at 7; b at 7; ask 12.50 #1; a confirm; open; paid";
    let result = ["checkout", "pay", "checkout", "result"];
    let over = ["checkout", "pay", "checkout", "result", "captive"];
    assert_eq!(page_and_reach("a", paid), result);
    assert_eq!(page_and_reach("a", &format!("{paid}; a saw")), over);
    assert_eq!(page_and_reach("a", &format!("{paid}; +29s")), result);
    assert_eq!(page_and_reach("a", &format!("{paid}; +30s")), over);
    assert_eq!(page_and_reach("b", &format!("{paid}; a saw; +30s")), [""; 0]);
}

#[test]
fn whoever_opens_the_way_hears_of_its_new_end_and_of_the_phones_new_place() {
    let ends = |script: &str| {
        let open = |effect: &Effect| match effect {
            Effect::Reach { place, reach: Reach::Checkout, until, .. } => Some((place.ip, *until)),
            _ => None,
        };
        played(script).left.iter().filter_map(open).collect::<Vec<_>>()
    };
    let paying = "a at 7; ask 12.50 #1; a confirm; open";
    let (here, there) = (IpAddr::from([10, 77, 0, 9]), IpAddr::from([10, 77, 0, 10]));
    let [(place, end)] = ends(paying)[..] else { panic!("{:?}", ends(paying)) };
    assert_eq!(place, here);
    assert_eq!(ends(&format!("{paying}; a relogin"))[1..], [(there, end)]);
    let [_, (place, unseen)] = ends(&format!("{paying}; paid"))[..] else { panic!("the end has changed") };
    assert!(place == here && unseen < end, "a lost word that it is over leaves the way open for half a minute at most");
    assert_eq!(ends(&format!("{paying}; +10s")), [(here, end)], "nothing changed");
}

#[test]
fn a_phone_that_has_paid_and_seen_its_receipt_reaches_the_internet_for_the_time_that_the_shop_gives() {
    let reaches = |script: &str| {
        let word = |effect: &Effect| match effect {
            Effect::Reach { session: of, reach, .. } if *of == session("a") => Some(match reach {
                Reach::Captive => "captive",
                Reach::Checkout => "checkout",
                Reach::Online => "online",
            }),
            _ => None,
        };
        let script = format!("online-by-policy; reboot; {script}");
        played(&script).left.iter().filter_map(word).collect::<Vec<_>>().join(" ")
    };
    let paid = "line-up; a at 7; ask 12.50 #1; a confirm; open; paid";
    let seen = "checkout checkout captive";
    for (script, wanted) in [
        ("+9m", "checkout checkout captive".to_owned()),
        ("a saw; +9s", seen.to_owned()),
        ("a saw; +10s", format!("{seen} online")),
        ("a saw; a finish; +10s", format!("{seen} online")),
        ("a saw; +10s; +9m; a saw", format!("{seen} online")),
        ("a saw; +10s; +10m", format!("{seen} online captive")),
        ("a saw; a finish; +10s; a at 7", format!("{seen} online captive")),
        ("a saw; a finish; a at 7; +10s", seen.to_owned()),
        ("a saw; a finish; +10s; +1m; restart", format!("{seen} online online")),
        ("a saw; +10s; +1m; reboot", format!("{seen} online")),
        ("a saw; +10s; +1m; reboot; a saw; +10s", format!("{seen} online online")),
    ] {
        assert_eq!(reaches(&format!("{paid}; {script}")), wanted, "{script}");
    }
    assert_eq!(
        reaches("line-up; a at 7; ask 12.50 #1; a confirm; open; expired; a saw; +10s"),
        seen,
        "nothing was paid"
    );
}

#[test]
fn a_page_about_a_payment_or_its_result_is_noticed_when_it_is_loaded() {
    for (script, wanted) in [
        ("a at 7; ask 12.50 #1", false),
        ("a at 7; ask 12.50 #1; a confirm", true),
        ("a at 7; ask 12.50 #1; a confirm; open", true),
        ("a at 7; ask 12.50 #1; a confirm; open; paid", true),
        ("a at 7; ask 12.50 #1; a confirm; open; a giveup", false),
    ] {
        let world = played(script);
        let sale = world.disk.sales[0].0.id;
        assert_eq!(world.shown[&session("a")].wants_seen(), wanted.then_some(sale), "{script}");
    }
}

#[test]
fn a_receipt_counts_what_is_back_and_what_is_on_its_way() {
    let receipt = |script: &str| match &played(script).shown[&session("a")] {
        Screen::Result(receipt) => (receipt.given_back_minor, receipt.given_back_done_minor),
        other => panic!("{other:?}"),
    };
    let late = "a at 7; ask 12.50 #1; a confirm; open; abort; +3s; paid";
    assert_eq!(receipt(late), (1_250, 0));
    assert_eq!(receipt(&format!("{late}; refund-taken")), (1_250, 0));
    assert_eq!(receipt(&format!("{late}; refunded")), (1_250, 1_250));
}

#[test]
fn what_is_over_leaves_memory_and_what_a_phone_shows_or_a_till_may_ask_for_stays() {
    let sales = |script: &str| played(script).shop.sales.len();
    let taken = "a at 7; ask 12.50 #1; a confirm; open; paid; take";
    assert_eq!(sales(taken), 1);
    // The till's last, and the one that the phone still shows.
    assert_eq!(sales(&format!("{taken}; ask 1.00 #2; abort; take")), 2);
    assert_eq!(sales(&format!("{taken}; ask 1.00 #2; abort; take; a finish")), 1);
}
