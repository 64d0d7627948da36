//! What a pod of the operator may be: whoever may make pods in a namespace may
//! use its Secrets.

use serde_json::{Value, json};
use tenantry_tests::kubectl::wait_for;

use crate::guard::{Guarded, at};
use crate::plane::{OPERATOR, Plane};

/// Where, what, and the words of the refusal.
type Change = (&'static str, Value, &'static str);

const POD: &str = "/spec/template/spec";

#[test]
fn a_pod_of_the_operator_runs_a_known_image_and_nothing_beside_it() {
    let guarded = Guarded::new("images");
    let built = guarded.built("statefulset/server");
    let second = json!({"name": "second", "image": "tenantry-server:0.1.0"});
    let get = |host: &str| json!({"httpGet": {"path": "/", "port": 80, "host": host}});
    guarded.refuses_below(POD, &built, &[
            (
                "/containers/0/image",
                json!("evil:1"),
                "the operator may not run the image `evil:1`: its repository is none of server.images of the chart tenantry-api, which are tenantry-server",
            ),
            (
                "/containers/0/image",
                json!("tenantry-server-evil:1"),
                "may not run the image",
            ),
            (
                "/containers/0/image",
                json!("tenantry-server:5000/evil"),
                "may not run the image",
            ),
            (
                "/containers/0/image",
                json!("evil/tenantry-server:1"),
                "may not run the image",
            ),
            ("/containers/-", second.clone(), "a server is one container"),
            ("/initContainers/-", second, "a server is one container"),
            (
                "/containers/0/command",
                json!(["/bin/sh"]),
                "runs what its image runs",
            ),
            (
                "/containers/0/args",
                json!(["--dir", "/"]),
                "runs what its image runs",
            ),
            (
                "/containers/0/livenessProbe",
                json!({"exec": {"command": ["sh"]}}),
                "runs what its image runs",
            ),
            (
                "/containers/0/livenessProbe",
                get("169.254.169.254"),
                "is probed at its own address",
            ),
            (
                "/containers/0/lifecycle",
                json!({"preStop": {"httpGet": {"port": 80, "host": "10.0.0.1"}}}),
                "runs what its image runs",
            ),
        ],
    );
    let mut other_tag = built;
    *at(&mut other_tag, &format!("{POD}/containers/0/image")) =
        json!(format!("tenantry-server@sha256:{}", "0".repeat(64)));
    guarded.refuses(&other_tag, &[]);
}

/// What would take something of the node, or more rights.
fn of_the_node() -> Vec<Change> {
    let node = "a server takes nothing of its node";
    let dns = "a server asks the cluster's DNS for every name";
    let root = "a server's pod runs as no root";
    let bare = "a server's container has no capability";
    vec![
        ("/hostNetwork", json!(true), node),
        ("/hostPID", json!(true), node),
        ("/hostIPC", json!(true), node),
        ("/nodeName", json!("control-plane"), node),
        (
            "/hostAliases/-",
            json!({"ip": "10.0.0.1", "hostnames": ["graph.facebook.com"]}),
            dns,
        ),
        ("/dnsPolicy", json!("Default"), dns),
        ("/dnsConfig/nameservers/-", json!("10.0.0.1"), dns),
        (
            "/serviceAccountName",
            json!("default"),
            "runs as the ServiceAccount `tenantry-server`",
        ),
        ("/securityContext/runAsNonRoot", json!(false), root),
        ("/securityContext/runAsUser", json!(0), root),
        (
            "/securityContext/seccompProfile",
            json!({"type": "Unconfined"}),
            root,
        ),
        (
            // The API server's own words, before any policy of ours.
            "/containers/0/securityContext/privileged",
            json!(true),
            "cannot set `allowPrivilegeEscalation` to false and `privileged` to true",
        ),
        (
            "/containers/0/securityContext/allowPrivilegeEscalation",
            json!(true),
            bare,
        ),
        (
            "/containers/0/securityContext/readOnlyRootFilesystem",
            json!(false),
            bare,
        ),
        (
            "/containers/0/securityContext/capabilities/drop",
            json!([]),
            bare,
        ),
        (
            "/containers/0/securityContext/capabilities/add/-",
            json!("NET_RAW"),
            bare,
        ),
        ("/containers/0/securityContext/runAsUser", json!(0), bare),
        (
            "/containers/0/securityContext/seccompProfile",
            json!({"type": "Unconfined"}),
            bare,
        ),
    ]
}

#[test]
fn a_pod_of_the_operator_takes_nothing_of_its_node() {
    let guarded = Guarded::new("nodeless");
    let built = guarded.built("statefulset/server");
    guarded.refuses_below(POD, &built, &of_the_node());
    let labels = [(
        "/spec/template/metadata/labels/tenantry.dev~1managed-by",
        json!("somebody"),
        "carries the labels that its network policies select",
    )];
    let mut selected = built;
    selected["spec"]["selector"] = json!({"matchLabels": {"tenantry.dev/component": "server"}});
    guarded.refuses(&selected, &labels);
}

/// What would bring other Secrets, or bring them otherwise.
fn of_other_secrets() -> Vec<Change> {
    let volumes = "mounts its ledger, its own token and declared Secrets, and nothing else";
    let variables = "a server gets no Secret and no ConfigMap as variables";
    let files = "optional and mounted read-only below /var/run/tenantry/credentials";
    let source = json!({"name": "meta-credentials"});
    vec![
        (
            "/volumes/0/secret/secretName",
            json!("bootstrap-token"),
            "the operator may not mount the Secret `bootstrap-token`: the McpTenant `declared` does not name it",
        ),
        (
            "/volumes/-",
            json!({"name": "more", "secret": {"secretName": "mcp-tokens", "optional": true}}),
            "may not mount the Secret `mcp-tokens`",
        ),
        (
            "/volumes/-",
            json!({"name": "more", "projected": {"sources": [{"secret": {"name": "mcp-tokens"}}]}}),
            volumes,
        ),
        (
            "/volumes/-",
            json!({"name": "more", "hostPath": {"path": "/"}}),
            volumes,
        ),
        (
            "/volumes/-",
            json!({"name": "more", "configMap": {"name": "a"}}),
            volumes,
        ),
        (
            "/volumes/-",
            json!({"name": "more", "persistentVolumeClaim": {"claimName": "ledger-other-0"}}),
            volumes,
        ),
        (
            "/volumes/-",
            json!({"name": "more", "csi": {"driver": "secrets-store.csi.k8s.io"}}),
            volumes,
        ),
        (
            "/containers/0/envFrom/-",
            json!({"secretRef": source}),
            variables,
        ),
        (
            "/containers/0/env/-",
            json!({"name": "T", "valueFrom": {"secretKeyRef": {"name": "meta-credentials", "key": "access_token"}}}),
            variables,
        ),
        ("/volumes/0/secret/optional", json!(false), files),
        (
            "/containers/0/volumeMounts/1/mountPath",
            json!("/etc"),
            files,
        ),
        ("/containers/0/volumeMounts/1/readOnly", json!(false), files),
    ]
}

#[test]
fn a_pod_of_the_operator_has_the_declared_secrets_as_files_and_no_other() {
    let guarded = Guarded::new("declared");
    let built = guarded.built("statefulset/server");
    assert_eq!(
        built["spec"]["template"]["spec"]["volumes"][0]["secret"]["secretName"],
        "meta-credentials"
    );
    guarded.refuses_below(POD, &built, &of_other_secrets());
    let stolen = json!({"kind": "PersistentVolumeClaim", "name": "ledger-other-0"});
    guarded.refuses(
        &built,
        &[(
            "/spec/volumeClaimTemplates/0/spec/dataSource",
            stolen,
            "a new one for its ledger",
        )],
    );
}

#[test]
fn a_namespace_without_a_tenant_gets_no_pod() {
    let guarded = Guarded::new("empty");
    let built = guarded.built("statefulset/server");
    guarded.refuses(&built, &[]);
    let gone = ["delete", "mcptenant", "empty", "-n", "empty"];
    guarded.plane.kubectl().run(&gone).unwrap();
    wait_for("the policy to know that the tenant is gone", || {
        let told = guarded.operator.refusal(&built)?;
        Ok(told
            .contains("no params found for policy binding with `Deny` parameterNotFoundAction")
            .then_some(()))
    })
    .unwrap();
}

#[test]
fn a_server_that_runs_is_held_to_the_same_when_it_changes() {
    let plane = Plane::shared();
    let acme = plane.onboard("changing");
    let mut set = acme.wait_for_object("statefulset/server");
    acme.wait_for_reason("ServerStarting");
    let operator = plane.kubectl_as(OPERATOR);
    let told = |set: &Value| operator.apply_refusal(set).unwrap();
    set["metadata"] = json!({"name": "server", "namespace": "changing"});
    set.as_object_mut().unwrap().remove("status");
    assert_eq!(told(&set), "");
    *at(&mut set, &format!("{POD}/volumes/0/secret/secretName")) = json!("mcp-tokens");
    assert!(told(&set).contains("may not mount the Secret `mcp-tokens`"));
    // Two McpTenants in one namespace: the one that was first keeps its server.
    let second = acme.get("mcptenant/changing").unwrap();
    let mut second =
        json!({"apiVersion": second["apiVersion"], "kind": "McpTenant", "spec": second["spec"]});
    second["metadata"] = json!({"name": "second", "namespace": "changing"});
    second["spec"]["connectors"][0]["credentials"]["secretName"] = json!("other-credentials");
    acme.kubectl.apply(&second.to_string()).unwrap();
    acme.wait_for_reason_of("second", "NamespaceTaken");
    acme.pretend_to_serve(&json!({}));
    let access = json!({"spec": {"server": {"tolerations": [{"key": "a", "operator": "Exists"}]}}});
    let patch = [
        "patch",
        "-n",
        "changing",
        "mcptenant/changing",
        "--type=merge",
        "-p",
    ];
    acme.kubectl
        .run(&[&patch[..], &[&access.to_string()]].concat())
        .unwrap();
    wait_for("the toleration in the StatefulSet", || {
        let set = acme.get("statefulset/server")?;
        Ok(set["spec"]["template"]["spec"]["tolerations"][0]["key"]
            .is_string()
            .then_some(()))
    })
    .unwrap();
}

/// The Secret of a destination is mounted once a McpTenant names it, at its place
/// and at no other. The tenant is written as people write it, in kubectl's YAML.
#[test]
fn a_destination_of_notifications_brings_its_secret_and_no_more() {
    let plane = Plane::shared();
    let acme = plane.onboard("telling");
    acme.wait_for_reason("ServerStarting");
    let patch = "spec:\n  notifications:\n  - {name: ads-team, secretName: slack-ads, occasions: [Pending, Denied]}\n";
    let patching = [
        "patch",
        "-n",
        "telling",
        "mcptenant/telling",
        "--type=merge",
        "-p",
        patch,
    ];
    acme.kubectl.run(&patching).unwrap();
    let mut set = wait_for("the Secret in the StatefulSet", || {
        let set = acme.get("statefulset/server")?;
        let volume = &set["spec"]["template"]["spec"]["volumes"][1];
        Ok((volume["secret"]["secretName"] == "slack-ads").then_some(set))
    })
    .unwrap();
    let contract = acme.get("mcpserver/server").unwrap();
    assert_eq!(
        contract["spec"]["notifications"],
        json!([{"name": "ads-team", "occasions": ["Pending", "Denied"]}])
    );
    let operator = plane.kubectl_as(OPERATOR);
    let told = |set: &Value| operator.apply_refusal(set).unwrap();
    set["metadata"] = json!({"name": "server", "namespace": "telling"});
    set.as_object_mut().unwrap().remove("status");
    assert_eq!(told(&set), "");
    for (place, value, words) in [
        (
            "/volumes/1/secret/secretName",
            json!("mcp-tokens"),
            "may not mount the Secret `mcp-tokens`",
        ),
        (
            "/containers/0/volumeMounts/2/mountPath",
            json!("/var/run/tenantry/elsewhere"),
            "mounted read-only below /var/run/tenantry/credentials or notifications",
        ),
        (
            "/containers/0/volumeMounts/2/mountPath",
            json!("/var/run/tenantry/notifications/../../secrets"),
            "mounted read-only below /var/run/tenantry/credentials or notifications",
        ),
    ] {
        let mut changed = set.clone();
        *at(&mut changed, &format!("{POD}{place}")) = value;
        let told = told(&changed);
        assert!(told.contains(words), "{place}: {told}");
    }
}
