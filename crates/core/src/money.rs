//! Money: exact amounts, and the only place where vendor units become amounts and back.
//! No floats, no exchange rates, no limits; those belong to the policy.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::name::Currency;

/// Millionths are the finest unit of any vendor (Google bills in micros), so every amount is exact.
const MICROS_PER_MAJOR: i64 = 1_000_000;
const FRACTION_DIGITS: usize = 6;

/// Currencies that people write without decimals; everything else shows two.
const WRITTEN_WHOLE: &[&str] = &[
    "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV",
    "XAF", "XOF", "XPF",
];

/// Meta's own table, not ISO 4217: these have no smaller unit there, all others have hundredths.
const META_WHOLE: &[&str] = &[
    "CLP", "COP", "CRC", "HUF", "IDR", "ISK", "JPY", "KRW", "PYG", "TWD", "VND",
];

/// An exact amount in one currency.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Money {
    amount_micros: i64,
    currency: Currency,
}

/// How a vendor writes an amount as a whole number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MinorUnit {
    /// Meta's budgets: hundredths, or whole units for the currencies of its offset table.
    Meta,
    /// Google's amounts: millionths in every currency.
    Micros,
}

/// Why something is not an exact amount.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Not a plain decimal.
    #[error("amount `{0}` is not a plain decimal with at most six digits after the point")]
    Amount(String),
    /// More than the exact range holds.
    #[error("amount `{0}` is out of range")]
    Range(String),
    /// The vendor's unit is too coarse for the amount.
    #[error("{0} is not a whole number of the vendor's smallest unit")]
    TooFine(Money),
}

impl Money {
    /// Reads a decimal amount in major units, as people and agents write it: `50`, `50.00`, `-0.5`.
    pub fn from_major(amount: &str, currency: Currency) -> Result<Self, MoneyError> {
        let amount_micros = micros(amount)?;
        Ok(Self {
            amount_micros,
            currency,
        })
    }

    /// An amount of millionths of the major unit.
    pub fn from_micros(amount_micros: i64, currency: Currency) -> Self {
        Self {
            amount_micros,
            currency,
        }
    }

    /// Reads a whole number of the vendor's unit.
    pub fn from_minor(count: i64, unit: MinorUnit, currency: Currency) -> Result<Self, MoneyError> {
        count
            .checked_mul(unit.micros(&currency))
            .map(|amount_micros| Self {
                amount_micros,
                currency,
            })
            .ok_or_else(|| MoneyError::Range(count.to_string()))
    }

    /// The same amount as a whole number of the vendor's unit; an amount between two is refused, never rounded.
    pub fn to_minor(&self, unit: MinorUnit) -> Result<i64, MoneyError> {
        let each = unit.micros(&self.currency);
        if self.amount_micros % each == 0 {
            Ok(self.amount_micros / each)
        } else {
            Err(MoneyError::TooFine(self.clone()))
        }
    }

    /// Millionths of the major unit.
    pub fn amount_micros(&self) -> i64 {
        self.amount_micros
    }

    /// The currency.
    pub fn currency(&self) -> &Currency {
        &self.currency
    }

    /// The amount alone, in major units: `50.00`, `300` for yen.
    pub fn amount(&self) -> String {
        let is_whole = WRITTEN_WHOLE.contains(&self.currency.as_str());
        decimal(self.amount_micros, if is_whole { 0 } else { 2 })
    }
}

/// Reads a plain decimal as millionths.
pub(crate) fn micros(amount: &str) -> Result<i64, MoneyError> {
    let bad = || MoneyError::Amount(amount.to_owned());
    let (sign, digits) = match amount.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, amount),
    };
    let (whole, fraction) = match digits.split_once('.') {
        Some((_, "")) => return Err(bad()),
        Some(parts) => parts,
        None => (digits, ""),
    };
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let padded_zero = whole.len() > 1 && whole.starts_with('0');
    if whole.is_empty() || padded_zero || fraction.len() > FRACTION_DIGITS {
        return Err(bad());
    }
    if !plain(whole) || !plain(fraction) {
        return Err(bad());
    }
    format!("{whole}{fraction:0<FRACTION_DIGITS$}")
        .parse::<i64>()
        .map(|micros| sign * micros)
        .map_err(|_| MoneyError::Range(amount.to_owned()))
}

/// Millionths as a plain decimal of at least so many digits after the point.
pub(crate) fn decimal(amount_micros: i64, least_digits: usize) -> String {
    let micros = amount_micros.unsigned_abs();
    let sign = if amount_micros < 0 { "-" } else { "" };
    let whole = micros / MICROS_PER_MAJOR.unsigned_abs();
    let fraction = format!("{:06}", micros % MICROS_PER_MAJOR.unsigned_abs());
    let shown = fraction.trim_end_matches('0').len();
    match shown.max(least_digits) {
        0 => format!("{sign}{whole}"),
        digits => format!(
            "{sign}{whole}.{}",
            fraction.get(..digits).unwrap_or(&fraction)
        ),
    }
}

impl MinorUnit {
    /// How many millionths of the major unit one of these is.
    fn micros(self, currency: &Currency) -> i64 {
        match self {
            Self::Micros => 1,
            Self::Meta if META_WHOLE.contains(&currency.as_str()) => MICROS_PER_MAJOR,
            Self::Meta => MICROS_PER_MAJOR / 100,
        }
    }
}

impl fmt::Display for Money {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.amount(), self.currency)
    }
}

/// The form on the wire: `{"amount": "50.00", "currency": "EUR"}`.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Written {
    amount: String,
    currency: Currency,
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Written {
            amount: self.amount(),
            currency: self.currency.clone(),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = Written::deserialize(deserializer)?;
        Self::from_major(&written.amount, written.currency).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn currency(code: &str) -> Currency {
        Currency::parse(code).unwrap()
    }

    #[test]
    fn meta_minor_units_follow_its_own_table() {
        let table = [
            ("EUR", "50.00", 5_000),
            ("USD", "0.01", 1),
            ("TWD", "300", 300),
            ("JPY", "5000", 5_000),
            ("HUF", "12", 12),
            ("BHD", "1.23", 123),
        ];
        for (code, major, minor) in table {
            let money = Money::from_major(major, currency(code)).unwrap();
            assert_eq!(money.to_minor(MinorUnit::Meta), Ok(minor), "{code} {major}");
            assert_eq!(
                Money::from_minor(minor, MinorUnit::Meta, currency(code)),
                Ok(money)
            );
        }
    }

    #[test]
    fn three_hundred_taiwan_dollars_are_never_thirty_thousand() {
        let money = Money::from_minor(300, MinorUnit::Meta, currency("TWD")).unwrap();
        assert_eq!(money.to_string(), "300.00 TWD");
        assert_ne!(money.to_minor(MinorUnit::Meta), Ok(30_000));
    }

    #[test]
    fn an_amount_between_two_units_is_refused() {
        let money = Money::from_major("1.234", currency("BHD")).unwrap();
        assert_eq!(
            money.to_minor(MinorUnit::Meta),
            Err(MoneyError::TooFine(money.clone()))
        );
        assert_eq!(money.to_minor(MinorUnit::Micros), Ok(1_234_000));
    }

    #[test]
    fn only_plain_decimals_are_amounts() {
        let refused = [
            "",
            "-",
            ".5",
            "5.",
            "+5",
            "05",
            "1e3",
            "1,000",
            "1_000",
            " 1",
            "1 ",
            "0x10",
            "٣",
            "--1",
            "1.0000000",
            "1.-5",
            "NaN",
        ];
        for text in refused {
            let read = Money::from_major(text, currency("EUR"));
            assert_eq!(read, Err(MoneyError::Amount(text.to_owned())), "{text}");
        }
        let huge = "99999999999999";
        assert_eq!(
            Money::from_major(huge, currency("EUR")),
            Err(MoneyError::Range(huge.to_owned()))
        );
    }

    #[test]
    fn a_count_beyond_the_range_is_refused() {
        assert!(Money::from_minor(922_337_203_685_478, MinorUnit::Meta, currency("TWD")).is_err());
        assert!(Money::from_minor(922_337_203_685_477, MinorUnit::Meta, currency("EUR")).is_ok());
    }

    #[test]
    fn the_wire_form_is_an_amount_and_a_currency() {
        let money = Money::from_major("50", currency("EUR")).unwrap();
        let json = serde_json::to_string(&money).unwrap();
        assert_eq!(json, r#"{"amount":"50.00","currency":"EUR"}"#);
        assert_eq!(serde_json::from_str::<Money>(&json).unwrap(), money);
        let number = r#"{"amount":50,"currency":"EUR"}"#;
        assert!(serde_json::from_str::<Money>(number).is_err());
    }

    proptest! {
        #[test]
        fn minor_units_survive_the_round_trip(count in -9_000_000_000_000_i64..9_000_000_000_000, code in "[A-Z]{3}") {
            for unit in [MinorUnit::Meta, MinorUnit::Micros] {
                let money = Money::from_minor(count, unit, currency(&code)).unwrap();
                prop_assert_eq!(money.to_minor(unit), Ok(count));
            }
        }

        #[test]
        fn written_amounts_survive_the_round_trip(micros in any::<i64>(), code in "[A-Z]{3}") {
            prop_assume!(micros != i64::MIN);
            let money = Money { amount_micros: micros, currency: currency(&code) };
            prop_assert_eq!(Money::from_major(&money.amount(), money.currency.clone()), Ok(money));
        }

        #[test]
        fn meta_units_are_whole_for_its_table_and_hundredths_otherwise(count in 0_i64..9_000_000_000_000, code in "[A-Z]{3}") {
            let money = Money::from_minor(count, MinorUnit::Meta, currency(&code)).unwrap();
            let each = if META_WHOLE.contains(&code.as_str()) { 1_000_000 } else { 10_000 };
            prop_assert_eq!(money.amount_micros(), count * each);
        }
    }
}
