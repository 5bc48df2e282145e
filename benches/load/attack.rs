//! What ill-meaning phones do to the portal, each way for itself, at a pace that the machine sustains. Judges nothing.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

/// Connections that one attack tries to hold.
const CONNECTIONS: u32 = 10_000;
/// New connections a second, those opened again included.
const CONNECTS_A_SECOND: usize = 2_000;
/// Requests a second of a flood.
const REQUESTS_A_SECOND: usize = 1_000;
/// Connections that a flood uses.
const FLOOD_CONNECTIONS: u32 = 16;
/// Between two bytes of those who take their time.
const DRIP: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(10);

/// A way to attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attack {
    IdleFromOne,
    IdleFromMany,
    IdleFromEverywhere,
    HalfLine,
    HeadDrip,
    BodyDrip,
    PageFlood,
    PageCrowd,
    LogInFlood,
    Guesses,
    DoubleTaps,
    Oversized,
    Streams,
    SlowReaders,
    HalfClosed,
    Resets,
    Junk,
    WildTills,
}

impl Attack {
    pub(crate) const ALL: [Attack; 18] = [
        Attack::IdleFromOne,
        Attack::IdleFromMany,
        Attack::IdleFromEverywhere,
        Attack::HalfLine,
        Attack::HeadDrip,
        Attack::BodyDrip,
        Attack::PageFlood,
        Attack::PageCrowd,
        Attack::LogInFlood,
        Attack::Guesses,
        Attack::DoubleTaps,
        Attack::Oversized,
        Attack::Streams,
        Attack::SlowReaders,
        Attack::HalfClosed,
        Attack::Resets,
        Attack::Junk,
        Attack::WildTills,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Attack::IdleFromOne => "10,000 idle connections, 1 phone",
            Attack::IdleFromMany => "10,000 idle connections, 500 phones",
            Attack::IdleFromEverywhere => "10,000 idle connections, 10,000 phones",
            Attack::HalfLine => "half a request line, 2,000 connections",
            Attack::HeadDrip => "a byte of head a second, 2,000 connections",
            Attack::BodyDrip => "a byte of body a second, 2,000 connections",
            Attack::PageFlood => "1,000 pages a second, 1 phone",
            Attack::PageCrowd => "10 pages a second each, 100 phones",
            Attack::LogInFlood => "1,000 log-ins a second, 1 phone",
            Attack::Guesses => "1,000 till numbers a second, 1 phone",
            Attack::DoubleTaps => "1,000 confirmations a second, 1 phone",
            Attack::Oversized => "bodies, heads, cookies, URLs of 64 KiB",
            Attack::Streams => "100 live streams, again and again, 1 phone",
            Attack::SlowReaders => "a byte of answer a second, 500 phones",
            Attack::HalfClosed => "half-closed, never read, 2,000 connections",
            Attack::Resets => "1,000 resets a second",
            Attack::Junk => "junk on 64 till lines at 115,200 baud",
            Attack::WildTills => "a till floods requests, another never reads",
        }
    }
}

/// What attackers know of the shop: one visit of their own, and where it is.
#[derive(Clone, Debug)]
pub(crate) struct Prey {
    pub(crate) portal: SocketAddr,
    /// The attacker's own visit, its form token, and the form token of the start page.
    pub(crate) path: String,
    pub(crate) form: String,
    pub(crate) start_form: String,
}

/// Where the attacker's own visit is from.
pub(crate) const ATTACKER: Ipv4Addr = Ipv4Addr::new(127, 66, 0, 1);

/// Permits that come at an even pace.
#[derive(Clone)]
struct Pace(Arc<Semaphore>);

impl Pace {
    fn new(a_second: usize, tasks: &mut JoinSet<()>) -> Pace {
        let permits = Arc::new(Semaphore::new(0));
        let more = permits.clone();
        tasks.spawn(async move {
            let mut tick = interval(TICK);
            tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
            loop {
                tick.tick().await;
                let at_once = a_second / 100;
                more.add_permits(at_once.saturating_sub(more.available_permits()));
            }
        });
        Pace(permits)
    }

    async fn next(&self) {
        self.0.acquire().await.unwrap().forget();
    }
}

/// Attacks until dropped; counts what it did (connections or requests) in `done`.
pub(crate) async fn attack(attack: Attack, prey: Prey, done: Arc<AtomicU64>) {
    let mut tasks = JoinSet::new();
    let connects = Pace::new(CONNECTS_A_SECOND, &mut tasks);
    let requests = Pace::new(REQUESTS_A_SECOND, &mut tasks);
    let attacker = Attacker { prey, connects, requests, done };
    let host = format!("Host: {}\r\n", attacker.prey.portal);
    let Prey { path, form, start_form, .. } = attacker.prey.clone();
    let post = |to: &str, body: &str| post(&host, to, body);
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\n{host}\r\n");
    match attack {
        Attack::IdleFromOne => attacker.hold(&mut tasks, CONNECTIONS, 1, ""),
        Attack::IdleFromMany => attacker.hold(&mut tasks, CONNECTIONS, 500, ""),
        Attack::IdleFromEverywhere => attacker.hold(&mut tasks, CONNECTIONS, CONNECTIONS, ""),
        Attack::HalfLine => attacker.hold(&mut tasks, 2_000, 100, "GET /s/0123456789"),
        Attack::HeadDrip => attacker.drip(&mut tasks, 2_000, 200, "GET / HTTP/1.1\r\nX-A: "),
        Attack::BodyDrip => {
            let whole = post("/login", &"x".repeat(1_000));
            attacker.drip(&mut tasks, 2_000, 400, whole.trim_end_matches('x'));
        }
        Attack::PageFlood => attacker.flood(&mut tasks, &[get(&path)]),
        Attack::PageCrowd => {
            for n in 0..100 {
                attacker.flood_from(&mut tasks, n, address(n), &[get("/")]);
            }
        }
        Attack::LogInFlood => attacker.flood(&mut tasks, &[post("/login", &format!("form={start_form}"))]),
        Attack::Guesses => {
            let guesses: Vec<_> =
                (1_000..1_100).map(|till| post(&format!("{path}till"), &format!("form={form}&till={till}"))).collect();
            attacker.flood(&mut tasks, &guesses);
        }
        Attack::DoubleTaps => {
            let body = format!("form={form}&sale={}&minor=1250&currency=EUR", "5".repeat(32));
            attacker.flood(&mut tasks, &[post(&format!("{path}confirm"), &body)]);
        }
        Attack::Oversized => {
            let long = "x".repeat(64 << 10);
            attacker.flood(
                &mut tasks,
                &[
                    post(&format!("{path}till"), &long),
                    format!("GET / HTTP/1.1\r\n{host}X-Long: {long}\r\n\r\n"),
                    format!("GET / HTTP/1.1\r\n{host}Cookie: tillgate={long}\r\n\r\n"),
                    get(&format!("/{long}")),
                    format!("GET / HTTP/1.1\r\n{host}{}\r\n", "A: b\r\n".repeat(1_000)),
                ],
            );
        }
        Attack::Streams => attacker.hold(&mut tasks, 100, 1, &get(&format!("{path}live?v=0"))),
        Attack::SlowReaders => attacker.read_slowly(&mut tasks, 500, &get("/").repeat(64)),
        Attack::HalfClosed => attacker.half_close(&mut tasks, 2_000, 100, &get("/")),
        Attack::Resets => attacker.reset(&mut tasks, &get("/")),
        Attack::Junk | Attack::WildTills => {}
    }
    while tasks.join_next().await.is_some() {}
}

fn post(host: &str, to: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {to} HTTP/1.1\r\n{host}Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

#[derive(Clone)]
struct Attacker {
    prey: Prey,
    connects: Pace,
    requests: Pace,
    done: Arc<AtomicU64>,
}

impl Attacker {
    fn count(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
    }

    async fn open(&self, from: Ipv4Addr, receive_bytes: Option<u32>) -> io::Result<TcpStream> {
        self.connects.next().await;
        let socket = TcpSocket::new_v4()?;
        if let Some(bytes) = receive_bytes {
            socket.set_recv_buffer_size(bytes)?;
        }
        socket.bind(SocketAddr::from((from, 0)))?;
        socket.connect(self.prey.portal).await
    }

    /// Connections that say this much and then nothing, opened again whenever they are closed.
    fn hold(&self, tasks: &mut JoinSet<()>, connections: u32, addresses: u32, say: &str) {
        let say: Arc<str> = say.into();
        for n in 0..connections {
            let (attacker, say) = (self.clone(), say.clone());
            tasks.spawn(async move {
                loop {
                    let Ok(mut stream) = attacker.open(address(n % addresses), None).await else { continue };
                    attacker.count();
                    let _ = stream.write_all(say.as_bytes()).await;
                    let mut bytes = [0; 512];
                    while stream.read(&mut bytes).await.is_ok_and(|count| count > 0) {}
                }
            });
        }
    }

    /// Requests that begin like this, go on a byte at a time and never end.
    fn drip(&self, tasks: &mut JoinSet<()>, connections: u32, addresses: u32, begin: &str) {
        let begin: Arc<str> = begin.into();
        for n in 0..connections {
            let (attacker, begin) = (self.clone(), begin.clone());
            tasks.spawn(async move {
                loop {
                    let Ok(mut stream) = attacker.open(address(n % addresses), None).await else { continue };
                    attacker.count();
                    let begun = stream.write_all(begin.as_bytes()).await;
                    let mut open = begun.is_ok();
                    while open {
                        sleep(DRIP).await;
                        open = stream.write_all(b"a").await.is_ok();
                    }
                }
            });
        }
    }

    /// These requests in turn, over a few connections, as many a second as the pace allows; answers are thrown away.
    fn flood(&self, tasks: &mut JoinSet<()>, requests: &[String]) {
        for n in 0..FLOOD_CONNECTIONS {
            self.flood_from(tasks, n, ATTACKER, requests);
        }
    }

    /// The same over one connection from this address, beginning with the n-th.
    fn flood_from(&self, tasks: &mut JoinSet<()>, n: u32, from: Ipv4Addr, requests: &[String]) {
        let (attacker, requests) = (self.clone(), requests.to_vec());
        tasks.spawn(async move {
            let mut at = n as usize;
            loop {
                let Ok(mut stream) = attacker.open(from, None).await else { continue };
                let (mut reading, mut writing) = stream.split();
                let write = async {
                    loop {
                        attacker.requests.next().await;
                        at += 1;
                        attacker.count();
                        if writing.write_all(requests[at % requests.len()].as_bytes()).await.is_err() {
                            break;
                        }
                    }
                };
                let read = async {
                    let mut bytes = [0; 16 << 10];
                    while reading.read(&mut bytes).await.is_ok_and(|count| count > 0) {}
                };
                tokio::select! {
                    () = write => {}
                    () = read => {}
                }
            }
        });
    }

    fn read_slowly(&self, tasks: &mut JoinSet<()>, connections: u32, requests: &str) {
        let requests: Arc<str> = requests.into();
        for n in 0..connections {
            let (attacker, requests) = (self.clone(), requests.clone());
            tasks.spawn(async move {
                loop {
                    let Ok(mut stream) = attacker.open(address(n), Some(2_048)).await else { continue };
                    attacker.count();
                    let (mut reading, mut writing) = stream.split();
                    let write = async {
                        let _ = writing.write_all(requests.as_bytes()).await;
                        std::future::pending::<()>().await;
                    };
                    let read = async {
                        while reading.read_u8().await.is_ok() {
                            sleep(DRIP).await;
                        }
                    };
                    tokio::select! {
                        () = write => {}
                        () = read => {}
                    }
                }
            });
        }
    }

    fn half_close(&self, tasks: &mut JoinSet<()>, connections: u32, addresses: u32, request: &str) {
        let request: Arc<str> = request.into();
        for n in 0..connections {
            let (attacker, request) = (self.clone(), request.clone());
            tasks.spawn(async move {
                loop {
                    let Ok(mut stream) = attacker.open(address(n % addresses), Some(2_048)).await else { continue };
                    attacker.count();
                    let _ = stream.write_all(request.as_bytes()).await;
                    let _ = stream.shutdown().await;
                    sleep(DRIP * 5).await;
                }
            });
        }
    }

    fn reset(&self, tasks: &mut JoinSet<()>, request: &str) {
        for n in 0..FLOOD_CONNECTIONS {
            let (attacker, request) = (self.clone(), request.to_owned());
            tasks.spawn(async move {
                loop {
                    attacker.requests.next().await;
                    let Ok(mut stream) = attacker.open(address(n), None).await else { continue };
                    attacker.count();
                    let _ = stream.write_all(request.as_bytes()).await;
                    let _ = rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO));
                }
            });
        }
    }
}

/// An attacking phone's own address.
fn address(phone: u32) -> Ipv4Addr {
    let [_, _, high, low] = phone.to_be_bytes();
    Ipv4Addr::new(127, 67, high, low)
}
