//! The load: a number of clients that call a tool, each again as soon as it
//! has its answer.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::wire::Connection;

/// Which server gets the load, and what it is asked.
#[derive(Debug, Clone)]
pub struct Target {
    /// `host:port`.
    pub address: String,
    /// The path of MCP.
    pub path: String,
    /// The API key, where the server wants one.
    pub key: Option<String>,
    /// The tool.
    pub tool: String,
    /// Its arguments.
    pub arguments: Value,
}

/// What a load has shown.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Answered calls a second.
    pub calls_per_s: f64,
    /// The time of half of the calls, in microseconds.
    pub p50_us: u64,
    /// The time that one call in a hundred took longer than.
    pub p99_us: u64,
}

impl Target {
    /// A `tools/call` as clients of MCP 2025-11-25 send it, which every server
    /// here understands.
    fn request(&self) -> Vec<u8> {
        let body = json!({
            "jsonrpc": "2.0",
            "id": 1,
            "method": "tools/call",
            "params": {"name": self.tool, "arguments": self.arguments},
        })
        .to_string();
        let key = self.key.as_ref().map_or(String::new(), |key| {
            format!("Authorization: Bearer {key}\r\n")
        });
        format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2025-11-25\r\n{key}Content-Length: {}\r\n\r\n{body}",
            self.path,
            self.address,
            body.len(),
        )
        .into_bytes()
    }
}

/// Loads `target` with `clients` clients for `duration`. An answer that is not
/// the good one fails the measurement: a refusal is fast.
pub async fn run(target: &Target, clients: usize, duration: Duration) -> Result<Measured> {
    let request = target.request();
    let until = Instant::now() + duration;
    let mut running = JoinSet::new();
    for _ in 0..clients {
        let mut connection = Connection::open(&target.address).await?;
        let request = request.clone();
        running.spawn(async move {
            let mut times_us = Vec::with_capacity(1 << 14);
            loop {
                let asked = Instant::now();
                if asked >= until {
                    return Ok::<_, anyhow::Error>(times_us);
                }
                let (status, body) = connection.ask(&request).await?;
                times_us.push(u64::try_from(asked.elapsed().as_micros())?);
                ensure!(
                    is_good(status, body),
                    "{status}: {}",
                    String::from_utf8_lossy(body)
                );
            }
        });
    }
    let mut times_us = vec![];
    while let Some(ended) = running.join_next().await {
        times_us.extend(ended??);
    }
    Measured::of(times_us, duration)
}

impl Measured {
    /// What calls of these lengths come to, that were all answered within
    /// `duration`.
    pub fn of(mut times_us: Vec<u64>, duration: Duration) -> Result<Self> {
        times_us.sort_unstable();
        ensure!(!times_us.is_empty(), "no call was answered");
        #[expect(
            clippy::cast_precision_loss,
            reason = "a count of calls is far below 2^52"
        )]
        let calls = times_us.len() as f64;
        Ok(Self {
            calls_per_s: calls / duration.as_secs_f64(),
            p50_us: times_us[times_us.len() / 2],
            p99_us: times_us[times_us.len() * 99 / 100],
        })
    }
}

/// Whether the tool did what it was asked.
fn is_good(status: u16, body: &[u8]) -> bool {
    let says = |part: &[u8]| body.windows(part.len()).any(|window| window == part);
    status == 200 && says(b"\"result\"") && !says(b"\"isError\":true")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_no_good_answer() {
        assert!(is_good(200, br#"{"result":{"content":[]}}"#));
        assert!(!is_good(200, br#"{"result":{"isError":true}}"#));
        assert!(!is_good(200, br#"{"error":{}}"#));
        assert!(!is_good(429, br#"{"result":{}}"#));
    }
}
