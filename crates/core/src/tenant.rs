//! The contract between operator and server: what the operator renders into
//! `McpServer/server` and a server obeys.
//!
//! It is versioned and strict: a field that this version does not know makes
//! the contract unreadable, which is said aloud, instead of being ignored.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::access::Access;
use crate::digest::Digest;
use crate::ledger_mark::LedgerMark;
use crate::name::{AccountId, ConnectorName, Currency, Organization, ToolName};
use crate::notification::Destination;
use crate::policy::Policy;

/// The version of the contract that this release writes and reads.
pub const CONTRACT_VERSION: &str = "v1";

/// One organisation, as its server sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct TenantConfig {
    /// Always [`CONTRACT_VERSION`] in a contract that was read.
    pub version: String,
    /// The organisation.
    pub organization: Organization,
    /// The UID of the `McpTenant` behind the contract.
    pub tenant_uid: String,
    /// What the organisation allows as a whole.
    pub access: Access,
    /// The vendors that it uses, each once.
    pub connectors: Vec<ConnectorConfig>,
    /// The tools that there are.
    #[serde(default, skip_serializing_if = "ToolRules::is_open")]
    pub tools: ToolRules,
    /// The safety policies that bind it, by name, each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<Policy>,
    /// Required policies of which none is in force: nothing is changed.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub missing_policies: BTreeSet<String>,
    /// How much its clients may ask.
    pub limits: Limits,
    /// Arguments of tools whose values are kept out of the record, by name.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub redact: BTreeSet<String>,
    /// How many days its ledger keeps what was done, at least; without a word as
    /// long as the law of writes and its policies ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retain_days: Option<u16>,
    /// The HTTP proxy by which vendors are called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
    /// The places that hear of what happens, by name, each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notifications: Vec<Destination>,
    /// Whether the operator has proven that the admission policies are in
    /// force; unproven, nobody's decision is carried out.
    #[serde(default)]
    pub guard_proven: bool,
    /// A port, `host:port`, that is open to everybody and that the network
    /// policy keeps the server from; by it the server proves its walls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<String>,
    /// What is known of its ledger.
    #[serde(default, skip_serializing_if = "LedgerTerms::is_empty")]
    pub ledger: LedgerTerms,
    /// Host names under which clients may address the server, without port.
    pub allowed_hosts: Vec<String>,
    /// Origins from which browsers may call it, `scheme://host[:port]`.
    pub allowed_origins: Vec<String>,
}

/// What is known of an organisation's ledger outside of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct LedgerTerms {
    /// As which the server shall find it; nothing while none was reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<LedgerMark>,
    /// The word by which people accept another one
    /// ([`LedgerMark::acceptance_of`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept: Option<String>,
}

/// One vendor of an organisation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ConnectorConfig {
    /// The connector file.
    pub name: ConnectorName,
    /// The accounts that may be used; no other account exists for clients.
    pub accounts: Vec<AccountConfig>,
    /// Where the vendor is reached instead of its real address. Only an
    /// operator that runs as a sandbox ever sets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox_base_url: Option<String>,
}

/// One account at a vendor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct AccountConfig {
    /// The vendor's id of it.
    pub id: AccountId,
    /// The currency that it is kept in.
    pub currency: Currency,
    /// Its time zone, by IANA name.
    pub time_zone: String,
    /// What it allows; the strictest of this and the tenant's holds.
    pub access: Access,
}

/// Which of the connectors' tools there are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ToolRules {
    /// No other tool exists; `None` means that every tool does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow: Option<BTreeSet<ToolName>>,
    /// These do not exist, even if they are allowed.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub deny: BTreeSet<ToolName>,
}

/// How much clients may ask of one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Limits {
    /// Calls of one key.
    pub per_key: RateLimit,
    /// Calls of one key in progress at the same time.
    pub per_key_concurrency: u32,
    /// Calls of all keys together.
    pub per_tenant: RateLimit,
    /// Calls in progress at the same time.
    pub concurrency: u32,
}

/// A rate: a bucket of `burst` calls that fills up at `per_minute`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct RateLimit {
    /// Calls a minute in the long run; at least 1.
    pub per_minute: u32,
    /// Calls at once; at least 1.
    pub burst: u32,
}

/// Why a contract cannot be obeyed.
#[derive(Debug, thiserror::Error)]
pub enum ContractError {
    /// It is of another version.
    #[error("the contract is of version `{found}`, this server reads `{CONTRACT_VERSION}`")]
    Version {
        /// The version it claims, or what stands in its place.
        found: String,
    },
    /// It does not have the form of its version.
    #[error("the contract does not have the form of `{CONTRACT_VERSION}`")]
    Form(#[source] serde_json::Error),
    /// Its parts contradict each other.
    #[error("the contract contradicts itself: {0}")]
    Meaning(String),
}

impl TenantConfig {
    /// Reads a contract: version first, then strictly all of it.
    pub fn read(contract: &Value) -> Result<Self, ContractError> {
        let version = contract.get("version").and_then(Value::as_str);
        if version != Some(CONTRACT_VERSION) {
            let found = version.unwrap_or("none").to_owned();
            return Err(ContractError::Version { found });
        }
        let config = Self::deserialize(contract).map_err(ContractError::Form)?;
        config.check().map_err(ContractError::Meaning)?;
        Ok(config)
    }

    /// What identifies this content: a server reports it back when it obeys.
    /// What is known of the ledger is no part of it, for nobody obeys that, and
    /// the server itself moves it.
    pub fn digest(&self) -> Digest {
        let rules = Self {
            ledger: LedgerTerms::default(),
            ..self.clone()
        };
        // A struct of strings, numbers and vectors always has a JSON form.
        Digest::of(&serde_json::to_vec(&rules).unwrap_or_default())
    }

    /// What identifies the policies that bind it.
    pub fn policy_digest(&self) -> Digest {
        // Structs of strings and numbers always have a JSON form.
        Digest::of(&serde_json::to_vec(&self.policies).unwrap_or_default())
    }

    /// The connector of that name.
    pub fn connector(&self, name: &ConnectorName) -> Option<&ConnectorConfig> {
        self.connectors.iter().find(|mine| mine.name == *name)
    }

    /// The accounts in which changes can be made, or could if nothing were frozen.
    pub fn changeable_accounts(&self) -> BTreeSet<(ConnectorName, AccountId)> {
        let all = self.connectors.iter().flat_map(|connector| {
            let accounts = connector.accounts.iter();
            accounts.map(move |account| (&connector.name, account))
        });
        all.filter(|(_, account)| self.access.strictest(account.access).permits_stops())
            .map(|(connector, account)| (connector.clone(), account.id.clone()))
            .collect()
    }

    /// What the organisation as a whole allows now.
    pub fn access_in_force(&self) -> Access {
        if self.missing_policies.is_empty() {
            self.access
        } else {
            self.access.strictest(Access::Frozen)
        }
    }

    fn check(&self) -> Result<(), String> {
        let mut policies = BTreeSet::new();
        if let Some(twice) = self.policies.iter().find(|one| !policies.insert(&one.name)) {
            return Err(format!("policy `{}` stands twice", twice.name));
        }
        let mut names = BTreeSet::new();
        for connector in &self.connectors {
            if !names.insert(&connector.name) {
                return Err(format!("connector `{}` stands twice", connector.name));
            }
            let mut ids = BTreeSet::new();
            for account in &connector.accounts {
                if !ids.insert(&account.id) {
                    return Err(format!("account `{}` stands twice", account.id));
                }
            }
        }
        let mut destinations = BTreeSet::new();
        for destination in &self.notifications {
            let name = &destination.name;
            if !destinations.insert(name) {
                return Err(format!("the destination `{name}` stands twice"));
            }
            if destination.occasions.is_empty() {
                return Err(format!("the destination `{name}` hears of nothing"));
            }
        }
        let Limits {
            per_key,
            per_key_concurrency,
            per_tenant,
            concurrency,
        } = self.limits;
        let counts = [
            per_key.per_minute,
            per_key.burst,
            per_tenant.per_minute,
            per_tenant.burst,
            per_key_concurrency,
            concurrency,
        ];
        if counts.contains(&0) {
            return Err("a limit is 0".into());
        }
        Ok(())
    }
}

impl LedgerTerms {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl ToolRules {
    /// Whether `tool` exists.
    pub fn permits(&self, tool: &ToolName) -> bool {
        let is_allowed = self.allow.as_ref().is_none_or(|allow| allow.contains(tool));
        is_allowed && !self.deny.contains(tool)
    }

    /// Whether every tool exists.
    pub fn is_open(&self) -> bool {
        self.allow.is_none() && self.deny.is_empty()
    }
}

impl ConnectorConfig {
    /// The account of that id.
    pub fn account(&self, id: &AccountId) -> Option<&AccountConfig> {
        self.accounts.iter().find(|mine| mine.id == *id)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn contract() -> Value {
        json!({
            "version": "v1",
            "organization": "acme",
            "tenantUid": "0b7c",
            "access": "ReadWrite",
            "connectors": [{
                "name": "meta",
                "accounts": [{"id": "act_1", "currency": "EUR", "timeZone": "Europe/Berlin", "access": "ReadOnly"}],
            }],
            "limits": {
                "perKey": {"perMinute": 60, "burst": 10},
                "perKeyConcurrency": 16,
                "perTenant": {"perMinute": 600, "burst": 100},
                "concurrency": 32,
            },
            "guardProven": false,
            "allowedHosts": ["server.acme.svc"],
            "allowedOrigins": [],
        })
    }

    #[test]
    fn a_contract_reads_back_as_written() {
        let config = TenantConfig::read(&contract()).unwrap();
        let written = serde_json::to_value(&config).unwrap();
        assert_eq!(written, contract());
        assert_eq!(
            TenantConfig::read(&written).unwrap().digest(),
            config.digest()
        );
    }

    #[test]
    fn an_unknown_field_anywhere_makes_it_unreadable() {
        for pointer in [
            "",
            "/connectors/0",
            "/connectors/0/accounts/0",
            "/limits",
            "/limits/perKey",
        ] {
            let mut changed = contract();
            changed.pointer_mut(pointer).unwrap()["surprise"] = json!(1);
            let error = TenantConfig::read(&changed).unwrap_err();
            assert!(
                matches!(error, ContractError::Form(_)),
                "{pointer}: {error}"
            );
        }
    }

    #[test]
    fn another_version_is_named_before_anything_else_is_read() {
        let error = TenantConfig::read(&json!({"version": "v9", "surprise": 1})).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the contract is of version `v9`, this server reads `v1`"
        );
        assert!(TenantConfig::read(&json!(null)).is_err());
    }

    #[test]
    fn a_denied_tool_does_not_exist_even_if_it_is_allowed() {
        let rules: ToolRules =
            serde_json::from_value(json!({"allow": ["a", "b"], "deny": ["b", "c"]})).unwrap();
        let permits = |name| rules.permits(&ToolName::parse(name).unwrap());
        assert_eq!(
            ["a", "b", "c", "d"].map(permits),
            [true, false, false, false]
        );
        assert!(ToolRules::default().permits(&ToolName::parse("d").unwrap()));
    }

    #[test]
    fn policies_and_what_is_missing_of_them_read_back_as_written() {
        let mut bound = contract();
        bound["policies"] = json!([Policy::named("ads"), Policy::named("platform/ads")]);
        bound["missingPolicies"] = json!(["crm"]);
        let config = TenantConfig::read(&bound).unwrap();
        assert_eq!(serde_json::to_value(&config).unwrap(), bound);
        assert_eq!(config.access_in_force(), Access::Frozen);
        bound["policies"] = json!([Policy::named("ads"), Policy::named("ads")]);
        let error = TenantConfig::read(&bound).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the contract contradicts itself: policy `ads` stands twice"
        );
    }

    #[test]
    fn destinations_read_back_as_written_each_once_and_of_something() {
        let mut told = contract();
        told["notifications"] = json!([
            {"name": "ads-team", "occasions": ["Pending", "Executed"]},
            {"name": "audit", "occasions": ["Denied"]},
        ]);
        let config = TenantConfig::read(&told).unwrap();
        assert_eq!(serde_json::to_value(&config).unwrap(), told);
        for (pointer, value, flaw) in [
            (
                "/notifications/1/name",
                json!("ads-team"),
                "the destination `ads-team` stands twice",
            ),
            (
                "/notifications/1/occasions",
                json!([]),
                "the destination `audit` hears of nothing",
            ),
        ] {
            let mut wrong = told.clone();
            *wrong.pointer_mut(pointer).unwrap() = value;
            let error = TenantConfig::read(&wrong).unwrap_err().to_string();
            assert_eq!(error, format!("the contract contradicts itself: {flaw}"));
        }
        for (pointer, value) in [
            ("/notifications/0/name", json!("Ads Team")),
            ("/notifications/0/occasions", json!(["Asked"])),
            ("/notifications/0/url", json!("https://example.com")),
        ] {
            let mut wrong = told.clone();
            let (parent, field) = pointer.rsplit_once('/').unwrap();
            wrong.pointer_mut(parent).unwrap()[field] = value;
            let error = TenantConfig::read(&wrong).unwrap_err();
            assert!(matches!(error, ContractError::Form(_)), "{pointer}");
        }
    }

    /// The rule of an optional field: whoever does not use it notices nothing,
    /// and a server that does not know it says so instead of leaving it out.
    #[test]
    fn a_contract_without_destinations_does_not_mention_them() {
        let config = TenantConfig::read(&contract()).unwrap();
        let written = serde_json::to_value(&config).unwrap();
        assert_eq!(written.get("notifications"), None);
    }

    #[test]
    fn doubled_parts_and_zero_limits_are_contradictions() {
        let mut twice = contract();
        let account = twice["connectors"][0]["accounts"][0].clone();
        twice["connectors"][0]["accounts"]
            .as_array_mut()
            .unwrap()
            .push(account);
        let error = TenantConfig::read(&twice).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the contract contradicts itself: account `act_1` stands twice"
        );
        let mut zero = contract();
        zero["limits"]["concurrency"] = json!(0);
        assert!(TenantConfig::read(&zero).is_err());
    }
}
