//! The files of `tillgate network` in the hands of the real programs, in network namespaces made for it: systemd-networkd,
//! dnsmasq, a DHCP client, Avahi. Needs root and Debian packages. Touches nothing of the machine's own network.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic,
    clippy::wildcard_enum_match_arm
)]

mod announced;
mod bed;
mod guests;
