//! The Concert driver against bytes, step by step in a time of its own.

use super::*;
use crate::shop::effect::{CancelledWhy, DeclinedWhy, Refusal};
use crate::shop::event::AskKind;
use crate::shop::id::AttemptId;
use crate::shop::money::{Amount, Currency};
use crate::shop::sale::Code;
use crate::till::concert_frames::{LONG_BYTES, SHORT_BYTES, framed};

const BODY: &str = "01000012501109781234567890A010B010";
const SALE: SaleId = SaleId(0x51 << 120);
const BYTE_US: u64 = 1_042;

/// A driver whose line is up, and what came out of it since it was asked last.
struct Play {
    concert: Concert,
    now: Mono,
    out: Out,
}

impl Play {
    fn new() -> Play {
        Play::of(Concert::new(till(1), ConcertOptions::default(), BYTE_US, &[]))
    }

    fn of(concert: Concert) -> Play {
        let mut play = Play { concert, now: Mono(1_000_000), out: Out::default() };
        play.line(true);
        assert_eq!(play.events(), [TillEvent::Online]);
        play
    }

    fn line(&mut self, up: bool) {
        self.concert.line(self.now, up, &mut self.out);
    }

    fn hears(&mut self, bytes: &[u8]) {
        self.concert.received(self.now, bytes, &mut self.out);
    }

    fn told(&mut self, answer: &TillAnswer) {
        self.concert.tell(self.now, answer, &mut self.out);
    }

    fn accepted(&mut self, sale: SaleId) {
        self.told(&TillAnswer::Accepted { sale, ticket: None, code: Code::parse("K7").unwrap() });
    }

    fn refused(&mut self) {
        self.told(&TillAnswer::Refused { ticket: None, why: Refusal::NoLine });
    }

    fn finished(&mut self, outcome: Outcome) {
        self.told(&TillAnswer::Finish(Box::new(finish(SALE, outcome))));
    }

    /// What was said since.
    fn said(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out.bytes)
    }

    fn events(&mut self) -> Vec<TillEvent> {
        std::mem::take(&mut self.out.events)
    }

    /// Nothing at all happens for so long, less one millisecond; then something is due.
    fn due_after(&mut self, ms: u64) {
        let due = self.now.plus_ms(ms);
        assert_eq!(self.concert.deadline(), Some(due));
        self.now = Mono(due.0 - 1);
        self.concert.passed(self.now, &mut self.out);
        assert_eq!((self.out.bytes.as_slice(), self.out.events.as_slice()), (&[][..], &[][..]), "too early");
        self.now = due;
        self.concert.passed(self.now, &mut self.out);
    }

    /// A whole exchange of the till.
    fn asks(&mut self, body: &str) {
        self.hears(&[ENQ]);
        self.hears(&framed(body.as_bytes()));
        assert_eq!(self.said(), [ACK, ACK]);
        self.hears(&[EOT]);
    }

    /// A request that the shop has taken on.
    fn begins(&mut self, body: &str) {
        self.asks(body);
        assert!(matches!(self.events().as_slice(), [TillEvent::Asked(_)]));
        self.accepted(SALE);
        assert!(self.said().is_empty());
    }

    /// The till takes the answer that we call with; the answer.
    fn takes(&mut self) -> Vec<u8> {
        assert_eq!(self.said(), [ENQ]);
        self.hears(&[ACK]);
        let answer = self.said();
        self.hears(&[ACK]);
        assert_eq!(self.said(), [EOT]);
        answer
    }
}

fn till(number: u16) -> TillNumber {
    TillNumber::new(number).unwrap()
}

fn eur(minor: u64) -> Amount {
    Amount::from_minor(minor, Currency::from_code("EUR").unwrap()).unwrap()
}

fn finish(sale: SaleId, outcome: Outcome) -> Finish {
    Finish {
        sale,
        ticket: None,
        code: Code::parse("K7").unwrap(),
        amount: eur(1_250),
        kind: AskKind::Pay,
        receipt: None,
        outcome,
        attempt: (outcome == Outcome::Approved).then_some(AttemptId(0xabc)),
        given_back_minor: 0,
        failed_tries: 0,
        at: None,
    }
}

fn ask(kind: AskKind, hears_result: bool) -> TillEvent {
    let amount = eur(1_250);
    TillEvent::Asked(Ask { ticket: None, amount, kind, of: None, patience_ms: PATIENCE_MS, hears_result })
}

/// The answer to [`BODY`] on the line.
fn answer(result: char) -> Vec<u8> {
    framed(format!("01{result}000012501{:55}9781234567890", "").as_bytes())
}

fn with(at: usize, text: &str) -> String {
    let mut body = BODY.to_owned();
    body.replace_range(at..at + text.len(), text);
    body
}

#[test]
fn a_sale_is_asked_for_paid_and_taken() {
    let mut play = Play::new();
    play.asks(BODY);
    assert_eq!(play.events(), [ask(AskKind::Pay, true)]);
    play.accepted(SALE);
    play.finished(Outcome::Approved);
    let answer_said = play.takes();
    assert_eq!((answer_said.len(), answer_said), (LONG_BYTES, answer('0')));
    assert_eq!(play.events(), [TillEvent::Taken { sale: SALE }]);
    assert_eq!((play.concert.deadline(), play.concert.counts()), (None, Counts::default()));
}

#[test]
fn what_ends_unpaid_is_refused_and_what_goes_back_is_done() {
    for (body, outcome, result) in [
        (BODY.to_owned(), Outcome::Lapsed, '7'),
        (BODY.to_owned(), Outcome::Cancelled(CancelledWhy::Clock), '7'),
        (BODY.to_owned(), Outcome::Declined(DeclinedWhy::Customer), '7'),
        (with(12, "1"), Outcome::Returned { pending: false }, '0'),
        (with(12, "2"), Outcome::Returned { pending: true }, '0'),
        (with(12, "1"), Outcome::Declined(DeclinedWhy::Customer), '7'),
    ] {
        let mut play = Play::new();
        play.begins(&body);
        play.finished(outcome);
        assert_eq!(play.takes(), answer(result), "{outcome:?}");
    }
    let mut play = Play::new();
    play.begins(BODY);
    play.told(&TillAnswer::Finish(Box::new(Finish { given_back_minor: 1_250, ..finish(SALE, Outcome::Approved) })));
    assert_eq!(play.takes(), answer('7'), "given back in full is not paid");
}

#[test]
fn a_reversal_says_how_much_went_back() {
    let mut play = Play::new();
    play.asks(&with(12, "2"));
    assert_eq!(play.events(), [ask(AskKind::Reverse, true)]);
    play.accepted(SALE);
    let back = Finish { amount: eur(750), ..finish(SALE, Outcome::Returned { pending: false }) };
    play.told(&TillAnswer::Finish(Box::new(back)));
    assert_eq!(&play.takes()[3..12], b"000000750");
}

#[test]
fn debit_credit_cancel_and_automatic_are_told_apart() {
    for (kind, meant) in [("0", AskKind::Pay), ("1", AskKind::Refund), ("2", AskKind::Reverse), ("4", AskKind::Pay)] {
        let mut play = Play::new();
        play.asks(&with(12, kind));
        assert_eq!(play.events(), [ask(meant, true)]);
    }
}

#[test]
fn what_the_shop_refuses_is_refused_to_the_till() {
    let mut play = Play::new();
    play.asks(&with(10, "0"));
    assert_eq!(play.events().len(), 1);
    play.refused();
    let short = play.takes();
    assert_eq!((short.len(), short), (SHORT_BYTES, framed(b"0170000125019781234567890")));
    assert_eq!(play.events(), [], "nothing hangs on a refusal");
}

#[test]
fn what_cannot_be_asked_is_refused_without_the_shop_and_said_in_the_log() {
    for (at, text, says) in [
        (0, "02", "calls itself \"02\" instead of \"01\""),
        (0, "??", "calls itself"),
        (11, "C", "card"),
        (11, "0", "card"),
        (12, "3", "card"),
        (13, "000", "currency"),
        (13, "EUR", "currency"),
        (2, "00000000", "0.00"),
    ] {
        let mut play = Play::new();
        play.asks(&with(at, text));
        assert_eq!(play.events(), [], "{text}");
        assert!(play.out.warnings.concat().contains(says), "{:?}", play.out.warnings);
        assert_eq!(play.concert.counts().bad_frames, 1);
        let answer = play.takes();
        assert_eq!((answer.len(), answer[3]), (LONG_BYTES, b'7'), "{text}");
        assert_eq!(&answer[1..3], &with(at, text).as_bytes()[..2]);
        assert_eq!(play.events(), []);
    }
}

#[test]
fn the_number_on_the_line_is_the_tills_last_two_digits_or_what_the_shop_says() {
    for (number, option, written) in [(7, None, "07"), (1_042, None, "42"), (7, Some(1), "01"), (100, None, "00")] {
        let mut play = Play::of(Concert::new(till(number), ConcertOptions { number: option }, BYTE_US, &[]));
        play.asks(&with(0, written));
        assert_eq!(play.events(), [ask(AskKind::Pay, true)]);
    }
}

#[test]
fn a_foreign_currency_is_for_the_shop_to_refuse() {
    let mut play = Play::new();
    play.asks(&with(13, "840"));
    let [TillEvent::Asked(ask)] = play.events()[..] else { panic!() };
    assert_eq!(ask.amount.to_string(), "12.50 USD");
}

#[test]
fn a_till_that_wants_an_answer_at_once_gets_it_and_nothing_more() {
    let mut play = Play::new();
    play.asks(&with(26, "A011"));
    assert_eq!(play.events(), [ask(AskKind::Pay, false)]);
    play.accepted(SALE);
    assert_eq!(play.takes(), answer('9'));
    play.finished(Outcome::Approved);
    assert_eq!((play.said(), play.events()), (vec![], vec![TillEvent::Unheard { sale: SALE }]));
    play.asks(&with(26, "A011"));
    assert_eq!(play.events(), [ask(AskKind::Pay, false)]);
    play.refused();
    assert_eq!(play.takes(), answer('7'));
}

#[test]
fn a_slow_shop_does_not_keep_such_a_till_waiting() {
    const { assert!(AT_ONCE_MS < 3_000) };
    let mut play = Play::new();
    play.asks(&with(26, "A011"));
    play.events();
    play.due_after(AT_ONCE_MS);
    assert_eq!(play.takes(), answer('9'));
    // Until the shop has spoken its answer could be taken for that to another request.
    play.hears(&[ENQ]);
    assert_eq!(play.said(), [NAK]);
    play.refused();
    assert_eq!((play.said(), play.out.warnings.len()), (vec![], 1));
    play.asks(BODY);
    assert_eq!(play.events(), [ask(AskKind::Pay, true)]);
}

#[test]
fn a_busy_box_answers_calls_with_no_until_the_till_has_its_answer() {
    let mut play = Play::new();
    play.asks(BODY);
    play.events();
    let calls = |play: &mut Play| {
        play.hears(&[ENQ]);
        assert_eq!(play.said(), [NAK]);
        // What a till says all the same is nothing.
        play.hears(&framed(BODY.as_bytes()));
        play.hears(&[EOT]);
        assert_eq!((play.said(), play.events()), (vec![], vec![]));
    };
    calls(&mut play);
    play.accepted(SALE);
    calls(&mut play);
    play.finished(Outcome::Approved);
    play.takes();
    play.events();
    play.begins(BODY);
}

#[test]
fn a_till_that_has_stopped_waiting_may_ask_again() {
    let mut play = Play::new();
    play.begins(BODY);
    play.due_after(TILL_WAIT_MS);
    assert_eq!((play.said(), play.events(), play.concert.deadline()), (vec![], vec![], None));
    play.asks(BODY);
    assert_eq!(play.events(), [ask(AskKind::Pay, true)]);
}

#[test]
fn a_message_that_does_not_check_is_asked_for_again() {
    let mut play = Play::new();
    play.hears(&[ENQ]);
    let good = framed(BODY.as_bytes());
    for at in 1..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x40;
        if at % 3 == 0 {
            play.hears(&[ENQ]);
        }
        play.said();
        play.hears(&bad);
        assert_eq!(play.said(), [NAK], "byte {at}");
    }
    play.hears(&good);
    assert_eq!(play.said(), [ACK]);
    play.hears(&[EOT]);
    assert_eq!(play.events(), [ask(AskKind::Pay, true)]);
}

#[test]
fn after_so_many_bad_messages_the_till_has_to_call_anew() {
    let mut play = Play::new();
    play.hears(&[ENQ]);
    play.said();
    for _ in 0..REQUEST_TRIES {
        play.hears(&framed(&[b'x'; REQUEST_CHARS]));
        assert_eq!(play.said(), [NAK]);
    }
    play.hears(&framed(BODY.as_bytes()));
    assert!(play.said().is_empty());
    assert_eq!(play.concert.deadline(), None);
    play.begins(BODY);
}

#[test]
fn the_check_may_be_any_control_character() {
    let mut seen = Vec::new();
    for n in 0..100_u8 {
        let body = with(16, &format!("{n:02}"));
        let message = framed(body.as_bytes());
        if matches!(message[36], STX | 3 | EOT | ENQ | ACK | NAK) {
            seen.push(message[36]);
            let mut play = Play::new();
            play.begins(&body);
            play.finished(Outcome::Approved);
            let answer = play.takes();
            assert_eq!(&answer[71..81], &body.as_bytes()[16..26]);
        }
    }
    seen.sort_unstable();
    seen.dedup();
    assert!(seen.len() >= 4, "{seen:?}");
}

#[test]
fn a_message_that_nobody_called_for_is_passed_over_whatever_its_check_is() {
    for check in [ENQ, ACK, EOT, NAK] {
        let pairs = (b' '..=b'~').flat_map(|a| [' ', '@'].map(|b| format!("{}{b}", char::from(a))));
        let bodies = pairs.map(|pair| with(16, &pair));
        let message = bodies.map(|body| framed(body.as_bytes())).find(|message| message[36] == check);
        let message = message.unwrap();
        let mut play = Play::new();
        play.hears(&message);
        assert!(play.said().is_empty(), "idle");
        play.begins(BODY);
        play.hears(&message);
        assert!(play.said().is_empty(), "busy");
        play.finished(Outcome::Approved);
        assert_eq!(play.said(), [ENQ]);
        play.hears(&message);
        assert!(play.said().is_empty(), "called");
        play.hears(&[ACK]);
        assert_eq!(play.said(), answer('0'));
        play.hears(&message);
        assert_eq!((play.said(), play.events()), (vec![], vec![]), "answered");
        // A mere byte of noise costs no more than half a second.
        play.hears(&[STX]);
        play.now = play.now.plus_ms(GAP_MS);
        play.hears(&[ACK]);
        assert_eq!((play.said(), play.events()), (vec![EOT], vec![TillEvent::Taken { sale: SALE }]));
    }
}

#[test]
fn a_request_comes_whole_however_it_is_cut() {
    let whole = [&[ENQ], framed(BODY.as_bytes()).as_slice(), &[EOT]].concat();
    for cut in 0..=whole.len() {
        let mut play = Play::new();
        play.hears(&whole[..cut]);
        play.hears(&whole[cut..]);
        assert_eq!((play.said(), play.events()), (vec![ACK, ACK], vec![ask(AskKind::Pay, true)]), "{cut}");
    }
    let mut play = Play::new();
    whole.iter().for_each(|byte| play.hears(&[*byte]));
    assert_eq!((play.said(), play.events()), (vec![ACK, ACK], vec![ask(AskKind::Pay, true)]));
}

#[test]
fn an_acknowledgement_and_the_next_call_in_one_read_are_both_heard() {
    let mut play = Play::new();
    play.begins(BODY);
    play.finished(Outcome::Approved);
    play.hears(&[ACK]);
    play.said();
    play.hears(&[&[ACK, ENQ], framed(BODY.as_bytes()).as_slice(), &[EOT]].concat());
    assert_eq!(play.said(), [EOT, ACK, ACK]);
    assert_eq!(play.events(), [TillEvent::Taken { sale: SALE }, ask(AskKind::Pay, true)]);
}

#[test]
fn a_second_acknowledgement_in_the_read_of_the_first_does_not_take_the_answer() {
    let mut play = Play::new();
    play.begins(BODY);
    play.finished(Outcome::Approved);
    play.said();
    play.hears(&[ACK, ACK]);
    assert_eq!((play.said(), play.events()), (answer('0'), vec![]));
    play.hears(&[ACK]);
    assert_eq!((play.said(), play.events()), (vec![EOT], vec![TillEvent::Taken { sale: SALE }]));
}

#[test]
fn noise_between_messages_is_counted_and_answered_with_nothing() {
    let mut play = Play::new();
    let noise = [0x00, 0x7f, 0xff, b'x', EOT, ACK, NAK, 3];
    play.hears(&noise);
    play.hears(&[ENQ]);
    play.hears(&[0, b'x', 0xfe]);
    play.hears(&framed(BODY.as_bytes()));
    play.hears(&[0, b'x', ACK]);
    assert_eq!(play.said(), [ACK, ACK]);
    play.hears(&[EOT]);
    assert_eq!(play.events(), [ask(AskKind::Pay, true)]);
    play.hears(&noise);
    play.accepted(SALE);
    play.finished(Outcome::Approved);
    play.hears(&[0, b'x']);
    assert_eq!(play.said(), [ENQ]);
    play.hears(&[ACK]);
    assert_eq!(play.said(), answer('0'));
    play.hears(&[0, b'x', EOT]);
    play.hears(&[ACK]);
    assert_eq!((play.said(), play.events()), (vec![EOT], vec![TillEvent::Taken { sale: SALE }]));
    assert_eq!(play.concert.counts().junk_bytes, 8 + 3 + 3 + 8 + 2 + 3);
}

#[test]
fn a_till_that_calls_and_says_nothing_is_forgotten() {
    let mut play = Play::new();
    play.hears(&[ENQ]);
    assert_eq!(play.said(), [ACK]);
    play.due_after(REQUEST_WAIT_MS);
    assert_eq!((play.said(), play.concert.deadline()), (vec![], None));
    // A till that only asks whether somebody is there closes at once.
    play.hears(&[ENQ, EOT]);
    assert_eq!((play.said(), play.events(), play.concert.deadline()), (vec![ACK], vec![], None));
}

#[test]
fn a_till_that_did_not_hear_our_word_calls_again() {
    let mut play = Play::new();
    play.hears(&[ENQ]);
    play.now = play.now.plus_ms(1_000);
    play.hears(&[ENQ]);
    assert_eq!(play.said(), [ACK, ACK]);
    play.due_after(REQUEST_WAIT_MS);
    assert_eq!(play.concert.deadline(), None);
}

#[test]
fn a_message_that_stops_in_the_middle_is_asked_for_again_before_the_till_gives_up() {
    const { assert!(GAP_MS < 1_000) };
    let good = framed(BODY.as_bytes());
    for cut in 1..good.len() {
        let mut play = Play::new();
        play.hears(&[ENQ]);
        play.said();
        play.hears(&good[..cut]);
        play.due_after(GAP_MS);
        assert_eq!((play.said(), play.concert.counts().bad_frames), (vec![NAK], 1), "{cut}");
        play.hears(&good);
        play.hears(&[EOT]);
        assert_eq!((play.said(), play.events()), (vec![ACK], vec![ask(AskKind::Pay, true)]));
    }
}

#[test]
fn a_message_that_drips_has_an_end() {
    let mut play = Play::new();
    play.hears(&[ENQ, STX]);
    let began = play.now;
    play.said();
    while play.said().is_empty() {
        play.now = play.concert.deadline().unwrap().min(play.now.plus_ms(GAP_MS - 1));
        play.concert.passed(play.now, &mut play.out);
        if play.out.bytes.is_empty() {
            play.hears(b"0");
        }
    }
    assert_eq!(began.ms_until(play.now), REQUEST_WAIT_MS);
}

#[test]
fn a_message_acknowledged_in_vain_is_repeated_and_is_one_request() {
    let mut play = Play::new();
    play.hears(&[ENQ]);
    for _ in 0..3 {
        play.hears(&framed(BODY.as_bytes()));
        play.now = play.now.plus_ms(3_000);
        play.concert.passed(play.now, &mut play.out);
    }
    // The till begins anew.
    play.hears(&[ENQ]);
    play.hears(&framed(BODY.as_bytes()));
    assert_eq!(play.said(), [ACK; 6][..]);
    play.hears(&[EOT]);
    assert_eq!(play.events(), [ask(AskKind::Pay, true)]);
}

#[test]
fn a_till_that_does_not_close_waits_for_its_answer_all_the_same() {
    const { assert!(EOT_WAIT_MS > 3_000) };
    let mut play = Play::new();
    play.hears(&[ENQ]);
    play.hears(&framed(BODY.as_bytes()));
    play.said();
    play.due_after(EOT_WAIT_MS);
    assert_eq!(play.events(), [ask(AskKind::Pay, true)]);
    play.accepted(SALE);
    play.finished(Outcome::Approved);
    assert_eq!(play.takes(), answer('0'));
}

#[test]
fn the_same_request_after_one_that_was_never_closed_is_the_same_sale() {
    let mut play = Play::new();
    play.hears(&[ENQ]);
    play.hears(&framed(BODY.as_bytes()));
    play.said();
    play.due_after(EOT_WAIT_MS);
    assert_eq!(play.events(), [ask(AskKind::Pay, true)]);
    play.accepted(SALE);
    // Another one meanwhile is not.
    play.hears(&[ENQ]);
    play.hears(&framed(with(2, "00000999").as_bytes()));
    assert_eq!(play.said(), [ACK, NAK]);
    play.hears(&[EOT]);
    play.asks(BODY);
    assert_eq!((play.events(), play.concert.counts().repeats_heard), (vec![], 1));
    // Now the till knows of it: it is busy like any other.
    play.hears(&[ENQ]);
    assert_eq!(play.said(), [NAK]);
    play.finished(Outcome::Approved);
    assert_eq!(play.takes(), answer('0'));
}

#[test]
fn a_till_that_does_not_answer_is_called_three_times_a_second_apart() {
    let mut play = Play::new();
    play.begins(BODY);
    play.finished(Outcome::Approved);
    assert_eq!(play.said(), [ENQ]);
    for _ in 1..CALLS {
        play.due_after(CALL_EVERY_MS);
        assert_eq!((play.said(), play.events()), (vec![ENQ], vec![]));
    }
    play.due_after(CALL_EVERY_MS);
    assert_eq!((play.said(), play.events()), (vec![], vec![TillEvent::Unheard { sale: SALE }]));
    assert_eq!((play.concert.deadline(), play.concert.counts().repeats_sent), (None, 2));
    // What comes now is late.
    play.hears(&[ACK]);
    assert_eq!((play.said(), play.events()), (vec![], vec![]));
}

#[test]
fn an_answer_without_a_word_from_the_till_is_not_taken() {
    let mut play = Play::new();
    play.begins(BODY);
    play.finished(Outcome::Approved);
    let line_ms = (83 * BYTE_US).div_ceil(1_000);
    for _ in 0..CALLS {
        assert_eq!(play.said(), [ENQ]);
        play.hears(&[ACK]);
        assert_eq!(play.said(), answer('0'));
        play.due_after(ANSWER_WAIT_MS + line_ms);
    }
    assert_eq!((play.said(), play.events()), (vec![], vec![TillEvent::Unheard { sale: SALE }]));
}

#[test]
fn a_till_that_is_busy_is_called_again() {
    let mut play = Play::new();
    play.begins(BODY);
    play.finished(Outcome::Approved);
    assert_eq!(play.said(), [ENQ]);
    play.hears(&[NAK]);
    play.due_after(CALL_EVERY_MS);
    assert_eq!(play.takes(), answer('0'));
}

#[test]
fn a_till_whose_message_was_refused_for_the_last_time_is_not_called_on_its_heels() {
    let mut play = Play::new();
    // It never closes, so that it may not know that we took its request, and calls again.
    play.hears(&[&[ENQ][..], &framed(BODY.as_bytes())].concat());
    assert_eq!(play.said(), [ACK, ACK]);
    play.due_after(EOT_WAIT_MS);
    assert!(matches!(play.events().as_slice(), [TillEvent::Asked(_)]));
    play.accepted(SALE);
    play.hears(&[ENQ]);
    assert_eq!(play.said(), [ACK]);
    play.finished(Outcome::Approved);
    for _ in 0..REQUEST_TRIES {
        assert!(play.said().is_empty());
        play.hears(&[STX, b'x']);
        play.due_after(GAP_MS);
        assert_eq!(play.said(), [NAK]);
    }
    play.due_after(CALL_EVERY_MS);
    assert_eq!(play.said(), [ENQ]);
}

#[test]
fn an_answer_that_is_not_understood_is_said_again_three_times_at_most() {
    for times in 0..=ANSWER_REPEATS + 1 {
        let mut play = Play::new();
        play.begins(BODY);
        play.finished(Outcome::Approved);
        play.said();
        play.hears(&[ACK]);
        for _ in 0..times.min(ANSWER_REPEATS) {
            assert_eq!(play.said(), answer('0'));
            play.hears(&[NAK]);
        }
        assert_eq!(play.said(), answer('0'));
        if times <= ANSWER_REPEATS {
            play.hears(&[ACK]);
            assert_eq!((play.said(), play.events()), (vec![EOT], vec![TillEvent::Taken { sale: SALE }]));
        } else {
            play.hears(&[NAK]);
            assert_eq!((play.said(), play.events()), (vec![EOT], vec![TillEvent::Unheard { sale: SALE }]));
        }
        assert_eq!(play.concert.deadline(), None);
    }
}

#[test]
fn when_both_call_at_once_the_till_goes_first() {
    let mut play = Play::new();
    play.begins(BODY);
    play.finished(Outcome::Approved);
    assert_eq!(play.said(), [ENQ]);
    play.hears(&[ENQ]);
    assert_eq!(play.said(), [ACK]);
    // It wanted to know whether somebody is there.
    play.now = play.now.plus_ms(300);
    play.hears(&[EOT]);
    play.due_after(CALL_EVERY_MS - 300);
    assert_eq!(play.takes(), answer('0'));
    assert_eq!(play.events(), [TillEvent::Taken { sale: SALE }]);
}

#[test]
fn a_till_that_keeps_calling_does_not_hold_a_result_up_for_ever() {
    let mut play = Play::new();
    play.begins(BODY);
    play.finished(Outcome::Approved);
    let mut calls = 0;
    for _ in 0..20 {
        calls += play.said().iter().filter(|b| **b == ENQ).count();
        play.hears(&[ENQ, EOT]);
        play.now = play.now.plus_ms(400);
        play.concert.passed(play.now, &mut play.out);
    }
    assert_eq!((calls, play.events()), (3, vec![TillEvent::Unheard { sale: SALE }]));
}

#[test]
fn a_new_request_before_the_last_result_is_taken_makes_that_unheard_and_never_its_answer() {
    for busy_with in 0..3 {
        let mut play = Play::new();
        play.begins(BODY);
        play.finished(Outcome::Approved);
        match busy_with {
            0 => {}
            1 => play.hears(&[ACK]),
            _ => play.due_after_calls(),
        }
        play.said();
        let other = with(2, "00000999");
        play.asks(&other);
        let events = play.events();
        assert_eq!(events[0], TillEvent::Unheard { sale: SALE });
        assert!(matches!(events[1], TillEvent::Asked(ask) if ask.amount == eur(999)));
        // The shop says the old result once more, as it does when the line comes up.
        play.finished(Outcome::Approved);
        assert_eq!((play.said(), play.events()), (vec![], vec![TillEvent::Unheard { sale: SALE }]));
        play.accepted(SaleId(2));
        play.finished(Outcome::Approved);
        assert_eq!((play.said(), play.events()), (vec![], vec![TillEvent::Unheard { sale: SALE }]));
        let own = Finish { amount: eur(999), ..finish(SaleId(2), Outcome::Lapsed) };
        play.told(&TillAnswer::Finish(Box::new(own)));
        assert_eq!(&play.takes()[3..12], b"700000999");
    }
}

impl Play {
    fn due_after_calls(&mut self) {
        self.now = self.now.plus_ms(CALL_EVERY_MS);
        self.concert.passed(self.now, &mut self.out);
    }
}

#[test]
fn a_result_waits_until_the_tills_own_exchange_is_over() {
    let mut play = Play::new();
    play.begins(BODY);
    play.due_after(TILL_WAIT_MS);
    play.hears(&[ENQ]);
    assert_eq!(play.said(), [ACK]);
    play.finished(Outcome::Approved);
    assert!(play.said().is_empty());
    play.due_after(REQUEST_WAIT_MS);
    assert_eq!(play.takes(), answer('0'));
}

#[test]
fn a_result_unheard_because_the_line_was_down_is_told_when_the_shop_says_it_again() {
    let mut play = Play::new();
    play.begins(BODY);
    play.line(false);
    play.finished(Outcome::Approved);
    for _ in 0..CALLS {
        play.due_after_calls();
    }
    assert_eq!(play.events(), [TillEvent::Offline, TillEvent::Unheard { sale: SALE }]);
    play.line(true);
    assert_eq!((play.said(), play.events()), (vec![], vec![TillEvent::Online]));
    play.finished(Outcome::Approved);
    assert_eq!(play.takes(), answer('0'));
    assert_eq!(play.events(), [TillEvent::Taken { sale: SALE }]);
}

/// A till keeps what it has not read: each call in vain would be taken for the answer to a call of its own.
#[test]
fn a_till_that_was_called_in_vain_is_not_called_again_until_it_asks() {
    let mut play = Play::new();
    play.begins(BODY);
    play.finished(Outcome::Approved);
    for _ in 0..CALLS {
        play.due_after_calls();
    }
    assert_eq!((play.events(), play.concert.memory()), (vec![TillEvent::Unheard { sale: SALE }], &[][..]));
    play.said();
    play.line(false);
    play.line(true);
    play.finished(Outcome::Approved);
    assert!(play.said().is_empty());
    assert_eq!(play.events(), [TillEvent::Offline, TillEvent::Online, TillEvent::Unheard { sale: SALE }]);
    play.begins(BODY);
    play.finished(Outcome::Approved);
    assert_eq!(play.takes(), answer('0'));
    assert_eq!(play.concert.memory(), b"");
}

/// Seen on a line that lost bytes: the cable was pulled before the till had closed its new request, and it took the old
/// result for the new one's.
#[test]
fn a_request_acknowledged_and_not_closed_makes_the_last_result_unheard_too() {
    let mut play = Play::new();
    play.begins(BODY);
    play.finished(Outcome::Approved);
    assert_eq!(play.said(), [ENQ]);
    play.hears(&[ENQ]);
    play.hears(&framed(BODY.as_bytes()));
    assert_eq!((play.said(), play.events()), (vec![ACK, ACK], vec![TillEvent::Unheard { sale: SALE }]));
    assert_eq!(play.concert.memory(), b"");
    play.line(false);
    play.line(true);
    play.finished(Outcome::Approved);
    let events = [TillEvent::Offline, TillEvent::Online, TillEvent::Unheard { sale: SALE }];
    assert_eq!((play.said(), play.events()), (vec![], events.to_vec()));
    // The request counts: the till has our word.
    play.due_after(EOT_WAIT_MS);
    assert_eq!(play.events(), [ask(AskKind::Pay, true)]);
}

#[test]
fn a_sale_that_ends_while_the_till_asks_the_same_again_is_told() {
    let mut play = Play::new();
    play.hears(&[ENQ]);
    play.hears(&framed(BODY.as_bytes()));
    assert_eq!(play.said(), [ACK; 2]);
    play.due_after(EOT_WAIT_MS);
    assert_eq!(play.events(), [ask(AskKind::Pay, true)]);
    play.accepted(SALE);
    play.hears(&[ENQ]);
    play.hears(&framed(BODY.as_bytes()));
    play.finished(Outcome::Approved);
    assert_eq!(play.said(), [ACK; 2]);
    play.hears(&[EOT]);
    assert_eq!(play.takes(), answer('0'));
    assert_eq!(play.events(), [TillEvent::Taken { sale: SALE }]);
}

#[test]
fn a_sale_survives_a_pulled_cable_and_is_told_when_the_line_is_back() {
    let mut play = Play::new();
    play.begins(BODY);
    play.line(false);
    play.finished(Outcome::Approved);
    assert!(play.said().is_empty());
    play.now = play.now.plus_ms(CALL_EVERY_MS);
    play.concert.passed(play.now, &mut play.out);
    play.line(true);
    assert_eq!(play.takes(), answer('0'));
    assert_eq!(play.events(), [TillEvent::Offline, TillEvent::Online, TillEvent::Taken { sale: SALE }]);
    // A message cut by it is dropped.
    play.hears(&[ENQ, STX, b'0']);
    play.line(false);
    play.line(true);
    assert_eq!((play.concert.deadline(), play.concert.counts().bad_frames), (None, 1));
    play.said();
    play.events();
    play.begins(BODY);
}

#[test]
fn a_line_that_stays_down_leaves_the_result_unheard() {
    let mut play = Play::new();
    play.begins(BODY);
    play.line(false);
    play.finished(Outcome::Approved);
    for _ in 0..CALLS {
        play.due_after_calls();
    }
    assert_eq!(play.events(), [TillEvent::Offline, TillEvent::Unheard { sale: SALE }]);
    assert!(play.said().is_empty());
}

#[test]
fn a_driver_with_the_memory_of_the_last_one_answers_its_request_in_the_same_shape() {
    let mut play = Play::new();
    let body = with(10, "0");
    play.asks(&body);
    assert_eq!(play.concert.memory(), b"");
    play.accepted(SALE);
    let memory = play.concert.memory().to_vec();
    let mut play = Play::of(Concert::new(till(1), ConcertOptions::default(), BYTE_US, &memory));
    play.told(&TillAnswer::Finish(Box::new(finish(SaleId(7), Outcome::Approved))));
    assert_eq!((play.said(), play.events()), (vec![], vec![TillEvent::Unheard { sale: SaleId(7) }]));
    play.finished(Outcome::Approved);
    assert_eq!(play.takes(), framed(b"0100000125019781234567890"));
    // A new request takes the memory's place before the shop hears of it.
    play.asks(&body);
    assert_eq!(play.concert.memory(), b"");
}

#[test]
fn a_memory_that_makes_no_sense_is_none() {
    let good = [BODY.as_bytes(), SALE.to_string().as_bytes()].concat();
    let odd: [&[u8]; 5] = [b"", b"x", &good[..65], &[&good[..], b"0"].concat(), &[0xff; 66]];
    for memory in odd {
        let mut play = Play::of(Concert::new(till(1), ConcertOptions::default(), BYTE_US, memory));
        play.finished(Outcome::Approved);
        assert_eq!((play.said(), play.events()), (vec![], vec![TillEvent::Unheard { sale: SALE }]));
    }
}

#[test]
fn a_result_told_twice_goes_out_once_and_a_newer_one_is_not_taken_with_the_older() {
    let mut play = Play::new();
    play.begins(BODY);
    play.finished(Outcome::Approved);
    play.finished(Outcome::Approved);
    assert_eq!(play.said(), [ENQ]);
    play.hears(&[ACK]);
    assert_eq!(play.said(), answer('0'));
    play.told(&TillAnswer::Finish(Box::new(Finish { given_back_minor: 1_250, ..finish(SALE, Outcome::Approved) })));
    play.hears(&[ACK]);
    assert_eq!((play.said(), play.events()), (vec![EOT], vec![TillEvent::Unheard { sale: SALE }]));
}

#[test]
fn what_an_installer_should_mend_is_said() {
    let mut play = Play::new();
    // A till on 7E1, heard as 8N1: every character with an odd number of ones has its eighth bit set.
    let even = |b: u8| if b.count_ones() % 2 == 1 { b | 0x80 } else { b };
    play.hears(&[even(ENQ)]);
    play.hears(&framed(BODY.as_bytes()).into_iter().map(even).collect::<Vec<_>>());
    assert_eq!((play.said(), play.out.warnings.len()), (vec![ACK], 1));
    assert!(play.out.warnings[0].contains("7E1"), "{:?}", play.out.warnings);
    let mut play = Play::new();
    play.hears(&[ENQ]);
    play.hears(&framed(&BODY.as_bytes()[..OLD_REQUEST_CHARS]));
    assert_eq!(play.said(), [ACK]);
    play.due_after(GAP_MS);
    assert_eq!(play.out.warnings, ["the till speaks Concert E: set it to E+"]);
}

#[test]
fn the_deadline_of_a_sale_leaves_time_to_tell_the_till() {
    let tells_ms = u64::from(CALLS) * CALL_EVERY_MS;
    assert!(PATIENCE_MS + EOT_WAIT_MS + tells_ms < TILL_WAIT_MS);
    let can = Play::new().concert.capabilities();
    assert_eq!((can.longest_wait_ms, can.shows_progress, can.aborts, can.refunds), (110_000, false, false, true));
}
