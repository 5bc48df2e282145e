//! The shop under test: cases as text tables, and random runs; the laws are checked at every step of both.

mod edges;
#[cfg(feature = "fuzzing")]
pub(super) mod fuzz;
mod laws;
#[cfg(feature = "model-check")]
mod model;
mod parts;
pub(super) mod random;
mod returns;
mod states;
mod table;
mod world;
