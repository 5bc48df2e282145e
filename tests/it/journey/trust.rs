//! A daemon whose box has enrolled: its certificate lasts seconds and is renewed under it, with kills and bad answers, while
//! customers pay.

use super::rig::{Dress, Rig, eventually};
use super::{PRICE, confirm, confirm_and_pay};
use rustix::process::Signal;
use serde_json::Value;
use std::path::PathBuf;
use tillgate::demo::stage::Stage;
use tillgate::platform::identity::{Draft, Folder, Identity, Which};
use tillgate::sandbox::authority::Authority;
use tillgate::sandbox::{FaultKind, FaultyCall, certificates_given};
use tillgate::shop::effect::Outcome;
use tillgate::till::player;

/// How long a certificate lasts here: renewed after some eight seconds, with four left to try again.
const SHORT_SECS: u32 = 12;
/// Longer than a test.
const LONG_SECS: u32 = 3_600;
const RENEWED: &str = "the box's certificate is renewed";
const FAILED: &str = "the box's certificate could not be renewed";
/// Longer than anything here.
const HELD_MS: u64 = 600_000;

#[test]
fn a_payment_goes_on_while_the_certificate_is_renewed_under_it_and_nobody_restarts() {
    let rig = enrolled(SHORT_SECS);
    let (pid, first) = (rig.pid(), identity(&rig));
    let mut phone = rig.paired();
    let asked = rig.till.asks(PRICE);
    let link = confirm(&mut phone);
    let before = renewals(&rig);
    eventually("two renewals in the middle of a payment", || renewals(&rig) >= before + 2);
    phone.pays(&link, "anna");
    assert_eq!(asked.result().outcome, player::Outcome::Approved);
    assert_eq!(rig.agree_on_one(), Outcome::Approved);
    assert_eq!(rig.pid(), pid);
    assert!(!rig.log().contains(FAILED), "{}", rig.log());
    let now = identity(&rig);
    assert_ne!(now.name(), first.name());
    assert!(key(&now) != key(&first), "each certificate has a key of its own");
    let (state, until) = status(&rig);
    assert!(state == "good" || state == "ending", "{state}");
    assert!(until > first.life().until.0, "{until}");
}

#[test]
fn a_renewal_whose_answers_go_wrong_is_tried_again_and_said() {
    std::thread::scope(|scope| {
        for fault in [FaultKind::DropAnswer, FaultKind::Error500, FaultKind::Garbage, FaultKind::OtherKey] {
            scope.spawn(move || {
                println!("{fault:?}");
                let rig = enrolled(SHORT_SECS);
                rig.fault(FaultyCall::Renew, fault, 1, 0);
                eventually("it is said", || rig.log().contains(FAILED));
                let before = renewals(&rig);
                eventually("and tried again", || renewals(&rig) > before);
                eventually("no key is certified twice", || given(&rig) == 1 + renewals(&rig));
                pay(&rig);
            });
        }
    });
}

#[test]
fn a_new_certificate_that_the_platform_does_not_take_is_dropped_and_the_old_one_stays_until_another_is_proven() {
    let rig = enrolled(SHORT_SECS);
    let first = identity(&rig);
    // The new one is refused; the old one is answered.
    rig.fault(FaultyCall::Platform, FaultKind::Error500, 1, 0);
    eventually("it is said or was asked for another reason", || {
        rig.log().contains("does not take the certificate") || renewals(&rig) > 0
    });
    eventually("another is got", || renewals(&rig) > 0);
    assert_ne!(identity(&rig).name(), first.name());
    pay(&rig);
}

#[test]
fn killed_while_the_platform_answers_or_tries_the_new_one_the_box_is_whole_and_goes_on() {
    for (call, is_answered) in [(FaultyCall::Renew, false), (FaultyCall::Platform, true)] {
        println!("{call:?}");
        let mut rig = Rig::dressed(Dress::default());
        rig.enrols(SHORT_SECS);
        rig.start();
        let first = identity(&rig);
        let file = folder(&rig).file(Which::Renewing);
        // The daemon itself looks at the platform once a minute when nothing else does: it may take a switch.
        rig.fault(call, FaultKind::Delay, 1_000, HELD_MS);
        eventually("a renewal waits for the platform", || {
            let draft: Option<Value> = std::fs::read(&file).ok().and_then(|text| serde_json::from_slice(&text).ok());
            draft.is_some_and(|draft| draft["answer"].is_object() == is_answered)
        });
        rig.kill();
        assert_eq!(identity(&rig).name(), first.name(), "the old one is whole");
        rig.fault(call, FaultKind::Delay, 0, 0);
        rig.start();
        eventually("it is renewed", || rig.log().contains(RENEWED) || rig.log().contains("ENDED"));
        if rig.log().contains(RENEWED) {
            assert!(given(&rig) == 1 + renewals(&rig) || renewals(&rig) > 1, "the key that waited was taken up again");
        } else {
            // A machine that was too slow for a certificate of seconds: the way out is a new code.
            rig.enrols_again();
            rig.signal(Signal::HUP);
        }
        pay(&rig);
    }
}

#[test]
fn a_certificate_that_has_ended_is_said_loudly_and_a_new_code_mends_it_without_a_restart() {
    let mut rig = Rig::dressed(Dress::default());
    rig.enrols(SHORT_SECS);
    let mut away = rig.stops_the_platform();
    rig.start();
    let pid = rig.pid();
    eventually("it has ended", || rig.log().contains("HAS ENDED"));
    let (state, _) = status(&rig);
    assert_eq!(state, "ended");
    let said = String::from_utf8(doctor(&rig)).unwrap();
    assert!(said.contains("WRONG  certificate   has ended") && said.contains("tillgate enroll URL CODE"), "{said}");
    away.times.certificate_secs = LONG_SECS;
    rig.starts_the_platform(away);
    rig.enrols_again();
    rig.signal(Signal::HUP);
    eventually("it is taken", || rig.log().contains("read anew"));
    eventually("all is well", || status(&rig).0 == "good");
    eventually("the platform is asked at once", || platform(&rig) == "up");
    assert_eq!(rig.pid(), pid);
    pay(&rig);
    let said = String::from_utf8(doctor(&rig)).unwrap();
    assert!(said.contains("ok     certificate"), "{said}");
}

#[test]
fn an_enrolled_daemon_reads_its_identity_anew_and_a_damaged_one_changes_nothing() {
    let rig = enrolled(LONG_SECS);
    let file = folder(&rig).file(Which::Identity);
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, "scribble").unwrap();
    rig.signal(Signal::HUP);
    eventually("it is refused", || rig.log().contains("stay as they were"));
    pay(&rig);
    std::fs::write(&file, whole).unwrap();
    rig.enrols_again();
    rig.signal(Signal::HUP);
    eventually("the new one is taken", || rig.log().contains("read anew"));
    pay(&rig);
}

#[test]
fn where_the_configuration_says_that_the_platform_is_renewals_go_too() {
    let mut rig = Rig::dressed(Dress::default());
    rig.enrols(SHORT_SECS);
    let (file, config) = (folder(&rig).file(Which::Identity), rig.stage.file("tillgate.toml"));
    let here = identity(&rig).url().to_owned();
    let moved = std::fs::read_to_string(&file).unwrap().replace(&here, "https://127.0.0.1:1");
    std::fs::write(&file, moved).unwrap();
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("{text}\n[platform]\nurl = \"{here}\"\n")).unwrap();
    rig.start();
    pay(&rig);
    eventually("it is renewed", || renewals(&rig) > 0);
    assert!(rig.log().contains("is enrolled at https://127.0.0.1:1"), "{}", rig.log());
}

#[test]
fn a_certificate_that_people_renew_is_spoken_of_before_its_end_and_left_alone() {
    let mut rig = Rig::dressed(Dress { folder: Some(ends_in_a_minute), ..Dress::default() });
    rig.start();
    eventually("it is said", || rig.log().contains("the box's certificate ends: get a new one"));
    assert_eq!(json(&rig)["certificate"]["state"], "ending");
    assert_eq!(json(&rig)["certificate"]["renews_at"], Value::Null, "people renew it");
    let said = String::from_utf8(doctor(&rig)).unwrap();
    assert!(said.contains("WRONG  certificate   ends") && said.contains("put it where [platform] says"), "{said}");
    pay(&rig);
    assert!(!rig.stage.file("platform").exists(), "nobody has enrolled");
    assert_eq!(rig.log().matches("certificate ends").count(), 1, "once a day");
}

/// The box's certificate that the configuration names is one of an hour, of which a minute is left.
fn ends_in_a_minute(stage: &Stage) {
    let certificates = stage.platform().certificates;
    let draft = serde_json::to_value(Draft::new("https://pay.example", "").unwrap()).unwrap();
    let begun = jiff::Timestamp::now().as_millisecond() - 59 * 60_000;
    let authority = Authority::load(&certificates).unwrap();
    let signed = authority.certify_request(draft["request"].as_str().unwrap(), begun, 3_600).unwrap();
    std::fs::write(&certificates.shop_box.certificate, signed.certificate).unwrap();
    std::fs::write(&certificates.shop_box.key, draft["key"].as_str().unwrap()).unwrap();
}

// Below: how the tests speak.

fn enrolled(certificate_secs: u32) -> Rig {
    let mut rig = Rig::dressed(Dress::default());
    rig.enrols(certificate_secs);
    rig.start();
    rig
}

fn folder(rig: &Rig) -> Folder {
    Folder::below(&rig.stage.file(""))
}

fn identity(rig: &Rig) -> Identity {
    folder(rig).identity().unwrap().expect("an identity")
}

fn key(identity: &Identity) -> Value {
    serde_json::to_value(identity.draft()).unwrap()["key"].clone()
}

fn renewals(rig: &Rig) -> usize {
    rig.log().matches(RENEWED).count()
}

/// How many keys the platform has certified.
fn given(rig: &Rig) -> usize {
    certificates_given(&rig.stage.platform_books()).unwrap().len()
}

/// How the daemon says that the certificate stands, and until when (ms).
fn status(rig: &Rig) -> (String, i64) {
    let certificate = &json(rig)["certificate"];
    let until: jiff::Timestamp = certificate["until"].as_str().unwrap().parse().unwrap();
    (certificate["state"].as_str().unwrap().to_owned(), until.as_millisecond())
}

fn platform(rig: &Rig) -> String {
    json(rig)["platform"]["state"].as_str().unwrap().to_owned()
}

/// What the daemon says of itself. Its socket opens a little later than the portal.
fn json(rig: &Rig) -> Value {
    let mut status = None;
    eventually("the daemon answers", || {
        let output = rig.tillgate(&["status", "--json", "--socket", rig.stage.file("control.sock").to_str().unwrap()]);
        status = serde_json::from_slice(&output.stdout).ok();
        status.is_some()
    });
    status.unwrap()
}

fn doctor(rig: &Rig) -> Vec<u8> {
    let config: PathBuf = rig.stage.file("tillgate.toml");
    rig.tillgate(&["doctor", "--config", config.to_str().unwrap()]).stdout
}

fn pay(rig: &Rig) {
    let mut phone = rig.paired();
    let asked = rig.till.asks(PRICE);
    confirm_and_pay(&mut phone);
    assert_eq!(asked.result().outcome, player::Outcome::Approved);
    phone.sees("/finish");
    phone.send("/finish");
}
