//! `McpApproval`: a change that waits for people, and what they say of it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A change that people must agree to. The organisation's server creates it and
/// writes its status, and nobody else does; people add their decisions, each in
/// their own name, as many as the request asks for. One that denies is final.
/// Deleting it denies the change as well.
///
/// Where a change was sent and nobody can tell what became of it, another one
/// asks people for that. Deleting it says nothing: they are asked anew.
///
/// Who may decide is said by RBAC on a resource that does not exist: the verb
/// `approve` on `mcpapprovals/decision`, named after each class of approvers
/// that the request names. Who asked may withdraw it and decides nothing, nor
/// does who made the asking key.
#[expect(
    clippy::duplicated_attributes,
    reason = "every column has a type, and the lint counts them as one"
)]
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "tenantry.dev",
    version = "v1alpha1",
    kind = "McpApproval",
    plural = "mcpapprovals",
    namespaced,
    shortname = "mcpa",
    category = "tenantry",
    status = "McpApprovalStatus",
    derive = "PartialEq",
    doc = "A change that waits for people, and what they say of it. Created by the server of the organisation in this namespace.",
    selectable = ".spec.request.tool",
    selectable = ".spec.request.account",
    selectable = ".spec.request.requestedBy.owner",
    selectable = ".status.state",
    printcolumn(name = "Tool", type_ = "string", json_path = ".spec.request.tool"),
    printcolumn(
        name = "Account",
        type_ = "string",
        json_path = ".spec.request.account"
    ),
    printcolumn(name = "Change", type_ = "string", json_path = ".spec.request.summary"),
    printcolumn(
        name = "Requester",
        type_ = "string",
        json_path = ".spec.request.requestedBy.owner"
    ),
    printcolumn(name = "State", type_ = "string", json_path = ".status.state"),
    printcolumn(
        name = "Expires",
        type_ = "string",
        json_path = ".spec.request.expiresAt"
    )
)]
#[cfg_attr(feature = "cel", kube(cel))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("oldSelf.decisions.all(old, self.decisions.exists(now, now == old))").message("a decision stays as it was made"))]
#[x_kube(validation = Rule::new("self.decisions.size() <= oldSelf.decisions.size() + 1").message("decisions are added one at a time"))]
#[x_kube(validation = Rule::new("self.decisions.size() == oldSelf.decisions.size() || !oldSelf.decisions.exists(old, old.verdict == 'Deny')").message("the change is denied, and that is final"))]
#[x_kube(validation = Rule::new("self.decisions.size() == oldSelf.decisions.size() || !oldSelf.withdrawn").message("the request is withdrawn: there is nothing to decide"))]
#[x_kube(validation = Rule::new("self.decisions.all(one, !has(one.classes) || one.classes.all(class, class in self.request.approverClasses))").message("classes of a decision are among request.approverClasses"))]
#[x_kube(validation = Rule::new("self.decisions.all(one, (one.verdict in ['Applied', 'NotApplied']) == (has(self.request.asks) && self.request.asks == 'Outcome'))").message("say Approve or Deny to a change; where request.asks is Outcome, say Applied or NotApplied"))]
#[x_kube(validation = Rule::new("!self.withdrawn || !has(self.request.asks) || self.request.asks == 'Change'").message("what became of a change is not withdrawn"))]
pub struct McpApprovalSpec {
    /// What is asked. Immutable.
    #[x_kube(validation = Rule::new("self == oldSelf").message("the request is immutable"))]
    pub request: ApprovalRequest,

    /// What people said, each of them once. Entries are added and never changed.
    #[serde(default)]
    #[schemars(length(max = 32))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["by"]))]
    pub decisions: Vec<ApprovalDecision>,

    /// Whether who asked took it back. It stays so.
    #[serde(default)]
    #[x_kube(validation = Rule::new("self || !oldSelf").message("what is withdrawn stays so; let the agent ask again"))]
    pub withdrawn: bool,
}

/// The change that people are asked about, as the server would make it.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApprovalRequest {
    /// What people are asked: whether the change may be made, or what became of
    /// it, where the server sent it and cannot tell.
    #[serde(default, skip_serializing_if = "ApprovalQuestion::is_change")]
    pub asks: ApprovalQuestion,

    /// The change's id in answers and audit lines: 32 hexadecimal digits.
    #[schemars(regex(pattern = r"^[0-9a-f]{32}$"))]
    pub change_id: String,

    /// The tool that was called.
    #[schemars(length(max = 64), regex(pattern = r"^[a-z][a-z0-9_]*$"))]
    pub tool: String,

    /// The connector.
    #[schemars(length(max = 16), regex(pattern = r"^[a-z][a-z0-9]*$"))]
    pub connector: String,

    /// The account, by the vendor's id.
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z0-9_-]+$"))]
    pub account: String,

    /// What changes; absent where something is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ApprovalObject")]
    pub object: Option<ApprovalObject>,

    /// The change in one line.
    #[schemars(length(min = 1, max = 256), regex(pattern = r"^[^\x00-\x1f\x7f]*$"))]
    pub summary: String,

    /// Each setting that changes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub settings: Vec<ApprovalSetting>,

    /// By how much more or less can be spent, as decimal amounts with their
    /// currency; of a batch, all of it together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ApprovalDelta")]
    pub delta: Option<ApprovalDelta>,

    /// The changes of a batch, in the order in which they are decided: people
    /// agree to all of them or to none. Empty for a change that stands alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["changeId"]))]
    pub items: Vec<ApprovalItem>,

    /// The arguments in their canonical form, secrets and personal data taken
    /// out, as a JSON text.
    #[schemars(length(min = 2, max = 8192))]
    pub arguments: String,

    /// The change that this one takes back, by its id; absent where it takes
    /// none back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", regex(pattern = r"^[0-9a-f]{32}$"))]
    pub undoes: Option<String>,

    /// The rules that ask, and what else spoke.
    #[schemars(length(min = 1, max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["policy", "rule"]))]
    pub rules: Vec<ApprovalRule>,

    /// The digest of all policies that bind the organisation, at the moment of
    /// asking.
    #[schemars(regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    pub policy_digest: String,

    /// The classes of approvers: somebody of each must agree.
    // As many as the admission policy asks about (approval_policies.yaml).
    #[schemars(
        length(min = 1, max = 8),
        inner(length(max = 63), regex(pattern = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"))
    )]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub approver_classes: Vec<String>,

    /// How many people must agree.
    #[schemars(range(min = 1, max = 16))]
    pub approvers: u32,

    /// Who asks.
    pub requested_by: Requester,

    /// Since when.
    pub asked_at: Time,

    /// Until when people may decide, by the clock of the ledger.
    pub expires_at: Time,
}

/// What people are asked.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum ApprovalQuestion {
    /// Whether the change may be made: Approve or Deny.
    #[default]
    Change,
    /// What became of the change, which is never sent again: Applied or
    /// NotApplied, as the vendor shows it.
    Outcome,
}

impl ApprovalQuestion {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
    fn is_change(&self) -> bool {
        *self == Self::Change
    }
}

/// One change of a batch.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApprovalItem {
    /// The change's own id in answers and audit lines: 32 hexadecimal digits.
    #[schemars(regex(pattern = r"^[0-9a-f]{32}$"))]
    pub change_id: String,

    /// What changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ApprovalObject")]
    pub object: Option<ApprovalObject>,

    /// The change in one line.
    #[schemars(length(min = 1, max = 256), regex(pattern = r"^[^\x00-\x1f\x7f]*$"))]
    pub summary: String,

    /// Each setting that changes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub settings: Vec<ApprovalSetting>,

    /// By how much more or less can be spent by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ApprovalDelta")]
    pub delta: Option<ApprovalDelta>,
}

/// What a vendor keeps, and a change is about.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApprovalObject {
    /// What it is, such as `campaign`.
    #[schemars(length(max = 32), regex(pattern = r"^[a-z][a-z0-9_]*$"))]
    pub kind: String,
    /// The vendor's id.
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z0-9_/-]+$"))]
    pub id: String,
    /// Its name: the vendor's text, fit to be shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), regex(pattern = r"^[^\x00-\x1f\x7f]*$"))]
    #[schemars(with = "String")]
    pub name: Option<String>,
}

/// One setting of an object: amounts as decimals with their currency.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApprovalSetting {
    /// Which, such as `daily_budget`.
    #[schemars(length(max = 64), regex(pattern = r"^[a-z][a-z0-9_]*$"))]
    pub name: String,
    /// What it is; absent where it is nothing yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256), regex(pattern = r"^[^\x00-\x1f\x7f]*$"))]
    #[schemars(with = "String")]
    pub before: Option<String>,
    /// What it becomes; absent where it becomes nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256), regex(pattern = r"^[^\x00-\x1f\x7f]*$"))]
    #[schemars(with = "String")]
    pub after: Option<String>,
}

/// What becomes spendable, or stops being so, with a `-`.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApprovalDelta {
    /// A day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 32),
        regex(pattern = r"^-?(0|[1-9][0-9]*)(\.[0-9]{1,6})?$")
    )]
    #[schemars(with = "String")]
    pub daily: Option<String>,
    /// Over the whole life of what changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 32),
        regex(pattern = r"^-?(0|[1-9][0-9]*)(\.[0-9]{1,6})?$")
    )]
    #[schemars(with = "String")]
    pub lifetime: Option<String>,
    /// What they are in (ISO 4217).
    #[schemars(length(min = 3, max = 3), regex(pattern = r"^[A-Z]{3}$"))]
    pub currency: String,
}

/// A rule that asks.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApprovalRule {
    /// The SafetyPolicy.
    #[schemars(length(min = 1, max = 253))]
    pub policy: String,
    /// The field or the entry of it, such as `approvals[large]`.
    #[schemars(length(min = 1, max = 253))]
    pub rule: String,
    /// Why it asks, in a sentence.
    #[schemars(length(max = 1024))]
    pub message: String,
}

/// Who asks, and by whose hand.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Requester {
    /// The Kubernetes user that answers for the key.
    #[schemars(length(min = 1, max = 253))]
    pub owner: String,
    /// The program that acts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    #[schemars(with = "String")]
    pub agent: Option<String>,
    /// The McpApiKey.
    #[schemars(length(max = 40), regex(pattern = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"))]
    pub key: String,
    /// Who created the key; absent where the key does not say it, and then it may
    /// be anybody who issues keys for the owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[schemars(with = "String")]
    pub issued_by: Option<String>,
}

/// What one person says.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApprovalDecision {
    /// Who: your own Kubernetes user name; no other is admitted.
    #[schemars(length(min = 1, max = 253))]
    pub by: String,

    /// What.
    pub verdict: ApprovalVerdict,

    /// For which of request.approverClasses; left out, for all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 8),
        inner(length(max = 63), regex(pattern = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"))
    )]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    #[schemars(with = "Vec<String>")]
    pub classes: Option<Vec<String>>,

    /// Why, for the record and for who asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024), regex(pattern = r"^[^\x00-\x1f\x7f]*$"))]
    #[schemars(with = "String")]
    pub comment: Option<String>,
}

/// Yes or no; or, of a change that was sent, what became of it.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum ApprovalVerdict {
    /// The change may be made.
    Approve,
    /// It may not; nobody can overrule that.
    Deny,
    /// The vendor made it.
    Applied,
    /// The vendor did not make it.
    NotApplied,
}

/// How far it has come, as the server says.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct McpApprovalStatus {
    /// Where it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<ApprovalState>,
    /// The same, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_at: Option<Time>,
}

/// Where an approval stands.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum ApprovalState {
    /// It waits for people.
    Pending,
    /// People agreed, and the change is on its way.
    Executing,
    /// The change was made.
    Applied,
    /// People agreed, and the change was not made, or not all of a batch: the
    /// vendor refused it.
    Failed,
    /// The change was sent, and only people can find out what became of it.
    NeedsHuman,
    /// Somebody said no.
    Denied,
    /// Nobody said enough in time.
    Expired,
    /// Who asked took it back.
    Withdrawn,
    /// A newer request about the same object took its place.
    Superseded,
    /// What people agreed to is no longer so.
    Stale,
    /// A limit denies what people agreed to, or who asked may not ask any more.
    Refused,
}
