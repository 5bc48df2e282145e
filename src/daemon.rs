//! The daemon put together from its parts, its signals and its end. Decides nothing about money.

mod closed;
mod lasting;

use crate::clock::Clock;
use crate::config::{self, Config, Trust};
use crate::control::{self, Control, Request, Response};
use crate::gateway::{Gateway, Ins, LOOKS_MAX, Look, Outs};
use crate::inbox::Inbox;
use crate::network::announce::{Announcer, Offer};
use crate::network::{Conversation, Neighbours, Reaches};
use crate::passed::Passed;
use crate::platform::counter::{Counter, CounterSettings};
use crate::platform::life::Nearness;
use crate::platform::renewal::{Own, Renewal};
use crate::platform::{Desk, Platform};
use crate::portal::{self, ClosedNow, Language, MacOf, Portal, PortalSettings, SecureSettings};
use crate::ring::Stopped;
use crate::shop::event::{Event, PlatformEvent};
use crate::shop::{LineState, Shop};
use crate::sockets;
use crate::store;
use crate::till::{self, Protocol, ReceiptFacts, TillSettings, Tills};
use closed::Closed;
use lasting::{Care, Found, Keeper};
use rustix::process::{Resource, getrlimit, setrlimit};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use std::{fmt, io};
use tokio::runtime::{Handle, Runtime};
use tokio::sync::{mpsc, oneshot, watch};

/// Threads of the runtime that portal, platform and control share.
const WORKERS: usize = 2;

/// Files that the daemon opens at most, if it may: the portal's connections and what is kept for all else.
const FILES_MAX: u64 = 8_192;
/// Files for books, platform and control socket. Each line has up to three of its own besides.
const FILES_KEPT: u64 = 192;
/// Connections of the portal, however few files there may be.
const CONNECTIONS_MIN: u64 = 64;
/// What the name of a backup on its way ends with, before its number.
const BACKUP: &str = "backup-";
/// What brings the units in line with the configuration.
const AGAIN: &str = "systemctl daemon-reload, then restart its sockets and tillgate.service";
static BACKUPS: AtomicU64 = AtomicU64::new(0);

/// Why the daemon cannot start, or why it ended by itself. The text says what failed; `source` says why.
#[derive(Debug)]
pub struct DaemonError {
    what: &'static str,
    cause: Box<dyn std::error::Error + Send + Sync>,
}

impl DaemonError {
    fn new(what: &'static str) -> impl FnOnce(Box<dyn std::error::Error + Send + Sync>) -> DaemonError {
        move |cause| DaemonError { what, cause }
    }
}

impl fmt::Display for DaemonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)
    }
}

impl std::error::Error for DaemonError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(self.cause.as_ref())
    }
}

/// A running daemon. [`Daemon::stop`] ends it in order; what is on disk is right however it ends.
#[derive(Debug)]
pub struct Daemon {
    gateway: JoinHandle<Result<(), Stopped>>,
    stop: watch::Sender<bool>,
    portal: Portal,
    announcer: Option<Announcer>,
    _control: Option<Control>,
    _reaches: Option<Conversation>,
    _keeper: Option<Keeper>,
    counter: Arc<Counter>,
    inbox: Inbox,
    renewal: Arc<Renewal>,
    platform: String,
    runtime: Arc<Runtime>,
}

/// A runtime as the daemon wants it: it shares a small machine.
pub fn runtime() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .max_blocking_threads(4)
        .thread_name("tillgate-io")
        .enable_all()
        .build()
}

impl Daemon {
    /// Starts everything. `framed_by`: an origin whose pages may show the portal in a frame; for the demonstration only.
    /// `passed`: the portal's listeners that are open already.
    pub fn start(
        config: &Config,
        runtime: Arc<Runtime>,
        framed_by: Option<&str>,
        passed: Passed,
    ) -> Result<Daemon, DaemonError> {
        let fail = DaemonError::new;
        let handle = runtime.handle();
        let found = lasting::open(&config.store)?;
        clear_backups(&config.store);
        let clock = Clock::new(found.last_wall()).map_err(|e| fail("the machine's boot has no id")(e.into()))?;
        let zone = time_zone(config).unwrap_or(jiff::tz::TimeZone::UTC);
        let care = Arc::new(Care::new(config, &found, clock.clone(), zone));

        let (inbox, events) = Inbox::new();
        let url = config.platform.url.clone();
        let counter = Arc::new(counter(config)?);
        let renewal = Arc::new(Renewal::start(handle, own(config), Arc::clone(&counter), clock.clone()));
        let desk = Desk::start(handle, Arc::clone(&counter), inbox.clone());
        let network = config.network.as_ref().map(|network| {
            Neighbours::follow(network).map(|neighbours| (Reaches::new(network, neighbours.clone()), neighbours))
        });
        let network = network.transpose().map_err(|e| fail("the guests' network cannot be watched")(e.into()))?;
        let (reaches, neighbours) = network.unzip();
        let mut settings = portal_settings(config, framed_by);
        settings.mac_of = neighbours.map(|neighbours| MacOf::new(move |ip| neighbours.mac_of(ip)));
        let asked = Arc::clone(&care);
        settings.closed = Some(ClosedNow::new(move || asked.is_closed()));
        let portal = bind(handle, settings, passed, &inbox)?;
        let facts = ReceiptFacts { shop_name: config.shop.name.clone(), time_zone: time_zone(config) };
        let tills = Tills::start(config.tills.iter().map(|t| till_settings(config, t)).collect(), &facts, &inbox);
        let tills = tills.map_err(|e| fail("the tills cannot be opened")(e.into()))?;

        let seen = tills.status_reader();
        let outs = Outs { tills, board: portal.board().clone(), desk, reaches: reaches.clone() };
        let keeper = match &found {
            Found::Sound(..) => Some(lasting::keep_copies(Arc::clone(&care), inbox.clone())),
            Found::Damaged(..) => None,
        };
        let keeper = keeper.transpose().map_err(|e| fail("the system gives no thread")(e.into()))?;
        let work = work(config, found, clock, outs, (&care, &inbox))?;
        let conversation = reaches.as_ref().map(|reaches| reaches.open(handle));
        let portal = portal.open(handle);
        let (stop, stopped) = watch::channel(false);
        let (look, looks) = mpsc::channel::<Look>(LOOKS_MAX);
        let ins = Ins { inbox: events, looks, stop: stopped };
        let on = handle.clone();
        let gateway = std::thread::Builder::new()
            .name("tillgate-ring".into())
            .spawn(move || work(ins, &on))
            .map_err(|e| fail("the system gives no thread")(e.into()))?;
        let renewals = Arc::clone(&renewal);
        let store = config.store.clone();
        let answers = Answers { look, seen, reaches, renewals, store, care, since: Instant::now() };
        let control = Control::start(handle, &config.control, move |request| answers.clone().answer(request));
        let control = control.map_err(|e| fail("the control socket cannot be opened")(e.into()))?;
        let announcer = announce(config);
        Ok(Daemon {
            gateway,
            stop,
            portal,
            announcer,
            _control: Some(control),
            _reaches: conversation,
            _keeper: keeper,
            counter,
            inbox,
            renewal,
            platform: url,
            runtime,
        })
    }

    /// Where the portal listens.
    pub fn portal(&self) -> &[SocketAddr] {
        self.portal.addresses()
    }

    /// Takes the pins of this configuration and reads its certificates and keys, the portal's included, for connections
    /// from now on. The platform stays the one it was: sales under way are with it. On error everything stays as it was.
    pub fn reload(&self, config: &Config) -> Result<(), DaemonError> {
        let fail = DaemonError::new;
        let next = secure_settings(config).map(|files| Portal::read_certificate(&files)).transpose();
        let next = next.map_err(|e| fail("the portal's certificate cannot be read")(e.into()))?;
        let no_channel = || fail("the channel to the platform cannot be set up");
        match &config.platform.trust {
            Trust::Named(named) => {
                let taken = self.counter.channel().reload(&named.channel_to(&self.platform));
                taken.map_err(|e| no_channel()(e.into()))?;
            }
            Trust::Enrolled(..) if config.platform.url != self.platform => {
                let why = "this box is enrolled at another address than the one in use: restart the daemon to go there";
                return Err(no_channel()(why.into()));
            }
            Trust::Enrolled(_, identity) => {
                let taken = self.counter.channel().exchange(identity.credentials());
                taken.map_err(|e| no_channel()(e.into()))?;
            }
        }
        self.renewal.turn_to(own(config));
        // Who has just mended the line to the platform should not wait until it is asked of itself.
        let (counter, inbox) = (Arc::clone(&self.counter), self.inbox.clone());
        self.runtime.spawn(async move {
            let up = counter.probe().await.is_ok();
            inbox.put(Event::Platform(PlatformEvent::Line { up })).await
        });
        if let Some(next) = next {
            self.portal.take_certificate(next);
        }
        Ok(())
    }

    /// Whether the ring has ended by itself.
    pub fn has_ended(&self) -> bool {
        self.gateway.is_finished()
    }

    /// Ends it in order: what waits in the inbox is written and sent out first.
    pub fn stop(self) -> Result<(), DaemonError> {
        if let Some(announcer) = self.announcer {
            announcer.stop();
        }
        let _ = self.stop.send(true); // The ring has ended already: its result says why.
        let ended = self.gateway.join();
        self.runtime.block_on(self.portal.stop());
        match ended {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(DaemonError::new("the daemon had to end")(error.into())),
            Err(_) => Err(DaemonError::new("the daemon had to end")("the ring's thread panicked".into())),
        }
    }
}

/// The platform's counter, which is called by nobody yet.
fn counter(config: &Config) -> Result<Counter, DaemonError> {
    let open = config.platform.channel();
    let open = open.map_err(|e| DaemonError::new("the channel to the platform cannot be set up")(e.into()))?;
    let settings = CounterSettings { shop_name: config.shop.name.clone(), portal_url: config.portal.url.clone() };
    Ok(Counter::new(open.while_dated(Clock::judges_certificates), settings))
}

fn bind(
    handle: &Handle,
    settings: PortalSettings,
    mut passed: Passed,
    inbox: &Inbox,
) -> Result<portal::ClosedPortal, DaemonError> {
    let portal = Portal::bind(handle, settings, &mut passed, inbox.clone());
    let portal = portal.map_err(|e| DaemonError::new("the portal cannot be opened")(e.into()))?;
    for address in passed.left() {
        tracing::warn!(%address, "the service manager listens where the configuration does not: {AGAIN}");
    }
    Ok(portal)
}

/// What the thread of the ring does until it is told to stop.
type Work = Box<dyn FnOnce(Ins, &Handle) -> Result<(), Stopped> + Send>;

/// The work with these books: the gateway's, or none.
fn work(
    config: &Config,
    found: Found,
    clock: Clock,
    outs: Outs,
    (care, inbox): (&Arc<Care>, &Inbox),
) -> Result<Work, DaemonError> {
    let fail = DaemonError::new;
    match found {
        Found::Damaged(hold, _) => {
            let Outs { tills, board, desk: _, reaches: _ } = outs;
            let closed = Closed::new(hold, config.policy(), &clock, tills, board, watchdog_every());
            Ok(Box::new(move |ins, on| {
                closed.run(ins, on);
                Ok(())
            }))
        }
        Found::Sound(mut store, loaded) => {
            let unread = store.unread();
            let gateway = Gateway::start(config.policy(), loaded.shop, *store, &config.store, clock, outs)
                .map_err(|e| fail("the store cannot be written")(e.into()))?
                .watched(watchdog_every());
            if let Some(check) = unread {
                let read = lasting::read_whole(check, inbox.clone(), Arc::clone(care));
                read.map_err(|e| fail("the system gives no thread")(e.into()))?;
            }
            Ok(Box::new(move |ins, on| gateway.run(ins, on)))
        }
    }
}

/// `tillgate run`: the daemon until SIGTERM or SIGINT; SIGHUP reads pins, certificates and key anew, the pins from the
/// configuration in `file`.
pub fn run(config: &Config, file: &Path) -> Result<(), DaemonError> {
    use tokio::signal::unix::{SignalKind, signal};
    let fail = DaemonError::new;
    let passed = Passed::from_env();
    allow_files();
    let runtime = Arc::new(runtime().map_err(|e| fail("the system gives no threads")(e.into()))?);
    // Before anything is open: a reload that comes early must not end the daemon.
    let signals = {
        let _inside = runtime.enter();
        [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()].map(signal)
    };
    let daemon = Daemon::start(config, Arc::clone(&runtime), None, passed)?;
    let tills = config.tills.len();
    tracing::info!(portal = ?daemon.portal(), platform = %config.platform.url, tills, "ready");
    // Without systemd there is nobody to tell.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    let ended = runtime.block_on(async {
        let [term, int, hup] = signals;
        let (mut term, mut int, mut hup) = (term?, int?, hup?);
        loop {
            tokio::select! {
                _ = term.recv() => return Ok::<(), io::Error>(()),
                _ = int.recv() => return Ok(()),
                () = daemon.stop.closed() => return Ok(()),
                _ = hup.recv() => reload(&daemon, file),
            }
        }
    });
    ended.map_err(|e| fail("the system gives no signals")(e.into()))?;
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    tracing::info!("stopping");
    daemon.stop()
}

/// How often the service manager wants a sign of life: twice in the time after which it would give us up.
fn watchdog_every() -> Option<Duration> {
    sd_notify::watchdog_enabled().and_then(|given_up_after| given_up_after.checked_div(2))
}

/// Asks for as many files as the daemon can use: systems give a service 1,024 until it says that it can do with more.
fn allow_files() {
    let mut limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.unwrap_or(FILES_MAX).min(FILES_MAX);
    if limit.current.is_some_and(|current| current < wanted) {
        limit.current = Some(wanted);
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::warn!(%error, "not more files can be opened: the portal takes fewer connections");
        }
    }
}

/// As many connections as there can be files for, so that lines, books and platform never lack one.
fn portal_limits(tills: usize, phones_per_address: u32) -> portal::Limits {
    let files = getrlimit(Resource::Nofile).current.unwrap_or(FILES_MAX);
    let of_tills = u64::try_from(tills).unwrap_or(u64::MAX).saturating_mul(3);
    let left = files.saturating_sub(FILES_KEPT).saturating_sub(of_tills).max(CONNECTIONS_MIN);
    portal::Limits::default()
        .for_phones(phones_per_address)
        .with_connections(usize::try_from(left).unwrap_or(usize::MAX))
}

fn reload(daemon: &Daemon, file: &Path) {
    let read = Config::load(file).map_err(|faults| faults.to_string());
    let whole = |error: DaemonError| format!("{error}: {}", error.cause);
    match read.and_then(|config| daemon.reload(&config).map_err(whole)) {
        Ok(()) => tracing::info!("pins, certificates and key read anew"),
        Err(error) => {
            tracing::error!(message_id = "3981b90f5974426d80a028a68b3d515d", %error, "pins, certificates and key stay as they were")
        }
    }
}

/// Takes away the copies that a daemon was killed over; nobody else knows of them. The caller holds the store.
fn clear_backups(store: &Path) {
    let (Some(folder), Some(stem)) = (store.parent(), store.file_stem().and_then(|stem| stem.to_str())) else { return };
    let begins = format!("{stem}.{BACKUP}");
    let ours = |name: &str| {
        let number = name.strip_prefix(&begins).map(|rest| rest.trim_end_matches(".part"));
        number.is_some_and(|number| !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit()))
    };
    for file in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if file.file_name().to_str().is_some_and(ours) {
            let _ = std::fs::remove_file(file.path()); // It is in nobody's way but the disk's.
        }
    }
}

/// The shop's zone, else the machine's.
fn time_zone(config: &Config) -> Option<jiff::tz::TimeZone> {
    let named = config.shop.time_zone.as_deref().and_then(|name| jiff::tz::TimeZone::get(name).ok());
    named.or_else(|| Some(jiff::tz::TimeZone::system()))
}

/// Whose certificate is looked after, and how.
fn own(config: &Config) -> Own {
    match &config.platform.trust {
        Trust::Named(_) => Own::Named(config.platform.life().ok()),
        Trust::Enrolled(folder, identity) => Own::Enrolled(folder.clone(), identity.clone()),
    }
}

/// Tells the networks around where the box is. Who cannot be told finds it by its number, as before.
fn announce(config: &Config) -> Option<Announcer> {
    let settings = config.network.as_ref()?;
    let announcer = Announcer::start(settings, &offers(config));
    announcer.inspect_err(|error| tracing::warn!(%error, "the networks are not told where the box is")).ok()
}

/// The ports that tills connect to.
fn offers(config: &Config) -> Vec<Offer> {
    let offer = |till: &config::Till| {
        let till::Port::Tcp { listen, .. } = &till.port else { return None };
        let kind = match till.protocol {
            Protocol::Plain => "_tillgate._tcp",
            Protocol::Concert(_) => "_concert._tcp",
            Protocol::Zvt(_) => "_zvt._tcp",
        };
        Some(Offer {
            instance: format!("Till {}", till.number),
            kind: kind.to_owned(),
            port: listen.port(),
            notes: vec![("till".to_owned(), till.number.to_string()), ("label".to_owned(), till.label.clone())],
        })
    };
    config.tills.iter().filter_map(offer).collect()
}

fn secure_settings(config: &Config) -> Option<SecureSettings> {
    let config::Secure { listen, certificate, key } = config.portal.secure.clone()?;
    Some(SecureSettings { listen: sockets::addresses(listen, config.network.as_ref()), certificate, key })
}

fn portal_settings(config: &Config, framed_by: Option<&str>) -> PortalSettings {
    let tills = config.tills.iter().map(|till| (till.number, till.label.clone())).collect();
    let mut settings = PortalSettings::new(
        sockets::addresses(config.portal.listen, config.network.as_ref()),
        config.shop.name.clone(),
        tills,
    );
    settings.public_base = Some(config.portal.url.clone());
    settings.secure = secure_settings(config);
    settings.limits = portal_limits(config.tills.len(), config.portal.phones_per_address);
    settings.terms.clone_from(&config.shop.terms);
    settings.time_zone.clone_from(&config.shop.time_zone);
    settings.default_language = Language::from_tag(&config.shop.language).unwrap_or(portal::Language::En);
    match framed_by {
        Some(origin) => settings.framed_by(origin),
        None => settings,
    }
}

fn till_settings(config: &Config, till: &config::Till) -> TillSettings {
    TillSettings {
        number: till.number,
        label: till.label.clone(),
        port: till.port.clone(),
        protocol: till.protocol,
        line: till.line,
        currency: config.shop.currency,
        columns: till.columns,
        memory: Some(config.store.with_file_name(format!("till-{}.memory", till.number))),
    }
}

/// What the control socket answers from.
#[derive(Clone)]
struct Answers {
    look: mpsc::Sender<Look>,
    seen: till::StatusReader,
    reaches: Option<Reaches>,
    renewals: Arc<Renewal>,
    store: PathBuf,
    care: Arc<Care>,
    since: Instant,
}

impl Answers {
    async fn answer(self, request: Request) -> Response {
        match request {
            Request::Status => self.status().await,
            Request::Backup => self.backup().await,
        }
    }

    async fn status(self) -> Response {
        let (tell, told) = oneshot::channel();
        let look: Look = Box::new(move |shop| {
            let _ = tell.send(seen_in(shop)); // The asker has gone.
        });
        if self.look.try_send(look).is_err() {
            return Response::Refused("the daemon is busy; ask again".into());
        }
        let Ok((sales, phones, platform)) = told.await else {
            return Response::Refused("the daemon is stopping".into());
        };
        let care = self.care;
        let lines = move || (care.clock_line(), care.disk_line(), care.books_line(), care.written_line());
        let Ok((clock, disk, books, written)) = tokio::task::spawn_blocking(lines).await else {
            return Response::Refused("the daemon is stopping".into());
        };
        let tills = self.seen.status();
        let of_till =
            |number: u16| sales.iter().find(|s: &&control::SaleLine| s.till == number).map(|s| s.state.clone());
        let tills = tills.into_iter().map(|till| control::TillLine {
            number: till.number.number(),
            label: till.label,
            port: till.port.to_string(),
            online: till.online,
            junk_bytes: till.junk_bytes,
            bad_frames: till.bad_frames,
            heard_secs: till.heard_ms.map(|ms| Clock::mono().0.saturating_sub(ms) / 1_000),
            sale: of_till(till.number.number()),
        });
        Response::Status(Box::new(control::Status {
            version: env!("CARGO_PKG_VERSION").into(),
            uptime_secs: self.since.elapsed().as_secs(),
            tills: tills.collect(),
            phones,
            sales,
            platform,
            clock,
            disk,
            network: network_state(self.reaches.as_ref()),
            certificate: certificate_state(&self.renewals),
            books,
            written,
        }))
    }

    async fn backup(self) -> Response {
        if self.care.damage().is_some() {
            return Response::Refused("the books are damaged; copy their files, and see `tillgate status`".into());
        }
        // Several may be asked for at the same time.
        let number = BACKUPS.fetch_add(1, Ordering::Relaxed);
        let target = self.store.with_extension(format!("{BACKUP}{number}"));
        let store = self.store;
        let made =
            tokio::task::spawn_blocking(move || store::backup(&store, &target).map(|facts| (target, facts.bytes)))
                .await;
        match made {
            Ok(Ok((file, bytes))) => {
                self.care.has_copied(bytes);
                Response::Backup(file)
            }
            Ok(Err(error)) => Response::Refused(error.to_string()),
            Err(_) => Response::Refused("the backup was interrupted; ask again".into()),
        }
    }
}

/// How the box's certificate stands.
fn certificate_state(renewals: &Renewal) -> control::Certificate {
    let now = Clock::new(None).ok().and_then(|clock| clock.now().wall);
    let standing = renewals.standing(now);
    let text = |at: crate::shop::time::Wall| jiff::Timestamp::from_millisecond(at.0).ok().map(|at| at.to_string());
    let state = match standing.nearness {
        Some(Nearness::Far) => control::CertificateState::Good,
        Some(Nearness::Near) => control::CertificateState::Ending,
        Some(Nearness::Over) => control::CertificateState::Ended,
        None => control::CertificateState::Unknown,
    };
    let renews_at = standing.renews_at.and_then(text);
    control::Certificate { state, until: standing.until.and_then(text), renews_at, failing: standing.failing }
}

/// How the firewall stands.
fn network_state(reaches: Option<&Reaches>) -> control::Network {
    let Some(reaches) = reaches else { return control::Network::default() };
    let seen = reaches.seen();
    control::Network {
        governed: true,
        helper: seen.connected,
        let_through: u64::try_from(seen.let_through).unwrap_or(u64::MAX),
        newest_micros: seen.newest_micros,
        restored: seen.restored,
        refused: seen.refused,
    }
}

fn seen_in(shop: &Shop) -> (Vec<control::SaleLine>, u64, control::Platform) {
    let now = Clock::mono();
    let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_millis());
    let age = |at: crate::shop::time::Wall| {
        u64::try_from(at.0).ok().and_then(|at| u64::try_from(wall).ok()?.checked_sub(at)).map(|ms| ms / 1_000)
    };
    let sales = shop.open_sales().map(|sale| control::SaleLine {
        id: sale.id.to_string().chars().take(8).collect(),
        till: sale.till.number(),
        amount: sale.amount.to_string(),
        state: sale.state.name().into(),
        since_secs: sale.asked_at.and_then(age),
    });
    let returns = shop.open_returns().map(|given| control::SaleLine {
        id: given.id.to_string().chars().take(8).collect(),
        till: given.till.number(),
        amount: given.amount().to_string(),
        state: given.state.name().into(),
        since_secs: given.asked_at.and_then(age),
    });
    let (state, heard) = shop.platform_line(now);
    let state = match state {
        LineState::Up => control::PlatformState::Up,
        LineState::Down => control::PlatformState::Down,
        LineState::Unknown => control::PlatformState::Unknown,
    };
    let last_answer_secs = heard.map(|heard| heard.ms_until(now) / 1_000);
    let phones = u64::try_from(shop.visits()).unwrap_or(u64::MAX);
    (sales.chain(returns).collect(), phones, control::Platform { state, last_answer_secs })
}
