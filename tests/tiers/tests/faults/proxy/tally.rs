//! Which writes there were, and which of them changed something.

use std::collections::HashMap;

use bytes::Bytes;

use crate::fault::{Subject, WriteId};

/// A write that was answered.
#[derive(Debug, Clone)]
pub struct Write {
    pub subject: Subject,
    pub status: u16,
    pub version: u64,
    /// Whether the object's version is another one since.
    pub changed: bool,
    pub body: Bytes,
}

/// The writes of one operator, through all its lives.
#[derive(Debug, Default)]
pub struct Tally {
    pub writes: Vec<Write>,
    counts: HashMap<Subject, usize>,
    bodies: HashMap<Subject, Bytes>,
}

impl Tally {
    /// Counts from here.
    pub fn begin(&mut self) {
        self.writes.clear();
        self.counts.clear();
    }

    pub fn note(&mut self, write: Write) {
        if write.changed {
            *self.counts.entry(write.subject.clone()).or_default() += 1;
            self.bodies
                .insert(write.subject.clone(), write.body.clone());
        }
        self.writes.push(write);
    }

    /// How often that was changed.
    pub fn changes(&self, subject: &Subject) -> usize {
        self.counts.get(subject).copied().unwrap_or(0)
    }

    /// Whether a write is likely to change something: the same words again
    /// do not.
    pub fn is_news(&self, subject: &Subject, body: &Bytes) -> bool {
        self.bodies.get(subject) != Some(body)
    }
}

/// The writes that changed something, by their ids.
pub fn ids(writes: &[Write]) -> Vec<WriteId> {
    let mut counts: HashMap<&Subject, usize> = HashMap::new();
    let changes = writes.iter().filter(|write| write.changed);
    changes
        .map(|write| {
            let count = counts.entry(&write.subject).or_default();
            *count += 1;
            WriteId {
                subject: write.subject.clone(),
                nth: *count,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(name: &str, changed: bool, body: &'static str) -> Write {
        Write {
            subject: Subject {
                verb: "patch".into(),
                resource: "things".into(),
                place: 0,
                name: name.into(),
            },
            status: 200,
            version: 1,
            changed,
            body: body.into(),
        }
    }

    #[test]
    fn only_what_changes_something_counts() {
        let mut tally = Tally::default();
        let all = [
            write("a", true, "1"),
            write("b", true, "1"),
            write("a", false, "1"),
            write("a", true, "2"),
        ];
        for write in all.clone() {
            tally.note(write);
        }
        let subject = &all[0].subject;
        assert_eq!(tally.changes(subject), 2);
        assert!(tally.is_news(subject, &"1".into()));
        assert!(!tally.is_news(subject, &"2".into()));
        let ids: Vec<_> = ids(&all).iter().map(ToString::to_string).collect();
        let expected = [
            "patch:things:0:a#1",
            "patch:things:0:b#1",
            "patch:things:0:a#2",
        ];
        assert_eq!(ids, expected);
        tally.begin();
        assert_eq!(tally.changes(subject), 0);
        // What stands there stands there still.
        assert!(!tally.is_news(subject, &"2".into()));
    }
}
