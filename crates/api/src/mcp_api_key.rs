//! `McpApiKey`: what the cluster keeps of a client's key.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};
use tenantry_core::digest::Digest;
use tenantry_core::key::{KeyRecord, Scope};
use tenantry_core::name::{AccountId, KeyId};

/// A client's access to the organisation's server. The key itself was shown
/// once, to its holder; here stands the SHA-256 of its secret, which is safe
/// to publish and to keep in Git.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "tenantry.dev",
    version = "v1alpha1",
    kind = "McpApiKey",
    plural = "mcpapikeys",
    namespaced,
    shortname = "mcpk",
    category = "tenantry",
    derive = "PartialEq",
    doc = "A client's access to the MCP server of the organisation in this namespace.",
    printcolumn(name = "Owner", type_ = "string", json_path = ".spec.owner"),
    printcolumn(name = "Agent", type_ = "string", json_path = ".spec.agent"),
    printcolumn(name = "Scopes", type_ = "string", json_path = ".spec.scopes"),
    printcolumn(name = "Expires", type_ = "string", json_path = ".spec.expiresAt"),
    printcolumn(name = "Disabled", type_ = "boolean", json_path = ".spec.disabled"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.matches('^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$')").message("metadata.name is the key's public id: 1-40 of a-z, 0-9 and `-`, starting and ending with a letter or digit")
)]
#[cfg_attr(feature = "cel", kube(cel))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("!has(self.notBefore) || !has(self.expiresAt) || self.notBefore < self.expiresAt").message("notBefore must be before expiresAt"))]
// Rules of a field of its own would not see one that appears or disappears.
#[x_kube(validation = Rule::new("has(self.agent) == has(oldSelf.agent) && (!has(self.agent) || self.agent == oldSelf.agent)").message("agent is immutable; create another key"))]
#[x_kube(validation = Rule::new("has(self.issuedBy) == has(oldSelf.issuedBy) && (!has(self.issuedBy) || self.issuedBy == oldSelf.issuedBy)").message("issuedBy is immutable; create another key"))]
pub struct McpApiKeySpec {
    /// The Kubernetes user that answers for the key. Immutable.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("owner is immutable; create another key"))]
    pub owner: String,

    /// The program that uses the key, in the owner's words. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub agent: Option<String>,

    /// The Kubernetes user that created the key, in their own words: no other
    /// name is admitted. Left out, it may be anybody who may issue keys for the
    /// owner, and none of these decides on what the key asks for. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub issued_by: Option<String>,

    /// SHA-256 of the key's 32 secret bytes, as `sha256:` and 64 lower-case
    /// hexadecimal digits. Immutable.
    #[schemars(regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("digest is immutable; create another key"))]
    pub digest: String,

    /// What the key may do, as `<connector>:<class>` or `*:<class>`; the
    /// classes are read, write, spend, financial and destructive, and none
    /// implies another. Empty means nothing.
    #[schemars(
        length(max = 32),
        inner(
            length(max = 32),
            regex(
                pattern = r"^(\*|[a-z][a-z0-9]{0,15}):(read|write|spend|financial|destructive)$"
            )
        )
    )]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub scopes: Vec<String>,

    /// The accounts that the key may touch, by the vendor's id. Left out, all
    /// accounts of the tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 256),
        inner(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z0-9_-]+$"))
    )]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub accounts: Option<Vec<String>>,

    /// Before this time the key is not good yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Time>,

    /// From this time on the key is no longer good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,

    /// True revokes the key. It cannot become false again.
    #[serde(default)]
    #[x_kube(validation = Rule::new("self || !oldSelf").message("a disabled key stays disabled; create another key"))]
    pub disabled: bool,
}

/// Why an `McpApiKey` means nothing. The schema refuses all of these; a server
/// that meets one nevertheless treats the key as unknown.
#[derive(Debug, thiserror::Error)]
pub enum KeyFormError {
    /// It has no name, or one that is no key id.
    #[error("metadata.name is not a key id")]
    Name(#[source] tenantry_core::name::NameError),
    /// The digest cannot be read.
    #[error("spec.digest cannot be read")]
    Digest(#[source] tenantry_core::digest::DigestError),
    /// A scope cannot be read.
    #[error("spec.scopes cannot be read")]
    Scope(#[source] tenantry_core::key::ScopeError),
    /// An account cannot be read.
    #[error("spec.accounts cannot be read")]
    Account(#[source] tenantry_core::name::NameError),
}

impl McpApiKey {
    /// What the form means. A key that is being deleted is revoked already.
    pub fn record(&self) -> Result<KeyRecord, KeyFormError> {
        let name = self.metadata.name.as_deref().unwrap_or_default();
        let scopes = self.spec.scopes.iter().map(|text| Scope::parse(text));
        let accounts = self.spec.accounts.as_ref().map(|ids| {
            ids.iter()
                .map(|text| AccountId::parse(text))
                .collect::<Result<_, _>>()
        });
        Ok(KeyRecord {
            id: KeyId::parse(name).map_err(KeyFormError::Name)?,
            owner: self.spec.owner.clone(),
            agent: self.spec.agent.clone(),
            issued_by: self.spec.issued_by.clone(),
            digest: Digest::parse(&self.spec.digest).map_err(KeyFormError::Digest)?,
            scopes: scopes
                .collect::<Result<_, _>>()
                .map_err(KeyFormError::Scope)?,
            accounts: accounts.transpose().map_err(KeyFormError::Account)?,
            not_before: self.spec.not_before.as_ref().map(|time| time.0),
            expires_at: self.spec.expires_at.as_ref().map(|time| time.0),
            disabled: self.spec.disabled || self.metadata.deletion_timestamp.is_some(),
        })
    }
}
