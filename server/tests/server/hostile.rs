//! Hostile requests over bare TCP: a table of changes to calls that are good.
//! Each must be refused, and nothing may reach the vendor.

#![expect(
    clippy::too_many_lines,
    clippy::format_collect,
    clippy::format_push_string,
    clippy::type_complexity,
    reason = "tables of what strangers send, made once"
)]

mod bodies;
mod heads;
mod raw;

use std::collections::BTreeSet;

use futures::StreamExt as _;
use serde_json::{Value, json};
use tenantry_core::tenant::RateLimit;

use crate::world::{World, key};
use raw::{Answer, Raw, exchange};

/// One hostile request, and what it is about.
struct Hostile {
    what: String,
    bytes: Vec<u8>,
}

fn unlimited(setup: &mut crate::world::Setup) {
    let rate = RateLimit {
        per_minute: 1_000_000,
        burst: 1_000_000,
    };
    setup.tenant.limits.per_key = rate;
    setup.tenant.limits.per_tenant = rate;
}

/// Whether the request was turned away: by status, by closing the connection,
/// by a JSON-RPC error, or by an envelope that says so.
fn is_refused(answer: &Answer) -> bool {
    match answer.status {
        None => true,
        Some(status) if status >= 400 => true,
        Some(_) => {
            let body = &answer.body;
            body["error"].is_object() || body["result"]["structuredContent"]["status"] == "refused"
        }
    }
}

#[tokio::test]
async fn no_hostile_request_is_served() {
    let world = World::start_with(unlimited).await;
    for base in [Raw::modern(), Raw::legacy()] {
        let answer = exchange(world.mcp, &base.bytes()).await;
        assert!(!is_refused(&answer), "the base itself is good: {answer:?}");
    }
    let requests = world.fake.requests().len();
    assert!(requests > 0);
    world.fake.forget_requests();
    let mut hostile = heads::all();
    hostile.extend(bodies::all());
    let distinct: BTreeSet<&[u8]> = hostile.iter().map(|one| one.bytes.as_slice()).collect();
    let count = distinct.len();
    let answers = futures::stream::iter(&hostile)
        .map(async |one| (one, exchange(world.mcp, &one.bytes).await))
        .buffer_unordered(16);
    let accepted: Vec<String> = answers
        .filter_map(async |(one, answer)| {
            let told = || format!("{}: {answer:?}", one.what);
            (!is_refused(&answer)).then(told)
        })
        .collect()
        .await;
    println!(
        "{count} distinct hostile requests, {} accepted",
        accepted.len()
    );
    assert!(accepted.is_empty(), "{}", accepted.join("\n"));
    assert_eq!(world.fake.requests(), [], "nothing may reach the vendor");
    assert!(count >= 1_000, "{count}");
    world.end().await;
}

/// CVE-2026-25536: with a shared transport, equal ids got each other's answers.
#[tokio::test]
async fn equal_ids_of_many_clients_get_their_own_answers() {
    let world = World::start_with(unlimited).await;
    let clients = (0..64).map(|client| {
        let mcp = world.client("demo");
        async move {
            for id in 0..20 {
                let tool = format!("tool_{client}_{id}");
                let message = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": tool}});
                let reply = mcp.send(mcp.request(message.to_string())).await;
                assert_eq!(reply.body["id"], id);
                assert_eq!(reply.body["error"]["message"], format!("there is no tool `{tool}`"));
            }
        }
    });
    futures::future::join_all(clients).await;
    assert_eq!(world.end().await.len(), 64 * 20);
}

#[tokio::test]
async fn pipelined_calls_are_answered_in_order() {
    let world = World::start_with(unlimited).await;
    let mut bytes = Vec::new();
    for number in 0..20 {
        let mut raw = Raw::legacy();
        raw.body = raw
            .text()
            .replace("meta_list_ad_accounts", &format!("tool_{number}"))
            .into_bytes();
        if number < 19 {
            raw.without("connection");
        }
        bytes.extend(raw.bytes());
    }
    let text = raw::conversation(world.mcp, &bytes).await;
    let named: Vec<usize> = (0..20)
        .map(|number| text.find(&format!("`tool_{number}`")).unwrap())
        .collect();
    assert!(named.is_sorted(), "{text}");
    world.end().await;
}

/// CVE-2026-32211, CVE-2026-33032, CVE-2026-50027: a route that asks for no key.
#[tokio::test]
async fn every_route_of_the_mcp_port_asks_for_a_key() {
    let world = World::start_with(unlimited).await;
    for path in [
        "/",
        "/mcp",
        "/mcp/",
        "/sse",
        "/messages",
        "/metrics",
        "/livez",
        "/readyz",
        "/activity",
        "/health",
        "/.well-known/oauth-protected-resource",
        "/.well-known/oauth-authorization-server",
        "/register",
        "/token",
    ] {
        let mut raw = Raw::modern();
        raw.target = path.into();
        raw.without("authorization");
        let answer = exchange(world.mcp, &raw.bytes()).await;
        assert_eq!(answer.status, Some(401), "{path}");
        let with_key = exchange(
            world.mcp,
            &Raw {
                target: path.into(),
                ..Raw::modern()
            }
            .bytes(),
        )
        .await;
        assert_eq!(
            with_key.status,
            Some(if path == "/mcp" { 200 } else { 404 }),
            "{path}"
        );
        if path != "/mcp" {
            assert_eq!(with_key.body["reason"], "RequestInvalid");
        }
    }
    world.end().await;
}

/// DNS rebinding: a page whose name somebody points to this machine.
#[tokio::test]
async fn ports_on_loopback_answer_by_no_other_name() {
    let world = World::start_with(unlimited).await;
    let client = reqwest::Client::new();
    for (port, path) in [
        (world.admin, "/livez"),
        (world.admin, "/readyz"),
        (world.admin, "/metrics"),
        (world.activity, "/activity"),
    ] {
        let get = || client.get(format!("http://{port}{path}"));
        let as_host = |host: &'static str| get().header("host", host).send();
        for host in ["localhost:1", "127.0.0.1", "[::1]:9090"] {
            assert_eq!(as_host(host).await.unwrap().status(), 200, "{path}");
        }
        for host in ["evil.example", "localhost.evil.example"] {
            let answer = as_host(host).await.unwrap();
            assert_eq!(answer.status(), 403, "{path}");
            assert!(answer.text().await.unwrap().contains("HostRefused"));
        }
        let page = get().header("origin", "https://evil.example").send().await;
        assert_eq!(page.unwrap().status(), 403, "{path}");
    }
    world.end().await;
}

/// CVE-2026-33010: answers that let any page read them.
#[tokio::test]
async fn no_answer_lets_a_page_read_it() {
    let world = World::start_with(unlimited).await;
    for origin in ["https://evil.example", "https://app.acme.example", "null"] {
        for method in ["POST", "OPTIONS", "GET"] {
            let mut raw = Raw::modern();
            raw.method = method.into();
            raw.with("Origin", origin);
            raw.with("Access-Control-Request-Method", "POST");
            let text = raw::conversation(world.mcp, &raw.bytes()).await;
            assert!(
                !text.to_ascii_lowercase().contains("access-control-"),
                "{text}"
            );
        }
    }
    world.end().await;
}

/// CVE-2026-52869, CVE-2026-33946, CVE-2025-6515: a session that stands for its
/// owner. There are none, and an id of one is worth nothing.
#[tokio::test]
async fn a_session_id_opens_nothing() {
    let world = World::start_with(unlimited).await;
    let mut raw = Raw::legacy();
    raw.with("Mcp-Session-Id", "00000000-0000-0000-0000-000000000001");
    let text = raw::conversation(world.mcp, &raw.bytes()).await;
    assert!(
        !text.to_ascii_lowercase().contains("mcp-session-id"),
        "{text}"
    );
    raw.without("authorization");
    assert_eq!(exchange(world.mcp, &raw.bytes()).await.status, Some(401));
    world.end().await;
}

/// CVE-2026-27826, CVE-2026-26118, GHSA-g53w-w6mj-hrpp: headers that move the
/// request elsewhere, or bring a credential for the vendor.
#[tokio::test]
async fn no_header_moves_the_vendor_or_its_token() {
    let world = World::start_with(unlimited).await;
    let evil = "http://169.254.169.254/";
    let names = [
        "X-Forwarded-Host",
        "X-Forwarded-Server",
        "Forwarded",
        "X-Original-URL",
        "X-Rewrite-URL",
        "X-Host",
        "X-Base-Url",
        "X-Meta-Url",
        "X-Vendor-Url",
        "X-Access-Token",
        "X-Meta-Token",
        "Proxy",
        "Via",
        "Referer",
    ];
    for name in names {
        let mut raw = Raw::modern();
        raw.with(name, evil);
        let answer = exchange(world.mcp, &raw.bytes()).await;
        assert_eq!(
            answer.body["result"]["structuredContent"]["status"], "done",
            "{name}"
        );
    }
    let requests = world.fake.requests();
    assert_eq!(
        requests.len(),
        names.len(),
        "the declared vendor was asked each time"
    );
    assert!(!format!("{requests:?}").contains("169.254"));
    world.end().await;
}

/// What the MCP library answers by itself is in our words and on record.
#[tokio::test]
async fn an_answer_of_the_mcp_library_says_what_to_do() {
    let world = World::start_with(unlimited).await;
    let cases: [(fn(&mut Raw), u16); 5] = [
        (|raw| raw.without("accept"), 406),
        (|raw| raw.replace("mcp-protocol-version", "1999-01-01"), 400),
        (|raw| raw.replace("mcp-name", "another_tool"), 400),
        (
            |raw| raw.body = raw.text().replace("tools/call", "no/such").into_bytes(),
            404,
        ),
        (
            |raw| raw.body = raw.text().replace("\"id\":1", "\"id\":1.5").into_bytes(),
            400,
        ),
    ];
    for (position, (change, status)) in cases.into_iter().enumerate() {
        let mut raw = Raw::modern();
        change(&mut raw);
        if raw.text().contains("no/such") {
            raw.replace("mcp-method", "no/such");
            raw.without("mcp-name");
        }
        let answer = exchange(world.mcp, &raw.bytes()).await;
        let said: &Value = if answer.body["error"].is_object() {
            &answer.body["error"]["data"]
        } else {
            &answer.body
        };
        let line = world.line(position + 1).await;
        assert!(
            answer
                .status
                .is_some_and(|found| found == status || found == 415),
            "{position}: {answer:?}"
        );
        assert_eq!(said["call_id"], line["call_id"], "{position}: {answer:?}");
        assert_eq!(
            (&said["reason"], &line["reason"]),
            (&json!("RequestInvalid"), &json!("RequestInvalid"))
        );
        assert!(said["remedy"].is_string());
    }
    assert_eq!(world.fake.requests(), []);
    world.end().await;
}

/// The key that the bases call with.
fn bearer() -> String {
    format!("Bearer {}", key("demo").reveal())
}
