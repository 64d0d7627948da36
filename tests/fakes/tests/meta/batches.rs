//! Many requests in one.

use reqwest::Method;
use serde_json::{Value, json};
use tenantry_fakes::meta::{Answers, Applies, Order, SANDBOX_TOKEN};

use crate::bench::{Bench, codes};

const AD_SET: &str = "120010010041";

fn budget(id: &str, amount: &str) -> Value {
    json!({"method": "POST", "relative_url": id, "body": format!("daily_budget={amount}")})
}

async fn batch(bench: &Bench, parts: &[Value]) -> (u16, Value) {
    let text = Value::from(parts.to_vec()).to_string();
    bench.post("", &[("batch", &text)]).await
}

#[tokio::test]
async fn each_part_is_answered_by_itself() {
    let bench = Bench::start().await;
    let parts = [
        budget(AD_SET, "2500"),
        budget("120010010042", "1"),
        json!({"method": "GET", "relative_url": format!("v26.0/{AD_SET}?fields=daily_budget")}),
    ];
    let (status, answers) = batch(&bench, &parts).await;
    assert_eq!(status, 200);
    let told = |at: usize| -> (Value, Value) {
        let body = answers[at]["body"].as_str().unwrap();
        (
            answers[at]["code"].clone(),
            serde_json::from_str(body).unwrap(),
        )
    };
    assert_eq!(told(0), (json!(200), json!({"success": true})));
    let (code, refusal) = told(1);
    assert_eq!(
        (code, codes(&refusal)),
        (json!(400), (100, Some(1_885_272)))
    );
    assert_eq!(told(2).1, json!({"id": AD_SET, "daily_budget": "2500"}));
    assert_eq!(bench.effects().len(), 1);
    assert_eq!(bench.fake.requests().len(), 1);
}

#[tokio::test]
async fn a_part_that_took_too_long_is_null_whether_it_came_about_or_not() {
    for (applies, effects) in [(Applies::AtOnce, 2), (Applies::Never, 1)] {
        let bench = Bench::start().await;
        let order = Order::next_write(applies, Answers::Hang);
        bench.fake.order(Order { skip: 1, ..order });
        let parts = [budget(AD_SET, "2500"), budget("120010010042", "2600")];
        let (_, answers) = batch(&bench, &parts).await;
        assert_eq!(
            (&answers[0]["code"], &answers[1]),
            (&json!(200), &Value::Null)
        );
        assert_eq!(bench.effects().len(), effects);
    }
}

#[tokio::test]
async fn a_batch_is_a_list_of_fifty_at_most() {
    let bench = Bench::start().await;
    let part = json!({"method": "GET", "relative_url": "me/adaccounts"});
    let (_, answers) = batch(&bench, &vec![part.clone(); 50]).await;
    assert_eq!(answers.as_array().unwrap().len(), 50);
    let (status, body) = batch(&bench, &vec![part; 51]).await;
    assert_eq!((status, codes(&body)), (400, (100, None)));
    assert_eq!(bench.refused("", &[("batch", "{}")]).await, (100, None));
}

#[tokio::test]
async fn tokens_in_parts_count_and_stay_out_of_the_log() {
    let bench = Bench::start().await;
    let part = |token: &str| {
        let url = format!("{AD_SET}?access_token={token}");
        json!({"method": "GET", "relative_url": url})
    };
    let (_, answers) = batch(&bench, &[part(SANDBOX_TOKEN), part("EAANobody")]).await;
    assert_eq!(
        (&answers[0]["code"], &answers[1]["code"]),
        (&json!(200), &json!(401))
    );
    let (_, log) = bench.control(Method::GET, "requests", &Value::Null).await;
    assert!(!log.to_string().contains(SANDBOX_TOKEN));
}
