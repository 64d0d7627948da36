//! The fourth room: only the corridor can say that an account or an object is
//! the organisation's, and only within the accounts that this key may touch.

use std::sync::Arc;

use tenantry_connectors::connector::{ClaimedObject, Named};
use tenantry_connectors::corridor::Corridor;
use tenantry_connectors::corridor::owned::{NotOwned, Owned, OwnedObject};
use tenantry_core::audit::{Object, Stage, Standing};
use tenantry_core::name::AccountId;
use tenantry_core::reason::{Reason, Refusal};
use tokio::time::Instant;

use super::authorize::{Permitted, permit_account};
use super::record::Entry;
use super::{Authenticated, Stopped};
use crate::credentials;
use tenantry_core::cause::chain;

/// A call whose subject is proven, and the way to its vendor.
pub struct Proven<'c> {
    /// The call.
    pub permitted: Permitted<'c>,
    /// The way.
    pub corridor: Arc<Corridor>,
    /// The proof, for tools that ask about something.
    pub subject: Option<Owned>,
}

/// Proves the account or the object; the vendor may have to be asked for it,
/// until `deadline` at most.
pub async fn own<'c>(
    caller: &Authenticated,
    permitted: Permitted<'c>,
    deadline: Instant,
    entry: &mut Entry,
) -> Result<Proven<'c>, Stopped> {
    let refused = |reason, message| Stopped::refused(Stage::Own, Refusal::new(reason, message));
    let connector = permitted.checked.found.connector.name();
    let corridor = caller
        .in_force
        .corridor_for(&permitted.freezes, &caller.key, connector)
        .ok_or_else(|| {
            refused(
                Reason::ToolUnknown,
                "the organisation does not use that connector",
            )
        })?;
    let subject = match &permitted.checked.named {
        Named::Nothing => None,
        Named::Account(id) => Some(Owned::Account(corridor.own(id).ok_or_else(|| {
            refused(
                Reason::AccountRefused,
                "the account is not one that may be used here",
            )
        })?)),
        Named::Object(claimed) => {
            let may = |account: &AccountId| permit_account(caller, &permitted, account);
            let tool = permitted.checked.found.tool;
            let asking = corridor.own_for(tool, claimed, deadline);
            let owned = own_object(asking, claimed, entry, may).await?;
            entry.account(owned.account().id());
            Some(Owned::Object(owned))
        }
    };
    Ok(Proven {
        permitted,
        corridor,
        subject,
    })
}

async fn own_object(
    asking: impl Future<Output = Result<OwnedObject, NotOwned>>,
    claimed: &ClaimedObject,
    entry: &mut Entry,
    may: impl Fn(&AccountId) -> Result<(), Refusal>,
) -> Result<OwnedObject, Stopped> {
    // Whatever becomes of the question, the line says what was asked for.
    entry.object(record(claimed, Standing::Claimed, None));
    match credentials::counting(entry.vendor_requests(), asking).await {
        Ok(owned) => {
            let account = owned.account().id();
            entry.object(record(claimed, Standing::Owned, Some(account)));
            may(account).map_err(|refusal| Stopped::refused(Stage::Own, refusal))?;
            Ok(owned)
        }
        Err(error) => Err(match frozen(&error, may) {
            Some(refusal) => Stopped::refused(Stage::Own, refusal),
            None => not_owned(&error, entry),
        }),
    }
}

/// For the corridor an account that is frozen shut does not exist; a caller who
/// could use it otherwise hears of the freeze.
fn frozen(error: &NotOwned, may: impl Fn(&AccountId) -> Result<(), Refusal>) -> Option<Refusal> {
    let NotOwned::Foreign { account, .. } = error else {
        return None;
    };
    let refusal = may(account).err()?;
    (refusal.reason == Reason::Frozen).then_some(refusal)
}

/// What is not the organisation's is on record, whoever asked for it.
pub(super) fn not_owned(error: &NotOwned, entry: &mut Entry) -> Stopped {
    let refusal = error.refusal();
    match error {
        NotOwned::Foreign { object, account } => {
            entry.object(record(object, Standing::Foreign, Some(account)));
            Stopped::refused(Stage::Own, refusal)
        }
        NotOwned::Unknown { object, .. } => {
            entry.object(record(object, Standing::Unknown, None));
            Stopped::refused(Stage::Own, refusal)
        }
        NotOwned::Unasked { .. } => {
            let call_id = entry.call_id();
            tracing::warn!(error = chain(error), call_id, "a call to the vendor failed");
            Stopped::failed(Stage::Own, refusal)
        }
    }
}

fn record(claimed: &ClaimedObject, standing: Standing, account: Option<&AccountId>) -> Object {
    Object {
        kind: claimed.kind().to_owned(),
        id: claimed.id().to_owned(),
        standing,
        account: account.cloned(),
    }
}
