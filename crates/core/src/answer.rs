//! What a caller hears: one versioned envelope for every tool (WRITES §11).

mod change;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

pub use change::{ChangeAnswer, Foreseen, ItemAnswer, RuleAnswer};

use crate::reason::{Reason, Refusal};

/// The version of the envelope.
pub const ENVELOPE_VERSION: &str = "v1";

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It was carried out.
    Done,
    /// The object is already what the change asks for; nothing was sent.
    Unchanged,
    /// The change waits for people.
    PendingApproval,
    /// The same change, or another one of the same budget, is on its way.
    InProgress,
    /// The change was sent, and what became of it is being found out.
    Settling,
    /// The change was sent, and only people can find out what became of it.
    NeedsHuman,
    /// It was not carried out because it may not be.
    Refused,
    /// It was tried and did not succeed.
    Failed,
}

impl Status {
    /// Every way a call can end.
    pub const ALL: [Self; 8] = [
        Self::Done,
        Self::Unchanged,
        Self::PendingApproval,
        Self::InProgress,
        Self::Settling,
        Self::NeedsHuman,
        Self::Refused,
        Self::Failed,
    ];

    /// Those of a call that reads.
    const OF_READS: [Self; 3] = [Self::Done, Self::Refused, Self::Failed];

    /// The word in answers, metrics and the audit record.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Unchanged => "unchanged",
            Self::PendingApproval => "pending_approval",
            Self::InProgress => "in_progress",
            Self::Settling => "settling",
            Self::NeedsHuman => "needs_human",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }

    /// Whether the caller must do something else than to wait.
    pub fn is_error(self) -> bool {
        matches!(self, Self::NeedsHuman | Self::Refused | Self::Failed)
    }
}

/// The structured content of a tool result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    /// Always [`ENVELOPE_VERSION`].
    pub envelope: String,
    /// How the call ended.
    pub status: Status,
    /// Identifies the call; its audit line carries the same.
    pub call_id: String,
    /// What the tool answers, when it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
    /// What there is to say of the change, if the tool makes one.
    #[serde(flatten, default, skip_serializing_if = "Option::is_none")]
    pub change: Option<Box<ChangeAnswer>>,
    /// Why it was not done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// The same, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// When to try again, in milliseconds, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

impl Envelope {
    /// A call that was carried out.
    pub fn done(call_id: impl Into<String>, data: Value) -> Self {
        Self {
            data: Some(data),
            ..Self::empty(Status::Done, call_id.into())
        }
    }

    /// A change of which all is well.
    pub fn of_change(
        status: Status,
        call_id: impl Into<String>,
        change: Box<ChangeAnswer>,
    ) -> Self {
        Self {
            change: Some(change),
            ..Self::empty(status, call_id.into())
        }
    }

    /// A call that was refused, or that failed, with its reason.
    pub fn not_done(status: Status, call_id: impl Into<String>, refusal: Refusal) -> Self {
        Self {
            reason: Some(refusal.reason),
            message: Some(refusal.message),
            remedy: Some(refusal.remedy),
            retry_after_ms: refusal.retry_after_ms,
            ..Self::empty(status, call_id.into())
        }
    }

    fn empty(status: Status, call_id: String) -> Self {
        Self {
            envelope: ENVELOPE_VERSION.into(),
            status,
            call_id,
            data: None,
            change: None,
            reason: None,
            message: None,
            remedy: None,
            retry_after_ms: None,
        }
    }
}

/// The output schema of a tool that answers data with the schema `data`: it
/// accepts every way a call can end, because clients validate failures as well.
pub fn output_schema(data: &Map<String, Value>) -> Map<String, Value> {
    let told = "done: see `data`; refused or failed: see `reason`, `message` and `remedy`";
    let mut properties = properties(&Status::OF_READS, told);
    properties.insert("data".into(), Value::Object(data.clone()));
    schema(&properties)
}

/// The output schema of every tool that makes a change.
pub fn change_schema() -> Map<String, Value> {
    let told = "done: made, see `before`, `after` and `delta`; unchanged: it was so already; \
        pending_approval: people must agree; in_progress: the change in `change_id` is on its way; \
        settling: sent, and not known yet; needs_human: people must find out; refused or failed: not made. \
        In all cases but the first two see `reason`, `message` and `remedy`";
    let mut properties = properties(&Status::ALL, told);
    properties.extend(change::properties());
    schema(&properties)
}

fn properties(statuses: &[Status], told: &str) -> Map<String, Value> {
    let properties = json!({
        "envelope": {"type": "string", "const": ENVELOPE_VERSION},
        "status": {"type": "string", "enum": statuses, "description": told},
        "call_id": {"type": "string", "description": "quote this when asking about the call"},
        "reason": {"type": "string"},
        "message": {"type": "string"},
        "remedy": {"type": "string"},
        "retry_after_ms": {"type": "integer", "minimum": 0},
    });
    object(properties)
}

fn schema(properties: &Map<String, Value>) -> Map<String, Value> {
    object(json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["envelope", "status", "call_id"],
        "properties": properties,
    }))
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_carries_only_what_its_status_has() {
        let done = Envelope::done("c1", json!({"campaigns": []}));
        assert_eq!(
            serde_json::to_value(done).unwrap(),
            json!({"envelope": "v1", "status": "done", "call_id": "c1", "data": {"campaigns": []}})
        );
        let refusal = Refusal::new(Reason::RateLimited, "too fast").with_retry_after_ms(500);
        assert_eq!(
            serde_json::to_value(Envelope::not_done(Status::Refused, "c2", refusal)).unwrap(),
            json!({
                "envelope": "v1", "status": "refused", "call_id": "c2", "reason": "RateLimited",
                "message": "too fast", "remedy": "wait for retry_after_ms, then call again",
                "retry_after_ms": 500,
            })
        );
    }

    #[test]
    fn an_answer_reads_back_as_it_was_stored() {
        let change = Box::new(change::tests::full_batch());
        let refusal = Refusal::new(Reason::PolicyDenied, "too much");
        let with_change = Envelope {
            change: Some(change),
            ..Envelope::not_done(Status::Refused, "c3", refusal)
        };
        for stored in [with_change, Envelope::done("c1", json!([]))] {
            let text = serde_json::to_string(&stored).unwrap();
            let read: Envelope = serde_json::from_str(&text).unwrap();
            assert_eq!(serde_json::to_string(&read).unwrap(), text);
        }
    }

    #[test]
    fn the_output_schemas_name_every_field_of_the_envelope() {
        let refusal = Refusal::new(Reason::RateLimited, "m").with_retry_after_ms(1);
        let full = Envelope::not_done(Status::Failed, "c", refusal);
        let read = Envelope {
            data: Some(json!(1)),
            ..full.clone()
        };
        let change = Envelope {
            change: Some(Box::new(change::tests::full_batch())),
            ..full
        };
        let schemas = [output_schema(&Map::new()), change_schema()];
        for (envelope, schema) in [read, change].into_iter().zip(schemas) {
            let fields = serde_json::to_value(envelope).unwrap();
            for field in fields.as_object().unwrap().keys() {
                assert!(schema["properties"].get(field).is_some(), "{field}");
            }
            let item = fields["items"][0].as_object().into_iter().flatten();
            for (field, _) in item {
                let named = &schema["properties"]["items"]["items"]["properties"];
                assert!(named.get(field).is_some(), "{field}");
            }
        }
    }

    #[test]
    fn every_status_has_the_same_word_everywhere() {
        for status in Status::ALL {
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
            let named = &change_schema()["properties"]["status"]["enum"];
            assert!(named.as_array().unwrap().contains(&json!(status)));
        }
    }
}
