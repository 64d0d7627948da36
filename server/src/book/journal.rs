//! What was switched off while the ledger could not be written to. A file of a
//! fixed size whose blocks are its own from the start: a full disk does not
//! keep anything running.

use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Map, json};
use tenantry_ledger::outbox::OffBook;

/// Some hundred stops, each with its outcome.
const BYTES: usize = 512 * 1024;

/// The journal.
pub struct Journal(Mutex<Pages>);

struct Pages {
    file: File,
    /// How much of it is written.
    end: usize,
}

impl Journal {
    /// Opens it, with what an earlier process left in it.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let mut options = OpenOptions::new();
        let mut file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        if text.len() < BYTES {
            let missing = vec![0; BYTES - text.len()];
            file.write_all_at(&missing, offset(text.len()))?;
            file.sync_all()?;
        }
        let end = text.iter().position(|byte| *byte == 0);
        let end = end.unwrap_or(text.len());
        Ok(Self(Mutex::new(Pages { file, end })))
    }

    /// Puts a record down; it is on the disk when this returns.
    pub fn add(&self, record: &OffBook) -> Result<(), Error> {
        let mut pages = self.lock();
        let mut text = serde_json::to_vec(record)?;
        text.push(b'\n');
        let end = pages.end + text.len();
        if end > BYTES {
            return Err(ErrorKind::StorageFull.into());
        }
        pages.file.write_all_at(&text, offset(pages.end))?;
        pages.file.sync_data()?;
        pages.end = end;
        Ok(())
    }

    /// What stands in it, in order. The rest of a record that broke off is told
    /// as that.
    pub fn records(&self) -> Result<Vec<OffBook>, Error> {
        let pages = self.lock();
        let mut text = vec![0; pages.end];
        pages.file.read_exact_at(&mut text, 0)?;
        let lines = text.split(|byte| *byte == b'\n');
        let lines = lines.filter(|line| !line.is_empty());
        let read = |line: &[u8]| {
            serde_json::from_slice(line).unwrap_or_else(|_| OffBook {
                change: None,
                detail: json!({"broken_off": String::from_utf8_lossy(line)}),
                record: Map::new(),
            })
        };
        Ok(lines.map(read).collect())
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.lock().end == 0
    }

    /// Empties it, unless something was added to the `count` records that are
    /// on record elsewhere.
    pub fn clear(&self, count: usize) -> Result<(), Error> {
        if self.records()?.len() != count {
            return Ok(());
        }
        let mut pages = self.lock();
        pages.file.write_all_at(&vec![0; pages.end], 0)?;
        pages.file.sync_data()?;
        pages.end = 0;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn offset(place: usize) -> u64 {
    place.try_into().unwrap_or(u64::MAX)
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
        }
    }

    #[test]
    fn what_was_put_down_is_there_for_the_next_process() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let journal = Journal::open(&path).unwrap();
        assert!(journal.is_empty());
        for number in 0..3 {
            journal.add(&record(number)).unwrap();
        }
        drop(journal);
        let journal = Journal::open(&path).unwrap();
        assert_eq!(journal.records().unwrap(), [0, 1, 2].map(record));
        journal.clear(3).unwrap();
        assert!(Journal::open(&path).unwrap().is_empty());
    }

    #[test]
    fn what_came_meanwhile_is_not_cleared() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(&dir.path().join("journal")).unwrap();
        journal.add(&record(0)).unwrap();
        journal.add(&record(1)).unwrap();
        journal.clear(1).unwrap();
        assert_eq!(journal.records().unwrap(), [0, 1].map(record));
    }

    #[test]
    fn a_record_that_broke_off_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        Journal::open(&path).unwrap().add(&record(0)).unwrap();
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        let whole = serde_json::to_vec(&record(0)).unwrap().len() + 1;
        file.write_all_at(br#"{"num"#, offset(whole)).unwrap();
        let records = Journal::open(&path).unwrap().records().unwrap();
        assert_eq!(records[0], record(0));
        assert_eq!(records[1].detail["broken_off"], r#"{"num"#);
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
        assert_eq!(journal.records().unwrap().len(), 3);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), BYTES as u64);
    }
}
