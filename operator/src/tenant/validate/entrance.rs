//! The way in that a tenant chose from the platform's list. Pure.

use tenantry_api::label;
use tenantry_api::mcp_tenant::Endpoint;

use crate::settings::Peer;
use crate::settings::gateway::{Gateway, Scheme, Way};

/// How clients outside the cluster reach a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entrance {
    /// The host.
    pub host: String,
    /// How they speak to the gateway.
    pub scheme: Scheme,
    /// How the server is put behind it.
    pub way: Way,
    /// The Secret with the host's certificate, where the gateway has none.
    pub tls: Option<String>,
    /// The gateway's pods.
    pub callers: Peer,
}

impl Entrance {
    /// Where clients reach the server.
    pub fn url(&self) -> String {
        format!(
            "{}://{}{}",
            self.scheme.as_str(),
            self.host,
            label::MCP_PATH
        )
    }
}

/// The entrance that `endpoint` means, or why it means none.
pub fn entrance(
    endpoint: Option<&Endpoint>,
    gateways: &[Gateway],
) -> Result<Option<Entrance>, String> {
    let Some(Endpoint {
        host: Some(host),
        gateway: Some(name),
        tls,
        ..
    }) = endpoint
    else {
        return Ok(None);
    };
    let found = gateways
        .iter()
        .find(|gateway| gateway.name.as_ref() == Some(name));
    let Some((gateway, way)) = found.and_then(|gateway| Some((gateway, gateway.way()?))) else {
        return Err(unknown(name, gateways));
    };
    if tls.is_some() && matches!(way, Way::HttpRoute(_)) {
        return Err(format!(
            "spec.endpoint.tls: the gateway `{name}` is a Gateway, whose listeners bring the certificate; leave tls out, or ask the platform team for a listener with one for `{host}`"
        ));
    }
    Ok(Some(Entrance {
        host: host.clone(),
        scheme: gateway.scheme,
        way,
        tls: tls.as_ref().map(|tls| tls.secret_name.clone()),
        callers: gateway.peer(),
    }))
}

fn unknown(name: &str, gateways: &[Gateway]) -> String {
    let names = gateways.iter().filter_map(|gateway| gateway.name.as_ref());
    let names: Vec<_> = names.map(|name| format!("`{name}`")).collect();
    let names = if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    };
    format!(
        "spec.endpoint.gateway: the platform has no gateway `{name}`; it has {names}; choose one, or ask the platform team to add it to network.gateways of the chart tenantry"
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn gateways() -> Vec<Gateway> {
        serde_json::from_value(json!([
            {"podSelector": {"matchLabels": {"app": "old"}}},
            {
                "name": "public", "podSelector": {"matchLabels": {"app": "envoy"}},
                "httpRoute": {"namespace": "gateways", "name": "public", "sectionName": "https"},
            },
            {
                "name": "inside", "podSelector": {"matchLabels": {"app": "nginx"}},
                "ingress": {"className": "nginx"}, "scheme": "http",
            },
        ]))
        .unwrap()
    }

    fn meant(endpoint: serde_json::Value) -> Result<Option<Entrance>, String> {
        let endpoint: Endpoint = serde_json::from_value(endpoint).unwrap();
        entrance(Some(&endpoint), &gateways())
    }

    #[test]
    fn a_tenant_comes_in_by_the_gateway_that_it_names() {
        let public = meant(json!({"host": "a.example.com", "gateway": "public"}));
        let public = public.unwrap().unwrap();
        assert_eq!(public.url(), "https://a.example.com/mcp");
        assert!(matches!(public.way, Way::HttpRoute(_)));
        let tls = json!({"secretName": "cert"});
        let inside = meant(json!({"host": "a.example.com", "gateway": "inside", "tls": tls}));
        let inside = inside.unwrap().unwrap();
        assert_eq!(inside.url(), "http://a.example.com/mcp");
        assert_eq!(inside.tls.as_deref(), Some("cert"));
        assert_eq!(meant(json!({"allowedOrigins": []})), Ok(None));
        assert_eq!(entrance(None, &gateways()), Ok(None));
    }

    #[test]
    fn a_gateway_that_is_not_there_is_refused_with_those_that_are() {
        let told = meant(json!({"host": "a.example.com", "gateway": "other"})).unwrap_err();
        assert!(
            told.contains("no gateway `other`; it has `public`, `inside`; choose one"),
            "{told}"
        );
        let endpoint: Endpoint =
            serde_json::from_value(json!({"host": "a.example.com", "gateway": "x"})).unwrap();
        assert!(
            entrance(Some(&endpoint), &[])
                .unwrap_err()
                .contains("it has none")
        );
    }

    #[test]
    fn a_route_brings_no_certificate() {
        let tls = json!({"secretName": "cert"});
        let told = meant(json!({"host": "a.example.com", "gateway": "public", "tls": tls}));
        assert!(
            told.unwrap_err()
                .starts_with("spec.endpoint.tls: the gateway `public`")
        );
    }
}
