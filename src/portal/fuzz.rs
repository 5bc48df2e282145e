//! Arbitrary requests, through the portal's own router with every screen on its board; and the words in their heads.
//! Opens no socket.
#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::panic)]

use super::language::Language;
use super::loads::till_number;
use super::server::{page, router};
use super::site::Site;
use super::tokens::{cookie, form_token, form_token_fits};
use super::{PortalSettings, checked_base};
use crate::inbox::{Inbox, Incoming};
use crate::shop::attempt::{Link, TryFailure};
use crate::shop::effect::{
    DeclinedWhy, EnterNote, Outcome, Receipt, Repayable, ReturnFacts, ReturnReceipt, SaleFacts, Screen,
};
use crate::shop::event::{Event, PhoneEvent, Reason, ReceiptNumber, ReturnKind, TillNumber};
use crate::shop::id::{AttemptId, SaleId, SessionId};
use crate::shop::money::{Amount, Currency};
use crate::shop::sale::Code;
use crate::shop::time::{Mono, Wall};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE, HOST, HeaderName, HeaderValue, LOCATION,
    REFERRER_POLICY, SET_COOKIE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, Method, Uri};
use axum::response::Response;
use http_body_util::BodyExt;
use std::cell::RefCell;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;

/// Requests in a run at most.
const REQUESTS_MAX: usize = 3;
/// Ends one request of a run and begins the next.
const NEXT: u8 = 0x1d;
/// Stands for a session's token, its forms' token and a start page's token; the byte behind says of which session.
const TOKEN: u8 = 0x01;
const FORM: u8 = 0x02;
const START: u8 = 0x03;
/// No page is longer.
const PAGE_BYTES_MAX: usize = 64 * 1024;
const BASE: &str = "http://10.77.0.1";
const LINK: &str = "https://pay.example/c/1?a=1&b=2";
const PEER: [u8; 4] = [10, 77, 0, 9];

thread_local! {
    static PORTAL: RefCell<Portal> = RefCell::new(Portal::new());
}

struct Portal {
    runtime: Runtime,
    site: Arc<Site>,
    router: Router,
    inbox: mpsc::Receiver<Incoming>,
    screens: Vec<Screen>,
}

/// What the answer to a request was made of.
struct Sent {
    method: Method,
    /// Everything in it, tokens filled in.
    text: Vec<u8>,
}

/// Sends the requests in `data`. Each is `METHOD TARGET`, then lines of headers, an empty line, and a body.
pub fn requests(data: &[u8]) {
    PORTAL.with_borrow_mut(|portal| {
        portal.set_out();
        for text in data.split(|b| *b == NEXT).take(REQUESTS_MAX) {
            let text = portal.filled_in(text);
            if let Some(request) = request(&text) {
                let sent = Sent { method: request.method().clone(), text };
                portal.send(request, &sent);
            }
        }
    });
}

impl Portal {
    fn new() -> Portal {
        let (inbox, take) = Inbox::new();
        // What the shop says about itself must be escaped, too.
        let evil = "T&J's <b onx=\"1\">'shop'</b>".to_owned();
        let tills = [(till(7), evil.clone()), (till(8), String::new())].into();
        let mut settings = PortalSettings::new(Vec::new(), evil.clone(), tills);
        settings.terms = Some(format!("{evil}\n\n<script>{evil}"));
        settings.time_zone = Some("UTC".to_owned());
        let site = Arc::new(Site::new(settings, BASE.to_owned(), inbox).unwrap());
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        Portal { runtime, router: router(site.clone()), site, inbox: take, screens: screens() }
    }

    /// Every run begins with the same visits: one for each screen, a blank one, an ended one.
    fn set_out(&mut self) {
        let board = &self.site.board;
        board.clear();
        for (n, screen) in (0_u8..).zip(&self.screens) {
            board.show(session(n), screen.clone());
        }
        board.forget(session(0));
        let blank = session(u8::try_from(self.screens.len()).unwrap());
        board.reserve(blank, Some(Language::Ar), IpAddr::from(PEER), usize::MAX, usize::MAX).unwrap();
    }

    fn filled_in(&self, text: &[u8]) -> Vec<u8> {
        let mut filled = Vec::with_capacity(text.len() + 64);
        let mut bytes = text.iter();
        while let Some(byte) = bytes.next() {
            let token = match *byte {
                TOKEN => session(*bytes.next().unwrap_or(&0)).to_string(),
                FORM => form_token(session(*bytes.next().unwrap_or(&0))),
                START => self.site.tokens.start_form(IpAddr::from(PEER), self.site.uptime()),
                other => {
                    filled.push(other);
                    continue;
                }
            };
            filled.extend_from_slice(token.as_bytes());
        }
        filled
    }

    fn send(&mut self, request: Request, sent: &Sent) {
        let (site, router, inbox) = (self.site.clone(), self.router.clone(), &mut self.inbox);
        let mut heard = Vec::new();
        self.runtime.block_on(async {
            let mut answer = std::pin::pin!(page(&site, router, IpAddr::from(PEER), false, request));
            let response = loop {
                tokio::select! {
                    biased;
                    // Done at once: nobody waits for a shop here.
                    Some(incoming) = inbox.recv() => heard.push(incoming.event),
                    response = &mut answer => break response,
                }
            };
            check_head(&response);
            check_body(response).await;
        });
        heard.extend(std::iter::from_fn(|| inbox.try_recv().ok()).map(|incoming| incoming.event));
        assert!(heard.len() <= 2, "{heard:?}");
        heard.iter().for_each(|event| self.check_event(event, sent));
    }

    /// Nothing reaches the shop without the secrets that it needs, and loads of pages change nothing about money.
    fn check_event(&self, event: &Event, sent: &Sent) {
        let Event::Phone { session, what } = event else { panic!("{event:?} is no phone's") };
        let holds =
            |secret: &str| sent.text.windows(secret.len().max(1)).any(|w| w.eq_ignore_ascii_case(secret.as_bytes()));
        if sent.method == Method::POST {
            let start = self.site.tokens.start_form(IpAddr::from(PEER), self.site.uptime());
            let of_visit = holds(&form_token(*session)) && holds(&session.to_string());
            let opening = matches!(what, PhoneEvent::LoggedIn { .. } | PhoneEvent::Stands { .. }) && holds(&start);
            assert!(of_visit || opening, "{what:?} without its token");
        } else {
            assert_eq!(sent.method, Method::GET, "{what:?}");
            assert!(matches!(what, PhoneEvent::Saw { .. } | PhoneEvent::Stands { .. }), "a load is {what:?}");
            assert!(holds(&session.to_string()));
        }
        if let PhoneEvent::Confirms { amount, .. } | PhoneEvent::Chooses { amount, .. } = what {
            assert!(amount.minor() <= Amount::MINOR_MAX);
        }
    }
}

/// The request in this text, as far as it can be one on the wire.
fn request(text: &[u8]) -> Option<Request> {
    let (head, body) = match text.windows(2).position(|w| w == b"\n\n") {
        Some(at) => (&text[..at], &text[at + 2..]),
        None => (text, &[][..]),
    };
    let mut lines = head.split(|b| *b == b'\n');
    let mut first = lines.next()?.splitn(2, |b| *b == b' ');
    let method = Method::from_bytes(first.next()?).ok()?;
    let uri = Uri::try_from(first.next()?).ok()?;
    let mut request = Request::builder().method(method).uri(uri).body(Body::from(body.to_vec())).ok()?;
    let headers = request.headers_mut();
    for line in lines.take(16) {
        let mut parts = line.splitn(2, |b| *b == b':');
        let name = HeaderName::from_bytes(parts.next()?).ok()?;
        headers.append(name, HeaderValue::from_bytes(parts.next().unwrap_or_default().trim_ascii()).ok()?);
    }
    if !headers.contains_key(HOST) {
        headers.insert(HOST, HeaderValue::from_static("10.77.0.1"));
    }
    if !headers.contains_key(CONTENT_TYPE) {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    }
    Some(request)
}

fn check_head(response: &Response) {
    assert!(response.status().as_u16() < 500, "{}", response.status());
    let headers = response.headers();
    let policy = headers.get(CONTENT_SECURITY_POLICY).unwrap().to_str().unwrap();
    assert!(policy.starts_with("default-src 'none';") && policy.ends_with("frame-ancestors 'none'"));
    assert_eq!(headers.get(REFERRER_POLICY).unwrap(), "no-referrer");
    assert_eq!(headers.get(X_CONTENT_TYPE_OPTIONS).unwrap(), "nosniff");
    assert!(headers.contains_key(CACHE_CONTROL));
    if let Some(to) = headers.get(LOCATION) {
        let to = to.to_str().unwrap();
        let here = to.starts_with('/') && !to.starts_with("//") && !to.contains(['\\', '<', '"']);
        assert!(here || to == LINK || to == format!("{BASE}/"), "sent to {to}");
    }
    for given in headers.get_all(SET_COOKIE) {
        let given = given.to_str().unwrap();
        let (pair, rest) = given.split_once(';').unwrap();
        assert_eq!(rest, " HttpOnly; SameSite=Lax; Path=/");
        let (name, value) = pair.split_once('=').unwrap();
        let language = name == "tillgate-language" && Language::from_tag(value).is_some();
        assert!(language || name == "tillgate" && value.parse::<SessionId>().is_ok(), "{given}");
    }
}

async fn check_body(response: Response) {
    let kind = response.headers().get(CONTENT_TYPE).map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default();
    if kind == "text/event-stream" {
        let first = response.into_body().frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(first, "retry: 1000\n\n");
        return;
    }
    let body = to_bytes(response.into_body(), PAGE_BYTES_MAX).await.unwrap();
    if kind.starts_with("text/html") {
        check_html(std::str::from_utf8(&body).unwrap());
    }
}

const ELEMENTS: &[&str] = &[
    "!doctype", "a", "b", "bdi", "body", "button", "circle", "dd", "div", "dl", "dt", "form", "h1", "h2", "head",
    "header", "html", "i", "input", "label", "li", "link", "main", "meta", "nav", "noscript", "ol", "p", "path",
    "script", "section", "svg", "title", "ul",
];
const ATTRIBUTES: &[&str] = &[
    "html",
    "lang",
    "dir",
    "charset",
    "name",
    "content",
    "rel",
    "href",
    "src",
    "defer",
    "class",
    "role",
    "aria-hidden",
    "aria-label",
    "aria-current",
    "aria-describedby",
    "http-equiv",
    "data-live",
    "data-left",
    "viewbox",
    "cx",
    "cy",
    "r",
    "d",
    "method",
    "action",
    "type",
    "value",
    "for",
    "id",
    "inputmode",
    "pattern",
    "maxlength",
    "autocomplete",
    "enterkeyhint",
    "required",
    "autofocus",
];

/// Only elements and attributes of our templates, every attribute in double quotes: nothing else could write markup.
fn check_html(page: &str) {
    let mut rest = page;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        let name_end = rest.find(|c: char| c.is_whitespace() || c == '>').unwrap();
        let name = rest[..name_end].trim_start_matches('/').trim_end_matches('/').to_ascii_lowercase();
        assert!(ELEMENTS.contains(&name.as_str()), "<{name}> is none of ours");
        rest = rest[name_end..].trim_start();
        while !rest.starts_with('>') {
            if let Some(after) = rest.strip_prefix("/>") {
                rest = after;
                break;
            }
            let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '=' | '>' | '/')).unwrap();
            let attribute = rest[..end].to_ascii_lowercase();
            assert!(ATTRIBUTES.contains(&attribute.as_str()), "<{name} {attribute}> is none of ours");
            rest = rest[end..].trim_start();
            if let Some(value) = rest.strip_prefix('=') {
                let value = value.strip_prefix('"').unwrap_or(value);
                let end = value.find(['"', '>', '<']).unwrap();
                let link = matches!(attribute.as_str(), "href" | "src" | "action" | "data-live");
                let to = &value[..end];
                assert!(!link || to.starts_with('/') && !to.starts_with("//") || to == format!("{BASE}/"), "to {to}");
                rest = value[end..].trim_start_matches('"').trim_start();
            }
        }
    }
    assert!(!page.contains("onx=\"1\""), "the shop's own words are not escaped");
}

/// The words of request heads, read one by one.
pub fn words(data: &[u8]) {
    let Some((how, rest)) = data.split_first() else { return };
    if let Ok(value) = HeaderValue::from_bytes(rest) {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, value);
        for name in ["tillgate", "tillgate-language", ""] {
            if let Some(value) = cookie(&headers, name) {
                assert!(value.len() + name.len() < rest.len());
            }
        }
    }
    let Ok(text) = std::str::from_utf8(rest) else { return };
    if let Some(till) = till_number(text) {
        assert!((1..=TillNumber::MAX).contains(&till.number()));
    }
    if let Ok(id) = text.parse::<SessionId>() {
        assert_eq!(id.to_string(), text);
    }
    assert!(!form_token_fits(text, session(*how)) || text.eq_ignore_ascii_case(&form_token(session(*how))));
    if let Some(language) = Language::from_tag(text) {
        assert_eq!(language.tag(), text);
    }
    if let Ok(base) = checked_base(text, false) {
        assert!(text.starts_with(&base) && !base.ends_with('/') && base.matches('/').count() == 2);
        assert!(HeaderValue::from_str(&base).is_ok());
    }
    let wanted = Language::accepted(text);
    // A language that is said to be wanted least of all is never the answer.
    assert!(wanted.is_none() || !text.is_empty());
}

fn session(n: u8) -> SessionId {
    SessionId((u128::from(n) + 1) << 96 | 0x5eed)
}

fn till(number: u16) -> TillNumber {
    TillNumber::new(number).unwrap()
}

fn screens() -> Vec<Screen> {
    let amount = Amount::from_minor(1_250, Currency::from_code("EUR").unwrap()).unwrap();
    let facts = SaleFacts { sale: SaleId(0x5a1e), till: till(7), amount, code: Code::from_bits(5) };
    let receipt = |outcome, back| {
        let attempt = Some(AttemptId(3));
        let at = Some(Wall(1_800_000_000_000));
        let (given_back_minor, given_back_done_minor, surplus_back_minor) = (back, back / 2, back / 3);
        Screen::Result(Box::new(Receipt {
            facts,
            outcome,
            attempt,
            given_back_minor,
            given_back_done_minor,
            surplus_back_minor,
            at,
        }))
    };
    let pay = |failed, checking| Screen::Pay {
        facts,
        attempt_no: 1,
        link: Link::new(LINK).unwrap(),
        failed,
        until: Mono(u64::MAX),
        others_wait: true,
        checking,
    };
    let wrong = EnterNote::WrongNumber { typed: Some(till(9)), guesses_left: 2 };
    vec![
        Screen::Waiting { till: till(7) },
        Screen::EnterTill { note: Some(wrong) },
        Screen::InLine { till: till(7), ahead: 2 },
        Screen::Confirm { facts, until: Mono(u64::MAX) },
        Screen::TooLate { facts },
        Screen::Contacting { facts, attempt_no: 2, failed: Some(Reason::NoFunds), checking: true },
        pay(None, false),
        pay(Some(TryFailure { reason: Reason::WrongPassword, at: None }), true),
        Screen::Closing { facts },
        receipt(Outcome::Approved, 0),
        receipt(Outcome::Approved, 1_250),
        receipt(Outcome::Declined(DeclinedWhy::Failed(Reason::NoFunds)), 7),
    ]
    .into_iter()
    .chain(screens_of_returns(amount))
    .collect()
}

fn screens_of_returns(paid: Amount) -> Vec<Screen> {
    let part = Amount::from_minor(250, paid.currency()).unwrap();
    let of = |amount| {
        let kind = if amount == Some(part) { ReturnKind::Refund } else { ReturnKind::Reverse };
        ReturnFacts { asked: SaleId(0xa54ed), till: till(7), code: Code::from_bits(5), kind, amount }
    };
    let payment = |n: u16, at| {
        let receipt = ReceiptNumber::new(n);
        Repayable { sale: SaleId(n.into()), till: till(7 + n), receipt, amount: paid, left: part, back: part, at }
    };
    let payments = vec![payment(1, Some(Wall(1_800_000_000_000))), payment(0, None)];
    let ended = |amount, outcome, sale: Option<SaleId>| {
        let attempt = sale.map(|_| AttemptId(3));
        let at = Some(Wall(1_800_000_000_000));
        Screen::Returned(Box::new(ReturnReceipt { facts: of(amount), outcome, of: sale, attempt, at }))
    };
    vec![
        Screen::ChooseReturn { facts: of(Some(part)), payments: vec![payments[0]], until: Mono(u64::MAX) },
        Screen::ChooseReturn { facts: of(None), payments, until: Mono(0) },
        Screen::ChooseReturn { facts: of(None), payments: Vec::new(), until: Mono(u64::MAX) },
        Screen::Returning { facts: of(Some(part)), checking: true },
        ended(Some(part), Outcome::Returned { pending: false }, Some(SaleId(1))),
        ended(Some(paid), Outcome::Returned { pending: true }, Some(SaleId(1))),
        ended(None, Outcome::Declined(DeclinedWhy::Customer), None),
    ]
}
