//! MCP spoken raw, where a client would never send what the test is about.

use anyhow::Result;
use serde_json::{Value, json};

/// A raw request that a test bends where it wants to.
#[derive(Debug, Clone)]
pub struct RawCall {
    /// The address of the server.
    pub url: String,
    /// What stands in `Authorization: Bearer`, if anything.
    pub key: Option<String>,
    /// What stands in `Host` instead of the address.
    pub host: Option<String>,
    /// What stands in `Origin`.
    pub origin: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

/// What came back.
#[derive(Debug)]
pub struct RawAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The challenge of a 401.
    pub challenge: Option<String>,
    /// The body, as JSON.
    pub body: Value,
}

impl RawCall {
    /// A `tools/call` of the 2025-11-25 revision, which needs no other message
    /// before it at a stateless server.
    pub fn tool(url: &str, key: &str, tool: &str, arguments: &Value) -> Self {
        let message = json!({
            "jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": {"name": tool, "arguments": arguments},
        });
        Self {
            url: url.into(),
            key: Some(key.into()),
            host: None,
            origin: None,
            body: message.to_string().into_bytes(),
        }
    }

    /// What sends calls, over connections that it keeps.
    pub fn client() -> Result<reqwest::Client> {
        // Fails only if another test has installed it already.
        rustls::crypto::ring::default_provider()
            .install_default()
            .ok();
        Ok(reqwest::Client::builder().tls_certs_only([]).build()?)
    }

    /// Sends it.
    pub fn send(&self) -> Result<RawAnswer> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let client = Self::client()?;
        runtime.block_on(self.exchange(&client))
    }

    /// Sends it with a client that may have sent others.
    pub async fn exchange(&self, client: &reqwest::Client) -> Result<RawAnswer> {
        let mut request = client
            .post(&self.url)
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", "2025-11-25")
            .body(self.body.clone());
        if let Some(key) = &self.key {
            request = request.bearer_auth(key);
        }
        if let Some(host) = &self.host {
            request = request.header("host", host);
        }
        if let Some(origin) = &self.origin {
            request = request.header("origin", origin);
        }
        let response = request.send().await?;
        let challenge = response.headers().get("www-authenticate");
        let challenge = challenge.and_then(|value| Some(value.to_str().ok()?.to_owned()));
        let status = response.status().as_u16();
        let text = response.text().await?;
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Ok(RawAnswer {
            status,
            challenge,
            body,
        })
    }
}

impl RawAnswer {
    /// The envelope of a tool result.
    pub fn envelope(&self) -> &Value {
        &self.body["result"]["structuredContent"]
    }
}
