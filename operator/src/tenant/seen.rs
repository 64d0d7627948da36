//! A tenant as the API server hands it over, readable or not: one that cannot be
//! read must not hide the others, nor lose to them what is its own.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::NamespaceResourceScope;
use serde::de::{Deserialize, Deserializer, Error as _};
use serde_json::Value;
use tenantry_api::mcp_tenant::McpTenant;

use super::declared::Declared;
use super::unique::Claimant;

/// A tenant as the API server hands it over.
#[derive(Debug, Clone)]
pub struct Tenant {
    /// What it says, if this release can read it.
    pub read: Result<McpTenant, Unreadable>,
    /// What it claims of what only one tenant may have; of an unreadable one, what
    /// of that can be read.
    pub claimant: Claimant,
}

/// A tenant with something in it that this release does not know.
#[derive(Debug, Clone)]
pub struct Unreadable {
    /// What is wrong with it.
    pub error: String,
    /// Its metadata.
    pub metadata: ObjectMeta,
}

impl<'de> Deserialize<'de> for Tenant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let object = Value::deserialize(deserializer)?;
        match McpTenant::deserialize(&object) {
            Ok(tenant) => {
                let declared = Declared::of(&tenant.spec);
                let claimant = Claimant::of(&tenant.metadata, declared);
                let read = Ok(tenant);
                Ok(Self { read, claimant })
            }
            Err(error) => {
                let metadata = Option::<ObjectMeta>::deserialize(&object["metadata"]);
                let metadata = metadata.map_err(D::Error::custom)?.unwrap_or_default();
                let claimant = Claimant::of(&metadata, Declared::read(&object["spec"]));
                let error = error.to_string();
                let read = Err(Unreadable { error, metadata });
                Ok(Self { read, claimant })
            }
        }
    }
}

impl Resource for Tenant {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        McpTenant::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        McpTenant::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        McpTenant::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        McpTenant::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        match &self.read {
            Ok(tenant) => &tenant.metadata,
            Err(unreadable) => &unreadable.metadata,
        }
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        match &mut self.read {
            Ok(tenant) => &mut tenant.metadata,
            Err(unreadable) => &mut unreadable.metadata,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tenant::example;

    fn seen(change: impl Fn(&mut Value)) -> Tenant {
        let mut object = serde_json::to_value(example::tenant()).unwrap();
        change(&mut object);
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn an_unreadable_tenant_claims_what_can_be_read_of_it() {
        let readable = seen(|_| {});
        let later = seen(|object| object["spec"]["future"] = json!(1));
        assert!(readable.read.is_ok());
        assert_eq!(later.meta().uid, readable.meta().uid);
        assert_eq!(later.claimant, readable.claimant);
        let error = later.read.unwrap_err().error;
        assert!(error.starts_with("unknown field `future`"), "{error}");
    }

    #[test]
    fn whatever_it_is_it_hides_no_other() {
        for object in [json!({}), json!({"metadata": {"name": "a"}, "spec": []})] {
            let tenant: Tenant = serde_json::from_value(object).unwrap();
            assert!(tenant.read.is_err());
        }
    }
}
