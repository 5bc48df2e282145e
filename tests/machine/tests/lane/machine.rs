//! One machine: started, commanded, killed. Knows nothing of payments.

use crate::image::{beside, books_disk, copy};
use crate::town::{Town, eventually, pause};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long an emulated machine may take to start on a busy one.
pub(crate) const BOOT: Duration = Duration::from_secs(180);
/// How long a command in it may take.
const COMMAND: Duration = Duration::from_secs(120);

/// One machine at a time: two cores emulate one.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Its disks, which outlive it.
pub(crate) struct Disks {
    folder: PathBuf,
    pub(crate) root: PathBuf,
    pub(crate) books: PathBuf,
    kernel: [PathBuf; 2],
    /// Where the writes to the books' disk are logged, if they are.
    pub(crate) log: Option<PathBuf>,
    lines: Vec<PathBuf>,
    starts: std::cell::Cell<u32>,
}

impl Disks {
    pub(crate) fn new(town: &Town, name: &str) -> Disks {
        let root = town.stage.file(&format!("{name}.img"));
        copy(&root);
        let books = town.stage.file(&format!("{name}-books.img"));
        books_disk(&books);
        Disks {
            folder: town.stage.file(""),
            root,
            books,
            kernel: [beside("kernel"), beside("initrd")],
            log: None,
            lines: town.cables.iter().map(|(_, cable)| cable.box_end.clone()).collect(),
            starts: std::cell::Cell::new(0),
        }
    }
}

/// Dropped, it is killed.
pub(crate) struct Machine {
    emulator: Child,
    hand: Option<BufReader<UnixStream>>,
    pub(crate) console: PathBuf,
    control: PathBuf,
}

impl Machine {
    /// Switches it on.
    pub(crate) fn start(disks: &Disks) -> Machine {
        Machine::start_by(disks, &[])
    }

    /// Switches it on; without arguments from its kernel, else as these say.
    pub(crate) fn start_by(disks: &Disks, firmware: &[&str]) -> Machine {
        let start = disks.starts.get();
        disks.starts.set(start + 1);
        let name = disks.root.file_stem().unwrap().to_str().unwrap();
        let console = disks.folder.join(format!("{name}-{start}.console"));
        let control = disks.folder.join(format!("{name}-{start}.control"));
        let mut emulator = Command::new("qemu-system-x86_64");
        emulator.args(["-accel", "tcg,thread=multi,tb-size=256", "-smp", "2", "-m", "512"]);
        emulator.args(["-nodefaults", "-no-user-config", "-display", "none", "-device", "virtio-rng-pci"]);
        if firmware.is_empty() {
            let how = "root=LABEL=tillgate rw console=ttyS0 systemd.show_status=1 net.ifnames=0 mitigations=off";
            emulator.arg("-kernel").arg(&disks.kernel[0]).arg("-initrd").arg(&disks.kernel[1]).args(["-append", how]);
        }
        emulator.args(firmware);
        emulator.arg("-serial").arg(format!("file:{}", console.display()));
        for line in &disks.lines {
            let _ = std::fs::remove_file(line);
            emulator.arg("-serial").arg(format!("unix:{},server=on,wait=off", line.display()));
        }
        emulator.arg("-chardev").arg(format!("socket,id=control,path={},server=on,wait=off", control.display()));
        emulator.args(["-device", "virtio-serial-pci", "-device", "virtserialport,chardev=control,name=control"]);
        emulator.args(["-nic", "user,model=virtio-net-pci"]);
        let file = |node: &str, path: &Path| {
            format!("driver=file,filename={},node-name={node},cache.no-flush=on", path.display())
        };
        emulator.arg("-blockdev").arg(file("root-file", &disks.root));
        emulator.args([
            "-blockdev",
            "driver=raw,file=root-file,node-name=root",
            "-device",
            "virtio-blk-pci,drive=root",
        ]);
        emulator.arg("-blockdev").arg(file("books-file", &disks.books));
        emulator.args(["-blockdev", "driver=raw,file=books-file,node-name=books-raw"]);
        let mut books = "books-raw";
        if let Some(log) = &disks.log {
            std::fs::write(log, b"").unwrap();
            emulator.arg("-blockdev").arg(file("log-file", log));
            emulator.args([
                "-blockdev",
                "driver=blklogwrites,file=books-raw,log=log-file,log-sector-size=512,node-name=books",
            ]);
            books = "books";
        }
        // Of what is written as zeros the log says something else than the disk has (QEMU 7.2).
        emulator.arg("-device").arg(format!("virtio-blk-pci,drive={books},write-zeroes=off,discard=off"));
        let emulator =
            emulator.stdin(Stdio::null()).spawn().expect("qemu-system-x86_64, of the package qemu-system-x86");
        Machine { emulator, hand: None, console, control }
    }

    /// Waits until it does what it is told; how long that took.
    pub(crate) fn is_up(&mut self) -> Duration {
        let began = Instant::now();
        if self.hand.is_none() {
            let mut stream = None;
            eventually("the emulator runs", BOOT, || {
                stream = UnixStream::connect(&self.control).ok();
                stream.is_some()
            });
            self.hand = stream.map(BufReader::new);
        }
        let word = self.hears(BOOT);
        assert_eq!(word, "\"ready\"\n", "{}", self.tail());
        began.elapsed()
    }

    fn hears(&mut self, wait: Duration) -> String {
        let hand = self.hand.as_mut().unwrap();
        hand.get_ref().set_read_timeout(Some(wait)).unwrap();
        let mut line = String::new();
        let heard = hand.read_line(&mut line);
        assert!(heard.is_ok_and(|count| count > 0), "the machine says nothing:\n{}", self.tail());
        line
    }

    /// Runs a shell command in it: its exit code, and what it said.
    pub(crate) fn tries(&mut self, command: &str) -> (i32, String) {
        let mut line = serde_json::to_vec(command).unwrap();
        line.push(b'\n');
        self.hand.as_mut().unwrap().get_mut().write_all(&line).unwrap();
        serde_json::from_str(&self.hears(COMMAND)).unwrap()
    }

    /// Runs a shell command in it, which must do its work.
    pub(crate) fn does(&mut self, command: &str) -> String {
        let (code, said) = self.tries(command);
        assert_eq!(code, 0, "{command}: {said}");
        said.trim_end().to_owned()
    }

    /// Runs a shell command in it until it does its work.
    pub(crate) fn eventually(&mut self, what: &str, command: &str) -> String {
        let until = Instant::now() + COMMAND;
        loop {
            let (code, said) = self.tries(command);
            if code == 0 {
                return said.trim_end().to_owned();
            }
            assert!(Instant::now() < until, "{what}: {command}: {said}");
            pause(Duration::from_millis(200));
        }
    }

    /// Cuts its power.
    pub(crate) fn power_off(mut self) {
        self.emulator.kill().unwrap();
        self.emulator.wait().unwrap();
    }

    /// Shuts it down in order.
    pub(crate) fn shut_down(mut self) {
        let _ = self.tries("systemctl --no-block poweroff");
        eventually("it is off", BOOT, || self.emulator.try_wait().unwrap().is_some());
    }

    /// What the units of the shop said last, if it still does what it is told. Never fails: something has failed already.
    fn last_words(&mut self) -> String {
        let Some(hand) = self.hand.as_mut() else { return String::new() };
        let _ = hand.get_ref().set_read_timeout(Some(Duration::from_secs(20)));
        let _ = hand
            .get_mut()
            .write_all(b"\"journalctl --no-pager -b -n 60 -u 'tillgate*' -u 'phone@*' -u hog -p info\"\n");
        let mut line = String::new();
        let _ = hand.read_line(&mut line);
        serde_json::from_str::<(i32, String)>(&line).map_or(line, |(_, said)| said)
    }

    /// The end of what its console said.
    pub(crate) fn tail(&self) -> String {
        let text = String::from_utf8_lossy(&std::fs::read(&self.console).unwrap_or_default()).into_owned();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("the end of the console:\n{}", self.tail());
            if self.hand.is_some() && std::fs::exists(&self.control).unwrap_or(false) {
                println!("the journal:\n{}", self.last_words());
            }
        }
        let _ = self.emulator.kill();
        let _ = self.emulator.wait();
    }
}
