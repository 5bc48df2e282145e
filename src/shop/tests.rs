//! The shop under test: cases as text tables, and random runs; the laws are checked at every step of both.

#[cfg(feature = "fuzzing")]
pub(super) mod fuzz;
mod edges;
mod laws;
#[cfg(feature = "model-check")]
mod model;
mod parts;
pub(super) mod random;
mod returns;
mod states;
mod table;
mod world;
