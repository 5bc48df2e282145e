//! Money: an amount is a whole number of minor units in a currency. No floating point, no conversion.

use std::fmt;

/// An ISO 4217 currency: letters, number and how many digits its minor unit has.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency {
    code: [u8; 3],
    number: u16,
    exponent: u8,
}

impl Currency {
    /// The currency with these three letters ("EUR"), if ISO 4217 has it and it is used at counters.
    pub fn from_code(code: &str) -> Option<Currency> {
        CURRENCIES.iter().find(|c| c.code() == code).copied()
    }

    /// The currency with this ISO 4217 number (978 is EUR).
    pub fn from_number(number: u16) -> Option<Currency> {
        CURRENCIES.iter().find(|c| c.number == number).copied()
    }

    /// The three letters.
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.code).unwrap_or("XXX")
    }

    /// The three-digit number, without leading zeros.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// Digits after the point: 2 for EUR, 0 for JPY, 3 for KWD.
    pub fn exponent(&self) -> u8 {
        self.exponent
    }

    /// So many minor units as a number with the currency's decimals: "12.50". Sums may be larger than any amount.
    pub fn decimal(&self, minor: u64) -> String {
        let exponent = usize::from(self.exponent);
        let digits = format!("{minor:0width$}", width = exponent.saturating_add(1));
        let (whole, part) = digits.split_at(digits.len().saturating_sub(exponent));
        if part.is_empty() { whole.to_owned() } else { format!("{whole}.{part}") }
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// A sum of money in minor units: 1250 with EUR is 12.50 EUR. Never negative; at most [`Amount::MINOR_MAX`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount {
    minor: u64,
    currency: Currency,
}

/// Why text or a number is not an amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BadAmount {
    /// Not digits with at most one point.
    NotANumber,
    /// More digits after the point than the currency has.
    TooManyDecimals {
        /// How many the currency has.
        exponent: u8,
    },
    /// More than twelve digits of minor units.
    TooLarge,
}

impl fmt::Display for BadAmount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadAmount::NotANumber => f.write_str("an amount is digits with at most one point, such as 12.50"),
            BadAmount::TooManyDecimals { exponent } => {
                write!(f, "this currency has {exponent} digits after the point")
            }
            BadAmount::TooLarge => f.write_str("an amount has at most 12 digits of minor units"),
        }
    }
}

impl std::error::Error for BadAmount {}

impl Amount {
    /// Twelve digits: what the till protocols can carry (ZVT: 6 bytes of BCD).
    pub const MINOR_MAX: u64 = 999_999_999_999;

    /// An amount of `minor` units; refused above [`Amount::MINOR_MAX`].
    pub fn from_minor(minor: u64, currency: Currency) -> Result<Amount, BadAmount> {
        if minor > Self::MINOR_MAX {
            return Err(BadAmount::TooLarge);
        }
        Ok(Amount { minor, currency })
    }

    /// Reads "12.50", "12.5" or "12" as major units of `currency`. No signs, no spaces, no grouping.
    pub fn parse(text: &str, currency: Currency) -> Result<Amount, BadAmount> {
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        let dangling = text.contains('.') && part.is_empty();
        if whole.is_empty() || dangling || !digits(whole) || !digits(part) {
            return Err(BadAmount::NotANumber);
        }
        let exponent = usize::from(currency.exponent);
        if part.len() > exponent {
            return Err(BadAmount::TooManyDecimals { exponent: currency.exponent });
        }
        let minor = format!("{whole}{part:0<exponent$}");
        minor.parse().map_err(|_| BadAmount::TooLarge).and_then(|m| Amount::from_minor(m, currency))
    }

    /// How many minor units.
    pub fn minor(&self) -> u64 {
        self.minor
    }

    /// Of which currency.
    pub fn currency(&self) -> Currency {
        self.currency
    }

    /// The number alone, with the currency's decimals: "12.50".
    pub fn decimal(&self) -> String {
        self.currency.decimal(self.minor)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.decimal(), self.currency)
    }
}

impl fmt::Debug for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

const fn iso(code: &[u8; 3], number: u16, exponent: u8) -> Currency {
    Currency { code: *code, number, exponent }
}

/// ISO 4217 list one, active currencies of countries (funds, metals and test codes left out).
#[rustfmt::skip]
const CURRENCIES: &[Currency] = &[
    iso(b"AED", 784, 2), iso(b"AFN", 971, 2), iso(b"ALL", 8, 2), iso(b"AMD", 51, 2), iso(b"AOA", 973, 2),
    iso(b"ARS", 32, 2), iso(b"AUD", 36, 2), iso(b"AWG", 533, 2), iso(b"AZN", 944, 2), iso(b"BAM", 977, 2),
    iso(b"BBD", 52, 2), iso(b"BDT", 50, 2), iso(b"BHD", 48, 3), iso(b"BIF", 108, 0), iso(b"BMD", 60, 2),
    iso(b"BND", 96, 2), iso(b"BOB", 68, 2), iso(b"BRL", 986, 2), iso(b"BSD", 44, 2), iso(b"BTN", 64, 2),
    iso(b"BWP", 72, 2), iso(b"BYN", 933, 2), iso(b"BZD", 84, 2), iso(b"CAD", 124, 2), iso(b"CDF", 976, 2),
    iso(b"CHF", 756, 2), iso(b"CLP", 152, 0), iso(b"CNY", 156, 2), iso(b"COP", 170, 2), iso(b"CRC", 188, 2),
    iso(b"CUP", 192, 2), iso(b"CVE", 132, 2), iso(b"CZK", 203, 2), iso(b"DJF", 262, 0), iso(b"DKK", 208, 2),
    iso(b"DOP", 214, 2), iso(b"DZD", 12, 2), iso(b"EGP", 818, 2), iso(b"ERN", 232, 2), iso(b"ETB", 230, 2),
    iso(b"EUR", 978, 2), iso(b"FJD", 242, 2), iso(b"FKP", 238, 2), iso(b"GBP", 826, 2), iso(b"GEL", 981, 2),
    iso(b"GHS", 936, 2), iso(b"GIP", 292, 2), iso(b"GMD", 270, 2), iso(b"GNF", 324, 0), iso(b"GTQ", 320, 2),
    iso(b"GYD", 328, 2), iso(b"HKD", 344, 2), iso(b"HNL", 340, 2), iso(b"HTG", 332, 2), iso(b"HUF", 348, 2),
    iso(b"IDR", 360, 2), iso(b"ILS", 376, 2), iso(b"INR", 356, 2), iso(b"IQD", 368, 3), iso(b"IRR", 364, 2),
    iso(b"ISK", 352, 0), iso(b"JMD", 388, 2), iso(b"JOD", 400, 3), iso(b"JPY", 392, 0), iso(b"KES", 404, 2),
    iso(b"KGS", 417, 2), iso(b"KHR", 116, 2), iso(b"KMF", 174, 0), iso(b"KPW", 408, 2), iso(b"KRW", 410, 0),
    iso(b"KWD", 414, 3), iso(b"KYD", 136, 2), iso(b"KZT", 398, 2), iso(b"LAK", 418, 2), iso(b"LBP", 422, 2),
    iso(b"LKR", 144, 2), iso(b"LRD", 430, 2), iso(b"LSL", 426, 2), iso(b"LYD", 434, 3), iso(b"MAD", 504, 2),
    iso(b"MDL", 498, 2), iso(b"MGA", 969, 2), iso(b"MKD", 807, 2), iso(b"MMK", 104, 2), iso(b"MNT", 496, 2),
    iso(b"MOP", 446, 2), iso(b"MRU", 929, 2), iso(b"MUR", 480, 2), iso(b"MVR", 462, 2), iso(b"MWK", 454, 2),
    iso(b"MXN", 484, 2), iso(b"MYR", 458, 2), iso(b"MZN", 943, 2), iso(b"NAD", 516, 2), iso(b"NGN", 566, 2),
    iso(b"NIO", 558, 2), iso(b"NOK", 578, 2), iso(b"NPR", 524, 2), iso(b"NZD", 554, 2), iso(b"OMR", 512, 3),
    iso(b"PAB", 590, 2), iso(b"PEN", 604, 2), iso(b"PGK", 598, 2), iso(b"PHP", 608, 2), iso(b"PKR", 586, 2),
    iso(b"PLN", 985, 2), iso(b"PYG", 600, 0), iso(b"QAR", 634, 2), iso(b"RON", 946, 2), iso(b"RSD", 941, 2),
    iso(b"RUB", 643, 2), iso(b"RWF", 646, 0), iso(b"SAR", 682, 2), iso(b"SBD", 90, 2), iso(b"SCR", 690, 2),
    iso(b"SDG", 938, 2), iso(b"SEK", 752, 2), iso(b"SGD", 702, 2), iso(b"SHP", 654, 2), iso(b"SLE", 925, 2),
    iso(b"SOS", 706, 2), iso(b"SRD", 968, 2), iso(b"SSP", 728, 2), iso(b"STN", 930, 2), iso(b"SVC", 222, 2),
    iso(b"SYP", 760, 2), iso(b"SZL", 748, 2), iso(b"THB", 764, 2), iso(b"TJS", 972, 2), iso(b"TMT", 934, 2),
    iso(b"TND", 788, 3), iso(b"TOP", 776, 2), iso(b"TRY", 949, 2), iso(b"TTD", 780, 2), iso(b"TWD", 901, 2),
    iso(b"TZS", 834, 2), iso(b"UAH", 980, 2), iso(b"UGX", 800, 0), iso(b"USD", 840, 2), iso(b"UYU", 858, 2),
    iso(b"UZS", 860, 2), iso(b"VED", 926, 2), iso(b"VES", 928, 2), iso(b"VND", 704, 0), iso(b"VUV", 548, 0),
    iso(b"WST", 882, 2), iso(b"XAF", 950, 0), iso(b"XCD", 951, 2), iso(b"XOF", 952, 0), iso(b"XPF", 953, 0),
    iso(b"YER", 886, 2), iso(b"ZAR", 710, 2), iso(b"ZMW", 967, 2), iso(b"ZWG", 924, 2),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn eur() -> Currency {
        Currency::from_code("EUR").unwrap()
    }

    #[test]
    fn amounts_are_read_and_written_with_the_exponent_of_their_currency() {
        for (text, code, minor, written) in [
            ("12.50", "EUR", 1250, "12.50 EUR"),
            ("12.5", "EUR", 1250, "12.50 EUR"),
            ("0.05", "EUR", 5, "0.05 EUR"),
            ("1200", "JPY", 1200, "1200 JPY"),
            ("1.234", "KWD", 1234, "1.234 KWD"),
            ("0", "EUR", 0, "0.00 EUR"),
        ] {
            let amount = Amount::parse(text, Currency::from_code(code).unwrap()).unwrap();
            assert_eq!((amount.minor(), amount.to_string().as_str()), (minor, written));
        }
    }

    #[test]
    fn text_that_is_no_amount_is_refused_with_the_reason() {
        for text in ["", ".", "1.", ".5", "-1", "+1", "1,50", "1e3", " 1", "1.2.3", "٣"] {
            assert_eq!(Amount::parse(text, eur()), Err(BadAmount::NotANumber), "{text}");
        }
        assert_eq!(Amount::parse("1.234", eur()), Err(BadAmount::TooManyDecimals { exponent: 2 }));
        assert_eq!(
            Amount::parse("1.5", Currency::from_code("JPY").unwrap()),
            Err(BadAmount::TooManyDecimals { exponent: 0 })
        );
        assert_eq!(Amount::parse("10000000000.00", eur()), Err(BadAmount::TooLarge));
        assert_eq!(Amount::parse("99999999999999999999999", eur()), Err(BadAmount::TooLarge));
    }

    #[test]
    fn every_currency_stands_once_under_its_code_and_number() {
        let codes: std::collections::BTreeSet<_> = CURRENCIES.iter().map(|c| c.code).collect();
        let numbers: std::collections::BTreeSet<_> = CURRENCIES.iter().map(|c| c.number).collect();
        assert_eq!((codes.len(), numbers.len()), (CURRENCIES.len(), CURRENCIES.len()));
    }
}
