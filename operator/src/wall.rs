//! The end of a wall: the policy that denies everything has no owner, because
//! the pods may outlive the tenant for a while. When the tenant, its StatefulSet
//! and its last pod are gone, it is taken down here.
//!
//! No finalizer keeps anything alive: who looks anew finds the wall by its label
//! and the namespace without a tenant.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use futures::channel::mpsc;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{DeleteParams, ListParams, Preconditions};
use kube::core::PartialObjectMeta;
use kube::runtime::controller::Action;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::{Controller, watcher};
use kube::{Api, Client, ResourceExt as _};
use tenantry_api::label;
use tenantry_api::mcp_tenant::McpTenant;

use crate::tenant::build::DEFAULT_DENY;
use crate::tenant::chain;
use crate::tenant::seen::Tenant;
use crate::watch::WatchAgain;

/// Between two looks at what is left. No watch tells of pods.
const LOOK: Duration = Duration::from_secs(5);
/// After a failure: nobody waits for a wall to go.
const LATER: Duration = Duration::from_mins(1);

/// A server has no more replicas than the definition of McpTenant allows.
const MOST_REPLICAS: usize = 16;

/// Walls that were found without anything behind them; more than that begin
/// their second look anew.
const MOST_FOUND: usize = 10_000;

/// Tenants gone that nobody has heard of yet; with more, every wall is looked at.
const LEAVING: usize = 1_000;

type Wall = PartialObjectMeta<NetworkPolicy>;

struct Site {
    client: Client,
    tenants: Store<Tenant>,
    /// The resource version of each wall, by its namespace, when nothing was
    /// found behind it.
    found: Mutex<HashMap<String, String>>,
}

/// Tells who keeps the walls that a tenant is gone. To be told when the store of
/// tenants knows it: a wall of a tenant that is there is not looked at again.
pub struct Leaving {
    from: mpsc::Sender<ObjectRef<Wall>>,
    from_anywhere: mpsc::Sender<()>,
}

/// Where that is heard.
pub struct Left {
    from: mpsc::Receiver<ObjectRef<Wall>>,
    from_anywhere: mpsc::Receiver<()>,
}

impl Leaving {
    /// Nobody is gone yet.
    pub fn new() -> (Self, Left) {
        let (from, heard) = mpsc::channel(LEAVING);
        // One word waiting is enough: it wakes everybody.
        let (from_anywhere, heard_anywhere) = mpsc::channel(1);
        let left = Left {
            from: heard,
            from_anywhere: heard_anywhere,
        };
        (
            Self {
                from,
                from_anywhere,
            },
            left,
        )
    }

    /// A tenant of that namespace is gone.
    pub fn tell(&mut self, namespace: &str) {
        let wall = ObjectRef::new(DEFAULT_DENY).within(namespace);
        if self.from.try_send(wall).is_err() {
            self.tell_of_anybody();
        }
    }

    /// Any tenant may be gone.
    pub fn tell_of_anybody(&mut self) {
        drop(self.from_anywhere.try_send(()));
    }
}

/// Takes down what has nothing behind it, until `stop`.
pub async fn keep(
    client: Client,
    tenants: Store<Tenant>,
    left: Left,
    stop: impl Future<Output = ()> + Send + Sync + 'static,
) {
    let ours = format!("{}={}", label::MANAGED_BY, label::OPERATOR);
    let walls = watcher::Config::default()
        .labels(&ours)
        .fields(&format!("metadata.name={DEFAULT_DENY}"));
    let site = Site {
        client: client.clone(),
        tenants,
        found: Mutex::default(),
    };
    Controller::new(Api::<Wall>::all(client), walls)
        .reconcile_on(left.from)
        .reconcile_all_on(left.from_anywhere)
        .trigger_backoff(WatchAgain::soon())
        .graceful_shutdown_on(stop)
        .run(look, retry, Arc::new(site))
        .for_each(|_| std::future::ready(()))
        .await;
}

async fn look(wall: Arc<Wall>, site: Arc<Site>) -> Result<Action, kube::Error> {
    let namespace = wall.namespace().unwrap_or_default();
    let version = wall.resource_version().unwrap_or_default();
    let here = |tenant: &Tenant| tenant.namespace().as_deref() == Some(&namespace);
    // Those that are being deleted too; their end is told.
    if site.tenants.find(here).is_some() || wall.metadata.deletion_timestamp.is_some() {
        site.forget(&namespace);
        return Ok(Action::await_change());
    }
    if is_inhabited(&site.client, &namespace).await? {
        site.forget(&namespace);
        return Ok(Action::requeue(LOOK));
    }
    // The StatefulSet's controller may still act on what it knew; nobody does
    // after a second look.
    if !site.was_found(&namespace, &version) {
        return Ok(Action::requeue(LOOK));
    }
    let api: Api<NetworkPolicy> = Api::namespaced(site.client.clone(), &namespace);
    let params = DeleteParams {
        // A tenant that came meanwhile has made the wall its own.
        preconditions: Some(Preconditions {
            uid: wall.uid(),
            resource_version: Some(version),
        }),
        ..DeleteParams::default()
    };
    match api.delete(DEFAULT_DENY, &params).await {
        Ok(_) => tracing::info!(namespace, "the last wall is down: nothing is behind it"),
        Err(kube::Error::Api(status)) if [404, 409].contains(&status.code) => {}
        Err(error) => return Err(error),
    }
    site.forget(&namespace);
    Ok(Action::await_change())
}

/// Whether there is anything for the wall to guard, asked of the API server
/// itself. The order matters: without a tenant no StatefulSet comes, without
/// that no pod.
async fn is_inhabited(client: &Client, namespace: &str) -> Result<bool, kube::Error> {
    let tenants: Api<McpTenant> = Api::namespaced(client.clone(), namespace);
    let tenants = tenants
        .list_metadata(&ListParams::default().limit(1))
        .await?;
    if !tenants.items.is_empty() {
        return Ok(true);
    }
    let sets: Api<StatefulSet> = Api::namespaced(client.clone(), namespace);
    if sets.get_metadata_opt(label::SERVER).await?.is_some() {
        return Ok(true);
    }
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    for ordinal in 0..MOST_REPLICAS {
        let name = format!("{}-{ordinal}", label::SERVER);
        if pods.get_metadata_opt(&name).await?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the controller hands over what it has"
)]
fn retry(wall: Arc<Wall>, error: &kube::Error, _: Arc<Site>) -> Action {
    let namespace = wall.namespace().unwrap_or_default();
    match error {
        // Whoever let the operator out takes the wall down with the namespace.
        kube::Error::Api(status) if status.code == 403 => {
            tracing::debug!(namespace, "a wall without a tenant, and no rights there");
        }
        error => {
            let error = chain(error);
            tracing::warn!(namespace, error, "a wall could not be looked at");
        }
    }
    Action::requeue(LATER)
}

impl Site {
    /// Whether nothing was found behind that very wall before; it is kept.
    fn was_found(&self, namespace: &str, version: &str) -> bool {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if found.len() >= MOST_FOUND && !found.contains_key(namespace) {
            found.clear();
        }
        let before = found.insert(namespace.to_owned(), version.to_owned());
        before.as_deref() == Some(version)
    }

    fn forget(&self, namespace: &str) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.remove(namespace);
    }
}
