//! Credentials that a vendor does not take any more, of which no line tells: they
//! are looked at, and told of once. Pure but for the look.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use secrecy::ExposeSecret as _;
use tenantry_core::digest::Digest;
use tenantry_core::name::ConnectorName;
use tenantry_core::reason::Reason;

use super::notice::{self, Refused};
use crate::counter::Counter;
use crate::report::connector_report;

/// A token that is refused, taken and refused again is told of no more often: a
/// vendor in trouble is no reason to fill a channel.
const AGAIN: Duration = Duration::from_hours(1);

/// What was told of.
#[derive(Default)]
pub struct Known(BTreeMap<ConnectorName, Tale>);

/// What was told of one connector.
struct Tale {
    token: Digest,
    at: Instant,
    /// Whether it was taken since.
    is_mended: bool,
}

impl Known {
    /// Whether it is to be told that the token is refused.
    fn is_news(
        &mut self,
        connector: &ConnectorName,
        token: Digest,
        is_refused: bool,
        now: Instant,
    ) -> bool {
        let tale = self.0.get_mut(connector);
        if !is_refused {
            if let Some(tale) = tale {
                tale.is_mended = true;
            }
            return false;
        }
        let is_known = tale.is_some_and(|tale| {
            let is_early = now.duration_since(tale.at) < AGAIN;
            tale.token == token && (!tale.is_mended || is_early)
        });
        if !is_known {
            let tale = Tale {
                token,
                at: now,
                is_mended: false,
            };
            self.0.insert(connector.clone(), tale);
        }
        !is_known
    }
}

/// Looks at all credentials, and tells of those that are refused since.
pub fn look(counter: &Counter, known: &mut Known) {
    let Some(in_force) = counter.standing().in_force else {
        return;
    };
    let at = counter.clock.now();
    for (connector, grant) in in_force.grants() {
        // Where there is none, the report says so; it may be on its way.
        let Ok(token) = grant.tokens.token() else {
            continue;
        };
        let token = Digest::of(token.expose_secret().as_bytes());
        let report = connector_report(connector, &grant, at);
        let is_refused = report.reason.as_deref() == Some(Reason::ReconnectRequired.as_str());
        if !known.is_news(connector, token, is_refused, Instant::now()) {
            continue;
        }
        let refused = Refused {
            organization: in_force.tenant.organization.as_str(),
            tenant_uid: &in_force.tenant.tenant_uid,
            connector,
            token,
            message: report.message.as_deref().unwrap_or_default(),
            at,
        };
        let notifier = &counter.notifier;
        notifier.spread(notice::of_credential(&refused, notifier.namespace()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_told_of_once_and_another_one_anew() {
        let mut known = Known::default();
        let meta = ConnectorName::parse("meta").unwrap();
        let (old, new) = (Digest::of(b"old"), Digest::of(b"new"));
        let now = Instant::now();
        let mut is_news = |token, is_refused, now| known.is_news(&meta, token, is_refused, now);
        assert!(!is_news(old, false, now));
        assert!(is_news(old, true, now));
        assert!(!is_news(old, true, now + 2 * AGAIN));
        assert!(is_news(new, true, now));
        // Taken in between, and refused once more.
        assert!(!is_news(new, false, now));
        assert!(!is_news(new, true, now + AGAIN / 2));
        assert!(is_news(new, true, now + AGAIN));
    }
}
