//! A policy as the API server hands it over, and what it is worth: what will be
//! put in force, or why nothing can. Pure.

use std::borrow::Cow;
use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::{DynamicObject, NamespaceResourceScope};
use serde::Deserialize as _;
use serde_json::{Value, json};
use tenantry_api::compile::policy::proof::prove;
use tenantry_api::compile::policy::{Origin, compile, full_name, refusal};
use tenantry_api::safety_policy::{SafetyPolicy, SafetyPolicyStatus};
use tenantry_api::selector::Selector;
use tenantry_core::policy::{Mode, Policy};
use tenantry_core::reason::Reason;

/// A policy, judged.
#[derive(Debug, Clone)]
pub struct Judged {
    /// Its metadata.
    pub metadata: ObjectMeta,
    /// Where it stands.
    pub origin: Origin,
    /// Which namespaces it binds, if it is the platform's.
    selector: Selector,
    /// What will be in force, if anything.
    pub verdict: Result<Policy, Box<Rejected>>,
    /// What was told of it before.
    pub status: SafetyPolicyStatus,
}

/// Why a policy is not put in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// The word.
    pub reason: Reason,
    /// All that is wrong with it.
    pub message: String,
    /// What stands in for it where it never was in force.
    pub refusal: Policy,
}

impl Judged {
    /// Judges `object`; `home` is the operator's namespace.
    pub fn of(object: DynamicObject, home: &str) -> Self {
        let DynamicObject { metadata, data, .. } = object;
        let origin = match metadata.namespace.as_deref() {
            Some(namespace) if namespace == home => Origin::Platform,
            _ => Origin::Organization,
        };
        let status = SafetyPolicyStatus::deserialize(&data["status"]).unwrap_or_default();
        let read = json!({"metadata": metadata, "spec": data["spec"]});
        let (selector, verdict) = match SafetyPolicy::deserialize(&read) {
            Ok(policy) => {
                let selector = policy.spec.namespace_selector.clone();
                (selector.unwrap_or_default(), judge(&policy, origin))
            }
            Err(error) => {
                let name = metadata.name.as_deref().unwrap_or_default();
                let cause = format!("this operator cannot read the SafetyPolicy: {error}");
                unreadable(&full_name(name, origin), &data["spec"], cause)
            }
        };
        Self {
            metadata,
            origin,
            selector,
            verdict,
            status,
        }
    }

    /// The name by which contracts call it.
    pub fn full_name(&self) -> String {
        full_name(
            self.metadata.name.as_deref().unwrap_or_default(),
            self.origin,
        )
    }

    /// Whether it can concern `namespace` at all, whatever the labels there.
    pub fn reaches(&self, namespace: &str) -> bool {
        self.origin == Origin::Platform || self.metadata.namespace.as_deref() == Some(namespace)
    }

    /// Whether it binds `namespace`, which has `labels`.
    pub fn binds(&self, namespace: &str, labels: &BTreeMap<String, String>) -> bool {
        self.reaches(namespace)
            && (self.origin == Origin::Organization || self.selector.selects(labels))
    }
}

fn judge(policy: &SafetyPolicy, origin: Origin) -> Result<Policy, Box<Rejected>> {
    let (reason, told) = match compile(policy, origin) {
        Ok(compiled) => {
            let told = prove(&compiled, &policy.spec.tests);
            if told.is_empty() {
                return Ok(compiled);
            }
            (Reason::PolicyTestsFailed, told)
        }
        Err(flaws) => {
            let told = flaws.iter().map(ToString::to_string).collect();
            (Reason::PolicyInvalid, told)
        }
    };
    let message = told.join("; ");
    let refusal = refusal(policy, origin, &message);
    Err(Box::new(Rejected {
        reason,
        message,
        refusal,
    }))
}

/// A policy with something in it that this release does not know. What it would
/// bind is not known either, so it is everything; that it only looks on is
/// believed where it says so.
fn unreadable(
    name: &str,
    spec: &Value,
    message: String,
) -> (Selector, Result<Policy, Box<Rejected>>) {
    let selector = match &spec["namespaceSelector"] {
        Value::Null => Selector::default(),
        selector => Selector::deserialize(selector).unwrap_or_default(),
    };
    let mode = if spec["mode"] == "Shadow" {
        Mode::Shadow
    } else {
        Mode::Enforce
    };
    let refusal = Policy {
        mode,
        unaccepted: Some(message.clone()),
        ..Policy::named(name)
    };
    let rejected = Rejected {
        reason: Reason::PolicyInvalid,
        message,
        refusal,
    };
    (selector, Err(Box::new(rejected)))
}

impl Resource for Judged {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        SafetyPolicy::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        SafetyPolicy::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        SafetyPolicy::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        SafetyPolicy::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Where the operator of these tests lives.
    pub const HOME: &str = "tenantry-system";

    /// The policy `name` of `namespace`, judged.
    pub fn judged(namespace: &str, name: &str, spec: &Value) -> Judged {
        let object = json!({
            "apiVersion": "tenantry.dev/v1alpha1", "kind": "SafetyPolicy",
            "metadata": {"name": name, "namespace": namespace, "uid": name, "generation": 1},
            "spec": spec,
        });
        Judged::of(serde_json::from_value(object).unwrap(), HOME)
    }

    fn rejected(spec: &Value) -> Rejected {
        *judged("acme", "ads", spec).verdict.unwrap_err()
    }

    fn case(expected: &str) -> Value {
        json!({
            "name": "raise",
            "change": {"tool": "meta_set_budget", "currency": "USD", "daily": {"before": "10", "after": "20"}},
            "expect": {"decision": expected},
        })
    }

    fn dollars(expected: &str) -> Value {
        json!({
            "mode": "Enforce", "currency": "EUR",
            "budget": {"perChange": {"maxDailyIncrease": "9.50"}},
            "exchangeRates": [{"currency": "USD", "rate": "0.92", "asOf": "2020-01-15T08:00:00Z", "maxAge": "7d"}],
            "tests": [case(expected)],
        })
    }

    #[test]
    fn the_examples_are_accepted() {
        let text = include_str!("../../../examples/safety_policies.yaml");
        let documents: Vec<DynamicObject> = serde_saphyr::from_multiple(text).unwrap();
        let judged = documents.into_iter().map(|one| Judged::of(one, HOME));
        let names: Vec<_> = judged.map(|one| one.verdict.unwrap().name).collect();
        assert_eq!(names, ["platform/ads-budget", "brand"]);
    }

    #[test]
    fn a_policy_that_decides_its_tests_is_accepted_whatever_the_time() {
        let policy = judged("acme", "ads", &dollars("Permitted"));
        assert_eq!(policy.verdict.unwrap().name, "ads");
        let platform = judged(HOME, "ads", &dollars("Permitted"));
        assert_eq!(platform.verdict.unwrap().name, "platform/ads");
    }

    #[test]
    fn one_that_fails_its_tests_is_not_and_says_which() {
        let rejected = rejected(&dollars("Denied"));
        assert_eq!(rejected.reason, Reason::PolicyTestsFailed);
        assert_eq!(
            rejected.message,
            "tests[raise]: Permitted instead of Denied; the rules that fired: none"
        );
        assert_eq!(rejected.refusal.unaccepted, Some(rejected.message));
    }

    #[test]
    fn every_flaw_is_told() {
        let rejected = rejected(&json!({
            "mode": "Enforce", "currency": "euro", "namespaceSelector": {},
            "rules": [{"name": "odd", "when": "change.daly > 1", "action": "Deny", "message": "no"}],
        }));
        assert_eq!(rejected.reason, Reason::PolicyInvalid);
        for part in [
            "spec.namespaceSelector: ",
            "spec.currency: ",
            "spec.rules[odd]: ",
        ] {
            assert!(rejected.message.contains(part), "{}", rejected.message);
        }
    }

    #[test]
    fn one_of_a_later_release_refuses_all_that_it_may_bind() {
        let later = json!({"mode": "Enforce", "match": {"connectors": ["meta"]}, "future": 1});
        let told = rejected(&later);
        assert!(
            told.message
                .starts_with("this operator cannot read the SafetyPolicy: unknown field `future`"),
            "{}",
            told.message
        );
        let all = Policy {
            unaccepted: Some(told.message.clone()),
            ..Policy::named("ads")
        };
        assert_eq!(told.refusal, all);
        let shadow = rejected(&json!({"mode": "Shadow", "future": 1}));
        assert_eq!(shadow.refusal.mode, Mode::Shadow);
    }

    #[test]
    fn whom_a_policy_binds_follows_from_where_it_stands_and_what_it_selects() {
        let gold = BTreeMap::from([("tier".to_owned(), "gold".to_owned())]);
        let none = BTreeMap::new();
        let own = judged("acme", "ads", &json!({"mode": "Enforce"}));
        assert!(own.binds("acme", &none) && !own.binds("globex", &none));
        let all = judged(HOME, "ads", &json!({"mode": "Enforce"}));
        assert!(all.binds("acme", &none) && all.binds("globex", &gold));
        let selector = json!({"matchLabels": {"tier": "gold"}});
        let some = json!({"mode": "Enforce", "namespaceSelector": selector});
        let some = judged(HOME, "ads", &some);
        assert!(some.binds("acme", &gold) && !some.binds("acme", &none));
        // What cannot be read is believed as far as it can.
        let later = json!({"mode": "Enforce", "namespaceSelector": selector, "future": 1});
        assert!(!judged(HOME, "ads", &later).binds("acme", &none));
        let odd = json!({"mode": "Enforce", "namespaceSelector": {"future": 1}});
        assert!(judged(HOME, "ads", &odd).binds("acme", &none));
    }
}
