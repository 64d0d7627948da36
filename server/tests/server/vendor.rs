//! Calls that fail at the vendor: what the caller hears, and how many requests
//! the line admits to.

use serde_json::{Value, json};
use tenantry_core::reason::Reason;
use tenantry_fakes::meta::{EXPIRED_TOKEN, Fault, Faults, SANDBOX_TOKEN};

use crate::world::{World, until};

/// A call fails, and its line says so.
async fn failed(world: &World) -> Value {
    failed_at(world, "meta_list_ad_accounts", json!({})).await
}

async fn failed_at(world: &World, tool: &str, arguments: Value) -> Value {
    let number = world.lines().len() + 1;
    let requests = world.fake.requests().len();
    let result = world.client("demo").call(tool, arguments).await;
    let line = world.line(number).await;
    let envelope = result["structuredContent"].clone();
    assert_eq!(envelope["status"], "failed", "{envelope}");
    assert_eq!(
        (&line["outcome"], &line["stage"]),
        (&json!("failed"), &json!("send"))
    );
    assert_eq!(
        (&line["reason"], &line["call_id"]),
        (&envelope["reason"], &envelope["call_id"])
    );
    let asked = world.fake.requests().len() - requests;
    assert_eq!(
        line["vendor_requests"], asked,
        "every request is on record, and no other"
    );
    envelope
}

#[tokio::test]
async fn each_failure_of_the_vendor_has_its_reason() {
    let world = World::start().await;
    for (fault, reason) in [
        (Fault::TokenExpired, Reason::ReconnectRequired),
        (Fault::PermissionMissing, Reason::VendorRejected),
        (Fault::BadParameter, Reason::VendorRejected),
        (Fault::TokenInMessage, Reason::VendorRejected),
        (Fault::NoSuchObject, Reason::NotFound),
        (Fault::Unavailable, Reason::VendorUnavailable),
        (Fault::InternalError, Reason::VendorUnavailable),
        (Fault::Reset, Reason::VendorUnavailable),
        (Fault::NotJson, Reason::VendorAnswerInvalid),
        // The last: it holds the calls after it back.
        (Fault::AppThrottled, Reason::VendorThrottled),
    ] {
        world.fake.set_faults(Faults {
            fail: Some(fault),
            ..Faults::default()
        });
        let envelope = failed(&world).await;
        assert_eq!(envelope["reason"], json!(reason), "{fault:?}: {envelope}");
    }
    assert_eq!(world.end().await.len(), 10);
}

#[tokio::test]
async fn a_throttled_caller_hears_when_to_return() {
    let world = World::start().await;
    world.fake.set_faults(Faults {
        fail: Some(Fault::UseCaseThrottled),
        ..Faults::default()
    });
    let envelope = failed_at(
        &world,
        "meta_list_campaigns",
        json!({"account": "act_1001"}),
    )
    .await;
    assert_eq!(envelope["reason"], "VendorThrottled");
    assert!(
        envelope["retry_after_ms"].as_u64().unwrap() >= 1_000,
        "{envelope}"
    );
    world.end().await;
}

#[tokio::test]
async fn a_passing_failure_is_tried_again_unseen() {
    let world = World::start().await;
    let once = Faults {
        fail: Some(Fault::Transient),
        fail_times: Some(1),
        ..Faults::default()
    };
    world.fake.set_faults(once);
    let result = world
        .client("demo")
        .call("meta_list_ad_accounts", json!({}))
        .await;
    assert_eq!(result["structuredContent"]["status"], "done");
    assert_eq!(world.line(1).await["vendor_requests"], 2);
    world.end().await;
}

#[tokio::test]
async fn a_missing_secret_asks_nobody_and_a_mounted_one_is_taken_up() {
    let world = World::start_with(|setup| setup.token = None).await;
    let envelope = failed(&world).await;
    assert_eq!(
        envelope,
        json!({
            "envelope": "v1", "status": "failed", "call_id": envelope["call_id"], "reason": "SecretMissing",
            "message": "the vendor's credentials are not there yet", "remedy": Reason::SecretMissing.remedy(),
        })
    );
    assert_eq!(world.fake.requests(), []);
    let report = world
        .control
        .reported(|report| !report.connectors.is_empty())
        .await;
    assert_eq!(
        report.connectors[0].reason.as_deref(),
        Some("SecretMissing")
    );
    world.mount(SANDBOX_TOKEN);
    world
        .control
        .reported(|report| {
            report.connectors.iter().all(|connector| connector.ready)
                && !report.connectors.is_empty()
        })
        .await;
    let client = world.client("demo");
    let result = client.call("meta_list_ad_accounts", json!({})).await;
    assert_eq!(result["structuredContent"]["status"], "done");
    world.end().await;
}

#[tokio::test]
async fn an_expired_token_asks_for_a_new_connection() {
    let world = World::start_with(|setup| setup.token = Some(EXPIRED_TOKEN)).await;
    let envelope = failed(&world).await;
    assert_eq!(envelope["reason"], "ReconnectRequired");
    assert_eq!(
        envelope["message"],
        "the vendor no longer accepts the organisation's credentials"
    );
    until("the line", || !world.lines().is_empty()).await;
    world.end().await;
}
