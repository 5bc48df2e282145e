//! What a good configuration becomes. The bad ones are in `tests/it/cli.rs`.

use super::*;
use crate::till::concert::ConcertOptions;
use crate::till::zvt::{Letters, ZvtOptions};
use crate::till::{LineSettings, Parity, Port, Protocol};
use std::os::unix::fs::symlink;

mod network;

/// A folder with a CA, a certificate and its key, as the example names them.
fn folder(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("tillgate-config-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&path).unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["gateway.example".to_owned()]).unwrap();
    std::fs::write(path.join("platform-ca.pem"), made.cert.pem()).unwrap();
    std::fs::write(path.join("gateway.pem"), made.cert.pem()).unwrap();
    std::fs::write(path.join("gateway.key"), made.signing_key.serialize_pem()).unwrap();
    std::fs::set_permissions(path.join("gateway.key"), std::fs::Permissions::from_mode(0o640)).unwrap();
    path
}

fn example(folder: &Path) -> String {
    let text = include_str!("../../docs/example.toml");
    text.replace("/etc/tillgate", folder.to_str().unwrap())
}

#[test]
fn the_example_is_right_once_its_files_are_there() {
    let folder = folder("example");
    let config = Config::parse(Path::new("example.toml"), &example(&folder)).unwrap();
    assert_eq!((config.shop.name.as_str(), config.shop.language.as_str()), ("Corner Shop", "en"));
    assert_eq!(config.platform.url, "https://payments.example:8443");
    let Trust::Named(named) = &config.platform.trust else { panic!("{:?}", config.platform) };
    assert_eq!(named.pins, [[0; 32], [0x11; 32]]);
    assert_eq!((config.store.to_str(), config.control.to_str()), (Some(STORE), Some(CONTROL)));
    assert_eq!(config.tills.iter().map(|t| t.number.number()).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(config.tills[0].line, crate::till::LineSettings::default());
    let policy = config.policy();
    let defaults = Policy::with_defaults(policy.currency, policy.tills.clone());
    assert_eq!(policy, Policy { amount_min_minor: 10, amount_max_minor: 100_000, online_secs: 600, ..defaults });
    let odd: Vec<_> = config.warnings.iter().map(|w| w.what.as_str()).collect();
    assert_eq!(odd.len(), 3, "{odd:?}");
    assert!(odd.iter().all(|w| w.starts_with("there is no /dev/serial/by-id/")), "{odd:?}");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn every_rule_reaches_the_policy() {
    let folder = folder("rules");
    let rules = "[rules]\nconfirm_secs = 11\npair_idle_secs = 12\nsession_secs = 61\nattempts_max = 4\nmargin_secs = 6\n\
                 unheard = \"refund\"\nunheard_refund_after_secs = 13\nticket_life_hours = 2\ndoubt_hours_max = 5\n\
                 guesses_max = 7\nguess_pause_secs = 14\n\n[portal]\nphones_per_address = 9";
    let text = example(&folder);
    let (head, tail) = text.split_once("[rules]").unwrap();
    let (_, tail) = tail.split_once("[portal]").unwrap();
    let config = Config::parse(Path::new("t"), &format!("{head}{rules}{tail}")).unwrap();
    let policy = config.policy();
    let expected = Policy {
        online_secs: 600,
        currency: policy.currency,
        tills: policy.tills.clone(),
        amount_min_minor: 10,
        amount_max_minor: 100_000,
        confirm_secs: 11,
        pair_idle_secs: 12,
        session_secs: 61,
        attempts_max: 4,
        margin_ms: 6_000,
        unheard_refund_after_secs: Some(13),
        ticket_life_secs: 7_200,
        doubt_hours_max: 5,
        guesses_max: 7,
        guess_pause_secs: 14,
    };
    assert_eq!((policy, config.portal.phones_per_address), (expected, 9));
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_port_under_two_names_is_one_port() {
    let folder = folder("ports");
    let real = folder.join("tty");
    std::fs::write(&real, "").unwrap();
    for name in ["front", "bakery"] {
        symlink(&real, folder.join(name)).unwrap();
    }
    let text = example(&folder)
        .replace(
            "/dev/serial/by-id/usb-FTDI_FT232R_USB_UART_A1B2C3D4-if00-port0",
            folder.join("front").to_str().unwrap(),
        )
        .replace(
            "/dev/serial/by-id/usb-FTDI_FT232R_USB_UART_A5E6F7G8-if00-port0",
            folder.join("bakery").to_str().unwrap(),
        );
    let Err(Faults::Wrong(faults)) = Config::parse(Path::new("t"), &text) else { panic!("two tills share a port") };
    let first = 1 + text.lines().position(|l| l.contains("/front")).unwrap();
    let second = 1 + text.lines().position(|l| l.contains("/bakery")).unwrap();
    assert_eq!(faults.len(), 1);
    assert_eq!(faults[0].line, second);
    assert!(faults[0].what.contains(&format!("on line {first} is this one")), "{}", faults[0]);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn each_protocol_has_its_line_and_its_options() {
    let folder = folder("protocols");
    let text = example(&folder);
    let (head, _) = text.split_once("[[till]]").unwrap();
    let tills = "[[till]]\nnumber = 1\nport = \"/dev/null\"\nprotocol = \"concert\"\n\
                 [till.concert]\nnumber = 3\n[till.line]\ndata_bits = 7\nparity = \"even\"\n\
                 [[till]]\nnumber = 2\nport = \"/dev/zero\"\nprotocol = \"zvt\"\n[till.line]\nbaud = 115200\n\
                 [[till]]\nnumber = 3\nport = \"tcp://[::]:20007\"\npeer = \"192.168.1.20\"\nprotocol = \"zvt\"\n\
                 [till.zvt]\nterminal_id = 12345678\npassword = \"000042\"\nlongest_wait_secs = 600\n\
                 letters = \"cp437\"\nconfig_byte = 0x8E\n\
                 [[till]]\nnumber = 100\nport = \"/dev/full\"\nprotocol = \"concert\"\nconcert.number = 1\n";
    let config = Config::parse(Path::new("t"), &format!("{head}{tills}")).unwrap();
    let [french, german, far, large] = &config.tills[..] else { panic!("{:?}", config.tills) };
    let seven_even = LineSettings { seven_bits: true, parity: Parity::Even, ..LineSettings::default() };
    assert_eq!(french.protocol, Protocol::Concert(ConcertOptions { number: Some(3) }));
    assert_eq!((&french.port, french.line), (&Port::Serial("/dev/null".into()), seven_even));
    assert_eq!(german.protocol, Protocol::Zvt(ZvtOptions::default()));
    assert_eq!(german.line, LineSettings { baud: 115_200, two_stop_bits: true, ..LineSettings::default() });
    let options = ZvtOptions {
        terminal_id: 12_345_678,
        password: Some(42),
        longest_wait_secs: 600,
        config_byte: 0x8e,
        letters: Letters::Cp437,
    };
    assert_eq!(far.protocol, Protocol::Zvt(options));
    let at = Port::Tcp { listen: "[::]:20007".parse().unwrap(), peer: "192.168.1.20".parse().unwrap() };
    assert_eq!(far.port, at);
    assert_eq!(large.protocol, Protocol::Concert(ConcertOptions { number: Some(1) }));
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_key_of_another_certificate_and_files_that_are_no_pem_are_found() {
    let (folder, other) = (folder("pair"), folder("other"));
    std::fs::copy(other.join("gateway.key"), folder.join("gateway.key")).unwrap();
    let fault = |what: &str| {
        let Err(Faults::Wrong(faults)) = Config::parse(Path::new("t"), &example(&folder)) else { panic!("no fault") };
        assert!(faults.len() == 1 && faults[0].what.contains(what), "{faults:?} has no {what}");
    };
    fault("gateway.key is not the key of");
    std::fs::write(folder.join("gateway.key"), "scribble").unwrap();
    fault("gateway.key holds no private key");
    std::fs::remove_file(folder.join("gateway.key")).unwrap();
    fault("cannot read");
    std::fs::copy(folder.join("platform-ca.pem"), folder.join("gateway.key")).unwrap();
    fault("gateway.key holds no private key");
    std::fs::copy(other.join("gateway.key"), folder.join("gateway.key")).unwrap();
    std::fs::copy(other.join("gateway.pem"), folder.join("gateway.pem")).unwrap();
    std::fs::write(folder.join("platform-ca.pem"), "").unwrap();
    fault("platform-ca.pem holds no certificate");
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    std::fs::write(folder.join("platform-ca.pem"), broken).unwrap();
    fault("cannot be used");
    std::fs::remove_dir_all(folder).unwrap();
    std::fs::remove_dir_all(other).unwrap();
}

#[test]
fn a_key_that_everybody_may_read_is_a_warning() {
    let folder = folder("mode");
    std::fs::set_permissions(folder.join("gateway.key"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let config = Config::parse(Path::new("t"), &example(&folder)).unwrap();
    assert!(config.warnings.iter().any(|w| w.fix.starts_with("chmod 640")), "{:?}", config.warnings);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn no_cut_of_the_example_panics() {
    let text = include_str!("../../docs/example.toml");
    for (at, _) in text.char_indices() {
        let cut = Config::parse(Path::new("t"), &text[..at]);
        assert!(cut.is_err(), "its files are absent");
        let gap = format!("{}{}", &text[..at], &text[at..].chars().skip(1).collect::<String>());
        let _ = Config::parse(Path::new("t"), &gap);
    }
}

#[test]
fn a_hostile_file_is_refused_without_many_words() {
    let fill = |unit: &str| unit.repeat(100_000 / unit.len());
    let hostile = [
        fill("=\n"),
        fill("\u{1}"),
        fill("a"),
        format!("[shop]\nx = {{{}}}", fill("a=1,")),
        (0..9_000).map(|n| format!("k{n} = 1\n")).collect(),
        format!("t = {{{}}}", (0..8_000).map(|n| format!("k{n}=1,")).collect::<String>()),
        fill("[[till]]\n"),
        fill("[[till]]\nnumber=1\nport='/x'\n"),
        format!("{}=1", fill("a.")),
        format!("[{}a]", fill("a.")),
        format!("x={}", fill("[")),
        format!("x={}", fill("{a=")),
        format!("x={}", fill("{a.a=")),
        format!("x='{}'", fill("a")),
        format!("[shop]\nlanguage='{}'", fill("a")),
        format!("[portal]\nlisten='{}'", fill("\u{e9}")),
        fill("a=1\n"),
        fill("a.b=1\n"),
        fill("[a]\n"),
        fill("\"\"\""),
        fill("\n"),
        fill("#\r"),
        fill("[s]\nx={a=1]]\nn=1\np=\"/de}\n"),
        "[s]\nx={a=1]]\nn=1\np=\"/de}\n".repeat(1_300),
        (0..6_000).map(|n| format!("[s{n}.a]\n")).collect(),
        (0..6_000).map(|n| format!("a.s{n}.a=1\n")).collect(),
    ];
    for text in hostile {
        let Err(Faults::Wrong(faults)) = Config::parse(Path::new("t"), &text) else { panic!("it is no configuration") };
        let words = Faults::Wrong(faults).to_string();
        let start: String = text.chars().take(20).collect();
        assert!(words.len() <= 200_000, "{start:?}...: {} bytes are said about it", words.len());
    }
}

#[test]
fn what_is_no_file_is_not_read() {
    for path in ["/dev/zero", "/"] {
        assert!(matches!(Config::load(Path::new(path)), Err(Faults::Unreadable { .. })), "{path}");
    }
    let folder = folder("no-file");
    let text = example(&folder).replace(folder.join("platform-ca.pem").to_str().unwrap(), "/dev/zero");
    let Err(Faults::Wrong(faults)) = Config::parse(Path::new("t"), &text) else { panic!("no fault") };
    assert!(faults.len() == 1 && faults[0].what.contains("cannot read /dev/zero"), "{faults:?}");
    std::fs::remove_dir_all(folder).unwrap();
}
