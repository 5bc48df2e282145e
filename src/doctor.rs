//! `tillgate doctor`: what is wrong with this box, each with what to do. Changes nothing, and needs no running daemon to begin.

mod holders;
mod links;
mod ports;
mod reach;
mod rights;

use crate::clock;
use crate::config::{Config, Faults, Trust, is_credential};
use crate::control::{
    self, AskError, Books, Certificate, CertificateState, Clock, Disk, PlatformState, Status, TillLine,
};
use crate::network::{render, verify};
use crate::platform::identity::Which;
use crate::store::{self, Copies, DISK_LOW_BYTES, Verified, VerifyError};
use crate::till::Port;
use clap::Args;
use rights::{Deed, USER, User};
use serde::Serialize;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Say what is wrong with this box, and what to do
///
/// Looks at the configuration, the running daemon, the platform and the way there, certificates, clock, disk, books, rights,
/// the guests' network with its firewall, each till's line, and at other programs that have a port of ours. As root it sees
/// all of that; otherwise less.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sudo tillgate doctor
  tillgate doctor --config /etc/tillgate/tillgate.toml --json | jq '.findings[] | select(.grade == \"wrong\")'

Exit codes: 0 all is well, 1 something is wrong")]
pub struct DoctorArgs {
    /// The configuration
    #[arg(long, value_name = "FILE", default_value = "/etc/tillgate/tillgate.toml")]
    config: PathBuf,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

impl DoctorArgs {
    /// To look at the box that has this configuration.
    pub fn of(config: &Path) -> DoctorArgs {
        DoctorArgs { config: config.to_owned(), json: false }
    }
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Grade {
    Well,
    /// It may be right.
    Odd,
    Wrong,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Finding {
    grade: Grade,
    part: String,
    what: String,
    /// What to do. Empty where all is well.
    fix: String,
}

/// All that was found; shows itself as text for people.
#[derive(Debug)]
pub struct Findings(Vec<Finding>);

impl Findings {
    /// Whether nothing is wrong.
    pub fn is_well(&self) -> bool {
        self.0.iter().all(|finding| finding.grade < Grade::Wrong)
    }

    /// As JSON: `{"well": true, "findings": [{"grade": "well", "part": .., "what": .., "fix": ..}]}`; the grades are well, odd
    /// and wrong.
    pub fn json(&self) -> String {
        serde_json::json!({ "well": self.is_well(), "findings": self.0 }).to_string()
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, Finding { grade, part, what, fix }) in self.0.iter().enumerate() {
            let word = match grade {
                Grade::Well => "ok",
                Grade::Odd => "odd",
                Grade::Wrong => "WRONG",
            };
            let line = if n == 0 { "" } else { "\n" };
            write!(f, "{line}{word:5}  {part:14}{what}")?;
            if !fix.is_empty() {
                write!(f, "\n{:21}-> {fix}", "")?;
            }
        }
        Ok(())
    }
}

fn well(part: &str, what: impl Into<String>) -> Finding {
    Finding { grade: Grade::Well, part: part.to_owned(), what: what.into(), fix: String::new() }
}

fn odd(part: &str, what: impl Into<String>, fix: impl Into<String>) -> Finding {
    Finding { grade: Grade::Odd, part: part.to_owned(), what: what.into(), fix: fix.into() }
}

fn wrong(part: &str, what: impl Into<String>, fix: impl Into<String>) -> Finding {
    Finding { grade: Grade::Wrong, ..odd(part, what, fix) }
}

/// Looks at everything.
pub fn examine(args: &DoctorArgs) -> Findings {
    let config = match Config::load(&args.config) {
        Ok(config) => config,
        Err(faults) => return Findings(vec![unusable(args, &faults)]),
    };
    let mut found = vec![well("configuration", format!("nothing is wrong in {}", args.config.display()))];
    found.extend(config.warnings.iter().map(|fault| odd("configuration", &fault.what, &fault.fix)));
    let mut status = control::status(&config.control);
    if let Ok(status) = &mut status {
        status.clock.synchronised |= is_synchronised();
    }
    let answers = status.is_ok();
    let platform_is_up = status.as_ref().is_ok_and(|status| status.platform.state == PlatformState::Up);
    match &status {
        Ok(status) => found.extend(of_daemon(status)),
        Err(error) => {
            found.push(unanswered(error));
            found.push(clock());
            found.push(of_certificate(&reach::own_certificate(&config.platform)));
            found.push(disk(&config.store));
        }
    }
    found.extend(of_rights(&config, &args.config, answers));
    if !status.is_ok_and(|status| status.books.damage.is_some()) {
        found.push(books(&config));
    }
    found.extend(reach::certificates(&config));
    // A daemon that speaks with the platform has found it.
    if !platform_is_up {
        let name = reach::name(&config.platform.url);
        let known = name.as_ref().is_none_or(|finding| finding.grade == Grade::Well);
        found.extend(name);
        found.extend(known.then(|| reach::platform(&config.platform)));
    }
    found.extend(ports::look(&config, answers));
    if let Some(settings) = &config.network {
        found.extend(links::look(settings, answers));
        let files = verify::check(settings, &render::files(settings));
        if files.is_empty() {
            found.push(well("router", "its files and this machine fit"));
        }
        found.extend(files.into_iter().map(|finding| match finding.wrong {
            true => wrong("router", finding.what, finding.fix),
            false => odd("router", finding.what, finding.fix),
        }));
    }
    Findings(found)
}

fn unusable(args: &DoctorArgs, faults: &Faults) -> Finding {
    let file = args.config.display();
    match faults {
        Faults::Unreadable { .. } => {
            wrong("configuration", faults.to_string(), "name the file with --config, or run this as root")
        }
        Faults::Wrong(all) => {
            let what = format!("{file} has {} faults: the daemon does not start with it", all.len());
            wrong("configuration", what, format!("tillgate check --config {file}"))
        }
    }
}

fn unanswered(error: &AskError) -> Finding {
    match error {
        AskError::NotReachable { .. } => {
            wrong("daemon", error.to_string(), "systemctl status tillgate; journalctl -u tillgate says why it ended")
        }
        AskError::Refused(_) | AskError::Broken(_) | AskError::File { .. } => {
            wrong("daemon", error.to_string(), "systemctl restart tillgate")
        }
    }
}

/// Whether the date can be right, where no daemon says so.
fn clock() -> Finding {
    match clock::Clock::judges_certificates() {
        true => well("clock", "its date can be right"),
        false => wrong("clock", "its date is long ago: no certificate can be checked", SET_CLOCK),
    }
}

const SET_CLOCK: &str = "timedatectl; a time server must be in reach";

fn disk(books: &Path) -> Finding {
    let folder = books.ancestors().skip(1).find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    match store::disk_free_bytes(folder) {
        Ok(free) => room(free, free < DISK_LOW_BYTES),
        Err(error) => {
            wrong("disk", format!("{} cannot be looked at: {error}", folder.display()), "see the disk: dmesg")
        }
    }
}

/// Said before new sales are refused, so that somebody can come in time.
const ROOM_SOON: u64 = 4 * DISK_LOW_BYTES;

const MAKE_ROOM: &str = "make room where the books are: journalctl --vacuum-size=50M, apt clean, old backups";

fn room(free: u64, low: bool) -> Finding {
    let mebibytes = free >> 20;
    match low {
        true => wrong("disk", format!("{mebibytes} MiB free: new sales are refused"), MAKE_ROOM),
        false if free < ROOM_SOON => {
            let what = format!("{mebibytes} MiB free; below {} MiB new sales are refused", DISK_LOW_BYTES >> 20);
            odd("disk", what, MAKE_ROOM)
        }
        false => well("disk", format!("{mebibytes} MiB free")),
    }
}

/// Reads the books from their first row to their last.
fn books(config: &Config) -> Finding {
    if !config.store.exists() {
        return well("books", "there are none yet: the daemon makes them");
    }
    match store::verify(&config.store, &mut |_, _| ()) {
        Ok(Verified { rows, .. }) => well("books", format!("all {rows} rows fit")),
        Err(VerifyError::Open(error)) if !error.is_damage() => {
            wrong("books", error.to_string(), "run this as root, where they may not be read")
        }
        Err(error) => {
            let kept = Copies { folder: config.backups.folder.clone(), keep: config.backups.keep };
            let newest = kept.all().ok().and_then(|all| all.last().map(|newest| newest.path.display().to_string()));
            let what = match &error {
                VerifyError::Open(error) => error.to_string(),
                VerifyError::Unreadable(_) | VerifyError::Damaged(_) | VerifyError::Bad(_) => error.to_string(),
            };
            damaged(&what, newest.as_deref())
        }
    }
}

/// What the daemon's user may not do, if this machine has that user. A daemon that runs may have been given it otherwise.
fn of_rights(config: &Config, file: &Path, daemon_answers: bool) -> Vec<Finding> {
    let Some(user) = User::named(USER) else { return Vec::new() };
    let folder = config.store.parent().unwrap_or(Path::new("/"));
    let mut needed = vec![(Deed::Read, file), (Deed::Fill, folder)];
    if config.backups.keep > 0 {
        needed.push((Deed::Fill, &config.backups.folder));
    }
    let identity;
    match &config.platform.trust {
        Trust::Named(named) => {
            needed.extend([&named.ca, &named.certificate, &named.key].map(|path| (Deed::Read, path.as_path())));
        }
        // A renewal puts another file in its place.
        Trust::Enrolled(folder, _) => {
            identity = folder.file(Which::Identity);
            needed.push((Deed::Read, &identity));
            needed.extend(identity.parent().map(|folder| (Deed::Fill, folder)));
        }
    }
    if let Some(secure) = &config.portal.secure {
        needed.extend([&secure.certificate, &secure.key].map(|path| (Deed::Read, path.as_path())));
    }
    for till in &config.tills {
        if let Port::Serial(path) = &till.port {
            needed.push((Deed::Write, path));
        }
    }
    needed.retain(|(_, path)| !is_credential(path));
    let grade = if daemon_answers { Grade::Odd } else { Grade::Wrong };
    let mut found: Vec<Finding> = Vec::new();
    for (deed, path) in needed {
        let Some(closed) = user.kept_from(deed, path) else { continue };
        let (what, fix) = match deed {
            Deed::Read => ("read", format!("chgrp {USER} {0} && chmod g+rX {0}", closed.display())),
            Deed::Write => {
                ("open", format!("put the user {USER} into the group of the port: ls -l {}", closed.display()))
            }
            Deed::Fill => ("write in", format!("chown {USER}: {}", closed.display())),
        };
        let what = format!("the user {USER} may not {what} {}: {} keeps it out", path.display(), closed.display());
        found.push(Finding { grade, ..odd("rights", what, fix) });
    }
    if found.is_empty() {
        found.push(well("rights", format!("the user {USER} may do what it has to")));
    }
    found
}

fn of_daemon(status: &Status) -> Vec<Finding> {
    let mut found = vec![well("daemon", format!("tillgate {} runs", status.version))];
    found.extend(match status.platform.state {
        PlatformState::Up => Some(well("platform", "answers")),
        // Then it is asked here.
        PlatformState::Unknown => None,
        PlatformState::Down => Some(wrong(
            "platform",
            "does not answer: new sales are refused until it does",
            "see whether the box reaches the internet (`ip route`, the shop's router); journalctl -u tillgate says what it met",
        )),
    });
    found.push(of_clock(&status.clock));
    found.push(of_certificate(&status.certificate));
    found.push(of_disk(&status.disk));
    // Where it knows of none, they are read here.
    found.extend(status.books.damage.as_ref().map(|what| damaged(what, status.books.newest_backup.as_deref())));
    found.push(of_backups(&status.books));
    found.extend(of_network(status));
    found.extend(status.tills.iter().map(of_till));
    found
}

/// Who the box is at the platform, and for how long yet.
fn of_certificate(certificate: &Certificate) -> Finding {
    let until = certificate.until.as_deref().unwrap_or("an unknown time");
    let new = match certificate.renews_at {
        Some(_) => "ask the platform for a code, then: tillgate enroll URL CODE; systemctl reload tillgate",
        None => "ask the platform for a new certificate, put it where [platform] says, then: systemctl reload tillgate",
    };
    match (certificate.state, &certificate.failing) {
        (CertificateState::Ended, _) => wrong("certificate", format!("has ended {until}: new sales are refused"), new),
        (CertificateState::Ending, why) => {
            let why = why.as_ref().map(|why| format!("; it could not be renewed: {why}")).unwrap_or_default();
            wrong("certificate", format!("ends {until}{why}"), new)
        }
        (CertificateState::Good | CertificateState::Unknown, Some(why)) => {
            let what = format!("could not be renewed yet: {why}");
            odd("certificate", what, format!("it is tried again by itself, and counts until {until}"))
        }
        (CertificateState::Good, None) => well("certificate", format!("counts until {until}")),
        (CertificateState::Unknown, None) => odd(
            "certificate",
            format!("counts until {until}"),
            "set the clock, and look at the file that [platform] names",
        ),
    }
}

/// No protocol lets a terminal speak first: the till has to.
fn of_till(till: &TillLine) -> Finding {
    let part = format!("till {}", till.number);
    let bad = till.bad_frames.saturating_add(till.junk_bytes);
    match (till.online, till.heard_secs) {
        (false, _) => {
            wrong(&part, format!("no line at {}", till.port), "plug the cable in; `tillgate listen` shows what comes")
        }
        (true, _) if bad > 0 => odd(
            &part,
            format!("{} bytes of no sense and {} broken frames on its line", till.junk_bytes, till.bad_frames),
            "if this grows: look at speed and parity with `tillgate listen`, and at the cable",
        ),
        (true, None) => odd(
            &part,
            "its line is open, and nothing was heard of it since the daemon started",
            "press its payment key and look again; if that changes nothing, the cable or the till's settings are wrong: \
             docs/tills.md",
        ),
        (true, Some(secs)) => well(&part, format!("its line works; last heard {secs} s ago")),
    }
}

/// Whether the system says so: the daemon, which runs no program, knows of systemd-timesyncd only.
fn is_synchronised() -> bool {
    let asked = Command::new("timedatectl").args(["show", "--property=NTPSynchronized", "--value"]).output();
    asked.is_ok_and(|said| said.stdout.starts_with(b"yes"))
}

fn of_clock(clock: &Clock) -> Finding {
    let fix = SET_CLOCK;
    match (clock.trusted, clock.synchronised, clock.may_be_late) {
        (false, _, _) => wrong("clock", "is not set: new sales are refused", fix),
        (true, true, _) => well("clock", "is set by a time server"),
        (true, false, true) => odd(
            "clock",
            "is set, but may be late: no time server is known of, and the machine's clock has no battery",
            fix,
        ),
        (true, false, false) => well("clock", "is set"),
    }
}

fn of_disk(disk: &Disk) -> Finding {
    match !disk.low && disk.fills_up() {
        true => odd("disk", format!("{} MiB free: {}", disk.free_bytes >> 20, disk.room()), MAKE_ROOM),
        false => room(disk.free_bytes, disk.low),
    }
}

/// A phone that comes would start it again by the socket that it comes to.
const STOP: &str = "systemctl stop 'tillgate-http*' tillgate";

fn damaged(what: &str, newest: Option<&str>) -> Finding {
    let fix = format!("{STOP}; tillgate restore {}; systemctl start tillgate", newest.unwrap_or("BACKUP"));
    wrong("books", format!("are damaged, and new sales are refused: {what}"), fix)
}

fn of_backups(books: &Books) -> Finding {
    let Some(folder) = &books.backups else {
        return odd("backups", "none are made", "set store.backups_keep to more than 0");
    };
    let kept = match books.backups_kept {
        1 => "1 is kept".to_owned(),
        kept => format!("{kept} are kept"),
    };
    match &books.backup_failed {
        Some(why) => wrong("backups", format!("the last could not be made: {why}"), format!("see {folder}")),
        None => well("backups", kept),
    }
}

fn of_network(status: &Status) -> Vec<Finding> {
    let network = &status.network;
    if !network.governed {
        return vec![well("firewall", "not this box's affair: there is no [network] in the configuration")];
    }
    let mut found = vec![match network.helper {
        true => well("firewall", format!("is in place; {} phones let through", network.let_through)),
        false => wrong(
            "firewall",
            "its helper does not answer: guests stay captive, and no phone can pay",
            "systemctl restart tillgate-netd; journalctl -u tillgate-netd says why it ended",
        ),
    }];
    if network.restored > 0 {
        found.push(odd(
            "firewall",
            format!("its table was taken away {} times since the daemon started, and put back", network.restored),
            "another program flushes tables: look for nftables.service, firewalld or scripts; journalctl -u tillgate-netd says when",
        ));
    }
    if network.refused > 0 {
        found.push(odd(
            "firewall",
            format!("{} phones were not let through by the helper", network.refused),
            "journalctl -u tillgate-netd says which; it and the daemon must read the same configuration",
        ));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{Network, Platform, Written};

    fn till(number: u16, online: bool, junk_bytes: u64) -> TillLine {
        let (label, port) = (String::new(), "/dev/ttyUSB0".to_owned());
        TillLine { number, label, port, online, junk_bytes, bad_frames: 0, heard_secs: Some(3), sale: None }
    }

    fn status(good: bool) -> Status {
        Status {
            version: "1.2.3".to_owned(),
            uptime_secs: 1,
            tills: vec![till(1, good, 0)],
            phones: 0,
            sales: Vec::new(),
            platform: Platform {
                state: if good { PlatformState::Up } else { PlatformState::Down },
                last_answer_secs: None,
            },
            clock: Clock { trusted: good, ..Clock::default() },
            disk: Disk { free_bytes: 500 << 20, low: !good, ..Disk::default() },
            network: Network { governed: true, helper: good, ..Network::default() },
            certificate: Certificate {
                state: if good { CertificateState::Good } else { CertificateState::Ended },
                until: Some("2027-02-20T11:00:00Z".to_owned()),
                renews_at: Some("2027-01-21T11:00:00Z".to_owned()),
                failing: None,
            },
            books: Books {
                damage: (!good).then(|| "page 7 is torn".to_owned()),
                backups: Some("/backups".to_owned()),
                newest_backup: Some("/backups/tillgate-2027-01-15-r7.db".to_owned()),
                backups_kept: 1,
                ..Books::default()
            },
            written: Written::default(),
        }
    }

    fn parts(status: &Status, grade: Grade) -> Vec<String> {
        let of = of_daemon(status).into_iter().filter(|finding| finding.grade == grade);
        of.map(|finding| finding.part).collect()
    }

    #[test]
    fn a_box_on_which_all_is_well_has_nothing_to_do() {
        let found = Findings(of_daemon(&status(true)));
        assert!(found.is_well());
        assert_eq!(
            found.to_string(),
            "ok     daemon        tillgate 1.2.3 runs\nok     platform      answers\nok     clock         is set\n\
             ok     certificate   counts until 2027-02-20T11:00:00Z\n\
             ok     disk          500 MiB free\nok     backups       1 is kept\n\
             ok     firewall      is in place; 0 phones let through\n\
             ok     till 1        its line works; last heard 3 s ago"
        );
    }

    #[test]
    fn whatever_keeps_customers_from_paying_is_wrong_and_says_what_to_do() {
        let bad = status(false);
        assert_eq!(
            parts(&bad, Grade::Wrong),
            ["platform", "clock", "certificate", "disk", "books", "firewall", "till 1"]
        );
        assert!(of_daemon(&bad).iter().all(|finding| (finding.grade == Grade::Well) == finding.fix.is_empty()));
        assert!(!Findings(of_daemon(&bad)).is_well());
    }

    #[test]
    fn what_was_mended_by_itself_is_odd() {
        let mut mended = status(true);
        (mended.network.restored, mended.network.refused) = (2, 1);
        let silent = TillLine { heard_secs: None, ..till(2, true, 0) };
        mended.tills = vec![till(1, true, 9), silent];
        mended.disk.free_bytes = 200 << 20;
        assert_eq!(parts(&mended, Grade::Odd), ["disk", "firewall", "firewall", "till 1", "till 2"]);
        let text = Findings(of_daemon(&mended)).to_string();
        assert!(
            text.contains("odd    firewall      its table was taken away 2 times since the daemon started"),
            "{text}"
        );
        assert!(Findings(of_daemon(&mended)).is_well());
    }

    #[test]
    fn what_will_be_wrong_one_day_is_said_long_before() {
        let mut soon = status(true);
        soon.clock.may_be_late = true;
        (soon.disk.sales_left, soon.disk.days_left) = (Some(50_000), Some(60));
        soon.books.backup_failed = Some("a backup needs 90 MiB of room".to_owned());
        assert_eq!(parts(&soon, Grade::Odd), ["clock", "disk"]);
        assert_eq!(parts(&soon, Grade::Wrong), ["backups"]);
        let text = Findings(of_daemon(&soon)).to_string();
        assert!(
            text.contains("odd    disk          500 MiB free: room for 50000 sales, 60 days as it goes now"),
            "{text}"
        );
        soon.books.damage = Some("page 7 is torn".to_owned());
        let text = Findings(of_daemon(&soon)).to_string();
        assert!(text.contains("tillgate restore /backups/tillgate-2027-01-15-r7.db"), "{text}");
    }

    #[test]
    fn a_network_of_another_router_is_none_of_our_affair() {
        let mut other = status(true);
        other.network = Network::default();
        assert_eq!(parts(&other, Grade::Well).len(), 8);
    }

    #[test]
    fn a_certificate_that_is_not_renewed_is_odd_at_first_and_wrong_towards_its_end() {
        let mut failing = status(true);
        failing.certificate.failing = Some("the platform cannot be reached".to_owned());
        assert_eq!(parts(&failing, Grade::Odd), ["certificate"]);
        failing.certificate.state = CertificateState::Ending;
        assert_eq!(parts(&failing, Grade::Wrong), ["certificate"]);
        let text = Findings(of_daemon(&failing)).to_string();
        assert!(text.contains("cannot be reached") && text.contains("tillgate enroll"), "{text}");
        failing.certificate.renews_at = None;
        assert!(!Findings(of_daemon(&failing)).to_string().contains("enroll"), "people renew it");
    }
}
