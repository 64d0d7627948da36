//! `McpTenant`: one organisation, as the platform team writes it.
//!
//! Field names are permanent once released. What a user left out is decided
//! here only where the choice must stay with the object (`default` in the
//! schema); all other choices are made in `compile`.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use tenantry_core::access::Access;

/// What the platform team declares for one organisation.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "tenantry.dev",
    version = "v1alpha1",
    kind = "McpTenant",
    plural = "mcptenants",
    namespaced,
    status = "McpTenantStatus",
    shortname = "mcpt",
    category = "tenantry",
    derive = "PartialEq",
    selectable = ".spec.organization",
    doc = "One organisation with its own isolated MCP server. A namespace is one organisation and holds one McpTenant.",
    scale(
        spec_replicas_path = ".spec.server.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "Organization", type_ = "string", json_path = ".spec.organization"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason"),
    printcolumn(name = "Access", type_ = "string", json_path = ".status.access", description = "The access in force, as the server reports it."),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.size() <= 63").message("metadata.name has at most 63 characters")
)]
#[cfg_attr(feature = "cel", kube(cel))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct McpTenantSpec {
    /// The organisation's name: 1-40 of a-z, 0-9 and `-`, starting and ending
    /// with a letter or digit. Immutable.
    #[schemars(length(min = 1, max = 40))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$')").message("organization is 1-40 of a-z, 0-9 and `-`, starting and ending with a letter or digit"))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("organization is immutable; create another McpTenant in another namespace"))]
    pub organization: String,

    /// What the organisation allows: ReadWrite (reads, and writes that pass the
    /// safety policy), Frozen (reads, and switching things off), ReadOnly
    /// (reads) or Disabled (clients are refused). Left out, ReadOnly: agents
    /// change nothing until somebody wrote that they may.
    #[serde(default = "read_only")]
    #[schemars(schema_with = "access_schema")]
    pub access: Access,

    /// The vendors that the organisation uses, each once.
    #[schemars(length(min = 1, max = 16))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub connectors: Vec<Connector>,

    /// How much clients may ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<TenantLimits>,

    /// Where the server keeps its record. Its kind and volume are chosen when
    /// the tenant is created.
    #[serde(default)]
    pub ledger: Ledger,

    /// How the server runs.
    #[serde(default)]
    pub server: Server,

    /// True stops the operator from changing anything of this tenant. It never
    /// stops the server, and it never delays a freeze.
    #[serde(default)]
    pub suspend: bool,

    /// What happens to the ledger's volume when the tenant is deleted: Retain
    /// keeps the record of what was done, Delete destroys it.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

/// One vendor of the organisation.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Connector {
    /// The connector, such as `meta`: 1-16 of a-z and 0-9, starting with a letter.
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z][a-z0-9]*$')").message("a connector's name is 1-16 of a-z and 0-9, starting with a letter, such as `meta`"))]
    pub name: String,

    /// What the vendor is called with.
    pub credentials: Credentials,

    /// The accounts that may be used; no other account exists for clients.
    #[schemars(length(min = 1, max = 256))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["id"]))]
    pub accounts: Vec<Account>,
}

/// What a vendor is called with.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Credentials {
    /// The Secret in this namespace that holds them. It is mounted into the
    /// server; the operator never reads it. It may be created later.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?([.][a-z0-9]([a-z0-9-]*[a-z0-9])?)*$')").message("secretName is the name of a Secret in this namespace: words of a-z, 0-9 and `-`, parted by `.`, each starting and ending with a letter or digit"))]
    pub secret_name: String,
}

/// One account at a vendor.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Account {
    /// The vendor's id of it, in the vendor's spelling, such as `act_42`.
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9_-]+$')").message("an account's id is 1-64 of A-Z, a-z, 0-9, `_` and `-`, as the vendor spells it"))]
    pub id: String,

    /// The currency that it is kept in, by its ISO 4217 code, such as EUR.
    #[schemars(length(min = 3, max = 3))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Z]{3}$')").message("currency is three capital letters (ISO 4217), such as EUR"))]
    pub currency: String,

    /// Its time zone at the vendor, by IANA name, such as Europe/Berlin.
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$')").message("timeZone is an IANA name, such as Europe/Berlin"))]
    pub time_zone: String,

    /// What the account allows. The strictest of this and the tenant's access
    /// holds; left out, the tenant's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "access_schema")]
    pub access: Option<Access>,
}

/// How much clients may ask of one server.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TenantLimits {
    /// Calls of one key. Left out, 60 a minute, 20 at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_key: Option<Rate>,

    /// Calls of all keys together. Left out, 600 a minute, 100 at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_tenant: Option<Rate>,

    /// Calls in progress at the same time. Left out, 32.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1024))]
    #[schemars(extend("format" = "int32"))]
    pub concurrency: Option<u32>,
}

/// A rate: a bucket of `burst` calls that fills up at `perMinute`.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rate {
    /// Calls a minute in the long run.
    #[schemars(range(min = 1, max = 60000))]
    #[schemars(extend("format" = "int32"))]
    pub per_minute: u32,

    /// Calls at once.
    #[schemars(range(min = 1, max = 10000))]
    #[schemars(extend("format" = "int32"))]
    pub burst: u32,
}

/// Where the server keeps its record.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ledger {
    /// A file on a volume of its own; one replica.
    #[serde(default)]
    pub sqlite: Sqlite,
}

/// A ledger in a file on a volume of its own.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("self == oldSelf").message("the ledger's volume is chosen when the tenant is created; storage and storageClassName are immutable"))]
pub struct Sqlite {
    /// The size of the volume.
    #[serde(default = "one_gibibyte")]
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(validation = Rule::new("isQuantity(self) && quantity(self).isGreaterThan(quantity('0'))").message("storage is a size, such as 1Gi"))]
    pub storage: String,

    /// The StorageClass of the volume. Left out, the cluster's default class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?([.][a-z0-9]([a-z0-9-]*[a-z0-9])?)*$')").message("storageClassName is the name of a StorageClass: words of a-z, 0-9 and `-`, parted by `.`, each starting and ending with a letter or digit"))]
    pub storage_class_name: Option<String>,
}

/// How the server runs.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Server {
    /// How many replicas run: 1, or 0 to stop the server.
    #[serde(default = "one")]
    #[schemars(range(min = 0))]
    #[x_kube(validation = Rule::new("self <= 1").message("more than one replica needs a PostgreSQL ledger, which this release does not have; use 0 or 1"))]
    pub replicas: i32,

    /// Compute resources of the server. Left out, it asks for 10m of CPU and
    /// 32Mi of memory and may use 256Mi of memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,

    /// Labels of the nodes on which the server may run.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub node_selector: BTreeMap<String, String>,

    /// Taints of nodes that the server tolerates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub tolerations: Vec<Toleration>,
}

/// Compute resources.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("!has(self.requests) || !has(self.limits) || !has(self.requests.cpu) || !has(self.limits.cpu) || !isQuantity(self.requests.cpu) || !isQuantity(self.limits.cpu) || !quantity(self.requests.cpu).isGreaterThan(quantity(self.limits.cpu))").message("requests.cpu is more than limits.cpu"))]
#[x_kube(validation = Rule::new("!has(self.requests) || !has(self.limits) || !has(self.requests.memory) || !has(self.limits.memory) || !isQuantity(self.requests.memory) || !isQuantity(self.limits.memory) || !quantity(self.requests.memory).isGreaterThan(quantity(self.limits.memory))").message("requests.memory is more than limits.memory"))]
pub struct Resources {
    /// What the server is promised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<Quantities>,

    /// What the server may use at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Quantities>,
}

/// Amounts of compute resources.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Quantities {
    /// CPU, such as 100m or "1".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(validation = Rule::new("isQuantity(self) && !quantity(self).isLessThan(quantity('0'))").message("cpu is a quantity, such as 100m or \"1\""))]
    pub cpu: Option<String>,

    /// Memory, such as 128Mi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(validation = Rule::new("isQuantity(self) && !quantity(self).isLessThan(quantity('0'))").message("memory is a quantity, such as 128Mi"))]
    pub memory: Option<String>,
}

/// A taint that the server tolerates.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("self.operator != 'Exists' || !has(self.value)").message("a toleration with operator Exists has no value"))]
#[x_kube(validation = Rule::new("self.operator == 'Exists' || has(self.key)").message("a toleration with operator Equal has a key"))]
pub struct Toleration {
    /// The taint's key; only with operator Exists it may be left out, for all
    /// keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 316))]
    pub key: Option<String>,

    /// Whether the taint must have `value`, or only exist.
    #[serde(default)]
    pub operator: TolerationOperator,

    /// The taint's value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub value: Option<String>,

    /// The effect that is tolerated; left out, all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<TaintEffect>,
}

/// How a toleration is compared with a taint.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words are Kubernetes' own")]
pub enum TolerationOperator {
    #[default]
    Equal,
    Exists,
}

/// What a taint does to pods that do not tolerate it.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words are Kubernetes' own")]
pub enum TaintEffect {
    NoSchedule,
    PreferNoSchedule,
    NoExecute,
}

/// What outlives the tenant. (The words are told apart in the field's own
/// description.)
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the field that has this type explains the words"
)]
pub enum DeletionPolicy {
    #[default]
    Retain,
    Delete,
}

/// What became of the declaration.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct McpTenantStatus {
    /// The `metadata.generation` that the rest of the status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// Ready, ServerAvailable and CredentialsReady; Reconciling and Stalled
    /// only while they are true.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,

    /// Where clients in the cluster reach the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,

    /// The access in force, as the server reports it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "access_schema")]
    pub access: Option<Access>,

    /// The digest of the contract that the operator rendered last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contract_digest: Option<String>,

    /// How many replicas of the server exist.
    #[serde(default)]
    pub replicas: i32,

    /// The label selector of the server's pods, for the scale subresource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
}

impl Default for Sqlite {
    fn default() -> Self {
        Self {
            storage: one_gibibyte(),
            storage_class_name: None,
        }
    }
}

impl Default for Server {
    fn default() -> Self {
        Self {
            replicas: one(),
            resources: None,
            node_selector: BTreeMap::new(),
            tolerations: vec![],
        }
    }
}

fn read_only() -> Access {
    Access::ReadOnly
}

fn one_gibibyte() -> String {
    "1Gi".into()
}

fn one() -> i32 {
    1
}

/// The words of `Access`, which core keeps without a schema.
fn access_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "enum": ["ReadWrite", "Frozen", "ReadOnly", "Disabled"],
    })
}
