//! The daemon's side of the helper: keeps the firewall where the shop wants it. Never makes the loop wait, and decides
//! nothing: it knows by heart what the shop said last, and says all of it again whenever the helper may not know.

use super::neighbours::Neighbours;
use super::phone::{Phone, Way};
use super::settings::{NetworkSettings, Paying};
use super::words::{Answer, Request, WORD_BYTES, Word};
use crate::clock::Clock;
use crate::shop::effect::Reach;
use crate::shop::id::SessionId;
use crate::shop::session::Place;
use crate::shop::time::Mono;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Visits whose reach is remembered: more than the shop has.
const WISHES_MAX: usize = 8_192;
/// The helper answers much sooner, or it hangs.
const ANSWER_WAIT: Duration = Duration::from_secs(2);
/// Between two tries to find the helper.
const AGAIN: Duration = Duration::from_millis(200);
/// How often all is said again though nobody asked, and phones that had no hardware address are looked at again.
const SYNC_EVERY: Duration = Duration::from_secs(15);
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// The gateway's end. Clones are the same; no call waits for anything but the others' short ones.
#[derive(Clone, Debug)]
pub struct Reaches(Arc<Shared>);

/// How the firewall stands, as the daemon sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Whether the helper answers.
    pub connected: bool,
    /// Phones that it lets through.
    pub let_through: usize,
    /// Phones that it refused to let through.
    pub refused: u64,
    /// How often it told that its table had been taken away.
    pub restored: u64,
    /// Microseconds from the shop's word to the helper's answer, of the newest phone that was let through.
    pub newest_micros: Option<u64>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Something is wanted that was not before.
    changed: Notify,
    helper: PathBuf,
    /// A phone is let through to pay for no longer than this, until it has been captive again.
    paying_ms_max: u64,
    /// The same for the internet.
    online_ms_max: u64,
    neighbours: Neighbours,
}

#[derive(Debug, Default)]
struct State {
    wishes: BTreeMap<SessionId, Wish>,
    /// When the wish came that has not been done yet.
    since: Option<Instant>,
    seen: Seen,
}

/// A visit that reaches further than the portal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wish {
    place: Place,
    way: Way,
    until: Mono,
    /// When it ends however often it is said again: so long after it was said first.
    at_latest: Mono,
}

/// How far a phone is let, and until when: further and longer is more.
type Stay = (Way, Mono);

/// The daemon's conversation with the helper; ends when dropped.
#[derive(Debug)]
pub struct Conversation(JoinHandle<()>);

impl Drop for Conversation {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Reaches {
    /// For the helper of this configuration. Nothing is said to it before [`Reaches::open`].
    pub fn new(settings: &NetworkSettings, neighbours: Neighbours) -> Reaches {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let online_ms_max = ms(settings.limits.reach_longest);
        Reaches(Arc::new(Shared {
            state: Mutex::default(),
            changed: Notify::new(),
            helper: settings.helper.clone(),
            paying_ms_max: match &settings.paying {
                Paying::Window(window) => ms(window.longest),
                Paying::Hosts(_) => online_ms_max,
            },
            online_ms_max,
            neighbours,
        }))
    }

    /// Begins, until what is returned is dropped. Whatever was said before is known then: nobody is cut off in between.
    pub fn open(&self, handle: &Handle) -> Conversation {
        let shared = Arc::clone(&self.0);
        Conversation(handle.spawn(async move {
            loop {
                let Err(error) = shared.converse().await;
                if std::mem::take(&mut shared.lock().seen.connected) {
                    tracing::error!(message_id = "060c59f62bb645b8bb03fd6ad87f8cc3", %error, "the firewall's helper is gone: nobody else is let through until it is back");
                } else {
                    tracing::debug!(%error, "the firewall's helper is not there");
                }
                tokio::time::sleep(AGAIN).await;
            }
        }))
    }

    /// From now on this visit reaches so far.
    pub fn say(&self, session: SessionId, place: Place, reach: Reach, until: Mono) {
        let way = match reach {
            Reach::Captive => {
                self.0.lock().wishes.remove(&session);
                self.0.changed.notify_one();
                return;
            }
            Reach::Checkout => Way::Paying,
            Reach::Online => Way::Online,
        };
        let mut state = self.0.lock();
        let before = state.wishes.get(&session).copied();
        if before.is_none() && state.wishes.len() >= WISHES_MAX {
            tracing::error!(?session, "more phones are let through than can be: one is not");
            return;
        }
        let before = before.filter(|wish| wish.way == way).map(|wish| wish.at_latest);
        let at_latest = before.unwrap_or(Clock::mono().plus_ms(self.0.ms_max(way)));
        state.wishes.insert(session, Wish { place, way, until: until.min(at_latest), at_latest });
        state.since.get_or_insert_with(Instant::now);
        drop(state);
        self.0.changed.notify_one();
    }

    /// The visit has ended.
    pub fn forget(&self, session: SessionId) {
        if self.0.lock().wishes.remove(&session).is_some() {
            self.0.changed.notify_one();
        }
    }

    /// How the firewall stands.
    pub fn seen(&self) -> Seen {
        self.0.lock().seen.clone()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Speaks to the helper until one of both ends.
    async fn converse(&self) -> io::Result<Infallible> {
        let stream = timeout(ANSWER_WAIT, UnixStream::connect(&self.helper)).await??;
        let (hears, says) = stream.into_split();
        let mut line = Line { hears, says, number: 0, begun: Vec::new(), told: BTreeMap::new(), lost: false };
        self.sync(&mut line).await?;
        tracing::info!(phones = line.told.len(), "the firewall's helper is there");
        self.lock().seen.connected = true;
        let mut due = Instant::now();
        loop {
            let missing = self.catch_up(&mut line).await?;
            if line.lost || due.elapsed() >= SYNC_EVERY {
                due = Instant::now();
                if std::mem::take(&mut line.lost) {
                    self.count_loss();
                    tracing::error!(
                        message_id = "8aa365c398be4b5c8eb4a46d273fb268",
                        "somebody took the firewall's table away; it was put back, and all is said again"
                    );
                }
                self.sync(&mut line).await?;
            }
            let rest = if missing { LOOK_AGAIN } else { SYNC_EVERY.saturating_sub(due.elapsed()) };
            tokio::select! {
                () = self.changed.notified() => {}
                heard = line.hear() => heard?,
                () = tokio::time::sleep(rest) => {}
            }
        }
    }

    fn ms_max(&self, way: Way) -> u64 {
        match way {
            Way::Paying => self.paying_ms_max,
            Way::Online => self.online_ms_max,
        }
    }

    fn count_loss(&self) {
        let mut state = self.lock();
        state.seen.restored = state.seen.restored.saturating_add(1);
    }

    /// Who is to be let through now; and whether one cannot be because nobody knows its hardware address.
    fn wanted(&self) -> (BTreeMap<Phone, Stay>, bool) {
        let now = Clock::mono();
        let mut wanted: BTreeMap<Phone, Stay> = BTreeMap::new();
        let mut missing = false;
        let mut state = self.lock();
        state.wishes.retain(|_, wish| wish.until > now);
        for wish in state.wishes.values() {
            match self.phone_at(wish.place) {
                Some(phone) => {
                    // Two visits of one phone: the one that gets it further counts.
                    let stay = (wish.way, wish.until);
                    let most = wanted.entry(phone).or_insert(stay);
                    *most = stay.max(*most);
                }
                None => missing = true,
            }
        }
        (wanted, missing)
    }

    /// The phone that is there; a phone that came by version 6 is known by its address of version 4, too.
    fn phone_at(&self, place: Place) -> Option<Phone> {
        let ip = place.ip.to_canonical();
        let mac = place.mac.or_else(|| self.neighbours.mac_of(ip))?;
        let ip = match ip {
            IpAddr::V4(ip) => ip,
            IpAddr::V6(_) => self.neighbours.four_of(mac)?,
        };
        Some(Phone { mac, ip })
    }

    /// Says what has changed since it was said last.
    async fn catch_up(&self, line: &mut Line) -> io::Result<bool> {
        let since = self.lock().since.take();
        let (wanted, missing) = self.wanted();
        let now = Clock::mono();
        let gone: Vec<Phone> = line.told.keys().filter(|phone| !wanted.contains_key(phone)).copied().collect();
        for phone in gone {
            let over = line.told.remove(&phone).is_some_and(|(_, until)| until <= now);
            // The kernel has let go of it by itself.
            if !over {
                line.ask(Request::Revoke { phone }).await?;
            }
        }
        let new: Vec<_> = wanted.into_iter().filter(|(phone, stay)| line.told.get(phone) != Some(stay)).collect();
        for (phone, stay) in &new {
            self.allow(line, *phone, *stay).await?;
            line.told.insert(*phone, *stay);
        }
        let mut state = self.lock();
        state.seen.let_through = line.told.len();
        if let Some(since) = since.filter(|_| !new.is_empty()) {
            state.seen.newest_micros = u64::try_from(since.elapsed().as_micros()).ok();
        }
        Ok(missing)
    }

    /// Says all of it.
    async fn sync(&self, line: &mut Line) -> io::Result<()> {
        let (wanted, _) = self.wanted();
        line.ask(Request::SyncBegins).await?;
        for (phone, stay) in &wanted {
            self.allow(line, *phone, *stay).await?;
        }
        line.ask(Request::SyncEnds).await?;
        self.lock().seen.let_through = wanted.len();
        line.told = wanted;
        Ok(())
    }

    async fn allow(&self, line: &mut Line, phone: Phone, (way, until): Stay) -> io::Result<()> {
        let ms = Clock::mono().ms_until(until).clamp(1, self.ms_max(way));
        if !line.ask(Request::Allow { phone, way, ms }).await? {
            let mut state = self.lock();
            state.seen.refused = state.seen.refused.saturating_add(1);
        }
        Ok(())
    }
}

/// The line to the helper, and what was said on it.
#[derive(Debug)]
struct Line {
    hears: OwnedReadHalf,
    says: OwnedWriteHalf,
    number: u32,
    begun: Vec<u8>,
    told: BTreeMap<Phone, Stay>,
    /// The helper told that the table had been taken away.
    lost: bool,
}

impl Line {
    /// Asks, and waits for the answer. False if it was refused, which is the configuration's fault or a forged place: it is
    /// told, and all goes on.
    async fn ask(&mut self, request: Request) -> io::Result<bool> {
        self.number = self.number.wrapping_add(1);
        timeout(ANSWER_WAIT, self.says.write_all(&request.to_word(self.number))).await??;
        loop {
            match timeout(ANSWER_WAIT, self.word()).await?? {
                Answer::Done(number) | Answer::Stats(number, _) if number == self.number => return Ok(true),
                Answer::Refused(number, why) if number == self.number => {
                    tracing::error!(?request, ?why, "the firewall's helper refuses");
                    return Ok(false);
                }
                Answer::Restored => self.lost = true,
                Answer::Done(_) | Answer::Stats(..) | Answer::Refused(..) => {
                    return Err(io::Error::other("the helper answers what was not asked"));
                }
            }
        }
    }

    /// Hears what the helper says by itself. May be given up at any time.
    async fn hear(&mut self) -> io::Result<()> {
        match self.word().await? {
            Answer::Restored => {
                self.lost = true;
                Ok(())
            }
            Answer::Done(_) | Answer::Stats(..) | Answer::Refused(..) => {
                Err(io::Error::other("the helper answers what was not asked"))
            }
        }
    }

    async fn word(&mut self) -> io::Result<Answer> {
        while self.begun.len() < WORD_BYTES {
            if self.hears.read_buf(&mut self.begun).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let rest = self.begun.split_off(WORD_BYTES);
        let word: Option<Word> = std::mem::replace(&mut self.begun, rest).try_into().ok();
        word.and_then(|word| Answer::from_word(&word))
            .ok_or_else(|| io::Error::other("the helper is of another version: install both from one package"))
    }
}
