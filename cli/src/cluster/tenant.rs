//! The organisation of a namespace, as far as a command must know it: a brake
//! that holds nothing, and a key that opens nothing, must not look like one.

use kube::ResourceExt as _;
use tenantry_api::condition::GUARDED;
use tenantry_api::mcp_server::{McpServer, ReplicaReport};
use tenantry_api::mcp_tenant::McpTenant;

use super::Cluster;
use super::kind::Kind;
use crate::answer::Unusable;

/// The McpTenants of the namespace; nothing where they cannot be read, and that
/// is no reason to leave a brake unpulled.
pub async fn tenants(cluster: &Cluster) -> Option<Vec<McpTenant>> {
    let tenants = Kind::<McpTenant>::here(cluster).listed().await;
    tenants.ok().flatten()
}

/// That no organisation is in the namespace.
pub fn nobody(cluster: &Cluster) -> Unusable {
    let namespace = &cluster.namespace;
    Unusable::refused(format!(
        "there is no McpTenant in the namespace `{namespace}`: name the organisation's with -n"
    ))
}

/// What the replicas of these servers report.
pub fn replicas(servers: Vec<McpServer>) -> impl Iterator<Item = ReplicaReport> {
    let statuses = servers.into_iter().filter_map(|server| server.status);
    statuses.flat_map(|status| status.replicas)
}

/// The one of them that has the server: the oldest, as the operator has it.
pub fn served(tenants: &[McpTenant]) -> Option<&McpTenant> {
    tenants
        .iter()
        .min_by_key(|tenant| (tenant.creation_timestamp(), tenant.name_any()))
}

/// That there is an organisation in the namespace, as far as that can be seen.
pub async fn lives_here(cluster: &Cluster) -> Result<Option<Vec<McpTenant>>, Unusable> {
    let found = tenants(cluster).await;
    if found.as_ref().is_some_and(Vec::is_empty) {
        return Err(nobody(cluster));
    }
    Ok(found)
}

/// That such an account, or connector, is declared, as far as that can be seen.
pub async fn has(
    cluster: &Cluster,
    connector: Option<&str>,
    account: Option<&str>,
) -> Result<(), Unusable> {
    let (Some(found), Some(connector)) = (lives_here(cluster).await?, connector) else {
        return Ok(());
    };
    let declared = found.iter().flat_map(|tenant| &tenant.spec.connectors);
    let declared: Vec<_> = declared.filter(|one| one.name == connector).collect();
    let namespace = &cluster.namespace;
    if declared.is_empty() {
        return Err(Unusable::refused(format!(
            "the organisation in `{namespace}` has no connector `{connector}`, so this would stop nothing"
        )));
    }
    let Some(account) = account else {
        return Ok(());
    };
    let mut accounts = declared.iter().flat_map(|one| &one.accounts);
    if accounts.any(|one| one.id == account) {
        return Ok(());
    }
    Err(Unusable::refused(format!(
        "the organisation in `{namespace}` has no account `{account}` at {connector}, so this would stop nothing"
    )))
}

/// That decisions count at this moment, as far as that can be seen.
pub async fn is_guarded(cluster: &Cluster) -> Result<(), Unusable> {
    let found = tenants(cluster).await.unwrap_or_default();
    let conditions = found.iter().filter_map(|tenant| tenant.status.as_ref());
    let mut conditions = conditions.flat_map(|status| &status.conditions);
    let open = conditions.find(|one| one.type_ == GUARDED && one.status != "True");
    match open {
        None => Ok(()),
        Some(open) => Err(failed_guard(&open.reason, &open.message)),
    }
}

fn failed_guard(reason: &str, message: &str) -> Unusable {
    let (reason, message) = (super::cell(reason), super::cell(message));
    Unusable::refused(format!(
        "the server would take a yes for a no while nobody vouches for who decides: {reason}: {message}"
    ))
}
