//! The shop's Wi-Fi: what the box is to the guests' phones beside a portal. Knows no page, till, platform or store.

pub mod settings;

pub use settings::NetworkSettings;
