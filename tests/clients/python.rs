//! Programs in Python, from PyPI, in an environment of their own under `target/`; and what they say, line by line.

use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// What is installed. All of it runs as a process apart and is neither linked nor shipped.
const PACKAGES: [&str; 2] = ["pyTeliumManager==2.4.2", "pypostelium==0.0.5"];
/// Longer than anything is waited for.
const WAIT: Duration = Duration::from_secs(150);

/// A program that runs; killed when dropped.
pub(crate) struct Program {
    child: Child,
    lines: Receiver<Value>,
    log: PathBuf,
}

impl Program {
    /// Runs a file of this folder. Each line that it prints is JSON.
    pub(crate) fn run(file: &str, args: &[&str], log: PathBuf) -> Program {
        let mut child = Command::new(python())
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(file))
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        let (tell, lines) = channel();
        std::thread::spawn(move || {
            for line in said.lines().map_while(Result::ok) {
                let _ = tell.send(serde_json::from_str(&line).expect("a line of JSON")); // The test may be over.
            }
        });
        Program { child, lines, log }
    }

    /// What it says next.
    pub(crate) fn says(&self) -> Value {
        self.lines.recv_timeout(WAIT).unwrap_or_else(|_| panic!("the client says no more: {}", self.errors()))
    }

    /// Waits until it has ended; what it wrote about errors.
    pub(crate) fn ends(mut self) -> String {
        self.child.wait().unwrap();
        self.errors()
    }

    /// Kills it without a word.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn errors(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients-venv");
        let (python, mark) = (dir.join("bin/python"), dir.join("installed"));
        let wanted = PACKAGES.join("\n");
        if std::fs::read_to_string(&mark).is_ok_and(|installed| installed == wanted) {
            return python;
        }
        let made = Command::new("python3").args(["-m", "venv", "--clear"]).arg(&dir).output();
        let made = made.expect("python3 is missing, run: sudo apt-get install python3-venv");
        assert!(
            made.status.success(),
            "python3 makes no environment, run: sudo apt-get install python3-venv\n{made:?}"
        );
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
        let installed = Command::new(&python).args(pip).args(PACKAGES).output().unwrap();
        assert!(installed.status.success(), "PyPI cannot be reached, or lacks one of {PACKAGES:?}\n{installed:?}");
        std::fs::write(mark, wanted).unwrap();
        python
    })
}
