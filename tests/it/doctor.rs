//! `tillgate doctor` as a process: at a box on which all is well, and at boxes on which something is in the way.

use serde_json::Value;
use serialport::{SerialPort, TTYPort};
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tillgate::demo::stage::Stage;
use tillgate::shop::event::TillNumber;

/// Longer than anything here takes on a busy machine.
const WAIT: Duration = Duration::from_secs(60);

struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn tillgate() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tillgate"));
    command.env_remove("TILLGATE_LOG").env_remove("NOTIFY_SOCKET").env_remove("JOURNAL_STREAM").stdin(Stdio::null());
    command
}

fn daemon(stage: &Stage, config: &Path) -> Daemon {
    let socket = stage.file("manager.sock");
    let manager = UnixDatagram::bind(&socket).unwrap();
    manager.set_read_timeout(Some(WAIT)).unwrap();
    let mut command = tillgate();
    command.args(["run", "--config"]).arg(config).env("NOTIFY_SOCKET", socket);
    let daemon = Daemon(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let mut word = [0; 256];
    let size = manager.recv(&mut word).expect("the daemon says that it is ready");
    assert!(String::from_utf8_lossy(&word[..size]).contains("READY=1"));
    daemon
}

/// What the doctor finds: part, grade, and what with what to do; and its exit code.
fn examined(config: &Path) -> (Vec<(String, String, String)>, i32) {
    let done = tillgate().args(["doctor", "--json", "--config"]).arg(config).output().unwrap();
    let said: Value = serde_json::from_slice(&done.stdout).unwrap_or_else(|e| panic!("{e}: {done:?}"));
    let code = done.status.code().unwrap();
    assert_eq!(said["well"], Value::Bool(code == 0), "{said}");
    let word = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
    let all = said["findings"].as_array().unwrap().iter();
    let all = all.map(|one| {
        assert_eq!(word(one, "grade") == "well", word(one, "fix").is_empty(), "{one}");
        (word(one, "part"), word(one, "grade"), format!("{} -> {}", word(one, "what"), word(one, "fix")))
    });
    (all.collect(), code)
}

fn pty() -> (TTYPort, PathBuf) {
    let (master, slave) = TTYPort::pair().unwrap();
    let path = PathBuf::from(slave.name().unwrap());
    (master, path)
}

fn number(n: u16) -> TillNumber {
    TillNumber::new(n).unwrap()
}

fn find<'f>(found: &'f [(String, String, String)], part: &str, grade: &str) -> &'f str {
    let one = found.iter().find(|(p, g, _)| p == part && g == grade);
    one.map(|(_, _, text)| text.as_str()).unwrap_or_else(|| panic!("no {grade} {part} in {found:#?}"))
}

#[test]
fn a_box_that_works_is_well_and_a_till_that_never_spoke_is_odd_until_it_does() {
    let stage = Stage::new().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let platform = stage.start_platform(runtime.handle(), None).unwrap();
    let (mut master, port) = pty();
    let config = stage.write_config(platform.api, &[(number(1), &port)], "").unwrap();
    let _daemon = daemon(&stage, &config);
    let (found, code) = examined(&config);
    assert_eq!(code, 0, "{found:#?}");
    for part in ["configuration", "daemon", "platform", "certificate", "books", "certificates", "programs"] {
        find(&found, part, "well");
    }
    assert_eq!(
        found.iter().filter(|(part, _, _)| part == "certificate").count(),
        1,
        "one thing is said once: {found:#?}"
    );
    assert!(find(&found, "till 1", "odd").contains("press its payment key"));
    std::io::Write::write_all(&mut master, &tillgate::till::frame::encode("PING|1")).unwrap();
    let begun = Instant::now();
    while !examined(&config)
        .0
        .iter()
        .any(|(part, grade, text)| part == "till 1" && grade == "well" && text.contains("last heard"))
    {
        assert!(begun.elapsed() < WAIT, "it spoke, and nobody says so");
    }
}

#[test]
fn without_a_daemon_each_thing_in_the_way_is_named_with_who_and_what_to_do() {
    let stage = Stage::new().unwrap();
    let (_master, slave) = TTYPort::pair().unwrap();
    let taken = PathBuf::from(slave.name().unwrap());
    let gone = stage.file("gone");
    let nobody = "127.0.0.1:9".parse().unwrap();
    let config = stage.write_config(nobody, &[(number(1), &taken), (number(2), &gone)], "").unwrap();
    let other = TcpListener::bind(stage.portal).unwrap();
    let (found, code) = examined(&config);
    assert_eq!(code, 1);
    let me = std::process::id();
    assert!(find(&found, "daemon", "wrong").contains("systemctl status tillgate"), "{found:#?}");
    assert!(find(&found, "platform", "wrong").contains("is not reached: "), "{found:#?}");
    let held = find(&found, "till 1", "wrong");
    assert!(
        held.contains(&format!("(process {me}) has its port {}", taken.display())) && held.contains("disable --now"),
        "{held}"
    );
    assert!(find(&found, "till 2", "wrong").contains("plug the adapter in"), "{found:#?}");
    let held = find(&found, "portal", "wrong");
    assert!(held.contains(&format!("(process {me}) has TCP port {}", stage.portal.port())), "{held}");
    drop((other, slave));
    let (found, _) = examined(&config);
    assert!(found.iter().all(|(part, _, _)| part != "portal" && part != "till 1"), "{found:#?}");
    find(&found, "till 2", "wrong");
    find(&found, "programs", "well");
}

#[test]
fn the_platform_is_asked_without_a_daemon_too_and_must_be_who_it_should_be() {
    let stage = Stage::new().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let platform = stage.start_platform(runtime.handle(), None).unwrap();
    let (_master, port) = pty();
    let config = stage.write_config(platform.api, &[(number(1), &port)], "").unwrap();
    let (found, _) = examined(&config);
    assert!(find(&found, "platform", "well").contains("is who it should be"), "{found:#?}");
    let text = std::fs::read_to_string(&config).unwrap();
    let pin = text.split("pins = [\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    std::fs::write(&config, text.replace(&pin, &"ab".repeat(32))).unwrap();
    let (found, code) = examined(&config);
    assert_eq!(code, 1);
    assert!(find(&found, "platform", "wrong").contains("the platform's key is not pinned"), "{found:#?}");
    let by_name = text.replace(&format!("https://{}", platform.api), "https://pay.invalid:8443");
    std::fs::write(&config, by_name).unwrap();
    let (found, _) = examined(&config);
    assert!(find(&found, "names", "wrong").contains("pay.invalid is not found"), "{found:#?}");
    assert!(found.iter().all(|(part, _, _)| part != "platform"), "one fault is one finding: {found:#?}");
}

#[test]
fn an_old_certificate_and_books_that_were_changed_are_found() {
    let stage = Stage::new().unwrap();
    let (_master, port) = pty();
    let config = stage.write_config("127.0.0.1:9".parse().unwrap(), &[(number(1), &port)], "").unwrap();
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("/box.pem", "/expired.pem").replace("/box.key", "/expired.key")).unwrap();
    std::fs::write(stage.shop_books(), "these are no books").unwrap();
    let (found, code) = examined(&config);
    assert_eq!(code, 1);
    let over = find(&found, "certificate", "wrong");
    assert!(over.contains("has ended 20") && over.contains("ask the platform for a new certificate"), "{over}");
    assert!(find(&found, "books", "wrong").contains("tillgate restore BACKUP"), "{found:#?}");
}
