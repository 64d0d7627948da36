//! What a log agent made of the audit stream: its file, line by line.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;

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
            for delivered in Delivered::read(&line)? {
                self.without_namespace += usize::from(delivered.namespace().is_empty());
                lines.extend(Some(delivered).filter(|line| line.namespace() == namespace));
            }
            line.clear();
        }
        Ok(lines)
    }
}

/// An audit line with what the agent says about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivered {
    /// Whose it is: attributes of the container.
    resource: Arc<Value>,
    /// What the agent made of it, with attributes of its own.
    record: Value,
    /// What the line says.
    line: Value,
}

impl Delivered {
    /// What a batch of the agent, OTLP in one line of JSON, carries of the audit
    /// stream. A part of a line, as runtimes make of what is too long, is none.
    fn read(batch: &[u8]) -> Result<Vec<Self>> {
        let mut batch: Value = serde_json::from_slice(batch).context("a line of the log agent")?;
        let mut lines = Vec::new();
        for container in items(&mut batch["resourceLogs"]) {
            let resource = Arc::new(container["resource"].take());
            for scope in items(&mut container["scopeLogs"]) {
                let records = items(&mut scope["logRecords"]).iter_mut().map(Value::take);
                lines.extend(records.filter_map(|record| {
                    let line = serde_json::from_str::<Value>(text(&record)).ok()?;
                    let line = AuditLine::of(&line)?.facts();
                    let resource = resource.clone();
                    Some(Self {
                        resource,
                        record,
                        line,
                    })
                }));
            }
        }
        Ok(lines)
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
        let said = |name| attribute(&self.record, name);
        said("logtag") == "F" && said("log.iostream") == "stdout"
    }

    /// What the server wrote, to the byte.
    pub fn text(&self) -> &str {
        text(&self.record)
    }

    /// The namespace, as the agent says.
    pub fn namespace(&self) -> &str {
        attribute(&self.resource, "k8s.namespace.name")
    }

    /// The pod, as the agent says.
    pub fn pod(&self) -> &str {
        attribute(&self.resource, "k8s.pod.name")
    }

    /// The container, as the agent says.
    pub fn container(&self) -> &str {
        attribute(&self.resource, "k8s.container.name")
    }
}

fn items(list: &mut Value) -> &mut [Value] {
    list.as_array_mut().map_or(&mut [], Vec::as_mut_slice)
}

fn text(record: &Value) -> &str {
    record["body"]["stringValue"].as_str().unwrap_or_default()
}

/// An attribute of a record or a resource; empty if it has none of that name.
fn attribute<'a>(of: &'a Value, name: &str) -> &'a str {
    let attributes = of["attributes"].as_array().map_or(&[][..], Vec::as_slice);
    let found = attributes.iter().find(|attribute| attribute["key"] == name);
    found
        .and_then(|attribute| attribute["value"]["stringValue"].as_str())
        .unwrap_or_default()
}
