//! The tables of the book, and how an older book gets those of now.

use crate::error::LedgerError;
use crate::sql::{Engine, args};

/// What each version adds to the one before, the first to nothing. Released
/// ones are never changed.
const VERSIONS: [&str; 3] = [
    include_str!("schema/1.sql"),
    include_str!("schema/2.sql"),
    include_str!("schema/3.sql"),
];

/// Brings the tables to the version of this release.
pub(crate) async fn bring_up(engine: &Engine) -> Result<(), LedgerError> {
    let mut tx = engine.begin().await?;
    if tx.is_postgres() {
        // One replica at a time; the tables that others lock do not exist yet.
        let lock = "SELECT pg_advisory_xact_lock(hashtext('tenantry ' || current_schema()))";
        tx.run(lock, args![]).await?;
    }
    tx.script("CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL)")
        .await?;
    let found = tx
        .row("SELECT version FROM schema_version", args![])
        .await?;
    let found = found
        .map(|row| row.int("version"))
        .transpose()?
        .unwrap_or(0);
    let known = VERSIONS.len();
    let done = usize::try_from(found).unwrap_or(usize::MAX);
    let Some(missing) = VERSIONS.get(done..) else {
        let known = i64::try_from(known).unwrap_or(i64::MAX);
        return Err(LedgerError::Newer { found, known });
    };
    for script in missing {
        tx.script(script).await?;
    }
    if !missing.is_empty() {
        tx.run("DELETE FROM schema_version", args![]).await?;
        let keep = "INSERT INTO schema_version (version) VALUES ($1)";
        tx.run(keep, args![i64::try_from(known).unwrap_or(i64::MAX)])
            .await?;
    }
    Ok(tx.commit().await?)
}
