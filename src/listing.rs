//! The sales on the books as people ask for them and read them: table, CSV, JSON. Reads no book itself.

use crate::control::columns;
use crate::shop::event::TillNumber;
use crate::shop::time::Wall;
use clap::{Args, ValueEnum};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};
use serde::Serialize;
use std::fmt;
use std::path::PathBuf;

/// What `tillgate sales` is asked for.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
WHEN is a day (2026-11-22, today, yesterday), a time with its zone (2026-11-22T09:30:00+01:00), or how long ago it was
(90m, 3h, 2d). Days are those of the shop's time zone. --until is not included, except that a day given to it is.

Examples:
  tillgate sales --since today
  tillgate sales --since yesterday --until yesterday --till 3 --csv > yesterday.csv
  tillgate sales --since 3h --state approved
  tillgate sales --db /mnt/backup/tillgate.db --json --limit 20")]
pub struct SalesArgs {
    /// The configuration, which says where the books are and what the time zone is
    #[arg(long, value_name = "FILE", conflicts_with = "db")]
    pub config: Option<PathBuf>,
    /// The books themselves, such as a backup
    #[arg(long, value_name = "FILE")]
    pub db: Option<PathBuf>,
    /// Sales asked for at this time or later
    #[arg(long, value_name = "WHEN")]
    pub since: Option<String>,
    /// Sales asked for before this time
    #[arg(long, value_name = "WHEN")]
    pub until: Option<String>,
    /// Sales of this till
    #[arg(long, value_name = "NUMBER", value_parser = till_number)]
    pub till: Option<TillNumber>,
    /// Sales in this state
    #[arg(long, value_name = "STATE")]
    pub state: Option<State>,
    /// As JSON, one array
    #[arg(long, conflicts_with = "csv")]
    pub json: bool,
    /// As CSV with a head line
    #[arg(long)]
    pub csv: bool,
    /// At most so many, the newest
    #[arg(long, value_name = "COUNT", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub limit: u32,
}

/// The states of a sale by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum State {
    /// No phone stands at the till
    Waiting,
    /// A phone shows it
    Offered,
    /// Confirmed, being paid
    Paying,
    /// Being ended
    Aborting,
    /// Paid
    Approved,
    /// Not paid: the customer, or the platform
    Declined,
    /// Not paid: the till, the clock or a power cut
    Cancelled,
    /// Not paid: nobody confirmed in time
    Lapsed,
}

impl State {
    /// Its name, as in `--state` and in every listing.
    pub fn name(self) -> &'static str {
        match self {
            State::Waiting => "waiting",
            State::Offered => "offered",
            State::Paying => "paying",
            State::Aborting => "aborting",
            State::Approved => "approved",
            State::Declined => "declined",
            State::Cancelled => "cancelled",
            State::Lapsed => "lapsed",
        }
    }
}

/// One sale in a listing. Amounts have the decimals of their currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The whole id: 32 hexadecimal digits.
    pub id: String,
    /// When the till asked for it, where the clock was trusted.
    pub asked_at: Option<Wall>,
    /// When it ended, where the clock was trusted.
    pub ended_at: Option<Wall>,
    /// Its till.
    pub till: TillNumber,
    /// The till's number for it.
    pub ticket: Option<u32>,
    /// Its amount, "12.50".
    pub amount: String,
    /// Its currency, "EUR".
    pub currency: String,
    /// What is back or on its way back, "0.00".
    pub given_back: String,
    /// Its state.
    pub state: State,
    /// Attempts to pay it.
    pub attempts: u32,
}

/// A row as JSON has it.
#[derive(Serialize)]
struct Line<'a> {
    id: &'a str,
    asked_at: Option<String>,
    ended_at: Option<String>,
    till: u16,
    ticket: Option<u32>,
    amount: &'a str,
    currency: &'a str,
    given_back: &'a str,
    state: &'static str,
    attempts: u32,
}

impl<'a> Line<'a> {
    fn of(row: &'a Row, zone: &TimeZone) -> Line<'a> {
        Line {
            id: &row.id,
            asked_at: row.asked_at.map(|w| stamp(w, zone)),
            ended_at: row.ended_at.map(|w| stamp(w, zone)),
            till: row.till.number(),
            ticket: row.ticket,
            amount: &row.amount,
            currency: &row.currency,
            given_back: &row.given_back,
            state: row.state.name(),
            attempts: row.attempts,
        }
    }
}

/// The rows for people: aligned columns, the count below.
pub fn table(rows: &[Row], zone: &TimeZone) -> String {
    let heads = ["ASKED", "TILL", "TICKET", "AMOUNT", "GIVEN BACK", "STATE", "SALE"];
    let lines = rows.iter().map(|row| {
        let asked = row.asked_at.map_or_else(|| "-".to_owned(), |w| clock(w, zone));
        let ticket = row.ticket.map_or_else(|| "-".to_owned(), |t| t.to_string());
        let amount = format!("{} {}", row.amount, row.currency);
        let id = row.id.get(..8).unwrap_or(&row.id).to_owned();
        vec![asked, row.till.to_string(), ticket, amount, row.given_back.clone(), row.state.name().to_owned(), id]
    });
    let count = match rows.len() {
        0 => return "no sale".to_owned(),
        1 => "1 sale".to_owned(),
        many => format!("{many} sales"),
    };
    format!("{}\n{count}", columns(&heads, lines.collect()))
}

/// The rows for a spreadsheet: RFC 4180 with a head line, times as RFC 3339. No cell can hold a comma or a quote.
pub fn csv(rows: &[Row], zone: &TimeZone) -> String {
    let mut text = "id,asked_at,ended_at,till,ticket,amount,currency,given_back,state,attempts".to_owned();
    for row in rows {
        let Line { id, asked_at, ended_at, till, ticket, amount, currency, given_back, state, attempts } =
            Line::of(row, zone);
        let (asked, ended) = (asked_at.unwrap_or_default(), ended_at.unwrap_or_default());
        let ticket = ticket.map(|t| t.to_string()).unwrap_or_default();
        text.push_str(&format!(
            "\r\n{id},{asked},{ended},{till},{ticket},{amount},{currency},{given_back},{state},{attempts}"
        ));
    }
    text
}

/// The rows for programs: one JSON array, times as RFC 3339.
pub fn json(rows: &[Row], zone: &TimeZone) -> String {
    let lines: Vec<Line<'_>> = rows.iter().map(|row| Line::of(row, zone)).collect();
    serde_json::to_string_pretty(&lines).unwrap_or_default()
}

fn zoned(wall: Wall, zone: &TimeZone) -> Option<Zoned> {
    Timestamp::from_millisecond(wall.0).ok().map(|t| t.to_zoned(zone.clone()))
}

fn clock(wall: Wall, zone: &TimeZone) -> String {
    zoned(wall, zone).map(|z| z.strftime("%Y-%m-%d %H:%M:%S").to_string()).unwrap_or_default()
}

fn stamp(wall: Wall, zone: &TimeZone) -> String {
    zoned(wall, zone).map(|z| z.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()).unwrap_or_default()
}

/// Text that says no time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadWhen(String);

impl fmt::Display for BadWhen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = &self.0;
        write!(f, "\"{text}\" is no time; write 2026-11-22, today, yesterday, 3h, or 2026-11-22T09:30:00+01:00")
    }
}

impl std::error::Error for BadWhen {}

/// Which end of a stretch of time is meant: a day begins one at its first moment and ends one after its last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// `--since`.
    Since,
    /// `--until`.
    Until,
}

/// The moment that `text` says, where it is `now`.
pub fn when(text: &str, end: End, now: &Zoned) -> Result<Wall, BadWhen> {
    let bad = || BadWhen(text.to_owned());
    let day = match text {
        "today" => Some(now.date()),
        "yesterday" => Some(now.date().yesterday().map_err(|_| bad())?),
        other if other.len() == 10 => other.parse::<Date>().ok(),
        _ => None,
    };
    let moment = match (day, ago(text)) {
        (Some(day), _) => {
            let day = match end {
                End::Since => day,
                End::Until => day.tomorrow().map_err(|_| bad())?,
            };
            day.to_zoned(now.time_zone().clone()).map_err(|_| bad())?.timestamp()
        }
        (None, Some(ago)) => now.timestamp().checked_sub(ago).map_err(|_| bad())?,
        (None, None) => text.parse().map_err(|_| bad())?,
    };
    Ok(Wall(moment.as_millisecond()))
}

fn ago(text: &str) -> Option<SignedDuration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let secs: i64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    let count = digits.parse::<u32>().ok().filter(|_| digits.bytes().all(|b| b.is_ascii_digit()))?;
    Some(SignedDuration::from_secs(secs.checked_mul(i64::from(count))?))
}

fn till_number(text: &str) -> Result<TillNumber, String> {
    let number = text.parse().ok().and_then(TillNumber::new);
    number.ok_or_else(|| format!("a till number is from 1 to {}", TillNumber::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Zoned {
        "2026-11-22T12:00:00+01:00[Europe/Berlin]".parse().unwrap()
    }

    #[test]
    fn a_time_is_said_as_people_say_it() {
        for (text, end, answer) in [
            ("today", End::Since, "2026-11-21T23:00:00Z"),
            ("today", End::Until, "2026-11-22T23:00:00Z"),
            ("yesterday", End::Since, "2026-11-20T23:00:00Z"),
            ("yesterday", End::Until, "2026-11-21T23:00:00Z"),
            ("2026-10-25", End::Since, "2026-10-24T22:00:00Z"),
            ("2026-10-25", End::Until, "2026-10-25T23:00:00Z"),
            ("3h", End::Since, "2026-11-22T08:00:00Z"),
            ("90m", End::Until, "2026-11-22T09:30:00Z"),
            ("2d", End::Since, "2026-11-20T11:00:00Z"),
            ("2026-11-22T09:30:00+01:00", End::Since, "2026-11-22T08:30:00Z"),
            ("2026-11-22T09:30:00Z", End::Until, "2026-11-22T09:30:00Z"),
        ] {
            let moment: Timestamp = answer.parse().unwrap();
            assert_eq!(when(text, end, &now()), Ok(Wall(moment.as_millisecond())), "{text}");
        }
        for text in
            ["", "h", "-3h", "+3h", "3 h", "3w", "tomorrow", "2026-13-01", "2026-11-22T09:30", "é", "99999999999h"]
        {
            assert_eq!(when(text, End::Since, &now()), Err(BadWhen(text.to_owned())));
        }
    }

    fn rows() -> Vec<Row> {
        let row = Row {
            id: "0badcafe000000000000000000000001".into(),
            asked_at: Some(Wall(1_795_345_200_000)),
            ended_at: Some(Wall(1_795_345_230_000)),
            till: TillNumber::new(3).unwrap(),
            ticket: Some(77),
            amount: "12.50".into(),
            currency: "EUR".into(),
            given_back: "0.00".into(),
            state: State::Approved,
            attempts: 2,
        };
        let plain = Row { asked_at: None, ended_at: None, ticket: None, state: State::Waiting, ..row.clone() };
        vec![row, plain]
    }

    #[test]
    fn sales_are_listed_for_people_spreadsheets_and_programs() {
        let zone = now().time_zone().clone();
        assert_eq!(
            table(&rows(), &zone),
            "\
ASKED                TILL  TICKET  AMOUNT     GIVEN BACK  STATE     SALE
2026-11-22 12:00:00  3     77      12.50 EUR  0.00        approved  0badcafe
-                    3     -       12.50 EUR  0.00        waiting   0badcafe
2 sales"
        );
        assert_eq!(
            csv(&rows(), &zone),
            "id,asked_at,ended_at,till,ticket,amount,currency,given_back,state,attempts\r\n\
             0badcafe000000000000000000000001,2026-11-22T12:00:00+01:00,2026-11-22T12:00:30+01:00,3,77,12.50,EUR,0.00,approved,2\r\n\
             0badcafe000000000000000000000001,,,3,,12.50,EUR,0.00,waiting,2"
        );
        let json: serde_json::Value = serde_json::from_str(&json(&rows(), &zone)).unwrap();
        assert_eq!(json[0]["asked_at"], "2026-11-22T12:00:00+01:00");
        assert_eq!(json[0]["amount"], "12.50");
        assert_eq!(json[1]["ticket"], serde_json::Value::Null);
        assert_eq!(table(&[], &zone), "no sale");
    }
}
