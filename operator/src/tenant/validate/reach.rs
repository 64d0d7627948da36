//! Whom a server may talk to beside what every server needs, and who may talk
//! to it. Pure.

use std::net::IpAddr;

use tenantry_api::mcp_tenant::network::{MatchLabels, Network};

use crate::settings::{Peer, Selector};

/// Where credentials of the node lie, whatever a range says: link-local, where
/// most clouds keep their metadata, and what others use instead (AWS by IPv6,
/// Azure, Alibaba).
const NEVER: [&str; 5] = [
    "169.254.0.0/16",
    "fe80::/10",
    "fd00:ec2::254/128",
    "168.63.129.16/32",
    "100.100.100.200/32",
];

/// What is open for one tenant beside what every server needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    /// Who may call the server.
    pub callers: Vec<Peer>,
    /// Hosts by name, and their ports.
    pub hosts: Vec<(String, u16)>,
    /// Ranges of addresses.
    pub ranges: Vec<Range>,
    /// Whether vendors are called by way of a proxy alone.
    pub is_proxied: bool,
}

/// A range of addresses, and its port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// The range.
    pub cidr: String,
    /// What of it stays closed.
    pub except: Vec<String>,
    /// The port.
    pub port: u16,
}

/// What `network` opens, or everything that it must not.
pub fn reach(network: Option<&Network>) -> Result<Reach, Vec<String>> {
    let Some(network) = network else {
        return Ok(Reach::default());
    };
    let mut flaws = vec![];
    let mut reach = Reach {
        is_proxied: network.proxy.is_some(),
        ..Reach::default()
    };
    reach.callers = network
        .ingress_from
        .iter()
        .map(|peer| Peer {
            namespace_selector: peer.namespace_selector.as_ref().map(selector),
            pod_selector: peer.pod_selector.as_ref().map(selector),
        })
        .collect();
    for egress in &network.egress {
        reach
            .hosts
            .extend(egress.host.clone().map(|host| (host, egress.port)));
        let Some(cidr) = &egress.cidr else {
            continue;
        };
        match except(cidr) {
            Ok(except) => reach.ranges.push(Range {
                cidr: cidr.clone(),
                except,
                port: egress.port,
            }),
            Err(flaw) => flaws.push(format!("spec.network.egress[{cidr}]: {flaw}")),
        }
    }
    if flaws.is_empty() {
        Ok(reach)
    } else {
        Err(flaws)
    }
}

/// What of `cidr` stays closed.
fn except(cidr: &str) -> Result<Vec<String>, String> {
    let range = Block::parse(cidr).ok_or("it is no range of addresses, such as 10.1.2.0/24")?;
    let mut inside = vec![];
    for never in NEVER {
        let Some(closed) = Block::parse(never) else {
            continue;
        };
        if closed.holds(&range) {
            return Err(format!(
                "{never} is never opened: clouds keep the credentials of nodes there"
            ));
        }
        if range.holds(&closed) {
            inside.push(never.to_owned());
        }
    }
    Ok(inside)
}

fn selector(labels: &MatchLabels) -> Selector {
    Selector {
        match_labels: labels.match_labels.clone(),
    }
}

/// A range of addresses as numbers.
struct Block {
    is_v4: bool,
    first: u128,
    /// Of 128 bits; IPv4 lies in the last 32.
    host_bits: u32,
}

impl Block {
    fn parse(cidr: &str) -> Option<Self> {
        let (address, length) = cidr.split_once('/')?;
        let length: u32 = length.parse().ok()?;
        let (is_v4, bits, first) = match address.parse().ok()? {
            IpAddr::V4(address) => (true, 32, u128::from(address.to_bits())),
            IpAddr::V6(address) => (false, 128, address.to_bits()),
        };
        let host_bits = u32::checked_sub(bits, length)?;
        Some(Self {
            is_v4,
            first: masked(first, host_bits),
            host_bits,
        })
    }

    /// Whether all of `other` lies in this.
    fn holds(&self, other: &Self) -> bool {
        self.is_v4 == other.is_v4
            && self.host_bits >= other.host_bits
            && masked(other.first, self.host_bits) == self.first
    }
}

fn masked(address: u128, host_bits: u32) -> u128 {
    let mask = u128::MAX.checked_shl(host_bits).unwrap_or_default();
    address & mask
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn meant(network: serde_json::Value) -> Result<Reach, Vec<String>> {
        let network: Network = serde_json::from_value(network).unwrap();
        reach(Some(&network))
    }

    #[test]
    fn what_is_named_is_opened_and_nothing_else() {
        let selector = json!({"matchLabels": {"app": "agent"}});
        let open = meant(json!({
            "ingressFrom": [{"podSelector": selector}],
            "egress": [{"cidr": "10.1.2.0/24", "port": 5432}, {"host": "db.example.com", "port": 5432}],
            "proxy": "http://proxy.example:3128",
        }))
        .unwrap();
        assert_eq!(open.callers.len(), 1);
        assert_eq!(open.hosts, [("db.example.com".to_owned(), 5432)]);
        assert_eq!(open.ranges[0].cidr, "10.1.2.0/24");
        assert!(open.ranges[0].except.is_empty());
        assert!(open.is_proxied);
        assert_eq!(reach(None), Ok(Reach::default()));
    }

    #[test]
    fn where_credentials_of_nodes_lie_is_never_opened() {
        for cidr in [
            "169.254.169.254/32",
            "169.254.0.0/16",
            "fe80::/64",
            "168.63.129.16/32",
            "fd00:ec2::254/128",
        ] {
            let told = meant(json!({"egress": [{"cidr": cidr, "port": 80}]})).unwrap_err();
            assert!(told[0].contains("is never opened"), "{cidr}: {told:?}");
        }
        let wide = |cidr: &str| {
            let open = meant(json!({"egress": [{"cidr": cidr, "port": 80}]})).unwrap();
            open.ranges[0].except.clone()
        };
        assert_eq!(wide("168.0.0.0/8"), ["168.63.129.16/32"]);
        assert_eq!(wide("fd00::/8"), ["fd00:ec2::254/128"]);
        assert_eq!(wide("0.0.0.0/0").len(), 3);
        assert!(wide("10.0.0.0/8").is_empty());
    }

    #[test]
    fn what_is_no_range_is_told() {
        for cidr in ["10.0.0.0", "10.0.0.0/33", "here/8", "::/129"] {
            let told = meant(json!({"egress": [{"cidr": cidr, "port": 80}]})).unwrap_err();
            assert!(told[0].contains("it is no range of addresses"), "{cidr}");
        }
    }
}
