//! Whom the helper lets through at all, whatever it is asked. Changes nothing.

use super::super::phone::{self, Phone, Way};
use super::super::settings::{NetworkSettings, Paying};
use super::super::words::Refused;
use ipnet::Ipv4Net;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

/// Where the system lists its interfaces.
const INTERFACES: &str = "/sys/class/net";

/// What the helper knows by itself.
#[derive(Debug)]
pub(super) struct Guard {
    subnet: Ipv4Net,
    own: Ipv4Addr,
    own_macs: BTreeSet<[u8; 6]>,
    paying_ms_max: u64,
    online_ms_max: u64,
}

impl Guard {
    pub(super) fn new(settings: &NetworkSettings) -> Guard {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let online_ms_max = ms(settings.limits.reach_longest);
        Guard {
            subnet: settings.guests.subnet(),
            own: settings.guests.address.addr(),
            own_macs: BTreeSet::new(),
            paying_ms_max: match &settings.paying {
                Paying::Window(window) => ms(window.longest),
                Paying::Hosts(_) => online_ms_max,
            },
            online_ms_max,
        }
    }

    /// Looks which interfaces this box has now.
    pub(super) fn look_at_interfaces(&mut self) {
        let all = std::fs::read_dir(Path::new(INTERFACES)).into_iter().flatten().flatten();
        let macs = all.filter_map(|link| phone::mac(std::fs::read_to_string(link.path().join("address")).ok()?.trim()));
        self.own_macs = macs.collect();
    }

    /// Whether a phone may be let through so far and so long.
    pub(super) fn may(&self, phone: &Phone, way: Way, ms: u64) -> Result<(), Refused> {
        let edges = [self.subnet.network(), self.subnet.broadcast(), self.own];
        if !self.subnet.contains(&phone.ip) || edges.contains(&phone.ip) {
            return Err(Refused::Address);
        }
        let [first, ..] = phone.mac;
        if phone.mac == [0; 6] || first & 1 == 1 || self.own_macs.contains(&phone.mac) {
            return Err(Refused::Mac);
        }
        let max = match way {
            Way::Paying => self.paying_ms_max,
            Way::Online => self.online_ms_max,
        };
        if (1..=max).contains(&ms) { Ok(()) } else { Err(Refused::Time) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::ruleset::tests::settings;
    use super::*;

    #[test]
    fn only_guests_are_let_through_and_for_no_longer_than_configured() {
        let mut guard = Guard::new(&settings());
        guard.own_macs.insert([2, 0, 0, 0, 0, 1]);
        let good = Phone { mac: [2, 0, 0, 0, 0, 7], ip: Ipv4Addr::new(192, 168, 50, 7) };
        let at = |ip: [u8; 4]| Phone { ip: Ipv4Addr::from(ip), ..good };
        let of = |mac: [u8; 6]| Phone { mac, ..good };
        for (phone, way, ms, answer) in [
            (good, Way::Paying, 600_000, Ok(())),
            (good, Way::Paying, 600_001, Err(Refused::Time)),
            (good, Way::Paying, u64::MAX, Err(Refused::Time)),
            (good, Way::Paying, 0, Err(Refused::Time)),
            (good, Way::Online, 86_400_000, Ok(())),
            (good, Way::Online, 86_400_001, Err(Refused::Time)),
            (at([192, 168, 51, 7]), Way::Paying, 1, Err(Refused::Address)),
            (at([192, 168, 50, 1]), Way::Paying, 1, Err(Refused::Address)),
            (at([192, 168, 50, 0]), Way::Paying, 1, Err(Refused::Address)),
            (at([192, 168, 50, 255]), Way::Paying, 1, Err(Refused::Address)),
            (at([224, 0, 0, 1]), Way::Paying, 1, Err(Refused::Address)),
            (at([127, 0, 0, 1]), Way::Paying, 1, Err(Refused::Address)),
            (of([2, 0, 0, 0, 0, 1]), Way::Paying, 1, Err(Refused::Mac)),
            (of([1, 0, 0x5e, 0, 0, 1]), Way::Paying, 1, Err(Refused::Mac)),
            (of([0xff; 6]), Way::Paying, 1, Err(Refused::Mac)),
            (of([0; 6]), Way::Paying, 1, Err(Refused::Mac)),
        ] {
            assert_eq!(guard.may(&phone, way, ms), answer, "{phone:?} {way:?} {ms}");
        }
    }
}
