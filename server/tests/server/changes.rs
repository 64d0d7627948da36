//! Contracts that change under a stream of calls: none is dropped, none is
//! accepted that the reported contract forbids, and what did not change is kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};
use tenantry_core::access::Access;
use tenantry_core::tenant::{RateLimit, TenantConfig};

use crate::control::raw;
use crate::world::{World, account, until};

const CHANGES: i64 = 50;
const CALLERS: usize = 4;

/// More than a test can use up.
const ENDLESS: RateLimit = RateLimit {
    per_minute: 1_000_000,
    burst: 100_000,
};

async fn campaigns(world: &World, account: &str) -> Value {
    let client = world.client("demo");
    let result = client.call("meta_list_campaigns", json!({"account": account}));
    result.await["structuredContent"].clone()
}

/// The contract of that generation, and what a call on act_1002 meets under it.
fn generation(number: i64, first: &TenantConfig) -> (TenantConfig, Value) {
    let mut tenant = first.clone();
    let second = &mut tenant.connectors[0].accounts;
    let refused = match number % 5 {
        0 => {
            second.pop();
            json!("AccountRefused")
        }
        1 => {
            second[1].access = Access::Disabled;
            json!("AccountRefused")
        }
        2 => {
            tenant.limits.concurrency = 8 + u32::try_from(number).unwrap();
            tenant.limits.per_key.burst += 1;
            Value::Null
        }
        3 => {
            tenant.access = Access::Frozen;
            tenant.limits.per_tenant.burst += 1;
            Value::Null
        }
        _ => Value::Null,
    };
    (tenant, refused)
}

#[tokio::test]
async fn fifty_contracts_drop_no_call_and_let_none_through() {
    let world = World::start_with(|setup| {
        setup.tenant.limits.per_key = ENDLESS;
        setup.tenant.limits.per_tenant = ENDLESS;
    })
    .await;
    let world = Arc::new(world);
    let (ended, made) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let stream = |_| {
        let (world, ended, made) = (Arc::clone(&world), Arc::clone(&ended), Arc::clone(&made));
        tokio::spawn(async move {
            let mut failed = vec![];
            while !ended.load(Ordering::Relaxed) {
                let envelope = campaigns(&world, "act_1001").await;
                if envelope["status"] != "done" {
                    failed.push(envelope);
                }
                made.fetch_add(1, Ordering::Relaxed);
            }
            failed
        })
    };
    let streams: Vec<_> = (0..CALLERS).map(stream).collect();
    let knowledge = world.control.knowledge().await;
    for number in 2..2 + CHANGES {
        let (tenant, refused) = generation(number, &world.tenant);
        let digest = tenant.digest().to_string();
        knowledge.tell_contract(Some(raw(&tenant, number)));
        world
            .control
            .reported(|report| {
                report.observed_generation == Some(number)
                    && report.contract_digest.as_deref() == Some(&digest)
            })
            .await;
        // From the report on nothing else may be heard.
        for _ in 0..2 {
            let envelope = campaigns(&world, "act_1002").await;
            assert_eq!(
                envelope["reason"], refused,
                "generation {number}: {envelope}"
            );
        }
        let seen = made.load(Ordering::Relaxed);
        until("calls under this contract", || {
            made.load(Ordering::Relaxed) > seen
        })
        .await;
    }
    ended.store(true, Ordering::Relaxed);
    for stream in streams {
        assert_eq!(stream.await.unwrap(), Vec::<Value>::new());
    }
    let calls = made.load(Ordering::Relaxed);
    println!("{CHANGES} changes of the contract, {calls} calls beside them, 0 dropped");
    let world = Arc::into_inner(world).unwrap();
    world.end().await;
}

/// The currency of an account is confirmed at the vendor once; who changed
/// nothing there need not be asked again.
#[tokio::test]
async fn what_a_change_does_not_concern_is_kept() {
    let world = World::start().await;
    let requests = async |account: &str| {
        world.fake.forget_requests();
        let envelope = campaigns(&world, account).await;
        (envelope["status"].clone(), world.fake.requests().len())
    };
    let (done, first) = requests("act_1001").await;
    assert_eq!((done, first), (json!("done"), 2), "confirmed, then listed");
    let knowledge = world.control.knowledge().await;
    let mut tenant = world.tenant.clone();
    let changes: [fn(&mut TenantConfig); 4] = [
        |tenant| tenant.connectors[0].accounts.truncate(1),
        |tenant| {
            tenant.connectors[0]
                .accounts
                .push(account("act_1002", "TWD"));
        },
        |tenant| tenant.connectors[0].accounts[0].access = Access::ReadWrite,
        |tenant| tenant.access = Access::Frozen,
    ];
    for (change, number) in changes.iter().zip(2..) {
        change(&mut tenant);
        knowledge.tell_contract(Some(raw(&tenant, number)));
        world
            .control
            .reported(|report| report.observed_generation == Some(number))
            .await;
        assert_eq!(requests("act_1001").await, (json!("done"), 1), "{number}");
    }
    // Another currency is another word to confirm.
    tenant.connectors[0].accounts[0] = account("act_1001", "USD");
    knowledge.tell_contract(Some(raw(&tenant, 9)));
    world
        .control
        .reported(|report| report.observed_generation == Some(9))
        .await;
    let (status, _) = requests("act_1001").await;
    assert_eq!(status, "failed");
    world.end().await;
}

#[tokio::test]
async fn what_was_used_of_a_limit_stays_used_under_a_new_contract() {
    let once = RateLimit {
        per_minute: 1,
        burst: 1,
    };
    let world = World::start_with(|setup| setup.tenant.limits.per_key = once).await;
    assert_eq!(campaigns(&world, "act_1001").await["status"], "done");
    let knowledge = world.control.knowledge().await;
    let mut tenant = world.tenant.clone();
    tenant.limits.per_tenant.burst += 1;
    tenant.limits.concurrency += 1;
    tenant.connectors[0].accounts.pop();
    knowledge.tell_contract(Some(raw(&tenant, 2)));
    world
        .control
        .reported(|report| report.observed_generation == Some(2))
        .await;
    let envelope = campaigns(&world, "act_1001").await;
    assert_eq!(envelope["reason"], "RateLimited", "{envelope}");
    world.end().await;
}
