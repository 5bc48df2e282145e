//! An authority of certificates for trying out: for demo, tests and `tillgate sandbox`. Not for real money.

use super::SandboxError;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PublicKeyData,
};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long its certificates last.
const LIFE_DAYS: i64 = 825;
/// How long before it is made an enrolled box's certificate counts at most: clocks are a little apart.
const BACKDATED_MS: i64 = 60 * 60 * 1_000;

/// An authority. Its files stay.
pub struct Authority {
    dir: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate for somebody else's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// SHA-256 of the key's SubjectPublicKeyInfo, in hexadecimal digits.
    pub key: String,
    /// PEM.
    pub certificate: String,
}

/// A certificate and its key, as files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// PEM.
    pub certificate: PathBuf,
    /// PEM, readable by its owner only.
    pub key: PathBuf,
    /// SHA-256 of the key's SubjectPublicKeyInfo, as it is pinned.
    pub pin: [u8; 32],
}

/// Who a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum For {
    /// A platform, at these names and addresses.
    Platform(&'static [&'static str]),
    /// A shop's box.
    Box,
}

/// Names and addresses that the sandbox's own certificates are for.
pub const HERE: &[&str] = &["localhost", "127.0.0.1", "::1"];

impl Authority {
    /// A new authority; writes `ca.pem` in this directory, which is made if it is not there.
    pub fn create(dir: &Path) -> Result<Authority, SandboxError> {
        Authority::create_named(dir, "ca")
    }

    fn create_named(dir: &Path, name: &str) -> Result<Authority, SandboxError> {
        fs::create_dir_all(dir).map_err(|e| SandboxError::file(dir, e))?;
        let mut params = lasting(Vec::new(), "Tillgate sandbox authority", (0, LIFE_DAYS))?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().map_err(SandboxError::certificate)?;
        let certificate = params.self_signed(&key).map_err(SandboxError::certificate)?;
        write(&dir.join(format!("{name}.pem")), certificate.pem().as_bytes(), 0o644)?;
        write(&dir.join(format!("{name}.key")), key.serialize_pem().as_bytes(), 0o600)?;
        Ok(Authority { dir: dir.to_owned(), issuer: Issuer::new(params, key) })
    }

    /// The one that made these certificates.
    pub fn load(files: &Certificates) -> Result<Authority, SandboxError> {
        let read = |file: &Path| fs::read_to_string(file).map_err(|e| SandboxError::file(file, e));
        let key = KeyPair::from_pem(&read(&files.ca_key)?).map_err(SandboxError::certificate)?;
        let issuer = Issuer::from_ca_cert_pem(&read(&files.ca)?, key).map_err(SandboxError::certificate)?;
        let dir = files.ca.parent().unwrap_or(Path::new(".")).to_owned();
        Ok(Authority { dir, issuer })
    }

    /// A certificate for the key of this request (PEM, PKCS #10), from a little before `now_ms` until `life_secs` after; and
    /// the key's name: SHA-256 of its SPKI. `None`: it is no request, or is not signed by its key.
    pub fn certify_request(&self, request: &str, now_ms: i64, life_secs: u32) -> Option<Signed> {
        let asked = CertificateSigningRequestParams::from_pem(request).ok()?;
        let life_ms = i64::from(life_secs).saturating_mul(1_000);
        let second = |ms: i64| {
            let since = Duration::from_secs(u64::try_from(ms.div_euclid(1_000)).ok()?);
            rcgen::date_time_ymd(1970, 1, 1).checked_add(since.try_into().ok()?)
        };
        let mut params = CertificateParams::new(Vec::new()).ok()?;
        // Whose box it is says the platform, not the request.
        params.distinguished_name.push(DnType::CommonName, "Tillgate sandbox enrolled box");
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.not_before = second(now_ms.saturating_sub((life_ms / 10).min(BACKDATED_MS)))?;
        params.not_after = second(now_ms.saturating_add(life_ms))?;
        let certificate = params.signed_by(&asked.public_key, &self.issuer).ok()?;
        Some(Signed { key: hex(&spki_digest(&asked.public_key)), certificate: certificate.pem() })
    }

    /// Where the authority's own certificate is.
    pub fn ca_file(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    /// Where its key is.
    pub fn key_file(&self) -> PathBuf {
        self.dir.join("ca.key")
    }

    /// A new key and a certificate for it: writes `NAME.pem` and `NAME.key`.
    pub fn issue(&self, name: &str, who: For) -> Result<Pair, SandboxError> {
        let key = KeyPair::generate().map_err(SandboxError::certificate)?;
        self.certify(name, who, &key, (0, LIFE_DAYS))
    }

    fn certify(&self, name: &str, who: For, key: &KeyPair, days: (i64, i64)) -> Result<Pair, SandboxError> {
        let (names, usage) = match who {
            For::Platform(names) => (names, ExtendedKeyUsagePurpose::ServerAuth),
            For::Box => ([].as_slice(), ExtendedKeyUsagePurpose::ClientAuth),
        };
        let names = names.iter().map(|n| (*n).to_owned()).collect();
        let mut params = lasting(names, &format!("Tillgate sandbox {name}"), days)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        let certificate = params.signed_by(key, &self.issuer).map_err(SandboxError::certificate)?;
        let pin = spki_digest(key);
        let pair =
            Pair { certificate: self.dir.join(format!("{name}.pem")), key: self.dir.join(format!("{name}.key")), pin };
        write(&pair.certificate, certificate.pem().as_bytes(), 0o644)?;
        write(&pair.key, key.serialize_pem().as_bytes(), 0o600)?;
        Ok(pair)
    }
}

/// All that a sandbox and one box need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificates {
    /// The authority of both sides.
    pub ca: PathBuf,
    /// Its key, readable by its owner only: it signs for boxes that enrol.
    pub ca_key: PathBuf,
    /// The platform's.
    pub platform: Pair,
    /// The box's.
    pub shop_box: Pair,
    /// The platform's key again, in a certificate whose time is over; for a fault switch.
    pub expired: Pair,
    /// A platform's certificate by an authority that nobody trusts; for a fault switch.
    pub foreign: Pair,
}

impl Certificates {
    /// Makes a new authority and all certificates in this directory, over what was there.
    pub fn create(dir: &Path) -> Result<Certificates, SandboxError> {
        let authority = Authority::create(dir)?;
        let key = KeyPair::generate().map_err(SandboxError::certificate)?;
        let stranger = Authority::create_named(dir, "foreign-ca")?;
        Ok(Certificates {
            ca: authority.ca_file(),
            ca_key: authority.key_file(),
            platform: authority.certify("platform", For::Platform(HERE), &key, (0, LIFE_DAYS))?,
            shop_box: authority.issue("box", For::Box)?,
            expired: authority.certify("expired", For::Platform(HERE), &key, (-30, -2))?,
            foreign: stranger.issue("foreign", For::Platform(HERE))?,
        })
    }

    /// Those that [`Certificates::create`] made in this directory earlier.
    pub fn load(dir: &Path) -> Result<Certificates, SandboxError> {
        Ok(Certificates {
            ca: dir.join("ca.pem"),
            ca_key: dir.join("ca.key"),
            platform: load_pair(dir, "platform")?,
            shop_box: load_pair(dir, "box")?,
            expired: load_pair(dir, "expired")?,
            foreign: load_pair(dir, "foreign")?,
        })
    }
}

fn load_pair(dir: &Path, name: &str) -> Result<Pair, SandboxError> {
    let (certificate, key) = (dir.join(format!("{name}.pem")), dir.join(format!("{name}.key")));
    let text = fs::read_to_string(&key).map_err(|e| SandboxError::file(&key, e))?;
    let pin = spki_digest(&KeyPair::from_pem(&text).map_err(SandboxError::certificate)?);
    Ok(Pair { certificate, key, pin })
}

fn spki_digest(key: &impl PublicKeyData) -> [u8; 32] {
    let digest = ring::digest::digest(&ring::digest::SHA256, &key.subject_public_key_info());
    let mut pin = [0; 32];
    pin.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
    pin
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Certificates count from a day ago, so that a clock that is a little behind believes them.
fn lasting(names: Vec<String>, called: &str, days: (i64, i64)) -> Result<CertificateParams, SandboxError> {
    let mut params = CertificateParams::new(names).map_err(SandboxError::certificate)?;
    params.distinguished_name.push(DnType::CommonName, called);
    params.use_authority_key_identifier_extension = true;
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let day = |offset: i64| {
        let date = today.checked_add(jiff::Span::new().try_days(offset).map_err(SandboxError::certificate)?);
        let date = date.map_err(SandboxError::certificate)?;
        let (month, day) = (date.month().unsigned_abs(), date.day().unsigned_abs());
        Ok::<_, SandboxError>(rcgen::date_time_ymd(i32::from(date.year()), month, day))
    };
    params.not_before = day(days.0.saturating_sub(1))?;
    params.not_after = day(days.1)?;
    Ok(params)
}

fn write(file: &Path, bytes: &[u8], mode: u32) -> Result<(), SandboxError> {
    let write = || {
        // A file that is there keeps its mode, so it goes first.
        match fs::remove_file(file) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
            Ok(()) | Err(_) => (),
        }
        let mut out = OpenOptions::new().write(true).create_new(true).mode(mode).open(file)?;
        out.write_all(bytes)?;
        out.sync_all()
    };
    write().map_err(|e| SandboxError::file(file, e))
}
