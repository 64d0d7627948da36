//! The brake: stops an organisation, a connector or an account, and lets it go.

use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, PostParams};
use tenantry_api::mcp_freeze::{McpFreeze, McpFreezeSpec, Scope};

use super::{Cluster, failed};
use crate::answer::{Answer, Unusable};
use crate::cli::{Freeze, Thaw};

/// Freezes.
pub async fn freeze(cluster: &Cluster, asked: &Freeze) -> Result<Answer, Unusable> {
    let scope = Scope {
        connector: asked.connector.clone(),
        account: asked.account.clone(),
    };
    let covered = covered(&scope);
    let name = asked.name.clone().unwrap_or_else(|| usual_name(&scope));
    let spec = McpFreezeSpec {
        scope,
        access: asked.access.into(),
        reason: asked.reason.clone(),
    };
    let freeze = McpFreeze::new(&name, spec);
    match of(cluster).create(&PostParams::default(), &freeze).await {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.is_already_exists() => {
            return Err(Unusable::refused(format!(
                "there is a freeze `{name}` already: leave it, or name another one with --name"
            )));
        }
        Err(error) => return Err(failed(&error)),
    }
    let (access, namespace) = (asked.access.word(), &cluster.namespace);
    Ok(Answer::good(format!(
        "{name}: {covered} of `{namespace}` is {access} now\n"
    ))
    .noting(format!("to lift it: tenantry thaw {name} -n {namespace}")))
}

/// Lifts a freeze.
pub async fn thaw(cluster: &Cluster, asked: &Thaw) -> Result<Answer, Unusable> {
    let freezes = of(cluster);
    let found = freezes
        .get_opt(&asked.name)
        .await
        .map_err(|error| failed(&error))?;
    let (name, namespace) = (&asked.name, &cluster.namespace);
    let Some(found) = found else {
        return Err(Unusable::refused(format!(
            "there is no freeze `{name}` in the namespace `{namespace}`; `kubectl get mcpfreezes -n {namespace}` lists them"
        )));
    };
    let deleted = freezes
        .delete(&found.name_any(), &DeleteParams::default())
        .await;
    deleted.map_err(|error| failed(&error))?;
    let covered = covered(&found.spec.scope);
    Ok(Answer::good(format!(
        "{name}: {covered} of `{namespace}` is let go\n"
    )))
}

fn of(cluster: &Cluster) -> Api<McpFreeze> {
    Api::namespaced(cluster.client.clone(), &cluster.namespace)
}

fn covered(scope: &Scope) -> String {
    match (&scope.connector, &scope.account) {
        (Some(connector), Some(account)) => format!("the account {account} at {connector}"),
        (Some(connector), None) => format!("everything at {connector}"),
        (None, _) => "everything".to_owned(),
    }
}

/// A name that says what it covers; `_` of accounts is none of a name.
fn usual_name(scope: &Scope) -> String {
    let parts = [&scope.connector, &scope.account].into_iter().flatten();
    let parts: Vec<_> = parts
        .map(|part| part.to_lowercase().replace('_', "-"))
        .collect();
    if parts.is_empty() {
        "everything".to_owned()
    } else {
        parts.join("-")
    }
}
