//! The changes of the book for whoever looks at what is going on: the newest
//! first, a page at a time. It writes nothing and holds nobody up.

use std::fmt;

use crate::change::{ChangeId, Progress, Recorded, select_changes};
use crate::error::LedgerError;
use crate::ledger::Ledger;
use crate::sql::args;

/// Which changes are wanted; what is absent excludes nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// Those that have come so far.
    pub progress: Option<Progress>,
    /// Those of this tool.
    pub tool: Option<&'a str>,
    /// Those in this account.
    pub account: Option<&'a str>,
    /// Those of this object.
    pub object: Option<&'a str>,
    /// Those after the end of an earlier page.
    pub after: Option<&'a Cursor>,
}

/// The end of a page: when a change has come to where it stands, and which.
/// Written `1780272000000000.0123456789abcdef0123456789abcdef`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    since_micros: i64,
    change: ChangeId,
}

/// The text is not the end of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the end of a page is given as an answer named it")]
pub struct CursorError;

impl Cursor {
    /// Reads one.
    pub fn parse(text: &str) -> Result<Self, CursorError> {
        let (since, change) = text.split_once('.').ok_or(CursorError)?;
        Ok(Self {
            since_micros: since.parse().map_err(|_| CursorError)?,
            change: ChangeId::parse(change).map_err(|_| CursorError)?,
        })
    }

    /// The one behind that change.
    pub fn behind(change: &Recorded) -> Self {
        Self {
            since_micros: change.since.as_microsecond(),
            change: change.lease.change.clone(),
        }
    }

    /// Moment and id, in the words of the book.
    pub(crate) fn place(&self) -> (i64, &str) {
        (self.since_micros, self.change.as_str())
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}", self.since_micros, self.change)
    }
}

impl Ledger {
    /// The changes that something was decided over, those first that have come
    /// to where they stand last; `most` of them at most.
    pub async fn changes(
        &self,
        wanted: &Wanted<'_>,
        most: u32,
    ) -> Result<Vec<Recorded>, LedgerError> {
        const LIST: &str = select_changes!(
            "WHERE (since < $1 OR (since = $1 AND id < $2)) AND proposal IS NOT NULL \
             AND progress = COALESCE($3, progress) AND tool = COALESCE($4, tool) \
             AND COALESCE(account, '') = COALESCE($5, account, '') \
             AND COALESCE(object, '') = COALESCE($6, object, '') \
             ORDER BY since DESC, id DESC LIMIT $7"
        );
        let (since, id) = wanted.after.map_or((i64::MAX, ""), Cursor::place);
        let args = args![
            since,
            id,
            wanted.progress.map(Progress::as_str),
            wanted.tool,
            wanted.account,
            wanted.object,
            most,
        ];
        let mut tx = self.engine.look().await?;
        let rows = tx.rows(LIST, args).await?;
        rows.iter().map(Recorded::of).collect()
    }
}
