//! While something is in the way of a tenant (its suspension, a flaw in it)
//! nothing of it is changed, but for one thing: a stricter access goes through.
//! Whoever stops an organisation is not kept waiting for somebody's typing
//! error; whoever opens one is.

use std::collections::BTreeMap;
use std::fmt::Debug;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::api::{Patch, PatchParams};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tenantry_api::compile::declared_access;
use tenantry_api::label;
use tenantry_api::mcp_server::McpServer;
use tenantry_api::mcp_tenant::McpTenantSpec;
use tenantry_core::access::Access;
use tenantry_core::tenant::TenantConfig;

use super::build::read_contract;

/// The access that a tenant declares, whatever else is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    /// Of the whole tenant.
    pub access: Access,
    /// Of its accounts, by connector and id, where they say something.
    pub accounts: BTreeMap<(String, String), Access>,
}

impl Declared {
    /// What `spec` declares.
    pub fn of(spec: &McpTenantSpec) -> Self {
        let accounts = spec.connectors.iter().flat_map(|connector| {
            connector.accounts.iter().filter_map(|account| {
                let place = (connector.name.clone(), account.id.clone());
                Some((place, account.access?))
            })
        });
        Self {
            access: declared_access(spec),
            accounts: accounts.collect(),
        }
    }

    /// What a specification declares that this release cannot read as a whole.
    pub fn read(spec: &Value) -> Option<Self> {
        Some(Self {
            access: serde_json::from_value(spec.get("access")?.clone()).ok()?,
            accounts: BTreeMap::new(),
        })
    }
}

/// `placed` with the stricter access of both, if that makes a difference. Pure.
pub fn tightened(placed: &TenantConfig, declared: &Declared) -> Option<TenantConfig> {
    let mut contract = placed.clone();
    contract.access = contract.access.strictest(declared.access);
    for connector in &mut contract.connectors {
        for account in &mut connector.accounts {
            let place = (connector.name.to_string(), account.id.to_string());
            if let Some(access) = declared.accounts.get(&place) {
                account.access = account.access.strictest(*access);
            }
        }
    }
    (contract != *placed).then_some(contract)
}

/// The server as it is, after its access was tightened to what is declared. It
/// is the tenant's own, or none.
pub async fn tighten(
    client: &Client,
    tenant: &ObjectReference,
    declared: &Declared,
) -> Result<Option<McpServer>, kube::Error> {
    let Some(server) = mcp_server(client, tenant).await? else {
        return Ok(None);
    };
    let placed = read_contract(&server.spec).ok();
    let wanted = placed.and_then(|placed| tightened(&placed, declared));
    let Some(TenantConfig {
        access, connectors, ..
    }) = wanted
    else {
        return Ok(Some(server));
    };
    let namespace = tenant.namespace.as_deref().unwrap_or_default();
    tracing::info!(
        namespace,
        ?access,
        "a stricter access goes through, while the rest waits"
    );
    // Only if nobody has changed it since it was read.
    let patch = json!({
        "metadata": {"resourceVersion": server.resource_version()},
        "spec": {"access": access, "connectors": connectors},
    });
    let params = PatchParams {
        field_manager: tenant.uid.as_deref().map(label::field_manager),
        ..PatchParams::default()
    };
    let api: Api<McpServer> = Api::namespaced(client.clone(), namespace);
    api.patch(label::SERVER, &params, &Patch::Merge(&patch))
        .await
        .map(Some)
}

/// The tenant's McpServer as it is.
pub async fn mcp_server(
    client: &Client,
    tenant: &ObjectReference,
) -> Result<Option<McpServer>, kube::Error> {
    own(client, tenant).await
}

/// The tenant's StatefulSet as it is.
pub async fn stateful_set(
    client: &Client,
    tenant: &ObjectReference,
) -> Result<Option<StatefulSet>, kube::Error> {
    own(client, tenant).await
}

/// What of that kind belongs to the tenant. A namespace that let the operator
/// out shows it nothing.
async fn own<K>(client: &Client, tenant: &ObjectReference) -> Result<Option<K>, kube::Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned,
{
    let namespace = tenant.namespace.as_deref().unwrap_or_default();
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    match api.get_opt(label::SERVER).await {
        Err(kube::Error::Api(status)) if status.code == 403 => Ok(None),
        found => Ok(found?.filter(|object| {
            let mut owners = object.owner_references().iter();
            owners.any(|owner| Some(&owner.uid) == tenant.uid.as_ref())
        })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenant::example;

    fn placed(access: Access) -> TenantConfig {
        let mut contract = example::valid().contract;
        contract.access = access;
        contract
    }

    fn declared(access: Access, account: Option<Access>) -> Declared {
        let mut tenant = example::tenant();
        tenant.spec.access = access;
        tenant.spec.connectors[0].accounts[0].access = account;
        Declared::of(&tenant.spec)
    }

    #[test]
    fn a_stricter_access_goes_through_and_a_looser_one_does_not() {
        let stricter = tightened(&placed(Access::ReadOnly), &declared(Access::Disabled, None));
        assert_eq!(stricter, Some(placed(Access::Disabled)));
        let looser = tightened(
            &placed(Access::ReadOnly),
            &declared(Access::ReadWrite, None),
        );
        assert_eq!(looser, None);
    }

    #[test]
    fn the_same_holds_of_each_account() {
        let placed = placed(Access::ReadWrite);
        let declared = |account| declared(Access::ReadWrite, Some(account));
        let contract = tightened(&placed, &declared(Access::Disabled)).unwrap();
        assert_eq!(contract.connectors[0].accounts[0].access, Access::Disabled);
        assert_eq!(tightened(&contract, &declared(Access::ReadWrite)), None);
    }

    #[test]
    fn a_required_policy_freezes_here_too() {
        let mut tenant = example::tenant();
        tenant.spec.access = Access::ReadWrite;
        tenant.spec.required_policies = vec!["ads-budget".into()];
        let contract = tightened(&placed(Access::ReadWrite), &Declared::of(&tenant.spec));
        assert_eq!(contract.unwrap().access, Access::Frozen);
    }

    #[test]
    fn of_an_unreadable_tenant_the_access_can_still_be_read() {
        let declared = Declared::read(&json!({"access": "Disabled", "future": 1}));
        assert_eq!(declared.unwrap().access, Access::Disabled);
        assert_eq!(Declared::read(&json!({"access": "Sealed"})), None);
    }
}
