//! Finds the tills: listens at the serial ports all at once, shows how that goes, and asks what each till's number is.

use super::args::PROTOCOLS;
use super::ask::{Stop, Terminal};
use super::draft::{Draft, NewTill};
use super::machine::SerialPort;
use crate::till::listen::{Bystander, Finding, News, Speech};
use crate::till::{Parity, PortError};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fs;
use std::io::{self, BufRead, Write};
use std::net::IpAddr;
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// How often the time left is shown, and Enter is looked for.
const TICK: Duration = Duration::from_millis(500);
/// Where tills on the network come to by custom of ZVT.
const ZVT_PORT: &str = "tcp://0.0.0.0:20007";

/// What became of listening at one port.
type Heard = Result<Option<Finding>, PortError>;

/// Whether somebody looks on: then time is shown, and Enter ends the listening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Audience {
    Person,
    Nobody,
}

/// The ports at which none of the draft's tills is.
pub(super) fn free(ports: Vec<SerialPort>, draft: &Draft) -> Vec<SerialPort> {
    let real = |name: &str| fs::canonicalize(name).unwrap_or_else(|_| name.into());
    let taken: Vec<_> = draft.tills().iter().map(|(_, port)| real(port)).collect();
    ports.into_iter().filter(|port| !taken.contains(&port.device)).collect()
}

/// Asks about tills: those that are heard, those that are not, those on the network.
pub(super) fn ask<R: BufRead, W: Write>(
    at: &mut Terminal<R, W>,
    draft: &mut Draft,
    ports: &[SerialPort],
    seconds: u64,
) -> Result<(), Stop> {
    at.head("The tills")?;
    for (number, port) in draft.tills() {
        at.say(format!("  Till {number} at {port} stays as it is."))?;
    }
    match ports.len() {
        0 => at.say("  No serial port without a till is here. One that you plug in is found by running this again.")?,
        count => {
            at.say(format!("  Serial ports without a till: {count}"))?;
            for (n, port) in ports.iter().enumerate() {
                at.say(format!("    {}  {}", n.saturating_add(1), port.name.display()))?;
            }
            let hint = format!(
                "I can listen there for at most {seconds} seconds and find out what your tills speak. Nothing is sent to them."
            );
            let heard = match at.agree(&hint, "Shall I listen", true)? {
                true => listen(at, ports, seconds, Audience::Person)?,
                false => ports.iter().map(|_| Ok(None)).collect(),
            };
            for (n, (port, heard)) in ports.iter().zip(heard).enumerate() {
                let finding = heard.unwrap_or(None);
                one(at, draft, n.saturating_add(1), port, finding.as_ref())?;
            }
        }
    }
    on_network(at, draft)
}

/// Adds what is heard without asking; a port at which nothing is heard has no till.
pub(super) fn take<R: BufRead, W: Write>(
    at: &mut Terminal<R, W>,
    draft: &mut Draft,
    ports: &[SerialPort],
    seconds: u64,
) -> Result<(), Stop> {
    at.say(format!("Serial ports without a till: {}", ports.len()))?;
    for (n, port) in ports.iter().enumerate() {
        at.say(format!("  {}  {}", n.saturating_add(1), port.name.display()))?;
    }
    let heard = listen(at, ports, seconds, Audience::Nobody)?;
    for (port, heard) in ports.iter().zip(heard) {
        if let Ok(Some(finding)) = heard {
            let number = proposed(draft, Some(&finding));
            draft.add_till(&of(&finding, port, number, String::new()));
        }
    }
    Ok(())
}

fn one<R: BufRead, W: Write>(
    at: &mut Terminal<R, W>,
    draft: &mut Draft,
    n: usize,
    port: &SerialPort,
    finding: Option<&Finding>,
) -> Result<(), Stop> {
    let mut till = match finding {
        Some(finding) => of(finding, port, 0, String::new()),
        None => {
            let choices = [
                ("none", "there is no till, or not yet".to_owned()),
                ("plain", "Tillgate's own protocol, which the maker of the till has built in".to_owned()),
                ("concert", "Concert, as tills in France do with card terminals".to_owned()),
                ("zvt", "ZVT, as tills in Germany and around do with card terminals".to_owned()),
            ];
            let hint = format!("Nothing that I know was heard at port {n}. What does the till there speak?");
            let chosen = at.choose(&hint, "Choose", &choices, 0)?;
            let Some(protocol) = chosen.checked_sub(1).and_then(|n| PROTOCOLS.get(n)) else { return Ok(()) };
            NewTill { protocol, port: port.name.display().to_string(), ..NewTill::default() }
        }
    };
    name(at, draft, &format!("the till at port {n}"), finding, &mut till)?;
    draft.add_till(&till);
    Ok(())
}

/// Asks for number and label.
fn name<R: BufRead, W: Write>(
    at: &mut Terminal<R, W>,
    draft: &Draft,
    which: &str,
    finding: Option<&Finding>,
    till: &mut NewTill,
) -> Result<(), Stop> {
    let hint = format!("Customers type this number to pay at {which}: put it on a card there.");
    till.number = at.ask(&hint, "Number of the till", &proposed(draft, finding).to_string(), |text| {
        let taken = |number: u16| draft.tills().iter().any(|(other, _)| *other == i64::from(number));
        match text.parse::<u16>() {
            Ok(number @ 1..=9_999) if taken(number) => {
                Err(format!("Another till has number {number}: write a free one."))
            }
            Ok(number @ 1..=9_999) => Ok(number),
            Ok(_) | Err(_) => Err("Write a number from 1 to 9999.".to_owned()),
        }
    })?;
    let hint = "What people call it; stands beside the number on phones. It may have no name.";
    till.label = at.ask(hint, "Name of the till", "none", |text| {
        if text == "none" { Ok(String::new()) } else { Ok(text.chars().take(40).collect()) }
    })?;
    till.concert_number = own_number(finding, till);
    Ok(())
}

/// What a Concert till calls itself, where that is not its number here and has to be written.
fn own_number(finding: Option<&Finding>, till: &NewTill) -> Option<u8> {
    if till.protocol != "concert" {
        return None;
    }
    let own = finding.and_then(|finding| finding.till).filter(|own| *own > 0);
    match own {
        Some(own) => (u16::from(own) != till.number).then_some(own),
        // It has room for two digits only; most tills are their own first.
        None => (till.number > 99).then_some(1),
    }
}

fn on_network<R: BufRead, W: Write>(at: &mut Terminal<R, W>, draft: &mut Draft) -> Result<(), Stop> {
    loop {
        let hint = "Tills that speak ZVT may also come over the shop's network: write the address of one.";
        let peer = at.ask(hint, "Address of a till on the network", "none", |text| match text.parse::<IpAddr>() {
            _ if text == "none" => Ok(None),
            Ok(address) if !address.is_unspecified() && !address.is_multicast() => Ok(Some(address)),
            Ok(_) | Err(_) => Err("Write it as the till shows it, such as 192.168.1.20, or none.".to_owned()),
        })?;
        let Some(peer) = peer else { return Ok(()) };
        let mut till =
            NewTill { port: ZVT_PORT.to_owned(), peer: Some(peer.to_string()), protocol: "zvt", ..NewTill::default() };
        name(at, draft, &format!("the till at {peer}"), None, &mut till)?;
        draft.add_till(&till);
        at.say("  At that till, set: payment terminal on the network, the address of this box, port 20007.")?;
    }
}

/// The number that the till gives itself if it is free, else the lowest free one.
fn proposed(draft: &Draft, finding: Option<&Finding>) -> u16 {
    let tills = draft.tills();
    let free = |number: &u16| tills.iter().all(|(other, _)| *other != i64::from(*number));
    let own = finding.and_then(|finding| finding.till).map(u16::from).filter(|own| *own > 0 && free(own));
    own.or_else(|| (1..=9_999).find(free)).unwrap_or(1)
}

/// What is heard, as the configuration writes it.
fn of(finding: &Finding, port: &SerialPort, number: u16, label: String) -> NewTill {
    let settings = finding.bits.settings(finding.baud);
    let mut line = Vec::new();
    if finding.baud != 9_600 {
        line.push(("baud", i64::from(finding.baud).into()));
    }
    if settings.seven_bits {
        line.push(("data_bits", 7.into()));
    }
    match settings.parity {
        Parity::None => {}
        Parity::Even => line.push(("parity", "even".into())),
        Parity::Odd => line.push(("parity", "odd".into())),
    }
    // ZVT has two by itself, and is heard as if it had one.
    if settings.two_stop_bits && finding.speech != Speech::Zvt {
        line.push(("stop_bits", 2.into()));
    }
    let port = port.name.display().to_string();
    let till = NewTill { number, label, port, peer: None, protocol: finding.speech.word(), line, concert_number: None };
    NewTill { concert_number: if number == 0 { None } else { own_number(Some(finding), &till) }, ..till }
}

/// Listens at all of them at once. Ends when each is known, when the time is over, or with Enter.
fn listen<R: BufRead, W: Write>(
    at: &mut Terminal<R, W>,
    ports: &[SerialPort],
    seconds: u64,
    audience: Audience,
) -> Result<Vec<Heard>, Stop> {
    if ports.is_empty() {
        return Ok(Vec::new());
    }
    // Open before anybody is told to press a key: nothing is missed.
    let ears: Vec<_> = ports.iter().map(|port| Bystander::at(&port.name)).collect();
    at.say("\n  Press the payment key at each till now, with any amount, and again while I ask for it.")?;
    if audience == Audience::Person {
        at.say("  Enter ends the listening.")?;
    }
    let ended = AtomicBool::new(false);
    let until = Instant::now().checked_add(Duration::from_secs(seconds)).unwrap_or_else(Instant::now);
    thread::scope(|scope| {
        let (put, news) = channel();
        let mut listening = Vec::new();
        for (n, ear) in ears.into_iter().enumerate() {
            let (put, ended) = (put.clone(), &ended);
            let listen =
                move |ear: Bystander| ear.listen(until, ended, &mut |news| drop(put.send((n.saturating_add(1), news))));
            let named = thread::Builder::new().name("bystander".to_owned());
            listening.push(match ear {
                Ok(ear) => Ok(named.spawn_scoped(scope, move || listen(ear))?),
                Err(error) => Err(error),
            });
        }
        drop(put);
        let shown = watch(at, &news, until, &ended, audience);
        ended.store(true, Ordering::Relaxed);
        let heard = |ear: thread::ScopedJoinHandle<'_, _>| ear.join().unwrap_or_else(|panic| resume_unwind(panic));
        let heard: Vec<Heard> = listening.into_iter().map(|ear| ear.map(heard)).collect();
        shown?;
        for (n, heard) in heard.iter().enumerate() {
            let n = n.saturating_add(1);
            match heard {
                Ok(Some(_)) => {}
                Ok(None) => at.say(format!("  port {n}: nothing that I know was heard"))?,
                Err(error) => at.say(format!("  port {n}: {error}"))?,
            }
        }
        Ok(heard)
    })
}

/// Shows what happens until nobody listens any more.
fn watch<R: BufRead, W: Write>(
    at: &mut Terminal<R, W>,
    news: &Receiver<(usize, News)>,
    until: Instant,
    ended: &AtomicBool,
    audience: Audience,
) -> Result<(), Stop> {
    let clear = if audience == Audience::Person { "\r\x1b[K" } else { "" };
    loop {
        match news.recv_timeout(TICK) {
            Ok((n, news)) => {
                at.say(format!("{clear}  port {n}: {}", words(&news)))?;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return at.show(clear),
        }
        if audience == Audience::Person && !ended.load(Ordering::Relaxed) {
            let left = until.saturating_duration_since(Instant::now()).as_secs();
            at.show(format!("{clear}  listening, {left} s left "))?;
            if has_typed()? {
                at.line()?;
                ended.store(true, Ordering::Relaxed);
            }
        }
    }
}

fn words(news: &News) -> String {
    match news {
        News::Trying(baud) => {
            format!("something came that makes no sense yet: press the payment key again ({baud} baud now)")
        }
        News::Found(finding) => finding.to_string(),
        News::Gone => "the line hung up: look at cable and adapter".to_owned(),
    }
}

fn has_typed() -> io::Result<bool> {
    let input = io::stdin();
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    match poll(&mut [PollFd::new(&input, PollFlags::IN)], Some(&at_once)) {
        Ok(count) => Ok(count > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// The port that a person named, under the best name that it has.
pub(super) fn named(port: &Path, all: &[SerialPort]) -> SerialPort {
    let device = fs::canonicalize(port).unwrap_or_else(|_| port.to_owned());
    let known = all.iter().find(|one| one.device == device && one.name != device);
    // A name that a person gave is theirs to choose; a bare device is better called by its adapter.
    match known {
        Some(known) if port.starts_with("/dev") && !port.starts_with("/dev/serial") => known.clone(),
        Some(_) | None => SerialPort { name: port.to_owned(), device },
    }
}
