//! High-demand periods, which change a budget without its field showing it.

use serde_json::json;
use tenantry_fakes::meta::EffectKind;

use crate::bench::Bench;

const SPRING: &str = "12001001001";

const PERIOD: &[(&str, &str)] = &[
    ("budget_value", "20000"),
    ("budget_value_type", "ABSOLUTE"),
    ("time_start", "2026-11-27T00:00:00+0100"),
    ("time_end", "2026-11-28T00:00:00+0100"),
];

#[tokio::test]
async fn a_period_is_added_and_read_alone_and_in_the_tree() {
    let bench = Bench::start().await;
    let (status, body) = bench
        .post(&format!("{SPRING}/budget_schedules"), PERIOD)
        .await;
    assert_eq!(status, 200, "{body}");
    let fields = "budget_value,budget_value_type,time_start,time_end";
    let period = json!({
        "id": body["id"], "budget_value": 20000, "budget_value_type": "ABSOLUTE",
        "time_start": "2026-11-26T23:00:00+0000", "time_end": "2026-11-27T23:00:00+0000",
    });
    let alone = format!("{SPRING}/budget_schedules?fields={fields}");
    assert_eq!(bench.get(&alone).await.1["data"], json!([period]));
    let tree = format!("{SPRING}?fields=is_budget_schedule_enabled,budget_schedules{{{fields}}}");
    let (_, tree) = bench.get(&tree).await;
    assert_eq!(tree["is_budget_schedule_enabled"], true);
    assert_eq!(tree["budget_schedules"]["data"], json!([period]));
    assert_eq!(bench.effects()[0].0, EffectKind::AddBudgetSchedule);
    assert_eq!(bench.field(SPRING, "daily_budget"), "5000");
}

#[tokio::test]
async fn a_period_out_of_order_or_without_a_budget_is_refused() {
    let bench = Bench::start().await;
    let replaced = |at: usize, value: &'static str| {
        let mut form = PERIOD.to_vec();
        form[at].1 = value;
        form
    };
    for form in [
        replaced(0, "much"),
        replaced(1, "TWICE"),
        replaced(2, "2026-11-20T00:00:00+0100"),
        replaced(3, "2026-11-26T00:00:00+0100"),
        PERIOD[..3].to_vec(),
    ] {
        let refusal = bench
            .refused(&format!("{SPRING}/budget_schedules"), &form)
            .await;
        assert_eq!(refusal, (100, None), "{form:?}");
    }
    let below = format!("{SPRING}1/budget_schedules");
    assert_eq!(bench.refused(&below, PERIOD).await, (100, None));
    assert_eq!(bench.get("1200100100111/budget_schedules").await.0, 400);
    assert_eq!(bench.effects(), []);
}
