//! What waits for people, in a table and one by one.

use std::fmt::Write as _;

use jiff::Timestamp;
use kube::ResourceExt as _;
use tenantry_api::mcp_approval::{
    ApprovalDecision, ApprovalQuestion, ApprovalRequest, ApprovalState, ApprovalVerdict,
    McpApproval, Requester,
};
use tenantry_core::text;

use super::kind::{Kind, Known};
use super::{Cluster, Output, away, cell, for_programs};
use crate::answer::{Answer, Unusable};
use crate::cli::approvals::{ListApprovals, ShowApproval};
use crate::columns::aligned;
use crate::tone;

/// Eight kilobytes at most, in which every character may have to be written out.
const LONGEST_ARGUMENTS: usize = 1 << 17;

/// 1024 at most, in which the same holds.
const LONGEST_MESSAGE: usize = 1 << 14;

/// Lists what waits.
pub async fn list(
    cluster: &Cluster,
    asked: &ListApprovals,
    now: Timestamp,
) -> Result<Answer, Unusable> {
    let approvals = if asked.all_namespaces {
        Kind::everywhere(cluster)
    } else {
        of(cluster)
    };
    let mut found = approvals.all().await?;
    if !asked.all {
        found.retain(|approval| is_open(state(approval)));
    }
    found.sort_by_key(|approval| approval.spec.request.expires_at.0);
    if let Some(text) = for_programs(&found, asked.output) {
        return Ok(Answer::good(text?));
    }
    if found.is_empty() {
        let place = if asked.all_namespaces {
            "the cluster".to_owned()
        } else {
            format!("the namespace `{}`", cluster.namespace)
        };
        let what = if asked.all {
            "no approvals"
        } else {
            "nothing that waits for people"
        };
        return Ok(Answer::good("").noting(format!("there is {what} in {place}")));
    }
    Ok(Answer::good(table(&found, asked.output, now)))
}

fn table(found: &[McpApproval], output: Output, now: Timestamp) -> String {
    let is_wide = output == Output::Wide;
    let head = [
        "NAMESPACE",
        "NAME",
        "CHANGE",
        "ACCOUNT",
        "REQUESTER",
        "NEEDS",
        "STATE",
        "EXPIRES",
    ];
    let rows = found.iter().map(|approval| {
        let request = &approval.spec.request;
        let expires = if is_wide {
            request.expires_at.0.to_string()
        } else {
            away(&request.expires_at, now)
        };
        [
            approval.namespace().unwrap_or_default(),
            approval.name_any(),
            cell(&request.summary),
            request.account.clone(),
            cell(&request.requested_by.owner),
            needs(request),
            tone::state(&format!("{:?}", state(approval))),
            expires,
        ]
    });
    let lines: Vec<_> = std::iter::once(head.map(str::to_owned))
        .chain(rows)
        .collect();
    aligned(&lines)
}

/// Shows all of one.
pub async fn show(
    cluster: &Cluster,
    asked: &ShowApproval,
    now: Timestamp,
) -> Result<Answer, Unusable> {
    let approval = get(cluster, &asked.name).await?.form;
    if let Some(text) = for_programs(&approval, asked.output) {
        return Ok(Answer::good(text?));
    }
    let mut lines = head(&approval, now);
    lines.extend(body(&approval, now));
    let mut text = aligned(&lines);
    let name = approval.name_any();
    let is_open = state(&approval) == ApprovalState::Pending;
    if is_open && approval.spec.request.asks == ApprovalQuestion::Outcome {
        let resolve = cluster.again(&format!("resolve {name}"));
        let _ = writeln!(
            text,
            "\nlook at the object at the vendor, then: {resolve} --applied, or {resolve} --not-applied"
        );
    } else if is_open {
        let approve = cluster.again(&format!("approve {name}"));
        let deny = cluster.again(&format!("deny {name}"));
        // Writing to a text cannot fail.
        let _ = writeln!(text, "\nto decide: {approve}, or {deny} --comment WHY");
    }
    Ok(Answer::good(text))
}

/// The approval of that name.
pub async fn get(cluster: &Cluster, name: &str) -> Result<Known<McpApproval>, Unusable> {
    let found = of(cluster).known(name).await?;
    found.ok_or_else(|| {
        let namespace = &cluster.namespace;
        Unusable::refused(format!(
            "there is no approval `{name}` in the namespace `{namespace}`; `{}` lists those that wait",
            cluster.again("approvals")
        ))
    })
}

/// The approvals of the namespace.
pub fn of(cluster: &Cluster) -> Kind<McpApproval> {
    Kind::here(cluster)
}

/// Where it stands; a new one waits.
pub fn state(approval: &McpApproval) -> ApprovalState {
    let status = approval.status.as_ref();
    status
        .and_then(|status| status.state)
        .unwrap_or(ApprovalState::Pending)
}

/// Whether it is not known yet what becomes of it.
pub fn is_open(state: ApprovalState) -> bool {
    matches!(
        state,
        ApprovalState::Pending | ApprovalState::Executing | ApprovalState::NeedsHuman
    )
}

fn head(approval: &McpApproval, now: Timestamp) -> Vec<[String; 2]> {
    let request = &approval.spec.request;
    let status = approval.status.as_ref();
    let message = status.and_then(|status| status.message.as_deref());
    let message = message.map_or_else(String::new, |message| format!(": {}", cell(message)));
    let mut lines = vec![
        line("Approval", approval.name_any()),
        line(
            "State",
            format!(
                "{}{message}",
                tone::state(&format!("{:?}", state(approval)))
            ),
        ),
        line("Change", cell(&request.summary)),
        line(
            "Tool",
            format!(
                "{} of {}, account {}",
                request.tool, request.connector, request.account
            ),
        ),
    ];
    for (number, setting) in request.settings.iter().enumerate() {
        let side = |side: &Option<String>| side.as_deref().map_or_else(|| "nothing".into(), quoted);
        let text = format!(
            "{}: {} to {}",
            setting.name,
            side(&setting.before),
            side(&setting.after)
        );
        lines.push(line(if number == 0 { "Settings" } else { "" }, text));
    }
    for (number, item) in request.items.iter().enumerate() {
        let name = if number == 0 { "Changes" } else { "" };
        lines.push(line(name, cell(&item.summary)));
    }
    if let Some(delta) = &request.delta {
        let amount = |amount: &Option<String>, what: &str| {
            let amount = amount.as_ref()?;
            Some(format!("{amount} {} {what}", delta.currency))
        };
        let parts = [
            amount(&delta.daily, "a day"),
            amount(&delta.lifetime, "over its lifetime"),
        ];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        lines.push(line("More to spend", parts.join(", ")));
    }
    if let Some(undone) = &request.undoes {
        lines.push(line("Takes back", format!("change {undone}")));
    }
    lines.push(line("Asked by", asker(&request.requested_by)));
    lines.push(line(
        "Asked",
        format!(
            "{}; expires {} ({})",
            request.asked_at.0,
            request.expires_at.0,
            away(&request.expires_at, now)
        ),
    ));
    lines
}

fn body(approval: &McpApproval, now: Timestamp) -> Vec<[String; 2]> {
    let request = &approval.spec.request;
    let mut lines = Vec::new();
    for (number, rule) in request.rules.iter().enumerate() {
        let message = text::presentable(&rule.message, LONGEST_MESSAGE);
        let text = format!("{message} ({}/{})", cell(&rule.policy), cell(&rule.rule));
        lines.push(line(if number == 0 { "Because" } else { "" }, text));
    }
    lines.push(line("Needs", needs(request)));
    for (number, decision) in approval.spec.decisions.iter().enumerate() {
        lines.push(line(if number == 0 { "Said" } else { "" }, said(decision)));
    }
    if approval.spec.withdrawn {
        lines.push(line("Withdrawn", "by who asked".into()));
    }
    if let Some(at) = approval
        .status
        .as_ref()
        .and_then(|status| status.changed_at.as_ref())
    {
        lines.push(line("Since", format!("{} ({})", at.0, away(at, now))));
    }
    // Who is not shown everything does not decide.
    let arguments = text::presentable(&request.arguments, LONGEST_ARGUMENTS);
    lines.push(line("Arguments", arguments));
    if let Some(object) = &request.object {
        let name = object
            .name
            .as_deref()
            .map_or_else(String::new, |name| format!(" {}", quoted(name)));
        lines.push(line(
            "Object",
            format!("{} {}{name}", object.kind, object.id),
        ));
    }
    lines.push(line("Change id", request.change_id.clone()));
    for (number, item) in request.items.iter().enumerate() {
        let name = if number == 0 { "Of each" } else { "" };
        lines.push(line(name, item.change_id.clone()));
    }
    lines.push(line("Policies", request.policy_digest.clone()));
    lines
}

/// Whoever chose a text does not choose where it ends.
fn quoted(chosen: &str) -> String {
    let chosen = cell(chosen).replace('\\', r"\\").replace('"', r#"\""#);
    format!("\"{chosen}\"")
}

fn line(name: &str, text: String) -> [String; 2] {
    [name.to_owned(), text]
}

fn asker(requester: &Requester) -> String {
    let mut text = cell(&requester.owner);
    if let Some(agent) = &requester.agent {
        let _ = write!(text, ", agent {}", cell(agent));
    }
    let _ = write!(text, ", key {}", requester.key);
    match &requester.issued_by {
        Some(issuer) => {
            let _ = write!(text, " made by {}", cell(issuer));
        }
        None => text.push_str(", which does not say who made it"),
    }
    text
}

fn needs(request: &ApprovalRequest) -> String {
    let classes = request.approver_classes.join("+");
    match request.approvers {
        1 => classes,
        several => format!("{classes} ({several} people)"),
    }
}

/// What somebody says, as people say it.
pub fn word(verdict: ApprovalVerdict) -> &'static str {
    match verdict {
        ApprovalVerdict::Approve => "yes",
        ApprovalVerdict::Deny => "no",
        ApprovalVerdict::Applied => "applied",
        ApprovalVerdict::NotApplied => "not applied",
    }
}

fn said(decision: &ApprovalDecision) -> String {
    let word = word(decision.verdict);
    let classes = decision.classes.as_ref();
    let classes = classes.map_or_else(String::new, |classes| format!(" for {}", classes.join("+")));
    let comment = decision.comment.as_ref();
    let comment = comment.map_or_else(String::new, |comment| {
        format!(": {}", text::presentable(comment, LONGEST_MESSAGE))
    });
    format!("{} says {word}{classes}{comment}", cell(&decision.by))
}
