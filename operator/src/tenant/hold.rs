//! While something is in the way of a tenant (its suspension, a flaw in it, an
//! older tenant) nothing of it is changed, but for what is less: a stricter access
//! goes through, and what it declares no more, or has lost, is given up. Whoever
//! stops an organisation is not kept waiting for somebody's typing error, and
//! another tenant may have by now what this one goes on using.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::api::{Patch, PatchParams};
use kube::core::DynamicObject;
use kube::{Api, Client, Resource, ResourceExt as _};
use serde_json::{Value, json};
use tenantry_api::compile::{hosts, missing};
use tenantry_api::label;
use tenantry_api::mcp_server::McpServer;
use tenantry_core::access::Access;
use tenantry_core::tenant::{ContractError, TenantConfig};

use super::apply::remove::remove;
use super::apply::{ApplyError, Tools};
use super::build::read_contract;
use super::declared::Declared;
use super::optional::{Optional, Present, superfluous};
use super::unique::{Key, Loss, without};
use crate::context::Context;

/// What keeps a server on what is not its own any more.
#[derive(Debug, thiserror::Error)]
pub enum HoldError {
    /// Its namespace lets the operator in no more.
    #[error("the namespace lets the operator out: a server in it goes on with what was lost")]
    LetOut,
    /// Its contract is of another release.
    #[error("reading the contract in force")]
    Form(#[source] ContractError),
    /// Its contract could not be written.
    #[error("limiting the contract in force")]
    Contract(#[source] kube::Error),
    /// What is in the namespace could not be read.
    #[error("reading what the tenant goes on with")]
    Look(#[source] kube::Error),
    /// A way in could not be shut.
    #[error("shutting a way in")]
    WayIn(#[source] ApplyError),
}

/// The McpServer of a namespace.
#[derive(Debug, Clone)]
pub enum Server {
    /// The namespace does not show it to the operator.
    Hidden,
    /// As it is, whoever's it is; or there is none.
    Seen(Option<Box<McpServer>>),
}

/// What a tenant that waits may go on with.
pub struct Held<'a> {
    /// No more than it declares.
    pub declared: &'a Declared,
    /// Nothing of these.
    pub losses: &'a [Loss],
}

impl Held<'_> {
    /// What of `placed`, the contract in force, the server in `namespace` may go
    /// on with; nothing if that is all. Pure.
    pub fn left(&self, placed: &TenantConfig, namespace: &str) -> Option<TenantConfig> {
        let Self { declared, losses } = self;
        let mut left = placed.clone();
        left.access = strictest(left.access, declared.access);
        // Policies stay as they were: another one may permit what none did.
        left.missing_policies
            .extend(missing(&declared.required_policies, &placed.policies));
        for connector in &mut left.connectors {
            let name = connector.name.to_string();
            connector.accounts.retain_mut(|account| {
                let place = (name.clone(), account.id.to_string());
                let Some(access) = declared.accounts.get(&place) else {
                    return false;
                };
                account.access = strictest(account.access, *access);
                true
            });
        }
        let inside = hosts(namespace);
        left.allowed_hosts
            .retain(|host| inside.contains(host) || declared.host.as_ref() == Some(host));
        let left = without(&left, losses).unwrap_or(left);
        (left != *placed).then_some(left)
    }

    /// The host to which a way in may lead.
    fn host(&self) -> Option<&str> {
        let is_lost = |host: &&String| {
            let mut keys = self.losses.iter().map(|loss| &loss.key);
            keys.any(|key| matches!(key, Key::Host(lost) if lost == *host))
        };
        let host = self.declared.host.as_ref();
        host.filter(|host| !is_lost(host)).map(String::as_str)
    }
}

impl Server {
    /// The server, if it is there, can be seen and is `tenant`'s own.
    pub fn own(&self, tenant: &ObjectReference) -> Option<&McpServer> {
        match self {
            Self::Seen(Some(server)) => {
                Some(server.as_ref()).filter(|server| is_own(*server, tenant))
            }
            _ => None,
        }
    }

    /// The server that is `tenant`'s own. Where it cannot be seen nothing can be
    /// done, which matters if there are `losses`: somebody else has them now.
    fn of(
        self,
        tenant: &ObjectReference,
        losses: &[Loss],
    ) -> Result<Option<Box<McpServer>>, HoldError> {
        match self {
            Self::Seen(server) => Ok(server.filter(|server| is_own(server.as_ref(), tenant))),
            Self::Hidden if losses.is_empty() => Ok(None),
            Self::Hidden => Err(HoldError::LetOut),
        }
    }
}

fn strictest(placed: Access, declared: Option<Access>) -> Access {
    placed.strictest(declared.unwrap_or(placed))
}

/// Holds the server of `tenant`, and the ways to it, to what is `held`; the server
/// as it is then, if it is the tenant's own. One failure keeps nothing else from
/// being held.
pub async fn keep_within(
    held: &Held<'_>,
    server: Server,
    tenant: &ObjectReference,
    ctx: &Context,
) -> Result<Option<McpServer>, HoldError> {
    let is_hidden = matches!(server, Server::Hidden);
    let server = server.of(tenant, held.losses)?;
    if is_hidden {
        // Nor are the ways in shown: it is one role that shows both.
        return Ok(None);
    }
    let shut = shut_others(held.host(), tenant, ctx).await;
    let server = match server {
        Some(server) => limit(held, *server, tenant, ctx).await.map(Some),
        None => Ok(None),
    };
    shut?;
    server
}

/// `server` with what is left of its contract.
async fn limit(
    held: &Held<'_>,
    server: McpServer,
    tenant: &ObjectReference,
    ctx: &Context,
) -> Result<McpServer, HoldError> {
    let namespace = tenant.namespace.as_deref().unwrap_or_default();
    let uid = tenant.uid.as_deref().unwrap_or_default();
    let placed = read_contract(&server.spec).map_err(HoldError::Form)?;
    let Some(left) = held.left(&placed, namespace) else {
        return Ok(server);
    };
    let (access, losses) = (left.access, held.losses.len());
    tracing::warn!(
        namespace,
        ?access,
        losses,
        "the server goes on with less, while the rest waits"
    );
    // Only if nobody has changed it since it was read.
    let mut patch = json!({
        "metadata": {"resourceVersion": server.resource_version()},
        "spec": {"access": access, "connectors": left.connectors, "allowedHosts": left.allowed_hosts},
    });
    if !left.missing_policies.is_empty() {
        patch["spec"]["missingPolicies"] = json!(left.missing_policies);
    }
    let params = PatchParams {
        field_manager: Some(label::field_manager(uid)),
        ..PatchParams::default()
    };
    let api: Api<McpServer> = Api::namespaced(ctx.client.clone(), namespace);
    let written = api
        .patch(label::SERVER, &params, &Patch::Merge(&patch))
        .await;
    let written = written.map_err(HoldError::Contract)?;
    // Nobody else did this.
    let object = format!("{}/{}", McpServer::kind(&()), label::SERVER);
    ctx.memory.forget(uid, &object);
    Ok(written)
}

/// Shuts the tenant's ways in that do not lead to `host`.
async fn shut_others(
    host: Option<&str>,
    tenant: &ObjectReference,
    ctx: &Context,
) -> Result<(), HoldError> {
    let namespace = tenant.namespace.as_deref().unwrap_or_default();
    let uid = tenant.uid.as_deref().unwrap_or_default();
    let present = ctx.optionals.present(namespace);
    let inside = BTreeSet::from([Optional::Budget, Optional::Quota, Optional::CiliumPolicy]);
    let tools = Tools {
        client: &ctx.client,
        memory: &ctx.memory,
    };
    for way in superfluous(&present, &inside, ctx.optionals.served(), uid) {
        let client = ctx.client.clone();
        let api: Api<DynamicObject> = Api::namespaced_with(client, namespace, &way.kind.resource());
        let found = api.get_opt(way.kind.name()).await;
        let Some(found) = found.map_err(HoldError::Look)? else {
            continue;
        };
        if leads_to(&found.data, host) {
            continue;
        }
        let found = Present {
            kind: way.kind,
            metadata: found.metadata,
        };
        let removed = remove(tools, namespace, uid, &found).await;
        removed.map_err(HoldError::WayIn)?;
    }
    Ok(())
}

/// Whether an HTTPRoute or Ingress has `host` among its hosts: what somebody added
/// to one of a suspended tenant is not the operator's business. Pure.
fn leads_to(way: &Value, host: Option<&str>) -> bool {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut hosts = list(&way["spec"]["hostnames"]);
    let rules = list(&way["spec"]["rules"]);
    hosts.extend(rules.iter().map(|rule| rule["host"].clone()));
    host.is_some_and(|host| hosts.iter().any(|mine| mine == host))
}

/// The McpServer of `namespace`.
pub async fn mcp_server(client: &Client, namespace: &str) -> Result<Server, kube::Error> {
    let api: Api<McpServer> = Api::namespaced(client.clone(), namespace);
    match api.get_opt(label::SERVER).await {
        Err(kube::Error::Api(status)) if status.is_forbidden() => Ok(Server::Hidden),
        found => Ok(Server::Seen(found?.map(Box::new))),
    }
}

/// The tenant's StatefulSet as it is. A namespace that let the operator out shows
/// it nothing.
pub async fn stateful_set(
    client: &Client,
    tenant: &ObjectReference,
) -> Result<Option<StatefulSet>, kube::Error> {
    let namespace = tenant.namespace.as_deref().unwrap_or_default();
    let api: Api<StatefulSet> = Api::namespaced(client.clone(), namespace);
    match api.get_opt(label::SERVER).await {
        Err(kube::Error::Api(status)) if status.is_forbidden() => Ok(None),
        found => Ok(found?.filter(|set| is_own(set, tenant))),
    }
}

fn is_own(object: &impl Resource, tenant: &ObjectReference) -> bool {
    let mut owners = object.owner_references().iter();
    owners.any(|owner| Some(&owner.uid) == tenant.uid.as_ref())
}

#[cfg(test)]
mod tests {
    use tenantry_core::policy::Policy;

    use super::*;
    use crate::tenant::build::build;
    use crate::tenant::example;

    fn placed(access: Access) -> TenantConfig {
        let mut contract = example::valid().contract;
        contract.access = access;
        contract
    }

    fn left(placed: &TenantConfig, declared: &Declared, losses: &[Loss]) -> Option<TenantConfig> {
        Held { declared, losses }.left(placed, "acme")
    }

    fn declared(access: Access, account: Option<Access>) -> Declared {
        let mut tenant = example::tenant();
        tenant.spec.access = access;
        tenant.spec.connectors[0].accounts[0].access = account;
        Declared::of(&tenant.spec)
    }

    fn loss(key: Key) -> Loss {
        Loss {
            key,
            holder: "1".into(),
            holder_name: "other/other".into(),
        }
    }

    #[test]
    fn a_stricter_access_goes_through_and_a_looser_one_does_not() {
        let placed = placed(Access::ReadOnly);
        let stricter = left(&placed, &declared(Access::Disabled, None), &[]);
        assert_eq!(stricter.unwrap().access, Access::Disabled);
        let looser = left(&placed, &declared(Access::ReadWrite, None), &[]);
        assert_eq!(looser, None);
        let unknown = Declared {
            access: None,
            ..declared(Access::ReadOnly, None)
        };
        assert_eq!(left(&placed, &unknown, &[]), None);
    }

    #[test]
    fn the_same_holds_of_each_account() {
        let placed = placed(Access::ReadWrite);
        let declared = |account| declared(Access::ReadWrite, Some(account));
        let contract = left(&placed, &declared(Access::Disabled), &[]).unwrap();
        assert_eq!(contract.connectors[0].accounts[0].access, Access::Disabled);
        assert_eq!(left(&contract, &declared(Access::ReadWrite), &[]), None);
    }

    #[test]
    fn a_required_policy_that_was_never_in_force_is_missed_here_too() {
        let mut now = declared(Access::ReadWrite, None);
        now.required_policies = vec!["ads".into(), "crm".into()];
        let mut placed = placed(Access::ReadWrite);
        placed.policies = vec![Policy::named("platform/ads")];
        let contract = left(&placed, &now, &[]).unwrap();
        assert_eq!(contract.missing_policies, ["crm".to_owned()].into());
        assert_eq!(contract.policies, placed.policies);
        // Looser is what waits.
        now.required_policies.clear();
        assert_eq!(left(&contract, &now, &[]), None);
    }

    #[test]
    fn what_is_declared_no_more_is_given_up_whatever_else_waits() {
        let mut placed = placed(Access::ReadOnly);
        let inside = placed.allowed_hosts.clone();
        placed.allowed_hosts.push("mcp.example.com".into());
        let mut now = declared(Access::ReadOnly, None);
        now.host = Some("mcp.example.com".into());
        assert_eq!(left(&placed, &now, &[]), None);
        now.host = Some("new.example.com".into());
        now.accounts.clear();
        let left = left(&placed, &now, &[]).unwrap();
        assert_eq!(left.connectors[0].accounts, []);
        assert_eq!(left.allowed_hosts, inside);
        assert_eq!(left.access, placed.access);
    }

    #[test]
    fn what_is_lost_is_given_up_with_what_is_declared_no_more() {
        let mut placed = placed(Access::ReadOnly);
        placed.allowed_hosts.push("mcp.example.com".into());
        let mut now = declared(Access::Disabled, None);
        now.host = Some("mcp.example.com".into());
        let account = Key::Account {
            connector: "meta".into(),
            id: "act_1".into(),
        };
        let losses = [loss(account), loss(Key::Host("mcp.example.com".into()))];
        let left = left(&placed, &now, &losses).unwrap();
        assert_eq!(left.access, Access::Disabled);
        assert_eq!(left.connectors[0].accounts, []);
        assert!(!left.allowed_hosts.contains(&"mcp.example.com".to_owned()));
    }

    #[test]
    fn what_is_lost_behind_a_closed_door_is_told() {
        let tenant = ObjectReference::default();
        let losses = [loss(Key::Organization("acme".into()))];
        let lost = Server::Hidden.of(&tenant, &losses);
        assert!(matches!(lost, Err(HoldError::LetOut)));
        assert!(matches!(Server::Hidden.of(&tenant, &[]), Ok(None)));
        assert!(matches!(Server::Seen(None).of(&tenant, &losses), Ok(None)));
    }

    #[test]
    fn the_server_of_another_tenant_is_nobodys_to_hold() {
        let owned_by = |uid: &str| ObjectReference {
            uid: Some(uid.into()),
            ..ObjectReference::default()
        };
        let server = build(&example::valid(), &example::settings(), &example::found()).mcp_server;
        let of = |uid| Server::Seen(Some(Box::new(server.clone()))).of(&owned_by(uid), &[]);
        assert!(of(example::UID).unwrap().is_some());
        assert!(of("another").unwrap().is_none());
    }

    #[test]
    fn a_way_in_leads_to_the_host_that_is_declared_and_not_lost() {
        let mut now = declared(Access::ReadOnly, None);
        now.host = Some("mcp.example.com".into());
        let lost = [loss(Key::Host("mcp.example.com".into()))];
        let host = |losses| {
            let declared = &now;
            Held { declared, losses }.host().map(str::to_owned)
        };
        assert_eq!(host(&[]).as_deref(), Some("mcp.example.com"));
        assert_eq!(host(&lost), None);
        let route = json!({"spec": {"hostnames": ["mcp.example.com"], "rules": [{"matches": []}]}});
        let ingress =
            json!({"spec": {"rules": [{"host": "mcp.example.com"}, {"host": "more.example.com"}]}});
        for way in [route, ingress] {
            assert!(leads_to(&way, Some("mcp.example.com")), "{way}");
            assert!(!leads_to(&way, Some("new.example.com")), "{way}");
            assert!(!leads_to(&way, None), "{way}");
        }
        assert!(!leads_to(
            &json!({"spec": {"rules": [{}]}}),
            Some("mcp.example.com")
        ));
    }
}
