//! What is told on loopback of calls, changes and limits.

use serde_json::{Value, json};
use tenantry_core::policy::facts::Proposal;

use super::{AD_SET, CAMPAIGN, budgets, call, eur, new_key, open, policy, set};
use crate::world::{Ledger, World};

async fn world() -> World {
    World::start_with(|setup| {
        open(setup);
        setup.tenant.policies = vec![policy(json!({
            "disclose": "None",
            "budget": {"perWindow": [
                {"windowMs": 86_400_000, "scope": "Account", "maxDailyIncrease": "20"},
            ]},
            "approvals": [{
                "name": "large", "approverClass": "finance", "approvers": 1,
                "expiresAfterMs": 3_600_000, "when": {"dailyIncreaseOver": "5"},
            }],
        }))];
    })
    .await
}

/// What the port answers, with its status.
async fn get(world: &World, path: &str) -> (u16, Value) {
    let url = format!("http://{}{path}", world.activity);
    let answer = reqwest::get(url).await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

async fn items(world: &World, path: &str) -> Vec<Value> {
    let (status, answer) = get(world, path).await;
    assert_eq!(status, 200, "{answer}");
    answer["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn changes_are_listed_with_what_they_do_the_newest_first() {
    let world = world().await;
    let made = set(&world, "31.00", &new_key()).await;
    let waits = set(&world, "40.00", &new_key()).await;
    // Of what is denied outright nothing is kept.
    set(&world, "90.00", &new_key()).await;
    let pause = json!({"campaign_id": CAMPAIGN, "idempotency_key": new_key()});
    let paused = call(&world, "meta_pause", pause).await;
    let ids = |items: &[Value]| -> Vec<Value> {
        items.iter().map(|item| item["change_id"].clone()).collect()
    };
    let all = items(&world, "/v1/changes").await;
    let id = |told: &Value| told["change_id"].clone();
    assert_eq!(ids(&all), [id(&paused), id(&waits), id(&made)]);
    let first = &all[2];
    for (field, value) in [
        ("progress", json!("applied")),
        ("tool", json!("meta_set_budget")),
        ("class", json!("spend")),
        ("account", json!("act_1001")),
        ("key", json!("demo")),
        ("owner", json!("alice@acme.example")),
        ("object", json!({"kind": "ad_set", "id": AD_SET})),
        (
            "summary",
            json!(format!(
                "ad set {AD_SET}, daily_budget 30.50 EUR to 31.00 EUR"
            )),
        ),
        ("before", json!({"daily_budget": eur("30.50")})),
        ("after", json!({"daily_budget": eur("31.00")})),
        ("delta", json!({"daily": eur("0.50")})),
    ] {
        assert_eq!(first[field], value, "{field} of {first}");
    }
    for (query, expected) in [
        ("progress=pending", vec![id(&waits)]),
        ("tool=meta_pause", vec![id(&paused)]),
        (&format!("object={AD_SET}"), vec![id(&waits), id(&made)]),
        ("account=act_1002", vec![]),
        ("tool=meta_set_budget&progress=applied", vec![id(&made)]),
    ] {
        let found = items(&world, &format!("/v1/changes?{query}")).await;
        assert_eq!(ids(&found), expected, "{query}");
    }
    // A page at a time, each change once.
    let (_, page) = get(&world, "/v1/changes?limit=2").await;
    assert_eq!(
        ids(page["items"].as_array().unwrap()),
        [id(&paused), id(&waits)]
    );
    let next = page["next"].as_str().unwrap();
    let (_, page) = get(&world, &format!("/v1/changes?limit=2&after={next}")).await;
    assert_eq!(ids(page["items"].as_array().unwrap()), [id(&made)]);
    assert_eq!(page.get("next"), None, "{page}");
    let found = items(&world, "/v1/changes?limit=1&proposal=true").await;
    let proposal: Proposal = serde_json::from_value(found[0]["proposal"].clone()).unwrap();
    assert_eq!(proposal.subject.tool.as_str(), "meta_pause");
    assert_eq!(all[0].get("proposal"), None);
    assert_eq!(budgets(&world).len(), 1);
    world.end().await;
}

#[tokio::test]
async fn one_change_is_told_whole() {
    let world = world().await;
    let waits = set(&world, "40.00", &new_key()).await;
    let id = waits["change_id"].as_str().unwrap();
    let (status, whole) = get(&world, &format!("/v1/changes/{id}")).await;
    assert_eq!((status, &whole["change_id"]), (200, &waits["change_id"]));
    let arguments = json!({"checked": {"ad_set_id": AD_SET, "daily_budget": eur("40.00")}});
    assert_eq!(whole["arguments"], arguments, "{whole}");
    assert_eq!(whole["approval"]["approver_classes"], json!(["finance"]));
    assert_eq!(whole["approval"]["rules"][0]["rule"], "approvals.large");
    assert!(
        whole["policy_digest"].is_string() && whole["call_id"].is_string(),
        "{whole}"
    );
    for unknown in ["0".repeat(32), "no-id".into()] {
        let (status, refused) = get(&world, &format!("/v1/changes/{unknown}")).await;
        assert_eq!(
            (status, &refused["reason"]),
            (404, &json!("NotFound")),
            "{refused}"
        );
    }
    world.end().await;
}

#[tokio::test]
async fn calls_are_found_by_what_they_were() {
    let world = world().await;
    set(&world, "31.00", &new_key()).await;
    set(&world, "90.00", &new_key()).await;
    world
        .client("other")
        .call("meta_list_ad_accounts", json!({}))
        .await;
    let all = items(&world, "/v1/calls").await;
    let tools: Vec<_> = all
        .iter()
        .map(|one| one["tool"].as_str().unwrap())
        .collect();
    assert_eq!(
        tools,
        [
            "meta_set_budget",
            "meta_set_budget",
            "meta_list_ad_accounts"
        ]
    );
    for (query, count) in [
        ("outcome=refused", 1),
        ("key=other", 1),
        ("key=demo", 2),
        ("tool=meta_set_budget&outcome=done", 1),
        ("account=act_1001", 2),
        ("limit=1", 1),
        ("tool=nothing", 0),
    ] {
        let found = items(&world, &format!("/v1/calls?{query}")).await;
        assert_eq!(found.len(), count, "{query}: {found:?}");
    }
    let (_, page) = get(&world, "/v1/calls?limit=1").await;
    let next = page["next"].as_str().unwrap();
    let (_, page) = get(&world, &format!("/v1/calls?after={next}")).await;
    assert_eq!((&page["items"], &page["next"]), (&json!([]), &json!(next)));
    // Who follows it misses none.
    let mut after = "another-process.99".to_owned();
    for tool in tools {
        let path = format!("/v1/calls?after={after}&limit=1");
        let (_, page) = get(&world, &path).await;
        assert_eq!(page["items"][0]["tool"], tool, "{page}");
        after = page["next"].as_str().unwrap().into();
    }
    world.end().await;
}

#[tokio::test]
async fn limits_are_told_whole_whatever_agents_hear_of_them() {
    let world = world().await;
    set(&world, "31.00", &new_key()).await;
    let all = items(&world, "/v1/limits").await;
    let berlin = all.iter().find(|one| one["account"] == "act_1001").unwrap();
    let limits = berlin["policies"][0]["limits"].as_array().unwrap();
    let window = limits
        .iter()
        .find(|one| one["rule"] == "budget.perWindow.maxDailyIncrease");
    let left = window.unwrap()["left"].as_str().unwrap();
    assert!(left.contains("19.50"), "{left}");
    world.end().await;
}

#[tokio::test]
async fn it_reads_and_says_what_it_does_not_understand() {
    let world = world().await;
    for path in [
        "/v1/changes?progress=nowhere",
        "/v1/changes?after=1",
        "/v1/changes?limit=x",
        "/v1/changes?before=1",
        "/v1/changes?tool=a&tool=b",
        "/v1/calls?progress=pending",
        "/v1/calls?limit=-1",
    ] {
        let (status, refused) = get(&world, path).await;
        assert_eq!(
            (status, &refused["reason"]),
            (400, &json!("RequestInvalid")),
            "{path}"
        );
        assert!(
            refused["remedy"].as_str().unwrap().starts_with("GET /v1/"),
            "{refused}"
        );
    }
    let client = reqwest::Client::new();
    for path in ["/v1/calls", "/v1/changes", "/v1/limits"] {
        let url = format!("http://{}{path}", world.activity);
        for request in [client.post(&url), client.put(&url), client.delete(&url)] {
            assert_eq!(request.send().await.unwrap().status(), 405, "{path}");
        }
        let strange = client.get(&url).header("host", "evil.example");
        assert_eq!(strange.send().await.unwrap().status(), 403, "{path}");
    }
    world.end().await;
    let world = World::start_with(|setup| setup.ledger = Ledger::None).await;
    let (status, refused) = get(&world, "/v1/changes").await;
    assert_eq!(
        (status, &refused["reason"]),
        (503, &json!("LedgerUnavailable")),
        "{refused}"
    );
    world.end().await;
}
