//! What an edit of policies would change, before it is applied: whom they bind, and
//! which changes of the past would have been decided otherwise.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Namespace;
use kube::ResourceExt as _;
use kube::api::Api;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tenantry_api::compile::policy::Origin;
use tenantry_api::compile::policy::proof::decided;
use tenantry_api::label;
use tenantry_api::mcp_server::McpServer;
use tenantry_api::mcp_tenant::McpTenant;
use tenantry_api::selector::Selector;
use tenantry_core::cause::chain;
use tenantry_core::name::ObjectId;
use tenantry_core::policy::decide::{Agreed, Decision, Fired, Ruling, Verdict, decide};
use tenantry_core::policy::facts::{Charge, Facts, Proposal, Standing};
use tenantry_core::policy::{Policy, longest_window};
use tenantry_core::tenant::TenantConfig;

use super::activity::{self, seconds, table};
use super::kind::Kind;
use super::{Cluster, for_programs, listed, tenant};
use crate::answer::{Answer, Unusable};
use crate::cli::activity::Plan;
use crate::policy::given::{self, Given};

/// Changes that are asked for at a time: each with all that it touches.
const PAGE: u32 = 25;

/// The day that limits mean.
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// A change as the server tells it.
#[derive(Deserialize)]
struct Past {
    change_id: String,
    progress: String,
    since: Timestamp,
    reserved_at: Option<Timestamp>,
    applied_at: Option<Timestamp>,
    proposal: Option<Proposal>,
    /// What it does, in a line.
    #[serde(skip)]
    line: String,
}

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

/// A change of the past that would have been decided otherwise.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Otherwise {
    at: Timestamp,
    change_id: String,
    change: String,
    now: String,
    then: String,
    /// The rules that make the difference.
    rules: Vec<String>,
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
    let (past, is_whole) = past(cluster, asked).await?;
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

/// The last changes, the oldest first, and whether those are all.
async fn past(cluster: &Cluster, asked: &Plan) -> Result<(Vec<Past>, bool), Unusable> {
    let pods = activity::pods(cluster, asked.pod.as_deref()).await?;
    let mut is_whole = false;
    let mut past = Vec::new();
    let mut after = String::new();
    while let Some(missing) = asked
        .limit
        .checked_sub(u32::try_from(past.len()).unwrap_or(u32::MAX))
        .filter(|missing| *missing > 0)
    {
        let limit = missing.min(PAGE);
        let path = format!("/v1/changes?proposal=true&limit={limit}{after}");
        let page = activity::ask(cluster, &pods, &path).await?;
        let known = past.len();
        let items = page.get("items").and_then(Value::as_array);
        for item in items.into_iter().flatten() {
            let one = Past::deserialize(item);
            let one = one.map_err(|error| {
                Unusable::because(format!(
                    "what the server tells is of another release: {error}"
                ))
            })?;
            past.push(Past {
                line: activity::summary(item),
                ..one
            });
        }
        // A page without anything new is the last one, whatever it says.
        let next = page.get("next").and_then(Value::as_str);
        let Some(next) = next.filter(|_| past.len() > known) else {
            is_whole = true;
            break;
        };
        after = format!("&after={next}");
    }
    past.sort_by_key(Past::at);
    Ok((past, is_whole))
}

impl Past {
    /// When it was decided.
    fn at(&self) -> Timestamp {
        self.reserved_at.unwrap_or(self.since)
    }

    /// What it was to the decisions after it.
    fn charge(&self) -> Option<Charge> {
        let standing = match (self.progress.as_str(), self.applied_at) {
            (_, Some(at)) => Standing::Applied(at),
            ("not_applied", _) => return None,
            ("pending" | "executing", _) => Standing::Pending,
            _ => Standing::Open,
        };
        Some(Charge::of(self.proposal.as_ref()?, standing))
    }
}

/// The first change of which all is known that a limit can look back at.
fn judged(past: &[Past], is_whole: bool, in_force: &[Policy], then: &[Policy]) -> usize {
    let Some(first) = past.first().filter(|_| !is_whole) else {
        return 0;
    };
    let longest = longest_window(in_force).max(longest_window(then)).max(DAY);
    let from = first.at() + longest;
    past.partition_point(|one| one.at() < from)
}

/// What would have been decided otherwise, from the change `judged` on: by the
/// policies in force, and by those that shall be.
fn different(
    past: &[Past],
    judged: usize,
    (in_force, then): (&[Policy], &[Policy]),
    now: Timestamp,
) -> Vec<Otherwise> {
    let mut facts = Facts::default();
    let mut different = Vec::new();
    for (number, one) in past.iter().enumerate() {
        let Some(proposal) = &one.proposal else {
            continue;
        };
        facts.lowest_micros = lows(past.get(..number).unwrap_or_default(), one);
        let rule = |policies| {
            let policies = at_rates_of_today(policies, now, one.at());
            decide(proposal, &policies, &facts, &Agreed::new(), one.at())
        };
        let (is, would) = (rule(in_force), rule(then));
        if number >= judged && word(&is) != word(&would) {
            different.push(Otherwise {
                at: one.at(),
                change_id: one.change_id.clone(),
                change: one.line.clone(),
                rules: rules(&is, &would),
                now: word(&is),
                then: word(&would),
            });
        }
        facts.charges.extend(one.charge().map(Arc::new));
    }
    different
}

/// The lowest live values of a change's budgets in the 24 hours before it.
fn lows(before: &[Past], one: &Past) -> BTreeMap<ObjectId, i64> {
    let mut lowest = BTreeMap::new();
    let is_near = |past: &&Past| {
        let at = past.applied_at;
        at.is_some_and(|at| at <= one.at() && one.at().duration_since(at) < DAY)
    };
    let account = |past: &Past| past.proposal.as_ref().map(|it| it.subject.account.clone());
    let near = before.iter().filter(is_near);
    let near = near.filter(|past| account(past) == account(one));
    for (object, micros) in near
        .filter_map(|past| past.proposal.as_ref())
        .flat_map(Proposal::lows)
    {
        let known = lowest.entry(object.clone()).or_insert(micros);
        *known = micros.min(*known);
    }
    lowest
}

/// The same policies, as if the exchange rates that are good now had been so then:
/// those of then are not kept.
fn at_rates_of_today(policies: &[Policy], now: Timestamp, at: Timestamp) -> Vec<Policy> {
    let mut policies = policies.to_vec();
    let rates = policies
        .iter_mut()
        .flat_map(|policy| &mut policy.exchange_rates);
    for rate in rates.filter(|rate| rate.is_fresh(now)) {
        rate.as_of = at;
    }
    policies
}

/// A decision in a word, with who must agree.
fn word(ruling: &Ruling) -> String {
    match &ruling.decision {
        Decision::NeedsApproval(terms) => {
            let classes: Vec<_> = terms.approver_classes.iter().map(String::as_str).collect();
            format!("asks {} of {}", terms.approvers, classes.join("+"))
        }
        _ => format!("{:?}", decided(ruling)),
    }
}

/// The rules that spoke in one case and not in the other.
fn rules(now: &Ruling, then: &Ruling) -> Vec<String> {
    let told = |mark: &str, one: &Fired| {
        let verdict = match one.verdict {
            Verdict::Deny => "denies",
            Verdict::Ask(_) => "asks",
        };
        format!("{mark}{}/{} {verdict}", one.name.policy, one.name.rule)
    };
    let new = then.fired.iter().filter(|one| !now.fired.contains(one));
    let gone = now.fired.iter().filter(|one| !then.fired.contains(one));
    new.map(|one| told("+", one))
        .chain(gone.map(|one| told("-", one)))
        .collect()
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
    use tenantry_core::spend_root::Budget;

    use super::*;

    /// A raise of a campaign's budget from 100, an hour after the one before.
    fn raise(number: i64, to: i64, progress: &str) -> Past {
        let at = Timestamp::from_second(1_780_272_000 + number * 3_600).unwrap();
        let (before, after) = (100_000_000, to * 1_000_000);
        let proposal = json!({
            "subject": {
                "connector": "meta", "account": "act_1", "tool": "meta_set_budget", "class": "spend",
                "key": "demo", "path": [format!("{number}")],
            },
            "effect": {
                "primitive": "set_budget", "currency": "EUR",
                "daily": {"increaseMicros": after - before, "decreaseMicros": 0},
                "budgets": [{
                    "object": format!("{number}"), "becomesLive": false,
                    "before": {"Daily": {"amountMicros": before}}, "after": {"Daily": {"amountMicros": after}},
                }],
            },
        });
        Past {
            change_id: format!("{number:032}"),
            progress: progress.into(),
            since: at,
            reserved_at: Some(at),
            applied_at: (progress == "applied").then_some(at),
            proposal: serde_json::from_value(proposal).unwrap(),
            line: format!("campaign {number}, daily_budget 100.00 EUR to {to}.00 EUR"),
        }
    }

    fn policy(fields: &Value) -> Policy {
        let mut policy = json!({"name": "ads", "mode": "Enforce", "currency": "EUR"});
        policy
            .as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        serde_json::from_value(policy).unwrap()
    }

    fn window(most: &str) -> Policy {
        let window = json!({"windowMs": 86_400_000, "scope": "Account", "maxDailyIncrease": most});
        policy(&json!({"budget": {"perWindow": [window]}}))
    }

    #[test]
    fn each_change_is_decided_on_what_had_happened_before_it() {
        let past = [
            raise(0, 140, "applied"),
            // What the vendor refused counts for nothing.
            raise(1, 190, "not_applied"),
            raise(2, 150, "applied"),
            raise(3, 120, "pending"),
        ];
        let wide = [policy(&json!({}))];
        let now = past[3].at();
        assert_eq!(different(&past, 0, (&wide, &wide), now).len(), 0);
        let ids = |then: &[Policy]| -> Vec<String> {
            let different = different(&past, 0, (&wide, then), now);
            different
                .iter()
                .map(|one| one.change_id.trim_start_matches('0').to_owned())
                .collect()
        };
        // 40, then 130 with the refused one, then 90, then 110.
        assert_eq!(ids(&[window("100")]), ["1", "3"]);
        assert_eq!(ids(&[window("110")]), ["1"]);
        assert_eq!(ids(&[]).len(), 4);
        // Before all is known that a window holds, nothing is judged.
        let long = [window("100")];
        assert_eq!(judged(&past, true, &wide, &long), 0);
        assert_eq!(judged(&past, false, &wide, &long), 4);
        let later = [raise(0, 140, "applied"), raise(25, 150, "applied")];
        assert_eq!(judged(&later, false, &wide, &long), 1);
        assert_eq!(different(&later, 1, (&wide, &[window("45")]), now).len(), 1);
    }

    #[test]
    fn small_steps_add_up_within_a_day() {
        let mut past = [raise(0, 110, "applied"), raise(1, 110, "applied")];
        let object = ObjectId::parse("0").unwrap();
        let second = past[1].proposal.as_mut().unwrap();
        second.effect.budgets[0].object = object.clone();
        second.subject.path = vec![object];
        // From 110 to 121, which is 21 % above the 100 of an hour ago.
        let budget = |micros: i64| Budget::Daily {
            amount_micros: micros,
        };
        second.effect.budgets[0].before = Some(budget(110_000_000));
        second.effect.budgets[0].after = budget(121_000_000);
        let day = policy(&json!({"budget": {"perObject": {"maxIncreasePercentPerDay": 20}}}));
        let wide = [policy(&json!({}))];
        let now = past[1].at();
        let different = different(&past, 0, (&wide, &[day]), now);
        assert_eq!(different.len(), 1);
        assert_eq!(different[0].change_id, past[1].change_id);
    }

    #[test]
    fn rates_that_are_good_today_are_taken_for_those_of_then() {
        let past = [raise(0, 140, "applied")];
        let now = past[0].at() + DAY * 3;
        let rated = |most: &str| {
            policy(&json!({
                "currency": "USD", "budget": {"perChange": {"maxDailyIncrease": most}},
                "exchangeRates": [{
                    "currency": "EUR", "rateNanos": 1_000_000_000, "asOf": now, "maxAgeMs": 86_400_000,
                }],
            }))
        };
        let wide = [rated("100")];
        assert_eq!(different(&past, 0, (&wide, &[rated("39")]), now).len(), 1);
        assert_eq!(different(&past, 0, (&wide, &[rated("40")]), now).len(), 0);
    }

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
