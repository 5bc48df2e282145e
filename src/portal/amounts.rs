//! Writes amounts and times the way a customer's language writes them. Converts nothing.

use super::language::{Language, Voice};
use crate::shop::money::{Amount, Currency};
use crate::shop::time::Wall;
use icu_decimal::input::Decimal;
use icu_decimal::options::DecimalFormatterOptions;
use icu_decimal::{DecimalFormatter, DecimalFormatterPreferences};
use icu_locale_core::locale;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// The amount with separators and currency as `language` places them. Arabic uses the digits 0 to 9 as well, because
/// the customer compares the amount with the till's display.
pub(super) fn written(amount: Amount, language: Language) -> String {
    let number = number(amount, language).unwrap_or_else(|| amount.decimal());
    let symbol = symbol(amount.currency(), language);
    match language {
        Language::En | Language::ZhHans if symbol.chars().all(|c| c.is_ascii_uppercase()) => {
            format!("{symbol}\u{a0}{number}")
        }
        Language::En | Language::ZhHans => format!("{symbol}{number}"),
        Language::De | Language::Fr | Language::Es | Language::Ar => format!("{number}\u{a0}{symbol}"),
    }
}

/// A moment as `language` writes it, in the shop's time zone.
pub(super) fn moment(at: Wall, zone: &TimeZone, voice: Voice<'_>) -> Option<String> {
    let zoned = Timestamp::from_millisecond(at.0).ok()?.to_zoned(zone.clone());
    jiff::fmt::strtime::format(voice.say("receipt-time-pattern"), &zoned).ok()
}

fn number(amount: Amount, language: Language) -> Option<String> {
    let locale = match language {
        Language::En => locale!("en"),
        Language::De => locale!("de"),
        Language::Fr => locale!("fr"),
        Language::Es => locale!("es"),
        Language::ZhHans => locale!("zh"),
        Language::Ar => locale!("ar-u-nu-latn"),
    };
    let preferences = DecimalFormatterPreferences::from(&locale);
    let formatter = DecimalFormatter::try_new(preferences, DecimalFormatterOptions::default()).ok()?;
    let exponent = i16::from(amount.currency().exponent());
    let mut decimal = Decimal::from(amount.minor());
    decimal.multiply_pow10(exponent.saturating_neg());
    decimal.absolute.pad_end(exponent.saturating_neg());
    Some(formatter.format(&decimal).to_string())
}

/// The sign people know, where it can mean one currency only; else the three letters.
fn symbol(currency: Currency, language: Language) -> String {
    let sign = match (currency.code(), language) {
        ("EUR", _) => "€",
        ("GBP", _) => "£",
        ("USD", Language::En) => "$",
        ("CNY", Language::ZhHans) => "¥",
        ("KRW", _) => "₩",
        ("INR", _) => "₹",
        (code, _) => code,
    };
    sign.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::portal::language::Texts;

    #[test]
    fn amounts_are_written_as_the_language_writes_them() {
        for (minor, code, language, written_so) in [
            (1250, "EUR", Language::En, "€12.50"),
            (123_456_789, "EUR", Language::En, "€1,234,567.89"),
            (5, "EUR", Language::De, "0,05\u{a0}€"),
            (123_450, "EUR", Language::De, "1.234,50\u{a0}€"),
            (123_450, "EUR", Language::Fr, "1\u{202f}234,50\u{a0}€"),
            (123_450, "EUR", Language::Es, "1234,50\u{a0}€"),
            (123_450, "CNY", Language::ZhHans, "¥1,234.50"),
            (123_450, "CNY", Language::En, "CNY\u{a0}1,234.50"),
            (1_200, "JPY", Language::ZhHans, "JPY\u{a0}1,200"),
            (1_200, "JPY", Language::De, "1.200\u{a0}JPY"),
            (1_234, "KWD", Language::Ar, "1.234\u{a0}KWD"),
            (1_250, "CHF", Language::Fr, "12,50\u{a0}CHF"),
            (0, "EUR", Language::En, "€0.00"),
        ] {
            let amount = Amount::from_minor(minor, Currency::from_code(code).unwrap()).unwrap();
            let text: String =
                written(amount, language).chars().filter(|c| !matches!(c, '\u{200e}' | '\u{200f}')).collect();
            assert_eq!(text, written_so, "{minor} {code} {language:?}");
        }
    }

    #[test]
    fn times_are_written_in_every_language_and_in_the_zone_of_the_shop() {
        let texts = Texts::load();
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        let at = Wall(1_795_356_360_000);
        let all: Vec<_> = Language::ALL.iter().map(|l| moment(at, &zone, texts.voice(*l)).expect("a date")).collect();
        let so = ["22 Nov 2026, 16:06", "22.11.2026, 16:06", "22/11/2026 16:06", "22/11/2026, 16:06"];
        assert_eq!(all[..4], so);
        assert_eq!(all[4..], ["2026年11月22日 16:06", "2026/11/22 16:06"]);
    }
}
