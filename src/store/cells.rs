//! Rows of the store as sales, returns, attempts, refunds and sessions again; what was never written is an error. Runs no statement.

use super::row::Row;
use super::words::{Word, closed_from, declined_from};
use crate::shop::attempt::{
    Attempt, AttemptState, Link, NeedsPerson, NeedsPersonWhy, Refund, RefundState, RefundWhy, Since, TryFailure,
};
use crate::shop::event::{Of, Reason, ReceiptNumber, Ticket, TillNumber};
use crate::shop::giveback::{Back, Return, ReturnState};
use crate::shop::id::{AttemptId, RefundId, SaleId, SessionId};
use crate::shop::money::{Amount, Currency};
use crate::shop::pairing::Pairing;
use crate::shop::sale::{AbortWhy, Code, Sale, SaleState, Telling};
use crate::shop::session::{Place, Session};
use crate::shop::time::{BootId, Mono, Now, Wall};
use rusqlite::types::{FromSql, ValueRef};

/// A row that says something no record can have said: it was changed from outside, or the file is damaged.
#[derive(Debug)]
pub(super) enum ReadError {
    /// SQLite could not read it.
    Sql(rusqlite::Error),
    /// This column makes no sense.
    Column(&'static str),
}

impl From<rusqlite::Error> for ReadError {
    fn from(error: rusqlite::Error) -> Self {
        ReadError::Sql(error)
    }
}

impl std::fmt::Display for ReadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ReadError::Sql(error) => error.fmt(f),
            ReadError::Column(name) => write!(f, "column `{name}` holds what was never written there"),
        }
    }
}

/// A row on its way back.
#[derive(Clone, Copy)]
pub(super) struct Cells<'a>(pub(super) &'a rusqlite::Row<'a>);

impl Cells<'_> {
    fn get<T: FromSql>(self, column: &'static str) -> Result<T, ReadError> {
        use rusqlite::Error::{FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType};
        self.0.get(column).map_err(|error| {
            let odd =
                matches!(error, FromSqlConversionFailure(..) | IntegralValueOutOfRange(..) | InvalidColumnType(..));
            if odd { ReadError::Column(column) } else { ReadError::Sql(error) }
        })
    }

    /// Whether what was read of this row is written as this row again, to the cell: else one of them holds what was never
    /// written, such as a date in words or a cell that its state does not have.
    pub(super) fn is_exactly(self, written: &Row) -> Result<(), ReadError> {
        for (at, (column, value)) in written.table.columns.iter().zip(&written.values).enumerate() {
            if self.0.get_ref(self.place(at, column)?)? != ValueRef::from(value) {
                return Err(ReadError::Column(column));
            }
        }
        Ok(())
    }

    /// Where a table's column is in the row. Most stand in the table's order, some after its `no`; looking for each by its
    /// name would take longer than reading it.
    fn place(self, at: usize, column: &str) -> Result<usize, ReadError> {
        let row: &rusqlite::Statement<'_> = self.0.as_ref();
        let near = [at.saturating_add(1), at];
        let found = near.into_iter().find(|at| row.column_name(*at).is_ok_and(|name| name == column));
        found.map_or_else(|| Ok(row.column_index(column)?), Ok)
    }

    /// Whether a sale's row says that something is still to be done.
    pub(super) fn open(self) -> Result<bool, ReadError> {
        self.get("open")
    }

    fn id_if_any(self, column: &'static str) -> Result<Option<u128>, ReadError> {
        self.get::<Option<[u8; 16]>>(column).map(|bytes| bytes.map(u128::from_be_bytes))
    }

    fn id(self, column: &'static str) -> Result<u128, ReadError> {
        self.id_if_any(column)?.ok_or(ReadError::Column(column))
    }

    fn mono_if_any(self, column: &'static str) -> Result<Option<Mono>, ReadError> {
        self.get::<Option<i64>>(column).map(|bits| bits.map(|b| Mono(b.cast_unsigned())))
    }

    fn mono(self, column: &'static str) -> Result<Mono, ReadError> {
        self.mono_if_any(column)?.ok_or(ReadError::Column(column))
    }

    fn bits(self, column: &'static str) -> Result<u64, ReadError> {
        self.get::<i64>(column).map(i64::cast_unsigned)
    }

    fn wall(self, column: &'static str) -> Result<Option<Wall>, ReadError> {
        self.get::<Option<i64>>(column).map(|ms| ms.map(Wall))
    }

    fn word_if_any<W: Word>(self, column: &'static str) -> Result<Option<W>, ReadError> {
        match self.get::<Option<String>>(column)? {
            None => Ok(None),
            Some(word) => W::from_word(&word).map(Some).ok_or(ReadError::Column(column)),
        }
    }

    fn word<W: Word>(self, column: &'static str) -> Result<W, ReadError> {
        self.word_if_any(column)?.ok_or(ReadError::Column(column))
    }

    fn till(self, column: &'static str) -> Result<TillNumber, ReadError> {
        TillNumber::new(self.get(column)?).ok_or(ReadError::Column(column))
    }

    fn amount(self) -> Result<Amount, ReadError> {
        let code: String = self.get("currency")?;
        let currency = Currency::from_code(&code).ok_or(ReadError::Column("currency"))?;
        Amount::from_minor(self.bits("minor")?, currency).map_err(|_| ReadError::Column("minor"))
    }

    fn doubt(self) -> Result<Option<Since>, ReadError> {
        let Some(boot) = self.id_if_any("doubt_boot")? else { return Ok(None) };
        Ok(Some(Now { boot: BootId(boot), mono: self.mono("doubt_since")?, wall: self.wall("doubt_at")? }))
    }

    fn needs_person(self) -> Result<Option<NeedsPerson>, ReadError> {
        let Some(why) = self.word_if_any::<NeedsPersonWhy>("person_why")? else { return Ok(None) };
        Ok(Some(NeedsPerson { why, since: self.wall("person_at")? }))
    }

    fn telling(self) -> Result<Telling, ReadError> {
        let word: String = self.get("telling")?;
        match word.as_str() {
            "telling" => Ok(Telling::Telling { put_off: self.get::<Option<u32>>("tell_times")?.unwrap_or(0) }),
            "take-later" => Ok(Telling::TakeLater { at: self.mono("tell_at")?, times: self.get("tell_times")? }),
            "taken" => Ok(Telling::Taken),
            "rejected" => Ok(Telling::Rejected),
            "unheard" => Ok(Telling::Unheard { refund_at: self.mono_if_any("tell_at")? }),
            "no-channel" => Ok(Telling::NoChannel),
            _ => Err(ReadError::Column("telling")),
        }
    }

    /// How a sale stands.
    pub(super) fn sale_state(self) -> Result<SaleState, ReadError> {
        let word: String = self.get("state")?;
        match word.as_str() {
            "waiting" => Ok(SaleState::Waiting),
            "offered" => Ok(SaleState::Offered { session: SessionId(self.id("session")?), until: self.mono("until")? }),
            "paying" => {
                Ok(SaleState::Paying { session: SessionId(self.id("session")?), back_by: self.mono_if_any("until")? })
            }
            "aborting" => Ok(SaleState::Aborting {
                session: SessionId(self.id("session")?),
                why: self.word::<AbortWhy>("why")?,
                until: self.mono("until")?,
            }),
            "approved" => Ok(SaleState::Approved { attempt: AttemptId(self.id("attempt")?), telling: self.telling()? }),
            "declined" => {
                let why: String = self.get("why")?;
                let why = declined_from(&why, self.word_if_any("reason")?).ok_or(ReadError::Column("why"))?;
                Ok(SaleState::Declined { why, telling: self.telling()? })
            }
            "cancelled" => Ok(SaleState::Cancelled { why: self.word("why")?, telling: self.telling()? }),
            "lapsed" => Ok(SaleState::Lapsed { telling: self.telling()? }),
            _ => Err(ReadError::Column("state")),
        }
    }

    /// Whether the row is a return and no sale.
    pub(super) fn is_return(self) -> Result<bool, ReadError> {
        Ok(self.get::<Option<String>>("kind")?.is_some())
    }

    fn receipt_if_any(self, column: &'static str) -> Result<Option<ReceiptNumber>, ReadError> {
        let number = self.get::<Option<u16>>(column)?;
        number.map(|n| ReceiptNumber::new(n).ok_or(ReadError::Column(column))).transpose()
    }

    fn booked(self) -> Result<Option<u64>, ReadError> {
        Ok(self.get::<Option<i64>>("booked")?.map(i64::cast_unsigned))
    }

    fn back(self) -> Result<Option<Back>, ReadError> {
        let Some(sale) = self.id_if_any("back_of")? else { return Ok(None) };
        let currency = self.amount()?.currency();
        let amount = Amount::from_minor(self.bits("back_minor")?, currency);
        Ok(Some(Back {
            sale: SaleId(sale),
            attempt: AttemptId(self.id("attempt")?),
            refund: RefundId(self.id("back_refund")?),
            amount: amount.map_err(|_| ReadError::Column("back_minor"))?,
        }))
    }

    /// How a return stands.
    pub(super) fn return_state(self) -> Result<ReturnState, ReadError> {
        let back = || self.back()?.ok_or(ReadError::Column("back_of"));
        let word: String = self.get("state")?;
        match word.as_str() {
            "choosing" => {
                Ok(ReturnState::Choosing { session: SessionId(self.id("session")?), until: self.mono("until")? })
            }
            "sending" => Ok(ReturnState::Sending { back: back()? }),
            "returned" => {
                Ok(ReturnState::Returned { back: back()?, pending: self.get("pending")?, telling: self.telling()? })
            }
            "declined" => {
                let why: String = self.get("why")?;
                let why = declined_from(&why, self.word_if_any("reason")?).ok_or(ReadError::Column("why"))?;
                Ok(ReturnState::Declined { why, back: self.back()?, telling: self.telling()? })
            }
            "cancelled" => Ok(ReturnState::Cancelled { why: self.word("why")?, telling: self.telling()? }),
            "lapsed" => Ok(ReturnState::Lapsed { telling: self.telling()? }),
            _ => Err(ReadError::Column("state")),
        }
    }

    /// A return.
    pub(super) fn given(self) -> Result<Return, ReadError> {
        let named = match (self.get::<Option<u32>>("named_ticket")?, self.receipt_if_any("named_receipt")?) {
            (Some(number), _) => Some(Of::Ticket(Ticket { epoch: self.get("named_epoch")?, number })),
            (None, receipt) => receipt.map(Of::Receipt),
        };
        let code: String = self.get("code")?;
        Ok(Return {
            id: SaleId(self.id("id")?),
            till: self.till("till")?,
            ticket: self.ticket()?,
            receipt: self.receipt_if_any("receipt")?.ok_or(ReadError::Column("receipt"))?,
            kind: self.word("kind")?,
            named,
            asked: self.amount()?,
            code: Code::parse(&code).ok_or(ReadError::Column("code"))?,
            asked_at: self.wall("asked_at")?,
            ticket_at: self.wall("ticket_at")?,
            ended_at: self.wall("ended_at")?,
            booked: self.booked()?,
            boot: BootId(self.id("boot")?),
            ends: self.mono("ends")?,
            hears_result: self.get("hears_result")?,
            state: self.return_state()?,
        })
    }

    fn ticket(self) -> Result<Option<Ticket>, ReadError> {
        match self.get::<Option<u32>>("ticket")? {
            None => Ok(None),
            Some(number) => Ok(Some(Ticket { epoch: self.get("ticket_epoch")?, number })),
        }
    }

    /// A sale, its attempts and refunds still missing.
    pub(super) fn sale(self) -> Result<Sale, ReadError> {
        let code: String = self.get("code")?;
        Ok(Sale {
            id: SaleId(self.id("id")?),
            till: self.till("till")?,
            ticket: self.ticket()?,
            receipt: self.receipt_if_any("receipt")?,
            amount: self.amount()?,
            code: Code::parse(&code).ok_or(ReadError::Column("code"))?,
            asked_at: self.wall("asked_at")?,
            ticket_at: self.wall("ticket_at")?,
            ended_at: self.wall("ended_at")?,
            booked: self.booked()?,
            boot: BootId(self.id("boot")?),
            ends: self.mono("ends")?,
            hears_result: self.get("hears_result")?,
            state: self.sale_state()?,
            attempts: Vec::new(),
            refunds: Vec::new(),
        })
    }

    /// An attempt.
    pub(super) fn attempt(self) -> Result<Attempt, ReadError> {
        let word: String = self.get("state")?;
        let state = match word.as_str() {
            "intent" => AttemptState::Intent { doubt: self.doubt()? },
            "open" => {
                let link: String = self.get("link")?;
                let link = Link::new(&link).ok_or(ReadError::Column("link"))?;
                AttemptState::Open { link, until: self.mono("until")?, doubt: self.doubt()? }
            }
            "paid" => AttemptState::Paid { at: self.wall("paid_at")?, right: self.get("paid_right")? },
            "closed" => {
                let why: String = self.get("why")?;
                let why = closed_from(&why, self.word_if_any("reason")?).ok_or(ReadError::Column("why"))?;
                AttemptState::Closed(why)
            }
            _ => return Err(ReadError::Column("state")),
        };
        let last_failure = match self.word_if_any::<Reason>("failure")? {
            None => None,
            Some(reason) => Some(TryFailure { reason, at: self.wall("failure_at")? }),
        };
        Ok(Attempt {
            id: AttemptId(self.id("id")?),
            number: self.get("number")?,
            session: SessionId(self.id("session")?),
            expires_in_secs: self.get("expires_secs")?,
            state,
            version: self.bits("version")?,
            tries: self.get("tries")?,
            last_failure,
            paid_minor: self.bits("paid_minor")?,
            checked: self.get("checked")?,
            needs_person: self.needs_person()?,
        })
    }

    /// A refund.
    pub(super) fn refund(self) -> Result<Refund, ReadError> {
        let word: String = self.get("state")?;
        let state = match word.as_str() {
            "intent" => RefundState::Intent { doubt: self.doubt()? },
            "accepted" => RefundState::Accepted,
            "done" => RefundState::Done,
            "refused" => RefundState::Refused,
            _ => return Err(ReadError::Column("state")),
        };
        Ok(Refund {
            id: RefundId(self.id("id")?),
            attempt: AttemptId(self.id("attempt")?),
            amount: self.amount()?,
            why: self.word::<RefundWhy>("why")?,
            state,
            needs_person: self.needs_person()?,
            booked: self.booked()?,
        })
    }

    /// Where a till closed its day.
    pub(super) fn day(self) -> Result<(TillNumber, u64), ReadError> {
        Ok((self.till("till")?, self.bits("mark")?))
    }

    /// A visit.
    pub(super) fn session(self) -> Result<Session, ReadError> {
        let ip: String = self.get("ip")?;
        let ip = ip.parse().map_err(|_| ReadError::Column("ip"))?;
        let pairing = match self.get::<Option<u16>>("pair_till")? {
            None => None,
            Some(_) => Some(Pairing {
                till: self.till("pair_till")?,
                since: self.mono("pair_since")?,
                until: self.mono("pair_until")?,
            }),
        };
        Ok(Session {
            id: SessionId(self.id("id")?),
            place: Place { ip, mac: self.get("mac")? },
            boot: BootId(self.id("boot")?),
            until: self.mono("until")?,
            pairing,
            sale: self.id_if_any("sale")?.map(SaleId),
            online_until: self.mono_if_any("online_until")?,
        })
    }
}
