//! The daemon among till programs that others have written, each a process of its own. Needs python3-venv and PyPI.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic,
    clippy::wildcard_enum_match_arm
)]

mod cable;
mod concert;
mod python;
#[allow(dead_code, reason = "the journey uses all of it")]
#[path = "../it/journey/rig.rs"]
mod rig;
mod zvt;
