//! Whose key it is, and who made it: neither is a free choice.

use std::sync::Arc;

use serde_json::{Value, json};
use tenantry_tests::kubectl::Kubectl;

use tenantry_tests::namespace::example_as;

use crate::EXAMPLE;
use crate::plane::{Plane, report_of};

const ISSUER: &str = "issuer@keys.example";
const OWNER: &str = "owner@keys.example";

/// A namespace with a role bound to a user.
fn namespace(name: &str, role: &str, user: &str) -> (Arc<Plane>, Kubectl) {
    let plane = Plane::shared();
    let admin = plane.kubectl();
    admin.run(&["create", "namespace", name]).unwrap();
    let role = format!("--clusterrole={role}");
    let user_flag = format!("--user={user}");
    admin
        .run(&[
            "create",
            "rolebinding",
            "role",
            &role,
            &user_flag,
            "-n",
            name,
        ])
        .unwrap();
    let user = plane.kubectl_as(user);
    (plane, user)
}

fn key(namespace: &str, owner: &str, issued_by: Option<&str>) -> Value {
    let mut key = json!({
        "apiVersion": "tenantry.dev/v1alpha1", "kind": "McpApiKey",
        "metadata": {"name": "demo", "namespace": namespace},
        "spec": {
            "owner": owner,
            "digest": format!("sha256:{}", "0".repeat(64)),
            "scopes": ["meta:read"],
        },
    });
    if let Some(issuer) = issued_by {
        key["spec"]["issuedBy"] = json!(issuer);
    }
    key
}

/// Gives `user` nothing but the making of keys, and for whom.
fn give_creation(plane: &Plane, namespace: &str, user: &str, owners: Option<&[&str]>) {
    let mut rules = vec![
        json!({"apiGroups": ["tenantry.dev"], "resources": ["mcpapikeys"], "verbs": ["create", "get", "patch"]}),
    ];
    if let Some(owners) = owners {
        rules.push(json!({
            "apiGroups": ["tenantry.dev"], "resources": ["mcpapikeys"], "verbs": ["issuefor"], "resourceNames": owners,
        }));
    }
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": {"name": "keys", "namespace": namespace}, "rules": rules,
    });
    let admin = plane.kubectl();
    admin.apply(&role.to_string()).unwrap();
    let user = format!("--user={user}");
    admin
        .run(&[
            "create",
            "rolebinding",
            "keys",
            "--role=keys",
            &user,
            "-n",
            namespace,
        ])
        .unwrap();
}

#[test]
fn a_key_is_its_creators_own_unless_they_may_issue_for_others() {
    let plane = Plane::shared();
    plane
        .kubectl()
        .run(&["create", "namespace", "own-keys"])
        .unwrap();
    give_creation(&plane, "own-keys", ISSUER, None);
    let issuer = plane.kubectl_as(ISSUER);
    let told = |owner: &str, issued_by| issuer.refusal(&key("own-keys", owner, issued_by)).unwrap();
    assert_eq!(told(ISSUER, None), "");
    assert_eq!(told(ISSUER, Some(ISSUER)), "");
    for issued_by in [None, Some(OWNER), Some(ISSUER)] {
        let told = told(OWNER, issued_by);
        assert!(
            told.contains("`issuer@keys.example` may not issue a key for `owner@keys.example`: name yourself as spec.owner, or have the verb issuefor on mcpapikeys in this namespace"),
            "{told}"
        );
    }
    let forged = told(ISSUER, Some(OWNER));
    assert!(
        forged.contains(
            "spec.issuedBy is who creates the key: write `issuer@keys.example` or leave it out"
        ),
        "{forged}"
    );
}

#[test]
fn an_issuer_issues_for_the_owners_that_were_named_and_says_who_it_is() {
    let plane = Plane::shared();
    plane
        .kubectl()
        .run(&["create", "namespace", "named-keys"])
        .unwrap();
    give_creation(&plane, "named-keys", ISSUER, Some(&[OWNER]));
    let issuer = plane.kubectl_as(ISSUER);
    let told = |owner: &str, issued_by| {
        issuer
            .refusal(&key("named-keys", owner, issued_by))
            .unwrap()
    };
    assert_eq!(told(OWNER, None), "");
    assert_eq!(told(OWNER, Some(ISSUER)), "");
    assert!(
        told("another@keys.example", None)
            .contains("may not issue a key for `another@keys.example`")
    );
    assert!(told(OWNER, Some(OWNER)).contains("spec.issuedBy is who creates the key"));
    // In another namespace the right is worth nothing.
    plane
        .kubectl()
        .run(&["create", "namespace", "other-keys"])
        .unwrap();
    give_creation(&plane, "other-keys", ISSUER, None);
    let elsewhere = issuer.refusal(&key("other-keys", OWNER, None)).unwrap();
    assert!(elsewhere.contains("may not issue a key"), "{elsewhere}");
}

#[test]
fn owner_and_issuer_stay_what_they_were() {
    let (plane, admin) = namespace("kept-keys", "tenantry-org-admin", ISSUER);
    let kept = key("kept-keys", OWNER, Some(ISSUER));
    admin.apply(&kept.to_string()).unwrap();
    let change = |kubectl: &Kubectl, patch: Value| {
        let patch = patch.to_string();
        let output = kubectl.output(&[
            "patch",
            "mcpapikey/demo",
            "-n",
            "kept-keys",
            "--type=merge",
            "-p",
            &patch,
        ]);
        String::from_utf8(output.unwrap().stderr).unwrap()
    };
    for who in [&admin, &plane.kubectl()] {
        let owner = change(who, json!({"spec": {"owner": ISSUER}}));
        assert!(
            owner.contains("owner is immutable; create another key"),
            "{owner}"
        );
        for issuer in [json!(OWNER), Value::Null] {
            let told = change(who, json!({"spec": {"issuedBy": issuer}}));
            assert!(
                told.contains("issuedBy is immutable; create another key"),
                "{told}"
            );
        }
    }
    // Somebody who could not have created it may still revoke it.
    assert_eq!(change(&admin, json!({"spec": {"disabled": true}})), "");
}

#[test]
fn an_administrator_of_the_organisation_runs_it_without_its_tokens() {
    let (_plane, admin) = namespace("run-by-admin", "tenantry-org-admin", "admin@run.example");
    assert_eq!(
        admin
            .refusal(&key("run-by-admin", "colleague@run.example", None))
            .unwrap(),
        ""
    );
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "meta-credentials", "namespace": "run-by-admin"},
    });
    let told = admin.refusal(&secret).unwrap();
    assert!(
        told.contains("cannot create resource \"secrets\""),
        "{told}"
    );
    let read = admin
        .output(&["get", "secrets", "-n", "run-by-admin"])
        .unwrap();
    assert!(!read.status.success());
}

#[test]
fn an_onboarder_brings_an_organisation_in_with_one_file() {
    let plane = Plane::shared();
    let admin = plane.kubectl();
    let binding = [
        "--clusterrole=tenantry-onboarder",
        "--user=platform@onboard.example",
    ];
    admin
        .run(&[&["create", "clusterrolebinding", "onboarder"], &binding[..]].concat())
        .unwrap();
    let onboarder = plane.kubectl_as("platform@onboard.example");
    // What the file shows in clear comes from a secret store in production.
    let example = example_as(EXAMPLE, "onboarded");
    let parts: Vec<_> = example
        .split("\n---\n")
        .filter(|part| !part.contains("kind: Secret"))
        .collect();
    onboarder.apply(&parts.join("\n---\n")).unwrap();
    let tenant = ["-n", "onboarded", "mcptenant/onboarded"];
    tenantry_tests::kubectl::wait_for("the tenant to get its server", || {
        let tenant = onboarder.get(&tenant)?;
        let ready = tenantry_tests::kubectl::condition(&tenant, "Ready");
        Ok((ready["reason"] == "ServerStarting").then_some(()))
    })
    .unwrap();
    // And nobody in who is not meant to be let in.
    let admin_of = |role: &str| {
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": "more", "namespace": "onboarded"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "User", "name": "boss@onboard.example", "apiGroup": "rbac.authorization.k8s.io"}],
        })
    };
    assert_eq!(
        onboarder.refusal(&admin_of("tenantry-org-admin")).unwrap(),
        ""
    );
    for (role, told) in [
        (
            "cluster-admin",
            "attempting to grant RBAC permissions not currently held",
        ),
        (
            "tenantry-tenant-manager",
            "tenantry-tenant-manager is bound to the operator alone",
        ),
    ] {
        let refusal = onboarder.refusal(&admin_of(role)).unwrap();
        assert!(refusal.contains(told), "{role}: {refusal}");
    }
}

#[test]
fn a_report_is_the_servers_own_word() {
    let plane = Plane::shared();
    let acme = plane.onboard("reporting");
    acme.wait_for_object("mcpserver/server");
    let neighbour = plane.onboard("reporting-b");
    neighbour.wait_for_reason("ServerStarting");
    let replica = json!({"pod": "server-0", "podUid": "1", "serving": true});
    let report = report_of("reporting", &json!({"replicas": [replica]}));
    let told = |kubectl: &Kubectl| kubectl.apply_status(&report).unwrap();
    let forged = told(&acme.kubectl);
    assert!(
        forged.contains("the report of a server is written by the server itself, ServiceAccount `tenantry-server` of the namespace `reporting`"),
        "{forged}"
    );
    assert!(
        told(&neighbour.server).contains("cannot patch resource \"mcpservers/status\""),
        "another organisation's server"
    );
    acme.wait_for_reason("ServerStarting");
    assert_eq!(told(&acme.server), "");
}
