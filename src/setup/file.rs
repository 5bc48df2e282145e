//! The files that setup writes: read, shown as a difference, and put in place whole or not at all. Decides nothing about
//! what stands in them.

use rustix::fs::{Access, Gid, Uid, fchown};
use similar::TextDiff;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// It holds no secret, and the firewall's helper, another user, reads it, too.
pub(super) const CONFIG_MODE: u32 = 0o644;
/// For root only.
pub(super) const SECRET_MODE: u32 = 0o600;
/// The daemon's group.
const GROUP: &str = "tillgate";
/// Lines of a difference that stand around a change.
const CONTEXT: usize = 3;

/// What is in a file; `None` if there is none.
pub(super) fn read(path: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(cause),
    }
}

/// Whether a file could be put there: asked before anybody has answered questions for nothing.
pub(super) fn may_be_put(path: &Path) -> io::Result<()> {
    let mut folder = folder_of(path);
    while !folder.exists() {
        folder = folder_of(folder);
    }
    rustix::fs::access(folder, Access::WRITE_OK | Access::EXEC_OK).map_err(io::Error::from)
}

/// What would change, line by line; empty if nothing would.
pub(super) fn diff(path: &Path, old: &str, new: &str) -> String {
    let name = path.display().to_string();
    let before = if old.is_empty() { "/dev/null" } else { name.as_str() };
    TextDiff::from_lines(old, new).unified_diff().context_radius(CONTEXT).header(before, &name).to_string()
}

/// Puts a file in place of what is there, on disk before it has its name. Its owner and group stay; those of a new one are
/// ours. Links are followed.
pub(super) fn put(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = folder_of(path);
    fs::create_dir_all(folder)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".new-{}", std::process::id()));
    let beside = Beside(folder.join(name));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside.0)?;
    file.write_all(text.as_bytes())?;
    let (owner, group) = match fs::metadata(path) {
        Ok(old) => (Some(Uid::from_raw(old.uid())), Some(Gid::from_raw(old.gid()))),
        Err(_) => (None, None),
    };
    // Only root gives files away; a file of somebody else's own keeps the rights that it has.
    let _ = fchown(&file, owner, group);
    // Whatever the mask of new files is.
    file.set_permissions(Permissions::from_mode(mode))?;
    file.sync_all()?;
    fs::rename(&beside.0, path)?;
    File::open(folder)?.sync_all()
}

/// Whether the daemon, which is a user of its own where there is a group of its name, is kept from reading a file that only
/// its owner may read.
pub(super) fn is_closed_to_daemon(path: &Path) -> bool {
    let (Some(group), Ok(file)) = (group_number("/etc/group", GROUP), fs::metadata(path)) else { return false };
    let by_group = file.gid() == group && file.mode() & 0o040 != 0;
    file.is_file() && !by_group && file.mode() & 0o004 == 0
}

/// Lets the daemon's group read a file, and nobody else who could not before.
pub(super) fn open_to_daemon(path: &Path) -> io::Result<()> {
    let file = File::open(path)?;
    let mode = file.metadata()?.permissions().mode() & 0o7_700;
    fchown(&file, None, group_number("/etc/group", GROUP).map(Gid::from_raw))?;
    file.set_permissions(Permissions::from_mode(mode | 0o040))
}

/// A file on its way; it goes if it does not arrive.
struct Beside(PathBuf);

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0); // Once it has its name, there is nothing here.
    }
}

/// A file without a name, to be looked at before it is written. It is there as long as this value.
pub(super) struct Unwritten(File);

impl Unwritten {
    pub(super) fn of(text: &str) -> io::Result<Unwritten> {
        let file = File::from(rustix::fs::memfd_create("tillgate-setup", rustix::fs::MemfdFlags::CLOEXEC)?);
        (&file).write_all(text.as_bytes())?;
        file.set_permissions(Permissions::from_mode(SECRET_MODE))?;
        Ok(Unwritten(file))
    }

    /// Where this process finds it.
    pub(super) fn path(&self) -> PathBuf {
        use std::os::fd::AsRawFd;
        PathBuf::from(format!("/proc/self/fd/{}", self.0.as_raw_fd()))
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => Path::new(if path.is_absolute() { "/" } else { "." }),
    }
}

fn group_number(list: &str, name: &str) -> Option<u32> {
    let text = fs::read_to_string(list).ok()?;
    text.lines().find_map(|line| {
        let mut parts = line.split(':');
        (parts.next()? == name).then(|| parts.nth(1)?.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_through_a_link_and_leaves_nothing_beside() {
        let folder = std::env::temp_dir().join(format!("tillgate-put-{}", std::process::id()));
        let real = folder.join("real/tillgate.toml");
        put(&real, "one\n", CONFIG_MODE).unwrap();
        let link = folder.join("link.toml");
        std::os::unix::fs::symlink(&real, &link).unwrap();
        fs::set_permissions(&real, Permissions::from_mode(0o666)).unwrap();
        put(&link, "two\n", CONFIG_MODE).unwrap();
        assert_eq!(read(&real).unwrap().as_deref(), Some("two\n"));
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::metadata(&real).unwrap().mode() & 0o777, CONFIG_MODE);
        assert_eq!(fs::read_dir(folder.join("real")).unwrap().count(), 1);
        assert_eq!(read(&folder.join("none")).unwrap(), None);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_is_not_written_yet_can_be_read_by_us_and_by_nobody_else() {
        let unwritten = Unwritten::of("secret words\n").unwrap();
        assert_eq!(read(&unwritten.path()).unwrap().as_deref(), Some("secret words\n"));
        let meta = fs::metadata(unwritten.path()).unwrap();
        assert!(meta.is_file() && meta.mode() & 0o777 == SECRET_MODE);
    }

    #[test]
    fn a_difference_names_the_file_and_shows_what_changes() {
        let path = Path::new("/etc/tillgate/tillgate.toml");
        let text = diff(path, "a\nb\n", "a\nc\n");
        let names = "--- /etc/tillgate/tillgate.toml\n+++ /etc/tillgate/tillgate.toml\n";
        assert!(text.starts_with(names) && text.contains(" a\n-b\n+c\n"), "{text}");
        assert!(diff(path, "", "a\n").starts_with("--- /dev/null\n"));
        assert_eq!(diff(path, "a\n", "a\n"), "");
    }
}
