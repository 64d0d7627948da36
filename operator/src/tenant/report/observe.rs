//! How a placed server fares: what Kubernetes says of its pod, and what the
//! server says of itself. Pure.

mod proven;

use k8s_openapi::api::apps::v1::StatefulSet;
use tenantry_api::compile::hosts;
use tenantry_api::condition::{
    CREDENTIALS_READY, Finding, READY, RECONCILING, SERVER_AVAILABLE, STALLED, Truth,
};
use tenantry_api::label;
use tenantry_api::mcp_server::{ConnectorReport, McpServer, ReplicaReport};
use tenantry_api::mcp_tenant::ConnectorStatus;
use tenantry_core::access::Access;
use tenantry_core::ledger_mark::LedgerMark;
use tenantry_core::reason::Reason;
use tenantry_core::tenant::TenantConfig;

use crate::guard::Standing;
use crate::tenant::build::{Children, Placed, pod_labels, read_contract};
use crate::tenant::ledger;
use crate::tenant::validate::{Obstacle, ValidTenant};

use super::{exposure, notifications, policies};
use proven::{guarded, isolated};

/// The pod of ordinal 0, the only one as long as the ledger is a file.
const POD: &str = "server-0";

/// How a server fares.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    /// Whether it answers, and obeys the contract that was rendered.
    pub server: Finding,
    /// Whether every connector has what it needs.
    pub credentials: Finding,
    /// Whether the network keeps it apart.
    pub isolated: Finding,
    /// Whether the admission policies are in force.
    pub guarded: Finding,
    /// Whether changes can be recorded.
    pub ledger: Finding,
    /// Whether every policy is in force as written, where there is one.
    pub policies: Option<Finding>,
    /// Whether every destination of notifications can be told, where there is one.
    pub notifications: Option<Finding>,
    /// Whether all is as declared.
    pub ready: Finding,
    /// Whether the way in from outside leads here, where there is one.
    pub exposed: Option<Finding>,
    /// The access in force.
    pub access: Option<Access>,
    /// The state of each connector's credentials, as the server reports it.
    pub connectors: Vec<ConnectorStatus>,
    /// What is known of its ledger.
    pub mark: Option<LedgerMark>,
    /// How many replicas exist.
    pub replicas: i32,
    /// Where clients reach it.
    pub endpoint: String,
    /// Which contract was rendered.
    pub contract_digest: String,
    /// Which policies are in it.
    pub policy_digest: String,
    /// Which tools the server offers, as it reports it.
    pub tools_digest: Option<String>,
    /// How many changes wait for people, as it reports it.
    pub pending_approvals: Option<i32>,
    /// How its pods are found.
    pub selector: String,
}

impl Observed {
    /// Every condition that this gives, in the kstatus convention.
    pub fn findings(&self) -> Vec<Finding> {
        let mut all = vec![self.ready.clone()];
        let Finding {
            reason, message, ..
        } = &self.ready;
        if !self.ready.holds() {
            // INVARIANT: at most one of the two stands. What only a person can
            // mend is stalled; a missing Secret may be on its way.
            let needs_somebody = matches!(
                reason,
                Reason::ContractUnreadable
                    | Reason::ReconnectRequired
                    | Reason::SpecInvalid
                    | Reason::GatewayApiMissing
                    | Reason::HostEgressUnavailable
                    | Reason::RouteRefused
                    | Reason::NetworkPolicyNotEnforced
                    | Reason::LedgerMismatch
            );
            let type_ = if needs_somebody { STALLED } else { RECONCILING };
            all.push(Finding::new(type_, true, *reason, message));
        }
        all.extend([
            self.server.clone(),
            self.credentials.clone(),
            self.isolated.clone(),
            self.guarded.clone(),
            self.ledger.clone(),
        ]);
        all.extend(self.exposed.clone());
        all.extend(self.policies.clone());
        all.extend(self.notifications.clone());
        all
    }
}

/// How a server fares that nobody is to change.
#[derive(Debug, Clone, PartialEq)]
pub struct Glance {
    /// Whether it answers, and obeys the contract that it has.
    pub server: Finding,
    /// Whether every connector has what it needs.
    pub credentials: Finding,
    /// The access in force.
    pub access: Option<Access>,
    /// The state of each connector's credentials, as the server reports it.
    pub connectors: Vec<ConnectorStatus>,
    /// How many replicas exist.
    pub replicas: i32,
    /// Which contract it has.
    pub contract_digest: String,
}

/// How the server fares that is there, if this release can read its contract.
pub fn glance(mcp_server: &McpServer, set: &StatefulSet) -> Option<Glance> {
    let contract = read_contract(&mcp_server.spec).ok()?;
    let wanted = set
        .spec
        .as_ref()
        .and_then(|spec| spec.replicas)
        .unwrap_or(1);
    let contract_digest = contract.digest().to_string();
    let report = report(mcp_server, wanted);
    Some(Glance {
        server: server(set, wanted, report, &contract_digest),
        credentials: credentials(&contract, wanted, report),
        access: access(report),
        connectors: report.map(connectors).unwrap_or_default(),
        replicas: set.status.as_ref().map_or(0, |set| set.replicas),
        contract_digest,
    })
}

/// What the server says of itself. One that was stopped left its last words
/// behind.
fn report(server: &McpServer, wanted: i32) -> Option<&ReplicaReport> {
    let mut reports = server.status.iter().flat_map(|status| &status.replicas);
    reports
        .find(|replica| replica.pod == POD)
        .filter(|_| wanted > 0)
}

fn access(report: Option<&ReplicaReport>) -> Option<Access> {
    report
        .filter(|report| report.serving)
        .and_then(|report| report.access)
}

/// How the server of `tenant` fares.
pub fn observe(
    children: &Children<Placed>,
    tenant: &ValidTenant,
    guard: Option<&Standing>,
) -> Observed {
    let contract_digest = tenant.contract.digest().to_string();
    let wanted = tenant.server.replicas;
    let report = report(&children.mcp_server, wanted);
    let endpoint = match &tenant.entrance {
        Some(entrance) => entrance.url(),
        None => endpoint(&tenant.namespace),
    };
    let exposed = exposure::finding(tenant, children.route.as_ref());
    let server = server(&children.stateful_set, wanted, report, &contract_digest);
    let credentials = credentials(&tenant.contract, wanted, report);
    let isolated = isolated(report);
    let ledger = ledger::healthy(tenant, report);
    let policies = policies::finding(tenant);
    // Under a last good version all goes on; without a required one it does not.
    let missing = policies
        .iter()
        .filter(|finding| finding.reason == Reason::PolicyMissing);
    let obstacles: Vec<_> = [&server, &credentials, &isolated, &ledger]
        .into_iter()
        .chain(&exposed)
        .chain(missing)
        .collect();
    let ready = match tenant.lacks.first() {
        Some(Obstacle { reason, message }) => Finding::new(READY, false, *reason, message),
        None => ready(&obstacles, wanted, &endpoint, &tenant.contract),
    };
    let labels: Vec<_> = pod_labels()
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let set = children.stateful_set.status.as_ref();
    Observed {
        server,
        credentials,
        isolated,
        guarded: guarded(guard),
        ready,
        exposed,
        ledger,
        policies,
        notifications: notifications::finding(&tenant.contract, report),
        mark: ledger::mirrored(tenant.ledger.clone(), &children.mcp_server),
        access: access(report),
        connectors: report.map(connectors).unwrap_or_default(),
        replicas: set.map_or(0, |set| set.replicas),
        endpoint,
        contract_digest,
        policy_digest: tenant.contract.policy_digest().to_string(),
        tools_digest: report.and_then(|report| report.tools_digest.clone()),
        pending_approvals: report.and_then(pending),
        selector: labels.join(","),
    }
}

fn pending(report: &ReplicaReport) -> Option<i32> {
    let waiting = report.pending_approvals?;
    Some(i32::try_from(waiting).unwrap_or(i32::MAX))
}

fn connectors(report: &ReplicaReport) -> Vec<ConnectorStatus> {
    let status = |connector: &ConnectorReport| ConnectorStatus {
        name: connector.name.clone(),
        ready: connector.ready,
        reason: connector.reason.clone(),
        token_expires_at: connector.token_expires_at.clone(),
    };
    report.connectors.iter().map(status).collect()
}

fn endpoint(namespace: &str) -> String {
    let host = hosts(namespace).pop().unwrap_or_default();
    format!("http://{host}:{}{}", label::MCP_PORT, label::MCP_PATH)
}

/// What is not known is told, and waited for by nobody: without an operator
/// that keeps a canary nobody would ever know.
fn is_in_the_way(finding: &Finding) -> bool {
    finding.status == Truth::False
}

fn ready(findings: &[&Finding], wanted: i32, endpoint: &str, contract: &TenantConfig) -> Finding {
    let is_stopped = |finding: &&Finding| {
        finding.type_ == SERVER_AVAILABLE && finding.reason == Reason::ScaledToZero
    };
    if wanted == 0 && findings.iter().any(is_stopped) {
        return Finding::new(
            READY,
            true,
            Reason::ScaledToZero,
            "stopped, as declared: spec.server.replicas is 0",
        );
    }
    let obstacle = findings.iter().find(|finding| is_in_the_way(finding));
    if let Some(Finding {
        reason, message, ..
    }) = obstacle
    {
        return Finding::new(READY, false, *reason, message);
    }
    let fakes = contract.connectors.iter().filter_map(|connector| {
        let url = connector.sandbox_base_url.as_ref()?;
        Some(format!(
            "; SANDBOX: `{}` is the fake at {url}",
            connector.name
        ))
    });
    let message = format!("serving at {endpoint}{}", fakes.collect::<String>());
    Finding::new(READY, true, Reason::AsDeclared, message)
}

fn server(set: &StatefulSet, wanted: i32, report: Option<&ReplicaReport>, digest: &str) -> Finding {
    let finding =
        |holds, reason, message: &str| Finding::new(SERVER_AVAILABLE, holds, reason, message);
    if wanted == 0 {
        let is_gone = set
            .status
            .as_ref()
            .is_none_or(|status| status.replicas == 0);
        return if is_gone {
            finding(false, Reason::ScaledToZero, "spec.server.replicas is 0")
        } else {
            finding(false, Reason::ServerStopping, "the pod server-0 still ends")
        };
    }
    match report {
        Some(report) if !report.serving => {
            let reason = word(report.reason.as_deref(), Reason::ServerStarting);
            let message = report
                .message
                .as_deref()
                .unwrap_or("the server does not take calls yet");
            finding(false, reason, message)
        }
        _ if !is_rolled_out(set, wanted) => finding(
            false,
            Reason::ServerStarting,
            "the pod server-0 is not ready yet; `kubectl describe pod server-0` tells why",
        ),
        None => finding(
            false,
            Reason::ContractPending,
            "the server has not reported yet",
        ),
        Some(report) if report.contract_digest.as_deref() != Some(digest) => finding(
            false,
            Reason::ContractPending,
            "the server still obeys an earlier contract",
        ),
        Some(_) => finding(
            true,
            Reason::Serving,
            "the server takes calls and obeys the present contract",
        ),
    }
}

/// Whether the pods that are ready are those of the present template.
fn is_rolled_out(set: &StatefulSet, wanted: i32) -> bool {
    set.status.as_ref().is_some_and(|status| {
        status.observed_generation >= set.metadata.generation
            && status.ready_replicas.unwrap_or(0) >= wanted
            && status.updated_replicas.unwrap_or(0) >= wanted
    })
}

fn credentials(contract: &TenantConfig, wanted: i32, report: Option<&ReplicaReport>) -> Finding {
    let finding =
        |holds, reason, message: String| Finding::new(CREDENTIALS_READY, holds, reason, message);
    if wanted == 0 {
        return finding(
            false,
            Reason::ScaledToZero,
            "no server runs to look at them".into(),
        );
    }
    let Some(report) = report else {
        return finding(
            false,
            Reason::ServerStarting,
            "the server has not reported on them yet".into(),
        );
    };
    let told = |name: &str| {
        report
            .connectors
            .iter()
            .find(|connector| connector.name == name)
    };
    let silent = contract
        .connectors
        .iter()
        .find(|connector| told(connector.name.as_str()).is_none());
    if let Some(silent) = silent {
        let message = format!("the server has not reported on `{}` yet", silent.name);
        return finding(false, Reason::ContractPending, message);
    }
    let missing: Vec<_> = report
        .connectors
        .iter()
        .filter(|connector| !connector.ready)
        .collect();
    let Some(first) = missing.first() else {
        return usable(report);
    };
    let reason = word(first.reason.as_deref(), Reason::SecretMissing);
    let sentences: Vec<_> = missing
        .iter()
        .map(|connector| sentence(connector))
        .collect();
    finding(false, reason, sentences.join("; "))
}

/// Every connector has credentials; some may end soon.
fn usable(report: &ReplicaReport) -> Finding {
    let finding = |reason, message: String| Finding::new(CREDENTIALS_READY, true, reason, message);
    let ending = Some(Reason::TokenExpiring.as_str());
    let ending = report
        .connectors
        .iter()
        .filter(|one| one.reason.as_deref() == ending);
    let sentences: Vec<_> = ending.map(sentence).collect();
    if sentences.is_empty() {
        let message = "every connector has credentials";
        return finding(Reason::AsDeclared, message.into());
    }
    finding(Reason::TokenExpiring, sentences.join("; "))
}

fn sentence(connector: &ConnectorReport) -> String {
    let reason = word(connector.reason.as_deref(), Reason::SecretMissing);
    let message = connector.message.as_deref().unwrap_or(reason.remedy());
    format!("{}: {message}", connector.name)
}

/// The reason of that word; a server of another release may know more.
pub(super) fn word(text: Option<&str>, otherwise: Reason) -> Reason {
    let known = Reason::ALL
        .iter()
        .find(|reason| Some(reason.as_str()) == text);
    known.copied().unwrap_or(otherwise)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::apps::v1::StatefulSetStatus;
    use tenantry_api::condition::{GUARDED, ISOLATED, LEDGER_HEALTHY};
    use tenantry_api::mcp_server::{Isolation, IsolationReport, McpServerStatus};

    use super::*;
    use crate::tenant::build::build;
    use crate::tenant::example;

    fn placed(tenant: &ValidTenant, ready: i32, report: Option<ReplicaReport>) -> Children<Placed> {
        let drawn = build(tenant, &example::settings(), &example::found());
        let mut placed = Children {
            service_account: drawn.service_account,
            role_binding: drawn.role_binding,
            mcp_server: drawn.mcp_server,
            default_deny: drawn.default_deny,
            network_policy: drawn.network_policy,
            cilium_policy: drawn.cilium_policy,
            limit_range: drawn.limit_range,
            quota: drawn.quota,
            budget: drawn.budget,
            route: drawn.route,
            ingress: drawn.ingress,
            service: drawn.service,
            stateful_set: drawn.stateful_set,
            state: std::marker::PhantomData,
        };
        placed.stateful_set.metadata.generation = Some(2);
        placed.stateful_set.status = Some(StatefulSetStatus {
            observed_generation: Some(2),
            replicas: ready,
            ready_replicas: Some(ready),
            updated_replicas: Some(ready),
            ..StatefulSetStatus::default()
        });
        placed.mcp_server.status = Some(McpServerStatus {
            replicas: report.into_iter().collect(),
        });
        placed
    }

    /// The conditions, one a line, as `kubectl describe` would show them.
    fn told(ready: i32, change: impl FnOnce(&mut ReplicaReport)) -> String {
        let tenant = example::valid();
        let mut report = example::report(&tenant);
        change(&mut report);
        lines(&observe(
            &placed(&tenant, ready, Some(report)),
            &tenant,
            Some(&Standing::Proven),
        ))
    }

    /// Without what is proven and the ledger: they have tests of their own.
    fn lines(observed: &Observed) -> String {
        let line = |finding: &Finding| {
            let (type_, holds) = (finding.type_, finding.holds());
            format!("{type_}={holds} {}: {}", finding.reason, finding.message)
        };
        let findings = observed.findings();
        let here =
            |finding: &&Finding| ![ISOLATED, GUARDED, LEDGER_HEALTHY].contains(&finding.type_);
        findings
            .iter()
            .filter(here)
            .map(line)
            .collect::<Vec<_>>()
            .join("\n")
    }

    #[test]
    fn a_server_without_walls_is_not_ready_until_somebody_builds_them() {
        let told = told(1, |report| {
            report.isolation = Some(IsolationReport {
                state: Isolation::Open,
                message: "`canary:1` answered".into(),
            });
        });
        let words: Vec<_> = told.lines().map(|line| line.split(':').next()).collect();
        let expected = [
            "Ready=false NetworkPolicyNotEnforced",
            "Stalled=true NetworkPolicyNotEnforced",
            "ServerAvailable=true Serving",
            "CredentialsReady=true AsDeclared",
        ];
        assert_eq!(words, expected.map(Some));
    }

    #[test]
    fn a_server_that_says_it_serves_is_ready() {
        insta::assert_snapshot!(told(1, |_| ()), @r"
        Ready=true AsDeclared: serving at http://server.acme.svc.cluster.local:8080/mcp
        ServerAvailable=true Serving: the server takes calls and obeys the present contract
        CredentialsReady=true AsDeclared: every connector has credentials
        ");
    }

    #[test]
    fn a_token_that_ends_soon_is_said_while_it_still_works() {
        let told = told(1, |report| {
            report.connectors[0] = ConnectorReport {
                name: "meta".into(),
                ready: true,
                reason: Some("TokenExpiring".into()),
                message: Some(
                    "the token ends at 2026-12-01T00:00:00Z; replace it in the Secret before"
                        .into(),
                ),
                token_expires_at: None,
            };
        });
        let credentials = told
            .lines()
            .find(|line| line.starts_with("CredentialsReady"))
            .unwrap();
        assert_eq!(
            credentials,
            "CredentialsReady=true TokenExpiring: meta: the token ends at 2026-12-01T00:00:00Z; replace it in the Secret before"
        );
        assert!(told.starts_with("Ready=true"), "{told}");
    }

    #[test]
    fn a_missing_secret_is_waited_for_and_named() {
        let told = told(1, |report| {
            report.connectors[0] = ConnectorReport {
                name: "meta".into(),
                ready: false,
                reason: Some("SecretMissing".into()),
                message: Some("`/credentials/meta/access_token` is not there".into()),
                token_expires_at: None,
            };
        });
        insta::assert_snapshot!(told, @r"
        Ready=false SecretMissing: meta: `/credentials/meta/access_token` is not there
        Reconciling=true SecretMissing: meta: `/credentials/meta/access_token` is not there
        ServerAvailable=true Serving: the server takes calls and obeys the present contract
        CredentialsReady=false SecretMissing: meta: `/credentials/meta/access_token` is not there
        ");
    }

    #[test]
    fn a_server_that_refuses_its_contract_needs_somebody() {
        let told = told(1, |report| {
            report.serving = false;
            report.reason = Some("ContractUnreadable".into());
            report.message = Some("the contract is of version `v2`, this server reads `v1`".into());
        });
        insta::assert_snapshot!(told, @r"
        Ready=false ContractUnreadable: the contract is of version `v2`, this server reads `v1`
        Stalled=true ContractUnreadable: the contract is of version `v2`, this server reads `v1`
        ServerAvailable=false ContractUnreadable: the contract is of version `v2`, this server reads `v1`
        CredentialsReady=true AsDeclared: every connector has credentials
        ");
    }

    #[test]
    fn an_earlier_contract_is_not_ready_yet() {
        let told = told(1, |report| {
            report.contract_digest = Some("sha256:earlier".into());
        });
        insta::assert_snapshot!(told, @r"
        Ready=false ContractPending: the server still obeys an earlier contract
        Reconciling=true ContractPending: the server still obeys an earlier contract
        ServerAvailable=false ContractPending: the server still obeys an earlier contract
        CredentialsReady=true AsDeclared: every connector has credentials
        ");
    }

    #[test]
    fn a_pod_that_is_not_ready_is_starting_whatever_was_reported_before() {
        insta::assert_snapshot!(told(0, |_| ()), @r"
        Ready=false ServerStarting: the pod server-0 is not ready yet; `kubectl describe pod server-0` tells why
        Reconciling=true ServerStarting: the pod server-0 is not ready yet; `kubectl describe pod server-0` tells why
        ServerAvailable=false ServerStarting: the pod server-0 is not ready yet; `kubectl describe pod server-0` tells why
        CredentialsReady=true AsDeclared: every connector has credentials
        ");
    }

    #[test]
    fn a_reason_of_a_later_release_is_no_riddle() {
        let told = told(1, |report| {
            report.serving = false;
            report.reason = Some("Unheard".into());
            report.message = Some("something new".into());
        });
        assert!(
            told.starts_with("Ready=false ServerStarting: something new\n"),
            "{told}"
        );
    }

    #[test]
    fn without_a_report_nothing_is_assumed() {
        let tenant = example::valid();
        let observed = observe(&placed(&tenant, 1, None), &tenant, Some(&Standing::Proven));
        insta::assert_snapshot!(lines(&observed), @r"
        Ready=false ContractPending: the server has not reported yet
        Reconciling=true ContractPending: the server has not reported yet
        ServerAvailable=false ContractPending: the server has not reported yet
        CredentialsReady=false ServerStarting: the server has not reported on them yet
        ");
        assert_eq!(observed.access, None);
    }

    #[test]
    fn a_connector_that_was_not_reported_is_not_ready() {
        let told = told(1, |report| report.connectors.clear());
        assert!(
            told.starts_with(
                "Ready=false ContractPending: the server has not reported on `meta` yet"
            ),
            "{told}"
        );
    }

    #[test]
    fn a_server_that_was_stopped_on_purpose_is_as_declared() {
        let mut tenant = example::valid();
        tenant.server.replicas = 0;
        let last_words = example::report(&tenant);
        let observed = observe(
            &placed(&tenant, 0, Some(last_words)),
            &tenant,
            Some(&Standing::Proven),
        );
        insta::assert_snapshot!(lines(&observed), @r"
        Ready=true ScaledToZero: stopped, as declared: spec.server.replicas is 0
        ServerAvailable=false ScaledToZero: spec.server.replicas is 0
        CredentialsReady=false ScaledToZero: no server runs to look at them
        ");
        assert_eq!(observed.access, None);
    }

    #[test]
    fn a_server_that_still_ends_is_not_stopped_yet() {
        let mut tenant = example::valid();
        tenant.server.replicas = 0;
        let observed = observe(&placed(&tenant, 1, None), &tenant, Some(&Standing::Proven));
        insta::assert_snapshot!(lines(&observed), @r"
        Ready=false ServerStopping: the pod server-0 still ends
        Reconciling=true ServerStopping: the pod server-0 still ends
        ServerAvailable=false ServerStopping: the pod server-0 still ends
        CredentialsReady=false ScaledToZero: no server runs to look at them
        ");
    }

    #[test]
    fn a_sandbox_says_so_in_the_condition() {
        let mut tenant = example::valid();
        tenant.contract.connectors[0].sandbox_base_url = Some("http://fake".into());
        let report = example::report(&tenant);
        let observed = observe(
            &placed(&tenant, 1, Some(report)),
            &tenant,
            Some(&Standing::Proven),
        );
        assert_eq!(
            observed.ready.message,
            "serving at http://server.acme.svc.cluster.local:8080/mcp; SANDBOX: `meta` is the fake at http://fake"
        );
    }

    #[test]
    fn scale_finds_the_servers_pods() {
        let tenant = example::valid();
        let observed = observe(&placed(&tenant, 1, None), &tenant, Some(&Standing::Proven));
        assert_eq!(observed.replicas, 1);
        assert_eq!(
            observed.selector,
            "tenantry.dev/component=server,tenantry.dev/managed-by=tenantry-operator"
        );
    }
}
