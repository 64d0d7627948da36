//! What is kept of a change, what is shown of it, and whether it is still the
//! same: all that outlives the moment in which it was prepared.

#![expect(clippy::unwrap_used, reason = "tests stop at the first surprise")]

use serde_json::{Value, json};
use tenantry_connectors::call_error::CallError;
use tenantry_connectors::change::Prepared;
use tenantry_connectors::change::doubt::{Doubt, Standing};
use tenantry_core::spend_root::{Budget, Switch};

use crate::bench::{Bench, FAST, at};
use crate::changes::prepare;

/// In Berlin: a live campaign of two ad sets, of 20.00 and 30.50 EUR a day.
const CAMPAIGN: &str = "12001001004";
const AD_SET: &str = "120010010042";
const AD: &str = "1200100100421";

fn eur(amount: &str) -> Value {
    json!({"amount": amount, "currency": "EUR"})
}

fn budget(amount: &str) -> Value {
    json!({"ad_set_id": AD_SET, "daily_budget": eur(amount)})
}

async fn prepared(bench: &Bench, tool: &str, asked: Value) -> Prepared {
    prepare(bench, tool, asked).await.unwrap()
}

fn by_json(doubt: &Doubt) -> Doubt {
    let kept = serde_json::to_string(doubt).unwrap();
    serde_json::from_str(&kept).unwrap()
}

#[tokio::test]
async fn a_doubt_is_kept_as_text_and_says_all() {
    let bench = Bench::start().await;
    let kept = |change: &Prepared| serde_json::to_value(by_json(&change.doubt())).unwrap();
    let change = prepared(&bench, "meta_set_budget", budget("40")).await;
    let daily = |amount: u64| json!({"budget": {"Daily": {"amountMicros": amount}}});
    assert_eq!(
        kept(&change),
        json!({
            "connector": "meta", "account": "act_1001", "kind": "ad_set", "id": AD_SET,
            "target": daily(40_000_000), "before": daily(30_500_000),
        })
    );
    let change = prepared(&bench, "meta_pause", json!({"ad_id": AD})).await;
    assert_eq!(
        kept(&change),
        json!({
            "connector": "meta", "account": "act_1001", "kind": "ad", "id": AD,
            "target": {"switch": "Off"}, "before": {"switch": "On"},
        })
    );
}

#[tokio::test]
async fn a_doubt_opens_nothing() {
    let bench = Bench::start().await;
    let change = prepared(&bench, "meta_pause", json!({"ad_id": AD})).await;
    let doubt = change.doubt();
    let with = |field: &str, value: &str| -> Doubt {
        let mut kept = serde_json::to_value(&doubt).unwrap();
        kept[field] = value.into();
        serde_json::from_value(kept).unwrap()
    };
    bench.fake.forget_requests();
    let malformed = |problem: &str| CallError::Malformed {
        problem: problem.into(),
    };
    let unasked = [
        // Of no account of this corridor, and of another connector.
        (with("account", "act_2001"), CallError::AccountNotOwned),
        (with("connector", "google"), CallError::AccountNotOwned),
        (
            with("id", "me/adaccounts"),
            malformed("a doubt about an id that is none"),
        ),
        (
            with("kind", "report"),
            malformed("the object holds and switches no budget"),
        ),
    ];
    for (doubt, error) in unasked {
        let seen = bench.corridor.look(&doubt, at(10_000)).await;
        assert_eq!(seen, Err(error));
    }
    assert_eq!(bench.fake.requests(), []);
    // Ours both, but the vendor says that the object is another's.
    let moved = with("account", "act_1002");
    let seen = bench.corridor.look(&moved, at(10_000)).await;
    let foreign = CallError::ForeignRow {
        asked: "act_1002".into(),
    };
    assert_eq!(seen, Err(foreign));
    let narrowed = bench.corridor.narrowed(|id| id.as_str() == "act_1002");
    let seen = narrowed.look(&doubt, at(10_000)).await;
    assert_eq!(seen, Err(CallError::AccountNotOwned));
}

#[tokio::test]
async fn a_look_is_one_request_that_asks_whose_the_object_is() {
    let bench = Bench::start().await;
    let change = prepared(&bench, "meta_set_budget", budget("40")).await;
    let fresh = bench.corridor_with(FAST);
    bench.fake.forget_requests();
    let seen = fresh.look(&by_json(&change.doubt()), at(10_000)).await;
    let seen = serde_json::to_value(seen.unwrap()).unwrap();
    let found = json!({"daily_budget": eur("30.50")});
    assert_eq!(seen, json!({"standing": "AsBefore", "found": found}));
    assert_eq!(bench.fake.requests().len(), 1);
}

#[tokio::test]
async fn a_view_says_what_changes_in_major_units() {
    let bench = Bench::start().await;
    let taipei = |amount: &str| json!({"amount": amount, "currency": "TWD"});
    let cases = [
        (
            "meta_set_budget",
            budget("40"),
            json!({"daily_budget": eur("30.50")}),
            json!({"daily_budget": eur("40.00")}),
            json!({"daily": eur("9.50")}),
        ),
        (
            "meta_set_budget",
            budget("30"),
            json!({"daily_budget": eur("30.50")}),
            json!({"daily_budget": eur("30.00")}),
            json!({"daily": eur("-0.50")}),
        ),
        (
            "meta_set_budget",
            json!({"campaign_id": "12001002001", "daily_budget": taipei("301")}),
            json!({"daily_budget": taipei("300.00")}),
            json!({"daily_budget": taipei("301.00")}),
            json!({"daily": taipei("1.00")}),
        ),
        (
            "meta_pause",
            json!({"campaign_id": CAMPAIGN}),
            json!({"status": "ACTIVE"}),
            json!({"status": "PAUSED"}),
            json!({"daily": eur("-50.50")}),
        ),
        (
            "meta_set_bid",
            json!({"ad_set_id": AD_SET, "bid": eur("3")}),
            json!({"bid": eur("2.50")}),
            json!({"bid": eur("3.00")}),
            json!({}),
        ),
        (
            "meta_rename",
            json!({"ad_id": AD, "name": "Autumn"}),
            json!({"name": "Retargeting / returning / film"}),
            json!({"name": "Autumn"}),
            json!({}),
        ),
    ];
    for (tool, asked, before, after, delta) in cases {
        let change = prepared(&bench, tool, asked).await;
        let currency = change.place.account().currency();
        let expected =
            json!({"before": before, "after": after, "delta": delta, "currency": currency});
        assert_eq!(serde_json::to_value(change.view()).unwrap(), expected);
    }
}

#[tokio::test]
async fn a_change_is_still_the_same_until_somebody_configures_something() {
    let bench = Bench::start().await;
    let first = prepared(&bench, "meta_set_budget", budget("40")).await;
    let again = || prepared(&bench, "meta_set_budget", budget("40"));
    assert!(first.is_still(&again().await));
    let other = prepared(&bench, "meta_set_budget", budget("41")).await;
    assert!(!first.is_still(&other), "another target");
    // Names are nobody's decision.
    let rename = json!({"ad_set_id": AD_SET, "name": "B"});
    let rename = prepared(&bench, "meta_rename", rename).await;
    bench.corridor.make(&rename, at(10_000)).await;
    assert!(first.is_still(&again().await));
    let renamed = prepared(
        &bench,
        "meta_rename",
        json!({"ad_set_id": AD_SET, "name": "B"}),
    );
    assert!(!rename.is_still(&renamed.await), "but to a name");
    // Elsewhere in the spend root.
    for (tool, asked) in [
        ("meta_pause", json!({"ad_id": "1200100100411"})),
        ("meta_activate", json!({"ad_id": "1200100100411"})),
    ] {
        let before = again().await;
        let change = prepared(&bench, tool, asked).await;
        bench.corridor.make(&change, at(10_000)).await;
        assert!(!before.is_still(&again().await), "{tool}");
    }
    assert!(first.is_still(&again().await), "all is as it was");
}

#[tokio::test]
async fn each_field_that_somebody_configures_counts_and_time_does_not() {
    let bench = Bench::start().await;
    let change = prepared(&bench, "meta_set_budget", budget("40")).await;
    let lifetime = |amount_micros, spent_micros| Budget::Lifetime {
        amount_micros,
        spent_micros,
    };
    let end = Some("2026-12-24T00:00:00Z".parse().unwrap());
    let top = |edit: &dyn Fn(&mut tenantry_core::spend_root::Node)| {
        let mut edited = change.clone();
        edit(&mut edited.snapshot.as_mut().unwrap().root.top);
        edited
    };
    let mut odd_bid = change.clone();
    odd_bid.snapshot.as_mut().unwrap().bids_micros.clear();
    let mut effect = change.clone();
    effect.effect.becomes_endless = true;
    let others = [
        top(&|top| top.switch = Switch::Off),
        top(&|top| top.starts_at = None),
        top(&|top| top.ends_at = end),
        top(&|top| top.has_budget_schedule = true),
        top(&|top| top.budget = Some(lifetime(1, 0))),
        top(&|top| top.kind = "group".into()),
        top(&|top| top.children = Some(Vec::new())),
        top(&|top| {
            let ad_set = top.children.iter_mut().flatten().last();
            ad_set.unwrap().children = None;
        }),
        odd_bid,
        effect,
    ];
    for (index, other) in others.iter().enumerate() {
        assert!(!change.is_still(other), "{index}");
    }
    assert!(change.is_still(&top(&|top| {
        top.children.iter_mut().for_each(|all| all.reverse());
    })));
    let spent = |spent| top(&|top| top.budget = Some(lifetime(9, spent)));
    assert!(spent(1).is_still(&spent(2)));
    let mut later = change.clone();
    (later.effect.exposure_micros, later.effect.steps) = (7, Vec::new());
    assert!(change.is_still(&later));
}

#[tokio::test]
async fn a_pause_is_still_the_same_whatever_else_changes() {
    let bench = Bench::start().await;
    let pause = || prepared(&bench, "meta_pause", json!({"ad_set_id": AD_SET}));
    let first = pause().await;
    let elsewhere = prepared(&bench, "meta_pause", json!({"ad_id": "1200100100411"})).await;
    bench.corridor.make(&elsewhere, at(10_000)).await;
    assert!(first.is_still(&pause().await));
    bench.corridor.make(&first, at(10_000)).await;
    assert!(!first.is_still(&pause().await), "it is paused already");
}

#[tokio::test]
async fn the_same_change_is_known_by_whomever_it_is_asked_for() {
    let bench = Bench::start().await;
    let likeness = async |tool, asked| prepared(&bench, tool, asked).await.likeness();
    let first = likeness("meta_set_budget", budget("40")).await;
    assert_eq!(first, likeness("meta_set_budget", budget("40.00")).await);
    // Kept by ledgers: another form would be another change.
    let kept = r#"["meta","act_1001","ad_set","120010010042",{"budget":{"Daily":{"amountMicros":40000000}}}]"#;
    assert_eq!(first, tenantry_core::digest::Digest::of(kept.as_bytes()));
    let bid = json!({"ad_set_id": AD_SET, "bid": eur("40")});
    let other = json!({"ad_set_id": "120010010041", "daily_budget": eur("40")});
    assert_ne!(first, likeness("meta_set_budget", budget("41")).await);
    assert_ne!(first, likeness("meta_set_bid", bid).await);
    assert_ne!(first, likeness("meta_set_budget", other).await);
}

#[tokio::test]
async fn somebody_elses_change_is_neither_and_is_shown() {
    let bench = Bench::start().await;
    let mine = prepared(&bench, "meta_set_budget", budget("40")).await;
    let theirs = prepared(&bench, "meta_set_budget", budget("50")).await;
    bench.corridor.make(&theirs, at(10_000)).await;
    let seen = bench
        .corridor
        .look(&by_json(&mine.doubt()), at(10_000))
        .await;
    let seen = seen.unwrap();
    assert_eq!(seen.standing, Standing::Otherwise);
    assert_eq!(seen.found, theirs.view().after);
}
