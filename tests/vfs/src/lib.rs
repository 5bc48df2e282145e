//! Power cuts as a disk sees them: records what the store does to its files and makes every disk that a cut can leave.
//! Knows nothing of SQLite's formats.

pub mod campaign;
pub mod dice;
pub mod disk;
pub mod dose;
pub mod history;
pub mod judge;
pub mod life;
pub mod recorder;
mod shim;
pub mod states;

pub use shim::install;
