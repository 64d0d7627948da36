//! Changes that are not known yet, as tasks of MCP (the extension
//! `io.modelcontextprotocol/tasks`, SEP-2663). The id of a task is that of its
//! change, and it is kept where the change is.

use std::time::Duration;

use rmcp::ErrorData;
use rmcp::model::{
    CreateTaskResult, DetailedTask, GetTaskResult, MetaObject, Task, TaskPayload, TaskStatus,
};
use serde_json::{Map, Value};
use tenantry_core::answer::{Envelope, Status};
use tenantry_core::reason::Reason;

use super::{error, result};
use crate::counter::Counter;
use crate::pipeline::task::{Times, times};
use crate::pipeline::{self, Ended};

/// The member of `_meta` that holds the envelope while there is no result.
const ANSWER: &str = "dev.tenantry/answer";

/// How often to ask: people take minutes, a vendor takes seconds.
const AFTER_PEOPLE: Duration = Duration::from_secs(10);
const AFTER_A_VENDOR: Duration = Duration::from_secs(3);

/// The task of a call that is answered later; nothing where its answer is final,
/// or speaks of somebody else's change.
pub(super) async fn begun(counter: &Counter, envelope: &Envelope) -> Option<CreateTaskResult> {
    if !matches!(envelope.status, Status::PendingApproval | Status::Settling) {
        return None;
    }
    let id = envelope.change.as_ref()?.change_id.as_deref()?;
    let task = task(id, times(counter, id).await?, envelope);
    Some(CreateTaskResult::new(task).with_meta(meta(envelope)))
}

/// Where a task stands, by the answer that its call would get now.
pub(super) async fn standing(
    counter: &Counter,
    call_id: &str,
    ended: Ended,
) -> Result<GetTaskResult, ErrorData> {
    if let Err(stopped) = &ended
        && stopped.change.is_none()
    {
        return Err(error(&stopped.refusal, call_id));
    }
    let envelope = pipeline::respond(call_id, ended);
    let change = envelope.change.as_ref();
    let id = change.and_then(|change| change.change_id.clone());
    let id = id.unwrap_or_default();
    let times = times(counter, &id).await;
    let times = times.ok_or_else(|| ErrorData::internal_error("the ledger is away", None))?;
    let task = task(&id, times, &envelope);
    let meta = meta(&envelope);
    let (payload, is_open) = match task.status {
        TaskStatus::Working => (TaskPayload::Working, true),
        TaskStatus::Cancelled => (TaskPayload::Cancelled, true),
        _ => {
            let result = fields(result(envelope));
            (TaskPayload::Completed { result }, false)
        }
    };
    let mut told = GetTaskResult::new(DetailedTask::new(task, payload));
    told.meta = is_open.then_some(meta);
    Ok(told)
}

fn task(id: &str, times: Times, envelope: &Envelope) -> Task {
    let Times {
        created_at,
        updated_at,
        kept_for,
    } = times;
    let (created_at, updated_at) = (created_at.to_string(), updated_at.to_string());
    let task = Task::new(id, status(envelope), created_at, updated_at)
        .with_ttl_ms(milliseconds(kept_for))
        .with_poll_interval_ms(milliseconds(pause(envelope.status)));
    match &envelope.message {
        Some(message) => task.with_status_message(message.clone()),
        None => task,
    }
}

/// What people have to find out is not known yet either.
fn status(envelope: &Envelope) -> TaskStatus {
    match envelope.status {
        Status::PendingApproval | Status::InProgress | Status::Settling | Status::NeedsHuman => {
            TaskStatus::Working
        }
        _ if envelope.reason == Some(Reason::ApprovalWithdrawn) => TaskStatus::Cancelled,
        Status::Done | Status::Unchanged | Status::Refused | Status::Failed => {
            TaskStatus::Completed
        }
    }
}

fn pause(status: Status) -> Duration {
    match status {
        Status::PendingApproval | Status::NeedsHuman => AFTER_PEOPLE,
        _ => AFTER_A_VENDOR,
    }
}

fn meta(envelope: &Envelope) -> MetaObject {
    let answer = serde_json::to_value(envelope).unwrap_or_default();
    let mut meta = MetaObject::default();
    meta.insert(ANSWER.into(), answer);
    meta
}

fn fields(result: impl serde::Serialize) -> Map<String, Value> {
    match serde_json::to_value(result) {
        Ok(Value::Object(fields)) => fields,
        // INVARIANT: a tool result is a JSON object.
        Ok(_) | Err(_) => Map::new(),
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
