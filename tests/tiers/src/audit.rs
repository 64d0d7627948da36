//! The audit lines of a server under test, from the pod's log as cluster
//! logging would find them.

use anyhow::Result;
use serde_json::Value;
use tenantry_core::audit::read::AuditLine;

use crate::kubectl::{Kubectl, wait_for};

/// What every audit line in the log of the server's pod says, in order.
pub fn lines(kubectl: &Kubectl, namespace: &str) -> Result<Vec<Value>> {
    let log = kubectl.run(&["logs", "-n", namespace, "server-0", "-c", "server"])?;
    Ok(log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|line| Some(AuditLine::of(&line)?.facts()))
        .collect())
}

/// Waits for the one line of a call.
pub fn line_of(kubectl: &Kubectl, namespace: &str, call_id: &str) -> Result<Value> {
    let what = format!("the audit line of `{call_id}`");
    wait_for(&what, || {
        let mut mine = lines(kubectl, namespace)?
            .into_iter()
            .filter(|line| line["call_id"] == call_id);
        let first = mine.next();
        anyhow::ensure!(
            mine.next().is_none(),
            "`{call_id}` has more than one audit line"
        );
        Ok(first)
    })
}
