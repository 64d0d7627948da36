//! The log of what was changed, and the names of requests.

use reqwest::Method;
use serde_json::{Value, json};
use tenantry_fakes::meta::EffectKind;

use crate::bench::{Bench, answer, codes};

const AD_SET: &str = "120010010041";

#[tokio::test]
async fn each_part_of_a_change_is_logged_with_before_and_after() {
    let bench = Bench::start().await;
    let form = [
        ("name", "New"),
        ("daily_budget", "2500"),
        ("bid_amount", "260"),
        ("end_time", "2026-12-01T00:00:00+0000"),
        ("status", "PAUSED"),
    ];
    assert_eq!(bench.post(AD_SET, &form).await.0, 200);
    let start = "2026-10-01T00:00:00+0200";
    let strategy = "LOWEST_COST_WITH_BID_CAP";
    let told = |kind, before: Value, after: Value| (kind, AD_SET.to_owned(), before, after);
    let all = [
        told(
            EffectKind::Rename,
            json!({"name": "Retargeting / everyone"}),
            json!({"name": "New"}),
        ),
        told(
            EffectKind::SetBudget,
            json!({"daily_budget": "2000", "lifetime_budget": "0"}),
            json!({"daily_budget": "2500", "lifetime_budget": "0"}),
        ),
        told(
            EffectKind::SetBid,
            json!({"bid_amount": 250, "bid_strategy": strategy}),
            json!({"bid_amount": 260, "bid_strategy": strategy}),
        ),
        told(
            EffectKind::SetSchedule,
            json!({"start_time": start}),
            json!({"start_time": start, "end_time": "2026-12-01T00:00:00+0000"}),
        ),
        told(
            EffectKind::SetStatus,
            json!({"status": "ACTIVE"}),
            json!({"status": "PAUSED"}),
        ),
    ];
    assert_eq!(bench.effects(), all);
}

#[tokio::test]
async fn the_same_change_twice_is_two_effects() {
    let bench = Bench::start().await;
    for _ in 0..2 {
        bench.post(AD_SET, &[("daily_budget", "2500")]).await;
    }
    let effects = bench.fake.effects();
    assert_eq!(effects.len(), 2);
    assert_eq!(effects[1].before, effects[1].after);
    assert_eq!((effects[0].sequence, effects[1].sequence), (1, 2));
    assert_ne!(effects[0].request, effects[1].request);
}

#[tokio::test]
async fn the_log_is_read_over_http_and_outlives_the_requests() {
    let bench = Bench::start().await;
    let moved = json!({"advance_seconds": 90});
    assert_eq!(bench.control(Method::POST, "clock", &moved).await.0, 204);
    let (_, time) = bench.control(Method::GET, "clock", &json!({})).await;
    assert_eq!(time, json!({"now": "2026-11-23T12:01:30+0000"}));
    bench.post(AD_SET, &[("status", "PAUSED")]).await;
    let request = bench.fake.requests()[0].request_id.clone();
    bench.fake.forget_requests();
    let (_, effects) = bench.control(Method::GET, "effects", &json!({})).await;
    let effect = json!({
        "sequence": 1, "at": "2026-11-23T12:01:30+0000", "account": "act_1001",
        "object": AD_SET, "kind": "set_status", "before": {"status": "ACTIVE"},
        "after": {"status": "PAUSED"}, "request": request,
    });
    assert_eq!(effects, json!([effect]));
    let (status, _) = bench.control(Method::DELETE, "effects", &json!({})).await;
    assert_eq!(status, 405, "nothing is taken out of this log");
}

#[tokio::test]
async fn every_answer_names_its_request() {
    let bench = Bench::start().await;
    let mut seen = Vec::new();
    for path in ["me/adaccounts", "nowhere/at/all"] {
        let response = bench.request(Method::GET, path).send().await.unwrap();
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        let (request, trace) = (header("x-fb-request-id"), header("x-fb-trace-id"));
        let body: Value = response.json().await.unwrap();
        if codes(&body).0 != 0 {
            assert_eq!(body["error"]["fbtrace_id"], trace);
        }
        seen.push(request);
    }
    bench.fake.forget_requests();
    bench.get("me/adaccounts").await;
    seen.push(bench.fake.requests()[0].request_id.clone());
    seen.dedup();
    assert_eq!(seen.len(), 3);
}

#[tokio::test]
async fn readers_are_made_over_http() {
    let bench = Bench::start().await;
    let body = json!({"EAAReader": ["act_1001"]});
    assert_eq!(bench.control(Method::POST, "readers", &body).await.0, 204);
    let read = bench.request_of("EAAReader", Method::GET, AD_SET);
    assert_eq!(read.send().await.unwrap().status(), 200);
    let write = bench.request_of("EAAReader", Method::DELETE, AD_SET);
    assert_eq!(write.send().await.unwrap().status(), 400);
    let odd = json!({"advance_seconds": -1});
    assert_eq!(bench.control(Method::POST, "clock", &odd).await.0, 400);
}

#[tokio::test]
async fn accounts_of_any_currency_are_opened() {
    let bench = Bench::start().await;
    bench.fake.open("act_3001", "BHD");
    let more = json!({"act_3002": "JPY", "act_1001": "USD"});
    assert_eq!(bench.control(Method::POST, "accounts", &more).await.0, 204);
    let seen = ["act_3001", "act_3002", "act_1001"];
    bench.fake.grant("EAAOther", &seen);
    let mut currencies = Vec::new();
    for account in seen {
        let path = format!("{account}?fields=currency");
        let request = bench.request_of("EAAOther", Method::GET, &path);
        currencies.push(answer(request).await.1["currency"].clone());
    }
    assert_eq!(currencies, ["BHD", "JPY", "EUR"]);
    let request = bench.request_of("EAAOther", Method::POST, "12003002001");
    let told = answer(request.form(&[("daily_budget", "7000")])).await;
    assert_eq!(told, (200, json!({"success": true})));
}
