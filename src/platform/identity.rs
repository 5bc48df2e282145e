//! Who this box is at the platform, on disk: one file that is replaced whole, and beside it what is not proven yet. Talks to
//! nobody.
//!
//! Each file holds all of one identity: key, certificate, the platform's authority and pins. So a power cut leaves the old
//! identity or the new one, never a part of each.

use super::channel::{self, ChannelError, Credentials, Pem};
use super::life::Life;
use rcgen::{CertificateParams, DnType, KeyPair};
use ring::digest::{SHA256, digest};
use rustix::fs::{AtFlags, FlockOperation, Gid, Mode, OFlags, Uid, fchown, flock, open, openat, renameat, unlinkat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The folder below the state directory.
pub const FOLDER: &str = "platform";
/// Pins that an identity may have.
pub const PINS_MAX: usize = 4;
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// The files of the folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The one in use.
    Identity,
    /// What `tillgate enroll` is about to put in its place.
    Enrolling,
    /// What a renewal is about to put in its place.
    Renewing,
}

impl Which {
    fn name(self) -> &'static str {
        match self {
            Which::Identity => "identity.json",
            Which::Enrolling => "enrolling.json",
            Which::Renewing => "renewing.json",
        }
    }
}

/// What an identity is made of; without the last three until the platform has answered.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    /// Of this file's form.
    version: u8,
    /// The platform's address.
    pub url: String,
    /// What it was asked for with: the digest of the code, or of the certificate that it follows.
    pub after: String,
    /// PEM. Made on this box, and nowhere else.
    key: String,
    /// PEM: the request that was made once with this key. Every repeat sends the same bytes.
    pub request: String,
    /// What the platform answered.
    #[serde(default)]
    pub answer: Option<Given>,
}

/// What the platform gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Given {
    /// PEM: the box's certificate, then any between it and the platform's authority for boxes.
    pub certificate: String,
    /// PEM: who signs the platform's own certificate.
    pub ca: String,
    /// SHA-256 of the platform's key, and of the next: 64 hexadecimal digits each.
    pub pins: Vec<String>,
}

/// Without the key.
impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Draft")
            .field("url", &self.url)
            .field("answered", &self.answer.is_some())
            .finish_non_exhaustive()
    }
}

/// An identity that can be used.
#[derive(Clone, Debug)]
pub struct Identity {
    draft: Draft,
    credentials: Arc<Credentials>,
    life: Life,
}

impl Draft {
    /// A new key, and the request for its certificate. Fails only if the system has no random numbers.
    pub fn new(url: &str, after: &str) -> Result<Draft, rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, "Tillgate box");
        let request = params.serialize_request(&key)?.pem()?;
        let (url, after, key) = (url.to_owned(), after.to_owned(), key.serialize_pem());
        Ok(Draft { version: 1, url, after, key, request, answer: None })
    }

    /// The identity that this is with that answer, if the answer is right: a certificate for this key, an authority, pins.
    pub fn with(&self, given: &Given, file: &Path) -> Result<Identity, ChannelError> {
        let [certificate, ca, key] =
            [&given.certificate, &given.ca, &self.key].map(|text| Pem { file, text: text.as_bytes() });
        let pins = given.pins.iter().take(PINS_MAX).filter_map(|pin| from_hex(pin)).collect::<Vec<_>>();
        if pins.len() != given.pins.len() {
            return Err(ChannelError::NoPin);
        }
        let credentials = Credentials::from_pem(ca, certificate, key, &pins)?;
        let life = channel::life(certificate)?;
        let draft = Draft { answer: Some(given.clone()), ..self.clone() };
        Ok(Identity { draft, credentials: Arc::new(credentials), life })
    }
}

impl Identity {
    /// The platform's address.
    pub fn url(&self) -> &str {
        &self.draft.url
    }

    /// What the channel is made with.
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// From when until when its certificate counts.
    pub fn life(&self) -> Life {
        self.life
    }

    /// All of it, as it is on disk.
    pub fn draft(&self) -> &Draft {
        &self.draft
    }

    /// Names this identity and no other, and tells nothing: the digest of its certificate.
    pub fn name(&self) -> String {
        named(self.draft.answer.as_ref().map_or("", |given| given.certificate.as_str()))
    }
}

/// The digest of a text, in hexadecimal digits.
pub fn named(text: &str) -> String {
    digest(&SHA256, text.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let bytes: Option<Vec<u8>> =
        (0_usize..64).step_by(2).map(|at| u8::from_str_radix(text.get(at..at.checked_add(2)?)?, 16).ok()).collect();
    bytes?.try_into().ok()
}

/// Why the folder cannot be used.
#[derive(Debug)]
pub enum FolderError {
    /// The state directory is not there.
    NoState(PathBuf),
    /// Another `tillgate` is changing it: try again.
    Busy(PathBuf),
    /// A file there is none of ours, or is damaged.
    Odd {
        /// Which.
        file: PathBuf,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The system does not let us.
    System {
        /// What was to be read or written.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl fmt::Display for FolderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FolderError::NoState(path) => write!(
                f,
                "there is no state directory {}: install the package, make it, or name another with --state",
                path.display()
            ),
            FolderError::Busy(path) => write!(
                f,
                "another tillgate enrols or renews in {} at this moment; try again in a minute",
                path.display()
            ),
            FolderError::Odd { file, source } => {
                write!(f, "{} cannot be used: {source}; enrol this box again with a new code", file.display())
            }
            FolderError::System { file, source } => {
                write!(f, "cannot use {}: {source}; run this as root, and see that the disk has room", file.display())
            }
        }
    }
}

impl std::error::Error for FolderError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            FolderError::Odd { source, .. } => Some(source.as_ref()),
            FolderError::System { source, .. } => Some(source),
            FolderError::NoState(_) | FolderError::Busy(_) => None,
        }
    }
}

/// Where this box's identity is: a folder below the state directory, for its owner only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder(PathBuf);

/// The folder while nobody else changes it.
#[derive(Debug)]
pub struct Locked {
    path: PathBuf,
    dir: File,
    /// To whom the state directory belongs, if we may give files away.
    owner: Option<(u32, u32)>,
}

impl Folder {
    /// The folder below this state directory. Looks at nothing yet.
    pub fn below(state: &Path) -> Folder {
        Folder(state.join(FOLDER))
    }

    /// Where the file is.
    pub fn file(&self, which: Which) -> PathBuf {
        self.0.join(which.name())
    }

    /// The identity in use. `None`: this box has none.
    pub fn identity(&self) -> Result<Option<Identity>, FolderError> {
        let file = self.file(Which::Identity);
        let Some(draft) = read(&file)? else { return Ok(None) };
        let odd = |source: Box<dyn std::error::Error + Send + Sync>| FolderError::Odd { file: file.clone(), source };
        let Some(given) = draft.answer.clone() else { return Err(odd("it holds no certificate".into())) };
        draft.with(&given, &file).map(Some).map_err(|e| odd(e.into()))
    }

    /// Takes the folder for changes; makes it, mode 0700, if it is not there. It belongs to whom the state directory belongs.
    pub fn lock(&self) -> Result<Locked, FolderError> {
        let Folder(path) = self;
        let system = |source| FolderError::System { file: path.clone(), source };
        let state = path.parent().unwrap_or(Path::new("/"));
        let there = fs::metadata(state).ok().filter(fs::Metadata::is_dir);
        let Some(there) = there else { return Err(FolderError::NoState(state.to_owned())) };
        let owner = rustix::process::geteuid().is_root().then(|| (there.uid(), there.gid()));
        match DirBuilder::new().mode(0o700).create(path) {
            Ok(()) => {
                let up = File::open(state).map_err(system)?;
                up.sync_all().map_err(system)?;
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(system(error)),
        }
        // Whom the state directory belongs to may put a link here: root must not be led away by it.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = File::from(open(path, flags, Mode::empty()).map_err(|e| system(e.into()))?);
        give(&dir, owner).map_err(system)?;
        if dir.metadata().map_err(system)?.permissions().mode() & 0o077 != 0 {
            dir.set_permissions(fs::Permissions::from_mode(0o700)).map_err(system)?;
        }
        match flock(&dir, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Locked { path: path.clone(), dir, owner }),
            Err(Errno::WOULDBLOCK) => Err(FolderError::Busy(path.clone())),
            Err(error) => Err(system(error.into())),
        }
    }
}

impl Locked {
    /// What is in this file. `None`: it is not there, or a damaged one that was never in use and is worth nothing.
    pub fn draft(&self, which: Which) -> Result<Option<Draft>, FolderError> {
        match read(&self.path.join(which.name())) {
            Err(FolderError::Odd { .. }) if which != Which::Identity => Ok(None),
            other => other,
        }
    }

    /// Writes this file whole, mode 0600: after a power cut it is what it was, or this.
    pub fn write(&self, which: Which, draft: &Draft) -> Result<(), FolderError> {
        let part = format!("{}.part", which.name());
        let write = || {
            let text = serde_json::to_vec_pretty(draft)?;
            // One that a power cut left is never written into: it may be a link by now.
            match unlinkat(&self.dir, part.as_str(), AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            let mut file = File::from(openat(&self.dir, part.as_str(), flags, Mode::RUSR | Mode::WUSR)?);
            give(&file, self.owner)?;
            file.write_all(&text)?;
            file.sync_all()?;
            renameat(&self.dir, part.as_str(), &self.dir, which.name())?;
            self.dir.sync_all()
        };
        write().map_err(|source| self.system(which, source))
    }

    /// What was about to take the place of the identity takes it, all at once.
    pub fn take(&self, which: Which) -> Result<(), FolderError> {
        let take = || {
            renameat(&self.dir, which.name(), &self.dir, Which::Identity.name())?;
            self.dir.sync_all()
        };
        take().map_err(|source| self.system(which, source))
    }

    /// What the folder shows is on disk when this returns.
    pub fn sync(&self) -> Result<(), FolderError> {
        self.dir.sync_all().map_err(|source| self.system(Which::Identity, source))
    }

    /// Takes a file away, if it is there.
    pub fn drop(&self, which: Which) -> Result<(), FolderError> {
        let remove = || match unlinkat(&self.dir, which.name(), AtFlags::empty()) {
            Ok(()) => self.dir.sync_all(),
            Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        };
        remove().map_err(|source| self.system(which, source))
    }

    fn system(&self, which: Which, source: io::Error) -> FolderError {
        FolderError::System { file: self.path.join(which.name()), source }
    }
}

fn give(file: impl AsFd, owner: Option<(u32, u32)>) -> io::Result<()> {
    let Some((user, group)) = owner else { return Ok(()) };
    Ok(fchown(file, Some(Uid::from_raw(user)), Some(Gid::from_raw(group)))?)
}

fn read(file: &Path) -> Result<Option<Draft>, FolderError> {
    let mut text = Vec::new();
    let read = File::open(file).and_then(|open| open.take(FILE_BYTES_MAX).read_to_end(&mut text));
    match read {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(FolderError::System { file: file.to_owned(), source }),
    }
    let draft: Draft =
        serde_json::from_slice(&text).map_err(|e| FolderError::Odd { file: file.to_owned(), source: e.into() })?;
    match draft.version {
        1 => Ok(Some(draft)),
        other => {
            let source = format!("it is of version {other}, which a newer tillgate wrote").into();
            Err(FolderError::Odd { file: file.to_owned(), source })
        }
    }
}
