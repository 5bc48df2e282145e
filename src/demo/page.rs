//! The page of the demonstration: a till beside a phone. The till's keys drive a real till program on its line.

use super::visitor::Failed;
use super::{Scene, TILL};
use crate::shop::money::{Amount, Currency};
use crate::till::player::{AbortKey, Ended, Last, PlayError, Player, Shown, TillResult};
use axum::Router;
use axum::extract::{Form, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use serde::{Deserialize, Serialize};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// How long the till waits for its result.
const PATIENCE_SECS: u64 = 120;
/// Paper that the roll keeps, in lines.
const PAPER_LINES_MAX: usize = 400;
/// Connections of the page at the same time.
const CONNECTIONS_MAX: usize = 32;

/// How long the page may wait for news of the till.
const FACE_WAIT: Duration = Duration::from_secs(20);

/// What the till shows.
#[derive(Clone, Debug, Default, Serialize)]
struct Face {
    /// Grows with every change.
    version: u64,
    /// The display: what happens, and the code.
    display: String,
    code: String,
    /// Whether a sale is under way.
    busy: bool,
    /// The roll, newest line last.
    paper: Vec<String>,
}

#[derive(Clone)]
struct Page {
    keys: SyncSender<Amount>,
    abort: AbortKey,
    face: watch::Receiver<Face>,
    html: Arc<str>,
    own: String,
}

/// Serves the page until Ctrl-C.
pub(super) fn serve(scene: Scene, listener: TcpListener) -> Result<(), Failed> {
    let at = listener.local_addr()?;
    let (keys, pressed) = sync_channel(1);
    let first = Face { version: 1, display: "Ready".into(), ..Face::default() };
    let (show, face) = watch::channel(first);
    let abort = scene.till.abort_key();
    let till = scene.till;
    thread::Builder::new().name("till".into()).spawn(move || sell(till, &pressed, &show))?;
    let html =
        PAGE.replace("{portal}", &format!("http://{}/", scene.stage.portal)).replace("{till}", &TILL.to_string());
    let page = Page { keys, abort, face, html: html.into(), own: format!("http://{at}") };
    let runtime = Arc::clone(&scene.runtime);
    listener.set_nonblocking(true)?;
    runtime.block_on(until_interrupted(listener, routes(page)))?;
    println!("ending");
    scene.daemon.stop()?;
    runtime.block_on(scene.platform.stop());
    Ok(())
}

async fn until_interrupted(listener: TcpListener, routes: Router) -> Result<(), Failed> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let (mut int, mut term) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let room = Arc::new(tokio::sync::Semaphore::new(CONNECTIONS_MAX));
    loop {
        let (socket, _) = tokio::select! {
            accepted = listener.accept() => accepted?,
            _ = int.recv() => return Ok(()),
            _ = term.recv() => return Ok(()),
        };
        let Ok(place) = Arc::clone(&room).try_acquire_owned() else { continue };
        let service = TowerToHyperService::new(routes.clone());
        tokio::spawn(async move {
            let mut server = hyper::server::conn::http1::Builder::new();
            server.timer(TokioTimer::new());
            let _ = server.serve_connection(TokioIo::new(socket), service).await; // The browser has left.
            drop(place);
        });
    }
}

fn routes(page: Page) -> Router {
    Router::new()
        .route("/", get(|State(page): State<Page>| async move { Html(page.html.to_string()) }))
        .route("/pay", post(pay))
        .route("/abort", post(abort))
        .route("/face", get(face))
        .with_state(page)
}

#[derive(Deserialize)]
struct Keyed {
    amount: String,
}

/// Another site must not press the till's keys: browsers name the page that a post comes from.
fn from_elsewhere(page: &Page, headers: &axum::http::HeaderMap) -> bool {
    headers.get(header::ORIGIN).is_some_and(|origin| origin.as_bytes() != page.own.as_bytes())
}

async fn pay(State(page): State<Page>, headers: axum::http::HeaderMap, Form(keyed): Form<Keyed>) -> Response {
    if from_elsewhere(&page, &headers) {
        return StatusCode::FORBIDDEN.into_response();
    }
    let euros = Currency::from_code("EUR");
    match euros.map(|eur| Amount::parse(&keyed.amount.replace(',', "."), eur)) {
        Some(Ok(amount)) if page.keys.try_send(amount).is_ok() => StatusCode::NO_CONTENT.into_response(),
        Some(Ok(_)) => (StatusCode::CONFLICT, "a sale is under way").into_response(),
        Some(Err(error)) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn abort(State(page): State<Page>, headers: axum::http::HeaderMap) -> StatusCode {
    if from_elsewhere(&page, &headers) {
        return StatusCode::FORBIDDEN;
    }
    page.abort.press();
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
struct Known {
    v: u64,
}

/// What the till shows, as soon as it is not version `v` any more; at the latest after [`FACE_WAIT`].
async fn face(State(page): State<Page>, Query(known): Query<Known>) -> Response {
    let mut face = page.face.clone();
    let _ = tokio::time::timeout(FACE_WAIT, face.wait_for(|face| face.version != known.v)).await;
    let now = serde_json::to_string(&*face.borrow()).unwrap_or_default();
    ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], now).into_response()
}

/// The till: waits for its pay key, asks, shows, prints.
fn sell(mut till: Player, keys: &Receiver<Amount>, show: &watch::Sender<Face>) {
    let change = |how: &mut dyn FnMut(&mut Face)| {
        show.send_modify(|face| {
            face.version = face.version.saturating_add(1);
            how(face);
        });
    };
    for amount in keys {
        change(&mut |face| {
            face.busy = true;
            face.code.clear();
            face.display = format!("{amount}: asking");
        });
        let mut ended = till.pay(amount, None, PATIENCE_SECS, &mut |shown| change(&mut |face| face.take(shown)));
        if let Err(PlayError::Unknown(ticket)) = ended {
            ended = till.last(Some(ticket), &mut |_| {}).map(|last| match last {
                Last::Result(result) => Ended::Result(result),
                Last::UnderWay | Last::Nothing => Ended::NeverBegan,
            });
        }
        change(&mut |face| {
            face.busy = false;
            match &ended {
                Ok(Ended::Result(result)) => face.display.clone_from(&result.text), // Printed when it came.
                Ok(Ended::Refused { text, .. }) => face.display = format!("Refused: {text}"),
                Ok(Ended::NeverBegan) => face.display = "Not paid: the sale never began".into(),
                Err(error) => face.display = error.to_string(),
            }
        });
    }
}

impl Face {
    fn take(&mut self, shown: &Shown) {
        match shown {
            Shown::Accepted { code } => self.code.clone_from(code),
            Shown::Progress { text, .. } => self.display.clone_from(text),
            Shown::Failed { text, .. } => {
                self.display.clone_from(text);
                self.roll([format!("* {text}")]);
            }
            Shown::Aborting => self.display = "Aborting".into(),
            Shown::NothingToAbort => self.display = "Too late to abort".into(),
            Shown::LineSilent => self.display = "The box does not answer; asking again".into(),
            Shown::Result(result) => self.print(result),
        }
    }

    fn print(&mut self, result: &TillResult) {
        self.display.clone_from(&result.text);
        self.roll(result.lines.iter().cloned());
    }

    fn roll(&mut self, lines: impl IntoIterator<Item = String>) {
        self.paper.extend(lines);
        self.paper.push(String::new());
        let over = self.paper.len().saturating_sub(PAPER_LINES_MAX);
        self.paper.drain(..over);
    }
}

const PAGE: &str = include_str!("page.html");
