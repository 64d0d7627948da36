//! New campaigns, ad sets and ads: paused, whole, and found again by their name.

#![expect(clippy::unwrap_used, reason = "tests stop at the first surprise")]

use serde_json::{Value, json};
use tenantry_connectors::change::doubt::{Doubt, Standing};
use tenantry_connectors::change::{Made, PrepareError, Prepared};
use tenantry_core::effect::{Impossible, Primitive};
use tenantry_core::name::ObjectId;
use tenantry_core::reason::Reason;
use tenantry_fakes::meta::Answers::Break;
use tenantry_fakes::meta::Applies::AtOnce;
use tenantry_fakes::meta::{EffectKind, Kind, Order};

use crate::bench::{Bench, at};
use crate::changes::prepare;

/// In Berlin: a campaign whose ad sets have budgets of their own, one of these,
/// and an ad of it.
const CAMPAIGN: &str = "12001001004";
const AD_SET: &str = "120010010042";
/// What an ad of it shows, and what one of another account does.
const CREATIVE: &str = "771200100100421";
const FOREIGN_CREATIVE: &str = "771200200100111";
/// In Taipei: a campaign with a budget of its own.
const OF_TAIPEI: &str = "12001002001";

fn eur(amount: &str) -> Value {
    json!({"amount": amount, "currency": "EUR"})
}

pub fn campaign() -> (&'static str, Value) {
    let asked = json!({
        "account": "act_1001", "name": "Winter", "objective": "OUTCOME_SALES",
        "special_ad_categories": [], "daily_budget": eur("20.00"),
    });
    ("meta_create_campaign", asked)
}

pub fn ad_set() -> (&'static str, Value) {
    let asked = json!({
        "campaign_id": CAMPAIGN, "name": "Everyone", "optimization_goal": "REACH",
        "billing_event": "IMPRESSIONS", "targeting": {"geo_locations": {"countries": ["DE"]}},
        "lifetime_budget": eur("900.00"), "end_time": "2026-12-24T00:00:00+01:00",
    });
    ("meta_create_ad_set", asked)
}

pub fn ad() -> (&'static str, Value) {
    let asked = json!({
        "ad_set_id": AD_SET, "name": "Film", "creative": {"creative_id": CREATIVE},
    });
    ("meta_create_ad", asked)
}

/// The same with another value in it.
fn with(
    (tool, mut asked): (&'static str, Value),
    name: &str,
    value: Value,
) -> (&'static str, Value) {
    asked[name] = value;
    (tool, asked)
}

async fn wish(bench: &Bench, (tool, asked): (&str, Value)) -> Result<Prepared, PrepareError> {
    prepare(bench, tool, asked).await
}

async fn made(bench: &Bench, wished: (&str, Value)) -> String {
    let change = wish(bench, wished).await.unwrap();
    let sent = bench.corridor.make(&change, at(10_000)).await;
    assert!(matches!(sent.made, Made::Applied(_)), "{:?}", sent.made);
    sent.made_id.unwrap().to_string()
}

fn path(change: &Prepared) -> Vec<&str> {
    change.path.iter().map(ObjectId::as_str).collect()
}

#[tokio::test]
async fn what_is_made_is_paused_and_as_it_was_asked_for() {
    let bench = Bench::start().await;
    let change = wish(&bench, campaign()).await.unwrap();
    assert_eq!(change.effect.primitive, Primitive::Create);
    assert_eq!(
        (change.effect.created, change.effect.creates_running),
        (1, false)
    );
    assert_eq!(change.effect.exposure_micros, 0);
    assert_eq!(change.effect.budgets[0].after.amount_micros(), 20_000_000);
    assert!(!change.effect.budgets[0].becomes_live && change.effect.becomes_endless);
    assert_eq!(path(&change), [""; 0]);
    let view = serde_json::to_value(change.view()).unwrap();
    let after = json!({"name": "Winter", "status": "PAUSED", "daily_budget": eur("20.00")});
    let expected = json!({"before": {}, "after": after, "delta": {}, "currency": "EUR"});
    assert_eq!(view, expected);
    assert_eq!(bench.fake.effects(), []);

    let id = made(&bench, campaign()).await;
    let row = bench.fake.object(&id).unwrap();
    for (field, value) in [
        ("name", "Winter"),
        ("status", "PAUSED"),
        ("objective", "OUTCOME_SALES"),
        ("daily_budget", "2000"),
    ] {
        assert_eq!(row[field], value, "{field}");
    }
    let below = with(ad_set(), "campaign_id", json!(id));
    let refused = wish(&bench, below).await.unwrap_err();
    assert!(
        matches!(refused, PrepareError::Impossible(Impossible::Level { .. })),
        "{refused:?}"
    );

    let change = wish(&bench, ad_set()).await.unwrap();
    assert_eq!(path(&change), [CAMPAIGN]);
    assert!(!change.effect.becomes_endless);
    let id = made(&bench, ad_set()).await;
    let row = bench.fake.object(&id).unwrap();
    for (field, value) in [
        ("campaign_id", CAMPAIGN),
        ("status", "PAUSED"),
        ("lifetime_budget", "90000"),
        ("end_time", "2026-12-23T23:00:00+0000"),
    ] {
        assert_eq!(row[field], value, "{field}");
    }

    let change = wish(&bench, with(ad(), "ad_set_id", json!(id)))
        .await
        .unwrap();
    assert_eq!(path(&change), [CAMPAIGN, id.as_str()]);
    assert!(change.effect.budgets.is_empty());
    let ad = made(&bench, with(ad(), "ad_set_id", json!(id))).await;
    let row = bench.fake.object(&ad).unwrap();
    assert_eq!(
        (&row["adset_id"], &row["status"]),
        (&json!(id), &json!("PAUSED"))
    );
    let kinds: Vec<_> = bench
        .fake
        .effects()
        .iter()
        .map(|effect| effect.kind)
        .collect();
    assert_eq!(kinds, [EffectKind::Create; 3]);
}

#[tokio::test]
async fn a_name_that_could_not_be_told_from_another_is_refused() {
    let bench = Bench::start().await;
    for wished in [campaign(), ad_set(), ad()] {
        let id = made(&bench, wished.clone()).await;
        let Err(error) = wish(&bench, wished).await else {
            panic!("two of one name");
        };
        let refusal = error.refusal();
        assert_eq!(refusal.reason, Reason::ArgumentsInvalid);
        assert!(refusal.message.contains(&id), "{}", refusal.message);
    }
    // The vendor finds parts of names, and those of others' ad sets.
    for name in ["winter", "Winte", "Winter 2"] {
        made(&bench, with(campaign(), "name", json!(name))).await;
    }
    let quoted = with(campaign(), "name", json!(r#"a "quote", [a] \ and 夜市"#));
    made(&bench, quoted.clone()).await;
    wish(&bench, quoted).await.unwrap_err();
    let elsewhere = bench.fake.add_campaign("act_1001");
    bench.fake.put(
        Kind::AdSet,
        json!({"id": "4711", "account_id": "1001", "campaign_id": elsewhere[0], "name": "New",
            "status": "PAUSED", "effective_status": "PAUSED", "daily_budget": "100"}),
    );
    made(&bench, with(ad_set(), "name", json!("New"))).await;
}

#[tokio::test]
async fn what_cannot_be_made_is_refused_before_anything_is_sent() {
    let bench = Bench::start().await;
    let twd = json!({"amount": "300", "currency": "TWD"});
    let cases = [
        (with(campaign(), "daily_budget", twd), "in `TWD`"),
        (with(campaign(), "lifetime_budget", eur("5")), "not both"),
        (with(campaign(), "daily_budget", eur("0.005")), ""),
        (with(campaign(), "name", json!("  ")), "empty"),
        (with(campaign(), "name", json!(" Winter")), "a space"),
        (with(campaign(), "name", json!("Winter ")), "a space"),
        (with(campaign(), "name", json!("Win  ter")), "a space"),
        (with(campaign(), "name", json!("Win\u{a0}ter")), "a space"),
        (with(campaign(), "name", json!("Ku\u{308}che")), "NFC"),
        (
            with(campaign(), "stop_time", json!("2026-11-24T13:00:00+01:00")),
            "lie ahead",
        ),
        (
            with(campaign(), "stop_time", json!("1970-01-01T00:00:00Z")),
            "lie ahead",
        ),
        (
            with(campaign(), "name", json!("a\u{202e}b")),
            "cannot be seen",
        ),
        (
            with(
                campaign(),
                "stop_time",
                json!("2026-10-01T00:00:00.5+02:00"),
            ),
            "no moment",
        ),
        (with(campaign(), "stop_time", json!("soon")), "no moment"),
        (with(ad_set(), "campaign_id", json!(OF_TAIPEI)), "TWD"),
        (with(ad_set(), "campaign_id", json!(AD_SET)), ""),
    ];
    for (wished, why) in cases {
        let context = format!("{wished:?}");
        match wish(&bench, wished).await {
            Err(error) => assert!(error.to_string().contains(why), "{context}: {error}"),
            Ok(_) => panic!("{context}"),
        }
    }
    assert_eq!(bench.fake.effects(), []);
}

#[tokio::test]
async fn what_a_new_object_uses_is_the_accounts_own() {
    let bench = Bench::start().await;
    let using = |id: &str| with(ad(), "creative", json!({"creative_id": id}));
    let refused = async |id: &str| {
        let refused = wish(&bench, using(id)).await.unwrap_err().refusal();
        assert_eq!(refused.reason, Reason::NotFound, "{refused:?}");
        refused.message.replace(id, "x")
    };
    // Of another account under the same token, and of none: to the letter.
    let foreign = refused(FOREIGN_CREATIVE).await;
    assert_eq!(foreign, refused("4711").await);
    assert_eq!(bench.fake.effects(), []);
    made(&bench, using(CREATIVE)).await;
}

#[tokio::test]
async fn a_rehearsal_makes_nothing_and_hears_what_the_vendor_would_say() {
    let bench = Bench::start().await;
    let change = wish(&bench, campaign()).await.unwrap();
    bench.corridor.rehearse(&change, at(10_000)).await.unwrap();
    assert_eq!(bench.fake.effects(), []);
    // Below the least that Meta takes for a day.
    let little = with(campaign(), "daily_budget", eur("0.01"));
    let change = wish(&bench, little).await.unwrap();
    bench
        .corridor
        .rehearse(&change, at(10_000))
        .await
        .unwrap_err();
}

#[tokio::test]
async fn only_the_name_does_not_make_it_another() {
    let bench = Bench::start().await;
    let likeness = async |wished| wish(&bench, wished).await.unwrap().likeness();
    let own = likeness(campaign()).await;
    assert_eq!(
        likeness(with(campaign(), "name", json!("Other"))).await,
        own
    );
    let in_countries = |countries: Value| {
        let targeting = json!({"geo_locations": {"countries": countries}});
        with(ad_set(), "targeting", targeting)
    };
    assert_eq!(
        likeness(in_countries(json!(["DE", "AT"]))).await,
        likeness(in_countries(json!(["AT", "DE"]))).await,
    );
    for other in [
        with(campaign(), "objective", json!("OUTCOME_LEADS")),
        with(campaign(), "daily_budget", eur("21")),
        ad_set(),
    ] {
        assert_ne!(likeness(other).await, own);
    }
    // By its name it has its place to itself.
    let root = async |wished| wish(&bench, wished).await.unwrap().root().unwrap();
    let dearer = with(campaign(), "daily_budget", eur("21"));
    assert_eq!(root(dearer).await, root(campaign()).await);
    let other = with(campaign(), "name", json!("Other"));
    assert_ne!(root(other).await, root(campaign()).await);
    assert_eq!(root(ad_set()).await.as_str(), CAMPAIGN);
}

#[tokio::test]
async fn what_is_found_is_that_very_one_or_for_people() {
    let bench = Bench::start().await;
    let change = wish(&bench, campaign()).await.unwrap();
    bench.fake.order(Order::next_write(AtOnce, Break));
    let unknown = bench.corridor.make(&change, at(10_000)).await.made;
    assert!(matches!(unknown, Made::Unknown(_)), "{unknown:?}");
    let standing = async |doubt: &Doubt| {
        let seen = bench.corridor.look(doubt, at(10_000)).await.unwrap();
        (seen.standing, seen.found.id)
    };
    let doubt = change.doubt();
    let id = bench.fake.effects()[0].object.clone();
    assert_eq!(
        standing(&doubt).await,
        (Standing::Reached, Some(id.clone()))
    );
    // By its id it is that one, whatever it is called by now.
    let rename = json!({"campaign_id": id, "name": "Spring"});
    let rename = prepare(&bench, "meta_rename", rename).await.unwrap();
    bench.corridor.make(&rename, at(10_000)).await;
    assert_eq!(standing(&doubt).await, (Standing::AsBefore, None));
    let named = Doubt {
        made: Some(ObjectId::parse(&id).unwrap()),
        ..doubt.clone()
    };
    assert_eq!(
        standing(&named).await,
        (Standing::Otherwise, Some(id.clone()))
    );
    let back = json!({"campaign_id": id, "name": "Winter"});
    let back = prepare(&bench, "meta_rename", back).await.unwrap();
    bench.corridor.make(&back, at(10_000)).await;
    assert_eq!(standing(&named).await.0, Standing::Reached);
    // One that runs is not what was to be made.
    let activate = json!({"campaign_id": id});
    let activate = prepare(&bench, "meta_activate", activate).await.unwrap();
    bench.corridor.make(&activate, at(10_000)).await;
    assert_eq!(standing(&doubt).await.0, Standing::Otherwise);
    let pause = prepare(&bench, "meta_pause", json!({"campaign_id": id})).await;
    bench.corridor.make(&pause.unwrap(), at(10_000)).await;
    assert_eq!(standing(&doubt).await.0, Standing::Reached);
    // By another budget, or twice, it is not for us to say which it is.
    bench.fake.put(
        Kind::Campaign,
        json!({"id": "4711", "account_id": "1001", "name": "Winter", "status": "PAUSED",
            "effective_status": "PAUSED", "daily_budget": "2000", "budget_remaining": "2000"}),
    );
    assert_eq!(standing(&doubt).await.0, Standing::Otherwise);
    let dearer = wish(&bench, with(campaign(), "name", json!("Dear")))
        .await
        .unwrap();
    bench.fake.put(
        Kind::Campaign,
        json!({"id": "4712", "account_id": "1001", "name": "Dear", "status": "PAUSED",
            "effective_status": "PAUSED", "daily_budget": "2001", "budget_remaining": "2001"}),
    );
    assert_eq!(standing(&dearer.doubt()).await.0, Standing::Otherwise);
}
