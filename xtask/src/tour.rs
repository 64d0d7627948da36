//! The end of `up`: a sample organisation is onboarded as a user would do it,
//! its tools are called by both generations of MCP clients, its agent changes
//! what it may, and the record of it is shown.

mod changes;

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tenantry_cluster::progress::Progress;
use tenantry_tests::audit;
use tenantry_tests::forward::Forward;
use tenantry_tests::kubectl::Kubectl;
use tenantry_tests::mcp::{Era, call_with_sdk};
use tenantry_tests::namespace::print_evidence;

use self::changes::Changes;
use crate::target::Target;
use crate::workspace;

/// The organisation of the example.
const NAMESPACE: &str = "acme";
const TOOL: &str = "meta_list_campaigns";

/// Somebody whom examples/writes.yaml lets decide. Whoever brings all of this up
/// may issue keys in anybody's name, and so decides nothing.
const APPROVER: &str = "--as bob@acme.example --as-group acme-marketing";

/// Lines of the example that are shown: the first call of each era.
const ERAS: [(Era, &str); 2] = [
    (Era::Legacy, "up to 2025-11-25"),
    (Era::Modern, "2026-07-28"),
];

/// How many steps [`take`] reports.
pub const STEPS: usize = 4 + ERAS.len();

/// What the tour brought to light.
pub struct Tour {
    /// The answer to the last call.
    pub answer: Value,
    /// The audit line of the same call.
    pub audit_line: Value,
    /// What its agent changed, and was not let change.
    pub changes: Changes,
    /// The key that it did so with.
    pub key: String,
}

/// Onboards the example, calls a tool by both eras, finds the audit line, and
/// lets an agent change something.
pub fn take(kubectl: &Kubectl, node: &Path, progress: &Progress) -> Result<Tour> {
    let manifests = applied(kubectl, "acme.yaml")?;
    progress.step("examples/acme.yaml applied");
    kubectl
        .wait_for_ready(NAMESPACE)
        .inspect_err(|_| print_evidence(kubectl, NAMESPACE))?;
    progress.step("organisation `acme` is Ready");
    let key = key_in(&manifests, "tnt_demo_").context("examples/acme.yaml shows no key")?;
    let forward = Forward::to(kubectl, NAMESPACE, "service/server", 8080)?;
    let mut answer = Value::Null;
    for (era, revision) in ERAS {
        answer = call(era, node, &forward, key)?;
        progress.step(&format!("tool called by a client of MCP {revision}"));
    }
    let call_id = answer["call_id"]
        .as_str()
        .context("the answer has no call_id")?;
    let audit_line = audit::written(kubectl, NAMESPACE, call_id)?;
    let key = changes::allow(kubectl)?;
    progress.step("examples/policy.yaml and writes.yaml applied, access: ReadWrite");
    let changes = changes::make(kubectl, node, &forward, &key)?;
    progress.step("an agent read, changed, asked and was refused");
    Ok(Tour {
        answer,
        audit_line,
        changes,
        key,
    })
}

/// Applies an example, as one `kubectl apply -f` does; its text.
fn applied(kubectl: &Kubectl, name: &str) -> Result<String> {
    let example = workspace::root().join("examples").join(name);
    let manifests = std::fs::read_to_string(&example);
    let manifests = manifests.with_context(|| format!("read {}", example.display()))?;
    kubectl.apply(&manifests)?;
    Ok(manifests)
}

/// Says what happened and what to do next.
pub fn tell(tour: &Tour, target: &Target) -> Result<()> {
    let campaigns = &tour.answer["data"]["campaigns"];
    let count = campaigns.as_array().map_or(0, Vec::len);
    println!("\n{TOOL} of act_1001 answered {count} campaigns, the first of them:");
    println!("{}", serde_json::to_string_pretty(&campaigns[0])?);
    println!("\nIts audit line, from the log of the pod `server-0`:");
    println!("{}", tour.audit_line);
    println!("\nWhat its agent asked for under examples/policy.yaml:");
    for line in &tour.changes.lines {
        println!("  {line}");
    }
    let [kubectl, farewell] = target.commands();
    println!("\nNext:");
    let waits = tour.changes.approval.as_deref();
    let decide = match waits {
        Some(name) => format!("approve {name} -n {NAMESPACE} --wait {APPROVER}"),
        None => format!("approvals -n {NAMESPACE}"),
    };
    println!("  {}", target.plugin(&decide));
    println!("  {}", target.plugin(&format!("activity -n {NAMESPACE}")));
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

/// The key that an example publishes.
fn key_in<'a>(manifests: &'a str, begin: &str) -> Option<&'a str> {
    manifests
        .split_whitespace()
        .find(|word| word.starts_with(begin))
}
