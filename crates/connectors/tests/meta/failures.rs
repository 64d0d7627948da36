//! What can fail at the vendor, and what is tried again.

use std::time::Duration;

use serde_json::json;
use tenantry_connectors::call_error::CallError;
use tenantry_connectors::corridor::{CorridorLimits, Warning};
use tenantry_core::reason::Reason;
use tenantry_fakes::meta::{EXPIRED_TOKEN, Fault, Faults, SANDBOX_TOKEN};

use crate::bench::{Bench, FAST, at};

#[tokio::test]
async fn the_error_table_gives_each_failure_its_reason() {
    // The fault, the reason, and whether a read is tried again.
    let table = [
        (Fault::TokenExpired, Reason::ReconnectRequired, false),
        (Fault::TokenInvalid, Reason::ReconnectRequired, false),
        (Fault::SessionInvalid, Reason::ReconnectRequired, false),
        (Fault::PermissionMissing, Reason::VendorRejected, false),
        (Fault::BadParameter, Reason::VendorRejected, false),
        (Fault::NoSuchObject, Reason::NotFound, false),
        (Fault::NoSuchAlias, Reason::NotFound, false),
        (Fault::Throttled, Reason::VendorThrottled, false),
        (Fault::UseCaseThrottled, Reason::VendorThrottled, false),
        // 100 % of the app's calls are used: asking again is held back.
        (Fault::AppThrottled, Reason::VendorThrottled, false),
        (Fault::PolicyBlock, Reason::VendorRejected, false),
        (Fault::Transient, Reason::VendorUnavailable, true),
        (Fault::InternalError, Reason::VendorUnavailable, true),
        (Fault::Unavailable, Reason::VendorUnavailable, true),
        (Fault::NotFound, Reason::NotFound, false),
        (Fault::Redirect, Reason::VendorAnswerInvalid, false),
        (Fault::NotJson, Reason::VendorAnswerInvalid, false),
        (Fault::NoData, Reason::VendorAnswerInvalid, false),
        (Fault::Huge, Reason::VendorAnswerInvalid, false),
        (Fault::Deep, Reason::VendorAnswerInvalid, false),
        (Fault::OddCursor, Reason::VendorAnswerInvalid, false),
        (Fault::Reset, Reason::VendorUnavailable, true),
    ];
    let bench = Bench::start().await;
    bench.confirm("act_1001").await;
    for (fault, reason, again) in table {
        for errors_as_success in [false, true] {
            // Each its own, or a throttle would hold the next one back.
            let corridor = bench.confirmed_corridor().await;
            bench.fake.set_faults(Faults {
                fail: Some(fault),
                errors_as_success,
                ..Faults::default()
            });
            let error = bench.campaigns_by(&corridor).await.unwrap_err();
            assert_eq!(
                error.reason(),
                reason,
                "{fault:?}, as success: {errors_as_success}: {error}"
            );
            let requests = bench.fake.requests().len();
            assert_eq!(requests, if again { 3 } else { 1 }, "{fault:?}: requests");
        }
    }
}

#[tokio::test]
async fn a_failure_that_passes_is_not_seen() {
    let bench = Bench::start().await;
    bench.confirm("act_1001").await;
    for fault in [Fault::Transient, Fault::Unavailable, Fault::Reset] {
        let faults = Faults {
            fail: Some(fault),
            fail_times: Some(2),
            ..Faults::default()
        };
        bench.fake.set_faults(faults);
        let answer = bench.campaigns().await.unwrap();
        assert_eq!(answer.requests, 3, "{fault:?}");
    }
}

#[tokio::test]
async fn a_throttle_says_how_long_to_stay_away() {
    let bench = Bench::start().await;
    bench.confirm("act_1001").await;
    // The account's header counts in seconds, the use case's in minutes.
    for (fault, wait_ms) in [
        (Fault::Throttled, 100_000),
        (Fault::UseCaseThrottled, 420_000),
    ] {
        let corridor = bench.confirmed_corridor().await;
        bench.fake.set_faults(Faults {
            fail: Some(fault),
            ..Faults::default()
        });
        let refusal = bench.campaigns_by(&corridor).await.unwrap_err().refusal();
        assert_eq!(refusal.retry_after_ms, Some(wait_ms), "{fault:?}");
    }
}

#[tokio::test]
async fn the_account_score_runs_out_and_is_observed() {
    let bench = Bench::start().await;
    bench.confirm("act_1001").await;
    bench.fake.forget_requests();
    bench.fake.set_faults(Faults {
        most_score: Some(4),
        ..Faults::default()
    });
    let mut used = Vec::new();
    for _ in 0..4 {
        let answer = bench.campaigns().await.unwrap();
        used.extend(
            answer
                .quota
                .iter()
                .find(|one| one.bucket == "account")
                .map(|one| one.used_percent),
        );
    }
    assert_eq!(used, [0, 25, 50, 75]);
    assert_eq!(
        bench.campaigns().await.unwrap_err().reason(),
        Reason::VendorThrottled
    );
    let latest = bench.corridor.quota();
    let account = latest.iter().find(|one| one.bucket == "account").unwrap();
    assert_eq!(
        (account.used_percent, account.wait_ms),
        (100, Some(100_000))
    );
}

#[tokio::test]
async fn a_call_ends_at_its_deadline() {
    let bench = Bench::start().await;
    bench.confirm("act_1001").await;
    bench.fake.set_faults(Faults {
        hold: true,
        ..Faults::default()
    });
    let limits = CorridorLimits {
        request_ms: 60_000,
        ..FAST
    };
    let patient = bench.corridor_with(limits);
    let begun = tokio::time::Instant::now();
    let error = bench
        .call_at(
            &patient,
            "meta_list_ad_accounts",
            json!({}),
            begun + Duration::from_millis(50),
        )
        .await
        .unwrap_err();
    assert_eq!(error.reason(), Reason::DeadlineExceeded);
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_slow_answer_is_given_up_and_asked_for_again() {
    let bench = Bench::with(
        &[("act_1001", "EUR")],
        SANDBOX_TOKEN,
        CorridorLimits {
            request_ms: 20,
            ..FAST
        },
    )
    .await;
    bench.fake.set_faults(Faults {
        hold: true,
        ..Faults::default()
    });
    let error = bench
        .call("meta_list_ad_accounts", json!({}))
        .await
        .unwrap_err();
    assert_eq!(error.reason(), Reason::DeadlineExceeded);
    assert_eq!(bench.fake.requests().len(), 3);
}

#[tokio::test]
async fn an_unreachable_vendor_is_unavailable() {
    let bench = Bench::start().await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let corridor = bench.corridor_to(&format!("http://{address}"), FAST);
    let error = bench
        .call_at(&corridor, "meta_list_ad_accounts", json!({}), at(10_000))
        .await
        .unwrap_err();
    assert_eq!(error.reason(), Reason::VendorUnavailable);
    assert!(!error.to_string().contains("127.0.0.1"), "{error}");
}

#[tokio::test]
async fn an_expired_token_asks_for_a_reconnect() {
    let bench = Bench::with(&[("act_1001", "EUR")], EXPIRED_TOKEN, FAST).await;
    let error = bench.campaigns().await.unwrap_err();
    assert_eq!(error.reason(), Reason::ReconnectRequired);
    assert_eq!(
        bench.fake.requests().len(),
        1,
        "a dead token is not tried again"
    );
}

#[tokio::test]
async fn another_version_than_the_pinned_one_is_a_warning() {
    let bench = Bench::start().await;
    let answer = bench.campaigns().await.unwrap();
    assert_eq!(
        (answer.version_served.as_deref(), answer.warnings),
        (Some("v26.0"), vec![])
    );
    bench.fake.set_faults(Faults {
        served_version: Some("v27.0".into()),
        ..Faults::default()
    });
    let answer = bench.campaigns().await.unwrap();
    let drift = Warning::VersionDrift {
        pinned: "v26.0".into(),
        served: "v27.0".into(),
    };
    assert_eq!(
        (answer.version_served.as_deref(), answer.warnings),
        (Some("v27.0"), vec![drift])
    );
}

#[tokio::test]
async fn every_code_of_the_throttles_is_one() {
    let bench = Bench::start().await;
    let codes = [
        (4, None),
        (4, Some(1_504_022)),
        (4, Some(1_504_039)),
        (17, Some(2_446_079)),
        (17, Some(1_885_172)),
        (32, None),
        (341, None),
        (613, None),
        (613, Some(1_487_632)),
        (613, Some(1_487_742)),
        (100, Some(1_487_225)),
        (80_000, None),
        (80_001, None),
        (80_002, None),
        (80_003, None),
        (80_004, None),
        (80_005, None),
        (80_006, None),
        (80_008, None),
        (80_009, None),
        (80_014, None),
    ];
    for code in codes {
        let fail = Some(Fault::Code);
        bench.fake.set_faults(Faults {
            fail,
            code,
            ..Faults::default()
        });
        let error = bench
            .call("meta_list_ad_accounts", json!({}))
            .await
            .unwrap_err();
        assert_eq!(error.reason(), Reason::VendorThrottled, "{code:?}: {error}");
    }
}

#[tokio::test]
async fn a_quota_that_is_all_but_used_up_holds_calls_back() {
    let bench = Bench::start().await;
    bench.confirm("act_1001").await;
    bench.confirm("act_1002").await;
    bench.fake.set_faults(Faults {
        fail: Some(Fault::Throttled),
        ..Faults::default()
    });
    assert_eq!(
        bench.campaigns().await.unwrap_err().reason(),
        Reason::VendorThrottled
    );
    bench.fake.set_faults(Faults::default());
    bench.fake.forget_requests();
    let held = bench.campaigns().await.unwrap_err();
    assert!(
        matches!(&held, CallError::HeldBack { bucket, used_percent: 100, .. } if bucket == "account")
    );
    let refusal = held.refusal();
    assert_eq!(refusal.reason, Reason::VendorThrottled);
    assert!(
        refusal
            .retry_after_ms
            .is_some_and(|wait| wait > 0 && wait <= 100_000),
        "{refusal:?}"
    );
    assert_eq!(bench.fake.requests(), [], "the vendor was not asked");
    let other = json!({"account": "act_1002"});
    bench
        .call("meta_list_campaigns", other)
        .await
        .expect("another account has its own quota");
}

#[tokio::test]
async fn the_version_alarm_is_logged_once_for_each_change() {
    let (log, _guard) = crate::bench::capture_log();
    let bench = Bench::start().await;
    let warning = "The call has been auto-upgraded to v27.0 as v26.0 will be deprecated.";
    for version_warning in [Some(warning.to_owned()), None] {
        bench.fake.set_faults(Faults {
            version_warning,
            ..Faults::default()
        });
        for _ in 0..3 {
            bench.campaigns().await.unwrap();
        }
    }
    assert_eq!(log.text().matches(warning).count(), 1, "{}", log.text());
    assert_eq!(
        log.text()
            .matches("serves the pinned version again")
            .count(),
        1
    );
    assert_eq!(bench.corridor.alarm(), []);
}
