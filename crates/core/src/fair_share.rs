//! Fairness: one bucket of calls that all keys of an organisation share, from
//! which a greedy key cannot take what another one needs. Pure; time is told.
//!
//! The upper half of the bucket is for everybody. The lower half is for the
//! keys that have lately used no more than the average: a key that asks without
//! end lives on what flows over, and who comes now and then finds calls left.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::name::KeyId;
use crate::tenant::RateLimit;

/// What one call costs: a bucket that fills at one call a minute gains one
/// unit a microsecond.
const CALL: u64 = 60_000_000;

/// What a call counts in the use of its key; halved every [`HALF_LIFE_US`].
const WEIGHT: u64 = 1 << 10;

/// How fast use is forgotten: slow enough to see who is greedy, fast enough
/// that a burst is forgiven within the minute that rates are told in.
const HALF_LIFE_US: u64 = 10_000_000;

/// A key that has not asked for so long shares no more.
const ACTIVE_US: u64 = 60_000_000;

/// A bucket of calls with a fair share for every key that asks.
#[derive(Debug, Clone)]
pub struct FairBucket {
    per_minute: u64,
    capacity: u64,
    level: u64,
    filled_us: u64,
    halved_us: u64,
    users: BTreeMap<KeyId, Use>,
}

/// What one key lately used.
#[derive(Debug, Clone, Copy)]
struct Use {
    weight: u64,
    asked_us: u64,
}

impl FairBucket {
    /// A full bucket.
    pub fn new(rate: RateLimit) -> Self {
        let capacity = u64::from(rate.burst.max(1)) * CALL;
        Self {
            per_minute: rate.per_minute.max(1).into(),
            capacity,
            level: capacity,
            filled_us: 0,
            halved_us: 0,
            users: BTreeMap::new(),
        }
    }

    /// The rate is this one from now on; what was used stays used.
    pub fn set_rate(&mut self, rate: RateLimit, now: Duration) {
        self.advance(u64::try_from(now.as_micros()).unwrap_or(u64::MAX));
        let used = self.capacity - self.level;
        let Self {
            per_minute,
            capacity,
            ..
        } = Self::new(rate);
        self.per_minute = per_minute;
        self.capacity = capacity;
        self.level = capacity.saturating_sub(used);
    }

    /// Takes one call for `key` at `now`, a time since any fixed moment that
    /// does not run backwards; else says how long to wait.
    pub fn take(&mut self, key: &KeyId, now: Duration) -> Result<(), Duration> {
        let now_us = u64::try_from(now.as_micros()).unwrap_or(u64::MAX);
        self.advance(now_us);
        let own = self.ask(key, now_us);
        let needed = CALL + self.kept_from(own);
        if self.level < needed {
            let missing = needed - self.level;
            return Err(Duration::from_micros(missing.div_ceil(self.per_minute)));
        }
        self.level -= CALL;
        if let Some(mine) = self.users.get_mut(key) {
            mine.weight += WEIGHT;
        }
        Ok(())
    }

    /// What a key of that use must leave in the bucket.
    fn kept_from(&self, own: u64) -> u64 {
        let count = u64::try_from(self.users.len()).unwrap_or(u64::MAX);
        let all: u64 = self.users.values().map(|user| user.weight).sum();
        if own.saturating_mul(count) <= all {
            return 0;
        }
        // Whole calls, and never the only one.
        self.capacity / CALL / 2 * CALL
    }

    /// Notes that `key` asks; answers its use until now.
    fn ask(&mut self, key: &KeyId, now_us: u64) -> u64 {
        if let Some(known) = self.users.get_mut(key) {
            known.asked_us = now_us;
            return known.weight;
        }
        let new = Use {
            weight: 0,
            asked_us: now_us,
        };
        self.users.insert(key.clone(), new);
        0
    }

    fn advance(&mut self, now_us: u64) {
        let passed = now_us.saturating_sub(self.filled_us);
        let gained = passed.saturating_mul(self.per_minute);
        self.level = self.level.saturating_add(gained).min(self.capacity);
        self.filled_us = self.filled_us.max(now_us);
        let halvings = now_us.saturating_sub(self.halved_us) / HALF_LIFE_US;
        if halvings == 0 {
            return;
        }
        self.halved_us += halvings * HALF_LIFE_US;
        self.users.retain(|_, user| {
            user.weight = user
                .weight
                .checked_shr(u32::try_from(halvings).unwrap_or(u32::MAX))
                .unwrap_or(0);
            now_us.saturating_sub(user.asked_us) < ACTIVE_US
        });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bucket(per_minute: u32, burst: u32) -> FairBucket {
        FairBucket::new(RateLimit { per_minute, burst })
    }

    fn key(id: &str) -> KeyId {
        KeyId::parse(id).unwrap()
    }

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn what_was_used_stays_used_under_another_rate() {
        let take = |bucket: &mut FairBucket| bucket.take(&key("a"), at(0)).is_ok();
        let mut bucket = bucket(1, 4);
        let rate = |burst| RateLimit {
            per_minute: 1,
            burst,
        };
        assert!(take(&mut bucket) && take(&mut bucket));
        bucket.set_rate(rate(3), at(0));
        assert!(take(&mut bucket) && !take(&mut bucket));
        bucket.set_rate(rate(1), at(0));
        assert!(!take(&mut bucket));
        bucket.set_rate(rate(4), at(0));
        assert!(take(&mut bucket) && take(&mut bucket) && take(&mut bucket));
        assert!(
            !take(&mut bucket),
            "three of four were used at the last change"
        );
    }

    /// Each key asks at its own pace for ten minutes; the calls asked for and
    /// those granted, by key.
    fn ten_minutes(bucket: &mut FairBucket, every_ms: &[u64]) -> Vec<(u64, u64)> {
        let keys: Vec<KeyId> = (0..every_ms.len())
            .map(|number| key(&format!("k{number}")))
            .collect();
        let mut counts = vec![(0, 0); every_ms.len()];
        for now in 0..600_000 {
            for (position, pace) in every_ms.iter().enumerate() {
                if now % pace == 0 {
                    counts[position].0 += 1;
                    counts[position].1 += u64::from(bucket.take(&keys[position], at(now)).is_ok());
                }
            }
        }
        counts
    }

    #[test]
    fn a_lone_key_has_the_whole_bucket() {
        let mut bucket = bucket(60, 10);
        let granted = (0..20).filter(|_| bucket.take(&key("a"), at(0)).is_ok());
        assert_eq!(granted.count(), 10);
        assert_eq!(bucket.take(&key("a"), at(0)), Err(at(1_000)));
        assert_eq!(bucket.take(&key("a"), at(999)), Err(at(1)));
        assert_eq!(bucket.take(&key("a"), at(1_000)), Ok(()));
    }

    #[test]
    fn a_greedy_key_does_not_starve_a_modest_one() {
        // 60 a minute for both; one asks a thousand times a second, the other
        // 20 times a minute, well within its half.
        let counts = ten_minutes(&mut bucket(60, 10), &[1, 3_000]);
        let (asked, granted) = counts[1];
        assert_eq!(asked, 200);
        assert_eq!(granted, 200, "the modest key gets all it asks for");
        let all = granted + counts[0].1;
        assert!((600..=610).contains(&all), "nothing is wasted: {all}");
    }

    #[test]
    fn whoever_comes_after_a_greedy_key_waits_for_one_call_at_most() {
        let mut bucket = bucket(60, 10);
        for now in 0..30_000 {
            let _ = bucket.take(&key("greedy"), at(now));
        }
        let wait = bucket.take(&key("late"), at(30_000)).err();
        assert!(wait.is_none_or(|wait| wait <= at(1_000)), "{wait:?}");
        // Meanwhile the greedy one goes on, and takes nothing of it.
        for now in 30_001..31_001 {
            let _ = bucket.take(&key("greedy"), at(now));
        }
        assert_eq!(bucket.take(&key("late"), at(31_001)), Ok(()));
    }

    #[test]
    fn greedy_keys_share_alike() {
        let counts = ten_minutes(&mut bucket(600, 50), &[1, 2, 3, 5]);
        for (position, (_, granted)) in counts.iter().enumerate() {
            assert!((1_350..=1_650).contains(granted), "{position}: {counts:?}");
        }
    }

    #[test]
    fn keys_that_went_away_are_forgotten() {
        let mut bucket = bucket(60, 10);
        for number in 0..100 {
            let _ = bucket.take(&key(&format!("k{number}")), at(number));
        }
        assert_eq!(bucket.users.len(), 100);
        assert!(bucket.take(&key("last"), at(200_000)).is_ok());
        assert_eq!(bucket.users.len(), 1);
    }

    proptest! {
        /// Whoever asks when: never more than the burst and what flowed in.
        #[test]
        fn no_order_of_asking_yields_more_than_the_rate(
            per_minute in 1_u32..1_000, burst in 1_u32..50,
            asks in prop::collection::vec((0_u8..5, 0_u64..500), 1..400),
        ) {
            let mut bucket = bucket(per_minute, burst);
            let (mut now, mut granted) = (0, 0);
            for (who, pause) in asks {
                now += pause;
                match bucket.take(&key(&format!("k{who}")), at(now)) {
                    Ok(()) => granted += 1,
                    Err(wait) => prop_assert!(wait > Duration::ZERO),
                }
            }
            let inflow = now * u64::from(per_minute) / 60_000;
            prop_assert!(granted <= u64::from(burst) + inflow);
        }

        /// The wait that is told is long enough when nobody else asks.
        #[test]
        fn whoever_waits_as_told_is_served(per_minute in 1_u32..1_000, burst in 1_u32..50, greed in 1_u64..200) {
            let mut bucket = bucket(per_minute, burst);
            for _ in 0..greed {
                let _ = bucket.take(&key("a"), at(0));
            }
            if let Err(wait) = bucket.take(&key("a"), at(1)) {
                prop_assert_eq!(bucket.take(&key("a"), at(1) + wait), Ok(()));
            }
        }
    }
}
