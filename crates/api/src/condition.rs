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
/// The network keeps the server from what it must not reach; proven, not assumed.
pub const ISOLATED: &str = "Isolated";
/// The admission policies keep the operator from what it must not build; proven.
pub const GUARDED: &str = "Guarded";

/// Changes can be recorded, in the ledger that was expected.
pub const LEDGER_HEALTHY: &str = "LedgerHealthy";

/// Every policy that binds the tenant is in force as it is written, and none
/// that it requires is missing.
pub const POLICY_ACCEPTED: &str = "PolicyAccepted";
/// Of a SafetyPolicy: it is in force as it is written.
pub const ACCEPTED: &str = "Accepted";

/// Every destination of notifications can be told something. Nothing else
/// depends on it.
pub const NOTIFICATIONS_READY: &str = "NotificationsReady";

/// The way in from outside the cluster leads to the server.
pub const EXPOSED: &str = "Exposed";

/// What a condition says, before it is dated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// One of the condition types above.
    pub type_: &'static str,
    /// Whether it holds.
    pub status: Truth,
    /// The word.
    pub reason: Reason,
    /// The sentence, with the remedy where there is one.
    pub message: String,
}

/// Whether something holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words are Kubernetes' own")]
pub enum Truth {
    True,
    False,
    Unknown,
}

impl Truth {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
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
            status: if holds { Truth::True } else { Truth::False },
            reason,
            message: message.into(),
        }
    }

    /// That nothing was found.
    pub fn unknown(type_: &'static str, reason: Reason, message: impl Into<String>) -> Self {
        Self {
            status: Truth::Unknown,
            ..Self::new(type_, false, reason, message)
        }
    }

    /// Whether it is known to be so.
    pub fn holds(&self) -> bool {
        self.status == Truth::True
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
        let status = finding.status.as_str();
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
