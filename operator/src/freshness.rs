//! Whether what a watch has told is recent enough to act on. A cache that is
//! behind what this operator wrote itself would make it do the same again, or
//! take back what another one has done since.
//!
//! Kubernetes promises since 1.35 (KEP-5504), and has done so all along, that
//! the versions of one resource are decimal numbers that grow. Where one does
//! not look like that, nothing is concluded from it.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// More tenants than a cluster can hold; to forget everybody costs a request
/// more for each.
const MOST: usize = 10_000;

/// The version of each object after this operator last wrote it, by UID.
#[derive(Debug, Default)]
pub struct Written {
    versions: Mutex<HashMap<String, String>>,
}

impl Written {
    /// Remembers that the object `uid` was left at `version`.
    pub fn wrote(&self, uid: &str, version: &str) {
        let mut versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        if versions.len() >= MOST && !versions.contains_key(uid) {
            versions.clear();
        }
        let last = versions.entry(uid.to_owned()).or_default();
        // Two writes may be answered in any order.
        if compare(version, last) != Some(Ordering::Less) {
            version.clone_into(last);
        }
    }

    /// Whether `version` of the object `uid` is certainly older than what was
    /// written.
    pub fn is_behind(&self, uid: &str, version: &str) -> bool {
        let versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        let last = versions.get(uid);
        last.is_some_and(|last| compare(version, last) == Some(Ordering::Less))
    }

    /// Forgets everything: a new list is as new as the API server, whose versions
    /// may have begun anew (a restored backup).
    pub fn forget_all(&self) {
        let mut versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        versions.clear();
    }

    /// Forgets the object `uid`, which is gone.
    pub fn forget(&self, uid: &str) {
        self.versions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(uid);
    }
}

/// Whether `version` is certainly not older than `other` of the same object.
/// In doubt it is: then only the same version will do.
pub fn reaches(version: &str, other: &str) -> bool {
    version == other || compare(version, other) == Some(Ordering::Greater)
}

/// Which of two versions of one resource is the later one, if both are of the
/// form that can be compared: decimal, of any length, without leading zeros.
fn compare(one: &str, other: &str) -> Option<Ordering> {
    let is_number =
        |text: &str| !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
    if ![one, other]
        .iter()
        .all(|text| is_number(text) && !text.starts_with('0'))
    {
        return None;
    }
    Some(one.len().cmp(&other.len()).then_with(|| one.cmp(other)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn versions_are_numbers_of_any_length() {
        for (one, other, expected) in [
            ("9", "10", Some(Ordering::Less)),
            ("100", "99", Some(Ordering::Greater)),
            ("7", "7", Some(Ordering::Equal)),
            (
                "99999999999999999999999",
                "100000000000000000000000",
                Some(Ordering::Less),
            ),
            ("0", "1", None),
            ("007", "8", None),
            ("", "1", None),
            ("1", "v2", None),
            ("1", "-2", None),
            ("1", "2 ", None),
        ] {
            assert_eq!(compare(one, other), expected, "{one} {other}");
        }
    }

    #[test]
    fn what_cannot_be_compared_is_as_new_as_itself_alone() {
        assert!(reaches("abc", "abc"));
        assert!(!reaches("abc", "abd"));
        assert!(!reaches("5", "abd"));
        let written = Written::default();
        written.wrote("1", "abc");
        // Nothing is concluded; the live look decides.
        assert!(!written.is_behind("1", "abd"));
    }

    #[test]
    fn what_is_gone_or_forgotten_holds_up_nobody() {
        let written = Written::default();
        assert!(!written.is_behind("1", "1"));
        written.wrote("1", "5");
        assert!(written.is_behind("1", "4"));
        assert!(!written.is_behind("2", "4"));
        written.forget("1");
        assert!(!written.is_behind("1", "4"));
        for number in 0..=MOST {
            written.wrote(&number.to_string(), "1");
        }
        assert_eq!(written.versions.lock().unwrap().len(), 1);
    }

    /// One step of an object's life: somebody writes, or a watch shows the
    /// state of some writes ago.
    #[derive(Debug, Clone)]
    enum Step {
        OursWrites,
        OthersWrite,
        Shows { writes_ago: usize },
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            Just(Step::OursWrites),
            Just(Step::OthersWrite),
            (0..6_usize).prop_map(|writes_ago| Step::Shows { writes_ago }),
        ]
    }

    proptest! {
        /// Any order of writes and any replay of the past: what is acted on
        /// contains everything that we wrote.
        #[test]
        fn nothing_older_than_our_own_word_is_acted_on(
            first in prop_oneof![1..3_u64, 97..101_u64, 99_999_990..100_000_001_u64],
            steps in prop::collection::vec(step(), 1..60),
        ) {
            let written = Written::default();
            let mut history = vec![first];
            let mut ours = None;
            for step in steps {
                let now = history.last().copied().unwrap_or(first);
                match step {
                    Step::Shows { writes_ago } => {
                        let shown = history[history.len().saturating_sub(1 + writes_ago)];
                        let acts = !written.is_behind("1", &shown.to_string());
                        prop_assert_eq!(acts, ours.is_none_or(|ours| shown >= ours));
                        prop_assert_eq!(reaches(&shown.to_string(), &now.to_string()), shown >= now);
                    }
                    // Other objects take numbers of the same series.
                    Step::OthersWrite => history.push(now + 3),
                    Step::OursWrites => {
                        history.push(now + 1);
                        ours = Some(now + 1);
                        written.wrote("1", &(now + 1).to_string());
                    }
                }
            }
        }
    }
}
