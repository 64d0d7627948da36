//! One open change per spend root.

use std::sync::Arc;

use serde_json::json;
use tenantry_core::name::ObjectId;
use tenantry_ledger::change::Progress;
use tenantry_ledger::reserve::Reservation;
use tokio::sync::Barrier;

use crate::house::{House, at};
use crate::wish::{self, Wish, decide, new, policy, reserved, sent};

on_both_engines!(
    of_many_changes_of_one_root_exactly_one_begins,
    a_root_is_free_again_when_its_change_has_ended,
    a_root_stays_taken_while_nobody_knows_what_became_of_its_change,
    a_change_of_several_roots_takes_all_or_none,
    the_same_id_in_another_account_is_another_root,
    what_waits_for_people_holds_no_root,
    what_stops_money_waits_for_nobody_and_is_waited_for,
);

async fn of_many_changes_of_one_root_exactly_one_begins(house: House) {
    let replicas = house.replicas().await;
    let barrier = Arc::new(Barrier::new(24));
    let tasks: Vec<_> = (0..24)
        .map(|number| {
            let ledger = Arc::clone(&replicas[number % replicas.len()]);
            let barrier = Arc::clone(&barrier);
            tokio::spawn(async move {
                barrier.wait().await;
                let lease = new(&ledger, &format!("k{number}"), at(0)).await;
                let policies = [policy(&json!({}))];
                let wish = Wish::raise("1", 1);
                let reservation = decide(&ledger, &lease, &wish, &policies, at(0)).await;
                (lease.change, reservation.unwrap())
            })
        })
        .collect();
    let (mut begun, mut named) = (Vec::new(), Vec::new());
    for task in tasks {
        match task.await.unwrap() {
            (change, Reservation::Reserved { .. }) => begun.push(change),
            (_, Reservation::RootBusy { change }) => named.push(change),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(begun.len(), 1);
    assert_eq!(named, vec![begun.remove(0); 23]);
    // Their keys are free.
    new(&replicas[0], "k0-again", at(0)).await;
}

async fn a_root_is_free_again_when_its_change_has_ended(house: House) {
    let ledger = house.open().await;
    let wish = Wish::raise("1", 1);
    for (key, outcome) in [
        ("done", wish::done(at(0))),
        ("refused", wish::rejected()),
        ("held up", wish::held_up()),
    ] {
        let lease = sent(&ledger, key, &wish, at(0)).await;
        ledger.settle(&lease, &outcome, at(0)).await.unwrap();
    }
    let lease = reserved(&ledger, "stale", &wish, at(0)).await;
    ledger
        .step_back(&lease, "the budget has moved", at(0))
        .await
        .unwrap();
    reserved(&ledger, "last", &wish, at(0)).await;
}

async fn a_root_stays_taken_while_nobody_knows_what_became_of_its_change(house: House) {
    let ledger = house.open().await;
    let first = sent(&ledger, "first", &Wish::raise("1", 1), at(0)).await;
    ledger
        .settle(&first, &wish::unknown(), at(0))
        .await
        .unwrap();
    let busy = async || {
        let lease = new(&ledger, "second", at(0)).await;
        let policies = [policy(&json!({}))];
        decide(&ledger, &lease, &Wish::raise("1", 2), &policies, at(0))
            .await
            .unwrap()
    };
    let by_first = Reservation::RootBusy {
        change: first.change.clone(),
    };
    assert_eq!(busy().await, by_first);
    let needs_human = tenantry_ledger::settle::Outcome::NeedsHuman {
        why: "nobody knows".into(),
        answer: "{}".into(),
    };
    ledger.settle(&first, &needs_human, at(0)).await.unwrap();
    // The key was freed by the refusal: the same one asks again.
    assert_eq!(busy().await, by_first);
}

async fn a_change_of_several_roots_takes_all_or_none(house: House) {
    let ledger = house.open().await;
    let with_roots = |object: &str, roots: &[&str]| {
        let mut wish = Wish::raise(object, 1);
        wish.roots = roots
            .iter()
            .map(|root| ObjectId::parse(root).unwrap())
            .collect();
        wish
    };
    let first = reserved(&ledger, "first", &with_roots("2", &["2", "3"]), at(0)).await;
    let policies = [policy(&json!({}))];
    let lease = new(&ledger, "second", at(0)).await;
    let wish = with_roots("1", &["1", "3"]);
    let busy = decide(&ledger, &lease, &wish, &policies, at(0))
        .await
        .unwrap();
    let change = first.change;
    assert_eq!(busy, Reservation::RootBusy { change });
    reserved(&ledger, "third", &with_roots("1", &["1"]), at(0)).await;
}

async fn the_same_id_in_another_account_is_another_root(house: House) {
    let ledger = house.open().await;
    reserved(&ledger, "first", &Wish::raise("1", 1), at(0)).await;
    let mut wish = Wish::raise("1", 1);
    wish.proposal.subject.account = "act_2".to_owned().try_into().unwrap();
    reserved(&ledger, "second", &wish, at(0)).await;
}

async fn what_waits_for_people_holds_no_root(house: House) {
    let ledger = house.open().await;
    let lease = new(&ledger, "asked", at(0)).await;
    let wish = Wish::raise("1", 1);
    let pending = decide(&ledger, &lease, &wish, &[wish::asks()], at(0))
        .await
        .unwrap();
    assert!(
        matches!(pending, Reservation::Pending { .. }),
        "{pending:?}"
    );
    reserved(&ledger, "other", &wish, at(0)).await;
}

async fn what_stops_money_waits_for_nobody_and_is_waited_for(house: House) {
    let ledger = house.open().await;
    let raise = sent(&ledger, "raise", &Wish::raise("1", 1), at(0)).await;
    let stop = reserved(&ledger, "stop", &Wish::stop("1"), at(0)).await;
    reserved(
        &ledger,
        "stop again",
        &Wish::stop("1").with_target("off"),
        at(0),
    )
    .await;
    ledger
        .settle(&raise, &wish::done(at(0)), at(0))
        .await
        .unwrap();
    let lease = new(&ledger, "late", at(0)).await;
    let policies = [policy(&json!({}))];
    let busy = decide(&ledger, &lease, &Wish::raise("1", 2), &policies, at(0))
        .await
        .unwrap();
    assert!(matches!(busy, Reservation::RootBusy { .. }), "{busy:?}");
    let found = ledger.find(&stop.change).await.unwrap().unwrap();
    assert_eq!(found.progress, Progress::Reserved);
}
