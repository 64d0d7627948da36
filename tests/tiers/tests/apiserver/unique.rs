//! What only one tenant of a cluster may have, and what a namespace must
//! promise: who was first keeps it, who waits is told how to go on, and does.

use anyhow::ensure;
use serde_json::{Value, json};
use tenantry_tests::kubectl::{Kubectl, condition, wait_for};
use tenantry_tests::namespace::example_as;

use crate::EXAMPLE;
use crate::plane::{Organisation, Plane};

fn accounts(organisation: &Organisation) -> Value {
    let contract = organisation.wait_for_object("mcpserver/server");
    let accounts = contract["spec"]["connectors"][0]["accounts"].clone();
    let ids = accounts.as_array().unwrap().iter();
    ids.map(|account| account["id"].clone()).collect()
}

fn declare(organisation: &Organisation, ids: &[&str]) {
    let accounts: Vec<_> = ids
        .iter()
        .map(|id| json!({"id": id, "currency": "EUR", "timeZone": "Europe/Berlin"}))
        .collect();
    let at = "/spec/connectors/0/accounts";
    let patch = json!([{"op": "replace", "path": at, "value": accounts}]).to_string();
    let tenant = format!("mcpt/{}", organisation.name);
    let words = ["patch", "-n", &organisation.name, &tenant];
    let words = [&words[..], &["--type=json", "-p", &patch]].concat();
    organisation.kubectl.run(&words).unwrap();
}

fn wait_for_accounts(organisation: &Organisation, ids: &[&str]) {
    wait_for(&format!("the accounts {ids:?}"), || {
        let now = accounts(organisation);
        ensure!(now == json!(ids), "they are {now}");
        Ok(Some(()))
    })
    .unwrap();
}

/// Onboards `names` one after the other, so far apart that one is the oldest.
fn in_order(plane: &Plane, names: [&str; 2]) -> [Organisation; 2] {
    names.map(|name| {
        let organisation = plane.onboard(name);
        organisation.wait_for_reason("ServerStarting");
        wait_for_another_second(&organisation);
        organisation
    })
}

/// The clock of creation has whole seconds.
pub fn wait_for_another_second(after: &Organisation) {
    let tenant = format!("mcptenant/{}", after.name);
    let created = after.get(&tenant).unwrap()["metadata"]["creationTimestamp"].clone();
    wait_for("the next second", || {
        let words = ["create", "configmap", "now", "--dry-run=server", "-o"];
        let time = "jsonpath={.metadata.creationTimestamp}";
        let now = after.kubectl.run(&[&words[..], &[time]].concat())?;
        Ok((created.as_str() < Some(now.as_str())).then_some(()))
    })
    .unwrap();
}

fn told_to_the_platform(kubectl: &Kubectl, loser: &str, holder: &str) {
    let field = "--field-selector=reason=AccountTaken";
    wait_for("the Event for the platform team", || {
        let list = kubectl.get(&["events", "-n", "tenantry-system", field])?;
        let all = list["items"].as_array().unwrap();
        let text = |event: &Value| {
            let note = event["message"].as_str().or(event["note"].as_str());
            note.unwrap_or_default().to_owned()
        };
        let is_told = all.iter().map(text).any(|note| {
            note.contains(&format!("`{loser}/{loser}`"))
                && note.contains(&format!("`{holder}/{holder}`"))
        });
        Ok(is_told.then_some(()))
    })
    .unwrap();
}

#[test]
fn an_account_has_one_tenant_and_the_next_one_follows_at_once() {
    let plane = Plane::shared();
    let [first, second] = in_order(&plane, ["holder", "wanter"]);
    declare(&first, &["act_11"]);
    wait_for_accounts(&first, &["act_11"]);
    declare(&second, &["act_12"]);
    wait_for_accounts(&second, &["act_12"]);

    // An edit that reaches for what another one has: told, and not in force.
    declare(&second, &["act_12", "act_11"]);
    let tenant = second.wait_for_reason("AccountTaken");
    assert_eq!(condition(&tenant, "Stalled")["status"], "True");
    let message = condition(&tenant, "Ready")["message"].clone();
    let message = message.as_str().unwrap();
    assert!(
        message.contains("the account `act_11` (spec.connectors[meta].accounts)"),
        "{message}"
    );
    assert!(!message.contains("holder"), "{message}");
    assert_eq!(accounts(&second), json!(["act_12"]));
    told_to_the_platform(&plane.kubectl(), "wanter", "holder");
    let words = message.split_once("kubectl ").unwrap().1;
    let words: Vec<_> = words.split(' ').collect();
    assert!(
        plane
            .kubectl()
            .run(&words)
            .unwrap()
            .contains("holder/holder")
    );

    // The first one gives it up, and the second has it.
    declare(&first, &["act_13"]);
    wait_for_accounts(&second, &["act_12", "act_11"]);
    second.wait_for_reason("ServerStarting");

    // The older one takes from the younger one what that one runs with: its
    // server goes on with the rest.
    declare(&first, &["act_13", "act_12"]);
    second.wait_for_reason("AccountTaken");
    wait_for_accounts(&second, &["act_11"]);
    let gone = ["delete", "-n", "holder", "mcptenant/holder"];
    first.kubectl.run(&gone).unwrap();
    wait_for_accounts(&second, &["act_12", "act_11"]);
    second.wait_for_reason("ServerStarting");
}

#[test]
fn an_organisation_and_a_host_have_one_tenant_each() {
    let plane = Plane::shared();
    let [first, second] = in_order(&plane, ["hosting", "hosted"]);
    let twin = example_as(EXAMPLE, "twin").replace("organization: twin", "organization: hosting");
    first.kubectl.apply(&twin).unwrap();
    let twin = Organisation::of(&plane, "twin");
    let tenant = twin.wait_for_reason("OrganizationTaken");
    assert_eq!(condition(&tenant, "Stalled")["status"], "True");
    // Nothing was built for it.
    assert!(twin.get("mcpserver/server").is_err());

    let endpoint = json!({"spec": {"endpoint": {"host": "mcp.example.com", "gateway": "public"}}});
    for organisation in [&first, &second] {
        let tenant = format!("mcpt/{}", organisation.name);
        let words = ["patch", "-n", &organisation.name, &tenant, "--type=merge"];
        let patch = endpoint.to_string();
        let words = [&words[..], &["-p", &patch]].concat();
        organisation.kubectl.run(&words).unwrap();
    }
    second.wait_for_reason("HostTaken");
    let gone = ["delete", "-n", "hosting", "mcptenant/hosting"];
    first.kubectl.run(&gone).unwrap();
    wait_for("the host to be free", || {
        let tenant = second.get("mcptenant/hosted")?;
        Ok((condition(&tenant, "Ready")["reason"] != "HostTaken").then_some(()))
    })
    .unwrap();
    wait_for("the organisation to be free", || {
        let tenant = twin.get("mcptenant/twin")?;
        Ok((condition(&tenant, "Ready")["reason"] == "ServerStarting").then_some(()))
    })
    .unwrap();
}

#[test]
fn no_server_starts_where_any_pod_may_run() {
    let plane = Plane::shared();
    let kubectl = plane.kubectl();
    let label = "pod-security.kubernetes.io/enforce: restricted";
    let example = example_as(EXAMPLE, "unsecured");
    assert!(example.contains(label));
    kubectl
        .apply(&example.replace(label, "pod-security.kubernetes.io/enforce: baseline"))
        .unwrap();
    let organisation = Organisation::of(&plane, "unsecured");
    let tenant = organisation.wait_for_reason("PodSecurityMissing");
    assert_eq!(condition(&tenant, "Stalled")["status"], "True");
    assert!(organisation.get("statefulset/server").is_err());
    let message = condition(&tenant, "Ready")["message"].clone();
    let (_, command) = message.as_str().unwrap().split_once("kubectl ").unwrap();
    let words: Vec<_> = command.split(' ').collect();
    kubectl.run(&words).unwrap();
    organisation.wait_for_reason("ServerStarting");
}
