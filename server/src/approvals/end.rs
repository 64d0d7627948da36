//! How a question ends: what its key is answered with, and what its object
//! says. Pure.

use std::borrow::Cow;

use tenantry_api::mcp_approval::ApprovalState;
use tenantry_core::audit::Stage;
use tenantry_core::reason::{Reason, Refusal};
use tenantry_ledger::approval::End;
use tenantry_ledger::change::{ChangeId, Progress};

use crate::pipeline::Stopped;
use crate::pipeline::change::told::{named, stored};

/// Why something ends that people agreed to in time.
pub const TOO_LATE: &str = "something was in its way until its time was over";

/// What an object says that asks people what became of a change.
pub const UNDECIDED: &str = "people must find out what became of the change";

/// What the key is answered with from now on.
pub fn answer(change: &ChangeId, end: End, why: &str) -> String {
    let reason = match end {
        End::Denied => Reason::ApprovalDenied,
        End::Expired => Reason::ApprovalExpired,
        End::Withdrawn => Reason::ApprovalWithdrawn,
        End::Superseded => Reason::ChangeSuperseded,
        End::Stale => Reason::ChangeStale,
        End::Refused => Reason::PolicyDenied,
        End::Unavailable => Reason::ApprovalUnavailable,
    };
    let message = format!("the change was not made: {why}");
    let stopped = Stopped::refused(Stage::Decide, Refusal::new(reason, message));
    stored("", &Err(stopped.of_change(named(change))))
}

/// What an object says of a change that stands there.
pub fn standing(progress: Progress, ended: Option<End>) -> (ApprovalState, &'static str) {
    match (ended, progress) {
        (Some(End::Denied), _) => (ApprovalState::Denied, "the change was not made"),
        (Some(End::Expired), _) => (
            ApprovalState::Expired,
            "its time is over: too few agreed, or something was in its way",
        ),
        (Some(End::Withdrawn), _) => (ApprovalState::Withdrawn, "who asked took it back"),
        (Some(End::Superseded), _) => (
            ApprovalState::Superseded,
            "a newer request about the same object took its place",
        ),
        (Some(End::Stale), _) => (
            ApprovalState::Stale,
            "what people agreed to is no longer so; it was not made",
        ),
        (Some(End::Refused), _) => (
            ApprovalState::Refused,
            "a limit denies it by now, or who asked may not ask any more",
        ),
        (Some(End::Unavailable), _) => (
            ApprovalState::Refused,
            "people could not be shown all of it",
        ),
        (None, Progress::Pending) => (ApprovalState::Pending, "people must agree"),
        (None, Progress::Applied) => (ApprovalState::Applied, "the change was made"),
        (None, Progress::NotApplied) => (
            ApprovalState::Failed,
            "the change was not made; see the audit record",
        ),
        (None, Progress::NeedsHuman) => (ApprovalState::NeedsHuman, UNDECIDED),
        (
            None,
            Progress::Claimed
            | Progress::Executing
            | Progress::Reserved
            | Progress::Sending
            | Progress::Unknown,
        ) => (ApprovalState::Executing, "people agreed; it is on its way"),
    }
}

/// What an object says of a batch that stands there, by how far its changes have
/// come: once they were sent, each goes its own way.
pub fn of_batch(progress: Progress, items: &[Progress]) -> (ApprovalState, Cow<'static, str>) {
    let is_sent = matches!(
        progress,
        Progress::Sending | Progress::Applied | Progress::NotApplied
    );
    let made = items.iter().filter(|item| **item == Progress::Applied);
    let (made, all) = (made.count(), items.len());
    if is_sent && items.contains(&Progress::NeedsHuman) {
        let (state, message) = standing(Progress::NeedsHuman, None);
        return (state, message.into());
    }
    let is_mixed = progress.is_final() && made > 0 && made < all;
    if is_mixed {
        let message = format!("{made} of {all} changes were made; see the audit record");
        return (ApprovalState::Failed, message.into());
    }
    let (state, message) = standing(progress, None);
    (state, message.into())
}

/// What an object says that asks people what became of a change that stands
/// there.
pub fn found(progress: Progress) -> (ApprovalState, &'static str) {
    match progress {
        Progress::NeedsHuman => (ApprovalState::Pending, UNDECIDED),
        other => standing(other, None),
    }
}

/// Whether nothing follows.
pub fn is_final(state: ApprovalState) -> bool {
    !matches!(
        state,
        ApprovalState::Pending | ApprovalState::Executing | ApprovalState::NeedsHuman
    )
}
