//! The shop's Wi-Fi: what the box is to the guests' phones beside a portal. Knows no page, till, platform or store.

pub mod announce;
pub mod command;
pub mod place;
pub mod render;
pub mod settings;
pub mod verify;

pub use settings::NetworkSettings;
