//! A change that is allowed comes about, and what it did is told.

use serde_json::{Map, Value, json};

use super::change::{Change, End};
use super::clock;
use super::effects::EffectKind;
use super::rules::number;
use super::world::Kind;

const BUDGETS: &[&str] = &["daily_budget", "lifetime_budget"];

/// What one part of a change did: the fields before and after.
pub(super) struct Done {
    pub kind: EffectKind,
    pub before: Value,
    pub after: Value,
}

/// Changes an object. What is set to what it was is told all the same: that is
/// how a change that came twice shows.
pub(super) fn apply(
    row: &mut Map<String, Value>,
    kind: Kind,
    change: &Change,
    now: i64,
) -> Vec<Done> {
    let mut all = Vec::new();
    let mut part = |row: &mut Map<String, Value>,
                    effect: EffectKind,
                    fields: &[&str],
                    set: &dyn Fn(&mut Map<String, Value>)| {
        let before = picture(row, fields);
        set(row);
        all.push(Done {
            kind: effect,
            before,
            after: picture(row, fields),
        });
    };
    if let Some(name) = &change.name {
        part(row, EffectKind::Rename, &["name"], &|row| {
            put(row, "name", name);
        });
    }
    if change.has_budget() {
        part(row, EffectKind::SetBudget, BUDGETS, &|row| {
            set_budget(row, change);
        });
        // Meta: the strategy unless another is named.
        if kind == Kind::Campaign && !row.contains_key("bid_strategy") {
            put(row, "bid_strategy", "LOWEST_COST_WITHOUT_CAP");
        }
    }
    if change.has_bid() {
        let fields = ["bid_amount", "bid_strategy"];
        part(row, EffectKind::SetBid, &fields, &|row| {
            set_bid(row, change);
        });
    }
    if change.has_schedule() {
        let fields = ["start_time", kind.end_field()];
        part(row, EffectKind::SetSchedule, &fields, &|row| {
            set_schedule(row, kind, change);
        });
    }
    if let Some(status) = &change.status {
        part(row, EffectKind::SetStatus, &["status"], &|row| {
            put(row, "status", status);
        });
    }
    put(row, "updated_time", &clock::written(now));
    all
}

/// An ad set loses its budget because its campaign gets one.
pub(super) fn drop_budget(row: &mut Map<String, Value>, now: i64) -> Done {
    let before = picture(row, BUDGETS);
    for field in ["daily_budget", "lifetime_budget", "budget_remaining"] {
        put(row, field, "0");
    }
    put(row, "updated_time", &clock::written(now));
    Done {
        kind: EffectKind::SetBudget,
        before,
        after: picture(row, BUDGETS),
    }
}

/// What a new object is told as.
pub(super) fn created(row: Map<String, Value>) -> Done {
    Done {
        kind: EffectKind::Create,
        before: Value::Null,
        after: Value::Object(row),
    }
}

fn picture(row: &Map<String, Value>, fields: &[&str]) -> Value {
    let there = fields.iter().filter_map(|field| {
        let value = row.get(*field)?;
        Some(((*field).to_owned(), value.clone()))
    });
    Value::Object(there.collect())
}

fn put(row: &mut Map<String, Value>, field: &str, value: &str) {
    row.insert(field.to_owned(), json!(value));
}

/// What is spent of a budget stays spent.
fn set_budget(row: &mut Map<String, Value>, change: &Change) {
    let (field, budget) = match (change.daily_budget, change.lifetime_budget) {
        (Some(daily), _) => ("daily_budget", daily),
        (None, lifetime) => ("lifetime_budget", lifetime.unwrap_or_default()),
    };
    let spent = number(row, field).saturating_sub(number(row, "budget_remaining"));
    let remaining = budget.saturating_sub(spent);
    put(row, field, &budget.to_string());
    put(row, "budget_remaining", &remaining.to_string());
}

/// Amounts of bids are numbers, amounts of budgets are texts.
fn set_bid(row: &mut Map<String, Value>, change: &Change) {
    if let Some(bid) = change.bid_amount {
        row.insert("bid_amount".into(), json!(bid));
    }
    if let Some(strategy) = &change.bid_strategy {
        put(row, "bid_strategy", strategy);
        if strategy == "LOWEST_COST_WITHOUT_CAP" {
            row.remove("bid_amount");
        }
    }
}

fn set_schedule(row: &mut Map<String, Value>, kind: Kind, change: &Change) {
    if let Some(start) = change.start {
        put(row, "start_time", &clock::written(start));
    }
    match change.end {
        Some(End::At(end)) => put(row, kind.end_field(), &clock::written(end)),
        Some(End::Never) => {
            row.remove(kind.end_field());
        }
        None => {}
    }
}
