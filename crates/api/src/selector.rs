//! Labels, as our forms select by them. Kubernetes' own LabelSelector reads
//! over a misspelt field, and a selector that lost a field selects more.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Labels that must be there, all of them. Empty, it selects everything.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Selector {
    /// Labels with these values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub match_labels: BTreeMap<String, String>,

    /// What else labels must say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub match_expressions: Vec<LabelExpression>,
}

/// What one label must say.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("self.operator in ['In', 'NotIn'] ? has(self.values) && self.values.size() > 0 : true").message("the operators In and NotIn need values"))]
#[x_kube(validation = Rule::new("self.operator in ['Exists', 'DoesNotExist'] ? !has(self.values) || self.values.size() == 0 : true").message("the operators Exists and DoesNotExist take no values"))]
pub struct LabelExpression {
    /// The label's key.
    #[schemars(length(min = 1, max = 316))]
    pub key: String,

    /// How the label is compared.
    pub operator: LabelOperator,

    /// What it is compared with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 63)))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub values: Vec<String>,
}

/// How a label is compared.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words are Kubernetes' own")]
pub enum LabelOperator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

impl Selector {
    /// Whether it selects what has these labels, by Kubernetes' own rules: a
    /// label that is not there is not in any values.
    pub fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        let is_there = |(key, value): (&String, &String)| labels.get(key) == Some(value);
        self.match_labels.iter().all(is_there)
            && self.match_expressions.iter().all(|one| one.holds(labels))
    }
}

impl LabelExpression {
    fn holds(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.key);
        let is_in = value.is_some_and(|value| self.values.contains(value));
        match self.operator {
            LabelOperator::In => is_in,
            LabelOperator::NotIn => !is_in,
            LabelOperator::Exists => value.is_some(),
            LabelOperator::DoesNotExist => value.is_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn labels_are_selected_as_kubernetes_selects_them() {
        let expression = |operator: &str, values: &[&str]| json!({"matchExpressions": [{"key": "tier", "operator": operator, "values": values}]});
        let both = json!({
            "matchLabels": {"tier": "gold"},
            "matchExpressions": [{"key": "region", "operator": "Exists"}],
        });
        for (selector, gold, silver, bare) in [
            (json!({}), true, true, true),
            (json!({"matchLabels": {"tier": "gold"}}), true, false, false),
            (expression("In", &["gold", "iron"]), true, false, false),
            (expression("NotIn", &["gold"]), false, true, true),
            (expression("Exists", &[]), true, true, false),
            (expression("DoesNotExist", &[]), false, false, true),
            (both, true, false, false),
        ] {
            let selector: Selector = serde_json::from_value(selector).unwrap();
            let selects =
                |labels: Value| selector.selects(&serde_json::from_value(labels).unwrap());
            let told = [
                selects(json!({"tier": "gold", "region": "eu"})),
                selects(json!({"tier": "silver"})),
                selects(json!({})),
            ];
            assert_eq!(told, [gold, silver, bare], "{selector:?}");
        }
    }
}
