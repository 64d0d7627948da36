//! Several operators on one cluster: one acts, another takes over, and one
//! that comes back to life does no harm.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rustix::process::Signal;
use serde_json::{Value, json};
use tenantry_tests::kubectl::{Kubectl, wait_for};

use crate::operator_process::OperatorProcess;
use crate::plane::{Organisation, Plane};

/// A dead leader is replaced within this time.
const REPLACED_WITHIN: Duration = Duration::from_secs(30);

/// The candidate on the seat, without its number.
fn leader(kubectl: &Kubectl) -> Result<String> {
    let lease = kubectl.get(&["lease/tenantry-operator", "-n", "tenantry-system"])?;
    let holder = lease["spec"]["holderIdentity"].as_str().unwrap_or_default();
    let name = holder.rsplit_once('_').map_or(holder, |(name, _)| name);
    Ok(name.to_owned())
}

fn wait_for_leader(kubectl: &Kubectl, name: &str) {
    wait_for(&format!("`{name}` to lead"), || {
        Ok((leader(kubectl)? == name).then_some(()))
    })
    .unwrap();
}

/// Waits for `name` on the seat, no longer than a dead leader may be missed.
fn replaced_by(kubectl: &Kubectl, name: &str) {
    let began = Instant::now();
    while leader(kubectl).unwrap() != name {
        assert!(
            began.elapsed() < REPLACED_WITHIN,
            "`{name}` does not lead after {REPLACED_WITHIN:?}"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    println!("`{name}` leads after {:?}", began.elapsed());
}

/// Every object of the organisation that an operator writes.
fn objects(organisation: &Organisation) -> Vec<Value> {
    [
        "mcptenant",
        "networkpolicy",
        "serviceaccount",
        "rolebinding",
        "mcpserver",
        "service",
        "statefulset",
    ]
    .iter()
    .filter_map(|kind| organisation.get(kind).unwrap()["items"].as_array().cloned())
    .flatten()
    .collect()
}

fn identities(organisation: &Organisation) -> Vec<(Value, Value)> {
    let identity = |object: Value| (object["kind"].clone(), object["metadata"]["uid"].clone());
    objects(organisation).into_iter().map(identity).collect()
}

fn set_access(organisation: &Organisation, access: &str) {
    let patch = json!({"spec": {"access": access}}).to_string();
    let tenant = format!("mcpt/{}", organisation.name);
    let words = ["patch", "-n", &organisation.name, &tenant];
    let words = [&words[..], &["--type=merge", "-p", &patch]].concat();
    organisation.kubectl.run(&words).unwrap();
}

fn wait_for_contract(organisation: &Organisation, access: &str) {
    wait_for(&format!("the contract to say {access}"), || {
        let contract = organisation.get("mcpserver/server")?;
        ensure!(contract["spec"]["access"] == access, "{}", contract["spec"]);
        Ok(Some(()))
    })
    .unwrap();
}

#[test]
fn the_next_operator_takes_over_from_one_that_is_killed_or_leaves() {
    let plane = Plane::without_operator().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let kubectl = plane.kubectl();
    let mut first = OperatorProcess::start(&plane, folder.path(), "first").unwrap();
    wait_for_leader(&kubectl, "first");
    let mut second = OperatorProcess::start(&plane, folder.path(), "second").unwrap();
    assert_eq!(second.wait_until_ready(), "standing by");
    assert_eq!(first.wait_until_ready(), "leading");
    assert!(first.metrics().contains("tenantry_operator_leader 1"));
    assert!(second.metrics().contains("tenantry_operator_leader 0"));
    let acme = plane.onboard("handed-over");
    acme.wait_for_reason("ServerStarting");
    let before = identities(&acme);

    first.signal(Signal::KILL);
    first.wait_for_end();
    replaced_by(&kubectl, "second");
    set_access(&acme, "Frozen");
    wait_for_contract(&acme, "Frozen");

    let third = OperatorProcess::start(&plane, folder.path(), "third").unwrap();
    assert_eq!(third.wait_until_ready(), "standing by");
    second.signal(Signal::TERM);
    assert!(second.wait_for_end().success(), "{}", second.log());
    // It left its seat, so nobody had to wait for it.
    replaced_by(&kubectl, "third");
    assert_eq!(third.wait_until_ready(), "leading");
    set_access(&acme, "Disabled");
    wait_for_contract(&acme, "Disabled");
    assert_eq!(identities(&acme), before);
}

/// The second actor of the worst kind: awake, allowed to write, and with an old
/// copy of the tenant.
#[test]
fn an_operator_with_an_old_copy_of_a_tenant_waits() {
    let plane = Plane::shared();
    let acme = plane.onboard("outdated");
    acme.wait_for_reason("ServerStarting");
    let old = acme.get("mcptenant/outdated").unwrap();
    set_access(&acme, "Disabled");
    wait_for_contract(&acme, "Disabled");
    acme.wait_for_reason("ServerStarting");
    let settled = objects(&acme);
    plane.reconcile_once(&old).unwrap();
    assert_eq!(objects(&acme), settled);

    // With the present one it would write: the contract, had somebody changed it.
    let change = json!({"spec": {"access": "ReadWrite"}}).to_string();
    let words = ["patch", "-n", "outdated", "mcpserver/server"];
    let words = [&words[..], &["--type=merge", "-p", &change]].concat();
    acme.kubectl.run(&words).unwrap();
    let now = acme.get("mcptenant/outdated").unwrap();
    plane.reconcile_once(&now).unwrap();
    let contract = acme.get("mcpserver/server").unwrap();
    assert_eq!(contract["spec"]["access"], "Disabled");
}

#[test]
fn a_leader_that_wakes_up_too_late_changes_nothing() {
    let plane = Plane::without_operator().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let kubectl = plane.kubectl();
    let mut first = OperatorProcess::start(&plane, folder.path(), "first").unwrap();
    wait_for_leader(&kubectl, "first");
    let second = OperatorProcess::start(&plane, folder.path(), "second").unwrap();
    assert_eq!(second.wait_until_ready(), "standing by");
    let acme = plane.onboard("asleep");
    acme.wait_for_reason("ServerStarting");
    let born = identities(&acme);

    // In the middle of work, so that it wakes up with work to do.
    for access in ["Frozen", "ReadWrite", "Frozen", "ReadWrite"] {
        set_access(&acme, access);
    }
    first.signal(Signal::STOP);
    set_access(&acme, "ReadOnly");
    replaced_by(&kubectl, "second");
    set_access(&acme, "Disabled");
    wait_for_contract(&acme, "Disabled");
    acme.wait_for_reason("ServerStarting");
    let settled = objects(&acme);

    first.signal(Signal::CONT);
    let ended = first.wait_for_end();
    assert!(!ended.success(), "an operator that lost its seat says so");
    assert!(first.log().contains("leads no more"), "{}", first.log());
    // Down to the version: the second had nothing to mend either.
    assert_eq!(objects(&acme), settled);
    assert_eq!(identities(&acme), born);
    assert_eq!(leader(&kubectl).unwrap(), "second");
    assert!(second.metrics().contains("tenantry_operator_leader 1"));
}
