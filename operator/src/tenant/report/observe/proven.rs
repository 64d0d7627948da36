//! What is proven and not assumed: the walls of the network, and the admission
//! policies. Pure.

use tenantry_api::condition::{Finding, GUARDED, ISOLATED};
use tenantry_api::mcp_server::{Isolation, IsolationReport, ReplicaReport};
use tenantry_core::reason::Reason;

use crate::guard::Standing;

/// Whether the network keeps the server apart, as it found itself.
pub fn isolated(report: Option<&ReplicaReport>) -> Finding {
    let Some(IsolationReport { state, message }) =
        report.and_then(|report| report.isolation.as_ref())
    else {
        let message = "no server has tried its walls yet";
        return Finding::unknown(ISOLATED, Reason::NotProbed, message);
    };
    match state {
        Isolation::Proven => Finding::new(ISOLATED, true, Reason::ProbeDropped, message),
        Isolation::Open => {
            let reason = Reason::NetworkPolicyNotEnforced;
            let message = format!(
                "{message}: nobody enforces it, so organisations can reach each other; {}",
                reason.remedy()
            );
            Finding::new(ISOLATED, false, reason, message)
        }
        Isolation::Unknown => Finding::unknown(ISOLATED, Reason::NotProbed, message),
    }
}

/// Whether the admission policies are in force, as the operator found.
pub fn guarded(guard: Option<&Standing>) -> Finding {
    match guard {
        Some(Standing::Proven) => Finding::new(
            GUARDED,
            true,
            Reason::GuardProven,
            "the admission policies refused a forged pod and a forged approval",
        ),
        Some(Standing::Open) => {
            let reason = Reason::GuardOpen;
            let message = format!(
                "the admission policies let a forged pod or approval through; {}",
                reason.remedy()
            );
            Finding::new(GUARDED, false, reason, message)
        }
        Some(Standing::Unknown { why }) => Finding::unknown(GUARDED, Reason::GuardUnknown, why),
        None => Finding::unknown(GUARDED, Reason::GuardUnknown, "it was not tried yet"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tenantry_api::condition::Truth;

    use super::*;

    fn report(isolation: Option<(Isolation, &str)>) -> ReplicaReport {
        let report = json!({"pod": "server-0", "podUid": "1", "serving": true});
        let mut report: ReplicaReport = serde_json::from_value(report).unwrap();
        report.isolation = isolation.map(|(state, message)| IsolationReport {
            state,
            message: message.into(),
        });
        report
    }

    fn told(finding: &Finding) -> (Truth, Reason, &str) {
        (finding.status, finding.reason, &finding.message)
    }

    #[test]
    fn walls_stand_when_the_server_has_run_against_them() {
        let found = isolated(Some(&report(Some((
            Isolation::Proven,
            "it cannot be reached",
        )))));
        let expected = (Truth::True, Reason::ProbeDropped, "it cannot be reached");
        assert_eq!(told(&found), expected);
    }

    #[test]
    fn a_network_that_enforces_nothing_is_told_with_its_remedy() {
        let found = isolated(Some(&report(Some((
            Isolation::Open,
            "`canary:1` answered",
        )))));
        let expected = (
            Truth::False,
            Reason::NetworkPolicyNotEnforced,
            "`canary:1` answered: nobody enforces it, so organisations can reach each other; install a network plugin that enforces NetworkPolicy, such as Cilium or Calico",
        );
        assert_eq!(told(&found), expected);
    }

    #[test]
    fn what_nobody_has_tried_is_not_known() {
        let unclear = report(Some((Isolation::Unknown, "no such name")));
        for (report, message) in [
            (None, "no server has tried its walls yet"),
            (Some(report(None)), "no server has tried its walls yet"),
            (Some(unclear), "no such name"),
        ] {
            let found = isolated(report.as_ref());
            assert_eq!(told(&found), (Truth::Unknown, Reason::NotProbed, message));
        }
    }

    #[test]
    fn policies_are_in_force_only_when_they_have_refused() {
        let why = Standing::Unknown { why: "away".into() };
        for (standing, status, reason) in [
            (Some(Standing::Proven), Truth::True, Reason::GuardProven),
            (Some(Standing::Open), Truth::False, Reason::GuardOpen),
            (Some(why), Truth::Unknown, Reason::GuardUnknown),
            (None, Truth::Unknown, Reason::GuardUnknown),
        ] {
            let found = guarded(standing.as_ref());
            assert_eq!((found.status, found.reason), (status, reason));
        }
    }
}
