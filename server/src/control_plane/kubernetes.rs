//! The control plane in a Kubernetes namespace. The only module that knows a
//! Kubernetes client.
//!
//! It watches with its own short loop instead of `kube::runtime::watcher`,
//! because that one does not tell when a watch ends without news, and such an
//! end is exactly what proves that the knowledge is fresh.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use futures::{StreamExt as _, TryStreamExt as _};
use kube::api::{Api, ListParams, Patch, PatchParams, WatchEvent, WatchParams};
use kube::{Client, Config, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tenantry_api::label;
use tenantry_api::mcp_api_key::McpApiKey;
use tenantry_api::mcp_server::{McpServer, ReplicaReport};
use tenantry_core::name::KeyId;

use super::{ControlPlane, ReportError};
use crate::cause::chain;
use crate::knowledge::{Knowledge, RawContract, Topic};

/// How long one watch lasts (DESIGN §6: 30–45 s); its end is a sign of life.
const WATCH_SECONDS: u32 = 35;

/// How long to wait for anything on a watch before it is taken for dead.
const WATCH_SILENCE: Duration = Duration::from_secs(WATCH_SECONDS as u64 + 10);

/// How long a list, or a patch, may take.
const REQUEST: Duration = Duration::from_secs(10);

/// Between failures: short, because a revoked key waits for it, and growing,
/// because a thousand servers may fail at once.
const SHORTEST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Objects a page of a list; keys of an organisation are tens, not thousands.
const PAGE: u32 = 500;

/// The client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Neither the pod's ServiceAccount nor a kubeconfig is there.
    #[error("finding the API server (ServiceAccount of the pod, or KUBECONFIG)")]
    Configuration(#[source] kube::config::InferConfigError),
    /// The configuration cannot be used.
    #[error("making the client of the API server")]
    Client(#[source] kube::Error),
}

/// Why a watch ended before its time.
#[derive(Debug, thiserror::Error)]
enum WatchError {
    #[error("listing")]
    List(#[source] kube::Error),
    #[error("watching")]
    Watch(#[source] kube::Error),
    #[error("the API server did not answer in time")]
    Silence,
    #[error("the API server no longer has the version that was read")]
    Outdated,
}

/// One namespace of a cluster.
pub struct Kubernetes {
    servers: Api<McpServer>,
    keys: Api<McpApiKey>,
    pod: String,
}

impl Kubernetes {
    /// Connects as the pod's ServiceAccount, or by a kubeconfig.
    pub async fn connect(namespace: &str, pod: &str) -> Result<Self, ConnectError> {
        let mut config = Config::infer().await.map_err(ConnectError::Configuration)?;
        config.connect_timeout = Some(REQUEST);
        // Every loop here tries again by itself, and knows when to give up.
        config.default_retry = false;
        let client = Client::try_from(config).map_err(ConnectError::Client)?;
        Ok(Self::with_client(client, namespace, pod))
    }

    /// The same with a client that is there already.
    pub fn with_client(client: Client, namespace: &str, pod: &str) -> Self {
        Self {
            servers: Api::namespaced(client.clone(), namespace),
            keys: Api::namespaced(client, namespace),
            pod: pod.to_owned(),
        }
    }

    async fn patch_status(&self, report: &ReplicaReport) -> Result<(), kube::Error> {
        let status = json!({
            "apiVersion": McpServer::api_version(&()),
            "kind": McpServer::kind(&()),
            "metadata": {"name": label::SERVER},
            "status": {"replicas": [report]},
        });
        // Forced: a former pod of this name may have left the same entry, and
        // the name is ours now.
        let manager = format!("{}/{}", label::SERVER_ACCOUNT, self.pod);
        let params = PatchParams::apply(&manager).force();
        self.servers
            .patch_status(label::SERVER, &params, &Patch::Apply(status))
            .await
            .map(|_| ())
    }
}

impl ControlPlane for Kubernetes {
    fn follow(&self, knowledge: Arc<Knowledge>) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let contract = ContractListener(&knowledge);
            let keys = KeyListener(&knowledge);
            let only_ours = format!("metadata.name={}", label::SERVER);
            tokio::join!(
                follow(&self.servers, Some(&only_ours), &contract),
                follow(&self.keys, None, &keys),
            );
        })
    }

    fn report<'a>(&'a self, report: &'a ReplicaReport) -> BoxFuture<'a, Result<(), ReportError>> {
        Box::pin(async move {
            let failed = |cause| ReportError {
                pod: self.pod.clone(),
                cause,
            };
            match tokio::time::timeout(REQUEST, self.patch_status(report)).await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => Err(failed(Box::new(error))),
                Err(elapsed) => Err(failed(Box::new(elapsed))),
            }
        })
    }
}

/// Somebody who is told about the objects of one kind.
trait Listener<K> {
    const WHAT: &'static str;

    /// These are all.
    fn all(&self, objects: Vec<K>);

    /// One is new or changed.
    fn put(&self, object: K);

    /// One is gone.
    fn gone(&self, object: &K);

    /// There was word from the API server.
    fn heard(&self, now: Instant);
}

struct ContractListener<'k>(&'k Knowledge);

impl Listener<McpServer> for ContractListener<'_> {
    const WHAT: &'static str = "the contract";

    fn all(&self, objects: Vec<McpServer>) {
        self.0
            .tell_contract(objects.into_iter().next().map(raw_contract));
    }

    fn put(&self, object: McpServer) {
        self.0.tell_contract(Some(raw_contract(object)));
    }

    fn gone(&self, _: &McpServer) {
        self.0.tell_contract(None);
    }

    fn heard(&self, now: Instant) {
        self.0.heard(Topic::Contract, now);
    }
}

struct KeyListener<'k>(&'k Knowledge);

impl Listener<McpApiKey> for KeyListener<'_> {
    const WHAT: &'static str = "the keys";

    fn all(&self, objects: Vec<McpApiKey>) {
        let readable = |key: McpApiKey| match key.record() {
            Ok(record) => Some(record),
            Err(error) => {
                unreadable(&key, &error);
                None
            }
        };
        self.0.tell_keys(objects.into_iter().filter_map(readable));
    }

    fn put(&self, object: McpApiKey) {
        match object.record() {
            Ok(record) => self.0.tell_key(record),
            Err(error) => {
                unreadable(&object, &error);
                self.gone(&object);
            }
        }
    }

    fn gone(&self, object: &McpApiKey) {
        // A name that is no key id never was a key.
        if let Ok(id) = KeyId::parse(&object.name_any()) {
            self.0.forget_key(&id);
        }
    }

    fn heard(&self, now: Instant) {
        self.0.heard(Topic::Keys, now);
    }
}

fn unreadable(key: &McpApiKey, error: &dyn std::error::Error) {
    tracing::warn!(
        key = key.name_any(),
        error = chain(error),
        "an McpApiKey cannot be read and counts as unknown"
    );
}

fn raw_contract(server: McpServer) -> RawContract {
    let mut contract = server.spec.contract;
    contract.insert("version".into(), Value::String(server.spec.version));
    RawContract {
        uid: server.metadata.uid.unwrap_or_default(),
        generation: server.metadata.generation,
        contract: Value::Object(contract),
    }
}

/// Lists and watches for ever.
async fn follow<K, L>(api: &Api<K>, fields: Option<&str>, listener: &L)
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
    L: Listener<K>,
{
    let mut pause = SHORTEST_PAUSE;
    loop {
        let began = Instant::now();
        let error = match list(api, fields, listener).await {
            Ok(version) => watch(api, fields, listener, version).await,
            Err(error) => error,
        };
        if !matches!(error, WatchError::Outdated) {
            tracing::warn!(
                error = chain(&error),
                "lost sight of {}; trying again",
                L::WHAT
            );
        }
        // What went well for a while failed for a new reason: begin anew.
        if began.elapsed() > LONGEST_PAUSE {
            pause = SHORTEST_PAUSE;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Tells all objects; answers the version from which to watch.
async fn list<K, L>(api: &Api<K>, fields: Option<&str>, listener: &L) -> Result<String, WatchError>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
    L: Listener<K>,
{
    let mut params = ListParams {
        field_selector: fields.map(str::to_owned),
        ..ListParams::default()
    }
    .limit(PAGE);
    let mut objects = Vec::new();
    loop {
        let page = tokio::time::timeout(REQUEST, api.list(&params)).await;
        let page = page
            .map_err(|_| WatchError::Silence)?
            .map_err(WatchError::List)?;
        objects.extend(page.items);
        params.continue_token = page.metadata.continue_.filter(|token| !token.is_empty());
        if params.continue_token.is_none() {
            listener.all(objects);
            listener.heard(Instant::now());
            return Ok(page.metadata.resource_version.unwrap_or_default());
        }
    }
}

/// Tells every change from `version` on, watch after watch, until one fails.
async fn watch<K, L>(
    api: &Api<K>,
    fields: Option<&str>,
    listener: &L,
    mut version: String,
) -> WatchError
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
    L: Listener<K>,
{
    let mut params = WatchParams::default().timeout(WATCH_SECONDS);
    params.field_selector = fields.map(str::to_owned);
    loop {
        let events = match tokio::time::timeout(REQUEST, api.watch(&params, &version)).await {
            Ok(Ok(events)) => events,
            Ok(Err(kube::Error::Api(status))) if status.code == 410 => return WatchError::Outdated,
            Ok(Err(error)) => return WatchError::Watch(error),
            Err(_) => return WatchError::Silence,
        };
        let began = Instant::now();
        listener.heard(began);
        let mut events = events.boxed();
        loop {
            let event = match tokio::time::timeout(WATCH_SILENCE, events.try_next()).await {
                Ok(Ok(Some(event))) => event,
                Ok(Ok(None)) => break,
                Ok(Err(error)) => return WatchError::Watch(error),
                Err(_) => return WatchError::Silence,
            };
            if let Err(error) = tell(event, listener, &mut version) {
                return error;
            }
            listener.heard(Instant::now());
        }
        // An API server that ends every watch at once is not to be hammered.
        if began.elapsed() < SHORTEST_PAUSE {
            tokio::time::sleep(SHORTEST_PAUSE).await;
        }
    }
}

fn tell<K, L>(event: WatchEvent<K>, listener: &L, version: &mut String) -> Result<(), WatchError>
where
    K: Resource<DynamicType = ()>,
    L: Listener<K>,
{
    let newer = |object: &K| object.meta().resource_version.clone();
    let seen = match event {
        WatchEvent::Added(object) | WatchEvent::Modified(object) => {
            let seen = newer(&object);
            listener.put(object);
            seen
        }
        WatchEvent::Deleted(object) => {
            listener.gone(&object);
            newer(&object)
        }
        WatchEvent::Bookmark(bookmark) => Some(bookmark.metadata.resource_version),
        WatchEvent::Error(status) if status.code == 410 => return Err(WatchError::Outdated),
        WatchEvent::Error(status) => return Err(WatchError::Watch(kube::Error::Api(status))),
    };
    if let Some(seen) = seen {
        *version = seen;
    }
    Ok(())
}
