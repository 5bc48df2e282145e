//! The sandbox's hosted checkout: the page on which a customer signs in and pays. Works without scripts.

use super::books::{Books, BooksError, random};
use super::payment::TRIES_MAX;
use super::rows::{Payment, Status};
use askama::Template;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Form, Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;

/// Longest form.
const FORM_BYTES_MAX: usize = 4 * 1024;

/// What the pages need.
#[derive(Clone, Debug)]
pub(super) struct Checkout {
    pub(super) books: Books,
    /// The one origin that may show the pages in a frame.
    pub(super) framed_by: Option<String>,
}

pub(super) fn routes(checkout: Checkout) -> Router {
    Router::new()
        .route("/checkout/{token}", get(show).post(act))
        .fallback(|| async { (StatusCode::NOT_FOUND, "There is no such page. Open the link from the shop again.\n") })
        .layer(DefaultBodyLimit::max(FORM_BYTES_MAX))
        .with_state(checkout)
}

#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
{% if let Some(refresh) = refresh %}<meta http-equiv="refresh" content="{{ refresh }}">
{% endif %}<title>{{ heading }}</title>
<style nonce="{{ nonce }}">
:root { color-scheme: light dark; --line: #8888; --strong: #0b57d0; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --strong: #a8c7fa; --bad: #f2b8b5; } }
* { box-sizing: border-box; }
body { font: 1.06rem/1.45 system-ui, sans-serif; margin: 0 auto; padding: 1.2rem; max-width: 26rem; }
header { font-size: .9rem; opacity: .75; }
h1 { font-size: 1.4rem; margin: .6rem 0; }
dl { display: grid; grid-template-columns: auto 1fr; gap: .3rem 1rem; border: 1px solid var(--line);
  border-radius: .7rem; padding: .9rem; margin: 1rem 0; }
dd { margin: 0; text-align: end; overflow-wrap: anywhere; }
.amount { font-size: 1.5rem; font-weight: 700; }
.bad { border-inline-start: .3rem solid var(--bad); padding-inline-start: .7rem; color: var(--bad); font-weight: 600; }
label { display: block; margin: .9rem 0 .2rem; }
input { width: 100%; font: inherit; padding: .7rem; border: 1px solid var(--line); border-radius: .5rem; }
button, a.go { display: block; width: 100%; font: inherit; font-weight: 600; text-align: center; padding: .8rem;
  margin-top: 1rem; border-radius: .5rem; border: 1px solid var(--strong); text-decoration: none; }
button.pay, a.go { background: var(--strong); color: Canvas; }
button.no { background: none; color: inherit; border-color: var(--line); }
</style>
</head>
<body>
<header>Sandbox platform &middot; no real money</header>
<main>
<h1>{{ heading }}</h1>
{% if let Some(bad) = bad %}<p class="bad" role="alert">{{ bad }}</p>
{% endif %}<p>{{ text }}</p>
<dl>
<dt>Shop</dt><dd><bdi>{{ shop }}</bdi></dd>
<dt>Till</dt><dd>{{ till }}</dd>
<dt>Code</dt><dd>{{ code }}</dd>
<dt>Amount</dt><dd class="amount"><bdi>{{ amount }}</bdi></dd>
</dl>
{% if asks %}<form method="post" action="/checkout/{{ token }}">
<label for="account">Account</label>
<input id="account" name="account" autocomplete="username" autocapitalize="none" maxlength="64" required>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" maxlength="128" required>
<button class="pay" name="action" value="pay">Pay <bdi>{{ amount }}</bdi></button>
</form>
{% endif %}{% if open %}<form method="post" action="/checkout/{{ token }}">
<button class="no" name="action" value="cancel">Cancel, do not pay</button>
</form>
{% else %}<a class="go" href="{{ return_url }}">Back to the shop</a>
{% endif %}</main>
</body>
</html>
"#
)]
struct Page<'a> {
    nonce: &'a str,
    heading: &'a str,
    text: &'a str,
    bad: Option<String>,
    refresh: Option<String>,
    shop: &'a str,
    till: u16,
    code: &'a str,
    amount: String,
    token: &'a str,
    asks: bool,
    open: bool,
    return_url: &'a str,
}

#[derive(Deserialize)]
struct Acted {
    #[serde(default)]
    account: String,
    #[serde(default)]
    password: String,
    action: String,
}

async fn show(State(checkout): State<Checkout>, Path(token): Path<String>) -> Response {
    let asked = token.clone();
    match checkout.books.run(move |book| book.by_token(&asked)).await {
        Ok(Some(payment)) => page(&checkout, &payment),
        Ok(None) => {
            (StatusCode::NOT_FOUND, "There is no such payment. Open the link from the shop again.\n").into_response()
        }
        Err(error) => broken(error),
    }
}

/// Whatever was done, the page that is loaded next shows what is true.
async fn act(State(checkout): State<Checkout>, Path(token): Path<String>, Form(acted): Form<Acted>) -> Response {
    let back = format!("/checkout/{token}");
    let done = match acted.action.as_str() {
        "pay" => checkout.books.run(move |book| book.sign_in(&token, acted.account.trim(), &acted.password)).await,
        "cancel" => checkout.books.run(move |book| book.customer_cancels(&token)).await,
        _ => return (StatusCode::BAD_REQUEST, "Use the buttons of the page.\n").into_response(),
    };
    match (done, HeaderValue::from_str(&back)) {
        (Ok(()), Ok(back)) => (StatusCode::SEE_OTHER, [(header::LOCATION, back)]).into_response(),
        (Ok(()), Err(_)) => (StatusCode::BAD_REQUEST, "Use the buttons of the page.\n").into_response(),
        (Err(error), _) => broken(error),
    }
}

fn page(checkout: &Checkout, payment: &Payment) -> Response {
    let nonce: [u8; 16] = random();
    let nonce: String = nonce.iter().map(|b| format!("{b:02x}")).collect();
    let asked = &payment.asked;
    let (heading, text) = words(payment);
    let open = !payment.status.is_final();
    let refresh = match payment.status {
        Status::Awaiting => None,
        Status::Processing => Some("2".to_owned()),
        Status::Paid | Status::Failed | Status::Expired | Status::Cancelled => {
            Some(format!("5; url={}", asked.return_url))
        }
    };
    let page = Page {
        nonce: &nonce,
        heading,
        text,
        bad: complaint(payment),
        refresh,
        shop: &asked.shop,
        till: asked.till,
        code: &asked.code,
        amount: format!("{} {}", asked.amount.decimal(asked.amount.value), asked.amount.currency),
        token: &payment.token,
        asks: payment.status == Status::Awaiting,
        open,
        return_url: &asked.return_url,
    };
    match page.render() {
        Ok(html) => (headers(checkout, &nonce), html).into_response(),
        Err(error) => {
            tracing::error!(%error, "the checkout page could not be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

fn words(payment: &Payment) -> (&'static str, &'static str) {
    match payment.status {
        Status::Awaiting => ("Sign in to pay", "The code must be the one that the till shows."),
        Status::Processing => ("One moment", "The payment is under way. This page refreshes by itself."),
        Status::Paid => ("Paid", "Thank you. You are taken back to the shop."),
        Status::Failed => ("Not paid", "This payment has failed. The shop may offer you another try."),
        Status::Expired => ("Too late", "The time for this payment is over."),
        Status::Cancelled => ("Cancelled", "Nothing is to be paid here any more."),
    }
}

fn complaint(payment: &Payment) -> Option<String> {
    match (payment.status, payment.reason.as_deref(), payment.failure.as_ref()) {
        (Status::Awaiting, _, Some(_)) => Some(match TRIES_MAX.saturating_sub(payment.tries) {
            1 => "Account or password is wrong. 1 try is left.".to_owned(),
            left => format!("Account or password is wrong. {left} tries are left."),
        }),
        (Status::Failed, Some("no_funds"), _) => Some("There is not enough money on this account.".to_owned()),
        (Status::Failed, Some("too_many_tries"), _) => Some("Wrong account or password too often.".to_owned()),
        (
            Status::Awaiting | Status::Processing | Status::Paid | Status::Failed | Status::Expired | Status::Cancelled,
            _,
            _,
        ) => None,
    }
}

fn headers(checkout: &Checkout, nonce: &str) -> HeaderMap {
    let frames = checkout.framed_by.as_deref().unwrap_or("'none'");
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; form-action 'self'; base-uri 'none'; frame-ancestors {frames}"
    );
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // Set by the constructor only; one that is no header value lets nobody frame the page.
    let policy = HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"));
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    headers
}

fn broken(error: BooksError) -> Response {
    match error {
        BooksError::Busy | BooksError::Gone => {
            let wait = [(header::RETRY_AFTER, "2")];
            (StatusCode::SERVICE_UNAVAILABLE, wait, "Please load this page again in two seconds.\n").into_response()
        }
        BooksError::Failed(error) => {
            tracing::error!(%error, "the sandbox's books failed");
            (StatusCode::INTERNAL_SERVER_ERROR, "Please load this page again.\n").into_response()
        }
    }
}
