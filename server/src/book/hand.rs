//! Which changes calls of this process are working on, so that nobody looks
//! after them meanwhile.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tenantry_ledger::change::ChangeId;

/// The changes in hand, and in how many: a claim that is nobody's after a
/// minute goes to the next call, and a clock that jumps makes that minute pass
/// while the first one still works.
#[derive(Clone, Default)]
pub struct Hands(Arc<Mutex<BTreeMap<ChangeId, u32>>>);

/// A change in hand, until this is dropped.
pub struct Hand {
    hands: Hands,
    change: ChangeId,
}

impl Hands {
    /// Takes a change into hand.
    pub fn take(&self, change: &ChangeId) -> Hand {
        *self.lock().entry(change.clone()).or_default() += 1;
        Hand {
            hands: self.clone(),
            change: change.clone(),
        }
    }

    /// Whether a call is working on it.
    pub fn hold(&self, change: &ChangeId) -> bool {
        self.lock().contains_key(change)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ChangeId, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Hand {
    fn drop(&mut self) {
        let mut hands = self.hands.lock();
        if let Some(count) = hands.get_mut(&self.change) {
            *count -= 1;
            if *count == 0 {
                hands.remove(&self.change);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_in_hand_until_the_last_call_lets_go() {
        let (hands, change) = (Hands::default(), ChangeId::of_random([7; 16]));
        let (one, other) = (hands.take(&change), hands.take(&change));
        drop(one);
        assert!(hands.hold(&change));
        drop(other);
        assert!(!hands.hold(&change));
        assert!(hands.lock().is_empty());
    }
}
