//! The audit record: one per call, refused ones included (WRITES §10).
//!
//! The type has no place for a key, a token or a header. Arguments are taken
//! in only after they matched the tool's schema; before that, their names are.
//! How it is written is `audit::ocsf`; how a line is tied to the one before is
//! `audit::chain`.

pub mod chain;
pub mod change_record;
mod line;
pub mod ocsf;
pub mod read;
pub mod verify;

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::access::ToolClass;
use crate::answer::Status;
use crate::key::KeyRecord;
use crate::name::AccountId;
use crate::reason::Reason;
use crate::trace::TraceContext;
use change_record::Deed;

/// The version of what a line has beyond OCSF, and of the chain's law.
pub const AUDIT_VERSION: &str = "v1";

/// Arguments beyond this many bytes are left out, and their size is said.
pub const LARGEST_ARGUMENTS: usize = 8 * 1024;

/// What stands in the place of a value that is kept out of the record.
const REDACTED: &str = "(redacted)";

/// Characters that are kept of a text in a line that would be too long.
const LONGEST_CUT_TEXT: usize = 200;

/// Names that are kept of arguments which did not pass their check.
const MOST_NAMES: usize = 32;

/// How far a call came (WRITES §1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Before a key was looked at: host, origin, size.
    Receive,
    /// Who is calling.
    Authenticate,
    /// What is asked, in which form.
    Check,
    /// Whether the caller may.
    Authorize,
    /// Whether the vendor's objects are the organisation's own.
    Own,
    /// Whether the key of a change was used before.
    Claim,
    /// What a change would do.
    Prepare,
    /// Whether the policies let a change through.
    Decide,
    /// The call to the vendor.
    Send,
    /// The whole way.
    Respond,
}

/// What happened in one call, as the one who handled it knows it.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditEvent {
    /// The same as in the answer.
    pub call_id: String,
    /// Where the call stands in its caller's trace.
    pub trace: Option<TraceContext>,
    /// Where it came from, as the server saw it.
    pub source: Option<IpAddr>,
    /// Who called, where that is known.
    pub actor: Option<Actor>,
    /// The MCP method, where the message could be read.
    pub method: Option<String>,
    /// The tool, in the caller's words when no such tool exists.
    pub tool: Option<String>,
    /// What the tool can do at worst.
    pub class: Option<ToolClass>,
    /// What it does to the object, where that was found out.
    pub deed: Option<Deed>,
    /// The connector.
    pub connector: Option<String>,
    /// The account, once it is known to be the organisation's.
    pub account: Option<String>,
    /// The object that the arguments name, where they name one.
    pub object: Option<Object>,
    /// The change that it asked for; its own lines carry the same.
    pub change: Option<String>,
    /// The arguments.
    pub arguments: Option<Arguments>,
    /// How it ended.
    pub outcome: Status,
    /// Why, unless it was done.
    pub reason: Option<Reason>,
    /// How far it came.
    pub stage: Stage,
    /// Requests made to the vendor for it.
    pub vendor_requests: u32,
    /// How long it took.
    pub duration_ms: u64,
    /// Like events that were counted but not written before this one, because
    /// strangers may cause any number of them.
    pub suppressed: u64,
    /// Whether texts in it were cut, so that it stays one line.
    pub truncated: bool,
}

/// An event about which nothing is known yet.
pub fn blank_event(call_id: String) -> AuditEvent {
    AuditEvent {
        call_id,
        trace: None,
        source: None,
        actor: None,
        method: None,
        tool: None,
        class: None,
        deed: None,
        connector: None,
        account: None,
        object: None,
        change: None,
        arguments: None,
        outcome: Status::Refused,
        reason: None,
        stage: Stage::Receive,
        vendor_requests: 0,
        duration_ms: 0,
        suppressed: 0,
        truncated: false,
    }
}

impl AuditEvent {
    /// The same in a few KiB at most: every text cut, arguments as their size.
    #[must_use]
    fn cut(mut self) -> Self {
        let actor = self.actor.as_mut();
        let (owner, agent) = actor
            .map(|actor| (&mut actor.owner, actor.agent.as_mut()))
            .unzip();
        let object = self.object.as_mut();
        let (kind, id) = object
            .map(|object| (&mut object.kind, &mut object.id))
            .unzip();
        let texts = [
            Some(&mut self.call_id),
            kind,
            id,
            owner,
            agent.flatten(),
            self.method.as_mut(),
            self.tool.as_mut(),
            self.connector.as_mut(),
            self.account.as_mut(),
        ];
        texts.into_iter().flatten().for_each(cut);
        self.arguments = self.arguments.map(Arguments::without_values);
        self.truncated = true;
        self
    }
}

fn cut(text: &mut String) {
    if let Some((end, _)) = text.char_indices().nth(LONGEST_CUT_TEXT) {
        text.truncate(end);
        text.push('…');
    }
}

/// Who called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Actor {
    /// The key's public id.
    pub key: String,
    /// The Kubernetes user that answers for it.
    pub owner: String,
    /// The program that uses it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
}

/// An object at a vendor. What the caller does not hear stands here: whether
/// it exists, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// What kind of object it was said to be.
    pub kind: String,
    /// Its id.
    pub id: String,
    /// How it stands to the organisation.
    pub standing: Standing,
    /// Whose it is by the vendor's word, where it said so.
    pub account: Option<AccountId>,
}

/// How an object stands to the organisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// The vendor was not asked, or did not answer.
    Claimed,
    /// It belongs to an account that the caller may use.
    Owned,
    /// It exists, in an account that the caller may not use.
    Foreign,
    /// The vendor knows no such object.
    Unknown,
}

impl Actor {
    /// The actor behind a key that was admitted.
    pub fn of(key: &KeyRecord) -> Self {
        Self {
            key: key.id.to_string(),
            owner: key.owner.clone(),
            agent: key.agent.clone(),
        }
    }
}

/// What is kept of a call's arguments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arguments {
    /// All of them: they matched the tool's schema.
    Checked(Map<String, Value>),
    /// Their size in bytes: they matched, but are too long for a line.
    TooLong(usize),
    /// Their names, cut short: they did not match.
    Names(Vec<String>),
}

impl Arguments {
    /// Arguments that matched the schema, without the values of those whose
    /// names are in `redact`.
    pub fn checked(arguments: &Map<String, Value>, redact: &BTreeSet<String>) -> Self {
        let size = size(arguments);
        if size > LARGEST_ARGUMENTS {
            return Self::TooLong(size);
        }
        let mut kept = arguments.clone();
        redacted(&mut kept, redact);
        Self::Checked(kept)
    }

    /// The same of arguments that hold those of several calls, in the list `each`.
    pub fn checked_each(
        arguments: &Map<String, Value>,
        each: &str,
        redact: &BTreeSet<String>,
    ) -> Self {
        let mut kept = arguments.clone();
        let calls = kept.get_mut(each).and_then(Value::as_array_mut);
        for call in calls.into_iter().flatten() {
            if let Value::Object(call) = call {
                redacted(call, redact);
            }
        }
        Self::checked(&kept, redact)
    }

    /// Their size alone.
    fn without_values(self) -> Self {
        let size = match &self {
            Self::Checked(arguments) => size(arguments),
            Self::TooLong(size) => *size,
            Self::Names(names) => size(names),
        };
        Self::TooLong(size)
    }

    /// Arguments that did not: anything may stand in them.
    pub fn unchecked(arguments: &Map<String, Value>) -> Self {
        let short = |name: &String| name.chars().take(64).collect();
        Self::Names(arguments.keys().take(MOST_NAMES).map(short).collect())
    }
}

fn redacted(arguments: &mut Map<String, Value>, redact: &BTreeSet<String>) {
    for name in redact {
        if let Some(value) = arguments.get_mut(name) {
            *value = REDACTED.into();
        }
    }
}

fn size(value: &impl Serialize) -> usize {
    serde_json::to_string(value).map_or(usize::MAX, |text| text.len())
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for a reference"
)]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_of_unchecked_arguments_are_not_kept() {
        let arguments = json!({"account": "tnt_demo_secret", "x".repeat(100): 1});
        let kept = Arguments::unchecked(arguments.as_object().unwrap());
        assert_eq!(
            kept,
            Arguments::Names(vec!["account".into(), "x".repeat(64)])
        );
    }

    #[test]
    fn redacted_values_are_not_kept() {
        let arguments = json!({"account": "act_1", "filter": {"name": "x"}});
        let redact = ["filter".to_owned(), "other".to_owned()].into();
        let kept = Arguments::checked(arguments.as_object().unwrap(), &redact);
        assert_eq!(
            serde_json::to_value(kept).unwrap(),
            json!({"checked": {"account": "act_1", "filter": "(redacted)"}})
        );
    }

    #[test]
    fn long_arguments_are_replaced_by_their_size() {
        let arguments = json!({"text": "x".repeat(LARGEST_ARGUMENTS)});
        let kept = Arguments::checked(arguments.as_object().unwrap(), &BTreeSet::new());
        assert_eq!(kept, Arguments::TooLong(LARGEST_ARGUMENTS + 11));
    }
}
