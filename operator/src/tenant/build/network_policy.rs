//! What reaches the server's pods, and what they reach.

use std::collections::BTreeMap;
use std::net::IpAddr;

use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer,
    NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tenantry_api::label;

use super::{DEFAULT_DENY, SERVER_POLICY, metadata, pod_labels};
use crate::api_server::{Address, ApiServer};
use crate::settings::gateway::Gateway;
use crate::settings::{Peer, SandboxPeer, Selector, Settings};
use crate::tenant::validate::ValidTenant;
use crate::tenant::validate::reach::Range;

/// Where no vendor is: this network, private, shared (CGNAT), loopback,
/// link-local with the cloud's metadata, protocol assignments, documentation,
/// benchmarks, multicast and reserved (RFC 6890). Pods, Services and nodes lie
/// in these, whatever a network plugin makes of 0.0.0.0/0.
const NOT_PUBLIC: [&str; 14] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
];

const DNS_PORT: u16 = 53;
const HTTPS_PORT: u16 = 443;

/// Nothing in, nothing out, for every pod of ours. It has no owner: the pods
/// may outlive the tenant for a moment, and the policy outlives both.
pub fn default_deny(tenant: &ValidTenant) -> NetworkPolicy {
    let managed = BTreeMap::from([(label::MANAGED_BY.to_owned(), label::OPERATOR.to_owned())]);
    let metadata = ObjectMeta {
        owner_references: None,
        ..metadata(tenant, DEFAULT_DENY)
    };
    policy(metadata, managed, None, None)
}

/// What the server needs: its callers, its metrics, DNS, the API server, and
/// the vendors on the internet; in a sandbox the fakes as well.
pub fn server(tenant: &ValidTenant, settings: &Settings, api_server: &ApiServer) -> NetworkPolicy {
    let network = &settings.network;
    // A gateway with a name reaches those alone that chose it.
    let open = network
        .gateways
        .iter()
        .filter(|gateway| gateway.name.is_none());
    let mut callers: Vec<_> = open.map(Gateway::peer).collect();
    callers.extend(
        tenant
            .entrance
            .iter()
            .map(|entrance| entrance.callers.clone()),
    );
    callers.extend(tenant.reach.callers.iter().cloned());
    let ingress = [
        incoming(&callers, label::MCP_PORT),
        incoming(&network.scrapers, label::ADMIN_PORT),
    ];
    let mut egress = vec![outgoing(
        vec![peer(&network.dns)],
        vec![port("UDP", DNS_PORT), port("TCP", DNS_PORT)],
    )];
    egress.extend(api_server.addresses.iter().map(to_api_server));
    // With a proxy there is one way out, and the tenant has opened it.
    if !tenant.reach.is_proxied {
        egress.push(outgoing(vec![internet()], vec![port("TCP", HTTPS_PORT)]));
    }
    egress.extend(tenant.reach.ranges.iter().map(to_range));
    let fakes = settings.sandbox.iter().flat_map(|sandbox| &sandbox.egress);
    egress.extend(fakes.map(to_fake));
    let ingress: Vec<_> = ingress.into_iter().flatten().collect();
    let ingress = (!ingress.is_empty()).then_some(ingress);
    policy(
        metadata(tenant, SERVER_POLICY),
        pod_labels(),
        ingress,
        Some(egress),
    )
}

fn policy(
    metadata: ObjectMeta,
    pods: BTreeMap<String, String>,
    ingress: Option<Vec<NetworkPolicyIngressRule>>,
    egress: Option<Vec<NetworkPolicyEgressRule>>,
) -> NetworkPolicy {
    NetworkPolicy {
        metadata,
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(matching(pods)),
            policy_types: Some(vec!["Ingress".into(), "Egress".into()]),
            ingress,
            egress,
        }),
    }
}

/// Nobody to let in is no rule: a rule without peers lets everybody in.
fn incoming(peers: &[Peer], number: u16) -> Option<NetworkPolicyIngressRule> {
    (!peers.is_empty()).then(|| NetworkPolicyIngressRule {
        from: Some(peers.iter().map(peer).collect()),
        ports: Some(vec![port("TCP", number)]),
    })
}

fn outgoing(to: Vec<NetworkPolicyPeer>, ports: Vec<NetworkPolicyPort>) -> NetworkPolicyEgressRule {
    NetworkPolicyEgressRule {
        to: Some(to),
        ports: Some(ports),
    }
}

fn to_api_server(address: &Address) -> NetworkPolicyEgressRule {
    let length = match address.ip {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    };
    let only = block(format!("{}/{length}", address.ip), None);
    outgoing(vec![only], vec![port("TCP", address.port)])
}

fn to_range(range: &Range) -> NetworkPolicyEgressRule {
    let except = (!range.except.is_empty()).then(|| range.except.clone());
    outgoing(
        vec![block(range.cidr.clone(), except)],
        vec![port("TCP", range.port)],
    )
}

fn to_fake(fake: &SandboxPeer) -> NetworkPolicyEgressRule {
    let pods = NetworkPolicyPeer {
        namespace_selector: Some(selector(&fake.namespace_selector)),
        pod_selector: Some(selector(&fake.pod_selector)),
        ip_block: None,
    };
    outgoing(vec![pods], vec![port("TCP", fake.port)])
}

fn internet() -> NetworkPolicyPeer {
    let except = NOT_PUBLIC.map(str::to_owned).into();
    block("0.0.0.0/0".into(), Some(except))
}

fn block(cidr: String, except: Option<Vec<String>>) -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        ip_block: Some(IPBlock { cidr, except }),
        ..NetworkPolicyPeer::default()
    }
}

fn peer(peer: &Peer) -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        namespace_selector: peer.namespace_selector.as_ref().map(selector),
        pod_selector: peer.pod_selector.as_ref().map(selector),
        ip_block: None,
    }
}

fn selector(selector: &Selector) -> LabelSelector {
    matching(selector.match_labels.clone())
}

fn matching(labels: BTreeMap<String, String>) -> LabelSelector {
    LabelSelector {
        match_labels: Some(labels),
        match_expressions: None,
    }
}

fn port(protocol: &str, number: u16) -> NetworkPolicyPort {
    NetworkPolicyPort {
        protocol: Some(protocol.into()),
        port: Some(IntOrString::Int(number.into())),
        end_port: None,
    }
}
