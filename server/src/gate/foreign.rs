//! Answers that the MCP library gave by itself, in our words: the same status,
//! with a reason, a remedy and the id under which the request is on record.

use axum::body::Body;
use axum::response::Response;
use http::header;
use http_body_util::{BodyExt as _, Limited};
use serde_json::{Value, json};

use super::rejection::Rejection;

/// Of an answer that says no; the library's are a few hundred bytes.
const LONGEST: usize = 64 * 1024;

/// A JSON-RPC error keeps its form and gains our data; anything else is
/// replaced.
pub(super) async fn in_our_words(
    response: Response,
    rejection: &Rejection,
    call_id: &str,
) -> Response {
    let (mut parts, body) = response.into_parts();
    let body = Limited::new(body, LONGEST).collect().await;
    let message = body
        .ok()
        .and_then(|body| serde_json::from_slice::<Value>(&body.to_bytes()).ok())
        .and_then(|message| with_data(message, rejection, call_id));
    let Some(message) = message else {
        return rejection.answer(call_id);
    };
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(message.to_string()))
}

fn with_data(mut message: Value, rejection: &Rejection, call_id: &str) -> Option<Value> {
    let error = message.get_mut("error")?.as_object_mut()?;
    let data = error.entry("data").or_insert(Value::Null);
    if data.is_null() {
        *data = json!({});
    }
    let data = data.as_object_mut()?;
    data.insert("reason".into(), json!(rejection.refusal.reason));
    data.insert("remedy".into(), json!(rejection.refusal.remedy));
    data.insert("call_id".into(), json!(call_id));
    Some(message)
}
