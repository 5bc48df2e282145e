//! Who may ask the helper, and what it refuses whoever asks.

use super::bed::{Bed, PLATFORM, eventually};
use super::helper::{Helper, phone};
use super::packets::{End, Servers, tcp};
use rustix::process::Uid;
use rustix::thread::set_thread_res_uid;
use std::fs::Permissions;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tillgate::network::{Answer, Phone, Refused, Request, Stats, WORD_BYTES, Way};

/// Does this as another user.
fn as_user<T: Send>(uid: u32, what: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            let uid = Uid::from_raw(uid);
            set_thread_res_uid(uid, uid, uid).unwrap();
            what()
        });
        other.join().unwrap()
    })
}

#[test]
fn only_the_daemons_user_is_heard() {
    let bed = Bed::new();
    let helper = Helper::start(&bed, "");
    assert!(as_user(65_534, || helper.caller()).is_sent_away());
    eventually("it is told", || helper.log().contains("sent away"));
    helper.caller().allow(phone(7), 1_000);

    let bed = Bed::new();
    let mut helper = Helper::start(&bed, "");
    helper.kill();
    let mut command = helper.command();
    let mut child = command.args(["--user", "nobody"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    eventually("it listens", || std::os::unix::net::UnixStream::connect(&helper.socket).is_ok());
    // Root is not the daemon's user either.
    assert!(helper.caller().is_sent_away());
    as_user(65_534, || helper.caller().allow(phone(7), 1_000));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn it_keeps_one_right_and_no_other() {
    let bed = Bed::new();
    let helper = Helper::start(&bed, "");
    let status = std::fs::read_to_string(format!("/proc/{}/status", helper.pid())).unwrap();
    let field = |name: &str| status.lines().find_map(|l| l.strip_prefix(name)).unwrap().trim().to_owned();
    let net_admin = format!("{:016x}", 1_u64 << 12);
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:"] {
        assert_eq!(field(set), net_admin, "{set}");
    }
    assert_eq!(field("NoNewPrivs:"), "1");
    assert!(helper.log().contains("CAP_NET_ADMIN and no other"), "{}", helper.log());
}

#[test]
fn without_its_one_right_it_says_so_and_ends() {
    let bed = Bed::new();
    let config = super::helper::config(&bed, "");
    let mut command = bed.the_box().command("/usr/bin/setpriv");
    let output = command
        .args(["--bounding-set", "-net_admin", "--inh-caps", "-all", "--"])
        .args([env!("CARGO_BIN_EXE_tillgate"), "netd", "--user", "0", "--config"])
        .arg(config)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && said.contains("CAP_NET_ADMIN is missing"), "{said}");
}

#[test]
fn whom_it_should_not_let_through_it_does_not_whoever_asks() {
    let bed = Bed::new();
    let _world = Servers::open(&bed.world(), "world", &[443], &[]);
    let helper = Helper::start(&bed, "[network.paying]\nreach = \"window\"\nlongest_secs = 60\n");
    let mut caller = helper.caller();
    let good = phone(7);
    let mut refused = 0;
    for (phone, ms, why) in [
        (good, 60_001, Refused::Time),
        (good, 0, Refused::Time),
        (good, u64::MAX, Refused::Time),
        (Phone { ip: [192, 168, 51, 7].into(), ..good }, 1_000, Refused::Address),
        (Phone { ip: [10, 1, 1, 5].into(), ..good }, 1_000, Refused::Address),
        (Phone { ip: [0, 0, 0, 0].into(), ..good }, 1_000, Refused::Address),
        (Phone { ip: [192, 168, 50, 1].into(), ..good }, 1_000, Refused::Address),
        (Phone { ip: [192, 168, 50, 255].into(), ..good }, 1_000, Refused::Address),
        // Of the bridge, and of all phones at once.
        (Phone { mac: [2, 0, 0, 0, 0, 1], ..good }, 1_000, Refused::Mac),
        (Phone { mac: [0xff; 6], ..good }, 1_000, Refused::Mac),
        (Phone { mac: [0; 6], ..good }, 1_000, Refused::Mac),
    ] {
        let answer = caller.ask(Request::Allow { phone, way: Way::Paying, ms });
        refused += 1;
        assert_eq!(answer, Answer::Refused(refused, why), "{phone:?} {ms}");
    }
    assert_eq!(tcp(&bed.phone(7), PLATFORM, 443), End::Refused);
    let Answer::Stats(_, stats) = caller.ask(Request::Stats) else { panic!("no stats") };
    assert_eq!((stats.paying, stats.online, stats.refused, stats.restored), (0, 0, refused, 0));
}

#[test]
fn no_more_phones_are_let_through_than_configured_and_those_that_are_can_be_said_again() {
    let bed = Bed::new();
    let helper = Helper::start(&bed, "[network.limits]\nphones_max = 3\n");
    let mut caller = helper.caller();
    (7..10).for_each(|n| caller.allow(phone(n), 60_000));
    let too_many = Request::Allow { phone: phone(10), way: Way::Paying, ms: 60_000 };
    assert_eq!(caller.ask(too_many), Answer::Refused(4, Refused::TooMany));
    caller.allow(phone(8), 30_000);
    caller.revoke(phone(7));
    caller.allow(phone(10), 60_000);
    // A sync may name no more either.
    caller.must(Request::SyncBegins);
    (7..10).for_each(|n| caller.allow(phone(n), 60_000));
    assert!(matches!(caller.ask(too_many), Answer::Refused(_, Refused::TooMany)));
    caller.must(Request::SyncEnds);
    let Answer::Stats(_, Stats { paying, .. }) = caller.ask(Request::Stats) else { panic!("no stats") };
    assert_eq!(paying, 3);
}

#[test]
fn nonsense_halves_and_those_who_do_not_listen_hold_nobody_up() {
    let bed = Bed::new();
    let helper = Helper::start(&bed, "");
    let mut mad = helper.caller();
    mad.say(&[0xff; WORD_BYTES]);
    assert_eq!(mad.hear(), Answer::Refused(0, Refused::Nonsense));
    assert!(matches!(mad.ask(Request::SyncEnds), Answer::Refused(_, Refused::Nonsense)), "no sync began");
    // One byte after the other.
    for byte in Request::Stats.to_word(9) {
        mad.say(&[byte]);
    }
    assert!(matches!(mad.hear(), Answer::Stats(9, _)));
    // Asks and asks, and never reads, until it is sent away.
    let mut deaf = helper.caller();
    let words: Vec<u8> = (0..64).flat_map(|n| Request::Stats.to_word(n)).collect();
    let talking = std::thread::spawn(move || while deaf.try_say(&words) {});
    let since = Instant::now();
    helper.caller().allow(phone(7), 1_000);
    assert!(since.elapsed() < Duration::from_secs(2), "{:?}", since.elapsed());
    talking.join().unwrap();
    helper.caller().allow(phone(7), 1_000);
}

#[test]
fn a_second_helper_does_not_take_the_place_of_the_first() {
    let bed = Bed::new();
    let helper = Helper::start(&bed, "");
    let output = helper.command().args(["--user", "0"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && said.contains("another helper answers there"), "{said}");
    helper.caller().allow(phone(7), 1_000);
}

#[test]
fn as_its_unit_starts_it_with_one_right_and_a_socket_from_the_service_manager_it_works_as_nobody() {
    let bed = Bed::new();
    let _world = Servers::open(&bed.world(), "world", &[443], &[]);
    let config = super::helper::config(&bed, "");
    let socket = bed.dir.join("passed.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    std::fs::set_permissions(&socket, Permissions::from_mode(0o666)).unwrap();
    // The service manager's way to pass a socket: the first after standard error, and who it is for.
    let pass = "exec 3<&0 0</dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\"";
    let one = ["--inh-caps", "-all,+net_admin", "--ambient-caps", "+net_admin", "--bounding-set", "-all,+net_admin"];
    let mut child = bed
        .the_box()
        .command("/usr/bin/setpriv")
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
        .args(one)
        .args(["--", "/bin/sh", "-c", pass, "sh", env!("CARGO_BIN_EXE_tillgate"), "netd", "--user", "0", "--config"])
        .arg(config)
        .stdin(OwnedFd::from(listener))
        .spawn()
        .unwrap();
    let mut caller = super::helper::caller_at(&socket);
    caller.allow(phone(7), 60_000);
    assert_eq!(tcp(&bed.phone(7), PLATFORM, 443), End::Reached("world".to_owned()));
    bed.the_box().nft("flush ruleset");
    assert_eq!(caller.hear(), Answer::Restored);
    assert_eq!(tcp(&bed.phone(7), PLATFORM, 443), End::Reached("world".to_owned()));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn what_it_would_load_can_be_seen_and_is_good_and_without_a_network_there_is_nothing_to_govern() {
    let bed = Bed::new();
    let netd = |config: &std::path::Path, how: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tillgate"));
        command.args(["netd", how, "--config"]).arg(config).output().unwrap()
    };
    let config = super::helper::config(&bed, "ipv6 = \"fd12:3456:789a:50::1/64\"\n");
    let rules = netd(&config, "--print");
    assert!(rules.status.success(), "{rules:?}");
    let file = bed.dir.join("rules.nft");
    std::fs::write(&file, rules.stdout).unwrap();
    let output = bed.the_box().command("/usr/sbin/nft").args(["-c", "-f"]).arg(file).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let empty = bed.dir.join("empty.toml");
    std::fs::write(&empty, "[portal]\nlisten = \"192.168.50.1:80\"\nurl = \"http://192.168.50.1\"\n").unwrap();
    let output = netd(&empty, "--print");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(2) && said.contains("has no [network]"), "{said}");
}
