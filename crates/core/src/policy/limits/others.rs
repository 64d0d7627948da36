//! Protection, and the limits of financial records, new objects and records
//! without money.

use super::budgets::in_window;
use super::look::{DAY_MS, Look};
use crate::policy::Scope;
use crate::policy::decide::Fired;
use crate::policy::facts::Charge;

pub(super) fn protected(look: &Look<'_>) -> Option<Fired> {
    let concerned = look.proposal.effect.touched.iter();
    let mut concerned = concerned.chain(&look.proposal.subject.path);
    let object = concerned.find(|object| look.policy.protected.contains(*object))?;
    let message = format!("`{object}` is protected, and so is whatever concerns it");
    Some(look.deny("protected", message))
}

pub(super) fn financial(look: &Look<'_>) -> Vec<Fired> {
    let Some(limits) = &look.policy.financial else {
        return Vec::new();
    };
    let effect = &look.proposal.effect;
    let rise = effect.financial.increase_micros;
    let mut fired = Vec::new();
    if let Some(amount) = effect.amount_micros.filter(|_| rise > 0) {
        let rule = "financial.maxAmount";
        fired.extend(look.above(rule, amount, limits.max_amount, |amount, most| {
            format!("the record would have {amount}; {most} is the most")
        }));
    }
    let rule = "financial.maxIncrease";
    fired.extend(look.above(rule, rise, limits.max_increase, |rise, most| {
        format!("the record would rise by {rise}; one change may add {most}")
    }));
    for window in limits.per_window.iter().filter(|_| rise > 0) {
        fired.extend(in_window(
            look,
            "financial.perWindow.maxIncrease",
            (window.scope, window.window_ms),
            rise,
            window.max_increase,
            |charge| charge.financial_micros,
        ));
    }
    if let (Some(states), Some(state)) = (&limits.states, &effect.state)
        && !states.contains(state)
    {
        let message = format!("`{state}` is not a state that records may get");
        fired.push(look.deny("financial.states", message));
    }
    fired
}

pub(super) fn create(look: &Look<'_>) -> Vec<Fired> {
    let Some(limits) = &look.policy.create else {
        return Vec::new();
    };
    let effect = &look.proposal.effect;
    let mut fired = Vec::new();
    if limits.force_paused && effect.creates_running {
        let message = "new objects must be paused, and this one would run at once";
        fired.push(look.deny("create.forcePaused", message));
    }
    if limits.require_end_date && effect.becomes_endless {
        let message = "it would spend without an end date";
        fired.push(look.deny("create.requireEndDate", message));
    }
    if let Some(most) = limits.max_per_day
        && effect.created > 0
    {
        let made = count(look, DAY_MS, |charge| charge.created);
        fired.extend(counted(
            look,
            "create.maxPerDay",
            made,
            effect.created,
            most,
            "objects",
        ));
    }
    fired
}

pub(super) fn records(look: &Look<'_>) -> Vec<Fired> {
    let Some(limits) = &look.policy.records else {
        return Vec::new();
    };
    let changed = look.proposal.effect.records;
    let mut fired = Vec::new();
    if let Some(most) = limits.max_per_call
        && changed > most
    {
        let message = format!("{changed} records in one call; {most} is the limit");
        fired.push(look.exceeds("records.maxPerCall", message));
    }
    if let Some(most) = limits.max_per_day
        && changed > 0
    {
        let made = count(look, DAY_MS, |charge| charge.records);
        fired.extend(counted(
            look,
            "records.maxPerDay",
            made,
            changed,
            most,
            "records",
        ));
    }
    fired
}

fn count(look: &Look<'_>, window_ms: i64, part: fn(&Charge) -> u32) -> u64 {
    let charges = look.charges(Scope::Organization, window_ms);
    charges.map(|charge| u64::from(part(charge))).sum()
}

fn counted(
    look: &Look<'_>,
    rule: &str,
    made: u64,
    more: u32,
    most: u32,
    what: &str,
) -> Option<Fired> {
    if made + u64::from(more) <= u64::from(most) {
        return None;
    }
    let message = format!("{made} {what} in 24 hours and {more} now; {most} is the limit");
    Some(look.exceeds(rule, message))
}
