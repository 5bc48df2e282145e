//! One phone that asks for too much of the real services: addresses, names, and somebody else's place.

use super::bed::{Bed, said, wait};
use super::house::House;
use super::machine::Machine;
use super::packets::{End, connected, echoes, tcp};
use super::phone::Phone;
use super::world::{BIG, ECHO, PLATFORM_IP};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tillgate::till::player::Outcome;

const BOX: Ipv4Addr = Ipv4Addr::new(192, 168, 50, 1);
/// Phones that get no address for so long look for another network.
const LEASE_PATIENCE: Duration = Duration::from_secs(10);

/// Addresses that there are for phones.
const POOL: usize = 245;

/// Ends a flood, however the test ends.
struct Over<'o>(&'o AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A request of a phone with this number for an address, which it takes at once (RFC 4039).
fn discover(number: u32) -> Vec<u8> {
    let mut request = vec![1, 1, 6, 0];
    request.extend(number.to_be_bytes());
    request.extend([0, 0, 0x80, 0]);
    request.extend([0; 16]);
    request.extend([2, 0x99]);
    request.extend(number.to_be_bytes());
    request.resize(236, 0);
    request.extend([99, 130, 83, 99, 53, 1, 1, 80, 0, 255]);
    request.resize(300, 0);
    request
}

/// Requests of ever new phones from one, until it is over; how many.
fn asks_for_leases(from: &Machine, over: &AtomicBool) -> u32 {
    from.enter();
    let socket = UdpSocket::bind("0.0.0.0:68").unwrap();
    socket.set_broadcast(true).unwrap();
    let mut number = 0;
    while !over.load(Ordering::Relaxed) {
        number += u32::from(socket.send_to(&discover(number), "255.255.255.255:67").is_ok());
    }
    number
}

fn leases(bed: &Bed) -> usize {
    bed.log("leases").lines().count()
}

/// Others' share is left to them, and the flood's own is small.
#[test]
fn one_phone_that_asks_for_thousands_of_addresses_gets_few_and_others_get_theirs() {
    let house = House::open("leases");
    let flooding = house.bed.machine("two");
    Phone::joins(&house.bed, "two");
    let over = AtomicBool::new(false);
    let (sent, took) = std::thread::scope(|scope| {
        let flood = scope.spawn(|| asks_for_leases(&flooding, &over));
        let ended = Over(&over);
        let since = Instant::now();
        wait(|| since.elapsed() > Duration::from_secs(2), String::new);
        let began = Instant::now();
        let phone = Phone::joins(&house.bed, "one");
        let took = began.elapsed();
        assert!(phone.is_captive());
        drop(ended);
        (flood.join().unwrap(), took)
    });
    println!("{sent} requests, {} leases; another phone's within {took:?}", leases(&house.bed));
    assert!(sent > 2_000, "{sent} requests are no flood");
    assert!(took < LEASE_PATIENCE, "{took:?}");
    assert!(leases(&house.bed) < 40, "{}", house.bed.log("leases"));
}

/// An access point lets through what its own phones send, and each of those has one hardware address. Where it does not, or
/// somebody joins thousands of times, addresses run out until leases end; whoever has one goes on.
#[test]
fn one_that_joins_as_thousands_takes_all_addresses_and_whoever_has_one_goes_on() {
    let house = House::open("faces");
    let flooding = house.bed.machine("two");
    Phone::joins(&house.bed, "two");
    let mut phone = Phone::joins(&house.bed, "one");
    flooding.has_many_faces("eth0");
    let over = AtomicBool::new(false);
    let (sent, took) = std::thread::scope(|scope| {
        let flood = scope.spawn(|| asks_for_leases(&flooding, &over));
        let ended = Over(&over);
        wait(|| leases(&house.bed) == POOL, || house.bed.log("leases"));
        let began = Instant::now();
        phone.stands();
        let took = began.elapsed();
        drop(ended);
        (flood.join().unwrap(), took)
    });
    println!(
        "{sent} requests of thousands, {} leases; another went from probe to till within {took:?}",
        leases(&house.bed)
    );
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(leases(&house.bed), POOL);
    let before = phone.ip;
    wait(|| house.bed.lease("one", &[])["ip"] == before.to_string(), || house.bed.log("leases"));
}

fn query(name: &str) -> Vec<u8> {
    let mut query = vec![0x54, 0x47, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        query.push(u8::try_from(label.len()).unwrap());
        query.extend(label.as_bytes());
    }
    query.extend([0, 0, 16, 0, 1]);
    query
}

/// Names that have left the box. The resolver may ask for one twice.
fn left(bed: &Bed) -> usize {
    let log = bed.log("upstream.log");
    let names: BTreeSet<_> =
        log.lines().filter_map(|line| line.split_once("query[TXT] ")).map(|(_, rest)| rest).collect();
    names.len()
}

#[test]
fn what_is_carried_through_names_is_a_trickle_by_udp_and_tcp() {
    let house = House::open("tunnel");
    Phone::joins(&house.bed, "one");
    let machine = house.bed.machine("one");
    let time = Duration::from_secs(3);
    let (by_udp, heard) = machine.run(|| {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.connect((BOX, 53)).unwrap();
        socket.set_nonblocking(true).unwrap();
        let (since, mut sent, mut heard) = (Instant::now(), 0_u32, 0_usize);
        while since.elapsed() < time {
            sent += u32::from(socket.send(&query(&format!("{sent}.{}.tunnel.example", "y".repeat(60)))).is_ok());
            while let Ok(count) = socket.recv(&mut [0; 2_048]) {
                heard += count;
            }
        }
        (sent, heard)
    });
    let out = left(&house.bed);
    println!("by UDP: {by_udp} sent, {out} left the box, {heard} bytes came back");
    assert!(by_udp > 5_000 && (20..500).contains(&out));
    let (by_tcp, heard) = machine.run(|| tunnels_by_tcp(time));
    let more = left(&house.bed) - out;
    println!("by TCP: {by_tcp} sent, {more} left the box, {heard} bytes came back");
    assert!((10..400).contains(&more) && heard < 200_000);
    // Who asks for as much as others is answered as ever.
    wait(|| house.bed.dig("one", BIG, "TXT").0 == "NOERROR", || house.bed.log("dnsmasq.log"));
}

/// As many questions as go, on as many connections as go; how many, and the bytes of the answers.
fn tunnels_by_tcp(time: Duration) -> (u32, usize) {
    let (since, mut sent, mut heard) = (Instant::now(), 0_u32, 0_usize);
    while since.elapsed() < time {
        let soon = Duration::from_millis(200);
        let Ok(mut stream) = TcpStream::connect_timeout(&(BOX, 53).into(), soon) else { continue };
        stream.set_read_timeout(Some(soon)).unwrap();
        let mut bytes = vec![0; 64 << 10];
        while since.elapsed() < time {
            let mut asked = Vec::new();
            for _ in 0..20 {
                let up = format!("{sent}.{}.tunnel.example", "z".repeat(60));
                let one = query(if sent % 2 == 0 { &up } else { BIG });
                asked.extend(u16::try_from(one.len()).unwrap().to_be_bytes());
                asked.extend(one);
                sent += 1;
            }
            if stream.write_all(&asked).is_err() {
                break;
            }
            match stream.read(&mut bytes) {
                Ok(0) | Err(_) => break,
                Ok(count) => heard += count,
            }
        }
    }
    (sent, heard)
}

/// The firewall goes by hardware address and address together. What a forger can do is be in the way while it is there.
#[test]
fn who_claims_the_address_of_a_payer_reaches_nothing_and_the_payer_goes_on_when_it_has_gone() {
    let house = House::open("claimed");
    let mut payer = Phone::joins(&house.bed, "one");
    Phone::joins(&house.bed, "two");
    let (mine, forger) = (house.bed.machine("one"), house.bed.machine("two"));
    payer.stands();
    let sale = house.till.asks(1_250);
    payer.confirms();
    let mut open = connected(&mine, ECHO, 443);
    assert!(echoes(&mut open));
    forger.ip("address flush dev eth0");
    forger.ip(&format!("address add {}/24 dev eth0", payer.ip));
    forger.ip("route replace default via 192.168.50.1");
    let ip = payer.ip.to_string();
    let neighbour = || said(&house.bed.inside("gw", "ip", &["neighbour", "show", &ip]));
    let forged = forger.mac("eth0");
    let claims = || {
        house.bed.inside("two", "busybox", &["arping", "-U", "-c", "1", "-w", "1", "-I", "eth0", &ip]);
        neighbour().contains(&forged)
    };
    wait(claims, neighbour);
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(3) {
        assert_eq!(tcp(&forger, ECHO, 443), End::Refused);
        assert_eq!(tcp(&forger, PLATFORM_IP.into(), 443), End::Refused);
        claims();
    }
    assert_eq!(house.elements("paying4"), [format!("{} . {ip}", mine.mac("eth0"))]);
    forger.ip("link set eth0 down");
    let gone = Instant::now();
    wait(|| reaches(&mine), neighbour);
    println!("the payer connects again {:?} after the forger has gone", gone.elapsed());
    assert!(gone.elapsed() < Duration::from_secs(12), "{:?}", gone.elapsed());
    wait(|| echoes(&mut open), neighbour);
    println!("what it had open goes on {:?} after that", gone.elapsed());
    payer.pays();
    assert_eq!(sale.result().outcome, Outcome::Approved);
}

fn reaches(machine: &Machine) -> bool {
    machine.run(|| TcpStream::connect_timeout(&(ECHO, 443).into(), Duration::from_millis(500)).is_ok())
}
