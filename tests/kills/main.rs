//! Real processes killed, stopped, starved, misled: the daemon, the platform and tills, and a look into all three books.
//! Needs root for a disk and a network of its own, and the packages `faketime` and `iproute2`.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic,
    clippy::wildcard_enum_match_arm
)]

mod books;
mod cable;
mod cashier;
mod customer;
mod damage;
mod dates;
mod dice;
// The benches' own steps and books of sales; each program uses its part.
#[allow(dead_code)]
#[path = "../../benches/ground/mod.rs"]
mod ground;
mod hardship;
mod lasting;
mod proxy;
// Two programs share it; each uses its part.
#[allow(dead_code)]
#[path = "../it/journey/rig.rs"]
mod rig;
mod storm;
mod town;
mod wait;
mod wire;
