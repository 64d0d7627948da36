//! The vendor's quotas as it last described them, and when to hold back: a call
//! that the vendor would throttle costs quota of its own and gets nothing.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tenantry_core::name::AccountId;
use tokio::time::Instant;

use crate::quota::QuotaObservation;

/// Scopes in quota headers are the vendor's to choose; more are not kept.
const MOST_QUOTAS: usize = 256;

/// Used up to here, a quota is left alone: Meta's figures lag by some calls.
const HOLD_AT_PERCENT: u32 = 95;

/// How long, where the vendor does not say. Its windows slide by the minute.
const HOLD: Duration = Duration::from_mins(1);

type Key = (String, Option<AccountId>, Option<String>);

/// Every quota that was seen.
#[derive(Default)]
pub(super) struct Quotas(Mutex<BTreeMap<Key, Seen>>);

struct Seen {
    observation: QuotaObservation,
    at: Instant,
}

/// A quota that is all but used up.
pub(super) struct Held {
    pub bucket: String,
    pub used_percent: u32,
    pub wait: Duration,
}

impl Quotas {
    /// Keeps what an answer to a request about `account` said.
    pub fn learn(&self, account: Option<&AccountId>, seen: &[QuotaObservation], at: Instant) {
        let mut known = self.lock();
        for observation in seen {
            let account = account.filter(|_| observation.of_account).cloned();
            let key = (
                observation.bucket.clone(),
                account,
                observation.scope.clone(),
            );
            if known.len() < MOST_QUOTAS || known.contains_key(&key) {
                let observation = observation.clone();
                known.insert(key, Seen { observation, at });
            }
        }
    }

    /// The quota that asks a request about `account` to wait longest.
    pub fn held(&self, account: Option<&AccountId>, now: Instant) -> Option<Held> {
        let known = self.lock();
        let concerned = known
            .iter()
            .filter(|((_, of, _), _)| of.is_none() || of.as_ref() == account);
        let held = concerned.filter_map(|((bucket, ..), seen)| {
            let wait = seen.until().checked_duration_since(now)?;
            let used_percent = seen.observation.used_percent;
            (used_percent >= HOLD_AT_PERCENT && !wait.is_zero()).then(|| Held {
                bucket: bucket.clone(),
                used_percent,
                wait,
            })
        });
        held.max_by_key(|held| held.wait)
    }

    /// All of them.
    pub fn all(&self) -> Vec<QuotaObservation> {
        let known = self.lock();
        known
            .values()
            .map(|seen| seen.observation.clone())
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Seen>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn until(&self) -> Instant {
        self.at + self.observation.wait_ms.map_or(HOLD, Duration::from_millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(
        bucket: &str,
        of_account: bool,
        used_percent: u32,
        wait_ms: Option<u64>,
    ) -> QuotaObservation {
        QuotaObservation {
            bucket: bucket.into(),
            scope: None,
            of_account,
            used_percent,
            wait_ms,
        }
    }

    fn account(id: &str) -> AccountId {
        AccountId::parse(id).unwrap()
    }

    #[test]
    fn a_quota_of_an_account_holds_back_that_account_alone_and_for_its_time() {
        let (quotas, now) = (Quotas::default(), Instant::now());
        let one = account("act_1");
        quotas.learn(Some(&one), &[seen("account", true, 96, Some(5_000))], now);
        let held = quotas.held(Some(&one), now).unwrap();
        assert_eq!((held.bucket.as_str(), held.used_percent), ("account", 96));
        assert_eq!(held.wait, Duration::from_secs(5));
        assert!(quotas.held(Some(&account("act_2")), now).is_none());
        assert!(quotas.held(None, now).is_none());
        assert!(
            quotas
                .held(Some(&one), now + Duration::from_secs(5))
                .is_none()
        );
    }

    #[test]
    fn a_quota_of_the_app_holds_everything_back() {
        let (quotas, now) = (Quotas::default(), Instant::now());
        quotas.learn(
            Some(&account("act_1")),
            &[seen("app", false, 95, None)],
            now,
        );
        for about in [None, Some(account("act_2"))] {
            assert_eq!(quotas.held(about.as_ref(), now).unwrap().wait, HOLD);
        }
    }

    #[test]
    fn room_in_a_quota_holds_nothing_back() {
        let (quotas, now) = (Quotas::default(), Instant::now());
        quotas.learn(None, &[seen("app", false, 94, Some(60_000))], now);
        assert!(quotas.held(None, now).is_none());
        quotas.learn(None, &[seen("app", false, 100, Some(60_000))], now);
        assert!(quotas.held(None, now).is_some());
        quotas.learn(None, &[seen("app", false, 10, None)], now);
        assert!(quotas.held(None, now).is_none(), "the latest word counts");
    }
}
