//! Before anything is changed: what stands in the control plane at this very
//! moment must still permit it (WRITES §9). Reads rely on what was watched.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tenantry_core::authorize::{self, Request};
use tenantry_core::freeze::Freezes;
use tenantry_core::key::KeyRecord;
use tenantry_core::name::KeyId;
use tenantry_core::reason::{Reason, Refusal};
use tenantry_core::tenant::TenantConfig;

use super::Authenticated;
use crate::control_plane::Live;
use crate::counter::Counter;
use crate::in_force::InForce;
use tenantry_core::cause::chain;

/// How long the control plane has to answer; what takes longer is refused.
pub const LIVE_LIMIT: Duration = Duration::from_secs(1);

/// A contract that was just written is in force after a moment.
const TAKE_UP_MS: u64 = 500;

/// Confirms that `caller` may still make `request`, and answers the freezes
/// that hold. Whatever fails on the way refuses.
pub async fn confirm(
    counter: &Counter,
    caller: &Authenticated,
    request: &Request<'_>,
) -> Result<Freezes, Refusal> {
    let read = counter.control_plane.read_live(&caller.key.id);
    let live = match tokio::time::timeout(LIVE_LIMIT, read).await {
        Ok(Ok(live)) => live,
        Ok(Err(error)) => return Err(unconfirmed(&chain(&error))),
        Err(_) => return Err(unconfirmed("it did not answer in time")),
    };
    judge(
        &live,
        &caller.in_force,
        &caller.key,
        request,
        Timestamp::now(),
    )?;
    Ok(live.freezes)
}

/// The key of that id. That there is none is the word of the control plane
/// itself: what is watched may not have heard of it yet.
pub async fn key(counter: &Counter, id: &KeyId) -> Result<Option<Arc<KeyRecord>>, Refusal> {
    if let Some(key) = counter.knowledge.key(id) {
        return Ok(Some(key));
    }
    let read = counter.control_plane.read_live(id);
    match tokio::time::timeout(LIVE_LIMIT, read).await {
        Ok(Ok(live)) => Ok(live.key.map(Arc::new)),
        Ok(Err(error)) => Err(unconfirmed(&chain(&error))),
        Err(_) => Err(unconfirmed("it did not answer in time")),
    }
}

/// Decides by what was read live, for a caller who came with `key` under the
/// contract `in_force`. Pure.
pub fn judge(
    live: &Live,
    in_force: &InForce,
    key: &KeyRecord,
    request: &Request<'_>,
    now: Timestamp,
) -> Result<(), Refusal> {
    // Another digest is another key under a name that was free again; with
    // another owner or agent it would have other keys of idempotency.
    let is_same = |present: &&KeyRecord| {
        present.digest == key.digest && present.owner == key.owner && present.agent == key.agent
    };
    let present = live
        .key
        .as_ref()
        .filter(is_same)
        .ok_or_else(|| Refusal::new(Reason::KeyUnknown, "the key is not there any more"))?;
    present
        .standing(now)
        .map_err(|reason| Refusal::new(reason, "the key is not good any more"))?;
    same_contract(live, in_force)?;
    authorize::authorize(&in_force.tenant, &live.freezes, present, request)?;
    Ok(())
}

/// The contract must be the one under which the call began: under another one
/// the same arguments may mean another thing.
fn same_contract(live: &Live, in_force: &InForce) -> Result<(), Refusal> {
    let pending = |message| Refusal::new(Reason::ContractPending, message);
    let Some(raw) = &live.contract else {
        return Err(pending("the server's contract was taken away"));
    };
    let obeyed = &in_force.source;
    if raw.uid == obeyed.uid && same_rules(&raw.contract, &obeyed.contract) {
        return Ok(());
    }
    match TenantConfig::read(&raw.contract) {
        Ok(_) => Err(pending("a newer contract is being taken up")
            .with_remedy("call again")
            .with_retry_after_ms(TAKE_UP_MS)),
        Err(_) => Err(Refusal::new(
            Reason::ContractUnreadable,
            "the server cannot read its present contract, so it changes nothing",
        )),
    }
}

/// What is known of the ledger is no rule, and moves by itself.
fn same_rules(one: &Value, other: &Value) -> bool {
    let rules = |contract: &Value| {
        let mut contract = contract.clone();
        if let Value::Object(fields) = &mut contract {
            fields.remove("ledger");
        }
        contract
    };
    one == other || rules(one) == rules(other)
}

fn unconfirmed(cause: &str) -> Refusal {
    tracing::warn!(cause, "the control plane did not confirm a call");
    let message = format!(
        "the control plane did not confirm within {} s that the call may be made, so nothing was changed",
        LIVE_LIMIT.as_secs()
    );
    Refusal::new(Reason::ControlPlaneStale, message)
}
