//! A shop on this machine: a platform, tills on ptys, and the daemon as a process of its own with what the kernel says
//! about it.

use crate::register::Register;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use tillgate::control;
use tillgate::demo::stage::Stage;
use tillgate::sandbox::Sandbox;
use tillgate::shop::event::TillNumber;
use tokio::runtime::Runtime;

/// Longest wait for the daemon to be ready or to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// The unit in which the kernel says processor time to programs, on every kind of machine that we are built for.
const TICK_MS: u64 = 10;

/// The daemon's program: the one that `TILLGATE_PROGRAM` names, such as the package's, else one built like these benches.
pub(crate) fn program() -> PathBuf {
    let usual = || PathBuf::from(env!("CARGO_BIN_EXE_tillgate"));
    std::env::var_os("TILLGATE_PROGRAM").map_or_else(usual, PathBuf::from)
}

pub(crate) struct House {
    pub(crate) registers: Vec<Register>,
    pub(crate) checkout: SocketAddr,
    pub(crate) stage: Stage,
    config: PathBuf,
    _platform: Sandbox,
    _runtime: Runtime,
}

impl House {
    pub(crate) fn new(tills: u16) -> House {
        House::with((0..tills).map(|_| Register::new()).collect())
    }

    /// A shop with these tills, numbered from 1.
    pub(crate) fn with(registers: Vec<Register>) -> House {
        let ports: Vec<PathBuf> = registers.iter().map(|r| r.path().to_owned()).collect();
        House { registers, ..House::at(&ports, "") }
    }

    /// A shop with tills at these ports, numbered from 1; `more` is said of the last one.
    pub(crate) fn at(ports: &[PathBuf], more: &str) -> House {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let stage = Stage::new().unwrap();
        let platform = stage.start_platform(runtime.handle(), None).unwrap();
        let ports = ports.iter().zip(1..).map(|(port, n)| (TillNumber::new(n).unwrap(), port.as_path()));
        let config = stage.write_config(platform.api, &ports.collect::<Vec<_>>(), more).unwrap();
        let registers = Vec::new();
        House { registers, checkout: platform.public, stage, config, _platform: platform, _runtime: runtime }
    }

    /// Phones with a visit, as the daemon says.
    pub(crate) fn visits(stage: &Stage) -> u64 {
        control::status(&stage.file("control.sock")).unwrap().phones
    }

    /// Starts the daemon; returns once control socket and portal answer, and how long that took.
    pub(crate) fn start(&self) -> (Daemon, Duration) {
        let log = File::create(self.stage.file("daemon.log")).unwrap();
        let start = Instant::now();
        let child = Command::new(program())
            .args(["run", "--config"])
            .arg(&self.config)
            // As its unit does.
            .env("MALLOC_ARENA_MAX", "1")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut daemon = Daemon(child);
        let socket = self.stage.file("control.sock");
        while !(control::status(&socket).is_ok() && self.portal_answers()) {
            let ended = daemon.0.try_wait().unwrap();
            assert!(ended.is_none() && start.elapsed() < PATIENCE, "the daemon does not start: {}", self.log());
            thread::sleep(Duration::from_millis(1));
        }
        let took = start.elapsed();
        let online = || control::status(&socket).unwrap().tills.iter().all(|till| till.online);
        while !online() {
            assert!(start.elapsed() < PATIENCE, "the tills do not come up: {}", self.log());
            thread::sleep(Duration::from_millis(10));
        }
        (daemon, took)
    }

    fn portal_answers(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(self.stage.portal) else { return false };
        let request = format!("GET / HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.stage.portal);
        let mut answer = String::new();
        let asked = stream.write_all(request.as_bytes()).and_then(|()| stream.read_to_string(&mut answer));
        asked.is_ok() && answer.starts_with("HTTP/1.1 200")
    }

    /// What the daemon has said so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.stage.file("daemon.log")).unwrap_or_default()
    }
}

/// The daemon's process; ended in order when dropped.
pub(crate) struct Daemon(Child);

/// What the kernel has counted for it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counted {
    pub(crate) disk_bytes: u64,
    pub(crate) handed_bytes: u64,
    pub(crate) switches: u64,
    /// Time on processors.
    pub(crate) busy: Duration,
}

impl Daemon {
    /// Resident memory in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        field(&self.proc("status"), "VmRSS:")
    }

    /// Files and sockets that it has open.
    pub(crate) fn open_files(&self) -> u64 {
        fs::read_dir(format!("/proc/{}/fd", self.0.id())).unwrap().count() as u64
    }

    /// Its threads.
    pub(crate) fn threads(&self) -> u64 {
        field(&self.proc("status"), "Threads:")
    }

    pub(crate) fn counted(&self) -> Counted {
        let io = self.proc("io");
        // Fields 14 and 15, counted from behind the name in parentheses.
        let stat = self.proc("stat");
        let times = stat.rsplit(')').next().unwrap().split_whitespace().skip(11).take(2);
        let ticks: u64 = times.map(|ticks| ticks.parse::<u64>().unwrap()).sum();
        let tasks = fs::read_dir(format!("/proc/{}/task", self.0.id())).unwrap();
        let status = tasks.filter_map(|task| fs::read_to_string(task.unwrap().path().join("status")).ok());
        Counted {
            disk_bytes: field(&io, "write_bytes:"),
            handed_bytes: field(&io, "wchar:"),
            busy: Duration::from_millis(ticks * TICK_MS),
            switches: status.map(|text| field(&text, "voluntary_ctxt_switches:")).sum(),
        }
    }

    fn proc(&self, name: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{name}", self.0.id())).unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let id = rustix::process::Pid::from_child(&self.0);
        let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        let start = Instant::now();
        while matches!(self.0.try_wait(), Ok(None)) {
            if start.elapsed() > Duration::from_secs(10) {
                let _ = self.0.kill();
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

fn field(text: &str, name: &str) -> u64 {
    let rest = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    rest.split_whitespace().next().unwrap().parse().unwrap()
}
