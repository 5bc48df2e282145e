//! What phones do, and how they stand in line at the tills.

use super::effect::{EnterNote, Reach};
use super::event::{PhoneEvent, TillNumber};
use super::giveback::ReturnState;
use super::id::{SaleId, SessionId};
use super::money::Amount;
use super::pairing::Pairing;
use super::policy::Policy;
use super::sale::{AbortWhy, Sale, SaleState, Unconfirmed};
use super::session::{Place, Session};
use super::time::Mono;
use super::{Shop, Turn, Visit};

/// After the result, how long the checkout stays in reach for a phone that has not loaded our result page.
const UNSEEN_MS: u64 = 30_000;
/// How long a phone stays captive after it has seen its receipt: systems close the page of a network that has become whole.
const RECEIPT_MS: u64 = 10_000;

impl Shop {
    pub(super) fn phone(&mut self, session: SessionId, what: PhoneEvent, turn: &mut Turn) {
        if let PhoneEvent::LoggedIn { place } = what {
            self.log_in(session, place, turn);
            return;
        }
        let lasts = turn.now.mono.plus_ms(self.policy.session_secs.saturating_mul(1_000));
        let Some(visit) = self.visits.get_mut(&session) else {
            turn.effect(super::Effect::Forget { session });
            return;
        };
        // Not at every touch: each change of a visit is a write to disk.
        let half = self.policy.session_secs.saturating_mul(500);
        if turn.now.mono.plus_ms(half) > visit.session.until {
            visit.session.until = lasts;
        }
        turn.visits.insert(session);
        match what {
            PhoneEvent::LoggedIn { .. } => {}
            PhoneEvent::Stands { at } => self.stands(session, at, turn),
            PhoneEvent::Leaves => self.leaves(session, turn),
            PhoneEvent::Confirms { sale, amount } => self.confirms(session, sale, amount, turn),
            PhoneEvent::Declines { sale } => {
                self.change(turn, sale, |sale, turn, _| sale.decline(session, turn.now));
            }
            PhoneEvent::NotMine { sale } => self.not_mine(session, sale, turn),
            PhoneEvent::GivesUp { sale } => self.ends(session, sale, AbortWhy::Customer, turn),
            PhoneEvent::LetsGo { sale } => {
                if self.others_wait(session) {
                    self.ends(session, sale, AbortWhy::LetGo, turn);
                }
            }
            PhoneEvent::Saw { sale } => self.saw(session, sale, turn),
            PhoneEvent::Chooses { asked, sale, amount } => self.chooses(session, asked, sale, amount, turn),
            PhoneEvent::Refuses { asked } => self.refuses(session, asked, turn),
            PhoneEvent::Finishes => self.finishes(session),
            PhoneEvent::LogsOut => self.logs_out(session, turn),
        }
    }

    fn log_in(&mut self, session: SessionId, place: Place, turn: &mut Turn) {
        turn.visits.insert(session);
        if let Some(visit) = self.visits.get_mut(&session) {
            visit.session.place = place;
            return;
        }
        if self.visits.len() >= Policy::SESSIONS_MAX {
            turn.effect(super::Effect::Forget { session });
            return;
        }
        let until = turn.now.mono.plus_ms(self.policy.session_secs.saturating_mul(1_000));
        let boot = turn.now.boot;
        let visit = Session { id: session, place, boot, until, pairing: None, sale: None, online_until: None };
        self.visits.insert(session, Visit::new(visit, None));
    }

    /// A visit from disk. After another boot its time starts afresh; its place in line is kept.
    pub(super) fn resume_visit(&mut self, mut session: Session, turn: &mut Turn) {
        let saved = Some(session.clone());
        let idle_until = self.idle_until(turn.now.mono);
        if session.boot != turn.now.boot {
            session.boot = turn.now.boot;
            session.until = turn.now.mono.plus_ms(self.policy.session_secs.saturating_mul(1_000));
            session.online_until = None;
            if let Some(pairing) = &mut session.pairing {
                pairing.until = idle_until;
            }
        }
        let id = session.id;
        turn.visits.insert(id);
        match session.pairing.and_then(|pairing| self.tills.get_mut(&pairing.till)) {
            Some(till) => till.line.push(id),
            None => session.pairing = None,
        }
        self.visits.insert(id, Visit::new(session, saved));
    }

    fn stands(&mut self, session: SessionId, at: Option<TillNumber>, turn: &mut Turn) {
        // The page shows where the payment or the return stands; nothing else can be begun.
        if self.has_confirmed(session) {
            return;
        }
        let Some(visit) = self.visits.get_mut(&session) else { return };
        if let Some(until) = visit.pause_until.filter(|until| *until > turn.now.mono) {
            visit.note = Some(EnterNote::TooManyGuesses { until });
            return;
        }
        let Some(till) = at.filter(|at| self.tills.contains_key(at)) else {
            self.guessed_wrongly(session, at, turn);
            return;
        };
        if visit.session.pairing.is_some_and(|pairing| pairing.till == till) {
            return;
        }
        self.unpair(session, None, turn);
        self.pair(session, till, turn);
    }

    fn guessed_wrongly(&mut self, session: SessionId, typed: Option<TillNumber>, turn: &mut Turn) {
        let policy = &self.policy;
        let Some(visit) = self.visits.get_mut(&session) else { return };
        visit.wrong_guesses = visit.wrong_guesses.saturating_add(1);
        let guesses_left = policy.guesses_max.saturating_sub(visit.wrong_guesses);
        visit.note = Some(EnterNote::WrongNumber { typed, guesses_left });
        if guesses_left == 0 {
            let until = turn.now.mono.plus_ms(policy.guess_pause_secs.saturating_mul(1_000));
            visit.note = Some(EnterNote::TooManyGuesses { until });
            visit.pause_until = Some(until);
            visit.wrong_guesses = 0;
        }
    }

    fn pair(&mut self, session: SessionId, till: TillNumber, turn: &mut Turn) {
        let until = self.idle_until(turn.now.mono);
        let last_in = self.tills.get(&till).and_then(|t| t.line.last()).and_then(|last| self.visits.get(last));
        let after = last_in.and_then(|visit| visit.session.pairing).map(|pairing| pairing.since.plus_ms(1));
        let (Some(visit), Some(entry)) = (self.visits.get_mut(&session), self.tills.get_mut(&till)) else { return };
        if entry.line.len() >= Policy::LINE_MAX {
            visit.note = Some(EnterNote::LineFull);
            return;
        }
        let since = after.map_or(turn.now.mono, |after| after.max(turn.now.mono));
        visit.session.pairing = Some(Pairing { till, since, until });
        (visit.session.sale, visit.session.online_until) = (None, None);
        (visit.note, visit.wrong_guesses, visit.unseen_until, visit.online_from) = (None, 0, None, None);
        entry.line.push(session);
        turn.tills.insert(till);
    }

    /// Takes a phone out of its line; the next one moves up. A sale it was offered goes back to waiting.
    pub(super) fn unpair(&mut self, session: SessionId, note: Option<EnterNote>, turn: &mut Turn) {
        turn.visits.insert(session);
        let Some(visit) = self.visits.get_mut(&session) else { return };
        if let Some(note) = note {
            visit.note = Some(note);
        }
        visit.too_late = None;
        let offered = visit.session.sale.take();
        if let Some(pairing) = visit.session.pairing.take() {
            self.leave_line(session, pairing.till, turn);
        }
        // A phone that leaves wants nothing back.
        if let Some(given) = offered.filter(|id| self.returns.contains_key(id)) {
            self.refuses(session, given, turn);
        }
        if let Some(live) = offered.and_then(|sale| self.sales.get_mut(&sale))
            && live.sale.withdraw(session)
        {
            turn.sales.insert(live.sale.id);
        }
    }

    pub(super) fn leave_line(&mut self, session: SessionId, till: TillNumber, turn: &mut Turn) {
        let idle_until = self.idle_until(turn.now.mono);
        turn.tills.insert(till);
        let Some(entry) = self.tills.get_mut(&till) else { return };
        let was_first = entry.line.first() == Some(&session);
        entry.line.retain(|other| *other != session);
        turn.visits.extend(&entry.line);
        if was_first
            && let Some(next) = entry.line.first().and_then(|next| self.visits.get_mut(next))
            && let Some(pairing) = &mut next.session.pairing
        {
            pairing.until = idle_until;
        }
    }

    /// The sale has ended: so has its pairing. The phone keeps its result until that is put away.
    pub(super) fn end_pairing_with_sale(&mut self, session: SessionId, before: &SaleState, turn: &mut Turn) {
        let Some(visit) = self.visits.get_mut(&session) else { return };
        let at_platform = match before {
            SaleState::Paying { .. } => true,
            SaleState::Waiting
            | SaleState::Offered { .. }
            | SaleState::Aborting { .. }
            | SaleState::Approved { .. }
            | SaleState::Declined { .. }
            | SaleState::Cancelled { .. }
            | SaleState::Lapsed { .. } => false,
        };
        visit.unseen_until = at_platform.then(|| turn.now.mono.plus_ms(UNSEEN_MS));
        visit.too_late = None;
        if let Some(pairing) = visit.session.pairing.take() {
            self.leave_line(session, pairing.till, turn);
        }
    }

    fn leaves(&mut self, session: SessionId, turn: &mut Turn) {
        if !self.has_confirmed(session) {
            self.unpair(session, None, turn);
        }
    }

    fn confirms(&mut self, session: SessionId, sale: SaleId, shown: Amount, turn: &mut Turn) {
        let mut too_late = false;
        self.change(turn, sale, |sale, turn, _| {
            too_late = sale.confirm(session, shown, turn.now, &mut turn.ids) == Err(Unconfirmed::TooLate);
        });
        if let Some(visit) = self.visits.get_mut(&session).filter(|_| too_late) {
            visit.too_late = Some(sale);
        }
    }

    fn not_mine(&mut self, session: SessionId, sale: SaleId, turn: &mut Turn) {
        let shown = self.sales.get(&sale).is_some_and(|live| live.sale.at_phone() == Some(session));
        if shown && !self.has_confirmed(session) {
            self.unpair(session, Some(EnterNote::NotMine), turn);
        }
    }

    /// After having confirmed: the attempt is closed first.
    fn ends(&mut self, session: SessionId, sale: SaleId, why: AbortWhy, turn: &mut Turn) {
        let paying = |sale: &Sale| matches!(sale.state, SaleState::Paying { session: payer, .. } if payer == session);
        if self.sales.get(&sale).is_some_and(|live| paying(&live.sale)) {
            self.change(turn, sale, |sale, turn, _| sale.abort(why, turn.now));
        }
    }

    fn saw(&mut self, session: SessionId, sale: SaleId, turn: &mut Turn) {
        let Some(visit) = self.visits.get_mut(&session) else { return };
        let Some(live) = self.sales.get(&sale).filter(|_| visit.session.sale == Some(sale)) else { return };
        if live.sale.is_live() {
            self.change(turn, sale, |sale, _, _| sale.came_back(session));
            return;
        }
        visit.unseen_until = None;
        if live.sale.winner().is_some() && self.policy.online_secs > 0 && visit.session.online_until.is_none() {
            visit.online_from.get_or_insert(turn.now.mono.plus_ms(RECEIPT_MS));
        }
    }

    fn finishes(&mut self, session: SessionId) {
        let Some(visit) = self.visits.get_mut(&session) else { return };
        let live = |id: SaleId| {
            self.sales.get(&id).is_some_and(|live| live.sale.is_live())
                || self.returns.get(&id).is_some_and(|live| live.given.is_live())
        };
        if visit.session.sale.is_some_and(|id| !live(id)) {
            (visit.session.sale, visit.unseen_until, visit.note) = (None, None, None);
        }
    }

    fn logs_out(&mut self, session: SessionId, turn: &mut Turn) {
        if !self.has_confirmed(session) {
            self.forget(session, turn);
        }
    }

    fn forget(&mut self, session: SessionId, turn: &mut Turn) {
        self.unpair(session, None, turn);
        if let Some(visit) = self.visits.remove(&session) {
            turn.let_go.extend(visit.saved.and_then(|saved| saved.sale));
            turn.step.records.push(super::Record::SessionEnded(session));
            turn.effect(super::Effect::Forget { session });
        }
    }

    /// Whether this is a sale or a return under way.
    pub(super) fn is_live(&self, id: SaleId) -> bool {
        self.sales.get(&id).is_some_and(|live| live.sale.is_live())
            || self.returns.get(&id).is_some_and(|live| live.given.is_live())
    }

    /// Whether the phone has confirmed a payment, or chosen what is given back, and that is not over.
    fn has_confirmed(&self, session: SessionId) -> bool {
        let Some(shown) = self.visits.get(&session).and_then(|visit| visit.session.sale) else { return false };
        let sent = |live: &super::LiveReturn| matches!(live.given.state, ReturnState::Sending { .. });
        self.returns.get(&shown).is_some_and(sent)
            || self.sales.get(&shown).is_some_and(|live| match live.sale.state {
                SaleState::Paying { .. } | SaleState::Aborting { .. } => true,
                SaleState::Waiting
                | SaleState::Offered { .. }
                | SaleState::Approved { .. }
                | SaleState::Declined { .. }
                | SaleState::Cancelled { .. }
                | SaleState::Lapsed { .. } => false,
            })
    }

    /// Whether another phone stands in line behind this one.
    pub(super) fn others_wait(&self, session: SessionId) -> bool {
        let till = self.visits.get(&session).and_then(|visit| visit.session.pairing).map(|pairing| pairing.till);
        till.and_then(|till| self.tills.get(&till)).is_some_and(|till| till.line.len() > 1)
    }

    /// Whether the phone stands first at a till that has no sale: then its time there runs.
    fn idles(&self, visit: &Visit) -> Option<Mono> {
        let pairing = visit.session.pairing?;
        let till = self.tills.get(&pairing.till)?;
        (till.current.is_none() && till.line.first() == Some(&visit.session.id)).then_some(pairing.until)
    }

    /// When the clock alone changes something for this phone. A visit with a sale under way does not end.
    pub(super) fn visit_deadline(&self, visit: &Visit) -> Option<Mono> {
        let ends = (!visit.session.sale.is_some_and(|id| self.is_live(id))).then_some(visit.session.until);
        let online_until = visit.open.filter(|(reach, ..)| *reach == Reach::Online).map(|(_, until, _)| until);
        let timed = [visit.pause_until, visit.unseen_until, visit.online_from, online_until];
        ends.into_iter().chain(self.idles(visit)).chain(timed.into_iter().flatten()).min()
    }

    pub(super) fn pass_visit(&mut self, session: SessionId, turn: &mut Turn) {
        let now = turn.now.mono;
        turn.visits.insert(session);
        let Some(visit) = self.visits.get_mut(&session) else { return };
        if visit.pause_until.take_if(|until| *until <= now).is_some() {
            visit.note = None;
        }
        visit.unseen_until.take_if(|until| *until <= now);
        if visit.online_from.take_if(|from| *from <= now).is_some() {
            let until = now.plus_ms(self.policy.online_secs.saturating_mul(1_000));
            visit.session.online_until = Some(until);
            visit.session.until = visit.session.until.max(until);
        }
        let Some(visit) = self.visits.get(&session) else { return };
        if self.idles(visit).is_some_and(|until| until <= now) {
            self.unpair(session, Some(EnterNote::Idle), turn);
        }
        let Some(visit) = self.visits.get(&session) else { return };
        if visit.session.until <= now && !visit.session.sale.is_some_and(|id| self.is_live(id)) {
            self.forget(session, turn);
        }
    }
}

impl Visit {
    pub(super) fn new(session: Session, saved: Option<Session>) -> Visit {
        Visit {
            session,
            saved,
            note: None,
            wrong_guesses: 0,
            pause_until: None,
            too_late: None,
            unseen_until: None,
            online_from: None,
            shown: None,
            open: None,
        }
    }
}
