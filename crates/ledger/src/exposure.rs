//! The last reading of all live budgets.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tenantry_core::name::{ConnectorName, Currency};
use tenantry_core::policy::facts::ExposureSnapshot;

use crate::change::json;
use crate::error::LedgerError;
use crate::ledger::Ledger;
use crate::page::Page;
use crate::sql::args;

impl Ledger {
    /// Keeps a reading of all live budgets, unless a later one is kept. It can
    /// not have been made after now.
    pub async fn keep_exposure(
        &self,
        snapshot: &ExposureSnapshot,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        const KEEP: &str = "INSERT INTO exposure (one, as_of, active) VALUES (1, $1, $2) \
             ON CONFLICT (one) DO UPDATE SET as_of = excluded.as_of, active = excluded.active \
             WHERE exposure.as_of < excluded.as_of";
        let mut page = self.turn(now).await?;
        // A map by pairs has no JSON form; a list of its entries has.
        let active: Vec<_> = snapshot.active_daily_micros.iter().collect();
        let as_of = snapshot.as_of.min(page.now);
        page.tx.run(KEEP, args![as_of, json(&active)]).await?;
        page.close().await
    }
}

impl Page<'_> {
    pub(crate) async fn exposure(&mut self) -> Result<Option<ExposureSnapshot>, LedgerError> {
        type Entries = Vec<((ConnectorName, Currency), i64)>;
        const READ: &str = "SELECT as_of, active FROM exposure WHERE one = 1";
        let Some(row) = self.tx.row(READ, args![]).await? else {
            return Ok(None);
        };
        let active: Option<Entries> = row.maybe_json("active")?;
        let active = active.ok_or_else(|| LedgerError::damaged("the exposure is missing"))?;
        Ok(Some(ExposureSnapshot {
            as_of: row.time("as_of")?,
            active_daily_micros: BTreeMap::from_iter(active),
        }))
    }
}
