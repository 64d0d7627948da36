//! What an edit of policies would change, before it is applied: whom they bind, and
//! which changes of the past would have been decided otherwise.

mod past;

use std::fmt::Write as _;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use kube::ResourceExt as _;
use kube::api::Api;
use serde::Serialize;
use tenantry_api::compile::policy::Origin;
use tenantry_api::label;
use tenantry_api::mcp_server::McpServer;
use tenantry_api::mcp_tenant::McpTenant;
use tenantry_api::selector::Selector;
use tenantry_core::cause::chain;
use tenantry_core::policy::Policy;
use tenantry_core::tenant::TenantConfig;

use past::{Otherwise, Past, different, judged};

use super::activity::{seconds, table};
use super::kind::Kind;
use super::{Cluster, for_programs, listed, tenant};
use crate::answer::{Answer, Unusable};
use crate::cli::activity::Plan;
use crate::policy::given::{self, Given};

/// What an edit would change.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Planned {
    policies: Vec<Bound>,
    changes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<Timestamp>,
    different: Vec<Otherwise>,
}

/// A policy, and whom it would bind.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Bound {
    policy: String,
    /// Whether one of that name is in force.
    is_edit: bool,
    /// Namespaces of organisations; nothing where they may not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    binds: Option<Vec<String>>,
}

/// Says what it would.
pub async fn plan(cluster: &Cluster, asked: &Plan, now: Timestamp) -> Result<Answer, Unusable> {
    let given = if asked.policy.is_empty() {
        Vec::new()
    } else {
        given::read(&asked.policy)?
    };
    let in_force = in_force(cluster).await?;
    for name in &asked.without {
        if !in_force.iter().any(|policy| policy.name == *name) {
            return Err(Unusable::refused(format!(
                "no policy `{name}` is in force here: {}",
                names(&in_force)
            )));
        }
    }
    let mut policies = Vec::new();
    for one in &given {
        policies.push(bound(cluster, one, &in_force).await?);
    }
    let mut then = in_force.clone();
    then.retain(|policy| !asked.without.contains(&policy.name));
    for (one, bound) in given.iter().zip(&policies) {
        then.retain(|policy| policy.name != one.policy.name);
        let binds = bound.binds.as_ref();
        if binds.is_none_or(|binds| binds.contains(&cluster.namespace)) {
            then.push(one.policy.clone());
        }
    }
    let (past, is_whole) = past::read(cluster, asked).await?;
    let judged = judged(&past, is_whole, &in_force, &then);
    let decided = past.iter().skip(judged);
    let planned = Planned {
        policies,
        changes: decided.clone().count(),
        since: decided.clone().next().map(Past::at),
        different: different(&past, judged, (&in_force, &then), now),
    };
    let is_good = planned.different.is_empty();
    let text = match for_programs(&planned, asked.output) {
        Some(text) => text?,
        None => told(&planned),
    };
    Ok(Answer {
        is_good,
        ..Answer::good(text)
    })
}

/// The policies in force, as the server has them.
async fn in_force(cluster: &Cluster) -> Result<Vec<Policy>, Unusable> {
    let server = Kind::<McpServer>::here(cluster).find(label::SERVER).await?;
    let server = server.ok_or_else(|| tenant::nobody(cluster))?;
    let contract = serde_json::to_value(&server.spec).unwrap_or_default();
    let contract = TenantConfig::read(&contract);
    let contract = contract.map_err(|error| {
        let told = chain(&error);
        Unusable::because(format!(
            "the contract of the server is of another release: {told}"
        ))
    })?;
    Ok(contract.policies)
}

/// Whom a policy would bind.
async fn bound(cluster: &Cluster, given: &Given, in_force: &[Policy]) -> Result<Bound, Unusable> {
    let name = &given.policy.name;
    let is_edit = in_force.iter().any(|policy| policy.name == *name);
    let own = &cluster.namespace;
    let binds = match given::origin(&given.form) {
        Origin::Organization => {
            let meant = given.form.namespace().filter(|meant| meant != own);
            if let Some(other) = meant {
                return Err(Unusable::refused(format!(
                    "`{name}` is a policy of the namespace `{other}`, and `{own}` is asked about"
                )));
            }
            Some(vec![own.clone()])
        }
        Origin::Platform => selected(cluster, given).await?,
    };
    Ok(Bound {
        policy: name.clone(),
        is_edit,
        binds,
    })
}

/// The namespaces of organisations that a policy of the platform selects; nothing
/// where they may not be listed.
async fn selected(cluster: &Cluster, given: &Given) -> Result<Option<Vec<String>>, Unusable> {
    let Some(selector) = &given.form.spec.namespace_selector else {
        return Ok(None);
    };
    let namespaces: Api<Namespace> = Api::all(cluster.client.clone());
    let namespaces = listed(&namespaces).await?;
    let tenants = Kind::<McpTenant>::everywhere(cluster).listed().await?;
    let Some((namespaces, tenants)) = namespaces.zip(tenants) else {
        return Ok(None);
    };
    let is_selected = |namespace: &&Namespace| Selector::selects(selector, namespace.labels());
    let has_tenant = |name: &String| {
        let mut tenants = tenants.iter();
        tenants.any(|tenant| tenant.namespace().as_ref() == Some(name))
    };
    let names = namespaces.iter().filter(is_selected);
    let names = names.map(kube::ResourceExt::name_any);
    Ok(Some(names.filter(has_tenant).collect()))
}

fn told(planned: &Planned) -> String {
    let mut text = String::new();
    for one in &planned.policies {
        let what = if one.is_edit { "edited" } else { "new" };
        let binds = match &one.binds {
            None => "whom it binds cannot be read; it is taken to bind this organisation".into(),
            Some(binds) if binds.is_empty() => "binds nobody".to_owned(),
            Some(binds) => format!("binds {}", binds.join(", ")),
        };
        // Writing to a text cannot fail.
        let _ = writeln!(text, "{} ({what}): {binds}", one.policy);
    }
    let since = planned.since;
    let since = since.map_or_else(String::new, |at| {
        format!(" since {}", seconds(&at.to_string()))
    });
    let (count, different) = (planned.changes, planned.different.len());
    let _ = writeln!(
        text,
        "{count} changes{since}: {different} would have been decided otherwise"
    );
    if planned.different.is_empty() {
        return text;
    }
    let rows = planned.different.iter().map(|one| {
        [
            seconds(&one.at.to_string()),
            one.change_id.clone(),
            one.change.clone(),
            one.now.clone(),
            one.then.clone(),
            one.rules.join(", "),
        ]
    });
    text.push_str(&table(["AT", "ID", "CHANGE", "NOW", "THEN", "RULES"], rows));
    text
}

fn names(policies: &[Policy]) -> String {
    let names: Vec<_> = policies.iter().map(|policy| policy.name.as_str()).collect();
    if names.is_empty() {
        "there is none".into()
    } else {
        names.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::past::tests::{policy, raise};
    use super::*;

    #[test]
    fn what_would_be_decided_otherwise_is_told_with_its_rules() {
        let past = [raise(1, 140, "applied"), raise(2, 110, "applied")];
        let asks = policy(&json!({"approvals": [{
            "name": "large", "approverClass": "finance", "approvers": 2, "expiresAfterMs": 3_600_000,
            "when": {"dailyIncreaseOver": "20"},
        }]}));
        let planned = Planned {
            policies: vec![
                Bound {
                    policy: "ads".into(),
                    is_edit: true,
                    binds: Some(vec!["acme".into()]),
                },
                Bound {
                    policy: "platform/caps".into(),
                    is_edit: false,
                    binds: None,
                },
            ],
            changes: 2,
            since: Some(past[0].at()),
            different: different(&past, 0, (&[policy(&json!({}))], &[asks]), past[1].at()),
        };
        insta::assert_snapshot!("otherwise", told(&planned));
        let nothing = Planned {
            policies: vec![],
            changes: 0,
            since: None,
            different: vec![],
        };
        assert_eq!(
            told(&nothing),
            "0 changes: 0 would have been decided otherwise\n"
        );
    }
}
