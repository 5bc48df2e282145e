//! What every page of the portal needs, and the answers that all of them share. Knows no single page.

use super::assets::Assets;
use super::board::Board;
use super::language::{Language, Texts, Voice};
use super::page::{Page, PageLink, Refresh, Tone};
use super::tokens::{LANGUAGE_COOKIE, SESSION_COOKIE, Tokens, cookie};
use super::{ClosedNow, Limits, MacOf, PortalSettings, StartError};
use crate::inbox::{Full, Inbox};
use crate::shop::event::{Event, PhoneEvent, TillNumber};
use crate::shop::id::SessionId;
use crate::shop::session::Place;
use askama::Template;
use axum::body::Body;
use axum::http::header::{
    ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, LOCATION, REFERRER_POLICY,
    RETRY_AFTER, SET_COOKIE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use jiff::tz::TimeZone;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// How long a post waits for the shop before it leads to the page as it is.
const REPLY_WAIT: Duration = Duration::from_secs(2);
/// How soon a page that found no room tries again.
const BUSY_SECS: u64 = 2;

/// The address a request came from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) IpAddr);

/// What all requests share.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) shop: String,
    pub(super) terms: Option<String>,
    pub(super) tills: BTreeMap<TillNumber, String>,
    pub(super) default_language: Language,
    pub(super) zone: TimeZone,
    pub(super) board: Board,
    pub(super) inbox: Inbox,
    pub(super) texts: Texts,
    pub(super) tokens: Tokens,
    pub(super) assets: Assets,
    pub(super) limits: Limits,
    mac_of: Option<MacOf>,
    closed: Option<ClosedNow>,
    /// Room for live streams.
    pub(super) live: Arc<Semaphore>,
    /// Scheme and authority of the portal's own address, without a slash at the end.
    base: String,
    /// Whether there is TLS: then nothing is said without.
    secure: bool,
    policy: HeaderValue,
    started: Instant,
}

impl Site {
    pub(super) fn new(settings: PortalSettings, base: String, inbox: Inbox) -> Result<Site, StartError> {
        let zone = match &settings.time_zone {
            None => TimeZone::system(),
            Some(name) => TimeZone::get(name)
                .map_err(|source| StartError::TimeZone { name: name.clone(), source: Box::new(source) })?,
        };
        let frame = settings.allow_framing.as_deref().unwrap_or("'none'");
        let policy = format!(
            "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; \
             form-action 'self'; base-uri 'none'; frame-ancestors {frame}"
        );
        Ok(Site {
            shop: settings.shop_name,
            terms: settings.terms,
            tills: settings.tills,
            default_language: settings.default_language,
            zone,
            board: Board::new(),
            inbox,
            texts: Texts::load(),
            tokens: Tokens::new().map_err(|_| StartError::NoRandomness)?,
            assets: Assets::new(),
            live: Arc::new(Semaphore::new(settings.limits.live_max)),
            limits: settings.limits,
            mac_of: settings.mac_of,
            closed: settings.closed,
            base,
            secure: settings.secure.is_some(),
            policy: HeaderValue::from_str(&policy).map_err(|_| StartError::Address { text: frame.to_owned() })?,
            started: Instant::now(),
        })
    }

    /// Whether a request's `Host` is the portal's own.
    pub(super) fn is_own(&self, authority: &str) -> bool {
        let own = self.base.split_once("://").map_or("", |(_, own)| own);
        own.eq_ignore_ascii_case(authority)
    }

    /// Whether the portal has TLS of its own.
    pub(super) fn is_secure(&self) -> bool {
        self.secure
    }

    /// Whether nobody can pay at present.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.as_ref().is_some_and(|ClosedNow(ask)| ask())
    }

    /// Scheme and authority of the portal's own address, without a slash at the end.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// The texts in the language this phone wants; what was chosen in its visit comes first.
    pub(super) fn voice(&self, headers: &HeaderMap, chosen: Option<Language>) -> Voice<'_> {
        let from_cookie = || cookie(headers, LANGUAGE_COOKIE).and_then(Language::from_tag);
        let accepted = || headers.get(ACCEPT_LANGUAGE)?.to_str().ok().and_then(Language::accepted);
        self.texts.voice(chosen.or_else(from_cookie).or_else(accepted).unwrap_or(self.default_language))
    }

    /// The living visit that the phone's cookie names.
    pub(super) fn visit_by_cookie(&self, headers: &HeaderMap) -> Option<SessionId> {
        let session = cookie(headers, SESSION_COOKIE)?.parse().ok()?;
        self.board.has(session).then_some(session)
    }

    /// Hands an event to the shop and waits until it is done, or for [`REPLY_WAIT`]. Full, too, while as many of this
    /// visit wait as may.
    pub(super) async fn ask(&self, session: SessionId, what: PhoneEvent) -> Result<(), Full> {
        let waiting = self.board.tap(session, self.limits.taps_waiting_max).ok_or(Full)?;
        let done = self.inbox.try_ask(Event::Phone { session, what })?;
        // A phone that hangs up meanwhile has not taken its tap back.
        let done = tokio::spawn(async move {
            let _ = done.await;
            drop(waiting);
        });
        // Whether it was done or not, the page that follows shows the present.
        let _ = tokio::time::timeout(REPLY_WAIT, done).await;
        Ok(())
    }

    /// Where a phone with this address is.
    pub(super) fn place_of(&self, peer: IpAddr) -> Place {
        Place { ip: peer, mac: self.mac_of.as_ref().and_then(|MacOf(ask)| ask(peer)) }
    }

    /// Tells the shop if a visit's phone is at another place than before. Who has the visit's secret is its phone, whatever
    /// address it has by now; what it pays for must be in reach of where it is.
    pub(super) async fn follow(&self, session: SessionId, peer: IpAddr) {
        let place = self.place_of(peer);
        if self.mac_of.is_none() || !self.board.moves(session, place) {
            return;
        }
        if self.ask(session, PhoneEvent::LoggedIn { place }).await.is_err() {
            self.board.is_nowhere(session);
        }
    }

    /// How long the portal has run.
    pub(super) fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// Sends a stranger to the start, whatever it asked for (302: the answer that makes phones open the portal).
    pub(super) fn to_start(&self) -> Response {
        self.found(&format!("{}/", self.base))
    }

    /// The same page with TLS. Never a lasting redirect: the certificate may go again.
    pub(super) fn to_secure(&self, uri: &Uri) -> Response {
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        self.found(&format!("{}{}", self.base, if path.starts_with('/') { path } else { "/" }))
    }

    fn found(&self, to: &str) -> Response {
        let shown = to.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
        let body = format!("<!doctype html><title>{shown}</title><a href=\"{shown}\">{shown}</a>\n");
        let mut response = (StatusCode::FOUND, [(CONTENT_TYPE, "text/html; charset=utf-8")], body).into_response();
        set(&mut response, LOCATION, to);
        response
    }

    /// Sends a phone that is with us already to another page.
    pub(super) fn see_other(&self, address: &str) -> Response {
        let mut response = StatusCode::SEE_OTHER.into_response();
        set(&mut response, LOCATION, address);
        response
    }

    /// A page as an answer.
    pub(super) fn html(&self, status: StatusCode, page: &impl Template) -> Response {
        match page.render() {
            Ok(body) => (status, [(CONTENT_TYPE, "text/html; charset=utf-8")], body).into_response(),
            Err(error) => {
                tracing::error!(%error, "a page cannot be written");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }

    /// The inbox is full: come back by yourself.
    pub(super) fn busy(&self, voice: Voice<'_>, then: &str) -> Response {
        let mut page = Page::titled(voice.say("busy-title"), voice, &self.assets, &self.shop);
        page.tone = Tone::Busy;
        page.lines.push(voice.say("busy-text"));
        page.refresh = Refresh::To { secs: BUSY_SECS, url: then.to_owned() };
        page.links.push(back(voice, then));
        later(self.html(StatusCode::SERVICE_UNAVAILABLE, &page))
    }

    /// This address asks too often: its visit's page, or the start, tries again by itself.
    pub(super) fn too_often(&self, headers: &HeaderMap, path: &str) -> Response {
        let then = if path.starts_with("/s/") { path } else { "/" };
        let mut response = self.busy(self.voice(headers, None), then);
        *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
        response
    }

    /// Logged in, and the shop has not shown anything yet.
    pub(super) fn not_yet(&self, voice: Voice<'_>, then: &str) -> Response {
        let mut page = Page::titled(voice.say("contacting-title"), voice, &self.assets, &self.shop);
        page.tone = Tone::Busy;
        page.lines.push(voice.say("busy-text"));
        page.refresh = Refresh::To { secs: BUSY_SECS, url: then.to_owned() };
        self.html(StatusCode::OK, &page)
    }

    /// No seat for another visit.
    pub(super) fn full(&self, voice: Voice<'_>) -> Response {
        let page = self.in_the_way(voice, voice.say("full-title"), voice.say("full-text"), "/");
        later(self.html(StatusCode::SERVICE_UNAVAILABLE, &page))
    }

    /// The form did not come from a page of this visit.
    pub(super) fn stale(&self, voice: Voice<'_>, then: &str) -> Response {
        let page = self.in_the_way(voice, voice.say("stale-title"), voice.say("stale-text"), then);
        self.html(StatusCode::FORBIDDEN, &page)
    }

    /// The form makes no sense.
    pub(super) fn bad(&self, status: StatusCode, voice: Voice<'_>, then: &str) -> Response {
        let page = self.in_the_way(voice, voice.say("bad-title"), voice.say("bad-text"), then);
        self.html(status, &page)
    }

    fn in_the_way<'a>(&'a self, voice: Voice<'a>, title: String, text: String, then: &str) -> Page<'a> {
        let mut page = Page::titled(title, voice, &self.assets, &self.shop);
        page.tone = Tone::Bad;
        page.lines.push(text);
        page.links.push(back(voice, then));
        page
    }

    /// The headers that every answer carries.
    pub(super) fn dress(&self, response: &mut Response<Body>) {
        let headers = response.headers_mut();
        headers.insert(CONTENT_SECURITY_POLICY, self.policy.clone());
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    }

    /// Gives the phone a cookie. `Secure` where the portal's own address is.
    pub(super) fn set_cookie(&self, response: &mut Response<Body>, name: &str, value: &str) {
        let secure = if self.base.starts_with("https://") { "; Secure" } else { "" };
        let cookie = format!("{name}={value}; HttpOnly; SameSite=Lax; Path=/{secure}");
        if let Ok(cookie) = HeaderValue::from_str(&cookie) {
            response.headers_mut().append(SET_COOKIE, cookie);
        }
    }
}

/// The address of a visit's page.
pub(super) fn path_of(session: SessionId) -> String {
    format!("/s/{session}/")
}

fn back(voice: Voice<'_>, then: &str) -> PageLink {
    PageLink { href: then.to_owned(), label: voice.say("back-button"), class: "main" }
}

fn later(mut response: Response<Body>) -> Response<Body> {
    set(&mut response, RETRY_AFTER, &BUSY_SECS.to_string());
    response
}

fn set(response: &mut Response<Body>, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}
