//! Lines as they leave, and what each of them tells.

use serde_json::json;

use super::*;

const LEDGER: &str = "0101010101010101";
const CHANGE: &str = "0123456789abcdef0123456789abcdef";

/// A line of that event, with `more` in the place of what it has there.
fn line(event: &str, more: &[(&str, Value)]) -> String {
    let mut line = json!({
        "metadata": {"sequence": 7, "correlation_uid": CHANGE, "event_code": "change"},
        "time": 1_780_272_000_000_i64,
        "actor": {"user": {"name": "ann@acme.example"}, "app_name": "planner"},
        "api": {
            "operation": "meta_set_budget", "service": {"name": "meta"},
            "request": {"uid": "boot-7", "data": {"checked": {"daily_budget": "hush"}}},
        },
        "resources": [
            {"type": "account", "uid": "act_1001"},
            {"type": "ad_set", "uid": "42", "namespace": "act_1001", "data": {
                "before": {"daily_budget": {"amount": "30.50", "currency": "EUR"}},
                "after": {"daily_budget": {"amount": "40.00", "currency": "EUR"}},
            }},
        ],
        "unmapped": {"ledger": LEDGER, "organization": "acme", "event": event},
    });
    for (place, value) in more {
        let (parent, field) = place.rsplit_once('/').unwrap();
        line.pointer_mut(parent).unwrap()[field] = value.clone();
    }
    line.to_string()
}

fn fired(rule: &str, verdict: &Value, message: &str) -> Value {
    json!({"name": {"policy": "ads", "rule": rule}, "verdict": verdict, "message": message})
}

fn decided(decision: &str) -> (&'static str, Value) {
    let asks =
        json!({"Ask": {"approverClasses": ["finance"], "approvers": 1, "expiresAfterMs": 1}});
    let rules = [
        fired("large", &asks, "more than 5 EUR a day"),
        fired(
            "budget.perChange",
            &json!("Deny"),
            "more than 50 EUR at once",
        ),
    ];
    (
        "/policy",
        json!({"data": {"decision": decision, "rules": rules}}),
    )
}

#[test]
fn a_question_is_told_with_who_asks_for_what_and_why_people_are_asked() {
    let told = Told::of(&line("asked", &[decided("needs_approval")])).unwrap();
    let expected = Told {
        id: "msg_0101010101010101_7".into(),
        place: (LEDGER.into(), 7),
        occasion: Occasion::Pending,
        what: What::Asked,
        change: Some(ChangeId::parse(CHANGE).unwrap()),
        at: "2026-06-01T00:00:00Z".parse().unwrap(),
        organization: "acme".into(),
        tool: "meta_set_budget".into(),
        connector: Some("meta".into()),
        account: Some("act_1001".into()),
        requester: Some("ann@acme.example".into()),
        agent: Some("planner".into()),
        summary: "ad set 42, daily_budget 30.50 EUR to 40.00 EUR".into(),
        rules: vec!["ads/large: more than 5 EUR a day".into()],
        why: None,
    };
    assert_eq!(told, expected);
    // Arguments are in the line, and stay there.
    assert!(!format!("{told:?}").contains("hush"));
}

/// The occasion and the words of what a line of that event tells.
fn told(event: &str, more: (&str, Value)) -> Option<String> {
    let told = Told::of(&line(event, &[more]))?;
    Some(format!("{}: {}", told.occasion.as_str(), told.what.words()))
}

#[test]
fn a_decision_is_of_one_occasion_or_of_none() {
    let detail = |value: Value| ("/unmapped/detail", value);
    let ended = |end: &str| detail(json!({"end": end, "why": "so"}));
    for (event, more, expected) in [
        (
            "refused",
            decided("denied"),
            Some("Denied: a policy denied a change"),
        ),
        ("refused", decided("root_busy"), None),
        ("refused", decided("duplicate"), None),
        ("intent", decided("permitted"), None),
        ("stepped_back", detail(json!({"why": "so"})), None),
        ("taken_over", detail(json!({})), None),
        ("ledger_accepted", detail(json!({})), None),
        (
            "execution",
            detail(json!({})),
            Some("Decided: people agreed to a change"),
        ),
        (
            "approval_ended",
            ended("denied"),
            Some("Decided: somebody said no to a change"),
        ),
        (
            "approval_ended",
            ended("expired"),
            Some("Decided: nobody agreed to a change in time"),
        ),
        (
            "approval_ended",
            ended("withdrawn"),
            Some("Decided: who asked took a change back"),
        ),
        (
            "approval_ended",
            ended("new word"),
            Some("Decided: a change waits for people no more"),
        ),
    ] {
        assert_eq!(told(event, more).as_deref(), expected, "{event}");
    }
}

#[test]
fn what_became_of_a_change_is_told_by_the_word_for_it() {
    let outcome = |word: &str| {
        let data = json!({"outcome": word, "why": "so"});
        ("/api/response", json!({ "data": data }))
    };
    let in_the_journal = |word: &str| ("/unmapped/detail", json!({ "outcome": word }));
    for (event, more, expected) in [
        ("outcome", outcome("applied"), Some("a change was made")),
        (
            "outcome",
            outcome("not_applied"),
            Some("a change was not made"),
        ),
        (
            "outcome",
            outcome("unknown"),
            Some("nobody knows yet whether a change was made"),
        ),
        (
            "outcome",
            outcome("needs_human"),
            Some("people must find out what became of a change"),
        ),
        (
            "resolved",
            outcome("applied"),
            Some("people found that a change was made"),
        ),
        ("emergency", in_the_journal("about to be sent"), None),
        (
            "emergency",
            in_the_journal("applied"),
            Some("a change was made"),
        ),
        (
            "emergency",
            ("/unmapped/detail", json!({"broken_off": "x"})),
            None,
        ),
    ] {
        let expected = expected.map(|words| format!("Executed: {words}"));
        assert_eq!(told(event, more), expected, "{event}");
    }
}

#[test]
fn of_a_denial_only_what_denies_is_told() {
    let told = Told::of(&line("refused", &[decided("denied")])).unwrap();
    assert_eq!(
        told.rules,
        ["ads/budget.perChange: more than 50 EUR at once"]
    );
}

#[test]
fn what_is_new_and_what_was_too_long_are_told_as_far_as_they_are_known() {
    let made = json!([{"type": "account", "uid": "act_1001", "data": {
        "before": {}, "after": {"name": "Summer", "status": "PAUSED"},
    }}]);
    let tool = ("/api/operation", json!("meta_create_ad_set"));
    let told = Told::of(&line(
        "asked",
        &[decided("needs_approval"), tool, ("/resources", made)],
    ));
    assert_eq!(
        told.unwrap().summary,
        "new ad set, name Summer, status PAUSED"
    );
    let cut = json!({"before": {"too_long": 9_000}, "after": {"too_long": 9_000}});
    let more = [
        ("/policy", json!({"data": {"too_long": 9_000}})),
        ("/resources/1/data", cut),
    ];
    let told = Told::of(&line("asked", &more)).unwrap();
    assert_eq!((told.summary.as_str(), told.rules.len()), ("ad set 42", 0));
}

#[test]
fn what_is_no_such_line_tells_nothing() {
    for line in ["", "{}", "[]", r#"{"metadata": {"sequence": 1}}"#] {
        assert_eq!(Told::of(line), None);
    }
    let of_a_later_release = line("asked", &[("/unmapped/event", json!("unheard"))]);
    assert_eq!(Told::of(&of_a_later_release), None);
}
