//! Tillgate: lets a customer at a till pay on their own phone over the shop's Wi-Fi. `ARCHITECTURE.md` is the map.
#![cfg_attr(
    any(test, feature = "fuzzing"),
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::panic,
        clippy::wildcard_enum_match_arm
    )
)]

pub mod shop;

pub mod inbox;

pub mod network;
pub mod passed;
pub mod platform;
pub mod portal;
pub mod sandbox;
pub mod store;
pub mod till;

pub mod clock;
pub mod config;
pub mod control;
pub mod daemon;
pub mod demo;
pub mod doctor;
#[cfg(feature = "fuzzing")]
pub mod fuzz;
pub mod gateway;
pub mod listing;
pub mod logging;
pub mod ring;
pub mod setup;
pub mod sockets;
