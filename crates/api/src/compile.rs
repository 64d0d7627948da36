//! The one bridge from form to meaning: what an `McpTenant` says, as the
//! contract that its server obeys. Pure.

pub mod policy;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::RangeInclusive;

use tenantry_core::access::Access;
use tenantry_core::ledger_mark::LedgerMark;
use tenantry_core::name::{
    AccountId, ConnectorName, Currency, DestinationName, Organization, ToolName,
};
use tenantry_core::notification::{Destination, Occasion};
use tenantry_core::policy::Policy;
use tenantry_core::reason::Reason;
use tenantry_core::tenant::{
    AccountConfig, CONTRACT_VERSION, ConnectorConfig, LedgerTerms, Limits, RateLimit, TenantConfig,
    ToolRules,
};

use crate::compile::policy::Origin;
use crate::label;
use crate::mcp_tenant::notification::Notification;
use crate::mcp_tenant::{
    Account, Connector, Endpoint, KeyLimits, McpTenant, McpTenantSpec, Rate, TenantLimits, Tools,
};

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
/// What a destination hears of that does not say. A denial is its caller's, who
/// hears of it at once and may ask a thousand times.
const TOLD: [Occasion; 4] = [
    Occasion::Pending,
    Occasion::Decided,
    Occasion::Executed,
    Occasion::ReconnectNeeded,
];
/// As the form has it.
const RETAINED_DAYS: RangeInclusive<u16> = 30..=9999;

/// What the operator adds to a tenant's own words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OperatorView {
    /// Where vendors are reached instead of their real addresses. Empty unless
    /// the operator runs as a sandbox.
    pub sandbox_base_urls: BTreeMap<ConnectorName, String>,
    /// Whether the admission policies are proven to be in force.
    pub guard_proven: bool,
    /// Where servers prove their walls, `host:port`.
    pub canary: Option<String>,
    /// The policies that bind the tenant, by name, each once.
    pub policies: Vec<Policy>,
    /// As which the server shall find its ledger.
    pub ledger: Option<LedgerMark>,
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
    let organization = flaws.good(Organization::parse(&spec.organization), "spec.organization");
    let connectors: Vec<_> = spec
        .connectors
        .iter()
        .filter_map(|form| connector(form, view, &mut flaws))
        .collect();
    let tools = tools(spec.tools.as_ref(), &mut flaws);
    let limits = limits(spec.limits.unwrap_or_default(), &mut flaws);
    let retain_days = retain_days(spec, &mut flaws);
    let notifications = spec.notifications.iter();
    let notifications: Vec<_> = notifications
        .filter_map(|form| destination(form, &mut flaws))
        .collect();
    flaws.unsupported(spec);
    let endpoint = spec.endpoint.clone().unwrap_or_default();
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
        tools,
        missing_policies: missing(&spec.required_policies, &view.policies),
        policies: view.policies.clone(),
        limits,
        redact: redact(spec),
        retain_days,
        proxy: spec
            .network
            .as_ref()
            .and_then(|network| network.proxy.clone()),
        notifications,
        guard_proven: view.guard_proven,
        canary: view.canary.clone(),
        ledger: LedgerTerms {
            expected: view.ledger.clone(),
            accept: spec.ledger.accept.clone(),
        },
        allowed_hosts: allowed_hosts(namespace, &endpoint),
        allowed_origins: endpoint.allowed_origins,
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

/// Those of `required` that are not in force among `policies`: neither one of
/// the organisation's own by that name nor the platform's (WRITES §5).
pub fn missing(required: &[String], policies: &[Policy]) -> BTreeSet<String> {
    let is_in_force = |name: &&String| {
        let platform = policy::full_name(name, Origin::Platform);
        let named = |policy: &&Policy| policy.name == **name || policy.name == platform;
        let mut named = policies.iter().filter(named);
        named.any(|policy| policy.unaccepted.is_none())
    };
    let missing = required.iter().filter(|name| !is_in_force(name));
    missing.cloned().collect()
}

fn allowed_hosts(namespace: &str, endpoint: &Endpoint) -> Vec<String> {
    let mut hosts = hosts(namespace);
    hosts.extend(endpoint.host.clone());
    hosts
}

fn redact(spec: &McpTenantSpec) -> BTreeSet<String> {
    let names = spec.audit.iter().flat_map(|audit| &audit.redact);
    names.cloned().collect()
}

/// The days of `90d`.
fn retain_days(spec: &McpTenantSpec, flaws: &mut Flaws) -> Option<u16> {
    let said = spec.audit.as_ref()?.retain.as_deref()?;
    let days = said.strip_suffix('d').and_then(|days| days.parse().ok());
    let days = days.filter(|days| RETAINED_DAYS.contains(days));
    // A folder of documents has no API server that would refuse it before.
    let days = days.ok_or_else(|| format!("`{said}` is no number of days from 30d to 9999d"));
    flaws.good(days, "spec.audit.retain")
}

fn tools(form: Option<&Tools>, flaws: &mut Flaws) -> ToolRules {
    let Some(form) = form else {
        return ToolRules::default();
    };
    let mut parse = |names: &[String], path: &str| {
        let parsed = names
            .iter()
            .map(|name| flaws.good(ToolName::parse(name), path));
        parsed.flatten().collect::<BTreeSet<_>>()
    };
    ToolRules {
        allow: form
            .allow
            .as_deref()
            .map(|names| parse(names, "spec.tools.allow")),
        deny: parse(&form.deny, "spec.tools.deny"),
    }
}

fn connector(form: &Connector, view: &OperatorView, flaws: &mut Flaws) -> Option<ConnectorConfig> {
    let path = format!("spec.connectors[{}]", form.name);
    let name = flaws.good(ConnectorName::parse(&form.name), &path)?;
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
    let id = flaws.good(AccountId::parse(&form.id), &path);
    let currency = flaws.good(Currency::parse(&form.currency), &format!("{path}.currency"));
    Some(AccountConfig {
        id: id?,
        currency: currency?,
        time_zone: form.time_zone.clone(),
        // Without a word of its own an account adds no strictness.
        access: form.access.unwrap_or(Access::ReadWrite),
    })
}

fn destination(form: &Notification, flaws: &mut Flaws) -> Option<Destination> {
    let path = format!("spec.notifications[{}]", form.name);
    let name = flaws.good(DestinationName::parse(&form.name), &path)?;
    let occasions = form.occasions.as_deref().unwrap_or(&TOLD);
    Some(Destination {
        name,
        occasions: occasions.iter().copied().collect(),
    })
}

fn limits(form: TenantLimits, flaws: &mut Flaws) -> Limits {
    let concurrency = form.concurrency.unwrap_or(CONCURRENCY);
    // Half, so that one key never takes all places; the only place, if there
    // is one.
    let per_key_concurrency = form
        .per_key
        .and_then(|key| key.concurrency)
        .unwrap_or_else(|| (concurrency / 2).max(1));
    // A folder of documents has no API server that would refuse it before.
    if per_key_concurrency > concurrency {
        flaws.0.push(Flaw::spec(format!(
            "spec.limits.perKey.concurrency: {per_key_concurrency} is more than spec.limits.concurrency, which is {concurrency}"
        )));
    }
    Limits {
        per_key: form.per_key.map_or(PER_KEY, |key| key_rate(&key)),
        per_key_concurrency,
        per_tenant: form.per_tenant.map_or(PER_TENANT, rate),
        concurrency,
    }
}

fn key_rate(form: &KeyLimits) -> RateLimit {
    RateLimit {
        per_minute: form.per_minute,
        burst: form.burst,
    }
}

fn rate(form: Rate) -> RateLimit {
    RateLimit {
        per_minute: form.per_minute,
        burst: form.burst,
    }
}

/// The flaws met so far. What is flawed is read as absent: nothing is made of it.
#[derive(Default)]
struct Flaws(Vec<Flaw>);

impl Flaws {
    /// What was read at `path`, if it could be.
    fn good<T>(&mut self, parsed: Result<T, impl fmt::Display>, path: &str) -> Option<T> {
        parsed
            .map_err(|error| self.0.push(Flaw::spec(format!("{path}: {error}"))))
            .ok()
    }

    /// What the form has room for and this release cannot do is refused, never
    /// accepted and ignored.
    fn unsupported(&mut self, spec: &McpTenantSpec) {
        for connector in &spec.connectors {
            if connector.quota.is_some() {
                self.0.push(Flaw::unsupported(&format!(
                    "spec.connectors[{}].quota",
                    connector.name
                )));
            }
        }
        let audit = spec.audit.as_ref();
        let asked = [
            (
                "spec.auth.oidc",
                spec.auth.as_ref().is_some_and(|auth| auth.oidc.is_some()),
            ),
            ("spec.ledger.postgres", spec.ledger.postgres.is_some()),
            (
                "spec.audit.otlpEndpoint",
                audit.is_some_and(|audit| audit.otlp_endpoint.is_some()),
            ),
        ];
        let told = asked.into_iter().filter(|(_, is_asked)| *is_asked);
        self.0.extend(told.map(|(path, _)| Flaw::unsupported(path)));
    }

    fn present<'a>(&mut self, value: Option<&'a str>, path: &str) -> Option<&'a str> {
        if value.is_none() {
            self.0.push(Flaw::spec(format!("{path} is missing")));
        }
        value
    }
}

impl Flaw {
    fn unsupported(path: &str) -> Self {
        Self {
            reason: Reason::NotSupported,
            message: format!("{path} is not supported by this release; leave it out"),
        }
    }

    fn spec(message: String) -> Self {
        Self {
            reason: Reason::SpecInvalid,
            message,
        }
    }
}
