//! How long to wait before a tenant is tried again: longer each time, never
//! long, and forgotten with the first success.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The first wait: most errors are a race that is over by then.
const SHORTEST: Duration = Duration::from_millis(500);
/// The longest wait: a person who mended the cause should not have to wonder.
const LONGEST: Duration = Duration::from_mins(1);

/// More tenants than a cluster can hold. Who was deleted while failing is
/// remembered until then; to forget everybody costs a few early retries.
const MOST: usize = 10_000;

/// The failures in a row of each tenant, by UID.
#[derive(Debug, Default)]
pub struct Retries {
    failures: Mutex<HashMap<String, u32>>,
}

impl Retries {
    /// Counts a failure of `uid` and says how long to wait.
    pub fn failed(&self, uid: &str) -> Duration {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() >= MOST && !failures.contains_key(uid) {
            failures.clear();
        }
        let count = failures.entry(uid.to_owned()).or_default();
        *count = count.saturating_add(1);
        wait(*count)
    }

    /// Forgets the failures of `uid`.
    pub fn forget(&self, uid: &str) {
        self.failures
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(uid);
    }
}

fn wait(failures: u32) -> Duration {
    let doubled = failures.saturating_sub(1).min(16);
    SHORTEST.saturating_mul(1 << doubled).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_minute_and_start_over() {
        let retries = Retries::default();
        let waits: Vec<_> = (0..9).map(|_| retries.failed("a").as_millis()).collect();
        assert_eq!(
            waits,
            [500, 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000]
        );
        assert_eq!(retries.failed("b"), SHORTEST);
        retries.forget("a");
        assert_eq!(retries.failed("a"), SHORTEST);
        assert_eq!(wait(u32::MAX), LONGEST);
    }

    #[test]
    fn who_is_remembered_has_a_limit() {
        let retries = Retries::default();
        for number in 0..=MOST {
            retries.failed(&number.to_string());
        }
        assert_eq!(retries.failures.lock().unwrap().len(), 1);
    }
}
