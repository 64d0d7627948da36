//! What somebody deletes comes back, and the organisation is served again.

use anyhow::Result;
use serde_json::{Value, json};
use tenantry_tests::forward::Forward;
use tenantry_tests::kubectl::{Kubectl, wait_for};
use tenantry_tests::namespace::TestOrganisation;
use tenantry_tests::raw::RawCall;

use crate::{EXAMPLE, example_key};

/// Every kind of child, by the name it has in an organisation's namespace.
const CHILDREN: [&str; 5] = [
    "serviceaccount/tenantry-server",
    "rolebinding/tenantry-server",
    "service/server",
    "mcpserver/server",
    "statefulset/server",
];

#[test]
fn deleted_children_heal_and_calls_are_answered_again() {
    let kubectl = Kubectl::from_environment();
    let organisation = TestOrganisation::onboard(&kubectl, &EXAMPLE, "healing").unwrap();
    let namespace = organisation.name.as_str();
    let policies = kubectl.get(&["networkpolicies", "-n", namespace]).unwrap();
    let policies = policies["items"].as_array().unwrap().iter();
    let policies = policies.map(|policy| {
        format!(
            "networkpolicy/{}",
            policy["metadata"]["name"].as_str().unwrap()
        )
    });
    for child in CHILDREN.map(String::from).into_iter().chain(policies) {
        let before = uid(&kubectl, namespace, &child).unwrap();
        kubectl
            .run(&["delete", "-n", namespace, &child, "--wait=false"])
            .unwrap();
        wait_for(&format!("another {child}"), || {
            let after = uid(&kubectl, namespace, &child)?;
            Ok((after != before).then_some(()))
        })
        .unwrap();
    }
    wait_for("a call to be answered again", || {
        kubectl.wait_for_ready(namespace)?;
        let forward = Forward::to(&kubectl, namespace, "service/server", 8080)?;
        let answer = RawCall::tool(
            &forward.url("/mcp"),
            example_key(),
            "meta_list_ad_accounts",
            &json!({}),
        )
        .send()?;
        Ok((answer.envelope()["status"] == "done").then_some(()))
    })
    .unwrap();
}

fn uid(kubectl: &Kubectl, namespace: &str, child: &str) -> Result<Value> {
    let object = kubectl.get(&["-n", namespace, child])?;
    anyhow::ensure!(
        object["metadata"]["deletionTimestamp"].is_null(),
        "{child} is going"
    );
    Ok(object["metadata"]["uid"].clone())
}
