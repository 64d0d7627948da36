//! By which part of what it was something rises or falls. Exact: two numbers
//! over one denominator, compared and never divided.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::spend_root::{Budget, Placed};

/// One view of a change: what was, and what is then, in one unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written")]
pub struct Step {
    before: i128,
    after: i128,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    before: i128,
    after: i128,
}

impl TryFrom<Written> for Step {
    type Error = &'static str;

    fn try_from(Written { before, after }: Written) -> Result<Self, Self::Error> {
        Self::between(before, after).ok_or("a step leads from a positive number to another one")
    }
}

impl Step {
    /// The step from a positive `before`; there is no other.
    pub fn between(before: i128, after: i128) -> Option<Self> {
        (before > 0 && after >= 0 && before != after).then_some(Self { before, after })
    }

    /// Whether it is an increase by more than `percent`.
    pub fn rises_over(self, percent: u32) -> bool {
        exceeds(self.after.saturating_sub(self.before), percent, self.before)
    }

    /// Whether it is a decrease by more than `percent`.
    pub fn falls_over(self, percent: u32) -> bool {
        exceeds(self.before.saturating_sub(self.after), percent, self.before)
    }

    /// Whole percents of the rise, rounded up; negative for a fall, rounded
    /// down. For people and rules; limits compare exactly.
    pub fn percent(self) -> i64 {
        let change = self.after.saturating_sub(self.before).saturating_mul(100);
        let (whole, rest) = (change / self.before, change % self.before);
        let away_from_zero = whole + rest.signum();
        i64::try_from(away_from_zero).unwrap_or(i64::MAX)
    }
}

/// `change > percent % of before`. A product too large for the type is larger
/// than any that fits.
fn exceeds(change: i128, percent: u32, before: i128) -> bool {
    if change <= 0 {
        return false;
    }
    match (change.checked_mul(100), before.checked_mul(percent.into())) {
        (Some(change), Some(limit)) => change > limit,
        (None, _) => true,
        (Some(_), None) => false,
    }
}

/// How much faster a lifetime budget may be spent than before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// As fast as before.
    Same,
    /// That much faster or slower.
    Moves(Step),
    /// Nothing was left before, and something is.
    FromNothing,
    /// One of both has no days to divide by, or the budget is a daily one.
    Unknown,
}

/// What is configured, before and after.
pub(super) fn configured(old: &Placed<'_>, new: &Placed<'_>) -> Option<Step> {
    let (before, after) = (old.budget.amount_micros(), new.budget.amount_micros());
    Step::between(before.into(), after.into())
}

/// What is left of a lifetime budget for each day that is left, before and
/// after: both over the product of their times.
pub(super) fn pace(old: &Placed<'_>, new: &Placed<'_>, now: Timestamp) -> Pace {
    let (Some(old), Some(new)) = (left(old, now), left(new, now)) else {
        return Pace::Unknown;
    };
    // INVARIANT: an i64 times the milliseconds between two timestamps fits.
    let before = old.amount_micros * new.time_ms;
    let after = new.amount_micros * old.time_ms;
    match Step::between(before, after) {
        Some(step) => Pace::Moves(step),
        None if before == after => Pace::Same,
        None => Pace::FromNothing,
    }
}

/// What can be spent from a budget a day; an endless or ended lifetime budget
/// counts as a whole, for all of it may go in one.
pub(super) fn daily_pace(placed: &Placed<'_>, now: Timestamp) -> i128 {
    const DAY_MS: i128 = 24 * 60 * 60 * 1000;
    match placed.budget {
        _ if !placed.is_live => 0,
        Budget::Daily { amount_micros } => amount_micros.into(),
        Budget::Lifetime { amount_micros, .. } => match left(placed, now) {
            Some(left) if left.time_ms > DAY_MS => {
                let whole = left.amount_micros * DAY_MS;
                whole / left.time_ms + i128::from(whole % left.time_ms > 0)
            }
            Some(left) => left.amount_micros,
            None => amount_micros.into(),
        },
    }
}

/// What is left of a lifetime budget, and for how many milliseconds.
#[derive(Clone, Copy)]
struct Left {
    amount_micros: i128,
    time_ms: i128,
}

fn left(placed: &Placed<'_>, now: Timestamp) -> Option<Left> {
    let Budget::Lifetime {
        amount_micros,
        spent_micros,
    } = placed.budget
    else {
        return None;
    };
    let from = placed.starts_at.map_or(now, |start| start.max(now));
    let time_ms = i128::from(placed.ends_at?.as_millisecond()) - i128::from(from.as_millisecond());
    let amount_micros = i128::from(amount_micros) - i128::from(spent_micros);
    (time_ms > 0).then_some(Left {
        amount_micros: amount_micros.max(0),
        time_ms,
    })
}
