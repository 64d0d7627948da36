//! What became of a change, for whoever asked for it.

use serde_json::{Value, json};
use tenantry_fakes::meta::{Answers, Applies, Fault, Order};

use super::{call, eur, looked_at, new_key, open, policy, set, strangers};
use crate::world::{PATIENCE, World};

/// Above 5 EUR a day more people are asked, above 20 it is denied.
async fn world() -> World {
    World::start_with(|setup| {
        open(setup);
        let large = json!({
            "name": "large", "approverClass": "finance", "approvers": 1,
            "expiresAfterMs": 3_600_000, "when": {"dailyIncreaseOver": "5"},
        });
        setup.tenant.policies = vec![policy(json!({
            "approvals": [large], "budget": {"perChange": {"maxDailyIncrease": "20"}},
        }))];
        setup.keys.extend(strangers());
    })
    .await
}

async fn get(world: &World, key: &str, change: &Value) -> Value {
    let wanted = json!({"change_id": change});
    let result = world.client(key).call("get_change", wanted).await;
    result["structuredContent"].clone()
}

/// What it says when it does not say `status` any more.
async fn not_any_more(world: &World, status: &str, change: &Value) -> Value {
    let told = async {
        loop {
            let told = get(world, "demo", change).await;
            if told["status"] != status {
                return told;
            }
        }
    };
    tokio::time::timeout(PATIENCE, told).await.unwrap()
}

/// That it says what repeating the call says, but for the call itself.
async fn says_the_same(world: &World, amount: &str, key: &str) -> Value {
    let mut repeated = set(world, amount, key).await;
    let mut got = get(world, "demo", &repeated["change_id"]).await;
    for told in [&mut repeated, &mut got] {
        told.as_object_mut().unwrap().remove("call_id");
    }
    assert_eq!(got, repeated);
    got
}

#[tokio::test]
async fn it_says_what_repeating_the_call_says() {
    let world = world().await;
    let (waits, made) = (new_key(), new_key());
    set(&world, "36.00", &waits).await;
    let told = says_the_same(&world, "36.00", &waits).await;
    assert_eq!(told["status"], "pending_approval", "{told}");
    assert_eq!(told["rules"][0]["rule"], "approvals.large", "{told}");
    assert!(told["expires_at"].is_string(), "{told}");
    // The other key of the same owner and agent hears it as well.
    let other = get(&world, "other", &told["change_id"]).await;
    assert_eq!(other["status"], "pending_approval", "{other}");

    let told = set(&world, "31.00", &made).await;
    assert_eq!(told["status"], "done", "{told}");
    let told = says_the_same(&world, "31.00", &made).await;
    assert_eq!(
        (&told["status"], &told["replayed"]),
        (&json!("done"), &json!(true))
    );
    assert_eq!(told["after"]["daily_budget"], eur("31.00"));

    let line = world.line(7).await;
    assert_eq!(
        (&line["tool"], &line["outcome"], &line["vendor_requests"]),
        (&json!("get_change"), &json!("done"), &json!(0)),
        "{line}"
    );
    world.end().await;
}

#[tokio::test]
async fn what_is_on_its_way_is_followed() {
    let world = world().await;
    world
        .fake
        .order(Order::next_write(Applies::Never, Answers::Hang));
    let key = new_key();
    let told = set(&world, "31.00", &key).await;
    assert_eq!(told["status"], "settling", "{told}");
    let id = told["change_id"].clone();
    assert_eq!(get(&world, "demo", &id).await["status"], "settling");
    looked_at(&world).await;
    world.clock.advance(super::QUIET);
    let told = not_any_more(&world, "settling", &id).await;
    assert_eq!(told["status"], "failed", "{told}");
    world.end().await;
}

#[tokio::test]
async fn a_change_that_was_given_up_says_so() {
    let world = world().await;
    let order = Order::next_write(Applies::Never, Answers::Fault(Fault::PermissionMissing));
    world.fake.order(order);
    let told = set(&world, "31.00", &new_key()).await;
    assert_eq!(told["status"], "failed", "{told}");
    let id = told["change_id"].clone();
    let told = get(&world, "demo", &id).await;
    assert_eq!(
        (&told["status"], &told["reason"], &told["change_id"]),
        (&json!("refused"), &json!("ChangeNotMade"), &id)
    );
    // Of what was denied outright nothing is kept.
    let denied = set(&world, "60.00", &new_key()).await;
    assert_eq!(denied["reason"], "PolicyDenied", "{denied}");
    assert_eq!(denied["change_id"], Value::Null);
    world.end().await;
}

#[tokio::test]
async fn what_is_somebody_elses_is_not_there() {
    let world = world().await;
    let key = new_key();
    let id = set(&world, "36.00", &key).await["change_id"].clone();
    let nothing = get(&world, "demo", &json!("0".repeat(32))).await;
    assert_eq!(nothing["reason"], "NotFound", "{nothing}");
    for stranger in ["mallory", "another"] {
        let mut told = get(&world, stranger, &id).await;
        told["call_id"].clone_from(&nothing["call_id"]);
        assert_eq!(told, nothing, "{stranger}");
    }
    let narrow = get(&world, "narrow", &id).await;
    assert_eq!(narrow["reason"], "AccountRefused", "{narrow}");
    for (wanted, reason) in [
        (json!({}), "ArgumentsInvalid"),
        (json!({"change_id": 7}), "ArgumentsInvalid"),
        (json!({"change_id": id, "more": 1}), "ArgumentsInvalid"),
        (json!({"change_id": "no id"}), "NotFound"),
    ] {
        let told = call(&world, "get_change", wanted).await;
        assert_eq!(told["reason"], reason, "{told}");
    }
    world.end().await;
}
