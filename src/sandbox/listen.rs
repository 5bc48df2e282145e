//! Listeners: accepts connections within a limit and ends them all when told. Knows neither TLS nor HTTP.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::task::Poll;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Connections at the same time on one listener. More wait in the kernel's queue.
pub(super) const CONNECTIONS_MAX: usize = 256;

/// How long to wait after a failed accept: out of files, the next one fails as well.
const BREATHER: Duration = Duration::from_millis(100);

/// Binds a listener that tokio can take over.
pub(super) fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Serves each connection by `serve`. A message in `close_all` ends the connections there are. Ends, with all its
/// connections, when it is dropped or `close_all` has no sender any more.
pub(super) async fn accept<F: Future<Output = ()> + Send + 'static>(
    listener: TcpListener,
    mut close_all: mpsc::Receiver<()>,
    serve: impl Fn(TcpStream) -> F,
) {
    enum Next {
        Connection(TcpStream),
        Failed(io::Error),
        CloseAll,
        Stop,
    }
    let mut open = JoinSet::new();
    loop {
        let next = poll_fn(|cx| {
            match close_all.poll_recv(cx) {
                Poll::Ready(Some(())) => return Poll::Ready(Next::CloseAll),
                Poll::Ready(None) => return Poll::Ready(Next::Stop),
                Poll::Pending => (),
            }
            while let Poll::Ready(Some(_)) = open.poll_join_next(cx) {}
            if open.len() >= CONNECTIONS_MAX {
                return Poll::Pending;
            }
            listener.poll_accept(cx).map(|came| match came {
                Ok((stream, _)) => Next::Connection(stream),
                Err(error) => Next::Failed(error),
            })
        });
        match next.await {
            Next::Connection(stream) => {
                // Small answers must not wait for more.
                let _ = stream.set_nodelay(true);
                open.spawn(serve(stream));
            }
            Next::Failed(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(BREATHER).await;
            }
            Next::CloseAll => open.shutdown().await,
            Next::Stop => return,
        }
    }
}
