//! What becomes of a change whose answer never came: it is found out, and never
//! sent again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use reqwest::Request;
use serde_json::{Value, json};
use tempfile::TempDir;
use tenantry_connectors::call_error::CallError;
use tenantry_connectors::corridor::CorridorLimits;
use tenantry_connectors::transport::{Network, Received, Transport};
use tenantry_core::digest::Digest;
use tenantry_core::ledger_mark::LedgerId;
use tenantry_core::name::{Organization, ToolName};
use tenantry_fakes::meta::{Answers, Applies, Fault, Order};
use tenantry_ledger::change::{ChangeId, Principal};
use tenantry_ledger::claim::Claim;
use tenantry_ledger::ledger::{LEAST_RETENTION, Ledger, MOST_WAITING, Opening};
use tenantry_ledger::settle::LONGEST_LIST;

use super::{
    AD_SET, QUIET, budget, budgets, call, looked_at, meddle, new_key, open, policy, set, world,
};
use crate::world::Ledger::At;
use crate::world::{PATIENCE, World, sqlite, until};

/// Ad sets of other campaigns. Each of their readings takes ten seconds when
/// the vendor does not answer.
const DEAD: [&str; 4] = [
    "120010010011",
    "120010010012",
    "120010010021",
    "120010010061",
];

/// The key of a change that nobody knows the end of, and what its caller hears.
async fn in_doubt(world: &World, applies: Applies, answers: Answers) -> (String, Value) {
    world.fake.order(Order::next_write(applies, answers));
    let key = new_key();
    let told = set(world, "40.00", &key).await;
    assert_eq!(told["status"], "settling", "{told}");
    (key, told)
}

/// What becomes of a budget that somebody set.
async fn settled(world: &World, amount: &str, key: &str) -> Value {
    super::settled(world, "meta_set_budget", budget(AD_SET, amount, key)).await
}

#[tokio::test]
async fn what_was_made_without_an_answer_is_found_made() {
    let world = world().await;
    for (amount, answers) in [
        ("40.00", Answers::Break),
        ("41.00", Answers::Fault(Fault::InternalError)),
        ("42.00", Answers::Fault(Fault::NotJson)),
    ] {
        let made = budgets(&world).len();
        world
            .fake
            .order(Order::next_write(Applies::AtOnce, answers));
        let key = new_key();
        let told = set(&world, amount, &key).await;
        assert_eq!(
            (&told["status"], &told["reason"]),
            (&json!("settling"), &json!("OutcomeUnknown")),
            "{answers:?}"
        );
        let end = settled(&world, amount, &key).await;
        assert_eq!(end["status"], "done", "{end}");
        assert_eq!(end["change_id"], told["change_id"]);
        assert_eq!(end["replayed"], true);
        assert_eq!(budgets(&world).len(), made + 1, "{answers:?}");
    }
    world.end().await;
}

/// Claims of another process in the ledger of `dir`, that many, of this moment.
async fn claimed(dir: &TempDir, count: u32) {
    let opening = Opening {
        place: &sqlite(dir.path(), 0),
        organization: &Organization::parse("acme").unwrap(),
        tenant_uid: "tenant-uid",
        expected: None,
        id_if_new: LedgerId::of_random([1; 16]),
        retention: LEAST_RETENTION,
        most_waiting: MOST_WAITING,
    };
    let now = Timestamp::now();
    let ledger = Ledger::open(opening, now).await.unwrap();
    let claim = async |number: u32| {
        let claim = Claim {
            principal: &Principal {
                owner: "ann".into(),
                agent: None,
            },
            key: &number.to_string(),
            tool: &ToolName::parse("meta_set_budget").unwrap(),
            fingerprint: Digest::of(b"{}"),
            change: &ChangeId::of_random(u128::from(number).to_be_bytes()),
        };
        ledger.claim(&claim, now).await.unwrap();
    };
    futures::stream::iter(0..count)
        .for_each_concurrent(64, claim)
        .await;
    ledger.close().await;
}

#[tokio::test]
async fn as_many_as_a_list_holds_hide_no_change_behind_them() {
    let dir = TempDir::new().unwrap();
    claimed(&dir, LONGEST_LIST).await;
    let world = World::start_with(|setup| {
        open(setup);
        setup.ledger = At(dir.path().to_owned());
    })
    .await;
    // Nobody looks after them for a minute, and they are older.
    let (key, _) = in_doubt(&world, Applies::AtOnce, Answers::Break).await;
    let end = settled(&world, "40.00", &key).await;
    assert_eq!(end["status"], "done", "{end}");
    world.end().await;
}

#[tokio::test]
async fn what_was_not_made_counts_as_that_after_the_quiet_time_alone() {
    let world = World::start_with(|setup| {
        open(setup);
        let window = json!({"windowMs": 86_400_000, "scope": "Account", "maxDailyIncrease": "10"});
        setup.tenant.policies = vec![policy(json!({"budget": {"perWindow": [window]}}))];
    })
    .await;
    let (key, told) = in_doubt(&world, Applies::Never, Answers::Break).await;
    looked_at(&world).await;
    assert_eq!(set(&world, "40.00", &key).await["status"], "settling");
    // Its budget is its own, and its money with it.
    let other = call(
        &world,
        "meta_set_budget",
        budget(AD_SET, "31.00", &new_key()),
    )
    .await;
    assert_eq!(other["reason"], "ChangeInProgress", "{other}");
    assert_eq!(other["change_id"], told["change_id"]);
    world.clock.advance(QUIET);
    let end = settled(&world, "40.00", &key).await;
    assert_eq!(
        (&end["status"], &end["reason"]),
        (&json!("failed"), &json!("ChangeNotMade"))
    );
    // The money is free again, for another key.
    assert_eq!(set(&world, "40.00", &new_key()).await["status"], "done");
    assert_eq!(budgets(&world).len(), 1);
    world.end().await;
}

#[tokio::test]
async fn what_comes_about_late_is_found_made() {
    let world = world().await;
    let (key, _) = in_doubt(&world, Applies::WhenReleased, Answers::Break).await;
    assert_eq!(world.fake.release(), 1);
    let end = settled(&world, "40.00", &key).await;
    assert_eq!(end["status"], "done", "{end}");
    assert_eq!(budgets(&world).len(), 1);
    world.end().await;
}

#[tokio::test]
async fn a_success_that_changes_nothing_is_not_believed() {
    let world = world().await;
    let (key, _) = in_doubt(&world, Applies::Never, Answers::Success).await;
    looked_at(&world).await;
    world.clock.advance(QUIET);
    let end = settled(&world, "40.00", &key).await;
    assert_eq!(end["reason"], "ChangeNotMade", "{end}");
    assert_eq!(budgets(&world), []);
    world.end().await;
}

#[tokio::test]
async fn what_somebody_else_changed_meanwhile_is_for_people() {
    let world = world().await;
    let (key, _) = in_doubt(&world, Applies::Never, Answers::Break).await;
    meddle(&world, AD_SET, 3_300).await;
    looked_at(&world).await;
    world.clock.advance(QUIET);
    let end = settled(&world, "40.00", &key).await;
    assert_eq!(
        (&end["status"], &end["reason"]),
        (&json!("needs_human"), &json!("OutcomeUndecided"))
    );
    // Nobody else touches it meanwhile.
    let other = set(&world, "41.00", &new_key()).await;
    assert_eq!(other["reason"], "ChangeInProgress", "{other}");
    world.end().await;
}

#[tokio::test]
async fn what_left_before_its_call_was_cut_off_is_not_called_failed() {
    let world = World::start_with(|setup| {
        open(setup);
        setup.drain = Duration::from_millis(50);
    })
    .await;
    world
        .fake
        .order(Order::next_write(Applies::AtOnce, Answers::Hang));
    let client = world.client("demo");
    let asked = budget(AD_SET, "40.00", &new_key());
    let call = tokio::spawn(async move { client.call("meta_set_budget", asked).await });
    until("the change", || budgets(&world).len() == 1).await;
    world.stop();
    let told = call.await.unwrap()["structuredContent"].clone();
    let lines = world.end().await;
    assert_eq!(lines.len(), 1);
    let line = &lines[0];
    assert_eq!(
        (&line["outcome"], &line["reason"]),
        (&json!("settling"), &json!("OutcomeUnknown"))
    );
    assert!(line["change"].is_string(), "{line}");
    assert_eq!(
        (&told["status"], &told["change_id"]),
        (&json!("settling"), &line["change"])
    );
}

#[tokio::test]
async fn a_question_that_nobody_answers_in_time_gives_its_money_back() {
    let world = World::start_with(|setup| {
        open(setup);
        setup.tenant.policies = vec![policy(json!({
            "budget": {"perWindow": [{"windowMs": 86_400_000, "scope": "Account", "maxDailyIncrease": "19"}]},
            "approvals": [{
                "name": "large", "approverClass": "finance", "approvers": 1, "expiresAfterMs": 3_600_000,
                "when": {"dailyIncreaseOver": "5"},
            }],
        }))];
    })
    .await;
    let key = new_key();
    let told = set(&world, "40.00", &key).await;
    assert_eq!(told["status"], "pending_approval", "{told}");
    world.clock.advance(SignedDuration::from_mins(61));
    let ended = async {
        loop {
            let told = set(&world, "40.00", &key).await;
            if told["status"] != "pending_approval" {
                return told;
            }
        }
    };
    let end = tokio::time::timeout(PATIENCE, ended).await;
    let end = end.expect("it waits for ever");
    assert_eq!(
        (&end["status"], &end["reason"], &end["change_id"]),
        (
            &json!("refused"),
            &json!("ApprovalExpired"),
            &told["change_id"]
        )
    );
    // Half of the window may wait: there is room for it again.
    let anew = set(&world, "40.00", &new_key()).await;
    assert_eq!(anew["status"], "pending_approval", "{anew}");
    world.end().await;
}

#[tokio::test]
async fn what_the_vendor_does_not_show_holds_up_nothing_else() {
    let world = world().await;
    let pause = async |ad_set: &str, key: &str| {
        let asked = json!({"ad_set_id": ad_set, "idempotency_key": key});
        call(&world, "meta_pause", asked).await
    };
    for ad_set in DEAD {
        world
            .fake
            .order(Order::next_write(Applies::Never, Answers::Break));
        assert_eq!(pause(ad_set, &new_key()).await["status"], "settling");
    }
    for ad_set in DEAD {
        let order = Order::next_write(Applies::Never, Answers::Hang);
        world.fake.order(Order {
            method: Some("GET".into()),
            path: Some(ad_set.into()),
            times: u32::MAX,
            ..order
        });
    }
    let (key, _) = in_doubt(&world, Applies::AtOnce, Answers::Break).await;
    assert_eq!(settled(&world, "40.00", &key).await["status"], "done");
    world.end().await;
}

/// A way to the vendor that falls over one object, once it is armed.
struct Tripping {
    network: Network,
    is_armed: AtomicBool,
}

impl Transport for Tripping {
    fn carry(&self, request: Request) -> BoxFuture<'_, Result<Received, CallError>> {
        let trips =
            self.is_armed.load(Ordering::Relaxed) && request.url().path().ends_with(DEAD[0]);
        assert!(!trips, "it falls over what is in its way");
        self.network.carry(request)
    }
}

#[tokio::test]
async fn what_fails_each_time_holds_up_nothing_else() {
    let mut way = None;
    let world = World::start_with(|setup| {
        open(setup);
        let tripping = Arc::new(Tripping {
            network: Network::new(false, None, CorridorLimits::PRODUCTION).unwrap(),
            is_armed: AtomicBool::new(false),
        });
        way = Some(Arc::clone(&tripping));
        setup.transport = Some(tripping);
    })
    .await;
    world
        .fake
        .order(Order::next_write(Applies::Never, Answers::Break));
    let asked = json!({"ad_set_id": DEAD[0], "idempotency_key": new_key()});
    let told = call(&world, "meta_pause", asked).await;
    assert_eq!(told["status"], "settling", "{told}");
    way.unwrap().is_armed.store(true, Ordering::Relaxed);
    let (key, _) = in_doubt(&world, Applies::AtOnce, Answers::Break).await;
    assert_eq!(settled(&world, "40.00", &key).await["status"], "done");
    let (_, metrics) = world.admin("/metrics").await;
    let failed = r#"tenantry_server_ledger_duties_failed_total{duty="settle"}"#;
    assert!(metrics.contains(failed), "{metrics}");
    world.end().await;
}

#[tokio::test]
async fn a_clock_that_was_ahead_for_a_while_holds_nothing_up() {
    let world = world().await;
    let hour = SignedDuration::from_hours(1);
    world
        .fake
        .order(Order::next_write(Applies::Never, Answers::Break));
    let key = new_key();
    world.clock.set_by(hour);
    assert_eq!(set(&world, "40.00", &key).await["status"], "settling");
    world.clock.set_by(-hour);
    looked_at(&world).await;
    world.clock.advance(QUIET);
    let end = settled(&world, "40.00", &key).await;
    assert_eq!(end["reason"], "ChangeNotMade", "{end}");
    let (_, metrics) = world.admin("/metrics").await;
    let ahead = metrics
        .lines()
        .find_map(|line| line.strip_prefix("tenantry_server_ledger_clock_ahead_seconds "));
    let ahead: f64 = ahead.unwrap().parse().unwrap();
    assert!((3_000.0..3_600.0).contains(&ahead), "{ahead}");
    world.end().await;
}

#[tokio::test]
async fn a_clock_that_jumps_ahead_makes_no_quiet_time_pass() {
    let world = world().await;
    let (key, _) = in_doubt(&world, Applies::Never, Answers::Break).await;
    world.clock.set_by(SignedDuration::from_hours(1));
    looked_at(&world).await;
    assert_eq!(set(&world, "40.00", &key).await["status"], "settling");
    world.clock.advance(QUIET);
    let end = settled(&world, "40.00", &key).await;
    assert_eq!(end["reason"], "ChangeNotMade", "{end}");
    world.end().await;
}
