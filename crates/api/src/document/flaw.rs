//! What is wrong with documents, and where.

use std::fmt;

/// How many of them are told: more than anybody mends at once, and few enough
/// for a line of the log.
pub(super) const MOST_TOLD: usize = 20;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// Where; absent where it is about everything that is there.
    pub place: Option<Place>,
    /// What is wrong, and what to do.
    pub reason: String,
}

/// A place among the documents, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: String,
    /// The line in it, from 1.
    pub line: Option<u64>,
    /// The kind and the name of the document.
    pub document: Option<(String, String)>,
}

/// All that is wrong, so that one edit can mend it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Flaws(pub Vec<Flaw>);

impl Flaw {
    /// Wrong about everything that is there.
    pub fn of_all(reason: impl Into<String>) -> Self {
        Self {
            place: None,
            reason: reason.into(),
        }
    }

    /// Wrong about a file.
    pub fn of_file(file: &str, reason: impl Into<String>) -> Self {
        Place {
            file: file.to_owned(),
            line: None,
            document: None,
        }
        .flaw(reason)
    }

    /// Wrong in that line of a file.
    pub fn of_line(file: &str, line: u64, reason: impl Into<String>) -> Self {
        Place {
            file: file.to_owned(),
            line: Some(line),
            document: None,
        }
        .flaw(reason)
    }
}

impl Place {
    /// What is wrong here.
    pub fn flaw(self, reason: impl Into<String>) -> Flaw {
        Flaw {
            place: Some(self),
            reason: reason.into(),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "`{}`", self.file)?;
        if let Some(line) = self.line {
            write!(out, ", line {line}")?;
        }
        if let Some((kind, name)) = &self.document {
            write!(out, " ({kind} `{name}`)")?;
        }
        Ok(())
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(out, "{place}: ")?;
        }
        out.write_str(&self.reason)
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
