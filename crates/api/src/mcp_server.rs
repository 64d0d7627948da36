//! `McpServer`: where operator and server meet. The operator writes the
//! contract into `spec`, the server its report into `status`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tenantry_core::access::Access;
use tenantry_core::ledger_mark::Told;

use crate::mcp_tenant::ledger::LedgerStatus;

/// The contract of one server. Internal: written by the operator, read by the
/// server; change the McpTenant instead.
///
/// The schema is open because the contract is versioned and strict in itself:
/// an API server that dropped what it does not know would hide from the server
/// that it understands less than it was told.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "tenantry.dev",
    version = "v1alpha1",
    kind = "McpServer",
    plural = "mcpservers",
    namespaced,
    status = "McpServerStatus",
    category = "tenantry",
    derive = "PartialEq",
    doc = "Internal: the contract between operator and server. Change the McpTenant instead.",
    printcolumn(name = "Organization", type_ = "string", json_path = ".spec.organization"),
    printcolumn(name = "Access", type_ = "string", json_path = ".spec.access"),
    printcolumn(name = "Contract", type_ = "string", json_path = ".spec.version"),
    printcolumn(name = "Serving", type_ = "string", json_path = ".status.replicas[*].serving"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name == 'server'").message("an organisation has one McpServer, named `server`")
)]
#[cfg_attr(feature = "cel", kube(cel))]
// Atomic: what somebody adds to the contract conflicts, and goes.
#[schemars(extend("x-kubernetes-preserve-unknown-fields" = true, "x-kubernetes-map-type" = "atomic"))]
pub struct McpServerSpec {
    /// The version of the contract; it says how to read the rest.
    #[schemars(length(min = 1, max = 16))]
    pub version: String,

    /// The rest of the contract.
    #[serde(flatten)]
    #[schemars(skip)]
    pub contract: Map<String, Value>,
}

/// What the server's replicas say of themselves.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct McpServerStatus {
    /// One report a replica.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["pod"]))]
    pub replicas: Vec<ReplicaReport>,
}

/// What one replica has loaded and obeys.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReplicaReport {
    /// The pod's name.
    pub pod: String,
    /// The UID of the pod that reported, for whoever compares it with the pod.
    pub pod_uid: String,
    /// The `metadata.generation` of the McpServer that it obeys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The digest of the contract that it obeys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contract_digest: Option<String>,
    /// The contract versions that it can read, the newest first.
    #[serde(default)]
    pub contract_versions: Vec<String>,
    /// The access in force: the strictest of the contract's and of the freezes
    /// that cover everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub access: Option<Access>,
    /// The freezes in force, the strictest first; of many, the first 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub freezes: Vec<FreezeReport>,
    /// Whether it takes calls.
    pub serving: bool,
    /// Why not, in one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why not, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The state of each connector's credentials; never a credential.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub connectors: Vec<ConnectorReport>,
    /// Whether each destination of notifications can be told; never where it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub notifications: Vec<DestinationReport>,
    /// What the signatures in its audit stream are checked with, `ed25519:…`;
    /// new at every start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit_public_key: Option<String>,
    /// The digest of its tools as clients see them, all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools_digest: Option<String>,
    /// How many changes wait for people, as its ledger has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_approvals: Option<u32>,
    /// The ledger that it keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledger: Option<LedgerReport>,
    /// Whether what the network policy forbids is kept from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolation: Option<IsolationReport>,
    /// The release of the server.
    #[serde(default)]
    pub release: String,
    /// When the report last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_at: Option<Time>,
}

/// A freeze that one replica obeys.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FreezeReport {
    /// The name of the McpFreeze.
    pub name: String,
    /// What it covers: `everything`, a connector, or connector/account.
    pub scope: String,
    /// What it still allows.
    #[schemars(with = "String")]
    pub access: Access,
    /// Why the McpFreeze cannot be read, if it cannot; it covers everything then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// The ledger of one replica.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LedgerReport {
    /// Whether changes can be recorded in it.
    pub state: LedgerState,
    /// Why not, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The word by which people accept the one that was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept: Option<String>,
    /// How far it had come when it was last trusted; written at most twice a
    /// minute, and when the server stops.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<LedgerStatus>,
    /// What was expected when people accepted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead_of: Option<LedgerStatus>,
}

/// Whether changes can be recorded in a ledger.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum LedgerState {
    /// They can.
    Open,
    /// It is not the one that was expected, and nobody has accepted it.
    Mismatch,
    /// It cannot be opened.
    Unavailable,
    /// Nobody has tried to open it yet.
    Opening,
}

impl LedgerReport {
    /// What it tells of a ledger that was trusted.
    pub fn told(&self) -> Option<Told> {
        Some(Told {
            mark: self.mark.as_ref()?.mark()?,
            instead_of: self.instead_of.as_ref().and_then(LedgerStatus::mark),
        })
    }
}

/// What came of trying what the network policy forbids.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IsolationReport {
    /// What it amounts to.
    pub state: Isolation,
    /// What was tried, in a sentence.
    pub message: String,
}

/// Whether the network policy is enforced.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[expect(missing_docs, reason = "the words say it")]
pub enum Isolation {
    Proven,
    Open,
    Unknown,
}

/// The state of one connector in one replica.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConnectorReport {
    /// The connector.
    pub name: String,
    /// Whether it has credentials to use.
    pub ready: bool,
    /// Why not, in one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why not, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When its token ends, as the vendor says; absent if it does not, or if
    /// the vendor did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_expires_at: Option<Time>,
}

/// The state of one destination of notifications in one replica.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DestinationReport {
    /// The destination.
    pub name: String,
    /// Whether it can be told something, as far as is known.
    pub ready: bool,
    /// Why not, in one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why not, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}
