//! Names that cannot be wrong: each is checked once, where it enters, and
//! carries its rule in its type.

use std::borrow::Borrow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a text is not the name it was meant to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {expected}")]
pub struct NameError {
    text: String,
    expected: &'static str,
}

/// Defines a name: a newtype over `String` that only its rule can make.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $expected:literal, $rule:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks `text` against the rule of this name.
            pub fn parse(text: &str) -> Result<Self, NameError> {
                let rule: fn(&str) -> bool = $rule;
                if rule(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(NameError { text: excerpt(text), expected: $expected })
                }
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(&self.0)
            }
        }
    };
}

name!(
    /// An organisation: a DNS label of at most 40 characters, so that names
    /// made from it (hosts, labels, schemas) stay within 63.
    Organization,
    "an organisation name (1-40 of a-z, 0-9 and `-`, starting and ending with a letter or digit)",
    |text| is_dns_label(text, 40)
);
name!(
    /// A connector: the name of its file, and the first word of its tools.
    ConnectorName,
    "a connector name (1-16 of a-z and 0-9, starting with a letter)",
    |text| starts_with_letter(text)
        && text.len() <= 16
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
);
name!(
    /// A place that hears of what happens: a DNS label that leaves room for what
    /// the operator puts before it in the name of a volume.
    DestinationName,
    "a destination's name (1-40 of a-z, 0-9 and `-`, starting and ending with a letter or digit)",
    |text| is_dns_label(text, 40)
);
name!(
    /// A tool. The characters are a subset of what MCP allows (SEP-986), the
    /// length leaves room for the prefixes that clients add.
    ToolName,
    "a tool name (1-64 of a-z, 0-9 and `_`, starting with a letter)",
    |text| starts_with_letter(text)
        && text.len() <= 64
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
);
name!(
    /// An account at a vendor, in the vendor's own spelling: `act_42`,
    /// `1234567890`. It may become a URL path segment, hence the narrow set.
    AccountId,
    "an account id (1-64 of A-Z, a-z, 0-9, `_` and `-`)",
    |text| !text.is_empty()
        && text.len() <= 64
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
);
name!(
    /// An API key's public id: the name of its `McpApiKey`.
    KeyId,
    "a key id (1-40 of a-z, 0-9 and `-`, starting and ending with a letter or digit)",
    |text| is_dns_label(text, 40)
);
name!(
    /// An object at a vendor, such as a campaign or a deal, in the vendor's own
    /// spelling. Google's are paths, hence the `/`.
    ObjectId,
    "an object's id (1-128 of A-Z, a-z, 0-9, `_`, `/` and `-`)",
    |text| !text.is_empty()
        && text.len() <= 128
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'/' | b'-'))
);
name!(
    /// A currency by its ISO 4217 code.
    Currency,
    "a currency code (three capital letters, ISO 4217)",
    |text| text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase())
);

/// Whether it is a DNS label of at most that length (RFC 1123): a-z, 0-9 and
/// `-`, starting and ending with a letter or digit.
pub fn is_dns_label(text: &str, longest: usize) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    text.len() <= longest
        && !text.is_empty()
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn starts_with_letter(text: &str) -> bool {
    text.bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_lowercase())
}

/// The start of a text, so that an error never repeats a megabyte.
fn excerpt(text: &str) -> String {
    const LONGEST: usize = 80;
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    text.chars().take(LONGEST).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_rule() {
        for good in ["a", "acme", "a-1", &"a".repeat(40)] {
            assert!(Organization::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a_b", "a.b", &"a".repeat(41)] {
            assert!(Organization::parse(bad).is_err(), "{bad}");
        }
        assert!(ConnectorName::parse("meta").is_ok());
        assert!(ConnectorName::parse("meta_ads").is_err());
        assert!(ToolName::parse("meta_list_campaigns").is_ok());
        assert!(ToolName::parse("1meta").is_err());
        assert!(AccountId::parse("act_42").is_ok());
        for bad in ["", "act/42", "act_42?method=post", "act_42\n"] {
            assert!(AccountId::parse(bad).is_err(), "{bad}");
        }
        assert!(Currency::parse("EUR").is_ok());
        assert!(Currency::parse("eur").is_err());
    }

    #[test]
    fn a_name_is_checked_when_deserialized() {
        let error = serde_json::from_str::<Currency>("\"Euro\"").unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("`Euro` is not a currency code (three capital letters, ISO 4217)"),
            "{error}"
        );
    }

    #[test]
    fn an_error_repeats_at_most_the_start_of_a_text() {
        let error = KeyId::parse(&"x".repeat(10_000)).unwrap_err();
        assert!(error.to_string().len() < 300);
    }
}
