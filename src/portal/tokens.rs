//! The secrets of the pages: session tokens, form tokens and cookies. Keeps none of them.

use crate::shop::id::SessionId;
use axum::http::HeaderMap;
use axum::http::header::COOKIE;
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use std::net::IpAddr;
use std::time::Duration;

/// The cookie that names the visit, where cookies last.
pub(super) const SESSION_COOKIE: &str = "tillgate";
/// The cookie that keeps a chosen language.
pub(super) const LANGUAGE_COOKIE: &str = "tillgate-language";
/// How long the form of a start page is good, at least; at most twice that.
const START_FORM_SLOT_SECS: u64 = 3_600;

/// Draws session tokens and makes form tokens.
#[derive(Debug)]
pub(super) struct Tokens {
    random: SystemRandom,
    /// For start pages, whose phone has no secret of its own yet.
    start_key: hmac::Key,
}

/// The operating system has no random numbers.
#[derive(Debug)]
pub(super) struct NoRandomness;

impl Tokens {
    pub(super) fn new() -> Result<Tokens, NoRandomness> {
        let random = SystemRandom::new();
        let start_key = hmac::Key::generate(hmac::HMAC_SHA256, &random).map_err(|_| NoRandomness)?;
        Ok(Tokens { random, start_key })
    }

    /// A fresh session token.
    pub(super) fn draw(&self) -> Result<SessionId, NoRandomness> {
        let mut bytes = [0; 16];
        self.random.fill(&mut bytes).map_err(|_| NoRandomness)?;
        Ok(SessionId(u128::from_le_bytes(bytes)))
    }

    /// The token in the form of a start page sent to this address `since_start` after the portal began.
    pub(super) fn start_form(&self, to: IpAddr, since_start: Duration) -> String {
        hex(hmac::sign(&self.start_key, start_message(to, slot(since_start)).as_bytes()).as_ref())
    }

    /// Whether a start page with this token was sent to this address in this hour or the one before.
    pub(super) fn start_form_fits(&self, token: &str, from: IpAddr, since_start: Duration) -> bool {
        let now = slot(since_start);
        let Some(bytes) = unhex(token) else { return false };
        [now, now.saturating_sub(1)]
            .iter()
            .any(|slot| hmac::verify(&self.start_key, start_message(from, *slot).as_bytes(), &bytes).is_ok())
    }
}

/// The token in the forms of a visit's pages. It follows from the session's token alone, so a page that was open
/// across a restart still works, and whoever lacks the session's token cannot make it.
pub(super) fn form_token(session: SessionId) -> String {
    hex(hmac::sign(&form_key(session), FORM_MESSAGE).as_ref())
}

/// Whether a form came from a page of this visit.
pub(super) fn form_token_fits(token: &str, session: SessionId) -> bool {
    unhex(token).is_some_and(|bytes| hmac::verify(&form_key(session), FORM_MESSAGE, &bytes).is_ok())
}

/// A cookie's value, if the phone sent it.
pub(super) fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}

const FORM_MESSAGE: &[u8] = b"form";

fn form_key(session: SessionId) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, &session.0.to_be_bytes())
}

fn slot(since_start: Duration) -> u64 {
    since_start.as_secs() / START_FORM_SLOT_SECS
}

fn start_message(ip: IpAddr, slot: u64) -> String {
    format!("start {ip} {slot}")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let pairs = text.as_bytes().chunks(2).map(std::str::from_utf8);
    let bytes = digits.then(|| pairs.map(|pair| u8::from_str_radix(pair.ok()?, 16).ok()).collect::<Option<_>>());
    bytes.flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_token_fits_its_own_visit_only() {
        let token = form_token(SessionId(7));
        assert!(form_token_fits(&token, SessionId(7)));
        for (wrong, session) in [(token.as_str(), 8), ("", 7), (&token[2..], 7), ("zz", 7)] {
            assert!(!form_token_fits(wrong, SessionId(session)));
        }
    }

    #[test]
    fn a_start_form_is_good_for_an_hour_or_two_and_for_one_address() {
        let tokens = Tokens::new().unwrap();
        let (here, there) = (IpAddr::from([10, 77, 0, 2]), IpAddr::from([10, 77, 0, 3]));
        let minutes = |m: u64| Duration::from_secs(m * 60);
        let token = tokens.start_form(here, minutes(50));
        assert!(tokens.start_form_fits(&token, here, minutes(55)));
        assert!(tokens.start_form_fits(&token, here, minutes(119)));
        assert!(!tokens.start_form_fits(&token, here, minutes(120)));
        assert!(!tokens.start_form_fits(&token, there, minutes(55)));
    }
}
