//! Files of ours among those of others: what is there, what would change, and putting it there or taking it away. Knows
//! not what is in them.

use super::render::{PLACES, Wanted};
use ring::digest::{SHA256, digest};
use similar::TextDiff;
use std::fmt;
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The first line of every file of ours.
const MARK: &str =
    "# Made by `tillgate network apply` from the configuration: change it there. A file changed by hand is kept.";
/// The second, before the SHA-256 of all that follows it.
const HASH: &str = "# sha256 ";
/// A longer file is none of ours.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// What is shown instead of a passphrase.
const HIDDEN: &str = "(hidden)";
const SECRET_KEYS: [&str; 2] = ["wpa_passphrase=", "sae_password="];
/// Lines around a change.
const CONTEXT: usize = 3;

/// Why a file cannot be read, written or taken away.
#[derive(Debug)]
pub struct PlaceError {
    what: &'static str,
    path: PathBuf,
    cause: io::Error,
}

impl fmt::Display for PlaceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} {}: {}", self.what, self.path.display(), self.cause)
    }
}

impl std::error::Error for PlaceError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PlaceError {
    let path = path.to_owned();
    move |cause| PlaceError { what, path, cause }
}

/// What is at a path.
#[derive(Debug, PartialEq, Eq)]
enum There {
    Nothing,
    /// As we left it; its whole text, and who may read it.
    Ours(String, u32),
    /// Ours, changed by hand since; its whole text.
    Edited(String),
    /// Somebody else's: a file without our mark, a link, a folder.
    Foreign,
}

/// What `apply` does with one file.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// It is as it should be.
    Keep(PathBuf),
    /// It is written, from the old text (may be empty) to the new one.
    Write {
        /// Where, from the root on.
        path: PathBuf,
        /// What it held, heading included.
        old: String,
        /// What it shall hold.
        new: String,
        /// Whether only root may read it.
        secret: bool,
    },
    /// Ours, and not wanted any more: it goes.
    Remove {
        /// Where, from the root on.
        path: PathBuf,
        /// What it held.
        old: String,
    },
    /// Ours, but changed by hand: it stays as it is.
    Edited(PathBuf),
    /// Somebody else's: it stays, and nothing at all is written.
    Foreign(PathBuf),
}

/// What `apply` would do below `root`, in the order of the paths. With `force`, files changed by hand are ours again.
pub fn plan(root: &Path, wanted: &[Wanted], force: bool) -> Result<Vec<Step>, PlaceError> {
    let mut steps = Vec::new();
    for file in wanted {
        let new = headed(&file.text);
        let path = file.path.clone();
        let mode = if file.secret { 0o600 } else { 0o644 };
        steps.push(match look(&root.join(&path))? {
            There::Foreign => Step::Foreign(path),
            There::Ours(old, of) if old == new && of == mode => Step::Keep(path),
            There::Edited(_) if !force => Step::Edited(path),
            There::Nothing => Step::Write { path, old: String::new(), new, secret: file.secret },
            There::Ours(old, _) | There::Edited(old) => Step::Write { path, old, new, secret: file.secret },
        });
    }
    let unwanted = |path: &PathBuf| wanted.iter().all(|file| file.path != *path);
    steps.extend(removals(root, force)?.into_iter().filter(|step| unwanted(path_of(step).0)));
    steps.sort_by(|a, b| path_of(a).cmp(&path_of(b)));
    Ok(steps)
}

/// What `clear` would do below `root`: every file of ours goes, those changed by hand only with `force`.
pub fn removals(root: &Path, force: bool) -> Result<Vec<Step>, PlaceError> {
    let mut steps = Vec::new();
    for path in candidates(root)? {
        match look(&root.join(&path))? {
            There::Nothing | There::Foreign => {}
            There::Ours(old, _) => steps.push(Step::Remove { path, old }),
            There::Edited(old) if force => steps.push(Step::Remove { path, old }),
            There::Edited(_) => steps.push(Step::Edited(path)),
        }
    }
    Ok(steps)
}

/// Does what was planned. Each file appears whole, or not at all; one that has changed since it was planned stays, and
/// with it all that come after it.
pub fn carry_out(root: &Path, steps: &[Step]) -> Result<(), PlaceError> {
    for step in steps {
        if let Step::Write { path, old, .. } | Step::Remove { path, old } = step {
            let whole = root.join(path);
            let as_planned = match look(&whole)? {
                There::Nothing => old.is_empty(),
                There::Ours(now, _) | There::Edited(now) => now == *old,
                There::Foreign => false,
            };
            if !as_planned {
                let cause = io::Error::other("it has changed meanwhile; look again");
                return Err(failed("change", &whole)(cause));
            }
        }
        match step {
            Step::Keep(_) | Step::Edited(_) | Step::Foreign(_) => {}
            Step::Write { path, new, secret, .. } => put(root, path, new, *secret)?,
            Step::Remove { path, .. } => {
                let whole = root.join(path);
                fs::remove_file(&whole).map_err(failed("take away", &whole))?;
            }
        }
    }
    Ok(())
}

/// What a step would change, as a unified diff; empty for steps that change nothing. Passphrases are left out.
pub fn diff(step: &Step) -> String {
    let (path, old, new, secret) = match step {
        Step::Keep(_) | Step::Edited(_) | Step::Foreign(_) => return String::new(),
        Step::Write { path, old, new, secret } => (path, old.as_str(), new.as_str(), *secret),
        Step::Remove { path, old } => (path, old.as_str(), "", true),
    };
    let (a, b) = (without_secrets(old), without_secrets(new));
    let name = |text: &str| if text.is_empty() { "/dev/null".to_owned() } else { format!("/{}", path.display()) };
    let shown = TextDiff::from_lines(&a, &b);
    let mut text = shown.unified_diff().context_radius(CONTEXT).header(&name(old), &name(new)).to_string();
    if text.is_empty() {
        let why = if old == new { "its permissions" } else { "a passphrase" };
        text = format!("--- /{0}\n+++ /{0}\n{why} (not shown)\n", path.display());
    } else if secret && secrets(old) != secrets(new) && !old.is_empty() && !new.is_empty() {
        text.push_str("a passphrase changes, too (not shown)\n");
    }
    text
}

/// The file as people may see it.
pub fn without_secrets(text: &str) -> String {
    let hide = |line: &str| match SECRET_KEYS.iter().find(|key| line.trim_start().starts_with(**key)) {
        Some(key) => format!("{key}{HIDDEN}\n"),
        None => line.to_owned(),
    };
    // Its heading would tell whether a guess is right.
    let hash = |line: &str| line.starts_with(HASH) && !secrets(text).is_empty();
    text.split_inclusive('\n').filter(|line| !hash(line)).map(hide).collect()
}

fn secrets(text: &str) -> Vec<&str> {
    text.lines().filter(|line| SECRET_KEYS.iter().any(|key| line.trim_start().starts_with(key))).collect()
}

fn path_of(step: &Step) -> (&PathBuf, bool) {
    match step {
        Step::Keep(path) | Step::Edited(path) | Step::Foreign(path) => (path, false),
        Step::Write { path, .. } => (path, false),
        Step::Remove { path, .. } => (path, true),
    }
}

/// A text with our heading above it.
fn headed(text: &str) -> String {
    format!("{MARK}\n{HASH}{}\n\n{text}", hash_of(&format!("\n{text}")))
}

fn hash_of(text: &str) -> String {
    digest(&SHA256, text.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn look(path: &Path) -> Result<There, PlaceError> {
    let fail = || failed("read", path);
    let about = match fs::symlink_metadata(path) {
        Ok(about) => about,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(There::Nothing),
        Err(cause) => return Err(fail()(cause)),
    };
    if !about.is_file() || about.len() > FILE_BYTES_MAX {
        return Ok(There::Foreign);
    }
    let mut bytes = Vec::new();
    let file = OpenOptions::new().read(true).open(path).map_err(fail())?;
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(fail())?;
    let Ok(text) = String::from_utf8(bytes) else { return Ok(There::Foreign) };
    let Some(rest) = text.strip_prefix(MARK).and_then(|rest| rest.strip_prefix('\n')) else {
        return Ok(There::Foreign);
    };
    let whole = rest.strip_prefix(HASH).and_then(|rest| rest.split_once('\n'));
    let as_left = whole.is_some_and(|(hash, body)| hash == hash_of(body));
    Ok(if as_left { There::Ours(text, about.permissions().mode() & 0o7777) } else { There::Edited(text) })
}

/// Files that may be ours, by place and name.
fn candidates(root: &Path) -> Result<Vec<PathBuf>, PlaceError> {
    let mut found = Vec::new();
    for (folder, begin) in PLACES {
        let whole = root.join(folder);
        let entries = match fs::read_dir(&whole) {
            Ok(entries) => entries,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => continue,
            Err(cause) => return Err(failed("read", &whole)(cause)),
        };
        for entry in entries {
            let name = entry.map_err(failed("read", &whole))?.file_name();
            if name.to_str().is_some_and(|name| name.starts_with(begin) && !name.starts_with('.')) {
                found.push(Path::new(folder).join(name));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Written beside its place, synced, and renamed: nobody reads half of it, and a secret is never open to others.
fn put(root: &Path, path: &Path, text: &str, secret: bool) -> Result<(), PlaceError> {
    let whole = root.join(path);
    let fail = || failed("write", &whole);
    let nameless = || fail()(io::Error::from(io::ErrorKind::InvalidInput));
    let (folder, name) = whole.parent().zip(whole.file_name().and_then(|n| n.to_str())).ok_or_else(nameless)?;
    DirBuilder::new().recursive(true).mode(0o755).create(folder).map_err(fail())?;
    // An image's /etc must not be a way out of the image.
    let inside = |path: &Path| path.canonicalize().map_err(fail());
    if !inside(folder)?.starts_with(inside(root)?) {
        return Err(fail()(io::Error::other("a link leads out of the root")));
    }
    let beside = folder.join(format!(".{name}.tillgate-new"));
    let mode = if secret { 0o600 } else { 0o644 };
    let _ = fs::remove_file(&beside); // Left by a run that was cut off.
    let written = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
        file.set_permissions(Permissions::from_mode(mode))?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, &whole)?;
        fs::File::open(folder)?.sync_all()
    };
    written().map_err(|cause| {
        let _ = fs::remove_file(&beside);
        fail()(cause)
    })
}

#[cfg(test)]
mod tests;
