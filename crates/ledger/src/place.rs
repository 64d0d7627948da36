//! Where a book is kept, and what is asked of such a place.

pub(crate) mod postgres;
pub(crate) mod sqlite;

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use crate::error::LedgerError;
use crate::place::sqlite::Space;
use crate::sql::Engine;
use tenantry_core::name::Organization;

/// Free bytes below which no change begins: enough for thousands of running
/// ones to end (WRITES §9).
pub const LEAST_FREE_BYTES: u64 = 64 * 1024 * 1024;

/// How long a call waits for the calls before it, and then for a connection. A
/// caller hears within 25 s, and a transaction takes milliseconds.
pub(crate) const QUEUE: Duration = Duration::from_secs(10);

/// Where a book is kept.
#[derive(Debug, Clone)]
pub enum Place {
    /// In a file of this process alone.
    Sqlite(SqlitePlace),
    /// In a database that all replicas share.
    Postgres(PostgresPlace),
}

/// A file on a local filesystem.
#[derive(Debug, Clone)]
pub struct SqlitePlace {
    /// The file. Its directory exists, and nothing else opens it: SQLite's lock
    /// would be lost when this process closed it elsewhere.
    pub path: PathBuf,
    /// Free bytes below which no change begins: [`LEAST_FREE_BYTES`].
    pub least_free_bytes: u64,
}

/// A database with a schema for each organisation, `tenantry_<organisation>`,
/// which the role owns, or may create.
#[derive(Debug, Clone)]
pub struct PostgresPlace {
    /// The host, or the directory of its socket.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The database.
    pub database: String,
    /// The role, of this organisation alone.
    pub user: String,
    /// Its password, if it has one.
    pub password: Option<SecretString>,
    /// How the way there is protected.
    pub tls: Tls,
    /// Connections of this process. One writes at a time; the others read.
    pub connections: u32,
}

/// How the way to a database is protected.
#[derive(Debug, Clone)]
pub enum Tls {
    /// TLS, the host's name and certificate verified against these roots (PEM).
    /// An image without a bundle of authorities has no others.
    Verified {
        /// The certificates.
        roots_pem: Vec<u8>,
    },
    /// Not at all: for sockets of this machine.
    Off,
}

impl Place {
    pub(crate) async fn connect(
        &self,
        organization: &Organization,
    ) -> Result<(Engine, Option<Space>), LedgerError> {
        match self {
            Self::Sqlite(place) => {
                let space = Space::of(place)?;
                Ok((sqlite::connect(place).await?, Some(space)))
            }
            Self::Postgres(place) => Ok((postgres::connect(place, organization).await?, None)),
        }
    }
}
