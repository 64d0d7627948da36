//! All live budgets of an account, read together: a list for each level of the
//! spend roots, over the whole account. What cannot be read whole is an error,
//! never a smaller sum.

use serde_json::Value;
use tenantry_core::spend_root::{SpendRoot, Switch};
use tokio::time::Instant;

use super::Corridor;
use super::exchange::Urgency;
use super::limits::within;
use super::owned::{Owned, OwnedAccount};
use super::path::{self, Slot};
use super::spend_root::{List, Reading, malformed, with};
use crate::call_error::CallError;
use crate::plan::exposure::{ExposurePlan, ListPlan};
use crate::plan::spend_root::{BelowPlan, LevelPlan};
use crate::snapshot::account::{Below, assemble};

impl Corridor {
    /// The spend roots of an account that can spend, each with what of it is on
    /// and runs under what is on; budgets are live in them as they are in a root
    /// that is read whole.
    ///
    /// It costs one request for each level (Meta: campaigns, ad sets, ads), one
    /// more for each further page, and in the corridor's life once the one that
    /// confirms the account's currency. Like other reads it holds back where a
    /// quota is all but used up.
    ///
    /// Whatever was live from the first request to the last is in it; what began
    /// or ended meanwhile may be.
    pub async fn running(
        &self,
        account: &OwnedAccount,
        deadline: Instant,
    ) -> Result<Vec<SpendRoot>, CallError> {
        let Some(plan) = &self.connector.api.exposure else {
            return Err(malformed("this connector lists no live budgets"));
        };
        let mut reading = self.reading(account, Urgency::Usual, deadline)?;
        let work = self.read_running(plan, &mut reading);
        let roots = within(deadline, "the live budgets of an account", work).await?;
        self.tell(&self.warnings(&reading.tally));
        Ok(roots)
    }

    async fn read_running(
        &self,
        plan: &ExposurePlan,
        reading: &mut Reading<'_>,
    ) -> Result<Vec<SpendRoot>, CallError> {
        let (account, root) = (reading.account, reading.plan);
        self.confirm(account, reading.deadline, &mut reading.tally)
            .await?;
        let amounts = reading.amounts();
        let mut tops = Vec::new();
        let list = self.list_in(plan, &plan.top, &root.top.kind, root.top.fields(), reading);
        let take = |reading: &Reading<'_>, row: &Value| {
            tops.push(reading.top(amounts, row)?);
            Ok(())
        };
        self.read_list(&list, reading, take).await?;
        let mut below = Vec::new();
        for (list, level) in plan.below.iter().zip(&root.below) {
            below.push(self.level_in(plan, list, level, reading).await?);
        }
        assemble(account.currency(), tops, below).map_err(malformed)
    }

    /// Every object of a level in the account that is on under what is on.
    async fn level_in(
        &self,
        plan: &ExposurePlan,
        list: &ListPlan,
        below: &BelowPlan,
        reading: &mut Reading<'_>,
    ) -> Result<Vec<Below>, CallError> {
        let (root, amounts) = (reading.plan, reading.amounts());
        let above: Vec<(&str, &LevelPlan)> = list
            .above_fields
            .iter()
            .map(String::as_str)
            .zip(root.levels())
            .collect();
        let switches: Vec<String> = above
            .iter()
            .map(|(field, level)| format!("{field}{{{}}}", level.switch_field))
            .collect();
        let fields = below.level.fields().chain(below.above_fields());
        let fields = fields.chain(switches.iter().map(String::as_str));
        let asked = self.list_in(plan, list, &below.level.kind, fields, reading);
        let mut rows = Vec::new();
        let take = |reading: &Reading<'_>, row: &Value| {
            let is_under_off = is_under_off(&above, row)?;
            let (root, row) = reading.row(below, amounts, row)?;
            rows.push(Below {
                root,
                row,
                is_under_off,
            });
            Ok(())
        };
        self.read_list(&asked, reading, take).await?;
        Ok(rows)
    }

    fn list_in<'l>(
        &self,
        plan: &'l ExposurePlan,
        list: &ListPlan,
        kind: &'l str,
        fields: impl Iterator<Item = &'l str>,
        reading: &Reading<'_>,
    ) -> List<'l> {
        let account = Owned::Account(reading.account.clone());
        let version = &self.connector.api.version;
        let path = path::fill(&list.path, version, Slot::Owned(&account));
        let fields: Vec<&str> = fields.collect();
        let url = self.asking(path, &reading.fields(&fields));
        List {
            kind,
            url: with(&url, &plan.filter_parameter, &list.states),
            pages: &plan.pages,
        }
    }
}

/// Whether a row says that something above it is switched off.
fn is_under_off(above: &[(&str, &LevelPlan)], row: &Value) -> Result<bool, CallError> {
    let mut is_under_off = false;
    for (field, level) in above {
        let word = row.get(field).and_then(|one| one.get(&level.switch_field));
        let switch = word
            .and_then(Value::as_str)
            .and_then(|word| level.switches.get(word));
        let switch = switch
            .ok_or_else(|| malformed(format!("field `{field}` does not say how it is switched")))?;
        is_under_off |= *switch != Switch::On;
    }
    Ok(is_under_off)
}
