//! Limits of bids.

use super::look::Look;
use crate::effect::Step;
use crate::policy::decide::{Fired, Terms};
use crate::policy::{Bids, Removal};

pub(super) fn limits(look: &Look<'_>) -> Vec<Fired> {
    let (Some(limits), Some(bid)) = (&look.policy.bids, look.proposal.effect.bid) else {
        return Vec::new();
    };
    match (bid.before_micros, bid.after_micros) {
        (_, Some(after)) => amounts(look, limits, bid.before_micros, after),
        (Some(_), None) => removal(look, limits).into_iter().collect(),
        (None, None) => Vec::new(),
    }
}

fn removal(look: &Look<'_>, limits: &Bids) -> Option<Fired> {
    const RULE: &str = "bids.removal";
    let message = "the bid would have no cap any more";
    match limits.removal {
        Removal::Allow => None,
        Removal::Ask => Some(look.ask(RULE, Terms::of_default(), message)),
        Removal::Deny => Some(look.deny(RULE, message)),
    }
}

/// A first cap may be anything within floor and ceiling; what rises meets no
/// floor, and what falls no ceiling.
fn amounts(look: &Look<'_>, limits: &Bids, before: Option<i64>, after: i64) -> Vec<Fired> {
    let rises = before.is_none_or(|before| after > before);
    let falls = before.is_none_or(|before| after < before);
    let mut fired: Vec<Fired> = percent(look, limits, before, after).into_iter().collect();
    if let Some(floor) = limits.floor.filter(|_| falls)
        // A bid that falls needs no exchange rate.
        && let Some(worth) = look.own(after)
        && worth < i128::from(floor.micros())
    {
        let message = format!("{} is below {}", look.sum(worth), look.amount(floor));
        fired.push(look.exceeds("bids.floor", message));
    }
    let ceiling = limits.ceiling.filter(|_| rises);
    fired.extend(look.above("bids.ceiling", after, ceiling, |bid, most| {
        format!("{bid} is above {most}")
    }));
    fired
}

fn percent(look: &Look<'_>, limits: &Bids, before: Option<i64>, after: i64) -> Option<Fired> {
    const RULE: &str = "bids.maxIncreasePercent";
    if look.proposal.undoes.is_some() {
        return None;
    }
    let (percent, before) = (limits.max_increase_percent?, before?);
    if before <= 0 && after > before {
        let message = "there is no bid before it that a percentage could be of";
        return Some(look.ask(RULE, Terms::of_default(), message));
    }
    let step = Step::between(before.into(), after.into())?;
    let message = format!("a rise of {} %; {percent} % is the limit", step.percent());
    step.rises_over(percent).then(|| look.deny(RULE, message))
}
