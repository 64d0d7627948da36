//! What somebody says of a change that waits: in their own name, of that very
//! object, once.

use std::time::{Duration, Instant};

use kube::ResourceExt as _;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tenantry_api::mcp_approval::{ApprovalState, ApprovalVerdict, McpApproval};

use super::approvals::{get, of, state};
use super::{Cluster, cell, failed};
use crate::answer::{Answer, Unusable};
use crate::cli::{Decision, Withdraw};

/// Between two looks at where it stands.
const LOOK: Duration = Duration::from_millis(250);

/// Says yes or no.
pub async fn decide(
    cluster: &Cluster,
    asked: &Decision,
    verdict: ApprovalVerdict,
) -> Result<Answer, Unusable> {
    let approval = get(cluster, &asked.name).await?;
    let me = cluster.me().await?;
    let before = approval.spec.decisions.iter().find(|one| one.by == me);
    if let Some(before) = before.filter(|before| before.verdict != verdict) {
        let word = word(before.verdict);
        return Err(Unusable::refused(format!(
            "`{me}` has said {word}, and a decision stays as it was made"
        )));
    }
    let summary = cell(&approval.spec.request.summary);
    let (name, word) = (&asked.name, word(verdict));
    let mut text = format!("{name}: `{me}` says {word} to: {summary}\n");
    if before.is_some() {
        text = format!("{name}: `{me}` had said {word} before to: {summary}\n");
    } else {
        let mut decision = json!({"by": me, "verdict": format!("{verdict:?}")});
        if !asked.classes.is_empty() {
            decision["classes"] = json!(asked.classes);
        }
        if let Some(comment) = &asked.comment {
            decision["comment"] = json!(comment);
        }
        let add = json!({"op": "add", "path": "/spec/decisions/-", "value": decision});
        patch(cluster, &approval, &add).await?;
    }
    let Some(wait) = asked.wait else {
        return Ok(Answer::good(text));
    };
    let ended = wait_for(cluster, &approval, Duration::from_secs(wait)).await?;
    let stands = state(&ended);
    let message = ended.status.and_then(|status| status.message);
    let message = message
        .as_deref()
        .map_or_else(String::new, |message| format!(": {}", cell(message)));
    let text = format!("{text}{name}: {stands:?}{message}\n");
    let wanted = match verdict {
        ApprovalVerdict::Approve => ApprovalState::Applied,
        ApprovalVerdict::Deny => ApprovalState::Denied,
    };
    Ok(Answer {
        is_good: stands == wanted,
        ..Answer::good(text)
    })
}

/// Takes back what somebody has asked for.
pub async fn withdraw(cluster: &Cluster, asked: &Withdraw) -> Result<Answer, Unusable> {
    let approval = get(cluster, &asked.name).await?;
    let take = json!({"op": "add", "path": "/spec/withdrawn", "value": true});
    patch(cluster, &approval, &take).await?;
    let summary = cell(&approval.spec.request.summary);
    Ok(Answer::good(format!(
        "{}: withdrawn: {summary}\n",
        asked.name
    )))
}

/// Changes that very object, and no other of its name.
async fn patch(cluster: &Cluster, approval: &McpApproval, change: &Value) -> Result<(), Unusable> {
    let is_it = json!({"op": "test", "path": "/metadata/uid", "value": approval.uid()});
    let patch = serde_json::from_value(json!([is_it, change]));
    let patch = patch.map_err(|error| Unusable::because(error.to_string()))?;
    let patch = Patch::Json::<()>(patch);
    let name = approval.name_any();
    let patched = of(cluster)
        .patch(&name, &PatchParams::default(), &patch)
        .await;
    patched.map(|_| ()).map_err(|error| failed(&error))
}

/// What becomes of it: its last word, or where it stands when the time is over.
async fn wait_for(
    cluster: &Cluster,
    approval: &McpApproval,
    limit: Duration,
) -> Result<McpApproval, Unusable> {
    let until = Instant::now() + limit;
    loop {
        let now = get(cluster, &approval.name_any()).await?;
        if now.uid() != approval.uid() {
            return Err(Unusable::refused(
                "the approval was deleted, which denies it",
            ));
        }
        let is_open = matches!(
            state(&now),
            ApprovalState::Pending | ApprovalState::Executing
        );
        if !is_open || Instant::now() >= until {
            return Ok(now);
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn word(verdict: ApprovalVerdict) -> &'static str {
    match verdict {
        ApprovalVerdict::Approve => "yes",
        ApprovalVerdict::Deny => "no",
    }
}
