//! An MCP client made of plain HTTP, in both eras, that validates every tool
//! result against the schema that the server advertises.

use std::net::SocketAddr;
use std::sync::LazyLock;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use tenantry_core::answer::{Status, change_schema, output_schema};
use tenantry_server::catalog::Catalog;
use tenantry_server::pipeline::{describe, get_change, set_budgets, undo};

use crate::world::Captured;

/// Which MCP is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Era {
    /// A revision with a handshake.
    Legacy(&'static str),
    /// 2026-07-28, without one.
    Modern,
}

pub const ERAS: [Era; 3] = [
    Era::Legacy("2025-06-18"),
    Era::Legacy("2025-11-25"),
    Era::Modern,
];

/// One answer over HTTP.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
}

#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    url: String,
    key: Option<String>,
    era: Era,
    said: Captured,
    capabilities: Value,
}

impl Client {
    pub fn new(address: SocketAddr, key: Option<String>, said: Captured) -> Self {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self {
            http,
            url: format!("http://{address}/mcp"),
            key,
            era: Era::Modern,
            said,
            capabilities: json!({}),
        }
    }

    /// One that can follow tasks.
    pub fn with_tasks(self) -> Self {
        let capabilities = json!({"extensions": {"io.modelcontextprotocol/tasks": {}}});
        Self {
            capabilities,
            ..self
        }
    }

    pub fn with_era(self, era: Era) -> Self {
        Self { era, ..self }
    }

    pub fn with_key(self, key: Option<String>) -> Self {
        Self { key, ..self }
    }

    /// A request as it stands before it is sent.
    pub fn request(&self, body: impl Into<reqwest::Body>) -> reqwest::RequestBuilder {
        let mut request = self
            .http
            .post(&self.url)
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream");
        if let Some(key) = &self.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        request.body(body)
    }

    pub async fn send(&self, request: reqwest::RequestBuilder) -> Reply {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap();
        self.said.add(text.as_bytes());
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Reply {
            status,
            headers,
            body,
        }
    }

    /// Sends a message as it is, in the headers of the client's era.
    pub fn message(&self, message: &Value) -> reqwest::RequestBuilder {
        let request = self.request(message.to_string());
        match self.era {
            Era::Legacy(version) if message["method"] == "initialize" => {
                // The version stands in the body alone.
                let _ = version;
                request
            }
            Era::Legacy(version) => request.header("mcp-protocol-version", version),
            Era::Modern => {
                let mut headers = HeaderMap::new();
                let mut put = |name: &'static str, value: &str| {
                    headers.insert(
                        HeaderName::from_static(name),
                        HeaderValue::from_str(value).unwrap(),
                    );
                };
                put("mcp-protocol-version", "2026-07-28");
                put("mcp-method", message["method"].as_str().unwrap());
                let params = &message["params"];
                let name = params["name"].as_str().or(params["taskId"].as_str());
                if let Some(name) = name {
                    put("mcp-name", name);
                }
                request.headers(headers)
            }
        }
    }

    /// One JSON-RPC exchange.
    pub async fn ask(&self, method: &str, mut params: Value) -> Reply {
        if self.era == Era::Modern {
            params["_meta"] = json!({
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientCapabilities": self.capabilities,
                "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "0"},
            });
        }
        let message = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params});
        self.send(self.message(&message)).await
    }

    /// Shakes hands, where the era has it.
    pub async fn greet(&self) -> Reply {
        match self.era {
            Era::Legacy(version) => {
                let client = json!({"name": "test", "version": "0"});
                let params =
                    json!({"protocolVersion": version, "capabilities": {}, "clientInfo": client});
                self.ask("initialize", params).await
            }
            Era::Modern => self.ask("server/discover", json!({})).await,
        }
    }

    pub async fn tools(&self) -> Value {
        let reply = self.ask("tools/list", json!({})).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.body["result"].clone()
    }

    /// Calls a tool; answers the tool result, which must fit the schema.
    pub async fn call(&self, tool: &str, arguments: Value) -> Value {
        let reply = self.try_call(tool, arguments).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let result = reply.body["result"].clone();
        assert!(result.is_object(), "{reply:?}");
        check_result(tool, &result);
        result
    }

    /// Asks about a task.
    pub async fn task(&self, method: &str, id: &str) -> Reply {
        self.ask(method, json!({"taskId": id})).await
    }

    /// Calls a tool, whatever comes of it.
    pub async fn try_call(&self, tool: &str, arguments: Value) -> Reply {
        self.ask("tools/call", json!({"name": tool, "arguments": arguments}))
            .await
    }
}

/// The result fits the advertised schema, and its text mirrors it.
pub fn check_result(tool: &str, result: &Value) {
    let envelope = &result["structuredContent"];
    let schema = advertised(tool);
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let mistakes: Vec<String> = validator
        .iter_errors(envelope)
        .map(|error| error.to_string())
        .collect();
    assert!(mistakes.is_empty(), "{mistakes:?} in {envelope}");
    let text = result["content"][0]["text"].as_str().unwrap();
    let status: Status = serde_json::from_value(envelope["status"].clone()).unwrap();
    assert_eq!(result["isError"], status.is_error());
    if status.is_error() {
        for part in ["reason", "message", "remedy", "call_id"] {
            assert!(text.contains(envelope[part].as_str().unwrap()), "{text}");
        }
    } else {
        assert_eq!(serde_json::from_str::<Value>(text).unwrap(), *envelope);
    }
}

/// The output schema as `tools/list` shows it; `answers` proves that it does.
pub fn advertised(tool: &str) -> Value {
    // Loading takes a while, and every call asks.
    static CATALOG: LazyLock<Catalog> = LazyLock::new(|| Catalog::load(None).unwrap());
    if tool == describe::TOOL {
        return Value::Object(output_schema(&describe::data_schema()));
    }
    if [get_change::TOOL, set_budgets::TOOL, undo::TOOL].contains(&tool) {
        return Value::Object(change_schema());
    }
    let found = CATALOG.find(tool).unwrap();
    Value::Object(if found.tool.makes_changes() {
        change_schema()
    } else {
        output_schema(&found.tool.output_schema)
    })
}
