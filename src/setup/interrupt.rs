//! Ctrl-C while somebody answers questions: says what was written, and ends. Never cuts a file in two.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a shell says of a program that Ctrl-C has ended.
const EXIT_INTERRUPTED: i32 = 130;

/// Whether anything is written yet.
#[derive(Clone, Default)]
pub(super) struct Written(Arc<Mutex<bool>>);

impl Written {
    /// Waits for Ctrl-C on a thread of its own, from now on. Where there is none to be had, Ctrl-C ends the process without a
    /// word.
    pub(super) fn watch() -> Written {
        let written = Written::default();
        let seen = written.clone();
        if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() {
            // Before the first question, and not whenever the thread comes to it.
            let entered = runtime.enter();
            let interrupt = signal(SignalKind::interrupt());
            drop(entered);
            if let Ok(interrupt) = interrupt {
                let wait = move || seen.end_at(&runtime, interrupt);
                let _ = std::thread::Builder::new().name("interrupt".to_owned()).spawn(wait);
            }
        }
        written
    }

    fn end_at(&self, runtime: &Runtime, mut interrupt: Signal) {
        if runtime.block_on(interrupt.recv()).is_none() {
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
