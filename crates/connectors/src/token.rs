//! Where the corridor takes its token from. How a token is stored or refreshed
//! is the business of whoever implements the source.

use secrecy::SecretString;

/// Gives the token for the next request; asked anew each time, so that a
/// rotated token is used at once.
pub trait TokenSource: Send + Sync {
    /// The present token.
    fn token(&self) -> Result<SecretString, TokenError>;
}

/// Why there is no token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Nothing is there.
    #[error("no token at {place}")]
    Missing {
        /// Where it was looked for, without any part of it.
        place: String,
    },
    /// Something is there that is not a token.
    #[error("the token at {place} cannot be used: {problem}")]
    Unreadable {
        /// Where it was found.
        place: String,
        /// What is wrong with it, without any part of it.
        problem: String,
    },
}

/// A token that stays the same.
pub struct StaticToken(SecretString);

impl StaticToken {
    /// The source of this one token.
    pub fn new(token: SecretString) -> Self {
        Self(token)
    }
}

impl TokenSource for StaticToken {
    fn token(&self) -> Result<SecretString, TokenError> {
        Ok(self.0.clone())
    }
}
