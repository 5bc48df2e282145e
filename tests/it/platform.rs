//! The open protocol's two ends against each other: `platform::counter` over mutual TLS 1.3 on loopback, and the sandbox.

use std::collections::BTreeSet;
use std::future::Future;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hyper::Method;
use serde_json::{Value, json};
use tillgate::inbox::Inbox;
use tillgate::platform::channel::{Answer, Channel, ChannelError, ChannelSettings, certificate_life, check_pair};
use tillgate::platform::counter::{Counter, CounterSettings};
use tillgate::platform::{CALLS_MAX, Desk, HELD_MAX, Platform};
use tillgate::sandbox::authority::{Authority, Certificates, For, HERE, Pair};
use tillgate::sandbox::{BookLine, PASSWORD, Sandbox, SandboxSettings, Times, books};
use tillgate::shop::attempt::Refused;
use tillgate::shop::effect::{Create, PlatformCall};
use tillgate::shop::event::{
    CallError, Event, Page, Payment, PaymentStatus, PlatformEvent, Reason, RefundStatus, TillNumber,
};
use tillgate::shop::id::{AttemptId, RefundId, SaleId, SessionId};
use tillgate::shop::money::{Amount, Currency};
use tillgate::shop::sale::Code;
use tokio::runtime::Runtime;

const PATIENCE: Duration = Duration::from_secs(20);

// The calls.

#[test]
fn a_payment_is_created_paid_asked_for_and_partly_given_back() {
    let all = Setup::new();
    let made = all.wait(all.counter.create(&create(1, 1250))).unwrap();
    assert_eq!((made.id, made.version, made.status, made.paid_minor), (AttemptId(1), 1, PaymentStatus::Awaiting, 0));
    assert_eq!(made.amount, eur(1250));
    assert!(made.expires_in_ms.unwrap() > 100_000);
    all.sign_in(&made, "anna", PASSWORD);

    let paid = all.query(1);
    assert_eq!((paid.status, paid.paid_minor, paid.link), (PaymentStatus::Paid, 1250, None));
    assert_eq!(all.wait(all.counter.refund(AttemptId(1), RefundId(9), eur(200))), Ok(RefundStatus::Done));
    assert_eq!(all.wait(all.counter.query_refund(AttemptId(1), RefundId(9))), Ok(RefundStatus::Done));
    let line = &all.books()[0];
    assert_eq!((line.paid_minor, line.refunded_minor, line.moved_minor), (1250, 200, 1050));
}

#[test]
fn the_platform_says_its_time_limits_and_hosts() {
    let all = Setup::new();
    let facts = all.wait(all.counter.probe()).unwrap();
    let now = jiff::Timestamp::now().as_millisecond();
    assert!((facts.time.0 - now).abs() < 60_000);
    assert_eq!(facts.checkout_hosts, [all.sandbox.public.to_string()]);
    assert!(facts.limits.iter().any(|l| l.currency.code() == "KWD"), "exponent 3 is known on both sides");
    assert!(facts.limits.iter().any(|l| l.currency.code() == "JPY"), "exponent 0 is known on both sides");
    assert_eq!(facts.limits.len(), 20, "all that the sandbox takes");
}

#[test]
fn a_repeated_create_is_the_same_payment_and_another_body_decides_nothing() {
    let all = Setup::new();
    let first = all.wait(all.counter.create(&create(1, 500))).unwrap();
    let again = all.wait(all.counter.create(&create(1, 500))).unwrap();
    assert_eq!((first.link, first.version), (again.link, again.version));
    assert_eq!(all.wait(all.counter.create(&create(1, 501))), Err(CallError::Unknown));
    assert_eq!(all.query(1).amount, eur(500));
    assert_eq!(all.counter.create_body(&create(1, 500)), all.counter.create_body(&create(1, 500)));
}

#[test]
fn a_create_after_the_tombstone_is_refused_for_ever() {
    let all = Setup::new();
    let tombstone = Err(CallError::Refused(Refused::Tombstone));
    assert_eq!(all.wait(all.counter.query(AttemptId(1), 0, 0)), Err(CallError::NotFound));
    assert_eq!(all.wait(all.counter.cancel(AttemptId(1))), tombstone);
    assert_eq!(all.wait(all.counter.cancel(AttemptId(1))), tombstone, "again");
    assert_eq!(all.wait(all.counter.create(&create(1, 500))), tombstone);
    assert_eq!(all.wait(all.counter.query(AttemptId(1), 0, 0)), tombstone);
    let refund = all.wait(all.counter.refund(AttemptId(1), RefundId(1), eur(1)));
    assert_eq!(refund, Err(CallError::Refused(Refused::Tombstone)));
    assert_eq!(all.books(), []);
}

#[test]
fn an_amount_or_currency_that_is_not_allowed_is_refused_for_good() {
    let all = Setup::new();
    let refused = Err(CallError::Refused(Refused::Payment(Reason::NotAllowed)));
    assert_eq!(all.wait(all.counter.create(&create(1, 10_000_001))), refused);
    assert_eq!(
        all.wait(all.counter.create(&create(1, 10_000_001))),
        Err(CallError::Refused(Refused::Payment(Reason::NotAllowed)))
    );
    let isk = Amount::from_minor(500, Currency::from_code("ISK").unwrap()).unwrap();
    let in_isk = Create { amount: isk, ..create(2, 0) };
    assert_eq!(all.wait(all.counter.create(&in_isk)), refused);
    assert_eq!(all.wait(all.counter.query(AttemptId(2), 0, 0)), Err(CallError::Refused(Refused::Tombstone)));
}

#[test]
fn cancelling_closes_an_open_payment_and_leaves_a_paid_one_as_it_is() {
    let all = Setup::new();
    let open = all.wait(all.counter.create(&create(1, 500))).unwrap();
    let closed = all.wait(all.counter.cancel(AttemptId(1))).unwrap();
    assert_eq!((closed.status, closed.paid_minor, closed.link), (PaymentStatus::Cancelled, 0, None));
    assert!(all.sign_in(&open, "anna", PASSWORD).contains("Cancelled"));
    assert_eq!(all.query(1).status, PaymentStatus::Cancelled);

    let open = all.wait(all.counter.create(&create(2, 500))).unwrap();
    all.sign_in(&open, "anna", PASSWORD);
    let paid = all.wait(all.counter.cancel(AttemptId(2))).unwrap();
    assert_eq!((paid.status, paid.paid_minor), (PaymentStatus::Paid, 500));
}

#[test]
fn cancelling_with_a_refund_gives_back_what_is_left_of_a_paid_payment() {
    let all = Setup::new();
    let open = all.wait(all.counter.create(&create(1, 500))).unwrap();
    all.sign_in(&open, "anna", PASSWORD);
    all.wait(all.counter.refund(AttemptId(1), RefundId(1), eur(100))).unwrap();
    let body = json!({ "refund": RefundId(2).to_string() }).to_string();
    for _ in 0..2 {
        let answer = all.raw(Method::POST, &format!("/v1/payments/{}/cancel", AttemptId(1)), Some(&body));
        assert_eq!((answer.status, json_of(&answer)["refunded"].clone()), (200, json!(500)));
    }
}

#[test]
fn a_refund_counts_once_and_never_exceeds_what_is_left() {
    let all = Setup::new();
    let open = all.wait(all.counter.create(&create(1, 1000))).unwrap();
    let refund = |id, minor| all.wait(all.counter.refund(AttemptId(1), RefundId(id), eur(minor)));
    assert_eq!(refund(1, 1), Ok(RefundStatus::Refused), "nothing is paid yet");
    all.sign_in(&open, "anna", PASSWORD);
    assert_eq!(refund(2, 600), Ok(RefundStatus::Done));
    assert_eq!(refund(2, 600), Ok(RefundStatus::Done), "again");
    assert_eq!(refund(2, 599), Err(CallError::Unknown), "the id means 600");
    assert_eq!(refund(3, 401), Ok(RefundStatus::Refused));
    assert_eq!(refund(4, 400), Ok(RefundStatus::Done));
    assert_eq!(refund(1, 1), Ok(RefundStatus::Refused), "refused stays refused");
    assert_eq!(all.query(1).refunded_minor, 1000);
    assert_eq!(all.wait(all.counter.query_refund(AttemptId(1), RefundId(77))), Err(CallError::NotFound));
    assert_eq!(all.wait(all.counter.refund(AttemptId(2), RefundId(78), eur(1))), Err(CallError::NotFound));
}

#[test]
fn a_held_query_is_answered_when_the_customer_pays() {
    let all = Setup::new();
    let open = all.wait(all.counter.create(&create(1, 500))).unwrap();
    let counter = Arc::clone(&all.counter);
    let asked = Instant::now();
    let held = all.runtime.spawn(async move { counter.query(AttemptId(1), 1, 25).await });
    all.sign_in(&open, "anna", PASSWORD);
    let answer = all.wait(held).unwrap().unwrap();
    assert_eq!(answer.status, PaymentStatus::Paid);
    assert!(asked.elapsed() < Duration::from_secs(10), "it was not held to the end");
}

#[test]
fn a_held_query_is_answered_at_its_end_when_nothing_happens() {
    let all = Setup::new();
    all.wait(all.counter.create(&create(1, 500))).unwrap();
    let asked = Instant::now();
    let answer = all.wait(all.counter.query(AttemptId(1), 1, 1)).unwrap();
    assert_eq!((answer.status, answer.version), (PaymentStatus::Awaiting, 1));
    assert!(asked.elapsed() >= Duration::from_millis(900));
}

#[test]
fn reconciliation_pages_by_200_and_shows_each_payment_as_it_is_now() {
    let all = Setup::new();
    for n in 1..=201 {
        all.wait(all.counter.create(&create(n, 100))).unwrap();
    }
    all.wait(all.counter.cancel(AttemptId(1))).unwrap();
    let first: Page = all.wait(all.counter.list("")).unwrap();
    assert_eq!((first.payments.len(), first.more, first.payments[0].id), (200, true, AttemptId(2)));
    let second = all.wait(all.counter.list(&first.next)).unwrap();
    assert_eq!((second.payments.len(), second.more), (1, false));
    assert_eq!((second.payments[0].id, second.payments[0].status), (AttemptId(1), PaymentStatus::Cancelled));
    let none = all.wait(all.counter.list(&second.next)).unwrap();
    assert_eq!((none.payments.len(), none.more, none.next), (0, false, second.next));
    assert_eq!(all.wait(all.counter.list("no such cursor")), Err(CallError::Unknown));
    assert_eq!(all.raw(Method::GET, "/v1/payments?since=x", None).status, 400);
}

#[test]
fn the_sandbox_keeps_payments_and_tombstones_when_it_starts_again() {
    let mut all = Setup::new();
    let open = all.wait(all.counter.create(&create(1, 500))).unwrap();
    all.sign_in(&open, "anna", PASSWORD);
    assert!(all.wait(all.counter.cancel(AttemptId(2))).is_err());
    all.restart();
    assert_eq!(all.query(1).status, PaymentStatus::Paid);
    assert_eq!(all.wait(all.counter.create(&create(2, 500))), Err(CallError::Refused(Refused::Tombstone)));
}

// The accounts, through the real form.

#[test]
fn a_wrong_password_is_a_failed_try_on_a_link_that_goes_on() {
    let all = Setup::new();
    let open = all.wait(all.counter.create(&create(1, 500))).unwrap();
    let page = all.sign_in(&open, "anna", "wrong");
    assert!(page.contains("2 tries are left"), "{page}");
    let tried = all.query(1);
    assert_eq!((tried.status, tried.tries, tried.version), (PaymentStatus::Awaiting, 1, 2));
    let failure = tried.last_failure.unwrap();
    assert_eq!((failure.reason, failure.at.is_some()), (Reason::WrongPassword, true));
    assert_eq!(tried.link, open.link);
    assert!(all.sign_in(&open, "anna", PASSWORD).contains("<h1>Paid</h1>"));
    assert_eq!(all.query(1).status, PaymentStatus::Paid);
}

#[test]
fn the_third_wrong_password_fails_the_payment_for_good() {
    let all = Setup::new();
    let open = all.wait(all.counter.create(&create(1, 500))).unwrap();
    all.sign_in(&open, "anna", "wrong");
    assert!(all.sign_in(&open, "nobody", PASSWORD).contains("1 try is left"));
    all.sign_in(&open, "anna", "wrong");
    let failed = all.query(1);
    assert_eq!((failed.status, failed.reason, failed.tries), (PaymentStatus::Failed, Some(Reason::TooManyTries), 3));
    assert!(all.sign_in(&open, "anna", PASSWORD).contains("Not paid"));
    assert_eq!(all.query(1).paid_minor, 0);
}

#[test]
fn an_account_without_money_fails_the_payment_for_good() {
    let all = Setup::new();
    let open = all.wait(all.counter.create(&create(1, 500))).unwrap();
    assert!(all.sign_in(&open, "poor", PASSWORD).contains("not enough money"));
    let failed = all.query(1);
    assert_eq!((failed.status, failed.reason), (PaymentStatus::Failed, Some(Reason::NoFunds)));
}

#[test]
fn a_slow_account_is_processing_first_and_paid_later_and_so_are_its_refunds() {
    let all = Setup::new();
    let open = all.wait(all.counter.create(&create(1, 500))).unwrap();
    assert!(all.sign_in(&open, "slow", PASSWORD).contains("One moment"));
    let under_way = all.query(1);
    assert_eq!((under_way.status, under_way.paid_minor), (PaymentStatus::Processing, 0));
    let paid = all.wait(all.counter.query(AttemptId(1), under_way.version, 20)).unwrap();
    assert_eq!((paid.status, paid.paid_minor), (PaymentStatus::Paid, 500));
    let refund = all.wait(all.counter.refund(AttemptId(1), RefundId(1), eur(500)));
    assert_eq!(refund, Ok(RefundStatus::Accepted));
    assert_eq!(all.wait(all.counter.refund(AttemptId(1), RefundId(2), eur(1))), Ok(RefundStatus::Refused));
    let back = all.wait(all.counter.query(AttemptId(1), paid.version, 20)).unwrap();
    assert_eq!(back.refunded_minor, 500);
    assert_eq!(all.wait(all.counter.query_refund(AttemptId(1), RefundId(1))), Ok(RefundStatus::Done));
}

#[test]
fn a_late_account_pays_after_the_payment_was_cancelled_and_the_status_stays() {
    let all = Setup::new();
    let open = all.wait(all.counter.create(&create(1, 500))).unwrap();
    all.sign_in(&open, "late", PASSWORD);
    let closed = all.wait(all.counter.cancel(AttemptId(1))).unwrap();
    assert_eq!((closed.status, closed.paid_minor), (PaymentStatus::Cancelled, 0));
    let late = all.wait(all.counter.query(AttemptId(1), closed.version, 20)).unwrap();
    assert_eq!((late.status, late.paid_minor), (PaymentStatus::Cancelled, 500));
    assert!(late.version > closed.version);
    assert_eq!(all.wait(all.counter.refund(AttemptId(1), RefundId(1), eur(500))), Ok(RefundStatus::Done));
    assert_eq!(all.books()[0].moved_minor, 0);
}

#[test]
fn an_account_that_pays_twice_leaves_a_surplus_that_can_be_given_back() {
    let all = Setup::new();
    let open = all.wait(all.counter.create(&create(1, 500))).unwrap();
    all.sign_in(&open, "twice", PASSWORD);
    let paid = all.query(1);
    assert_eq!((paid.status, paid.paid_minor, paid.amount), (PaymentStatus::Paid, 1000, eur(500)));
    assert_eq!(all.wait(all.counter.refund(AttemptId(1), RefundId(1), eur(500))), Ok(RefundStatus::Done));
    assert_eq!(all.books()[0].moved_minor, 500);
}

#[test]
fn a_customer_can_cancel_on_the_page_and_a_link_expires_by_itself() {
    let all = Setup::new();
    let open = all.wait(all.counter.create(&create(1, 500))).unwrap();
    let page = all.post(&open, "action=cancel");
    assert!(page.contains("<h1>Cancelled</h1>"));
    assert_eq!(all.query(1).status, PaymentStatus::Cancelled);

    let short = Create { expires_in_secs: 1, ..create(2, 500) };
    let open = all.wait(all.counter.create(&short)).unwrap();
    let over = all.wait(all.counter.query(AttemptId(2), open.version, 20)).unwrap();
    assert_eq!((over.status, over.link), (PaymentStatus::Expired, None));
    assert!(all.sign_in(&open, "anna", PASSWORD).contains("Too late"));
}

#[test]
fn the_checkout_shows_shop_till_amount_and_code_and_keeps_to_itself() {
    let all = Setup::new();
    let open = all.wait(all.counter.create(&create(1, 1250))).unwrap();
    let (status, page) = http(all.sandbox.public, "GET", &path_of(&open), None);
    assert_eq!(status, 200);
    for wanted in ["Caf\u{e9} &#60;Corner&#62;", "<dd>7</dd>", "12.50 EUR", "<dd>K7</dd>"] {
        assert!(page.contains(wanted), "{wanted} in {page}");
    }
    let head = page.to_ascii_lowercase();
    assert!(head.contains("frame-ancestors 'none'"));
    assert!(head.contains("referrer-policy: no-referrer") && head.contains("cache-control: no-store"));
    assert!(!page.contains("<script") && !page.contains("src=") && page.len() < 8_000);
    assert_eq!(http(all.sandbox.public, "GET", "/checkout/00", None).0, 404);
    assert_eq!(http(all.sandbox.public, "POST", &path_of(&open), Some("action=steal")).0, 400);
    assert_eq!(http(all.sandbox.public, "POST", &path_of(&open), Some("nothing")).0, 422);
    assert_eq!(all.query(1).version, 1, "none of it did anything");

    all.sign_in(&open, "anna", PASSWORD);
    let (_, page) = http(all.sandbox.public, "GET", &path_of(&open), None);
    assert!(page.contains(r#"href="http://10.77.0.1/s/0000000000000000000000000000002a/""#), "{page}");
}

#[test]
fn only_an_origin_given_by_the_constructor_may_frame_the_checkout() {
    let all = Setup::with(|settings| settings.allow_framing = Some("http://127.0.0.1:5555".to_owned()));
    let open = all.wait(all.counter.create(&create(1, 1250))).unwrap();
    let (_, page) = http(all.sandbox.public, "GET", &path_of(&open), None);
    assert!(page.contains("frame-ancestors http://127.0.0.1:5555"));
}

// The fault switches, and what the caller concludes.

#[test]
fn each_fault_of_a_call_leads_to_the_conclusion_that_is_safe() {
    // call, fault, what create concludes, what a query concludes afterwards
    let table = "
        drop_answer     | Unknown | Awaiting
        error_500       | Unknown | NotFound
        error_500_after | Unknown | Awaiting
        garbage         | Unknown | Awaiting
    ";
    let all = Setup::new();
    for (n, line) in table.lines().map(str::trim).filter(|l| !l.is_empty()).enumerate() {
        let [fault, now, then] = line.split('|').map(str::trim).collect::<Vec<_>>()[..] else { panic!("{line}") };
        let id = u128::try_from(n).unwrap() + 1;
        all.fault("create", fault, 0);
        assert_eq!(said(&all.wait(all.counter.create(&create(id, 500)))), now, "{line}");
        assert_eq!(said(&all.wait(all.counter.query(AttemptId(id), 0, 0))), then, "{line}");
        assert_eq!(said(&all.wait(all.counter.create(&create(id, 500)))), "Awaiting", "the same id again: {line}");
    }
}

#[test]
fn every_call_survives_a_dropped_answer_because_a_repeat_does_nothing_new() {
    let all = Setup::new();
    let open = all.wait(all.counter.create(&create(1, 500))).unwrap();
    all.fault("query", "drop_answer", 0);
    assert_eq!(said(&all.wait(all.counter.query(AttemptId(1), 0, 0))), "Unknown");
    all.sign_in(&open, "anna", PASSWORD);
    all.fault("refund", "drop_answer", 0);
    assert_eq!(all.wait(all.counter.refund(AttemptId(1), RefundId(1), eur(500))), Err(CallError::Unknown));
    assert_eq!(all.wait(all.counter.refund(AttemptId(1), RefundId(1), eur(500))), Ok(RefundStatus::Done));
    all.fault("query_refund", "drop_answer", 0);
    assert_eq!(all.wait(all.counter.query_refund(AttemptId(1), RefundId(1))), Err(CallError::Unknown));
    all.fault("cancel", "drop_answer", 0);
    assert_eq!(said(&all.wait(all.counter.cancel(AttemptId(2)))), "Unknown");
    assert_eq!(all.wait(all.counter.create(&create(2, 5))), Err(CallError::Refused(Refused::Tombstone)));
    all.fault("list", "drop_answer", 0);
    assert_eq!(all.wait(all.counter.list("")), Err(CallError::Unknown));
    all.fault("platform", "drop_answer", 0);
    assert_eq!(all.wait(all.counter.probe()), Err(CallError::Unknown));
    assert_eq!(all.books()[0].refunded_minor, 500);
}

#[test]
fn an_answer_that_lies_reaches_the_shop_as_it_was_said() {
    let all = Setup::new();
    let open = all.wait(all.counter.create(&create(1, 500))).unwrap();
    all.sign_in(&open, "anna", PASSWORD);
    let lie = |fault| {
        all.fault("query", fault, 0);
        all.query(1)
    };
    assert_eq!(lie("wrong_amount").amount, eur(501));
    assert_eq!(lie("other_id").id, AttemptId(u128::MAX));
    assert_eq!(lie("status_back").status, PaymentStatus::Awaiting);
    assert_eq!(lie("version_back").version, 1);
    assert_eq!(all.query(1).version, 2, "the switches are used up");
    all.fault("refund", "wrong_amount", 0);
    assert_eq!(all.wait(all.counter.refund(AttemptId(1), RefundId(1), eur(5))), Err(CallError::Unknown));
    all.fault("query_refund", "other_id", 0);
    assert_eq!(all.wait(all.counter.query_refund(AttemptId(1), RefundId(1))), Err(CallError::Unknown));
}

#[test]
fn a_500_that_is_stored_under_an_id_stays_until_a_tombstone_closes_the_id() {
    let all = Setup::new();
    all.fault("create", "error_500_stored", 0);
    for _ in 0..3 {
        assert_eq!(said(&all.wait(all.counter.create(&create(1, 500)))), "Unknown");
    }
    assert_eq!(said(&all.wait(all.counter.query(AttemptId(1), 0, 0))), "NotFound");
    assert_eq!(said(&all.wait(all.counter.cancel(AttemptId(1)))), "Refused(Tombstone)");
    assert_eq!(said(&all.wait(all.counter.create(&create(1, 500)))), "Refused(Tombstone)");
}

#[test]
fn a_delayed_answer_is_waited_for() {
    let all = Setup::new();
    all.fault("create", "delay", 700);
    let asked = Instant::now();
    assert_eq!(said(&all.wait(all.counter.create(&create(1, 500)))), "Awaiting");
    assert!(asked.elapsed() >= Duration::from_millis(700));
}

#[test]
fn a_connection_that_never_comes_about_means_certainly_not_sent() {
    let all = Setup::new();
    for fault in ["close_connection", "expired_certificate", "foreign_certificate"] {
        all.fault("connection", fault, 0);
        // A new channel, so that the next connection is this one's.
        let counter = all.counter_with(&all.settings());
        assert_eq!(said(&all.wait(counter.create(&create(1, 500)))), "NotSent", "{fault}");
        assert_eq!(said(&all.wait(counter.query(AttemptId(1), 0, 0))), "NotFound", "{fault}: the next one is right");
    }
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let counter = all.counter_with(&ChannelSettings { url: format!("https://{nobody}"), ..all.settings() });
    assert_eq!(said(&all.wait(counter.create(&create(1, 500)))), "NotSent");
}

#[test]
fn a_platform_that_accepts_and_says_nothing_is_given_up_after_five_seconds() {
    let all = Setup::new();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", silent.local_addr().unwrap());
    let counter = all.counter_with(&ChannelSettings { url, ..all.settings() });
    let asked = Instant::now();
    assert_eq!(said(&all.wait(counter.create(&create(1, 500)))), "NotSent");
    assert!((4..8).contains(&asked.elapsed().as_secs()), "{:?}", asked.elapsed());
}

#[test]
fn the_admin_api_shows_payments_accounts_and_switches_and_refuses_other_sites() {
    let all = Setup::new();
    let open = all.wait(all.counter.create(&create(1, 500))).unwrap();
    all.sign_in(&open, "anna", PASSWORD);
    all.fault("query", "delay", 5);
    let get = |path| body_of(&http(all.sandbox.admin, "GET", path, None).1);
    assert_eq!(get("/api/payments")["payments"][0]["paid"], 500);
    assert_eq!(get("/api/accounts")["accounts"][0], json!({ "name": "anna", "balance": 99_999_500 }));
    assert_eq!(get("/api/faults")["faults"], json!([{ "call": "query", "fault": "delay", "count": 1, "ms": 5 }]));
    let (status, page) = http(all.sandbox.admin, "GET", "/", None);
    assert_eq!((status, page.contains("5.00 EUR")), (200, true));
    assert!(!page.contains("/checkout/"), "links stay between platform and phone");
    for choice in tillgate::sandbox::Fault::choices() {
        let form = format!("choice={}&count=0&ms=0", choice.replace('/', "%2F"));
        assert_eq!(http(all.sandbox.admin, "POST", "/faults", Some(&form)).0, 303, "{choice}");
    }
    assert_eq!(get("/api/faults")["faults"], json!([]));
    let wrong = r#"{"call":"create","fault":"foreign_certificate"}"#;
    assert_eq!(http(all.sandbox.admin, "POST", "/api/faults", Some(wrong)).0, 400);
    let led = "POST /faults HTTP/1.1\r\nhost: a\r\nsec-fetch-site: cross-site\r\nconnection: close\r\n\r\n";
    assert_eq!(exchange(all.sandbox.admin, led.as_bytes()).0, 403);
}

// The channel.

#[test]
fn a_key_that_is_not_pinned_is_refused_and_the_next_pin_is_taken() {
    let all = Setup::new();
    let present = all.certificates.platform.pin;
    let pins = |pins: &[[u8; 32]]| ChannelSettings { pins: pins.to_vec(), ..all.settings() };
    let probe = |settings| all.wait(all.counter_with(&settings).probe()).map(|_| ());
    assert_eq!(probe(pins(&[[7; 32]])), Err(CallError::NotSent));
    assert_eq!(probe(pins(&[[7; 32], present])), Ok(()));
    assert!(matches!(Channel::open(&pins(&[])), Err(ChannelError::NoPin)));
}

#[test]
fn a_pinned_key_does_not_replace_the_authority_or_the_name() {
    let all = Setup::new();
    let other_ca = Authority::create(&all.dir.0.join("other")).unwrap();
    let settings = ChannelSettings { ca_file: other_ca.ca_file(), ..all.settings() };
    assert_eq!(all.wait(all.counter_with(&settings).probe()), Err(CallError::NotSent));
    let settings = ChannelSettings { url: format!("https://127.0.0.2:{}", all.sandbox.api.port()), ..all.settings() };
    assert_eq!(all.wait(all.counter_with(&settings).probe()), Err(CallError::NotSent));
}

#[test]
fn a_box_that_the_platform_does_not_know_gets_no_answer() {
    let all = Setup::new();
    let stranger = Authority::create(&all.dir.0.join("other")).unwrap().issue("box", For::Box).unwrap();
    let counter = all.counter_with(&settings_of(&all.sandbox, &all.certificates, &stranger));
    assert!(all.wait(counter.create(&create(1, 500))).is_err());
    assert_eq!(all.books(), []);
}

#[test]
fn a_client_without_a_certificate_gets_no_answer() {
    let all = Setup::new();
    let mut roots = rustls::RootCertStore::empty();
    use rustls::pki_types::pem::PemObject;
    roots.add(rustls::pki_types::CertificateDer::from_pem_file(&all.certificates.ca).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = rustls::pki_types::ServerName::try_from("127.0.0.1").unwrap();
    let mut tls = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut tcp = connect(all.sandbox.api);
    let mut stream = rustls::Stream::new(&mut tls, &mut tcp);
    let _ = stream.write_all(b"GET /v1/platform HTTP/1.1\r\nhost: a\r\n\r\n");
    let mut answer = Vec::new();
    let error = stream.read_to_end(&mut answer).unwrap_err().to_string();
    assert!(answer.is_empty() && error.contains("CertificateRequired"), "{error}");
}

#[test]
fn tls_1_2_is_refused() {
    let all = Setup::new();
    // A ClientHello of TLS 1.2: ECDHE-ECDSA-AES128-GCM-SHA256, P-256, ecdsa_secp256r1_sha256; no supported_versions.
    let extensions: &[u8] = &[0, 10, 0, 4, 0, 2, 0, 23, 0, 11, 0, 2, 1, 0, 0, 13, 0, 4, 0, 2, 4, 3, 0, 23, 0, 0];
    let mut hello = vec![3, 3];
    hello.extend([42; 32]);
    hello.extend([0, 0, 2, 0xc0, 0x2b, 1, 0, 0, extensions.len() as u8]);
    hello.extend(extensions);
    let mut record = vec![22, 3, 1, 0, hello.len() as u8 + 4, 1, 0, 0, hello.len() as u8];
    record.extend(&hello);
    let mut tcp = connect(all.sandbox.api);
    tcp.write_all(&record).unwrap();
    let mut answer = Vec::new();
    let _ = tcp.read_to_end(&mut answer);
    assert_eq!(answer, [21, 3, 3, 0, 2, 2, 70], "a fatal alert: protocol_version");
}

#[test]
fn reload_takes_new_files_for_new_connections_and_keeps_the_old_on_an_error() {
    let all = Setup::new();
    let own = Pair { certificate: all.dir.0.join("own.pem"), key: all.dir.0.join("own.key"), pin: [0; 32] };
    let put = |from: &Pair| {
        std::fs::copy(&from.certificate, &own.certificate).unwrap();
        std::fs::copy(&from.key, &own.key).unwrap();
    };
    put(&all.certificates.shop_box);
    let settings = settings_of(&all.sandbox, &all.certificates, &own);
    let counter = all.counter_with(&settings);
    assert!(all.wait(counter.probe()).is_ok());

    std::fs::copy(&all.certificates.platform.key, &own.key).unwrap();
    let error = counter.channel().reload(&settings).unwrap_err().to_string();
    assert!(error.contains("does not match its key") && error.contains("own.key"), "{error}");
    std::fs::write(&own.key, "no key").unwrap();
    assert!(matches!(counter.channel().reload(&settings), Err(ChannelError::BadFile { .. })));
    assert!(all.wait(counter.probe()).is_ok(), "the old one is still in use");

    let stranger = Authority::create(&all.dir.0.join("other")).unwrap().issue("box", For::Box).unwrap();
    put(&stranger);
    counter.channel().reload(&settings).unwrap();
    assert!(all.wait(counter.probe()).is_err(), "the new one is used, which this platform does not know");
    put(&all.certificates.shop_box);
    counter.channel().reload(&settings).unwrap();
    assert!(all.wait(counter.probe()).is_ok());
}

#[test]
fn a_certificate_that_does_not_match_its_key_is_said_before_anything_connects() {
    let dir = Dir::new();
    let made = Certificates::create(&dir.0).unwrap();
    assert!(check_pair(&made.shop_box.certificate, &made.shop_box.key).is_ok());
    let error = check_pair(&made.shop_box.certificate, &made.platform.key).unwrap_err();
    assert!(matches!(&error, ChannelError::NotAPair { .. }), "{error}");
    assert!(matches!(check_pair(&dir.0.join("none"), &made.platform.key), Err(ChannelError::BadFile { .. })));
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(std::fs::metadata(&made.shop_box.key).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(Certificates::load(&dir.0).unwrap(), made);
    for url in ["http://127.0.0.1", "127.0.0.1:1", "https://", "nonsense with spaces"] {
        let settings = ChannelSettings {
            url: url.to_owned(),
            ca_file: made.ca.clone(),
            certificate_file: made.shop_box.certificate.clone(),
            key_file: made.shop_box.key.clone(),
            pins: vec![made.platform.pin],
        };
        assert!(matches!(Channel::open(&settings), Err(ChannelError::BadUrl(_))), "{url}");
    }
}

#[test]
fn the_time_of_a_certificate_is_read_from_its_file() {
    let dir = Dir::new();
    let made = Certificates::create(&dir.0).unwrap();
    let now = jiff::Timestamp::now().as_millisecond();
    let days = |file: &Path| (certificate_life(file).unwrap().until.0 - now).div_euclid(86_400_000);
    assert!((823..=824).contains(&days(&made.shop_box.certificate)), "825 days from the beginning of today");
    assert!((-4..=-3).contains(&days(&made.expired.certificate)));
    let begun = (now - certificate_life(&made.shop_box.certificate).unwrap().from.0).div_euclid(86_400_000);
    assert!((1..=2).contains(&begun), "{begun} days ago");
    for half in ["-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n", ""] {
        std::fs::write(dir.0.join("half.pem"), half).unwrap();
        assert!(matches!(certificate_life(&dir.0.join("half.pem")), Err(ChannelError::BadFile { .. })));
    }
}

#[test]
fn calls_one_after_another_share_connections() {
    let all = Setup::new();
    let (address, count) = counting_proxy(all.sandbox.api);
    let counter = all.counter_with(&ChannelSettings { url: format!("https://{address}"), ..all.settings() });
    for n in 1..=40 {
        all.wait(counter.create(&create(n, 500))).unwrap();
    }
    // Not always one: a call may come before the connection of the one before is back in the pool.
    let connections = count.load(Ordering::SeqCst);
    assert!((1..=8).contains(&connections), "{connections} connections for 40 calls");
}

// What is refused.

#[test]
fn the_sandbox_refuses_what_the_document_does_not_allow() {
    let all = Setup::new();
    let path = format!("/v1/payments/{}", AttemptId(1));
    let good: Value = serde_json::from_slice(&all.counter.create_body(&create(1, 500))).unwrap();
    let with = |name: &str, value: Value| {
        let mut body = good.clone();
        body[name] = value;
        body.to_string()
    };
    let twice = good.to_string().replacen('{', r#"{"till":7,"#, 1);
    let twice_within = good.to_string().replacen(r#""exponent""#, r#""value":1,"exponent""#, 1);
    let unknown_twice = good.to_string().replacen('{', r#"{"new":[{"a":1,"a":1}],"#, 1);
    let table = [
        (unknown_twice, 400, "bad_json"),
        (twice, 400, "bad_json"),
        (twice_within, 400, "bad_json"),
        ("{".to_owned(), 400, "bad_json"),
        ("[]".to_owned(), 400, "bad_json"),
        (with("till", json!(0)), 400, "bad_request"),
        (with("till", json!("7")), 400, "bad_json"),
        (with("sale", json!("ABC")), 400, "bad_request"),
        (with("code", json!("")), 400, "bad_request"),
        (with("shop", json!("a\nb")), 400, "bad_request"),
        (with("return_url", json!("javascript:alert(1)")), 400, "bad_request"),
        (with("expires_in", json!(0)), 400, "bad_request"),
        (with("amount", json!({ "value": -1, "currency": "EUR", "exponent": 2 })), 400, "bad_json"),
        (with("amount", json!({ "value": 1.5, "currency": "EUR", "exponent": 2 })), 400, "bad_json"),
        (with("shop", json!("x".repeat(17 * 1024))), 413, "too_large"),
    ];
    for (body, status, code) in table {
        let answer = all.raw(Method::PUT, &path, Some(&body));
        let said = json_of(&answer);
        assert_eq!((answer.status, said["code"].as_str().unwrap()), (status, code), "{said} to {body:.300}");
        assert_eq!(answer.media_type, "application/problem+json");
    }
    assert_eq!(said(&all.wait(all.counter.query(AttemptId(1), 0, 0))), "NotFound", "none of it did anything");
    let unknown = with("brand_new", json!({ "x": [1, null, true] }));
    assert_eq!(all.raw(Method::PUT, &path, Some(&unknown)).status, 201, "unknown members are ignored");
    for (method, path, status) in [
        (Method::GET, "/v1/payments/ABC", 400),
        (Method::DELETE, path.as_str(), 405),
        (Method::GET, "/v2/platform", 404),
        (Method::GET, "/v1/payments?since=-1", 400),
    ] {
        assert_eq!(all.raw(method, path, None).status, status, "{path}");
    }
}

#[test]
fn an_answer_that_breaks_a_rule_of_the_protocol_is_unknown() {
    let good = r#"{"id":"00000000000000000000000000000001","version":1,"status":"paid","tries":0,
        "amount":{"value":500,"currency":"EUR","exponent":2},"paid":500,"refunded":0}"#;
    let ok = |body: String| {
        format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    };
    let problem = |status: &str, code: &str| {
        let body = format!(r#"{{"code":"{code}"}}"#);
        let length = body.len();
        format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/problem+json\r\ncontent-length: {length}\r\n\r\n{body}"
        )
    };
    let table = [
        (ok(good.to_owned()), "Paid"),
        (ok(good.replace("\"tries\"", "\"news\":{\"a\":1},\"tries\"")), "Paid"),
        (ok(good.replace("\"tries\"", "\"paid\":0,\"tries\"")), "Unknown"),
        (ok(good.replace("\"tries\"", "\"news\":{\"a\":1,\"a\":2},\"tries\"")), "Unknown"),
        (ok(good.replace("\"paid\",", "\"settled\",")), "Unknown"),
        (ok(good.replace("\"exponent\":2", "\"exponent\":3")), "Unknown"),
        (ok(good.replace("EUR", "XXX")), "Unknown"),
        (ok(good.replace("500,\"currency\"", "1e12,\"currency\"")), "Unknown"),
        (ok(good.replace("500,\"currency\"", "1000000000000,\"currency\"")), "Unknown"),
        (ok(good.replace("\"paid\":500,", "")), "Unknown"),
        (ok(good.replace("\"tries\"", "\"checkout_url\":\"javascript:1\",\"tries\"")), "Unknown"),
        (ok(format!("{good}{}", " ".repeat(17 * 1024))), "Unknown"),
        (ok(good.to_owned()).replace("application/json", "text/html"), "Unknown"),
        (ok(good.to_owned()).replace("200 OK", "302 Found"), "Unknown"),
        (problem("404", "not_found"), "NotFound"),
        (problem("404", "no_such_call"), "Unknown"),
        (problem("404", "not_found").replace("problem+", ""), "Unknown"),
        (problem("410", "tombstone"), "Refused(Tombstone)"),
        (problem("409", "conflict"), "Unknown"),
        (problem("401", "x"), "Unknown"),
        (problem("403", "merchant_blocked"), "Unknown"),
        (problem("429", "busy"), "Unknown"),
        (problem("503", "not_found"), "Unknown"),
        ("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{".to_owned(), "Unknown"),
        ("nonsense\r\n\r\n".to_owned(), "Unknown"),
    ];
    let dir = Dir::new();
    let made = Certificates::create(&dir.0).unwrap();
    let runtime = runtime();
    for (answer, wanted) in table {
        let address = canned(&runtime, &made, answer.clone());
        let counter = counter_at(address, &made);
        let heard = runtime.block_on(counter.query(AttemptId(1), 0, 0));
        assert_eq!(said(&heard), wanted, "{answer:.400}");
    }
    let blocked = counter_at(canned(&runtime, &made, problem("403", "merchant_blocked")), &made);
    let refused = runtime.block_on(blocked.create(&create(1, 500)));
    assert_eq!(said(&refused), "Refused(Payment(NotAllowed))");
}

// The document.

#[test]
fn every_example_of_the_document_is_what_the_sandbox_says() {
    let all = Setup::new();
    let text = std::fs::read_to_string("docs/counter-payment-protocol.md").unwrap();
    let (mut played, mut link) = (0, None);
    let mut rest = text.as_str();
    while let Some(at) = ["```http\n", "<!-- checkout: "].iter().filter_map(|m| rest.find(m)).min() {
        rest = &rest[at..];
        if let Some(action) = rest.strip_prefix("<!-- checkout: ") {
            let (words, after) = action.split_once(" -->").unwrap();
            let (account, password) = words.split_once(' ').unwrap();
            let form = format!("action=pay&account={account}&password={password}");
            let url: &String = link.as_ref().unwrap();
            assert_eq!(http(all.sandbox.public, "POST", url, Some(&form)).0, 303);
            rest = after;
            continue;
        }
        let (asked, after) = rest.strip_prefix("```http\n").unwrap().split_once("```\n").unwrap();
        let (wanted, after) = after.strip_prefix("```http\n").expect("an answer").split_once("```\n").unwrap();
        rest = after;
        let (head, body) = asked.split_once("\n\n").unwrap_or((asked, ""));
        let [method, path, _] = head.lines().next().unwrap().split(' ').collect::<Vec<_>>()[..] else {
            panic!("{head}")
        };
        let body = Some(body.trim()).filter(|b| !b.is_empty());
        let answer = all.raw(method.parse().unwrap(), path, body);
        let (wanted_head, wanted_body) = wanted.split_once("\n\n").unwrap();
        let status = wanted_head.split(' ').nth(1).unwrap();
        assert_eq!(answer.status.to_string(), status, "{head}");
        assert!(wanted_head.contains(&format!("Content-Type: {}", answer.media_type)), "{head}");
        let (real, written) = (json_of(&answer), serde_json::from_str::<Value>(wanted_body).unwrap());
        alike(&real, &written, head);
        if let Some(url) = real["checkout_url"].as_str() {
            link = Some(url.splitn(4, '/').nth(3).map(|p| format!("/{p}")).unwrap());
        }
        played += 1;
    }
    assert_eq!(played, 16, "all examples were found");
}

#[test]
fn the_openapi_description_names_every_call_and_code_of_the_document() {
    let api = std::fs::read_to_string("docs/counter-payment-protocol.openapi.yaml").unwrap();
    for path in [
        "/v1/payments/{id}:",
        "/v1/payments/{id}/cancel:",
        "/v1/payments/{id}/refunds/{refund}:",
        "/v1/payments:",
        "/v1/platform:",
        "/v1/enrolments:",
        "/v1/renewals:",
    ] {
        assert!(api.contains(&format!("\n  {path}\n")), "{path}");
    }
    for word in [
        "awaiting, processing, paid, failed, expired, cancelled",
        "accepted, done, refused",
        "mutualTLS",
        "code_unknown, code_used, code_expired, bad_csr, too_many_tries",
    ] {
        assert!(api.contains(word), "{word}");
    }
}

// The desk.

#[test]
fn every_call_at_the_desk_is_answered_by_exactly_one_event() {
    let all = Setup::new();
    let (inbox, mut take) = Inbox::new();
    let desk = Desk::start(all.runtime.handle(), Arc::clone(&all.counter), inbox);
    let attempt = AttemptId(1);
    let calls = [
        PlatformCall::Create(Box::new(create(1, 500))),
        PlatformCall::Query { attempt, version: 0, wait_secs: 0 },
        PlatformCall::Cancel { attempt },
        PlatformCall::Refund { attempt, refund: RefundId(1), amount: eur(1) },
        PlatformCall::QueryRefund { attempt, refund: RefundId(1) },
        PlatformCall::Probe,
        PlatformCall::List { since: String::new() },
    ];
    for call in &calls {
        assert!(desk.call(call.clone()));
    }
    let mut kinds = BTreeSet::new();
    for _ in &calls {
        let event = all.wait(take.recv()).unwrap().event;
        let Event::Platform(event) = event else { panic!("{event:?}") };
        kinds.insert(match event {
            PlatformEvent::Answered { call, .. } => format!("{call:?}"),
            PlatformEvent::RefundAnswered { .. } => "refund".to_owned(),
            PlatformEvent::Line { up } => format!("line {up}"),
            PlatformEvent::Listed { answer } => format!("listed {}", answer.is_ok()),
        });
    }
    assert_eq!(
        kinds.into_iter().collect::<Vec<_>>().join(", "),
        "Cancel, Create, Query, line true, listed true, refund"
    );
    assert!(take.try_recv().is_err(), "and no more");
}

#[test]
fn held_queries_never_hold_up_other_calls() {
    let all = Setup::new();
    all.wait(all.counter.create(&create(1, 500))).unwrap();
    let (inbox, mut take) = Inbox::new();
    let desk = Desk::start(all.runtime.handle(), Arc::clone(&all.counter), inbox);
    for _ in 0..HELD_MAX + CALLS_MAX {
        desk.call(PlatformCall::Query { attempt: AttemptId(1), version: 1, wait_secs: 25 });
    }
    desk.call(PlatformCall::Probe);
    let first = all.wait(take.recv()).unwrap().event;
    assert_eq!(first, Event::Platform(PlatformEvent::Line { up: true }));
    desk.call(PlatformCall::Cancel { attempt: AttemptId(1) });
    for _ in 0..HELD_MAX + CALLS_MAX + 1 {
        let event = all.wait(take.recv()).unwrap().event;
        let Event::Platform(PlatformEvent::Answered { answer: Ok(payment), .. }) = event else { panic!("{event:?}") };
        assert_eq!(payment.status, PaymentStatus::Cancelled);
    }
}

// Below: how the tests stand, and how they speak.

struct Dir(PathBuf);

impl Dir {
    fn new() -> Dir {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("tillgate-platform-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::SeqCst));
        let dir = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&dir).unwrap();
        Dir(dir)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

struct Setup {
    counter: Arc<Counter>,
    sandbox: Sandbox,
    certificates: Certificates,
    runtime: Runtime,
    dir: Dir,
}

impl Setup {
    fn new() -> Setup {
        Setup::with(|_| ())
    }

    fn with(change: impl FnOnce(&mut SandboxSettings)) -> Setup {
        let dir = Dir::new();
        let certificates = Certificates::create(&dir.0.join("tls")).unwrap();
        let runtime = runtime();
        let mut settings = SandboxSettings::within(&dir.0, certificates.clone());
        settings.times = Times { slow_ms: 300, late_ms: 300, expires_in_min_secs: 1, ..Times::default() };
        change(&mut settings);
        let sandbox = Sandbox::start(runtime.handle(), settings).unwrap();
        let counter = Arc::new(counter_at(sandbox.api, &certificates));
        Setup { counter, sandbox, certificates, runtime, dir }
    }

    fn wait<F: Future>(&self, future: F) -> F::Output {
        let limited = async { tokio::time::timeout(PATIENCE * 2, future).await };
        self.runtime.block_on(limited).expect("an answer in time")
    }

    fn restart(&mut self) {
        let settings = SandboxSettings::within(&self.dir.0, self.certificates.clone());
        let dummy = SandboxSettings { db_file: self.dir.0.join("other.db"), ..settings.clone() };
        let other = Sandbox::start(self.runtime.handle(), dummy).unwrap();
        let old = std::mem::replace(&mut self.sandbox, other);
        let settings = SandboxSettings { api_listen: old.api, public_listen: old.public, ..settings };
        self.wait(old.stop());
        self.sandbox = Sandbox::start(self.runtime.handle(), settings).unwrap();
    }

    fn query(&self, id: u128) -> Payment {
        self.wait(self.counter.query(AttemptId(id), 0, 0)).unwrap()
    }

    fn books(&self) -> Vec<BookLine> {
        let lines = books(&self.dir.0.join("sandbox.db")).unwrap();
        for line in &lines {
            assert_eq!(line.moved_minor, i64::try_from(line.paid_minor - line.refunded_minor).unwrap(), "{line:?}");
        }
        lines
    }

    fn settings(&self) -> ChannelSettings {
        settings_of(&self.sandbox, &self.certificates, &self.certificates.shop_box)
    }

    fn counter_with(&self, settings: &ChannelSettings) -> Counter {
        Counter::new(Channel::open(settings).unwrap(), counter_settings())
    }

    /// What the protocol's client is not able to say wrongly.
    fn raw(&self, method: Method, path: &str, body: Option<&str>) -> Answer {
        let body = body.map(|b| b.as_bytes().to_vec());
        let call = self.counter.channel().call(method, path, body, Duration::from_secs(30), 1 << 20);
        self.wait(call).unwrap()
    }

    /// Signs in as a browser does and returns the page that follows.
    fn sign_in(&self, payment: &Payment, account: &str, password: &str) -> String {
        self.post(payment, &format!("account={account}&password={password}&action=pay"))
    }

    fn post(&self, payment: &Payment, form: &str) -> String {
        let (status, head) = http(self.sandbox.public, "POST", &path_of(payment), Some(form));
        assert_eq!(status, 303, "{head}");
        http(self.sandbox.public, "GET", &path_of(payment), None).1
    }

    fn fault(&self, call: &str, fault: &str, ms: u64) {
        let body = json!({ "call": call, "fault": fault, "count": 1, "ms": ms }).to_string();
        let (status, text) = http(self.sandbox.admin, "POST", "/api/faults", Some(&body));
        assert_eq!(status, 204, "{text}");
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn settings_at(address: SocketAddr, certificates: &Certificates, own: &Pair) -> ChannelSettings {
    ChannelSettings {
        url: format!("https://{address}"),
        ca_file: certificates.ca.clone(),
        certificate_file: own.certificate.clone(),
        key_file: own.key.clone(),
        pins: vec![certificates.platform.pin],
    }
}

fn settings_of(sandbox: &Sandbox, certificates: &Certificates, own: &Pair) -> ChannelSettings {
    settings_at(sandbox.api, certificates, own)
}

fn counter_settings() -> CounterSettings {
    CounterSettings { shop_name: "Caf\u{e9} <Corner>".to_owned(), portal_url: "http://10.77.0.1".to_owned() }
}

fn counter_at(address: SocketAddr, certificates: &Certificates) -> Counter {
    let settings = settings_at(address, certificates, &certificates.shop_box);
    Counter::new(Channel::open(&settings).unwrap(), counter_settings())
}

fn eur(minor: u64) -> Amount {
    Amount::from_minor(minor, Currency::from_code("EUR").unwrap()).unwrap()
}

fn create(id: u128, minor: u64) -> Create {
    Create {
        attempt: AttemptId(id),
        sale: SaleId(id + 1_000),
        till: TillNumber::new(7).unwrap(),
        amount: eur(minor),
        code: Code::parse("K7").unwrap(),
        session: SessionId(42),
        expires_in_secs: 120,
    }
}

/// One word for what was concluded.
fn said(answer: &Result<Payment, CallError>) -> String {
    match answer {
        Ok(payment) => format!("{:?}", payment.status),
        Err(error) => format!("{error:?}"),
    }
}

fn path_of(payment: &Payment) -> String {
    let url = payment.link.as_ref().expect("an open payment").as_str();
    format!("/{}", url.splitn(4, '/').nth(3).unwrap())
}

fn json_of(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap()
}

fn body_of(answer: &str) -> Value {
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

/// Same members and same values, save those that differ each time.
fn alike(real: &Value, written: &Value, head: &str) {
    let (Some(real_members), Some(written_members)) = (real.as_object(), written.as_object()) else {
        return assert_eq!(real, written, "{head}");
    };
    let names = |of: &serde_json::Map<String, Value>| of.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(real_members), names(written_members), "{head}");
    for (name, value) in real_members {
        let other = &written_members[name];
        match name.as_str() {
            "created_at" | "expires_at" | "paid_at" | "at" | "time" => {
                assert!(value.as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
                assert_eq!(value.as_str().unwrap().len(), other.as_str().unwrap().len(), "{head}: {name}");
            }
            "expires_in" | "checkout_url" | "checkout_hosts" | "expires_in_min" => (),
            "currencies" => assert!(value.as_array().unwrap().contains(&other[0]), "{head}: {name}"),
            "payments" => alike(&value[0], &other[0], head),
            _ => alike(value, other, &format!("{head}: {name}")),
        }
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let tcp = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
    tcp.set_read_timeout(Some(PATIENCE)).unwrap();
    tcp
}

fn exchange(address: SocketAddr, request: &[u8]) -> (u16, String) {
    let mut tcp = connect(address);
    tcp.write_all(request).unwrap();
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).unwrap();
    (answer.split(' ').nth(1).unwrap().parse().unwrap(), answer)
}

/// One request on a connection of its own: status, and head and body as text.
fn http(address: SocketAddr, method: &str, path: &str, body: Option<&str>) -> (u16, String) {
    let body = body.unwrap_or_default();
    let kind = if body.starts_with('{') { "application/json" } else { "application/x-www-form-urlencoded" };
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    exchange(address, request.as_bytes())
}

/// Passes bytes on to `target` and counts connections.
fn counting_proxy(target: SocketAddr) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, count) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&count);
    std::thread::spawn(move || {
        for near in listener.incoming().map_while(Result::ok) {
            counted.fetch_add(1, Ordering::SeqCst);
            let far = connect(target);
            for (mut from, mut to) in
                [(near.try_clone().unwrap(), far.try_clone().unwrap()), (far.try_clone().unwrap(), near)]
            {
                std::thread::spawn(move || std::io::copy(&mut from, &mut to));
            }
        }
    });
    (address, count)
}

/// A platform with the right certificate that gives this one answer to the first request, byte for byte.
fn canned(runtime: &Runtime, certificates: &Certificates, answer: String) -> SocketAddr {
    use rustls::pki_types::pem::PemObject;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let read = |file: &Path| rustls::pki_types::CertificateDer::from_pem_file(file).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::from_pem_file(&certificates.platform.key).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![read(&certificates.platform.certificate)], key)
        .unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(async move {
        let (tcp, _) = listener.accept().await.unwrap();
        let mut tls = tokio_rustls::TlsAcceptor::from(Arc::new(config)).accept(tcp).await.unwrap();
        let mut asked = [0; 4096];
        let _ = tls.read(&mut asked).await;
        tls.write_all(answer.as_bytes()).await.unwrap();
        let _ = tls.shutdown().await;
    });
    assert!(HERE.contains(&"127.0.0.1"));
    address
}
