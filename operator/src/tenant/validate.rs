//! Form to meaning: a tenant that can be built, or what is in the way. Pure.

pub mod allowed;
pub mod entrance;
pub mod reach;
pub mod secrets;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};
use kube::Resource as _;
use tenantry_api::compile::{Flaw, compile};
use tenantry_api::label;
use tenantry_api::mcp_tenant::ledger::Sqlite;
use tenantry_api::mcp_tenant::server::Server;
use tenantry_api::mcp_tenant::{DeletionPolicy, McpTenant};
use tenantry_core::ledger_mark::LedgerMark;
use tenantry_core::reason::Reason;
use tenantry_core::tenant::TenantConfig;

use crate::api_server::ApiServer;
use crate::guard::Standing;
use crate::policies::bind::{Bound, bind};
use crate::policies::judged::Judged;
use crate::settings::gateway::Way;
use crate::settings::{Identity, Settings};
use crate::tenant::ledger::handed_back;
use crate::tenant::optional::Served;
use crate::tenant::unique::{self, Loss};
use entrance::{Entrance, entrance};
use reach::{Reach, reach};
use secrets::SecretMount;

/// By which a namespace says what its pods must not do.
pub const POD_SECURITY_LABEL: &str = "pod-security.kubernetes.io/enforce";
/// The strictest of the standards; the others let a pod take its node.
const RESTRICTED: &str = "restricted";

/// For the policies of one contract. The API server stores objects of 1.5 MiB,
/// and server-side apply keeps the name of each field beside its value.
const LARGEST_POLICIES_BYTES: usize = 512 * 1024;

/// What was read beside the tenant.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// Every tenant that claims the namespace, this one too.
    pub claims: Vec<Claim>,
    /// What it claims and an older tenant has.
    pub losses: Vec<Loss>,
    /// Whether the admission policies are in force.
    pub guard: Option<Standing>,
    /// Its namespace; nothing where the operator was not let in.
    pub home: Option<Home>,
    /// Where the API server is.
    pub api_server: ApiServer,
    /// Which kinds that Kubernetes does not bring itself there are.
    pub served: Served,
    /// The contract versions that each replica of its server reports to read.
    pub readable: Vec<Vec<String>>,
    /// The contract that is in force.
    pub placed: Option<TenantConfig>,
    /// What is known of its ledger.
    pub ledger: Option<LedgerMark>,
    /// The policies of the cluster.
    pub policies: Vec<Arc<Judged>>,
}

/// What a namespace says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Home {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// A tenant's claim to its namespace: the older one wins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// When it was created.
    pub created: Time,
    /// Its UID.
    pub uid: String,
    /// Its name.
    pub name: String,
}

/// A tenant that can be built: the only thing that `build` knows of it.
#[derive(Debug, Clone)]
pub struct ValidTenant {
    /// The namespace of the organisation.
    pub namespace: String,
    /// The tenant's UID.
    pub uid: String,
    /// The reference by which children go with the tenant.
    pub owner: OwnerReference,
    /// What its server shall obey.
    pub contract: TenantConfig,
    /// Policies that bind it and are not accepted as they are now.
    pub unaccepted: BTreeSet<String>,
    /// The Secrets of its connectors and destinations.
    pub secrets: Vec<SecretMount>,
    /// How its server runs.
    pub server: Server,
    /// What is known of its ledger.
    pub ledger: Option<LedgerMark>,
    /// The ledger's volume.
    pub volume: Sqlite,
    /// Whether the volume goes with the tenant.
    pub deletion_policy: DeletionPolicy,
    /// How clients outside the cluster reach it.
    pub entrance: Option<Entrance>,
    /// What is open for it alone.
    pub reach: Reach,
    /// What it asks for and this cluster cannot do; the rest is built.
    pub lacks: Vec<Obstacle>,
}

/// What is in the way until somebody does something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    /// The word.
    pub reason: Reason,
    /// The sentence, with the remedy.
    pub message: String,
}

/// Judges `tenant`. The first kind of obstacle is told, with all of that kind.
pub fn validate(
    tenant: &McpTenant,
    found: &Found,
    settings: &Settings,
) -> Result<ValidTenant, Obstacle> {
    let uid = tenant.metadata.uid.clone().unwrap_or_default();
    if let Some(first) = Claim::first(&found.claims)
        && first.uid != uid
    {
        return Err(namespace_taken(&first.name));
    }
    // Before suspension: no two servers share an account for any reason.
    if let Some(obstacle) = unique::obstacle(&found.losses, &settings.operator.namespace) {
        return Err(obstacle);
    }
    if tenant.spec.suspend {
        let message = "reconciliation is suspended by spec.suspend; the server runs on as it was";
        return Err(Obstacle::new(Reason::Suspended, message));
    }
    let namespace = tenant.metadata.namespace.clone().unwrap_or_default();
    let Bound {
        policies,
        unaccepted,
    } = bound(&namespace, found)?;
    let guard_proven = found.guard == Some(Standing::Proven);
    let expected = handed_back(found.ledger.clone(), found.placed.as_ref());
    let view = settings.view(guard_proven, policies, expected);
    let contract = compile(tenant, &view).map_err(|flaws| flawed(&flaws))?;
    let owner = tenant
        .controller_owner_ref(&())
        .ok_or_else(|| Obstacle::new(Reason::SpecInvalid, "the tenant has no name or UID"))?;
    let (entrance, reach) = chosen(tenant, settings)?;
    let lacks = lacks(entrance.as_ref(), &reach, found.served);
    let Some(home) = &found.home else {
        return Err(not_bound(&namespace, &settings.operator));
    };
    secured(&namespace, home)?;
    Ok(ValidTenant {
        namespace,
        uid,
        owner,
        contract,
        unaccepted,
        secrets: SecretMount::all_of(tenant),
        server: tenant.spec.server.clone(),
        ledger: found.ledger.clone(),
        // INVARIANT: without sqlite the ledger is postgres, which did not compile.
        volume: tenant.spec.ledger.sqlite.clone().unwrap_or_default(),
        deletion_policy: tenant.spec.deletion_policy,
        entrance,
        reach,
        lacks,
    })
}

/// The policies that bind the tenant of `namespace`.
fn bound(namespace: &str, found: &Found) -> Result<Bound, Obstacle> {
    let nothing = BTreeMap::new();
    let labels = found.home.as_ref().map_or(&nothing, |home| &home.labels);
    let bound = bind(&found.policies, namespace, labels, found.placed.as_ref());
    // Texts, numbers and lists always have a JSON form.
    let bytes = serde_json::to_vec(&bound.policies)
        .unwrap_or_default()
        .len();
    if bytes > LARGEST_POLICIES_BYTES {
        let message = format!(
            "the {} SafetyPolicies that bind this namespace take {bytes} bytes in the contract, and {LARGEST_POLICIES_BYTES} is the limit; make them fewer or shorter; meanwhile the server goes on under those that it has",
            bound.policies.len()
        );
        return Err(Obstacle::new(Reason::PoliciesTooLarge, message));
    }
    Ok(bound)
}

/// What the tenant chose of what the platform offers.
fn chosen(tenant: &McpTenant, settings: &Settings) -> Result<(Option<Entrance>, Reach), Obstacle> {
    let spec = &tenant.spec;
    let mut refused = allowed::forbidden(&spec.server, &settings.allow);
    let entrance = entrance(spec.endpoint.as_ref(), &settings.network.gateways);
    let entrance = entrance
        .map_err(|refusal| refused.push(refusal))
        .unwrap_or_default();
    let reach = reach(spec.network.as_ref())
        .map_err(|refusals| refused.extend(refusals))
        .unwrap_or_default();
    if refused.is_empty() {
        return Ok((entrance, reach));
    }
    Err(Obstacle::new(Reason::NotAllowed, refused.join("; ")))
}

fn lacks(entrance: Option<&Entrance>, reach: &Reach, served: Served) -> Vec<Obstacle> {
    let mut lacks = vec![];
    let is_route = entrance.is_some_and(|entrance| matches!(entrance.way, Way::HttpRoute(_)));
    if is_route && !served.routes {
        let message = "spec.endpoint.gateway names a Gateway, and this cluster serves no HTTPRoute (gateway.networking.k8s.io/v1); the platform team installs the Gateway API, or offers an ingress class instead; within the cluster the server is reached as before";
        lacks.push(Obstacle::new(Reason::GatewayApiMissing, message));
    }
    if !reach.hosts.is_empty() && !served.cilium {
        let hosts: Vec<_> = reach.hosts.iter().map(|(host, _)| host.as_str()).collect();
        let message = format!(
            "spec.network.egress: `{}` stays closed, because a plain network policy knows no names and this cluster serves no CiliumNetworkPolicy; name addresses by `cidr`, or go by spec.network.proxy",
            hosts.join("`, `")
        );
        lacks.push(Obstacle::new(Reason::HostEgressUnavailable, message));
    }
    lacks
}

/// All flaws in one obstacle; it bears the word of the first.
fn flawed(flaws: &[Flaw]) -> Obstacle {
    let told: Vec<_> = flaws.iter().map(ToString::to_string).collect();
    let reason = flaws
        .first()
        .map_or(Reason::SpecInvalid, |flaw| flaw.reason);
    Obstacle::new(reason, told.join("; "))
}

/// The obstacle of whoever came second.
pub fn namespace_taken(first: &str) -> Obstacle {
    let message = format!(
        "the McpTenant `{first}` owns this namespace, because it is older; a namespace is one organisation, so create this one in another namespace"
    );
    Obstacle::new(Reason::NamespaceTaken, message)
}

/// The obstacle of a namespace that does not let the operator in.
pub fn not_bound(namespace: &str, operator: &Identity) -> Obstacle {
    let Identity {
        namespace: home,
        service_account: account,
    } = operator;
    let role = label::TENANT_MANAGER_ROLE;
    let message = format!(
        "the operator may not write in this namespace; let it in with: kubectl create rolebinding {account} --namespace {namespace} --clusterrole {role} --serviceaccount {home}:{account}"
    );
    Obstacle::new(Reason::OperatorNotBound, message)
}

/// Our own pods keep the standard by themselves; the namespace's word keeps
/// everybody else's from becoming the way around our walls.
fn secured(namespace: &str, home: &Home) -> Result<(), Obstacle> {
    let enforced = home.labels.get(POD_SECURITY_LABEL).map(String::as_str);
    if enforced == Some(RESTRICTED) {
        return Ok(());
    }
    let now = enforced.map_or("enforces no Pod Security Standard".to_owned(), |standard| {
        format!("enforces the Pod Security Standard `{standard}`")
    });
    let message = format!(
        "the namespace {now}, so a pod in it could take its node, and with it the organisation's tokens; no server is started before: kubectl label namespace {namespace} --overwrite {POD_SECURITY_LABEL}={RESTRICTED}"
    );
    Err(Obstacle::new(Reason::PodSecurityMissing, message))
}

impl Obstacle {
    /// An obstacle.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
        }
    }
}

impl Claim {
    /// The claim of the tenant with that metadata; one that is being deleted
    /// has none.
    pub fn of(metadata: &ObjectMeta) -> Option<Self> {
        if metadata.deletion_timestamp.is_some() {
            return None;
        }
        Some(Self {
            created: metadata.creation_timestamp.clone()?,
            uid: metadata.uid.clone()?,
            name: metadata.name.clone()?,
        })
    }

    /// The one that counts: the oldest, and in one second the one with the
    /// smaller UID.
    pub fn first(claims: &[Self]) -> Option<&Self> {
        claims
            .iter()
            .min_by_key(|claim| (claim.created.0, &claim.uid))
    }
}

#[cfg(test)]
mod tests {
    use super::secrets::Holder;
    use super::*;
    use crate::policies::judged::tests::judged;
    use crate::tenant::example;

    fn refused(tenant: &McpTenant, found: &Found) -> (Reason, String) {
        let Obstacle { reason, message } =
            validate(tenant, found, &example::settings()).unwrap_err();
        (reason, message)
    }

    #[test]
    fn what_is_declared_is_what_will_be_built() {
        let valid = example::valid();
        assert_eq!(valid.namespace, "acme");
        assert_eq!(valid.contract.tenant_uid, example::UID);
        assert_eq!(valid.owner.uid, example::UID);
        assert_eq!(valid.owner.controller, Some(true));
        let mount = SecretMount {
            holder: Holder::Connector("meta".into()),
            secret: "meta-credentials".into(),
        };
        assert_eq!(valid.secrets, [mount]);
    }

    #[test]
    fn a_suspended_tenant_is_left_alone_whatever_else_is_wrong() {
        let mut tenant = example::tenant();
        tenant.spec.suspend = true;
        tenant.spec.organization = "Not a name".into();
        let (reason, message) = refused(&tenant, &example::found());
        assert_eq!(reason, Reason::Suspended);
        assert_eq!(
            message,
            "reconciliation is suspended by spec.suspend; the server runs on as it was"
        );
    }

    #[test]
    fn a_namespace_that_lets_any_pod_in_starts_no_server() {
        for (enforced, now) in [
            (None, "enforces no Pod Security Standard"),
            (
                Some("baseline"),
                "enforces the Pod Security Standard `baseline`",
            ),
            (Some(""), "enforces the Pod Security Standard ``"),
        ] {
            let mut found = example::found();
            let label = enforced.map(|word| (POD_SECURITY_LABEL.to_owned(), word.to_owned()));
            found.home = Some(Home {
                labels: label.into_iter().collect(),
            });
            let (reason, message) = refused(&example::tenant(), &found);
            assert_eq!(reason, Reason::PodSecurityMissing);
            assert_eq!(
                message,
                format!(
                    "the namespace {now}, so a pod in it could take its node, and with it the organisation's tokens; no server is started before: kubectl label namespace acme --overwrite pod-security.kubernetes.io/enforce=restricted"
                )
            );
        }
    }

    #[test]
    fn a_namespace_that_did_not_let_the_operator_in_says_how() {
        let mut found = example::found();
        found.home = None;
        let (reason, message) = refused(&example::tenant(), &found);
        assert_eq!(reason, Reason::OperatorNotBound);
        assert_eq!(
            message,
            "the operator may not write in this namespace; let it in with: kubectl create rolebinding tenantry-operator --namespace acme --clusterrole tenantry-tenant-manager --serviceaccount tenantry-system:tenantry-operator"
        );
    }

    #[test]
    fn what_an_older_tenant_has_stops_even_a_suspended_one() {
        let mut tenant = example::tenant();
        tenant.spec.suspend = true;
        let mut found = example::found();
        found.losses.push(Loss {
            key: unique::Key::Host("mcp.example.com".into()),
            holder: "1".into(),
            holder_name: "other/other".into(),
        });
        assert_eq!(refused(&tenant, &found).0, Reason::HostTaken);
    }

    #[test]
    fn what_binds_the_namespace_is_in_the_contract_as_long_as_there_is_room() {
        let spec = serde_json::json!({"mode": "Enforce", "protected": vec!["x".repeat(128); 256]});
        let mut found = example::found();
        let own = |number: u32| Arc::new(judged("acme", &format!("p{number}"), &spec));
        found.policies = (0..16).map(own).collect();
        found
            .policies
            .push(Arc::new(judged("globex", "foreign", &spec)));
        let valid = validate(&example::tenant(), &found, &example::settings()).unwrap();
        assert_eq!(valid.contract.policies.len(), 16);
        assert_eq!(valid.unaccepted, BTreeSet::new());
        let spec = serde_json::json!({"mode": "Enforce", "rules": vec![serde_json::json!({
            "name": "long", "when": "change.records > 3", "action": "Deny", "message": "x".repeat(40_000),
        }); 16]});
        found.policies.push(Arc::new(judged("acme", "long", &spec)));
        let (reason, message) = refused(&example::tenant(), &found);
        assert_eq!(reason, Reason::PoliciesTooLarge);
        assert!(
            message.starts_with("the 17 SafetyPolicies that bind this namespace take 6"),
            "{message}"
        );
    }

    #[test]
    fn the_older_tenant_owns_the_namespace() {
        let mut found = example::found();
        found
            .claims
            .push(example::claim("later", "1", "2026-01-01T00:00:01Z"));
        assert!(validate(&example::tenant(), &found, &example::settings()).is_ok());
        found
            .claims
            .push(example::claim("first", "2", "2025-12-31T00:00:00Z"));
        let (reason, message) = refused(&example::tenant(), &found);
        assert_eq!(reason, Reason::NamespaceTaken);
        assert_eq!(
            message,
            "the McpTenant `first` owns this namespace, because it is older; a namespace is one organisation, so create this one in another namespace"
        );
    }

    #[test]
    fn of_two_created_in_one_second_both_agree_on_one() {
        let twin = "00000000-0000-4000-8000-000000000000";
        let mut found = example::found();
        found
            .claims
            .push(example::claim("twin", twin, example::CREATED));
        assert_eq!(
            refused(&example::tenant(), &found).0,
            Reason::NamespaceTaken
        );
        let mut other = example::tenant();
        other.metadata.uid = Some(twin.into());
        assert!(validate(&other, &found, &example::settings()).is_ok());
    }

    #[test]
    fn a_tenant_that_is_being_deleted_claims_nothing() {
        let mut metadata = example::tenant().metadata;
        assert!(Claim::of(&metadata).is_some());
        metadata.deletion_timestamp = metadata.creation_timestamp.clone();
        assert_eq!(Claim::of(&metadata), None);
    }

    #[test]
    fn every_flaw_is_told() {
        let mut tenant = example::tenant();
        tenant.spec.organization = "Acme".into();
        tenant.spec.connectors[0].accounts[0].currency = "euro".into();
        let (reason, message) = refused(&tenant, &example::found());
        assert_eq!(reason, Reason::SpecInvalid);
        assert_eq!(
            message,
            "spec.organization: `Acme` is not an organisation name (1-40 of a-z, 0-9 and `-`, starting and ending with a letter or digit); \
             spec.connectors[meta].accounts[act_1].currency: `euro` is not a currency code (three capital letters, ISO 4217)"
        );
    }
}
