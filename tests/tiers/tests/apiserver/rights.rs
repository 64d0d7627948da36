//! Who may do what: the operator and a server, with the roles of the charts.

use serde_json::{Value, json};
use tenantry_tests::kubectl::{Kubectl, condition, wait_for};
use tenantry_tests::namespace::example_as;

use crate::EXAMPLE;
use crate::plane::{OPERATOR, Plane};

/// Whether kubectl's user may do that; `resource` may go on with a name
/// (`services/server`) or a subresource (`pods.exec`).
fn can(kubectl: &Kubectl, namespace: &str, verb: &str, resource: &str) -> bool {
    let (resource, subresource) = resource.split_once('.').unwrap_or((resource, ""));
    let subresource = format!("--subresource={subresource}");
    let output = kubectl
        .output(&[
            "auth",
            "can-i",
            verb,
            resource,
            &subresource,
            "-n",
            namespace,
        ])
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim() == "yes"
}

#[test]
fn an_operator_that_was_not_let_in_says_how_and_comes_back() {
    let plane = Plane::shared();
    let kubectl = plane.kubectl();
    let example = example_as(EXAMPLE, "unbound");
    let parts: Vec<_> = example
        .split("\n---\n")
        .filter(|part| !part.contains("kind: RoleBinding"))
        .collect();
    kubectl.apply(&parts.join("\n---\n")).unwrap();
    let tenant = wait_for("OperatorNotBound", || {
        let tenant = kubectl.get(&["-n", "unbound", "mcptenant/unbound"])?;
        Ok((condition(&tenant, "Stalled")["reason"] == "OperatorNotBound").then_some(tenant))
    })
    .unwrap();
    let message = condition(&tenant, "Ready")["message"]
        .as_str()
        .unwrap()
        .to_owned();
    let (_, command) = message.split_once("kubectl ").unwrap();
    assert_eq!(
        command,
        "create rolebinding tenantry-operator --namespace unbound --clusterrole tenantry-tenant-manager --serviceaccount tenantry-system:tenantry-operator"
    );
    let words: Vec<_> = command.split(' ').collect();
    kubectl.run(&words).unwrap();
    wait_for("the tenant to go on", || {
        let tenant = kubectl.get(&["-n", "unbound", "mcptenant/unbound"])?;
        Ok((condition(&tenant, "Ready")["reason"] == "ServerStarting").then_some(()))
    })
    .unwrap();
}

#[test]
fn the_operator_reads_no_secret_and_builds_only_what_is_named() {
    let plane = Plane::shared();
    let acme = plane.onboard("bounded");
    acme.wait_for_reason("ServerStarting");
    let operator = plane.kubectl_as(OPERATOR);
    for namespace in ["bounded", "default", "tenantry-system", "kube-system"] {
        for resource in [
            "secrets",
            "configmaps",
            "pods",
            "pods.exec",
            "mcpapikeys",
            "serviceaccounts.token",
        ] {
            for verb in [
                "get", "list", "watch", "create", "update", "patch", "delete",
            ] {
                assert!(
                    !can(&operator, namespace, verb, resource),
                    "{verb} {resource} in {namespace}"
                );
            }
        }
    }
    assert!(can(&operator, "bounded", "patch", "statefulsets/server"));
    assert!(!can(&operator, "bounded", "patch", "statefulsets/other"));
    assert!(!can(&operator, "bounded", "delete", "statefulsets/server"));
    assert!(!can(&operator, "default", "create", "statefulsets"));
    assert!(!can(&operator, "default", "create", "rolebindings"));
    assert!(!can(&operator, "bounded", "patch", "mcptenants/bounded"));
}

#[test]
fn the_operator_gives_nobody_more_than_a_servers_rights() {
    let plane = Plane::shared();
    let acme = plane.onboard("granted");
    acme.wait_for_reason("ServerStarting");
    let operator = plane.kubectl_as(OPERATOR);
    // Not the roles that aggregate: without controllers they are empty.
    for role in ["cluster-admin", "system:kube-scheduler"] {
        let role = format!("--clusterrole={role}");
        let output = operator
            .output(&[
                "create",
                "rolebinding",
                "more",
                "-n",
                "granted",
                &role,
                "--serviceaccount=granted:tenantry-server",
            ])
            .unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(
            told.contains("attempting to grant RBAC permissions not currently held"),
            "{role}: {told}"
        );
    }
}

#[test]
fn a_server_knows_its_contract_and_its_keys_and_nothing_else() {
    let plane = Plane::shared();
    let acme = plane.onboard("narrow");
    acme.wait_for_reason("ServerStarting");
    let server = &acme.server;
    for (verb, resource) in [
        ("get", "mcpservers/server"),
        ("watch", "mcpapikeys"),
        ("list", "mcpapikeys"),
        ("watch", "mcpfreezes"),
        ("list", "mcpfreezes"),
    ] {
        assert!(can(server, "narrow", verb, resource), "{verb} {resource}");
    }
    for resource in [
        "secrets",
        "configmaps",
        "pods",
        "mcptenants",
        "statefulsets",
        "rolebindings",
    ] {
        for verb in ["get", "list", "create", "patch", "delete"] {
            assert!(!can(server, "narrow", verb, resource), "{verb} {resource}");
        }
    }
    assert!(!can(server, "narrow", "patch", "mcpservers/server"));
    assert!(!can(server, "narrow", "create", "mcpapikeys"));
    for verb in ["create", "update", "patch", "delete"] {
        assert!(!can(server, "narrow", verb, "mcpfreezes"), "{verb}");
    }
    plane.onboard("neighbour").wait_for_reason("ServerStarting");
    assert!(!can(server, "neighbour", "get", "mcpservers/server"));
    assert!(!can(server, "neighbour", "list", "mcpapikeys"));
}

#[test]
fn our_pods_keep_the_restricted_pod_security_standard() {
    let plane = Plane::shared();
    let acme = plane.onboard("secured");
    acme.wait_for_reason("ServerStarting");
    let operator = ["deployment/tenantry-operator", "-n", "tenantry-system"];
    for set in [
        acme.get("statefulset/server").unwrap(),
        acme.kubectl.get(&operator).unwrap(),
    ] {
        let mut spec = set["spec"]["template"]["spec"].clone();
        // What the StatefulSet's controller would add; there is none here.
        let volumes = spec["volumes"].as_array_mut().unwrap();
        volumes.push(json!({"name": "ledger", "emptyDir": {}}));
        let pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "secured", "namespace": "secured"},
            "spec": spec,
        });
        // The namespace enforces the standard, so a pod that breaks it fails.
        acme.kubectl.apply(&pod.to_string()).unwrap();
        let gone = ["delete", "pod", "secured", "-n", "secured", "--force"];
        acme.kubectl.run(&gone).unwrap();
        let mut root = pod;
        root["spec"]["securityContext"]["runAsNonRoot"] = json!(false);
        assert!(acme.kubectl.apply(&root.to_string()).is_err());
    }
}

#[test]
fn no_rule_of_ours_has_a_wildcard() {
    let plane = Plane::shared();
    let kubectl = plane.kubectl();
    for kind in ["clusterroles", "roles"] {
        let list = kubectl.get(&[kind, "--all-namespaces"]).unwrap();
        for role in list["items"].as_array().unwrap() {
            let name = role["metadata"]["name"].as_str().unwrap();
            if name.starts_with("tenantry") {
                assert!(!has_wildcard(&role["rules"]), "{name}: {}", role["rules"]);
            }
        }
    }
}

fn has_wildcard(rules: &Value) -> bool {
    rules.to_string().contains('*')
}
