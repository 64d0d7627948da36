//! The lines of the chain of changes (WRITES §10), as OCSF has them, and
//! proving them. Pure.
//!
//! The digest is that of the line's own bytes, without an end of line, so
//! whoever keeps the lines as text can prove them, as with `audit::chain`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tenantry_core::access::ToolClass;
use tenantry_core::audit::chain::{Head, LARGEST_LINE};
use tenantry_core::audit::change_record::ChangeRecord;
use tenantry_core::audit::ocsf::{
    Api, ApiActivity, Control, Endpoint, EventActor, EventClass, EventResult, EventStatus,
    Metadata, MetadataParts, Policy, Resource, ResourceData, Severity, Trace, epoch_ms,
};
use tenantry_core::audit::read::AuditLine;
use tenantry_core::audit::verify::changes::CHANGE;
use tenantry_core::digest::Digest;
use tenantry_core::name::Organization;
use tenantry_core::strict_json;
use tenantry_core::trace::Id;

use crate::change::ChangeId;
use tenantry_core::ledger_mark::LedgerId;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A change may be made, and its money is reserved.
    Intent,
    /// A change waits for people.
    Asked,
    /// A change may not be made, or not now.
    Refused,
    /// A change is decided again, because what it was decided on has changed.
    SteppedBack,
    /// How a change ended, or that nobody knows.
    Outcome,
    /// Somebody else carries a change on.
    TakenOver,
    /// People agreed, and a change is carried out.
    Execution,
    /// A question to people has ended.
    ApprovalEnded,
    /// People found out what became of a change.
    Resolved,
    /// People accepted a ledger that was not the expected one.
    LedgerAccepted,
    /// Something was switched off while the ledger could not be written to.
    Emergency,
}

/// One line before it is written.
pub(crate) struct Draft<'d> {
    pub ledger: &'d LedgerId,
    pub organization: &'d Organization,
    pub tenant_uid: &'d str,
    pub time: Timestamp,
    pub event: Event,
    pub change: Option<&'d ChangeId>,
    /// What the book itself has to say.
    pub detail: Value,
    /// What a `ChangeRecord` made, or nothing.
    pub record: &'d Map<String, Value>,
}

/// A line that has its place.
pub(crate) struct Written {
    pub head: Head,
    pub text: String,
}

/// What a change has beyond OCSF.
#[derive(Serialize)]
struct ChangeFacts<'l> {
    ledger: &'l LedgerId,
    previous: Digest,
    organization: &'l Organization,
    event: Event,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<ToolClass>,
    #[serde(skip_serializing_if = "Option::is_none")]
    idempotency_digest: Option<Digest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    undoes: Option<&'l str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    batch: Option<&'l str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    vendor_request_ids: &'l [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    span_id: Option<Id<8>>,
    /// What the book has to say, where it is neither a decision nor a result.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'l Value>,
    /// The record, where it is not a change's.
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<&'l Value>,
}

/// What was handed in of the change.
enum Told {
    /// Nothing: the book acts by itself.
    Nothing,
    /// What every line of a change carries.
    Change(Box<ChangeRecord>),
    /// Something else.
    Other(Value),
}

/// The kind of these lines, beside those of a process's own chain.
const KIND: &str = CHANGE;

/// Why lines are not the chain of one ledger, as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BrokenLines {
    /// It is no line of a ledger.
    #[error("the line after sequence {after} is not a ledger's")]
    Unreadable {
        /// The last that was proven.
        after: u64,
    },
    /// It is another ledger's, or lines before it are missing.
    #[error("the line after sequence {after} does not follow it")]
    Torn {
        /// The last that was proven.
        after: u64,
    },
}

/// Proves that `lines` follow `from`, and says where they lead.
pub fn verify<'l>(
    lines: impl IntoIterator<Item = &'l str>,
    ledger: &LedgerId,
    from: Head,
) -> Result<Head, BrokenLines> {
    let mut head = from;
    for line in lines {
        let after = head.sequence;
        let unreadable = BrokenLines::Unreadable { after };
        let value = strict_json::parse(line.as_bytes()).map_err(|_| unreadable)?;
        let line_of = AuditLine::of(&value).filter(|line| line.kind() == Some(KIND));
        let said = line_of.ok_or(unreadable)?;
        let is_own = said.own("ledger").and_then(Value::as_str) == Some(ledger.as_str());
        if !is_own || said.follows() != Some(head) {
            return Err(BrokenLines::Torn { after });
        }
        head = Head {
            sequence: after + 1,
            digest: Digest::of(line.as_bytes()),
        };
    }
    Ok(head)
}

impl Draft<'_> {
    /// The line that follows `head`; cut down where a container runtime would
    /// split it.
    pub(crate) fn after(&self, head: Head) -> Written {
        let told = Told::of(self.record);
        let mut text = self.text(head, &self.detail, &told, false);
        if text.len() >= LARGEST_LINE {
            let told = told.cut();
            text = self.text(head, &self.detail, &told, true);
            if text.len() >= LARGEST_LINE {
                text = self.text(head, &too_long(&self.detail), &told, true);
            }
        }
        Written {
            head: Head {
                sequence: head.sequence + 1,
                digest: Digest::of(text.as_bytes()),
            },
            text,
        }
    }

    fn text(&self, head: Head, detail: &Value, told: &Told, is_truncated: bool) -> String {
        let change = told.change();
        let decided = Some(detail).filter(|_| self.event.is_decision());
        let digest = change.and_then(|change| change.policy_digest);
        let policy = (decided.is_some() || digest.is_some()).then(|| Policy::of(digest, decided));
        let result = self.event.result(detail);
        let trace = change.and_then(|change| change.trace);
        crate::change::json(&ApiActivity {
            metadata: Metadata::of(MetadataParts {
                event_code: KIND,
                sequence: head.sequence + 1,
                tenant_uid: Some(self.tenant_uid),
                correlation_uid: self.change.map(ChangeId::as_str),
                is_truncated,
                is_controlled: policy.is_some() || result.control.is_some(),
                is_traced: trace.is_some(),
            }),
            time: epoch_ms(self.time),
            class: EventClass::of_deed(change.map(|change| change.deed)),
            result,
            duration: None,
            actor: change.map_or_else(EventActor::server, |it| EventActor::of(Some(&it.actor))),
            api: self.api(change, detail),
            src_endpoint: change.map_or_else(Endpoint::server, |it| Endpoint::of(it.source)),
            resources: change.map(resources).unwrap_or_default(),
            policy,
            trace: trace.map(|trace| Trace {
                uid: trace.trace_id,
            }),
            unmapped: ChangeFacts {
                ledger: self.ledger,
                previous: head.digest,
                organization: self.organization,
                event: self.event,
                class: change.map(|change| change.class),
                idempotency_digest: change.and_then(|change| change.idempotency_digest),
                undoes: change.and_then(|change| change.undoes.as_deref()),
                batch: change.and_then(|change| change.batch.as_deref()),
                vendor_request_ids: change.map_or(&[], |change| &change.vendor_request_ids),
                span_id: trace.map(|trace| trace.span_id),
                detail: Some(detail)
                    .filter(|_| !self.event.is_decision() && !self.event.is_outcome()),
                record: told.other(),
            },
        })
    }

    fn api<'a>(&self, change: Option<&'a ChangeRecord>, detail: &'a Value) -> Api<'a> {
        let result = Some(detail).filter(|_| self.event.is_outcome());
        let api = match change {
            // What the book does of its own accord has no tool.
            None => Api::of(Some(self.event.as_str())),
            Some(change) => Api::of(Some(change.tool.as_str()))
                .at(Some(change.connector.as_str()))
                .with_key_of(Some(&change.actor))
                .asked(&change.call_id, Some(&change.arguments)),
        };
        api.answered(result)
    }
}

impl Event {
    fn as_str(self) -> &'static str {
        match self {
            Self::Intent => "intent",
            Self::Asked => "asked",
            Self::Refused => "refused",
            Self::SteppedBack => "stepped_back",
            Self::Outcome => "outcome",
            Self::TakenOver => "taken_over",
            Self::Execution => "execution",
            Self::ApprovalEnded => "approval_ended",
            Self::Resolved => "resolved",
            Self::LedgerAccepted => "ledger_accepted",
            Self::Emergency => "emergency",
        }
    }

    /// Whether its detail says what became of a change.
    fn is_outcome(self) -> bool {
        matches!(self, Self::Outcome | Self::Resolved)
    }

    /// Whether its detail says how it was decided.
    fn is_decision(self) -> bool {
        matches!(self, Self::Intent | Self::Asked | Self::Refused)
    }

    fn result(self, detail: &Value) -> EventResult<'_> {
        let (severity_id, status) = match self {
            Self::Refused | Self::ApprovalEnded => (Severity::Low, EventStatus::FAILURE),
            Self::Outcome | Self::Resolved | Self::Emergency => {
                match detail.get("outcome").and_then(Value::as_str) {
                    Some("applied") => (Severity::Informational, EventStatus::SUCCESS),
                    Some("not_applied") => (Severity::Low, EventStatus::FAILURE),
                    // Nobody knows what money does.
                    _ => (Severity::Medium, EventStatus::UNKNOWN),
                }
            }
            Self::LedgerAccepted => (Severity::Medium, EventStatus::SUCCESS),
            Self::Intent | Self::Asked | Self::SteppedBack | Self::TakenOver | Self::Execution => {
                (Severity::Informational, EventStatus::other(self.as_str()))
            }
        };
        EventResult {
            severity_id,
            status,
            status_code: None,
            control: match self {
                Self::Intent => Some(Control::ALLOWED),
                Self::Asked => Some(Control::DELAYED),
                Self::Refused => Some(Control::BLOCKED),
                Self::Execution => Some(Control::APPROVED),
                Self::ApprovalEnded => Some(Control::REJECTED),
                Self::SteppedBack
                | Self::Outcome
                | Self::Resolved
                | Self::TakenOver
                | Self::LedgerAccepted
                | Self::Emergency => None,
            },
        }
    }
}

impl Told {
    fn of(record: &Map<String, Value>) -> Self {
        if record.is_empty() {
            return Self::Nothing;
        }
        match ChangeRecord::of_map(record) {
            Some(change) => Self::Change(Box::new(change)),
            None => Self::Other(Value::Object(record.clone())),
        }
    }

    fn cut(self) -> Self {
        match self {
            Self::Nothing => Self::Nothing,
            Self::Change(change) => Self::Change(Box::new(change.cut())),
            Self::Other(record) => Self::Other(too_long(&record)),
        }
    }

    fn change(&self) -> Option<&ChangeRecord> {
        match self {
            Self::Change(change) => Some(change),
            Self::Nothing | Self::Other(_) => None,
        }
    }

    fn other(&self) -> Option<&Value> {
        match self {
            Self::Other(record) => Some(record),
            Self::Nothing | Self::Change(_) => None,
        }
    }
}

/// The account, and the object with how it changes; what is about to be made
/// has no name yet, and stands with its account.
fn resources(change: &ChangeRecord) -> Vec<Resource<'_>> {
    let account = change.account.as_str();
    let (before, after) = (change.before.as_ref(), change.after.as_ref());
    let data = Some(ResourceData::Change { before, after })
        .filter(|_| before.is_some() || after.is_some());
    let mut account_of = Resource::account(account);
    let Some(object) = &change.object else {
        account_of.data = data;
        return vec![account_of];
    };
    let object = Resource {
        kind: &object.kind,
        uid: &object.id,
        namespace: Some(account),
        data,
    };
    vec![account_of, object]
}

/// What stands in the place of something too long.
fn too_long(value: &Value) -> Value {
    json!({ "too_long": value.to_string().len() })
}

#[cfg(test)]
#[path = "line/tests.rs"]
mod tests;
