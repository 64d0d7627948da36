//! What the caller hears of a change.

use serde_json::{Value, json};
use tenantry_fakes::meta::{Answers, Applies, Fault, Faults, Order, SANDBOX_TOKEN};

use super::{
    AD_SET, CAMPAIGN, CREATIVE, budget, budgets, call, eur, new_key, set, world, world_with,
};
use crate::world::{World, until};

/// Writes that reached the vendor, rehearsals included.
fn posts(world: &World) -> usize {
    let requests = world.fake.requests();
    let posts = requests.iter().filter(|request| request.method == "POST");
    posts.count()
}

#[tokio::test]
async fn a_change_tells_what_was_and_what_is() {
    let world = world().await;
    let told = set(&world, "40.00", &new_key()).await;
    assert_eq!(
        told,
        json!({
            "envelope": "v1", "status": "done", "call_id": told["call_id"], "change_id": told["change_id"],
            "before": {"daily_budget": eur("30.50")}, "after": {"daily_budget": eur("40.00")},
            "delta": {"daily": eur("9.50")}, "currency": "EUR",
        })
    );
    assert_eq!(told["change_id"].as_str().unwrap().len(), 32);
    assert_eq!(
        budgets(&world),
        [(
            AD_SET.into(),
            json!({"daily_budget": "4000", "lifetime_budget": "0"})
        )]
    );
    world.end().await;
}

#[tokio::test]
async fn what_is_so_already_is_unchanged_and_sent_to_nobody() {
    let world = world().await;
    let told = set(&world, "30.5", &new_key()).await;
    assert_eq!(told["status"], "unchanged", "{told}");
    assert_eq!(told["before"], told["after"]);
    assert_eq!(posts(&world), 0);
    world.end().await;
}

#[tokio::test]
async fn a_policy_tells_as_much_as_it_discloses() {
    let rule = "budget.perWindow.maxDailyIncrease";
    let sentence = "this would add 9.50 EUR, and less is left of 9.00 EUR in 1 h";
    let told = json!({"policy": "ads", "rule": rule, "verdict": "deny", "message": sentence});
    let mut with_headroom = told.clone();
    with_headroom["headroom"] = json!("0.00 EUR are used of 9.00 EUR");
    for (disclose, rules, message) in [
        ("None", json!(null), "a policy refuses".to_owned()),
        (
            "Verdicts",
            json!([told]),
            format!("a policy refuses: {sentence} (ads/{rule})"),
        ),
        (
            "Headroom",
            json!([with_headroom]),
            format!("a policy refuses: {sentence} (ads/{rule})"),
        ),
    ] {
        let world = world_with(json!({
            "disclose": disclose,
            "budget": {"perWindow": [
                {"windowMs": 3_600_000, "scope": "Account", "maxDailyIncrease": "9"},
            ]},
        }))
        .await;
        let answer = set(&world, "40.00", &new_key()).await;
        assert_eq!(answer["rules"], rules, "{answer}");
        assert_eq!(answer["message"], message);
        // The audit has it whatever the caller hears.
        until("the line", || world.audit.text().contains(rule)).await;
        world.end().await;
    }
}

#[tokio::test]
async fn a_policy_refuses_with_every_rule_and_the_vendor_hears_nothing() {
    let world = world_with(json!({
        "budget": {
            "perChange": {"maxIncreasePercent": 50},
            "perObject": {"maxDaily": "40"},
        },
    }))
    .await;
    let told = set(&world, "50.00", &new_key()).await;
    assert_eq!(
        (&told["status"], &told["reason"]),
        (&json!("refused"), &json!("PolicyDenied"))
    );
    let rules: Vec<&str> = told["rules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| rule["rule"].as_str().unwrap())
        .collect();
    assert_eq!(
        rules,
        [
            "budget.perChange.maxIncreasePercent",
            "budget.perObject.maxDaily"
        ]
    );
    assert_eq!(told.get("change_id"), None, "nothing is kept of it");
    assert_eq!(posts(&world), 0);
    let (_, metrics) = world.admin("/metrics").await;
    let counted = r#"tenantry_server_rules_fired_total{policy="ads",rule="budget.perObject.maxDaily",mode="Enforce",verdict="deny"} 1"#;
    assert!(metrics.contains(counted), "{metrics}");
    world.end().await;
}

#[tokio::test]
async fn without_a_policy_nothing_is_changed() {
    let world = World::start_with(|setup| {
        super::open(setup);
        setup.tenant.policies.clear();
    })
    .await;
    let told = set(&world, "31.00", &new_key()).await;
    assert_eq!(told["reason"], "PolicyDenied", "{told}");
    assert_eq!(budgets(&world), []);
    world.end().await;
}

#[tokio::test]
async fn what_people_must_agree_to_waits_and_its_money_with_it() {
    let world = world_with(json!({
        "budget": {"perWindow": [{"windowMs": 86_400_000, "scope": "Account", "maxDailyIncrease": "20"}]},
        "approvals": [{
            "name": "large", "approverClass": "finance", "approvers": 1, "expiresAfterMs": 3_600_000,
            "when": {"dailyIncreaseOver": "5"},
        }],
    }))
    .await;
    let key = new_key();
    let told = set(&world, "40.00", &key).await;
    assert_eq!(
        (&told["status"], &told["reason"]),
        (&json!("pending_approval"), &json!("ApprovalRequired"))
    );
    assert_eq!(told["rules"][0]["rule"], "approvals.large");
    let again = set(&world, "40.00", &key).await;
    for field in ["status", "change_id", "expires_at", "rules"] {
        assert_eq!(told[field], again[field], "{field}");
    }
    // 9.50 of 20.00 wait: 11.00 more are too much, 4.00 are not.
    let much = budget(super::OTHER_AD_SET, "31.00", &new_key());
    let much = call(&world, "meta_set_budget", much).await;
    assert_eq!(much["reason"], "PolicyDenied", "{much}");
    let little = budget(super::OTHER_AD_SET, "24.00", &new_key());
    let little = call(&world, "meta_set_budget", little).await;
    assert_eq!(little["status"], "done", "{little}");
    assert_eq!(budgets(&world).len(), 1);
    world.end().await;
}

#[tokio::test]
async fn a_dry_run_tells_all_and_changes_nothing() {
    let world = world_with(json!({"budget": {"perObject": {"maxDaily": "40"}}})).await;
    let dry =
        |amount: &str| json!({"ad_set_id": AD_SET, "daily_budget": eur(amount), "dry_run": true});
    let told = call(&world, "meta_set_budget", dry("40.00")).await;
    assert_eq!(
        (&told["status"], &told["dry_run"], &told["delta"]["daily"]),
        (&json!("done"), &json!("permitted"), &eur("9.50"))
    );
    assert_eq!(posts(&world), 1, "the vendor checked it");
    let denied = call(&world, "meta_set_budget", dry("40.01")).await;
    assert_eq!(denied["dry_run"], "denied", "{denied}");
    assert_eq!(denied["rules"][0]["rule"], "budget.perObject.maxDaily");
    let same = call(&world, "meta_set_budget", dry("30.50")).await;
    assert_eq!(same["dry_run"], "unchanged");
    assert_eq!(budgets(&world), []);
    // The key makes it as it was looked at.
    let key = told["idempotency_key"].as_str().unwrap();
    let made = set(&world, "40.00", key).await;
    assert_eq!(made["status"], "done", "{made}");
    world.end().await;
}

#[tokio::test]
async fn a_key_of_a_dry_run_is_good_for_what_it_found_alone() {
    let world = world().await;
    let asked = json!({"ad_set_id": AD_SET, "daily_budget": eur("40.00"), "dry_run": true});
    let told = call(&world, "meta_set_budget", asked).await;
    let key = told["idempotency_key"].as_str().unwrap();
    let other = set(&world, "41.00", key).await;
    assert_eq!(other["reason"], "ChangeStale", "{other}");
    assert_eq!(set(&world, "35.00", &new_key()).await["status"], "done");
    let late = set(&world, "40.00", key).await;
    assert_eq!(late["reason"], "ChangeStale", "{late}");
    assert_eq!(budgets(&world).len(), 1);
    world.end().await;
}

#[tokio::test]
async fn a_key_of_a_dry_run_does_not_switch_on_more_than_was_shown() {
    let world = world().await;
    let campaign = |more: Value| {
        let mut asked = json!({"campaign_id": CAMPAIGN});
        let Value::Object(more) = more else { panic!() };
        asked.as_object_mut().unwrap().extend(more);
        asked
    };
    let paused = call(&world, "meta_pause", campaign(json!({}))).await;
    assert_eq!(paused["status"], "done", "{paused}");
    let told = call(&world, "meta_activate", campaign(json!({"dry_run": true}))).await;
    assert_eq!(told["delta"]["daily"], eur("50.50"), "{told}");
    assert_eq!(set(&world, "200.00", &new_key()).await["status"], "done");
    let key = json!({"idempotency_key": told["idempotency_key"]});
    let late = call(&world, "meta_activate", campaign(key)).await;
    assert_eq!(late["reason"], "ChangeStale", "{late}");
    world.end().await;
}

/// Somebody at the vendor changes the budget between the decision and the
/// second look.
#[tokio::test]
async fn a_key_of_a_dry_run_is_good_for_what_it_found_until_it_is_sent() {
    let world = world().await;
    let dry = json!({"ad_set_id": AD_SET, "daily_budget": eur("40.00"), "dry_run": true});
    call(&world, "meta_set_budget", dry.clone()).await;
    world.fake.forget_requests();
    let told = call(&world, "meta_set_budget", dry).await;
    let key = told["idempotency_key"].as_str().unwrap();
    // Without the rehearsal.
    let prepared = world.fake.requests().len() - 1;
    world
        .fake
        .order(Order::next_write(Applies::WhenReleased, Answers::Success));
    let own = reqwest::Client::builder().no_proxy().build().unwrap();
    let changed = own
        .post(format!("{}/v26.0/{AD_SET}", world.fake.url()))
        .bearer_auth(SANDBOX_TOKEN)
        .form(&[("daily_budget", "20000")]);
    assert_eq!(changed.send().await.unwrap().status(), 200);
    world.fake.forget_requests();
    world.fake.set_faults(Faults {
        latency_ms: 200,
        ..Faults::default()
    });
    let meanwhile = async {
        world.fake.arrived(prepared + 1).await;
        assert_eq!(world.fake.release(), 1);
    };
    let (late, ()) = futures::join!(set(&world, "40.00", key), meanwhile);
    assert_eq!(late["reason"], "ChangeStale", "{late}");
    assert_eq!(budgets(&world).len(), 1, "the other one's alone");
    world.end().await;
}

#[tokio::test]
async fn what_the_vendor_refuses_for_good_is_answered_so_again() {
    let world = world().await;
    let refusing = Order::next_write(Applies::Never, Answers::Fault(Fault::BadParameter));
    world.fake.order(refusing);
    let key = new_key();
    let told = set(&world, "40.00", &key).await;
    assert_eq!(
        (&told["status"], &told["reason"]),
        (&json!("failed"), &json!("VendorRejected"))
    );
    let again = set(&world, "40.00", &key).await;
    assert_eq!(again["replayed"], true, "{again}");
    assert_eq!(again["reason"], "VendorRejected");
    assert_eq!(budgets(&world), []);
    world.end().await;
}

#[tokio::test]
async fn what_was_only_held_up_can_be_asked_for_with_the_same_key() {
    let world = world().await;
    let order = Order::next_write(Applies::Never, Answers::Fault(Fault::PermissionMissing));
    world.fake.order(order);
    let key = new_key();
    let told = set(&world, "40.00", &key).await;
    assert_eq!(told["status"], "failed", "{told}");
    let again = set(&world, "40.00", &key).await;
    assert_eq!(again["status"], "done", "{again}");
    assert_eq!(again.get("replayed"), None);
    assert_eq!(budgets(&world).len(), 1);
    world.end().await;
}

#[tokio::test]
async fn every_changing_tool_changes_what_it_says() {
    let world = world().await;
    for (tool, arguments) in [
        ("meta_pause", json!({"campaign_id": CAMPAIGN})),
        ("meta_activate", json!({"campaign_id": CAMPAIGN})),
        (
            "meta_set_bid",
            json!({"ad_set_id": AD_SET, "bid": eur("3.00")}),
        ),
        (
            "meta_rename",
            json!({"ad_set_id": AD_SET, "name": "Autumn"}),
        ),
        (
            "meta_set_budget",
            json!({"ad_set_id": AD_SET, "daily_budget": eur("31.00")}),
        ),
        (
            "meta_create_campaign",
            json!({
                "account": "act_1001", "name": "Winter", "objective": "OUTCOME_SALES",
                "special_ad_categories": [],
            }),
        ),
        (
            "meta_create_ad",
            json!({"ad_set_id": AD_SET, "name": "Film", "creative": {"creative_id": CREATIVE}}),
        ),
    ] {
        let mut arguments = arguments;
        arguments["idempotency_key"] = json!(new_key());
        let told = call(&world, tool, arguments).await;
        assert_eq!(told["status"], "done", "{tool}: {told}");
    }
    assert_eq!(world.fake.effects().len(), 7);
    world.end().await;
}
