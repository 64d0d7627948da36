//! What counts, as this process last read it: a decision reads only what has
//! changed since (WRITES §4).
//!
//! Every row of a change says after which line of the chain its charge last
//! changed (`touched`), and the book says how many rows with a charge were
//! taken out (`erased`). Both are written under the book's lock, by whichever
//! replica has it, so that what is known here and the rows that were touched
//! since are together what the book says.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tenantry_core::audit::chain::Head;
use tenantry_core::digest::Digest;
use tenantry_core::policy::facts::{Charge, Standing};

use crate::change::{ChangeId, Progress};
use crate::error::LedgerError;
use crate::facts::Charged;
use crate::page::Book;
use crate::sql::{Row, Tx, args};

/// Charges that a decision looks at, at most. A thousand changes a day for
/// three months; what cannot be counted whole is not decided.
const MOST_CHARGES: usize = 100_000;

/// Charges by their changes.
pub(crate) type Charges = BTreeMap<ChangeId, Arc<Charge>>;

/// The charges within a length of time, and all that are not settled.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    charges: Arc<Charges>,
    lookback: SignedDuration,
    as_of: Option<AsOf>,
}

/// Where the book stood when it was read.
#[derive(Debug, Clone, Copy)]
struct AsOf {
    head: Head,
    epoch: u64,
    erased: u64,
    clock: Timestamp,
}

impl Tally {
    /// Brings it to what the book says now, for `lookback` at least. Only in
    /// turns that have not written yet: what they undo would stay here. What
    /// turns before it wrote and a failed disk write undoes, the chain tells:
    /// its last line is another one then.
    pub(crate) async fn catch_up(
        mut self,
        tx: &mut Tx,
        book: &Book,
        lookback: SignedDuration,
    ) -> Result<Self, LedgerError> {
        // The line that it knows as the last one, and what was touched since.
        const SINCE: &str = "SELECT digest AS id, 'line' AS progress, NULL AS applied_at, \
             NULL AS charge FROM events WHERE sequence = $1 \
             UNION ALL SELECT id, progress, applied_at, charge FROM changes \
             WHERE touched > 0 AND touched > $1";
        let as_of = self.as_of;
        let known = as_of.filter(|as_of| as_of.is_of(book) && lookback <= self.lookback);
        let Some(known) = known else {
            return self.anew(tx, book, lookback).await;
        };
        let rows = tx.rows(SINCE, args![known.head.sequence]).await?;
        let (lines, touched): (Vec<_>, Vec<_>) = rows
            .iter()
            .partition(|row| row.text("progress").is_ok_and(|word| word == "line"));
        if !known.is_before(book, lines.first().copied())? {
            return self.anew(tx, book, lookback).await;
        }
        for row in touched {
            self.take(row)?;
        }
        self.settle_at(book)?;
        #[cfg(debug_assertions)]
        {
            let whole = Self::read(tx, book, self.lookback).await?;
            assert_eq!(self.charges, whole.charges, "a charge changed untouched");
        }
        Ok(self)
    }

    async fn anew(
        self,
        tx: &mut Tx,
        book: &Book,
        lookback: SignedDuration,
    ) -> Result<Self, LedgerError> {
        Self::read(tx, book, lookback.max(self.lookback)).await
    }

    async fn read(tx: &mut Tx, book: &Book, lookback: SignedDuration) -> Result<Self, LedgerError> {
        // Two statements in one, each with its index.
        const READ: &str = "SELECT id, progress, applied_at, charge FROM changes \
             WHERE progress NOT IN ('applied', 'not_applied') AND charge IS NOT NULL \
             UNION ALL SELECT id, progress, applied_at, charge FROM changes \
             WHERE progress = 'applied' AND applied_at > $1 LIMIT $2";
        let mut tally = Self {
            lookback,
            ..Self::default()
        };
        let most = u64::try_from(MOST_CHARGES + 1).unwrap_or(u64::MAX);
        let args = args![book.clock - lookback, most];
        for row in tx.rows(READ, args).await? {
            tally.take(&row)?;
        }
        tally.settle_at(book)?;
        Ok(tally)
    }

    /// Lets go of what is older than anybody asks.
    fn settle_at(&mut self, book: &Book) -> Result<(), LedgerError> {
        let since = book.clock - self.lookback;
        let is_old = |charge: &Arc<Charge>| !is_after(charge, since);
        if self.charges.values().any(is_old) {
            Arc::make_mut(&mut self.charges).retain(|_, charge| !is_old(charge));
        }
        if self.charges.len() > MOST_CHARGES {
            return Err(LedgerError::TooManyCharges { most: MOST_CHARGES });
        }
        self.as_of = Some(AsOf {
            head: book.head,
            epoch: book.epoch,
            erased: book.erased,
            clock: book.clock,
        });
        Ok(())
    }

    /// All of it. Whoever has it when the next one catches up keeps what it has.
    pub(crate) fn charges(&self) -> Arc<Charges> {
        Arc::clone(&self.charges)
    }

    fn take(&mut self, row: &Row) -> Result<(), LedgerError> {
        let charges = Arc::make_mut(&mut self.charges);
        let change = row.read("id", |text| ChangeId::parse(text).ok())?;
        let progress = row.read("progress", Progress::parse)?;
        let kept: Option<Charged> = row.maybe_json("charge")?;
        let standing = match (progress, row.maybe_time("applied_at")?) {
            (Progress::NotApplied, _) => None,
            (_, Some(at)) => Some(Standing::Applied(at)),
            (Progress::Pending | Progress::Executing, None) => Some(Standing::Pending),
            (_, None) => Some(Standing::Open),
        };
        match (standing, kept) {
            (Some(standing), Some(kept)) => {
                charges.insert(change, Arc::new(kept.standing(standing)));
            }
            (Some(Standing::Applied(_)), None) => {
                return Err(LedgerError::damaged("a charge is missing"));
            }
            _ => drop(charges.remove(&change)),
        }
        Ok(())
    }
}

impl AsOf {
    /// Whether the book has no rows less than then, and nobody opened it since.
    /// A transaction that came to nothing may have had a later clock.
    fn is_of(self, book: &Book) -> bool {
        self.epoch == book.epoch && self.erased == book.erased && self.clock <= book.clock
    }

    /// Whether the book has come from there: one that was put back to an older
    /// state and has grown since has another line in that place.
    fn is_before(self, book: &Book, line_there: Option<&Row>) -> Result<bool, LedgerError> {
        if self.head == book.head {
            return Ok(true);
        }
        let digest_there = line_there.map(|row| row.read("id", |text| Digest::parse(text).ok()));
        Ok(digest_there.transpose()? == Some(self.head.digest))
    }
}

/// Half open; what is not settled has no age.
pub(crate) fn is_after(charge: &Charge, since: Timestamp) -> bool {
    match charge.standing {
        Standing::Applied(at) => at > since,
        Standing::Open | Standing::Pending => true,
    }
}
