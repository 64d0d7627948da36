//! What only an expression can say: CEL of type bool over one change.
//!
//! The language is closed, and a part of CEL. There are the fields of
//! `known::FIELDS`, literals, the operators of CEL, lists to the right of `in`,
//! `startsWith`, `endsWith`, `contains` and `amount`; no macros, no loops, no
//! other functions, no floating point. Reading an expression checks its names
//! and types and makes a tree of our own, so that evaluating it needs no
//! interpreter: each part is looked at once, and the cost is linear in the
//! size.
//!
//! It is read here and not by the crate `cel`, whose parser ends the process
//! (its stack overflows) at twenty brackets inside each other: an organisation
//! could stop the operator of all with one policy. The tests hold every
//! expression against that crate.
//!
//! Amounts are whole millionths, as everywhere: in the policy's currency where
//! it has one, rounded up. `amount("500.00")` is how to write one.

mod known;
mod read;
#[cfg(test)]
mod tests;
mod token;
mod tree;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use known::Known;
pub use tree::Doubt;

use crate::money::MoneyError;
use tree::Condition;

/// Bytes of an expression: more than anybody reads at once.
pub const LONGEST: usize = 1024;

/// Parts of an expression, so that its cost has a limit.
pub const MOST_PARTS: usize = 256;

/// Elements of a list.
pub const MOST_ELEMENTS: usize = 64;

/// How deep brackets may nest: reading them recurses.
const DEEPEST: usize = 32;

/// An expression that is known to be one: it was read, and its names and types
/// fit.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Expression {
    source: String,
    condition: Condition,
}

/// Why a text is no expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
    /// It is longer than [`LONGEST`].
    #[error("the expression is longer than {LONGEST} bytes")]
    TooLong,
    /// Too many parts, elements or levels.
    #[error(
        "the expression is too large: it may have {MOST_PARTS} parts, {MOST_ELEMENTS} elements in a list and {DEEPEST} levels"
    )]
    TooLarge,
    /// It says something that this language does not have.
    #[error("line {line}, column {column}: {cause}")]
    At {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// What is wrong there.
        cause: Cause,
    },
}

/// What is wrong at a place of an expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// A word or sign that cannot stand there.
    #[error("`{0}` was not expected here")]
    Unexpected(String),
    /// A name that nothing has.
    #[error("`{name}` is not known; there are {known}")]
    Unknown {
        /// The name.
        name: String,
        /// What there is in its place.
        known: String,
    },
    /// A word that the field never is: its rule would never fire.
    #[error("`{field}` is never `{word}`; it is one of {words}")]
    Never {
        /// The field.
        field: &'static str,
        /// The word.
        word: String,
        /// What it can be.
        words: String,
    },
    /// Something of another type.
    #[error("{place} needs {needed}, and `{found}` is {kind}")]
    Type {
        /// What needs it.
        place: &'static str,
        /// The type that is needed.
        needed: &'static str,
        /// What stands there.
        found: String,
        /// The type of that.
        kind: &'static str,
    },
    /// `amount` of a text that is none.
    #[error(transparent)]
    Amount(MoneyError),
    /// What CEL has and this language leaves out.
    #[error("{0}")]
    Unsupported(&'static str),
}

impl ExpressionError {
    /// `cause`, at so many bytes of `source`.
    fn at(source: &str, start: usize, cause: Cause) -> Self {
        let before = source.get(..start).unwrap_or_default();
        let line = before.rsplit('\n').next().unwrap_or_default();
        Self::At {
            line: before.matches('\n').count() + 1,
            column: line.chars().count() + 1,
            cause,
        }
    }
}

impl Expression {
    /// Reads and checks an expression.
    pub fn parse(source: &str) -> Result<Self, ExpressionError> {
        if source.len() > LONGEST {
            return Err(ExpressionError::TooLong);
        }
        Ok(Self {
            source: source.to_owned(),
            condition: read::read(source)?,
        })
    }

    /// The text that it was read from.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether it holds for a change. Whoever asks denies in doubt.
    pub fn holds(&self, change: &Known<'_>) -> Result<bool, Doubt> {
        self.condition.holds(change)
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for Expression {}

impl fmt::Debug for Expression {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Expression({:?})", self.source)
    }
}

impl TryFrom<String> for Expression {
    type Error = ExpressionError;

    fn try_from(source: String) -> Result<Self, ExpressionError> {
        Self::parse(&source)
    }
}

impl From<Expression> for String {
    fn from(expression: Expression) -> Self {
        expression.source
    }
}
