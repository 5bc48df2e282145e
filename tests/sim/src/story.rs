//! A run told line by line, for people. Costs nothing when nobody reads.

use std::fmt::Debug;
use tillgate::shop::effect::{Effect, PlatformCall, TillAnswer};
use tillgate::shop::event::{Event, PlatformEvent};

/// Where a run is told.
#[derive(Clone, Debug, Default)]
pub enum Story {
    /// Nobody reads.
    #[default]
    Untold,
    /// Kept for later.
    Kept(Vec<String>),
    /// Printed at once.
    Printed,
}

impl Story {
    /// The lines kept so far.
    pub fn lines(&self) -> &[String] {
        match self {
            Story::Kept(lines) => lines,
            Story::Untold | Story::Printed => &[],
        }
    }

    /// One line.
    pub fn note(&mut self, t: u64, what: impl FnOnce() -> String) {
        let time = |t: u64| format!("{:>9}.{:03}", t / 1_000, t % 1_000);
        match self {
            Story::Untold => {}
            Story::Kept(lines) => lines.push(format!("{} {}", time(t), what())),
            Story::Printed => println!("{} {}", time(t), what()),
        }
    }

    /// An event reaches the program.
    pub fn event(&mut self, t: u64, event: &Event) {
        self.note(t, || match event {
            Event::Till { till, what } => format!("till {till}: {}", short(what)),
            Event::Phone { session, what } => format!("phone {:.4}: {}", format!("{session}"), short(what)),
            Event::Platform(PlatformEvent::Line { up }) => format!("line {}", if *up { "up" } else { "down" }),
            Event::Platform(what) => format!("heard: {}", short(what)),
            Event::NewSales(allowed) => format!("new sales: {allowed:?}"),
            Event::DeadlinePassed => "a deadline".to_owned(),
        });
    }

    /// An effect leaves the program.
    pub fn effect(&mut self, t: u64, effect: &Effect) {
        self.note(t, || match effect {
            Effect::Till { till, answer: TillAnswer::Finish(finish) } => {
                format!("    -> till {till}: {:?}, {} back, {:?}", finish.outcome, finish.given_back_minor, finish.sale)
            }
            Effect::Till { till, answer } => format!("    -> till {till}: {}", short(answer)),
            Effect::Show { session, screen } => format!("    -> phone {:.4}: {}", format!("{session}"), short(screen)),
            Effect::Forget { session } => format!("    -> phone {:.4}: forgotten", format!("{session}")),
            Effect::Platform(call) => format!("    -> platform: {}", short(call)),
            Effect::Reach { session, reach, .. } => {
                format!("    -> phone {:.4} reaches {reach:?}", format!("{session}"))
            }
            Effect::Totals { till, .. } => format!("    -> till {till}: sums"),
            Effect::Alarm(alarm) => format!("    -> ALARM {alarm:?}"),
        });
    }

    /// The platform does something.
    pub fn serve(&mut self, t: u64, call: &PlatformCall, answer: &PlatformEvent) {
        if !matches!(call, PlatformCall::Probe | PlatformCall::List { .. }) {
            self.note(t, || format!("platform does {}: {}", short(call), short(answer)));
        }
    }
}

/// What something says, without what nobody reads.
fn short(what: &impl Debug) -> String {
    let mut text = format!("{what:?}");
    for (long, short) in [
        ("SaleFacts ", ""),
        ("TillNumber", "till "),
        ("last_failure: None, ", ""),
        ("reason: None, ", ""),
        ("TryFailure ", ""),
        ("Mono", ""),
        ("Payment ", ""),
        ("AttemptId", "attempt"),
        ("SaleId", "sale"),
        ("RefundId", "refund"),
        ("SessionId", "phone"),
        ("kind: Pay, of: None, ", ""),
        ("Wall", ""),
    ] {
        text = text.replace(long, short);
    }
    if text.len() > 230 {
        text.truncate((0..=230).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0));
        text.push_str("..");
    }
    text
}
