//! New campaigns, ad sets and ads through the whole server: paused, once, and
//! found again when the answer never comes.

use serde_json::{Value, json};
use tenantry_fakes::meta::{Answers, Applies, EffectKind, Order};

use super::record::lines;
use super::{
    AD_SET, CAMPAIGN, CREATIVE, QUIET, call, eur, looked_at, new_key, settled, world, world_with,
};
use crate::world::{World, until};

fn campaign(name: &str, key: &str) -> Value {
    json!({
        "account": "act_1001", "name": name, "objective": "OUTCOME_SALES",
        "special_ad_categories": [], "idempotency_key": key,
    })
}

fn ad_set(name: &str, key: &str) -> Value {
    json!({
        "campaign_id": CAMPAIGN, "name": name, "optimization_goal": "REACH",
        "billing_event": "IMPRESSIONS", "targeting": {"geo_locations": {"countries": ["DE"]}},
        "daily_budget": eur("15.00"), "idempotency_key": key,
    })
}

async fn create(world: &World, name: &str, key: &str) -> Value {
    call(world, "meta_create_campaign", campaign(name, key)).await
}

/// The last line of a change.
fn last_line(world: &World, change: &Value) -> Value {
    let text = world.audit.text();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let lines = whole
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let mut own = lines.filter(|line: &Value| line["metadata"]["correlation_uid"] == *change);
    own.next_back().unwrap_or_default()
}

/// How many objects have appeared at the vendor.
fn created(world: &World) -> usize {
    let effects = world.fake.effects();
    let created = effects.iter().filter(|one| one.kind == EffectKind::Create);
    created.count()
}

#[tokio::test]
async fn what_is_made_is_told_with_its_id_and_made_once() {
    let world = world().await;
    let key = new_key();
    let told = create(&world, "Winter", &key).await;
    assert_eq!(told["status"], "done", "{told}");
    let id = told["after"]["id"].as_str().unwrap().to_owned();
    let after = json!({"id": id, "name": "Winter", "status": "PAUSED"});
    assert_eq!((&told["before"], &told["after"]), (&json!({}), &after));
    assert_eq!(told.get("delta"), None, "nothing is spent");
    assert_eq!(world.fake.object(&id).unwrap()["status"], "PAUSED");
    let again = create(&world, "Winter", &key).await;
    assert_eq!(
        (&again["replayed"], &again["after"]),
        (&json!(true), &after)
    );
    assert_eq!(created(&world), 1);

    // The audit says what is about to appear, and then what has.
    let lines = lines(&world, 2).await;
    let read = |line: &String| serde_json::from_str::<Value>(line).unwrap();
    let (intent, outcome) = (read(&lines[0]), read(&lines[1]));
    assert_eq!(intent["activity_id"], 1, "{intent}");
    let uids = |line: &Value| -> Vec<String> {
        let resources = line["resources"].as_array().unwrap().iter();
        resources
            .map(|one| one["uid"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(uids(&intent), ["act_1001"]);
    assert_eq!(uids(&outcome), ["act_1001".to_owned(), id]);
    world.end().await;
}

#[tokio::test]
async fn what_may_have_been_made_is_found_by_its_name_and_never_made_twice() {
    for (applies, status, appeared) in [
        (Applies::AtOnce, "done", 1),
        (Applies::WhenReleased, "done", 1),
        (Applies::Never, "failed", 0),
    ] {
        let world = world().await;
        world.fake.order(Order::next_write(applies, Answers::Break));
        let key = new_key();
        let told = create(&world, "Winter", &key).await;
        assert_eq!(told["status"], "settling", "{told}");
        // Nobody else makes one of that name meanwhile, however it is asked for.
        let another = json!({"objective": "OUTCOME_LEADS", "idempotency_key": new_key()});
        let mut other = campaign("Winter", "");
        other
            .as_object_mut()
            .unwrap()
            .extend(another.as_object().unwrap().clone());
        let other = call(&world, "meta_create_campaign", other).await;
        let reason = other["reason"].as_str().unwrap();
        assert!(
            ["ChangeInProgress", "ArgumentsInvalid"].contains(&reason),
            "{other}"
        );
        world.fake.release();
        if applies == Applies::Never {
            looked_at(&world).await;
        }
        world.clock.advance(QUIET);
        let end = settled(&world, "meta_create_campaign", campaign("Winter", &key)).await;
        assert_eq!(end["status"], status, "{end}");
        assert_eq!(created(&world), appeared);
        assert_eq!(end["after"]["id"].is_string(), appeared == 1, "{end}");
        until("the line of the end", || {
            let line = last_line(&world, &told["change_id"]);
            let outcome = &line["api"]["response"]["data"]["outcome"];
            outcome.is_string() && outcome != "unknown"
        })
        .await;
        let line = last_line(&world, &told["change_id"]);
        assert_eq!(line["resources"][1]["uid"], end["after"]["id"], "{line}");
        world.end().await;
    }
}

#[tokio::test]
async fn the_same_under_another_name_and_key_is_for_people() {
    let world = world().await;
    assert_eq!(create(&world, "Winter", &new_key()).await["status"], "done");
    let told = create(&world, "Winter 2", &new_key()).await;
    assert_eq!(told["status"], "pending_approval", "{told}");
    assert_eq!(told["rules"][0]["rule"], "create.twin", "{told}");
    // Of one name there is one.
    let told = create(&world, "Winter", &new_key()).await;
    assert_eq!(told["reason"], "ArgumentsInvalid", "{told}");
    assert_eq!(created(&world), 1);
    world.end().await;
}

#[tokio::test]
async fn a_question_about_what_stands_above_is_not_superseded() {
    let world = world_with(json!({"approvals": [{
        "name": "all", "approverClass": "finance", "approvers": 1, "expiresAfterMs": 3_600_000,
        "when": {"classes": ["write", "spend"]},
    }]}))
    .await;
    let rename = json!({"campaign_id": CAMPAIGN, "name": "Autumn", "idempotency_key": new_key()});
    let key = rename["idempotency_key"].clone();
    let first = call(&world, "meta_rename", rename.clone()).await;
    assert_eq!(first["status"], "pending_approval", "{first}");
    let below = call(&world, "meta_create_ad_set", ad_set("Everyone", &new_key())).await;
    assert_eq!(below["status"], "pending_approval", "{below}");
    let mut again = rename;
    again["idempotency_key"] = key;
    let again = call(&world, "meta_rename", again).await;
    assert_eq!(again["status"], "pending_approval", "{again}");
    world.end().await;
}

#[tokio::test]
async fn a_budget_that_nothing_can_be_compared_with_is_for_people() {
    let world = world().await;
    let told = call(&world, "meta_create_ad_set", ad_set("Everyone", &new_key())).await;
    assert_eq!(told["status"], "pending_approval", "{told}");
    assert_eq!(told["rules"][0]["rule"], "budget.perChange");
    assert_eq!(told["after"]["daily_budget"], eur("15.00"));
    assert_eq!(created(&world), 0);
    world.end().await;
}

#[tokio::test]
async fn limits_on_what_appears_hold_and_a_dry_run_makes_nothing() {
    let world = world_with(json!({"create": {"maxPerDay": 1}})).await;
    let mut dry = campaign("Winter", "");
    dry.as_object_mut().unwrap().remove("idempotency_key");
    dry["dry_run"] = true.into();
    let told = call(&world, "meta_create_campaign", dry.clone()).await;
    let foreseen = (&told["status"], &told["dry_run"]);
    assert_eq!(foreseen, (&json!("done"), &json!("permitted")), "{told}");
    assert_eq!(created(&world), 0);
    dry["dry_run"] = false.into();
    dry["idempotency_key"] = told["idempotency_key"].clone();
    let told = call(&world, "meta_create_campaign", dry).await;
    assert_eq!(told["status"], "done", "{told}");
    let ad = json!({
        "ad_set_id": AD_SET, "name": "Film", "creative": {"creative_id": CREATIVE},
        "idempotency_key": new_key(),
    });
    let told = call(&world, "meta_create_ad", ad).await;
    assert_eq!(told["reason"], "PolicyDenied", "{told}");
    assert_eq!(told["rules"][0]["rule"], "create.maxPerDay");
    assert_eq!(created(&world), 1);
    world.end().await;
}

#[tokio::test]
async fn an_object_of_another_account_within_a_setting_is_not_there_and_on_record() {
    let world = world().await;
    let ad = json!({
        "ad_set_id": AD_SET, "name": "Film", "creative": {"creative_id": "771200200100111"},
        "idempotency_key": new_key(),
    });
    let told = call(&world, "meta_create_ad", ad).await;
    assert_eq!(told["reason"], "NotFound", "{told}");
    let line = world.line(1).await;
    let object = &line["object"];
    assert_eq!(object["id"], "771200200100111", "{line}");
    assert_eq!(
        (&object["standing"], &object["account"]),
        (&json!("foreign"), &json!("act_2001"))
    );
    assert_eq!(created(&world), 0);
    world.end().await;
}
