//! A way through a small world as a story, a line a step, for people.

use super::super::super::effect::PlatformCall;
use super::super::super::event::*;
use super::super::super::id::{AttemptId, SessionId};
use super::super::world::name;
use super::actions::{Action, Lost, What};
use super::clock::NOW;
use super::platform::{Customer, Manner};
use super::state::{Mail, State};

/// What happens in this state.
pub(super) fn line(state: &State, action: &Action) -> String {
    let what = match &action.what {
        What::Till(what) => till(what),
        What::Phone(session, what) => phone(*session, what),
        What::Serve(at, manner) => format!("the platform does: {}{}", mail(state, *at), manners(*manner)),
        What::Deliver(at) => format!("the answer arrives: {}", mail(state, *at)),
        What::DeliverTwice(at) => format!("the answer arrives, and will again: {}", mail(state, *at)),
        What::DeliverForeign(at) => {
            format!("the answer about a foreign payment arrives instead of: {}", mail(state, *at))
        }
        What::Fail(at, error, Lost::Yes) => format!("{error:?}, and lost: {}", mail(state, *at)),
        What::Fail(at, error, Lost::No) => format!("{error:?}, and still under way: {}", mail(state, *at)),
        What::Double(at) => format!("comes twice: {}", mail(state, *at)),
        What::Drop(at) => format!("is lost on the way: {}", mail(state, *at)),
        What::Customer(id, act) => format!("the customer {} attempt {}", customer(*act), number(state, *id)),
        What::Expire(id) => format!("the link of attempt {} ends", number(state, *id)),
        What::Wait => {
            let ms = state.next_deadline().map_or(0, |next| NOW.ms_until(next));
            format!("{}.{:03} s pass", ms / 1_000, ms % 1_000)
        }
        What::List => "the list of changed payments comes".into(),
        What::Date => "the date becomes known".into(),
        What::Crash(reboot) => restart(*reboot).into(),
    };
    match action.cut {
        None => what,
        Some(cut) => format!("{what}; on disk, {} effects are out, and {}", cut.after, restart(cut.reboot)),
    }
}

fn restart(reboot: bool) -> &'static str {
    if reboot { "the machine starts anew" } else { "the program starts anew" }
}

fn till(what: &TillEvent) -> String {
    match what {
        TillEvent::Asked(ask) => {
            format!("the till asks for {}, ticket {}", ask.amount, ask.ticket.map_or(0, |ticket| ticket.number))
        }
        TillEvent::Aborted { .. } => "the cashier aborts".into(),
        TillEvent::AskedAgain { .. } => "the till asks for its last result".into(),
        TillEvent::Taken { .. } => "the till takes the result".into(),
        TillEvent::TakeLater { .. } => "the till puts the result off".into(),
        TillEvent::Rejected { .. } => "the till refuses the result".into(),
        TillEvent::Unheard { .. } => "the till does not answer".into(),
        TillEvent::Online => "the till comes back".into(),
        TillEvent::Offline
        | TillEvent::AskedStatus
        | TillEvent::AskedTotals { .. }
        | TillEvent::DayClosed { .. }
        | TillEvent::Knows { .. } => format!("the till: {what:?}"),
    }
}

fn phone(session: SessionId, what: &PhoneEvent) -> String {
    let what = match what {
        PhoneEvent::Stands { .. } => "stands at the till".into(),
        PhoneEvent::Confirms { amount, .. } => format!("confirms {amount}"),
        PhoneEvent::Leaves => "leaves".into(),
        PhoneEvent::Declines { .. } => "declines".into(),
        PhoneEvent::NotMine { .. } => "says that it is not its own".into(),
        PhoneEvent::GivesUp { .. } => "gives up".into(),
        PhoneEvent::LetsGo { .. } => "lets the next one pay".into(),
        PhoneEvent::Chooses { amount, .. } => format!("chooses {amount} to go back"),
        PhoneEvent::Refuses { .. } => "wants nothing back".into(),
        PhoneEvent::Saw { .. } => "loads the page".into(),
        PhoneEvent::Finishes => "puts the result away".into(),
        PhoneEvent::LoggedIn { .. } | PhoneEvent::LogsOut => format!("{what:?}"),
    };
    format!("{} {what}", name(session))
}

fn customer(act: Customer) -> &'static str {
    match act {
        Customer::Pays => "pays",
        Customer::FailsATry => "fails a try of",
        Customer::Fails => "fails for good with",
        Customer::Cancels => "cancels",
        Customer::PaysOther => "pays another amount of",
        Customer::PaysAnyway => "pays all the same, or once more,",
    }
}

fn manners(manner: Manner) -> &'static str {
    match manner {
        Manner { refuses: true, .. } => ", and refuses it",
        Manner { forgetful: true, .. } => ", and keeps no tombstone",
        Manner { slow_refunds: true, .. } => ", but later",
        Manner { no_refunds: true, .. } => ", and refuses it",
        Manner { refuses: false, forgetful: false, slow_refunds: false, no_refunds: false } => "",
    }
}

fn mail(state: &State, at: usize) -> String {
    match state.mail.get(at) {
        None => "nothing".into(),
        Some(Mail::Call { call: asked, awaited: Some(_) }) => call(state, asked),
        Some(Mail::Call { call: asked, awaited: None }) => format!("{}, which nobody awaits", call(state, asked)),
        Some(Mail::Answer { call: asked, event, .. }) => format!("{} -> {}", call(state, asked), answer(event)),
    }
}

fn call(state: &State, call: &PlatformCall) -> String {
    match call {
        PlatformCall::Create(create) => format!("create {}", number(state, create.attempt)),
        PlatformCall::Query { attempt, version, .. } => format!("query {} after {version}", number(state, *attempt)),
        PlatformCall::Cancel { attempt } => format!("cancel {}", number(state, *attempt)),
        PlatformCall::Refund { attempt, amount, .. } => format!("refund {amount} of {}", number(state, *attempt)),
        PlatformCall::QueryRefund { attempt, .. } => format!("look at the refund of {}", number(state, *attempt)),
        PlatformCall::Probe => "probe".into(),
        PlatformCall::List { .. } => "list".into(),
    }
}

fn answer(event: &PlatformEvent) -> String {
    match event {
        PlatformEvent::Answered { answer: Ok(payment), .. } => {
            format!("{:?}, version {}, {} paid", payment.status, payment.version, payment.paid_minor)
        }
        PlatformEvent::Answered { answer: Err(error), .. } => format!("{error:?}"),
        PlatformEvent::RefundAnswered { answer, .. } => format!("{answer:?}"),
        PlatformEvent::Line { up } => format!("line up: {up}"),
        PlatformEvent::Listed { .. } => "the list".into(),
    }
}

fn number(state: &State, id: AttemptId) -> String {
    let attempts = state.sales().flat_map(|sale| &sale.attempts);
    let number = attempts.filter(|a| a.id == id).map(|a| a.number.to_string()).next();
    number.unwrap_or_else(|| "unknown".into())
}
