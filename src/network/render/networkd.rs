//! systemd-networkd: the guests' bridge and its ports, VLANs, and the uplink. Knows no name and no phone.

use super::{Reader, Wanted, hostapd};
use crate::network::settings::{Link, NetworkSettings, Port, Security, UplinkAddress};
use std::collections::BTreeSet;
use std::fmt::Write;

const HEAD: &str = "etc/systemd/network/30-tillgate-";

pub(super) fn files(settings: &NetworkSettings) -> Vec<Wanted> {
    let mut all = bridge(settings);
    for port in &settings.guests.ports {
        if let Port::Vlan(_, number) = port {
            let name = port.name();
            all.push(wanted(&name, "netdev", format!("[NetDev]\nName={name}\nKind=vlan\n\n[VLAN]\nId={number}\n")));
        }
        all.push(wanted(&port.name(), "network", into_bridge(settings, &format!("Name={}", port.name()))));
    }
    if let Some(radio) = &settings.radio {
        let links = match radio.security {
            Security::Open => format!("{} {}", radio.link, hostapd::twin_link(radio)),
            Security::Passphrase { .. } => radio.link.to_string(),
        };
        // Before hostapd has made an access point of it, a radio can be no port of a bridge.
        let matched = format!("Name={links}\nWLANInterfaceType=ap");
        all.push(wanted(radio.link.as_str(), "network", into_bridge(settings, &matched)));
    }
    all.push(uplink(settings));
    all.extend(trunks(settings));
    all
}

fn wanted(name: &str, kind: &str, text: String) -> Wanted {
    Wanted { path: format!("{HEAD}{name}.{kind}").into(), text, secret: false, reader: Reader::Networkd }
}

fn bridge(settings: &NetworkSettings) -> Vec<Wanted> {
    let name = &settings.guests.bridge;
    let device = format!("[NetDev]\nName={name}\nKind=bridge\n\n[Bridge]\nSTP=no\nMulticastSnooping=yes\n");
    let mut network = format!("[Match]\nName={name}\n\n[Network]\nAddress={}\n", settings.guests.address);
    let local = if settings.guests.ipv6.is_some() { "ipv6" } else { "no" };
    // The address must be there before the first phone: the portal and dnsmasq wait for it.
    let _ = write!(network, "LinkLocalAddressing={local}\nIPv6AcceptRA=no\nConfigureWithoutCarrier=yes\n");
    let _ = write!(network, "DHCP=no\nLLDP=no\nEmitLLDP=no\n\n[Link]\nRequiredForOnline=no\n");
    if let Some(net) = settings.guests.ipv6 {
        // The portal cannot listen on an address that is still looked for among guests: it is the box's, whoever says not.
        let _ = write!(network, "\n[Address]\nAddress={net}\nDuplicateAddressDetection=none\n");
    }
    vec![wanted(name.as_str(), "netdev", device), wanted(name.as_str(), "network", network)]
}

/// A port: it has no address, and what comes from one port goes to no other.
fn into_bridge(settings: &NetworkSettings, matched: &str) -> String {
    format!(
        "[Match]\n{matched}\n\n[Network]\nBridge={}\nLinkLocalAddressing=no\nIPv6AcceptRA=no\nLLDP=no\nEmitLLDP=no\n\n\
         [Bridge]\nIsolated=yes\n\n[Link]\nRequiredForOnline=no\n",
        settings.guests.bridge
    )
}

fn vlans(settings: &NetworkSettings, of: &Link) -> String {
    let on = |port: &&Port| matches!(port, Port::Vlan(card, _) if card == of);
    settings.guests.ports.iter().filter(on).map(|port| format!("VLAN={}\n", port.name())).collect()
}

fn uplink(settings: &NetworkSettings) -> Wanted {
    let link = &settings.uplink.link;
    let mut text = format!("[Match]\nName={link}\n\n[Network]\n");
    let six = settings.guests.ipv6.is_some();
    match &settings.uplink.address {
        UplinkAddress::Dhcp => {
            let _ = writeln!(text, "DHCP={}", if six { "yes" } else { "ipv4" });
        }
        UplinkAddress::Fixed { address, gateway } => {
            let _ = write!(text, "Address={address}\nGateway={gateway}\n");
        }
    }
    for resolver in &settings.uplink.resolvers {
        let _ = writeln!(text, "DNS={resolver}");
    }
    let (accept, local) = if six { ("yes", "ipv6") } else { ("no", "no") };
    let _ = write!(text, "IPv6AcceptRA={accept}\nLinkLocalAddressing={local}\n{}", vlans(settings, link));
    wanted(link.as_str(), "network", text)
}

/// Cards that carry VLANs and nothing else: without an address of their own.
fn trunks(settings: &NetworkSettings) -> Vec<Wanted> {
    let whole = |card: &Link| settings.guests.ports.contains(&Port::Whole(card.clone()));
    let of_vlan = |port: &Port| match port {
        Port::Vlan(card, _) => Some(card.clone()),
        Port::Whole(_) => None,
    };
    let cards: BTreeSet<Link> = settings.guests.ports.iter().filter_map(of_vlan).collect();
    let cards = cards.into_iter().filter(|card| *card != settings.uplink.link && !whole(card));
    let trunk = |card: Link| {
        let vlans = vlans(settings, &card);
        let text = format!(
            "[Match]\nName={card}\n\n[Network]\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n{vlans}\n[Link]\n\
             RequiredForOnline=no\n"
        );
        wanted(card.as_str(), "network", text)
    };
    cards.map(trunk).collect()
}
