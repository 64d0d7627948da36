//! What a caller hears of the limits before anything is refused.

use serde_json::{Value, json};
use tenantry_core::access::Access;
use tenantry_core::key::KeyRecord;
use tenantry_core::name::AccountId;

use super::{call, new_key, open, policy, set, spender};
use crate::world::{Ledger, World};

const WINDOW: &str = "budget.perWindow.maxDailyIncrease";

fn windowed(disclose: &str) -> Value {
    json!({
        "disclose": disclose,
        "budget": {"perWindow": [
            {"windowMs": 3_600_000, "scope": "Account", "maxDailyIncrease": "100"},
        ]},
    })
}

async fn world(disclose: &str) -> World {
    let policies = vec![policy(windowed(disclose))];
    World::start_with(|setup| {
        open(setup);
        setup.tenant.policies = policies;
    })
    .await
}

async fn limits(world: &World, account: &str) -> Value {
    let wanted = json!({"connector": "meta", "account_id": account});
    call(world, "describe_limits", wanted).await
}

#[tokio::test]
async fn what_is_left_shrinks_with_each_change_where_that_is_disclosed() {
    let world = world("Headroom").await;
    let left = async || {
        let told = limits(&world, "act_1001").await;
        told["data"]["policies"][0]["limits"][0]["left"].clone()
    };
    assert_eq!(left().await, "100.00 EUR");
    assert_eq!(set(&world, "40.00", &new_key()).await["status"], "done");
    assert_eq!(left().await, "90.50 EUR");
    world.end().await;
}

#[tokio::test]
async fn limits_are_told_as_far_as_policies_disclose_them() {
    let says = "increases of daily budgets add up to at most 100.00 EUR in 1 h, for the account";
    let verdicts = json!([{"policy": "ads", "limits": [{"rule": WINDOW, "says": says}]}]);
    for (disclose, policies, undisclosed) in
        [("Verdicts", verdicts, false), ("None", json!([]), true)]
    {
        let world = world(disclose).await;
        let told = limits(&world, "act_1001").await;
        assert_eq!(
            told["data"],
            json!({
                "connector": "meta", "account_id": "act_1001", "currency": "EUR",
                "access": "ReadWrite", "changes": "those that every policy permits",
                "policies": policies, "undisclosed": undisclosed,
            })
        );
        let log = world.end().await;
        let line = log.last().unwrap();
        assert_eq!(
            (&line["tool"], &line["account"], &line["vendor_requests"]),
            (&json!("describe_limits"), &json!("act_1001"), &json!(0))
        );
    }
}

#[tokio::test]
async fn nothing_is_told_of_accounts_that_the_key_may_not_use() {
    let accounts = Some(vec![AccountId::parse("act_1002").unwrap()]);
    let narrow = KeyRecord {
        accounts,
        ..spender("narrow")
    };
    let world = World::start_with(|setup| {
        open(setup);
        setup.keys.push(narrow);
    })
    .await;
    for account in ["act_1001", "act_9999", "", "x y"] {
        let wanted = json!({"connector": "meta", "account_id": account});
        let told = world.client("narrow").call("describe_limits", wanted).await;
        let told = &told["structuredContent"];
        assert_eq!(told["reason"], "AccountRefused", "{told}");
    }
    for (wanted, reason) in [
        (
            json!({"connector": "crm", "account_id": "act_1002"}),
            "AccountRefused",
        ),
        (json!({"account_id": "act_1002"}), "ArgumentsInvalid"),
        (
            json!({"connector": "meta", "account_id": 1}),
            "ArgumentsInvalid",
        ),
        (
            json!({"connector": "meta", "account_id": "act_1002", "more": 1}),
            "ArgumentsInvalid",
        ),
    ] {
        let told = world.client("narrow").call("describe_limits", wanted).await;
        assert_eq!(told["structuredContent"]["reason"], reason, "{told}");
    }
    world.end().await;
}

#[tokio::test]
async fn whether_changes_can_be_made_at_all_is_said_first() {
    for (access, policies, ledger, changes) in [
        (
            Access::ReadOnly,
            1,
            Ledger::Own,
            "none: the access permits reading only",
        ),
        (
            Access::Frozen,
            1,
            Ledger::Own,
            "things can be switched off, and nothing else",
        ),
        (
            Access::ReadWrite,
            0,
            Ledger::Own,
            "none but switching off: no policy covers the account",
        ),
        (
            Access::ReadWrite,
            1,
            Ledger::None,
            "none but switching off: the ledger is not open",
        ),
    ] {
        let world = World::start_with(|setup| {
            open(setup);
            setup.tenant.access = access;
            setup.tenant.policies.truncate(policies);
            setup.ledger = ledger;
        })
        .await;
        let told = limits(&world, "act_1001").await;
        assert_eq!(told["data"]["changes"], changes);
        assert_eq!(told["data"]["access"], access.as_str());
        world.end().await;
    }
}
