//! From start to end: readiness, the report, changes of the contract, clients
//! that hang up, and an orderly end.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tenantry_api::mcp_server::{Isolation, IsolationReport, ReplicaReport};
use tenantry_core::audit::verify::{Known, verify};
use tenantry_core::tenant::CONTRACT_VERSION;
use tenantry_fakes::meta::Faults;
use tenantry_server::run::RunError;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::control::raw;
use crate::world::{World, key};

fn held() -> Faults {
    Faults {
        hold: true,
        ..Faults::default()
    }
}

#[tokio::test]
async fn a_part_that_fails_ends_the_process_in_order() {
    let world = World::start().await;
    let (control, audit) = (Arc::clone(&world.control), world.audit.clone());
    let campaigns = json!({"account": "act_1001"});
    let told = world
        .client("demo")
        .call("meta_list_campaigns", campaigns)
        .await;
    assert_eq!(told["structuredContent"]["status"], "done", "{told}");
    control.fail();
    let ended = world.ended().await;
    assert!(matches!(ended, Err(RunError::PartFailed)), "{ended:?}");
    // It said goodbye, and every line is there, the last one among them.
    assert!(!control.reports().last().unwrap().serving);
    let text = audit.text();
    let proof = verify(text.lines().map(str::as_bytes), Known::default()).unwrap();
    assert!(proof.has_ended, "{proof}");
}

#[tokio::test]
async fn a_server_that_gets_where_it_must_not_says_so() {
    let canary = tokio::net::TcpListener::bind(("127.0.0.1", 0))
        .await
        .unwrap();
    let address = canary.local_addr().unwrap().to_string();
    let world = World::start_with(|setup| setup.tenant.canary = Some(address.clone())).await;
    let report = world
        .control
        .reported(|report| report.isolation.is_some())
        .await;
    let expected = IsolationReport {
        state: Isolation::Open,
        message: format!(
            "a connection to `{address}` came through, which the network policy forbids"
        ),
    };
    assert_eq!(report.isolation, Some(expected));
}

#[tokio::test]
async fn a_server_with_all_it_needs_is_ready_and_reports_once() {
    let world = World::start().await;
    let report = world.control.reported(|report| report.serving).await;
    let expected = ReplicaReport {
        pod: "server-0".into(),
        pod_uid: "pod-uid".into(),
        observed_generation: Some(1),
        contract_digest: Some(world.tenant.digest().to_string()),
        contract_versions: vec![CONTRACT_VERSION.into()],
        access: Some(world.tenant.access),
        freezes: vec![],
        serving: true,
        reason: None,
        message: None,
        connectors: report.connectors.clone(),
        notifications: vec![],
        audit_public_key: report.audit_public_key.clone(),
        tools_digest: report.tools_digest.clone(),
        pending_approvals: report.pending_approvals,
        ledger: report.ledger.clone(),
        isolation: None,
        release: env!("CARGO_PKG_VERSION").into(),
        changed_at: report.changed_at.clone(),
    };
    assert_eq!(report, expected);
    assert!(report.changed_at.is_some() && report.connectors[0].ready);
    assert_eq!(world.admin("/livez").await.0, 200);
    let (status, text) = world.admin("/readyz").await;
    assert_eq!(
        (status, text.as_str()),
        (200, r#"{"ready":true,"reasons":[]}"#)
    );
    let written = world.control.reports().len();
    for _ in 0..5 {
        world
            .client("demo")
            .call("meta_list_ad_accounts", json!({}))
            .await;
    }
    assert_eq!(
        world.control.reports().len(),
        written,
        "an idle state is not written again"
    );
    world.end().await;
}

#[tokio::test]
async fn without_a_contract_the_port_stays_closed_and_readiness_says_why() {
    let world = World::start_with(|setup| setup.has_contract = false).await;
    let (status, text) = world.admin("/readyz").await;
    assert_eq!(status, 503);
    let reasons: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(reasons["reasons"][0]["reason"], "ContractPending");
    assert_eq!(world.admin("/livez").await.0, 200);
    world.end().await;
}

#[tokio::test]
async fn an_unreadable_contract_is_reported_and_the_last_one_stays_in_force() {
    let world = World::start().await;
    let knowledge = world.control.knowledge().await;
    let mut unreadable = raw(&world.tenant, 2);
    unreadable.contract["surprise"] = json!(true);
    knowledge.tell_contract(Some(unreadable));
    let report = world
        .control
        .reported(|report| report.reason.as_deref() == Some("ContractUnreadable"))
        .await;
    assert!(!report.serving);
    assert_eq!(
        report.observed_generation,
        Some(1),
        "it obeys the last one it could read"
    );
    assert!(report.message.unwrap().contains("unknown field `surprise`"));
    // Ready nevertheless: a pod taken out of its Service would read no more.
    let (status, text) = world.admin("/readyz").await;
    assert!(
        status == 200 && text.contains("ContractUnreadable"),
        "{text}"
    );
    let (_, metrics) = world.admin("/metrics").await;
    assert!(
        metrics.contains("tenantry_server_contract_refused 1"),
        "{metrics}"
    );
    let result = world
        .client("demo")
        .call("meta_list_ad_accounts", json!({}))
        .await;
    assert_eq!(result["structuredContent"]["status"], "done");
    knowledge.tell_contract(Some(raw(&world.tenant, 3)));
    world
        .control
        .reported(|report| report.serving && report.observed_generation == Some(3))
        .await;
    world.end().await;
}

#[tokio::test]
async fn a_new_contract_does_not_disturb_a_call_in_progress() {
    let world = World::start().await;
    world.fake.set_faults(held());
    let client = world.client("demo");
    let call = tokio::spawn(async move { client.call("meta_list_ad_accounts", json!({})).await });
    world.fake.arrived(1).await;
    let mut tenant = world.tenant.clone();
    tenant.connectors[0].accounts.pop();
    world
        .control
        .knowledge()
        .await
        .tell_contract(Some(raw(&tenant, 2)));
    world
        .control
        .reported(|report| report.observed_generation == Some(2))
        .await;
    world.fake.set_faults(Faults::default());
    let accounts = |result: &Value| {
        result["structuredContent"]["data"]["accounts"]
            .as_array()
            .unwrap()
            .len()
    };
    assert_eq!(accounts(&call.await.unwrap()), 2);
    let client = world.client("demo");
    assert_eq!(
        accounts(&client.call("meta_list_ad_accounts", json!({})).await),
        1
    );
    world.end().await;
}

/// Sends a tool call and hangs up as soon as the vendor was asked.
async fn call_and_hang_up(world: &World) {
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"meta_list_ad_accounts"}}"#;
    let request = format!(
        "POST /mcp HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\naccept: application/json, text/event-stream\r\n\
         content-length: {}\r\n\r\n{body}",
        key("demo").reveal(),
        body.len(),
    );
    let mut stream = TcpStream::connect(world.mcp).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    world.fake.arrived(1).await;
}

#[tokio::test]
async fn a_call_whose_client_hung_up_is_on_record_as_it_ended() {
    let world = World::start().await;
    world.fake.set_faults(held());
    call_and_hang_up(&world).await;
    world.fake.set_faults(Faults::default());
    let line = world.line(1).await;
    assert_eq!(
        (&line["outcome"], &line["vendor_requests"]),
        (&json!("done"), &json!(1))
    );
    assert_eq!(world.end().await.len(), 1);
}

#[tokio::test]
async fn stopping_lets_calls_in_progress_end() {
    let world = World::start().await;
    world.fake.set_faults(held());
    let client = world.client("demo");
    let call = tokio::spawn({
        let client = client.clone();
        async move { client.call("meta_list_ad_accounts", json!({})).await }
    });
    world.fake.arrived(1).await;
    world.stop();
    let report = world
        .control
        .reported(|report| report.reason.as_deref() == Some("ServerStopping"))
        .await;
    assert!(!report.serving);
    let (status, text) = world.admin("/readyz").await;
    assert!(status == 503 && text.contains("ServerStopping"), "{text}");
    assert!(
        TcpStream::connect(world.mcp).await.is_err(),
        "no new connections"
    );
    world.fake.set_faults(Faults::default());
    assert_eq!(call.await.unwrap()["structuredContent"]["status"], "done");
    assert_eq!(world.end().await.len(), 1);
}

#[tokio::test]
async fn a_call_that_does_not_end_in_time_is_cut_off_and_on_record() {
    let world = World::start_with(|setup| setup.drain = Duration::from_millis(50)).await;
    world.fake.set_faults(held());
    call_and_hang_up(&world).await;
    let lines = world.end().await;
    assert_eq!(lines.len(), 1);
    let line = &lines[0];
    assert_eq!(
        (&line["outcome"], &line["reason"]),
        (&json!("failed"), &json!("ServerStopping"))
    );
    assert_eq!(
        (&line["stage"], &line["vendor_requests"]),
        (&json!("send"), &json!(1))
    );
}
