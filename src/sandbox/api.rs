//! The sandbox's side of the Counter Payment Protocol: requests over mutual TLS 1.3, with the fault switches. What a
//! payment does is in `payment.rs`.

use super::SandboxError;
use super::authority::Certificates;
use super::books::{Books, BooksError, Times, now_ms};
use super::enrolment::{EnrolBody, Handed, Office, RenewBody};
use super::fault::{Fault, FaultKind, FaultyCall};
use super::payment::{Created, Found, Given};
use super::rows::{Payment, Status};
use super::wire::{self, CancelBody, CreateBody, RefundBody, WAIT_MAX_SECS};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;

/// Longest body of a request.
const BODY_BYTES_MAX: usize = 16 * 1024;
/// Longest time for a TLS handshake, and for a body.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest time between two requests of a connection.
const IDLE: Duration = Duration::from_secs(90);

/// What every connection needs.
pub(super) struct Api {
    pub(super) books: Books,
    pub(super) times: Times,
    pub(super) public_url: String,
    /// Where boxes with a certificate call.
    pub(super) api_url: String,
    pub(super) tls: Tls,
    pub(super) office: Arc<Office>,
}

/// Which of the two lines a call comes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// Boxes with a certificate.
    Known,
    /// Boxes that have none yet.
    Stranger,
}

/// The certificates that can be presented.
pub(super) struct Tls {
    right: TlsAcceptor,
    expired: TlsAcceptor,
    foreign: TlsAcceptor,
    /// Asks the box for no certificate.
    open: TlsAcceptor,
}

impl Tls {
    pub(super) fn load(files: &Certificates) -> Result<Tls, SandboxError> {
        let acceptor = |certificate: &Path, key: &Path| {
            Ok::<_, SandboxError>(TlsAcceptor::from(Arc::new(server_config(&files.ca, certificate, key)?)))
        };
        Ok(Tls {
            right: acceptor(&files.platform.certificate, &files.platform.key)?,
            expired: acceptor(&files.expired.certificate, &files.expired.key)?,
            foreign: acceptor(&files.foreign.certificate, &files.foreign.key)?,
            open: TlsAcceptor::from(Arc::new(open_config(&files.platform.certificate, &files.platform.key)?)),
        })
    }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, SandboxError> {
    let found = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    found.map_err(|e| SandboxError::file(file, std::io::Error::other(e)))
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, SandboxError> {
    PrivateKeyDer::from_pem_file(file).map_err(|e| SandboxError::file(file, std::io::Error::other(e)))
}

fn open_config(certificate: &Path, key: &Path) -> Result<ServerConfig, SandboxError> {
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(SandboxError::certificate)?
        .with_no_client_auth()
        .with_single_cert(certificates(certificate)?, private_key(key)?)
        .map_err(SandboxError::certificate)
}

fn server_config(ca: &Path, certificate: &Path, key: &Path) -> Result<ServerConfig, SandboxError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    for root in certificates(ca)? {
        roots.add(root).map_err(SandboxError::certificate)?;
    }
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(SandboxError::certificate)?
        .with_client_cert_verifier(clients.build().map_err(SandboxError::certificate)?)
        .with_single_cert(certificates(certificate)?, private_key(key)?)
        .map_err(SandboxError::certificate)
}

/// Serves one connection to its end.
pub(super) async fn serve(api: Arc<Api>, stream: TcpStream, side: Side) {
    let fault = match side {
        Side::Known => api.books.run(|book| Ok(book.faults.take(FaultyCall::Connection))).await.ok().flatten(),
        Side::Stranger => None,
    };
    let acceptor = match (fault.map(|f| f.fault), side) {
        (Some(FaultKind::CloseConnection), _) => return,
        (Some(FaultKind::ExpiredCertificate), _) => &api.tls.expired,
        (Some(FaultKind::ForeignCertificate), _) => &api.tls.foreign,
        (Some(_) | None, Side::Known) => &api.tls.right,
        (Some(_) | None, Side::Stranger) => &api.tls.open,
    };
    let stream = match timeout(PATIENCE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::info!(%error, "a TLS handshake failed"),
        Err(_) => return tracing::info!("a TLS handshake took too long"),
    };
    let service = service_fn(|request| answer(Arc::clone(&api), side, request));
    let done = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = done {
        tracing::debug!(%error, "a connection ended");
    }
}

/// The connection is closed without an answer.
#[derive(Debug)]
struct Dropped;

impl std::fmt::Display for Dropped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the answer is dropped on purpose")
    }
}

impl std::error::Error for Dropped {}

type Reply = (StatusCode, Value);

async fn answer(api: Arc<Api>, side: Side, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Dropped> {
    let (head, body) = request.into_parts();
    let asked = match route(side, &head.method, head.uri.path()) {
        Ok(asked) => asked,
        Err(reply) => return Ok(response(reply)),
    };
    let call = asked.call();
    let fault = match api.books.run(move |book| Ok(book.faults.take(call))).await {
        Ok(fault) => fault,
        Err(error) => return Ok(response(broken(error))),
    };
    match fault.map(|f| f.fault) {
        Some(FaultKind::Error500) => return Ok(response(on_purpose())),
        Some(FaultKind::Error500Stored) => {
            let id = asked.id().to_owned();
            let stored = api.books.run(move |book| book.store_error(&id)).await;
            return Ok(response(stored.map_or_else(broken, |()| on_purpose())));
        }
        Some(_) | None => (),
    }
    let reply = match read_body(&head, body).await {
        Ok(body) => perform(&api, asked, head.uri.query().unwrap_or_default(), body).await.unwrap_or_else(broken),
        Err(reply) => reply,
    };
    match fault {
        Some(fault) => spoil(fault, reply).await,
        None => Ok(response(reply)),
    }
}

/// What is asked for, ids checked.
enum Asked {
    Create(String),
    Query(String),
    Cancel(String),
    Refund(String, String),
    QueryRefund(String, String),
    List,
    Platform,
    Enrol,
    Renew,
}

impl Asked {
    fn call(&self) -> FaultyCall {
        match self {
            Asked::Create(_) => FaultyCall::Create,
            Asked::Query(_) => FaultyCall::Query,
            Asked::Cancel(_) => FaultyCall::Cancel,
            Asked::Refund(..) => FaultyCall::Refund,
            Asked::QueryRefund(..) => FaultyCall::QueryRefund,
            Asked::List => FaultyCall::List,
            Asked::Platform => FaultyCall::Platform,
            Asked::Enrol => FaultyCall::Enrol,
            Asked::Renew => FaultyCall::Renew,
        }
    }

    fn id(&self) -> &str {
        match self {
            Asked::Create(id) | Asked::Query(id) | Asked::Cancel(id) => id,
            Asked::Refund(id, _) | Asked::QueryRefund(id, _) => id,
            Asked::List | Asked::Platform | Asked::Enrol | Asked::Renew => "",
        }
    }
}

fn route(side: Side, method: &Method, path: &str) -> Result<Asked, Reply> {
    let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    // Whoever has no certificate gets nothing but one.
    match (side, method.as_str(), segments.as_slice()) {
        (Side::Stranger, "POST", ["v1", "enrolments"]) => return Ok(Asked::Enrol),
        (Side::Stranger, _, ["v1", "enrolments"]) => return Err(wrong_method("POST")),
        (Side::Stranger, _, _) => return Err(no_such_call()),
        (Side::Known, _, _) => {}
    }
    let found = match (method.as_str(), segments.as_slice()) {
        ("PUT", ["v1", "payments", id]) => Asked::Create((*id).to_owned()),
        ("GET", ["v1", "payments", id]) => Asked::Query((*id).to_owned()),
        ("POST", ["v1", "payments", id, "cancel"]) => Asked::Cancel((*id).to_owned()),
        ("PUT", ["v1", "payments", id, "refunds", refund]) => Asked::Refund((*id).to_owned(), (*refund).to_owned()),
        ("GET", ["v1", "payments", id, "refunds", refund]) => {
            Asked::QueryRefund((*id).to_owned(), (*refund).to_owned())
        }
        ("GET", ["v1", "payments"]) => return Ok(Asked::List),
        ("GET", ["v1", "platform"]) => return Ok(Asked::Platform),
        ("POST", ["v1", "renewals"]) => return Ok(Asked::Renew),
        (_, ["v1", "platform"] | ["v1", "payments"]) => return Err(wrong_method("GET")),
        (_, ["v1", "payments", _] | ["v1", "payments", _, "refunds", _]) => return Err(wrong_method("GET, PUT")),
        (_, ["v1", "payments", _, "cancel"] | ["v1", "renewals"]) => return Err(wrong_method("POST")),
        _ => return Err(no_such_call()),
    };
    let refund_is_id = match &found {
        Asked::Refund(_, refund) | Asked::QueryRefund(_, refund) => wire::is_id(refund),
        Asked::Create(_) | Asked::Query(_) | Asked::Cancel(_) => true,
        Asked::List | Asked::Platform | Asked::Enrol | Asked::Renew => true,
    };
    match wire::is_id(found.id()) && refund_is_id {
        true => Ok(found),
        false => Err(problem(StatusCode::BAD_REQUEST, "bad_id", "an id is 32 lower-case hexadecimal digits")),
    }
}

async fn read_body(head: &hyper::http::request::Parts, body: Incoming) -> Result<Bytes, Reply> {
    let late = || problem(StatusCode::REQUEST_TIMEOUT, "too_slow", "the body did not arrive in time");
    let body = timeout(PATIENCE, Limited::new(body, BODY_BYTES_MAX).collect()).await.map_err(|_| late())?;
    let body = body.map_err(|e| match e.is::<LengthLimitError>() {
        true => problem(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "a body is at most 16 KiB"),
        false => problem(StatusCode::BAD_REQUEST, "bad_body", "the body broke off"),
    })?;
    let body = body.to_bytes();
    let kind = head.headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let is_json = kind.split(';').next().is_some_and(|k| k.trim().eq_ignore_ascii_case("application/json"));
    match head.method == Method::GET || is_json {
        true => Ok(body),
        false => Err(problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json", "send application/json")),
    }
}

async fn perform(api: &Api, asked: Asked, query: &str, body: Bytes) -> Result<Reply, BooksError> {
    match asked {
        Asked::Create(id) => create(api, id, &body).await,
        Asked::Query(id) => show(api, id, query).await,
        Asked::Cancel(id) => cancel(api, id, &body).await,
        Asked::Refund(id, refund) => give_back(api, id, refund, &body).await,
        Asked::QueryRefund(id, refund) => {
            let found = api.books.run(move |book| book.find_refund(&refund)).await?;
            let found = found.filter(|refund| refund.payment == id);
            Ok(found.map_or_else(not_found, |refund| (StatusCode::OK, wire::refund(&refund))))
        }
        Asked::List => list(api, query).await,
        Asked::Enrol => match wire::parse::<EnrolBody>(&body) {
            Err(why) => Ok(bad_json(&why)),
            Ok(body) => {
                let office = Arc::clone(&api.office);
                let given = api.books.run(move |book| book.enrol(&body, &office)).await?;
                Ok(hand_over(api, given, Some(&api.api_url)))
            }
        },
        Asked::Renew => match wire::parse::<RenewBody>(&body) {
            Err(why) => Ok(bad_json(&why)),
            Ok(body) => {
                let office = Arc::clone(&api.office);
                let given = api.books.run(move |book| book.renew(&body, &office)).await?;
                Ok(hand_over(api, given, None))
            }
        },
        Asked::Platform => {
            let host = api.public_url.split_once("://").map_or("", |(_, rest)| rest);
            let limits = (api.times.expires_in_min_secs, api.times.expires_in_max_secs);
            Ok((StatusCode::OK, wire::facts(now_ms(), limits, host)))
        }
    }
}

async fn create(api: &Api, id: String, body: &[u8]) -> Result<Reply, BooksError> {
    let body = match wire::parse::<CreateBody>(body) {
        Ok(body) => body,
        Err(why) => return Ok(bad_json(&why)),
    };
    if let Some(rule) = body.broken_rule() {
        return Ok(problem(StatusCode::BAD_REQUEST, "bad_request", rule));
    }
    Ok(match api.books.run(move |book| book.create(&id, body)).await? {
        Created::New(payment) => (StatusCode::CREATED, as_json(api, &payment)),
        Created::Same(payment) => (StatusCode::OK, as_json(api, &payment)),
        Created::Conflict => problem(StatusCode::CONFLICT, "conflict", "this id was used with another body"),
        Created::Never(code) if code == "tombstone" => tombstone(),
        Created::Never(code) => problem(StatusCode::UNPROCESSABLE_ENTITY, &code, "this payment will never be taken"),
        Created::StoredError => on_purpose(),
    })
}

async fn show(api: &Api, id: String, query: &str) -> Result<Reply, BooksError> {
    let (Ok(wait), Ok(version)) = (number(query, "wait"), number(query, "version")) else {
        return Ok(problem(StatusCode::BAD_REQUEST, "bad_request", "wait and version are whole numbers"));
    };
    let until = Instant::now().checked_add(Duration::from_secs(wait.unwrap_or(0).min(WAIT_MAX_SECS)));
    let mut changes = api.books.changes();
    loop {
        // Marked before reading: what changes after that wakes the wait below.
        changes.borrow_and_update();
        let asked = id.clone();
        let payment = match api.books.run(move |book| book.find(&asked)).await? {
            Found::Payment(payment) => payment,
            Found::Tombstone(_) => return Ok(tombstone()),
            Found::Nothing => return Ok(not_found()),
        };
        let held = version.is_some_and(|known| payment.version <= known) && wait.is_some();
        let Some(until) = until.filter(|until| held && *until > Instant::now()) else {
            return Ok((StatusCode::OK, as_json(api, &payment)));
        };
        if let Ok(Err(_)) = timeout_at(until, changes.changed()).await {
            return Err(BooksError::Gone);
        }
    }
}

async fn cancel(api: &Api, id: String, body: &[u8]) -> Result<Reply, BooksError> {
    let refund = match wire::parse::<CancelBody>(body) {
        Ok(CancelBody { refund }) => refund,
        Err(why) => return Ok(bad_json(&why)),
    };
    if refund.as_deref().is_some_and(|refund| !wire::is_id(refund)) {
        return Ok(problem(StatusCode::BAD_REQUEST, "bad_id", "an id is 32 lower-case hexadecimal digits"));
    }
    let asked = id.clone();
    Ok(match api.books.run(move |book| book.cancel(&asked, refund.as_deref())).await? {
        Found::Payment(payment) => {
            let mut body = as_json(api, &payment);
            if let (Status::Paid, Some(members)) = (payment.status, body.as_object_mut()) {
                members.insert("code".to_owned(), Value::from("already_paid"));
            }
            (StatusCode::OK, body)
        }
        Found::Tombstone(_) | Found::Nothing => {
            (StatusCode::OK, json!({ "id": id, "version": 1, "status": "cancelled", "tombstone": true }))
        }
    })
}

async fn give_back(api: &Api, id: String, refund: String, body: &[u8]) -> Result<Reply, BooksError> {
    let amount = match wire::parse::<RefundBody>(body) {
        Ok(RefundBody { amount }) => amount,
        Err(why) => return Ok(bad_json(&why)),
    };
    Ok(match api.books.run(move |book| book.refund(&id, &refund, amount)).await? {
        Given::New(refund) => (StatusCode::CREATED, wire::refund(&refund)),
        Given::Same(refund) => (StatusCode::OK, wire::refund(&refund)),
        Given::Conflict => problem(StatusCode::CONFLICT, "conflict", "this refund id was used for something else"),
        Given::NoPayment(Found::Tombstone(_)) => tombstone(),
        Given::NoPayment(Found::Nothing | Found::Payment(_)) => not_found(),
    })
}

async fn list(api: &Api, query: &str) -> Result<Reply, BooksError> {
    let since = match number(query, "since") {
        Ok(since) => since.and_then(|n| i64::try_from(n).ok()).unwrap_or(0),
        Err(()) => return Ok(problem(StatusCode::BAD_REQUEST, "bad_cursor", "since is a cursor from an earlier page")),
    };
    let (found, more) = api.books.run(move |book| book.page(since)).await?;
    let next = found.last().map_or(since, |last| last.change).to_string();
    let payments: Vec<Value> = found.iter().map(|p| as_json(api, p)).collect();
    Ok((StatusCode::OK, json!({ "payments": payments, "next": next, "more": more })))
}

fn hand_over(api: &Api, given: Handed, url: Option<&str>) -> Reply {
    let body = |certificate: &str| api.office.json(certificate, url, now_ms());
    match given {
        Handed::New(certificate) => (StatusCode::CREATED, body(&certificate)),
        Handed::Same(certificate) => (StatusCode::OK, body(&certificate)),
        Handed::BadRequest => problem(StatusCode::UNPROCESSABLE_ENTITY, "bad_csr", "no request signed by its own key"),
        Handed::Unknown => problem(StatusCode::FORBIDDEN, "code_unknown", "there is no such code"),
        Handed::Used => problem(StatusCode::CONFLICT, "code_used", "this code was used for another key"),
        Handed::Expired => problem(StatusCode::GONE, "code_expired", "this code was not used in time"),
        Handed::TooMany => problem(StatusCode::TOO_MANY_REQUESTS, "too_many_tries", "come back in a minute"),
    }
}

/// The number under this name in a query; absent and empty are none.
fn number(query: &str, name: &str) -> Result<Option<u64>, ()> {
    let mut values = query.split('&').filter_map(|pair| pair.split_once('=')).filter(|(n, _)| *n == name);
    match values.next() {
        Some((_, "")) | None => Ok(None),
        Some((_, digits)) => digits.parse().map(Some).map_err(|_| ()),
    }
}

fn as_json(api: &Api, payment: &Payment) -> Value {
    wire::payment(payment, &api.public_url, now_ms())
}

fn problem(status: StatusCode, code: &str, detail: &str) -> Reply {
    let title = status.canonical_reason().unwrap_or("problem");
    (
        status,
        json!({ "type": "about:blank", "title": title, "status": status.as_u16(), "code": code, "detail": detail }),
    )
}

fn no_such_call() -> Reply {
    problem(StatusCode::NOT_FOUND, "no_such_call", "there is no such call")
}

fn not_found() -> Reply {
    problem(StatusCode::NOT_FOUND, "not_found", "nothing is known under this id")
}

fn tombstone() -> Reply {
    problem(StatusCode::GONE, "tombstone", "this id was closed before a payment came into being")
}

fn bad_json(why: &str) -> Reply {
    problem(StatusCode::BAD_REQUEST, "bad_json", why)
}

fn wrong_method(allowed: &str) -> Reply {
    problem(StatusCode::METHOD_NOT_ALLOWED, "wrong_method", allowed)
}

fn on_purpose() -> Reply {
    problem(StatusCode::INTERNAL_SERVER_ERROR, "internal", "a fault switch says so")
}

fn broken(error: BooksError) -> Reply {
    match error {
        BooksError::Busy | BooksError::Gone => problem(StatusCode::SERVICE_UNAVAILABLE, "busy", "come back"),
        BooksError::Failed(error) => {
            tracing::error!(%error, "the sandbox's books failed");
            problem(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the books failed")
        }
    }
}

fn response((status, body): Reply) -> Response<Full<Bytes>> {
    let kind = if status.is_success() { "application/json" } else { "application/problem+json" };
    let mut response = Response::new(Full::from(body.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, hyper::header::HeaderValue::from_static("no-store"));
    let allowed = body.get("detail").and_then(Value::as_str).and_then(|allowed| allowed.parse().ok());
    if let (StatusCode::METHOD_NOT_ALLOWED, Some(allowed)) = (status, allowed) {
        headers.insert(ALLOW, allowed);
    }
    response
}

/// Answers as the switch says; the call is done.
async fn spoil(fault: Fault, (status, mut body): Reply) -> Result<Response<Full<Bytes>>, Dropped> {
    match fault.fault {
        FaultKind::DropAnswer => return Err(Dropped),
        FaultKind::Delay => sleep(Duration::from_millis(fault.ms)).await,
        FaultKind::Error500After => return Ok(response(on_purpose())),
        FaultKind::Garbage => {
            let mut answer = response((status, body));
            *answer.body_mut() = Full::from(&b"{\"id\": \"0"[..]);
            return Ok(answer);
        }
        FaultKind::WrongAmount => {
            replace(&mut body, "/amount/value", |value| Value::from(value.as_u64().unwrap_or(0).saturating_add(1)))
        }
        FaultKind::OtherId => replace(&mut body, "/id", |_| Value::from("f".repeat(32))),
        FaultKind::StatusBack => replace(&mut body, "/status", |_| Value::from("awaiting")),
        FaultKind::VersionBack => {
            replace(&mut body, "/version", |version| Value::from(version.as_u64().unwrap_or(0).saturating_sub(1)))
        }
        FaultKind::OtherKey => {
            let other = body.get("ca").cloned().unwrap_or_default();
            replace(&mut body, "/certificate", |_| other);
        }
        FaultKind::Error500
        | FaultKind::Error500Stored
        | FaultKind::CloseConnection
        | FaultKind::ExpiredCertificate
        | FaultKind::ForeignCertificate => (),
    }
    Ok(response((status, body)))
}

fn replace(body: &mut Value, at: &str, by: impl FnOnce(&Value) -> Value) {
    if let Some(value) = body.pointer_mut(at) {
        *value = by(value);
    }
}
