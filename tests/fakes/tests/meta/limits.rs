//! How much may be asked for, and how long who asked too much waits.

use reqwest::Method;
use serde_json::Value;
use tenantry_fakes::meta::{Faults, Tier};

use crate::bench::{Bench, codes};

const AD_SET: &str = "120010010041";

/// The refusal, and what two headers say: account and use case.
async fn usage(bench: &Bench, method: Method) -> ((i64, Option<i64>), Value, Value) {
    let request = bench.request(method, AD_SET).form(&[("name", "x")]);
    let response = request.send().await.unwrap();
    let header = |name: &str| -> Value {
        let text = response.headers()[name].to_str().unwrap();
        serde_json::from_str(text).unwrap()
    };
    let account = header("x-ad-account-usage");
    let use_case = header("x-business-use-case-usage")["1001"][0].clone();
    (codes(&response.json().await.unwrap()), account, use_case)
}

async fn with_tier(tier: Tier) -> Bench {
    let bench = Bench::start().await;
    bench.fake.set_faults(Faults {
        tier: Some(tier),
        ..Faults::default()
    });
    bench
}

#[tokio::test]
async fn a_write_costs_three_points_and_a_read_one() {
    let bench = with_tier(Tier::Development).await;
    let mut percents = Vec::new();
    for method in [Method::POST, Method::GET, Method::POST, Method::GET] {
        let (_, account, _) = usage(&bench, method).await;
        percents.push(account["acc_id_util_pct"].as_u64().unwrap());
        assert_eq!(account["ads_api_access_tier"], "development_access");
    }
    // Of 60 points before each: 0, 3, 4 and 7.
    assert_eq!(percents, [0, 5, 6, 11]);
}

#[tokio::test]
async fn a_full_score_blocks_and_decays() {
    let bench = with_tier(Tier::Development).await;
    for _ in 0..20 {
        let (refusal, ..) = usage(&bench, Method::POST).await;
        assert_eq!(refusal, (0, None));
    }
    let throttled = (17, Some(2_446_079));
    let (refusal, account, _) = usage(&bench, Method::GET).await;
    assert_eq!(refusal, throttled);
    assert_eq!(
        (&account["acc_id_util_pct"], &account["reset_time_duration"]),
        (&100.into(), &300.into())
    );
    bench.fake.advance(299);
    let (refusal, account, _) = usage(&bench, Method::POST).await;
    assert_eq!(
        (refusal, &account["reset_time_duration"]),
        (throttled, &1.into())
    );
    bench.fake.advance(1);
    let (refusal, account, _) = usage(&bench, Method::POST).await;
    assert_eq!(refusal, (0, None));
    assert_eq!(account["acc_id_util_pct"], 0);
    assert_eq!(
        bench.effects().len(),
        21,
        "what is throttled does not come about"
    );
}

#[tokio::test]
async fn half_the_time_forgets_half_the_score() {
    let bench = with_tier(Tier::Development).await;
    for _ in 0..10 {
        usage(&bench, Method::POST).await;
    }
    bench.fake.advance(75);
    let (_, account, _) = usage(&bench, Method::GET).await;
    assert_eq!(
        account["acc_id_util_pct"], 25,
        "15 of the 30 points are left"
    );
}

#[tokio::test]
async fn an_hour_of_an_account_is_used_up_in_minutes() {
    let bench = with_tier(Tier::Development).await;
    // 300 calls, and 40 for each of the eight ads that run.
    for _ in 0..620 {
        let (refusal, ..) = usage(&bench, Method::GET).await;
        assert_eq!(refusal, (0, None));
        bench.fake.advance(5);
    }
    let (refusal, _, use_case) = usage(&bench, Method::GET).await;
    assert_eq!(refusal, (80_004, Some(2_446_079)));
    assert_eq!(use_case["estimated_time_to_regain_access"], 9);
    bench.fake.advance(500);
    assert_eq!(usage(&bench, Method::GET).await.0, (0, None));
}

#[tokio::test]
async fn standard_access_blocks_for_a_minute() {
    let bench = Bench::start().await;
    bench.fake.set_faults(Faults {
        tier: Some(Tier::Standard),
        most_score: Some(3),
        ..Faults::default()
    });
    usage(&bench, Method::POST).await;
    let (refusal, account, _) = usage(&bench, Method::GET).await;
    assert_eq!(refusal, (17, Some(2_446_079)));
    assert_eq!(account["reset_time_duration"], 60);
    bench.fake.advance(60);
    assert_eq!(usage(&bench, Method::GET).await.0, (0, None));
}
