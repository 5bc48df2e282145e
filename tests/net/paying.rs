//! How far a paying phone gets, and when that ends.

use super::bed::{BANK, Bed, PLATFORM, PORTAL, PRIVATE, SHOP_TILL, eventually};
use super::helper::{Helper, phone, stats};
use super::packets::{End, Servers, connected, echoes, looks_up, ping, resolver, tcp, udp};
use std::io::Write;
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tillgate::network::{Answer, Phone, Request, Way};

fn world(bed: &Bed) -> [Servers; 3] {
    [
        Servers::open(&bed.world(), "world", &[53, 80, 443, 853], &[53, 443]),
        Servers::open(&bed.machine("lan"), "shop", &[443], &[]),
        Servers::open(&bed.the_box(), "box", &[22, PORTAL], &[53]),
    ]
}

fn reached(name: &str) -> End {
    End::Reached(name.to_owned())
}

#[test]
fn in_a_pay_window_a_phone_reaches_port_443_of_the_world_and_stays_captive_otherwise() {
    let bed = Bed::new();
    let _world = world(&bed);
    let helper = Helper::start(&bed, "");
    helper.caller().allow(phone(7), 60_000);
    let (payer, other) = (bed.phone(7), bed.phone(8));
    for (what, is, should) in [
        ("the platform", tcp(&payer, PLATFORM, 443), reached("world")),
        ("a bank", tcp(&payer, BANK, 443), reached("world")),
        ("the portal", tcp(&payer, [192, 168, 50, 1].into(), PORTAL), reached("box")),
        ("a probe", tcp(&payer, PLATFORM, 80), reached("box")),
        ("names", udp(&payer, PLATFORM, 53), reached("box")),
        ("DNS over TLS", tcp(&payer, PLATFORM, 853), End::Refused),
        ("QUIC", udp(&payer, PLATFORM, 443), End::Refused),
        ("NTP", udp(&payer, PLATFORM, 123), End::Refused),
        ("ping", ping(&payer, PLATFORM), End::Refused),
        ("the shop's till", tcp(&payer, SHOP_TILL, 443), End::Refused),
        ("a private network behind the uplink", tcp(&payer, PRIVATE, 443), End::Refused),
        ("the box's shell", tcp(&payer, [192, 168, 50, 1].into(), 22), End::Refused),
        ("somebody else", tcp(&other, PLATFORM, 443), End::Refused),
    ] {
        assert_eq!(is, should, "{what}");
    }
}

#[test]
fn a_phone_that_is_online_reaches_the_world_as_it_is_and_nothing_of_the_shop() {
    let bed = Bed::new();
    let _world = world(&bed);
    let helper = Helper::start(&bed, "");
    helper.caller().must(Request::Allow { phone: phone(7), way: Way::Online, ms: 60_000 });
    let free = bed.phone(7);
    for (what, is, should) in [
        ("a probe", tcp(&free, PLATFORM, 80), reached("world")),
        ("TLS", tcp(&free, BANK, 443), reached("world")),
        ("QUIC", udp(&free, BANK, 443), reached("world")),
        ("its own resolver", udp(&free, PLATFORM, 53), reached("world")),
        ("ping", ping(&free, PLATFORM), reached("echo")),
        ("the shop's till", tcp(&free, SHOP_TILL, 443), End::Refused),
        ("a private network behind the uplink", tcp(&free, PRIVATE, 443), End::Refused),
        ("the box's shell", tcp(&free, [192, 168, 50, 1].into(), 22), End::Refused),
    ] {
        assert_eq!(is, should, "{what}");
    }
}

#[test]
fn whoever_is_let_through_no_more_is_cut_off_in_the_middle_of_a_connection() {
    let bed = Bed::new();
    let _world = world(&bed);
    let helper = Helper::start(&bed, "");
    let mut caller = helper.caller();
    caller.allow(phone(7), 60_000);
    let mut open = connected(&bed.phone(7), PLATFORM, 443);
    assert!(echoes(&mut open));
    caller.revoke(phone(7));
    assert!(!echoes(&mut open), "a connection outlives its permit");
    assert_eq!(tcp(&bed.phone(7), PLATFORM, 443), End::Refused);
    // Nobody there: that is how it is wanted.
    caller.revoke(phone(7));
}

#[test]
fn when_its_time_is_over_the_kernel_itself_cuts_a_phone_off_and_a_new_time_is_a_new_one() {
    let bed = Bed::new();
    let _world = world(&bed);
    let mut helper = Helper::start(&bed, "");
    let mut caller = helper.caller();
    caller.allow(phone(7), 60_000);
    let since = Instant::now();
    caller.allow(phone(7), 3_000);
    caller.allow(phone(8), 1_000);
    caller.allow(phone(8), 60_000);
    let (mut short, mut long) = (connected(&bed.phone(7), PLATFORM, 443), connected(&bed.phone(8), PLATFORM, 443));
    drop(caller);
    helper.kill();
    eventually("the time is over", || !echoes(&mut short));
    assert!((2_000..9_000).contains(&since.elapsed().as_millis()), "{:?}", since.elapsed());
    assert!(echoes(&mut long));
    assert_eq!(tcp(&bed.phone(7), PLATFORM, 443), End::Refused);
}

#[test]
fn a_pay_window_is_limited_in_bytes_and_in_bytes_a_second() {
    let bed = Bed::new();
    let servers = world(&bed);
    let limits = "[network.paying]\nreach = \"window\"\nmegabytes_max = 1\nkilobytes_per_sec = 512\n";
    let helper = Helper::start(&bed, limits);
    helper.caller().allow(phone(7), 60_000);
    let since = Instant::now();
    let mut open = connected(&bed.phone(7), PLATFORM, 443);
    open.set_write_timeout(Some(Duration::from_secs(3))).unwrap();
    let piece = vec![b'x'; 64 << 10];
    // Far more than it may.
    let _ = (0..64).try_for_each(|_| open.write_all(&piece));
    let _ = open.shutdown(Shutdown::Both);
    let moved = servers[0].swallowed.load(Ordering::Relaxed);
    assert!((256 << 10..=1 << 20).contains(&moved), "{moved} bytes came through");
    // The first half of it at once, the rest at its pace.
    assert!(since.elapsed() > Duration::from_millis(500), "{:?}", since.elapsed());
    assert_eq!(tcp(&bed.phone(7), PLATFORM, 443), End::Refused, "what it may move is moved");
    // A new permit is a new window.
    helper.caller().allow(phone(7), 50_000);
    assert_eq!(tcp(&bed.phone(7), PLATFORM, 443), reached("world"));
}

#[test]
fn where_only_some_hosts_are_in_reach_no_other_is() {
    let bed = Bed::new();
    let _world = world(&bed);
    let helper = Helper::start(&bed, "[network.paying]\nreach = \"hosts\"\nhosts = [\"pay.example.com\"]\n");
    helper.caller().allow(phone(7), 60_000);
    assert_eq!(tcp(&bed.phone(7), PLATFORM, 443), End::Refused, "no name was looked up yet");
    // As the resolver does it.
    bed.the_box().nft("add element inet tillgate garden4 { 198.51.100.10 }");
    assert_eq!(tcp(&bed.phone(7), PLATFORM, 443), reached("world"));
    assert_eq!(tcp(&bed.phone(7), BANK, 443), End::Refused);
    assert_eq!(tcp(&bed.phone(8), PLATFORM, 443), End::Refused, "who does not pay");
    assert!(!helper.log().contains("put back"), "the resolver's work is no meddling: {}", helper.log());
}

#[test]
fn the_platforms_hosts_are_those_that_the_phones_own_look_ups_found() {
    let bed = Bed::new();
    let _world = Servers::open(&bed.world(), "world", &[443], &[]);
    let _resolver = resolver(&bed.world(), "203.0.113.2");
    let helper = Helper::start(&bed, "[network.paying]\nreach = \"hosts\"\nhosts = [\"pay.example.com\"]\n");
    let dnsmasq = "/usr/sbin/dnsmasq";
    assert!(std::fs::exists(dnsmasq).unwrap(), "{dnsmasq} is missing: apt-get install dnsmasq-base");
    let mut ours = bed
        .the_box()
        .command(dnsmasq)
        .args(["--keep-in-foreground", "--conf-file=/dev/null", "--pid-file=", "--no-hosts", "--no-resolv"])
        .args(["--listen-address=192.168.50.1", "--bind-interfaces", "--server=203.0.113.2", "--user=root"])
        .arg("--nftset=/pay.example.com/4#inet#tillgate#garden4")
        .spawn()
        .unwrap();
    let mut caller = helper.caller();
    caller.allow(phone(7), 60_000);
    let payer = bed.phone(7);
    eventually("names are found", || looks_up(&payer, [192, 168, 50, 1].into(), "bank.example.org"));
    assert_eq!(tcp(&payer, PLATFORM, 443), End::Refused);
    // Whichever resolver it asks.
    assert!(looks_up(&payer, [8, 8, 8, 8].into(), "pay.example.com"));
    assert_eq!(tcp(&payer, PLATFORM, 443), reached("world"));
    assert_eq!(tcp(&payer, BANK, 443), End::Refused);
    assert_eq!(tcp(&bed.phone(8), PLATFORM, 443), End::Refused, "who does not pay");
    let uptime = stats(&mut caller).uptime_secs;
    eventually("the helper has looked", || stats(&mut caller).uptime_secs > uptime + 1);
    assert_eq!(stats(&mut caller).restored, 0, "the resolver's work is no meddling");
    bed.the_box().nft("flush ruleset");
    assert_eq!(caller.hear(), Answer::Restored);
    // The resolver has the name by heart now and will not put it there again.
    assert!(looks_up(&payer, [192, 168, 50, 1].into(), "pay.example.com"));
    assert_eq!(tcp(&payer, PLATFORM, 443), reached("world"));
    ours.kill().unwrap();
    ours.wait().unwrap();
}

#[test]
fn a_phone_has_its_share_of_connections_and_look_ups_and_others_have_theirs() {
    let bed = Bed::new();
    let _world = world(&bed);
    let limits = "[network.limits]\nconnections_per_sec = 5\nlookups_per_sec = 5\n";
    let _helper = Helper::start(&bed, limits);
    let (greedy, other) = (bed.phone(7), bed.phone(8));
    let portal: IpAddr = [192, 168, 50, 1].into();
    let answered = greedy.run(|| {
        let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.connect((portal, 53)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        let sent = (0..500).filter(|_| socket.send(b"tunnel").is_ok()).count();
        assert!(sent > 400);
        (0..500).take_while(|_| socket.recv(&mut [0; 64]).is_ok()).count()
    });
    assert!((5..100).contains(&answered), "{answered} of 500 look-ups were answered");
    assert_eq!(udp(&other, portal, 53), reached("box"));
    // The system of a phone would try again after a second.
    let soon = Duration::from_millis(50);
    let connections = greedy
        .run(|| (0..60).filter(|_| TcpStream::connect_timeout(&SocketAddr::new(portal, PORTAL), soon).is_ok()).count());
    assert!((5..40).contains(&connections), "{connections} connections at once");
    assert_eq!(tcp(&other, portal, PORTAL), reached("box"));
}

#[test]
fn letting_a_phone_through_takes_less_than_a_millisecond() {
    let bed = Bed::new();
    let helper = Helper::start(&bed, "");
    let mut caller = helper.caller();
    let mut took: Vec<Duration> = Vec::new();
    for n in 0..1_000_u32 {
        let [.., high, low] = n.to_be_bytes();
        let one =
            Phone { mac: [2, 0, 0, 1, high, low], ip: [192, 168, 50, 10 + u8::try_from(n % 200).unwrap()].into() };
        let since = Instant::now();
        caller.allow(one, 60_000);
        took.push(since.elapsed());
        caller.revoke(one);
    }
    took.sort();
    let (median, high, worst) = (took[500], took[990], took[999]);
    println!("asked and done: median {median:?}, 99 of 100 within {high:?}, worst {worst:?}");
    assert!(median < Duration::from_millis(1), "{median:?}");
}
