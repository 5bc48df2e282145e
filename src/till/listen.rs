//! `tillgate listen`: shows what a till says and guesses what it speaks. Opens its port for reading only: never writes.

mod line;
mod overhear;
mod said;
mod search;

pub use line::{Bits, Heard, Marks};
pub use overhear::{Bystander, News};
pub use said::{Proof, Said, Speech, said};
pub use search::{Finding, Next, Search, find};

use super::opening::{PortError, stable_name, try_lock};
use clap::Args;
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::termios::{ControlModes, InputModes, OptionalActions, QueueSelector, tcflush, tcgetattr, tcsetattr};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::{Instant, sleep_until, timeout};

/// Protocol and line were found.
pub const EXIT_FOUND: u8 = 0;
/// They were not.
pub const EXIT_NOT_FOUND: u8 = 1;
/// The port cannot be used.
pub const EXIT_NO_PORT: u8 = 3;

/// A line that is silent for so long has said a piece.
const QUIET: Duration = Duration::from_millis(300);
/// A piece is shown once it is so long, silent or not.
const PIECE_BYTES_MAX: usize = 2_048;
/// Reads that may wait to be shown. Full: the port's own buffers hold what comes.
const READS_MAX: usize = 64;
/// Bytes in a row on the screen.
const ROW: usize = 16;
/// How often a port that hung up is tried again.
const REOPEN_EVERY: Duration = Duration::from_secs(1);

/// Show what a till says, and guess what it speaks
///
/// Nothing is written to the till: it is as if no terminal were there. Press the payment key at the till, several times if
/// asked to: each common speed is tried in turn until what comes makes sense.
#[derive(Args, Clone, Debug)]
pub struct ListenArgs {
    /// The serial port, such as /dev/serial/by-id/usb-FTDI_...
    #[arg(value_name = "PORT")]
    port: PathBuf,
    /// Listen at this speed only
    #[arg(long, value_parser = clap::value_parser!(u32).range(50..=4_000_000))]
    baud: Option<u32>,
    /// End after so many seconds; without it, Ctrl-C ends
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: Option<u64>,
}

/// Listens until told to end. Returns the exit code; all that a person should read has been printed.
pub fn listen(args: &ListenArgs) -> u8 {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => {
            eprintln!("error: the system gives no room to listen: {e}");
            return EXIT_NO_PORT;
        }
    };
    let mut ear = Ear::new(args);
    let ended = runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let until = args.seconds.and_then(|s| Instant::now().checked_add(Duration::from_secs(s)));
        tokio::select! {
            ended = ear.run() => ended,
            _ = interrupt.recv() => Ok(()),
            _ = terminate.recv() => Ok(()),
            () = wait_until(until) => Ok(()),
        }
    });
    match ended.and_then(|()| ear.sum_up()) {
        // A reader that has gone away (`| head`) has heard enough.
        Ok(()) => ear.exit_code(),
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => ear.exit_code(),
        Err(e) => {
            eprintln!("error: {e}");
            EXIT_NO_PORT
        }
    }
}

async fn wait_until(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
}

/// What listens, and what it has made of it so far.
struct Ear {
    path: PathBuf,
    search: Search,
    begun: Instant,
    piece_begun: Instant,
    heard_bytes: u64,
    found: Option<Finding>,
}

/// The port, ours alone, and what is read from it; nothing more comes once it has hung up.
struct Port {
    file: File,
    read: Receiver<Vec<u8>>,
}

impl Drop for Port {
    fn drop(&mut self) {
        // Should anybody have it open besides, it is no longer ours.
        let _ = rustix::termios::ioctl_tiocnxcl(&self.file);
    }
}

/// Until the port hangs up, or nobody listens any more.
fn read_on(mut file: File, put: &Sender<Vec<u8>>) {
    let mut bytes = [0; 256];
    while let Ok(count) = file.read(&mut bytes) {
        let read = bytes.get(..count).unwrap_or_default();
        if read.is_empty() || put.blocking_send(read.to_vec()).is_err() {
            return;
        }
    }
}

/// Why a port is no longer read.
enum Ended {
    /// It hung up.
    Gone,
    /// What was heard makes no sense at this speed.
    Try(u32),
}

impl Ear {
    fn new(args: &ListenArgs) -> Ear {
        Ear {
            path: args.port.clone(),
            search: Search::new(args.baud),
            begun: Instant::now(),
            piece_begun: Instant::now(),
            heard_bytes: 0,
            found: None,
        }
    }

    /// Listens for ever, or until nothing can be shown any more.
    async fn run(&mut self) -> io::Result<()> {
        let mut port = self.open()?;
        let name = self.path.display();
        say(&format!("Listening at {name}, {} baud. Nothing is written to the till.", self.search.baud()))?;
        say("Press the payment key at the till now. Ctrl-C ends.\n")?;
        loop {
            match self.read(&mut port).await? {
                Ended::Gone => port = self.reopen(port).await?,
                Ended::Try(baud) => self.try_next(&port, baud)?,
            }
        }
    }

    fn open(&self) -> io::Result<Port> {
        let file = try_lock(&self.path, OFlags::RDONLY)?;
        // Whoever does not ask for the lock is kept out by this.
        rustix::termios::ioctl_tiocexcl(&file)?;
        set(&file, self.search.baud()).map_err(|e| PortError::Other { path: self.path.clone(), cause: e })?;
        // From here on a reader waits for bytes rather than asking for them.
        fcntl_setfl(&file, OFlags::RDONLY)?;
        let reading = file.try_clone()?;
        let (put, read) = channel(READS_MAX);
        thread::Builder::new().name("listen".to_owned()).spawn(move || read_on(reading, &put))?;
        Ok(Port { file, read })
    }

    /// Waits for a port that hung up.
    async fn reopen(&mut self, gone: Port) -> io::Result<Port> {
        drop(gone);
        say("The line hung up: waiting for it. Check cable and adapter.")?;
        loop {
            sleep_until(Instant::now().checked_add(REOPEN_EVERY).unwrap_or_else(Instant::now)).await;
            if let Ok(port) = self.open() {
                say("The line is back.")?;
                return Ok(port);
            }
        }
    }

    /// Shows piece after piece.
    async fn read(&mut self, port: &mut Port) -> io::Result<Ended> {
        let mut marks = Marks::default();
        let mut piece: Vec<Heard> = Vec::new();
        loop {
            // Silence ends a piece; before it there may be as much of it as it likes.
            let quiet = if piece.is_empty() { Duration::MAX } else { QUIET };
            match timeout(quiet, port.read.recv()).await {
                Ok(None) => {
                    self.hear(&piece)?;
                    return Ok(Ended::Gone);
                }
                Ok(Some(bytes)) => {
                    if piece.is_empty() {
                        self.piece_begun = Instant::now();
                    }
                    piece.extend(bytes.into_iter().filter_map(|byte| marks.push(byte)));
                }
                Err(_) => {
                    if let Some(baud) = self.hear(&std::mem::take(&mut piece))? {
                        return Ok(Ended::Try(baud));
                    }
                }
            }
            if piece.len() >= PIECE_BYTES_MAX
                && let Some(baud) = self.hear(&std::mem::take(&mut piece))?
            {
                return Ok(Ended::Try(baud));
            }
        }
    }

    /// Shows a piece and what it means; a speed if another is to be tried.
    fn hear(&mut self, piece: &[Heard]) -> io::Result<Option<u32>> {
        if piece.is_empty() {
            return Ok(None);
        }
        self.heard_bytes = self.heard_bytes.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        let next = self.search.heard(piece);
        let bits = match &next {
            Next::Found(finding) => finding.bits,
            Next::Try(_) => Bits::EightNone,
        };
        let sent = bits.sent(piece);
        let time = self.piece_begun.duration_since(self.begun).as_secs_f64();
        for (at, row) in sent.chunks(ROW).enumerate() {
            let time = if at == 0 { format!("{time:8.3} s") } else { " ".repeat(10) };
            say(&format!("{time}  {}", hex_row(row)))?;
        }
        let missing = piece.iter().filter(|h| h.bad).count();
        if missing > 0 && matches!(next, Next::Try(_)) {
            say(&format!("            {missing} of {} bytes have no stop bit: not this speed", piece.len()))?;
        }
        for said in said(&sent) {
            say(&format!("            {}", said.text))?;
        }
        match next {
            Next::Found(finding) => self.found_it(finding).map(|()| None),
            // What was certain once stays so: noise does not undo it.
            Next::Try(_) if self.found.as_ref().is_some_and(|f| f.sure) => Ok(None),
            Next::Try(baud) => Ok(Some(baud)),
        }
    }

    fn found_it(&mut self, finding: Finding) -> io::Result<()> {
        let better = self.found.as_ref().is_none_or(|old| *old != finding && (finding.sure || !old.sure));
        if better {
            say(&format!("\n{finding}\n"))?;
            self.found = Some(finding);
        }
        Ok(())
    }

    /// Goes on to another speed; one that the port does not have is passed over.
    fn try_next(&mut self, port: &Port, mut baud: u32) -> io::Result<()> {
        let first = baud;
        while let Err(e) = set(&port.file, baud) {
            say(&format!("The port has no {baud} baud: {e}"))?;
            baud = self.search.skip();
            if baud == first {
                break;
            }
        }
        say(&format!("That makes no sense so. Listening at {baud} baud now: press the payment key again.\n"))
    }

    /// What there is to say at the end.
    fn sum_up(&self) -> io::Result<()> {
        let Some(finding) = &self.found else {
            return say(if self.heard_bytes == 0 { NOTHING_HEARD } else { NOTHING_UNDERSTOOD });
        };
        if finding.speech == Speech::Concert && !finding.sure {
            say(ONLY_ENQ)?;
        }
        let stable = stable_name(&self.path);
        let port = stable.as_deref().unwrap_or(&self.path);
        say("For the configuration (docs/tills.md says what each protocol can do):\n")?;
        say(&finding.section(&port.display().to_string()))
    }

    fn exit_code(&self) -> u8 {
        if self.found.is_some() { EXIT_FOUND } else { EXIT_NOT_FOUND }
    }
}

const NOTHING_HEARD: &str = "\
Nothing was heard. Look at these, in this order:
  1. Did the till try? Press its payment key while this runs.
  2. The cable: the till's sent data must come in at our received data. Between two computers that is a crossed (null
     modem) cable; try the other kind.
  3. The till's settings: a card terminal on that serial port, not on the network and not switched off.
  4. The port: is the adapter the right one? Unplug it and see which name goes from /dev/serial/by-id.";

const NOTHING_UNDERSTOOD: &str = "\
Something was heard and not understood. Look at these, in this order:
  1. Press the payment key again until each speed was tried, or name the till's speed with --baud.
  2. A signal that is upside down or too weak: RS-232 (+-12 V) needs an RS-232 adapter, TTL (3.3 or 5 V) a TTL one.
  3. A protocol that Tillgate does not speak: docs/tills.md names those that it does.";

const ONLY_ENQ: &str = "\
The till asks whether a terminal is there and says no more until it is answered, which listening never does. Put the section
below into the configuration and see with `tillgate status` whether its frames are good; if not, try the other settings.
";

/// Raw, 8N1, and with a mark at each byte whose stop bit is missing. What came before is dropped.
fn set(file: &File, baud: u32) -> io::Result<()> {
    let mut settings = tcgetattr(file)?;
    settings.make_raw();
    settings
        .control_modes
        .remove(ControlModes::CSIZE | ControlModes::PARENB | ControlModes::CSTOPB | ControlModes::CRTSCTS);
    settings.control_modes.insert(ControlModes::CS8 | ControlModes::CREAD | ControlModes::CLOCAL);
    settings.input_modes.remove(InputModes::IGNPAR | InputModes::IGNBRK | InputModes::BRKINT);
    settings.input_modes.insert(InputModes::INPCK | InputModes::PARMRK);
    settings.set_speed(baud)?;
    tcsetattr(file, OptionalActions::Now, &settings)?;
    tcflush(file, QueueSelector::IFlush)?;
    Ok(())
}

/// `10 02 06 01 ..   ....`
fn hex_row(bytes: &[u8]) -> String {
    let hex: Vec<String> = bytes.iter().map(|b| format!("{b:02X}")).collect();
    let text: String = bytes.iter().map(|b| if matches!(b, b' '..=b'~') { char::from(*b) } else { '.' }).collect();
    format!("{:width$}  {text}", hex.join(" "), width = ROW * 3 - 1)
}

fn say(text: &str) -> io::Result<()> {
    let mut out = io::stdout();
    writeln!(out, "{text}")?;
    out.flush()
}
