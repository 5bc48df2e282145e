//! The till's end of a ZVT line: sends and receives whole APDUs, in frames or bare, and waits for them. Knows no dialogue.
//!
//! Source: PA00P016, chapters 2 and 3.

use super::apdu::{Apdu, Stream};
use super::link::{ACK, Found, Frames, NAK, frame};
use crate::till::port::{LineSettings, READ_BYTES_MAX, WRITE_WAIT, open, write_all};
use serialport::{SerialPort, TTYPort};
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a frame may pause before the rest of it is not waited for any more (T1).
pub const BYTE_WAIT: Duration = Duration::from_millis(200);
/// How long a frame may stay without acknowledgement (T2).
pub const ACK_WAIT: Duration = Duration::from_secs(5);
/// How often a frame is sent again.
pub const REPEATS: u32 = 2;
/// How long a connection may take to come about.
pub const CONNECT_WAIT: Duration = Duration::from_secs(5);

/// Where the box is, as a till sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// At the other end of this serial port.
    Serial(PathBuf),
    /// At this host and port.
    Tcp(String),
}

impl Place {
    /// `tcp://HOST:PORT`, or else the name of a serial port.
    pub fn of(port: &Path) -> Place {
        match port.to_str().and_then(|text| text.strip_prefix("tcp://")) {
            Some(host) => Place::Tcp(host.to_owned()),
            None => Place::Serial(port.to_owned()),
        }
    }
}

/// A line to the box.
#[derive(Debug)]
pub struct Wire {
    end: End,
    came: VecDeque<Came>,
}

#[derive(Debug)]
enum End {
    Serial(TTYPort, Frames),
    Tcp(TcpStream, Stream),
}

#[derive(Debug)]
enum Came {
    Ack,
    Nak,
    Apdu(Apdu),
}

impl Wire {
    /// Opens the port or connects.
    pub fn open(place: &Place, line: &LineSettings) -> io::Result<Wire> {
        match place {
            Place::Serial(path) => Ok(Wire::over(open(path, line)?)),
            Place::Tcp(host) => {
                let mut last = io::Error::from(io::ErrorKind::NotFound);
                for address in host.to_socket_addrs()? {
                    match TcpStream::connect_timeout(&address, CONNECT_WAIT) {
                        Ok(stream) => return Wire::connected(stream),
                        Err(e) => last = e,
                    }
                }
                Err(last)
            }
        }
    }

    /// Over a port that is open already, such as one end of a pty pair.
    pub fn over(port: TTYPort) -> Wire {
        Wire { end: End::Serial(port, Frames::default()), came: VecDeque::new() }
    }

    /// Over a connection.
    pub fn connected(stream: TcpStream) -> io::Result<Wire> {
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(WRITE_WAIT))?;
        Ok(Wire { end: End::Tcp(stream, Stream::default()), came: VecDeque::new() })
    }

    /// Sends an APDU; on a serial line until the box has acknowledged it. False if it does not.
    pub fn send(&mut self, apdu: &Apdu) -> io::Result<bool> {
        let framed = match &mut self.end {
            End::Tcp(stream, _) => {
                stream.write_all(&apdu.bytes())?;
                return Ok(true);
            }
            End::Serial(..) => frame(&apdu.bytes()),
        };
        for _ in 0..=REPEATS {
            self.write(&framed)?;
            if self.acknowledged()? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The next APDU, in frames acknowledged already; `None` if none came in that time.
    pub fn receive(&mut self, wait: Duration) -> io::Result<Option<Apdu>> {
        let until = Instant::now().checked_add(wait);
        loop {
            while let Some(came) = self.came.pop_front() {
                match came {
                    Came::Apdu(apdu) => return Ok(Some(apdu)),
                    // Of an earlier repeat.
                    Came::Ack | Came::Nak => {}
                }
            }
            if !self.read(left(until))? {
                return Ok(None);
            }
        }
    }

    fn acknowledged(&mut self) -> io::Result<bool> {
        let until = Instant::now().checked_add(ACK_WAIT);
        loop {
            if let Some(at) = self.came.iter().position(|c| matches!(c, Came::Ack | Came::Nak)) {
                return Ok(matches!(self.came.remove(at), Some(Came::Ack)));
            }
            if !self.read(left(until))? {
                return Ok(false);
            }
        }
    }

    /// Reads what comes within `wait`; false if nothing did.
    fn read(&mut self, wait: Duration) -> io::Result<bool> {
        // The systems take no wait of nothing.
        let wait = wait.max(Duration::from_millis(1));
        let mut buffer = [0; READ_BYTES_MAX];
        let read = match &mut self.end {
            End::Serial(port, frames) => {
                port.set_timeout(if frames.begun() { BYTE_WAIT } else { wait })?;
                port.read(&mut buffer)
            }
            End::Tcp(stream, _) => {
                stream.set_read_timeout(Some(wait))?;
                stream.read(&mut buffer)
            }
        };
        match read {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => {
                self.heard(buffer.get(..n).unwrap_or_default())?;
                Ok(true)
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(true),
            Err(e) if matches!(e.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock) => self.nothing_came(),
            Err(e) => Err(e),
        }
    }

    fn heard(&mut self, bytes: &[u8]) -> io::Result<()> {
        for byte in bytes {
            match &mut self.end {
                End::Tcp(_, stream) => self.came.extend(stream.push(*byte).and_then(Result::ok).map(Came::Apdu)),
                End::Serial(_, frames) => match frames.push(*byte) {
                    Some(Found::Ack) => self.came.push_back(Came::Ack),
                    Some(Found::Nak) => self.came.push_back(Came::Nak),
                    Some(Found::Bad) => self.write(&[NAK])?,
                    Some(Found::Frame(bytes)) => {
                        self.write(&[ACK])?;
                        self.came.extend(Apdu::parse(&bytes).map(Came::Apdu));
                    }
                    None => {}
                },
            }
        }
        Ok(())
    }

    /// A frame that was begun will not be finished; one that was not begun was waited for long enough.
    fn nothing_came(&mut self) -> io::Result<bool> {
        let cut = match &mut self.end {
            End::Serial(_, frames) => frames.cut(),
            End::Tcp(..) => false,
        };
        if cut {
            self.write(&[NAK])?;
        }
        Ok(cut)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.end {
            End::Serial(port, _) => write_all(port, bytes),
            End::Tcp(stream, _) => stream.write_all(bytes),
        }
    }
}

fn left(until: Option<Instant>) -> Duration {
    until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()))
}
