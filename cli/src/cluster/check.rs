//! Whether what keeps organisations apart and people's decisions honest is there:
//! definitions, admission policies, the operator, and what an organisation says
//! of its walls, its guard and its record.

use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use kube::api::{Api, ListParams, LogParams};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tenantry_api::condition::{
    CREDENTIALS_READY, GUARDED, ISOLATED, LEDGER_HEALTHY, POLICY_ACCEPTED, READY, SERVER_AVAILABLE,
};
use tenantry_api::crd::crds;
use tenantry_api::mcp_tenant::McpTenant;
use tenantry_core::audit::read::AuditLine;

use super::{Cluster, away, cell, failed, for_programs, tenant};
use crate::answer::{self, Answer, Unusable};
use crate::cli::Check;
use crate::columns::aligned;

/// What the chart `tenantry-api` has in every cluster. A policy that is there and
/// bound to nothing, or to a warning, keeps nobody out.
const POLICIES: [&str; 11] = [
    "tenantry-approvals",
    "tenantry-key-owner",
    "tenantry-manager-bindings",
    "tenantry-operator-identities",
    "tenantry-operator-names",
    "tenantry-operator-pods",
    "tenantry-operator-rights",
    "tenantry-operator-secrets",
    "tenantry-operator-services",
    "tenantry-operator-walls",
    "tenantry-server-report",
];

/// Of an organisation, what has to be true.
const CONDITIONS: [&str; 7] = [
    READY,
    SERVER_AVAILABLE,
    CREDENTIALS_READY,
    ISOLATED,
    GUARDED,
    LEDGER_HEALTHY,
    POLICY_ACCEPTED,
];

/// Lines of a server's log, in which an audit line is looked for.
const LOOKED_AT: i64 = 500;

/// How one of the things is.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Found {
    Ok,
    Failed,
    /// The user may not look, or there is nothing to look at.
    Unknown,
}

#[derive(Serialize)]
struct Looked {
    check: String,
    found: Found,
    detail: String,
}

/// Looks at all of it.
pub async fn check(cluster: &Cluster, asked: &Check, now: Timestamp) -> Result<Answer, Unusable> {
    let mut all = vec![
        definitions(cluster).await?,
        policies(cluster).await?,
        operator(cluster, &asked.operator_namespace).await?,
    ];
    all.extend(organisation(cluster, now).await?);
    let is = |found: Found| all.iter().any(|looked| looked.found == found);
    let text = match for_programs(&all, asked.output) {
        Some(text) => text?,
        None => table(&all),
    };
    let is_good = !is(Found::Failed);
    if is_good && is(Found::Unknown) {
        // What is known is said all the same.
        let told = answer::tell(&text);
        told.map_err(|error| Unusable::because(format!("writing to stdout: {error}")))?;
        return Err(Unusable::because("not all of it could be told"));
    }
    Ok(Answer {
        is_good,
        ..Answer::good(text)
    })
}

fn table(all: &[Looked]) -> String {
    let head = ["CHECK", "RESULT", "DETAIL"].map(str::to_owned);
    let rows = all.iter().map(|looked| {
        let found = match looked.found {
            Found::Ok => "ok",
            Found::Failed => "FAILED",
            Found::Unknown => "unknown",
        };
        [looked.check.clone(), found.to_owned(), cell(&looked.detail)]
    });
    aligned(&std::iter::once(head).chain(rows).collect::<Vec<_>>())
}

fn looked(check: impl Into<String>, found: Found, detail: impl Into<String>) -> Looked {
    Looked {
        check: check.into(),
        found,
        detail: detail.into(),
    }
}

/// All there are of a kind; nothing if the user may not list them.
async fn listed<K>(api: &Api<K>) -> Result<Option<Vec<K>>, Unusable>
where
    K: Clone + std::fmt::Debug + DeserializeOwned,
{
    match api.list(&ListParams::default()).await {
        Ok(found) => Ok(Some(found.items)),
        Err(kube::Error::Api(status)) if status.code == 403 => Ok(None),
        Err(error) => Err(failed(&error)),
    }
}

fn may_not(what: &str) -> String {
    format!("you may not list {what}")
}

async fn definitions(cluster: &Cluster) -> Result<Looked, Unusable> {
    let check = "definitions";
    let Some(found) = listed::<CustomResourceDefinition>(&Api::all(cluster.client.clone())).await?
    else {
        let detail = may_not("customresourcedefinitions");
        return Ok(looked(check, Found::Unknown, detail));
    };
    let wanted = crds();
    let is_served = |wanted: &CustomResourceDefinition| {
        let there = found.iter().find(|one| one.name_any() == wanted.name_any());
        let conditions = there.and_then(|one| one.status.as_ref()?.conditions.as_ref());
        let mut conditions = conditions.into_iter().flatten();
        conditions.any(|one| one.type_ == "Established" && one.status == "True")
    };
    let missing = wanted.iter().filter(|wanted| !is_served(wanted));
    let missing: Vec<_> = missing.map(ResourceExt::name_any).collect();
    Ok(if missing.is_empty() {
        looked(check, Found::Ok, format!("{} are served", wanted.len()))
    } else {
        let detail = format!(
            "not served: {}; install the chart tenantry-api",
            missing.join(", ")
        );
        looked(check, Found::Failed, detail)
    })
}

async fn policies(cluster: &Cluster) -> Result<Looked, Unusable> {
    let check = "admission policies";
    let policies: Api<ValidatingAdmissionPolicy> = Api::all(cluster.client.clone());
    let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(cluster.client.clone());
    let (Some(policies), Some(bindings)) = (listed(&policies).await?, listed(&bindings).await?)
    else {
        let detail = may_not("validatingadmissionpolicies and their bindings");
        return Ok(looked(check, Found::Unknown, detail));
    };
    let policies: Vec<_> = policies.iter().map(ResourceExt::name_any).collect();
    let bound = bindings.iter().filter_map(|binding| {
        let spec = binding.spec.as_ref()?;
        let actions = spec.validation_actions.as_ref()?;
        let denies = actions.iter().any(|action| action == "Deny");
        denies.then_some(spec.policy_name.as_deref()?)
    });
    Ok(judge_policies(check, &policies, &bound.collect::<Vec<_>>()))
}

fn judge_policies(check: &str, policies: &[String], bound: &[&str]) -> Looked {
    let mut wrong = Vec::new();
    for name in POLICIES {
        if !policies.iter().any(|one| one == name) {
            wrong.push(format!("{name} is missing"));
        }
    }
    let ours = policies.iter().filter(|name| name.starts_with("tenantry-"));
    for name in ours.clone() {
        if !bound.contains(&name.as_str()) {
            wrong.push(format!("{name} is bound to nothing that denies"));
        }
    }
    if wrong.is_empty() {
        let detail = format!("{}, each bound to deny", ours.count());
        looked(check, Found::Ok, detail)
    } else {
        let detail = format!("{}; install the chart tenantry-api again", wrong.join(", "));
        looked(check, Found::Failed, detail)
    }
}

async fn operator(cluster: &Cluster, namespace: &str) -> Result<Looked, Unusable> {
    let check = "operator";
    let deployments: Api<Deployment> = Api::namespaced(cluster.client.clone(), namespace);
    let Some(found) = listed(&deployments).await? else {
        let detail = may_not(&format!("deployments in `{namespace}`"));
        return Ok(looked(check, Found::Unknown, detail));
    };
    let is_ours = |one: &&Deployment| {
        let pod = one
            .spec
            .as_ref()
            .and_then(|spec| spec.template.spec.as_ref());
        let mut containers = pod.into_iter().flat_map(|pod| &pod.containers);
        one.labels()
            .get("app.kubernetes.io/name")
            .is_some_and(|name| name == "tenantry")
            && containers.any(|container| container.name == "operator")
    };
    let Some(operator) = found.iter().find(is_ours) else {
        let detail = format!(
            "there is none in `{namespace}`; --operator-namespace says where it runs, and the chart tenantry installs it"
        );
        return Ok(looked(check, Found::Failed, detail));
    };
    let wanted = operator
        .spec
        .as_ref()
        .and_then(|spec| spec.replicas)
        .unwrap_or(1);
    let ready = operator
        .status
        .as_ref()
        .and_then(|status| status.ready_replicas)
        .unwrap_or(0);
    let found = if ready > 0 { Found::Ok } else { Found::Failed };
    let name = operator.name_any();
    Ok(looked(
        check,
        found,
        format!("{namespace}/{name}: {ready} of {wanted} are ready"),
    ))
}

/// What the organisation of the namespace says, and whether its record arrives.
async fn organisation(cluster: &Cluster, now: Timestamp) -> Result<Vec<Looked>, Unusable> {
    let namespace = &cluster.namespace;
    let Some(tenants) = tenant::tenants(cluster).await else {
        let detail = may_not(&format!("mcptenants in `{namespace}`"));
        return Ok(vec![looked("organisation", Found::Unknown, detail)]);
    };
    let Some(tenant) = tenants.first() else {
        let detail = format!("there is none in the namespace `{namespace}`: name it with -n");
        return Ok(vec![looked("organisation", Found::Unknown, detail)]);
    };
    let mut all: Vec<_> = CONDITIONS
        .iter()
        .map(|name| condition(tenant, name))
        .collect();
    all.push(record(cluster, now).await?);
    Ok(all)
}

fn condition(tenant: &McpTenant, name: &str) -> Looked {
    let check = format!("{}: {name}", tenant.name_any());
    let conditions = tenant.status.iter().flat_map(|status| &status.conditions);
    let Some(found) = { conditions }.find(|one| one.type_ == name) else {
        return looked(check, Found::Unknown, "the operator says nothing of it");
    };
    let detail = format!("{}: {}", found.reason, found.message);
    match found.status.as_str() {
        "True" => looked(check, Found::Ok, detail),
        "False" => looked(check, Found::Failed, detail),
        _ => looked(check, Found::Unknown, detail),
    }
}

/// Whether a server writes audit lines to where cluster logging reads them.
async fn record(cluster: &Cluster, now: Timestamp) -> Result<Looked, Unusable> {
    let check = "audit stream";
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let params = LogParams {
        container: Some("server".into()),
        tail_lines: Some(LOOKED_AT),
        ..LogParams::default()
    };
    let log = match pods.logs("server-0", &params).await {
        Ok(log) => log,
        Err(kube::Error::Api(status)) if status.code == 403 => {
            return Ok(looked(
                check,
                Found::Unknown,
                "you may not read the log of server-0",
            ));
        }
        Err(kube::Error::Api(status)) if status.code == 404 => {
            return Ok(looked(check, Found::Failed, "there is no server-0"));
        }
        Err(error) => return Err(failed(&error)),
    };
    Ok(if let Some((sequence, at)) = last_line(&log) {
        let detail = format!("server-0 wrote line {sequence} {}", away(&Time(at), now));
        looked(check, Found::Ok, detail)
    } else {
        let detail = format!("no audit line among the last {LOOKED_AT} of server-0");
        looked(check, Found::Unknown, detail)
    })
}

/// The number of the last audit line in a log, and when it was written.
fn last_line(log: &str) -> Option<(u64, Timestamp)> {
    log.lines().rev().find_map(|line| {
        let line: Value = serde_json::from_str(line).ok()?;
        AuditLine::of(&line)?;
        let sequence = line["metadata"]["sequence"].as_u64()?;
        let at = Timestamp::from_millisecond(line["time"].as_i64()?).ok()?;
        Some((sequence, at))
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_policy_that_is_missing_or_bound_to_nothing_is_named() {
        let all = names(&POLICIES);
        let judged = judge_policies("it", &all, &POLICIES);
        assert!(judged.found == Found::Ok, "{}", judged.detail);
        assert_eq!(judged.detail, "11, each bound to deny");
        let judged = judge_policies("it", &all[1..], &POLICIES[..10]);
        assert!(judged.found == Found::Failed);
        assert_eq!(
            judged.detail,
            "tenantry-approvals is missing, tenantry-server-report is bound to nothing that denies; install the chart tenantry-api again"
        );
        // What others have is none of ours.
        let mut more = all;
        more.push("somebody-elses".into());
        assert!(judge_policies("it", &more, &POLICIES).found == Found::Ok);
    }

    #[test]
    fn the_policies_are_those_of_the_chart() {
        let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/tenantry-api/templates");
        let mut all = Vec::new();
        for file in fs::read_dir(chart).unwrap() {
            let path = file.unwrap().path();
            // What leads in from outside depends on what the cluster serves.
            if path.ends_with("operator_doors.yaml") {
                continue;
            }
            let text = fs::read_to_string(path).unwrap();
            let documents = text.split("kind: ValidatingAdmissionPolicy\n").skip(1);
            all.extend(documents.map(|document| {
                let name = document.split("name: ").nth(1).unwrap();
                name.lines().next().unwrap().to_owned()
            }));
        }
        all.sort_unstable();
        assert_eq!(all, POLICIES);
    }

    #[test]
    fn the_last_audit_line_is_found_among_others() {
        let line = |sequence: u64| {
            serde_json::json!({
                "metadata": {"log_name": "tenantry.audit", "log_version": "v1", "sequence": sequence},
                "time": 1_780_315_200_000_i64,
            })
        };
        let log = format!(
            "{}\n{}\nnot of ours\n{{\"level\":\"INFO\"}}\n",
            line(6),
            line(7)
        );
        let at: Timestamp = "2026-06-01T12:00:00Z".parse().unwrap();
        assert_eq!(last_line(&log), Some((7, at)));
        assert_eq!(last_line("{}\nnothing\n"), None);
    }
}
