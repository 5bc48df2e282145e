//! The control socket, both ends, over a real socket and real files.

use super::*;
use std::io::{Read, Write};
use std::sync::atomic::{AtomicU32, Ordering};

fn folder() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("tillgate-control-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let path = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&path).unwrap();
    path
}

fn example() -> Status {
    Status {
        version: "0.1.0".into(),
        uptime_secs: 3_700,
        tills: vec![
            TillLine {
                number: 1,
                label: "Front".into(),
                port: "/dev/ttyS0".into(),
                online: true,
                junk_bytes: 0,
                bad_frames: 0,
                heard_secs: None,
                sale: None,
            },
            TillLine {
                number: 12,
                label: "Bäckerei".into(),
                port: "/dev/ttyS1".into(),
                online: false,
                junk_bytes: 70_312,
                bad_frames: 3,
                heard_secs: Some(4),
                sale: Some("paying".into()),
            },
        ],
        phones: 3,
        sales: vec![SaleLine {
            id: "0badcafe".into(),
            till: 12,
            amount: "12.50 EUR".into(),
            state: "paying".into(),
            since_secs: Some(14),
        }],
        platform: Platform { state: PlatformState::Up, last_answer_secs: Some(5) },
        clock: Clock { trusted: true, ..Clock::default() },
        disk: Disk { free_bytes: 5 << 30, ..Disk::default() },
        network: Network::default(),
        certificate: Certificate {
            state: CertificateState::Good,
            until: Some("2027-02-20T11:00:00Z".into()),
            renews_at: Some("2027-01-21T11:00:00Z".into()),
            failing: None,
        },
        books: Books::default(),
        written: Written::default(),
    }
}

struct House {
    folder: PathBuf,
    socket: PathBuf,
    runtime: tokio::runtime::Runtime,
}

impl House {
    fn new() -> House {
        let folder = folder();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        House { socket: folder.join("control.sock"), folder, runtime }
    }

    fn answer(&self, respond: impl Fn(Request) -> Response + Send + Sync + 'static) -> Control {
        let answers = move |request| std::future::ready(respond(request));
        Control::start(self.runtime.handle(), &self.socket, answers).unwrap()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn a_status_arrives_as_it_was_given() {
    let house = House::new();
    let _control = house.answer(|_| Response::Status(Box::new(example())));
    assert_eq!(super::status(&house.socket).unwrap(), example());
    assert_eq!(std::fs::metadata(&house.socket).unwrap().permissions().mode() & 0o777, 0o660);
}

#[test]
fn a_status_is_readable() {
    let text = "\
tillgate 0.1.0, running for 1 h 1 min
platform  up, last answer 5 s ago
clock     set
disk      5120 MiB free
books     sound, no backups are made
written   not counted here
network   not governed: phones reach what the shop's router lets them reach
identity  until 2027-02-20T11:00:00Z, renewed by itself from 2027-01-21T11:00:00Z on
phones    3

TILL  LABEL     LINE     JUNK   BAD  SALE    PORT
1     Front     online   0      0    -       /dev/ttyS0
12    Bäckerei  OFFLINE  70312  3    paying  /dev/ttyS1

SALE      TILL  AMOUNT     STATE   SINCE
0badcafe  12    12.50 EUR  paying  14 s";
    assert_eq!(example().to_string(), text);
}

#[test]
fn a_certificate_says_how_long_it_counts_and_what_is_wrong_with_it() {
    let whole = example().certificate;
    let of = |state, renewed: bool, failing: Option<&str>| {
        let renews_at = whole.renews_at.clone().filter(|_| renewed);
        Certificate { state, renews_at, failing: failing.map(str::to_owned), ..whole.clone() }.to_string()
    };
    assert_eq!(of(CertificateState::Good, false, None), "until 2027-02-20T11:00:00Z, renewed by people");
    assert_eq!(
        of(CertificateState::Ending, true, Some("no line")),
        "ENDS 2027-02-20T11:00:00Z; RENEWAL FAILS: no line"
    );
    assert!(
        of(CertificateState::Ended, true, None).starts_with("HAS ENDED 2027-02-20T11:00:00Z: new sales are refused")
    );
    assert_eq!(Certificate::default().to_string(), "until an unknown time, renewed by people");
}

#[test]
fn a_backup_arrives_whole_and_leaves_no_copy_behind() {
    let house = House::new();
    let made = house.folder.join("made");
    let bytes: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    let (path, content) = (made.clone(), bytes.clone());
    let _control = house.answer(move |_| {
        std::fs::write(&path, &content).unwrap();
        Response::Backup(path.clone())
    });
    let to = house.folder.join("copy.db");
    assert_eq!(backup(&house.socket, &to).unwrap(), 1_200_000);
    assert_eq!(std::fs::read(&to).unwrap(), bytes);
    assert_eq!(std::fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!made.exists());
    assert!(matches!(backup(&house.socket, &to), Err(AskError::File { .. })));
    let mut names: Vec<_> = std::fs::read_dir(&house.folder).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["control.sock", "copy.db"]);
}

#[test]
fn a_backup_cut_short_leaves_nothing() {
    let house = House::new();
    let listener = std::os::unix::net::UnixListener::bind(&house.socket).unwrap();
    let far = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        // Closed before the question was read, it would be a daemon that is not there.
        assert_eq!(stream.read(&mut [0; 16]).unwrap(), "backup\n".len());
        stream.write_all(b"{\"backup\":{\"bytes\":100}}\nonly this").unwrap();
    });
    let to = house.folder.join("copy.db");
    assert!(matches!(backup(&house.socket, &to), Err(AskError::Broken(_))));
    far.join().unwrap();
    assert_eq!(std::fs::read_dir(&house.folder).unwrap().count(), 1);
}

#[test]
fn a_refusal_says_why_and_a_strange_word_is_refused() {
    let house = House::new();
    let _control = house.answer(|_| Response::Refused("the disk is full; make room".into()));
    let error = super::status(&house.socket).unwrap_err();
    assert_eq!(error.to_string(), "the daemon refused: the disk is full; make room");
    for word in ["dance\n".to_owned(), "x".repeat(100_000)] {
        let mut stream = std::os::unix::net::UnixStream::connect(&house.socket).unwrap();
        let _ = stream.write_all(word.as_bytes());
        let mut answer = String::new();
        let _ = io::Read::read_to_string(&mut stream, &mut answer);
        assert_eq!(answer, "{\"refused\":\"ask for status or backup\"}\n");
    }
}

#[test]
fn one_too_many_is_told_so() {
    let house = House::new();
    let _control = house.answer(|_| Response::Status(Box::new(example())));
    let idle: Vec<_> =
        (0..CONNECTIONS_MAX).map(|_| std::os::unix::net::UnixStream::connect(&house.socket).unwrap()).collect();
    let error = super::status(&house.socket).unwrap_err();
    assert_eq!(error.to_string(), "the daemon refused: too many ask at once; try again");
    drop(idle);
}

#[test]
fn a_stale_socket_is_replaced_and_a_live_one_or_another_file_is_not() {
    let house = House::new();
    drop(std::os::unix::net::UnixListener::bind(&house.socket).unwrap());
    let control = house.answer(|_| Response::Status(Box::new(example())));
    let start = |path: &Path| {
        Control::start(house.runtime.handle(), path, |_| std::future::ready(Response::Refused(String::new())))
    };
    assert!(matches!(start(&house.socket), Err(OpenError::Taken(_))));
    assert!(super::status(&house.socket).is_ok());
    drop(control);
    assert!(!house.socket.exists());
    std::fs::write(&house.socket, "a letter").unwrap();
    assert!(matches!(start(&house.socket), Err(OpenError::NotASocket(_))));
    assert_eq!(std::fs::read_to_string(&house.socket).unwrap(), "a letter");
    let nowhere = start(&house.folder.join("missing/control.sock")).unwrap_err();
    assert!(nowhere.to_string().contains("no directory"), "{nowhere}");
}

#[test]
fn with_no_daemon_there_the_error_says_what_to_do() {
    let error = super::status(&folder().join("control.sock")).unwrap_err();
    assert!(matches!(error, AskError::NotReachable { .. }));
    assert!(error.to_string().contains("tillgate run"), "{error}");
}
