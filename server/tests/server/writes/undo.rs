//! Changes that are taken back (WRITES §8).

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tempfile::TempDir;
use tenantry_api::mcp_approval::{ApprovalState, ApprovalVerdict};
use tenantry_core::key::{KeyRecord, Scope};
use tenantry_core::ledger_mark::LedgerId;
use tenantry_core::name::{Organization, ToolName};
use tenantry_core::policy::decide::UNDO_WITHIN;
use tenantry_fakes::meta::{Answers, Applies, Fault, Order};
use tenantry_ledger::ledger::{LEAST_RETENTION, Ledger, MOST_WAITING, Opening};

use super::record::lines;
use super::{
    AD_SET, budgets, call, eur, meddle, new_key, open, policy, set, settled, strangers, world,
    world_with,
};
use crate::world::Ledger::At;
use crate::world::{World, record, sqlite};

const DAY: SignedDuration = SignedDuration::from_hours(24);

fn undo(change: &Value, key: &str) -> Value {
    json!({"change_id": change, "idempotency_key": key})
}

async fn take_back(world: &World, change: &Value) -> Value {
    call(world, "undo_change", undo(change, &new_key())).await
}

/// A change that was made, by its id.
async fn made(world: &World, amount: &str) -> Value {
    let told = set(world, amount, &new_key()).await;
    assert_eq!(told["status"], "done", "{told}");
    told["change_id"].clone()
}

async fn renamed(world: &World, name: &str) -> Value {
    let arguments = json!({"ad_set_id": AD_SET, "name": name, "idempotency_key": new_key()});
    let told = call(world, "meta_rename", arguments).await;
    assert_eq!(told["status"], "done", "{told}");
    told["change_id"].clone()
}

fn reasons(told: &Value) -> (&Value, &Value) {
    (&told["status"], &told["reason"])
}

/// The setting of the object at the vendor.
fn setting(world: &World, field: &str) -> Value {
    world.fake.object(AD_SET).unwrap()[field].clone()
}

#[tokio::test]
async fn every_change_of_an_object_is_taken_back_and_that_as_well() {
    let world = world().await;
    let changes = [
        (
            "meta_set_budget",
            "daily_budget",
            json!({"daily_budget": eur("31.00")}),
        ),
        ("meta_set_bid", "bid_amount", json!({"bid": eur("3.00")})),
        ("meta_rename", "name", json!({"name": "Autumn"})),
        ("meta_pause", "status", json!({})),
    ];
    // A bid that had none before is set first.
    let first = json!({"ad_set_id": AD_SET, "bid": eur("2.00"), "idempotency_key": new_key()});
    call(&world, "meta_set_bid", first).await;
    for (tool, field, mut arguments) in changes {
        arguments["ad_set_id"] = json!(AD_SET);
        arguments["idempotency_key"] = json!(new_key());
        let before = setting(&world, field);
        let done = call(&world, tool, arguments).await;
        let after = setting(&world, field);
        assert_ne!(before, after, "{done}");
        let back = take_back(&world, &done["change_id"]).await;
        assert_eq!(back["status"], "done", "{tool}: {back}");
        assert_eq!(
            (&back["before"], &back["after"]),
            (&done["after"], &done["before"])
        );
        assert_eq!(setting(&world, field), before, "{tool}");
        let again = take_back(&world, &back["change_id"]).await;
        assert_eq!(again["status"], "done", "{tool}: {again}");
        assert_eq!(setting(&world, field), after, "{tool}");
        // What is so already needs no second time.
        let no_more = take_back(&world, &back["change_id"]).await;
        assert_eq!(no_more["status"], "unchanged", "{tool}: {no_more}");
    }
    world.end().await;
}

#[tokio::test]
async fn what_somebody_changed_meanwhile_is_left_as_it_is() {
    let world = world().await;
    let change = made(&world, "31.00").await;
    meddle(&world, AD_SET, 3200).await;
    let told = take_back(&world, &change).await;
    assert_eq!(
        reasons(&told),
        (&json!("refused"), &json!("ChangeStale")),
        "{told}"
    );
    assert_eq!(setting(&world, "daily_budget"), "3200");
    // Of two changes the second can be taken back, and then the first.
    let name = setting(&world, "name");
    let (first, second) = (
        renamed(&world, "Autumn").await,
        renamed(&world, "Winter").await,
    );
    let told = take_back(&world, &first).await;
    assert_eq!(told["reason"], "ChangeStale", "{told}");
    for change in [second, first] {
        let told = take_back(&world, &change).await;
        assert_eq!(told["status"], "done", "{told}");
    }
    assert_eq!(setting(&world, "name"), name);
    world.end().await;
}

#[tokio::test]
async fn a_repeated_call_takes_back_once() {
    let world = world().await;
    let (first, key) = (made(&world, "31.00").await, new_key());
    let told = call(&world, "undo_change", undo(&first, &key)).await;
    let again = call(&world, "undo_change", undo(&first, &key)).await;
    assert_eq!(
        (&told["status"], &again["status"]),
        (&json!("done"), &json!("done"))
    );
    assert_eq!(
        (&again["replayed"], &again["change_id"]),
        (&json!(true), &told["change_id"])
    );
    assert_eq!(budgets(&world).len(), 2);
    // The same key opens neither another change nor another tool.
    let second = made(&world, "32.00").await;
    let other = call(&world, "undo_change", undo(&second, &key)).await;
    assert_eq!(other["reason"], "IdempotencyMismatch", "{other}");
    let other = set(&world, "30.50", &key).await;
    assert_eq!(other["reason"], "IdempotencyMismatch", "{other}");
    world.end().await;
}

/// What has been kept long enough at that moment is out of the ledger of `dir`.
async fn swept(dir: &TempDir, now: Timestamp) {
    let opening = Opening {
        place: &sqlite(dir.path(), 0),
        organization: &Organization::parse("acme").unwrap(),
        tenant_uid: "tenant-uid",
        expected: None,
        id_if_new: LedgerId::of_random([1; 16]),
        retention: LEAST_RETENTION,
        most_waiting: MOST_WAITING,
    };
    let ledger = Ledger::open(opening, now).await.unwrap();
    assert_eq!(ledger.sweep(now).await.unwrap().changes, 1);
    ledger.close().await;
}

#[tokio::test]
async fn a_repeated_call_meets_its_answer_when_what_it_took_back_is_gone() {
    let dir = TempDir::new().unwrap();
    let later = |after: SignedDuration| {
        let dir = dir.path().to_owned();
        World::start_with(move |setup| {
            open(setup);
            setup.keys.extend(strangers());
            setup.ledger = At(dir);
            setup.clock.advance(after);
        })
    };
    let world = later(SignedDuration::ZERO).await;
    let (change, key) = (made(&world, "31.00").await, new_key());
    world.clock.advance(UNDO_WITHIN - DAY);
    let done = call(&world, "undo_change", undo(&change, &key)).await;
    assert_eq!(done["status"], "done", "{done}");
    world.clock.advance(LEAST_RETENTION - DAY);
    let now = world.clock.now();
    world.end().await;
    swept(&dir, now).await;

    let world = later(UNDO_WITHIN + LEAST_RETENTION - DAY - DAY).await;
    let gone = take_back(&world, &change).await;
    assert_eq!(gone["reason"], "NotFound", "{gone}");
    let again = call(&world, "undo_change", undo(&change, &key)).await;
    assert_eq!(
        (&again["status"], &again["replayed"], &again["change_id"]),
        (&json!("done"), &json!(true), &done["change_id"]),
        "{again}"
    );
    let question = json!({"change_id": change, "idempotency_key": key, "dry_run": true});
    let told = call(&world, "undo_change", question).await;
    assert_eq!(told["reason"], "NotFound", "{told}");
    let another = json!("00000000000000000000000000000000");
    let other = call(&world, "undo_change", undo(&another, &key)).await;
    assert_eq!(other["reason"], "IdempotencyMismatch", "{other}");
    for (caller, reason) in [("mallory", "NotFound"), ("narrow", "AccountRefused")] {
        let client = world.client(caller);
        let told = client.call("undo_change", undo(&change, &key)).await;
        assert_eq!(told["structuredContent"]["reason"], reason, "{told}");
    }
    assert!(world.fake.requests().is_empty());
    world.clock.advance(DAY + DAY);
    let told = call(&world, "undo_change", undo(&change, &key)).await;
    assert_eq!(told["reason"], "IdempotencyExpired", "{told}");
    world.end().await;
}

#[tokio::test]
async fn what_was_not_made_or_has_nothing_before_it_is_not_taken_back() {
    let world = world().await;
    let order = Order::next_write(Applies::Never, Answers::Fault(Fault::PermissionMissing));
    world.fake.order(order);
    let failed = set(&world, "31.00", &new_key()).await;
    assert_eq!(failed["status"], "failed", "{failed}");
    let told = take_back(&world, &failed["change_id"]).await;
    assert_eq!(told["reason"], "ChangeNotMade", "{told}");

    world
        .fake
        .order(Order::next_write(Applies::AtOnce, Answers::Hang));
    let key = new_key();
    let open = set(&world, "31.00", &key).await;
    assert_eq!(open["status"], "settling", "{open}");
    let told = take_back(&world, &open["change_id"]).await;
    assert_eq!(told["reason"], "ChangeInProgress", "{told}");
    let arguments = super::budget(AD_SET, "31.00", &key);
    let done = settled(&world, "meta_set_budget", arguments).await;
    assert_eq!(done["status"], "done", "{done}");
    let told = take_back(&world, &open["change_id"]).await;
    assert_eq!(
        told["status"], "done",
        "what was settled is taken back: {told}"
    );

    let campaign = json!({
        "account": "act_1001", "name": "Winter", "objective": "OUTCOME_SALES",
        "special_ad_categories": [], "idempotency_key": new_key(),
    });
    let created = call(&world, "meta_create_campaign", campaign).await;
    assert_eq!(created["status"], "done", "{created}");
    let told = take_back(&world, &created["change_id"]).await;
    assert_eq!(told["reason"], "ChangeNotUndoable", "{told}");
    world.end().await;
}

#[tokio::test]
async fn only_who_could_make_the_change_takes_its_own_back() {
    let world = World::start_with(|setup| {
        open(setup);
        setup.keys.extend(strangers());
        setup.keys.extend([
            KeyRecord {
                scopes: vec![Scope::parse("meta:write").unwrap()],
                ..record("writer")
            },
            KeyRecord {
                scopes: vec![Scope::parse("meta:spend").unwrap()],
                ..record("blind")
            },
            record("reader"),
        ]);
    })
    .await;
    let change = made(&world, "31.00").await;
    for (key, reason) in [
        ("mallory", "NotFound"),
        ("another", "NotFound"),
        ("narrow", "AccountRefused"),
        ("reader", "ScopeMissing"),
        ("writer", "ScopeMissing"),
    ] {
        let arguments = undo(&change, &new_key());
        let told = world.client(key).call("undo_change", arguments).await;
        let told = &told["structuredContent"];
        assert_eq!(
            reasons(told),
            (&json!("refused"), &json!(reason)),
            "{key}: {told}"
        );
        let tools = world.client(key).tools().await;
        let sees = |tool: &Value| tool["name"] == "undo_change";
        let sees = tools["tools"].as_array().unwrap().iter().any(sees);
        assert_eq!(sees, key != "reader", "{key}");
    }
    assert_eq!(budgets(&world).len(), 1);
    // The other key of the same owner and agent may.
    for key in ["other", "blind"] {
        let told = world
            .client(key)
            .call("undo_change", undo(&change, &new_key()))
            .await;
        let status = if key == "other" { "done" } else { "unchanged" };
        assert_eq!(told["structuredContent"]["status"], status, "{told}");
    }
    world.end().await;
}

#[tokio::test]
async fn arguments_that_say_something_else_take_nothing_back() {
    let world = world().await;
    let change = made(&world, "31.00").await;
    let (id, key) = (&change, new_key());
    for arguments in [
        json!({"change_id": id}),
        json!({"idempotency_key": key}),
        json!({"change_id": id, "dry_run": "true"}),
        json!({"change_id": id, "idempotency_key": 7}),
        json!({"change_id": id, "idempotency_key": "short"}),
        json!({"change_id": id, "idempotency_key": key, "more": 1}),
        json!({"change_id": [id], "idempotency_key": key}),
    ] {
        let told = call(&world, "undo_change", arguments).await;
        assert_eq!(told["reason"], "ArgumentsInvalid", "{told}");
    }
    for unknown in ["no id", "00000000000000000000000000000000"] {
        let told = take_back(&world, &json!(unknown)).await;
        assert_eq!(told["reason"], "NotFound", "{told}");
    }
    assert_eq!(budgets(&world).len(), 1);
    world.end().await;
}

#[tokio::test]
async fn a_contract_without_the_tool_takes_nothing_back() {
    for (tool, reason) in [
        ("meta_set_budget", "ChangeNotUndoable"),
        ("undo_change", ""),
    ] {
        let world = world().await;
        let change = made(&world, "31.00").await;
        let mut tenant = world.tenant.clone();
        tenant.tools.deny = [ToolName::parse(tool).unwrap()].into();
        super::obey(&world, &tenant, 2).await;
        if reason.is_empty() {
            let client = world.client("demo");
            let reply = client
                .try_call("undo_change", undo(&change, &new_key()))
                .await;
            assert_eq!(reply.body["error"]["data"]["reason"], "ToolUnknown");
        } else {
            let told = take_back(&world, &change).await;
            assert_eq!(told["reason"], reason, "{told}");
        }
        assert_eq!(budgets(&world).len(), 1);
        world.end().await;
    }
}

#[tokio::test]
async fn a_dry_run_of_it_says_what_would_become_of_it() {
    let world = world().await;
    let change = made(&world, "31.00").await;
    let wanted = json!({"change_id": change, "dry_run": true});
    let told = call(&world, "undo_change", wanted.clone()).await;
    assert_eq!(
        (&told["status"], &told["dry_run"]),
        (&json!("done"), &json!("permitted")),
        "{told}"
    );
    assert_eq!(told["after"]["daily_budget"], eur("30.50"));
    assert_eq!(budgets(&world).len(), 1);
    let key = told["idempotency_key"].as_str().unwrap();
    let told = call(&world, "undo_change", undo(&change, key)).await;
    assert_eq!(told["status"], "done", "{told}");
    let told = call(&world, "undo_change", wanted).await;
    assert_eq!(told["dry_run"], "unchanged", "{told}");
    world.end().await;
}

#[tokio::test]
async fn percent_and_cooldown_are_those_of_before_and_a_week_is_the_limit() {
    let world = world_with(json!({"budget": {
        "perChange": {"maxIncreasePercent": 10, "maxDecreasePercent": 90},
        "perObject": {"minIntervalMs": 3_600_000},
    }}))
    .await;
    let change = made(&world, "5.00").await;
    let told = set(&world, "30.50", &new_key()).await;
    assert_eq!(told["reason"], "PolicyDenied", "{told}");
    let told = take_back(&world, &change).await;
    assert_eq!(told["status"], "done", "{told}");
    world.end().await;

    let world = super::world().await;
    let change = made(&world, "31.00").await;
    world
        .clock
        .advance(UNDO_WITHIN + SignedDuration::from_secs(1));
    let told = take_back(&world, &change).await;
    assert_eq!(
        reasons(&told),
        (&json!("refused"), &json!("PolicyDenied")),
        "{told}"
    );
    assert_eq!(told["rules"][0]["rule"], "undo.within", "{told}");
    world.end().await;
}

#[tokio::test]
async fn beyond_a_limit_people_are_asked_and_what_they_agree_to_is_taken_back_once() {
    let world = World::start_with(|setup| {
        open(setup);
        setup.tenant.guard_proven = true;
        setup.tenant.policies = vec![policy(json!({"budget": {"perWindow": [
            {"windowMs": 86_400_000, "scope": "Account", "maxDailyIncrease": "51"},
        ]}}))];
    })
    .await;
    let change = made(&world, "5.00").await;
    let up = made(&world, "31.00").await;
    let down = take_back(&world, &up).await;
    assert_eq!(
        down["status"], "done",
        "a fall is charged to no window: {down}"
    );
    let key = new_key();
    let told = call(&world, "undo_change", undo(&change, &key)).await;
    assert_eq!(told["status"], "pending_approval", "{told}");
    assert_eq!(
        told["rules"][0]["rule"], "budget.perWindow.maxDailyIncrease",
        "{told}"
    );
    let id = told["change_id"].clone();
    let control = &world.control;
    let question = control
        .question(|question| {
            question.spec.request.change_id == id
                && question.status.state == Some(ApprovalState::Pending)
        })
        .await;
    let request = serde_json::to_value(&question.spec.request).unwrap();
    assert_eq!(
        (&request["undoes"], &request["tool"]),
        (&change, &json!("meta_set_budget"))
    );
    control.decide(&question.name, "bob@acme.example", ApprovalVerdict::Approve);
    control
        .question(|other| {
            other.name == question.name && other.status.state == Some(ApprovalState::Applied)
        })
        .await;
    let told = call(&world, "undo_change", undo(&change, &key)).await;
    assert_eq!(
        (&told["status"], &told["replayed"]),
        (&json!("done"), &json!(true)),
        "{told}"
    );
    assert_eq!(setting(&world, "daily_budget"), "3050");
    assert_eq!(budgets(&world).len(), 4);
    world.end().await;
}

#[tokio::test]
async fn the_record_says_what_was_taken_back() {
    let world = world().await;
    let change = made(&world, "31.00").await;
    let back = take_back(&world, &change).await;
    let lines = lines(&world, 4).await;
    let lines = lines
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let own = lines.filter(|line| line["metadata"]["correlation_uid"] == back["change_id"]);
    let own: Vec<_> = own.collect();
    assert_eq!(own.len(), 2);
    for line in own {
        assert_eq!(line["unmapped"]["undoes"], change, "{line}");
        assert_eq!(line["api"]["operation"], "meta_set_budget", "{line}");
    }
    let call = world.end().await.pop().unwrap();
    assert_eq!(
        (&call["tool"], &call["arguments"], &call["change"]),
        (
            &json!("undo_change"),
            &json!({"checked": {"change_id": change}}),
            &back["change_id"]
        ),
        "{call}"
    );
}
