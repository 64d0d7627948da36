//! How often and how many at once. Counts live in this process; with several
//! replicas each has its own, so the bound of the tenant is that many times as
//! wide for reads. Money is counted in the ledger instead.

use std::num::NonZeroU32;
use std::sync::Arc;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, NotUntil, Quota, RateLimiter};
use tenantry_core::name::KeyId;
use tenantry_core::reason::{Reason, Refusal};
use tenantry_core::tenant::{Limits, RateLimit};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What to wait when all places are taken: about one read at a vendor.
const BUSY_RETRY_MS: u64 = 500;

/// The limits of one contract, with what is used of them.
pub struct Limiter {
    limits: Limits,
    // Keys of this map passed authentication, so it is as small as their number.
    per_key: DefaultKeyedRateLimiter<KeyId>,
    per_tenant: DefaultDirectRateLimiter,
    places: Arc<Semaphore>,
}

/// A place among the calls in progress; free again when dropped.
pub struct Place {
    _permit: OwnedSemaphorePermit,
}

impl Limiter {
    /// Nothing used yet.
    pub fn new(limits: Limits) -> Self {
        let places = usize::try_from(limits.concurrency)
            .unwrap_or(usize::MAX)
            .min(Semaphore::MAX_PERMITS);
        Self {
            limits,
            per_key: RateLimiter::keyed(quota(limits.per_key)),
            per_tenant: RateLimiter::direct(quota(limits.per_tenant)),
            places: Arc::new(Semaphore::new(places)),
        }
    }

    /// The limits it keeps.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Takes a place for a call of `key`, if the limits leave one.
    pub fn take(&self, key: &KeyId) -> Result<Place, Refusal> {
        // The place first: a call that finds none has used up no rate.
        let permit = Arc::clone(&self.places)
            .try_acquire_owned()
            .map_err(|_| busy(self.limits.concurrency))?;
        self.per_key
            .check_key(key)
            .map_err(|not_until| limited("this key", self.limits.per_key, &not_until))?;
        self.per_tenant
            .check()
            .map_err(|not_until| limited("the organisation", self.limits.per_tenant, &not_until))?;
        Ok(Place { _permit: permit })
    }
}

fn quota(rate: RateLimit) -> Quota {
    // INVARIANT: the contract was read, and a contract with a 0 does not read.
    let at_least_one = |count| NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN);
    Quota::per_minute(at_least_one(rate.per_minute)).allow_burst(at_least_one(rate.burst))
}

fn busy(concurrency: u32) -> Refusal {
    let message =
        format!("{concurrency} calls are in progress, as many as the organisation may have");
    Refusal::new(Reason::ServerBusy, message).with_retry_after_ms(BUSY_RETRY_MS)
}

fn limited(
    whose: &str,
    rate: RateLimit,
    not_until: &NotUntil<<DefaultClock as governor::clock::Clock>::Instant>,
) -> Refusal {
    let wait = not_until.wait_time_from(DefaultClock::default().now());
    // Rounded up: a retry after the time said must not be too early.
    let wait_ms = u64::try_from(wait.as_millis())
        .unwrap_or(u64::MAX)
        .saturating_add(1);
    let message = format!(
        "{whose} may make {} calls a minute and {} at once",
        rate.per_minute, rate.burst
    );
    Refusal::new(Reason::RateLimited, message).with_retry_after_ms(wait_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(per_minute: u32, burst: u32) -> RateLimit {
        RateLimit { per_minute, burst }
    }

    fn limiter(per_key: RateLimit, per_tenant: RateLimit, concurrency: u32) -> Limiter {
        Limiter::new(Limits {
            per_key,
            per_tenant,
            concurrency,
        })
    }

    fn key(id: &str) -> KeyId {
        KeyId::parse(id).unwrap()
    }

    #[test]
    fn one_key_that_is_over_its_rate_does_not_stop_another() {
        let limiter = limiter(rate(1, 1), rate(60, 60), 9);
        assert!(limiter.take(&key("a")).is_ok());
        let refusal = limiter.take(&key("a")).err().unwrap();
        assert_eq!(refusal.reason, Reason::RateLimited);
        assert_eq!(
            refusal.message,
            "this key may make 1 calls a minute and 1 at once"
        );
        let wait = refusal.retry_after_ms.unwrap();
        assert!((1..=60_001).contains(&wait), "{wait}");
        assert!(limiter.take(&key("b")).is_ok());
    }

    #[test]
    fn all_keys_together_have_a_rate_as_well() {
        let limiter = limiter(rate(60, 60), rate(1, 1), 9);
        assert!(limiter.take(&key("a")).is_ok());
        let refusal = limiter.take(&key("b")).err().unwrap();
        assert_eq!(
            refusal.message,
            "the organisation may make 1 calls a minute and 1 at once"
        );
    }

    #[test]
    fn a_place_is_free_again_when_the_call_ends() {
        let limiter = limiter(rate(60, 60), rate(60, 60), 1);
        let place = limiter.take(&key("a")).ok();
        assert!(place.is_some());
        assert_eq!(
            limiter.take(&key("b")).err().unwrap().reason,
            Reason::ServerBusy
        );
        drop(place);
        assert!(limiter.take(&key("b")).is_ok());
    }
}
