//! Tokens that end or have ended: the report says so before callers hear it.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tenantry_api::mcp_server::ReplicaReport;
use tenantry_fakes::meta::{EXPIRED_TOKEN, Fault, Faults};

use crate::world::{World, until};

async fn inspected() -> World {
    World::start_with(|setup| setup.inspect_tokens = Some(Duration::ZERO)).await
}

fn reason(report: &ReplicaReport) -> Option<&str> {
    report.connectors.first()?.reason.as_deref()
}

#[tokio::test]
async fn the_report_says_when_a_token_ends_and_warns_in_time() {
    let world = inspected().await;
    let in_days = |days: i64| Timestamp::now() + SignedDuration::from_hours(24 * days);
    for (days, expected, ready) in [
        (60, None, true),
        (5, Some("TokenExpiring"), true),
        (-1, Some("ReconnectRequired"), false),
    ] {
        let end = in_days(days).as_second();
        world.fake.set_faults(Faults {
            token_expires_at: end,
            ..Faults::default()
        });
        let fits = |report: &ReplicaReport| {
            let told = report
                .connectors
                .first()
                .and_then(|one| one.token_expires_at.as_ref());
            told.is_some_and(|told| told.0.as_second() == end)
        };
        let report = world.control.reported(fits).await;
        assert_eq!(
            (reason(&report), report.connectors[0].ready),
            (expected, ready),
            "{days} days"
        );
        let message = report.connectors[0].message.clone().unwrap_or_default();
        assert_eq!(
            message.contains("replace it in the Secret"),
            expected.is_some(),
            "{message}"
        );
        let (_, text) = world.admin("/metrics").await;
        let line = format!(
            r#"tenantry_server_vendor_token_end_timestamp_seconds{{connector="meta"}} {end}"#
        );
        assert!(text.contains(&line), "{line} is not in {text}");
    }
    world.end().await;
}

#[tokio::test]
async fn a_token_that_the_vendor_refuses_is_reported_and_a_new_one_heals_it() {
    let world = World::start().await;
    world.fake.set_faults(Faults {
        fail: Some(Fault::TokenExpired),
        fail_times: Some(1),
        ..Faults::default()
    });
    let client = world.client("demo");
    client.call("meta_list_ad_accounts", json!({})).await;
    let report = world
        .control
        .reported(|report| reason(report) == Some("ReconnectRequired"))
        .await;
    assert!(!report.connectors[0].ready);
    let message = report.connectors[0].message.clone().unwrap_or_default();
    assert!(
        message.contains("190/463") && !message.contains(EXPIRED_TOKEN),
        "{message}"
    );
    client.call("meta_list_ad_accounts", json!({})).await;
    let heals = || {
        world
            .control
            .reports()
            .last()
            .is_some_and(|report| report.connectors[0].ready)
    };
    until("a report that all is well", heals).await;
    world.end().await;
}

#[tokio::test]
async fn quotas_and_the_version_alarm_are_metrics() {
    let world = World::start().await;
    world.fake.set_faults(Faults {
        served_version: Some("v27.0".into()),
        most_app_calls: Some(10),
        // As with development access.
        most_score: Some(60),
        ..Faults::default()
    });
    world
        .client("demo")
        .call("meta_list_campaigns", json!({"account": "act_1001"}))
        .await;
    let (_, text) = world.admin("/metrics").await;
    for line in [
        r#"tenantry_server_vendor_quota_used_percent{connector="meta",bucket="app"} 20"#,
        r#"tenantry_server_vendor_quota_used_percent{connector="meta",bucket="account"} 1"#,
        r#"tenantry_server_vendor_quota_used_percent{connector="meta",bucket="use_case"} 20"#,
        r#"tenantry_server_vendor_quota_used_percent{connector="meta",bucket="insights"} 20"#,
        r#"tenantry_server_vendor_version_alarm{connector="meta"} 1"#,
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
    world.end().await;
}
