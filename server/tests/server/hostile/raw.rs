//! A request as bytes, and the answer to it.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::bearer;
use crate::world::PATIENCE;

/// A request that can be changed anywhere before it is written.
#[derive(Clone)]
pub struct Raw {
    pub method: String,
    pub target: String,
    pub version: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// What came back: nothing, if the connection was closed without a word.
#[derive(Debug)]
pub struct Answer {
    pub status: Option<u16>,
    pub body: Value,
}

impl Raw {
    /// A good call in the revision without a handshake.
    pub fn modern() -> Self {
        let meta = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        });
        let params =
            json!({"name": "meta_list_ad_accounts", "arguments": {"limit": 2}, "_meta": meta});
        let mut raw = Self::posting(&params);
        raw.with("MCP-Protocol-Version", "2026-07-28");
        raw.with("Mcp-Method", "tools/call");
        raw.with("Mcp-Name", "meta_list_ad_accounts");
        raw
    }

    /// A good call in a revision with a handshake.
    pub fn legacy() -> Self {
        let params = json!({"name": "meta_list_ad_accounts", "arguments": {"limit": 2}});
        let mut raw = Self::posting(&params);
        raw.with("MCP-Protocol-Version", "2025-11-25");
        raw
    }

    fn posting(params: &Value) -> Self {
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
        let headers = [
            ("Host", "localhost"),
            ("Authorization", &bearer()),
            ("Content-Type", "application/json"),
            ("Accept", "application/json, text/event-stream"),
            ("Connection", "close"),
        ];
        Self {
            method: "POST".into(),
            target: "/mcp".into(),
            version: "HTTP/1.1".into(),
            headers: headers
                .map(|(name, value)| (name.into(), value.into()))
                .into(),
            body: message.to_string().into_bytes(),
        }
    }

    /// One more header.
    pub fn with(&mut self, name: &str, value: &str) {
        self.headers.push((name.into(), value.into()));
    }

    /// No header of that name.
    pub fn without(&mut self, name: &str) {
        self.headers
            .retain(|(known, _)| !known.eq_ignore_ascii_case(name));
    }

    /// Another value of that header.
    pub fn replace(&mut self, name: &str, value: &str) {
        self.without(name);
        self.with(name, value);
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    /// The bytes, with the length of the body unless that is part of the lie.
    pub fn bytes(&self) -> Vec<u8> {
        let mut head = format!("{} {} {}\r\n", self.method, self.target, self.version);
        let mut says_length = false;
        for (name, value) in &self.headers {
            says_length |= ["content-length", "transfer-encoding"]
                .iter()
                .any(|known| name.trim().eq_ignore_ascii_case(known));
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !says_length {
            head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// After this the client gives up on a request that promises more than it
/// sends; what is refused at once does not come to it.
const GIVES_UP: Duration = Duration::from_secs(3);

/// Everything that comes back until the connection is closed.
pub async fn conversation(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut answer = Vec::new();
    let talk = async {
        // Refused early, the rest is not taken; the answer is what counts.
        let _ = stream.write_all(bytes).await;
        if tokio::time::timeout(GIVES_UP, stream.read_to_end(&mut answer))
            .await
            .is_err()
        {
            let _ = stream.shutdown().await;
            let _ = stream.read_to_end(&mut answer).await;
        }
    };
    tokio::time::timeout(PATIENCE, talk)
        .await
        .expect("no end of the connection");
    String::from_utf8_lossy(&answer).into_owned()
}

/// One request, one answer.
pub async fn exchange(address: SocketAddr, bytes: &[u8]) -> Answer {
    let text = conversation(address, bytes).await;
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let body = serde_json::from_str(body).unwrap_or(Value::Null);
    Answer { status, body }
}
