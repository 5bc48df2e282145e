//! The resolver, the helper and the daemon killed in the middle of a payment: nobody gets in, the payer goes on, and what
//! the kernel holds is what the books say.

use super::bed::wait;
use super::house::House;
use super::machine::Machine;
use super::packets::{connected, echoes};
use super::phone::Phone;
use super::world::{API, ECHO, PLATFORM_IP};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tillgate::till::player::Outcome;

/// Nobody who may pay is cut off for longer.
const GAP_MAX: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_secs(1);

/// Somebody who tries all the time, until asked how it went.
struct Trying {
    over: Arc<AtomicBool>,
    times: Arc<AtomicU64>,
    thread: JoinHandle<Duration>,
}

impl Trying {
    /// `works` is asked again and again; the longest time without a yes is what counts in the end.
    fn begins(mut works: impl FnMut() -> bool + Send + 'static) -> Trying {
        let (over, times) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (until, count) = (over.clone(), times.clone());
        let thread = std::thread::spawn(move || {
            let (mut worst, mut last) = (Duration::ZERO, Instant::now());
            while !until.load(Ordering::Relaxed) {
                if works() {
                    worst = worst.max(last.elapsed());
                    last = Instant::now();
                    count.fetch_add(1, Ordering::Relaxed);
                }
                std::thread::park_timeout(PAUSE);
            }
            worst.max(last.elapsed())
        });
        Trying { over, times, thread }
    }

    /// New connections to this place, from there.
    fn connects(from: &Machine, to: IpAddr, port: u16) -> Trying {
        let from = from.clone();
        let mut there = false;
        Trying::begins(move || {
            if !std::mem::replace(&mut there, true) {
                from.enter();
            }
            TcpStream::connect_timeout(&SocketAddr::new(to, port), PATIENCE).is_ok()
        })
    }

    /// How often it worked, and the longest time in which it did not.
    fn ends(self) -> (u64, Duration) {
        self.over.store(true, Ordering::Relaxed);
        let worst = self.thread.join().unwrap();
        (self.times.load(Ordering::Relaxed), worst)
    }
}

/// What the kernel, the daemon and its books say of the one payer.
fn agree(house: &House, payer: &Phone<'_>, mac: &str) {
    house.agrees_on(1);
    assert_eq!(house.elements("paying4"), [format!("{mac} . {}", payer.ip)]);
    assert_eq!(house.elements("paying4_back"), [payer.ip.to_string()]);
    assert_eq!(house.elements("online4"), Vec::<String>::new());
    let status = house.status();
    assert!(status.contains("12.50") && status.contains("paying"), "{status}");
}

#[test]
fn whatever_is_killed_in_the_middle_of_a_payment_the_payer_goes_on_and_nobody_else_gets_in() {
    let house = House::open("killed");
    let mut payer = Phone::joins(&house.bed, "one");
    let (mine, stranger) = (house.bed.machine("one"), house.bed.machine("two"));
    Phone::joins(&house.bed, "two");
    payer.stands();
    let sale = house.till.asks(1_250);
    payer.confirms();
    let mac = mine.mac("eth0");
    agree(&house, &payer, &mac);
    let mut open = connected(&mine, ECHO, 443);
    let going_on = Trying::begins(move || echoes(&mut open));
    let anew = Trying::connects(&mine, ECHO, 443);
    let others = [Trying::connects(&stranger, ECHO, 443), Trying::connects(&mine, PLATFORM_IP.into(), API)];
    type Part = (&'static str, fn(&House), fn(&House));
    let parts: [Part; 3] = [
        ("resolver", House::kills_names, House::starts_names),
        ("helper", House::kills_helper, House::starts_helper),
        ("daemon", House::kills_daemon, House::starts_daemon),
    ];
    for (name, kill, start) in parts {
        let before = anew.times.load(Ordering::Relaxed);
        kill(&house);
        // Goes on while it is away: some connections more.
        wait(|| anew.times.load(Ordering::Relaxed) > before + 20, || format!("without the {name}: {}", house.logs()));
        let since = Instant::now();
        start(&house);
        agree(&house, &payer, &mac);
        println!("the {name} is back after {:?}", since.elapsed());
    }
    let (on, anew) = (going_on.ends(), anew.ends());
    println!("on one connection {} words, worst gap {:?}; {} new ones, worst gap {:?}", on.0, on.1, anew.0, anew.1);
    assert!(on.1 < GAP_MAX && anew.1 < GAP_MAX);
    assert_eq!(others.map(|other| other.ends().0), [0, 0], "somebody got in, or further than allowed");
    // Its address is its own still, and names are what they were.
    let before = payer.ip;
    assert_eq!(Phone::joins(&house.bed, "one").ip, before);
    let own = payer.pays();
    assert_eq!(sale.result().outcome, Outcome::Approved);
    payer.opens(&own);
    payer.until("it sees its receipt", |page| page.has("/finish"));
    house.agrees_on(0);
}
