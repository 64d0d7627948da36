//! When people are asked, and what only CEL can say.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::budget::WindowScope;
use super::scope::WriteClass;

/// When people are asked, and whom.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Approval {
    /// Its name, for answers, approvals and the record.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$')").message("name is 1-63 of a-z, 0-9 and `-`, starting and ending with a letter or digit"))]
    pub name: String,

    /// Who may decide: users with the verb `approve` on the subresource
    /// mcpapprovals/decision of this name.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$')").message("approverClass is 1-63 of a-z, 0-9 and `-`, starting and ending with a letter or digit"))]
    pub approver_class: String,

    /// What makes this entry ask: all that is said here at once.
    pub when: When,

    /// How many people must agree. Left out, 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 5))]
    pub approvers: Option<i32>,

    /// How long they have, at most 7d. Left out, 24h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 6))]
    #[x_kube(validation = Rule::new("self.matches('^([1-9]|[1-5][0-9])[sm]$|^([1-9]|[1-9][0-9]|1[0-5][0-9]|16[0-8])h$|^[1-7]d$')").message("expiresAfter is a number and one of s, m, h and d, at most 7d, such as 24h"))]
    pub expires_after: Option<String>,
}

/// What makes an entry ask: every field that is there must hold. `…Over` is
/// strict: the amount itself does not ask.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("has(self.dailyIncreaseOver) || has(self.lifetimeIncreaseOver) || has(self.increasePercentOver) || has(self.windowIncreaseOver) || has(self.amountOver) || has(self.classes) || has(self.cel)").message("when says nothing; name at least one thing that asks"))]
pub struct When {
    /// A daily budget rises by more than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 20))]
    #[x_kube(validation = Rule::new("self.matches('^(0|[1-9][0-9]{0,11})([.][0-9]{1,6})?$')").message("dailyIncreaseOver is a decimal amount in quotes, such as \"500.00\""))]
    pub daily_increase_over: Option<String>,

    /// A lifetime budget rises by more than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 20))]
    #[x_kube(validation = Rule::new("self.matches('^(0|[1-9][0-9]{0,11})([.][0-9]{1,6})?$')").message("lifetimeIncreaseOver is a decimal amount in quotes, such as \"500.00\""))]
    pub lifetime_increase_over: Option<String>,

    /// A budget rises by more than this many percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100_000))]
    pub increase_percent_over: Option<i32>,

    /// Increases in a rolling window add up to more than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_increase_over: Option<WindowIncrease>,

    /// A financial record gets more than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 20))]
    #[x_kube(validation = Rule::new("self.matches('^(0|[1-9][0-9]{0,11})([.][0-9]{1,6})?$')").message("amountOver is a decimal amount in quotes, such as \"500.00\""))]
    pub amount_over: Option<String>,

    /// The tool is of one of these classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub classes: Option<Vec<WriteClass>>,

    /// What no field here can say, as a CEL expression of type bool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub cel: Option<String>,
}

/// Increases that add up.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WindowIncrease {
    /// More than this in all.
    #[schemars(length(min = 1, max = 20))]
    #[x_kube(validation = Rule::new("self.matches('^(0|[1-9][0-9]{0,11})([.][0-9]{1,6})?$')").message("amount is a decimal amount in quotes, such as \"500.00\""))]
    pub amount: String,

    /// What is added up: the increases of an Account, a Connector, or the
    /// whole Organization.
    pub scope: WindowScope,

    /// The window's length. Left out, 24h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 6))]
    #[x_kube(validation = Rule::new("self.matches('^[1-9][0-9]{0,4}[smhd]$')").message("window is a number and one of s, m, h and d, such as 24h"))]
    pub window: Option<String>,
}

/// What no field can say, in CEL.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("(self.action == 'Ask') == has(self.approverClass)").message("approverClass says who decides when action is Ask, and is left out when it is Deny"))]
pub struct Rule {
    /// Its name, for answers and the record.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$')").message("name is 1-63 of a-z, 0-9 and `-`, starting and ending with a letter or digit"))]
    pub name: String,

    /// A CEL expression of type bool; true carries the action out.
    #[schemars(length(min = 1, max = 1024))]
    pub when: String,

    /// Deny refuses the change, Ask asks people.
    pub action: RuleAction,

    /// Who may decide when the action is Ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$')").message("approverClass is 1-63 of a-z, 0-9 and `-`, starting and ending with a letter or digit"))]
    pub approver_class: Option<String>,

    /// What the caller hears.
    #[schemars(length(min = 1, max = 256))]
    pub message: String,
}

/// What a rule does.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the field that has this type explains the words"
)]
pub enum RuleAction {
    Deny,
    Ask,
}
