//! What phones send and the world answers: connections, datagrams and pings, and what became of them.

use super::machine::Machine;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketType};
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// So long what is dropped is waited for.
const PATIENCE: Duration = Duration::from_millis(1_500);
/// Refused within this is refused at once.
const AT_ONCE: Duration = Duration::from_millis(500);

/// All addresses of a bed that answer datagrams; each machine has some of them.
const ADDRESSES: [&str; 8] = [
    "198.51.100.10",
    "198.51.100.20",
    "203.0.113.1",
    "192.168.50.1",
    "192.168.50.8",
    "10.1.1.5",
    "2001:db8:77::10",
    "fd12:3456:789a:50::1",
];

/// What became of a try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Whoever is there answered, with its name.
    Reached(String),
    /// Told at once that it is not possible.
    Refused,
    /// Nothing came back.
    Silence,
}

/// Everybody that answers in one machine, until dropped.
pub(super) struct Servers {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    /// Bytes that came in on connections of `pours`.
    pub(super) swallowed: Arc<AtomicU64>,
}

impl Servers {
    /// Greets with `name` on these TCP and UDP ports of every address of the machine, and then sends back what comes.
    pub(super) fn open(machine: &Machine, name: &str, tcp: &[u16], udp: &[u16]) -> Servers {
        let stop = Arc::new(AtomicBool::new(false));
        let swallowed = Arc::new(AtomicU64::new(0));
        let mut threads = Vec::new();
        for port in tcp {
            let listener = machine.run(|| TcpListener::bind(("::", *port)).unwrap());
            listener.set_nonblocking(true).unwrap();
            let (stop, name, swallowed) = (stop.clone(), name.to_owned(), swallowed.clone());
            threads.push(std::thread::spawn(move || greet(&listener, &name, &stop, &swallowed)));
        }
        // An answer must come from the address that was asked, so each has its own.
        for (address, port) in ADDRESSES.iter().flat_map(|a| udp.iter().map(move |port| (*a, *port))) {
            let Ok(socket) = machine.run(|| UdpSocket::bind((address, port))) else { continue };
            socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
            let (stop, name) = (stop.clone(), name.to_owned());
            threads.push(std::thread::spawn(move || {
                let mut bytes = [0; 2_048];
                while !stop.load(Ordering::Relaxed) {
                    if let Ok((_, from)) = socket.recv_from(&mut bytes) {
                        let _ = socket.send_to(name.as_bytes(), from);
                    }
                }
            }));
        }
        Servers { stop, threads, swallowed }
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn greet(listener: &TcpListener, name: &str, stop: &AtomicBool, swallowed: &Arc<AtomicU64>) {
    let mut open: Vec<TcpStream> = Vec::new();
    let mut bytes = vec![0; 64 << 10];
    while !stop.load(Ordering::Relaxed) {
        if let Ok((mut stream, _)) = listener.accept() {
            let _ = stream.write_all(name.as_bytes());
            stream.set_nonblocking(true).unwrap();
            open.push(stream);
        }
        let mut idle = true;
        open.retain_mut(|stream| match stream.read(&mut bytes) {
            Ok(0) => false,
            Ok(count) => {
                idle = false;
                swallowed.fetch_add(count as u64, Ordering::Relaxed);
                // Only small talk is sent back.
                count > 64 || stream.write_all(&bytes[..count]).is_ok()
            }
            Err(error) => error.kind() == ErrorKind::WouldBlock,
        });
        if idle {
            std::thread::park_timeout(Duration::from_millis(2));
        }
    }
}

/// A connection from this machine, and what is heard first.
pub(super) fn tcp(from: &Machine, to: IpAddr, port: u16) -> End {
    from.run(|| {
        let since = Instant::now();
        match TcpStream::connect_timeout(&SocketAddr::new(to, port), PATIENCE) {
            Ok(mut stream) => hello(&mut stream),
            // That nobody answers who has the address is silence, too.
            Err(error) if !matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset) => {
                End::Silence
            }
            Err(error) => {
                assert!(since.elapsed() < AT_ONCE, "{to}:{port} refused after {:?}: {error}", since.elapsed());
                End::Refused
            }
        }
    })
}

fn hello(stream: &mut TcpStream) -> End {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut bytes = [0; 64];
    match stream.read(&mut bytes) {
        Ok(count) => End::Reached(String::from_utf8_lossy(&bytes[..count]).into_owned()),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => End::Silence,
        Err(_) => End::Refused,
    }
}

/// A connection that stays.
pub(super) fn connected(from: &Machine, to: IpAddr, port: u16) -> TcpStream {
    from.run(|| {
        let mut stream = TcpStream::connect_timeout(&SocketAddr::new(to, port), PATIENCE).unwrap();
        assert!(matches!(hello(&mut stream), End::Reached(_)));
        stream
    })
}

/// Whether what is said on a connection comes back.
pub(super) fn echoes(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut back = [0; 4];
    stream.write_all(b"ping").is_ok() && stream.read_exact(&mut back).is_ok() && &back == b"ping"
}

/// A datagram from this machine.
pub(super) fn udp(from: &Machine, to: IpAddr, port: u16) -> End {
    from.run(|| {
        let any: IpAddr = if to.is_ipv4() { [0; 4].into() } else { [0_u16; 8].into() };
        let socket = UdpSocket::bind((any, 0)).unwrap();
        socket.connect((to, port)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        if socket.send(b"hello").is_err() {
            return End::Silence;
        }
        let mut bytes = [0; 64];
        match socket.recv(&mut bytes) {
            Ok(count) => End::Reached(String::from_utf8_lossy(&bytes[..count]).into_owned()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => End::Silence,
            Err(_) => End::Refused,
        }
    })
}

/// An echo request of version 4.
pub(super) fn ping(from: &Machine, to: IpAddr) -> End {
    from.run(|| {
        let icmp = rustix::net::ipproto::ICMP;
        let socket = rustix::net::socket(AddressFamily::INET, SocketType::RAW, Some(icmp)).unwrap();
        let wait = rustix::net::sockopt::Timeout::Recv;
        rustix::net::sockopt::set_socket_timeout(&socket, wait, Some(Duration::from_millis(100))).unwrap();
        // Echo request 1 of 0x5447; the sum makes all words together 0xffff.
        let sum = !(0x0800_u16 + 0x5447 + 1);
        let [high, low] = sum.to_be_bytes();
        let request = [8, 0, high, low, 0x54, 0x47, 0, 1];
        let sent = rustix::net::sendto(&socket, &request, SendFlags::empty(), &SocketAddr::new(to, 0));
        sent.unwrap();
        let since = Instant::now();
        let mut bytes = [0; 256];
        while since.elapsed() < PATIENCE {
            let Ok((_, count)) = rustix::net::recv(&socket, bytes.as_mut_slice(), RecvFlags::empty()) else { continue };
            match bytes[..count].get(20) {
                Some(0) => return End::Reached("echo".to_owned()),
                Some(3) => return End::Refused,
                Some(_) | None => {}
            }
        }
        End::Silence
    })
}

/// Asks a resolver for the address of a name, by version 4; whether it knew one.
pub(super) fn looks_up(from: &Machine, resolver: IpAddr, name: &str) -> bool {
    let mut query = vec![0x54, 0x47, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        query.push(u8::try_from(label.len()).unwrap());
        query.extend(label.as_bytes());
    }
    query.extend([0, 0, 1, 0, 1]);
    from.run(|| {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.connect((resolver, 53)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.send(&query).unwrap();
        let mut answer = [0; 512];
        // No error, and one answer.
        socket.recv(&mut answer).is_ok_and(|count| count > query.len() && answer[3] & 15 == 0 && answer[7] == 1)
    })
}

/// The world's resolver, at this address: names that begin with `pay` are the platform's, all others a bank's.
pub(super) fn resolver(world: &Machine, at: &str) -> Servers {
    let stop = Arc::new(AtomicBool::new(false));
    let socket = world.run(|| UdpSocket::bind((at, 53)).unwrap());
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let stopped = stop.clone();
    let thread = std::thread::spawn(move || {
        let mut bytes = [0; 512];
        while !stopped.load(Ordering::Relaxed) {
            let Ok((count, from)) = socket.recv_from(&mut bytes) else { continue };
            let host = if &bytes[13..16] == b"pay" { 10 } else { 20 };
            // The question again, without what follows it, and an answer that points to its name.
            let end = 12 + bytes[12..count].iter().position(|byte| *byte == 0).unwrap() + 5;
            let mut answer = bytes[..end].to_vec();
            answer[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
            answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 14, 16, 0, 4, 198, 51, 100, host]);
            let _ = socket.send_to(&answer, from);
        }
    });
    Servers { stop, threads: vec![thread], swallowed: Arc::default() }
}
