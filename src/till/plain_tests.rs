//! The plain protocol against its document and against a bad line; time is a number here.

use super::super::frame::FRAME_BYTES_MAX;
use super::*;
use crate::shop::effect::{CancelledWhy, Outcome};
use crate::shop::event::{AskKind, NoSales, Of, Reason, ReceiptNumber};
use crate::shop::id::AttemptId;
use crate::shop::money::Amount;
use crate::shop::sale::Code;
use crate::shop::time::Wall;
use jiff::tz::TimeZone;

const DOCUMENT: &str = include_str!("../../docs/till-protocol.md");

#[test]
fn the_example_in_the_document_is_what_the_driver_says_to_the_byte() {
    let example = DOCUMENT.split("```bytes\n").nth(1).unwrap().split("```").next().unwrap();
    let mut bench = Bench::new();
    let mut box_said = Vec::new();
    let (mut frames, mut done) = (0, String::new());
    for part in example.split("\n\n") {
        let (head, hex) = part.trim().split_once('\n').unwrap_or((part.trim(), ""));
        let (who, what) = head.split_once(' ').unwrap();
        let bytes: Vec<u8> = hex.split_whitespace().map(|b| u8::from_str_radix(b, 16).unwrap()).collect();
        match who {
            "shop" => box_said.extend(bench.tell(&story(what)).bytes),
            "till" => {
                assert_eq!(bytes, encode(what), "the bytes are those of {what}");
                let out = bench.hear(&bytes);
                box_said.extend(out.bytes);
                done.push_str(&format!("{:?};", out.events));
            }
            "box" => {
                assert_eq!(bytes, encode(what), "the bytes are those of {what}");
                let said: Vec<u8> = box_said.drain(..bytes.len().min(box_said.len())).collect();
                assert_eq!(said.escape_ascii().to_string(), bytes.escape_ascii().to_string());
                frames += 1;
            }
            other => panic!("{other}"),
        }
    }
    assert_eq!((box_said.len(), frames), (0, 5));
    assert!(
        done.contains("Asked(Ask { ticket: Some(Ticket { epoch: Some(3), number: 41 }), amount: 12.50 EUR"),
        "{done}"
    );
    assert!(done.ends_with("[Taken { sale: SaleId(51ab0000..) }];"), "{done}");
}

#[test]
fn the_times_and_limits_in_the_document_are_those_of_the_driver() {
    for line in [
        format!("| `ACK_WAIT` | {} s |", ACK_WAIT_MS / 1_000),
        format!("| `REPEATS` | {REPEATS} |"),
        format!("| `RESULT_REPEATS` | {RESULT_REPEATS} |"),
        format!("| `REPEAT_WINDOW` | {} s |", REPEAT_WINDOW_MS / 1_000),
        format!("| `ANSWER_WAIT` | {} s |", super::super::player::ANSWER_WAIT.as_secs()),
        format!("| `PING_AFTER` | {} s |", super::super::player::PING_AFTER.as_secs()),
        format!("| `GRACE` | {} s |", super::super::player::GRACE.as_secs()),
        format!("| `LATER` | 1 to {LATER_SECS_MAX} s |"),
        format!("| patience | 0 to {PATIENCE_SECS_MAX} |"),
        format!("A frame has at most **{FRAME_BYTES_MAX} bytes**"),
        format!("count from 0 to {ID_MAX} "),
        format!("than {WAITING_MAX} frames"),
    ] {
        assert!(DOCUMENT.contains(&line), "{line}");
    }
}

/// What the shop says at each point of the document's example.
fn story(line: &str) -> TillAnswer {
    let ticket = Some(Ticket { epoch: Some(3), number: 41 });
    let progress = |progress| TillAnswer::Progress { sale: SALE, ticket, progress };
    match line {
        "takes the sale" => TillAnswer::Accepted { sale: SALE, ticket, code: Code::parse("K7").unwrap() },
        "offers it to the phone" => progress(Progress::Offered),
        "hears of a wrong password" => {
            progress(Progress::Failed { reason: Reason::WrongPassword, try_no: 1, new_attempt: false })
        }
        "has the payment on disk" => TillAnswer::Finish(Box::new(paid())),
        other => panic!("{other}"),
    }
}

const SALE: SaleId = SaleId(0x51ab << 112);

fn paid() -> Finish {
    Finish {
        sale: SALE,
        ticket: Some(Ticket { epoch: Some(3), number: 41 }),
        code: Code::parse("K7").unwrap(),
        amount: Amount::from_minor(1250, eur()).unwrap(),
        kind: AskKind::Pay,
        receipt: ReceiptNumber::new(42),
        outcome: Outcome::Approved,
        attempt: Some(AttemptId(0x4fd2_9a10_77c3_4be5_8d01_c6f2_3a9b_5e70)),
        given_back_minor: 0,
        failed_tries: 1,
        at: Some(Wall(1_795_356_180_000)),
    }
}

fn eur() -> Currency {
    Currency::from_code("EUR").unwrap()
}

/// A driver on an open line, and a clock that stands still unless told.
struct Bench {
    driver: Plain,
    now: Mono,
}

impl Bench {
    fn new() -> Bench {
        let zone = TimeZone::get("Europe/Berlin").ok();
        let settings = PlainSettings {
            till: TillNumber::new(7).unwrap(),
            currency: eur(),
            facts: ReceiptFacts { shop_name: "Cafe Nord".to_owned(), time_zone: zone },
            columns: 24,
            byte_us: 1_042,
        };
        let mut bench = Bench { driver: Plain::new(settings, 1), now: Mono(1_000_000) };
        bench.line(true);
        bench
    }

    fn call(&mut self, call: impl FnOnce(&mut Plain, Mono, &mut Out)) -> Out {
        let mut out = Out::default();
        call(&mut self.driver, self.now, &mut out);
        out
    }

    fn hear(&mut self, bytes: &[u8]) -> Out {
        self.call(|d, now, out| d.received(now, bytes, out))
    }

    fn say(&mut self, body: &str) -> Out {
        self.hear(&encode(body))
    }

    fn tell(&mut self, answer: &TillAnswer) -> Out {
        self.call(|d, now, out| d.tell(now, answer, out))
    }

    fn line(&mut self, up: bool) -> Out {
        self.call(|d, now, out| d.line(now, up, out))
    }
}

fn bodies(bytes: &[u8]) -> Vec<String> {
    let mut decoder = Decoder::default();
    bytes.iter().filter_map(|b| decoder.push(*b)).collect()
}

/// Plays `script` (see [`Bench::step`]) and compares all that came of it: frames as `< BODY` (results cut after the
/// outcome and what was given back), events as `! EVENT`.
fn check(script: &str, expected: &str) {
    let mut bench = Bench::new();
    let mut came = Vec::new();
    for step in script.split(';').map(str::trim).filter(|s| !s.is_empty()) {
        let out = bench.step(step);
        came.extend(bodies(&out.bytes).iter().map(|body| {
            let short: Vec<&str> = body.split('|').collect();
            format!("< {}", if short[0] == "RESULT" { short[..5].join("|") } else { body.clone() })
        }));
        came.extend(out.events.iter().map(|e| format!("! {}", event_text(e)).trim_end().to_owned()));
    }
    let expected: Vec<&str> = expected.split(';').map(str::trim).filter(|s| !s.is_empty()).collect();
    assert_eq!(came, expected, "{script}");
}

fn event_text(event: &TillEvent) -> String {
    let of = |t: &Option<Ticket>| t.map(words::ticket_text).unwrap_or_default();
    match event {
        TillEvent::Online => "online".to_owned(),
        TillEvent::Offline => "offline".to_owned(),
        TillEvent::Asked(ask) => {
            let named = |back| match back {
                Of::Ticket(ticket) => format!(" of {}", words::ticket_text(ticket)),
                Of::Receipt(receipt) => format!(" of receipt {receipt}"),
            };
            let back = ask.of.map(named).unwrap_or_default();
            let (kind, secs) = (format!("{:?}", ask.kind).to_lowercase(), ask.patience_ms / 1_000);
            format!("{kind} {} {} {secs}s{back}", of(&ask.ticket), ask.amount)
        }
        TillEvent::Aborted { ticket } => format!("abort {}", of(ticket)),
        TillEvent::AskedAgain { ticket } => format!("again {}", of(ticket)),
        TillEvent::Taken { sale } => format!("taken {}", sale.0),
        TillEvent::TakeLater { sale, after_ms } => format!("later {} {after_ms}ms", sale.0),
        TillEvent::Rejected { sale } => format!("rejected {}", sale.0),
        TillEvent::Unheard { sale } => format!("unheard {}", sale.0),
        TillEvent::AskedStatus => "status".to_owned(),
        TillEvent::AskedTotals { of } => format!("totals {of:?}"),
        TillEvent::DayClosed { mark } => format!("day closed {mark}"),
        TillEvent::Knows { receipt } => format!("knows {receipt}"),
    }
}

impl Bench {
    /// `> BODY` the till says it; `+MS` time passes; `down`, `up`; else what the shop says: `accept N`, `step N`,
    /// `checking N`, `failed N TRY`, `paid N`, `back N MINOR`, `aborted N`, `refuse`, `none`, `noabort`, `aborting`.
    /// N is sale and ticket number; the epoch is 3.
    fn step(&mut self, step: &str) -> Out {
        let words: Vec<&str> = step.split_whitespace().collect();
        let n = words.get(1).and_then(|w| w.parse::<u32>().ok()).unwrap_or(1);
        let (sale, ticket) = (SaleId(u128::from(n)), Some(Ticket { epoch: Some(3), number: n }));
        let finish = |outcome, given_back_minor| {
            let attempt = (outcome == Outcome::Approved).then_some(AttemptId(5));
            TillAnswer::Finish(Box::new(Finish { sale, ticket, outcome, attempt, given_back_minor, ..paid() }))
        };
        let progress = |progress| TillAnswer::Progress { sale, ticket, progress };
        let reason = Reason::NoFunds;
        match words[0] {
            ">" => self.say(step[1..].trim()),
            "up" => self.line(true),
            "down" => self.line(false),
            "accept" => self.tell(&TillAnswer::Accepted { sale, ticket, code: Code::parse("K7").unwrap() }),
            "step" => self.tell(&progress(Progress::Offered)),
            "checking" => self.tell(&progress(Progress::Checking)),
            "failed" => {
                let try_no = words[2].parse().unwrap();
                self.tell(&progress(Progress::Failed { reason, try_no, new_attempt: true }))
            }
            "paid" => self.tell(&finish(Outcome::Approved, 0)),
            "back" => self.tell(&finish(Outcome::Approved, words[2].parse().unwrap())),
            "aborted" => self.tell(&finish(Outcome::Cancelled(CancelledWhy::Till), 0)),
            "refuse" => self.tell(&TillAnswer::Refused { ticket, why: Refusal::NoSales(NoSales::DiskLow) }),
            "none" => self.tell(&TillAnswer::NothingToRepeat { ticket: None }),
            "noabort" => self.tell(&TillAnswer::NothingToAbort { ticket }),
            "aborting" => self.tell(&TillAnswer::Aborting { ticket }),
            time => {
                self.now = self.now.plus_ms(time.strip_prefix('+').unwrap().parse().unwrap());
                self.call(|d, now, out| d.passed(now, out))
            }
        }
    }
}

#[test]
fn every_request_of_the_till_is_answered_and_reported_once() {
    let two = "> PING|1;> PING|2";
    for (script, expected) in [
        ("> PAY|1|3|41|1250|EUR|120", "< ACK|1; ! pay 3/41 12.50 EUR 120s"),
        ("> PAY|9999|4294967295|0|999999999999|JPY|600", "< ACK|9999; ! pay 4294967295/0 999999999999 JPY 600s"),
        ("> REFUND|2|3|42|500|EUR|60|3|41", "< ACK|2; ! refund 3/42 5.00 EUR 60s of 3/41"),
        ("> REFUND|2|3|42|500|EUR|60||", "< ACK|2; ! refund 3/42 5.00 EUR 60s"),
        ("> REVERSE|2|3|42|0|EUR|60|3|41", "< ACK|2; ! reverse 3/42 0.00 EUR 60s of 3/41"),
        ("> REVERSE|2|3|42|1250|EUR|60||", "< ACK|2; ! reverse 3/42 12.50 EUR 60s"),
        ("> DAY|2", "< ACK|2; ! totals Day"),
        ("> CLOSE|2|18446744073709551615", "< ACK|2; ! day closed 18446744073709551615"),
        ("> ABORT|3|3|41", "< ACK|3; ! abort 3/41"),
        ("> ABORT|3||", "< ACK|3; ! abort"),
        ("> LAST|4||", "< ACK|4; ! again"),
        ("> LAST|4|3|41", "< ACK|4; ! again 3/41"),
        ("> STATUS|5", "< ACK|5; ! status"),
        ("> TOTALS|6|3", "< ACK|6; ! totals Epoch(3)"),
        ("> TOTALS|6|", "< ACK|6; ! totals All"),
        ("> PING|7", "< ACK|7"),
        (two, "< ACK|1; < ACK|2"),
        // A repeat gets the same answer and no second event, until the window is over; a new number is a new request.
        ("> STATUS|5;> STATUS|5;+5000;> STATUS|5", "< ACK|5; ! status; < ACK|5; < ACK|5"),
        ("> STATUS|5;+5001;> STATUS|5", "< ACK|5; ! status; < ACK|5; ! status"),
        ("> STATUS|5;> STATUS|6", "< ACK|5; ! status; < ACK|6; ! status"),
        ("> STATUS|5;> PING|5", "< ACK|5; ! status; < ACK|5"),
        ("> NONSENSE|5;> NONSENSE|5", "< BAD|5|WORD; < BAD|5|WORD"),
    ] {
        check(script, expected);
    }
}

#[test]
fn requests_that_make_no_sense_are_answered_with_what_is_wrong() {
    for (body, answer) in [
        ("", ""),
        ("PAY", ""),
        ("PING|x", ""),
        ("PING|10000", ""),
        ("PING|01", ""),
        ("PING|1|", "< BAD|1|FIELDS"),
        ("ping|1", "< BAD|1|WORD"),
        ("PAY|1|3|41|1250|EUR", "< BAD|1|FIELDS"),
        ("PAY|1|3|41|1250|EUR|120|", "< BAD|1|FIELDS"),
        ("PAY|1|||1250|EUR|120", "< BAD|1|TICKET"),
        ("PAY|1||41|1250|EUR|120", "< BAD|1|TICKET"),
        ("PAY|1|0|41|1250|EUR|120", "< BAD|1|TICKET"),
        ("PAY|1|3|4294967296|1250|EUR|120", "< BAD|1|TICKET"),
        ("PAY|1|3|41|1000000000000|EUR|120", "< BAD|1|AMOUNT"),
        ("PAY|1|3|41|-1|EUR|120", "< BAD|1|AMOUNT"),
        ("PAY|1|3|41|12.50|EUR|120", "< BAD|1|AMOUNT"),
        ("PAY|1|3|41|1250|eur|120", "< BAD|1|CURRENCY"),
        ("PAY|1|3|41|1250|EUR|601", "< BAD|1|PATIENCE"),
        ("REFUND|1|3|41|1250|EUR|60|3|", "< BAD|1|TICKET"),
        ("REVERSE|1|3|41|0|EUR|60|", "< BAD|1|FIELDS"),
        ("REVERSE|1|3|41|x|EUR|60||", "< BAD|1|AMOUNT"),
        ("DAY|1|", "< BAD|1|FIELDS"),
        ("CLOSE|1|", "< BAD|1|MARK"),
        ("CLOSE|1|18446744073709551616", "< BAD|1|MARK"),
        ("ABORT|1|3|", "< BAD|1|TICKET"),
        ("LAST|1|x|1", "< BAD|1|TICKET"),
        ("TOTALS|1|x", "< BAD|1|EPOCH"),
        ("TOTALS|1", "< BAD|1|FIELDS"),
    ] {
        check(&format!("> {body}"), answer);
    }
}

#[test]
fn a_result_counts_as_taken_only_by_an_answer_that_names_it() {
    for (answer, expected) in [
        ("> TAKEN|1|3|1", "! taken 1"),
        ("> LATER|1|3|1|2", "! later 1 2000ms"),
        ("> LATER|1|3|1|60", "! later 1 60000ms"),
        ("> REJECT|1|3|1", "! rejected 1"),
        ("> ACK|1", ""),
        ("> TAKEN|1", ""),
        ("> TAKEN|1||", ""),
        ("> TAKEN|2|3|1", ""),
        ("> TAKEN|1|3|2", ""),
        ("> TAKEN|1|4|1", ""),
        ("> LATER|1|3|1|0", ""),
        ("> LATER|1|3|1|61", ""),
        ("> REJECT|1|3|2", ""),
        ("> TAKEN|1|3|1;> TAKEN|1|3|1;> REJECT|1|3|1", "! taken 1"),
        // The same result told again does no harm, also after it was taken.
        ("paid 1;> TAKEN|1|3|1", "! taken 1"),
        ("> TAKEN|1|3|1;paid 1;> TAKEN|2|3|1", "! taken 1; < RESULT|2|3|1|APPROVED; ! taken 1"),
        // A newer one takes the place of the older one, which can no longer be taken.
        ("back 1 1250;> TAKEN|1|3|1;> TAKEN|2|3|1", "< RESULT|2|3|1|RETURNED; ! taken 1"),
        // The next result waits for the first to be answered.
        ("paid 2;> TAKEN|1|3|1", "< RESULT|2|3|2|APPROVED; ! taken 1"),
    ] {
        check(&format!("paid 1;{answer}"), &format!("< RESULT|1|3|1|APPROVED;{expected}"));
    }
}

#[test]
fn answers_are_repeated_three_times_and_then_dropped_each_at_its_edge() {
    // "ACCEPT|1|3|1|K7" is 21 bytes of 1042 us: 22 ms, rounded up, before the wait of 1000 ms begins.
    let accept = "< ACCEPT|1|3|1|K7";
    check("accept 1;+1021", accept);
    check("accept 1;+1022", &format!("{accept};{accept}"));
    check("accept 1;+1022;+1021;+1;+1022;+1022;+60000", &format!("{accept};{accept};{accept};{accept}"));
    check("accept 1;+1022;> ACK|1;+60000", &format!("{accept};{accept}"));
    check("accept 1;> ACK|2;+1022", &format!("{accept};{accept}"));
    // Given up: the next one goes out.
    check("accept 1;+1022;+1022;+1022;none;+1022", &format!("{accept};{accept};{accept};{accept};< NORESULT|2||"));
}

#[test]
fn a_result_is_repeated_nine_times_and_then_unheard_and_a_late_taken_still_counts() {
    let told = "< RESULT|1|3|1|APPROVED;";
    let wait = wait_of_result();
    let nine = format!("+{wait};").repeat(9);
    check(&format!("paid 1;{nine}+{}", wait - 1), &told.repeat(10));
    let unheard = format!("{}! unheard 1;", told.repeat(10));
    check(&format!("paid 1;{nine}+{wait}"), &unheard);
    check(&format!("paid 1;{nine}+{wait};> TAKEN|1|3|1"), &format!("{unheard}! taken 1"));
    // The silent till is back: the shop is asked what is true by now.
    check(&format!("paid 1;{nine}+{wait};> PING|1"), &format!("{unheard}< ACK|1;! again 3/1"));
    check(&format!("paid 1;{nine}+{wait};> LAST|1||"), &format!("{unheard}< ACK|1;! again"));
    check(&format!("paid 1;{nine}+{wait};down;up"), &format!("{unheard}! offline;! online;! again 3/1"));
    // A till that speaks and never takes it is not told for ever.
    check(&format!("paid 1;{nine}> ACK|1;+{wait};> PING|1;> ACK|1"), &format!("{unheard}< ACK|1"));
}

fn wait_of_result() -> u64 {
    let mut bench = Bench::new();
    bench.step("paid 1");
    bench.now.ms_until(bench.driver.deadline().unwrap())
}

#[test]
fn what_is_not_answered_goes_out_again_when_the_line_is_back() {
    let wait = wait_of_result();
    check(
        "paid 1;down;up;> TAKEN|1|3|1",
        "< RESULT|1|3|1|APPROVED;! offline;< RESULT|1|3|1|APPROVED;! online;! taken 1",
    );
    check("down;paid 1;up", "! offline;< RESULT|1|3|1|APPROVED;! online");
    check("down;up;up;down;down", "! offline;! online;! offline");
    // The clock goes on while the line is down.
    let nine = format!("+{wait};").repeat(10);
    check(&format!("down;paid 1;{nine}up"), "! offline;! unheard 1;! online;! again 3/1");
    // A frame cut by the hang-up is not finished by what comes after it.
    let mut bench = Bench::new();
    let frame = encode("PING|1");
    bench.hear(&frame[..6]);
    bench.step("down");
    bench.step("up");
    assert_eq!(bench.hear(&frame[6..]), Out::default());
    assert_eq!(bodies(&bench.hear(&frame).bytes), ["ACK|1"]);
}

#[test]
fn waiting_steps_give_way_to_newer_ones_and_to_the_result_but_failed_tries_are_all_told() {
    check("accept 1;step 1;checking 1;> ACK|1;> ACK|2", "< ACCEPT|1|3|1|K7;< PROGRESS|2|3|1|CHECKING|still checking");
    check(
        "accept 1;step 1;failed 1 1;failed 1 2;paid 1;> ACK|1;> ACK|2;> ACK|3;> TAKEN|4|3|1",
        "< ACCEPT|1|3|1|K7;< FAILED|2|3|1|1|NO_FUNDS|NEW|not enough money;\
         < FAILED|3|3|1|2|NO_FUNDS|NEW|not enough money;< RESULT|4|3|1|APPROVED;! taken 1",
    );
}

#[test]
fn an_abort_is_answered_before_and_after_the_sale_was_accepted() {
    let pay = "> PAY|1|3|1|1250|EUR|120;";
    let paid = "< ACK|1;! pay 3/1 12.50 EUR 120s;";
    check(
        &format!("{pay}> ABORT|2|3|1;aborting 1;aborted 1;> ACK|1;> TAKEN|2|3|1"),
        &format!("{paid}< ACK|2;! abort 3/1;< ABORTING|1|3|1;< RESULT|2|3|1|CANCELLED;! taken 1"),
    );
    check(
        &format!("{pay}accept 1;> ACK|1;> ABORT|2|3|1;noabort 1;> ACK|2;paid 1;> TAKEN|3|3|1"),
        &format!("{paid}< ACCEPT|1|3|1|K7;< ACK|2;! abort 3/1;< NOABORT|2|3|1;< RESULT|3|3|1|APPROVED;! taken 1"),
    );
    check(&format!("{pay}refuse 1"), &format!("{paid}< REFUSE|1|3|1|NO_SALES|disk of the box is full"));
}

#[test]
fn a_till_that_takes_nothing_costs_no_more_than_the_queue_and_loses_no_result_in_silence() {
    let mut bench = Bench::new();
    let mut unheard = 0;
    for sale in 1..=100 {
        for step in
            [format!("accept {sale}"), format!("step {sale}"), format!("failed {sale} 1"), format!("paid {sale}")]
        {
            let out = bench.step(&step);
            unheard += out.events.iter().filter(|e| matches!(e, TillEvent::Unheard { .. })).count();
            assert!(bench.driver.waiting.len() <= WAITING_MAX);
        }
    }
    let waiting = bench.driver.waiting.iter().filter(|f| matches!(f.kind, Kind::Result { .. })).count();
    assert_eq!((waiting + unheard, bench.driver.unheard.len()), (100, UNHEARD_MAX));
}

#[test]
fn a_request_is_heard_however_it_is_cut_and_with_noise_and_answers_around_it() {
    let frame = encode("PAY|1|3|41|1250|EUR|120");
    for cut in 0..=frame.len() {
        let mut bench = Bench::new();
        let mut out = bench.hear(&frame[..cut]);
        let rest = bench.hear(&frame[cut..]);
        out.events.extend(rest.events);
        assert_eq!(out.events.len(), 1, "cut at {cut}");
    }
    for at in 0..frame.len() {
        let mut bench = Bench::new();
        let mut broken = frame.clone();
        broken[at] ^= 0x04;
        assert_eq!(bench.hear(&broken), Out::default(), "wrong at {at}");
        assert_eq!(bench.hear(&frame).events.len(), 1, "after one wrong at {at}");
    }
    let mut bench = Bench::new();
    bench.step("paid 1");
    let noise = [0x00, 0xff, 0x15, 0x03];
    let out = bench.hear(&[&noise, &encode("TAKEN|1|3|1")[..], &noise, &frame, &encode("STATUS|2")].concat());
    assert_eq!(bodies(&out.bytes), ["ACK|1", "ACK|2"]);
    assert_eq!(out.events.iter().map(event_text).collect::<Vec<_>>(), ["taken 1", "pay 3/41 12.50 EUR 120s", "status"]);
    assert_eq!(bench.driver.counts(), Counts { junk_bytes: 8, ..Counts::default() });
}

#[test]
fn a_million_random_bytes_do_no_harm_and_a_good_request_still_works() {
    let mut bench = Bench::new();
    let mut x: u64 = 0x5eed;
    let alphabet = *b"\x02\x02\x03|||0123456789ABCDEFPAYTKNLS";
    for piece in 0..10_000_u64 {
        let bytes: Vec<u8> = (0..100)
            .map(|_| {
                x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let byte = (x >> 33) as u8;
                if piece % 2 == 0 { byte } else { alphabet[usize::from(byte) % alphabet.len()] }
            })
            .collect();
        bench.hear(&bytes);
        bench.now = bench.now.plus_ms(10);
    }
    let counts = bench.driver.counts();
    assert!(counts.bad_frames > 1_000 && counts.junk_bytes > 100_000, "{counts:?}");
    assert_eq!(bench.say("PAY|1|3|41|1250|EUR|120").events.len(), 1);
}

#[test]
fn every_outcome_fits_into_a_frame_on_the_widest_paper() {
    let mut bench = Bench::new();
    bench.driver.settings.columns = 40;
    bench.driver.settings.facts.shop_name = "The Shop With The Longest Name In The Whole Street".to_owned();
    let most = Amount::from_minor(Amount::MINOR_MAX, eur()).unwrap();
    let ticket = Some(Ticket { epoch: Some(u32::MAX), number: u32::MAX });
    let fullest =
        Finish { amount: most, given_back_minor: Amount::MINOR_MAX, failed_tries: u32::MAX, ticket, ..paid() };
    let out = bench.tell(&TillAnswer::Finish(Box::new(fullest)));
    assert!(out.bytes.len() <= FRAME_BYTES_MAX, "{}", out.bytes.len());
    assert_eq!(bodies(&out.bytes).len(), 1);
}
