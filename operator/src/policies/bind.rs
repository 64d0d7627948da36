//! Which policies are in force for a tenant. Pure.
//!
//! What was in force last is remembered in one place only, the tenant's own
//! contract: an edit that is not accepted leaves there what was.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tenantry_core::policy::Policy;
use tenantry_core::tenant::TenantConfig;

use super::judged::Judged;

/// What binds one tenant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bound {
    /// The policies in force, by name.
    pub policies: Vec<Policy>,
    /// Those that are not accepted as they are now.
    pub unaccepted: BTreeSet<String>,
}

/// What of `all` binds the tenant of `namespace`, which has `labels` and the
/// contract `placed`.
pub fn bind(
    all: &[Arc<Judged>],
    namespace: &str,
    labels: &BTreeMap<String, String>,
    placed: Option<&TenantConfig>,
) -> Bound {
    let mut bound = Bound::default();
    for policy in all.iter().filter(|policy| policy.reaches(namespace)) {
        let binds = policy.binds(namespace, labels);
        match &policy.verdict {
            Ok(accepted) if binds => bound.policies.push(accepted.clone()),
            Ok(_) => {}
            // Its selector is not believed either: whom it bound it goes on to
            // bind, and whom it would bind by now has no version that was good.
            Err(rejected) => {
                let name = policy.full_name();
                let refusal = binds.then(|| rejected.refusal.clone());
                let Some(in_force) = last_good(placed, &name).or(refusal) else {
                    continue;
                };
                bound.policies.push(in_force);
                bound.unaccepted.insert(name);
            }
        }
    }
    bound
        .policies
        .sort_by(|one, other| one.name.cmp(&other.name));
    bound
}

/// The version of the policy `name` that `placed` has in force, if it was ever
/// accepted.
fn last_good(placed: Option<&TenantConfig>, name: &str) -> Option<Policy> {
    let mut policies = placed?.policies.iter();
    policies
        .find(|policy| policy.name == name && policy.unaccepted.is_none())
        .cloned()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::policies::judged::tests::{HOME, judged};
    use crate::tenant::example;

    fn bound(all: &[Judged], placed: &[Policy]) -> Bound {
        let mut contract = example::valid().contract;
        contract.policies = placed.to_vec();
        let all: Vec<_> = all.iter().cloned().map(Arc::new).collect();
        let labels = BTreeMap::from([("tier".to_owned(), "gold".to_owned())]);
        bind(&all, "acme", &labels, Some(&contract))
    }

    fn names(bound: &Bound) -> Vec<&str> {
        let names = bound.policies.iter().map(|policy| policy.name.as_str());
        names.collect()
    }

    fn good(percent: u32) -> Value {
        json!({"mode": "Enforce", "currency": "EUR", "budget": {"perChange": {"maxIncreasePercent": percent}}})
    }

    fn bad(tier: &str) -> Value {
        json!({"mode": "Enforce", "currency": "euro", "namespaceSelector": {"matchLabels": {"tier": tier}}})
    }

    fn compiled(namespace: &str, percent: u32) -> Policy {
        judged(namespace, "ads", &good(percent)).verdict.unwrap()
    }

    #[test]
    fn a_tenant_is_bound_by_its_own_policies_and_those_that_select_it() {
        let mut silver = good(1);
        silver["namespaceSelector"] = json!({"matchLabels": {"tier": "silver"}});
        let all = [
            judged(HOME, "every", &good(1)),
            judged("acme", "own", &good(1)),
            judged("globex", "foreign", &good(1)),
            judged(HOME, "silver", &silver),
            judged("acme", "a", &good(1)),
        ];
        let bound = bound(&all, &[Policy::named("gone")]);
        assert_eq!(names(&bound), ["a", "own", "platform/every"]);
        assert_eq!(bound.unaccepted, BTreeSet::new());
    }

    #[test]
    fn the_last_good_version_stays_whatever_the_bad_edit_selects() {
        let last = compiled(HOME, 50);
        for tier in ["gold", "silver"] {
            let all = [judged(HOME, "ads", &bad(tier))];
            let bound = bound(&all, std::slice::from_ref(&last));
            assert_eq!(bound.policies, std::slice::from_ref(&last));
            assert_eq!(bound.unaccepted, ["platform/ads".to_owned()].into());
        }
    }

    #[test]
    fn what_was_never_in_force_refuses_what_it_would_bind_and_nothing_else() {
        let judged_gold = judged(HOME, "ads", &bad("gold"));
        let refusal = judged_gold.verdict.clone().unwrap_err().refusal;
        let all = [judged_gold, judged(HOME, "other", &bad("silver"))];
        let first = bound(&all, &[]);
        assert_eq!(first.policies, std::slice::from_ref(&refusal));
        // To have refused once is not to have been accepted.
        assert_eq!(bound(&all, &first.policies), first);
    }

    #[test]
    fn a_mended_policy_takes_the_place_of_whatever_stood_in_for_it() {
        let mended = compiled("acme", 20);
        let all = [judged("acme", "ads", &good(20))];
        let refused = Policy {
            unaccepted: Some("no".into()),
            ..Policy::named("ads")
        };
        for placed in [refused, compiled("acme", 50)] {
            let bound = bound(&all, &[placed]);
            assert_eq!(bound.policies, std::slice::from_ref(&mended));
            assert_eq!(bound.unaccepted, BTreeSet::new());
        }
    }

    #[test]
    fn another_organisations_bad_edit_brings_nothing_back() {
        let all = [judged(
            "globex",
            "ads",
            &json!({"mode": "Enforce", "currency": "euro"}),
        )];
        assert_eq!(bound(&all, &[compiled("acme", 50)]), Bound::default());
    }
}
