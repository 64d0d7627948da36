//! What the body says, read strictly and before the MCP library reads it, so
//! that a doubled key or a rounded number ends here.

use serde_json::{Map, Value};
use tenantry_core::strict_json::{self, folded};
use tenantry_core::trace::TraceContext;

use super::rejection::Rejection;

/// One JSON-RPC message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A tool is called.
    ToolCall {
        /// Its name.
        tool: String,
        /// Where it stands in its caller's trace, if it says so in `_meta`.
        trace: Option<TraceContext>,
    },
    /// A change is followed or taken back, as a task of its caller.
    Task {
        /// The method.
        method: String,
        /// The task's id, if it is named.
        id: Option<String>,
        /// Where it stands in its caller's trace, if it says so in `_meta`.
        trace: Option<TraceContext>,
    },
    /// Anything else; the MCP library knows what.
    Other {
        /// The method, if it has one.
        method: Option<String>,
        /// What it names, where it names something.
        name: Option<String>,
    },
}

/// With what the methods of tasks begin.
const TASKS: &str = "tasks/";

/// The members of a JSON-RPC message.
const MEMBERS: [&str; 6] = ["jsonrpc", "id", "method", "params", "result", "error"];

/// What the parameters of a call may hold. Others are let by, but not when a
/// reader who ignores case would take them for one of these.
const PARAMS: [&str; 6] = [
    "name",
    "arguments",
    "_meta",
    "task",
    "inputResponses",
    "requestState",
];

impl Message {
    /// Reads a body.
    pub fn read(body: &[u8]) -> Result<Self, Rejection> {
        let value = strict_json::parse(body).map_err(|error| Rejection::body(error.to_string()))?;
        let Value::Object(message) = value else {
            return Err(Rejection::body("the body is not one JSON-RPC message"));
        };
        if message.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
            return Err(Rejection::body("the message is not of JSON-RPC 2.0"));
        }
        if !message.keys().all(|key| MEMBERS.contains(&key.as_str())) {
            return Err(Rejection::body(
                "the message has a member that JSON-RPC does not know",
            ));
        }
        let method = match message.get("method") {
            None => None,
            Some(Value::String(method)) if method == "tools/call" => return tool_call(&message),
            Some(Value::String(method)) => Some(method.clone()),
            Some(_) => return Err(Rejection::body("the method is not a string")),
        };
        let params = message.get("params");
        if let Some(method) = method.as_ref().filter(|method| method.starts_with(TASKS)) {
            let id = params.and_then(|params| params.get("taskId"));
            return Ok(Self::Task {
                method: method.clone(),
                id: id.and_then(Value::as_str).map(str::to_owned),
                trace: params.and_then(Value::as_object).and_then(trace),
            });
        }
        let name = params.and_then(|params| params.get("name").or_else(|| params.get("uri")));
        let name = name.and_then(Value::as_str).map(str::to_owned);
        Ok(Self::Other { method, name })
    }

    /// The method, if it has one.
    pub fn method(&self) -> Option<&str> {
        match self {
            Self::ToolCall { .. } => Some("tools/call"),
            Self::Task { method, .. } => Some(method),
            Self::Other { method, .. } => method.as_deref(),
        }
    }

    /// What it names, where it names something.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::ToolCall { tool, .. } => Some(tool),
            Self::Task { id, .. } => id.as_deref(),
            Self::Other { name, .. } => name.as_deref(),
        }
    }
}

fn tool_call(message: &Map<String, Value>) -> Result<Message, Rejection> {
    let is_request = matches!(message.get("id"), Some(Value::String(_) | Value::Number(_)));
    if !is_request {
        return Err(Rejection::body(
            "a tool call needs an id, a string or a number",
        ));
    }
    let params = message.get("params").and_then(Value::as_object);
    let mut keys = params.into_iter().flat_map(Map::keys);
    let is_variant = |key: &String| {
        let known = |known: &&str| folded(known) == folded(key);
        !PARAMS.contains(&key.as_str()) && PARAMS.iter().any(known)
    };
    if keys.any(is_variant) {
        return Err(Rejection::body(
            "a key of params is one of MCP's but for its case",
        ));
    }
    let name = params
        .and_then(|params| params.get("name"))
        .and_then(Value::as_str);
    let tool = name
        .ok_or_else(|| Rejection::body("a tool call needs params.name"))?
        .to_owned();
    match params.and_then(|params| params.get("arguments")) {
        None | Some(Value::Object(_)) => Ok(Message::ToolCall {
            tool,
            trace: params.and_then(trace),
        }),
        Some(_) => Err(Rejection::body("params.arguments is not an object")),
    }
}

fn trace(params: &Map<String, Value>) -> Option<TraceContext> {
    let traceparent = params.get("_meta")?.get("traceparent")?.as_str()?;
    TraceContext::parse(traceparent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<String>, String> {
        let message =
            Message::read(text.as_bytes()).map_err(|rejection| rejection.refusal.message)?;
        Ok(match message {
            Message::ToolCall { tool, .. } => Some(tool),
            Message::Task { .. } | Message::Other { .. } => None,
        })
    }

    #[test]
    fn a_tool_call_is_told_from_other_messages() {
        let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{}}}"#;
        assert_eq!(read(call), Ok(Some("t".into())));
        assert_eq!(
            read(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#),
            Ok(None)
        );
        assert_eq!(
            read(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#),
            Ok(None)
        );
    }

    #[test]
    fn a_doubtful_message_is_refused() {
        for text in [
            "",
            "[]",
            r#"[{"jsonrpc":"2.0","id":1,"method":"tools/list"}]"#,
            r#"{"id":1,"method":"tools/list"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":7}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","method":"tools/list"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#,
            r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"t"}}"#,
            r#"{"jsonrpc":"2.0","id":null,"method":"tools/call","params":{"name":"t"}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":[]}}"#,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
