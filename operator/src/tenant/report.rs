//! Telling: conditions from what was placed and what the server says of
//! itself, then one status write and one Event, and only when something
//! changed.

mod exposure;
mod notifications;
mod observe;
mod policies;

use std::time::Instant;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{Patch, PatchParams};
use kube::runtime::events::{Event, EventType};
use kube::{Api, ResourceExt as _};
use tenantry_api::condition::{
    CREDENTIALS_READY, EXPOSED, Finding, GUARDED, ISOLATED, LEDGER_HEALTHY, NOTIFICATIONS_READY,
    POLICY_ACCEPTED, READY, RECONCILING, SERVER_AVAILABLE, STALLED, conditions,
};
use tenantry_api::label;
use tenantry_api::mcp_tenant::McpTenantStatus;
use tenantry_api::mcp_tenant::ledger::LedgerStatus;
use tenantry_core::reason::Reason;

pub use observe::{Glance, Observed, glance, observe};

use crate::context::Context;
use crate::telling::{fresh_recorder, publish, replacing, short};
use crate::tenant::apply::drift::Drift;
use crate::tenant::seen::Tenant;
use crate::tenant::unique::Loss;
use crate::tenant::validate::Obstacle;

/// How a reconcile ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Everything is in the cluster; this is how it fares.
    Placed(Box<Observed>),
    /// Somebody has to do something first.
    Held(Obstacle),
    /// Somebody wants it so; this is how the server fares meanwhile.
    Suspended(Obstacle, Option<Glance>),
    /// Something went wrong that may pass.
    Failed(String),
}

/// Who is reported on.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The object's name and namespace, for status and Events.
    pub reference: ObjectReference,
    /// The `metadata.generation` that was judged.
    pub generation: Option<i64>,
    /// What the status said before.
    pub before: McpTenantStatus,
}

/// What could not be told.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The status.
    #[error("writing the status")]
    Status(#[source] kube::Error),
}

/// Writes the status of `subject` if `outcome` changes it, and an Event if the
/// change is one of readiness.
pub async fn report(
    subject: &Subject,
    outcome: &Outcome,
    ctx: &Context,
) -> Result<(), ReportError> {
    let after = status(subject, outcome, Timestamp::now());
    if after == subject.before {
        return Ok(());
    }
    let ObjectReference {
        name, namespace, ..
    } = &subject.reference;
    let (name, namespace) = (
        name.as_deref().unwrap_or_default(),
        namespace.as_deref().unwrap_or_default(),
    );
    // Guarded: the answer may be a tenant that cannot be read.
    let api: Api<Tenant> = Api::namespaced(ctx.client.clone(), namespace);
    let params = PatchParams {
        field_manager: Some(label::OPERATOR.into()),
        ..PatchParams::default()
    };
    let patch = Patch::Merge(replacing(&subject.before, &after));
    let written = api
        .patch_status(name, &params, &patch)
        .await
        .map_err(ReportError::Status)?;
    if let (Some(uid), Some(version)) = (written.uid(), written.resource_version()) {
        ctx.written.wrote(&uid, &version);
    }
    if let Some(event) = transition(&subject.before, &after) {
        publish(&event, &subject.reference, &ctx.recorder).await;
    }
    Ok(())
}

/// Says what was put right, in one Event; in the log always, in Events as often
/// as somebody can read.
pub async fn tell(subject: &Subject, drifts: &[Drift], ctx: &Context) {
    let reference = &subject.reference;
    let namespace = reference.namespace.as_deref().unwrap_or_default();
    for drift in drifts {
        let drift = drift.to_string();
        tracing::warn!(namespace, drift, "what others changed was put right");
    }
    let uid = reference.uid.as_deref().unwrap_or_default();
    if drifts.is_empty() {
        return;
    }
    if let Some(untold) = ctx.drift_events.ask(uid, Instant::now()) {
        let recorder = fresh_recorder(ctx);
        publish(&correction(drifts, untold), &subject.reference, &recorder).await;
    }
}

/// The Event of what was put right. Pure.
fn correction(drifts: &[Drift], untold: u32) -> Event {
    let told: Vec<_> = drifts.iter().map(ToString::to_string).collect();
    let before = match untold {
        0 => String::new(),
        untold => format!("({untold} corrections before this one were not told) "),
    };
    Event {
        type_: EventType::Warning,
        reason: Reason::DriftCorrected.as_str().into(),
        note: Some(short(&format!("{before}{}", told.join("; ")))),
        action: "CorrectDrift".into(),
        secondary: None,
    }
}

/// Tells the platform team, in the operator's own namespace, to whom `subject`
/// has lost what. Its own readers learn that it is lost, and not to whom.
pub async fn tell_platform(subject: &Subject, losses: &[Loss], obstacle: &Obstacle, ctx: &Context) {
    let ready = find(&subject.before, READY);
    let reason = obstacle.reason.as_str();
    if ready.is_some_and(|told| told.reason == reason && told.message == obstacle.message) {
        return;
    }
    let ObjectReference {
        name, namespace, ..
    } = &subject.reference;
    let lost: Vec<_> = losses
        .iter()
        .map(|loss| format!("{} is used by `{}`", loss.key, loss.holder_name))
        .collect();
    let note = format!(
        "the McpTenant `{}/{}` waits: {}, which is older",
        namespace.as_deref().unwrap_or_default(),
        name.as_deref().unwrap_or_default(),
        lost.join(", ")
    );
    tracing::warn!(namespace, name, reason, note);
    let event = Event {
        type_: EventType::Warning,
        reason: reason.to_owned(),
        note: Some(short(&note)),
        action: "Reconcile".into(),
        // Tells the Events of two losers apart.
        secondary: Some(subject.reference.clone()),
    };
    let identity = &ctx.settings.operator;
    let operator = ObjectReference {
        api_version: Some("v1".into()),
        kind: Some("ServiceAccount".into()),
        name: Some(identity.service_account.clone()),
        namespace: Some(identity.namespace.clone()),
        ..ObjectReference::default()
    };
    publish(&event, &operator, &fresh_recorder(ctx)).await;
}

/// The status after `outcome`. Pure.
pub fn status(subject: &Subject, outcome: &Outcome, now: Timestamp) -> McpTenantStatus {
    let before = &subject.before;
    let dated =
        |findings: &[Finding]| conditions(findings, &before.conditions, subject.generation, now);
    match outcome {
        Outcome::Placed(observed) => McpTenantStatus {
            observed_generation: subject.generation,
            conditions: dated(&observed.findings()),
            endpoint: Some(observed.endpoint.clone()),
            access: observed.access,
            contract_digest: Some(observed.contract_digest.clone()),
            policy_digest: Some(observed.policy_digest.clone()),
            tools_digest: observed.tools_digest.clone(),
            pending_approvals: observed.pending_approvals,
            connectors: observed.connectors.clone(),
            ledger: observed.mark.as_ref().map(LedgerStatus::from),
            replicas: observed.replicas,
            selector: Some(observed.selector.clone()),
        },
        Outcome::Held(obstacle) | Outcome::Suspended(obstacle, None) => {
            aside(subject, dated(&held(obstacle)))
        }
        Outcome::Suspended(obstacle, Some(seen)) => {
            let mut findings = held(obstacle);
            findings.extend([seen.server.clone(), seen.credentials.clone()]);
            McpTenantStatus {
                observed_generation: subject.generation,
                conditions: dated(&findings),
                access: seen.access,
                contract_digest: Some(seen.contract_digest.clone()),
                connectors: seen.connectors.clone(),
                replicas: seen.replicas,
                ..before.clone()
            }
        }
        Outcome::Failed(message) => aside(subject, dated(&failed(message))),
    }
}

/// What was not looked at stays as it was last seen.
fn aside(subject: &Subject, mut told: Vec<Condition>) -> McpTenantStatus {
    let before = &subject.before;
    let seen = |condition: &&Condition| {
        [
            SERVER_AVAILABLE,
            CREDENTIALS_READY,
            EXPOSED,
            ISOLATED,
            GUARDED,
            POLICY_ACCEPTED,
            LEDGER_HEALTHY,
            NOTIFICATIONS_READY,
        ]
        .contains(&condition.type_.as_str())
    };
    told.extend(before.conditions.iter().filter(seen).cloned());
    McpTenantStatus {
        observed_generation: subject.generation,
        conditions: told,
        ..before.clone()
    }
}

fn held(obstacle: &Obstacle) -> Vec<Finding> {
    let Obstacle { reason, message } = obstacle;
    let mut findings = vec![Finding::new(READY, false, *reason, message)];
    // To be suspended is meant; it is no trouble.
    if *reason != Reason::Suspended {
        findings.push(Finding::new(STALLED, true, *reason, message));
    }
    findings
}

fn failed(message: &str) -> Vec<Finding> {
    let finding = |type_, holds| Finding::new(type_, holds, Reason::ApplyFailed, message);
    vec![finding(READY, false), finding(RECONCILING, true)]
}

/// The Event of a change of readiness, where there is one. Pure.
pub fn transition(before: &McpTenantStatus, after: &McpTenantStatus) -> Option<Event> {
    let ready = |status: &McpTenantStatus| {
        find(status, READY).map(|ready| (ready.status.clone(), ready.reason.clone()))
    };
    if ready(before) == ready(after) {
        return None;
    }
    let now = find(after, READY)?;
    let is_trouble = find(after, STALLED).is_some() || now.reason == Reason::ApplyFailed.as_str();
    Some(Event {
        type_: if is_trouble {
            EventType::Warning
        } else {
            EventType::Normal
        },
        reason: now.reason.clone(),
        note: Some(short(&now.message)),
        action: "Reconcile".into(),
        secondary: None,
    })
}

fn find<'a>(status: &'a McpTenantStatus, type_: &str) -> Option<&'a Condition> {
    status
        .conditions
        .iter()
        .find(|condition| condition.type_ == type_)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telling::LONGEST_NOTE_BYTES;

    fn subject(before: McpTenantStatus) -> Subject {
        Subject {
            reference: ObjectReference::default(),
            generation: Some(3),
            before,
        }
    }

    fn observed(holds: bool) -> Outcome {
        let finding = |type_| Finding::new(type_, holds, Reason::AsDeclared, "told");
        Outcome::Placed(Box::new(Observed {
            server: finding(SERVER_AVAILABLE),
            credentials: finding(CREDENTIALS_READY),
            isolated: finding(ISOLATED),
            guarded: finding(GUARDED),
            ready: finding(READY),
            exposed: None,
            ledger: finding(LEDGER_HEALTHY),
            policies: None,
            notifications: None,
            mark: None,
            access: None,
            connectors: vec![],
            replicas: 1,
            endpoint: "http://server".into(),
            contract_digest: "sha256:0".into(),
            policy_digest: "sha256:1".into(),
            tools_digest: Some("sha256:2".into()),
            pending_approvals: Some(3),
            selector: "a=b".into(),
        }))
    }

    fn held(reason: Reason) -> Outcome {
        Outcome::Held(Obstacle::new(reason, "somebody has to do something"))
    }

    #[test]
    fn what_was_put_right_is_one_event_that_fits() {
        let deleted = |object: &str| Drift::Deleted {
            object: object.into(),
        };
        let both = correction(&[deleted("Service/server"), deleted("McpServer/server")], 0);
        assert_eq!(both.reason, "DriftCorrected");
        assert_eq!(
            both.note.unwrap(),
            "`Service/server` was deleted and has been made again; `McpServer/server` was deleted and has been made again"
        );
        let long = correction(&[deleted(&"ü".repeat(1000))], 7);
        let note = long.note.unwrap();
        assert!(note.starts_with("(7 corrections before this one were not told) `ü"));
        assert!(note.len() <= LONGEST_NOTE_BYTES);
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn words(status: &McpTenantStatus) -> Vec<String> {
        let word = |condition: &Condition| format!("{}={}", condition.type_, condition.status);
        status.conditions.iter().map(word).collect()
    }

    #[test]
    fn saying_the_same_again_writes_nothing() {
        for outcome in [
            observed(true),
            held(Reason::SpecInvalid),
            Outcome::Failed("no".into()),
        ] {
            let first = status(&subject(McpTenantStatus::default()), &outcome, at(1));
            let second = status(&subject(first.clone()), &outcome, at(2));
            assert_eq!(first, second);
        }
    }

    #[test]
    fn a_ready_tenant_has_no_other_troubles() {
        let status = status(&subject(McpTenantStatus::default()), &observed(true), at(1));
        assert_eq!(
            words(&status),
            [
                "Ready=True",
                "ServerAvailable=True",
                "CredentialsReady=True",
                "Isolated=True",
                "Guarded=True",
                "LedgerHealthy=True"
            ]
        );
        assert_eq!(status.observed_generation, Some(3));
    }

    #[test]
    fn what_was_not_looked_at_stays_as_it_was_seen() {
        let before = status(&subject(McpTenantStatus::default()), &observed(true), at(1));
        let after = status(
            &subject(before.clone()),
            &held(Reason::OperatorNotBound),
            at(2),
        );
        assert_eq!(
            words(&after),
            [
                "Ready=False",
                "Stalled=True",
                "ServerAvailable=True",
                "CredentialsReady=True",
                "Isolated=True",
                "Guarded=True",
                "LedgerHealthy=True"
            ]
        );
        assert_eq!(after.endpoint, before.endpoint);
        let mended = status(&subject(after), &observed(true), at(3));
        assert_eq!(words(&mended), words(&before));
    }

    #[test]
    fn a_suspended_tenant_is_not_in_trouble() {
        let status = status(
            &subject(McpTenantStatus::default()),
            &held(Reason::Suspended),
            at(1),
        );
        assert_eq!(words(&status), ["Ready=False"]);
    }

    #[test]
    fn a_long_message_still_makes_an_event() {
        let outcome = Outcome::Failed("ü".repeat(1000));
        let long = status(&subject(McpTenantStatus::default()), &outcome, at(1));
        let event = transition(&McpTenantStatus::default(), &long).unwrap();
        assert_eq!(event.note, Some("ü".repeat(512)));
    }

    #[test]
    fn an_event_tells_of_changes_of_readiness_alone() {
        let first = status(
            &subject(McpTenantStatus::default()),
            &held(Reason::SpecInvalid),
            at(1),
        );
        let event = transition(&McpTenantStatus::default(), &first).unwrap();
        assert_eq!(
            (event.type_, event.reason.as_str()),
            (EventType::Warning, "SpecInvalid")
        );
        assert!(transition(&first, &first).is_none());
        let ready = status(&subject(first.clone()), &observed(true), at(2));
        let event = transition(&first, &ready).unwrap();
        assert_eq!(
            (event.type_, event.reason.as_str()),
            (EventType::Normal, "AsDeclared")
        );
        let mut moved = ready.clone();
        moved.access = Some(tenantry_core::access::Access::Frozen);
        assert!(transition(&ready, &moved).is_none());
    }
}
