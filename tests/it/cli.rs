//! The command line as a person meets it: the built program, its words and its exit codes.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tillgate::control::{Control, Request, Response};
use tillgate::shop::effect::Record;
use tillgate::shop::event::{Ticket, TillNumber};
use tillgate::shop::id::SaleId;
use tillgate::shop::money::{Amount, Currency};
use tillgate::shop::sale::{Code, Sale, SaleState, Telling};
use tillgate::shop::time::{BootId, Mono, Wall};
use tillgate::store::{self, Store};

struct Folder(PathBuf);

impl Folder {
    /// A fresh folder with a CA, a certificate and its key.
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("tillgate-cli-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        let made = rcgen::generate_simple_self_signed(vec!["gateway.example".to_owned()]).unwrap();
        std::fs::write(path.join("ca.pem"), made.cert.pem()).unwrap();
        std::fs::write(path.join("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(path.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        Folder(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn tillgate(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tillgate"));
    command.args(args).env_remove("TILLGATE_LOG").env_remove("NOTIFY_SOCKET").env_remove("JOURNAL_STREAM");
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Line numbers in the cases below are those of this text.
const GOOD: &str = r#"[shop]
name = "Corner Shop"
currency = "EUR"
language = "en"

[limits]
amount_min = "0.10"
amount_max = "1000.00"

[portal]
listen = "127.0.0.1:8080"
url = "http://pay.example"

[platform]
url = "https://pay.example:8443"
ca = "DIR/ca.pem"
certificate = "DIR/cert.pem"
key = "DIR/key.pem"
pins = ["0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"]

[[till]]
number = 1
port = "/dev/null"

[[till]]
number = 2
port = "/dev/zero"

[till.line]
baud = 9600
"#;

/// Two tills whose ports cannot be beside one another.
fn two_on_tcp(first: &str, second: &str) -> String {
    let till = |number: u8, port: &str, peer: &str| {
        format!("[[till]]\nnumber = {number}\nport = \"tcp://{port}\"\npeer = \"{peer}\"\nprotocol = \"zvt\"\n")
    };
    // The same address, written in two ways.
    till(3, first, "192.168.1.20") + &till(4, second, "::ffff:192.168.1.20")
}

/// What is written instead of what -> where the fault is, and words of its text.
#[rustfmt::skip]
const BROKEN: &[(&str, &str, &str, &str)] = &[
    // unknown keys
    ("name =", "nmae =", "2:1", "`shop` has no key `nmae` | did you mean `name`?"),
    ("[limits]", "[limit]", "6:2", "the file has no key `limit` | did you mean `limits`?"),
    ("baud =", "colour =", "30:1", "`till.line` has no key `colour` | it can be: baud, data_bits"),
    ("number = 2", "number = 2\nprotcol = \"plain\"", "27:1", "did you mean `protocol`?"),
    // missing things
    ("name = \"Corner Shop\"\n", "", "1:1", "`shop` needs `name` | name = \"Corner Shop\""),
    ("number = 2\n", "", "25:1", "`till` needs `number`"),
    ("[limits]\namount_min = \"0.10\"\namount_max = \"1000.00\"\n", "", "1:1", "the section [limits] is missing | add [limits]"),
    // kinds
    ("number = 2", "number = \"2\"", "26:10", "`number` is a whole number, not string | without quotes"),
    ("amount_min = \"0.10\"", "amount_min = 0.10", "7:14", "`amount_min` is text, not float | amount_min = \"0.10\""),
    ("name = \"Corner Shop\"", "name = \"\"", "2:8", "`name` is empty"),
    ("[shop]", "[[shop]]", "1:1", "`shop` is a section | [shop]"),
    ("[[till]]\nnumber = 2", "[till]\nnumber = 2", "25:2", "duplicate key"),
    ("pins = [", "pins = [1, ", "19:9", "`pins` is a list of texts"),
    // tills
    ("number = 2", "number = 1", "26:10", "till 1 is on line 22 already | number of its own"),
    ("number = 2", "number = 0", "26:10", "from 1 to 9999"),
    ("number = 2", "number = 10000", "26:10", "from 1 to 9999"),
    ("number = 2", "number = -2", "26:10", "from 1 to 9999"),
    ("number = 2", "number = 99999999999999999999999", "26:10", "from 1 to 9999"),
    ("/dev/zero", "/dev/null", "27:8", "the port on line 23 is this one | port of its own"),
    ("/dev/zero", "/dev/../dev/null", "27:8", "the port on line 23 is this one"),
    ("/dev/zero", "ttyS0", "27:8", "is not a whole path"),
    ("baud = 9600", "baud = 9601", "30:8", "no speed of 9601 | did you mean `9600`?"),
    ("baud = 9600", "parity = \"evn\"", "30:10", "`parity` cannot be \"evn\" | did you mean `even`?"),
    ("baud = 9600", "rts = \"on\"", "30:7", "`rts` is true or false | rts = true"),
    ("number = 2", "number = 2\ncolumns = 80", "27:11", "from 20 to 40"),
    ("baud = 9600", "data_bits = 9", "30:13", "from 7 to 8"),
    ("number = 2", "number = 2\nprotocol = \"opi\"", "27:12", "`protocol` cannot be \"opi\" | it can be: plain, concert, zvt"),
    // protocols and their options
    ("baud = 9600", "[till.zvt]\nterminal_id = 7", "30:1", "is for tills with protocol = \"zvt\" | or take the section away"),
    ("number = 2", "number = 2\nprotocol = \"zvt\"\n[till.concert]\nnumber = 1\n[[till]]\nnumber = 3", "28:1", "is for tills with protocol = \"concert\""),
    ("number = 2", "number = 100\nprotocol = \"concert\"", "26:10", "100 does not fit into a Concert request, which has room for 01 to 99 | number = 1"),
    ("number = 2", "number = 100\nprotocol = \"concert\"\nconcert.number = 100", "28:18", "from 1 to 99"),
    ("number = 2", "number = 2\nprotocol = \"zvt\"\nzvt.password = \"12345\"", "28:16", "a password has six digits"),
    ("number = 2", "number = 2\nprotocol = \"zvt\"\nzvt.password = 123456", "28:16", "`password` is text | password = \"123456\""),
    ("number = 2", "number = 2\nprotocol = \"zvt\"\nzvt.letters = \"utf8\"", "28:15", "`letters` cannot be \"utf8\" | it can be: ascii, cp437"),
    ("number = 2", "number = 2\nprotocol = \"zvt\"\nzvt.longest_wait_secs = 30", "28:25", "from 60 to 900"),
    ("port = \"/dev/zero\"\n\n[till.line]\nbaud = 9600", "port = \"/dev/zero\"\nprotocol = \"zvt\"\n\n[till.line]\ndata_bits = 7\nparity = \"even\"", "30:1", "ZVT needs 8 data bits: it sends bytes of all values | write data_bits = 8"),
    ("port = \"/dev/zero\"\n\n[till.line]\nbaud = 9600", "port = \"/dev/zero\"\nprotocol = \"zvt\"\n\n[till.line]\nflow = \"software\"", "30:1", "ZVT sends bytes that software flow control would swallow | \"hardware\" where the till has RTS and CTS"),
    ("port = \"/dev/zero\"\n\n[till.line]\nbaud = 9600", "port = \"/dev/zero\"\nprotocol = \"concert\"\n\n[till.line]\nflow = \"software\"", "30:1", "Concert sends bytes that software flow control would swallow"),
    ("baud = 9600", "flow = \"hardware\"\nrts = true", "29:1", "hardware flow control moves RTS itself"),
    // tills on TCP
    ("\"/dev/zero\"", "\"tcp://0.0.0.0:20007\"", "27:8", "known by its address, which `peer` says | peer = \"192.168.1.20\""),
    ("\"/dev/zero\"", "\"tcp://0.0.0.0:20007\"\npeer = \"192.168.1.20\"", "27:8", "the plain protocol is spoken on serial lines only | protocol = \"zvt\""),
    ("\"/dev/zero\"", "\"tcp://0.0.0.0:20007\"\npeer = \"192.168.1.20\"\nprotocol = \"concert\"", "27:8", "Concert is spoken on serial lines only"),
    ("\"/dev/zero\"", "\"tcp://box:20007\"\npeer = \"192.168.1.20\"\nprotocol = \"zvt\"", "27:8", "\"box:20007\" is no address to listen at | tcp://0.0.0.0:20007"),
    ("\"/dev/zero\"", "\"tcp://0.0.0.0:0\"\npeer = \"192.168.1.20\"\nprotocol = \"zvt\"", "27:8", "must know to which TCP port"),
    ("\"/dev/zero\"", "\"tcp://0.0.0.0:20007\"\npeer = \"till2\"\nprotocol = \"zvt\"", "28:8", "\"till2\" is no address | let the router always give it that one"),
    ("\"/dev/zero\"", "\"tcp://0.0.0.0:20007\"\npeer = \"0.0.0.0\"\nprotocol = \"zvt\"", "28:8", "no till has the address 0.0.0.0"),
    ("\"/dev/zero\"", "\"tcp://0.0.0.0:20007\"\npeer = \"192.168.1.20\"\nprotocol = \"zvt\"", "31:1", "a till on TCP has no serial line | take [till.line] away"),
    ("\"/dev/zero\"", "\"/dev/zero\"\npeer = \"192.168.1.20\"", "28:8", "a till at a serial port has no address | take `peer` away"),
    ("\n[till.line]\nbaud = 9600\n", "TWO_ON_TCP", "35:8", "the till on line 30 is at 192.168.1.20 and comes to 0.0.0.0:20007 too"),
    ("\n[till.line]\nbaud = 9600\n", "TWO_LISTEN", "35:8", "0.0.0.0:20007 on line 30 and 192.168.1.1:20007 cannot be listened at together"),
    // money
    ("\"EUR\"", "\"EURO\"", "3:12", "\"EURO\" is no currency | ISO 4217"),
    ("\"EUR\"", "\"eur\"", "3:12", "did you mean \"EUR\"?"),
    ("\"EUR\"", "\"JPY\"", "7:14", "this currency has 0 digits | in JPY, with at most 0 digits"),
    ("\"0.10\"", "\"0.105\"", "7:14", "2 digits after the point"),
    ("\"0.10\"", "\"0\"", "7:14", "a limit of nothing"),
    ("\"0.10\"", "\"2000\"", "8:14", "no amount is at least 2000.00 EUR and at most 1000.00 EUR"),
    ("\"1000.00\"", "\"10000000000.00\"", "8:14", "at most 12 digits"),
    ("\"1000.00\"", "\"1,000\"", "8:14", "an amount is digits with at most one point"),
    // the shop
    ("language = \"en\"", "language = \"english\"", "4:12", "`language` cannot be \"english\" | it can be: en, de"),
    ("language = \"en\"", "language = \"en\"\ntime_zone = \"Europe/Berln\"", "5:13", "knows no time zone"),
    // addresses
    ("127.0.0.1:8080", "localhost", "11:10", "no address to listen at | address and port"),
    ("http://pay.example\"", "/pay\"", "12:7", "\"/pay\" is no whole address | begin with http:// or https://"),
    ("https://pay.example:8443", "http://pay.example", "15:7", "no whole address | begin with https://"),
    ("https://pay.example:8443", "https://shop:secret@pay.example", "15:7", "no whole address"),
    ("https://pay.example:8443", "https://pay.example?a=b", "15:7", "no whole address"),
    // keys and pins
    ("DIR/key.pem", "DIR/ca.pem", "18:7", "holds no private key | in PEM"),
    ("DIR/cert.pem", "DIR/missing.pem", "17:15", "cannot read"),
    ("DIR/ca.pem", "ca.pem", "16:6", "is not a whole path"),
    ("[\"0123456789abcdef", "[\"x123456789abcdef", "19:9", "a pin is 64 hexadecimal digits"),
    ("[\"0123456789abcdef", "[\"", "19:9", "this has 48 characters"),
    ("pins = [\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"]", "pins = []", "19:8", "1 to 4 pins"),
    // rules
    ("[portal]", "[rules]\nconfirm_secs = 5\n\n[portal]", "11:16", "`confirm_secs` must be from 10 to 600"),
    ("[portal]", "[rules]\nunheard = \"refund\"\n\n[portal]", "11:11", "after which time | unheard_refund_after_secs = 60"),
    ("[portal]", "[rules]\nunheard_refund_after_secs = 60\n\n[portal]", "11:29", "says nothing while money is kept"),
    ("[portal]", "[rules]\nsession_secs = 60\n\n[portal]", "10:1", "end before its phone may leave"),
    // no TOML at all
    ("name = \"Corner Shop\"", "name = \"Corner Shop", "2:20", "string"),
    ("name = ", "name ", "2:6", "expected"),
    ("language = \"en\"", "language = \"en\"\nlanguage = \"de\"", "5:1", "duplicate key"),
];

#[test]
fn each_fault_is_named_with_its_place_and_its_fix() {
    let folder = Folder::new("broken");
    let dir = folder.0.to_str().unwrap();
    let file = folder.file("t.toml");
    let name = file.to_str().unwrap();
    let mut wrong = Vec::new();
    for (old, new, place, words) in BROKEN {
        assert!(GOOD.contains(old), "the case replaces {old}, which is not there");
        let text_of = GOOD.replacen(old, new, 1).replace("DIR", dir);
        let text_of = text_of.replace("TWO_ON_TCP", &two_on_tcp("0.0.0.0:20007", "0.0.0.0:20007"));
        let text_of = text_of.replace("TWO_LISTEN", &two_on_tcp("0.0.0.0:20007", "192.168.1.1:20007"));
        std::fs::write(&file, text_of).unwrap();
        let output = tillgate(&["check", "--config", name]);
        let said = text(&output.stderr);
        let placed = said.lines().any(|l| l.starts_with(&format!("{name}:{place}: ")));
        let worded = words.split(" | ").all(|w| said.contains(w));
        if output.status.code() != Some(1) || !placed || !worded {
            wrong.push(format!("{old} -> {new}: wanted {place} and {words}, got\n{said}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_good_configuration_is_good() {
    let folder = Folder::new("good");
    let file = folder.file("t.toml");
    std::fs::write(&file, GOOD.replace("DIR", folder.0.to_str().unwrap())).unwrap();
    let output = tillgate(&["check", "--config", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("nothing is wrong (2 tills)"));
}

#[test]
fn all_faults_are_told_at_once_and_in_order() {
    let folder = Folder::new("all");
    let file = folder.file("t.toml");
    let bad = GOOD.replace("DIR", folder.0.to_str().unwrap());
    let bad = bad.replace("\"EUR\"", "\"EURO\"").replace("number = 2", "number = 1").replace("baud", "bawd");
    std::fs::write(&file, bad).unwrap();
    let said = text(&tillgate(&["check", "--config", file.to_str().unwrap()]).stderr);
    let places: Vec<_> = said.lines().filter_map(|l| l.strip_prefix(&format!("{}:", file.display()))).collect();
    let starts: Vec<_> = places.iter().map(|p| p.split(':').next().unwrap()).collect();
    assert_eq!(starts, ["3", "26", "30"], "{said}");
    assert!(said.ends_with("3 faults in the configuration\n"), "{said}");
}

#[test]
fn a_fault_is_shown_as_a_compiler_shows_it() {
    let folder = Folder::new("shown");
    let file = folder.file("t.toml");
    std::fs::write(&file, GOOD.replace("DIR", folder.0.to_str().unwrap()).replace("number = 2", "\tnumbr = 2"))
        .unwrap();
    let said = text(&tillgate(&["check", "--config", file.to_str().unwrap()]).stderr);
    let wanted =
        "t.toml:26:2: `till` has no key `numbr`\n  26 | \tnumbr = 2\n     | \t^^^^^\n     = did you mean `number`?\n";
    assert!(said.contains(wanted), "{said}");
}

#[test]
fn a_port_that_is_not_there_now_is_a_warning() {
    let folder = Folder::new("unplugged");
    let file = folder.file("t.toml");
    let good = GOOD.replace("DIR", folder.0.to_str().unwrap()).replace("/dev/zero", "/dev/serial/by-id/gone");
    std::fs::write(&file, good).unwrap();
    let output = tillgate(&["check", "--config", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0));
    let said = text(&output.stderr);
    assert!(
        said.starts_with("warning: ") && said.contains("t.toml:27:8: there is no /dev/serial/by-id/gone now"),
        "{said}"
    );
}

#[test]
fn a_port_whose_name_may_change_and_one_that_is_no_device_are_warnings() {
    let folder = Folder::new("names");
    let file = folder.file("t.toml");
    for (port, words) in [
        ("/dev/ttyUSB97", "/dev/ttyUSB97 may be another adapter after the next start | its name in /dev/serial/by-id"),
        ("/dev/ttyACM97", "/dev/ttyACM97 may be another adapter | /dev/serial/by-path"),
        (file.to_str().unwrap(), "is no serial port"),
    ] {
        std::fs::write(&file, GOOD.replace("DIR", folder.0.to_str().unwrap()).replace("/dev/zero", port)).unwrap();
        let output = tillgate(&["check", "--config", file.to_str().unwrap()]);
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(0) && words.split(" | ").all(|w| said.contains(w)), "{port}: {said}");
    }
}

#[test]
fn a_file_that_is_no_configuration_is_said_to_be_none() {
    let folder = Folder::new("files");
    let check = |path: &Path| tillgate(&["check", "--config", path.to_str().unwrap()]);
    let missing = check(&folder.file("missing.toml"));
    assert_eq!(missing.status.code(), Some(2));
    assert!(text(&missing.stderr).contains("cannot read the configuration"));
    assert_eq!(check(&folder.0).status.code(), Some(2));
    let file = folder.file("t.toml");
    std::fs::write(&file, b"[shop]\nname = \"caf\xe9\"\n").unwrap();
    let latin = check(&file);
    assert_eq!(latin.status.code(), Some(1));
    assert!(text(&latin.stderr).contains("t.toml:2:12: this is not UTF-8"), "{}", text(&latin.stderr));
    std::fs::write(&file, "").unwrap();
    assert_eq!(check(&file).status.code(), Some(1));
}

#[test]
fn every_command_explains_itself_with_an_example() {
    let help = text(&tillgate(&["--help"]).stdout);
    let (_, list) = help.split_once("Commands:\n").unwrap();
    let (list, _) = list.split_once("\n\n").unwrap();
    let names: Vec<_> = list.lines().filter_map(|l| l.split_whitespace().next()).filter(|n| *n != "help").collect();
    assert!(names.len() >= 3 && help.contains("Exit codes:"), "{help}");
    for name in names {
        let output = tillgate(&[name, "--help"]);
        let said = text(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{name}");
        assert!(said.contains("Examples:\n") && said.contains(&format!("tillgate {name}")), "{name}: {said}");
    }
}

#[test]
fn a_command_line_that_cannot_be_used_is_two() {
    for args in [&["dance"][..], &["check"], &["status", "--jsn"], &["backup"], &[]] {
        let output = tillgate(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(!output.stderr.is_empty(), "{args:?}");
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_tillgate"));
    let output = command.args(["status"]).env("TILLGATE_LOG", "loud").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("TILLGATE_LOG cannot be \"loud\""), "{}", text(&output.stderr));
}

#[test]
fn with_no_daemon_there_status_and_backup_say_what_to_do() {
    let folder = Folder::new("nobody");
    let socket = folder.file("control.sock");
    let socket = socket.to_str().unwrap();
    let to = folder.file("copy.db");
    for args in [&["status", "--socket", socket][..], &["backup", to.to_str().unwrap(), "--socket", socket]] {
        let output = tillgate(args);
        assert_eq!(output.status.code(), Some(3), "{args:?}");
        let said = text(&output.stderr);
        assert!(said.contains(socket) && said.contains("start it with `tillgate run`"), "{said}");
    }
    assert!(!to.exists());
}

/// A store with one lapsed sale of till 3, asked for at noon UTC on 2027-01-15.
fn store_with_a_sale(path: &Path) -> Store {
    let asked_at = Some(Wall(1_800_014_400_000));
    let sale = Sale {
        id: SaleId(0x0bad_cafe << 96),
        till: TillNumber::new(3).unwrap(),
        ticket: Some(Ticket { epoch: Some(1), number: 77 }),
        amount: Amount::from_minor(1_250, Currency::from_code("EUR").unwrap()).unwrap(),
        code: Code::from_bits(1),
        asked_at,
        ticket_at: asked_at,
        ended_at: asked_at,
        receipt: None,
        booked: None,
        boot: BootId(1),
        ends: Mono(1),
        hears_result: true,
        state: SaleState::Lapsed { telling: Telling::Taken },
        attempts: Vec::new(),
        refunds: Vec::new(),
    };
    let mut store = Store::open(path).unwrap();
    store.commit(asked_at, &[Record::Sale { sale: Box::new(sale), open: false }]).unwrap();
    store
}

#[test]
fn sales_are_listed_while_the_store_is_in_use() {
    let folder = Folder::new("sales");
    let db = folder.file("tillgate.db");
    let _store = store_with_a_sale(&db);
    let db = db.to_str().unwrap();
    for (args, count) in [
        (&[][..], 1),
        (&["--since", "2027-01-15T12:00:00Z", "--until", "2027-01-15T12:00:01Z"], 1),
        (&["--since", "2027-01-15T12:00:01Z"], 0),
        (&["--until", "2027-01-15T12:00:00Z"], 0),
        (&["--till", "3", "--state", "lapsed"], 1),
        (&["--till", "4"], 0),
        (&["--state", "approved"], 0),
    ] {
        let output = tillgate(&[&["sales", "--db", db, "--json"], args].concat());
        let rows: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(rows.as_array().unwrap().len(), count, "{args:?}");
    }
    let table = text(&tillgate(&["sales", "--db", db]).stdout);
    assert!(table.contains("12.50 EUR") && table.contains("0badcafe") && table.ends_with("1 sale\n"), "{table}");
    let csv = text(&tillgate(&["sales", "--db", db, "--csv"]).stdout);
    assert!(csv.contains(",3,1,77,,payment,,12.50,EUR,0.00,lapsed,taken,0,false"), "{csv}");
}

#[test]
fn sales_asked_for_in_a_wrong_way_say_the_right_one() {
    let folder = Folder::new("asked");
    let db = folder.file("tillgate.db");
    drop(store_with_a_sale(&db));
    let db = db.to_str().unwrap();
    for (args, words) in [
        (&["--since", "tomorrow"][..], "write 2026-11-22, today, yesterday, 3h"),
        (&["--till", "0"], "a till number is from 1 to 9999"),
        (&["--state", "pending"], "approved"),
        (&["--json", "--csv"], "cannot be used with"),
        (&["--limit", "0"], "1..=1000000"),
    ] {
        let output = tillgate(&[&["sales", "--db", db], args].concat());
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains(words), "{args:?}: {said}");
    }
    let missing = folder.file("missing.db");
    for command in ["sales", "verify"] {
        let output = tillgate(&[command, "--db", missing.to_str().unwrap()]);
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains("missing.db"), "{said}");
        assert!(!missing.exists());
    }
}

#[test]
fn verify_says_yes_and_names_the_row_that_was_changed() {
    let folder = Folder::new("verify");
    let db = folder.file("tillgate.db");
    drop(store_with_a_sale(&db));
    let name = db.to_str().unwrap();
    let good = tillgate(&["verify", "--db", name]);
    assert_eq!(good.status.code(), Some(0), "{}", text(&good.stderr));
    assert!(text(&good.stdout).contains("1 rows fit"), "{}", text(&good.stdout));
    let sql = rusqlite::Connection::open(&db).unwrap();
    sql.execute("UPDATE sales SET minor = 1", []).unwrap();
    drop(sql);
    let bad = tillgate(&["verify", "--db", name]);
    assert_eq!(bad.status.code(), Some(1));
    assert!(text(&bad.stderr).contains("journal row 1"), "{}", text(&bad.stderr));
}

#[test]
fn status_and_backup_are_answered_by_a_daemon() {
    let folder = Folder::new("daemon");
    let (db, socket) = (folder.file("tillgate.db"), folder.file("control.sock"));
    let _store = store_with_a_sale(&db);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let answers = move |request| {
        let db = db.clone();
        async move {
            match request {
                Request::Status => Response::Refused("no status in this test".to_owned()),
                Request::Backup => {
                    let copy = db.with_extension("copy");
                    store::backup(&db, &copy).unwrap();
                    Response::Backup(copy)
                }
            }
        }
    };
    let _control = Control::start(runtime.handle(), &socket, answers).unwrap();
    let (socket, to) = (socket.to_str().unwrap(), folder.file("books.db"));
    let to = to.to_str().unwrap();
    let refused = tillgate(&["status", "--socket", socket]);
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(text(&refused.stderr), "tillgate: the daemon refused: no status in this test\n");
    let output = tillgate(&["backup", to, "--socket", socket]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&tillgate(&["sales", "--db", to]).stdout).ends_with("1 sale\n"));
    assert_eq!(tillgate(&["verify", "--db", to]).status.code(), Some(0));
    let again = tillgate(&["backup", to, "--socket", socket]);
    assert!(again.status.code() == Some(2) && text(&again.stderr).contains("exists already"));
}
