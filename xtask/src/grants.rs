//! Rights that the apiserver tier never used: operator and server get none to
//! spare.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tenantry_cluster::tools::Tool;
use tenantry_tests::grants::{Grant, Use, grants, unused, uses};

use crate::{tools, workspace};

/// The roles of the two programs; what people get is theirs to use or not.
const ROLES: [&str; 3] = [
    "tenantry-operator",
    "tenantry-tenant-manager",
    "tenantry-server",
];

/// Grants that no test of this tier can use, each with its reason.
const EXCEPTIONS: [(&str, &str); 3] = [
    (
        "ClusterRole/tenantry-tenant-manager: create poddisruptionbudgets.policy",
        NO_BUDGET,
    ),
    (
        "ClusterRole/tenantry-tenant-manager: get poddisruptionbudgets.policy `server`",
        NO_BUDGET,
    ),
    (
        "ClusterRole/tenantry-tenant-manager: patch poddisruptionbudgets.policy `server`",
        NO_BUDGET,
    ),
];
const NO_BUDGET: &str = "a budget is for two replicas, and those are for a PostgreSQL ledger, which this release refuses";

/// Compares the audit logs in `folder` with what the charts grant.
pub fn check(folder: &Path) -> Result<()> {
    let granted = granted()?;
    let (lines, used) = read(folder)?;
    let left = unused(granted.clone(), &used);
    for (exception, reason) in EXCEPTIONS {
        ensure!(
            left.iter().any(|grant| grant.to_string() == exception),
            "the exception `{exception}` ({reason}) is used or gone: take it out"
        );
    }
    let left: Vec<_> = left
        .iter()
        .map(ToString::to_string)
        .filter(|grant| EXCEPTIONS.iter().all(|(exception, _)| exception != grant))
        .collect();
    println!(
        "grants: {} of operator and server, {} unused, {} excepted, by {lines} lines of audit log",
        granted.len(),
        left.len(),
        EXCEPTIONS.len(),
    );
    ensure!(
        left.is_empty(),
        "take away what is not used, or use it in a test:\n  {}",
        left.join("\n  ")
    );
    Ok(())
}

fn granted() -> Result<BTreeSet<Grant>> {
    let mut all = BTreeSet::new();
    for chart in ["tenantry-api", "tenantry"] {
        for document in rendered(chart)? {
            let name = document["metadata"]["name"].as_str().unwrap_or_default();
            let is_role = ["Role", "ClusterRole"]
                .map(Value::from)
                .contains(&document["kind"]);
            if is_role && ROLES.contains(&name) {
                all.extend(grants(&document));
            }
        }
    }
    ensure!(!all.is_empty(), "the charts grant nothing");
    Ok(all)
}

/// The objects of a chart with its defaults.
fn rendered(chart: &str) -> Result<Vec<Value>> {
    let toolbox = tools::with(&[Tool::Helm])?;
    let folder = workspace::root().join("charts").join(chart);
    let output = Command::new(toolbox.path(Tool::Helm))
        .args(["template", chart, "--namespace", "tenantry-system"])
        .arg(folder)
        .output()
        .context("run helm template")?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "helm template {chart}: {told}");
    let text = String::from_utf8(output.stdout)?;
    serde_saphyr::from_multiple(&text).with_context(|| format!("read the chart {chart}"))
}

/// How many lines there are, and what operator and servers did by their own
/// hands.
fn read(folder: &Path) -> Result<(usize, Vec<Use>)> {
    let mut lines = 0;
    let mut used = vec![];
    for entry in fs::read_dir(folder).with_context(|| format!("read `{}`", folder.display()))? {
        for line in fs::read_to_string(entry?.path())?.lines() {
            // The last line of an API server that was killed may be torn.
            let Ok(line) = serde_json::from_str(line) else {
                continue;
            };
            lines += 1;
            for one in uses(&line, is_ours) {
                if !used.contains(&one) {
                    used.push(one);
                }
            }
        }
    }
    ensure!(
        lines > 0,
        "the tests left no audit log in `{}`",
        folder.display()
    );
    Ok((lines, used))
}

fn is_ours(user: &str) -> bool {
    user.strip_prefix("system:serviceaccount:")
        .is_some_and(|account| {
            account == "tenantry-system:tenantry-operator" || account.ends_with(":tenantry-server")
        })
}
