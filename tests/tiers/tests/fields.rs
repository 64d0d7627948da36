//! Every field of the custom resources, tried without an API server: its
//! schema, its CEL rules and what our own types read. The apiserver tier tries
//! the same table on a real one.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails there"
)]

#[path = "fields/table.rs"]
mod table;

use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tenantry_api::judge::Judge;
use tenantry_api::mcp_api_key::McpApiKey;
use tenantry_api::mcp_approval::McpApproval;
use tenantry_api::mcp_freeze::McpFreeze;
use tenantry_api::mcp_tenant::McpTenant;
use tenantry_api::safety_policy::SafetyPolicy;

use table::{Case, cases};

/// Whether our own type reads a document of that kind.
fn is_read(kind: &str, document: &Value) -> bool {
    match kind {
        "McpTenant" => reads::<McpTenant>(document),
        "SafetyPolicy" => reads::<SafetyPolicy>(document),
        "McpApiKey" => reads::<McpApiKey>(document),
        "McpFreeze" => reads::<McpFreeze>(document),
        "McpApproval" => reads::<McpApproval>(document),
        other => panic!("the kind {other} has no type"),
    }
}

/// The words of the rules that refuse the document of a case; `Ok` if nothing does.
fn verdict(judge: &Judge, case: &Case) -> Result<(), String> {
    let document = &case.document;
    if !judge.structure(document).is_empty() || !is_read(&case.kind, document) {
        return Err(String::new());
    }
    let refusals = judge.rules(document);
    if refusals.is_empty() {
        return Ok(());
    }
    let told = refusals
        .iter()
        .map(|one| format!("{}: {}", one.path, one.message));
    Err(told.collect::<Vec<_>>().join("\n"))
}

fn reads<K: DeserializeOwned>(document: &Value) -> bool {
    K::deserialize(document).is_ok()
}

#[test]
fn each_field_accepts_and_refuses_what_the_table_says() {
    let judges = Judge::all();
    let mut wrong = vec![];
    for case in cases() {
        let verdict = verdict(&judges[&case.kind], &case);
        let is_right = match (&case.says, &verdict) {
            (None, Ok(())) => true,
            (Some(says), Err(told)) => told.is_empty() || told.contains(says),
            (Some(_), Ok(())) | (None, Err(_)) => false,
        };
        if !is_right {
            wrong.push(format!("{}: {verdict:?}, not {:?}", case.name(), case.says));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_field_is_without_three_documents_that_pass_and_three_that_do_not() {
    let cases = cases();
    let mut lacking = vec![];
    let mut count = 0;
    for (kind, judge) in Judge::all() {
        for (field, schema) in fields(judge.schema()) {
            count += 1;
            let (accepted, refused) = tried(&cases, &kind, &field);
            if accepted < legal(&schema).min(3) || refused < 3 {
                lacking.push(format!(
                    "{kind} {field}: {accepted} accepted, {refused} refused"
                ));
            }
        }
    }
    assert!(lacking.is_empty(), "{}", lacking.join("\n"));
    println!("{} documents for {count} fields", cases.len());
}

/// How many values of a field the table accepts, in whatever document, and how
/// many documents it refuses for the field or for what is in it.
fn tried(cases: &[Case], kind: &str, field: &str) -> (usize, usize) {
    let of_kind = cases.iter().filter(|case| case.kind == kind);
    let pointer = format!("/spec/{field}");
    let accepted: BTreeSet<_> = of_kind
        .clone()
        .filter(|case| case.says.is_none())
        .map(|case| case.document.pointer(&pointer).map(ToString::to_string))
        .collect();
    let is_inside =
        |case: &&Case| case.field == field || case.field.starts_with(&format!("{field}/"));
    let refused = of_kind.filter(is_inside).filter(|case| case.says.is_some());
    (accepted.len(), refused.count())
}

/// How many values there are at all, where they can be counted.
fn legal(schema: &Value) -> usize {
    match schema["enum"].as_array() {
        Some(words) => words.len(),
        None if schema["type"] == "boolean" => 2,
        None => usize::MAX,
    }
}

/// The fields of a schema below `spec`, each with its own schema; an item of a
/// list is `0`.
fn fields(schema: &Value) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    walk(&schema["properties"]["spec"], "", &mut found);
    found
}

fn walk(node: &Value, path: &str, found: &mut BTreeMap<String, Value>) {
    if !path.is_empty() {
        found.insert(path.into(), node.clone());
    }
    let (node, path) = if node["items"].is_object() {
        (&node["items"], format!("{path}/0"))
    } else {
        (node, path.to_owned())
    };
    let nothing = Map::new();
    for (name, child) in node["properties"].as_object().unwrap_or(&nothing) {
        let below = format!("{path}/{name}");
        walk(child, below.trim_start_matches('/'), found);
    }
}
