//! Answers to posts: each form becomes one event, then leads back to the visit's page. Judges no event.

use super::board::{Found, NoSeat};
use super::language::Language;
use super::loads::{ended_path, till_number};
use super::site::{Peer, Site, path_of};
use super::tokens::{SESSION_COOKIE, form_token_fits};
use crate::shop::event::PhoneEvent;
use crate::shop::id::{SaleId, SessionId};
use crate::shop::money::{Amount, Currency};
use crate::shop::policy::Policy;
use axum::extract::{FromRequest, Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::{Extension, Form};
use serde::Deserialize;
use std::sync::Arc;

/// What a form of ours may hold; each form fills some of it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Fields {
    form: String,
    till: Option<String>,
    lang: Option<String>,
    sale: Option<String>,
    /// The return that the form is about.
    asked: Option<String>,
    minor: Option<u64>,
    currency: Option<String>,
}

/// `POST /login`: the terms are accepted.
pub(super) async fn log_in(
    State(site): State<Arc<Site>>,
    Extension(Peer(peer)): Extension<Peer>,
    request: Request,
) -> Response {
    let headers = request.headers().clone();
    let fields = match read(&site, request).await {
        Ok(fields) => fields,
        Err(status) => return site.bad(status, site.voice(&headers, None), "/"),
    };
    let chosen = fields.lang.as_deref().and_then(Language::from_tag);
    let till = fields.till.as_deref().and_then(till_number);
    let voice = site.voice(&headers, chosen);
    let start = till.map_or_else(|| "/".to_owned(), |till| format!("/?till={till}"));
    if !site.tokens.start_form_fits(&fields.form, peer, site.uptime()) {
        return site.stale(voice, &start);
    }
    let session = match site.visit_by_cookie(&headers) {
        Some(session) => session,
        None => match open_visit(&site, peer, chosen).await {
            Ok(session) => session,
            Err(NotOpened::NoSeat) => return site.full(voice),
            Err(NotOpened::Busy) => return site.busy(voice, &start),
        },
    };
    // Should the inbox have filled up meanwhile, the page that follows asks for the till.
    if let Some(at) = till {
        let _ = site.ask(session, PhoneEvent::Stands { at: Some(at) }).await;
    }
    let mut response = site.see_other(&path_of(session));
    site.set_cookie(&mut response, SESSION_COOKIE, &session.to_string());
    response
}

/// `POST /s/TOKEN/ACT`: a button of the visit's page.
pub(super) async fn act(
    State(site): State<Arc<Site>>,
    Path((token, act)): Path<(String, String)>,
    Extension(Peer(peer)): Extension<Peer>,
    request: Request,
) -> Response {
    let Ok(session) = token.parse::<SessionId>() else { return site.see_other(&ended_path(None)) };
    let language = match site.board.find(session) {
        Found::Ended { till } => return site.see_other(&ended_path(till)),
        Found::Blank { language } => language,
        Found::Shown(shown) => shown.language,
    };
    let headers: HeaderMap = request.headers().clone();
    let voice = site.voice(&headers, language);
    let path = path_of(session);
    let fields = match read(&site, request).await {
        Ok(fields) => fields,
        Err(status) => return site.bad(status, voice, &path),
    };
    if !form_token_fits(&fields.form, session) {
        return site.stale(voice, &path);
    }
    let Some(what) = event(&act, &fields) else { return site.bad(StatusCode::BAD_REQUEST, voice, &path) };
    site.follow(session, peer).await;
    if site.ask(session, what).await.is_err() {
        return site.busy(voice, &path);
    }
    let left = what == PhoneEvent::LogsOut && !site.board.has(session);
    site.see_other(if left { "/" } else { &path })
}

enum NotOpened {
    NoSeat,
    Busy,
}

async fn open_visit(site: &Site, peer: std::net::IpAddr, language: Option<Language>) -> Result<SessionId, NotOpened> {
    let session = site.tokens.draw().map_err(|_| NotOpened::NoSeat)?;
    let (max, per_address) = (Policy::SESSIONS_MAX, site.limits.visits_per_address_max);
    let reserve = || site.board.reserve(session, language, peer, max, per_address);
    if let Err(full) = reserve() {
        let gives_way = if full == NoSeat::AtAll { site.board.least_missed() } else { None };
        let gives_way = gives_way.ok_or(NotOpened::NoSeat)?;
        site.ask(gives_way, PhoneEvent::LogsOut).await.map_err(|_| NotOpened::Busy)?;
        reserve().map_err(|_| NotOpened::NoSeat)?;
    }
    let place = site.place_of(peer);
    site.board.moves(session, place);
    let asked = site.ask(session, PhoneEvent::LoggedIn { place }).await;
    if asked.is_err() {
        site.board.release_blank(session);
    }
    asked.map(|()| session).map_err(|_| NotOpened::Busy)
}

/// The event that a form means, if it has all that the event needs.
fn event(act: &str, fields: &Fields) -> Option<PhoneEvent> {
    let sale = || fields.sale.as_deref()?.parse::<SaleId>().ok();
    let asked = || fields.asked.as_deref()?.parse::<SaleId>().ok();
    match act {
        "till" => Some(PhoneEvent::Stands { at: till_number(fields.till.as_deref()?) }),
        "leave" => Some(PhoneEvent::Leaves),
        "confirm" => Some(PhoneEvent::Confirms { sale: sale()?, amount: amount(fields)? }),
        "decline" => Some(PhoneEvent::Declines { sale: sale()? }),
        "not-mine" => Some(PhoneEvent::NotMine { sale: sale()? }),
        "give-up" => Some(PhoneEvent::GivesUp { sale: sale()? }),
        "let-go" => Some(PhoneEvent::LetsGo { sale: sale()? }),
        "choose" => Some(PhoneEvent::Chooses { asked: asked()?, sale: sale()?, amount: amount(fields)? }),
        "refuse" => Some(PhoneEvent::Refuses { asked: asked()? }),
        "finish" => Some(PhoneEvent::Finishes),
        "log-out" => Some(PhoneEvent::LogsOut),
        _ => None,
    }
}

fn amount(fields: &Fields) -> Option<Amount> {
    let currency = Currency::from_code(fields.currency.as_deref()?)?;
    Amount::from_minor(fields.minor?, currency).ok()
}

/// Reads a form within the limits of size and time.
async fn read(site: &Site, request: Request) -> Result<Fields, StatusCode> {
    let form = Form::<Fields>::from_request(request, &());
    match tokio::time::timeout(site.limits.read_timeout, form).await {
        Ok(Ok(Form(fields))) => Ok(fields),
        Ok(Err(rejection)) => {
            let status = axum::response::IntoResponse::into_response(rejection).status();
            Err(if status == StatusCode::PAYLOAD_TOO_LARGE { status } else { StatusCode::BAD_REQUEST })
        }
        Err(_) => Err(StatusCode::REQUEST_TIMEOUT),
    }
}
