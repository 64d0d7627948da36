//! What binds changes of each account, and how much of it is left.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use tenantry_core::access::{Access, ToolClass};
use tenantry_core::name::{AccountId, ConnectorName, Currency, KeyId};
use tenantry_core::policy::describe::{Described, describe};
use tenantry_core::policy::facts::Subject;
use tenantry_core::policy::{Disclose, Match, Policy};
use tenantry_core::reason::{Reason, Refusal};

use super::{Refused, page};
use crate::counter::Counter;
use crate::pipeline::authorize::stale;
use crate::pipeline::describe;

/// The name of no key: limits of single keys are told to them alone.
const NO_KEY: &str = "activity";

/// What binds changes of one account.
#[derive(Serialize)]
struct Limited {
    connector: ConnectorName,
    account: AccountId,
    currency: Currency,
    access: &'static str,
    policies: Vec<Described>,
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
        // One for certain keys binds them, and says so.
        covers: Match {
            keys: None,
            ..policy.covers.clone()
        },
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
            let proposal = describe::nothing(Subject {
                connector: connector.name.clone(),
                account: account.id.clone(),
                tool,
                class: ToolClass::Spend,
                key,
                path: Vec::new(),
            });
            let facts = describe::facts(&counter, &in_force, &proposal).await;
            let (facts, now) = facts.unzip();
            let now = now.unwrap_or_else(|| counter.clock.now());
            let frozen = freezes.on(&connector.name, Some(&account.id));
            let frozen = frozen.map_or(Access::ReadWrite, |freeze| freeze.access);
            let access = in_force.tenant.access_in_force();
            let access = access.strictest(account.access).strictest(frozen);
            all.push(Limited {
                connector: connector.name.clone(),
                account: account.id.clone(),
                currency: account.currency.clone(),
                access: access.as_str(),
                policies: describe(&policies, &proposal, facts.as_ref(), now),
            });
        }
    }
    Ok(page(all, None))
}
