//! Turns the screen of a visit into its page: which words, which buttons, when it refreshes. Sends nothing. The pages of
//! returns are in `returns.rs`.

use super::amounts;
use super::language::Voice;
use super::page::{Button, Card, Page, PageLink, Refresh, Row, Tone};
use super::returns;
use super::site::{Site, path_of};
use super::tokens::form_token;
use crate::clock::Clock;
use crate::shop::attempt::TryFailure;
use crate::shop::effect::{CancelledWhy, DeclinedWhy, EnterNote, Outcome, Receipt, SaleFacts, Screen};
use crate::shop::event::{Reason, TillNumber};
use crate::shop::id::{SaleId, SessionId};
use crate::shop::money::Amount;
use crate::shop::sale::Code;
use crate::shop::time::{Mono, Wall};

/// How soon a page without script looks again while something is under way.
pub(super) const WAIT_SECS: u64 = 3;
/// How soon it looks again where the customer is about to tap.
pub(super) const TAP_SECS: u64 = 10;
/// How soon a receipt looks again, should it change after all.
pub(super) const RECEIPT_SECS: u64 = 30;
/// How long the page is seen before the checkout opens by itself.
const HAND_OVER_SECS: u64 = 1;

/// The id of a text that is chosen at run time.
#[derive(Clone, Copy)]
pub(super) struct Text(pub(super) &'static str);

/// The page of a visit that shows `screen`. `hand_over`: whether it sends the phone on to the checkout.
pub(super) fn page<'a>(
    site: &'a Site,
    voice: Voice<'a>,
    session: SessionId,
    screen: &Screen,
    hand_over: bool,
) -> Page<'a> {
    let path = path_of(session);
    let mut page = match screen {
        Screen::EnterTill { note } => enter(site, voice, note.as_ref()),
        Screen::InLine { till, ahead } => {
            let mut page = waiting(site, voice, *till, voice.say("line-title"));
            page.lines.insert(0, voice.say_with("line-ahead", "count", *ahead));
            page
        }
        Screen::Waiting { till } => {
            let mut page = waiting(site, voice, *till, voice.say("waiting-title"));
            page.lines.insert(0, voice.say("waiting-text"));
            page
        }
        Screen::Confirm { facts, until } => confirm(site, voice, facts, *until),
        Screen::TooLate { facts } => {
            let mut page = about(site, voice, facts, voice.say("late-title"), 2);
            page.tone = Tone::Bad;
            page.lines.push(voice.say("late-text"));
            page.buttons = vec![button("decline", voice.say("confirm-decline"), "")];
            page.refresh = Refresh::WithoutScript { secs: WAIT_SECS };
            page
        }
        Screen::Contacting { facts, attempt_no, failed, checking } => {
            let mut page = about(site, voice, facts, voice.say("contacting-title"), 3);
            page.tone = Tone::Busy;
            page.alerts = alerts(voice, *failed, *checking);
            let again = *attempt_no > 1;
            page.lines.push(if again { voice.say("contacting-again") } else { voice.say("contacting-text") });
            if *checking {
                page.buttons = vec![button("give-up", voice.say("pay-give-up"), "")];
            }
            page.refresh = Refresh::WithoutScript { secs: if *checking { TAP_SECS } else { WAIT_SECS } };
            page
        }
        Screen::Pay { facts, attempt_no: _, link: _, failed, until: _, others_wait, checking } => {
            let mut page = pay(site, voice, facts, *failed, *checking);
            // By way of the portal: a page that a browser took out of its memory may be old, and the checkout paid.
            let checkout = format!("{path}checkout");
            page.links = vec![PageLink { href: checkout.clone(), label: voice.say("pay-button"), class: "main" }];
            if hand_over {
                page.lines = vec![voice.say("pay-opens")];
                page.refresh = Refresh::To { secs: HAND_OVER_SECS, url: checkout };
            }
            if *others_wait {
                page.buttons.insert(0, button("let-go", voice.say("pay-let-go"), ""));
            }
            page
        }
        Screen::Closing { facts } => {
            let mut page = about(site, voice, facts, voice.say("closing-title"), 3);
            page.tone = Tone::Busy;
            page.lines.push(voice.say("closing-text"));
            page.refresh = Refresh::WithoutScript { secs: WAIT_SECS };
            page
        }
        Screen::Result(receipt) => result(site, voice, receipt, &path),
        Screen::ChooseReturn { facts, payments, until } => returns::choose(site, voice, facts, payments, *until),
        Screen::Returning { facts, checking } => returns::returning(site, voice, facts, *checking),
        Screen::Returned(receipt) => returns::returned(site, voice, receipt, &path),
    };
    page.form = form_token(session);
    page.path = path;
    page
}

/// The receipt that the page shows as plain text, to be kept; `None` if it shows none.
pub(super) fn receipt_text(site: &Site, voice: Voice<'_>, screen: &Screen) -> Option<String> {
    match screen {
        Screen::Result(receipt) => Some(payment_text(site, voice, receipt)),
        Screen::Returned(receipt) => Some(returns::receipt_text(site, voice, receipt)),
        Screen::EnterTill { .. }
        | Screen::InLine { .. }
        | Screen::Waiting { .. }
        | Screen::Confirm { .. }
        | Screen::TooLate { .. }
        | Screen::Contacting { .. }
        | Screen::Pay { .. }
        | Screen::Closing { .. }
        | Screen::ChooseReturn { .. }
        | Screen::Returning { .. } => None,
    }
}

fn payment_text(site: &Site, voice: Voice<'_>, receipt: &Receipt) -> String {
    let paid = match receipt.outcome {
        Outcome::Approved | Outcome::Returned { .. } => voice.say("receipt-paid"),
        Outcome::Declined(_) | Outcome::Cancelled(_) | Outcome::Lapsed => voice.say("receipt-unpaid"),
    };
    let mut text = format!("{}\n{paid}\n\n", site.shop);
    let amount = amounts::written(receipt.facts.amount, voice.language);
    text.push_str(&format!("{}: {amount}\n", voice.say("receipt-amount")));
    for row in receipt_rows(site, voice, receipt) {
        text.push_str(&format!("{}: {}\n", row.label, row.value));
    }
    text
}

pub(super) fn titled<'a>(site: &'a Site, voice: Voice<'a>, title: String, step: u8) -> Page<'a> {
    Page { step, ..Page::titled(title, voice, &site.assets, &site.shop) }
}

fn enter<'a>(site: &'a Site, voice: Voice<'a>, note: Option<&EnterNote>) -> Page<'a> {
    let mut page = titled(site, voice, voice.say("enter-title"), 1);
    page.enter = true;
    page.buttons = vec![button("log-out", voice.say("log-out"), "faint")];
    page.alerts.extend(closed(site, voice));
    match note {
        None => {}
        Some(EnterNote::WrongNumber { typed, guesses_left }) => {
            page.alerts.push(match typed {
                Some(till) => voice.say_with("enter-wrong", "till", till.number()),
                None => voice.say("enter-no-number"),
            });
            page.alerts.push(voice.say_with("enter-guesses-left", "count", *guesses_left));
        }
        Some(EnterNote::TooManyGuesses { until }) => {
            page.enter = false;
            page.alerts.push(voice.say("enter-pause"));
            let left = secs_until(*until);
            page.seconds_left = Some(left);
            page.refresh = Refresh::WithoutScript { secs: left.clamp(WAIT_SECS, RECEIPT_SECS) };
        }
        Some(EnterNote::NotMine) => page.alerts.push(voice.say("enter-not-mine")),
        Some(EnterNote::ConfirmOver) => page.alerts.push(voice.say("enter-confirm-over")),
        Some(EnterNote::Idle) => page.alerts.push(voice.say("enter-idle")),
        Some(EnterNote::LineFull) => page.alerts.push(voice.say("enter-line-full")),
        Some(EnterNote::LetGo) => page.alerts.push(voice.say("enter-let-go")),
    }
    page
}

/// A word where nobody can pay at present.
fn closed(site: &Site, voice: Voice<'_>) -> Option<String> {
    site.is_closed().then(|| voice.say("closed-text"))
}

fn waiting<'a>(site: &'a Site, voice: Voice<'a>, till: TillNumber, title: String) -> Page<'a> {
    let mut page = titled(site, voice, title, 1);
    page.tone = Tone::Busy;
    page.alerts.extend(closed(site, voice));
    page.lines.push(voice.say("keep-open"));
    page.card.rows.push(till_row(site, voice, till));
    page.buttons = vec![button("leave", voice.say("leave-till"), "")];
    page.refresh = Refresh::WithoutScript { secs: WAIT_SECS };
    page
}

/// A page about a sale: amount, till and code on the card, the sale in its forms.
fn about<'a>(site: &'a Site, voice: Voice<'a>, facts: &SaleFacts, title: String, step: u8) -> Page<'a> {
    let mut page = titled(site, voice, title, step);
    page.card = Card {
        amount: Some(amounts::written(facts.amount, voice.language)),
        rows: vec![till_row(site, voice, facts.till), code_row(voice, facts.code)],
    };
    page.facts = Some(*facts);
    page
}

fn confirm<'a>(site: &'a Site, voice: Voice<'a>, facts: &SaleFacts, until: Mono) -> Page<'a> {
    let mut page = about(site, voice, facts, voice.say("confirm-title"), 2);
    page.lines.push(voice.say("confirm-text"));
    page.card.rows.insert(0, shop_row(site, voice));
    let left = secs_until(until);
    page.seconds_left = Some(left);
    page.buttons = vec![
        button("confirm", voice.say("confirm-yes"), "main"),
        button("decline", voice.say("confirm-decline"), ""),
        button("not-mine", voice.say("confirm-not-mine"), ""),
    ];
    page.refresh = Refresh::WithoutScript { secs: left.saturating_add(1).min(TAP_SECS) };
    page
}

fn pay<'a>(
    site: &'a Site,
    voice: Voice<'a>,
    facts: &SaleFacts,
    failed: Option<TryFailure>,
    checking: bool,
) -> Page<'a> {
    let mut page = about(site, voice, facts, voice.say("pay-title"), 3);
    page.alerts = alerts(voice, failed.map(|f| f.reason), checking);
    page.lines.push(if failed.is_some() { voice.say("pay-retry") } else { voice.say("pay-return") });
    page.buttons = vec![button("give-up", voice.say("pay-give-up"), "")];
    page.refresh = Refresh::WithoutScript { secs: TAP_SECS };
    page
}

fn alerts(voice: Voice<'_>, failed: Option<Reason>, checking: bool) -> Vec<String> {
    let failed = failed.map(|reason| voice.say(failed_text(reason).0));
    failed.into_iter().chain(checking.then(|| voice.say("checking-text"))).collect()
}

fn result<'a>(site: &'a Site, voice: Voice<'a>, receipt: &Receipt, path: &str) -> Page<'a> {
    let (tone, title, texts) = outcome_texts(receipt);
    let mut page = titled(site, voice, voice.say(title.0), 4);
    page.tone = tone;
    page.lines = texts.into_iter().map(|text| voice.say(text.0)).collect();
    page.card.amount = Some(amounts::written(receipt.facts.amount, voice.language));
    page.card.rows = receipt_rows(site, voice, receipt);
    page.facts = Some(receipt.facts);
    page.buttons = vec![button("finish", voice.say("done-button"), "main")];
    page.links = vec![PageLink { href: format!("{path}receipt"), label: voice.say("receipt-text"), class: "quiet" }];
    page.foot = Some(voice.say("receipt-keep"));
    page.refresh = Refresh::WithoutScript { secs: RECEIPT_SECS };
    page
}

fn outcome_texts(receipt: &Receipt) -> (Tone, Text, Vec<Text>) {
    let mut texts = Vec::new();
    let of_price = receipt.given_back_minor.saturating_sub(receipt.surplus_back_minor);
    let all_back = of_price >= receipt.facts.amount.minor();
    let (tone, title) = match receipt.outcome {
        Outcome::Approved if all_back => {
            texts.push(Text("returned-text"));
            (Tone::Bad, Text("returned-title"))
        }
        Outcome::Approved => {
            texts.push(Text("paid-text"));
            (Tone::Good, Text("paid-title"))
        }
        Outcome::Returned { .. } => {
            texts.push(Text("returned-text"));
            (Tone::Good, Text("returned-title"))
        }
        Outcome::Declined(why) => {
            texts.push(declined_text(why));
            (Tone::Bad, Text("unpaid-title"))
        }
        Outcome::Cancelled(why) => {
            texts.push(cancelled_text(why));
            (Tone::Bad, Text("unpaid-title"))
        }
        Outcome::Lapsed => {
            texts.push(Text("unpaid-lapsed"));
            (Tone::Bad, Text("unpaid-title"))
        }
    };
    let unpaid = receipt.outcome != Outcome::Approved;
    let staff_first = receipt.outcome == Outcome::Declined(DeclinedWhy::WrongPayment);
    if unpaid && !staff_first {
        texts.push(Text("unpaid-next"));
        if receipt.attempt.is_some() && receipt.given_back_minor == 0 {
            texts.push(Text("unpaid-safe"));
        }
    }
    if receipt.given_back_minor > 0 {
        let done = receipt.given_back_done_minor >= receipt.given_back_minor;
        texts.push(if done { Text("back-done") } else { Text("back-on-its-way") });
    }
    (tone, title, texts)
}

fn declined_text(why: DeclinedWhy) -> Text {
    match why {
        DeclinedWhy::Customer => Text("unpaid-customer"),
        DeclinedWhy::GivenUp => Text("unpaid-given-up"),
        DeclinedWhy::Failed(reason) | DeclinedWhy::Refused(reason) => failed_text(reason),
        DeclinedWhy::Expired => Text("unpaid-expired"),
        DeclinedWhy::WrongPayment => Text("unpaid-wrong-payment"),
    }
}

fn cancelled_text(why: CancelledWhy) -> Text {
    match why {
        CancelledWhy::Till => Text("unpaid-till"),
        CancelledWhy::Clock => Text("unpaid-clock"),
        CancelledWhy::PowerCut => Text("unpaid-power-cut"),
    }
}

fn failed_text(reason: Reason) -> Text {
    match reason {
        Reason::WrongPassword => Text("failed-password"),
        Reason::TooManyTries => Text("failed-tries"),
        Reason::NoFunds => Text("failed-funds"),
        Reason::Declined => Text("failed-declined"),
        Reason::NotAllowed => Text("failed-not-allowed"),
        Reason::Other => Text("failed-other"),
    }
}

fn receipt_rows(site: &Site, voice: Voice<'_>, receipt: &Receipt) -> Vec<Row> {
    let facts = &receipt.facts;
    let mut rows = vec![shop_row(site, voice), till_row(site, voice, facts.till), code_row(voice, facts.code)];
    rows.extend(time_row(site, voice, receipt.at));
    if let Ok(back) = Amount::from_minor(receipt.given_back_minor, facts.amount.currency())
        && back.minor() > 0
    {
        rows.push(Row { label: voice.say("receipt-back"), value: amounts::written(back, voice.language), class: "" });
    }
    rows.push(Row { label: voice.say("receipt-sale"), value: short(facts.sale), class: "long" });
    if let Some(attempt) = receipt.attempt {
        rows.push(Row { label: voice.say("receipt-payment"), value: attempt.to_string(), class: "long" });
    }
    rows
}

pub(super) fn shop_row(site: &Site, voice: Voice<'_>) -> Row {
    Row { label: voice.say("receipt-shop"), value: site.shop.clone(), class: "" }
}

pub(super) fn till_row(site: &Site, voice: Voice<'_>, till: TillNumber) -> Row {
    let label = site.tills.get(&till).filter(|label| !label.is_empty());
    let value = label.map_or_else(|| till.to_string(), |label| format!("{till} · {label}"));
    Row { label: voice.say("receipt-till"), value, class: "" }
}

pub(super) fn code_row(voice: Voice<'_>, code: Code) -> Row {
    Row { label: voice.say("receipt-code"), value: code.to_string(), class: "code" }
}

pub(super) fn time_row(site: &Site, voice: Voice<'_>, at: Option<Wall>) -> Option<Row> {
    let value = amounts::moment(at?, &site.zone, voice)?;
    Some(Row { label: voice.say("receipt-time"), value, class: "" })
}

/// As much of an id as people compare.
pub(super) fn short(id: SaleId) -> String {
    id.to_string().chars().take(8).collect()
}

pub(super) fn button(act: &'static str, label: String, class: &'static str) -> Button {
    Button { act, label, class }
}

pub(super) fn secs_until(until: Mono) -> u64 {
    Clock::mono().ms_until(until).div_ceil(1_000)
}
