//! What only Cilium's own policy can say: the API server wherever it runs, and
//! hosts by their names. It opens, as every policy does, beside the plain one.

use std::collections::BTreeSet;

use kube::core::DynamicObject;
use serde_json::{Map, Value, json};

use super::{SERVER_POLICY, metadata, pod_labels};
use crate::api_server::ApiServer;
use crate::settings::{Peer, Selector};
use crate::tenant::optional::Optional;
use crate::tenant::validate::ValidTenant;

/// Draws it: to the API server as an entity, because on a node of its own
/// Cilium does not judge it by address; to each named host, and to DNS through
/// Cilium's own proxy, which learns the addresses of names there.
pub fn policy(tenant: &ValidTenant, dns: &Peer, api_server: &ApiServer) -> DynamicObject {
    let ports: BTreeSet<_> = api_server
        .addresses
        .iter()
        .map(|place| place.port)
        .collect();
    let ports: Vec<_> = ports.into_iter().map(|port| to_port(port, "TCP")).collect();
    let mut egress = vec![];
    if !ports.is_empty() {
        egress.push(json!({"toEntities": ["kube-apiserver"], "toPorts": [{"ports": ports}]}));
    }
    if !tenant.reach.hosts.is_empty() {
        let rules = json!({"dns": [{"matchPattern": "*"}]});
        let ports = json!([{"ports": [to_port(53, "ANY")], "rules": rules}]);
        egress.push(json!({"toEndpoints": [{"matchLabels": endpoint(dns)}], "toPorts": ports}));
    }
    egress.extend(tenant.reach.hosts.iter().map(|(host, port)| {
        json!({"toFQDNs": [{"matchName": host}], "toPorts": [{"ports": [to_port(*port, "TCP")]}]})
    }));
    let spec = json!({
        "description": "What tenantry-server says, in words that a plain network policy lacks.",
        "endpointSelector": {"matchLabels": pod_labels()},
        "egress": egress,
    });
    let mut object = DynamicObject::new(SERVER_POLICY, &Optional::CiliumPolicy.resource());
    object.metadata = metadata(tenant, SERVER_POLICY);
    object.data(json!({"spec": spec}))
}

fn to_port(port: u16, protocol: &str) -> Value {
    json!({"port": port.to_string(), "protocol": protocol})
}

/// A peer in Cilium's labels.
fn endpoint(peer: &Peer) -> Map<String, Value> {
    const OF_NAMESPACE: &str = "k8s:io.cilium.k8s.namespace.labels.";
    let labels = |selector: &Option<Selector>, prefix: &str| {
        let labels = selector.iter().flat_map(|selector| &selector.match_labels);
        let named = labels.map(|(name, value)| (format!("{prefix}{name}"), json!(value)));
        named.collect::<Vec<_>>()
    };
    let mut all = labels(&peer.namespace_selector, OF_NAMESPACE);
    all.extend(labels(&peer.pod_selector, "k8s:"));
    all.into_iter().collect()
}
