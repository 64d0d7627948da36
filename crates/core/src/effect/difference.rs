//! The effect of a change: the difference between a spend root before and
//! after it.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::apply;
use super::step::{self, Pace};
use super::{BudgetChange, Change, Delta, Effect, Impossible, Primitive, Step};
use crate::name::ObjectId;
use crate::spend_root::{Budget, Placed, SpendRoot};

/// A budget before, if there was one, and after.
type Pair<'r> = (Option<Placed<'r>>, Placed<'r>);

/// What can be spent a day from all live budgets of `root`. Nothing can be told
/// of one in which the vendor raises a budget by a schedule of its own.
pub fn active_daily(root: &SpendRoot, now: Timestamp) -> Result<i64, Impossible> {
    let pairs = root.budgets(now).into_values();
    let live = pairs.filter(|placed| placed.is_live);
    let live: Vec<Pair<'_>> = live.map(|placed| (None, placed)).collect();
    let mut family = root.top.family();
    match family.find(|node| node.has_budget_schedule) {
        Some(node) if !live.is_empty() => Err(Impossible::Scheduled(node.id.clone())),
        _ => exposure(&live, now),
    }
}

/// What there is in `after` and was not in `before`.
pub(super) fn between(
    before: Option<&SpendRoot>,
    after: &SpendRoot,
    change: &Change,
    now: Timestamp,
) -> Result<Effect, Impossible> {
    let old = before.map(|before| before.budgets(now)).unwrap_or_default();
    let new = after.budgets(now);
    let pairs: Vec<Pair<'_>> = new
        .iter()
        .map(|(id, placed)| (old.get(*id).copied(), *placed))
        .collect();
    let daily = pairs.iter().map(|pair| risen(pair, is_daily));
    let lifetime = pairs.iter().map(|pair| risen(pair, is_lifetime));
    let primitive = change.primitive();
    let concerns = Effect {
        currency: Some(after.currency.clone()),
        touched: touched(before.unwrap_or(after), change),
        ..Effect::nothing(primitive)
    };
    if primitive == Primitive::Deactivate {
        // No sum is too large to be switched off.
        return Ok(Effect {
            daily: saturated(daily),
            lifetime: saturated(lifetime),
            ..concerns
        });
    }
    let created = created(before, after);
    let loses_its_end = pairs.iter().any(loses_its_end);
    let appears_endless = pairs
        .iter()
        .any(|(old, new)| old.is_none() && new.ends_at.is_none());
    let creates_endless = created.iter().any(|id| after.is_endless(id));
    Ok(Effect {
        daily: delta(daily)?,
        lifetime: delta(lifetime)?,
        budgets: pairs.iter().filter_map(budget_change).collect(),
        steps: pairs
            .iter()
            .flat_map(|pair| steps(pair, primitive, now))
            .collect(),
        is_percent_undefined: loses_its_end
            || pairs.iter().any(sets_from_nothing)
            || pairs
                .iter()
                .any(|pair| is_pace_undefined(pair, primitive, now)),
        becomes_endless: loses_its_end || appears_endless || creates_endless,
        bid: change.bid(),
        exposure_micros: exposure(&pairs, now)?,
        created: u32::try_from(created.len()).unwrap_or(u32::MAX),
        creates_running: created.iter().any(|id| after.is_running(id, now)),
        ..concerns
    })
}

fn is_daily(budget: Budget) -> bool {
    matches!(budget, Budget::Daily { .. })
}

fn is_lifetime(budget: Budget) -> bool {
    matches!(budget, Budget::Lifetime { .. })
}

/// By how much the spendable amount of that kind rises; it may fall.
fn risen((old, new): &Pair<'_>, is_of_kind: fn(Budget) -> bool) -> i128 {
    let spendable = |placed: &Placed<'_>| {
        let counts = placed.is_live && is_of_kind(placed.budget);
        if counts {
            i128::from(placed.budget.amount_micros())
        } else {
            0
        }
    };
    spendable(new) - old.as_ref().map_or(0, spendable)
}

pub(super) fn delta(changes: impl IntoIterator<Item = i128>) -> Result<Delta, Impossible> {
    let (increase, decrease) = sums(changes);
    let narrow = |sum: i128| i64::try_from(sum).map_err(|_| Impossible::Range);
    Ok(Delta {
        increase_micros: narrow(increase)?,
        decrease_micros: narrow(decrease)?,
    })
}

fn saturated(changes: impl IntoIterator<Item = i128>) -> Delta {
    let (increase, decrease) = sums(changes);
    let narrow = |sum: i128| i64::try_from(sum).unwrap_or(i64::MAX);
    Delta {
        increase_micros: narrow(increase),
        decrease_micros: narrow(decrease),
    }
}

/// All that rises, and all that falls.
fn sums(changes: impl IntoIterator<Item = i128>) -> (i128, i128) {
    let mut sums = (0_i128, 0_i128);
    for change in changes {
        sums.0 = sums.0.saturating_add(change.max(0));
        sums.1 = sums.1.saturating_sub(change.min(0));
    }
    sums
}

/// By how much more can be spent a day; not below zero.
fn exposure(pairs: &[Pair<'_>], now: Timestamp) -> Result<i64, Impossible> {
    let paces = pairs.iter().map(|(old, new)| {
        let before = old.as_ref().map_or(0, |old| step::daily_pace(old, now));
        (step::daily_pace(new, now) - before).max(0)
    });
    i64::try_from(paces.sum::<i128>()).map_err(|_| Impossible::Range)
}

fn budget_change((old, new): &Pair<'_>) -> Option<BudgetChange> {
    let becomes_live = new.is_live && !old.is_some_and(|old| old.is_live);
    let before = old.map(|old| old.budget);
    if before == Some(new.budget) && !becomes_live {
        return None;
    }
    Some(BudgetChange {
        object: new.node.id.clone(),
        before,
        after: new.budget,
        becomes_live,
    })
}

fn sets_from_nothing((old, new): &Pair<'_>) -> bool {
    let before = old.map_or(0, |old| old.budget.amount_micros());
    before == 0 && new.budget.amount_micros() > 0
}

fn loses_its_end((old, new): &Pair<'_>) -> bool {
    old.is_some_and(|old| old.ends_at.is_some()) && new.ends_at.is_none()
}

/// Percentages are asked of budgets and dates, not of what is switched on.
fn has_percent(primitive: Primitive) -> bool {
    matches!(primitive, Primitive::SetBudget | Primitive::SetSchedule)
}

/// The views of a budget that existed before.
fn steps((old, new): &Pair<'_>, primitive: Primitive, now: Timestamp) -> Vec<Step> {
    let Some(old) = old.as_ref().filter(|_| has_percent(primitive)) else {
        return Vec::new();
    };
    let daily = match step::pace(old, new, now) {
        Pace::Moves(step) => Some(step),
        Pace::Same | Pace::FromNothing | Pace::Unknown => None,
    };
    step::configured(old, new)
        .into_iter()
        .chain(daily)
        .collect()
}

/// Whether a lifetime budget may be spent faster by nobody knows how much:
/// nothing of it was left, or its dates give no days to divide by.
fn is_pace_undefined((old, new): &Pair<'_>, primitive: Primitive, now: Timestamp) -> bool {
    let Some(old) = old.as_ref().filter(|_| has_percent(primitive)) else {
        return false;
    };
    let has_moved = (old.starts_at, old.ends_at) != (new.starts_at, new.ends_at);
    match step::pace(old, new, now) {
        Pace::FromNothing => true,
        Pace::Unknown => is_lifetime(new.budget) && has_moved && old.is_live && new.is_live,
        Pace::Same | Pace::Moves(_) => false,
    }
}

fn created(before: Option<&SpendRoot>, after: &SpendRoot) -> BTreeSet<ObjectId> {
    let ids = |root: &SpendRoot| -> BTreeSet<ObjectId> {
        root.top.family().map(|node| node.id.clone()).collect()
    };
    let old = before.map(ids).unwrap_or_default();
    let new = ids(after);
    // The holder of several new roots is no object.
    let appeared = new.difference(&old).filter(|id| !apply::is_holder(id));
    appeared.cloned().collect()
}

fn touched(root: &SpendRoot, change: &Change) -> BTreeSet<ObjectId> {
    // A new object has nothing below it; what stands beside it is another's.
    let with_below = change.primitive() != Primitive::Create;
    let object = change.object();
    object.map_or_else(BTreeSet::new, |object| concerned(root, object, with_below))
}

/// The object, what is above it, what shares its budget and what is below it;
/// nothing if there is no such object.
pub(super) fn concerned(
    root: &SpendRoot,
    object: &ObjectId,
    with_below: bool,
) -> BTreeSet<ObjectId> {
    let path = root.path(object).unwrap_or_default();
    let holder = path.iter().find(|node| node.budget.is_some());
    let sharing = holder.into_iter().flat_map(|holder| holder.family());
    let changed = path.last().filter(|_| with_below);
    let below = changed.into_iter().flat_map(|node| node.family());
    let all = path.iter().copied().chain(sharing).chain(below);
    all.map(|node| node.id.clone()).collect()
}
