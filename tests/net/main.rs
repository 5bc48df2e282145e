//! The firewall, its helper and the neighbours, with real packets in network namespaces. Needs root and the packages
//! `nftables` and `iproute2`.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic,
    clippy::wildcard_enum_match_arm
)]

mod bed;
mod callers;
mod daemon;
mod floods;
mod hardship;
mod helper;
mod journey;
// Shared with the router's tests; each uses its part.
#[allow(dead_code)]
mod machine;
mod packets;
mod paying;
mod strangers;
mod who;
