//! Whether the destinations of a tenant's notifications can be told something.
//! Pure.

use tenantry_api::condition::{Finding, NOTIFICATIONS_READY};
use tenantry_api::mcp_server::{DestinationReport, ReplicaReport};
use tenantry_core::reason::Reason;
use tenantry_core::tenant::TenantConfig;

use super::observe::word;

/// What is to say of the destinations of `contract`, if it has some. Nothing
/// waits for it: a channel that hears nothing is no reason to serve nobody.
pub fn finding(contract: &TenantConfig, report: Option<&ReplicaReport>) -> Option<Finding> {
    let destinations = &contract.notifications;
    if destinations.is_empty() {
        return None;
    }
    let unknown =
        |reason, message: String| Some(Finding::unknown(NOTIFICATIONS_READY, reason, message));
    let Some(report) = report else {
        let message = "no server has reported on them yet";
        return unknown(Reason::ServerStarting, message.into());
    };
    let told = |name: &str| report.notifications.iter().find(|one| one.name == name);
    let silent = destinations
        .iter()
        .find(|destination| told(destination.name.as_str()).is_none());
    if let Some(silent) = silent {
        let message = format!("the server has not reported on `{}` yet", silent.name);
        return unknown(Reason::ContractPending, message);
    }
    let deaf: Vec<_> = report
        .notifications
        .iter()
        .filter(|one| !one.ready)
        .collect();
    let Some(first) = deaf.first() else {
        let message = "every destination can be told, as far as is known";
        return Some(Finding::new(
            NOTIFICATIONS_READY,
            true,
            Reason::AsDeclared,
            message,
        ));
    };
    let reason = word(first.reason.as_deref(), Reason::DeliveryFailed);
    let sentences: Vec<_> = deaf.into_iter().map(sentence).collect();
    Some(Finding::new(
        NOTIFICATIONS_READY,
        false,
        reason,
        sentences.join("; "),
    ))
}

fn sentence(destination: &DestinationReport) -> String {
    let reason = word(destination.reason.as_deref(), Reason::DeliveryFailed);
    let message = destination.message.as_deref().unwrap_or(reason.remedy());
    format!("{}: {message}", destination.name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tenant::example;

    fn contract() -> TenantConfig {
        let mut contract = example::valid().contract;
        let told = json!([
            {"name": "ads", "occasions": ["Pending"]},
            {"name": "audit", "occasions": ["Denied"]},
        ]);
        contract.notifications = serde_json::from_value(told).unwrap();
        contract
    }

    fn ready(name: &str) -> DestinationReport {
        DestinationReport {
            name: name.into(),
            ready: true,
            reason: None,
            message: None,
        }
    }

    fn told(contract: &TenantConfig, reports: Option<Vec<DestinationReport>>) -> Option<String> {
        let report = reports.map(|notifications| ReplicaReport {
            notifications,
            ..example::report(&example::valid())
        });
        let Finding {
            status,
            reason,
            message,
            ..
        } = finding(contract, report.as_ref())?;
        Some(format!("{} {reason}: {message}", status.as_str()))
    }

    #[test]
    fn a_tenant_that_tells_nobody_has_nothing_to_say_of_it() {
        assert_eq!(told(&example::valid().contract, Some(vec![])), None);
    }

    #[test]
    fn what_is_not_known_yet_is_not_said_to_be_wrong() {
        let contract = contract();
        assert_eq!(
            told(&contract, None).unwrap(),
            "Unknown ServerStarting: no server has reported on them yet"
        );
        assert_eq!(
            told(&contract, Some(vec![ready("ads")])).unwrap(),
            "Unknown ContractPending: the server has not reported on `audit` yet"
        );
        assert_eq!(
            told(&contract, Some(vec![ready("ads"), ready("audit")])).unwrap(),
            "True AsDeclared: every destination can be told, as far as is known"
        );
    }

    #[test]
    fn who_cannot_be_told_is_named_with_the_reason() {
        let missing = DestinationReport {
            ready: false,
            reason: Some("SecretMissing".into()),
            message: Some("`url` is not there".into()),
            ..ready("ads")
        };
        let of_a_later_release = DestinationReport {
            ready: false,
            reason: Some("Unheard".into()),
            ..ready("audit")
        };
        insta::assert_snapshot!(told(&contract(), Some(vec![missing, of_a_later_release])).unwrap(), @"False SecretMissing: ads: `url` is not there; audit: see that the destination answers from the server's pod: its url in the Secret, the network, and the log of the server");
    }
}
