//! What somebody says of a change that waits, or of one that nobody else can
//! tell: in their own name, of that very object, once.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::ResourceExt as _;
use kube::api::Patch;
use serde_json::{Value, json};
use tenantry_api::mcp_approval::{
    ApprovalDecision, ApprovalQuestion, ApprovalRequest, ApprovalState, ApprovalVerdict,
    McpApproval,
};

use super::approvals::{get, of, state, word};
use super::{Cluster, cell, tenant};
use crate::answer::{self, Answer, Unusable};
use crate::cli::approvals::{Decision, Withdraw};

/// For a server to take back what was asked.
const SOON: Duration = Duration::from_secs(15);

/// Between two looks at where it stands.
const LOOK: Duration = Duration::from_millis(250);

/// Says yes or no.
pub async fn decide(
    cluster: &Cluster,
    asked: &Decision,
    verdict: ApprovalVerdict,
) -> Result<Answer, Unusable> {
    let approval = get(cluster, &asked.name).await?;
    let approval = match verdict {
        // A brake that needs no more than is seen.
        ApprovalVerdict::Deny => approval.form,
        _ => approval.whole()?,
    };
    let me = cluster.me().await?;
    let request = &approval.spec.request;
    is_asked(cluster, &approval, verdict)?;
    let (name, summary) = (&asked.name, cell(&request.summary));
    let before = approval.spec.decisions.iter().find(|one| one.by == me);
    match before {
        Some(before) => has_said(before, asked, verdict, request)?,
        None => say(cluster, &approval, asked, verdict, &me).await?,
    }
    let word = word(verdict);
    let told = match before {
        Some(_) => format!(
            "{name}: `{me}` had said {word} before to: {summary}; it is {:?}\n",
            state(&approval)
        ),
        None => format!("{name}: `{me}` says {word} to: {summary}\n"),
    };
    let Some(wait) = asked.wait else {
        return Ok(Answer::good(told));
    };
    // Whatever comes of waiting, this is done. Who closed the pipe has read enough.
    let _ = answer::tell(&told);
    let (stands, message) = wait_for(cluster, &approval, Duration::from_secs(wait)).await?;
    let text = format!("{name}: {stands:?}{message}\n");
    let is_good = match verdict {
        ApprovalVerdict::Approve | ApprovalVerdict::Applied => stands == ApprovalState::Applied,
        ApprovalVerdict::Deny => stands == ApprovalState::Denied,
        ApprovalVerdict::NotApplied => stands == ApprovalState::Failed,
    };
    Ok(Answer {
        is_good,
        ..Answer::good(text)
    })
}

/// Whether that is an answer to what is asked.
fn is_asked(
    cluster: &Cluster,
    approval: &McpApproval,
    verdict: ApprovalVerdict,
) -> Result<(), Unusable> {
    let is_finding = matches!(
        verdict,
        ApprovalVerdict::Applied | ApprovalVerdict::NotApplied
    );
    let asks = approval.spec.request.asks;
    let name = approval.name_any();
    let again = |words: &str| cluster.again(&format!("{words} {name}"));
    match (asks, is_finding) {
        (ApprovalQuestion::Change, false) | (ApprovalQuestion::Outcome, true) => Ok(()),
        (ApprovalQuestion::Change, true) => Err(Unusable::refused(format!(
            "{name} asks whether a change may be made: {}, or {}",
            again("approve"),
            again("deny")
        ))),
        (ApprovalQuestion::Outcome, false) => Err(Unusable::refused(format!(
            "{name} asks what became of a change that was sent: look at the vendor, then {resolve} --applied, or {resolve} --not-applied",
            resolve = again("resolve")
        ))),
    }
}

/// Whether somebody who speaks once has said just that.
fn has_said(
    before: &ApprovalDecision,
    asked: &Decision,
    verdict: ApprovalVerdict,
    request: &ApprovalRequest,
) -> Result<(), Unusable> {
    let spoken_for = |class: &String| {
        let classes = before.classes.as_ref();
        classes.is_none_or(|classes| classes.contains(class))
    };
    let classes = if asked.classes.is_empty() {
        &request.approver_classes
    } else {
        &asked.classes
    };
    if before.verdict == verdict && classes.iter().all(spoken_for) {
        return Ok(());
    }
    let of = before.classes.as_ref();
    let of = of.map_or_else(String::new, |of| format!(" for {}", of.join(" and ")));
    Err(Unusable::refused(format!(
        "`{}` has said {}{of}, and a decision stays as it was made; somebody else can decide for the rest",
        cell(&before.by),
        word(before.verdict)
    )))
}

async fn say(
    cluster: &Cluster,
    approval: &McpApproval,
    asked: &Decision,
    verdict: ApprovalVerdict,
    me: &str,
) -> Result<(), Unusable> {
    if verdict != ApprovalVerdict::Deny {
        let expires_at = approval.spec.request.expires_at.0;
        if expires_at <= Timestamp::now() {
            return Err(Unusable::refused(format!(
                "its time was over at {expires_at}: let the agent ask anew"
            )));
        }
        tenant::is_guarded(cluster).await?;
    }
    let mut decision = json!({"by": me, "verdict": format!("{verdict:?}")});
    if !asked.classes.is_empty() {
        decision["classes"] = json!(asked.classes);
    }
    if let Some(comment) = &asked.comment {
        decision["comment"] = json!(comment);
    }
    let add = json!({"op": "add", "path": "/spec/decisions/-", "value": decision});
    patch(cluster, approval, &add).await
}

/// Takes back what somebody has asked for.
pub async fn withdraw(cluster: &Cluster, asked: &Withdraw) -> Result<Answer, Unusable> {
    let approval = get(cluster, &asked.name).await?.form;
    let take = json!({"op": "add", "path": "/spec/withdrawn", "value": true});
    patch(cluster, &approval, &take).await?;
    let summary = cell(&approval.spec.request.summary);
    let told = format!("{}: withdrawn: {summary}\n", asked.name);
    let _ = answer::tell(&told);
    let (stands, message) = wait_for(cluster, &approval, SOON).await?;
    Ok(Answer {
        is_good: stands == ApprovalState::Withdrawn,
        ..Answer::good(format!("{}: {stands:?}{message}\n", asked.name))
    })
}

/// Changes that very object, and no other of its name.
async fn patch(cluster: &Cluster, approval: &McpApproval, change: &Value) -> Result<(), Unusable> {
    let is_it = json!({"op": "test", "path": "/metadata/uid", "value": approval.uid()});
    let patch = serde_json::from_value(json!([is_it, change]));
    let patch = patch.map_err(|error| Unusable::because(error.to_string()))?;
    let patch = Patch::Json::<()>(patch);
    of(cluster).patch(&approval.name_any(), &patch).await
}

/// What becomes of it, and why. A cluster that does not answer for a moment is
/// asked again.
async fn wait_for(
    cluster: &Cluster,
    approval: &McpApproval,
    limit: Duration,
) -> Result<(ApprovalState, String), Unusable> {
    let until = Instant::now() + limit;
    loop {
        let seen = match of(cluster).find(&approval.name_any()).await {
            Ok(Some(now)) if now.uid() == approval.uid() => {
                let message = now
                    .status
                    .as_ref()
                    .and_then(|status| status.message.as_deref());
                let message = message.map_or_else(String::new, |text| format!(": {}", cell(text)));
                Ok((state(&now), message))
            }
            Ok(_) => {
                let message = ": the approval was deleted, which denies it".to_owned();
                return Ok((ApprovalState::Denied, message));
            }
            Err(error) => Err(error),
        };
        match seen {
            Ok((ApprovalState::Pending | ApprovalState::Executing, _)) | Err(_)
                if Instant::now() < until => {}
            Ok((open @ (ApprovalState::Pending | ApprovalState::Executing), _)) => {
                return Err(Unusable::because(format!(
                    "it is {open:?} after {} s; `{}` says what becomes of it",
                    limit.as_secs(),
                    cluster.again(&format!("show {}", approval.name_any()))
                )));
            }
            other => return other,
        }
        tokio::time::sleep(LOOK).await;
    }
}
