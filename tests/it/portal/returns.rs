//! The pages of returns: what each payment's form says, what a stale or foreign one does, what is kept.

use super::*;
use tillgate::shop::effect::{Repayable, ReturnFacts, ReturnReceipt};
use tillgate::shop::event::{ReceiptNumber, ReturnKind};

const ASKED: SaleId = SaleId(0xbac << 116);
const PAID_AT: Wall = Wall(1_795_356_360_000);

fn eur(minor: u64) -> Amount {
    Amount::from_minor(minor, Currency::from_code("EUR").unwrap()).unwrap()
}

fn refund(amount: Option<Amount>) -> ReturnFacts {
    let kind = if amount.is_some() { ReturnKind::Refund } else { ReturnKind::Reverse };
    ReturnFacts { asked: ASKED, till: till(7), code: Code::parse("7K").unwrap(), kind, amount }
}

/// A payment of 12.50 of which `left` is left and `back` would go back.
fn payment(n: u16, left: u64, back: u64) -> Repayable {
    Repayable {
        sale: SaleId(u128::from(n) << 112),
        till: till(7 + n % 2),
        receipt: ReceiptNumber::new(n),
        amount: eur(1_250),
        left: eur(left),
        back: eur(back),
        at: (n != 3).then_some(PAID_AT),
    }
}

fn choose(amount: Option<Amount>, payments: Vec<Repayable>) -> Screen {
    Screen::ChooseReturn { facts: refund(amount), payments, until: in_secs(60) }
}

fn one() -> Screen {
    choose(Some(eur(625)), vec![payment(4, 1_250, 625)])
}

fn returning(checking: bool) -> Screen {
    Screen::Returning { facts: refund(Some(eur(625))), checking }
}

fn returned(amount: Option<Amount>, outcome: Outcome) -> Screen {
    let back = matches!(outcome, Outcome::Returned { .. } | Outcome::Declined(DeclinedWhy::Refused(_)));
    Screen::Returned(Box::new(ReturnReceipt {
        facts: refund(amount),
        outcome,
        of: back.then_some(SaleId(0xfeed << 112)),
        attempt: back.then_some(AttemptId(0xabc << 100)),
        at: Some(PAID_AT),
    }))
}

/// Every screen of a return, with a name.
pub(super) fn every_screen() -> Vec<(&'static str, Screen)> {
    let (part, ended) = (Some(eur(625)), |outcome| returned(Some(eur(625)), outcome));
    vec![
        ("choose", one()),
        ("choose-of-two", choose(part, vec![payment(4, 1_250, 625), payment(3, 700, 625)])),
        ("choose-of-twenty", choose(part, (1..=20).map(|n| payment(n, 700, 625)).collect())),
        ("choose-all-of-one", choose(None, vec![payment(4, 700, 700)])),
        ("choose-all-of-two", choose(None, vec![payment(4, 1_250, 1_250), payment(5, 700, 700)])),
        ("choose-of-none", choose(part, Vec::new())),
        ("returning", returning(false)),
        ("returning-checking", returning(true)),
        ("returned", ended(Outcome::Returned { pending: false })),
        ("returned-pending", ended(Outcome::Returned { pending: true })),
        ("kept-customer", ended(Outcome::Declined(DeclinedWhy::Customer))),
        ("kept-refused", ended(Outcome::Declined(DeclinedWhy::Refused(Reason::NotAllowed)))),
        ("kept-till", ended(Outcome::Cancelled(CancelledWhy::Till))),
        ("kept-clock", ended(Outcome::Cancelled(CancelledWhy::Clock))),
        ("kept-power-cut", returned(None, Outcome::Cancelled(CancelledWhy::PowerCut))),
        ("kept-lapsed", ended(Outcome::Lapsed)),
    ]
}

/// Every payment is a form whose button bears the amount and is described by the payment; the page counts down.
pub(super) fn check_choices(name: &str, screen: &Screen, shown: &Answer) {
    let Screen::ChooseReturn { payments, .. } = screen else { unreachable!() };
    let forms: Vec<_> = shown.body.split("<form ").filter(|form| form.contains("/choose\"")).collect();
    assert_eq!(forms.len(), payments.len(), "{name}");
    for (n, (form, payment)) in forms.iter().zip(payments).enumerate() {
        let id = format!("choice-{}", n + 1);
        assert!(form.contains(&format!("<dl id=\"{id}\">")), "{name}");
        assert!(form.contains(&format!("name=\"sale\" value=\"{}\"", payment.sale)), "{name}");
        let button = between(form, &format!("<button class=\"main\" aria-describedby=\"{id}\">"), "</button>");
        let digits: String = button.chars().filter(char::is_ascii_digit).collect();
        assert_eq!(digits, payment.back.minor().to_string(), "{name}: {button}");
    }
    assert!(shown.body.contains("data-left") && shown.body.contains("/refuse\"") && shown.body.contains(">7K<"));
    assert!(shown.body.contains("<noscript><meta http-equiv=\"refresh\" content=\"10\">"), "{name}");
}

#[test]
fn a_payment_says_when_where_and_how_much_and_what_is_left_if_some_went_back() {
    let house = House::showing(one());
    let shown = house.get(&page(SESSION)).body;
    for part in ["€6.25", "22 Nov 2026, 15:06", "7 · Bakery", "0004", "€12.50", "Corner &#38; Co"] {
        assert!(shown.contains(part), "{part}");
    }
    assert!(!shown.contains("Still left"));
    house.board.show(SESSION, choose(Some(eur(625)), vec![payment(3, 700, 625)]));
    let shown = house.get(&page(SESSION)).body;
    assert!(shown.contains("Still left") && shown.contains("€7.00") && !shown.contains("Date and time"));
    // All that is left of one payment is an amount; of several it depends.
    house.board.show(SESSION, choose(None, vec![payment(3, 700, 700)]));
    assert!(house.get(&page(SESSION)).body.contains("<p class=\"amount\"><bdi>€7.00"));
    house.board.show(SESSION, choose(None, vec![payment(3, 700, 700), payment(4, 1_250, 1_250)]));
    let shown = house.get(&page(SESSION)).body;
    assert!(!shown.contains("class=\"amount\"") && shown.contains("All that is left"));
    // What fitted has gone back at another till meanwhile.
    house.board.show(SESSION, choose(Some(eur(625)), Vec::new()));
    let shown = house.get(&page(SESSION));
    assert!(shown.body.contains("None of your payments fits") && !shown.body.contains("You get money back"));
    house.press(&shown, "refuse");
    assert_eq!(house.events(), [PhoneEvent::Refuses { asked: ASKED }]);
}

#[test]
fn each_payments_form_names_the_return_and_the_sale_and_amount_that_were_shown() {
    let payments = [payment(4, 1_250, 1_250), payment(5, 700, 700)];
    let house = House::showing(choose(None, payments.to_vec()));
    let shown = house.get(&page(SESSION));
    let chosen = |n: usize| PhoneEvent::Chooses { asked: ASKED, sale: payments[n].sale, amount: payments[n].back };
    let (_, from_second) = shown.body.rsplit_once("<form class=\"card\"").unwrap();
    let second = Answer { body: format!("<form {from_second}"), ..house.get(&page(SESSION)) };
    for (n, forms) in [(0, &shown), (1, &second)] {
        let answer = house.press(forms, "choose");
        assert_eq!((answer.status, answer.header("location")), (303, page(SESSION).as_str()));
        assert_eq!(house.events().pop(), Some(chosen(n)));
    }
    assert_eq!(house.press(&shown, "refuse").status, 303);
    assert_eq!(house.events().pop(), Some(PhoneEvent::Refuses { asked: ASKED }));
    house.board.show(SESSION, returned(Some(eur(625)), Outcome::Returned { pending: false }));
    house.press(&house.get(&page(SESSION)), "finish");
    assert_eq!(house.events(), [chosen(0), chosen(1), PhoneEvent::Refuses { asked: ASKED }, PhoneEvent::Finishes]);
}

#[test]
fn a_stale_choice_is_passed_on_as_it_was_shown_and_garbage_is_none() {
    let house = House::showing(one());
    let old = house.get(&page(SESSION));
    house.board.show(SESSION, choose(Some(eur(500)), vec![payment(4, 1_250, 500)]));
    assert_eq!(house.press(&old, "choose").status, 303);
    let sale = payment(4, 0, 0).sale;
    assert_eq!(house.events(), [PhoneEvent::Chooses { asked: ASKED, sale, amount: eur(625) }]);
    assert!(house.get(&page(SESSION)).body.contains("€5.00"), "the page shows the present");
    let form = between(&old.form("choose").1, "form=", "&").to_owned();
    let post =
        |act: &str, fields: &str| house.post(&format!("{}{act}", page(SESSION)), "", &format!("form={form}{fields}"));
    for garbage in [
        String::new(),
        format!("&sale={sale}&minor=625&currency=EUR"),
        format!("&asked={ASKED}&minor=625&currency=EUR"),
        format!("&asked={ASKED}&sale={sale}&currency=EUR"),
        format!("&asked={ASKED}&sale={sale}&minor=625"),
        format!("&asked={ASKED}&sale={sale}&minor=-625&currency=EUR"),
        format!("&asked={ASKED}&sale={sale}&minor=99999999999999&currency=EUR"),
        format!("&asked={ASKED}&sale={sale}&minor=625&currency=XXX"),
        format!("&asked={ASKED}&asked={ASKED}&sale={sale}&minor=625&currency=EUR"),
        "&asked=all&sale=all&minor=625&currency=EUR".to_owned(),
    ] {
        let answer = post("choose", &garbage);
        assert_eq!(answer.status, 400, "{garbage}");
        assert!(answer.body.contains(&page(SESSION)));
        assert_headers(&answer);
    }
    assert_eq!((post("refuse", "").status, post("refuse", "&asked=1").status), (400, 400));
    assert_eq!(house.events().len(), 1);
}

#[test]
fn a_choice_without_the_visits_own_token_is_none() {
    let house = House::showing(one());
    house.board.show(SessionId(5), one());
    let (path, body) = house.get(&page(SESSION)).form("choose");
    let foreign = house.get(&page(SessionId(5))).form("choose").1;
    for body in [foreign.as_str(), body.split_once('&').unwrap().1, &body.replacen("form=", "form=0", 1), ""] {
        for act in ["choose", "refuse"] {
            let answer = house.post(&path.replace("choose", act), "", body);
            assert_eq!(answer.status, 403, "{act} {body}");
            assert!(answer.body.contains("out of date"));
        }
    }
    assert_eq!(house.events(), []);
    assert_eq!(house.get(&path).status, 302, "a link to it chooses nothing");
    assert_eq!(house.events(), []);
}

#[test]
fn a_second_tap_says_the_same_again_and_shows_what_the_first_has_begun() {
    let house = House::scripted(|event| matches!(event, PhoneEvent::Chooses { .. }).then(|| returning(false)));
    house.board.show(SESSION, one());
    let shown = house.get(&page(SESSION));
    for _ in 0..2 {
        let answer = house.press(&shown, "choose");
        assert_eq!((answer.status, answer.header("location")), (303, page(SESSION).as_str()));
        assert!(house.get(&page(SESSION)).body.contains("Your money is being given back."));
    }
    let events = house.events();
    assert!(events.len() == 2 && events[0] == events[1], "{events:?}");
}

#[test]
fn a_waiting_page_hears_how_the_return_ends_and_that_what_was_pending_is_settled() {
    let house = House::showing(returning(false));
    let change = |screen, text: &str| {
        let version = between(&house.get(&page(SESSION)).body, "live?v=", "\"").to_owned();
        let mut stream = listen(&house, &version);
        read_until(&mut stream, "retry");
        house.board.show(SESSION, screen);
        read_until(&mut stream, "event: changed");
        assert!(house.get(&page(SESSION)).body.contains(text), "{text}");
    };
    let ended = |outcome| returned(Some(eur(625)), outcome);
    change(returning(true), "The payment service has not answered yet.");
    change(ended(Outcome::Returned { pending: true }), "Money back: not confirmed yet");
    change(ended(Outcome::Returned { pending: false }), "Money given back");
    assert_eq!(house.events(), [], "the shop need not know that these were seen");
}

#[test]
fn the_receipt_of_a_return_says_as_text_how_far_it_is() {
    let house = House::showing(returned(Some(eur(625)), Outcome::Returned { pending: true }));
    let path = format!("{}receipt", page(SESSION));
    let text = house.ask("GET", &path, "Accept-Language: de\r\n");
    assert_eq!(text.header("content-type"), "text/plain; charset=utf-8");
    for line in [
        "Corner & Co <Shop>",
        "Rückgabe noch nicht bestätigt",
        "Betrag: 6,25\u{a0}€",
        "Kasse: 7 · Bakery",
        "Code: 7K",
        "Datum und Uhrzeit: 22.11.2026, 15:06",
        "Rückgabe: bac00000",
        "Vorgang: feed0000",
        "Zahlung: 0000abc0000000000000000000000000",
    ] {
        assert!(text.body.lines().any(|l| l == line), "{line}: {}", text.body);
    }
    assert!(text.body.contains("fragt nach, bis sie geklärt ist"));
    house.board.show(SESSION, returned(Some(eur(625)), Outcome::Returned { pending: false }));
    assert!(house.get(&path).body.contains("\nMoney given back\nThe amount goes back to"));
    house.board.show(SESSION, returned(None, Outcome::Lapsed));
    let kept = house.get(&path).body;
    assert!(
        kept.contains("\nNothing given back\n") && !kept.contains("Amount") && !kept.contains("Payment:"),
        "{kept}"
    );
    for screen in [one(), returning(false)] {
        house.board.show(SESSION, screen);
        assert_eq!((house.get(&path).status, house.get(&path).header("location")), (303, page(SESSION).as_str()));
    }
}
