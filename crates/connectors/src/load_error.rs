//! Why a connector file does not load.

/// The first doubtful thing in a connector file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("connector file `{file}`, line {line}: {reason}")]
pub struct LoadError {
    /// The file's name, as given by the caller.
    pub file: String,
    /// The line, counted from 1.
    pub line: u64,
    /// What is doubtful there, and what would not be.
    pub reason: String,
}
