//! Plays the real shop and the real store, in the real ring, in a simulated world that is bad in every way it can be, and
//! judges what comes out by the laws of the design. `simulate` is the program.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic,
    clippy::wildcard_enum_match_arm
)]

pub mod climate;
pub mod dice;
pub mod ledger;
pub mod line;
pub mod machine;
pub mod phones;
pub mod platform;
pub mod run;
pub mod shrink;
pub mod story;
pub mod tally;
pub mod tills;
pub mod world;
