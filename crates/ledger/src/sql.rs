//! The two engines under one face: the same statements, with integers and texts
//! alone, run on either. Knows nothing of what they are about.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use sqlx::{AssertSqlSafe, PgPool, Postgres, Row as _, Sqlite, SqlitePool, Transaction};

use crate::error::LedgerError;
use later::{Later, Write};

mod later;

/// Longer than the database itself lets a statement take (`statement_timeout`)
/// or a connection be waited for, whose own word tells more.
const ANSWERED_WITHIN: Duration = Duration::from_secs(12);

/// Where statements run.
#[derive(Debug, Clone)]
pub(crate) enum Engine {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// The engine's own error, which may be told to several.
pub(crate) type Fault = Arc<sqlx::Error>;

/// A transaction; dropped, it is undone.
#[derive(Debug)]
pub(crate) struct Tx {
    open: Open,
    later: Later,
    /// Why a statement did not go well. SQLite may have ended the transaction
    /// over it, and says so to that statement alone.
    fault: Option<Fault>,
}

#[derive(Debug)]
enum Open {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

/// What stands in the place of a `$1`.
#[derive(Debug, Clone)]
pub(crate) enum Arg {
    Int(Option<i64>),
    Text(Option<String>),
}

/// A row that was found.
pub(crate) enum Row {
    Sqlite(sqlx::sqlite::SqliteRow),
    Postgres(sqlx::postgres::PgRow),
}

/// The arguments of a statement.
macro_rules! args {
    ($($arg:expr),* $(,)?) => { &[$($crate::sql::Arg::from($arg)),*] };
}
pub(crate) use args;

/// A statement with its arguments, for either engine.
macro_rules! bound {
    ($sql:expr, $args:expr) => {
        $args
            .into_iter()
            .fold(sqlx::query($sql), |query, arg| match arg {
                Arg::Int(value) => query.bind(*value),
                Arg::Text(value) => query.bind(value.clone()),
            })
    };
}

impl Engine {
    /// Begins a transaction that may write. On SQLite it has the book at once;
    /// on PostgreSQL each statement sees what was committed before it, so that
    /// whoever locks the book first sees all that happened before.
    pub(crate) async fn begin(&self) -> Result<Tx, LedgerError> {
        Ok(Tx::of(match self {
            Self::Sqlite(pool) => Open::Sqlite(pool.begin_with("BEGIN IMMEDIATE").await?),
            Self::Postgres(pool) => {
                let begin = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";
                Open::Postgres(answered(pool.begin_with(begin)).await?)
            }
        }))
    }

    /// Begins a transaction that reads one moment of the book.
    pub(crate) async fn look(&self) -> Result<Tx, LedgerError> {
        Ok(Tx::of(match self {
            Self::Sqlite(pool) => Open::Sqlite(pool.begin().await?),
            Self::Postgres(pool) => {
                let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
                Open::Postgres(answered(pool.begin_with(begin)).await?)
            }
        }))
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

impl Tx {
    fn of(open: Open) -> Self {
        Self {
            open,
            later: Later::default(),
            fault: None,
        }
    }

    /// Why a statement did not go well since that was last forgotten.
    pub(crate) fn fault(&self) -> Option<Fault> {
        self.fault.clone()
    }

    /// Forgets it: what was done by then is undone, and the transaction goes on.
    pub(crate) fn forget_fault(&mut self) {
        self.fault = None;
    }

    fn noted<T>(&mut self, done: Result<T, sqlx::Error>) -> Result<T, Fault> {
        done.map_err(|error| {
            let fault = Arc::new(error);
            self.fault.get_or_insert_with(|| Arc::clone(&fault));
            fault
        })
    }

    pub(crate) fn is_postgres(&self) -> bool {
        matches!(self.open, Open::Postgres(_))
    }

    /// Runs a statement, and says how many rows it changed.
    pub(crate) async fn run(
        &mut self,
        sql: &'static str,
        args: &[Arg],
    ) -> Result<u64, LedgerError> {
        Ok(self.execute(sql, args).await?)
    }

    /// The same, with the engine's own error.
    pub(crate) async fn execute(&mut self, sql: &'static str, args: &[Arg]) -> Result<u64, Fault> {
        self.catch_up().await?;
        let done = self.open.execute(sql, args).await;
        self.noted(done)
    }

    /// Runs statements without arguments, on one way there and back.
    pub(crate) async fn execute_script(&mut self, sql: &'static str) -> Result<(), Fault> {
        self.catch_up().await?;
        let done = answered(self.open.script(sql)).await;
        self.noted(done)
    }

    /// Runs a statement before anything else is asked of this transaction, at
    /// the latest when its turn is closed. It writes one table and reads no
    /// other.
    pub(crate) async fn run_later(
        &mut self,
        sql: &'static str,
        args: &[Arg],
    ) -> Result<(), LedgerError> {
        let args = args.to_vec();
        let write = Write { sql, args };
        if self.later.holds_table_of(&write) {
            self.catch_up().await?;
        }
        self.later.add(write);
        Ok(())
    }

    /// Writes what was left for later.
    pub(crate) async fn catch_up(&mut self) -> Result<(), Fault> {
        let writes = self.later.take();
        let done = self.open.execute_all(writes).await;
        self.noted(done)
    }

    /// Leaves undone what was left for later.
    pub(crate) fn forget_later(&mut self) {
        self.later.clear();
    }

    /// The rows that a statement finds.
    pub(crate) async fn rows(
        &mut self,
        sql: &'static str,
        args: &[Arg],
    ) -> Result<Vec<Row>, LedgerError> {
        self.catch_up().await?;
        let rows = self.open.rows(sql, args).await;
        Ok(self.noted(rows)?)
    }

    /// The row that a statement finds, if it finds one.
    pub(crate) async fn row(
        &mut self,
        sql: &'static str,
        args: &[Arg],
    ) -> Result<Option<Row>, LedgerError> {
        Ok(self.rows(sql, args).await?.into_iter().next())
    }

    /// Runs a script of several statements.
    pub(crate) async fn script(&mut self, sql: &'static str) -> Result<(), LedgerError> {
        self.catch_up().await?;
        Ok(self.open.script(sql).await?)
    }

    pub(crate) async fn commit(mut self) -> Result<(), Fault> {
        self.catch_up().await?;
        let committed = match self.open {
            Open::Sqlite(tx) => tx.commit().await,
            Open::Postgres(tx) => answered(tx.commit()).await,
        };
        Ok(committed?)
    }
}

impl Open {
    async fn execute(&mut self, sql: &'static str, args: &[Arg]) -> Result<u64, sqlx::Error> {
        Ok(match self {
            Self::Sqlite(tx) => {
                let done = bound!(sql, args).execute(&mut **tx).await?;
                done.rows_affected()
            }
            Self::Postgres(tx) => {
                let done = answered(bound!(sql, args).execute(&mut **tx)).await?;
                done.rows_affected()
            }
        })
    }

    async fn rows(&mut self, sql: &'static str, args: &[Arg]) -> Result<Vec<Row>, sqlx::Error> {
        Ok(match self {
            Self::Sqlite(tx) => {
                let rows = bound!(sql, args).fetch_all(&mut **tx).await?;
                rows.into_iter().map(Row::Sqlite).collect()
            }
            Self::Postgres(tx) => {
                let rows = answered(bound!(sql, args).fetch_all(&mut **tx)).await?;
                rows.into_iter().map(Row::Postgres).collect()
            }
        })
    }

    async fn script(&mut self, sql: &'static str) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(tx) => sqlx::raw_sql(sql).execute(&mut **tx).await.map(drop),
            Self::Postgres(tx) => sqlx::raw_sql(sql).execute(&mut **tx).await.map(drop),
        }
    }

    async fn execute_all(&mut self, writes: Vec<Write>) -> Result<(), sqlx::Error> {
        match self {
            Self::Postgres(tx) if writes.len() > 1 => {
                // Made of statements that stand in this crate.
                let sql = AssertSqlSafe(later::joined(&writes));
                let args = writes.iter().flat_map(|write| &write.args);
                let statement = bound!(sql, args);
                answered(statement.execute(&mut **tx)).await.map(drop)
            }
            _ => {
                for write in writes {
                    self.execute(write.sql, &write.args).await?;
                }
                Ok(())
            }
        }
    }
}

/// The answer of a database, or that there is none: a connection that has gone
/// silent says nothing by itself, and others wait behind it.
pub(crate) async fn answered<T>(
    asked: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    let answered = tokio::time::timeout(ANSWERED_WITHIN, asked).await;
    answered.unwrap_or_else(|_| Err(sqlx::Error::Io(io::ErrorKind::TimedOut.into())))
}

impl Row {
    pub(crate) fn int(&self, column: &str) -> Result<i64, LedgerError> {
        Ok(match self {
            Self::Sqlite(row) => row.try_get(column)?,
            Self::Postgres(row) => row.try_get(column)?,
        })
    }

    pub(crate) fn maybe_int(&self, column: &str) -> Result<Option<i64>, LedgerError> {
        Ok(match self {
            Self::Sqlite(row) => row.try_get(column)?,
            Self::Postgres(row) => row.try_get(column)?,
        })
    }

    pub(crate) fn text(&self, column: &str) -> Result<String, LedgerError> {
        Ok(match self {
            Self::Sqlite(row) => row.try_get(column)?,
            Self::Postgres(row) => row.try_get(column)?,
        })
    }

    pub(crate) fn maybe_text(&self, column: &str) -> Result<Option<String>, LedgerError> {
        Ok(match self {
            Self::Sqlite(row) => row.try_get(column)?,
            Self::Postgres(row) => row.try_get(column)?,
        })
    }

    /// A count, which is never below zero.
    pub(crate) fn count(&self, column: &str) -> Result<u64, LedgerError> {
        let found = self.int(column)?;
        u64::try_from(found).map_err(|_| LedgerError::damaged(format!("`{column}` is {found}")))
    }

    /// A moment.
    pub(crate) fn time(&self, column: &str) -> Result<Timestamp, LedgerError> {
        moment(self.int(column)?)
    }

    /// A moment, where there is one.
    pub(crate) fn maybe_time(&self, column: &str) -> Result<Option<Timestamp>, LedgerError> {
        self.maybe_int(column)?.map(moment).transpose()
    }

    /// What a text of the row says, by its type's own reading.
    pub(crate) fn read<T>(
        &self,
        column: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, LedgerError> {
        let text = self.text(column)?;
        read(&text).ok_or_else(|| LedgerError::damaged(format!("`{column}` does not read back")))
    }

    /// What a JSON text of the row says, where there is one.
    pub(crate) fn maybe_json<T: serde::de::DeserializeOwned>(
        &self,
        column: &str,
    ) -> Result<Option<T>, LedgerError> {
        let text = self.maybe_text(column)?;
        let read = text.map(|text| serde_json::from_str(&text)).transpose();
        read.map_err(|error| LedgerError::damaged(format!("`{column}`: {error}")))
    }
}

fn moment(micros: i64) -> Result<Timestamp, LedgerError> {
    Timestamp::from_microsecond(micros)
        .map_err(|_| LedgerError::damaged(format!("{micros} is no moment")))
}

impl From<i64> for Arg {
    fn from(value: i64) -> Self {
        Self::Int(Some(value))
    }
}

impl From<u32> for Arg {
    fn from(value: u32) -> Self {
        Self::Int(Some(value.into()))
    }
}

/// Counts of ours stay far below the largest number of a column.
impl From<u64> for Arg {
    fn from(value: u64) -> Self {
        Self::Int(Some(i64::try_from(value).unwrap_or(i64::MAX)))
    }
}

impl From<bool> for Arg {
    fn from(value: bool) -> Self {
        Self::Int(Some(value.into()))
    }
}

impl From<Timestamp> for Arg {
    fn from(value: Timestamp) -> Self {
        Self::Int(Some(value.as_microsecond()))
    }
}

impl From<Option<Timestamp>> for Arg {
    fn from(value: Option<Timestamp>) -> Self {
        Self::Int(value.map(Timestamp::as_microsecond))
    }
}

/// PostgreSQL keeps no NUL in a text, and an outcome must not fail for one.
impl From<&str> for Arg {
    fn from(value: &str) -> Self {
        Self::Text(Some(value.replace('\0', "\u{fffd}")))
    }
}

impl From<&String> for Arg {
    fn from(value: &String) -> Self {
        Self::from(value.as_str())
    }
}

impl From<String> for Arg {
    fn from(value: String) -> Self {
        Self::from(value.as_str())
    }
}

impl From<Option<&str>> for Arg {
    fn from(value: Option<&str>) -> Self {
        value.map_or(Self::Text(None), Self::from)
    }
}
