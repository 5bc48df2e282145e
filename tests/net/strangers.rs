//! What strangers get to: the portal, names, DHCP, and nothing else of the box or beyond.

use super::bed::{BANK, BOX, Bed, Machine, PLATFORM, PORTAL, PRIVATE, SHOP_TILL};
use super::helper::{Helper, phone};
use super::packets::{End, Servers, connected, ping, tcp, udp};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

const WEB: [u16; 5] = [53, 80, 443, 853, 8_443];

/// All that could be reached, if it were not for the firewall.
struct Everybody(#[allow(dead_code)] Vec<Servers>);

fn everybody(bed: &Bed) -> Everybody {
    Everybody(vec![
        Servers::open(&bed.world(), "world", &WEB, &[53, 443, 123]),
        Servers::open(&bed.machine("lan"), "shop", &[22, 443], &[]),
        Servers::open(&bed.the_box(), "box", &[22, 53, 443, PORTAL], &[53, 67, 5_353]),
        Servers::open(&bed.phone(8), "phone8", &[80, 443], &[443]),
    ])
}

fn reached(name: &str) -> End {
    End::Reached(name.to_owned())
}

fn own(ip: Ipv4Addr) -> IpAddr {
    IpAddr::V4(ip)
}

#[test]
fn a_stranger_reaches_the_portal_and_names_and_is_refused_all_else_at_once() {
    let bed = Bed::new();
    let _all = everybody(&bed);
    let _helper = Helper::start(&bed, "");
    let stranger = bed.phone(7);
    let boxes = own(BOX);
    let of_box_outside: IpAddr = [203, 0, 113, 1].into();
    let other: IpAddr = [192, 168, 50, 8].into();
    // What is turned to the box comes as if the host that was asked answered.
    let rows: &[(&str, End, End)] = &[
        ("portal", tcp(&stranger, boxes, PORTAL), reached("box")),
        ("any host's port 80", tcp(&stranger, PLATFORM, 80), reached("box")),
        ("any resolver by UDP", udp(&stranger, PLATFORM, 53), reached("box")),
        ("any resolver by TCP", tcp(&stranger, PLATFORM, 53), reached("box")),
        ("the box's resolver", udp(&stranger, boxes, 53), reached("box")),
        ("the portal's address by ping", ping(&stranger, boxes), reached("echo")),
        ("the platform", tcp(&stranger, PLATFORM, 443), End::Refused),
        ("another port of it", tcp(&stranger, PLATFORM, 8_443), End::Refused),
        ("a bank", tcp(&stranger, BANK, 443), End::Refused),
        ("DNS over TLS", tcp(&stranger, PLATFORM, 853), End::Refused),
        ("QUIC", udp(&stranger, PLATFORM, 443), End::Refused),
        ("NTP", udp(&stranger, PLATFORM, 123), End::Refused),
        ("the world by ping", ping(&stranger, PLATFORM), End::Refused),
        ("the shop's till", tcp(&stranger, SHOP_TILL, 22), End::Refused),
        ("the shop's till, TLS", tcp(&stranger, SHOP_TILL, 443), End::Refused),
        ("the shop's till by ping", ping(&stranger, SHOP_TILL), End::Refused),
        ("a private network behind the uplink", tcp(&stranger, PRIVATE, 443), End::Refused),
        ("the box's shell", tcp(&stranger, boxes, 22), End::Refused),
        ("the box's TLS, where the portal has none", tcp(&stranger, boxes, 443), End::Refused),
        ("the box by its other address", tcp(&stranger, of_box_outside, PORTAL), End::Refused),
        ("the box's shell by its other address", tcp(&stranger, of_box_outside, 22), End::Refused),
        ("mDNS of the box", udp(&stranger, boxes, 5_353), End::Refused),
        ("another phone", tcp(&stranger, other, 443), End::Silence),
    ];
    for (what, is, should) in rows {
        assert_eq!(is, should, "{what}");
    }
}

#[test]
fn guests_do_not_reach_one_another_through_the_box() {
    let bed = Bed::new();
    let _all = everybody(&bed);
    let helper = Helper::start(&bed, "");
    helper.caller().allow(phone(7), 60_000);
    helper.caller().allow(phone(8), 60_000);
    let phone7 = bed.phone(7);
    // The other's address by way of the box, as a phone that will not be kept apart would try.
    phone7.ip("route add 192.168.50.8/32 via 192.168.50.1");
    for of in ["all", "guests"] {
        let file = format!("/proc/sys/net/ipv4/conf/{of}/send_redirects");
        bed.the_box().run(|| std::fs::write(file, "0").unwrap());
    }
    let other = IpAddr::from([192, 168, 50, 8]);
    assert_eq!(tcp(&phone7, other, 443), End::Refused);
    assert_eq!(udp(&phone7, other, 443), End::Refused);
    assert_eq!(ping(&phone7, other), End::Refused);
}

#[test]
fn nobody_outside_begins_to_speak_with_a_phone_even_if_it_is_let_through() {
    let bed = Bed::new();
    let _all = everybody(&bed);
    let helper = Helper::start(&bed, "");
    helper.caller().allow(phone(8), 60_000);
    for from in [bed.world(), bed.machine("lan")] {
        from.ip(if from.namespace.ends_with("world") {
            "route add 192.168.50.0/24 via 203.0.113.1"
        } else {
            "route add 192.168.50.0/24 via 10.1.1.1"
        });
        assert_eq!(tcp(&from, [192, 168, 50, 8].into(), 443), End::Silence, "{}", from.namespace);
        assert_eq!(udp(&from, [192, 168, 50, 8].into(), 443), End::Silence, "{}", from.namespace);
    }
}

/// The address of phone 7 in the hands of phone 8, which keeps its own hardware address.
fn with_address(bed: &Bed, ip: &str) -> Machine {
    let thief = bed.phone(8);
    thief.ip("addr flush dev wlan0");
    thief.ip(&format!("addr add {ip}/24 dev wlan0"));
    thief.ip("route add default via 192.168.50.1");
    thief
}

#[test]
fn the_address_or_the_hardware_address_of_a_paying_phone_alone_opens_nothing() {
    let bed = Bed::new();
    let _all = everybody(&bed);
    let helper = Helper::start(&bed, "");
    helper.caller().allow(phone(7), 60_000);
    assert_eq!(tcp(&bed.phone(7), PLATFORM, 443), reached("world"));
    bed.phone(7).ip("link set wlan0 down");
    // The address without the hardware address.
    let thief = with_address(&bed, "192.168.50.7");
    assert_eq!(tcp(&thief, own(BOX), PORTAL), reached("box"));
    assert_eq!(tcp(&thief, PLATFORM, 443), End::Refused);
    // The hardware address without the address.
    thief.ip("link set wlan0 down");
    thief.ip("link set wlan0 address 02:00:00:00:00:07 up");
    let thief = with_address(&bed, "192.168.50.8");
    assert_eq!(tcp(&thief, own(BOX), PORTAL), reached("box"));
    assert_eq!(tcp(&thief, PLATFORM, 443), End::Refused);
    // An address of no guest, and the box's own, get not even an answer.
    for ip in ["10.1.1.77", "192.168.50.1"] {
        let thief = bed.phone(8);
        thief.ip("addr flush dev wlan0");
        thief.ip(&format!("addr add {ip}/24 dev wlan0"));
        thief.ip("route add default dev wlan0");
        let to = SocketAddr::new(PLATFORM, 443);
        let heard = thief.run(|| {
            let socket = UdpSocket::bind((ip, 0)).unwrap();
            socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
            socket.send_to(b"hello", to).and_then(|_| socket.recv(&mut [0; 64])).is_ok()
        });
        assert!(!heard, "{ip}");
    }
}

#[test]
fn without_version_six_nothing_of_it_is_let_in_or_through() {
    let bed = Bed::new();
    bed.lay_six();
    let _all = everybody(&bed);
    let helper = Helper::start(&bed, "");
    helper.caller().allow(phone(7), 60_000);
    let phone7 = bed.phone(7);
    for to in ["2001:db8:77::10", "2001:db8:77::1", "fd12:3456:789a:50::1"] {
        let to: IpAddr = to.parse().unwrap();
        for port in [80, 443, PORTAL] {
            assert_eq!(tcp(&phone7, to, port), End::Silence, "{to} {port}");
        }
        assert_eq!(udp(&phone7, to, 53), End::Silence, "{to}");
    }
    assert_eq!(tcp(&phone7, PLATFORM, 443), reached("world"));
}

#[test]
fn with_version_six_it_is_held_to_the_same_rules() {
    let bed = Bed::new();
    bed.lay_six();
    let _all = everybody(&bed);
    let helper = Helper::start(&bed, "ipv6 = \"fd12:3456:789a:50::1/64\"\n");
    let (phone7, phone8) = (bed.phone(7), bed.phone(8));
    let (world, boxes): (IpAddr, IpAddr) =
        ("2001:db8:77::10".parse().unwrap(), "fd12:3456:789a:50::1".parse().unwrap());
    let stranger = |who: &Machine| {
        assert_eq!(tcp(who, boxes, PORTAL), reached("box"));
        assert_eq!(tcp(who, world, 80), reached("box"));
        assert_eq!(udp(who, world, 53), reached("box"));
        assert_eq!(tcp(who, world, 443), End::Refused);
        assert_eq!(udp(who, world, 443), End::Refused);
        assert_eq!(tcp(who, boxes, 22), End::Refused);
    };
    stranger(&phone7);
    let mut caller = helper.caller();
    caller.allow(phone(7), 60_000);
    assert_eq!(tcp(&phone7, world, 443), reached("world"));
    assert_eq!(tcp(&phone7, world, 853), End::Refused);
    let mut open = connected(&phone7, world, 443);
    assert!(super::packets::echoes(&mut open));
    stranger(&phone8);
    caller.revoke(phone(7));
    assert!(!super::packets::echoes(&mut open), "a connection outlives its permit");
    stranger(&phone7);
}

#[test]
fn before_the_network_is_up_nobody_gets_anywhere() {
    let bed = Bed::new();
    let _all = everybody(&bed);
    let config = super::helper::config(&bed, "");
    let text = std::fs::read_to_string(&config).unwrap();
    // However wrong the file is, the bridge may be there from before.
    for (good, text) in [(true, text.clone()), (false, format!("{text}\nnonsense\n")), (false, String::new())] {
        std::fs::write(&config, text).unwrap();
        bed.the_box().nft("flush ruleset");
        let mut close = bed.the_box().command(env!("CARGO_BIN_EXE_tillgate"));
        let output = close.args(["netd", "--closed", "--config"]).arg(&config).output().unwrap();
        assert_eq!(output.status.success(), good, "{output:?}");
        let stranger = bed.phone(7);
        for (to, port) in [(own(BOX), PORTAL), (PLATFORM, 443)] {
            assert_eq!(tcp(&stranger, to, port), End::Silence, "{to} {port}");
        }
        assert_eq!(udp(&stranger, own(BOX), 53), End::Silence);
        // The box's own traffic is none of its affair.
        assert_eq!(tcp(&bed.the_box(), PLATFORM, 443), reached("world"));
    }
}
