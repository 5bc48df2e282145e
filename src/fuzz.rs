//! What is fuzzed: every reader of what comes from outside, as functions of bytes that panic where a promise is broken.
//! `fuzz/` gives them to libFuzzer, `tests/fuzz.rs` plays the corpus on them.

use crate::{config, network, platform, portal, shop, store, till};

#[cfg(not(debug_assertions))]
compile_error!("the fuzz targets are for tests: a release cannot have them");

/// A target: bytes in, a panic if a promise is broken.
pub type Target = fn(&[u8]);

/// Every target and its name, which is that of its folder in `fuzz/corpus`.
pub const TARGETS: &[(&str, Target)] = &[
    ("till_plain", till_plain),
    ("till_player", till_player),
    ("till_concert", till_concert),
    ("till_zvt_serial", till_zvt_serial),
    ("till_zvt_tcp", till_zvt_tcp),
    ("portal_requests", portal_requests),
    ("portal_words", portal_words),
    ("platform_answers", platform_answers),
    ("network_solicits", network_solicits),
    ("config_text", config_text),
    ("store_rows", store_rows),
    ("store_cells", store_cells),
    ("store_file", store_file),
    ("shop_events", shop_events),
    ("shop_runs", shop_runs),
];

/// The box's end of a plain line.
pub fn till_plain(data: &[u8]) {
    till::fuzz::drive::<till::plain::Plain>(data);
}

/// The till's end of a plain line.
pub fn till_player(data: &[u8]) {
    till::fuzz::hear(data);
}

/// Both ends of a Concert line.
pub fn till_concert(data: &[u8]) {
    till::fuzz::drive::<till::concert::Concert>(data);
    till::fuzz::hear_concert(data);
}

/// The box as a ZVT terminal on a serial line.
pub fn till_zvt_serial(data: &[u8]) {
    till::zvt::fuzz::serial(data);
}

/// The box as a ZVT terminal over TCP.
pub fn till_zvt_tcp(data: &[u8]) {
    till::zvt::fuzz::tcp(data);
}

/// Requests of phones.
pub fn portal_requests(data: &[u8]) {
    portal::fuzz::requests(data);
}

/// The words in the heads of requests.
pub fn portal_words(data: &[u8]) {
    portal::fuzz::words(data);
}

/// What the payment platform answers.
pub fn platform_answers(data: &[u8]) {
    platform::fuzz::hear(data);
}

/// Phones that look for a router.
pub fn network_solicits(data: &[u8]) {
    network::advertise::fuzz::solicits(data);
}

/// The configuration.
pub fn config_text(data: &[u8]) {
    config::fuzz::parse(data);
}

/// The store's rows, each alone.
pub fn store_rows(data: &[u8]) {
    store::fuzz::row(data);
}

/// The store's rows, all together.
pub fn store_cells(data: &[u8]) {
    store::fuzz::cells(data);
}

/// The store's file.
pub fn store_file(data: &[u8]) {
    store::fuzz::file(data);
}

/// The shop, whatever it is told.
pub fn shop_events(data: &[u8]) {
    shop::fuzz_events(data);
}

/// The shop among tills, phones and an honest platform.
pub fn shop_runs(data: &[u8]) {
    shop::fuzz_run(data);
}
