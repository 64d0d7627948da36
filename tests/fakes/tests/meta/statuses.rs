//! What is switched on and off, and what that does below.

use reqwest::Method;
use serde_json::{Value, json};
use tenantry_fakes::meta::Kind;

use crate::bench::{Bench, answer};

const CAMPAIGN: &str = "12001001004";
const AD_SET: &str = "120010010041";
const AD: &str = "1200100100411";

async fn switch(bench: &Bench, id: &str, status: &str) {
    let told = bench.post(id, &[("status", status)]).await;
    assert_eq!(told, (200, json!({"success": true})), "{id} {status}");
}

/// What campaign, ad set and ad do in fact.
fn effective(bench: &Bench) -> [Value; 3] {
    [CAMPAIGN, AD_SET, AD].map(|id| bench.field(id, "effective_status"))
}

#[tokio::test]
async fn a_switch_above_shows_below_and_an_own_one_comes_first() {
    let bench = Bench::start().await;
    switch(&bench, CAMPAIGN, "PAUSED").await;
    assert_eq!(
        effective(&bench),
        ["PAUSED", "CAMPAIGN_PAUSED", "CAMPAIGN_PAUSED"]
    );
    switch(&bench, AD_SET, "PAUSED").await;
    assert_eq!(effective(&bench), ["PAUSED", "PAUSED", "ADSET_PAUSED"]);
    switch(&bench, CAMPAIGN, "ACTIVE").await;
    switch(&bench, AD, "PAUSED").await;
    assert_eq!(effective(&bench), ["ACTIVE", "PAUSED", "PAUSED"]);
    switch(&bench, AD_SET, "ACTIVE").await;
    assert_eq!(effective(&bench), ["ACTIVE", "ACTIVE", "PAUSED"]);
    assert_eq!(bench.field("120010010042", "effective_status"), "ACTIVE");
}

#[tokio::test]
async fn what_meta_makes_of_an_ad_shows_and_is_listed_by() {
    let bench = Bench::start().await;
    let ad = json!({
        "id": "881", "account_id": "1001", "campaign_id": CAMPAIGN, "adset_id": AD_SET,
        "status": "ACTIVE", "review": "DISAPPROVED",
    });
    bench.fake.put(Kind::Ad, ad);
    let listed = async || {
        let states = "effective_status=%5B%22DISAPPROVED%22%5D";
        let fields = "fields=effective_status,adset%7Bstatus%7D";
        let (_, told) = bench.get(&format!("act_1001/ads?{states}&{fields}")).await;
        told["data"].clone()
    };
    let shown = |above: &str| {
        let above = json!({"id": AD_SET, "status": above});
        json!([{"id": "881", "effective_status": "DISAPPROVED", "adset": above}])
    };
    assert_eq!(listed().await, shown("ACTIVE"));
    switch(&bench, AD_SET, "PAUSED").await;
    assert_eq!(listed().await, shown("PAUSED"));
    switch(&bench, "881", "PAUSED").await;
    assert_eq!(listed().await, json!([]));
}

#[tokio::test]
async fn what_is_archived_can_be_renamed_and_deleted_and_no_more() {
    let bench = Bench::start().await;
    switch(&bench, CAMPAIGN, "ARCHIVED").await;
    assert_eq!(effective(&bench), ["ARCHIVED", "ARCHIVED", "ARCHIVED"]);
    for (id, form) in [
        (CAMPAIGN, [("status", "ACTIVE")]),
        (CAMPAIGN, [("status", "PAUSED")]),
        (AD_SET, [("status", "ACTIVE")]),
        (AD_SET, [("daily_budget", "2500")]),
    ] {
        assert_eq!(bench.refused(id, &form).await, (100, None), "{id} {form:?}");
    }
    assert_eq!(bench.post(CAMPAIGN, &[("name", "Old")]).await.0, 200);
    switch(&bench, CAMPAIGN, "DELETED").await;
    assert_eq!(effective(&bench), ["DELETED", "DELETED", "DELETED"]);
    for status in ["ACTIVE", "ARCHIVED", "DELETED"] {
        let refusal = bench.refused(CAMPAIGN, &[("status", status)]).await;
        assert_eq!(refusal, (100, None), "{status}");
    }
    assert_eq!(bench.post(CAMPAIGN, &[("name", "Gone")]).await.0, 200);
}

#[tokio::test]
async fn what_is_deleted_leaves_lists_and_stays_readable() {
    let bench = Bench::start().await;
    let told = answer(bench.request(Method::DELETE, AD_SET)).await;
    assert_eq!(told, (200, json!({"success": true})));
    let (_, list) = bench.get(&format!("{CAMPAIGN}/adsets")).await;
    assert_eq!(list["data"], json!([{"id": "120010010042"}]));
    let deleted = format!("{CAMPAIGN}/adsets?effective_status=[\"DELETED\"]");
    let (_, list) = bench.get(&deleted).await;
    assert_eq!(list["data"], json!([{"id": AD_SET}]));
    let (_, row) = bench.get(&format!("{AD_SET}?fields=status")).await;
    assert_eq!(row["status"], "DELETED");
}
