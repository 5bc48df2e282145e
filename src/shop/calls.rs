//! What is being asked of the platform, and when it is asked again. Makes no calls itself.

use super::attempt::{Attempt, AttemptState, RefundState};
use super::effect::{Create, Effect, PlatformCall};
use super::id::{AttemptId, RefundId};
use super::money::Amount;
use super::planted::{Mistake, planted};
use super::retry::wait_ms;
use super::sale::{Sale, SaleState};
use super::time::{Mono, Now};
use std::collections::BTreeMap;

/// How long the platform may hold an answer about a payment under way.
const WATCH_SECS: u32 = 25;
/// Least time between two questions about a payment that has not changed, whatever the platform's pace.
const WATCH_GAP_MS: u64 = 500;
/// A call not answered by then is made again; its deadlines at the channel are shorter.
const CALL_LOST_MS: u64 = 90_000;
/// Longest wait between two tries while a till waits.
const WAIT_LIVE_MAX_MS: u64 = 8_000;
/// Longest wait between two tries when nobody waits.
const WAIT_REST_MAX_MS: u64 = 300_000;
/// Wait between two tries of what needs a person.
const WAIT_PERSON_MS: u64 = 86_400_000;
/// While the clock has no date nothing can be asked over TLS.
const CLOCK_WAIT_MS: u64 = 5_000;
/// An answer within this time means the line is up.
const LINE_FRESH_MS: u64 = 60_000;
/// How often the list of changed payments is fetched.
const LIST_EVERY_MS: u64 = 3_600_000;

/// What the platform should be asked about an attempt now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Want {
    /// Create it, or get the one created earlier.
    Create,
    /// Wait for its next version.
    Watch,
    /// Close it.
    Close,
    /// Nothing: it is paid or closed.
    Nothing,
}

impl Sale {
    /// What should be asked about an attempt now. A sale under way wants its newest attempt; all else is to be closed.
    pub(super) fn wants(&self, attempt: &Attempt) -> Want {
        let newest = self.attempts.last().is_some_and(|a| a.id == attempt.id);
        let wanted = newest && matches!(self.state, SaleState::Paying { .. });
        match (&attempt.state, wanted) {
            (AttemptState::Intent { .. }, true) => Want::Create,
            (AttemptState::Open { .. }, true) => Want::Watch,
            (AttemptState::Intent { .. } | AttemptState::Open { .. }, false) => Want::Close,
            (AttemptState::Paid { .. } | AttemptState::Closed(_), _) => Want::Nothing,
        }
    }
}

/// What is asked about one attempt or refund.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Question {
    Attempt(Want),
    PutRefund,
    SeeRefund,
}

/// One question being asked until it is answered.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Asking {
    question: Question,
    pub(super) due: Mono,
    pub(super) tries: u32,
}

/// The questions about one sale.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Calls(pub(super) BTreeMap<u128, Asking>);

impl Calls {
    /// When the next question is due.
    pub(super) fn deadline(&self) -> Option<Mono> {
        self.0.values().map(|asking| asking.due).min()
    }

    /// Everything is asked at once: the line has come back.
    pub(super) fn hurry(&mut self, now: Mono) {
        for asking in self.0.values_mut() {
            asking.due = asking.due.min(now);
        }
    }

    /// Puts the questions that are due into `effects`, and forgets those that no longer matter.
    pub(super) fn ask(&mut self, sale: &Sale, now: Now, effects: &mut Vec<Effect>) {
        let mut matter: Vec<(u128, Question, PlatformCall)> = Vec::new();
        for attempt in &sale.attempts {
            let want = sale.wants(attempt);
            let id = attempt.id;
            let call = match want {
                Want::Nothing => continue,
                Want::Create => PlatformCall::Create(Box::new(Create {
                    attempt: id,
                    sale: sale.id,
                    till: sale.till,
                    amount: created_amount(sale),
                    code: sale.code,
                    session: attempt.session,
                    expires_in_secs: match planted(Mistake::BodyChanges) {
                        true => u32::try_from(now.mono.ms_until(sale.ends) / 1_000).unwrap_or(1),
                        false => attempt.expires_in_secs,
                    },
                })),
                Want::Watch => PlatformCall::Query { attempt: id, version: attempt.version, wait_secs: WATCH_SECS },
                Want::Close => PlatformCall::Cancel { attempt: id },
            };
            matter.push((id.0, Question::Attempt(want), call));
        }
        for refund in &sale.refunds {
            let (id, attempt) = (refund.id, refund.attempt);
            let (question, call) = match refund.state {
                RefundState::Intent { doubt: Some(_) } if planted(Mistake::RefundForgotten) => continue,
                RefundState::Done | RefundState::Refused => continue,
                RefundState::Accepted => (Question::SeeRefund, PlatformCall::QueryRefund { attempt, refund: id }),
                RefundState::Intent { .. } => {
                    (Question::PutRefund, PlatformCall::Refund { attempt, refund: id, amount: refund.amount })
                }
            };
            matter.push((id.0, question, call));
        }
        self.0.retain(|id, asking| matter.iter().any(|(m, q, _)| m == id && *q == asking.question));
        for (id, question, call) in matter {
            let asking = self.0.entry(id).or_insert(Asking { question, due: now.mono, tries: 0 });
            if asking.due > now.mono {
                continue;
            }
            if now.wall.is_none() {
                asking.due = now.mono.plus_ms(CLOCK_WAIT_MS);
                continue;
            }
            asking.due = now.mono.plus_ms(CALL_LOST_MS);
            asking.tries = asking.tries.saturating_add(1);
            effects.push(Effect::Platform(call));
        }
    }

    /// An answer about an attempt came: when to ask next. `news`: it changed something.
    pub(super) fn answered(
        &mut self,
        attempt: AttemptId,
        want: Want,
        believed: bool,
        news: bool,
        pace: Pace,
        now: Mono,
    ) {
        if let Some(asking) = self.0.get_mut(&attempt.0)
            && asking.question == Question::Attempt(want)
        {
            asking.again(believed, if news { 0 } else { WATCH_GAP_MS }, pace, now);
        }
    }

    /// An answer about a refund came. Accepted ones are looked at at the slow pace.
    pub(super) fn refund_answered(&mut self, refund: RefundId, believed: bool, pace: Pace, now: Mono) {
        if let Some(asking) = self.0.get_mut(&refund.0) {
            asking.again(false, 0, pace, now);
            if believed {
                asking.tries = 0;
            }
        }
    }
}

/// What the platform is asked to take: the sale's amount.
fn created_amount(sale: &Sale) -> Amount {
    let other = Amount::from_minor(sale.amount.minor().saturating_add(1), sale.amount.currency());
    if planted(Mistake::OtherAmountCreated) { other.unwrap_or(sale.amount) } else { sale.amount }
}

/// How eagerly a question is asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Pace {
    /// A till waits.
    Live,
    /// Nobody waits.
    Rest,
    /// A person must look; asked daily.
    Person,
}

impl Asking {
    fn again(&mut self, believed: bool, gap_ms: u64, pace: Pace, now: Mono) {
        let doubted = self.tries.saturating_sub(1);
        let wait = match pace {
            _ if believed => gap_ms,
            Pace::Live => wait_ms(doubted, WAIT_LIVE_MAX_MS),
            Pace::Rest => wait_ms(doubted, WAIT_REST_MAX_MS),
            Pace::Person => WAIT_PERSON_MS,
        };
        if believed {
            self.tries = 0;
        }
        self.due = now.plus_ms(wait);
    }
}

/// Whether the platform can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LineState {
    /// An answer came within the last minute.
    Up,
    /// The last call found no connection.
    Down,
    /// Neither.
    Unknown,
}

/// The line to the platform: when it was heard last, and when it is tried next.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Line {
    pub(super) heard: Option<Mono>,
    pub(super) down: bool,
    pub(super) fails: u32,
    pub(super) probe_due: Mono,
    pub(super) list_due: Mono,
}

impl Line {
    /// Nothing is known yet: it is tried at once, and the list is fetched.
    pub(super) fn unknown(now: Mono) -> Line {
        Line { heard: None, down: false, fails: 0, probe_due: now, list_due: now }
    }

    pub(super) fn state(&self, now: Mono) -> LineState {
        match self.heard {
            _ if self.down => LineState::Down,
            Some(heard) if heard.ms_until(now) <= LINE_FRESH_MS => LineState::Up,
            Some(_) | None => LineState::Unknown,
        }
    }

    pub(super) fn heard(&self) -> Option<Mono> {
        self.heard
    }

    pub(super) fn deadline(&self) -> [Mono; 2] {
        [self.probe_due, self.list_due]
    }

    /// Any authenticated answer. True if the line had been down.
    pub(super) fn answered(&mut self, now: Mono) -> bool {
        let was_down = self.down;
        (self.heard, self.down, self.fails) = (Some(now), false, 0);
        self.probe_due = now.plus_ms(LINE_FRESH_MS);
        was_down
    }

    /// No connection came about.
    pub(super) fn broken(&mut self, now: Mono) {
        (self.heard, self.down) = (None, true);
        self.fails = self.fails.saturating_add(1);
        self.probe_due = now.plus_ms(wait_ms(self.fails, LINE_FRESH_MS));
    }

    /// A call went unanswered: nothing is known; it is tried soon.
    pub(super) fn doubted(&mut self, now: Mono) {
        if !self.down {
            self.heard = None;
            self.probe_due = self.probe_due.min(now.plus_ms(1_000));
        }
    }

    /// Somebody needs to know now.
    pub(super) fn try_now(&mut self, now: Mono) {
        self.probe_due = now;
    }

    /// A page of the list came: the next one at once if there is more, else in an hour (in a minute if it could not be had).
    pub(super) fn listed(&mut self, more: Option<bool>, now: Mono) {
        self.list_due = match more {
            Some(true) => now,
            Some(false) => now.plus_ms(LIST_EVERY_MS),
            None => now.plus_ms(LINE_FRESH_MS),
        };
    }

    pub(super) fn ask(&mut self, cursor: &str, now: Now, effects: &mut Vec<Effect>) {
        if now.wall.is_none() {
            self.probe_due = self.probe_due.max(now.mono.plus_ms(CLOCK_WAIT_MS));
            self.list_due = self.list_due.max(now.mono.plus_ms(CLOCK_WAIT_MS));
            return;
        }
        if self.probe_due <= now.mono {
            self.probe_due = now.mono.plus_ms(CALL_LOST_MS);
            effects.push(Effect::Platform(PlatformCall::Probe));
        }
        if self.list_due <= now.mono {
            self.list_due = now.mono.plus_ms(CALL_LOST_MS);
            effects.push(Effect::Platform(PlatformCall::List { since: cursor.to_owned() }));
        }
    }
}
