//! What a command has to say, and how it ends.

use std::io::Write as _;

use serde::Serialize;
use tenantry_api::document::flaw::Flaw;

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

/// The form for programs: indented, so that people can read it as well.
pub fn json(value: &impl Serialize) -> String {
    // A struct of strings, numbers and vectors always has a JSON form.
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    text + "\n"
}
