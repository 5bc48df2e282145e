//! Looks at the certificate files that a configuration names. Opens no connection.

use super::FILE_BYTES_MAX;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::{CertifiedKey, SigningKey};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

/// What is in a file, but not much more than any of ours can hold: a name such as `/dev/zero` must not hold the start up.
pub(super) fn read(file: &Path) -> io::Result<Vec<u8>> {
    if !std::fs::metadata(file)?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    let mut bytes = Vec::new();
    let most = u64::try_from(FILE_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    File::open(file)?.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The certificates of a PEM file, one at least.
pub(super) fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = read(file).map_err(|e| format!("cannot read {}: {e}", file.display()))?;
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

/// The private key of a PEM file.
pub(super) fn private_key(file: &Path) -> Result<Arc<dyn SigningKey>, String> {
    let text = read(file).map_err(|e| format!("cannot read {}: {e}", file.display()))?;
    let key =
        PrivateKeyDer::from_pem_slice(&text).map_err(|_| format!("{} holds no private key in PEM", file.display()))?;
    any_supported_type(&key).map_err(|_| format!("{} is a kind of key that cannot be used", file.display()))
}

/// Whether the first certificate is for a host of this name.
pub(super) fn is_for(chain: &[CertificateDer<'static>], host: &str) -> bool {
    let first = chain.first().and_then(|der| webpki::EndEntityCert::try_from(der).ok());
    let name = ServerName::try_from(host).ok();
    first.zip(name).is_some_and(|(first, name)| first.verify_is_valid_for_subject_name(&name).is_ok())
}

/// Whether the key is that of the first certificate.
pub(super) fn belong(chain: Vec<CertificateDer<'static>>, key: Arc<dyn SigningKey>) -> bool {
    CertifiedKey::new(chain, key).keys_match().is_ok()
}
