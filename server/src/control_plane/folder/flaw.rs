//! What is wrong with a folder of documents, and where.

use std::fmt;

/// How many of them are told: more than anybody mends at once, and few enough
/// for a line of the log.
pub(super) const MOST_TOLD: usize = 20;

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
        let told: Vec<_> = self.0.iter().take(MOST_TOLD).map(Flaw::to_string).collect();
        out.write_str(&told.join("; "))?;
        match self.0.len().saturating_sub(MOST_TOLD) {
            0 => Ok(()),
            more => write!(out, "; and {more} more mistakes"),
        }
    }
}
