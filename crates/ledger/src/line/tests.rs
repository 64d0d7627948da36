//! Lines in full, held against the released OCSF schema.

use tenantry_core::audit::Arguments;

use super::*;

#[path = "../../../core/testdata/ocsf/check.rs"]
mod ocsf;

const EVENTS: [Event; 11] = [
    Event::Intent,
    Event::Asked,
    Event::Refused,
    Event::SteppedBack,
    Event::Outcome,
    Event::TakenOver,
    Event::Execution,
    Event::ApprovalEnded,
    Event::Resolved,
    Event::LedgerAccepted,
    Event::Emergency,
];

fn draft<'d>(
    ledger: &'d LedgerId,
    acme: &'d Organization,
    record: &'d Map<String, Value>,
) -> Draft<'d> {
    Draft {
        ledger,
        organization: acme,
        tenant_uid: "0d9c",
        time: "2026-06-01T12:00:00Z".parse().unwrap(),
        event: Event::Intent,
        change: None,
        detail: json!({"rules": []}),
        record,
    }
}

fn house() -> (LedgerId, Organization) {
    let acme = Organization::parse("acme").unwrap();
    (LedgerId::of_random([1; 16]), acme)
}

/// A raise of a daily budget, as the server hands it in.
fn raise() -> ChangeRecord {
    let record = json!({
        "call_id": "boot-7",
        "trace": {"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "span_id": "00f067aa0ba902b7"},
        "source": "10.1.2.3",
        "actor": {"key": "planner-1", "owner": "ann@acme.example", "agent": "planner"},
        "tool": "meta_set_budget", "class": "spend", "deed": "update",
        "connector": "meta", "account": "act_1001",
        "object": {"kind": "campaign", "id": "23"},
        "arguments": {"checked": {"account": "act_1001", "campaign": "23", "daily_budget": "60.00"}},
        "before": {"daily_budget": "50.00"}, "after": {"daily_budget": "60.00"},
        "policy_digest": Digest::of(b"policy"), "idempotency_digest": Digest::of(b"key"),
    });
    ChangeRecord::of_map(record.as_object().unwrap()).unwrap()
}

#[test]
fn each_line_names_the_digest_of_the_one_before() {
    let (ledger, acme) = house();
    let record = Map::new();
    let draft = draft(&ledger, &acme, &record);
    let first = draft.after(Head::before_all());
    let second = draft.after(first.head);
    let lines = [first.text.as_str(), second.text.as_str()];
    assert_eq!(verify(lines, &ledger, Head::before_all()), Ok(second.head));
    assert_eq!(verify([lines[1]], &ledger, first.head), Ok(second.head));
    assert_eq!(
        ocsf::valid(second.text.as_bytes())["unmapped"],
        json!({
            "ledger": ledger, "previous": first.head.digest, "organization": "acme",
            "event": "intent",
        })
    );
}

#[test]
fn a_missing_a_changed_and_a_foreign_line_are_found() {
    let (ledger, acme) = house();
    let record = Map::new();
    let draft = draft(&ledger, &acme, &record);
    let first = draft.after(Head::before_all());
    let second = draft.after(first.head).text;
    let from = Head::before_all();
    let torn = |after| Err(BrokenLines::Torn { after });
    assert_eq!(verify([second.as_str()], &ledger, from), torn(0));
    let changed = first.text.replace("acme", "evil");
    assert_eq!(verify([changed.as_str(), &second], &ledger, from), torn(1));
    let other = LedgerId::of_random([2; 16]);
    assert_eq!(verify([first.text.as_str()], &other, from), torn(0));
    let unreadable = Err(BrokenLines::Unreadable { after: 0 });
    assert_eq!(verify(["{}"], &ledger, from), unreadable);
}

/// What is meant and what became of it, as somebody reads it who looks a change
/// up by its name.
#[test]
fn an_intent_and_its_outcome_read_as_one_story() {
    let (ledger, acme) = house();
    let change = ChangeId::of_random([3; 16]);
    let record = raise().to_map();
    let rule = json!({
        "name": {"policy": "ads-budget", "rule": "budget.perChange"},
        "verdict": "Deny", "message": "more than 5.00 at once",
    });
    let intent = Draft {
        change: Some(&change),
        detail: json!({"decision": "permitted", "rules": [], "shadow": [rule]}),
        ..draft(&ledger, &acme, &record)
    }
    .after(Head::before_all());
    let settled = ChangeRecord {
        vendor_request_ids: vec!["AbCdEf".into()],
        ..raise()
    }
    .to_map();
    let outcome = Draft {
        change: Some(&change),
        event: Event::Outcome,
        time: "2026-06-01T12:00:01.25Z".parse().unwrap(),
        detail: json!({
            "outcome": "applied", "at": "2026-06-01T12:00:01Z", "after": {"daily_budget": "60.00"},
        }),
        ..draft(&ledger, &acme, &settled)
    }
    .after(intent.head);
    let pair = [&intent.text, &outcome.text].map(|text| ocsf::valid(text.as_bytes()));
    insta::assert_json_snapshot!(pair);
}

#[test]
fn every_event_is_one_as_the_schema_has_it() {
    let (ledger, acme) = house();
    let change = ChangeId::of_random([3; 16]);
    let records = [
        Map::new(),
        Map::from_iter([("by".to_owned(), json!("anna"))]),
        raise().to_map(),
        ChangeRecord {
            object: None,
            arguments: Arguments::TooLong(9_000),
            source: None,
            trace: None,
            ..raise()
        }
        .to_map(),
    ];
    let details = [
        json!({}),
        json!({"decision": "denied", "rules": [], "shadow": []}),
        json!({"outcome": "not_applied", "why": "the vendor refused"}),
        json!({"outcome": "unknown", "why": "no answer"}),
        json!({"outcome": "applied", "after": null}),
    ];
    for record in &records {
        for (event, detail) in EVENTS
            .iter()
            .flat_map(|it| details.iter().map(|d| (*it, d)))
        {
            let line = Draft {
                change: Some(&change),
                event,
                detail: detail.clone(),
                ..draft(&ledger, &acme, record)
            }
            .after(Head::before_all());
            let line = ocsf::valid(line.text.as_bytes());
            assert_eq!(line["unmapped"]["event"], json!(event));
            assert_eq!(json!(event), event.as_str());
        }
    }
}

#[test]
fn nothing_is_said_of_a_result_that_nobody_knows() {
    let (ledger, acme) = house();
    let record = raise().to_map();
    for (outcome, status, severity) in [
        ("applied", 1, 1),
        ("not_applied", 2, 2),
        ("unknown", 0, 3),
        ("needs_human", 0, 3),
    ] {
        let line = Draft {
            event: Event::Outcome,
            detail: json!({"outcome": outcome}),
            ..draft(&ledger, &acme, &record)
        }
        .after(Head::before_all());
        let line = ocsf::valid(line.text.as_bytes());
        assert_eq!(
            (&line["status_id"], &line["severity_id"]),
            (&json!(status), &json!(severity)),
            "{outcome}"
        );
    }
}

#[test]
fn no_line_is_one_that_a_container_runtime_would_split() {
    let (ledger, acme) = house();
    let long = "\u{1}".repeat(100_000);
    let view = json!({"name": long});
    let mut large = raise();
    large.actor.owner = long.clone();
    large.actor.agent = Some(long.clone());
    large.call_id = long.clone();
    large.before = Some(view.clone());
    large.after = Some(view.clone());
    large.vendor_request_ids = vec![long.clone(); 100];
    let other = Map::from_iter([("x".to_owned(), view)]);
    for record in [large.to_map(), other] {
        for (event, detail) in EVENTS.map(|event| (event, json!(long))) {
            let draft = Draft {
                event,
                detail,
                ..draft(&ledger, &acme, &record)
            };
            let line = draft.after(Head::before_all()).text;
            assert!(line.len() < LARGEST_LINE, "{}", line.len());
            let line = ocsf::valid(line.as_bytes());
            assert_eq!(line["metadata"]["is_truncated"], true);
        }
    }
}
