//! The brake: stops an organisation, a connector or an account, and lets it go.

use kube::ResourceExt as _;
use kube::api::{DeleteParams, Preconditions};
use tenantry_api::mcp_freeze::{FrozenAccess, McpFreeze, McpFreezeSpec, Scope};

use super::kind::Kind;
use super::{Cluster, failed, tenant};
use crate::answer::{Answer, Unusable};
use crate::cli::freeze::{Freeze, Thaw};

/// Freezes.
pub async fn freeze(cluster: &Cluster, asked: &Freeze) -> Result<Answer, Unusable> {
    let scope = Scope {
        connector: asked.connector.clone(),
        account: asked.account.clone(),
    };
    tenant::has(
        cluster,
        scope.connector.as_deref(),
        scope.account.as_deref(),
    )
    .await?;
    let spec = McpFreezeSpec {
        scope,
        access: asked.access.into(),
        reason: asked.reason.clone(),
    };
    let (covered, access) = (covered(&spec.scope), asked.access.word());
    let usual = usual_name(&spec.scope);
    let names = match &asked.name {
        Some(name) => vec![name.clone()],
        // A weaker one may have the usual name.
        None => vec![usual.clone(), format!("{usual}-{access}")],
    };
    let namespace = &cluster.namespace;
    for name in &names {
        let freeze = McpFreeze::new(name, spec.clone());
        let created = of(cluster).create(&freeze).await;
        match created {
            Ok(()) => {}
            Err(kube::Error::Api(status)) if status.is_already_exists() => {
                let standing = of(cluster).known(name).await?;
                // One of a later release may hold less than is seen of it.
                let standing = standing.and_then(|standing| standing.whole().ok());
                let is_enough = |standing: &McpFreeze| {
                    standing.spec.scope == spec.scope
                        && strictness(standing.spec.access) >= strictness(spec.access)
                };
                match standing.filter(is_enough) {
                    Some(_) => {
                        let text =
                            format!("{name}: {covered} of `{namespace}` is stopped already\n");
                        return Ok(Answer::good(text));
                    }
                    None => continue,
                }
            }
            Err(error) => return Err(failed(&error)),
        }
        let text = format!("{name}: {covered} of `{namespace}` is {access} now\n");
        let note = format!("to lift it: {}", cluster.again(&format!("thaw {name}")));
        return Ok(Answer::good(text).noting(note));
    }
    Err(Unusable::refused(format!(
        "NOTHING WAS STOPPED: there is another freeze `{}` already, of something else or weaker; name this one with --name",
        names.join("` and `")
    )))
}

/// Lifts a freeze.
pub async fn thaw(cluster: &Cluster, asked: &Thaw) -> Result<Answer, Unusable> {
    let freezes = of(cluster);
    let (name, namespace) = (&asked.name, &cluster.namespace);
    let Some(found) = freezes.find(name).await? else {
        return Err(Unusable::refused(format!(
            "there is no freeze `{name}` in the namespace `{namespace}`; `kubectl get mcpfreezes -n {namespace}` lists them"
        )));
    };
    let that_one = DeleteParams {
        preconditions: Some(Preconditions {
            uid: found.uid(),
            ..Preconditions::default()
        }),
        ..DeleteParams::default()
    };
    freezes.delete(name, &that_one).await?;
    let covered = covered(&found.spec.scope);
    let answer = Answer::good(format!(
        "{name}: the freeze of {covered} of `{namespace}` is lifted\n"
    ));
    let left = freezes.all().await.unwrap_or_default();
    if left.is_empty() {
        return Ok(answer);
    }
    let names: Vec<_> = left.iter().map(kube::ResourceExt::name_any).collect();
    Ok(answer.noting(format!("still in force: {}", names.join(", "))))
}

fn strictness(access: FrozenAccess) -> u8 {
    match access {
        FrozenAccess::Frozen => 0,
        FrozenAccess::ReadOnly => 1,
        FrozenAccess::Disabled => 2,
    }
}

fn of(cluster: &Cluster) -> Kind<McpFreeze> {
    Kind::here(cluster)
}

/// What a freeze of that scope covers, for a sentence.
pub fn covered(scope: &Scope) -> String {
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
