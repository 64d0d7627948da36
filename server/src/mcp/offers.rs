//! The tools as clients see them, and the digest by which a changed word in
//! one of them is noticed.

use std::sync::Arc;

use rmcp::model::{Tool, ToolAnnotations};
use serde_json::{Map, Value};
use tenantry_core::access::ToolClass;
use tenantry_core::answer::{change_schema, output_schema};
use tenantry_core::digest::Digest;
use tenantry_core::name::{ConnectorName, ToolName};

use crate::catalog::{Catalog, Found, add_wish};
use crate::pipeline::{describe, get_change, set_budgets, undo};

/// One tool as clients see it, with what decides who sees it.
pub(super) struct Offer {
    pub(super) name: ToolName,
    /// Whose tool it is; nothing for the server's own.
    pub(super) connector: Option<ConnectorName>,
    /// Whoever may use a tool of one of these classes sees it.
    pub(super) classes: Vec<ToolClass>,
    pub(super) tool: Tool,
}

/// Every tool, by name.
pub(super) fn offers(catalog: &Catalog) -> Vec<Offer> {
    let offer = |found: Found<'_>| Offer {
        name: found.tool.name.clone(),
        connector: Some(found.connector.name().clone()),
        classes: vec![found.tool.class],
        tool: tool(&found),
    };
    let limits = describe::name().map(describe_limits);
    let change = get_change::name().map(change);
    let undo = undo::name().map(undo_change);
    let budgets = set_budgets::name().map(|name| set_several(name, catalog));
    let own = limits.into_iter().chain(change).chain(undo).chain(budgets);
    let mut all: Vec<_> = catalog.tools().map(offer).chain(own).collect();
    all.sort_by(|one, other| one.name.cmp(&other.name));
    all
}

fn describe_limits(name: ToolName) -> Offer {
    let tool = Tool::new(
        describe::TOOL,
        describe::DESCRIPTION,
        describe::input_schema(),
    );
    let output = output_schema(&describe::data_schema());
    own(name, tool.with_title(describe::TITLE), output)
}

fn change(name: ToolName) -> Offer {
    let tool = Tool::new(
        get_change::TOOL,
        get_change::DESCRIPTION,
        get_change::input_schema(),
    );
    own(name, tool.with_title(get_change::TITLE), change_schema())
}

/// Whatever class the change is of that it makes, it is asked for with the keys
/// of changes.
fn undo_change(name: ToolName) -> Offer {
    let classes = ToolClass::ALL.into_iter();
    let classes = classes.filter(|class| *class != ToolClass::Read);
    let tool = |input| Tool::new(undo::TOOL, undo::DESCRIPTION, input).with_title(undo::TITLE);
    own_change(name, classes.collect(), undo::input_schema(), tool)
}

fn set_several(name: ToolName, catalog: &Catalog) -> Offer {
    let setting = catalog.tools().filter(|found| found.tool.sets_budgets());
    let classes = setting.map(|found| found.tool.class).collect();
    let tool = |input| {
        Tool::new(set_budgets::TOOL, set_budgets::DESCRIPTION, input).with_title(set_budgets::TITLE)
    };
    own_change(name, classes, set_budgets::input_schema(catalog), tool)
}

/// A tool of the server itself that makes changes.
fn own_change(
    name: ToolName,
    classes: Vec<ToolClass>,
    mut input: Map<String, Value>,
    tool: impl FnOnce(Map<String, Value>) -> Tool,
) -> Offer {
    let annotations = ToolAnnotations::new()
        .read_only(false)
        .destructive(true)
        .idempotent(true)
        .open_world(true);
    add_wish(&mut input, true);
    Offer {
        name,
        connector: None,
        classes,
        tool: tool(input)
            .with_annotations(annotations)
            .with_raw_output_schema(Arc::new(change_schema())),
    }
}

/// A tool of the server itself: a question, to nobody else.
fn own(name: ToolName, tool: Tool, output: Map<String, Value>) -> Offer {
    let annotations = ToolAnnotations::new()
        .read_only(true)
        .destructive(false)
        .idempotent(true)
        .open_world(false);
    Offer {
        name,
        connector: None,
        classes: vec![ToolClass::Read],
        tool: tool
            .with_annotations(annotations)
            .with_raw_output_schema(Arc::new(output)),
    }
}

/// What identifies the tools, all of them: the digest of their list with the
/// keys of every object in order. Whoever approved a list of tools can tell by
/// it whether a word has changed since.
pub fn digest(catalog: &Catalog) -> Digest {
    let tools: Vec<Tool> = offers(catalog)
        .into_iter()
        .map(|offer| offer.tool)
        .collect();
    canonical(&tools)
}

/// Values keep their keys sorted; tools are JSON by nature.
fn canonical(tools: &[Tool]) -> Digest {
    let value = serde_json::to_value(tools).unwrap_or_default();
    Digest::of(value.to_string().as_bytes())
}

fn tool(found: &Found<'_>) -> Tool {
    let tool = found.tool;
    let output = if tool.makes_changes() {
        change_schema()
    } else {
        output_schema(&tool.output_schema)
    };
    let hints = tool.annotations;
    let annotations = ToolAnnotations::new()
        .read_only(hints.read_only)
        .destructive(hints.destructive)
        .idempotent(hints.idempotent)
        .open_world(hints.open_world);
    Tool::new(
        tool.name.to_string(),
        tool.description.clone(),
        found.input_schema.clone(),
    )
    .with_title(tool.title.clone())
    .with_annotations(annotations)
    .with_raw_output_schema(Arc::new(output))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// A changed tool is a change of what agents are told, and of what was
    /// approved: it shows in the diff, and is accepted on purpose.
    #[test]
    fn no_tool_changes_unnoticed() {
        let catalog = Catalog::load(None).unwrap();
        let lines = offers(&catalog).into_iter().map(|offer| {
            let name = offer.name.to_string();
            format!("{name} {}\n", canonical(&[offer.tool]))
        });
        let text = format!("{}all {}", lines.collect::<String>(), digest(&catalog));
        insta::with_settings!({
            snapshot_path => Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata"),
            prepend_module_to_snapshot => false,
            omit_expression => true,
        }, {
            insta::assert_snapshot!("tools", text);
        });
    }
}
