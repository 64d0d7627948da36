//! When tokens end: vendors are asked about each token in the background, so
//! that whoever must replace it hears of it in time. A failure changes nothing
//! but what is known.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use secrecy::ExposeSecret as _;
use tenantry_connectors::corridor::Corridor;
use tenantry_connectors::token::{TokenFacts, TokenSource};
use tenantry_core::digest::Digest;
use tenantry_core::name::ConnectorName;

use crate::counter::Counter;
use tenantry_core::cause::chain;

/// How often it is looked whether a token was replaced. Costs no request.
const LOOK: Duration = Duration::from_secs(2);

/// After a question in vain.
const RETRY: Duration = Duration::from_mins(5);

/// For one question.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is known of one connector's token.
#[derive(Default)]
pub struct KnownToken(Mutex<Option<Known>>);

/// What was heard of one token.
#[derive(Clone)]
struct Known {
    /// Which token it was.
    digest: Digest,
    facts: Option<TokenFacts>,
    at: Instant,
}

impl KnownToken {
    /// What the vendor said last.
    pub fn facts(&self) -> Option<TokenFacts> {
        self.get().and_then(|known| known.facts)
    }

    fn get(&self) -> Option<Known> {
        let known = self.0.lock();
        known.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, known: Known) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(known);
    }
}

/// Whether the vendor is to be asked about the token of that digest.
fn is_due(known: Option<&Known>, digest: &Digest, now: Instant, every: Duration) -> bool {
    known.is_none_or(|known| {
        let patience = if known.facts.is_some() { every } else { RETRY };
        known.digest != *digest || now.duration_since(known.at) >= patience
    })
}

/// Asks about every token that is new or was last asked about `every` ago, for
/// as long as it is polled.
pub async fn keep_inspected(counter: &Counter, every: Duration, changed: impl Fn()) {
    loop {
        if let Some(in_force) = counter.standing().in_force {
            for (name, grant) in in_force.grants() {
                if inspect(name, grant.tokens, grant.corridor, grant.known, every).await {
                    changed();
                }
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Asks, if it is time to; answers whether it did.
async fn inspect(
    name: &ConnectorName,
    tokens: &dyn TokenSource,
    corridor: &Corridor,
    known: &KnownToken,
    every: Duration,
) -> bool {
    // Without a token there is nothing to ask about; the report says so.
    let Ok(token) = tokens.token() else {
        return false;
    };
    let digest = Digest::of(token.expose_secret().as_bytes());
    if !is_due(known.get().as_ref(), &digest, Instant::now(), every) {
        return false;
    }
    let facts = match tokio::time::timeout(PATIENCE, corridor.inspect_token()).await {
        Ok(Ok(facts)) => facts,
        Ok(Err(error)) => {
            tracing::warn!(connector = %name, error = chain(&error), "the vendor said nothing about the token");
            None
        }
        Err(_) => None,
    };
    let at = Instant::now();
    known.set(Known { digest, facts, at });
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_token_is_asked_about_at_once_and_a_known_one_in_its_time() {
        let (now, hour) = (Instant::now(), Duration::from_hours(1));
        let (old, new) = (Digest::of(b"old"), Digest::of(b"new"));
        let facts = TokenFacts {
            is_valid: true,
            expires_at: None,
        };
        let known = |facts| Known {
            digest: old,
            facts,
            at: now,
        };
        assert!(is_due(None, &old, now, hour));
        let heard = known(Some(facts));
        assert!(is_due(Some(&heard), &new, now, hour));
        assert!(!is_due(Some(&heard), &old, now + RETRY, hour));
        assert!(is_due(Some(&heard), &old, now + hour, hour));
        assert!(!is_due(Some(&known(None)), &old, now, hour));
        assert!(is_due(Some(&known(None)), &old, now + RETRY, hour));
    }
}
