//! Rates, places, and a stream that does not take lines.

use std::io::Write;
use std::sync::mpsc;

use serde_json::json;
use tenantry_core::tenant::RateLimit;
use tenantry_fakes::meta::Faults;

use crate::world::{World, record};

#[tokio::test]
async fn a_key_over_its_rate_hears_when_to_return() {
    let world = World::start_with(|setup| {
        setup.keys.push(record("other"));
        setup.tenant.limits.per_key = RateLimit {
            per_minute: 1,
            burst: 1,
        };
    })
    .await;
    let (demo, other) = (world.client("demo"), world.client("other"));
    demo.call("meta_list_ad_accounts", json!({})).await;
    world.fake.forget_requests();
    let result = demo.call("meta_list_ad_accounts", json!({})).await;
    let envelope = &result["structuredContent"];
    assert_eq!(
        (&envelope["status"], &envelope["reason"]),
        (&json!("refused"), &json!("RateLimited"))
    );
    assert_eq!(
        envelope["message"],
        "this key may make 1 calls a minute and 1 at once"
    );
    let wait = envelope["retry_after_ms"].as_u64().unwrap();
    assert!((1..=60_001).contains(&wait), "{wait}");
    assert_eq!(world.fake.requests(), []);
    let line = world.line(2).await;
    assert_eq!(
        (&line["reason"], &line["stage"]),
        (&json!("RateLimited"), &json!("authorize"))
    );
    // One key cannot use up what is another's.
    assert_eq!(
        other.call("meta_list_ad_accounts", json!({})).await["structuredContent"]["status"],
        "done"
    );
    assert_eq!(world.end().await.len(), 3);
}

#[tokio::test]
async fn calls_beyond_the_places_are_refused_and_not_kept_waiting() {
    let world = World::start_with(|setup| setup.tenant.limits.concurrency = 1).await;
    world.fake.set_faults(Faults {
        hold: true,
        ..Faults::default()
    });
    let client = world.client("demo");
    let first = tokio::spawn({
        let client = client.clone();
        async move { client.call("meta_list_ad_accounts", json!({})).await }
    });
    world.fake.arrived(1).await;
    let second = client.call("meta_list_ad_accounts", json!({})).await;
    let line = world.line(1).await;
    assert_eq!(
        second["structuredContent"],
        json!({
            "envelope": "v1", "status": "refused", "call_id": line["call_id"], "reason": "ServerBusy",
            "message": "1 calls are in progress, as many as the organisation may have",
            "remedy": "call again in a moment, with fewer calls at once", "retry_after_ms": 500,
        })
    );
    world.fake.set_faults(Faults::default());
    assert_eq!(first.await.unwrap()["structuredContent"]["status"], "done");
    assert_eq!(world.fake.requests().len(), 1);
    assert_eq!(world.end().await.len(), 2);
}

/// A stdout whose reader sleeps until the other end is dropped.
struct Asleep(mpsc::Receiver<()>);

impl Write for Asleep {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let _ = self.0.recv();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_stalled_audit_stream_refuses_calls_before_the_vendor() {
    let (awake, asleep) = mpsc::channel();
    let world = World::start_with(|setup| setup.audit_out = Some(Box::new(Asleep(asleep)))).await;
    let client = world.client("demo");
    let refused = loop {
        let reply = client.try_call("nonsense", json!({})).await;
        if reply.status != 200 {
            break reply;
        }
    };
    assert_eq!(
        (refused.status, &refused.body["reason"]),
        (503, &json!("AuditUnavailable"))
    );
    assert_eq!(refused.body["message"], "the call cannot be put on record");
    let reply = client.try_call("meta_list_ad_accounts", json!({})).await;
    assert_eq!(reply.status, 503);
    assert_eq!(world.fake.requests(), []);
    let (status, text) = world.admin("/readyz").await;
    assert_eq!(status, 503);
    assert!(text.contains("AuditUnavailable"), "{text}");
    drop(awake);
    world.end().await;
}
