//! The trusted channel: HTTP over TLS 1.3 with certificates on both sides and the platform's key pinned. Knows nothing
//! of payments.

use super::code::Fingerprint;
use super::life::Life;
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
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme};
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

/// The same, read: whom to believe and who we are.
#[derive(Debug)]
pub struct Credentials {
    roots: Vec<CertificateDer<'static>>,
    own: CertifiedKey,
    pins: Vec<[u8; 32]>,
}

/// Text in PEM and the name of the file that it is from.
#[derive(Clone, Copy, Debug)]
pub struct Pem<'a> {
    /// For people.
    pub file: &'a Path,
    /// What is in it.
    pub text: &'a [u8],
}

impl Credentials {
    /// From text in PEM: the platform's authority; this box's certificate, with the chain up to its authority; this box's
    /// key. Certificate and key must belong together.
    pub fn from_pem(ca: Pem<'_>, certificate: Pem<'_>, key: Pem<'_>, pins: &[[u8; 32]]) -> Result<Self, ChannelError> {
        if pins.is_empty() {
            return Err(ChannelError::NoPin);
        }
        let own = pair(certificate, key, &provider())?;
        Ok(Credentials { roots: certificates(ca)?, own, pins: pins.to_vec() })
    }

    fn read(settings: &ChannelSettings) -> Result<Self, ChannelError> {
        let ca = read(&settings.ca_file, "a certificate")?;
        let (certificate, key) = (&settings.certificate_file, &settings.key_file);
        let (chain, private) = (read(certificate, "a certificate")?, read(key, "a private key")?);
        let pem = |file, text| Pem { file, text };
        Credentials::from_pem(pem(&settings.ca_file, &ca), pem(certificate, &chain), pem(key, &private), &settings.pins)
    }
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
        Channel::with(&settings.url, &Credentials::read(settings)?)
    }

    /// The channel to the platform at `url` (`https://host:port`, perhaps with a path); connects to nothing yet.
    pub fn with(url: &str, credentials: &Credentials) -> Result<Channel, ChannelError> {
        Ok(Channel::of(line(url, tls(credentials)?)?))
    }

    /// A channel before anything is known: this box has no certificate yet, and of the platform only the fingerprint of
    /// its key is known (see [`super::code`]). Neither its name nor its time are looked at: the key is all.
    pub fn first(url: &str, fingerprint: &Fingerprint) -> Result<Channel, ChannelError> {
        let provider = Arc::new(provider());
        let schemes = provider.signature_verification_algorithms;
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|e| ChannelError::Refused(e.into()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Known { fingerprint: *fingerprint, schemes }))
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        Ok(Channel::of(line(url, config)?))
    }

    fn of(line: Line) -> Channel {
        Channel { line: watch::Sender::new(line), dated: Dated(Box::new(|| true)) }
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
        self.line.send_replace(line(&settings.url, tls(&Credentials::read(settings)?)?)?);
        Ok(())
    }

    /// The same with credentials that were read already; the platform stays where it is.
    pub fn exchange(&self, credentials: &Credentials) -> Result<(), ChannelError> {
        self.line.send_replace(line(&self.url(), tls(credentials)?)?);
        Ok(())
    }

    /// Where it leads, without a slash at the end.
    pub fn url(&self) -> String {
        self.line.borrow().base.clone()
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
    let (chain, private) = (read(certificate_file, "a certificate")?, read(key_file, "a private key")?);
    let key = Pem { file: key_file, text: &private };
    pair(Pem { file: certificate_file, text: &chain }, key, &provider()).map(|_| ())
}

/// From when until when the first certificate in this file counts.
pub fn certificate_life(certificate_file: &Path) -> Result<Life, ChannelError> {
    life(Pem { file: certificate_file, text: &read(certificate_file, "a certificate")? })
}

/// The same of text.
pub fn life(certificate: Pem<'_>) -> Result<Life, ChannelError> {
    let chain = certificates(certificate)?;
    let life = chain.first().and_then(|certificate| Life::of(certificate));
    life.ok_or_else(|| bad_file(certificate.file, "a certificate", "its time cannot be read"))
}

/// Arbitrary bytes taken for a certificate.
#[cfg(feature = "fuzzing")]
pub(super) fn fuzz(certificate: &[u8]) {
    let _ = Life::of(certificate);
}

/// What TLS met, if that is why there is no answer.
pub fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        let inside = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = match inside {
            Some(inside) => Some(inside),
            None => error.source(),
        };
    }
    None
}

/// Whether there is no answer because the platform showed a key that is not the one it should have.
pub fn is_other_key(error: &(dyn Error + 'static)) -> bool {
    match tls_error(error) {
        Some(rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(why)))) => why.is::<OtherKey>(),
        Some(_) | None => false,
    }
}

/// The platform showed a key that is not the one it should have.
#[derive(Debug)]
struct OtherKey;

impl fmt::Display for OtherKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the platform's key is not pinned")
    }
}

impl Error for OtherKey {}

impl From<OtherKey> for rustls::Error {
    fn from(why: OtherKey) -> rustls::Error {
        CertificateError::Other(OtherError(Arc::new(why))).into()
    }
}

fn provider() -> CryptoProvider {
    rustls::crypto::ring::default_provider()
}

fn line(url: &str, tls: ClientConfig) -> Result<Line, ChannelError> {
    let bad_url = || ChannelError::BadUrl(url.to_owned());
    let parsed: Uri = url.parse().map_err(|_| bad_url())?;
    if parsed.scheme_str() != Some("https") || parsed.host().is_none_or(str::is_empty) || parsed.query().is_some() {
        return Err(bad_url());
    }
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_only().enable_http1().wrap_connector(tcp);
    let client = Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(IDLE_MAX)
        .build(Within(connector));
    Ok(Line { base: url.trim_end_matches('/').to_owned(), client })
}

fn tls(credentials: &Credentials) -> Result<ClientConfig, ChannelError> {
    let provider = Arc::new(provider());
    let mut roots = RootCertStore::empty();
    for certificate in &credentials.roots {
        roots.add(certificate.clone()).map_err(|e| ChannelError::Refused(e.into()))?;
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .build()
        .map_err(|e| ChannelError::Refused(e.into()))?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|e| ChannelError::Refused(e.into()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Pinned { verifier, pins: credentials.pins.clone() }))
        .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(credentials.own.clone())));
    // Each connection proves the platform's key anew: a resumed one would not.
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn pair(certificate: Pem<'_>, key: Pem<'_>, provider: &CryptoProvider) -> Result<CertifiedKey, ChannelError> {
    let chain = certificates(certificate)?;
    let private = PrivateKeyDer::from_pem_slice(key.text).map_err(|e| bad_file(key.file, "a private key", e))?;
    CertifiedKey::from_der(chain, private, provider).map_err(|e| {
        match matches!(e, rustls::Error::InconsistentKeys(_)) {
            true => ChannelError::NotAPair { certificate: certificate.file.to_owned(), key: key.file.to_owned() },
            false => bad_file(key.file, "a private key of a kind that can be used (ECDSA P-256 or P-384, Ed25519)", e),
        }
    })
}

fn certificates(pem: Pem<'_>) -> Result<Vec<CertificateDer<'static>>, ChannelError> {
    let found = CertificateDer::pem_slice_iter(pem.text).collect::<Result<Vec<_>, _>>();
    let found = found.map_err(|e| bad_file(pem.file, "a certificate", e))?;
    if found.is_empty() {
        return Err(bad_file(pem.file, "a certificate", "there is none in it"));
    }
    Ok(found)
}

fn read(file: &Path, wanted: &'static str) -> Result<Vec<u8>, ChannelError> {
    std::fs::read(file).map_err(|e| bad_file(file, wanted, e))
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
        let key = key_of(end_entity)?;
        match self.pins.contains(&key) {
            true => Ok(verified),
            false => Err(OtherKey.into()),
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

/// SHA-256 of the public key (SPKI).
fn key_of(certificate: &CertificateDer<'_>) -> Result<[u8; 32], rustls::Error> {
    let bad = || rustls::Error::InvalidCertificate(CertificateError::BadEncoding);
    let certificate = webpki::EndEntityCert::try_from(certificate).map_err(|_| bad())?;
    let digest = ring::digest::digest(&ring::digest::SHA256, &certificate.subject_public_key_info());
    digest.as_ref().try_into().map_err(|_| bad())
}

/// Verifies that the platform has the key of this fingerprint, and nothing else.
#[derive(Debug)]
struct Known {
    fingerprint: Fingerprint,
    schemes: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Known {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.fingerprint == Fingerprint::of(&key_of(end_entity)?) {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(OtherKey.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.schemes)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.schemes)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.supported_schemes()
    }
}
