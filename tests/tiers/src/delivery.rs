//! What a log agent made of the audit stream: its file, line by line.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom};
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde_json::Value;
use tenantry_core::audit::read::AuditLine;

/// Names the agent's file, in the environment of the tests.
pub const VARIABLE: &str = "TENANTRY_DELIVERED_LOGS";

/// Reads the agent's file as it grows.
pub struct Tail {
    path: PathBuf,
    read: u64,
    /// Audit lines that came without a namespace: nobody can tell whose.
    pub without_namespace: usize,
}

impl Tail {
    /// The file of the agent that runs beside the tests, from its beginning.
    pub fn from_environment() -> Result<Self> {
        let path = std::env::var_os(VARIABLE)
            .with_context(|| format!("{VARIABLE} names no file; run `cargo xtask test cluster`"))?;
        Ok(Self {
            path: path.into(),
            read: 0,
            without_namespace: 0,
        })
    }

    /// The audit lines of a namespace that have come since the last look.
    pub fn audit_lines(&mut self, namespace: &str) -> Result<Vec<Delivered>> {
        let mut file =
            File::open(&self.path).with_context(|| format!("read {}", self.path.display()))?;
        file.seek(SeekFrom::Start(self.read))?;
        let mut reader = BufReader::new(file);
        let mut lines = Vec::new();
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line)? > 0 {
            if line.last() != Some(&b'\n') {
                break; // It is being written.
            }
            self.read += line.len() as u64;
            let delivered = Delivered::read(&line)?;
            line.clear();
            let Some(delivered) = delivered else { continue };
            self.without_namespace += usize::from(delivered.namespace().is_empty());
            lines.extend(Some(delivered).filter(|line| line.namespace() == namespace));
        }
        Ok(lines)
    }
}

/// An audit line with what the agent says about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivered {
    envelope: Value,
    /// What the line says.
    line: Value,
}

impl Delivered {
    /// A line of the agent, if it carries one of the audit stream. A part of
    /// one, as runtimes make of what is too long, is none.
    fn read(bytes: &[u8]) -> Result<Option<Self>> {
        let envelope: Value = serde_json::from_slice(bytes).context("a line of the log agent")?;
        let text = envelope["log"].as_str().unwrap_or_default();
        let line = serde_json::from_str::<Value>(text).unwrap_or_default();
        Ok(AuditLine::of(&line).map(|line| Self {
            line: line.facts(),
            envelope,
        }))
    }

    /// The process that wrote it, and its place among that one's lines.
    pub fn place(&self) -> Result<(&str, u64)> {
        let boot = self.line["boot_id"].as_str().context("no boot_id")?;
        let sequence = self.line["sequence"].as_u64().context("no sequence")?;
        Ok((boot, sequence))
    }

    /// The call it is about.
    pub fn call_id(&self) -> Option<&str> {
        self.line["call_id"].as_str()
    }

    /// Whether it is about a call that was refused or failed.
    pub fn is_denial(&self) -> bool {
        self.call_id().is_some() && self.line["outcome"] != "done"
    }

    /// Whether the runtime took it as one line.
    pub fn is_whole(&self) -> bool {
        self.envelope["flag"] == "F" && self.envelope["stream"] == "stdout"
    }

    /// What the server wrote, to the byte.
    pub fn text(&self) -> &str {
        self.envelope["log"].as_str().unwrap_or_default()
    }

    /// The namespace, as the agent says.
    pub fn namespace(&self) -> &str {
        self.said("namespace_name")
    }

    /// The pod, as the agent says.
    pub fn pod(&self) -> &str {
        self.said("pod_name")
    }

    /// The container, as the agent says.
    pub fn container(&self) -> &str {
        self.said("container_name")
    }

    fn said(&self, name: &str) -> &str {
        self.envelope["kubernetes"][name]
            .as_str()
            .unwrap_or_default()
    }
}
