//! Conditions in the kstatus convention: `Ready` true when all is as declared,
//! `Reconciling` and `Stalled` present only while they are true.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use tenantry_core::reason::Reason;

/// The condition that users and tools wait for.
pub const READY: &str = "Ready";
/// Work is in progress.
pub const RECONCILING: &str = "Reconciling";
/// No progress without somebody's help.
pub const STALLED: &str = "Stalled";
/// The server has answered its readiness probe.
pub const SERVER_AVAILABLE: &str = "ServerAvailable";
/// Every connector's credentials are there.
pub const CREDENTIALS_READY: &str = "CredentialsReady";

/// The way in from outside the cluster leads to the server.
pub const EXPOSED: &str = "Exposed";

/// What a condition says, before it is dated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// One of the condition types above.
    pub type_: &'static str,
    /// True or false.
    pub holds: bool,
    /// The word.
    pub reason: Reason,
    /// The sentence, with the remedy where there is one.
    pub message: String,
}

impl Finding {
    /// A finding.
    pub fn new(
        type_: &'static str,
        holds: bool,
        reason: Reason,
        message: impl Into<String>,
    ) -> Self {
        Self {
            type_,
            holds,
            reason,
            message: message.into(),
        }
    }
}

/// The conditions for `findings`; one that says what it said before keeps its
/// time of transition.
pub fn conditions(
    findings: &[Finding],
    before: &[Condition],
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    let dated = |finding: &Finding| {
        let status = if finding.holds { "True" } else { "False" };
        let last_transition_time = before
            .iter()
            .find(|old| old.type_ == finding.type_ && old.status == status)
            .map_or(Time(now), |old| old.last_transition_time.clone());
        Condition {
            type_: finding.type_.into(),
            status: status.into(),
            reason: finding.reason.as_str().into(),
            message: finding.message.clone(),
            observed_generation: generation,
            last_transition_time,
        }
    };
    findings.iter().map(dated).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_keeps_its_time_until_its_status_changes() {
        let earlier: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let now: Timestamp = "2026-01-02T00:00:00Z".parse().unwrap();
        let down = [Finding::new(
            READY,
            false,
            Reason::ServerStarting,
            "starting",
        )];
        let before = conditions(&down, &[], Some(1), earlier);
        let still = [Finding::new(
            READY,
            false,
            Reason::ContractPending,
            "pending",
        )];
        let after = conditions(&still, &before, Some(2), now);
        assert_eq!(after[0].last_transition_time, Time(earlier));
        assert_eq!(after[0].reason, "ContractPending");
        let up = [Finding::new(READY, true, Reason::Serving, "serving")];
        assert_eq!(
            conditions(&up, &before, Some(2), now)[0].last_transition_time,
            Time(now)
        );
    }
}
