//! What runs inside of the machine: the test's hand in it, phones, a daemon that may be told not to wait for the disk, and
//! a program that wants more memory than it may have. Judges nothing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic,
    clippy::wildcard_enum_match_arm
)]

use rusqlite::{Connection, OpenFlags};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};
use tillgate::config::Config;
use tillgate::demo::visitor::{Failed, Visitor};
use tillgate::sandbox::PASSWORD;

#[path = "../../kills/customer.rs"]
mod customer;
// Two programs share it; each uses its part.
#[allow(dead_code)]
#[path = "../../kills/dice.rs"]
mod dice;

/// The shop as a customer sees it.
mod town {
    use std::net::SocketAddr;
    use std::time::Duration;

    /// How often what cannot be waited for is looked at.
    pub(crate) const LOOK: Duration = Duration::from_millis(50);

    pub(crate) struct Stage {
        pub(crate) portal: SocketAddr,
    }

    pub(crate) struct Town {
        pub(crate) stage: Stage,
        pub(crate) cables: Vec<()>,
    }
}

/// What a shop's host and test speak over.
const CONTROL: &str = "/dev/virtio-ports/control";
const BOOKS: &str = "/var/lib/tillgate/tillgate.db";
/// How many tills hang on the machine.
const TILLS: u16 = 3;
/// How long a page may take to come to what is waited for.
const PAGE_SECS: u64 = 60;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["hand"] => hand(),
        ["phone", portal, number] => phone(portal, number),
        ["rest"] => rest(),
        ["confirm", portal, till] => say(wait(confirm(portal, till))),
        ["pay", link] => say(wait(pay(link))),
        ["run", "--config", config] => run(Path::new(config)),
        ["hog"] => hog(),
        _ => panic!("{args:?} is nothing that is done in here"),
    }
}

/// Does what the test says, a command on each line, as JSON; answers with its exit code and what it said.
fn hand() {
    let mut port = OpenOptions::new().read(true).write(true).open(CONTROL).expect("the machine has a control port");
    port.write_all(b"\"ready\"\n").unwrap();
    let mut line = Vec::new();
    let mut byte = [0];
    loop {
        if port.read(&mut byte).unwrap() == 0 {
            // Nobody is at the other end yet.
            std::thread::park_timeout(Duration::from_millis(50));
            continue;
        }
        if byte[0] != b'\n' {
            line.push(byte[0]);
            continue;
        }
        let command: String = serde_json::from_slice(&std::mem::take(&mut line)).expect("a command is a JSON text");
        let done = Command::new("/bin/sh").args(["-c", &format!("exec 2>&1; {command}")]).output().unwrap();
        let answer = (done.status.code().unwrap_or(-1), String::from_utf8_lossy(&done.stdout).into_owned());
        let mut text = serde_json::to_vec(&answer).unwrap();
        text.push(b'\n');
        port.write_all(&text).unwrap();
    }
}

fn wait<T>(what: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap().block_on(what)
}

fn say(done: Result<String, Failed>) {
    match done {
        Ok(text) => println!("{text}"),
        Err(error) => {
            println!("{error}");
            std::process::exit(1);
        }
    }
}

/// A customer who comes again and again, until somebody ends it. The phones after those of the tills stroll.
fn phone(portal: &str, number: &str) {
    let stage = town::Stage { portal: portal.parse::<SocketAddr>().expect("an address") };
    let town = town::Town { stage, cables: vec![(); usize::from(TILLS)] };
    let seed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().subsec_nanos();
    let till = Some(number.parse().expect("a phone's number")).filter(|till| *till <= TILLS);
    let dice = dice::Dice::new(u64::from(seed));
    let file = Path::new("/root").join(format!("phone-{number}"));
    let mut phone = Visitor::new("en");
    phone.cookies = std::fs::read(&file).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    let kept = RefCell::new(phone.cookies.clone());
    let keeps = |phone: &Visitor| {
        if *kept.borrow() != phone.cookies {
            remembers(&file, &phone.cookies);
            *kept.borrow_mut() = phone.cookies.clone();
        }
    };
    let (crowd, over) = (customer::Crowd::default(), AtomicBool::new(false));
    wait(customer::comes(&town, phone, till, dice, &crowd, &over, keeps));
}

/// A phone has a battery: what it was told outlives the machine's power.
fn remembers(file: &Path, cookies: &BTreeMap<String, String>) {
    let new = file.with_extension("new");
    std::fs::write(&new, serde_json::to_vec(cookies).unwrap()).unwrap();
    std::fs::File::open(&new).unwrap().sync_all().unwrap();
    std::fs::rename(&new, file).unwrap();
    std::fs::File::open(file.parent().unwrap()).unwrap().sync_all().unwrap();
}

/// Says how many sales are open, and how far the platform's list was read.
fn rest() {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let books = Connection::open_with_flags(BOOKS, flags).unwrap();
    books.busy_timeout(Duration::from_secs(5)).unwrap();
    let ask = |sql: &str| -> i64 { books.query_row(sql, [], |row| row.get(0)).unwrap() };
    let open = ask("SELECT count(*) FROM sales WHERE open = 1");
    println!("{open} {}", ask("SELECT coalesce(max(CAST(cursor AS INTEGER)), 0) FROM reconciliation"));
}

/// A customer who stands at a till and confirms what it asks; says the link to the checkout.
async fn confirm(portal: &str, till: &str) -> Result<String, Failed> {
    let mut phone = Visitor::new("en");
    phone.open(&format!("http://{portal}/")).await?;
    phone.send("/login", &[]).await?;
    phone.send("/till", &[("till", till)]).await?;
    phone.until(PAGE_SECS, |page| page.has("/confirm")).await?;
    phone.send("/confirm", &[]).await?;
    phone.until(PAGE_SECS, |page| page.link("/checkout").is_some()).await?;
    let way = phone.link("/checkout").ok_or("no way to the checkout")?;
    phone.follow(&way).await?;
    Ok(phone.at.to_string())
}

/// A customer who pays at the checkout.
async fn pay(link: &str) -> Result<String, Failed> {
    let mut phone = Visitor::new("en");
    phone.open(link).await?;
    let token = phone.at.path().rsplit('/').next().unwrap_or_default().to_owned();
    phone.send(&token, &[("account", "anna"), ("password", PASSWORD), ("action", "pay")]).await?;
    Ok("paid".to_owned())
}

/// The daemon; `TILLGATE_SYNCHRONOUS` says how far it waits for the disk.
fn run(config: &Path) {
    let settings = Config::load(config).unwrap_or_else(|faults| panic!("{faults}"));
    tillgate::daemon::run(&settings, config).unwrap();
}

/// Takes memory until somebody objects.
fn hog() {
    let mut all: Vec<Vec<u8>> = Vec::new();
    loop {
        all.push(vec![u8::try_from(all.len() % 255).unwrap() + 1; 1 << 20]);
        println!("{} MiB", all.len());
    }
}
