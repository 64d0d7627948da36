//! What stays on record of a change: its lines in the ledger's own chain, and
//! the line of its call.

use serde_json::{Value, json};
use tenantry_core::audit::chain::Head;
use tenantry_core::ledger_mark::LedgerId;
use tenantry_ledger::line;

use super::{AD_SET, new_key, set, world, world_with};
use crate::world::{World, until};

/// The lines of changes, once there are that many.
pub async fn lines(world: &World, count: usize) -> Vec<String> {
    let found = || {
        let text = world.audit.text();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let lines = whole.lines();
        let lines = lines.filter(|line| line.contains(r#""event_code":"change""#));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    until("lines of changes", || found().len() >= count).await;
    found()
}

#[tokio::test]
async fn a_change_leaves_its_intent_before_and_its_outcome_after() {
    let world = world().await;
    let key = new_key();
    let told = set(&world, "40.00", &key).await;
    let lines = lines(&world, 2).await;
    let read: Vec<Value> = lines
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let events: Vec<&Value> = read.iter().map(|line| &line["unmapped"]["event"]).collect();
    assert_eq!(events, ["intent", "outcome"]);
    for line in &read {
        assert_eq!(line["metadata"]["correlation_uid"], told["change_id"]);
        assert_eq!(line["metadata"]["tenant_uid"], "tenant-uid");
        assert_eq!(line["actor"]["user"]["name"], "alice@acme.example");
        assert_eq!(line["actor"]["app_name"], "reporter");
        assert_eq!(line["src_endpoint"]["ip"], "127.0.0.1");
        assert_eq!(line["resources"][0]["uid"], "act_1001");
        let object = &line["resources"][1];
        assert_eq!(object["uid"], AD_SET);
        assert_eq!(object["data"]["before"], told["before"]);
        assert_eq!(object["data"]["after"], told["after"]);
        assert!(line["unmapped"]["idempotency_digest"].is_string());
        assert!(line["policy"]["uid"].is_string());
    }
    // What the vendor calls the request that made it, and no other.
    let requests = world.fake.requests();
    let made = requests.iter().find(|request| request.method == "POST");
    let made = made.unwrap();
    let ids = &read[1]["unmapped"]["vendor_request_ids"];
    let count = ids.as_array().map(Vec::len);
    assert_eq!((&ids[0], count), (&json!(made.request_id), Some(2)));
    assert_eq!(read[0]["unmapped"].get("vendor_request_ids"), None);
    assert_eq!(read[0]["policy"]["data"]["decision"], "permitted");
    assert_eq!(read[1]["api"]["response"]["data"]["outcome"], "applied");
    let ledger = read[0]["unmapped"]["ledger"].clone();
    let ledger: LedgerId = serde_json::from_value(ledger).unwrap();
    let texts = lines.iter().map(String::as_str);
    let head = line::verify(texts, &ledger, Head::before_all()).unwrap();
    assert_eq!(head.sequence, 2);
    let call = world.line(1).await;
    assert_eq!(
        (&call["outcome"], &call["change"]),
        (&json!("done"), &told["change_id"])
    );
    let text = world.audit.text();
    assert!(!text.contains(&key), "the idempotency key was told: {text}");
    world.end().await;
}

#[tokio::test]
async fn a_refused_change_leaves_a_line_with_its_rules() {
    let world = world_with(json!({"budget": {"perObject": {"maxDaily": "1"}}})).await;
    set(&world, "40.00", &new_key()).await;
    let lines = lines(&world, 1).await;
    let line: Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!(line["unmapped"]["event"], "refused");
    assert_eq!(
        line["policy"]["data"]["rules"][0]["name"]["rule"],
        "budget.perObject.maxDaily"
    );
    world.end().await;
}
