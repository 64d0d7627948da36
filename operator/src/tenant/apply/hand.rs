//! One object into the cluster, and exactly as drawn.
//!
//! Two tools, because neither is enough. Server-side apply gives back what we
//! draw and tells whose values stood in the way. It never takes away what
//! others add, so what they hold beyond our drawing is found in the managed
//! fields of the answer, and everything but metadata and status is replaced.

use std::fmt::Debug;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{ListParams, Patch, PatchParams};
use kube::core::{DynamicObject, NamespaceResourceScope};
use kube::{Api, Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tenantry_api::label;
use tenantry_api::mcp_tenant::McpTenant;

use super::drift::{self, Change, Drift, RESTARTED};
use super::{ApplyError, Tools, is_leaving, lacks_rights};
use crate::memory::{Place, hash};
use crate::tenant::optional::Optional;
use crate::tenant::validate::{Claim, ValidTenant};

/// Places for one tenant.
pub struct Hand<'a> {
    pub tools: Tools<'a>,
    pub tenant: &'a ValidTenant,
    pub claims: &'a [Claim],
    pub drifts: &'a mut Vec<Drift>,
}

/// What can be placed.
pub trait Child: Resource + Clone + Debug + Serialize + DeserializeOwned {}

impl<K: Resource + Clone + Debug + Serialize + DeserializeOwned> Child for K {}

/// An object on its way.
struct Drawn<K> {
    api: Api<K>,
    name: String,
    /// `StatefulSet/server`.
    object: String,
    value: Value,
}

impl Hand<'_> {
    /// Places an object of a kind that this program knows.
    pub async fn place<K>(&mut self, drawn: K) -> Result<K, ApplyError>
    where
        K: Child + Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        let api = Api::namespaced(self.tools.client.clone(), &self.tenant.namespace);
        self.place_in(api, &K::kind(&()), &drawn).await
    }

    /// The same, if it is meant.
    pub async fn place_optional<K>(&mut self, drawn: Option<K>) -> Result<Option<K>, ApplyError>
    where
        K: Child + Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        match drawn {
            Some(drawn) => self.place(drawn).await.map(Some),
            None => Ok(None),
        }
    }

    /// Places an object of a kind that others define, if it is meant.
    pub async fn place_foreign(
        &mut self,
        kind: Optional,
        drawn: Option<DynamicObject>,
    ) -> Result<Option<DynamicObject>, ApplyError> {
        let Some(drawn) = drawn else {
            return Ok(None);
        };
        let (client, namespace) = (self.tools.client.clone(), &self.tenant.namespace);
        let resource = kind.resource();
        let api = Api::namespaced_with(client, namespace, &resource);
        self.place_in(api, &resource.kind, &drawn).await.map(Some)
    }

    async fn place_in<K: Child>(
        &mut self,
        api: Api<K>,
        kind: &str,
        drawn: &K,
    ) -> Result<K, ApplyError> {
        let name = drawn.name_any();
        let drawn = Drawn {
            api,
            object: format!("{kind}/{name}"),
            name,
            // A struct of strings, numbers, maps and vectors has a JSON form.
            value: serde_json::to_value(drawn).unwrap_or_default(),
        };
        self.settle(&drawn).await
    }

    async fn settle<K: Child>(&mut self, drawn: &Drawn<K>) -> Result<K, ApplyError> {
        let (memory, uid) = (self.tools.memory, &self.tenant.uid);
        let hash = hash(&drawn.value);
        let left = memory
            .of(uid, &drawn.object)
            .filter(|place| place.drawn == hash);
        let mut changes = vec![];
        let mut was_deleted = false;
        if let Some(left) = left {
            match drawn.found().await? {
                Some(found) if found.resource_version() == Some(left.version) => return Ok(found),
                Some(found) => {
                    let found = serde_json::to_value(found).unwrap_or_default();
                    changes = drift::removals(&drawn.value, &found);
                }
                None => {
                    self.outlive().await?;
                    was_deleted = true;
                }
            }
        }
        let placed = self.apply_or_make_room(drawn, &mut changes).await?;
        let placed = self.clear(drawn, placed, &mut changes).await?;
        if was_deleted {
            let object = drawn.object.clone();
            self.drifts.push(Drift::Deleted { object });
        } else if !changes.is_empty() {
            changes.sort_unstable();
            changes.dedup();
            let object = drawn.object.clone();
            self.drifts.push(Drift::Changed { object, changes });
        }
        let place = Place {
            drawn: hash,
            version: placed.resource_version().unwrap_or_default(),
        };
        self.tools.memory.keep(uid, &drawn.object, place);
        Ok(placed)
    }

    /// A tenant that goes takes its children along, and its watch may tell of it
    /// later than theirs do: what was taken along is not made again.
    async fn outlive(&self) -> Result<(), ApplyError> {
        let ValidTenant {
            namespace, owner, ..
        } = self.tenant;
        let api: Api<McpTenant> = Api::namespaced(self.tools.client.clone(), namespace);
        let list = api.list_metadata(&ListParams::default()).await;
        let tenants = list.map_err(|error| failed(format!("McpTenant/{}", owner.name), error))?;
        let is_us = |live: &ObjectMeta| live.uid.as_ref() == Some(&owner.uid);
        let mut all = tenants.iter().map(|live| &live.metadata);
        match all.find(|live| is_us(live)) {
            Some(live) if live.deletion_timestamp.is_none() => Ok(()),
            _ => Err(ApplyError::Leaving),
        }
    }

    /// What others made of an element of ours (its port, its name) can stand in
    /// the way of the element itself. Then theirs goes first.
    async fn apply_or_make_room<K: Child>(
        &self,
        drawn: &Drawn<K>,
        changes: &mut Vec<Change>,
    ) -> Result<K, ApplyError> {
        let answer = self.apply(drawn, changes).await;
        // Invalid to the API server, or to a policy that sees theirs in ours.
        let is_refused = |source: &kube::Error| matches!(source, kube::Error::Api(status) if [403, 422].contains(&status.code));
        let Err(ApplyError::Failed { source, .. }) = &answer else {
            return answer;
        };
        if !is_refused(source) {
            return answer;
        }
        let Some(found) = drawn.found().await? else {
            return answer;
        };
        let before = found.resource_version();
        let cleared = self.clear(drawn, found, changes).await?;
        if cleared.resource_version() == before {
            return answer;
        }
        self.apply(drawn, changes).await
    }

    /// What we draw is there. A living neighbour's fields are respected,
    /// everybody else's are taken.
    async fn apply<K: Child>(
        &self,
        drawn: &Drawn<K>,
        changes: &mut Vec<Change>,
    ) -> Result<K, ApplyError> {
        let ours = PatchParams::apply(&label::field_manager(&self.tenant.uid));
        let patch = Patch::Apply(&drawn.value);
        let answer = drawn.api.patch(&drawn.name, &ours, &patch).await;
        let conflicts = match &answer {
            Err(kube::Error::Api(status)) => drift::conflicts(status),
            _ => vec![],
        };
        if conflicts.is_empty() {
            return answer.map_err(|error| drawn.failed(error));
        }
        if let Some(other) = holder(&conflicts, self.claims, &self.tenant.uid) {
            return Err(ApplyError::Taken {
                object: drawn.object.clone(),
                tenant: other.name.clone(),
            });
        }
        let answer = drawn.api.patch(&drawn.name, &ours.force(), &patch).await;
        let placed = answer.map_err(|error| drawn.failed(error))?;
        changes.extend(told(conflicts));
        Ok(placed)
    }

    /// What we do not draw is not there.
    async fn clear<K: Child>(
        &self,
        drawn: &Drawn<K>,
        placed: K,
        changes: &mut Vec<Change>,
    ) -> Result<K, ApplyError> {
        let us = label::field_manager(&self.tenant.uid);
        let added = drift::additions(placed.managed_fields(), &us);
        if added.is_empty() {
            return Ok(placed);
        }
        let found = serde_json::to_value(&placed).unwrap_or_default();
        let patch = Patch::<Value>::Json(
            serde_json::from_value(replacement(&drawn.value, &found)).unwrap_or_default(),
        );
        let params = PatchParams {
            field_manager: Some(us),
            ..PatchParams::default()
        };
        let answer = drawn.api.patch(&drawn.name, &params, &patch).await;
        let cleared = answer.map_err(|error| drawn.failed(error))?;
        // A default that somebody else holds has nothing to lose.
        if cleared.resource_version() != placed.resource_version() {
            changes.extend(told(added));
        }
        Ok(cleared)
    }
}

impl<K: Child> Drawn<K> {
    async fn found(&self) -> Result<Option<K>, ApplyError> {
        let answer = self.api.get_opt(&self.name).await;
        answer.map_err(|error| self.failed(error))
    }

    fn failed(&self, error: kube::Error) -> ApplyError {
        failed(self.object.clone(), error)
    }
}

pub fn failed(object: String, error: kube::Error) -> ApplyError {
    match error {
        kube::Error::Api(status) if is_leaving(&status) => ApplyError::Leaving,
        kube::Error::Api(status) if lacks_rights(&status) => ApplyError::NotBound,
        source => ApplyError::Failed { object, source },
    }
}

/// The living tenant among those who hold fields of ours, if it is not `us`:
/// what we replaced we hold once more, with the API server's defaults in it,
/// and that is no reason to give way.
fn holder<'a>(conflicts: &[Change], claims: &'a [Claim], us: &str) -> Option<&'a Claim> {
    let is_held = |manager: &str| {
        let by = conflicts.iter().map(|change| change.by.as_deref());
        by.flatten().any(|by| by == manager)
    };
    let mut others = claims.iter().filter(|claim| claim.uid != us);
    others.find(|claim| is_held(&label::field_manager(&claim.uid)))
}

/// What a tenant that is gone left behind is an inheritance, no drift.
fn told(changes: Vec<Change>) -> impl Iterator<Item = Change> {
    let is_tenants = |by: &String| by.starts_with(&label::field_manager(""));
    changes
        .into_iter()
        .filter(move |change| !change.by.as_ref().is_some_and(is_tenants))
}

/// The JSON patch that leaves of `found` its metadata and status, and of the
/// rest what is drawn. It is refused if the object has moved on meanwhile.
fn replacement(drawn: &Value, found: &Value) -> Value {
    const THEIRS: [&str; 4] = ["apiVersion", "kind", "metadata", "status"];
    let version = &found["metadata"]["resourceVersion"];
    let mut steps =
        vec![json!({"op": "replace", "path": "/metadata/resourceVersion", "value": version})];
    let restart = &found["spec"]["template"]["metadata"]["annotations"][RESTARTED];
    for (field, value) in drawn.as_object().into_iter().flatten() {
        if THEIRS.contains(&field.as_str()) {
            continue;
        }
        let mut value = value.clone();
        if restart.is_string() {
            value["template"]["metadata"]["annotations"][RESTARTED] = restart.clone();
        }
        steps.push(json!({"op": "add", "path": format!("/{field}"), "value": value}));
    }
    Value::Array(steps)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use http::{Method, Request, Response};
    use k8s_openapi::api::core::v1::Service;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use kube::Client;
    use kube::client::Body;
    use tower::service_fn;

    use super::*;
    use crate::memory::Memory;
    use crate::tenant::example;

    fn claim() -> Claim {
        Claim {
            created: Time("2026-01-01T00:00:00Z".parse().unwrap()),
            uid: "b".into(),
            name: "other".into(),
        }
    }

    fn held_by(managers: &[&str]) -> Vec<Change> {
        let change = |by: &&str| Change {
            by: Some((*by).to_owned()),
            field: "spec.replicas".into(),
        };
        managers.iter().map(change).collect()
    }

    /// What becomes of a `Service/server` that was placed before and is gone,
    /// where `tenants` are the McpTenants of the namespace.
    async fn when_gone(tenants: Value) -> (Result<Service, ApplyError>, usize) {
        let writes = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&writes);
        let answer = service_fn(move |request: Request<Body>| {
            let list = tenants.clone();
            let (code, body) = match *request.method() {
                Method::PATCH => {
                    counted.fetch_add(1, Ordering::Relaxed);
                    (
                        200,
                        json!({"metadata": {"name": "server", "resourceVersion": "2"}}),
                    )
                }
                _ if request.uri().path().ends_with("/mcptenants") => (
                    200,
                    json!({"metadata": {"resourceVersion": "9"}, "items": list}),
                ),
                _ => (
                    404,
                    json!({"status": "Failure", "code": 404, "reason": "NotFound", "message": ""}),
                ),
            };
            let body = Body::from(body.to_string().into_bytes());
            let answer = Response::builder().status(code).body(body);
            async move { answer }
        });
        let tenant = example::valid();
        let mut service = Service::default();
        service.metadata.name = Some("server".into());
        let place = Place {
            drawn: hash(&serde_json::to_value(&service).unwrap()),
            version: "1".into(),
        };
        let memory = Memory::default();
        memory.keep(&tenant.uid, "Service/server", place);
        let mut hand = Hand {
            tools: Tools {
                client: &Client::new(answer, "default"),
                memory: &memory,
            },
            tenant: &tenant,
            claims: &[],
            drifts: &mut vec![],
        };
        let placed = hand.place(service).await;
        (placed, writes.load(Ordering::Relaxed))
    }

    #[tokio::test]
    async fn what_its_tenant_took_along_is_not_made_again() {
        let us = json!({"metadata": {"name": "acme", "uid": example::UID}});
        let mut going = us.clone();
        going["metadata"]["deletionTimestamp"] = json!("2026-01-02T00:00:00Z");
        let anew = json!({"metadata": {"name": "acme", "uid": "another"}});
        for gone in [json!([]), json!([going]), json!([anew])] {
            let (placed, writes) = when_gone(gone).await;
            assert!(matches!(placed, Err(ApplyError::Leaving)), "{placed:?}");
            assert_eq!(writes, 0);
        }
        let (placed, writes) = when_gone(json!([us])).await;
        assert_eq!(placed.unwrap().resource_version().as_deref(), Some("2"));
        assert_eq!(writes, 1);
    }

    #[test]
    fn a_living_tenants_fields_are_respected() {
        let claims = [claim()];
        let held = held_by(&["kubectl-edit", "tenantry/b"]);
        assert_eq!(holder(&held, &claims, "a"), Some(&claims[0]));
    }

    #[test]
    fn a_tenant_does_not_stand_in_its_own_way() {
        assert_eq!(holder(&held_by(&["tenantry/b"]), &[claim()], "b"), None);
    }

    #[test]
    fn a_persons_a_dead_tenants_and_our_own_fields_are_taken_back() {
        for manager in ["kubectl-edit", "tenantry/dead"] {
            let held = held_by(&[manager]);
            assert_eq!(holder(&held, &[claim()], "a"), None, "{manager}");
        }
        // A stricter access is patched, not applied.
        assert_eq!(holder(&held_by(&["tenantry/b"]), &[claim()], "b"), None);
    }

    #[test]
    fn an_inheritance_is_no_drift() {
        let told: Vec<_> = told(held_by(&["tenantry/dead", "kubectl-edit"])).collect();
        assert_eq!(told, held_by(&["kubectl-edit"]));
    }

    #[test]
    fn a_replacement_keeps_metadata_and_a_restart_and_nothing_else() {
        let drawn = json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "server"},
            "spec": {"template": {"metadata": {"labels": {}}, "spec": {"a": 1}}},
        });
        let annotations = json!({RESTARTED: "now", "sidecar": "yes"});
        let found = json!({
            "metadata": {"resourceVersion": "7", "annotations": {"team": "a"}},
            "spec": {"template": {"metadata": {"annotations": annotations}, "spec": {"a": 1, "b": 2}}},
            "status": {"replicas": 1},
        });
        assert_eq!(
            replacement(&drawn, &found),
            json!([
                {"op": "replace", "path": "/metadata/resourceVersion", "value": "7"},
                {"op": "add", "path": "/spec", "value": {"template": {
                    "metadata": {"labels": {}, "annotations": {RESTARTED: "now"}}, "spec": {"a": 1},
                }}},
            ])
        );
    }
}
