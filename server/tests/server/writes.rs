//! Changes through the whole server: what is made, what is not, what a repeated
//! key opens, and what stays on record.

mod activity;
mod answers;
mod approvals;
mod batches;
mod clerk;
mod creates;
mod describe;
mod explain;
mod exposure;
mod gates;
mod get_change;
mod keys;
mod ledger;
mod notify;
mod record;
mod resolve;
mod settling;
mod tasks;
mod undo;

use std::sync::atomic::{AtomicU64, Ordering};

use jiff::SignedDuration;
use serde_json::{Value, json};
use tenantry_core::access::Access;
use tenantry_core::key::{KeyRecord, Scope};
use tenantry_core::name::AccountId;
use tenantry_core::policy::Policy;
use tenantry_core::tenant::TenantConfig;
use tenantry_fakes::meta::{EffectKind, SANDBOX_TOKEN};

use crate::control::raw;
use crate::world::{PATIENCE, Setup, World, record, until};

/// In Berlin: a campaign of two live ad sets, of 20.00 and 30.50 EUR a day.
const CAMPAIGN: &str = "12001001004";
pub const AD_SET: &str = "120010010042";
/// What an ad of it shows.
const CREATIVE: &str = "771200100100421";
pub const OTHER_AD_SET: &str = "120010010041";

/// A key with every scope.
fn spender(id: &str) -> KeyRecord {
    let scopes = ["meta:read", "meta:write", "meta:spend"];
    KeyRecord {
        scopes: scopes.map(|scope| Scope::parse(scope).unwrap()).into(),
        ..record(id)
    }
}

/// Keys of another owner, of another agent, and for another account.
fn strangers() -> [KeyRecord; 3] {
    [
        KeyRecord {
            owner: "mallory@acme.example".into(),
            ..spender("mallory")
        },
        KeyRecord {
            agent: Some("another".into()),
            ..spender("another")
        },
        KeyRecord {
            accounts: Some(vec![AccountId::parse("act_1002").unwrap()]),
            ..spender("narrow")
        },
    ]
}

pub fn policy(fields: Value) -> Policy {
    let mut policy = json!({"name": "ads", "mode": "Enforce", "currency": "EUR"});
    let Value::Object(fields) = fields else {
        panic!("a policy is an object")
    };
    policy.as_object_mut().unwrap().extend(fields);
    serde_json::from_value(policy).unwrap()
}

/// Longer than the quiet time of the connector file.
pub const QUIET: SignedDuration = SignedDuration::from_secs(91);

/// Somebody sets a budget at the vendor, without us.
pub async fn meddle(world: &World, ad_set: &str, cents: u32) {
    let url = format!("{}/v26.0/{ad_set}", world.fake.url());
    let cents = cents.to_string();
    let form = [("access_token", SANDBOX_TOKEN), ("daily_budget", &cents)];
    let request = reqwest::Client::new().post(url).form(&form);
    let answer = request.send().await.unwrap();
    assert!(answer.status().is_success(), "{answer:?}");
}

/// Waits until the settler has read what is open a few times.
pub async fn looked_at(world: &World) {
    let reads = world.fake.requests().len();
    until("some looks", || world.fake.requests().len() > reads + 6).await;
}

/// Where changes may be made, under a policy that permits nearly everything.
pub fn open(setup: &mut Setup) {
    setup.tenant.access = Access::ReadWrite;
    for account in &mut setup.tenant.connectors[0].accounts {
        account.access = Access::ReadWrite;
    }
    setup.keys = vec![spender("demo"), spender("other")];
    setup.tenant.policies = vec![policy(json!({}))];
}

async fn world() -> World {
    World::start_with(open).await
}

async fn world_with(fields: Value) -> World {
    World::start_with(|setup| {
        open(setup);
        setup.tenant.policies = vec![policy(fields)];
    })
    .await
}

/// Another contract comes into force.
async fn obey(world: &World, tenant: &TenantConfig, generation: i64) {
    let contract = raw(tenant, generation);
    world.control.keep_contract(contract.clone());
    let knowledge = world.control.knowledge().await;
    knowledge.tell_contract(Some(contract));
    let obeyed = world
        .control
        .reported(|report| report.observed_generation == Some(generation));
    obeyed.await;
}

/// A key that no other call has.
pub fn new_key() -> String {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let number = LAST.fetch_add(1, Ordering::Relaxed);
    format!("0d9f4f7e-5a0b-4c1e-9d43-6a6f8c{number:06}")
}

fn eur(amount: &str) -> Value {
    json!({"amount": amount, "currency": "EUR"})
}

pub fn budget(ad_set: &str, amount: &str, key: &str) -> Value {
    json!({"ad_set_id": ad_set, "daily_budget": eur(amount), "idempotency_key": key})
}

/// The envelope of one call with the key `demo`.
async fn call(world: &World, tool: &str, arguments: Value) -> Value {
    let result = world.client("demo").call(tool, arguments).await;
    result["structuredContent"].clone()
}

/// Repeats a call until it is not `settling` any more.
async fn settled(world: &World, tool: &str, arguments: Value) -> Value {
    let patience = async {
        loop {
            let told = call(world, tool, arguments.clone()).await;
            if told["status"] != "settling" {
                return told;
            }
        }
    };
    tokio::time::timeout(PATIENCE, patience)
        .await
        .expect("it did not settle")
}

async fn set(world: &World, amount: &str, key: &str) -> Value {
    call(world, "meta_set_budget", budget(AD_SET, amount, key)).await
}

/// What was really changed at the vendor, in its minor units.
fn budgets(world: &World) -> Vec<(String, Value)> {
    let effects = world.fake.effects().into_iter();
    let budgets = effects.filter(|effect| effect.kind == EffectKind::SetBudget);
    budgets
        .map(|effect| (effect.object.clone(), effect.after.clone()))
        .collect()
}
