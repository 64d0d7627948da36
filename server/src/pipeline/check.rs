//! The second room: is this a tool, and do the arguments match its schema?
//! Says what was expected, and repeats of what came only names, cut short.

use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind;
use serde_json::{Map, Number, Value};
use tenantry_connectors::connector::Named;
use tenantry_core::audit::{Arguments, Stage};
use tenantry_core::reason::{Reason, Refusal};

use super::record::Entry;
use super::wish::Wish;
use super::{Asked, Stopped};
use crate::catalog::{Catalog, Found};
use crate::in_force::InForce;

/// Mistakes that are told at once; who corrects these hears of the others.
const MOST_MISTAKES: usize = 5;

/// Characters that are repeated of a name that the caller chose.
const LONGEST_NAME: usize = 64;

/// A tool of the organisation, with arguments that match its schema.
pub struct Checked<'c> {
    /// The tool.
    pub found: Found<'c>,
    /// The arguments.
    pub arguments: Map<String, Value>,
    /// What they are about, in the caller's words.
    pub named: Named,
    /// How a change is asked for, where the tool makes one.
    pub wish: Option<Wish>,
}

/// Checks what is asked for.
pub fn check<'c>(
    catalog: &'c Catalog,
    in_force: &InForce,
    asked: Asked,
    entry: &mut Entry,
) -> Result<Checked<'c>, Stopped> {
    let refused = |refusal| Stopped::refused(Stage::Check, refusal);
    let found = catalog
        .find(&asked.tool)
        .filter(|found| in_force.uses(found.connector.name()))
        .filter(|found| in_force.tenant.tools.permits(&found.tool.name))
        .ok_or_else(|| refused(unknown_tool(&asked.tool)))?;
    entry.found(found.tool, found.connector.name());
    let mut arguments = Value::Object(asked.arguments);
    write_integers_plainly(&mut arguments);
    let mistakes = mistakes(&found, &arguments);
    let Value::Object(mut arguments) = arguments else {
        return Err(refused(Refusal::new(
            Reason::ArgumentsInvalid,
            "the arguments are not an object",
        )));
    };
    if !mistakes.is_empty() {
        entry.arguments(Arguments::unchecked(&arguments));
        return Err(refused(Refusal::new(
            Reason::ArgumentsInvalid,
            mistakes.join("; "),
        )));
    }
    let tool = found.tool;
    let wish = tool
        .makes_changes()
        .then(|| Wish::take(&mut arguments, &tool.name, !tool.only_stops()));
    entry.arguments(Arguments::checked(&arguments, &in_force.tenant.redact));
    let wish = wish.transpose().map_err(refused)?;
    let named = found.tool.named(&arguments);
    let named = named.map_err(|error| refused(error.refusal()))?;
    Ok(Checked {
        found,
        arguments,
        named,
        wish,
    })
}

/// JSON Schema takes 1.0 for an integer, and readers of integers do not: once
/// here, so that schema, plan and record see the same number.
fn write_integers_plainly(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(write_integers_plainly),
        Value::Object(entries) => entries.values_mut().for_each(write_integers_plainly),
        Value::Number(number) if number.is_f64() => {
            // A float that is whole prints as `1.0`, or with an exponent when
            // it is larger than any that is admitted.
            let text = number.to_string();
            let whole = text
                .strip_suffix(".0")
                .and_then(|whole| whole.parse::<i64>().ok());
            if let Some(whole) = whole {
                *number = Number::from(whole);
            }
        }
        _ => {}
    }
}

/// What a caller hears of a tool that is not there.
pub fn unknown_tool(name: &str) -> Refusal {
    Refusal::new(
        Reason::ToolUnknown,
        format!("there is no tool `{}`", excerpt(name)),
    )
}

fn mistakes(found: &Found<'_>, arguments: &Value) -> Vec<String> {
    let known = found.input_schema.get("properties");
    let known = known.and_then(Value::as_object);
    let errors = found.validator.iter_errors(arguments);
    errors
        .take(MOST_MISTAKES)
        .map(|error| describe(&error, known))
        .collect()
}

fn describe(error: &ValidationError<'_>, known: Option<&Map<String, Value>>) -> String {
    let place = error
        .instance_path()
        .as_str()
        .trim_start_matches('/')
        .replace('/', ".");
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            unknown_arguments(unexpected, known)
        }
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            let name = if place.is_empty() {
                name.to_owned()
            } else {
                format!("{place}.{name}")
            };
            format!("`{name}` is missing")
        }
        // Masked: a value may be a megabyte, or a secret in the wrong place.
        _ if place.is_empty() => error.masked_with("the value").to_string(),
        _ => format!("`{}`: {}", excerpt(&place), error.masked_with("the value")),
    }
}

fn unknown_arguments(names: &[String], known: Option<&Map<String, Value>>) -> String {
    let meant = |name: &str| known?.keys().find(|known| known.eq_ignore_ascii_case(name));
    let describe = |name: &String| match meant(name) {
        Some(meant) => format!("`{}` is unknown, `{meant}` is meant", excerpt(name)),
        None => format!("`{}` is unknown", excerpt(name)),
    };
    let told: Vec<String> = names.iter().take(MOST_MISTAKES).map(describe).collect();
    told.join("; ")
}

/// A text that a caller chose, as far as it is repeated.
pub(super) fn excerpt(text: &str) -> String {
    let visible = text
        .chars()
        .map(|one| if one.is_control() { '\u{fffd}' } else { one });
    if text.chars().count() <= LONGEST_NAME {
        return visible.collect();
    }
    visible.take(LONGEST_NAME).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The mistakes in `arguments` for a tool of this release.
    fn mistakes_in(arguments: &Value) -> Vec<String> {
        let catalog = Catalog::load(None).unwrap();
        let found = catalog.find("meta_list_ad_accounts").unwrap();
        mistakes(&found, arguments)
    }

    #[test]
    fn a_mistake_names_the_argument_and_what_is_expected() {
        assert_eq!(mistakes_in(&json!({"limit": 3})), [""; 0]);
        assert_eq!(
            mistakes_in(&json!({"limit": "3"})),
            [r#"`limit`: the value is not of type "integer""#]
        );
        assert_eq!(
            mistakes_in(&json!({"limit": 101})),
            ["`limit`: the value is greater than the maximum of 100"]
        );
        assert_eq!(mistakes_in(&json!({"x\n": 1})), ["`x\u{fffd}` is unknown"]);
        assert_eq!(
            mistakes_in(&json!({"Limit": 3})),
            ["`Limit` is unknown, `limit` is meant"]
        );
    }

    #[test]
    fn whole_numbers_alone_are_written_as_such() {
        let mut arguments = json!({"limit": 3.0, "within": [3e0, -0.0, "3.0", 3.5, 1e300]});
        write_integers_plainly(&mut arguments);
        assert_eq!(
            arguments,
            json!({"limit": 3, "within": [3, 0, "3.0", 3.5, 1e300]})
        );
    }

    #[test]
    fn a_mistake_never_repeats_what_came() {
        let long = "x".repeat(1_000_000);
        for arguments in [
            json!({"limit": long}),
            json!({"after": long}),
            json!({long.as_str(): 1}),
        ] {
            let text = mistakes_in(&arguments).join("; ");
            assert!(
                !text.is_empty() && text.len() < 300,
                "{} characters",
                text.len()
            );
        }
        let many: Map<String, Value> = (0..1_000)
            .map(|number| (number.to_string(), json!(1)))
            .collect();
        assert!(mistakes_in(&Value::Object(many)).join("; ").len() < 300);
    }
}
