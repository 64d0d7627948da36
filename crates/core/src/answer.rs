//! What a caller hears: one versioned envelope for every tool (WRITES §11).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::reason::{Reason, Refusal};

/// The version of the envelope.
pub const ENVELOPE_VERSION: &str = "v1";

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It was carried out.
    Done,
    /// It was not carried out because it may not be.
    Refused,
    /// It was tried and did not succeed.
    Failed,
}

impl Status {
    /// The word in answers, metrics and the audit record.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// The structured content of a tool result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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
            reason: None,
            message: None,
            remedy: None,
            retry_after_ms: None,
        }
    }
}

/// The output schema of a tool whose data has the schema `data`: it accepts
/// every way a call can end, because clients validate failures as well.
pub fn output_schema(data: &Map<String, Value>) -> Map<String, Value> {
    let schema = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["envelope", "status", "call_id"],
        "properties": {
            "envelope": {"type": "string", "const": ENVELOPE_VERSION},
            "status": {
                "type": "string",
                "enum": [Status::Done, Status::Refused, Status::Failed],
                "description": "done: see `data`; refused or failed: see `reason`, `message` and `remedy`",
            },
            "call_id": {"type": "string", "description": "quote this when asking about the call"},
            "data": data,
            "reason": {"type": "string"},
            "message": {"type": "string"},
            "remedy": {"type": "string"},
            "retry_after_ms": {"type": "integer", "minimum": 0},
        },
    });
    match schema {
        Value::Object(schema) => schema,
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
    fn the_output_schema_names_every_field_of_the_envelope() {
        let refusal = Refusal::new(Reason::RateLimited, "m").with_retry_after_ms(1);
        let full = Envelope {
            data: Some(json!(1)),
            ..Envelope::not_done(Status::Failed, "c", refusal)
        };
        let schema = output_schema(&Map::new());
        let fields = serde_json::to_value(full).unwrap();
        for field in fields.as_object().unwrap().keys() {
            assert!(schema["properties"].get(field).is_some(), "{field}");
        }
    }
}
