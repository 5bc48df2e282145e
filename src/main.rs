//! The command line. Decides nothing.
fn main() {}
