//! Tenants that wait for another one to give something up: they are woken the
//! moment that one changes or goes.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::{Stream, StreamExt as _, stream};
use kube::runtime::reflector::ObjectRef;
use tokio::sync::Notify;

use crate::tenant::seen::Tenant;

/// More tenants than a cluster can hold. To forget who waits costs them the time
/// until they come back by themselves; a call beyond it is lost.
const MOST: usize = 10_000;

/// Who waits for whom.
pub struct Waiting {
    tenants: Mutex<HashMap<String, Waiter>>,
    calls: Arc<Calls>,
}

struct Waiter {
    reference: ObjectRef<Tenant>,
    holders: BTreeSet<String>,
}

/// Who was called and has not been woken yet. Once is enough, however often
/// somebody is called.
#[derive(Default)]
struct Calls {
    called: Mutex<HashSet<ObjectRef<Tenant>>>,
    news: Notify,
}

impl Waiting {
    /// Nobody waits; and where calls to wake arrive.
    pub fn new() -> (Self, impl Stream<Item = ObjectRef<Tenant>> + Send + use<>) {
        let calls = Arc::<Calls>::default();
        let heard = stream::unfold(Arc::clone(&calls), async |calls| {
            let called = calls.next().await;
            Some((stream::iter(called), calls))
        });
        let tenants = Mutex::default();
        (Self { tenants, calls }, heard.flatten())
    }

    /// The tenant `uid` waits for any of `holders`, by UID, from now on.
    pub fn wait(&self, uid: &str, reference: ObjectRef<Tenant>, holders: BTreeSet<String>) {
        let mut tenants = self.lock();
        if tenants.len() >= MOST && !tenants.contains_key(uid) {
            tenants.clear();
        }
        tenants.insert(uid.to_owned(), Waiter { reference, holders });
    }

    /// The tenant `uid` waits for nobody.
    pub fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }

    /// Of the tenants that wait, only those of `uids` are still there.
    pub fn keep_only(&self, uids: &HashSet<String>) {
        self.lock().retain(|uid, _| uids.contains(uid));
    }

    /// The tenant `uid` is another one now, or gone: wakes who waits for it.
    pub fn changed(&self, uid: &str) {
        let waits = |waiter: &&Waiter| waiter.holders.contains(uid);
        for waiter in self.lock().values().filter(waits) {
            self.call(waiter.reference.clone());
        }
    }

    /// Wakes a tenant that may not know yet that it has to wait.
    pub fn call(&self, reference: ObjectRef<Tenant>) {
        let mut called = self.calls.lock();
        if called.len() < MOST {
            called.insert(reference);
        }
        drop(called);
        self.calls.news.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Waiter>> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Calls {
    async fn next(&self) -> HashSet<ObjectRef<Tenant>> {
        loop {
            let called = std::mem::take(&mut *self.lock());
            if !called.is_empty() {
                return called;
            }
            self.news.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<ObjectRef<Tenant>>> {
        self.called.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use futures::FutureExt as _;

    use super::*;

    /// Whom a call has reached by now.
    pub fn woken(
        heard: &mut (impl Stream<Item = ObjectRef<Tenant>> + Unpin),
    ) -> HashSet<ObjectRef<Tenant>> {
        let mut woken = HashSet::new();
        while let Some(Some(reference)) = heard.next().now_or_never() {
            assert!(woken.insert(reference), "once is enough");
        }
        woken
    }

    fn reference(name: &str) -> ObjectRef<Tenant> {
        ObjectRef::new(name).within(name)
    }

    fn waits_for(waiting: &Waiting, uid: &str, holder: &str) {
        waiting.wait(uid, reference(uid), BTreeSet::from([holder.to_owned()]));
    }

    #[test]
    fn who_waits_is_woken_by_whom_it_waits_for_and_nobody_else() {
        let (waiting, heard) = Waiting::new();
        let mut heard = Box::pin(heard);
        waits_for(&waiting, "2", "1");
        waits_for(&waiting, "3", "2");
        waiting.changed("4");
        assert_eq!(woken(&mut heard), [].into());
        waiting.changed("1");
        assert_eq!(woken(&mut heard), [reference("2")].into());
        waiting.forget("2");
        waiting.changed("1");
        waiting.changed("2");
        assert_eq!(woken(&mut heard), [reference("3")].into());
    }

    #[test]
    fn a_call_while_nobody_listens_is_kept_and_many_are_one() {
        let (waiting, heard) = Waiting::new();
        let mut heard = Box::pin(heard);
        for _ in 0..3 {
            waiting.call(reference("a"));
            waiting.call(reference("b"));
        }
        let expected = [reference("a"), reference("b")].into();
        assert_eq!(woken(&mut heard), expected);
        waiting.call(reference("a"));
        assert_eq!(woken(&mut heard), [reference("a")].into());
    }

    #[test]
    fn calls_and_those_who_wait_have_a_limit() {
        let (waiting, _heard) = Waiting::new();
        for number in 0..=MOST {
            waits_for(&waiting, &number.to_string(), "1");
            waiting.call(reference(&number.to_string()));
        }
        assert_eq!(waiting.lock().len(), 1);
        assert_eq!(waiting.calls.lock().len(), MOST);
    }

    #[test]
    fn who_is_gone_waits_for_nobody() {
        let (waiting, heard) = Waiting::new();
        let mut heard = Box::pin(heard);
        waits_for(&waiting, "2", "1");
        waits_for(&waiting, "3", "1");
        waiting.keep_only(&["3".to_owned()].into());
        waiting.changed("1");
        assert_eq!(woken(&mut heard), [reference("3")].into());
    }
}
