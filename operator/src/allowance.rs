//! How often one tenant may be told the same kind of thing: who fights over a
//! field all day long must not fill the cluster with Events.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Enough for a person at work, little for a loop.
const MOST_TOLD: u32 = 10;
const WINDOW: Duration = Duration::from_mins(1);

/// More tenants than a cluster can hold; to forget everybody costs a few Events.
const MOST_TENANTS: usize = 10_000;

/// What has been told of each tenant, by UID.
#[derive(Debug, Default)]
pub struct Allowance {
    spent: Mutex<HashMap<String, Spent>>,
}

#[derive(Debug)]
struct Spent {
    since: Instant,
    told: u32,
    untold: u32,
}

impl Allowance {
    /// Whether something may be told of `uid` at `now`; if so, how many things
    /// went untold since the last time.
    pub fn ask(&self, uid: &str, now: Instant) -> Option<u32> {
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        if spent.len() >= MOST_TENANTS && !spent.contains_key(uid) {
            spent.clear();
        }
        let mine = spent.entry(uid.to_owned()).or_insert(Spent {
            since: now,
            told: 0,
            untold: 0,
        });
        if now.duration_since(mine.since) >= WINDOW {
            mine.since = now;
            mine.told = 0;
        }
        if mine.told >= MOST_TOLD {
            mine.untold = mine.untold.saturating_add(1);
            return None;
        }
        mine.told += 1;
        Some(std::mem::take(&mut mine.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_is_told_of_ten_times_a_minute_and_counted() {
        let allowance = Allowance::default();
        let start = Instant::now();
        for _ in 0..MOST_TOLD {
            assert_eq!(allowance.ask("a", start), Some(0));
        }
        for _ in 0..3 {
            assert_eq!(allowance.ask("a", start), None);
        }
        assert_eq!(allowance.ask("b", start), Some(0));
        let later = start + WINDOW;
        assert_eq!(allowance.ask("a", later), Some(3));
        assert_eq!(allowance.ask("a", later), Some(0));
    }

    #[test]
    fn who_is_remembered_has_a_limit() {
        let allowance = Allowance::default();
        let now = Instant::now();
        for number in 0..=MOST_TENANTS {
            allowance.ask(&number.to_string(), now);
        }
        assert_eq!(allowance.spent.lock().unwrap().len(), 1);
    }
}
