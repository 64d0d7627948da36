//! What the operator's own identity may build: a stolen token of it makes no
//! other pod, opens no other door and gives nobody rights.

use std::sync::Arc;

use serde_json::{Value, json};
use tenantry_tests::kubectl::{Kubectl, wait_for};

use tenantry_tests::namespace::example_as;

use crate::EXAMPLE;
use crate::plane::{OPERATOR, Plane};

/// A namespace that let the operator in, whose tenant is suspended: what
/// somebody creates there with the operator's token is not the operator's work.
pub struct Guarded {
    /// Where.
    pub plane: Arc<Plane>,
    /// kubectl with the operator's identity.
    pub operator: Kubectl,
    name: String,
}

impl Guarded {
    /// Makes one.
    pub fn new(name: &str) -> Self {
        Self::on(Plane::shared(), name)
    }

    /// Makes one on that plane.
    pub fn on(plane: Arc<Plane>, name: &str) -> Self {
        let file = example_as(EXAMPLE, name)
            .replace("  access: ReadOnly", "  suspend: true\n  access: ReadOnly");
        assert!(file.contains("suspend: true"));
        plane.kubectl().apply(&file).unwrap();
        let operator = plane.kubectl_as(OPERATOR);
        Self {
            plane,
            operator,
            name: name.into(),
        }
    }

    /// A child of another organisation as the operator really built it, as if
    /// it were for this namespace.
    pub fn built(&self, object: &str) -> Value {
        let model = self.plane.onboard(&format!("{}-model", self.name));
        let mut object = model.wait_for_object(object);
        object.as_object_mut().unwrap().remove("status");
        object["metadata"] = json!({
            "name": object["metadata"]["name"],
            "namespace": self.name,
            "labels": object["metadata"]["labels"],
        });
        if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
            spec.remove("clusterIP");
            spec.remove("clusterIPs");
        }
        if let Some(subject) = object.pointer_mut("/subjects/0") {
            subject["namespace"] = json!(self.name);
        }
        object
    }

    /// Holds `built` to be accepted, and every change of it to be refused in
    /// those words.
    pub fn refuses(&self, built: &Value, changes: &[(&str, Value, &str)]) {
        self.refuses_below("", built, changes);
    }

    /// The same for changes somewhere below `root`.
    pub fn refuses_below(&self, root: &str, built: &Value, changes: &[(&str, Value, &str)]) {
        // The policies' parameters may be a moment behind the namespace.
        wait_for("the unchanged object to be accepted", || {
            self.operator
                .refusal(built)
                .map(|told| match told.as_str() {
                    "" => Ok(Some(())),
                    _ => Err(anyhow::anyhow!(told)),
                })?
        })
        .unwrap();
        for (pointer, value, message) in changes {
            let mut forged = built.clone();
            *at(&mut forged, &format!("{root}{pointer}")) = value.clone();
            let told = self.operator.refusal(&forged).unwrap();
            assert!(
                told.contains(message),
                "{pointer} = {value}: expected `{message}` in `{told}`"
            );
        }
    }
}

/// The place of a JSON pointer, made if it is not there; `-` is a new element.
pub fn at<'a>(document: &'a mut Value, pointer: &str) -> &'a mut Value {
    pointer.split('/').skip(1).fold(document, |place, step| {
        let step = step.replace("~1", "/");
        if step == "-" {
            if !place.is_array() {
                *place = json!([]);
            }
            let list = place.as_array_mut().unwrap();
            list.push(Value::Null);
            return list.last_mut().unwrap();
        }
        match place {
            Value::Array(list) => &mut list[step.parse::<usize>().unwrap()],
            _ => &mut place[step],
        }
    })
}

#[test]
fn the_operator_builds_nothing_under_another_name() {
    let guarded = Guarded::new("named");
    for (object, kind, names) in [
        (
            "serviceaccount/tenantry-server",
            "ServiceAccount",
            "tenantry-server",
        ),
        ("service/server", "Service", "server"),
        ("statefulset/server", "StatefulSet", "server"),
        (
            "rolebinding/tenantry-server",
            "RoleBinding",
            "tenantry-server",
        ),
        (
            "networkpolicy/tenantry-server",
            "NetworkPolicy",
            "tenantry-default-deny, tenantry-server",
        ),
    ] {
        let message = format!("the operator builds no {kind} named `other`, only {names}");
        guarded.refuses(
            &guarded.built(object),
            &[("/metadata/name", json!("other"), &message)],
        );
    }
}

#[test]
fn every_kind_that_the_operator_may_create_is_guarded() {
    let plane = Plane::shared();
    let kubectl = plane.kubectl();
    let pairs = |rules: &Value| -> Vec<(Value, Value)> {
        let rules = rules.as_array().unwrap().iter();
        let pairs = rules.flat_map(|rule| {
            let resources = rule["resources"].as_array().unwrap().iter();
            resources.map(|resource| (rule["apiGroups"][0].clone(), resource.clone()))
        });
        pairs.collect()
    };
    let role = kubectl
        .get(&["clusterrole/tenantry-tenant-manager"])
        .unwrap();
    let creating = role["rules"].as_array().unwrap().iter();
    let creating = creating.filter(|rule| rule["verbs"].to_string().contains("create"));
    let created = pairs(&creating.cloned().collect());
    let policy = kubectl
        .get(&["validatingadmissionpolicy/tenantry-operator-names"])
        .unwrap();
    let guarded = pairs(&policy["spec"]["matchConstraints"]["resourceRules"]);
    assert!(!created.is_empty());
    for one in created {
        assert!(guarded.contains(&one), "{one:?} is not in {guarded:?}");
    }
}

#[test]
fn the_operator_binds_one_role_to_one_account() {
    let guarded = Guarded::new("binding");
    // `kubectl create` of a role that does not exist is refused by RBAC, one
    // that exists and is larger too; so the roles are ones without a rule more.
    let reader = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": {"name": "tenantry-server", "namespace": "binding"}, "rules": [],
    });
    guarded.plane.kubectl().apply(&reader.to_string()).unwrap();
    let only = "the operator binds rights to the ServiceAccount `tenantry-server` of the same namespace and to nobody else";
    guarded.refuses(
        &guarded.built("rolebinding/tenantry-server"),
        &[
            (
                "/roleRef/kind",
                json!("Role"),
                "the operator binds the ClusterRole `tenantry-server` and nothing else, not the Role `tenantry-server`",
            ),
            ("/subjects/0/namespace", json!("default"), only),
            ("/subjects/0/name", json!("default"), only),
            (
                "/subjects/-",
                json!({"kind": "ServiceAccount", "name": "default", "namespace": "binding"}),
                only,
            ),
            (
                "/subjects/0",
                json!({"kind": "User", "name": "mallory", "apiGroup": "rbac.authorization.k8s.io"}),
                only,
            ),
        ],
    );
}

#[test]
fn an_identity_and_a_service_are_the_servers_alone() {
    let guarded = Guarded::new("identity");
    let account = "has automountServiceAccountToken: false and names no secrets";
    guarded.refuses(
        &guarded.built("serviceaccount/tenantry-server"),
        &[
            ("/automountServiceAccountToken", json!(true), account),
            ("/secrets/-", json!({"name": "meta-credentials"}), account),
        ],
    );
    guarded.refuses(
        &guarded.built("service/server"),
        &[
            ("/spec/type", json!("LoadBalancer"), "is of type ClusterIP"),
            ("/spec/type", json!("NodePort"), "is of type ClusterIP"),
            (
                "/spec/externalIPs/-",
                json!("192.0.2.9"),
                "has no externalIPs",
            ),
            (
                "/spec/selector",
                json!({"app": "database"}),
                "selects the server's pods",
            ),
        ],
    );
}

#[test]
fn the_operator_leaves_the_walls_standing() {
    let guarded = Guarded::new("walls");
    let pods = "selects the pods of the operator and no others";
    guarded.refuses(
        &guarded.built("networkpolicy/tenantry-default-deny"),
        &[
            (
                "/spec/ingress/-",
                json!({}),
                "tenantry-default-deny opens nothing",
            ),
            (
                "/spec/egress/-",
                json!({}),
                "tenantry-default-deny opens nothing",
            ),
            ("/spec/podSelector", json!({}), pods),
            (
                "/spec/policyTypes",
                json!(["Egress"]),
                "is about Ingress and Egress",
            ),
        ],
    );
    let peers = "names its peers and its ports";
    let port = json!([{"protocol": "TCP", "port": 443}]);
    let open = |cidr: &str, except: Value| json!({"ports": port, "to": [{"ipBlock": {"cidr": cidr, "except": except}}]});
    let metadata = "reaches the metadata addresses of a cloud";
    guarded.refuses(
        &guarded.built("networkpolicy/tenantry-server"),
        &[
            ("/spec/podSelector", json!({}), pods),
            (
                "/spec/podSelector/matchExpressions/-",
                json!({"key": "a", "operator": "Exists"}),
                pods,
            ),
            ("/spec/ingress/-", json!({}), peers),
            ("/spec/ingress/-", json!({"ports": port}), peers),
            ("/spec/egress/-", json!({"ports": port}), peers),
            (
                "/spec/egress/-",
                json!({"to": [{"podSelector": {}}]}),
                peers,
            ),
            (
                "/spec/egress/-",
                open("0.0.0.0/0", json!(["10.0.0.0/8"])),
                metadata,
            ),
            (
                "/spec/egress/-",
                open("169.254.169.254/32", json!([])),
                metadata,
            ),
            ("/spec/egress/-", open("fd00::/8", json!([])), metadata),
        ],
    );
}

#[test]
fn the_role_that_lets_the_operator_in_is_the_operators_alone() {
    let plane = Plane::shared();
    let kubectl = plane.kubectl();
    let alone = "tenantry-tenant-manager is bound to the operator alone, the ServiceAccount tenantry-system/tenantry-operator";
    let binding = |kind: &str, subject: Value| {
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind,
            "metadata": {"name": "more", "namespace": "default"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "tenantry-tenant-manager"},
            "subjects": [subject],
        })
    };
    let account = |namespace: &str, name: &str| json!({"kind": "ServiceAccount", "name": name, "namespace": namespace});
    let operator = account("tenantry-system", "tenantry-operator");
    let user = json!({"kind": "User", "name": "mallory", "apiGroup": "rbac.authorization.k8s.io"});
    assert_eq!(
        kubectl
            .refusal(&binding("RoleBinding", operator.clone()))
            .unwrap(),
        ""
    );
    for subject in [
        account("default", "tenantry-operator"),
        account("tenantry-system", "default"),
        user,
    ] {
        let told = kubectl.refusal(&binding("RoleBinding", subject)).unwrap();
        assert!(told.contains(alone), "{told}");
    }
    let mut everywhere = binding("ClusterRoleBinding", operator);
    everywhere["metadata"] = json!({"name": "more"});
    let told = kubectl.refusal(&everywhere).unwrap();
    assert!(told.contains("never for the whole cluster"), "{told}");
}
