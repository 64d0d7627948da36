//! What is changed in a tenant holds soon, and costs nobody a call.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::Result;
use serde_json::{Value, json};
use tenantry_tests::evidence::show;
use tenantry_tests::forward::Forward;
use tenantry_tests::kubectl::{Kubectl, wait_for};
use tenantry_tests::namespace::TestOrganisation;
use tenantry_tests::raw::{RawAnswer, RawCall};

use crate::{EXAMPLE, example_key, unlimited};

/// Changed contracts during the load.
const CHANGES: u32 = 5;

/// Callers at a time.
const CALLERS: usize = 4;

#[test]
fn changed_contracts_drop_no_call() {
    let kubectl = Kubectl::from_environment();
    let organisation = TestOrganisation::onboard(&kubectl, &unlimited(), "changes").unwrap();
    let namespace = organisation.name.as_str();
    let forward = Forward::to(&kubectl, namespace, "service/server", 8080).unwrap();
    let call = list_campaigns(&forward, &organisation.accounts[0]);
    let is_over = AtomicBool::new(false);

    let answers: Vec<RawAnswer> = thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| scope.spawn(|| call_until(&call, &is_over)))
            .collect();
        let changed = (1..=CHANGES).try_for_each(|number| change(&kubectl, namespace, number));
        is_over.store(true, Ordering::Release);
        let answers = callers.into_iter().map(|caller| caller.join().unwrap());
        let answers: Result<Vec<_>> = answers.collect();
        changed.unwrap();
        answers.unwrap().into_iter().flatten().collect()
    });

    let dropped: Vec<_> = answers
        .iter()
        .filter(|answer| answer.envelope()["status"] != "done")
        .collect();
    show(&format!(
        "{} calls while {CHANGES} changed contracts were taken up: {} dropped",
        answers.len(),
        dropped.len()
    ));
    assert!(dropped.is_empty(), "{dropped:#?}");
    assert!(answers.len() > CALLERS, "there was load");
}

/// Another limit, and the wait until the server says that it obeys it.
fn change(kubectl: &Kubectl, namespace: &str, number: u32) -> Result<()> {
    patch(
        kubectl,
        namespace,
        &json!({"limits": {"concurrency": 100 + number}}),
    )?;
    kubectl.wait_for_ready(namespace).map(drop)
}

fn call_until(call: &RawCall, is_over: &AtomicBool) -> Result<Vec<RawAnswer>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let client = RawCall::client()?;
    let mut answers = Vec::new();
    while !is_over.load(Ordering::Acquire) {
        answers.push(runtime.block_on(call.exchange(&client))?);
    }
    Ok(answers)
}

#[test]
fn disabled_access_stops_calls() {
    let kubectl = Kubectl::from_environment();
    let organisation = TestOrganisation::onboard(&kubectl, &EXAMPLE, "disabled").unwrap();
    let namespace = organisation.name.as_str();
    let forward = Forward::to(&kubectl, namespace, "service/server", 8080).unwrap();
    let call = list_campaigns(&forward, &organisation.accounts[0]);
    assert_eq!(call.send().unwrap().envelope()["status"], "done");

    let started = Instant::now();
    patch(&kubectl, namespace, &json!({"access": "Disabled"})).unwrap();
    let reason = wait_for("calls to be refused", || {
        let answer = call.send()?;
        let envelope = answer.envelope();
        Ok((envelope["status"] == "refused").then(|| envelope["reason"].clone()))
    });
    show(&format!(
        "access: Disabled refused the first call after {} ms",
        started.elapsed().as_millis()
    ));
    assert_eq!(reason.unwrap(), "AccessDenied");
}

fn patch(kubectl: &Kubectl, namespace: &str, spec: &Value) -> Result<()> {
    let patch = json!({"spec": spec}).to_string();
    let arguments = ["patch", "mcptenant", namespace, "-n", namespace];
    let what = ["--type=merge", "-p", patch.as_str()];
    kubectl.run(&[&arguments[..], &what[..]].concat()).map(drop)
}

fn list_campaigns(forward: &Forward, account: &str) -> RawCall {
    RawCall::tool(
        &forward.url("/mcp"),
        example_key(),
        "meta_list_campaigns",
        &json!({"account": account}),
    )
}
