//! Looks at the certificate files that a configuration names. Opens no connection.

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use std::path::Path;

/// What is wrong with a certificate file, a key file, or the two together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum BadPair {
    /// Something about the certificate file.
    Certificate(String),
    /// Something about the key file.
    Key(String),
    /// Both are fine, but not each other's.
    Mismatch,
}

/// The certificates of a PEM file, one at least.
pub(super) fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = std::fs::read(file).map_err(|e| format!("cannot read {}: {e}", file.display()))?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let all = all.map_err(|e| format!("{} is not PEM: {e}", file.display()))?;
    if all.is_empty() {
        return Err(format!("{} holds no certificate", file.display()));
    }
    for one in &all {
        webpki::anchor_from_trusted_cert(one)
            .map_err(|e| format!("{} holds a certificate that cannot be used: {e}", file.display()))?;
    }
    Ok(all)
}

/// Whether both files can be used, and the key is that of the first certificate.
pub(super) fn check_pair(certificate: &Path, key: &Path) -> Result<(), BadPair> {
    let chain = certificates(certificate).map_err(BadPair::Certificate)?;
    let text = std::fs::read(key).map_err(|e| BadPair::Key(format!("cannot read {}: {e}", key.display())))?;
    let private = PrivateKeyDer::from_pem_slice(&text)
        .map_err(|_| BadPair::Key(format!("{} holds no private key in PEM", key.display())))?;
    let signing = ring::sign::any_supported_type(&private)
        .map_err(|_| BadPair::Key(format!("{} is a kind of key that cannot be used", key.display())))?;
    match CertifiedKey::new(chain, signing).keys_match() {
        Ok(()) => Ok(()),
        Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => Err(BadPair::Mismatch),
        Err(cause) => Err(BadPair::Certificate(format!("{}: {cause}", certificate.display()))),
    }
}
