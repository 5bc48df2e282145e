//! The shop under test: cases as text tables, and random runs; the laws are checked at every step of both.

mod laws;
mod parts;
pub(super) mod random;
mod states;
mod table;
mod world;
