//! The box as a machine of its own, emulated: the image of `packaging/image`, a till on a serial line with its program
//! outside, phones in namespaces inside, the platform outside. Needs root and the Debian packages that it names.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic,
    clippy::wildcard_enum_match_arm
)]

mod blocks;
mod books;
mod boot;
mod cable;
mod cuts;
mod day;
mod image;
mod log;
mod machine;
mod shop;
mod town;

// The storm's own cashier, dice and judge of three books; each program uses its part.
#[allow(dead_code)]
#[path = "../../../kills/cashier.rs"]
mod cashier;
#[allow(dead_code)]
#[path = "../../../kills/dice.rs"]
mod dice;
#[allow(dead_code)]
#[path = "../../../kills/books.rs"]
mod three;
#[path = "../../../kills/wait.rs"]
mod wait;
