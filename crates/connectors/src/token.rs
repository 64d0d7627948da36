//! Where the corridor takes its token from. How a token is stored or refreshed
//! is the business of whoever implements the source.

use secrecy::SecretString;

/// Gives the token for the next request; asked anew each time, so that a
/// rotated token is used at once.
pub trait TokenSource: Send + Sync {
    /// The present token.
    fn token(&self) -> Result<SecretString, TokenError>;

    /// The secret of the app that the token was made for, where it is given.
    fn app_secret(&self) -> Result<Option<SecretString>, TokenError> {
        Ok(None)
    }
}

/// What the vendor says of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenFacts {
    /// It can be used.
    pub is_valid: bool,
    /// When it ends, in seconds since 1970; `None` if it does not.
    pub expires_at: Option<i64>,
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
