//! The smallest tenant of a test, as the API server would hand it over.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tenantry_api::mcp_server::{
    ConnectorReport, Isolation, IsolationReport, LedgerReport, LedgerState, McpServerSpec,
    ReplicaReport,
};
use tenantry_api::mcp_tenant::McpTenant;
use tenantry_core::access::Access;

use super::optional::Served;
use super::validate::{Claim, Found, Home, POD_SECURITY_LABEL, ValidTenant, validate};
use crate::api_server::{Address, ApiServer};
use crate::guard::Standing;
use crate::settings::Settings;

pub const UID: &str = "0b7c8f6e-0000-4000-8000-000000000001";
pub const CREATED: &str = "2026-01-01T00:00:00Z";

const TENANT: &str = "
apiVersion: tenantry.dev/v1alpha1
kind: McpTenant
metadata: {name: acme, namespace: acme}
spec:
  organization: acme
  connectors:
  - name: meta
    credentials: {secretName: meta-credentials}
    accounts: [{id: act_1, currency: EUR, timeZone: Europe/Berlin}]
";

/// The fewest settings that an operator runs with.
pub const SETTINGS: &str = "
server: {image: 'tenantry-server:1', imagePullPolicy: IfNotPresent}
operator: {namespace: tenantry-system, serviceAccount: tenantry-operator}
network:
  gateways: []
  scrapers: []
  dns: {podSelector: {matchLabels: {k8s-app: kube-dns}}}
";

/// The tenant of that YAML, created a moment ago.
pub fn created(yaml: &str) -> McpTenant {
    let mut tenant: McpTenant = serde_saphyr::from_str(yaml).unwrap();
    tenant.metadata.uid = Some(UID.into());
    tenant.metadata.generation = Some(1);
    tenant.metadata.creation_timestamp = Some(Time(CREATED.parse().unwrap()));
    tenant
}

pub fn tenant() -> McpTenant {
    created(TENANT)
}

pub fn settings() -> Settings {
    Settings::read(SETTINGS).unwrap()
}

pub fn claim(name: &str, uid: &str, created: &str) -> Claim {
    Claim {
        created: Time(created.parse().unwrap()),
        uid: uid.into(),
        name: name.into(),
    }
}

pub fn found() -> Found {
    let places = [("10.96.0.1", 443), ("192.0.2.1", 6443)];
    let addresses = places.map(|(ip, port)| Address {
        ip: ip.parse().unwrap(),
        port,
    });
    Found {
        claims: vec![claim("acme", UID, CREATED)],
        losses: vec![],
        guard: Some(Standing::Proven),
        home: Some(Home {
            labels: [(POD_SECURITY_LABEL.to_owned(), "restricted".to_owned())].into(),
        }),
        api_server: ApiServer {
            addresses: addresses.into(),
        },
        served: Served::default(),
        readable: vec![],
        placed: None,
        ledger: None,
        policies: vec![],
    }
}

pub fn valid() -> ValidTenant {
    validate(&tenant(), &found(), &settings()).unwrap()
}

/// The server of the smallest tenant, ready and serving.
pub fn report(tenant: &ValidTenant) -> ReplicaReport {
    ReplicaReport {
        pod: "server-0".into(),
        pod_uid: "1".into(),
        observed_generation: Some(1),
        contract_digest: Some(tenant.contract.digest().to_string()),
        contract_versions: vec!["v1".into()],
        freezes: vec![],
        access: Some(Access::ReadOnly),
        serving: true,
        reason: None,
        message: None,
        connectors: vec![ConnectorReport {
            name: "meta".into(),
            ready: true,
            reason: None,
            message: None,
            token_expires_at: None,
        }],
        notifications: vec![],
        audit_public_key: None,
        tools_digest: Some("sha256:tools".into()),
        pending_approvals: Some(2),
        ledger: Some(LedgerReport {
            state: LedgerState::Open,
            message: None,
            accept: None,
            mark: None,
            instead_of: None,
        }),
        isolation: Some(IsolationReport {
            state: Isolation::Proven,
            message: "the canary cannot be reached".into(),
        }),
        release: "0.1.0".into(),
        changed_at: None,
    }
}

pub fn contract_spec() -> McpServerSpec {
    super::build::contract_spec(&valid().contract, "v1")
}
