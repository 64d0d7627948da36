//! All live budgets of an account: read whole, or not at all.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests stop at the first surprise"
)]

use jiff::Timestamp;
use serde_json::{Value, json};
use tenantry_connectors::call_error::CallError;
use tenantry_core::effect::{Impossible, active_daily};
use tenantry_core::name::ObjectId;
use tenantry_core::spend_root::SpendRoot;
use tenantry_fakes::meta::{Answers, Applies, Fault, Faults, Kind, Order, SANDBOX_TOKEN};

use crate::bench::{Bench, FAST, META, at};

const OURS: &[(&str, &str)] = &[("act_1001", "EUR"), ("act_1002", "TWD")];

/// Thirty days before the lifetime budget of Berlin ends, of which 3,000 are left.
const NOW: &str = "2026-11-30T23:00:00Z";

/// In Berlin: 50 and 120.50 on campaigns, 100 a day of the lifetime budget, and
/// 20 and 30.50 on ad sets.
const BERLIN: i64 = 321_000_000;

/// A campaign with a budget of 50, its ad sets and their ads.
const CAMPAIGN: &str = "12001001001";
const ADS: [&str; 2] = ["1200100100111", "1200100100121"];

/// An ad set with a budget of 20, and its ad.
const AD_SET: &str = "120010010041";
const ITS_AD: &str = "1200100100411";

/// Pages enough for everything, of one row each.
const MANY: u32 = 60;

async fn running(bench: &Bench, account: &str) -> Result<Vec<SpendRoot>, CallError> {
    let account = bench.corridor.own(account).unwrap();
    bench.corridor.running(&account, at(20_000)).await
}

fn sum(roots: &[SpendRoot]) -> Result<i64, Impossible> {
    let now: Timestamp = NOW.parse().unwrap();
    roots.iter().map(|root| active_daily(root, now)).sum()
}

/// What can be spent a day in Berlin.
async fn berlin(bench: &Bench) -> i64 {
    sum(&running(bench, "act_1001").await.unwrap()).unwrap()
}

/// Somebody changes an object at the vendor.
async fn meddle(bench: &Bench, path: &str, fields: &[(&str, &str)]) {
    let url = format!("{}/v26.0/{path}", bench.fake.url());
    let form = [&[("access_token", SANDBOX_TOKEN)], fields].concat();
    let request = reqwest::Client::new().post(url).form(&form);
    let answer = request.send().await.unwrap();
    assert!(answer.status().is_success(), "{answer:?}");
}

async fn pause(bench: &Bench, ids: &[&str]) {
    for id in ids {
        meddle(bench, id, &[("status", "PAUSED")]).await;
    }
}

/// By a file with that instead of this.
async fn bench_with(this: &str, that: &str) -> Bench {
    let file = META.replacen(this, that, 1);
    assert!(file != META, "nothing was replaced");
    Bench::of(&file, OURS, SANDBOX_TOKEN, FAST).await
}

/// Pages of one row, of which so many are read.
async fn with_pages(most: u32) -> Bench {
    let rows = META.replacen("most_rows: 200", "most_rows: 1", 1);
    let file = rows.replacen("most_pages: 100", &format!("most_pages: {most}"), 1);
    assert!(file != rows, "nothing was replaced");
    Bench::of(&file, OURS, SANDBOX_TOKEN, FAST).await
}

fn problem(error: CallError) -> String {
    match error {
        CallError::Malformed { problem } => problem,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn all_that_is_live_is_found_by_one_list_a_level() {
    let bench = Bench::start().await;
    assert_eq!(berlin(&bench).await, BERLIN);
    let paths = |bench: &Bench| -> Vec<String> {
        let requests = bench.fake.requests().into_iter();
        requests.map(|request| request.path).collect()
    };
    let lists = ["campaigns", "adsets", "ads"].map(|edge| format!("/v26.0/act_1001/{edge}"));
    assert_eq!(paths(&bench)[0], "/v26.0/act_1001");
    assert_eq!(paths(&bench)[1..], lists);
    bench.fake.forget_requests();
    assert_eq!(berlin(&bench).await, BERLIN);
    assert_eq!(paths(&bench), lists);
    // In the vendor's own unit of the currency.
    let taipei = running(&bench, "act_1002").await.unwrap();
    assert_eq!(sum(&taipei), Ok(1_550_000_000));
    assert!(taipei.iter().all(|root| root.currency.as_str() == "TWD"));
}

#[tokio::test]
async fn a_root_is_as_it_is_when_it_is_read_by_itself() {
    let bench = Bench::start().await;
    let roots = running(&bench, "act_1001").await.unwrap();
    let id = ObjectId::parse("12001001004").unwrap();
    let found = roots.iter().find(|root| root.top.id == id).unwrap();
    let asked = json!({"campaign_id": "12001001004"});
    let owned = bench.own("meta_get_campaign", asked).await;
    let alone = bench.corridor.spend_root(&owned, at(20_000)).await;
    assert_eq!(*found, alone.unwrap().root);
}

#[tokio::test]
async fn a_budget_is_live_if_all_above_and_an_ad_below_run() {
    for (paused, less) in [
        (&[CAMPAIGN] as &[&str], 50),
        (&ADS, 50),
        (&ADS[..1], 0),
        (&["120010010011", "120010010012"], 50),
        (&["120010010011", ADS[1]], 50),
        (&[AD_SET], 20),
        (&[ITS_AD], 20),
        (&["12001001002"], 100),
    ] {
        let bench = Bench::start().await;
        pause(&bench, paused).await;
        assert_eq!(
            berlin(&bench).await,
            BERLIN - less * 1_000_000,
            "{paused:?}"
        );
    }
}

#[tokio::test]
async fn what_was_archived_is_gone() {
    let bench = Bench::start().await;
    meddle(&bench, CAMPAIGN, &[("status", "ARCHIVED")]).await;
    assert_eq!(berlin(&bench).await, BERLIN - 50_000_000);
}

/// Adds a campaign of 40 a day to Berlin, with an ad set and an ad.
fn add(bench: &Bench, campaign: &Value, ad_set: &Value, ad: &Value) {
    let own = |id: &str, above: Value, more: &Value| {
        let mut row = json!({"id": id, "account_id": "1001", "name": id, "status": "ACTIVE"});
        for fields in [&above, more] {
            let fields = fields.as_object().unwrap().clone();
            row.as_object_mut().unwrap().extend(fields);
        }
        row
    };
    let put = |kind, row| bench.fake.put(kind, row);
    let daily = json!({"daily_budget": "4000", "bid_strategy": "LOWEST_COST_WITHOUT_CAP"});
    put(Kind::Campaign, own("777", daily, campaign));
    put(
        Kind::AdSet,
        own("7771", json!({"campaign_id": "777"}), ad_set),
    );
    let above = json!({"campaign_id": "777", "adset_id": "7771"});
    put(Kind::Ad, own("77711", above, ad));
}

#[tokio::test]
async fn what_ended_is_not_live_and_what_begins_later_is() {
    let (past, later) = ("2026-11-30T22:59:59+0000", "2026-12-05T00:00:00+0000");
    for (campaign, ad_set, more) in [
        (json!({}), json!({}), 40),
        (json!({"stop_time": past}), json!({}), 0),
        (json!({}), json!({"end_time": past}), 0),
        (json!({"stop_time": later}), json!({}), 40),
        // Nobody is asked again when it begins.
        (json!({"start_time": later}), json!({}), 40),
    ] {
        let bench = Bench::start().await;
        add(&bench, &campaign, &ad_set, &json!({}));
        let expected = BERLIN + more * 1_000_000;
        assert_eq!(berlin(&bench).await, expected, "{campaign} {ad_set}");
    }
}

#[tokio::test]
async fn what_the_vendor_still_looks_at_is_live() {
    for word in ["PENDING_REVIEW", "WITH_ISSUES", "IN_PROCESS", "DISAPPROVED"] {
        let bench = Bench::start().await;
        let reviewed = json!({"review": word});
        add(&bench, &json!({}), &json!({}), &reviewed);
        assert_eq!(berlin(&bench).await, BERLIN + 40_000_000, "{word}");
        pause(&bench, &["777"]).await;
        // It is listed, and what it stands below is not.
        assert_eq!(berlin(&bench).await, BERLIN, "{word}");
    }
}

#[tokio::test]
async fn every_page_is_read_and_more_than_can_be_is_an_error() {
    let bench = with_pages(MANY).await;
    assert_eq!(berlin(&bench).await, BERLIN);
    bench.fake.set_faults(Faults {
        empty_page: true,
        ..Faults::default()
    });
    assert_eq!(berlin(&bench).await, BERLIN);
    let error = running(&with_pages(3).await, "act_1001").await.unwrap_err();
    let expected = CallError::RootTooLarge {
        kind: "campaign".into(),
        most: 3,
    };
    assert_eq!(error, expected);
}

#[tokio::test]
async fn a_page_that_fails_is_an_error_and_no_smaller_sum() {
    for edge in ["campaigns", "adsets", "ads"] {
        let bench = with_pages(MANY).await;
        bench.fake.order(Order {
            path: Some(format!("act_1001/{edge}")),
            method: Some("GET".into()),
            skip: 1,
            times: FAST.attempts,
            ..Order::next_write(Applies::Never, Answers::Fault(Fault::Unavailable))
        });
        let error = running(&bench, "act_1001").await.unwrap_err();
        assert!(matches!(error, CallError::Unavailable { .. }), "{error}");
        assert_eq!(berlin(&bench).await, BERLIN);
    }
}

#[tokio::test]
async fn rows_and_pages_that_cannot_be_are_an_error() {
    for (faults, expected) in [
        (
            Faults {
                foreign_row: true,
                ..Faults::default()
            },
            "rows of another account",
        ),
        (
            Faults {
                fail: Some(Fault::NoData),
                fail_path: Some("/adsets".into()),
                ..Faults::default()
            },
            "a page without rows",
        ),
    ] {
        let bench = Bench::start().await;
        bench.fake.set_faults(faults);
        let error = running(&bench, "act_1001").await.unwrap_err();
        let text = format!("{error} {}", error.refusal().message);
        assert!(text.contains(expected), "{text}");
    }
    let bench = with_pages(MANY).await;
    bench.fake.set_faults(Faults {
        endless_pages: true,
        ..Faults::default()
    });
    running(&bench, "act_1001").await.unwrap_err();
}

#[tokio::test]
async fn a_state_that_nobody_asks_for_hides_no_budget() {
    let bench = bench_with("states: [ACTIVE, IN_PROCESS, ", "states: [IN_PROCESS, ").await;
    let hidden = running(&bench, "act_1001").await.unwrap_err();
    let expected = "`120010010011` stands below something that is on and was not listed";
    assert_eq!(problem(hidden), expected);
}

#[tokio::test]
async fn a_switch_that_nobody_explained_is_an_error() {
    let bench = bench_with("on: [ACTIVE], off", "on: [RUNNING], off").await;
    let error = running(&bench, "act_1001").await.unwrap_err();
    let expected = "field `status` of campaign `12001001001` has an unexpected value";
    assert_eq!(problem(error), expected);
}

#[tokio::test]
async fn a_budget_that_rises_by_itself_has_no_sum() {
    let bench = Bench::start().await;
    let period = [
        ("budget_value", "9000"),
        ("budget_value_type", "ABSOLUTE"),
        ("time_start", "2027-06-01T00:00:00+0000"),
        ("time_end", "2027-06-02T00:00:00+0000"),
    ];
    meddle(&bench, &format!("{CAMPAIGN}/budget_schedules"), &period).await;
    let roots = running(&bench, "act_1001").await.unwrap();
    let id = ObjectId::parse(CAMPAIGN).unwrap();
    assert_eq!(sum(&roots), Err(Impossible::Scheduled(id)));
    pause(&bench, &[CAMPAIGN]).await;
    assert_eq!(berlin(&bench).await, BERLIN - 50_000_000);
}

#[tokio::test]
async fn a_used_up_quota_holds_it_back() {
    let bench = Bench::start().await;
    bench.confirm("act_1001").await;
    bench.fake.set_faults(Faults {
        fail: Some(Fault::Throttled),
        ..Faults::default()
    });
    bench.campaigns().await.unwrap_err();
    bench.fake.set_faults(Faults::default());
    bench.fake.forget_requests();
    let held = running(&bench, "act_1001").await.unwrap_err();
    assert!(matches!(held, CallError::HeldBack { .. }), "{held}");
    assert_eq!(bench.fake.requests(), []);
}

#[tokio::test]
async fn nothing_is_read_of_a_vendor_whose_file_does_not_say_how() {
    let from = META.find("exposure:\n").unwrap();
    let to = META.find("# Every change is a POST").unwrap();
    let bench = bench_with(&META[from..to], "").await;
    let error = running(&bench, "act_1001").await.unwrap_err();
    assert_eq!(problem(error), "this connector lists no live budgets");
}
