//! Calls that are refused before the vendor is asked: one answer, one line, and
//! nothing at the vendor.

use std::time::Duration;

use serde_json::{Value, json};
use tenantry_core::access::Access;
use tenantry_core::key::{KeyRecord, Scope};
use tenantry_core::name::AccountId;
use tenantry_core::reason::Reason;

use crate::client::ERAS;
use crate::control::raw;
use crate::world::{World, record, until};

/// The call is refused so, in every era, each time with one line that says the
/// same, and the vendor hears nothing.
async fn assert_refused(
    world: &World,
    id: &str,
    tool: &str,
    arguments: Value,
    expected: Expected<'_>,
) {
    for era in ERAS {
        let number = world.lines().len() + 1;
        let result = world
            .client(id)
            .with_era(era)
            .call(tool, arguments.clone())
            .await;
        let line = world.line(number).await;
        let Expected {
            reason,
            stage,
            message,
            remedy,
        } = expected;
        let remedy = remedy.unwrap_or_else(|| reason.remedy());
        let envelope = json!({
            "envelope": "v1", "status": "refused", "call_id": line["call_id"],
            "reason": reason, "message": message, "remedy": remedy,
        });
        assert_eq!(result["structuredContent"], envelope);
        assert_eq!(
            (&line["reason"], &line["stage"]),
            (&json!(reason), &json!(stage))
        );
        assert_eq!(
            (&line["outcome"], &line["vendor_requests"]),
            (&json!("refused"), &json!(0))
        );
        assert_eq!(
            (&line["tool"], &line["actor"]["key"]),
            (&json!(tool), &json!(id))
        );
        assert_eq!(world.lines().len(), number);
    }
    assert_eq!(world.fake.requests(), [], "nothing may reach the vendor");
}

#[derive(Clone, Copy)]
struct Expected<'e> {
    reason: Reason,
    stage: &'e str,
    message: &'e str,
    remedy: Option<&'e str>,
}

fn expected<'e>(reason: Reason, stage: &'e str, message: &'e str) -> Expected<'e> {
    Expected {
        reason,
        stage,
        message,
        remedy: None,
    }
}

#[tokio::test]
async fn arguments_that_do_not_match_are_explained() {
    let world = World::start().await;
    let campaigns = "meta_list_campaigns";
    for (arguments, message) in [
        (json!({}), "`account` is missing"),
        (
            json!({"account": 7}),
            r#"`account`: the value is not of type "string""#,
        ),
        (
            json!({"account": "act_1001", "surprise": 1}),
            "`surprise` is unknown",
        ),
        (
            json!({"account": "act_1001", "Limit": 2}),
            "`Limit` is unknown, `limit` is meant",
        ),
        (
            json!({"account": "act_1001", "limit": 100_000}),
            "`limit`: the value is greater than the maximum of 100",
        ),
    ] {
        let expected = expected(Reason::ArgumentsInvalid, "check", message);
        assert_refused(&world, "demo", campaigns, arguments, expected).await;
    }
    let lines = world.end().await;
    let surprise = lines
        .iter()
        .find(|line| line["arguments"]["names"].to_string().contains("surprise"))
        .unwrap();
    assert_eq!(
        surprise["arguments"],
        json!({"names": ["account", "surprise"]}),
        "no value is kept"
    );
}

#[tokio::test]
async fn an_unknown_tool_is_a_protocol_error_with_a_line() {
    let world = World::start().await;
    for (position, era) in ERAS.into_iter().enumerate() {
        let client = world.client("demo").with_era(era);
        let reply = client
            .try_call("META_LIST_CAMPAIGNS", json!({"account": "act_1001"}))
            .await;
        let line = world.line(position + 1).await;
        assert_eq!(
            reply.body["error"],
            json!({
                "code": -32_602,
                "message": "there is no tool `META_LIST_CAMPAIGNS`",
                "data": {
                    "reason": "ToolUnknown", "remedy": Reason::ToolUnknown.remedy(), "call_id": line["call_id"],
                },
            })
        );
        assert_eq!(
            (&line["reason"], &line["stage"]),
            (&json!("ToolUnknown"), &json!("check"))
        );
        assert_eq!(line["tool"], "META_LIST_CAMPAIGNS");
    }
    assert_eq!(world.fake.requests(), []);
    assert_eq!(world.end().await.len(), ERAS.len());
}

#[tokio::test]
async fn a_key_without_the_scope_is_refused() {
    let writer = KeyRecord {
        scopes: vec![Scope::parse("meta:spend").unwrap()],
        ..record("writer")
    };
    let world = World::start_with(|setup| setup.keys.push(writer)).await;
    let message = "the key `writer` lacks the scope `meta:read` that `meta_list_ad_accounts` needs";
    let expected = Expected {
        remedy: Some("use a key with the scope `meta:read`, or ask for it to be added"),
        ..expected(Reason::ScopeMissing, "authorize", message)
    };
    assert_refused(
        &world,
        "writer",
        "meta_list_ad_accounts",
        json!({}),
        expected,
    )
    .await;
    world.end().await;
}

#[tokio::test]
async fn a_foreign_account_and_one_that_is_not_there_are_refused_alike() {
    let accounts = Some(vec![AccountId::parse("act_1002").unwrap()]);
    let narrow = KeyRecord {
        accounts,
        ..record("narrow")
    };
    let world = World::start_with(|setup| setup.keys.push(narrow)).await;
    // Another organisation's, nobody's, and the tenant's but not the key's.
    for account in ["act_2001", "act_9", "act_1001"] {
        let message = "the key `narrow` may not use that meta account";
        let expected = expected(Reason::AccountRefused, "authorize", message);
        assert_refused(
            &world,
            "narrow",
            "meta_list_campaigns",
            json!({"account": account}),
            expected,
        )
        .await;
    }
    world.end().await;
}

#[tokio::test]
async fn a_disabled_organisation_is_refused_at_once() {
    let world = World::start().await;
    let knowledge = world.control.knowledge().await;
    let mut tenant = world.tenant.clone();
    tenant.access = Access::Disabled;
    knowledge.tell_contract(Some(raw(&tenant, 2)));
    world
        .control
        .reported(|report| report.access == Some(Access::Disabled))
        .await;
    let message = "the organisation has access `Disabled`, which does not permit read tools";
    let expected = expected(Reason::AccessDenied, "authorize", message);
    assert_refused(&world, "demo", "meta_list_ad_accounts", json!({}), expected).await;
    world.end().await;
}

#[tokio::test]
async fn without_word_from_the_control_plane_calls_are_refused() {
    let world = World::start_with(|setup| setup.stale_after = Duration::ZERO).await;
    // Before anybody called.
    let line = world.line(1).await;
    assert_eq!(
        (&line["reason"], &line["outcome"], line.get("actor")),
        (&json!("ControlPlaneStale"), &json!("refused"), None)
    );
    let message =
        "the server has not heard from its control plane for too long to know who may do what";
    let expected = expected(Reason::ControlPlaneStale, "authorize", message);
    assert_refused(&world, "demo", "meta_list_ad_accounts", json!({}), expected).await;
    let (status, text) = world.admin("/readyz").await;
    assert_eq!(status, 503);
    assert!(text.contains("ControlPlaneStale"), "{text}");
    world.end().await;
}

#[tokio::test]
async fn a_contract_that_was_taken_away_serves_nobody() {
    let world = World::start().await;
    world.control.knowledge().await.tell_contract(None);
    let client = world.client("demo");
    let mut reply = client.try_call("meta_list_ad_accounts", json!({})).await;
    // The contract is taken up by another task; until then calls are served.
    while reply.status == 200 {
        reply = client.try_call("meta_list_ad_accounts", json!({})).await;
    }
    assert_eq!(
        (reply.status, &reply.body["reason"]),
        (503, &json!("ContractPending"))
    );
    let refused = |line: &Value| line["reason"] == "ContractPending";
    until("the last line", || {
        world.lines().last().is_some_and(refused)
    })
    .await;
    world.end().await;
}
