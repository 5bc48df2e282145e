//! Listeners that the service manager opened and passes on, by name and address. Opens none itself.

use listenfd::ListenFd;
use std::net::{SocketAddr, TcpListener};

/// The name of those that phones reach the portal by.
pub const HTTP: &str = "http";
/// The name of those with TLS.
pub const HTTPS: &str = "https";

/// What was passed and is not taken yet. sd_listen_fds(3) describes how.
#[derive(Debug, Default)]
pub struct Passed(Vec<(String, TcpListener)>);

impl Passed {
    /// All that this process was given. The environment tells it once only, so a second call finds nothing. To be called
    /// before there are threads.
    pub fn from_env() -> Passed {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut given = ListenFd::from_env();
        let names = names.split(':').chain(std::iter::repeat("")).take(given.len()).enumerate();
        // What is no listener for TCP was not meant for us.
        let taken = names.filter_map(|(n, name)| Some((name.to_owned(), given.take_tcp_listener(n).ok().flatten()?)));
        Passed(taken.collect())
    }

    /// Takes the listener of this name that listens at exactly this address.
    pub fn take(&mut self, name: &str, address: SocketAddr) -> Option<TcpListener> {
        let fits = |(called, listener): &(String, TcpListener)| {
            called == name && listener.local_addr().is_ok_and(|at| at == address)
        };
        let at = self.0.iter().position(fits)?;
        Some(self.0.swap_remove(at).1)
    }

    /// The addresses of those that nobody took: whoever connects there waits for ever.
    pub fn left(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.0.iter().filter_map(|(_, listener)| listener.local_addr().ok())
    }
}
