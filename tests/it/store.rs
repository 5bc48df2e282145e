//! The store on real files: what is written comes back, what is changed from outside is found.

use rusqlite::Connection;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use tillgate::shop::Asked;
use tillgate::shop::attempt::*;
use tillgate::shop::effect::{Alarm, CancelledWhy, DeclinedWhy, Record};
use tillgate::shop::event::{Of, Reason, ReceiptNumber, ReturnKind, Span, Ticket, TillNumber};
use tillgate::shop::giveback::{Back, Return, ReturnState};
use tillgate::shop::id::{AttemptId, Ids, RefundId, SaleId, SessionId};
use tillgate::shop::money::{Amount, Currency};
use tillgate::shop::pairing::Pairing;
use tillgate::shop::sale::{AbortWhy, Code, Sale, SaleState, Telling};
use tillgate::shop::session::{Place, Session};
use tillgate::shop::time::{BootId, Mono, Now, Wall};
use tillgate::store::*;

const WALL: Option<Wall> = Some(Wall(1_800_000_000_000));

/// A folder of its own for each test, gone when the test is over.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("store-{}-{count}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn db(&self) -> PathBuf {
        self.0.join("tillgate.db")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn till(number: u16) -> TillNumber {
    TillNumber::new(number).unwrap()
}

fn eur(minor: u64) -> Amount {
    Amount::from_minor(minor, Currency::from_code("EUR").unwrap()).unwrap()
}

fn sale(id: u128, at: TillNumber, state: SaleState) -> Sale {
    Sale {
        id: SaleId(id),
        till: at,
        ticket: Some(Ticket { epoch: Some(3), number: (id & 0xffff_ffff) as u32 }),
        amount: eur(1_250),
        code: Code::from_bits(id),
        asked_at: WALL,
        ticket_at: WALL,
        ended_at: None,
        receipt: None,
        booked: None,
        boot: BootId(u128::MAX - 5),
        ends: Mono(120_000),
        hears_result: true,
        state,
        attempts: Vec::new(),
        refunds: Vec::new(),
    }
}

fn attempt(id: u128, state: AttemptState) -> Attempt {
    Attempt {
        id: AttemptId(id),
        number: 1,
        session: SessionId(id ^ 7),
        expires_in_secs: 90,
        state,
        version: 4,
        tries: 0,
        last_failure: None,
        paid_minor: 0,
        checked: false,
        needs_person: None,
    }
}

fn refund(id: u128, of: u128, state: RefundState) -> Refund {
    let (id, attempt) = (RefundId(id), AttemptId(of));
    Refund { id, attempt, amount: eur(1_250), why: RefundWhy::Loser, state, needs_person: None, booked: None }
}

/// The records that write a whole sale, in the order in which they hurt most: children first.
fn records(sale: &Sale, open: bool) -> Vec<Record> {
    let mut all = Vec::new();
    all.extend(sale.refunds.iter().map(|r| Record::Refund { sale: sale.id, refund: r.clone() }));
    all.extend(sale.attempts.iter().map(|a| Record::Attempt { sale: sale.id, attempt: Box::new(a.clone()) }));
    all.extend(sale.ticket.map(|ticket| Record::Ticket { till: sale.till, ticket, sale: sale.id }));
    let bare = Sale { attempts: Vec::new(), refunds: Vec::new(), ..sale.clone() };
    all.push(Record::Sale { sale: Box::new(bare), open });
    all
}

fn write(store: &mut Store, sale: &Sale, open: bool) {
    store.commit(WALL, &records(sale, open)).unwrap();
}

fn approved(id: u128, at: TillNumber) -> Sale {
    let telling = Telling::Taken;
    let mut sale = sale(id, at, SaleState::Approved { attempt: AttemptId(id + 1), telling });
    sale.attempts = vec![attempt(id + 1, AttemptState::Paid { at: WALL, right: true })];
    sale
}

fn reasons() -> [Reason; 6] {
    use Reason::*;
    [WrongPassword, TooManyTries, NoFunds, Declined, NotAllowed, Other]
}

fn tellings() -> Vec<Telling> {
    vec![
        Telling::Telling { put_off: 0 },
        Telling::Telling { put_off: 3 },
        Telling::TakeLater { at: Mono(u64::MAX), times: u32::MAX },
        Telling::Taken,
        Telling::Rejected,
        Telling::Unheard { refund_at: None },
        Telling::Unheard { refund_at: Some(Mono(9)) },
        Telling::NoChannel,
    ]
}

fn sale_states(winner: AttemptId) -> Vec<SaleState> {
    let session = SessionId(0xfeed_0000_0000_0000_0000_0000_0000_0001);
    let mut states = vec![
        SaleState::Waiting,
        SaleState::Offered { session, until: Mono(1) },
        SaleState::Paying { session, back_by: None },
        SaleState::Paying { session, back_by: Some(Mono(u64::MAX - 1)) },
    ];
    for why in
        [AbortWhy::Till, AbortWhy::Clock, AbortWhy::PowerCut, AbortWhy::Customer, AbortWhy::NotBack, AbortWhy::LetGo]
    {
        states.push(SaleState::Aborting { session, why, until: Mono(0) });
    }
    let mut declines =
        vec![DeclinedWhy::Customer, DeclinedWhy::GivenUp, DeclinedWhy::Expired, DeclinedWhy::WrongPayment];
    declines.extend(reasons().map(DeclinedWhy::Failed));
    declines.extend(reasons().map(DeclinedWhy::Refused));
    for telling in tellings() {
        states.push(SaleState::Approved { attempt: winner, telling });
        states.push(SaleState::Lapsed { telling });
        states.extend(declines.iter().map(|why| SaleState::Declined { why: *why, telling }));
        for why in [CancelledWhy::Till, CancelledWhy::Clock, CancelledWhy::PowerCut] {
            states.push(SaleState::Cancelled { why, telling });
        }
    }
    states
}

fn doubts() -> [Option<Since>; 3] {
    let now = Now { boot: BootId(1), mono: Mono(u64::MAX), wall: None };
    [None, Some(now), Some(Now { wall: Some(Wall(-1)), ..now })]
}

fn persons() -> Vec<Option<NeedsPerson>> {
    let mut all = vec![None];
    for why in [NeedsPersonWhy::Doubt, NeedsPersonWhy::WrongPayment, NeedsPersonWhy::RefundRefused] {
        all.extend([None, WALL].map(|since| Some(NeedsPerson { why, since })));
    }
    all
}

fn attempt_states() -> Vec<AttemptState> {
    let longest = format!("https://pay.example/{}", "x".repeat(Link::BYTES_MAX - 20));
    let link = Link::new(&longest).unwrap();
    let mut states = Vec::new();
    for doubt in doubts() {
        states.push(AttemptState::Intent { doubt });
        states.push(AttemptState::Open { link: link.clone(), until: Mono(77), doubt });
    }
    for right in [true, false] {
        states.extend([None, WALL].map(|at| AttemptState::Paid { at, right }));
    }
    let mut whys = vec![ClosedWhy::Expired, ClosedWhy::Cancelled, ClosedWhy::NeverBorn];
    whys.extend(reasons().map(ClosedWhy::Failed));
    whys.extend(reasons().map(ClosedWhy::Refused));
    states.extend(whys.into_iter().map(AttemptState::Closed));
    states
}

/// One sale for each state of a sale, and one with an attempt or refund in each of theirs.
fn sales_of_every_kind() -> Vec<Sale> {
    let mut ids = Ids::new(1);
    let mut sales = Vec::new();
    for (at, state) in sale_states(AttemptId(u128::MAX)).into_iter().enumerate() {
        let mut sale = sale(ids.draw(), till(1 + (at as u16 % 7)), state);
        if let SaleState::Approved { attempt: winner, .. } = &mut sale.state {
            *winner = AttemptId(ids.draw());
            sale.attempts = vec![attempt(winner.0, AttemptState::Paid { at: None, right: true })];
        }
        sale.ticket = [None, Some(Ticket { epoch: None, number: u32::MAX }), sale.ticket][at % 3];
        sale.asked_at = [None, WALL][at % 2];
        sale.ended_at = [WALL, None][at % 2];
        sale.hears_result = at % 2 == 0;
        sale.ends = [Mono(0), Mono(u64::MAX)][at % 2];
        sales.push(sale);
    }
    for (at, state) in attempt_states().into_iter().enumerate() {
        let mut sale = sale(ids.draw(), till(9_999), SaleState::Waiting);
        let persons = persons();
        for (number, needs_person) in persons.into_iter().enumerate() {
            let mut attempt = attempt(ids.draw(), state.clone());
            attempt.number = number as u32 + 1;
            attempt.needs_person = needs_person;
            attempt.version = [0, u64::MAX][at % 2];
            attempt.paid_minor = [u64::MAX, 0][at % 2];
            attempt.checked = number % 2 == 0;
            let reason = reasons()[number % 6];
            attempt.last_failure =
                [None, Some(TryFailure { reason, at: None }), Some(TryFailure { reason, at: WALL })][number % 3];
            sale.attempts.push(attempt);
        }
        sales.push(sale);
    }
    let mut given_back = approved(ids.draw(), till(8));
    let of = given_back.attempts[0].id.0;
    let mut states: Vec<RefundState> = doubts().map(|doubt| RefundState::Intent { doubt }).to_vec();
    states.extend([RefundState::Accepted, RefundState::Done, RefundState::Refused]);
    use RefundWhy::*;
    for why in [Loser, Rejected, Unheard, Till, Staff, Overpaid] {
        for state in &states {
            for needs_person in persons() {
                let refund = refund(ids.draw(), of, *state);
                given_back.refunds.push(Refund { why, needs_person, ..refund });
            }
        }
    }
    sales.push(given_back);
    sales
}

fn sessions_of_every_kind() -> Vec<Session> {
    let pairing = Pairing { till: till(7), since: Mono(u64::MAX), until: Mono(0) };
    let mut sessions = Vec::new();
    for (ip, mac) in [("10.0.0.7", None), ("fe80::1", Some([0, 1, 2, 0xfd, 0xfe, 0xff])), ("::ffff:1.2.3.4", None)] {
        for pairing in [None, Some(pairing)] {
            let id = SessionId((sessions.len() as u128 + 1) << 100);
            let place = Place { ip: ip.parse().unwrap(), mac };
            sessions.push(Session {
                id,
                place,
                boot: BootId(2),
                until: Mono(u64::MAX),
                pairing,
                sale: None,
                online_until: mac.map(|_| Mono(7)),
            });
        }
    }
    sessions
}

fn receipt(number: u16) -> ReceiptNumber {
    ReceiptNumber::new(number).unwrap()
}

fn given(id: u128, at: TillNumber, state: ReturnState) -> Return {
    Return {
        id: SaleId(id),
        till: at,
        ticket: None,
        receipt: receipt(41),
        kind: ReturnKind::Refund,
        named: None,
        asked: eur(500),
        code: Code::from_bits(id),
        asked_at: WALL,
        ticket_at: WALL,
        ended_at: None,
        booked: None,
        boot: BootId(7),
        ends: Mono(120_000),
        hears_result: true,
        state,
    }
}

fn return_states(back: Back) -> Vec<ReturnState> {
    let session = SessionId(0xfeed_0000_0000_0000_0000_0000_0000_0001);
    let mut states = vec![ReturnState::Choosing { session, until: Mono(u64::MAX) }, ReturnState::Sending { back }];
    for telling in tellings() {
        states.extend([true, false].map(|pending| ReturnState::Returned { back, pending, telling }));
        let refused = reasons().map(DeclinedWhy::Refused);
        states.extend(refused.map(|why| ReturnState::Declined { why, back: Some(back), telling }));
        states.push(ReturnState::Declined { why: DeclinedWhy::Customer, back: None, telling });
        for why in [CancelledWhy::Till, CancelledWhy::Clock, CancelledWhy::PowerCut] {
            states.push(ReturnState::Cancelled { why, telling });
        }
        states.push(ReturnState::Lapsed { telling });
    }
    states
}

/// One return for each of its states, all of this sale.
fn returns_of_every_kind(of: &Sale) -> Vec<Return> {
    let (attempt, refund) = (of.attempts[0].id, of.refunds[0].id);
    let back = Back { sale: of.id, attempt, refund, amount: eur(1) };
    let ticket = Ticket { epoch: None, number: 0 };
    let named = [
        None,
        Some(Of::Ticket(ticket)),
        Some(Of::Ticket(Ticket { epoch: Some(7), ..ticket })),
        Some(Of::Receipt(receipt(9_999))),
    ];
    let mut all = Vec::new();
    for (at, state) in return_states(back).into_iter().enumerate() {
        let n = at as u16;
        all.push(Return {
            ticket: [None, Some(Ticket { epoch: Some(u32::MAX), number: at as u32 })][at % 2],
            receipt: receipt(n + 1),
            kind: [ReturnKind::Refund, ReturnKind::Reverse][at % 2],
            named: named[at % 4],
            asked: eur([0, 500, 999_999_999_999][at % 3]),
            asked_at: [None, WALL][at % 2],
            ended_at: [WALL, None][at % 2],
            booked: [None, Some(u64::MAX), Some(at as u64)][at % 3],
            ends: [Mono(0), Mono(u64::MAX)][at % 2],
            hears_result: at % 2 == 0,
            ..given((1 << 99) + at as u128, till(1 + n % 7), state)
        });
    }
    all
}

fn return_records(given: &Return, open: bool) -> Vec<Record> {
    let (till, sale) = (given.till, given.id);
    let ticket = given.ticket.map(|ticket| Record::Ticket { till, ticket, sale });
    ticket.into_iter().chain([Record::Return { given: Box::new(given.clone()), open }]).collect()
}

#[test]
fn every_state_of_every_thing_comes_back_as_it_was_written() {
    let folder = Folder::new();
    let sales = sales_of_every_kind();
    let returns = returns_of_every_kind(sales.last().unwrap());
    let mut sessions = sessions_of_every_kind();
    (sessions[0].sale, sessions[1].sale) = (Some(sales[0].id), Some(returns[0].id));
    {
        let mut store = Store::open(&folder.db()).unwrap();
        let mut all: Vec<Record> = sessions.iter().cloned().map(Record::Session).collect();
        all.extend(sales.iter().flat_map(|sale| records(sale, true)));
        all.extend(returns.iter().flat_map(|given| return_records(given, true)));
        all.push(Record::Cursor("page \u{1f6d2} 7".to_owned()));
        all.extend([(3, 5), (4, u64::MAX)].map(|(at, mark)| Record::DayClosed { till: till(at), mark }));
        store.commit(WALL, &all).unwrap();
    }
    let store = Store::open(&folder.db()).unwrap();
    let loaded = store.load().unwrap();
    assert_eq!(loaded.shop.sessions, sessions);
    assert_eq!(loaded.shop.sales.len(), sales.len());
    for (loaded, written) in loaded.shop.sales.iter().zip(&sales) {
        assert_eq!(loaded, written);
    }
    assert_eq!(loaded.shop.returns, returns);
    assert_eq!(loaded.shop.days, [(till(3), 5), (till(4), u64::MAX)].into());
    assert_eq!((loaded.shop.cursor.as_str(), loaded.last_wall), ("page \u{1f6d2} 7", WALL));
    assert_eq!(verify(&folder.db(), &mut |_, _| {}).unwrap().rows, store.journal_rows());
}

#[test]
fn a_record_replaces_the_row_with_its_id_from_any_state_to_any_other() {
    let folder = Folder::new();
    let mut store = Store::open(&folder.db()).unwrap();
    let mut one = approved(500, till(1));
    for state in sale_states(AttemptId(501)).into_iter().rev() {
        one.state = state;
        write(&mut store, &one, true);
        assert_eq!(store.last_sale_of(till(1)).unwrap().as_ref(), Some(&one));
    }
    for state in attempt_states().into_iter().rev() {
        one.attempts[0].state = state;
        write(&mut store, &one, true);
        assert_eq!(store.sale(SaleId(500)).unwrap().as_ref(), Some(&one));
    }
    verify(&folder.db(), &mut |_, _| {}).unwrap();
}

#[test]
fn a_return_goes_from_any_state_to_any_other_and_keeps_what_it_is() {
    let folder = Folder::new();
    let mut store = Store::open(&folder.db()).unwrap();
    let mut of = approved(500, till(1));
    of.refunds = vec![refund(502, 501, RefundState::Done)];
    write(&mut store, &of, true);
    for mut one in returns_of_every_kind(&of) {
        one = Return { state: one.state, ended_at: one.ended_at, ..given(600, till(1), one.state) };
        store.commit(WALL, &return_records(&one, true)).unwrap();
        assert_eq!(store.asked(SaleId(600)).unwrap(), Some(Asked::Return(Box::new(one))));
    }
    let other = Return { kind: ReturnKind::Reverse, ..given(600, till(1), return_states(back_of(&of))[0]) };
    assert!(store.commit(WALL, &return_records(&other, true)).is_err(), "a refund never becomes a reversal");
    assert_eq!(store.sale(SaleId(600)).unwrap(), None, "a return is no sale");
    verify(&folder.db(), &mut |_, _| {}).unwrap();
}

fn back_of(sale: &Sale) -> Back {
    let (sale, attempt, refund) = (sale.id, sale.attempts[0].id, sale.refunds[0].id);
    Back { sale, attempt, refund, amount: eur(500) }
}

#[test]
fn the_newest_bearer_of_a_receipt_and_what_a_phone_has_paid_are_found() {
    let folder = Folder::new();
    let mut store = Store::open(&folder.db()).unwrap();
    let phone = SessionId(77);
    let paid = |id: u128, at: u16, number: u16| {
        let mut one = approved(id, till(at));
        one.receipt = Some(receipt(number));
        one.attempts[0].session = phone;
        one
    };
    let (first, mut second, mut third) = (paid(100, 1, 5), paid(200, 1, 5), paid(300, 2, 5));
    second.refunds = vec![Refund { amount: eur(1_249), why: RefundWhy::Till, ..refund(202, 201, RefundState::Done) }];
    third.refunds = vec![
        Refund { why: RefundWhy::Till, ..refund(302, 301, RefundState::Accepted) },
        Refund { why: RefundWhy::Overpaid, ..refund(303, 301, RefundState::Done) },
    ];
    let mut other = approved(400, till(1));
    other.attempts[0].session = SessionId(78);
    for sale in [&first, &second, &third, &other] {
        write(&mut store, sale, false);
    }
    let ids = |found: Vec<Sale>| found.iter().map(|sale| sale.id.0).collect::<Vec<_>>();
    assert_eq!(ids(store.paid_by(phone).unwrap()), [200, 100], "newest first, and something left");
    third.refunds[0].state = RefundState::Refused;
    write(&mut store, &third, false);
    assert_eq!(ids(store.paid_by(phone).unwrap()), [300, 200, 100]);
    assert_eq!(ids(store.paid_by(SessionId(79)).unwrap()), [0_u128; 0]);
    let newest = |at: u16, number| store.newest_with(till(at), receipt(number)).unwrap().map(|asked| asked.id().0);
    assert_eq!((newest(1, 5), newest(2, 5), newest(1, 6), newest(3, 5)), (Some(200), Some(300), None, None));
    let back = Return { receipt: receipt(5), ..given(500, till(1), ReturnState::Sending { back: back_of(&second) }) };
    store.commit(WALL, &return_records(&back, true)).unwrap();
    assert_eq!(store.newest_with(till(1), receipt(5)).unwrap().map(|asked| asked.id().0), Some(500));
    let loaded = store.load().unwrap().shop;
    assert_eq!(loaded.receipts, [(till(1), receipt(5)), (till(2), receipt(5))].into());
    assert_eq!(loaded.returns, [back]);
}

#[test]
fn the_sums_of_a_day_are_of_what_was_booked_since_it_was_closed() {
    let folder = Folder::new();
    let mut store = Store::open(&folder.db()).unwrap();
    let mut booked = 0;
    let mut next = || {
        booked += 1;
        Some(booked)
    };
    let day = |store: &Store, at: u16| {
        let _ = store;
        let t = Books::open_read_only(&folder.db()).unwrap().totals(till(at), Span::Day).unwrap();
        ((t.approved, t.approved_minor), (t.given_back, t.given_back_minor), t.unpaid, t.mark)
    };
    let old = approved(5, till(1)); // From before anything was booked.
    write(&mut store, &old, false);
    assert_eq!(day(&store, 1), ((0, 0), (0, 0), 0, 0));
    let mut sales = Vec::new();
    for id in [10, 20, 30] {
        let mut one = approved(id, till(1));
        one.booked = next();
        write(&mut store, &one, false);
        sales.push(one);
    }
    let mut lapsed = sale(40, till(1), SaleState::Lapsed { telling: Telling::Taken });
    lapsed.booked = next();
    write(&mut store, &lapsed, false);
    write(&mut store, &sale(50, till(1), SaleState::Waiting), true);
    assert_eq!(day(&store, 1), ((3, 3_750), (0, 0), 1, 4));
    assert_eq!(day(&store, 2), ((0, 0), (0, 0), 0, 0));
    // The till rejects one, and takes back part of another at the till beside it.
    sales[0].refunds = vec![Refund { why: RefundWhy::Rejected, booked: next(), ..refund(12, 11, RefundState::Done) }];
    let why = RefundWhy::Till;
    sales[1].refunds = vec![Refund { why, booked: next(), amount: eur(500), ..refund(22, 21, RefundState::Accepted) }];
    sales[2].refunds = vec![Refund { why: RefundWhy::Overpaid, booked: next(), ..refund(32, 31, RefundState::Done) }];
    sales.iter().for_each(|sale| write(&mut store, sale, true));
    let done = ReturnState::Returned { back: back_of(&sales[1]), pending: true, telling: Telling::Taken };
    let mut back = Return { booked: next(), ..given(60, till(2), done) };
    store.commit(WALL, &return_records(&back, true)).unwrap();
    let declined = ReturnState::Declined { why: DeclinedWhy::Customer, back: None, telling: Telling::Taken };
    let nothing = Return { booked: next(), ..given(61, till(2), declined) };
    store.commit(WALL, &return_records(&nothing, false)).unwrap();
    assert_eq!(day(&store, 1), ((3, 3_750), (1, 1_250), 1, 7));
    assert_eq!(day(&store, 2), ((0, 0), (1, 500), 0, 9));
    let all = Books::open_read_only(&folder.db()).unwrap().totals(till(1), Span::All).unwrap();
    assert_eq!((all.approved, all.given_back, all.given_back_minor), (4, 2, 1_750));
    // The day is closed behind the first four.
    store.commit(WALL, &[Record::DayClosed { till: till(1), mark: 4 }]).unwrap();
    assert_eq!(day(&store, 1), ((0, 0), (1, 1_250), 0, 7));
    store
        .commit(WALL, &[Record::DayClosed { till: till(1), mark: 7 }, Record::DayClosed { till: till(2), mark: 9 }])
        .unwrap();
    assert_eq!((day(&store, 1), day(&store, 2)), (((0, 0), (0, 0), 0, 7), ((0, 0), (0, 0), 0, 9)));
    // What was pending is refused after the day was closed: the closed day stays as it was told.
    back.state = ReturnState::Declined {
        why: DeclinedWhy::Refused(Reason::NotAllowed),
        back: Some(back_of(&sales[1])),
        telling: Telling::Taken,
    };
    store.commit(WALL, &return_records(&back, false)).unwrap();
    assert_eq!(day(&store, 2), ((0, 0), (0, 0), 0, 9));
    assert_eq!(store.load().unwrap().shop.booked, 9);
    verify(&folder.db(), &mut |_, _| {}).unwrap();
}

#[test]
fn a_store_of_the_first_version_is_brought_up_to_date_and_its_journal_still_proves_it() {
    let folder = Folder::new();
    let first = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/data/version-1.db");
    fs::copy(first, folder.db()).unwrap();
    let before = Connection::open(folder.db()).unwrap();
    let text = |conn: &Connection, sql: &str| conn.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap();
    let rows = "SELECT group_concat(hex(id) || till || state || minor || coalesce(hex(attempt), '-') || seq, char(10)) FROM sales";
    let sales = text(&before, rows);
    drop(before);
    assert!(Books::open_read_only(&folder.db()).unwrap_err().to_string().contains("cannot be used"));

    let mut store = Store::open(&folder.db()).unwrap();
    assert_eq!(text(&Connection::open(folder.db()).unwrap(), rows), sales);
    let proof = verify(&folder.db(), &mut |_, _| {}).unwrap();
    let head = "9db77ca86d85680796aac873178b66838417bd4d81f9be38d149bd16e76aac1c";
    assert_eq!((proof.rows, proof.head.as_str()), (76, head), "the same journal as before");
    let loaded = store.load().unwrap().shop;
    assert_eq!((loaded.sessions.len(), loaded.cursor.as_str(), loaded.booked), (3, "c-41", 0));
    assert!(loaded.sales.iter().all(|sale| sale.receipt.is_none()) && loaded.receipts.is_empty());
    let books = Books::open_read_only(&folder.db()).unwrap();
    let totals = books.totals(till(3), Span::Epoch(9)).unwrap();
    assert_eq!((totals.approved, totals.approved_minor, totals.given_back_minor), (10, 12_500, 1_250));
    assert_eq!(books.totals(till(3), Span::Day).unwrap().approved, 0, "the first day begins now");

    let ticket = Ticket { epoch: Some(9), number: 4 };
    let mut old = store.sale_of_ticket(till(3), &ticket).unwrap().unwrap();
    old.refunds.push(Refund {
        why: RefundWhy::Till,
        booked: Some(1),
        amount: eur(1),
        ..refund(7, old.attempts[0].id.0, RefundState::Accepted)
    });
    write(&mut store, &old, true);
    let mut back = given(8, till(3), ReturnState::Sending { back: back_of(&old) });
    back.state = ReturnState::Sending { back: Back { refund: RefundId(7), amount: eur(1), ..back_of(&old) } };
    store.commit(WALL, &return_records(&back, true)).unwrap();
    drop(store);
    verify(&folder.db(), &mut |_, _| {}).unwrap();
    assert_eq!(Store::open(&folder.db()).unwrap().load().unwrap().shop.returns, [back]);
    let copy = folder.0.join("tillgate.db.before-v2");
    assert_eq!(text(&Connection::open(&copy).unwrap(), rows), sales);
    // Where a row refers to nothing, the file stays what it was.
    fs::remove_file(folder.db()).unwrap();
    fs::remove_file(folder.0.join("tillgate.db-wal")).unwrap();
    fs::copy(&copy, folder.db()).unwrap();
    assert_eq!(tamper(&folder.db(), "UPDATE refunds SET sale = zeroblob(16) WHERE no = 1"), "");
    let refused = Store::open(&folder.db()).unwrap_err();
    assert!(matches!(&refused, OpenError::Damaged { what, .. } if what.contains("refunds")), "{refused:?}");
    let version = "SELECT CAST(user_version AS TEXT) FROM pragma_user_version";
    assert_eq!(text(&Connection::open(folder.db()).unwrap(), version), "1");
}

#[test]
fn a_start_loads_open_sales_and_the_newest_of_each_till_and_no_others() {
    let folder = Folder::new();
    let mut store = Store::open(&folder.db()).unwrap();
    let empty = store.load().unwrap();
    assert_eq!((empty.shop, empty.last_wall), (tillgate::shop::Loaded::default(), None));
    for (id, at, open) in [(10, 1, true), (20, 1, false), (30, 1, false), (40, 2, true), (50, 3, false), (60, 3, false)]
    {
        write(&mut store, &approved(id, till(at)), open);
    }
    let ids = |store: &Store| store.load().unwrap().shop.sales.iter().map(|s| s.id.0).collect::<Vec<_>>();
    assert_eq!(ids(&store), [10, 30, 40, 60]);
    write(&mut store, &approved(10, till(1)), false);
    drop(store);
    assert_eq!(ids(&Store::open(&folder.db()).unwrap()), [30, 40, 60]);
}

#[test]
fn an_ended_sale_is_recalled_by_ticket_by_till_and_by_attempt() {
    let folder = Folder::new();
    let mut store = Store::open(&folder.db()).unwrap();
    let mut first = approved(100, till(1));
    let mut second = approved(200, till(1));
    let ticket = Ticket { epoch: None, number: 7 };
    (first.ticket, second.ticket) = (Some(ticket), Some(ticket));
    write(&mut store, &first, false);
    assert_eq!(store.sale_of_ticket(till(1), &ticket).unwrap().as_ref(), Some(&first));
    write(&mut store, &second, false);
    assert_eq!(store.sale_of_ticket(till(1), &ticket).unwrap().as_ref(), Some(&second));
    assert_eq!(store.sale_of_ticket(till(2), &ticket).unwrap(), None);
    for epoch in [0, 1] {
        assert_eq!(store.sale_of_ticket(till(1), &Ticket { epoch: Some(epoch), number: 7 }).unwrap(), None);
    }
    assert_eq!(store.last_sale_of(till(1)).unwrap().as_ref(), Some(&second));
    assert_eq!(store.last_sale_of(till(2)).unwrap(), None);
    assert_eq!(store.sale_of_attempt(AttemptId(101)).unwrap().as_ref(), Some(&first));
    assert_eq!(store.sale_of_attempt(AttemptId(1)).unwrap(), None);
}

#[test]
fn an_ended_visit_leaves_neither_its_row_nor_its_secret_in_the_journal() {
    let folder = Folder::new();
    let mut store = Store::open(&folder.db()).unwrap();
    let session =
        Session { id: SessionId(0xabcd_ef01_2345_6789_abcd_ef01_2345_6789), ..sessions_of_every_kind()[3].clone() };
    let (id, mut one) = (session.id, approved(10, till(1)));
    one.attempts[0].session = session.id;
    one.attempts[0].state =
        AttemptState::Open { link: Link::new("https://pay.example/secret").unwrap(), until: Mono(5), doubt: None };
    one.state = SaleState::Paying { session: session.id, back_by: None };
    store.commit(WALL, &[Record::Session(session.clone())]).unwrap();
    write(&mut store, &one, true);
    assert_eq!(store.load().unwrap().shop.sessions, std::slice::from_ref(&session));
    store.commit(None, &[Record::SessionEnded(id), Record::Alarm(Alarm::Unheard { sale: one.id })]).unwrap();
    assert_eq!(store.load().unwrap().shop.sessions, []);
    let conn = Connection::open(folder.db()).unwrap();
    let all = "SELECT group_concat(seq || kind || id || body, char(10)) FROM journal";
    let text: String = conn.query_row(all, [], |row| row.get(0)).unwrap();
    assert!(text.contains("session=abcdef01 ") && text.contains("session-endedabcdef01"), "{text}");
    for secret in ["abcdef0123", "pay.example", "000102fdfeff"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

#[test]
fn nothing_to_write_writes_nothing() {
    let folder = Folder::new();
    let mut store = Store::open(&folder.db()).unwrap();
    write(&mut store, &approved(10, till(1)), true);
    let log = || fs::metadata(folder.0.join("tillgate.db-wal")).unwrap().modified().unwrap();
    let before = (log(), store.journal_rows());
    store.commit(WALL, &[]).unwrap();
    assert_eq!((log(), store.journal_rows()), before);
}

#[test]
fn a_batch_that_contradicts_the_store_leaves_nothing_behind() {
    let folder = Folder::new();
    let mut store = Store::open(&folder.db()).unwrap();
    write(&mut store, &approved(10, till(1)), true);
    let rows = store.journal_rows();
    let orphan =
        Record::Attempt { sale: SaleId(99), attempt: Box::new(attempt(98, AttemptState::Intent { doubt: None })) };
    let mut dearer = approved(10, till(1));
    dearer.amount = eur(9_999);
    for bad in [vec![orphan], records(&dearer, true)] {
        let mut batch = records(&approved(20, till(2)), true);
        batch.extend(bad);
        assert!(matches!(store.commit(WALL, &batch), Err(CommitError::Failed(_))));
        assert_eq!((store.journal_rows(), store.sale(SaleId(20)).unwrap()), (rows, None));
    }
    write(&mut store, &approved(30, till(2)), true);
    verify(&folder.db(), &mut |_, _| {}).unwrap();
}

#[test]
fn the_store_is_for_its_owner_only() {
    let folder = Folder::new();
    let mut store = Store::open(&folder.db()).unwrap();
    write(&mut store, &approved(10, till(1)), true);
    backup(&folder.db(), &folder.0.join("copy")).unwrap();
    for file in fs::read_dir(&folder.0).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.file_name());
    }
}

#[test]
fn a_second_writer_is_refused_and_readers_are_not() {
    let folder = Folder::new();
    let mut store = Store::open(&folder.db()).unwrap();
    write(&mut store, &approved(10, till(1)), true);
    let refused = Store::open(&folder.db()).unwrap_err();
    assert!(matches!(refused, OpenError::InUse(_)) && refused.to_string().contains("in use"), "{refused}");
    let books = Books::open_read_only(&folder.db()).unwrap();
    assert_eq!(books.counts().unwrap().sales, 1);
    write(&mut store, &approved(20, till(1)), true);
    assert_eq!(books.counts().unwrap().sales, 2);
    drop(store);
    assert_eq!(books.counts().unwrap().sales, 2);
    Store::open(&folder.db()).unwrap();
}

#[test]
fn a_newer_store_is_refused_with_both_versions() {
    let folder = Folder::new();
    drop(Store::open(&folder.db()).unwrap());
    Connection::open(folder.db()).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let refused = Store::open(&folder.db()).unwrap_err();
    assert!(matches!(refused, OpenError::Newer { found: 99, known: 2, .. }), "{refused}");
    assert!(refused.to_string().contains("version 99") && refused.to_string().contains("up to 2"), "{refused}");
    assert!(matches!(Books::open_read_only(&folder.db()), Err(OpenError::Newer { .. })));
}

#[test]
fn a_file_that_is_not_ours_is_refused_and_left_alone() {
    let folder = Folder::new();
    let other = Connection::open(folder.db()).unwrap();
    other.execute_batch("CREATE TABLE t (a); INSERT INTO t VALUES (1)").unwrap();
    drop(other);
    let before = fs::read(folder.db()).unwrap();
    assert!(matches!(Store::open(&folder.db()), Err(OpenError::NotAStore(_))));
    assert_eq!(fs::read(folder.db()).unwrap(), before);
    let text = "not a database at all, but long enough to be read as the first page of one".repeat(40);
    fs::write(folder.db(), &text).unwrap();
    assert!(matches!(Store::open(&folder.db()), Err(OpenError::NotAStore(_))));
    assert_eq!(fs::read_to_string(folder.db()).unwrap(), text);
}

#[test]
fn a_damaged_store_is_refused_with_what_to_do_and_left_alone() {
    for damage in [
        "UPDATE journal SET body = replace(body, 'minor=1250', 'minor=1') WHERE seq = 3",
        "DELETE FROM journal WHERE seq = 3",
        "DELETE FROM journal WHERE seq = (SELECT max(seq) FROM journal)",
        "UPDATE sales SET ends = 5 WHERE open = 1",
        "UPDATE attempts SET tries = 5",
        "UPDATE sales SET code = 'OO'",
        "UPDATE sales SET attempt = zeroblob(16)",
    ] {
        let folder = Folder::new();
        let mut store = Store::open(&folder.db()).unwrap();
        write(&mut store, &approved(10, till(1)), true);
        write(&mut store, &approved(20, till(1)), true);
        drop(store);
        assert_eq!(tamper(&folder.db(), damage), "");
        let dump = || {
            let conn = Connection::open(folder.db()).unwrap();
            let all = "SELECT group_concat(id || body) || (SELECT group_concat(hex(id) || state || ends) FROM sales) FROM journal";
            conn.query_row(all, [], |row| row.get::<_, String>(0)).unwrap()
        };
        let before = dump();
        let refused = Store::open(&folder.db()).expect_err(damage);
        assert!(matches!(refused, OpenError::Damaged { .. }), "{damage}: {refused}");
        assert!(refused.to_string().contains("tillgate restore"), "{refused}");
        assert_eq!(dump(), before);
    }
}

#[test]
fn a_torn_file_is_refused_as_damaged() {
    let folder = Folder::new();
    let mut store = Store::open(&folder.db()).unwrap();
    for id in 0..200 {
        write(&mut store, &approved(10 * id + 10, till(1)), true);
    }
    backup(&folder.db(), &folder.0.join("copy.db")).unwrap();
    let mut bytes = fs::read(folder.0.join("copy.db")).unwrap();
    let end = bytes.len();
    bytes[4_096..end - 4_096].fill(0x5a);
    fs::write(folder.0.join("copy.db"), bytes).unwrap();
    let refused = Store::open(&folder.0.join("copy.db")).unwrap_err();
    assert!(matches!(refused, OpenError::Damaged { .. }), "{refused:?}");
}

/// Runs statements on a store from outside; returns SQLite's complaint, if any.
fn tamper(db: &Path, sql: &str) -> String {
    let conn = Connection::open(db).unwrap();
    conn.pragma_update(None, "foreign_keys", false).unwrap();
    conn.execute_batch(sql).err().map_or_else(String::new, |error| error.to_string())
}

#[test]
fn verify_names_the_first_row_that_does_not_fit() {
    // journal rows of each sale: attempt, ticket, sale; the sales are closed, so that a start would not look.
    for (tampering, seq, kind) in [
        ("UPDATE journal SET body = body || ' ' WHERE seq = 5", 5, "ticket"),
        ("UPDATE journal SET wall = wall + 1 WHERE seq = 4", 4, "attempt"),
        ("UPDATE journal SET id = replace(id, 'a', 'b') WHERE seq = 3", 3, "sale"),
        ("UPDATE journal SET kind = 'alarm' WHERE seq = 3", 3, "alarm"),
        ("UPDATE journal SET hash = zeroblob(32) WHERE seq = 6", 6, "sale"),
        ("DELETE FROM journal WHERE seq = 1", 2, "ticket"),
        ("DELETE FROM journal WHERE seq = 4", 5, "ticket"),
        (
            "UPDATE journal SET seq = -1 WHERE seq = 2; UPDATE journal SET seq = 2 WHERE seq = 5;
             UPDATE journal SET seq = 5 WHERE seq = -1",
            2,
            "ticket",
        ),
        ("UPDATE sales SET minor = 1 WHERE no = 1", 3, "sale"),
        ("UPDATE attempts SET paid_right = 0 WHERE no = 2", 4, "attempt"),
        ("UPDATE refunds SET state = 'refused'", 10, "refund"),
        ("DELETE FROM refunds", 10, "refund"),
        ("DELETE FROM sales WHERE no = 2", 6, "sale"),
        ("UPDATE tickets SET sale = (SELECT id FROM sales WHERE no = 1)", 5, "ticket"),
        ("UPDATE sales SET seq = 3, attempt = NULL, state = 'lapsed' WHERE no = 3", 9, "sale"),
        ("INSERT INTO tickets SELECT till, epoch, 77, sale, seq FROM tickets LIMIT 1", 2, "ticket"),
    ] {
        let folder = Folder::new();
        let mut store = Store::open(&folder.db()).unwrap();
        write(&mut store, &approved(10, till(1)), false);
        write(&mut store, &approved(20, till(1)), false);
        let mut third = approved(30, till(2));
        write(&mut store, &third, false);
        third.refunds = vec![refund(300, 31, RefundState::Accepted)];
        write(&mut store, &third, false);
        write(&mut store, &approved(40, till(3)), false);
        drop(store);
        verify(&folder.db(), &mut |_, _| {}).unwrap();
        assert_eq!(tamper(&folder.db(), tampering), "", "{tampering}");
        match verify(&folder.db(), &mut |_, _| {}) {
            Err(VerifyError::Bad(row)) => assert_eq!((row.seq, row.kind.as_str()), (seq, kind), "{tampering}: {row}"),
            other => panic!("{tampering}: {other:?}"),
        }
    }
}

#[test]
fn a_file_that_may_not_grow_is_a_full_disk() {
    let mut store = Store::in_memory().unwrap();
    let pages: i64 = store.connection().query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    store.connection().pragma_update(None, "max_page_count", pages).unwrap();
    let mut ids = (1..1_000).map(|n| n * 10);
    let error = ids.find_map(|id| store.commit(WALL, &records(&approved(id, till(1)), false)).err());
    assert!(matches!(error, Some(CommitError::DiskFull(_))), "{error:?}");
}

/// What a start does not see with its first look, it sees with the closer one that an end out of order asks for; of a large
/// store beside the work.
#[test]
fn after_an_end_out_of_order_a_start_looks_closer() {
    for (in_order, large) in [(true, false), (false, false), (false, true)] {
        let (folder, copied) = (Folder::new(), Folder::new());
        let mut store = Store::open(&folder.db()).unwrap();
        write(&mut store, &approved(10, till(1)), false);
        write(&mut store, &approved(20, till(1)), false);
        if in_order {
            drop(store);
        } else {
            for file in fs::read_dir(&folder.0).unwrap().map(Result::unwrap) {
                fs::copy(file.path(), copied.0.join(file.file_name())).unwrap();
            }
        }
        let db = if in_order { folder.db() } else { copied.db() };
        assert_eq!(
            tamper(&db, "PRAGMA ignore_check_constraints = on; UPDATE sales SET hears_result = 7 WHERE no = 1"),
            ""
        );
        if large {
            assert_eq!(tamper(&db, "CREATE TABLE ballast (x); INSERT INTO ballast VALUES (zeroblob(40000000))"), "");
            let file = fs::File::options().write(true).open(&db).unwrap();
            file.write_all_at(&[0x5a; 8_192], 20_000_000).unwrap();
        }
        match Store::open(&db) {
            Ok(mut store) => match store.unread() {
                None => assert!(in_order, "it was not looked at"),
                Some(check) => assert!(large && check.run().is_err(), "it was not found"),
            },
            Err(OpenError::Damaged { .. }) => assert!(!in_order && !large, "it was looked at"),
            Err(other) => panic!("{other}"),
        }
    }
}

/// Each is a value that SQLite takes and no record has: another way to say the same, or a cell that its state has not.
#[test]
fn a_row_that_was_never_written_so_is_refused_even_if_it_can_be_read() {
    for (table, change) in [
        ("sales", "hears_result = 7"),
        ("sales", "why = 'customer'"),
        ("sales", "tell_times = 3"),
        ("attempts", "checked = 2"),
        ("attempts", "doubt_at = 5"),
        ("refunds", "doubt_at = 5"),
        ("sessions", "ip = '010.0.0.1'"),
    ] {
        let mut store = Store::in_memory().unwrap();
        let sale = Sale { refunds: vec![refund(7, 2, RefundState::Done)], ..approved(1, till(7)) };
        write(&mut store, &sale, true);
        store.commit(None, &[Record::Session(sessions_of_every_kind().remove(0))]).unwrap();
        assert!(store.load().is_ok());
        let conn = store.connection();
        conn.execute_batch("PRAGMA ignore_check_constraints = on; PRAGMA foreign_keys = off").unwrap();
        assert_eq!(conn.execute(&format!("UPDATE {table} SET {change}"), []).unwrap(), 1, "{table}: {change}");
        assert!(store.load().is_err(), "{table}: {change}");
    }
}

#[test]
fn verify_tells_how_far_it_is_and_ends_with_the_newest_hash() {
    let folder = Folder::new();
    let mut store = Store::open(&folder.db()).unwrap();
    let alarm = Record::Alarm(Alarm::Unheard { sale: SaleId(1) });
    store.commit(WALL, &vec![alarm; 25_000]).unwrap();
    let mut heard = Vec::new();
    let verified = verify(&folder.db(), &mut |done, all| heard.push((done, all))).unwrap();
    assert_eq!(heard, [(10_000, 25_000), (20_000, 25_000), (25_000, 25_000)]);
    let conn = Connection::open(folder.db()).unwrap();
    let newest = "SELECT lower(hex(hash)) FROM journal ORDER BY seq DESC LIMIT 1";
    assert_eq!(conn.query_row(newest, [], |row| row.get::<_, String>(0)).unwrap(), verified.head);
}

#[test]
fn verify_beside_a_busy_writer_finds_nothing_wrong() {
    let folder = Folder::new();
    let mut store = Store::open_synchronous(&folder.db(), Synchronous::Off).unwrap();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            // The log begins anew after some hundred of these.
            for id in (10..).step_by(10).take(6_000) {
                write(&mut store, &approved(id, till(1)), false);
            }
        });
        let mut times = 0;
        while !writer.is_finished() {
            verify(&folder.db(), &mut |_, _| {}).unwrap();
            times += 1;
        }
        assert!(times > 2, "{times}");
    });
}

#[test]
fn a_backup_beside_the_writer_is_one_file_that_opens_and_verifies() {
    let folder = Folder::new();
    let mut store = Store::open(&folder.db()).unwrap();
    for id in 0..500 {
        write(&mut store, &approved(10 * id + 10, till(1)), id % 50 == 0);
    }
    let (db, target) = (folder.db(), folder.0.join("copy.db"));
    fs::write(&target, "an older backup").unwrap();
    let (done, ended) = mpsc::channel();
    let copying = std::thread::spawn(move || done.send(backup(&db, &target).unwrap()).unwrap());
    let mut id = 10_000;
    let facts = loop {
        write(&mut store, &approved(id, till(2)), false);
        id += 10;
        if let Ok(facts) = ended.try_recv() {
            break facts;
        }
    };
    copying.join().unwrap();
    write(&mut store, &approved(id, till(2)), false);
    let target = folder.0.join("copy.db");
    assert!(facts.rows >= 1_500 && facts.rows < store.journal_rows(), "{facts:?}");
    assert_eq!(facts.bytes, fs::metadata(&target).unwrap().len());
    assert_eq!(verify(&target, &mut |_, _| {}).unwrap().rows, facts.rows);
    assert!(!folder.0.join("copy.db-wal").exists() && !folder.0.join("copy.db.part").exists());
    let mut restored = Store::open(&target).unwrap();
    write(&mut restored, &approved(5, till(3)), false);
    assert_eq!(restored.journal_rows(), facts.rows + 3);
    assert!(matches!(backup(&folder.db(), &folder.0.join("no/such/copy")), Err(BackupError::Target(_))));
}

#[test]
fn people_read_sales_by_till_time_and_standing() {
    let folder = Folder::new();
    let mut store = Store::open(&folder.db()).unwrap();
    let mut paid = approved(10, till(1));
    paid.attempts[0].tries = 2;
    paid.refunds = vec![refund(1, 11, RefundState::Done), refund(2, 11, RefundState::Refused)];
    let mut lapsed = sale(20, till(2), SaleState::Lapsed { telling: Telling::Taken });
    lapsed.asked_at = Some(Wall(1_900_000_000_000));
    let waiting = sale(30, till(1), SaleState::Waiting);
    write(&mut store, &paid, false);
    write(&mut store, &lapsed, false);
    write(&mut store, &waiting, true);
    let books = Books::open_read_only(&folder.db()).unwrap();
    let ids = |filter: Filter| {
        let mut ids = Vec::new();
        let lines = books.sales(&filter, |line| {
            ids.push(line.id.0);
            true
        });
        assert_eq!(lines.unwrap(), ids.len() as u64);
        ids
    };
    let all = Filter::default();
    assert_eq!(ids(all), [30, 20, 10]);
    assert_eq!(ids(Filter { limit: Some(2), ..all }), [30, 20]);
    assert_eq!(ids(Filter { till: Some(till(1)), ..all }), [30, 10]);
    assert_eq!(ids(Filter { since: Some(Wall(1_850_000_000_000)), ..all }), [20]);
    assert_eq!(ids(Filter { until: Some(Wall(1_850_000_000_000)), ..all }), [30, 10]);
    assert_eq!(ids(Filter { standing: Standing::parse("lapsed"), till: Some(till(2)), ..all }), [20]);
    assert_eq!(ids(Filter { standing: Standing::parse("approved"), till: Some(till(2)), ..all }), [0_u128; 0]);
    assert_eq!(books.open_sales().unwrap().iter().map(|s| s.id.0).collect::<Vec<_>>(), [30]);
    let mut lines = Vec::new();
    books
        .sales(&Filter { standing: Some(Standing::Approved), ..all }, |line| {
            lines.push(line);
            false
        })
        .unwrap();
    let line = &lines[0];
    assert_eq!((line.attempts, line.failed_tries, line.given_back_minor, line.open), (1, 2, 1_250, false));
    assert_eq!((line.state, line.ticket, line.needs_person), (Stands::Sale(paid.state), paid.ticket, false));
    let counts = Counts { sessions: 0, open_sales: 1, sales: 3, journal_rows: 9 };
    assert_eq!(books.counts().unwrap(), counts);
}

#[test]
fn totals_are_of_one_till_and_of_its_epoch_if_asked() {
    let folder = Folder::new();
    let mut store = Store::open(&folder.db()).unwrap();
    let epochs = [Some(3), Some(4), None];
    for id in 1..=30_u128 {
        let mut one = approved(id * 10, till(1 + (id % 2) as u16));
        one.ticket = Some(Ticket { epoch: epochs[id as usize % 3], number: id as u32 });
        if id % 5 == 0 {
            one.state = SaleState::Declined { why: DeclinedWhy::Customer, telling: Telling::Taken };
        }
        if id == 4 {
            one.refunds = vec![refund(1, 41, RefundState::Done), refund(2, 41, RefundState::Intent { doubt: None })];
        }
        write(&mut store, &one, false);
    }
    write(&mut store, &sale(7_777, till(1), SaleState::Waiting), true);
    let books = Books::open_read_only(&folder.db()).unwrap();
    let totals = |at, of| {
        let t = books.totals(till(at), of).unwrap();
        assert_eq!(t.of, of);
        (t.approved, t.approved_minor, t.given_back_minor, t.unpaid)
    };
    assert_eq!(totals(1, Span::All), (12, 12 * 1_250, 2_500, 3));
    assert_eq!(totals(2, Span::All), (12, 12 * 1_250, 0, 3));
    assert_eq!(totals(1, Span::Epoch(4)), (4, 4 * 1_250, 2_500, 1));
    assert_eq!(totals(1, Span::Epoch(3)), (4, 4 * 1_250, 0, 1));
    assert_eq!(totals(3, Span::All), (0, 0, 0, 0));
}

#[test]
fn the_reserve_is_held_and_given_up() {
    let folder = Folder::new();
    let reserve = Reserve::beside(&folder.db());
    assert!(!reserve.give_up().unwrap());
    assert!(disk_free_bytes(&folder.0).unwrap() > DISK_LOW_BYTES, "this test needs room");
    assert!(reserve.hold().unwrap() && reserve.hold().unwrap());
    assert_eq!(fs::metadata(folder.0.join("tillgate.reserve")).unwrap().len(), RESERVE_BYTES);
    assert!(reserve.give_up().unwrap());
    assert!(!folder.0.join("tillgate.reserve").exists());
}

/// Names the store that a child of these tests writes to.
const CHILD: &str = "TILLGATE_TEST_STORE";

/// What a child does: sales of three commits each, one after another, each acknowledged on standard output.
fn write_for_ever(path: &Path) -> CommitError {
    let mut store = Store::open(path).unwrap();
    let first = u128::from(Books::open_read_only(path).unwrap().counts().unwrap().sales);
    println!("\nopen {first}");
    for number in first.. {
        let id = (number + 1) * 10;
        let mut one = sale(id, till(1 + (number % 5) as u16), SaleState::Waiting);
        let states = [SaleState::Waiting, SaleState::Paying { session: SessionId(id), back_by: None }];
        for state in states.into_iter().chain([approved(id, till(1)).state]) {
            if state != SaleState::Waiting {
                one.attempts = approved(id, till(1)).attempts;
            }
            one.state = state;
            if let Err(error) = store.commit(WALL, &records(&one, state.outcome().is_none())) {
                return error;
            }
        }
        println!("ack {number}");
    }
    unreachable!("there are more numbers than time")
}

fn this_test(name: &str, db: &Path, limit: &str) -> Child {
    // The shell sets the limit, which the test could not do for itself alone.
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &format!("trap '' XFSZ; {limit} exec \"$0\" \"$@\"")]);
    command.arg(std::env::current_exe().unwrap());
    command.args(["--exact", &format!("store::{name}"), "--nocapture", "--test-threads=1"]);
    command.env(CHILD, db).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

/// The number in the last line that begins so, reading on until `enough`.
fn last_of(lines: &mut impl Iterator<Item = std::io::Result<String>>, word: &str, enough: Option<u64>) -> Option<u64> {
    let mut last = None;
    for line in lines {
        let line = line.unwrap();
        if let Some(number) = line.strip_prefix(word) {
            last = Some(number.trim().parse().unwrap());
            if last >= enough && enough.is_some() {
                break;
            }
        }
    }
    last
}

#[test]
fn what_was_acknowledged_survives_kill_at_any_moment() {
    if let Some(path) = std::env::var_os(CHILD) {
        panic!("{}", write_for_ever(Path::new(&path)));
    }
    let folder = Folder::new();
    let mut acknowledged = 0;
    for round in 0..12 {
        let mut child = this_test("what_was_acknowledged_survives_kill_at_any_moment", &folder.db(), "");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let seen = last_of(&mut lines, "ack ", Some(acknowledged + 1 + round * 13)).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        acknowledged = last_of(&mut lines, "ack ", None).unwrap_or(seen);
        let rows = verify(&folder.db(), &mut |_, _| {}).unwrap().rows;
        let store = Store::open(&folder.db()).unwrap();
        assert_eq!(store.journal_rows(), rows);
        for number in 0..=u128::from(acknowledged) {
            let id = (number + 1) * 10;
            let kept = store.sale(SaleId(id)).unwrap().unwrap_or_else(|| panic!("sale {number} of {acknowledged}"));
            // A sale that a later round began anew keeps what the earlier one had got to.
            assert!(kept.state.outcome().is_some() || number < u128::from(acknowledged), "{kept:?}");
        }
    }
}

#[test]
fn a_full_disk_ends_in_an_error_and_loses_nothing_acknowledged() {
    if let Some(path) = std::env::var_os(CHILD) {
        let error = write_for_ever(Path::new(&path));
        println!("\nfull {}", i32::from(matches!(error, CommitError::DiskFull(_) | CommitError::Failed(_))));
        return;
    }
    let folder = Folder::new();
    drop(Store::open(&folder.db()).unwrap());
    let mut child =
        this_test("a_full_disk_ends_in_an_error_and_loses_nothing_acknowledged", &folder.db(), "ulimit -f 600;");
    let mut acknowledged = None;
    let mut full = false;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        acknowledged = line.strip_prefix("ack ").map_or(acknowledged, |n| n.parse::<u128>().ok());
        full |= line == "full 1";
    }
    assert!(child.wait().unwrap().success() && full);
    let acknowledged = acknowledged.unwrap();
    verify(&folder.db(), &mut |_, _| {}).unwrap();
    let mut store = Store::open(&folder.db()).unwrap();
    for number in 0..=acknowledged {
        let kept = store.sale(SaleId((number + 1) * 10)).unwrap().unwrap();
        assert!(kept.state.outcome().is_some(), "{kept:?}");
    }
    assert_eq!(store.sale(SaleId((acknowledged + 3) * 10)).unwrap(), None);
    write(&mut store, &approved(5, till(9)), false);
}
