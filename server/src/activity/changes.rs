//! The changes that the ledger has: what was asked for, how far it has come, what
//! it does to money, and what people were asked.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tenantry_connectors::change::doubt::Doubt;
use tenantry_connectors::change::view::{Moved, Settings, View};
use tenantry_core::access::ToolClass;
use tenantry_core::audit::Arguments;
use tenantry_core::audit::change_record::{ChangeRecord, Target};
use tenantry_core::digest::Digest;
use tenantry_core::name::{AccountId, ConnectorName, Currency, KeyId, ToolName};
use tenantry_core::policy::decide::{Fired, Terms};
use tenantry_core::policy::facts::Proposal;
use tenantry_core::reason::{Reason, Refusal};
use tenantry_ledger::approval::{Approval, End};
use tenantry_ledger::change::{ChangeId, Progress, Recorded};
use tenantry_ledger::inquiry::Inquiry;
use tenantry_ledger::list::{self, Cursor};

use super::{Refused, asked, most, page};
use crate::approvals::form;
use crate::counter::Counter;
use crate::summary;

const EXAMPLE: &str = "GET /v1/changes?progress=pending&limit=20";

/// Which changes are wanted; what is absent excludes nothing.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// Those behind an earlier page, as its `next` says.
    after: Option<String>,
    /// So many.
    limit: Option<u32>,
    progress: Option<String>,
    tool: Option<String>,
    account: Option<String>,
    object: Option<String>,
    /// With what was decided over, for who decides over it once more.
    #[serde(default)]
    proposal: bool,
}

/// A change as a list has it.
#[derive(Serialize)]
struct Entry {
    change_id: ChangeId,
    progress: &'static str,
    /// When it came to that.
    since: Timestamp,
    tool: ToolName,
    #[serde(flatten)]
    subject: Option<Of>,
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<Target>,
    owner: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<String>,
    /// What it does, in a line.
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<String>,
    #[serde(flatten)]
    view: Option<Shown>,
    /// The change that it takes back.
    #[serde(skip_serializing_if = "Option::is_none")]
    undoes: Option<String>,
    /// The batch that it was asked for with.
    #[serde(skip_serializing_if = "Option::is_none")]
    batch: Option<String>,
    /// What was decided over, where it is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    proposal: Option<Proposal>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reserved_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sent_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    applied_at: Option<Timestamp>,
}

#[derive(Serialize)]
struct Of {
    class: ToolClass,
    connector: ConnectorName,
    account: AccountId,
    key: KeyId,
}

#[derive(Serialize)]
struct Shown {
    before: Settings,
    after: Settings,
    delta: Moved,
    currency: Currency,
}

/// A change with all that there is to it.
#[derive(Serialize)]
struct Whole {
    #[serde(flatten)]
    entry: Entry,
    #[serde(skip_serializing_if = "Option::is_none")]
    call_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arguments: Option<Arguments>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy_digest: Option<Digest>,
    /// What the vendor calls its requests.
    vendor_request_ids: Vec<String>,
    /// What people were asked before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    approval: Option<Question>,
    /// What people are asked of its outcome.
    #[serde(skip_serializing_if = "Option::is_none")]
    inquiry: Option<Question>,
}

/// What people were asked, in the McpApproval of that name.
#[derive(Serialize)]
struct Question {
    name: String,
    asked_at: Timestamp,
    approver_classes: BTreeSet<String>,
    approvers: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    /// How it ended, if the change was not made.
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rules: Vec<Asking>,
}

/// A rule that asked.
#[derive(Serialize)]
struct Asking {
    policy: String,
    rule: String,
    message: String,
}

/// A page of changes.
pub(super) async fn list(
    State(counter): State<Arc<Counter>>,
    query: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, Refused> {
    let form = "any of after, limit, progress, tool, account, object and proposal, each once";
    let wanted = asked(query, form, EXAMPLE)?;
    let progress = wanted.progress.as_deref().map(|word| {
        let known = Progress::parse(word);
        known.ok_or_else(|| Refused::bad("that is no progress of a change", EXAMPLE))
    });
    let after = wanted.after.as_deref().map(Cursor::parse).transpose();
    let after = after.map_err(|error| Refused::bad(error.to_string(), EXAMPLE))?;
    let list = list::Wanted {
        progress: progress.transpose()?,
        tool: wanted.tool.as_deref(),
        account: wanted.account.as_deref(),
        object: wanted.object.as_deref(),
        after: after.as_ref(),
    };
    let most = most(wanted.limit);
    let found = counter.book.ledger()?.changes(&list, most).await?;
    let is_full = u32::try_from(found.len()).is_ok_and(|count| count == most);
    let end = found.last().filter(|_| is_full);
    let next = end.map(|end| Cursor::behind(end).to_string());
    let items = found.into_iter().map(|change| {
        let proposal = change.proposal.clone().filter(|_| wanted.proposal);
        Entry {
            proposal,
            ..Entry::of(change)
        }
    });
    Ok(page(items.collect(), next))
}

/// One change.
pub(super) async fn one(
    State(counter): State<Arc<Counter>>,
    Path(id): Path<String>,
) -> Result<Response, Refused> {
    let unknown = || {
        let refusal = Refusal::new(Reason::NotFound, "there is no such change")
            .with_remedy("use an id of GET /v1/changes; a change is kept for 30 days");
        Refused(StatusCode::NOT_FOUND, Box::new(refusal))
    };
    let ledger = counter.book.ledger()?;
    let id = ChangeId::parse(&id).map_err(|_| unknown())?;
    let found = ledger.find(&id).await?.ok_or_else(unknown)?;
    let approval = ledger.approval(found.asked_as()).await?;
    let inquiry = ledger.inquiry(&id).await?;
    Ok(Json(Whole::of(found, approval, inquiry)).into_response())
}

impl Entry {
    fn of(change: Recorded) -> Self {
        let record = ChangeRecord::of_map(&change.record);
        let intent = change.intent.as_ref();
        let view = intent.and_then(|intent| View::deserialize(&intent.before).ok());
        let doubt = intent.and_then(|intent| Doubt::deserialize(&intent.target).ok());
        let object = record.and_then(|record| record.object);
        let known = view.as_ref().zip(doubt.as_ref());
        let summary = known.map(|(view, doubt)| summary::line(object.as_ref(), doubt, view));
        let (is_item, asked_as) = (change.is_item(), change.asked_as().to_string());
        let proposal = change.proposal;
        let undoes = proposal.as_ref().and_then(|it| it.undoes.as_ref());
        Self {
            change_id: change.lease.change,
            progress: change.progress.as_str(),
            since: change.since,
            tool: change.tool,
            undoes: undoes.map(|undoes| undoes.change.clone()),
            batch: is_item.then_some(asked_as),
            subject: proposal.map(|proposal| Of {
                class: proposal.subject.class,
                connector: proposal.subject.connector,
                account: proposal.subject.account,
                key: proposal.subject.key,
            }),
            proposal: None,
            object,
            owner: change.principal.owner,
            agent: change.principal.agent,
            summary,
            view: view.map(|view| Shown {
                before: view.before,
                after: view.after,
                delta: view.delta,
                currency: view.currency,
            }),
            reserved_at: change.reserved_at,
            sent_at: change.sent_at,
            applied_at: change.applied_at,
        }
    }
}

impl Whole {
    fn of(change: Recorded, approval: Option<Approval>, inquiry: Option<Inquiry>) -> Self {
        let record = ChangeRecord::of_map(&change.record);
        let id = &change.lease.change;
        Self {
            approval: approval.map(|approval| Question {
                expires_at: Some(approval.expires_at),
                ended: approval.ended.map(End::as_str),
                rules: approval.fired.iter().map(Asking::of).collect(),
                ..Question::of(&approval.change, approval.asked_at, approval.terms)
            }),
            inquiry: inquiry
                .map(|inquiry| Question::of(id, inquiry.asked_at, Terms::of_all(&inquiry.terms))),
            call_id: record.as_ref().map(|record| record.call_id.clone()),
            arguments: record.as_ref().map(|record| record.arguments.clone()),
            policy_digest: record.as_ref().and_then(|record| record.policy_digest),
            vendor_request_ids: record
                .map(|record| record.vendor_request_ids)
                .unwrap_or_default(),
            entry: Entry::of(change),
        }
    }
}

impl Question {
    fn of(change: &ChangeId, at: Timestamp, terms: Terms) -> Self {
        Self {
            name: form::name(change, at),
            asked_at: at,
            approver_classes: terms.approver_classes,
            approvers: terms.approvers,
            expires_at: None,
            ended: None,
            rules: Vec::new(),
        }
    }
}

impl Asking {
    fn of(fired: &Fired) -> Self {
        Self {
            policy: fired.name.policy.clone(),
            rule: fired.name.rule.clone(),
            message: fired.message.clone(),
        }
    }
}
