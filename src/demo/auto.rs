//! One payment that plays itself, with everything that commonly goes wrong on the way, and a look into all three books.

use super::visitor::{Failed, Visitor};
use super::{Scene, TILL};
use crate::sandbox::{self, PASSWORD};
use crate::shop::event::{Span, TillNumber};
use crate::shop::money::{Amount, Currency};
use crate::store::{self, Books, Filter};
use crate::till::player::{Ended, Outcome, PlayError, Player, Shown, TillResult};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// How long each step may take.
const STEP: u64 = 15;
/// What is bought.
const PRICE: &str = "12.50";
/// How long the till waits.
const PATIENCE_SECS: u64 = 120;

/// Prints one line a step, with the time since the last.
struct Steps {
    last: Instant,
    began: Instant,
}

impl Steps {
    fn done(&mut self, what: &str) {
        println!("{:>8.3} s  {what}", self.last.elapsed().as_secs_f64());
        self.last = Instant::now();
    }
}

/// Plays it. True if everything happened and the books agree; what differs is printed.
pub(super) fn play(mut scene: Scene, began: Instant) -> Result<bool, Failed> {
    let mut steps = Steps { last: began, began };
    steps.done("daemon, platform and till are up");
    let played = pay(&mut scene, &mut steps);
    let differs = match &played {
        Ok(result) => compare(&mut scene, result)?,
        Err(error) => vec![error.to_string()],
    };
    scene.daemon.stop()?;
    scene.runtime.block_on(scene.platform.stop());
    if differs.is_empty() {
        steps.done("the books of shop, platform and till agree");
        println!("{:>8.3} s  in all: everything happened", steps.began.elapsed().as_secs_f64());
    }
    for what in &differs {
        println!("NOT SO: {what}");
    }
    Ok(differs.is_empty())
}

fn pay(scene: &mut Scene, steps: &mut Steps) -> Result<TillResult, Failed> {
    let runtime = std::sync::Arc::clone(&scene.runtime);
    let portal = scene.stage.portal;
    let mut phone = Visitor::new("en");
    // A phone that joins asks any address whether it is online, and is led to the portal.
    runtime.block_on(phone.open(&format!("http://{portal}/generate_204")))?;
    steps.done("phone: joins, is led to the portal");
    runtime.block_on(phone.send("/login", &[]))?;
    let home = phone.at.to_string();
    steps.done("phone: terms accepted, logged in");
    runtime.block_on(phone.send("/till", &[("till", &TILL.to_string())]))?;
    steps.done("phone: till number typed, paired");

    let (tell, heard) = channel();
    let abort = scene.till.abort_key();
    let till: &mut Player = &mut scene.till;
    thread::scope(|scope| {
        let selling = scope.spawn(move || {
            let amount = Currency::from_code("EUR").and_then(|eur| Amount::parse(PRICE, eur).ok());
            let amount = amount.ok_or_else(|| PlayError::NotUnderstood("the price".into()))?;
            till.pay(amount, None, PATIENCE_SECS, &mut |shown| {
                let _ = tell.send(shown.clone()); // Nobody listens to the till any more.
            })
        });
        let customer = runtime.block_on(customer(&mut phone, &home, &heard, steps));
        if customer.is_err() {
            abort.press(); // The story has gone wrong: the till need not wait for its end.
        }
        let ended = selling.join().map_err(|_| "the till's thread panicked")?;
        customer?;
        let result = match ended? {
            Ended::Result(result) if result.outcome == Outcome::Approved => result,
            other @ (Ended::Result(_) | Ended::Refused { .. } | Ended::NeverBegan) => {
                return Err(format!("the till was told {other:?} instead of paid").into());
            }
        };
        steps.done(&format!("till: paid, {}, and prints", result.amount));
        for line in &result.lines {
            println!("            | {line}");
        }
        runtime.block_on(async {
            phone.open(&home).await?;
            phone.until(STEP, |phone| phone.has("/finish")).await
        })?;
        steps.done("phone: shows the receipt");
        Ok(result)
    })
}

async fn customer(phone: &mut Visitor, home: &str, till: &Receiver<Shown>, steps: &mut Steps) -> Result<(), Failed> {
    let code = till_shows(till, |shown| if let Shown::Accepted { code } = shown { Some(code.clone()) } else { None })?;
    steps.done(&format!("till: asks for {PRICE} EUR and shows the code {code}"));
    phone.until(STEP, |phone| phone.has("/confirm")).await?;
    if !phone.page.contains(&code) || !phone.page.contains("12.50") {
        return Err("the phone does not show the till's code and amount".into());
    }
    steps.done("phone: shows shop, till, amount and the same code");
    phone.send("/confirm", &[]).await?;
    phone.until(STEP, may_pay).await?;
    let first = go_to_checkout(phone).await?;
    steps.done("phone: confirms; the platform permits it; the way to the checkout is open");

    at_checkout(phone, "anna", "not the password").await?;
    till_shows(till, |shown| failed(shown, false))?;
    phone.open(home).await?;
    phone.until(STEP, |phone| phone.page.contains("role=\"alert\"")).await?;
    if go_to_checkout(phone).await? != first {
        return Err("after a failed try the same link should go on".into());
    }
    steps.done("wrong password: phone and till are told, the same link goes on");

    at_checkout(phone, "poor", PASSWORD).await?;
    till_shows(till, |shown| failed(shown, true))?;
    let second = tokio::time::timeout(Duration::from_secs(STEP), new_checkout(phone, home, &first)).await;
    second.map_err(|_| "after a failed attempt there should be a new link")??;
    steps.done("no money on the account: told to both; a new attempt by itself, a new link");

    at_checkout(phone, "anna", PASSWORD).await?;
    steps.done("phone: pays at the platform's page");
    Ok(())
}

fn may_pay(phone: &Visitor) -> bool {
    phone.link("/checkout").is_some()
}

/// Follows the page's way to the checkout; the address of the platform's page.
async fn go_to_checkout(phone: &mut Visitor) -> Result<String, Failed> {
    let way = phone.link("/checkout").ok_or("the page has no way to the checkout")?;
    phone.follow(&way).await?;
    Ok(phone.at.to_string())
}

/// Goes to the checkout until it is another one: the till may hear of a failed attempt a moment before the page shows it.
async fn new_checkout(phone: &mut Visitor, home: &str, old: &str) -> Result<(), Failed> {
    loop {
        phone.open(home).await?;
        if may_pay(phone) {
            let there = go_to_checkout(phone).await?;
            if there != old && !there.starts_with(home) {
                return Ok(());
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn at_checkout(phone: &mut Visitor, account: &str, password: &str) -> Result<(), Failed> {
    phone.send("", &[("account", account), ("password", password), ("action", "pay")]).await
}

fn failed(shown: &Shown, for_good: bool) -> Option<()> {
    matches!(shown, Shown::Failed { new_attempt, .. } if *new_attempt == for_good).then_some(())
}

/// Waits until the till shows what is wanted.
fn till_shows<T>(till: &Receiver<Shown>, wanted: impl Fn(&Shown) -> Option<T>) -> Result<T, Failed> {
    let until = Instant::now().checked_add(Duration::from_secs(STEP)).ok_or("no such time")?;
    loop {
        match till.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(shown) => {
                if let Some(found) = wanted(&shown) {
                    return Ok(found);
                }
            }
            Err(RecvTimeoutError::Timeout) => return Err(format!("the till was not told within {STEP} s").into()),
            Err(RecvTimeoutError::Disconnected) => return Err("the till ended too early".into()),
        }
    }
}

/// What differs between the books of shop, platform and till.
fn compare(scene: &mut Scene, told: &TillResult) -> Result<Vec<String>, Failed> {
    let mut differs = Vec::new();
    let mut same = |what: &str, here: String, there: String| {
        if here != there {
            differs.push(format!("{what}: {here} here, {there} there"));
        }
    };
    let mut sales = Vec::new();
    Books::open_read_only(&scene.stage.shop_books())?.sales(&Filter::default(), |line| {
        sales.push(line);
        true
    })?;
    let platform = sandbox::books(&scene.stage.platform_books())?;
    let paid: Vec<_> = platform.iter().filter(|line| line.paid_minor > 0).collect();
    same("sales in the shop's books", sales.len().to_string(), "1".into());
    same("payments at the platform", platform.len().to_string(), "2".into());
    same("of these paid", paid.len().to_string(), "1".into());
    for sale in &sales {
        let of_platform = platform.iter().all(|line| line.sale == sale.id.to_string());
        same("the platform's payments are for the shop's sale", of_platform.to_string(), "true".into());
        same("state (shop, till)", sale.state.name().into(), "approved".into());
        same("amount (shop, till)", sale.amount.to_string(), told.amount.to_string());
        same("attempts (shop, platform)", sale.attempts.to_string(), platform.len().to_string());
        same("till number (shop, till)", sale.till.to_string(), TILL.to_string());
    }
    for line in &paid {
        same("payment (platform, till)", line.id.to_string(), told.payment.clone().unwrap_or_default());
        same("minor units paid (platform, till)", line.paid_minor.to_string(), told.amount.minor().to_string());
        same("minor units moved (platform, till)", line.moved_minor.to_string(), told.amount.minor().to_string());
        same(
            "minor units given back (platform, till)",
            line.refunded_minor.to_string(),
            told.given_back_minor.to_string(),
        );
    }
    let totals = Books::open_read_only(&scene.stage.shop_books())?
        .totals(TillNumber::new(TILL).ok_or("no such till number")?, Span::All)?;
    let sums = scene.till.totals(None, &mut |_| {})?;
    same("sales approved (shop, till)", totals.approved.to_string(), sums.approved.to_string());
    same("their sum (shop, till)", totals.approved_minor.to_string(), sums.approved_minor.to_string());
    if let Err(error) = store::verify(&scene.stage.shop_books(), &mut |_, _| {}) {
        differs.push(format!("the shop's journal: {error}"));
    }
    Ok(differs)
}
