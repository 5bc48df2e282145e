//! The daemon as a process among others: its signals, and the commands that ask it and read its books.

use super::rig::{Phone, Rig, TILL, eventually};
use super::{PRICE, confirm, confirm_and_pay};
use rustix::net::{AddressFamily, SocketType};
use rustix::process::Signal;
use serde_json::Value;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Output;
use tillgate::shop::effect::Outcome;
use tillgate::store::verify;
use tillgate::till::player;

#[test]
fn a_daemon_told_to_stop_ends_well_and_the_next_one_goes_on_with_the_sale() {
    let mut rig = Rig::new();
    let mut phone = rig.paired();
    let asked = rig.till.asks(PRICE);
    let link = confirm(&mut phone);
    assert_eq!(rig.stop().code(), Some(0));
    rig.start();
    phone.sees("/give-up");
    phone.pays(&link, "anna");
    assert_eq!(asked.result().outcome, player::Outcome::Approved);
    assert_eq!(rig.agree_on_one(), Outcome::Approved);
    assert_eq!(rig.stop().code(), Some(0));
}

#[test]
fn with_few_files_and_many_silent_connections_phones_still_pay() {
    let mut rig = Rig::new();
    rig.kill();
    rig.start_with_files(256);
    let silent: Vec<TcpStream> = (0..400_u16)
        .map(|n| {
            let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
            let phone = [127, 0, 1, u8::try_from(n % 40 + 1).unwrap()];
            rustix::net::bind(&socket, &SocketAddr::from((phone, 0))).unwrap();
            rustix::net::connect(&socket, &rig.stage.portal).unwrap();
            TcpStream::from(socket)
        })
        .collect();
    let mut phone = rig.paired();
    let asked = rig.till.asks(PRICE);
    confirm_and_pay(&mut phone);
    assert_eq!(asked.result().outcome, player::Outcome::Approved);
    assert_eq!(rig.agree_on_one(), Outcome::Approved);
    assert!(!rig.log().contains("cannot accept"), "{}", rig.log());
    drop(silent);
}

#[test]
fn keys_and_pins_are_read_anew_on_sighup_and_bad_ones_change_nothing() {
    let mut rig = Rig::new();
    let mut phone = rig.paired();
    let good = std::fs::read(rig.stage.key()).unwrap();
    std::fs::write(rig.stage.key(), "no key").unwrap();
    rig.signal(Signal::HUP);
    eventually("the key is refused", || rig.log().contains("pins, certificates and key stay as they were"));
    std::fs::write(rig.stage.key(), good).unwrap();
    pay(&rig, &mut phone);

    rig.renews_all_keys();
    rig.signal(Signal::HUP);
    eventually("the key is taken", || rig.log().contains("pins, certificates and key read anew"));
    pay(&rig, &mut phone);
    assert_eq!(rig.agree().len(), 2);
}

#[test]
fn the_commands_ask_a_running_daemon_in_the_middle_of_a_sale() {
    let rig = Rig::new();
    let (socket, config) = (rig.stage.file("control.sock"), rig.stage.file("tillgate.toml"));
    let (socket, config) = (text(&socket), text(&config));
    let mut phone = rig.paired();
    let asked = rig.till.asks(PRICE);
    let link = confirm(&mut phone);

    let status = json(&rig.tillgate(&["status", "--json", "--socket", socket]));
    let (till, sale) = (&status["tills"][0], &status["sales"][0]);
    assert_eq!((till["number"].to_string().as_str(), &till["online"]), (TILL, &Value::Bool(true)), "{status}");
    assert_eq!((sale["state"].as_str(), status["phones"].as_u64()), (Some("paying"), Some(1)), "{status}");
    let told = String::from_utf8(good(&rig.tillgate(&["status", "--socket", socket])).to_vec()).unwrap();
    assert!(told.contains("paying") && !told.contains("checkout/"), "{told}");

    phone.pays(&link, "anna");
    asked.result();
    rig.agree();
    let sales = json(&rig.tillgate(&["sales", "--json", "--config", config]));
    assert_eq!(sales.as_array().unwrap().len(), 1);
    assert_eq!((sales[0]["amount"].as_str(), sales[0]["state"].as_str()), (Some("12.50"), Some("approved")), "{sales}");

    let copy = rig.stage.file("copy.db");
    good(&rig.tillgate(&["backup", text(&copy), "--socket", socket]));
    let of_copy = json(&rig.tillgate(&["sales", "--json", "--db", text(&copy)]));
    assert_eq!(of_copy, sales);
    good(&rig.tillgate(&["verify", "--db", text(&copy)]));
    good(&rig.tillgate(&["verify", "--config", config]));
    let heads = [rig.stage.shop_books(), copy].map(|file| verify(&file, &mut |_, _| {}).unwrap().head);
    assert_eq!(heads[0], heads[1]);
}

/// A whole payment; the phone stands at the till before and after.
fn pay(rig: &Rig, phone: &mut Phone) {
    let asked = rig.till.asks(PRICE);
    confirm_and_pay(phone);
    assert_eq!(asked.result().outcome, player::Outcome::Approved);
    phone.sees("/finish");
    phone.send("/finish");
    phone.stands();
}

fn good(output: &Output) -> &[u8] {
    assert!(output.status.success(), "{output:?}");
    &output.stdout
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(good(output)).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
