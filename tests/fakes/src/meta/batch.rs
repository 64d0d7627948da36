//! Many requests in one. Each part counts, fails and comes about by itself, and
//! a part that took too long is null: whether it came about nobody says.

use serde::Deserialize;
use serde_json::{Value, json};

use super::Inner;
use super::asked::Asked;
use super::front::Ending;
use super::oracle::Trace;
use super::usage::Used;
use super::wire::{GraphError, Told};

/// Meta: at most 50 requests in a batch.
const MOST_PARTS: usize = 50;

/// One part, as it stands in the parameter `batch`.
#[derive(Deserialize)]
pub(super) struct Part {
    pub method: String,
    pub relative_url: String,
    #[serde(default)]
    pub body: String,
}

/// Whether a request is a batch: a POST to nothing.
pub(super) fn is_one(asked: &Asked) -> bool {
    let names_nothing = asked.segments().len() <= 1;
    asked.method == "POST" && names_nothing && asked.parameter("batch").is_some()
}

pub(super) fn tell(inner: &mut Inner, asked: &Asked, trace: &Trace) -> (Used, Ending) {
    let text = asked.parameter("batch").unwrap_or_default();
    let parts: Vec<Part> = match serde_json::from_str(text) {
        Ok(parts) => parts,
        Err(_) => return refused("Param batch must be an array"),
    };
    if parts.len() > MOST_PARTS {
        return refused("Too many requests in batch message. Maximum batch size is 50");
    }
    let mut used = Used::nothing();
    let mut answers = Vec::new();
    for part in &parts {
        let (used_here, ending) = inner.handle(&asked.part(part), trace);
        used = used_here;
        answers.push(match ending {
            Ending::Answer(told, _) => item(told, trace),
            Ending::Hang | Ending::Break => Value::Null,
        });
    }
    (used, Ending::Answer(Told::Json(json!(answers)), None))
}

fn refused(message: &str) -> (Used, Ending) {
    let told = Told::Error(GraphError::parameter(message));
    (Used::nothing(), Ending::Answer(told, None))
}

/// An answer in an answer: its body is a text.
fn item(told: Told, trace: &Trace) -> Value {
    let status = told.status();
    let headers = [json!({"name": "Content-Type", "value": "application/json; charset=UTF-8"})];
    match told.into_text(trace) {
        Some(body) => json!({"code": status, "headers": headers, "body": body}),
        None => Value::Null,
    }
}
