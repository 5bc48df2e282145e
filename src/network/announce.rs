//! What the box says of itself by multicast DNS: tills' ports to the shop's own network, the portal to guests. Answers no
//! other question.

use super::settings::{Link, NetworkSettings};
use mdns_sd::{DaemonStatus, IfKind, ServiceDaemon, ServiceInfo};
use std::net::IpAddr;
use std::time::Duration;

/// How long farewells may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// Something at a port of this box.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// What it is called, such as `Till 3`.
    pub instance: String,
    /// Its kind, such as `_zvt._tcp`: letters, digits and hyphens between the underscores, at most 15.
    pub kind: String,
    /// Its TCP port.
    pub port: u16,
    /// What is said beside it: keys and values.
    pub notes: Vec<(String, String)>,
}

/// Why nothing can be announced, or no more.
#[derive(Debug)]
pub struct AnnounceError(mdns_sd::Error);

impl std::fmt::Display for AnnounceError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the box cannot announce itself: {}", self.0)
    }
}

impl std::error::Error for AnnounceError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

impl From<mdns_sd::Error> for AnnounceError {
    fn from(cause: mdns_sd::Error) -> AnnounceError {
        AnnounceError(cause)
    }
}

/// The announcements of a running box. [`Announcer::stop`] takes leave; so does dropping it, without waiting.
pub struct Announcer {
    /// One for each side: what is said to one is never heard on the other.
    voices: Vec<Voice>,
}

struct Voice {
    daemon: ServiceDaemon,
    names: Vec<String>,
}

impl std::fmt::Debug for Announcer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self.voices.iter().flat_map(|voice| &voice.names);
        f.debug_list().entries(names).finish()
    }
}

impl Announcer {
    /// Announces `offers` on the shop's own interfaces as `NAME.local`, and the portal on the guests'. Interfaces may
    /// come and go; a name that another machine has already gets a number.
    pub fn start(settings: &NetworkSettings, offers: &[Offer]) -> Result<Announcer, AnnounceError> {
        let name = settings.shop.name.as_str();
        let mut announcer = Announcer { voices: Vec::new() };
        if !offers.is_empty() {
            announcer.voices.push(Voice::start(&settings.shop.links, name, offers)?);
        }
        let (port, way) = match settings.portal.https {
            Some(port) => (port, "https"),
            None => (settings.portal.http, "http"),
        };
        let host = settings.portal.name.as_ref().map(|name| ("host".to_owned(), name.to_string()));
        let notes = [("path".to_owned(), "/".to_owned()), ("scheme".to_owned(), way.to_owned())];
        let portal = Offer {
            instance: name.to_owned(),
            kind: "_http._tcp".to_owned(),
            port,
            notes: notes.into_iter().chain(host).collect(),
        };
        announcer.voices.push(Voice::start(std::slice::from_ref(&settings.guests.bridge), name, &[portal])?);
        Ok(announcer)
    }

    /// Takes leave on every network: whoever listens forgets the box at once. Waits for that, at most 2 s.
    pub fn stop(mut self) {
        for voice in self.voices.drain(..) {
            voice.stop();
        }
    }
}

impl Voice {
    fn start(links: &[Link], name: &str, offers: &[Offer]) -> Result<Voice, AnnounceError> {
        let daemon = ServiceDaemon::new()?;
        daemon.disable_interface(IfKind::All)?;
        for link in links {
            daemon.enable_interface(IfKind::Name(link.as_str().to_owned()))?;
        }
        let mut names = Vec::new();
        for offer in offers {
            let notes: Vec<(&str, &str)> = offer.notes.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
            let kind = format!("{}.local.", offer.kind);
            let host = format!("{name}.local.");
            let none: &[IpAddr] = &[];
            let mut service = ServiceInfo::new(&kind, &offer.instance, &host, none, offer.port, notes.as_slice())?;
            service = service.enable_addr_auto();
            service.set_interfaces(links.iter().map(|link| IfKind::Name(link.as_str().to_owned())).collect());
            names.push(service.get_fullname().to_owned());
            daemon.register(service)?;
        }
        Ok(Voice { daemon, names })
    }

    fn stop(self) {
        for name in &self.names {
            // The thread has ended already: there is nobody left to take leave.
            let Ok(done) = self.daemon.unregister(name) else { return };
            let _ = done.recv_timeout(FAREWELL);
        }
        if let Ok(ended) = self.daemon.shutdown() {
            while let Ok(status) = ended.recv_timeout(FAREWELL) {
                if matches!(status, DaemonStatus::Shutdown) {
                    break;
                }
            }
        }
    }
}
