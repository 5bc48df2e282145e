//! The portal's certificate: read from its files, changed while connections go on. Asks for none and renews none.

use super::{SecureSettings, StartError};
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use tokio_rustls::TlsAcceptor;

/// The certificate that connections are begun with from now on.
#[derive(Debug)]
pub(super) struct Certificate(RwLock<Arc<CertifiedKey>>);

impl Certificate {
    pub(super) fn new(first: CertifiedKey) -> Certificate {
        Certificate(RwLock::new(Arc::new(first)))
    }

    /// New connections get this one; those under way end as they began.
    pub(super) fn replace(&self, next: CertifiedKey) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
    }
}

impl ResolvesServerCert for Certificate {
    /// One certificate for all: who asks for another name finds that out by itself.
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// What the files hold, if they belong together.
pub(super) fn read(files: &SecureSettings) -> Result<CertifiedKey, StartError> {
    let wrong = |file: &Path, source: Box<dyn std::error::Error + Send + Sync>| StartError::Certificate {
        file: file.to_owned(),
        source,
    };
    let chain = || CertificateDer::pem_file_iter(&files.certificate)?.collect::<Result<Vec<_>, _>>();
    let chain = chain().map_err(|e| wrong(&files.certificate, e.into()))?;
    if chain.is_empty() {
        return Err(wrong(&files.certificate, "there is no certificate in it".into()));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|e| wrong(&files.key, e.into()))?;
    CertifiedKey::from_der(chain, key, &provider()).map_err(|e| wrong(&files.key, e.into()))
}

/// TLS 1.2 and 1.3: phones from before 2018 know no newer one.
pub(super) fn acceptor(certificate: Arc<Certificate>) -> Result<TlsAcceptor, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn provider() -> CryptoProvider {
    rustls::crypto::ring::default_provider()
}
