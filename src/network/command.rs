//! `tillgate network`: shows, checks, puts in place and takes away the files of a router. Starts no service.

use super::place::{self, PlaceError, Step};
use super::render::{self, Reader};
use super::settings::NetworkSettings;
use super::verify::{self, Finding};
use clap::{Args, Subcommand};
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};

/// Make this machine the guests' router, from the configuration
///
/// Writes files for dnsmasq, hostapd, systemd-networkd, sysctl and chrony where Debian expects them, and never over a
/// file that it did not write. Starts and stops nothing.
#[derive(Args, Debug)]
pub struct NetworkArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Print every file as it would be, without passphrases
    Show(ShowArgs),
    /// Say what is wrong: in the files, by the programs that read them, and on this machine
    Check(ShowArgs),
    /// Show what would change, and write it
    Apply(ApplyArgs),
    /// Take away every file that `apply` has written
    Clear(ClearArgs),
}

#[derive(Args, Debug)]
struct ShowArgs {
    /// The configuration
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

#[derive(Args, Debug)]
struct ApplyArgs {
    /// The configuration
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    #[command(flatten)]
    how: HowArgs,
}

#[derive(Args, Debug)]
struct ClearArgs {
    #[command(flatten)]
    how: HowArgs,
}

#[derive(Args, Debug)]
struct HowArgs {
    /// Do it without asking
    #[arg(long)]
    yes: bool,
    /// Files of ours that were changed by hand, too
    #[arg(long)]
    force: bool,
    /// Below this folder instead of the machine's own root, as for an image
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
}

/// How the command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Done, or nothing is wrong.
    Good,
    /// Something is in the way, or was found.
    No,
}

impl NetworkArgs {
    /// The configuration that it needs, if it needs one.
    pub fn config(&self) -> Option<&Path> {
        match &self.command {
            Command::Show(args) | Command::Check(args) => Some(&args.config),
            Command::Apply(args) => Some(&args.config),
            Command::Clear(_) => None,
        }
    }
}

/// Runs it. `settings`: what [`NetworkArgs::config`] holds under `[network]`; `None` where it names no file.
pub fn run(args: &NetworkArgs, settings: Option<&NetworkSettings>) -> io::Result<Ended> {
    match (&args.command, settings) {
        (Command::Show(_), Some(settings)) => show(settings),
        (Command::Check(_), Some(settings)) => check(settings),
        (Command::Apply(args), Some(settings)) => apply(&args.how, settings),
        (Command::Clear(args), _) => clear(&args.how),
        (Command::Show(_) | Command::Check(_) | Command::Apply(_), None) => {
            eprintln!("tillgate: the configuration has no [network]: docs/network.md says what stands there");
            Ok(Ended::No)
        }
    }
}

fn show(settings: &NetworkSettings) -> io::Result<Ended> {
    let mut out = io::stdout().lock();
    for (n, file) in render::files(settings).iter().enumerate() {
        let gap = if n > 0 { "\n" } else { "" };
        let mode = if file.secret { "  (for root only)" } else { "" };
        let text = place::without_secrets(&file.text);
        writeln!(out, "{gap}==> /{}{mode}\n{text}", file.path.display()).or_else(gone)?;
    }
    Ok(Ended::Good)
}

/// A reader that has gone away (`| head`) is no failure.
fn gone(cause: io::Error) -> io::Result<()> {
    if cause.kind() == io::ErrorKind::BrokenPipe { Ok(()) } else { Err(cause) }
}

fn check(settings: &NetworkSettings) -> io::Result<Ended> {
    let found = verify::check(settings, &render::files(settings));
    say_found(&found);
    let wrong = found.iter().filter(|finding| finding.wrong).count();
    match (wrong, found.len()) {
        (0, 0) => println!("nothing is wrong"),
        (0, odd) => println!("nothing is wrong; {odd} to look at"),
        (1, _) => println!("1 fault"),
        (more, _) => println!("{more} faults"),
    }
    Ok(if wrong == 0 { Ended::Good } else { Ended::No })
}

fn say_found(found: &[Finding]) {
    for finding in found {
        let kind = if finding.wrong { "fault" } else { "warning" };
        println!("{kind}: {}\n  = {}", finding.what, finding.fix);
    }
}

fn apply(how: &HowArgs, settings: &NetworkSettings) -> io::Result<Ended> {
    let wanted = render::files(settings);
    let refused = verify::before_writing(settings, &wanted);
    if refused.iter().any(|finding| finding.wrong) {
        say_found(&refused);
        eprintln!("tillgate: nothing was written");
        return Ok(Ended::No);
    }
    let steps = match place::plan(&how.root, &wanted, how.force) {
        Ok(steps) => steps,
        Err(error) => return failed(&error),
    };
    if !carry_out(how, &steps)? {
        return Ok(Ended::No);
    }
    let commands = tellings(settings, &wanted, &steps);
    if !commands.is_empty() && how.root == Path::new("/") {
        println!("\nIt counts from the next start of the machine, or from now on after:");
        commands.iter().for_each(|command| println!("  {command}"));
    }
    let edited = steps.iter().any(|step| matches!(step, Step::Edited(_)));
    Ok(if edited { Ended::No } else { Ended::Good })
}

/// Puts the files in place on this machine without a question, and names them. Returns the commands that tell their readers;
/// `None`: something was in the way, was said, and nothing was written.
pub fn put_in_place(settings: &NetworkSettings) -> io::Result<Option<Vec<String>>> {
    let root = Path::new("/");
    let wanted = render::files(settings);
    let refused = verify::before_writing(settings, &wanted);
    if refused.iter().any(|finding| finding.wrong) {
        say_found(&refused);
        return Ok(None);
    }
    let steps = match place::plan(root, &wanted, false) {
        Ok(steps) => steps,
        Err(error) => return failed(&error).map(|_| None),
    };
    let foreign = steps.iter().any(|step| matches!(step, Step::Foreign(_)));
    for step in &steps {
        match step {
            Step::Keep(_) => {}
            Step::Edited(path) => println!("  /{} was changed by hand and stays as it is", path.display()),
            Step::Foreign(path) => println!("  /{} is not ours: move it away, and run this again", path.display()),
            Step::Write { path, .. } if !foreign => println!("  /{} is written", path.display()),
            Step::Remove { path, .. } if !foreign => println!("  /{} goes", path.display()),
            Step::Write { .. } | Step::Remove { .. } => {}
        }
    }
    if foreign {
        return Ok(None);
    }
    match place::carry_out(root, &steps) {
        Ok(()) => Ok(Some(tellings(settings, &wanted, &steps))),
        Err(error) => failed(&error).map(|_| None),
    }
}

/// The commands that tell the readers of changed files.
fn tellings(settings: &NetworkSettings, wanted: &[render::Wanted], steps: &[Step]) -> Vec<String> {
    let changed = |path: &Path| steps.iter().any(|step| changes(step).is_some_and(|changed| changed == path));
    let mut readers: Vec<Reader> = wanted.iter().filter(|f| changed(&f.path)).map(|f| f.reader).collect();
    readers.sort();
    readers.dedup();
    readers.into_iter().map(|reader| told(reader, settings)).collect()
}

fn clear(how: &HowArgs) -> io::Result<Ended> {
    let steps = match place::removals(&how.root, how.force) {
        Ok(steps) => steps,
        Err(error) => return failed(&error),
    };
    if !carry_out(how, &steps)? {
        return Ok(Ended::No);
    }
    let edited = steps.iter().any(|step| matches!(step, Step::Edited(_)));
    Ok(if edited { Ended::No } else { Ended::Good })
}

/// Shows the steps, asks, and does them. False: it was not done.
fn carry_out(how: &HowArgs, steps: &[Step]) -> io::Result<bool> {
    let mut foreign = false;
    for step in steps {
        match step {
            Step::Keep(_) => {}
            Step::Edited(path) => {
                println!("/{} was changed by hand and stays as it is; --force gives it up", path.display());
            }
            Step::Foreign(path) => {
                foreign = true;
                println!("/{} is not ours; move it away first", path.display());
            }
            Step::Write { .. } | Step::Remove { .. } => print!("{}", place::diff(step)),
        }
    }
    if foreign {
        eprintln!("tillgate: nothing was written");
        return Ok(false);
    }
    let count = steps.iter().filter(|step| changes(step).is_some()).count();
    if count == 0 {
        println!("nothing to change");
        return Ok(true);
    }
    let files = if count == 1 { "1 file".to_owned() } else { format!("{count} files") };
    if !how.yes && !agreed(&format!("change {files}?"))? {
        eprintln!("tillgate: nothing was written");
        return Ok(false);
    }
    if let Err(error) = place::carry_out(&how.root, steps) {
        return failed(&error).map(|_| false);
    }
    println!("{files} changed");
    Ok(true)
}

fn changes(step: &Step) -> Option<&Path> {
    match step {
        Step::Write { path, .. } | Step::Remove { path, .. } => Some(path),
        Step::Keep(_) | Step::Edited(_) | Step::Foreign(_) => None,
    }
}

fn agreed(question: &str) -> io::Result<bool> {
    if !io::stdin().is_terminal() {
        eprintln!("{question} Nobody is there to ask: say --yes");
        return Ok(false);
    }
    print!("{question} [y/N] ");
    io::stdout().flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn failed(error: &PlaceError) -> io::Result<Ended> {
    eprintln!("tillgate: {error}");
    Ok(Ended::No)
}

/// How a reader is told of a change.
fn told(reader: Reader, settings: &NetworkSettings) -> String {
    match (reader, &settings.radio) {
        (Reader::Sysctl, _) => "systemctl restart systemd-sysctl".to_owned(),
        (Reader::Networkd, _) => "systemctl enable --now systemd-networkd && networkctl reload".to_owned(),
        (Reader::Dnsmasq, _) => "systemctl restart dnsmasq".to_owned(),
        (Reader::Hostapd, Some(radio)) => {
            format!("systemctl enable hostapd@{0} && systemctl restart hostapd@{0}", radio.link)
        }
        (Reader::Hostapd, None) => "systemctl stop 'hostapd@*'".to_owned(),
        (Reader::Chrony, _) => "systemctl restart chrony".to_owned(),
    }
}
