//! What tools answer, and how they come from page to page.

use serde_json::{Value, json};
use tenantry_core::reason::Reason;
use tenantry_fakes::meta::{Faults, TokenPlace};

use crate::bench::Bench;

#[tokio::test]
async fn accounts_outside_the_allow_list_do_not_exist() {
    let bench = Bench::start().await;
    let answer = bench
        .call("meta_list_ad_accounts", json!({}))
        .await
        .unwrap();
    assert_eq!(
        answer.data,
        json!({"accounts": [
            {
                "id": "act_1001", "name": "Acme Berlin", "currency": "EUR",
                "time_zone": "Europe/Berlin", "status": "active",
                "amount_spent": {"amount": "1234.56", "currency": "EUR"},
                "balance": {"amount": "25.50", "currency": "EUR"},
                "spend_cap": {"amount": "2500.00", "currency": "EUR"},
                "min_daily_budget": {"amount": "1.00", "currency": "EUR"},
            },
            {
                "id": "act_1002", "name": "Acme Taipei", "currency": "TWD",
                "time_zone": "Asia/Taipei", "status": "active",
                "amount_spent": {"amount": "123456.00", "currency": "TWD"},
                "balance": {"amount": "2550.00", "currency": "TWD"},
                "min_daily_budget": {"amount": "100.00", "currency": "TWD"},
            },
        ]})
    );
    assert_eq!(answer.requests, 1);
    assert!(bench.corridor.own("act_2001").is_none());
}

#[tokio::test]
async fn budgets_are_amounts_in_the_accounts_currency() {
    let bench = Bench::start().await;
    let budget = |data: &Value, name: &str| {
        let rows = data["campaigns"].as_array().unwrap().clone();
        rows.into_iter().find(|row| row["name"] == name).unwrap()["daily_budget"].clone()
    };
    let berlin = bench
        .call("meta_list_campaigns", json!({"account": "act_1001"}))
        .await
        .unwrap();
    assert_eq!(
        budget(&berlin.data, "Spring sale"),
        json!({"amount": "50.00", "currency": "EUR"})
    );
    assert_eq!(budget(&berlin.data, "Retargeting"), Value::Null);
    let taipei = bench
        .call("meta_list_campaigns", json!({"account": "act_1002"}))
        .await
        .unwrap();
    assert_eq!(
        budget(&taipei.data, "Night market"),
        json!({"amount": "300.00", "currency": "TWD"})
    );
}

#[tokio::test]
async fn spend_is_an_amount_and_counts_are_numbers() {
    let bench = Bench::start().await;
    let range = json!({"since": "2026-11-01", "until": "2026-11-07"});
    let asked =
        json!({"account": "act_1002", "level": "campaign", "limit": 1, "time_range": range});
    let answer = bench.call("meta_get_insights", asked).await.unwrap();
    assert_eq!(
        answer.data,
        json!({
            "insights": [{
                "campaign_id": "12001002001", "campaign_name": "Night market",
                "date_start": "2026-11-01", "date_stop": "2026-11-07",
                "spend": {"amount": "2100.00", "currency": "TWD"},
                "impressions": 18233, "clicks": 412, "reach": 15001,
                "frequency": "1.215452", "ctr": "2.259639", "cpc": "5.097087", "cpm": "115.17578",
                "actions": [
                    {"action_type": "link_click", "value": "377"},
                    {"action_type": "purchase", "value": "12"},
                ],
            }],
            "next_cursor": "QVFI1ZD",
        })
    );
}

#[tokio::test]
async fn every_answer_matches_its_output_schema() {
    let bench = Bench::start().await;
    let calls = [
        ("meta_list_ad_accounts", json!({})),
        (
            "meta_list_campaigns",
            json!({"account": "act_1001", "limit": 2}),
        ),
        (
            "meta_get_insights",
            json!({"account": "act_1001", "level": "account"}),
        ),
        (
            "meta_get_insights",
            json!({"account": "act_1001", "level": "ad"}),
        ),
        (
            "meta_get_insights",
            json!({"campaign_id": "12001001001", "level": "adset", "breakdowns": ["age", "gender"]}),
        ),
        ("meta_get_campaign", json!({"campaign_id": "12001001001"})),
        ("meta_list_ad_sets", json!({"account": "act_1001"})),
        ("meta_get_ad_set", json!({"ad_set_id": "120010010041"})),
        ("meta_list_ads", json!({"ad_set_id": "120010010041"})),
        ("meta_get_ad", json!({"ad_id": "1200100100411"})),
        ("meta_account_activity", json!({"account": "act_1002"})),
    ];
    for (tool, asked) in calls {
        let answer = bench.call(tool, asked).await.unwrap();
        let schema = Value::from(bench.tool(tool).output_schema.clone());
        jsonschema::draft202012::new(&schema)
            .unwrap()
            .validate(&answer.data)
            .unwrap();
    }
}

#[tokio::test]
async fn a_request_holds_what_the_plan_says_and_the_token_only_in_its_header() {
    let bench = Bench::start().await;
    let asked =
        json!({"account": "act_1001", "effective_status": ["ACTIVE", "PAUSED"], "limit": 3});
    bench.call("meta_list_campaigns", asked).await.unwrap();
    let requests = bench.fake.requests();
    assert_eq!(
        requests.len(),
        2,
        "one to confirm the currency, one to list"
    );
    assert_eq!(requests[0].path, "/v26.0/act_1001");
    assert_eq!(requests[1].path, "/v26.0/act_1001/campaigns");
    let parameters = &requests[1].parameters;
    let sent = |name: &str| {
        parameters
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    };
    assert_eq!(sent("effective_status"), Some(r#"["ACTIVE","PAUSED"]"#));
    assert_eq!(sent("limit"), Some("3"));
    assert_eq!(sent("after"), None);
    for request in requests {
        assert_eq!(
            (request.token, request.wire_method.as_str()),
            (TokenPlace::Header, "GET")
        );
    }
}

#[tokio::test]
async fn defaults_of_the_schema_are_sent() {
    let bench = Bench::start().await;
    bench
        .call("meta_list_ad_accounts", json!({}))
        .await
        .unwrap();
    let limit = ("limit".to_owned(), "25".to_owned());
    assert!(bench.fake.requests()[0].parameters.contains(&limit));
}

#[tokio::test]
async fn pages_add_up_to_the_whole_list() {
    let bench = Bench::start().await;
    let whole = bench.campaigns().await.unwrap().data["campaigns"].clone();
    for empty_page in [false, true] {
        bench.fake.set_faults(Faults {
            empty_page,
            ..Faults::default()
        });
        let (mut rows, mut asked) = (Vec::new(), json!({"account": "act_1001", "limit": 2}));
        loop {
            let answer = bench
                .call("meta_list_campaigns", asked.clone())
                .await
                .unwrap();
            rows.extend(answer.data["campaigns"].as_array().unwrap().clone());
            match answer.data.get("next_cursor") {
                Some(cursor) => asked["after"] = cursor.clone(),
                None => break,
            }
        }
        assert_eq!(Value::from(rows), whole, "with an empty page: {empty_page}");
    }
}

#[tokio::test]
async fn pages_are_followed_until_the_wanted_rows_are_there() {
    let bench = Bench::start().await;
    // The third account is left out, which the page before cannot know.
    let answer = bench
        .call(
            "meta_list_ad_accounts",
            json!({"limit": 1, "after": "QVFI2ZD"}),
        )
        .await
        .unwrap();
    assert_eq!(answer.data, json!({"accounts": []}));
    bench.fake.set_faults(Faults {
        empty_page: true,
        ..Faults::default()
    });
    let asked = json!({"account": "act_1001", "limit": 2, "after": "QVFI2ZD"});
    let answer = bench.call("meta_list_campaigns", asked).await.unwrap();
    assert_eq!(
        answer.data["campaigns"].as_array().unwrap().len(),
        2,
        "the empty page is passed over"
    );
    assert_eq!(answer.data["next_cursor"], "QVFI4ZD");
}

#[tokio::test]
async fn a_page_that_leads_to_itself_is_an_error() {
    let bench = Bench::start().await;
    bench.fake.set_faults(Faults {
        endless_pages: true,
        ..Faults::default()
    });
    let asked = json!({"account": "act_1001", "after": "QVFI0ZD", "limit": 3});
    let error = bench.call("meta_list_campaigns", asked).await.unwrap_err();
    assert_eq!(error.reason(), Reason::VendorAnswerInvalid);
}
