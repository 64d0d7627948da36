//! How an organisation is: what its conditions say, what is stopped, what waits
//! for people, what changed last and what is left of the limits. Of what the user
//! may not read, that is said.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tenantry_api::condition::{READY, RECONCILING, STALLED};
use tenantry_api::mcp_approval::McpApproval;
use tenantry_api::mcp_freeze::McpFreeze;
use tenantry_api::mcp_server::{McpServer, ReplicaReport};
use tenantry_api::mcp_tenant::{ConnectorStatus, McpTenant, McpTenantStatus};

use super::approvals::{is_open, state};
use super::freeze::covered;
use super::kind::Kind;
use super::{Cluster, Output, activity, away, cell, for_programs, tenant};
use crate::answer::{Answer, Unusable};
use crate::cli::status::Status;
use crate::columns::aligned;
use crate::tone;

/// Changes that wait, of which each has a line; of more the number is said.
const MOST_LINES: usize = 10;

/// Changes of the past that are told.
const LAST_CHANGES: usize = 3;

/// What is found in the namespace; nothing of what may not be read.
#[derive(Serialize)]
struct Found {
    tenant: McpTenant,
    /// Further McpTenants of the namespace, which get no server.
    others: Vec<String>,
    #[serde(skip)]
    more: String,
    replicas: Option<Vec<ReplicaReport>>,
    freezes: Option<Vec<McpFreeze>>,
    approvals: Option<Vec<McpApproval>>,
    /// What the server tells on its loopback.
    #[serde(flatten)]
    activity: Activity,
}

/// What changed last, and what binds changes; nothing where the user may not look
/// into the server's pod, or it does not answer.
#[derive(Default, Serialize)]
struct Activity {
    #[serde(rename = "lastChanges")]
    changes: Option<Vec<Value>>,
    limits: Option<Vec<Value>>,
    /// Why not.
    #[serde(skip)]
    why: Option<String>,
}

/// Says how it is.
pub async fn status(cluster: &Cluster, asked: &Status, now: Timestamp) -> Result<Answer, Unusable> {
    let tenants = all::<McpTenant>(cluster).await?.ok_or_else(|| {
        let namespace = &cluster.namespace;
        Unusable::because(format!("you may not read the McpTenants of `{namespace}`"))
    })?;
    let Some(tenant) = tenant::served(&tenants).cloned() else {
        return Err(tenant::nobody(cluster));
    };
    let mut approvals = all::<McpApproval>(cluster).await?;
    if let Some(approvals) = &mut approvals {
        approvals.retain(|approval| is_open(state(approval)));
        approvals.sort_by_key(|approval| approval.spec.request.expires_at.0);
    }
    let servers = all::<McpServer>(cluster).await?;
    let replicas: Option<Vec<_>> = servers.map(|servers| tenant::replicas(servers).collect());
    let known = replicas.iter().flatten().cloned();
    let activity = Activity::of(cluster, &activity::of_replicas(known)).await;
    let others = tenants.iter().map(ResourceExt::name_any);
    let others = others.filter(|name| *name != tenant.name_any()).collect();
    let found = Found {
        tenant,
        others,
        more: cluster.again("approvals"),
        replicas,
        freezes: all(cluster).await?,
        approvals,
        activity,
    };
    let ready = found.ready();
    let text = match for_programs(&found, asked.output) {
        Some(text) => text?,
        None => aligned(&found.lines(asked.output == Output::Wide, now)),
    };
    Ok(Answer {
        is_good: ready != Some("False"),
        is_known: ready == Some("True"),
        ..Answer::good(text)
    })
}

/// All of a kind in the namespace; nothing if they may not be read.
async fn all<K>(cluster: &Cluster) -> Result<Option<Vec<K>>, Unusable>
where
    K: kube::CustomResourceExt
        + kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
        + Serialize
        + DeserializeOwned,
{
    Kind::here(cluster).listed().await
}

impl Activity {
    async fn of(cluster: &Cluster, pods: &[String]) -> Self {
        let items = async |path: &str| -> Result<Vec<Value>, Unusable> {
            let mut answer = activity::ask(cluster, pods, path).await?;
            let items = answer.get_mut("items").map(Value::take);
            Ok(items
                .and_then(|items| items.as_array().cloned())
                .unwrap_or_default())
        };
        let told = async {
            let changes = items(&format!("/v1/changes?limit={LAST_CHANGES}")).await?;
            Ok((changes, items("/v1/limits").await?))
        };
        match told.await {
            Ok((changes, limits)) => Self {
                changes: Some(changes),
                limits: Some(limits),
                why: None,
            },
            Err(Unusable { reasons, .. }) => Self {
                why: Some(reasons.join("; ")),
                ..Self::default()
            },
        }
    }

    fn lines(&self) -> Vec<[String; 2]> {
        let Some((changes, limits)) = self.changes.as_ref().zip(self.limits.as_ref()) else {
            let why = self.why.as_deref().unwrap_or_default();
            return vec![line("Activity", format!("not known: {why}"))];
        };
        let mut lines = listed_under("Last changes", changes.iter().map(activity::line));
        let left = limits.iter().flat_map(activity::left);
        let left: Vec<_> = left.collect();
        let more = left.len().saturating_sub(MOST_LINES);
        let more = (more > 0).then(|| format!("and {more} more"));
        let told = left.into_iter().take(MOST_LINES).chain(more);
        lines.extend(listed_under("Left", told));
        lines
    }
}

impl Found {
    fn status(&self) -> Option<&McpTenantStatus> {
        self.tenant.status.as_ref()
    }

    fn conditions(&self) -> &[Condition] {
        self.status().map_or(&[], |status| &status.conditions)
    }

    /// Its condition Ready, of whichever edit.
    fn last_ready(&self) -> Option<&Condition> {
        self.conditions().iter().find(|one| one.type_ == READY)
    }

    /// Whether it is Ready, as of what stands in the McpTenant now; nothing where
    /// that is not known.
    fn ready(&self) -> Option<&str> {
        let current = self.tenant.metadata.generation;
        let ready = self.last_ready();
        let ready = ready.filter(|ready| ready.observed_generation == current);
        ready.map(|ready| ready.status.as_str())
    }

    fn lines(&self, is_wide: bool, now: Timestamp) -> Vec<[String; 2]> {
        let spec = &self.tenant.spec;
        let status = self.status();
        let in_force = status.and_then(|status| status.access);
        let access = in_force.map_or_else(
            || "no server says which access is in force".to_owned(),
            |access| format!("{access:?} in force"),
        );
        let mut lines = vec![
            line("Organisation", format!("{}, {access}", spec.organization)),
            line("Ready", self.how_ready()),
        ];
        let told = self.others.iter().map(|name| {
            format!(
                "{}: a second McpTenant of the namespace, which gets no server",
                cell(name)
            )
        });
        lines.extend(listed_under("Beside it", told));
        lines.extend(self.wrong(is_wide));
        if let Some(endpoint) = status.and_then(|status| status.endpoint.as_deref()) {
            lines.push(line("Endpoint", cell(endpoint)));
        }
        let connectors = status.map_or(&[][..], |status| &status.connectors);
        lines.extend(listed_under(
            "Connectors",
            connectors.iter().map(|one| connector(one, now)),
        ));
        lines.extend(self.servers(now));
        lines.extend(self.frozen());
        lines.extend(self.waiting(now));
        lines.extend(self.activity.lines());
        lines
    }

    fn how_ready(&self) -> String {
        match self.last_ready() {
            None => "not known: the operator has not looked at it".into(),
            Some(_) if self.ready().is_none() => {
                "not known: the operator has not looked at its last edit".into()
            }
            Some(ready) => {
                let (reason, message) = (cell(&ready.reason), cell(&ready.message));
                format!("{} {reason}: {message}", tone::state(&ready.status))
            }
        }
    }

    /// The other conditions, where they are not as they should be.
    fn wrong(&self, is_wide: bool) -> Vec<[String; 2]> {
        let is_told = |one: &&Condition| {
            let is_bad_when_true = [RECONCILING, STALLED].contains(&one.type_.as_str());
            let is_good = (one.status == "True") != is_bad_when_true;
            one.type_ != READY && (is_wide || !is_good)
        };
        let told = self.conditions().iter().filter(is_told);
        listed_under(
            "Conditions",
            told.map(|one| format!("{} {}", one.type_, said(one))),
        )
    }

    fn servers(&self, now: Timestamp) -> Vec<[String; 2]> {
        let Some(replicas) = &self.replicas else {
            return vec![line("Servers", "you may not read them".into())];
        };
        listed_under("Servers", replicas.iter().map(|one| replica(one, now)))
    }

    fn frozen(&self) -> Vec<[String; 2]> {
        let Some(freezes) = &self.freezes else {
            return vec![line("Freezes", "you may not read them".into())];
        };
        listed_under(
            "Freezes",
            freezes.iter().map(|freeze| {
                let reason = freeze.spec.reason.as_deref();
                let reason = reason.map_or_else(String::new, |why| format!(" ({})", cell(why)));
                let (name, what) = (freeze.name_any(), covered(&freeze.spec.scope));
                let access = tone::stops(&format!("{:?}", freeze.spec.access));
                format!("{name}: {what} is {access}{reason}")
            }),
        )
    }

    fn waiting(&self, now: Timestamp) -> Vec<[String; 2]> {
        let Some(approvals) = &self.approvals else {
            let count = self.status().and_then(|status| status.pending_approvals);
            let count = count.map_or_else(|| "not known".into(), |count| count.to_string());
            return vec![line("Waiting", format!("{count}; you may not read them"))];
        };
        let told = approvals.iter().take(MOST_LINES).map(|approval| {
            let request = &approval.spec.request;
            format!(
                "{} {}: {}, expires {}",
                approval.name_any(),
                tone::state(&format!("{:?}", state(approval))),
                cell(&request.summary),
                away(&request.expires_at, now)
            )
        });
        let more = approvals.len().saturating_sub(MOST_LINES);
        let more = (more > 0).then(|| format!("and {more} more: `{}`", self.more));
        let all: Vec<_> = told.chain(more).collect();
        if all.is_empty() {
            return vec![line("Waiting", "nothing".into())];
        }
        listed_under("Waiting", all.into_iter())
    }
}

fn line(name: &str, text: String) -> [String; 2] {
    [name.to_owned(), text]
}

/// One line each, the first of them under the name.
fn listed_under(name: &str, texts: impl Iterator<Item = String>) -> Vec<[String; 2]> {
    let names = std::iter::once(name).chain(std::iter::repeat(""));
    names
        .zip(texts)
        .map(|(name, text)| line(name, text))
        .collect()
}

fn said(condition: &Condition) -> String {
    let (reason, message) = (cell(&condition.reason), cell(&condition.message));
    format!("{} {reason}: {message}", condition.status)
}

fn connector(status: &ConnectorStatus, now: Timestamp) -> String {
    let name = cell(&status.name);
    let state = match (&status.reason, status.ready) {
        (_, true) => "ready".to_owned(),
        (Some(reason), false) => format!("not ready: {}", cell(reason)),
        (None, false) => "not ready".to_owned(),
    };
    let ends = status.token_expires_at.as_ref();
    let ends = ends.map_or_else(String::new, |at| {
        format!(", its token ends {}", away(at, now))
    });
    format!("{name}: {state}{ends}")
}

fn replica(report: &ReplicaReport, now: Timestamp) -> String {
    let state = if report.serving {
        "serves".to_owned()
    } else {
        let why = [&report.reason, &report.message];
        let why: Vec<_> = why.into_iter().flatten().map(|text| cell(text)).collect();
        format!("does not serve: {}", why.join(": "))
    };
    let changed = report.changed_at.as_ref();
    let changed = changed.map_or_else(String::new, |at| {
        format!(", last changed {}", away(at, now))
    });
    format!(
        "{}: {state}, release {}{changed}",
        cell(&report.pod),
        cell(&report.release)
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const MOMENT: &str = "2026-06-01T00:00:00Z";

    fn read<T: DeserializeOwned>(value: Value) -> T {
        serde_json::from_value(value).unwrap()
    }

    fn of(name: &str) -> Value {
        json!({"name": name, "namespace": "acme", "generation": 2})
    }

    fn condition(name: &str, status: &str, reason: &str) -> Value {
        json!({
            "type": name, "status": status, "reason": reason, "message": "it \u{202e} says",
            "lastTransitionTime": MOMENT, "observedGeneration": 2,
        })
    }

    fn tenant(status: &Value) -> McpTenant {
        read(json!({
            "apiVersion": "tenantry.dev/v1alpha1", "kind": "McpTenant", "metadata": of("acme"),
            "spec": {"organization": "acme", "connectors": []}, "status": status,
        }))
    }

    fn found() -> Found {
        let status = json!({
            "access": "ReadOnly", "endpoint": "http://server.acme.svc:8080/mcp",
            "conditions": [
                condition("Ready", "True", "Available"),
                condition("LedgerHealthy", "True", "LedgerOpen"),
                condition("Guarded", "False", "GuardOpen"),
                condition("Reconciling", "True", "Rolling"),
            ],
            "connectors": [
                {"name": "meta", "ready": false, "reason": "TokenRefused", "tokenExpiresAt": MOMENT},
                {"name": "other", "ready": true},
            ],
        });
        let replicas = json!([
            {"pod": "server-0", "podUid": "u", "serving": true, "release": "0.1.0", "changedAt": MOMENT},
            {"pod": "server-1", "podUid": "u", "serving": false, "reason": "NoLedger", "message": "why"},
        ]);
        let freeze = json!({
            "apiVersion": "tenantry.dev/v1alpha1", "kind": "McpFreeze", "metadata": of("stop"),
            "spec": {"scope": {"connector": "meta"}, "access": "Frozen", "reason": "an audit\nof ours"},
        });
        let approval = |number: usize| {
            json!({
                "apiVersion": "tenantry.dev/v1alpha1", "kind": "McpApproval",
                "metadata": of(&format!("a{number:02}")),
                "spec": {"request": {
                    "changeId": "0123456789abcdef0123456789abcdef",
                    "tool": "meta_set_budget", "connector": "meta", "account": "act_1",
                    "summary": format!("campaign {number}, daily_budget 1.00 EUR to 9.00 EUR"),
                    "arguments": "{}", "rules": [], "policyDigest": "sha256:0",
                    "approverClasses": ["finance"], "approvers": 1,
                    "requestedBy": {"owner": "a", "key": "demo"},
                    "askedAt": MOMENT, "expiresAt": MOMENT,
                }},
            })
        };
        Found {
            tenant: tenant(&status),
            others: vec!["another".into()],
            more: "tenantry approvals -n acme".into(),
            replicas: Some(read(replicas)),
            freezes: Some(vec![read(freeze)]),
            approvals: Some(
                (0..=MOST_LINES)
                    .map(|number| read(approval(number)))
                    .collect(),
            ),
            activity: Activity {
                changes: Some(vec![json!({
                    "since": "2026-06-01T08:00:00.5Z", "progress": "applied", "owner": "ann",
                    "summary": "ad set 12, name A to B",
                })]),
                limits: Some(vec![json!({
                    "connector": "meta", "account": "act_1",
                    "policies": [{"policy": "ads", "limits": [
                        {"rule": "budget.perObject.maxDaily", "says": "50.00 EUR"},
                        {"rule": "budget.perWindow.maxDailyIncrease", "says": "9 EUR", "left": "2.00 EUR"},
                    ]}],
                })]),
                why: None,
            },
        }
    }

    fn told(found: &Found, is_wide: bool) -> String {
        let now = MOMENT.parse::<Timestamp>().unwrap() - jiff::SignedDuration::from_hours(3);
        tone::plain(&aligned(&found.lines(is_wide, now)))
    }

    #[test]
    fn what_is_not_as_it_should_be_is_told() {
        let found = found();
        assert_eq!(found.ready(), Some("True"));
        insta::assert_snapshot!(told(&found, false));
        let more = told(&found, true);
        assert!(more.contains("LedgerHealthy True LedgerOpen"), "{more}");
    }

    #[test]
    fn what_is_not_known_is_no_good_news() {
        let mut found = Found {
            tenant: tenant(&json!({"conditions": [condition("Ready", "True", "Available")]})),
            others: Vec::new(),
            more: String::new(),
            replicas: None,
            freezes: None,
            approvals: None,
            activity: Activity {
                why: Some("you may not look".into()),
                ..Activity::default()
            },
        };
        assert_eq!(found.ready(), Some("True"));
        found.tenant.metadata.generation = Some(3);
        assert_eq!(found.ready(), None);
        insta::assert_snapshot!(told(&found, false));
        found.tenant.status = None;
        assert_eq!(found.ready(), None);
        assert!(told(&found, false).contains("the operator has not looked at it\n"));
    }
}
