//! What a service manager gives to the daemon: listeners by name, credentials. The manager itself is in `tests/package`.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tillgate::demo::stage::Stage;
use tillgate::shop::event::TillNumber;

const WAIT: Duration = Duration::from_secs(30);

/// A shop whose daemon is started with this listener as its third file.
struct Shop {
    stage: Stage,
    config: PathBuf,
    listener: TcpListener,
}

impl Shop {
    fn new() -> Shop {
        let stage = Stage::new().unwrap();
        let nobody = "127.0.0.1:9".parse().unwrap();
        let config =
            stage.write_config(nobody, &[(TillNumber::new(7).unwrap(), Path::new("/dev/ttyNONE"))], "").unwrap();
        let listener = TcpListener::bind(stage.portal).unwrap();
        Shop { stage, config, listener }
    }

    fn start(&self, name: &str) -> Daemon {
        let passed: OwnedFd = self.listener.try_clone().unwrap().into();
        let script =
            "exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_FDNAMES=$2 LISTEN_PID=$$ exec \"$0\" run --config \"$1\"";
        let log = File::create(self.stage.file("daemon.log")).unwrap();
        let daemon = Command::new("sh")
            .args(["-c", script, env!("CARGO_BIN_EXE_tillgate")])
            .arg(&self.config)
            .arg(name)
            .stdin(Stdio::from(passed))
            .stderr(log)
            .stdout(Stdio::null())
            .spawn();
        Daemon(daemon.unwrap())
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.stage.file("daemon.log")).unwrap()
    }
}

struct Daemon(Child);

impl Daemon {
    fn stop(mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }

    fn ends(&mut self) -> Option<i32> {
        let until = Instant::now() + WAIT;
        loop {
            if let Some(ended) = self.0.try_wait().unwrap() {
                return ended.code();
            }
            assert!(Instant::now() < until, "the daemon goes on");
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A phone that has asked and waits.
fn asks(at: SocketAddr) -> TcpStream {
    let mut phone = TcpStream::connect(at).unwrap();
    phone.set_read_timeout(Some(WAIT)).unwrap();
    write!(phone, "GET / HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n\r\n").unwrap();
    phone
}

fn is_answered(mut phone: TcpStream) {
    let mut answer = String::new();
    phone.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("Corner Shop"), "{answer}");
}

#[test]
fn a_phone_that_comes_while_the_daemon_is_away_is_answered_by_the_next_one() {
    let shop = Shop::new();
    let waits = asks(shop.stage.portal);
    let daemon = shop.start("http");
    is_answered(waits);
    daemon.stop();
    let waits = asks(shop.stage.portal);
    let _next = shop.start("http");
    is_answered(waits);
}

#[test]
fn a_listener_of_another_name_is_not_taken_and_the_address_is_then_in_use() {
    let shop = Shop::new();
    let mut daemon = shop.start("https");
    assert_eq!(daemon.ends(), Some(1));
    assert!(shop.log().contains(&format!("cannot listen on {}", shop.stage.portal)), "{}", shop.log());
}

#[test]
fn a_listener_at_another_address_is_left_alone_and_said() {
    let mut shop = Shop::new();
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    shop.listener = elsewhere;
    let at = shop.listener.local_addr().unwrap();
    let _daemon = shop.start("http");
    let until = Instant::now() + WAIT;
    let phone = loop {
        match TcpStream::connect(shop.stage.portal) {
            Ok(phone) => break phone,
            Err(error) => assert!(error.kind() == ErrorKind::ConnectionRefused && Instant::now() < until, "{error}"),
        }
        std::thread::park_timeout(Duration::from_millis(10));
    };
    drop(phone);
    is_answered(asks(shop.stage.portal));
    assert!(shop.log().contains(&format!("address={at}")), "{}", shop.log());
}

/// What `tillgate check` says of the shop's file with its key as a credential, and how it ends.
fn checked(stage: &Stage, credentials: Option<&Path>) -> (String, Option<i32>) {
    let nobody = "127.0.0.1:9".parse().unwrap();
    let config = stage.write_config(nobody, &[(TillNumber::new(7).unwrap(), Path::new("/dev/ttyNONE"))], "").unwrap();
    let text = std::fs::read_to_string(&config).unwrap();
    let key = format!("key = {:?}", stage.key().display().to_string());
    assert!(text.contains(&key), "{text}");
    std::fs::write(&config, text.replace(&key, "key = \"credential:platform.key\"")).unwrap();
    let mut check = Command::new(env!("CARGO_BIN_EXE_tillgate"));
    check.args(["check", "--config"]).arg(&config).env_remove("CREDENTIALS_DIRECTORY");
    check.envs(credentials.map(|folder| ("CREDENTIALS_DIRECTORY", folder)));
    let said = check.output().unwrap();
    (String::from_utf8(said.stderr).unwrap(), said.status.code())
}

#[test]
fn a_key_may_be_a_credential_which_is_looked_at_like_any_other_file() {
    let stage = Stage::new().unwrap();
    let folder = stage.file("credentials");
    std::fs::create_dir(&folder).unwrap();

    let (said, code) = checked(&stage, Some(&folder));
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("no credential \"platform.key\"") && said.contains("LoadCredential=platform.key:"), "{said}");

    std::fs::write(folder.join("platform.key"), "no key").unwrap();
    let (said, code) = checked(&stage, Some(&folder));
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("holds no private key"), "{said}");

    std::fs::copy(stage.key(), folder.join("platform.key")).unwrap();
    let (said, code) = checked(&stage, Some(&folder));
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn a_credential_that_only_the_service_sees_is_a_warning_for_others() {
    let stage = Stage::new().unwrap();
    let (said, code) = checked(&stage, None);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("only the service is given it"), "{said}");
}
