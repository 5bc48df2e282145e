//! A shop with everything: our rendered files in the hands of the real programs, the real helper with its one right, the
//! daemon as nobody, a till on its line, and the internet behind the uplink.

use super::bed::{Bed, SECURE, SIX, run, said, wait};
use super::phone::Phone;
use super::rig::Till;
use super::world::{API, PLATFORM, UPLINK_SIX, World};
use serialport::{SerialPort, TTYPort};
use std::fs::{File, OpenOptions};
use std::net::TcpStream;
use std::os::unix::fs::{OpenOptionsExt, chown};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use tillgate::sandbox::PASSWORD;

/// The daemon's user: nobody at all.
const NOBODY: &str = "65534";
/// Ports below 1,024 are all that it may have besides; its unit gives it the same.
const DAEMON: &str = "exec setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps +net_bind_service \
                      --ambient-caps +net_bind_service -- \"$@\"";
/// The till's number.
pub(super) const TILL: &str = "1";

pub(super) struct House {
    pub(super) till: Till,
    /// Held open: a line that nobody has open would be taken for one that hung up.
    line: File,
    pub(super) world: World,
    pub(super) bed: Bed,
    daemon: AtomicU32,
    helper: AtomicU32,
    names: AtomicU32,
}

impl House {
    /// Everything runs, and nobody has joined yet.
    pub(super) fn open(name: &str) -> House {
        House::open_with(name, "")
    }

    /// The same with version 6, inside and outside.
    pub(super) fn open_by_six(name: &str) -> House {
        let house = House::open_with(name, SIX);
        house.bed.machine("gw").ip(&format!("address add {UPLINK_SIX} dev eth0 nodad"));
        house.bed.advertiser();
        house
    }

    /// With this in `[network]` besides.
    fn open_with(name: &str, more: &str) -> House {
        let network = format!("{more}\nhelper = \"DIR/netd.sock\"\n[network.limits]\nonline_minutes = 1\n");
        let bed = Bed::new(name, SECURE, &network);
        let world = World::open(&bed);
        for (from, to) in [(&world.portal.certificate, "cert.pem"), (&world.portal.key, "key.pem")] {
            std::fs::copy(from, bed.folder.join(to)).unwrap();
        }
        let (master, slave) = TTYPort::pair().unwrap();
        let port = PathBuf::from(slave.name().unwrap());
        let no_ctty = i32::try_from(rustix::fs::OFlags::NOCTTY.bits()).unwrap();
        let line = OpenOptions::new().read(true).write(true).custom_flags(no_ctty).open(&port).unwrap();
        configure(&bed, &world, &port);
        std::fs::write(bed.folder.join("resolv-gw.conf"), "nameserver 198.51.100.1\n").unwrap();
        let nobody: u32 = NOBODY.parse().unwrap();
        for name in ["", "cert.pem", "key.pem", "ca.pem", "box.pem", "box.key"] {
            chown(bed.folder.join(name), Some(nobody), Some(nobody)).unwrap();
        }
        chown(port, Some(nobody), Some(nobody)).unwrap();
        let [daemon, helper, names] = std::array::from_fn(|_| AtomicU32::new(0));
        let till = Till::on(master);
        let house = House { till, line, world, bed, daemon, helper, names };
        house.starts_helper();
        house.starts_names();
        house.starts_daemon();
        house.agrees_on(0);
        house
    }

    pub(super) fn starts_helper(&self) {
        let config = self.config();
        let args = ["netd", "--user", NOBODY, "--config", &config];
        let helper = self.bed.start("gw", env!("CARGO_BIN_EXE_tillgate"), &args, &[], "netd.log");
        self.helper.store(helper, Ordering::Relaxed);
        wait(|| self.bed.log("netd.log").contains("ready"), || self.bed.log("netd.log"));
    }

    pub(super) fn starts_names(&self) {
        self.names.store(self.bed.own_dnsmasq(), Ordering::Relaxed);
        let up = || self.bed.inside("gw", "dig", &["+time=1", "+tries=1", "@192.168.50.1", PLATFORM]).status.success();
        wait(up, || self.bed.log("dnsmasq.log"));
    }

    pub(super) fn starts_daemon(&self) {
        rustix::termios::ioctl_tiocnxcl(&self.line).unwrap();
        let mut command = self.bed.with_names("gw", DAEMON);
        command.args([env!("CARGO_BIN_EXE_tillgate"), "run", "--config"]).arg(self.config());
        command.env("TILLGATE_LOG", "info");
        self.daemon.store(self.bed.keep(command, "daemon.log"), Ordering::Relaxed);
        let gateway = self.bed.machine("gw");
        let open = || gateway.run(|| TcpStream::connect("192.168.50.1:443").is_ok());
        wait(open, || self.bed.log("daemon.log"));
    }

    pub(super) fn kills_helper(&self) {
        self.bed.kill(self.helper.load(Ordering::Relaxed));
    }

    pub(super) fn kills_names(&self) {
        self.bed.kill(self.names.load(Ordering::Relaxed));
    }

    pub(super) fn kills_daemon(&self) {
        self.bed.kill(self.daemon.load(Ordering::Relaxed));
    }

    fn config(&self) -> String {
        self.bed.folder.join("t.toml").display().to_string()
    }

    /// What `tillgate status` says.
    pub(super) fn status(&self) -> String {
        let socket = self.bed.folder.join("control.sock").display().to_string();
        said(&self.bed.inside("gw", env!("CARGO_BIN_EXE_tillgate"), &["status", "--socket", &socket]))
    }

    /// Waits until the daemon says that so many phones are let through.
    pub(super) fn agrees_on(&self, phones: usize) {
        let wanted = format!("governed; {phones} let through");
        wait(|| self.status().contains(&wanted), || self.logs());
    }

    /// The elements of one of the firewall's sets, without their ends and quotas.
    pub(super) fn elements(&self, set: &str) -> Vec<String> {
        let text = said(&self.bed.inside("gw", "nft", &["list", "set", "inet", "tillgate", set]));
        let inside = text.split_once("elements = {").map_or("", |(_, rest)| rest.split('}').next().unwrap());
        let each = inside.split(',').filter_map(|element| element.split(" quota").next()?.split(" timeout").next());
        each.map(|element| element.trim().to_owned()).filter(|element| !element.is_empty()).collect()
    }

    pub(super) fn logs(&self) -> String {
        let log = |name| self.bed.log(name);
        format!(
            "{}\ndaemon: {}\nhelper: {}\nnames: {}",
            self.status(),
            log("daemon.log"),
            log("netd.log"),
            log("dnsmasq.log")
        )
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}", self.logs());
        }
    }
}

/// The platform and the till, in the place of those that the bed made up.
fn configure(bed: &Bed, world: &World, port: &std::path::Path) {
    let file = bed.folder.join("t.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let (before, rest) = text.split_once("[platform]").unwrap();
    let (_, after) = rest.split_once("[store]").unwrap();
    let pin: String = world.certificates.platform.pin.iter().map(|byte| format!("{byte:02x}")).collect();
    let platform = format!(
        "[platform]\nurl = \"https://{PLATFORM}:{API}\"\nca = {:?}\ncertificate = {:?}\nkey = {:?}\npins = [\"{pin}\"]\n",
        world.certificates.ca, world.certificates.shop_box.certificate, world.certificates.shop_box.key
    );
    let till = bed.folder.join("no-till").display().to_string();
    let after = after.replace(&till, &port.display().to_string());
    std::fs::write(&file, format!("{before}{platform}[store]{after}")).unwrap();
    run("chmod", &["644", &file.display().to_string()]);
}

impl Phone<'_> {
    /// From a probe to the till.
    pub(super) fn stands(&mut self) {
        self.opens("http://captive.apple.com/hotspot-detect.html");
        assert_eq!(self.page.at.to_string(), "https://pay.shop.example/", "a probe leads to the portal");
        self.sends("/login", &[]);
        self.sends("/till", &[("till", TILL)]);
    }

    /// Says yes, once it is asked, and sees the way to the platform.
    pub(super) fn confirms(&mut self) {
        self.until("it is asked", |page| page.has("/confirm"));
        self.sends("/confirm", &[]);
        self.until("there is a way", |page| page.link("/checkout").is_some());
    }

    /// Goes to the platform's page and pays there; returns where its own page is.
    pub(super) fn pays(&mut self) -> String {
        let own = self.page.at.to_string();
        let way = self.at(&self.page.link("/checkout").unwrap());
        self.opens(&way);
        assert!(self.page.at.to_string().starts_with(&format!("https://{PLATFORM}/checkout/")), "{}", self.page.at);
        let token = self.page.at.path().rsplit('/').next().unwrap().to_owned();
        self.sends(&token, &[("account", "anna"), ("password", PASSWORD), ("action", "pay")]);
        own
    }
}
