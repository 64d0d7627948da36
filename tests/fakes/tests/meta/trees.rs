//! A campaign with everything below it in one request.

use serde_json::json;

use crate::bench::{Bench, codes};

const RETARGETING: &str = "12001001004";

#[tokio::test]
async fn a_campaign_is_read_with_its_ad_sets_and_their_ads() {
    let bench = Bench::start().await;
    let fields = "id,status,adsets.limit(50){id,effective_status,daily_budget,\
                  ads.limit(50){id,effective_status,creative}}";
    let (status, tree) = bench.get(&format!("{RETARGETING}?fields={fields}")).await;
    let ad_set = |number: u8, budget: &str| {
        let id = format!("{RETARGETING}{number}");
        let ad = json!({"id": format!("{id}1"), "effective_status": "ACTIVE",
            "creative": {"id": format!("77{id}1")}});
        let cursors = json!({"before": "QVFI0ZD", "after": "QVFI1ZD"});
        json!({"id": id, "effective_status": "ACTIVE", "daily_budget": budget,
            "ads": {"data": [ad], "paging": {"cursors": cursors}}})
    };
    let ad_sets = json!({
        "data": [ad_set(1, "2000"), ad_set(2, "3050")],
        "paging": {"cursors": {"before": "QVFI0ZD", "after": "QVFI2ZD"}},
    });
    assert_eq!(
        (status, tree),
        (
            200,
            json!({"id": RETARGETING, "status": "ACTIVE", "adsets": ad_sets})
        )
    );
}

#[tokio::test]
async fn a_page_inside_a_tree_goes_on_at_its_own_address() {
    let bench = Bench::start().await;
    let fields = "adsets.limit(1){id,daily_budget}";
    let (_, tree) = bench.get(&format!("{RETARGETING}?fields={fields}")).await;
    let next = tree["adsets"]["paging"]["next"].as_str().unwrap();
    let next = next.split_once("/v26.0/").unwrap().1;
    let (_, more) = bench.get(next).await;
    assert_eq!(
        more["data"],
        json!([{"id": format!("{RETARGETING}2"), "daily_budget": "3050"}])
    );
    assert!(more["paging"].get("next").is_none());
}

#[tokio::test]
async fn a_tree_goes_up_as_well_and_leaves_empty_edges_out() {
    let bench = Bench::start().await;
    let up = format!("{RETARGETING}11?fields=adset{{name}},campaign{{name}}");
    let above = json!({
        "id": format!("{RETARGETING}11"),
        "adset": {"id": format!("{RETARGETING}1"), "name": "Retargeting / everyone"},
        "campaign": {"id": RETARGETING, "name": "Retargeting"},
    });
    assert_eq!(bench.get(&up).await, (200, above));
    let none = format!("{RETARGETING}?fields=adsets.effective_status([\"PAUSED\"]){{id}}");
    assert_eq!(bench.get(&none).await, (200, json!({"id": RETARGETING})));
}

#[tokio::test]
async fn odd_trees_are_refused() {
    let bench = Bench::start().await;
    for (fields, code) in [
        ("adsets{nonsense}", 100),
        ("ads{adsets}", 100),
        ("adsets{id", 2500),
        ("adsets.limit(1", 2500),
        ("adsets.limit{id}", 2500),
        ("adsets.limit(0){id}", 100),
        ("adsets.after(x){id}", 100),
        ("adsets.effective_status(ACTIVE){id}", 100),
        ("ads{adset{ads{adset{ads{adset{ads{adset{id}}}}}}}}", 100),
    ] {
        let (status, body) = bench.get(&format!("{RETARGETING}?fields={fields}")).await;
        assert_eq!((status, codes(&body).0), (400, code), "{fields}");
    }
}

#[tokio::test]
async fn a_campaign_can_be_added_to_an_account() {
    let bench = Bench::start().await;
    let (one, two) = (
        bench.fake.add_campaign("act_1001"),
        bench.fake.add_campaign("act_1001"),
    );
    assert_eq!(one, ["120010010081", "120010010082"]);
    assert_eq!(two, ["120010010091", "120010010092"]);
    let (_, ad_set) = bench
        .get("120010010091?fields=effective_status,daily_budget")
        .await;
    assert_eq!(
        ad_set,
        json!({"id": "120010010091", "effective_status": "ACTIVE", "daily_budget": "2000"})
    );
}
