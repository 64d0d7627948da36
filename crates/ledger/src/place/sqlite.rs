//! The embedded engine: one file, one connection, one process.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use rustix::fs::{StatVfsMountFlags, statfs, statvfs};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteLockingMode,
    SqlitePoolOptions, SqliteSynchronous,
};

use super::{QUEUE, SqlitePlace};
use crate::error::LedgerError;
use crate::sql::Engine;
use sqlx::{ConnectOptions as _, Connection as _};

/// How long an opening waits for a process that is just ending.
const PATIENCE: Duration = Duration::from_secs(1);

/// Filesystems whose locks do not hold, or not on every machine, by the magic
/// numbers of statfs(2). FUSE may be anything, so it counts.
const NETWORK_FILESYSTEMS: [(u32, &str); 14] = [
    (0x0000_6969, "nfs"),
    (0x0000_517b, "smb"),
    (0xff53_4d42, "cifs"),
    (0xfe53_4d42, "smb2"),
    (0x0102_1997, "9p"),
    (0x6573_5546, "fuse"),
    (0x00c3_6400, "ceph"),
    (0x5346_414f, "afs"),
    (0x6b41_4653, "kafs"),
    (0x7375_7245, "coda"),
    (0x0bd0_0bd0, "lustre"),
    (0x4750_4653, "gpfs"),
    (0x0116_1970, "gfs2"),
    (0x7461_636f, "ocfs2"),
];

/// The space that the file may still take.
#[derive(Debug, Clone)]
pub(crate) struct Space {
    directory: PathBuf,
    least_bytes: u64,
}

impl Space {
    /// The space around a place, if it is on a local filesystem.
    pub(crate) fn of(place: &SqlitePlace) -> Result<Self, LedgerError> {
        let parent = place
            .path
            .parent()
            .filter(|path| !path.as_os_str().is_empty());
        let space = Self {
            directory: parent.map_or_else(|| PathBuf::from("."), Into::into),
            least_bytes: place.least_free_bytes,
        };
        let found = statvfs(&space.directory).map_err(|error| space.unknown(error))?;
        if found.f_flag.contains(StatVfsMountFlags::RDONLY) {
            return Err(LedgerError::ReadOnly(None));
        }
        let found = statfs(&space.directory).map_err(|error| space.unknown(error))?;
        match network_filesystem(found.f_type) {
            Some(kind) => Err(LedgerError::NetworkFilesystem {
                path: space.directory,
                kind,
            }),
            None => Ok(space),
        }
    }

    /// Refuses what would begin while little is left.
    pub(crate) fn check(&self) -> Result<(), LedgerError> {
        // Of a local filesystem, and no other opens, the kernel knows this
        // without its disk: nobody waits here.
        let found = statvfs(&self.directory).map_err(|error| self.unknown(error))?;
        let free_bytes = found.f_bavail.saturating_mul(found.f_frsize);
        if free_bytes < self.least_bytes {
            return Err(LedgerError::LowSpace {
                free_bytes,
                least_bytes: self.least_bytes,
            });
        }
        Ok(())
    }

    fn unknown(&self, error: rustix::io::Errno) -> LedgerError {
        LedgerError::Filesystem {
            path: self.directory.clone(),
            source: io::Error::from(error),
        }
    }
}

/// Magic numbers have 32 bits; the type of the field differs by machine.
fn network_filesystem(magic: impl TryInto<i64>) -> Option<&'static str> {
    let magic = magic.try_into().ok()? & 0xffff_ffff;
    let known = NETWORK_FILESYSTEMS
        .iter()
        .find(|(known, _)| i64::from(*known) == magic);
    known.map(|(_, kind)| *kind)
}

pub(crate) async fn connect(place: &SqlitePlace) -> Result<Engine, LedgerError> {
    let options = SqliteConnectOptions::new()
        .filename(&place.path)
        .create_if_missing(true)
        // The lock is taken with the first look and kept: a second process
        // finds the file busy. It goes when the process does, however that ends.
        .locking_mode(SqliteLockingMode::Exclusive)
        .journal_mode(SqliteJournalMode::Wal)
        // What was confirmed is on the disk.
        .synchronous(SqliteSynchronous::Full)
        // There is no directory for temporary files in the image.
        .pragma("temp_store", "memory")
        .busy_timeout(PATIENCE)
        .disable_statement_logging();
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .acquire_timeout(QUEUE)
        // The connection holds the lock, so it never goes of itself.
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .after_release(|connection, _| Box::pin(is_at_rest(connection)))
        .connect_with(options)
        .await?;
    Ok(Engine::Sqlite(pool))
}

/// Whether a connection has come out of its last transaction. SQLite ends one
/// by itself when the disk is full, and then the driver is still in it: such a
/// connection goes, and the next one finds what was confirmed.
async fn is_at_rest(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    // Answered after all that the worker was told before.
    connection.ping().await?;
    Ok(!connection.is_in_transaction())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_filesystems_are_known_by_their_number_on_every_machine() {
        assert_eq!(network_filesystem(0x6969_i64), Some("nfs"));
        assert_eq!(network_filesystem(0xff53_4d42_u32), Some("cifs"));
        // The same in a signed field of 32 bits.
        assert_eq!(network_filesystem(-11_317_950_i32), Some("cifs"));
        let local = [
            0xef53_i64,
            0x5846_5342,
            0x0102_1994,
            0x9123_683e,
            0x794c_7630,
        ];
        assert!(
            local
                .iter()
                .all(|magic| network_filesystem(*magic).is_none())
        );
    }
}
