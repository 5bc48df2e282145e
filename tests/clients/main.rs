//! Tills' programs from public registries, as processes of their own, against the running daemon.
//! Needs what `tests/run` installs.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic,
    clippy::wildcard_enum_match_arm
)]

// Several programs share it; each uses its part.
#[allow(dead_code)]
#[path = "../it/journey/rig.rs"]
mod rig;
mod zvt;
