//! Budgets that are set together: all of them or none, and each its own change
//! (WRITES §8).

mod in_turn;
mod refused;
mod told;

use serde_json::{Value, json};
use tenantry_api::mcp_approval::{ApprovalState, ApprovalVerdict};
use tenantry_fakes::meta::{Answers, Applies, Fault, Order};
use tenantry_server::control_plane::Question;

use super::record::lines;
use super::{
    AD_SET, QUIET, budgets, call, eur, looked_at, meddle, new_key, open, policy, world, world_with,
};
use crate::world::{PATIENCE, World, until};

const BOB: &str = "bob@acme.example";

/// Campaigns in Berlin with budgets of their own, of 50.00 and 120.50 EUR a day.
const SPRING: &str = "12001001001";
const APPS: &str = "12001001006";

fn campaign(id: &str, amount: &str) -> Value {
    json!({"campaign_id": id, "daily_budget": eur(amount)})
}

fn ad_set(id: &str, amount: &str) -> Value {
    json!({"ad_set_id": id, "daily_budget": eur(amount)})
}

/// Arguments of three changes: by 1.00, 2.00 and 0.50 EUR a day.
fn three(key: &str) -> Value {
    batch(
        &[
            campaign(SPRING, "51.00"),
            campaign(APPS, "122.50"),
            ad_set(AD_SET, "31.00"),
        ],
        key,
    )
}

fn batch(changes: &[Value], key: &str) -> Value {
    json!({"tool": "meta_set_budget", "changes": changes, "idempotency_key": key})
}

async fn set_all(world: &World, arguments: Value) -> Value {
    call(world, "set_budgets", arguments).await
}

fn statuses(told: &Value) -> Vec<&str> {
    let items = told["items"].as_array().into_iter().flatten();
    items.map(|item| item["status"].as_str().unwrap()).collect()
}

/// What was really changed, whatever came first.
fn changed(world: &World) -> Vec<(String, Value)> {
    let mut all = budgets(world);
    all.sort_by(|one, other| one.0.cmp(&other.0));
    all
}

fn three_made() -> Vec<(String, Value)> {
    [(SPRING, "5100"), (AD_SET, "3100"), (APPS, "12250")]
        .map(|(id, cents)| (id.to_owned(), json!({"daily_budget": cents})))
        .into()
}

/// People are asked about more than 3 EUR a day more.
fn asks() -> Value {
    json!({"approvals": [{
        "name": "large", "approverClass": "finance", "approvers": 1,
        "expiresAfterMs": 3_600_000, "when": {"dailyIncreaseOver": "3"},
    }]})
}

async fn asking() -> World {
    World::start_with(|setup| {
        open(setup);
        setup.tenant.guard_proven = true;
        setup.tenant.policies = vec![policy(asks())];
    })
    .await
}

/// A batch that waits, and how people see it.
async fn asked(world: &World, key: &str) -> (Value, Question) {
    let told = set_all(world, three(key)).await;
    assert_eq!(told["status"], "pending_approval", "{told}");
    let id = told["change_id"].clone();
    let fits = |question: &Question| {
        id == question.spec.request.change_id && stands(question, ApprovalState::Pending)
    };
    let question = world.control.question(fits).await;
    (told, question)
}

fn stands(question: &Question, state: ApprovalState) -> bool {
    question.status.state == Some(state)
}

async fn came_to(world: &World, name: &str, state: ApprovalState) {
    let fits = |question: &Question| question.name == name && stands(question, state);
    world.control.question(fits).await;
}

#[tokio::test]
async fn all_are_made_each_as_a_change_of_its_own() {
    let world = world().await;
    let key = new_key();
    let told = set_all(&world, three(&key)).await;
    assert_eq!(told["status"], "done", "{told}");
    assert_eq!(statuses(&told), ["done", "done", "done"]);
    assert_eq!(told["delta"], json!({"daily": eur("3.50")}));
    let items = told["items"].as_array().unwrap();
    let objects: Vec<_> = items.iter().map(|item| &item["object"]["id"]).collect();
    assert_eq!(objects, [SPRING, APPS, AD_SET]);
    let last = &items[2];
    assert_eq!(
        (&last["before"], &last["after"]),
        (
            &json!({"daily_budget": eur("30.50")}),
            &json!({"daily_budget": eur("31.00")})
        )
    );
    let mut made = changed(&world);
    let mut expected = three_made();
    made.sort_by_key(|(id, _)| id.clone());
    expected.sort_by_key(|(id, _)| id.clone());
    let ids = |all: &[(String, Value)]| all.iter().map(|(id, _)| id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&made), ids(&expected));
    let again = set_all(&world, three(&key)).await;
    assert_eq!(again["replayed"], true, "{again}");
    assert_eq!(statuses(&again), ["done", "done", "done"]);
    assert_eq!(again["items"], told["items"]);
    assert_eq!(changed(&world).len(), 3);
    let lines = lines(&world, 6).await;
    let lines = lines.iter().map(|line| serde_json::from_str(line).unwrap());
    let lines: Vec<Value> = lines.collect();
    for item in items {
        let own = lines.iter();
        let own = own.filter(|line| line["metadata"]["correlation_uid"] == item["change_id"]);
        let own: Vec<_> = own.map(|line| &line["unmapped"]).collect();
        let events: Vec<_> = own.iter().map(|line| &line["event"]).collect();
        assert_eq!(events, ["intent", "outcome"]);
        assert!(own.iter().all(|line| line["batch"] == told["change_id"]));
    }
    world.end().await;
}

#[tokio::test]
async fn one_that_is_denied_denies_all_and_all_that_is_denied_is_listed() {
    let world = world_with(json!({"budget": {"perObject": {"maxDaily": "60"}}})).await;
    let key = new_key();
    let told = set_all(&world, three(&key)).await;
    assert_eq!(
        (&told["status"], &told["reason"]),
        (&json!("refused"), &json!("PolicyDenied")),
        "{told}"
    );
    let message = told["message"].as_str().unwrap();
    assert!(
        message.contains("changes[1]") && message.contains("122.50"),
        "{message}"
    );
    let ruled = |place: usize| told["items"][place]["rules"].as_array().map(Vec::len);
    assert_eq!((ruled(0), ruled(1), ruled(2)), (None, Some(1), None));
    assert_eq!(changed(&world), []);
    // Its key is free, and so is all the money.
    let smaller = batch(&[campaign(SPRING, "51.00"), ad_set(AD_SET, "31.00")], &key);
    let told = set_all(&world, smaller).await;
    assert_eq!(told["status"], "done", "{told}");
    world.end().await;
}

#[tokio::test]
async fn a_batch_is_judged_on_its_sum() {
    let world = world_with(json!({"budget": {"perChange": {"maxDailyIncrease": "3.49"}}})).await;
    let told = set_all(&world, three(&new_key())).await;
    assert_eq!(told["reason"], "PolicyDenied", "{told}");
    assert_eq!(changed(&world), []);
    // What falls takes nothing off the sum.
    let balanced = [
        campaign(SPRING, "53.00"),
        campaign(APPS, "118.00"),
        ad_set(AD_SET, "31.00"),
    ];
    let told = set_all(&world, batch(&balanced, &new_key())).await;
    assert_eq!(told["reason"], "PolicyDenied", "{told}");
    let two = [campaign(SPRING, "51.00"), campaign(APPS, "122.50")];
    let told = set_all(&world, batch(&two, &new_key())).await;
    assert_eq!(told["status"], "done", "{told}");
    world.end().await;
}

#[tokio::test]
async fn a_window_is_filled_in_the_order_given() {
    let window = json!({"windowMs": 86_400_000, "scope": "Account", "maxDailyIncrease": "3"});
    let world = world_with(json!({"budget": {"perWindow": [window]}})).await;
    let told = set_all(&world, three(&new_key())).await;
    let message = told["message"].as_str().unwrap();
    assert!(
        message.starts_with("a policy refuses changes[2],"),
        "{told}"
    );
    let two = [campaign(SPRING, "51.00"), campaign(APPS, "122.50")];
    let told = set_all(&world, batch(&two, &new_key())).await;
    assert_eq!(told["status"], "done", "{told}");
    world.end().await;
}

#[tokio::test]
async fn people_are_asked_once_about_all_and_all_are_made() {
    let world = asking().await;
    let key = new_key();
    let (told, question) = asked(&world, &key).await;
    assert_eq!(statuses(&told), ["pending_approval"; 3]);
    assert!(told["expires_at"].is_string());
    assert_eq!(world.control.questions(), 1);
    let mut shown = serde_json::to_value(&question.spec.request).unwrap();
    for (field, value) in shown.as_object_mut().unwrap() {
        // What is new every time.
        if ["changeId", "askedAt", "expiresAt", "policyDigest"].contains(&field.as_str()) {
            *value = json!("…");
        }
        for item in value.as_array_mut().into_iter().flatten() {
            if item.get("changeId").is_some() {
                item["changeId"] = json!("…");
            }
        }
    }
    insta::assert_json_snapshot!(shown);
    let repeated = set_all(&world, three(&key)).await;
    assert_eq!(statuses(&repeated), ["pending_approval"; 3], "{repeated}");
    assert_eq!(changed(&world), []);
    let control = &world.control;
    control.decide(&question.name, BOB, ApprovalVerdict::Approve);
    came_to(&world, &question.name, ApprovalState::Applied).await;
    let told = set_all(&world, three(&key)).await;
    assert_eq!(
        (&told["status"], &told["replayed"]),
        (&json!("done"), &json!(true)),
        "{told}"
    );
    assert_eq!(changed(&world).len(), 3);
    let id = &told["change_id"];
    let found = call(&world, "get_change", json!({"change_id": id})).await;
    assert_eq!(found["items"], told["items"]);
    let one = &told["items"][0];
    let found = call(&world, "get_change", json!({"change_id": one["change_id"]})).await;
    assert_eq!(
        (&found["status"], &found["after"]),
        (&json!("done"), &one["after"]),
        "{found}"
    );
    world.end().await;
}

#[tokio::test]
async fn people_see_what_became_of_each_part_of_what_they_agreed_to() {
    let world = asking().await;
    for (answers, meddles, state, says) in [
        (
            Answers::Fault(Fault::BadParameter),
            false,
            ApprovalState::Failed,
            "2 of 3 changes were made",
        ),
        (
            Answers::Break,
            true,
            ApprovalState::NeedsHuman,
            "people must find out",
        ),
    ] {
        let order = Order {
            path: Some(APPS.into()),
            ..Order::next_write(Applies::Never, answers)
        };
        let (_, question) = asked(&world, &new_key()).await;
        world.fake.order(order);
        world
            .control
            .decide(&question.name, BOB, ApprovalVerdict::Approve);
        if meddles {
            came_to(&world, &question.name, ApprovalState::Executing).await;
            until("the request is lost", || {
                world.fake.open_orders().is_empty()
            })
            .await;
            meddle(&world, APPS, 13_000).await;
            looked_at(&world).await;
            world.clock.advance(QUIET);
        }
        let fits = |one: &Question| one.name == question.name && stands(one, state);
        let seen = world.control.question(fits).await;
        let message = seen.status.message.unwrap();
        assert!(message.starts_with(says), "{message}");
        meddle(&world, SPRING, 5_000).await;
        meddle(&world, AD_SET, 3_050).await;
    }
    world.end().await;
}

#[tokio::test]
async fn who_says_no_to_a_batch_ends_all_of_it() {
    let world = asking().await;
    let key = new_key();
    let (told, question) = asked(&world, &key).await;
    world
        .control
        .decide(&question.name, BOB, ApprovalVerdict::Deny);
    came_to(&world, &question.name, ApprovalState::Denied).await;
    let denied = set_all(&world, three(&key)).await;
    assert_eq!(denied["reason"], "ApprovalDenied", "{denied}");
    for item in told["items"].as_array().unwrap() {
        let found = call(
            &world,
            "get_change",
            json!({"change_id": item["change_id"]}),
        )
        .await;
        assert_eq!(found["reason"], "ChangeNotMade", "{found}");
    }
    assert_eq!(changed(&world), []);
    world.end().await;
}

#[tokio::test]
async fn what_one_of_them_was_decided_on_is_no_longer_so_and_none_is_made() {
    let world = asking().await;
    let key = new_key();
    let (_, question) = asked(&world, &key).await;
    meddle(&world, AD_SET, 3_060).await;
    world
        .control
        .decide(&question.name, BOB, ApprovalVerdict::Approve);
    came_to(&world, &question.name, ApprovalState::Stale).await;
    let told = set_all(&world, three(&key)).await;
    assert_eq!(told["reason"], "ChangeStale", "{told}");
    assert_eq!(changed(&world).len(), 1, "that of somebody else");
    world.end().await;
}

#[tokio::test]
async fn a_newer_question_about_one_of_them_takes_the_place_of_all() {
    let world = asking().await;
    let key = new_key();
    let (_, question) = asked(&world, &key).await;
    let newer =
        json!({"ad_set_id": AD_SET, "daily_budget": eur("40.00"), "idempotency_key": new_key()});
    let told = call(&world, "meta_set_budget", newer).await;
    assert_eq!(told["status"], "pending_approval", "{told}");
    came_to(&world, &question.name, ApprovalState::Superseded).await;
    let told = set_all(&world, three(&key)).await;
    assert_eq!(told["reason"], "ChangeSuperseded", "{told}");
    world.end().await;
}

#[tokio::test]
async fn what_the_vendor_refuses_of_one_is_that_one_s_outcome() {
    let world = world().await;
    let rejected = Order {
        path: Some(APPS.into()),
        ..Order::next_write(Applies::Never, Answers::Fault(Fault::BadParameter))
    };
    world.fake.order(rejected);
    let key = new_key();
    let told = set_all(&world, three(&key)).await;
    assert_eq!(statuses(&told), ["done", "failed", "done"], "{told}");
    assert_eq!(told["status"], "failed");
    let message = told["message"].as_str().unwrap();
    assert!(
        message.starts_with("2 of 3 changes are made; changes[1]: "),
        "{message}"
    );
    assert_eq!(changed(&world).len(), 2);
    let again = set_all(&world, three(&key)).await;
    assert_eq!(
        (&again["replayed"], statuses(&again)),
        (&json!(true), statuses(&told)),
        "{again}"
    );
    assert_eq!(changed(&world).len(), 2);
    world.end().await;
}

#[tokio::test]
async fn a_batch_of_which_the_vendor_took_nothing_may_be_asked_for_anew() {
    let world = world().await;
    let throttled = Order {
        times: 2,
        ..Order::next_write(Applies::Never, Answers::Fault(Fault::Throttled))
    };
    world.fake.order(throttled);
    let key = new_key();
    let two = batch(&[campaign(SPRING, "51.00"), ad_set(AD_SET, "31.00")], &key);
    let told = set_all(&world, two.clone()).await;
    assert_eq!(statuses(&told), ["failed", "failed"], "{told}");
    assert_eq!(told["reason"], "VendorThrottled", "{told}");
    // Its key is free: with another change it is no longer that of the first, and
    // goes as far as the vendor lets it.
    let other = batch(&[campaign(SPRING, "52.00")], &key);
    let told = set_all(&world, other).await;
    assert_eq!(told["reason"], "VendorThrottled", "{told}");
    assert_eq!(changed(&world), []);
    world.end().await;
}

#[tokio::test]
async fn one_that_nobody_knows_of_is_settled_by_itself() {
    let world = world().await;
    let lost = Order {
        path: Some(APPS.into()),
        ..Order::next_write(Applies::AtOnce, Answers::Break)
    };
    world.fake.order(lost);
    let key = new_key();
    let told = set_all(&world, three(&key)).await;
    let settled = async {
        loop {
            let told = set_all(&world, three(&key)).await;
            if told["status"] != "settling" {
                return told;
            }
        }
    };
    assert!(
        ["settling", "done"].contains(&told["status"].as_str().unwrap()),
        "{told}"
    );
    let told = tokio::time::timeout(PATIENCE, settled).await.unwrap();
    assert_eq!(told["status"], "done", "{told}");
    assert_eq!(changed(&world).len(), 3);
    world.end().await;
}

#[tokio::test]
async fn one_that_needs_people_makes_the_key_say_so() {
    let world = world().await;
    let lost = Order {
        path: Some(APPS.into()),
        ..Order::next_write(Applies::Never, Answers::Break)
    };
    world.fake.order(lost);
    let key = new_key();
    let told = set_all(&world, three(&key)).await;
    assert_eq!(told["status"], "settling", "{told}");
    assert_eq!(statuses(&told), ["done", "settling", "done"]);
    // Somebody else sets it meanwhile: nobody can tell.
    meddle(&world, APPS, 13_000).await;
    looked_at(&world).await;
    world.clock.advance(QUIET);
    let ended = async {
        loop {
            let told = set_all(&world, three(&key)).await;
            if told["status"] != "settling" {
                return told;
            }
        }
    };
    let told = tokio::time::timeout(PATIENCE, ended).await.unwrap();
    assert_eq!(statuses(&told), ["done", "needs_human", "done"], "{told}");
    assert_eq!(told["status"], "needs_human");
    world.end().await;
}

#[tokio::test]
async fn what_is_so_already_is_said_and_not_sent() {
    let world = world().await;
    let same = [campaign(SPRING, "50.00"), ad_set(AD_SET, "30.50")];
    let told = set_all(&world, batch(&same, &new_key())).await;
    assert_eq!(told["status"], "unchanged", "{told}");
    assert_eq!(statuses(&told), ["unchanged", "unchanged"]);
    let one = [campaign(SPRING, "50.00"), ad_set(AD_SET, "31.00")];
    let key = new_key();
    let told = set_all(&world, batch(&one, &key)).await;
    assert_eq!(told["status"], "done", "{told}");
    assert_eq!(statuses(&told), ["unchanged", "done"]);
    let again = set_all(&world, batch(&one, &key)).await;
    assert_eq!(statuses(&again), ["unchanged", "done"], "{again}");
    assert_eq!(changed(&world).len(), 1);
    world.end().await;
}

#[tokio::test]
async fn a_dry_run_says_what_would_become_of_all() {
    let world = world_with(json!({"budget": {"perObject": {"maxDaily": "123"}}})).await;
    let mut arguments = three("unused");
    let fields = arguments.as_object_mut().unwrap();
    fields.remove("idempotency_key");
    fields.insert("dry_run".into(), json!(true));
    let told = set_all(&world, arguments.clone()).await;
    assert_eq!(told["dry_run"], "permitted", "{told}");
    assert_eq!(told["delta"], json!({"daily": eur("3.50")}));
    assert_eq!(changed(&world), []);
    let key = told["idempotency_key"].as_str().unwrap().to_owned();
    // The key is good for what was seen, and for that alone.
    meddle(&world, AD_SET, 3_060).await;
    let stale = set_all(&world, three(&key)).await;
    assert_eq!(stale["reason"], "ChangeStale", "{stale}");
    let told = set_all(&world, arguments.clone()).await;
    let key = told["idempotency_key"].as_str().unwrap().to_owned();
    let told = set_all(&world, three(&key)).await;
    assert_eq!(told["status"], "done", "{told}");
    arguments["changes"][1] = campaign(APPS, "124.00");
    let told = set_all(&world, arguments).await;
    assert_eq!(told["dry_run"], "denied", "{told}");
    world.end().await;
}

#[tokio::test]
async fn people_are_told_what_would_become_of_a_batch() {
    let world = asking().await;
    let explain = async |arguments: &Value| -> Value {
        let question = json!({"tool": "set_budgets", "key": "demo", "arguments": arguments});
        let url = format!("http://{}/v1/explain", world.activity);
        let answer = reqwest::Client::new()
            .post(url)
            .json(&question)
            .send()
            .await;
        answer.unwrap().json().await.unwrap()
    };
    let told = explain(&three(&new_key())).await;
    assert_eq!(told["verdict"], "needs_approval", "{told}");
    assert_eq!(told["approval"]["approver_classes"], json!(["finance"]));
    let lines = told["items"].as_array().unwrap().iter();
    let lines: Vec<_> = lines
        .map(|item| item["summary"].as_str().unwrap())
        .collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(
        lines[0],
        format!("campaign {SPRING}, daily_budget 50.00 EUR to 51.00 EUR")
    );
    assert_eq!(told["delta"], json!({"daily": eur("3.50")}));
    let rules: Vec<_> = told["rules"].as_array().unwrap().iter().collect();
    assert!(
        rules.iter().all(|rule| rule["rule"] == "approvals.large"),
        "{told}"
    );
    assert_eq!(rules[1]["of"], APPS);
    let two = batch(
        &[campaign(SPRING, "51.00"), campaign(SPRING, "52.00")],
        &new_key(),
    );
    let told = explain(&two).await;
    assert_eq!(
        (&told["verdict"], &told["reason"]),
        (&json!("refused"), &json!("ArgumentsInvalid")),
        "{told}"
    );
    let same = batch(&[campaign(SPRING, "50.00")], &new_key());
    assert_eq!(explain(&same).await["verdict"], "unchanged");
    assert_eq!(changed(&world), []);
    world.end().await;
}

#[tokio::test]
async fn another_change_on_its_way_holds_up_all() {
    let world = asking().await;
    let hangs = Order {
        path: Some(APPS.into()),
        ..Order::next_write(Applies::WhenReleased, Answers::Break)
    };
    world.fake.order(hangs);
    let one =
        json!({"campaign_id": APPS, "daily_budget": eur("121.00"), "idempotency_key": new_key()});
    let open = call(&world, "meta_set_budget", one).await;
    assert_eq!(open["status"], "settling", "{open}");
    let two = [campaign(SPRING, "51.00"), campaign(APPS, "121.50")];
    let told = set_all(&world, batch(&two, &new_key())).await;
    assert_eq!(
        (&told["status"], &told["change_id"]),
        (&json!("in_progress"), &open["change_id"]),
        "{told}"
    );
    let message = told["message"].as_str().unwrap();
    assert!(message.starts_with("changes[1]: "), "{message}");
    assert_eq!(changed(&world), []);
    world.end().await;
}

#[tokio::test]
async fn an_item_is_taken_back_by_itself() {
    let world = world().await;
    let told = set_all(&world, three(&new_key())).await;
    let undo = |id: &Value| json!({"change_id": id, "idempotency_key": new_key()});
    let whole = call(&world, "undo_change", undo(&told["change_id"])).await;
    assert_eq!(whole["reason"], "ChangeNotUndoable", "{whole}");
    let one = call(&world, "undo_change", undo(&told["items"][2]["change_id"])).await;
    assert_eq!(one["status"], "done", "{one}");
    assert_eq!(one["after"], json!({"daily_budget": eur("30.50")}));
    world.end().await;
}

#[tokio::test]
async fn a_batch_is_followed_and_taken_back_as_a_task() {
    let world = asking().await;
    let client = || world.client("demo").with_tasks();
    let begun = client().try_call("set_budgets", three(&new_key())).await;
    let task = begun.body["result"]["taskId"].as_str().unwrap().to_owned();
    let standing = async |method: &str| {
        let reply = client().task(method, &task).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.body["result"]["status"].clone()
    };
    assert_eq!(standing("tasks/get").await, "working");
    client().task("tasks/cancel", &task).await;
    assert_eq!(standing("tasks/get").await, "cancelled");
    until("nobody is asked any more", || {
        world.fake.effects().is_empty()
    })
    .await;
    world.end().await;
}
