//! `[platform]`: where the money is taken, and how we prove who we are. Calls nobody.

use super::reader::{At, Reader, Section};
use super::{address, check_pair, credential, pair};
use crate::platform::channel::{Channel, ChannelError, ChannelSettings, certificate_life};
use crate::platform::identity::{Folder, Identity, Which};
use crate::platform::life::Life;
use std::path::PathBuf;

const PINS_MAX: usize = 4;
/// What stands in `[platform]` if people and not `tillgate enroll` look after keys.
pub const NAMED: [&str; 4] = ["ca", "certificate", "key", "pins"];

/// `[platform]`.
#[derive(Clone, Debug)]
pub struct Platform {
    /// Its address: https, absolute, without a slash at the end.
    pub url: String,
    /// Whom we believe there, and who we are.
    pub trust: Trust,
}

impl Platform {
    /// The trusted channel to it, which connects when it is first used.
    pub fn channel(&self) -> Result<Channel, ChannelError> {
        match &self.trust {
            Trust::Named(named) => Channel::open(&named.channel_to(&self.url)),
            Trust::Enrolled(_, identity) => Channel::with(&self.url, identity.credentials()),
        }
    }

    /// From when until when this box's certificate counts.
    pub fn life(&self) -> Result<Life, ChannelError> {
        match &self.trust {
            Trust::Named(named) => certificate_life(&named.certificate),
            Trust::Enrolled(_, identity) => Ok(identity.life()),
        }
    }
}

/// Where keys and certificates are.
#[derive(Clone, Debug)]
pub enum Trust {
    /// Where the configuration says.
    Named(Box<Named>),
    /// Where `tillgate enroll` put them, and what is there.
    Enrolled(Folder, Box<Identity>),
}

/// What the configuration names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// PEM: who may have signed the platform's certificate.
    pub ca: PathBuf,
    /// PEM: our certificate.
    pub certificate: PathBuf,
    /// PEM: our private key, which belongs to the certificate.
    pub key: PathBuf,
    /// SHA-256 of the public keys (SPKI) that it may have: the present one and the next; one at least.
    pub pins: Vec<[u8; 32]>,
}

impl Named {
    /// The same for the channel to `url`.
    pub fn channel_to(&self, url: &str) -> ChannelSettings {
        let Named { ca, certificate, key, pins } = self.clone();
        ChannelSettings { url: url.to_owned(), ca_file: ca, certificate_file: certificate, key_file: key, pins }
    }
}

/// What the configuration names goes before what `tillgate enroll` wrote; the keys are named all four, or none.
pub(super) fn read<'t>(reader: &mut Reader<'t>, root: &mut Section<'t>, folder: &Folder) -> Option<Platform> {
    let is_named = root.has("platform");
    let section = reader.section(root, "platform");
    if is_named && section.is_none() {
        return None;
    }
    let names = |section: &Section<'_>| NAMED.iter().any(|key| section.has(key));
    match section {
        Some(section) if names(&section) => {
            if folder.file(Which::Identity).exists() {
                let what = "keys are named here: what `tillgate enroll` wrote is not used";
                reader.warn(&section.span(), what, "take ca, certificate, key and pins away");
            }
            read_named(reader, section)
        }
        other => read_enrolled(reader, other, folder),
    }
}

fn read_enrolled<'t>(reader: &mut Reader<'t>, section: Option<Section<'t>>, folder: &Folder) -> Option<Platform> {
    let (mut at, mut named) = (0..0, None);
    if let Some(mut platform) = section {
        at = platform.span();
        let url = reader.text(&mut platform, "url");
        // None of these is there, but one that is written in another way may be meant.
        for key in NAMED {
            reader.text(&mut platform, key);
        }
        reader.end(platform);
        if let Some(url) = url {
            at = url.span.clone();
            named = Some(address(reader, &url, &["https"]));
        }
    }
    let identity = match folder.identity() {
        Ok(Some(identity)) => identity,
        Ok(None) => {
            let what = format!(
                "this box is not enrolled at a platform: there is no {}",
                folder.file(Which::Identity).display()
            );
            reader.fault(
                &at,
                what,
                "run `tillgate enroll URL CODE`, or add [platform] with url, ca, certificate, key and pins",
            );
            return None;
        }
        Err(error) => {
            let fix = "enrol this box again with a new code, or run this as root if it may not be read";
            reader.fault(&at, error.to_string(), fix);
            return None;
        }
    };
    let enrolled = identity.url().to_owned();
    let url = named.unwrap_or_else(|| Some(enrolled.clone()))?;
    if url != enrolled {
        let what = format!("this box is enrolled at {enrolled}, and is to use that certificate here");
        reader.warn(&at, what, "take `url` away, or enrol this box again");
    }
    Some(Platform { url, trust: Trust::Enrolled(folder.clone(), Box::new(identity)) })
}

fn read_named<'t>(reader: &mut Reader<'t>, mut platform: Section<'t>) -> Option<Platform> {
    let url = reader.need_text(&mut platform, "url", "https://pay.example:8443");
    let files =
        [("ca", "platform-ca.pem"), ("certificate", "gateway.pem"), ("key", "gateway.key")].map(|(key, name)| {
            let text = reader.need_text(&mut platform, key, &format!("/etc/tillgate/{name}"))?;
            credential::file(reader, &text)
        });
    let pins = reader.need_texts(&mut platform, "pins").and_then(|list| read_pins(reader, &list));
    reader.end(platform);
    let url = url.and_then(|text| address(reader, &text, &["https"]));
    let [ca, certificate, key] = files;
    if let Some(ca) = &ca
        && !credential::is_elsewhere(&ca.value)
        && let Err(what) = pair::certificates(&ca.value)
    {
        reader.fault(&ca.span, what, "put the platform's CA certificate there, in PEM");
    }
    if let (Some(certificate), Some(key)) = (&certificate, &key) {
        check_pair(reader, certificate, key);
    }
    let named = Named { ca: ca?.value, certificate: certificate?.value, key: key?.value, pins: pins? };
    Some(Platform { url: url?, trust: Trust::Named(Box::new(named)) })
}

fn read_pins(reader: &mut Reader<'_>, list: &At<Vec<At<&str>>>) -> Option<Vec<[u8; 32]>> {
    if list.value.is_empty() || list.value.len() > PINS_MAX {
        let what = format!("there are 1 to {PINS_MAX} pins: the platform's key now, and the next");
        reader.fault(&list.span, what, "write the SHA-256 of the platform's public key, as the platform publishes it");
        return None;
    }
    let mut pins = Vec::new();
    for text in &list.value {
        match pin(text.value) {
            Some(pin) if pins.contains(&pin) => {
                reader.fault(&text.span, "this pin stands here twice", "take one away");
            }
            Some(pin) => pins.push(pin),
            None => {
                let what =
                    format!("a pin is 64 hexadecimal digits; this has {} characters", text.value.chars().count());
                let fix = "write the SHA-256 of the platform's public key (SPKI), without colons";
                reader.fault(&text.span, what, fix);
            }
        }
    }
    (pins.len() == list.value.len()).then_some(pins)
}

fn pin(text: &str) -> Option<[u8; 32]> {
    let digits = text.bytes().all(|b| b.is_ascii_hexdigit());
    if text.len() != 64 || !digits {
        return None;
    }
    let high = u128::from_str_radix(text.get(..32)?, 16).ok()?;
    let low = u128::from_str_radix(text.get(32..)?, 16).ok()?;
    let mut pin = [0; 32];
    for (to, from) in pin.iter_mut().zip(high.to_be_bytes().into_iter().chain(low.to_be_bytes())) {
        *to = from;
    }
    Some(pin)
}
