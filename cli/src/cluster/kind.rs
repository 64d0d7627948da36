//! The objects of Tenantry in a cluster. Their definition there may be newer than
//! this program: a field that it does not know is left out and spoken of, where a
//! file with one is refused. Where what is not seen would count, nothing is done.

use std::cell::Cell;
use std::marker::PhantomData;
use std::rc::Rc;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams,
};
use kube::{CustomResourceExt, Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tenantry_core::cause::chain;
use tenantry_core::text;

use super::{Cluster, LONGEST_ERROR, failed};
use crate::answer::Unusable;

/// Fields that are named where there are more.
const MOST_FIELDS: usize = 8;

/// One of our kinds, in a namespace or in all.
pub struct Kind<K> {
    api: Api<DynamicObject>,
    definition: CustomResourceDefinition,
    /// Whether it was said that the cluster knows more.
    is_newer: Rc<Cell<bool>>,
    form: PhantomData<K>,
}

/// One of them as far as it is known here.
pub struct Known<K> {
    /// Without what is not known.
    pub form: K,
    /// The fields that are not.
    pub unknown: Vec<String>,
}

impl<K> Kind<K>
where
    K: CustomResourceExt
        + Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + DeserializeOwned
        + Serialize,
{
    /// Those of the namespace that is meant.
    pub fn here(cluster: &Cluster) -> Self {
        let (client, resource) = (cluster.client.clone(), ApiResource::erase::<K>(&()));
        let api = Api::namespaced_with(client, &cluster.namespace, &resource);
        Self::of(api, cluster)
    }

    /// Those of all namespaces.
    pub fn everywhere(cluster: &Cluster) -> Self {
        let (client, resource) = (cluster.client.clone(), ApiResource::erase::<K>(&()));
        Self::of(Api::all_with(client, &resource), cluster)
    }

    fn of(api: Api<DynamicObject>, cluster: &Cluster) -> Self {
        Self {
            api,
            definition: K::crd(),
            is_newer: Rc::clone(&cluster.is_newer),
            form: PhantomData,
        }
    }

    /// The one of that name, and what of it is not known.
    pub async fn known(&self, name: &str) -> Result<Option<Known<K>>, Unusable> {
        let found = super::find(&self.api, name).await?;
        found.map(|found| self.read(&found)).transpose()
    }

    /// The one of that name.
    pub async fn find(&self, name: &str) -> Result<Option<K>, Unusable> {
        let found = self.known(name).await?;
        Ok(found.map(|found| found.form))
    }

    /// All of them; nothing if the user may not list them.
    pub async fn listed(&self) -> Result<Option<Vec<K>>, Unusable> {
        let found = super::listed(&self.api).await?;
        found.map(|found| self.read_all(&found)).transpose()
    }

    /// All of them.
    pub async fn all(&self) -> Result<Vec<K>, Unusable> {
        let found = self.api.list(&ListParams::default()).await;
        self.read_all(&found.map_err(|error| failed(&error))?.items)
    }

    /// Makes one; that there is one of the name is for the caller to tell.
    pub async fn create(&self, form: &K) -> Result<(), kube::Error> {
        let form = serde_json::to_value(form).and_then(serde_json::from_value);
        let form = form.map_err(kube::Error::SerdeError)?;
        let made = self.api.create(&PostParams::default(), &form).await;
        made.map(|_| ())
    }

    /// Changes one.
    pub async fn patch(
        &self,
        name: &str,
        patch: &Patch<impl Serialize + std::fmt::Debug>,
    ) -> Result<(), Unusable> {
        let patched = self.api.patch(name, &PatchParams::default(), patch).await;
        patched.map(|_| ()).map_err(|error| failed(&error))
    }

    /// Deletes one.
    pub async fn delete(&self, name: &str, how: &DeleteParams) -> Result<(), Unusable> {
        let deleted = self.api.delete(name, how).await;
        deleted.map(|_| ()).map_err(|error| failed(&error))
    }

    fn read_all(&self, found: &[DynamicObject]) -> Result<Vec<K>, Unusable> {
        let known = found.iter().map(|one| Ok(self.read(one)?.form));
        known.collect()
    }

    fn read(&self, found: &DynamicObject) -> Result<Known<K>, Unusable> {
        let known = serde_json::to_value(found).and_then(|mut value| {
            let unknown = without_unknown(&mut value, &self.definition);
            let form = serde_json::from_value(value)?;
            Ok(Known { form, unknown })
        });
        let kind = K::kind(&());
        let known = known.map_err(|error| {
            let told = text::presentable(&chain(&error), LONGEST_ERROR);
            let name = found.name_any();
            Unusable::because(format!(
                "the cluster: the {kind} `{name}` is of another release: {told}"
            ))
        })?;
        if !known.unknown.is_empty() && !self.is_newer.replace(true) {
            let fields = told(&known.unknown);
            crate::note(&format!(
                "the cluster has a newer definition of {kind} than this program, which leaves out what it does not know: {fields}"
            ));
        }
        Ok(known)
    }
}

impl<K> Known<K> {
    /// It, if there is nothing in its spec that this program leaves out.
    pub fn whole(self) -> Result<K, Unusable> {
        let mut unknown = self.unknown;
        unknown.retain(|field| field.starts_with("spec"));
        if unknown.is_empty() {
            return Ok(self.form);
        }
        Err(Unusable::refused(format!(
            "nothing was done, because it says more than this release of the program knows: {}",
            told(&unknown)
        )))
    }
}

/// Names of fields, which whoever wrote the object may have chosen.
fn told(fields: &[String]) -> String {
    let more = fields.len().saturating_sub(MOST_FIELDS);
    let named = fields.iter().take(MOST_FIELDS);
    let named: Vec<_> = named.map(|field| super::cell(field)).collect();
    let named = named.join(", ");
    if more > 0 {
        format!("{named} and {more} more")
    } else {
        named
    }
}

/// Takes out of `value` what the definition does not have, as an API server with
/// that definition would, and names it.
fn without_unknown(value: &mut Value, definition: &CustomResourceDefinition) -> Vec<String> {
    let version = definition.spec.versions.first();
    let schema = version.and_then(|version| version.schema.as_ref());
    let schema = schema.and_then(|schema| schema.open_api_v3_schema.as_ref());
    let mut unknown = Vec::new();
    for part in ["spec", "status"] {
        let known = schema.and_then(|schema| schema.properties.as_ref()?.get(part));
        if let (Some(value), Some(schema)) = (value.get_mut(part), known) {
            prune(value, schema, part, &mut unknown);
        }
    }
    unknown
}

fn prune(value: &mut Value, schema: &JSONSchemaProps, path: &str, unknown: &mut Vec<String>) {
    match (value, &schema.items) {
        (Value::Array(items), Some(JSONSchemaPropsOrArray::Schema(schema))) => {
            for item in items {
                prune(item, schema, &format!("{path}[]"), unknown);
            }
        }
        (Value::Object(fields), _) => {
            let is_open = schema.x_kubernetes_preserve_unknown_fields == Some(true);
            let (others, is_open) = match &schema.additional_properties {
                Some(JSONSchemaPropsOrBool::Schema(others)) => (Some(&**others), is_open),
                Some(JSONSchemaPropsOrBool::Bool(all)) => (None, is_open || *all),
                None => (None, is_open),
            };
            fields.retain(|name, value| {
                let path = format!("{path}.{name}");
                let known = schema.properties.as_ref();
                let known = known.and_then(|known| known.get(name)).or(others);
                if let Some(schema) = known {
                    prune(value, schema, &path, unknown);
                } else if !is_open && !unknown.contains(&path) {
                    unknown.push(path);
                }
                known.is_some() || is_open
            });
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tenantry_api::mcp_server::McpServer;
    use tenantry_api::mcp_tenant::McpTenant;

    use super::*;

    #[test]
    fn what_the_definition_does_not_have_is_left_out_and_named() {
        let account = json!({"id": "act_1", "currency": "EUR", "timeZone": "Europe/Berlin"});
        let known = json!({
            "metadata": {"name": "acme", "labels": {"new": "1"}},
            "spec": {
                "organization": "acme",
                "connectors": [{
                    "name": "meta", "credentials": {"secretName": "meta"}, "accounts": [account],
                }],
                "server": {"nodeSelector": {"anything": "goes"}},
            },
        });
        let mut newer = known.clone();
        newer["spec"]["region"] = json!("eu");
        newer["spec"]["connectors"][0]["priority"] = json!({"a": 1});
        newer["status"] = json!({"mood": "good"});
        let unknown = without_unknown(&mut newer, &McpTenant::crd());
        assert_eq!(
            unknown,
            ["spec.connectors[].priority", "spec.region", "status.mood"]
        );
        let status = newer.as_object_mut().unwrap().remove("status");
        assert_eq!((newer, status), (known, Some(json!({}))));
        // A contract says itself how it is read.
        let mut contract = json!({"spec": {"version": 99, "anything": {"goes": 1}}});
        let unknown = without_unknown(&mut contract, &McpServer::crd());
        assert_eq!(unknown, [""; 0]);
    }
}
