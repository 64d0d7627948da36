//! Whether a change has left: what never had a connection is not made, and
//! whatever had one may be.

#![expect(clippy::unwrap_used, reason = "tests stop at the first surprise")]

use std::net::SocketAddr;

use serde_json::json;
use tenantry_connectors::call_error::CallError;
use tenantry_connectors::change::{Made, Prepared};
use tenantry_connectors::corridor::{Corridor, CorridorLimits};
use tenantry_core::reason::Reason;
use tenantry_fakes::meta::{Answers, Applies, Order};
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};

use crate::bench::{Bench, FAST, at};
use crate::changes::prepare;

/// What a server does with each connection.
#[derive(Clone, Copy, Debug)]
enum Manner {
    /// Closes it at once.
    AtOnce,
    /// Reads the request and closes it.
    AfterReading,
    /// Reads the request and resets it.
    Reset,
}

/// A change whose preparation went well.
async fn prepared() -> (Bench, Prepared) {
    let bench = Bench::start().await;
    let asked =
        json!({"ad_set_id": "120010010042", "daily_budget": {"amount": "40", "currency": "EUR"}});
    let change = prepare(&bench, "meta_set_budget", asked).await.unwrap();
    (bench, change)
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// A port at which nobody listens.
async fn refused() -> SocketAddr {
    listen().await.1
}

async fn read_request(stream: &mut TcpStream) {
    let mut read = Vec::new();
    let is_whole = |read: &[u8]| read.ends_with(b"daily_budget=4000");
    while !is_whole(&read) {
        let count = stream.read_buf(&mut read).await.unwrap();
        assert!(count > 0, "the whole request comes");
    }
}

/// A server of one connection.
async fn serve(listener: TcpListener, manner: Manner) {
    let (mut stream, _) = listener.accept().await.unwrap();
    match manner {
        Manner::AtOnce => {}
        Manner::AfterReading => read_request(&mut stream).await,
        Manner::Reset => {
            read_request(&mut stream).await;
            stream.set_zero_linger().unwrap();
        }
    }
}

fn by_https(bench: &Bench, address: SocketAddr) -> Corridor {
    bench.corridor_to(&format!("https://{address}"), FAST)
}

fn is_unreached(made: &Made) -> bool {
    matches!(made, Made::NotApplied(CallError::Unreached { .. }))
}

#[tokio::test]
async fn what_has_no_connection_is_not_made() {
    let (bench, change) = prepared().await;
    let address = refused().await;
    let nowhere = bench.corridor_to(&format!("http://{address}"), FAST);
    let unnamed = bench.corridor_to("http://vendor.invalid", FAST);
    for corridor in [nowhere, by_https(&bench, address), unnamed] {
        let made = corridor.make(&change, at(10_000)).await.made;
        assert!(is_unreached(&made), "{made:?}");
        let looked = corridor.look(&change.doubt(), at(10_000)).await;
        let reason = looked.unwrap_err().reason();
        assert_eq!(reason, Reason::VendorUnavailable);
    }
    assert_eq!(bench.fake.effects(), []);
}

#[tokio::test]
async fn what_ends_within_a_handshake_is_not_made() {
    let (bench, change) = prepared().await;
    let (listener, address) = listen().await;
    let server = tokio::spawn(serve(listener, Manner::AtOnce));
    let made = by_https(&bench, address)
        .make(&change, at(10_000))
        .await
        .made;
    assert!(is_unreached(&made), "{made:?}");
    server.await.unwrap();
}

#[tokio::test]
async fn a_handshake_that_does_not_come_to_an_end_is_given_up_and_nothing_is_made() {
    let (bench, change) = prepared().await;
    let (listener, address) = listen().await;
    let limits = CorridorLimits {
        connect_ms: 20,
        ..FAST
    };
    let corridor = bench.corridor_to(&format!("https://{address}"), limits);
    let made = corridor.make(&change, at(10_000)).await.made;
    assert!(is_unreached(&made), "{made:?}");
    drop(listener);
}

#[tokio::test]
async fn what_had_a_connection_may_be_made() {
    let (bench, change) = prepared().await;
    for manner in [Manner::AtOnce, Manner::AfterReading, Manner::Reset] {
        let (listener, address) = listen().await;
        let server = tokio::spawn(serve(listener, manner));
        let corridor = bench.corridor_to(&format!("http://{address}"), FAST);
        let made = corridor.make(&change, at(10_000)).await.made;
        let is_doubtful = matches!(made, Made::Unknown(CallError::Unavailable { .. }));
        assert!(is_doubtful, "{manner:?}: {made:?}");
        server.await.unwrap();
    }
}

#[tokio::test]
async fn a_connection_that_was_in_use_before_leaves_a_doubt_too() {
    let (bench, change) = prepared().await;
    // The fake resets the connection that the preparation left open.
    let order = Order::next_write(Applies::AtOnce, Answers::Break);
    bench.fake.order(order);
    let made = bench.corridor.make(&change, at(10_000)).await.made;
    let is_doubtful = matches!(made, Made::Unknown(CallError::Unavailable { .. }));
    assert!(is_doubtful, "{made:?}");
    assert_eq!(bench.fake.effects().len(), 1);
}

#[tokio::test]
async fn a_proxy_that_is_not_there_lets_nothing_out() {
    let (bench, change) = prepared().await;
    let proxy = format!("http://{}", refused().await);
    for address in ["http://vendor.invalid", "https://vendor.invalid"] {
        let corridor = bench.corridor_by(&proxy, address);
        let made = corridor.make(&change, at(10_000)).await.made;
        assert!(is_unreached(&made), "{address}: {made:?}");
    }
}

#[tokio::test]
async fn a_proxy_that_opens_no_way_lets_nothing_out() {
    let (bench, change) = prepared().await;
    // It takes CONNECT for a question that it does not know.
    let corridor = bench.corridor_by(&bench.fake.url(), "https://vendor.invalid");
    let made = corridor.make(&change, at(10_000)).await.made;
    assert!(is_unreached(&made), "{made:?}");
    assert_eq!(bench.fake.effects(), []);
}
