//! What is wrong with a folder of documents, and where.

use std::fmt;

/// One thing that is wrong, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    pub(super) file: String,
    pub(super) line: u64,
    pub(super) document: String,
    pub(super) reason: String,
}

/// All that is wrong, so that one edit can mend it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Flaws(pub Vec<Flaw>);

impl fmt::Display for Flaw {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            line,
            document,
            reason,
        } = self;
        write!(out, "`{file}`, line {line}")?;
        if !document.is_empty() {
            write!(out, " ({document})")?;
        }
        write!(out, ": {reason}")
    }
}

impl fmt::Display for Flaws {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        out.write_str(&told.join("; "))
    }
}
