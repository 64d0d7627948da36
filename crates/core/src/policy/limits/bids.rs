//! Limits of bids.

use super::look::Look;
use crate::effect::Step;
use crate::policy::Removal;
use crate::policy::decide::{Fired, Terms};

pub(super) fn limits(look: &Look<'_>) -> Vec<Fired> {
    let (Some(limits), Some(bid)) = (&look.policy.bids, look.proposal.effect.bid) else {
        return Vec::new();
    };
    let mut fired = Vec::new();
    let Some(after) = bid.after_micros else {
        let message = "the bid would have no cap any more";
        match limits.removal {
            Removal::Allow => {}
            Removal::Ask => fired.push(look.ask("bids.removal", Terms::of_default(), message)),
            Removal::Deny => fired.push(look.deny("bids.removal", message)),
        }
        return fired;
    };
    let before = bid.before_micros.unwrap_or(0);
    if let Some(percent) = limits.max_increase_percent
        && let Some(step) = Step::between(before.into(), after.into())
        && step.rises_over(percent)
    {
        let message = format!("a rise of {} %; {percent} % is the limit", step.percent());
        fired.push(look.deny("bids.maxIncreasePercent", message));
    }
    let Some(worth) = look.own(after) else {
        fired.push(look.deny(
            "exchangeRates",
            "there is no fresh exchange rate for the bid",
        ));
        return fired;
    };
    if let Some(floor) = limits.floor
        && worth < i128::from(floor.micros())
    {
        let message = format!("{} is below {}", look.sum(worth), look.amount(floor));
        fired.push(look.deny("bids.floor", message));
    }
    if let Some(ceiling) = limits.ceiling
        && worth > i128::from(ceiling.micros())
    {
        let message = format!("{} is above {}", look.sum(worth), look.amount(ceiling));
        fired.push(look.deny("bids.ceiling", message));
    }
    fired
}
