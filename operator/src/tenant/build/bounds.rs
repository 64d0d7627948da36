//! What the namespace may hold, and what must not be taken from the server.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    LimitRange, LimitRangeItem, LimitRangeSpec, ResourceQuota, ResourceQuotaSpec,
};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tenantry_api::label;

use super::pod::{CPU_REQUEST, MEMORY_LIMIT, MEMORY_REQUEST};
use super::{BOUNDS, metadata, pod_labels};
use crate::settings::allow::Quota;
use crate::tenant::validate::ValidTenant;

/// Of several replicas one may be taken at a time. Of one none could ever be,
/// and a node could not be drained; so there is no budget for one.
pub fn disruption_budget(tenant: &ValidTenant) -> Option<PodDisruptionBudget> {
    (tenant.server.replicas > 1).then(|| PodDisruptionBudget {
        metadata: metadata(tenant, label::SERVER),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(LabelSelector {
                match_labels: Some(pod_labels()),
                match_expressions: None,
            }),
            // A replica that does not answer is no reason to keep a node.
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".into()),
            ..PodDisruptionBudgetSpec::default()
        }),
        status: None,
    })
}

/// What a container gets that asks for nothing: as much as a server that asks
/// for nothing. No limit of CPU, because the server would get it too.
pub fn limit_range(tenant: &ValidTenant) -> LimitRange {
    let amounts = |amounts: &[(&str, &str)]| -> BTreeMap<String, Quantity> {
        let named = amounts
            .iter()
            .map(|(name, amount)| ((*name).to_owned(), Quantity((*amount).to_owned())));
        named.collect()
    };
    LimitRange {
        metadata: metadata(tenant, BOUNDS),
        spec: Some(LimitRangeSpec {
            limits: vec![LimitRangeItem {
                type_: "Container".into(),
                default: Some(amounts(&[("memory", MEMORY_LIMIT)])),
                default_request: Some(amounts(&[("cpu", CPU_REQUEST), ("memory", MEMORY_REQUEST)])),
                ..LimitRangeItem::default()
            }],
        }),
    }
}

/// How many objects the namespace may hold, where the platform bounds that.
pub fn resource_quota(tenant: &ValidTenant, quota: Option<&Quota>) -> Option<ResourceQuota> {
    let Quota {
        pods,
        persistent_volume_claims,
        services,
    } = quota?;
    let counts = [
        ("pods", pods),
        ("persistentvolumeclaims", persistent_volume_claims),
        ("services", services),
    ];
    let hard = counts.map(|(name, count)| (name.to_owned(), Quantity(count.to_string())));
    Some(ResourceQuota {
        metadata: metadata(tenant, BOUNDS),
        spec: Some(ResourceQuotaSpec {
            hard: Some(hard.into()),
            ..ResourceQuotaSpec::default()
        }),
        status: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenant::example;

    #[test]
    fn there_is_a_budget_for_several_replicas_and_none_for_one() {
        let mut tenant = example::valid();
        for replicas in [0, 1] {
            tenant.server.replicas = replicas;
            assert_eq!(disruption_budget(&tenant), None);
        }
        tenant.server.replicas = 3;
        let budget = disruption_budget(&tenant).unwrap().spec.unwrap();
        assert_eq!(budget.max_unavailable, Some(IntOrString::Int(1)));
        assert_eq!(budget.min_available, None);
    }

    #[test]
    fn a_quota_is_drawn_only_where_the_platform_wants_one() {
        let tenant = example::valid();
        assert_eq!(resource_quota(&tenant, None), None);
        let quota = Quota {
            pods: 4,
            persistent_volume_claims: 2,
            services: 1,
        };
        let hard = resource_quota(&tenant, Some(&quota))
            .unwrap()
            .spec
            .unwrap()
            .hard
            .unwrap();
        assert_eq!(hard["persistentvolumeclaims"], Quantity("2".into()));
        assert_eq!(hard.len(), 3);
    }
}
