//! A place for one book, and the ways to open it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::{SignedDuration, Timestamp};
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};
use tempfile::TempDir;
use tenantry_core::ledger_mark::{LedgerId, LedgerMark};
use tenantry_core::name::Organization;
use tenantry_ledger::error::LedgerError;
use tenantry_ledger::ledger::{LEAST_RETENTION, Ledger, MOST_WAITING, Opening};
use tenantry_ledger::place::{LEAST_FREE_BYTES, Place, SqlitePlace};

use crate::postgres;

/// One book's place; nobody else uses it.
pub struct House {
    pub place: Place,
    pub organization: Organization,
    pub most_waiting: u64,
    _directory: Option<TempDir>,
}

/// A moment, in seconds after the day of these tests began.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_780_272_000 + seconds).unwrap()
}

/// Sixteen bytes that no other call has, in this process or another.
pub fn unique() -> [u8; 16] {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::SeqCst);
    let process = u64::from(std::process::id());
    (u128::from(process) << 64 | u128::from(count)).to_be_bytes()
}

impl House {
    pub fn sqlite() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let place = SqlitePlace {
            path: directory.path().join("ledger.db"),
            least_free_bytes: LEAST_FREE_BYTES,
        };
        Self::new(Place::Sqlite(place), Some(directory))
    }

    pub fn postgres() -> Self {
        Self::new(Place::Postgres(postgres::place()), None)
    }

    pub fn new(place: Place, directory: Option<TempDir>) -> Self {
        let number = u128::from_be_bytes(unique());
        Self {
            place,
            organization: Organization::parse(&format!("acme-{number:x}")).unwrap(),
            most_waiting: MOST_WAITING,
            _directory: directory,
        }
    }

    /// Another one on the same engine.
    pub fn another(&self) -> Self {
        match self.place {
            Place::Sqlite(_) => Self::sqlite(),
            Place::Postgres(_) => Self::postgres(),
        }
    }

    pub async fn open(&self) -> Ledger {
        self.try_open(None).await.unwrap()
    }

    pub async fn expect(&self, expected: &LedgerMark) -> Ledger {
        self.try_open(Some(expected)).await.unwrap()
    }

    pub async fn try_open(&self, expected: Option<&LedgerMark>) -> Result<Ledger, LedgerError> {
        let opening = Opening {
            place: &self.place,
            organization: &self.organization,
            tenant_uid: "tenant-uid",
            expected,
            id_if_new: LedgerId::of_random(unique()),
            retention: LEAST_RETENTION,
            most_waiting: self.most_waiting,
        };
        Ledger::open(opening, at(0)).await
    }

    /// Three replicas of a server; of a book in a file there is only one.
    pub async fn replicas(&self) -> Vec<Arc<Ledger>> {
        match self.place {
            Place::Sqlite(_) => vec![Arc::new(self.open().await)],
            Place::Postgres(_) => {
                let mut replicas = Vec::new();
                for _ in 0..3 {
                    replicas.push(Arc::new(self.open().await));
                }
                replicas
            }
        }
    }

    /// The book as another process finds it after this one died.
    pub async fn reopen(&self, ledger: Ledger) -> Ledger {
        drop(ledger);
        // The file's lock goes with the connection's thread, in a moment.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        loop {
            match self.try_open(None).await {
                Err(LedgerError::Held(_)) if std::time::Instant::now() < deadline => {}
                opened => return opened.unwrap(),
            }
        }
    }

    /// The book after somebody wrote into it by hand.
    pub async fn tamper(&self, ledger: Ledger, sql: &str) -> Ledger {
        self.try_tamper(ledger, sql).await.unwrap()
    }

    /// The same, where it may not open any more.
    pub async fn try_tamper(&self, ledger: Ledger, sql: &str) -> Result<Ledger, LedgerError> {
        ledger.close().await;
        self.run(sql).await;
        self.try_open(None).await
    }

    /// Runs statements beside the book.
    pub async fn run(&self, sql: &str) {
        let sql = AssertSqlSafe(sql.to_owned());
        match &self.place {
            Place::Sqlite(place) => {
                let options = SqliteConnectOptions::new().filename(&place.path);
                let mut connection = options.connect().await.unwrap();
                sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
                connection.close().await.unwrap();
            }
            Place::Postgres(place) => {
                let options = PgConnectOptions::new_without_pgpass()
                    .socket(&place.host)
                    .username("postgres")
                    .database(&place.database)
                    .options([("search_path", self.schema())]);
                let mut connection = options.connect().await.unwrap();
                sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
                connection.close().await.unwrap();
            }
        }
    }

    /// Where the book is in a database.
    pub fn schema(&self) -> String {
        format!("tenantry_{}", self.organization.as_str().replace('-', "_"))
    }
}

pub const DAY: SignedDuration = SignedDuration::from_hours(24);
