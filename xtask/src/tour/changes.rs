//! What the agent of the example may do by itself, what people are asked about,
//! and what it may not do at all.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tenantry_tests::forward::Forward;
use tenantry_tests::kubectl::{Kubectl, condition, wait_for};
use tenantry_tests::mcp::{Era, call_with_sdk};

use super::{NAMESPACE, TOOL, applied, key_in};

const CHANGE: &str = "meta_set_budget";
const POLICY: &str = "ads-budget";

/// A call, and what it may come to: the first time, once it was asked, and once
/// it was made.
struct Call {
    tool: &'static str,
    what: &'static str,
    arguments: Value,
    comes_to: &'static [&'static str],
}

/// What the calls came to.
pub struct Changes {
    /// A line for each.
    pub lines: Vec<String>,
    /// The approval that waits, unless it was given before.
    pub approval: Option<String>,
}

/// Lets the example's other key change something, within its policy.
pub fn allow(kubectl: &Kubectl) -> Result<String> {
    applied(kubectl, "policy.yaml")?;
    let manifests = applied(kubectl, "writes.yaml")?;
    let access = r#"{"spec":{"access":"ReadWrite"}}"#;
    let tenant = ["mcptenant", NAMESPACE, "-n", NAMESPACE];
    kubectl.run(&[&["patch"], &tenant[..], &["--type=merge", "-p", access]].concat())?;
    wait_for("the policy to be in force", || {
        let tenant = kubectl.wait_for_ready(NAMESPACE)?;
        let named = condition(&tenant, "PolicyAccepted")["message"].clone();
        Ok(named
            .as_str()
            .filter(|named| named.contains(POLICY))
            .map(drop))
    })?;
    let key = key_in(&manifests, "tnt_planner_");
    Ok(key.context("examples/writes.yaml shows no key")?.to_owned())
}

/// Makes the calls.
pub fn make(kubectl: &Kubectl, node: &Path, forward: &Forward, key: &str) -> Result<Changes> {
    let mut lines = Vec::new();
    let mut approval = None;
    for call in calls()? {
        let report = call_with_sdk(
            Era::Modern,
            node,
            &forward.url("/mcp"),
            key,
            call.tool,
            &call.arguments,
        )?;
        let answer = &report["structuredContent"];
        let status = answer["status"].as_str().unwrap_or_default();
        // A second `up` may be too soon for another change, if the vendor forgot
        // the first one.
        let is_too_soon = answer["rules"][0]["rule"] == "budget.perObject.minInterval";
        ensure!(
            is_too_soon || call.comes_to.contains(&status),
            "{} ({}) answered {report}",
            call.tool,
            call.what
        );
        let mut detail = because(answer);
        if ["pending_approval", "in_progress"].contains(&status) {
            approval = Some(approval_of(kubectl, &answer["change_id"])?);
            let name = approval.as_deref().unwrap_or_default();
            detail = format!("approval {name} {detail}");
        }
        let (tool, what) = (call.tool, call.what);
        lines.push(
            format!("{tool:<20}{what:<48}{status:<18}{detail}")
                .trim_end()
                .to_owned(),
        );
    }
    Ok(Changes { lines, approval })
}

/// The same every time, under new keys: what was made before is unchanged then,
/// and what waits goes on waiting.
fn calls() -> Result<[Call; 4]> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
    let change = |of: &str, id: &str, amount: &str| {
        let budget = json!({"amount": amount, "currency": "EUR"});
        json!({of: id, "daily_budget": budget, "idempotency_key": format!("tour-{now}-{id}")})
    };
    Ok([
        Call {
            tool: TOOL,
            what: "read what runs in act_1001",
            arguments: json!({"account": "act_1001"}),
            comes_to: &["done"],
        },
        Call {
            tool: CHANGE,
            what: "`Spring sale`, 50.00 to 55.00 EUR a day",
            arguments: change("campaign_id", "12001001001", "55.00"),
            comes_to: &["done", "unchanged"],
        },
        Call {
            tool: CHANGE,
            what: "`App installs`, 120.50 to 175.00 EUR a day",
            arguments: change("campaign_id", "12001001006", "175.00"),
            comes_to: &["pending_approval", "in_progress", "unchanged"],
        },
        Call {
            tool: CHANGE,
            what: "`Retargeting / everyone`, 20.00 to 200.00 EUR",
            arguments: change("ad_set_id", "120010010041", "200.00"),
            comes_to: &["refused"],
        },
    ])
}

/// The first rule that spoke.
fn because(answer: &Value) -> String {
    let rule = &answer["rules"][0];
    match (rule["rule"].as_str(), rule["message"].as_str()) {
        (Some(rule), Some(message)) => format!("({rule}: {message})"),
        _ => String::new(),
    }
}

/// The approval that waits for people to agree to a change.
fn approval_of(kubectl: &Kubectl, change: &Value) -> Result<String> {
    wait_for("the approval", || {
        let approvals = kubectl.get(&["mcpapprovals", "-n", NAMESPACE])?;
        let mut all = approvals["items"].as_array().into_iter().flatten();
        let mine = all.find(|one| one["spec"]["request"]["changeId"] == *change);
        Ok(mine.and_then(|one| one["metadata"]["name"].as_str().map(str::to_owned)))
    })
}
