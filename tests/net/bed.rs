//! The test bed: a box with a bridge of guests, two phones, the shop's own network and a world, each a namespace of its own
//! that ends with the bed.
//!
//! ```text
//! phone 7  192.168.50.7  ---\                      /--- world: 203.0.113.2, 198.51.100.10 (platform), .20 (a bank)
//!                            guests  [the box]  wan                and 192.168.77.5, 2001:db8:77::10
//! phone 8  192.168.50.8  ---/                      \--- lan: the shop's own 10.1.1.0/24, a till at 10.1.1.5
//! ```

pub(super) use super::machine::{Machine, eventually};

use super::machine::ip;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

pub(super) const BOX: Ipv4Addr = Ipv4Addr::new(192, 168, 50, 1);
pub(super) const PLATFORM: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 10));
pub(super) const BANK: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 20));
/// On a network that is somebody's own, behind the uplink.
pub(super) const PRIVATE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 77, 5));
pub(super) const SHOP_TILL: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 1, 1, 5));
pub(super) const PORTAL: u16 = 8_080;

static BEDS: AtomicU32 = AtomicU32::new(0);

/// The whole of it. Dropped, nothing of it is left.
pub(super) struct Bed {
    name: String,
    pub(super) dir: PathBuf,
}

impl Bed {
    pub(super) fn new() -> Bed {
        for (tool, package) in [("/usr/sbin/nft", "nftables"), ("/usr/sbin/ip", "iproute2")] {
            assert!(std::fs::exists(tool).unwrap(), "{tool} is missing: apt-get install {package}");
        }
        assert!(rustix::process::geteuid().is_root(), "namespaces need root");
        let name = format!("tg{}x{}", std::process::id(), BEDS.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(&name);
        std::fs::create_dir(&dir).unwrap();
        let bed = Bed { name, dir };
        for machine in ["box", "phone7", "phone8", "world", "lan"] {
            ip(&format!("netns add {}", bed.machine(machine).namespace));
            bed.machine(machine).ip("link set lo up");
        }
        bed.lay_guests();
        bed.lay_world();
        bed
    }

    pub(super) fn machine(&self, name: &str) -> Machine {
        Machine { namespace: format!("{}{name}", self.name) }
    }

    pub(super) fn the_box(&self) -> Machine {
        self.machine("box")
    }

    /// 7 or 8.
    pub(super) fn phone(&self, number: u8) -> Machine {
        self.machine(&format!("phone{number}"))
    }

    pub(super) fn world(&self) -> Machine {
        self.machine("world")
    }

    fn lay_guests(&self) {
        let the_box = self.the_box();
        the_box.ip("link add guests type bridge");
        the_box.ip("link set guests address 02:00:00:00:00:01 up");
        the_box.ip("addr add 192.168.50.1/24 dev guests");
        for number in [7, 8] {
            let phone = self.phone(number);
            the_box.ip(&format!("link add p{number} type veth peer name wlan0 netns {}", phone.namespace));
            the_box.ip(&format!("link set p{number} master guests up"));
            // What access points do between their own phones.
            the_box.ip(&format!("link set p{number} type bridge_slave isolated on"));
            phone.ip(&format!("link set wlan0 address 02:00:00:00:00:0{number} up"));
            phone.ip(&format!("addr add 192.168.50.{number}/24 dev wlan0"));
            phone.ip("route add default via 192.168.50.1");
        }
        the_box.run(|| {
            std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
            std::fs::write("/proc/sys/net/ipv6/conf/all/forwarding", "1").unwrap();
        });
    }

    fn lay_world(&self) {
        let (the_box, world, lan) = (self.the_box(), self.world(), self.machine("lan"));
        the_box.ip(&format!("link add wan type veth peer name net0 netns {}", world.namespace));
        the_box.ip(&format!("link add lan type veth peer name eth0 netns {}", lan.namespace));
        the_box.ip("addr add 203.0.113.1/24 dev wan");
        the_box.ip("addr add 10.1.1.1/24 dev lan");
        for link in ["wan", "lan"] {
            the_box.ip(&format!("link set {link} up"));
        }
        world.ip("link set net0 up");
        for address in ["203.0.113.2/24", "198.51.100.10/32", "198.51.100.20/32", "192.168.77.5/32"] {
            world.ip(&format!("addr add {address} dev net0"));
        }
        the_box.ip("route add default via 203.0.113.2");
        lan.ip("link set eth0 up");
        lan.ip("addr add 10.1.1.5/24 dev eth0");
        lan.ip("route add default via 10.1.1.1");
    }

    /// Gives everybody addresses by version 6, and ways between them.
    pub(super) fn lay_six(&self) {
        let (the_box, world) = (self.the_box(), self.world());
        the_box.ip("addr add fd12:3456:789a:50::1/64 dev guests nodad");
        the_box.ip("addr add 2001:db8:77::1/64 dev wan nodad");
        world.ip("addr add 2001:db8:77::10/64 dev net0 nodad");
        for number in [7, 8] {
            let phone = self.phone(number);
            phone.ip(&format!("addr add fd12:3456:789a:50::{number}/64 dev wlan0 nodad"));
            phone.ip("route add default via fd12:3456:789a:50::1 dev wlan0");
            // Even if the box does not say where it is.
            phone.ip("neigh replace fd12:3456:789a:50::1 lladdr 02:00:00:00:00:01 dev wlan0 nud permanent");
        }
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        for machine in ["box", "phone7", "phone8", "world", "lan"] {
            let namespace = self.machine(machine).namespace;
            let _ = Command::new("/usr/sbin/ip").args(["netns", "del", &namespace]).output();
        }
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
