//! The end of `up`: a sample organisation is onboarded as a user would do it,
//! its tools are called by both generations of MCP clients, and the record of
//! it is shown.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tenantry_cluster::progress::Progress;
use tenantry_tests::audit;
use tenantry_tests::forward::Forward;
use tenantry_tests::kubectl::Kubectl;
use tenantry_tests::mcp::{Era, call_with_sdk};
use tenantry_tests::namespace::print_evidence;

use crate::target::Target;
use crate::workspace;

/// The organisation of the example.
const NAMESPACE: &str = "acme";
const TOOL: &str = "meta_list_campaigns";

/// Lines of the example that are shown: the first call of each era.
const ERAS: [(Era, &str); 2] = [
    (Era::Legacy, "up to 2025-11-25"),
    (Era::Modern, "2026-07-28"),
];

/// How many steps [`take`] reports.
pub const STEPS: usize = 2 + ERAS.len();

/// What the tour brought to light.
pub struct Tour {
    /// The answer to the last call.
    pub answer: Value,
    /// The audit line of the same call.
    pub audit_line: Value,
    /// The key that was used.
    pub key: String,
}

/// Onboards the example, calls a tool by both eras, finds the audit line.
pub fn take(kubectl: &Kubectl, node: &Path, progress: &Progress) -> Result<Tour> {
    let example = example();
    let manifests =
        std::fs::read_to_string(&example).with_context(|| format!("read {}", example.display()))?;
    kubectl.apply(&manifests)?;
    progress.step("examples/acme.yaml applied");
    kubectl
        .wait_for_ready(NAMESPACE)
        .inspect_err(|_| print_evidence(kubectl, NAMESPACE))?;
    progress.step("organisation `acme` is Ready");
    let key = key_in(&manifests)
        .context("examples/acme.yaml shows no key")?
        .to_owned();
    let forward = Forward::to(kubectl, NAMESPACE, "service/server", 8080)?;
    let mut answer = Value::Null;
    for (era, revision) in ERAS {
        answer = call(era, node, &forward, &key)?;
        progress.step(&format!("tool called by a client of MCP {revision}"));
    }
    let call_id = answer["call_id"]
        .as_str()
        .context("the answer has no call_id")?;
    let audit_line = audit::written(kubectl, NAMESPACE, call_id)?;
    Ok(Tour {
        answer,
        audit_line,
        key,
    })
}

/// The file that one `kubectl apply -f` takes.
pub fn example() -> PathBuf {
    workspace::root().join("examples/acme.yaml")
}

/// Says what happened and what to do next.
pub fn tell(tour: &Tour, target: &Target) -> Result<()> {
    let campaigns = &tour.answer["data"]["campaigns"];
    let count = campaigns.as_array().map_or(0, Vec::len);
    println!("\n{TOOL} of act_1001 answered {count} campaigns, the first of them:");
    println!("{}", serde_json::to_string_pretty(&campaigns[0])?);
    println!("\nIts audit line, from the log of the pod `server-0`:");
    println!("{}", tour.audit_line);
    let [kubectl, farewell] = target.commands();
    let next = [
        ("get mcpt -A", "organisations"),
        (
            "-n acme get all,networkpolicy,mcpservers",
            "what was built for one",
        ),
        ("-n acme logs server-0 -c server -f", "its audit stream"),
        (
            "-n acme port-forward service/server 8080",
            "its MCP server, for a client here:",
        ),
    ];
    println!("\nNext:");
    for (arguments, what) in next {
        println!("  {kubectl} {arguments:<42}{what}");
    }
    println!(
        "      http://127.0.0.1:8080/mcp, header `Authorization: Bearer {}`",
        tour.key
    );
    println!("  {farewell}");
    Ok(())
}

fn call(era: Era, node: &Path, forward: &Forward, key: &str) -> Result<Value> {
    let report = call_with_sdk(
        era,
        node,
        &forward.url("/mcp"),
        key,
        TOOL,
        &json!({"account": "act_1001"}),
    )?;
    let answer = report["structuredContent"].clone();
    ensure!(answer["status"] == "done", "{TOOL} answered {report}");
    Ok(answer)
}

fn key_in(manifests: &str) -> Option<&str> {
    manifests
        .split_whitespace()
        .find(|word| word.starts_with("tnt_demo_"))
}
