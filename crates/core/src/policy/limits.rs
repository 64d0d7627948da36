//! Each limit of a policy, looked at for one change. What a limit needs and
//! cannot be known counts against the change.

mod bids;
mod budgets;
mod look;
mod others;

pub(super) use look::Look;
pub(super) use others::pending;

use super::decide::Fired;
use crate::effect::Primitive;

/// Everything that one policy has to say to a change that it covers.
pub(super) fn look(look: &Look<'_>) -> Vec<Fired> {
    let primitive = look.proposal.effect.primitive;
    if primitive == Primitive::Deactivate {
        return others::deactivate(look);
    }
    if let Some(cause) = &look.policy.unaccepted {
        return vec![look.deny(
            "accepted",
            format!("the policy was never accepted: {cause}"),
        )];
    }
    let mut fired = others::protected(look);
    fired.extend(look.unconvertible());
    fired.extend(budgets::limits(look));
    fired.extend(bids::limits(look));
    fired.extend(others::financial(look));
    fired.extend(others::create(look));
    fired.extend(others::records(look));
    fired.extend(others::approvals(look));
    fired
}
