//! Tenants that wait for another one to give something up: they are woken the
//! moment that one changes or goes.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use futures::channel::mpsc;
use kube::runtime::reflector::ObjectRef;

use crate::tenant::Tenant;

/// Calls to wake that nobody has heard yet. Beyond it they are lost, and a
/// waiting tenant comes back by its own clock.
const CALLS: usize = 10_000;

/// Who waits for whom.
pub struct Waiting {
    tenants: Mutex<HashMap<String, Waiter>>,
    calls: mpsc::Sender<ObjectRef<Tenant>>,
}

struct Waiter {
    reference: ObjectRef<Tenant>,
    holders: BTreeSet<String>,
}

impl Waiting {
    /// Nobody waits; and where calls to wake arrive.
    pub fn new() -> (Self, mpsc::Receiver<ObjectRef<Tenant>>) {
        let (calls, heard) = mpsc::channel(CALLS);
        let tenants = Mutex::default();
        (Self { tenants, calls }, heard)
    }

    /// The tenant `uid` waits for any of `holders`, by UID, from now on.
    pub fn wait(&self, uid: &str, reference: ObjectRef<Tenant>, holders: BTreeSet<String>) {
        let waiter = Waiter { reference, holders };
        self.lock().insert(uid.to_owned(), waiter);
    }

    /// The tenant `uid` waits for nobody.
    pub fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }

    /// The tenant `uid` is another one now, or gone: wakes who waits for it.
    pub fn changed(&self, uid: &str) {
        self.wake(|waiter| waiter.holders.contains(uid));
    }

    /// Anybody may be gone: wakes everybody.
    pub fn anything_changed(&self) {
        self.wake(|_| true);
    }

    /// Wakes a tenant that may not know yet that it has to wait.
    pub fn call(&self, reference: ObjectRef<Tenant>) {
        // Full: it comes back by itself.
        let _ = self.calls.clone().try_send(reference);
    }

    fn wake(&self, waits: impl Fn(&Waiter) -> bool) {
        for waiter in self.lock().values().filter(|waiter| waits(waiter)) {
            self.call(waiter.reference.clone());
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Waiter>> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt as _;

    use super::*;

    #[tokio::test]
    async fn who_waits_is_woken_by_whom_it_waits_for_and_nobody_else() {
        let (waiting, heard) = Waiting::new();
        let reference = |name: &str| ObjectRef::new(name).within(name);
        waiting.wait("2", reference("second"), BTreeSet::from(["1".to_owned()]));
        waiting.wait("3", reference("third"), BTreeSet::from(["2".to_owned()]));
        waiting.changed("4");
        waiting.changed("1");
        waiting.forget("2");
        waiting.changed("1");
        waiting.anything_changed();
        drop(waiting);
        let woken: Vec<_> = heard.collect().await;
        assert_eq!(woken, [reference("second"), reference("third")]);
    }
}
