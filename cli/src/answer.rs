//! What a command has to say, and how it ends.

use std::fmt::Write as _;
use std::io::Write as _;

use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_saphyr::DoubleQuoted;
use tenantry_api::document::flaw::Flaw;
use tenantry_core::text::is_deceptive;

/// What a command found out, or did.
#[derive(Debug)]
pub struct Answer {
    /// For stdout.
    pub text: String,
    /// For stderr: what is for people alone.
    pub note: Option<String>,
    /// Whether everything is as it should be.
    pub is_good: bool,
    /// Whether all of it could be told.
    pub is_known: bool,
}

impl Answer {
    /// That everything is as it should be.
    pub fn good(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            note: None,
            is_good: true,
            is_known: true,
        }
    }

    /// The same, with something for people alone.
    #[must_use]
    pub fn noting(self, note: impl Into<String>) -> Self {
        Self {
            note: Some(note.into()),
            ..self
        }
    }
}

/// Why a command has no answer, one text a reason.
#[derive(Debug)]
pub struct Unusable {
    /// Why.
    pub reasons: Vec<String>,
    /// Whether it is known that what was asked for was not done; otherwise
    /// nothing could be told.
    pub is_refused: bool,
}

impl Unusable {
    /// One reason.
    pub fn because(reason: impl Into<String>) -> Self {
        Self::all(vec![reason.into()])
    }

    /// That these are wrong.
    pub fn of(flaws: &[Flaw]) -> Self {
        Self::all(flaws.iter().map(Flaw::to_string).collect())
    }

    /// All of these reasons.
    pub fn all(reasons: Vec<String>) -> Self {
        Self {
            reasons,
            is_refused: false,
        }
    }

    /// That what was asked for was not done.
    pub fn refused(reason: impl Into<String>) -> Self {
        Self {
            is_refused: true,
            ..Self::because(reason)
        }
    }
}

/// Says something at once, for what must not be lost to what comes after it.
pub fn tell(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// The form for programs: indented, so that people can read it as well. What could
/// deceive them is escaped, which says the same to a program.
pub fn json(value: &impl Serialize) -> String {
    // A struct of strings, numbers and vectors always has a JSON form.
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    escaped(&text, |one, to| {
        // Writing to a text cannot fail.
        for unit in one.encode_utf16(&mut [0; 2]) {
            let _ = write!(to, "\\u{unit:04x}");
        }
    }) + "\n"
}

/// The same as YAML.
pub fn yaml(value: &impl Serialize) -> Result<String, Unusable> {
    let failed =
        |error: &dyn std::error::Error| Unusable::because(format!("writing YAML: {error}"));
    let text = serde_saphyr::to_string(value).map_err(|error| failed(&error))?;
    if !text.chars().any(is_escaped) {
        return Ok(text);
    }
    let value = serde_json::to_value(value).map_err(|error| failed(&error))?;
    let text = serde_saphyr::to_string(&Quoted(&value)).map_err(|error| failed(&error))?;
    Ok(escaped(&text, |one, to| {
        let _ = match u32::from(one) {
            code @ 0..=0xffff => write!(to, "\\u{code:04x}"),
            code => write!(to, "\\U{code:08x}"),
        };
    }))
}

/// A value whose texts stand in quotes where something in them is to be escaped.
struct Quoted<'v>(&'v Value);

impl Serialize for Quoted<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::String(text) if text.chars().any(is_escaped) => DoubleQuoted(text).serialize(to),
            Value::Array(items) => to.collect_seq(items.iter().map(Quoted)),
            Value::Object(fields) => {
                to.collect_map(fields.iter().map(|(name, value)| (name, Quoted(value))))
            }
            other => other.serialize(to),
        }
    }
}

/// Line feeds part the lines of both forms, and are escaped within texts already.
fn is_escaped(one: char) -> bool {
    one != '\n' && is_deceptive(one)
}

fn escaped(text: &str, write: impl Fn(char, &mut String)) -> String {
    let mut shown = String::with_capacity(text.len());
    for one in text.chars() {
        if is_escaped(one) {
            write(one, &mut shown);
        } else {
            shown.push(one);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn programs_read_the_same_and_nobody_is_deceived() {
        let value = json!({
            "name": "gpj\u{202e}exe", "tag": "a\u{e0041}\u{feff}b", "lines": "a\n\tb\u{200b}\n\\u202e",
            "list": ["\u{9b}31m", "\u{1b}[31m\u{7f}", "'\"\u{2066}: #"], "plain": "Frühling ❤️ שלום",
            "more": {"number": 1, "none": null, "long": "x ".repeat(200)},
        });
        let texts = [json(&value), yaml(&value).unwrap()];
        for text in &texts {
            let mut raw = text.chars().filter(|one| is_escaped(*one));
            assert_eq!(raw.next(), None, "{text}");
            assert!(
                text.contains("gpj\\u202eexe") && text.contains("Frühling ❤️ שלום"),
                "{text}"
            );
        }
        assert_eq!(serde_json::from_str::<Value>(&texts[0]).unwrap(), value);
        assert_eq!(serde_saphyr::from_str::<Value>(&texts[1]).unwrap(), value);
    }

    #[test]
    fn what_deceives_nobody_is_written_as_ever() {
        let value = json!({"b": "one\ntwo\n", "a": ["x", 1]});
        assert_eq!(
            yaml(&value).unwrap(),
            serde_saphyr::to_string(&value).unwrap()
        );
    }
}
