//! Whole forms, their flaws, and the cases that they carry along.

use serde_json::{Value, json};
use tenantry_core::policy::Policy;
use tenantry_core::reason::Reason;

use super::proof::prove;
use super::*;

fn form(spec: &Value) -> SafetyPolicy {
    let document = json!({
        "apiVersion": "tenantry.dev/v1alpha1",
        "kind": "SafetyPolicy",
        "metadata": {"name": "ads-budget"},
        "spec": spec,
    });
    serde_json::from_value(document).unwrap()
}

fn compiled(spec: &Value) -> Policy {
    compile(&form(spec), Origin::Organization).unwrap()
}

/// Every field that a form has, once.
fn whole() -> Value {
    json!({
        "mode": "Enforce",
        "match": {
            "connectors": ["meta"], "accounts": ["act_1"], "tools": ["meta_set_budget"],
            "classes": ["spend", "destructive"], "keys": ["agent"], "objects": ["120"],
        },
        "currency": "EUR",
        "budget": {
            "perChange": {
                "maxDailyIncrease": "500", "maxLifetimeIncrease": "5000.50",
                "maxIncreasePercent": 50, "maxDecreasePercent": 80,
            },
            "perObject": {
                "maxDaily": "1000", "maxLifetime": "30000", "minInterval": "5m",
                "maxChangesPerDay": 4, "maxIncreasePercentPerDay": 100,
            },
            "perWindow": [
                {"window": "24h", "scope": "Organization", "maxDailyIncrease": "10000"},
                {"window": "30d", "scope": "Account", "maxLifetimeIncrease": "20000"},
            ],
            "exposure": {"maxActiveDaily": "50000", "overspendFactor": "1.75"},
        },
        "bids": {"maxIncreasePercent": 20, "floor": "0.10", "ceiling": "5", "removal": "Deny"},
        "financial": {
            "maxAmount": "100000", "maxIncrease": "5000",
            "perWindow": [{"window": "1h", "scope": "Connector", "maxIncrease": "7000"}],
            "states": ["qualified"],
        },
        "create": {"forcePaused": true, "maxPerDay": 10, "requireEndDate": true},
        "records": {"maxPerCall": 10, "maxPerDay": 1000},
        "deactivate": {"maxPerHour": 100, "askAbove": "10000"},
        "approvals": [{
            "name": "large", "approverClass": "finance", "approvers": 2, "expiresAfter": "4h",
            "when": {
                "dailyIncreaseOver": "250", "lifetimeIncreaseOver": "2500", "increasePercentOver": 25,
                "windowIncreaseOver": {"amount": "5000", "scope": "Account", "window": "7d"},
                "amountOver": "9000", "classes": ["spend"], "cel": "change.created > 0",
            },
        }],
        "rules": [
            {"name": "no-night", "when": "change.tool == 'meta_set_budget'", "action": "Deny", "message": "not now"},
            {"name": "look", "when": "change.records > 3", "action": "Ask", "approverClass": "ops", "message": "many"},
        ],
        "protected": ["999"],
        "exchangeRates": [{"currency": "USD", "rate": "0.92", "asOf": "2027-01-15T08:00:00Z", "maxAge": "7d"}],
        "pending": {"maxPerKey": 3, "maxPerTenant": 7, "share": 25},
    })
}

#[test]
fn every_field_of_a_form_means_its_exact_number() {
    let policy = serde_json::to_value(compiled(&whole())).unwrap();
    assert_eq!(
        policy,
        json!({
            "name": "ads-budget",
            "mode": "Enforce",
            "covers": {
                "connectors": ["meta"], "accounts": ["act_1"], "tools": ["meta_set_budget"],
                "classes": ["spend", "destructive"], "keys": ["agent"], "objects": ["120"],
            },
            "currency": "EUR",
            "budget": {
                "perChange": {
                    "maxDailyIncrease": "500.00", "maxLifetimeIncrease": "5000.50",
                    "maxIncreasePercent": 50, "maxDecreasePercent": 80,
                },
                "perObject": {
                    "maxDaily": "1000.00", "maxLifetime": "30000.00", "minIntervalMs": 300_000,
                    "maxChangesPerDay": 4, "maxIncreasePercentPerDay": 100,
                },
                "perWindow": [
                    {"windowMs": 86_400_000, "scope": "Organization", "maxDailyIncrease": "10000.00"},
                    {"windowMs": 2_592_000_000_i64, "scope": "Account", "maxLifetimeIncrease": "20000.00"},
                ],
                "exposure": {"maxActiveDaily": "50000.00", "overspendPercent": 175},
            },
            "bids": {"maxIncreasePercent": 20, "floor": "0.10", "ceiling": "5.00", "removal": "Deny"},
            "financial": {
                "maxAmount": "100000.00", "maxIncrease": "5000.00",
                "perWindow": [{"windowMs": 3_600_000, "scope": "Connector", "maxIncrease": "7000.00"}],
                "states": ["qualified"],
            },
            "create": {"forcePaused": true, "maxPerDay": 10, "requireEndDate": true},
            "records": {"maxPerCall": 10, "maxPerDay": 1000},
            "deactivate": {"maxPerHour": 100, "askAbove": "10000.00"},
            "approvals": [{
                "name": "large", "approverClass": "finance", "approvers": 2, "expiresAfterMs": 14_400_000,
                "when": {
                    "dailyIncreaseOver": "250.00", "lifetimeIncreaseOver": "2500.00",
                    "increasePercentOver": 25,
                    "windowIncreaseOver": {"amount": "5000.00", "scope": "Account", "windowMs": 604_800_000},
                    "amountOver": "9000.00", "classes": ["spend"], "cel": "change.created > 0",
                },
            }],
            "rules": [
                {"name": "no-night", "when": "change.tool == 'meta_set_budget'", "action": "Deny", "message": "not now"},
                {"name": "look", "when": "change.records > 3", "action": {"Ask": {"approverClass": "ops"}}, "message": "many"},
            ],
            "protected": ["999"],
            "exchangeRates": [{
                "currency": "USD", "rateNanos": 920_000_000, "asOf": "2027-01-15T08:00:00Z",
                "maxAgeMs": 604_800_000,
            }],
            "pending": {"maxPerKey": 3, "maxPerTenant": 7, "sharePercent": 25},
        })
    );
}

#[test]
fn what_is_left_out_is_not_limited_and_asks_one_person_for_a_day() {
    let policy = compiled(&json!({
        "mode": "Shadow",
        "approvals": [{"name": "all", "approverClass": "ops", "when": {"classes": ["spend"]}}],
    }));
    let mut expected = Policy::named("ads-budget");
    expected.mode = core::Mode::Shadow;
    expected.approvals = vec![core::Ask {
        name: "all".into(),
        approver_class: "ops".into(),
        when: core::When {
            classes: Some([ToolClass::Spend].into()),
            ..core::When::default()
        },
        approvers: 1,
        expires_after_ms: 86_400_000,
    }];
    assert_eq!(policy, expected);
}

#[test]
fn every_flaw_is_told_with_its_field() {
    let flawed = form(&json!({
        "mode": "Enforce",
        "currency": "euro",
        "match": {"accounts": ["act 1"]},
        "budget": {
            "perChange": {"maxDailyIncrease": "1e3", "maxIncreasePercent": -1},
            "perObject": {"minInterval": "soon"},
            "exposure": {"maxActiveDaily": "1", "overspendFactor": "0.5"},
        },
        "rules": [{"name": "odd", "when": "change.nothing", "action": "Deny", "message": "no"}],
        "exchangeRates": [{"currency": "USD", "rate": "0", "asOf": "2027-01-15T08:00:00Z", "maxAge": "7d"}],
    }));
    let flaws = compile(&flawed, Origin::Organization).unwrap_err();
    assert!(flaws.iter().all(|flaw| flaw.reason == Reason::SpecInvalid));
    let told: Vec<&str> = flaws.iter().map(|flaw| flaw.message.as_str()).collect();
    let fields = [
        "spec.match",
        "spec.currency",
        "spec.budget.perChange: amount `1e3`",
        "spec.budget.perChange: -1",
        "spec.budget.perObject: `soon`",
        "spec.budget.exposure.overspendFactor",
        "spec.rules[odd]: ",
        "spec.exchangeRates[USD].rate",
    ];
    for field in fields {
        assert!(
            told.iter().any(|told| told.starts_with(field)),
            "{field}: {told:?}"
        );
    }
    assert_eq!(told.len(), fields.len(), "{told:?}");
}

#[test]
fn only_the_platforms_policies_select_namespaces() {
    let policy = form(&json!({"mode": "Enforce", "namespaceSelector": {}}));
    assert!(compile(&policy, Origin::Platform).is_ok());
    let flaws = compile(&policy, Origin::Organization).unwrap_err();
    let told: Vec<_> = flaws.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "spec.namespaceSelector: only a policy in the operator's namespace selects namespaces; leave it out"
        ]
    );
}

#[test]
fn a_policy_that_was_never_accepted_refuses_what_it_would_bind() {
    let scoped = form(&json!({"mode": "Enforce", "match": {"accounts": ["act_1"]}}));
    let refusal = refusal(&scoped, Origin::Platform, "its tests fail");
    assert_eq!(refusal.name, "platform/ads-budget");
    assert_eq!(refusal.covers.accounts.map(|all| all.len()), Some(1));
    assert_eq!(refusal.unaccepted.as_deref(), Some("its tests fail"));
    let unreadable = form(&json!({"mode": "Enforce", "match": {"accounts": ["act 1"]}}));
    let everything = super::refusal(&unreadable, Origin::Platform, "its match cannot be read");
    assert_eq!(everything.covers, core::Match::default());
}

fn case(change: &Value, decision: &str, rules: &[&str]) -> Value {
    let mut expect = json!({"decision": decision});
    if !rules.is_empty() {
        expect["rules"] = json!(rules);
    }
    json!({"name": "one", "change": change, "expect": expect})
}

fn differences(policy: &Value, case: Value) -> Vec<String> {
    let case: crate::safety_policy::test_case::TestCase = serde_json::from_value(case).unwrap();
    prove(&compiled(policy), &[case])
}

#[test]
fn the_cases_of_a_policy_are_decided_as_a_server_would() {
    let policy = || {
        json!({
            "mode": "Shadow", "currency": "EUR",
            "budget": {"perChange": {"maxIncreasePercent": 50, "maxDailyIncrease": "100"}},
            "financial": {"maxIncrease": "10"},
            "match": {"accounts": ["act_1"]},
        })
    };
    let daily = |before: &str, after: &str| json!({"tool": "meta_set_budget", "account": "act_1", "daily": {"before": before, "after": after}});
    let percent = "budget.perChange.maxIncreasePercent";
    let good = [
        case(&daily("100", "150"), "Permitted", &[]),
        case(&daily("100", "150.01"), "Denied", &[percent]),
        case(
            &daily("1000", "1100.01"),
            "Denied",
            &["budget.perChange.maxDailyIncrease"],
        ),
        case(
            &json!({"tool": "meta_set_budget", "account": "act_1", "daily": {"after": "50"}}),
            "NeedsApproval",
            &[],
        ),
        case(
            &json!({"tool": "meta_set_budget", "account": "act_2", "daily": {"before": "1", "after": "1"}}),
            "Denied",
            &["match"],
        ),
        case(
            &json!({"tool": "hubspot_set_amount", "account": "act_1", "financial": {"before": "1", "after": "11.01"}}),
            "Denied",
            &["financial.maxIncrease"],
        ),
    ];
    for case in good {
        assert_eq!(differences(&policy(), case.clone()), [""; 0], "{case}");
    }
    assert_eq!(
        differences(&policy(), case(&daily("100", "151"), "Permitted", &[])),
        [format!(
            "tests[one]: Denied instead of Permitted; the rules that fired: {percent}"
        )]
    );
    assert_eq!(
        differences(&policy(), case(&daily("100", "151"), "Denied", &["match"])),
        [format!(
            "tests[one]: Denied instead of Denied; the rules that fired: {percent}; missing: match"
        )]
    );
    let both =
        json!({"tool": "meta_set_budget", "daily": {"after": "1"}, "lifetime": {"after": "1"}});
    assert_eq!(
        differences(&policy(), case(&both, "Denied", &[])),
        ["tests[one]: a change has one of daily, lifetime and financial"]
    );
}
