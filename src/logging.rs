//! Where the journal's lines go: to journald with fields under systemd, else to standard error. Decides no wording.

use std::fmt;
use std::io::{self, IsTerminal};
pub use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

/// The environment variable that says how much is written: error, warn, info, debug or trace.
pub const LEVEL_VARIABLE: &str = "TILLGATE_LOG";

/// Why nothing can be written.
#[derive(Debug)]
pub enum LogError {
    /// The level in the environment is no level.
    BadLevel(String),
    /// It was begun already.
    Twice(TryInitError),
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LogError::BadLevel(level) => {
                write!(f, "{LEVEL_VARIABLE} cannot be \"{level}\"; set it to error, warn, info, debug or trace")
            }
            LogError::Twice(cause) => write!(f, "logging was begun already: {cause}"),
        }
    }
}

impl std::error::Error for LogError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            LogError::Twice(cause) => Some(cause),
            LogError::BadLevel(_) => None,
        }
    }
}

/// Begins to log, for the whole process, once: `usual` and up unless [`LEVEL_VARIABLE`] says otherwise. Libraries say
/// warnings only, whatever the level: some of them would print cookies and addresses.
pub fn start(usual: LevelFilter) -> Result<(), LogError> {
    let level = level(std::env::var(LEVEL_VARIABLE).ok().as_deref(), usual)?;
    let ours = || Targets::new().with_target("tillgate", level).with_default(level.min(LevelFilter::WARN));
    let set = |name| std::env::var_os(name).is_some();
    let under_systemd = set("NOTIFY_SOCKET") || set("JOURNAL_STREAM") && !io::stderr().is_terminal();
    // A journal that cannot be reached is no reason to take no payments: what standard error says is kept, too.
    let (journal, missing) = match under_systemd.then(tracing_journald::layer).transpose() {
        Ok(journal) => (journal.map(|j| j.with_field_prefix(None).with_filter(ours())), None),
        Err(cause) => (None, Some(cause)),
    };
    let lines = journal.is_none().then(|| {
        // Colours need a feature of the library, which says so on every terminal, or panics, if they are asked for.
        let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(false);
        lines
            .with_target(level >= LevelFilter::DEBUG)
            .fmt_fields(debug_fn(write_field).delimited(" "))
            .with_filter(ours())
    });
    tracing_subscriber::registry().with(journal).with(lines).try_init().map_err(LogError::Twice)?;
    if let Some(cause) = missing {
        tracing::warn!(%cause, "cannot reach the journal: lines go to standard error");
    }
    Ok(())
}

/// A field on a line for people. The journal's catalogue (`packaging/systemd/tillgate.catalog`) knows messages by their
/// ids; to people these say nothing.
fn write_field(line: &mut Writer<'_>, field: &tracing::field::Field, value: &dyn fmt::Debug) -> fmt::Result {
    match field.name() {
        "message" => write!(line, "{value:?}"),
        "message_id" => Ok(()),
        name => write!(line, "{name}={value:?}"),
    }
}

fn level(text: Option<&str>, usual: LevelFilter) -> Result<LevelFilter, LogError> {
    match text {
        None | Some("") => Ok(usual),
        Some("info") => Ok(LevelFilter::INFO),
        Some("error") => Ok(LevelFilter::ERROR),
        Some("warn") => Ok(LevelFilter::WARN),
        Some("debug") => Ok(LevelFilter::DEBUG),
        Some("trace") => Ok(LevelFilter::TRACE),
        Some(other) => Err(LogError::BadLevel(other.to_owned())),
    }
}

/// From now on a panic in any thread is logged with its place and ends the process: the books are right at every
/// moment, and a process that has lost a thread is worse than one that starts again.
pub fn abort_on_panic() {
    std::panic::set_hook(Box::new(|panic| {
        let text = panic.payload().downcast_ref::<&str>().map(|s| (*s).to_owned());
        let text = text.or_else(|| panic.payload().downcast_ref::<String>().cloned()).unwrap_or_default();
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let thread = std::thread::current();
        let thread = thread.name().unwrap_or("unnamed");
        tracing::error!(
            message_id = "e8424f1d42d3415aae77459ed53dece9",
            place,
            thread,
            "panic: {text}; this is a mistake in tillgate, please report it"
        );
        if !tracing::enabled!(tracing::Level::ERROR) {
            eprintln!("tillgate: panic at {place} in thread {thread}: {text}; this is a mistake in tillgate");
        }
        std::process::abort();
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Set in the process that the test below starts: that test, once more.
    const CHILD: &str = "TILLGATE_TEST_PANIC";

    #[test]
    fn a_thread_that_panics_takes_the_process_with_it() {
        if std::env::var_os(CHILD).is_some() {
            abort_on_panic();
            let _ = std::thread::Builder::new().name("till-7".into()).spawn(|| panic!("of no use")).unwrap().join();
            std::process::exit(0);
        }
        let this = ["logging::tests::a_thread_that_panics_takes_the_process_with_it", "--exact", "--nocapture"];
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        let ended = child.args(this).env(CHILD, "1").output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&ended.status), Some(6), "{said}");
        assert!(said.contains("in thread till-7: of no use"), "{said}");
    }

    #[test]
    fn a_level_is_one_of_five_words_and_the_usual_where_nothing_is_said() {
        assert_eq!(level(None, LevelFilter::INFO).unwrap(), LevelFilter::INFO);
        assert_eq!(level(Some("trace"), LevelFilter::INFO).unwrap(), LevelFilter::TRACE);
        let error = level(Some("loud"), LevelFilter::INFO).unwrap_err().to_string();
        assert!(error.contains("\"loud\"") && error.contains("debug"), "{error}");
    }
}
