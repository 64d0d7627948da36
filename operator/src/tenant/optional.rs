//! Kinds of children that a tenant may or may not have, in clusters that may or
//! may not serve them; and which of those that are there should not be.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::ResourceQuota;
use k8s_openapi::api::networking::v1::Ingress;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::{ApiResource, GroupVersionKind};
use serde::Deserialize;
use tenantry_api::label;

use crate::tenant::build::{BOUNDS, SERVER_POLICY};

/// A kind of child that a tenant may or may not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Optional {
    /// `PodDisruptionBudget/server`.
    Budget,
    /// `ResourceQuota/tenantry`.
    Quota,
    /// `HTTPRoute/server` of the Gateway API.
    Route,
    /// `Ingress/server`.
    Ingress,
    /// `CiliumNetworkPolicy/tenantry-server`.
    CiliumPolicy,
}

/// Which of the kinds that Kubernetes does not bring itself are served here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Served {
    /// HTTPRoutes of the Gateway API.
    pub routes: bool,
    /// Cilium's network policies.
    pub cilium: bool,
}

/// A child of an optional kind that is there.
#[derive(Debug, Clone, PartialEq)]
pub struct Present {
    /// Its kind.
    pub kind: Optional,
    /// Its metadata, as last heard.
    pub metadata: ObjectMeta,
}

impl Optional {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Budget,
        Self::Quota,
        Self::Route,
        Self::Ingress,
        Self::CiliumPolicy,
    ];

    /// How the API server knows the kind.
    pub fn resource(self) -> ApiResource {
        let foreign = |group, version, kind, plural| {
            let gvk = GroupVersionKind::gvk(group, version, kind);
            ApiResource::from_gvk_with_plural(&gvk, plural)
        };
        match self {
            Self::Budget => ApiResource::erase::<PodDisruptionBudget>(&()),
            Self::Quota => ApiResource::erase::<ResourceQuota>(&()),
            Self::Ingress => ApiResource::erase::<Ingress>(&()),
            Self::Route => foreign("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes"),
            Self::CiliumPolicy => foreign(
                "cilium.io",
                "v2",
                "CiliumNetworkPolicy",
                "ciliumnetworkpolicies",
            ),
        }
    }

    /// The name of the one child of this kind.
    pub fn name(self) -> &'static str {
        match self {
            Self::Budget | Self::Route | Self::Ingress => label::SERVER,
            Self::Quota => BOUNDS,
            Self::CiliumPolicy => SERVER_POLICY,
        }
    }
}

impl Served {
    /// Whether `kind` is served; what Kubernetes brings itself always is.
    pub fn has(self, kind: Optional) -> bool {
        match kind {
            Optional::Route => self.routes,
            Optional::CiliumPolicy => self.cilium,
            Optional::Budget | Optional::Quota | Optional::Ingress => true,
        }
    }
}

/// Of what is `present` in the namespace, the children of the tenant `uid` that
/// are not meant (any more). Only what is ours by label and by owner, and of a
/// kind that is `served`: of another one nothing was drawn, which says nothing of
/// what is meant. Pure.
pub fn superfluous<'a>(
    present: &'a [Present],
    meant: &BTreeSet<Optional>,
    served: Served,
    uid: &str,
) -> Vec<&'a Present> {
    let is_ours = |metadata: &ObjectMeta| {
        let labels = metadata.labels.iter().flatten();
        let mut owners = metadata.owner_references.iter().flatten();
        labels
            .into_iter()
            .any(|(name, value)| name == label::MANAGED_BY && value == label::OPERATOR)
            && owners.any(|owner| owner.controller == Some(true) && owner.uid == uid)
    };
    present
        .iter()
        .filter(|child| served.has(child.kind) && !meant.contains(&child.kind))
        .filter(|child| child.metadata.name.as_deref() == Some(child.kind.name()))
        .filter(|child| child.metadata.deletion_timestamp.is_none())
        .filter(|child| is_ours(&child.metadata))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn budget(change: &serde_json::Value) -> Present {
        let mut metadata = json!({
            "name": "server",
            "labels": {label::MANAGED_BY: label::OPERATOR},
            "ownerReferences": [{
                "apiVersion": "tenantry.dev/v1alpha1", "kind": "McpTenant", "name": "acme",
                "uid": "1", "controller": true,
            }],
        });
        metadata
            .as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        Present {
            kind: Optional::Budget,
            metadata: serde_json::from_value(metadata).unwrap(),
        }
    }

    #[test]
    fn what_is_ours_and_not_meant_goes() {
        let present = [budget(&json!({}))];
        assert_eq!(
            superfluous(&present, &BTreeSet::new(), Served::default(), "1").len(),
            1
        );
        let meant = BTreeSet::from([Optional::Budget]);
        assert!(superfluous(&present, &meant, Served::default(), "1").is_empty());
    }

    #[test]
    fn what_is_of_a_kind_that_is_not_served_just_now_stays() {
        let route = Present {
            kind: Optional::Route,
            ..budget(&json!({}))
        };
        let routes = |routes| Served {
            routes,
            ..Served::default()
        };
        let superfluous =
            |served| superfluous(std::slice::from_ref(&route), &BTreeSet::new(), served, "1").len();
        assert_eq!(superfluous(routes(false)), 0);
        assert_eq!(superfluous(routes(true)), 1);
    }

    #[test]
    fn what_is_somebody_elses_stays() {
        let controlled = json!([{
            "apiVersion": "v1", "kind": "A", "name": "a", "uid": "1", "controller": false,
        }]);
        for change in [
            json!({"labels": {}}),
            json!({"labels": {label::MANAGED_BY: "helm"}}),
            json!({"ownerReferences": []}),
            json!({"ownerReferences": controlled}),
            json!({"name": "other"}),
            json!({"deletionTimestamp": "2026-01-01T00:00:00Z"}),
        ] {
            let present = [budget(&change)];
            assert!(
                superfluous(&present, &BTreeSet::new(), Served::default(), "1").is_empty(),
                "{change}"
            );
        }
        assert!(
            superfluous(
                &[budget(&json!({}))],
                &BTreeSet::new(),
                Served::default(),
                "2"
            )
            .is_empty()
        );
    }
}
