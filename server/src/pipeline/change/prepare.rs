//! What a change would do, by the vendor's word of now: first whose the object
//! is, then all that the change could spend.

use tenantry_connectors::change::{PrepareError, Prepared};
use tenantry_connectors::corridor::owned::Owned;
use tenantry_core::audit::Stage;
use tenantry_core::cause::chain;
use tenantry_core::reason::{Reason, Refusal};

use super::Desk;
use super::told::is_foreseen;
use crate::credentials;
use crate::pipeline::Stopped;
use crate::pipeline::authorize::Permitted;
use crate::pipeline::check::Checked;
use crate::pipeline::own::{self, Proven};
use crate::pipeline::record::Entry;
use crate::pipeline::wish::Wish;

/// A change of which everything is known that a decision needs.
pub struct Ready<'c> {
    /// The call, and the way to its vendor.
    pub proven: Proven<'c>,
    /// The change.
    pub prepared: Prepared,
}

impl Ready<'_> {
    /// What was asked for.
    pub fn checked(&self) -> &Checked<'_> {
        &self.proven.permitted.checked
    }

    /// Whether it switches something off and makes nothing rise.
    pub fn is_stop(&self) -> bool {
        self.prepared.effect.only_stops()
    }
}

/// Proves the object and prepares the change.
pub(super) async fn prepare<'c>(
    desk: Desk<'_>,
    permitted: Permitted<'c>,
    wish: &Wish,
    entry: &mut Entry,
) -> Result<Ready<'c>, Stopped> {
    let mut proven = own::own(desk.caller, permitted, desk.deadline, entry).await?;
    let Some(place) = proven.subject.take() else {
        let refusal = Refusal::new(Reason::InternalFault, "the tool changes nothing");
        return Err(Stopped::failed(Stage::Own, refusal));
    };
    let prepared = prepared(desk, &proven, place, entry).await?;
    as_meant(wish, &prepared)?;
    Ok(Ready { proven, prepared })
}

/// Refuses a change under the key of a dry run that found something else, and
/// one that would take back what is not there any more.
pub(super) fn as_meant(wish: &Wish, prepared: &Prepared) -> Result<(), Stopped> {
    let key = wish.key.as_ref();
    let left = wish.left.as_ref().filter(|_| !prepared.is_reached);
    let message = if !key.is_none_or(|key| is_foreseen(key, wish, &[prepared])) {
        UNFORESEEN
    } else if !left.is_none_or(|left| prepared.is_at(left)) {
        "the object is not any more as the change left it, so nothing was taken back"
    } else {
        return Ok(());
    };
    let refusal = Refusal::new(Reason::ChangeStale, message);
    Err(Stopped::refused(Stage::Prepare, refusal))
}

/// What a key of a dry run is answered with that found something else.
pub(super) const UNFORESEEN: &str =
    "the object is not any more as the dry run found it, so the change was not made";

/// Prepares the same change once more.
pub(super) async fn again(
    desk: Desk<'_>,
    ready: &Ready<'_>,
    entry: &mut Entry,
) -> Result<Prepared, Stopped> {
    let place = ready.prepared.place.clone();
    prepared(desk, &ready.proven, place, entry).await
}

async fn prepared(
    desk: Desk<'_>,
    proven: &Proven<'_>,
    place: Owned,
    entry: &mut Entry,
) -> Result<Prepared, Stopped> {
    let checked = &proven.permitted.checked;
    let tool = checked.found.tool;
    let now = desk.now();
    let work = proven
        .corridor
        .prepare(tool, &checked.arguments, place, now, desk.deadline);
    let prepared = credentials::counting(entry.vendor_requests(), work).await;
    prepared.map_err(|error| match &error {
        PrepareError::Call(cause) => {
            let call_id = entry.call_id();
            tracing::warn!(
                error = chain(cause),
                call_id,
                "what a change could spend cannot be read"
            );
            Stopped::failed(Stage::Prepare, error.refusal())
        }
        PrepareError::NotOwned(foreign) => own::not_owned(foreign, entry),
        _ => Stopped::refused(Stage::Prepare, error.refusal()),
    })
}
