//! What binds changes of each account, and how much of it is left.

use std::collections::BTreeSet;
use std::slice;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use tenantry_core::access::{Access, ToolClass};
use tenantry_core::name::{AccountId, ConnectorName, Currency, KeyId};
use tenantry_core::policy::describe::{Described, describe};
use tenantry_core::policy::facts::Subject;
use tenantry_core::policy::{Disclose, Policy};
use tenantry_core::reason::{Reason, Refusal};

use super::{Refused, page};
use crate::counter::Counter;
use crate::pipeline::authorize::stale;
use crate::pipeline::describe;

/// Who asks of policies that are for any key.
const NO_KEY: &str = "activity";

/// What binds changes of one account.
#[derive(Serialize)]
struct Limited {
    connector: ConnectorName,
    account: AccountId,
    currency: Currency,
    access: &'static str,
    policies: Vec<Bound>,
}

/// A policy that binds an account, or these keys alone there.
#[derive(Serialize)]
struct Bound {
    #[serde(skip_serializing_if = "Option::is_none")]
    keys: Option<BTreeSet<KeyId>>,
    #[serde(flatten)]
    described: Described,
}

/// Every account of the organisation, with all that binds it.
pub(super) async fn list(State(counter): State<Arc<Counter>>) -> Result<Response, Refused> {
    let in_force = counter.standing().in_force;
    let in_force = in_force
        .ok_or_else(|| Refusal::new(Reason::ContractPending, "the server has no contract"))?;
    let freezes = counter.knowledge.freezes_now().ok_or_else(stale)?;
    // Who may come here may know all of it, whatever agents are told.
    let policies = in_force.tenant.policies.iter().map(|policy| Policy {
        disclose: Disclose::Headroom,
        ..policy.clone()
    });
    let policies: Vec<_> = policies.collect();
    let tool = describe::name().zip(KeyId::parse(NO_KEY).ok());
    let mut all = Vec::new();
    for connector in &in_force.tenant.connectors {
        for account in &connector.accounts {
            // INVARIANT: both are names.
            let Some((tool, key)) = tool.clone() else {
                continue;
            };
            let proposal = |key: &KeyId| {
                describe::nothing(Subject {
                    connector: connector.name.clone(),
                    account: account.id.clone(),
                    tool: tool.clone(),
                    class: ToolClass::Spend,
                    key: key.clone(),
                    path: Vec::new(),
                })
            };
            let facts = describe::facts(&counter, &in_force, &proposal(&key)).await;
            let (facts, now) = facts.unzip();
            let now = now.unwrap_or_else(|| counter.clock.now());
            let bound = policies.iter().flat_map(|policy| {
                let keys = policy.covers.keys.clone();
                let named = keys.as_ref().and_then(BTreeSet::first).unwrap_or(&key);
                let policy = slice::from_ref(policy);
                let described = describe(policy, &proposal(named), facts.as_ref(), now);
                let bound = move |described| Bound {
                    keys: keys.clone(),
                    described,
                };
                described.into_iter().map(bound)
            });
            let frozen = freezes.on(&connector.name, Some(&account.id));
            let frozen = frozen.map_or(Access::ReadWrite, |freeze| freeze.access);
            let access = in_force.tenant.access_in_force();
            let access = access.strictest(account.access).strictest(frozen);
            all.push(Limited {
                connector: connector.name.clone(),
                account: account.id.clone(),
                currency: account.currency.clone(),
                access: access.as_str(),
                policies: bound.collect(),
            });
        }
    }
    Ok(page(all, None))
}
