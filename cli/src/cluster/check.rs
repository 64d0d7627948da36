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
use kube::api::{Api, LogParams};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tenantry_api::condition::{
    CREDENTIALS_READY, GUARDED, ISOLATED, LEDGER_HEALTHY, POLICY_ACCEPTED, READY, SERVER_AVAILABLE,
};
use tenantry_api::crd::crds;
use tenantry_api::mcp_tenant::McpTenant;
use tenantry_core::audit::read::AuditLine;

use super::kind::Kind;
use super::{Cluster, away, cell, failed, for_programs, listed, tenant};
use crate::answer::{Answer, Unusable};
use crate::cli::status::Check;
use crate::columns::aligned;
use crate::tone;

/// What the chart `tenantry-api` has in every cluster.
const POLICIES: [&str; 15] = [
    "tenantry-approvals",
    "tenantry-key-owner",
    "tenantry-manager-bindings",
    "tenantry-operator-certificates",
    "tenantry-operator-cilium",
    "tenantry-operator-identities",
    "tenantry-operator-ingresses",
    "tenantry-operator-names",
    "tenantry-operator-pods",
    "tenantry-operator-rights",
    "tenantry-operator-routes",
    "tenantry-operator-secrets",
    "tenantry-operator-services",
    "tenantry-operator-walls",
    "tenantry-server-report",
];

/// Of an organisation, what has to be true, and what has to be if the operator
/// speaks of it: where no policy binds, none is accepted.
const CONDITIONS: [&str; 6] = [
    READY,
    SERVER_AVAILABLE,
    CREDENTIALS_READY,
    ISOLATED,
    GUARDED,
    LEDGER_HEALTHY,
];

/// What is said of a condition that is not there.
const UNSAID: &str = "the operator says nothing of it";

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

/// One of the things that were looked at.
#[derive(Serialize)]
pub struct Looked {
    check: String,
    found: Found,
    detail: String,
}

/// Says how all of it is.
pub async fn check(cluster: &Cluster, asked: &Check, now: Timestamp) -> Result<Answer, Unusable> {
    let all = look(cluster, &asked.operator_namespace, now).await;
    let is = |found: Found| all.iter().any(|looked| looked.found == found);
    let text = match for_programs(&all, asked.output) {
        Some(text) => text?,
        None => table(&all),
    };
    Ok(Answer {
        is_good: !is(Found::Failed),
        is_known: !is(Found::Unknown),
        ..Answer::good(text)
    })
}

/// Looks at all of it.
pub async fn look(cluster: &Cluster, operator_namespace: &str, now: Timestamp) -> Vec<Looked> {
    let whole = [
        definitions(cluster).await,
        policies(cluster).await,
        operator(cluster, operator_namespace).await,
    ];
    let whole = whole.into_iter();
    let mut all: Vec<_> = whole.map(|one| one.unwrap_or_else(|one| one)).collect();
    let organisation = organisation(cluster, now).await;
    all.extend(organisation.unwrap_or_else(|one| vec![one]));
    all
}

fn table(all: &[Looked]) -> String {
    let head = ["CHECK", "RESULT", "DETAIL"].map(str::to_owned);
    let rows = all.iter().map(|looked| {
        let found = match looked.found {
            Found::Ok => "ok",
            Found::Failed => "FAILED",
            Found::Unknown => "unknown",
        };
        [
            looked.check.clone(),
            tone::state(found),
            cell(&looked.detail),
        ]
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

/// All there are of a kind; or why that cannot be told, whatever it is: one look
/// that fails hides no other.
async fn seen<K>(check: &str, what: &str, api: &Api<K>) -> Result<Vec<K>, Looked>
where
    K: Clone + std::fmt::Debug + DeserializeOwned,
{
    told(check, what, listed(api).await)
}

fn told<K>(
    check: &str,
    what: &str,
    listed: Result<Option<Vec<K>>, Unusable>,
) -> Result<Vec<K>, Looked> {
    match listed {
        Ok(Some(found)) => Ok(found),
        Ok(None) => {
            let detail = format!("you may not list {what}");
            Err(looked(check, Found::Unknown, detail))
        }
        Err(error) => Err(looked(check, Found::Unknown, error.reasons.join("; "))),
    }
}

async fn definitions(cluster: &Cluster) -> Result<Looked, Looked> {
    let check = "definitions";
    let api: Api<CustomResourceDefinition> = Api::all(cluster.client.clone());
    let found = seen(check, "customresourcedefinitions", &api).await?;
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

async fn policies(cluster: &Cluster) -> Result<Looked, Looked> {
    let check = "admission policies";
    let policies: Api<ValidatingAdmissionPolicy> = Api::all(cluster.client.clone());
    let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(cluster.client.clone());
    let policies = seen(check, "validatingadmissionpolicies", &policies).await?;
    let bindings = seen(check, "validatingadmissionpolicybindings", &bindings).await?;
    let wrong = POLICIES
        .iter()
        .filter_map(|name| fault(name, &policies, &bindings));
    let wrong: Vec<_> = wrong.collect();
    Ok(if wrong.is_empty() {
        let detail = format!("{} are there, whole, and bound to deny", POLICIES.len());
        looked(check, Found::Ok, detail)
    } else {
        let detail = format!("{}; install the chart tenantry-api again", wrong.join(", "));
        looked(check, Found::Failed, detail)
    })
}

/// What is wrong with a policy: one that is bound to nothing, to a warning or to a
/// part of the cluster keeps nobody out elsewhere, as does one that lets through
/// what it cannot judge. What its expressions say is not read here.
fn fault(
    name: &str,
    policies: &[ValidatingAdmissionPolicy],
    bindings: &[ValidatingAdmissionPolicyBinding],
) -> Option<String> {
    let policy = policies.iter().find(|one| one.name_any() == name);
    let Some(spec) = policy.and_then(|policy| policy.spec.as_ref()) else {
        return Some(format!("{name} is missing"));
    };
    let rules = spec.match_constraints.as_ref();
    let rules = rules.and_then(|rules| rules.resource_rules.as_ref());
    let is_empty =
        rules.is_none_or(Vec::is_empty) || spec.validations.as_ref().is_none_or(Vec::is_empty);
    if is_empty
        || spec
            .failure_policy
            .as_deref()
            .is_some_and(|policy| policy != "Fail")
    {
        return Some(format!("{name} is not as the chart has it"));
    }
    let of_it = bindings.iter().filter_map(|binding| binding.spec.as_ref());
    let mut of_it = of_it.filter(|spec| spec.policy_name.as_deref() == Some(name));
    let holds = of_it.any(|spec| {
        let mut actions = spec.validation_actions.iter().flatten();
        let params = spec.param_ref.as_ref();
        let needs_params = params
            .is_none_or(|params| params.parameter_not_found_action.as_deref() == Some("Deny"));
        actions.any(|action| action == "Deny") && spec.match_resources.is_none() && needs_params
    });
    (!holds).then(|| format!("{name} is bound to nothing that denies everywhere"))
}

async fn operator(cluster: &Cluster, namespace: &str) -> Result<Looked, Looked> {
    let check = "operator";
    let api: Api<Deployment> = Api::namespaced(cluster.client.clone(), namespace);
    let found = seen(check, &format!("deployments in `{namespace}`"), &api).await?;
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
async fn organisation(cluster: &Cluster, now: Timestamp) -> Result<Vec<Looked>, Looked> {
    let (check, namespace) = ("organisation", &cluster.namespace);
    let listed = Kind::<McpTenant>::here(cluster).listed().await;
    let tenants = told(check, &format!("mcptenants in `{namespace}`"), listed)?;
    let Some(tenant) = tenant::served(&tenants) else {
        let detail = format!("there is none in the namespace `{namespace}`: name it with -n");
        return Err(looked(check, Found::Unknown, detail));
    };
    let wanted = CONDITIONS.into_iter().map(|name| condition(tenant, name));
    let mut all: Vec<_> = wanted.collect();
    let spoken_of = condition(tenant, POLICY_ACCEPTED);
    all.extend(Some(spoken_of).filter(|looked| looked.detail != UNSAID));
    all.push(record(cluster, now).await);
    Ok(all)
}

fn condition(tenant: &McpTenant, name: &str) -> Looked {
    let check = format!("{}: {name}", tenant.name_any());
    let conditions = tenant.status.iter().flat_map(|status| &status.conditions);
    let Some(found) = { conditions }.find(|one| one.type_ == name) else {
        return looked(check, Found::Unknown, UNSAID);
    };
    if found.observed_generation != tenant.metadata.generation {
        let detail = "the operator has not looked at the last edit";
        return looked(check, Found::Unknown, detail);
    }
    let detail = format!("{}: {}", found.reason, found.message);
    match found.status.as_str() {
        "True" => looked(check, Found::Ok, detail),
        "False" => looked(check, Found::Failed, detail),
        _ => looked(check, Found::Unknown, detail),
    }
}

/// Whether a server writes audit lines to where cluster logging reads them.
async fn record(cluster: &Cluster, now: Timestamp) -> Looked {
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
            return looked(
                check,
                Found::Unknown,
                "you may not read the log of server-0",
            );
        }
        // It does not run, or not yet; whether it should is a condition's to say.
        Err(error) => return looked(check, Found::Unknown, failed(&error).reasons.join("; ")),
    };
    if let Some((sequence, at)) = last_line(&log) {
        let detail = format!("server-0 wrote line {sequence} {}", away(&Time(at), now));
        looked(check, Found::Ok, detail)
    } else {
        let detail = format!("no audit line among the last {LOOKED_AT} of server-0");
        looked(check, Found::Unknown, detail)
    }
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

    use serde_json::json;

    use super::*;

    fn read<T: DeserializeOwned>(value: Value) -> T {
        serde_json::from_value(value).unwrap()
    }

    fn policy(name: &str) -> Value {
        json!({
            "metadata": {"name": name},
            "spec": {
                "failurePolicy": "Fail", "validations": [{"expression": "false"}],
                "matchConstraints": {"resourceRules": [{"resources": ["pods"]}]},
            },
        })
    }

    fn binding(name: &str) -> Value {
        json!({
            "metadata": {"name": name},
            "spec": {"policyName": name, "validationActions": ["Deny"]},
        })
    }

    #[test]
    fn a_policy_that_keeps_nobody_out_is_named() {
        let judged =
            |policy: Value, binding: Value| fault("one", &[read(policy)], &[read(binding)]);
        assert_eq!(judged(policy("one"), binding("one")), None);
        let missing = Some("one is missing".to_owned());
        assert_eq!(judged(policy("other"), binding("one")), missing);
        let other = Some("one is not as the chart has it".to_owned());
        for (place, value) in [
            ("/spec/failurePolicy", json!("Ignore")),
            ("/spec/validations", json!([])),
            ("/spec/matchConstraints/resourceRules", json!([])),
        ] {
            let mut policy = policy("one");
            *policy.pointer_mut(place).unwrap() = value;
            assert_eq!(judged(policy, binding("one")), other, "{place}");
        }
        let unbound = Some("one is bound to nothing that denies everywhere".to_owned());
        assert_eq!(judged(policy("one"), binding("other")), unbound);
        for (field, value) in [
            ("validationActions", json!(["Warn"])),
            (
                "matchResources",
                json!({"namespaceSelector": {"matchLabels": {"x": "y"}}}),
            ),
            (
                "paramRef",
                json!({"selector": {}, "parameterNotFoundAction": "Allow"}),
            ),
        ] {
            let mut binding = binding("one");
            binding["spec"][field] = value;
            assert_eq!(judged(policy("one"), binding), unbound, "{field}");
        }
    }

    #[test]
    fn the_policies_are_those_of_the_chart() {
        let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/tenantry-api/templates");
        let mut all = Vec::new();
        for file in fs::read_dir(chart).unwrap() {
            let text = fs::read_to_string(file.unwrap().path()).unwrap();
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
            json!({
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
