//! Questions to people: rows, and the one moment at which they end.

use std::sync::Arc;

use jiff::SignedDuration;
use serde_json::{Map, Value, json};
use tenantry_core::digest::Digest;
use tenantry_core::policy::decide::{self, Decision};
use tenantry_ledger::approval::{End, Execution, Shown};
use tenantry_ledger::change::{Lease, Progress};
use tenantry_ledger::claim::Claimed;
use tenantry_ledger::error::LedgerError;
use tenantry_ledger::ledger::Ledger;
use tenantry_ledger::reserve::{Moment, Reservation};

use crate::house::{House, at};
use crate::wish::{self, Wish, claim, decide, new, policy, question, reserved, units};

on_both_engines!(
    of_many_executions_exactly_one_begins,
    an_execution_is_too_late_at_the_very_moment,
    only_what_people_were_shown_is_carried_out,
    an_execution_is_decided_without_its_own_reservation,
    an_execution_that_asks_again_waits_again,
    what_was_meant_for_a_question_does_not_befall_the_next,
    an_execution_that_limits_deny_ends_with_an_answer,
    an_execution_waits_for_its_root,
    an_execution_that_was_not_sent_is_carried_out_once_more,
    a_question_that_ends_frees_its_money,
    a_question_does_not_expire_early_nor_end_twice,
    a_question_that_nobody_can_see_frees_its_key,
    a_newer_question_takes_the_place_of_the_older,
    a_newer_question_is_not_held_up_by_the_older_one_s_money,
    what_may_be_at_once_stands_beside_what_waits,
    too_many_questions_of_one_key_are_denied,
    questions_are_listed_by_their_end,
);

fn said() -> Map<String, Value> {
    Map::from_iter([("said".to_owned(), json!("so"))])
}

fn shown(change: &Lease) -> Shown {
    Shown {
        uid: format!("uid of {}", change.change),
        digest: Digest::of(b"all that is shown"),
    }
}

/// A question that waits, for an hour.
async fn asked(ledger: &Ledger, key: &str, wish: &Wish, now: jiff::Timestamp) -> Lease {
    let lease = new(ledger, key, now).await;
    let pending = decide(ledger, &lease, wish, &[wish::asks()], now)
        .await
        .unwrap();
    assert!(
        matches!(pending, Reservation::Pending { .. }),
        "{pending:?}"
    );
    lease
}

/// The same, shown to people.
async fn waiting(ledger: &Ledger, key: &str, wish: &Wish, now: jiff::Timestamp) -> Lease {
    let lease = asked(ledger, key, wish, now).await;
    let approval = question(ledger, &lease.change).await;
    ledger.show(&approval, &shown(&lease), now).await.unwrap();
    lease
}

async fn begun(ledger: &Ledger, lease: &Lease, now: jiff::Timestamp) -> Lease {
    match ledger
        .execute(&lease.change, &shown(lease), &said(), now)
        .await
        .unwrap()
    {
        Execution::Begun(lease) => lease,
        other => panic!("{other:?}"),
    }
}

async fn of_many_executions_exactly_one_begins(house: House) {
    let replicas = house.replicas().await;
    let lease = waiting(&replicas[0], "key", &Wish::raise("1", 1), at(0)).await;
    let tasks: Vec<_> = (0..16)
        .map(|number| {
            let ledger = Arc::clone(&replicas[number % replicas.len()]);
            let lease = lease.clone();
            tokio::spawn(async move {
                ledger
                    .execute(&lease.change, &shown(&lease), &said(), at(1))
                    .await
            })
        })
        .collect();
    let mut leases = Vec::new();
    for task in tasks {
        match task.await.unwrap().unwrap() {
            Execution::Begun(lease) => leases.push(lease),
            other => assert_eq!(other, Execution::NotPending(Progress::Executing)),
        }
    }
    let change = lease.change;
    assert_eq!(leases, [Lease { change, epoch: 2 }]);
}

async fn an_execution_is_too_late_at_the_very_moment(house: House) {
    let ledger = house.open().await;
    let hour = SignedDuration::from_hours(1);
    let late = waiting(&ledger, "late", &Wish::raise("1", 1), at(0)).await;
    let just = waiting(&ledger, "just", &Wish::raise("2", 1), at(0)).await;
    begun(
        &ledger,
        &just,
        at(0) + hour - SignedDuration::from_micros(1),
    )
    .await;
    let execute = ledger
        .execute(&late.change, &shown(&late), &said(), at(0) + hour)
        .await;
    assert_eq!(execute.unwrap(), Execution::Expired);
    // What began in time is not ended by the sweeper that comes late.
    let begun = question(&ledger, &just.change).await;
    let end = ledger
        .end_question(&begun, End::Expired, Some("late"), &said(), at(0) + hour)
        .await;
    assert!(
        matches!(end, Err(LedgerError::OutOfOrder { .. })),
        "{end:?}"
    );
}

async fn only_what_people_were_shown_is_carried_out(house: House) {
    let ledger = house.open().await;
    let lease = asked(&ledger, "key", &Wish::raise("1", 1), at(0)).await;
    let right = shown(&lease);
    let execute = async |shown: &Shown| {
        ledger
            .execute(&lease.change, shown, &said(), at(1))
            .await
            .unwrap()
    };
    assert_eq!(execute(&right).await, Execution::OtherShown);
    let approval = question(&ledger, &lease.change).await;
    ledger.show(&approval, &right, at(0)).await.unwrap();
    ledger.show(&approval, &right, at(0)).await.unwrap();
    let other_uid = Shown {
        uid: "forged".into(),
        ..right.clone()
    };
    let other_digest = Shown {
        digest: Digest::of(b"something else"),
        ..right.clone()
    };
    for other in [other_uid, other_digest] {
        assert_eq!(execute(&other).await, Execution::OtherShown);
        let show = ledger.show(&approval, &other, at(0)).await;
        assert!(
            matches!(show, Err(LedgerError::OutOfOrder { .. })),
            "{show:?}"
        );
    }
    assert!(matches!(execute(&right).await, Execution::Begun(_)));
}

/// What the law says when these rules were agreed to.
fn agreed<'a>(
    wish: &'a Wish,
    policies: &'a [tenantry_core::policy::Policy],
    rules: &'a decide::Agreed,
) -> impl Fn(&Moment<'_>) -> decide::Ruling + 'a {
    move |moment| decide::decide(&wish.proposal, policies, moment.facts, rules, moment.now)
}

async fn an_execution_is_decided_without_its_own_reservation(house: House) {
    let ledger = house.open().await;
    let wish = Wish::raise("1", units(40));
    let lease = waiting(&ledger, "key", &wish, at(0)).await;
    // The cap has room for it once.
    let policies = [wish::asks(), wish::day_cap("50.00")];
    let other = new(&ledger, "other", at(1)).await;
    let more = Wish::raise("2", units(40));
    let full = decide(&ledger, &other, &more, &policies, at(1))
        .await
        .unwrap();
    assert!(matches!(full, Reservation::Denied { .. }), "{full:?}");
    let fired = ledger.approval(&lease.change).await.unwrap().unwrap().fired;
    let terms = |verdict| match verdict {
        decide::Verdict::Ask(terms) => terms,
        decide::Verdict::Deny => panic!("nobody is asked about what is denied"),
    };
    let rules = fired
        .into_iter()
        .map(|fired| (fired.key(), terms(fired.verdict)));
    let rules: decide::Agreed = rules.collect();
    let lease = begun(&ledger, &lease, at(2)).await;
    let decided = ledger
        .decide_and_reserve(
            &lease,
            &wish.asked(),
            at(2),
            agreed(&wish, &policies, &rules),
        )
        .await
        .unwrap();
    assert!(
        matches!(decided, Reservation::Reserved { .. }),
        "{decided:?}"
    );
    ledger
        .sending(&lease, &wish::permission(at(2)), at(2))
        .await
        .unwrap();
    ledger
        .settle(&lease, &wish::done(at(3)), at(3))
        .await
        .unwrap();
    assert!(matches!(
        claim(&ledger, "key", "{}", at(4)).await,
        Claimed::Replay(_)
    ));
}

async fn an_execution_that_asks_again_waits_again(house: House) {
    let ledger = house.open().await;
    let wish = Wish::raise("1", 1);
    let lease = waiting(&ledger, "key", &wish, at(0)).await;
    let first = shown(&lease);
    let lease = begun(&ledger, &lease, at(1)).await;
    let again = decide(&ledger, &lease, &wish, &[wish::asks()], at(1))
        .await
        .unwrap();
    assert!(matches!(again, Reservation::Pending { .. }), "{again:?}");
    // What people agreed to before is not what they are asked now.
    let execute = ledger
        .execute(&lease.change, &first, &said(), at(2))
        .await
        .unwrap();
    assert_eq!(execute, Execution::OtherShown);
    let approval = question(&ledger, &lease.change).await;
    assert_eq!((approval.asked_at, approval.shown), (at(1), None));
}

async fn what_was_meant_for_a_question_does_not_befall_the_next(house: House) {
    let ledger = house.open().await;
    let wish = Wish::raise("1", 1);
    let lease = waiting(&ledger, "key", &wish, at(0)).await;
    let first = question(&ledger, &lease.change).await;
    let lease = begun(&ledger, &lease, at(1)).await;
    decide(&ledger, &lease, &wish, &[wish::asks()], at(1))
        .await
        .unwrap();
    let second = question(&ledger, &lease.change).await;
    // Whoever was slow comes with what belongs to the first.
    let show = ledger.show(&first, &shown(&lease), at(2)).await;
    assert!(
        matches!(show, Err(LedgerError::OutOfOrder { .. })),
        "{show:?}"
    );
    for end in [End::Denied, End::Unavailable, End::Expired] {
        let said = said();
        let ended = ledger.end_question(&first, end, Some("late"), &said, at(7200));
        let ended = ended.await;
        assert!(
            matches!(ended, Err(LedgerError::OutOfOrder { .. })),
            "{end:?}: {ended:?}"
        );
    }
    assert_eq!(question(&ledger, &lease.change).await, second);
    ledger.show(&second, &shown(&lease), at(3)).await.unwrap();
}

async fn an_execution_that_limits_deny_ends_with_an_answer(house: House) {
    let ledger = house.open().await;
    let wish = Wish::raise("1", units(10));
    let lease = waiting(&ledger, "key", &wish, at(0)).await;
    let lease = begun(&ledger, &lease, at(1)).await;
    let policies = [wish::day_cap("9.99")];
    let denied = decide(&ledger, &lease, &wish, &policies, at(1))
        .await
        .unwrap();
    assert!(matches!(denied, Reservation::Denied { .. }), "{denied:?}");
    assert_eq!(ledger.unsettled().await.unwrap().len(), 1);
    ledger
        .end_execution(&lease, End::Refused, Some("refused"), &said(), at(1))
        .await
        .unwrap();
    match claim(&ledger, "key", "{}", at(2)).await {
        Claimed::Replay(replay) => assert_eq!(replay.answer, "refused"),
        other => panic!("{other:?}"),
    }
    let approval = ledger.approval(&lease.change).await.unwrap().unwrap();
    assert_eq!(approval.ended, Some(End::Refused));
}

async fn an_execution_waits_for_its_root(house: House) {
    let ledger = house.open().await;
    let wish = Wish::raise("1", 1);
    let lease = waiting(&ledger, "key", &wish, at(0)).await;
    let other = reserved(&ledger, "other", &Wish::raise("1", 2), at(0)).await;
    let lease = begun(&ledger, &lease, at(1)).await;
    let policies = [policy(&json!({}))];
    let busy = decide(&ledger, &lease, &wish, &policies, at(1))
        .await
        .unwrap();
    let change = other.change.clone();
    assert_eq!(busy, Reservation::RootBusy { change });
    ledger
        .settle(&other, &wish::never_sent(), at(1))
        .await
        .unwrap();
    let decided = decide(&ledger, &lease, &wish, &policies, at(2))
        .await
        .unwrap();
    assert!(
        matches!(decided, Reservation::Reserved { .. }),
        "{decided:?}"
    );
}

async fn an_execution_that_was_not_sent_is_carried_out_once_more(house: House) {
    let ledger = house.open().await;
    let wish = Wish::raise("1", units(40));
    let lease = waiting(&ledger, "key", &wish, at(0)).await;
    let lease = begun(&ledger, &lease, at(1)).await;
    let find = async || ledger.find(&lease.change).await.unwrap().unwrap();
    let before = find().await;
    for second in [2, 4] {
        let decided = decide(&ledger, &lease, &wish, &[policy(&json!({}))], at(second)).await;
        assert!(
            matches!(decided, Ok(Reservation::Reserved { .. })),
            "{decided:?}"
        );
        let back = ledger.step_back(&lease, "it was not sent", at(second + 1));
        back.await.unwrap();
        let now = find().await;
        assert_eq!(
            (now.progress, &now.proposal, &now.intent),
            (Progress::Executing, &before.proposal, &before.intent)
        );
    }
    let approval = ledger.approval(&lease.change).await.unwrap().unwrap();
    assert_eq!(approval.ended, None);
    // Its money is still its own.
    let other = new(&ledger, "other", at(6)).await;
    let more = Wish::raise("2", units(40));
    let full = decide(&ledger, &other, &more, &[wish::day_cap("50.00")], at(6)).await;
    assert!(matches!(full, Ok(Reservation::Denied { .. })), "{full:?}");
}

async fn a_question_that_ends_frees_its_money(house: House) {
    let ledger = house.open().await;
    let policies = [wish::asks(), wish::day_cap("100.00")];
    for (number, end) in [End::Denied, End::Withdrawn, End::Stale]
        .into_iter()
        .enumerate()
    {
        let key = format!("k{number}");
        let lease = new(&ledger, &key, at(0)).await;
        let wish = Wish::raise(&key, units(50));
        let pending = decide(&ledger, &lease, &wish, &policies, at(0))
            .await
            .unwrap();
        assert!(
            matches!(pending, Reservation::Pending { .. }),
            "{end:?}: {pending:?}"
        );
        let approval = question(&ledger, &lease.change).await;
        ledger
            .end_question(&approval, end, Some(end.as_str()), &said(), at(0))
            .await
            .unwrap();
        match claim(&ledger, &key, "{}", at(1)).await {
            Claimed::Replay(replay) => assert_eq!(replay.answer, end.as_str()),
            other => panic!("{other:?}"),
        }
    }
}

async fn a_question_does_not_expire_early_nor_end_twice(house: House) {
    let ledger = house.open().await;
    let lease = waiting(&ledger, "key", &Wish::raise("1", 1), at(0)).await;
    let approval = question(&ledger, &lease.change).await;
    let expire = async |second| {
        let said = said();
        let end = ledger.end_question(&approval, End::Expired, Some("late"), &said, at(second));
        end.await.is_ok()
    };
    assert!(!expire(3599).await);
    assert!(expire(3600).await);
    assert!(!expire(3601).await);
    let execute = ledger
        .execute(&lease.change, &shown(&lease), &said(), at(10))
        .await
        .unwrap();
    assert_eq!(execute, Execution::NotPending(Progress::NotApplied));
}

async fn a_question_that_nobody_can_see_frees_its_key(house: House) {
    let ledger = house.open().await;
    let lease = asked(&ledger, "key", &Wish::raise("1", 1), at(0)).await;
    let approval = question(&ledger, &lease.change).await;
    ledger
        .end_question(&approval, End::Unavailable, None, &said(), at(0))
        .await
        .unwrap();
    new(&ledger, "key", at(0)).await;
}

async fn a_newer_question_takes_the_place_of_the_older(house: House) {
    let ledger = house.open().await;
    let older = waiting(&ledger, "older", &Wish::raise("1", 1), at(0)).await;
    let elsewhere = waiting(&ledger, "elsewhere", &Wish::raise("2", 1), at(0)).await;
    let newer = new(&ledger, "newer", at(1)).await;
    let wish = Wish::raise("1", 2);
    match decide(&ledger, &newer, &wish, &[wish::asks()], at(1))
        .await
        .unwrap()
    {
        Reservation::Pending { superseded, .. } => {
            assert_eq!(superseded, std::slice::from_ref(&older.change));
        }
        other => panic!("{other:?}"),
    }
    let change = older.change.clone();
    assert_eq!(
        claim(&ledger, "older", "{}", at(2)).await,
        Claimed::Superseded { change }
    );
    let execute = ledger
        .execute(&older.change, &shown(&older), &said(), at(2))
        .await
        .unwrap();
    assert_eq!(execute, Execution::NotPending(Progress::NotApplied));
    begun(&ledger, &elsewhere, at(2)).await;
}

async fn a_newer_question_is_not_held_up_by_the_older_one_s_money(house: House) {
    let ledger = house.open().await;
    let policies = [wish::asks(), wish::day_cap("100.00")];
    let ask = async |key: &str, amount| {
        let lease = new(&ledger, key, at(0)).await;
        let wish = Wish::raise("1", amount);
        decide(&ledger, &lease, &wish, &policies, at(0))
            .await
            .unwrap()
    };
    assert!(matches!(
        ask("older", units(40)).await,
        Reservation::Pending { .. }
    ));
    // Together they would be more than half of the window.
    assert!(matches!(
        ask("newer", units(50)).await,
        Reservation::Pending { .. }
    ));
    assert!(matches!(
        ask("most", units(51)).await,
        Reservation::Denied { .. }
    ));
    assert_eq!(ledger.waiting().await.unwrap().len(), 1);
}

async fn what_may_be_at_once_stands_beside_what_waits(house: House) {
    let ledger = house.open().await;
    let asking = [wish::asks(), wish::day_cap("100.00")];
    let wish = Wish::raise("1", units(50));
    let older = new(&ledger, "older", at(0)).await;
    decide(&ledger, &older, &wish, &asking, at(0))
        .await
        .unwrap();
    // Permitted without the older one, and above the cap together with it.
    let lease = new(&ledger, "newer", at(0)).await;
    let wish = Wish::raise("1", units(60));
    let capped = [wish::day_cap("100.00")];
    let denied = decide(&ledger, &lease, &wish, &capped, at(0))
        .await
        .unwrap();
    assert!(matches!(denied, Reservation::Denied { .. }), "{denied:?}");
    let lease = new(&ledger, "small", at(0)).await;
    let wish = Wish::raise("1", units(50));
    let small = decide(&ledger, &lease, &wish, &capped, at(0))
        .await
        .unwrap();
    assert!(
        matches!(small.clone(), Reservation::Reserved { ruling, .. }
        if matches!(ruling.decision, Decision::Permitted(_))),
        "{small:?}"
    );
    assert_eq!(ledger.waiting().await.unwrap().len(), 1);
}

async fn too_many_questions_of_one_key_are_denied(house: House) {
    let ledger = house.open().await;
    for number in 0..5 {
        let object = format!("c{number}");
        asked(&ledger, &object, &Wish::raise(&object, 1), at(0)).await;
    }
    let lease = new(&ledger, "sixth", at(0)).await;
    let wish = Wish::raise("c6", 1);
    let denied = decide(&ledger, &lease, &wish, &[wish::asks()], at(0))
        .await
        .unwrap();
    assert!(matches!(denied, Reservation::Denied { .. }), "{denied:?}");
}

async fn questions_are_listed_by_their_end(house: House) {
    let ledger = house.open().await;
    let first = asked(&ledger, "first", &Wish::raise("1", 1), at(0)).await;
    let second = waiting(&ledger, "second", &Wish::raise("2", 1), at(1)).await;
    let listed = ledger.waiting().await.unwrap();
    let seen: Vec<_> = listed
        .iter()
        .map(|approval| {
            (
                approval.change.clone(),
                approval.expires_at,
                approval.shown.clone(),
            )
        })
        .collect();
    let shown = shown(&second);
    assert_eq!(
        seen,
        [
            (first.change, at(3600), None),
            (second.change, at(3601), Some(shown))
        ]
    );
}
