//! The control plane in a Kubernetes namespace. With what is below it, the only
//! module that knows a Kubernetes client.

mod approvals;
mod follow;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use futures::future::BoxFuture;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::{Client, Config, Resource, ResourceExt as _};
use serde::Deserialize as _;
use serde_json::{Value, json};
use tenantry_api::label;
use tenantry_api::mcp_api_key::McpApiKey;
use tenantry_api::mcp_approval::McpApproval;
use tenantry_api::mcp_freeze::{self, McpFreeze};
use tenantry_api::mcp_server::{LedgerReport, McpServer, ReplicaReport};
use tenantry_core::freeze::Freeze;
use tenantry_core::key::KeyRecord;
use tenantry_core::name::KeyId;

use super::{Approvals, ControlPlane, Live, LiveError, ReportError};
use crate::knowledge::{Knowledge, RawContract, Topic};
use approvals::QuestionListener;
pub use follow::Pace;
use follow::{Listener, all_pages, follow};
use tenantry_core::cause::chain;

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

/// One namespace of a cluster.
pub struct Kubernetes {
    servers: Api<DynamicObject>,
    keys: Api<DynamicObject>,
    freezes: Api<DynamicObject>,
    approvals: Api<DynamicObject>,
    pod: String,
    pace: Pace,
}

impl Kubernetes {
    /// Connects as the pod's ServiceAccount, or by a kubeconfig.
    pub async fn connect(namespace: &str, pod: &str) -> Result<Self, ConnectError> {
        let mut config = Config::infer().await.map_err(ConnectError::Configuration)?;
        config.connect_timeout = Some(Pace::PRODUCTION.request);
        // Every loop here tries again by itself, and knows when to give up.
        config.default_retry = false;
        let client = Client::try_from(config).map_err(ConnectError::Client)?;
        Ok(Self::with_client(&client, namespace, pod))
    }

    /// The same with a client that is there already.
    pub fn with_client(client: &Client, namespace: &str, pod: &str) -> Self {
        let api = |kind: ApiResource| Api::namespaced_with(client.clone(), namespace, &kind);
        Self {
            servers: api(ApiResource::erase::<McpServer>(&())),
            keys: api(ApiResource::erase::<McpApiKey>(&())),
            freezes: api(ApiResource::erase::<McpFreeze>(&())),
            approvals: api(ApiResource::erase::<McpApproval>(&())),
            pod: pod.to_owned(),
            pace: Pace::PRODUCTION,
        }
    }

    /// The same at another pace.
    #[must_use]
    pub fn with_pace(self, pace: Pace) -> Self {
        Self { pace, ..self }
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
            let freezes = FreezeListener(&knowledge);
            let questions = QuestionListener(&knowledge);
            let only_ours = format!("metadata.name={}", label::SERVER);
            tokio::join!(
                follow(&self.servers, Some(&only_ours), &contract, &self.pace),
                follow(&self.keys, None, &keys, &self.pace),
                follow(&self.freezes, None, &freezes, &self.pace),
                follow(&self.approvals, None, &questions, &self.pace),
            );
        })
    }

    /// Without a resource version the API server answers from the quorum of its
    /// store, not from a cache.
    fn read_live<'a>(&'a self, key: &'a KeyId) -> BoxFuture<'a, Result<Live, LiveError>> {
        let failed = |what| {
            move |error: kube::Error| LiveError {
                what,
                cause: Box::new(error),
            }
        };
        Box::pin(async move {
            let contract = async {
                let contract = self.servers.get_opt(label::SERVER).await;
                contract.map_err(failed("the contract"))
            };
            let key = async {
                let key = self.keys.get_opt(key.as_str()).await;
                key.map_err(failed("the key"))
            };
            let freezes = async {
                let freezes = all_pages(&self.freezes, None).await;
                freezes.map_err(failed("the freezes"))
            };
            let (contract, key, (freezes, _)) = tokio::try_join!(contract, key, freezes)?;
            Ok(Live {
                contract: contract.map(raw_contract),
                key: key.and_then(|object| record(&object)),
                freezes: freezes.iter().map(freeze).collect(),
            })
        })
    }

    fn approvals(&self) -> Option<&dyn Approvals> {
        Some(self)
    }

    fn report<'a>(&'a self, report: &'a ReplicaReport) -> BoxFuture<'a, Result<(), ReportError>> {
        Box::pin(async move {
            let failed = |cause| ReportError {
                pod: self.pod.clone(),
                cause,
            };
            match tokio::time::timeout(self.pace.request, self.patch_status(report)).await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => Err(failed(Box::new(error))),
                Err(elapsed) => Err(failed(Box::new(elapsed))),
            }
        })
    }
}

struct ContractListener<'k>(&'k Knowledge);

impl Listener for ContractListener<'_> {
    const WHAT: &'static str = "the contract";

    fn all(&self, objects: Vec<DynamicObject>) {
        match objects.into_iter().next() {
            Some(object) => self.put(object),
            None => self.0.tell_contract(None),
        }
    }

    fn put(&self, object: DynamicObject) {
        // First, because a contract is obeyed at once.
        self.0.tell_ledgers(ledgers(&object));
        self.0.tell_contract(Some(raw_contract(object)));
    }

    fn gone(&self, _: &DynamicObject) {
        self.0.tell_contract(None);
    }

    fn heard(&self, now: Instant) {
        self.0.heard(Topic::Contract, now);
    }
}

struct KeyListener<'k>(&'k Knowledge);

impl Listener for KeyListener<'_> {
    const WHAT: &'static str = "the keys";

    fn all(&self, objects: Vec<DynamicObject>) {
        self.0.tell_keys(objects.iter().filter_map(record));
    }

    fn put(&self, object: DynamicObject) {
        match record(&object) {
            Some(record) => self.0.tell_key(record),
            None => self.gone(&object),
        }
    }

    fn gone(&self, object: &DynamicObject) {
        // A name that is no key id never was a key.
        if let Ok(id) = KeyId::parse(&object.name_any()) {
            self.0.forget_key(&id);
        }
    }

    fn heard(&self, now: Instant) {
        self.0.heard(Topic::Keys, now);
    }
}

struct FreezeListener<'k>(&'k Knowledge);

impl Listener for FreezeListener<'_> {
    const WHAT: &'static str = "the freezes";

    fn all(&self, objects: Vec<DynamicObject>) {
        self.0.tell_freezes(objects.iter().map(freeze));
    }

    fn put(&self, object: DynamicObject) {
        self.0.tell_freeze(freeze(&object));
    }

    fn gone(&self, object: &DynamicObject) {
        self.0.forget_freeze(&object.name_any());
    }

    fn heard(&self, now: Instant) {
        self.0.heard(Topic::Freezes, now);
    }
}

/// What the key means; one that cannot be read counts as unknown.
fn record(object: &DynamicObject) -> Option<KeyRecord> {
    let unreadable = |error: &dyn std::error::Error| {
        tracing::warn!(
            key = object.name_any(),
            error = chain(error),
            "an McpApiKey cannot be read and counts as unknown"
        );
    };
    let key = object.clone().try_parse::<McpApiKey>();
    let key = key.map_err(|error| unreadable(&error)).ok()?;
    key.record().map_err(|error| unreadable(&error)).ok()
}

/// What the freeze means. Presence freezes: one that is being deleted still
/// holds.
fn freeze(object: &DynamicObject) -> Freeze {
    let spec = object.data.get("spec").unwrap_or(&Value::Null);
    mcp_freeze::read(&object.name_any(), spec)
}

/// What pods have reported of the ledger. What cannot be read is of another
/// release, and tells nothing.
fn ledgers(server: &DynamicObject) -> BTreeMap<String, LedgerReport> {
    let replicas = server.data.pointer("/status/replicas");
    let replicas = replicas.and_then(Value::as_array).into_iter().flatten();
    let report = |replica: &Value| {
        let pod = replica.get("pod")?.as_str()?.to_owned();
        let report = LedgerReport::deserialize(replica.get("ledger")?).ok()?;
        Some((pod, report))
    };
    replicas.filter_map(report).collect()
}

fn raw_contract(mut server: DynamicObject) -> RawContract {
    RawContract {
        uid: server.metadata.uid.unwrap_or_default(),
        generation: server.metadata.generation,
        contract: server.data.get_mut("spec").map_or(Value::Null, Value::take),
    }
}
