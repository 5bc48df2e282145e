//! How things stand, as the daemon tells it and as people read it. Finds nothing out itself.

use serde::{Deserialize, Serialize};
use std::fmt;

/// How things stand in a running daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The daemon's version.
    pub version: String,
    /// Seconds since it started.
    pub uptime_secs: u64,
    /// The tills, by number.
    pub tills: Vec<TillLine>,
    /// Phones with a session.
    pub phones: u64,
    /// The sales under way.
    pub sales: Vec<SaleLine>,
    /// The platform.
    pub platform: Platform,
    /// The clock.
    pub clock: Clock,
    /// The disk that holds the books.
    pub disk: Disk,
    /// What phones reach.
    pub network: Network,
    /// How this box proves who it is at the platform.
    #[serde(default)]
    pub certificate: Certificate,
    /// The books.
    pub books: Books,
    /// What is written to the disk.
    pub written: Written,
}

/// The box's certificate at the platform.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// How near its end it is.
    pub state: CertificateState,
    /// Its last moment (RFC 3339), if known.
    pub until: Option<String>,
    /// From when on it is renewed by itself (RFC 3339). `None`: people renew it.
    pub renews_at: Option<String>,
    /// Why the last renewal failed, if it did.
    pub failing: Option<String>,
}

/// How near its end a certificate is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CertificateState {
    /// There is time.
    Good,
    /// It ends soon.
    Ending,
    /// It does not count any more.
    Ended,
    /// Its time or the machine's is not known.
    #[default]
    Unknown,
}

impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let until = self.until.as_deref().unwrap_or("an unknown time");
        match self.state {
            CertificateState::Good | CertificateState::Unknown => write!(f, "until {until}")?,
            CertificateState::Ending => write!(f, "ENDS {until}")?,
            CertificateState::Ended => write!(f, "HAS ENDED {until}: new sales are refused")?,
        }
        match (&self.failing, &self.renews_at) {
            (Some(why), _) => write!(f, "; RENEWAL FAILS: {why}"),
            (None, Some(at)) => write!(f, ", renewed by itself from {at} on"),
            (None, None) => f.write_str(", renewed by people"),
        }
    }
}

/// The books, and the backups that the daemon makes of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Books {
    /// What is wrong with them, if something is: then no new sale is taken.
    pub damage: Option<String>,
    /// Sales and returns on them.
    pub sales: Option<u64>,
    /// Where backups are kept, unless none are to be made.
    pub backups: Option<String>,
    /// The file of the newest.
    pub newest_backup: Option<String>,
    /// How many there are.
    pub backups_kept: u64,
    /// Why the last one could not be made.
    pub backup_failed: Option<String>,
}

impl fmt::Display for Books {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.damage, self.sales) {
            (Some(what), _) => return write!(f, "DAMAGED: new sales are refused, see `tillgate doctor`; {what}"),
            (None, Some(sales)) => write!(f, "{sales} sales")?,
            (None, None) => f.write_str("sound")?,
        }
        match (&self.backups, &self.newest_backup) {
            (None, _) => f.write_str(", no backups are made")?,
            (Some(_), None) => f.write_str(", no backup yet")?,
            (Some(_), Some(newest)) => write!(f, ", newest backup {newest}")?,
        }
        match &self.backup_failed {
            Some(why) => write!(f, "; BACKUP FAILED: {why}"),
            None => Ok(()),
        }
    }
}

/// What the daemon has had written to the disk since it started, backups aside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// Bytes, as the kernel counts them; none where it does not say.
    pub bytes: Option<u64>,
    /// Sales and returns asked for in that time.
    pub sales: u64,
    /// Bytes a sale.
    pub bytes_a_sale: Option<u64>,
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.bytes, self.bytes_a_sale) {
            (None, _) => f.write_str("not counted here"),
            (Some(bytes), None) => write!(f, "{} KiB since the start, no sale yet", bytes >> 10),
            (Some(bytes), Some(each)) => {
                write!(f, "{} KiB since the start, {} KiB a sale", bytes >> 10, each.div_ceil(1_024))
            }
        }
    }
}

/// Who governs what phones reach, and how that stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Whether this box does.
    pub governed: bool,
    /// Whether the firewall's helper answers.
    pub helper: bool,
    /// Phones that are let through.
    pub let_through: u64,
    /// Microseconds from the shop's word to the helper's answer, of the newest of them.
    pub newest_micros: Option<u64>,
    /// How often the table was taken away and put back, since the daemon started.
    pub restored: u64,
    /// How often the helper refused to let a phone through.
    pub refused: u64,
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.governed {
            return f.write_str("not governed: phones reach what the shop's router lets them reach");
        }
        let helper = if self.helper { "governed" } else { "governed, but the HELPER IS GONE: no phone can pay" };
        write!(f, "{helper}; {} let through", self.let_through)?;
        if let Some(micros) = self.newest_micros {
            write!(f, ", the newest within {micros} us")?;
        }
        if self.restored > 0 {
            write!(f, "; the table was TAKEN AWAY {} times and put back", self.restored)?;
        }
        if self.refused > 0 {
            write!(f, "; the helper REFUSED {} times, see the journal", self.refused)?;
        }
        Ok(())
    }
}

/// A till.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TillLine {
    /// What customers type.
    pub number: u16,
    /// What people call it.
    pub label: String,
    /// Its port.
    pub port: String,
    /// Whether its line works.
    pub online: bool,
    /// Bytes on its line that belonged to no frame, since the daemon started.
    pub junk_bytes: u64,
    /// Frames of its line that were begun and dropped.
    pub bad_frames: u64,
    /// Seconds since anything came over its line, if anything did since the daemon started.
    #[serde(default)]
    pub heard_secs: Option<u64>,
    /// The state of its sale, if it has one under way.
    pub sale: Option<String>,
}

/// A sale under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SaleLine {
    /// The first eight digits of its id.
    pub id: String,
    /// Its till.
    pub till: u16,
    /// Its amount with currency, "12.50 EUR".
    pub amount: String,
    /// Its state.
    pub state: String,
    /// Seconds since the till asked for it, where known.
    pub since_secs: Option<u64>,
}

/// The line to the platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// Whether it answers.
    pub state: PlatformState,
    /// Seconds since its last answer, if it ever gave one.
    pub last_answer_secs: Option<u64>,
}

/// Whether the platform answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PlatformState {
    /// It does.
    Up,
    /// It does not.
    Down,
    /// It was not asked of late.
    Unknown,
}

/// The machine's clock.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// Whether its date is believed.
    pub trusted: bool,
    /// Whether a time server is known to have set it.
    pub synchronised: bool,
    /// Whether it may be late all the same: nothing keeps it while the power is off.
    pub may_be_late: bool,
}

/// The disk that holds the books.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// Bytes left.
    pub free_bytes: u64,
    /// Whether that is so little that new sales are refused.
    pub low: bool,
    /// How many sales still fit, with the backups that grow with them.
    pub sales_left: Option<u64>,
    /// How many days that is, as sales went of late.
    pub days_left: Option<u64>,
}

impl Disk {
    /// Sales that must still fit, and days, before anybody is to be told.
    const SALES_FEW: u64 = 20_000;
    const DAYS_FEW: u64 = 90;

    /// Whether it will be full before long.
    pub fn fills_up(&self) -> bool {
        self.sales_left.is_some_and(|sales| sales < Disk::SALES_FEW)
            || self.days_left.is_some_and(|days| days < Disk::DAYS_FEW)
    }

    /// What still fits, in words.
    pub fn room(&self) -> String {
        match (self.sales_left, self.days_left) {
            (None, _) => String::new(),
            (Some(sales), None) => format!("room for {sales} sales"),
            (Some(sales), Some(days)) => format!("room for {sales} sales, {days} days as it goes now"),
        }
    }
}

/// For people: aligned, without a new line at the end.
impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "tillgate {}, running for {}", self.version, time(self.uptime_secs))?;
        let state = match self.platform.state {
            PlatformState::Up => "up",
            PlatformState::Down => "DOWN: new sales are refused",
            PlatformState::Unknown => "unknown",
        };
        let answer = match self.platform.last_answer_secs {
            Some(secs) => format!("last answer {} ago", time(secs)),
            None => "no answer yet".to_owned(),
        };
        writeln!(f, "platform  {state}, {answer}")?;
        let clock = match (self.clock.trusted, self.clock.synchronised, self.clock.may_be_late) {
            (false, _, _) => "NOT SET: new sales are refused",
            (true, true, _) => "set by a time server",
            (true, false, true) => "set; may be late: no battery, and no time server known of",
            (true, false, false) => "set",
        };
        writeln!(f, "clock     {clock}")?;
        let low = if self.disk.low { ", LOW: new sales are refused" } else { "" };
        let room = self.disk.room();
        let room = if room.is_empty() { room } else { format!(", {room}") };
        writeln!(f, "disk      {} MiB free{room}{low}", self.disk.free_bytes >> 20)?;
        writeln!(f, "books     {}", self.books)?;
        writeln!(f, "written   {}", self.written)?;
        writeln!(f, "network   {}", self.network)?;
        writeln!(f, "identity  {}", self.certificate)?;
        writeln!(f, "phones    {}", self.phones)?;
        let tills = self.tills.iter().map(|t| {
            let line = if t.online { "online" } else { "OFFLINE" };
            let sale = t.sale.as_deref().unwrap_or("-");
            let (junk, bad) = (t.junk_bytes.to_string(), t.bad_frames.to_string());
            vec![t.number.to_string(), t.label.clone(), line.to_owned(), junk, bad, sale.to_owned(), t.port.clone()]
        });
        write!(f, "\n{}", columns(&["TILL", "LABEL", "LINE", "JUNK", "BAD", "SALE", "PORT"], tills.collect()))?;
        if self.sales.is_empty() {
            return write!(f, "\n\nno sale is under way");
        }
        let sales = self.sales.iter().map(|s| {
            let since = s.since_secs.map_or_else(|| "-".to_owned(), time);
            vec![s.id.clone(), s.till.to_string(), s.amount.clone(), s.state.clone(), since]
        });
        write!(f, "\n\n{}", columns(&["SALE", "TILL", "AMOUNT", "STATE", "SINCE"], sales.collect()))
    }
}

fn time(secs: u64) -> String {
    match secs {
        0..60 => format!("{secs} s"),
        60..3_600 => format!("{} min", secs / 60),
        3_600..86_400 => format!("{} h {} min", secs / 3_600, secs % 3_600 / 60),
        86_400.. => format!("{} d {} h", secs / 86_400, secs % 86_400 / 3_600),
    }
}

/// Text in columns as wide as their widest cell, lines joined by new lines, no blanks at their ends.
pub(crate) fn columns(heads: &[&str], rows: Vec<Vec<String>>) -> String {
    let heads = heads.iter().map(|h| (*h).to_owned()).collect();
    let lines: Vec<Vec<String>> = std::iter::once(heads).chain(rows).collect();
    let mut widths: Vec<usize> = Vec::new();
    for line in &lines {
        widths.resize(widths.len().max(line.len()), 0);
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.chars().count().max(*width);
        }
    }
    let text = lines.iter().map(|line| {
        let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    });
    text.collect::<Vec<_>>().join("\n")
}
