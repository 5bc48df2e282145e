//! `tillgate setup`: from a bare box to a shop that is open, and every change after that. Asks, or takes answers; decides
//! nothing about what is right, which is for `check`, and nothing about how the box is, which is for `doctor`.

mod args;
mod ask;
mod draft;
mod file;
mod interrupt;
mod machine;
mod questions;
mod service;
mod tills;
mod usual;

pub use args::SetupArgs;

use crate::config::{Config, Faults, Trust, is_credential};
use crate::doctor::{self, DoctorArgs};
use crate::platform::command;
use crate::platform::identity::Which;
use ask::{Stop, Terminal};
use draft::Draft;
use interrupt::Written;
use machine::Facts;
use questions::Joining;
use service::Started;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use usual::Secret;

/// All is well.
pub const EXIT_DONE: u8 = 0;
/// Nothing was written.
pub const EXIT_NOTHING: u8 = 1;
/// The command line, the answers or the present file cannot be used.
pub const EXIT_USAGE: u8 = 2;
/// It is written, and something is left to do.
pub const EXIT_LEFT: u8 = 4;

/// How long it listens where nobody says otherwise.
const LISTEN_SECS: u64 = 60;

/// Why it ended early; the text was not said yet.
enum Failed {
    Usage(String),
    Nothing(String),
}

impl From<Stop> for Failed {
    fn from(stop: Stop) -> Failed {
        match stop {
            Stop::Ended => Failed::Nothing("the answers ended".to_owned()),
            Stop::Broken(cause) => Failed::Nothing(format!("the terminal is gone: {cause}")),
        }
    }
}

/// Sets the box up. Returns the exit code; all that a person should read has been printed.
pub fn run(args: &SetupArgs) -> u8 {
    match set_up(args) {
        Ok(code) => code,
        Err(Failed::Usage(text)) => {
            eprintln!("tillgate: {text}");
            EXIT_USAGE
        }
        Err(Failed::Nothing(text)) => {
            eprintln!("\ntillgate: {text}; nothing was written");
            EXIT_NOTHING
        }
    }
}

fn set_up(args: &SetupArgs) -> Result<u8, Failed> {
    let usage = Failed::Usage;
    let config = args::whole(&args.config).map_err(usage)?;
    if !args.yes && !io::stdin().is_terminal() {
        return Err(usage(NOBODY.to_owned()));
    }
    file::may_be_put(&config).map_err(|e| {
        usage(format!("{} cannot be written: {e}; run it as root: sudo tillgate setup", config.display()))
    })?;
    let old = file::read(&config).map_err(|e| usage(format!("cannot read {}: {e}", config.display())))?;
    let draft = Draft::of(old.as_deref())
        .map_err(|what| usage(format!("{} is no TOML; mend it or move it away\n{what}", config.display())))?;
    let written = Written::watch();
    let Answers { draft, secret, joining } = answered(args, draft, &config)?;
    let new = draft.text();
    let before = old.clone().unwrap_or_default();
    let changed = new != before || secret.is_some();
    show(&config, &before, &new, secret.as_ref());
    let mut missing = missing(&draft, &config, joining.as_ref());
    let put_off = missing.len().saturating_add(usize::from(joining.is_some()));
    let mut checked = check(&config, &draft, secret.as_ref(), put_off)?;
    let closed = closed(checked.as_ref());
    if checked.as_ref().is_some_and(|config| config.network.is_some()) && !args.no_start && service::has_manager() {
        println!(
            "Then this box becomes the router of your customers' network; `tillgate network show` prints its files."
        );
    }
    if let Some(Joining { url, .. }) = &joining {
        println!("Then this box makes a key of its own and enrols at {url} with the code.");
    }
    if changed || !closed.is_empty() || joining.is_some() {
        if !args.yes && !agreed()? {
            return Err(Failed::Nothing("as you wish".to_owned()));
        }
        write(&config, old, &new, secret.as_ref(), &written)?;
        for file in &closed {
            let opened = file::open_to_daemon(file);
            opened.unwrap_or_else(|e| println!("{}: the service may not read it: {e}", file.display()));
        }
    }
    let changed = changed || joining.is_some();
    if let Some(joining) = joining {
        checked = join(&joining, &draft, &config, &mut missing);
    }
    finish(args, &config, changed, before_had_network(&before), checked, &missing)
}

const NOBODY: &str = "there is no terminal to ask at: say --yes, and what is to be in a file (--answers FILE) or in flags; \
                      tillgate setup --help shows how";

/// What is to be done.
struct Answers {
    draft: Draft,
    secret: Option<Secret>,
    joining: Option<Joining>,
}

/// Flags, file, usual answers, and what a person says to all that.
fn answered(args: &SetupArgs, mut draft: Draft, config: &Path) -> Result<Answers, Failed> {
    args.put_in(&mut draft).map_err(Failed::Usage)?;
    if args.no_network() {
        usual::no_network(&mut draft);
    }
    let facts = Facts::of_this_machine();
    usual::shop(&mut draft, &facts);
    usual::network(&mut draft, &facts);
    let all = machine::serial_ports();
    let ports = match args.ports() {
        [] => all,
        named => named.iter().map(|port| tills::named(port, &all)).collect(),
    };
    let ports = tills::free(ports, &draft);
    let mut at = Terminal::new(io::stdin().lock(), io::stdout().lock());
    let mut joining = None;
    if args.yes {
        if let Some(seconds) = args.listen {
            tills::take(&mut at, &mut draft, &ports, seconds)?;
        }
    } else {
        at.say(WELCOME)?;
        joining = questions::ask(&mut at, &mut draft, &facts, config)?;
        tills::ask(&mut at, &mut draft, &ports, args.listen.unwrap_or(LISTEN_SECS))?;
    }
    usual::portal(&mut draft, &facts);
    let secret = usual::secret(&mut draft, config).map_err(Failed::Usage)?;
    let is_new = |secret: &Secret| file::read(&secret.file).ok().flatten().as_ref() != Some(&secret.text);
    Ok(Answers { draft, secret: secret.filter(is_new), joining })
}

const WELCOME: &str = "\
Tillgate asks what it must know of your shop. Enter takes what stands in [brackets]; Ctrl-C ends, and then nothing was
written. You can run this again at any time: it shows what is set, and changes only what you change.";

fn show(config: &Path, before: &str, new: &str, secret: Option<&Secret>) {
    let difference = file::diff(config, before, new);
    if difference.is_empty() && secret.is_none() {
        println!("\nNothing changes in {}.", config.display());
        return;
    }
    println!("\nThis is to be written:\n\n{difference}");
    if let Some(secret) = secret {
        println!("The password of the Wi-Fi goes to {}, for root only.\n", secret.file.display());
    }
}

/// What a draft may lack for now, each with what to do.
fn missing(draft: &Draft, config: &Path, joining: Option<&Joining>) -> Vec<String> {
    let mut missing = Vec::new();
    let also = also(config);
    if joining.is_none() && !draft.names_keys() && !draft.identity().file(Which::Identity).exists() {
        missing.push(format!(
            "There is no payment platform yet. Once it shows you an address and a code: sudo tillgate enroll {also}URL CODE; \
             once it gives you files: sudo tillgate setup {also}"
        ));
    }
    if draft.tills().is_empty() {
        missing.push(format!("There is no till yet. Plug one in, then: sudo tillgate setup {also}"));
    }
    missing
}

/// Which configuration commands mean, where it is not the usual one.
fn also(config: &Path) -> String {
    if config == Path::new(args::CONFIG) { String::new() } else { format!("--config {} ", config.display()) }
}

/// Enrols this box by what was written. `None`: the shop cannot open yet, and `missing` says why.
fn join(Joining { url, code }: &Joining, draft: &Draft, config: &Path, missing: &mut Vec<String>) -> Option<Config> {
    match command::join(url, code, &draft.identity()) {
        Ok(enrolled) => println!("This box is enrolled at {}.", enrolled.url()),
        Err(error) => {
            let again = format!("sudo tillgate enroll {}{url} CODE", also(config));
            missing.push(format!("This box is not enrolled: {error}. To try again: {again}"));
            return None;
        }
    }
    match Config::load(config) {
        Ok(found) => Some(found),
        Err(faults) => {
            if missing.is_empty() {
                missing.push(faults.to_string());
            }
            None
        }
    }
}

/// Looks at the new text as `tillgate check` would. `None`: it lacks only what was put off, each of which is one fault.
fn check(config: &Path, draft: &Draft, secret: Option<&Secret>, put_off: usize) -> Result<Option<Config>, Failed> {
    let unwritten = secret.map(|secret| file::Unwritten::of(&secret.text)).transpose();
    let unwritten = unwritten.map_err(|e| Failed::Nothing(format!("the system gives no memory: {e}")))?;
    let mut tried = draft.clone();
    if let Some(unwritten) = &unwritten {
        tried.set("network.wifi", "passphrase_file", draft::path(&unwritten.path()));
    }
    match Config::parse(config, &tried.text()) {
        Ok(found) => {
            for warning in &found.warnings {
                println!("warning: {warning}");
            }
            Ok(Some(found))
        }
        Err(Faults::Wrong(faults)) if faults.len() <= put_off => Ok(None),
        Err(faults) => Err(Failed::Nothing(format!("this is wrong with it:\n{faults}"))),
    }
}

/// The keys and certificates that the service could not read. Says so.
fn closed(checked: Option<&Config>) -> Vec<PathBuf> {
    let Some(config) = checked else { return Vec::new() };
    let mut all = Vec::new();
    // What `tillgate enroll` wrote belongs to whom the books belong to.
    if let Trust::Named(named) = &config.platform.trust {
        all.extend([&named.ca, &named.certificate, &named.key]);
    }
    all.extend(config.portal.secure.iter().flat_map(|secure| [&secure.certificate, &secure.key]));
    let closed: Vec<PathBuf> =
        all.into_iter().filter(|file| !is_credential(file) && file::is_closed_to_daemon(file)).cloned().collect();
    for file in &closed {
        println!("The service will be let read {} (group tillgate).", file.display());
    }
    closed
}

fn agreed() -> Result<bool, Failed> {
    let mut at = Terminal::new(io::stdin().lock(), io::stdout().lock());
    Ok(at.agree("Nothing is wrong with it. Until now nothing was written.", "Write it", true)?)
}

fn write(
    config: &Path,
    old: Option<String>,
    new: &str,
    secret: Option<&Secret>,
    written: &Written,
) -> Result<(), Failed> {
    let failed = |path: &Path| {
        let path = path.display().to_string();
        move |cause: io::Error| Failed::Nothing(format!("{path} cannot be written: {cause}"))
    };
    let mut hold = written.hold();
    if secret.is_none() && old.as_deref() == Some(new) {
        return Ok(());
    }
    if file::read(config).map_err(failed(config))? != old {
        let text = format!("somebody else has changed {} meanwhile: run this again", config.display());
        return Err(Failed::Nothing(text));
    }
    if let Some(secret) = secret {
        file::put(&secret.file, &secret.text, file::SECRET_MODE).map_err(failed(&secret.file))?;
    }
    file::put(config, new, file::CONFIG_MODE).map_err(failed(config))?;
    *hold = true;
    println!("\n{} is written.", config.display());
    Ok(())
}

fn before_had_network(before: &str) -> bool {
    Draft::of(Some(before)).is_ok_and(|draft| draft.has_section("network"))
}

/// Brings it into force and looks at the whole.
fn finish(
    args: &SetupArgs,
    config: &Path,
    changed: bool,
    had_network: bool,
    checked: Option<Config>,
    missing: &[String],
) -> Result<u8, Failed> {
    let Some(found) = checked else {
        println!("\nThe shop cannot open yet:");
        missing.iter().for_each(|what| println!("  {}", what.trim_end()));
        return Ok(EXIT_LEFT);
    };
    if had_network && found.network.is_none() {
        println!("This box is no router any more. What it had for that goes by: sudo tillgate network clear");
    }
    if args.no_start {
        println!("Nothing was started. To start it: systemctl daemon-reload; systemctl enable --now tillgate");
        return Ok(EXIT_DONE);
    }
    let left = |cause: io::Error| println!("\nIt was not brought into force: {cause}");
    if let Some(settings) = found.network.as_ref().filter(|_| service::has_manager()) {
        println!("\nThe customers' network:");
        match service::govern(settings) {
            Ok(true) => {}
            Ok(false) => println!("Something is in the way of the customers' network, see above."),
            Err(cause) => left(cause),
        }
    }
    match service::start(changed) {
        Ok(Started::Runs) => println!("\nThe service runs, and starts again with the box."),
        Ok(Started::NotOurs(why)) => {
            println!("\nIt was not started: {why}. To start it: tillgate run --config {}", config.display());
        }
        Ok(Started::Failed(what)) => println!("\n{what}"),
        Err(cause) => left(cause),
    }
    println!("\nHow the box is (tillgate doctor says so at any time):");
    let health = doctor::examine(&DoctorArgs::of(config));
    println!("{health}");
    Ok(if health.is_well() { EXIT_DONE } else { EXIT_LEFT })
}
