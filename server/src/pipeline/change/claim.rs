//! The key first: whoever repeats a call must meet its answer, not a limit
//! that it has used up itself (WRITES §1).

use tenantry_core::digest::Digest;
use tenantry_core::key::KeyRecord;
use tenantry_core::name::ToolName;
use tenantry_ledger::change::Principal;
use tenantry_ledger::claim::{Claim, Claimed};
use tenantry_ledger::error::LedgerError;
use tenantry_ledger::ledger::Ledger;

use super::Desk;
use crate::book;
use crate::pipeline::wish::Wish;

/// Claims the key of a wish; without one the change has a key of its own.
pub(super) async fn claim(
    desk: Desk<'_>,
    ledger: &Ledger,
    tool: &ToolName,
    wish: &Wish,
) -> Result<Claimed, LedgerError> {
    let change = book::new_change().map_err(|refusal| LedgerError::Damaged(refusal.message))?;
    let own = wish
        .key
        .as_ref()
        .map_or(change.as_str(), |key| key.as_str());
    let claim = Claim {
        principal: &principal(&desk.caller.key),
        key: own,
        tool,
        fingerprint: wish.fingerprint,
        change: &change,
    };
    ledger.claim(&claim, desk.now()).await
}

/// Who asks, whatever key it does so with.
pub(crate) fn principal(key: &KeyRecord) -> Principal {
    Principal {
        owner: key.owner.clone(),
        agent: key.agent.clone(),
    }
}

/// What stands for a key of idempotency in the record.
pub(super) fn digest(wish: &Wish) -> Option<Digest> {
    let key = wish.key.as_ref()?;
    Some(Digest::of(key.as_str().as_bytes()))
}
