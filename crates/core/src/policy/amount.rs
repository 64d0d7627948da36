//! Amounts and rates as policies carry them: exact decimals, in texts.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::money::{self, MoneyError};
use crate::name::Currency;

/// An amount in the policy's currency, in millionths of the major unit;
/// written as a decimal text, such as `"500.00"`. Never below zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Amount(i64);

impl Amount {
    /// Reads a decimal text.
    pub fn parse(text: &str) -> Result<Self, MoneyError> {
        let micros = money::micros(text)?;
        if micros < 0 {
            return Err(MoneyError::Amount(text.to_owned()));
        }
        Ok(Self(micros))
    }

    /// Millionths of the major unit.
    pub fn micros(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&money::decimal(self.0, 2))
    }
}

impl TryFrom<String> for Amount {
    type Error = MoneyError;

    fn try_from(text: String) -> Result<Self, MoneyError> {
        Self::parse(&text)
    }
}

impl From<Amount> for String {
    fn from(amount: Amount) -> Self {
        amount.to_string()
    }
}

/// Billionths of the policy's currency that one unit of another is worth.
const NANOS: i128 = 1_000_000_000;

/// What one unit of another currency is worth in the policy's, for how long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ExchangeRate {
    /// The other currency.
    pub currency: Currency,
    /// In billionths.
    pub rate_nanos: u64,
    /// When it was true.
    pub as_of: Timestamp,
    /// How long it may be used.
    pub max_age_ms: i64,
}

impl ExchangeRate {
    /// Whether it may be used at `now`; not before it was true, either, and
    /// never one by which all amounts are nothing.
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        let age = now.duration_since(self.as_of);
        let is_of_age = age <= SignedDuration::from_millis(self.max_age_ms);
        !age.is_negative() && is_of_age && self.rate_nanos > 0
    }

    /// An amount of the other currency in the policy's, rounded up: against
    /// whoever spends.
    pub fn convert(&self, amount_micros: i128) -> i128 {
        let exact = amount_micros.saturating_mul(self.rate_nanos.into());
        let whole = exact / NANOS;
        if exact % NANOS > 0 { whole + 1 } else { whole }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(rate_nanos: u64) -> ExchangeRate {
        ExchangeRate {
            currency: Currency::parse("USD").unwrap(),
            rate_nanos,
            as_of: Timestamp::constant(1_800_000_000, 0),
            max_age_ms: 86_400_000,
        }
    }

    #[test]
    fn a_conversion_rounds_against_whoever_spends() {
        assert_eq!(rate(920_000_000).convert(100), 92);
        assert_eq!(rate(920_000_000).convert(1), 1);
        assert_eq!(rate(920_000_000).convert(0), 0);
        assert_eq!(rate(1).convert(1), 1);
    }

    #[test]
    fn a_rate_ends_with_its_age_and_does_not_begin_before_it() {
        let rate = rate(1);
        let at = |seconds: i64| Timestamp::constant(1_800_000_000 + seconds, 0);
        assert!(rate.is_fresh(at(0)) && rate.is_fresh(at(86_400)));
        assert!(!rate.is_fresh(at(86_401)) && !rate.is_fresh(at(-1)));
    }

    #[test]
    fn an_amount_reads_back_as_written() {
        for text in ["0.00", "500.00", "0.000001", "922337203685.477580"] {
            let amount = Amount::parse(text).unwrap();
            assert_eq!(Amount::parse(&amount.to_string()), Ok(amount), "{text}");
        }
        for text in ["-1", "1e3", "", "1.0000001"] {
            assert!(Amount::parse(text).is_err(), "{text}");
        }
    }
}
