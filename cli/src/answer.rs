//! What a command has to say, and how it ends.

use serde::Serialize;
use tenantry_api::document::flaw::Flaw;

/// What a command found out.
#[derive(Debug)]
pub struct Answer {
    /// For stdout.
    pub text: String,
    /// Whether everything is as it should be.
    pub is_good: bool,
}

/// Why nothing could be found out, one text a reason.
#[derive(Debug)]
pub struct Unusable(pub Vec<String>);

impl Unusable {
    /// One reason.
    pub fn because(reason: impl Into<String>) -> Self {
        Self(vec![reason.into()])
    }

    /// That these are wrong.
    pub fn of(flaws: &[Flaw]) -> Self {
        Self(flaws.iter().map(Flaw::to_string).collect())
    }
}

/// The form for programs: indented, so that people can read it as well.
pub fn json(value: &impl Serialize) -> String {
    // A struct of strings, numbers and vectors always has a JSON form.
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    text + "\n"
}
