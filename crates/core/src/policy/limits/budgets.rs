//! Limits of advertising budgets.

use jiff::SignedDuration;

use super::look::{DAY_MS, Look};
use crate::effect::{BudgetChange, Primitive, Step};
use crate::policy::amount::Amount;
use crate::policy::decide::{Fired, Terms};
use crate::policy::facts::{Charge, Standing};
use crate::policy::{PerWindow, Scope};
use crate::spend_root::Budget;

/// How old a reading of all live budgets may be (WRITES §4).
const EXPOSURE_MAX_AGE: SignedDuration = SignedDuration::from_mins(15);

pub(super) fn limits(look: &Look<'_>) -> Vec<Fired> {
    let mut fired = Vec::new();
    fired.extend(per_change(look));
    fired.extend(undefined(look));
    fired.extend(per_object(look));
    fired.extend(rhythm(look));
    for window in &look.policy.budget.per_window {
        fired.extend(per_window(look, window));
    }
    fired.extend(exposure(look));
    fired
}

fn per_change(look: &Look<'_>) -> Vec<Fired> {
    let limits = &look.policy.budget.per_change;
    let effect = &look.proposal.effect;
    let increases = [
        (
            "Daily",
            effect.daily.increase_micros,
            limits.max_daily_increase,
        ),
        (
            "Lifetime",
            effect.lifetime.increase_micros,
            limits.max_lifetime_increase,
        ),
    ];
    let mut fired = Vec::new();
    for (what, micros, limit) in increases {
        let (Some(limit), Some(rise)) = (limit, look.own(micros)) else {
            continue;
        };
        if rise > i128::from(limit.micros()) {
            let message = format!(
                "{} budgets would rise by {}; one change may add {}",
                what.to_lowercase(),
                look.sum(rise),
                look.amount(limit)
            );
            fired.push(look.deny(format!("budget.perChange.max{what}Increase"), message));
        }
    }
    let steps = &effect.steps;
    // Those of financial records have limits of their own.
    let is_budget = effect.primitive != Primitive::FinancialAmount;
    if let Some(percent) = limits.max_increase_percent
        && is_budget
        && let Some(step) = steps.iter().find(|step| step.rises_over(percent))
    {
        let message = format!("a rise of {} %; {percent} % is the limit", step.percent());
        fired.push(look.deny("budget.perChange.maxIncreasePercent", message));
    }
    if let Some(percent) = limits.max_decrease_percent
        && is_budget
        && let Some(step) = steps.iter().find(|step| step.falls_over(percent))
    {
        let message = format!("a fall of {} %; {percent} % is the limit", -step.percent());
        fired.push(look.deny("budget.perChange.maxDecreasePercent", message));
    }
    fired
}

/// From nothing there is no percentage: a person looks at it.
fn undefined(look: &Look<'_>) -> Option<Fired> {
    let effect = &look.proposal.effect;
    let asks = matches!(
        effect.primitive,
        Primitive::SetBudget | Primitive::SetSchedule | Primitive::Create
    );
    if !asks || !effect.is_percent_undefined {
        return None;
    }
    let message = "there is no budget before it that a percentage could be of";
    Some(look.ask("budget.perChange", Terms::of_default(), message))
}

/// A budget that rises, or becomes live; decreases meet no such limit.
fn rises(change: &BudgetChange) -> bool {
    let before = change.before.map_or(0, Budget::amount_micros);
    change.becomes_live || change.after.amount_micros() > before
}

fn per_object(look: &Look<'_>) -> Vec<Fired> {
    let limits = &look.policy.budget.per_object;
    let mut fired = Vec::new();
    for change in look.proposal.effect.budgets.iter().filter(|one| rises(one)) {
        let (rule, limit) = match change.after {
            Budget::Daily { .. } => ("budget.perObject.maxDaily", limits.max_daily),
            Budget::Lifetime { .. } => ("budget.perObject.maxLifetime", limits.max_lifetime),
        };
        let amount = look.own(change.after.amount_micros());
        let (Some(limit), Some(amount)) = (limit, amount) else {
            continue;
        };
        if amount > i128::from(limit.micros()) {
            let message = format!(
                "`{}` would have {}; {} is the most for one object",
                change.object,
                look.sum(amount),
                look.amount(limit)
            );
            fired.push(look.deny(rule, message));
        }
    }
    if let Some(percent) = limits.max_increase_percent_per_day {
        fired.extend(per_day(look, percent));
    }
    fired
}

/// From the lowest live value of the last 24 hours, so that many small steps
/// are no way around.
fn per_day(look: &Look<'_>, percent: u32) -> Option<Fired> {
    let over = look.proposal.effect.budgets.iter().find_map(|change| {
        let before = change.before.map(Budget::amount_micros)?;
        let lowest = look.facts.lowest_micros.get(&change.object);
        let lowest = lowest.map_or(before, |lowest| before.min(*lowest));
        let step = Step::between(lowest.into(), change.after.amount_micros().into())?;
        step.rises_over(percent).then_some((change, step))
    });
    let (change, step) = over?;
    let message = format!(
        "`{}` would be {} % above its lowest value of the last 24 hours; {percent} % is the limit",
        change.object,
        step.percent()
    );
    Some(look.deny("budget.perObject.maxIncreasePercentPerDay", message))
}

/// How often an object may change, in either direction.
fn rhythm(look: &Look<'_>) -> Vec<Fired> {
    let limits = &look.policy.budget.per_object;
    let mut fired = Vec::new();
    if let Some(interval_ms) = limits.min_interval_ms {
        let recent = look.changes_of_object(interval_ms);
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
            let message = format!("it changed less than {} s ago", interval_ms / 1000);
            let mut denied = look.deny("budget.perObject.minInterval", message);
            denied.retry_after_ms = Some(wait_ms);
            fired.push(denied);
        }
    }
    if let Some(most) = limits.max_changes_per_day {
        let changes = look.changes_of_object(DAY_MS).count();
        if changes >= most as usize {
            let message = format!("it changed {changes} times in 24 hours; {most} is the limit");
            fired.push(look.deny("budget.perObject.maxChangesPerDay", message));
        }
    }
    fired
}

fn per_window(look: &Look<'_>, window: &PerWindow) -> Vec<Fired> {
    let effect = &look.proposal.effect;
    let parts: [(&str, i64, Option<Amount>, fn(&Charge) -> i64); 2] = [
        (
            "maxDailyIncrease",
            effect.daily.increase_micros,
            window.max_daily_increase,
            |charge| charge.daily_micros,
        ),
        (
            "maxLifetimeIncrease",
            effect.lifetime.increase_micros,
            window.max_lifetime_increase,
            |charge| charge.lifetime_micros,
        ),
    ];
    let mut fired = Vec::new();
    for (name, micros, limit, part) in parts {
        let (Some(limit), true) = (limit, micros > 0) else {
            continue;
        };
        let rule = format!("budget.perWindow.{name}");
        fired.extend(in_window(
            look,
            &rule,
            window.scope,
            window.window_ms,
            micros,
            limit,
            part,
        ));
    }
    fired
}

/// Whether an increase still fits into a window.
pub(super) fn in_window(
    look: &Look<'_>,
    rule: &str,
    scope: Scope,
    window_ms: i64,
    micros: i64,
    limit: Amount,
    part: fn(&Charge) -> i64,
) -> Option<Fired> {
    // What cannot be converted at all is denied by `exchangeRates`.
    let rise = look.own(micros)?;
    let Some(used) = look.used(scope, window_ms, part) else {
        let message = "the window holds changes in a currency without a fresh exchange rate";
        return Some(look.deny(rule, message));
    };
    if used.saturating_add(rise) <= i128::from(limit.micros()) {
        return None;
    }
    let message = format!(
        "{} are used of {} in {} h, and this would add {}",
        look.sum(used),
        look.amount(limit),
        window_ms / 3_600_000,
        look.sum(rise)
    );
    Some(look.deny(rule, message))
}

/// What all live budgets may add up to: the last reading, and every increase
/// since.
fn exposure(look: &Look<'_>) -> Option<Fired> {
    const RULE: &str = "budget.exposure.maxActiveDaily";
    let limits = look.policy.budget.exposure.as_ref()?;
    let rise = look.proposal.effect.exposure_micros;
    if rise <= 0 {
        return None;
    }
    let snapshot = look.facts.exposure.as_ref();
    let fresh =
        snapshot.filter(|snapshot| look.now.duration_since(snapshot.as_of) <= EXPOSURE_MAX_AGE);
    let Some(snapshot) = fresh else {
        let message = "what is live was not read in the last 15 minutes";
        return Some(look.ask(RULE, Terms::of_default(), message));
    };
    let active = snapshot
        .active_daily_micros
        .iter()
        .map(|((connector, currency), micros)| (connector, Some(currency), *micros));
    let since = look
        .facts
        .charges
        .iter()
        .filter(|charge| match charge.standing {
            Standing::Applied(at) => at > snapshot.as_of,
            Standing::Open | Standing::Pending => true,
        });
    let since = since.map(|charge| {
        let connector = &charge.subject.connector;
        (connector, charge.currency.as_ref(), charge.exposure_micros)
    });
    let subject = &look.proposal.subject;
    let own = (
        &subject.connector,
        look.proposal.effect.currency.as_ref(),
        rise,
    );
    // In hundredths: factors are percents.
    let exposed: Option<i128> = active
        .chain(since)
        .chain([own])
        .map(|(connector, currency, micros)| {
            let known = look.facts.overspend_percent.get(connector).copied();
            let percent = limits.overspend_percent.or(known).unwrap_or(100);
            Some(look.worth(micros, currency)?.saturating_mul(percent.into()))
        })
        .sum();
    let Some(exposed) = exposed else {
        let message = "live budgets are in a currency without a fresh exchange rate";
        return Some(look.deny(RULE, message));
    };
    if exposed <= i128::from(limits.max_active_daily.micros()).saturating_mul(100) {
        return None;
    }
    let message = format!(
        "live budgets could spend {} a day then; {} is the limit",
        look.sum(exposed / 100),
        look.amount(limits.max_active_daily)
    );
    Some(look.deny(RULE, message))
}
