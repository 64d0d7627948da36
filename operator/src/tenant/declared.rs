//! What a tenant declares of the things that count even while it waits: how much
//! its server may do, and what no other tenant may have. Pure.

use std::collections::BTreeMap;

use serde_json::Value;
use tenantry_api::mcp_tenant::McpTenantSpec;
use tenantry_core::access::Access;

/// What a tenant declares, whatever else is wrong with it.
///
/// Of a specification that this release cannot read as a whole it is what can be
/// read. The rest is not declared: nobody could hold it against another tenant
/// that declares the same, and so no server goes on with it. Fields are not
/// renamed once released, so what a later release adds hides none of this.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Declared {
    /// The name of the organisation.
    pub organization: Option<String>,
    /// The host under which it is reached from outside.
    pub host: Option<String>,
    /// The access of the whole tenant; nothing if it is no word that is known,
    /// which makes the server's neither stricter nor looser.
    pub access: Option<Access>,
    /// The policies without which nothing is changed.
    pub required_policies: Vec<String>,
    /// Its accounts by connector and id, with their access where they say
    /// something.
    pub accounts: BTreeMap<(String, String), Option<Access>>,
}

impl Declared {
    /// What `spec` declares.
    pub fn of(spec: &McpTenantSpec) -> Self {
        let accounts = spec.connectors.iter().flat_map(|connector| {
            connector.accounts.iter().map(|account| {
                let place = (connector.name.clone(), account.id.clone());
                (place, account.access)
            })
        });
        let endpoint = spec.endpoint.as_ref();
        Self {
            organization: Some(spec.organization.clone()),
            host: endpoint.and_then(|endpoint| endpoint.host.clone()),
            access: Some(spec.access),
            required_policies: spec.required_policies.clone(),
            accounts: accounts.collect(),
        }
    }

    /// What of `spec` can be read.
    pub fn read(spec: &Value) -> Self {
        let connectors = elements(&spec["connectors"]).filter_map(|connector| {
            let name = text(&connector["name"])?;
            Some((name, &connector["accounts"]))
        });
        let accounts = connectors.flat_map(|(name, accounts)| {
            elements(accounts).filter_map(move |account| {
                let place = (name.clone(), text(&account["id"])?);
                Some((place, access(&account["access"])))
            })
        });
        Self {
            organization: text(&spec["organization"]),
            host: text(&spec["endpoint"]["host"]),
            access: access(&spec["access"]),
            required_policies: elements(&spec["requiredPolicies"])
                .filter_map(text)
                .collect(),
            accounts: accounts.collect(),
        }
    }
}

fn elements(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn access(value: &Value) -> Option<Access> {
    serde_json::from_value(value.clone()).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tenant::example;

    #[test]
    fn what_can_be_read_as_a_whole_reads_the_same_in_parts() {
        let mut tenant = example::tenant();
        let endpoint = json!({"host": "mcp.example.com", "gateway": "public"});
        tenant.spec.endpoint = Some(serde_json::from_value(endpoint).unwrap());
        tenant.spec.connectors[0].accounts[0].access = Some(Access::Disabled);
        for policies in [vec![], vec!["ads-budget".to_owned()]] {
            tenant.spec.access = Access::ReadWrite;
            tenant.spec.required_policies = policies;
            let spec = serde_json::to_value(&tenant.spec).unwrap();
            assert_eq!(Declared::read(&spec), Declared::of(&tenant.spec));
        }
    }

    #[test]
    fn what_a_later_release_adds_hides_nothing() {
        let spec = json!({
            "organization": "acme", "future": 1, "access": "Sealed", "requiredPolicies": ["ads", 1],
            "endpoint": {"host": "mcp.example.com", "future": 1},
            "connectors": [
                {"name": "meta", "accounts": [{"id": "act_1", "future": 1}, {"number": 2}, 3]},
                {"accounts": [{"id": "act_9"}]},
                {"name": "google", "accounts": "all"},
            ],
        });
        let expected = Declared {
            organization: Some("acme".into()),
            host: Some("mcp.example.com".into()),
            access: None,
            required_policies: vec!["ads".into()],
            accounts: [(("meta".to_owned(), "act_1".to_owned()), None)].into(),
        };
        assert_eq!(Declared::read(&spec), expected);
        assert_eq!(Declared::read(&Value::Null), Declared::default());
    }
}
