//! The last reading of all live budgets.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tenantry_core::name::{AccountId, ConnectorName, Currency};
use tenantry_core::policy::facts::ExposureSnapshot;

use crate::change::json;
use crate::error::LedgerError;
use crate::ledger::Ledger;
use crate::page::Page;
use crate::sql::args;

/// What was read, in a form that JSON has: its keys are no pairs.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Kept {
    accounts: BTreeSet<(ConnectorName, AccountId)>,
    daily_micros: Vec<((ConnectorName, Currency), i64)>,
}

impl Ledger {
    /// Keeps a reading of all live budgets, unless a later one is kept; answers
    /// whether it did. It can not have been made after now, and one that was made
    /// later than now, by a clock that has been set back, is none.
    pub async fn keep_exposure(
        &self,
        snapshot: &ExposureSnapshot,
        now: Timestamp,
    ) -> Result<bool, LedgerError> {
        const KEEP: &str = "INSERT INTO exposure (one, as_of, active) VALUES (1, $1, $2) \
             ON CONFLICT (one) DO UPDATE SET as_of = excluded.as_of, active = excluded.active \
             WHERE exposure.as_of < excluded.as_of OR exposure.as_of > $3";
        let mut page = self.turn(now).await?;
        let kept = Kept {
            accounts: snapshot.accounts.clone(),
            daily_micros: snapshot.active_daily_micros.clone().into_iter().collect(),
        };
        let as_of = snapshot.as_of.min(page.now);
        let is_kept = page.tx.run(KEEP, args![as_of, json(&kept), now]).await? > 0;
        page.close().await?;
        Ok(is_kept)
    }
}

impl Page<'_> {
    pub(crate) async fn exposure(&mut self) -> Result<Option<ExposureSnapshot>, LedgerError> {
        const READ: &str = "SELECT as_of, active FROM exposure WHERE one = 1";
        let Some(row) = self.tx.row(READ, args![]).await? else {
            return Ok(None);
        };
        let kept: Option<Kept> = row.maybe_json("active")?;
        let kept = kept.ok_or_else(|| LedgerError::damaged("the exposure is missing"))?;
        Ok(Some(ExposureSnapshot {
            as_of: row.time("as_of")?,
            accounts: kept.accounts,
            active_daily_micros: kept.daily_micros.into_iter().collect(),
        }))
    }
}
