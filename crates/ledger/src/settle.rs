//! Sending, and what became of it: a reservation ends once, and only for the
//! one who has the change.

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tenantry_core::policy::decide::Permitted;

use crate::change::{ChangeId, Lease, Membership, Progress, Recorded, json, select_changes};
use crate::error::LedgerError;
use crate::ledger::Ledger;
use crate::line::Event;
use crate::list::Cursor;
use crate::page::Page;
use crate::sql::args;

/// What became of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The vendor made it.
    Applied {
        /// The latest moment at which it can have done so: from then on its
        /// money counts.
        at: Timestamp,
        /// What it said afterwards.
        after: Value,
        /// What the key is answered with.
        answer: String,
    },
    /// The vendor did not make it; its money is free.
    NotApplied {
        /// Why.
        why: String,
        /// What the key is answered with, if the vendor refused for good;
        /// without it the key can be claimed again.
        answer: Option<String>,
    },
    /// The vendor did not make an item of a batch, and might at another time; its
    /// money is free. The key of the batch is kept only if another item's is.
    HeldUp {
        /// Why.
        why: String,
        /// What its key is answered with, while its batch is kept.
        answer: String,
    },
    /// It never left; its money is free, and its key with it. Of a change that
    /// may have left this is never said, however late it is said.
    NeverSent {
        /// Why.
        why: String,
    },
    /// Nobody knows yet; its money and its roots stay its own.
    Unknown {
        /// Why.
        why: String,
    },
    /// Only people can find out; its money and its roots stay its own.
    NeedsHuman {
        /// Why.
        why: String,
        /// What the key is answered with until they have.
        answer: String,
    },
}

/// How many changes one listing has at most.
pub const LONGEST_LIST: u32 = 1000;

impl Ledger {
    /// Writes down that the request leaves now. Only after this answered may
    /// it: a request that left is never sent again blindly.
    pub async fn sending(
        &self,
        lease: &Lease,
        permitted: &Permitted,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        const SENDING: &str = "UPDATE changes SET progress = 'sending', since = $1, sent_at = $1 \
             WHERE id = $2 AND epoch = $3 AND progress = 'reserved'";
        let mut page = self.turn(now).await?;
        let args = args![page.now, lease.change.as_str(), lease.epoch];
        if page.tx.run(SENDING, args).await? == 0 {
            let change = Recorded::held(&mut page.tx, lease).await?;
            return Err(change.out_of_order());
        }
        if !permitted.is_good(page.now) {
            return Err(LedgerError::Stale {
                change: lease.change.clone(),
            });
        }
        page.close().await
    }

    /// Writes down what became of a change, and posts or frees its money.
    pub async fn settle(
        &self,
        lease: &Lease,
        outcome: &Outcome,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        self.conclude(lease, outcome, None, now).await
    }

    /// The same, when more is known of the change than before: what the vendor
    /// calls its requests, or what it made. From now on `record` is what the
    /// lines of the change carry.
    pub async fn settle_as(
        &self,
        lease: &Lease,
        outcome: &Outcome,
        record: &Map<String, Value>,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        self.conclude(lease, outcome, Some(record), now).await
    }

    async fn conclude(
        &self,
        lease: &Lease,
        outcome: &Outcome,
        record: Option<&Map<String, Value>>,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        let mut page = self.turn(now).await?;
        let mut change = Recorded::held(&mut page.tx, lease).await?;
        // A batch ends as a whole until it is sent, and then by its items alone.
        let is_whole = change.progress == Progress::Reserved;
        let is_another_s = match change.membership {
            Membership::Alone => false,
            Membership::Batch => !is_whole,
            Membership::Item { .. } => is_whole,
        };
        if is_another_s || !outcome.follows(change.progress) {
            return Err(change.out_of_order());
        }
        if let Some(record) = record {
            page.keep_record(&mut change, record).await?;
        }
        let ends_with_it = page.open_items(&change).await?;
        page.finish(&change, outcome).await?;
        for ended in std::iter::once(&change).chain(&ends_with_it) {
            let own = Some(&ended.lease.change);
            page.append(Event::Outcome, own, outcome.told(), &ended.record)
                .await?;
        }
        page.close().await
    }

    /// Gives up a reservation of which nothing was sent: the same change may be
    /// decided once more. What people agreed to stays agreed to, and keeps its
    /// money.
    pub async fn step_back(
        &self,
        lease: &Lease,
        why: &str,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        const BACK: &str = "UPDATE changes SET progress = 'claimed', since = $1, likeness = NULL, \
             charge = NULL, proposal = NULL, intent = NULL, reserved_at = NULL, touched = $2 \
             WHERE id = $3";
        const AGREED: &str =
            "UPDATE changes SET progress = 'executing', since = $1, touched = $2 WHERE id = $3";
        let mut page = self.turn(now).await?;
        let change = Recorded::held(&mut page.tx, lease).await?;
        if change.progress != Progress::Reserved {
            return Err(change.out_of_order());
        }
        let is_agreed = page.approval(&lease.change).await?.is_some();
        let args = args![page.now, page.touch(), lease.change.as_str()];
        let back = if is_agreed { AGREED } else { BACK };
        page.tx.run_later(back, args).await?;
        page.free_roots(&change).await?;
        let items = page.open_items(&change).await?;
        if change.is_batch() {
            page.step_items_back(&change, is_agreed).await?;
        }
        for back in std::iter::once(&change).chain(&items) {
            let own = Some(&back.lease.change);
            let detail = json!({ "why": why });
            page.append(Event::SteppedBack, own, detail, &back.record)
                .await?;
        }
        page.close().await
    }

    /// Takes a change over from an owner that is gone, as it was seen: if
    /// anybody else was faster, or it has come further since, this fails, for its
    /// owner is not gone. The old owner can write no more.
    pub async fn take_over(&self, seen: &Recorded, now: Timestamp) -> Result<Lease, LedgerError> {
        let mut page = self.turn(now).await?;
        let change = Recorded::held(&mut page.tx, &seen.lease).await?;
        let has_moved = (change.progress, change.since) != (seen.progress, seen.since);
        if change.progress.is_final() || has_moved {
            return Err(change.out_of_order());
        }
        let lease = page.hand_over(&change).await?;
        let detail = json!({
            "progress": change.progress.as_str(),
            "from": change.holder,
            "to": self.identity.epoch,
        });
        page.append(
            Event::TakenOver,
            Some(&lease.change),
            detail,
            &change.record,
        )
        .await?;
        page.close().await?;
        Ok(lease)
    }

    /// What a process that recovers must look at, the oldest first: everything
    /// that has begun and not ended, but for what waits for people. A batch is
    /// looked after as a whole until it is sent, and then as its items. Whose owner
    /// (`Recorded::holder`) is gone is for the caller to know; with SQLite,
    /// every other's is.
    pub async fn unsettled(&self) -> Result<Vec<Recorded>, LedgerError> {
        self.unsettled_after(None).await
    }

    /// The same behind the end of an earlier list. Whoever goes on until a list is
    /// not full has missed nothing that was there from the first on: what goes on
    /// meanwhile comes later, and may be listed twice.
    pub async fn unsettled_after(
        &self,
        after: Option<&Cursor>,
    ) -> Result<Vec<Recorded>, LedgerError> {
        const LIST: &str = select_changes!(
            "WHERE progress IN ('claimed', 'executing', 'reserved', 'sending', 'unknown') \
             AND NOT (batch IS NOT NULL AND progress IN ('executing', 'reserved')) \
             AND NOT (items IS NOT NULL AND progress = 'sending') \
             AND (since > $1 OR (since = $1 AND id > $2)) \
             ORDER BY since, id LIMIT $3"
        );
        let (since, id) = after.map_or((i64::MIN, ""), Cursor::place);
        let mut tx = self.engine.look().await?;
        let rows = tx.rows(LIST, args![since, id, LONGEST_LIST]).await?;
        rows.iter().map(Recorded::of).collect()
    }

    /// What people agreed to and what is to be decided again, the oldest first.
    pub async fn executing(&self) -> Result<Vec<Recorded>, LedgerError> {
        const LIST: &str = select_changes!(
            "WHERE progress = 'executing' AND batch IS NULL ORDER BY since, id LIMIT $1"
        );
        self.list(LIST).await
    }

    /// What only people can settle, the oldest first.
    pub async fn needing_people(&self) -> Result<Vec<Recorded>, LedgerError> {
        const LIST: &str =
            select_changes!("WHERE progress = 'needs_human' ORDER BY since, id LIMIT $1");
        self.list(LIST).await
    }

    /// Everything that is kept of a change.
    pub async fn find(&self, change: &ChangeId) -> Result<Option<Recorded>, LedgerError> {
        let mut tx = self.engine.look().await?;
        Recorded::find(&mut tx, change).await
    }

    async fn list(&self, sql: &'static str) -> Result<Vec<Recorded>, LedgerError> {
        let mut tx = self.engine.look().await?;
        let rows = tx.rows(sql, args![LONGEST_LIST]).await?;
        rows.iter().map(Recorded::of).collect()
    }
}

impl Outcome {
    /// Whether a change that stands there can end so. What was never sent was
    /// not applied; what people must find out stays with them.
    fn follows(&self, progress: Progress) -> bool {
        use Progress::{NeedsHuman, Reserved, Sending, Unknown};
        match self {
            Self::Applied { .. } => matches!(progress, Sending | Unknown | NeedsHuman),
            Self::NotApplied { .. } | Self::HeldUp { .. } => {
                matches!(progress, Reserved | Sending | Unknown | NeedsHuman)
            }
            Self::NeverSent { .. } => progress == Reserved,
            Self::Unknown { .. } | Self::NeedsHuman { .. } => {
                matches!(progress, Sending | Unknown)
            }
        }
    }

    /// What the audit says of it.
    pub(crate) fn told(&self) -> Value {
        match self {
            Self::Applied { at, after, .. } => {
                json!({"outcome": "applied", "at": at, "after": after})
            }
            Self::NotApplied { why, answer } => {
                json!({"outcome": "not_applied", "why": why, "is_final": answer.is_some()})
            }
            Self::NeverSent { why } | Self::HeldUp { why, .. } => {
                json!({"outcome": "not_applied", "why": why, "is_final": false})
            }
            Self::Unknown { why } => json!({"outcome": "unknown", "why": why}),
            Self::NeedsHuman { why, .. } => json!({"outcome": "needs_human", "why": why}),
        }
    }
}

impl Page<'_> {
    /// Moves a change to where the outcome leaves it, with its money and its key.
    pub(crate) async fn finish(
        &mut self,
        change: &Recorded,
        outcome: &Outcome,
    ) -> Result<(), LedgerError> {
        match outcome {
            Outcome::Applied { at, after, answer } => {
                self.post(change, *at, after).await?;
                self.answer(change, Some(answer)).await
            }
            Outcome::NeverSent { .. } | Outcome::NotApplied { answer: None, .. } => {
                self.give_up(change).await
            }
            Outcome::NotApplied { answer, .. } => {
                self.void(change).await?;
                self.answer(change, answer.as_deref()).await
            }
            Outcome::HeldUp { answer, .. } => {
                self.void(change).await?;
                self.hold_up(change).await?;
                self.answer(change, Some(answer)).await
            }
            Outcome::Unknown { .. } => self.move_to(change, Progress::Unknown).await,
            Outcome::NeedsHuman { answer, .. } => {
                self.move_to(change, Progress::NeedsHuman).await?;
                self.answer(change, Some(answer)).await
            }
        }?;
        match &change.membership {
            Membership::Item { batch } => self.end_batch(batch).await,
            Membership::Alone | Membership::Batch => Ok(()),
        }
    }

    async fn keep_record(
        &mut self,
        change: &mut Recorded,
        record: &Map<String, Value>,
    ) -> Result<(), LedgerError> {
        // What was made has its name from now on.
        const KEEP: &str =
            "UPDATE changes SET record = $1, object = COALESCE(object, $2) WHERE id = $3";
        let id = change.lease.change.as_str();
        let object = record.get("object").and_then(|object| object.get("id"));
        let args = args![json(record), object.and_then(Value::as_str), id];
        self.tx.run_later(KEEP, args).await?;
        change.record.clone_from(record);
        Ok(())
    }

    /// Posts the money of a change.
    pub(crate) async fn post(
        &mut self,
        change: &Recorded,
        at: Timestamp,
        after: &Value,
    ) -> Result<(), LedgerError> {
        const POST: &str = "UPDATE changes SET progress = 'applied', since = $1, applied_at = $2, \
             after_state = $3, touched = $4 WHERE id = $5";
        // Between the request and now, whatever a vendor's clock says.
        let at = at.max(change.sent_at.unwrap_or(self.now)).min(self.now);
        let id = &change.lease.change;
        let args = args![self.now, at, json(after), self.touch(), id.as_str()];
        self.tx.run_later(POST, args).await?;
        if let Some(proposal) = &change.proposal {
            self.keep_lows(id, proposal, at).await?;
        }
        self.free_roots(change).await
    }

    /// Frees the money of a change that was not made, and of all that was asked
    /// for as it.
    pub(crate) async fn void(&mut self, change: &Recorded) -> Result<(), LedgerError> {
        for item in self.open_items(change).await? {
            self.move_to(&item, Progress::NotApplied).await?;
            self.free_roots(&item).await?;
            self.free_key(&item).await?;
        }
        self.move_to(change, Progress::NotApplied).await?;
        self.free_roots(change).await
    }

    /// The same, and its key can be claimed again.
    pub(crate) async fn give_up(&mut self, change: &Recorded) -> Result<(), LedgerError> {
        self.void(change).await?;
        self.free_key(change).await
    }

    pub(crate) async fn move_to(
        &mut self,
        change: &Recorded,
        progress: Progress,
    ) -> Result<(), LedgerError> {
        const MOVE: &str =
            "UPDATE changes SET progress = $1, since = $2, touched = $3 WHERE id = $4";
        let id = change.lease.change.as_str();
        let args = args![progress.as_str(), self.now, self.touch(), id];
        self.tx.run_later(MOVE, args).await
    }

    pub(crate) async fn free_roots(&mut self, change: &Recorded) -> Result<(), LedgerError> {
        let id = change.lease.change.as_str();
        let free = "DELETE FROM roots WHERE change_id = $1";
        self.tx.run_later(free, args![id]).await
    }
}
