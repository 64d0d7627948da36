//! The same change with another key.

use jiff::SignedDuration;
use serde_json::json;
use tenantry_ledger::change::ChangeId;
use tenantry_ledger::ledger::Ledger;
use tenantry_ledger::reserve::Reservation;

use crate::house::{DAY, House, at};
use crate::wish::{self, Wish, allow, applied, decide, new, policy, reserved, sent};

on_both_engines!(
    the_same_target_under_way_is_named,
    a_target_that_was_settled_can_be_wanted_again,
    the_same_target_that_waits_for_people_is_named,
    a_twin_of_the_last_day_is_told_to_the_decision,
    what_was_not_made_is_nobody_s_twin,
);

async fn the_same_target_under_way_is_named(house: House) {
    let ledger = house.open().await;
    let mut wish = Wish::raise("1", 1).with_target("1 at 101");
    let first = reserved(&ledger, "first", &wish, at(0)).await;
    // Even if it came by another root.
    wish.roots.clear();
    let lease = new(&ledger, "second", at(0)).await;
    let policies = [policy(&json!({}))];
    let same = decide(&ledger, &lease, &wish, &policies, at(0))
        .await
        .unwrap();
    let change = first.change;
    assert_eq!(same, Reservation::Duplicate { change });
    new(&ledger, "second", at(0)).await;
}

async fn a_target_that_was_settled_can_be_wanted_again(house: House) {
    let ledger = house.open().await;
    let wish = Wish::raise("1", 1).with_target("1 at 101");
    applied(&ledger, "first", &wish, at(0)).await;
    let refused = sent(&ledger, "second", &wish, at(0)).await;
    ledger
        .settle(&refused, &wish::rejected(), at(0))
        .await
        .unwrap();
    reserved(&ledger, "third", &wish, at(0)).await;
}

async fn the_same_target_that_waits_for_people_is_named(house: House) {
    let ledger = house.open().await;
    let wish = Wish::raise("1", 1).with_target("1 at 101");
    let policies = [wish::asks()];
    let first = new(&ledger, "first", at(0)).await;
    decide(&ledger, &first, &wish, &policies, at(0))
        .await
        .unwrap();
    let second = new(&ledger, "second", at(0)).await;
    let same = decide(&ledger, &second, &wish, &policies, at(0))
        .await
        .unwrap();
    let change = first.change;
    assert_eq!(same, Reservation::Duplicate { change });
}

/// The twin that a decision over `wish` hears of; the wish is denied.
async fn twin(ledger: &Ledger, wish: &Wish, now: jiff::Timestamp) -> Option<ChangeId> {
    let lease = new(ledger, &format!("probe {now}"), now).await;
    let asked = wish.asked();
    let heard = std::sync::Mutex::new(None);
    let decide = |moment: &tenantry_ledger::reserve::Moment<'_>| {
        heard.lock().unwrap().clone_from(&moment.facts.twin);
        let mut ruling = allow(wish)(moment);
        ruling.decision = tenantry_core::policy::decide::Decision::Denied;
        ruling
    };
    ledger
        .decide_and_reserve(&lease, &asked, now, decide)
        .await
        .unwrap();
    let heard = heard.into_inner().unwrap();
    heard.map(|text: String| ChangeId::parse(&text).unwrap())
}

async fn a_twin_of_the_last_day_is_told_to_the_decision(house: House) {
    let ledger = house.open().await;
    let wish = Wish::create("summer sale");
    assert_eq!(twin(&ledger, &wish, at(0)).await, None);
    let first = sent(&ledger, "first", &wish, at(0)).await.change;
    assert_eq!(twin(&ledger, &wish, at(1)).await, Some(first.clone()));
    assert_eq!(
        twin(&ledger, &Wish::create("winter sale"), at(2)).await,
        None
    );
    let lease = tenantry_ledger::change::Lease {
        change: first.clone(),
        epoch: 1,
    };
    ledger
        .settle(&lease, &wish::done(at(10)), at(10))
        .await
        .unwrap();
    let edge = at(10) + DAY;
    let just_before = edge - SignedDuration::from_micros(1);
    assert_eq!(twin(&ledger, &wish, just_before).await, Some(first));
    assert_eq!(twin(&ledger, &wish, edge).await, None);
}

async fn what_was_not_made_is_nobody_s_twin(house: House) {
    let ledger = house.open().await;
    let wish = Wish::create("summer sale");
    let refused = sent(&ledger, "refused", &wish, at(0)).await;
    ledger
        .settle(&refused, &wish::rejected(), at(0))
        .await
        .unwrap();
    let stale = reserved(&ledger, "stale", &wish, at(0)).await;
    ledger
        .step_back(&stale, "it has moved", at(0))
        .await
        .unwrap();
    assert_eq!(twin(&ledger, &wish, at(1)).await, None);
}
