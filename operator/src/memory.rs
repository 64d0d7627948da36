//! Where each child was left: what was drawn, and the resource version that the
//! API server gave it. A child that is still there has not been touched.
//!
//! Only ever a reason to write less: whoever starts anew writes everything once.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

/// More tenants than a cluster can hold. Who was deleted is remembered until
/// then; to forget everybody costs one write a child.
const MOST: usize = 10_000;

/// How a child was left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// What was drawn, by its hash.
    pub drawn: u64,
    /// The resource version after it was placed.
    pub version: String,
}

/// Where each child was left, by the UID of its tenant and by its own name.
#[derive(Debug, Default)]
pub struct Memory {
    tenants: Mutex<HashMap<String, HashMap<String, Place>>>,
}

impl Memory {
    /// How `object` of the tenant `uid` was left.
    pub fn of(&self, uid: &str, object: &str) -> Option<Place> {
        let tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        tenants.get(uid)?.get(object).cloned()
    }

    /// Remembers how `object` of the tenant `uid` was left.
    pub fn keep(&self, uid: &str, object: &str, place: Place) {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if tenants.len() >= MOST && !tenants.contains_key(uid) {
            tenants.clear();
        }
        let children = tenants.entry(uid.to_owned()).or_default();
        children.insert(object.to_owned(), place);
    }

    /// Forgets `object` of the tenant `uid`: it is meant to be gone.
    pub fn forget(&self, uid: &str, object: &str) {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(children) = tenants.get_mut(uid) {
            children.remove(object);
        }
    }
}

/// The hash of something drawn; of use in this process alone.
pub fn hash(drawn: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    drawn.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_child_of_each_tenant_is_remembered_apart() {
        let memory = Memory::default();
        let place = |drawn: &Value, version: &str| Place {
            drawn: hash(drawn),
            version: version.into(),
        };
        memory.keep("1", "Service/server", place(&json!({"a": 1}), "5"));
        assert_eq!(
            memory.of("1", "Service/server"),
            Some(place(&json!({"a": 1}), "5"))
        );
        assert_ne!(
            memory.of("1", "Service/server"),
            Some(place(&json!({"a": 2}), "5"))
        );
        assert_eq!(memory.of("1", "other"), None);
        assert_eq!(memory.of("2", "Service/server"), None);
        memory.forget("1", "Service/server");
        assert_eq!(memory.of("1", "Service/server"), None);
    }

    #[test]
    fn what_is_remembered_has_a_limit() {
        let memory = Memory::default();
        for number in 0..=MOST {
            let place = Place {
                drawn: 0,
                version: String::new(),
            };
            memory.keep(&number.to_string(), "a", place);
        }
        assert_eq!(memory.tenants.lock().unwrap().len(), 1);
    }
}
