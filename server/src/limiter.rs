//! How often and how many at once, of one key and of all together. Counts live
//! in this process; with several replicas each has its own, so the bound of the
//! tenant is that many times as wide for reads. Money is counted in the ledger.

pub mod stop_lane;

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, NotUntil, Quota, RateLimiter};
use tenantry_core::fair_share::FairBucket;
use tenantry_core::name::KeyId;
use tenantry_core::reason::{Reason, Refusal};
use tenantry_core::tenant::{Limits, RateLimit};
use tokio::sync::OwnedSemaphorePermit;

use crate::places::{Full, Place, Places};
use stop_lane::StopLane;

/// What to wait when all places are taken: about one read at a vendor.
const BUSY_RETRY_MS: u64 = 500;

/// Requests of one key that may be arriving at the same time: a quarter of all
/// connections, so that slow bodies of one leave room for the others.
const MOST_ARRIVING: u32 = 128;

/// The limits of one contract, with what is used of them.
pub struct Limiter {
    limits: Limits,
    // Keys of these maps passed authentication, so they are as small as their
    // number.
    calls: Arc<DefaultKeyedRateLimiter<KeyId>>,
    messages: Arc<DefaultKeyedRateLimiter<KeyId>>,
    together: Arc<Mutex<FairBucket>>,
    began: Instant,
    places: Arc<Places>,
    arriving: Arc<Places>,
    /// For what only switches something off.
    stops: StopLane,
}

impl Limiter {
    /// Nothing used yet.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            calls: Arc::new(RateLimiter::keyed(quota(limits.per_key))),
            messages: Arc::new(RateLimiter::keyed(quota(limits.per_key))),
            together: Arc::new(Mutex::new(FairBucket::new(limits.per_tenant))),
            began: Instant::now(),
            places: Arc::new(Places::new(limits.concurrency, limits.per_key_concurrency)),
            arriving: Arc::new(Places::new(u32::MAX, MOST_ARRIVING)),
            stops: StopLane::new(),
        }
    }

    /// The limiter of the contract that follows. What was used of a limit stays
    /// used; only a key whose own rate changes begins anew.
    #[must_use]
    pub fn followed_by(&self, limits: Limits) -> Self {
        let Self { began, .. } = *self;
        let kept = self.limits.per_key == limits.per_key;
        let keyed = |rates: &Arc<DefaultKeyedRateLimiter<KeyId>>| {
            if kept {
                Arc::clone(rates)
            } else {
                Arc::new(RateLimiter::keyed(quota(limits.per_key)))
            }
        };
        if self.limits.per_tenant != limits.per_tenant {
            let mut together = self.together.lock().unwrap_or_else(PoisonError::into_inner);
            together.set_rate(limits.per_tenant, began.elapsed());
        }
        self.places
            .resize(limits.concurrency, limits.per_key_concurrency);
        Self {
            limits,
            calls: keyed(&self.calls),
            messages: keyed(&self.messages),
            together: Arc::clone(&self.together),
            began,
            places: Arc::clone(&self.places),
            arriving: Arc::clone(&self.arriving),
            stops: self.stops.clone(),
        }
    }

    /// The limits it keeps.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Counts a tool call of `key`, whatever becomes of it.
    pub fn charge_call(&self, key: &KeyId) -> Result<(), Refusal> {
        self.calls.check_key(key).map_err(|not_until| {
            limited("this key", "calls", self.limits.per_key, wait(&not_until))
        })?;
        let now = self.began.elapsed();
        let mut together = self.together.lock().unwrap_or_else(PoisonError::into_inner);
        together
            .take(key, now)
            .map_err(|wait| limited("the organisation", "calls", self.limits.per_tenant, wait))
    }

    /// Counts a request of `key` that is no tool call, or none that can be
    /// read. As many are free as calls are, beside them: a client greets and
    /// lists before it calls.
    pub fn charge_message(&self, key: &KeyId) -> Result<(), Refusal> {
        self.messages.check_key(key).map_err(|not_until| {
            limited(
                "this key",
                "other requests",
                self.limits.per_key,
                wait(&not_until),
            )
        })
    }

    /// Takes a place for a call of `key`, if there is one.
    pub fn place(&self, key: &KeyId) -> Result<Place, Refusal> {
        self.places.take(key).map_err(|full| {
            let (count, whose) = match full {
                Full::OfKey => (self.limits.per_key_concurrency, "the key"),
                Full::OfAll => (self.limits.concurrency, "the organisation"),
            };
            busy(format!(
                "{count} calls are in progress, as many as {whose} may have"
            ))
        })
    }

    /// Takes a stop of `key` in when it is its turn, whatever else the key and
    /// the organisation use.
    pub async fn enter_stop(&self, key: &KeyId) -> Result<Place, Refusal> {
        self.stops.enter(key).await.map_err(|_| {
            busy("the key switches off more at once than the server could hold".into())
        })
    }

    /// Takes a place for a stop; until `deadline` it waits for one.
    pub async fn place_of_stop(
        &self,
        deadline: tokio::time::Instant,
    ) -> Result<OwnedSemaphorePermit, Refusal> {
        let place = tokio::time::timeout_at(deadline, self.stops.place()).await;
        let place = place.ok().flatten();
        place.ok_or_else(|| busy("other calls are still switching things off".into()))
    }

    /// Takes a place for a request of `key` that is still arriving.
    pub fn arrive(&self, key: &KeyId) -> Result<Place, Refusal> {
        self.arriving.take(key).map_err(|_| {
            busy(format!(
                "{MOST_ARRIVING} requests of the key are arriving, as many as may"
            ))
        })
    }
}

fn quota(rate: RateLimit) -> Quota {
    // INVARIANT: the contract was read, and a contract with a 0 does not read.
    let at_least_one = |count| NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN);
    Quota::per_minute(at_least_one(rate.per_minute)).allow_burst(at_least_one(rate.burst))
}

fn busy(message: String) -> Refusal {
    Refusal::new(Reason::ServerBusy, message).with_retry_after_ms(BUSY_RETRY_MS)
}

fn wait(not_until: &NotUntil<<DefaultClock as governor::clock::Clock>::Instant>) -> Duration {
    not_until.wait_time_from(DefaultClock::default().now())
}

fn limited(whose: &str, what: &str, rate: RateLimit, wait: Duration) -> Refusal {
    // Rounded up: a retry after the time said must not be too early.
    let wait_ms = u64::try_from(wait.as_millis())
        .unwrap_or(u64::MAX)
        .saturating_add(1);
    let message = format!(
        "{whose} may make {} {what} a minute and {} at once",
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
            per_key_concurrency: concurrency.div_ceil(2),
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
        assert_eq!(limiter.charge_call(&key("a")), Ok(()));
        let refusal = limiter.charge_call(&key("a")).unwrap_err();
        assert_eq!(refusal.reason, Reason::RateLimited);
        assert_eq!(
            refusal.message,
            "this key may make 1 calls a minute and 1 at once"
        );
        let wait = refusal.retry_after_ms.unwrap();
        assert!((1..=60_001).contains(&wait), "{wait}");
        assert_eq!(limiter.charge_call(&key("b")), Ok(()));
    }

    #[test]
    fn what_is_no_call_is_counted_beside_the_calls() {
        let limiter = limiter(rate(1, 1), rate(60, 60), 9);
        assert_eq!(limiter.charge_call(&key("a")), Ok(()));
        assert_eq!(limiter.charge_message(&key("a")), Ok(()));
        assert_eq!(
            limiter.charge_message(&key("a")).unwrap_err().message,
            "this key may make 1 other requests a minute and 1 at once"
        );
    }

    #[test]
    fn all_keys_together_have_a_rate_as_well() {
        let limiter = limiter(rate(60, 60), rate(1, 1), 9);
        assert_eq!(limiter.charge_call(&key("a")), Ok(()));
        let refusal = limiter.charge_call(&key("b")).unwrap_err();
        assert_eq!(
            refusal.message,
            "the organisation may make 1 calls a minute and 1 at once"
        );
        assert!(refusal.retry_after_ms.is_some());
    }

    #[test]
    fn one_key_never_has_all_places() {
        let limiter = limiter(rate(60, 60), rate(60, 60), 3);
        let held = [limiter.place(&key("a")), limiter.place(&key("a"))];
        assert!(held.iter().all(Result::is_ok));
        assert_eq!(
            limiter.place(&key("a")).err().unwrap().message,
            "2 calls are in progress, as many as the key may have"
        );
        let last = limiter.place(&key("b"));
        assert!(last.is_ok());
        assert_eq!(
            limiter.place(&key("b")).err().unwrap().message,
            "3 calls are in progress, as many as the organisation may have"
        );
        drop(held);
        assert!(limiter.place(&key("a")).is_ok());
    }
}
