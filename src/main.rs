//! The command line: reads arguments, calls one thing, says how it went. Decides nothing.

mod books;
#[cfg(feature = "pages")]
mod pages;

use books::{BackupArgs, RestoreArgs, VerifyArgs};
use clap::{Args, Parser, Subcommand};
use std::collections::BTreeSet;
use std::error::Error;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use tillgate::config::{self, Config, Faults};
use tillgate::control::{self, AskError};
use tillgate::daemon;
use tillgate::demo;
use tillgate::doctor::{self, DoctorArgs};
use tillgate::listing::SalesArgs;
use tillgate::logging;
use tillgate::network::command::{self as network_command, Ended, NetworkArgs};
use tillgate::network::{advertise, netd, ruleset};
use tillgate::platform::command::{self as platform_command, EnrollArgs};
use tillgate::platform::enrol::Remedy;
use tillgate::sandbox::{self, SandboxArgs};
use tillgate::setup::{self, SetupArgs};
use tillgate::sockets;
use tillgate::till::{self, ListenArgs, TillArgs};

/// Pay at the till on your own phone, over the shop's own Wi-Fi.
#[derive(Parser)]
#[command(
    name = "tillgate",
    version,
    arg_required_else_help = true,
    after_help = "\
Examples:
  sudo tillgate setup
  tillgate check --config /etc/tillgate/tillgate.toml
  tillgate status

Exit codes:
  0   done, or the answer is yes
  1   the answer is no: faults were found, or the daemon refused
  2   the command line or the configuration cannot be used
  3   there is no daemon at the socket, or no permission to ask it; or the platform does not answer
  4   setup has written the configuration, and something is left to do
  70  a mistake in tillgate itself

Environment:
  TILLGATE_LOG  how much is logged: error, warn, info, debug or trace; for run info, for all else warn"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Setup(Box<SetupArgs>),
    Run(RunArgs),
    Check(CheckArgs),
    Doctor(DoctorArgs),
    Status(StatusArgs),
    /// List the sales on the books
    Sales(SalesArgs),
    Verify(VerifyArgs),
    Backup(BackupArgs),
    Restore(RestoreArgs),
    #[command(after_help = TILL_EXAMPLES)]
    Till(TillArgs),
    #[command(after_help = LISTEN_EXAMPLES)]
    Listen(ListenArgs),
    /// Run a payment platform to try things on
    #[command(after_help = SANDBOX_EXAMPLES)]
    Sandbox(SandboxArgs),
    Demo(DemoArgs),
    #[command(after_help = NETWORK_EXAMPLES)]
    Network(NetworkArgs),
    Netd(NetdArgs),
    Advertise(AdvertiseArgs),
    Enroll(EnrollArgs),
    Sockets(SocketsArgs),
    #[cfg(feature = "pages")]
    Pages(pages::PagesArgs),
}

/// Write the units of the sockets that the service manager holds for the portal
///
/// systemd calls this at each start of the machine and each `systemctl daemon-reload`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  tillgate sockets --config /etc/tillgate/tillgate.toml /run/systemd/generator

Exit codes: 0 they are there, 1 they cannot be written, 2 the configuration cannot be used")]
struct SocketsArgs {
    /// The configuration; only [portal] and [network] are read
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The folder for the units
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// Run the daemon
///
/// Until SIGTERM or SIGINT. SIGHUP reads pins, certificates and key anew. Whatever ends it, the books are right.
#[derive(Args)]
#[command(after_help = "\
Examples:
  tillgate run --config /etc/tillgate/tillgate.toml
  TILLGATE_LOG=debug tillgate run --config tillgate.toml

Exit codes: 0 told to stop, 1 it could not start or go on, 2 the configuration cannot be used")]
struct RunArgs {
    /// The configuration
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// Try everything on this machine: a till and a phone side by side in the browser
///
/// Starts the daemon, a payment platform and a till, all real, in a temporary folder. Nothing of it remains.
#[derive(Args)]
#[command(after_help = "\
Examples:
  tillgate demo
  tillgate demo --auto

Exit codes of --auto: 0 everything happened and all books agree, 1 it did not")]
struct DemoArgs {
    /// Play a payment by itself, with a wrong password and an account without money on the way
    #[arg(long)]
    auto: bool,
    /// Where the page is
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7878")]
    listen: std::net::SocketAddr,
}

/// Run the helper that changes the firewall for the daemon
///
/// Needs CAP_NET_ADMIN, gives every other right away, and listens to the daemon's user only. Whatever ends it, the firewall
/// stays as it is, and whoever was let through is let through no longer than was said.
#[derive(Args)]
#[command(after_help = "\
Examples:
  tillgate netd --config /etc/tillgate/tillgate.toml
  tillgate netd --config /etc/tillgate/tillgate.toml --closed
  tillgate netd --config /etc/tillgate/tillgate.toml --print | nft -c -f -

Exit codes: 0 done, 1 it could not start or go on, 2 the configuration cannot be used")]
struct NetdArgs {
    /// The configuration; only [network] and the portal's addresses are read
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The daemon's user, by name or number: nobody else may ask
    #[arg(long, value_name = "USER", default_value = "tillgate")]
    user: String,
    /// Put a table in place that lets nobody anywhere, and end: for the time before the network is up
    #[arg(long)]
    closed: bool,
    /// Print the table instead, and end
    #[arg(long)]
    print: bool,
}

/// Tell guests' phones by version 6 who their router is, and where the portal's API is
///
/// Sends router advertisements, with the captive-portal option (RFC 8910) if the portal has a certificate, until SIGTERM or
/// SIGINT. Needs CAP_NET_RAW and gives every other right away. Ends at once if guests have no version 6.
#[derive(Args)]
#[command(after_help = "\
Examples:
  tillgate advertise --config /etc/tillgate/tillgate.toml

Exit codes: 0 told to stop, or there is nothing to advertise, 1 it could not start or go on, 2 the configuration cannot be used")]
struct AdvertiseArgs {
    /// The configuration; only [network] and the portal's addresses are read
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

const TILL_EXAMPLES: &str = "\
Examples:
  tillgate till --port /dev/ttyUSB0 status
  tillgate till --port /dev/ttyUSB0 pay 12.50
  tillgate till --port /dev/ttyUSB0 last
  tillgate till --protocol zvt --port tcp://192.168.5.1:20007 pay 12.50
  tillgate till --protocol zvt --port /dev/ttyUSB0 end-of-day";

const LISTEN_EXAMPLES: &str = "\
Examples:
  tillgate listen /dev/ttyUSB0
  tillgate listen /dev/serial/by-id/usb-FTDI_FT232R_USB_UART_A1B2C3D4-if00-port0 --baud 9600 --seconds 60

Exit codes: 0 it is known what the till speaks, 1 it is not, 2 wrong command line, 3 the port cannot be used";

const NETWORK_EXAMPLES: &str = "\
Examples:
  tillgate network check --config /etc/tillgate/tillgate.toml
  tillgate network apply --config /etc/tillgate/tillgate.toml
  tillgate network clear --yes

Exit codes: 0 done, or nothing is wrong; 1 something is in the way, or was found; 2 the configuration cannot be used";

const SANDBOX_EXAMPLES: &str = "\
Examples:
  tillgate sandbox --make-certificates
  tillgate sandbox --dir /tmp/sandbox --api 127.0.0.1:7443";

/// Say what is wrong with a configuration: file, line, column, and the fix
///
/// Looks at everything the file names: certificates, keys, ports. Changes nothing. A port that is not plugged in now is
/// a warning and no fault.
#[derive(Args)]
#[command(after_help = "\
Examples:
  tillgate check --config /etc/tillgate/tillgate.toml
  tillgate check --config new.toml && mv new.toml /etc/tillgate/tillgate.toml

Exit codes: 0 nothing is wrong, 1 faults were found, 2 the file cannot be read")]
struct CheckArgs {
    /// The configuration
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// Ask a running daemon how things stand
///
/// Prints tills, phones, sales under way, the platform, the clock and the disk.
#[derive(Args)]
#[command(after_help = "\
Examples:
  tillgate status
  tillgate status --json | jq '.tills[] | select(.online | not)'

Exit codes: 0 it answered, 1 it refused, 3 it is not there")]
struct StatusArgs {
    /// The daemon's socket
    #[arg(long, value_name = "PATH", default_value = config::CONTROL)]
    socket: PathBuf,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// How a command ended.
#[derive(Clone, Copy)]
enum Exit {
    Good = 0,
    No = 1,
    Usage = 2,
    NotReachable = 3,
    Internal = 70,
}

fn main() -> ExitCode {
    logging::abort_on_panic();
    let cli = Cli::parse();
    // A daemon tells its day; a command answers what it was asked.
    let usual = match &cli.command {
        Command::Run(_) | Command::Netd(_) | Command::Advertise(_) => logging::LevelFilter::INFO,
        Command::Setup(_)
        | Command::Check(_)
        | Command::Doctor(_)
        | Command::Status(_)
        | Command::Sales(_)
        | Command::Verify(_)
        | Command::Backup(_)
        | Command::Restore(_)
        | Command::Till(_)
        | Command::Listen(_)
        | Command::Sandbox(_)
        | Command::Demo(_)
        | Command::Network(_)
        | Command::Enroll(_)
        | Command::Sockets(_) => logging::LevelFilter::WARN,
        #[cfg(feature = "pages")]
        Command::Pages(_) => logging::LevelFilter::WARN,
    };
    let exit = match logging::start(usual) {
        Ok(()) => match cli.command {
            Command::Setup(args) => return ExitCode::from(setup::run(&args)),
            Command::Run(args) => run(&args),
            Command::Check(args) => check(&args),
            Command::Doctor(args) => examine(&args),
            Command::Status(args) => status(&args),
            Command::Sales(args) => books::sales(&args),
            Command::Verify(args) => books::verify(&args),
            Command::Backup(args) => books::backup(&args),
            Command::Restore(args) => books::restore(&args),
            Command::Till(args) => return ExitCode::from(till::run(args)),
            Command::Listen(args) => return ExitCode::from(till::listen(&args)),
            Command::Sandbox(args) => sandbox(args),
            Command::Demo(args) => demo(&args),
            Command::Network(args) => network(&args),
            Command::Netd(args) => helper(&args),
            Command::Advertise(args) => advertise(&args),
            Command::Enroll(args) => enroll(&args),
            Command::Sockets(args) => write_sockets(&args),
            #[cfg(feature = "pages")]
            Command::Pages(args) => pages::write(&args, <Cli as clap::CommandFactory>::command()),
        },
        Err(cause) => fail(&cause, Exit::Usage),
    };
    ExitCode::from(exit as u8)
}

fn run(args: &RunArgs) -> Exit {
    let config = match Config::load(&args.config) {
        Ok(config) => config,
        Err(faults) => return fail(&faults, Exit::Usage),
    };
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    match daemon::run(&config, &args.config) {
        Ok(()) => Exit::Good,
        Err(error) => fail(&error, Exit::No),
    }
}

fn demo(args: &DemoArgs) -> Exit {
    match demo::run(args.listen, args.auto) {
        Ok(true) => Exit::Good,
        Ok(false) => Exit::No,
        Err(error) => fail(error.as_ref(), Exit::No),
    }
}

fn network(args: &NetworkArgs) -> Exit {
    let config = match args.config().map(Config::load).transpose() {
        Ok(config) => config,
        Err(faults) => return fail(&faults, Exit::Usage),
    };
    let settings = config.as_ref().and_then(|config| config.network.as_ref());
    match network_command::run(args, settings) {
        Ok(Ended::Good) => Exit::Good,
        Ok(Ended::No) => Exit::No,
        Err(cause) if cause.kind() == io::ErrorKind::BrokenPipe => Exit::Good,
        Err(cause) => fail(&cause, Exit::No),
    }
}

fn helper(args: &NetdArgs) -> Exit {
    let settings = Config::load_network(&args.config);
    // However wrong the file is: the guests' bridge may be there from before.
    if args.closed
        && !args.print
        && !matches!(settings, Ok(Some(_)))
        && let Err(error) = netd::close(&Config::bridge_whatever_else(&args.config))
    {
        fail(&error, Exit::No);
    }
    let settings = match settings {
        Ok(Some(settings)) => settings,
        Ok(None) => {
            let what = format!("{} has no [network]: there is nothing to govern", args.config.display());
            return fail(&io::Error::other(what), Exit::Usage);
        }
        Err(faults) => return fail(&faults, Exit::Usage),
    };
    let ended = match (args.closed, args.print) {
        (true, true) => return say(ruleset::closed(settings.guests.bridge.as_str()).trim_end()),
        (false, true) => return say(ruleset::open(&settings, &[], &BTreeSet::new()).trim_end()),
        (true, false) => netd::close(&settings.guests.bridge),
        (false, false) => netd::run(settings, &args.user),
    };
    match ended {
        Ok(()) => Exit::Good,
        Err(error) => fail(&error, Exit::No),
    }
}

fn advertise(args: &AdvertiseArgs) -> Exit {
    let settings = match Config::load_network(&args.config) {
        Ok(settings) => settings,
        Err(faults) => return fail(&faults, Exit::Usage),
    };
    match advertise::run(settings.as_ref()) {
        Ok(()) => Exit::Good,
        Err(error) => fail(&error, Exit::No),
    }
}

fn enroll(args: &EnrollArgs) -> Exit {
    let of_config = args.config.as_deref().map(Config::state_whatever_else).transpose();
    let state = match of_config {
        Ok(of_config) => args.state.clone().or(of_config).unwrap_or_else(|| PathBuf::from(platform_command::STATE)),
        Err(faults) => return fail(&faults, Exit::Usage),
    };
    match platform_command::run(args, &state) {
        Ok(enrolled) => say(&enrolled.to_string()),
        Err(error) => {
            let exit = match error.remedy() {
                Remedy::Again => Exit::NotReachable,
                Remedy::Ask => Exit::No,
                Remedy::Mend => Exit::Usage,
            };
            fail(&error, exit)
        }
    }
}

fn write_sockets(args: &SocketsArgs) -> Exit {
    match sockets::units(&args.config) {
        Ok(units) => match sockets::write(&args.folder, &units) {
            Ok(()) => Exit::Good,
            Err(cause) => fail(&cause, Exit::No),
        },
        Err(faults) => fail(&faults, Exit::Usage),
    }
}

fn examine(args: &DoctorArgs) -> Exit {
    let found = doctor::examine(args);
    let said = say(&if args.json { found.json() } else { found.to_string() });
    if matches!(said, Exit::Good) && !found.is_well() { Exit::No } else { said }
}

fn check(CheckArgs { config: file }: &CheckArgs) -> Exit {
    match Config::load(file) {
        Ok(config) => {
            for warning in &config.warnings {
                eprintln!("warning: {warning}");
            }
            let tills = config.tills.len();
            say(&format!(
                "{}: nothing is wrong ({tills} {})",
                file.display(),
                if tills == 1 { "till" } else { "tills" }
            ))
        }
        Err(faults @ Faults::Wrong(_)) => {
            eprintln!("{faults}");
            Exit::No
        }
        Err(faults @ Faults::Unreadable { .. }) => fail(&faults, Exit::Usage),
    }
}

fn status(args: &StatusArgs) -> Exit {
    match control::status(&args.socket) {
        Ok(status) if args.json => match serde_json::to_string_pretty(&status) {
            Ok(text) => say(&text),
            Err(cause) => fail(&cause, Exit::Internal),
        },
        Ok(status) => say(&status.to_string()),
        Err(cause) => not_asked(&cause),
    }
}

fn sandbox(args: SandboxArgs) -> Exit {
    match sandbox::run(args) {
        Ok(()) => Exit::Good,
        Err(cause) => fail(&cause, Exit::Usage),
    }
}

fn not_asked(cause: &AskError) -> Exit {
    let exit = match cause {
        AskError::NotReachable { .. } => Exit::NotReachable,
        AskError::Refused(_) | AskError::Broken(_) => Exit::No,
        AskError::File { .. } => Exit::Usage,
    };
    fail(cause, exit)
}

/// Says what failed, and why as far as that was not said yet.
fn fail(cause: &dyn Error, exit: Exit) -> Exit {
    let mut text = cause.to_string();
    let mut next = cause.source();
    while let Some(deeper) = next {
        let more = deeper.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        next = deeper.source();
    }
    eprintln!("tillgate: {text}");
    exit
}

/// A reader that has gone away (`| head`) is no failure.
fn say(text: &str) -> Exit {
    match writeln!(io::stdout(), "{text}") {
        Ok(()) => Exit::Good,
        Err(cause) if cause.kind() == io::ErrorKind::BrokenPipe => Exit::Good,
        Err(cause) => fail(&cause, Exit::No),
    }
}
