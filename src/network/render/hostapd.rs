//! hostapd: the box's own radio, open with its OWE twin or with a passphrase. Knows nothing of other access points.

use super::{Reader, Wanted};
use crate::network::settings::{Channel, NetworkSettings, Radio, Security};
use std::fmt::Write;

/// The most phones that hostapd can count.
const PHONES_MAX: u32 = 2_007;
/// The longest name of an interface.
const LINK_BYTES_MAX: usize = 15;
/// The longest name of a Wi-Fi.
const SSID_BYTES_MAX: usize = 32;
const TWIN: &str = "_owe";

pub(super) fn file(settings: &NetworkSettings, radio: &Radio) -> Wanted {
    let mut text = String::new();
    let bridge = &settings.guests.bridge;
    let phones = settings.limits.phones_max.min(PHONES_MAX);
    // Writing to a `String` cannot fail.
    let mut line = |args: std::fmt::Arguments<'_>| {
        let _ = writeln!(text, "{args}");
    };
    line(format_args!("interface={}\nbridge={bridge}\ndriver=nl80211", radio.link));
    line(format_args!("country_code={}\nieee80211d=1\nwmm_enabled=1\nieee80211n=1", radio.country));
    match radio.channel {
        Channel::Low(number) => line(format_args!("hw_mode=g\nchannel={number}")),
        Channel::High(number) => {
            line(format_args!("hw_mode=a\nchannel={number}\nieee80211ac=1"));
            // Radar is listened for where it must be.
            if (52..=144).contains(&number) {
                line(format_args!("ieee80211h=1"));
            }
        }
    }
    line(format_args!("\n# No phone hears another. The bridge keeps both radios' phones apart in the same way."));
    line(format_args!("ap_isolate=1\nmax_num_sta={phones}\nutf8_ssid=1\nssid2=\"{}\"", radio.ssid));
    match &radio.security {
        Security::Open => {
            let (twin, ssid) = (twin_link(radio), twin_ssid(&radio.ssid));
            line(format_args!("\n# Open, and encrypted for phones that know OWE: they find the twin by themselves."));
            line(format_args!("auth_algs=1\nwpa=0\nowe_transition_ifname={twin}\n\nbss={twin}\nbridge={bridge}"));
            line(format_args!("ap_isolate=1\nmax_num_sta={phones}\nutf8_ssid=1\nssid2=\"{ssid}\""));
            line(format_args!("ignore_broadcast_ssid=1\nauth_algs=1\nwpa=2\nwpa_key_mgmt=OWE\nrsn_pairwise=CCMP"));
            line(format_args!("ieee80211w=2\nowe_transition_ifname={}", radio.link));
        }
        Security::Passphrase { passphrase, wpa2 } => {
            let (ways, protected) = if *wpa2 { ("WPA-PSK SAE", 1) } else { ("SAE", 2) };
            line(format_args!("\nauth_algs=1\nwpa=2\nwpa_key_mgmt={ways}\nrsn_pairwise=CCMP\nieee80211w={protected}"));
            line(format_args!("sae_require_mfp=1\nsae_pwe=2"));
            if let Some(passphrase) = passphrase {
                line(format_args!("wpa_passphrase={}", passphrase.reveal()));
            }
        }
    }
    Wanted { path: format!("etc/hostapd/{}.conf", radio.link).into(), text, secret: true, reader: Reader::Hostapd }
}

/// The interface of the radio's OWE twin.
pub(super) fn twin_link(radio: &Radio) -> String {
    format!("{}{TWIN}", cut(radio.link.as_str(), LINK_BYTES_MAX.saturating_sub(TWIN.len())))
}

/// The twin's own name, which is not shown by phones.
fn twin_ssid(ssid: &str) -> String {
    format!("{}{TWIN}", cut(ssid, SSID_BYTES_MAX.saturating_sub(TWIN.len())))
}

/// At most so many bytes, in whole characters.
fn cut(text: &str, bytes_max: usize) -> &str {
    let end = (0..=bytes_max.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}
