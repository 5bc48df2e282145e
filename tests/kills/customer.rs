//! Customers: phones that do what the page before them allows, and now and then something odd. No page is expected.

use crate::dice::Dice;
use crate::town::{LOOK, Town};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tillgate::demo::visitor::{Failed, Visitor};
use tillgate::sandbox::PASSWORD;

/// What a customer does at the checkout.
#[derive(Clone, Copy, Debug)]
enum Act {
    Pays(&'static str),
    WrongPassword,
    /// Taps twice.
    PaysTwice,
    Cancels,
    WalksAway,
}

const ACTS: &[(u64, Act)] = &[
    (50, Act::Pays("anna")),
    (8, Act::Pays("twice")),
    (8, Act::Pays("slow")),
    (3, Act::Pays("late")),
    (8, Act::Pays("poor")),
    (10, Act::WrongPassword),
    (6, Act::PaysTwice),
    (4, Act::Cancels),
    (3, Act::WalksAway),
];

/// What customers have done and met.
#[derive(Debug, Default)]
pub(crate) struct Crowd {
    pub(crate) at_checkout: AtomicU64,
    pub(crate) pages_missed: AtomicU64,
}

/// A phone that wants to pay at this till; without one, a phone that strolls. `keeps` may keep what it is to remember.
pub(crate) async fn comes(
    town: &Town,
    mut phone: Visitor,
    till: Option<u16>,
    mut dice: Dice,
    crowd: &Crowd,
    over: &AtomicBool,
    keeps: impl Fn(&Visitor),
) {
    let tills = u64::try_from(town.cables.len()).unwrap();
    let mut done_at = String::new();
    while !over.load(Ordering::SeqCst) {
        let at = till.map_or_else(|| dice.within(1, tills + 1), u64::from);
        if turn(town, &mut phone, at, till.is_none(), &mut dice, &mut done_at, crowd).await.is_err() {
            // The server is dead or the page has gone: begin where every phone begins.
            crowd.pages_missed.fetch_add(1, Ordering::Relaxed);
            phone.page.clear();
        }
        keeps(&phone);
        rest(LOOK * 2).await;
    }
}

/// One look at the page, and what it leads to.
async fn turn(
    town: &Town,
    phone: &mut Visitor,
    till: u64,
    strolls: bool,
    dice: &mut Dice,
    done_at: &mut String,
    crowd: &Crowd,
) -> Result<(), Failed> {
    if phone.page.is_empty() {
        phone.open(&format!("http://{}/", town.stage.portal)).await?;
    }
    if phone.has("/login") {
        return phone.send("/login", &[]).await;
    }
    if phone.has("/till") {
        return phone.send("/till", &[("till", &till.to_string())]).await;
    }
    if strolls && dice.percent(10) {
        let odd = dice.pick(&[(1, "/leave"), (1, "/not-mine"), (1, "/decline"), (1, "/log-out"), (1, "/let-go")]);
        if phone.has(odd) {
            return phone.send(odd, &[]).await;
        }
    }
    if phone.has("/confirm") {
        let form = dice.pick(&[(90, "/confirm"), (5, "/decline"), (5, "/not-mine")]);
        return phone.send(form, &[]).await;
    }
    if let Some(way) = phone.link("/checkout") {
        // The checkout is another tab: the portal's page stays open.
        let mut tab = Visitor::new("en");
        tab.open(&format!("http://{}{way}", town.stage.portal)).await?;
        let link = tab.at.to_string();
        if link.contains("/checkout/") && (link != *done_at || dice.percent(3)) {
            *done_at = link;
            crowd.at_checkout.fetch_add(1, Ordering::Relaxed);
            at_checkout(&mut tab, dice.pick(ACTS), done_at).await?;
        }
    }
    if phone.has("/finish") {
        return phone.send("/finish", &[]).await;
    }
    if phone.has("/give-up") && dice.percent(1) {
        return phone.send("/give-up", &[]).await;
    }
    phone.reload().await
}

async fn at_checkout(tab: &mut Visitor, act: Act, done_at: &mut String) -> Result<(), Failed> {
    let token = tab.at.path().rsplit('/').next().unwrap_or_default().to_owned();
    if !tab.has(&token) {
        return Ok(());
    }
    let signs_in = |account, password| [("account", account), ("password", password), ("action", "pay")];
    match act {
        Act::Pays(account) => tab.send(&token, &signs_in(account, PASSWORD)).await,
        Act::WrongPassword => {
            done_at.clear();
            tab.send(&token, &signs_in("anna", "hunter2")).await
        }
        Act::PaysTwice => {
            let mut other = Visitor::new("en");
            other.open(&tab.at.to_string()).await?;
            let fields = signs_in("anna", PASSWORD);
            let (first, second) = tokio::join!(tab.send(&token, &fields), other.send(&token, &fields));
            first.and(second)
        }
        Act::Cancels => tab.send(&token, &[("action", "cancel")]).await,
        Act::WalksAway => Ok(()),
    }
}

async fn rest(time: Duration) {
    let _ = tokio::time::timeout(time, std::future::pending::<()>()).await;
}
