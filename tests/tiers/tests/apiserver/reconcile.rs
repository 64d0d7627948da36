//! From a declared tenant to its server, and back to it after changes.

use serde_json::{Value, json};
use tenantry_tests::kubectl::{condition, wait_for};

use crate::plane::{Organisation, Plane};

/// Every child, in the order in which it is placed.
const CHILDREN: [&str; 8] = [
    "networkpolicy/tenantry-default-deny",
    "networkpolicy/tenantry-server",
    "limitrange/tenantry",
    "serviceaccount/tenantry-server",
    "rolebinding/tenantry-server",
    "mcpserver/server",
    "service/server",
    "statefulset/server",
];

#[test]
fn a_tenant_is_ready_when_its_server_says_so() {
    let plane = Plane::shared();
    let acme = plane.onboard("ready");
    let tenant = acme.wait_for_reason("ServerStarting");
    assert_eq!(condition(&tenant, "Reconciling")["status"], "True");
    assert_eq!(tenant["status"]["access"], Value::Null);

    acme.pretend_to_serve(&json!({"connectors": [{"name": "meta", "ready": false, "reason": "SecretMissing", "message": "no access_token"}]}));
    let tenant = acme.wait_for_reason("SecretMissing");
    assert_eq!(
        condition(&tenant, "Ready")["message"],
        "meta: no access_token"
    );
    assert_eq!(condition(&tenant, "ServerAvailable")["status"], "True");

    acme.pretend_to_serve(&json!({}));
    let tenant = acme.wait_for_reason("AsDeclared");
    assert_eq!(condition(&tenant, "Reconciling"), Value::Null);
    assert_eq!(
        tenant["status"]["observedGeneration"],
        tenant["metadata"]["generation"]
    );
    let endpoint = "http://server.ready.svc.cluster.local:8080/mcp";
    assert_eq!(tenant["status"]["endpoint"], endpoint);
    let row = acme
        .kubectl
        .run(&["get", "mcpt", "-n", "ready", "--no-headers"])
        .unwrap();
    let row: Vec<_> = row.split_whitespace().take(5).collect();
    assert_eq!(row, ["ready", "ready", "True", "AsDeclared", "ReadOnly"]);
    assert_eq!(
        events(&acme),
        ["ServerStarting", "SecretMissing", "AsDeclared"]
    );

    let stop = json!({"spec": {"access": "Disabled"}}).to_string();
    acme.kubectl
        .run(&[
            "patch",
            "-n",
            "ready",
            "mcpt/ready",
            "--type=merge",
            "-p",
            &stop,
        ])
        .unwrap();
    acme.wait_for_reason("ContractPending");
    acme.pretend_to_serve(&json!({}));
    assert_eq!(
        acme.wait_for_reason("AsDeclared")["status"]["access"],
        "Disabled"
    );
}

/// The reasons of the Events about the tenant, in order.
fn events(organisation: &Organisation) -> Vec<String> {
    wait_for("the Event of the last transition", || {
        let list = organisation.get("events.events.k8s.io")?;
        let mut told: Vec<_> = list["items"].as_array().unwrap().iter().collect();
        told.sort_by_key(|event| event["eventTime"].as_str());
        let reasons: Vec<_> = told
            .iter()
            .filter_map(|event| event["reason"].as_str())
            .map(str::to_owned)
            .collect();
        Ok((reasons.last().map(String::as_str) == Some("AsDeclared")).then_some(reasons))
    })
    .unwrap()
}

#[test]
fn nothing_is_written_when_nothing_changed() {
    let plane = Plane::shared();
    let acme = plane.onboard("idle");
    acme.pretend_to_serve(&json!({}));
    acme.wait_for_reason("AsDeclared");
    let versions =
        || CHILDREN.map(|child| acme.get(child).unwrap()["metadata"]["resourceVersion"].clone());
    let before = versions();
    let generation = acme.get("statefulset/server").unwrap()["metadata"]["generation"].clone();
    assert_eq!(generation, 1);
    // A change that means nothing wakes the operator up; so does one that
    // means something, by which its end can be seen.
    acme.kubectl
        .run(&["annotate", "-n", "idle", "mcpt/idle", "note=1"])
        .unwrap();
    let policy = json!({"spec": {"deletionPolicy": "Delete"}}).to_string();
    acme.kubectl
        .run(&[
            "patch",
            "-n",
            "idle",
            "mcpt/idle",
            "--type=merge",
            "-p",
            &policy,
        ])
        .unwrap();
    wait_for("the new deletion policy", || {
        let set = acme.get("statefulset/server")?;
        let policy = &set["spec"]["persistentVolumeClaimRetentionPolicy"]["whenDeleted"];
        Ok((policy == "Delete").then_some(()))
    })
    .unwrap();
    assert_eq!(versions()[..7], before[..7]);
}

#[test]
fn what_the_api_server_refuses_is_told_once() {
    let plane = Plane::shared();
    let acme = plane.onboard("refused");
    acme.wait_for_reason("ServerStarting");
    let keys = (0..16).map(|number| (format!("bad key {number}"), json!("")));
    let selector: serde_json::Map<_, _> = keys.collect();
    let patch = json!({"spec": {"server": {"nodeSelector": selector}}}).to_string();
    let words = ["patch", "-n", "refused", "mcpt/refused", "--type=merge"];
    acme.kubectl
        .run(&[&words[..], &["-p", &patch]].concat())
        .unwrap();
    let tenant = acme.wait_for_reason("ApplyFailed");
    let message = condition(&tenant, "Ready")["message"].clone();
    let told = message.as_str().unwrap();
    let first = "applying `StatefulSet/server`: spec.template.spec.nodeSelector: Invalid value: \"bad key 0\"";
    assert!(told.starts_with(first), "{told}");
    assert_eq!(told.matches("bad key 0").count(), 1, "{told}");
    let events = wait_for("the Event of the refusal", || {
        let list = acme.get("events.events.k8s.io")?;
        let all = list["items"].as_array().unwrap();
        let failed = all.iter().filter(|event| event["reason"] == "ApplyFailed");
        Ok(Some(failed.count()).filter(|count| *count > 0))
    });
    assert_eq!(events.unwrap(), 1);
}

#[test]
fn deleted_and_changed_children_are_put_right() {
    let plane = Plane::shared();
    let acme = plane.onboard("drift");
    acme.wait_for_reason("ServerStarting");
    for child in CHILDREN {
        let before = acme.get(child).unwrap()["metadata"]["uid"].clone();
        acme.kubectl.run(&["delete", "-n", "drift", child]).unwrap();
        let after = acme.wait_for_object(child);
        assert_ne!(after["metadata"]["uid"], before, "{child}");
    }
    let scale = ["scale", "-n", "drift", "statefulset/server", "--replicas=3"];
    acme.kubectl.run(&scale).unwrap();
    wait_for("one replica again", || {
        let set = acme.get("statefulset/server")?;
        Ok((set["spec"]["replicas"] == 1).then_some(()))
    })
    .unwrap();
    let contract = json!({"spec": {"access": "ReadWrite"}}).to_string();
    let widen = [
        "patch",
        "-n",
        "drift",
        "mcpserver/server",
        "--type=merge",
        "-p",
        &contract,
    ];
    acme.kubectl.run(&widen).unwrap();
    wait_for("the contract again", || {
        let server = acme.get("mcpserver/server")?;
        Ok((server["spec"]["access"] == "ReadOnly").then_some(()))
    })
    .unwrap();
}

#[test]
fn the_older_tenant_keeps_the_namespace_and_the_next_one_follows() {
    let plane = Plane::shared();
    let first = plane.onboard("taken");
    first.wait_for_reason("ServerStarting");
    let mut second = first.get("mcptenant/taken").unwrap();
    second["metadata"] = json!({"name": "younger", "namespace": "taken"});
    second["spec"]["access"] = json!("ReadWrite");
    // The clock of creation has whole seconds.
    wait_for("the second after", || {
        let created = first.get("mcptenant/taken")?["metadata"]["creationTimestamp"].clone();
        let probe = first.kubectl.run(&[
            "create",
            "configmap",
            "now",
            "-n",
            "taken",
            "--dry-run=server",
            "-o",
            "jsonpath={.metadata.creationTimestamp}",
        ])?;
        Ok((created.as_str() < Some(probe.as_str())).then_some(()))
    })
    .unwrap();
    first.kubectl.apply(&second.to_string()).unwrap();
    let refused = first.wait_for_reason_of("younger", "NamespaceTaken");
    assert_eq!(condition(&refused, "Stalled")["status"], "True");
    assert_eq!(
        first.get("mcpserver/server").unwrap()["spec"]["access"],
        "ReadOnly"
    );

    first
        .kubectl
        .run(&["delete", "-n", "taken", "mcptenant/taken"])
        .unwrap();
    // No controllers run here, so the test is the garbage collector.
    for child in &CHILDREN[1..] {
        first
            .kubectl
            .run(&["delete", "-n", "taken", child, "--ignore-not-found"])
            .unwrap();
    }
    first.wait_for_reason_of("younger", "ServerStarting");
    let server = first.get("mcpserver/server").unwrap();
    assert_eq!(server["spec"]["access"], "ReadWrite");
    assert_eq!(server["metadata"]["ownerReferences"][0]["name"], "younger");
}

#[test]
fn a_suspended_tenant_is_left_as_it_is_but_for_a_stricter_access() {
    let plane = Plane::shared();
    let acme = plane.onboard("suspended");
    acme.wait_for_reason("ServerStarting");
    let declare = |spec: Value| {
        let patch = json!({"spec": spec}).to_string();
        let words = [
            "patch",
            "-n",
            "suspended",
            "mcpt/suspended",
            "--type=merge",
            "-p",
            &patch,
        ];
        acme.kubectl.run(&words).unwrap();
    };
    let contract = || acme.get("mcpserver/server").unwrap()["spec"].clone();
    let before = contract();
    declare(json!({"suspend": true, "access": "ReadWrite", "limits": {"concurrency": 7}}));
    let tenant = acme.wait_for_reason("Suspended");
    assert_eq!(condition(&tenant, "Stalled"), Value::Null);
    assert_eq!(contract(), before);
    // How the server fares is told all the same.
    acme.pretend_to_serve(&json!({}));
    wait_for("the server's own words", || {
        let tenant = acme.get("mcptenant/suspended")?;
        let is_available = condition(&tenant, "ServerAvailable")["status"] == "True";
        let is_suspended = condition(&tenant, "Ready")["reason"] == "Suspended";
        Ok(
            (is_available && is_suspended && tenant["status"]["access"] == "ReadOnly")
                .then_some(()),
        )
    })
    .unwrap();
    declare(json!({"access": "Disabled"}));
    wait_for("the stricter access", || {
        Ok((contract()["access"] == "Disabled").then_some(()))
    })
    .unwrap();
    assert_eq!(contract()["limits"], before["limits"]);
    // A flaw delays it no more than a suspension.
    declare(json!({"suspend": false, "access": "ReadWrite", "server": {"image": "other:1"}}));
    acme.wait_for_reason("NotAllowed");
    assert_eq!(contract()["access"], "Disabled");
    declare(json!({"server": {"image": null}}));
    acme.wait_for_reason("ContractPending");
    assert_eq!(contract()["access"], "ReadWrite");
    assert_eq!(contract()["limits"]["concurrency"], 7);
    let list = acme.get("events.events.k8s.io").unwrap();
    let events = list["items"].as_array().unwrap();
    let told = |reason: &str| events.iter().any(|event| event["reason"] == reason);
    assert!(told("Suspended") && !told("DriftCorrected"), "{list}");
}

#[test]
fn what_goes_goes_with_its_tenant_but_the_wall_stays() {
    let plane = Plane::shared();
    let acme = plane.onboard("owned");
    let tenant = acme.wait_for_reason("ServerStarting");
    for child in &CHILDREN[1..] {
        let owner = acme.get(child).unwrap()["metadata"]["ownerReferences"][0].clone();
        assert_eq!(owner["uid"], tenant["metadata"]["uid"], "{child}");
        assert_eq!(owner["controller"], true, "{child}");
    }
    let wall = acme.get(CHILDREN[0]).unwrap();
    assert_eq!(wall["metadata"]["ownerReferences"], Value::Null);
    assert_eq!(wall["spec"]["policyTypes"], json!(["Ingress", "Egress"]));
}

#[test]
fn a_tenant_of_a_later_release_is_told_so_and_hides_nobody() {
    let plane = Plane::shared();
    let org = plane.onboard("later");
    org.wait_for_reason("ServerStarting");
    // What the definitions of a later release would bring.
    let at = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/future";
    let field = json!([{"op": "add", "path": at, "value": {"type": "string"}}]).to_string();
    let crd = "crd/mcptenants.tenantry.dev";
    org.kubectl
        .run(&["patch", crd, "--type=json", "-p", &field])
        .unwrap();
    let spec = json!({"spec": {"future": "word"}}).to_string();
    wait_for("the field to be kept", || {
        let words = [
            "patch",
            "-n",
            "later",
            "mcpt/later",
            "--type=merge",
            "-p",
            &spec,
        ];
        org.kubectl.run(&words)?;
        let tenant = org.get("mcptenant/later")?;
        Ok((tenant["spec"]["future"] == "word").then_some(()))
    })
    .unwrap();
    // The operator's watch began under the earlier definition and does not
    // show the field until the API server has ended it, and then only with the
    // next change.
    let tenant = wait_for("the tenant to be refused", || {
        let tenant = org.get("mcptenant/later")?;
        let version = &tenant["metadata"]["resourceVersion"];
        let patch = json!({"metadata": {"annotations": {"nudge": version}}}).to_string();
        org.kubectl.run(&[
            "patch",
            "-n",
            "later",
            "mcpt/later",
            "--type=merge",
            "-p",
            &patch,
        ])?;
        let tenant = org.get("mcptenant/later")?;
        Ok((condition(&tenant, "Ready")["reason"] == "SpecInvalid").then_some(tenant))
    })
    .unwrap();
    let message = condition(&tenant, "Ready")["message"].clone();
    let told = message.as_str().unwrap();
    assert!(
        told.starts_with("this operator cannot read the McpTenant: unknown field `future`"),
        "{told}"
    );
    // What was seen of its server stays; and others go on.
    assert_eq!(
        condition(&tenant, "ServerAvailable")["reason"],
        "ServerStarting"
    );
    let younger = plane.onboard("present");
    younger.wait_for_reason("ServerStarting");
    // Nor does it lose what can still be read of it.
    let accounts = tenant["spec"]["connectors"][0]["accounts"].clone();
    assert!(accounts.is_array(), "{tenant}");
    let at = "/spec/connectors/0/accounts";
    let patch = json!([{"op": "replace", "path": at, "value": accounts}]).to_string();
    let words = [
        "patch",
        "-n",
        "present",
        "mcpt/present",
        "--type=json",
        "-p",
    ];
    let words = [&words[..], &[&patch]].concat();
    younger.kubectl.run(&words).unwrap();
    younger.wait_for_reason("AccountTaken");
}
