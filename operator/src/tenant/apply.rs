//! Placing: every drawn object into the cluster, in a fixed order, by
//! server-side apply under the tenant's own name.

pub mod drift;
mod hand;
pub mod remove;

use std::marker::PhantomData;

use kube::Client;
use kube::core::Status;

use crate::memory::Memory;
use crate::tenant::build::{Children, Placed, Prepared};
use crate::tenant::optional::{Optional, Present, Served, superfluous};
use crate::tenant::validate::{Claim, ValidTenant};
use drift::Drift;
use hand::Hand;
use remove::remove;

/// Why an object is not in the cluster.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The operator may not write in the namespace.
    #[error("the namespace does not let the operator in")]
    NotBound,
    /// The tenant or its namespace is being deleted, and all of this with it.
    #[error("the tenant is being deleted")]
    Leaving,
    /// Another living tenant holds it.
    #[error("`{object}` belongs to the McpTenant `{tenant}`")]
    Taken {
        /// Which object.
        object: String,
        /// The name of the tenant.
        tenant: String,
    },
    /// The API server refused it, or could not be reached.
    #[error("applying `{object}`")]
    Failed {
        /// Which object.
        object: String,
        /// What the API server said.
        #[source]
        source: kube::Error,
    },
}

/// Who was there before.
#[derive(Debug, Clone, Copy)]
pub struct Others<'a> {
    /// Who else claims the namespace.
    pub claims: &'a [Claim],
    /// The optional children that are there, meant or not.
    pub present: &'a [Present],
    /// Which kinds were served when the children were drawn.
    pub served: Served,
}

/// What placing may touch.
#[derive(Clone, Copy)]
pub struct Tools<'a> {
    /// The way to the API server.
    pub client: &'a Client,
    /// How the children were left.
    pub memory: &'a Memory,
}

/// Places all `children` of `tenant`. Whoever else claims the namespace is
/// respected; everybody else's changes are taken back, and told in `drifts`
/// even if something fails later.
pub async fn apply(
    children: Children<Prepared>,
    tools: Tools<'_>,
    tenant: &ValidTenant,
    others: Others<'_>,
    drifts: &mut Vec<Drift>,
) -> Result<Children<Placed>, ApplyError> {
    let meant = children.optionals();
    // Without `..`: a kind that nobody places does not compile.
    let Children {
        service_account,
        role_binding,
        mcp_server,
        default_deny,
        network_policy,
        cilium_policy,
        limit_range,
        quota,
        budget,
        service,
        stateful_set,
        route,
        ingress,
        state: PhantomData,
    } = children;
    let mut hand = Hand {
        tools,
        tenant,
        claims: others.claims,
        drifts,
    };
    // The walls stand before anybody moves in.
    let default_deny = hand.place(default_deny).await?;
    let network_policy = hand.place(network_policy).await?;
    // A way in that is not meant any more is shut before anything else.
    for child in superfluous(others.present, &meant, others.served, &tenant.uid) {
        remove(tools, &tenant.namespace, &tenant.uid, child).await?;
    }
    Ok(Children {
        default_deny,
        network_policy,
        cilium_policy: hand
            .place_foreign(Optional::CiliumPolicy, cilium_policy)
            .await?,
        limit_range: hand.place(limit_range).await?,
        quota: hand.place_optional(quota).await?,
        budget: hand.place_optional(budget).await?,
        // A pod needs its identity, and the identity its rights.
        service_account: hand.place(service_account).await?,
        role_binding: hand.place(role_binding).await?,
        // What the server will ask for first.
        mcp_server: hand.place(mcp_server).await?,
        service: hand.place(service).await?,
        stateful_set: Box::pin(hand.place(stateful_set)).await?,
        // Nobody is let in before there is somebody to answer.
        ingress: hand.place_optional(ingress).await?,
        route: hand.place_foreign(Optional::Route, route).await?,
        state: PhantomData,
    })
}

/// Whether the namespace is on its way out.
pub fn is_leaving(status: &Status) -> bool {
    let mut causes = status.details.iter().flat_map(|details| &details.causes);
    causes.any(|cause| cause.reason == "NamespaceTerminating")
}

/// A quota, an admission policy or a namespace that ends are 403 too; only RBAC
/// says who cannot do what.
fn lacks_rights(status: &Status) -> bool {
    status.is_forbidden()
        && status.message.contains("User \"")
        && status.message.contains("\" cannot ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(code: u16, message: &str, managers: &[&str]) -> Result<(), kube::Error> {
        let causes: Vec<_> = managers
            .iter()
            .map(|name| {
                json!({"reason": "FieldManagerConflict", "field": ".spec", "message": format!("conflict with \"{name}\" using apps/v1")})
            })
            .collect();
        let reason = if code == 403 { "Forbidden" } else { "Conflict" };
        let status = json!({
            "status": "Failure", "code": code, "reason": reason, "message": message, "details": {"causes": causes},
        });
        Err(kube::Error::Api(serde_json::from_value(status).unwrap()))
    }

    #[test]
    fn a_namespace_that_is_being_deleted_is_no_failure() {
        let status = json!({
            "status": "Failure", "code": 403, "reason": "Forbidden",
            "message": "services \"server\" is forbidden: unable to create new content in namespace acme because it is being terminated",
            "details": {"causes": [{
                "reason": "NamespaceTerminating", "field": "metadata.namespace",
                "message": "namespace acme is being terminated",
            }]},
        });
        assert!(is_leaving(&serde_json::from_value(status).unwrap()));
        let Err(kube::Error::Api(conflict)) = refused(409, "conflict", &["kubectl-edit"]) else {
            panic!("a refusal is an answer of the API server");
        };
        assert!(!is_leaving(&conflict));
    }

    #[test]
    fn only_rbac_says_that_the_operator_is_not_bound() {
        let told = |message| {
            let Err(kube::Error::Api(status)) = refused(403, message, &[]) else {
                panic!()
            };
            lacks_rights(&status)
        };
        assert!(told(
            "services \"server\" is forbidden: User \"system:serviceaccount:a:b\" cannot patch resource \"services\" in API group \"\" in the namespace \"acme\""
        ));
        assert!(!told(
            "statefulsets \"server\" is forbidden: exceeded quota: small"
        ));
        assert!(!told(
            "services \"server\" is forbidden: unable to create new content in namespace acme because it is being terminated"
        ));
    }
}
