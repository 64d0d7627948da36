//! A reservation ends once, and only for the one who has the change.

use std::sync::Arc;

use serde_json::json;
use tenantry_core::policy::decide::GOOD_FOR;
use tenantry_ledger::change::{ChangeId, Lease, Progress, Recorded};
use tenantry_ledger::claim::Claimed;
use tenantry_ledger::error::LedgerError;
use tenantry_ledger::list::Cursor;
use tenantry_ledger::outbox::{OffBook, OffSending, OffStep};
use tenantry_ledger::reserve::Reservation;
use tenantry_ledger::settle::{LONGEST_LIST, Outcome};

use crate::house::{House, at};
use crate::wish::{self, Wish, claim, decide, new, permission, policy, reserved, seen, sent};

on_both_engines!(
    of_many_settlements_at_once_one_counts,
    a_settled_change_is_settled_for_good,
    a_wrong_epoch_opens_nothing,
    whoever_takes_over_fences_the_owner_before,
    of_many_who_take_over_one_does,
    what_has_moved_on_since_it_was_seen_is_not_taken_over,
    more_is_listed_than_one_list_holds,
    nothing_is_applied_that_was_not_sent,
    what_may_have_left_is_never_called_unsent,
    a_request_leaves_once_and_only_while_it_is_permitted,
    what_is_unknown_can_be_read_again_and_again,
    what_needs_people_is_answered_so_until_they_settle_it,
    a_stale_reservation_is_decided_once_more,
    a_change_that_was_decided_is_not_decided_again,
    a_stop_that_left_without_the_book_is_one_to_look_after,
);

fn is_fenced<T>(result: &Result<T, LedgerError>) -> bool {
    matches!(result, Err(LedgerError::Fenced { .. }))
}

fn is_out_of_order<T>(result: &Result<T, LedgerError>, expected: Progress) -> bool {
    matches!(result, Err(LedgerError::OutOfOrder { progress, .. }) if *progress == expected)
}

fn needs_human() -> Outcome {
    Outcome::NeedsHuman {
        why: "nobody knows".into(),
        answer: "ask people".into(),
    }
}

async fn of_many_settlements_at_once_one_counts(house: House) {
    let replicas = house.replicas().await;
    let lease = sent(&replicas[0], "key", &Wish::raise("1", 1), at(0)).await;
    let tasks: Vec<_> = (0..16)
        .map(|number| {
            let ledger = Arc::clone(&replicas[number % replicas.len()]);
            let lease = lease.clone();
            let outcome = if number % 2 == 0 {
                wish::done(at(1))
            } else {
                wish::rejected()
            };
            tokio::spawn(async move { ledger.settle(&lease, &outcome, at(1)).await })
        })
        .collect();
    let mut settled = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(()) => settled += 1,
            Err(LedgerError::OutOfOrder { progress, .. }) => assert!(progress.is_final()),
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(settled, 1);
}

async fn a_settled_change_is_settled_for_good(house: House) {
    let ledger = house.open().await;
    let lease = sent(&ledger, "key", &Wish::raise("1", 1), at(0)).await;
    ledger
        .settle(&lease, &wish::done(at(0)), at(0))
        .await
        .unwrap();
    for outcome in [
        wish::done(at(1)),
        wish::rejected(),
        wish::held_up(),
        wish::never_sent(),
        wish::unknown(),
        needs_human(),
    ] {
        let again = ledger.settle(&lease, &outcome, at(1)).await;
        assert!(
            is_out_of_order(&again, Progress::Applied),
            "{outcome:?}: {again:?}"
        );
    }
    let taken = ledger.take_over(&seen(&ledger, &lease).await, at(1)).await;
    assert!(is_out_of_order(&taken, Progress::Applied), "{taken:?}");
}

async fn a_wrong_epoch_opens_nothing(house: House) {
    let ledger = house.open().await;
    let lease = reserved(&ledger, "key", &Wish::raise("1", 1), at(0)).await;
    for epoch in [0, 2] {
        let wrong = Lease {
            epoch,
            ..lease.clone()
        };
        assert!(is_fenced(
            &ledger.sending(&wrong, &permission(at(0)), at(0)).await
        ));
        assert!(is_fenced(
            &ledger.settle(&wrong, &wish::never_sent(), at(0)).await
        ));
        assert!(is_fenced(&ledger.step_back(&wrong, "", at(0)).await));
        let seen = Recorded {
            lease: wrong.clone(),
            ..seen(&ledger, &lease).await
        };
        assert!(is_fenced(&ledger.take_over(&seen, at(0)).await));
        assert!(is_fenced(&ledger.release(&wrong, at(0)).await));
    }
    let found = ledger.find(&lease.change).await.unwrap().unwrap();
    assert_eq!((found.progress, found.lease), (Progress::Reserved, lease));
}

async fn whoever_takes_over_fences_the_owner_before(house: House) {
    let replicas = house.replicas().await;
    let (old, new) = (&replicas[0], replicas.last().unwrap());
    let lease = sent(old, "key", &Wish::raise("1", 1), at(0)).await;
    let taken = new
        .take_over(&seen(new, &lease).await, at(1))
        .await
        .unwrap();
    assert_eq!((&taken.change, taken.epoch), (&lease.change, 2));
    let late = old.settle(&lease, &wish::rejected(), at(2)).await;
    assert!(is_fenced(&late), "{late:?}");
    new.settle(&taken, &wish::done(at(2)), at(2)).await.unwrap();
    let found = new.find(&lease.change).await.unwrap().unwrap();
    assert_eq!(found.holder, new.identity().epoch);
}

async fn of_many_who_take_over_one_does(house: House) {
    let replicas = house.replicas().await;
    let lease = sent(&replicas[0], "key", &Wish::raise("1", 1), at(0)).await;
    let seen = seen(&replicas[0], &lease).await;
    let tasks: Vec<_> = (0..12)
        .map(|number| {
            let ledger = Arc::clone(&replicas[number % replicas.len()]);
            let seen = seen.clone();
            tokio::spawn(async move { ledger.take_over(&seen, at(1)).await })
        })
        .collect();
    let mut owners = Vec::new();
    for task in tasks {
        match task.await.unwrap() {
            Ok(lease) => owners.push(lease.epoch),
            Err(error) => assert!(matches!(error, LedgerError::Fenced { .. }), "{error:?}"),
        }
    }
    assert_eq!(owners, [2]);
}

/// Whoever listed it a while ago finds its owner at work.
async fn what_has_moved_on_since_it_was_seen_is_not_taken_over(house: House) {
    let ledger = house.open().await;
    let lease = reserved(&ledger, "key", &Wish::raise("1", 1), at(0)).await;
    let before = seen(&ledger, &lease).await;
    ledger.step_back(&lease, "", at(1)).await.unwrap();
    let back = seen(&ledger, &lease).await;
    let policies = [policy(&json!({}))];
    decide(&ledger, &lease, &Wish::raise("1", 1), &policies, at(2))
        .await
        .unwrap();
    for late in [&before, &back] {
        let taken = ledger.take_over(late, at(3)).await;
        assert!(is_out_of_order(&taken, Progress::Reserved), "{taken:?}");
    }
    ledger
        .sending(&lease, &permission(at(3)), at(3))
        .await
        .unwrap();
    let now = seen(&ledger, &lease).await;
    assert!(ledger.take_over(&now, at(4)).await.is_ok());
}

async fn more_is_listed_than_one_list_holds(house: House) {
    let ledger = house.open().await;
    new(&ledger, "key", at(0)).await;
    ledger.close().await;
    // As many as one list holds, of a moment before and of the same moment.
    let more = "WITH RECURSIVE numbers (number) AS \
        (SELECT 1000 UNION ALL SELECT number + 1 FROM numbers WHERE number < 1999) \
        INSERT INTO changes (id, epoch, holder, progress, since, principal, tool) \
        SELECT '0000000000000000000000000000' || CAST(number AS TEXT), epoch, holder, progress, \
        since - number % 2, principal, tool FROM numbers, changes";
    house.run(more).await;
    let ledger = house.open().await;
    let first = ledger.unsettled().await.unwrap();
    assert_eq!(first.len(), LONGEST_LIST as usize);
    let behind = Cursor::behind(first.last().unwrap());
    let second = ledger.unsettled_after(Some(&behind)).await.unwrap();
    let mut all: Vec<_> = first.iter().chain(&second).collect();
    assert_eq!(all.len(), 1001);
    assert!(all.is_sorted_by_key(|change| (change.since, &change.lease.change)));
    all.dedup_by_key(|change| &change.lease.change);
    assert_eq!(all.len(), 1001);
    let end = Cursor::behind(all.last().unwrap());
    assert_eq!(ledger.unsettled_after(Some(&end)).await.unwrap(), []);
}

async fn nothing_is_applied_that_was_not_sent(house: House) {
    let ledger = house.open().await;
    let lease = reserved(&ledger, "key", &Wish::raise("1", 1), at(0)).await;
    for outcome in [wish::done(at(0)), wish::unknown(), needs_human()] {
        let early = ledger.settle(&lease, &outcome, at(0)).await;
        assert!(is_out_of_order(&early, Progress::Reserved), "{early:?}");
    }
    ledger
        .settle(&lease, &wish::never_sent(), at(0))
        .await
        .unwrap();
}

/// Who lists changes and then takes its time finds them further on: what was
/// reserved when it looked may have been sent since, by the same owner.
async fn what_may_have_left_is_never_called_unsent(house: House) {
    let ledger = house.open().await;
    let wish = Wish::raise("1", 1);
    let lease = sent(&ledger, "key", &wish, at(0)).await;
    let late = ledger.settle(&lease, &wish::never_sent(), at(1)).await;
    assert!(is_out_of_order(&late, Progress::Sending), "{late:?}");
    ledger
        .settle(&lease, &wish::unknown(), at(1))
        .await
        .unwrap();
    let late = ledger.settle(&lease, &wish::never_sent(), at(2)).await;
    assert!(is_out_of_order(&late, Progress::Unknown), "{late:?}");
    // Its key opens nothing new, so that nobody sends it again.
    let again = claim(&ledger, "key", "{}", at(3)).await;
    let progress = Progress::Unknown;
    let change = lease.change;
    assert_eq!(again, Claimed::InProgress { change, progress });
}

async fn a_request_leaves_once_and_only_while_it_is_permitted(house: House) {
    let ledger = house.open().await;
    let lease = reserved(&ledger, "key", &Wish::raise("1", 1), at(0)).await;
    let permitted = permission(at(0));
    let late = ledger.sending(&lease, &permitted, at(0) + GOOD_FOR).await;
    assert!(matches!(late, Err(LedgerError::Stale { .. })), "{late:?}");
    // The book's clock decides, whatever the caller's says. A refusal leaves it
    // where it was.
    new(&ledger, "other", at(0) + GOOD_FOR).await;
    let late = ledger.sending(&lease, &permitted, at(0)).await;
    assert!(matches!(late, Err(LedgerError::Stale { .. })), "{late:?}");
    let permitted = permission(at(0) + GOOD_FOR);
    ledger.sending(&lease, &permitted, at(11)).await.unwrap();
    let again = ledger.sending(&lease, &permitted, at(11)).await;
    assert!(is_out_of_order(&again, Progress::Sending), "{again:?}");
}

async fn what_is_unknown_can_be_read_again_and_again(house: House) {
    let ledger = house.open().await;
    let lease = sent(&ledger, "key", &Wish::raise("1", 1), at(0)).await;
    for _ in 0..3 {
        ledger
            .settle(&lease, &wish::unknown(), at(1))
            .await
            .unwrap();
    }
    ledger
        .settle(&lease, &wish::done(at(1)), at(2))
        .await
        .unwrap();
}

async fn what_needs_people_is_answered_so_until_they_settle_it(house: House) {
    let ledger = house.open().await;
    let lease = sent(&ledger, "key", &Wish::raise("1", 1), at(0)).await;
    ledger.settle(&lease, &needs_human(), at(1)).await.unwrap();
    let answer = async || match claim(&ledger, "key", "{}", at(9)).await {
        Claimed::Replay(replay) => replay.answer,
        other => panic!("{other:?}"),
    };
    assert_eq!(answer().await, "ask people");
    let waiting = ledger.needing_people().await.unwrap();
    assert_eq!(waiting.len(), 1);
    assert_eq!(ledger.unsettled().await.unwrap(), []);
    let taken = ledger.take_over(&waiting[0], at(2)).await.unwrap();
    let back = ledger.settle(&taken, &wish::unknown(), at(2)).await;
    assert!(is_out_of_order(&back, Progress::NeedsHuman), "{back:?}");
    ledger
        .settle(&taken, &wish::rejected(), at(3))
        .await
        .unwrap();
    assert_eq!(answer().await, r#"{"status":"failed"}"#);
}

async fn a_stale_reservation_is_decided_once_more(house: House) {
    let ledger = house.open().await;
    let wish = Wish::raise("1", 1).with_target("1 at 101");
    let lease = reserved(&ledger, "key", &wish, at(0)).await;
    ledger
        .step_back(&lease, "the budget has moved", at(1))
        .await
        .unwrap();
    let found = ledger.find(&lease.change).await.unwrap().unwrap();
    assert_eq!(found.progress, Progress::Claimed);
    let policies = [policy(&serde_json::json!({}))];
    let again = decide(&ledger, &lease, &wish, &policies, at(2))
        .await
        .unwrap();
    assert!(matches!(again, Reservation::Reserved { .. }), "{again:?}");
}

async fn a_change_that_was_decided_is_not_decided_again(house: House) {
    let ledger = house.open().await;
    let wish = Wish::raise("1", 1);
    let lease = reserved(&ledger, "key", &wish, at(0)).await;
    let policies = [policy(&serde_json::json!({}))];
    let again = decide(&ledger, &lease, &wish, &policies, at(0))
        .await
        .unwrap();
    let progress = Progress::Reserved;
    assert_eq!(again, Reservation::AlreadyThere { progress });
}

fn off_book(wish: &Wish, change: &ChangeId, step: OffStep) -> OffBook {
    OffBook {
        change: Some(change.clone()),
        detail: json!({"outcome": "told"}),
        record: wish.record.clone(),
        step: Some(step),
    }
}

async fn a_stop_that_left_without_the_book_is_one_to_look_after(house: House) {
    let ledger = house.open().await;
    let stop = Wish::stop("1");
    let sending = OffSending {
        principal: wish::principal(),
        tool: stop.proposal.subject.tool.clone(),
        proposal: stop.proposal.clone(),
        roots: stop.roots.clone(),
        intent: stop.intent.clone(),
        at: at(1),
    };
    let names = [[1; 16], [2; 16], [3; 16]].map(ChangeId::of_random);
    let leaves = |name| off_book(&stop, name, OffStep::Sending(Box::new(sending.clone())));
    let records: Vec<OffBook> = names.iter().map(leaves).collect();
    // Told twice, it is one.
    for _ in 0..2 {
        ledger.recover(&records, at(5)).await.unwrap();
    }
    let unsettled = ledger.unsettled().await.unwrap();
    assert_eq!(unsettled.len(), 3);
    for found in &unsettled {
        assert_eq!(
            (found.progress, found.sent_at),
            (Progress::Unknown, Some(at(1)))
        );
        assert_eq!(found.holder, ledger.identity().epoch);
        assert_eq!(found.intent.as_ref(), Some(&stop.intent));
        assert_eq!(found.record, stop.record);
    }
    let raise = Wish::raise("1", 1);
    let lease = new(&ledger, "raise", at(6)).await;
    let busy = decide(&ledger, &lease, &raise, &[policy(&json!({}))], at(6)).await;
    assert!(matches!(busy, Ok(Reservation::RootBusy { .. })), "{busy:?}");
    // One is told of, one is not made, and one is settled as any other.
    let told = [
        off_book(
            &stop,
            &names[0],
            OffStep::Applied(json!({"status": "PAUSED"})),
        ),
        off_book(&stop, &names[1], OffStep::NotApplied),
    ];
    ledger.recover(&told, at(7)).await.unwrap();
    let seen = &unsettled
        .iter()
        .find(|found| found.lease.change == names[2]);
    let lease = seen.unwrap().lease.clone();
    ledger
        .settle(&lease, &wish::done(at(8)), at(8))
        .await
        .unwrap();
    for (name, wanted) in
        names
            .iter()
            .zip([Progress::Applied, Progress::NotApplied, Progress::Applied])
    {
        let found = ledger.find(name).await.unwrap().unwrap();
        assert_eq!(found.progress, wanted);
    }
    // What is settled stays so, whatever comes late.
    ledger.recover(&records, at(9)).await.unwrap();
    assert_eq!(ledger.unsettled().await.unwrap(), []);
    reserved(&ledger, "raise", &raise, at(9)).await;
}
