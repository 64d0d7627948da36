//! What somebody needs who helps from afar, in one text: the objects, the events
//! and the logs of an organisation and of the operator. No Secret is read, and
//! what else is nobody's business is taken out.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{Api, DynamicObject, ListParams, LogParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Map, Value, json};
use tenantry_core::audit::read::AuditLine;

use super::{Cluster, check, failed, listed};
use crate::answer::{self, Answer, Unusable};
use crate::cli::status::Report;

/// Group, version, kind, and what the API server calls all of them.
type Kind = (&'static str, &'static str, &'static str, &'static str);

const OURS: &str = "tenantry.dev";

/// What there is of an organisation.
const ORGANISATION: [Kind; 13] = [
    (OURS, "v1alpha1", "McpTenant", "mcptenants"),
    (OURS, "v1alpha1", "McpServer", "mcpservers"),
    (OURS, "v1alpha1", "SafetyPolicy", "safetypolicies"),
    (OURS, "v1alpha1", "McpApiKey", "mcpapikeys"),
    (OURS, "v1alpha1", "McpFreeze", "mcpfreezes"),
    (OURS, "v1alpha1", "McpApproval", "mcpapprovals"),
    ("apps", "v1", "StatefulSet", "statefulsets"),
    ("", "v1", "Pod", "pods"),
    ("", "v1", "Service", "services"),
    ("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
    (
        "networking.k8s.io",
        "v1",
        "NetworkPolicy",
        "networkpolicies",
    ),
    (
        "rbac.authorization.k8s.io",
        "v1",
        "RoleBinding",
        "rolebindings",
    ),
    ("", "v1", "Event", "events"),
];

/// What there is of the operator.
const OPERATOR: [Kind; 4] = [
    (OURS, "v1alpha1", "SafetyPolicy", "safetypolicies"),
    ("apps", "v1", "Deployment", "deployments"),
    ("", "v1", "Pod", "pods"),
    ("", "v1", "Event", "events"),
];

/// Lines of each log.
const LOG_LINES: i64 = 1_000;

const REDACTED: &str = "REDACTED";

const HEAD: &str = "\
# Read it before you hand it on: it has names of people, accounts and amounts. It has no Secret,
# no digest of a key, no arguments of calls, no values of environment variables and no audit lines.
";

/// Puts it together.
pub async fn report(cluster: &Cluster, asked: &Report, now: Timestamp) -> Result<Answer, Unusable> {
    let me = cluster.me().await?;
    let version = cluster.client.apiserver_version().await;
    let version = version.map_err(|error| failed(&error))?;
    let mut documents = vec![json!({
        "report": {
            "namespace": cluster.namespace, "operatorNamespace": asked.operator_namespace,
            "madeAt": now.to_string(), "by": me, "apiServer": version.git_version,
            "tenantry": env!("CARGO_PKG_VERSION"),
        },
        "check": check::look(cluster, &asked.operator_namespace, now).await,
    })];
    for kind in ORGANISATION {
        documents.extend(all(cluster, &cluster.namespace, kind).await);
    }
    for kind in OPERATOR {
        documents.extend(all(cluster, &asked.operator_namespace, kind).await);
    }
    documents.extend(logs(cluster, &cluster.namespace).await);
    documents.extend(logs(cluster, &asked.operator_namespace).await);
    let mut text = HEAD.to_owned();
    for document in documents {
        let written = answer::yaml(&document)?;
        text = text + "---\n" + &written;
    }
    Ok(Answer::good(text))
}

/// All of a kind, or why they cannot be told: what is missing is said.
async fn all(cluster: &Cluster, namespace: &str, kind: Kind) -> Vec<Value> {
    let (group, version, kind, plural) = kind;
    let kind = GroupVersionKind::gvk(group, version, kind);
    let resource = ApiResource::from_gvk_with_plural(&kind, plural);
    let api: Api<DynamicObject> =
        Api::namespaced_with(cluster.client.clone(), namespace, &resource);
    match listed(&api).await {
        Ok(Some(found)) => {
            let documents = found.into_iter().map(serde_json::to_value);
            documents.filter_map(Result::ok).map(redacted).collect()
        }
        Ok(None) => vec![untold(namespace, plural, "you may not list them")],
        Err(error) => vec![untold(namespace, plural, &error.reasons.join("; "))],
    }
}

fn untold(namespace: &str, what: &str, why: &str) -> Value {
    json!({"untold": {"namespace": namespace, "what": what, "why": why}})
}

/// Without what is nobody's business, and what nobody reads.
fn redacted(mut document: Value) -> Value {
    if let Some(meta) = document
        .pointer_mut("/metadata")
        .and_then(Value::as_object_mut)
    {
        meta.remove("managedFields");
        if let Some(annotations) = meta.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
        }
    }
    for place in ["/spec/digest", "/spec/request/arguments"] {
        if let Some(value) = document.pointer_mut(place) {
            *value = REDACTED.into();
        }
    }
    without_environment(&mut document);
    document
}

/// Takes the values out of every `env`, wherever containers stand.
fn without_environment(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(without_environment),
        Value::Object(fields) => {
            let variables = fields.get_mut("env").and_then(Value::as_array_mut);
            for variable in variables
                .into_iter()
                .flatten()
                .filter_map(Value::as_object_mut)
            {
                if let Some(value) = variable.get_mut("value") {
                    *value = REDACTED.into();
                }
            }
            fields.values_mut().for_each(without_environment);
        }
        _ => {}
    }
}

/// The ends of the logs of a namespace's pods, without audit lines.
async fn logs(cluster: &Cluster, namespace: &str) -> Vec<Value> {
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), namespace);
    // That they cannot be listed was said before.
    let found = pods.list(&ListParams::default()).await;
    let mut documents = Vec::new();
    for pod in found.map(|found| found.items).unwrap_or_default() {
        let name = pod.name_any();
        let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
        for container in containers {
            let params = LogParams {
                container: Some(container.name.clone()),
                tail_lines: Some(LOG_LINES),
                ..LogParams::default()
            };
            let what = format!("log of {name}, {}", container.name);
            documents.push(match pods.logs(&name, &params).await {
                Ok(log) => log_of(namespace, &what, &log),
                Err(error) => untold(namespace, &what, &failed(&error).reasons.join("; ")),
            });
        }
    }
    documents
}

fn log_of(namespace: &str, what: &str, log: &str) -> Value {
    let is_audit = |line: &str| {
        serde_json::from_str::<Value>(line).is_ok_and(|line| AuditLine::of(&line).is_some())
    };
    let lines: Vec<&str> = log.lines().filter(|line| !is_audit(line)).collect();
    let fields = [
        ("namespace".to_owned(), namespace.into()),
        (what.to_owned(), lines.into()),
    ];
    Map::from_iter(fields).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_nobodys_business_is_taken_out() {
        let key = redacted(json!({
            "metadata": {
                "name": "demo", "managedFields": [{"manager": "m"}],
                "annotations": {
                    "kubectl.kubernetes.io/last-applied-configuration": "all of it", "a": "b",
                },
            },
            "spec": {"owner": "alice", "digest": "sha256:0"},
        }));
        let kept = json!({
            "metadata": {"name": "demo", "annotations": {"a": "b"}},
            "spec": {"owner": "alice", "digest": REDACTED},
        });
        assert_eq!(key, kept);
        let approval = redacted(json!({"spec": {"request": {"arguments": "{}", "tool": "t"}}}));
        let kept = json!({"spec": {"request": {"arguments": REDACTED, "tool": "t"}}});
        assert_eq!(approval, kept);
        let variables = json!([
            {"name": "A", "value": "a"},
            {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
        ]);
        let set = json!({"spec": {"template": {"spec": {"containers": [{"env": variables}]}}}});
        let told = redacted(set).to_string();
        assert!(
            !told.contains(r#""value":"a""#) && told.contains("secretKeyRef"),
            "{told}"
        );
    }

    #[test]
    fn audit_lines_stay_where_they_are() {
        let audit = json!({"metadata": {"log_name": "tenantry.audit", "log_version": "v1"}});
        let log = format!("{audit}\n{{\"level\":\"WARN\"}}\nplain\n");
        let told = log_of("acme", "log of server-0, server", &log);
        assert_eq!(
            told["log of server-0, server"],
            json!([r#"{"level":"WARN"}"#, "plain"])
        );
    }
}
