//! One tenant, from what is declared to what is there: five steps, in order,
//! and nothing else.

pub mod apply;
pub mod build;
pub mod declared;
#[cfg(test)]
pub(crate) mod example;
pub mod fetch;
pub mod hold;
pub mod ledger;
pub mod optional;
pub mod report;
pub mod seen;
pub mod unique;
pub mod validate;

use std::sync::Arc;
use std::time::Duration;

use kube::core::{DynamicObject, Status};
use kube::runtime::controller::Action;
use kube::{Api, Resource as _};
use tenantry_api::mcp_tenant::{McpTenant, McpTenantStatus};
use tenantry_core::reason::Reason;

use crate::context::Context;
use apply::{ApplyError, Others, Tools, apply};
use build::build;
use declared::Declared;
use fetch::{FetchError, Sight, fetch, wait_for_losses};
use hold::{Held, HoldError, Server, keep_within, mcp_server, stateful_set};
use report::{Outcome, ReportError, Subject, glance, observe, report, tell, tell_platform};
use seen::{Tenant, Unreadable};
use unique::{Claimant, obstacle};
use validate::{Obstacle, namespace_taken, not_bound, validate};

/// A RoleBinding or a label of the namespace that appears is not seen by a
/// watch; somebody waits for this.
const LOOK_FOR_HOME: Duration = Duration::from_secs(5);
/// The end of the other tenant is seen, the end of its children is not.
const LOOK_FOR_NAMESPACE: Duration = Duration::from_secs(10);
/// Whoever gives way wakes those who wait; should that be lost, this is left.
const LOOK_FOR_HOLDER: Duration = Duration::from_mins(1);
/// The watch tells of what is newer, and that wakes the tenant up.
const LOOK_FOR_WATCH: Duration = Duration::from_secs(1);

/// What kept a tenant from being reconciled.
#[derive(Debug, thiserror::Error)]
pub enum TenantError {
    /// Reading.
    #[error("fetching")]
    Fetch(#[from] FetchError),
    /// Holding a server to what is still its tenant's; what is in the tenant's way
    /// is told in the status.
    #[error("holding a tenant that waits")]
    Hold(#[from] HoldError),
    /// Writing; told in the status as well.
    #[error("applying")]
    Apply(#[source] ApplyError),
    /// Telling.
    #[error("reporting")]
    Report(#[from] ReportError),
    /// It did not end.
    #[error("it did not end within {} s", limit.as_secs())]
    TooLong {
        /// How long it may take.
        limit: Duration,
    },
    /// An unreadable tenant.
    #[error("reading what there is of a tenant that cannot be read")]
    Unreadable(#[source] kube::Error),
}

/// Brings one tenant from what it declares to what is there.
pub async fn reconcile(seen: Arc<Tenant>, ctx: Arc<Context>) -> Result<Action, TenantError> {
    let tenant = match &seen.read {
        Ok(tenant) => tenant,
        Err(unreadable) => return refuse(unreadable, &ctx).await,
    };
    // What goes, goes with its owner; there is nothing to finish first.
    if tenant.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let subject = Subject {
        reference: tenant.object_ref(&()),
        generation: tenant.metadata.generation,
        before: tenant.status.clone().unwrap_or_default(),
    };
    let declared = Declared::of(&tenant.spec);
    let version = tenant.metadata.resource_version.as_deref();
    let uid = tenant.metadata.uid.as_deref().unwrap_or_default();
    if ctx.written.is_behind(uid, version.unwrap_or_default()) {
        return Ok(Action::requeue(LOOK_FOR_WATCH));
    }
    // What a decision needs (client).
    let (found, server) = match fetch(tenant, &seen.claimant, &ctx).await? {
        Sight::Current(found, server) => (found, server),
        Sight::Outdated => return Ok(Action::requeue(LOOK_FOR_WATCH)),
    };
    // What is meant (no client).
    let valid = match validate(tenant, &found, &ctx.settings) {
        Ok(valid) => valid,
        Err(obstacle) => {
            let losses = &found.losses;
            let held = Held {
                declared: &declared,
                losses,
            };
            return hold(&subject, Some((held, server)), obstacle, &ctx).await;
        }
    };
    // What shall be there (no client).
    let prepared = build(&valid, &ctx.settings, &found);
    // Put there (client).
    let tools = Tools {
        client: &ctx.client,
        memory: &ctx.memory,
    };
    let others = Others {
        claims: &found.claims,
        present: &ctx.optionals.present(&valid.namespace),
        served: found.served,
    };
    let mut drifts = vec![];
    let placed = Box::pin(apply(prepared, tools, &valid, others, &mut drifts)).await;
    tell(&subject, &drifts, &ctx).await;
    let placed = match placed {
        Ok(placed) => placed,
        Err(ApplyError::Leaving) => return Ok(Action::await_change()),
        Err(ApplyError::NotBound) => {
            let obstacle = not_bound(&valid.namespace, &ctx.settings.operator);
            return hold(&subject, None, obstacle, &ctx).await;
        }
        Err(ApplyError::Taken { tenant, .. }) => {
            return hold(&subject, None, namespace_taken(&tenant), &ctx).await;
        }
        Err(error) => {
            report(&subject, &Outcome::Failed(chain(&error)), &ctx).await?;
            return Err(TenantError::Apply(error));
        }
    };
    // And told (client).
    let observed = observe(&placed, &valid, found.guard.as_ref());
    report(&subject, &Outcome::Placed(Box::new(observed)), &ctx).await?;
    Ok(Action::await_change())
}

/// Tells what is in the way, and holds the server to what is `held`; comes back by
/// itself where no watch would. Whatever becomes of the server, the status says
/// what is so.
async fn hold(
    subject: &Subject,
    held: Option<(Held<'_>, Server)>,
    obstacle: Obstacle,
    ctx: &Context,
) -> Result<Action, TenantError> {
    let action = match obstacle.reason {
        Reason::OperatorNotBound | Reason::PodSecurityMissing => Action::requeue(LOOK_FOR_HOME),
        Reason::NamespaceTaken => Action::requeue(LOOK_FOR_NAMESPACE),
        Reason::AccountTaken | Reason::HostTaken | Reason::OrganizationTaken => {
            Action::requeue(LOOK_FOR_HOLDER)
        }
        _ => Action::await_change(),
    };
    let server = match held {
        // A second tenant of a namespace has nothing there.
        Some((held, server)) if obstacle.reason != Reason::NamespaceTaken => {
            if !held.losses.is_empty() {
                tell_platform(subject, held.losses, &obstacle, ctx).await;
            }
            keep_within(&held, server, &subject.reference, ctx).await
        }
        _ => Ok(None),
    };
    let seen = match (obstacle.reason, &server) {
        (Reason::Suspended, Ok(Some(server))) => stateful_set(&ctx.client, &subject.reference)
            .await
            .map(|set| set.and_then(|set| glance(server, &set))),
        _ => Ok(None),
    };
    let outcome = match (obstacle.reason, &seen) {
        (Reason::Suspended, Ok(seen)) => Outcome::Suspended(obstacle, seen.clone()),
        _ => Outcome::Held(obstacle),
    };
    report(subject, &outcome, ctx).await?;
    server?;
    seen.map_err(HoldError::Look)?;
    Ok(action)
}

/// A tenant with a field of a later release. What its status said is read
/// apart, so that it is written once and not for ever. To older tenants it gives
/// way as any other does.
async fn refuse(unreadable: &Unreadable, ctx: &Context) -> Result<Action, TenantError> {
    let metadata = &unreadable.metadata;
    if metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let namespace = metadata.namespace.as_deref().unwrap_or_default();
    let name = metadata.name.as_deref().unwrap_or_default();
    let resource = kube::api::ApiResource::erase::<McpTenant>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(ctx.client.clone(), namespace, &resource);
    let object = api.get(name).await.map_err(TenantError::Unreadable)?;
    let before: Option<McpTenantStatus> = object
        .data
        .get("status")
        .and_then(|status| serde_json::from_value(status.clone()).ok());
    let subject = Subject {
        reference: object.object_ref(&resource),
        generation: object.metadata.generation,
        before: before.unwrap_or_default(),
    };
    let declared = Declared::read(&object.data["spec"]);
    let claimant = Claimant::of(&object.metadata, declared.clone());
    let losses = wait_for_losses(&claimant, None, ctx);
    let server = mcp_server(&ctx.client, namespace).await;
    let server = server.map_err(TenantError::Unreadable)?;
    let message = format!(
        "this operator cannot read the McpTenant: {}",
        unreadable.error
    );
    let lost = obstacle(&losses, &ctx.settings.operator.namespace);
    let obstacle = lost.unwrap_or_else(|| Obstacle::new(Reason::SpecInvalid, message));
    let held = Held {
        declared: &declared,
        losses: &losses,
    };
    hold(&subject, Some((held, server)), obstacle, ctx).await
}

/// An error and its causes in one line, each told once.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut told = vec![];
    for error in std::iter::successors(Some(error), |error| error.source()) {
        if let Some(kube::Error::Api(status)) = error.downcast_ref() {
            // What lies below says the same again.
            told.push(refusal(status));
            break;
        }
        told.push(error.to_string());
    }
    told.join(": ")
}

/// What the API server said. It tells the flaws of a map in any order; in ours
/// the same refusal reads the same, or each retry would write a new status,
/// and each new status would call for a retry.
fn refusal(status: &Status) -> String {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let mut flaws: Vec<_> = causes
        .filter(|cause| !cause.field.is_empty())
        .map(|cause| format!("{}: {}", cause.field, cause.message))
        .collect();
    flaws.sort_unstable();
    flaws.dedup();
    if flaws.is_empty() {
        return status.message.clone();
    }
    flaws.join("; ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(flaws: &[(&str, &str)]) -> ApplyError {
        let causes: Vec<_> = flaws
            .iter()
            .map(|(field, message)| json!({"reason": "FieldValueInvalid", "field": field, "message": message}))
            .collect();
        let status = json!({
            "status": "Failure", "code": 422, "reason": "Invalid", "message": "it is invalid", "details": {"causes": causes},
        });
        ApplyError::Failed {
            object: "StatefulSet/server".into(),
            source: kube::Error::Api(serde_json::from_value(status).unwrap()),
        }
    }

    #[test]
    fn a_refusal_is_told_once_and_always_in_the_same_words() {
        let (first, second) = (("spec.a", "wrong"), ("spec.b", "worse"));
        let expected = "applying `StatefulSet/server`: spec.a: wrong; spec.b: worse";
        assert_eq!(chain(&refused(&[first, second])), expected);
        assert_eq!(chain(&refused(&[second, first, second])), expected);
    }

    #[test]
    fn a_refusal_without_fields_is_told_in_the_api_servers_words() {
        assert_eq!(
            chain(&TenantError::Apply(refused(&[]))),
            "applying: applying `StatefulSet/server`: it is invalid"
        );
    }
}
