//! The SafetyPolicies of the cluster, as last heard and judged, and whom a
//! change of one concerns.

pub mod bind;
pub mod judged;
pub mod report;

use std::collections::HashMap;
use std::sync::Arc;

use futures::channel::mpsc;
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::ApiResource;
use kube::core::{DynamicObject, PartialObjectMeta};
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};
use tenantry_api::compile::policy::Origin;
use tenantry_api::safety_policy::SafetyPolicy;
use tokio::sync::watch;

use crate::context::Context;
use crate::tenant::chain;
use crate::watch::{WatchAgain, neighbours};
use judged::Judged;

/// A namespace, as far as policies select it.
pub type Labelled = PartialObjectMeta<Namespace>;

/// The policies, and the labels by which those of the platform select, as last
/// heard.
#[derive(Clone)]
pub struct Policies {
    all: Store<Judged>,
    namespaces: Store<Labelled>,
    is_known: watch::Receiver<bool>,
}

/// By which they are kept up to date.
pub struct Writers {
    /// The policies.
    pub policies: Writer<Judged>,
    /// The labels.
    pub namespaces: Writer<Labelled>,
    /// That the first list of policies is whole. A store wakes only whoever
    /// asked it last, and so tells either the one who waits or the one who looks.
    pub is_known: watch::Sender<bool>,
}

/// Who hears of changes.
#[derive(Clone)]
pub struct Listeners {
    /// All tenants.
    pub everybody: mpsc::Sender<()>,
    /// Who tells the policies what became of them.
    pub news: mpsc::Sender<()>,
}

impl Policies {
    /// Nothing is known yet.
    pub fn new() -> (Self, Writers) {
        let (all, policies) = reflector::store();
        let (labels, namespaces) = reflector::store();
        let (told, is_known) = watch::channel(false);
        let known = Self {
            all,
            namespaces: labels,
            is_known,
        };
        let writers = Writers {
            policies,
            namespaces,
            is_known: told,
        };
        (known, writers)
    }

    /// Waits until all of them are known.
    pub async fn known(&self) {
        let _ = self.is_known.clone().wait_for(|is_known| *is_known).await;
    }

    /// All of them; nothing before the first list has been read, for a contract
    /// without a policy is another one.
    pub fn all(&self) -> Option<Vec<Arc<Judged>>> {
        self.is_known.borrow().then(|| self.all.state())
    }
}

/// Follows the policies, and the labels of namespaces. Whom a change concerns is
/// woken when the store has it.
pub async fn follow(client: Client, writers: Writers, ctx: Arc<Context>, listeners: Listeners) {
    let Writers {
        policies,
        namespaces,
        is_known,
    } = writers;
    let labels = follow_labels(
        client.clone(),
        namespaces,
        Arc::clone(&ctx),
        listeners.clone(),
    );
    let resource = ApiResource::erase::<SafetyPolicy>(&());
    // Dynamic: one that this release cannot read must not hide the others.
    let api: Api<DynamicObject> = Api::all_with(client, &resource);
    let home = ctx.settings.operator.namespace.clone();
    let mut ear = Ear {
        listeners,
        ctx,
        is_known,
        generations: Generations::default(),
    };
    let events = watcher(api, watcher::Config::default())
        .backoff(WatchAgain::soon())
        .map_ok(move |event| judge_all(event, &home))
        .reflect(policies)
        .for_each(|event| {
            match event {
                Ok(event) => ear.hear(&event),
                Err(error) => {
                    let error = chain(&error);
                    tracing::warn!(error, "the SafetyPolicies cannot be watched");
                }
            }
            std::future::ready(())
        });
    futures::future::join(events, labels).await;
}

/// Each policy is judged once a version, not once a tenant.
fn judge_all(event: Event<DynamicObject>, home: &str) -> Event<Judged> {
    match event {
        Event::Apply(object) => Event::Apply(Judged::of(object, home)),
        Event::Delete(object) => Event::Delete(Judged::of(object, home)),
        Event::InitApply(object) => Event::InitApply(Judged::of(object, home)),
        Event::Init => Event::Init,
        Event::InitDone => Event::InitDone,
    }
}

async fn follow_labels(
    client: Client,
    writer: Writer<Labelled>,
    ctx: Arc<Context>,
    mut listeners: Listeners,
) {
    watcher(Api::<Labelled>::all(client), watcher::Config::default())
        .modify(|namespace| {
            // Nobody asks for them, and they are most of the memory.
            namespace.managed_fields_mut().clear();
            namespace.annotations_mut().clear();
        })
        .backoff(WatchAgain::soon())
        .reflect(writer)
        .for_each(|event| {
            match event {
                Ok(Event::Apply(namespace)) => {
                    call(&ctx, namespace.metadata.name.as_deref());
                    listeners.tell();
                }
                Ok(Event::InitDone) => {
                    listeners.wake_everybody();
                    listeners.tell();
                }
                // What is in a namespace ends before the namespace does.
                Ok(Event::Delete(_) | Event::Init | Event::InitApply(_)) => {}
                Err(error) => {
                    let error = chain(&error);
                    tracing::warn!(error, "the labels of namespaces cannot be watched");
                }
            }
            std::future::ready(())
        })
        .await;
}

/// Wakes the tenants of a namespace.
fn call(ctx: &Context, namespace: Option<&str>) {
    for tenant in neighbours(&ctx.tenants, namespace) {
        ctx.waiting.call(tenant);
    }
}

impl Listeners {
    fn wake_everybody(&mut self) {
        // Full means that it will be told anyway.
        drop(self.everybody.try_send(()));
    }

    fn tell(&mut self) {
        drop(self.news.try_send(()));
    }
}

/// What hears of policies.
struct Ear {
    listeners: Listeners,
    ctx: Arc<Context>,
    is_known: watch::Sender<bool>,
    generations: Generations,
}

/// Which generation of each policy was heard last. What we write ourselves, the
/// status, makes no new one and concerns no tenant.
#[derive(Default)]
struct Generations(HashMap<ObjectRef<Judged>, (Option<String>, Option<i64>)>);

impl Ear {
    fn hear(&mut self, event: &Event<Judged>) {
        match event {
            Event::Apply(policy) => {
                if self.generations.is_new(policy) {
                    self.wake(policy);
                }
            }
            Event::Delete(policy) => {
                self.generations.0.remove(&ObjectRef::from_obj(policy));
                self.ctx.written.forget(&policy.uid().unwrap_or_default());
                self.wake(policy);
            }
            // Anything may have changed or gone in between.
            Event::InitDone => {
                self.is_known.send_replace(true);
                self.generations.0.clear();
                for policy in self.ctx.policies.all.state() {
                    self.generations.is_new(&policy);
                }
                self.listeners.wake_everybody();
            }
            Event::Init | Event::InitApply(_) => return,
        }
        self.listeners.tell();
    }

    /// Whom an edit bound before is not known any more, so one of the platform's
    /// concerns everybody; a reconcile that changes nothing only reads.
    fn wake(&mut self, policy: &Judged) {
        match policy.origin {
            Origin::Platform => self.listeners.wake_everybody(),
            Origin::Organization => call(&self.ctx, policy.metadata.namespace.as_deref()),
        }
    }
}

impl Generations {
    /// Whether this version of `policy` was not heard before; now it was.
    fn is_new(&mut self, policy: &Judged) -> bool {
        let now = (policy.metadata.uid.clone(), policy.metadata.generation);
        let before = self.0.insert(ObjectRef::from_obj(policy), now.clone());
        before != Some(now)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::policies::judged::tests::judged;

    #[test]
    fn a_status_is_no_news_to_tenants_and_a_policy_made_anew_is() {
        let mut policy = judged("acme", "ads", &json!({"mode": "Enforce"}));
        let mut heard = Generations::default();
        assert!(heard.is_new(&policy));
        policy.status.tenants = Some(1);
        policy.metadata.resource_version = Some("2".into());
        assert!(!heard.is_new(&policy));
        policy.metadata.generation = Some(2);
        assert!(heard.is_new(&policy));
        policy.metadata.uid = Some("another".into());
        assert!(heard.is_new(&policy));
        let twin = judged("globex", "ads", &json!({"mode": "Enforce"}));
        assert!(heard.is_new(&twin));
    }

    #[test]
    fn nothing_is_known_before_the_first_list_is_whole() {
        let (policies, mut writers) = Policies::new();
        let own = judged("acme", "ads", &json!({"mode": "Enforce"}));
        for event in [Event::Init, Event::InitApply(own)] {
            writers.policies.apply_watcher_event(&event);
            assert!(policies.all().is_none());
        }
        writers.policies.apply_watcher_event(&Event::InitDone);
        writers.is_known.send_replace(true);
        assert_eq!(policies.all().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn whoever_looks_takes_no_word_from_those_who_wait() {
        let (policies, writers) = Policies::new();
        let waits: Vec<_> = (0..2)
            .map(|_| {
                let policies = policies.clone();
                tokio::spawn(async move { policies.known().await })
            })
            .collect();
        tokio::task::yield_now().await;
        assert!(policies.all().is_none());
        writers.is_known.send_replace(true);
        for wait in waits {
            let woken = tokio::time::timeout(Duration::from_secs(10), wait).await;
            woken.unwrap().unwrap();
        }
    }
}
