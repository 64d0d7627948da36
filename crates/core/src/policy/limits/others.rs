//! Everything that is no limit of a budget or a bid: financial records, new
//! objects, records, protection, the stop button, and when people are asked.

use super::budgets::in_window;
use super::look::{DAY_MS, Look};
use crate::effect::Primitive;
use crate::policy::decide::{Fired, Terms};
use crate::policy::facts::{Charge, Standing};
use crate::policy::{Ask, Scope, WindowIncrease};

const HOUR_MS: i64 = 60 * 60 * 1000;

pub(super) fn protected(look: &Look<'_>) -> Vec<Fired> {
    let touched = &look.proposal.effect.touched;
    let hit = look.policy.protected.intersection(touched).next();
    let fired = hit.map(|object| {
        let message = format!("`{object}` is protected, and so is whatever concerns it");
        look.deny("protected", message)
    });
    fired.into_iter().collect()
}

pub(super) fn financial(look: &Look<'_>) -> Vec<Fired> {
    let Some(limits) = &look.policy.financial else {
        return Vec::new();
    };
    let effect = &look.proposal.effect;
    let mut fired = Vec::new();
    let rise = effect.financial.increase_micros;
    let amount = effect.amount_micros.filter(|_| rise > 0);
    if let (Some(limit), Some(amount)) = (limits.max_amount, amount.and_then(|it| look.own(it)))
        && amount > i128::from(limit.micros())
    {
        let message = format!(
            "the record would have {}; {} is the most",
            look.sum(amount),
            look.amount(limit)
        );
        fired.push(look.deny("financial.maxAmount", message));
    }
    if let (Some(limit), Some(rise)) = (limits.max_increase, look.own(rise))
        && rise > i128::from(limit.micros())
    {
        let message = format!(
            "the record would rise by {}; one change may add {}",
            look.sum(rise),
            look.amount(limit)
        );
        fired.push(look.deny("financial.maxIncrease", message));
    }
    for window in limits.per_window.iter().filter(|_| rise > 0) {
        fired.extend(in_window(
            look,
            "financial.perWindow.maxIncrease",
            window.scope,
            window.window_ms,
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
        fired.push(look.deny("records.maxPerCall", message));
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

/// The stop button: nothing but this is ever asked of it.
pub(super) fn deactivate(look: &Look<'_>) -> Vec<Fired> {
    let Some(limits) = &look.policy.deactivate else {
        return Vec::new();
    };
    let mut fired = Vec::new();
    if let Some(most) = limits.max_per_hour {
        let made = count(look, HOUR_MS, |charge| {
            u32::from(charge.primitive == Primitive::Deactivate)
        });
        if made >= u64::from(most) {
            let message =
                format!("{made} objects were switched off in an hour; {most} is the limit");
            fired.push(look.deny("deactivate.maxPerHour", message));
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

pub(super) fn approvals(look: &Look<'_>) -> Vec<Fired> {
    let asking = look.policy.approvals.iter().filter(|ask| asks(look, ask));
    let fired = asking.map(|ask| {
        let terms = Terms {
            approver_classes: [ask.approver_class.clone()].into(),
            approvers: ask.approvers,
            expires_after_ms: ask.expires_after_ms,
        };
        let message = format!("`{}` must agree", ask.approver_class);
        look.ask(format!("approvals.{}", ask.name), terms, message)
    });
    fired.collect()
}

/// Everything that is said must hold. An increase that cannot be converted is
/// denied elsewhere, so that it need not ask here.
fn asks(look: &Look<'_>, ask: &Ask) -> bool {
    let effect = &look.proposal.effect;
    let when = &ask.when;
    let over = |micros: i64, limit: crate::policy::amount::Amount| {
        look.own(micros)
            .is_some_and(|micros| micros > i128::from(limit.micros()))
    };
    let holds = |is_said: bool, holds: bool| !is_said || holds;
    holds(
        when.daily_increase_over.is_some(),
        when.daily_increase_over
            .is_some_and(|limit| over(effect.daily.increase_micros, limit)),
    ) && holds(
        when.lifetime_increase_over.is_some(),
        when.lifetime_increase_over
            .is_some_and(|limit| over(effect.lifetime.increase_micros, limit)),
    ) && holds(
        when.amount_over.is_some(),
        when.amount_over.is_some_and(|limit| {
            effect
                .amount_micros
                .is_some_and(|amount| over(amount, limit))
        }),
    ) && holds(
        when.increase_percent_over.is_some(),
        when.increase_percent_over
            .is_some_and(|percent| effect.steps.iter().any(|step| step.rises_over(percent))),
    ) && when
        .window_increase_over
        .as_ref()
        .is_none_or(|window| adds_up(look, window))
        && when
            .classes
            .as_ref()
            .is_none_or(|classes| classes.contains(&look.proposal.subject.class))
}

/// Whether increases add up to more than that, of daily or lifetime budgets.
fn adds_up(look: &Look<'_>, window: &WindowIncrease) -> bool {
    let effect = &look.proposal.effect;
    let parts: [(i64, fn(&Charge) -> i64); 2] = [
        (effect.daily.increase_micros, |charge| charge.daily_micros),
        (effect.lifetime.increase_micros, |charge| {
            charge.lifetime_micros
        }),
    ];
    parts
        .into_iter()
        .filter(|(micros, _)| *micros > 0)
        .any(|(micros, part)| {
            let used = look.used(window.scope, window.window_ms, part);
            let sum = used
                .zip(look.own(micros))
                .map(|(used, rise)| used.saturating_add(rise));
            // A sum that cannot be known may be more.
            sum.is_none_or(|sum| sum > i128::from(window.amount.micros()))
        })
}

/// Denies what would wait for people when too much does.
pub(in crate::policy) fn pending(look: &Look<'_>) -> Vec<Fired> {
    let limits = look.policy.pending;
    let facts = look.facts;
    let mut fired = Vec::new();
    for (rule, waiting, most) in [
        (
            "pending.maxPerKey",
            facts.pending_of_key,
            limits.max_per_key,
        ),
        (
            "pending.maxPerTenant",
            facts.pending_of_tenant,
            limits.max_per_tenant,
        ),
    ] {
        if waiting >= most {
            let message = format!("{waiting} changes wait for people; {most} is the limit");
            fired.push(look.deny(rule, message));
        }
    }
    let effect = &look.proposal.effect;
    for window in &look.policy.budget.per_window {
        let parts: [(i64, _, fn(&Charge) -> i64); 2] = [
            (
                effect.daily.increase_micros,
                window.max_daily_increase,
                waiting_daily,
            ),
            (
                effect.lifetime.increase_micros,
                window.max_lifetime_increase,
                waiting_lifetime,
            ),
        ];
        for (micros, limit, part) in parts {
            let (Some(limit), true) = (limit, micros > 0) else {
                continue;
            };
            let used = look.used(window.scope, window.window_ms, part);
            let sum = used
                .zip(look.own(micros))
                .map(|(used, rise)| used.saturating_add(rise));
            let share = i128::from(limit.micros()) * i128::from(limits.share_percent);
            if sum.is_none_or(|sum| sum.saturating_mul(100) > share) {
                let message = format!(
                    "more than {} % of a window of {} would wait for people",
                    limits.share_percent,
                    look.amount(limit)
                );
                fired.push(look.deny("pending.share", message));
            }
        }
    }
    fired
}

fn waiting_daily(charge: &Charge) -> i64 {
    if charge.standing == Standing::Pending {
        charge.daily_micros
    } else {
        0
    }
}

fn waiting_lifetime(charge: &Charge) -> i64 {
    if charge.standing == Standing::Pending {
        charge.lifetime_micros
    } else {
        0
    }
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
    Some(look.deny(rule, message))
}
