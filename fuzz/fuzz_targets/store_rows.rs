//! `store_rows` for libFuzzer. What it does and what must hold is in `tillgate::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tillgate::fuzz::store_rows(data));
