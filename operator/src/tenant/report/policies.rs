//! Whether what should bind a tenant does. Pure.

use tenantry_api::condition::{Finding, POLICY_ACCEPTED};
use tenantry_core::reason::Reason;

use crate::tenant::validate::ValidTenant;

/// So many names fit into a sentence that somebody reads.
const MOST_NAMES: usize = 8;

/// How the policies of `tenant` are; nothing where none binds it and it requires
/// none.
pub fn finding(tenant: &ValidTenant) -> Option<Finding> {
    let ValidTenant {
        namespace,
        contract,
        unaccepted,
        ..
    } = tenant;
    let missing = &contract.missing_policies;
    if contract.policies.is_empty() && missing.is_empty() {
        return None;
    }
    let (reason, message) = if !missing.is_empty() {
        let message = format!(
            "spec.requiredPolicies: {} is missing or was never accepted, so agents change nothing until it is; see kubectl get safetypolicies --namespace {namespace}",
            names(missing)
        );
        (Reason::PolicyMissing, message)
    } else if !unaccepted.is_empty() {
        let message = format!(
            "{} is not accepted as it is now: its last good version stays in force, or where there is none, writes that it would bind are denied; the condition Accepted of the SafetyPolicy says what is wrong",
            names(unaccepted)
        );
        (Reason::PolicyUnaccepted, message)
    } else {
        let bound = contract.policies.iter().map(|policy| &policy.name);
        let message = format!("in force: {}", names(bound));
        (Reason::AsDeclared, message)
    };
    let holds = reason == Reason::AsDeclared;
    Some(Finding::new(POLICY_ACCEPTED, holds, reason, message))
}

fn names<'a>(all: impl IntoIterator<Item = &'a String>) -> String {
    let mut all: Vec<_> = all.into_iter().map(|name| format!("`{name}`")).collect();
    let more = all.len().saturating_sub(MOST_NAMES);
    if more > 0 {
        all.truncate(MOST_NAMES);
        all.push(format!("and {more} more"));
    }
    all.join(", ")
}

#[cfg(test)]
mod tests {
    use tenantry_core::policy::Policy;

    use super::*;
    use crate::tenant::example;

    fn told(change: impl FnOnce(&mut ValidTenant)) -> Option<String> {
        let mut tenant = example::valid();
        change(&mut tenant);
        let Finding {
            status,
            reason,
            message,
            ..
        } = finding(&tenant)?;
        Some(format!("{} {reason}: {message}", status.as_str()))
    }

    #[test]
    fn a_tenant_without_policies_has_nothing_to_say_of_them() {
        assert_eq!(told(|_| ()), None);
    }

    #[test]
    fn what_is_in_force_is_named() {
        let told = told(|tenant| {
            tenant.contract.policies = (0..10)
                .map(|number| Policy::named(format!("p{number}")))
                .collect();
        });
        assert_eq!(
            told.as_deref(),
            Some(
                "True AsDeclared: in force: `p0`, `p1`, `p2`, `p3`, `p4`, `p5`, `p6`, `p7`, and 2 more"
            )
        );
    }

    #[test]
    fn what_is_missing_is_told_before_what_is_not_accepted() {
        let both = |tenant: &mut ValidTenant| {
            tenant.contract.policies = vec![Policy::named("ads")];
            tenant.unaccepted = ["ads".to_owned()].into();
        };
        insta::assert_snapshot!(told(both).unwrap(), @"False PolicyUnaccepted: `ads` is not accepted as it is now: its last good version stays in force, or where there is none, writes that it would bind are denied; the condition Accepted of the SafetyPolicy says what is wrong");
        let missing = told(|tenant| {
            both(tenant);
            tenant.contract.missing_policies = ["crm".to_owned()].into();
        });
        insta::assert_snapshot!(missing.unwrap(), @"False PolicyMissing: spec.requiredPolicies: `crm` is missing or was never accepted, so agents change nothing until it is; see kubectl get safetypolicies --namespace acme");
    }
}
