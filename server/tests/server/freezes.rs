//! Freezes and access: what a person stopped is stopped, the refusal names it,
//! and what is lifted is served again.

use serde_json::{Value, json};
use tenantry_core::access::Access;
use tenantry_core::freeze::{Freeze, FreezeScope};
use tenantry_core::name::{AccountId, ConnectorName};

use crate::control::raw;
use crate::world::{World, logs, until};

fn freeze(name: &str, scope: FreezeScope, access: Access) -> Freeze {
    Freeze {
        name: name.into(),
        scope,
        access,
        note: None,
        flaw: None,
    }
}

fn meta() -> ConnectorName {
    ConnectorName::parse("meta").unwrap()
}

/// Reason and message of the answer; both null when it is done.
async fn answer(world: &World, tool: &str, arguments: Value) -> (Value, Value) {
    let result = world.client("demo").call(tool, arguments).await;
    let envelope = &result["structuredContent"];
    (envelope["reason"].clone(), envelope["message"].clone())
}

#[tokio::test]
async fn a_frozen_organisation_reads_on_and_a_disabled_one_is_refused_until_it_is_lifted() {
    let world = World::start().await;
    let knowledge = world.control.knowledge().await;
    let list = || answer(&world, "meta_list_ad_accounts", json!({}));
    knowledge.tell_freeze(freeze("calm", FreezeScope::All, Access::Frozen));
    assert_eq!(list().await.0, Value::Null);
    knowledge.tell_freeze(freeze("stop", FreezeScope::All, Access::Disabled));
    world.fake.forget_requests();
    let (reason, message) = list().await;
    assert_eq!(reason, "Frozen");
    assert_eq!(
        message,
        "the McpFreeze `stop` leaves everything the access `Disabled`, which does not permit read tools"
    );
    assert_eq!(world.fake.requests(), []);
    knowledge.forget_freeze("stop");
    assert_eq!(list().await.0, Value::Null);
    let lines = world.end().await;
    let told: Vec<_> = lines
        .iter()
        .map(|line| (&line["outcome"], &line["reason"], &line["stage"]))
        .collect();
    let (done, none) = (json!("done"), Value::Null);
    let (refused, frozen) = (json!("refused"), json!("Frozen"));
    let (respond, authorize) = (json!("respond"), json!("authorize"));
    assert_eq!(
        told,
        [
            (&done, &none, &respond),
            (&refused, &frozen, &authorize),
            (&done, &none, &respond),
        ]
    );
}

#[tokio::test]
async fn a_disabled_account_is_refused_by_name_and_left_out_of_lists() {
    let world = World::start_with(|setup| {
        let account = FreezeScope::Account(meta(), AccountId::parse("act_1001").unwrap());
        setup.freezes = vec![freeze("leak", account, Access::Disabled)];
    })
    .await;
    let campaigns =
        |account: &str| answer(&world, "meta_list_campaigns", json!({"account": account}));
    let (reason, message) = campaigns("act_1001").await;
    assert_eq!(reason, "Frozen");
    assert_eq!(
        message,
        "the McpFreeze `leak` leaves meta/act_1001 the access `Disabled`, which does not permit read tools"
    );
    assert_eq!(campaigns("act_1002").await.0, Value::Null);
    let result = world
        .client("demo")
        .call("meta_list_ad_accounts", json!({}))
        .await;
    let accounts = &result["structuredContent"]["data"]["accounts"];
    assert_eq!(accounts.as_array().unwrap().len(), 1, "{accounts}");
    assert_eq!(accounts[0]["id"], "act_1002");
    world.end().await;
}

#[tokio::test]
async fn freezes_in_force_are_reported_counted_and_change_the_access_told() {
    let world = World::start().await;
    let knowledge = world.control.knowledge().await;
    world.control.reported(|report| report.serving).await;
    let connector = FreezeScope::Connector(meta());
    knowledge.tell_freeze(freeze("ads", connector, Access::ReadOnly));
    knowledge.tell_freeze(Freeze::unreadable("odd", Some("Sealed"), "why".into()));
    let report = world
        .control
        .reported(|report| report.freezes.len() == 2)
        .await;
    assert_eq!(report.access, Some(Access::Disabled));
    assert!(report.serving, "it answers, with refusals");
    assert_eq!(
        serde_json::to_value(&report.freezes).unwrap(),
        json!([
            {"name": "odd", "scope": "everything", "access": "Disabled", "message": "why"},
            {"name": "ads", "scope": "meta", "access": "ReadOnly"},
        ])
    );
    let (_, metrics) = world.admin("/metrics").await;
    assert!(metrics.contains("tenantry_server_freezes 2"), "{metrics}");
    let log = "odd: Disabled on everything, because it cannot be read: why";
    until("the log line", || logs().text().contains(log)).await;
    let before = world.control.reports().len();
    knowledge.tell_freezes([]);
    until("the report without freezes", || {
        let reports = world.control.reports();
        reports[before..]
            .iter()
            .any(|report| report.freezes.is_empty() && report.access == Some(world.tenant.access))
    })
    .await;
    world.end().await;
}

#[tokio::test]
async fn access_that_the_contract_takes_away_is_gone_and_comes_back() {
    let world = World::start().await;
    let knowledge = world.control.knowledge().await;
    let mut tenant = world.tenant.clone();
    for (generation, access, reason) in [
        (2, Access::Disabled, json!("AccessDenied")),
        (3, Access::Frozen, Value::Null),
    ] {
        tenant.access = access;
        knowledge.tell_contract(Some(raw(&tenant, generation)));
        world
            .control
            .reported(|report| report.observed_generation == Some(generation))
            .await;
        let told = answer(&world, "meta_list_ad_accounts", json!({})).await.0;
        assert_eq!(told, reason);
    }
    world.end().await;
}

/// Whose an object is comes to light at the vendor; the freeze holds for it too.
#[tokio::test]
async fn an_object_of_a_disabled_account_is_refused_by_the_freezes_name() {
    let world = World::start_with(|setup| {
        let account = FreezeScope::Account(meta(), AccountId::parse("act_1001").unwrap());
        setup.freezes = vec![freeze("leak", account, Access::Disabled)];
    })
    .await;
    let campaign = |id: &str| answer(&world, "meta_get_campaign", json!({"campaign_id": id}));
    let (reason, message) = campaign("12001001001").await;
    assert_eq!(reason, "Frozen");
    assert!(message.as_str().unwrap().contains("`leak`"), "{message}");
    let line = world.line(1).await;
    assert_eq!(
        (&line["reason"], &line["stage"]),
        (&json!("Frozen"), &json!("own"))
    );
    assert_eq!(campaign("12002001001").await.0, "NotFound");
    world.end().await;
}
