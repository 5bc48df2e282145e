//! A daemon that is stopped, has no room, may not write, has no files left or is started twice; each in mid-sale.

use crate::ground;
use crate::rig::{Dress, Phone, Rig, eur, eventually};
use crate::town::{pause, tillgate};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, prlimit};
use serialport::{SerialPort, TTYPort};
use std::fs::File;
use std::io::Write;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tillgate::demo::stage::Stage;
use tillgate::sandbox::{FaultKind, FaultyCall};
use tillgate::shop::effect::Outcome;
use tillgate::till::player::{self, Ended, Player, PlayerSettings};

const PRICE: u64 = 1_250;
/// How long the daemon stands still where nothing else is asked for, and the number that asks.
const STOPPED_SECS: u64 = 5;
const STOPPED: &str = "TILLGATE_STOPPED_SECS";
/// A disk with room for the reserve and a little more than the least that new sales need.
const DISK_MIB: u64 = 80;

/// The phone confirms; the link to the checkout.
pub(crate) fn confirm(phone: &mut Phone) -> String {
    phone.sees("/confirm");
    phone.send("/confirm");
    phone.checkout(None)
}

/// A whole payment at a till where nobody stands.
pub(crate) fn pay(rig: &Rig, phone: &mut Phone) {
    let asked = rig.till.asks(PRICE);
    let link = confirm(phone);
    assert!(phone.pays(&link, "anna").contains("Thank you"));
    assert_eq!(asked.result().outcome, player::Outcome::Approved);
    phone.sees("/finish");
    phone.send("/finish");
    phone.stands();
}

fn stands_still(rig: &Rig, meanwhile: impl FnOnce()) {
    let secs = std::env::var(STOPPED).map_or(STOPPED_SECS, |text| text.parse().unwrap());
    rig.signal(Signal::STOP);
    meanwhile();
    pause(Duration::from_secs(secs));
    rig.signal(Signal::CONT);
}

#[test]
fn a_daemon_that_stands_still_while_the_customer_pays_goes_on_rightly() {
    let rig = Rig::new();
    let mut phone = rig.paired();
    let asked = rig.till.asks(PRICE);
    let link = confirm(&mut phone);
    stands_still(&rig, || assert!(phone.pays(&link, "anna").contains("Thank you")));
    assert_eq!(asked.result().outcome, player::Outcome::Approved);
    phone.reads("Paid. Thank you!");
    assert_eq!(rig.agree_on_one(), Outcome::Approved);
}

#[test]
fn a_daemon_that_stands_still_before_the_platforms_answer_creates_one_payment() {
    let rig = Rig::new();
    let mut phone = rig.paired();
    let asked = rig.till.asks(PRICE);
    rig.fault(FaultyCall::Create, FaultKind::Delay, 1, 1_000);
    phone.sees("/confirm");
    phone.send("/confirm");
    eventually("the platform has created the payment", || rig.payments().len() == 1);
    stands_still(&rig, || {});
    let link = phone.checkout(None);
    phone.pays(&link, "anna");
    assert_eq!(asked.result().outcome, player::Outcome::Approved);
    assert_eq!((rig.agree_on_one(), rig.payments().len()), (Outcome::Approved, 1));
}

#[test]
fn a_till_that_aborts_while_the_daemon_stands_still_is_told_what_is_so() {
    let rig = Rig::new();
    let mut phone = rig.paired();
    let asked = rig.till.asks(PRICE);
    let link = confirm(&mut phone);
    stands_still(&rig, || {
        phone.pays(&link, "anna");
        rig.till.aborts();
    });
    // Paid or cancelled and given back: whichever it is, all say the same.
    asked.result();
    rig.agree();
}

#[test]
fn a_daemon_that_stands_still_in_the_middle_of_its_work_goes_on_rightly() {
    let rig = Rig::new();
    let mut phone = rig.paired();
    for after_ms in [0, 1, 3, 8, 21] {
        let asked = rig.till.asks(PRICE);
        pause(Duration::from_millis(after_ms));
        rig.signal(Signal::STOP);
        pause(Duration::from_millis(300));
        rig.signal(Signal::CONT);
        let link = confirm(&mut phone);
        phone.pays(&link, "anna");
        assert_eq!(asked.result().outcome, player::Outcome::Approved);
        phone.sees("/finish");
        phone.send("/finish");
        phone.stands();
    }
    assert_eq!(rig.agree().len(), 5);
}

/// A disk of its own over the folder of a stage; what is in the folder already moves onto it.
fn small_disk(stage: &Stage) {
    let folder = stage.file("");
    let kept: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .map(|file| (file.clone(), std::fs::read(file).unwrap()))
        .collect();
    mount(&["-t", "tmpfs", "-o", &format!("size={DISK_MIB}m,mode=700"), "tmpfs"], &folder);
    for (file, bytes) in kept {
        std::fs::write(file, bytes).unwrap();
    }
}

fn mount(args: &[&str], at: &Path) {
    let done = Command::new("mount").args(args).arg(at).output().unwrap();
    let why = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success(), "this test needs a disk of its own: run it as root ({})", why.trim());
}

/// A shop on a small disk. Taken away when dropped, which must be after the rig: declare it before.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn under(rig: &Rig) -> SmallDisk {
        SmallDisk(rig.stage.file(""))
    }

    /// Leaves so much room.
    fn leave(&self, bytes: u64) {
        let free = rustix::fs::statvfs(&self.0).unwrap();
        let free = free.f_bavail * free.f_frsize;
        let mut filler = std::fs::OpenOptions::new().create(true).append(true).open(self.filler()).unwrap();
        let piece = vec![0x5a; 4_096];
        for _ in 0..free.saturating_sub(bytes) / 4_096 {
            if filler.write_all(&piece).is_err() {
                break; // The daemon may have taken some of it meanwhile.
            }
        }
    }

    fn make_room(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
        let _ = std::fs::remove_dir(&self.0);
    }
}

/// A second till on a line of its own.
struct Second {
    player: Player,
    port: PathBuf,
    _line: File,
}

impl Second {
    fn new() -> Second {
        let (master, slave) = TTYPort::pair().unwrap();
        let port = PathBuf::from(slave.name().unwrap());
        let line = std::fs::OpenOptions::new().read(true).write(true).open(&port).unwrap();
        Second { player: Player::over(master, PlayerSettings::default()).unwrap(), port, _line: line }
    }

    fn asks(&mut self) -> Ended {
        self.player.pay(eur(PRICE), None, 60, &mut |_| {}).unwrap()
    }
}

#[test]
fn with_little_room_new_sales_are_refused_with_a_clear_word_and_the_open_one_is_paid() {
    let mut second = Second::new();
    let dress = Dress { tills: vec![(8, second.port.clone())], folder: Some(small_disk), ..Dress::default() };
    let disk;
    let mut rig = Rig::dressed(dress);
    disk = SmallDisk::under(&rig);
    rig.start();
    let mut phone = rig.paired();
    pay(&rig, &mut phone);
    let asked = rig.till.asks(PRICE);
    let link = confirm(&mut phone);
    disk.leave(0);
    let refused = second.asks();
    let Ended::Refused { reason, text } = refused else { panic!("{refused:?}") };
    assert_eq!((reason.as_str(), text.as_str()), ("NO_SALES", "disk of the box is full"));
    assert!(rig.log().contains("new sales are refused; make room"), "{}", rig.log());
    // The reserve was given up: the open one goes on.
    phone.pays(&link, "anna");
    assert_eq!(asked.result().outcome, player::Outcome::Approved);
    rig.agree();
    disk.make_room();
    phone.sees("/finish");
    phone.send("/finish");
    phone.stands();
    pay(&rig, &mut phone);
    assert_eq!(rig.agree().len(), 3);
    assert_eq!(rig.stop().code(), Some(0));
}

#[test]
fn a_disk_that_fills_up_at_once_ends_the_daemon_with_a_clear_word_and_with_room_the_sale_goes_on() {
    let disk;
    let mut rig = Rig::dressed(Dress { folder: Some(small_disk), ..Dress::default() });
    disk = SmallDisk::under(&rig);
    rig.start();
    let mut phone = rig.paired();
    let asked = rig.till.asks(PRICE);
    let link = confirm(&mut phone);
    let mut others: Vec<Phone> = (0..16).map(|_| rig.stranger()).collect();
    disk.leave(0);
    phone.tries("/give-up", || {});
    // What is written next may fit into the last piece of disk that the log has; not for long.
    for other in &mut others {
        if !rig.has_ended() {
            other.tries("/login", || {});
        }
    }
    let (ended, said) = rig.ends();
    let told = said.contains("the disk is full; make room, then start again");
    assert!(ended.code() == Some(1) && told, "{ended} {said}");
    // A start on the full disk goes on as far as it can without writing.
    rig.begin();
    pause(Duration::from_secs(1));
    disk.make_room();
    rig.start_if_ended();
    eventually("the daemon is up", || phone.tries_to_load());
    // Whether that the customer gave up was written before the room was gone is the disk's to say.
    if rig.sales()[0].state.name() == "paying" {
        phone.pays(&link, "anna");
    }
    asked.result();
    rig.agree();
}

#[test]
fn on_a_disk_that_may_not_be_written_the_daemon_says_so_and_books_can_be_read() {
    let disk;
    let mut rig = Rig::dressed(Dress { folder: Some(small_disk), ..Dress::default() });
    disk = SmallDisk::under(&rig);
    rig.start();
    let mut phone = rig.paired();
    pay(&rig, &mut phone);
    assert_eq!(rig.stop().code(), Some(0));
    let (books, config) = (rig.stage.shop_books(), rig.stage.file("tillgate.toml"));
    let away = rig.stops_the_platform();
    mount(&["-o", "remount,ro"], &disk.0);
    let run = rig.tillgate(&["run", "--config", config.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    let told = said.contains(books.to_str().unwrap()) && said.contains("cannot be used") && said.contains("check");
    assert!(run.status.code() == Some(1) && told && said.contains("Read-only"), "{run:?}");
    for command in ["sales", "verify"] {
        let read = rig.tillgate(&[command, "--db", books.to_str().unwrap()]);
        assert!(read.status.success(), "{command}: {read:?}");
    }
    mount(&["-o", "remount,rw"], &disk.0);
    rig.starts_the_platform(away);
    rig.start();
    pay(&rig, &mut phone);
    assert_eq!(rig.agree().len(), 2);
}

#[test]
fn a_daemon_without_files_left_keeps_its_tills_and_recovers() {
    let rig = Rig::new();
    let mut phone = rig.paired();
    pay(&rig, &mut phone);
    let files = |pid: Pid| std::fs::read_dir(format!("/proc/{}/fd", pid.as_raw_nonzero())).unwrap().count();
    let pid = rig.pid();
    let usual = files(pid);
    let asked = rig.till.asks(PRICE);
    let link = confirm(&mut phone);
    let limit = u64::try_from(usual).unwrap() + 16;
    let before = getrlimit(Resource::Nofile);
    prlimit(Some(pid), Resource::Nofile, Rlimit { current: Some(limit), ..before }).unwrap();
    // From many addresses, since one alone may not have so many.
    let crowd: Vec<_> = (2..60).map(|n| connect_from([127, 0, 0, n], &rig)).collect();
    eventually("the files are used up", || files(pid) >= usize::try_from(limit).unwrap());
    eventually("it says so", || rig.log().contains("cannot accept connections"));
    // A till needs no file: the abort is heard, decided with the platform on the line that is open, and told.
    phone.pays(&link, "anna");
    assert_eq!(asked.result().outcome, player::Outcome::Approved);
    pause(Duration::from_secs(2));
    let complaints = rig.log().matches("cannot accept connections").count();
    drop(crowd);
    prlimit(Some(pid), Resource::Nofile, before).unwrap();
    assert!(complaints < 10, "{complaints} lines for one want");
    phone.reads("Paid. Thank you!");
    phone.sees("/finish");
    phone.send("/finish");
    phone.stands();
    pay(&rig, &mut phone);
    assert_eq!(rig.agree().len(), 2 + 1);
    eventually("its files are closed again", || files(pid) <= usual + 4);
}

fn connect_from(from: [u8; 4], rig: &Rig) -> TcpStream {
    use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&socket, &std::net::SocketAddr::from((from, 0))).unwrap();
    connect(&socket, &rig.stage.portal).unwrap();
    TcpStream::from(socket)
}

#[test]
fn a_second_daemon_on_the_same_books_is_refused_and_disturbs_nothing() {
    let rig = Rig::new();
    let mut phone = rig.paired();
    let asked = rig.till.asks(PRICE);
    let link = confirm(&mut phone);
    let config = rig.stage.file("tillgate.toml");
    let second = rig.tillgate(&["run", "--config", config.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(second.status.code() == Some(1) && said.contains("is in use by another tillgate"), "{second:?}");
    // Nor while the first one stands still, as one does that is dying.
    rig.signal(Signal::STOP);
    let second = rig.tillgate(&["run", "--config", config.to_str().unwrap()]);
    rig.signal(Signal::CONT);
    assert_eq!(second.status.code(), Some(1));
    phone.pays(&link, "anna");
    assert_eq!(asked.result().outcome, player::Outcome::Approved);
    let socket = rig.stage.file("control.sock");
    assert!(rig.tillgate(&["status", "--socket", socket.to_str().unwrap()]).status.success());
    assert_eq!(rig.agree_on_one(), Outcome::Approved);
}

#[test]
fn backups_asked_for_at_the_same_time_are_each_whole_and_nothing_of_them_is_left() {
    let mut rig = Rig::new();
    ground::fill(&rig.stage.file("many.db"), 5_000);
    assert_eq!(rig.stop().code(), Some(0));
    // What a daemon leaves that is killed over a backup, and a file of somebody else's.
    for name in ["tillgate.backup-3.part", "tillgate.backup-4", "tillgate.backup-monday"] {
        std::fs::write(rig.stage.file(name), "left").unwrap();
    }
    std::fs::rename(rig.stage.file("many.db"), rig.stage.shop_books()).unwrap();
    for end in ["db-wal", "db-shm"] {
        let from = rig.stage.file("many.db").with_extension(end);
        std::fs::rename(from, rig.stage.shop_books().with_extension(end)).unwrap();
    }
    rig.start();
    let socket = rig.stage.file("control.sock");
    let answers = || rig.tillgate(&["status", "--socket", socket.to_str().unwrap()]).status.success();
    eventually("the daemon can be asked", answers);
    let copies: Vec<_> = (0..6).map(|n| rig.stage.file(&format!("copy-{n}"))).collect();
    std::thread::scope(|scope| {
        for copy in &copies {
            let socket = &socket;
            scope.spawn(move || {
                let made = tillgate().arg("backup").arg(copy).arg("--socket").arg(socket).output().unwrap();
                assert!(made.status.success(), "{made:?}");
                let verified = tillgate().args(["verify", "--db"]).arg(copy).output().unwrap();
                assert!(verified.status.success(), "{verified:?}");
            });
        }
    });
    let left = std::fs::read_dir(rig.stage.file("")).unwrap().map(|file| file.unwrap().file_name());
    let left: Vec<_> = left.filter(|name| name.to_str().unwrap().contains("backup-")).collect();
    assert_eq!(left, ["tillgate.backup-monday"]);
}
