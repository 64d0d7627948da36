//! The audit lines of a server under test, from the pod's log as cluster
//! logging would find them.

use anyhow::Result;
use serde_json::Value;
use tenantry_core::audit::read::AuditLine;

use crate::kubectl::{Kubectl, wait_for};

/// Every audit line in the log of the server's pod, in order, as it is written.
pub fn lines(kubectl: &Kubectl, namespace: &str) -> Result<Vec<Value>> {
    let log = kubectl.run(&["logs", "-n", namespace, "server-0", "-c", "server"])?;
    Ok(log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|line| AuditLine::of(line).is_some())
        .collect())
}

/// Waits for the one line of a call, as it is written.
pub fn written(kubectl: &Kubectl, namespace: &str, call_id: &str) -> Result<Value> {
    let what = format!("the audit line of `{call_id}`");
    wait_for(&what, || {
        let mut mine = lines(kubectl, namespace)?.into_iter().filter(|line| {
            let facts = facts(line);
            facts["kind"] == "event" && facts["call_id"] == call_id
        });
        let first = mine.next();
        anyhow::ensure!(
            mine.next().is_none(),
            "`{call_id}` has more than one audit line"
        );
        Ok(first)
    })
}

/// Waits for the one line of a call, and tells what it says.
pub fn line_of(kubectl: &Kubectl, namespace: &str, call_id: &str) -> Result<Value> {
    Ok(facts(&written(kubectl, namespace, call_id)?))
}

fn facts(line: &Value) -> Value {
    AuditLine::of(line)
        .map(AuditLine::facts)
        .unwrap_or_default()
}
