//! Whether the way in from outside the cluster leads to the server. Pure.

use kube::core::DynamicObject;
use serde_json::Value;
use tenantry_api::condition::{EXPOSED, Finding};
use tenantry_core::reason::Reason;

use crate::settings::gateway::Way;
use crate::tenant::validate::ValidTenant;

/// What is to say about the entrance of `tenant`, if it has one. An Ingress
/// says nothing of itself that every controller would mean; a route does.
pub fn finding(tenant: &ValidTenant, route: Option<&DynamicObject>) -> Option<Finding> {
    let entrance = tenant.entrance.as_ref()?;
    let told = |holds, reason, message: String| Some(Finding::new(EXPOSED, holds, reason, message));
    let Way::HttpRoute(parent) = &entrance.way else {
        let message = format!("an Ingress leads from `{}` to the server", entrance.host);
        return told(true, Reason::AsDeclared, message);
    };
    let gateway = format!("{}/{}", parent.namespace, parent.name);
    let Some(route) = route else {
        let message = tenant
            .lacks
            .iter()
            .find(|lack| lack.reason == Reason::GatewayApiMissing);
        let message = message.map(|lack| lack.message.clone()).unwrap_or_default();
        return told(false, Reason::GatewayApiMissing, message);
    };
    match accepted(route).as_slice() {
        [] => told(
            false,
            Reason::RoutePending,
            format!(
                "the Gateway `{gateway}` has not taken up HTTPRoute/server yet; see that it exists and takes routes of this namespace"
            ),
        ),
        words if words.iter().any(|(holds, _)| *holds) => told(
            true,
            Reason::AsDeclared,
            format!(
                "the Gateway `{gateway}` leads from `{}` to the server",
                entrance.host
            ),
        ),
        [(_, message), ..] => told(
            false,
            Reason::RouteRefused,
            format!("the Gateway `{gateway}` refuses HTTPRoute/server: {message}"),
        ),
    }
}

/// What each parent says of the present route: whether it accepts it, and why.
fn accepted(route: &DynamicObject) -> Vec<(bool, String)> {
    let parents = route
        .data
        .pointer("/status/parents")
        .and_then(Value::as_array);
    let conditions = parents
        .into_iter()
        .flatten()
        .filter_map(|parent| parent["conditions"].as_array())
        .flatten();
    let present = conditions
        .filter(|condition| condition["type"] == "Accepted")
        .filter(|condition| condition["observedGeneration"].as_i64() >= route.metadata.generation);
    let words = present.map(|condition| {
        let message = condition["message"].as_str().unwrap_or_default();
        (condition["status"] == "True", message.to_owned())
    });
    words.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::settings::Settings;
    use crate::tenant::example;
    use crate::tenant::optional::Served;
    use crate::tenant::validate::validate;

    fn tenant(served: bool) -> ValidTenant {
        let gateway = "{name: public, podSelector: {matchLabels: {app: envoy}}, httpRoute: {namespace: gateways, name: public}}";
        let settings = example::SETTINGS.replace("gateways: []", &format!("gateways: [{gateway}]"));
        let settings = Settings::read(&settings).unwrap();
        let mut tenant = example::tenant();
        let endpoint = json!({"host": "acme.example.com", "gateway": "public"});
        tenant.spec.endpoint = Some(serde_json::from_value(endpoint).unwrap());
        let mut found = example::found();
        found.served = Served {
            routes: served,
            cilium: false,
        };
        validate(&tenant, &found, &settings).unwrap()
    }

    fn word(status: &Value) -> (bool, Reason, String) {
        let route = json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "metadata": {"name": "server", "generation": 2}, "status": status,
        });
        let route = serde_json::from_value(route).unwrap();
        let found = finding(&tenant(true), Some(&route)).unwrap();
        (found.holds(), found.reason, found.message)
    }

    fn says(status: &str, generation: i64) -> Value {
        let condition = json!({
            "type": "Accepted", "status": status, "observedGeneration": generation, "message": "no listener",
        });
        json!({"parents": [{"conditions": [condition]}]})
    }

    #[test]
    fn a_route_leads_here_when_its_gateway_says_so_of_the_present_one() {
        assert_eq!(word(&says("True", 2)).1, Reason::AsDeclared);
        for unknown in [json!({}), json!({"parents": []}), says("True", 1)] {
            let (holds, reason, _) = word(&unknown);
            assert_eq!((holds, reason), (false, Reason::RoutePending), "{unknown}");
        }
        let (holds, reason, message) = word(&says("False", 2));
        assert_eq!((holds, reason), (false, Reason::RouteRefused));
        assert_eq!(
            message,
            "the Gateway `gateways/public` refuses HTTPRoute/server: no listener"
        );
    }

    #[test]
    fn a_cluster_without_the_gateway_api_is_told_so() {
        let tenant = tenant(false);
        assert_eq!(tenant.lacks[0].reason, Reason::GatewayApiMissing);
        let finding = finding(&tenant, None).unwrap();
        assert_eq!(finding.message, tenant.lacks[0].message);
        assert!(super::finding(&example::valid(), None).is_none());
    }
}
