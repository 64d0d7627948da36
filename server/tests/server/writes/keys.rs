//! Keys of idempotency: one change each, whatever is repeated.

use futures::future::join_all;
use jiff::SignedDuration;
use serde_json::json;
use tenantry_core::key::KeyRecord;
use tenantry_core::name::AccountId;
use tenantry_server::book::Book;
use tenantry_server::clock::Clock;

use super::{AD_SET, budget, budgets, call, eur, new_key, open, policy, set, spender, world};
use crate::world::{Ledger, World, sqlite, tenant};

#[tokio::test]
async fn a_repeated_call_is_one_change_with_one_answer() {
    let world = world().await;
    let key = new_key();
    let first = set(&world, "40.00", &key).await;
    // However the amount is written.
    for amount in ["40.00", "40", "40.0"] {
        let again = set(&world, amount, &key).await;
        assert_eq!(again["replayed"], true, "{again}");
        assert!(again["executed_at"].is_string());
        assert_ne!(again["call_id"], first["call_id"]);
        for field in ["status", "change_id", "before", "after", "delta"] {
            assert_eq!(again[field], first[field], "{field}");
        }
        assert_eq!(again.get("no_longer_current"), None);
    }
    assert_eq!(budgets(&world).len(), 1);
    // Somebody else's change came after it.
    assert_eq!(set(&world, "41.00", &new_key()).await["status"], "done");
    assert_eq!(set(&world, "40.00", &key).await["no_longer_current"], true);
    assert_eq!(budgets(&world).len(), 2);
    world.end().await;
}

#[tokio::test]
async fn a_key_is_good_for_one_thing() {
    let world = world().await;
    let key = new_key();
    assert_eq!(set(&world, "40.00", &key).await["status"], "done");
    let other = set(&world, "41.00", &key).await;
    assert_eq!(other["reason"], "IdempotencyMismatch", "{other}");
    let pause = json!({"ad_set_id": AD_SET, "idempotency_key": key});
    let other = call(&world, "meta_pause", pause).await;
    assert_eq!(other["reason"], "IdempotencyMismatch", "{other}");
    assert_eq!(world.fake.effects().len(), 1);
    world.end().await;
}

#[tokio::test]
async fn a_key_belongs_to_its_owner_and_outlives_the_api_key() {
    let world = World::start_with(|setup| {
        open(setup);
        let stranger = KeyRecord {
            owner: "bob@acme.example".into(),
            ..spender("narrow")
        };
        setup.keys.push(stranger);
    })
    .await;
    let key = new_key();
    let with = async |id: &str, amount: &str| {
        let asked = budget(AD_SET, amount, &key);
        let result = world.client(id).call("meta_set_budget", asked).await;
        result["structuredContent"].clone()
    };
    assert_eq!(with("demo", "40.00").await["status"], "done");
    // The same owner and agent with another API key.
    assert_eq!(with("other", "40.00").await["replayed"], true);
    // Another owner: another key.
    assert_eq!(with("narrow", "41.00").await["status"], "done");
    assert_eq!(budgets(&world).len(), 2);
    world.end().await;
}

#[tokio::test]
async fn a_change_without_a_good_key_is_not_made() {
    let world = world().await;
    for (key, told) in [
        (json!(null), "`idempotency_key`"),
        (json!("short"), "`idempotency_key`"),
        (json!("aaaaaaaaaaaaaaaaaaaaaaaa"), "as good as random"),
        (json!("01JD9ZQ5 W8K3M7N2"), "visible ASCII"),
    ] {
        let asked =
            json!({"ad_set_id": AD_SET, "daily_budget": eur("40.00"), "idempotency_key": key});
        let refused = call(&world, "meta_set_budget", asked).await;
        assert_eq!(refused["reason"], "ArgumentsInvalid", "{refused}");
        let message = refused["message"].as_str().unwrap();
        assert!(message.contains(told), "{message}");
    }
    let none = json!({"ad_set_id": AD_SET, "daily_budget": eur("40.00")});
    let refused = call(&world, "meta_set_budget", none).await;
    assert_eq!(
        refused["message"],
        "`idempotency_key` is missing; it makes a repeated call one change"
    );
    assert_eq!(budgets(&world), []);
    // What only stops may come without.
    let pause = call(&world, "meta_pause", json!({"ad_set_id": AD_SET})).await;
    assert_eq!(pause["status"], "done", "{pause}");
    world.end().await;
}

#[tokio::test]
async fn a_refused_change_leaves_its_key_free() {
    let world = World::start_with(|setup| {
        open(setup);
        setup.tenant.policies = vec![super::policy(
            json!({"budget": {"perObject": {"minIntervalMs": 600_000}}}),
        )];
    })
    .await;
    assert_eq!(set(&world, "40.00", &new_key()).await["status"], "done");
    let key = new_key();
    let soon = set(&world, "41.00", &key).await;
    assert_eq!(soon["reason"], "PolicyDenied", "{soon}");
    let wait = soon["retry_after_ms"].as_u64().unwrap();
    assert!((1..=600_000).contains(&wait), "{soon}");
    world.clock.advance(jiff::SignedDuration::from_mins(10));
    assert_eq!(set(&world, "41.00", &key).await["status"], "done");
    assert_eq!(budgets(&world).len(), 2);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_calls_with_one_key_one_makes_the_change() {
    let world = world().await;
    let key = new_key();
    let calls = (0..16).map(|_| set(&world, "40.00", &key));
    let told = join_all(calls).await;
    let made = told
        .iter()
        .filter(|told| told["status"] == "done" && told.get("replayed").is_none());
    assert_eq!(made.count(), 1, "{told:?}");
    for told in &told {
        assert!(
            told["status"] == "done"
                || told["status"] == "in_progress"
                || told["status"] == "settling",
            "{told}"
        );
    }
    assert_eq!(budgets(&world).len(), 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_changes_of_one_campaign_do_not_run_at_once() {
    let world = world().await;
    let key = new_key();
    let one = set(&world, "40.00", &key);
    let other = budget(super::OTHER_AD_SET, "25.00", &new_key());
    let other = call(&world, "meta_set_budget", other);
    let (one, other) = futures::join!(one, other);
    let statuses = [&one["status"], &other["status"]];
    assert!(statuses.contains(&&json!("done")), "{statuses:?}");
    let late = [&one, &other]
        .into_iter()
        .find(|told| told["status"] != "done");
    if let Some(late) = late {
        assert_eq!(late["reason"], "ChangeInProgress", "{late}");
        assert!(late["change_id"].is_string());
    }
    world.end().await;
}

#[tokio::test]
async fn a_key_that_may_not_use_the_account_hears_nothing_of_its_change() {
    let world = World::start_with(|setup| {
        open(setup);
        let narrow = KeyRecord {
            accounts: Some([AccountId::parse("act_1002").unwrap()].into()),
            ..spender("narrow")
        };
        setup.keys.push(narrow);
    })
    .await;
    let key = new_key();
    assert_eq!(set(&world, "40.00", &key).await["status"], "done");
    let asked = budget(AD_SET, "40.00", &key);
    let told = world.client("narrow").call("meta_set_budget", asked).await;
    let told = &told["structuredContent"];
    assert_eq!(told["reason"], "AccountRefused", "{told}");
    assert_eq!((told.get("before"), told.get("change_id")), (None, None));
    world.end().await;
}

#[tokio::test]
async fn a_change_that_the_ledger_refused_does_not_count_as_on_its_way() {
    let world = World::start_with(|setup| {
        open(setup);
        setup.ledger = Ledger::Full;
    })
    .await;
    let key = new_key();
    for _ in 0..2 {
        let told = set(&world, "40.00", &key).await;
        assert_eq!(told["reason"], "LedgerUnavailable", "{told}");
    }
    let pause = json!({"ad_set_id": AD_SET, "idempotency_key": new_key()});
    let told = call(&world, "meta_pause", pause).await;
    assert_eq!(told["status"], "done", "{told}");
    world.end().await;
}

#[tokio::test]
async fn a_longer_window_counts_that_came_before_the_ledger_was_open() {
    let dir = tempfile::tempdir().unwrap();
    let book = Book::new(Some(sqlite(dir.path(), 0)), None);
    let mut newer = tenant("http://127.0.0.1:1".into());
    let sixty_days = SignedDuration::from_hours(60 * 24);
    let window = json!({
        "windowMs": i64::try_from(sixty_days.as_millis()).unwrap(),
        "scope": "Account", "maxDailyIncrease": "10",
    });
    newer.policies = vec![policy(json!({"budget": {"perWindow": [window]}}))];
    book.keep_for(&newer);
    let older = tenant("http://127.0.0.1:1".into());
    let ledger = book.open(&older, None, &Clock::default()).await.unwrap();
    assert_eq!(ledger.retention(), sixty_days);
    // What the organisation says itself is longer, and what is shorter changes
    // nothing of it.
    for (days, kept) in [(90, 90), (45, 90)] {
        newer.retain_days = Some(days);
        book.keep_for(&newer);
        assert_eq!(ledger.retention(), SignedDuration::from_hours(kept * 24));
    }
    book.close().await;
}
