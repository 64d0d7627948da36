//! `McpTenant`: one organisation, as the platform team writes it.
//!
//! Field names are permanent once released. What a user left out is decided
//! here only where the choice must stay with the object (`default` in the
//! schema); all other choices are made in `compile`.

pub mod ledger;
pub mod network;
pub mod notification;
pub mod server;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use tenantry_core::access::Access;

use ledger::{Ledger, LedgerStatus};
use network::Network;
use notification::Notification;
use server::Server;

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
    printcolumn(name = "Pending", type_ = "integer", json_path = ".status.pendingApprovals", description = "Changes that wait for somebody's decision."),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.size() <= 63").message("metadata.name has at most 63 characters")
)]
#[cfg_attr(feature = "cel", kube(cel))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("!has(self.ledger.sqlite) || self.server.replicas <= 1").message("server.replicas is 0 or 1 with a ledger of kind sqlite; more replicas need ledger.postgres"))]
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

    /// Where clients outside the cluster reach the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Endpoint>,

    /// Who may be a client, beside the holders of API keys. There is no
    /// unauthenticated mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth>,

    /// Which tools there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<Tools>,

    /// How much clients may ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<TenantLimits>,

    /// Safety policies by name without which nothing is written: while one of
    /// them is missing or not accepted, writes are refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        inner(
            length(min = 1, max = 63),
            regex(pattern = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$")
        )
    )]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub required_policies: Vec<String>,

    /// Where the server keeps its record. Its kind and volume are chosen when
    /// the tenant is created.
    #[serde(default)]
    pub ledger: Ledger,

    /// What becomes of the audit record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<Audit>,

    /// How the server runs.
    #[serde(default)]
    pub server: Server,

    /// Whom the server may talk to beside what it needs, and who may talk to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,

    /// Who hears of what happens, beside those who ask.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub notifications: Vec<Notification>,

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

    /// What the organisation gets of a quota that it shares with others at the
    /// vendor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<Quota>,
}

/// A part of a quota that several organisations share, because they call the
/// vendor as the same app.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Quota {
    /// The shared quota, by a name of the platform's.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$')").message("pool is 1-63 of a-z, 0-9 and `-`, starting and ending with a letter or digit"))]
    pub pool: String,

    /// The organisation's part of it, in percent; the parts of a pool add up
    /// to at most 100.
    #[schemars(range(min = 1, max = 100))]
    #[schemars(extend("format" = "int32"))]
    pub share: u8,
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

/// Where clients outside the cluster reach the server.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("has(self.host) == has(self.gateway)").message("host and gateway go together: the gateway that leads from the host to the server"))]
#[x_kube(validation = Rule::new("!has(self.tls) || has(self.host)").message("tls needs a host"))]
pub struct Endpoint {
    /// The host name, unique in the cluster, such as acme.mcp.example.com.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?([.][a-z0-9]([a-z0-9-]*[a-z0-9])?)+$')").message("host is a full name of lower-case words parted by `.`, such as acme.mcp.example.com; no wildcard, no port"))]
    pub host: Option<String>,

    /// The way in, by a name from the platform's list of gateways.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$')").message("gateway is a name from the platform's list: 1-63 of a-z, 0-9 and `-`, starting and ending with a letter or digit"))]
    pub gateway: Option<String>,

    /// The host's certificate, where the gateway does not bring its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,

    /// Web origins whose pages may call the server, such as
    /// https://app.example.com. Programs send no origin and need none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        inner(
            length(min = 1, max = 268),
            regex(
                pattern = r"^(https://[a-z0-9]([a-z0-9.-]*[a-z0-9])?|http://(localhost|127[.]0[.]0[.]1))(:[0-9]{1,5})?$"
            )
        )
    )]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub allowed_origins: Vec<String>,
}

/// A certificate.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tls {
    /// The Secret of type kubernetes.io/tls in this namespace. The operator
    /// never reads it; the gateway does.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?([.][a-z0-9]([a-z0-9-]*[a-z0-9])?)*$')").message("secretName is the name of a Secret in this namespace: words of a-z, 0-9 and `-`, parted by `.`, each starting and ending with a letter or digit"))]
    pub secret_name: String,
}

/// Who may be a client, beside the holders of API keys.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Auth {
    /// People and programs with a token of an OpenID Connect issuer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oidc: Option<Oidc>,
}

/// An OpenID Connect issuer whose tokens are accepted.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Oidc {
    /// The issuer's URL, as its tokens name it.
    #[schemars(length(min = 9, max = 512))]
    #[x_kube(validation = Rule::new("self.matches('^https://[^ ?#@]+$')").message("issuer is an https URL without query, fragment and user"))]
    pub issuer: String,

    /// What the tokens must be meant for: the server's own URL.
    #[schemars(length(min = 1, max = 512))]
    pub audience: String,

    /// The claim that names the user. Left out, `sub`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub username_claim: Option<String>,

    /// What stands before the user's name, as the API server has it; without
    /// the same prefix an ask of theirs needs two approvers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub username_prefix: Option<String>,

    /// The claim with the scopes. Left out, `scope`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub scopes_claim: Option<String>,
}

/// Which tools there are; a key's scopes narrow them further.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tools {
    /// No other tool exists. Left out, every tool of the connectors does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 128),
        inner(length(min = 1, max = 64), regex(pattern = r"^[a-z][a-z0-9_]*$"))
    )]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub allow: Option<Vec<String>>,

    /// These tools do not exist, even if they are allowed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 128),
        inner(length(min = 1, max = 64), regex(pattern = r"^[a-z][a-z0-9_]*$"))
    )]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub deny: Vec<String>,
}

/// What becomes of the audit record.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Audit {
    /// An OpenTelemetry collector that gets the record as well, by
    /// OTLP over HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 8, max = 512))]
    #[x_kube(validation = Rule::new("self.matches('^https?://[^ ?#@]+$')").message("otlpEndpoint is an http or https URL without query, fragment and user"))]
    pub otlp_endpoint: Option<String>,

    /// Arguments of tools whose values are kept out of the record, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        inner(length(min = 1, max = 64), regex(pattern = r"^[a-z][a-z0-9_]*$"))
    )]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub redact: Vec<String>,

    /// How long the ledger keeps what was done, in days such as `90d`; at
    /// least 30.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 3, max = 5))]
    #[x_kube(validation = Rule::new("self.matches('^[1-9][0-9]{1,3}d$') && int(self.substring(0, self.size() - 1)) >= 30").message("retain is a number of days from 30d to 9999d"))]
    pub retain: Option<String>,
}

/// How much clients may ask of one server.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
// 32 is what `concurrency` is where it is left out; a rule sees no default that
// the schema does not write into the object.
#[x_kube(validation = Rule::new("!has(self.perKey) || !has(self.perKey.concurrency) || self.perKey.concurrency <= (has(self.concurrency) ? self.concurrency : 32)").message("perKey.concurrency is at most concurrency, which is 32 if left out"))]
pub struct TenantLimits {
    /// Calls of one key. Left out, 60 a minute, 20 at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_key: Option<KeyLimits>,

    /// Calls of all keys together. Left out, 600 a minute, 100 at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_tenant: Option<Rate>,

    /// Calls in progress at the same time. Left out, 32.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1024))]
    #[schemars(extend("format" = "int32"))]
    pub concurrency: Option<u32>,
}

/// How much the client with one key may ask.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeyLimits {
    /// Calls a minute in the long run.
    #[schemars(range(min = 1, max = 60000))]
    #[schemars(extend("format" = "int32"))]
    pub per_minute: u32,

    /// Calls at once.
    #[schemars(range(min = 1, max = 10000))]
    #[schemars(extend("format" = "int32"))]
    pub burst: u32,

    /// Calls in progress at the same time. Left out, half of the tenant's
    /// `concurrency`, so that one key never takes all places; never more than
    /// that `concurrency`.
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

    /// Ready, ServerAvailable, CredentialsReady and their like; Reconciling and
    /// Stalled only while they are true.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,

    /// Where clients reach the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,

    /// The access in force, as the server reports it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "access_schema")]
    pub access: Option<Access>,

    /// The digest of the contract that the operator rendered last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contract_digest: Option<String>,

    /// The digest of the policies in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_digest: Option<String>,

    /// The digest of the tools that the server offers; it changes when a tool
    /// or its description does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools_digest: Option<String>,

    /// How many changes wait for somebody's decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_approvals: Option<i32>,

    /// The state of each connector's credentials; never a credential.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub connectors: Vec<ConnectorStatus>,

    /// The ledger that this tenant has, as its server reported it last. It
    /// only moves forward, so that an older or foreign one is noticed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledger: Option<LedgerStatus>,

    /// How many replicas of the server exist.
    #[serde(default)]
    pub replicas: i32,

    /// The label selector of the server's pods, for the scale subresource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
}

/// The state of one connector.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ConnectorStatus {
    /// The connector.
    pub name: String,
    /// Whether it has credentials to use.
    pub ready: bool,
    /// Why not, in one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When its token ends, as the vendor says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_expires_at: Option<Time>,
}

fn read_only() -> Access {
    Access::ReadOnly
}

/// The words of `Access`, which core keeps without a schema.
fn access_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "enum": ["ReadWrite", "Frozen", "ReadOnly", "Disabled"],
    })
}
