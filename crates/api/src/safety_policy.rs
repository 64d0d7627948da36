//! `SafetyPolicy`: what agents may change, as people write it (WRITES §12).
//!
//! Policies only tighten: each limit that is left out is one that this policy
//! does not set. Amounts are decimal texts in the policy's one currency,
//! percents whole numbers, durations a number with s, m, h or d.

pub mod approval;
pub mod budget;
pub mod limit;
pub mod scope;
pub mod test_case;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::selector::Selector;
use approval::{Approval, Rule as PolicyRule};
use budget::{Budget, ExchangeRate};
use limit::{Bids, Create, Deactivate, Financial, Pending, Records};
use scope::Match;
use test_case::TestCase;

/// What agents may change.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "tenantry.dev",
    version = "v1alpha1",
    kind = "SafetyPolicy",
    plural = "safetypolicies",
    namespaced,
    status = "SafetyPolicyStatus",
    shortname = "mcpsp",
    category = "tenantry",
    derive = "PartialEq",
    doc = "What agents may change. In an organisation's namespace it binds that organisation; in the operator's namespace, every namespace that its namespaceSelector matches.",
    printcolumn(name = "Mode", type_ = "string", json_path = ".spec.mode"),
    printcolumn(name = "Accepted", type_ = "string", json_path = ".status.conditions[?(@.type=='Accepted')].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Accepted')].reason"),
    printcolumn(name = "Tenants", type_ = "integer", json_path = ".status.tenants"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.matches('^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$')").message("metadata.name is 1-63 of a-z, 0-9 and `-`, starting and ending with a letter or digit; approvals and the record name it")
)]
#[cfg_attr(feature = "cel", kube(cel))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("has(self.currency) || !(has(self.budget) || has(self.financial) || (has(self.bids) && (has(self.bids.floor) || has(self.bids.ceiling))) || (has(self.deactivate) && has(self.deactivate.askAbove)))").message("currency is missing: it says what the amounts of budget, bids, financial and deactivate are"))]
#[x_kube(validation = Rule::new("has(self.currency) || !has(self.approvals) || !self.approvals.exists(a, has(a.when.dailyIncreaseOver) || has(a.when.lifetimeIncreaseOver) || has(a.when.windowIncreaseOver) || has(a.when.amountOver))").message("currency is missing: it says what the amounts of approvals are"))]
#[x_kube(validation = Rule::new("!has(self.exchangeRates) || has(self.currency)").message("exchangeRates lead to the policy's currency, which is missing"))]
pub struct SafetyPolicySpec {
    /// Enforce decides; a write needs at least one enforcing policy that
    /// matches it. Shadow decides and records, and neither grants nor blocks.
    pub mode: Mode,

    /// In the operator's namespace: the namespaces that the policy binds, by
    /// their labels. An empty selector binds all. In an organisation's
    /// namespace it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<Selector>,

    /// The writes that the policy speaks of. Left out, all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#match: Option<Match>,

    /// The currency of every amount in this policy, by its ISO 4217 code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 3, max = 3))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Z]{3}$')").message("currency is three capital letters (ISO 4217), such as EUR"))]
    pub currency: Option<String>,

    /// Limits of advertising budgets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,

    /// Limits of bids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bids: Option<Bids>,

    /// Limits of financial records, such as a deal's amount. They are not
    /// advertising money, and never added to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub financial: Option<Financial>,

    /// What is asked of objects that are created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub create: Option<Create>,

    /// Limits of changes to records that hold no money.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<Records>,

    /// The one limit of switching things off; nothing else ever stops it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deactivate: Option<Deactivate>,

    /// When people are asked, and whom. Each entry asks by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub approvals: Vec<Approval>,

    /// What no field here can say, in CEL. A rule that fails denies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub rules: Vec<PolicyRule>,

    /// Objects that are never changed, by the vendor's ids: they, what is
    /// above and below them, and whatever shares their budget.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 256),
        inner(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z0-9_/-]+$"))
    )]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub protected: Vec<String>,

    /// What other currencies are worth in the policy's. An increase in a
    /// currency without a fresh rate is denied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["currency"]))]
    pub exchange_rates: Vec<ExchangeRate>,

    /// How much may wait for people at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<Pending>,

    /// What a caller hears about the policy: Verdicts (the rules that fired),
    /// Headroom (how much is left, too) or None. Left out, Verdicts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disclose: Option<Disclose>,

    /// Cases that must come out as expected before the policy is accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub tests: Vec<TestCase>,
}

/// Whether a policy binds.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the field that has this type explains the words"
)]
pub enum Mode {
    Enforce,
    Shadow,
}

/// What a caller hears about a policy.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the field that has this type explains the words"
)]
pub enum Disclose {
    Verdicts,
    Headroom,
    None,
}

/// What became of the policy.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SafetyPolicyStatus {
    /// The `metadata.generation` that the rest of the status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// Accepted: whether the present policy is in force, and if not, why and
    /// which generation still is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,

    /// The `metadata.generation` in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted_generation: Option<i64>,

    /// The digest of the policy in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,

    /// How many tenants it binds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenants: Option<i32>,
}
