//! Reading: what a decision about one tenant needs beside the tenant itself.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Namespace;
use kube::api::ListParams;
use kube::core::PartialObjectMeta;
use kube::{Api, Resource as _, ResourceExt as _};
use tenantry_api::mcp_tenant::McpTenant;
use tenantry_core::tenant::TenantConfig;

use crate::api_server::ApiServer;
use crate::context::Context;
use crate::freshness::reaches;
use crate::tenant::build::read_contract;
use crate::tenant::hold::{Server, mcp_server};
use crate::tenant::ledger;
use crate::tenant::unique::{Claimant, Loss, losses};
use crate::tenant::validate::{Claim, Found, Home};

/// What could not be read.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The tenants of the namespace.
    #[error("reading the McpTenants of the namespace `{namespace}`")]
    Neighbours {
        /// Which namespace.
        namespace: String,
        /// What the API server said.
        #[source]
        source: kube::Error,
    },
    /// The namespace itself.
    #[error("reading the namespace `{namespace}`")]
    Home {
        /// Which namespace.
        namespace: String,
        /// What the API server said.
        #[source]
        source: kube::Error,
    },
    /// What the tenant's server reports.
    #[error("reading the McpServer of the namespace `{namespace}`")]
    Server {
        /// Which namespace.
        namespace: String,
        /// What the API server said.
        #[source]
        source: kube::Error,
    },
    /// What the policies are.
    #[error("the SafetyPolicies are not known yet")]
    Policies,
    /// The API server's own endpoints.
    #[error("the EndpointSlice `default/kubernetes` is not known yet")]
    ApiServer,
}

/// What was seen.
pub enum Sight {
    /// The tenant is as it was told; and the server of its namespace.
    Current(Box<Found>, Server),
    /// The tenant is another one by now, or gone: the watch is behind and will
    /// tell.
    Outdated,
}

/// Reads what is needed to judge `tenant`. Who else claims the namespace, and
/// whether `tenant` is still the latest word, is read live: the watch may not
/// have told yet.
pub async fn fetch(
    tenant: &McpTenant,
    claimant: &Claimant,
    ctx: &Context,
) -> Result<Sight, FetchError> {
    let namespace = tenant.namespace().unwrap_or_default();
    let api: Api<McpTenant> = Api::namespaced(ctx.client.clone(), &namespace);
    let list = api.list_metadata(&ListParams::default()).await;
    let tenants = list.map_err(|source| FetchError::Neighbours {
        namespace: namespace.clone(),
        source,
    })?;
    if !is_current(tenant, &tenants.items) {
        return Ok(Sight::Outdated);
    }
    let slices = ctx.api_server_slices.state();
    if slices.is_empty() {
        return Err(FetchError::ApiServer);
    }
    let claims: Vec<_> = tenants
        .iter()
        .filter_map(|tenant| Claim::of(&tenant.metadata))
        .collect();
    let losses = wait_for_losses(claimant, Claim::first(&claims), ctx);
    let policies = ctx.policies.all().ok_or(FetchError::Policies)?;
    let home = home(&namespace, ctx).await?;
    // Who was not let in has no rights to try it by.
    let guard = match &home {
        Some(_) => Some(ctx.guard.standing(&ctx.client, &namespace).await),
        None => None,
    };
    // Last, because whoever changes it holds it to have stayed as it was.
    let server = mcp_server(&ctx.client, &namespace).await;
    let server = server.map_err(|source| FetchError::Server { namespace, source })?;
    let placed = placed(&server);
    let status = tenant.status.as_ref();
    let ledger = ledger::known(
        status.and_then(|status| status.ledger.as_ref()),
        placed.as_ref(),
        server.own(&tenant.object_ref(&())),
    );
    let found = Found {
        claims,
        losses,
        guard,
        home,
        api_server: ApiServer::new(&ctx.api_service, slices.iter().map(AsRef::as_ref)),
        served: ctx.optionals.served(),
        readable: readable_versions(&server),
        placed,
        ledger,
        policies,
    };
    Ok(Sight::Current(Box::new(found), server))
}

fn is_current(tenant: &McpTenant, live: &[PartialObjectMeta<McpTenant>]) -> bool {
    let mut same = live.iter().filter(|live| live.uid() == tenant.uid());
    let told = tenant.resource_version().unwrap_or_default();
    same.any(|live| reaches(&told, &live.resource_version().unwrap_or_default()))
}

/// What `tenant` has lost. From now on it is woken when one of those to whom it
/// lost something changes or goes, or the one who is first in its namespace.
pub fn wait_for_losses(tenant: &Claimant, first: Option<&Claim>, ctx: &Context) -> Vec<Loss> {
    let look = || {
        let tenants = ctx.tenants.state();
        let all = tenants.iter().map(|other| &other.claimant);
        losses(tenant, all, &ctx.settings)
    };
    let lost = look();
    let mut holders: BTreeSet<_> = lost.iter().map(|loss| loss.holder.clone()).collect();
    holders.extend(first.map(|first| first.uid.clone()));
    holders.remove(&tenant.uid);
    if holders.is_empty() {
        ctx.waiting.forget(&tenant.uid);
        return lost;
    }
    let reference = tenant.reference();
    ctx.waiting.wait(&tenant.uid, reference.clone(), holders);
    // Who went before that has been forgotten before that.
    if ctx.tenants.get(&reference).is_none() {
        ctx.waiting.forget(&tenant.uid);
    }
    // Whoever gave way before that has woken nobody.
    look()
}

/// The namespace, by the same rights by which the operator writes in it.
async fn home(namespace: &str, ctx: &Context) -> Result<Option<Home>, FetchError> {
    let api: Api<Namespace> = Api::all(ctx.client.clone());
    match api.get_metadata(namespace).await {
        Ok(found) => Ok(Some(Home {
            labels: found.labels().clone(),
        })),
        Err(kube::Error::Api(status)) if status.is_forbidden() => Ok(None),
        Err(source) => Err(FetchError::Home {
            namespace: namespace.to_owned(),
            source,
        }),
    }
}

/// The contract in force, if this release can read it. It is asked last of all
/// what an unaccepted policy was before.
fn placed(server: &Server) -> Option<TenantConfig> {
    match server {
        Server::Seen(Some(server)) => read_contract(&server.spec).ok(),
        _ => None,
    }
}

/// The contract versions that each replica reads, by its own report. A
/// namespace that let the operator out shows nothing.
fn readable_versions(server: &Server) -> Vec<Vec<String>> {
    let Server::Seen(Some(server)) = server else {
        return vec![];
    };
    let replicas = server.status.iter().flat_map(|status| &status.replicas);
    replicas
        .map(|replica| replica.contract_versions.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use kube::core::PartialObjectMetaExt as _;

    use super::*;
    use crate::tenant::example;

    #[test]
    fn a_tenant_that_is_another_one_by_now_is_not_acted_on() {
        let at = |uid: &str, version: &str| {
            let mut tenant = example::tenant();
            tenant.metadata.uid = Some(uid.into());
            tenant.metadata.resource_version = Some(version.into());
            tenant
        };
        let live = |uid: &str, version: &str| -> PartialObjectMeta<McpTenant> {
            at(uid, version).metadata.into_response_partial()
        };
        let told = at("1", "10");
        assert!(is_current(&told, &[live("2", "99"), live("1", "10")]));
        // The watch may be ahead of a live answer that took its time.
        assert!(is_current(&told, &[live("1", "9")]));
        assert!(!is_current(&told, &[live("1", "11")]));
        assert!(!is_current(&told, &[live("2", "10")]), "made anew");
        assert!(!is_current(&told, &[]), "gone");
        assert!(!is_current(&told, &[live("1", "x")]), "not comparable");
    }
}
