//! Changes of what there is: names, bids, times, and what is not a change.

use reqwest::Method;
use serde_json::json;
use tenantry_fakes::meta::READ_ONLY_TOKEN;

use crate::bench::{Bench, answer, codes};

const SPRING: &str = "12001001001";
const AD_SET: &str = "120010010041";
const AD: &str = "1200100100411";

#[tokio::test]
async fn what_is_written_is_read_at_once() {
    let bench = Bench::start().await;
    bench.fake.advance(60);
    for id in [SPRING, AD_SET, AD] {
        let told = bench.post(id, &[("name", "Another name")]).await;
        assert_eq!(told, (200, json!({"success": true})), "{id}");
        let (_, row) = bench.get(&format!("{id}?fields=name,updated_time")).await;
        let now = json!({"id": id, "name": "Another name",
            "updated_time": "2026-11-23T12:01:00+0000"});
        assert_eq!(row, now);
    }
}

#[tokio::test]
async fn a_write_in_json_is_one_as_well() {
    let bench = Bench::start().await;
    let request = bench.request(Method::POST, SPRING);
    let told = answer(request.json(&json!({"daily_budget": 6000, "name": "JSON"}))).await;
    assert_eq!(told, (200, json!({"success": true})));
    assert_eq!(bench.field(SPRING, "daily_budget"), "6000");
    assert_eq!(bench.field(SPRING, "name"), "JSON");
}

#[tokio::test]
async fn a_dry_run_judges_and_changes_nothing() {
    let bench = Bench::start().await;
    let before = bench.fake.object(AD_SET);
    let dry = ("execution_options", "[\"validate_only\"]");
    let told = bench.post(AD_SET, &[("daily_budget", "4000"), dry]).await;
    assert_eq!(told, (200, json!({"success": true})));
    let refused = bench.refused(AD_SET, &[("daily_budget", "1"), dry]).await;
    assert_eq!(refused, (100, Some(1_885_272)));
    let odd = ("execution_options", "[\"sometimes\"]");
    assert_eq!(bench.refused(AD_SET, &[odd]).await, (100, None));
    assert_eq!(bench.fake.object(AD_SET), before);
    assert_eq!(bench.effects(), []);
}

#[tokio::test]
async fn bids_and_strategies_belong_together() {
    let bench = Bench::start().await;
    let told = bench.post(AD_SET, &[("bid_amount", "300")]).await;
    assert_eq!(told.1, json!({"success": true}));
    assert_eq!(bench.field(AD_SET, "bid_amount"), 300);
    for (form, refusal) in [
        (&[("bid_amount", "0")][..], (100, None)),
        (&[("bid_amount", "-1")], (100, None)),
        (&[("bid_strategy", "HIGHEST_COST")], (100, None)),
        (
            &[
                ("bid_strategy", "LOWEST_COST_WITHOUT_CAP"),
                ("bid_amount", "5"),
            ],
            (100, Some(2_446_149)),
        ),
    ] {
        assert_eq!(bench.refused(AD_SET, form).await, refusal, "{form:?}");
    }
    let uncapped = [("bid_strategy", "LOWEST_COST_WITHOUT_CAP")];
    bench.post(AD_SET, &uncapped).await;
    assert_eq!(bench.field(AD_SET, "bid_amount"), json!(null));
    let capped = [("bid_strategy", "COST_CAP")];
    let refusal = bench.refused(AD_SET, &capped).await;
    assert_eq!(refusal, (100, Some(1_815_857)));
    // Without a budget of its own a campaign has no strategy either.
    assert_eq!(bench.refused("12001001004", &capped).await, (100, None));
}

#[tokio::test]
async fn times_are_in_order_and_a_lifetime_budget_keeps_its_end() {
    let bench = Bench::start().await;
    let end = [("end_time", "2026-12-24T00:00:00+0100")];
    assert_eq!(bench.post(AD_SET, &end).await.0, 200);
    assert_eq!(bench.field(AD_SET, "end_time"), "2026-12-23T23:00:00+0000");
    assert_eq!(bench.post(AD_SET, &[("end_time", "0")]).await.0, 200);
    assert_eq!(bench.field(AD_SET, "end_time"), json!(null));
    let stop = [("stop_time", "1798758000")];
    assert_eq!(bench.post(SPRING, &stop).await.0, 200);
    assert_eq!(bench.field(SPRING, "stop_time"), "2026-12-31T23:00:00+0000");
    for form in [
        [("end_time", "2026-11-23T11:00:00+0000")],
        [("end_time", "soon")],
        [("start_time", "2026-12-01T00:00:00+0000")],
        [("stop_time", "1798758000")],
    ] {
        assert_eq!(bench.refused(AD_SET, &form).await, (100, None), "{form:?}");
    }
    let lifetime = "12001001002";
    let refusal = bench.refused(lifetime, &[("stop_time", "0")]).await;
    assert_eq!(refusal, (100, None));
}

#[tokio::test]
async fn a_write_without_the_permission_or_to_strangers_is_refused() {
    let bench = Bench::start().await;
    let form = [("name", "Mine now")];
    let request = bench.request_of(READ_ONLY_TOKEN, Method::POST, SPRING);
    let (status, body) = answer(request.form(&form)).await;
    assert_eq!((status, codes(&body)), (400, (200, None)));
    let request = bench.request_of(READ_ONLY_TOKEN, Method::GET, SPRING);
    assert_eq!(answer(request).await.0, 200);
    bench.fake.grant("EAAOther", &["act_1002"]);
    let request = bench.request_of("EAAOther", Method::POST, SPRING);
    let (_, body) = answer(request.form(&form)).await;
    assert_eq!(codes(&body), (100, Some(33)));
    let message = body["error"]["message"].as_str().unwrap();
    assert!(message.starts_with("Unsupported post request."));
    assert_eq!(bench.effects(), []);
}

#[tokio::test]
async fn parameters_that_nobody_knows_are_refused_by_name() {
    let bench = Bench::start().await;
    for (id, form) in [
        (SPRING, [("bid_amount", "5")]),
        (SPRING, [("dayly_budget", "500")]),
        (SPRING, [("name", "")]),
        (AD, [("daily_budget", "500")]),
        (AD_SET, [("status", "RUNNING")]),
    ] {
        let (_, body) = bench.post(id, &form).await;
        assert_eq!(codes(&body), (100, None), "{form:?}");
        let blamed = body["error"]["error_data"].as_str().unwrap();
        assert!(blamed.contains(form[0].0), "{blamed}");
    }
}
