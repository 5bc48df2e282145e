//! What stands behind the uplink: the platform, a bank, and every other host of the internet at one address, which answers
//! what phones' systems ask as the real servers do.

use super::bed::Bed;
use super::machine::Machine;
use super::table::{PROBES, Real};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use tillgate::sandbox::authority::{Authority, Certificates, For, Pair};
use tillgate::sandbox::{Sandbox, SandboxSettings};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

pub(super) const PORTAL_NAME: &str = "pay.shop.example";
pub(super) const PLATFORM: &str = "pay.platform.example";
pub(super) const BANK: &str = "secure.bank.example";
/// Answers nothing but what was said to it, on port 443.
pub(super) const ECHO: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 30));

pub(super) const ECHO_SIX: IpAddr = IpAddr::V6(six(0x30));

pub(super) const PLATFORM_IP: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 10);
/// Where all other names lead.
const OTHERS: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 80));
/// The same by version 6, which only a gateway with an address of it reaches.
const PLATFORM_SIX: IpAddr = IpAddr::V6(six(0x10));
pub(super) const OTHERS_SIX: IpAddr = IpAddr::V6(six(0x80));
/// Where the gateway's uplink is then.
pub(super) const UPLINK_SIX: &str = "2001:db8:77::2/64";

const fn six(last: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0x77, 0, 0, 0, 0, last)
}

/// A name with a thousand bytes of text, as somebody has it who carries something else through names.
pub(super) const BIG: &str = "big.tunnel.example";
/// The platform's API.
pub(super) const API: u16 = 8_443;
/// Those of the others that speak TLS.
const SECURE: &[&str] =
    &[BANK, "www.google.com", "connect.rom.miui.com", "m.baidu.com", "sina.cn", "m.sohu.com", "secure.example"];
/// Longest head of a request.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// The internet; ends when dropped.
pub(super) struct World {
    /// What the portal has, and with which the shop speaks to the platform.
    pub(super) portal: Pair,
    pub(super) certificates: Certificates,
    /// Of all that speak TLS, the portal included.
    pub(super) pins: Vec<[u8; 32]>,
    _platform: Sandbox,
    _runtime: Runtime,
}

impl World {
    /// Everything is there when this returns; `ca.pem` of the bed's folder is who signed all of it.
    pub(super) fn open(bed: &Bed) -> World {
        let authority = Authority::create(&bed.folder).unwrap();
        let issue = |name: &str, who| authority.issue(name, who).unwrap();
        let (portal, others) = (issue("portal", For::Platform(&[PORTAL_NAME])), issue("others", For::Platform(SECURE)));
        let platform = || For::Platform(&[PLATFORM]);
        let certificates = Certificates {
            ca: authority.ca_file(),
            ca_key: authority.key_file(),
            platform: issue("platform", platform()),
            shop_box: issue("box", For::Box),
            expired: issue("expired", platform()),
            foreign: issue("foreign", platform()),
        };
        let pins = [&portal, &others, &certificates.platform].map(|pair| pair.pin).to_vec();
        names(bed);
        let place = bed.machine("net");
        // Threads that are made there are there, and so are their connections.
        let runtime = place.run(|| tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap());
        let settings = SandboxSettings {
            api_listen: SocketAddr::from((PLATFORM_IP, API)),
            public_url: Some(format!("https://{PLATFORM}")),
            ..SandboxSettings::within(&bed.folder, certificates.clone())
        };
        let sandbox = place.run(|| Sandbox::start(runtime.handle(), settings).unwrap());
        let pages = sandbox.public;
        for platform in [PLATFORM_IP.into(), PLATFORM_SIX] {
            let tls = acceptor(&certificates.platform);
            listen(&place, &runtime, SocketAddr::new(platform, 443), move |stream| {
                let tls = tls.clone();
                async move {
                    let (Ok(mut here), Ok(mut there)) = (tls.accept(stream).await, TcpStream::connect(pages).await)
                    else {
                        return;
                    };
                    let _ = tokio::io::copy_bidirectional(&mut here, &mut there).await; // However it ends.
                }
            });
        }
        for all in [OTHERS, OTHERS_SIX] {
            let tls = acceptor(&others);
            listen(&place, &runtime, SocketAddr::new(all, 443), move |stream| {
                let tls = tls.clone();
                async move {
                    if let Ok(stream) = tls.accept(stream).await {
                        answer(stream).await;
                    }
                }
            });
            listen(&place, &runtime, SocketAddr::new(all, 80), answer);
        }
        for echoing in [ECHO, ECHO_SIX] {
            listen(&place, &runtime, SocketAddr::new(echoing, 443), echo);
        }
        World { portal, certificates, pins, _platform: sandbox, _runtime: runtime }
    }
}

/// Addresses, and the names that lead to them.
fn names(bed: &Bed) {
    for address in [IpAddr::V4(PLATFORM_IP), ECHO, OTHERS] {
        bed.machine("net").ip(&format!("address add {address}/24 dev eth0"));
    }
    for address in [PLATFORM_SIX, ECHO_SIX, OTHERS_SIX] {
        bed.machine("net").ip(&format!("address add {address}/64 dev eth0 nodad"));
    }
    bed.upstream(&[
        "--log-queries",
        &format!("--address=/{PLATFORM}/{PLATFORM_IP}"),
        "--address=/dns.msftncsi.com/131.107.255.255",
        &format!("--address=/#/{OTHERS}"),
        &format!("--address=/{PLATFORM}/{PLATFORM_SIX}"),
        &format!("--address=/#/{OTHERS_SIX}"),
        &format!("--txt-record={BIG},{}", ["x".repeat(250).as_str(); 4].join(",")),
    ]);
}

fn acceptor(pair: &Pair) -> TlsAcceptor {
    let chain = CertificateDer::pem_file_iter(&pair.certificate).unwrap().collect::<Result<Vec<_>, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_file(&pair.key).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key);
    TlsAcceptor::from(Arc::new(config.unwrap()))
}

/// Does this with each connection that comes to this address there.
fn listen<F>(place: &Machine, runtime: &Runtime, at: SocketAddr, serve: impl Fn(TcpStream) -> F + Send + 'static)
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = place.run(|| std::net::TcpListener::bind(at).unwrap());
    listener.set_nonblocking(true).unwrap();
    runtime.spawn(async move {
        let listener = TcpListener::from_std(listener).unwrap();
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
}

async fn echo(mut stream: TcpStream) {
    if stream.write_all(b"echo").await.is_ok() {
        let (mut from, mut to) = stream.split();
        let _ = tokio::io::copy(&mut from, &mut to).await; // However it ends.
    }
}

/// One request, one answer.
async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < HEAD_BYTES_MAX {
        match stream.read_buf(&mut head).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default();
    let host = head.lines().find_map(|line| line.to_lowercase().strip_prefix("host: ").map(str::to_owned));
    let _ = stream.write_all(said(&host.unwrap_or_default(), path).as_bytes()).await; // The phone may have gone.
    let _ = stream.shutdown().await;
}

fn said(host: &str, path: &str) -> String {
    let known = PROBES.iter().find(|(_, at, asked, _)| *at == host && *asked == path).map(|(.., real)| *real);
    let (status, kind, body) = match known {
        Some(Real::NoContent) => ("204 No Content", "text/plain", String::new()),
        Some(Real::Text(text)) => ("200 OK", "text/html", text.to_owned()),
        Some(Real::Holds(mark)) => ("200 OK", "text/html", format!("<html><body>{mark}</body></html>")),
        Some(Real::Page) | None => {
            ("200 OK", "text/html", format!("<!doctype html><title>{host}</title><h1>This is {host} itself.</h1>"))
        }
    };
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{length}Connection: close\r\n\r\n{body}")
}
