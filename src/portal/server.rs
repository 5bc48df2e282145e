//! Connections: accepts them within the limits and lets hyper speak HTTP on them. Knows no pages.

use super::Limits;
use super::door::{Door, Place};
use super::site::{Peer, Site};
use super::{capport, live, loads, posts};
use axum::Router;
use axum::body::Body;
use axum::extract::DefaultBodyLimit;
use axum::extract::Request;
use axum::http::header::{CONTENT_TYPE, HOST};
use axum::response::Response;
use axum::routing::{get, post};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

/// Largest form.
const FORM_BYTES_MAX: usize = 4_096;
/// Room for request line and headers together.
const HEAD_BYTES_MAX: usize = 16_384;
/// Most header fields of a request.
const HEADERS_MAX: usize = 64;
/// How long sent bytes may stay unacknowledged before the phone is taken for gone.
const UNHEARD_MS: u32 = 30_000;
/// How long connections may finish their answer when the portal stops.
const STOP_WAIT: Duration = Duration::from_secs(1);
/// How long an answer to an address that asks too often is held back: a flood goes at the pace of its answers.
const TOO_OFTEN_PAUSE: Duration = Duration::from_secs(1);
/// Pause after an accept that failed, most likely for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Connections that may still be closing while others have their places.
const LEAVING_MAX: usize = 8;

/// Room for what is really open, for all listeners together: a connection that gives way holds its file until its task has
/// ended.
pub(super) fn sockets(limits: &Limits) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(limits.connections_max.saturating_add(LEAVING_MAX)))
}

/// Accepts connections until `stop` changes. Held clones of `stop` say that connections are still open.
///
/// `tls`: what the listener's connections begin with, if anything.
pub(super) async fn accept(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    site: Arc<Site>,
    door: Arc<Door>,
    sockets: Arc<Semaphore>,
    mut stop: watch::Receiver<bool>,
) {
    let router = router(site.clone());
    let mut failing = false;
    loop {
        let accepted = tokio::select! {
            accepted = next(&listener, &sockets) => accepted,
            _ = stop.changed() => break,
        };
        let (stream, peer, socket) = match accepted {
            Ok((stream, peer, socket)) => {
                failing = false;
                (stream, peer.ip().to_canonical(), socket)
            }
            Err(error) => {
                // Said once, however long it lasts.
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(%error, "cannot accept connections");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Without a place the connection is closed at once: the phone tries again, and others are not held up.
        let Some(place) = Door::enter(&door, peer, &site.limits) else { continue };
        let caller = Caller { peer, place: Arc::new(place), counts: counts(&stream, peer), secure: tls.is_some() };
        let serve = serve(stream, tls.clone(), caller, site.clone(), router.clone(), stop.clone());
        tokio::spawn(async move {
            serve.await;
            drop(socket);
        });
    }
    // Before `stop`, whose end says that the address is free.
    drop(listener);
}

async fn next(
    listener: &TcpListener,
    sockets: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let socket = sockets.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    Ok((stream, peer, socket))
}

/// Programs on this machine are no phones: the demonstration, and whoever stands before the portal as a proxy.
fn counts(stream: &TcpStream, peer: IpAddr) -> bool {
    stream.local_addr().is_ok_and(|own| own.ip().to_canonical() != peer)
}

async fn serve(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    caller: Caller,
    site: Arc<Site>,
    router: Router,
    stop: watch::Receiver<bool>,
) {
    let _ = stream.set_nodelay(true);
    let _ = rustix::net::sockopt::set_tcp_user_timeout(&stream, UNHEARD_MS);
    match tls {
        None => talk(stream, caller, site, router, stop).await,
        // Boxed: connections without TLS, which are nearly all, keep no room for it.
        Some(tls) => Box::pin(greet(stream, tls, caller, site, router, stop)).await,
    }
}

async fn greet(
    stream: TcpStream,
    tls: TlsAcceptor,
    caller: Caller,
    site: Arc<Site>,
    router: Router,
    mut stop: watch::Receiver<bool>,
) {
    // Until the greetings are over it is a connection that says nothing: it makes room like any other.
    let greeted = tokio::select! {
        greeted = tokio::time::timeout(site.limits.read_timeout, tls.accept(stream)) => greeted,
        () = caller.place.wanted() => return,
        _ = stop.changed() => return,
    };
    match greeted {
        Ok(Ok(stream)) => talk(stream, caller, site, router, stop).await,
        Ok(Err(error)) => tracing::debug!(%error, "a phone's TLS did not come about"),
        Err(_) => {}
    }
}

/// HTTP on a connection until it ends, has to make room, or the portal stops.
async fn talk<S>(stream: S, caller: Caller, site: Arc<Site>, router: Router, mut stop: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let read_timeout = site.limits.read_timeout;
    let place = caller.place.clone();
    // Boxed: a connection that waits for its next request keeps no room for the answer to one.
    let service = service_fn(move |request| Box::pin(answer(site.clone(), router.clone(), caller.clone(), request)));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(read_timeout)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = place.wanted() => Ok(()),
        _ = stop.changed() => {
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(STOP_WAIT, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a phone's connection broke off");
    }
}

/// Who is at the other end of a connection.
#[derive(Clone)]
struct Caller {
    peer: IpAddr,
    place: Arc<Place>,
    /// Whether its requests are counted.
    counts: bool,
    /// Whether it came with TLS.
    secure: bool,
}

async fn answer(
    site: Arc<Site>,
    router: Router,
    caller: Caller,
    request: Request<Incoming>,
) -> Result<Response, Infallible> {
    // Requests that come in one piece are not answered in one: the other connections have their turn between them.
    tokio::task::yield_now().await;
    let response = if caller.place.asks(&site.limits) || !caller.counts {
        page(&site, router, caller.peer, caller.secure, request.map(Body::new)).await
    } else {
        tokio::time::sleep(TOO_OFTEN_PAUSE).await;
        let mut refused = site.too_often(request.headers(), request.uri().path());
        site.dress(&mut refused);
        refused
    };
    caller.place.answered(response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == live::CONTENT));
    Ok(response)
}

/// What a request is answered with. `secure`: it came with TLS.
pub(super) async fn page(
    site: &Arc<Site>,
    router: Router,
    peer: IpAddr,
    secure: bool,
    mut request: Request,
) -> Response {
    let mut response = if is_own(site, &request) && site.is_secure() && !secure {
        site.to_secure(request.uri())
    } else if is_own(site, &request) {
        request.extensions_mut().insert(Peer(peer));
        match router.oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    } else {
        site.to_start()
    };
    site.dress(&mut response);
    response
}

/// Whether a request means us, rather than a host whose traffic was turned to us.
fn is_own(site: &Site, request: &Request) -> bool {
    let host = || request.headers().get(HOST).and_then(|host| host.to_str().ok());
    request.uri().authority().map(|a| a.as_str()).or_else(host).is_some_and(|authority| site.is_own(authority))
}

pub(super) fn router(site: Arc<Site>) -> Router {
    let to_start = |axum::extract::State(site): axum::extract::State<Arc<Site>>| async move { site.to_start() };
    Router::new()
        .route("/", get(loads::start))
        .route("/login", post(posts::log_in))
        .route("/t/{number}", get(loads::scanned))
        .route("/s/{token}", get(loads::visit_without_slash))
        .route("/s/{token}/", get(loads::visit))
        .route("/s/{token}/live", get(live::live))
        .route("/s/{token}/checkout", get(loads::checkout))
        .route("/s/{token}/receipt", get(loads::receipt))
        .route("/s/{token}/{act}", post(posts::act))
        .route("/a/{name}", get(loads::asset))
        .route("/favicon.ico", get(loads::icon))
        .route(capport::PATH, get(capport::api))
        .fallback(to_start)
        .method_not_allowed_fallback(to_start)
        .layer(DefaultBodyLimit::max(FORM_BYTES_MAX))
        .with_state(site)
}
