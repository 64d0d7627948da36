//! A change as the book keeps it: its name, who has it, how far it has come,
//! and all that was written down of it.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tenantry_core::name::ToolName;
use tenantry_core::policy::facts::Proposal;

use crate::error::LedgerError;
use crate::sql::{Row, Tx, args};

/// A change's name: what answers and audit lines carry, and what one can ask
/// about. 32 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ChangeId(String);

/// The text is not a change's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a change id is 32 lower-case hexadecimal digits")]
pub struct ChangeIdError;

/// The right to carry a change on. Whoever takes it over gets another epoch,
/// and then this one opens nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The change.
    pub change: ChangeId,
    /// Which of its owners this is.
    pub epoch: u64,
}

/// Who asks, whatever key it does so with: stable over key rotation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Principal {
    /// The user that answers for it.
    pub owner: String,
    /// The program that acts.
    pub agent: Option<String>,
}

/// How far a change has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Progress {
    /// A key was claimed for it; nothing is decided.
    Claimed,
    /// It waits for people, and its money with it.
    Pending,
    /// People agreed, and it is on its way to be decided again.
    Executing,
    /// It may be made; nothing was sent.
    Reserved,
    /// The request may have left.
    Sending,
    /// The request left, and nobody knows what became of it.
    Unknown,
    /// Only people can find out what became of it.
    NeedsHuman,
    /// The vendor made it.
    Applied,
    /// The vendor did not make it.
    NotApplied,
}

/// What a change is meant to do, as the one who sends it needs it, and what
/// was there before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intent {
    /// What shall be, in absolute terms.
    pub target: Value,
    /// What the vendor said before.
    pub before: Value,
}

/// Everything that the book has of a change.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// The change, and its owner of now.
    pub lease: Lease,
    /// Which opening of the ledger that owner is: see `Identity::epoch`.
    pub holder: u64,
    /// How far it has come.
    pub progress: Progress,
    /// Since when.
    pub since: Timestamp,
    /// Who asked.
    pub principal: Principal,
    /// With which tool.
    pub tool: ToolName,
    /// What was decided over.
    pub proposal: Option<Proposal>,
    /// What was meant.
    pub intent: Option<Intent>,
    /// The caller's redacted words, as the audit has them.
    pub record: Map<String, Value>,
    /// When the money was reserved.
    pub reserved_at: Option<Timestamp>,
    /// When it was made known that the request leaves.
    pub sent_at: Option<Timestamp>,
    /// The latest moment at which it can have been applied.
    pub applied_at: Option<Timestamp>,
    /// What the vendor said afterwards.
    pub after: Option<Value>,
    /// Whether it stands alone.
    pub membership: Membership,
}

/// Whether a change stands alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Membership {
    /// It does.
    Alone,
    /// It is nothing by itself: what it is made of are its items.
    Batch,
    /// It was asked for together with others.
    Item {
        /// As this.
        batch: ChangeId,
    },
}

impl ChangeId {
    /// A name made of randomness.
    pub fn of_random(bytes: [u8; 16]) -> Self {
        Self(format!("{:032x}", u128::from_be_bytes(bytes)))
    }

    /// Reads a name.
    pub fn parse(text: &str) -> Result<Self, ChangeIdError> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() == 32 && text.bytes().all(is_digit) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ChangeIdError)
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ChangeId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl TryFrom<String> for ChangeId {
    type Error = ChangeIdError;

    fn try_from(text: String) -> Result<Self, ChangeIdError> {
        Self::parse(&text)
    }
}

impl From<ChangeId> for String {
    fn from(change: ChangeId) -> Self {
        change.0
    }
}

impl Progress {
    const ALL: [Self; 9] = [
        Self::Claimed,
        Self::Pending,
        Self::Executing,
        Self::Reserved,
        Self::Sending,
        Self::Unknown,
        Self::NeedsHuman,
        Self::Applied,
        Self::NotApplied,
    ];

    /// The word in the book, in answers and in the audit.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Claimed => "claimed",
            Self::Pending => "pending",
            Self::Executing => "executing",
            Self::Reserved => "reserved",
            Self::Sending => "sending",
            Self::Unknown => "unknown",
            Self::NeedsHuman => "needs_human",
            Self::Applied => "applied",
            Self::NotApplied => "not_applied",
        }
    }

    /// Whether nothing follows.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Applied | Self::NotApplied)
    }

    /// How far that word says, if it is one.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == text)
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// The columns that [`Recorded::of`] reads.
macro_rules! select_changes {
    ($rest:literal) => {
        concat!(
            "SELECT id, epoch, holder, progress, since, principal, tool, proposal, intent, record, ",
            "reserved_at, sent_at, applied_at, after_state, items, batch FROM changes ",
            $rest
        )
    };
}
pub(crate) use select_changes;

impl Membership {
    fn of(row: &Row) -> Result<Self, LedgerError> {
        if row.maybe_text("batch")?.is_some() {
            let batch = row.read("batch", |text| ChangeId::parse(text).ok())?;
            return Ok(Self::Item { batch });
        }
        Ok(match row.maybe_int("items")? {
            Some(_) => Self::Batch,
            None => Self::Alone,
        })
    }
}

impl Recorded {
    /// Whether it is nothing by itself.
    pub fn is_batch(&self) -> bool {
        self.membership == Membership::Batch
    }

    /// The change as which people are asked about it, if they are: an item is
    /// asked about with its batch.
    pub fn asked_as(&self) -> &ChangeId {
        match &self.membership {
            Membership::Item { batch } => batch,
            Membership::Alone | Membership::Batch => &self.lease.change,
        }
    }

    /// Whether it is one of several.
    pub fn is_item(&self) -> bool {
        matches!(self.membership, Membership::Item { .. })
    }

    /// Reads a row of `changes`.
    pub(crate) fn of(row: &Row) -> Result<Self, LedgerError> {
        let of = |column| LedgerError::damaged(format!("`{column}` is missing"));
        Ok(Self {
            lease: Lease {
                change: row.read("id", |text| ChangeId::parse(text).ok())?,
                epoch: row.count("epoch")?,
            },
            holder: row.count("holder")?,
            progress: row.read("progress", Progress::parse)?,
            since: row.time("since")?,
            principal: row
                .maybe_json("principal")?
                .ok_or_else(|| of("principal"))?,
            tool: row.read("tool", |text| ToolName::parse(text).ok())?,
            proposal: row.maybe_json("proposal")?,
            intent: row.maybe_json("intent")?,
            record: row.maybe_json("record")?.unwrap_or_default(),
            reserved_at: row.maybe_time("reserved_at")?,
            sent_at: row.maybe_time("sent_at")?,
            applied_at: row.maybe_time("applied_at")?,
            after: row.maybe_json("after_state")?,
            membership: Membership::of(row)?,
        })
    }

    /// Finds a change.
    pub(crate) async fn find(tx: &mut Tx, change: &ChangeId) -> Result<Option<Self>, LedgerError> {
        const FIND: &str = select_changes!("WHERE id = $1");
        let row = tx.row(FIND, args![change.as_str()]).await?;
        row.as_ref().map(Self::of).transpose()
    }

    /// Finds the change of a lease that still opens something.
    pub(crate) async fn held(tx: &mut Tx, lease: &Lease) -> Result<Self, LedgerError> {
        let found = Self::find(tx, &lease.change).await?;
        found
            .filter(|found| found.lease.epoch == lease.epoch)
            .ok_or_else(|| LedgerError::Fenced {
                change: lease.change.clone(),
            })
    }

    /// That it has come to where something does not follow.
    pub(crate) fn out_of_order(&self) -> LedgerError {
        LedgerError::OutOfOrder {
            change: self.lease.change.clone(),
            progress: self.progress,
        }
    }
}

/// The JSON text of something that always has one.
pub(crate) fn json(value: &impl Serialize) -> String {
    // INVARIANT: structs of texts and numbers and `Value`s have a JSON form.
    serde_json::to_string(value).unwrap_or_default()
}
