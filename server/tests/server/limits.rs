//! Rates, places, and a stream that does not take lines.

use std::io::Write;
use std::sync::mpsc;

use serde_json::{Value, json};
use tenantry_core::tenant::RateLimit;
use tenantry_fakes::meta::Faults;

use crate::world::{World, record};

/// So many at once, and nearly none after that.
fn few(burst: u32) -> RateLimit {
    RateLimit {
        per_minute: 1,
        burst,
    }
}

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
async fn a_refused_call_of_a_good_key_costs_its_rate() {
    let world = World::start_with(|setup| setup.tenant.limits.per_key = few(2)).await;
    let client = world.client("demo");
    for reason in ["ArgumentsInvalid", "ArgumentsInvalid", "RateLimited"] {
        let wrong = json!({"surprise": 1});
        let result = client.call("meta_list_ad_accounts", wrong).await;
        assert_eq!(result["structuredContent"]["reason"], reason);
    }
    assert_eq!(world.fake.requests(), []);
    assert_eq!(world.end().await.len(), 3);
}

#[tokio::test]
async fn bad_requests_of_a_good_key_cost_a_rate_of_their_own() {
    let world = World::start_with(|setup| setup.tenant.limits.per_key = few(2)).await;
    let client = world.client("demo");
    for status in [400, 400, 429] {
        let reply = client.send(client.request("{")).await;
        assert_eq!(reply.status, status, "{reply:?}");
    }
    let reply = client.send(client.request("{")).await;
    assert_eq!(reply.body["reason"], "RateLimited");
    let wait_ms = reply.body["retry_after_ms"].as_u64().unwrap();
    let seconds = reply.headers["retry-after"].to_str().unwrap();
    assert_eq!(seconds, wait_ms.div_ceil(1_000).to_string());
    assert_eq!(client.try_call("nonsense", json!({})).await.status, 200);
    assert_eq!(client.ask("tools/list", json!({})).await.status, 429);
    world.end().await;
}

/// Who may fill the record, and with it a disk, needs more than a key.
#[tokio::test]
async fn a_key_beyond_its_rate_leaves_few_lines_and_a_count() {
    let world = World::start_with(|setup| setup.tenant.limits.per_key = few(1)).await;
    let client = world.client("demo");
    for _ in 0..100 {
        client.try_call("nonsense", json!({})).await;
        client.send(client.request("{")).await;
    }
    let (_, metrics) = world.admin("/metrics").await;
    let lines = world.end().await;
    let told: u64 = lines
        .iter()
        .filter_map(|line| line["suppressed"].as_u64())
        .sum();
    let unwritten = metrics
        .lines()
        .find_map(|line| line.strip_prefix("tenantry_server_audit_suppressed_total "));
    let unwritten: u64 = unwritten.unwrap().parse().unwrap();
    assert!(lines.len() < 100, "{} lines", lines.len());
    assert_eq!(lines.len() as u64 + unwritten, 200);
    assert!(told <= unwritten, "{told} {unwritten}");
}

/// Where the organisation's own rate is what both keys run into.
#[tokio::test]
async fn a_greedy_key_leaves_calls_to_a_modest_one() {
    let world = World::start_with(|setup| {
        setup.keys.push(record("other"));
        setup.tenant.limits.per_tenant = few(60);
    })
    .await;
    let (greedy, modest) = (world.client("demo"), world.client("other"));
    let status = |result: &Value| result["structuredContent"]["status"].clone();
    let tool = "meta_list_ad_accounts";
    assert_eq!(status(&modest.call(tool, json!({})).await), "done");
    let calls = (0..60).map(|_| greedy.call(tool, json!({})));
    let results = futures::future::join_all(calls).await;
    let limited = |result: &&Value| result["structuredContent"]["reason"] == "RateLimited";
    // Half of the bucket stays for who uses less than the average.
    assert!(results.iter().filter(limited).count() >= 29);
    for _ in 0..3 {
        assert_eq!(status(&modest.call(tool, json!({})).await), "done");
    }
    world.end().await;
}

#[tokio::test]
async fn a_greedy_key_does_not_have_every_place() {
    let world = World::start_with(|setup| {
        setup.keys.push(record("other"));
        setup.tenant.limits.concurrency = 3;
        setup.tenant.limits.per_key_concurrency = 2;
    })
    .await;
    world.fake.set_faults(Faults {
        hold: true,
        ..Faults::default()
    });
    let call = |id: &str| {
        let client = world.client(id);
        tokio::spawn(async move { client.call("meta_list_ad_accounts", json!({})).await })
    };
    let greedy = [call("demo"), call("demo")];
    world.fake.arrived(2).await;
    let third = call("demo").await.unwrap();
    assert_eq!(
        third["structuredContent"]["message"],
        "2 calls are in progress, as many as the key may have"
    );
    let other = call("other");
    world.fake.arrived(3).await;
    world.fake.set_faults(Faults::default());
    for ended in greedy.into_iter().chain([other]) {
        assert_eq!(ended.await.unwrap()["structuredContent"]["status"], "done");
    }
    assert_eq!(world.end().await.len(), 4);
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
