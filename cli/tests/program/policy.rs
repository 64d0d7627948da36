//! `tenantry policy test`: what it prints of cases that hold and of those that
//! do not, and what it refuses to try.

use std::fs;
use std::path::Path;

use crate::program::{Ended, run};
use tempfile::TempDir;

const POLICY: &str = "\
apiVersion: tenantry.dev/v1alpha1
kind: SafetyPolicy
metadata: {name: caps}
spec:
  mode: Enforce
  currency: EUR
  budget: {perChange: {maxIncreasePercent: 50}}
";

/// Tries `cases` by `policies`, at a fixed time; files are `DIR/…` in what is told.
fn test(policies: &[&str], cases: &str, more: &[&str]) -> Ended {
    let dir = tempfile::tempdir().unwrap();
    let mut arguments = vec!["policy".to_owned(), "test".into(), "--policy".into()];
    for (policy, number) in policies.iter().zip(1..) {
        arguments.push(written(&dir, &format!("policy{number}.yaml"), policy));
    }
    if !cases.is_empty() {
        let file = written(&dir, "cases.yaml", cases);
        arguments.extend(["--cases".to_owned(), file]);
    }
    arguments.extend(["--time".to_owned(), "2026-06-01T12:00:00Z".into()]);
    arguments.extend(more.iter().map(ToString::to_string));
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    run(&arguments).without(dir.path())
}

fn written(dir: &TempDir, name: &str, text: &str) -> String {
    let path: &Path = &dir.path().join(name);
    fs::write(path, text).unwrap();
    path.display().to_string()
}

/// A file of one case, of which these lines are the rest.
fn case(lines: &[&str]) -> String {
    format!("cases:\n- name: one\n  {}\n", lines.join("\n  "))
}

#[test]
fn the_examples_are_decided_as_they_say() {
    let files = [
        "--policy",
        "examples/policy.yaml",
        "--cases",
        "examples/cases.yaml",
    ];
    let ended = run(&[&["policy", "test"], &files[..]].concat());
    insta::assert_snapshot!(ended.to_string(), @r"
        CASE                                     EXPECTED         GOT              DECIDED BY
    ok  ads-budget/half-more                     Allow            Allow            -
    ok  ads-budget/more-than-half                Deny             Deny             ads-budget:budget.perChange.maxIncreasePercent
    ok  half-more-at-noon                        Allow            Allow            -
    ok  the-day-is-nearly-spent                  Deny             Deny             ads-budget:budget.perWindow.maxDailyIncrease
    ok  what-is-older-than-a-day-does-not-count  Allow            Allow            -
    ok  too-soon                                 Deny             Deny             ads-budget:budget.perObject.minInterval
    ok  large-and-undefined                      RequireApproval  RequireApproval  ads-budget:budget.perChange, ads-budget:approvals.large
    ok  a-campaign-goes-live                     RequireApproval  RequireApproval  ads-budget:approvals.activation
    ok  nothing-stops-a-stop                     Allow            Allow            -
    ok  another-connector                        Deny             Deny             none:match

    10 cases, all as expected
    exit 0
    ");
}

#[test]
fn the_readme_shows_what_is_printed() {
    let readme = include_str!("../../../README.md");
    for command in [
        "policy test --policy examples/policy.yaml --cases examples/cases.yaml",
        "lint examples/acme.yaml examples/policy.yaml",
    ] {
        let printed = run(&command.split(' ').collect::<Vec<_>>()).out;
        let shown = format!("$ tenantry {command}\n{printed}");
        assert!(readme.contains(&shown), "README.md lacks:\n{shown}");
    }
}

#[test]
fn a_case_that_comes_out_otherwise_is_told_with_the_reasons() {
    let cases = "cases:
- name: half-more
  change: {tool: meta_set_budget, daily: {before: '100', after: '150.01'}}
  expect: {decision: Allow}
- name: other-rule
  change: {tool: meta_set_budget, daily: {before: '100', after: '200'}}
  expect: {decision: Deny, rules: [budget.perObject.maxDaily, 'caps:budget.perChange.maxIncreasePercent']}
- name: as-it-should-be
  change: {tool: meta_set_budget, daily: {before: '100', after: '50'}}
  expect: {decision: Permitted}
";
    insta::assert_snapshot!(test(&[POLICY], cases, &[]).to_string(), @r"
             CASE             EXPECTED  GOT    DECIDED BY
    DIFFERS  half-more        Allow     Deny   caps:budget.perChange.maxIncreasePercent
    DIFFERS  other-rule       Deny      Deny   caps:budget.perChange.maxIncreasePercent
    ok       as-it-should-be  Allow     Allow  -

    DIR/cases.yaml:2: half-more: Deny, not Allow
      caps:budget.perChange.maxIncreasePercent: a rise of 51 %; 50 % is the limit

    DIR/cases.yaml:5: other-rule: Deny; did not fire: budget.perObject.maxDaily
      caps:budget.perChange.maxIncreasePercent: a rise of 100 %; 50 % is the limit

    3 cases, 2 differ
    exit 1
    ");
    let one = case(&[
        "change: {tool: meta_set_budget, daily: {before: '100', after: '151'}}",
        "expect: {decision: RequireApproval, rules: [protected]}",
    ]);
    insta::assert_snapshot!(test(&[POLICY], &one, &["--json"]).to_string(), @r#"
    {
      "cases": [
        {
          "name": "one",
          "file": "DIR/cases.yaml",
          "line": 2,
          "expected": "RequireApproval",
          "got": "Deny",
          "isAsExpected": false,
          "rules": [
            {
              "policy": "caps",
              "rule": "budget.perChange.maxIncreasePercent",
              "verdict": "Deny",
              "message": "a rise of 51 %; 50 % is the limit"
            }
          ],
          "missing": [
            "protected"
          ],
          "shadow": []
        }
      ],
      "count": 1,
      "different": 1
    }
    exit 1
    "#);
}

#[test]
fn policies_bind_together_and_shadow_only_speaks() {
    let platform = POLICY
        .replace("caps", "floor")
        .replace("mode: Enforce", "mode: Enforce\n  namespaceSelector: {}")
        .replace("50", "10");
    let shadow = POLICY
        .replace("caps", "trial")
        .replace("Enforce", "Shadow")
        .replace("50", "5");
    let one = case(&[
        "change: {tool: meta_set_budget, daily: {before: '100', after: '120'}}",
        "expect: {decision: Deny, rules: ['platform/floor:budget.perChange.maxIncreasePercent']}",
    ]);
    let ended = test(&[POLICY, &platform, &shadow], &one, &[]);
    insta::assert_snapshot!(ended.to_string(), @r"
        CASE  EXPECTED  GOT   DECIDED BY
    ok  one   Deny      Deny  platform/floor:budget.perChange.maxIncreasePercent, shadow trial:budget.perChange.maxIncreasePercent

    1 case, all as expected
    exit 0
    ");
}

#[test]
fn a_policys_own_case_that_fails_is_told() {
    let tests = "  tests:
  - name: half-more
    change: {tool: meta_set_budget, daily: {before: '100', after: '150'}}
    expect: {decision: Denied}
";
    let ended = test(&[&format!("{POLICY}{tests}")], "", &[]);
    insta::assert_snapshot!(ended.to_string(), @r"
             CASE            EXPECTED  GOT    DECIDED BY
    DIFFERS  caps/half-more  Deny      Allow  -

    DIR/policy1.yaml:1: caps/half-more: Allow, not Deny

    1 case, 1 differs
    exit 1
    ");
}

const LIMITS: &str = "
apiVersion: tenantry.dev/v1alpha1
kind: SafetyPolicy
metadata: {name: caps}
spec:
  mode: Enforce
  currency: EUR
  budget:
    perChange: {maxDailyIncrease: '100', maxLifetimeIncrease: '1000', maxIncreasePercent: 50}
    perObject: {maxChangesPerDay: 3, maxIncreasePercentPerDay: 100}
    exposure: {maxActiveDaily: '1000'}
  bids: {ceiling: '5'}
  financial: {maxAmount: '900', states: [won]}
  create: {forcePaused: true}
  records: {maxPerCall: 10, maxPerDay: 20}
  deactivate: {maxPerHour: 2}
  protected: [keep]
";

const CAMPAIGN: &str =
    "before: {id: c, daily: '100', children: [{id: a}, {id: b, status: paused}]}";
const LASTING: &str = "before: {id: c, lifetime: {amount: '3000', spent: '2000'}, endsAt: 2026-06-11T12:00:00Z, children: [{id: a}]}";
const PAUSED: &str = "before: {id: c, status: paused, daily: '101', children: [{id: a}]}";

/// Every kind of change: itself, what there is before it, what was changed
/// before, and the rule that denies it.
const KINDS: &[(&str, &str, &str, &str)] = &[
    (
        "daily: {after: '201'}",
        CAMPAIGN,
        "",
        "budget.perChange.maxDailyIncrease",
    ),
    (
        "lifetime: {after: '4001'}",
        LASTING,
        "",
        "budget.perChange.maxLifetimeIncrease",
    ),
    (
        "financial: {before: '800', after: '901'}",
        "",
        "",
        "financial.maxAmount",
    ),
    (
        "do: activate",
        PAUSED,
        "",
        "budget.perChange.maxDailyIncrease",
    ),
    (
        "object: keep, do: delete",
        "before: {id: keep, children: [{id: a}]}",
        "",
        "protected",
    ),
    (
        "create: {id: n, daily: '10', children: [{id: m}]}",
        "",
        "",
        "create.forcePaused",
    ),
    (
        "object: b, copy: {times: 2}",
        CAMPAIGN,
        "",
        "create.forcePaused",
    ),
    (
        "schedule: {endsAt: 2026-06-03T12:00:00Z}",
        LASTING,
        "",
        "budget.perChange.maxIncreasePercent",
    ),
    (
        "bid: {before: '1', after: '5.01'}",
        CAMPAIGN,
        "",
        "bids.ceiling",
    ),
    ("object: d, state: lost", "", "", "financial.states"),
    ("records: 11", "", "", "records.maxPerCall"),
    (
        "records: 2",
        "",
        "changes: [{ago: 1h, records: 10, times: 2}]",
        "records.maxPerDay",
    ),
    (
        "daily: {after: '101'}",
        CAMPAIGN,
        "changes: [{ago: 1h, object: c, times: 3}]",
        "budget.perObject.maxChangesPerDay",
    ),
    (
        "daily: {after: '140'}",
        CAMPAIGN,
        "lowest: {c: '60'}",
        "budget.perObject.maxIncreasePercentPerDay",
    ),
    (
        "daily: {after: '140'}",
        CAMPAIGN,
        "exposure: {ago: 5m, activeDaily: {EUR: '990'}}",
        "budget.exposure.maxActiveDaily",
    ),
    (
        "do: deactivate",
        CAMPAIGN,
        "changes: [{ago: 1m, primitive: deactivate, times: 2}]",
        "deactivate.maxPerHour",
    ),
];

#[test]
fn each_kind_of_change_can_be_written() {
    for (change, before, usage, rule) in KINDS {
        let one = case(&[
            &format!("change: {{tool: meta_change, {change}}}"),
            before,
            &format!("usage: {{{usage}}}"),
            &format!("expect: {{decision: Deny, rules: [{rule}]}}"),
        ]);
        let ended = test(&[LIMITS], &one, &[]);
        assert_eq!(ended.code, 0, "{change}: {ended}");
    }
}

const SET: &str = "change: {tool: meta_set_budget, daily: {before: '1', after: '2'}}";
const EXPECT: &str = "expect: {decision: Allow}";

/// Changes that are none, and what is told.
const NO_CHANGES: &[(&str, &str)] = &[
    ("account: act/1", "line 2 (one): "),
    ("class: read", "a tool of class read changes nothing"),
    ("class: spends", "unknown variant"),
    (
        "daily: {before: '1', after: '2'}, state: won",
        "more than one of daily",
    ),
    ("daily: {before: '1', after: 2 EUR}", "line 2 (one): "),
    ("do: activate", "`before` is missing"),
    ("do: destroy", "unknown variant"),
    ("records: 10001", "10000 records at most"),
    ("schedule: {endsAt: tomorrow}", "nor `never`"),
];

/// What cannot have been changed before, and what is told.
const NO_USAGE: &[(&str, &str)] = &[
    ("changes: [{daily: '1'}]", "one of `ago` and `standing`"),
    (
        "changes: [{ago: 1h, standing: open}]",
        "one of `ago` and `standing`",
    ),
    (
        "changes: [{ago: 1 day}]",
        "`1 day` is not a duration such as 24h",
    ),
    (
        "changes: [{ago: 1h, times: 10001}]",
        "10000 changes at most",
    ),
    ("sums: 1", "unknown field"),
];

fn assert_refused(cases: &str, told: &str) {
    let ended = test(&[POLICY], cases, &[]);
    assert_eq!(ended.code, 2, "{cases}\n{ended}");
    assert!(ended.error.contains(told), "{cases}\n{ended}");
}

#[test]
fn what_is_no_case_is_refused_with_its_place() {
    for (change, told) in NO_CHANGES {
        let change = format!("change: {{tool: meta_x, {change}}}");
        assert_refused(&case(&[&change, EXPECT]), told);
    }
    for (usage, told) in NO_USAGE {
        let usage = format!("usage: {{{usage}}}");
        assert_refused(&case(&[SET, EXPECT, &usage]), told);
    }
}

#[test]
fn what_is_no_file_of_cases_is_refused_with_its_place() {
    assert_refused("cases: []", "there is no case");
    assert_refused("case: []", "DIR/cases.yaml`, line 1: unknown field");
    assert_refused(&case(&[SET, EXPECT, "expects: 1"]), "line 5: unknown field");
    assert_refused(
        &case(&[SET, EXPECT, EXPECT]),
        "line 5: duplicate mapping key",
    );
    assert_refused(&case(&[SET]), "missing field `expect`");
    assert_refused(
        &case(&[SET, "expect: {decision: allow}"]),
        "unknown variant",
    );
    let again = format!("{}- name: one\n  {SET}\n  {EXPECT}\n", case(&[SET, EXPECT]));
    assert_refused(&again, "line 5: there is another case `one`");
}

#[test]
fn what_the_vendor_has_must_fit_the_change() {
    let before = |change: &str, before: &str| {
        let change = format!("change: {{tool: meta_x, {change}}}");
        case(&[&change, EXPECT, &format!("before: {{{before}}}")])
    };
    let twice = before("daily: {before: '1', after: '2'}", "id: c, daily: '1'");
    assert_refused(&twice, "leave change.daily.before out");
    assert_refused(
        &before("object: z, do: activate", "id: c"),
        "`z` is not part",
    );
    let both = before("do: activate", "id: c, daily: '1', lifetime: {amount: '2'}");
    assert_refused(&both, "a daily and a lifetime budget");
}

#[test]
fn a_policy_that_is_wrong_decides_nothing() {
    let stray = POLICY.replace("  mode", "  modes");
    let unknown = POLICY.replace("maxIncreasePercent: 50", "maxDailyIncrease: a lot");
    let later = POLICY.replace("v1alpha1", "v9");
    let other = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: caps}\n";
    for (policies, told) in [
        (
            &[stray.as_str()][..],
            "policy1.yaml`, line 5 (SafetyPolicy `caps`): unknown field",
        ),
        (&[&unknown], "spec.budget.perChange: "),
        (&[&later], "apiVersion `tenantry.dev/v9` is not known"),
        (&[other], "there is no SafetyPolicy in `DIR/policy1.yaml`"),
        (
            &[POLICY, POLICY],
            "policy2.yaml`, line 1 (SafetyPolicy `caps`): there is another policy `caps`",
        ),
        (&["a: [b"], "its YAML is broken"),
    ] {
        let ended = test(policies, "", &[]);
        assert_eq!(ended.code, 2, "{ended}");
        assert!(ended.error.contains(told), "{ended}");
    }
    let ended = run(&["policy", "test", "--policy", "nowhere.yaml"]);
    assert_eq!(ended.code, 2);
    assert!(
        ended.error.contains("reading `nowhere.yaml`: No such file"),
        "{ended}"
    );
}

#[test]
fn amounts_without_a_currency_are_asked_back() {
    let dollars = POLICY.replace("EUR", "USD").replace("caps", "dollars");
    let one = case(&[
        "change: {tool: meta_x, do: activate}",
        "before: {id: c, status: paused, daily: '1', children: [{id: a}]}",
        "expect: {decision: Allow}",
    ]);
    let ended = test(&[POLICY, &dollars], &one, &[]);
    assert!(
        ended.error.contains("change.currency is missing"),
        "{ended}"
    );
}

#[test]
fn every_command_explains_itself() {
    let ended = run(&["policy", "test", "--help"]);
    assert_eq!(ended.code, 0);
    for told in ["Examples:", "usage:", "RequireApproval", "--cases"] {
        assert!(ended.out.contains(told), "{told}: {ended}");
    }
    let ended = run(&["explain", "--help"]);
    for told in ["Examples:", "Exits with 0", "with 1 if", "with 2 if"] {
        assert!(ended.out.contains(told), "{told}: {ended}");
    }
    assert_eq!(
        run(&["--version"]).out,
        format!("tenantry {}\n", env!("CARGO_PKG_VERSION"))
    );
    assert_eq!(run(&["policy", "test"]).code, 2);
}
