//! SQLite's own way to the disk with a recorder in it. Changes nothing that is not recorded, and the only `unsafe` of
//! the project: SQLite calls it over its C interface.
#![allow(unsafe_code)]

use crate::disk::{Inode, Name, Op};
use crate::recorder::{self, Deed, Recorder};
use rusqlite::ffi::{
    SQLITE_ERROR, SQLITE_OK, SQLITE_OPEN_CREATE, sqlite3_file, sqlite3_io_methods, sqlite3_vfs, sqlite3_vfs_find,
    sqlite3_vfs_register,
};
use std::collections::HashMap;
use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, Once, OnceLock, PoisonError};

type Open = unsafe extern "C" fn(*mut sqlite3_vfs, *const c_char, *mut sqlite3_file, c_int, *mut c_int) -> c_int;
type Delete = unsafe extern "C" fn(*mut sqlite3_vfs, *const c_char, c_int) -> c_int;

static REAL: OnceLock<(Open, Delete)> = OnceLock::new();
static FILES: LazyLock<Mutex<HashMap<usize, Handle>>> = LazyLock::new(Mutex::default);

/// A recorded file that is open, known by where SQLite keeps it.
#[derive(Clone)]
struct Handle {
    recorder: Arc<Recorder>,
    inode: Inode,
    /// What the real one does.
    real: &'static sqlite3_io_methods,
    /// Its first sync is one of the directory as well: so SQLite does with a journal or log that it may have made.
    names_unsynced: bool,
}

fn files() -> MutexGuard<'static, HashMap<usize, Handle>> {
    FILES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes every connection of this process that is opened from now on one that can be recorded.
pub fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: null asks for the default; SQLite initialises itself first.
        let real = unsafe { sqlite3_vfs_find(std::ptr::null()) };
        assert!(!real.is_null(), "SQLite has no way to the disk");
        // SAFETY: not null, and a registered VFS stays where it is.
        let mut ours = unsafe { *real };
        let (Some(open), Some(delete)) = (ours.xOpen, ours.xDelete) else { panic!("SQLite cannot open files") };
        let _ = REAL.set((open, delete));
        ours.zName = c"recording".as_ptr();
        ours.pNext = std::ptr::null_mut();
        ours.xOpen = Some(x_open);
        ours.xDelete = Some(x_delete);
        // SAFETY: ours is a valid VFS (the real one but for two functions) and never freed.
        let done = unsafe { sqlite3_vfs_register(Box::into_raw(Box::new(ours)), 1) };
        assert_eq!(done, SQLITE_OK);
    });
}

unsafe extern "C" fn x_open(
    vfs: *mut sqlite3_vfs,
    path: *const c_char,
    file: *mut sqlite3_file,
    flags: c_int,
    flags_out: *mut c_int,
) -> c_int {
    let Some((open, _)) = REAL.get() else { return SQLITE_ERROR };
    // SAFETY: the arguments are SQLite's own, and `vfs` is the real one but for two functions that `open` does not call.
    let done = unsafe { open(vfs, path, file, flags, flags_out) };
    if done != SQLITE_OK || path.is_null() {
        return done;
    }
    // SAFETY: not null, and SQLite's names end with a zero and live as long as the file.
    let Some((recorder, name)) = recorder::of_path(&path_of(unsafe { CStr::from_ptr(path) })) else { return done };
    // SAFETY: opening went well, so `file` is valid.
    let methods = unsafe { (*file).pMethods };
    // SAFETY: of an open file they are set; SQLite's tables of methods are constants.
    let real: &'static sqlite3_io_methods = unsafe { &*methods };
    let names_unsynced = name != Name::Db && flags & SQLITE_OPEN_CREATE != 0;
    let inode = recorder.opened(name);
    files().insert(file.addr(), Handle { recorder, inode, real, names_unsynced });
    let ours = sqlite3_io_methods {
        xClose: Some(x_close),
        xWrite: Some(x_write),
        xTruncate: Some(x_truncate),
        xSync: Some(x_sync),
        ..*real
    };
    // SAFETY: as above; the table is never freed, for a closed file may still be asked for it.
    unsafe { (*file).pMethods = Box::leak(Box::new(ours)) };
    done
}

fn path_of(name: &CStr) -> std::path::PathBuf {
    Path::new(OsStr::from_bytes(name.to_bytes())).to_owned()
}

unsafe extern "C" fn x_delete(vfs: *mut sqlite3_vfs, path: *const c_char, sync_names: c_int) -> c_int {
    let Some((_, delete)) = REAL.get() else { return SQLITE_ERROR };
    // SAFETY: the arguments are SQLite's own.
    let done = unsafe { delete(vfs, path, sync_names) };
    if done == SQLITE_OK {
        // SAFETY: SQLite deletes nothing without a name, and its names end with a zero.
        if let Some((recorder, name)) = recorder::of_path(&path_of(unsafe { CStr::from_ptr(path) })) {
            recorder.deleted(name, sync_names & 1 != 0);
        }
    }
    done
}

unsafe extern "C" fn x_close(file: *mut sqlite3_file) -> c_int {
    let Some(handle) = files().remove(&file.addr()) else { return SQLITE_ERROR };
    // SAFETY: the file is open and was the real one's own before we gave it our methods.
    unsafe { (*file).pMethods = handle.real };
    // SAFETY: as above.
    handle.real.xClose.map_or(SQLITE_ERROR, |close| unsafe { close(file) })
}

fn handle(file: *mut sqlite3_file) -> Option<Handle> {
    files().get(&file.addr()).cloned()
}

unsafe extern "C" fn x_write(file: *mut sqlite3_file, from: *const c_void, len: c_int, at: i64) -> c_int {
    let Some(handle) = handle(file) else { return SQLITE_ERROR };
    let Some(write) = handle.real.xWrite else { return SQLITE_ERROR };
    let fault = handle.recorder.fault(Deed::Write);
    // A disk that fails or is full has often taken the first half.
    let len = if fault.is_some() { len / 2 } else { len };
    // SAFETY: the arguments are SQLite's own, or less of the same.
    let done = unsafe { write(file, from, len, at) };
    if done == SQLITE_OK
        && let (Ok(len), Ok(at)) = (usize::try_from(len), usize::try_from(at))
    {
        // SAFETY: SQLite hands over at least so many bytes to be read.
        let bytes = unsafe { std::slice::from_raw_parts(from.cast::<u8>(), len) };
        handle.recorder.note(Op::Write(handle.inode, at, bytes.into()));
    }
    fault.unwrap_or(done)
}

unsafe extern "C" fn x_truncate(file: *mut sqlite3_file, size: i64) -> c_int {
    let Some(handle) = handle(file) else { return SQLITE_ERROR };
    if let Some(code) = handle.recorder.fault(Deed::Truncate) {
        return code;
    }
    // SAFETY: the arguments are SQLite's own.
    let done = handle.real.xTruncate.map_or(SQLITE_ERROR, |truncate| unsafe { truncate(file, size) });
    if let (SQLITE_OK, Ok(size)) = (done, usize::try_from(size)) {
        handle.recorder.note(Op::Truncate(handle.inode, size));
    }
    done
}

unsafe extern "C" fn x_sync(file: *mut sqlite3_file, flags: c_int) -> c_int {
    let Some(handle) = handle(file) else { return SQLITE_ERROR };
    if let Some(code) = handle.recorder.fault(Deed::Sync) {
        handle.recorder.note(Op::SyncFailed(handle.inode));
        return code;
    }
    if handle.recorder.lies() {
        return SQLITE_OK;
    }
    // SAFETY: the arguments are SQLite's own.
    let done = handle.real.xSync.map_or(SQLITE_ERROR, |sync| unsafe { sync(file, flags) });
    if done == SQLITE_OK {
        handle.recorder.note(Op::Sync(handle.inode));
        if handle.names_unsynced {
            handle.recorder.note(Op::SyncNames);
            if let Some(open) = files().get_mut(&file.addr()) {
                open.names_unsynced = false;
            }
        }
    }
    done
}
