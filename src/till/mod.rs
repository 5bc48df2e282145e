//! The tills: one line and one driver for each. Turns bytes into events and answers into bytes; decides nothing.

pub mod concert;
pub mod concert_frames;
#[cfg(feature = "fuzzing")]
mod concert_fuzz;
pub mod concert_player;
pub mod driver;
pub mod frame;
#[cfg(feature = "fuzzing")]
pub mod fuzz;
pub mod installer;
pub mod listen;
mod mailbox;
mod opening;
pub mod plain;
pub mod player;
mod player_frames;
mod player_memory;
pub mod port;
pub mod receipt;
mod request;
pub mod shown;
pub mod tcp;
pub mod words;
pub mod zvt;

pub use installer::{TillArgs, run};
pub use listen::{ListenArgs, listen};
pub(crate) use opening::is_open_as;
pub use opening::{PortError, stable_name, stable_name_in};
pub use port::{Flow, LineSettings, Parity};
pub use receipt::ReceiptFacts;

use crate::clock::Clock;
use crate::inbox::Inbox;
use crate::shop::effect::TillAnswer;
use crate::shop::event::TillNumber;
use crate::shop::money::Currency;
use concert::{Concert, ConcertOptions};
use driver::Driver;
use mailbox::Mailbox;
use plain::{Plain, PlainSettings};
use port::{Gauges, Line, WAKES_MAX, Wake, Way};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::time::Duration;
use std::{fmt, io, thread};
use tcp::{Door, Guest, Listening};
use zvt::{Link, Zvt, ZvtOptions, ZvtSettings};

/// How long lines may take to give their ports back at the end; one that writes to a dead till takes longer.
const LEAVE: Duration = Duration::from_millis(250);

/// The language that a till speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// Our own (`docs/till-protocol.md`).
    #[default]
    Plain,
    /// Concert E+, as French tills do.
    Concert(ConcertOptions),
    /// ZVT, the box being the payment terminal.
    Zvt(ZvtOptions),
}

impl Protocol {
    /// How a serial line is set for it where nothing else is said.
    pub fn line(self) -> LineSettings {
        match self {
            Protocol::Plain | Protocol::Concert(_) => LineSettings::default(),
            Protocol::Zvt(_) => zvt::LINE,
        }
    }
}

/// Where a till is joined to us.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Port {
    /// A serial port; a stable name (`/dev/serial/by-id/..`) survives a replug.
    Serial(PathBuf),
    /// A TCP port of ours. Tills may share it and are told apart by their addresses.
    Tcp {
        /// Where we listen.
        listen: SocketAddr,
        /// The till's own address. Nobody else is listened to.
        peer: IpAddr,
    },
}

impl Port {
    /// Whether two tills there could not be told apart.
    fn is(&self, other: &Port) -> bool {
        match (self, other) {
            (Port::Serial(one), Port::Serial(two)) => one == two,
            (Port::Tcp { listen: at, peer: one }, Port::Tcp { listen, peer: two }) => {
                at == listen && one.to_canonical() == two.to_canonical()
            }
            (Port::Serial(_), Port::Tcp { .. }) | (Port::Tcp { .. }, Port::Serial(_)) => false,
        }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Port::Serial(path) => write!(f, "{}", path.display()),
            Port::Tcp { listen, peer } => write!(f, "tcp://{listen} from {peer}"),
        }
    }
}

/// One till.
#[derive(Clone, Debug)]
pub struct TillSettings {
    /// Its number.
    pub number: TillNumber,
    /// What people call it.
    pub label: String,
    /// Where it is.
    pub port: Port,
    /// What it speaks.
    pub protocol: Protocol,
    /// How its line is set, if it is serial.
    pub line: LineSettings,
    /// The shop's currency.
    pub currency: Currency,
    /// Width of its paper in characters, 20 to 40.
    pub columns: usize,
    /// Where its driver keeps what it must know after a restart; without it nothing is kept.
    pub memory: Option<PathBuf>,
}

/// Why the tills could not be started.
#[derive(Debug)]
pub enum StartError {
    /// Two tills have this number: correct the configuration.
    NumberTwice(TillNumber),
    /// Two tills have this port: correct the configuration.
    PortTwice(Port),
    /// The system gives no thread: free resources and start again.
    Thread(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::NumberTwice(till) => write!(f, "till number {till} is used twice: give each till its own"),
            StartError::PortTwice(port) => write!(f, "two tills share {port}: give each till its own port"),
            StartError::Thread(_) => {
                f.write_str("the system gives no thread for a till: free memory or raise the limit")
            }
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            StartError::Thread(e) => Some(e),
            StartError::NumberTwice(_) | StartError::PortTwice(_) => None,
        }
    }
}

/// How a till's line is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TillStatus {
    /// Its number.
    pub number: TillNumber,
    /// What people call it.
    pub label: String,
    /// Where it is.
    pub port: Port,
    /// Whether its port is open or its connection stands.
    pub online: bool,
    /// Bytes that belonged to no frame.
    pub junk_bytes: u64,
    /// Frames dropped.
    pub bad_frames: u64,
    /// When anything came last, in milliseconds since boot, if anything did.
    pub heard_ms: Option<u64>,
    /// Frames sent again because the till did not answer.
    pub repeats_sent: u64,
    /// Frames that the till sent again.
    pub repeats_heard: u64,
    /// Times that the till took no bytes.
    pub writes_dropped: u64,
    /// Times that the port was opened again.
    pub reopened: u64,
}

/// All tills. Dropping it ends their threads, and waits for a moment until they have given their ports back; a reader
/// blocked in its port ends when the port hangs up.
#[derive(Debug)]
pub struct Tills {
    tills: BTreeMap<TillNumber, Till>,
    _listening: Vec<Listening>,
    /// Nothing comes: it breaks off with the last line.
    lines: Receiver<Infallible>,
}

#[derive(Debug)]
struct Till {
    label: String,
    port: Port,
    mailbox: Arc<Mailbox>,
    gauges: Arc<Gauges>,
    wake: SyncSender<Wake>,
}

impl Tills {
    /// Starts two threads for each till, and one for each address that tills come to. A port that is missing or an
    /// address that is not ours yet is tried again every second.
    pub fn start(settings: Vec<TillSettings>, shop: &ReceiptFacts, inbox: &Inbox) -> Result<Tills, StartError> {
        let mut tills: BTreeMap<TillNumber, Till> = BTreeMap::new();
        for one in &settings {
            if settings.iter().filter(|s| s.number == one.number).count() > 1 {
                return Err(StartError::NumberTwice(one.number));
            }
            if settings.iter().filter(|s| s.port.is(&one.port)).count() > 1 {
                return Err(StartError::PortTwice(one.port.clone()));
            }
        }
        let mut guests: BTreeMap<SocketAddr, BTreeMap<IpAddr, Guest>> = BTreeMap::new();
        let (here, lines) = channel();
        for one in settings {
            let number = one.number;
            tills.insert(number, start_one(one, shop, inbox, &mut guests, here.clone()).map_err(StartError::Thread)?);
        }
        let listening = guests.into_iter().map(|(at, guests)| Listening::start(at, guests)).collect::<io::Result<_>>();
        Ok(Tills { tills, _listening: listening.map_err(StartError::Thread)?, lines })
    }

    /// Says something to a till. Never blocks: what the till's port has not yet taken waits in a bounded mailbox, which
    /// drops progress first and results never. A till that is not configured is told nothing.
    pub fn tell(&self, till: TillNumber, answer: TillAnswer) {
        if let Some(till) = self.tills.get(&till) {
            till.mailbox.put(answer);
            // A full queue of wake-ups wakes it as well.
            let _ = till.wake.try_send(Wake::Told);
        }
    }

    /// A way to see how the lines are doing, from any thread.
    pub fn status_reader(&self) -> StatusReader {
        let one = |(number, till): (&TillNumber, &Till)| {
            (*number, till.label.clone(), till.port.clone(), Arc::clone(&till.gauges))
        };
        StatusReader(self.tills.iter().map(one).collect())
    }
}

/// How the lines are doing.
#[derive(Clone, Debug)]
pub struct StatusReader(Vec<(TillNumber, String, Port, Arc<Gauges>)>);

impl StatusReader {
    /// Each till's line now, by till number.
    pub fn status(&self) -> Vec<TillStatus> {
        let one = |(number, label, port, gauges): &(TillNumber, String, Port, Arc<Gauges>)| TillStatus {
            number: *number,
            label: label.clone(),
            port: port.clone(),
            online: gauges.online.load(Ordering::Relaxed),
            junk_bytes: gauges.junk_bytes.load(Ordering::Relaxed),
            bad_frames: gauges.bad_frames.load(Ordering::Relaxed),
            heard_ms: Some(gauges.heard_ms.load(Ordering::Relaxed)).filter(|ms| *ms > 0),
            repeats_sent: gauges.repeats_sent.load(Ordering::Relaxed),
            repeats_heard: gauges.repeats_heard.load(Ordering::Relaxed),
            writes_dropped: gauges.writes_dropped.load(Ordering::Relaxed),
            reopened: gauges.reopened.load(Ordering::Relaxed),
        };
        self.0.iter().map(one).collect()
    }
}

impl Drop for Tills {
    fn drop(&mut self) {
        for till in self.tills.values() {
            till.mailbox.close();
            let _ = till.wake.try_send(Wake::Told);
        }
        // A port that is not given back stays closed to others for as long as anybody has it open.
        let _ = self.lines.recv_timeout(LEAVE);
    }
}

fn start_one(
    settings: TillSettings,
    shop: &ReceiptFacts,
    inbox: &Inbox,
    guests: &mut BTreeMap<SocketAddr, BTreeMap<IpAddr, Guest>>,
    here: Sender<Infallible>,
) -> io::Result<Till> {
    let (wake, wakes) = sync_channel(WAKES_MAX);
    let mailbox = Arc::new(Mailbox::default());
    let gauges = Arc::new(Gauges::default());
    let till = settings.number;
    let way = match &settings.port {
        Port::Serial(path) => Way::Serial(path.clone(), settings.line),
        Port::Tcp { listen, peer } => {
            let door = Arc::new(Door::default());
            let guest = Guest { till, door: Arc::clone(&door), wake: wake.clone() };
            guests.entry(*listen).or_default().insert(peer.to_canonical(), guest);
            Way::Tcp(door)
        }
    };
    let line = Line {
        till,
        way,
        driver: driver_of(&settings, shop),
        mailbox: Arc::clone(&mailbox),
        gauges: Arc::clone(&gauges),
        memory: settings.memory.clone(),
        inbox: inbox.clone(),
        wake: wake.clone(),
        wakes,
        _here: here,
    };
    thread::Builder::new().name(format!("till-{till}")).spawn(move || line.run())?;
    Ok(Till { label: settings.label, port: settings.port, mailbox, gauges, wake })
}

fn driver_of(settings: &TillSettings, shop: &ReceiptFacts) -> Box<dyn Driver> {
    match settings.protocol {
        Protocol::Plain => {
            let plain = PlainSettings {
                till: settings.number,
                currency: settings.currency,
                facts: shop.clone(),
                columns: settings.columns,
                byte_us: settings.line.byte_us(),
            };
            // Numbers of frames sent before a restart are not likely to come again at once.
            let first_id = u16::try_from(Clock::mono().0 % 10_000).unwrap_or(0);
            Box::new(Plain::new(plain, first_id))
        }
        Protocol::Concert(options) => {
            let memory = port::recall(settings.memory.as_deref());
            Box::new(Concert::new(settings.number, options, settings.line.byte_us(), &memory))
        }
        Protocol::Zvt(options) => {
            let zvt = ZvtSettings {
                till: settings.number,
                currency: settings.currency,
                facts: shop.clone(),
                columns: settings.columns,
                byte_us: settings.line.byte_us(),
                options,
            };
            let link = match settings.port {
                Port::Serial(_) => Link::Serial,
                Port::Tcp { .. } => Link::Tcp,
            };
            Box::new(Zvt::new(zvt, link))
        }
    }
}
