//! The files that make a Debian machine the guests' router, as text. Writes none.

mod dnsmasq;
mod host;
mod hostapd;
mod networkd;

use super::settings::NetworkSettings;
use std::path::PathBuf;

/// A file as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Where, from the root on.
    pub path: PathBuf,
    /// What is in it below our own heading.
    pub text: String,
    /// Whether only root may read it.
    pub secret: bool,
    /// Who reads it: what must be told of a change.
    pub reader: Reader,
}

/// Who reads a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reader {
    /// The kernel, by `systemd-sysctl`.
    Sysctl,
    /// systemd-networkd.
    Networkd,
    /// dnsmasq.
    Dnsmasq,
    /// hostapd, for the box's own radio.
    Hostapd,
    /// chrony.
    Chrony,
}

/// Every file for these settings, in the order of their paths. Begin with no heading; end with a new line.
pub fn files(settings: &NetworkSettings) -> Vec<Wanted> {
    let mut all = networkd::files(settings);
    all.push(dnsmasq::file(settings));
    all.extend(settings.radio.as_ref().map(|radio| hostapd::file(settings, radio)));
    all.push(host::sysctl(settings));
    all.push(host::chrony());
    all.sort_by(|a, b| a.path.cmp(&b.path));
    all
}

/// The folders in which our files can be, and how their names begin; the end may be anything.
pub const PLACES: [(&str, &str); 5] = [
    ("etc/chrony/conf.d", "tillgate"),
    ("etc/dnsmasq.d", "tillgate"),
    ("etc/hostapd", ""),
    ("etc/sysctl.d", "60-tillgate"),
    ("etc/systemd/network", "30-tillgate"),
];

#[cfg(test)]
pub(crate) use tests::settings as example;

#[cfg(test)]
mod tests;
