//! The daemon's Unix socket: answers `status` and streams a `backup`. Knows neither shop nor store, it is given answers.
//!
//! The talk: the client sends one word and a new line (`status` or `backup`). The daemon answers with one line of JSON,
//! `{"status":{..}}`, `{"backup":{"bytes":n}}` or `{"refused":"why"}`; after `backup` the n bytes of the file follow. Then
//! the daemon closes.

mod ask;
mod status;

pub use ask::{AskError, backup, status};
pub(crate) use status::columns;
pub use status::{
    Books, Certificate, CertificateState, Clock, Disk, Network, Platform, PlatformState, SaleLine, Status, TillLine,
    Written,
};

use serde::{Deserialize, Serialize};
use std::fmt;
use std::future::Future;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Connections answered at the same time; further ones are told to come back.
const CONNECTIONS_MAX: usize = 8;
/// Bytes of a request line; a longer one is refused.
const REQUEST_BYTES_MAX: u64 = 64;
/// How long a client may take to say what it wants, and to take each piece of the answer; then it is dropped.
const CLIENT_WAIT: Duration = Duration::from_secs(10);
/// How long the daemon may take to find its answer; then the client hears that it did not.
const STATUS_WAIT: Duration = Duration::from_secs(5);
/// The same for a backup, which has to be made first.
const BACKUP_WAIT: Duration = Duration::from_secs(600);
const PIECE_BYTES: usize = 64 * 1024;

/// What a client may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// How things stand.
    Status,
    /// A copy of the books.
    Backup,
}

/// What the daemon answers.
#[derive(Debug)]
pub enum Response {
    /// How things stand.
    Status(Box<Status>),
    /// A finished copy of the books, in a file made for this request. It is streamed, and deleted in any case.
    Backup(PathBuf),
    /// No, and why: lower case, with what to do.
    Refused(String),
}

/// The first line of an answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Head {
    Status(Box<Status>),
    Backup { bytes: u64 },
    Refused(String),
}

/// Why there is no socket.
#[derive(Debug)]
pub enum OpenError {
    /// Another daemon answers there.
    Taken(PathBuf),
    /// Something else has that name.
    NotASocket(PathBuf),
    /// The directory is missing.
    NoDirectory(PathBuf),
    /// The system does not let us.
    System {
        /// The socket.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::Taken(path) => {
                let path = path.display();
                write!(f, "another tillgate answers at {path}; stop it first, or set control.socket to another path")
            }
            OpenError::NotASocket(path) => {
                let path = path.display();
                write!(f, "{path} is there and is no socket; move it away, or set control.socket to another path")
            }
            OpenError::NoDirectory(path) => {
                let path = path.display();
                write!(f, "there is no directory for the socket {path}; make it, or set control.socket to another path")
            }
            OpenError::System { path, cause } => {
                write!(f, "cannot open the socket {}: {cause}; is the directory ours to write in?", path.display())
            }
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            OpenError::System { cause, .. } => Some(cause),
            OpenError::Taken(_) | OpenError::NotASocket(_) | OpenError::NoDirectory(_) => None,
        }
    }
}

/// The open socket. Dropping it ends the answering and takes the file away.
#[derive(Debug)]
pub struct Control {
    path: PathBuf,
    accepting: JoinHandle<()>,
}

impl Control {
    /// Listens at `path` (mode 0660) and asks `answers` once per request, several at a time. A socket file that nobody
    /// listens at any more is replaced.
    pub fn start<A, F>(runtime: &Handle, path: &Path, answers: A) -> Result<Control, OpenError>
    where
        A: Fn(Request) -> F + Send + Sync + 'static,
        F: Future<Output = Response> + Send + 'static,
    {
        let _inside = runtime.enter();
        let listener = open(path)?;
        let accepting = runtime.spawn(accept(listener, Arc::new(answers)));
        Ok(Control { path: path.to_owned(), accepting })
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.accepting.abort();
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Binds beside `path` and renames: the socket is never there with other rights than its own.
fn open(path: &Path) -> Result<UnixListener, OpenError> {
    let system = |cause| OpenError::System { path: path.to_owned(), cause };
    if !path.parent().is_some_and(Path::is_dir) {
        return Err(OpenError::NoDirectory(path.to_owned()));
    }
    match std::fs::symlink_metadata(path) {
        Ok(there) if !there.file_type().is_socket() => return Err(OpenError::NotASocket(path.to_owned())),
        Ok(_) if std::os::unix::net::UnixStream::connect(path).is_ok() => {
            return Err(OpenError::Taken(path.to_owned()));
        }
        Ok(_) => {}
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
        Err(cause) => return Err(system(cause)),
    }
    // One name, whoever binds: a process that is killed here leaves no second file behind.
    let beside = path.with_extension("new");
    let bind = || {
        match std::fs::remove_file(&beside) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(cause),
            Ok(()) | Err(_) => {}
        }
        let listener = UnixListener::bind(&beside)?;
        std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(0o660))?;
        std::fs::rename(&beside, path)?;
        Ok(listener)
    };
    bind().map_err(|cause| {
        let _ = std::fs::remove_file(&beside);
        system(cause)
    })
}

async fn accept<A, F>(listener: UnixListener, answers: Arc<A>)
where
    A: Fn(Request) -> F + Send + Sync + 'static,
    F: Future<Output = Response> + Send + 'static,
{
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(cause) => {
                tracing::warn!(%cause, "control socket cannot accept");
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&room).try_acquire_owned() else {
            tokio::spawn(refuse(stream, "too many ask at once; try again"));
            continue;
        };
        let answers = Arc::clone(&answers);
        tokio::spawn(async move {
            if let Err(cause) = serve(stream, answers.as_ref()).await {
                tracing::debug!(%cause, "control client went away");
            }
            drop(permit);
        });
    }
}

async fn refuse(mut stream: UnixStream, why: &str) {
    let _ = send(&mut stream, &Head::Refused(why.to_owned())).await;
}

async fn serve<A, F>(mut stream: UnixStream, answers: &A) -> io::Result<()>
where
    A: Fn(Request) -> F,
    F: Future<Output = Response>,
{
    let peer = stream.peer_cred()?;
    let mut line = String::new();
    let (read, _) = stream.split();
    timeout(CLIENT_WAIT, BufReader::new(read.take(REQUEST_BYTES_MAX)).read_line(&mut line)).await??;
    let (request, wait) = match line.trim_end() {
        "status" => (Request::Status, STATUS_WAIT),
        "backup" => (Request::Backup, BACKUP_WAIT),
        _ => return send(&mut stream, &Head::Refused("ask for status or backup".to_owned())).await,
    };
    tracing::info!(?request, uid = peer.uid(), pid = peer.pid(), "control request");
    let Ok(answer) = timeout(wait, answers(request)).await else {
        return send(&mut stream, &Head::Refused("the daemon is too busy to answer; try again".to_owned())).await;
    };
    match answer {
        Response::Status(status) => send(&mut stream, &Head::Status(status)).await,
        Response::Refused(why) => send(&mut stream, &Head::Refused(why)).await,
        Response::Backup(path) => {
            let file = std::fs::File::open(&path);
            std::fs::remove_file(&path)?;
            let file = file?;
            send(&mut stream, &Head::Backup { bytes: file.metadata()?.len() }).await?;
            pour(file, &mut stream).await
        }
    }
}

async fn send(stream: &mut UnixStream, head: &Head) -> io::Result<()> {
    let mut line = serde_json::to_vec(head)?;
    line.push(b'\n');
    timeout(CLIENT_WAIT, stream.write_all(&line)).await?
}

/// Reads the file off the runtime's threads, one piece at a time.
async fn pour(file: std::fs::File, stream: &mut UnixStream) -> io::Result<()> {
    let mut file = file;
    loop {
        let read = tokio::task::spawn_blocking(move || -> io::Result<_> {
            let mut piece = vec![0; PIECE_BYTES];
            let count = io::Read::read(&mut file, &mut piece)?;
            piece.truncate(count);
            Ok((file, piece))
        });
        let (back, piece) = read.await??;
        file = back;
        if piece.is_empty() {
            return Ok(());
        }
        timeout(CLIENT_WAIT, stream.write_all(&piece)).await??;
    }
}

#[cfg(test)]
mod tests;
