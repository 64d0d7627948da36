//! Cases that a policy carries along: a change, and what must become of it.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A change, and what must become of it.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TestCase {
    /// Its name, for the message when it fails.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$')").message("name is 1-63 of a-z, 0-9 and `-`, starting and ending with a letter or digit"))]
    pub name: String,

    /// The change.
    pub change: Change,

    /// What must become of it.
    pub expect: Expectation,
}

/// A change, as a tool would ask for it.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Change {
    /// The tool, such as `meta_set_budget`.
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z][a-z0-9_]*$')").message("tool is 1-64 of a-z, 0-9 and `_`, starting with a letter"))]
    pub tool: String,

    /// The account, by the vendor's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9_-]+$')").message("an account's id is 1-64 of A-Z, a-z, 0-9, `_` and `-`, as the vendor spells it"))]
    pub account: Option<String>,

    /// The object, by the vendor's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9_/-]+$')").message("an object's id is 1-128 of A-Z, a-z, 0-9, `_`, `/` and `-`, as the vendor spells it"))]
    pub object: Option<String>,

    /// What the amounts are in. Left out, the policy's currency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 3, max = 3))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Z]{3}$')").message("currency is three capital letters (ISO 4217), such as EUR"))]
    pub currency: Option<String>,

    /// The daily budget before and after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub daily: Option<BeforeAfter>,

    /// The lifetime budget before and after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<BeforeAfter>,

    /// The amount of a financial record before and after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub financial: Option<BeforeAfter>,
}

/// An amount before and after a change.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BeforeAfter {
    /// Before. Left out, there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 20))]
    #[x_kube(validation = Rule::new("self.matches('^(0|[1-9][0-9]{0,11})([.][0-9]{1,6})?$')").message("before is a decimal amount in quotes, such as \"100.00\""))]
    pub before: Option<String>,

    /// After.
    #[schemars(length(min = 1, max = 20))]
    #[x_kube(validation = Rule::new("self.matches('^(0|[1-9][0-9]{0,11})([.][0-9]{1,6})?$')").message("after is a decimal amount in quotes, such as \"150.00\""))]
    pub after: String,
}

/// What must become of a change.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Expectation {
    /// Permitted, NeedsApproval or Denied.
    pub decision: ExpectedDecision,

    /// The names of the rules and limits that decide. Left out, any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 128)))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub rules: Option<Vec<String>>,
}

/// What a policy can decide.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the field that has this type explains the words"
)]
pub enum ExpectedDecision {
    Permitted,
    NeedsApproval,
    Denied,
}
