//! One phone that pretends to be thousands: the box stays bounded, and others are served.

use super::bed::{BOX, Bed, PORTAL};
use super::helper::{Helper, phone, stats};
use super::packets::{End, Servers, tcp};
use std::net::{IpAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const HARDWARE_ADDRESSES: u64 = 10_000;

/// From now on each packet of this phone comes from any hardware address, and from any address of the subnet.
fn disguise(bed: &Bed) {
    let phone = bed.phone(7);
    phone.has_many_faces("wlan0");
    let addresses: Vec<_> = (0..240).map(|n| format!("{n} : 192.168.50.{}", n + 10)).collect();
    phone.nft(&format!(
        "add rule netdev faces out ip saddr set numgen random mod 240 map {{ {} }}",
        addresses.join(", ")
    ));
}

/// Ends the flood, however the test ends.
struct Over<'o>(&'o AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn ten_thousand_hardware_addresses_fill_nothing_up_and_others_are_served() {
    let bed = Bed::new();
    let _box = Servers::open(&bed.the_box(), "box", &[PORTAL], &[53]);
    let _world = Servers::open(&bed.world(), "world", &[443], &[]);
    let helper = Helper::start(&bed, "");
    let other = bed.phone(8);
    // Not one of the addresses that the flood takes.
    other.moves_to("192.168.50.9");
    let portal: IpAddr = BOX.into();
    assert_eq!(tcp(&other, portal, PORTAL), End::Reached("box".to_owned()));
    disguise(&bed);
    let (over, flooding) = (AtomicBool::new(false), bed.phone(7));
    let sent = std::thread::scope(|scope| {
        let flood = scope.spawn(|| {
            flooding.enter();
            let socket = UdpSocket::bind("192.168.50.7:0").unwrap();
            let mut sent = 0_u64;
            while !over.load(Ordering::Relaxed) {
                for port in [53, 67, 443, PORTAL] {
                    sent += u64::from(socket.send_to(b"flood", (BOX, port)).is_ok());
                }
                sent += u64::from(socket.send_to(b"flood", ("198.51.100.10", 443)).is_ok());
            }
            sent
        });
        let ended = Over(&over);
        let since = Instant::now();
        let (mut tries, mut worst) = (0_u32, Duration::ZERO);
        while since.elapsed() < Duration::from_millis(1_500) {
            let began = Instant::now();
            assert_eq!(tcp(&other, portal, PORTAL), End::Reached("box".to_owned()), "after {tries} tries");
            worst = worst.max(began.elapsed());
            tries += 1;
        }
        let began = Instant::now();
        helper.caller().allow(phone(7), 60_000);
        println!("{tries} connections beside the flood, worst {worst:?}; a phone let through in {:?}", began.elapsed());
        drop(ended);
        flood.join().unwrap()
    });
    assert!(sent > 2 * HARDWARE_ADDRESSES, "{sent} packets are no flood");
    for set in ["knocks4", "lookups4", "up4"] {
        let text = String::from_utf8(bed.the_box().nft(&format!("list set inet tillgate {set}")).stdout).unwrap();
        assert!(text.matches("192.168.50.").count() <= 254, "{set}");
    }
    let remembered =
        bed.the_box().run(|| std::fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_count").unwrap());
    println!("{sent} packets, {} connections remembered", remembered.trim());
    assert!(remembered.trim().parse::<u32>().unwrap() < 60_000);
    assert_eq!(stats(&mut helper.caller()).restored, 0);
}

#[test]
fn a_flood_for_leases_reaches_the_server_as_a_trickle_and_one_phones_as_a_few() {
    for (disguised, expected) in [(false, 18..=21), (true, 50..=400)] {
        let bed = Bed::new();
        let _helper = Helper::start(&bed, "");
        if disguised {
            disguise(&bed);
        }
        let heard = flood_for_leases(&bed);
        assert!(expected.contains(&heard), "{heard} of 5,000 requests, disguised: {disguised}");
    }
}

/// 5,000 requests of one phone; how many of them reach the server.
fn flood_for_leases(bed: &Bed) -> usize {
    let server = bed.the_box().run(|| UdpSocket::bind("0.0.0.0:67").unwrap());
    server.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    bed.phone(7).run(|| {
        let socket = UdpSocket::bind("0.0.0.0:68").unwrap();
        (0..5_000).for_each(|_| drop(socket.send_to(&[1; 300], (BOX, 67))));
    });
    (0..5_000).take_while(|_| server.recv(&mut [0; 512]).is_ok()).count()
}
