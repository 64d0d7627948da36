//! Pauses: nothing that cannot be read stops one.

#![expect(clippy::unwrap_used, reason = "tests stop at the first surprise")]

use serde_json::json;
use tenantry_connectors::call_error::CallError;
use tenantry_connectors::change::doubt::Standing;
use tenantry_connectors::change::{Made, PrepareError};
use tenantry_connectors::corridor::owned::NotOwned;
use tenantry_core::name::ObjectId;
use tenantry_fakes::meta::{Fault, Faults, SANDBOX_TOKEN};

use crate::bench::{Bench, FAST, META, at};
use crate::changes::prepare;

const OURS: &[(&str, &str)] = &[("act_1001", "EUR")];
const CAMPAIGN: &str = "12001001004";
const AD_SET: &str = "120010010042";
const AD: &str = "1200100100421";

/// Pauses and answers what else the pause is said to touch.
async fn pause(bench: &Bench, argument: &str, id: &str) -> Vec<ObjectId> {
    let asked = json!({argument: id});
    let change = prepare(bench, "meta_pause", asked).await.unwrap();
    assert!(change.effect.only_stops() && !change.is_reached);
    let made = bench.corridor.make(&change, at(10_000)).await.made;
    assert_eq!(made, Made::Applied(change.view().after));
    assert_eq!(bench.fake.object(id).unwrap()["status"], "PAUSED");
    change.path
}

/// A bench whose spend roots cannot be read, each for another reason.
async fn unreadable() -> Vec<Bench> {
    let files = [
        // Too large.
        (
            "most_rows: 200, most_pages: 25",
            "most_rows: 1, most_pages: 1",
        ),
        // Ad sets that begin at something that is no time.
        (
            "starts: start_time\n    ends: end_time",
            "starts: effective_status\n    ends: end_time",
        ),
    ];
    let mut benches = Vec::new();
    for (what, by) in files {
        let file = META.replace(what, by);
        assert_ne!(file, META);
        benches.push(Bench::of(&file, OURS, SANDBOX_TOKEN, FAST).await);
    }
    // Declared in another currency than it is.
    benches.push(Bench::with(&[("act_1001", "USD")], SANDBOX_TOKEN, FAST).await);
    benches
}

#[tokio::test]
async fn what_cannot_be_read_whole_is_paused_all_the_same() {
    for (argument, id, path) in [
        ("campaign_id", CAMPAIGN, vec![CAMPAIGN]),
        ("ad_set_id", AD_SET, vec![CAMPAIGN, AD_SET]),
        ("ad_id", AD, vec![CAMPAIGN, AD]),
    ] {
        for bench in unreadable().await {
            let activate = prepare(&bench, "meta_activate", json!({argument: id})).await;
            assert!(matches!(activate, Err(PrepareError::Call(_))), "{id}");
            let paused = pause(&bench, argument, id).await;
            let paused: Vec<&str> = paused.iter().map(ObjectId::as_str).collect();
            assert_eq!(paused, path);
        }
    }
}

#[tokio::test]
async fn a_list_that_does_not_come_stops_no_pause() {
    let bench = Bench::start().await;
    let asked = json!({"campaign_id": CAMPAIGN});
    prepare(&bench, "meta_pause", asked).await.unwrap();
    bench.fake.set_faults(Faults {
        fail: Some(Fault::Transient),
        fail_path: Some("/ads".into()),
        ..Faults::default()
    });
    pause(&bench, "campaign_id", CAMPAIGN).await;
}

/// All of the app's calls are used, as far as the vendor says; it still answers.
fn used_up() -> Faults {
    Faults {
        most_app_calls: Some(1),
        ..Faults::default()
    }
}

#[tokio::test]
async fn no_quota_of_ours_holds_a_pause_back() {
    let bench = Bench::start().await;
    bench.confirm("act_1001").await;
    bench.fake.set_faults(used_up());
    bench.campaigns().await.unwrap();
    let asked = json!({"ad_id": AD});
    let claimed = bench.claimed("meta_pause", asked.clone());
    let own = bench.corridor.own_object(&claimed, at(10_000)).await;
    let is_held = |error: &CallError| matches!(error, CallError::HeldBack { .. });
    let NotOwned::Unasked { cause, .. } = own.unwrap_err() else {
        panic!("the question itself is held back")
    };
    assert!(is_held(&cause), "{cause}");
    // Whose it is, what it is, the rehearsal, the change and the look after it.
    let pause = prepare(&bench, "meta_pause", asked.clone()).await.unwrap();
    bench.corridor.rehearse(&pause, at(10_000)).await.unwrap();
    let made = bench.corridor.make(&pause, at(10_000)).await.made;
    assert_eq!(made, Made::Applied(pause.view().after));
    let seen = bench.corridor.look(&pause.doubt(), at(10_000)).await;
    assert_eq!(seen.unwrap().standing, Standing::Reached);
    let activate = prepare(&bench, "meta_activate", asked).await;
    let Err(PrepareError::Call(error)) = activate else {
        panic!("whatever could spend waits: {activate:?}")
    };
    assert!(is_held(&error), "{error}");
}

#[tokio::test]
async fn a_change_that_waits_for_a_quota_is_not_sent() {
    let bench = Bench::start().await;
    let activate = prepare(&bench, "meta_activate", json!({"ad_id": AD}));
    let activate = activate.await.unwrap();
    bench.confirm("act_1001").await;
    bench.fake.set_faults(used_up());
    bench.campaigns().await.unwrap();
    bench.fake.forget_requests();
    let made = bench.corridor.make(&activate, at(10_000)).await.made;
    let is_held = matches!(made, Made::NotApplied(CallError::HeldBack { .. }));
    assert!(is_held, "{made:?}");
    assert_eq!(bench.fake.requests(), []);
}

#[tokio::test]
async fn the_vendor_may_still_refuse_a_pause() {
    let bench = Bench::start().await;
    let pause = prepare(&bench, "meta_pause", json!({"ad_id": AD})).await;
    bench.fake.set_faults(Faults {
        fail: Some(Fault::AppThrottled),
        ..Faults::default()
    });
    for _ in 0..2 {
        let made = bench
            .corridor
            .make(pause.as_ref().unwrap(), at(10_000))
            .await
            .made;
        let is_throttled = matches!(made, Made::NotApplied(CallError::Throttled { .. }));
        assert!(is_throttled, "{made:?}");
    }
}
