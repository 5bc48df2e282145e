//! The helper that changes the firewall for the daemon, and puts it back if somebody takes it away. Knows no payment; trusts
//! neither the daemon nor itself further than the configuration goes.

mod callers;
mod guard;
mod sets;

use super::netlink::{self, Socket};
use super::phone::{Phone, Way};
use super::rights::{self, Kept};
use super::ruleset::{self, Let};
use super::settings::{Link, NetworkSettings, Paying};
use super::words::{Answer, Refused, Request, Stats};
use crate::clock::Clock;
use crate::shop::time::Mono;
use callers::Callers;
use guard::Guard;
use listenfd::ListenFd;
use sets::{Change, Kernel};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, Write};
use std::net::IpAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Where Debian has it. Never looked for elsewhere: it is started with the right to change the network.
const NFT: &str = "/usr/sbin/nft";
/// How often the helper looks by itself whether its table is still there.
const LOOK_EVERY_MS: u64 = 500;
/// Between two times that the table is put back: somebody may take it away again and again.
const MEND_PAUSE_MS: u64 = 100;
/// Times in the kernel and here that are no further apart are the same.
const SAME_MS: u64 = 1_000;
/// Phones changed in one batch: what fits into the smallest buffer of a socket.
const BATCH_MAX: usize = 100;

/// Why the helper cannot start. What the kernel has stays as it is.
#[derive(Debug)]
pub enum NetdError {
    /// There is no such user.
    User(io::Error),
    /// The socket cannot be had.
    Listen(io::Error),
    /// Too few rights, or too many that stay.
    Rights(io::Error),
    /// The kernel cannot be spoken to, or the table not be put in place.
    Table(io::Error),
}

impl fmt::Display for NetdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NetdError::User(_) => "nobody could ask the helper",
            NetdError::Listen(_) => "the helper's socket cannot be opened",
            NetdError::Rights(_) => "the helper cannot be left with the one right that it needs",
            NetdError::Table(_) => "the firewall's table cannot be put in place",
        })
    }
}

impl std::error::Error for NetdError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            NetdError::User(cause) | NetdError::Listen(cause) | NetdError::Rights(cause) | NetdError::Table(cause) => {
                Some(cause)
            }
        }
    }
}

/// Puts the table in place that lets nobody anywhere, and ends: for the time before the network is up. A table that lets
/// phones through already is replaced, too.
pub fn close(bridge: &Link) -> Result<(), NetdError> {
    rights::drop_all_but(Kept::NetAdmin).map_err(NetdError::Rights)?;
    nft(&ruleset::closed(bridge.as_str())).map_err(NetdError::Table)
}

/// Runs until killed. The table stays then, and its elements end in their time. `user`: who alone may ask, by name or number.
/// The socket is the one that the service manager passes, else it is opened at the configured place.
pub fn run(settings: NetworkSettings, user: &str) -> Result<(), NetdError> {
    let uid = callers::number_of(user).map_err(NetdError::User)?;
    let passed = ListenFd::from_env().take_unix_listener(0).map_err(NetdError::Listen)?;
    let listener = match passed {
        Some(listener) => listener,
        None => callers::listen(&settings.helper).map_err(NetdError::Listen)?,
    };
    listener.set_nonblocking(true).map_err(NetdError::Listen)?;
    rights::drop_all_but(Kept::NetAdmin).map_err(NetdError::Rights)?;
    let mut helper = Helper::start(settings).map_err(NetdError::Table)?;
    let mut callers = Callers::new(listener, uid);
    tracing::info!(phones = helper.phones.len(), uid, "the table stands; rights: CAP_NET_ADMIN and no other; ready");
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    loop {
        callers.wait(&helper.events, helper.rest()).map_err(NetdError::Listen)?;
        if helper.mend() {
            callers.tell_all(Answer::Restored);
        }
        callers.serve(&mut helper);
    }
}

/// A phone that is let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stay {
    way: Way,
    until: Mono,
}

/// What the helper knows. The kernel has the same, or it is put right.
#[derive(Debug)]
struct Helper {
    settings: NetworkSettings,
    guard: Guard,
    kernel: Kernel,
    events: Socket,
    phones: BTreeMap<Phone, Stay>,
    /// The hosts in reach of those who pay, if only some are: as the resolver had put them there when we looked last.
    garden: BTreeSet<IpAddr>,
    /// What the kernel calls the table that we put in place last.
    table: Option<Vec<u8>>,
    /// When that was tried last.
    tried: Mono,
    looked: Mono,
    since: Mono,
    refused: u32,
    restored: u32,
}

impl Helper {
    /// Whoever the kernel lets through at present goes on in the new table: an earlier helper let it.
    fn start(settings: NetworkSettings) -> io::Result<Helper> {
        let now = Clock::mono();
        let mut kernel = Kernel::open(settings.guests.ipv6.is_some())?;
        let events = Socket::open(Some(rustix::net::netlink::NETFILTER), sets::CHANGES)?;
        let mut guard = Guard::new(&settings);
        guard.look_at_interfaces();
        let mut found = kernel.phones()?;
        found.retain(|one| guard.may(&one.phone, one.way, one.ms).is_ok());
        found.truncate(usize::try_from(settings.limits.phones_max).unwrap_or(usize::MAX));
        let phones = found.iter().map(|one| (one.phone, Stay { way: one.way, until: now.plus_ms(one.ms) })).collect();
        let (looked, since, tried) = (now, now, now);
        let (table, refused, restored) = (None, 0, 0);
        let garden = kernel.garden()?.unwrap_or_default();
        let mut helper =
            Helper { settings, guard, kernel, events, phones, garden, table, tried, looked, since, refused, restored };
        helper.load()?;
        Ok(helper)
    }

    /// The whole table, with all who are let through, in one transaction.
    fn load(&mut self) -> io::Result<()> {
        let now = Clock::mono();
        self.tried = now;
        self.drop_ended(now);
        let phones: Vec<Let> = self.phones.iter().map(|(phone, stay)| stay.of(*phone, now)).collect();
        nft(&ruleset::open(&self.settings, &phones, &self.garden))?;
        // What it told of until now was this; whatever happened beside it shows when we look at the table.
        while !matches!(self.events.read_now(), Ok(None)) {}
        self.table = self.kernel.table()?;
        Ok(())
    }

    /// Looks whether somebody had a hand in the table, and puts it back if so. True if it was.
    fn mend(&mut self) -> bool {
        let now = Clock::mono();
        let mut meddled = self.table.is_none();
        loop {
            match self.events.read_now() {
                Ok(Some(bytes)) => {
                    let own = self.kernel.port();
                    meddled |= netlink::messages(bytes).any(|message| sets::is_meddling(&message, own));
                }
                Ok(None) => break,
                // More happened than there is room for: look.
                Err(_) => self.looked = Mono(0),
            }
        }
        if now >= self.looked.plus_ms(LOOK_EVERY_MS) {
            self.looked = now;
            self.guard.look_at_interfaces();
            self.drop_ended(now);
            meddled |= self.kernel.table().is_ok_and(|table| table != self.table);
            if !meddled {
                self.look_at_garden();
            }
        }
        if !meddled {
            return false;
        }
        self.table = None;
        if now < self.tried.plus_ms(MEND_PAUSE_MS) {
            return false;
        }
        match self.load() {
            Ok(()) => {
                self.restored = self.restored.saturating_add(1);
                tracing::error!(
                    message_id = "8aa365c398be4b5c8eb4a46d273fb268",
                    phones = self.phones.len(),
                    "somebody changed the firewall's table: it was put back"
                );
                true
            }
            Err(error) => {
                tracing::error!(message_id = "8aa365c398be4b5c8eb4a46d273fb268", %error, "somebody changed the firewall's table, and it cannot be put back: trying again");
                false
            }
        }
    }

    /// A table that is gone has none: what was there before is kept then.
    fn look_at_garden(&mut self) {
        if let Paying::Hosts(_) = self.settings.paying
            && let Ok(Some(garden)) = self.kernel.garden()
        {
            self.garden = garden;
        }
    }

    /// How long there is nothing to do unless something happens.
    fn rest(&self) -> Duration {
        let due =
            if self.table.is_none() { self.tried.plus_ms(MEND_PAUSE_MS) } else { self.looked.plus_ms(LOOK_EVERY_MS) };
        Duration::from_millis(Clock::mono().ms_until(due).max(1))
    }

    /// Does what is asked. `sync`: what was named since a sync began, if one did.
    fn answer(&mut self, request: Request, number: u32, sync: &mut Option<Vec<Let>>) -> Answer {
        let done = match request {
            Request::Allow { phone, way, ms } => {
                let one = Let { phone, way, ms };
                self.may(&one, sync.as_ref()).and_then(|()| match sync {
                    Some(named) => {
                        named.push(one);
                        Ok(())
                    }
                    None => self.allow(one),
                })
            }
            Request::Revoke { phone } => self.revoke(&[phone]),
            Request::SyncBegins => {
                *sync = Some(Vec::new());
                Ok(())
            }
            Request::SyncEnds => sync.take().ok_or(Refused::Nonsense).and_then(|named| self.sync(&named)),
            Request::Stats => return Answer::Stats(number, self.stats()),
        };
        match done {
            Ok(()) => Answer::Done(number),
            Err(why) => {
                self.refused = self.refused.saturating_add(1);
                tracing::warn!(?request, ?why, "request refused");
                Answer::Refused(number, why)
            }
        }
    }

    fn may(&self, one: &Let, named: Option<&Vec<Let>>) -> Result<(), Refused> {
        self.guard.may(&one.phone, one.way, one.ms)?;
        let now = Clock::mono();
        let others = match named {
            Some(named) => named.len(),
            None => self.phones.iter().filter(|(phone, stay)| **phone != one.phone && stay.until > now).count(),
        };
        let max = usize::try_from(self.settings.limits.phones_max).unwrap_or(usize::MAX);
        if others < max { Ok(()) } else { Err(Refused::TooMany) }
    }

    fn allow(&mut self, one: Let) -> Result<(), Refused> {
        self.put(&[one])
    }

    fn revoke(&mut self, phones: &[Phone]) -> Result<(), Refused> {
        for some in phones.chunks(BATCH_MAX) {
            let changes: Vec<Change> = some
                .iter()
                .filter_map(|phone| self.phones.get(phone).map(|stay| Change::Take(*phone, stay.way)))
                .collect();
            self.change(&changes)?;
            for phone in some {
                self.phones.remove(phone);
                self.keep_shared(phone)?;
            }
        }
        Ok(())
    }

    /// The way back and version 6 know a phone by half of what it is; another phone with that half keeps its own.
    fn keep_shared(&mut self, gone: &Phone) -> Result<(), Refused> {
        let now = Clock::mono();
        let shares = |phone: &Phone| phone.ip == gone.ip || phone.mac == gone.mac;
        let others: Vec<Let> =
            self.phones.iter().filter(|(phone, _)| shares(phone)).map(|(phone, stay)| stay.of(*phone, now)).collect();
        if others.is_empty() { Ok(()) } else { self.put(&others) }
    }

    fn put(&mut self, phones: &[Let]) -> Result<(), Refused> {
        let now = Clock::mono();
        for some in phones.chunks(BATCH_MAX) {
            let mut changes = Vec::new();
            for one in some {
                // One that goes on another way is cut off from the one before in the same batch.
                let before = self.phones.get(&one.phone).filter(|stay| stay.way != one.way);
                changes.extend(before.map(|stay| Change::Take(one.phone, stay.way)));
                changes.push(Change::Put(*one));
            }
            self.change(&changes)?;
            for one in some {
                self.phones.insert(one.phone, Stay { way: one.way, until: now.plus_ms(one.ms) });
            }
        }
        Ok(())
    }

    /// From now on these and no others. Whoever stands there as it should be is not touched, nor what it has moved.
    fn sync(&mut self, named: &[Let]) -> Result<(), Refused> {
        let now = Clock::mono();
        self.drop_ended(now);
        let wanted: BTreeMap<Phone, Let> = named.iter().map(|one| (one.phone, *one)).collect();
        let gone: Vec<Phone> = self.phones.keys().filter(|phone| !wanted.contains_key(phone)).copied().collect();
        self.revoke(&gone)?;
        let new: Vec<Let> = wanted
            .into_values()
            .filter(|one| {
                let until = now.plus_ms(one.ms);
                let same = |stay: &&Stay| stay.way == one.way && stay.until.0.abs_diff(until.0) <= SAME_MS;
                self.phones.get(&one.phone).filter(same).is_none()
            })
            .collect();
        self.put(&new)?;
        tracing::debug!(phones = self.phones.len(), gone = gone.len(), new = new.len(), "in agreement with the daemon");
        Ok(())
    }

    fn change(&mut self, changes: &[Change]) -> Result<(), Refused> {
        if changes.is_empty() {
            return Ok(());
        }
        self.kernel.change(changes).map_err(|error| {
            tracing::error!(%error, "the kernel refused to change who is let through");
            // Perhaps there is no table any more: look at once.
            self.looked = Mono(0);
            Refused::Kernel
        })
    }

    /// The kernel has let go of these by itself.
    fn drop_ended(&mut self, now: Mono) {
        self.phones.retain(|_, stay| stay.until > now);
    }

    fn stats(&self) -> Stats {
        let now = Clock::mono();
        let count = |way| {
            let of_way = self.phones.values().filter(|stay| stay.way == way && stay.until > now).count();
            u32::try_from(of_way).unwrap_or(u32::MAX)
        };
        Stats {
            paying: count(Way::Paying),
            online: count(Way::Online),
            refused: self.refused,
            restored: self.restored,
            uptime_secs: u32::try_from(self.since.ms_until(now) / 1_000).unwrap_or(u32::MAX),
        }
    }
}

impl Stay {
    fn of(self, phone: Phone, now: Mono) -> Let {
        Let { phone, way: self.way, ms: now.ms_until(self.until).max(1) }
    }
}

/// Loads these rules. Used for the whole table only.
fn nft(rules: &str) -> io::Result<()> {
    let started = Command::new(NFT)
        .args(["-f", "-"])
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let mut nft = started.map_err(|error| io::Error::new(error.kind(), format!("{NFT}: {error}; install nftables")))?;
    if let Some(mut stdin) = nft.stdin.take() {
        // If it ends before it has read all, it says why.
        let _ = stdin.write_all(rules.as_bytes());
    }
    let ended = nft.wait_with_output()?;
    if ended.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&ended.stderr).lines().take(4).collect::<Vec<_>>().join("; ");
    Err(io::Error::other(format!("{NFT} refused the rules: {said}")))
}
