//! What an answer says of a change: what was, what is, what it does to money,
//! and which rules spoke.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Status, object};
use crate::audit::change_record::Target;
use crate::name::Currency;
use crate::policy::decide::{Fired, Verdict};
use crate::policy::{Disclose, Policy};
use crate::reason::Reason;

/// What is known of a change; what is not, is absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChangeAnswer {
    /// The change: the caller's own, or the one that stands in its way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change_id: Option<String>,
    /// The fields that change, as they were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// The same fields, as they are or shall be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
    /// By how much more or less can be spent, in major units.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delta: Option<Value>,
    /// What the amounts are in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<Currency>,
    /// The rules that refused or asked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleAnswer>,
    /// Until when people may agree.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// What would become of the change, where it was only asked about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<Foreseen>,
    /// A key for making the change just as it was looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// Whether this is the answer to an earlier call with the same key.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub replayed: bool,
    /// When that call was answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub executed_at: Option<Timestamp>,
    /// Whether the object was changed again since.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub no_longer_current: bool,
    /// What there is to say of each change of a batch, in the order given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<ItemAnswer>,
}

/// A change of a batch, and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ItemAnswer {
    /// How it ended.
    pub status: Status,
    /// The object, once it is known to be the organisation's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<Target>,
    /// What there is to say of it.
    #[serde(flatten)]
    pub change: ChangeAnswer,
    /// Why it was not made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// The same, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// A rule, and what it said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleAnswer {
    /// The policy.
    pub policy: String,
    /// The field or the entry of it.
    pub rule: String,
    /// `deny` or `ask`.
    pub verdict: String,
    /// Why.
    pub message: String,
    /// How much is used or left, if the policy discloses that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headroom: Option<String>,
}

/// What would become of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Foreseen {
    /// It would be made.
    Permitted,
    /// People would be asked.
    NeedsApproval,
    /// It would be refused.
    Denied,
    /// Another change would be in its way.
    InProgress,
    /// There is nothing to change.
    Unchanged,
}

impl RuleAnswer {
    /// What the rules that fired tell the caller: as much as their policies
    /// disclose. Of a policy that is there no more, what policies do that do not
    /// say.
    pub fn of_all(fired: &[Fired], policies: &[Policy]) -> Vec<Self> {
        let disclosed = |one: &Fired| {
            let mut named = policies.iter();
            let policy = named.find(|policy| policy.name == one.name.policy);
            policy.map(|policy| policy.disclose).unwrap_or_default()
        };
        let told = fired.iter().map(|one| (disclosed(one), one));
        told.filter(|(disclosed, _)| *disclosed != Disclose::None)
            .map(|(disclosed, one)| Self::of(one, disclosed))
            .collect()
    }

    fn of(fired: &Fired, disclosed: Disclose) -> Self {
        let verdict = match fired.verdict {
            Verdict::Deny => "deny",
            Verdict::Ask(_) => "ask",
        };
        let headroom = fired.headroom.clone();
        Self {
            policy: fired.name.policy.clone(),
            rule: fired.name.rule.clone(),
            verdict: verdict.into(),
            message: fired.message.clone(),
            headroom: headroom.filter(|_| disclosed == Disclose::Headroom),
        }
    }
}

/// The schema of these fields.
pub(super) fn properties() -> Map<String, Value> {
    let mut properties = of_one();
    let mut item = of_one();
    item.extend(object(json!({
        "status": {"type": "string", "description": "as that of the whole"},
        "object": {
            "type": "object",
            "additionalProperties": false,
            "required": ["kind", "id"],
            "properties": {"kind": {"type": "string"}, "id": {"type": "string"}},
        },
        "reason": {"type": "string"},
        "message": {"type": "string"},
        "remedy": {"type": "string"},
    })));
    let items = json!({
        "type": "array",
        "description": "each change of a batch, in the order given; the status of the whole is that of the worst of them",
        "items": {
            "type": "object",
            "additionalProperties": false,
            "required": ["status"],
            "properties": item,
        },
    });
    properties.insert("items".into(), items);
    properties
}

fn of_one() -> Map<String, Value> {
    let rule = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["policy", "rule", "verdict", "message"],
        "properties": {
            "policy": {"type": "string"},
            "rule": {"type": "string"},
            "verdict": {"type": "string", "description": "deny or ask"},
            "message": {"type": "string"},
            "headroom": {"type": "string", "description": "how much is used or left"},
        },
    });
    object(json!({
        "change_id": {"type": "string", "description": "the change, or the one that stands in its way"},
        "before": {"type": "object", "description": "the fields that change, as they were"},
        "after": {"type": "object", "description": "the same fields, as they are or shall be"},
        "delta": {"type": "object", "description": "by how much more (or less, with a minus) can be spent"},
        "currency": {"type": "string"},
        "rules": {"type": "array", "items": rule, "description": "the policy rules that refused or asked"},
        "expires_at": {"type": "string", "description": "until when people may agree"},
        "dry_run": {"type": "string", "description": "what would become of the change; nothing was changed"},
        "idempotency_key": {"type": "string", "description": "repeat the call with it to make the change as it was looked at"},
        "replayed": {"type": "boolean", "description": "this is the answer to an earlier call with the same key"},
        "executed_at": {"type": "string"},
        "no_longer_current": {"type": "boolean", "description": "the object was changed again since"},
    }))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An answer in which nothing is absent.
    pub(in crate::answer) fn full() -> ChangeAnswer {
        let rule = RuleAnswer {
            policy: "ads".into(),
            rule: "budget.perChange".into(),
            verdict: "deny".into(),
            message: "m".into(),
            headroom: Some("h".into()),
        };
        ChangeAnswer {
            change_id: Some("c".into()),
            before: Some(json!({})),
            after: Some(json!({})),
            delta: Some(json!({})),
            currency: Currency::parse("EUR").ok(),
            rules: vec![rule],
            expires_at: "2026-06-01T12:00:00Z".parse().ok(),
            dry_run: Some(Foreseen::Permitted),
            idempotency_key: Some("k".into()),
            replayed: true,
            executed_at: "2026-06-01T12:00:00Z".parse().ok(),
            no_longer_current: true,
            items: Vec::new(),
        }
    }

    /// The same of a batch of one.
    pub(in crate::answer) fn full_batch() -> ChangeAnswer {
        let item = ItemAnswer {
            status: Status::Failed,
            object: Some(Target {
                kind: "campaign".into(),
                id: "1".into(),
            }),
            change: full(),
            reason: Some(Reason::VendorThrottled),
            message: Some("m".into()),
            remedy: Some("r".into()),
        };
        ChangeAnswer {
            items: vec![item],
            ..full()
        }
    }
}
