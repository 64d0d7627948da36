//! The way from a gateway of the platform's to the server, for clients outside
//! the cluster: MCP's path and no other.

use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, HTTPIngressRuleValue, Ingress, IngressBackend, IngressRule,
    IngressServiceBackend, IngressSpec, IngressTLS, ServiceBackendPort,
};
use kube::core::DynamicObject;
use serde_json::json;
use tenantry_api::label;

use super::metadata;
use crate::settings::gateway::{IngressClass, RouteParent, Way};
use crate::tenant::optional::Optional;
use crate::tenant::validate::ValidTenant;
use crate::tenant::validate::entrance::Entrance;

/// The route of a Gateway, where the tenant's entrance is one.
pub fn route(tenant: &ValidTenant) -> Option<DynamicObject> {
    let entrance = tenant.entrance.as_ref()?;
    let Way::HttpRoute(RouteParent {
        namespace,
        name,
        section_name,
    }) = &entrance.way
    else {
        return None;
    };
    let mut parent = json!({
        "group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": namespace, "name": name,
    });
    if let Some(section) = section_name {
        parent["sectionName"] = json!(section);
    }
    let path = json!({"path": {"type": "Exact", "value": label::MCP_PATH}});
    let server = json!({
        "group": "", "kind": "Service", "name": label::SERVER, "port": label::MCP_PORT, "weight": 1,
    });
    let spec = json!({
        "parentRefs": [parent],
        "hostnames": [entrance.host],
        "rules": [{"matches": [path], "backendRefs": [server]}],
    });
    let mut object = DynamicObject::new(label::SERVER, &Optional::Route.resource());
    object.metadata = metadata(tenant, label::SERVER);
    Some(object.data(json!({"spec": spec})))
}

/// The Ingress, where the tenant's entrance is one.
pub fn ingress(tenant: &ValidTenant) -> Option<Ingress> {
    let Entrance { host, way, tls, .. } = tenant.entrance.as_ref()?;
    let Way::Ingress(IngressClass {
        class_name,
        annotations,
    }) = way
    else {
        return None;
    };
    let mut metadata = metadata(tenant, label::SERVER);
    metadata.annotations = (!annotations.is_empty()).then(|| annotations.clone());
    let server = IngressServiceBackend {
        name: label::SERVER.into(),
        port: Some(ServiceBackendPort {
            number: Some(label::MCP_PORT.into()),
            name: None,
        }),
    };
    let path = HTTPIngressPath {
        path: Some(label::MCP_PATH.into()),
        path_type: "Exact".into(),
        backend: IngressBackend {
            service: Some(server),
            resource: None,
        },
    };
    let certificate = |secret: &String| IngressTLS {
        hosts: Some(vec![host.clone()]),
        secret_name: Some(secret.clone()),
    };
    Some(Ingress {
        metadata,
        spec: Some(IngressSpec {
            ingress_class_name: Some(class_name.clone()),
            rules: Some(vec![IngressRule {
                host: Some(host.clone()),
                http: Some(HTTPIngressRuleValue { paths: vec![path] }),
            }]),
            tls: tls.as_ref().map(|secret| vec![certificate(secret)]),
            default_backend: None,
        }),
        status: None,
    })
}
