//! Looks at the network interfaces that the configuration names: cables, the radio, whether the kernel hands packets on, the
//! way to the firewall's helper. Sends nothing.

use super::{Finding, odd, well, wrong};
use crate::network::NetworkSettings;
use std::fs;
use std::path::Path;

/// What hinders the guests' network, if the box governs one; a daemon that answers knows of the helper itself.
pub(super) fn look(settings: &NetworkSettings, daemon_answers: bool) -> Vec<Finding> {
    let (class, switches) = (Path::new("/sys/class/net"), Path::new("/proc/sys/net"));
    look_below(class, switches, settings, daemon_answers)
}

fn look_below(class: &Path, switches: &Path, settings: &NetworkSettings, daemon_answers: bool) -> Vec<Finding> {
    let mut found = Vec::new();
    let uplink = settings.uplink.link.as_str();
    if carrier(class, uplink) == Some(false) {
        let what = format!("no cable in {uplink}, the way to the internet: nobody can pay");
        found.push(wrong("network", what, "plug it into the shop's router; is that on?"));
    }
    for port in &settings.guests.ports {
        let card = port.card().as_str();
        if carrier(class, card) == Some(false) {
            let what = format!("no cable in {card}: customers' phones do not come to this box");
            found.push(wrong("network", what, "plug the access point in; is it on?"));
        }
    }
    let bridge = &settings.guests.bridge;
    for (version, wanted) in [(4, true), (6, settings.guests.ipv6.is_some())] {
        let switch = switches.join(format!("ipv{version}/conf/{bridge}/forwarding"));
        // Without the bridge there is no switch; that others say.
        if wanted && fs::read_to_string(switch).is_ok_and(|word| word.trim() == "0") {
            let what =
                format!("the kernel hands nothing on from {bridge} by version {version}: phones get nowhere that way");
            let fix =
                "sysctl --system; if it is so again after a start, another file in /etc/sysctl.d has the last word";
            found.push(wrong("network", what, fix));
        }
    }
    if let Some(radio) = &settings.radio {
        let name = radio.link.as_str();
        let state = fs::read_to_string(class.join(name).join("operstate")).unwrap_or_default();
        if matches!(state.trim(), "down" | "dormant") {
            let fix = format!("systemctl restart hostapd@{name}; journalctl -u hostapd@{name} says why");
            found.push(odd(
                "network",
                format!("{name} is silent: phones do not see the Wi-Fi \"{}\"", radio.ssid),
                fix,
            ));
        }
    }
    if !daemon_answers && !settings.helper.exists() {
        let what = format!("the firewall's helper is not at {}: guests stay captive", settings.helper.display());
        found.push(wrong("firewall", what, "systemctl restart tillgate-netd.socket tillgate-netd.service"));
    }
    if found.is_empty() {
        found.push(well("network", "cables are in, nothing is silent, and packets go on"));
    }
    found
}

/// `None`: there is no such interface, which others say, or it is off.
fn carrier(class: &Path, link: &str) -> Option<bool> {
    let word = fs::read_to_string(class.join(link).join("carrier")).ok()?;
    Some(word.trim() == "1")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::render::example;
    use crate::network::settings::{Link, Port};

    #[test]
    fn a_cable_that_is_out_and_a_radio_that_is_silent_are_found() {
        let class = std::env::temp_dir().join(format!("tillgate-links-{}", std::process::id()));
        let mut settings = example();
        settings.guests.ports = vec![Port::Vlan(Link::new("eth1").unwrap(), 20)];
        settings.helper = class.join("netd.sock");
        let radio = settings.radio.as_ref().unwrap().link.to_string();
        let set = |link: &str, file: &str, word: &str| {
            fs::create_dir_all(class.join(link)).unwrap();
            fs::write(class.join(link).join(file), word).unwrap();
        };
        let uplink = settings.uplink.link.to_string();
        let bridge = settings.guests.bridge.to_string();
        let (four, six) = (format!("ipv4/conf/{bridge}"), format!("ipv6/conf/{bridge}"));
        set(&four, "forwarding", "0\n");
        set(&six, "forwarding", "0\n");
        set(&uplink, "carrier", "0\n");
        set("eth1", "carrier", "0\n");
        set(&radio, "operstate", "down\n");
        let found: Vec<String> = look_below(&class, &class, &settings, false).into_iter().map(|one| one.what).collect();
        assert_eq!(found.len(), 4 + 1 + usize::from(settings.guests.ipv6.is_some()), "{found:?}");
        assert!(found[1].starts_with("no cable in eth1: "), "{found:?}");
        set(&uplink, "carrier", "1\n");
        set("eth1", "carrier", "1\n");
        set(&four, "forwarding", "1\n");
        settings.guests.ipv6 = None;
        set(&radio, "operstate", "up\n");
        let found = look_below(&class, &class, &settings, true);
        assert!(found.len() == 1 && found[0].fix.is_empty(), "{found:?}");
        fs::remove_dir_all(class).unwrap();
    }
}
