//! Placing: every drawn object into the cluster, in a fixed order, by
//! server-side apply under the tenant's own name.

use std::fmt::Debug;
use std::marker::PhantomData;

use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicySpec};
use kube::api::{Patch, PatchParams};
use kube::core::{NamespaceResourceScope, Status};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tenantry_api::label;

use crate::tenant::build::{Children, Placed, Prepared};
use crate::tenant::validate::{Claim, ValidTenant};

/// Why an object is not in the cluster.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The operator may not write in the namespace.
    #[error("the namespace does not let the operator in")]
    NotBound,
    /// The namespace is being deleted, and all of this with it.
    #[error("the namespace is being deleted")]
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

/// Places all `children` of `tenant`. Whoever else claims the namespace is
/// respected; everybody else's changes to our fields are taken back.
pub async fn apply(
    children: Children<Prepared>,
    client: &Client,
    tenant: &ValidTenant,
    claims: &[Claim],
) -> Result<Children<Placed>, ApplyError> {
    // Without `..`: a kind that nobody places does not compile.
    let Children {
        service_account,
        role_binding,
        mcp_server,
        default_deny,
        network_policy,
        service,
        stateful_set,
        state: PhantomData,
    } = children;
    let hand = Hand {
        client,
        tenant,
        claims,
    };
    Ok(Children {
        // The walls stand before anybody moves in.
        default_deny: hand.place_wall(default_deny).await?,
        network_policy: hand.place_wall(network_policy).await?,
        // A pod needs its identity, and the identity its rights.
        service_account: hand.place(service_account).await?,
        role_binding: hand.place(role_binding).await?,
        // What the server will ask for first.
        mcp_server: hand.place(mcp_server).await?,
        service: hand.place(service).await?,
        stateful_set: hand.place(stateful_set).await?,
        state: PhantomData,
    })
}

/// Places for one tenant.
struct Hand<'a> {
    client: &'a Client,
    tenant: &'a ValidTenant,
    claims: &'a [Claim],
}

impl Hand<'_> {
    async fn place_wall(&self, drawn: NetworkPolicy) -> Result<NetworkPolicy, ApplyError> {
        let placed = self.place(drawn.clone()).await?;
        match closed(&drawn, &placed) {
            None => Ok(placed),
            Some(closed) => self.place(closed).await,
        }
    }

    async fn place<K>(&self, drawn: K) -> Result<K, ApplyError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
        K: Clone + Debug + Serialize + DeserializeOwned,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), &self.tenant.namespace);
        let name = drawn.name_any();
        let object = format!("{}/{name}", K::kind(&()));
        let ours = PatchParams::apply(&label::field_manager(&self.tenant.uid));
        let answer = api.patch(&name, &ours, &Patch::Apply(&drawn)).await;
        let answer = match conflict(&answer, self.claims) {
            None => answer,
            Some(Conflict::With(other)) => {
                let tenant = other.name.clone();
                return Err(ApplyError::Taken { object, tenant });
            }
            Some(Conflict::Drift) => {
                tracing::info!(
                    namespace = self.tenant.namespace,
                    object,
                    "taking back changed fields"
                );
                api.patch(&name, &ours.force(), &Patch::Apply(&drawn)).await
            }
        };
        answer.map_err(|error| match error {
            kube::Error::Api(status) if is_leaving(&status) => ApplyError::Leaving,
            kube::Error::Api(status) if lacks_rights(&status) => ApplyError::NotBound,
            source => ApplyError::Failed { object, source },
        })
    }
}

/// `drawn` with lists for the rules that it leaves out, where others added
/// some: what is left out is not ours, and would stay. Only there, because an
/// empty list is never stored and would be written each time.
fn closed(drawn: &NetworkPolicy, placed: &NetworkPolicy) -> Option<NetworkPolicy> {
    let (ours, theirs) = (drawn.spec.as_ref()?, placed.spec.as_ref()?);
    let is_opened = (ours.ingress.is_none() && theirs.ingress.is_some())
        || (ours.egress.is_none() && theirs.egress.is_some());
    is_opened.then(|| NetworkPolicy {
        spec: Some(NetworkPolicySpec {
            ingress: Some(ours.ingress.clone().unwrap_or_default()),
            egress: Some(ours.egress.clone().unwrap_or_default()),
            ..ours.clone()
        }),
        ..drawn.clone()
    })
}

/// Who else holds fields that we draw.
#[derive(Debug, PartialEq, Eq)]
enum Conflict<'a> {
    /// A living tenant of the namespace.
    With(&'a Claim),
    /// Anybody else: a person, a tool, a tenant that is gone.
    Drift,
}

fn conflict<'a, K>(answer: &Result<K, kube::Error>, claims: &'a [Claim]) -> Option<Conflict<'a>> {
    let Err(kube::Error::Api(status)) = answer else {
        return None;
    };
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let mut managers = causes
        .filter(|cause| cause.reason == "FieldManagerConflict")
        // `conflict with "kubectl-edit" using apps/v1`
        .filter_map(|cause| cause.message.split('"').nth(1))
        .peekable();
    managers.peek()?;
    // Our own fields never conflict with us, so a claim found here is another's.
    let holder = managers.find_map(|manager| {
        claims
            .iter()
            .find(|claim| label::field_manager(&claim.uid) == manager)
    });
    Some(holder.map_or(Conflict::Drift, Conflict::With))
}

fn is_leaving(status: &Status) -> bool {
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
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
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

    fn claims() -> Vec<Claim> {
        let created = Time("2026-01-01T00:00:00Z".parse().unwrap());
        vec![Claim {
            created,
            uid: "b".into(),
            name: "other".into(),
        }]
    }

    #[test]
    fn a_living_tenants_fields_are_respected() {
        let claims = claims();
        let answer = refused(409, "Apply failed", &["kubectl-edit", "tenantry/b"]);
        assert_eq!(conflict(&answer, &claims), Some(Conflict::With(&claims[0])));
    }

    #[test]
    fn a_persons_and_a_dead_tenants_fields_are_taken_back() {
        for manager in ["kubectl-edit", "tenantry/dead"] {
            let answer = refused(409, "Apply failed", &[manager]);
            assert_eq!(
                conflict(&answer, &claims()),
                Some(Conflict::Drift),
                "{manager}"
            );
        }
    }

    #[test]
    fn other_refusals_are_no_conflict() {
        assert_eq!(conflict(&Ok(()), &claims()), None);
        let race = refused(409, "Operation cannot be fulfilled", &[]);
        assert_eq!(conflict(&race, &claims()), None);
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
