//! The way of audit lines out of the book (WRITES §10): a line may leave twice,
//! none may be left out.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tenantry_core::audit::chain::Head;
use tenantry_core::digest::Digest;
use tenantry_core::name::{ObjectId, ToolName};
use tenantry_core::policy::facts::Proposal;

use crate::change::{ChangeId, Intent, Principal, Recorded, json};
use crate::error::LedgerError;
use crate::facts::Charged;
use crate::ledger::Ledger;
use crate::line::{self, Event};
use crate::page::{Book, Page};
use crate::sql::args;

/// A line on its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Its place in the chain.
    pub sequence: u64,
    /// Its text, without an end of line.
    pub line: String,
}

/// What was put down elsewhere while the book could not be written to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OffBook {
    /// The change, where its name can be read.
    pub change: Option<ChangeId>,
    /// That it was about to be sent, or what became of it.
    pub detail: Value,
    /// What every line of the change carries.
    pub record: Map<String, Value>,
    /// What it says of the change to whoever settles it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<OffStep>,
}

/// How far a change has come that is not in the book.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum OffStep {
    /// Its request leaves.
    Sending(Box<OffSending>),
    /// The vendor made it, and shows this.
    Applied(Value),
    /// The vendor did not make it.
    NotApplied,
}

/// All that the book needs, to have a change looked after that it knows nothing
/// of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OffSending {
    /// Who asked.
    pub principal: Principal,
    /// With which tool.
    pub tool: ToolName,
    /// What it does. It only stops something.
    pub proposal: Proposal,
    /// The spend roots that it changes.
    pub roots: BTreeSet<ObjectId>,
    /// What was meant.
    pub intent: Intent,
    /// When it left.
    pub at: Timestamp,
}

impl Ledger {
    /// Up to `limit` lines after that sequence, in order. Each is proven to
    /// follow the one before; a gap or a changed line is damage.
    pub async fn next_events(&self, after: u64, limit: u32) -> Result<Vec<Outgoing>, LedgerError> {
        const NEXT: &str =
            "SELECT sequence, line FROM events WHERE sequence > $1 ORDER BY sequence LIMIT $2";
        const BEFORE: &str = "SELECT digest FROM events WHERE sequence = $1";
        let mut tx = self.engine.look().await?;
        let book = Book::read(&mut tx).await?;
        let gap = |at: u64| LedgerError::damaged(format!("the audit has a gap after {at}"));
        let from = if after == 0 {
            Head::before_all()
        } else {
            let row = tx.row(BEFORE, args![after]).await?;
            let row = row.ok_or_else(|| gap(after))?;
            Head {
                sequence: after,
                digest: row.read("digest", |text| Digest::parse(text).ok())?,
            }
        };
        let rows = tx.rows(NEXT, args![after, limit]).await?;
        let lines = rows.iter().map(|row| {
            Ok(Outgoing {
                sequence: row.count("sequence")?,
                line: row.text("line")?,
            })
        });
        let lines: Vec<Outgoing> = lines.collect::<Result<_, LedgerError>>()?;
        let texts = lines.iter().map(|line| line.line.as_str());
        let proven = line::verify(texts, &self.identity.id, from)
            .map_err(|error| LedgerError::damaged(error.to_string()))?;
        let is_short = lines.len() < usize::try_from(limit).unwrap_or(usize::MAX);
        if is_short && proven != book.head {
            return Err(gap(proven.sequence));
        }
        Ok(lines)
    }

    /// Puts on record what was switched off while the book could not be written
    /// to, all of it or nothing. What became of it is unknown then, unless the
    /// records say it.
    pub async fn recover(&self, records: &[OffBook], now: Timestamp) -> Result<(), LedgerError> {
        let mut page = self.turn(now).await?;
        for off_book in records {
            let OffBook {
                change,
                detail,
                record,
                step,
            } = off_book;
            page.append(Event::Emergency, change.as_ref(), detail.clone(), record)
                .await?;
            if let (Some(change), Some(step)) = (change, step) {
                page.take_in(change, step, record).await?;
            }
        }
        page.close().await
    }

    /// The last line that has left.
    pub async fn last_emitted(&self) -> Result<u64, LedgerError> {
        let mut tx = self.engine.look().await?;
        Ok(Book::read(&mut tx).await?.emitted)
    }

    /// Remembers that all lines up to this one have left. Saying it again is
    /// legal.
    pub async fn emitted(&self, sequence: u64, now: Timestamp) -> Result<(), LedgerError> {
        let mut page = self.turn(now).await?;
        let head = page.book.head.sequence;
        if sequence > head {
            let told = format!("line {sequence} has left, and {head} is the last");
            return Err(LedgerError::Damaged(told));
        }
        // One that was said before may not be on the disk yet: it leaves twice then.
        if sequence > page.book.emitted {
            page.book.emitted = sequence;
            page.close().await?;
        }
        Ok(())
    }
}

impl Page<'_> {
    /// Brings a change to where it has come without the book. What is settled
    /// by now stays so.
    async fn take_in(
        &mut self,
        change: &ChangeId,
        step: &OffStep,
        record: &Map<String, Value>,
    ) -> Result<(), LedgerError> {
        let found = Recorded::find(&mut self.tx, change).await?;
        match (step, found) {
            (OffStep::Sending(sending), None) => self.take_sending(change, sending, record).await,
            (OffStep::Applied(after), Some(found)) if !found.progress.is_final() => {
                self.post(&found, self.now, after).await
            }
            (OffStep::NotApplied, Some(found)) if !found.progress.is_final() => {
                self.void(&found).await
            }
            _ => Ok(()),
        }
    }

    async fn take_sending(
        &mut self,
        change: &ChangeId,
        sending: &OffSending,
        record: &Map<String, Value>,
    ) -> Result<(), LedgerError> {
        const TAKE: &str = "INSERT INTO changes (id, epoch, holder, progress, since, principal, \
             tool, record, proposal, intent, connector, account, object, charge, reserved_at, \
             sent_at, touched) VALUES ($1, 1, $2, 'unknown', $3, $4, $5, $6, $7, $8, $9, $10, \
             $11, $12, $13, $13, $14)";
        let subject = &sending.proposal.subject;
        let args = args![
            change.as_str(),
            self.ledger().identity.epoch,
            self.now,
            json(&sending.principal),
            sending.tool.as_str(),
            json(record),
            json(&sending.proposal),
            json(&sending.intent),
            subject.connector.as_str(),
            subject.account.as_str(),
            subject.path.last().map(ObjectId::as_str),
            json(&Charged::of(&sending.proposal)),
            sending.at.min(self.now),
            self.touch(),
        ];
        self.tx.run_later(TAKE, args).await?;
        self.take_roots(change, &sending.proposal, &sending.roots)
            .await
    }
}
