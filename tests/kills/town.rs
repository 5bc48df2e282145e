//! A shop of processes: the daemon, the sandbox, cables to tills, and the line to the platform. Starts and kills them.

use crate::cable::Cable;
use crate::dice::Dice;
use crate::proxy::Proxy;
pub(crate) use crate::wait::{LOOK, eventually, pause};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::OpenOptions;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::Duration;
use tillgate::demo::stage::Stage;
use tillgate::shop::event::TillNumber;
use tokio::runtime::Runtime;

/// How long a cashier waits for a customer before the abort key.
pub(crate) const PATIENT: Duration = Duration::from_secs(12);
/// Longer than any sale and its aftermath: a till that knows nothing by then is a defect.
pub(crate) const END: Duration = Duration::from_secs(180);
/// Longer than a start takes on a busy machine.
const START: Duration = Duration::from_secs(30);

/// The program that is killed: the one just built, or another build of it that `TILLGATE_PROGRAM` names.
pub(crate) fn tillgate() -> Command {
    Command::new(std::env::var_os("TILLGATE_PROGRAM").unwrap_or_else(|| env!("CARGO_BIN_EXE_tillgate").into()))
}

/// Which of the two servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    Daemon,
    Sandbox,
}

pub(crate) struct Town {
    pub(crate) stage: Stage,
    pub(crate) cables: Vec<(TillNumber, Cable)>,
    pub(crate) proxy: Proxy,
    pub(crate) runtime: Runtime,
    config: PathBuf,
    api: SocketAddr,
    public: SocketAddr,
    running: [Mutex<Option<Child>>; 2],
}

impl Town {
    pub(crate) fn new(tills: u16, mut dice: Dice) -> Town {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let stage = Stage::new().unwrap();
        let [api, public] = [0, 1].map(|_| free_port(&mut dice));
        std::fs::create_dir(stage.file("platform")).unwrap();
        std::os::unix::fs::symlink(stage.file(""), stage.file("platform/tls")).unwrap();
        let proxy = Proxy::start(runtime.handle(), api, dice.split());
        let number = |n| TillNumber::new(n).unwrap();
        let cables: Vec<_> = (1..=tills).map(|n| (number(n), Cable::new(dice.split()))).collect();
        let ports: Vec<_> = cables.iter().map(|(n, cable)| (*n, cable.box_end.as_path())).collect();
        let config = stage.write_config(proxy.at, &ports, "").unwrap();
        Town { cables, proxy, runtime, config, api, public, stage, running: [Mutex::new(None), Mutex::new(None)] }
    }

    pub(crate) fn platform_books(&self) -> PathBuf {
        self.stage.file("platform/sandbox.db")
    }

    pub(crate) fn log(&self, which: Which) -> PathBuf {
        self.stage.file(if which == Which::Daemon { "daemon.log" } else { "sandbox.log" })
    }

    fn slot(&self, which: Which) -> &Mutex<Option<Child>> {
        &self.running[usize::from(which == Which::Sandbox)]
    }

    /// Starts a server; does not wait until it can be reached.
    pub(crate) fn start(&self, which: Which) {
        let log = OpenOptions::new().create(true).append(true).open(self.log(which)).unwrap();
        let mut command = tillgate();
        if which == Which::Daemon {
            self.cables.iter().for_each(|(_, cable)| cable.unlock());
            command.args(["run", "--config"]).arg(&self.config).env("TILLGATE_LOG", "info");
        } else {
            let dir = self.stage.file("platform");
            command.args([
                "sandbox",
                "--admin",
                "127.0.0.1:0",
                "--enrol",
                "127.0.0.1:0",
                "--api",
                &self.api.to_string(),
            ]);
            command.args(["--public", &self.public.to_string(), "--dir"]).arg(dir);
        }
        let child = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        *self.slot(which).lock().unwrap() = Some(child);
    }

    /// Starts a server and waits until it can be reached.
    pub(crate) fn start_and_wait(&self, which: Which) {
        self.start(which);
        let at = if which == Which::Daemon { self.stage.portal } else { self.public };
        eventually("a server is up", START, || {
            self.is_running(which);
            TcpStream::connect(at).is_ok()
        });
    }

    /// It has not ended by itself.
    pub(crate) fn is_running(&self, which: Which) {
        let ended = self.slot(which).lock().unwrap().as_mut().unwrap().try_wait().unwrap();
        assert_eq!(ended, None, "the {which:?} has ended by itself:\n{}", self.tail(which));
    }

    /// Kills a server without a word. It must have been alive until then.
    pub(crate) fn kill(&self, which: Which) {
        self.is_running(which);
        let mut child = self.slot(which).lock().unwrap().take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Ends a server in order.
    pub(crate) fn stop(&self, which: Which) -> ExitStatus {
        self.is_running(which);
        let mut child = self.slot(which).lock().unwrap().take().unwrap();
        kill_process(Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap(), Signal::TERM).unwrap();
        let mut ended = None;
        eventually("a server ends", START, || {
            ended = child.try_wait().unwrap();
            ended.is_some()
        });
        ended.unwrap()
    }

    /// Files that a server has open now.
    pub(crate) fn open_files(&self, which: Which) -> usize {
        let id = self.slot(which).lock().unwrap().as_ref().unwrap().id();
        std::fs::read_dir(format!("/proc/{id}/fd")).unwrap().count()
    }

    /// The end of a server's log.
    pub(crate) fn tail(&self, which: Which) -> String {
        let text = std::fs::read_to_string(self.log(which)).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

impl Drop for Town {
    fn drop(&mut self) {
        for slot in &self.running {
            if let Ok(Some(mut child)) = slot.lock().map(|mut slot| slot.take()) {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
        if std::thread::panicking() {
            let kept = std::env::temp_dir().join(format!("tillgate-storm-{}", std::process::id()));
            let _ = Command::new("cp").arg("-a").arg(self.stage.file("")).arg(&kept).status();
            println!("the books and logs are kept in {}", kept.display());
        }
    }
}

/// Below the ports that the system gives to connections: a server that is started again finds it free.
fn free_port(dice: &mut Dice) -> SocketAddr {
    loop {
        let port = u16::try_from(dice.within(12_000, 20_000)).unwrap();
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)) {
            return listener.local_addr().unwrap();
        }
    }
}
