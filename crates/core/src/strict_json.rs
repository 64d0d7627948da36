//! JSON read strictly: every key once, numbers that survive, bounded depth.
//!
//! A parser that keeps the last of two equal keys lets a caller show one value
//! to whoever looks first and another to whoever acts; so does a number that
//! is rounded on the way.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// How deep arrays and objects may be nested. MCP messages need about 8; the
/// rest is room for schemas in arguments.
pub const DEEPEST: usize = 32;

/// Integers beyond this lose digits in the double-precision numbers that most
/// JSON libraries keep (RFC 8259 §6).
const LARGEST_EXACT: u64 = 1 << 53;

/// Why a text is not acceptable JSON.
#[derive(Debug, thiserror::Error)]
#[error("not acceptable JSON: {0}")]
pub struct StrictJsonError(serde_json::Error);

/// Reads one JSON value and nothing after it.
pub fn parse(bytes: &[u8]) -> Result<Value, StrictJsonError> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { depth: 0 }
        .deserialize(&mut reader)
        .map_err(StrictJsonError)?;
    reader.end().map_err(StrictJsonError)?;
    Ok(value)
}

/// Builds one value, knowing how deep it stands.
#[derive(Clone, Copy)]
struct Strict {
    depth: usize,
}

impl Strict {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth == DEEPEST {
            return Err(E::custom(format_args!(
                "nested deeper than {DEEPEST} levels"
            )));
        }
        Ok(Self {
            depth: self.depth + 1,
        })
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value, E> {
        if value > LARGEST_EXACT {
            return Err(E::custom(
                "a number with more digits than every reader keeps",
            ));
        }
        Ok(value.into())
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Value, E> {
        if value.unsigned_abs() > LARGEST_EXACT {
            return Err(E::custom(
                "a number with more digits than every reader keeps",
            ));
        }
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        // Integers too large for 64 bits arrive here as well.
        #[expect(clippy::cast_precision_loss, reason = "2^53 is exact by definition")]
        if value.abs() > LARGEST_EXACT as f64 {
            return Err(E::custom(
                "a number with more digits than every reader keeps",
            ));
        }
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("a number that is not finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(inner)?;
            if object.contains_key(&key) {
                let start: String = key.chars().take(80).collect();
                return Err(A::Error::custom(format_args!(
                    "the key `{start}` stands twice"
                )));
            }
            object.insert(key, value);
        }
        if let Some(key) = doubled_but_for_case(&object) {
            let start: String = key.chars().take(80).collect();
            return Err(A::Error::custom(format_args!(
                "the key `{start}` stands twice but for its case"
            )));
        }
        Ok(Value::Object(object))
    }
}

/// A key that a reader who ignores case takes for another one of the object.
fn doubled_but_for_case(object: &Map<String, Value>) -> Option<&str> {
    let is_plain = |key: &String| {
        !key.bytes()
            .any(|byte| byte.is_ascii_uppercase() || !byte.is_ascii())
    };
    if object.keys().all(is_plain) {
        return None;
    }
    let mut seen = BTreeSet::new();
    let mut keys = object.keys();
    keys.find(|key| !seen.insert(folded(key)))
        .map(String::as_str)
}

/// The text without case: what looks the same to a reader who ignores it,
/// U+017F (a long s) and U+212A (the sign of the kelvin) included.
pub fn folded(text: &str) -> String {
    text.chars()
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ordinary_json_reads_as_it_is() {
        let text = br#"{"a": [1, -2, 0.5, "x", null, true], "b": {"c": 9007199254740992}}"#;
        let value =
            json!({"a": [1, -2, 0.5, "x", null, true], "b": {"c": 9_007_199_254_740_992_u64}});
        assert_eq!(parse(text).unwrap(), value);
    }

    #[test]
    fn a_key_that_stands_twice_is_refused_at_any_depth() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"[{"b":{"a":1,"c":2,"a":3}}]"#,
            r#"{"a":1,"\u0061":2}"#,
        ] {
            let error = parse(text.as_bytes()).unwrap_err();
            assert!(
                error.to_string().contains("the key `a` stands twice"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_key_that_differs_in_case_alone_is_refused() {
        for text in [
            r#"{"name":1,"Name":2}"#,
            r#"[{"params":{"x":1},"param\u017f":2}]"#,
            r#"{"key":1,"\u212aey":2}"#,
            r#"{"É":1,"é":2}"#,
        ] {
            let error = parse(text.as_bytes()).unwrap_err();
            assert!(
                error.to_string().contains("but for its case"),
                "{text}: {error}"
            );
        }
        assert!(parse(r#"{"clientInfo":1,"client":2,"É":3}"#.as_bytes()).is_ok());
    }

    #[test]
    fn numbers_that_would_be_rounded_are_refused() {
        for text in [
            "9007199254740993",
            "-9007199254740993",
            "18446744073709551616",
            "1e300",
            "1e999",
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn depth_and_rest_are_bounded() {
        let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(nested(DEEPEST).as_bytes()).is_ok());
        assert!(parse(nested(DEEPEST + 1).as_bytes()).is_err());
        assert!(parse(nested(100_000).as_bytes()).is_err());
        for text in ["", "{} {}", "{", "nul", "{'a':1}", "\u{feff}{}"] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(parse(b"\"\xff\"").is_err());
    }
}
