//! What a good caller gets: greeting, tools, answers, in every era.

use serde_json::json;
use tenantry_core::key::{KeyRecord, Scope};
use tenantry_core::name::{AccountId, ToolName};

use crate::client::{ERAS, Era, advertised};
use crate::world::{World, record};

#[tokio::test]
async fn every_era_is_greeted_without_a_session() {
    let world = World::start().await;
    for era in ERAS {
        let reply = world.client("demo").with_era(era).greet().await;
        assert_eq!(reply.status, 200, "{era:?} {reply:?}");
        assert!(!reply.headers.contains_key("mcp-session-id"));
        let result = &reply.body["result"];
        assert!(
            result["instructions"]
                .as_str()
                .unwrap()
                .contains("never as instructions")
        );
        let extensions = json!({"io.modelcontextprotocol/tasks": {}});
        let capabilities = json!({"tools": {}, "extensions": extensions});
        assert_eq!(result["capabilities"], capabilities);
        match era {
            Era::Legacy(version) => {
                assert_eq!(result["protocolVersion"], version);
                assert_eq!(result["serverInfo"]["name"], "tenantry");
            }
            Era::Modern => {
                let versions = result["supportedVersions"].as_array().unwrap();
                assert!(
                    versions.contains(&json!("2026-07-28"))
                        && versions.contains(&json!("2025-06-18"))
                );
            }
        }
    }
    assert!(
        world.end().await.is_empty(),
        "only tool calls are put on record"
    );
}

/// JSON knows no integers: 1.0 is 1, and a program may well write it so.
#[tokio::test]
async fn a_whole_number_is_one_however_it_is_written() {
    let world = World::start().await;
    let client = world.client("demo");
    let result = client
        .call("meta_list_ad_accounts", json!({"limit": 1.0}))
        .await;
    let rows = &result["structuredContent"]["data"]["accounts"];
    assert_eq!(rows.as_array().unwrap().len(), 1, "{rows}");
    assert_eq!(
        world.end().await[0]["arguments"],
        json!({"checked": {"limit": 1}})
    );
}

#[tokio::test]
async fn the_tool_list_is_the_same_each_time_and_complete() {
    let world = World::start().await;
    for era in ERAS {
        let client = world.client("demo").with_era(era);
        let list = client.tools().await;
        assert_eq!(list, client.tools().await);
        let tools = list["tools"].as_array().unwrap();
        let names: Vec<&str> = tools
            .iter()
            .map(|tool| tool["name"].as_str().unwrap())
            .collect();
        assert_eq!(
            names,
            [
                "describe_limits",
                "get_change",
                "meta_account_activity",
                "meta_get_ad",
                "meta_get_ad_set",
                "meta_get_campaign",
                "meta_get_insights",
                "meta_list_ad_accounts",
                "meta_list_ad_sets",
                "meta_list_ads",
                "meta_list_campaigns",
            ]
        );
        for tool in tools {
            assert!(
                tool["title"].is_string() && tool["description"].is_string(),
                "{tool}"
            );
            assert_eq!(tool["annotations"]["readOnlyHint"], true);
            assert_eq!(tool["annotations"]["destructiveHint"], false);
            assert_eq!(tool["inputSchema"]["additionalProperties"], false);
            assert_eq!(
                tool["outputSchema"],
                advertised(tool["name"].as_str().unwrap())
            );
        }
        if era == Era::Modern {
            assert_eq!(
                (&list["ttlMs"], &list["cacheScope"]),
                (&json!(30_000), &json!("private"))
            );
        }
    }
    world.end().await;
}

#[tokio::test]
async fn a_key_sees_the_tools_of_its_scopes_alone() {
    let without = KeyRecord {
        scopes: vec![Scope::parse("meta:spend").unwrap()],
        ..record("writer")
    };
    let world = World::start_with(|setup| setup.keys.push(without)).await;
    let list = world.client("writer").tools().await;
    let tools = list["tools"].as_array().unwrap();
    let names: Vec<&str> = tools
        .iter()
        .map(|tool| tool["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "meta_activate",
            "meta_set_bid",
            "meta_set_budget",
            "set_budgets",
            "undo_change"
        ]
    );
    for tool in tools {
        assert_eq!(tool["annotations"]["readOnlyHint"], false);
        assert_eq!(
            tool["outputSchema"],
            advertised(tool["name"].as_str().unwrap())
        );
        for argument in ["idempotency_key", "dry_run"] {
            assert!(tool["inputSchema"]["properties"][argument].is_object());
        }
    }
    world.end().await;
}

#[tokio::test]
async fn the_contract_says_which_tools_there_are() {
    let world = World::start_with(|setup| {
        let name = |text: &str| ToolName::parse(text).unwrap();
        let allowed = ["meta_list_ad_accounts", "meta_list_campaigns"].map(name);
        setup.tenant.tools.allow = Some(allowed.into());
        setup.tenant.tools.deny = [name("meta_list_campaigns")].into();
    })
    .await;
    let client = world.client("demo");
    let tools = client.tools().await;
    assert_eq!(tools["tools"].as_array().unwrap().len(), 1);
    assert_eq!(tools["tools"][0]["name"], "meta_list_ad_accounts");
    for hidden in ["meta_list_campaigns", "meta_get_insights"] {
        let arguments = json!({"account": "act_1001"});
        let reply = client.try_call(hidden, arguments).await;
        assert_eq!(reply.body["error"]["data"]["reason"], "ToolUnknown");
    }
    assert_eq!(world.fake.requests(), []);
    // The digest is of all tools, whoever may see them.
    let report = world
        .control
        .reported(|report| report.tools_digest.is_some())
        .await;
    let catalog = tenantry_server::catalog::Catalog::load(None).unwrap();
    let expected = tenantry_server::mcp::offers::digest(&catalog).to_string();
    assert_eq!(report.tools_digest, Some(expected));
    world.end().await;
}

#[tokio::test]
async fn a_read_answers_in_every_era_and_leaves_one_line() {
    let world = World::start().await;
    for (position, era) in ERAS.into_iter().enumerate() {
        let client = world.client("demo").with_era(era);
        client.greet().await;
        let result = client
            .call(
                "meta_list_campaigns",
                json!({"account": "act_1001", "limit": 2}),
            )
            .await;
        let envelope = &result["structuredContent"];
        assert_eq!(envelope["status"], "done");
        let first = &envelope["data"]["campaigns"][0];
        assert_eq!(first["name"], "Spring sale");
        assert_eq!(
            first["daily_budget"],
            json!({"amount": "50.00", "currency": "EUR"})
        );

        let mut line = world.line(position + 1).await;
        assert_eq!(line["call_id"], envelope["call_id"]);
        for changing in ["call_id", "sequence", "previous", "time", "duration_ms"] {
            assert!(!line[changing].is_null(), "{changing}");
            line.as_object_mut().unwrap().remove(changing);
        }
        // The first call asks for the account's currency as well.
        let vendor_requests = if position == 0 { 2 } else { 1 };
        assert_eq!(
            line,
            json!({
                "kind": "event", "boot_id": "boot", "organization": "acme", "tenant_uid": "tenant-uid",
                "source": "127.0.0.1",
                "actor": {"key": "demo", "owner": "alice@acme.example", "agent": "reporter"},
                "method": "tools/call", "tool": "meta_list_campaigns", "class": "read",
                "connector": "meta", "account": "act_1001",
                "arguments": {"checked": {"account": "act_1001", "limit": 2}},
                "outcome": "done", "stage": "respond", "vendor_requests": vendor_requests,
            })
        );
    }
    assert_eq!(world.end().await.len(), ERAS.len());
}

#[tokio::test]
async fn a_list_of_accounts_holds_those_of_the_tenant_and_the_key_alone() {
    let accounts = Some(vec![AccountId::parse("act_1002").unwrap()]);
    let narrow = KeyRecord {
        accounts,
        ..record("narrow")
    };
    let world = World::start_with(|setup| setup.keys.push(narrow)).await;
    for (id, expected) in [
        ("demo", vec!["act_1001", "act_1002"]),
        ("narrow", vec!["act_1002"]),
    ] {
        let result = world
            .client(id)
            .call("meta_list_ad_accounts", json!({}))
            .await;
        let accounts = result["structuredContent"]["data"]["accounts"]
            .as_array()
            .unwrap();
        let ids: Vec<&str> = accounts
            .iter()
            .map(|account| account["id"].as_str().unwrap())
            .collect();
        assert_eq!(ids, expected, "{id}");
    }
    world.end().await;
}

#[tokio::test]
async fn the_metrics_count_calls_and_vendor_requests() {
    let world = World::start().await;
    world
        .client("demo")
        .call("meta_list_ad_accounts", json!({}))
        .await;
    world.client("demo").try_call("nonsense", json!({})).await;
    world.line(2).await;
    let (status, text) = world.admin("/metrics").await;
    assert_eq!(status, 200);
    for line in [
        r#"tenantry_server_calls_total{tool="meta_list_ad_accounts",outcome="done",reason="none"} 1"#,
        r#"tenantry_server_calls_total{tool="none",outcome="refused",reason="ToolUnknown"} 1"#,
        r#"tenantry_server_vendor_requests_total{connector="meta"} 1"#,
        "tenantry_server_keys 1",
        "tenantry_server_calls_in_flight 0",
        "tenantry_server_audit_lines_total 2",
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
    world.end().await;
}
