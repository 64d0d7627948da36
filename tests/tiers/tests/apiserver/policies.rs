//! From a SafetyPolicy to the contracts that it binds, and back to it.

use std::time::Instant;

use anyhow::ensure;
use serde_json::{Value, json};
use tenantry_tests::kubectl::{condition, wait_for};

use crate::plane::{Organisation, Plane};

/// Where policies of the platform stand.
const PLATFORM: &str = "tenantry-system";

fn apply(plane: &Plane, namespace: &str, name: &str, spec: &Value) {
    let policy = json!({
        "apiVersion": "tenantry.dev/v1alpha1", "kind": "SafetyPolicy",
        "metadata": {"name": name, "namespace": namespace}, "spec": spec,
    });
    plane.kubectl().apply(&policy.to_string()).unwrap();
}

/// A policy that permits a change of so many percent.
fn percent(most: u32) -> Value {
    json!({
        "mode": "Enforce", "currency": "EUR",
        "budget": {"perChange": {"maxIncreasePercent": most}},
    })
}

/// The same for the namespaces of one test.
fn percent_of(most: u32, test: &str) -> Value {
    let mut spec = percent(most);
    spec["namespaceSelector"] = json!({"matchLabels": {"test": test}});
    spec
}

/// One that no field can refuse before the operator does.
fn flawed() -> Value {
    let rule = |name: &str, when: &str| json!({"name": name, "when": when, "action": "Deny", "message": "no"});
    json!({"mode": "Enforce", "rules": [rule("one", "change.daly > 1"), rule("two", "1 +")]})
}

/// Waits until the policy's present generation has been judged so; the policy.
fn wait_for_verdict(plane: &Plane, namespace: &str, name: &str, reason: &str) -> Value {
    let object = format!("safetypolicy/{name}");
    wait_for(&format!("`{name}` to be {reason}"), || {
        let policy = plane.kubectl().get(&["-n", namespace, &object])?;
        let told = condition(&policy, "Accepted");
        let current = told["observedGeneration"] == policy["metadata"]["generation"];
        ensure!(told["reason"] == reason && current, "it is {told}");
        Ok(Some(policy))
    })
    .unwrap()
}

fn message_of(object: &Value, type_: &str) -> String {
    let message = condition(object, type_)["message"].clone();
    message.as_str().unwrap_or_default().to_owned()
}

/// The policies in the organisation's contract: their names, and how many
/// percent each permits.
fn in_force(organisation: &Organisation) -> Value {
    let contract = organisation.wait_for_object("mcpserver/server");
    let policies = contract["spec"]["policies"].as_array().cloned();
    let policies = policies.unwrap_or_default();
    let told = policies.iter().map(|policy| {
        let limit = &policy["budget"]["perChange"]["maxIncreasePercent"];
        json!([policy["name"], limit])
    });
    told.collect()
}

fn wait_for_policies(organisation: &Organisation, expected: &Value) {
    let what = format!("the policies {expected} of `{}`", organisation.name);
    wait_for(&what, || {
        let now = in_force(organisation);
        ensure!(now == *expected, "they are {now}");
        Ok(Some(()))
    })
    .unwrap();
}

fn wait_for_condition(organisation: &Organisation, reason: &str) -> Value {
    let tenant = format!("mcptenant/{}", organisation.name);
    wait_for(&format!("the policies to be {reason}"), || {
        let tenant = organisation.get(&tenant)?;
        let told = condition(&tenant, "PolicyAccepted");
        ensure!(told["reason"] == reason, "they are {told}");
        Ok(Some(tenant))
    })
    .unwrap()
}

fn label(organisation: &Organisation, label: &str) {
    let words = ["label", "namespace", &organisation.name, label];
    organisation.kubectl.run(&words).unwrap();
}

fn versions(organisation: &Organisation) -> Vec<Value> {
    let objects = ["mcpserver/server", "statefulset/server", "service/server"];
    let version = |object| organisation.get(object).unwrap()["metadata"]["resourceVersion"].clone();
    objects.map(version).into()
}

#[test]
fn a_policy_is_in_force_or_told_all_its_flaws_while_the_last_good_one_stays() {
    let plane = Plane::shared();
    let acme = plane.onboard("governed");
    acme.wait_for_reason("ServerStarting");
    apply(&plane, "governed", "ads", &percent(50));
    let policy = wait_for_verdict(&plane, "governed", "ads", "AsDeclared");
    assert_eq!(policy["status"]["acceptedGeneration"], 1);
    wait_for_policies(&acme, &json!([["ads", 50]]));
    let tenant = wait_for_condition(&acme, "AsDeclared");
    assert_eq!(message_of(&tenant, "PolicyAccepted"), "in force: `ads`");
    let before = acme.get("mcpserver/server").unwrap()["spec"].clone();

    apply(&plane, "governed", "ads", &flawed());
    let policy = wait_for_verdict(&plane, "governed", "ads", "PolicyInvalid");
    let told = message_of(&policy, "Accepted");
    for part in ["spec.rules[one]: ", "spec.rules[two]: ", "generation 1, "] {
        assert!(told.contains(part), "{part} not in {told}");
    }
    assert_eq!(policy["status"]["acceptedGeneration"], 1);
    wait_for_condition(&acme, "PolicyUnaccepted");
    let mut failing = percent(20);
    failing["tests"] = json!([{
        "name": "raise",
        "change": {"tool": "meta_set_budget", "daily": {"before": "10", "after": "20"}},
        "expect": {"decision": "Permitted"},
    }]);
    apply(&plane, "governed", "ads", &failing);
    let policy = wait_for_verdict(&plane, "governed", "ads", "PolicyTestsFailed");
    let told = message_of(&policy, "Accepted");
    assert!(
        told.starts_with("tests[raise]: Denied instead of Permitted"),
        "{told}"
    );
    assert_eq!(acme.get("mcpserver/server").unwrap()["spec"], before);
    let list = acme.get("events.events.k8s.io").unwrap();
    let events = list["items"].as_array().unwrap().iter();
    let told: Vec<_> = events
        .filter(|event| event["regarding"]["kind"] == "SafetyPolicy")
        .map(|event| event["reason"].clone())
        .collect();
    assert_eq!(told, ["PolicyInvalid"]);

    apply(&plane, "governed", "ads", &percent(20));
    wait_for_verdict(&plane, "governed", "ads", "AsDeclared");
    wait_for_policies(&acme, &json!([["ads", 20]]));
    wait_for_condition(&acme, "AsDeclared");
}

#[test]
fn a_platform_policy_reaches_all_that_it_selects_and_rewrites_nothing_else() {
    let plane = Plane::shared();
    let [one, two, other] = ["gold-one", "gold-two", "iron"].map(|name| plane.onboard(name));
    let test = "gold";
    for organisation in [&one, &two, &other] {
        organisation.wait_for_reason("ServerStarting");
    }
    for organisation in [&one, &two] {
        label(organisation, "test=gold");
    }
    apply(&plane, PLATFORM, test, &percent_of(50, test));
    let bound = json!([["platform/gold", 50]]);
    for organisation in [&one, &two] {
        wait_for_policies(organisation, &bound);
    }
    wait_for_count(&plane, test, 2);
    let before = [&one, &two, &other].map(versions);

    let edited = Instant::now();
    apply(&plane, PLATFORM, test, &percent_of(20, test));
    let bound = json!([["platform/gold", 20]]);
    for organisation in [&one, &two] {
        wait_for_policies(organisation, &bound);
    }
    println!("an edit reached two contracts in {:?}", edited.elapsed());
    let after = [&one, &two, &other].map(versions);
    assert_eq!(after[0][1..], before[0][1..]);
    assert_eq!(after[1][1..], before[1][1..]);
    assert_eq!(after[2], before[2]);

    // The labels of a namespace reach as well, and a bad edit selects nobody anew.
    label(&other, "test=gold");
    wait_for_policies(&other, &bound);
    wait_for_count(&plane, test, 3);
    label(&two, "test-");
    wait_for_policies(&two, &json!([]));
    wait_for_count(&plane, test, 2);
    let mut bad = flawed();
    bad["namespaceSelector"] = json!({"matchLabels": {"test": "nobody"}});
    apply(&plane, PLATFORM, test, &bad);
    wait_for_verdict(&plane, PLATFORM, test, "PolicyInvalid");
    for organisation in [&one, &other] {
        wait_for_condition(organisation, "PolicyUnaccepted");
        assert_eq!(in_force(organisation), bound);
    }
    let gone = ["delete", "-n", PLATFORM, "safetypolicy/gold"];
    plane.kubectl().run(&gone).unwrap();
    for organisation in [&one, &other] {
        wait_for_policies(organisation, &json!([]));
    }
}

/// Waits until the platform's policy says that it binds so many tenants.
fn wait_for_count(plane: &Plane, name: &str, tenants: u32) {
    let object = format!("safetypolicy/{name}");
    wait_for(&format!("{tenants} tenants of `{name}`"), || {
        let policy = plane.kubectl().get(&["-n", PLATFORM, &object])?;
        let now = &policy["status"]["tenants"];
        ensure!(*now == tenants, "they are {now}");
        Ok(Some(()))
    })
    .unwrap();
}

#[test]
fn a_required_policy_is_missed_until_it_is_accepted() {
    let plane = Plane::shared();
    let acme = plane.onboard("requiring");
    acme.wait_for_reason("ServerStarting");
    let require = json!({"spec": {"access": "ReadWrite", "requiredPolicies": ["must"]}});
    let words = ["patch", "-n", "requiring", "mcpt/requiring", "--type=merge"];
    let require = require.to_string();
    let words = [&words[..], &["-p", &require]].concat();
    acme.kubectl.run(&words).unwrap();
    let missing = |expected: Value| {
        wait_for(&format!("{expected} to be missing"), || {
            let contract = acme.get("mcpserver/server")?;
            let now = &contract["spec"]["missingPolicies"];
            ensure!(*now == expected, "{now} is");
            Ok(Some(contract["spec"].clone()))
        })
        .unwrap()
    };
    let contract = missing(json!(["must"]));
    assert_eq!(contract["access"], "ReadWrite");
    acme.pretend_to_serve(&json!({}));
    let tenant = acme.wait_for_reason("PolicyMissing");
    assert_eq!(condition(&tenant, "Reconciling")["status"], "True");
    assert!(
        message_of(&tenant, "Ready").starts_with("spec.requiredPolicies: `must` is missing"),
        "{tenant}"
    );

    // One that was never accepted is missed, too, and refuses what it would bind.
    apply(&plane, "requiring", "must", &flawed());
    wait_for_verdict(&plane, "requiring", "must", "PolicyInvalid");
    wait_for_policies(&acme, &json!([["must", null]]));
    let contract = missing(json!(["must"]));
    assert!(
        contract["policies"][0]["unaccepted"].is_string(),
        "{contract}"
    );

    apply(&plane, "requiring", "must", &percent(50));
    missing(Value::Null);
    wait_for_policies(&acme, &json!([["must", 50]]));
    acme.pretend_to_serve(&json!({}));
    acme.wait_for_reason("AsDeclared");
    // Once it was in force, a bad edit takes nothing away; its end does.
    apply(&plane, "requiring", "must", &flawed());
    wait_for_condition(&acme, "PolicyUnaccepted");
    missing(Value::Null);
    let gone = ["delete", "-n", "requiring", "safetypolicy/must"];
    acme.kubectl.run(&gone).unwrap();
    missing(json!(["must"]));
    acme.pretend_to_serve(&json!({}));
    acme.wait_for_reason("PolicyMissing");
}
