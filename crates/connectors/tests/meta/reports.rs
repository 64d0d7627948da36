//! Insights that are too large for one answer.

use serde_json::{Value, json};
use tenantry_core::reason::Reason;
use tenantry_fakes::meta::{Fault, Faults, TokenPlace};

use crate::bench::{Bench, at};

fn asked() -> Value {
    json!({"account": "act_1001", "level": "campaign", "breakdowns": ["age", "gender"], "limit": 7})
}

fn too_large() -> Faults {
    Faults {
        insights_too_large: true,
        report_polls: 3,
        ..Faults::default()
    }
}

#[tokio::test]
async fn what_is_too_large_comes_as_a_report_with_the_same_rows() {
    let bench = Bench::start().await;
    let at_once = bench.call("meta_get_insights", asked()).await.unwrap().data;
    assert_eq!(at_once["insights"].as_array().unwrap().len(), 7);
    bench.fake.forget_requests();
    bench.fake.set_faults(too_large());
    let report = bench.call("meta_get_insights", asked()).await.unwrap();
    assert_eq!(report.data, at_once);
    let requests = bench.fake.requests();
    let seen: Vec<(&str, &str)> = requests
        .iter()
        .map(|one| (one.wire_method.as_str(), one.path.as_str()))
        .collect();
    let run = "/v26.0/6600000000000001";
    let rows = format!("{run}/insights");
    assert_eq!(
        seen,
        [
            ("GET", "/v26.0/act_1001/insights"),
            ("POST", "/v26.0/act_1001/insights"),
            ("GET", run),
            ("GET", run),
            ("GET", run),
            ("GET", run),
            ("GET", rows.as_str()),
        ]
    );
    assert_eq!(report.requests, 7);
    assert!(requests.iter().all(|one| one.token == TokenPlace::Header));
    let names = |number: usize| {
        let parameters = requests[number].parameters.iter();
        parameters
            .map(|(name, _)| name.as_str())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names(1),
        ["fields", "level", "breakdowns"],
        "a report has no pages"
    );
    assert_eq!(
        names(6),
        ["fields", "limit"],
        "what it is about was said before"
    );
}

#[tokio::test]
async fn a_report_that_takes_longer_than_the_call_is_asked_for_again() {
    let bench = Bench::start().await;
    let at_once = bench.call("meta_get_insights", asked()).await.unwrap().data;
    bench.fake.set_faults(Faults {
        report_polls: 1_000_000,
        ..too_large()
    });
    // The last seconds of a call are for the rows: with less, one look is all.
    let error = bench
        .call_at(&bench.corridor, "meta_get_insights", asked(), at(2_900))
        .await
        .unwrap_err();
    let refusal = error.refusal();
    assert_eq!(refusal.reason, Reason::ReportPending);
    assert_eq!(
        refusal.remedy,
        "call the tool again in a moment with report_id \"6600000000000001\" in place of what it was about"
    );
    assert!(refusal.retry_after_ms.is_some());
    bench.fake.hurry_reports();
    let again = json!({"report_id": "6600000000000001", "level": "campaign", "limit": 7});
    let answer = bench.call("meta_get_insights", again).await.unwrap();
    assert_eq!(answer.data, at_once);
}

#[tokio::test]
async fn a_report_of_another_account_is_not_there() {
    let stranger = Bench::start().await;
    stranger.fake.set_faults(too_large());
    stranger.call("meta_get_insights", asked()).await.unwrap();
    let narrowed = stranger.corridor.narrowed(|id| id.as_str() == "act_1002");
    let asked = json!({"report_id": "6600000000000001", "level": "ad"});
    let claimed = stranger.claimed("meta_get_insights", asked);
    let refusal = narrowed
        .own_object(&claimed, at(10_000))
        .await
        .unwrap_err()
        .refusal();
    assert_eq!(
        refusal.message,
        "no report `6600000000000001` in the accounts of this key"
    );
}

#[tokio::test]
async fn a_report_that_fails_says_so() {
    let bench = Bench::start().await;
    bench.fake.set_faults(Faults {
        report_fails: true,
        ..too_large()
    });
    let error = bench.call("meta_get_insights", asked()).await.unwrap_err();
    assert_eq!(error.reason(), Reason::VendorRejected);
    assert_eq!(
        error.refusal().message,
        "the vendor gave the report up: Job Failed"
    );
}

#[tokio::test]
async fn a_report_is_never_begun_twice() {
    let bench = Bench::start().await;
    bench.fake.set_faults(Faults {
        fail: Some(Fault::Reset),
        fail_method: Some("POST".into()),
        ..too_large()
    });
    let error = bench.call("meta_get_insights", asked()).await.unwrap_err();
    assert_eq!(error.reason(), Reason::VendorUnavailable);
    let begun = bench
        .fake
        .requests()
        .iter()
        .filter(|one| one.method == "POST")
        .count();
    assert_eq!(begun, 1);
}

#[tokio::test]
async fn more_rows_than_were_asked_for_are_no_answer() {
    let bench = Bench::start().await;
    bench.fake.set_faults(Faults {
        too_many_rows: true,
        ..Faults::default()
    });
    let asked = json!({"account": "act_1001", "limit": 2});
    let error = bench.call("meta_list_campaigns", asked).await.unwrap_err();
    assert_eq!(error.reason(), Reason::VendorAnswerInvalid);
}
