//! The reading side of an audit line: where a line says what. For whoever
//! proves lines, shows them or tests what was written; nothing is decided here.

use serde_json::{Map, Value, json};

use super::AUDIT_VERSION;
use super::chain::Head;
use super::ocsf::{LOG_NAME, UNKNOWN};
use crate::digest::Digest;

/// A line of the audit stream, of whichever chain.
#[derive(Debug, Clone, Copy)]
pub struct AuditLine<'l>(&'l Value);

impl<'l> AuditLine<'l> {
    /// `None` if it is another stream's, or of another version.
    pub fn of(line: &'l Value) -> Option<Self> {
        let metadata = line.get("metadata")?;
        let is_ours =
            metadata.get("log_name")? == LOG_NAME && metadata.get("log_version")? == AUDIT_VERSION;
        is_ours.then_some(Self(line))
    }

    /// What kind of line it is.
    pub fn kind(self) -> Option<&'l str> {
        self.0.pointer("/metadata/event_code")?.as_str()
    }

    /// The place that the line says it follows.
    pub fn follows(self) -> Option<Head> {
        let sequence = self.0.pointer("/metadata/sequence")?.as_u64()?;
        Some(Head {
            sequence: sequence.checked_sub(1)?,
            digest: Digest::parse(self.own("previous")?.as_str()?).ok()?,
        })
    }

    /// One of the facts that OCSF has no place for.
    pub fn own(self, name: &str) -> Option<&'l Value> {
        self.0.get("unmapped")?.get(name)
    }

    /// All that the line of a process says, under the names that our types
    /// have for it.
    pub fn facts(self) -> Value {
        let mut facts = match self.0.get("unmapped") {
            Some(Value::Object(own)) => own.clone(),
            _ => Map::new(),
        };
        for (name, place) in PLACES {
            if let Some(value) = self.0.pointer(place) {
                facts.insert(name.into(), value.clone());
            }
        }
        // Where a method is named, there is no tool.
        if !facts.contains_key("method")
            && let Some(tool) = self.0.pointer("/api/operation")
            && tool != UNKNOWN
        {
            facts.insert("tool".into(), tool.clone());
            facts.insert("method".into(), "tools/call".into());
        }
        if let Some(actor) = self.actor() {
            facts.insert("actor".into(), actor);
        }
        self.put_resources(&mut facts);
        Value::Object(facts)
    }

    fn actor(self) -> Option<Value> {
        let mut actor = Map::new();
        actor.insert("key".into(), self.0.pointer("/api/token/uid")?.clone());
        actor.insert("owner".into(), self.0.pointer("/actor/user/name")?.clone());
        if let Some(agent) = self.0.pointer("/actor/app_name") {
            actor.insert("agent".into(), agent.clone());
        }
        Some(Value::Object(actor))
    }

    fn put_resources(self, facts: &mut Map<String, Value>) {
        let resources = self.0.get("resources").and_then(Value::as_array);
        for resource in resources.into_iter().flatten() {
            let Some(data) = resource.get("data") else {
                facts.insert("account".into(), resource["uid"].clone());
                continue;
            };
            let mut object = json!({"kind": resource["type"], "id": resource["uid"]});
            if let (Some(object), Some(data)) = (object.as_object_mut(), data.as_object()) {
                object.extend(data.clone());
                if let Some(account) = resource.get("namespace") {
                    object.insert("account".into(), account.clone());
                }
            }
            facts.insert("object".into(), object);
        }
    }
}

/// Where OCSF has what our types have under another name.
const PLACES: [(&str, &str); 14] = [
    ("kind", "/metadata/event_code"),
    ("sequence", "/metadata/sequence"),
    ("tenant_uid", "/metadata/tenant_uid"),
    ("truncated", "/metadata/is_truncated"),
    ("change", "/metadata/correlation_uid"),
    ("time", "/time"),
    ("duration_ms", "/duration"),
    ("reason", "/status_code"),
    ("release", "/app/version"),
    ("connector", "/api/service/name"),
    ("call_id", "/api/request/uid"),
    ("arguments", "/api/request/data"),
    ("trace_id", "/trace/uid"),
    ("source", "/src_endpoint/ip"),
];
