//! What leaves of a batch while others of it are on their way: ten at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use jiff::SignedDuration;
use reqwest::{Method, Request};
use serde_json::json;
use tenantry_connectors::call_error::CallError;
use tenantry_connectors::corridor::CorridorLimits;
use tenantry_connectors::transport::{Network, Received, Transport};
use tenantry_core::access::Access;
use tenantry_core::freeze::{Freeze, FreezeScope};
use tenantry_fakes::meta::{Answers, Applies, Order};
use tokio::sync::Semaphore;

use super::super::{AD_SET, budgets, call, eur, looked_at, new_key, open};
use super::{ad_set, batch, set_all, statuses};
use crate::world::{World, until};

/// A way to the vendor on which writes wait until they are let through.
struct Barrier {
    network: Network,
    waiting: AtomicUsize,
    open: Semaphore,
}

impl Transport for Barrier {
    fn carry(&self, request: Request) -> BoxFuture<'_, Result<Received, CallError>> {
        if request.method() != Method::POST {
            return self.network.carry(request);
        }
        self.waiting.fetch_add(1, Ordering::SeqCst);
        async move {
            self.open.acquire().await.unwrap().forget();
            self.network.carry(request).await
        }
        .boxed()
    }
}

/// A world whose writes wait, and where they do.
async fn behind_a_barrier() -> (World, Arc<Barrier>) {
    let barrier = Arc::new(Barrier {
        network: Network::new(false, None, CorridorLimits::PRODUCTION).unwrap(),
        waiting: AtomicUsize::new(0),
        open: Semaphore::new(0),
    });
    let way = Arc::clone(&barrier);
    let world = World::start_with(move |setup| {
        open(setup);
        setup.transport = Some(way);
    });
    (world.await, barrier)
}

/// WRITES §1: what is permitted is good for 10 s, and not more because others
/// are sent first.
#[tokio::test]
async fn no_change_of_a_batch_leaves_after_its_permission_has_ended() {
    let (world, way) = behind_a_barrier().await;
    let changes: Vec<_> = (0..12)
        .map(|_| ad_set(&world.fake.add_campaign("act_1001")[0], "21.00"))
        .collect();
    let made = set_all(&world, batch(&changes, &new_key()));
    let later = async {
        until("the first leave", || {
            way.waiting.load(Ordering::SeqCst) == 10
        })
        .await;
        world.clock.advance(SignedDuration::from_secs(15));
        way.open.add_permits(100);
    };
    let (told, ()) = tokio::join!(made, later);
    assert_eq!(
        way.waiting.load(Ordering::SeqCst),
        10,
        "requests that left: {told}"
    );
    world.end().await;
}

/// An incident: what has not left yet stays.
#[tokio::test]
async fn a_freeze_stops_what_of_a_batch_has_not_left() {
    let (world, way) = behind_a_barrier().await;
    let changes: Vec<_> = (0..12)
        .map(|_| ad_set(&world.fake.add_campaign("act_1001")[0], "21.00"))
        .collect();
    let made = set_all(&world, batch(&changes, &new_key()));
    let later = async {
        until("the first leave", || {
            way.waiting.load(Ordering::SeqCst) == 10
        })
        .await;
        let freeze = Freeze {
            name: "incident".into(),
            scope: FreezeScope::All,
            access: Access::Disabled,
            note: None,
            flaw: None,
        };
        world.control.keep_freezes(vec![freeze.clone()]);
        world.control.knowledge().await.tell_freezes(vec![freeze]);
        way.open.add_permits(100);
    };
    let (told, ()) = tokio::join!(made, later);
    assert_eq!(
        way.waiting.load(Ordering::SeqCst),
        10,
        "requests that left: {told}"
    );
    world.end().await;
}

/// A vendor that takes its time.
struct Slow(Network, Duration);

impl Transport for Slow {
    fn carry(&self, request: Request) -> BoxFuture<'_, Result<Received, CallError>> {
        async move {
            tokio::time::sleep(self.1).await;
            self.0.carry(request).await
        }
        .boxed()
    }
}

/// The most that a batch can have can be made.
#[tokio::test]
async fn twenty_changes_are_made_by_a_vendor_that_takes_half_a_second() {
    let world = World::start_with(|setup| {
        open(setup);
        let network = Network::new(false, None, CorridorLimits::PRODUCTION).unwrap();
        setup.transport = Some(Arc::new(Slow(network, Duration::from_millis(500))));
    })
    .await;
    let changes: Vec<_> = (0..20)
        .map(|_| ad_set(&world.fake.add_campaign("act_1001")[0], "21.00"))
        .collect();
    let told = set_all(&world, batch(&changes, &new_key())).await;
    assert_eq!(
        (&told["status"], budgets(&world).len()),
        (&json!("done"), 20),
        "{told}"
    );
    world.end().await;
}

/// WRITES §6: what is unknown is voided after the quiet time, which begins when the
/// request leaves and not when others of its batch did.
#[tokio::test]
async fn the_quiet_time_of_an_item_begins_when_it_leaves() {
    let (world, way) = behind_a_barrier().await;
    let ids: Vec<_> = (0..11)
        .map(|_| world.fake.add_campaign("act_1001")[0].clone())
        .collect();
    let changes: Vec<_> = ids.iter().map(|id| ad_set(id, "21.00")).collect();
    let last = ids.last().unwrap().clone();
    // Somebody looks after another change all the time.
    way.open.add_permits(1);
    world
        .fake
        .order(Order::next_write(Applies::Never, Answers::Break));
    let other =
        json!({"ad_set_id": AD_SET, "daily_budget": eur("31.00"), "idempotency_key": new_key()});
    let told = call(&world, "meta_set_budget", other).await;
    assert_eq!(told["status"], "settling", "{told}");
    world.fake.order(Order {
        path: Some(last),
        ..Order::next_write(Applies::WhenReleased, Answers::Break)
    });
    let key = new_key();
    let made = set_all(&world, batch(&changes, &key));
    let later = async {
        until("the first leave", || {
            way.waiting.load(Ordering::SeqCst) == 11
        })
        .await;
        looked_at(&world).await;
        world.clock.advance(SignedDuration::from_secs(5));
        way.open.add_permits(100);
    };
    let (told, ()) = tokio::join!(made, later);
    let mut expected = vec!["done"; 10];
    expected.push("settling");
    assert_eq!(statuses(&told), expected, "{told}");
    // The vendor's changes need 90 s; the last one left 86 s ago.
    world.clock.advance(SignedDuration::from_secs(86));
    looked_at(&world).await;
    let told = set_all(&world, batch(&changes, &key)).await;
    assert_eq!(statuses(&told).last(), Some(&"settling"), "{told}");
    world.end().await;
}
