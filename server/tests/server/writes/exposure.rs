//! Where a policy limits what all live budgets may spend together: they are read
//! beside all calls, and people are asked while they are not (WRITES §4).

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tenantry_core::access::Access;
use tenantry_core::policy::Mode;
use tenantry_fakes::meta::{Fault, Faults, Logged};
use tenantry_server::clock::Clock;

use super::{AD_SET, OTHER_AD_SET, budget, budgets, call, eur, new_key, obey, open, policy, set};
use crate::world::{PATIENCE, Setup, World, account, until};

const RULE: &str = "budget.exposure.maxActiveDaily";

/// At this moment 321 EUR a day are live in Berlin, of which Meta may spend 175 %
/// on one day: 561.75. In Taipei it is 1,550 TWD.
const NOW: Timestamp = Timestamp::constant(1_796_079_600, 0);

fn limited(exposure: &Value) -> Value {
    let as_of = NOW - SignedDuration::from_hours(1);
    json!({
        "disclose": "Headroom",
        "budget": {"exposure": exposure},
        "exchangeRates": [
            {"currency": "TWD", "rateNanos": 30_000_000, "asOf": as_of, "maxAgeMs": 864_000_000_u64},
        ],
    })
}

/// Berlin alone may be changed, under that limit.
fn berlin(setup: &mut Setup, exposure: &Value) {
    open(setup);
    setup.clock = Clock::still(NOW);
    setup.tenant.connectors[0].accounts[1].access = Access::ReadOnly;
    setup.tenant.policies = vec![policy(limited(exposure))];
}

async fn world(exposure: Value) -> World {
    World::start_with(|setup| berlin(setup, &exposure)).await
}

/// Waits until live budgets were read at the present moment or later.
async fn read(world: &World) {
    until_read(world, world.clock.now()).await;
}

async fn until_read(world: &World, moment: Timestamp) {
    let moment = moment.as_second();
    let patience = async {
        loop {
            let (_, text) = world.admin("/metrics").await;
            let name = "tenantry_server_exposure_read_timestamp_seconds ";
            let told = text.lines().find_map(|line| line.strip_prefix(name));
            if told.unwrap().parse::<i64>().unwrap() >= moment {
                return;
            }
        }
    };
    let read = tokio::time::timeout(PATIENCE, patience).await;
    read.expect("live budgets were not read");
}

/// The vendor does not show what runs in that account.
fn hidden(account: &str) -> Faults {
    Faults {
        fail: Some(Fault::Unavailable),
        fail_path: Some(format!("{account}/adsets")),
        ..Faults::default()
    }
}

/// Waits until the vendor has been asked in vain for what runs in an account.
async fn asked_in_vain(world: &World, account: &str) {
    let list = format!("{account}/adsets");
    let asked = || {
        let requests = world.fake.requests().into_iter();
        requests.filter(|one| one.path.ends_with(&list)).count()
    };
    let before = asked();
    // Twice for one reading, and twice for the next.
    until("some readings in vain", || asked() >= before + 4).await;
}

#[tokio::test]
async fn a_small_raise_is_made_and_one_beyond_the_limit_is_denied() {
    let world = world(json!({"maxActiveDaily": "600"})).await;
    read(&world).await;
    let made = set(&world, "40.00", &new_key()).await;
    assert_eq!(made["status"], "done", "{made}");
    // Whether the raise counts once or twice by now: 20 more are 613.37 at least.
    let told = set(&world, "60.00", &new_key()).await;
    assert_eq!(told["reason"], "PolicyDenied", "{told}");
    assert_eq!(told["rules"][0]["rule"], RULE);
    let made = budgets(&world);
    let made = made
        .iter()
        .map(|(object, after)| (object.as_str(), &after["daily_budget"]));
    assert!(made.eq([(AD_SET, &json!("4000"))]));
    world.end().await;
}

#[tokio::test]
async fn the_factor_of_the_policy_outweighs_that_of_the_connector() {
    for (exposure, reason) in [
        (
            json!({"maxActiveDaily": "340", "overspendPercent": 100}),
            Value::Null,
        ),
        (json!({"maxActiveDaily": "340"}), json!("PolicyDenied")),
        (json!({"maxActiveDaily": "570"}), json!("PolicyDenied")),
    ] {
        let world = world(exposure.clone()).await;
        read(&world).await;
        let told = set(&world, "40.00", &new_key()).await;
        assert_eq!(told["reason"], reason, "{exposure}: {told}");
        world.end().await;
    }
}

#[tokio::test]
async fn all_accounts_in_which_changes_are_made_count_together() {
    // Taipei's are 46.50 EUR: with the 9.50 of the raise 377 in all.
    for (most, reason) in [("377", Value::Null), ("376.99", json!("PolicyDenied"))] {
        let exposure = json!({"maxActiveDaily": most, "overspendPercent": 100});
        let world = World::start_with(|setup| {
            berlin(setup, &exposure);
            setup.tenant.connectors[0].accounts[1].access = Access::Frozen;
        })
        .await;
        read(&world).await;
        let told = set(&world, "40.00", &new_key()).await;
        assert_eq!(told["reason"], reason, "{most}: {told}");
        world.end().await;
    }
}

#[tokio::test]
async fn people_are_asked_while_the_vendor_does_not_show_what_is_live() {
    let world = world(json!({"maxActiveDaily": "600"})).await;
    read(&world).await;
    world.fake.set_faults(hidden("act_1001"));
    asked_in_vain(&world, "act_1001").await;
    // What was read before is good for a while.
    let told = set(&world, "31.00", &new_key()).await;
    assert_eq!(told["status"], "done", "{told}");
    world.clock.advance(SignedDuration::from_mins(16));
    asked_in_vain(&world, "act_1001").await;
    let told = set(&world, "32.00", &new_key()).await;
    assert_eq!(told["status"], "pending_approval", "{told}");
    assert_eq!(told["rules"][0]["rule"], RULE);
    let dry = json!({"dry_run": true, "ad_set_id": OTHER_AD_SET, "daily_budget": eur("21.00")});
    let told = call(&world, "meta_set_budget", dry).await;
    assert_eq!(told["rules"][0]["rule"], RULE, "{told}");
    world.fake.set_faults(Faults::default());
    read(&world).await;
    let other = budget(OTHER_AD_SET, "21.00", &new_key());
    let told = call(&world, "meta_set_budget", other).await;
    // The question about the first one is still open, and counts.
    assert_eq!(told["status"], "done", "{told}");
    world.end().await;
}

#[tokio::test]
async fn a_reading_that_misses_one_account_is_none() {
    let exposure = json!({"maxActiveDaily": "600"});
    let world = World::start_with(|setup| {
        berlin(setup, &exposure);
        setup.tenant.connectors[0].accounts[1].access = Access::ReadWrite;
        setup.faults = hidden("act_1002");
    })
    .await;
    asked_in_vain(&world, "act_1002").await;
    let told = set(&world, "31.00", &new_key()).await;
    assert_eq!(told["status"], "pending_approval", "{told}");
    world.end().await;
}

#[tokio::test]
async fn a_reading_is_as_old_as_its_first_request() {
    let world = World::start_with(|setup| {
        berlin(setup, &json!({"maxActiveDaily": "600"}));
        setup.exposure.every = Duration::from_hours(1);
        setup.faults.hold = true;
    })
    .await;
    world.fake.arrived(1).await;
    world.clock.advance(SignedDuration::from_mins(16));
    world.fake.set_faults(Faults::default());
    until_read(&world, NOW).await;
    let told = set(&world, "31.00", &new_key()).await;
    assert_eq!(told["status"], "pending_approval", "{told}");
    world.end().await;
}

#[tokio::test]
async fn it_is_read_once_a_policy_limits_it() {
    let world = World::start_with(|setup| {
        berlin(setup, &json!({"maxActiveDaily": "0"}));
        setup.tenant.policies = vec![policy(json!({}))];
    })
    .await;
    assert_eq!(set(&world, "31.00", &new_key()).await["status"], "done");
    let lists = |one: &Logged| one.path.ends_with("act_1001/campaigns");
    assert!(!world.fake.requests().iter().any(lists));
    let mut tenant = world.tenant.clone();
    // Shadow is told as much.
    let limits = limited(&json!({"maxActiveDaily": "600"}));
    let mut shadow = policy(limits.clone());
    shadow.mode = Mode::Shadow;
    shadow.name = "shadow".into();
    tenant.policies.push(shadow);
    obey(&world, &tenant, 2).await;
    read(&world).await;
    tenant.policies = vec![policy(limits)];
    obey(&world, &tenant, 3).await;
    assert_eq!(set(&world, "32.00", &new_key()).await["status"], "done");
    world.end().await;
}

#[tokio::test]
async fn what_was_read_before_an_account_came_is_no_reading_of_it() {
    let exposure = json!({"maxActiveDaily": "600", "overspendPercent": 100});
    let world = World::start_with(|setup| {
        berlin(setup, &exposure);
        setup.tenant.connectors[0].accounts.truncate(1);
    })
    .await;
    read(&world).await;
    assert_eq!(set(&world, "31.00", &new_key()).await["status"], "done");
    world.fake.set_faults(hidden("act_1002"));
    let mut tenant = world.tenant.clone();
    let mut taipei = account("act_1002", "TWD");
    taipei.access = Access::ReadWrite;
    tenant.connectors[0].accounts.push(taipei);
    obey(&world, &tenant, 2).await;
    asked_in_vain(&world, "act_1002").await;
    let told = set(&world, "32.00", &new_key()).await;
    assert_eq!(told["status"], "pending_approval", "{told}");
    world.end().await;
}

#[tokio::test]
async fn what_is_left_is_told_where_that_is_disclosed() {
    let world = world(json!({"maxActiveDaily": "600"})).await;
    read(&world).await;
    let wanted = json!({"connector": "meta", "account_id": "act_1001"});
    let told = call(&world, "describe_limits", wanted).await;
    assert_eq!(
        told["data"]["policies"][0]["limits"],
        json!([{
            "rule": RULE, "says": "live budgets may spend 600.00 EUR a day in all",
            "left": "38.25 EUR",
        }])
    );
    world.end().await;
}
