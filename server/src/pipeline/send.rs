//! The fifth room: the call to the vendor, through the corridor.

use tenantry_connectors::call_error::CallError;
use tenantry_core::audit::Stage;
use tokio::time::Instant;

use super::own::Proven;
use super::record::Entry;
use super::{Done, Ended, Stopped};
use crate::credentials;
use tenantry_core::cause::chain;

/// Asks the vendor, until `deadline` at most.
pub async fn send(proven: Proven<'_>, deadline: Instant, entry: &mut Entry) -> Ended {
    let Proven {
        permitted,
        corridor,
        subject,
    } = proven;
    let checked = &permitted.checked;
    let tool = checked.found.tool;
    let work = corridor.read(tool, &checked.arguments, subject, deadline);
    let answer = credentials::counting(entry.vendor_requests(), work).await;
    answer
        .map(|answer| Done::Read(answer.data))
        .map_err(|error| {
            log(&error, tool.name.as_str(), entry);
            Stopped::failed(Stage::Send, error.refusal())
        })
}

fn log(error: &CallError, tool: &str, entry: &Entry) {
    tracing::warn!(
        error = chain(&error),
        tool,
        call_id = entry.call_id(),
        trace_id = entry.trace_id(),
        "a call to the vendor failed"
    );
}
