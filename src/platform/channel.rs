//! The trusted channel: HTTP over TLS 1.3 with certificates on both sides and the platform's key pinned. Knows nothing
//! of payments.

use crate::shop::time::Wall;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::client::Resumption;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;
use tower::Service;

/// How long a connection may take to come about, TLS included.
pub const CONNECT: Duration = Duration::from_secs(5);
/// How long an answer may take once there is a connection, beyond the time it was asked to be held.
pub const ANSWER: Duration = Duration::from_secs(15);
/// How long an unused connection is kept.
const IDLE: Duration = Duration::from_secs(60);
/// Unused connections kept.
const IDLE_MAX: usize = 4;

/// Where the platform is and who both sides are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelSettings {
    /// `https://host:port`, perhaps with a path.
    pub url: String,
    /// PEM: the authority that signed the platform's certificate.
    pub ca_file: PathBuf,
    /// PEM: this box's certificate, with the chain up to its authority.
    pub certificate_file: PathBuf,
    /// PEM: this box's key.
    pub key_file: PathBuf,
    /// SHA-256 of the SubjectPublicKeyInfo of the platform's key, and of the one that will follow it. At least one.
    pub pins: Vec<[u8; 32]>,
}

/// Why the channel cannot be set up: the settings or the files need a person.
#[derive(Debug)]
pub enum ChannelError {
    /// The address is not usable.
    BadUrl(String),
    /// No pin.
    NoPin,
    /// A file cannot be read, or holds no PEM of the kind wanted.
    BadFile {
        /// Which.
        file: PathBuf,
        /// What it should hold.
        wanted: &'static str,
        /// What is wrong.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The certificate was made for another key.
    NotAPair {
        /// The certificate.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
    },
    /// TLS refuses what the files hold.
    Refused(Box<dyn Error + Send + Sync>),
}

impl fmt::Display for ChannelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChannelError::BadUrl(url) => {
                write!(f, "platform address {url:?} cannot be used: write https://host or https://host:port")
            }
            ChannelError::NoPin => {
                f.write_str("no pin of the platform's key: ask the platform for it and add it to pins")
            }
            ChannelError::BadFile { file, wanted, source } => {
                write!(f, "cannot read {wanted} from {}: {source}; put a PEM file there", file.display())
            }
            ChannelError::NotAPair { certificate, key } => write!(
                f,
                "certificate {} does not match its key {}: replace one so that both belong together",
                certificate.display(),
                key.display()
            ),
            ChannelError::Refused(source) => write!(f, "certificates cannot be used: {source}; replace them"),
        }
    }
}

impl Error for ChannelError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            ChannelError::BadFile { source, .. } | ChannelError::Refused(source) => Some(source.as_ref()),
            ChannelError::BadUrl(_) | ChannelError::NoPin | ChannelError::NotAPair { .. } => None,
        }
    }
}

/// Why a request brought no answer. Send again, or ask: the only two things to do.
#[derive(Debug)]
pub enum SendError {
    /// No connection came about: the platform has not seen the request.
    NotSent(Box<dyn Error + Send + Sync>),
    /// It may have been done.
    Unknown(Box<dyn Error + Send + Sync>),
}

/// An answer of the platform, whole.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The media type, without parameters, in lower case.
    pub media_type: String,
    /// The body, within the limit asked for.
    pub body: Bytes,
}

/// The channel. Connections are kept and used again.
#[derive(Debug)]
pub struct Channel {
    line: watch::Sender<Line>,
    dated: Dated,
}

/// Says whether the machine's date is believed: certificates are judged by it.
struct Dated(Box<dyn Fn() -> bool + Send + Sync>);

impl fmt::Debug for Dated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dated(..)")
    }
}

#[derive(Clone, Debug)]
struct Line {
    base: String,
    client: Client<Within<HttpsConnector<HttpConnector>>, Full<Bytes>>,
}

impl Channel {
    /// Reads the files and makes the channel; connects to nothing yet.
    pub fn open(settings: &ChannelSettings) -> Result<Channel, ChannelError> {
        Ok(Channel { line: watch::Sender::new(line(settings)?), dated: Dated(Box::new(|| true)) })
    }

    /// The same, which sends nothing while `dated` says that the machine's date is not to be believed.
    #[must_use]
    pub fn while_dated(mut self, dated: impl Fn() -> bool + Send + Sync + 'static) -> Channel {
        self.dated = Dated(Box::new(dated));
        self
    }

    /// Reads the files again: new requests use new connections with what is in them now, those under way end as they
    /// began. On an error all stays as it was.
    pub fn reload(&self, settings: &ChannelSettings) -> Result<(), ChannelError> {
        self.line.send_replace(line(settings)?);
        Ok(())
    }

    /// One request. `path` begins with `/` and is what follows the platform's address. Ends within [`CONNECT`] +
    /// [`ANSWER`] + `held`; an answer longer than `answer_max` bytes is *unknown*.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
        held: Duration,
        answer_max: usize,
    ) -> Result<Answer, SendError> {
        if !(self.dated.0)() {
            return Err(SendError::NotSent("the clock is not set: no certificate can be judged".into()));
        }
        let line = self.line.borrow().clone();
        let mut request = Request::builder().method(method).uri(format!("{}{path}", line.base));
        if body.is_some() {
            request = request.header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let request = request.body(Full::from(body.unwrap_or_default())).map_err(|e| SendError::NotSent(e.into()))?;
        let limit = CONNECT.saturating_add(ANSWER).saturating_add(held);
        match timeout(limit, exchange(&line.client, request, answer_max)).await {
            Ok(answer) => answer,
            Err(late) => Err(SendError::Unknown(late.into())),
        }
    }
}

async fn exchange(
    client: &Client<Within<HttpsConnector<HttpConnector>>, Full<Bytes>>,
    request: Request<Full<Bytes>>,
    answer_max: usize,
) -> Result<Answer, SendError> {
    let answer = client.request(request).await.map_err(|e| match e.is_connect() {
        true => SendError::NotSent(e.into()),
        false => SendError::Unknown(e.into()),
    })?;
    let status = answer.status().as_u16();
    let media_type = answer.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let body = Limited::new(answer.into_body(), answer_max).collect().await.map_err(SendError::Unknown)?;
    Ok(Answer { status, media_type, body: body.to_bytes() })
}

/// Whether certificate and key belong together.
pub fn check_pair(certificate_file: &Path, key_file: &Path) -> Result<(), ChannelError> {
    pair(certificate_file, key_file, &provider()).map(|_| ())
}

/// When the time of the first certificate in this file is over (RFC 5280, section 4.1.2.5).
pub fn certificate_ends(certificate_file: &Path) -> Result<Wall, ChannelError> {
    let chain = certificates(certificate_file)?;
    let end = chain.first().and_then(|certificate| not_after(certificate));
    end.ok_or_else(|| bad_file(certificate_file, "a certificate", "its end cannot be read"))
}

/// Certificate { tbs { [0] version, serial, algorithm, issuer, validity { from, until } .. } .. }
fn not_after(certificate: &[u8]) -> Option<Wall> {
    let tbs = der(der(certificate)?.content)?.content;
    let first = der(tbs)?;
    let serial = if first.tag == 0xa0 { der(first.rest)? } else { first };
    let issuer = der(der(serial.rest)?.rest)?;
    let validity = der(issuer.rest)?;
    let until = der(der(validity.content)?.rest)?;
    let digits = std::str::from_utf8(until.content).ok()?.strip_suffix('Z')?;
    let digits = match (until.tag, digits.get(..2)?.parse::<u8>().ok()?) {
        (0x17, 50..) => format!("19{digits}"),
        (0x17, _) => format!("20{digits}"),
        (0x18, _) => digits.to_owned(),
        _ => return None,
    };
    let (date, time) = digits.split_at_checked(8)?;
    let at: jiff::Timestamp = format!("{date}T{time}Z").parse().ok()?;
    Some(Wall(at.as_millisecond()))
}

/// Arbitrary bytes taken for a certificate.
#[cfg(feature = "fuzzing")]
pub(super) fn fuzz(certificate: &[u8]) {
    let _ = not_after(certificate);
}

struct Der<'a> {
    tag: u8,
    content: &'a [u8],
    rest: &'a [u8],
}

/// The first element (X.690, lengths of at most four bytes).
fn der(bytes: &[u8]) -> Option<Der<'_>> {
    let (&tag, after) = bytes.split_first()?;
    let (&short, after) = after.split_first()?;
    let (length, after) = match short {
        0..=0x7f => (usize::from(short), after),
        0x81..=0x84 => {
            let (long, after) = after.split_at_checked(usize::from(short & 0x7f))?;
            (long.iter().try_fold(0_usize, |n, byte| n.checked_mul(256)?.checked_add(usize::from(*byte)))?, after)
        }
        _ => return None,
    };
    let (content, rest) = after.split_at_checked(length)?;
    Some(Der { tag, content, rest })
}

fn provider() -> CryptoProvider {
    rustls::crypto::ring::default_provider()
}

fn line(settings: &ChannelSettings) -> Result<Line, ChannelError> {
    let bad_url = || ChannelError::BadUrl(settings.url.clone());
    let url: Uri = settings.url.parse().map_err(|_| bad_url())?;
    if url.scheme_str() != Some("https") || url.host().is_none_or(str::is_empty) || url.query().is_some() {
        return Err(bad_url());
    }
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    let connector =
        HttpsConnectorBuilder::new().with_tls_config(tls(settings)?).https_only().enable_http1().wrap_connector(tcp);
    let client = Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(IDLE_MAX)
        .build(Within(connector));
    Ok(Line { base: settings.url.trim_end_matches('/').to_owned(), client })
}

fn tls(settings: &ChannelSettings) -> Result<ClientConfig, ChannelError> {
    if settings.pins.is_empty() {
        return Err(ChannelError::NoPin);
    }
    let provider = Arc::new(provider());
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&settings.ca_file)? {
        roots.add(certificate).map_err(|e| ChannelError::Refused(e.into()))?;
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .build()
        .map_err(|e| ChannelError::Refused(e.into()))?;
    let pair = pair(&settings.certificate_file, &settings.key_file, &provider)?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|e| ChannelError::Refused(e.into()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Pinned { verifier, pins: settings.pins.clone() }))
        .with_client_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(pair)));
    // Each connection proves the platform's key anew: a resumed one would not.
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn pair(certificate_file: &Path, key_file: &Path, provider: &CryptoProvider) -> Result<CertifiedKey, ChannelError> {
    let chain = certificates(certificate_file)?;
    let key = PrivateKeyDer::from_pem_file(key_file).map_err(|e| bad_file(key_file, "a private key", e))?;
    CertifiedKey::from_der(chain, key, provider).map_err(|e| match matches!(e, rustls::Error::InconsistentKeys(_)) {
        true => ChannelError::NotAPair { certificate: certificate_file.to_owned(), key: key_file.to_owned() },
        false => bad_file(key_file, "a private key of a kind that can be used (ECDSA P-256 or P-384, Ed25519)", e),
    })
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, ChannelError> {
    let read = || CertificateDer::pem_file_iter(file)?.collect::<Result<Vec<_>, _>>();
    let found = read().map_err(|e| bad_file(file, "a certificate", e))?;
    if found.is_empty() {
        return Err(bad_file(file, "a certificate", "there is none in it"));
    }
    Ok(found)
}

fn bad_file(file: &Path, wanted: &'static str, source: impl Into<Box<dyn Error + Send + Sync>>) -> ChannelError {
    ChannelError::BadFile { file: file.to_owned(), wanted, source: source.into() }
}

/// Verifies as usual, and then that the platform's key is one of the pinned ones.
#[derive(Debug)]
struct Pinned {
    verifier: Arc<WebPkiServerVerifier>,
    pins: Vec<[u8; 32]>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified = self.verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)?;
        let certificate = webpki::EndEntityCert::try_from(end_entity)
            .map_err(|_| rustls::Error::InvalidCertificate(CertificateError::BadEncoding))?;
        let key = ring::digest::digest(&ring::digest::SHA256, &certificate.subject_public_key_info());
        match self.pins.iter().any(|pin| pin.as_slice() == key.as_ref()) {
            true => Ok(verified),
            false => Err(rustls::Error::General("the platform's key is not pinned".to_owned())),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

/// A connector that gives up after [`CONNECT`].
#[derive(Clone, Debug)]
struct Within<C>(C);

impl<C> Service<Uri> for Within<C>
where
    C: Service<Uri>,
    C::Future: Send + 'static,
    C::Response: Send,
    C::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Response = C::Response;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let connecting = self.0.call(to);
        Box::pin(async move { timeout(CONNECT, connecting).await?.map_err(Into::into) })
    }
}
