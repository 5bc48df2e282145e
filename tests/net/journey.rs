//! A whole payment over the shop's own network: phones, till, platform, firewall, the daemon without any right and the
//! helper with one.

use super::bed::{BANK, BOX, Bed, Machine, PLATFORM, PORTAL, eventually};
use super::helper::{Helper, network};
use super::packets::{End, tcp};
use serialport::{SerialPort, TTYPort};
use std::fs::{File, OpenOptions};
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{OpenOptionsExt, chown};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::thread::JoinHandle;
use tillgate::demo::stage::Stage;
use tillgate::demo::visitor::Visitor;
use tillgate::sandbox::{PASSWORD, Sandbox, SandboxSettings};
use tillgate::shop::event::TillNumber;
use tillgate::shop::money::{Amount, Currency};
use tillgate::till::player::{Ended, Outcome, Player, PlayerSettings};
use tokio::runtime::Runtime;

/// The daemon's user: nobody at all.
const NOBODY: u32 = 65_534;
const TILL: &str = "7";
const WAIT_SECS: u64 = 30;

/// A shop that pays at a platform in the world.
struct Shop {
    bed: Bed,
    helper: Helper,
    stage: Stage,
    config: PathBuf,
    daemon: Option<Child>,
    till: Option<TTYPort>,
    /// Held open: a line that nobody has open would be taken for one that hung up.
    line: File,
    _platform: Sandbox,
    _runtime: Runtime,
}

impl Shop {
    fn open() -> Shop {
        let bed = Bed::new();
        let runtime = Runtime::new().unwrap();
        let mut stage = Stage::new().unwrap();
        stage.portal = SocketAddr::from((BOX, PORTAL));
        let settings = SandboxSettings {
            api_listen: SocketAddr::new(PLATFORM, 8_443),
            public_listen: SocketAddr::new(PLATFORM, 443),
            public_url: Some(format!("http://{PLATFORM}:443")),
            ..stage.platform()
        };
        let platform = bed.world().run(|| Sandbox::start(runtime.handle(), settings).unwrap());
        let api = relay(&bed.the_box(), platform.api);
        let (master, slave) = TTYPort::pair().unwrap();
        let port = PathBuf::from(slave.name().unwrap());
        let no_ctty = i32::try_from(rustix::fs::OFlags::NOCTTY.bits()).unwrap();
        let line = OpenOptions::new().read(true).write(true).custom_flags(no_ctty).open(&port).unwrap();
        let till = TillNumber::new(TILL.parse().unwrap()).unwrap();
        let config = stage.write_config(api, &[(till, &port)], &format!("\n{}", network(&bed, ""))).unwrap();
        for owned in std::fs::read_dir(stage.file("")).unwrap().map(|entry| entry.unwrap().path()) {
            chown(owned, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        for owned in [stage.file(""), port] {
            chown(owned, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let helper = Helper::start_with(&bed, config.clone(), NOBODY);
        let (daemon, till) = (None, Some(master));
        let mut shop = Shop { bed, helper, stage, config, daemon, till, line, _platform: platform, _runtime: runtime };
        shop.start();
        shop
    }

    /// Starts the daemon; returns as soon as phones reach it.
    fn start(&mut self) {
        rustix::termios::ioctl_tiocnxcl(&self.line).unwrap();
        let log = OpenOptions::new().create(true).append(true).open(self.stage.file("daemon.log")).unwrap();
        let nobody = NOBODY.to_string();
        let mut command = self.bed.the_box().command("/usr/bin/setpriv");
        let daemon = command
            .args(["--reuid", &nobody, "--regid", &nobody, "--clear-groups", "--inh-caps", "-all", "--"])
            .args([env!("CARGO_BIN_EXE_tillgate"), "run", "--config"])
            .arg(&self.config)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        let daemon = self.daemon.insert(daemon.unwrap());
        let portal = self.stage.portal;
        let the_box = self.bed.the_box();
        eventually("the portal is open", || {
            assert_eq!(daemon.try_wait().unwrap(), None, "the daemon has ended");
            the_box.run(|| TcpStream::connect(portal).is_ok())
        });
    }

    fn kill(&mut self) {
        let mut daemon = self.daemon.take().unwrap();
        daemon.kill().unwrap();
        daemon.wait().unwrap();
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.stage.file("daemon.log")).unwrap_or_default()
    }

    /// The cashier asks for 12.50; how it ends.
    fn asks(&mut self) -> JoinHandle<Outcome> {
        let mut player = Player::over(self.till.take().unwrap(), PlayerSettings::default()).unwrap();
        std::thread::spawn(move || {
            let amount = Amount::from_minor(1_250, Currency::from_code("EUR").unwrap()).unwrap();
            match player.pay(amount, None, 120, &mut |_| ()).unwrap() {
                Ended::Result(result) => result.outcome,
                other => panic!("{other:?}"),
            }
        })
    }

    /// What `tillgate doctor` says.
    fn doctor(&self) -> String {
        let mut command = self.bed.the_box().command(env!("CARGO_BIN_EXE_tillgate"));
        let output = command.arg("doctor").arg("--config").arg(&self.config).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    /// What `tillgate status` says of the network.
    fn status(&self) -> String {
        let socket = self.stage.file("control.sock");
        let mut command = self.bed.the_box().command(env!("CARGO_BIN_EXE_tillgate"));
        let output = command.arg("status").arg("--socket").arg(socket).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().find(|line| line.starts_with("network")).unwrap_or_default().to_owned()
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        if self.daemon.is_some() {
            self.kill();
        }
        if std::thread::panicking() {
            println!("the daemon's log:\n{}\nthe helper's log:\n{}", self.log(), self.helper.log());
        }
    }
}

/// The platform's certificate is for this machine alone: what the box says to itself comes out there.
fn relay(the_box: &Machine, platform: SocketAddr) -> SocketAddr {
    let listener = the_box.run(|| TcpListener::bind("127.0.0.1:0").unwrap());
    let at = listener.local_addr().unwrap();
    let there = the_box.clone();
    std::thread::spawn(move || {
        there.enter();
        for here in listener.incoming().map_while(Result::ok) {
            let Ok(far) = TcpStream::connect(platform) else { continue };
            for (mut from, mut to) in [
                (here.try_clone().unwrap(), far.try_clone().unwrap()),
                (far.try_clone().unwrap(), here.try_clone().unwrap()),
            ] {
                std::thread::spawn(move || {
                    let _ = io::copy(&mut from, &mut to);
                    let _ = to.shutdown(std::net::Shutdown::Write);
                });
            }
        }
    });
    at
}

/// A customer's phone in the guests' network.
struct Phone {
    visitor: Visitor,
    /// Its threads are there, and so are its connections.
    runtime: Runtime,
    machine: Machine,
}

impl Phone {
    fn new(bed: &Bed, number: u8) -> Phone {
        let machine = bed.phone(number);
        let runtime =
            machine.run(|| tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap());
        Phone { visitor: Visitor::new("en"), runtime, machine }
    }

    fn at(&mut self, address: &str) {
        let machine = self.machine.clone();
        let (visitor, handle) = (&mut self.visitor, self.runtime.handle());
        machine.run(|| handle.block_on(visitor.open(address))).unwrap();
    }

    fn send(&mut self, form: &str, fields: &[(&str, &str)]) {
        let machine = self.machine.clone();
        let (visitor, handle) = (&mut self.visitor, self.runtime.handle());
        machine.run(|| handle.block_on(visitor.send(form, fields))).unwrap();
    }

    /// Reloads its page until it is so.
    fn until(&mut self, is: impl Fn(&Visitor) -> bool + Send) {
        let machine = self.machine.clone();
        let (visitor, handle) = (&mut self.visitor, self.runtime.handle());
        machine.run(|| handle.block_on(visitor.until(WAIT_SECS, is))).unwrap();
    }

    /// From a probe to the till.
    fn stands(&mut self) {
        self.at(&format!("http://{BANK}/generate_204"));
        assert_eq!(
            self.visitor.at.authority().unwrap().as_str(),
            format!("{BOX}:{PORTAL}"),
            "a probe leads to the portal"
        );
        self.send("/login", &[]);
        self.send("/till", &[("till", TILL)]);
    }

    /// Says yes, and goes to the platform's page.
    fn confirms(&mut self) {
        self.until(|visitor| visitor.has("/confirm"));
        self.send("/confirm", &[]);
        self.until(|visitor| visitor.link("/checkout").is_some());
    }

    /// Its own page, after which it goes on to the checkout, pays there and comes back.
    fn pays(&mut self) {
        let own = self.visitor.at.to_string();
        let way = self.visitor.link("/checkout").unwrap();
        self.at(&format!("http://{BOX}:{PORTAL}{way}"));
        assert!(self.visitor.at.to_string().starts_with(&format!("http://{PLATFORM}:443/")), "{}", self.visitor.at);
        let token = self.visitor.at.path().rsplit('/').next().unwrap().to_owned();
        self.send(&token, &[("account", "anna"), ("password", PASSWORD), ("action", "pay")]);
        assert!(self.visitor.page.contains("Thank you"), "{}", self.visitor.page);
        self.at(&own);
        self.until(|visitor| visitor.has("/finish"));
    }

    fn reaches_the_platform(&self) -> bool {
        self.machine
            .run(|| TcpStream::connect_timeout(&SocketAddr::new(PLATFORM, 443), std::time::Duration::from_secs(1)))
            .is_ok()
    }
}

#[test]
fn a_phone_pays_over_the_shops_network_and_reaches_the_platform_just_as_long_as_it_needs_to() {
    let mut shop = Shop::open();
    eventually("both are there", || shop.status().contains("governed; 0 let through"));
    let (mut payer, mut other) = (Phone::new(&shop.bed, 7), Phone::new(&shop.bed, 8));
    other.at(&format!("http://{BANK}/generate_204"));
    other.send("/login", &[]);
    payer.stands();
    assert!(!payer.reaches_the_platform());
    let result = shop.asks();
    payer.confirms();
    // As the page that leads there is shown, the way is open.
    assert!(payer.reaches_the_platform());
    assert!(!other.reaches_the_platform());
    assert!(shop.status().contains("1 let through"), "{}", shop.status());
    payer.pays();
    assert_eq!(result.join().unwrap(), Outcome::Approved);
    eventually("it is captive again", || !payer.reaches_the_platform());
    assert!(shop.status().contains("0 let through"), "{}", shop.status());
}

#[test]
fn whatever_is_taken_away_in_the_middle_of_a_payment_it_is_paid() {
    let mut shop = Shop::open();
    let (mut payer, other) = (Phone::new(&shop.bed, 7), Phone::new(&shop.bed, 8));
    payer.stands();
    let result = shop.asks();
    payer.confirms();
    shop.bed.the_box().nft("flush ruleset");
    eventually("the firewall is back", || shop.status().contains("TAKEN AWAY 1 times"));
    let found = shop.doctor();
    assert!(found.contains("odd    firewall      its table was taken away 1 times"), "{found}");
    assert!(payer.reaches_the_platform() && !other.reaches_the_platform());
    shop.helper.kill();
    assert!(payer.reaches_the_platform() && !other.reaches_the_platform());
    eventually("it is missed", || shop.status().contains("HELPER IS GONE"));
    assert!(shop.doctor().contains("WRONG  firewall      its helper does not answer"), "{}", shop.doctor());
    shop.helper.again();
    eventually("it is back", || shop.status().contains("governed; 1 let through"));
    assert!(payer.reaches_the_platform() && !other.reaches_the_platform());
    shop.kill();
    assert!(payer.reaches_the_platform() && !other.reaches_the_platform());
    shop.start();
    eventually("it has said all again", || shop.status().contains("governed; 1 let through"));
    assert!(payer.reaches_the_platform() && !other.reaches_the_platform());
    // A new address: it reaches its page, and with that the platform.
    payer.machine.moves_to("192.168.50.77");
    assert!(!payer.reaches_the_platform());
    let own = payer.visitor.at.to_string();
    payer.at(&own);
    eventually("the new address is let through", || payer.reaches_the_platform());
    assert!(!other.reaches_the_platform());
    payer.pays();
    assert_eq!(result.join().unwrap(), Outcome::Approved);
    eventually("it is captive again", || !payer.reaches_the_platform());
}

#[test]
fn without_the_helper_a_phone_sees_its_pages_and_reaches_nothing_else() {
    let mut shop = Shop::open();
    shop.helper.kill();
    let mut payer = Phone::new(&shop.bed, 7);
    payer.stands();
    let result = shop.asks();
    payer.confirms();
    assert!(!payer.reaches_the_platform());
    assert_eq!(tcp(&payer.machine, BANK, 443), End::Refused);
    shop.helper.again();
    eventually("its way is opened", || payer.reaches_the_platform());
    payer.pays();
    assert_eq!(result.join().unwrap(), Outcome::Approved);
}
