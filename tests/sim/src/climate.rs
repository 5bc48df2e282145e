//! What the weather of a run is: how many tills and phones, which rules, which faults and how often. All from the seed.

use crate::dice::Dice;
use std::collections::BTreeSet;
use tillgate::shop::event::TillNumber;
use tillgate::shop::money::Currency;
use tillgate::shop::policy::Policy;

/// The weather of a run. Frequencies are per mille of the occasions.
#[derive(Clone, Debug)]
pub struct Climate {
    /// The shop's rules.
    pub policy: Policy,
    /// How the tills are made, one for each number of the policy.
    pub styles: Vec<Style>,
    /// How many phones there are.
    pub phones: usize,
    /// Events that may share one commit.
    pub batch_max: usize,
    /// Power cuts between two steps, and at each commit.
    pub cut_step: u32,
    /// Of the commits, so many are cut short.
    pub cut_commit: u32,
    /// Of the cuts, so many take the machine down, not the process alone.
    pub reboot: u32,
    /// Of the cuts, so many are followed by another while the program picks itself up.
    pub cut_again: u32,
    /// Disk full or broken at a commit.
    pub disk_error: u32,
    /// Calls that never leave.
    pub not_sent: u32,
    /// Calls that get lost on the way out.
    pub call_lost: u32,
    /// Calls that are done while their answer gets lost.
    pub answer_lost: u32,
    /// Calls that arrive twice, the second at any time later.
    pub call_twice: u32,
    /// Answers that come twice.
    pub answer_twice: u32,
    /// Answers that are taken out of turn.
    pub reorder: u32,
    /// Answers about another id, amount or currency.
    pub garble: u32,
    /// Answers of calls of an earlier life of the program that arrive all the same.
    pub ghosts: u32,
    /// Creates refused, and creates with a 500 stored under their id for ever.
    pub refuse: u32,
    /// Creates with a stored 500.
    pub stored_500: u32,
    /// Cancels of unknown ids that leave no tombstone.
    pub no_tombstone: u32,
    /// Refunds refused for good.
    pub refund_refused: u32,
    /// Refunds that take their time.
    pub refund_slow: u32,
    /// Requests of tills that want money back.
    pub returns: u32,
    /// Customers who pay another amount or in another currency.
    pub wrong_amount: u32,
    /// Customers who pay twice, or after the end.
    pub late_money: u32,
    /// Tries that fail.
    pub tries_fail: u32,
    /// Somebody ends the sale: till, customer, next in line.
    pub abort: u32,
    /// Tills that repeat themselves, change the amount, ask for the last result.
    pub till_odd: u32,
    /// Tills that reject results, put them off or do not hear them.
    pub till_deaf: u32,
    /// Phones that press twice, confirm what they no longer see, come back as another.
    pub phone_odd: u32,
    /// Clock jumps.
    pub clock: u32,
    /// The line to the world goes down, and comes back.
    pub wan: u32,
    /// The disk is almost full, and is not.
    pub disk_low: u32,
    /// Long times pass.
    pub long_times: u32,
    /// Effects that are done twice.
    pub twice: u32,
    /// Things that happen before the faults end.
    pub steps: usize,
    /// Long after the end everything is paid once more.
    pub money_after_all: bool,
    /// The journal is proved at the end.
    pub prove: bool,
}

/// How a till is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Tickets within epochs.
    Epochs,
    /// Tickets that come round.
    Tickets,
    /// No tickets.
    Bare,
    /// No tickets and no ear for results.
    Deaf,
}

/// A number of this till.
pub fn till_number(number: u16) -> TillNumber {
    TillNumber::new(number.max(1)).expect("a till's number is small")
}

impl Climate {
    /// The weather of this seed.
    pub fn new(seed: u64) -> Climate {
        let mut dice = Dice::new(seed ^ 0xc11_a7e);
        let d = &mut dice;
        let many = d.chance(400);
        let tills: usize = if many { 2 + d.at(9) } else { 1 };
        let phones = if many { tills + d.at(tills + 3) } else { 1 + d.at(3) };
        let styles =
            (0..tills).map(|_| d.pick(&[Style::Epochs, Style::Epochs, Style::Tickets, Style::Bare, Style::Deaf]));
        let styles: Vec<Style> = styles.collect();
        // One in three faults is off, one is rare, one is common: what hides behind another fault shows without it.
        let mut some = |rare: u32, common: u32| match d.below(3) {
            0 => 0,
            1 => rare,
            _ => common,
        };
        let climate = Climate {
            policy: Policy::with_defaults(Currency::from_code("EUR").expect("EUR"), BTreeSet::new()),
            styles,
            phones,
            batch_max: 1,
            cut_step: 40,
            cut_commit: some(8, 25),
            reboot: 300,
            cut_again: some(100, 300),
            disk_error: some(1, 6),
            not_sent: some(10, 60),
            call_lost: some(10, 80),
            answer_lost: some(20, 120),
            call_twice: some(20, 120),
            answer_twice: some(20, 120),
            reorder: some(100, 600),
            garble: some(10, 50),
            ghosts: some(100, 600),
            refuse: some(10, 60),
            stored_500: some(10, 60),
            no_tombstone: some(100, 400),
            refund_refused: some(30, 150),
            refund_slow: some(100, 500),
            returns: some(150, 500),
            wrong_amount: some(10, 60),
            late_money: some(30, 150),
            tries_fail: some(100, 400),
            abort: some(10, 60),
            till_odd: some(30, 150),
            till_deaf: some(50, 400),
            phone_odd: some(30, 150),
            clock: some(3, 12),
            wan: some(3, 12),
            disk_low: some(2, 8),
            long_times: some(2, 10),
            twice: some(20, 100),
            steps: 0,
            money_after_all: false,
            prove: false,
        };
        climate.with_rules(&mut dice)
    }

    fn with_rules(mut self, d: &mut Dice) -> Climate {
        let code = d.pick(&["EUR", "EUR", "EUR", "JPY", "KWD", "CHF"]);
        let tills = (1..=self.styles.len()).map(|n| till_number(n as u16)).collect();
        let currency = Currency::from_code(code).expect("a currency of ISO 4217");
        self.policy = Policy {
            unheard_refund_after_secs: d.pick(&[None, None, Some(60), Some(3_600)]),
            doubt_hours_max: d.pick(&[1, 72, 72]),
            ticket_life_secs: d.pick(&[12 * 3_600, 12 * 3_600, 600]),
            attempts_max: d.pick(&[1, 2, 3, 3]),
            confirm_secs: d.pick(&[60, 60, 15]),
            pair_idle_secs: d.pick(&[120, 120, 30]),
            session_secs: d.pick(&[1_800, 1_800, 120]),
            online_secs: 60,
            ..Policy::with_defaults(currency, tills)
        };
        self.batch_max = d.pick(&[1, 1, 4, 12]);
        self.cut_step = d.pick(&[2, 6, 15, 40]);
        self.reboot = d.pick(&[100, 300, 900]);
        self.steps = d.pick(&[100, 300, 600]) + 60 * self.styles.len();
        self.money_after_all = d.chance(100);
        self.prove = d.chance(100);
        self
    }
}
