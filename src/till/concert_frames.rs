//! Messages of Concert E+ as bytes: a till's request and the answer to it. Knows nothing of when they are said.

use crate::shop::event::AskKind;
use crate::shop::money::{Amount, Currency};

/// Begins a message.
pub const STX: u8 = 0x02;
/// Ends a message's body; one byte of check follows.
pub const ETX: u8 = 0x03;
/// Ends an exchange.
pub const EOT: u8 = 0x04;
/// Asks the other side to listen.
pub const ENQ: u8 = 0x05;
/// Yes.
pub const ACK: u8 = 0x06;
/// No, or not now.
pub const NAK: u8 = 0x15;

/// Characters of a request.
pub const REQUEST_CHARS: usize = 34;
/// Characters of a request of the older protocol E, which we do not speak.
pub const OLD_REQUEST_CHARS: usize = 26;
/// Characters of the report in a long answer. No card is read here: they are spaces.
pub const REPORT_CHARS: usize = 55;
/// Bytes of a long answer on the line, from STX to the check.
pub const LONG_BYTES: usize = 83;
/// Bytes of a short answer on the line, from STX to the check.
pub const SHORT_BYTES: usize = 28;
/// The largest amount that eight digits hold, in minor units.
pub const MINOR_MAX: u64 = 99_999_999;

/// How a request is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Done: paid, or given back.
    Done,
    /// Not done.
    Refused,
    /// Not known yet.
    NotYet,
}

impl Verdict {
    fn digit(self) -> u8 {
        match self {
            Verdict::Done => b'0',
            Verdict::Refused => b'7',
            Verdict::NotYet => b'9',
        }
    }
}

/// The check: exclusive-or of the body and ETX. May be any byte, control characters included.
pub fn lrc(body_and_etx: &[u8]) -> u8 {
    body_and_etx.iter().fold(0, |sum, byte| sum ^ byte)
}

/// The message around a body.
pub fn framed(body: &[u8]) -> Vec<u8> {
    let mut message = vec![STX];
    message.extend_from_slice(body);
    message.push(ETX);
    message.push(lrc(message.get(1..).unwrap_or_default()));
    message
}

/// The body inside a message: STX, printable ASCII, ETX, check. `None` if it is not whole or does not check.
pub fn unframed(message: &[u8]) -> Option<&str> {
    let (check, checked) = message.strip_prefix(&[STX])?.split_last()?;
    let body = checked.strip_suffix(&[ETX])?;
    let printable = body.iter().all(|b| matches!(b, b' '..=b'~'));
    (lrc(checked) == *check && printable).then(|| std::str::from_utf8(body).ok())?
}

/// A till's request. Its amount is digits and its way of answering known; the rest is what the till wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request([u8; REQUEST_CHARS]);

impl Request {
    /// A request as a till writes one. `minor` at most [`MINOR_MAX`], else nothing.
    pub fn write(number: u8, minor: u64, long: bool, kind: AskKind, currency: Currency, at_once: bool) -> Option<Self> {
        let kind = match kind {
            AskKind::Pay => '0',
            AskKind::Refund => '1',
            AskKind::Reverse => '2',
        };
        let (long, delay) = (u8::from(long), if at_once { "A011" } else { "A010" });
        let number = number % 100;
        Request::read(&format!("{number:02}{minor:08}{long}1{kind}{:03}{:10}{delay}B010", currency.number(), ""))
    }

    /// The body of a message, if it is a request.
    pub fn read(body: &str) -> Option<Request> {
        let request = Request(body.as_bytes().try_into().ok()?);
        let digits = request.part(2, 8).bytes().all(|b| b.is_ascii_digit());
        (body.is_ascii() && digits && matches!(request.part(26, 4), "A010" | "A011")).then_some(request)
    }

    /// All of it.
    pub fn body(&self) -> &str {
        self.part(0, REQUEST_CHARS)
    }

    /// The till's number, as written: two characters.
    pub fn number(&self) -> &str {
        self.part(0, 2)
    }

    /// The amount in minor units.
    pub fn minor(&self) -> u64 {
        self.part(2, 8).parse().unwrap_or(0)
    }

    /// Whether the answer is to hold a report. Only `1` says so.
    pub fn wants_report(&self) -> bool {
        self.part(10, 1) == "1"
    }

    /// Whether it is to be paid by card: neither by cheque nor as the customer likes.
    pub fn by_card(&self) -> bool {
        self.part(11, 1) == "1"
    }

    /// What the till wants; automatic means a payment.
    pub fn kind(&self) -> Option<AskKind> {
        match self.part(12, 1) {
            "0" | "4" => Some(AskKind::Pay),
            "1" => Some(AskKind::Refund),
            "2" => Some(AskKind::Reverse),
            _ => None,
        }
    }

    /// The currency's number, as written: three characters.
    pub fn currency_number(&self) -> &str {
        self.part(13, 3)
    }

    /// The currency, if there is one of that number.
    pub fn currency(&self) -> Option<Currency> {
        let digits = self.currency_number().bytes().all(|b| b.is_ascii_digit());
        self.currency_number().parse().ok().filter(|_| digits).and_then(Currency::from_number)
    }

    /// The amount, if its currency is known.
    pub fn amount(&self) -> Option<Amount> {
        Amount::from_minor(self.minor(), self.currency()?).ok()
    }

    /// Whether the till wants to be answered before anybody has paid.
    pub fn at_once(&self) -> bool {
        self.part(26, 4) == "A011"
    }

    /// The answer on the line: [`LONG_BYTES`] or [`SHORT_BYTES`]. An amount that eight digits do not hold is left as asked.
    pub fn answer(&self, verdict: Verdict, minor: u64) -> Vec<u8> {
        let minor = if minor > MINOR_MAX { self.minor() } else { minor };
        let mut body = Vec::with_capacity(LONG_BYTES);
        body.extend_from_slice(self.number().as_bytes());
        body.push(verdict.digit());
        body.extend_from_slice(format!("{minor:08}").as_bytes());
        body.extend_from_slice(self.part(11, 1).as_bytes());
        if self.wants_report() {
            body.extend_from_slice(&[b' '; REPORT_CHARS]);
        }
        body.extend_from_slice(self.part(13, 13).as_bytes());
        framed(&body)
    }

    fn part(&self, from: usize, chars: usize) -> &str {
        let bytes = self.0.get(from..from.saturating_add(chars)).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }
}

/// An answer as a till reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What it says.
    pub verdict: Verdict,
    /// The amount in minor units.
    pub minor: u64,
    /// The report without the spaces around it, if it is a long answer.
    pub report: Option<String>,
}

impl Answer {
    /// The answer to `request` in these bytes, from STX to the check; else what is wrong with them, for people.
    pub fn read(message: &[u8], request: &Request) -> Result<Answer, String> {
        let wanted = if request.wants_report() { LONG_BYTES } else { SHORT_BYTES };
        if message.len() != wanted {
            return Err(format!("the answer has {} bytes instead of {wanted}", message.len()));
        }
        let body = unframed(message).ok_or("the answer's check (LRC) is wrong: look at parity and cable")?;
        let part = |from: usize, chars: usize| body.get(from..from.saturating_add(chars)).unwrap_or_default();
        let after = if request.wants_report() { REPORT_CHARS.saturating_add(12) } else { 12 };
        if part(0, 2) != request.number() || part(after, 13) != request.part(13, 13) {
            return Err("the answer is to another request: till number, currency or private field differ".to_owned());
        }
        let verdict = match part(2, 1) {
            "0" => Verdict::Done,
            "7" => Verdict::Refused,
            "9" => Verdict::NotYet,
            other => return Err(format!("the answer's result is {other:?} instead of 0, 7 or 9")),
        };
        let minor = part(3, 8).parse().map_err(|_| format!("the answer's amount is {:?}", part(3, 8)))?;
        let report = request.wants_report().then(|| part(12, REPORT_CHARS).trim().to_owned());
        Ok(Answer { verdict, minor, report })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = "01000012501109781234567890A010B010";

    fn read(body: &str) -> Request {
        Request::read(body).unwrap()
    }

    #[test]
    fn the_published_example_reads_and_writes_to_the_byte() {
        let bytes = b"\x020100001250110978          A010B010\x03\x01";
        let request = read(unframed(bytes).unwrap());
        assert_eq!((request.number(), request.minor(), request.kind()), ("01", 1_250, Some(AskKind::Pay)));
        assert_eq!(request.amount().unwrap().to_string(), "12.50 EUR");
        assert!(request.wants_report() && request.by_card() && !request.at_once());
        assert_eq!(framed(request.body().as_bytes()), bytes);
        let eur = Currency::from_code("EUR").unwrap();
        assert_eq!(Request::write(1, 1_250, true, AskKind::Pay, eur, false), Some(request));
    }

    #[test]
    fn answers_have_their_exact_sizes_and_repeat_what_the_till_wrote() {
        let long = read(BODY).answer(Verdict::Done, 1_250);
        let text = format!("\x02010000012501{:55}9781234567890\x03", "");
        assert_eq!((long.len(), &long[..82]), (LONG_BYTES, text.as_bytes()));
        assert_eq!(long[82], lrc(&long[1..82]));
        let short = read(&short_of(BODY)).answer(Verdict::Refused, 1_250);
        assert_eq!((short.len(), &short[..27]), (SHORT_BYTES, &b"\x020170000125019781234567890\x03"[..]));
        let not_yet = read(&short_of(BODY)).answer(Verdict::NotYet, MINOR_MAX + 1);
        assert_eq!(&not_yet[..12], b"\x0201900001250");
    }

    fn short_of(body: &str) -> String {
        format!("{}0{}", &body[..10], &body[11..])
    }

    #[test]
    fn a_body_that_is_no_request_is_none() {
        for (at, text, good) in [
            (2, "0000125x", false),
            (2, "+0001250", false),
            (2, "        ", false),
            (26, "A012", false),
            (26, "    ", false),
            (0, "??", true),
            (10, "7", true),
            (11, "C", true),
            (12, "3", true),
            (13, "ABC", true),
            (16, "~ private ", true),
            (30, "B012", true),
        ] {
            let mut body = BODY.to_owned();
            body.replace_range(at..at + text.len(), text);
            assert_eq!(Request::read(&body).is_some(), good, "{body}");
        }
        assert!(Request::read(&BODY[1..]).is_none() && Request::read(&format!("{BODY}0")).is_none());
        assert!(Request::read(&"é".repeat(17)).is_none());
    }

    #[test]
    fn what_a_till_wants_is_read_from_its_one_character() {
        let of = |kind: &str| read(&format!("{}{kind}{}", &BODY[..12], &BODY[13..])).kind();
        let wanted = [("0", Some(AskKind::Pay)), ("4", Some(AskKind::Pay)), ("1", Some(AskKind::Refund))];
        for (kind, meant) in wanted.into_iter().chain([("2", Some(AskKind::Reverse)), ("3", None), (" ", None)]) {
            assert_eq!(of(kind), meant, "{kind}");
        }
        let currency = |number: &str| read(&BODY.replace("978", number)).currency();
        assert_eq!(currency("978"), Currency::from_code("EUR"));
        assert_eq!(currency("036"), Currency::from_code("AUD"));
        assert_eq!((currency("000"), currency("+36"), currency(" 36")), (None, None, None));
    }

    #[test]
    fn a_message_that_is_changed_anywhere_does_not_check() {
        let good = framed(BODY.as_bytes());
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            assert_eq!(unframed(&bad), None, "byte {at}");
            assert_eq!(unframed(&good[..at]), None);
        }
        assert_eq!(unframed(&good), Some(BODY));
    }

    #[test]
    fn a_till_reads_the_answer_and_says_what_is_wrong_with_another() {
        let request = read(BODY);
        let answer = request.answer(Verdict::Done, 1_250);
        let good = Answer { verdict: Verdict::Done, minor: 1_250, report: Some(String::new()) };
        assert_eq!(Answer::read(&answer, &request), Ok(good));
        let wrong = |message: &[u8], says: &str| {
            let said = Answer::read(message, &request).unwrap_err();
            assert!(said.contains(says), "{said}");
        };
        wrong(&answer[..82], "82 bytes instead of 83");
        wrong(&[&answer[..82], &[answer[82] ^ 1]].concat(), "LRC");
        wrong(&read(&BODY.replace("1234567890", "1234567891")).answer(Verdict::Done, 1_250), "another request");
        let odd = String::from_utf8(answer[1..81].to_vec()).unwrap().replacen("010", "014", 1);
        wrong(&framed(odd.as_bytes()), "result is");
    }
}
