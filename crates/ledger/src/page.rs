//! One transaction on the book: one moment, one writer, and lines of the chain
//! that stand or fall with what they tell.

use jiff::Timestamp;
use serde_json::{Map, Value};
use tenantry_core::audit::chain::Head;
use tenantry_core::digest::Digest;
use tenantry_core::ledger_mark::{LedgerId, LedgerMark};
use tenantry_core::name::Organization;

use crate::change::ChangeId;
use crate::error::LedgerError;
use crate::group_commit::Turn;
use crate::ledger::Ledger;
use crate::line::{Draft, Event};
use crate::sql::{Row, Tx, args};

/// The one row that every transaction locks first.
#[derive(Debug, Clone)]
pub(crate) struct Book {
    pub id: LedgerId,
    pub organization: Organization,
    /// How often it was opened.
    pub epoch: u64,
    /// The latest moment that any transaction had.
    pub clock: Timestamp,
    pub head: Head,
    /// The last line that has left.
    pub emitted: u64,
    /// How many rows with a charge were taken out.
    pub erased: u64,
    pub accepted_at: Option<Timestamp>,
    pub accepted_over: Option<LedgerMark>,
}

/// A transaction that has the book.
pub(crate) struct Page<'l> {
    ledger: &'l Ledger,
    pub tx: Turn,
    pub book: Book,
    /// The moment of all that happens in it.
    pub now: Timestamp,
}

const READ: &str = "SELECT id, organization, epoch, clock, sequence, digest, emitted, \
     erased, accepted_at, accepted_over FROM book WHERE one = 1";
const LOCK: &str = "SELECT id, organization, epoch, clock, sequence, digest, emitted, \
     erased, accepted_at, accepted_over FROM book WHERE one = 1 FOR UPDATE";

impl Book {
    /// Reads the row and keeps others from it until the transaction ends.
    pub(crate) async fn lock(tx: &mut Tx) -> Result<Self, LedgerError> {
        if tx.is_postgres() {
            Self::of(tx.row(LOCK, args![]).await?)
        } else {
            // The transaction began with the lock.
            Self::read(tx).await
        }
    }

    pub(crate) async fn read(tx: &mut Tx) -> Result<Self, LedgerError> {
        Self::of(tx.row(READ, args![]).await?)
    }

    fn of(row: Option<Row>) -> Result<Self, LedgerError> {
        let row = row.ok_or_else(|| LedgerError::damaged("the first page is missing"))?;
        Ok(Self {
            id: LedgerId::kept(row.text("id")?),
            organization: row.read("organization", |text| Organization::parse(text).ok())?,
            epoch: row.count("epoch")?,
            clock: row.time("clock")?,
            head: Head {
                sequence: row.count("sequence")?,
                digest: row.read("digest", |text| Digest::parse(text).ok())?,
            },
            emitted: row.count("emitted")?,
            erased: row.count("erased")?,
            accepted_at: row.maybe_time("accepted_at")?,
            accepted_over: row.maybe_json("accepted_over")?,
        })
    }
}

impl<'l> Page<'l> {
    /// `now` is what the caller's clock says; the book's own never goes back.
    pub(crate) fn new(ledger: &'l Ledger, tx: Turn, now: Timestamp) -> Self {
        let mut book = tx.book.clone();
        // As it is kept: what was decided at a moment reads back as that moment.
        let micros = now.as_microsecond();
        let now = Timestamp::from_microsecond(micros)
            .unwrap_or(now)
            .max(book.clock);
        book.clock = now;
        Self {
            ledger,
            tx,
            book,
            now,
        }
    }

    pub(crate) fn ledger(&self) -> &'l Ledger {
        self.ledger
    }

    /// What stands in `touched` of a row whose charge changes now: the line that
    /// the chain gets next. Whoever has read it as of an earlier line reads the
    /// row again.
    pub(crate) fn touch(&self) -> u64 {
        self.book.head.sequence + 1
    }

    /// Adds a line to the chain.
    pub(crate) async fn append(
        &mut self,
        event: Event,
        change: Option<&ChangeId>,
        detail: Value,
        record: &Map<String, Value>,
    ) -> Result<(), LedgerError> {
        const APPEND: &str =
            "INSERT INTO events (sequence, digest, at, line) VALUES ($1, $2, $3, $4)";
        let draft = Draft {
            ledger: &self.book.id,
            organization: &self.book.organization,
            tenant_uid: &self.ledger.tenant_uid,
            time: self.now,
            event,
            change,
            detail,
            record,
        };
        let written = draft.after(self.book.head);
        let head = written.head;
        let args = args![
            head.sequence,
            head.digest.to_string(),
            self.now,
            written.text.as_str(),
        ];
        self.tx.run_later(APPEND, args).await?;
        self.book.head = head;
        Ok(())
    }

    /// Refuses what would begin while nobody takes the lines.
    pub(crate) fn check_backlog(&self) -> Result<(), LedgerError> {
        let waiting = self.book.head.sequence.saturating_sub(self.book.emitted);
        if waiting >= self.ledger.most_waiting {
            return Err(LedgerError::Backlog { waiting });
        }
        Ok(())
    }

    /// Makes it all durable.
    pub(crate) async fn close(self) -> Result<(), LedgerError> {
        self.tx.close(self.book.clone()).await?;
        self.ledger.has_seen(&self.book);
        Ok(())
    }
}
