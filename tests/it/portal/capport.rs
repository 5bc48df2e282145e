//! The portal with a certificate: TLS, the captive-portal API, and what phones' systems ask.

use super::probes::PROBES;
use super::*;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::path::PathBuf;
use tillgate::network::settings::{Name, PortalPlace};
use tillgate::portal::{SecureSettings, StartError};

const HOST: &str = "pay.shop.example";
const JSON: &str = "Accept: application/captive+json\r\n";

/// A folder with a certificate for [`HOST`] and its key.
struct Pair {
    folder: PathBuf,
    trusted: CertificateDer<'static>,
}

impl Pair {
    fn new(name: &str) -> Pair {
        let folder = std::env::temp_dir().join(format!("tillgate-capport-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let trusted = Pair::renew(&folder);
        Pair { folder, trusted }
    }

    fn renew(folder: &Path) -> CertificateDer<'static> {
        let made = rcgen::generate_simple_self_signed(vec![HOST.to_owned()]).unwrap();
        std::fs::write(folder.join("portal.pem"), made.cert.pem()).unwrap();
        std::fs::write(folder.join("portal.key"), made.signing_key.serialize_pem()).unwrap();
        made.cert.der().clone()
    }

    fn files(&self) -> SecureSettings {
        SecureSettings {
            listen: vec!["127.0.0.1:0".parse().unwrap()],
            certificate: self.folder.join("portal.pem"),
            key: self.folder.join("portal.key"),
        }
    }

    fn settings(&self) -> PortalSettings {
        let mut settings = settings();
        settings.public_base = Some(format!("https://{HOST}"));
        settings.secure = Some(self.files());
        settings
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// One request with TLS, from 127.0.0.`phone`.
fn ask(
    at: SocketAddr,
    phone: u8,
    trusted: &CertificateDer<'static>,
    versions: &[&'static rustls::SupportedProtocolVersion],
    request: &str,
) -> Result<Answer, String> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(HOST).unwrap();
    let client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = StreamOwned::new(client, connect_from(phone, at));
    stream.write_all(request.as_bytes()).map_err(|e| e.to_string())?;
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes); // However it ends: the answer is judged.
    if bytes.is_empty() { Err("no answer".to_owned()) } else { Ok(parse(&String::from_utf8(bytes).unwrap())) }
}

/// A portal with TLS and its scripted ring.
struct SecureHouse {
    house: House,
    pair: Pair,
    secure: SocketAddr,
}

impl SecureHouse {
    fn new(name: &str) -> SecureHouse {
        let pair = Pair::new(name);
        let script = |event: &PhoneEvent| match event {
            PhoneEvent::LoggedIn { .. } => Some(Screen::Waiting { till: till(7) }),
            _ => None,
        };
        let mut settings = pair.settings();
        // Taken before the portal has it, so that the test knows where it is.
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        settings.secure.as_mut().unwrap().listen = vec![free];
        let house = House::open(settings, Ring::Scripted(Box::new(script)));
        SecureHouse { house, pair, secure: free }
    }

    fn ask(&self, phone: u8, method: &str, path: &str, headers: &str) -> Answer {
        let request = format!("{method} {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n{headers}\r\n");
        ask(self.secure, phone, &self.pair.trusted, rustls::ALL_VERSIONS, &request).unwrap()
    }

    fn api(&self, phone: u8) -> String {
        let answer = self.ask(phone, "GET", "/capport", JSON);
        assert_eq!((answer.status, answer.header("content-type")), (200, "application/captive+json"));
        assert_eq!((answer.header("cache-control"), answer.header("vary")), ("private, no-store", "Accept"));
        assert!(answer.body.len() <= 4_096);
        assert_headers(&answer);
        answer.body
    }

    /// Accepts the terms.
    fn log_in(&self, phone: u8) {
        let start = self.ask(phone, "GET", "/", "");
        let (path, body) = start.form("/login");
        let length = body.len();
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        let answer = ask(self.secure, phone, &self.pair.trusted, rustls::ALL_VERSIONS, &request).unwrap();
        assert_eq!(answer.status, 303, "{}", answer.body);
    }
}

#[test]
fn a_system_is_told_that_its_phone_is_captive_and_where_the_portal_is() {
    let house = SecureHouse::new("captive");
    assert_eq!(house.api(2), r#"{"captive":true,"user-portal-url":"https://pay.shop.example/"}"#);
    assert_eq!(house.ask(2, "HEAD", "/capport", JSON).body, "");
    let anything = house.ask(2, "GET", "/capport", "Accept: */*\r\n");
    assert_eq!(anything.header("content-type"), "application/captive+json");
    let person = house.ask(2, "GET", "/capport", "Accept: text/html,*/*;q=0.8\r\n");
    assert_eq!((person.status, person.header("location")), (302, "https://pay.shop.example/"));
    assert_eq!((person.header("vary"), person.header("cache-control")), ("Accept", "no-store"));
}

#[test]
fn each_phone_is_told_about_itself_and_one_that_stands_at_a_till_is_captive() {
    let house = SecureHouse::new("each");
    let until = in_secs(600);
    let visit = |of: u8| SessionId(u128::from(of));
    house.house.board.set_free(visit(1), [127, 0, 0, 3].into(), Some(until));
    assert!(house.api(2).contains(r#""captive":true"#));
    let free = house.api(3);
    assert!(free.starts_with(r#"{"captive":false,"user-portal-url":"#), "{free}");
    let left: u64 = between(&free, r#""seconds-remaining":"#, "}").parse().unwrap();
    assert!((590..=600).contains(&left), "{free}");
    house.log_in(3);
    house.house.events_once(1);
    assert!(house.api(3).contains(r#""captive":true"#), "its visit stands at a till");
    house.house.board.set_free(visit(1), [127, 0, 0, 3].into(), None);
    assert!(house.api(3).contains(r#""captive":true"#));
    house.house.board.set_free(visit(2), [127, 0, 0, 4].into(), Some(Mono(1)));
    assert!(house.api(4).contains(r#""captive":true"#), "that was long ago");
}

#[test]
fn without_tls_nothing_is_shown_but_the_way_to_it() {
    let house = SecureHouse::new("plain");
    let plain = |host: &str, path: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{JSON}\r\n");
        let answer = house.house.raw(&request);
        assert_eq!((answer.status, answer.header("cache-control")), (302, "no-store"));
        answer.header("location").to_owned()
    };
    assert_eq!(plain(HOST, "/t/7?a=1&b=2"), "https://pay.shop.example/t/7?a=1&b=2");
    assert_eq!(plain(HOST, "/capport"), "https://pay.shop.example/capport");
    assert_eq!(plain("captive.apple.com", "/hotspot-detect.html"), "https://pay.shop.example/");
    assert_eq!(plain(HOST, "//evil.example/"), "https://pay.shop.example//evil.example/");
    let cookie = house.ask(2, "GET", "/?lang=de", "");
    assert!(cookie.header("set-cookie").contains("; Secure"), "{}", cookie.header("set-cookie"));
}

#[test]
fn without_a_certificate_there_is_no_api() {
    let house = House::scripted(|_| None);
    let answer = house.ask("GET", "/capport", JSON);
    assert_eq!((answer.status, answer.header("location")), (302, format!("http://{}/", house.at).as_str()));
}

#[test]
fn the_api_is_where_dhcp_says() {
    let place = PortalPlace { name: Name::new(HOST), http: 80, https: Some(443) };
    let api = place.api().unwrap();
    let path = api.strip_prefix(&format!("https://{HOST}")).unwrap();
    let house = SecureHouse::new("where");
    assert_eq!(house.ask(2, "GET", path, JSON).header("content-type"), "application/captive+json");
    assert!(api.len() <= 255);
}

#[test]
fn old_phones_speak_an_older_tls_and_noise_is_hung_up_on() {
    let house = SecureHouse::new("old");
    let request = format!("GET /capport HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n");
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let answer = ask(house.secure, 2, &house.pair.trusted, &[version], &request).unwrap();
        assert_eq!(answer.status, 200);
    }
    for noise in ["GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\u{16}\u{3}\u{1}", ""] {
        let mut stream = connect_from(9, house.secure);
        stream.write_all(noise.as_bytes()).unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest); // Ends: an alert at most, and no page.
        assert!(!String::from_utf8_lossy(&rest).contains("HTTP"), "{noise:?}");
    }
}

#[test]
fn a_renewed_certificate_is_taken_without_a_restart_and_a_bad_one_is_not() {
    let pair = Pair::new("renew");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (inbox, _events) = Inbox::new();
    let portal = Portal::start(runtime.handle(), pair.settings(), inbox).unwrap();
    let at = *portal.addresses().last().unwrap();
    let request = format!("GET /capport HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n");
    let knows = |trusted: &CertificateDer<'static>| ask(at, 2, trusted, rustls::ALL_VERSIONS, &request).is_ok();
    assert!(knows(&pair.trusted));
    let next = Pair::renew(&pair.folder);
    assert!(knows(&pair.trusted) && !knows(&next), "nobody has said that it is there");
    portal.take_certificate(Portal::read_certificate(&pair.files()).unwrap());
    assert!(knows(&next) && !knows(&pair.trusted));
    let other = Pair::new("renew-other");
    std::fs::copy(other.folder.join("portal.key"), pair.folder.join("portal.key")).unwrap();
    assert!(matches!(Portal::read_certificate(&pair.files()), Err(StartError::Certificate { .. })));
    std::fs::write(pair.folder.join("portal.pem"), "").unwrap();
    let Err(error) = Portal::read_certificate(&pair.files()) else { panic!("it is empty") };
    assert!(error.to_string().contains("portal.pem cannot be used"), "{error}");
    assert!(knows(&next));
    runtime.block_on(portal.stop());
}

#[test]
fn with_a_certificate_the_portals_address_must_be_https() {
    let pair = Pair::new("address");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for base in [None, Some(format!("http://{HOST}"))] {
        let mut settings = pair.settings();
        settings.public_base = base;
        let started = Portal::start(runtime.handle(), settings, Inbox::new().0);
        assert!(matches!(started, Err(StartError::Address { .. })));
    }
}

/// Android takes 302 for a portal, 204 and bodies of four bytes for none; nobody keeps the answer; people see a link.
#[test]
fn every_systems_probe_is_led_to_the_portal() {
    let house = SecureHouse::new("probes");
    let plain = House::scripted(|_| None);
    let portals = [(&house.house, format!("https://{HOST}/")), (&plain, format!("http://{}/", plain.at))];
    for (house, start) in portals {
        for (system, host, path, _) in PROBES {
            for method in ["GET", "HEAD", "POST", "OPTIONS", "PUT", "BREW"] {
                for request in [
                    format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"),
                    format!("{method} {path} HTTP/1.0\r\nHost: {host}\r\n\r\n"),
                    format!("{method} {path} HTTP/1.0\r\n\r\n"),
                ] {
                    let answer = house.raw(&request);
                    assert_eq!(
                        (answer.status, answer.header("location")),
                        (302, start.as_str()),
                        "{system}: {request}"
                    );
                    assert_eq!(answer.header("cache-control"), "no-store", "{system}: {request}");
                    let linked = answer.body.contains(&format!("href=\"{start}\"")) && answer.body.len() > 4;
                    assert_eq!(linked, method != "HEAD", "{system}: {request}");
                    assert_headers(&answer);
                }
            }
        }
    }
    for request in [
        "GET / HTTP/1.0\r\n\r\n",
        "GET http://captive.apple.com/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "GET /\u{e4} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    ] {
        assert_eq!(plain.raw(request).status, 302, "{request}");
    }
    let length = "POST /generate_204 HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc";
    assert_eq!(plain.raw(length).status, 302);
}
