//! Ctrl-C while somebody answers questions: says what was written, and ends. Never cuts a file in two.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::signal::unix::{SignalKind, signal};

/// What a shell says of a program that Ctrl-C has ended.
const EXIT_INTERRUPTED: i32 = 130;

/// Whether anything is written yet.
#[derive(Clone, Default)]
pub(super) struct Written(Arc<Mutex<bool>>);

impl Written {
    /// Waits for Ctrl-C on a thread of its own. Where there is none to be had, Ctrl-C ends the process without a word.
    pub(super) fn watch() -> Written {
        let written = Written::default();
        let seen = written.clone();
        let _ = std::thread::Builder::new().name("interrupt".to_owned()).spawn(move || seen.wait());
        written
    }

    fn wait(&self) {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        let came = runtime.block_on(async { signal(SignalKind::interrupt()).ok()?.recv().await });
        if came.is_none() {
            return;
        }
        // Whoever writes holds this until the file has its name.
        match *self.hold() {
            false => eprintln!("\nEnded. Nothing was written."),
            true => eprintln!("\nEnded. The configuration is written; `tillgate doctor` says what is still to do."),
        }
        std::process::exit(EXIT_INTERRUPTED);
    }

    /// As long as this is held, Ctrl-C waits. Set it to true with the first file in its place.
    pub(super) fn hold(&self) -> MutexGuard<'_, bool> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
