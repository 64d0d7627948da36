//! What every audit line of one change carries (WRITES §10): who asked for
//! what, on which object, under which policy. The ledger keeps it as JSON with
//! the change and hands it back for each later line, so it reads back as
//! written. As in `AuditEvent`, there is no place for a key, a token or a
//! header: of an idempotency key there is the digest alone.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Actor, Arguments, cut, size};
use crate::access::ToolClass;
use crate::digest::Digest;
use crate::name::{AccountId, ConnectorName, ToolName};
use crate::trace::TraceContext;

/// Names of requests that are kept in a line that would be too long.
const MOST_REQUESTS: usize = 4;

/// The facts of a change that all its lines share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeRecord {
    /// The call that asked for it; the same as in the answer.
    pub call_id: String,
    /// Where that call stands in its caller's trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceContext>,
    /// Where the call came from, as the server saw it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<IpAddr>,
    /// Who called.
    pub actor: Actor,
    /// Who made the key that called, where it says so: no other pair of eyes. For
    /// the ledger alone; the lines do not carry it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued_by: Option<String>,
    /// With which tool.
    pub tool: ToolName,
    /// What the tool can do at worst.
    pub class: ToolClass,
    /// What is done to the object.
    pub deed: Deed,
    /// At which vendor.
    pub connector: ConnectorName,
    /// In which account.
    pub account: AccountId,
    /// To what; the vendor has yet to name what is about to be made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<Target>,
    /// The arguments, redacted.
    pub arguments: Arguments,
    /// The change that it takes back, by its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoes: Option<String>,
    /// The batch that it is an item of, by its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<String>,
    /// The fields that may be shown of what was there before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// The same of what is there afterwards: the target until the vendor has
    /// said what became of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
    /// The policies that it was decided under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_digest: Option<Digest>,
    /// By what a repetition is known; never the key itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_digest: Option<Digest>,
    /// What the vendor calls the requests that were made for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vendor_request_ids: Vec<String>,
}

/// What a change does to its object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    /// It makes it.
    Create,
    /// It changes it.
    Update,
    /// It removes it.
    Delete,
}

/// The object of a change. Whose it is, was found out before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// What kind of object it is.
    pub kind: String,
    /// Its id.
    pub id: String,
}

impl ChangeRecord {
    /// As the ledger keeps it.
    pub fn to_map(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(map)) => map,
            // INVARIANT: a struct of texts and `Value`s is a JSON object.
            Ok(_) | Err(_) => Map::new(),
        }
    }

    /// What the ledger kept; `None` if it was something else.
    pub fn of_map(map: &Map<String, Value>) -> Option<Self> {
        Self::deserialize(map).ok()
    }

    /// The same in a few KiB at most: texts cut, values as their size.
    #[must_use]
    pub fn cut(mut self) -> Self {
        let object = self.object.as_mut();
        let (kind, id) = object
            .map(|object| (&mut object.kind, &mut object.id))
            .unzip();
        let texts = [
            Some(&mut self.call_id),
            Some(&mut self.actor.key),
            Some(&mut self.actor.owner),
            self.actor.agent.as_mut(),
            self.issued_by.as_mut(),
            self.undoes.as_mut(),
            self.batch.as_mut(),
            kind,
            id,
        ];
        texts.into_iter().flatten().for_each(cut);
        self.vendor_request_ids.truncate(MOST_REQUESTS);
        self.vendor_request_ids.iter_mut().for_each(cut);
        self.arguments = self.arguments.without_values();
        for value in [&mut self.before, &mut self.after].into_iter().flatten() {
            *value = json!({ "too_long": size(value) });
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_back_as_written() {
        let map = json!({
            "call_id": "boot-7",
            "trace": {"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "span_id": "00f067aa0ba902b7"},
            "source": "10.1.2.3",
            "actor": {"key": "demo", "owner": "ann@acme.example", "agent": "planner"},
            "issued_by": "root@acme.example",
            "tool": "meta_set_budget", "class": "spend", "deed": "update",
            "connector": "meta", "account": "act_1001",
            "object": {"kind": "campaign", "id": "1"},
            "arguments": {"checked": {"account": "act_1001", "campaign": "1", "daily_budget": "60.00"}},
            "undoes": "0123456789abcdef0123456789abcdef",
            "batch": "fedcba9876543210fedcba9876543210",
            "before": {"daily_budget": "50.00"}, "after": {"daily_budget": "60.00"},
            "policy_digest": Digest::of(b"policy"), "idempotency_digest": Digest::of(b"key"),
            "vendor_request_ids": ["AbC1"],
        });
        let map = map.as_object().unwrap();
        let record = ChangeRecord::of_map(map).unwrap();
        assert_eq!(&record.to_map(), map);
    }

    #[test]
    fn what_is_no_record_reads_as_none() {
        let map = json!({"actor": "agent-7"});
        assert_eq!(ChangeRecord::of_map(map.as_object().unwrap()), None);
    }

    #[test]
    fn a_place_that_a_record_does_not_have_cannot_be_filled() {
        let map = json!({
            "call_id": "c", "actor": {"key": "k", "owner": "o"}, "tool": "meta_pause",
            "class": "write", "deed": "update", "connector": "meta", "account": "act_1",
            "arguments": {"too_long": 9_000},
        });
        let mut map = map.as_object().unwrap().clone();
        assert!(ChangeRecord::of_map(&map).is_some());
        map.insert("token".into(), json!("secret"));
        assert_eq!(ChangeRecord::of_map(&map), None);
    }
}
