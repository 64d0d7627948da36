//! Following the tenants: who has to hear of a change of one, beside itself.

use std::sync::Arc;

use futures::channel::mpsc;
use futures::{Stream, StreamExt as _};
use kube::runtime::reflector::Store;
use kube::runtime::reflector::store::Writer;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};
use tokio::sync::watch;

use crate::context::Context;
use crate::freshness::Written;
use crate::tenant::seen::Tenant;
use crate::tenant::unique::losers;
use crate::waiting::Waiting;
use crate::wall::Leaving;

/// Follows the tenants. Who waits for one that changes or goes is woken when
/// the store has it, so that it sees what woke it.
pub fn follow(
    client: &Client,
    writer: Writer<Tenant>,
    ctx: Arc<Context>,
    mut listeners: Listeners,
) -> impl Stream<Item = Result<Tenant, watcher::Error>> + use<> {
    let api = Api::<Tenant>::all(client.clone());
    watcher(api, watcher::Config::default())
        .reflect(writer)
        .inspect(move |event| {
            let Ok(event) = event else { return };
            listeners.hear(event, &ctx.waiting, &ctx.written, &ctx.tenants);
            if let watcher::Event::Apply(tenant) = event {
                call_losers(tenant, &ctx);
            }
        })
        .applied_objects()
}

/// Who hears of the tenants beside their own reconciles.
pub struct Listeners {
    /// Who keeps the walls.
    pub leaving: Leaving,
    /// All tenants.
    pub everybody: mpsc::Sender<()>,
    /// Who tells the policies how many they bind.
    pub news: mpsc::Sender<()>,
    /// That the first list of tenants is whole.
    pub is_known: watch::Sender<bool>,
}

impl Listeners {
    /// Hears `event`, which is in the store already.
    fn hear(
        &mut self,
        event: &watcher::Event<Tenant>,
        waiting: &Waiting,
        written: &Written,
        tenants: &Store<Tenant>,
    ) {
        if !matches!(event, watcher::Event::Init | watcher::Event::InitApply(_)) {
            drop(self.news.try_send(()));
        }
        match event {
            watcher::Event::Apply(tenant) => {
                waiting.changed(&tenant.uid().unwrap_or_default());
            }
            watcher::Event::Delete(tenant) => {
                let uid = tenant.uid().unwrap_or_default();
                waiting.forget(&uid);
                written.forget(&uid);
                waiting.changed(&uid);
                self.leaving.tell(&tenant.namespace().unwrap_or_default());
            }
            // Anybody may have changed or gone in between, and who was looked at
            // while the list came was held against the store of before.
            watcher::Event::InitDone => {
                self.is_known.send_replace(true);
                let here = tenants.state();
                waiting.keep_only(&here.iter().filter_map(|tenant| tenant.uid()).collect());
                written.forget_all();
                // Full means that it will be told anyway.
                drop(self.everybody.try_send(()));
                self.leaving.tell_of_anybody();
            }
            watcher::Event::Init | watcher::Event::InitApply(_) => {}
        }
    }
}

/// Wakes those from whom an edit of `tenant` may have taken something.
fn call_losers(tenant: &Tenant, ctx: &Context) {
    let tenants = ctx.tenants.state();
    let all = tenants.iter().map(|other| &other.claimant);
    for loser in losers(&tenant.claimant, all, &ctx.settings) {
        ctx.waiting.call(loser.reference());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use kube::runtime::reflector::{self, ObjectRef};
    use serde_json::json;

    use super::*;
    use crate::waiting::tests::woken;

    #[test]
    fn a_new_list_wakes_everybody_and_is_as_new_as_the_api_server() {
        let (leaving, _left) = Leaving::new();
        let (everybody, mut moved) = mpsc::channel(1);
        let (news, mut told) = mpsc::channel(1);
        let mut listeners = Listeners {
            leaving,
            everybody,
            news,
            is_known: watch::Sender::new(false),
        };
        let (waiting, heard) = Waiting::new();
        let mut heard = Box::pin(heard);
        let reference = |name: &str| ObjectRef::new(name).within(name);
        for uid in ["stays", "went"] {
            waiting.wait(uid, reference(uid), BTreeSet::from(["holder".to_owned()]));
        }
        let written = Written::default();
        written.wrote("stays", "100");
        let (tenants, mut writer) = reflector::store();
        let stays: Tenant = serde_json::from_value(
            json!({"metadata": {"name": "stays", "namespace": "stays", "uid": "stays"}}),
        )
        .unwrap();
        let relisted = [
            watcher::Event::Init,
            watcher::Event::InitApply(stays),
            watcher::Event::InitDone,
        ];
        for event in relisted {
            assert!(moved.try_recv().is_err(), "the list is not whole yet");
            writer.apply_watcher_event(&event);
            listeners.hear(&event, &waiting, &written, &tenants);
        }
        assert!(moved.try_recv().is_ok());
        assert!(told.try_recv().is_ok());
        // The versions of a restored backup begin anew.
        assert!(!written.is_behind("stays", "7"));
        waiting.changed("holder");
        assert_eq!(woken(&mut heard), [reference("stays")].into());
    }
}
