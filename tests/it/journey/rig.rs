//! The daemon as a process, with a till on a pty, phones and a platform around it; and a look at everybody's books.

use rustix::process::{Pid, Signal, kill_process};
use serialport::{SerialPort, TTYPort};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tillgate::demo::stage::Stage;
use tillgate::demo::visitor::{Failed, Visitor};
use tillgate::sandbox::authority::Certificates;
use tillgate::sandbox::{BookLine, Fault, FaultKind, FaultyCall, PASSWORD, Sandbox, SandboxSettings, Times, books};
use tillgate::shop::effect;
use tillgate::shop::event::{Ticket, TillNumber};
use tillgate::shop::money::{Amount, Currency};
use tillgate::shop::sale::Telling;
use tillgate::store::{Books, Filter, SaleLine, verify};
use tillgate::till::player::{
    AbortKey, DaySums, Ended, Last, Outcome, PlayError, Player, PlayerSettings, Show, Shown, Sums, TillResult,
};
use tokio::runtime::{Handle, Runtime};

/// Longer than anything here takes on a busy machine.
const WAIT_SECS: u64 = 90;
const WAIT: Duration = Duration::from_secs(WAIT_SECS);
/// How long a till between sales listens before it looks whether the cashier wants something.
const LISTEN: Duration = Duration::from_millis(20);
/// How often what cannot be waited for is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// The till's number, as customers type it.
pub(super) const TILL: &str = "7";

/// What is otherwise than usual.
#[derive(Default)]
pub(super) struct Dress {
    /// What the daemon's environment has besides.
    pub(super) env: Vec<(&'static str, String)>,
    /// Further tills: number and port.
    pub(super) tills: Vec<(u16, PathBuf)>,
    /// What the configuration says besides, of the last till first.
    pub(super) more: String,
    /// What is done to the folder before anything starts in it.
    pub(super) folder: Option<fn(&Stage)>,
}

/// Everything, running.
pub(super) struct Rig {
    pub(super) till: Till,
    pub(super) stage: Stage,
    /// `None` while it is away.
    platform: Option<Sandbox>,
    config: PathBuf,
    daemon: Option<Child>,
    /// The till's line, held open: one that nobody has open would be taken for one that hung up.
    line: File,
    env: Vec<(&'static str, String)>,
    /// How long the daemon's log was when it was started last.
    log_began: usize,
    runtime: Runtime,
}

impl Rig {
    pub(super) fn new() -> Rig {
        let mut rig = Rig::dressed(Dress::default());
        rig.start();
        rig
    }

    /// Another one, whose daemon is not started yet.
    pub(super) fn dressed(dress: Dress) -> Rig {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let stage = Stage::new().unwrap();
        dress.folder.inspect(|prepare| prepare(&stage));
        let platform = stage.start_platform(runtime.handle(), None).unwrap();
        let (master, slave) = TTYPort::pair().unwrap();
        let port = PathBuf::from(slave.name().unwrap());
        let no_ctty = i32::try_from(rustix::fs::OFlags::NOCTTY.bits()).unwrap();
        let line = OpenOptions::new().read(true).write(true).custom_flags(no_ctty).open(&port).unwrap();
        let tills = [(TILL.parse().unwrap(), port)].into_iter().chain(dress.tills);
        let tills: Vec<_> = tills.map(|(number, port)| (TillNumber::new(number).unwrap(), port)).collect();
        let ports: Vec<_> = tills.iter().map(|(number, port)| (*number, port.as_path())).collect();
        let config = stage.write_config(platform.api, &ports, &dress.more).unwrap();
        let (till, platform, env) = (Till::on(master), Some(platform), dress.env);
        Rig { till, stage, platform, config, daemon: None, line, env, log_began: 0, runtime }
    }

    /// Starts the daemon; returns as soon as phones reach it.
    pub(super) fn start(&mut self) {
        self.begin();
        self.is_open();
    }

    /// The same, with no more files than that.
    pub(super) fn start_with_files(&mut self, files: u32) {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("ulimit -n {files} && exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_tillgate")]);
        self.start_by(shell);
    }

    /// The same, by a program that becomes the daemon.
    pub(super) fn start_by(&mut self, program: Command) {
        self.begin_by(program);
        self.is_open();
    }

    fn is_open(&mut self) {
        let daemon = self.daemon.as_mut().unwrap();
        eventually("the portal is open", || {
            assert_eq!(daemon.try_wait().unwrap(), None, "the daemon has ended");
            TcpStream::connect(self.stage.portal).is_ok()
        });
    }

    /// Starts the daemon, whatever comes of it.
    pub(super) fn begin(&mut self) {
        self.begin_by(Command::new(env!("CARGO_BIN_EXE_tillgate")));
    }

    fn begin_by(&mut self, mut program: Command) {
        // The lock of a process that was killed would end with its cable; this line was held open meanwhile.
        rustix::termios::ioctl_tiocnxcl(&self.line).unwrap();
        let log = OpenOptions::new().create(true).append(true).open(self.stage.file("daemon.log")).unwrap();
        self.log_began = usize::try_from(log.metadata().unwrap().len()).unwrap();
        let daemon = program
            .args(["run", "--config"])
            .arg(&self.config)
            .env("TILLGATE_LOG", "info")
            .envs(self.env.iter().cloned())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        self.daemon = Some(daemon.unwrap());
    }

    /// Waits until the daemon ends by itself; what it said since it was started last.
    pub(super) fn ends(&mut self) -> (ExitStatus, String) {
        let mut daemon = self.daemon.take().unwrap();
        let mut ended = None;
        eventually("the daemon ends", || {
            ended = daemon.try_wait().unwrap();
            ended.is_some()
        });
        (ended.unwrap(), self.log().split_off(self.log_began))
    }

    /// Whether the daemon has ended by itself.
    pub(super) fn has_ended(&mut self) -> bool {
        self.daemon.as_mut().unwrap().try_wait().unwrap().is_some()
    }

    /// Starts the daemon if it has ended meanwhile.
    pub(super) fn start_if_ended(&mut self) {
        let ended = self.daemon.as_mut().unwrap().try_wait().unwrap();
        if ended.is_some() {
            self.start();
        }
    }

    /// The daemon's process.
    pub(super) fn pid(&self) -> Pid {
        Pid::from_child(self.daemon.as_ref().unwrap())
    }

    /// Kills the daemon without a word.
    pub(super) fn kill(&mut self) {
        let mut daemon = self.daemon.take().unwrap();
        daemon.kill().unwrap();
        daemon.wait().unwrap();
    }

    /// Kills the daemon without a word, in so long.
    pub(super) fn kill_after(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until {
            std::thread::park_timeout(until.saturating_duration_since(Instant::now()));
        }
        self.kill();
    }

    pub(super) fn kill_and_start(&mut self) {
        self.kill();
        self.start();
    }

    pub(super) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Ends the daemon in order.
    pub(super) fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        let mut daemon = self.daemon.take().unwrap();
        let mut ended = None;
        eventually("the daemon ends", || {
            ended = daemon.try_wait().unwrap();
            ended.is_some()
        });
        ended.unwrap()
    }

    /// The platform goes away.
    pub(super) fn stops_the_platform(&mut self) -> SandboxSettings {
        let old = self.platform.take().unwrap();
        let settings = SandboxSettings { api_listen: old.api, public_listen: old.public, ..self.stage.platform() };
        self.runtime.block_on(old.stop());
        settings
    }

    /// It comes back, at the same addresses with the same books.
    pub(super) fn starts_the_platform(&mut self, settings: SandboxSettings) {
        self.platform = Some(Sandbox::start(self.runtime.handle(), settings).unwrap());
    }

    /// The platform has another key, everybody's certificates are by another authority, and the configuration has the
    /// new pin.
    pub(super) fn renews_all_keys(&mut self) {
        let settings = self.stops_the_platform();
        let hex = |pin: [u8; 32]| pin.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let old_pin = hex(settings.certificates.platform.pin);
        let certificates = Certificates::create(&self.stage.file("")).unwrap();
        let text = std::fs::read_to_string(&self.config).unwrap();
        std::fs::write(&self.config, text.replace(&old_pin, &hex(certificates.platform.pin))).unwrap();
        self.starts_the_platform(SandboxSettings { certificates, ..settings });
    }

    /// The box enrols at the platform, whose certificates for boxes last so long from now on; the configuration names no
    /// key any more. The daemon must be away.
    pub(super) fn enrols(&mut self, certificate_secs: u32) {
        let settings = self.stops_the_platform();
        let times = Times { certificate_secs, ..settings.times };
        self.starts_the_platform(SandboxSettings { times, ..settings });
        let text = std::fs::read_to_string(&self.config).unwrap();
        let (head, rest) = text.split_once("[platform]").unwrap();
        let (_, tail) = rest.split_once("\n[").unwrap();
        std::fs::write(&self.config, format!("{head}[{tail}")).unwrap();
        self.enrols_again();
    }

    /// The same command, by a new code.
    pub(super) fn enrols_again(&self) {
        let platform = self.platform.as_ref().unwrap();
        let code = self.runtime.block_on(platform.code()).unwrap();
        let url = format!("https://{}", platform.enrol);
        let output = self.tillgate(&["enroll", "--config", self.config.to_str().unwrap(), &url, &code]);
        assert!(output.status.success(), "{output:?}");
    }

    /// A command of ours, to its end.
    pub(super) fn tillgate(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_tillgate")).args(args).output().unwrap()
    }

    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(self.stage.file("daemon.log")).unwrap()
    }

    pub(super) fn fault(&self, call: FaultyCall, fault: FaultKind, count: u32, ms: u64) {
        assert!(self.runtime.block_on(self.platform.as_ref().unwrap().switch(Fault { call, fault, count, ms })));
    }

    /// A phone that has opened the portal.
    pub(super) fn stranger(&self) -> Phone {
        let visitor = Visitor::new("en");
        let mut phone = Phone { visitor, handle: self.runtime.handle().clone(), stage: self.stage.portal.to_string() };
        phone.open("/");
        phone
    }

    /// A phone that has accepted the terms.
    pub(super) fn phone(&self) -> Phone {
        let mut phone = self.stranger();
        phone.send("/login");
        phone.sees("/till");
        phone
    }

    /// A phone that stands at the till.
    pub(super) fn paired(&self) -> Phone {
        let mut phone = self.phone();
        phone.stands();
        phone
    }

    /// The shop's books, oldest sale first.
    pub(super) fn sales(&self) -> Vec<SaleLine> {
        let mut sales = Vec::new();
        let books = Books::open_read_only(&self.stage.shop_books()).unwrap();
        let each = |sale| {
            sales.push(sale);
            true
        };
        books.sales(&Filter::default(), each).unwrap();
        sales.reverse();
        sales
    }

    /// The platform's books.
    pub(super) fn payments(&self) -> Vec<BookLine> {
        books(&self.stage.platform_books()).unwrap()
    }

    /// Waits until nothing more will happen, then asks whether shop, platform and till say the same.
    pub(super) fn agree(&self) -> Vec<SaleLine> {
        let sales = self.books_agree();
        for sale in &sales {
            assert_eq!(sale.telling(), Some(Telling::Taken), "{sale:?}");
            let told = self.till.result_of(sale.ticket.unwrap());
            assert_eq!((told.outcome, told.amount), (told_as(sale.outcome().unwrap()), sale.amount), "{sale:?}");
        }
        let kept: u64 = sales.iter().map(kept_minor).sum();
        let sums = self.till.totals();
        assert_eq!(sums.approved_minor - sums.given_back_minor, kept, "{sums:?}");
        sales
    }

    /// Waits until nothing more will happen, then asks whether shop and platform say the same, whatever tills know.
    pub(super) fn books_agree(&self) -> Vec<SaleLine> {
        eventually("all sales are at rest", || self.sales().iter().all(|sale| !sale.open));
        let (sales, payments) = (self.sales(), self.payments());
        for sale in &sales {
            let of_sale: Vec<_> = payments.iter().filter(|p| p.sale == sale.id.to_string()).collect();
            let moved: i64 = of_sale.iter().map(|p| p.moved_minor).sum();
            assert_eq!(moved.unsigned_abs(), kept_minor(sale), "{sale:?} {of_sale:?}");
            assert!(!sale.needs_person, "{sale:?}");
            for payment in of_sale {
                let over = !matches!(payment.status.as_str(), "awaiting" | "processing");
                assert!(over && payment.paid_minor == payment.refunded_minor + payment.moved_minor.unsigned_abs());
                assert!((0..=sale.amount.minor().cast_signed()).contains(&payment.moved_minor), "{payment:?}");
            }
        }
        assert!(payments.iter().all(|p| sales.iter().any(|s| s.id.to_string() == p.sale)), "{payments:?}");
        verify(&self.stage.shop_books(), &mut |_, _| {}).unwrap();
        sales
    }

    /// As [`Rig::agree`], where there was one sale: how it ended.
    pub(super) fn agree_on_one(&self) -> effect::Outcome {
        let sales = self.agree();
        assert_eq!(sales.len(), 1, "{sales:?}");
        sales[0].outcome().unwrap()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
        if std::thread::panicking() {
            println!("the daemon's log:\n{}", self.log());
        }
    }
}

/// What the shop keeps of a sale by its own books.
fn kept_minor(sale: &SaleLine) -> u64 {
    if sale.outcome() == Some(effect::Outcome::Approved) { sale.amount.minor() - sale.given_back_minor } else { 0 }
}

fn told_as(outcome: effect::Outcome) -> Outcome {
    match outcome {
        effect::Outcome::Approved => Outcome::Approved,
        effect::Outcome::Returned { .. } => Outcome::Refunded,
        effect::Outcome::Declined(_) => Outcome::Declined,
        effect::Outcome::Cancelled(_) => Outcome::Cancelled,
        effect::Outcome::Lapsed => Outcome::Lapsed,
    }
}

/// Waits on a condition that nothing tells of.
pub(super) fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let until = Instant::now() + WAIT;
    while !so() {
        assert!(Instant::now() < until, "waited in vain: {what}");
        std::thread::park_timeout(LOOK);
    }
}

type Job = Box<dyn FnOnce(&mut Player, Show<'_>) + Send>;

/// A till and its cashier; the till plays on a thread of its own and listens between sales.
pub(super) struct Till {
    jobs: Option<Sender<Job>>,
    shown: Receiver<Shown>,
    key: AbortKey,
    hold: Arc<AtomicBool>,
    release: Sender<()>,
    results: Arc<Mutex<Vec<TillResult>>>,
    thread: Option<JoinHandle<()>>,
}

/// A request that the till waits for.
pub(super) struct Asked(Receiver<Result<Ended, PlayError>>);

impl Till {
    /// One at this line.
    pub(super) fn on(port: TTYPort) -> Till {
        let player = Player::over(port, PlayerSettings::default()).unwrap();
        let key = player.abort_key();
        let ((tell, shown), (jobs, todo), (release, released)) = (channel(), channel(), channel::<()>());
        let (hold, results) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (held, noted) = (Arc::clone(&hold), Arc::clone(&results));
        let show = move |shown: &Shown| {
            if let Shown::Result(result) = shown {
                noted.lock().unwrap().push(result.clone());
            }
            let _ = tell.send(shown.clone()); // The test may be over.
            if matches!(shown, Shown::Result(_)) && held.swap(false, Ordering::SeqCst) {
                let _ = released.recv_timeout(WAIT); // Nobody releases it in a test that failed.
            }
        };
        let thread = std::thread::spawn(move || serve(player, &todo, show));
        Till { jobs: Some(jobs), shown, key, hold, release, results, thread: Some(thread) }
    }

    /// The cashier asks for a payment.
    pub(super) fn asks(&self, minor: u64) -> Asked {
        self.asks_as(minor, None)
    }

    /// The same, under a ticket.
    pub(super) fn asks_as(&self, minor: u64, ticket: Option<Ticket>) -> Asked {
        Asked(self.on_line(move |player, show| player.pay(eur(minor), ticket, 120, show)))
    }

    /// The cashier gives back part of a sale, or of what the phone chooses.
    pub(super) fn refunds(&self, minor: u64, of: Option<Ticket>, patience_secs: u64) -> Asked {
        Asked(self.on_line(move |player, show| player.refund(eur(minor), of, patience_secs, show)))
    }

    /// The cashier gives back all that is left.
    pub(super) fn reverses(&self, of: Option<Ticket>) -> Asked {
        Asked(self.on_line(move |player, show| player.reverse(eur(0), of, 60, show)))
    }

    pub(super) fn day(&self) -> DaySums {
        self.on_line(Player::day).recv_timeout(WAIT).unwrap().unwrap()
    }

    pub(super) fn closes(&self, sums: DaySums) {
        self.on_line(move |player, show| player.close_day(&sums, show)).recv_timeout(WAIT).unwrap().unwrap();
    }

    /// Asks for the result of a ticket.
    pub(super) fn last(&self, ticket: Option<Ticket>) -> Last {
        self.on_line(move |player, show| player.last(ticket, show)).recv_timeout(WAIT).unwrap().unwrap()
    }

    /// Asks for the last result; `None`: the box does not say, neither this nor that.
    pub(super) fn tries_last(&self) -> Option<Last> {
        self.on_line(|player, show| player.last(None, show)).recv_timeout(WAIT).unwrap().ok()
    }

    pub(super) fn totals(&self) -> Sums {
        self.on_line(|player, show| player.totals(None, show)).recv_timeout(WAIT).unwrap().unwrap()
    }

    /// The abort key.
    pub(super) fn aborts(&self) {
        self.key.press();
    }

    /// The next result is shown, but not answered before [`Till::releases`].
    pub(super) fn holds(&self) {
        self.hold.store(true, Ordering::SeqCst);
    }

    pub(super) fn releases(&self) {
        self.release.send(()).unwrap();
    }

    /// Waits until the till shows this step.
    pub(super) fn shows_step(&self, wanted: &str) {
        self.shows(wanted, |shown| matches!(shown, Shown::Progress { step, .. } if step == wanted));
    }

    /// Waits until the till shows this failed try; whether a new attempt has begun.
    pub(super) fn shows_failure(&self, why: &str) -> bool {
        let shown = self.shows(why, |shown| matches!(shown, Shown::Failed { reason, .. } if reason == why));
        matches!(shown, Shown::Failed { new_attempt: true, .. })
    }

    /// Waits until the till is answered to its request; whether a sale has begun.
    pub(super) fn accepts(&self) -> bool {
        loop {
            match self.shown.recv_timeout(Duration::from_secs(2)) {
                Ok(Shown::Accepted { .. }) => return true,
                Ok(_) => {}
                Err(_) => return false,
            }
        }
    }

    pub(super) fn shows_result(&self) {
        self.shows("a result", |shown| matches!(shown, Shown::Result(_)));
    }

    pub(super) fn shows(&self, what: &str, wanted: impl Fn(&Shown) -> bool) -> Shown {
        let until = Instant::now() + WAIT;
        let mut seen = Vec::new();
        loop {
            match self.shown.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(shown) if wanted(&shown) => return shown,
                Ok(shown) => seen.push(shown),
                Err(_) => panic!("the till never showed {what}, but {seen:?}"),
            }
        }
    }

    /// The last word about a ticket.
    pub(super) fn result_of(&self, ticket: Ticket) -> TillResult {
        let results = self.results.lock().unwrap();
        results.iter().rfind(|result| result.ticket == Some(ticket)).expect("the till knows nothing of it").clone()
    }

    fn on_line<T: Send + 'static>(
        &self,
        call: impl FnOnce(&mut Player, Show<'_>) -> T + Send + 'static,
    ) -> Receiver<T> {
        let (answer, wait) = channel();
        let job: Job = Box::new(move |player, show| {
            let _ = answer.send(call(player, show)); // The test may be over.
        });
        self.jobs.as_ref().unwrap().send(job).unwrap();
        wait
    }
}

impl Drop for Till {
    fn drop(&mut self) {
        self.jobs.take();
        // A till in the middle of a sale would wait for its end.
        if let Some(thread) = self.thread.take().filter(|_| !std::thread::panicking()) {
            thread.join().unwrap();
        }
    }
}

impl Asked {
    pub(super) fn end(&self) -> Ended {
        self.0.recv_timeout(WAIT).expect("the sale does not end").unwrap()
    }

    pub(super) fn result(&self) -> TillResult {
        match self.end() {
            Ended::Result(result) => result,
            other => panic!("{other:?}"),
        }
    }
}

fn serve(mut player: Player, todo: &Receiver<Job>, mut show: impl FnMut(&Shown)) {
    loop {
        match todo.try_recv() {
            Ok(job) => job(&mut player, &mut show),
            // The line is gone: the test is over.
            Err(TryRecvError::Empty) if player.listen(LISTEN, &mut show).is_err() => return,
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => return,
        }
    }
}

pub(super) fn eur(minor: u64) -> Amount {
    Amount::from_minor(minor, Currency::from_code("EUR").unwrap()).unwrap()
}

/// A customer's phone.
pub(super) struct Phone {
    visitor: Visitor,
    handle: Handle,
    stage: String,
}

impl Phone {
    pub(super) fn open(&mut self, path: &str) {
        let address = format!("http://{}{path}", self.stage);
        let opened = self.handle.block_on(self.visitor.open(&address));
        self.done(opened);
    }

    pub(super) fn send(&mut self, form: &str) {
        let sent = self.handle.block_on(self.visitor.send(form, &[]));
        self.done(sent);
    }

    /// Sends a form, whatever comes of it, while something else happens.
    pub(super) fn tries(&mut self, form: &str, meanwhile: impl FnOnce()) {
        let handle = self.handle.clone();
        std::thread::scope(|scope| {
            scope.spawn(|| handle.block_on(self.visitor.send(form, &[])));
            meanwhile();
        });
    }

    pub(super) fn reload(&mut self) {
        let loaded = self.handle.block_on(self.visitor.reload());
        self.done(loaded);
    }

    /// Whether the page can be loaded now.
    pub(super) fn tries_to_load(&mut self) -> bool {
        self.handle.block_on(self.visitor.reload()).is_ok()
    }

    /// Types the till's number.
    pub(super) fn stands(&mut self) {
        self.stands_at(TILL);
    }

    /// Types this till's number.
    pub(super) fn stands_at(&mut self, till: &str) {
        let sent = self.handle.block_on(self.visitor.send("/till", &[("till", till)]));
        self.done(sent);
        assert!(!self.visitor.has("/till"), "{}", self.visitor.page);
    }

    /// Reloads until the page has this form.
    pub(super) fn sees(&mut self, form: &str) {
        let seen = self.handle.block_on(self.visitor.until(WAIT_SECS, |v| v.has(form)));
        self.done(seen);
    }

    /// Reloads until the page says this.
    pub(super) fn reads(&mut self, text: &str) {
        let seen = self.handle.block_on(self.visitor.until(WAIT_SECS, |v| v.page.contains(text)));
        self.done(seen);
    }

    pub(super) fn has(&self, form: &str) -> bool {
        self.visitor.has(form)
    }

    /// What can be done on this page.
    pub(super) fn forms(&self) -> Vec<String> {
        let actions = self.visitor.page.split("action=\"").skip(1);
        actions.map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
    }

    /// Reloads until the page leads to a checkout other than `before`.
    pub(super) fn checkout(&mut self, before: Option<&str>) -> String {
        let end = Instant::now() + Duration::from_secs(WAIT_SECS);
        while Instant::now() < end {
            let seen = self.handle.block_on(self.visitor.until(WAIT_SECS, |v| v.link("/checkout").is_some()));
            self.done(seen);
            if let Some(link) = self.link().filter(|link| Some(link.as_str()) != before) {
                return link;
            }
            let seen = self.handle.block_on(self.visitor.reload());
            self.done(seen);
        }
        panic!("the page never leads to another checkout than {before:?}")
    }

    /// The checkout this page leads to now, if any.
    pub(super) fn link(&self) -> Option<String> {
        let way = self.visitor.link("/checkout")?;
        let host = self.visitor.at.authority()?;
        let mut tab = Visitor::new("en");
        self.handle.block_on(tab.open(&format!("http://{host}{way}"))).ok()?;
        Some(tab.at.to_string()).filter(|at| at.contains("/checkout/"))
    }

    /// Signs in at the checkout; what its page says then.
    pub(super) fn pays(&self, link: &str, account: &str) -> String {
        self.at_checkout(link, &[("account", account), ("password", PASSWORD), ("action", "pay")])
    }

    pub(super) fn types_a_wrong_password(&self, link: &str) -> String {
        self.at_checkout(link, &[("account", "anna"), ("password", "hunter2"), ("action", "pay")])
    }

    pub(super) fn cancels(&self, link: &str) -> String {
        self.at_checkout(link, &[("action", "cancel")])
    }

    /// What the checkout's page says.
    pub(super) fn visits(&self, link: &str) -> String {
        let mut tab = Visitor::new("en");
        self.handle.block_on(tab.open(link)).unwrap();
        tab.page
    }

    fn at_checkout(&self, link: &str, fields: &[(&str, &str)]) -> String {
        let mut tab = Visitor::new("en");
        let token = link.rsplit('/').next().unwrap();
        self.handle.block_on(async {
            tab.open(link).await.unwrap();
            tab.send(token, fields).await.unwrap();
        });
        tab.page
    }

    /// The same visit in another browser, which has its address and nothing else.
    pub(super) fn moved(&self) -> Phone {
        let mut other = Phone { visitor: Visitor::new("en"), handle: self.handle.clone(), stage: self.stage.clone() };
        other.open(self.visitor.at.path());
        other
    }

    /// What every form of this visit has to carry; there is one on the page.
    pub(super) fn form(&self) -> String {
        let value = self.visitor.page.split("name=\"form\" value=\"").nth(1).expect("a form on the page");
        value.split('"').next().unwrap().to_owned()
    }

    /// Posts as a page of this visit would, whatever is on the page; the status of the answer.
    pub(super) fn posts(&self, act: &str, fields: &[(&str, &str)]) -> u16 {
        let body: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let (body, path) = (body.join("&"), self.visitor.at.path());
        let mut stream = TcpStream::connect(&self.stage).unwrap();
        write!(
            stream,
            "POST {path}{act} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/x-www-form-urlencoded\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n{body}",
            self.stage,
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().parse().unwrap()
    }

    fn done(&self, done: Result<(), Failed>) {
        done.unwrap_or_else(|error| panic!("{error}; at {}:\n{}", self.visitor.at, self.visitor.page));
    }
}
