//! Drawing: every object of one tenant's server. Pure; one kind a file.

mod network_policy;
mod pod;
mod rights;
mod stateful_set;

use std::collections::BTreeMap;
use std::marker::PhantomData;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Service, ServiceAccount, ServicePort, ServiceSpec};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::rbac::v1::RoleBinding;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tenantry_api::label;
use tenantry_api::mcp_server::{McpServer, McpServerSpec};
use tenantry_core::tenant::CONTRACT_VERSION;

use crate::api_server::ApiServer;
use crate::settings::Settings;
use crate::tenant::validate::ValidTenant;

/// Drawn, and nowhere yet.
#[derive(Debug, Clone, Copy)]
pub struct Prepared;

/// In the cluster, as the API server answered.
#[derive(Debug, Clone, Copy)]
pub struct Placed;

/// The objects of one tenant. Only `apply` turns prepared ones into placed
/// ones, so a report cannot speak of wishes.
#[derive(Debug, Clone)]
pub struct Children<State> {
    /// The server's identity.
    pub service_account: ServiceAccount,
    /// Its rights.
    pub role_binding: RoleBinding,
    /// Its contract, and its report.
    pub mcp_server: McpServer,
    /// Nothing comes in or goes out.
    pub default_deny: NetworkPolicy,
    /// But this.
    pub network_policy: NetworkPolicy,
    /// Its address.
    pub service: Service,
    /// The server.
    pub stateful_set: StatefulSet,
    /// Whether they are in the cluster; only the steps may say so.
    pub(super) state: PhantomData<State>,
}

/// The name of the policy that denies everything.
pub const DEFAULT_DENY: &str = "tenantry-default-deny";
/// The name of the policy that permits what a server needs.
pub const SERVER_POLICY: &str = "tenantry-server";

/// Draws everything of `tenant`.
pub fn build(
    tenant: &ValidTenant,
    settings: &Settings,
    api_server: &ApiServer,
) -> Children<Prepared> {
    Children {
        service_account: rights::service_account(tenant),
        role_binding: rights::role_binding(tenant),
        mcp_server: mcp_server(tenant),
        default_deny: network_policy::default_deny(tenant),
        network_policy: network_policy::server(tenant, settings, api_server),
        service: service(tenant),
        stateful_set: stateful_set::stateful_set(tenant, &settings.server),
        state: PhantomData,
    }
}

/// The labels by which the server's pods are found, by Service, policies and
/// `kubectl scale`.
pub fn pod_labels() -> BTreeMap<String, String> {
    BTreeMap::from([
        (label::MANAGED_BY.to_owned(), label::OPERATOR.to_owned()),
        (label::COMPONENT.to_owned(), label::SERVER.to_owned()),
    ])
}

fn mcp_server(tenant: &ValidTenant) -> McpServer {
    // A struct of strings, numbers and vectors always has a JSON object.
    let value = serde_json::to_value(&tenant.contract).unwrap_or_default();
    let mut contract = value.as_object().cloned().unwrap_or_default();
    contract.remove("version");
    McpServer {
        metadata: metadata(tenant, label::SERVER),
        spec: McpServerSpec {
            version: CONTRACT_VERSION.into(),
            contract,
        },
        status: None,
    }
}

fn service(tenant: &ValidTenant) -> Service {
    let port = ServicePort {
        name: Some("mcp".into()),
        port: label::MCP_PORT.into(),
        target_port: Some(IntOrString::String("mcp".into())),
        protocol: Some("TCP".into()),
        app_protocol: Some("http".into()),
        ..ServicePort::default()
    };
    Service {
        metadata: metadata(tenant, label::SERVER),
        spec: Some(ServiceSpec {
            // Said, so that a change to it is taken back.
            type_: Some("ClusterIP".into()),
            selector: Some(pod_labels()),
            ports: Some(vec![port]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

/// The metadata of a child. Only our own labels: what is copied from a tenant
/// could make a GitOps tool adopt or prune the child.
fn metadata(tenant: &ValidTenant, name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.into()),
        namespace: Some(tenant.namespace.clone()),
        labels: Some(labels(tenant)),
        owner_references: Some(vec![tenant.owner.clone()]),
        ..ObjectMeta::default()
    }
}

fn labels(tenant: &ValidTenant) -> BTreeMap<String, String> {
    let organization = tenant.contract.organization.to_string();
    let mut labels = pod_labels();
    labels.insert(label::ORGANIZATION.to_owned(), organization);
    labels
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::tenant::example;
    use crate::tenant::validate::validate;

    /// Every folder of `testdata` is a case: a tenant and settings as people
    /// write them, and every object that comes of them.
    #[test]
    fn what_is_drawn_is_as_recorded() {
        let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
        for case in fs::read_dir(cases).unwrap() {
            let folder = case.unwrap().path();
            let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
            let settings = Settings::read(&read("settings.yaml")).unwrap();
            let tenant = example::created(&read("tenant.yaml"));
            let found = example::found();
            let valid = validate(&tenant, &found, &settings).unwrap();
            let drawn = yaml(build(&valid, &settings, &found.api_server));
            insta::with_settings!({
                snapshot_path => &folder,
                prepend_module_to_snapshot => false,
                omit_expression => true,
            }, {
                insta::assert_snapshot!("objects", drawn);
            });
        }
    }

    fn yaml(children: Children<Prepared>) -> String {
        let Children {
            service_account,
            role_binding,
            mcp_server,
            default_deny,
            network_policy,
            service,
            stateful_set,
            state: PhantomData,
        } = children;
        let documents = [
            serde_saphyr::to_string(&default_deny),
            serde_saphyr::to_string(&network_policy),
            serde_saphyr::to_string(&service_account),
            serde_saphyr::to_string(&role_binding),
            serde_saphyr::to_string(&mcp_server),
            serde_saphyr::to_string(&service),
            serde_saphyr::to_string(&stateful_set),
        ];
        documents.map(Result::unwrap).join("---\n")
    }
}
