//! Keeps this box's certificate young: renews one that was got by enrolling, and is loud before any ends. Asks nobody while
//! there is time.

use super::channel::Channel;
use super::counter::Counter;
use super::enrol::{Remedy, date, renew};
use super::identity::{Folder, Identity};
use super::life::{Life, Nearness};
use super::wall::sleep_until;
use crate::clock::Clock;
use crate::shop::time::Wall;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// How long to wait where the timer cannot be had, or the clock runs otherwise than the timer's.
const BREATHER: Duration = Duration::from_secs(60);

/// The certificate that the daemon uses.
#[derive(Clone, Debug)]
pub enum Own {
    /// Got by enrolling, and renewed from here: its folder, and what was in it.
    Enrolled(Folder, Box<Identity>),
    /// Named in the configuration, and renewed by people; `None` if its time cannot be read.
    Named(Option<Life>),
}

/// How the certificate stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Its last moment, if known.
    pub until: Option<Wall>,
    /// Whether it is renewed by itself, and from when on.
    pub renews_at: Option<Wall>,
    /// How near its end it is; `None`: neither its time nor the machine's is known.
    pub nearness: Option<Nearness>,
    /// Why the last renewal failed, if it did.
    pub failing: Option<String>,
}

/// The task that does it. Dropping it ends it; what is on disk is right whenever that is.
#[derive(Debug)]
pub struct Renewal {
    own: watch::Sender<Own>,
    seen: watch::Receiver<(Own, Option<String>)>,
    jitter: u16,
    task: JoinHandle<()>,
}

impl Drop for Renewal {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Renewal {
    /// Starts on this runtime. `clock` says the time, or that it is not known; its bits are the jitter's.
    pub fn start(handle: &Handle, own: Own, counter: Arc<Counter>, clock: Clock) -> Renewal {
        let [low, high, ..] = clock.bits().to_le_bytes();
        let jitter = u16::from_le_bytes([low, high]);
        let (tell, seen) = watch::channel((own.clone(), None));
        let (put, take) = watch::channel(own);
        let keeper = Keeper { counter, clock, jitter, tell };
        let task = handle.spawn(keeper.run(take));
        Renewal { own: put, seen, jitter, task }
    }

    /// Another certificate is to be used from now on. One that was got by enrolling is read from its folder, which may hold
    /// a newer one by then.
    pub fn turn_to(&self, own: Own) {
        self.own.send_replace(own);
    }

    /// How the certificate stands at this time, if the time is known.
    pub fn standing(&self, now: Option<Wall>) -> Standing {
        let (own, failing) = self.seen.borrow().clone();
        let life = own.life();
        Standing {
            until: life.map(|life| life.until),
            renews_at: life.filter(|_| own.is_enrolled()).map(|life| life.renew_at(self.jitter)),
            nearness: life.zip(now).map(|(life, now)| life.nearness(now)),
            failing,
        }
    }
}

impl Own {
    fn life(&self) -> Option<Life> {
        match self {
            Own::Enrolled(_, identity) => Some(identity.life()),
            Own::Named(life) => *life,
        }
    }

    fn is_enrolled(&self) -> bool {
        match self {
            Own::Enrolled(..) => true,
            Own::Named(_) => false,
        }
    }
}

struct Keeper {
    counter: Arc<Counter>,
    clock: Clock,
    jitter: u16,
    tell: watch::Sender<(Own, Option<String>)>,
}

impl Keeper {
    async fn run(self, mut take: watch::Receiver<Own>) {
        let mut own = take.borrow_and_update().clone();
        loop {
            tokio::select! {
                changed = take.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    own = self.turned(take.borrow_and_update().clone());
                }
                next = self.keep(&own) => own = next,
            }
        }
    }

    /// Uses what its folder holds now: between the look of whoever asked and this one a renewal may have come.
    fn turned(&self, own: Own) -> Own {
        let own = match own {
            Own::Enrolled(folder, read) => {
                let newest = folder.identity().ok().flatten().filter(|found| found.url() == read.url());
                let identity = newest.map_or(read, Box::new);
                self.put_to_use(&identity);
                Own::Enrolled(folder, identity)
            }
            named @ Own::Named(_) => named,
        };
        self.tell.send_replace((own.clone(), None));
        own
    }

    fn put_to_use(&self, identity: &Identity) {
        // Where the channel goes stays as it was: sales under way are with that platform.
        let taken = self.counter.channel().exchange(identity.credentials());
        if let Err(error) = taken {
            tracing::error!(%error, "the box's certificate cannot be used");
        }
    }

    /// Waits until something is to be done about this certificate and does it; what is in use then.
    async fn keep(&self, own: &Own) -> Own {
        let Some(life) = own.life() else { return std::future::pending().await };
        let Some(now) = self.clock.now().wall else {
            // Nothing can be said before the clock is set; the timer notices that.
            wait(Wall(i64::MAX / 1_000)).await;
            return own.clone();
        };
        match own {
            Own::Enrolled(folder, identity) => {
                let due = life.renew_at(self.jitter);
                if now < due {
                    self.wait_until(due).await;
                    return own.clone();
                }
                self.renew(folder, identity).await
            }
            Own::Named(_) => {
                if life.nearness(now) == Nearness::Far {
                    self.wait_until(life.near_at()).await;
                    return own.clone();
                }
                tracing::error!(
                    message_id = "5f0c8a1be3d94d6fb0a7c2e4419d7b36",
                    ends = date(life.until),
                    "the box's certificate ends: get a new one from the platform, put it where [platform] says, and reload"
                );
                self.wait_until(life.speak_at(now)).await;
                own.clone()
            }
        }
    }

    async fn renew(&self, folder: &Folder, present: &Identity) -> Own {
        let own = |identity: &Identity| Own::Enrolled(folder.clone(), Box::new(identity.clone()));
        let channel: &Channel = self.counter.channel();
        let (life, now) = (present.life(), self.clock.now().wall);
        let pause = life.retry_in(now.unwrap_or(life.until));
        let renewed = match renew(folder, present, channel, now).await {
            Ok(renewed) => renewed,
            Err(error) => {
                self.complain(life, now, &error.reason(), error.remedy());
                self.tell.send_replace((own(present), Some(error.reason())));
                sleep(pause).await;
                return own(present);
            }
        };
        self.put_to_use(&renewed);
        tracing::info!(ends = date(renewed.life().until), "the box's certificate is renewed");
        let next = own(&renewed);
        self.tell.send_replace((next.clone(), None));
        // One that is due at once, however that came about, is not asked for again at once.
        if renewed.life().renew_at(self.jitter) <= now.unwrap_or(Wall(0)) {
            sleep(renewed.life().retry_in(now.unwrap_or(Wall(0)))).await;
        }
        next
    }

    fn complain(&self, life: Life, now: Option<Wall>, why: &str, remedy: Remedy) {
        let ends = date(life.until);
        match (now.map(|now| life.nearness(now)), remedy) {
            (Some(Nearness::Over), _) => tracing::error!(
                message_id = "5f0c8a1be3d94d6fb0a7c2e4419d7b36",
                ends,
                why,
                "the box's certificate HAS ENDED: no sale is possible; ask the platform for a code and enrol again"
            ),
            (Some(Nearness::Near), _) | (_, Remedy::Ask | Remedy::Mend) => {
                tracing::error!(
                    message_id = "5f0c8a1be3d94d6fb0a7c2e4419d7b36",
                    ends,
                    why,
                    "the box's certificate could not be renewed: a person must look"
                );
            }
            (Some(Nearness::Far) | None, Remedy::Again) => {
                tracing::warn!(ends, why, "the box's certificate could not be renewed; it is tried again");
            }
        }
    }

    async fn wait_until(&self, at: Wall) {
        wait(at).await;
        if self.clock.now().wall.is_some_and(|now| now < at) {
            // The clock was set, or does not run as the timer does: do not spin.
            sleep(BREATHER).await;
        }
    }
}

async fn wait(at: Wall) {
    if let Err(error) = sleep_until(at).await {
        tracing::warn!(%error, "no timer for the certificate: looking every minute");
        sleep(BREATHER).await;
    }
}
