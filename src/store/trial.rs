//! The store as tests need it: without a file, opened again without closing, seen from inside. Nothing here runs in the daemon.

use super::schema::{OpenError, open_memory};
use super::verify::{Verified, VerifyError, check_at_start, verify_all};
use super::writer::Store;
use rusqlite::Connection;
use std::path::Path;

impl Store {
    /// A store in memory: the real schema, statements and journal, and no disk. It ends with this value.
    #[doc(hidden)]
    pub fn in_memory() -> Result<Store, OpenError> {
        let conn = open_memory()?;
        let head = check_at_start(&conn, Path::new(":memory:"))?;
        Ok(Store::over(conn, head, None, None))
    }

    /// What a power cut leaves of a store in memory: all that was committed and nothing else. With `check`, it is looked
    /// at as [`Store::open`] looks at a file.
    #[doc(hidden)]
    pub fn after_power_cut(mut self, check: bool) -> Result<Store, OpenError> {
        let path = Path::new(":memory:");
        if !self.conn.is_autocommit() {
            self.conn.execute_batch("ROLLBACK").map_err(|error| OpenError::of_sqlite(path, error))?;
        }
        if check {
            self.head = check_at_start(&self.conn, path)?;
        }
        Ok(self)
    }

    /// The connection, for looking from beside the program.
    #[doc(hidden)]
    pub fn connection(&self) -> &Connection {
        &self.conn
    }

    /// The connection, for faults.
    #[doc(hidden)]
    pub fn connection_mut(&mut self) -> &mut Connection {
        &mut self.conn
    }

    /// As [`super::verify`], from inside.
    #[doc(hidden)]
    pub fn prove(&self) -> Result<Verified, VerifyError> {
        verify_all(&self.conn, &mut |_, _| {})
    }
}
