//! What is usual where nobody has said anything: for shop, limits, network and portal. Pure; overrides nothing that was said,
//! but what can no longer be because of it.

use super::draft::Draft;
use super::machine::Facts;
use crate::network::settings::Passphrase;
use crate::shop::money::{Amount, Currency};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// The name of a shop that has not said one.
pub(super) const SHOP: &str = "Our shop";
/// Guests' networks: the second where the shop's own is the first.
const GUESTS: [&str; 2] = ["192.168.50.1/24", "192.168.51.1/24"];
/// 2.4 GHz reaches far and every phone has it; 1, 6 and 11 do not overlap.
pub(super) const CHANNEL: i64 = 6;

/// Name, language, currency, and the limits that go with it.
pub(super) fn shop(draft: &mut Draft, facts: &Facts) {
    draft.set_if_absent("shop", "name", SHOP);
    draft.set_if_absent("shop", "currency", facts.currency());
    draft.set_if_absent("shop", "language", facts.language.as_str());
    limits(draft);
}

/// Limits that can be written in the shop's currency.
pub(super) fn limits(draft: &mut Draft) {
    let Some(currency) = draft.get("shop", "currency").and_then(Currency::from_code) else { return };
    let (least, most) = if currency.exponent() == 0 { ("10", "100000") } else { ("0.10", "1000.00") };
    for (key, usual) in [("amount_min", least), ("amount_max", most)] {
        let fits = |text: &str| Amount::parse(text, currency).is_ok();
        if !draft.get("limits", key).is_some_and(fits) {
            draft.set("limits", key, usual);
        }
    }
}

/// The guests' network, as far as it was begun.
pub(super) fn network(draft: &mut Draft, facts: &Facts) {
    if !draft.has_section("network") {
        return;
    }
    let taken = facts.address.is_some_and(|own| own.octets().starts_with(&[192, 168, 50]));
    draft.set_if_absent("network", "address", if taken { GUESTS[1] } else { GUESTS[0] });
    if let Some(uplink) = facts.uplink.as_deref() {
        draft.set_if_absent("network", "uplink", uplink);
    }
    if draft.has_section("network.wifi") {
        if let Some(radio) = facts.radio() {
            draft.set_if_absent("network.wifi", "radio", radio.name.as_str());
        }
        let name = draft.get("shop", "name").unwrap_or(SHOP).to_owned();
        draft.set_if_absent("network.wifi", "ssid", ssid(&name));
        if let Some(country) = facts.country.as_deref() {
            draft.set_if_absent("network.wifi", "country", country);
        }
        draft.set_if_absent("network.wifi", "channel", CHANNEL);
        draft.set_if_absent("network.wifi", "security", "open");
    }
}

/// As much of the shop's name as the name of a Wi-Fi can hold.
pub(super) fn ssid(name: &str) -> String {
    let mut short = String::new();
    for letter in name.chars().filter(|letter| !letter.is_control()) {
        if short.len().saturating_add(letter.len_utf8()) > 32 {
            break;
        }
        short.push(letter);
    }
    short.trim().to_owned()
}

/// The portal: where guests find the box, else everywhere.
pub(super) fn portal(draft: &mut Draft, facts: &Facts) {
    let guests = draft.get("network", "address").and_then(own_address);
    let listen: Option<SocketAddr> = draft.get("portal", "listen").and_then(|text| text.parse().ok());
    let port = listen.map_or(80, |at| at.port());
    match (guests, listen) {
        (Some(own), Some(at)) if at.ip().is_unspecified() || at.ip() == IpAddr::V4(own) => {}
        (Some(own), _) => draft.set("portal", "listen", format!("{own}:{port}")),
        (None, _) => draft.set_if_absent("portal", "listen", format!("0.0.0.0:{port}")),
    }
    let seen = guests.or(facts.address).unwrap_or(Ipv4Addr::new(192, 168, 50, 1));
    let port = if port == 80 { String::new() } else { format!(":{port}") };
    let usual = format!("http://{seen}{port}");
    match (guests, draft.get("portal", "url").and_then(host_address)) {
        // Phones come to the box at its address there, or by a name.
        (Some(own), Some(other)) if other != own => draft.set("portal", "url", usual),
        (Some(_) | None, _) => draft.set_if_absent("portal", "url", usual),
    }
}

/// This box is no router: the portal is no longer where guests were.
pub(super) fn no_network(draft: &mut Draft) {
    let Some(own) = draft.get("network", "address").and_then(own_address) else {
        return draft.remove_section("network");
    };
    let listen: Option<SocketAddr> = draft.get("portal", "listen").and_then(|text| text.parse().ok());
    if let Some(at) = listen.filter(|at| at.ip() == IpAddr::V4(own)) {
        draft.set("portal", "listen", format!("0.0.0.0:{}", at.port()));
    }
    if draft.get("portal", "url").and_then(host_address) == Some(own) {
        draft.remove("portal", "url");
    }
    draft.remove_section("network");
}

/// Of `192.168.50.1/24`.
fn own_address(text: &str) -> Option<Ipv4Addr> {
    text.split('/').next()?.parse().ok()
}

/// The address in `http://192.168.50.1:8080`, if it is one and no name.
fn host_address(url: &str) -> Option<Ipv4Addr> {
    url.split_once("://")?.1.split([':', '/']).next()?.parse().ok()
}

/// A Wi-Fi's password that goes to a file of its own.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Secret {
    pub(super) file: PathBuf,
    pub(super) text: String,
}

/// Takes a password out of the draft, whose file everybody in the daemon's group may read.
pub(super) fn secret(draft: &mut Draft, config: &Path) -> Result<Option<Secret>, String> {
    let Some(text) = draft.get("network.wifi", "passphrase").map(str::to_owned) else { return Ok(None) };
    if Passphrase::new(&text).is_none() {
        return Err(BAD_PASSPHRASE.to_owned());
    }
    draft.remove("network.wifi", "passphrase");
    let beside = config.with_file_name("wifi.passphrase");
    let file = draft.get("network.wifi", "passphrase_file").map_or(beside, PathBuf::from);
    draft.set("network.wifi", "passphrase_file", file.display().to_string());
    if draft.get("network.wifi", "security").is_none_or(|word| word == "open") {
        draft.set("network.wifi", "security", "wpa2");
    }
    Ok(Some(Secret { file, text: format!("{text}\n") }))
}

/// What is said of a password that phones cannot type.
pub(super) const BAD_PASSPHRASE: &str =
    "A password for the Wi-Fi has 8 to 63 letters, digits and signs, without accents or other scripts.";
