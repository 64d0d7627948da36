//! The way of audit lines out of the book (WRITES §10): a line may leave twice,
//! none may be left out.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tenantry_core::audit::chain::Head;
use tenantry_core::digest::Digest;

use crate::change::ChangeId;
use crate::error::LedgerError;
use crate::ledger::Ledger;
use crate::line::{self, Event};
use crate::page::Book;
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
    /// to, all of it or nothing.
    pub async fn recover(&self, records: &[OffBook], now: Timestamp) -> Result<(), LedgerError> {
        let mut page = self.turn(now).await?;
        for record in records {
            let OffBook {
                change,
                detail,
                record,
            } = record;
            page.append(Event::Emergency, change.as_ref(), detail.clone(), record)
                .await?;
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
        if sequence > page.book.emitted {
            page.book.emitted = sequence;
            page.close().await?;
        }
        Ok(())
    }
}
