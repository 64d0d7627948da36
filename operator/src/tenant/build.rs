//! Drawing: every object of one tenant's server. Pure; one kind a file.

mod bounds;
mod cilium;
mod exposure;
mod network_policy;
mod pod;
mod rights;
mod scheduling;
mod stateful_set;

use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{
    LimitRange, ResourceQuota, Service, ServiceAccount, ServicePort, ServiceSpec,
};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::RoleBinding;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::core::DynamicObject;
use serde_json::Value;
use tenantry_api::label;
use tenantry_api::mcp_server::{McpServer, McpServerSpec};
use tenantry_core::contract_version::{WRITTEN, choose};
use tenantry_core::tenant::{CONTRACT_VERSION, ContractError, TenantConfig};

use crate::settings::Settings;
use crate::tenant::optional::Optional;
use crate::tenant::validate::{Found, ValidTenant};

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
    /// The same in Cilium's words, where it is served.
    pub cilium_policy: Option<DynamicObject>,
    /// What a stray container gets.
    pub limit_range: LimitRange,
    /// How much the namespace may hold.
    pub quota: Option<ResourceQuota>,
    /// How many replicas may be taken at a time.
    pub budget: Option<PodDisruptionBudget>,
    /// Its address.
    pub service: Service,
    /// The server.
    pub stateful_set: StatefulSet,
    /// The way in from a Gateway.
    pub route: Option<DynamicObject>,
    /// The way in from an ingress controller.
    pub ingress: Option<Ingress>,
    /// Whether they are in the cluster; only the steps may say so.
    pub(super) state: PhantomData<State>,
}

/// The name of the policy that denies everything.
pub const DEFAULT_DENY: &str = "tenantry-default-deny";
/// The name of the policy that permits what a server needs.
pub const SERVER_POLICY: &str = "tenantry-server";

/// The name of what bounds the namespace.
pub const BOUNDS: &str = "tenantry";

/// Draws everything of `tenant`; of kinds that are not served, nothing.
pub fn build(tenant: &ValidTenant, settings: &Settings, found: &Found) -> Children<Prepared> {
    let (api_server, served) = (&found.api_server, found.served);
    Children {
        service_account: rights::service_account(tenant),
        role_binding: rights::role_binding(tenant),
        mcp_server: mcp_server(tenant, &found.readable),
        default_deny: network_policy::default_deny(tenant),
        network_policy: network_policy::server(tenant, settings, api_server),
        cilium_policy: served
            .cilium
            .then(|| cilium::policy(tenant, &settings.network.dns, api_server)),
        limit_range: bounds::limit_range(tenant),
        quota: bounds::resource_quota(tenant, settings.quota.as_ref()),
        budget: bounds::disruption_budget(tenant),
        service: service(tenant),
        stateful_set: stateful_set::stateful_set(tenant, &settings.server),
        route: exposure::route(tenant).filter(|_| served.routes),
        ingress: exposure::ingress(tenant),
        state: PhantomData,
    }
}

impl<State> Children<State> {
    /// Which of the optional children are meant.
    pub fn optionals(&self) -> BTreeSet<Optional> {
        let meant = [
            (Optional::Budget, self.budget.is_some()),
            (Optional::Quota, self.quota.is_some()),
            (Optional::Route, self.route.is_some()),
            (Optional::Ingress, self.ingress.is_some()),
            (Optional::CiliumPolicy, self.cilium_policy.is_some()),
        ];
        let meant = meant.into_iter().filter(|(_, is_meant)| *is_meant);
        meant.map(|(kind, _)| kind).collect()
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

/// The contract, in the newest version that every replica reads.
fn mcp_server(tenant: &ValidTenant, readable: &[Vec<String>]) -> McpServer {
    let version = choose(WRITTEN, readable).unwrap_or(CONTRACT_VERSION);
    McpServer {
        metadata: metadata(tenant, label::SERVER),
        spec: contract_spec(&tenant.contract, version),
        status: None,
    }
}

/// A contract as it stands in the cluster.
pub(super) fn contract_spec(contract: &TenantConfig, version: &str) -> McpServerSpec {
    // A struct of strings, numbers and vectors always has a JSON object.
    let value = serde_json::to_value(contract).unwrap_or_default();
    let mut contract = value.as_object().cloned().unwrap_or_default();
    contract.remove("version");
    McpServerSpec {
        version: version.into(),
        contract,
    }
}

/// The contract that stands in the cluster, if this release can read it.
pub fn read_contract(spec: &McpServerSpec) -> Result<TenantConfig, ContractError> {
    let mut contract = spec.contract.clone();
    contract.insert("version".into(), Value::String(spec.version.clone()));
    TenantConfig::read(&Value::Object(contract))
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
            let mut found = example::found();
            let path = folder.join("served.yaml");
            if let Ok(served) = fs::read_to_string(path) {
                found.served = serde_saphyr::from_str(&served).unwrap();
            }
            let valid = validate(&tenant, &found, &settings).unwrap();
            let drawn = yaml(build(&valid, &settings, &found));
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
            cilium_policy,
            limit_range,
            quota,
            budget,
            service,
            stateful_set,
            route,
            ingress,
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
            serde_saphyr::to_string(&limit_range),
        ];
        let mut documents: Vec<_> = documents.map(Result::unwrap).into();
        documents.extend(quota.iter().map(|it| serde_saphyr::to_string(it).unwrap()));
        documents.extend(budget.iter().map(|it| serde_saphyr::to_string(it).unwrap()));
        documents.extend(
            ingress
                .iter()
                .map(|it| serde_saphyr::to_string(it).unwrap()),
        );
        let others = [cilium_policy, route].into_iter().flatten();
        documents.extend(others.map(|it| serde_saphyr::to_string(&it).unwrap()));
        documents.join("---\n")
    }
}
