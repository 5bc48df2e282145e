//! The sales on the books as people ask for them and read them: table, CSV, JSON. Reads no book itself.

use crate::control::columns;
use crate::shop::event::{AskKind, TillNumber};
use crate::shop::id::SaleId;
use crate::shop::money::Amount;
use crate::shop::sale::Telling;
use crate::shop::time::Wall;
use crate::store::{Filter, SaleLine, Standing};
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
    /// Which books
    #[command(flatten)]
    pub books: BooksArgs,
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

impl SalesArgs {
    /// What the store is asked for, where it is `now`; the zone of `now` says what a day is.
    pub fn filter(&self, now: &Zoned) -> Result<Filter, BadWhen> {
        let since = self.since.as_deref().map(|text| when(text, End::Since, now)).transpose()?;
        let until = self.until.as_deref().map(|text| when(text, End::Until, now)).transpose()?;
        let standing = self.state.map(State::standing);
        Ok(Filter { since, until, till: self.till, standing, limit: Some(self.limit) })
    }
}

/// Which books are read: those of a configuration, or a file; else those at the usual place.
#[derive(Args, Clone, Debug)]
pub struct BooksArgs {
    /// The configuration, which says where the books are and what the time zone is
    #[arg(long, value_name = "FILE", conflicts_with = "db")]
    pub config: Option<PathBuf>,
    /// The books themselves, such as a backup
    #[arg(long, value_name = "FILE")]
    pub db: Option<PathBuf>,
}

/// How a sale stands, as it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum State {
    /// Something is still to be done: under way, untold, or money on its way
    Open,
    /// Paid
    Approved,
    /// Not paid: the customer, or the platform
    Declined,
    /// Not paid: the till, the clock or a power cut
    Cancelled,
    /// Not paid: nobody confirmed in time
    Lapsed,
    /// Given back, as the till asked; also what the platform has not confirmed yet
    Returned,
}

impl State {
    /// The same in the store's words.
    pub fn standing(self) -> Standing {
        match self {
            State::Open => Standing::Open,
            State::Approved => Standing::Approved,
            State::Declined => Standing::Declined,
            State::Cancelled => Standing::Cancelled,
            State::Lapsed => Standing::Lapsed,
            State::Returned => Standing::Returned,
        }
    }
}

/// How far the till has been told, in one word; nothing while there is nothing to tell.
fn told_name(telling: Option<Telling>) -> &'static str {
    match telling {
        None => "",
        Some(Telling::Telling { .. } | Telling::TakeLater { .. }) => "telling",
        Some(Telling::Taken) => "taken",
        Some(Telling::Rejected) => "rejected",
        Some(Telling::Unheard { .. }) => "unheard",
        Some(Telling::NoChannel) => "untellable",
    }
}

/// A sale as spreadsheets and programs have it.
#[derive(Serialize)]
struct Line {
    id: String,
    asked_at: Option<String>,
    ended_at: Option<String>,
    till: u16,
    epoch: Option<u32>,
    ticket: Option<u32>,
    receipt: Option<u16>,
    kind: &'static str,
    /// The sale of which a return gives back.
    of: Option<String>,
    amount: String,
    currency: String,
    given_back: String,
    state: &'static str,
    told: &'static str,
    attempts: u32,
    needs_person: bool,
}

impl Line {
    fn of(sale: &SaleLine, zone: &TimeZone) -> Line {
        Line {
            id: sale.id.to_string(),
            asked_at: sale.asked_at.map(|w| stamp(w, zone)),
            ended_at: sale.ended_at.map(|w| stamp(w, zone)),
            till: sale.till.number(),
            epoch: sale.ticket.and_then(|t| t.epoch),
            ticket: sale.ticket.map(|t| t.number),
            receipt: sale.receipt.map(|r| r.number()),
            kind: kind_name(sale.kind()),
            of: sale.back().map(|back| back.sale.to_string()),
            amount: sale.amount.decimal(),
            currency: sale.amount.currency().to_string(),
            given_back: given_back(sale),
            state: sale.state.name(),
            told: told_name(sale.telling()),
            attempts: sale.attempts,
            needs_person: sale.needs_person,
        }
    }
}

fn short(id: SaleId) -> String {
    id.to_string().chars().take(8).collect()
}

fn kind_name(kind: AskKind) -> &'static str {
    match kind {
        AskKind::Pay => "payment",
        AskKind::Refund => "refund",
        AskKind::Reverse => "reversal",
    }
}

fn given_back(sale: &SaleLine) -> String {
    let amount = Amount::from_minor(sale.given_back_minor, sale.amount.currency());
    amount.map_or_else(|_| sale.given_back_minor.to_string(), |a| a.decimal())
}

/// The sales for people: aligned columns, the count below.
pub fn table(sales: &[SaleLine], zone: &TimeZone) -> String {
    let heads =
        ["ASKED", "TILL", "TICKET", "RECEIPT", "KIND", "AMOUNT", "GIVEN BACK", "STATE", "TOLD", "SALE", "OF", ""];
    let dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let lines = sales.iter().map(|sale| {
        let told = told_name(sale.telling());
        vec![
            dash(sale.asked_at.map(|w| clock(w, zone))),
            sale.till.to_string(),
            dash(sale.ticket.map(|t| t.number.to_string())),
            dash(sale.receipt.map(|r| r.to_string())),
            kind_name(sale.kind()).to_owned(),
            sale.amount.to_string(),
            if sale.given_back_minor == 0 { "-".to_owned() } else { given_back(sale) },
            sale.state.name().to_owned(),
            if told.is_empty() { "-".to_owned() } else { told.to_owned() },
            short(sale.id),
            dash(sale.back().map(|back| short(back.sale))),
            if sale.needs_person { "A PERSON MUST LOOK".to_owned() } else { String::new() },
        ]
    });
    let count = match sales.len() {
        0 => return "no sale".to_owned(),
        1 => "1 sale".to_owned(),
        many if sales.iter().any(|sale| sale.kind() != AskKind::Pay) => format!("{many} sales and returns"),
        many => format!("{many} sales"),
    };
    format!("{}\n{count}", columns(&heads, lines.collect()))
}

/// The sales for a spreadsheet: RFC 4180 with a head line, times as RFC 3339. No cell can hold a comma or a quote.
pub fn csv(sales: &[SaleLine], zone: &TimeZone) -> String {
    let mut text =
        "id,asked_at,ended_at,till,epoch,ticket,receipt,kind,of,amount,currency,given_back,state,told,attempts,needs_person"
            .to_owned();
    for sale in sales {
        let line = Line::of(sale, zone);
        let number = |n: Option<u32>| n.map(|n| n.to_string()).unwrap_or_default();
        let cells = [
            line.id,
            line.asked_at.unwrap_or_default(),
            line.ended_at.unwrap_or_default(),
            line.till.to_string(),
            number(line.epoch),
            number(line.ticket),
            number(line.receipt.map(u32::from)),
            line.kind.to_owned(),
            line.of.unwrap_or_default(),
            line.amount,
            line.currency,
            line.given_back,
            line.state.to_owned(),
            line.told.to_owned(),
            line.attempts.to_string(),
            line.needs_person.to_string(),
        ];
        text.push_str("\r\n");
        text.push_str(&cells.join(","));
    }
    text
}

/// The sales for programs: one JSON array, times as RFC 3339.
pub fn json(sales: &[SaleLine], zone: &TimeZone) -> String {
    let lines: Vec<Line> = sales.iter().map(|sale| Line::of(sale, zone)).collect();
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
    use crate::shop::event::Ticket;
    use crate::shop::event::{ReceiptNumber, ReturnKind};
    use crate::shop::giveback::{Back, ReturnState};
    use crate::shop::id::{AttemptId, RefundId};
    use crate::shop::money::Currency;
    use crate::shop::sale::Code;
    use crate::shop::sale::SaleState;
    use crate::store::Stands;

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

    fn sales() -> Vec<SaleLine> {
        let sale = SaleLine {
            id: SaleId(0x0bad_cafe_0000_0000_0000_0000_0000_0001),
            till: TillNumber::new(3).unwrap(),
            ticket: Some(Ticket { epoch: Some(2), number: 77 }),
            receipt: ReceiptNumber::new(41),
            amount: Amount::parse("12.50", Currency::from_code("EUR").unwrap()).unwrap(),
            code: Code::parse("K7").unwrap(),
            asked_at: Some(Wall(1_795_345_200_000)),
            ended_at: Some(Wall(1_795_345_230_000)),
            state: Stands::Sale(SaleState::Approved { attempt: AttemptId(1), telling: Telling::Taken }),
            open: false,
            attempts: 2,
            failed_tries: 1,
            given_back_minor: 250,
            needs_person: true,
        };
        let state = Stands::Sale(SaleState::Waiting);
        let (asked_at, ended_at, ticket, receipt) = (None, None, None, None);
        let (given_back_minor, needs_person) = (0, false);
        let plain =
            SaleLine { asked_at, ended_at, ticket, receipt, state, given_back_minor, needs_person, ..sale.clone() };
        let amount = Amount::parse("2.50", sale.amount.currency()).unwrap();
        let back = Back { sale: sale.id, attempt: AttemptId(1), refund: RefundId(2), amount };
        let state = ReturnState::Returned { back, pending: true, telling: Telling::Taken };
        let state = Stands::Return(ReturnKind::Refund, state);
        let (id, receipt) = (SaleId(7 << 96), ReceiptNumber::new(42));
        let given =
            SaleLine { id, receipt, amount, state, given_back_minor, needs_person, attempts: 0, ..sale.clone() };
        vec![given, sale, plain]
    }

    #[test]
    fn sales_are_listed_for_people_spreadsheets_and_programs() {
        let zone = now().time_zone().clone();
        assert_eq!(
            table(&sales(), &zone),
            "\
ASKED                TILL  TICKET  RECEIPT  KIND     AMOUNT     GIVEN BACK  STATE     TOLD   SALE      OF
2026-11-22 12:00:00  3     77      0042     refund   2.50 EUR   -           pending   taken  00000007  0badcafe
2026-11-22 12:00:00  3     77      0041     payment  12.50 EUR  2.50        approved  taken  0badcafe  -         A PERSON MUST LOOK
-                    3     -       -        payment  12.50 EUR  -           waiting   -      0badcafe  -
3 sales and returns"
        );
        assert_eq!(
            csv(&sales(), &zone),
            "id,asked_at,ended_at,till,epoch,ticket,receipt,kind,of,amount,currency,given_back,state,told,attempts,needs_person\r\n\
             00000007000000000000000000000000,2026-11-22T12:00:00+01:00,2026-11-22T12:00:30+01:00,3,2,77,42,refund,0badcafe000000000000000000000001,2.50,EUR,0.00,pending,taken,0,false\r\n\
             0badcafe000000000000000000000001,2026-11-22T12:00:00+01:00,2026-11-22T12:00:30+01:00,3,2,77,41,payment,,12.50,EUR,2.50,approved,taken,2,true\r\n\
             0badcafe000000000000000000000001,,,3,,,,payment,,12.50,EUR,0.00,waiting,,2,false"
        );
        let json: serde_json::Value = serde_json::from_str(&json(&sales(), &zone)).unwrap();
        assert_eq!(json[0]["asked_at"], "2026-11-22T12:00:00+01:00");
        assert_eq!((&json[0]["amount"], &json[0]["kind"]), (&"2.50".into(), &"refund".into()));
        assert_eq!(json[2]["ticket"], serde_json::Value::Null);
        assert_eq!(table(&[], &zone), "no sale");
    }
}
