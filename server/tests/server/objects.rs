//! Objects that a call names: own ones are read, all others are not there, and
//! the audit line knows better.

use serde_json::{Value, json};
use tenantry_core::key::KeyRecord;
use tenantry_core::name::AccountId;
use tenantry_fakes::meta::{Fault, Faults, PAGE_ID};

use crate::world::{World, record};

const OURS: &str = "12001001001";
const THEIRS: &str = "12002001001";
const NOBODYS: &str = "12009999999";

/// What the caller hears of an object, without the id of the call, and the line.
async fn ask(world: &World, key: &str, tool: &str, arguments: Value) -> (Value, Value) {
    let number = world.lines().len() + 1;
    let result = world.client(key).call(tool, arguments).await;
    let mut envelope = result["structuredContent"].clone();
    let line = world.line(number).await;
    assert_eq!(
        envelope.as_object_mut().unwrap().remove("call_id"),
        Some(line["call_id"].clone())
    );
    (envelope, line)
}

#[tokio::test]
async fn an_own_object_is_read_and_its_account_is_on_record() {
    let world = World::start().await;
    let (envelope, line) = ask(
        &world,
        "demo",
        "meta_get_campaign",
        json!({"campaign_id": OURS}),
    )
    .await;
    assert_eq!(
        envelope["data"]["campaign"]["daily_budget"],
        json!({"amount": "50.00", "currency": "EUR"})
    );
    assert_eq!(line["account"], "act_1001");
    assert_eq!(
        line["object"],
        json!({"kind": "campaign", "id": OURS, "standing": "owned", "account": "act_1001"})
    );
    // Whose it is, which currency, and the campaign itself.
    assert_eq!(line["vendor_requests"], 3);
    world.end().await;
}

#[tokio::test]
async fn what_belongs_to_another_account_is_not_found_word_for_word() {
    let accounts = Some(vec![AccountId::parse("act_1001").unwrap()]);
    let narrow = KeyRecord {
        accounts,
        ..record("narrow")
    };
    let world = World::start_with(|setup| setup.keys.push(narrow)).await;
    let hidden = [
        // Of an account outside the allow-list; of one outside the key's; of
        // none; not there.
        (
            "demo",
            THEIRS,
            json!({"standing": "foreign", "account": "act_2001"}),
        ),
        (
            "narrow",
            "12001002001",
            json!({"standing": "foreign", "account": "act_1002"}),
        ),
        ("demo", PAGE_ID, json!({"standing": "unknown"})),
        ("demo", NOBODYS, json!({"standing": "unknown"})),
    ];
    for (key, id, mut expected) in hidden {
        let (envelope, line) =
            ask(&world, key, "meta_get_campaign", json!({"campaign_id": id})).await;
        assert_eq!(
            envelope,
            json!({
                "envelope": "v1", "status": "refused", "reason": "NotFound",
                "message": format!("no campaign `{id}` in the accounts of this key"),
                "remedy": "check the id with the list tool of this connector",
            })
        );
        expected["kind"] = json!("campaign");
        expected["id"] = json!(id);
        assert_eq!(line["object"], expected);
        assert_eq!(
            (&line["stage"], &line["outcome"]),
            (&json!("own"), &json!("refused"))
        );
        assert_eq!(
            (&line["account"], &line["vendor_requests"]),
            (&json!(null), &json!(1))
        );
    }
    world.end().await;
}

#[tokio::test]
async fn a_vendor_that_cannot_say_whose_it_is_fails_the_call() {
    let world = World::start().await;
    world.fake.set_faults(Faults {
        fail: Some(Fault::AppThrottled),
        ..Faults::default()
    });
    let (envelope, line) = ask(
        &world,
        "demo",
        "meta_get_campaign",
        json!({"campaign_id": OURS}),
    )
    .await;
    assert_eq!(
        (&envelope["status"], &envelope["reason"]),
        (&json!("failed"), &json!("VendorThrottled"))
    );
    assert_eq!(
        line["object"],
        json!({"kind": "campaign", "id": OURS, "standing": "claimed"})
    );
    assert_eq!(line["vendor_requests"], world.fake.requests().len());
    world.end().await;
}

#[tokio::test]
async fn tricks_with_ids_and_parameters_never_reach_the_vendor() {
    let world = World::start().await;
    let tricks = [
        json!({"campaign_id": "12001001001?method=post&daily_budget=99"}),
        json!({"campaign_id": "12001001001&method=post"}),
        json!({"campaign_id": "12001001001", "method": "post"}),
        json!({"campaign_id": "12001001001", "daily_budget": "99"}),
        json!({"campaign_id": "12001001001,12002001001"}),
        json!({"campaign_id": "12001001001", "ids": "12002001001"}),
        json!({"campaign_id": "?ids=12002001001"}),
        json!({"campaign_id": "act_2001/campaigns"}),
        json!({"campaign_id": "../act_2001"}),
        json!({"campaign_id": "%2e%2e/act_2001"}),
        json!({"campaign_id": "12001001001/adsets"}),
        json!({"campaign_id": "12001001001#"}),
        json!({"campaign_id": "1200100100１"}),
        json!({"campaign_id": "me"}),
        json!({"campaign_id": ""}),
        json!({"campaign_id": 12_001_001_001_u64}),
        json!({"campaign_id": ["12001001001"]}),
        json!({"campaign_id": null}),
        json!({"Campaign_id": "12001001001"}),
        json!({"campaign_id": "12001001001", "account": "act_1001"}),
        json!({"campaign_id": "12001001001", "access_token": "x"}),
        json!({"campaign_id": "12001001001", "fields": "name"}),
        json!({}),
    ];
    for arguments in &tricks {
        for tool in [
            "meta_get_campaign",
            "meta_list_ad_sets",
            "meta_get_insights",
        ] {
            let mut arguments = arguments.clone();
            if tool == "meta_get_insights" {
                arguments["level"] = json!("account");
            }
            let (envelope, _) = ask(&world, "demo", tool, arguments.clone()).await;
            assert_eq!(envelope["reason"], "ArgumentsInvalid", "{tool} {arguments}");
        }
    }
    assert_eq!(world.fake.requests(), [], "{} tricks", tricks.len());
    world.end().await;
}
