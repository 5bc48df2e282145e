//! Answers to loads of pages: start, scanned tills, visits, receipts. Changes nothing but what a load itself means.

use super::board::{Found, Shown};
use super::language::{Language, Voice};
use super::page::StartPage;
use super::screens;
use super::site::{Peer, Site, path_of};
use super::tokens::{LANGUAGE_COOKIE, SESSION_COOKIE, cookie};
use crate::shop::effect::Screen;
use crate::shop::event::{Event, PhoneEvent, TillNumber};
use crate::shop::id::SessionId;
use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

/// What a query consists of, in its order; a name may stand twice, then the first counts.
type Pairs = Result<Query<Vec<(String, String)>>, axum::extract::rejection::QueryRejection>;

/// `/`: the start page, or the phone's own page if it has one.
pub(super) async fn start(
    State(site): State<Arc<Site>>,
    Extension(Peer(peer)): Extension<Peer>,
    headers: HeaderMap,
    query: Pairs,
) -> Response {
    if let Some(session) = site.visit_by_cookie(&headers) {
        return site.see_other(&path_of(session));
    }
    let pairs = query.map(|Query(pairs)| pairs).unwrap_or_default();
    let value = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let chosen = value("lang").and_then(Language::from_tag);
    let voice = site.voice(&headers, chosen);
    let own_terms = site.terms.as_deref().map(str::trim).filter(|terms| !terms.is_empty());
    let terms = own_terms
        .map_or_else(|| vec![voice.say("terms-text")], |terms| terms.split("\n\n").map(str::to_owned).collect());
    let page = StartPage {
        voice,
        assets: &site.assets,
        shop: &site.shop,
        title: voice.say("start-title"),
        terms,
        till: value("till").and_then(till_number),
        chosen,
        languages: &Language::ALL,
        ended: value("ended").is_some(),
        closed: site.is_closed(),
        form: site.tokens.start_form(peer, site.uptime()),
    };
    let mut response = site.html(StatusCode::OK, &page);
    if let Some(language) = chosen {
        site.set_cookie(&mut response, LANGUAGE_COOKIE, language.tag());
    }
    response
}

/// `/t/NUMBER`, from a QR code or a tag at the till.
pub(super) async fn scanned(
    State(site): State<Arc<Site>>,
    Path(number): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let at = till_number(&number);
    let Some(session) = site.visit_by_cookie(&headers) else {
        return site.see_other(&at.map_or_else(|| "/".to_owned(), |till| format!("/?till={till}")));
    };
    if is_page_load(&method, &headers) && site.ask(session, PhoneEvent::Stands { at }).await.is_err() {
        return site.busy(site.voice(&headers, None), &path_of(session));
    }
    site.see_other(&path_of(session))
}

/// `/s/TOKEN/`: the visit's page.
pub(super) async fn visit(
    State(site): State<Arc<Site>>,
    Path(token): Path<String>,
    Extension(Peer(peer)): Extension<Peer>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let (session, shown) = match find(&site, &token, &headers) {
        Ok(found) => found,
        Err(response) => return *response,
    };
    let voice = site.voice(&headers, shown.language);
    let loading = is_page_load(&method, &headers);
    if loading {
        site.follow(session, peer).await;
    }
    let hand_over = loading && hands_over(&site, session, &shown.screen);
    let mut page = screens::page(&site, voice, session, &shown.screen, hand_over);
    page.live = Some(shown.version);
    let mut response = site.html(StatusCode::OK, &page);
    if loading {
        report_seen(&site, session, &shown);
    }
    let token = session.to_string();
    if cookie(&headers, SESSION_COOKIE) != Some(token.as_str()) {
        site.set_cookie(&mut response, SESSION_COOKIE, &token);
    }
    response
}

/// `/s/TOKEN/checkout`: on to the checkout, if there is something to pay now; else the visit's page.
pub(super) async fn checkout(
    State(site): State<Arc<Site>>,
    Path(token): Path<String>,
    Extension(Peer(peer)): Extension<Peer>,
    headers: HeaderMap,
) -> Response {
    let (session, shown) = match find(&site, &token, &headers) {
        Ok(found) => found,
        Err(response) => return *response,
    };
    site.follow(session, peer).await;
    match &shown.screen {
        Screen::Pay { link, .. } => site.see_other(link.as_str()),
        Screen::EnterTill { .. }
        | Screen::InLine { .. }
        | Screen::Waiting { .. }
        | Screen::Confirm { .. }
        | Screen::TooLate { .. }
        | Screen::Contacting { .. }
        | Screen::Closing { .. }
        | Screen::ChooseReturn { .. }
        | Screen::Returning { .. }
        | Screen::Returned(_)
        | Screen::Result(_) => site.see_other(&path_of(session)),
    }
}

/// `/s/TOKEN/receipt`: the receipt as text.
pub(super) async fn receipt(State(site): State<Arc<Site>>, Path(token): Path<String>, headers: HeaderMap) -> Response {
    let (session, shown) = match find(&site, &token, &headers) {
        Ok(found) => found,
        Err(response) => return *response,
    };
    let voice = site.voice(&headers, shown.language);
    let Some(text) = screens::receipt_text(&site, voice, &shown.screen) else {
        return site.see_other(&path_of(session));
    };
    ([(CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}

/// `/a/..`: style, script and icon.
pub(super) async fn asset(State(site): State<Arc<Site>>, uri: Uri) -> Response {
    site.assets.at(uri.path()).unwrap_or_else(|| StatusCode::NOT_FOUND.into_response())
}

/// The icon that browsers ask for by themselves; without it they would be sent on to the visit's page.
pub(super) async fn icon(State(site): State<Arc<Site>>) -> Response {
    site.assets.at(&site.assets.icon).unwrap_or_else(|| StatusCode::NOT_FOUND.into_response())
}

/// `/s/TOKEN` without the slash at the end.
pub(super) async fn visit_without_slash(State(site): State<Arc<Site>>, Path(token): Path<String>) -> Response {
    match token.parse::<SessionId>() {
        Ok(session) => site.see_other(&path_of(session)),
        Err(_) => site.see_other("/?ended"),
    }
}

/// A till's number as typed or scanned: ASCII, Arabic-Indic, Persian or full-width digits, spaces around them.
pub(super) fn till_number(text: &str) -> Option<TillNumber> {
    let digits: Option<String> = text.trim().chars().map(ascii_digit).collect();
    TillNumber::new(digits?.parse().ok()?)
}

fn ascii_digit(c: char) -> Option<char> {
    let zero = match c {
        '0'..='9' => '0',
        '\u{660}'..='\u{669}' => '\u{660}',
        '\u{6f0}'..='\u{6f9}' => '\u{6f0}',
        '\u{ff10}'..='\u{ff19}' => '\u{ff10}',
        _ => return None,
    };
    char::from_digit(u32::from(c).wrapping_sub(u32::from(zero)), 10)
}

/// The start page's address for a phone whose visit has ended.
pub(super) fn ended_path(till: Option<TillNumber>) -> String {
    till.map_or_else(|| "/?ended".to_owned(), |till| format!("/?ended&till={till}"))
}

fn find(site: &Site, token: &str, headers: &HeaderMap) -> Result<(SessionId, Shown), Box<Response>> {
    let Ok(session) = token.parse::<SessionId>() else {
        return Err(Box::new(site.see_other(&ended_path(None))));
    };
    match site.board.find(session) {
        Found::Shown(shown) => Ok((session, *shown)),
        Found::Ended { till } => Err(Box::new(site.see_other(&ended_path(till)))),
        Found::Blank { language } => {
            let voice: Voice<'_> = site.voice(headers, language);
            Err(Box::new(site.not_yet(voice, &path_of(session))))
        }
    }
}

/// Whether a person is to see this page: not a preload, not an image or an icon that was redirected here.
fn is_page_load(method: &Method, headers: &HeaderMap) -> bool {
    let is = |name: &str, of: &[&str]| {
        headers.get(name).is_none_or(|value| of.iter().any(|word| value.as_bytes() == word.as_bytes()))
    };
    let preload = headers.contains_key("sec-purpose") || headers.contains_key("purpose");
    method == Method::GET && !preload && is("sec-fetch-dest", &["document", "iframe", "frame"])
}

/// True once for each attempt's checkout, unless a try on it has failed: then the customer reads why first.
fn hands_over(site: &Site, session: SessionId, screen: &Screen) -> bool {
    let Screen::Pay { facts, attempt_no, failed, .. } = screen else { return false };
    let first = failed.is_none() && !site.board.handed_over(session, facts.sale, *attempt_no);
    site.board.hand_over(session, facts.sale, *attempt_no);
    first
}

fn report_seen(site: &Site, session: SessionId, shown: &Shown) {
    let Some(sale) = shown.screen.wants_seen() else { return };
    if !site.board.claim_seen(session, shown.version) {
        return;
    }
    let told = site.inbox.try_ask(Event::Phone { session, what: PhoneEvent::Saw { sale } });
    if told.is_err() {
        site.board.unclaim_seen(session);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_till_number_may_be_typed_in_any_keyboards_digits() {
        for (typed, number) in [
            ("7", Some(7)),
            (" 12 ", Some(12)),
            ("007", Some(7)),
            ("٧", Some(7)),
            ("۱۲", Some(12)),
            ("１２", Some(12)),
            ("", None),
            ("0", None),
            ("10000", None),
            ("-1", None),
            ("7a", None),
            ("1 2", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(till_number(typed).map(TillNumber::number), number, "{typed}");
        }
    }
}
