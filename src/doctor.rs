//! `tillgate doctor`: what is wrong with this box, each with what to do. Changes nothing, and needs no running daemon to begin.

use crate::config::{Config, Faults};
use crate::control::{self, AskError, PlatformState, Status};
use crate::network::{render, verify};
use clap::Args;
use std::fmt;
use std::path::PathBuf;
use std::process::Command;

/// Say what is wrong with this box, and what to do
///
/// Looks at the configuration, the running daemon, the platform, the clock, the disk, the guests' network with its
/// firewall, and each till's line.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  tillgate doctor --config /etc/tillgate/tillgate.toml

Exit codes: 0 all is well, 1 something is wrong")]
pub struct DoctorArgs {
    /// The configuration
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Grade {
    Well,
    /// It may be right.
    Odd,
    Wrong,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    match control::status(&config.control) {
        Ok(mut status) => {
            status.clock.synchronised |= is_synchronised();
            found.extend(of_daemon(&status));
        }
        Err(error) => found.push(unanswered(&error)),
    }
    if let Some(settings) = &config.network {
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

fn of_daemon(status: &Status) -> Vec<Finding> {
    let mut found = vec![well("daemon", format!("tillgate {} runs", status.version))];
    found.push(match status.platform.state {
        PlatformState::Up => well("platform", "answers"),
        PlatformState::Unknown => odd("platform", "was not asked of late", "ask again in a minute"),
        PlatformState::Down => wrong(
            "platform",
            "does not answer: new sales are refused until it does",
            "see whether the box reaches the internet (`ip route`, the shop's router); journalctl -u tillgate says what it met",
        ),
    });
    found.push(of_clock(status));
    found.push(of_disk(status));
    found.push(of_books(status));
    found.push(of_backups(status));
    found.extend(of_network(status));
    found.extend(status.tills.iter().map(|till| {
        let part = format!("till {}", till.number);
        let bad = till.bad_frames.saturating_add(till.junk_bytes);
        match till.online {
            false => wrong(
                &part,
                format!("no line at {}", till.port),
                "plug the cable in; `tillgate listen` shows what comes",
            ),
            true if bad > 0 => odd(
                &part,
                format!("{} bytes of no sense and {} broken frames on its line", till.junk_bytes, till.bad_frames),
                "if this grows: look at speed and parity with `tillgate listen`, and at the cable",
            ),
            true => well(&part, "its line works"),
        }
    }));
    found
}

/// Whether the system says so: the daemon, which runs no program, knows of systemd-timesyncd only.
fn is_synchronised() -> bool {
    let asked = Command::new("timedatectl").args(["show", "--property=NTPSynchronized", "--value"]).output();
    asked.is_ok_and(|said| said.stdout.starts_with(b"yes"))
}

fn of_clock(status: &Status) -> Finding {
    let clock = &status.clock;
    let fix = "timedatectl; a time server must be in reach";
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

fn of_disk(status: &Status) -> Finding {
    let disk = &status.disk;
    let free = disk.free_bytes >> 20;
    let fix = "make room where the books are";
    match (disk.low, disk.fills_up()) {
        (true, _) => wrong("disk", format!("{free} MiB free: new sales are refused"), fix),
        (false, true) => odd("disk", format!("{free} MiB free: {}", disk.room()), fix),
        (false, false) => well("disk", format!("{free} MiB free")),
    }
}

fn of_books(status: &Status) -> Finding {
    let Some(damage) = &status.books.damage else { return well("books", "nothing is known to be wrong") };
    let fix = match &status.books.newest_backup {
        Some(newest) => format!("systemctl stop tillgate; tillgate restore {newest}; systemctl start tillgate"),
        None => "systemctl stop tillgate; tillgate restore BACKUP; systemctl start tillgate".to_owned(),
    };
    wrong("books", format!("are damaged, and new sales are refused: {damage}"), fix)
}

fn of_backups(status: &Status) -> Finding {
    let books = &status.books;
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
    use crate::control::{Books, Clock, Disk, Network, Platform, TillLine, Written};

    fn till(number: u16, online: bool, junk_bytes: u64) -> TillLine {
        let (label, port) = (String::new(), "/dev/ttyUSB0".to_owned());
        TillLine { number, label, port, online, junk_bytes, bad_frames: 0, sale: None }
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
            disk: Disk { free_bytes: 5 << 20, low: !good, ..Disk::default() },
            network: Network { governed: true, helper: good, ..Network::default() },
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
             ok     disk          5 MiB free\nok     books         nothing is known to be wrong\nok     backups       1 is kept\nok     firewall      is in place; 0 phones let through\n\
             ok     till 1        its line works"
        );
    }

    #[test]
    fn whatever_keeps_customers_from_paying_is_wrong_and_says_what_to_do() {
        let bad = status(false);
        assert_eq!(parts(&bad, Grade::Wrong), ["platform", "clock", "disk", "books", "firewall", "till 1"]);
        assert!(of_daemon(&bad).iter().all(|finding| (finding.grade == Grade::Well) == finding.fix.is_empty()));
        assert!(!Findings(of_daemon(&bad)).is_well());
    }

    #[test]
    fn what_was_mended_by_itself_is_odd() {
        let mut mended = status(true);
        (mended.network.restored, mended.network.refused) = (2, 1);
        mended.tills = vec![till(1, true, 9)];
        assert_eq!(parts(&mended, Grade::Odd), ["firewall", "firewall", "till 1"]);
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
            text.contains("odd    disk          5 MiB free: room for 50000 sales, 60 days as it goes now"),
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
}
