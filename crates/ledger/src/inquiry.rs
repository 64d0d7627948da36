//! What people are asked about a change that was sent, and of which only they can
//! find out what became of it (WRITES §6). Its money stays set aside until they
//! have. Who may answer, and what they are shown, is decided elsewhere; nothing
//! here sends anything.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};
use tenantry_core::policy::decide::Terms;

use crate::approval::Shown;
use crate::change::{ChangeId, Progress, Recorded, json};
use crate::error::LedgerError;
use crate::ledger::Ledger;
use crate::line::Event;
use crate::page::Page;
use crate::settle::Outcome;
use crate::sql::{Row, args};

/// A question that waits, or waited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inquiry {
    /// The change.
    pub change: ChangeId,
    /// Since when people are asked.
    pub asked_at: Timestamp,
    /// Who must say it, for each rule that would have asked them.
    pub terms: Vec<Terms>,
    /// What they are shown, once they are.
    pub shown: Option<Shown>,
}

const READ: &str =
    "SELECT change_id, asked_at, terms, uid, digest FROM inquiries WHERE change_id = $1";

impl Ledger {
    /// What people are asked about a change, if they are.
    pub async fn inquiry(&self, change: &ChangeId) -> Result<Option<Inquiry>, LedgerError> {
        let mut tx = self.engine.look().await?;
        let row = tx.row(READ, args![change.as_str()]).await?;
        row.as_ref().map(Inquiry::of).transpose()
    }

    /// Asks people what became of a change that needs them, in the place of an
    /// earlier question about it, which counts no more.
    pub async fn inquire(
        &self,
        change: &ChangeId,
        terms: &[Terms],
        now: Timestamp,
    ) -> Result<Inquiry, LedgerError> {
        const ASK: &str = "INSERT INTO inquiries (change_id, asked_at, terms) VALUES ($1, $2, $3)";
        let mut page = self.turn(now).await?;
        page.undecided(change).await?;
        // Each question has a moment of its own, by which it is named.
        let earlier = page.inquiry(change).await?;
        let earlier = earlier.map(|earlier| earlier.asked_at + SignedDuration::from_micros(1));
        let asked_at = earlier.map_or(page.now, |earlier| earlier.max(page.now));
        let forget = "DELETE FROM inquiries WHERE change_id = $1";
        page.tx.run_later(forget, args![change.as_str()]).await?;
        let args = args![change.as_str(), asked_at, json(&terms)];
        page.tx.run_later(ASK, args).await?;
        page.close().await?;
        Ok(Inquiry {
            change: change.clone(),
            asked_at,
            terms: terms.to_vec(),
            shown: None,
        })
    }

    /// Writes down in which object people see the question of that moment: once,
    /// and never another.
    pub async fn show_inquiry(
        &self,
        inquiry: &Inquiry,
        shown: &Shown,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        const SHOW: &str = "UPDATE inquiries SET uid = $1, digest = $2 WHERE change_id = $3";
        let mut page = self.turn(now).await?;
        let found = page.undecided(&inquiry.change).await?;
        let standing = page.inquiry(&inquiry.change).await?;
        let is_it = |standing: &Inquiry| {
            let other = standing.shown.as_ref().is_some_and(|known| known != shown);
            standing.asked_at == inquiry.asked_at && !other
        };
        if !standing.as_ref().is_some_and(is_it) {
            return Err(found.out_of_order());
        }
        let digest = shown.digest.to_string();
        let args = args![&shown.uid, digest, inquiry.change.as_str()];
        page.tx.run_later(SHOW, args).await?;
        page.close().await
    }

    /// Writes down what people found out, and posts or frees the money: once, and
    /// only by the question that they were shown. `said` is what they said, for
    /// the audit.
    pub async fn resolve(
        &self,
        change: &ChangeId,
        shown: &Shown,
        outcome: &Outcome,
        said: &Map<String, Value>,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        let mut page = self.turn(now).await?;
        let found = page.undecided(change).await?;
        let inquiry = page.inquiry(change).await?;
        if inquiry.and_then(|inquiry| inquiry.shown).as_ref() != Some(shown) {
            return Err(found.out_of_order());
        }
        page.finish(&found, outcome).await?;
        let mut detail = outcome.told();
        if let Value::Object(detail) = &mut detail {
            detail.extend(said.clone());
        }
        page.append(Event::Resolved, Some(change), detail, &found.record)
            .await?;
        page.close().await
    }
}

impl Page<'_> {
    /// A change that needs people.
    async fn undecided(&mut self, change: &ChangeId) -> Result<Recorded, LedgerError> {
        let found = Recorded::find(&mut self.tx, change).await?;
        let found = found.ok_or_else(|| LedgerError::Fenced {
            change: change.clone(),
        })?;
        match found.progress {
            Progress::NeedsHuman => Ok(found),
            _ => Err(found.out_of_order()),
        }
    }

    async fn inquiry(&mut self, change: &ChangeId) -> Result<Option<Inquiry>, LedgerError> {
        let row = self.tx.row(READ, args![change.as_str()]).await?;
        row.as_ref().map(Inquiry::of).transpose()
    }
}

impl Inquiry {
    fn of(row: &Row) -> Result<Self, LedgerError> {
        let gone = || LedgerError::damaged("`terms` is missing".to_owned());
        Ok(Self {
            change: row.read("change_id", |text| ChangeId::parse(text).ok())?,
            asked_at: row.time("asked_at")?,
            terms: row.maybe_json("terms")?.ok_or_else(gone)?,
            shown: Shown::of(row)?,
        })
    }
}
