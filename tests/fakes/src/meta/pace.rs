//! How often the budget of one ad set may change.

use std::collections::BTreeMap;

use super::wire::GraphError;

/// Meta: the budget of an ad set may change 4 times an hour; the fifth is
/// refused (613/1487632) and blocks its budget for an hour.
const MOST_CHANGES: usize = 4;
const HOUR_SECONDS: i64 = 3600;

/// The budget changes of the last hour by ad set.
#[derive(Default)]
pub(super) struct Pace {
    changes: BTreeMap<String, Vec<i64>>,
    blocked_until: BTreeMap<String, i64>,
}

impl Pace {
    /// Refuses a change that would be one too many.
    pub fn check(&mut self, ad_set: &str, now: i64) -> Result<(), GraphError> {
        let blocked = self.blocked_until.get(ad_set);
        if blocked.is_some_and(|until| now < *until) {
            return Err(too_often());
        }
        let recent = self.changes.get(ad_set).map_or(0, |all| {
            let since = |at: &&i64| now.saturating_sub(**at) < HOUR_SECONDS;
            all.iter().filter(since).count()
        });
        if recent < MOST_CHANGES {
            return Ok(());
        }
        let until = now.saturating_add(HOUR_SECONDS);
        self.blocked_until.insert(ad_set.to_owned(), until);
        Err(too_often())
    }

    /// Counts a change, whatever it changed to.
    pub fn count(&mut self, ad_set: &str, now: i64) {
        let changes = self.changes.entry(ad_set.to_owned()).or_default();
        changes.retain(|at| now.saturating_sub(*at) < HOUR_SECONDS);
        changes.push(now);
    }
}

fn too_often() -> GraphError {
    let message = "(#613) Calls to this api have exceeded the rate limit.";
    GraphError::new(613, Some(1_487_632), message).saying_to_people(
        "Ad set budget changed too many times",
        "You can change the budget of an ad set 4 times an hour. Please try again in an hour.",
    )
}
