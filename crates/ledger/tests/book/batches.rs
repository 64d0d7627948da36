//! Batches: decided in one transaction, all or none; settled each by itself.

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tenantry_core::digest::Digest;
use tenantry_core::name::ToolName;
use tenantry_core::policy::Policy;
use tenantry_core::policy::batch::decide_all;
use tenantry_core::policy::decide::{Agreed, Permitted, Verdict};
use tenantry_ledger::approval::{End, Execution, Shown};
use tenantry_ledger::batch::{Batch, BatchReservation, ForeseenAll, Item, What};
use tenantry_ledger::change::{ChangeId, Lease, Progress};
use tenantry_ledger::claim::Claimed;
use tenantry_ledger::error::LedgerError;
use tenantry_ledger::ledger::{LEAST_RETENTION, Ledger};
use tenantry_ledger::reserve::{Deferred, Reservation};
use tenantry_ledger::settle::Outcome;

use crate::house::{House, at, unique};
use crate::wish::{self, Wish, claim, day_cap, decide, new, policy, reserved, units};

on_both_engines!(
    all_of_a_batch_is_reserved_or_nothing_of_it,
    another_change_in_the_way_of_one_holds_up_all,
    each_item_ends_by_itself_and_the_key_opens_all_of_them,
    a_batch_of_which_nothing_is_kept_frees_its_key,
    what_was_held_up_is_answered_while_its_batch_is,
    what_is_so_already_is_answered_with_the_others,
    people_are_asked_once_and_what_they_agreed_to_is_made,
    a_question_about_a_batch_that_ends_frees_all_its_money,
    a_newer_question_about_one_object_takes_the_place_of_a_whole_batch,
    a_newer_batch_takes_the_place_of_older_questions,
    a_batch_that_was_not_sent_is_decided_once_more,
    a_batch_that_people_agreed_to_is_carried_out_once_more,
    who_takes_a_batch_over_fences_its_owner,
    a_batch_is_sent_while_its_permissions_are_good,
    items_are_kept_for_as_long_as_their_batch,
    what_is_foreseen_of_a_batch_is_not_kept,
    a_newer_question_does_not_end_a_batch_that_is_being_carried_out,
    an_item_of_a_batch_that_is_being_carried_out_does_not_wait_for_people,
    each_item_that_was_asked_about_has_a_line_of_its_end,
    each_item_that_was_not_sent_has_a_line_of_that,
    a_batch_that_was_sent_ends_by_its_items_alone,
    an_item_does_not_end_alone_before_its_batch_is_sent,
);

/// Wishes that are asked for together.
struct Together {
    wishes: Vec<Wish>,
    names: Vec<ChangeId>,
    tool: ToolName,
    record: Map<String, Value>,
    agreed: Agreed,
}

impl Together {
    fn new(key: &Lease, mut wishes: Vec<Wish>) -> Self {
        for wish in &mut wishes {
            wish.proposal.batch = Some(key.change.to_string());
        }
        let names = wishes.iter().map(|_| ChangeId::of_random(unique()));
        Self {
            names: names.collect(),
            wishes,
            tool: ToolName::parse("meta_set_budget").unwrap(),
            record: wish::record("all").to_map(),
            agreed: Agreed::new(),
        }
    }

    fn items(&self) -> Vec<Item<'_>> {
        let wishes = self.names.iter().zip(&self.wishes);
        wishes
            .map(|(change, wish)| Item {
                change,
                tool: &self.tool,
                what: What::Change(wish.asked()),
            })
            .collect()
    }

    async fn decide_among(
        &self,
        ledger: &Ledger,
        lease: &Lease,
        items: &[Item<'_>],
        policies: &[Policy],
        now: Timestamp,
    ) -> Result<BatchReservation, LedgerError> {
        let proposals: Vec<_> = self.wishes.iter().map(|one| one.proposal.clone()).collect();
        let batch = Batch {
            items,
            record: &self.record,
            deferred: Deferred {
                arguments: &self.record,
                pinned: Digest::of(b"pinned"),
                policy_digest: Digest::of(b"policies"),
            },
        };
        ledger
            .decide_and_reserve_all(lease, &batch, now, |facts, now| {
                decide_all(&proposals, facts, policies, &self.agreed, now)
            })
            .await
    }

    async fn decide(
        &self,
        ledger: &Ledger,
        lease: &Lease,
        policies: &[Policy],
        now: Timestamp,
    ) -> BatchReservation {
        let items = self.items();
        let decided = self.decide_among(ledger, lease, &items, policies, now);
        decided.await.unwrap()
    }

    async fn progress(&self, ledger: &Ledger) -> Vec<Option<Progress>> {
        let mut all = Vec::new();
        for name in &self.names {
            let found = ledger.find(name).await.unwrap();
            all.push(found.map(|found| found.progress));
        }
        all
    }
}

fn raises() -> Vec<Wish> {
    vec![Wish::raise("1", units(10)), Wish::raise("2", units(20))]
}

fn open_policy() -> [Policy; 1] {
    [policy(&json!({}))]
}

fn shown(change: &Lease) -> Shown {
    Shown {
        uid: format!("uid of {}", change.change),
        digest: Digest::of(b"all that is shown"),
    }
}

fn said() -> Map<String, Value> {
    Map::from_iter([("said".to_owned(), json!("so"))])
}

/// A batch that is reserved: its lease, and those of its items.
async fn reserved_all(ledger: &Ledger, key: &str) -> (Lease, Together, Vec<Lease>, Vec<Permitted>) {
    let lease = new(ledger, key, at(0)).await;
    let batch = Together::new(&lease, raises());
    match batch.decide(ledger, &lease, &open_policy(), at(0)).await {
        BatchReservation::Reserved {
            leases, permitted, ..
        } => (lease, batch, leases, permitted),
        other => panic!("{other:?}"),
    }
}

/// A batch that waits for people, who see it.
async fn waiting_all(ledger: &Ledger, key: &str, wishes: Vec<Wish>) -> (Lease, Together) {
    let lease = new(ledger, key, at(0)).await;
    let batch = Together::new(&lease, wishes);
    let pending = batch.decide(ledger, &lease, &[wish::asks()], at(0)).await;
    let BatchReservation::Pending { .. } = pending else {
        panic!("{pending:?}");
    };
    let change = &lease.change;
    let approval = wish::question(ledger, change).await;
    ledger.show(&approval, &shown(&lease), at(0)).await.unwrap();
    (lease, batch)
}

/// A question about a change that stands alone.
async fn asked(ledger: &Ledger, lease: &Lease, wish: &Wish, now: Timestamp) {
    let asked = decide(ledger, lease, wish, &[wish::asks()], now).await;
    let is_asked = matches!(asked, Ok(Reservation::Pending { .. }));
    assert!(is_asked, "{asked:?}");
}

/// What people agreed to, at its execution.
async fn begun(ledger: &Ledger, lease: &Lease) -> Lease {
    let (shown, said) = (shown(lease), said());
    match ledger.execute(&lease.change, &shown, &said, at(1)).await {
        Ok(Execution::Begun(lease)) => lease,
        other => panic!("{other:?}"),
    }
}

/// What is left of a day's cap of 100.
async fn fits(ledger: &Ledger, key: &str, more: i64) -> bool {
    let lease = new(ledger, key, at(2)).await;
    let wish = Wish::raise("9", units(more));
    let policies = [day_cap("100.00")];
    let decided = decide(ledger, &lease, &wish, &policies, at(2)).await;
    match decided.unwrap() {
        Reservation::Reserved { .. } => {
            let never = wish::never_sent();
            ledger.settle(&lease, &never, at(2)).await.unwrap();
            true
        }
        Reservation::Denied { .. } => false,
        other => panic!("{other:?}"),
    }
}

async fn all_of_a_batch_is_reserved_or_nothing_of_it(house: House) {
    let ledger = house.open().await;
    let lease = new(&ledger, "key", at(0)).await;
    let batch = Together::new(&lease, raises());
    let cap = [day_cap("29.00")];
    let denied = batch.decide(&ledger, &lease, &cap, at(0)).await;
    let BatchReservation::Denied { rulings } = denied else {
        panic!("not denied");
    };
    assert_eq!(rulings[0].fired, []);
    assert_eq!(rulings[1].fired.len(), 1);
    assert_eq!(batch.progress(&ledger).await, [None, None]);
    assert!(fits(&ledger, "other", 100).await);
    let lease = new(&ledger, "key", at(1)).await;
    let batch = Together::new(&lease, raises());
    let cap = [day_cap("30.00")];
    let reserved = batch.decide(&ledger, &lease, &cap, at(1)).await;
    let BatchReservation::Reserved { leases, .. } = reserved else {
        panic!("not reserved");
    };
    let names: Vec<_> = leases.into_iter().map(|lease| lease.change).collect();
    assert_eq!(names, batch.names);
    let reserved = Some(Progress::Reserved);
    assert_eq!(batch.progress(&ledger).await, [reserved, reserved]);
    assert!(fits(&ledger, "another", 70).await);
    assert!(!fits(&ledger, "more", 71).await);
    let items = ledger.items(&lease.change).await.unwrap();
    let items: Vec<_> = items.into_iter().map(|item| item.lease.change).collect();
    assert_eq!(items, batch.names);
}

async fn another_change_in_the_way_of_one_holds_up_all(house: House) {
    let ledger = house.open().await;
    let other = reserved(&ledger, "other", &Wish::raise("2", 1), at(0)).await;
    let lease = new(&ledger, "key", at(0)).await;
    let batch = Together::new(&lease, raises());
    let met = batch.decide(&ledger, &lease, &open_policy(), at(0)).await;
    let change = other.change;
    assert_eq!(met, BatchReservation::InTheWay { place: 1, change });
    assert_eq!(batch.progress(&ledger).await, [None, None]);
    reserved(&ledger, "key", &Wish::raise("1", 1), at(0)).await;
}

async fn each_item_ends_by_itself_and_the_key_opens_all_of_them(house: House) {
    let ledger = house.open().await;
    let (lease, batch, leases, permitted) = reserved_all(&ledger, "key").await;
    ledger.sending_all(&lease, &permitted, at(1)).await.unwrap();
    let done = wish::done(at(1));
    ledger.settle(&leases[0], &done, at(1)).await.unwrap();
    let opened = claim(&ledger, "key", "{}", at(1)).await;
    let Claimed::Batch {
        items, ended_at, ..
    } = opened
    else {
        panic!("{opened:?}");
    };
    assert_eq!(ended_at, None);
    assert!(matches!(items[0].opens, Some(Claimed::Replay(_))));
    assert!(matches!(items[1].opens, Some(Claimed::InProgress { .. })));
    let whole = || async { ledger.find(&lease.change).await.unwrap().unwrap() };
    assert_eq!(whole().await.progress, Progress::Sending);
    let rejected = wish::rejected();
    ledger.settle(&leases[1], &rejected, at(2)).await.unwrap();
    assert_eq!(whole().await.progress, Progress::Applied);
    assert_eq!(
        batch.progress(&ledger).await,
        [Some(Progress::Applied), Some(Progress::NotApplied)]
    );
    match claim(&ledger, "key", "{}", at(3)).await {
        Claimed::Batch {
            items, ended_at, ..
        } => {
            assert_eq!(ended_at, Some(at(2)));
            for (item, lease) in items.iter().zip(&leases) {
                let Some(Claimed::Replay(replay)) = &item.opens else {
                    panic!("{item:?}");
                };
                assert_eq!(replay.change, lease.change);
            }
        }
        other => panic!("{other:?}"),
    }
    assert!(fits(&ledger, "a", 90).await);
    assert!(!fits(&ledger, "b", 91).await);
    assert_eq!(ledger.unsettled().await.unwrap(), []);
}

async fn a_batch_of_which_nothing_is_kept_frees_its_key(house: House) {
    let ledger = house.open().await;
    let (lease, _, leases, permitted) = reserved_all(&ledger, "key").await;
    ledger.sending_all(&lease, &permitted, at(1)).await.unwrap();
    for item in &leases {
        let held_up = wish::held_up();
        ledger.settle(item, &held_up, at(1)).await.unwrap();
    }
    new(&ledger, "key", at(2)).await;
    assert!(fits(&ledger, "other", 100).await);
}

async fn what_was_held_up_is_answered_while_its_batch_is(house: House) {
    let ledger = house.open().await;
    let held_up = Outcome::HeldUp {
        why: "throttled".into(),
        answer: "later".into(),
    };
    for (key, other, is_kept) in [
        ("some", wish::done(at(1)), true),
        ("none", held_up.clone(), false),
    ] {
        let (lease, _, leases, permitted) = reserved_all(&ledger, key).await;
        ledger.sending_all(&lease, &permitted, at(1)).await.unwrap();
        ledger.settle(&leases[0], &held_up, at(1)).await.unwrap();
        ledger.settle(&leases[1], &other, at(1)).await.unwrap();
        let opened = claim(&ledger, key, "{}", at(2)).await;
        let Claimed::Batch { items, .. } = opened else {
            assert!(!is_kept && matches!(opened, Claimed::New(_)), "{opened:?}");
            continue;
        };
        let Some(Claimed::Replay(replay)) = &items[0].opens else {
            panic!("{items:?}");
        };
        assert!(is_kept && replay.answer == "later", "{replay:?}");
    }
    assert!(fits(&ledger, "other", 80).await);
}

async fn what_is_so_already_is_answered_with_the_others(house: House) {
    let ledger = house.open().await;
    let lease = new(&ledger, "key", at(0)).await;
    let mut batch = Together::new(&lease, raises());
    let so_already = ChangeId::of_random(unique());
    let tool = batch.tool.clone();
    let record = batch.record.clone();
    let unchanged = Item {
        change: &so_already,
        tool: &tool,
        what: What::Unchanged {
            answer: "it is so",
            record: &record,
        },
    };
    batch.names.truncate(1);
    batch.wishes.truncate(1);
    let mut items = vec![unchanged];
    items.extend(batch.items());
    let policies = open_policy();
    let reserved = batch.decide_among(&ledger, &lease, &items, &policies, at(0));
    let BatchReservation::Reserved {
        leases, permitted, ..
    } = reserved.await.unwrap()
    else {
        panic!("not reserved");
    };
    let opened = claim(&ledger, "key", "{}", at(1)).await;
    let Claimed::Batch { items, .. } = opened else {
        panic!("{opened:?}");
    };
    let Some(Claimed::Replay(replay)) = &items[0].opens else {
        panic!("{items:?}");
    };
    assert_eq!((items.len(), replay.answer.as_str()), (2, "it is so"));
    // Nothing of what changes something is kept: the key is free.
    ledger.sending_all(&lease, &permitted, at(1)).await.unwrap();
    let held_up = wish::held_up();
    ledger.settle(&leases[0], &held_up, at(1)).await.unwrap();
    new(&ledger, "key", at(2)).await;
}

async fn people_are_asked_once_and_what_they_agreed_to_is_made(house: House) {
    let ledger = house.open().await;
    let (lease, mut batch) = waiting_all(&ledger, "key", raises()).await;
    let questions = ledger.waiting().await.unwrap();
    assert_eq!(questions.len(), 1);
    let fired = &questions[0].fired;
    let of: Vec<_> = fired.iter().filter_map(|one| one.of.as_deref()).collect();
    assert_eq!(of, ["1", "2"]);
    let pending = Some(Progress::Pending);
    assert_eq!(batch.progress(&ledger).await, [pending, pending]);
    assert_eq!(ledger.unsettled().await.unwrap(), []);
    // One question, whatever it is about.
    let other = new(&ledger, "other", at(0)).await;
    let two = policy(&json!({"pending": {"maxPerKey": 2}, "approvals": [{
        "name": "any", "approverClass": "finance", "approvers": 1, "expiresAfterMs": 3_600_000,
        "when": {"dailyIncreaseOver": "0.00"},
    }]}));
    let asked = decide(&ledger, &other, &Wish::raise("3", 1), &[two], at(0)).await;
    assert!(
        matches!(asked, Ok(Reservation::Pending { .. })),
        "{asked:?}"
    );
    let lease = begun(&ledger, &lease).await;
    let agreed = fired.iter().filter_map(|one| match &one.verdict {
        Verdict::Ask(terms) => Some((one.key(), terms.clone())),
        Verdict::Deny => None,
    });
    batch.agreed = agreed.collect();
    // Its own money is not counted against it; that of the other one is.
    let mut policies = vec![wish::asks(), day_cap("30.01")];
    policies[1].name = "cap".into();
    let decided = batch.decide(&ledger, &lease, &policies, at(1)).await;
    let BatchReservation::Reserved {
        leases, permitted, ..
    } = decided
    else {
        panic!("{decided:?}");
    };
    ledger.sending_all(&lease, &permitted, at(1)).await.unwrap();
    for item in &leases {
        let done = wish::done(at(1));
        ledger.settle(item, &done, at(1)).await.unwrap();
    }
    let found = ledger.find(&lease.change).await.unwrap().unwrap();
    assert_eq!(found.progress, Progress::Applied);
}

async fn a_question_about_a_batch_that_ends_frees_all_its_money(house: House) {
    let ledger = house.open().await;
    let (lease, batch) = waiting_all(&ledger, "key", raises()).await;
    assert!(!fits(&ledger, "before", 71).await);
    let said = said();
    let approval = wish::question(&ledger, &lease.change).await;
    let ended = ledger.end_question(&approval, End::Denied, Some("denied"), &said, at(1));
    ended.await.unwrap();
    let not_made = Some(Progress::NotApplied);
    assert_eq!(batch.progress(&ledger).await, [not_made, not_made]);
    assert!(fits(&ledger, "after", 100).await);
    match claim(&ledger, "key", "{}", at(2)).await {
        Claimed::Replay(replay) => assert_eq!(replay.answer, "denied"),
        other => panic!("{other:?}"),
    }
    assert_eq!(ledger.opens(&batch.names[0], at(2)).await.unwrap(), None);
}

async fn a_newer_question_about_one_object_takes_the_place_of_a_whole_batch(house: House) {
    let ledger = house.open().await;
    let (lease, batch) = waiting_all(&ledger, "key", raises()).await;
    let newer = new(&ledger, "newer", at(1)).await;
    let wish = Wish::raise("2", units(80));
    // Only without the money of all of the batch is there room.
    let mut policies = vec![wish::asks(), day_cap("160.00")];
    policies[1].name = "cap".into();
    let asked = decide(&ledger, &newer, &wish, &policies, at(1)).await;
    let Reservation::Pending { superseded, .. } = asked.unwrap() else {
        panic!("nobody was asked");
    };
    assert_eq!(superseded, std::slice::from_ref(&lease.change));
    let not_made = Some(Progress::NotApplied);
    assert_eq!(batch.progress(&ledger).await, [not_made, not_made]);
    let opened = claim(&ledger, "key", "{}", at(2)).await;
    let change = lease.change;
    assert_eq!(opened, Claimed::Superseded { change });
}

async fn a_newer_batch_takes_the_place_of_older_questions(house: House) {
    let ledger = house.open().await;
    let older = new(&ledger, "older", at(0)).await;
    asked(&ledger, &older, &Wish::raise("1", 5), at(0)).await;
    let (first, _) = waiting_all(
        &ledger,
        "first",
        vec![Wish::raise("2", 1), Wish::raise("3", 1)],
    )
    .await;
    let (newer, _) = waiting_all(&ledger, "newer", raises()).await;
    let waiting = ledger.waiting().await.unwrap();
    let waiting: Vec<_> = waiting.into_iter().map(|one| one.change).collect();
    assert_eq!(waiting, [newer.change]);
    for key in ["older", "first"] {
        let opened = claim(&ledger, key, "{}", at(2)).await;
        assert!(matches!(opened, Claimed::Superseded { .. }), "{opened:?}");
    }
    let third = ledger.items(&first.change).await.unwrap();
    assert!(
        third
            .iter()
            .all(|item| item.progress == Progress::NotApplied)
    );
}

async fn a_batch_that_was_not_sent_is_decided_once_more(house: House) {
    let ledger = house.open().await;
    let (lease, batch, ..) = reserved_all(&ledger, "key").await;
    ledger.step_back(&lease, "it moved", at(1)).await.unwrap();
    assert_eq!(batch.progress(&ledger).await, [None, None]);
    assert!(fits(&ledger, "other", 100).await);
    let again = batch.decide(&ledger, &lease, &open_policy(), at(1)).await;
    assert!(
        matches!(again, BatchReservation::Reserved { .. }),
        "{again:?}"
    );
}

async fn a_batch_that_people_agreed_to_is_carried_out_once_more(house: House) {
    let ledger = house.open().await;
    let (lease, batch) = waiting_all(&ledger, "key", raises()).await;
    let lease = begun(&ledger, &lease).await;
    let decided = batch.decide(&ledger, &lease, &open_policy(), at(1)).await;
    assert!(
        matches!(decided, BatchReservation::Reserved { .. }),
        "{decided:?}"
    );
    let ledger = house.reopen(ledger).await;
    let seen = ledger.find(&lease.change).await.unwrap().unwrap();
    let taken = ledger.take_over(&seen, at(2)).await.unwrap();
    ledger.step_back(&taken, "never sent", at(2)).await.unwrap();
    let executing = Some(Progress::Executing);
    assert_eq!(batch.progress(&ledger).await, [executing, executing]);
    assert!(!fits(&ledger, "other", 71).await);
    let decided = batch.decide(&ledger, &taken, &open_policy(), at(3)).await;
    assert!(
        matches!(decided, BatchReservation::Reserved { .. }),
        "{decided:?}"
    );
}

async fn who_takes_a_batch_over_fences_its_owner(house: House) {
    let ledger = house.open().await;
    let (lease, batch, leases, permitted) = reserved_all(&ledger, "key").await;
    let seen = ledger.find(&lease.change).await.unwrap().unwrap();
    let taken = ledger.take_over(&seen, at(1)).await.unwrap();
    let sent = ledger.sending_all(&lease, &permitted, at(1)).await;
    assert!(matches!(sent, Err(LedgerError::Fenced { .. })), "{sent:?}");
    let settled = ledger.settle(&leases[0], &wish::never_sent(), at(1)).await;
    assert!(
        matches!(settled, Err(LedgerError::Fenced { .. })),
        "{settled:?}"
    );
    let never = wish::never_sent();
    ledger.settle(&taken, &never, at(1)).await.unwrap();
    let not_made = Some(Progress::NotApplied);
    assert_eq!(batch.progress(&ledger).await, [not_made, not_made]);
    assert!(fits(&ledger, "other", 100).await);
    new(&ledger, "key", at(2)).await;
    assert_eq!(ledger.unsettled().await.unwrap().len(), 1);
}

async fn a_batch_is_sent_while_its_permissions_are_good(house: House) {
    let ledger = house.open().await;
    let (lease, batch, _, permitted) = reserved_all(&ledger, "key").await;
    let sent = ledger.sending_all(&lease, &permitted, at(10)).await;
    assert!(matches!(sent, Err(LedgerError::Stale { .. })), "{sent:?}");
    let reserved = Some(Progress::Reserved);
    assert_eq!(batch.progress(&ledger).await, [reserved, reserved]);
}

async fn items_are_kept_for_as_long_as_their_batch(house: House) {
    let ledger = house.open().await;
    let (lease, batch, leases, permitted) = reserved_all(&ledger, "key").await;
    ledger.sending_all(&lease, &permitted, at(1)).await.unwrap();
    let done = wish::done(at(1));
    ledger.settle(&leases[0], &done, at(1)).await.unwrap();
    let late = at(2) + LEAST_RETENTION;
    ledger.sweep(late).await.unwrap();
    let applied = Some(Progress::Applied);
    assert_eq!(batch.progress(&ledger).await[0], applied);
    ledger.settle(&leases[1], &done, late).await.unwrap();
    ledger.sweep(late).await.unwrap();
    let opened = claim(&ledger, "key", "{}", late).await;
    let Claimed::Batch { items, .. } = opened else {
        panic!("{opened:?}");
    };
    assert!(
        items
            .iter()
            .all(|item| matches!(item.opens, Some(Claimed::Replay(_))))
    );
    let later = late + LEAST_RETENTION;
    // The batch goes first, and its items with the next round.
    for _ in 0..2 {
        ledger.sweep(later).await.unwrap();
    }
    assert_eq!(batch.progress(&ledger).await, [None, None]);
    assert_eq!(claim(&ledger, "key", "{}", later).await, Claimed::Expired);
}

async fn what_is_foreseen_of_a_batch_is_not_kept(house: House) {
    let ledger = house.open().await;
    let lease = new(&ledger, "key", at(0)).await;
    let batch = Together::new(&lease, raises());
    let proposals: Vec<_> = batch
        .wishes
        .iter()
        .map(|one| one.proposal.clone())
        .collect();
    let policies = [day_cap("29.00")];
    let nothing = Agreed::new();
    let head = ledger.head().await.unwrap();
    let items = batch.items();
    let foreseen = ledger.foresee_all(&items, at(0), |facts, now| {
        decide_all(&proposals, facts, &policies, &nothing, now)
    });
    let ForeseenAll::Ruled(rulings) = foreseen.await.unwrap() else {
        panic!("something is in the way");
    };
    assert_eq!(rulings[1].fired.len(), 1);
    assert_eq!(ledger.head().await.unwrap(), head);
    assert_eq!(batch.progress(&ledger).await, [None, None]);
}

/// A change that people agreed to and that is being carried out is not
/// ended by a newer question about its object (WRITES §7); nor is a batch.
async fn a_newer_question_does_not_end_a_batch_that_is_being_carried_out(house: House) {
    let ledger = house.open().await;
    // As it is with a change that stands alone.
    let alone = new(&ledger, "alone", at(0)).await;
    asked(&ledger, &alone, &Wish::raise("7", 1), at(0)).await;
    let question = ledger.approval(&alone.change).await.unwrap().unwrap();
    let seen = ledger.show(&question, &shown(&alone), at(0)).await;
    seen.unwrap();
    begun(&ledger, &alone).await;
    let newer = new(&ledger, "newer of alone", at(1)).await;
    asked(&ledger, &newer, &Wish::raise("7", 2), at(1)).await;
    let found = ledger.find(&alone.change).await.unwrap().unwrap();
    assert_eq!(found.progress, Progress::Executing);
    // And with a batch.
    let (lease, batch) = waiting_all(&ledger, "key", raises()).await;
    let lease = begun(&ledger, &lease).await;
    let newer = new(&ledger, "newer", at(1)).await;
    asked(&ledger, &newer, &Wish::raise("2", 1), at(1)).await;
    let found = ledger.find(&lease.change).await.unwrap().unwrap();
    assert_eq!(found.progress, Progress::Executing);
    let decided = batch.decide(&ledger, &lease, &open_policy(), at(2)).await;
    assert!(
        matches!(decided, BatchReservation::Reserved { .. }),
        "{decided:?}"
    );
}

/// What people agreed to does not say of its items that they wait.
async fn an_item_of_a_batch_that_is_being_carried_out_does_not_wait_for_people(house: House) {
    let ledger = house.open().await;
    let (lease, batch) = waiting_all(&ledger, "key", raises()).await;
    begun(&ledger, &lease).await;
    for item in &batch.names {
        match ledger.opens(item, at(2)).await.unwrap() {
            Some(Claimed::InProgress { progress, .. }) => {
                assert_eq!(progress, Progress::Executing);
            }
            other => panic!("{other:?}"),
        }
    }
}

/// The last line of each item, by its event.
async fn last_events(ledger: &Ledger, batch: &Together) -> Vec<String> {
    let lines = crate::audit::lines(ledger).await;
    let lines = lines.iter().map(|line| serde_json::from_str(line).unwrap());
    let lines: Vec<Value> = lines.collect();
    let last = batch.names.iter().map(|name| {
        let own = lines.iter();
        let mut own = own.filter(|line| line["metadata"]["correlation_uid"] == name.as_str());
        let last = own.next_back().unwrap();
        last["unmapped"]["event"].as_str().unwrap().to_owned()
    });
    last.collect()
}

/// Outcomes and audit per item (WRITES §8).
async fn each_item_that_was_asked_about_has_a_line_of_its_end(house: House) {
    let ledger = house.open().await;
    let (lease, batch) = waiting_all(&ledger, "key", raises()).await;
    let said = said();
    let question = ledger.approval(&lease.change).await.unwrap().unwrap();
    let ended = ledger.end_question(&question, End::Denied, Some("denied"), &said, at(1));
    ended.await.unwrap();
    let events = last_events(&ledger, &batch).await;
    assert!(!events.contains(&"asked".to_owned()), "{events:?}");
}

/// The same of a reservation that was given up.
async fn each_item_that_was_not_sent_has_a_line_of_that(house: House) {
    let ledger = house.open().await;
    let (lease, batch, ..) = reserved_all(&ledger, "key").await;
    ledger.step_back(&lease, "it moved", at(1)).await.unwrap();
    ledger.release(&lease, at(1)).await.unwrap();
    let events = last_events(&ledger, &batch).await;
    assert!(!events.contains(&"intent".to_owned()), "{events:?}");
}

/// Nobody says of a batch what only its items can have become.
async fn a_batch_that_was_sent_ends_by_its_items_alone(house: House) {
    let ledger = house.open().await;
    let (lease, _, _, permitted) = reserved_all(&ledger, "key").await;
    ledger.sending_all(&lease, &permitted, at(1)).await.unwrap();
    for outcome in [wish::unknown(), wish::rejected(), wish::done(at(1))] {
        let settled = ledger.settle(&lease, &outcome, at(1)).await;
        assert!(
            matches!(settled, Err(LedgerError::OutOfOrder { .. })),
            "{outcome:?}: {settled:?}"
        );
    }
}

/// Until it is sent a batch is given up whole.
async fn an_item_does_not_end_alone_before_its_batch_is_sent(house: House) {
    let ledger = house.open().await;
    let (_, batch, leases, _) = reserved_all(&ledger, "key").await;
    let settled = ledger.settle(&leases[0], &wish::never_sent(), at(1)).await;
    let progress = batch.progress(&ledger).await;
    assert!(
        matches!(settled, Err(LedgerError::OutOfOrder { .. })),
        "{settled:?}: {progress:?}"
    );
}
