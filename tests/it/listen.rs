//! `tillgate listen` as a process over a real pty: what it shows, guesses and leaves alone.

use crate::pace::PacedLine;
use rustix::fs::{Mode, OFlags, fcntl_setfl};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use tillgate::till::frame::encode;

/// A till's end of a line whose other end `tillgate listen` has.
struct Till {
    line: File,
    _other_end: File,
    path: PathBuf,
}

impl Till {
    fn new() -> Till {
        let line = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&line).unwrap();
        unlockpt(&line).unwrap();
        let path = PathBuf::from(ptsname(&line, Vec::new()).unwrap().into_string().unwrap());
        let other = rustix::fs::open(&path, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        Till { line: File::from(line), _other_end: File::from(other), path }
    }

    fn listener(&self, args: &[&str]) -> Listener {
        Listener::at(&self.path, args)
    }

    /// Whether anything came from the listener.
    fn heard_something(&mut self) -> bool {
        fcntl_setfl(&self.line, OFlags::RDWR | OFlags::NONBLOCK).unwrap();
        self.line.read(&mut [0]).is_ok()
    }
}

struct Listener {
    child: Child,
    said: BufReader<ChildStdout>,
    text: String,
}

impl Listener {
    fn at(port: &Path, args: &[&str]) -> Listener {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tillgate"));
        command.arg("listen").arg(port).args(args).env_remove("TILLGATE_LOG");
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        Listener { child, said, text: String::new() }
    }

    /// Reads until these words stand there.
    fn until(&mut self, words: &str) {
        while !self.text.contains(words) {
            let read = self.said.read_line(&mut self.text).unwrap();
            assert!(read > 0, "it ended without {words:?}:\n{}", self.text);
        }
    }

    /// Ctrl-C; all that it said, and its exit code.
    fn end(mut self) -> (String, i32) {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
        self.said.read_to_string(&mut self.text).unwrap();
        let code = self.child.wait().unwrap().code().expect("it ends by itself");
        (self.text, code)
    }
}

fn hex(text: &str) -> Vec<u8> {
    text.split_whitespace().map(|b| u8::from_str_radix(b, 16).unwrap()).collect()
}

/// Bytes as a till with even parity and seven bits sends them, where eight are heard.
fn even(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|b| b | u8::from(b.count_ones() % 2 == 1) << 7).collect()
}

fn concert() -> Vec<u8> {
    hex(
        "02 30 31 30 30 30 30 31 32 35 30 31 31 30 39 37 38 20 20 20 20 20 20 20 20 20 20 41 30 31 30 42 30 31 30 03 01",
    )
}

#[test]
fn what_each_protocol_says_is_shown_and_recognised_and_nothing_is_written() {
    for (bytes, shown, guess, section) in [
        (
            encode("PAY|7|1|41|1250|EUR|120"),
            "plain PAY|7|1|41|1250|EUR|120",
            "at 9600 baud 8N1",
            "protocol = \"plain\"",
        ),
        (
            hex("10 02 05 01 03 12 34 56 10 03 E0 43"),
            "ZVT 05 01: how are you",
            "at 9600 baud 8N2",
            "protocol = \"zvt\"",
        ),
        (concert(), "asks for a payment, 12.50 EUR", "at 9600 baud 8N1", "protocol = \"concert\""),
        (
            even(&concert()),
            "asks for a payment, 12.50 EUR",
            "at 9600 baud 7E1",
            "[till.line]\ndata_bits = 7\nparity = \"even\"",
        ),
        (vec![0x05], "ENQ: the till asks whether a terminal is there", "7E1", "protocol = \"concert\""),
    ] {
        let mut till = Till::new();
        let mut listener = till.listener(&[]);
        listener.until("Press the payment key");
        till.line.write_all(&bytes).unwrap();
        listener.until(shown);
        listener.until(" baud ");
        let (text, code) = listener.end();
        assert!(text.contains(guess) && text.contains(section), "{text}");
        assert!(text.contains(&format!("port = \"{}\"", till.path.display())), "{text}");
        assert_eq!(code, 0, "{text}");
        assert!(!till.heard_something(), "a listener never writes");
    }
}

#[test]
fn bytes_of_all_values_are_shown_as_they_came() {
    let mut till = Till::new();
    let mut listener = till.listener(&["--baud", "9600"]);
    listener.until("Press the payment key");
    let all: Vec<u8> = (0..=255).collect();
    till.line.write_all(&all).unwrap();
    listener.until("F0 F1 F2 F3 F4 F5 F6 F7 F8 F9 FA FB FC FD FE FF  ................");
    listener.until("That makes no sense");
    let (text, code) = listener.end();
    assert!(text.contains("00 01 02 03 04 05 06 07 08 09 0A 0B 0C 0D 0E 0F"), "{text}");
    assert!(text.contains("Something was heard and not understood"), "{text}");
    assert_eq!(code, 1);
    assert!(!till.heard_something(), "a listener never writes");
}

#[test]
fn silence_ends_in_time_and_says_where_to_look() {
    let till = Till::new();
    let mut listener = till.listener(&["--seconds", "1"]);
    listener.said.read_to_string(&mut listener.text).unwrap();
    assert_eq!(listener.child.wait().unwrap().code(), Some(1));
    assert!(
        listener.text.contains("Nothing was heard") && listener.text.contains("null\n     modem"),
        "{}",
        listener.text
    );
}

#[test]
fn speeds_are_tried_in_turn_while_nothing_makes_sense_and_kept_once_something_does() {
    let mut till = Till::new();
    let mut listener = till.listener(&[]);
    listener.until("Press the payment key");
    till.line.write_all(b"\x00\xf8\x80").unwrap();
    listener.until("Listening at 115200 baud now");
    till.line.write_all(&encode("STATUS|1")).unwrap();
    listener.until("at 115200 baud 8N1");
    till.line.write_all(b"\x00\xf8\x80").unwrap();
    listener.until("3 bytes that say nothing\n");
    let (text, code) = listener.end();
    assert!(text.contains("[till.line]\nbaud = 115200\n") && code == 0, "{text}");
    assert!(!text.contains("19200"), "{text}");
}

#[test]
fn a_cable_pulled_and_plugged_again_is_listened_at_again() {
    let folder = std::env::temp_dir().join(format!("tillgate-listen-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let line = PacedLine::new(&folder);
    let mut listener = Listener::at(&folder.join("box"), &[]);
    listener.until("Press the payment key");
    let whole = hex("10 02 05 01 03 12 34 56 10 03 E0 43");
    let mut till = std::fs::OpenOptions::new().write(true).open(&line.at_till).unwrap();
    till.write_all(&whole[..5]).unwrap();
    listener.until("10 02 05 01 03 ");
    drop((line, till));
    listener.until("The line hung up");
    let line = PacedLine::new(&folder);
    listener.until("The line is back");
    let mut till = std::fs::OpenOptions::new().write(true).open(&line.at_till).unwrap();
    till.write_all(&whole).unwrap();
    listener.until("This is ZVT");
    let (text, code) = listener.end();
    assert!(code == 0 && text.contains("protocol = \"zvt\""), "{text}");
    assert_eq!(line.to_till.count(), 0, "a listener never writes");
    drop(line);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_port_that_cannot_be_listened_at_says_why() {
    let till = Till::new();
    let _held = tillgate::till::port::open(&till.path, &tillgate::till::LineSettings::default()).unwrap();
    let path = till.path.to_str().unwrap();
    for (port, words) in [
        ("/dev/there-is-no-such-port", "there is no /dev/there-is-no-such-port: plug the adapter in"),
        ("/dev/null", "/dev/null is no serial port"),
        (path, "is in use by"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_tillgate")).args(["listen", port]).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(3) && said.contains(words), "{said}");
    }
}
