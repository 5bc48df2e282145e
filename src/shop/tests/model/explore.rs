//! Explores a small world completely, says how large it is, and tells the way to a broken law.

use super::actions::Action;
use super::state::{State, fingerprint};
use super::worlds::World;
use super::{story, truth};
use stateright::report::{ReportData, ReportDiscovery, Reporter};
use stateright::{Checker, HasDiscoveries, Model, Path, Property};
use std::collections::BTreeMap;

/// What is wrong with a state that goes round for ever.
const ENDLESS: &str = "17: from everywhere there is a way to rest";
/// So many steps of a way that never ends are told.
const ENDLESS_TOLD: usize = 12;

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        self.plant();
        vec![self.begin()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if !state.is_broken() {
            self.possible(state, actions);
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        self.plant();
        self.after(state, &action)
    }

    fn properties(&self) -> Vec<Property<World>> {
        if self.wanted.is_some() {
            let other = |world: &World, state: &State| world.wanted != Some(fingerprint(state));
            return vec![Property::always(ENDLESS, other)];
        }
        truth::laws().into_iter().chain(truth::sights(self.left)).collect()
    }
}

/// The first law found to be broken, and the way there.
pub(super) type Broken = (&'static str, String);

/// Every state is visited and every law holds, or this is one that does not.
pub(super) fn explore(make: impl Fn() -> World) -> Result<(), Broken> {
    let (name, mut said) = (make().name, Size::default());
    let checker = make().checker().threads(2).finish_when(HasDiscoveries::AnyFailures);
    // Depth first needs little memory; breadth first tells a short way.
    let checker = checker.spawn_dfs().join_and_report(&mut said);
    let found = checker.discoveries();
    if truth::laws().iter().any(|law| found.contains_key(law.name)) {
        return Err(first_broken(&make).expect("it was there before"));
    }
    let sights = truth::sights(make().left);
    let unseen: Vec<_> = sights.iter().map(|sight| sight.name).filter(|s| !found.contains_key(s)).collect();
    assert!(unseen.is_empty(), "{name}: never seen: {unseen:?}");
    let longest = match checker.model().longest() {
        Ok(longest) => longest,
        Err(endless) => {
            let world = World { wanted: Some(endless), ..make() };
            let checker = world.checker().threads(2).spawn_bfs().join();
            let way = checker.discoveries().remove(ENDLESS).expect("it was there before");
            return Err((ENDLESS, told(checker.model(), way)));
        }
    };
    println!("{name:<28} {} {longest:>5}", said.0);
    Ok(())
}

/// The first law that is broken, without a word about the size: for worlds that are known to break one.
pub(super) fn first_broken(make: impl Fn() -> World) -> Option<Broken> {
    let checker = make().checker().threads(2).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let mut found = checker.discoveries();
    let law = truth::laws().into_iter().find(|law| found.contains_key(law.name));
    match (law.and_then(|law| Some((law.name, found.remove(law.name)?))), checker.model().longest()) {
        (Some((law, path)), _) => Some((law, told(checker.model(), path))),
        (None, Ok(_)) => None,
        (None, Err(_)) => Some((ENDLESS, String::new())),
    }
}

/// The size of what was visited.
#[derive(Default)]
struct Size(String);

pub(super) fn heading() -> String {
    format!("{:<28} {:>9} {:>10} {:>5} {:>8} {:>5}", "world", "states", "steps", "depth", "seconds", "rest")
}

impl Reporter<World> for Size {
    fn report_checking(&mut self, data: ReportData) {
        let (states, steps, depth) = (data.unique_states, data.total_states, data.max_depth);
        self.0 = format!("{states:>9} {steps:>10} {depth:>5} {:>8.1}", data.duration.as_secs_f32());
    }

    fn report_discoveries(&mut self, _: &World, _: BTreeMap<&'static str, ReportDiscovery<World>>) {}
}

/// The way to a broken law, a line a step.
fn told(world: &World, path: Path<State, Action>) -> String {
    let steps = path.into_vec();
    let Some((last, _)) = steps.last() else { return String::new() };
    let mut lines: Vec<String> = Vec::new();
    lines.extend(steps.iter().filter_map(|(state, action)| Some(story::line(state, action.as_ref()?))));
    lines.extend(last.laws.broken.iter().map(|(law, what)| format!("law {law}: {what}")));
    lines.extend(last.platform.odd.map(|(law, what)| format!("law {law}: {what}")));
    if world.wanted.is_some() {
        lines.push("and so on for ever:".into());
        let mut state = last.clone();
        for _ in 0..ENDLESS_TOLD {
            let Some(action) = world.fair(&state) else { break };
            lines.push(story::line(&state, &action));
            let Some(next) = world.next_state(&state, action) else { break };
            state = next;
        }
    } else if !last.is_broken() && world.fair(last).is_none() {
        lines.push("nothing more happens by itself".into());
        lines.extend(last.unrest().map(|(law, what)| format!("law {law}: {what}")));
    }
    lines.iter().map(|line| format!("    {line}\n")).collect()
}
