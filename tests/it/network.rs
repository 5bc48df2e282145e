//! `tillgate network` as a person meets it: the built program, its words, its files below a folder.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};

const CONFIG: &str = r#"[shop]
name = "Corner Shop"
currency = "EUR"
language = "en"
[limits]
amount_min = "0.10"
amount_max = "1000.00"
[portal]
listen = "192.168.50.1:80"
url = "http://pay.shop.example"
[network]
ports = ["eth1"]
address = "192.168.50.1/24"
uplink = "eth0"
resolvers = ["9.9.9.9"]
[network.wifi]
radio = "wlan0"
ssid = "Corner Shop"
country = "DE"
channel = 36
security = "wpa2"
passphrase_file = "DIR/wifi"
[platform]
url = "https://pay.example:8443"
ca = "DIR/cert.pem"
certificate = "DIR/cert.pem"
key = "DIR/key.pem"
pins = ["0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"]
[[till]]
number = 1
port = "/dev/null"
"#;

/// A folder with a configuration, what it names, and a root to write to.
struct Shop(PathBuf);

impl Shop {
    fn new(name: &str) -> Shop {
        let path = std::env::temp_dir().join(format!("tillgate-network-{}-{name}", std::process::id()));
        std::fs::create_dir_all(path.join("root/etc/dnsmasq.d")).unwrap();
        let made = rcgen::generate_simple_self_signed(vec!["gateway.example".to_owned()]).unwrap();
        std::fs::write(path.join("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(path.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        std::fs::write(path.join("wifi"), "open sesame\n").unwrap();
        let shop = Shop(path);
        shop.configure(|text| text);
        shop
    }

    fn configure(&self, change: impl Fn(String) -> String) {
        let text = change(CONFIG.replace("DIR", self.0.to_str().unwrap()));
        std::fs::write(self.0.join("t.toml"), text).unwrap();
    }

    fn network(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tillgate"));
        command.arg("network").arg(args[0]);
        if args[0] != "clear" {
            command.arg("--config").arg(self.0.join("t.toml"));
        }
        if ["apply", "clear"].contains(&args[0]) {
            command.arg("--root").arg(self.0.join("root"));
        }
        command.args(&args[1..]).env_remove("TILLGATE_LOG").output().unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join("root").join(name)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[track_caller]
fn ends(output: &Output, code: i32, words: &str) -> String {
    let said = said(output);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains(words), "{words:?} is not in:\n{said}");
    assert!(!said.contains("sesame"), "a passphrase was said:\n{said}");
    said
}

#[test]
fn what_would_be_written_is_shown_without_the_passphrase() {
    let shop = Shop::new("show");
    let shown = ends(&shop.network(&["show"]), 0, "==> /etc/hostapd/wlan0.conf  (for root only)\n");
    assert!(shown.contains("wpa_passphrase=(hidden)\n") && shown.contains("dhcp-range=192.168.50.10,"), "{shown}");
}

#[test]
fn nothing_is_written_until_somebody_says_yes() {
    let shop = Shop::new("ask");
    let asked = ends(&shop.network(&["apply"]), 1, "Nobody is there to ask: say --yes");
    assert!(asked.contains("+++ /etc/dnsmasq.d/tillgate.conf\n"), "{asked}");
    assert!(!shop.path("etc/dnsmasq.d/tillgate.conf").exists());
    ends(&shop.network(&["apply", "--yes"]), 0, "9 files changed");
    let mode = std::fs::metadata(shop.path("etc/hostapd/wlan0.conf")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(shop.read("etc/hostapd/wlan0.conf").contains("wpa_passphrase=open sesame\n"));
    ends(&shop.network(&["apply", "--yes"]), 0, "nothing to change");
}

#[test]
fn a_change_of_the_configuration_is_shown_as_a_diff_and_made() {
    let shop = Shop::new("change");
    shop.network(&["apply", "--yes"]);
    shop.configure(|text| text.replace("[network.wifi]", "lease_minutes = 5\n[network.wifi]"));
    let changed = ends(&shop.network(&["apply", "--yes"]), 0, "1 file changed");
    assert!(changed.contains("255.255.255.0,3600\n+dhcp-range="), "{changed}");
    std::fs::write(shop.0.join("wifi"), "closed sesame\n").unwrap();
    ends(&shop.network(&["apply", "--yes"]), 0, "a passphrase (not shown)");
    assert!(shop.read("etc/hostapd/wlan0.conf").contains("=closed sesame\n"));
    shop.configure(|text| {
        let (head, tail) = text.split_once("[network.wifi]").unwrap();
        format!("{head}[platform]{}", tail.split_once("[platform]").unwrap().1)
    });
    ends(&shop.network(&["apply", "--yes"]), 0, "+++ /dev/null");
    assert!(!shop.path("etc/hostapd/wlan0.conf").exists(), "the radio has gone, and its file with it");
}

#[test]
fn somebody_elses_file_stops_all_and_a_changed_one_of_ours_is_kept() {
    let shop = Shop::new("others");
    let place = "etc/dnsmasq.d/tillgate.conf";
    std::fs::write(shop.path(place), "mine\n").unwrap();
    ends(&shop.network(&["apply", "--yes", "--force"]), 1, "/etc/dnsmasq.d/tillgate.conf is not ours");
    assert!(!shop.path("etc/sysctl.d").exists(), "nothing at all was written");
    ends(&shop.network(&["clear", "--yes", "--force"]), 0, "nothing to change");
    assert_eq!(shop.read(place), "mine\n");
    std::fs::remove_file(shop.path(place)).unwrap();
    shop.network(&["apply", "--yes"]);
    let edited = format!("{}log-queries\n", shop.read(place));
    std::fs::write(shop.path(place), &edited).unwrap();
    ends(&shop.network(&["apply", "--yes"]), 1, "was changed by hand and stays as it is");
    ends(&shop.network(&["clear", "--yes"]), 1, "was changed by hand and stays as it is");
    assert_eq!(shop.read(place), edited);
    ends(&shop.network(&["clear", "--yes", "--force"]), 0, "1 file changed");
    assert!(!shop.path(place).exists());
}

#[test]
fn faults_of_the_configuration_and_of_the_machine_are_told_apart() {
    let shop = Shop::new("faults");
    shop.configure(|text| text.replace("wlan0", "tgnone0"));
    let found = ends(&shop.network(&["check"]), 1, "the radio, tgnone0, is not on this machine");
    assert!(found.contains("= look for its name with: ip -brief link"), "{found}");
    shop.configure(|text| text.replace("uplink = \"eth0\"", "uplink = \"eth1\""));
    ends(&shop.network(&["check"]), 2, "eth1 cannot be the uplink and a port of the guests' bridge");
    shop.configure(|text| {
        let (head, tail) = text.split_once("[network]").unwrap();
        format!("{head}[platform]{}", tail.split_once("[platform]").unwrap().1)
    });
    for command in ["show", "check", "apply"] {
        ends(&shop.network(&[command]), 1, "has no [network]");
    }
}
