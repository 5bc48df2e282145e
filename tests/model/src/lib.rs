//! The shop alone, so that its model check can be compiled optimised within seconds: see `src/shop/tests/model.rs`.
//! Has nothing of its own.

#[path = "../../../src/shop/mod.rs"]
pub mod shop;
