//! Limits of advertising budgets.

use super::exposure;
use super::look::{DAY_MS, Look, Part, length};
use crate::effect::{BudgetChange, Primitive, Step};
use crate::policy::amount::Amount;
use crate::policy::decide::{Fired, Terms};
use crate::policy::facts::Standing;
use crate::policy::{PerWindow, Scope};
use crate::spend_root::Budget;

pub(super) fn limits(look: &Look<'_>) -> Vec<Fired> {
    let mut fired = Vec::new();
    fired.extend(per_change(look));
    fired.extend(undefined(look));
    fired.extend(per_object(look));
    fired.extend(rhythm(look));
    for window in &look.policy.budget.per_window {
        fired.extend(per_window(look, window));
    }
    fired.extend(exposure::limit(look));
    fired
}

fn per_change(look: &Look<'_>) -> Vec<Fired> {
    let limits = &look.policy.budget.per_change;
    let effect = &look.proposal.effect;
    let over = |rule, micros, limit, what| {
        look.above(rule, micros, limit, |rise, most| {
            format!("{what} budgets would rise by {rise}; one change may add {most}")
        })
    };
    let rule = "budget.perChange.maxDailyIncrease";
    let daily = over(
        rule,
        look.daily_micros(),
        limits.max_daily_increase,
        "daily",
    );
    let rule = "budget.perChange.maxLifetimeIncrease";
    let most = limits.max_lifetime_increase;
    let lifetime = over(rule, look.lifetime_micros(), most, "lifetime");
    let mut fired: Vec<_> = daily.into_iter().chain(lifetime).collect();
    // Those of financial records have limits of their own.
    if effect.primitive == Primitive::FinancialAmount {
        return fired;
    }
    let steps = &effect.steps;
    if let Some(percent) = limits.max_increase_percent
        && let Some(step) = steps.iter().find(|step| step.rises_over(percent))
    {
        let message = format!("a rise of {} %; {percent} % is the limit", step.percent());
        fired.push(look.exceeds("budget.perChange.maxIncreasePercent", message));
    }
    if let Some(percent) = limits.max_decrease_percent
        && let Some(step) = steps.iter().find(|step| step.falls_over(percent))
    {
        let message = format!("a fall of {} %; {percent} % is the limit", -step.percent());
        fired.push(look.exceeds("budget.perChange.maxDecreasePercent", message));
    }
    fired
}

/// From nothing there is no percentage: a person looks at it.
fn undefined(look: &Look<'_>) -> Option<Fired> {
    let effect = &look.proposal.effect;
    let sets = matches!(
        effect.primitive,
        Primitive::SetBudget | Primitive::SetSchedule
    );
    let asks = sets || effect.primitive.creates();
    if !asks || !effect.is_percent_undefined {
        return None;
    }
    let message = "there is no budget before it that a percentage could be of";
    Some(look.ask("budget.perChange", Terms::of_default(), message))
}

fn per_object(look: &Look<'_>) -> Vec<Fired> {
    let limits = &look.policy.budget.per_object;
    // Decreases meet no such limit.
    let rising = || {
        look.proposal
            .effect
            .budgets
            .iter()
            .filter(|one| one.rises())
    };
    let mut fired = Vec::new();
    for change in rising() {
        let (rule, limit) = match change.after {
            Budget::Daily { .. } => ("budget.perObject.maxDaily", limits.max_daily),
            Budget::Lifetime { .. } => ("budget.perObject.maxLifetime", limits.max_lifetime),
        };
        let amount = change.after.amount_micros();
        let object = &change.object;
        let above = look.above(rule, amount, limit, |amount, most| {
            format!("`{object}` would have {amount}; {most} is the most for one object")
        });
        fired.extend(above.map(|above| Fired {
            of: Some(object.to_string()),
            ..above
        }));
    }
    if let Some(percent) = limits.max_increase_percent_per_day {
        fired.extend(rising().find_map(|change| per_day(look, change, percent)));
    }
    fired
}

/// From the lowest live value of the last 24 hours, so that many small steps
/// are no way around.
fn per_day(look: &Look<'_>, change: &BudgetChange, percent: u32) -> Option<Fired> {
    const RULE: &str = "budget.perObject.maxIncreasePercentPerDay";
    if look.proposal.undoes.is_some() {
        return None;
    }
    let before = change.before.map(Budget::amount_micros)?;
    let lowest = look.facts.lowest_micros.get(&change.object);
    let lowest = lowest.map_or(before, |lowest| before.min(*lowest));
    let object = &change.object;
    if lowest <= 0 && before > 0 {
        let message =
            format!("`{object}` had nothing within 24 hours, and no percentage is of that");
        return Some(look.ask(RULE, Terms::of_default(), message));
    }
    let step = Step::between(lowest.into(), change.after.amount_micros().into())?;
    let message = format!(
        "`{object}` would be {} % above its lowest value of the last 24 hours; {percent} % is the limit",
        step.percent()
    );
    step.rises_over(percent).then(|| look.deny(RULE, message))
}

/// How often an object may change, in either direction.
fn rhythm(look: &Look<'_>) -> Vec<Fired> {
    let limits = &look.policy.budget.per_object;
    if look.proposal.effect.primitive.creates() {
        return Vec::new();
    }
    let mut fired = Vec::new();
    if let Some(interval_ms) = limits.min_interval_ms {
        // It is measured from before the change that is taken back.
        let undone = look.proposal.undoes.as_ref();
        let undone = undone.map(|undoes| Standing::Applied(undoes.applied_at));
        let recent = look.changes_of_object(interval_ms);
        let recent = recent.filter(|charge| undone != Some(charge.standing));
        // Of several the one that is over last; one that is open has no time.
        let wait_ms = recent
            .map(|charge| match charge.standing {
                Standing::Applied(at) => {
                    let age = look.now.duration_since(at).as_millis();
                    let age = i64::try_from(age).unwrap_or(0);
                    interval_ms.saturating_sub(age)
                }
                Standing::Open | Standing::Pending => interval_ms,
            })
            .max();
        if let Some(wait_ms) = wait_ms {
            let message = format!("it changed less than {} ago", length(interval_ms));
            let mut denied = look.exceeds("budget.perObject.minInterval", message);
            denied.retry_after_ms = Some(wait_ms);
            fired.push(denied);
        }
    }
    if let Some(most) = limits.max_changes_per_day {
        let changes = look.changes_of_object(DAY_MS).count();
        if changes >= most as usize {
            let message = format!("it changed {changes} times in 24 hours; {most} is the limit");
            fired.push(look.exceeds("budget.perObject.maxChangesPerDay", message));
        }
    }
    fired
}

fn per_window(look: &Look<'_>, window: &PerWindow) -> Vec<Fired> {
    let effect = &look.proposal.effect;
    let fits = |rule, micros: i64, limit: Option<Amount>, part: Part| {
        let limit = limit.filter(|_| micros > 0)?;
        in_window(
            look,
            rule,
            (window.scope, window.window_ms),
            micros,
            limit,
            part,
        )
    };
    let daily = fits(
        "budget.perWindow.maxDailyIncrease",
        effect.daily.increase_micros,
        window.max_daily_increase,
        |charge| charge.daily_micros,
    );
    let lifetime = fits(
        "budget.perWindow.maxLifetimeIncrease",
        effect.lifetime.increase_micros,
        window.max_lifetime_increase,
        |charge| charge.lifetime_micros,
    );
    daily.into_iter().chain(lifetime).collect()
}

/// Whether an increase still fits into a window.
pub(super) fn in_window(
    look: &Look<'_>,
    rule: &str,
    (scope, window_ms): (Scope, i64),
    micros: i64,
    limit: Amount,
    part: Part,
) -> Option<Fired> {
    let Some(rise) = look.own(micros) else {
        return Some(look.unconverted());
    };
    let Some(used) = look.used(scope, window_ms, part) else {
        let message = "the window holds changes in a currency without a fresh exchange rate";
        return Some(look.deny(rule, message));
    };
    if used.saturating_add(rise) <= i128::from(limit.micros()) {
        return None;
    }
    let (most, length) = (look.amount(limit), length(window_ms));
    let message = format!(
        "this would add {}, and less is left of {most} in {length}",
        look.sum(rise)
    );
    Some(Fired {
        of: Some(format!("{scope:?} {window_ms} ms")),
        headroom: Some(format!("{} are used of {most}", look.sum(used))),
        ..look.exceeds(rule, message)
    })
}
