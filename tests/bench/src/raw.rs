//! An engine by itself: the smallest transaction that is on the disk when it
//! ends, by the same driver and with the same settings as a ledger's.

use anyhow::Result;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgSslMode};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqliteLockingMode, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{PgPool, SqlitePool};
use tenantry_ledger::place::Place;

/// An engine.
#[derive(Debug, Clone)]
pub enum Raw {
    /// In a file.
    Sqlite(SqlitePool),
    /// In a database.
    Postgres(PgPool),
}

const TABLE: &str = "CREATE TABLE raw_rows (id BIGINT PRIMARY KEY, count BIGINT NOT NULL)";
const ROW: &str = "INSERT INTO raw_rows (id, count) VALUES ($1, 0)";
const COUNT: &str = "UPDATE raw_rows SET count = count + 1 WHERE id = $1";

impl Raw {
    /// One beside the ledger at `place`, with a row for each client and one for
    /// all of them, number 0.
    pub async fn beside(place: &Place, clients: u32) -> Result<Self> {
        let raw = match place {
            Place::Sqlite(place) => {
                let options = SqliteConnectOptions::new()
                    .filename(place.path.with_extension("raw"))
                    .create_if_missing(true)
                    .locking_mode(SqliteLockingMode::Exclusive)
                    .journal_mode(SqliteJournalMode::Wal)
                    .synchronous(SqliteSynchronous::Full);
                let pool = SqlitePoolOptions::new().max_connections(1);
                let pool = pool.test_before_acquire(false);
                Self::Sqlite(pool.connect_with(options).await?)
            }
            Place::Postgres(place) => {
                let options = PgConnectOptions::new_without_pgpass()
                    .socket(&place.host)
                    .port(place.port)
                    .database(&place.database)
                    .username(&place.user)
                    .ssl_mode(PgSslMode::Disable)
                    .options([("synchronous_commit", "on")]);
                let pool = PgPoolOptions::new().max_connections(place.connections);
                let pool = pool.test_before_acquire(false);
                Self::Postgres(pool.connect_with(options).await?)
            }
        };
        raw.begin(clients).await?;
        Ok(raw)
    }

    async fn begin(&self, clients: u32) -> Result<()> {
        match self {
            Self::Sqlite(pool) => sqlx::query(TABLE).execute(pool).await.map(drop)?,
            Self::Postgres(pool) => sqlx::query(TABLE).execute(pool).await.map(drop)?,
        }
        for id in 0..=i64::from(clients) {
            match self {
                Self::Sqlite(pool) => sqlx::query(ROW).bind(id).execute(pool).await.map(drop)?,
                Self::Postgres(pool) => sqlx::query(ROW).bind(id).execute(pool).await.map(drop)?,
            }
        }
        Ok(())
    }

    /// One transaction on that row.
    pub async fn transact(&self, row: u32) -> Result<()> {
        let id = i64::from(row);
        match self {
            Self::Sqlite(pool) => {
                let mut tx = pool.begin_with("BEGIN IMMEDIATE").await?;
                sqlx::query(COUNT).bind(id).execute(&mut *tx).await?;
                tx.commit().await?;
            }
            Self::Postgres(pool) => {
                let mut tx = pool.begin().await?;
                sqlx::query(COUNT).bind(id).execute(&mut *tx).await?;
                tx.commit().await?;
            }
        }
        Ok(())
    }
}
