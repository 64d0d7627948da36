//! The lines of the chain of changes (WRITES §10), and proving them. Pure.
//!
//! The digest is that of the line's own bytes, without an end of line, so
//! whoever keeps the lines as text can prove them, as with `audit::chain`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tenantry_core::audit::AUDIT_VERSION;
use tenantry_core::audit::chain::{Head, LARGEST_LINE};
use tenantry_core::digest::Digest;
use tenantry_core::name::Organization;
use tenantry_core::strict_json;

use crate::change::ChangeId;
use crate::identity::LedgerId;

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
    /// People accepted a ledger that was not the expected one.
    LedgerAccepted,
    /// Something was switched off while the ledger could not be written to.
    Emergency,
}

/// One line before it is written.
pub(crate) struct Draft<'d> {
    pub ledger: &'d LedgerId,
    pub organization: &'d Organization,
    pub time: Timestamp,
    pub event: Event,
    pub change: Option<&'d ChangeId>,
    /// What the book itself has to say.
    pub detail: Value,
    /// The caller's redacted words.
    pub record: &'d Map<String, Value>,
}

/// A line that has its place.
pub(crate) struct Written {
    pub head: Head,
    pub text: String,
}

#[derive(Serialize)]
struct Line<'l> {
    audit: &'static str,
    kind: &'static str,
    ledger: &'l LedgerId,
    sequence: u64,
    previous: Digest,
    time: Timestamp,
    organization: &'l Organization,
    event: Event,
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<&'l ChangeId>,
    detail: &'l Value,
    record: &'l Value,
}

/// The kind of these lines, beside those of a process's own chain.
const KIND: &str = "change";

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
        let value =
            strict_json::parse(line.as_bytes()).map_err(|_| BrokenLines::Unreadable { after })?;
        let says = |field: &str, expected: &str| {
            value.get(field).and_then(Value::as_str) == Some(expected)
        };
        if !says("audit", AUDIT_VERSION) || !says("kind", KIND) {
            return Err(BrokenLines::Unreadable { after });
        }
        let follows = says("ledger", ledger.as_str())
            && says("previous", &head.digest.to_string())
            && value.get("sequence").and_then(Value::as_u64) == Some(after + 1);
        if !follows {
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
        let record = Value::Object(self.record.clone());
        let mut text = self.text(head, &self.detail, &record);
        if text.len() >= LARGEST_LINE {
            text = self.text(head, &self.detail, &too_long(&record));
        }
        if text.len() >= LARGEST_LINE {
            text = self.text(head, &too_long(&self.detail), &too_long(&record));
        }
        Written {
            head: Head {
                sequence: head.sequence + 1,
                digest: Digest::of(text.as_bytes()),
            },
            text,
        }
    }

    fn text(&self, head: Head, detail: &Value, record: &Value) -> String {
        crate::change::json(&Line {
            audit: AUDIT_VERSION,
            kind: KIND,
            ledger: self.ledger,
            sequence: head.sequence + 1,
            previous: head.digest,
            time: self.time,
            organization: self.organization,
            event: self.event,
            change: self.change,
            detail,
            record,
        })
    }
}

/// What stands in the place of something too long.
fn too_long(value: &Value) -> Value {
    json!({ "too_long": value.to_string().len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft<'d>(
        ledger: &'d LedgerId,
        acme: &'d Organization,
        record: &'d Map<String, Value>,
    ) -> Draft<'d> {
        Draft {
            ledger,
            organization: acme,
            time: "2026-06-01T12:00:00Z".parse().unwrap(),
            event: Event::Intent,
            change: None,
            detail: json!({"rules": []}),
            record,
        }
    }

    #[test]
    fn each_line_names_the_digest_of_the_one_before() {
        let ledger = LedgerId::of_random([1; 16]);
        let acme = Organization::parse("acme").unwrap();
        let record = Map::new();
        let draft = draft(&ledger, &acme, &record);
        let first = draft.after(Head::before_all());
        let second = draft.after(first.head);
        let lines = [first.text.as_str(), second.text.as_str()];
        assert_eq!(verify(lines, &ledger, Head::before_all()), Ok(second.head));
        assert_eq!(verify([lines[1]], &ledger, first.head), Ok(second.head));
        assert_eq!(
            first.text,
            format!(
                r#"{{"audit":"v1","kind":"change","ledger":"{ledger}","sequence":1,"previous":"{}","time":"2026-06-01T12:00:00Z","organization":"acme","event":"intent","detail":{{"rules":[]}},"record":{{}}}}"#,
                Digest::of(b"")
            )
        );
    }

    #[test]
    fn a_missing_a_changed_and_a_foreign_line_are_found() {
        let ledger = LedgerId::of_random([1; 16]);
        let acme = Organization::parse("acme").unwrap();
        let record = Map::new();
        let draft = draft(&ledger, &acme, &record);
        let first = draft.after(Head::before_all());
        let second = draft.after(first.head).text;
        let from = Head::before_all();
        let torn = |after| Err(BrokenLines::Torn { after });
        assert_eq!(verify([second.as_str()], &ledger, from), torn(0));
        let changed = first.text.replace("acme", "evil");
        assert_eq!(verify([changed.as_str(), &second], &ledger, from), torn(1));
        let other = LedgerId::of_random([2; 16]);
        assert_eq!(verify([first.text.as_str()], &other, from), torn(0));
        let unreadable = Err(BrokenLines::Unreadable { after: 0 });
        assert_eq!(verify(["{}"], &ledger, from), unreadable);
    }

    #[test]
    fn no_line_is_one_that_a_container_runtime_would_split() {
        let ledger = LedgerId::of_random([1; 16]);
        let acme = Organization::parse("acme").unwrap();
        let record = Map::from_iter([("x".to_owned(), json!("y".repeat(100_000)))]);
        let mut draft = draft(&ledger, &acme, &record);
        draft.detail = json!("z".repeat(100_000));
        let line = draft.after(Head::before_all()).text;
        assert!(line.len() < LARGEST_LINE);
        assert!(line.contains(r#""record":{"too_long":100008}"#), "{line}");
    }
}
