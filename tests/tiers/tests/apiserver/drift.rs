//! What others do to the objects of a tenant by hand, and what becomes of it.

use anyhow::ensure;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tenantry_tests::kubectl::wait_for;
use tokio::runtime::Runtime;

use crate::plane::{Organisation, Plane};

/// Adds to the children of an organisation of its own, one after the other.
fn add_to(name: &str, additions: Vec<(&str, Value, &str)>) {
    let plane = Plane::shared();
    let acme = plane.onboard(name);
    acme.wait_for_reason("ServerStarting");
    for (child, addition, field) in additions {
        let before = acme.get(child).unwrap()["spec"].clone();
        let patch = json!({"spec": addition}).to_string();
        // Custom resources know no other than merge.
        let is_plain = child.starts_with("mcpserver") || child.starts_with("networkpolicy");
        let kind = if is_plain {
            "--type=merge"
        } else {
            "--type=strategic"
        };
        let manager = "--field-manager=somebody";
        let words = ["patch", "-n", name, child, kind, manager, "-p", &patch];
        acme.kubectl.run(&words).unwrap();
        wait_for(&format!("{child} as it was before {field}"), || {
            let now = acme.get(child)?["spec"].clone();
            ensure!(now == before, "it is {now}");
            Ok(Some(()))
        })
        .unwrap();
        wait_for(&format!("the Event of {child} {field}"), || {
            let told = drift_events(&acme);
            let is_told = |note: &&String| note.contains("`somebody` set") && note.contains(field);
            ensure!(
                told.iter().any(|note| is_told(&note)),
                "told were {told:#?}"
            );
            Ok(Some(()))
        })
        .unwrap();
    }
}

#[test]
fn holes_in_the_walls_and_in_the_service_are_closed_and_told() {
    let open = json!({"ingress": [{}], "egress": [{}]});
    let renamed = json!({"name": "mcp", "port": 8081, "targetPort": "mcp"});
    let spec = |field: &str, value: Value| json!({field: value});
    add_to(
        "opened",
        vec![
            (
                "networkpolicy/tenantry-default-deny",
                open.clone(),
                "spec.ingress",
            ),
            (
                "networkpolicy/tenantry-server",
                open,
                "NetworkPolicy/tenantry-server",
            ),
            (
                "mcpserver/server",
                json!({"surprise": 1}),
                "McpServer/server",
            ),
            (
                "service/server",
                spec("type", json!("NodePort")),
                "spec.type",
            ),
            (
                "service/server",
                spec("externalIPs", json!(["192.0.2.7"])),
                "spec.externalIPs",
            ),
            (
                "service/server",
                spec("sessionAffinity", json!("ClientIP")),
                "spec.sessionAffinity",
            ),
            (
                "service/server",
                spec("ports", json!([{"name": "admin", "port": 9090}])),
                "spec.ports[port=9090,protocol=TCP]",
            ),
            (
                "service/server",
                spec("ports", json!([{"$patch": "replace"}, renamed])),
                "spec.ports[port=8081,protocol=TCP]",
            ),
        ],
    );
}

#[test]
fn what_others_put_into_the_pod_is_taken_out_and_told() {
    let pod = |field: &str, value: Value| json!({"template": {"spec": {field: value}}});
    let spy = json!([{"name": "sidecar", "image": "spy"}]);
    let env = json!([{"name": "server", "env": [{"name": "SPY", "value": "1"}]}]);
    let host = json!([{"name": "host", "hostPath": {"path": "/"}}]);
    let field = |name: &str| format!("spec.template.spec.{name}");
    let additions = [
        ("hostNetwork", json!(true), "hostNetwork"),
        ("hostPID", json!(true), "hostPID"),
        ("containers", spy.clone(), "containers[name=sidecar]"),
        ("initContainers", spy, "initContainers[name=sidecar]"),
        ("containers", env, "containers[name=server].env[name=SPY]"),
        ("volumes", host, "volumes[name=host]"),
        ("serviceAccountName", json!("default"), "serviceAccountName"),
    ];
    let told: Vec<_> = additions.iter().map(|(_, _, name)| field(name)).collect();
    let additions = additions.into_iter().zip(&told);
    let additions = additions
        .map(|((name, value, _), told)| ("statefulset/server", pod(name, value), told.as_str()));
    add_to("stowaway", additions.collect());
}

/// The notes of the Events about what was put right.
fn drift_events(acme: &Organisation) -> Vec<String> {
    let list = acme.get("events.events.k8s.io").unwrap();
    let all = list["items"].as_array().unwrap();
    let told = all
        .iter()
        .filter(|event| event["reason"] == "DriftCorrected");
    told.filter_map(|event| event["note"].as_str())
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_fight_is_told_of_as_often_as_somebody_can_read() {
    let plane = Plane::shared();
    let acme = plane.onboard("fight");
    acme.wait_for_reason("ServerStarting");
    for port in 1..=15 {
        let ports = json!({"spec": {"ports": [{"name": "spy", "port": port}]}}).to_string();
        acme.kubectl
            .run(&["patch", "-n", "fight", "service/server", "-p", &ports])
            .unwrap();
        wait_for("one port again", || {
            let ports = acme.get("service/server")?["spec"]["ports"].clone();
            Ok((ports.as_array().map(Vec::len) == Some(1)).then_some(()))
        })
        .unwrap();
    }
    let told = drift_events(&acme).len();
    assert!((1..=10).contains(&told), "{told} Events");
}

/// A child in the hands of somebody who may do everything.
struct Held {
    api: Api<DynamicObject>,
    name: &'static str,
    kind: &'static str,
    before: Value,
    /// What the operator holds, as JSON pointers; the next one last.
    leaves: Vec<String>,
}

const KINDS: [(&str, &str, &str); 8] = [
    ("v1", "LimitRange", "tenantry"),
    (
        "networking.k8s.io/v1",
        "NetworkPolicy",
        "tenantry-default-deny",
    ),
    ("networking.k8s.io/v1", "NetworkPolicy", "tenantry-server"),
    ("v1", "ServiceAccount", "tenantry-server"),
    (
        "rbac.authorization.k8s.io/v1",
        "RoleBinding",
        "tenantry-server",
    ),
    ("tenantry.dev/v1alpha1", "McpServer", "server"),
    ("v1", "Service", "server"),
    ("apps/v1", "StatefulSet", "server"),
];

#[test]
fn every_managed_field_changed_by_hand_heals_and_foreign_fields_stay() {
    let plane = Plane::shared();
    let acme = plane.onboard("healed");
    acme.wait_for_reason("ServerStarting");
    let runtime = Runtime::new().unwrap();
    let client = runtime.block_on(plane.client());
    let mut held: Vec<_> = KINDS
        .iter()
        .map(|child| runtime.block_on(take(&client, child)))
        .collect();
    let (mut healed, mut refused) = (0, vec![]);
    while held.iter().any(|child| !child.leaves.is_empty()) {
        let mut touched = vec![];
        for (number, child) in held.iter_mut().enumerate() {
            let Some(leaf) = child.leaves.pop() else {
                continue;
            };
            if runtime.block_on(child.disturb(&leaf)) {
                touched.push((number, leaf));
            } else {
                refused.push(format!("{}{leaf}", child.kind));
            }
        }
        for (number, leaf) in touched {
            let child = &held[number];
            wait_for(&format!("{} {leaf} to heal", child.kind), || {
                let now = content(&runtime.block_on(child.api.get(child.name))?);
                ensure!(now == child.before, "it is {now}");
                Ok(Some(()))
            })
            .unwrap();
            healed += 1;
        }
    }
    println!(
        "managed fields changed by hand: {healed} healed, {} the API server itself refused: {refused:#?}",
        refused.len()
    );
    assert!(healed > 80, "{healed} healed");
}

/// Puts foreign fields on a child, and lists the operator's.
async fn take(client: &Client, (version, kind, name): &(&str, &'static str, &'static str)) -> Held {
    let (group, version) = version.rsplit_once('/').unwrap_or(("", version));
    let gvk = kube::core::GroupVersionKind::gvk(group, version, kind);
    let resource = match *kind {
        "NetworkPolicy" => ApiResource::from_gvk_with_plural(&gvk, "networkpolicies"),
        _ => ApiResource::from_gvk(&gvk),
    };
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), "healed", &resource);
    let mut foreign = json!({"metadata": {"annotations": {"team": "a"}, "labels": {"team": "a"}}});
    if *kind == "StatefulSet" {
        let restarted = json!({"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"});
        foreign["spec"] = json!({"template": {"metadata": {"annotations": restarted}}});
    }
    let params = PatchParams::default();
    let object = api
        .patch(name, &params, &Patch::Merge(&foreign))
        .await
        .unwrap();
    let before = content(&object);
    let value = serde_json::to_value(&object).unwrap();
    let ours = object
        .metadata
        .managed_fields
        .into_iter()
        .flatten()
        .find(|entry| {
            let manager = entry.manager.as_deref().unwrap_or_default();
            manager.starts_with("tenantry/") && entry.operation.as_deref() == Some("Apply")
        })
        .unwrap();
    let mut leaves = vec![];
    collect(&ours.fields_v1.unwrap().0, &value, "", &mut leaves);
    Held {
        api,
        name,
        kind,
        before,
        leaves,
    }
}

/// The leaves of a field set, as JSON pointers into `value`.
fn collect(fields: &Value, value: &Value, pointer: &str, leaves: &mut Vec<String>) {
    let inner: Vec<_> = fields
        .as_object()
        .unwrap()
        .iter()
        .filter(|(key, _)| *key != ".")
        .collect();
    if inner.is_empty() {
        leaves.push(pointer.to_owned());
    }
    for (key, fields) in inner {
        let (kind, rest) = key.split_once(':').unwrap();
        let step = if kind == "f" {
            rest.replace('~', "~0").replace('/', "~1")
        } else {
            let keys: serde_json::Map<String, Value> = serde_json::from_str(rest).unwrap();
            let items = value.as_array().unwrap();
            let is_it = |item: &Value| keys.iter().all(|(key, want)| item[key] == *want);
            items.iter().position(is_it).unwrap().to_string()
        };
        let next = value.pointer(&format!("/{step}")).unwrap();
        collect(fields, next, &format!("{pointer}/{step}"), leaves);
    }
}

/// All that is not the API server's own bookkeeping or a report.
fn content(object: &DynamicObject) -> Value {
    let mut value = serde_json::to_value(object).unwrap();
    let all = value.as_object_mut().unwrap();
    all.remove("status");
    let metadata = all["metadata"].as_object_mut().unwrap();
    metadata.retain(|key, _| ["labels", "annotations", "ownerReferences"].contains(&key.as_str()));
    value
}

impl Held {
    /// Changes the leaf, or removes it where no other value is accepted.
    /// False where the API server accepts neither.
    async fn disturb(&self, leaf: &str) -> bool {
        let value = self.before.pointer(leaf).unwrap();
        let changed = match value {
            Value::String(text) => json!(format!("{text}x")),
            Value::Number(number) => json!(number.as_i64().unwrap() + 1),
            Value::Bool(is_true) => json!(!is_true),
            Value::Object(fields) => {
                let mut fields = fields.clone();
                fields.insert("hand".into(), json!("1"));
                Value::Object(fields)
            }
            Value::Array(items) => json!(items[1..]),
            Value::Null => return false,
        };
        let steps = [
            json!([{"op": "replace", "path": leaf, "value": changed}]),
            json!([{"op": "remove", "path": leaf}]),
        ];
        for step in steps {
            let patch = Patch::<Value>::Json(serde_json::from_value(step).unwrap());
            let answer = self
                .api
                .patch(self.name, &PatchParams::default(), &patch)
                .await;
            // Accepted and kept: some values are put right by the API server.
            if answer.is_ok_and(|object| content(&object) != self.before) {
                return true;
            }
        }
        false
    }
}
