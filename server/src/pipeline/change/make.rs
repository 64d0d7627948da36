//! Sending, once, and what became of it. After this the change is settled, or
//! somebody looks after it; it is never sent again.

use jiff::Timestamp;
use serde_json::{Map, Value};
use tenantry_connectors::call_error::CallError;
use tenantry_connectors::change::Made;
use tenantry_core::answer::{ChangeAnswer, Status};
use tenantry_core::audit::Stage;
use tenantry_core::cause::chain;
use tenantry_ledger::settle::Outcome;

use super::prepare::Ready;
use super::told::{stored, value};
use super::{Errand, tell, told};
use crate::crash::{self, Step};
use crate::credentials;
use crate::pipeline::record::Entry;
use crate::pipeline::{Done, Ended, Stopped};

/// Makes the change, and writes down what became of it. `record` is what its
/// lines carry.
pub(super) async fn make(
    errand: &Errand<'_>,
    ready: &Ready<'_>,
    record: Map<String, Value>,
    entry: &mut Entry,
) -> Ended {
    let change = told::of(&ready.prepared, Some(&errand.lease.change));
    entry.sends(&errand.lease.change);
    let work = ready
        .proven
        .corridor
        .make(&ready.prepared, errand.desk.deadline);
    let sent = credentials::counting(entry.vendor_requests(), work).await;
    crash::at(Step::Answered);
    let now = errand.desk.now();
    let record = told::with_requests(record, &sent, &ready.prepared);
    let (mut outcome, ended) = outcome(sent.made, change.clone(), entry.call_id(), now);
    if let (Outcome::NotApplied { why, answer: None }, Err(stopped)) = (&outcome, &ended) {
        let (why, call_id) = (why.clone(), entry.call_id());
        outcome = match errand.kept(call_id, stopped) {
            Some(answer) => Outcome::NotApplied {
                why,
                answer: Some(answer),
            },
            None if record.contains_key("batch") => {
                let answer = told::kept(call_id, &errand.lease.change, stopped.clone());
                Outcome::HeldUp { why, answer }
            }
            None => Outcome::NotApplied { why, answer: None },
        };
    }
    let settled = errand
        .ledger
        .settle_as(errand.lease, &outcome, &record, now);
    let book = &errand.desk.counter.book;
    match settled.await {
        Ok(()) => {
            crash::at(Step::Settled);
            if matches!(outcome, Outcome::Unknown { .. }) {
                book.unsettled.notify_one();
            }
            ended
        }
        Err(error) => {
            tell(
                &error,
                "what became of a change could not be put down; it is looked after",
            );
            book.unsettled.notify_one();
            Err(told::settling(change))
        }
    }
}

/// What the ledger keeps of it, and what the caller hears. Pure.
pub(super) fn outcome(
    made: Made,
    change: ChangeAnswer,
    call_id: &str,
    now: Timestamp,
) -> (Outcome, Ended) {
    match made {
        Made::Applied(found) => {
            let change = ChangeAnswer {
                after: Some(value(&found)),
                ..change
            };
            let after = value(&found);
            let ended = Ok(Done::Changed(Status::Done, Box::new(change)));
            let answer = stored(call_id, &ended);
            let at = now;
            (Outcome::Applied { at, after, answer }, ended)
        }
        Made::NotApplied(error) => {
            tracing::warn!(
                error = chain(&error),
                call_id,
                "the vendor did not make a change"
            );
            let stopped = Stopped::failed(Stage::Send, error.refusal());
            let ended = Err(stopped.of_change(change));
            let answer = is_final(&error).then(|| stored(call_id, &ended));
            let why = error.to_string();
            (Outcome::NotApplied { why, answer }, ended)
        }
        Made::Unknown(error) => {
            tracing::warn!(
                error = chain(&error),
                call_id,
                "nobody knows what became of a change"
            );
            let why = error.to_string();
            (Outcome::Unknown { why }, Err(told::settling(change)))
        }
    }
}

/// Whether the vendor refuses this change for good. After anything else the
/// same key may try again: nothing was changed.
fn is_final(error: &CallError) -> bool {
    matches!(
        error,
        CallError::Rejected { .. } | CallError::NotFound { .. }
    )
}
