//! The machine beneath: kernel switches of a router, and a clock that may be wrong at start. Knows no service.

use super::{Reader, Wanted};
use crate::network::settings::NetworkSettings;
use std::fmt::Write;

/// Tracked connections for each phone that may be let through, at least.
const CONNECTIONS_PER_PHONE: u32 = 64;
const CONNECTIONS_MIN: u32 = 16_384;
/// Neighbours beyond our phones that the kernel remembers: strangers come, too.
const NEIGHBOURS_SPARE: u32 = 4_096;
/// By version 6 a phone has one address of the link, one that lasts, and one that changes.
const ADDRESSES_PER_PHONE_SIX: u32 = 3;

pub(super) fn sysctl(settings: &NetworkSettings) -> Wanted {
    let bridge = &settings.guests.bridge;
    let phones = settings.limits.phones_max;
    let neighbours = phones.saturating_mul(2).saturating_add(NEIGHBOURS_SPARE);
    let connections = phones.saturating_mul(CONNECTIONS_PER_PHONE).max(CONNECTIONS_MIN);
    let six = u8::from(settings.guests.ipv6.is_some());
    let mut text = String::new();
    let _ = write!(
        text,
        "# Packets go on to other networks; the firewall, which stands before any interface is up, says which.\n\
         net.ipv4.ip_forward = 1\nnet.ipv6.conf.all.forwarding = {six}\n\n\
         # Addresses that cannot come from there are dropped, and nobody tells anybody of another way.\n\
         -net.ipv4.conf.{key}.rp_filter = 1\n-net.ipv4.conf.{key}.accept_redirects = 0\n\
         -net.ipv4.conf.{key}.send_redirects = 0\n-net.ipv4.conf.{key}.accept_source_route = 0\n\
         -net.ipv4.conf.{key}.arp_ignore = 2\n\n\
         # Who claims another\'s address is doubted soon, and the right one found again seconds after it has gone.\n\
         -net.ipv4.neigh.{key}.base_reachable_time_ms = 5000\n\
         -net.ipv4.neigh.{key}.delay_first_probe_time = 1\n-net.ipv4.neigh.{key}.ucast_solicit = 1\n",
        // A dot in a name is written as a slash.
        key = bridge.as_str().replace('.', "/"),
    );
    if settings.guests.ipv6.is_none() {
        let _ = writeln!(text, "-net.ipv6.conf.{}.disable_ipv6 = 1", bridge.as_str().replace('.', "/"));
    }
    let _ = write!(
        text,
        "\n# Room for phones that come and go with new addresses.\n\
         net.ipv4.neigh.default.gc_thresh1 = {}\nnet.ipv4.neigh.default.gc_thresh2 = {}\n\
         net.ipv4.neigh.default.gc_thresh3 = {neighbours}\n-net.netfilter.nf_conntrack_max = {connections}\n\
         net.ipv4.tcp_syncookies = 1\n",
        neighbours / 8,
        neighbours / 2,
    );
    if settings.guests.ipv6.is_some() {
        let neighbours = neighbours.saturating_mul(ADDRESSES_PER_PHONE_SIX);
        let _ = write!(
            text,
            "net.ipv6.neigh.default.gc_thresh1 = {}\nnet.ipv6.neigh.default.gc_thresh2 = {}\n\
             net.ipv6.neigh.default.gc_thresh3 = {neighbours}\n",
            neighbours / 8,
            neighbours / 2,
        );
    }
    Wanted { path: "etc/sysctl.d/60-tillgate.conf".into(), text, secret: false, reader: Reader::Sysctl }
}

pub(super) fn chrony() -> Wanted {
    let text = "# Without a battery the clock is years behind at start, and after a long cut of the uplink seconds: it may\n\
                # jump whenever it is that wrong. Nothing here goes by it but certificates and receipts.\n\
                makestep 5 -1\nrtcsync\n\n# This machine tells nobody the time, least of all guests.\nport 0\ncmdport 0\n";
    Wanted {
        path: "etc/chrony/conf.d/tillgate.conf".into(),
        text: text.to_owned(),
        secret: false,
        reader: Reader::Chrony,
    }
}
