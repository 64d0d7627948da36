//! Questions to people (WRITES §7), as far as the book keeps them: rows, and
//! the one moment at which a change stops waiting. Who may agree, and what they
//! are shown, is decided elsewhere.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use tenantry_core::digest::Digest;
use tenantry_core::policy::decide::{Fired, Terms};

use crate::change::{ChangeId, Lease, Progress, Recorded, json};
use crate::error::LedgerError;
use crate::ledger::Ledger;
use crate::line::Event;
use crate::page::Page;
use crate::reserve::Deferred;
use crate::settle::LONGEST_LIST;
use crate::sql::{Row, args};

/// A question that waits, or waited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// The change that people are asked about.
    pub change: ChangeId,
    /// Since when.
    pub asked_at: Timestamp,
    /// Until when they may agree.
    pub expires_at: Timestamp,
    /// Who must.
    pub terms: Terms,
    /// The rules that ask.
    pub fired: Vec<Fired>,
    /// The arguments of the tool, all of them.
    pub arguments: Map<String, Value>,
    /// What stands for all that it was decided on.
    pub pinned: Digest,
    /// What identifies the policies that it was decided under.
    pub policy_digest: Digest,
    /// What they are shown, once they are.
    pub shown: Option<Shown>,
    /// How it ended, if it did without the change being made.
    pub ended: Option<End>,
}

/// The object in which people see a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Its UID.
    pub uid: String,
    /// The digest of all that it shows.
    pub digest: Digest,
}

/// How a question ends without the change being made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Somebody said no.
    Denied,
    /// Nobody said enough in time.
    Expired,
    /// Whoever asked took it back.
    Withdrawn,
    /// A newer question about the same object took its place.
    Superseded,
    /// It could not be shown to anybody.
    Unavailable,
    /// What people agreed to is no longer so.
    Stale,
    /// A limit denies what people agreed to.
    Refused,
}

/// What became of an attempt to carry out what people agreed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Execution {
    /// It is this process's to carry out, and nobody else's.
    Begun(Lease),
    /// It is too late.
    Expired,
    /// That is not what people were shown.
    OtherShown,
    /// It waits no more.
    NotPending(Progress),
}

/// The columns that [`Approval::of`] reads.
macro_rules! select_approvals {
    ($rest:literal) => {
        concat!(
            "SELECT change_id, asked_at, expires_at, terms, fired, arguments, pinned, ",
            "policy_digest, uid, digest, ended FROM approvals ",
            $rest
        )
    };
}

const READ: &str = select_approvals!("WHERE change_id = $1");

impl Ledger {
    /// The question about a change, if there was one.
    pub async fn approval(&self, change: &ChangeId) -> Result<Option<Approval>, LedgerError> {
        let mut tx = self.engine.look().await?;
        let row = tx.row(READ, args![change.as_str()]).await?;
        row.as_ref().map(Approval::of).transpose()
    }

    /// All questions that wait, those that expire first before the others.
    pub async fn waiting(&self) -> Result<Vec<Approval>, LedgerError> {
        const LIST: &str = select_approvals!(
            "WHERE change_id IN (SELECT id FROM changes WHERE progress = 'pending') \
             ORDER BY expires_at, change_id LIMIT $1"
        );
        let mut tx = self.engine.look().await?;
        let rows = tx.rows(LIST, args![LONGEST_LIST]).await?;
        rows.iter().map(Approval::of).collect()
    }

    /// Writes down in which object people see the question of that moment: once,
    /// and never another.
    pub async fn show(
        &self,
        asked: &Approval,
        shown: &Shown,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        const SHOW: &str = "UPDATE approvals SET uid = $1, digest = $2 WHERE change_id = $3";
        let mut page = self.turn(now).await?;
        let (found, standing) = page.question(&asked.change).await?;
        let is_other = standing.shown.as_ref().is_some_and(|known| known != shown);
        if !found.waits_for(&standing, asked) || is_other {
            return Err(found.out_of_order());
        }
        let args = args![&shown.uid, shown.digest.to_string(), asked.change.as_str()];
        page.tx.run_later(SHOW, args).await?;
        page.close().await
    }

    /// Begins to carry out what people agreed to: of any number of attempts,
    /// one does. Here, and nowhere else, it is asked whether it is too late.
    ///
    /// `said` is what people said, for the audit.
    pub async fn execute(
        &self,
        change: &ChangeId,
        shown: &Shown,
        said: &Map<String, Value>,
        now: Timestamp,
    ) -> Result<Execution, LedgerError> {
        let mut page = self.turn(now).await?;
        let (found, approval) = page.question(change).await?;
        if found.progress != Progress::Pending {
            return Ok(Execution::NotPending(found.progress));
        }
        if approval.shown.as_ref() != Some(shown) {
            return Ok(Execution::OtherShown);
        }
        if page.now >= approval.expires_at {
            return Ok(Execution::Expired);
        }
        let lease = page.hand_over(&found).await?;
        page.move_to(&found, Progress::Executing).await?;
        for item in page.open_items(&found).await? {
            page.move_to(&item, Progress::Executing).await?;
        }
        let mut detail = said.clone();
        detail.insert("uid".into(), json!(shown.uid));
        detail.insert("digest".into(), json!(shown.digest));
        let detail = Value::Object(detail);
        page.append(Event::Execution, Some(change), detail, &found.record)
            .await?;
        page.close().await?;
        Ok(Execution::Begun(lease))
    }

    /// Says that somebody goes on carrying out what people agreed to: for now it
    /// is nobody else's.
    pub async fn carry_on(&self, lease: &Lease, now: Timestamp) -> Result<(), LedgerError> {
        const STAY: &str =
            "UPDATE changes SET since = $1 WHERE id = $2 AND epoch = $3 AND progress = 'executing'";
        let mut page = self.turn(now).await?;
        let args = args![page.now, lease.change.as_str(), lease.epoch];
        if page.tx.run(STAY, args).await? == 0 {
            let change = Recorded::held(&mut page.tx, lease).await?;
            return Err(change.out_of_order());
        }
        page.close().await
    }

    /// Ends the question of that moment, if it waits; its money is free, and its
    /// key is answered with `answer`, or free without one. `said` is why, for the
    /// audit.
    pub async fn end_question(
        &self,
        asked: &Approval,
        end: End,
        answer: Option<&str>,
        said: &Map<String, Value>,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        let mut page = self.turn(now).await?;
        let (found, standing) = page.question(&asked.change).await?;
        let is_early = end == End::Expired && page.now < standing.expires_at;
        if !found.waits_for(&standing, asked) || is_early {
            return Err(found.out_of_order());
        }
        page.end(&found, end, answer, said).await?;
        page.close().await
    }

    /// Ends what people agreed to and what is not carried out after all.
    pub async fn end_execution(
        &self,
        lease: &Lease,
        end: End,
        answer: Option<&str>,
        said: &Map<String, Value>,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        let mut page = self.turn(now).await?;
        let found = Recorded::held(&mut page.tx, lease).await?;
        if found.progress != Progress::Executing {
            return Err(found.out_of_order());
        }
        page.end(&found, end, answer, said).await?;
        page.close().await
    }
}

impl Page<'_> {
    /// Writes a question down, in the place of an earlier one about the same
    /// change; answers until when people may agree.
    pub(crate) async fn ask(
        &mut self,
        change: &ChangeId,
        terms: &Terms,
        fired: &[Fired],
        deferred: Deferred<'_>,
    ) -> Result<Timestamp, LedgerError> {
        const ASK: &str = "INSERT INTO approvals (change_id, asked_at, expires_at, terms, fired, \
             arguments, pinned, policy_digest) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
        let own = change.as_str();
        // Of two questions about one change each has a moment of its own, also
        // while a clock that was set back stands still.
        let earlier = self.approval(change).await?;
        let earlier = earlier.map(|earlier| earlier.asked_at + SignedDuration::from_micros(1));
        let asked_at = earlier.map_or(self.now, |earlier| earlier.max(self.now));
        let forget = "DELETE FROM approvals WHERE change_id = $1";
        self.tx.run_later(forget, args![own]).await?;
        // A time beyond all times is one that has passed: in doubt, nobody may.
        let after = SignedDuration::from_millis(terms.expires_after_ms);
        let expires_at = self.now.checked_add(after).unwrap_or(self.now);
        let args = args![
            own,
            asked_at,
            expires_at,
            json(terms),
            json(&fired),
            json(deferred.arguments),
            deferred.pinned.to_string(),
            deferred.policy_digest.to_string(),
        ];
        self.tx.run_later(ASK, args).await?;
        Ok(expires_at)
    }

    /// Ends older questions in favour of a newer one.
    pub(crate) async fn supersede(
        &mut self,
        older: &[Recorded],
        by: &ChangeId,
    ) -> Result<Vec<ChangeId>, LedgerError> {
        for question in older {
            self.void(question).await?;
            self.answer(question, None).await?;
            let by = Map::from_iter([("by".to_owned(), json!(by))]);
            self.note_end(question, End::Superseded, by).await?;
        }
        Ok(older
            .iter()
            .map(|older| older.lease.change.clone())
            .collect())
    }

    async fn end(
        &mut self,
        change: &Recorded,
        end: End,
        answer: Option<&str>,
        said: &Map<String, Value>,
    ) -> Result<(), LedgerError> {
        match answer {
            Some(answer) => {
                self.void(change).await?;
                self.answer(change, Some(answer)).await?;
            }
            None => self.give_up(change).await?,
        }
        self.note_end(change, end, said.clone()).await
    }

    async fn note_end(
        &mut self,
        change: &Recorded,
        end: End,
        mut detail: Map<String, Value>,
    ) -> Result<(), LedgerError> {
        const END: &str = "UPDATE approvals SET ended = $1 WHERE change_id = $2";
        let own = &change.lease.change;
        self.tx
            .run_later(END, args![end.as_str(), own.as_str()])
            .await?;
        detail.insert("end".into(), end.as_str().into());
        let detail = Value::Object(detail);
        let mut items = Vec::new();
        if change.is_batch() {
            items = self.items(own).await?;
            items.retain(|item| item.proposal.is_some());
        }
        for ended in std::iter::once(change).chain(&items) {
            let own = Some(&ended.lease.change);
            self.append(Event::ApprovalEnded, own, detail.clone(), &ended.record)
                .await?;
        }
        Ok(())
    }

    async fn question(&mut self, change: &ChangeId) -> Result<(Recorded, Approval), LedgerError> {
        let gone = || LedgerError::Fenced {
            change: change.clone(),
        };
        let found = Recorded::find(&mut self.tx, change)
            .await?
            .ok_or_else(gone)?;
        let approval = self.approval(change).await?.ok_or_else(gone)?;
        Ok((found, approval))
    }

    /// What people were asked about a change, if they were.
    pub(crate) async fn approval(
        &mut self,
        change: &ChangeId,
    ) -> Result<Option<Approval>, LedgerError> {
        let row = self.tx.row(READ, args![change.as_str()]).await?;
        row.as_ref().map(Approval::of).transpose()
    }
}

impl Recorded {
    /// Whether it waits for what people were `asked`: a change that was carried
    /// out and asks anew has another question, of another moment.
    fn waits_for(&self, standing: &Approval, asked: &Approval) -> bool {
        self.progress == Progress::Pending && standing.asked_at == asked.asked_at
    }
}

impl Approval {
    fn of(row: &Row) -> Result<Self, LedgerError> {
        let gone = |column: &str| LedgerError::damaged(format!("`{column}` is missing"));
        let ended = row.maybe_text("ended")?;
        Ok(Self {
            change: row.read("change_id", |text| ChangeId::parse(text).ok())?,
            asked_at: row.time("asked_at")?,
            expires_at: row.time("expires_at")?,
            terms: row.maybe_json("terms")?.ok_or_else(|| gone("terms"))?,
            fired: row.maybe_json("fired")?.ok_or_else(|| gone("fired"))?,
            arguments: row
                .maybe_json("arguments")?
                .ok_or_else(|| gone("arguments"))?,
            pinned: row.read("pinned", |text| Digest::parse(text).ok())?,
            policy_digest: row.read("policy_digest", |text| Digest::parse(text).ok())?,
            shown: Shown::of(row)?,
            ended: ended.as_deref().map(End::read).transpose()?,
        })
    }
}

impl Shown {
    /// Reads `uid` and `digest` of a row, which are there once it is shown.
    pub(crate) fn of(row: &Row) -> Result<Option<Self>, LedgerError> {
        let Some(uid) = row.maybe_text("uid")? else {
            return Ok(None);
        };
        let digest = row.read("digest", |text| Digest::parse(text).ok())?;
        Ok(Some(Self { uid, digest }))
    }
}

impl End {
    const ALL: [Self; 7] = [
        Self::Denied,
        Self::Expired,
        Self::Withdrawn,
        Self::Superseded,
        Self::Unavailable,
        Self::Stale,
        Self::Refused,
    ];

    /// The word in the book and in the audit.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Withdrawn => "withdrawn",
            Self::Superseded => "superseded",
            Self::Unavailable => "unavailable",
            Self::Stale => "stale",
            Self::Refused => "refused",
        }
    }

    fn read(text: &str) -> Result<Self, LedgerError> {
        let mut all = Self::ALL.into_iter();
        all.find(|known| known.as_str() == text)
            .ok_or_else(|| LedgerError::damaged(format!("`{text}` is no end")))
    }
}
