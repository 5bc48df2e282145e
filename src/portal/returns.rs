//! The pages of a return: the customer chooses which payment goes back, waits, and keeps a receipt. Sends nothing.

use super::amounts;
use super::language::Voice;
use super::page::{Card, Choice, Page, PageLink, Refresh, Row, Tone};
use super::screens::{
    RECEIPT_SECS, TAP_SECS, Text, WAIT_SECS, button, code_row, secs_until, shop_row, short, till_row, time_row, titled,
};
use super::site::Site;
use crate::shop::effect::{CancelledWhy, DeclinedWhy, Outcome, Repayable, ReturnFacts, ReturnReceipt};
use crate::shop::time::Mono;

/// Which payment goes back. A form for each, its amount on the button: a page without script that loads again meanwhile
/// forgets nothing.
pub(super) fn choose<'a>(
    site: &'a Site,
    voice: Voice<'a>,
    facts: &ReturnFacts,
    payments: &[Repayable],
    until: Mono,
) -> Page<'a> {
    let mut page = about(site, voice, facts, voice.say("choose-title"), 2);
    if facts.amount.is_none() {
        match payments {
            [only] => page.card.amount = Some(amounts::written(only.back, voice.language)),
            _ => {
                let row = Row { label: voice.say("receipt-amount"), value: voice.say("choose-all"), class: "" };
                page.card.rows.insert(0, row);
            }
        }
    }
    if payments.is_empty() {
        // What fitted has gone back meanwhile, at another till.
        (page.tone, page.title) = (Tone::Bad, voice.say("kept-title"));
        page.lines.push(voice.say("choose-none"));
    } else {
        page.lines.push(voice.say("confirm-text"));
        let choose = if payments.len() == 1 { Text("choose-one") } else { Text("choose-which") };
        page.choose = Some(voice.say(choose.0));
    }
    page.choices = payments.iter().map(|payment| choice(site, voice, payment)).collect();
    page.buttons = vec![button("refuse", voice.say("choose-no"), "")];
    let left = secs_until(until);
    page.seconds_left = Some(left);
    page.refresh = Refresh::WithoutScript { secs: left.saturating_add(1).min(TAP_SECS) };
    page
}

/// Chosen: the platform is being asked.
pub(super) fn returning<'a>(site: &'a Site, voice: Voice<'a>, facts: &ReturnFacts, checking: bool) -> Page<'a> {
    let mut page = about(site, voice, facts, voice.say("contacting-title"), 3);
    page.tone = Tone::Busy;
    page.lines = vec![voice.say("returning-text"), voice.say("keep-open")];
    page.alerts.extend(checking.then(|| voice.say("returning-checking")));
    page.refresh = Refresh::WithoutScript { secs: if checking { TAP_SECS } else { WAIT_SECS } };
    page
}

/// How it ended.
pub(super) fn returned<'a>(site: &'a Site, voice: Voice<'a>, receipt: &ReturnReceipt, path: &str) -> Page<'a> {
    let (tone, title, texts) = outcome_texts(receipt.outcome);
    let mut page = about(site, voice, &receipt.facts, voice.say(title.0), 4);
    page.tone = tone;
    page.lines = texts.into_iter().map(|text| voice.say(text.0)).collect();
    page.card.rows = receipt_rows(site, voice, receipt);
    page.buttons = vec![button("finish", voice.say("done-button"), "main")];
    page.links = vec![PageLink { href: format!("{path}receipt"), label: voice.say("receipt-text"), class: "quiet" }];
    page.foot = Some(voice.say("receipt-keep"));
    page.refresh = Refresh::WithoutScript { secs: RECEIPT_SECS };
    page
}

/// The receipt as plain text, to be kept. It says more than that of a payment: one that is pending proves nothing else.
pub(super) fn receipt_text(site: &Site, voice: Voice<'_>, receipt: &ReturnReceipt) -> String {
    let (_, title, texts) = outcome_texts(receipt.outcome);
    let mut text = format!("{}\n{}\n", site.shop, voice.say(title.0));
    for line in texts {
        text.push_str(&format!("{}\n", voice.say(line.0)));
    }
    text.push('\n');
    if let Some(amount) = receipt.facts.amount {
        text.push_str(&format!("{}: {}\n", voice.say("receipt-amount"), amounts::written(amount, voice.language)));
    }
    for row in receipt_rows(site, voice, receipt) {
        text.push_str(&format!("{}: {}\n", row.label, row.value));
    }
    text
}

/// A page about a return: amount, till and code on the card, the return in its forms. The shop stands above every page; what
/// is left out here leaves room for the payments.
fn about<'a>(site: &'a Site, voice: Voice<'a>, facts: &ReturnFacts, title: String, step: u8) -> Page<'a> {
    let mut page = titled(site, voice, title, step);
    page.card = Card {
        amount: facts.amount.map(|amount| amounts::written(amount, voice.language)),
        rows: vec![till_row(site, voice, facts.till), code_row(voice, facts.code)],
    };
    page.asked = Some(facts.asked);
    page
}

fn choice(site: &Site, voice: Voice<'_>, payment: &Repayable) -> Choice {
    let row = |label, value| Row { label, value, class: "" };
    let mut rows: Vec<Row> = time_row(site, voice, payment.at).into_iter().collect();
    rows.push(till_row(site, voice, payment.till));
    rows.extend(payment.receipt.map(|number| row(voice.say("choose-receipt"), number.to_string())));
    rows.push(row(voice.say("receipt-paid"), amounts::written(payment.amount, voice.language)));
    if payment.left != payment.amount {
        rows.push(row(voice.say("choose-left"), amounts::written(payment.left, voice.language)));
    }
    let label = voice.say_with("choose-yes", "amount", amounts::written(payment.back, voice.language));
    Choice { rows, sale: payment.sale, back: payment.back, label }
}

fn outcome_texts(outcome: Outcome) -> (Tone, Text, Vec<Text>) {
    let kept = |why| (Tone::Bad, Text("kept-title"), vec![why, Text("kept-next")]);
    match outcome {
        Outcome::Approved | Outcome::Returned { pending: false } => {
            (Tone::Good, Text("given-title"), vec![Text("given-text")])
        }
        Outcome::Returned { pending: true } => (Tone::Busy, Text("pending-title"), vec![Text("pending-text")]),
        Outcome::Declined(DeclinedWhy::Customer) => kept(Text("kept-customer")),
        Outcome::Declined(
            DeclinedWhy::Refused(_)
            | DeclinedWhy::Failed(_)
            | DeclinedWhy::GivenUp
            | DeclinedWhy::Expired
            | DeclinedWhy::WrongPayment,
        ) => kept(Text("kept-refused")),
        Outcome::Cancelled(CancelledWhy::Till) => kept(Text("kept-till")),
        Outcome::Cancelled(CancelledWhy::Clock) => kept(Text("unpaid-clock")),
        Outcome::Cancelled(CancelledWhy::PowerCut) => kept(Text("kept-power-cut")),
        Outcome::Lapsed => kept(Text("kept-lapsed")),
    }
}

fn receipt_rows(site: &Site, voice: Voice<'_>, receipt: &ReturnReceipt) -> Vec<Row> {
    let facts = &receipt.facts;
    let mut rows = vec![shop_row(site, voice), till_row(site, voice, facts.till), code_row(voice, facts.code)];
    rows.extend(time_row(site, voice, receipt.at));
    let row = |label, value| Row { label, value, class: "long" };
    rows.push(row(voice.say("receipt-return"), short(facts.asked)));
    rows.extend(receipt.of.map(|sale| row(voice.say("receipt-sale"), short(sale))));
    rows.extend(receipt.attempt.map(|attempt| row(voice.say("receipt-payment"), attempt.to_string())));
    rows
}
