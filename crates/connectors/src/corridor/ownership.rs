//! Whose is it? The one request that may hold an id that nobody has proven: it
//! asks for the object's account and for nothing else.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;
use tenantry_core::name::AccountId;
use tokio::time::Instant;

use super::exchange::{Tally, Urgency};
use super::limits::within;
use super::owned::{NotOwned, OwnedObject};
use super::path::Slot;
use super::{Corridor, path};
use crate::answer;
use crate::call_error::CallError;
use crate::connector::{ClaimedObject, Tool};
use crate::plan::ObjectsPlan;

/// Some 100 bytes each. An organisation with more objects in use asks again.
const MOST_KNOWN: usize = 10_000;

/// Whose objects are, as far as the vendor was asked: objects do not move
/// between accounts.
#[derive(Default)]
pub(super) struct Owners(Mutex<BTreeMap<String, AccountId>>);

impl Owners {
    fn of(&self, id: &str) -> Option<AccountId> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(id).cloned()
    }

    fn learn(&self, id: &str, account: &AccountId) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_KNOWN {
            known.clear();
        }
        known.insert(id.to_owned(), account.clone());
    }
}

impl Corridor {
    /// The proof that an object belongs to one of the accounts, by the vendor's
    /// own word.
    pub async fn own_object(
        &self,
        claimed: &ClaimedObject,
        deadline: Instant,
    ) -> Result<OwnedObject, NotOwned> {
        self.own_when(claimed, Urgency::Usual, deadline).await
    }

    /// The same for a call of `tool`: the question is not held back by a quota
    /// where the tool switches something off.
    pub async fn own_for(
        &self,
        tool: &Tool,
        claimed: &ClaimedObject,
        deadline: Instant,
    ) -> Result<OwnedObject, NotOwned> {
        let urgency = if tool.only_stops() {
            Urgency::Stop
        } else {
            Urgency::Usual
        };
        self.own_when(claimed, urgency, deadline).await
    }

    async fn own_when(
        &self,
        claimed: &ClaimedObject,
        urgency: Urgency,
        deadline: Instant,
    ) -> Result<OwnedObject, NotOwned> {
        // A known object of an account outside is asked for all the same: how
        // long an answer takes must not tell what is there.
        let known = self.owners.of(claimed.id());
        if let Some(account) = known.and_then(|account| self.own(account.as_str())) {
            return Ok(OwnedObject::new(account, claimed));
        }
        let unknown = |cause| NotOwned::Unknown {
            object: claimed.clone(),
            cause,
        };
        let Some(plan) = &self.connector.api.objects else {
            return Err(unknown(None));
        };
        let account = match self.ask_owner(plan, claimed, urgency, deadline).await {
            Ok(account) => account.ok_or_else(|| unknown(None))?,
            Err(error) if says_unknown(&error) => return Err(unknown(Some(error))),
            Err(cause) => {
                let object = claimed.clone();
                return Err(NotOwned::Unasked { object, cause });
            }
        };
        let Some(owned) = self.own(account.as_str()) else {
            let object = claimed.clone();
            return Err(NotOwned::Foreign { object, account });
        };
        self.owners.learn(claimed.id(), &account);
        Ok(OwnedObject::new(owned, claimed))
    }

    /// The account that the vendor names; `None` if the object has none.
    async fn ask_owner(
        &self,
        plan: &ObjectsPlan,
        claimed: &ClaimedObject,
        urgency: Urgency,
        deadline: Instant,
    ) -> Result<Option<AccountId>, CallError> {
        let path = path::fill(
            &plan.path,
            &self.connector.api.version,
            Slot::Claimed(claimed),
        );
        let mut url = self.exchange.url(path);
        let fields = format!("{},{}", plan.id_field, plan.account.field);
        url.query_pairs_mut().append_pair("fields", &fields);
        let mut tally = Tally {
            urgency,
            ..Tally::default()
        };
        let ask = self
            .exchange
            .ask(&self.connector.api, &url, deadline, &mut tally);
        let body = within(deadline, "whose object it is", ask).await?;
        if body.get(&plan.id_field).and_then(Value::as_str) != Some(claimed.id()) {
            let problem = "the vendor answered with another object".into();
            return Err(CallError::Malformed { problem });
        }
        let account = answer::row_account(&plan.account, &body);
        Ok(account.and_then(|account| AccountId::parse(&account).ok()))
    }
}

/// Errors that a vendor gives for an object that is not there, or is of a kind
/// that has no account, or may not be seen. Told apart, they would tell which.
fn says_unknown(error: &CallError) -> bool {
    matches!(
        error,
        CallError::NotFound { .. } | CallError::Rejected { .. } | CallError::Forbidden { .. }
    )
}
