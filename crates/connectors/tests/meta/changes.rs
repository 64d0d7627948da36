//! Changes: what one does is known before it is made.

#![expect(clippy::unwrap_used, reason = "tests stop at the first surprise")]

use jiff::Timestamp;
use serde_json::{Value, json};
use tenantry_connectors::call_error::CallError;
use tenantry_connectors::change::doubt::Standing;
use tenantry_connectors::change::{Made, PrepareError, Prepared, Target};
use tenantry_core::effect::{Delta, Impossible, Primitive};
use tenantry_core::name::ObjectId;
use tenantry_core::reason::Reason;
use tenantry_core::spend_root::Switch;
use tenantry_fakes::meta::{EffectKind, Fault, Faults};

use crate::bench::{Bench, args, at};

/// In Berlin: a campaign of two live ad sets, of 20.00 and 30.50 EUR a day.
const CAMPAIGN: &str = "12001001004";
const AD_SET: &str = "120010010042";
const AD: &str = "1200100100421";
/// In Taipei: a live campaign with a budget of its own, 300 TWD a day.
const OF_TAIPEI: &str = "12001002001";

fn now() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

fn id(text: &str) -> ObjectId {
    ObjectId::parse(text).unwrap()
}

pub async fn prepare(bench: &Bench, tool: &str, asked: Value) -> Result<Prepared, PrepareError> {
    let owned = bench.place(tool, asked.clone()).await;
    let (tool, args) = (bench.tool(tool), args(asked));
    bench
        .corridor
        .prepare(tool, &args, owned, now(), at(20_000))
        .await
}

/// How the object of a change stands, by a corridor's own question.
async fn standing(bench: &Bench, change: &Prepared) -> Standing {
    let seen = bench.corridor.look(&change.doubt(), at(10_000)).await;
    seen.unwrap().standing
}

/// Makes a change that nothing stands in the way of.
async fn make(bench: &Bench, change: &Prepared) {
    let made = bench.corridor.make(change, at(10_000)).await.made;
    assert_eq!(made, Made::Applied(change.view().after));
}

fn eur(amount: &str) -> Value {
    json!({"amount": amount, "currency": "EUR"})
}

fn rise(increase_micros: i64) -> Delta {
    Delta {
        increase_micros,
        decrease_micros: 0,
    }
}

#[tokio::test]
async fn a_budget_counts_by_what_is_there_and_not_by_its_argument() {
    let bench = Bench::start().await;
    let asked = json!({"ad_set_id": AD_SET, "daily_budget": eur("40.00")});
    let change = prepare(&bench, "meta_set_budget", asked).await.unwrap();
    assert_eq!(change.effect.primitive, Primitive::SetBudget);
    assert_eq!(change.effect.daily, rise(9_500_000));
    let path: Vec<&str> = change.path.iter().map(ObjectId::as_str).collect();
    assert_eq!(path, [CAMPAIGN, AD_SET]);
    assert!(!change.is_reached);
    let same = json!({"ad_set_id": AD_SET, "daily_budget": eur("30.5")});
    let change = prepare(&bench, "meta_set_budget", same).await.unwrap();
    assert!(change.is_reached);
    assert_eq!(change.effect.daily, rise(0));
    let taipei =
        json!({"campaign_id": OF_TAIPEI, "daily_budget": {"amount": "301", "currency": "TWD"}});
    let change = prepare(&bench, "meta_set_budget", taipei).await.unwrap();
    assert_eq!(change.effect.daily, rise(1_000_000));
}

#[tokio::test]
async fn a_switch_counts_by_what_becomes_live() {
    let bench = Bench::start().await;
    for (argument, id, falls) in [
        ("campaign_id", CAMPAIGN, 50_500_000),
        ("ad_set_id", AD_SET, 30_500_000),
        // Its only ad: without it the ad set spends nothing.
        ("ad_id", AD, 30_500_000),
    ] {
        let change = prepare(&bench, "meta_pause", json!({argument: id}))
            .await
            .unwrap();
        assert_eq!(change.effect.daily.decrease_micros, falls, "{argument}");
        assert!(change.effect.only_stops());
        assert_eq!(change.target, Target::Switch(Switch::Off));
        let change = prepare(&bench, "meta_activate", json!({argument: id}))
            .await
            .unwrap();
        assert!(change.is_reached, "{argument}");
        assert_eq!(change.effect.daily, rise(0));
    }
}

#[tokio::test]
async fn bids_and_names_are_prepared_on_what_there_is() {
    let bench = Bench::start().await;
    let asked = json!({"ad_set_id": AD_SET, "bid": eur("3")});
    let bid = prepare(&bench, "meta_set_bid", asked).await.unwrap();
    let bid = bid.effect.bid.unwrap();
    assert_eq!(
        (bid.before_micros, bid.after_micros),
        (Some(2_500_000), Some(3_000_000))
    );
    let asked = json!({"ad_id": AD, "name": "Autumn"});
    let name = prepare(&bench, "meta_rename", asked).await.unwrap();
    assert_eq!(
        (name.effect.primitive, name.effect.records),
        (Primitive::Records, 1)
    );
    // Whoever protects what stands above it protects it too.
    assert_eq!(name.effect.touched, [CAMPAIGN, AD_SET, AD].map(id).into());
    assert!(!name.is_reached);
}

#[tokio::test]
async fn nothing_is_converted_and_nothing_is_rounded() {
    let bench = Bench::start().await;
    let dollars = json!({"ad_set_id": AD_SET, "daily_budget": {"amount": "40", "currency": "USD"}});
    let error = prepare(&bench, "meta_set_budget", dollars)
        .await
        .unwrap_err();
    let refusal = error.refusal();
    assert_eq!(refusal.reason, Reason::ArgumentsInvalid);
    assert_eq!(
        refusal.message,
        "the amount is in `USD`, the account in `EUR`"
    );
    assert_eq!(
        refusal.remedy,
        "give the amount in `EUR`; amounts are never converted"
    );
    let lifetime = json!({"ad_set_id": AD_SET, "lifetime_budget": eur("400")});
    let error = prepare(&bench, "meta_set_budget", lifetime)
        .await
        .unwrap_err();
    assert!(
        matches!(error, PrepareError::Impossible(Impossible::Kind { .. })),
        "{error}"
    );
    let level = json!({"campaign_id": CAMPAIGN, "daily_budget": eur("40")});
    let error = prepare(&bench, "meta_set_budget", level).await.unwrap_err();
    assert!(
        matches!(error, PrepareError::Impossible(Impossible::Level { .. })),
        "{error}"
    );
}

#[tokio::test]
async fn what_cannot_be_said_is_refused_before_the_vendor_is_asked() {
    let bench = Bench::start().await;
    let fine = "0.001 EUR is not a whole number of the vendor's smallest unit";
    let cases = [
        (json!({"daily_budget": eur("0.001")}), fine),
        (
            json!({"daily_budget": eur("0")}),
            "an amount is above zero; to stop spending, pause",
        ),
        (
            json!({"daily_budget": eur("1e3")}),
            "an amount cannot be read",
        ),
        (
            json!({"daily_budget": eur("1,5")}),
            "an amount cannot be read",
        ),
        (
            json!({"daily_budget": {"amount": "5"}}),
            "an amount cannot be read",
        ),
        (json!({}), "exactly one of daily_budget and lifetime_budget"),
        (
            json!({"daily_budget": eur("5"), "lifetime_budget": eur("5")}),
            "exactly one of",
        ),
    ];
    for (mut asked, message) in cases {
        asked["ad_set_id"] = AD_SET.into();
        prepare(&bench, "meta_set_budget", asked.clone())
            .await
            .unwrap_err();
        bench.fake.forget_requests();
        let error = prepare(&bench, "meta_set_budget", asked).await.unwrap_err();
        assert!(error.refusal().message.starts_with(message), "{error}");
        assert_eq!(bench.fake.requests().len(), 0, "{message}");
    }
    for name in ["", "  ", "a\u{202e}b", "a\nb", &"x".repeat(501)] {
        let asked = json!({"ad_id": AD, "name": name});
        let error = prepare(&bench, "meta_rename", asked).await.unwrap_err();
        assert!(
            matches!(error, PrepareError::Arguments(_)),
            "{name:?}: {error}"
        );
    }
}

/// The object's changes that really came about: field by field, before and after.
fn effects(bench: &Bench) -> Vec<(EffectKind, Value, Value)> {
    let all = bench.fake.effects().into_iter();
    all.map(|effect| (effect.kind, effect.before, effect.after))
        .collect()
}

fn bids(cents: u32) -> Value {
    json!({"bid_amount": cents, "bid_strategy": "LOWEST_COST_WITH_BID_CAP"})
}

#[tokio::test]
async fn a_change_is_made_once_and_read_back() {
    let cases = [
        (
            "meta_set_budget",
            json!({"ad_set_id": AD_SET, "daily_budget": eur("40.00")}),
            (
                EffectKind::SetBudget,
                json!({"daily_budget": "3050", "lifetime_budget": "0"}),
                json!({"daily_budget": "4000", "lifetime_budget": "0"}),
            ),
        ),
        (
            "meta_set_budget",
            json!({"campaign_id": OF_TAIPEI, "daily_budget": {"amount": "301", "currency": "TWD"}}),
            (
                EffectKind::SetBudget,
                json!({"daily_budget": "300"}),
                json!({"daily_budget": "301"}),
            ),
        ),
        (
            "meta_pause",
            json!({"campaign_id": CAMPAIGN}),
            (
                EffectKind::SetStatus,
                json!({"status": "ACTIVE"}),
                json!({"status": "PAUSED"}),
            ),
        ),
        (
            "meta_set_bid",
            json!({"ad_set_id": AD_SET, "bid": eur("3")}),
            (EffectKind::SetBid, bids(250), bids(300)),
        ),
        (
            "meta_rename",
            json!({"ad_id": AD, "name": "Autumn & \"winter\""}),
            (
                EffectKind::Rename,
                json!({"name": "Retargeting / returning / film"}),
                json!({"name": "Autumn & \"winter\""}),
            ),
        ),
    ];
    for (tool, asked, effect) in cases {
        let bench = Bench::start().await;
        let change = prepare(&bench, tool, asked).await.unwrap();
        assert_eq!(standing(&bench, &change).await, Standing::AsBefore);
        bench.corridor.rehearse(&change, at(10_000)).await.unwrap();
        assert_eq!(effects(&bench), [], "{tool}: a rehearsal changes nothing");
        make(&bench, &change).await;
        assert_eq!(effects(&bench), [effect]);
        assert_eq!(standing(&bench, &change).await, Standing::Reached);
    }
}

#[tokio::test]
async fn whoever_was_paused_is_activated_again() {
    let bench = Bench::start().await;
    let pause = prepare(&bench, "meta_pause", json!({"ad_set_id": AD_SET}))
        .await
        .unwrap();
    make(&bench, &pause).await;
    let activate = prepare(&bench, "meta_activate", json!({"ad_set_id": AD_SET}))
        .await
        .unwrap();
    assert_eq!(activate.effect.daily, rise(30_500_000));
    make(&bench, &activate).await;
    let last = effects(&bench).pop().unwrap();
    assert_eq!(
        (last.1, last.2),
        (json!({"status": "PAUSED"}), json!({"status": "ACTIVE"}))
    );
}

#[tokio::test]
async fn somebody_elses_change_in_between_is_seen() {
    let bench = Bench::start().await;
    let budget = |amount: &str| json!({"ad_set_id": AD_SET, "daily_budget": eur(amount)});
    let mine = prepare(&bench, "meta_set_budget", budget("40"))
        .await
        .unwrap();
    let theirs = prepare(&bench, "meta_set_budget", budget("50"))
        .await
        .unwrap();
    make(&bench, &theirs).await;
    assert_eq!(standing(&bench, &mine).await, Standing::Otherwise);
    let name = prepare(
        &bench,
        "meta_rename",
        json!({"ad_set_id": AD_SET, "name": "B"}),
    )
    .await;
    // A budget that somebody sets is nothing to a name.
    let name = name.unwrap();
    assert_eq!(standing(&bench, &name).await, Standing::AsBefore);
}

/// What becomes of one and the same change where its request fails like this.
async fn made_with(faults: Faults) -> (Made, usize) {
    let bench = Bench::start().await;
    let asked = json!({"ad_set_id": AD_SET, "daily_budget": eur("40.00")});
    let change = prepare(&bench, "meta_set_budget", asked).await.unwrap();
    bench.fake.forget_requests();
    bench.fake.set_faults(Faults {
        fail_method: Some("POST".into()),
        ..faults
    });
    let made = bench.corridor.make(&change, at(10_000)).await.made;
    let requests = bench.fake.requests();
    let sent = requests.iter().filter(|request| request.method == "POST");
    assert_eq!(
        sent.count(),
        1,
        "a change is sent once, whatever becomes of it"
    );
    (made, bench.fake.effects().len())
}

#[tokio::test]
async fn a_failure_is_not_applied_only_where_the_vendor_says_so() {
    use Fault::{
        BadParameter, InternalError, NotFound, NotJson, PermissionMissing, PolicyBlock, Reset,
        Throttled, TokenExpired, Transient, Unavailable,
    };
    for fault in [
        BadParameter,
        PermissionMissing,
        PolicyBlock,
        Throttled,
        TokenExpired,
    ] {
        for errors_as_success in [false, true] {
            let faults = Faults {
                fail: Some(fault),
                errors_as_success,
                ..Faults::default()
            };
            let (made, effects) = made_with(faults).await;
            assert!(matches!(made, Made::NotApplied(_)), "{fault:?}: {made:?}");
            assert_eq!(effects, 0);
        }
    }
    for fault in [
        Transient,
        InternalError,
        Unavailable,
        NotFound,
        NotJson,
        Reset,
    ] {
        let faults = Faults {
            fail: Some(fault),
            ..Faults::default()
        };
        let (made, _) = made_with(faults).await;
        assert!(matches!(made, Made::Unknown(_)), "{fault:?}: {made:?}");
    }
}

#[tokio::test]
async fn an_error_that_nobody_explained_may_have_come_too_late() {
    let cases = [
        // The request was aborted, nobody knows when.
        (960, None),
        (-1, None),
        (
            1,
            Some("Please reduce the amount of data you're asking for"),
        ),
    ];
    for (code, message) in cases {
        let faults = Faults {
            fail: Some(Fault::Code),
            code: (code, None),
            message: message.map(str::to_owned),
            ..Faults::default()
        };
        let (made, _) = made_with(faults).await;
        assert!(matches!(made, Made::Unknown(_)), "{code}: {made:?}");
    }
}

#[tokio::test]
async fn what_is_too_late_to_be_sent_is_not_made() {
    let bench = Bench::start().await;
    let asked = json!({"ad_set_id": AD_SET, "daily_budget": eur("40.00")});
    let change = prepare(&bench, "meta_set_budget", asked).await.unwrap();
    bench.fake.forget_requests();
    let made = bench.corridor.make(&change, at(0)).await.made;
    let late = matches!(made, Made::NotApplied(CallError::TimedOut { .. }));
    assert!(late, "{made:?}");
    let doubt = change.doubt();
    bench.corridor.look(&doubt, at(0)).await.unwrap_err();
    bench.corridor.rehearse(&change, at(0)).await.unwrap_err();
    assert_eq!(bench.fake.requests().len(), 0);
}

#[tokio::test]
async fn an_object_is_changed_as_what_it_is() {
    let bench = Bench::start().await;
    for tool in ["meta_activate", "meta_pause"] {
        let error = prepare(&bench, tool, json!({"ad_id": AD_SET})).await;
        let unknown = PrepareError::Impossible(Impossible::Unknown(id(AD_SET)));
        assert_eq!(error, Err(unknown), "{tool}");
    }
}

#[tokio::test]
async fn a_version_that_nobody_pinned_is_told_of_changes_too() {
    let bench = Bench::start().await;
    let drifted = Faults {
        served_version: Some("v27.0".into()),
        ..Faults::default()
    };
    bench.fake.set_faults(drifted.clone());
    let change = prepare(&bench, "meta_pause", json!({"ad_id": AD})).await;
    assert_eq!(bench.corridor.alarm().len(), 1);
    bench.fake.set_faults(Faults::default());
    let change = change.unwrap();
    bench.corridor.rehearse(&change, at(10_000)).await.unwrap();
    assert_eq!(bench.corridor.alarm(), []);
    bench.fake.set_faults(drifted);
    bench.corridor.rehearse(&change, at(10_000)).await.unwrap();
    assert_eq!(bench.corridor.alarm().len(), 1);
}
