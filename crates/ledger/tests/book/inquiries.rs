//! What people are asked about a change of which nobody else can tell.

use std::sync::Arc;

use serde_json::{Map, json};
use tenantry_core::digest::Digest;
use tenantry_core::policy::decide::Terms;
use tenantry_ledger::approval::Shown;
use tenantry_ledger::change::{Lease, Progress};
use tenantry_ledger::claim::Claimed;
use tenantry_ledger::error::LedgerError;
use tenantry_ledger::inquiry::Inquiry;
use tenantry_ledger::ledger::{LEAST_RETENTION, Ledger};
use tenantry_ledger::settle::Outcome;

use crate::house::{House, at};
use crate::wish::{self, Wish, claim, sent};

on_both_engines!(
    what_people_found_is_so_and_its_money_follows,
    of_many_answers_one_counts,
    only_the_question_that_was_shown_is_answered,
    only_a_change_that_needs_people_is_asked_about,
    a_question_that_was_asked_anew_counts_no_more,
    a_book_of_the_first_version_gets_room_for_questions,
    a_question_goes_with_its_change,
    what_nobody_knows_yet_is_answered_however_long_that_takes,
);

fn shown(uid: &str) -> Shown {
    Shown {
        uid: uid.into(),
        digest: Digest::of(b"all that is shown"),
    }
}

fn said() -> Map<String, serde_json::Value> {
    Map::from_iter([("resolved_by".to_owned(), json!(["bob"]))])
}

/// A change that was sent, and of which nobody knows.
async fn undecided(ledger: &Ledger, key: &str) -> Lease {
    let lease = sent(ledger, key, &Wish::raise(key, 1), at(0)).await;
    let outcome = Outcome::NeedsHuman {
        why: "nobody knows".into(),
        answer: "ask people".into(),
    };
    ledger.settle(&lease, &outcome, at(1)).await.unwrap();
    lease
}

/// The same, which people were shown.
async fn asked(ledger: &Ledger, key: &str) -> Lease {
    let lease = undecided(ledger, key).await;
    let inquiry = inquire(ledger, &lease).await.unwrap();
    let shown = shown(key);
    ledger.show_inquiry(&inquiry, &shown, at(2)).await.unwrap();
    lease
}

async fn inquire(ledger: &Ledger, lease: &Lease) -> Result<Inquiry, LedgerError> {
    let terms = [Terms::of_default()];
    ledger.inquire(&lease.change, &terms, at(2)).await
}

fn not_made() -> Outcome {
    Outcome::NotApplied {
        why: "people looked".into(),
        answer: Some("not made".into()),
    }
}

async fn progress(ledger: &Ledger, lease: &Lease) -> Progress {
    ledger.find(&lease.change).await.unwrap().unwrap().progress
}

fn is_out_of_order<T>(result: &Result<T, LedgerError>) -> bool {
    matches!(result, Err(LedgerError::OutOfOrder { .. }))
}

async fn what_people_found_is_so_and_its_money_follows(house: House) {
    let ledger = house.open().await;
    let (made, not) = (asked(&ledger, "1").await, asked(&ledger, "2").await);
    assert_eq!(ledger.needing_people().await.unwrap().len(), 2);
    let outcome = wish::done(at(3));
    ledger
        .resolve(&made.change, &shown("1"), &outcome, &said(), at(3))
        .await
        .unwrap();
    ledger
        .resolve(&not.change, &shown("2"), &not_made(), &said(), at(3))
        .await
        .unwrap();
    assert_eq!(progress(&ledger, &made).await, Progress::Applied);
    assert_eq!(progress(&ledger, &not).await, Progress::NotApplied);
    assert_eq!(ledger.needing_people().await.unwrap(), []);
    let met = claim(&ledger, "2", "{}", at(4)).await;
    assert!(
        matches!(&met, Claimed::Replay(replay) if replay.answer == "not made"),
        "{met:?}"
    );
    let lines = ledger.next_events(0, 100).await.unwrap();
    let last = lines.last().unwrap();
    assert!(last.line.contains(r#""resolved""#), "{}", last.line);
    assert!(last.line.contains("bob"), "{}", last.line);
}

async fn of_many_answers_one_counts(house: House) {
    let replicas = house.replicas().await;
    let lease = asked(&replicas[0], "1").await;
    let tasks: Vec<_> = (0..16)
        .map(|number| {
            let ledger = Arc::clone(&replicas[number % replicas.len()]);
            let change = lease.change.clone();
            let outcome = if number % 2 == 0 {
                wish::done(at(3))
            } else {
                not_made()
            };
            tokio::spawn(async move {
                let shown = shown("1");
                ledger
                    .resolve(&change, &shown, &outcome, &said(), at(3))
                    .await
            })
        })
        .collect();
    let mut resolved = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(()) => resolved += 1,
            other => assert!(is_out_of_order(&other), "{other:?}"),
        }
    }
    assert_eq!(resolved, 1);
}

async fn only_the_question_that_was_shown_is_answered(house: House) {
    let ledger = house.open().await;
    let lease = undecided(&ledger, "1").await;
    let id = &lease.change;
    let outcome = not_made();
    let early = ledger
        .resolve(id, &shown("1"), &outcome, &said(), at(2))
        .await;
    assert!(is_out_of_order(&early), "{early:?}");
    let inquiry = inquire(&ledger, &lease).await.unwrap();
    ledger
        .show_inquiry(&inquiry, &shown("1"), at(2))
        .await
        .unwrap();
    // Once more is the same, and another one is not.
    ledger
        .show_inquiry(&inquiry, &shown("1"), at(2))
        .await
        .unwrap();
    let other = ledger.show_inquiry(&inquiry, &shown("2"), at(2)).await;
    assert!(is_out_of_order(&other), "{other:?}");
    let other = ledger
        .resolve(id, &shown("2"), &outcome, &said(), at(2))
        .await;
    assert!(is_out_of_order(&other), "{other:?}");
    assert_eq!(progress(&ledger, &lease).await, Progress::NeedsHuman);
}

async fn only_a_change_that_needs_people_is_asked_about(house: House) {
    let ledger = house.open().await;
    let lease = sent(&ledger, "1", &Wish::raise("1", 1), at(0)).await;
    let early = inquire(&ledger, &lease).await;
    assert!(is_out_of_order(&early), "{early:?}");
    let lease = asked(&ledger, "2").await;
    // Whoever sent it heard of it after all.
    ledger
        .settle(&lease, &wish::done(at(3)), at(3))
        .await
        .unwrap();
    let late = ledger
        .resolve(&lease.change, &shown("2"), &not_made(), &said(), at(4))
        .await;
    assert!(is_out_of_order(&late), "{late:?}");
    assert_eq!(progress(&ledger, &lease).await, Progress::Applied);
}

async fn a_question_that_was_asked_anew_counts_no_more(house: House) {
    let ledger = house.open().await;
    let lease = asked(&ledger, "1").await;
    let first = ledger.inquiry(&lease.change).await.unwrap().unwrap();
    let second = inquire(&ledger, &lease).await.unwrap();
    assert!(second.asked_at > first.asked_at, "{second:?}");
    let id = &lease.change;
    let old = ledger
        .resolve(id, &shown("1"), &not_made(), &said(), at(3))
        .await;
    assert!(is_out_of_order(&old), "{old:?}");
    let old = ledger.show_inquiry(&first, &shown("1"), at(3)).await;
    assert!(is_out_of_order(&old), "{old:?}");
    ledger
        .show_inquiry(&second, &shown("new"), at(3))
        .await
        .unwrap();
    ledger
        .resolve(id, &shown("new"), &not_made(), &said(), at(3))
        .await
        .unwrap();
}

async fn a_book_of_the_first_version_gets_room_for_questions(house: House) {
    let ledger = house.open().await;
    let lease = undecided(&ledger, "1").await;
    let first = "DROP INDEX changes_batch; ALTER TABLE changes DROP COLUMN items; \
        ALTER TABLE changes DROP COLUMN batch; ALTER TABLE changes DROP COLUMN place; ALTER TABLE changes DROP COLUMN held_up; \
        DROP TABLE inquiries; UPDATE schema_version SET version = 1";
    let ledger = house.tamper(ledger, first).await;
    assert_eq!(ledger.inquiry(&lease.change).await.unwrap(), None);
    inquire(&ledger, &lease).await.unwrap();
    assert!(ledger.inquiry(&lease.change).await.unwrap().is_some());
}

async fn a_question_goes_with_its_change(house: House) {
    let ledger = house.open().await;
    let lease = asked(&ledger, "1").await;
    ledger
        .resolve(&lease.change, &shown("1"), &not_made(), &said(), at(3))
        .await
        .unwrap();
    ledger.sweep(at(4)).await.unwrap();
    assert!(ledger.inquiry(&lease.change).await.unwrap().is_some());
    ledger.sweep(at(4) + LEAST_RETENTION).await.unwrap();
    assert_eq!(ledger.inquiry(&lease.change).await.unwrap(), None);
}

async fn what_nobody_knows_yet_is_answered_however_long_that_takes(house: House) {
    let ledger = house.open().await;
    let lease = asked(&ledger, "1").await;
    let late = at(9) + LEAST_RETENTION;
    ledger.sweep(late).await.unwrap();
    let met = claim(&ledger, "1", "{}", late).await;
    assert!(
        matches!(&met, Claimed::Replay(replay) if replay.answer == "ask people"),
        "{met:?}"
    );
    ledger
        .resolve(&lease.change, &shown("1"), &not_made(), &said(), late)
        .await
        .unwrap();
    let met = claim(&ledger, "1", "{}", late).await;
    assert!(
        matches!(&met, Claimed::Replay(replay) if replay.answer == "not made"),
        "{met:?}"
    );
    // From now on it is kept as any other.
    let later = late + LEAST_RETENTION;
    ledger.sweep(later).await.unwrap();
    assert_eq!(claim(&ledger, "1", "{}", later).await, Claimed::Expired);
}
