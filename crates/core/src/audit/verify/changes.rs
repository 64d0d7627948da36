//! Proving the lines of a ledger, as they stand between those of a process: its
//! own chain, which goes on from process to process.

use std::collections::VecDeque;

use serde_json::Value;

use super::BrokenChain;
use crate::audit::chain::Head;
use crate::audit::read::AuditLine;
use crate::digest::Digest;

/// The kind of these lines.
pub const CHANGE: &str = "change";

/// Lines that may leave once more, after the last one that did: those of a
/// batch that nobody could note down.
const MOST_REPEATED: usize = 256;

/// The reading end of the chain of one ledger, line by line.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    ledger: Option<String>,
    /// The last lines, the newest at the end.
    last: VecDeque<Head>,
    /// The sequence of the first line that was read.
    first: u64,
    lines: u64,
}

/// What was proven of changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangesProof {
    /// The ledger.
    pub ledger: String,
    /// The first of its lines that was read; before it, nothing is known.
    pub first: u64,
    /// The last.
    pub head: Head,
    /// How many were read, repetitions among them.
    pub lines: u64,
}

impl Changes {
    /// Takes the next line, which stands at `line` of its file. `false` if it is
    /// no line of a ledger.
    pub fn read(&mut self, text: &[u8], value: &Value, line: u64) -> Result<bool, BrokenChain> {
        let Some(said) = AuditLine::of(value).filter(|said| said.kind() == Some(CHANGE)) else {
            return Ok(false);
        };
        let unreadable = BrokenChain::Unreadable { line };
        let follows = said.follows().ok_or(unreadable.clone())?;
        let ledger = said.own("ledger").and_then(Value::as_str);
        let ledger = ledger.ok_or(unreadable)?;
        let own = self.ledger.get_or_insert_with(|| ledger.to_owned());
        let head = Head {
            sequence: follows.sequence + 1,
            digest: Digest::of(text),
        };
        let goes_on = match self.last.back() {
            None => true,
            Some(last) => *last == follows,
        };
        if own != ledger || !(goes_on || self.last.contains(&head)) {
            return Err(BrokenChain::Torn { line });
        }
        if goes_on {
            if self.last.is_empty() {
                self.first = head.sequence;
            }
            self.last.push_back(head);
            if self.last.len() > MOST_REPEATED {
                self.last.pop_front();
            }
        }
        self.lines += 1;
        Ok(true)
    }

    /// Whether a signed line of the process names the last of these lines, where
    /// it names any: the signature covers them then.
    pub(super) fn is_vouched_for(&self, signed: &Value) -> Option<()> {
        let named = AuditLine::of(signed)?.own("changes_head");
        let Some(named) = named else { return Some(()) };
        let named = Digest::parse(named.as_str()?).ok()?;
        (self.last.back()?.digest == named).then_some(())
    }

    /// What was proven, if there were lines of a ledger.
    pub fn finish(self) -> Option<ChangesProof> {
        Some(ChangesProof {
            ledger: self.ledger?,
            first: self.first,
            head: *self.last.back()?,
            lines: self.lines,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line(ledger: &str, follows: Head) -> (String, Head) {
        let text = json!({
            "metadata": {"log_name": "tenantry.audit", "log_version": "v1", "event_code": "change",
                "sequence": follows.sequence + 1},
            "unmapped": {"ledger": ledger, "previous": follows.digest},
        })
        .to_string();
        let digest = Digest::of(text.as_bytes());
        let sequence = follows.sequence + 1;
        (text, Head { sequence, digest })
    }

    fn read(texts: &[&str]) -> Result<Option<ChangesProof>, BrokenChain> {
        let mut changes = Changes::default();
        for (text, number) in texts.iter().zip(1..) {
            let value = serde_json::from_str(text).unwrap();
            assert!(changes.read(text.as_bytes(), &value, number)?);
        }
        Ok(changes.finish())
    }

    #[test]
    fn lines_follow_each_other_and_may_come_twice() {
        let (one, first) = line("a", Head::before_all());
        let (two, second) = line("a", first);
        let (three, third) = line("a", second);
        let proof = read(&[&one, &two, &one, &two, &three]).unwrap().unwrap();
        assert_eq!((proof.first, proof.head, proof.lines), (1, third, 5));
        // Earlier ones are with an earlier process.
        assert_eq!(read(&[&three]).unwrap().unwrap().first, 3);
    }

    #[test]
    fn a_missing_a_foreign_and_a_changed_line_are_named() {
        let (one, first) = line("a", Head::before_all());
        let (two, second) = line("a", first);
        let (three, _) = line("a", second);
        let torn = |line| Err(BrokenChain::Torn { line });
        assert_eq!(read(&[&one, &three]), torn(2));
        assert_eq!(read(&[&one, &line("b", first).0]), torn(2));
        let changed = two.replace(r#""sequence":2"#, r#""sequence":2,"x":1"#);
        assert_eq!(read(&[&one, &changed, &three]), torn(3));
        let (forked, _) = line(
            "a",
            Head {
                sequence: 1,
                ..second
            },
        );
        assert_eq!(read(&[&one, &two, &forked]), torn(3));
    }

    #[test]
    fn a_signature_names_the_last_line_before_it() {
        let (one, first) = line("a", Head::before_all());
        let mut changes = Changes::default();
        let signed = |digest: Digest| {
            json!({
                "metadata": {"log_name": "tenantry.audit", "log_version": "v1"},
                "unmapped": {"changes_head": digest},
            })
        };
        assert_eq!(changes.is_vouched_for(&signed(first.digest)), None);
        let value = serde_json::from_str(&one).unwrap();
        changes.read(one.as_bytes(), &value, 1).unwrap();
        assert_eq!(changes.is_vouched_for(&signed(first.digest)), Some(()));
        let other = Head::before_all().digest;
        assert_eq!(changes.is_vouched_for(&signed(other)), None);
    }
}
