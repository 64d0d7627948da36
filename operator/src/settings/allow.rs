//! What tenants may choose of what the platform decides.

use serde::Deserialize;

/// What tenants may choose. Nothing, unless the platform says so.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Allow {
    /// Images of servers beside the platform's own.
    #[serde(default)]
    pub images: Vec<Pattern>,
    /// PriorityClasses.
    #[serde(default)]
    pub priority_classes: Vec<Pattern>,
    /// RuntimeClasses.
    #[serde(default)]
    pub runtime_classes: Vec<Pattern>,
    /// Keys of annotations of pods.
    #[serde(default)]
    pub pod_annotations: Vec<Pattern>,
}

/// A word, or with a `*` at its end the beginning of one.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Pattern {
    text: String,
    is_prefix: bool,
}

/// How many objects of a kind an organisation's namespace may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Quota {
    /// Pods, the server's and any other.
    pub pods: u32,
    /// Volume claims, the ledger's and any other.
    pub persistent_volume_claims: u32,
    /// Services, the server's and any other.
    pub services: u32,
}

impl Pattern {
    /// Whether it means `word`.
    pub fn is_met_by(&self, word: &str) -> bool {
        if self.is_prefix {
            word.starts_with(&self.text)
        } else {
            word == self.text
        }
    }
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let end = if self.is_prefix { "*" } else { "" };
        write!(out, "{}{end}", self.text)
    }
}

impl TryFrom<String> for Pattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let (word, is_prefix) = match text.strip_suffix('*') {
            Some(word) => (word, true),
            None => (text.as_str(), false),
        };
        // Nobody allows everything by a slip of the pen.
        if word.is_empty() || word.contains('*') {
            return Err(format!(
                "`{text}` is no word and no beginning of one before a `*`"
            ));
        }
        Ok(Self {
            text: word.to_owned(),
            is_prefix,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Result<Pattern, String> {
        Pattern::try_from(text.to_owned())
    }

    #[test]
    fn a_pattern_is_a_word_or_the_beginning_of_one() {
        let whole = pattern("high").unwrap();
        assert!(whole.is_met_by("high") && !whole.is_met_by("higher"));
        let beginning = pattern("example.com/*").unwrap();
        assert!(beginning.is_met_by("example.com/team"));
        assert!(!beginning.is_met_by("example.org/team"));
        assert_eq!(beginning.to_string(), "example.com/*");
    }

    #[test]
    fn what_would_allow_everything_is_no_pattern() {
        for text in ["", "*", "a*b", "**"] {
            assert!(pattern(text).is_err(), "{text}");
        }
    }
}
