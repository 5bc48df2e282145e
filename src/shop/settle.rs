//! The end of every step: offers sales to phones, asks the platform, and turns what has changed into records and effects.
//! Nothing is remembered as *to be said*: it is found by comparing.

use super::attempt::Attempt;
use super::effect::{Alarm, Effect, Finish, Progress, Reach, Record, TillAnswer};
use super::event::{Reason, TillNumber};
use super::id::SaleId;
use super::planted::{Mistake, planted};
use super::sale::{Sale, SaleState, Telling};
use super::{Live, Shop, Turn};

/// How long after its link's time an ended attempt is asked about once more.
const LATE_MARGIN_MS: u64 = 60_000;

impl Shop {
    pub(super) fn settle(&mut self, turn: &mut Turn) {
        self.offer_waiting(turn);
        self.ask_platform(turn);
        let sales = std::mem::take(&mut turn.sales);
        for id in &sales {
            self.settle_sale(*id, turn);
        }
        let returns = std::mem::take(&mut turn.returns);
        for id in &returns {
            self.settle_return(*id, turn);
        }
        self.settle_visits(turn);
        // A return that is over needs its sale no more.
        let backs = returns.iter().filter_map(|id| self.returns.get(id)?.given.state.back());
        turn.let_go.extend(backs.map(|back| back.sale));
        turn.let_go.extend(sales);
        turn.let_go.extend(returns);
        turn.let_go.extend(&self.fetched);
        let let_go = std::mem::take(&mut turn.let_go);
        let_go.iter().for_each(|id| self.let_return_rest(*id));
        let_go.iter().for_each(|id| self.let_rest(*id, turn));
    }

    /// A waiting sale goes to the first phone in line.
    fn offer_waiting(&mut self, turn: &mut Turn) {
        let tills: Vec<TillNumber> = turn.tills.iter().copied().collect();
        for number in tills {
            let Some(till) = self.tills.get(&number) else { continue };
            turn.visits.extend(&till.line);
            let (Some(first), Some(current)) = (till.line.first().copied(), till.current) else { continue };
            let waiting = self.sales.get(&current).is_some_and(|live| live.sale.state == SaleState::Waiting);
            if let Some(visit) = self.visits.get_mut(&first).filter(|_| waiting) {
                (visit.session.sale, visit.note) = (Some(current), None);
                self.change(turn, current, |sale, turn, policy| sale.offer(first, turn.now.mono, policy));
            }
        }
    }

    fn ask_platform(&mut self, turn: &mut Turn) {
        let due: Vec<SaleId> = {
            let now = turn.now.mono;
            let is_due = |live: &&Live| live.calls.deadline().is_some_and(|at| at <= now);
            self.sales.values().filter(is_due).map(|live| live.sale.id).collect()
        };
        turn.sales.extend(due);
        for id in &turn.sales {
            if let Some(live) = self.sales.get_mut(id) {
                live.calls.ask(&live.sale, turn.now, &mut turn.step.effects);
            }
        }
        self.line.ask(&self.cursor, turn.now, &mut turn.step.effects);
        self.look_late(turn);
    }

    fn settle_sale(&mut self, id: SaleId, turn: &mut Turn) {
        let Some(live) = self.sales.get_mut(&id) else { return };
        let open = !live.sale.is_at_rest();
        live.record(open, &mut turn.step.records);
        let unheard =
            |sale: &Sale| sale.winner().is_some() && matches!(sale.state.telling(), Some(Telling::Unheard { .. }));
        // Once: each time its till is back it is told again, and may not hear it again.
        if unheard(&live.sale)
            && !live.saved.as_ref().is_some_and(unheard)
            && !std::mem::replace(&mut live.alarmed, true)
        {
            turn.alarm(Alarm::Unheard { sale: id });
        }
        live.tell(&mut turn.step.effects);
        live.saved = Some(live.sale.clone());
        live.saved_open = open;
        turn.visits.extend(self.visits.values().filter(|v| v.session.sale == Some(id)).map(|v| v.session.id));
        // Its refund, or what is left of it, may stand on the page of a return.
        for given in self
            .returns
            .values()
            .filter(|live| live.choices.contains(&id) || live.given.state.back().is_some_and(|back| back.sale == id))
        {
            turn.returns.insert(given.given.id);
        }
    }

    fn settle_visits(&mut self, turn: &mut Turn) {
        for id in std::mem::take(&mut turn.visits) {
            let Some(visit) = self.visits.get(&id) else { continue };
            let (screen, reach) = (self.screen(visit), self.reach(visit, turn.now.mono));
            let Some(visit) = self.visits.get_mut(&id) else { continue };
            if visit.saved.as_ref() != Some(&visit.session) {
                turn.let_go.extend(visit.saved.as_ref().and_then(|saved| saved.sale));
                turn.step.records.push(Record::Session(visit.session.clone()));
                visit.saved = Some(visit.session.clone());
            }
            let ((reach, until), place) = (reach, visit.session.place);
            let said = Effect::Reach { session: id, place, reach, until };
            let open = (reach != Reach::Captive).then_some((reach, until, place));
            let changed = open != visit.open;
            visit.open = open;
            // A phone gets its reach before the page that needs it, and loses it after the page that says so.
            if changed && open.is_some() {
                turn.effect(said.clone());
            }
            if visit.shown.as_ref() != Some(&screen) {
                turn.effect(Effect::Show { session: id, screen: screen.clone() });
                visit.shown = Some(screen);
            }
            if changed && open.is_none() {
                turn.effect(said);
            }
        }
    }

    /// A sale of which nothing more will come by itself leaves memory; disk has it, and `missing` finds it again.
    fn let_rest(&mut self, id: SaleId, turn: &Turn) {
        let Some(live) = self.sales.get(&id).filter(|live| live.sale.is_at_rest()) else { return };
        let shown = self.visits.values().any(|visit| visit.session.sale == Some(id));
        let last = self.tills.get(&live.sale.till).is_some_and(|till| till.last == Some(id));
        for attempt in live.sale.attempts.iter().filter(|a| !a.checked) {
            let lasts_ms = u64::from(attempt.expires_in_secs).saturating_mul(1_000);
            let due = turn.now.mono.plus_ms(lasts_ms.saturating_add(LATE_MARGIN_MS));
            self.late.entry(attempt.id).or_insert(due);
        }
        if !shown && !last && !self.return_needs(id) {
            self.sales.remove(&id);
        }
    }
}

impl Live {
    /// The rows that differ from what is on disk.
    fn record(&self, open: bool, records: &mut Vec<Record>) {
        let saved = self.saved.as_ref();
        let bare = |sale: &Sale| Sale { attempts: Vec::new(), refunds: Vec::new(), ..sale.clone() };
        let row = bare(&self.sale);
        let differs = saved.map(bare).as_ref() != Some(&row) || self.saved_open != open;
        if differs && !(planted(Mistake::ApprovalNotWritten) && row.winner().is_some()) {
            records.push(Record::Sale { sale: Box::new(row), open });
        }
        if saved.is_none_or(|saved| saved.ticket != self.sale.ticket) {
            records.extend(super::tills::ticket_record(&self.sale));
        }
        let sale = self.sale.id;
        for attempt in &self.sale.attempts {
            let intent = matches!(attempt.state, super::attempt::AttemptState::Intent { .. });
            if planted(Mistake::IntentNotWritten) && intent {
                continue;
            }
            if saved.is_none_or(|saved| !saved.attempts.contains(attempt)) {
                records.push(Record::Attempt { sale, attempt: Box::new(attempt.clone()) });
            }
        }
        for refund in &self.sale.refunds {
            if saved.is_none_or(|saved| !saved.refunds.contains(refund)) {
                records.push(Record::Refund { sale, refund: refund.clone() });
            }
        }
    }

    /// What the till has to hear: failed tries, the step reached, the result.
    fn tell(&mut self, effects: &mut Vec<Effect>) {
        let (till, sale, ticket) = (self.sale.till, self.sale.id, self.sale.ticket);
        let mut say = |answer| effects.push(Effect::Till { till, answer });
        if self.sale.is_live()
            && let Some((reason, new_attempt)) = self.new_failure()
        {
            let progress = Progress::Failed { reason, try_no: self.sale.failed_tries(), new_attempt };
            say(TillAnswer::Progress { sale, ticket, progress });
        }
        if planted(Mistake::CancelledTooSoon)
            && let SaleState::Aborting { .. } = self.sale.state
        {
            let mut told = self.sale.clone();
            told.state = SaleState::Lapsed { telling: Telling::Telling { put_off: 0 } };
            Finish::of(&told).into_iter().for_each(|finish| say(TillAnswer::Finish(Box::new(finish))));
        }
        let progress = progress(&self.sale);
        if progress != self.progress_told
            && let Some(progress) = progress
        {
            say(TillAnswer::Progress { sale, ticket, progress });
        }
        self.progress_told = progress;
        let telling = matches!(self.sale.state.telling(), Some(Telling::Telling { .. }));
        if telling
            && !self.result_told
            && let Some(finish) = Finish::of(&self.sale)
        {
            say(TillAnswer::Finish(Box::new(finish)));
        }
        self.result_told = telling;
    }

    /// The newest failure that is not on disk yet, and whether a new attempt follows it.
    fn new_failure(&self) -> Option<(Reason, bool)> {
        let before = |id| self.saved.iter().flat_map(|s| &s.attempts).find(|a: &&Attempt| a.id == id);
        let newer = self.sale.attempts.iter().rev().find(|attempt| {
            attempt.failed_tries() > before(attempt.id).map_or(0, Attempt::failed_tries)
                || (attempt.failed_for_good().is_some()
                    && before(attempt.id).is_none_or(|b| b.failed_for_good().is_none()))
        })?;
        let for_good = newer.failed_for_good();
        let reason = for_good.or(newer.last_failure.map(|f| f.reason)).unwrap_or(Reason::Other);
        let again = matches!(self.sale.state, SaleState::Paying { .. });
        Some((reason, for_good.is_some() && again))
    }
}

/// The step a sale has reached, as tills show it.
fn progress(sale: &Sale) -> Option<Progress> {
    match sale.state {
        SaleState::Waiting => Some(Progress::WaitingForPhone),
        SaleState::Offered { .. } => Some(Progress::Offered),
        SaleState::Aborting { .. } => Some(Progress::Closing),
        SaleState::Paying { .. } => Some(match sale.attempts.last().map(|a| (a.doubt(), a.link().is_some())) {
            Some((Some(_), _)) => Progress::Checking,
            Some((None, true)) => Progress::AtCheckout,
            Some((None, false)) | None => Progress::Confirmed,
        }),
        SaleState::Approved { .. }
        | SaleState::Declined { .. }
        | SaleState::Cancelled { .. }
        | SaleState::Lapsed { .. } => None,
    }
}
