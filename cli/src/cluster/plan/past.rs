//! The changes of the past, and which of them would have been decided otherwise:
//! each on what had happened before it.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tenantry_api::compile::policy::proof::decided;
use tenantry_core::name::ObjectId;
use tenantry_core::policy::batch::{Together, decide_all, together};
use tenantry_core::policy::decide::{Agreed, Decision, Fired, Ruling, Verdict, decide};
use tenantry_core::policy::facts::{Charge, Facts, Proposal, Standing};
use tenantry_core::policy::{Policy, longest_window};

use crate::answer::Unusable;
use crate::cli::activity::Plan;
use crate::cluster::{Cluster, activity};

/// Changes that are asked for at a time: each with all that it touches.
const PAGE: u32 = 25;

/// The day that limits mean.
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// A change as the server tells it.
#[derive(Deserialize)]
pub struct Past {
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

/// A change of the past that would have been decided otherwise.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Otherwise {
    /// When it was decided.
    pub at: Timestamp,
    /// Its id.
    pub change_id: String,
    /// What it does, in a line.
    pub change: String,
    /// How it is decided by the policies in force.
    pub now: String,
    /// How it would be.
    pub then: String,
    /// The rules that make the difference.
    pub rules: Vec<String>,
}

/// The last changes, the oldest first, and whether those are all.
pub async fn read(cluster: &Cluster, asked: &Plan) -> Result<(Vec<Past>, bool), Unusable> {
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
    past.retain(|one| one.proposal.is_some());
    // What was asked for together was decided at one moment.
    past.sort_by(|one, other| (one.at(), one.batch()).cmp(&(other.at(), other.batch())));
    Ok((past, is_whole))
}

impl Past {
    /// When it was decided.
    pub fn at(&self) -> Timestamp {
        self.reserved_at.unwrap_or(self.since)
    }

    /// Whether they were asked for together: then they were decided so.
    fn is_with(&self, other: &Self) -> bool {
        self.batch().is_some() && self.batch() == other.batch()
    }

    fn batch(&self) -> Option<&str> {
        self.proposal.as_ref()?.batch.as_deref()
    }

    /// The id as which it was asked for.
    fn asked_as(&self) -> &str {
        self.batch().unwrap_or(&self.change_id)
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
pub fn judged(past: &[Past], is_whole: bool, in_force: &[Policy], then: &[Policy]) -> usize {
    let Some(first) = past.first().filter(|_| !is_whole) else {
        return 0;
    };
    let longest = longest_window(in_force).max(longest_window(then)).max(DAY);
    let from = first.at() + longest;
    past.partition_point(|one| one.at() < from)
}

/// What would have been decided otherwise, from the change `judged` on: by the
/// policies in force, and by those that shall be.
pub fn different(
    past: &[Past],
    judged: usize,
    (in_force, then): (&[Policy], &[Policy]),
    now: Timestamp,
) -> Vec<Otherwise> {
    let mut facts = Facts::default();
    let mut different = Vec::new();
    let mut number = 0;
    for batch in past.chunk_by(Past::is_with) {
        let before = past.get(..number).unwrap_or_default();
        number += batch.len();
        let Some(last) = batch.last() else { continue };
        let rule = |policies| {
            let policies = at_rates_of_today(policies, now, last.at());
            ruled(batch, before, &policies, &facts)
        };
        let (is, would) = (rule(in_force), rule(then));
        if number > judged
            && let Some((is, would)) = is.zip(would)
            && word(&is) != word(&would)
        {
            different.push(Otherwise {
                at: last.at(),
                change_id: last.asked_as().to_owned(),
                change: lines(batch),
                rules: rules(&is, &would),
                now: word(&is),
                then: word(&would),
            });
        }
        let charges = batch.iter().filter_map(Past::charge);
        facts.charges.extend(charges.map(Arc::new));
    }
    different
}

/// What was decided of changes that were asked for together; of one alone, of it.
fn ruled(batch: &[Past], before: &[Past], policies: &[Policy], facts: &Facts) -> Option<Ruling> {
    let at = batch.last()?.at();
    let known = batch.iter().map(|one| Facts {
        lowest_micros: lows(before, one),
        ..facts.clone()
    });
    let known: Vec<_> = known.collect();
    let proposals = batch.iter().filter_map(|one| one.proposal.clone());
    let proposals: Vec<_> = proposals.collect();
    let agreed = Agreed::new();
    if let ([proposal], [facts]) = (proposals.as_slice(), known.as_slice()) {
        return Some(decide(proposal, policies, facts, &agreed, at));
    }
    let rulings = decide_all(&proposals, known, policies, &agreed, at);
    let decision = match together(&rulings) {
        Together::Permitted => rulings.first()?.decision.clone(),
        Together::NeedsApproval(terms) => Decision::NeedsApproval(terms),
        Together::Denied => Decision::Denied,
    };
    let fired = rulings.iter().flat_map(|ruling| &ruling.fired);
    let shadow = rulings.iter().flat_map(|ruling| &ruling.shadow);
    Some(Ruling {
        decision,
        fired: fired.cloned().collect(),
        shadow: shadow.cloned().collect(),
    })
}

/// What changes do that were asked for together, in a line.
fn lines(batch: &[Past]) -> String {
    let lines: Vec<_> = batch.iter().map(|one| one.line.as_str()).collect();
    match lines.as_slice() {
        [only] => (*only).to_owned(),
        all => format!("{} changes: {}", all.len(), all.join("; ")),
    }
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

#[cfg(test)]
pub mod tests {
    use serde_json::json;
    use tenantry_core::spend_root::Budget;

    use super::*;

    /// A raise of a campaign's budget from 100, an hour after the one before.
    pub fn raise(number: i64, to: i64, progress: &str) -> Past {
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

    pub fn policy(fields: &Value) -> Policy {
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
    fn what_was_asked_for_together_is_decided_so() {
        let mut past = [raise(0, 140, "applied"), raise(1, 150, "applied")];
        let at = past[0].at();
        for one in &mut past {
            one.reserved_at = Some(at);
            one.proposal.as_mut().unwrap().batch = Some("f".repeat(32));
        }
        let wide = [policy(&json!({}))];
        let most = |most: &str| {
            [policy(
                &json!({"budget": {"perChange": {"maxDailyIncrease": most}}}),
            )]
        };
        assert_eq!(different(&past, 0, (&wide, &most("90")), at).len(), 0);
        let found = different(&past, 0, (&wide, &most("89")), at);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].change_id, "f".repeat(32));
        assert_eq!(found[0].rules.len(), 2);
        assert!(
            found[0].change.starts_with("2 changes: campaign 0, "),
            "{}",
            found[0].change
        );
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
}
