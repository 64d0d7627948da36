//! Where the server may run: the narrow form of McpTenant in Kubernetes' words.

use k8s_openapi::api::core::v1::{
    Affinity, NodeAffinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, Toleration,
    TopologySpreadConstraint,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use tenantry_api::mcp_tenant::server::{
    Affinity as NodeNeeds, TaintEffect, Toleration as Tolerated, TolerationOperator,
    TopologySpread, WhenUnsatisfiable,
};
use tenantry_api::selector::{LabelExpression, LabelOperator};

use super::pod_labels;

/// What a node must be like.
pub fn affinity(needs: &NodeNeeds) -> Option<Affinity> {
    let expressions: Vec<_> = needs
        .required_node_expressions
        .iter()
        .map(expression)
        .collect();
    // No term is met by no node, and a term without expressions neither.
    (!expressions.is_empty()).then(|| Affinity {
        node_affinity: Some(NodeAffinity {
            required_during_scheduling_ignored_during_execution: Some(NodeSelector {
                node_selector_terms: vec![NodeSelectorTerm {
                    match_expressions: Some(expressions),
                    match_fields: None,
                }],
            }),
            ..NodeAffinity::default()
        }),
        ..Affinity::default()
    })
}

/// How replicas are kept apart.
pub fn spread(forms: &[TopologySpread]) -> Option<Vec<TopologySpreadConstraint>> {
    let constraint = |form: &TopologySpread| TopologySpreadConstraint {
        topology_key: form.topology_key.clone(),
        max_skew: form.max_skew.unwrap_or(1),
        when_unsatisfiable: match form.when_unsatisfiable {
            Some(WhenUnsatisfiable::DoNotSchedule) => "DoNotSchedule".into(),
            Some(WhenUnsatisfiable::ScheduleAnyway) | None => "ScheduleAnyway".into(),
        },
        label_selector: Some(LabelSelector {
            match_labels: Some(pod_labels()),
            match_expressions: None,
        }),
        ..TopologySpreadConstraint::default()
    };
    (!forms.is_empty()).then(|| forms.iter().map(constraint).collect())
}

/// A taint that is tolerated.
pub fn toleration(form: &Tolerated) -> Toleration {
    let operator = match form.operator {
        TolerationOperator::Equal => "Equal",
        TolerationOperator::Exists => "Exists",
    };
    let effect = form.effect.map(|effect| match effect {
        TaintEffect::NoSchedule => "NoSchedule",
        TaintEffect::PreferNoSchedule => "PreferNoSchedule",
        TaintEffect::NoExecute => "NoExecute",
    });
    Toleration {
        key: form.key.clone(),
        operator: Some(operator.into()),
        value: form.value.clone(),
        effect: effect.map(str::to_owned),
        toleration_seconds: None,
    }
}

fn expression(form: &LabelExpression) -> NodeSelectorRequirement {
    let operator = match form.operator {
        LabelOperator::In => "In",
        LabelOperator::NotIn => "NotIn",
        LabelOperator::Exists => "Exists",
        LabelOperator::DoesNotExist => "DoesNotExist",
    };
    NodeSelectorRequirement {
        key: form.key.clone(),
        operator: operator.into(),
        values: (!form.values.is_empty()).then(|| form.values.clone()),
    }
}
