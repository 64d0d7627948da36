//! Whether this replica takes calls, and if not, why. Readiness probe, report
//! and metric all say what stands here.

use std::time::Instant;

use serde::Serialize;
use tenantry_core::reason::Reason;

use crate::counter::Counter;
use crate::in_force::TakeUpError;
use tenantry_core::cause::chain;

/// One thing that is in the way of all that was declared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Obstacle {
    /// The word.
    pub reason: Reason,
    /// The sentence.
    pub message: String,
    /// Whether no call is answered because of it. What stands in the way of a
    /// change alone must not take reads away as well.
    #[serde(skip)]
    pub is_blocking: bool,
}

/// Everything that is in the way, what blocks calls first.
pub fn obstacles(counter: &Counter, is_listening: bool, now: Instant) -> Vec<Obstacle> {
    let standing = counter.standing();
    // While a good contract is in force, a newer one that was refused takes no
    // reads away.
    let (contract, newer) = match (&standing.refused, &standing.in_force) {
        (Some(error), None) => (Some(refused(error)), None),
        (Some(error), Some(_)) => (None, Some(refused(error))),
        (None, None) => {
            let pending = (Reason::ContractPending, "there is no contract yet".into());
            (Some(pending), None)
        }
        (None, Some(_)) => (None, None),
    };
    let flaw = counter.knowledge.flaw();
    let flaw = flaw.map(|flaw| (Reason::SpecInvalid, flaw));
    let failed = counter.book.failed.duties().into_iter().next();
    let failed = failed.map(|duty| {
        let message = format!(
            "what is done for the ledger failed and begins anew: {}",
            duty.as_str()
        );
        (Reason::InternalFault, message)
    });
    let told = |holds: bool, reason, message: &str| holds.then(|| (reason, message.to_owned()));
    let all = [
        told(
            counter.is_stopping(),
            Reason::ServerStopping,
            "the server is shutting down",
        ),
        contract,
        told(
            counter.knowledge.key_count().is_none(),
            Reason::ServerStarting,
            "the keys have not been read yet",
        ),
        told(
            counter.knowledge.freezes_now().is_none(),
            Reason::ServerStarting,
            "the freezes have not been read yet",
        ),
        told(
            counter.is_stale(now),
            Reason::ControlPlaneStale,
            "no word from the control plane for too long",
        ),
        told(
            counter.audit.is_stalled(),
            Reason::AuditUnavailable,
            "the audit stream does not take lines",
        ),
        told(
            !is_listening,
            Reason::ServerStarting,
            "the MCP port is not open yet",
        ),
    ];
    let obstacle = |is_blocking| {
        move |(reason, message)| Obstacle {
            reason,
            message,
            is_blocking,
        }
    };
    let blocking = all.into_iter().flatten().map(obstacle(true));
    let others = [newer, flaw, failed]
        .into_iter()
        .flatten()
        .map(obstacle(false));
    blocking.chain(others).collect()
}

fn refused(error: &TakeUpError) -> (Reason, String) {
    let reason = match error {
        TakeUpError::Unreadable(_) => Reason::ContractUnreadable,
        _ => Reason::SpecInvalid,
    };
    (reason, chain(error))
}
