//! What the API server accepts and refuses, in the words that a user reads.

use serde_json::{Value, json};
use tenantry_tests::kubectl::Kubectl;

use crate::plane::Plane;

fn tenant(namespace: &str) -> Value {
    json!({
        "apiVersion": "tenantry.dev/v1alpha1",
        "kind": "McpTenant",
        "metadata": {"name": "acme", "namespace": namespace},
        "spec": {
            "organization": "acme",
            "connectors": [{
                "name": "meta",
                "credentials": {"secretName": "meta-credentials"},
                "accounts": [{"id": "act_1", "currency": "EUR", "timeZone": "Europe/Berlin"}],
            }],
        },
    })
}

fn with(pointer: &str, value: Value) -> Value {
    let mut document = tenant("default");
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    document["spec"].pointer_mut(parent).unwrap()[field] = value;
    document
}

/// What the API server says to `document`, without keeping it.
fn refusal(kubectl: &Kubectl, document: &Value) -> String {
    let path = std::env::temp_dir().join(format!("tenantry-admission-{}.json", std::process::id()));
    std::fs::write(&path, document.to_string()).unwrap();
    let path = path.to_str().unwrap();
    let output = kubectl
        .output(&["create", "--dry-run=server", "-f", path])
        .unwrap();
    std::fs::remove_file(path).unwrap();
    if output.status.success() {
        String::new()
    } else {
        String::from_utf8(output.stderr).unwrap()
    }
}

/// What users get wrong, and what they read.
fn mistakes() -> Vec<(&'static str, Value, &'static str)> {
    let account = json!({"id": "act_1", "currency": "EUR", "timeZone": "Europe/Berlin"});
    vec![
        (
            "/organization",
            json!("Acme"),
            "organization is 1-40 of a-z, 0-9 and `-`",
        ),
        (
            "/organization",
            json!("a".repeat(41)),
            "spec.organization: Too long: may not be more than 40",
        ),
        (
            "/connectors",
            json!([]),
            "spec.connectors: Invalid value: 0: spec.connectors in body should have at least 1 items",
        ),
        (
            "/connectors/0/accounts",
            json!([account, account]),
            "spec.connectors[0].accounts[1]: Duplicate value: {\"id\":\"act_1\"}",
        ),
        (
            "/connectors/0/accounts/0/currency",
            json!("eur"),
            "currency is three capital letters (ISO 4217), such as EUR",
        ),
        (
            "/access",
            json!("readonly"),
            "spec.access: Unsupported value: \"readonly\": supported values: \"ReadWrite\", \"Frozen\", \"ReadOnly\", \"Disabled\"",
        ),
        (
            "/acces",
            json!("ReadOnly"),
            "strict decoding error: unknown field \"spec.acces\"",
        ),
        (
            "/server",
            json!({"podSpec": {}}),
            "strict decoding error: unknown field \"spec.server.podSpec\"",
        ),
        (
            "/server",
            json!({"replicas": 2}),
            "server.replicas is 0 or 1 with a ledger of kind sqlite; more replicas need ledger.postgres",
        ),
        (
            "/server",
            json!({"replicas": -1}),
            "should be greater than or equal to 0",
        ),
        (
            "/server",
            json!({"resources": {"limits": {"memory": "much"}}}),
            "memory is a quantity, such as 128Mi",
        ),
        (
            "/ledger",
            json!({"sqlite": {"storage": "0"}}),
            "storage is a size, such as 1Gi",
        ),
        (
            "/limits",
            json!({"concurrency": 0}),
            "should be greater than or equal to 1",
        ),
    ]
}

/// The same for what the API server would refuse in a child otherwise.
fn mistakes_of_children() -> Vec<(&'static str, Value, &'static str)> {
    vec![
        (
            "/ledger",
            json!({"sqlite": {"storageClassName": "Fast SSD"}}),
            "storageClassName is the name of a StorageClass",
        ),
        (
            "/connectors/0/credentials/secretName",
            json!("meta..credentials"),
            "secretName is the name of a Secret in this namespace",
        ),
        (
            "/server",
            json!({"resources": {"requests": {"cpu": "-1"}}}),
            "cpu is a quantity, such as 100m or \"1\"",
        ),
        (
            "/server",
            json!({"resources": {"limits": {"memory": "-1Gi"}}}),
            "memory is a quantity, such as 128Mi",
        ),
        (
            "/server",
            json!({"resources": {"requests": {"memory": "1Gi"}, "limits": {"memory": "512Mi"}}}),
            "spec.server.resources: Invalid value: requests.memory is more than limits.memory",
        ),
    ]
}

#[test]
fn what_cannot_work_is_refused_with_what_to_write_instead() {
    let plane = Plane::shared();
    let kubectl = plane.kubectl();
    assert_eq!(refusal(&kubectl, &tenant("default")), "");
    for (pointer, value, message) in mistakes().into_iter().chain(mistakes_of_children()) {
        let told = refusal(&kubectl, &with(pointer, value));
        assert!(
            told.contains(message),
            "{pointer}: expected `{message}` in `{told}`"
        );
    }
}

#[test]
fn what_is_fixed_at_creation_stays_and_defaults_are_kept() {
    let plane = Plane::shared();
    let kubectl = plane.kubectl();
    kubectl.run(&["create", "namespace", "fixed"]).unwrap();
    kubectl.apply(&tenant("fixed").to_string()).unwrap();
    let spec = kubectl.get(&["-n", "fixed", "mcptenant/acme"]).unwrap()["spec"].clone();
    assert_eq!(spec["access"], "ReadOnly");
    assert_eq!(spec["server"], json!({"replicas": 1}));
    assert_eq!(spec["ledger"], json!({"sqlite": {"storage": "1Gi"}}));
    let change = |patch: Value| {
        let output = kubectl.output(&[
            "patch",
            "-n",
            "fixed",
            "mcptenant/acme",
            "--type=merge",
            "-p",
            &patch.to_string(),
        ]);
        let output = output.unwrap();
        if output.status.success() {
            String::new()
        } else {
            String::from_utf8(output.stderr).unwrap()
        }
    };
    let told = change(json!({"spec": {"organization": "globex"}}));
    assert!(
        told.contains("organization is immutable; create another McpTenant in another namespace"),
        "{told}"
    );
    for volume in [
        json!({"storage": "2Gi"}),
        json!({"storageClassName": "fast"}),
    ] {
        let told = change(json!({"spec": {"ledger": {"sqlite": volume}}}));
        assert!(
            told.contains("the ledger's volume is chosen when the tenant is created"),
            "{told}"
        );
    }
    assert_eq!(
        change(json!({"spec": {"ledger": null, "access": "Frozen"}})),
        ""
    );
}

#[test]
fn scale_obeys_the_rules_too() {
    let plane = Plane::shared();
    let kubectl = plane.kubectl();
    kubectl.run(&["create", "namespace", "scaled"]).unwrap();
    kubectl.apply(&tenant("scaled").to_string()).unwrap();
    let scale = |replicas: &str| {
        kubectl
            .output(&["scale", "-n", "scaled", "mcpt/acme", replicas])
            .unwrap()
    };
    let refused = scale("--replicas=2");
    let told = String::from_utf8(refused.stderr).unwrap();
    assert!(
        told.contains("more replicas need ledger.postgres"),
        "{told}"
    );
    assert!(scale("--replicas=0").status.success());
}

#[test]
fn applying_the_definitions_warns_of_nothing() {
    let plane = Plane::shared();
    let crds = concat!(env!("CARGO_MANIFEST_DIR"), "/../../crds");
    let arguments = [
        "apply",
        "--server-side",
        "--force-conflicts",
        "--dry-run=server",
        "-f",
        crds,
    ];
    let output = plane.kubectl().output(&arguments).unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}
