//! Keys of idempotency (WRITES §2): which texts can be one, and what stands for
//! the arguments that a key was used with.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::digest::Digest;
use crate::money::Money;
use crate::name::ToolName;

/// The argument that holds the key.
pub const KEY_ARGUMENT: &str = "idempotency_key";
/// The argument that asks for what a change would do.
pub const DRY_RUN_ARGUMENT: &str = "dry_run";

const SHORTEST: usize = 16;
const LONGEST: usize = 128;

/// Distinct characters, and distinct steps from one to the next: fewer have
/// texts that come to everybody's mind, `aaaaaaaaaaaaaaaa` and
/// `1234567890123456`. A UUID has fewer once in more than 10^9.
const LEAST_DISTINCT: usize = 8;

/// A key: one for each change that somebody means, and the same one in every
/// repetition of it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IdempotencyKey(String);

/// Why a text is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdempotencyKeyError {
    /// Too short or too long.
    #[error("an idempotency key has {SHORTEST} to {LONGEST} characters")]
    Length,
    /// It holds something else than visible ASCII.
    #[error("an idempotency key is made of visible ASCII characters")]
    Character,
    /// Another change could come to have the same one.
    #[error("an idempotency key is as good as random, such as a UUID")]
    Guessable,
}

impl IdempotencyKey {
    /// Reads a key.
    pub fn parse(text: &str) -> Result<Self, IdempotencyKeyError> {
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(IdempotencyKeyError::Character);
        }
        if !(SHORTEST..=LONGEST).contains(&text.len()) {
            return Err(IdempotencyKeyError::Length);
        }
        let bytes = text.as_bytes();
        let distinct: BTreeSet<u8> = bytes.iter().copied().collect();
        let steps = bytes
            .array_windows()
            .map(|[one, next]| next.wrapping_sub(*one));
        let steps: BTreeSet<u8> = steps.collect();
        if distinct.len().min(steps.len()) < LEAST_DISTINCT {
            return Err(IdempotencyKeyError::Guessable);
        }
        Ok(Self(text.to_owned()))
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A key opens its owner's change: it is not for logs.
impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("IdempotencyKey(..)")
    }
}

impl TryFrom<String> for IdempotencyKey {
    type Error = IdempotencyKeyError;

    fn try_from(text: String) -> Result<Self, IdempotencyKeyError> {
        Self::parse(&text)
    }
}

impl From<IdempotencyKey> for String {
    fn from(key: IdempotencyKey) -> Self {
        key.0
    }
}

/// What stands for a call: equal for all ways to write the same one, whatever
/// its key and whether it is a dry run.
pub fn fingerprint(tool: &ToolName, arguments: &Map<String, Value>) -> Digest {
    let mut meant = arguments.clone();
    meant.remove(KEY_ARGUMENT);
    meant.remove(DRY_RUN_ARGUMENT);
    let meant: Map<String, Value> = meant
        .into_iter()
        .map(|(name, value)| (name, canonical(value)))
        .collect();
    let mut text = json!([tool, meant]);
    text.sort_all_objects();
    Digest::of(text.to_string().as_bytes())
}

/// Amounts by what they are worth, everything else as it is.
fn canonical(value: Value) -> Value {
    if let Ok(money) = Money::deserialize(&value) {
        // No argument has such a name: an amount is like nothing else.
        return json!({"$micros": money.amount_micros(), "currency": money.currency()});
    }
    match value {
        Value::Array(items) => items.into_iter().map(canonical).collect(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| (name, canonical(value)))
            .collect(),
        plain => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_as_long_as_it_may_be_and_as_good_as_random() {
        for good in [
            "0d9f4f7e-5a0b-4c1e-9d43-6a6f8c2b7e11",
            "01JD9ZQ5W8K3M7N2",
            "raise-spring-sale-2026-11-24",
            &"aZ3!bY4\"cX5#dW6$".repeat(8),
        ] {
            assert_eq!(IdempotencyKey::parse(good).unwrap().as_str(), good);
        }
        let cases = [
            ("", IdempotencyKeyError::Length),
            ("01JD9ZQ5W8K3M7N", IdempotencyKeyError::Length),
            (&"aZ3!bY4\"cX5#dW6$x".repeat(8), IdempotencyKeyError::Length),
            ("01JD9ZQ5 W8K3M7N2", IdempotencyKeyError::Character),
            ("01JD9ZQ5W8K3M7Nü", IdempotencyKeyError::Character),
            ("01JD9ZQ5W8K3M7N2\n", IdempotencyKeyError::Character),
            ("aaaaaaaaaaaaaaaa", IdempotencyKeyError::Guessable),
            ("1234567890123456", IdempotencyKeyError::Guessable),
            ("abcdefghijklmnopqrstuvwxyz", IdempotencyKeyError::Guessable),
            ("0000000000000001", IdempotencyKeyError::Guessable),
            ("abc-abc-abc-abc-abc", IdempotencyKeyError::Guessable),
        ];
        for (bad, error) in cases {
            assert_eq!(IdempotencyKey::parse(bad), Err(error), "{bad:?}");
        }
    }

    #[test]
    fn a_key_is_not_logged() {
        let key = IdempotencyKey::parse("01JD9ZQ5W8K3M7N2").unwrap();
        assert_eq!(format!("{key:?}"), "IdempotencyKey(..)");
    }

    fn of(tool: &str, arguments: Value) -> Digest {
        let Value::Object(arguments) = arguments else {
            panic!("arguments are an object");
        };
        fingerprint(&ToolName::parse(tool).unwrap(), &arguments)
    }

    #[test]
    fn one_call_has_one_fingerprint_however_it_is_written() {
        let amount = |amount: &str| json!({"amount": amount, "currency": "EUR"});
        let one = of(
            "meta_a",
            json!({"id": "1", "budget": amount("150.00"), "list": [1]}),
        );
        for same in [
            json!({"list": [1], "budget": amount("150.0"), "id": "1"}),
            json!({"id": "1", "budget": amount("150"), "list": [1], "idempotency_key": "x"}),
            json!({"id": "1", "budget": amount("150"), "list": [1], "dry_run": true}),
        ] {
            assert_eq!(of("meta_a", same), one);
        }
        for other in [
            json!({"id": "1", "budget": amount("150.01"), "list": [1]}),
            json!({"id": "1", "budget": {"amount": "150", "currency": "USD"}, "list": [1]}),
            json!({"id": 1, "budget": amount("150"), "list": [1]}),
            json!({"id": "1", "budget": amount("150"), "list": ["1"]}),
            json!({"id": "1", "budget": amount("150")}),
        ] {
            assert_ne!(of("meta_a", other.clone()), one, "{other}");
        }
        let renamed = json!({"id": "1", "budget": amount("150.00"), "list": [1]});
        assert_ne!(of("meta_b", renamed), one);
    }

    #[test]
    fn what_only_looks_like_an_amount_stays_what_it_is() {
        let own = json!({"budget": {"micros": 150_000_000, "currency": "EUR"}});
        let amount = json!({"budget": {"amount": "150", "currency": "EUR"}});
        assert_ne!(of("meta_a", own), of("meta_a", amount));
        let odd = |amount: &str| json!({"budget": {"amount": amount, "currency": "EUR"}});
        assert_ne!(of("meta_a", odd("1e2")), of("meta_a", odd("100")));
    }
}
