//! What would become of a call, asked on loopback: each room that can stop it,
//! and that nothing comes of having asked.

use jiff::Timestamp;
use serde_json::{Value, json};
use tenantry_core::access::Access;
use tenantry_core::freeze::{Freeze, FreezeScope};
use tenantry_core::key::KeyRecord;
use tenantry_core::name::{AccountId, ToolName};
use tenantry_core::policy::Policy;
use tenantry_fakes::meta::{Answers, Applies, Order};

use super::{AD_SET, CAMPAIGN, eur, new_key, open, policy, set, spender};
use crate::control::LiveAnswer;
use crate::world::{Ledger, Setup, World, key, record, until};

/// A campaign of an account that is nobody's here.
const THEIRS: &str = "12002001001";

/// A window of 20 a day, and people asked from 5 on; nothing told to agents.
fn limited(setup: &mut Setup) {
    open(setup);
    setup.tenant.policies = vec![
        policy(json!({
            "disclose": "None",
            "budget": {"perWindow": [
                {"windowMs": 86_400_000, "scope": "Account", "maxDailyIncrease": "20"},
            ]},
            "approvals": [{
                "name": "large", "approverClass": "finance", "approvers": 2,
                "expiresAfterMs": 3_600_000, "when": {"dailyIncreaseOver": "5"},
            }],
        })),
        Policy {
            name: "tried-out".into(),
            ..policy(json!({"mode": "Shadow", "budget": {"perObject": {"maxDaily": "32"}}}))
        },
        Policy {
            name: "silent".into(),
            ..policy(json!({}))
        },
    ];
}

async fn post(world: &World, question: &Value) -> (u16, Value) {
    let url = format!("http://{}/v1/explain", world.activity);
    let request = reqwest::Client::new().post(url).json(question);
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

async fn explain(world: &World, tool: &str, arguments: Value) -> Value {
    let question = json!({"tool": tool, "key": "demo", "arguments": arguments});
    let (status, told) = post(world, &question).await;
    assert_eq!(status, 200, "{told}");
    told
}

async fn of_budget(world: &World, amount: &str) -> Value {
    let arguments = json!({"ad_set_id": AD_SET, "daily_budget": eur(amount)});
    explain(world, "meta_set_budget", arguments).await
}

/// Verdict, room and reason.
fn gist(told: &Value) -> [&str; 3] {
    ["verdict", "room", "reason"].map(|field| told[field].as_str().unwrap_or_default())
}

/// Policy, rule, mode and verdict of each rule.
fn rules(told: &Value) -> Vec<[&str; 4]> {
    let rules = told["rules"].as_array().unwrap();
    rules
        .iter()
        .map(|one| {
            ["policy", "rule", "mode", "verdict"].map(|name| one[name].as_str().unwrap_or_default())
        })
        .collect()
}

/// All that asking could leave somewhere.
async fn traces(world: &World) -> Vec<String> {
    let mut traces = Vec::new();
    for path in ["/v1/changes", "/v1/limits", "/v1/calls"] {
        let answer = reqwest::get(format!("http://{}{path}", world.activity)).await;
        traces.push(answer.unwrap().text().await.unwrap());
    }
    let (_, metrics) = world.admin("/metrics").await;
    let of_calls = ["tenantry_server_calls", "tenantry_server_rules"];
    let metrics = metrics.lines();
    let metrics = metrics.filter(|line| of_calls.iter().any(|name| line.starts_with(name)));
    traces.extend(metrics.map(str::to_owned));
    traces
}

#[tokio::test]
async fn what_a_change_would_be_is_told_and_nothing_comes_of_asking() {
    let world = World::start_with(limited).await;
    set(&world, "31.00", &new_key()).await;
    let before = traces(&world).await;
    let effects = world.fake.effects().len();
    world.fake.forget_requests();

    let told = of_budget(&world, "32.00").await;
    assert_eq!(gist(&told), ["permitted", "", ""], "{told}");
    for (field, value) in [
        ("tool", json!("meta_set_budget")),
        ("class", json!("spend")),
        ("connector", json!("meta")),
        ("account", json!("act_1001")),
        (
            "object",
            json!({"kind": "ad_set", "id": AD_SET, "standing": "owned", "account": "act_1001"}),
        ),
        (
            "actor",
            json!({"key": "demo", "owner": "alice@acme.example", "agent": "reporter"}),
        ),
        (
            "summary",
            json!(format!(
                "ad set {AD_SET}, daily_budget 31.00 EUR to 32.00 EUR"
            )),
        ),
        ("before", json!({"daily_budget": eur("31.00")})),
        ("after", json!({"daily_budget": eur("32.00")})),
        ("delta", json!({"daily": eur("1.00")})),
        ("currency", json!("EUR")),
    ] {
        assert_eq!(told[field], value, "{field} of {told}");
    }
    assert_eq!(
        rules(&told),
        [
            ["ads", "", "Enforce", "allow"],
            ["tried-out", "", "Shadow", "allow"],
            ["silent", "", "Enforce", "allow"],
        ]
    );
    for (amount, verdict) in [
        ("31.00", "unchanged"),
        ("40.00", "needs_approval"),
        ("90.00", "denied"),
    ] {
        let told = of_budget(&world, amount).await;
        assert_eq!(told["verdict"], verdict, "{told}");
    }
    assert_eq!(traces(&world).await, before);
    assert_eq!(world.fake.effects().len(), effects);
    let requests = world.fake.requests();
    assert!(!requests.is_empty());
    assert!(requests.iter().all(|request| request.method == "GET"));
    world.end().await;
}

#[tokio::test]
async fn what_every_rule_says_is_told_whatever_agents_hear() {
    let world = World::start_with(limited).await;
    set(&world, "31.00", &new_key()).await;
    let told = of_budget(&world, "40.00").await;
    assert_eq!(
        gist(&told),
        ["needs_approval", "decide", "ApprovalRequired"],
        "{told}"
    );
    let terms = json!({
        "approver_classes": ["finance"], "approvers": 2, "expires_after_ms": 3_600_000,
    });
    assert_eq!(told["approval"], terms);
    assert_eq!(
        rules(&told),
        [
            ["ads", "approvals.large", "Enforce", "ask"],
            ["tried-out", "budget.perObject.maxDaily", "Shadow", "deny"],
            ["silent", "", "Enforce", "allow"],
        ]
    );

    let told = of_budget(&world, "90.00").await;
    assert_eq!(gist(&told), ["denied", "decide", "PolicyDenied"], "{told}");
    assert_eq!(
        rules(&told)[..2],
        [
            [
                "ads",
                "budget.perWindow.maxDailyIncrease",
                "Enforce",
                "deny"
            ],
            ["ads", "approvals.large", "Enforce", "ask"],
        ]
    );
    let window = &told["rules"][0];
    let headroom = window["headroom"].as_str().unwrap();
    assert!(headroom.starts_with("0.50 EUR"), "{window}");
    world.end().await;
}

#[tokio::test]
async fn a_change_in_the_way_is_named_and_taking_one_back_is_explained() {
    let world = World::start_with(open).await;
    let made = set(&world, "31.00", &new_key()).await;
    let told = explain(
        &world,
        "undo_change",
        json!({"change_id": made["change_id"]}),
    )
    .await;
    assert_eq!(gist(&told), ["permitted", "", ""], "{told}");
    assert_eq!(told["undoes"], made["change_id"]);
    assert_eq!(told["after"], json!({"daily_budget": eur("30.50")}));
    let told = explain(&world, "undo_change", json!({"change_id": "0".repeat(32)})).await;
    assert_eq!(gist(&told), ["refused", "own", "NotFound"], "{told}");

    // Nobody knows what becomes of this one.
    let order = Order::next_write(Applies::Never, Answers::Break);
    world.fake.order(order);
    let open = set(&world, "33.00", &new_key()).await;
    assert_eq!(open["status"], "settling", "{open}");
    let told = of_budget(&world, "34.00").await;
    assert_eq!(
        gist(&told),
        ["in_progress", "decide", "ChangeInProgress"],
        "{told}"
    );
    assert_eq!(told["change_id"], open["change_id"]);
    world.end().await;
}

#[tokio::test]
async fn a_key_that_is_not_good_is_the_reason() {
    let world = World::start_with(|setup| {
        open(setup);
        setup.keys = vec![
            KeyRecord {
                disabled: true,
                ..spender("gone")
            },
            KeyRecord {
                expires_at: Some(Timestamp::UNIX_EPOCH),
                ..spender("late")
            },
            KeyRecord {
                not_before: Some(Timestamp::MAX),
                ..spender("early")
            },
        ];
    })
    .await;
    for (key, reason) in [
        ("gone", "KeyRevoked"),
        ("late", "KeyExpired"),
        ("early", "KeyNotYetValid"),
        ("nobody", "KeyUnknown"),
    ] {
        let question = json!({"tool": "meta_pause", "key": key});
        let (status, told) = post(&world, &question).await;
        assert_eq!(status, 200, "{told}");
        assert_eq!(gist(&told), ["refused", "authenticate", reason], "{told}");
        assert_eq!(told["actor"]["key"], key);
    }
    assert_eq!(world.fake.requests().len(), 0);
    world.end().await;
}

#[tokio::test]
async fn check_says_what_is_wrong_and_why_a_tool_is_not_there() {
    let world = World::start_with(|setup| {
        open(setup);
        setup.tenant.tools.deny = [ToolName::parse("meta_pause").unwrap()].into();
    })
    .await;
    for (tool, arguments, reason, message) in [
        (
            "meta_set_budget",
            json!({"ad_set_id": 1}),
            "ArgumentsInvalid",
            "`ad_set_id`",
        ),
        (
            "no\u{7}thing",
            json!({}),
            "ToolUnknown",
            "there is no tool `no\u{fffd}thing`",
        ),
        (
            "meta_pause",
            json!({"campaign_id": CAMPAIGN}),
            "ToolUnknown",
            "spec.tools of the McpTenant does not permit `meta_pause`",
        ),
        // Of a read everything in the arguments counts.
        (
            "meta_list_ad_accounts",
            json!({"dry_run": true}),
            "ArgumentsInvalid",
            "`dry_run` is unknown",
        ),
    ] {
        let told = explain(&world, tool, arguments).await;
        assert_eq!(gist(&told), ["refused", "check", reason], "{told}");
        let heard = told["message"].as_str().unwrap();
        assert!(heard.contains(message), "{heard}");
    }
    world.end().await;
}

/// How a world differs.
type Change = fn(&mut Setup);

#[tokio::test]
async fn authorize_names_access_freeze_scope_and_account() {
    let stop = || Freeze {
        name: "stop".into(),
        scope: FreezeScope::All,
        access: Access::ReadOnly,
        note: Some("an audit".into()),
        flaw: None,
    };
    let cases: [(Change, &str); 4] = [
        (
            |setup| setup.tenant.access = Access::ReadOnly,
            "AccessDenied",
        ),
        (|_| (), "Frozen"),
        (|setup| setup.keys = vec![record("demo")], "ScopeMissing"),
        (
            |setup| {
                let accounts = Some(vec![AccountId::parse("act_1002").unwrap()]);
                setup.keys[0].accounts = accounts;
            },
            "AccountRefused",
        ),
    ];
    for (change, reason) in cases {
        let world = World::start_with(|setup| {
            open(setup);
            change(setup);
            if reason == "Frozen" {
                setup.freezes = vec![stop()];
            }
        })
        .await;
        let arguments = json!({
            "account": "act_1001", "name": "A", "objective": "OUTCOME_TRAFFIC",
            "special_ad_categories": [],
        });
        let told = explain(&world, "meta_create_campaign", arguments).await;
        assert_eq!(gist(&told), ["refused", "authorize", reason], "{told}");
        assert_eq!(world.fake.requests().len(), 0);
        world.end().await;
    }
}

#[tokio::test]
async fn whose_an_object_is_people_may_know() {
    let world = World::start_with(open).await;
    let told = explain(
        &world,
        "meta_get_campaign",
        json!({"campaign_id": CAMPAIGN}),
    )
    .await;
    assert_eq!(gist(&told), ["permitted", "", ""], "{told}");
    // Whose it is was asked, and what it is was not.
    assert_eq!(told["vendor_requests"], 1, "{told}");
    let told = explain(&world, "meta_get_campaign", json!({"campaign_id": THEIRS})).await;
    assert_eq!(gist(&told), ["refused", "own", "NotFound"], "{told}");
    assert_eq!(
        told["object"],
        json!({"kind": "campaign", "id": THEIRS, "standing": "foreign", "account": "act_2001"})
    );
    world.fake.order(Order {
        method: Some("GET".into()),
        times: 20,
        ..Order::next_write(Applies::Never, Answers::Break)
    });
    let told = of_budget(&world, "32.00").await;
    assert_eq!(gist(&told)[0], "failed", "{told}");
    world.end().await;
}

#[tokio::test]
async fn what_stands_in_the_control_plane_at_this_moment_counts() {
    let world = World::start_with(open).await;
    world.control.keep_keys(vec![KeyRecord {
        disabled: true,
        ..spender("demo")
    }]);
    let told = of_budget(&world, "32.00").await;
    assert_eq!(
        gist(&told),
        ["refused", "authorize", "KeyRevoked"],
        "{told}"
    );
    // What was found by then is told all the same.
    assert!(told["summary"].is_string(), "{told}");
    world.control.answer_live(LiveAnswer::Failing);
    let told = of_budget(&world, "32.00").await;
    assert_eq!(
        gist(&told),
        ["refused", "authorize", "ControlPlaneStale"],
        "{told}"
    );
    world.end().await;
}

#[tokio::test]
async fn without_a_ledger_only_a_stop_would_be_made() {
    let world = World::start_with(|setup| {
        open(setup);
        setup.ledger = Ledger::None;
    })
    .await;
    let told = of_budget(&world, "32.00").await;
    assert_eq!(
        gist(&told),
        ["refused", "claim", "LedgerUnavailable"],
        "{told}"
    );
    assert_eq!(world.fake.requests().len(), 0);
    let told = explain(&world, "meta_pause", json!({"ad_set_id": AD_SET})).await;
    assert_eq!(gist(&told), ["permitted", "", ""], "{told}");
    let note = told["note"].as_str().unwrap();
    assert!(note.contains("journal"), "{note}");
    assert_eq!(world.fake.effects().len(), 0);
    world.end().await;
}

#[tokio::test]
async fn neither_rates_nor_places_nor_keys_of_idempotency_are_used() {
    let world = World::start_with(|setup| {
        limited(setup);
        setup.tenant.limits.per_key.burst = 1;
        setup.tenant.limits.per_key.per_minute = 1;
        setup.tenant.limits.per_key_concurrency = 1;
    })
    .await;
    let key = new_key();
    for _ in 0..3 {
        let arguments = json!({
            "ad_set_id": AD_SET, "daily_budget": eur("31.00"), "idempotency_key": key,
            "dry_run": false,
        });
        let told = explain(&world, "meta_set_budget", arguments).await;
        assert_eq!(gist(&told), ["permitted", "", ""], "{told}");
        assert_eq!(told["ignored"], json!(["idempotency_key", "dry_run"]));
    }
    assert_eq!(set(&world, "31.00", &key).await["status"], "done");
    world.end().await;
}

#[tokio::test]
async fn there_is_one_question_at_a_time() {
    let world = World::start_with(open).await;
    world.fake.order(Order {
        method: Some("GET".into()),
        ..Order::next_write(Applies::Never, Answers::Hang)
    });
    let question = json!({
        "tool": "meta_get_campaign", "key": "demo", "arguments": {"campaign_id": CAMPAIGN},
    });
    let first = post(&world, &question);
    let second = async {
        until("the first to ask the vendor", || {
            !world.fake.requests().is_empty()
        })
        .await;
        post(&world, &question).await
    };
    tokio::select! {
        told = first => panic!("it was answered: {told:?}"),
        (status, refused) = second => {
            assert_eq!((status, &refused["reason"]), (429, &json!("ServerBusy")), "{refused}");
        }
    }
    // Whoever hangs up makes room.
    let told = async {
        loop {
            let (status, told) = post(&world, &question).await;
            if status == 200 {
                return told;
            }
        }
    };
    assert_eq!(gist(&told.await), ["permitted", "", ""]);
    world.end().await;
}

#[tokio::test]
async fn what_is_no_question_is_refused_with_the_form_of_one() {
    let world = World::start_with(open).await;
    let url = format!("http://{}/v1/explain", world.activity);
    let client = reqwest::Client::new();
    let good = r#"{"tool": "meta_pause", "key": "demo", "arguments": {}}"#;
    let json = |body: String| {
        let request = client.post(&url).header("content-type", "application/json");
        request.body(body)
    };
    let large = format!(r#"{{"tool": "{}", "key": "demo"}}"#, "x".repeat(1 << 20));
    for (status, request) in [
        (400, json(String::new())),
        (400, json("[]".into())),
        (400, json(r#"{"tool": "a"}"#.into())),
        (400, json(good.replace("tool", "Tool"))),
        (400, json(good.replace("{}", "[]"))),
        (400, json(good.replace("{}", r#"{"a": 1, "a": 2}"#))),
        (400, json(good.replace("\"key\"", "\"kee\": 1, \"key\""))),
        (400, json(good.replace("demo", "No Key"))),
        (400, json(good.replace("demo", &key("demo").reveal()))),
        (400, json(good.replace("meta_pause", "get_change"))),
        (400, json(good.replace("meta_pause", "describe_limits"))),
        (413, json(large)),
        (415, client.post(&url).body(good)),
        (415, json(good.into()).header("content-encoding", "gzip")),
        (403, json(good.into()).header("host", "evil.example")),
        (403, json(good.into()).header("origin", "http://localhost")),
        (405, client.get(&url)),
        (405, client.put(&url).body(good)),
    ] {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), status, "{answer:?}");
        if status != 405 && status != 403 {
            let text = answer.text().await.unwrap();
            world.said.add(text.as_bytes());
            let refused: Value = serde_json::from_str(&text).unwrap();
            let remedy = refused["remedy"].as_str().unwrap();
            assert!(
                remedy.starts_with("POST /v1/explain") || remedy.starts_with("GET /v1/"),
                "{refused}"
            );
        }
    }
    let (status, told) = post(&world, &serde_json::from_str(good).unwrap()).await;
    assert_eq!((status, gist(&told)[1]), (200, "check"), "{told}");
    world.end().await;
}
