//! A daemon whose date is wrong and jumps, by libfaketime; the clock that only counts is left alone, as on a real machine.

use crate::hardship::{confirm, pay};
use crate::rig::{Dress, Rig};
use crate::town::pause;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tillgate::shop::effect::Outcome;
use tillgate::till::player::{self, Ended};

const PRICE: u64 = 1_250;
const DAY_SECS: i64 = 86_400;

/// A rig whose daemon reads another date, so many seconds from the right one.
struct Misled {
    rig: Rig,
    offset: PathBuf,
}

impl Misled {
    fn by(secs: i64) -> Misled {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let offset = std::env::temp_dir().join(format!("tillgate-date-{}-{count}", std::process::id()));
        set(&offset, secs);
        let env = vec![
            ("LD_PRELOAD", library().display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", offset.display().to_string()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ];
        let mut rig = Rig::dressed(Dress { env, ..Dress::default() });
        rig.start();
        Misled { rig, offset }
    }

    fn jumps_to(&self, secs: i64) {
        set(&self.offset, secs);
    }
}

impl Drop for Misled {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.offset);
    }
}

/// In one go: a reader never sees half of it.
fn set(file: &PathBuf, secs: i64) {
    let fresh = file.with_extension("new");
    std::fs::write(&fresh, format!("{secs:+}\n")).unwrap();
    std::fs::rename(fresh, file).unwrap();
}

fn library() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").unwrap().map(|folder| folder.unwrap().path());
    let found = folders.map(|folder| folder.join("faketime/libfaketimeMT.so.1")).find(|file| file.exists());
    found.expect("libfaketime is missing, run: sudo apt-get install faketime")
}

fn seconds_since_1970() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

#[test]
fn a_box_that_starts_in_1970_sells_nothing_until_it_knows_the_date_and_then_everything() {
    let misled = Misled::by(3_600 - seconds_since_1970());
    let rig = &misled.rig;
    let mut phone = rig.paired();
    let refused = rig.till.asks(PRICE).end();
    assert!(
        matches!(&refused, Ended::Refused { reason, .. } if reason == "NO_CLOCK" || reason == "NO_LINE"),
        "{refused:?}"
    );
    println!("{refused:?}");
    // No certificate is judged by such a date, and phone and status say why nothing is sold.
    rig.stranger().reads("Paying by phone is not possible at the moment.");
    let socket = rig.stage.file("control.sock");
    let status = rig.tillgate(&["status", "--socket", socket.to_str().unwrap()]);
    let told = String::from_utf8(status.stdout).unwrap();
    assert!(told.contains("clock     NOT SET: new sales are refused"), "{told}");
    assert!(!told.contains("platform  up"), "{told}");
    assert!(rig.log().contains("the clock is not set: no new sales"), "{}", rig.log());
    misled.jumps_to(0);
    let until = std::time::Instant::now() + Duration::from_secs(60);
    // The platform is tried again now and then: a cashier asks again.
    let asked = loop {
        let asked = rig.till.asks(PRICE);
        if rig.till.accepts() {
            break asked;
        }
        assert!(std::time::Instant::now() < until, "it never sells: {:?}", asked.end());
        pause(Duration::from_secs(1));
    };
    let link = confirm(&mut phone);
    phone.pays(&link, "anna");
    assert_eq!(asked.result().outcome, player::Outcome::Approved);
    assert_eq!(rig.agree_on_one(), Outcome::Approved);
}

#[test]
fn a_date_that_jumps_a_day_forward_and_back_in_mid_payment_changes_no_outcome() {
    let misled = Misled::by(0);
    let rig = &misled.rig;
    let mut phone = rig.paired();
    for (asked_at, confirmed_at, paid_at) in
        [(DAY_SECS, 0, 0), (0, DAY_SECS, 0), (0, 0, DAY_SECS), (0, -DAY_SECS, DAY_SECS), (-DAY_SECS, DAY_SECS, 0)]
    {
        misled.jumps_to(asked_at);
        let asked = rig.till.asks(PRICE);
        phone.sees("/confirm");
        misled.jumps_to(confirmed_at);
        let link = confirm(&mut phone);
        misled.jumps_to(paid_at);
        phone.pays(&link, "anna");
        assert_eq!(asked.result().outcome, player::Outcome::Approved, "{asked_at} {confirmed_at} {paid_at}");
        phone.sees("/finish");
        phone.send("/finish");
        phone.stands();
        misled.jumps_to(0);
    }
    assert_eq!(rig.agree().len(), 5);
}

/// At a date at which no certificate holds, nothing that the platform says can be believed.
#[test]
fn a_payment_whose_platform_cannot_be_believed_for_the_date_is_unknown_and_not_failed() {
    for wrong in [3_600 - seconds_since_1970(), 20_000 * DAY_SECS] {
        let misled = Misled::by(0);
        let mut rig = misled;
        let mut phone = rig.rig.paired();
        let asked = rig.rig.till.asks(PRICE);
        let link = confirm(&mut phone);
        rig.jumps_to(wrong);
        // What was a connection is one no more: a new one needs the certificate.
        let away = rig.rig.stops_the_platform();
        rig.rig.starts_the_platform(away);
        phone.pays(&link, "anna");
        rig.rig.till.shows_step("CHECKING");
        pause(Duration::from_secs(3));
        assert_eq!(rig.rig.sales()[0].outcome(), None, "nothing is decided");
        rig.jumps_to(0);
        assert_eq!(asked.result().outcome, player::Outcome::Approved);
        assert_eq!(rig.rig.agree_on_one(), Outcome::Approved);
    }
}

#[test]
fn a_daemon_killed_at_one_date_and_started_at_another_finds_its_sales() {
    let misled = Misled::by(0);
    let mut misled = misled;
    let mut phone = misled.rig.paired();
    pay(&misled.rig, &mut phone);
    for there in [DAY_SECS, -DAY_SECS, 3_600 - seconds_since_1970()] {
        let asked = misled.rig.till.asks(PRICE);
        let link = confirm(&mut phone);
        misled.rig.kill();
        misled.jumps_to(there);
        misled.rig.start();
        misled.jumps_to(0);
        phone.pays(&link, "anna");
        assert_eq!(asked.result().outcome, player::Outcome::Approved, "{there}");
        phone.sees("/finish");
        phone.send("/finish");
        phone.stands();
    }
    assert_eq!(misled.rig.agree().len(), 4);
}
