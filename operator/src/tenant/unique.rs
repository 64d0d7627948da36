//! What only one tenant of a cluster may have: its organisation's name, each of
//! its vendors' accounts, and its host. The oldest claim wins, and nothing that
//! happens later turns a winner into a loser but an older tenant's edit. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::runtime::reflector::ObjectRef;
use tenantry_core::access::Access;
use tenantry_core::reason::Reason;
use tenantry_core::tenant::TenantConfig;

use super::declared::Declared;
use super::seen::Tenant;
use super::validate::Obstacle;
use crate::settings::Settings;

/// Something that only one tenant may have.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// The name of the organisation.
    Organization(String),
    /// A host name.
    Host(String),
    /// An account at a vendor.
    Account {
        /// The vendor.
        connector: String,
        /// The vendor's id of the account.
        id: String,
    },
}

/// A key that an older tenant has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// Which key.
    pub key: Key,
    /// The UID of the tenant that has it.
    pub holder: String,
    /// Its name, for the platform team alone: `namespace/name`.
    pub holder_name: String,
}

/// A tenant as one that claims something, and since when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimant {
    /// When it was created.
    created: Timestamp,
    /// Its UID.
    pub uid: String,
    namespace: String,
    name: String,
    keys: BTreeSet<Key>,
}

impl Claimant {
    /// The tenant with that metadata.
    pub fn of(metadata: &ObjectMeta, declared: Declared) -> Self {
        let created = metadata.creation_timestamp.as_ref();
        let accounts = declared.accounts.into_keys();
        let accounts = accounts.map(|(connector, id)| Key::Account { connector, id });
        let mut keys: BTreeSet<_> = accounts.collect();
        keys.extend(declared.organization.map(Key::Organization));
        keys.extend(declared.host.map(Key::Host));
        Self {
            created: created.map_or(Timestamp::MAX, |created| created.0),
            uid: metadata.uid.clone().unwrap_or_default(),
            namespace: metadata.namespace.clone().unwrap_or_default(),
            name: metadata.name.clone().unwrap_or_default(),
            keys,
        }
    }

    /// By which it is woken.
    pub fn reference(&self) -> ObjectRef<Tenant> {
        ObjectRef::new(&self.name).within(&self.namespace)
    }

    /// Who is older; in one second, whoever has the smaller UID.
    fn rank(&self) -> (Timestamp, &str) {
        (self.created, &self.uid)
    }

    /// What is held against others: the accounts of a fake are nobody's.
    fn contested<'a>(&'a self, settings: &'a Settings) -> impl Iterator<Item = &'a Key> {
        self.keys.iter().filter(|key| match key {
            Key::Account { connector, .. } => !settings.is_fake(connector),
            Key::Organization(_) | Key::Host(_) => true,
        })
    }
}

/// What `tenant` claims and others of `all` claimed before. Whether a claim can
/// be carried out does not matter, nor whether the whole of its tenant can be
/// read: if it did, mending one tenant would stop another one that runs.
pub fn losses<'a>(
    tenant: &Claimant,
    all: impl IntoIterator<Item = &'a Claimant>,
    settings: &Settings,
) -> Vec<Loss> {
    let mut holders: BTreeMap<&Key, &Claimant> = BTreeMap::new();
    let older = |other: &&Claimant| other.rank() < tenant.rank();
    for other in all.into_iter().filter(older) {
        for key in tenant.contested(settings) {
            if !other.keys.contains(key) {
                continue;
            }
            let holder = holders.entry(key).or_insert(other);
            if other.rank() < holder.rank() {
                *holder = other;
            }
        }
    }
    let loss = |(key, holder): (&Key, &Claimant)| Loss {
        key: key.clone(),
        holder: holder.uid.clone(),
        holder_name: format!("{}/{}", holder.namespace, holder.name),
    };
    holders.into_iter().map(loss).collect()
}

/// Those of `all` that want something of `tenant`, which is older: an edit of
/// `tenant` may have taken it from them just now.
pub fn losers<'a>(
    tenant: &Claimant,
    all: impl IntoIterator<Item = &'a Claimant>,
    settings: &Settings,
) -> Vec<&'a Claimant> {
    let loses = |other: &&Claimant| {
        tenant.rank() < other.rank()
            && tenant
                .contested(settings)
                .any(|key| other.keys.contains(key))
    };
    all.into_iter().filter(loses).collect()
}

/// What is in the way of a tenant with such losses. It does not say who the
/// others are: their data is not this organisation's.
pub fn obstacle(losses: &[Loss], operator_namespace: &str) -> Option<Obstacle> {
    let reason = losses.first()?.key.reason();
    let told: Vec<_> = losses.iter().map(|loss| loss.key.to_string()).collect();
    let message = format!(
        "already used by an older McpTenant of this cluster: {}; take it out of one of the two. Who uses it is told to the platform team: kubectl get events --namespace {operator_namespace} --field-selector reason={reason}",
        told.join(", ")
    );
    Some(Obstacle::new(reason, message))
}

/// The contract that a server may go on with when its tenant has lost `losses`;
/// nothing if `contract` has none of it.
pub fn without(contract: &TenantConfig, losses: &[Loss]) -> Option<TenantConfig> {
    let mut left = contract.clone();
    for Loss { key, .. } in losses {
        match key {
            // Whose server it is cannot be told apart any more.
            Key::Organization(name) if contract.organization.as_str() == name => {
                left.access = Access::Disabled;
            }
            Key::Organization(_) => {}
            Key::Host(host) => left.allowed_hosts.retain(|mine| mine != host),
            Key::Account { connector, id } => {
                for mine in &mut left.connectors {
                    if mine.name.as_str() == connector {
                        mine.accounts.retain(|account| account.id.as_str() != id);
                    }
                }
            }
        }
    }
    (left != *contract).then_some(left)
}

impl Key {
    fn reason(&self) -> Reason {
        match self {
            Self::Organization(_) => Reason::OrganizationTaken,
            Self::Host(_) => Reason::HostTaken,
            Self::Account { .. } => Reason::AccountTaken,
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Organization(name) => {
                write!(out, "the organisation `{name}` (spec.organization)")
            }
            Self::Host(host) => write!(out, "the host `{host}` (spec.endpoint.host)"),
            Self::Account { connector, id } => {
                write!(
                    out,
                    "the account `{id}` (spec.connectors[{connector}].accounts)"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use kube::ResourceExt as _;
    use proptest::prelude::*;
    use proptest::sample::select;
    use tenantry_api::mcp_tenant::McpTenant;
    use tenantry_core::name::ConnectorName;

    use super::*;
    use crate::tenant::example;

    // Read once: the properties look at thousands of tenants.
    static TENANT: LazyLock<McpTenant> = LazyLock::new(example::tenant);
    static SETTINGS: LazyLock<Settings> = LazyLock::new(example::settings);

    fn tenant(uid: &str, second: i64, organization: &str, accounts: &[&str]) -> McpTenant {
        let mut tenant = TENANT.clone();
        tenant.metadata.uid = Some(uid.into());
        tenant.metadata.name = Some(format!("tenant-{uid}"));
        tenant.metadata.namespace = Some(format!("home-{uid}"));
        tenant.metadata.creation_timestamp = Some(Time(Timestamp::from_second(second).unwrap()));
        tenant.spec.organization = organization.into();
        let form = tenant.spec.connectors[0].accounts[0].clone();
        let account = |id: &&str| {
            let mut account = form.clone();
            account.id = (*id).into();
            account
        };
        tenant.spec.connectors[0].accounts = accounts.iter().map(account).collect();
        tenant
    }

    fn account(id: &str) -> Key {
        Key::Account {
            connector: "meta".into(),
            id: id.into(),
        }
    }

    fn claimant(tenant: &McpTenant) -> Claimant {
        Claimant::of(&tenant.metadata, Declared::of(&tenant.spec))
    }

    fn losses(tenant: &McpTenant, all: &[McpTenant]) -> Vec<Loss> {
        let all: Vec<_> = all.iter().map(claimant).collect();
        super::losses(&claimant(tenant), &all, &SETTINGS)
    }

    fn keys(tenant: &McpTenant) -> BTreeSet<Key> {
        claimant(tenant).keys
    }

    fn lost(tenant: &McpTenant, all: &[McpTenant]) -> Vec<(Key, String)> {
        losses(tenant, all)
            .into_iter()
            .map(|loss| (loss.key, loss.holder))
            .collect()
    }

    #[test]
    fn the_oldest_keeps_what_a_later_one_wants() {
        let all = [
            tenant("a", 1, "one", &["act_1", "act_2"]),
            tenant("b", 2, "two", &["act_2", "act_3"]),
            tenant("c", 3, "one", &["act_3"]),
        ];
        assert_eq!(lost(&all[0], &all), []);
        assert_eq!(lost(&all[1], &all), [(account("act_2"), "a".into())]);
        assert_eq!(
            lost(&all[2], &all),
            [
                (Key::Organization("one".into()), "a".into()),
                (account("act_3"), "b".into())
            ]
        );
    }

    #[test]
    fn the_same_id_at_another_vendor_is_another_account() {
        let older = tenant("a", 1, "one", &["act_1"]);
        let mut later = tenant("b", 2, "two", &["act_1"]);
        later.spec.connectors[0].name = "google".into();
        assert_eq!(lost(&later, &[older]), []);
    }

    #[test]
    fn the_accounts_of_a_fake_are_nobodys() {
        let all = [
            tenant("a", 1, "one", &["act_1"]),
            tenant("b", 2, "two", &["act_1"]),
        ];
        let mut settings = example::settings();
        settings.sandbox = Some(crate::settings::Sandbox {
            base_urls: [(ConnectorName::parse("meta").unwrap(), "http://fake".into())].into(),
            egress: vec![],
        });
        assert_eq!(
            super::losses(
                &claimant(&all[1]),
                &all.iter().map(claimant).collect::<Vec<_>>(),
                &settings
            ),
            []
        );
    }

    #[test]
    fn a_host_has_one_tenant() {
        let hosted = |uid, second| {
            let mut tenant = tenant(uid, second, uid, &[]);
            let endpoint = serde_json::json!({"host": "mcp.example.com", "gateway": "public"});
            tenant.spec.endpoint = Some(serde_json::from_value(endpoint).unwrap());
            tenant
        };
        let (older, later) = (hosted("a", 1), hosted("b", 1));
        assert_eq!(
            lost(&later, &[older.clone(), later.clone()]),
            [(Key::Host("mcp.example.com".into()), "a".into())]
        );
        assert_eq!(lost(&older, &[older.clone(), later]), []);
    }

    #[test]
    fn a_message_says_what_to_do_and_not_who_else_has_it() {
        let all = [
            tenant("a", 1, "one", &["act_1", "act_2"]),
            tenant("b", 2, "one", &["act_2"]),
        ];
        let obstacle = obstacle(&losses(&all[1], &all), "tenantry-system").unwrap();
        assert_eq!(obstacle.reason, Reason::OrganizationTaken);
        assert_eq!(
            obstacle.message,
            "already used by an older McpTenant of this cluster: the organisation `one` (spec.organization), the account `act_2` (spec.connectors[meta].accounts); take it out of one of the two. \
             Who uses it is told to the platform team: kubectl get events --namespace tenantry-system --field-selector reason=OrganizationTaken"
        );
        assert!(!obstacle.message.contains("tenant-a") && !obstacle.message.contains("home-a"));
        assert_eq!(super::obstacle(&[], "tenantry-system"), None);
    }

    #[test]
    fn a_contract_loses_what_its_tenant_lost_and_keeps_the_rest() {
        let loss = |key| Loss {
            key,
            holder: "a".into(),
            holder_name: "home-a/tenant-a".into(),
        };
        let contract = example::valid().contract;
        assert_eq!(without(&contract, &[]), None);
        // An edit that reached for another's account never came into force.
        assert_eq!(without(&contract, &[loss(account("act_9"))]), None);
        let left = without(&contract, &[loss(account("act_1"))]).unwrap();
        assert_eq!(left.connectors[0].accounts, []);
        assert_eq!(left.access, contract.access);
        let host = contract.allowed_hosts[0].clone();
        let left = without(&contract, &[loss(Key::Host(host.clone()))]).unwrap();
        assert!(!left.allowed_hosts.contains(&host));
        assert_eq!(left.connectors, contract.connectors);
        let name = contract.organization.to_string();
        let left = without(&contract, &[loss(Key::Organization(name))]).unwrap();
        assert_eq!(left.access, Access::Disabled);
    }

    fn cluster() -> impl Strategy<Value = Vec<McpTenant>> {
        let accounts = prop::collection::btree_set(select(vec!["act_1", "act_2", "act_3"]), 0..3);
        let one = (0..3_i64, select(vec!["one", "two", "three"]), accounts);
        prop::collection::vec(one, 1..8).prop_map(|drawn| {
            let numbered = drawn.into_iter().enumerate();
            numbered
                .map(|(number, (second, organization, accounts))| {
                    let accounts: Vec<_> = accounts.into_iter().collect();
                    tenant(&number.to_string(), second, organization, &accounts)
                })
                .collect()
        })
    }

    proptest! {
        #[test]
        fn no_two_that_are_accepted_share_anything(all in cluster()) {
            let accepted: Vec<_> = all.iter().filter(|tenant| losses(tenant, &all).is_empty()).collect();
            let held: usize = accepted.iter().map(|tenant| keys(tenant).len()).sum();
            let different: BTreeSet<_> = accepted.iter().flat_map(|tenant| keys(tenant)).collect();
            prop_assert_eq!(held, different.len());
        }

        #[test]
        fn the_order_of_hearing_of_them_does_not_matter(all in cluster(), turn in 0..8_usize) {
            let mut turned = all.clone();
            turned.rotate_left(turn % all.len());
            let mut reversed = all.clone();
            reversed.reverse();
            for tenant in &all {
                prop_assert_eq!(losses(tenant, &all), losses(tenant, &turned));
                prop_assert_eq!(losses(tenant, &all), losses(tenant, &reversed));
            }
        }

        #[test]
        fn whoever_goes_stops_nobody(all in cluster(), gone in 0..8_usize) {
            let mut left = all.clone();
            left.remove(gone % all.len());
            for tenant in &left {
                if losses(tenant, &all).is_empty() {
                    prop_assert_eq!(losses(tenant, &left), vec![]);
                }
            }
        }

        #[test]
        fn who_loses_something_hears_of_it_from_whoever_has_it(all in cluster()) {
            for loser in &all {
                for loss in losses(loser, &all) {
                    let holder = all.iter().find(|tenant| tenant.uid().as_ref() == Some(&loss.holder)).unwrap();
                    let claimants: Vec<_> = all.iter().map(claimant).collect();
                    let losers = losers(&claimant(holder), &claimants, &SETTINGS);
                    prop_assert!(losers.contains(&&claimant(loser)));
                }
            }
        }

        #[test]
        fn every_key_has_exactly_one_first_claim(all in cluster()) {
            let every: BTreeSet<_> = all.iter().flat_map(keys).collect();
            for key in every {
                let claims = all.iter().filter(|tenant| keys(tenant).contains(&key));
                let first = claims.filter(|tenant| losses(tenant, &all).iter().all(|loss| loss.key != key));
                prop_assert_eq!(first.count(), 1);
            }
        }
    }
}
