//! What is not kept for ever: answers, settled changes and lines that have left.
//! Of a key, that it was used stays.

use jiff::Timestamp;

use crate::error::LedgerError;
use crate::facts::DAY;
use crate::ledger::Ledger;
use crate::sql::args;

/// Rows of one kind that one sweep takes out: others wait for the book.
const MOST_ROWS: i64 = 1000;

/// What a sweep took out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Keys of which only the tombstone is left.
    pub keys: u64,
    /// Settled changes.
    pub changes: u64,
    /// Audit lines that had left.
    pub lines: u64,
}

impl Ledger {
    /// Takes out what has been kept long enough, a bounded part of it at a time.
    pub async fn sweep(&self, now: Timestamp) -> Result<Swept, LedgerError> {
        // What is not known yet is answered for as long as it is not.
        // Items are kept for as long as the batch that they are read as.
        const KEYS: &str = "UPDATE claims SET is_expired = 1, answer = NULL WHERE claim IN \
             (SELECT claim FROM claims WHERE is_expired = 0 AND answered_at <= $1 \
             AND change_id NOT IN (SELECT id FROM changes WHERE progress = 'needs_human') \
             AND NOT EXISTS (SELECT 1 FROM changes item JOIN changes whole ON whole.id = item.batch \
             WHERE item.id = claims.change_id AND (whole.since > $1 \
             OR whole.progress NOT IN ('applied', 'not_applied'))) LIMIT $2)";
        const APPROVALS: &str = "DELETE FROM approvals WHERE change_id IN \
             (SELECT id FROM changes WHERE progress IN ('applied', 'not_applied') AND since <= $1 \
             ORDER BY since, id LIMIT $2)";
        const INQUIRIES: &str = "DELETE FROM inquiries WHERE change_id IN \
             (SELECT id FROM changes WHERE progress IN ('applied', 'not_applied') AND since <= $1 \
             ORDER BY since, id LIMIT $2)";
        const CHANGES: &str = "DELETE FROM changes WHERE id IN \
             (SELECT id FROM changes WHERE progress IN ('applied', 'not_applied') AND since <= $1 \
             AND NOT EXISTS (SELECT 1 FROM changes whole WHERE whole.id = changes.batch \
             AND (whole.since > $1 OR whole.progress NOT IN ('applied', 'not_applied'))) \
             ORDER BY since, id LIMIT $2)";
        const LOWS: &str = "DELETE FROM lows WHERE at <= $1";
        const LINES: &str = "DELETE FROM events WHERE sequence IN (SELECT sequence FROM events \
             WHERE sequence < $1 AND at <= $2 ORDER BY sequence LIMIT $3)";
        let mut page = self.turn(now).await?;
        let kept_since = page.now - self.retention();
        let day_ago = page.now - DAY;
        // The last line that has left stays: the next one is proven to follow it.
        let emitted = page.book.emitted;
        let old = args![kept_since, MOST_ROWS];
        let swept = Swept {
            keys: page.tx.run(KEYS, old).await?,
            lines: page
                .tx
                .run(LINES, args![emitted, kept_since, MOST_ROWS])
                .await?,
            changes: {
                page.tx.run(APPROVALS, old).await?;
                page.tx.run(INQUIRIES, old).await?;
                page.tx.run(CHANGES, old).await?
            },
        };
        page.book.erased += swept.changes;
        page.tx.run(LOWS, args![day_ago]).await?;
        page.close().await?;
        Ok(swept)
    }
}
