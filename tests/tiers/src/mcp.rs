//! MCP spoken to a server by the official SDK clients.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::Value;

/// A generation of MCP clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Era {
    /// The revisions up to 2025-11-25, with `initialize`.
    Legacy,
    /// 2026-07-28.
    Modern,
}

/// Calls a tool with the official SDK client of an era; the program's report.
pub fn call_with_sdk(
    era: Era,
    node: &Path,
    url: &str,
    key: &str,
    tool: &str,
    arguments: &Value,
) -> Result<Value> {
    let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("../clients");
    let era = match era {
        Era::Legacy => "legacy",
        Era::Modern => "modern",
    };
    let output = Command::new(node)
        .arg(clients.join("call.mjs"))
        .args(["--era", era, "--url", url, "--tool", tool])
        .args(["--arguments", &arguments.to_string()])
        .env("TENANTRY_API_KEY", key)
        .output()
        .context("run the MCP client with node")?;
    serde_json::from_slice(&output.stdout).with_context(|| {
        format!(
            "the MCP client said: {}",
            String::from_utf8_lossy(&output.stderr)
        )
    })
}
