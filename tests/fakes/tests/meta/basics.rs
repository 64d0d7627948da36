//! The fake speaks Meta's wire format, dangers included, and its log tells the truth.

use reqwest::Method;
use serde_json::{Value, json};
use tenantry_fakes::meta::{Fault, Faults, Logged, SANDBOX_TOKEN, TokenPlace};

use crate::bench::{ask, start};

#[tokio::test]
async fn a_get_with_a_method_parameter_changes_the_campaign() {
    let (fake, client) = start().await;
    let campaign = format!("{}/v26.0/12001001001", fake.url());
    let (_, told) = ask(
        &client,
        Method::GET,
        format!("{campaign}?method=post&daily_budget=199"),
    )
    .await;
    assert_eq!(told, json!({"success": true}));
    let (_, row) = ask(
        &client,
        Method::GET,
        format!("{campaign}?fields=daily_budget"),
    )
    .await;
    assert_eq!(row, json!({"id": "12001001001", "daily_budget": "199"}));
    let logged = fake.requests();
    assert_eq!(
        (logged[0].wire_method.as_str(), logged[0].method.as_str()),
        ("GET", "POST")
    );
}

#[tokio::test]
async fn a_token_in_the_url_works_and_is_flagged_without_being_logged() {
    let (fake, client) = start().await;
    let url = format!(
        "{}/v26.0/me/adaccounts?access_token={SANDBOX_TOKEN}",
        fake.url()
    );
    let response = client.get(url).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let text = client
        .get(format!("{}/_oracle/requests", fake.url()))
        .send()
        .await
        .unwrap()
        .text()
        .await;
    let text = text.unwrap();
    let logged: Vec<Logged> = serde_json::from_str(&text).unwrap();
    assert_eq!(logged[0].token, TokenPlace::Parameter);
    assert!(!text.contains(SANDBOX_TOKEN));
}

#[tokio::test]
async fn switches_and_the_log_work_over_http() {
    let (fake, client) = start().await;
    let oracle = |path: &str| format!("{}/_oracle/{path}", fake.url());
    let expired = json!({"fail": "token_expired", "fail_times": 1});
    let put = client
        .put(oracle("faults"))
        .json(&expired)
        .send()
        .await
        .unwrap();
    assert_eq!(put.status(), 204);
    let accounts = format!("{}/v26.0/me/adaccounts", fake.url());
    let (status, body) = ask(&client, Method::GET, accounts.clone()).await;
    assert_eq!(
        (
            status,
            &body["error"]["code"],
            &body["error"]["error_subcode"]
        ),
        (401, &json!(190), &json!(463))
    );
    assert_eq!(ask(&client, Method::GET, accounts).await.0, 200);
    assert_eq!(
        fake.requests()
            .iter()
            .map(|one| one.status)
            .collect::<Vec<_>>(),
        [401, 200]
    );
    assert_eq!(
        client
            .delete(oracle("requests"))
            .send()
            .await
            .unwrap()
            .status(),
        204
    );
    assert_eq!(fake.requests(), []);
    let odd = client
        .put(oracle("faults"))
        .json(&json!({"fial": "reset"}))
        .send()
        .await
        .unwrap();
    assert!(
        odd.status().is_client_error(),
        "a switch that does not exist is refused"
    );
}

#[tokio::test]
async fn usage_headers_rise_with_every_answer() {
    let (fake, client) = start().await;
    fake.set_faults(Faults {
        most_app_calls: Some(100),
        ..Faults::default()
    });
    let mut seen = Vec::new();
    for _ in 0..3 {
        let url = format!("{}/v26.0/act_1001?fields=currency", fake.url());
        let response = client
            .get(url)
            .bearer_auth(SANDBOX_TOKEN)
            .send()
            .await
            .unwrap();
        assert!(response.headers().get("retry-after").is_none());
        let usage = response.headers()["x-app-usage"].to_str().unwrap();
        seen.push(
            serde_json::from_str::<Value>(usage).unwrap()["call_count"]
                .as_u64()
                .unwrap(),
        );
    }
    assert_eq!(seen, [1, 2, 3]);
}

#[tokio::test]
async fn unknown_fields_limits_and_accounts_are_errors_of_meta() {
    let (fake, client) = start().await;
    let questions = [
        ("act_1001/campaigns?fields=id,nonsense", 100),
        ("act_1001/campaigns?limit=0", 100),
        ("act_1001/campaigns?after=x", 100),
        ("act_9999/campaigns", 100),
        ("nowhere/at/all", 2500),
    ];
    for (path, code) in questions {
        let (status, body) =
            ask(&client, Method::GET, format!("{}/v26.0/{path}", fake.url())).await;
        assert_eq!(
            (status, &body["error"]["code"]),
            (400, &json!(code)),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_next_page_carries_the_token_as_the_real_one_does() {
    let (fake, client) = start().await;
    let (_, body) = ask(
        &client,
        Method::GET,
        format!("{}/v26.0/me/adaccounts?limit=1", fake.url()),
    )
    .await;
    assert!(
        body["paging"]["next"]
            .as_str()
            .unwrap()
            .contains(SANDBOX_TOKEN)
    );
}

#[tokio::test]
async fn held_requests_arrive_but_wait() {
    let (fake, client) = start().await;
    fake.set_faults(Faults {
        hold: true,
        ..Faults::default()
    });
    let url = format!("{}/v26.0/me/adaccounts", fake.url());
    let waiting = tokio::spawn(async move { ask(&client, Method::GET, url).await.0 });
    fake.arrived(1).await;
    assert_eq!(fake.requests()[0].status, 0);
    fake.set_faults(Faults {
        fail: Some(Fault::Unavailable),
        ..Faults::default()
    });
    assert_eq!(
        waiting.await.unwrap(),
        503,
        "the switches count when the answer is made"
    );
}
