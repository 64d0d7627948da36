//! The fourth tool that is the server's own: sets several budgets of one account
//! together, all or none (WRITES §8). Each of them is checked, permitted, decided
//! and recorded as a call of the vendor's tool that sets one.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tenantry_core::access::ToolClass;
use tenantry_core::audit::{Arguments, Stage};
use tenantry_core::idempotency::{DRY_RUN_ARGUMENT, KEY_ARGUMENT};
use tenantry_core::name::ToolName;
use tenantry_core::reason::{Reason, Refusal};

use super::change::batch::member::at;
use super::change::batch::{MOST_ITEMS, Several};
use super::check::{self, unknown_tool};
use super::own_tool;
use super::record::Entry;
use super::wish::Wish;
use super::{Asked, Authenticated, Stopped};
use crate::book;
use crate::catalog::Catalog;
use crate::counter::Counter;
use crate::in_force::InForce;

/// Its name.
pub const TOOL: &str = "set_budgets";

/// The same for people.
pub const TITLE: &str = "Set budgets";

/// What agents read of it.
pub const DESCRIPTION: &str = "Sets several budgets of one account together, all of them or none: each by the arguments of the tool \
that sets one. They are decided in the order given, as one change with one idempotency_key: where a policy refuses one of them \
none is made, and where one needs people, people are asked once about all. Each object may have its budget set once. \
What became of each stands in items, in the same order, with a change_id of its own.";

/// What is wanted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    tool: String,
    changes: Vec<Map<String, Value>>,
}

/// Its name, as tools are known by.
pub fn name() -> Option<ToolName> {
    ToolName::parse(TOOL).ok()
}

/// The schema of its own arguments; a key and `dry_run` are those of every change.
pub fn input_schema(catalog: &Catalog) -> Map<String, Value> {
    let tools: Vec<_> = catalog
        .tools()
        .filter(|found| found.tool.sets_budgets())
        .collect();
    let names: Vec<_> = tools.iter().map(|found| &found.tool.name).collect();
    let mut schemas = tools.iter().map(|found| json!(found.tool.input_schema));
    let change = match (schemas.next(), schemas.next()) {
        (Some(only), None) => only,
        (first, second) => {
            let all = first.into_iter().chain(second).chain(schemas);
            json!({"anyOf": all.collect::<Vec<_>>()})
        }
    };
    let schema = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["tool", "changes"],
        "properties": {
            "tool": {"type": "string", "enum": names, "description": "the tool that sets one of them"},
            "changes": {
                "type": "array", "minItems": 1, "maxItems": MOST_ITEMS, "items": change,
                "description": "for each budget the arguments of that tool, without idempotency_key and dry_run",
            },
        },
    });
    schema.as_object().cloned().unwrap_or_default()
}

/// The changes, each checked as if it had been asked for itself, and the wish of
/// the caller.
pub(super) fn resolve<'c>(
    counter: &'c Counter,
    caller: &Authenticated,
    asked: Asked,
    entry: &mut Entry,
) -> Result<(Several<'c>, Wish), Stopped> {
    let refused = |refusal| Stopped::refused(Stage::Check, refusal);
    let tool = own_tool::found(caller, name(), ToolClass::Spend, &asked, entry)?;
    let mut own = asked.arguments;
    let wish = Wish::take(&mut own, &tool, true);
    entry.arguments(Arguments::unchecked(&own));
    let wish = wish.map_err(refused)?;
    let catalog = &counter.workshop.catalog;
    let several = several(catalog, &caller.in_force, tool, own, entry)?;
    let redact = &caller.in_force.tenant.redact;
    entry.arguments(several.said(redact));
    Ok((several, wish))
}

/// What arguments without a wish ask for.
pub(super) fn several<'c>(
    catalog: &'c Catalog,
    in_force: &InForce,
    tool: ToolName,
    arguments: Map<String, Value>,
    entry: &Entry,
) -> Result<Several<'c>, Stopped> {
    let refused = |refusal| Stopped::refused(Stage::Check, refusal);
    let wanted: Wanted = own_tool::read(arguments.clone()).map_err(refused)?;
    let found = catalog
        .find(&wanted.tool)
        .filter(|found| in_force.uses(found.connector.name()))
        .filter(|found| in_force.tenant.tools.permits(&found.tool.name));
    let found = found.ok_or_else(|| {
        let message = format!("`tool`: {}", unknown_tool(&wanted.tool).message);
        refused(Refusal::new(Reason::ArgumentsInvalid, message))
    })?;
    let count = wanted.changes.len();
    let mistake = if !found.tool.sets_budgets() {
        Some(format!("`{}` does not set a budget", found.tool.name))
    } else if count == 0 || count > MOST_ITEMS {
        Some(format!(
            "`changes` has {count} entries; one to {MOST_ITEMS} are made together"
        ))
    } else {
        None
    };
    if let Some(mistake) = mistake {
        return Err(refused(Refusal::new(Reason::ArgumentsInvalid, mistake)));
    }
    let mut items = Vec::new();
    for (place, change) in wanted.changes.into_iter().enumerate() {
        let item = of_batch(change).and_then(|arguments| {
            let asked = Asked {
                tool: wanted.tool.clone(),
                arguments,
            };
            check::check(catalog, in_force, asked, &mut entry.of_item())
        });
        items.push(item.map_err(|stopped| at(place, stopped))?);
    }
    Ok(Several {
        tool,
        items,
        arguments,
    })
}

/// The arguments of a change as a call of its own has them: with a key, which
/// nobody claims.
fn of_batch(mut arguments: Map<String, Value>) -> Result<Map<String, Value>, Stopped> {
    for argument in [KEY_ARGUMENT, DRY_RUN_ARGUMENT] {
        if arguments.contains_key(argument) {
            let message =
                format!("`{argument}` is that of the whole batch, and stands beside `changes`");
            let refusal = Refusal::new(Reason::ArgumentsInvalid, message);
            return Err(Stopped::refused(Stage::Check, refusal));
        }
    }
    let key = book::new_change().map_err(|refusal| Stopped::refused(Stage::Check, refusal))?;
    arguments.insert(KEY_ARGUMENT.into(), key.as_str().into());
    Ok(arguments)
}
