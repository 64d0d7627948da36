//! What people write at Meta is theirs to choose: names, and in the mouth of a
//! vendor that lies, every other word too.

use serde_json::{Map, Value, json};

use super::fields::{ACCOUNT, Node};

/// Figures, currencies and what says whose a row is: not words.
const NO_WORDS: &[&str] = &[
    "account_id",
    "currency",
    "account_currency",
    "daily_budget",
    "lifetime_budget",
    "budget_remaining",
    "amount_spent",
    "balance",
    "spend_cap",
    "min_daily_budget",
    "spend",
    "impressions",
    "clicks",
    "reach",
    "frequency",
    "ctr",
    "cpc",
    "cpm",
    "value",
];

/// A row for each text, made of the first one there is.
pub(super) fn rows(
    rows: &[Map<String, Value>],
    texts: &[String],
    node: &Node,
) -> Option<Vec<Map<String, Value>>> {
    let template = rows.first().filter(|_| !texts.is_empty())?;
    // An account is told by its id alone.
    let keeps_id = node.name == ACCOUNT.name;
    let row = |text: &String| {
        let mut row = template.clone();
        row.iter_mut()
            .filter(|(name, _)| !keeps_id || *name != "id")
            .for_each(|(name, value)| speak(name, value, text));
        row
    };
    Some(texts.iter().map(row).collect())
}

/// The first text, in everything but the id.
pub(super) fn one(row: &mut Value, texts: &[String]) {
    let (Some(row), Some(text)) = (row.as_object_mut(), texts.first()) else {
        return;
    };
    row.iter_mut()
        .filter(|(name, _)| *name != "id")
        .for_each(|(name, value)| speak(name, value, text));
}

fn speak(name: &str, value: &mut Value, text: &str) {
    match value {
        Value::String(_) if !NO_WORDS.contains(&name) => *value = json!(text),
        Value::Array(items) => items.iter_mut().for_each(|item| speak(name, item, text)),
        Value::Object(fields) => fields
            .iter_mut()
            .for_each(|(name, value)| speak(name, value, text)),
        _ => {}
    }
}
