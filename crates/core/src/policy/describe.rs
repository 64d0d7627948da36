//! What a caller may know of the limits that bind an account, before anything
//! is refused (WRITES §11). Pure.

use jiff::Timestamp;
use serde::Serialize;

use super::amount::Amount;
use super::facts::{Charge, Facts, Proposal, Subject};
use super::limits::{Beside, Exposed, Look, exposed, length};
use super::{Ask, Disclose, Match, Mode, Policy, Removal, Scope, When};

/// What is said instead of a sum.
const NOT_CONVERTED: &str = "not known: it holds a currency without a fresh exchange rate";

/// What one policy limits on an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Described {
    /// The policy.
    pub policy: String,
    /// Its limits.
    pub limits: Vec<Limit>,
}

/// One limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Limit {
    /// The field or the entry of the policy, as refusals name it.
    pub rule: String,
    /// What it says, in a sentence.
    pub says: String,
    /// How much is left, where the policy discloses that and it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left: Option<String>,
}

/// The policies that bind some change of `proposal`'s account by its key, as far
/// as they disclose themselves. `facts` are those of the account, where the
/// ledger has them.
pub fn describe(
    policies: &[Policy],
    proposal: &Proposal,
    facts: Option<&Facts>,
    now: Timestamp,
) -> Vec<Described> {
    let nothing = Facts::default();
    let told = binding(policies, &proposal.subject)
        .filter(|policy| policy.disclose != Disclose::None)
        .map(|policy| {
            let knows = facts.filter(|_| policy.disclose == Disclose::Headroom);
            let look = Look {
                policy,
                proposal,
                beside: Beside::default(),
                facts: knows.unwrap_or(&nothing),
                now,
            };
            Described {
                policy: policy.name.clone(),
                limits: limits(&look, knows.is_some()),
            }
        });
    told.collect()
}

/// Whether a policy binds some change of that account by that key and does not
/// say what it limits.
pub fn is_something_undisclosed(policies: &[Policy], subject: &Subject) -> bool {
    binding(policies, subject).any(|policy| policy.disclose == Disclose::None)
}

fn binding<'p>(
    policies: &'p [Policy],
    subject: &'p Subject,
) -> impl Iterator<Item = &'p Policy> + use<'p> {
    let binding = policies.iter();
    binding.filter(|policy| policy.mode == Mode::Enforce && concerns(&policy.covers, subject))
}

/// Tools, classes and objects are those of a change, and there is none yet.
fn concerns(covers: &Match, subject: &Subject) -> bool {
    let any = Match {
        tools: None,
        classes: None,
        objects: None,
        ..covers.clone()
    };
    any.covers(subject)
}

fn limits(look: &Look<'_>, knows: bool) -> Vec<Limit> {
    let policy = look.policy;
    if let Some(cause) = &policy.unaccepted {
        let says = format!("the policy was never accepted, so nothing passes it: {cause}");
        return vec![limit("accepted", says)];
    }
    let mut all = Vec::new();
    all.extend(covered(&policy.covers));
    all.extend(per_change(look));
    all.extend(per_object(look));
    all.extend(windows(look, knows));
    all.extend(bids(look));
    all.extend(exposure(look, knows));
    all.extend(others(look));
    all.extend(policy.approvals.iter().map(|ask| approval(look, ask)));
    let rules = policy.rules.iter();
    all.extend(rules.map(|rule| limit(format!("rules.{}", rule.name), rule.message.clone())));
    if !policy.protected.is_empty() {
        let says = "some objects are protected, and so is whatever concerns them";
        all.push(limit("protected", says));
    }
    all
}

fn limit(rule: impl Into<String>, says: impl Into<String>) -> Limit {
    Limit {
        rule: rule.into(),
        says: says.into(),
        left: None,
    }
}

/// What else a change must be for the policy to speak of it.
fn covered(covers: &Match) -> Option<Limit> {
    let mut only = Vec::new();
    if let Some(tools) = &covers.tools {
        let names: Vec<_> = tools.iter().map(ToString::to_string).collect();
        only.push(format!("the tools {}", names.join(", ")));
    }
    if let Some(classes) = &covers.classes {
        let names: Vec<_> = classes.iter().map(|class| class.as_str()).collect();
        only.push(format!("{} tools", names.join(" and ")));
    }
    if covers.objects.is_some() {
        only.push("some objects".to_owned());
    }
    (!only.is_empty()).then(|| limit("match", format!("only {}", only.join("; only "))))
}

fn per_change(look: &Look<'_>) -> Vec<Limit> {
    let limits = &look.policy.budget.per_change;
    let amount = |field: &str, most: Option<Amount>, what: &str| {
        let most = look.amount(most?);
        let rule = format!("budget.perChange.{field}");
        Some(limit(
            rule,
            format!("one change may add {most} to {what} budgets"),
        ))
    };
    let percent = |field: &str, most: Option<u32>, how: &str| {
        let says = format!("one change may {how} a budget by {} %", most?);
        Some(limit(format!("budget.perChange.{field}"), says))
    };
    let all = [
        amount("maxDailyIncrease", limits.max_daily_increase, "daily"),
        amount(
            "maxLifetimeIncrease",
            limits.max_lifetime_increase,
            "lifetime",
        ),
        percent("maxIncreasePercent", limits.max_increase_percent, "raise"),
        percent("maxDecreasePercent", limits.max_decrease_percent, "lower"),
    ];
    all.into_iter().flatten().collect()
}

fn per_object(look: &Look<'_>) -> Vec<Limit> {
    let limits = &look.policy.budget.per_object;
    let said = |field: &str, says: String| limit(format!("budget.perObject.{field}"), says);
    let amount = |field: &str, most: Option<Amount>, what: &str| {
        let most = look.amount(most?);
        Some(said(
            field,
            format!("one object may have {most} as its {what} budget"),
        ))
    };
    let all = [
        amount("maxDaily", limits.max_daily, "daily"),
        amount("maxLifetime", limits.max_lifetime, "lifetime"),
        limits.min_interval_ms.map(|ms| {
            let says = format!("{} between two changes of one object", length(ms));
            said("minInterval", says)
        }),
        limits.max_changes_per_day.map(|most| {
            let says = format!("{most} changes of one object in 24 h");
            said("maxChangesPerDay", says)
        }),
        limits.max_increase_percent_per_day.map(|percent| {
            let says = format!("{percent} % above its lowest budget of the last 24 h");
            said("maxIncreasePercentPerDay", says)
        }),
    ];
    all.into_iter().flatten().collect()
}

/// A window, and what of a charge it adds up.
struct Window {
    rule: &'static str,
    scope: Scope,
    ms: i64,
    most: Amount,
    what: &'static str,
    part: fn(&Charge) -> i64,
}

fn windows(look: &Look<'_>, knows: bool) -> Vec<Limit> {
    let budgets = look.policy.budget.per_window.iter().flat_map(|window| {
        let made = |rule, most: Option<Amount>, what, part| {
            Some(Window {
                rule,
                scope: window.scope,
                ms: window.window_ms,
                most: most?,
                what,
                part,
            })
        };
        let daily = made(
            "budget.perWindow.maxDailyIncrease",
            window.max_daily_increase,
            "daily budgets",
            |charge| charge.daily_micros,
        );
        let lifetime = made(
            "budget.perWindow.maxLifetimeIncrease",
            window.max_lifetime_increase,
            "lifetime budgets",
            |charge| charge.lifetime_micros,
        );
        daily.into_iter().chain(lifetime)
    });
    let financial = look.policy.financial.iter();
    let financial = financial.flat_map(|limits| &limits.per_window);
    let financial = financial.map(|window| Window {
        rule: "financial.perWindow.maxIncrease",
        scope: window.scope,
        ms: window.window_ms,
        most: window.max_increase,
        what: "financial records",
        part: |charge| charge.financial_micros,
    });
    budgets
        .chain(financial)
        .map(|window| window.limit(look, knows))
        .collect()
}

impl Window {
    fn limit(&self, look: &Look<'_>, knows: bool) -> Limit {
        let whose = match self.scope {
            Scope::Account => "the account",
            Scope::Connector => "all accounts of the vendor",
            Scope::Organization => "the whole organisation",
        };
        let (most, length) = (look.amount(self.most), length(self.ms));
        let used = || look.used(self.scope, self.ms, self.part);
        let left = knows.then(|| match used() {
            Some(used) => look.sum((i128::from(self.most.micros()) - used).max(0)),
            None => NOT_CONVERTED.to_owned(),
        });
        Limit {
            left,
            ..limit(
                self.rule,
                format!(
                    "increases of {} add up to at most {most} in {length}, for {whose}",
                    self.what
                ),
            )
        }
    }
}

fn bids(look: &Look<'_>) -> Vec<Limit> {
    let Some(limits) = &look.policy.bids else {
        return Vec::new();
    };
    let amount = |field: &str, bound: Option<Amount>, how: &str| {
        let says = format!("a bid is at {how} {}", look.amount(bound?));
        Some(limit(format!("bids.{field}"), says))
    };
    let removal = match limits.removal {
        Removal::Allow => None,
        Removal::Ask => Some("people are asked before a cap is taken away"),
        Removal::Deny => Some("no cap is taken away"),
    };
    let rise = limits.max_increase_percent;
    let all = [
        rise.map(|most| {
            let says = format!("one change may raise a bid by {most} %");
            limit("bids.maxIncreasePercent", says)
        }),
        amount("floor", limits.floor, "least"),
        amount("ceiling", limits.ceiling, "most"),
        removal.map(|says| limit("bids.removal", says)),
    ];
    all.into_iter().flatten().collect()
}

/// What all live budgets may spend together, and what is left of that.
fn exposure(look: &Look<'_>, knows: bool) -> Option<Limit> {
    let limits = look.policy.budget.exposure.as_ref()?;
    let most = limits.max_active_daily;
    let left = knows.then(|| match exposed(look, limits, 0) {
        Exposed::Unread => "not known: it was not read in the last 15 minutes".to_owned(),
        Exposed::Unconverted => NOT_CONVERTED.to_owned(),
        Exposed::Known(used) => {
            let used = used / 100 + i128::from(used % 100 > 0);
            look.sum(i128::from(most.micros()).saturating_sub(used).max(0))
        }
    });
    let says = format!("live budgets may spend {} a day in all", look.amount(most));
    Some(Limit {
        left,
        ..limit("budget.exposure.maxActiveDaily", says)
    })
}

fn others(look: &Look<'_>) -> Vec<Limit> {
    let policy = look.policy;
    let mut all = Vec::new();
    let mut say = |rule: &str, says: Option<String>| {
        all.extend(says.map(|says| limit(rule, says)));
    };
    if let Some(create) = &policy.create {
        let paused = create.force_paused;
        say(
            "create.forcePaused",
            paused.then(|| "new objects are paused".to_owned()),
        );
        let ends = create.require_end_date;
        say(
            "create.requireEndDate",
            ends.then(|| "new spending has an end date".to_owned()),
        );
        let most = create.max_per_day;
        say(
            "create.maxPerDay",
            most.map(|most| format!("{most} new objects in 24 h")),
        );
    }
    if let Some(records) = &policy.records {
        let (call, day) = (records.max_per_call, records.max_per_day);
        say(
            "records.maxPerCall",
            call.map(|most| format!("{most} records in one call")),
        );
        say(
            "records.maxPerDay",
            day.map(|most| format!("{most} records in 24 h")),
        );
    }
    if let Some(stops) = &policy.deactivate {
        let hour = stops.max_per_hour;
        say(
            "deactivate.maxPerHour",
            hour.map(|most| format!("{most} objects are switched off in an hour")),
        );
        let above = stops.ask_above.map(|above| look.amount(above));
        say(
            "deactivate.askAbove",
            above.map(|above| format!("people are asked before more than {above} a day stops")),
        );
    }
    all
}

fn approval(look: &Look<'_>, ask: &Ask) -> Limit {
    let When {
        daily_increase_over,
        lifetime_increase_over,
        increase_percent_over,
        window_increase_over,
        amount_over,
        classes,
        cel,
    } = &ask.when;
    let over = |what: &str, amount: &Option<Amount>| {
        let amount = look.amount((*amount)?);
        Some(format!("{what} by more than {amount}"))
    };
    let classes = classes.as_ref().map(|classes| {
        let names: Vec<_> = classes.iter().map(|class| class.as_str()).collect();
        format!("the tool is of class {}", names.join(" or "))
    });
    let when = [
        over("a daily budget rises", daily_increase_over),
        over("a lifetime budget rises", lifetime_increase_over),
        increase_percent_over.map(|percent| format!("a budget rises by more than {percent} %")),
        window_increase_over.as_ref().map(|window| {
            let (amount, length) = (look.amount(window.amount), length(window.window_ms));
            format!("increases add up to more than {amount} in {length}")
        }),
        amount_over.map(|amount| format!("a record gets more than {}", look.amount(amount))),
        classes,
        cel.as_ref().map(|_| "its expression holds".to_owned()),
    ];
    let when: Vec<_> = when.into_iter().flatten().collect();
    let when = if when.is_empty() {
        "always".to_owned()
    } else {
        format!("when {}", when.join(" and "))
    };
    let says = format!("`{}` is asked {when}", ask.approver_class);
    limit(format!("approvals.{}", ask.name), says)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::access::ToolClass;
    use crate::effect::{Effect, Primitive};
    use crate::name::{AccountId, ConnectorName, Currency, KeyId, ToolName};
    use crate::policy::facts::Standing;

    fn subject() -> Subject {
        Subject {
            connector: ConnectorName::parse("meta").unwrap(),
            account: AccountId::parse("act_1").unwrap(),
            tool: ToolName::parse("describe_limits").unwrap(),
            class: ToolClass::Read,
            key: KeyId::parse("demo").unwrap(),
            path: vec![],
        }
    }

    fn policy(fields: &Value) -> Policy {
        let mut policy = json!({"name": "ads", "mode": "Enforce", "currency": "EUR"});
        let fields = fields.as_object().unwrap().clone();
        policy.as_object_mut().unwrap().extend(fields);
        serde_json::from_value(policy).unwrap()
    }

    /// 600 EUR were added to daily budgets an hour ago.
    fn facts(now: Timestamp) -> Facts {
        let charge = Charge {
            batch: None,
            subject: subject(),
            standing: Standing::Applied(now - jiff::SignedDuration::from_hours(1)),
            primitive: Primitive::SetBudget,
            currency: Currency::parse("EUR").ok(),
            budgets: std::collections::BTreeSet::new(),
            daily_micros: 600_000_000,
            lifetime_micros: 0,
            exposure_micros: 0,
            financial_micros: 0,
            created: 0,
            records: 0,
        };
        Facts {
            charges: vec![charge.into()],
            ..Facts::default()
        }
    }

    /// One line a limit.
    fn told(policies: &[Policy]) -> String {
        let now = Timestamp::UNIX_EPOCH;
        let proposal = Proposal {
            subject: subject(),
            effect: Effect::records([]),
            undoes: None,
            batch: None,
        };
        let facts = facts(now);
        let line = |limit: &Limit| {
            let left = limit.left.as_ref().map(|left| format!(" (left: {left})"));
            format!(
                "{}: {}{}\n",
                limit.rule,
                limit.says,
                left.unwrap_or_default()
            )
        };
        let described = describe(policies, &proposal, Some(&facts), now);
        let told = described.iter().map(|one| {
            let lines: String = one.limits.iter().map(line).collect();
            format!("[{}]\n{lines}", one.policy)
        });
        told.collect()
    }

    #[test]
    fn every_field_is_told_in_a_sentence() {
        let full = policy(&json!({
            "disclose": "Headroom",
            "covers": {"classes": ["spend"], "tools": ["meta_set_budget"], "objects": ["1"]},
            "budget": {
                "perChange": {
                    "maxDailyIncrease": "5000", "maxLifetimeIncrease": "9000",
                    "maxIncreasePercent": 50, "maxDecreasePercent": 60,
                },
                "perObject": {
                    "maxDaily": "100", "maxLifetime": "200", "minIntervalMs": 300_000,
                    "maxChangesPerDay": 4, "maxIncreasePercentPerDay": 70,
                },
                "perWindow": [{
                    "windowMs": 86_400_000, "scope": "Account",
                    "maxDailyIncrease": "1000", "maxLifetimeIncrease": "2000",
                }],
                "exposure": {"maxActiveDaily": "8000"},
            },
            "bids": {"maxIncreasePercent": 20, "floor": "0.10", "ceiling": "9", "removal": "Deny"},
            "financial": {"perWindow": [
                {"windowMs": 3_600_000, "scope": "Organization", "maxIncrease": "7"},
            ]},
            "create": {"forcePaused": true, "maxPerDay": 3, "requireEndDate": true},
            "records": {"maxPerCall": 5, "maxPerDay": 50},
            "deactivate": {"maxPerHour": 10, "askAbove": "400"},
            "approvals": [
                {
                    "name": "large", "approverClass": "budget-owners", "approvers": 1, "expiresAfterMs": 1,
                    "when": {"dailyIncreaseOver": "500", "increasePercentOver": 30},
                },
                {"name": "all", "approverClass": "x", "approvers": 1, "expiresAfterMs": 1, "when": {}},
            ],
            "protected": ["9"],
        }));
        insta::assert_snapshot!(told(&[full]), @r"
        [ads]
        match: only the tools meta_set_budget; only spend tools; only some objects
        budget.perChange.maxDailyIncrease: one change may add 5000.00 EUR to daily budgets
        budget.perChange.maxLifetimeIncrease: one change may add 9000.00 EUR to lifetime budgets
        budget.perChange.maxIncreasePercent: one change may raise a budget by 50 %
        budget.perChange.maxDecreasePercent: one change may lower a budget by 60 %
        budget.perObject.maxDaily: one object may have 100.00 EUR as its daily budget
        budget.perObject.maxLifetime: one object may have 200.00 EUR as its lifetime budget
        budget.perObject.minInterval: 5 min between two changes of one object
        budget.perObject.maxChangesPerDay: 4 changes of one object in 24 h
        budget.perObject.maxIncreasePercentPerDay: 70 % above its lowest budget of the last 24 h
        budget.perWindow.maxDailyIncrease: increases of daily budgets add up to at most 1000.00 EUR in 24 h, for the account (left: 1000.00 EUR)
        budget.perWindow.maxLifetimeIncrease: increases of lifetime budgets add up to at most 2000.00 EUR in 24 h, for the account (left: 2000.00 EUR)
        financial.perWindow.maxIncrease: increases of financial records add up to at most 7.00 EUR in 1 h, for the whole organisation (left: 7.00 EUR)
        bids.maxIncreasePercent: one change may raise a bid by 20 %
        bids.floor: a bid is at least 0.10 EUR
        bids.ceiling: a bid is at most 9.00 EUR
        bids.removal: no cap is taken away
        budget.exposure.maxActiveDaily: live budgets may spend 8000.00 EUR a day in all (left: not known: it was not read in the last 15 minutes)
        create.forcePaused: new objects are paused
        create.requireEndDate: new spending has an end date
        create.maxPerDay: 3 new objects in 24 h
        records.maxPerCall: 5 records in one call
        records.maxPerDay: 50 records in 24 h
        deactivate.maxPerHour: 10 objects are switched off in an hour
        deactivate.askAbove: people are asked before more than 400.00 EUR a day stops
        approvals.large: `budget-owners` is asked when a daily budget rises by more than 500.00 EUR and a budget rises by more than 30 %
        approvals.all: `x` is asked always
        protected: some objects are protected, and so is whatever concerns them
        ");
    }

    #[test]
    fn a_policy_is_told_as_far_as_it_discloses_itself_to_whom_it_binds() {
        let window = json!({"perWindow": [
            {"windowMs": 86_400_000, "scope": "Account", "maxDailyIncrease": "1000"},
        ]});
        let with = |name: &str, disclose: &str, more: Value| {
            let mut policy = policy(&json!({"disclose": disclose, "budget": window}));
            policy.name = name.into();
            policy.covers = serde_json::from_value(more).unwrap();
            policy
        };
        let silent = with("silent", "None", json!({}));
        let policies = [
            with("open", "Headroom", json!({})),
            with("verdicts", "Verdicts", json!({})),
            silent.clone(),
            with("of-others", "Headroom", json!({"accounts": ["act_2"]})),
            Policy {
                mode: Mode::Shadow,
                ..with("shadow", "Headroom", json!({}))
            },
        ];
        insta::assert_snapshot!(told(&policies), @r"
        [open]
        budget.perWindow.maxDailyIncrease: increases of daily budgets add up to at most 1000.00 EUR in 24 h, for the account (left: 400.00 EUR)
        [verdicts]
        budget.perWindow.maxDailyIncrease: increases of daily budgets add up to at most 1000.00 EUR in 24 h, for the account
        ");
        assert!(is_something_undisclosed(&policies, &subject()));
        let others = with("others", "None", json!({"keys": ["nobody"]}));
        assert!(!is_something_undisclosed(&[others], &subject()));
        assert!(is_something_undisclosed(&[silent], &subject()));
    }
}
