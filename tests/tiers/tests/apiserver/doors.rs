//! Ways to the server that the operator may make, and ways out in Cilium's
//! words: from hosts to the server, from the server to named places.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::children::{CILIUM, ROUTES};
use crate::guard::Guarded;
use crate::plane::Plane;

fn ingress(namespace: &str) -> Value {
    let server = json!({"service": {"name": "server", "port": {"number": 8080}}});
    let path = json!({"path": "/mcp", "pathType": "Exact", "backend": server});
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": "server", "namespace": namespace},
        "spec": {
            "ingressClassName": "nginx",
            "rules": [{"host": "mcp.example", "http": {"paths": [path]}}],
        },
    })
}

#[test]
fn an_ingress_leads_to_the_server_and_shows_no_secret_that_was_not_named() {
    let guarded = Guarded::new("ingress");
    let leads = "leads from a host to the Service `server`";
    let other = json!({"service": {"name": "database", "port": {"number": 5432}}});
    let stored = json!({"resource": {"apiGroup": "a.example", "kind": "Bucket", "name": "b"}});
    let backend = "/spec/rules/0/http/paths/0/backend";
    let certificate = |name: &str| json!({"hosts": ["mcp.example"], "secretName": name});
    guarded.refuses(
        &ingress("ingress"),
        &[
            (backend, other.clone(), leads),
            (backend, stored, leads),
            ("/spec/defaultBackend", other, leads),
            ("/spec/rules/0/host", json!(""), leads),
            (
                "/spec/tls/-",
                certificate("meta-credentials"),
                "the operator may not use the certificate in the Secret `meta-credentials`: the McpTenant `ingress` does not name it",
            ),
            ("/metadata/name", json!("other"), "the operator builds no Ingress named `other`"),
        ],
    );
    let endpoint = json!({"spec": {"endpoint": {
        "host": "mcp.example", "gateway": "inside", "tls": {"secretName": "mcp-certificate"},
    }}})
    .to_string();
    let patch = [
        "patch",
        "-n",
        "ingress",
        "mcptenant/ingress",
        "--type=merge",
        "-p",
        &endpoint,
    ];
    guarded.plane.kubectl().run(&patch).unwrap();
    let mut declared = ingress("ingress");
    declared["spec"]["tls"] = json!([certificate("mcp-certificate")]);
    guarded.refuses(
        &declared,
        &[(
            "/spec/tls/-",
            certificate("mcp-tokens"),
            "may not use the certificate in the Secret `mcp-tokens`",
        )],
    );
}

/// A cluster that serves what the test's one does not, without an operator.
fn with_optional_kinds(name: &str) -> Guarded {
    let plane = Plane::without_operator().unwrap();
    let kubectl = plane.kubectl();
    for definition in [ROUTES, CILIUM] {
        kubectl.apply(definition).unwrap();
    }
    let established = [
        "wait",
        "--for=condition=Established",
        "crd",
        "--all",
        "--timeout=60s",
    ];
    kubectl.run(&established).unwrap();
    Guarded::on(Arc::new(plane), name)
}

#[test]
fn a_route_leads_to_the_server_and_a_way_out_to_named_places() {
    let guarded = with_optional_kinds("doors");
    routes(&guarded);
    ways_out(&guarded);
}

fn routes(guarded: &Guarded) {
    let server =
        json!({"group": "", "kind": "Service", "name": "server", "port": 8080, "weight": 1});
    let route = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": "server", "namespace": "doors"},
        "spec": {
            "parentRefs": [{"namespace": "gateway-system", "name": "public"}],
            "hostnames": ["mcp.example"],
            "rules": [{"matches": [{"path": {"type": "Exact", "value": "/mcp"}}], "backendRefs": [server]}],
        },
    });
    let leads = "leads from hosts to the Service `server` of its own namespace, unchanged";
    let mirror = json!({"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "other", "port": 80}}});
    let backend = "/spec/rules/0/backendRefs/0";
    guarded.refuses(
        &route,
        &[
            (&format!("{backend}/name"), json!("database"), leads),
            (&format!("{backend}/namespace"), json!("kube-system"), leads),
            ("/spec/rules/0/filters/-", mirror, leads),
            ("/spec/rules/0/backendRefs", json!([]), leads),
            ("/spec/hostnames", json!([]), leads),
            (
                "/metadata/name",
                json!("other"),
                "the operator builds no HTTPRoute named `other`",
            ),
        ],
    );
}

fn ways_out(guarded: &Guarded) {
    let pods =
        json!({"tenantry.dev/managed-by": "tenantry-operator", "tenantry.dev/component": "server"});
    let ports = json!([{"ports": [{"port": "443", "protocol": "TCP"}]}]);
    let policy = json!({
        "apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy",
        "metadata": {"name": "tenantry-server", "namespace": "doors"},
        "spec": {
            "endpointSelector": {"matchLabels": pods},
            "egress": [
                {"toEntities": ["kube-apiserver"], "toPorts": ports},
                {"toEndpoints": [{"matchLabels": {"k8s:k8s-app": "kube-dns"}}], "toPorts": ports},
                {"toFQDNs": [{"matchName": "collector.example"}], "toPorts": ports},
            ],
        },
    });
    let opens =
        "opens ports of the API server, of labelled pods and of named hosts, and nothing else";
    guarded.refuses(
        &policy,
        &[
            (
                "/spec/endpointSelector",
                json!({}),
                "selects the server's pods",
            ),
            (
                "/spec/ingress/-",
                json!({"fromEntities": ["all"]}),
                "lets nobody in",
            ),
            (
                "/spec/egress/-",
                json!({"toEntities": ["world"], "toPorts": ports}),
                opens,
            ),
            (
                "/spec/egress/-",
                json!({"toEndpoints": [{}], "toPorts": ports}),
                opens,
            ),
            (
                "/spec/egress/-",
                json!({"toCIDR": ["0.0.0.0/0"], "toPorts": ports}),
                opens,
            ),
            (
                "/spec/egress/-",
                json!({"toFQDNs": [{"matchPattern": "*"}], "toPorts": ports}),
                opens,
            ),
            (
                "/spec/egress/-",
                json!({"toEntities": ["kube-apiserver"]}),
                opens,
            ),
            ("/spec/egress/0/toEntities/-", json!("host"), opens),
            ("/spec/egress/-", json!({"toPorts": ports}), opens),
        ],
    );
}
