//! A till and its customers, one after the other, each with a phone of its own. Notes how long each step took.

use crate::phone::{Phone, Wire};
use crate::register::Register;
use std::net::{Ipv4Addr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tillgate::sandbox::{ACCOUNTS, PASSWORD};

/// What a customer or a cashier waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// From the first packet of a new phone to its page that waits for the till.
    Enter,
    /// From the till's request to the page with the amount.
    Offer,
    /// From the tap that confirms to the page that leads to the checkout.
    Confirm,
    /// From the platform's answer to the first byte of the result at the till.
    Told,
}

impl Step {
    pub(crate) const ALL: [Step; 4] = [Step::Enter, Step::Offer, Step::Confirm, Step::Told];
}

/// What is going on at the moment: nothing that counts, the rush, or an attack by its place in the list and
/// the calm beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scene {
    Between,
    /// Many sales and nothing else.
    Rush,
    /// The calm beside an attack.
    Calm(usize),
    Attack(usize),
}

/// The scene, as all lanes see it.
#[derive(Default)]
pub(crate) struct Stagehand(AtomicUsize);

impl Stagehand {
    pub(crate) fn set(&self, scene: Scene) {
        let number = match scene {
            Scene::Between => 0,
            Scene::Rush => 1,
            Scene::Calm(n) => 2 * n + 2,
            Scene::Attack(n) => 2 * n + 3,
        };
        self.0.store(number, Ordering::Relaxed);
    }

    pub(crate) fn scene(&self) -> Scene {
        match self.0.load(Ordering::Relaxed) {
            0 => Scene::Between,
            1 => Scene::Rush,
            n if n % 2 == 0 => Scene::Calm(n / 2 - 1),
            n => Scene::Attack(n / 2 - 1),
        }
    }

    /// The scene that a step which began in `began` and ends now belongs to: what an attack touches is the attack's.
    fn of_step(&self, began: Scene) -> Scene {
        match (began, self.scene()) {
            (Scene::Attack(n), _) | (_, Scene::Attack(n)) => Scene::Attack(n),
            (began, _) => began,
        }
    }
}

pub(crate) struct Sample {
    pub(crate) scene: Scene,
    pub(crate) step: Step,
    pub(crate) took: Duration,
}

/// What came of a lane.
#[derive(Default)]
pub(crate) struct Sold {
    pub(crate) samples: Vec<Sample>,
    pub(crate) sales: u64,
    /// Customers who could not pay, with the scene and the reason.
    pub(crate) failed: Vec<(Scene, String)>,
    /// Sales that began after their time, because the one before took so long.
    pub(crate) late: u64,
}

pub(crate) struct Lane<'a> {
    pub(crate) register: &'a mut Register,
    pub(crate) till: u16,
    pub(crate) from: Ipv4Addr,
    pub(crate) portal: SocketAddr,
    pub(crate) checkout: SocketAddr,
    pub(crate) stagehand: &'a Stagehand,
    /// Sales of all lanes so far.
    pub(crate) sold: &'a AtomicU64,
}

impl Lane<'_> {
    /// A sale each `every` until `until`, whether the one before took longer or not.
    pub(crate) fn run(&mut self, from: Instant, every: Duration, until: Instant, sold: &mut Sold) {
        let mut due = from;
        while due < until {
            match due.checked_duration_since(Instant::now()) {
                Some(wait) => thread::sleep(wait),
                None => sold.late += 1,
            }
            let scene = self.stagehand.scene();
            match catch_unwind(AssertUnwindSafe(|| self.sell(&mut sold.samples))) {
                Ok(()) => {
                    sold.sales += 1;
                    self.sold.fetch_add(1, Ordering::Relaxed);
                }
                Err(why) => {
                    let why = why.downcast_ref::<String>().cloned();
                    sold.failed.push((self.stagehand.of_step(scene), why.unwrap_or_default()));
                }
            }
            due = (due + every).max(Instant::now().checked_sub(every).unwrap_or(due));
        }
    }

    /// One customer, from the first packet to the log-out.
    fn sell(&mut self, samples: &mut Vec<Sample>) {
        let mut note = |step, scene, took| samples.push(Sample { scene: self.stagehand.of_step(scene), step, took });
        let (scene, begun) = (self.stagehand.scene(), Instant::now());
        let mut phone = Phone::log_in(self.portal, self.from, Some(self.till));
        phone.until("/leave\"");
        note(Step::Enter, scene, begun.elapsed());
        phone.listen();

        let scene = self.stagehand.scene();
        let asked = self.register.pay();
        phone.changed();
        phone.until("/confirm\"");
        note(Step::Offer, scene, asked.elapsed());

        let (scene, tapped) = (self.stagehand.scene(), Instant::now());
        phone.send("confirm", "");
        phone.until("/checkout\"");
        note(Step::Confirm, scene, tapped.elapsed());

        let token = phone.checkout();
        let form = format!("action=pay&account={}&password={PASSWORD}", ACCOUNTS[0].0);
        let answer = Wire::new(self.from, self.checkout).ask("POST", &format!("/checkout/{token}"), &form);
        let (scene, answered) = (self.stagehand.scene(), Instant::now());
        assert_eq!(answer.status, 303, "the checkout refuses: {}", answer.text);
        // The answer to the phone may come after that to the daemon.
        note(Step::Told, scene, self.register.paid().saturating_duration_since(answered));

        phone.until("/finish\"");
        phone.send("finish", "");
        phone.load();
        phone.send("log-out", "");
    }
}
