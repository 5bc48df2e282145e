//! The sandbox's admin page and JSON API: payments, accounts, fault switches. For the machine's own people: it has no
//! sign-in and belongs on loopback.

use super::books::{ACCOUNTS, Books, BooksError};
use super::fault::Fault;
use super::payment::Book;
use super::rows::Payment;
use super::wire;
use askama::Template;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Form, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;

/// Longest body.
const BODY_BYTES_MAX: usize = 4 * 1024;
/// The currency in which the accounts are shown.
const SHOWN: (&str, u8) = ("EUR", 2);

/// What the pages need.
#[derive(Clone, Debug)]
pub(super) struct Admin {
    pub(super) books: Books,
    /// Ends the connections of the API, so that the next ones meet a new switch.
    pub(super) close_all: mpsc::Sender<()>,
    pub(super) public_url: String,
    /// Of the platform's key: part of every code.
    pub(super) pin: [u8; 32],
}

pub(super) fn routes(admin: Admin) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/faults", post(switch_by_form))
        .route("/codes", post(show_code))
        .route("/api/codes", post(code))
        .route("/api/payments", get(payments))
        .route("/api/accounts", get(accounts))
        .route("/api/faults", get(faults).post(switch).delete(clear))
        .layer(middleware::from_fn(own_pages_only))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(admin)
}

/// A browser that was led here by another site is refused: loopback protects from strangers, not from their pages.
async fn own_pages_only(request: Request, next: Next) -> Response {
    let site = request.headers().get("sec-fetch-site").and_then(|v| v.to_str().ok());
    match (request.method().as_str(), site) {
        ("GET" | "HEAD", _) | (_, None | Some("same-origin" | "none")) => next.run(request).await,
        (_, Some(_)) => (StatusCode::FORBIDDEN, "Open the admin page itself.\n").into_response(),
    }
}

/// Sets a switch, as the API and the sandbox's owner in the same process do.
pub(super) async fn set(admin: &Admin, fault: Fault) -> Result<(), SetError> {
    let set = admin.books.run(move |book| Ok(book.faults.set(fault))).await.map_err(SetError::Books)?;
    set.map_err(SetError::Wrong)?;
    if fault.fault.is_of_connections() {
        // A full queue has the message in it already.
        let _ = admin.close_all.try_send(());
    }
    Ok(())
}

/// A new code with which a box can enrol.
pub(super) async fn new_code(admin: &Admin) -> Result<String, BooksError> {
    let pin = admin.pin;
    admin.books.run(move |book| book.new_code(&pin)).await
}

async fn code(State(admin): State<Admin>) -> Response {
    match new_code(&admin).await {
        Ok(code) => as_json(&json!({ "code": code })),
        Err(error) => broken(error),
    }
}

/// As text, once: who reloads gets another.
async fn show_code(State(admin): State<Admin>) -> Response {
    match new_code(&admin).await {
        Ok(code) => (headers("text/plain; charset=utf-8"), format!("{code}\n")).into_response(),
        Err(error) => broken(error),
    }
}

/// Why a switch was not set.
pub(super) enum SetError {
    Wrong(&'static str),
    Books(BooksError),
}

async fn switch(State(admin): State<Admin>, body: Bytes) -> Response {
    match wire::parse::<Fault>(&body) {
        Ok(fault) => respond(set(&admin, fault).await),
        Err(why) => (StatusCode::BAD_REQUEST, format!("{why}\n")).into_response(),
    }
}

fn respond(set: Result<(), SetError>) -> Response {
    match set {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(SetError::Wrong(why)) => (StatusCode::BAD_REQUEST, format!("{why}\n")).into_response(),
        Err(SetError::Books(error)) => broken(error),
    }
}

async fn clear(State(admin): State<Admin>) -> Response {
    let clear = |book: &mut Book<'_>| {
        book.faults.clear();
        Ok(())
    };
    match admin.books.run(clear).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => broken(error),
    }
}

/// `call` and `fault` come as one choice, `call/fault`.
#[derive(Deserialize)]
struct Choice {
    choice: String,
    count: u32,
    ms: u64,
}

async fn switch_by_form(State(admin): State<Admin>, Form(form): Form<Choice>) -> Response {
    let (call, fault) = form.choice.split_once('/').unwrap_or_default();
    let fault = json!({ "call": call, "fault": fault, "count": form.count, "ms": form.ms });
    match serde_json::from_value::<Fault>(fault) {
        Ok(fault) => match set(&admin, fault).await {
            Ok(()) => (StatusCode::SEE_OTHER, [(header::LOCATION, "/")]).into_response(),
            error @ Err(_) => respond(error),
        },
        Err(why) => (StatusCode::BAD_REQUEST, format!("{why}\n")).into_response(),
    }
}

async fn payments(State(admin): State<Admin>) -> Response {
    match admin.books.run(|book| Ok((book.newest()?, book.now_ms))).await {
        Ok((found, now)) => {
            // The checkout links stay between platform and phone.
            let without_link = |p: &Payment| {
                let mut body = wire::payment(p, &admin.public_url, now);
                body.as_object_mut().map(|members| members.remove("checkout_url"));
                body
            };
            as_json(&json!({ "payments": found.iter().map(without_link).collect::<Vec<_>>() }))
        }
        Err(error) => broken(error),
    }
}

async fn accounts(State(admin): State<Admin>) -> Response {
    match admin.books.run(|book| book.balances(SHOWN.0)).await {
        Ok(found) => {
            let one = |(name, minor): &(String, i64)| json!({ "name": name, "balance": minor });
            let accounts: Vec<Value> = found.iter().map(one).collect();
            as_json(&json!({ "currency": SHOWN.0, "exponent": SHOWN.1, "accounts": accounts }))
        }
        Err(error) => broken(error),
    }
}

async fn faults(State(admin): State<Admin>) -> Response {
    match admin.books.run(|book| Ok(book.faults.all().to_vec())).await {
        Ok(all) => as_json(&json!({ "faults": all.iter().map(Fault::json).collect::<Vec<_>>() })),
        Err(error) => broken(error),
    }
}

#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sandbox platform</title>
<style>
:root { color-scheme: light dark; }
body { font: 1rem/1.4 system-ui, sans-serif; margin: 1.5rem; }
table { border-collapse: collapse; margin: .5rem 0 1.5rem; }
th, td { text-align: start; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #8885; }
td.n { text-align: end; font-variant-numeric: tabular-nums; }
input, select, button { font: inherit; padding: .2rem .4rem; }
</style>
</head>
<body>
<h1>Sandbox platform</h1>
<h2>Fault switches</h2>
<form method="post" action="/faults">
<label>What <select name="choice">{% for choice in choices %}<option>{{ choice }}</option>{% endfor %}</select></label>
<label>times <input name="count" type="number" min="0" max="1000000" value="1"></label>
<label>delay in ms <input name="ms" type="number" min="0" max="600000" value="0"></label>
<button>Switch</button>
</form>
<table><tr><th>call</th><th>fault</th><th>times left</th><th>ms</th></tr>
{% for fault in faults %}<tr><td>{{ fault.0 }}</td><td>{{ fault.1 }}</td><td class="n">{{ fault.2 }}</td><td class="n">{{ fault.3 }}</td></tr>
{% endfor %}</table>
<h2>Boxes</h2>
<form method="post" action="/codes"><button>A code to enrol a box</button></form>
<h2>Accounts</h2>
<table><tr><th>name</th><th>what it does</th><th>balance ({{ currency }})</th></tr>
{% for account in accounts %}<tr><td>{{ account.0 }}</td><td>{{ account.1 }}</td><td class="n">{{ account.2 }}</td></tr>
{% endfor %}</table>
<h2>Payments</h2>
<table><tr><th>id</th><th>created</th><th>till</th><th>amount</th><th>status</th><th>reason</th><th>failed tries</th><th>paid</th><th>given back</th><th>version</th></tr>
{% for cells in payments %}<tr>{% for cell in cells %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</table>
</body>
</html>
"#
)]
struct Page {
    choices: Vec<String>,
    faults: Vec<(String, String, u64, u64)>,
    currency: &'static str,
    accounts: Vec<(String, &'static str, String)>,
    payments: Vec<[String; 10]>,
}

async fn page(State(admin): State<Admin>) -> Response {
    let read = admin.books.run(|book| Ok((book.faults.all().to_vec(), book.balances(SHOWN.0)?, book.newest()?)));
    let (faults, balances, payments) = match read.await {
        Ok(read) => read,
        Err(error) => return broken(error),
    };
    let text = |fault: &Value, name: &str| fault.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let shown = wire::Money { value: 0, currency: SHOWN.0.to_owned(), exponent: SHOWN.1 };
    let account = |(name, minor): (String, i64)| {
        let does = ACCOUNTS.iter().find(|a| a.0 == name).map_or("", |a| a.1);
        let sign = if minor < 0 { "-" } else { "" };
        (name, does, format!("{sign}{}", shown.decimal(minor.unsigned_abs())))
    };
    let page = Page {
        choices: Fault::choices(),
        faults: faults
            .iter()
            .map(|f| (text(&f.json(), "call"), text(&f.json(), "fault"), u64::from(f.count), f.ms))
            .collect(),
        currency: SHOWN.0,
        accounts: balances.into_iter().map(account).collect(),
        payments: payments.iter().map(cells).collect(),
    };
    match page.render() {
        Ok(html) => (headers("text/html; charset=utf-8"), html).into_response(),
        Err(error) => {
            tracing::error!(%error, "the admin page could not be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

fn cells(payment: &Payment) -> [String; 10] {
    let amount = &payment.asked.amount;
    [
        payment.id.clone(),
        wire::time(payment.created_at),
        payment.asked.till.to_string(),
        format!("{} {}", amount.decimal(amount.value), amount.currency),
        payment.status.as_str().to_owned(),
        payment.reason.clone().unwrap_or_default(),
        payment.tries.to_string(),
        amount.decimal(payment.paid),
        amount.decimal(payment.refunded),
        payment.version.to_string(),
    ]
}

fn as_json(body: &Value) -> Response {
    (headers("application/json"), body.to_string()).into_response()
}

fn headers(kind: &'static str) -> HeaderMap {
    let policy = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; \
                  frame-ancestors 'none'";
    HeaderMap::from_iter([
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy)),
    ])
}

fn broken(error: BooksError) -> Response {
    match error {
        BooksError::Busy | BooksError::Gone => (StatusCode::SERVICE_UNAVAILABLE, "come back\n").into_response(),
        BooksError::Failed(error) => {
            tracing::error!(%error, "the sandbox's books failed");
            (StatusCode::INTERNAL_SERVER_ERROR, "the books failed: look at the sandbox's log\n").into_response()
        }
    }
}
