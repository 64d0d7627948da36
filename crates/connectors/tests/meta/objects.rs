//! Objects: whose one is, the vendor says, and nobody else.

#![expect(clippy::unwrap_used, reason = "tests stop at the first surprise")]

use serde_json::{Value, json};
use tenantry_connectors::connector::ClaimedObject;
use tenantry_connectors::corridor::Corridor;
use tenantry_connectors::corridor::owned::{NotOwned, Owned};
use tenantry_core::reason::{Reason, Refusal};
use tenantry_fakes::meta::{Fault, Faults, PAGE_ID};

use crate::bench::{Bench, args, at};

const OURS: &str = "12001001001";
const THEIRS: &str = "12002001001";
const NOBODYS: &str = "12009999999";

fn claimed(bench: &Bench, id: &str) -> ClaimedObject {
    bench.claimed("meta_get_campaign", json!({"campaign_id": id}))
}

async fn refusal(bench: &Bench, corridor: &Corridor, id: &str) -> (NotOwned, Refusal, usize) {
    bench.fake.forget_requests();
    let asked = corridor.own_object(&claimed(bench, id), at(10_000)).await;
    let error = asked.unwrap_err();
    let refusal = error.refusal();
    (error, refusal, bench.fake.requests().len())
}

#[tokio::test]
async fn one_object_comes_with_its_allow_listed_fields() {
    let bench = Bench::start().await;
    let cases = [
        (
            "meta_get_campaign",
            json!({"campaign_id": "12001002001"}),
            json!({"campaign": {
                "id": "12001002001", "name": "Night market", "status": "ACTIVE", "effective_status": "ACTIVE",
                "objective": "OUTCOME_SALES", "bid_strategy": "LOWEST_COST_WITHOUT_CAP", "buying_type": "AUCTION",
                "daily_budget": {"amount": "300.00", "currency": "TWD"},
                "budget_remaining": {"amount": "300.00", "currency": "TWD"},
                "start_time": "2026-10-01T00:00:00+0200",
            }}),
        ),
        (
            "meta_get_ad_set",
            json!({"ad_set_id": "120010010042"}),
            json!({"ad_set": {
                "id": "120010010042", "campaign_id": "12001001004", "name": "Retargeting / returning",
                "status": "ACTIVE", "effective_status": "ACTIVE", "optimization_goal": "OFFSITE_CONVERSIONS",
                "billing_event": "IMPRESSIONS", "bid_strategy": "LOWEST_COST_WITH_BID_CAP",
                "bid_amount": {"amount": "2.50", "currency": "EUR"},
                "daily_budget": {"amount": "30.50", "currency": "EUR"},
                "budget_remaining": {"amount": "30.50", "currency": "EUR"},
                "is_budget_schedule_enabled": false, "start_time": "2026-10-01T00:00:00+0200",
            }}),
        ),
        (
            "meta_get_ad",
            json!({"ad_id": "1200100100421"}),
            json!({"ad": {
                "id": "1200100100421", "campaign_id": "12001001004", "ad_set_id": "120010010042",
                "name": "Retargeting / returning / film", "status": "ACTIVE", "effective_status": "ACTIVE",
                "creative_id": "771200100100421", "created_time": "2026-09-20T09:00:00+0200",
                "updated_time": "2026-11-01T09:00:00+0200",
            }}),
        ),
    ];
    for (tool, asked, expected) in cases {
        assert_eq!(bench.call(tool, asked).await.unwrap().data, expected);
    }
}

#[tokio::test]
async fn lists_go_below_an_account_a_campaign_or_an_ad_set() {
    let bench = Bench::start().await;
    let cases = [
        (
            "meta_list_ad_sets",
            json!({"account": "act_1002"}),
            "ad_sets",
            6,
        ),
        (
            "meta_list_ad_sets",
            json!({"campaign_id": OURS}),
            "ad_sets",
            2,
        ),
        ("meta_list_ads", json!({"account": "act_1002"}), "ads", 6),
        ("meta_list_ads", json!({"campaign_id": OURS}), "ads", 2),
        (
            "meta_list_ads",
            json!({"ad_set_id": "120010010012"}),
            "ads",
            1,
        ),
        (
            "meta_list_ads",
            json!({"account": "act_1001", "effective_status": ["CAMPAIGN_PAUSED"], "limit": 3}),
            "ads",
            3,
        ),
        (
            "meta_account_activity",
            json!({"account": "act_1002"}),
            "activities",
            3,
        ),
        (
            "meta_account_activity",
            json!({"account": "act_1002", "since": "2026-11-11", "until": "2026-11-11"}),
            "activities",
            1,
        ),
    ];
    for (tool, asked, rows, count) in cases {
        let answer = bench.call(tool, asked.clone()).await.unwrap();
        assert_eq!(
            answer.data[rows].as_array().unwrap().len(),
            count,
            "{tool} {asked}"
        );
    }
    let insights =
        json!({"campaign_id": OURS, "level": "campaign", "breakdowns": ["age", "gender"]});
    let rows = bench
        .call("meta_get_insights", insights)
        .await
        .unwrap()
        .data;
    let rows = rows["insights"].as_array().unwrap();
    assert_eq!(rows.len(), 6);
    assert_eq!(
        (&rows[0]["age"], &rows[0]["gender"]),
        (&json!("18-24"), &json!("female"))
    );
    let odd = json!({"account": "act_1001", "level": "account", "breakdowns": ["age", "country"]});
    let error = bench.call("meta_get_insights", odd).await.unwrap_err();
    assert_eq!(error.reason(), Reason::VendorRejected);
}

#[tokio::test]
async fn an_object_of_another_account_is_not_there_to_the_letter() {
    let bench = Bench::start().await;
    let in_the_words_of = |id: &str| {
        Refusal::new(
            Reason::NotFound,
            format!("no campaign `{id}` in the accounts of this key"),
        )
    };
    // Somebody else's, nobody's, a node that has no account, an account's own number.
    for id in [THEIRS, NOBODYS, PAGE_ID, "1001"] {
        let (_, refusal, requests) = refusal(&bench, &bench.corridor, id).await;
        assert_eq!(refusal, in_the_words_of(id));
        assert_eq!(requests, 1, "{id}: how long it takes tells nothing");
    }
    let (error, ..) = refusal(&bench, &bench.corridor, THEIRS).await;
    assert!(matches!(error, NotOwned::Foreign { account, .. } if account.as_str() == "act_2001"));
    let (error, ..) = refusal(&bench, &bench.corridor, NOBODYS).await;
    assert!(matches!(error, NotOwned::Unknown { .. }));
}

#[tokio::test]
async fn a_key_with_fewer_accounts_learns_nothing_from_the_others_calls() {
    let bench = Bench::start().await;
    let taipei = claimed(&bench, "12001002001");
    bench
        .corridor
        .own_object(&taipei, at(10_000))
        .await
        .unwrap();
    let narrowed = bench.corridor.narrowed(|id| id.as_str() == "act_1001");
    for _ in 0..2 {
        let (known, ..) = refusal(&bench, &narrowed, "12001002001").await;
        assert!(matches!(known, NotOwned::Foreign { .. }));
        let requests = bench.fake.requests().len();
        let (_, _, unknown) = refusal(&bench, &narrowed, NOBODYS).await;
        assert_eq!(requests, unknown, "both are asked for");
    }
}

#[tokio::test]
async fn the_question_asks_for_the_account_alone_and_is_asked_once() {
    let bench = Bench::start().await;
    let ours = claimed(&bench, OURS);
    let owned = bench.corridor.own_object(&ours, at(10_000)).await.unwrap();
    assert_eq!(
        (owned.id(), owned.account().id().as_str()),
        (OURS, "act_1001")
    );
    bench.corridor.own_object(&ours, at(10_000)).await.unwrap();
    let requests = bench.fake.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].path, format!("/v26.0/{OURS}"));
    let fields = ("fields".to_owned(), "id,account_id".to_owned());
    assert_eq!(requests[0].parameters, [fields]);
}

#[tokio::test]
async fn a_proof_opens_only_what_it_proves() {
    let bench = Bench::start().await;
    let campaign = |id: &str| json!({"campaign_id": id});
    let own = async |id| Owned::Object(bench.own("meta_get_campaign", campaign(id)).await);
    let (taipei, berlin) = (own("12001002001").await, own(OURS).await);
    let account = Owned::Account(bench.corridor.own("act_1001").unwrap());
    bench.fake.forget_requests();
    let narrowed = bench.corridor.narrowed(|id| id.as_str() == "act_1001");
    let asked = |id: &str| args(json!({"campaign_id": id}));
    let attempts = [
        (
            &bench.corridor,
            "meta_get_campaign",
            asked(OURS),
            Some(&taipei),
        ),
        (
            &bench.corridor,
            "meta_get_campaign",
            asked(OURS),
            Some(&account),
        ),
        (&bench.corridor, "meta_get_campaign", asked(OURS), None),
        (
            &narrowed,
            "meta_get_campaign",
            asked("12001002001"),
            Some(&taipei),
        ),
        (
            &bench.corridor,
            "meta_get_ad",
            args(json!({"ad_id": OURS})),
            Some(&berlin),
        ),
        (
            &bench.corridor,
            "meta_list_ad_accounts",
            args(json!({})),
            Some(&berlin),
        ),
    ];
    for (corridor, tool, asked, proof) in attempts {
        let read = corridor
            .read(bench.tool(tool), &asked, proof.cloned(), at(10_000))
            .await;
        assert_eq!(
            read.unwrap_err().reason(),
            Reason::AccountRefused,
            "{tool} {asked:?}"
        );
    }
    assert_eq!(bench.fake.requests(), []);
}

#[tokio::test]
async fn an_object_of_another_kind_is_refused_in_the_vendors_words() {
    let bench = Bench::start().await;
    let error = bench.call("meta_get_campaign", json!({"campaign_id": "120010010042"}));
    let error = error.await.unwrap_err();
    assert_eq!(error.reason(), Reason::VendorRejected);
    assert!(
        error.refusal().message.contains("on node type (AdSet)"),
        "{error}"
    );
}

#[tokio::test]
async fn a_vendor_that_cannot_be_asked_proves_nothing() {
    for (fault, reason) in [
        (Fault::TokenExpired, Reason::ReconnectRequired),
        (Fault::Throttled, Reason::VendorThrottled),
        (Fault::Unavailable, Reason::VendorUnavailable),
        (Fault::NotJson, Reason::VendorAnswerInvalid),
    ] {
        // A throttled account would be asked nothing more for a while.
        let bench = Bench::start().await;
        bench.fake.set_faults(Faults {
            fail: Some(fault),
            ..Faults::default()
        });
        let (error, refusal, _) = refusal(&bench, &bench.corridor, OURS).await;
        assert!(matches!(error, NotOwned::Unasked { .. }), "{fault:?}");
        assert_eq!(refusal.reason, reason, "{fault:?}");
    }
}

#[test]
fn what_is_not_spelt_as_an_id_is_not_even_a_claim() {
    let meta = include_str!("../../../../connectors/meta.yaml");
    let meta = tenantry_connectors::connector::Connector::load("meta.yaml", meta).unwrap();
    let spellings = [
        json!(""),
        json!("1,2"),
        json!("1?method=post"),
        json!("1/campaigns"),
        json!("../1"),
        json!("act_1/campaigns"),
        json!("1&ids=2"),
        json!("1#"),
        json!("1%2F2"),
        json!("１"),
        json!("1\n"),
        json!("-1"),
        json!("1.0"),
        json!("0x1"),
        json!("me"),
        json!(1),
        json!(["1"]),
        json!(null),
        json!("123456789012345678901"),
        json!("search"),
        json!("1;2"),
        json!("1 "),
    ];
    for tool in meta.tools() {
        for subject in &tool.subjects {
            for spelling in &spellings {
                let asked: serde_json::Map<String, Value> =
                    [(subject.argument.clone(), spelling.clone())]
                        .into_iter()
                        .collect();
                let error = tool.named(&asked).unwrap_err();
                assert_eq!(
                    error.reason(),
                    Reason::ArgumentsInvalid,
                    "{} {spelling}",
                    tool.name
                );
            }
        }
    }
    let ads = meta.tool("meta_list_ads").unwrap();
    for asked in [json!({}), json!({"account": "act_1", "campaign_id": "1"})] {
        assert_eq!(
            ads.named(&args(asked)).unwrap_err().refusal().message,
            "exactly one of the arguments account, campaign_id, ad_set_id says what the call is about"
        );
    }
}
