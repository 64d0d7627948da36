//! Requests that end at the door: what they hear, what is written, and that
//! nothing reaches the vendor.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::{HeaderName, HeaderValue};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tenantry_connectors::corridor::CorridorLimits;
use tenantry_core::audit::chain::Identity;
use tenantry_core::audit::read::AuditLine;
use tenantry_core::key::KeyRecord;
use tenantry_server::audit::Audit;
use tenantry_server::book::Book;
use tenantry_server::catalog::Catalog;
use tenantry_server::counter::{Counter, CounterParts};
use tenantry_server::credentials::Credentials;
use tenantry_server::gate::{self, BODY_LIMIT};
use tenantry_server::in_force::Workshop;
use tenantry_server::knowledge::Knowledge;
use tenantry_server::metrics::Metrics;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::client::{Client, Reply};
use crate::control::InMemory;
use crate::world::{Captured, PATIENCE, World, key, record, told_nobody};

const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"meta_list_ad_accounts","arguments":{}}}"#;

/// The request was refused so, with one line that says the same.
async fn assert_refused(
    world: &World,
    reply: &Reply,
    status: u16,
    reason: &str,
    stage: &str,
    message: &str,
) {
    let number = world.lines().len().max(1);
    let line = world.line(number).await;
    let line = if line["call_id"] == reply.body["call_id"] {
        line
    } else {
        world.line(number + 1).await
    };
    assert_eq!(reply.status, status, "{reply:?}");
    let remedy = tenantry_core::reason::Reason::ALL
        .iter()
        .find(|known| known.as_str() == reason)
        .unwrap()
        .remedy();
    let call_id = &line["call_id"];
    let body = json!({"reason": reason, "message": message, "remedy": remedy, "call_id": call_id});
    assert_eq!(reply.body, body);
    assert_eq!(
        (&line["reason"], &line["stage"], &line["outcome"]),
        (&json!(reason), &json!(stage), &json!("refused"))
    );
    assert_eq!(line["vendor_requests"], 0);
    assert_eq!(world.fake.requests(), [], "nothing may reach the vendor");
}

#[tokio::test]
async fn without_a_good_key_the_door_stays_shut() {
    let past = Some("2020-01-01T00:00:00Z".parse().unwrap());
    let future = Some("2999-01-01T00:00:00Z".parse().unwrap());
    let world = World::start_with(|setup| {
        setup.keys.push(KeyRecord {
            expires_at: past,
            ..record("late")
        });
        setup.keys.push(KeyRecord {
            not_before: future,
            ..record("early")
        });
        setup.keys.push(KeyRecord {
            disabled: true,
            ..record("gone")
        });
    })
    .await;
    let nobody = "no key of this organisation has that id and secret";
    let not_a_key = "what came with the request is not an API key";
    let wrong = tenantry_core::key::ApiKey::new(key("demo").id().clone(), [1; 32]).reveal();
    for (presented, reason, message) in [
        (None, "KeyMissing", "no API key came with the request"),
        (Some("tnt_demo_0".into()), "KeyMalformed", not_a_key),
        (Some(wrong), "KeyUnknown", nobody),
        (Some(key("other").reveal()), "KeyUnknown", nobody),
        (
            Some(key("late").reveal()),
            "KeyExpired",
            "the key has expired",
        ),
        (
            Some(key("early").reveal()),
            "KeyNotYetValid",
            "the key is not valid yet",
        ),
        (
            Some(key("gone").reveal()),
            "KeyRevoked",
            "the key was revoked",
        ),
    ] {
        let client = world.client("demo").with_key(presented);
        let reply = client.send(client.request(CALL)).await;
        assert_eq!(reply.headers["www-authenticate"], "Bearer");
        assert_refused(&world, &reply, 401, reason, "authenticate", message).await;
    }
    assert_eq!(world.end().await.len(), 7);
}

#[tokio::test]
async fn a_revoked_key_is_refused_with_the_next_request() {
    let world = World::start().await;
    let client = world.client("demo");
    client.call("meta_list_ad_accounts", json!({})).await;
    world.fake.forget_requests();
    let knowledge = world.control.knowledge().await;
    knowledge.tell_key(KeyRecord {
        disabled: true,
        ..record("demo")
    });
    let reply = client.try_call("meta_list_ad_accounts", json!({})).await;
    assert_refused(
        &world,
        &reply,
        401,
        "KeyRevoked",
        "authenticate",
        "the key was revoked",
    )
    .await;
    knowledge.forget_key(key("demo").id());
    let reply = client.try_call("meta_list_ad_accounts", json!({})).await;
    assert_eq!(reply.body["reason"], "KeyUnknown");
    assert_eq!(world.end().await.len(), 3);
}

#[tokio::test]
async fn a_foreign_host_or_origin_is_refused() {
    let world = World::start().await;
    let client = world.client("demo");
    let reply = client
        .send(client.request(CALL).header("host", "evil.example"))
        .await;
    let message = "this server is not known by the name in the Host header";
    assert_refused(&world, &reply, 403, "HostRefused", "receive", message).await;
    for origin in [
        "https://evil.example",
        "https://app.acme.example:443",
        "null",
    ] {
        let reply = client
            .send(client.request(CALL).header("origin", origin))
            .await;
        let message = "pages of that origin may not call this server";
        assert_refused(&world, &reply, 403, "OriginRefused", "receive", message).await;
    }
    let allowed = client.request(CALL).header("host", "server.acme.svc:8080");
    let reply = client
        .send(allowed.header("origin", "https://app.acme.example"))
        .await;
    assert_eq!(reply.status, 200);
    assert_eq!(world.end().await.len(), 5);
}

#[tokio::test]
async fn what_is_not_mcp_over_http_is_refused() {
    let world = World::start().await;
    let client = world.client("demo");
    let http = reqwest::Client::new();
    let url = format!("http://{}/mcp", world.mcp);
    for method in [reqwest::Method::GET, reqwest::Method::DELETE] {
        let reply = client
            .send(http.request(method, &url).bearer_auth(key("demo").reveal()))
            .await;
        assert_eq!(reply.headers["allow"], "POST");
        assert_refused(
            &world,
            &reply,
            405,
            "RequestInvalid",
            "receive",
            "only POST is served here",
        )
        .await;
    }
    let plain = http.post(&url).bearer_auth(key("demo").reveal()).body(CALL);
    let reply = client.send(plain).await;
    let message = "the content type is not application/json";
    assert_refused(&world, &reply, 415, "RequestInvalid", "receive", message).await;
    assert_eq!(world.end().await.len(), 3);
}

#[tokio::test]
async fn a_body_is_bounded_and_strict() {
    let world = World::start().await;
    let client = world.client("demo");
    let reply = client
        .send(client.request(vec![b' '; BODY_LIMIT + 1]))
        .await;
    let message = "the body is longer than 1048576 bytes";
    assert_refused(&world, &reply, 413, "BodyTooLarge", "receive", message).await;
    for (body, expected) in [
        (
            "{",
            "not acceptable JSON: EOF while parsing an object at line 1 column 1",
        ),
        ("[]", "the body is not one JSON-RPC message"),
        (
            r#"{"jsonrpc":"2.0","id":1,"id":2}"#,
            "not acceptable JSON: the key `id` stands twice at line 1 column 31",
        ),
    ] {
        let reply = client.send(client.request(body)).await;
        assert_refused(&world, &reply, 400, "BodyInvalid", "check", expected).await;
        assert_eq!(world.lines().last().unwrap()["actor"]["key"], "demo");
    }
    let argument = |text: &str| CALL.replace("\"arguments\":{}", &format!("\"arguments\":{text}"));
    for (arguments, part) in [
        (r#"{"limit":1,"limit":2}"#, "the key `limit` stands twice"),
        (
            r#"{"limit":1,"\u006cimit":2}"#,
            "the key `limit` stands twice",
        ),
        (r#"{"limit":9007199254740993}"#, "more digits"),
        (r#"{"limit":1e400}"#, "out of range"),
        ("[]", "params.arguments is not an object"),
    ] {
        let reply = client.send(client.request(argument(arguments))).await;
        assert_eq!(
            (reply.status, &reply.body["reason"]),
            (400, &json!("BodyInvalid"))
        );
        assert!(
            reply.body["message"].as_str().unwrap().contains(part),
            "{reply:?}"
        );
    }
    assert_eq!(world.fake.requests(), []);
    assert_eq!(world.end().await.len(), 9);
}

#[tokio::test]
async fn a_call_that_the_mcp_library_answers_itself_is_on_record() {
    let world = World::start().await;
    let client = world.client("demo");
    let call: Value = serde_json::from_str(CALL).unwrap();
    // The modern headers without the metadata that they promise.
    let reply = client.send(client.message(&call)).await;
    assert_eq!(
        (reply.status, &reply.body["error"]["code"]),
        (400, &json!(-32_602))
    );
    // `headers` replaces where `header` would add a second one.
    let other = [("mcp-name", "another_tool")].map(|(name, value)| {
        (
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        )
    });
    let contradicting = client.message(&call).headers(other.into_iter().collect());
    assert_eq!(client.send(contradicting).await.status, 400);
    for number in [1, 2] {
        let line = world.line(number).await;
        assert_eq!(
            (&line["reason"], &line["stage"]),
            (&json!("RequestInvalid"), &json!("receive"))
        );
        assert_eq!(
            (&line["tool"], &line["actor"]["key"]),
            (&json!("meta_list_ad_accounts"), &json!("demo"))
        );
    }
    assert_eq!(world.fake.requests(), []);
    assert_eq!(world.end().await.len(), 2);
}

#[tokio::test]
async fn strangers_without_number_leave_few_lines_and_a_count() {
    let world = World::start().await;
    let stranger = Client::new(world.mcp, None, world.said.clone());
    for _ in 0..100 {
        assert_eq!(stranger.send(stranger.request(CALL)).await.status, 401);
    }
    let (_, metrics) = world.admin("/metrics").await;
    assert!(
        metrics.contains(r#"requests_refused_total{reason="KeyMissing"} 100"#),
        "{metrics}"
    );
    let lines = world.end().await;
    assert!(lines.len() < 100, "{}", lines.len());
}

/// Who has no key must not hold a connection by asking again, nor by asking
/// ahead without reading the answers.
#[tokio::test]
async fn a_stranger_does_not_keep_the_connection() {
    let world = World::start().await;
    let mut stream = tokio::net::TcpStream::connect(world.mcp).await.unwrap();
    let request = "POST /mcp HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n";
    let twice = request.repeat(2);
    stream.write_all(twice.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer))
        .await
        .expect("the connection stayed open")
        .unwrap();
    let answer = String::from_utf8(answer).unwrap();
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    assert_eq!(world.end().await.len(), 1);
}

/// By itself, because a server that stops closes its connections: only a
/// request that arrives in that very moment hears this.
#[tokio::test]
async fn a_stopping_server_says_so() {
    let (text, metrics) = (Captured::default(), Arc::new(Metrics::new()));
    let (audit, writer) =
        Audit::start(Box::new(text.clone()), "boot".into(), Arc::clone(&metrics)).unwrap();
    audit.identify(Identity {
        organization: "acme".to_owned().try_into().unwrap(),
        tenant_uid: "uid".into(),
    });
    let workshop = Workshop {
        catalog: Arc::new(Catalog::load(None).unwrap()),
        credentials: Credentials::Dir("/nowhere".into()),
        corridor_limits: CorridorLimits::PRODUCTION,
        transport: None,
    };
    let knowledge = Arc::new(Knowledge::new());
    let stale_after = Duration::from_mins(5);
    let counter = Arc::new(Counter::new(CounterParts {
        knowledge,
        control_plane: Arc::new(InMemory::new(None, vec![], vec![])),
        workshop,
        audit,
        book: Book::new(None, None),
        clock: Arc::default(),
        notifier: told_nobody(&metrics),
        metrics,
        stale_after,
    }));
    counter.stop();
    let inside = |_| async { unreachable!("the door is shut") };
    let response = gate::pass(&counter, http::Request::new(Body::empty()), inside).await;
    assert_eq!(response.status(), 503);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(
        serde_json::from_slice::<Value>(&body).unwrap(),
        json!({
            "reason": "ServerStopping", "message": "the server is shutting down",
            "remedy": "call again; another replica will answer", "call_id": "boot-1",
        })
    );
    assert!(writer.close(PATIENCE).await);
    let text = text.text();
    let line: Value = serde_json::from_str(text.lines().nth(1).unwrap()).unwrap();
    let line = AuditLine::of(&line).unwrap().facts();
    assert_eq!(
        (&line["reason"], &line["call_id"]),
        (&json!("ServerStopping"), &json!("boot-1"))
    );
}
