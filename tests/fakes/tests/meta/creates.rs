//! New campaigns, ad sets and ads.

use reqwest::Method;
use serde_json::json;
use tenantry_fakes::meta::{EffectKind, READ_ONLY_TOKEN};

use crate::bench::{Bench, answer, codes};

const CAMPAIGN: &[(&str, &str)] = &[
    ("name", "Summer"),
    ("objective", "OUTCOME_SALES"),
    ("special_ad_categories", "[]"),
    ("daily_budget", "2000"),
    ("status", "PAUSED"),
];

const AD_SET: &[(&str, &str)] = &[
    ("name", "Everyone"),
    ("campaign_id", "12001001004"),
    ("billing_event", "IMPRESSIONS"),
    ("optimization_goal", "REACH"),
    ("targeting", r#"{"geo_locations":{"countries":["DE"]}}"#),
    ("daily_budget", "1500"),
    ("status", "PAUSED"),
];

const AD: &[(&str, &str)] = &[
    ("name", "Film"),
    ("adset_id", "120010010041"),
    ("creative", r#"{"creative_id":"771200100100421"}"#),
    ("status", "PAUSED"),
];

fn without<'f>(form: &[(&'f str, &'f str)], field: &str) -> Vec<(&'f str, &'f str)> {
    let others = form.iter().filter(|(name, _)| *name != field);
    others.copied().collect()
}

fn with<'f>(
    form: &[(&'f str, &'f str)],
    field: &'f str,
    value: &'f str,
) -> Vec<(&'f str, &'f str)> {
    let mut form = without(form, field);
    form.push((field, value));
    form
}

async fn create(bench: &Bench, edge: &str, form: &[(&str, &str)]) -> String {
    let (status, body) = bench.post(&format!("act_1001/{edge}"), form).await;
    assert_eq!(status, 200, "{body}");
    body["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_whole_campaign_is_built_from_above() {
    let bench = Bench::start().await;
    let campaign = create(&bench, "campaigns", CAMPAIGN).await;
    let form = with(&without(AD_SET, "daily_budget"), "campaign_id", &campaign);
    let ad_set = create(&bench, "adsets", &form).await;
    let ad = create(&bench, "ads", &with(AD, "adset_id", &ad_set)).await;
    let fields =
        "name,status,daily_budget,bid_strategy,start_time,adsets{name,daily_budget,ads{id,name}}";
    let (_, tree) = bench.get(&format!("{campaign}?fields={fields}")).await;
    let paging = json!({"cursors": {"before": "QVFI0ZD", "after": "QVFI1ZD"}});
    let ads = json!({"data": [{"id": ad, "name": "Film"}], "paging": paging});
    let ad_sets = json!([{"id": ad_set, "name": "Everyone", "daily_budget": "0", "ads": ads}]);
    let whole = json!({
        "id": campaign, "name": "Summer", "status": "PAUSED", "daily_budget": "2000",
        "bid_strategy": "LOWEST_COST_WITHOUT_CAP", "start_time": "2026-11-23T12:00:00+0000",
        "adsets": {"data": ad_sets, "paging": paging},
    });
    assert_eq!(tree, whole);
    let kinds: Vec<_> = bench.effects().into_iter().map(|one| one.0).collect();
    assert_eq!(kinds, [EffectKind::Create; 3]);
}

#[tokio::test]
async fn without_a_status_it_is_active_at_once() {
    let bench = Bench::start().await;
    let campaign = create(&bench, "campaigns", &without(CAMPAIGN, "status")).await;
    assert_eq!(bench.field(&campaign, "effective_status"), "ACTIVE");
    let paused = "12001001003";
    let form = without(&without(AD_SET, "status"), "daily_budget");
    let ad_set = create(&bench, "adsets", &with(&form, "campaign_id", paused)).await;
    assert_eq!(bench.field(&ad_set, "status"), "ACTIVE");
    assert_eq!(bench.field(&ad_set, "effective_status"), "CAMPAIGN_PAUSED");
}

#[tokio::test]
async fn what_is_missing_or_wrong_is_refused() {
    let bench = Bench::start().await;
    let forms = [("campaigns", CAMPAIGN), ("adsets", AD_SET), ("ads", AD)];
    for (edge, form) in forms {
        for (field, _) in form.iter().filter(|(field, _)| *field != "status") {
            let path = format!("act_1001/{edge}");
            let (code, _) = bench.refused(&path, &without(form, field)).await;
            assert_eq!(code, 100, "{edge} without {field}");
        }
        let archived = with(form, "status", "ARCHIVED");
        let refusal = bench.refused(&format!("act_1001/{edge}"), &archived).await;
        assert_eq!(refusal, (100, None), "{edge}");
    }
    for (edge, form) in [
        ("campaigns", with(CAMPAIGN, "objective", "FAME")),
        ("campaigns", with(CAMPAIGN, "special_ad_categories", "NONE")),
        ("campaigns", with(CAMPAIGN, "colour", "red")),
        ("adsets", with(AD_SET, "campaign_id", "120010010041")),
        ("adsets", with(AD_SET, "campaign_id", "12001002001")),
        ("adsets", with(AD_SET, "campaign_id", "12001001007")),
        ("adsets", with(AD_SET, "targeting", "everyone")),
        ("ads", with(AD, "creative", "{}")),
    ] {
        let refusal = bench.refused(&format!("act_1001/{edge}"), &form).await;
        assert_eq!(refusal, (100, None), "{form:?}");
    }
    assert_eq!(bench.effects(), []);
}

#[tokio::test]
async fn a_campaign_without_a_budget_says_whether_ad_sets_share_theirs() {
    let bench = Bench::start().await;
    let form = without(CAMPAIGN, "daily_budget");
    let refusal = bench.refused("act_1001/campaigns", &form).await;
    assert_eq!(refusal, (100, Some(4_834_011)));
    let said = with(&form, "is_adset_budget_sharing_enabled", "false");
    let campaign = create(&bench, "campaigns", &said).await;
    assert_eq!(bench.field(&campaign, "daily_budget"), json!(null));
}

#[tokio::test]
async fn a_dry_creation_creates_nothing() {
    let bench = Bench::start().await;
    let form = with(CAMPAIGN, "execution_options", "[\"validate_only\"]");
    let told = bench.post("act_1001/campaigns", &form).await;
    assert_eq!(told, (200, json!({"success": true})));
    let low = with(&form, "daily_budget", "1");
    let refusal = bench.refused("act_1001/campaigns", &low).await;
    assert_eq!(refusal, (100, Some(1_885_272)));
    assert_eq!(bench.effects(), []);
}

#[tokio::test]
async fn only_who_may_write_creates_and_only_where_they_see() {
    let bench = Bench::start().await;
    let request = bench.request_of(READ_ONLY_TOKEN, Method::POST, "act_1001/campaigns");
    let (_, body) = answer(request.form(CAMPAIGN)).await;
    assert_eq!(codes(&body), (200, None));
    let refusal = bench.refused("act_9999/campaigns", CAMPAIGN).await;
    assert_eq!(refusal, (100, Some(33)));
    let refusal = bench.refused("act_1001/pixels", CAMPAIGN).await;
    assert_eq!(refusal, (2500, None));
    assert_eq!(bench.effects(), []);
}
