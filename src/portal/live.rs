//! Live updates as server-sent events: a word that the page has changed, never what it shows now.

use super::board::Live;
use super::site::Site;
use crate::shop::id::SessionId;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;
use serde::Deserialize;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

/// What a stream is called.
pub(super) const CONTENT: &str = "text/event-stream";
/// How often a stream without news says that it lives.
const COMMENT_EVERY: Duration = Duration::from_secs(15);
/// How long a stream lasts; then the browser opens another, after what `retry` says.
const STREAM_LIFE: Duration = Duration::from_secs(600);

/// The version that the page on the phone shows.
#[derive(Deserialize)]
pub(super) struct Known {
    v: u64,
}

/// `/s/TOKEN/live?v=VERSION`: says `changed` as soon as the visit's version is not that one any more.
pub(super) async fn live(
    State(site): State<Arc<Site>>,
    Path(token): Path<String>,
    Query(known): Query<Known>,
) -> Response {
    let Ok(slot) = site.live.clone().try_acquire_owned() else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let listening = token.parse::<SessionId>().ok().and_then(|session| site.board.listen(session));
    let stream = Stream { listening, known: known.v, since: Instant::now(), stage: Stage::New, _slot: slot };
    let body = Body::new(Words { next: Box::pin(stream.next()) });
    ([(CONTENT_TYPE, CONTENT)], body).into_response()
}

struct Stream {
    /// `None` once the page must load again: the visit has ended, or was never there.
    listening: Option<Live>,
    known: u64,
    since: Instant,
    stage: Stage,
    _slot: OwnedSemaphorePermit,
}

enum Stage {
    New,
    Open,
    Over,
}

type Next = Pin<Box<dyn Future<Output = Option<(&'static str, Stream)>> + Send>>;

impl Stream {
    /// The next words, or the end.
    async fn next(mut self) -> Option<(&'static str, Stream)> {
        match self.stage {
            Stage::New => {
                self.stage = Stage::Open;
                return Some((RETRY, self));
            }
            Stage::Open if self.since.elapsed() < STREAM_LIFE => {}
            Stage::Open | Stage::Over => return None,
        }
        let known = self.known;
        let word = match &mut self.listening {
            None => CHANGED,
            Some(live) => tokio::select! {
                // The sender is gone with the visit: that is a change, too.
                _ = live.version.wait_for(|version| *version != known) => CHANGED,
                displaced = &mut live.displaced => if displaced.is_ok() { DISPLACED } else { CHANGED },
                () = tokio::time::sleep(COMMENT_EVERY) => COMMENT,
            },
        };
        if word != COMMENT {
            self.stage = Stage::Over;
        }
        Some((word, self))
    }
}

const RETRY: &str = "retry: 1000\n\n";
const COMMENT: &str = ":\n\n";
const CHANGED: &str = "event: changed\ndata:\n\n";
const DISPLACED: &str = "event: displaced\ndata:\n\n";

/// The stream as a body. Dropped, with all it holds, as soon as the phone hangs up.
struct Words {
    next: Next,
}

impl hyper::body::Body for Words {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some((words, stream)) = ready!(self.next.as_mut().poll(cx)) else { return Poll::Ready(None) };
        self.next = Box::pin(stream.next());
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(words.as_bytes())))))
    }
}
