//! The ways in from outside the cluster, and whose pods they are.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::{Peer, Selector};

/// Pods that call servers. With a name, tenants may choose it for their
/// endpoint, and it reaches those tenants alone; without one it reaches all.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Gateway {
    /// What tenants call it in `spec.endpoint.gateway`.
    #[serde(default)]
    pub name: Option<String>,
    /// Labels of its pods' namespace.
    #[serde(default)]
    pub namespace_selector: Option<Selector>,
    /// Labels of its pods.
    #[serde(default)]
    pub pod_selector: Option<Selector>,
    /// Set where it is a Gateway of the Gateway API.
    #[serde(default)]
    pub http_route: Option<RouteParent>,
    /// Set where it is an ingress controller.
    #[serde(default)]
    pub ingress: Option<IngressClass>,
    /// How clients speak to it.
    #[serde(default)]
    pub scheme: Scheme,
}

/// A Gateway of the Gateway API, as a route names it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct RouteParent {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// One of its listeners; left out, all of them.
    #[serde(default)]
    pub section_name: Option<String>,
}

/// A class of Ingresses.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct IngressClass {
    /// Its name.
    pub class_name: String,
    /// What the controller wants to read on every Ingress.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
}

/// How clients speak to a gateway.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// In the clear; for clusters that end TLS before the gateway.
    Http,
    /// With TLS.
    #[default]
    Https,
}

/// How a server is put behind a gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// By an HTTPRoute.
    HttpRoute(RouteParent),
    /// By an Ingress.
    Ingress(IngressClass),
}

impl Gateway {
    /// Its pods.
    pub fn peer(&self) -> Peer {
        Peer {
            namespace_selector: self.namespace_selector.clone(),
            pod_selector: self.pod_selector.clone(),
        }
    }

    /// How a server is put behind it.
    pub fn way(&self) -> Option<Way> {
        let route = self.http_route.clone().map(Way::HttpRoute);
        route.or_else(|| self.ingress.clone().map(Way::Ingress))
    }
}

impl Scheme {
    /// The word before `://`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// What cannot be meant by `gateways`.
pub(super) fn check(gateways: &[Gateway]) -> Result<(), String> {
    let mut names = BTreeSet::new();
    for gateway in gateways {
        let ways = [gateway.http_route.is_some(), gateway.ingress.is_some()];
        let ways = ways.into_iter().filter(|is_set| *is_set).count();
        let Some(name) = &gateway.name else {
            if ways > 0 {
                return Err("a gateway with httpRoute or ingress has a name".into());
            }
            continue;
        };
        if ways != 1 {
            return Err(format!(
                "the gateway `{name}` has either httpRoute or ingress"
            ));
        }
        if !names.insert(name) {
            return Err(format!("the gateway `{name}` stands twice"));
        }
    }
    Ok(())
}
