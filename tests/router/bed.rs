//! The test bed: a gateway, two phones, and what is behind the uplink, each in a namespace of its own.

use super::machine::Machine;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a test waits for something before it fails.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);
/// From one asking to the next.
pub(super) const BETWEEN: Duration = Duration::from_millis(50);
/// Programs, and the packages that they are in.
const NEEDED: [(&str, &str); 16] = [
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("dnsmasq", "dnsmasq-base"),
    ("hostapd", "hostapd"),
    ("udhcpc", "udhcpc"),
    ("dhclient", "isc-dhcp-client"),
    ("dig", "bind9-dnsutils"),
    ("curl", "curl"),
    ("avahi-daemon", "avahi-daemon"),
    ("avahi-browse", "avahi-utils"),
    ("dbus-daemon", "dbus-daemon"),
    ("nsenter", "util-linux"),
    ("setpriv", "util-linux"),
    ("busybox", "busybox"),
    ("chromium", "chromium"),
    ("chromedriver", "chromium-driver"),
];

const CONFIG: &str = r#"[shop]
name = "Corner Shop"
currency = "EUR"
language = "en"
[limits]
amount_min = "0.10"
amount_max = "1000.00"
[portal]
listen = "192.168.50.1:80"
PORTAL
[network]
ports = ["eth1", "eth2"]
address = "192.168.50.1/24"
uplink = "eth0"
uplink_address = "198.51.100.2/24"
uplink_gateway = "198.51.100.1"
resolvers = ["198.51.100.1"]
name = "corner"
NETWORK
[platform]
url = "https://pay.example:8443"
ca = "DIR/cert.pem"
certificate = "DIR/cert.pem"
key = "DIR/key.pem"
pins = ["0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"]
[store]
path = "DIR/books.db"
[control]
socket = "DIR/control.sock"
[[till]]
number = 1
port = "DIR/no-till"
"#;

/// The portal with a certificate.
pub(super) const SECURE: &str = "url = \"https://pay.shop.example\"\nsecure_listen = \"192.168.50.1:443\"\n\
                                 certificate = \"DIR/cert.pem\"\nkey = \"DIR/key.pem\"";
/// The portal without.
pub(super) const PLAIN: &str = "url = \"http://pay.shop.example\"";

/// Guests with version 6.
pub(super) const SIX: &str = "ipv6 = \"fd12:3456:789a:50::1/64\"";
/// The box's own address then.
pub(super) const OWN_SIX: &str = "fd12:3456:789a:50::1";

/// Everything goes with it when it is dropped.
pub(super) struct Bed {
    pub(super) folder: PathBuf,
    id: String,
    running: Mutex<Vec<Child>>,
}

impl Bed {
    /// Namespaces and cables; the gateway's are set up by systemd-networkd from our files.
    pub(super) fn new(name: &str, portal: &str, network: &str) -> Bed {
        for (program, package) in NEEDED {
            let found = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"]
                .iter()
                .any(|f| std::fs::exists(format!("{f}/{program}")).unwrap());
            assert!(found, "{program} is missing, run: sudo apt-get install {package}");
        }
        assert!(rustix::process::geteuid().is_root(), "namespaces need root: sudo tests/run");
        let folder = std::env::temp_dir().join(format!("tillgate-router-{}-{name}", std::process::id()));
        std::fs::create_dir_all(folder.join("root")).unwrap();
        let id = format!("tg{}{name}", std::process::id());
        let mut bed = Bed { folder, id, running: Mutex::default() };
        certificate(&bed.folder);
        std::fs::write(bed.folder.join("t.toml"), config(&bed.folder, portal, network)).unwrap();
        for place in ["gw", "one", "two", "net"] {
            run("ip", &["netns", "add", &bed.name(place)]);
            bed.inside(place, "ip", &["link", "set", "lo", "up"]);
        }
        for (cable, end) in [("eth0", "net"), ("eth1", "one"), ("eth2", "two")] {
            let (here, there) = (bed.name("gw"), bed.name(end));
            run("ip", &["-n", &here, "link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", &there]);
            bed.inside(end, "ip", &["link", "set", "eth0", "up"]);
        }
        bed.inside("net", "ip", &["address", "add", "198.51.100.1/24", "dev", "eth0"]);
        bed.apply();
        // As at boot, and as udev does once there is a bridge.
        bed.kernel();
        bed.networkd();
        bed.kernel();
        let asked = |key: &str| said(&bed.inside("gw", "cat", &[&format!("/proc/sys/net/{key}")])).trim() == "1";
        assert!(asked("ipv4/ip_forward"), "the box forwards nothing");
        assert_eq!(asked("ipv6/conf/guests/forwarding"), network.contains("ipv6"), "the box, by version 6");
        bed
    }

    /// The kernel's switches as we wrote them, as far as they are a namespace's own, by what reads them at boot.
    fn kernel(&self) {
        let file = self.folder.join("root/etc/sysctl.d/60-tillgate.conf").display().to_string();
        let _ = self.inside("gw", "/lib/systemd/systemd-sysctl", &[&file]); // Some are the machine's, and stay as they are.
    }

    pub(super) fn name(&self, place: &str) -> String {
        format!("{}-{place}", self.id)
    }

    fn apply(&self) {
        let root = self.folder.join("root");
        let output = Command::new(env!("CARGO_BIN_EXE_tillgate"))
            .args(["network", "apply", "--yes", "--config"])
            .arg(self.folder.join("t.toml"))
            .arg("--root")
            .arg(root)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", said(&output));
    }

    /// systemd-networkd, until the bridge has its address and the uplink its route. It believes a read-only /sys that no
    /// udev is to be waited for.
    fn networkd(&mut self) {
        let ours = self.folder.join("root/etc/systemd/network");
        let script = format!(
            "mount --make-rprivate / && mount --bind /sys /sys && mount -o bind,remount,ro /sys && \
             mkdir -p /run/systemd && mount -t tmpfs tmpfs /run/systemd && \
             mkdir -p /run/systemd/netif/links /run/systemd/netif/leases /run/systemd/netif/lldp && \
             chown -R systemd-network: /run/systemd/netif && mkdir -p /etc/systemd/network && \
             mount --bind {} /etc/systemd/network && exec /lib/systemd/systemd-networkd",
            ours.display()
        );
        let log = self.folder.join("networkd.log");
        self.start("gw", "unshare", &["-m", "sh", "-c", &script], &[("SYSTEMD_LOG_LEVEL", "debug")], "networkd.log");
        let done = || {
            let addresses = said(&self.inside("gw", "ip", &["-oneline", "address"]));
            let routes = said(&self.inside("gw", "ip", &["route"]));
            addresses.contains("192.168.50.1/24") && routes.contains("default via 198.51.100.1 dev eth0")
        };
        wait(done, || format!("networkd: {}", std::fs::read_to_string(&log).unwrap_or_default()));
        let log = std::fs::read_to_string(&log).unwrap();
        for complaint in ["Unknown key", "Unknown section", "Failed to parse", "ignoring assignment"] {
            assert!(!log.contains(complaint), "systemd-networkd does not know what we wrote:\n{log}");
        }
    }

    /// The firewall as it stands when nobody is let through.
    fn firewall(&self) {
        let config = self.folder.join("t.toml").display().to_string();
        let program =
            Command::new(env!("CARGO_BIN_EXE_tillgate")).args(["netd", "--print", "--config", &config]).output();
        let printed = program.unwrap();
        assert!(printed.status.success(), "{}", said(&printed));
        let rules = self.folder.join("rules.nft");
        std::fs::write(&rules, &printed.stdout).unwrap();
        let loaded = self.inside("gw", "nft", &["-f", rules.to_str().unwrap()]);
        assert!(loaded.status.success(), "{}", said(&loaded));
    }

    /// The firewall, the gateway's dnsmasq with our file, and one behind the uplink that is the internet's.
    pub(super) fn dnsmasq(&mut self) {
        self.firewall();
        self.own_dnsmasq();
        self.upstream(&[
            "--host-record=www.example.org,198.51.100.81,2001:db8::81",
            "--host-record=pay.example.net,198.51.100.80",
            "--host-record=static.pay.example.net,198.51.100.79",
            "--host-record=mask.icloud.com,198.51.100.99",
            "--host-record=use-application-dns.net,198.51.100.99",
            // Priority 1, no other name, ALPN h2.
            "--dns-rr=www.example.org,65,000100000100030268320a",
            "--dns-rr=pay.example.net,65,000100000100030268320a",
            "--address=/pay.shop.example/203.0.113.66",
        ]);
    }

    /// The gateway's dnsmasq with our file; its process id.
    pub(super) fn own_dnsmasq(&self) -> u32 {
        let leases = format!("--dhcp-leasefile={}/leases", self.folder.display());
        let conf = format!("--conf-file={}/root/etc/dnsmasq.d/tillgate.conf", self.folder.display());
        self.start("gw", "dnsmasq", &["-k", "--pid-file", "--user=root", &leases, &conf], &[], "dnsmasq.log")
    }

    /// Who tells phones of the router by version 6, once it has said that it does; its process id.
    pub(super) fn advertiser(&self) -> u32 {
        let config = self.folder.join("t.toml").display().to_string();
        let args = ["advertise", "--config", &config];
        let id = self.start("gw", env!("CARGO_BIN_EXE_tillgate"), &args, &[], "advertise.log");
        wait(|| self.log("advertise.log").contains("advertising"), || self.log("advertise.log"));
        id
    }

    /// The internet's dnsmasq, with these names.
    pub(super) fn upstream(&self, names: &[&str]) {
        let usual =
            ["-k", "--pid-file", "--user=root", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--no-daemon"];
        self.start("net", "dnsmasq", &[&usual[..], names].concat(), &[], "upstream.log");
        let up =
            || self.inside("net", "dig", &["+time=1", "+tries=1", "@198.51.100.1", "www.example.org"]).status.success();
        wait(up, || "the resolver behind the uplink does not answer".to_owned());
    }

    /// A lease, as the phone's own client sees it; the client asks for these options besides.
    pub(super) fn lease(&self, phone: &str, asked: &[&str]) -> BTreeMap<String, String> {
        let (script, seen) = (self.folder.join("bound.sh"), self.folder.join(format!("lease-{phone}")));
        let text = format!(
            "#!/bin/sh\n[ \"$1\" = bound ] || exit 0\nip address replace \"$ip/$mask\" dev \"$interface\"\n\
             ip route replace default via \"$router\"\necho \"nameserver $dns\" > {}\nenv > {}\n",
            self.resolv_conf(phone).display(),
            seen.display()
        );
        std::fs::write(&script, text).unwrap();
        run("chmod", &["755", script.to_str().unwrap()]);
        let script = script.to_str().unwrap();
        let mut args = vec!["-i", "eth0", "-f", "-n", "-q", "-t", "20", "-T", "1", "-x", "hostname:evil", "-s", script];
        args.extend(asked.iter().flat_map(|option| ["-O", option]));
        let output = self.inside(phone, "udhcpc", &args);
        assert!(output.status.success(), "{}\n{}", said(&output), self.log("dnsmasq.log"));
        let text = std::fs::read_to_string(seen).unwrap();
        text.lines().filter_map(|line| line.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
    }

    /// What the guests' resolver says to this phone: the status, and the answers' values.
    pub(super) fn dig(&self, phone: &str, name: &str, kind: &str) -> (String, Vec<String>) {
        let args = ["+time=2", "+tries=5", "+noall", "+answer", "+comments", "@192.168.50.1", name, kind];
        let text = said(&self.inside(phone, "dig", &args));
        let status = text.split_once("status: ").and_then(|(_, rest)| rest.split_once(',')).map_or("", |(s, _)| s);
        let values = text.lines().filter(|l| !l.starts_with(';') && !l.is_empty());
        (status.to_owned(), values.filter_map(|l| l.split_whitespace().last()).map(str::to_owned).collect())
    }

    /// What a place has for its `/etc/resolv.conf`; a phone's is as its lease said.
    pub(super) fn resolv_conf(&self, place: &str) -> PathBuf {
        self.folder.join(format!("resolv-{place}.conf"))
    }

    /// A shell's command in this place, whose names are asked as its [`Bed::resolv_conf`] says; arguments that follow are
    /// the script's.
    pub(super) fn with_names(&self, place: &str, script: &str) -> Command {
        let conf = self.resolv_conf(place);
        let script = format!("mount --make-rprivate / && mount --bind {} /etc/resolv.conf && {script}", conf.display());
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name(place), "unshare", "-m", "sh", "-c", &script, "sh"]);
        command.stdin(Stdio::null());
        command
    }

    /// The place as a machine.
    pub(super) fn machine(&self, place: &str) -> Machine {
        Machine { namespace: self.name(place) }
    }

    pub(super) fn inside(&self, place: &str, program: &str, args: &[&str]) -> Output {
        let name = self.name(place);
        Command::new("ip").args(["netns", "exec", &name, program]).args(args).stdin(Stdio::null()).output().unwrap()
    }

    /// Starts a program that goes on until the bed is dropped; returns its process id.
    pub(super) fn start(&self, place: &str, program: &str, args: &[&str], env: &[(&str, &str)], log: &str) -> u32 {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name(place), program]).args(args).envs(env.iter().copied());
        self.keep(command, log)
    }

    /// Starts this until the bed is dropped, with this log; returns its process id.
    pub(super) fn keep(&self, mut command: Command, log: &str) -> u32 {
        let log = std::fs::File::create(self.folder.join(log)).unwrap();
        let child = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let id = child.id();
        self.running.lock().unwrap().push(child);
        id
    }

    /// Kills what was started, and is sure that it is gone.
    pub(super) fn kill(&self, id: u32) {
        let mut running = self.running.lock().unwrap();
        let at = running.iter().position(|child| child.id() == id).unwrap();
        let mut child = running.remove(at);
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Until the phone has made itself an address by version 6 and knows its router.
    pub(super) fn settles(&self, place: &str) {
        let addresses = || said(&self.inside(place, "ip", &["-6", "-oneline", "address", "show", "dev", "eth0"]));
        let made = || addresses().lines().any(|l| l.contains("fd12:3456:789a:50:") && !l.contains("tentative"));
        wait(|| made() && !self.routes_six(place).is_empty(), || addresses() + &self.log("advertise.log"));
    }

    /// The ways out by version 6 that a place knows.
    pub(super) fn routes_six(&self, place: &str) -> String {
        said(&self.inside(place, "ip", &["-6", "route", "show", "default"]))
    }

    /// Tells what was started to stop, and waits until it has; it ended well.
    pub(super) fn stops(&self, id: u32) {
        run("kill", &["-TERM", &id.to_string()]);
        let mut running = self.running.lock().unwrap();
        let at = running.iter().position(|child| child.id() == id).unwrap();
        let ended = running.remove(at).wait().unwrap();
        assert!(ended.success(), "{ended}");
    }

    pub(super) fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.join(name)).unwrap_or_default()
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        for child in self.running.get_mut().unwrap_or_else(PoisonError::into_inner) {
            let _ = child.kill();
            let _ = child.wait();
        }
        for place in ["gw", "one", "two", "net"] {
            // What programs in there have started besides, and nobody else, is in there.
            let left = Command::new("ip").args(["netns", "pids", &self.name(place)]).output();
            let left = left.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
            for pid in left.split_whitespace() {
                let _ = Command::new("kill").args(["-KILL", pid]).output();
            }
            let _ = Command::new("ip").args(["netns", "delete", &self.name(place)]).output();
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A new certificate for the portal's name, and its key.
pub(super) fn certificate(folder: &Path) {
    let made = rcgen::generate_simple_self_signed(vec!["pay.shop.example".to_owned()]).unwrap();
    std::fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
}

/// The configuration with this portal and network, and what it names in this folder.
pub(super) fn config(folder: &Path, portal: &str, network: &str) -> String {
    let text = CONFIG.replace("PORTAL", portal).replace("NETWORK", network);
    text.replace("DIR", folder.to_str().unwrap())
}

pub(super) fn run(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).output().unwrap();
    assert!(output.status.success(), "{program} {args:?}: {}", said(&output));
}

pub(super) fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Asks again and again until it is so, and not more often than the portal lets one phone ask.
pub(super) fn wait(mut is_so: impl FnMut() -> bool, what: impl Fn() -> String) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "it did not come about: {}", what());
        std::thread::park_timeout(BETWEEN);
    }
}
