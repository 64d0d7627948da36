//! Whom the server may talk to beside what it needs, and who may talk to it.

use std::collections::BTreeMap;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// What is open beside DNS, the API server and vendors on port 443.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Network {
    /// Pods that may call the server, beside the platform's gateways.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub ingress_from: Vec<IngressPeer>,

    /// What the server may call, beside the above.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub egress: Vec<Egress>,

    /// The HTTP proxy by which vendors are called, such as
    /// http://proxy.example:3128; `egress` must open the way to it. With a
    /// proxy, nothing else on port 443 is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 8, max = 256))]
    #[x_kube(validation = Rule::new("self.matches('^http://[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?$')").message("proxy is http://host or http://host:port, without user, password and path"))]
    pub proxy: Option<String>,
}

/// Pods, by the labels of their namespace and their own.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("has(self.namespaceSelector) || has(self.podSelector)").message("a peer has a namespaceSelector, a podSelector, or both"))]
pub struct IngressPeer {
    /// Labels of their namespace. Left out, this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<MatchLabels>,

    /// Their labels. Left out, all pods there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_selector: Option<MatchLabels>,
}

/// Labels that must all be there.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MatchLabels {
    /// The labels; at least one, because none would mean everybody.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 8))]
    pub match_labels: BTreeMap<String, String>,
}

/// A place that the server may call.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("has(self.host) != has(self.cidr)").message("an egress entry has either a host or a cidr"))]
pub struct Egress {
    /// A host by its full name; needs a network plugin that judges names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?([.][a-z0-9]([a-z0-9-]*[a-z0-9])?)+$')").message("host is a full name of lower-case words parted by `.`, such as db.example.com; no wildcard"))]
    pub host: Option<String>,

    /// Addresses, such as 10.1.2.0/24. Link-local addresses, where clouds
    /// keep their metadata, are never opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 43))]
    #[x_kube(validation = Rule::new("isCIDR(self) && cidr(self) == cidr(self).masked()").message("cidr is a range of addresses written from its first one, such as 10.1.2.0/24"))]
    #[x_kube(validation = Rule::new("!isCIDR(self) || (cidr(self).prefixLength() >= 8 && !cidr('169.254.0.0/16').containsCIDR(self) && !cidr('fe80::/10').containsCIDR(self) && !cidr(self).containsIP('169.254.169.254'))").message("cidr has a prefix of at least 8 and is not link-local"))]
    pub cidr: Option<String>,

    /// The port.
    #[schemars(range(min = 1, max = 65535))]
    #[schemars(extend("format" = "int32"))]
    pub port: u16,
}
