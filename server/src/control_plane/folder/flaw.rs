//! What is wrong with a folder of documents, and where.

use std::fmt;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// The file, the line and the document, as far as they are known.
    pub(super) place: String,
    pub(super) reason: String,
}

/// All that is wrong, so that one edit can mend it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Flaws(pub Vec<Flaw>);

impl Flaw {
    /// Wrong about everything that is there.
    pub(super) fn of_all(reason: impl Into<String>) -> Self {
        Self {
            place: String::new(),
            reason: reason.into(),
        }
    }

    pub(super) fn of_file(file: &str, reason: impl Into<String>) -> Self {
        Self {
            place: format!("`{file}`"),
            reason: reason.into(),
        }
    }

    pub(super) fn of_line(file: &str, line: u64, reason: impl Into<String>) -> Self {
        Self {
            place: format!("`{file}`, line {line}"),
            reason: reason.into(),
        }
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, reason } = self;
        if !place.is_empty() {
            write!(out, "{place}: ")?;
        }
        out.write_str(reason)
    }
}

impl fmt::Display for Flaws {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        out.write_str(&told.join("; "))
    }
}
