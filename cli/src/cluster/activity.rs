//! What agents have called, what changed and what counts against which limit: as
//! the server tells it, to whoever may look into its pod.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use jiff::Timestamp;
use serde_json::{Value, json};
use tenantry_api::label;
use tenantry_api::mcp_server::{McpServer, ReplicaReport};
use url::form_urlencoded::Serializer;

use super::kind::Kind;
use super::{Cluster, Output, cell, for_programs, forward, tenant};
use crate::answer::{Answer, Unusable};
use crate::cli::activity::Activity;
use crate::columns::aligned;
use crate::tone;

/// Says what is asked for.
pub async fn activity(cluster: &Cluster, asked: &Activity) -> Result<Answer, Unusable> {
    let pods = pods(cluster, asked.pod.as_deref()).await?;
    if let Some(id) = &asked.change {
        let path = format!("/v1/changes/{}", encoded(id));
        let change = ask(cluster, &pods, &path).await?;
        return told(asked, &change, |change, _| aligned(&whole(change)));
    }
    if asked.limits {
        let limits = ask(cluster, &pods, "/v1/limits").await?;
        return told(asked, &limits, |limits, _| limit_table(limits));
    }
    if asked.calls {
        let calls = calls(cluster, &pods, asked).await?;
        return told(asked, &calls, call_table);
    }
    let path = format!("/v1/changes?{}", query(asked));
    let changes = ask(cluster, &pods, &path).await?;
    let answer = told(asked, &changes, change_table)?;
    Ok(
        match changes["next"].as_str().filter(|next| is_place(next)) {
            Some(next) => answer.noting(format!(
                "there may be more: say the same with --after {next}"
            )),
            None => answer,
        },
    )
}

/// Whether a text is the end of a page, and so fit to be pasted into a command.
fn is_place(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_hexdigit() || byte == b'.';
    !text.is_empty() && text.bytes().all(is_plain)
}

fn told(
    asked: &Activity,
    found: &Value,
    table: impl FnOnce(&Value, bool) -> String,
) -> Result<Answer, Unusable> {
    if let Some(text) = for_programs(found, asked.output) {
        return Ok(Answer::good(text?));
    }
    if found["items"].as_array().is_some_and(Vec::is_empty) {
        return Ok(Answer::good("").noting("there is nothing that fits"));
    }
    Ok(Answer::good(table(found, asked.output == Output::Wide)))
}

/// What the first of these pods says that answers: the ledger is one for all.
pub async fn ask(cluster: &Cluster, pods: &[String], path: &str) -> Result<Value, Unusable> {
    first(pods, async |pod| forward::get(cluster, pod, path).await).await
}

/// The first answer of these pods; one that refuses speaks for all.
pub async fn first(
    pods: &[String],
    ask: impl AsyncFn(&str) -> Result<Value, Unusable>,
) -> Result<Value, Unusable> {
    let mut last = None;
    for pod in pods {
        match ask(pod).await {
            Ok(answer) => return Ok(answer),
            Err(error) if error.is_refused => return Err(error),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| Unusable::because("there is no pod to ask")))
}

/// The last calls of all replicas, each of which knows its own.
async fn calls(cluster: &Cluster, pods: &[String], asked: &Activity) -> Result<Value, Unusable> {
    let path = format!("/v1/calls?{}", query(asked));
    let mut all = Vec::new();
    for pod in pods {
        let mut answer = forward::get(cluster, pod, &path).await?;
        if let Value::Array(calls) = answer["items"].take() {
            all.extend(calls);
        }
    }
    all.sort_by_key(|call| call["time"].as_i64());
    let most = usize::try_from(asked.limit).unwrap_or(usize::MAX);
    all.drain(..all.len().saturating_sub(most));
    Ok(json!({"items": all}))
}

/// The pod that the user names, or all of the server.
pub async fn pods(cluster: &Cluster, pod: Option<&str>) -> Result<Vec<String>, Unusable> {
    if let Some(pod) = pod {
        return Ok(vec![pod.to_owned()]);
    }
    let servers = Kind::<McpServer>::here(cluster).listed().await?;
    let servers = servers.unwrap_or_default();
    Ok(of_replicas(tenant::replicas(servers)))
}

/// The pods that report, or the one that there is always.
pub fn of_replicas(replicas: impl Iterator<Item = ReplicaReport>) -> Vec<String> {
    let pods: BTreeSet<_> = replicas.map(|replica| replica.pod).collect();
    if pods.is_empty() {
        return vec![format!("{}-0", label::SERVER)];
    }
    pods.into_iter().collect()
}

fn query(asked: &Activity) -> String {
    let mut query = Serializer::new(String::new());
    query.append_pair("limit", &asked.limit.to_string());
    for (name, value) in [
        ("after", &asked.after),
        ("tool", &asked.tool),
        ("account", &asked.account),
        ("object", &asked.object),
        ("progress", &asked.progress),
        ("outcome", &asked.outcome),
        ("key", &asked.key),
    ] {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    query.finish()
}

/// A text as a part of a path.
fn encoded(text: &str) -> String {
    Serializer::new(String::new())
        .append_key_only(text)
        .finish()
}

fn items(found: &Value) -> impl Iterator<Item = &Value> {
    found["items"].as_array().into_iter().flatten()
}

/// A text that somebody else may have written; nothing of what is not there.
pub fn of(value: &Value) -> String {
    value.as_str().map(cell).unwrap_or_default()
}

fn change_table(found: &Value, is_wide: bool) -> String {
    let head = ["SINCE", "ID", "TOOL", "ACCOUNT", "CHANGE", "PROGRESS", "BY"];
    let rows = items(found).map(|change| {
        let since = of(&change["since"]);
        let id = of(&change["change_id"]);
        [
            if is_wide { since } else { seconds(&since) },
            id,
            of(&change["tool"]),
            of(&change["account"]),
            summary(change),
            tone::state(&of(&change["progress"])),
            by(change, is_wide),
        ]
    });
    table(head, rows)
}

fn call_table(found: &Value, is_wide: bool) -> String {
    let head = ["TIME", "TOOL", "ACCOUNT", "OUTCOME", "KEY", "MS", "CALL"];
    let rows = items(found).map(|call| {
        let time = call["time"].as_i64();
        let time = time.and_then(|ms| Timestamp::from_millisecond(ms).ok());
        let time = time.map(|time| time.to_string()).unwrap_or_default();
        let reason = of(&call["reason"]);
        let outcome = of(&call["outcome"]);
        let tool = of(&call["tool"]);
        let number = |value: &Value| value.as_u64().map(|it| it.to_string()).unwrap_or_default();
        [
            if is_wide { time } else { seconds(&time) },
            if tool.is_empty() {
                of(&call["method"])
            } else {
                tool
            },
            of(&call["account"]),
            tone::state(&if reason.is_empty() {
                outcome
            } else {
                format!("{outcome} ({reason})")
            }),
            of(&call["actor"]["key"]),
            number(&call["duration_ms"]),
            of(&call["call_id"]),
        ]
    });
    table(head, rows)
}

fn limit_table(found: &Value) -> String {
    let head = ["ACCOUNT", "POLICY", "RULE", "SAYS", "LEFT"];
    let mut rows = Vec::new();
    for account in items(found) {
        let name = format!("{} {}", of(&account["connector"]), of(&account["account"]));
        let policies = account["policies"].as_array().into_iter().flatten();
        let before = rows.len();
        for policy in policies {
            let keys = policy["keys"].as_array().into_iter().flatten();
            let keys: Vec<_> = keys.map(of).collect();
            let mut policy_name = of(&policy["policy"]);
            if !keys.is_empty() {
                let _ = write!(policy_name, " (key {})", keys.join(", "));
            }
            for limit in policy["limits"].as_array().into_iter().flatten() {
                rows.push([
                    name.clone(),
                    policy_name.clone(),
                    of(&limit["rule"]),
                    of(&limit["says"]),
                    of(&limit["left"]),
                ]);
            }
        }
        if rows.len() == before {
            let none = "no policy: nothing is changed but by switching off".to_owned();
            rows.push([name, String::new(), String::new(), none, String::new()]);
        }
    }
    table(head, rows.into_iter())
}

/// All that there is to say of one change.
fn whole(change: &Value) -> Vec<[String; 2]> {
    let mut lines = Vec::new();
    let mut line = |name: &str, text: String| {
        if !text.is_empty() {
            lines.push([name.to_owned(), text]);
        }
    };
    line("Change", of(&change["change_id"]));
    line(
        "Progress",
        format!(
            "{} since {}",
            tone::state(&of(&change["progress"])),
            of(&change["since"])
        ),
    );
    let place = format!(
        "{}, account {}",
        of(&change["tool"]),
        of(&change["account"])
    );
    line("Tool", place);
    line("What", summary(change));
    line("More to spend", more_to_spend(change));
    line("Asked by", by(change, true));
    line("Takes back", of(&change["undoes"]));
    line("Of batch", of(&change["batch"]));
    for (name, field) in [
        ("Reserved", "reserved_at"),
        ("Sent", "sent_at"),
        ("Applied", "applied_at"),
        ("Call", "call_id"),
        ("Policies", "policy_digest"),
    ] {
        line(name, of(&change[field]));
    }
    for (name, field) in [("Approval", "approval"), ("Outcome asked", "inquiry")] {
        let asked = &change[field];
        if asked.is_object() {
            let classes = asked["approver_classes"].as_array().into_iter().flatten();
            let classes: Vec<_> = classes.map(of).collect();
            let end = of(&asked["ended"]);
            let mut text = format!("{} of {}", of(&asked["name"]), classes.join("+"));
            if !end.is_empty() {
                let _ = write!(text, ", {end}");
            }
            line(name, text);
        }
    }
    line("Arguments", cell(&change["arguments"].to_string()));
    lines
}

/// By how much more can be spent, for a day or in all.
pub fn more_to_spend(change: &Value) -> String {
    let delta = ["daily", "lifetime"].iter().filter_map(|which| {
        let amount = change["delta"][*which]["amount"].as_str()?;
        Some(format!(
            "{} {} {which}",
            cell(amount),
            of(&change["currency"])
        ))
    });
    delta.collect::<Vec<_>>().join(", ")
}

/// When a change came to where it stands, what it is and who asked for it.
pub fn line(change: &Value) -> String {
    let since = seconds(&of(&change["since"]));
    let progress = tone::state(&of(&change["progress"]));
    format!(
        "{since} {progress}: {}, by {}",
        summary(change),
        by(change, false)
    )
}

/// What is left of each limit of an account of which that is known.
pub fn left(account: &Value) -> impl Iterator<Item = String> {
    let name = format!("{} {}", of(&account["connector"]), of(&account["account"]));
    let policies = account["policies"].as_array().into_iter().flatten();
    policies.flat_map(move |policy| {
        let policy_name = of(&policy["policy"]);
        let limits = policy["limits"].as_array().into_iter().flatten();
        let known = limits.filter(|limit| limit["left"].is_string());
        let told = known.map(|limit| {
            let (left, rule) = (of(&limit["left"]), of(&limit["rule"]));
            format!("{name}: {left} ({policy_name}/{rule})")
        });
        told.collect::<Vec<_>>()
    })
}

/// What a change does, in a line; nothing of what was not decided yet.
pub fn summary(change: &Value) -> String {
    of(&change["summary"])
}

fn by(change: &Value, is_wide: bool) -> String {
    let mut text = of(&change["owner"]);
    if let Some(agent) = change["agent"].as_str() {
        let _ = write!(text, ", agent {}", cell(agent));
    }
    if let Some(key) = change["key"].as_str().filter(|_| is_wide) {
        let _ = write!(text, ", key {}", cell(key));
    }
    text
}

/// A moment without the parts of its second.
pub fn seconds(moment: &str) -> String {
    moment
        .split_once('.')
        .map_or_else(|| moment.to_owned(), |(whole, _)| format!("{whole}Z"))
}

pub fn table<const N: usize>(head: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let head = head.map(str::to_owned);
    let lines: Vec<_> = std::iter::once(head).chain(rows).collect();
    aligned(&lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_calls_and_limits_are_tables_that_nobody_else_lays_out() {
        let changes = json!({"items": [{
            "change_id": "0123456789abcdef0123456789abcdef", "progress": "applied",
            "since": "2026-06-01T08:00:00.123456Z", "tool": "meta_set_budget", "account": "act_1",
            "key": "demo", "owner": "ann@acme.example", "agent": "plan\nner",
            "object": {"kind": "ad_set", "id": "12"}, "currency": "EUR",
            "summary": "ad set 12, daily_budget 30.50 EUR to 31.00 EUR\u{202e}",
        }]});
        insta::assert_snapshot!("changes", tone::plain(&change_table(&changes, false)));
        insta::assert_snapshot!("changes_wide", tone::plain(&change_table(&changes, true)));
        let calls = json!({"items": [
            {"time": 1_780_300_800_123_i64, "tool": "meta_set_budget", "account": "act_1",
             "outcome": "refused", "reason": "PolicyDenied", "actor": {"key": "demo"},
             "duration_ms": 12, "call_id": "boot-1"},
            {"time": 1_780_300_801_000_i64, "method": "tasks/get", "outcome": "done",
             "actor": {"key": "demo"}, "duration_ms": 1, "call_id": "boot-2"},
        ]});
        insta::assert_snapshot!("calls", tone::plain(&call_table(&calls, false)));
        let limits = json!({"items": [
            {"connector": "meta", "account": "act_1", "policies": [{"policy": "ads", "limits": [
                {"rule": "budget.perObject.maxDaily", "says": "an object has 50.00 EUR at most"},
                {"rule": "budget.perWindow.maxDailyIncrease", "says": "100.00 EUR in 24 h", "left": "20.00 EUR"},
            ]}]},
            {"connector": "meta", "account": "act_2", "policies": []},
        ]});
        insta::assert_snapshot!("limits", tone::plain(&limit_table(&limits)));
        let mut change = changes["items"][0].clone();
        change["delta"] = json!({"daily": {"amount": "0.50", "currency": "EUR"}});
        change["approval"] =
            json!({"name": "5c1f0a2be9d4", "approver_classes": ["finance"], "ended": "denied"});
        change["arguments"] = json!({"checked": {"ad_set_id": "12"}});
        change["sent_at"] = json!("2026-06-01T08:00:00Z");
        insta::assert_snapshot!("change", tone::plain(&aligned(&whole(&change))));
    }
}
