//! Brings the ledger's lines into the audit stream, in order: a line may leave
//! twice, none is left out (WRITES §10).

use std::time::Duration;

use tenantry_core::cause::chain;
use tenantry_ledger::error::LedgerError;
use tenantry_ledger::ledger::Ledger;

use crate::counter::Counter;

/// Lines that leave together: one note in the ledger for all of them.
const BATCH: u32 = 64;

/// How long the first line waits for others to leave with: each note takes the
/// ledger from the changes of others.
const GATHER: Duration = Duration::from_millis(50);

/// Lines of other replicas come without a word.
const LOOK: Duration = Duration::from_secs(5);

/// After a failure.
const PAUSE: Duration = Duration::from_secs(1);

/// Brings lines out for as long as it is polled.
pub async fn keep_emptied(counter: &Counter, ledger: &Ledger) {
    loop {
        match empty(ledger, counter).await {
            Ok(()) => {
                // Whoever wrote meanwhile has left a word.
                let _ = tokio::time::timeout(LOOK, counter.book.written.notified()).await;
                tokio::time::sleep(GATHER).await;
            }
            Err(error) => {
                tracing::error!(
                    error = chain(&error),
                    "audit lines of changes cannot be brought out; trying again"
                );
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Brings out all the lines that there are. Whoever brings one out tells of it:
/// of several replicas one does, unless two bring it out at once.
pub async fn empty(ledger: &Ledger, counter: &Counter) -> Result<(), LedgerError> {
    let Counter {
        audit,
        clock,
        notifier,
        ..
    } = counter;
    let mut left = ledger.last_emitted().await?;
    loop {
        let lines = ledger.next_events(left, BATCH).await?;
        let Some(last) = lines.last().map(|line| line.sequence) else {
            return Ok(());
        };
        let text: String = lines
            .iter()
            .flat_map(|line| [line.line.as_str(), "\n"])
            .collect();
        if !audit.bring_out(text, lines.len()).await {
            return Ok(());
        }
        ledger.emitted(last, clock.now()).await?;
        // Only now: a line that leaves again and again is told of once.
        notifier.offer(&lines);
        if lines.len() < BATCH as usize {
            return Ok(());
        }
        left = last;
    }
}
