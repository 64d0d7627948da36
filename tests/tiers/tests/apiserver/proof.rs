//! What the operator says is proven, it has tried.

use serde_json::{Value, json};
use tenantry_tests::kubectl::{condition, wait_for};

use crate::operator_process::OperatorProcess;
use crate::plane::{Organisation, Plane};

/// The smallest policy that refuses one of the forgeries, under the name by which
/// the operator knows it.
struct Policy {
    name: &'static str,
    group: &'static str,
    version: &'static str,
    resource: &'static str,
    expression: &'static str,
}

const PODS: Policy = Policy {
    name: "tenantry-operator-pods",
    group: "apps",
    version: "v1",
    resource: "statefulsets",
    expression: "object.spec.template.spec.?serviceAccountName.orValue('') == 'tenantry-server'",
};

const APPROVALS: Policy = Policy {
    name: "tenantry-approvals",
    group: "tenantry.dev",
    version: "v1alpha1",
    resource: "mcpapprovals",
    expression: "object.metadata.name != 'forged'",
};

impl Policy {
    fn document(&self) -> Value {
        let rules = json!([{
            "apiGroups": [self.group], "apiVersions": [self.version],
            "operations": ["CREATE", "UPDATE"], "resources": [self.resource],
        }]);
        json!({"apiVersion": "v1", "kind": "List", "items": [
            {
                "apiVersion": "admissionregistration.k8s.io/v1",
                "kind": "ValidatingAdmissionPolicy",
                "metadata": {"name": self.name},
                "spec": {
                    "failurePolicy": "Fail",
                    "matchConstraints": {"resourceRules": rules},
                    "validations": [{"expression": self.expression}],
                },
            },
            {
                "apiVersion": "admissionregistration.k8s.io/v1",
                "kind": "ValidatingAdmissionPolicyBinding",
                "metadata": {"name": self.name},
                "spec": {"policyName": self.name, "validationActions": ["Deny"]},
            },
        ]})
    }
}

fn wait_for_guard(organisation: &Organisation, status: &str, reason: &str) -> Value {
    wait_for(&format!("Guarded to be {status}"), || {
        let tenant = organisation.get(&format!("mcptenant/{}", organisation.name))?;
        let guarded = condition(&tenant, "Guarded");
        let is_so = guarded["status"] == status && guarded["reason"] == reason;
        Ok(is_so.then_some(guarded))
    })
    .unwrap()
}

fn contract_says(organisation: &Organisation) -> Value {
    organisation.get("mcpserver/server").unwrap()["spec"]["guardProven"].clone()
}

#[test]
fn the_guard_counts_as_proven_when_it_has_refused_a_pod_and_not_before() {
    is_proven_with(&PODS);
}

#[test]
fn the_guard_counts_as_proven_when_it_has_refused_an_approval_and_not_before() {
    is_proven_with(&APPROVALS);
}

/// Without that one it is not, whatever the others refuse.
fn is_proven_with(policy: &Policy) {
    let plane = Plane::without_operator().unwrap();
    let kubectl = plane.kubectl();
    for kind in [
        "validatingadmissionpolicybinding",
        "validatingadmissionpolicy",
    ] {
        let gone = ["delete", kind, policy.name, "--ignore-not-found"];
        kubectl.run(&gone).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let operator = OperatorProcess::start(&plane, folder.path(), "guard").unwrap();
    let acme = plane.onboard("guarded");
    let guarded = wait_for_guard(&acme, "False", "GuardOpen");
    let message = guarded["message"].as_str().unwrap();
    assert!(
        message.starts_with(
            "the admission policies let a forged pod or approval through; install the chart tenantry-api"
        ),
        "{message}"
    );
    assert_eq!(contract_says(&acme), false);
    assert!(
        operator
            .metrics()
            .contains("tenantry_operator_guard_proven 0")
    );
    assert!(
        operator
            .log()
            .contains("THE ADMISSION POLICIES ARE NOT IN FORCE")
    );
    // Unguarded is not unserved.
    acme.wait_for_reason("ServerStarting");

    kubectl.apply(&policy.document().to_string()).unwrap();
    wait_for_guard(&acme, "True", "GuardProven");
    assert_eq!(contract_says(&acme), true);
    assert!(
        operator
            .metrics()
            .contains("tenantry_operator_guard_proven 1")
    );
    // The forgery was never there.
    let sets = acme.get("statefulsets").unwrap();
    assert_eq!(sets["items"].as_array().unwrap().len(), 1);
}

#[test]
fn walls_are_what_the_server_found_them_to_be() {
    let plane = Plane::shared();
    let acme = plane.onboard("walled");
    let contract = acme.wait_for_object("mcpserver/server");
    let canary = "tenantry-operator-canary.tenantry-system.svc:9091";
    assert_eq!(contract["spec"]["canary"], canary);
    let service = ["service/tenantry-operator-canary", "-n", "tenantry-system"];
    let service = plane.kubectl().get(&service).unwrap();
    assert_eq!(service["spec"]["ports"][0]["port"], 9091);
    // Its name has an address while an operator is ready, and no other.
    assert_eq!(service["spec"]["clusterIP"], "None");
    assert_eq!(service["spec"]["publishNotReadyAddresses"], Value::Null);

    acme.pretend_to_serve(&json!({}));
    let tenant = acme.wait_for_reason("AsDeclared");
    let isolated = condition(&tenant, "Isolated");
    assert_eq!(
        (&isolated["status"], &isolated["reason"]),
        (&json!("Unknown"), &json!("NotProbed"))
    );

    acme.pretend_to_serve(&json!({"isolation": {"state": "Open", "message": "it answered"}}));
    let tenant = acme.wait_for_reason("NetworkPolicyNotEnforced");
    assert_eq!(condition(&tenant, "Isolated")["status"], "False");
    assert_eq!(condition(&tenant, "Stalled")["status"], "True");

    acme.pretend_to_serve(&json!({"isolation": {"state": "Proven", "message": "it is closed"}}));
    let tenant = acme.wait_for_reason("AsDeclared");
    let isolated = condition(&tenant, "Isolated");
    assert_eq!(
        (&isolated["status"], &isolated["reason"]),
        (&json!("True"), &json!("ProbeDropped"))
    );
}
