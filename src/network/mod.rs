//! The shop's Wi-Fi: what the box is to the guests' phones beside a portal. Knows no page, till, platform or store.

pub mod advertise;
pub mod announce;
mod client;
pub mod command;
mod neighbours;
pub mod netd;
mod netlink;
mod phone;
pub mod place;
pub mod render;
mod rights;
pub mod ruleset;
pub mod settings;
pub mod verify;
mod words;

pub use client::{Conversation, Reaches, Seen};
pub use neighbours::Neighbours;
pub use phone::{Phone, Way};
pub use settings::NetworkSettings;
pub use words::{Answer, Refused, Request, Stats, WORD_BYTES, Word};
