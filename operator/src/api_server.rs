//! Where the API server is: network policies need its addresses, before and
//! behind its Service.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;

/// One place of the API server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    /// The address.
    pub ip: IpAddr,
    /// The port.
    pub port: u16,
}

/// Every place of the API server, in order: those behind the Service
/// `default/kubernetes`, and the Service's own. Network plugins differ in which
/// of the two they judge.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ApiServer {
    /// The places, each once.
    pub addresses: Vec<Address>,
}

impl ApiServer {
    /// The API server of the Service `default/kubernetes` and its slices.
    pub fn new<'a>(service: &Service, slices: impl IntoIterator<Item = &'a EndpointSlice>) -> Self {
        let spec = service.spec.as_ref();
        let ips = spec
            .and_then(|spec| spec.cluster_ips.as_ref())
            .into_iter()
            .flatten();
        let ports = spec
            .and_then(|spec| spec.ports.as_ref())
            .into_iter()
            .flatten()
            .map(|port| port.port);
        let mut addresses: Vec<_> = pairs(ips, ports).collect();
        for slice in slices {
            let ips = slice
                .endpoints
                .iter()
                .flat_map(|endpoint| &endpoint.addresses);
            let ports = slice.ports.iter().flatten().filter_map(|port| port.port);
            addresses.extend(pairs(ips, ports));
        }
        addresses.sort_unstable();
        addresses.dedup();
        Self { addresses }
    }
}

fn pairs<'a>(
    ips: impl Iterator<Item = &'a String>,
    ports: impl Iterator<Item = i32> + Clone,
) -> impl Iterator<Item = Address> {
    ips.filter_map(|text| text.parse().ok())
        .flat_map(move |ip| {
            let port = move |port| u16::try_from(port).ok().map(|port| Address { ip, port });
            ports.clone().filter_map(port)
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn service_and_every_endpoint_are_places() {
        let service = serde_json::from_value(json!({
            "spec": {"clusterIPs": ["10.96.0.1"], "ports": [{"port": 443}]},
        }))
        .unwrap();
        let slice = serde_json::from_value(json!({
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["192.0.2.2"]}, {"addresses": ["192.0.2.1"]}],
            "ports": [{"port": 6443}],
        }))
        .unwrap();
        let found = ApiServer::new(&service, [&slice]);
        let told: Vec<_> = found
            .addresses
            .iter()
            .map(|place| format!("{}:{}", place.ip, place.port))
            .collect();
        assert_eq!(told, ["10.96.0.1:443", "192.0.2.1:6443", "192.0.2.2:6443"]);
    }
}
