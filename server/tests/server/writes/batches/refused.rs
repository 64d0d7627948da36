//! What cannot be a batch, and who may not ask for one.

use serde_json::{Value, json};
use tenantry_core::key::{KeyRecord, Scope};

use super::super::{AD_SET, OTHER_AD_SET, eur, new_key, open, strangers, world};
use super::{APPS, SPRING, ad_set, batch, campaign, changed, set_all, three};
use crate::world::{World, record};

/// A campaign in Taipei.
const TAIPEI: &str = "12001002001";
/// One of somebody else, which the same token sees.
const STRANGER: &str = "12002001001";

fn with(changes: &[Value]) -> Value {
    batch(changes, &new_key())
}

fn good() -> Value {
    campaign(SPRING, "51.00")
}

/// One good change, with another member of the arguments.
fn but(member: &str, value: Value) -> Value {
    let mut arguments = with(&[good()]);
    arguments[member] = value;
    arguments
}

/// Batches that are none, with what is said of each.
fn none_at_all() -> Vec<(Value, &'static str)> {
    let many: Vec<_> = (0..21).map(|_| good()).collect();
    let mut no_key = with(&[good()]);
    no_key.as_object_mut().unwrap().remove("idempotency_key");
    vec![
        (with(&[]), "one to 20"),
        (with(&many), "one to 20"),
        (
            but("tool", json!("meta_pause")),
            "`meta_pause` does not set a budget",
        ),
        (
            but("tool", json!("hubspot_x")),
            "`tool`: there is no tool `hubspot_x`",
        ),
        (but("extra", json!(1)), "extra"),
        (no_key, "`idempotency_key` is missing"),
        (json!({"changes": [], "idempotency_key": new_key()}), "tool"),
    ]
}

/// Batches of which one change is wrong.
fn wrong_at_a_place() -> Vec<(Value, &'static str)> {
    let eur = eur("122");
    let keyed = json!({"campaign_id": APPS, "daily_budget": eur, "idempotency_key": new_key()});
    let misspelt = json!({"campaign_id": APPS, "daily_budgets": eur});
    let twd = json!({"campaign_id": TAIPEI, "daily_budget": {"amount": "700", "currency": "TWD"}});
    let third = ad_set(OTHER_AD_SET, "21.00");
    vec![
        (with(&[good(), keyed]), "changes[1]: `idempotency_key`"),
        (
            with(&[good(), json!({"daily_budget": eur})]),
            "changes[1]: ",
        ),
        (with(&[good(), misspelt]), "changes[1]: `daily_budgets`"),
        (
            with(&[good(), campaign(SPRING, "52.00")]),
            "changes[1]: its budget",
        ),
        (
            with(&[ad_set(AD_SET, "31.00"), good(), third]),
            "changes[2]: its budget depends on that of changes[0]",
        ),
        (
            with(&[good(), twd]),
            "changes[1]: the object is of another account",
        ),
    ]
}

#[tokio::test]
async fn what_cannot_be_a_batch_is_refused_by_its_place() {
    let world = world().await;
    for (arguments, says) in none_at_all().into_iter().chain(wrong_at_a_place()) {
        let told = set_all(&world, arguments.clone()).await;
        assert_eq!(told["reason"], "ArgumentsInvalid", "{arguments}: {told}");
        let message = told["message"].as_str().unwrap();
        assert!(message.contains(says), "{says}: {message}");
    }
    let foreign = with(&[good(), campaign(STRANGER, "51.00")]);
    let told = set_all(&world, foreign).await;
    assert_eq!(told["reason"], "NotFound", "{told}");
    assert!(
        told["message"]
            .as_str()
            .unwrap()
            .starts_with("changes[1]: "),
        "{told}"
    );
    assert_eq!(changed(&world), []);
    // What is not the organisation's is on record.
    let lines = world.end().await;
    let foreign = lines.iter().any(|line| line.to_string().contains(STRANGER));
    assert!(foreign, "nothing says what was asked for");
}

#[tokio::test]
async fn whoever_may_not_set_one_sets_none() {
    let world = World::start_with(|setup| {
        open(setup);
        let reader = KeyRecord {
            scopes: ["meta:read", "meta:write"]
                .map(|scope| Scope::parse(scope).unwrap())
                .into(),
            ..record("writer")
        };
        setup.keys.push(reader);
        setup.keys.extend(strangers());
    })
    .await;
    let told = world
        .client("writer")
        .call("set_budgets", three(&new_key()))
        .await;
    let told = &told["structuredContent"];
    assert_eq!(told["reason"], "ScopeMissing", "{told}");
    let key = new_key();
    let made = set_all(&world, three(&key)).await;
    assert_eq!(made["status"], "done", "{made}");
    // A change of somebody else is not there, and a key for other accounts does
    // not hear what another one of its owner changed.
    for stranger in ["mallory", "another"] {
        let asked = json!({"change_id": made["change_id"]});
        let told = world.client(stranger).call("get_change", asked).await;
        assert_eq!(told["structuredContent"]["reason"], "NotFound", "{told}");
    }
    for (tool, arguments) in [
        ("set_budgets", three(&key)),
        ("get_change", json!({"change_id": made["change_id"]})),
    ] {
        let told = world.client("narrow").call(tool, arguments).await;
        assert_eq!(
            told["structuredContent"]["reason"], "AccountRefused",
            "{told}"
        );
    }
    world.end().await;
}
