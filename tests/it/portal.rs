//! The portal over real sockets, with a scripted ring that records events and shows screens.

mod capport;
// The router's tests hear the real answers, too.
#[allow(dead_code)]
mod probes;
mod returns;

use rustix::net::{AddressFamily, SocketType};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tillgate::clock::Clock;
use tillgate::inbox::{INBOX_KEPT, INBOX_MAX, Inbox, Incoming};
use tillgate::portal::{Board, Language, Limits, Portal, PortalSettings};
use tillgate::shop::attempt::{Link, TryFailure};
use tillgate::shop::effect::{CancelledWhy, DeclinedWhy, EnterNote, Outcome, Receipt, SaleFacts, Screen};
use tillgate::shop::event::{Event, PhoneEvent, Reason, TillNumber};
use tillgate::shop::id::{AttemptId, SaleId, SessionId};
use tillgate::shop::money::{Amount, Currency};
use tillgate::shop::policy::Policy;
use tillgate::shop::sale::Code;
use tillgate::shop::time::{Mono, Wall};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::Receiver;

/// How long a test waits for an answer before it fails.
const PATIENCE: Duration = Duration::from_secs(10);
const CHECKOUT: &str = "https://pay.example/checkout/abc?x=1&y=2";
const SESSION: SessionId = SessionId(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);

/// What the scripted ring answers an event with: the screen that the phone's page shows from now on.
type Script = Box<dyn Fn(&PhoneEvent) -> Option<Screen> + Send>;

struct House {
    _runtime: Runtime,
    at: SocketAddr,
    board: Board,
    inbox: Inbox,
    events: Arc<Mutex<Vec<(SessionId, PhoneEvent)>>>,
}

enum Ring {
    /// Takes events, records them, shows what the script says, and fires `done`.
    Scripted(Script),
    /// Takes events and never fires `done`.
    Silent,
    /// Takes nothing.
    Stopped,
}

fn settings() -> PortalSettings {
    let tills = BTreeMap::from([(till(7), "Bakery".to_owned()), (till(8), String::new())]);
    let mut settings =
        PortalSettings::new(vec!["127.0.0.1:0".parse().unwrap()], "Corner & Co <Shop>".to_owned(), tills);
    settings.time_zone = Some("Europe/Berlin".to_owned());
    settings.limits = Limits { read_timeout: Duration::from_millis(300), ..Limits::default() };
    settings
}

impl House {
    fn open(settings: PortalSettings, ring: Ring) -> House {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (inbox, events_in) = Inbox::new();
        let portal = Portal::start(runtime.handle(), settings, inbox.clone()).unwrap();
        let (at, board) = (portal.addresses()[0], portal.board().clone());
        let events = Arc::new(Mutex::new(Vec::new()));
        let (seen, shown) = (events.clone(), board.clone());
        std::thread::spawn(move || run_ring(ring, events_in, &seen, &shown, portal));
        House { _runtime: runtime, at, board, inbox, events }
    }

    fn scripted(script: impl Fn(&PhoneEvent) -> Option<Screen> + Send + 'static) -> House {
        House::open(settings(), Ring::Scripted(Box::new(script)))
    }

    /// A house whose phone [`SESSION`] shows this screen.
    fn showing(screen: Screen) -> House {
        let house = House::scripted(|_| None);
        house.board.show(SESSION, screen);
        house
    }

    fn events(&self) -> Vec<PhoneEvent> {
        self.events.lock().unwrap().iter().map(|(_, event)| *event).collect()
    }

    /// Events once there are as many as that.
    fn events_once(&self, count: usize) -> Vec<PhoneEvent> {
        let end = std::time::Instant::now() + PATIENCE;
        while self.events().len() < count && std::time::Instant::now() < end {
            std::thread::yield_now();
        }
        self.events()
    }

    /// The same from another address of this machine, as another phone.
    fn get_from(&self, phone: u8, path: &str, headers: &str) -> Answer {
        let mut stream = connect_from(phone, self.at);
        let at = self.at;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n{headers}\r\n").unwrap();
        read_answer(&mut stream)
    }

    fn raw(&self, request: &str) -> Answer {
        let mut stream = connect(self.at);
        stream.write_all(request.as_bytes()).unwrap();
        read_answer(&mut stream)
    }

    fn ask(&self, method: &str, path: &str, headers: &str) -> Answer {
        let at = self.at;
        self.raw(&format!("{method} {path} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n{headers}\r\n"))
    }

    fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, "")
    }

    fn post(&self, path: &str, headers: &str, body: &str) -> Answer {
        let (at, length) = (self.at, body.len());
        self.raw(&format!(
            "POST {path} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n{headers}\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n{body}"
        ))
    }

    /// Posts the form of the page's button that leads to `act`, exactly as the page has it.
    fn press(&self, page: &Answer, act: &str) -> Answer {
        let (path, body) = page.form(act);
        self.post(&path, "", &body)
    }
}

fn run_ring(
    ring: Ring,
    mut events_in: Receiver<Incoming>,
    seen: &Mutex<Vec<(SessionId, PhoneEvent)>>,
    board: &Board,
    _portal: Portal,
) {
    let mut unanswered = Vec::new();
    if matches!(ring, Ring::Stopped) {
        // Holds the receiver, so that the inbox fills up instead of closing, until the test's process ends.
        loop {
            std::thread::park();
        }
    }
    while let Some(incoming) = events_in.blocking_recv() {
        let Event::Phone { session, what } = incoming.event else { panic!("only phones speak here") };
        seen.lock().unwrap().push((session, what));
        match &ring {
            Ring::Scripted(script) => {
                if what == PhoneEvent::LogsOut {
                    board.forget(session);
                }
                if let Some(screen) = script(&what) {
                    board.show(session, screen);
                }
                if let Some(done) = incoming.done {
                    let _ = done.send(());
                }
            }
            Ring::Silent | Ring::Stopped => unanswered.push(incoming.done),
        }
    }
}

struct Answer {
    status: u16,
    headers: BTreeMap<String, String>,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// Path and body of the form that leads to `act`.
    fn form(&self, act: &str) -> (String, String) {
        let form = self.body.split("<form ").find(|f| f.contains(&format!("{act}\""))).expect("the form");
        let path = between(form, "action=\"", "\"").to_owned();
        let pairs = form.split("type=\"hidden\" name=\"").skip(1).map(|field| {
            let name = field.split('"').next().unwrap();
            format!("{name}={}", between(field, "value=\"", "\""))
        });
        (path, pairs.collect::<Vec<_>>().join("&"))
    }
}

fn between<'t>(text: &'t str, before: &str, after: &str) -> &'t str {
    text.split_once(before).and_then(|(_, rest)| rest.split_once(after)).map_or("", |(middle, _)| middle)
}

fn connect(at: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// From 127.0.0.`phone`.
fn connect_from(phone: u8, to: SocketAddr) -> TcpStream {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    rustix::net::bind(&socket, &SocketAddr::from(([127, 0, 0, phone], 0))).unwrap();
    rustix::net::connect(&socket, &to).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn read_answer(stream: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    // A reset after the answer (unread request bytes) still leaves what was read.
    let _ = stream.read_to_end(&mut bytes);
    parse(&String::from_utf8(bytes).unwrap())
}

fn parse(text: &str) -> Answer {
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines.filter_map(|l| l.split_once(": ")).map(|(k, v)| (k.to_lowercase(), v.to_owned())).collect();
    Answer { status, headers, body: body.to_owned() }
}

fn till(number: u16) -> TillNumber {
    TillNumber::new(number).unwrap()
}

fn facts() -> SaleFacts {
    let amount = Amount::from_minor(1_250, Currency::from_code("EUR").unwrap()).unwrap();
    SaleFacts { sale: SaleId(0xfeed << 112), till: till(7), amount, code: Code::parse("7K").unwrap() }
}

fn in_secs(secs: u64) -> Mono {
    Clock::mono().plus_ms(secs * 1_000)
}

fn pay(failed: Option<Reason>, others_wait: bool) -> Screen {
    Screen::Pay {
        facts: facts(),
        attempt_no: 1,
        link: Link::new(CHECKOUT).unwrap(),
        failed: failed.map(|reason| TryFailure { reason, at: None }),
        until: in_secs(120),
        others_wait,
        checking: false,
    }
}

fn receipt(outcome: Outcome, back: u64, back_done: u64) -> Screen {
    Screen::Result(Box::new(Receipt {
        facts: facts(),
        outcome,
        attempt: Some(AttemptId(0xabc << 100)),
        given_back_minor: back,
        given_back_done_minor: back_done,
        surplus_back_minor: 0,
        at: Some(Wall(1_795_356_360_000)),
    }))
}

/// Every screen, with a name.
fn every_screen() -> Vec<(&'static str, Screen)> {
    let facts = facts();
    let contacting = |attempt_no, failed, checking| Screen::Contacting { facts, attempt_no, failed, checking };
    let wrong = |typed, guesses_left| Screen::EnterTill { note: Some(EnterNote::WrongNumber { typed, guesses_left }) };
    let declined = |why| receipt(Outcome::Declined(why), 0, 0);
    let cancelled = |why| receipt(Outcome::Cancelled(why), 0, 0);
    vec![
        ("enter", Screen::EnterTill { note: None }),
        ("enter-wrong", wrong(Some(till(99)), 2)),
        ("enter-no-number", wrong(None, 1)),
        ("enter-pause", Screen::EnterTill { note: Some(EnterNote::TooManyGuesses { until: in_secs(60) }) }),
        ("enter-not-mine", Screen::EnterTill { note: Some(EnterNote::NotMine) }),
        ("enter-confirm-over", Screen::EnterTill { note: Some(EnterNote::ConfirmOver) }),
        ("enter-idle", Screen::EnterTill { note: Some(EnterNote::Idle) }),
        ("enter-let-go", Screen::EnterTill { note: Some(EnterNote::LetGo) }),
        ("in-line", Screen::InLine { till: till(7), ahead: 2 }),
        ("waiting", Screen::Waiting { till: till(7) }),
        ("confirm", Screen::Confirm { facts, until: in_secs(60) }),
        ("too-late", Screen::TooLate { facts }),
        ("contacting", contacting(1, None, false)),
        ("contacting-again", contacting(2, Some(Reason::NoFunds), false)),
        ("contacting-checking", contacting(1, None, true)),
        ("pay", pay(None, false)),
        ("pay-failed", pay(Some(Reason::WrongPassword), true)),
        ("closing", Screen::Closing { facts }),
        ("paid", receipt(Outcome::Approved, 0, 0)),
        ("paid-part-back", receipt(Outcome::Approved, 250, 0)),
        ("paid-all-back", receipt(Outcome::Approved, 1_250, 1_250)),
        ("declined-customer", declined(DeclinedWhy::Customer)),
        ("declined-given-up", declined(DeclinedWhy::GivenUp)),
        ("declined-failed", declined(DeclinedWhy::Failed(Reason::TooManyTries))),
        ("declined-refused", declined(DeclinedWhy::Refused(Reason::NotAllowed))),
        ("declined-declined", declined(DeclinedWhy::Failed(Reason::Declined))),
        ("declined-other", declined(DeclinedWhy::Failed(Reason::Other))),
        ("declined-expired", declined(DeclinedWhy::Expired)),
        ("declined-wrong-payment", receipt(Outcome::Declined(DeclinedWhy::WrongPayment), 1_250, 0)),
        ("cancelled-till", cancelled(CancelledWhy::Till)),
        ("cancelled-clock", cancelled(CancelledWhy::Clock)),
        ("cancelled-power-cut", cancelled(CancelledWhy::PowerCut)),
        ("lapsed", receipt(Outcome::Lapsed, 0, 0)),
    ]
    .into_iter()
    .chain(returns::every_screen())
    .collect()
}

fn page(session: SessionId) -> String {
    format!("/s/{session}/")
}

fn assert_headers(answer: &Answer) {
    let policy = answer.header("content-security-policy");
    for part in
        ["default-src 'none'", "script-src 'self'", "form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'"]
    {
        assert!(policy.contains(part), "{policy}");
    }
    assert_eq!(answer.header("referrer-policy"), "no-referrer");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert!(!answer.header("cache-control").is_empty());
}

#[test]
fn a_first_visit_goes_from_terms_to_the_till_number_to_waiting() {
    let house = House::scripted(|event| match event {
        PhoneEvent::LoggedIn { .. } => Some(Screen::EnterTill { note: None }),
        PhoneEvent::Stands { at } => Some(Screen::Waiting { till: (*at)? }),
        _ => None,
    });
    let start = house.get("/");
    assert_eq!(start.status, 200);
    assert!(start.body.contains("Corner &#38; Co &#60;Shop&#62;"), "the name is escaped");
    let login = house.press(&start, "/login");
    assert_eq!(login.status, 303);
    let path = login.header("location").to_owned();
    let cookie = login.header("set-cookie");
    assert!(cookie.ends_with("; HttpOnly; SameSite=Lax; Path=/"), "{cookie}");
    assert!(path.len() == 36 && cookie.contains(&path[3..35]), "{path} {cookie}");

    let enter = house.get(&path);
    assert!(enter.body.contains("inputmode=\"numeric\""));
    let (action, body) = enter.form("till");
    assert_eq!(house.post(&action, "", &format!("{body}&till=7")).status, 303);
    assert!(house.get(&path).body.contains("7 · Bakery"));
    match house.events()[..] {
        [PhoneEvent::LoggedIn { place }, PhoneEvent::Stands { at: Some(at) }] => {
            assert_eq!((place.ip, place.mac, at), ("127.0.0.1".parse().unwrap(), None, till(7)));
        }
        ref other => panic!("{other:?}"),
    }
}

#[test]
fn a_scanned_till_is_kept_through_the_log_in_and_used_at_once_later() {
    let house = House::scripted(|event| match event {
        PhoneEvent::LoggedIn { .. } => Some(Screen::EnterTill { note: None }),
        PhoneEvent::Stands { at } => Some(Screen::Waiting { till: (*at)? }),
        _ => None,
    });
    let scanned = house.get("/t/7");
    assert_eq!((scanned.status, scanned.header("location")), (303, "/?till=7"));
    let start = house.get("/?till=7");
    assert!(start.body.contains("You are at till \u{2068}7\u{2069}."));
    let login = house.press(&start, "/login");
    let cookie = login.header("set-cookie").split(';').next().unwrap().to_owned();
    let again = house.ask("GET", "/t/8", &format!("Cookie: {cookie}\r\n"));
    assert_eq!(again.header("location"), login.header("location"));
    let stands: Vec<_> = house.events().into_iter().skip(1).collect();
    assert_eq!(stands, [PhoneEvent::Stands { at: Some(till(7)) }, PhoneEvent::Stands { at: Some(till(8)) }]);
    assert_eq!(house.ask("HEAD", "/t/9", &format!("Cookie: {cookie}\r\n")).status, 303);
    assert_eq!(house.events().len(), 3, "looking at the header of an address is not standing there");
}

#[test]
fn each_button_becomes_its_event() {
    let SaleFacts { sale, amount, .. } = facts();
    let confirm = Screen::Confirm { facts: facts(), until: in_secs(60) };
    for (screen, act, event) in [
        (Screen::Waiting { till: till(7) }, "leave", PhoneEvent::Leaves),
        (confirm.clone(), "confirm", PhoneEvent::Confirms { sale, amount }),
        (confirm.clone(), "decline", PhoneEvent::Declines { sale }),
        (confirm, "not-mine", PhoneEvent::NotMine { sale }),
        (Screen::TooLate { facts: facts() }, "decline", PhoneEvent::Declines { sale }),
        (pay(None, true), "give-up", PhoneEvent::GivesUp { sale }),
        (pay(None, true), "let-go", PhoneEvent::LetsGo { sale }),
        (receipt(Outcome::Approved, 0, 0), "finish", PhoneEvent::Finishes),
        (Screen::EnterTill { note: None }, "log-out", PhoneEvent::LogsOut),
    ] {
        let house = House::showing(screen);
        let shown = house.get(&page(SESSION));
        let answer = house.press(&shown, act);
        let to = if act == "log-out" { "/".to_owned() } else { page(SESSION) };
        assert_eq!((answer.status, answer.header("location")), (303, to.as_str()), "{act}");
        let events: Vec<_> = house.events().into_iter().filter(|e| !matches!(e, PhoneEvent::Saw { .. })).collect();
        assert_eq!(events, [event], "{act}");
    }
}

#[test]
fn a_confirm_says_exactly_what_was_posted_and_garbage_says_nothing() {
    let house = House::showing(Screen::Confirm { facts: facts(), until: in_secs(60) });
    let shown = house.get(&page(SESSION));
    let form = between(&shown.form("confirm").1, "form=", "&").to_owned();
    let post = |fields: &str| house.post(&format!("{}confirm", page(SESSION)), "", &format!("form={form}&{fields}"));
    let other = SaleId(5);
    assert_eq!(post(&format!("sale={other}&minor=99&currency=JPY")).status, 303);
    let yen = Amount::from_minor(99, Currency::from_code("JPY").unwrap()).unwrap();
    assert_eq!(house.events(), [PhoneEvent::Confirms { sale: other, amount: yen }]);
    for garbage in [
        "",
        "sale=5&minor=99&currency=EUR",
        "sale=00000000000000000000000000000005&minor=-1&currency=EUR",
        "sale=00000000000000000000000000000005&minor=99",
        "sale=00000000000000000000000000000005&minor=99&currency=XXX",
        "sale=00000000000000000000000000000005&minor=99999999999999&currency=EUR",
        "sale=00000000000000000000000000000005&minor=1&minor=2&currency=EUR",
    ] {
        let answer = post(garbage);
        assert_eq!(answer.status, 400, "{garbage}");
        assert!(answer.body.contains("Go back") && answer.body.contains(&page(SESSION)));
        assert_headers(&answer);
    }
    assert_eq!(house.post(&format!("{}dance", page(SESSION)), "", &format!("form={form}")).status, 400);
    assert_eq!(house.events().len(), 1);
}

#[test]
fn a_form_without_its_token_does_nothing_and_says_what_to_do() {
    let house = House::showing(Screen::Waiting { till: till(7) });
    for body in ["", "form=", "form=00", &format!("form={}", "0".repeat(64))] {
        let answer = house.post(&format!("{}leave", page(SESSION)), "", body);
        assert_eq!(answer.status, 403);
        assert!(answer.body.contains("out of date") && answer.body.contains(&page(SESSION)));
        let login = house.post("/login", "", &format!("{body}&till=7"));
        assert_eq!(login.status, 403);
        assert!(login.body.contains("href=\"/?till=7\""));
    }
    assert_eq!(house.events(), []);
}

#[test]
fn a_typed_number_that_is_none_reaches_the_shop_as_none() {
    let house = House::showing(Screen::EnterTill { note: None });
    let (action, body) = house.get(&page(SESSION)).form("till");
    for (typed, at) in [("abc", None), ("", None), ("%D9%A7", Some(till(7))), ("99999", None)] {
        house.post(&action, "", &format!("{body}&till={typed}"));
        assert_eq!(house.events().pop(), Some(PhoneEvent::Stands { at }), "{typed}");
    }
}

#[test]
fn a_full_inbox_is_said_with_a_page_that_comes_back() {
    let house = House::open(settings(), Ring::Stopped);
    house.board.show(SESSION, Screen::Waiting { till: till(7) });
    let shown = house.get(&page(SESSION));
    let start = house.get("/");
    let phones = (0..=INBOX_MAX).take_while(|_| house.inbox.try_ask(Event::DeadlinePassed).is_ok()).count();
    assert_eq!(phones, INBOX_MAX - INBOX_KEPT, "the rest is for tills and platform");
    let answer = house.press(&shown, "leave");
    assert_eq!((answer.status, answer.header("retry-after")), (503, "2"));
    assert!(answer.body.contains(&format!("content=\"2;url={}\"", page(SESSION))), "{}", answer.body);
    assert_headers(&answer);
    let login = house.press(&start, "/login");
    assert_eq!(login.status, 503);
    assert_eq!(house.board.count(), 1, "the seat was given back");
}

#[test]
fn a_silent_shop_is_waited_for_no_longer_than_two_seconds() {
    let house = House::open(settings(), Ring::Silent);
    house.board.show(SESSION, Screen::Waiting { till: till(7) });
    let shown = house.get(&page(SESSION));
    let begun = std::time::Instant::now();
    let answer = house.press(&shown, "leave");
    let took = begun.elapsed();
    assert_eq!((answer.status, answer.header("location")), (303, page(SESSION).as_str()));
    assert!(took >= Duration::from_secs(2) && took < Duration::from_secs(4), "{took:?}");
}

#[test]
fn the_checkout_opens_by_itself_once_for_each_attempt_and_not_after_a_failed_try() {
    let house = House::showing(pay(None, false));
    let opens = &format!("http-equiv=\"refresh\" content=\"1;url={}checkout\"", page(SESSION));
    let link = &format!("href=\"{}checkout\"", page(SESSION));
    assert!(!house.ask("HEAD", &page(SESSION), "").body.contains(opens));
    let preload = house.ask("GET", &page(SESSION), "Sec-Purpose: prefetch\r\n").body;
    assert!(!preload.contains(opens) && preload.contains(link));
    let image = house.ask("GET", &page(SESSION), "Sec-Fetch-Dest: image\r\n").body;
    assert!(!image.contains(opens));
    assert_eq!(house.events(), [], "only what a person sees counts as seen");
    let first = house.get(&page(SESSION)).body;
    assert!(first.contains(opens) && first.contains(link));
    let second = house.get(&page(SESSION)).body;
    assert!(!second.contains(opens) && second.contains(link));
    house.board.show(SESSION, pay(Some(Reason::WrongPassword), false));
    let failed = house.get(&page(SESSION)).body;
    assert!(!failed.contains(opens) && failed.contains(link) && failed.contains("password was wrong"));
    let Screen::Pay { facts, link: url, until, .. } = pay(None, false) else { unreachable!() };
    house.board.show(
        SESSION,
        Screen::Pay { facts, attempt_no: 2, link: url, failed: None, until, others_wait: false, checking: false },
    );
    assert!(house.get(&page(SESSION)).body.contains(opens));
}

#[test]
fn the_way_to_the_checkout_is_open_only_while_there_is_something_to_pay() {
    let house = House::showing(pay(None, false));
    let path = format!("{}checkout", page(SESSION));
    let answer = house.get(&path);
    assert_eq!((answer.status, answer.header("location")), (303, CHECKOUT));
    assert_headers(&answer);
    house.board.show(SESSION, receipt(Outcome::Approved, 0, 0));
    assert_eq!(house.get(&path).header("location"), page(SESSION));
    house.board.forget(SESSION);
    assert_eq!(house.get(&path).header("location"), "/?ended&till=7");
}

#[test]
fn the_shop_learns_once_per_screen_that_it_was_seen() {
    let house = House::showing(receipt(Outcome::Approved, 0, 0));
    house.get(&page(SESSION));
    house.get(&page(SESSION));
    house.board.show(SESSION, receipt(Outcome::Approved, 0, 0));
    house.get(&page(SESSION));
    house.board.show(SESSION, receipt(Outcome::Approved, 250, 0));
    house.get(&page(SESSION));
    let saw = PhoneEvent::Saw { sale: facts().sale };
    assert_eq!(house.events_once(2), [saw, saw]);
    house.board.show(SESSION, Screen::Waiting { till: till(7) });
    house.get(&page(SESSION));
    assert_eq!(house.events().len(), 2);
}

#[test]
fn an_ended_or_unknown_visit_leads_to_the_start_and_keeps_the_till() {
    let house = House::showing(Screen::Waiting { till: till(7) });
    house.board.forget(SESSION);
    for path in [page(SESSION), format!("{}receipt", page(SESSION))] {
        assert_eq!(house.get(&path).header("location"), "/?ended&till=7");
    }
    assert_eq!(house.post(&format!("{}leave", page(SESSION)), "", "form=1").header("location"), "/?ended&till=7");
    let start = house.get("/?ended&till=7").body;
    assert!(start.contains("Your visit has ended") && start.contains("name=\"till\" value=\"7\""));
    for unknown in [page(SessionId(1)), "/s/nonsense/".to_owned(), "/s/%00/".to_owned()] {
        assert_eq!(house.get(&unknown).header("location"), "/?ended", "{unknown}");
    }
    assert_eq!(house.board.count(), 0);
}

#[test]
fn the_cookie_leads_from_the_start_to_the_living_visit() {
    let house = House::showing(Screen::Waiting { till: till(7) });
    let cookie = format!("Cookie: other=1; tillgate={SESSION}\r\n");
    let start = house.ask("GET", "/", &cookie);
    assert_eq!((start.status, start.header("location")), (303, page(SESSION).as_str()));
    assert!(house.ask("GET", &page(SESSION), &cookie).header("set-cookie").is_empty());
    assert!(house.get(&page(SESSION)).header("set-cookie").contains(&SESSION.to_string()));
    house.board.forget(SESSION);
    assert_eq!(house.ask("GET", "/", &cookie).status, 200);
}

/// Reads a stream of events until `enough` is in it.
fn read_until(stream: &mut TcpStream, enough: &str) -> String {
    let mut text = String::new();
    let mut buffer = [0; 1024];
    while !text.contains(enough) {
        let count = stream.read(&mut buffer).unwrap();
        assert!(count > 0, "ended with {text:?}");
        text.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
    }
    text
}

fn listen(house: &House, version: &str) -> TcpStream {
    let mut stream = connect(house.at);
    let (path, at) = (page(SESSION), house.at);
    write!(stream, "GET {path}live?v={version} HTTP/1.1\r\nHost: {at}\r\n\r\n").unwrap();
    stream
}

#[test]
fn a_live_page_hears_of_each_change_and_of_what_it_missed() {
    let house = House::showing(Screen::Waiting { till: till(7) });
    let version = between(&house.get(&page(SESSION)).body, "live?v=", "\"").to_owned();
    let mut stream = listen(&house, &version);
    let head = read_until(&mut stream, "retry: 1000\n\n");
    assert!(head.contains("content-type: text/event-stream") && !head.contains("changed"), "{head}");
    house.board.show(SESSION, Screen::InLine { till: till(7), ahead: 1 });
    read_until(&mut stream, "event: changed\ndata:\n\n");
    let mut reconnected = listen(&house, &version);
    read_until(&mut reconnected, "event: changed");
    let now = between(&house.get(&page(SESSION)).body, "live?v=", "\"").to_owned();
    assert_ne!(now, version);
    let mut open = listen(&house, &now);
    read_until(&mut open, "retry");
    house.board.forget(SESSION);
    read_until(&mut open, "event: changed");
    read_until(&mut listen(&house, &now), "event: changed");
}

#[test]
fn a_visit_has_two_live_streams_at_most_and_the_newest_stay() {
    let house = House::showing(Screen::Waiting { till: till(7) });
    let version = between(&house.get(&page(SESSION)).body, "live?v=", "\"").to_owned();
    let mut streams: Vec<_> = (0..3)
        .map(|_| {
            let mut stream = listen(&house, &version);
            read_until(&mut stream, "retry");
            stream
        })
        .collect();
    read_until(&mut streams[0], "event: displaced");
    house.board.show(SESSION, Screen::InLine { till: till(7), ahead: 1 });
    read_until(&mut streams[1], "event: changed");
    read_until(&mut streams[2], "event: changed");
}

#[test]
fn further_live_streams_than_there_is_room_for_are_refused_until_one_ends() {
    let mut settings = settings();
    settings.limits.live_max = 1;
    let house = House::open(settings, Ring::Stopped);
    house.board.show(SESSION, Screen::Waiting { till: till(7) });
    let version = between(&house.get(&page(SESSION)).body, "live?v=", "\"").to_owned();
    let mut first = listen(&house, &version);
    read_until(&mut first, "retry");
    read_until(&mut listen(&house, &version), "503");
    drop(first);
    let end = std::time::Instant::now() + PATIENCE;
    while !read_until(&mut listen(&house, &version), "HTTP/1.1 ").contains(" 200 ") {
        assert!(std::time::Instant::now() < end, "the place was never given back");
    }
}

#[test]
fn an_unknown_path_or_method_at_the_portal_leads_to_the_start() {
    let house = House::scripted(|_| None);
    for (method, path) in [
        ("GET", "/nothing"),
        ("GET", "/../../etc/passwd"),
        ("GET", "/a/../../Cargo.toml"),
        ("GET", "/s/../../x"),
        ("GET", "//"),
        ("DELETE", "/"),
        ("POST", "/"),
        ("OPTIONS", "*"),
        ("GET", "/login"),
    ] {
        let answer = house.ask(method, path, "");
        assert_eq!(answer.status, 302, "{method} {path}");
        assert_headers(&answer);
    }
    for path in ["/a/%2e%2e%2fCargo.toml", "/a/style-000000.css"] {
        let answer = house.get(path);
        assert_eq!((answer.status, answer.body.as_str()), (404, ""), "{path}");
        assert_headers(&answer);
    }
    assert_eq!(house.get("/favicon.ico").header("content-type"), "image/svg+xml");
}

#[test]
fn what_is_too_large_is_refused_and_what_is_too_slow_is_hung_up_on() {
    let house = House::showing(Screen::Waiting { till: till(7) });
    let long = "x".repeat(40_000);
    assert_eq!(house.raw(&format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n")).status / 100, 4);
    assert_eq!(house.raw(&format!("GET / HTTP/1.1\r\nHost: x\r\nA: {long}\r\n\r\n")).status / 100, 4);
    let many: String = (0..200).map(|n| format!("H{n}: 1\r\n")).collect();
    assert_eq!(house.raw(&format!("GET / HTTP/1.1\r\nHost: x\r\n{many}\r\n")).status / 100, 4);
    let answer = house.post(&format!("{}leave", page(SESSION)), "", &format!("form={}", "x".repeat(5_000)));
    assert_eq!(answer.status, 413);
    assert!(answer.body.contains("Go back"));
    assert_eq!(house.raw("not HTTP at all\r\n\r\n").status, 400);

    let mut silent = connect(house.at);
    let mut half = connect(house.at);
    write!(half, "GET / HTTP/1.1\r\nHo").unwrap();
    let mut idle = connect(house.at);
    write!(idle, "HEAD / HTTP/1.1\r\nHost: {}\r\n\r\n", house.at).unwrap();
    let mut slow_body = connect(house.at);
    write!(
        slow_body,
        "POST {}leave HTTP/1.1\r\nHost: {}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: 100\r\n\r\nform=",
        page(SESSION),
        house.at
    )
    .unwrap();
    assert_eq!(house.get("/").status, 200, "others are not held up");
    let mut rest = Vec::new();
    silent.read_to_end(&mut rest).unwrap();
    half.read_to_end(&mut rest).unwrap();
    idle.read_to_end(&mut rest).unwrap();
    assert!(String::from_utf8(rest).unwrap().contains("200 OK"));
    assert_eq!(read_answer(&mut slow_body).status, 408);
}

#[test]
fn one_address_cannot_take_all_connections_or_all_visits() {
    let mut settings = settings();
    settings.limits.connections_per_address_max = 2;
    settings.limits.visits_per_address_max = 2;
    settings.limits.read_timeout = PATIENCE;
    let house = House::open(settings, Ring::Scripted(Box::new(|_| Some(Screen::EnterTill { note: None }))));
    let statuses: Vec<_> = (0..3)
        .map(|_| {
            let start = house.get("/");
            house.press(&start, "/login").status
        })
        .collect();
    assert_eq!(statuses, [303, 303, 503]);
    let held: Vec<_> = (0..2).map(|_| connect(house.at)).collect();
    let mut third = connect(house.at);
    let mut rest = Vec::new();
    let _ = third.write_all(b"GET / HTTP/1.1\r\n\r\n");
    let _ = third.read_to_end(&mut rest);
    assert!(rest.is_empty());
    drop(held);
}

#[test]
fn connections_that_say_nothing_make_room_for_phones_that_do() {
    let mut settings = settings();
    settings.limits.connections_max = 8;
    settings.limits.read_timeout = PATIENCE;
    let house = House::open(settings, Ring::Scripted(Box::new(|_| None)));
    let mut silent: Vec<_> = (0..20).map(|n| connect_from(10 + n, house.at)).collect();
    for half in &mut silent {
        let _ = half.write_all(b"GET /s/0123"); // The oldest are closed already.
    }
    for phone in 2..10 {
        assert_eq!(house.get_from(phone, "/", "").status, 200);
    }
    let mut rest = Vec::new();
    let _ = silent[0].read_to_end(&mut rest);
    assert!(rest.is_empty(), "the oldest was closed without a word");
}

#[test]
fn a_phone_that_asks_too_often_is_told_to_come_back_and_others_are_served() {
    let mut settings = settings();
    (settings.limits.requests_burst, settings.limits.requests_a_second) = (3, 1);
    let house = House::open(settings, Ring::Scripted(Box::new(|_| None)));
    house.board.show(SESSION, Screen::Waiting { till: till(7) });
    let path = page(SESSION);
    let german = "Accept-Language: de\r\n";
    // Held back by a second, so that one more may be due by then.
    let refused =
        (0..8).map(|_| house.get_from(2, &path, german)).find(|answer| answer.status != 200).expect("a refusal");
    assert_eq!((refused.status, refused.header("retry-after")), (429, "2"));
    assert!(
        refused.body.contains("Gerade ist viel los") && refused.body.contains(&format!("content=\"2;url={path}\""))
    );
    assert_headers(&refused);
    assert_eq!(house.get_from(3, &path, german).status, 200);
    for _ in 0..8 {
        assert_eq!(house.get(&path).status, 200, "this machine itself is no phone");
    }
}

#[test]
fn taps_of_one_visit_that_wait_do_not_fill_the_inbox() {
    let mut settings = settings();
    settings.limits.taps_waiting_max = 2;
    let house = House::open(settings, Ring::Silent);
    house.board.show(SESSION, Screen::Waiting { till: till(7) });
    let shown = house.get(&page(SESSION));
    let mut hung_up = Vec::new();
    let (path, body) = shown.form("leave");
    for n in 1..=2 {
        let mut stream = connect(house.at);
        let (at, length) = (house.at, body.len());
        write!(
            stream,
            "POST {path} HTTP/1.1\r\nHost: {at}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        assert_eq!(house.events_once(n).len(), n);
        stream.shutdown(std::net::Shutdown::Both).unwrap();
        hung_up.push(stream);
    }
    let third = house.press(&shown, "leave");
    assert_eq!(
        (third.status, third.header("retry-after")),
        (503, "2"),
        "a tap waits on although its phone has hung up"
    );
    assert_eq!(house.events().len(), 2);
}

#[test]
fn when_all_visits_are_taken_one_that_stands_nowhere_makes_room() {
    let house = House::scripted(|event| match event {
        PhoneEvent::LoggedIn { .. } => Some(Screen::EnterTill { note: None }),
        _ => None,
    });
    let all = u128::try_from(Policy::SESSIONS_MAX).unwrap();
    for n in 1..all {
        house.board.show(SessionId(n), Screen::Waiting { till: till(7) });
    }
    house.board.show(SESSION, Screen::EnterTill { note: None });
    assert_eq!(house.press(&house.get("/"), "/login").status, 303);
    assert_eq!(house.board.count(), Policy::SESSIONS_MAX);
    assert!(house.events.lock().unwrap().contains(&(SESSION, PhoneEvent::LogsOut)));
    assert!(house.get(&page(SessionId(1))).body.contains("7 · Bakery"), "who stands at a till stays");
}

#[test]
fn stopping_ends_the_streams_and_frees_the_address() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (inbox, _events) = Inbox::new();
    let portal = Portal::start(runtime.handle(), settings(), inbox.clone()).unwrap();
    let at = portal.addresses()[0];
    portal.board().show(SESSION, Screen::Waiting { till: till(7) });
    let mut stream = connect(at);
    write!(stream, "GET {}live?v=0 HTTP/1.1\r\nHost: {at}\r\n\r\n", page(SESSION)).unwrap();
    read_until(&mut stream, "event: changed");
    let mut waiting = connect(at);
    write!(waiting, "GET / HTTP/1.1\r\nHost: {at}\r\n\r\n").unwrap();
    read_until(&mut waiting, "</html>");
    runtime.block_on(async { tokio::time::timeout(PATIENCE, portal.stop()).await }).expect("stops in time");
    assert_eq!(waiting.read(&mut [0; 1]).unwrap(), 0);
    let mut again = settings();
    again.listen = vec![at];
    assert!(Portal::start(runtime.handle(), again, inbox).is_ok());
}

#[test]
fn settings_that_cannot_work_are_refused_with_what_to_do() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (inbox, _events) = Inbox::new();
    let refusal = |change: &dyn Fn(&mut PortalSettings)| {
        let mut settings = settings();
        change(&mut settings);
        Portal::start(runtime.handle(), settings, inbox.clone()).expect_err("refused").to_string()
    };
    assert!(refusal(&|s| s.time_zone = Some("Mars/Base".to_owned())).contains("use a name such as Europe/Berlin"));
    for base in ["10.77.0.1", "ftp://x", "http://", "http://a/b", "http://a b"] {
        assert!(refusal(&|s| s.public_base = Some(base.to_owned())).contains("is not an address such as"), "{base}");
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap();
    assert!(refusal(&|s| s.listen = vec![at]).contains(&format!("cannot listen on {at}")));
}

#[test]
fn only_the_origin_given_by_constructor_may_frame_the_pages() {
    let house = House::open(settings().framed_by("http://127.0.0.1:9"), Ring::Stopped);
    assert!(house.get("/").header("content-security-policy").ends_with("frame-ancestors http://127.0.0.1:9"));
}

#[test]
fn a_chosen_language_stays_with_the_visit_without_cookies() {
    let house = House::scripted(|_| Some(Screen::EnterTill { note: None }));
    let start = house.ask("GET", "/?lang=de&till=7", "Accept-Language: fr\r\n");
    assert!(start.body.contains("lang=\"de\"") && start.body.contains("Zustimmen"));
    assert!(start.header("set-cookie").starts_with("tillgate-language=de;"));
    let login = house.press(&start, "/login");
    let shown = house.ask("GET", login.header("location"), "Accept-Language: fr\r\n");
    assert!(shown.body.contains("An welcher Kasse"));
    let cookie = house.ask("GET", "/", "Accept-Language: fr\r\nCookie: tillgate-language=es\r\n");
    assert!(cookie.body.contains("Pague con su"));
    assert!(house.ask("GET", "/", "Accept-Language: nl\r\n").body.contains("Pay with your phone"));
    assert!(
        house.ask("GET", "/?lang=xx", "Accept-Language: ar-EG\r\n").body.contains("<html lang=\"ar\" dir=\"rtl\">")
    );
}

#[test]
fn the_shops_own_terms_take_the_place_of_ours() {
    let mut settings = settings();
    settings.terms = Some("First <b>rule</b>.\n\nSecond rule.".to_owned());
    let house = House::open(settings, Ring::Stopped);
    let start = house.get("/").body;
    assert!(
        start.contains("First &#60;b&#62;rule&#60;/b&#62;.</p>") && start.contains("<p dir=\"auto\">Second rule.</p>")
    );
    assert!(!start.contains("This Wi-Fi is for paying"));
}

#[test]
fn the_receipt_can_be_kept_as_text() {
    let house = House::showing(receipt(Outcome::Approved, 250, 0));
    let text = house.ask("GET", &format!("{}receipt", page(SESSION)), "Accept-Language: de\r\n");
    assert_eq!(text.header("content-type"), "text/plain; charset=utf-8");
    for line in [
        "Bezahlt",
        "Betrag: 12,50\u{a0}€",
        "Kasse: 7 · Bakery",
        "Code: 7K",
        "Datum und Uhrzeit: 22.11.2026, 15:06",
        "Zurückgegeben: 2,50\u{a0}€",
        "Vorgang: feed0000",
        "Zahlung: 0000abc0000000000000000000000000",
    ] {
        assert!(text.body.lines().any(|l| l == line), "{line}: {}", text.body);
    }
    house.board.show(SESSION, Screen::Waiting { till: till(7) });
    assert_eq!(house.get(&format!("{}receipt", page(SESSION))).status, 303);
}

/// Every address a page makes a browser load, with what it weighs.
fn assets(house: &House, page: &Answer) -> usize {
    let quoted = page.body.split('"').filter(|s| s.starts_with("/a/")).collect::<BTreeSet<_>>();
    assert_eq!(quoted.len(), 3, "style, script, icon");
    quoted
        .into_iter()
        .map(|path| {
            let asset = house.get(path);
            assert_eq!((asset.status, asset.header("cache-control")), (200, "public, max-age=31536000, immutable"));
            assert_headers(&asset);
            asset.body.len()
        })
        .sum()
}

/// Writes every screen in every language to `target/portal-pages/`, where people can look at them.
#[test]
fn every_screen_in_every_language_is_whole_and_small() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/portal-pages");
    std::fs::create_dir_all(&folder).unwrap();
    let house = House::scripted(|_| None);
    let mut sizes = Vec::new();
    for language in Language::ALL {
        let (tag, wanted) = (language.tag(), format!("Accept-Language: {}\r\n", language.tag()));
        let mut pages = vec![("start".to_owned(), house.ask("GET", "/?till=7", &wanted))];
        pages.push(("ended".to_owned(), house.ask("GET", "/?ended", &wanted)));
        for (name, screen) in every_screen() {
            house.board.show(SESSION, screen.clone());
            let shown = house.ask("GET", &page(SESSION), &wanted);
            check_screen(name, &screen, &shown);
            pages.push((name.to_owned(), shown));
        }
        let stale = house.ask("POST", &format!("{}leave", page(SESSION)), &wanted);
        pages.push(("stale".to_owned(), stale));
        for (name, shown) in pages {
            let direction = if tag == "ar" { "rtl" } else { "ltr" };
            assert!(shown.body.contains(&format!("<html lang=\"{tag}\" dir=\"{direction}\">")), "{tag} {name}");
            for part in ["<title>", "<h1", "</html>", "name=\"viewport\""] {
                assert!(shown.body.contains(part), "{tag} {name}: {part}");
            }
            for outside in ["src=\"http", "style=\"", "onclick", "<script>", "<style>"] {
                assert!(!shown.body.contains(outside), "{tag} {name}: {outside}");
            }
            assert_headers(&shown);
            assert_eq!(shown.header("cache-control"), "no-store");
            let bytes = shown.body.len() + assets(&house, &shown);
            assert!(bytes <= 30_000, "{tag} {name}: {bytes} bytes");
            sizes.push((bytes, format!("{name} in {tag}")));
            std::fs::write(folder.join(format!("{name}.{tag}.html")), &shown.body).unwrap();
        }
    }
    sizes.sort();
    println!("largest pages with everything, in bytes: {:?}", sizes.split_off(sizes.len() - 12));
}

/// What must and must not stand on a page, whatever its language.
fn check_screen(name: &str, screen: &Screen, shown: &Answer) {
    assert_eq!(shown.status, 200, "{name}");
    let refreshes =
        |secs: u64| shown.body.contains(&format!("<noscript><meta http-equiv=\"refresh\" content=\"{secs}\">"));
    let amount = shown.body.contains("<p class=\"amount\"><bdi>") && shown.body.contains("12");
    match screen {
        Screen::EnterTill { note: Some(EnterNote::TooManyGuesses { .. }) } => {
            assert!(shown.body.contains("data-left") && !shown.body.contains("id=\"till\""));
        }
        Screen::EnterTill { .. } => {
            assert!(!shown.body.contains("http-equiv=\"refresh\""), "{name}: typing is not interrupted");
            assert!(shown.body.contains("id=\"till\""));
        }
        Screen::InLine { .. } | Screen::Waiting { .. } => assert!(refreshes(3), "{name}"),
        Screen::Confirm { .. } => assert!(refreshes(10) && amount && shown.body.contains(">7K<"), "{name}"),
        Screen::TooLate { .. } | Screen::Closing { .. } => assert!(refreshes(3) && amount, "{name}"),
        Screen::Contacting { checking, .. } => assert!(refreshes(if *checking { 10 } else { 3 }) && amount, "{name}"),
        Screen::Pay { .. } => assert!(
            amount
                && shown.body.contains(&format!("class=\"main\" href=\"{}checkout\"", page(SESSION)))
                && !shown.body.contains("pay.example"),
            "{name}: {}",
            shown.body
        ),
        Screen::ChooseReturn { .. } => returns::check_choices(name, screen, shown),
        Screen::Returning { checking, .. } => assert!(refreshes(if *checking { 10 } else { 3 }), "{name}"),
        Screen::Returned(_) => assert!(refreshes(30) && shown.body.contains("/finish\""), "{name}"),
        Screen::Result(_) => assert!(amount && refreshes(30) && shown.body.contains("7 · Bakery"), "{name}"),
    }
    assert!(shown.body.contains("<body data-live=\"/s/"), "{name}");
}
