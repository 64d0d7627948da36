//! Places that calls hold while they are made: so many in all, and no more than
//! a part of them for one key.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tenantry_core::name::KeyId;

/// A number of places.
pub struct Places {
    held: Mutex<Held>,
}

/// How many there are, and who holds how many.
#[derive(Default)]
struct Held {
    most: u32,
    most_per_key: u32,
    all: u32,
    by_key: HashMap<KeyId, u32>,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// The key has as many as it may.
    OfKey,
    /// All are taken.
    OfAll,
}

/// One place; free again when dropped.
pub struct Place {
    places: Arc<Places>,
    key: KeyId,
}

impl Places {
    /// All free.
    pub fn new(most: u32, most_per_key: u32) -> Self {
        let held = Held {
            most,
            most_per_key,
            ..Held::default()
        };
        Self {
            held: Mutex::new(held),
        }
    }

    /// There are so many from now on. Who holds one keeps it, also above that.
    pub fn resize(&self, most: u32, most_per_key: u32) {
        let mut held = self.held();
        held.most = most;
        held.most_per_key = most_per_key;
    }

    /// Takes a place for `key`, or says at once that there is none.
    pub fn take(self: &Arc<Self>, key: &KeyId) -> Result<Place, Full> {
        let mut held = self.held();
        if held.by_key.get(key).copied().unwrap_or(0) >= held.most_per_key {
            return Err(Full::OfKey);
        }
        if held.all >= held.most {
            return Err(Full::OfAll);
        }
        held.all += 1;
        *held.by_key.entry(key.clone()).or_insert(0) += 1;
        drop(held);
        Ok(Place {
            places: Arc::clone(self),
            key: key.clone(),
        })
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.places.held();
        held.all = held.all.saturating_sub(1);
        if let Some(count) = held.by_key.get_mut(&self.key) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                held.by_key.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewer_places_are_missed_by_newcomers_alone() {
        let places = Arc::new(Places::new(2, 2));
        let a = KeyId::parse("a").unwrap();
        let held = (places.take(&a).ok(), places.take(&a).ok());
        places.resize(1, 1);
        assert_eq!(places.take(&a).err(), Some(Full::OfKey));
        assert_eq!(
            places.take(&KeyId::parse("b").unwrap()).err(),
            Some(Full::OfAll)
        );
        drop(held);
        assert!(places.take(&a).is_ok());
    }

    #[test]
    fn places_come_back_and_leave_no_trace() {
        let places = Arc::new(Places::new(2, 1));
        let (a, b) = (KeyId::parse("a").unwrap(), KeyId::parse("b").unwrap());
        let first = places.take(&a).ok();
        assert_eq!(places.take(&a).err(), Some(Full::OfKey));
        let second = places.take(&b).ok();
        assert_eq!(
            places.take(&KeyId::parse("c").unwrap()).err(),
            Some(Full::OfAll)
        );
        drop((first, second));
        assert!(places.held().by_key.is_empty());
        assert_eq!(places.held().all, 0);
    }
}
