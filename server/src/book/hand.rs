//! Which changes calls of this process are working on, so that nobody looks
//! after them meanwhile.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tenantry_ledger::change::ChangeId;

/// The changes in hand.
#[derive(Clone, Default)]
pub struct Hands(Arc<Mutex<BTreeSet<ChangeId>>>);

/// A change in hand, until this is dropped.
pub struct Hand {
    hands: Hands,
    change: ChangeId,
}

impl Hands {
    /// Takes a change into hand.
    pub fn take(&self, change: &ChangeId) -> Hand {
        self.lock().insert(change.clone());
        Hand {
            hands: self.clone(),
            change: change.clone(),
        }
    }

    /// Whether a call is working on it.
    pub fn hold(&self, change: &ChangeId) -> bool {
        self.lock().contains(change)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<ChangeId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Hand {
    fn drop(&mut self) {
        self.hands.lock().remove(&self.change);
    }
}
