//! Currencies: budgets come without one, so the vendor confirms the account's
//! before any is read.

use std::sync::PoisonError;

use serde_json::Value;
use tenantry_core::name::Currency;
use tokio::time::Instant;

use super::exchange::Tally;
use super::owned::OwnedAccount;
use super::path::Slot;
use super::{Corridor, path};
use crate::call_error::CallError;
use crate::plan::{ConfirmPlan, CurrencyFrom, FieldKind, OutputField};

impl Corridor {
    /// Asks the vendor for the account's currency, once in the corridor's life:
    /// a wrong one would turn every amount into a hundredfold of itself.
    pub(super) async fn confirm(
        &self,
        account: &OwnedAccount,
        deadline: Instant,
        tally: &mut Tally,
    ) -> Result<(), CallError> {
        let lock = || {
            self.confirmed
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        if lock().contains(account.id()) {
            return Ok(());
        }
        self.ask_currency(account, deadline, tally).await?;
        lock().insert(account.id().clone());
        Ok(())
    }

    /// Asks the vendor for the account's currency, whoever asked before.
    pub(super) async fn ask_currency(
        &self,
        account: &OwnedAccount,
        deadline: Instant,
        tally: &mut Tally,
    ) -> Result<(), CallError> {
        let Some(plan) = &self.connector.api.confirm else {
            return Ok(());
        };
        let path = path::fill(
            &plan.path,
            &self.connector.api.version,
            Slot::Account(account),
        );
        let mut url = self.exchange.url(path);
        let fields = format!("{},{}", plan.id_field, plan.currency_field);
        url.query_pairs_mut().append_pair("fields", &fields);
        let body = self
            .exchange
            .ask(&self.connector.api, &url, deadline, tally)
            .await?;
        check_confirmation(plan, &body, account)
    }
}

/// Whether an amount takes its currency from the account instead of its row.
pub(super) fn reads_account_currency(fields: &[OutputField]) -> bool {
    fields.iter().any(|field| match &field.kind {
        FieldKind::Money { currency, .. } => *currency == CurrencyFrom::Account,
        FieldKind::List(fields) => reads_account_currency(fields),
        _ => false,
    })
}

fn check_confirmation(
    plan: &ConfirmPlan,
    body: &Value,
    account: &OwnedAccount,
) -> Result<(), CallError> {
    let text = |field: &str| body.get(field).and_then(Value::as_str);
    if text(&plan.id_field) != Some(account.id().as_str()) {
        return Err(CallError::ForeignRow {
            asked: account.id().to_string(),
        });
    }
    let missing = || CallError::Malformed {
        problem: "an account without a currency".into(),
    };
    let vendor = text(&plan.currency_field).ok_or_else(missing)?;
    let vendor = Currency::parse(vendor).map_err(|_| missing())?;
    if vendor == *account.currency() {
        return Ok(());
    }
    Err(CallError::CurrencyDiffers {
        account: account.id().to_string(),
        vendor: vendor.to_string(),
        declared: account.currency().to_string(),
    })
}
