//! Which hardware address is behind an address, as phones come, change and go.

use super::bed::{BOX, Bed, PORTAL, eventually};
use super::packets::{End, Servers, tcp};
use std::net::IpAddr;
use std::time::{Duration, Instant};
use tillgate::config::Config;
use tillgate::network::{Neighbours, NetworkSettings};

pub(super) fn settings(bed: &Bed, more: &str) -> NetworkSettings {
    Config::load_network(&super::helper::config(bed, more)).unwrap().unwrap()
}

#[test]
fn a_phone_is_known_from_its_first_packet_on_and_by_its_newest_hardware_address() {
    let bed = Bed::new();
    let _portal = Servers::open(&bed.the_box(), "box", &[PORTAL], &[]);
    let settings = settings(&bed, "");
    let here = bed.the_box();
    let neighbours = here.run(|| Neighbours::follow(&settings).unwrap());
    let of = |ip: [u8; 4]| here.run(|| neighbours.mac_of(IpAddr::from(ip)));
    assert_eq!(of([192, 168, 50, 7]), None);
    let come = |number: u8| assert_eq!(tcp(&bed.phone(number), BOX.into(), PORTAL), End::Reached("box".to_owned()));
    come(7);
    assert_eq!(of([192, 168, 50, 7]), Some([2, 0, 0, 0, 0, 7]));
    come(8);
    assert_eq!(of([192, 168, 50, 8]), Some([2, 0, 0, 0, 0, 8]));
    // Nobody, the box itself, and neighbours elsewhere.
    for ip in [[192, 168, 50, 99], [192, 168, 50, 1], [203, 0, 113, 2], [10, 1, 1, 5]] {
        assert_eq!(of(ip), None, "{ip:?}");
    }
    // The same phone with a new address.
    bed.phone(7).moves_to("192.168.50.77");
    come(7);
    assert_eq!(of([192, 168, 50, 77]), Some([2, 0, 0, 0, 0, 7]));
    // Another phone with its old address.
    bed.phone(8).moves_to("192.168.50.7");
    eventually("the old address is the other's", || {
        assert_eq!(tcp(&bed.phone(8), BOX.into(), PORTAL), End::Reached("box".to_owned()));
        of([192, 168, 50, 7]) == Some([2, 0, 0, 0, 0, 8])
    });
}

#[test]
fn asking_who_it_is_takes_microseconds_and_needs_no_right() {
    let bed = Bed::new();
    let _portal = Servers::open(&bed.the_box(), "box", &[PORTAL], &[]);
    let settings = settings(&bed, "");
    assert_eq!(tcp(&bed.phone(7), BOX.into(), PORTAL), End::Reached("box".to_owned()));
    let nobody = rustix::process::Uid::from_raw(65_534);
    bed.the_box().run(|| {
        rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
        let neighbours = Neighbours::follow(&settings).unwrap();
        let (known, unknown) = (IpAddr::from([192, 168, 50, 7]), IpAddr::from([192, 168, 50, 200]));
        eventually("it is known", || neighbours.mac_of(known).is_some());
        for (what, ip) in [("known", known), ("unknown", unknown)] {
            let since = Instant::now();
            let answers = (0..1_000).filter(|_| neighbours.mac_of(ip).is_some()).count();
            assert!(answers == 0 || answers == 1_000, "{answers}");
            let each = since.elapsed() / 1_000;
            println!("{what}: {each:?}");
            assert!(each < Duration::from_millis(1), "{what}: {each:?}");
        }
    });
}
