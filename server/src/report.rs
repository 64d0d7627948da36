//! The replica's own word in the status of `McpServer`: what it obeys, whether
//! it serves, and the state of its credentials. Written only when it changes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tenantry_api::mcp_server::{ConnectorReport, FreezeReport, ReplicaReport};
use tenantry_connectors::call_error::VendorText;
use tenantry_connectors::token::{TokenError, TokenFacts};
use tenantry_core::audit::{AuditEvent, Stage, blank_event};
use tenantry_core::contract_version::READ;
use tenantry_core::freeze::{Freeze, Freezes};
use tenantry_core::name::ConnectorName;
use tenantry_core::reason::Reason;
use tokio::sync::Notify;

use crate::control_plane::ControlPlane;
use crate::counter::Counter;
use crate::in_force::{Grant, InForce};
use crate::readiness::obstacles;
use tenantry_core::cause::chain;

/// How often the state is looked at without being told to: credentials and
/// freshness change by themselves. Looking costs no request.
const LOOK: Duration = Duration::from_secs(2);

/// Before a token ends. Meta's live 60 days, and people have holidays.
const EXPIRING: SignedDuration = SignedDuration::from_hours(14 * 24);

/// Freezes that are reported; the count of all is a metric.
const MOST_FREEZES: usize = 32;

/// Between attempts to write; growing, because a cluster in trouble has better
/// things to do.
const SHORTEST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Who reports.
#[derive(Debug, Clone)]
pub struct Pod {
    /// The pod's name.
    pub name: String,
    /// The pod's UID.
    pub uid: String,
}

/// A ledger that only got longer is reported that often: each report costs the
/// cluster three writes.
const MARK_PAUSE: Duration = Duration::from_secs(30);

/// What was last written.
struct Written {
    /// The UID of the object.
    object: String,
    report: ReplicaReport,
    at: Instant,
}

/// What this replica has to say now.
pub fn report(counter: &Counter, pod: &Pod, is_listening: bool, now: Instant) -> ReplicaReport {
    let standing = counter.standing();
    let obstacle = obstacles(counter, is_listening, now).into_iter().next();
    let serving = obstacle.is_none();
    let (reason, message) = obstacle
        .map(|obstacle| (obstacle.reason.to_string(), obstacle.message))
        .unzip();
    let in_force = standing.in_force.as_deref();
    let freezes = counter.knowledge.freezes_now().unwrap_or_default();
    ReplicaReport {
        pod: pod.name.clone(),
        pod_uid: pod.uid.clone(),
        observed_generation: in_force.and_then(|in_force| in_force.source.generation),
        contract_digest: in_force.map(|in_force| in_force.tenant.digest().to_string()),
        contract_versions: READ.iter().map(ToString::to_string).collect(),
        access: in_force.map(|in_force| freezes.access_of_all(in_force.tenant.access_in_force())),
        freezes: freeze_reports(&freezes),
        serving,
        reason,
        message,
        connectors: in_force
            .into_iter()
            .flat_map(InForce::grants)
            .map(|(name, grant)| connector_report(name, &grant, Timestamp::now()))
            .collect(),
        notifications: counter.notifier.reports(),
        audit_public_key: Some(counter.audit.public_key().to_string()),
        tools_digest: Some(counter.tools_digest.to_string()),
        pending_approvals: *counter.pending_approvals.borrow(),
        ledger: counter
            .book
            .report(counter.knowledge.ledgers().get(&pod.name)),
        isolation: counter.isolation.borrow().clone(),
        release: env!("CARGO_PKG_VERSION").to_owned(),
        changed_at: None,
    }
}

fn freeze_reports(freezes: &Freezes) -> Vec<FreezeReport> {
    let mut all: Vec<&Freeze> = freezes.iter().collect();
    all.sort_by_key(|freeze| std::cmp::Reverse(freeze.access));
    let report = |freeze: &Freeze| FreezeReport {
        name: freeze.name.clone(),
        scope: freeze.scope.to_string(),
        access: freeze.access,
        message: freeze.flaw.clone(),
    };
    all.into_iter().take(MOST_FREEZES).map(report).collect()
}

/// What one connector's credentials are worth, by the file and the vendor's word.
pub(crate) fn connector_report(
    name: &ConnectorName,
    grant: &Grant<'_>,
    now: Timestamp,
) -> ConnectorReport {
    let facts = grant.known.facts();
    let expires_at = facts
        .and_then(|facts| facts.expires_at)
        .and_then(|second| Timestamp::from_second(second).ok());
    let (ready, told) = match grant.tokens.token() {
        // The place is ours to say: it names a mount, not a secret.
        Err(error @ (TokenError::Missing { .. } | TokenError::Unreadable { .. })) => {
            (false, Some((Reason::SecretMissing, error.to_string())))
        }
        Ok(_) => standing(grant.corridor.token_refused(), facts, expires_at, now),
    };
    let (reason, message) = told
        .map(|(reason, message)| (reason.to_string(), message))
        .unzip();
    ConnectorReport {
        name: name.to_string(),
        ready,
        reason,
        message,
        token_expires_at: expires_at.map(Time),
    }
}

/// Whether a token that is there can be used, and what there is to say.
fn standing(
    refused: Option<VendorText>,
    facts: Option<TokenFacts>,
    expires_at: Option<Timestamp>,
    now: Timestamp,
) -> (bool, Option<(Reason, String)>) {
    let reconnect = |message: String| (false, Some((Reason::ReconnectRequired, message)));
    if let Some(vendor) = refused {
        return reconnect(format!(
            "the vendor refuses the token ({vendor}); replace it in the Secret"
        ));
    }
    match (facts, expires_at) {
        (_, Some(end)) if end <= now => reconnect(format!(
            "the token ended at {end}; replace it in the Secret"
        )),
        (Some(facts), _) if !facts.is_valid => reconnect(
            "the vendor says that the token is not valid; replace it in the Secret".into(),
        ),
        (_, Some(end)) if end.duration_since(now) <= EXPIRING => {
            let message = format!("the token ends at {end}; replace it in the Secret before");
            (true, Some((Reason::TokenExpiring, message)))
        }
        _ => (true, None),
    }
}

/// Writes every change, for as long as it is polled. `changed` wakes it up.
pub async fn keep_reported(
    counter: &Counter,
    control_plane: &dyn ControlPlane,
    pod: &Pod,
    is_listening: impl Fn() -> bool,
    changed: Arc<Notify>,
) {
    let mut written: Option<Written> = None;
    let mut pause = SHORTEST_PAUSE;
    let mut freezes = counter.knowledge.freezes();
    let mut told = None;
    let mut was_stale = false;
    loop {
        tell_staleness(counter, &mut was_stale);
        log_change(&mut told, counter.knowledge.freezes_now());
        let present = report(counter, pod, is_listening(), Instant::now());
        counter.metrics.serving.set(present.serving.into());
        match write_change(counter, control_plane, &mut written, present).await {
            Ok(()) => {
                pause = SHORTEST_PAUSE;
                // Either way it is time to look again.
                tokio::select! {
                    () = changed.notified() => {}
                    _ = freezes.changed() => {}
                    () = tokio::time::sleep(LOOK) => {}
                }
            }
            Err(error) => {
                tracing::warn!(
                    error = chain(&error),
                    "the report could not be written; trying again"
                );
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

/// That the control plane is silent is put on record once, when it begins: it
/// may be that nobody calls.
fn tell_staleness(counter: &Counter, was_stale: &mut bool) {
    let is_stale = counter.is_stale(Instant::now());
    if is_stale && !*was_stale && counter.standing().in_force.is_some() {
        tracing::error!("no word from the control plane for too long: every call is refused");
        counter.audit.sample(AuditEvent {
            reason: Some(Reason::ControlPlaneStale),
            stage: Stage::Authorize,
            ..blank_event(counter.next_call_id())
        });
        *was_stale = true;
    } else if !is_stale && *was_stale {
        tracing::info!("the control plane is heard again");
        *was_stale = false;
    }
}

/// What is stopped by hand is said aloud, once a change.
fn log_change(told: &mut Option<Arc<Freezes>>, present: Option<Arc<Freezes>>) {
    if *told == present {
        return;
    }
    told.clone_from(&present);
    let Some(present) = present else { return };
    if present.iter().next().is_none() {
        tracing::info!("no freeze is in force");
        return;
    }
    let told = |freeze: &Freeze| {
        let (name, scope, access) = (&freeze.name, &freeze.scope, freeze.access.as_str());
        match &freeze.flaw {
            None => format!("{name}: {access} on {scope}"),
            Some(flaw) => format!("{name}: {access} on {scope}, because it cannot be read: {flaw}"),
        }
    };
    let told: Vec<_> = present.iter().take(MOST_FREEZES).map(told).collect();
    tracing::warn!(
        count = present.iter().count(),
        freezes = told.join("; "),
        "the freezes in force changed"
    );
}

/// Says once that this replica serves no more; the process is about to end.
pub async fn say_goodbye(counter: &Counter, control_plane: &dyn ControlPlane, pod: &Pod) {
    let last = report(counter, pod, false, Instant::now());
    if let Err(error) = write_change(counter, control_plane, &mut None, last).await {
        tracing::warn!(
            error = chain(&error),
            "the last report could not be written"
        );
    }
}

async fn write_change(
    counter: &Counter,
    control_plane: &dyn ControlPlane,
    written: &mut Option<Written>,
    present: ReplicaReport,
) -> Result<(), crate::control_plane::ReportError> {
    // Without an object there is nowhere to write; a new object has no status.
    let Some(object) = counter
        .knowledge
        .contract()
        .borrow()
        .as_ref()
        .map(|raw| raw.uid.clone())
    else {
        *written = None;
        return Ok(());
    };
    let now = Instant::now();
    let is_old = |written: &Written| written.object == object && !written.is_due(&present, now);
    if written.as_ref().is_some_and(is_old) {
        return Ok(());
    }
    let dated = ReplicaReport {
        changed_at: Some(Time(Timestamp::now())),
        ..present.clone()
    };
    control_plane.report(&dated).await?;
    *written = Some(Written {
        object,
        report: present,
        at: now,
    });
    Ok(())
}

impl Written {
    /// Whether `present` is to be written now.
    fn is_due(&self, present: &ReplicaReport, now: Instant) -> bool {
        if self.report == *present {
            return false;
        }
        let has_waited = now.saturating_duration_since(self.at) >= MARK_PAUSE;
        has_waited || unmarked(&self.report) != unmarked(present)
    }
}

/// The report but for how far the ledger has come.
fn unmarked(report: &ReplicaReport) -> ReplicaReport {
    let mut report = report.clone();
    if let Some(mark) = report
        .ledger
        .as_mut()
        .and_then(|ledger| ledger.mark.as_mut())
    {
        mark.audit_sequence = 0;
        mark.audit_head.clear();
    }
    report
}
