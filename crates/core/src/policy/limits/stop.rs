//! The stop button.

use super::look::{HOUR_MS, Look};
use crate::effect::Primitive;
use crate::policy::Scope;
use crate::policy::decide::{Fired, Terms};
use crate::policy::facts::Standing;

/// The stop button: nothing but this is ever asked of it.
pub(super) fn deactivate(look: &Look<'_>) -> Vec<Fired> {
    // Even a policy that nobody accepted keeps nothing running.
    let accepted = look.policy.unaccepted.is_none();
    let Some(limits) = look.policy.deactivate.as_ref().filter(|_| accepted) else {
        return Vec::new();
    };
    let mut fired = Vec::new();
    if let Some(most) = limits.max_per_hour {
        let made = look
            .charges(Scope::Organization, HOUR_MS)
            .filter(|charge| charge.primitive == Primitive::Deactivate)
            // What waits for people has stopped nothing.
            .filter(|charge| charge.standing != Standing::Pending)
            .count();
        if made >= most as usize {
            let message =
                format!("{made} objects were switched off in an hour; {most} is the limit");
            fired.push(look.exceeds("deactivate.maxPerHour", message));
        }
    }
    let stopped = look.own(look.proposal.effect.daily.decrease_micros);
    if let Some(limit) = limits.ask_above {
        // What cannot be converted may be more.
        let is_above = stopped.is_none_or(|stopped| stopped > i128::from(limit.micros()));
        if is_above {
            let message = format!("it would stop more than {} a day", look.amount(limit));
            fired.push(look.ask("deactivate.askAbove", Terms::of_default(), message));
        }
    }
    fired
}
