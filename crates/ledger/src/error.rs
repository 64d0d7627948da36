//! Why the book could not do what it was asked to. Every variant is something
//! that a caller can act on; in doubt the write is refused.

use std::path::PathBuf;
use std::sync::Arc;

use sqlx::error::DatabaseError;

use crate::change::{ChangeId, Progress};
use crate::identity::Recognition;

/// What a ledger call ends in when it has no answer.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// No answer from the database, or none in time: nothing is known of what
    /// was asked last.
    #[error("the ledger cannot be reached")]
    Unreachable(#[source] Arc<sqlx::Error>),
    /// Somebody else kept the book longer than a call may wait.
    #[error("the ledger is busy")]
    Busy(#[source] Arc<sqlx::Error>),
    /// The disk is full.
    #[error("the disk of the ledger is full")]
    Full(#[source] Arc<sqlx::Error>),
    /// The book cannot be written to.
    #[error("the ledger is read-only")]
    ReadOnly(#[source] Option<Arc<sqlx::Error>>),
    /// Another process has the file.
    #[error("another process holds the ledger")]
    Held(#[source] Arc<sqlx::Error>),
    /// The database would not do it.
    #[error("the ledger's database refused")]
    Refused(#[source] Arc<sqlx::Error>),
    /// Little is left of the disk; running changes may end, none may begin.
    #[error("{free_bytes} bytes are free for the ledger; below {least_bytes} no change begins")]
    LowSpace {
        /// What is left.
        free_bytes: u64,
        /// What must be.
        least_bytes: u64,
    },
    /// How much is left cannot be known.
    #[error("the filesystem of `{path}` cannot be looked at")]
    Filesystem {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file's locks may hold on one machine only.
    #[error("`{path}` is on a network filesystem ({kind}); a ledger needs a local one")]
    NetworkFilesystem {
        /// The directory.
        path: PathBuf,
        /// Which.
        kind: &'static str,
    },
    /// The database may forget what it has confirmed.
    #[error("the database runs with `{setting}` off, and may forget what it confirmed")]
    Forgetful {
        /// The setting.
        setting: &'static str,
    },
    /// It is the book of another organisation.
    #[error("the ledger is that of `{found}`")]
    OtherOrganization {
        /// Whose.
        found: String,
    },
    /// It was written by a later release.
    #[error("the ledger has schema {found}; this release knows {known}")]
    Newer {
        /// The schema of the book.
        found: i64,
        /// The last that is known.
        known: i64,
    },
    /// It is not the book that was expected, and nobody has accepted it.
    #[error("the ledger is not the one that was expected: {0}")]
    Mismatch(Recognition),
    /// It is older than this process has seen it: restored, or failed over to
    /// a copy that lagged behind.
    #[error("the ledger has gone back from sequence {seen} to {found}")]
    WentBack {
        /// What this process has seen.
        seen: u64,
        /// What the book says.
        found: u64,
    },
    /// Another process has opened the file since.
    #[error("another process has opened the ledger since")]
    TakenAway,
    /// Too much of the audit has not left yet.
    #[error("{waiting} audit lines wait to be emitted")]
    Backlog {
        /// How many.
        waiting: u64,
    },
    /// Somebody else has this change, or it is gone.
    #[error("`{change}` is in other hands")]
    Fenced {
        /// The change.
        change: ChangeId,
    },
    /// The change has come to where this cannot follow.
    #[error("`{change}` is {progress}, from where this does not follow")]
    OutOfOrder {
        /// The change.
        change: ChangeId,
        /// Where it stands.
        progress: Progress,
    },
    /// The permission has run out.
    #[error("the permission of `{change}` has run out")]
    Stale {
        /// The change.
        change: ChangeId,
    },
    /// More than a row may hold.
    #[error("{what} has {bytes} bytes; {most} is the most")]
    TooLarge {
        /// What.
        what: &'static str,
        /// How much.
        bytes: usize,
        /// How much may be.
        most: usize,
    },
    /// More charges than a decision can read.
    #[error("more than {most} charges count")]
    TooManyCharges {
        /// How many can.
        most: usize,
    },
    /// The book does not read as it was written.
    #[error("the ledger is damaged: {0}")]
    Damaged(String),
}

impl LedgerError {
    /// Damage, told.
    pub(crate) fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged(what.into())
    }
}

impl From<sqlx::Error> for LedgerError {
    fn from(error: sqlx::Error) -> Self {
        Arc::new(error).into()
    }
}

/// What befell several calls at once, each is told.
impl From<Arc<sqlx::Error>> for LedgerError {
    fn from(error: Arc<sqlx::Error>) -> Self {
        use sqlx::Error as Sql;
        let class = match error.as_ref() {
            Sql::Database(database) => of_code(database.as_ref()),
            Sql::ColumnNotFound(_)
            | Sql::ColumnIndexOutOfBounds { .. }
            | Sql::ColumnDecode { .. }
            | Sql::Decode(_) => return Self::Damaged(error.to_string()),
            _ => Self::Unreachable,
        };
        class(error)
    }
}

type Class = fn(Arc<sqlx::Error>) -> LedgerError;

fn read_only(error: Arc<sqlx::Error>) -> LedgerError {
    LedgerError::ReadOnly(Some(error))
}

/// By the codes of SQLite (numbers) and PostgreSQL (five characters).
fn of_code(error: &dyn DatabaseError) -> Class {
    let code = error.code().unwrap_or_default();
    if let Ok(number) = code.parse::<u32>()
        && code.len() < 5
    {
        // The low byte is the class, what stands above it the detail.
        return match number & 0xff {
            5 | 6 => LedgerError::Held,
            8 => read_only,
            10 | 14 => LedgerError::Unreachable,
            13 => LedgerError::Full,
            11 | 26 => |error| LedgerError::Damaged(error.to_string()),
            _ => LedgerError::Refused,
        };
    }
    match code.as_ref() {
        "53100" => LedgerError::Full,
        "25006" => read_only,
        // Lock and statement timeouts, deadlocks, serialization.
        "55P03" | "57014" | "40001" | "40P01" => LedgerError::Busy,
        // Connections: lost, too many, shut down, cut off while idle.
        code if ["08", "53", "57"]
            .iter()
            .any(|class| code.starts_with(class)) =>
        {
            LedgerError::Unreachable
        }
        "25P03" => LedgerError::Unreachable,
        _ => LedgerError::Refused,
    }
}
