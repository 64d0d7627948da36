//! Keys of idempotency.

use std::sync::Arc;

use jiff::SignedDuration;
use tenantry_core::digest::Digest;
use tenantry_core::name::ToolName;
use tenantry_ledger::change::{ChangeId, Principal, Progress};
use tenantry_ledger::claim::{CLAIM_LASTS, Claim, Claimed, Replay};
use tenantry_ledger::error::LedgerError;
use tenantry_ledger::ledger::LEAST_RETENTION;
use tokio::sync::Barrier;

use crate::house::{House, at, unique};
use crate::wish::{self, Wish, allow, applied, claim, new, reserved, sent};

on_both_engines!(
    of_64_tasks_with_one_key_exactly_one_has_the_change,
    a_key_of_another_principal_is_another_key,
    a_key_used_for_something_else_is_a_mismatch,
    an_answered_key_is_replayed_byte_for_byte,
    a_replay_says_when_the_object_has_moved_on,
    a_key_on_its_way_says_how_far_it_has_come,
    a_released_key_can_be_claimed_again,
    only_what_was_not_decided_is_released,
    a_claim_that_nobody_decides_goes_to_the_next_after_a_minute,
    a_key_past_retention_is_expired_and_never_new,
    a_tombstone_stays_when_the_change_is_gone,
);

async fn of_64_tasks_with_one_key_exactly_one_has_the_change(house: House) {
    let replicas = house.replicas().await;
    let barrier = Arc::new(Barrier::new(64));
    let tasks: Vec<_> = (0..64)
        .map(|number| {
            let ledger = Arc::clone(&replicas[number % replicas.len()]);
            let barrier = Arc::clone(&barrier);
            tokio::spawn(async move {
                barrier.wait().await;
                claim(&ledger, "key", "{}", at(0)).await
            })
        })
        .collect();
    let mut changes = Vec::new();
    let mut others = Vec::new();
    for task in tasks {
        match task.await.unwrap() {
            Claimed::New(lease) => changes.push(lease.change),
            Claimed::InProgress { change, progress } => others.push((change, progress)),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(changes.len(), 1);
    let first = (changes.remove(0), Progress::Claimed);
    assert_eq!(others, vec![first; 63]);
}

async fn a_key_of_another_principal_is_another_key(house: House) {
    let ledger = house.open().await;
    new(&ledger, "key", at(0)).await;
    for (owner, agent) in [
        ("anna", None),
        ("bert", Some("planner")),
        ("annaplanner", Some("")),
    ] {
        let claim = Claim {
            principal: &Principal {
                owner: owner.into(),
                agent: agent.map(Into::into),
            },
            key: "key",
            tool: &ToolName::parse("meta_set_budget").unwrap(),
            fingerprint: Digest::of(b"{}"),
            change: &ChangeId::of_random(unique()),
        };
        let claimed = ledger.claim(&claim, at(0)).await.unwrap();
        assert!(matches!(claimed, Claimed::New(_)), "{owner}: {claimed:?}");
    }
}

async fn a_key_used_for_something_else_is_a_mismatch(house: House) {
    let ledger = house.open().await;
    new(&ledger, "key", at(0)).await;
    assert_eq!(
        claim(&ledger, "key", "other", at(0)).await,
        Claimed::Mismatch
    );
    let claim = Claim {
        principal: &wish::principal(),
        key: "key",
        tool: &ToolName::parse("meta_pause").unwrap(),
        fingerprint: Digest::of(b"{}"),
        change: &ChangeId::of_random(unique()),
    };
    assert_eq!(
        ledger.claim(&claim, at(0)).await.unwrap(),
        Claimed::Mismatch
    );
}

async fn an_answered_key_is_replayed_byte_for_byte(house: House) {
    let ledger = house.open().await;
    for (key, start, outcome, answer) in [
        ("done", 0, wish::done(at(2)), r#"{"status":"done"}"#),
        ("refused", 10, wish::rejected(), r#"{"status":"failed"}"#),
    ] {
        let lease = sent(&ledger, key, &Wish::raise(key, 1), at(start + 1)).await;
        ledger
            .settle(&lease, &outcome, at(start + 2))
            .await
            .unwrap();
        let replay = Replay {
            change: lease.change,
            answer: answer.into(),
            executed_at: at(start + 2),
            no_longer_current: false,
        };
        assert_eq!(
            claim(&ledger, key, "{}", at(start + 9)).await,
            Claimed::Replay(replay)
        );
    }
}

async fn a_replay_says_when_the_object_has_moved_on(house: House) {
    let ledger = house.open().await;
    applied(&ledger, "first", &Wish::raise("1", 1), at(1)).await;
    applied(&ledger, "elsewhere", &Wish::raise("2", 1), at(2)).await;
    let has_moved_on = async |key| match claim(&ledger, key, "{}", at(9)).await {
        Claimed::Replay(replay) => replay.no_longer_current,
        other => panic!("{other:?}"),
    };
    assert!(!has_moved_on("first").await);
    applied(&ledger, "second", &Wish::raise("1", 1), at(3)).await;
    assert!(has_moved_on("first").await);
    assert!(!has_moved_on("second").await);
}

async fn a_key_on_its_way_says_how_far_it_has_come(house: House) {
    let ledger = house.open().await;
    let lease = reserved(&ledger, "key", &Wish::raise("1", 1), at(0)).await;
    let in_progress = |progress| Claimed::InProgress {
        change: lease.change.clone(),
        progress,
    };
    let meet = async || claim(&ledger, "key", "{}", at(1)).await;
    assert_eq!(meet().await, in_progress(Progress::Reserved));
    ledger
        .sending(&lease, &wish::permission(at(1)), at(1))
        .await
        .unwrap();
    assert_eq!(meet().await, in_progress(Progress::Sending));
    ledger
        .settle(&lease, &wish::unknown(), at(1))
        .await
        .unwrap();
    assert_eq!(meet().await, in_progress(Progress::Unknown));
}

async fn a_released_key_can_be_claimed_again(house: House) {
    let ledger = house.open().await;
    let lease = new(&ledger, "key", at(0)).await;
    ledger.release(&lease, at(0)).await.unwrap();
    assert_eq!(ledger.find(&lease.change).await.unwrap(), None);
    let again = new(&ledger, "key", at(0)).await;
    assert_ne!(again.change, lease.change);

    let lease = sent(&ledger, "throttled", &Wish::raise("1", 1), at(0)).await;
    ledger
        .settle(&lease, &wish::held_up(), at(0))
        .await
        .unwrap();
    new(&ledger, "throttled", at(0)).await;
}

async fn only_what_was_not_decided_is_released(house: House) {
    let ledger = house.open().await;
    let lease = reserved(&ledger, "key", &Wish::raise("1", 1), at(0)).await;
    let refused = ledger.release(&lease, at(0)).await;
    assert!(
        matches!(
            refused,
            Err(LedgerError::OutOfOrder {
                progress: Progress::Reserved,
                ..
            })
        ),
        "{refused:?}"
    );
}

async fn a_claim_that_nobody_decides_goes_to_the_next_after_a_minute(house: House) {
    let ledger = house.open().await;
    let first = new(&ledger, "key", at(0)).await;
    let just_before = at(0) + CLAIM_LASTS - SignedDuration::from_micros(1);
    let met = claim(&ledger, "key", "{}", just_before).await;
    assert!(matches!(met, Claimed::InProgress { .. }), "{met:?}");
    let second = new(&ledger, "key", at(0) + CLAIM_LASTS).await;
    assert_eq!((&second.change, second.epoch), (&first.change, 2));
    let wish = Wish::raise("1", 1);
    let asked = wish.asked();
    let late = ledger
        .decide_and_reserve(&first, &asked, at(61), allow(&wish))
        .await;
    assert!(matches!(late, Err(LedgerError::Fenced { .. })), "{late:?}");
    let late = ledger.release(&first, at(61)).await;
    assert!(matches!(late, Err(LedgerError::Fenced { .. })), "{late:?}");
    // A decided one is not: its request may have left.
    reserved(&ledger, "other", &wish, at(61)).await;
    let met = claim(&ledger, "other", "{}", at(100_000)).await;
    assert!(matches!(met, Claimed::InProgress { .. }), "{met:?}");
}

async fn a_key_past_retention_is_expired_and_never_new(house: House) {
    let ledger = house.open().await;
    applied(&ledger, "key", &Wish::raise("1", 1), at(0)).await;
    let end = at(0) + LEAST_RETENTION;
    let last = claim(&ledger, "key", "{}", end - SignedDuration::from_micros(1)).await;
    assert!(matches!(last, Claimed::Replay(_)), "{last:?}");
    assert_eq!(claim(&ledger, "key", "{}", end).await, Claimed::Expired);
    let swept = ledger.sweep(end).await.unwrap();
    assert_eq!((swept.keys, swept.changes), (1, 1));
    assert_eq!(claim(&ledger, "key", "{}", end).await, Claimed::Expired);
    assert_eq!(claim(&ledger, "key", "other", end).await, Claimed::Expired);
}

async fn a_tombstone_stays_when_the_change_is_gone(house: House) {
    let ledger = house.open().await;
    let lease = applied(&ledger, "key", &Wish::raise("1", 1), at(0)).await;
    let later = at(0) + LEAST_RETENTION + LEAST_RETENTION;
    ledger.sweep(later).await.unwrap();
    assert_eq!(ledger.find(&lease.change).await.unwrap(), None);
    let ledger = house.reopen(ledger).await;
    assert_eq!(claim(&ledger, "key", "{}", later).await, Claimed::Expired);
    // What is open is kept, whatever its age.
    let open = sent(&ledger, "open", &Wish::raise("2", 1), later).await;
    ledger
        .sweep(later + LEAST_RETENTION + LEAST_RETENTION)
        .await
        .unwrap();
    assert!(ledger.find(&open.change).await.unwrap().is_some());
}
