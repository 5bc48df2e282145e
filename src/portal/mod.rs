//! The phones: a captive portal that shows each visit its present screen and turns taps into events. Decides nothing.

mod amounts;
mod assets;
mod board;
mod capport;
mod door;
#[cfg(feature = "fuzzing")]
pub mod fuzz;
mod language;
mod live;
mod loads;
mod page;
mod posts;
mod returns;
mod screens;
mod server;
mod site;
mod tls;
mod tokens;

pub use board::Board;
pub use language::Language;

use crate::inbox::Inbox;
use crate::passed::{HTTP, HTTPS, Passed};
use crate::shop::event::TillNumber;
use site::Site;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

/// Connections that may wait to be accepted. Beyond, the system leaves a phone to try again after a second.
const BACKLOG: u32 = 1_024;
/// What the system keeps for a connection of what the phone has not read; twice that with its own needs.
const SEND_BYTES_MAX: u32 = 32 << 10;
/// The same of what we have not read.
const RECEIVE_BYTES_MAX: u32 = 16 << 10;

/// What the portal is told about the shop. Everything but addresses, name and tills has a default.
#[derive(Clone, Debug)]
pub struct PortalSettings {
    /// Where to listen; port 0 takes any free one.
    pub listen: Vec<SocketAddr>,
    /// Where to listen with TLS, if there is a certificate. Who comes without TLS is sent there then.
    pub secure: Option<SecureSettings>,
    /// The address phones know us by, such as `http://10.77.0.1`, without a path; with `secure` it begins with `https`.
    /// `None`: the first bound address.
    pub public_base: Option<String>,
    /// The shop's name as customers know it.
    pub shop_name: String,
    /// The shop's own terms of use, paragraphs parted by empty lines. `None`: ours, in the customer's language.
    pub terms: Option<String>,
    /// Each till's number and what it is called beside its number (may be empty).
    pub tills: BTreeMap<TillNumber, String>,
    /// For phones that want none of our languages.
    pub default_language: Language,
    /// IANA name of the zone that receipts give times in. `None`: the machine's.
    pub time_zone: Option<String>,
    /// How much is taken at once.
    pub limits: Limits,
    /// Where the network tells which phone is behind an address.
    pub mac_of: Option<MacOf>,
    /// Whether nobody can pay at present.
    pub closed: Option<ClosedNow>,
    /// Set by [`PortalSettings::framed_by`] only.
    allow_framing: Option<String>,
}

/// The portal with TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecureSettings {
    /// Where to listen; port 0 takes any free one.
    pub listen: Vec<SocketAddr>,
    /// PEM: the certificate, then those up to an authority that phones know.
    pub certificate: PathBuf,
    /// PEM: its private key.
    pub key: PathBuf,
}

/// Tells the hardware address behind an address of the guests' network, as far as it is known. Must not wait.
#[derive(Clone)]
pub struct MacOf(Arc<dyn Fn(IpAddr) -> Option<[u8; 6]> + Send + Sync>);

impl MacOf {
    /// One that asks `ask`.
    pub fn new(ask: impl Fn(IpAddr) -> Option<[u8; 6]> + Send + Sync + 'static) -> MacOf {
        MacOf(Arc::new(ask))
    }
}

impl fmt::Debug for MacOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacOf(..)")
    }
}

/// Tells whether nobody can pay at present, so that phones say so. Must not wait.
#[derive(Clone)]
pub struct ClosedNow(Arc<dyn Fn() -> bool + Send + Sync>);

impl ClosedNow {
    /// One that asks `ask`.
    pub fn new(ask: impl Fn() -> bool + Send + Sync + 'static) -> ClosedNow {
        ClosedNow(Arc::new(ask))
    }
}

impl fmt::Debug for ClosedNow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClosedNow(..)")
    }
}

/// How much the portal takes at once, and for how long it waits.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections. A further one takes the place of one that never asked, else of one of the address with most of them:
    /// one that is answered before one that is being answered, and the oldest of those.
    pub connections_max: usize,
    /// Connections of one address; further ones are closed at once.
    pub connections_per_address_max: usize,
    /// Requests that an address may send at once, and then each second. Further ones are answered a second later, with
    /// 429 and a page that tries again. Requests from this machine itself are not counted.
    pub requests_burst: u32,
    /// See `requests_burst`.
    pub requests_a_second: u32,
    /// Taps of one visit that may wait for the shop; a further one is told to come back (503).
    pub taps_waiting_max: usize,
    /// Visits opened from one address; further ones find the portal full.
    pub visits_per_address_max: usize,
    /// Live streams; further pages look again every few seconds.
    pub live_max: usize,
    /// How long a request's head, its body, and the pause between two requests may each take.
    pub read_timeout: Duration,
}

impl Limits {
    /// The same with no more connections than this; of those, a quarter is never taken by live streams.
    #[must_use]
    pub fn with_connections(mut self, max: usize) -> Limits {
        self.connections_max = self.connections_max.min(max);
        self.live_max = self.live_max.min(self.connections_max.saturating_sub(self.connections_max.div_ceil(4)));
        self
    }

    /// The same where so many phones come by one address.
    #[must_use]
    pub fn for_phones(mut self, per_address: u32) -> Limits {
        let times = usize::try_from(per_address).unwrap_or(usize::MAX);
        self.connections_per_address_max = self.connections_per_address_max.saturating_mul(times);
        self.visits_per_address_max = self.visits_per_address_max.saturating_mul(times);
        self.requests_burst = self.requests_burst.saturating_mul(per_address);
        self.requests_a_second = self.requests_a_second.saturating_mul(per_address);
        self
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections_max: 2_048,
            connections_per_address_max: 32,
            requests_burst: 200,
            requests_a_second: 50,
            taps_waiting_max: 4,
            visits_per_address_max: 32,
            live_max: 1_536,
            read_timeout: Duration::from_secs(10),
        }
    }
}

impl PortalSettings {
    /// Settings with every default.
    pub fn new(listen: Vec<SocketAddr>, shop_name: String, tills: BTreeMap<TillNumber, String>) -> PortalSettings {
        PortalSettings {
            listen,
            secure: None,
            public_base: None,
            shop_name,
            terms: None,
            tills,
            default_language: Language::En,
            time_zone: None,
            limits: Limits::default(),
            mac_of: None,
            closed: None,
            allow_framing: None,
        }
    }

    /// The same, with pages that may stand in a frame of this origin. For the demonstration only: a shop's portal
    /// stands in no frame.
    #[must_use]
    pub fn framed_by(mut self, origin: &str) -> PortalSettings {
        self.allow_framing = Some(origin.to_owned());
        self
    }
}

/// Why the portal cannot start. Each is the configuration's to mend.
#[derive(Debug)]
pub enum StartError {
    /// The address cannot be had.
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The public address or the framing origin is not an address such as `http://10.77.0.1`.
    Address {
        /// What it is instead.
        text: String,
    },
    /// There is no such time zone on this machine.
    TimeZone {
        /// Its name.
        name: String,
        /// Why not.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The certificate or its key cannot be used.
    Certificate {
        /// Which file.
        file: PathBuf,
        /// Why not.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The operating system gives no random numbers.
    NoRandomness,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Listen { address, source } if source.kind() == io::ErrorKind::PermissionDenied => write!(
                f,
                "cannot listen on {address}: {source}; the service manager opens this port: \
                 run `systemctl daemon-reload && systemctl restart tillgate-http.socket tillgate.service`, or choose a port above 1023"
            ),
            StartError::Listen { address, source } => {
                write!(f, "cannot listen on {address}: {source}; choose a free address of this machine")
            }
            StartError::Address { text } => {
                write!(f, "{text:?} is not an address such as http://10.77.0.1, without a path")
            }
            StartError::TimeZone { name, source } => {
                write!(f, "no time zone {name:?}: {source}; use a name such as Europe/Berlin")
            }
            StartError::Certificate { file, source } => {
                write!(
                    f,
                    "{} cannot be used: {source}; put a certificate and its own key there, in PEM",
                    file.display()
                )
            }
            StartError::NoRandomness => f.write_str("the operating system gives no random numbers"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            StartError::Listen { source, .. } => Some(source),
            StartError::TimeZone { source, .. } | StartError::Certificate { source, .. } => Some(source.as_ref()),
            StartError::Address { .. } | StartError::NoRandomness => None,
        }
    }
}

/// A portal that does not answer yet.
#[derive(Debug)]
pub struct ClosedPortal {
    addresses: Vec<SocketAddr>,
    listeners: Vec<TcpListener>,
    secure: Option<SecureListeners>,
    site: Arc<Site>,
}

/// Listeners and what TLS needs on them.
struct SecureListeners {
    listeners: Vec<TcpListener>,
    acceptor: TlsAcceptor,
    certificate: Arc<tls::Certificate>,
}

impl fmt::Debug for SecureListeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecureListeners").field("listeners", &self.listeners).finish_non_exhaustive()
    }
}

impl ClosedPortal {
    /// Where the gateway leaves the screens.
    pub fn board(&self) -> &Board {
        &self.site.board
    }

    /// Begins to answer on the runtime of `handle`.
    pub fn open(self, handle: &Handle) -> Portal {
        let ClosedPortal { addresses, listeners, secure, site } = self;
        let board = site.board.clone();
        let (stop, stopped) = watch::channel(false);
        let door = Arc::new(door::Door::default());
        let sockets = server::sockets(&site.limits);
        let accept = |listener, tls| {
            let accepting = server::accept(listener, tls, site.clone(), door.clone(), sockets.clone(), stopped.clone());
            handle.spawn(accepting);
        };
        for listener in listeners {
            accept(listener, None);
        }
        let certificate = secure.map(|SecureListeners { listeners, acceptor, certificate }| {
            for listener in listeners {
                accept(listener, Some(acceptor.clone()));
            }
            certificate
        });
        Portal { addresses, board, stop, certificate }
    }
}

/// The running portal.
#[derive(Debug)]
pub struct Portal {
    addresses: Vec<SocketAddr>,
    board: Board,
    stop: watch::Sender<bool>,
    certificate: Option<Arc<tls::Certificate>>,
}

/// A certificate that was read and is not yet in use.
pub struct NextCertificate(rustls::sign::CertifiedKey);

impl Portal {
    /// Binds the addresses and begins to answer on the runtime of `handle`. May be called from any thread.
    pub fn start(handle: &Handle, settings: PortalSettings, inbox: Inbox) -> Result<Portal, StartError> {
        Portal::bind(handle, settings, &mut Passed::default(), inbox).map(|closed| closed.open(handle))
    }

    /// Takes the addresses' listeners from those passed on, and binds the others. Phones that come wait until it is
    /// opened: before the visits from disk are on the board, each would be told that its visit has ended.
    pub fn bind(
        handle: &Handle,
        settings: PortalSettings,
        passed: &mut Passed,
        inbox: Inbox,
    ) -> Result<ClosedPortal, StartError> {
        let _context = handle.enter();
        let listeners = listeners(HTTP, &settings.listen, passed)?;
        let secure = settings.secure.as_ref().map(|settings| bind_secure(settings, passed)).transpose()?;
        let all = listeners.iter().chain(secure.iter().flat_map(|secure| &secure.listeners));
        let addresses: Vec<_> = all.filter_map(|listener| listener.local_addr().ok()).collect();
        let base = match (&settings.public_base, addresses.first()) {
            (Some(base), _) => checked_base(base, secure.is_some())?,
            (None, Some(_)) if secure.is_some() => return Err(StartError::Address { text: String::new() }),
            (None, Some(address)) => format!("http://{address}"),
            (None, None) => return Err(StartError::Address { text: String::new() }),
        };
        let site = Arc::new(Site::new(settings, base, inbox)?);
        Ok(ClosedPortal { addresses, listeners, secure, site })
    }

    /// Reads a certificate and its key, for [`Portal::take_certificate`].
    pub fn read_certificate(files: &SecureSettings) -> Result<NextCertificate, StartError> {
        tls::read(files).map(NextCertificate)
    }

    /// Connections from now on get this certificate; those under way end as they began. Without TLS nothing happens.
    pub fn take_certificate(&self, next: NextCertificate) {
        if let Some(certificate) = &self.certificate {
            certificate.replace(next.0);
        }
    }

    /// The addresses that are listened on, in the order of the settings; those with TLS last.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Where the gateway leaves the screens.
    pub fn board(&self) -> &Board {
        &self.board
    }

    /// Takes no more connections, lets those under way finish their answer (1 s at most), and returns when all is shut.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        self.stop.closed().await;
    }
}

fn listeners(name: &str, at: &[SocketAddr], passed: &mut Passed) -> Result<Vec<TcpListener>, StartError> {
    let listener = |address: &SocketAddr| match passed.take(name, *address) {
        Some(listener) => fit(listener).map_err(|source| StartError::Listen { address: *address, source }),
        None => bind(*address),
    };
    at.iter().map(listener).collect()
}

/// One that somebody else opened, with the bounds that ours have.
fn fit(listener: std::net::TcpListener) -> io::Result<TcpListener> {
    use rustix::net::{listen, sockopt};
    sockopt::set_socket_send_buffer_size(&listener, SEND_BYTES_MAX as usize)?;
    sockopt::set_socket_recv_buffer_size(&listener, RECEIVE_BYTES_MAX as usize)?;
    listen(&listener, BACKLOG as i32)?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    let socket = || if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let bound = socket().and_then(|socket| {
        socket.set_reuseaddr(true)?;
        // What a phone does not read or we do not want to know stays with the phone; connections have it from here.
        socket.set_send_buffer_size(SEND_BYTES_MAX)?;
        socket.set_recv_buffer_size(RECEIVE_BYTES_MAX)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    });
    bound.map_err(|source| StartError::Listen { address, source })
}

fn bind_secure(settings: &SecureSettings, passed: &mut Passed) -> Result<SecureListeners, StartError> {
    let certificate = Arc::new(tls::Certificate::new(tls::read(settings)?));
    let refused = |e: rustls::Error| StartError::Certificate { file: settings.certificate.clone(), source: e.into() };
    let acceptor = tls::acceptor(certificate.clone()).map_err(refused)?;
    let listeners = listeners(HTTPS, &settings.listen, passed)?;
    Ok(SecureListeners { listeners, acceptor, certificate })
}

/// A public address without a slash at the end. Where there is TLS, phones come with it.
fn checked_base(text: &str, secure: bool) -> Result<String, StartError> {
    let base = text.trim_end_matches('/');
    let plain = base.strip_prefix("http://").filter(|_| !secure);
    let authority = plain.or_else(|| base.strip_prefix("https://"));
    let sound = |a: &str| !a.is_empty() && a.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b));
    if authority.is_some_and(sound) { Ok(base.to_owned()) } else { Err(StartError::Address { text: text.to_owned() }) }
}
