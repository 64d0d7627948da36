//! Orders for single requests: what comes about and what is heard are two things.

use reqwest::Method;
use serde_json::{Value, json};
use tenantry_fakes::meta::{Answers, Applies, Fault, Faults, Order};

use crate::bench::{Bench, codes, until};

const AD_SET: &str = "120010010041";
const FORM: &[(&str, &str)] = &[("daily_budget", "2500")];

async fn ordered(applies: Applies, answers: Answers) -> Bench {
    let bench = Bench::start().await;
    bench.fake.order(Order::next_write(applies, answers));
    bench
}

#[tokio::test]
async fn an_error_tells_nothing_of_what_came_about() {
    for (applies, budget) in [(Applies::AtOnce, "2500"), (Applies::Never, "2000")] {
        for (fault, status) in [
            (Fault::Throttled, 400),
            (Fault::InternalError, 500),
            (Fault::Unavailable, 503),
            (Fault::TokenExpired, 401),
        ] {
            let bench = ordered(applies, Answers::Fault(fault)).await;
            // Reads are not meant.
            assert_eq!(bench.get(AD_SET).await.0, 200);
            assert_eq!(bench.post(AD_SET, FORM).await.0, status);
            assert_eq!(bench.field(AD_SET, "daily_budget"), budget, "{fault:?}");
            assert_eq!(bench.post(AD_SET, FORM).await.0, 200, "it strikes once");
        }
    }
}

#[tokio::test]
async fn a_success_can_be_a_lie() {
    let bench = ordered(Applies::Never, Answers::Success).await;
    let told = bench.post(AD_SET, FORM).await;
    assert_eq!(told, (200, json!({"success": true})));
    assert_eq!(bench.field(AD_SET, "daily_budget"), "2000");
    assert_eq!(bench.effects(), []);
}

#[tokio::test]
async fn an_error_can_come_with_status_200() {
    let bench = Bench::start().await;
    let order = Order::next_write(Applies::AtOnce, Answers::Fault(Fault::Code));
    bench.fake.order(Order {
        code: (2, Some(99)),
        as_success: true,
        ..order
    });
    let (status, body) = bench.post(AD_SET, FORM).await;
    assert_eq!((status, codes(&body)), (200, (2, Some(99))));
    assert_eq!(bench.effects().len(), 1);
}

#[tokio::test]
async fn a_connection_breaks_without_a_byte() {
    for (applies, effects) in [(Applies::AtOnce, 1), (Applies::Never, 0)] {
        let bench = ordered(applies, Answers::Break).await;
        // On a connection that is in use already.
        assert_eq!(bench.get(AD_SET).await.0, 200);
        let sent = bench.request(Method::POST, AD_SET).form(FORM).send().await;
        let error = sent.unwrap_err();
        assert!(error.is_request() && !error.is_connect(), "{error:?}");
        assert_eq!(bench.effects().len(), effects);
        let statuses = bench.fake.requests().into_iter().map(|one| one.status);
        assert_eq!(statuses.collect::<Vec<_>>(), [200, 0]);
        assert_eq!(bench.get(AD_SET).await.0, 200, "the next one is answered");
    }
}

#[tokio::test]
async fn a_request_hangs_before_or_after_it_came_about() {
    for (applies, effects) in [(Applies::AtOnce, 1), (Applies::Never, 0)] {
        let bench = ordered(applies, Answers::Hang).await;
        let waiting = bench.send(AD_SET, FORM);
        until("the order struck", || bench.fake.open_orders().is_empty()).await;
        assert_eq!(bench.get(AD_SET).await.0, 200);
        assert_eq!(bench.effects().len(), effects);
        assert!(!waiting.is_finished());
        waiting.abort();
    }
}

#[tokio::test]
async fn a_change_comes_about_late_when_the_test_says_so() {
    let answers = Answers::Fault(Fault::Unavailable);
    let bench = ordered(Applies::WhenReleased, answers).await;
    assert_eq!(bench.post(AD_SET, FORM).await.0, 503);
    let request = bench.fake.requests()[0].request_id.clone();
    assert_eq!(bench.field(AD_SET, "daily_budget"), "2000");
    bench.fake.advance(30);
    assert_eq!(bench.fake.release(), 1);
    assert_eq!(bench.field(AD_SET, "daily_budget"), "2500");
    let effect = &bench.fake.effects()[0];
    assert_eq!(
        (effect.at.as_str(), &effect.request),
        ("2026-11-23T12:00:30+0000", &request)
    );
    assert_eq!(bench.fake.release(), 0, "and once");
}

#[tokio::test]
async fn a_late_change_is_judged_when_it_comes_about() {
    let bench = ordered(Applies::WhenReleased, Answers::Success).await;
    bench.post(AD_SET, FORM).await;
    bench.post(AD_SET, &[("status", "DELETED")]).await;
    assert_eq!(bench.fake.release(), 1);
    assert_eq!(bench.field(AD_SET, "daily_budget"), "2000");
    assert_eq!(bench.effects().len(), 1);
}

#[tokio::test]
async fn an_order_picks_its_requests() {
    let bench = Bench::start().await;
    let order = Order::next_write(Applies::Never, Answers::Fault(Fault::Transient));
    bench.fake.order(Order {
        path: Some(AD_SET.into()),
        parameter: Some("daily_budget".into()),
        skip: 1,
        times: 2,
        ..order
    });
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(bench.post(AD_SET, FORM).await.0);
        assert_eq!(bench.post(AD_SET, &[("name", "x")]).await.0, 200);
        assert_eq!(bench.post("120010010042", FORM).await.0, 200);
    }
    assert_eq!(statuses, [200, 400, 400, 200]);
}

#[tokio::test]
async fn orders_are_given_over_http() {
    let bench = Bench::start().await;
    let order = json!({"applies": "when_released", "answers": {"fault": "internal_error"},
        "method": "POST"});
    for _ in 0..2 {
        let given = bench.control(Method::POST, "orders", &order).await;
        assert_eq!(given.0, 204);
    }
    assert_eq!(bench.post(AD_SET, FORM).await.0, 500);
    let (_, open) = bench.control(Method::GET, "orders", &Value::Null).await;
    assert_eq!(open.as_array().unwrap().len(), 1);
    let taken = bench.control(Method::DELETE, "orders", &Value::Null).await;
    assert_eq!(taken.0, 204);
    let (_, released) = bench.control(Method::POST, "release", &Value::Null).await;
    assert_eq!(released, json!({"released": 1}));
    assert_eq!(bench.effects().len(), 1);
    let odd = json!({"applies": "sometimes", "answers": "hang"});
    assert_eq!(bench.control(Method::POST, "orders", &odd).await.0, 400);
}

#[tokio::test]
async fn stale_reads_show_what_was_before_the_last_write() {
    let bench = Bench::start().await;
    bench.fake.set_faults(Faults {
        stale_reads: 2,
        ..Faults::default()
    });
    bench.post(AD_SET, FORM).await;
    let mut seen = Vec::new();
    let tree = "12001001004?fields=adsets.limit(1){daily_budget}";
    for _ in 0..3 {
        let (_, body) = bench.get(tree).await;
        seen.push(body["adsets"]["data"][0]["daily_budget"].clone());
    }
    assert_eq!(seen, ["2000", "2000", "2500"]);
    assert_eq!(bench.field(AD_SET, "daily_budget"), "2500");
}
