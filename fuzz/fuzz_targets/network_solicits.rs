//! `network_solicits` for libFuzzer. What it does and what must hold is in `tillgate::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tillgate::fuzz::network_solicits(data));
