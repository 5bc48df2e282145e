//! dnsmasq: addresses and names for guests, and what tells their phones of the portal. Knows no firewall rule.

use super::{Reader, Wanted};
use crate::network::settings::{GARDEN, NetworkSettings, Paying, TABLE};
use std::fmt::Write;

/// Where Debian's dnsmasq looks for more.
const PATH: &str = "etc/dnsmasq.d/tillgate.conf";
/// DHCP option 114 and DHCPv6 option 103 (RFC 8910). dnsmasq has no names for them.
const CAPPORT: u8 = 114;
const CAPPORT_SIX: u8 = 103;
/// Private Relay and DNS over HTTPS take a phone around the portal; these names tell both to stay away when they do not
/// exist (Apple, Mozilla).
const MUST_NOT_EXIST: [&str; 3] = ["mask.icloud.com", "mask-h2.icloud.com", "use-application-dns.net"];
/// How long answers may be kept where they fill the firewall's set: only what is asked for anew is put there.
const CACHE_SECS_MAX: u32 = 300;

pub(super) fn file(settings: &NetworkSettings) -> Wanted {
    let mut text = String::new();
    names(&mut text, settings);
    addresses(&mut text, settings);
    if settings.guests.ipv6.is_some() {
        six(&mut text, settings);
    }
    garden(&mut text, settings);
    Wanted { path: PATH.into(), text, secret: false, reader: Reader::Dnsmasq }
}

/// Writing to a `String` cannot fail.
fn line(text: &mut String, args: std::fmt::Arguments<'_>) {
    let _ = writeln!(text, "{args}");
}

fn names(text: &mut String, settings: &NetworkSettings) {
    let guests = &settings.guests;
    line(text, format_args!("# Guests only: the rest of this machine goes on as it did."));
    line(text, format_args!("interface={}\nexcept-interface=lo\nbind-dynamic", guests.bridge));
    line(text, format_args!("\n# Names: whom to ask, and what never leaves this machine."));
    match settings.uplink.resolvers.as_slice() {
        [] => line(text, format_args!("resolv-file=/run/systemd/resolve/resolv.conf")),
        named => {
            line(text, format_args!("no-resolv"));
            named.iter().for_each(|resolver| line(text, format_args!("server={resolver}")));
        }
    }
    line(text, format_args!("no-hosts\ndomain-needed\nbogus-priv\ncache-size=2000\nedns-packet-max=1232"));
    if guests.ipv6.is_none() {
        line(text, format_args!("filter-AAAA"));
    }
    if let Some(name) = &settings.portal.name {
        line(text, format_args!("\n# The portal. `local`: of this name nobody else is asked anything."));
        let six = guests.ipv6.map_or(String::new(), |net| format!(",{}", net.addr()));
        line(text, format_args!("host-record={name},{}{six}\nlocal=/{name}/", guests.address.addr()));
    }
    line(text, format_args!("\n# Without these names, Private Relay and DNS over HTTPS leave the portal alone."));
    MUST_NOT_EXIST.iter().for_each(|name| line(text, format_args!("address=/{name}/")));
}

fn addresses(text: &mut String, settings: &NetworkSettings) {
    let guests = &settings.guests;
    let ((first, last), mask, own) = (guests.pool, guests.address.netmask(), guests.address.addr());
    line(
        text,
        format_args!("\n# Addresses. Nothing a phone calls itself becomes a name, and no phone stands in the log."),
    );
    line(text, format_args!("dhcp-authoritative\ndhcp-rapid-commit\nno-ping\ndhcp-ignore-names"));
    line(text, format_args!("quiet-dhcp\nquiet-dhcp6"));
    line(text, format_args!("dhcp-range={first},{last},{mask},{}", guests.lease.as_secs()));
    line(text, format_args!("dhcp-lease-max={}", settings.limits.phones_max));
    line(text, format_args!("dhcp-option=option:router,{own}\ndhcp-option=option:dns-server,{own}"));
    if let Some(api) = settings.portal.api() {
        line(text, format_args!("\n# The portal's API (RFC 8910), told to every phone whether it asks or not."));
        line(text, format_args!("dhcp-option-force={CAPPORT},{api}"));
    }
}

fn six(text: &mut String, settings: &NetworkSettings) {
    let bridge = &settings.guests.bridge;
    let lease = settings.guests.lease.as_secs();
    line(
        text,
        format_args!(
            "\n# Version 6: `tillgate advertise` tells phones who the router is, and they make their own addresses; what else there"
        ),
    );
    line(text, format_args!("# is to know they can ask by DHCP, too. It has no addresses to give (`static`)."));
    line(text, format_args!("dhcp-range=::,constructor:{bridge},static,64,{lease}"));
    line(text, format_args!("dhcp-option=option6:dns-server,[::]"));
    if let Some(api) = settings.portal.api() {
        line(text, format_args!("dhcp-option-force=option6:{CAPPORT_SIX},{api}"));
    }
}

fn garden(text: &mut String, settings: &NetworkSettings) {
    let Paying::Hosts(hosts) = &settings.paying else { return };
    let [four, six] = GARDEN;
    line(text, format_args!("\n# What paying phones may reach: addresses go to the firewall as phones look them up."));
    line(text, format_args!("# HTTPS records carry addresses that would pass by it."));
    line(text, format_args!("filter-rr=HTTPS\nmax-cache-ttl={CACHE_SECS_MAX}"));
    for host in hosts {
        match settings.guests.ipv6 {
            None => line(text, format_args!("nftset=/{host}/4#inet#{TABLE}#{four}")),
            Some(_) => line(text, format_args!("nftset=/{host}/4#inet#{TABLE}#{four},6#inet#{TABLE}#{six}")),
        }
    }
}
