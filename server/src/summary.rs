//! A change in a line: of what, and each setting from what to what. What people
//! decide over and what they read later is the same line. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tenantry_connectors::change::doubt::Doubt;
use tenantry_connectors::change::view::{Settings, View};
use tenantry_core::audit::change_record::Target;
use tenantry_core::text;

/// Characters of a line in a table.
pub const LONGEST_LINE: usize = 256;

/// Characters of one text in it: more of it stands in the settings.
const LONGEST_WORD: usize = 64;

/// What the change of an object does, or of what is new.
pub fn line(object: Option<&Target>, doubt: &Doubt, view: &View) -> String {
    summary(
        &of(object, doubt),
        &words(&view.before),
        &words(&view.after),
    )
}

/// What the changes of a batch do, by their lines.
pub fn of_batch(lines: &[&str]) -> String {
    let all = format!("{} changes: {}", lines.len(), lines.join("; "));
    text::presentable(&all, LONGEST_LINE)
}

/// The same by what an audit line has of it: what changes, or what kind of thing
/// is new, and its settings before and after, as far as they are there.
pub fn recorded(of: &str, before: &Value, after: &Value) -> String {
    summary(of, &words_of(before), &words_of(after))
}

/// What changes, or what kind of thing is new.
fn of(object: Option<&Target>, doubt: &Doubt) -> String {
    let kind = |kind: &str| kind.replace('_', " ");
    match object {
        Some(object) => format!("{} {}", kind(&object.kind), object.id),
        None => format!("new {}", kind(&doubt.kind)),
    }
}

fn summary(
    of: &str,
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
) -> String {
    let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let moved = names.into_iter().filter_map(|name| {
        let (before, after) = (before.get(name), after.get(name));
        match (
            before.map(|text| short(text)),
            after.map(|text| short(text)),
        ) {
            _ if before == after => None,
            (Some(before), Some(after)) => Some(format!("{name} {before} to {after}")),
            (None, Some(after)) => Some(format!("{name} {after}")),
            (Some(before), None) => Some(format!("{name} {before} taken away")),
            (None, None) => None,
        }
    });
    let all: Vec<_> = std::iter::once(of.to_owned()).chain(moved).collect();
    text::presentable(&all.join(", "), LONGEST_LINE)
}

/// A setting in a line with others: whoever chose a text does not choose where
/// it ends.
fn short(text: &str) -> String {
    let is_plain = |one: char| one.is_ascii_alphanumeric() || "._-".contains(one);
    // An amount is two words.
    let words = text
        .split_once(' ')
        .map_or([text, ""], |(amount, currency)| [amount, currency]);
    if words.into_iter().all(|word| word.chars().all(is_plain)) {
        return text.to_owned();
    }
    let text = text::presentable(text, LONGEST_WORD)
        .replace('\\', r"\\")
        .replace('"', r#"\""#);
    format!("\"{text}\"")
}

/// Settings as people read them: amounts with their currency.
pub fn words(settings: &Settings) -> BTreeMap<String, String> {
    words_of(&serde_json::to_value(settings).unwrap_or_default())
}

fn words_of(settings: &Value) -> BTreeMap<String, String> {
    let fields = settings.as_object().into_iter().flatten();
    fields
        .map(|(name, value)| (name.clone(), word(value)))
        .collect()
}

fn word(value: &Value) -> String {
    let money = |name: &str| value.get(name).and_then(Value::as_str);
    match (value, money("amount"), money("currency")) {
        (_, Some(amount), Some(currency)) => format!("{amount} {currency}"),
        (Value::String(text), ..) => text.clone(),
        (other, ..) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(name: &str, budget: &str) -> BTreeMap<String, String> {
        let pairs = [("name", name), ("daily_budget", budget)];
        pairs
            .map(|(name, text)| (name.to_owned(), text.to_owned()))
            .into()
    }

    #[test]
    fn a_line_says_what_changes_and_nobody_ends_a_text_but_we() {
        let before = settings("A", "30.50 EUR");
        for (after, line) in [
            (
                settings("A", "40.00 EUR"),
                "ad set 1, daily_budget 30.50 EUR to 40.00 EUR",
            ),
            (settings("B", "30.50 EUR"), "ad set 1, name A to B"),
            (
                settings("B, daily_budget 30.50 EUR to 31.00 EUR", "30.50 EUR"),
                r#"ad set 1, name A to "B, daily_budget 30.50 EUR to 31.00 EUR""#,
            ),
            (
                settings(r#"B" to "C"#, "30.50 EUR"),
                r#"ad set 1, name A to "B\" to \"C""#,
            ),
            (
                settings("A\u{202e}", "30.50 EUR"),
                r#"ad set 1, name A to "A\\u{202e}""#,
            ),
        ] {
            assert_eq!(summary("ad set 1", &before, &after), line);
        }
        assert_eq!(
            summary("ad set 1", &before, &BTreeMap::new()),
            "ad set 1, daily_budget 30.50 EUR taken away, name A taken away"
        );
        let long = settings(&"x y".repeat(500), "30.50 EUR");
        assert!(summary("ad set 1", &before, &long).chars().count() < 100);
    }

    #[test]
    fn what_a_line_has_of_a_change_is_told_in_the_same_words() {
        let settings = |budget: &str, name: &str| {
            let budget = serde_json::json!({"amount": budget, "currency": "EUR"});
            serde_json::json!({"daily_budget": budget, "name": name})
        };
        let (before, after) = (settings("30.50", "A"), settings("40.00", "B, C"));
        assert_eq!(
            recorded("ad set 1", &before, &after),
            r#"ad set 1, daily_budget 30.50 EUR to 40.00 EUR, name A to "B, C""#
        );
        assert_eq!(recorded("ad set 1", &Value::Null, &Value::Null), "ad set 1");
    }

    #[test]
    fn a_difference_that_is_cut_off_is_one() {
        let (one, other) = ("x".repeat(300), "x".repeat(300) + "y");
        let line = summary("ad set 1", &settings(&one, ""), &settings(&other, ""));
        assert!(line.starts_with("ad set 1, name x"), "{line}");
    }
}
