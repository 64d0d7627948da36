//! Spend roots: read whole and anew, or not at all.

use serde_json::json;
use tenantry_connectors::call_error::CallError;
use tenantry_connectors::snapshot::Snapshot;
use tenantry_core::reason::Reason;
use tenantry_fakes::meta::SANDBOX_TOKEN;

use crate::bench::{Bench, FAST, META, at};

const OURS: &[(&str, &str)] = &[("act_1001", "EUR"), ("act_1002", "TWD")];

async fn read(bench: &Bench, argument: &str, id: &str) -> Result<Snapshot, CallError> {
    let tool = format!("meta_get_{}", argument.trim_end_matches("_id"));
    let owned = bench.own(&tool, json!({argument: id})).await;
    bench.corridor.spend_root(&owned, at(20_000)).await
}

async fn campaign(bench: &Bench, id: &str) -> Result<Snapshot, CallError> {
    read(bench, "campaign_id", id).await
}

/// A bench whose pages are of one row, and of which so many are read.
async fn with_pages(most: u32) -> Bench {
    let file = META.replace(
        "most_rows: 200, most_pages: 25",
        &format!("most_rows: 1, most_pages: {most}"),
    );
    assert_ne!(file, META);
    Bench::of(&file, OURS, SANDBOX_TOKEN, FAST).await
}

#[tokio::test]
async fn a_root_is_the_same_whichever_of_its_objects_is_asked_about() {
    let bench = Bench::start().await;
    let ad =
        |id: &str| json!([{"id": id, "kind": "ad", "switch": "On", "hasBudgetSchedule": false}]);
    let ad_set = |id: &str, daily: u64, ads| {
        json!({
            "id": id, "kind": "ad_set", "switch": "On", "startsAt": "2026-09-30T22:00:00Z",
            "budget": {"Daily": {"amountMicros": daily}}, "hasBudgetSchedule": false, "children": ads,
        })
    };
    let expected = json!({"currency": "EUR", "top": {
        "id": "12001001004", "kind": "campaign", "switch": "On", "startsAt": "2026-09-30T22:00:00Z",
        "hasBudgetSchedule": false, "children": [
            ad_set("120010010041", 20_000_000, ad("1200100100411")),
            ad_set("120010010042", 30_500_000, ad("1200100100421")),
        ],
    }});
    let root = campaign(&bench, "12001001004").await.unwrap();
    assert_eq!(serde_json::to_value(&root.root).unwrap(), expected);
    let named = json!({
        "12001001004": "Retargeting", "120010010041": "Retargeting / everyone",
        "1200100100411": "Retargeting / everyone / film", "120010010042": "Retargeting / returning",
        "1200100100421": "Retargeting / returning / film",
    });
    assert_eq!(serde_json::to_value(&root.names).unwrap(), named);
    let bids = json!({"120010010041": 2_500_000, "120010010042": 2_500_000});
    assert_eq!(serde_json::to_value(&root.bids_micros).unwrap(), bids);
    let ad_set = read(&bench, "ad_set_id", "120010010042").await;
    assert_eq!(ad_set.unwrap(), root);
    let ad = read(&bench, "ad_id", "1200100100421").await;
    assert_eq!(ad.unwrap(), root);
}

#[tokio::test]
async fn an_amount_is_in_the_vendors_own_unit_of_its_currency() {
    let bench = Bench::start().await;
    let root = campaign(&bench, "12001002001").await.unwrap().root;
    // 300 Taiwan dollars are `300` at Meta, not `30000`.
    assert_eq!(root.top.budget.unwrap().amount_micros(), 300_000_000);
    assert_eq!(root.currency.as_str(), "TWD");
}

#[tokio::test]
async fn every_page_of_a_level_is_read() {
    let whole = campaign(&Bench::start().await, "12001001004")
        .await
        .unwrap();
    assert_eq!(
        campaign(&with_pages(2).await, "12001001004").await.unwrap(),
        whole
    );
}

#[tokio::test]
async fn a_root_that_is_larger_than_can_be_read_is_refused() {
    let error = campaign(&with_pages(1).await, "12001001004")
        .await
        .unwrap_err();
    let too_large = CallError::RootTooLarge {
        kind: "ad_set".into(),
        most: 1,
    };
    assert_eq!(error, too_large);
    assert_eq!(error.refusal().reason, Reason::RootTooLarge);
}

#[tokio::test]
async fn the_currency_is_compared_each_time() {
    let declared = [("act_1001", "USD"), ("act_1002", "TWD")];
    let bench = Bench::with(&declared, SANDBOX_TOKEN, FAST).await;
    let error = campaign(&bench, "12001001004").await.unwrap_err();
    assert!(
        matches!(error, CallError::CurrencyDiffers { .. }),
        "{error}"
    );
    let bench = Bench::start().await;
    for _ in 0..2 {
        bench.fake.forget_requests();
        campaign(&bench, "12001001004").await.unwrap();
        let requests = bench.fake.requests();
        let asked = requests
            .iter()
            .filter(|request| request.path.ends_with("/act_1001"));
        assert_eq!(asked.count(), 1);
    }
}

#[tokio::test]
async fn a_word_that_nobody_explained_refuses_the_root() {
    let file = META.replace(
        "on: [ACTIVE], off: [PAUSED]",
        "on: [RUNNING], off: [PAUSED]",
    );
    let bench = Bench::of(&file, OURS, SANDBOX_TOKEN, FAST).await;
    let error = campaign(&bench, "12001001004").await.unwrap_err();
    let problem = "field `status` of campaign `12001001004` has an unexpected value";
    assert_eq!(
        error,
        CallError::Malformed {
            problem: problem.into()
        }
    );
}

#[tokio::test]
async fn what_holds_no_budget_has_no_root() {
    let bench = Bench::start().await;
    let asked = json!({"report_id": "12001001004"});
    let owned = bench.own("meta_get_insights", asked).await;
    let error = bench
        .corridor
        .spend_root(&owned, at(20_000))
        .await
        .unwrap_err();
    assert!(matches!(error, CallError::Malformed { .. }), "{error}");
}
