//! The style, the script and the icon, built into the program and named by what is in them. Serves nothing else.

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use ring::digest;

const STYLE: &str = include_str!("assets/style.css");
const SCRIPT: &str = include_str!("assets/live.js");
const ICON: &str = include_str!("assets/icon.svg");

/// The addresses of the assets. They change with the content, so browsers may keep what they have for ever.
#[derive(Debug)]
pub(super) struct Assets {
    pub(super) style: String,
    pub(super) script: String,
    pub(super) icon: String,
}

impl Assets {
    pub(super) fn new() -> Assets {
        Assets {
            style: format!("/a/style-{}.css", name(STYLE)),
            script: format!("/a/live-{}.js", name(SCRIPT)),
            icon: format!("/a/icon-{}.svg", name(ICON)),
        }
    }

    /// The asset at this address.
    pub(super) fn at(&self, path: &str) -> Option<Response> {
        let (kind, body) = match path {
            p if p == self.style => ("text/css; charset=utf-8", STYLE),
            p if p == self.script => ("text/javascript; charset=utf-8", SCRIPT),
            p if p == self.icon => ("image/svg+xml", ICON),
            _ => return None,
        };
        Some(([(CONTENT_TYPE, kind), (CACHE_CONTROL, "public, max-age=31536000, immutable")], body).into_response())
    }
}

fn name(content: &str) -> String {
    let digest = digest::digest(&digest::SHA256, content.as_bytes());
    digest.as_ref().iter().take(6).map(|b| format!("{b:02x}")).collect()
}
