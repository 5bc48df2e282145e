//! The small worlds, each explored completely, and what is shown of that.

use super::super::super::event::{PhoneEvent, TillEvent};
use super::super::super::planted::Mistake;
use super::super::super::policy::Policy;
use super::actions::What;
use super::platform::Customer;
use super::state::{Left, State, fingerprint, policy};
use stateright::Model;
use std::sync::Mutex;

/// A small world: what may happen in it, and how often.
pub(super) struct World {
    pub(super) name: &'static str,
    pub(super) policy: Policy,
    pub(super) patience_ms: u64,
    pub(super) left: Left,
    /// The phones that stand at the till when it begins.
    pub(super) standing: &'static [&'static str],
    /// Whether the till numbers its requests, and can be told a result.
    pub(super) has_tickets: bool,
    pub(super) hears_result: bool,
    /// Whether two sales are over when it begins: one paid, one lapsed.
    pub(super) long_after: bool,
    /// After how many effects the program may stop in the middle of a step.
    pub(super) cuts: &'static [usize],
    pub(super) mistake: Option<Mistake>,
    /// A state to which the way is asked for.
    pub(super) wanted: Option<u64>,
    /// From each state the one that follows when nothing breaks any more; 0: none, it is the end.
    pub(super) chains: Mutex<Vec<(u64, u64)>>,
}

impl World {
    pub(super) fn new(name: &'static str, left: Left) -> World {
        World {
            name,
            policy: policy(),
            patience_ms: 50_000,
            left,
            standing: &["a"],
            has_tickets: true,
            hears_result: true,
            long_after: false,
            cuts: &[0, 1],
            mistake: None,
            wanted: None,
            chains: Mutex::default(),
        }
    }

    pub(super) fn both_phones(self) -> World {
        World { standing: &["a", "b"], ..self }
    }

    pub(super) fn long_after(self) -> World {
        World { long_after: true, left: Left { sales: 0, ..self.left }, ..self }
    }

    /// How it begins.
    pub(super) fn begin(&self) -> State {
        if !self.long_after {
            return State::new(&self.policy, self.left, self.standing);
        }
        let before = State::new(&self.policy, Left { sales: 2, moods: 1, ..Left::NONE }, self.standing);
        let asked = |what: &What| matches!(what, What::Till(TillEvent::Asked(_)));
        let confirms = |what: &What| matches!(what, What::Phone(_, PhoneEvent::Confirms { .. }));
        let pays = |what: &What| matches!(what, What::Customer(_, Customer::Pays));
        let finishes = |what: &What| matches!(what, What::Phone(_, PhoneEvent::Finishes));
        let confirmed = self.once(self.once(before, asked), confirms);
        let paid = self.to_the_end(self.once(confirmed, pays));
        let lapsed = self.to_the_end(self.once(self.once(paid, finishes), asked));
        State { left: self.left, ..lapsed }
    }

    /// Goes on by itself until this can happen, and has it happen.
    fn once(&self, mut state: State, wanted: impl Fn(&What) -> bool) -> State {
        loop {
            let mut actions = Vec::new();
            self.possible(&state, &mut actions);
            let found = actions.into_iter().find(|action| wanted(&action.what));
            if let Some(after) = found.and_then(|action| self.after(&state, &action)) {
                return after;
            }
            let next = self.fair(&state).expect("not at the end before");
            state = self.after(&state, &next).expect("it goes on");
        }
    }

    fn to_the_end(&self, mut state: State) -> State {
        while let Some(next) = self.fair(&state) {
            state = self.after(&state, &next).expect("it goes on");
        }
        state
    }

    /// Whether this is an end at rest, or goes on by itself towards one. Where to is noted down: see [`World::longest`].
    pub(super) fn goes_on(&self, state: &State) -> bool {
        if state.is_broken() {
            return true;
        }
        let next = self.fair(state).map(|action| self.next_state(state, action));
        let (to, fine) = match next {
            None => (0, state.unrest().is_none()),
            Some(None) => (0, false),
            Some(Some(next)) => (fingerprint(&next), true),
        };
        self.chains.lock().expect("nobody panicked").push((fingerprint(state), to));
        fine
    }

    /// The most steps that it takes from any state to the end; or a state that has none, because it goes round for ever.
    pub(super) fn longest(&self) -> Result<usize, u64> {
        let mut chains = std::mem::take(&mut *self.chains.lock().expect("nobody panicked"));
        chains.sort_unstable();
        chains.dedup();
        let mut steps = vec![0_usize; chains.len()];
        let mut longest = 0;
        for start in 0..chains.len() {
            let (mut at, mut way) = (start, Vec::new());
            while steps[at] == 0 {
                if way.len() > chains.len() {
                    return Err(chains[at].0);
                }
                way.push(at);
                match chains[at].1 {
                    0 => break,
                    to => match chains.binary_search_by_key(&to, |(from, _)| *from) {
                        Ok(next) => at = next,
                        Err(_) => return Err(chains[at].0),
                    },
                }
            }
            let mut from_end = steps[at];
            for passed in way.into_iter().rev() {
                from_end += 1;
                steps[passed] = from_end;
            }
            longest = longest.max(from_end);
        }
        Ok(longest)
    }
}

impl World {
    #[cfg(feature = "planted-mistakes")]
    pub(super) fn plant(&self) {
        super::super::super::planted::plant(self.mistake);
    }

    #[cfg(not(feature = "planted-mistakes"))]
    pub(super) fn plant(&self) {
        assert_eq!(self.mistake, None);
    }
}
