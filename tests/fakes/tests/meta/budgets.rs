//! Budgets: whose they are, how low they may be and how often they change.

use serde_json::json;
use tenantry_fakes::meta::EffectKind;

use crate::bench::{Bench, codes};

const SPRING: &str = "12001001001";
const FILM: &str = "12001001002";
const RETARGETING: &str = "12001001004";
const AD_SET: &str = "120010010041";

#[tokio::test]
async fn budgets_are_whole_numbers_in_minor_units_of_meta() {
    let bench = Bench::start().await;
    assert_eq!(bench.post(SPRING, &[("daily_budget", "7550")]).await.0, 200);
    assert_eq!(bench.field(SPRING, "daily_budget"), "7550");
    assert_eq!(bench.field(SPRING, "budget_remaining"), "7550");
    // The TWD has no minor units at Meta: 300 is three hundred.
    let taipei = "12001002001";
    assert_eq!(bench.post(taipei, &[("daily_budget", "350")]).await.0, 200);
    for odd in ["50.00", "-5000", "5e3", "", "many"] {
        let refusal = bench.refused(SPRING, &[("daily_budget", odd)]).await;
        assert_eq!(refusal, (100, None), "{odd}");
    }
}

#[tokio::test]
async fn a_budget_below_the_least_is_refused() {
    let bench = Bench::start().await;
    let low = (100, Some(1_885_272));
    assert_eq!(bench.refused(SPRING, &[("daily_budget", "99")]).await, low);
    assert_eq!(bench.refused(SPRING, &[("daily_budget", "0")]).await, low);
    assert_eq!(bench.refused(FILM, &[("lifetime_budget", "99")]).await, low);
    assert_eq!(bench.post(SPRING, &[("daily_budget", "100")]).await.0, 200);
}

#[tokio::test]
async fn a_budget_keeps_its_type_and_there_is_one() {
    let bench = Bench::start().await;
    let both = [("daily_budget", "500"), ("lifetime_budget", "90000")];
    assert_eq!(bench.refused(SPRING, &both).await, (100, None));
    let (_, body) = bench.post(FILM, &[("daily_budget", "500")]).await;
    assert_eq!(codes(&body), (100, None));
    assert_eq!(
        body["error"]["error_user_title"],
        "Budget type can't be changed"
    );
    let lifetime = [("lifetime_budget", "90000")];
    assert_eq!(bench.refused(SPRING, &lifetime).await, (100, None));
    assert_eq!(bench.effects(), []);
}

#[tokio::test]
async fn an_ad_set_has_no_budget_under_one_of_its_campaign() {
    let bench = Bench::start().await;
    let form = [("daily_budget", "2500")];
    let (status, body) = bench.post(&format!("{SPRING}1"), &form).await;
    assert_eq!((status, codes(&body)), (400, (100, Some(1_885_621))));
    assert_eq!(
        body["error"]["error_data"],
        r#"{"blame_field_specs":[["daily_budget"]]}"#
    );
    assert_eq!(bench.post(AD_SET, &form).await.0, 200);
    assert_eq!(bench.field(AD_SET, "daily_budget"), "2500");
}

#[tokio::test]
async fn a_campaign_that_gets_a_budget_takes_its_ad_sets_theirs() {
    let bench = Bench::start().await;
    let form = [("daily_budget", "5000")];
    assert_eq!(bench.post(RETARGETING, &form).await.0, 200);
    assert_eq!(
        bench.field(RETARGETING, "bid_strategy"),
        "LOWEST_COST_WITHOUT_CAP"
    );
    assert_eq!(bench.field(AD_SET, "daily_budget"), "0");
    let effects = bench.effects().into_iter();
    let told: Vec<_> = effects.map(|(kind, object, ..)| (kind, object)).collect();
    let set = |id: &str| (EffectKind::SetBudget, id.to_owned());
    assert_eq!(told, [set(RETARGETING), set(AD_SET), set("120010010042")]);
    let refusal = bench.refused(AD_SET, &form).await;
    assert_eq!(refusal, (100, Some(1_885_621)));
}

#[tokio::test]
async fn a_lifetime_budget_needs_an_end_and_enough_for_each_day() {
    let bench = Bench::start().await;
    let account = "act_1001/adsets";
    let mut form = vec![
        ("name", "Ten days"),
        ("campaign_id", RETARGETING),
        ("billing_event", "IMPRESSIONS"),
        ("optimization_goal", "REACH"),
        ("targeting", "{}"),
        ("lifetime_budget", "999"),
    ];
    assert_eq!(bench.refused(account, &form).await, (100, None));
    form.push(("end_time", "2026-12-03T11:00:00+0000"));
    assert_eq!(bench.refused(account, &form).await, (100, Some(1_885_272)));
    form[5] = ("lifetime_budget", "1000");
    let (status, body) = bench.post(account, &form).await;
    assert_eq!(status, 200);
    let id = body["id"].as_str().unwrap();
    assert_eq!(bench.refused(id, &[("end_time", "0")]).await, (100, None));
}

#[tokio::test]
async fn the_fifth_change_of_an_hour_is_refused_and_blocks_for_one() {
    let bench = Bench::start().await;
    let set = |amount: &'static str| [("daily_budget", amount)];
    for amount in ["2100", "2200", "2300", "2400"] {
        assert_eq!(bench.post(AD_SET, &set(amount)).await.0, 200);
        bench.fake.advance(60);
    }
    let throttled = (613, Some(1_487_632));
    assert_eq!(bench.refused(AD_SET, &set("2500")).await, throttled);
    // Another ad set and another kind of change are not concerned.
    assert_eq!(bench.post("120010010042", &set("2500")).await.0, 200);
    assert_eq!(bench.post(AD_SET, &[("status", "PAUSED")]).await.0, 200);
    bench.fake.advance(3599);
    assert_eq!(bench.refused(AD_SET, &set("2500")).await, throttled);
    assert_eq!(bench.field(AD_SET, "daily_budget"), "2400");
    bench.fake.advance(1);
    let told = bench.post(AD_SET, &set("2500")).await;
    assert_eq!(told, (200, json!({"success": true})));
}

#[tokio::test]
async fn refused_and_dry_changes_do_not_count_for_the_hour() {
    let bench = Bench::start().await;
    for _ in 0..5 {
        bench.refused(AD_SET, &[("daily_budget", "1")]).await;
        let dry = ("execution_options", "[\"validate_only\"]");
        bench.post(AD_SET, &[("daily_budget", "2500"), dry]).await;
    }
    let told = bench.post(AD_SET, &[("daily_budget", "2500")]).await;
    assert_eq!(told.0, 200);
}
