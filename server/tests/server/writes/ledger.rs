//! A ledger that is not the one that was expected (WRITES §9).

use std::fs;
use std::sync::Arc;

use serde_json::json;
use tempfile::TempDir;
use tenantry_api::mcp_server::{LedgerReport, LedgerState};
use tenantry_core::ledger_mark::LedgerMark;

use super::{AD_SET, call, new_key, open, set};
use crate::control::raw;
use crate::world::{Ledger, World};

/// A world whose ledger is in `dir`, under a contract that expects `expected`.
async fn world(dir: &TempDir, expected: Option<&LedgerMark>) -> World {
    reported(dir, expected, None).await
}

/// The same after a pod of that name has reported.
async fn reported(
    dir: &TempDir,
    expected: Option<&LedgerMark>,
    report: Option<LedgerReport>,
) -> World {
    World::start_with(|setup| {
        open(setup);
        setup.ledger = Ledger::At(dir.path().to_owned());
        setup.tenant.ledger.expected = expected.cloned();
        let report = report.map(|report| ("server-0".to_owned(), report));
        setup.ledgers = report.into_iter().collect();
    })
    .await
}

/// What the server says of its ledger when it stops.
async fn last_words(world: World) -> LedgerReport {
    let control = Arc::clone(&world.control);
    world.end().await;
    control.reports().last().unwrap().ledger.clone().unwrap()
}

/// What it says once the ledger stands so.
async fn standing(world: &World, state: LedgerState) -> LedgerReport {
    let stands =
        |report: &Option<LedgerReport>| report.as_ref().is_some_and(|ledger| ledger.state == state);
    let report = world.control.reported(|report| stands(&report.ledger));
    report.await.ledger.unwrap()
}

fn mark(report: &LedgerReport) -> LedgerMark {
    report.mark.as_ref().unwrap().mark().unwrap()
}

#[tokio::test]
async fn the_ledger_that_was_reported_opens_again() {
    let dir = TempDir::new().unwrap();
    let first = world(&dir, None).await;
    let opened = standing(&first, LedgerState::Open).await;
    assert_eq!((mark(&opened).epoch, mark(&opened).sequence), (1, 0));
    assert_eq!(set(&first, "31.00", &new_key()).await["status"], "done");
    let told = last_words(first).await;
    // Begin, intent and outcome at least.
    assert!(mark(&told).sequence > 1, "{told:?}");
    let again = world(&dir, Some(&mark(&told))).await;
    assert_eq!(set(&again, "32.00", &new_key()).await["status"], "done");
    let told_again = last_words(again).await;
    assert_eq!(told_again.state, LedgerState::Open);
    assert_eq!(mark(&told_again).id, mark(&told).id);
    assert_eq!(mark(&told_again).epoch, 2);
    assert!(mark(&told_again).sequence > mark(&told).sequence);
}

#[tokio::test]
async fn a_lost_ledger_changes_nothing_until_people_accept_another() {
    let (lost, empty) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let first = world(&lost, None).await;
    let earlier = new_key();
    assert_eq!(set(&first, "31.00", &earlier).await["status"], "done");
    let expected = mark(&last_words(first).await);

    let world = world(&empty, Some(&expected)).await;
    let found = standing(&world, LedgerState::Mismatch).await;
    assert_eq!(found.mark, None, "nobody trusts the one that was found");
    let message = found.message.unwrap();
    assert!(message.contains("it is empty"), "{message}");
    let refused = set(&world, "32.00", &new_key()).await;
    assert_eq!(refused["reason"], "LedgerMismatch", "{refused}");
    let stop = call(&world, "meta_pause", json!({"ad_set_id": AD_SET})).await;
    assert_eq!(stop["status"], "done", "{stop}");

    let knowledge = world.control.knowledge().await;
    let mut tenant = world.tenant.clone();
    let mut tell = |word: &str, generation| {
        tenant.ledger.accept = Some(word.to_owned());
        let contract = raw(&tenant, generation);
        world.control.keep_contract(contract.clone());
        knowledge.tell_contract(Some(contract));
    };
    tell("0000000000000000", 2);
    let wrong = set(&world, "32.00", &new_key()).await;
    assert_eq!(wrong["reason"], "LedgerMismatch", "{wrong}");
    tell(&found.accept.unwrap(), 3);
    let accepted = standing(&world, LedgerState::Open).await;
    assert_eq!(
        accepted.instead_of.clone().unwrap().mark(),
        Some(expected.clone())
    );
    assert_eq!(
        LedgerMark::after(Some(expected.clone()), accepted.told().unwrap()),
        mark(&accepted)
    );
    let made = set(&world, "32.00", &new_key()).await;
    assert_eq!(made["status"], "done", "{made}");
    world.end().await;

    // Until the operator knows, the old one is expected, and the acceptance holds.
    let again = self::world(&empty, Some(&expected)).await;
    standing(&again, LedgerState::Open).await;
    assert_eq!(set(&again, "33.00", &new_key()).await["status"], "done");
    again.end().await;
}

#[tokio::test]
async fn a_ledger_out_of_a_backup_is_noticed_by_what_its_own_pod_reported() {
    let (dir, backup) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let first = world(&dir, None).await;
    assert_eq!(set(&first, "31.00", &new_key()).await["status"], "done");
    let known = mark(&last_words(first).await);
    let file = "ledger.db";
    fs::copy(dir.path().join(file), backup.path().join(file)).unwrap();
    let second = world(&dir, Some(&known)).await;
    assert_eq!(set(&second, "32.00", &new_key()).await["status"], "done");
    let report = last_words(second).await;

    // The contract was not written anew with each line; the report was.
    let restored = reported(&backup, Some(&known), Some(report.clone())).await;
    let found = standing(&restored, LedgerState::Mismatch).await;
    assert_eq!(found.mark, report.mark, "what was known stays known");
    assert!(found.message.unwrap().contains("it is older"));
    let refused = set(&restored, "33.00", &new_key()).await;
    assert_eq!(refused["reason"], "LedgerMismatch", "{refused}");
    restored.end().await;
}
