//! The record: chained, signed, shown to whoever may look, and tied to the
//! caller's trace.

use serde_json::json;
use tenantry_core::audit::verify::{Known, verify};

use crate::world::{World, until};

const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[tokio::test]
async fn lines_are_signed_soon_by_the_key_in_the_report() {
    let world = World::start().await;
    let client = world.client("demo");
    for _ in 0..3 {
        client.call("meta_list_ad_accounts", json!({})).await;
    }
    until("a signature", || {
        world.audit.text().contains("\"signature\"")
    })
    .await;
    let key = world
        .control
        .reports()
        .last()
        .unwrap()
        .audit_public_key
        .clone();
    let known = Known {
        public_key: Some(key.unwrap().parse().unwrap()),
        head: None,
    };
    // As a log agent has it while the process runs.
    let text = world.audit.text();
    let proof = verify(text.lines().map(str::as_bytes), known).unwrap();
    assert_eq!(proof.signed_to, proof.head.sequence);
    assert!(!proof.is_complete, "who has not ended may go on");
    let cut: Vec<&[u8]> = text.lines().take(2).map(str::as_bytes).collect();
    assert_eq!(
        verify(cut, known).unwrap().to_string(),
        "process boot: consistent prefix to sequence 2, signed to 0"
    );
    assert_eq!(world.end().await.len(), 3);
}

#[tokio::test]
async fn the_last_lines_are_shown_on_loopback_as_they_were_written() {
    let world = World::start().await;
    world
        .client("demo")
        .call("meta_list_ad_accounts", json!({}))
        .await;
    until("a signature", || {
        world.audit.text().contains("\"signature\"")
    })
    .await;
    let get = async |query: &str, name: &'static str, value: &'static str| {
        let url = format!("http://{}/activity{query}", world.activity);
        let request = reqwest::Client::new().get(url).header(name, value);
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    let text = world.audit.text();
    assert_eq!(get("", "x-nothing", "").await, (200, text.clone()));
    let rest: String = text.split_inclusive('\n').skip(2).collect();
    assert_eq!(get("?after=2", "x-nothing", "").await, (200, rest));
    assert_eq!(
        get("?after=99", "x-nothing", "").await,
        (200, String::new())
    );
    for (query, name, value, status) in [
        ("", "host", "evil.example", 403),
        ("", "origin", "http://localhost:9091", 403),
        ("?after=-1", "x-nothing", "", 400),
        ("?before=1", "x-nothing", "", 400),
    ] {
        assert_eq!(
            get(query, name, value).await.0,
            status,
            "{query} {name}: {value}"
        );
    }
    let posted = reqwest::Client::new().post(format!("http://{}/activity", world.activity));
    assert_eq!(posted.send().await.unwrap().status(), 405);
    world.end().await;
}

#[tokio::test]
async fn a_call_is_tied_to_its_callers_trace_and_the_vendor_hears_nothing_of_it() {
    let world = World::start().await;
    let client = world.client("demo");
    let call = |meta: serde_json::Value| {
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": {"name": "meta_list_ad_accounts", "arguments": {}, "_meta": meta}})
    };
    let other = TRACEPARENT.replace("4bf9", "aaaa");
    for (position, (meta, header, trace_id)) in [
        (
            json!({"traceparent": TRACEPARENT, "tracestate": "a=b", "baggage": "user=mallory"}),
            None,
            Some("4bf92f3577b34da6a3ce929d0e0e4736"),
        ),
        (
            json!({}),
            Some(TRACEPARENT),
            Some("4bf92f3577b34da6a3ce929d0e0e4736"),
        ),
        (
            json!({"traceparent": other}),
            Some(TRACEPARENT),
            Some("aaaa2f3577b34da6a3ce929d0e0e4736"),
        ),
        (json!({"traceparent": 7}), None, None),
        (json!({"traceparent": "00-zz"}), None, None),
        (
            json!({}),
            Some("00-00000000000000000000000000000000-00f067aa0ba902b7-01"),
            None,
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let mut request = client.request(call(meta).to_string());
        if let Some(header) = header {
            request = request.header("traceparent", header);
        }
        let reply = client.send(request).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let line = world.line(position + 1).await;
        assert_eq!(line["trace_id"].as_str(), trace_id);
        assert_eq!(
            line["span_id"].as_str(),
            trace_id.map(|_| "00f067aa0ba902b7")
        );
    }
    let asked = format!("{:?}", world.fake.requests());
    for word in [
        "traceparent",
        "tracestate",
        "baggage",
        "4bf92f35",
        "mallory",
    ] {
        assert!(!asked.contains(word), "{word}");
    }
    assert!(
        !world.audit.text().contains("mallory"),
        "only the ids are kept"
    );
    world.end().await;
}
