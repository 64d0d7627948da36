//! The one bridge from form to meaning: what an `McpTenant` says, as the
//! contract that its server obeys. Pure.

use std::collections::BTreeMap;

use tenantry_core::access::Access;
use tenantry_core::name::{AccountId, ConnectorName, Currency, NameError, Organization};
use tenantry_core::reason::Reason;
use tenantry_core::tenant::{
    AccountConfig, CONTRACT_VERSION, ConnectorConfig, Limits, RateLimit, TenantConfig,
};

use crate::label;
use crate::mcp_tenant::{Account, Connector, McpTenant, Rate, TenantLimits};

/// Calls of one key where the tenant sets no limit: a person's agent at work.
const PER_KEY: RateLimit = RateLimit {
    per_minute: 60,
    burst: 20,
};
/// Calls of all keys where the tenant sets no limit: ten such agents.
const PER_TENANT: RateLimit = RateLimit {
    per_minute: 600,
    burst: 100,
};
/// Calls in progress where the tenant sets no limit; vendors answer in about a
/// second, so this is more than `PER_TENANT` needs.
const CONCURRENCY: u32 = 32;

/// What the operator adds to a tenant's own words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OperatorView {
    /// Where vendors are reached instead of their real addresses. Empty unless
    /// the operator runs as a sandbox.
    pub sandbox_base_urls: BTreeMap<ConnectorName, String>,
}

/// One thing that keeps a tenant from meaning something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Flaw {
    /// The word.
    pub reason: Reason,
    /// The field and what is wrong with it.
    pub message: String,
}

/// What `tenant` means. All flaws are kept, so that one edit can mend them.
pub fn compile(tenant: &McpTenant, view: &OperatorView) -> Result<TenantConfig, Vec<Flaw>> {
    let spec = &tenant.spec;
    let mut flaws = Flaws::default();
    let namespace = flaws.present(tenant.metadata.namespace.as_deref(), "metadata.namespace");
    let tenant_uid = flaws.present(tenant.metadata.uid.as_deref(), "metadata.uid");
    let organization = flaws.name(Organization::parse(&spec.organization), "spec.organization");
    let connectors: Vec<_> = spec
        .connectors
        .iter()
        .filter_map(|form| connector(form, view, &mut flaws))
        .collect();
    let (Some(namespace), Some(tenant_uid), Some(organization), []) =
        (namespace, tenant_uid, organization, flaws.0.as_slice())
    else {
        return Err(flaws.0);
    };
    let config = TenantConfig {
        version: CONTRACT_VERSION.into(),
        organization,
        tenant_uid: tenant_uid.into(),
        access: spec.access,
        connectors,
        limits: limits(spec.limits.unwrap_or_default()),
        allowed_hosts: hosts(namespace),
        allowed_origins: vec![],
    };
    // What the server will say of it, before it has to.
    let rendered = serde_json::to_value(&config).unwrap_or_default();
    TenantConfig::read(&rendered).map_err(|error| vec![Flaw::spec(error.to_string())])
}

/// The names under which clients in the cluster reach the server of
/// `namespace`; the last one is the whole name.
pub fn hosts(namespace: &str) -> Vec<String> {
    let server = label::SERVER;
    vec![
        server.to_owned(),
        format!("{server}.{namespace}"),
        format!("{server}.{namespace}.svc"),
        format!("{server}.{namespace}.svc.cluster.local"),
    ]
}

fn connector(form: &Connector, view: &OperatorView, flaws: &mut Flaws) -> Option<ConnectorConfig> {
    let path = format!("spec.connectors[{}]", form.name);
    let name = flaws.name(ConnectorName::parse(&form.name), &path)?;
    let accounts: Vec<_> = form
        .accounts
        .iter()
        .filter_map(|form| account(form, &path, flaws))
        .collect();
    let sandbox_base_url = view.sandbox_base_urls.get(&name).cloned();
    Some(ConnectorConfig {
        name,
        accounts,
        sandbox_base_url,
    })
}

fn account(form: &Account, connector: &str, flaws: &mut Flaws) -> Option<AccountConfig> {
    let path = format!("{connector}.accounts[{}]", form.id);
    let id = flaws.name(AccountId::parse(&form.id), &path);
    let currency = flaws.name(Currency::parse(&form.currency), &format!("{path}.currency"));
    Some(AccountConfig {
        id: id?,
        currency: currency?,
        time_zone: form.time_zone.clone(),
        // Without a word of its own an account adds no strictness.
        access: form.access.unwrap_or(Access::ReadWrite),
    })
}

fn limits(form: TenantLimits) -> Limits {
    Limits {
        per_key: form.per_key.map_or(PER_KEY, rate),
        per_tenant: form.per_tenant.map_or(PER_TENANT, rate),
        concurrency: form.concurrency.unwrap_or(CONCURRENCY),
    }
}

fn rate(form: Rate) -> RateLimit {
    RateLimit {
        per_minute: form.per_minute,
        burst: form.burst,
    }
}

/// The flaws met so far.
#[derive(Default)]
struct Flaws(Vec<Flaw>);

impl Flaws {
    fn name<T>(&mut self, parsed: Result<T, NameError>, path: &str) -> Option<T> {
        parsed
            .map_err(|error| self.0.push(Flaw::spec(format!("{path}: {error}"))))
            .ok()
    }

    fn present<'a>(&mut self, value: Option<&'a str>, path: &str) -> Option<&'a str> {
        if value.is_none() {
            self.0.push(Flaw::spec(format!("{path} is missing")));
        }
        value
    }
}

impl Flaw {
    fn spec(message: String) -> Self {
        Self {
            reason: Reason::SpecInvalid,
            message,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn tenant(connectors: &Value) -> McpTenant {
        serde_json::from_value(json!({
            "apiVersion": "tenantry.dev/v1alpha1",
            "kind": "McpTenant",
            "metadata": {"name": "acme", "namespace": "team-a", "uid": "0b7c"},
            "spec": {"organization": "acme", "access": "Frozen", "connectors": connectors},
        }))
        .unwrap()
    }

    fn meta() -> Value {
        json!([{
            "name": "meta",
            "credentials": {"secretName": "meta-credentials"},
            "accounts": [
                {"id": "act_1", "currency": "EUR", "timeZone": "Europe/Berlin"},
                {"id": "act_2", "currency": "TWD", "timeZone": "Asia/Taipei", "access": "ReadOnly"},
            ],
        }])
    }

    #[test]
    fn a_tenant_becomes_a_contract_that_a_server_reads() {
        let config = compile(&tenant(&meta()), &OperatorView::default()).unwrap();
        let expected = json!({
            "version": "v1",
            "organization": "acme",
            "tenantUid": "0b7c",
            "access": "Frozen",
            "connectors": [{
                "name": "meta",
                "accounts": [
                    {"id": "act_1", "currency": "EUR", "timeZone": "Europe/Berlin", "access": "ReadWrite"},
                    {"id": "act_2", "currency": "TWD", "timeZone": "Asia/Taipei", "access": "ReadOnly"},
                ],
            }],
            "limits": {
                "perKey": {"perMinute": 60, "burst": 20},
                "perTenant": {"perMinute": 600, "burst": 100},
                "concurrency": 32,
            },
            "allowedHosts": ["server", "server.team-a", "server.team-a.svc", "server.team-a.svc.cluster.local"],
            "allowedOrigins": [],
        });
        assert_eq!(serde_json::to_value(config).unwrap(), expected);
    }

    #[test]
    fn only_the_operators_own_view_points_a_connector_elsewhere() {
        let plain = compile(&tenant(&meta()), &OperatorView::default()).unwrap();
        assert_eq!(plain.connectors[0].sandbox_base_url, None);
        let url = "http://fake-meta.sandbox:8080".to_owned();
        let meta_name = ConnectorName::parse("meta").unwrap();
        let sandbox_base_urls = BTreeMap::from([(meta_name, url.clone())]);
        let sandbox = compile(&tenant(&meta()), &OperatorView { sandbox_base_urls }).unwrap();
        assert_eq!(sandbox.connectors[0].sandbox_base_url, Some(url));
    }

    #[test]
    fn an_account_without_a_word_follows_the_tenant() {
        let config = compile(&tenant(&meta()), &OperatorView::default()).unwrap();
        let account = &config.connectors[0].accounts[0];
        assert_eq!(config.access.strictest(account.access), Access::Frozen);
    }

    #[test]
    fn every_flaw_is_told_at_once() {
        let mut connectors = meta();
        connectors[0]["accounts"][0]["currency"] = json!("Euro");
        connectors[0]["accounts"][1]["id"] = json!("act/2");
        let mut tenant = tenant(&connectors);
        tenant.spec.organization = "Acme".into();
        let flaws = compile(&tenant, &OperatorView::default()).unwrap_err();
        let told: Vec<_> = flaws.iter().map(|flaw| flaw.message.as_str()).collect();
        assert_eq!(
            told,
            [
                "spec.organization: `Acme` is not an organisation name (1-40 of a-z, 0-9 and `-`, starting and ending with a letter or digit)",
                "spec.connectors[meta].accounts[act_1].currency: `Euro` is not a currency code (three capital letters, ISO 4217)",
                "spec.connectors[meta].accounts[act/2]: `act/2` is not an account id (1-64 of A-Z, a-z, 0-9, `_` and `-`)",
            ]
        );
        assert!(flaws.iter().all(|flaw| flaw.reason == Reason::SpecInvalid));
    }

    #[test]
    fn what_the_contract_forbids_is_no_tenant_either() {
        let mut connectors = meta();
        connectors[0]["accounts"][1]["id"] = json!("act_1");
        let flaws = compile(&tenant(&connectors), &OperatorView::default()).unwrap_err();
        assert_eq!(
            flaws[0].message,
            "the contract contradicts itself: account `act_1` stands twice"
        );
    }
}
