//! Keys of idempotency (WRITES §2): whoever claims one first has the change,
//! everybody after that hears what became of it.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use tenantry_core::digest::Digest;
use tenantry_core::name::ToolName;

use crate::approval::End;
use crate::change::{ChangeId, Lease, Principal, Progress, Recorded, json};
use crate::error::LedgerError;
use crate::ledger::Ledger;
use crate::page::Page;
use crate::sql::{Row, args};

/// How long a claim stands before something is decided. Its caller heard
/// something within 25 s; after a minute it is nobody's any more, and the next
/// one with the same key goes on.
pub const CLAIM_LASTS: SignedDuration = SignedDuration::from_secs(60);

/// What is claimed.
#[derive(Clone, Copy)]
pub struct Claim<'c> {
    /// Who claims. Keys of others are other keys.
    pub principal: &'c Principal,
    /// The key, as the caller made it.
    pub key: &'c str,
    /// The tool.
    pub tool: &'c ToolName,
    /// The canonical form of the arguments.
    pub fingerprint: Digest,
    /// The name of the change, if it is a new one.
    pub change: &'c ChangeId,
}

/// What a key opens.
#[derive(Debug, Clone, PartialEq)]
pub enum Claimed {
    /// A change that nobody has asked for before.
    New(Lease),
    /// One that has been answered.
    Replay(Replay),
    /// One that is on its way, or waits for people.
    InProgress {
        /// Which.
        change: ChangeId,
        /// How far it has come.
        progress: Progress,
    },
    /// Several, each of which has come so far as its own key opens.
    Batch {
        /// As which they were asked for.
        change: ChangeId,
        /// They, in their order.
        items: Vec<OpenItem>,
        /// When all had ended, if they have.
        ended_at: Option<Timestamp>,
    },
    /// One that waited for people until a newer one took its place.
    Superseded {
        /// Which.
        change: ChangeId,
    },
    /// Nothing: the key was used for something else.
    Mismatch,
    /// Nothing any more: what it was used for is no longer kept.
    Expired,
}

/// A change of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenItem {
    /// The change.
    pub change: Recorded,
    /// What it is answered with; nothing where it was not made and may be asked
    /// for anew.
    pub opens: Option<Claimed>,
}

/// A stored answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    /// The change.
    pub change: ChangeId,
    /// The answer, byte for byte.
    pub answer: String,
    /// When it was stored.
    pub executed_at: Timestamp,
    /// Whether another change of the same object was applied since.
    pub no_longer_current: bool,
}

/// The key itself stays with the caller.
impl fmt::Debug for Claim<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Claim")
            .field("tool", self.tool)
            .field("change", self.change)
            .finish_non_exhaustive()
    }
}

impl Ledger {
    /// Claims a key: of any number that do so, one has the change.
    pub async fn claim(&self, claim: &Claim<'_>, now: Timestamp) -> Result<Claimed, LedgerError> {
        const FIND: &str = "SELECT change_id, fingerprint, answer, answered_at, is_expired \
             FROM claims WHERE claim = $1";
        let mut page = self.turn(now).await?;
        let name = name(claim.principal, claim.key);
        let claimed = match page.tx.row(FIND, args![name.as_str()]).await? {
            Some(found) => page.meet(&found, claim).await?,
            None => Claimed::New(page.claim_anew(&name, claim).await?),
        };
        page.close().await?;
        Ok(claimed)
    }

    /// What the key of a change opens now, whoever asks; nothing where the key is
    /// free again, or where a change never had one. Nothing is written down.
    pub async fn opens(
        &self,
        change: &ChangeId,
        now: Timestamp,
    ) -> Result<Option<Claimed>, LedgerError> {
        const FIND: &str = "SELECT change_id, answer, answered_at, is_expired FROM claims \
             WHERE change_id = $1";
        let mut page = self.turn(now).await?;
        match page.tx.row(FIND, args![change.as_str()]).await? {
            Some(found) if page.is_past(&found).await? => Ok(Some(Claimed::Expired)),
            Some(found) => page.open(&found).await.map(Some),
            None => Ok(None),
        }
    }

    /// What a key opens that was used for just that, whichever tool came of it;
    /// nothing where it was used for nothing. Nothing is written down.
    pub async fn meets(
        &self,
        principal: &Principal,
        key: &str,
        fingerprint: Digest,
        now: Timestamp,
    ) -> Result<Option<Claimed>, LedgerError> {
        const FIND: &str = "SELECT change_id, fingerprint, answer, answered_at, is_expired \
             FROM claims WHERE claim = $1";
        let mut page = self.turn(now).await?;
        let name = name(principal, key);
        let Some(found) = page.tx.row(FIND, args![name]).await? else {
            return Ok(None);
        };
        if page.is_past(&found).await? {
            return Ok(Some(Claimed::Expired));
        }
        let kept = found.text("fingerprint")?;
        let is_same = kept.rsplit(' ').next() == Some(fingerprint.to_string().as_str());
        if !is_same {
            return Ok(Some(Claimed::Mismatch));
        }
        page.open(&found).await.map(Some)
    }

    /// Gives a key back, for a change of which nothing is to be kept: its
    /// arguments were wrong, its vendor could not be asked.
    pub async fn release(&self, lease: &Lease, now: Timestamp) -> Result<(), LedgerError> {
        let mut page = self.turn(now).await?;
        let change = Recorded::held(&mut page.tx, lease).await?;
        if change.progress != Progress::Claimed {
            return Err(change.out_of_order());
        }
        page.forget(&change).await?;
        page.close().await
    }
}

/// What stands for a key in the book: the key of one principal. JSON, so that no
/// two run into one another.
fn name(principal: &Principal, key: &str) -> String {
    let Principal { owner, agent } = principal;
    Digest::of(json(&(owner, agent, key)).as_bytes()).to_string()
}

impl Claimed {
    /// The change, where it may be spoken of.
    pub fn change(&self) -> Option<&ChangeId> {
        match self {
            Self::New(lease) => Some(&lease.change),
            Self::Replay(Replay { change, .. })
            | Self::InProgress { change, .. }
            | Self::Batch { change, .. }
            | Self::Superseded { change } => Some(change),
            Self::Mismatch | Self::Expired => None,
        }
    }
}

impl Claim<'_> {
    /// The same key for another tool is not the same change.
    fn fingerprint(&self) -> String {
        format!("{} {}", self.tool, self.fingerprint)
    }
}

impl Page<'_> {
    /// The lease of a new change. Nobody else writes while the page is open, so
    /// the key that was not there is not there now.
    async fn claim_anew(&mut self, name: &str, claim: &Claim<'_>) -> Result<Lease, LedgerError> {
        const CLAIM: &str = "INSERT INTO claims (claim, change_id, fingerprint, is_expired) \
             VALUES ($1, $2, $3, 0)";
        const BEGIN: &str = "INSERT INTO changes (id, epoch, holder, progress, since, principal, tool) \
             VALUES ($1, 1, $2, 'claimed', $3, $4, $5)";
        let id = claim.change.as_str();
        let keep = args![name, id, claim.fingerprint()];
        self.tx.run_later(CLAIM, keep).await?;
        let holder = self.ledger().identity.epoch;
        let principal = json(claim.principal);
        let begin = args![id, holder, self.now, principal, claim.tool.as_str()];
        self.tx.run_later(BEGIN, begin).await?;
        Ok(Lease {
            change: claim.change.clone(),
            epoch: 1,
        })
    }

    /// What a key opens that was claimed before.
    async fn meet(&mut self, row: &Row, claim: &Claim<'_>) -> Result<Claimed, LedgerError> {
        if self.is_past(row).await? {
            return Ok(Claimed::Expired);
        }
        if row.text("fingerprint")? != claim.fingerprint() {
            return Ok(Claimed::Mismatch);
        }
        let change = row.read("change_id", |text| ChangeId::parse(text).ok())?;
        if row.maybe_time("answered_at")?.is_none() {
            let found = self.begun(&change).await?;
            let age = self.now.duration_since(found.since);
            if found.progress == Progress::Claimed && age >= CLAIM_LASTS {
                return Ok(Claimed::New(self.hand_over(&found).await?));
            }
        }
        self.open(row).await
    }

    /// Whether what a key was used for is no longer kept. While people have not
    /// found out what became of its change, it is.
    async fn is_past(&mut self, row: &Row) -> Result<bool, LedgerError> {
        if row.int("is_expired")? != 0 {
            return Ok(true);
        }
        let retention = self.ledger().retention();
        let answered_at = row.maybe_time("answered_at")?;
        if answered_at.is_none_or(|at| self.now.duration_since(at) < retention) {
            return Ok(false);
        }
        let change = row.read("change_id", |text| ChangeId::parse(text).ok())?;
        let found = Recorded::find(&mut self.tx, &change).await?;
        Ok(!found.is_some_and(|found| found.progress == Progress::NeedsHuman))
    }

    /// What a key opens that is good for its change.
    pub(crate) async fn open(&mut self, row: &Row) -> Result<Claimed, LedgerError> {
        let change = row.read("change_id", |text| ChangeId::parse(text).ok())?;
        let Some(executed_at) = row.maybe_time("answered_at")? else {
            let found = self.begun(&change).await?;
            return match found.progress {
                Progress::Reserved | Progress::Sending if found.is_batch() => {
                    self.open_batch(change, None).await
                }
                progress => Ok(Claimed::InProgress { change, progress }),
            };
        };
        let Some(answer) = row.maybe_text("answer")? else {
            return if self.has_ended_as_its_items(&change).await? {
                self.open_batch(change, Some(executed_at)).await
            } else {
                Ok(Claimed::Superseded { change })
            };
        };
        let no_longer_current = self.has_moved_on(&change).await?;
        Ok(Claimed::Replay(Replay {
            change,
            answer,
            executed_at,
            no_longer_current,
        }))
    }

    /// Whether it is a batch, and no newer question took its place.
    async fn has_ended_as_its_items(&mut self, change: &ChangeId) -> Result<bool, LedgerError> {
        let found = Recorded::find(&mut self.tx, change).await?;
        if !found.is_some_and(|found| found.is_batch()) {
            return Ok(false);
        }
        let asked = self.approval(change).await?;
        Ok(asked.is_none_or(|asked| asked.ended != Some(End::Superseded)))
    }

    async fn begun(&mut self, change: &ChangeId) -> Result<Recorded, LedgerError> {
        let found = Recorded::find(&mut self.tx, change).await?;
        found.ok_or_else(|| LedgerError::damaged("a claim has no change"))
    }

    async fn has_moved_on(&mut self, change: &ChangeId) -> Result<bool, LedgerError> {
        const LATER: &str = "SELECT later.id FROM changes mine JOIN changes later \
             ON later.object = mine.object AND later.account = mine.account \
             AND later.connector = mine.connector AND later.id <> mine.id \
             AND later.progress = 'applied' AND later.applied_at >= mine.applied_at \
             WHERE mine.id = $1 LIMIT 1";
        Ok(self.tx.row(LATER, args![change.as_str()]).await?.is_some())
    }

    /// Gives a change to this process, and takes it from whoever had it.
    pub(crate) async fn hand_over(&mut self, change: &Recorded) -> Result<Lease, LedgerError> {
        const HAND_OVER: &str = "UPDATE changes SET epoch = $1, holder = $2, since = CASE \
             WHEN progress IN ('claimed', 'executing') THEN $3 ELSE since END WHERE id = $4";
        const WITH_IT: &str = "UPDATE changes SET epoch = epoch + 1, holder = $1 \
             WHERE batch = $2 AND progress NOT IN ('applied', 'not_applied')";
        let lease = Lease {
            change: change.lease.change.clone(),
            epoch: change.lease.epoch + 1,
        };
        let holder = self.ledger().identity.epoch;
        let args = args![lease.epoch, holder, self.now, lease.change.as_str()];
        self.tx.run_later(HAND_OVER, args).await?;
        if change.is_batch() {
            let with_it = args![holder, lease.change.as_str()];
            self.tx.run_later(WITH_IT, with_it).await?;
        }
        Ok(lease)
    }

    /// Takes out a change of which nothing is to be kept, and its claim.
    pub(crate) async fn forget(&mut self, change: &Recorded) -> Result<(), LedgerError> {
        const FORGET: &str = "DELETE FROM changes WHERE id = $1 RETURNING touched";
        let id = change.lease.change.as_str();
        let row = self.tx.row(FORGET, args![id]).await?;
        let touched = row.map_or(Ok(0), |row| row.count("touched"))?;
        self.book.erased += u64::from(touched > 0);
        self.free_key(change).await
    }

    /// Lets the key of a change be claimed again.
    pub(crate) async fn free_key(&mut self, change: &Recorded) -> Result<(), LedgerError> {
        let id = change.lease.change.as_str();
        let free = "DELETE FROM claims WHERE change_id = $1";
        self.tx.run_later(free, args![id]).await
    }

    /// Stores what the key of a change is answered with from now on; without an
    /// answer, that it has ended.
    pub(crate) async fn answer(
        &mut self,
        change: &Recorded,
        answer: Option<&str>,
    ) -> Result<(), LedgerError> {
        // In words that do not lead to the index of all that can expire.
        const ANSWER: &str = "UPDATE claims SET answer = $1, answered_at = $2 \
             WHERE change_id = $3 AND is_expired <> 1";
        let args = args![answer, self.now, change.lease.change.as_str()];
        self.tx.run_later(ANSWER, args).await
    }
}
