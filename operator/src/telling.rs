//! How the operator tells: Events, and the whole of a status.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, Recorder, Reporter};
use serde::Serialize;
use serde_json::{Map, Value, json};
use tenantry_api::label;

use crate::context::Context;
use crate::tenant::apply::is_leaving;

/// The API server refuses an Event with a longer note.
pub const LONGEST_NOTE_BYTES: usize = 1024;

/// Who tells Events.
pub fn reporter() -> Reporter {
    Reporter {
        controller: label::OPERATOR.into(),
        instance: None,
    }
}

/// One that remembers nothing: another would take one Event for the other, and
/// keep the first one's words.
pub fn fresh_recorder(ctx: &Context) -> Recorder {
    Recorder::new(ctx.client.clone(), reporter())
}

/// An Event is a courtesy; status and log have been told.
pub async fn publish(event: &Event, about: &ObjectReference, recorder: &Recorder) {
    if let Err(error) = recorder.publish(event, about).await {
        let namespace = about.namespace.as_deref().unwrap_or_default();
        if matches!(&error, kube::Error::Api(status) if is_leaving(status)) {
            tracing::debug!(namespace, "no Event is written where all ends");
            return;
        }
        let error: &dyn std::error::Error = &error;
        tracing::warn!(namespace, error, "the Event could not be written");
    }
}

/// What of `note` fits into an Event.
pub fn short(note: &str) -> String {
    note[..note.floor_char_boundary(LONGEST_NOTE_BYTES)].to_owned()
}

/// The merge that makes `after` the whole status. Not server-side apply: where
/// somebody else ever wrote a condition, half of it would stay when we leave it
/// out, and the API server would refuse the status from then on.
pub fn replacing(before: &impl Serialize, after: &impl Serialize) -> Value {
    let mut status = json!(after);
    let before = json!(before);
    for field in before.as_object().into_iter().flat_map(Map::keys) {
        if status.get(field).is_none() {
            status[field] = Value::Null;
        }
    }
    json!({"status": status})
}

#[cfg(test)]
mod tests {
    use tenantry_api::mcp_tenant::McpTenantStatus;

    use super::*;

    #[test]
    fn what_is_left_out_of_a_status_is_removed() {
        let before = McpTenantStatus {
            endpoint: Some("http://server".into()),
            replicas: 1,
            ..McpTenantStatus::default()
        };
        let merge = replacing(&before, &McpTenantStatus::default());
        let expected = json!({"status": {"endpoint": null, "replicas": 0}});
        assert_eq!(merge, expected);
    }
}
