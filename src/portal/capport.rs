//! The captive-portal API (RFC 8908): tells a phone's system whether it is captive. Lets nobody through.

use super::site::{Peer, Site};
use crate::clock::Clock;
use axum::Extension;
use axum::extract::State;
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::sync::Arc;

/// Where it is. What DHCP tells phones must say the same.
pub(super) const PATH: &str = "/capport";
/// RFC 8908, section 4.
const MEDIA_TYPE: &str = "application/captive+json";

/// RFC 8908, section 5.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Answer<'a> {
    captive: bool,
    user_portal_url: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds_remaining: Option<u64>,
}

/// `/capport`: JSON for systems, the portal itself for people who come here by chance.
pub(super) async fn api(
    State(site): State<Arc<Site>>,
    Extension(Peer(peer)): Extension<Peer>,
    headers: HeaderMap,
) -> Response {
    let mut response = match site.is_secure() && !is_a_person(&headers) {
        true => answer(&site, peer),
        false => site.to_start(),
    };
    response.headers_mut().insert(VARY, HeaderValue::from_static("Accept"));
    response
}

fn answer(site: &Site, peer: std::net::IpAddr) -> Response {
    let now = Clock::mono();
    let free_until = site.board.free_until(peer, now);
    let remaining = |until: crate::shop::time::Mono| until.0.saturating_sub(now.0) / 1_000;
    let url = format!("{}/", site.base());
    let answer =
        Answer { captive: free_until.is_none(), user_portal_url: &url, seconds_remaining: free_until.map(remaining) };
    match serde_json::to_string(&answer) {
        Ok(body) => ([(CONTENT_TYPE, MEDIA_TYPE), (CACHE_CONTROL, "private, no-store")], body).into_response(),
        Err(error) => {
            tracing::error!(%error, "the captive-portal API cannot answer");
            site.to_start()
        }
    }
}

/// A browser asks for pages; systems ask for the media type, for anything, or do not say.
fn is_a_person(headers: &HeaderMap) -> bool {
    let accept = || headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accept().any(|value| value.contains("text/html")) && !accept().any(|value| value.contains(MEDIA_TYPE))
}
