//! Tests against real sockets, ptys and SQLite files. Need neither root nor packages.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic,
    clippy::wildcard_enum_match_arm
)]

mod cli;
mod concert;
mod doctor;
mod enrol;
mod journey;
mod line;
mod listen;
mod network;
mod pace;
mod platform;
mod port;
mod portal;
mod service;
mod setup;
mod store;
mod tcp;
mod till;
mod watchdog;
mod zvt_till;
