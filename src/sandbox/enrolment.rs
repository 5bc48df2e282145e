//! How boxes get their certificates from the sandbox (`docs/counter-payment-protocol.md`, section 13): codes, and what was
//! given for which key. Written from the document alone.

use super::authority::{Authority, Certificates, hex};
use super::books::random;
use super::payment::Book;
use super::wire;
use ring::digest::{SHA256, digest};
use rusqlite::{OptionalExtension, params};
use serde::Deserialize;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// Crockford's digits.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Wrong codes that are answered in a minute; after that none is, right or wrong.
const TRIES_MAX: u32 = 5;
const MINUTE_MS: i64 = 60_000;

pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS code (secret TEXT PRIMARY KEY, until INTEGER NOT NULL, key TEXT) STRICT;
CREATE TABLE IF NOT EXISTS given (key TEXT PRIMARY KEY, certificate TEXT NOT NULL, at INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS wrong_code (at INTEGER NOT NULL) STRICT;
";

type Done<T> = Result<T, rusqlite::Error>;

/// What a box that has no certificate sends.
#[derive(Debug, Deserialize)]
pub(super) struct EnrolBody {
    pub(super) secret: String,
    pub(super) csr: String,
}

/// What a box that has one sends.
#[derive(Debug, Deserialize)]
pub(super) struct RenewBody {
    pub(super) csr: String,
}

/// What comes of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Handed {
    New(String),
    Same(String),
    BadRequest,
    Unknown,
    Used,
    Expired,
    TooMany,
}

/// Who signs, and what boxes are told besides.
pub(super) struct Office {
    authority: Authority,
    ca: String,
    pin: [u8; 32],
}

impl Office {
    pub(super) fn open(files: &Certificates) -> Result<Office, super::SandboxError> {
        let ca = fs::read_to_string(&files.ca).map_err(|e| super::SandboxError::file(&files.ca, e))?;
        Ok(Office { authority: Authority::load(files)?, ca, pin: files.platform.pin })
    }

    /// The answer that hands over this certificate.
    pub(super) fn json(&self, certificate: &str, url: Option<&str>, now_ms: i64) -> Value {
        let mut body = json!({
            "certificate": certificate, "ca": self.ca, "pins": [hex(&self.pin)], "time": wire::time(now_ms),
        });
        if let (Some(url), Some(members)) = (url, body.as_object_mut()) {
            members.insert("url".to_owned(), Value::from(url));
        }
        body
    }
}

impl Book<'_> {
    /// A new code for the platform whose key has this pin; it counts once and for as long as the sandbox's times say.
    pub(super) fn new_code(&mut self, pin: &[u8; 32]) -> Done<String> {
        let secret = secret();
        let until = self.now_ms.saturating_add(i64::from(self.times.code_secs).saturating_mul(1_000));
        self.tx.execute("INSERT INTO code VALUES (?1, ?2, NULL)", params![hashed(&secret), until])?;
        Ok(typed(&secret, pin))
    }

    /// A certificate for a box that has a code.
    pub(super) fn enrol(&mut self, body: &EnrolBody, office: &Office) -> Done<Handed> {
        let since = self.now_ms.saturating_sub(MINUTE_MS);
        self.tx.execute("DELETE FROM wrong_code WHERE at <= ?1", [since])?;
        let tries: u32 = self.tx.query_row("SELECT count(*) FROM wrong_code", [], |row| row.get(0))?;
        if tries >= TRIES_MAX {
            return Ok(Handed::TooMany);
        }
        let find = "SELECT until, key FROM code WHERE secret = ?1";
        let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, Option<String>>(1)?));
        let code = self.tx.query_row(find, [hashed(&body.secret)], read).optional()?;
        let Some((until, used_by)) = code else {
            self.tx.execute("INSERT INTO wrong_code VALUES (?1)", [self.now_ms])?;
            return Ok(Handed::Unknown);
        };
        let Some(signed) = office.authority.certify_request(&body.csr, self.now_ms, self.times.certificate_secs) else {
            return Ok(Handed::BadRequest);
        };
        match used_by {
            // The answer may have been lost: the same key gets the same certificate, for ever.
            Some(key) if key == signed.key => return self.give(&signed.key, &signed.certificate),
            Some(_) => return Ok(Handed::Used),
            None if until < self.now_ms => return Ok(Handed::Expired),
            None => {}
        }
        self.tx.execute("UPDATE code SET key = ?2 WHERE secret = ?1", params![hashed(&body.secret), signed.key])?;
        self.give(&signed.key, &signed.certificate)
    }

    /// A certificate for a box that has one.
    pub(super) fn renew(&mut self, body: &RenewBody, office: &Office) -> Done<Handed> {
        match office.authority.certify_request(&body.csr, self.now_ms, self.times.certificate_secs) {
            Some(signed) => self.give(&signed.key, &signed.certificate),
            None => Ok(Handed::BadRequest),
        }
    }

    fn give(&mut self, key: &str, certificate: &str) -> Done<Handed> {
        let find = "SELECT certificate FROM given WHERE key = ?1";
        let before: Option<String> = self.tx.query_row(find, [key], |row| row.get(0)).optional()?;
        if let Some(before) = before {
            return Ok(Handed::Same(before));
        }
        self.tx.execute("INSERT INTO given VALUES (?1, ?2, ?3)", params![key, certificate, self.now_ms])?;
        Ok(Handed::New(certificate.to_owned()))
    }
}

/// Certificates that this sandbox gave to boxes, in the order in which it did. Reads beside a running sandbox.
pub fn certificates_given(db_file: &Path) -> Result<Vec<String>, super::SandboxError> {
    let read = || {
        let db = rusqlite::Connection::open(db_file)?;
        let mut all = db.prepare("SELECT certificate FROM given ORDER BY at")?;
        let all = all.query_map([], |row| row.get(0))?;
        all.collect::<Result<_, _>>()
    };
    read().map_err(|e| super::SandboxError::database(db_file, e))
}

/// Ten characters: 50 random bits.
fn secret() -> String {
    let bytes: [u8; 10] = random();
    bytes.iter().filter_map(|byte| DIGITS.get(usize::from(byte & 31))).map(|digit| char::from(*digit)).collect()
}

fn hashed(secret: &str) -> String {
    hex(digest(&SHA256, secret.as_bytes()).as_ref())
}

/// The code as people type it: the secret, the first 100 bits of the key's SHA-256, and the sum.
fn typed(secret: &str, pin: &[u8; 32]) -> String {
    let mut code = secret.to_owned();
    let bits = pin.iter().flat_map(|byte| (0..8_u8).rev().map(move |bit| byte >> bit & 1));
    let mut five = 0_usize;
    for (n, bit) in (1_usize..=100).zip(bits) {
        five = five << 1 | usize::from(bit);
        if n % 5 == 0 {
            code.extend(DIGITS.get(five & 31).map(|digit| char::from(*digit)));
            five = 0;
        }
    }
    let value = |c: char| DIGITS.iter().position(|digit| char::from(*digit) == c).unwrap_or(0);
    let sum = (1_usize..).zip(code.chars()).map(|(place, c)| place.saturating_mul(value(c))).sum::<usize>() % 1_021;
    code.extend([sum / 32, sum % 32].iter().filter_map(|digit| DIGITS.get(*digit)).map(|digit| char::from(*digit)));
    let groups: Vec<&str> = (0..code.len()).step_by(4).filter_map(|at| code.get(at..at.saturating_add(4))).collect();
    groups.join("-")
}
