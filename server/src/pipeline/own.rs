//! The fourth room: only the corridor can say that an account is the
//! organisation's, and only for the accounts that this key may touch.

use std::sync::Arc;

use tenantry_connectors::corridor::{Corridor, OwnedAccount};
use tenantry_core::audit::Stage;
use tenantry_core::reason::{Reason, Refusal};

use super::authorize::Permitted;
use super::{Authenticated, Stopped};

/// A call whose account is proven, and the way to its vendor.
pub struct Owned<'c> {
    /// The call.
    pub permitted: Permitted<'c>,
    /// The way.
    pub corridor: Arc<Corridor>,
    /// The proof, for tools that name an account.
    pub account: Option<OwnedAccount>,
}

/// Proves the account.
pub fn own<'c>(caller: &Authenticated, permitted: Permitted<'c>) -> Result<Owned<'c>, Stopped> {
    let refused = |reason, message| Stopped::refused(Stage::Own, Refusal::new(reason, message));
    let connector = permitted.checked.found.connector.name();
    let corridor = caller
        .in_force
        .corridor_for(&caller.key, connector)
        .ok_or_else(|| {
            refused(
                Reason::ToolUnknown,
                "the organisation does not use that connector",
            )
        })?;
    let account = match permitted.account {
        None => None,
        Some(account) => Some(corridor.own(account.id.as_str()).ok_or_else(|| {
            refused(
                Reason::AccountRefused,
                "the account is not one that may be used here",
            )
        })?),
    };
    Ok(Owned {
        permitted,
        corridor,
        account,
    })
}
