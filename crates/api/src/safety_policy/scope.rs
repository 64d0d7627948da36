//! Which writes a policy speaks of.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Writes, by what they touch and who asks. Fields that are left out match
/// everything; all that are there must match.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Match {
    /// Connectors, such as `meta`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 16),
        inner(length(max = 16), regex(pattern = r"^[a-z][a-z0-9]*$"))
    )]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub connectors: Option<Vec<String>>,

    /// Accounts, by the vendor's ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 256),
        inner(length(max = 64), regex(pattern = r"^[A-Za-z0-9_-]+$"))
    )]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub accounts: Option<Vec<String>>,

    /// Tools, such as `meta_set_budget`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 128),
        inner(length(max = 64), regex(pattern = r"^[a-z][a-z0-9_]*$"))
    )]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub tools: Option<Vec<String>>,

    /// Classes of tools.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub classes: Option<Vec<WriteClass>>,

    /// API keys, by the names of their McpApiKeys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 256),
        inner(length(max = 40), regex(pattern = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"))
    )]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub keys: Option<Vec<String>>,

    /// Objects, by the vendor's ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 256),
        inner(length(max = 128), regex(pattern = r"^[A-Za-z0-9_/-]+$"))
    )]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub objects: Option<Vec<String>>,
}

/// The classes of tools that change something.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the words are those of scopes")]
pub enum WriteClass {
    Write,
    Spend,
    Financial,
    Destructive,
}
