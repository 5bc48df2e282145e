//! The store: the shop's rows and journal in one SQLite file. Decides nothing about sales; knows no till, phone or platform.
//!
//! `Store` is the one writer and belongs to the ring. `Books` reads beside it, for people. Both see only what is
//! committed. The rows are the truth; the journal is the proof that they were not changed.

mod backup;
mod books;
mod cells;
mod copies;
mod disk;
mod ending;
#[cfg(feature = "fuzzing")]
pub mod fuzz;
mod journal;
mod load;
mod restore;
mod row;
mod schema;
mod trial;
mod verify;
mod wal;
mod whole;
mod words;
mod writer;

pub use backup::{BackupError, BackupFacts, backup};
pub use books::{Books, BooksError, Counts, Filter, SaleLine, Standing, Stands};
pub use copies::{Copies, CopyError, CopyFacts};
pub use disk::{DISK_LOW_BYTES, RESERVE_BYTES, Reserve, disk_free_bytes};
pub use load::Loaded;
pub use restore::{Newer, RestoreError, Restored, restore};
pub use schema::{OpenError, Synchronous};
pub use verify::{BadRow, Verified, VerifyError, verify};
pub use whole::{CHECKED_AT_ONCE_BYTES, WholeCheck};
pub use writer::{CommitError, Hold, LookUpError, Store};
