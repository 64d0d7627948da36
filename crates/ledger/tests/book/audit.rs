//! The chain of changes, and its way out.

use serde_json::{Value, json};
use tenantry_core::audit::chain::Head;
use tenantry_core::audit::change_record::ChangeRecord;
use tenantry_ledger::error::LedgerError;
use tenantry_ledger::ledger::{LEAST_RETENTION, Ledger};
use tenantry_ledger::line::verify;
use tenantry_ledger::reserve::Reservation;

use crate::house::{House, at};
use crate::wish::{self, Wish, applied, decide, new, policy, reserved, sent};

on_both_engines!(
    each_step_of_a_change_leaves_its_line,
    what_the_vendor_calls_its_requests_is_in_the_last_line,
    a_refused_change_leaves_a_line_and_a_failed_call_none,
    the_chain_is_proven_across_restarts,
    lines_leave_again_until_they_are_known_to_have_left,
    a_line_that_is_not_there_has_not_left,
    a_gap_is_damage,
    a_stream_that_stands_still_refuses_changes_but_ends_those_that_run,
    lines_that_left_long_ago_are_swept_and_the_chain_goes_on,
);

pub async fn lines(ledger: &Ledger) -> Vec<String> {
    let events = ledger.next_events(0, 10_000).await.unwrap();
    events.into_iter().map(|event| event.line).collect()
}

/// What happened, by the lines.
async fn events(ledger: &Ledger) -> Vec<String> {
    let lines = lines(ledger).await;
    let told = lines.iter().map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        let decided = &line["policy"]["data"]["decision"];
        let more = [decided, &line["api"]["response"]["data"]["outcome"]];
        let more = more.iter().find_map(|word| word.as_str()).unwrap_or("");
        format!("{} {more}", line["unmapped"]["event"].as_str().unwrap())
            .trim()
            .to_owned()
    });
    told.collect()
}

async fn each_step_of_a_change_leaves_its_line(house: House) {
    let ledger = house.open().await;
    let lease = reserved(&ledger, "key", &Wish::raise("1", 1), at(0)).await;
    ledger
        .step_back(&lease, "it has moved", at(1))
        .await
        .unwrap();
    let policies = [policy(&json!({}))];
    decide(&ledger, &lease, &Wish::raise("1", 1), &policies, at(2))
        .await
        .unwrap();
    ledger
        .sending(&lease, &wish::permission(at(2)), at(2))
        .await
        .unwrap();
    ledger
        .settle(&lease, &wish::unknown(), at(3))
        .await
        .unwrap();
    let seen = wish::seen(&ledger, &lease).await;
    let lease = ledger.take_over(&seen, at(4)).await.unwrap();
    ledger
        .settle(&lease, &wish::done(at(5)), at(5))
        .await
        .unwrap();
    assert_eq!(
        events(&ledger).await,
        [
            "intent permitted",
            "stepped_back",
            "intent permitted",
            "outcome unknown",
            "taken_over",
            "outcome applied",
        ]
    );
    let last: Value = serde_json::from_str(lines(&ledger).await.last().unwrap()).unwrap();
    assert_eq!(
        last["actor"],
        json!({"user": {"name": "ann"}, "app_name": "agent-7"})
    );
    assert_eq!(last["metadata"]["correlation_uid"], json!(lease.change));
    assert_eq!(last["unmapped"]["organization"], json!(house.organization));
}

async fn what_the_vendor_calls_its_requests_is_in_the_last_line(house: House) {
    let ledger = house.open().await;
    let lease = sent(&ledger, "key", &Wish::raise("1", 1), at(0)).await;
    let record = ChangeRecord {
        vendor_request_ids: vec!["AbC".into()],
        ..wish::record("1")
    };
    let settled = record.to_map();
    ledger
        .settle_as(&lease, &wish::done(at(1)), &settled, at(1))
        .await
        .unwrap();
    let last: Value = serde_json::from_str(lines(&ledger).await.last().unwrap()).unwrap();
    assert_eq!(last["unmapped"]["vendor_request_ids"], json!(["AbC"]));
    let kept = ledger.find(&lease.change).await.unwrap().unwrap();
    assert_eq!(kept.record, settled);
}

async fn a_refused_change_leaves_a_line_and_a_failed_call_none(house: House) {
    let ledger = house.open().await;
    let lease = new(&ledger, "key", at(0)).await;
    let wish = Wish::raise("1", 2);
    let policies = [wish::day_cap("0.000001")];
    decide(&ledger, &lease, &wish, &policies, at(0))
        .await
        .unwrap();
    let late = ledger.settle(&lease, &wish::done(at(0)), at(0)).await;
    assert!(matches!(late, Err(LedgerError::Fenced { .. })), "{late:?}");
    assert_eq!(events(&ledger).await, ["refused denied"]);
    let line: Value = serde_json::from_str(&lines(&ledger).await[0]).unwrap();
    let rule = &line["policy"]["data"]["rules"][0]["name"]["rule"];
    assert_eq!(rule, "budget.perWindow.maxDailyIncrease");
}

async fn the_chain_is_proven_across_restarts(house: House) {
    let mut ledger = house.open().await;
    for round in 0..3 {
        for number in 0..3 {
            let key = format!("{round}-{number}");
            applied(&ledger, &key, &Wish::raise(&key, 1), at(round)).await;
        }
        ledger = house.reopen(ledger).await;
    }
    let lines = lines(&ledger).await;
    assert_eq!(lines.len(), 18);
    let texts = lines.iter().map(String::as_str);
    let head = verify(texts, &ledger.identity().id, Head::before_all()).unwrap();
    assert_eq!(ledger.head().await.unwrap(), head);
}

async fn lines_leave_again_until_they_are_known_to_have_left(house: House) {
    let ledger = house.open().await;
    for number in 0..4 {
        reserved(
            &ledger,
            &format!("k{number}"),
            &Wish::raise(&format!("{number}"), 1),
            at(0),
        )
        .await;
    }
    let sequences = async |after, limit| {
        let events = ledger.next_events(after, limit).await.unwrap();
        events
            .iter()
            .map(|event| event.sequence)
            .collect::<Vec<_>>()
    };
    assert_eq!(sequences(0, 3).await, [1, 2, 3]);
    assert_eq!(sequences(0, 3).await, [1, 2, 3]);
    ledger.emitted(3, at(0)).await.unwrap();
    ledger.emitted(2, at(0)).await.unwrap();
    let ledger = house.reopen(ledger).await;
    let last = ledger.last_emitted().await.unwrap();
    assert_eq!(last, 3);
    let rest = ledger.next_events(last, 3).await.unwrap();
    assert_eq!(
        rest.iter().map(|event| event.sequence).collect::<Vec<_>>(),
        [4]
    );
    assert_eq!(ledger.next_events(4, 3).await.unwrap(), []);
}

async fn a_line_that_is_not_there_has_not_left(house: House) {
    let ledger = house.open().await;
    reserved(&ledger, "key", &Wish::raise("1", 1), at(0)).await;
    let early = ledger.emitted(2, at(0)).await;
    assert!(matches!(early, Err(LedgerError::Damaged(_))), "{early:?}");
    assert_eq!(ledger.last_emitted().await.unwrap(), 0);
}

async fn a_gap_is_damage(house: House) {
    let ledger = house.open().await;
    for number in 0..4 {
        reserved(
            &ledger,
            &format!("k{number}"),
            &Wish::raise(&format!("{number}"), 1),
            at(0),
        )
        .await;
    }
    let ledger = house
        .tamper(ledger, "DELETE FROM events WHERE sequence = 3")
        .await;
    for (after, limit) in [(0, 10), (2, 10), (2, 1), (3, 1)] {
        let gap = ledger.next_events(after, limit).await;
        assert!(
            matches!(gap, Err(LedgerError::Damaged(_))),
            "{after} {limit}: {gap:?}"
        );
    }
    let change = "UPDATE events SET line = replace(line, 'agent-7', 'agent-8') WHERE sequence = 1";
    let ledger = house.tamper(ledger, change).await;
    let changed = ledger.next_events(0, 2).await;
    assert!(
        matches!(changed, Err(LedgerError::Damaged(_))),
        "{changed:?}"
    );
    let ledger = house
        .tamper(ledger, "DELETE FROM events WHERE sequence = 4")
        .await;
    let short = ledger.next_events(1, 5).await;
    assert!(matches!(short, Err(LedgerError::Damaged(_))), "{short:?}");
}

async fn a_stream_that_stands_still_refuses_changes_but_ends_those_that_run(mut house: House) {
    house.most_waiting = 2;
    let ledger = house.open().await;
    let first = sent(&ledger, "first", &Wish::raise("1", 1), at(0)).await;
    let second = sent(&ledger, "second", &Wish::raise("2", 1), at(0)).await;
    let lease = new(&ledger, "third", at(0)).await;
    let policies = [policy(&json!({}))];
    let wish = Wish::raise("3", 1);
    let refused = decide(&ledger, &lease, &wish, &policies, at(0)).await;
    assert!(
        matches!(refused, Err(LedgerError::Backlog { waiting: 2 })),
        "{refused:?}"
    );
    let asked = wish.asked();
    let foreseen = ledger.foresee(&lease.change, &asked, at(0), wish::allow(&wish));
    let foreseen = foreseen.await;
    assert!(
        matches!(foreseen, Err(LedgerError::Backlog { waiting: 2 })),
        "{foreseen:?}"
    );
    ledger
        .settle(&first, &wish::done(at(0)), at(0))
        .await
        .unwrap();
    reserved(&ledger, "stop", &Wish::stop("2"), at(0)).await;
    ledger
        .settle(&second, &wish::done(at(0)), at(0))
        .await
        .unwrap();
    ledger.emitted(4, at(0)).await.unwrap();
    let begun = decide(&ledger, &lease, &wish, &policies, at(0))
        .await
        .unwrap();
    assert!(matches!(begun, Reservation::Reserved { .. }), "{begun:?}");
}

async fn lines_that_left_long_ago_are_swept_and_the_chain_goes_on(house: House) {
    let ledger = house.open().await;
    applied(&ledger, "old", &Wish::raise("1", 1), at(0)).await;
    applied(&ledger, "not gone", &Wish::raise("2", 1), at(0)).await;
    ledger.emitted(3, at(0)).await.unwrap();
    let later = at(0) + LEAST_RETENTION;
    assert_eq!(ledger.sweep(later).await.unwrap().lines, 2);
    applied(&ledger, "new", &Wish::raise("3", 1), later).await;
    let left = ledger.next_events(3, 10).await.unwrap();
    assert_eq!(
        left.iter().map(|event| event.sequence).collect::<Vec<_>>(),
        [4, 5, 6]
    );
    let from_the_start = ledger.next_events(0, 10).await;
    assert!(
        matches!(from_the_start, Err(LedgerError::Damaged(_))),
        "{from_the_start:?}"
    );
}
