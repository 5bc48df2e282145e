//! `tillgate enroll`: makes this box known to a payment platform, by a code that counts once. Asks, calls, and says how it
//! went; the steps are in `enrol.rs`.

use super::code::{CHARS, Code, CodeError};
use super::enrol::{EnrolError, Remedy, date, enrol};
use super::identity::{Folder, Identity, Which};
use crate::clock::Clock;
use clap::Args;
use std::fmt;
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

/// Where the daemon's state is unless something else is said.
pub const STATE: &str = "/var/lib/tillgate";

/// Make this box known to a payment platform, with the code that it shows
///
/// The key is made on this box and never leaves it. The code counts once, says which key the platform must have, and has
/// characters that give away a mistyped one before anything is sent. Whatever ends this command, the box is who it was, or
/// whole and new: run it again with the same code, and it goes on where it ended. From then on [platform] in the
/// configuration needs no keys, and the certificate is renewed by itself at two thirds of its life.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sudo tillgate enroll https://payments.example:7444 7K2M-9QXA-4T00-0G40-R40M-30E2-0918-5GGS
  sudo tillgate enroll https://payments.example:7444
  sudo tillgate enroll --config /etc/tillgate/tillgate.toml https://payments.example:7444 < code.txt

Exit codes:
  0  this box is enrolled (also if it was already, by this code)
  1  the platform says no, or is not who it should be: ask it for a new code
  2  the code is mistyped, or something on this machine is in the way: nothing was sent, or the text says so
  3  the platform did not answer: the same command again goes on")]
pub struct EnrollArgs {
    /// The platform's address for enrolling
    #[arg(value_name = "URL")]
    url: String,
    /// The code that the platform shows; without it, it is asked for
    #[arg(value_name = "CODE")]
    code: Vec<String>,
    /// The daemon's state directory; by default where --config has its books, else /var/lib/tillgate
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// The configuration; only where it has its books is read
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Why it did not come to it.
#[derive(Debug)]
pub enum EnrollError {
    /// The code was not typed right.
    Code(CodeError),
    /// The steps ended early.
    Enrol(EnrolError),
    /// The system does not let us begin.
    System(io::Error),
}

impl EnrollError {
    /// What a person can do about it.
    pub fn remedy(&self) -> Remedy {
        match self {
            EnrollError::Code(_) | EnrollError::System(_) => Remedy::Mend,
            EnrollError::Enrol(error) => error.remedy(),
        }
    }
}

impl fmt::Display for EnrollError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EnrollError::Code(error) => error.fmt(f),
            EnrollError::Enrol(error) => error.fmt(f),
            EnrollError::System(error) => error.fmt(f),
        }
    }
}

// What lies below is in the text already.
impl std::error::Error for EnrollError {}

/// What came of it; shows itself as text for people.
#[derive(Debug)]
pub struct Enrolled {
    identity: Identity,
    file: PathBuf,
}

impl Enrolled {
    /// The platform's address from now on.
    pub fn url(&self) -> &str {
        self.identity.url()
    }
}

impl fmt::Display for Enrolled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let life = self.identity.life();
        writeln!(f, "enrolled at {}", self.identity.url())?;
        writeln!(f, "  certificate  until {}, renewed by itself from {} on", date(life.until), date(life.renew_at(0)))?;
        writeln!(f, "  kept in      {}", self.file.display())?;
        write!(f, "a daemon that runs takes it with: systemctl reload tillgate")
    }
}

/// Does it. `state`: the daemon's state directory.
pub fn run(args: &EnrollArgs, state: &Path) -> Result<Enrolled, EnrollError> {
    let typed = match args.code.is_empty() {
        true => asked().map_err(EnrollError::System)?,
        false => args.code.concat(),
    };
    let code = Code::parse(&typed).map_err(EnrollError::Code)?;
    join(&args.url, &code, &Folder::below(state))
}

/// The steps, with a code that was typed right.
pub fn join(url: &str, code: &Code, folder: &Folder) -> Result<Enrolled, EnrollError> {
    let now = Clock::new(None).map_err(EnrollError::System)?.now().wall;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(EnrollError::System)?;
    let identity = runtime.block_on(enrol(folder, url, code, now)).map_err(EnrollError::Enrol)?;
    Ok(Enrolled { identity, file: folder.file(Which::Identity) })
}

/// One line from standard input: on the command line every user of the machine could read it.
fn asked() -> io::Result<String> {
    if io::stdin().is_terminal() {
        write!(io::stderr(), "the code that the platform shows ({CHARS} characters, dashes as you like): ")?;
    }
    let mut line = String::new();
    io::BufReader::new(io::stdin().take(1_024)).read_line(&mut line)?;
    Ok(line)
}
