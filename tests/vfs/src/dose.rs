//! How much is tried, from the environment. Tries nothing.

/// States that a run judges where nothing is said: half a minute on two cores.
const STATES: u64 = 20_000;

/// What a run was asked for.
#[derive(Clone, Copy, Debug)]
pub struct Dose {
    /// `TILLGATE_CRASH_STATES`: about how many states all tests together judge.
    pub states: usize,
    /// `TILLGATE_CRASH_SEED`: what they are drawn from, and the day that the shop has.
    pub seed: u64,
    /// `TILLGATE_CRASH_REPEAT`: life, boundary and state that failed, as a failure names them.
    pub repeat: Option<[usize; 3]>,
}

impl Dose {
    /// What the environment asks for.
    pub fn asked() -> Dose {
        let repeat = std::env::var("TILLGATE_CRASH_REPEAT").ok().map(|text| {
            let numbers: Vec<usize> = text.split('/').filter_map(|number| number.parse().ok()).collect();
            numbers.try_into().expect("TILLGATE_CRASH_REPEAT is LIFE/BOUNDARY/STATE")
        });
        let states = number("TILLGATE_CRASH_STATES", STATES) as usize;
        Dose { states, seed: number("TILLGATE_CRASH_SEED", 1), repeat }
    }
}

fn number(name: &str, otherwise: u64) -> u64 {
    let asked = std::env::var(name).ok();
    asked.map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text}")))
}
