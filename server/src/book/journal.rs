//! What was switched off while the ledger could not be written to. A file of a
//! fixed size whose blocks are its own from the start: a full disk does not
//! keep anything running. All of it touches the disk, so it is called off the
//! runtime.

use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Map, json};
use tenantry_ledger::outbox::OffBook;

/// Some hundred stops, each with its outcome.
const BYTES: usize = 512 * 1024;

/// The journal. While pods overlap, two processes have it.
pub struct Journal(Mutex<File>);

/// What stood in the journal at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents(Vec<u8>);

/// The file while nobody else has it, in this process or another.
struct Turn<'j>(MutexGuard<'j, File>);

impl Journal {
    /// Opens it, with what an earlier process left in it.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false);
        let journal = Self(Mutex::new(options.open(path)?));
        journal.turn()?.make_whole()?;
        Ok(journal)
    }

    /// Puts a record down; it is on the disk when this returns.
    pub fn add(&self, record: &OffBook) -> Result<(), Error> {
        let mut text = serde_json::to_vec(record)?;
        text.push(b'\n');
        let turn = self.turn()?;
        let Contents(before) = turn.contents()?;
        // Whoever broke off before must not take this record along.
        if before.last().is_some_and(|last| *last != b'\n') {
            text.insert(0, b'\n');
        }
        if before.len() + text.len() > BYTES {
            return Err(ErrorKind::StorageFull.into());
        }
        turn.write(&text, before.len())
    }

    /// What stands in it now.
    pub fn contents(&self) -> Result<Contents, Error> {
        self.turn()?.contents()
    }

    /// Empties it of what was read, if that is still all that stands in it.
    pub fn clear(&self, read: &Contents) -> Result<(), Error> {
        let turn = self.turn()?;
        if turn.contents()? != *read {
            return Ok(());
        }
        turn.write(&vec![0; read.0.len()], 0)
    }

    fn turn(&self) -> Result<Turn<'_>, Error> {
        let file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // INVARIANT: nobody waits for anything but the disk while they have it,
        // and the lock ends with its process.
        file.lock()?;
        Ok(Turn(file))
    }
}

impl Contents {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The records that are not in `known`, which was read earlier, in order.
    /// One that broke off is told as that.
    pub fn records_after(&self, known: &Self) -> Vec<OffBook> {
        let all = self.0.as_slice();
        let lines = all.strip_prefix(known.0.as_slice()).unwrap_or(all);
        let lines = lines.split(|byte| *byte == b'\n');
        let lines = lines.filter(|line| line.iter().any(|byte| *byte != 0));
        lines.map(record).collect()
    }
}

fn record(line: &[u8]) -> OffBook {
    serde_json::from_slice(line).unwrap_or_else(|_| {
        tracing::error!(bytes = line.len(), "a record of the journal broke off");
        OffBook {
            change: None,
            detail: json!({"broken_off": String::from_utf8_lossy(line).trim_matches('\0')}),
            record: Map::new(),
            step: None,
        }
    })
}

impl Turn<'_> {
    /// Gives the file its size, and a first byte if it has any other: a machine
    /// that loses power may have kept the later blocks of a record alone.
    fn make_whole(&self) -> Result<(), Error> {
        let length = self.0.metadata()?.len();
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length < BYTES {
            self.write(&vec![0; BYTES - length], length)?;
            self.0.sync_all()?;
        }
        let text = self.read(BYTES)?;
        if text.first() == Some(&0) && text.iter().any(|byte| *byte != 0) {
            self.write(b"\n", 0)?;
        }
        Ok(())
    }

    /// All up to the last byte that somebody wrote.
    fn contents(&self) -> Result<Contents, Error> {
        // Looked at often, and hardly ever anything else.
        if self.read(1)? == [0] {
            return Ok(Contents::default());
        }
        let mut text = self.read(BYTES)?;
        let end = text.iter().rposition(|byte| *byte != 0);
        text.truncate(end.map_or(0, |last| last + 1));
        Ok(Contents(text))
    }

    fn read(&self, bytes: usize) -> Result<Vec<u8>, Error> {
        let mut text = vec![0; bytes];
        self.0.read_exact_at(&mut text, 0)?;
        Ok(text)
    }

    fn write(&self, bytes: &[u8], at: usize) -> Result<(), Error> {
        self.0
            .write_all_at(bytes, at.try_into().unwrap_or(u64::MAX))?;
        self.0.sync_data()
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        // What could fail here shows with the next turn.
        let _ = self.0.unlock();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn record(number: usize) -> OffBook {
        of(json!({ "number": number }))
    }

    fn of(detail: Value) -> OffBook {
        OffBook {
            change: None,
            detail,
            record: Map::new(),
            step: None,
        }
    }

    fn all(journal: &Journal) -> Vec<OffBook> {
        let contents = journal.contents().unwrap();
        contents.records_after(&Contents::default())
    }

    /// Writes as somebody does who dies of it.
    fn break_off(path: &Path, text: &[u8]) {
        let journal = Journal::open(path).unwrap();
        let turn = journal.turn().unwrap();
        let end = turn.contents().unwrap().0.len();
        turn.write(text, end).unwrap();
    }

    #[test]
    fn what_was_put_down_is_there_for_the_next_process() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let journal = Journal::open(&path).unwrap();
        assert!(journal.contents().unwrap().is_empty());
        for number in 0..3 {
            journal.add(&record(number)).unwrap();
        }
        drop(journal);
        let journal = Journal::open(&path).unwrap();
        assert_eq!(all(&journal), [0, 1, 2].map(record));
        journal.clear(&journal.contents().unwrap()).unwrap();
        assert!(Journal::open(&path).unwrap().contents().unwrap().is_empty());
    }

    #[test]
    fn what_came_meanwhile_is_not_cleared_and_not_told_twice() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(&dir.path().join("journal")).unwrap();
        journal.add(&record(0)).unwrap();
        let read = journal.contents().unwrap();
        journal.add(&record(1)).unwrap();
        journal.clear(&read).unwrap();
        assert_eq!(all(&journal), [0, 1].map(record));
        let now = journal.contents().unwrap();
        assert_eq!(now.records_after(&read), [record(1)]);
    }

    #[test]
    fn a_record_that_broke_off_is_told_and_takes_none_along() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        Journal::open(&path).unwrap().add(&record(0)).unwrap();
        break_off(&path, br#"{"num"#);
        let journal = Journal::open(&path).unwrap();
        journal.add(&record(1)).unwrap();
        journal.add(&record(2)).unwrap();
        let told = all(&journal);
        assert_eq!(told[1].detail["broken_off"], r#"{"num"#);
        assert_eq!(
            [&told[0], &told[2], &told[3]],
            [&record(0), &record(1), &record(2)]
        );
    }

    #[test]
    fn of_two_processes_none_writes_over_the_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let write = |from: usize| {
            let journal = Journal::open(&path).unwrap();
            move || (from..from + 50).for_each(|number| journal.add(&record(number)).unwrap())
        };
        let (one, other) = (write(0), write(50));
        std::thread::scope(|scope| {
            scope.spawn(one);
            scope.spawn(other);
        });
        let journal = Journal::open(&path).unwrap();
        let mut told = all(&journal);
        told.sort_by_key(|told| told.detail["number"].as_u64());
        assert_eq!(told, (0..100).map(record).collect::<Vec<_>>());
    }

    #[test]
    fn what_another_process_has_put_down_is_seen_and_cleared() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let (one, other) = (Journal::open(&path).unwrap(), Journal::open(&path).unwrap());
        one.add(&record(0)).unwrap();
        assert!(!other.contents().unwrap().is_empty());
        let read = other.contents().unwrap();
        one.add(&record(1)).unwrap();
        other.clear(&read).unwrap();
        assert_eq!(all(&other), [0, 1].map(record));
        other.clear(&other.contents().unwrap()).unwrap();
        one.add(&record(2)).unwrap();
        assert_eq!(all(&other), [record(2)]);
    }

    #[test]
    fn whoever_waits_for_its_turn_gets_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let (one, other) = (Journal::open(&path).unwrap(), Journal::open(&path).unwrap());
        let turn = one.turn().unwrap();
        assert!(other.0.lock().unwrap().try_lock().is_err());
        drop(turn);
        other.add(&record(0)).unwrap();
    }

    #[test]
    fn what_lost_its_beginning_with_the_power_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let journal = Journal::open(&path).unwrap();
        journal.turn().unwrap().write(b"late\n", 4096).unwrap();
        let journal = Journal::open(&path).unwrap();
        assert!(!journal.contents().unwrap().is_empty());
        assert_eq!(all(&journal)[0].detail["broken_off"], "late");
    }

    #[test]
    fn it_is_bounded_and_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let journal = Journal::open(&path).unwrap();
        let large = of(json!({"text": "x".repeat(BYTES / 4)}));
        for _ in 0..3 {
            journal.add(&large).unwrap();
        }
        let error = journal.add(&large).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        assert_eq!(all(&journal).len(), 3);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), BYTES as u64);
    }
}
