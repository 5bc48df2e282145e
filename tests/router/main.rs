//! The files of `tillgate network` in the hands of the real programs, in network namespaces made for it: systemd-networkd,
//! dnsmasq, a DHCP client, Avahi; and whole payments over that network. Needs root and Debian packages. Touches nothing of
//! the machine's own network.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic,
    clippy::wildcard_enum_match_arm
)]

mod advertised;
mod announced;
mod bed;
mod browser_journey;
mod floods;
mod guests;
mod hardship;
mod house;
mod phone;
mod probes;
mod six;
mod solicited;
mod world;

// Shared with the other programs of tests; each uses its part.
#[allow(dead_code)]
#[path = "../browser/browser.rs"]
mod browser;
#[allow(dead_code)]
#[path = "../net/machine.rs"]
mod machine;
#[allow(dead_code)]
#[path = "../net/packets.rs"]
mod packets;
#[allow(dead_code)]
#[path = "../it/journey/rig.rs"]
mod rig;
#[path = "../it/portal/probes.rs"]
mod table;
