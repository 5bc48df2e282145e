//! The public crate zvt as a till over TCP: whole payments and everything that a shop does with them, with the daemon and
//! the till's program killed in between.

use crate::rig::{Dress, Phone, Rig, eventually};
use std::io::{BufRead, BufReader, Write};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Once;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use tillgate::shop::effect::{CancelledWhy, DeclinedWhy, Outcome};
use tillgate::shop::sale::Telling;
use tillgate::store::SaleLine;

/// Longer than anything here takes on a busy machine, but for what is waited out.
const WAIT: Duration = Duration::from_secs(45);
/// As customers type it.
const TILL: &str = "8";
/// In minor units; its digits in BCD look like the begin and end of a frame.
const PRICE: u64 = 1_002;

#[test]
fn a_customer_pays() {
    let shop = Shop::new();
    let mut till = shop.till();
    let mut phone = shop.paired();
    till.asks(&format!("pay {PRICE}"));
    confirm_and_pay(&mut phone);
    let heard = till.ends_well();
    let status = only(&heard, "StatusInformation(");
    assert_eq!((field(status, "result_code"), field(status, "amount")), (0, PRICE), "{status}");
    assert!(field(status, "receipt_no") > 0 && field(status, "trace_number") > 0, "{status}");
    assert!(status.contains("currency: Some(978)"), "{status}");
    let receipt = printed(&heard);
    assert!(receipt.contains("PAID") && receipt.contains("10.02"), "{receipt}");
    phone.reads("Paid. Thank you!");
    let sale = shop.settled_on_one();
    assert_eq!((sale.outcome(), sale.telling()), (Some(Outcome::Approved), Some(Telling::Taken)));
}

#[test]
fn amounts_without_a_currency_are_the_shops() {
    let shop = Shop::new();
    let mut till = shop.till();
    let mut phone = shop.paired();
    till.asks("register-without-currency");
    till.ends_well();
    till.asks(&format!("pay-amount-only {PRICE}"));
    confirm_and_pay(&mut phone);
    let heard = till.ends_well();
    let status = only(&heard, "StatusInformation(");
    assert_eq!((field(status, "result_code"), field(status, "amount")), (0, PRICE), "{status}");
    assert_eq!(shop.settled_on_one().outcome(), Some(Outcome::Approved));
}

#[test]
fn a_customer_refuses() {
    let shop = Shop::new();
    let mut till = shop.till();
    let mut phone = shop.paired();
    till.asks(&format!("pay {PRICE}"));
    phone.sees("/confirm");
    phone.send("/decline");
    let (_, why) = till.ends_badly();
    assert_eq!(why, "aborted 6C");
    assert_eq!(shop.settled_on_one().outcome(), Some(Outcome::Declined(DeclinedWhy::Customer)));
}

#[test]
fn an_amount_that_the_shop_does_not_take_is_refused_at_once() {
    let shop = Shop::new();
    let mut till = shop.till();
    for (amount, code) in [(5, "C8"), (100_001, "C3")] {
        till.asks(&format!("pay {amount}"));
        let (heard, why) = till.ends_badly();
        assert!(why.contains(code), "{why} {heard:?}");
    }
    assert!(shop.rig.sales().is_empty());
}

#[test]
fn a_customer_who_is_too_slow_pays_nothing() {
    let shop = Shop::new();
    let mut till = shop.till();
    let mut phone = shop.paired();
    till.asks(&format!("pay {PRICE}"));
    phone.sees("/confirm");
    let begun = Instant::now();
    let (heard, why) = till.ends_badly_within(Duration::from_secs(PATIENCE_SECS + 30));
    assert_eq!(why, "aborted 6C");
    assert!(begun.elapsed() > Duration::from_secs(PATIENCE_SECS / 2), "it ended after {:?}", begun.elapsed());
    assert!(heard.iter().any(|line| line.starts_with("IntermediateStatusInformation(")), "{heard:?}");
    phone.reads("Not paid");
    assert!(matches!(shop.settled_on_one().outcome(), Some(Outcome::Lapsed | Outcome::Cancelled(CancelledWhy::Clock))));
}

#[test]
fn the_till_aborts() {
    let shop = Shop::new();
    let mut till = shop.till();
    let mut phone = shop.paired();
    till.asks("abort-at-first-status");
    till.ends_well();
    till.asks(&format!("pay {PRICE}"));
    let (heard, why) = till.ends_badly();
    assert_eq!(why, "aborted 6C");
    assert!(heard.contains(&"abort accepted".to_owned()), "{heard:?}");
    phone.reads("Not paid");
    assert_eq!(shop.settled_on_one().outcome(), Some(Outcome::Cancelled(CancelledWhy::Till)));
}

#[test]
fn what_a_till_asks_between_sales_is_answered() {
    let shop = Shop::new();
    let mut till = shop.till();
    for ask in ["status", "diagnosis", "initialise", "reset", "register-with-tlv", "register"] {
        till.asks(ask);
        let heard = till.ends_well();
        assert!(heard.last().unwrap().starts_with("CompletionData("), "{ask}: {heard:?}");
    }
    // Reservations are not for phones.
    till.asks("reserve 1250");
    till.ends_badly();
    till.asks("status");
    till.ends_well();
}

#[test]
fn a_payment_is_taken_back_by_its_receipt_number_once() {
    let shop = Shop::new();
    let mut till = shop.till();
    let receipt = shop.paid(&mut till, PRICE);
    till.asks(&format!("reverse {receipt}"));
    let heard = till.ends_well();
    let status = only(&heard, "StatusInformation(");
    assert_eq!((field(status, "result_code"), field(status, "amount")), (0, PRICE), "{status}");
    assert!(field(status, "receipt_no") > receipt, "a return has a number of its own: {status}");
    assert!(printed(&heard).contains("10.02"), "{heard:?}");
    let sale = shop.settled_on_one();
    assert_eq!((sale.outcome(), sale.given_back_minor), (Some(Outcome::Approved), PRICE));
    for (receipt, code) in [(receipt, "B4"), (4_711, "B5")] {
        till.asks(&format!("reverse {receipt}"));
        let (heard, why) = till.ends_badly();
        assert_eq!(why, format!("aborted {code}"), "{heard:?}");
    }
    assert_eq!(shop.rig.payments()[0].refunded_minor, PRICE);
}

#[test]
fn parts_are_given_back_by_receipt_number_until_nothing_is_left() {
    let shop = Shop::new();
    let mut till = shop.till();
    let receipt = shop.paid(&mut till, PRICE);
    till.asks(&format!("refund 500 {receipt}"));
    assert_eq!(field(only(&till.ends_well(), "StatusInformation("), "amount"), 500);
    till.asks(&format!("refund 503 {receipt}"));
    assert_eq!(till.ends_badly().1, "aborted C3");
    till.asks(&format!("reverse {receipt}"));
    assert_eq!(field(only(&till.ends_well(), "StatusInformation("), "amount"), 502);
    assert_eq!(shop.settled_on_one().given_back_minor, PRICE);
    assert_eq!(shop.rig.payments()[0].refunded_minor, PRICE);
}

#[test]
fn without_a_receipt_number_the_phone_at_the_till_is_repaid_if_its_owner_says_which_payment() {
    let shop = Shop::new();
    let mut till = shop.till();
    let mut phone = shop.paired();
    till.asks(&format!("pay {PRICE}"));
    confirm_and_pay(&mut phone);
    till.ends_well();
    phone.sees("/finish");
    phone.send("/finish");
    phone.stands_at(TILL);
    let (form, sale) = (phone.form(), shop.rig.sales()[0].id.to_string());
    till.asks("refund 500");
    let mut asked = None;
    eventually("the phone is asked", || {
        asked = shop.rig.sales().iter().find(|line| line.open).map(|line| line.id.to_string());
        asked.is_some()
    });
    let asked = asked.unwrap();
    let fields = [("form", form.as_str()), ("asked", &asked), ("sale", &sale), ("minor", "500"), ("currency", "EUR")];
    assert_eq!(phone.posts("choose", &fields), 303);
    let heard = till.ends_well();
    assert_eq!(field(only(&heard, "StatusInformation("), "amount"), 500, "{heard:?}");
    assert_eq!(shop.settled_on_one().given_back_minor, 500);
    assert_eq!(shop.rig.payments()[0].refunded_minor, 500);
}

#[test]
fn without_a_receipt_number_nothing_goes_back_when_no_phone_stands_at_the_till() {
    let shop = Shop::new();
    let mut till = shop.till();
    shop.paid(&mut till, PRICE);
    till.asks("refund 500");
    assert_eq!(till.ends_badly().1, "aborted 83");
    assert_eq!(shop.settled_on_one().given_back_minor, 0);
}

#[test]
fn the_day_ends_with_the_sums_of_the_books_and_the_next_one_begins_at_nothing() {
    let shop = Shop::new();
    let mut till = shop.till();
    let receipt = shop.paid(&mut till, PRICE);
    shop.paid(&mut till, 310);
    till.asks(&format!("refund 500 {receipt}"));
    till.ends_well();
    let kept: u64 = shop.settled().iter().map(|sale| sale.amount.minor() - sale.given_back_minor).sum();
    assert_eq!(kept, PRICE + 310 - 500);
    till.asks("end-of-day");
    let heard = till.ends_well();
    assert_eq!(field(only(&heard, "StatusInformation("), "amount"), kept, "{heard:?}");
    let receipt = printed(&heard);
    for sum in ["13.12", "5.00"] {
        assert!(receipt.contains(sum), "{receipt}");
    }
    till.asks("end-of-day");
    assert_eq!(field(only(&till.ends_well(), "StatusInformation("), "amount"), 0);
}

#[test]
fn the_daemon_killed_between_request_and_result_tells_the_result_when_asked_again() {
    let mut shop = Shop::new();
    let mut till = shop.till();
    let mut phone = shop.paired();
    till.asks(&format!("pay {PRICE}"));
    let link = confirm(&mut phone);
    shop.rig.kill();
    till.ends_badly();
    assert!(phone.pays(&link, "anna").contains("Thank you"));
    shop.rig.start();
    shop.is_ready(2);
    let mut till = shop.till();
    let status = till.repeats_until_told();
    assert_eq!((field(&status, "result_code"), field(&status, "amount")), (0, PRICE), "{status}");
    phone.reads("Paid. Thank you!");
    let sale = shop.settled_on_one();
    assert_eq!((sale.outcome(), sale.telling()), (Some(Outcome::Approved), Some(Telling::Taken)));
}

#[test]
fn the_daemon_killed_after_it_was_asked_to_take_back_a_payment_takes_it_back_once() {
    let mut shop = Shop::new();
    let mut till = shop.till();
    let receipt = shop.paid(&mut till, PRICE);
    till.asks("hold");
    till.ends_well();
    till.asks(&format!("reverse {receipt}"));
    till.hears("StatusInformation(");
    shop.rig.kill();
    drop(till);
    shop.rig.start();
    shop.is_ready(2);
    let mut till = shop.till();
    let status = till.repeats_until_told();
    assert_eq!((field(&status, "result_code"), field(&status, "amount")), (0, PRICE), "{status}");
    till.asks(&format!("reverse {receipt}"));
    assert_eq!(till.ends_badly().1, "aborted B4");
    assert_eq!(shop.settled_on_one().given_back_minor, PRICE);
    assert_eq!(shop.rig.payments()[0].refunded_minor, PRICE);
}

#[test]
fn the_till_killed_between_result_and_acknowledgement_never_costs_the_customer() {
    let shop = Shop::new();
    let mut till = shop.till();
    let mut phone = shop.paired();
    till.asks("hold");
    till.ends_well();
    till.asks(&format!("pay {PRICE}"));
    confirm_and_pay(&mut phone);
    till.hears("StatusInformation(");
    drop(till);
    let mut till = shop.till();
    let status = till.repeats_until_told();
    // What the till is told now is what the books say: paid and kept, or gone back.
    let sale = shop.settled_on_one();
    let kept = sale.outcome() == Some(Outcome::Approved) && sale.given_back_minor == 0;
    assert_eq!(field(&status, "result_code") == 0, kept, "{status} {sale:?}");
}

#[test]
fn money_whose_result_no_till_took_goes_back_where_the_shop_wants_that_and_the_till_hears_so() {
    let shop = Shop::with("\n[rules]\nunheard = \"refund\"\nunheard_refund_after_secs = 10\n");
    let mut till = shop.till();
    let mut phone = shop.paired();
    till.asks("hold");
    till.ends_well();
    till.asks(&format!("pay {PRICE}"));
    confirm_and_pay(&mut phone);
    till.hears("StatusInformation(");
    drop(till);
    eventually("the money goes back", || shop.rig.payments()[0].refunded_minor == PRICE);
    eventually("the shop hears of it", || shop.settled_on_one().given_back_minor == PRICE);
    let status = shop.till().repeats_until_told();
    assert_eq!(field(&status, "result_code"), 0xb4, "{status}");
}

/// The shop with one till that speaks ZVT over TCP, besides the rig's own.
struct Shop {
    rig: Rig,
    at: String,
}

/// How long the customer may take.
const PATIENCE_SECS: u64 = 60;

impl Shop {
    fn new() -> Shop {
        Shop::with("")
    }

    /// With this in its configuration besides, as soon as the daemon takes tills.
    fn with(besides: &str) -> Shop {
        let at = format!("{}:20007", own_address());
        let more = format!(
            "\n[[till]]\nnumber = {TILL}\nlabel = \"Bar\"\nport = \"tcp://{at}\"\npeer = \"127.0.0.1\"\n\
             protocol = \"zvt\"\n\n[till.zvt]\nlongest_wait_secs = {PATIENCE_SECS}\n{besides}"
        );
        let mut rig = Rig::dressed(Dress { more, ..Dress::default() });
        rig.start();
        let shop = Shop { rig, at };
        shop.is_ready(1);
        shop
    }

    /// Waits until the daemon has said so many times that it is ready.
    fn is_ready(&self, times: usize) {
        eventually("the daemon is ready", || self.rig.log().matches(" ready portal").count() == times);
    }

    /// The till's program, registered.
    fn till(&self) -> Program {
        let mut till = Program::start(&self.at);
        till.asks("register");
        till.ends_well();
        till
    }

    fn paired(&self) -> Phone {
        let mut phone = self.rig.phone();
        phone.stands_at(TILL);
        phone
    }

    /// A whole payment; its receipt number. The phone has gone after it.
    fn paid(&self, till: &mut Program, minor: u64) -> u64 {
        let mut phone = self.paired();
        till.asks(&format!("pay {minor}"));
        confirm_and_pay(&mut phone);
        let heard = till.ends_well();
        phone.sees("/finish");
        phone.send("/finish");
        field(only(&heard, "StatusInformation("), "receipt_no")
    }

    /// The only payment, once shop and platform agree on it.
    fn settled_on_one(&self) -> SaleLine {
        let mut sales = self.settled();
        assert_eq!(sales.len(), 1, "{sales:?}");
        sales.remove(0)
    }

    /// The payments, once shop and platform agree on them.
    fn settled(&self) -> Vec<SaleLine> {
        let mut all = self.rig.books_agree();
        all.retain(|line| !matches!(line.outcome(), Some(Outcome::Returned { .. })));
        all
    }
}

/// The till's program; what it prints.
struct Program {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
}

impl Program {
    fn start(at: &str) -> Program {
        let mut child = Command::new(program())
            .arg(at)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (tell, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = tell.send(line); // The test may be over.
            }
        });
        Program { child, stdin, lines }
    }

    fn asks(&mut self, what: &str) {
        writeln!(self.stdin, "{what}").unwrap();
    }

    /// What it hears until its command has ended well.
    fn ends_well(&mut self) -> Vec<String> {
        let (heard, end) = self.ends(WAIT);
        assert_eq!(end, "ok", "{heard:?}");
        heard
    }

    /// What it hears until its command has failed, and why.
    fn ends_badly(&mut self) -> (Vec<String>, String) {
        self.ends_badly_within(WAIT)
    }

    fn ends_badly_within(&mut self, wait: Duration) -> (Vec<String>, String) {
        let (heard, end) = self.ends(wait);
        let why = end.strip_prefix("failed: ").unwrap_or_else(|| panic!("it ends well: {heard:?}"));
        (heard, why.to_owned())
    }

    fn ends(&mut self, wait: Duration) -> (Vec<String>, String) {
        let mut heard = Vec::new();
        loop {
            let line = self.lines.recv_timeout(wait).unwrap_or_else(|_| panic!("no end: {heard:?}"));
            if line == "ok" || line.starts_with("failed: ") {
                return (heard, line);
            }
            heard.push(line);
        }
    }

    /// Waits for a message of this kind.
    fn hears(&mut self, kind: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(WAIT).expect("it hears nothing of the kind");
            if line.starts_with(kind) {
                return line;
            }
        }
    }

    /// Asks for the last result until the box has one.
    fn repeats_until_told(&mut self) -> String {
        let mut told = None;
        eventually("the box tells the result", || {
            self.asks("repeat");
            let (heard, _) = self.ends(WAIT);
            told = heard.into_iter().find(|line| line.starts_with("StatusInformation("));
            told.is_some()
        });
        told.unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The till's program, built when it is first wanted: it is no part of the package that is tested here.
fn program() -> PathBuf {
    static BUILT: Once = Once::new();
    BUILT.call_once(|| {
        let cargo = std::env::var_os("CARGO").expect("run by cargo");
        let build = ["build", "--quiet", "--locked", "--package", "tillgate-zvt-client"];
        let built = Command::new(cargo).args(build).current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap();
        assert!(built.success(), "cannot build the till's program: see above");
    });
    PathBuf::from(env!("CARGO_BIN_EXE_tillgate")).with_file_name("tillgate-zvt-client")
}

/// Loopback addresses that nobody else has.
fn own_address() -> Ipv4Addr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 64 | (high & 63), low, NEXT.fetch_add(1, Ordering::Relaxed))
}

fn confirm(phone: &mut Phone) -> String {
    phone.sees("/confirm");
    phone.send("/confirm");
    phone.checkout(None)
}

fn confirm_and_pay(phone: &mut Phone) {
    let link = confirm(phone);
    assert!(phone.pays(&link, "anna").contains("Thank you"));
}

fn only<'a>(heard: &'a [String], kind: &str) -> &'a str {
    let mut found = heard.iter().filter(|line| line.starts_with(kind));
    let only = found.next().unwrap_or_else(|| panic!("no {kind} in {heard:?}"));
    assert_eq!(found.next(), None);
    only
}

/// The number in `name: Some(number)`.
fn field(message: &str, name: &str) -> u64 {
    let rest = message.split(&format!(" {name}: Some(")).nth(1).unwrap_or_else(|| panic!("no {name} in {message}"));
    rest.split(')').next().unwrap().parse().unwrap()
}

/// What was printed, line by line.
fn printed(heard: &[String]) -> String {
    let lines = heard.iter().filter_map(|line| line.strip_prefix("PrintLine(PrintLine {")?.split("text: \"").nth(1));
    lines.map(|line| line.trim_end_matches("\" })")).collect::<Vec<_>>().join("\n")
}
