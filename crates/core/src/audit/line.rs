//! What the lines of a process's chain say, as OCSF has it: calls, and what
//! the chain says of itself. How lines are tied together is `audit::chain`.

use jiff::Timestamp;
use serde::Serialize;

use super::chain::{Head, Identity, Kind, PublicKey};
use super::ocsf::{
    Api, ApiActivity, Endpoint, EventActor, EventClass, EventResult, Lifecycle, Metadata,
    MetadataParts, Product, Resource, ResourceData, SERVER, Severity, Trace, epoch_ms,
};
use super::{AuditEvent, Stage};
use crate::access::ToolClass;
use crate::answer::Status;
use crate::digest::Digest;
use crate::name::{AccountId, Organization};
use crate::trace::Id;

/// Where a line stands, and when.
pub(super) struct Place<'l> {
    pub kind: Kind,
    pub boot_id: &'l str,
    /// The line before.
    pub head: Head,
    pub identity: &'l Identity,
    pub time: Timestamp,
}

/// What is in every line of a process.
#[derive(Serialize)]
struct Chained<'l> {
    boot_id: &'l str,
    previous: Digest,
    organization: &'l Organization,
}

/// What a call has beyond OCSF.
#[derive(Serialize)]
struct CallFacts<'l> {
    #[serde(flatten)]
    chained: Chained<'l>,
    /// Where no tool was called.
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'l str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<ToolClass>,
    outcome: Status,
    stage: Stage,
    vendor_requests: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    span_id: Option<Id<8>>,
    #[serde(skip_serializing_if = "super::is_zero")]
    suppressed: u64,
}

#[derive(Serialize)]
struct StartFacts<'l> {
    #[serde(flatten)]
    chained: Chained<'l>,
    public_key: PublicKey,
}

#[derive(Serialize)]
struct CheckpointFacts<'l> {
    #[serde(flatten)]
    chained: Chained<'l>,
    /// Events since the start that were counted and have no line.
    suppressed_total: u64,
    /// The last line of a ledger between the lines of the process.
    #[serde(skip_serializing_if = "Option::is_none")]
    changes_head: Option<Digest>,
}

impl<'l> Place<'l> {
    /// The first line.
    pub(super) fn start(&self, public_key: PublicKey, release: &str) -> Vec<u8> {
        let chained = self.chained();
        let facts = StartFacts {
            chained,
            public_key,
        };
        self.lifecycle(EventClass::start(), Some(release), facts)
    }

    /// A line that vouches for all before it, as far as the signature covers
    /// it: the two braces at its end are missing.
    pub(super) fn unsigned_checkpoint(
        &self,
        suppressed_total: u64,
        changes_head: Option<Digest>,
    ) -> Vec<u8> {
        let class = match self.kind {
            Kind::End => EventClass::stop(),
            Kind::Start | Kind::Event | Kind::Checkpoint => EventClass::checkpoint(),
        };
        let chained = self.chained();
        let facts = CheckpointFacts {
            chained,
            suppressed_total,
            changes_head,
        };
        let mut text = self.lifecycle(class, None, facts);
        // INVARIANT: `unmapped` is the last field.
        text.truncate(text.len().saturating_sub(2));
        text
    }

    /// The line of a call.
    pub(super) fn call(&self, event: &AuditEvent) -> Vec<u8> {
        let operation = event.tool.as_deref().or(event.method.as_deref());
        json(&ApiActivity {
            metadata: self.metadata(Some(event)),
            time: epoch_ms(self.time),
            class: EventClass::of_call(event.class, event.deed),
            result: EventResult::of(
                event.outcome,
                event.reason.as_ref().map(|reason| reason.as_str()),
            ),
            duration: Some(event.duration_ms),
            actor: EventActor::of(event.actor.as_ref()),
            api: Api::of(operation)
                .at(event.connector.as_deref())
                .with_key_of(event.actor.as_ref())
                .asked(&event.call_id, event.arguments.as_ref()),
            src_endpoint: Endpoint::of(event.source),
            resources: resources(event),
            policy: None,
            trace: event.trace.map(|trace| Trace {
                uid: trace.trace_id,
            }),
            unmapped: CallFacts {
                chained: self.chained(),
                method: event.method.as_deref().filter(|_| event.tool.is_none()),
                class: event.class,
                outcome: event.outcome,
                stage: event.stage,
                vendor_requests: event.vendor_requests,
                span_id: event.trace.map(|trace| trace.span_id),
                suppressed: event.suppressed,
            },
        })
    }

    fn lifecycle(
        &self,
        class: EventClass,
        release: Option<&str>,
        facts: impl Serialize,
    ) -> Vec<u8> {
        json(&Lifecycle {
            metadata: self.metadata(None),
            time: epoch_ms(self.time),
            class,
            severity_id: Severity::Informational,
            app: Product {
                name: SERVER,
                version: release,
            },
            unmapped: facts,
        })
    }

    fn metadata<'e>(&'e self, event: Option<&'e AuditEvent>) -> Metadata<'e> {
        Metadata::of(MetadataParts {
            event_code: self.kind.as_str(),
            sequence: self.head.sequence + 1,
            tenant_uid: Some(&self.identity.tenant_uid),
            correlation_uid: event.and_then(|event| event.change.as_deref()),
            is_truncated: event.is_some_and(|event| event.truncated),
            is_controlled: event.is_some_and(|event| {
                matches!(event.outcome, Status::Refused | Status::PendingApproval)
            }),
            is_traced: event.is_some_and(|event| event.trace.is_some()),
        })
    }

    fn chained(&self) -> Chained<'l> {
        Chained {
            boot_id: self.boot_id,
            previous: self.head.digest,
            organization: &self.identity.organization,
        }
    }
}

fn resources(event: &AuditEvent) -> Vec<Resource<'_>> {
    let account = event.account.as_deref().map(Resource::account);
    let object = event.object.as_ref().map(|object| Resource {
        kind: &object.kind,
        uid: &object.id,
        namespace: object.account.as_ref().map(AccountId::as_str),
        data: Some(ResourceData::Standing {
            standing: object.standing,
        }),
    });
    account.into_iter().chain(object).collect()
}

fn json(line: &impl Serialize) -> Vec<u8> {
    // INVARIANT: a struct of strings and numbers always has a JSON form.
    serde_json::to_vec(line).unwrap_or_default()
}
