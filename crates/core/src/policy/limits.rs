//! Each limit of a policy, looked at for one change. What a limit needs and
//! cannot be known counts against the change.

mod asking;
mod bids;
mod budgets;
mod exposure;
mod look;
mod others;
mod stop;
mod waiting;

pub(super) use exposure::{Exposed, exposed};
pub(super) use look::{Beside, Look, length};
pub(super) use waiting::pending;

use super::decide::Fired;

/// Everything that one policy has to say to a change that it binds.
pub(super) fn look(look: &Look<'_>) -> Vec<Fired> {
    if look.proposal.effect.only_stops() {
        return stop::deactivate(look);
    }
    if let Some(cause) = &look.policy.unaccepted {
        let message = format!("the policy was never accepted: {cause}");
        return vec![look.deny("accepted", message)];
    }
    let mut fired = Vec::new();
    fired.extend(others::protected(look));
    fired.extend(look.unconvertible());
    fired.extend(budgets::limits(look));
    fired.extend(bids::limits(look));
    fired.extend(others::financial(look));
    fired.extend(others::create(look));
    fired.extend(others::records(look));
    fired.extend(asking::approvals(look));
    fired.extend(asking::rules(look));
    say_once(&mut fired, look::UNCONVERTED);
    fired
}

/// Several limits may miss the same exchange rate.
fn say_once(fired: &mut Vec<Fired>, rule: &str) {
    let mut is_said = false;
    fired.retain(|one| one.name.rule != rule || !std::mem::replace(&mut is_said, true));
}
