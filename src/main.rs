//! The command line: reads arguments, calls one thing, says how it went. Decides nothing.

use clap::{Args, Parser, Subcommand};
use std::fmt::Display;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tillgate::config::{self, Config, Faults};
use tillgate::control::{self, AskError};
use tillgate::logging;

/// Pay at the till on your own phone, over the shop's own Wi-Fi.
#[derive(Parser)]
#[command(
    name = "tillgate",
    version,
    arg_required_else_help = true,
    after_help = "\
Examples:
  tillgate check --config /etc/tillgate/tillgate.toml
  tillgate status

Exit codes:
  0   done, or the answer is yes
  1   the answer is no: faults were found, or the daemon refused
  2   the command line or the configuration cannot be used
  3   there is no daemon at the socket, or no permission to ask it
  70  a mistake in tillgate itself

Environment:
  TILLGATE_LOG  how much is logged: error, warn, info (the default), debug or trace"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Check(CheckArgs),
    Status(StatusArgs),
    Backup(BackupArgs),
}

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

/// Copy the books of a running daemon to a file
///
/// The daemon goes on working. The file is yours, appears whole or not at all, and is never written over.
#[derive(Args)]
#[command(after_help = "\
Examples:
  tillgate backup tillgate-$(date +%F).db
  tillgate backup /mnt/usb/books.db --socket /run/tillgate/control.sock

Exit codes: 0 it is there, 1 the daemon refused or the copy broke off, 2 the file cannot be written, 3 no daemon is there")]
struct BackupArgs {
    /// The new file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The daemon's socket
    #[arg(long, value_name = "PATH", default_value = config::CONTROL)]
    socket: PathBuf,
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
    let exit = match logging::start() {
        Ok(()) => match &cli.command {
            Command::Check(args) => check(&args.config),
            Command::Status(args) => status(args),
            Command::Backup(args) => backup(args),
        },
        Err(cause) => fail(&cause, Exit::Usage),
    };
    ExitCode::from(exit as u8)
}

fn check(file: &Path) -> Exit {
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

fn backup(args: &BackupArgs) -> Exit {
    match control::backup(&args.socket, &args.file) {
        Ok(bytes) => say(&format!("{}: {bytes} bytes", args.file.display())),
        Err(cause) => not_asked(&cause),
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

fn fail(cause: &dyn Display, exit: Exit) -> Exit {
    eprintln!("tillgate: {cause}");
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
