//! What the service manager hears of the daemon: that the loop that owns the store goes round, and nothing else.

use rusqlite::Connection;
use serialport::{SerialPort, TTYPort};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tillgate::demo::stage::Stage;
use tillgate::demo::visitor::Visitor;
use tillgate::shop::event::TillNumber;

/// After so long without a sign of life the manager would give the daemon up.
const GIVEN_UP_AFTER: Duration = Duration::from_millis(2_000);
/// Longer than the loop waits for a store that is in use.
const WAIT: Duration = Duration::from_secs(30);

struct Watched {
    manager: UnixDatagram,
    daemon: Child,
    stage: Stage,
    _till: TTYPort,
}

impl Watched {
    fn start() -> Watched {
        let stage = Stage::new().unwrap();
        let (till, port) = TTYPort::pair().unwrap();
        let port = PathBuf::from(port.name().unwrap());
        let nobody = "127.0.0.1:9".parse().unwrap();
        let config = stage.write_config(nobody, &[(TillNumber::new(7).unwrap(), &port)], "").unwrap();
        let socket = stage.file("manager.sock");
        let manager = UnixDatagram::bind(&socket).unwrap();
        manager.set_read_timeout(Some(WAIT)).unwrap();
        let daemon = Command::new(env!("CARGO_BIN_EXE_tillgate"))
            .args(["run", "--config"])
            .arg(config)
            .env("NOTIFY_SOCKET", socket)
            .env("WATCHDOG_USEC", GIVEN_UP_AFTER.as_micros().to_string())
            .env_remove("WATCHDOG_PID")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let watched = Watched { manager, daemon: daemon.unwrap(), stage, _till: till };
        while !watched.hears().contains("READY=1") {}
        watched
    }

    fn hears(&self) -> String {
        let mut word = [0; 256];
        let size = self.manager.recv(&mut word).expect("the daemon says something");
        String::from_utf8(word[..size].to_vec()).unwrap()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

#[test]
fn a_loop_with_nothing_to_do_still_says_in_time_that_it_lives() {
    let watched = Watched::start();
    let mut last = Instant::now();
    for _ in 0..4 {
        assert_eq!(watched.hears(), "WATCHDOG=1\n");
        let now = Instant::now();
        assert!(now - last < GIVEN_UP_AFTER, "{:?} of silence", now - last);
        last = now;
    }
}

#[test]
fn a_loop_that_waits_for_the_store_is_silent_although_the_portal_answers_and_then_the_process_ends() {
    let mut watched = Watched::start();
    let other = Connection::open(watched.stage.shop_books()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();

    let address = format!("http://{}/", watched.stage.portal);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let start = address.clone();
    let _waits = runtime.spawn(async move {
        let mut phone = Visitor::new("en");
        phone.open(&start).await.unwrap();
        let _ = phone.send("/login", &[]).await; // Never answered: what it brings cannot be written.
    });
    let mut silent_since = Instant::now();
    watched.manager.set_read_timeout(Some(GIVEN_UP_AFTER)).unwrap();
    while watched.manager.recv(&mut [0; 256]).is_ok() {
        silent_since = Instant::now();
    }
    runtime.block_on(async {
        let mut other_phone = Visitor::new("en");
        other_phone.open(&address).await.unwrap();
        assert!(other_phone.has("/login"), "{}", other_phone.page);
    });
    assert!(silent_since.elapsed() >= GIVEN_UP_AFTER);

    let until = Instant::now() + WAIT;
    let ended = loop {
        if let Some(ended) = watched.daemon.try_wait().unwrap() {
            break ended;
        }
        assert!(Instant::now() < until, "the daemon goes on although it cannot write");
        std::thread::park_timeout(Duration::from_millis(20));
    };
    assert_eq!(ended.code(), Some(1));
}
