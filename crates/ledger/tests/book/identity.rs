//! Which book it is.

use serde_json::{Map, json};
use tenantry_core::digest::Digest;
use tenantry_core::ledger_mark::{LedgerId, LedgerMark};
use tenantry_ledger::change::Progress;
use tenantry_ledger::claim::Claimed;
use tenantry_ledger::error::LedgerError;
use tenantry_ledger::identity::Recognition;
use tenantry_ledger::ledger::Ledger;
use tenantry_ledger::reserve::Reservation;

use crate::house::{DAY, House, at, unique};
use crate::wish::{self, Wish, applied, claim, decide, new, policy, reserved, sent};

on_both_engines!(
    a_book_keeps_its_name_and_counts_its_openings,
    the_expected_book_is_the_same_however_far_it_has_gone_on,
    an_empty_a_foreign_and_an_older_book_are_told_apart,
    in_an_unexpected_book_no_change_begins_but_running_ones_end,
    an_accepted_book_opens_with_full_windows_and_expired_keys,
    the_book_of_another_organisation_does_not_open,
    a_book_of_a_later_release_does_not_open,
    a_book_that_goes_back_under_a_running_process_is_refused,
);

async fn recognition(
    house: &House,
    ledger: Ledger,
    expected: &LedgerMark,
) -> (Ledger, Recognition) {
    ledger.close().await;
    let ledger = house.expect(expected).await;
    let recognition = ledger.recognition();
    (ledger, recognition)
}

async fn a_book_keeps_its_name_and_counts_its_openings(house: House) {
    let ledger = house.open().await;
    assert_eq!(ledger.recognition(), Recognition::Unexpecting);
    let first = ledger.identity().clone();
    let ledger = house.reopen(ledger).await;
    let second = ledger.identity();
    assert_eq!(
        (&second.id, &second.organization),
        (&first.id, &house.organization)
    );
    assert_eq!((first.epoch, second.epoch), (1, 2));
}

async fn the_expected_book_is_the_same_however_far_it_has_gone_on(house: House) {
    let ledger = house.open().await;
    let new = ledger.told().mark;
    applied(&ledger, "first", &Wish::raise("1", 1), at(0)).await;
    let older = ledger.told().mark;
    applied(&ledger, "second", &Wish::raise("1", 1), at(0)).await;
    let last = ledger.told().mark;
    let mut ledger = ledger;
    for expected in [new, older, last] {
        let recognized = recognition(&house, ledger, &expected).await;
        ledger = recognized.0;
        assert_eq!(recognized.1, Recognition::Same);
    }
}

async fn an_empty_a_foreign_and_an_older_book_are_told_apart(house: House) {
    let ledger = house.open().await;
    let without_a_line = LedgerMark {
        id: LedgerId::of_random(unique()),
        ..ledger.told().mark
    };
    let other = LedgerMark {
        sequence: 7,
        ..without_a_line.clone()
    };
    // Nothing was lost.
    let (ledger, same) = recognition(&house, ledger, &without_a_line).await;
    assert_eq!(same, Recognition::Same);
    let (ledger, empty) = recognition(&house, ledger, &other).await;
    assert_eq!(empty, Recognition::Empty);
    ledger.close().await;
    let ledger = house.open().await;
    applied(&ledger, "key", &Wish::raise("1", 1), at(0)).await;
    let known = ledger.told().mark;
    let (ledger, foreign) = recognition(&house, ledger, &other).await;
    assert_eq!(foreign, Recognition::Foreign);
    let ahead = LedgerMark {
        sequence: known.sequence + 1,
        ..known.clone()
    };
    let later = LedgerMark {
        epoch: known.epoch + 100,
        ..known.clone()
    };
    let elsewhere = LedgerMark {
        sequence: 1,
        digest: Digest::of(b"another first line"),
        ..known
    };
    let mut ledger = ledger;
    for expected in [ahead, later, elsewhere] {
        let recognized = recognition(&house, ledger, &expected).await;
        ledger = recognized.0;
        assert_eq!(recognized.1, Recognition::Older, "{expected:?}");
    }
}

async fn in_an_unexpected_book_no_change_begins_but_running_ones_end(house: House) {
    let ledger = house.open().await;
    let lease = sent(&ledger, "running", &Wish::raise("1", 1), at(0)).await;
    let ahead = LedgerMark {
        sequence: 99,
        ..ledger.told().mark
    };
    let (ledger, _) = recognition(&house, ledger, &ahead).await;
    let fresh = new(&ledger, "key", at(1)).await;
    let policies = [policy(&json!({}))];
    let refused = decide(&ledger, &fresh, &Wish::raise("2", 1), &policies, at(1)).await;
    assert!(
        matches!(refused, Err(LedgerError::Mismatch(Recognition::Older))),
        "{refused:?}"
    );
    ledger
        .settle(&lease, &wish::done(at(1)), at(1))
        .await
        .unwrap();
    reserved(&ledger, "stop", &Wish::stop("1"), at(1)).await;
}

async fn an_accepted_book_opens_with_full_windows_and_expired_keys(house: House) {
    let ledger = house.open().await;
    applied(&ledger, "earlier", &Wish::raise("1", 1), at(0)).await;
    let ahead = LedgerMark {
        sequence: 99,
        ..ledger.told().mark
    };
    let (ledger, _) = recognition(&house, ledger, &ahead).await;
    let record = Map::from_iter([("by".to_owned(), json!("anna"))]);
    ledger.accept(&record, at(10)).await.unwrap();
    assert_eq!(ledger.recognition(), Recognition::Accepted);
    // Until the next report is kept, the same one is expected.
    let (ledger, recognized) = recognition(&house, ledger, &ahead).await;
    assert_eq!(recognized, Recognition::Accepted);
    assert_eq!(
        claim(&ledger, "earlier", "{}", at(11)).await,
        Claimed::Expired
    );
    let capped = [wish::day_cap("1000000.00")];
    let raise = async |key: &str, now| {
        let lease = new(&ledger, key, now).await;
        let wish = Wish::raise("2", 1);
        decide(&ledger, &lease, &wish, &capped, now).await.unwrap()
    };
    let full = raise("full", at(11)).await;
    assert!(matches!(full, Reservation::Denied { .. }), "{full:?}");
    // A fall needs no window, and no cooldown came with the acceptance.
    let lower = Wish::set("2", wish::units(100), wish::units(90));
    let lease = new(&ledger, "fall", at(11)).await;
    let calm = [policy(
        &json!({"budget": {"perObject": {"minIntervalMs": 60_000}}}),
    )];
    let fallen = decide(&ledger, &lease, &lower, &calm, at(11))
        .await
        .unwrap();
    assert!(matches!(fallen, Reservation::Reserved { .. }), "{fallen:?}");
    ledger
        .settle(&lease, &wish::never_sent(), at(11))
        .await
        .unwrap();
    let open = raise("open", at(10) + DAY).await;
    assert!(matches!(open, Reservation::Reserved { .. }), "{open:?}");
}

async fn the_book_of_another_organisation_does_not_open(house: House) {
    let ledger = house.open().await;
    let other = "UPDATE book SET organization = 'globex'";
    let refused = house.try_tamper(ledger, other).await;
    assert!(
        matches!(&refused, Err(LedgerError::OtherOrganization { found }) if found == "globex"),
        "{refused:?}"
    );
}

async fn a_book_of_a_later_release_does_not_open(house: House) {
    let ledger = house.open().await;
    let refused = house
        .try_tamper(ledger, "UPDATE schema_version SET version = 99")
        .await;
    assert!(
        matches!(refused, Err(LedgerError::Newer { found: 99, .. })),
        "{refused:?}"
    );
}

async fn a_book_that_goes_back_under_a_running_process_is_refused(house: House) {
    // Of a file, another one would have to take its place: that needs a restart.
    if matches!(house.place, tenantry_ledger::place::Place::Sqlite(_)) {
        return;
    }
    let ledger = house.open().await;
    let lease = sent(&ledger, "key", &Wish::raise("1", 1), at(0)).await;
    let other = house.open().await;
    house.tamper(other, "UPDATE book SET sequence = 0").await;
    let refused = ledger.settle(&lease, &wish::done(at(0)), at(0)).await;
    assert!(
        matches!(refused, Err(LedgerError::WentBack { seen: 1, found: 0 })),
        "{refused:?}"
    );
    let found = ledger.find(&lease.change).await.unwrap().unwrap();
    assert_eq!(found.progress, Progress::Sending);
}
