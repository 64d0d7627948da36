//! The third room: may this key do that now? Rights are decided by
//! `tenantry_core::authorize`; here come freshness and places. Rates were
//! charged at the door. What only stops something waits for its place.

use std::sync::Arc;
use std::time::Instant;

use tenantry_connectors::connector::Named;
use tenantry_core::audit::Stage;
use tenantry_core::authorize::{self, Request};
use tenantry_core::freeze::Freezes;
use tenantry_core::name::AccountId;
use tenantry_core::reason::{Reason, Refusal};
use tenantry_core::tenant::AccountConfig;
use tokio::sync::OwnedSemaphorePermit;

use super::check::Checked;
use super::record::Entry;
use super::{Authenticated, Stopped};
use crate::counter::Counter;
use crate::places::Place;

/// A call that may be made, and its place among the others.
pub struct Permitted<'c> {
    /// The call.
    pub checked: Checked<'c>,
    /// The account that it concerns, where it concerns one.
    pub account: Option<&'c AccountConfig>,
    /// The freezes under which it may be made.
    pub freezes: Arc<Freezes>,
    /// Held until the call has ended.
    pub place: Held,
}

/// What a call holds while it is made.
pub enum Held {
    /// A place among the calls.
    Place(Place),
    /// One among those that switch something off.
    Stop(OwnedSemaphorePermit),
    /// Nothing: it is only asked about, or its batch has a place for all of it.
    Nothing,
}

/// Decides whether the call may be made. For one that changes something this
/// opens no more than earlier answers: see `change::confirm`.
pub async fn permit<'c>(
    counter: &'c Counter,
    caller: &'c Authenticated,
    checked: Checked<'c>,
    deadline: tokio::time::Instant,
    entry: &mut Entry,
) -> Result<Permitted<'c>, Stopped> {
    let permitted = permit_unplaced(counter, caller, checked, entry)?;
    let limiter = &caller.in_force.limiter;
    let place = if permitted.checked.found.tool.only_stops() {
        limiter.place_of_stop(deadline).await.map(Held::Stop)
    } else {
        limiter.place(&caller.key.id).map(Held::Place)
    };
    let place = place.map_err(|refusal| Stopped::refused(Stage::Authorize, refusal))?;
    Ok(Permitted { place, ..permitted })
}

/// Decides the same of a call that takes nobody's place: one that is only asked
/// about, or a change of a batch, which has one place for all of it.
pub fn permit_unplaced<'c>(
    counter: &Counter,
    caller: &'c Authenticated,
    checked: Checked<'c>,
    entry: &mut Entry,
) -> Result<Permitted<'c>, Stopped> {
    let refused = |refusal| Stopped::refused(Stage::Authorize, refusal);
    let tool = checked.found.tool;
    let freezes = counter.knowledge.freezes_now();
    // Old knowledge loosens nothing by a stop, and a stop does not wait.
    let freezes = freezes.filter(|_| tool.only_stops() || !counter.is_stale(Instant::now()));
    let freezes = freezes.ok_or_else(|| refused(stale()))?;
    let named = match &checked.named {
        Named::Account(account) => Some(account.as_str()),
        // Whose an object is, the vendor alone can say.
        Named::Nothing | Named::Object(_) => None,
    };
    let request = Request {
        tool: &tool.name,
        connector: checked.found.connector.name(),
        class: tool.class,
        stops: tool.only_stops(),
        account: named,
    };
    let tenant = &caller.in_force.tenant;
    let account = authorize::authorize(tenant, &freezes, &caller.key, &request).map_err(refused)?;
    if let Some(account) = account {
        entry.account(&account.id);
    }
    Ok(Permitted {
        checked,
        account,
        freezes,
        place: Held::Nothing,
    })
}

/// Decides again for an object, once the vendor has said whose it is.
pub fn permit_account(
    caller: &Authenticated,
    permitted: &Permitted<'_>,
    account: &AccountId,
) -> Result<(), Refusal> {
    let Checked { found, .. } = &permitted.checked;
    let request = Request {
        tool: &found.tool.name,
        connector: found.connector.name(),
        class: found.tool.class,
        stops: found.tool.only_stops(),
        account: Some(account.as_str()),
    };
    let tenant = &caller.in_force.tenant;
    authorize::authorize(tenant, &permitted.freezes, &caller.key, &request).map(|_| ())
}

/// Nobody knows who may do what.
pub fn stale() -> Refusal {
    let message =
        "the server has not heard from its control plane for too long to know who may do what";
    Refusal::new(Reason::ControlPlaneStale, message)
}
