//! The truth: what Meta answers when nothing is switched.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::asked::Asked;
use super::faults::Faults;
use super::fields::{ACCOUNT, ACTIVITY, Node, PAGE, REPORT};
use super::insights;
use super::paging::{page, select};
use super::spoken;
use super::tokens;
use super::wire::{GraphError, Told};
use super::world::{Kind, World, bare};

/// What a POST may change here.
const WRITABLE: &[&str] = &["name", "status", "daily_budget", "lifetime_budget"];

/// The ids that one `?ids=` may hold.
const MOST_IDS: usize = 50;

/// Answers truthfully, but for faults in the content of lists.
pub(super) fn tell(world: &mut World, faults: &Faults, asked: &Asked) -> Told {
    answer(world, faults, asked).map_or_else(Told::Error, Told::Json)
}

fn answer(world: &mut World, faults: &Faults, asked: &Asked) -> Result<Value, GraphError> {
    let seen = tokens::authenticate(world, faults, asked)?;
    let segments = asked.segments();
    match (asked.method.as_str(), segments.get(1..).unwrap_or_default()) {
        ("GET", ["me", "adaccounts"]) => page(faults, asked, &world.accounts(&seen), &ACCOUNT),
        ("GET", ["debug_token"]) => tokens::inspect(world, faults, asked),
        // `?ids=` asks for several nodes at once, whoever they belong to.
        ("GET", []) => several(world, asked, &seen),
        ("GET", [id]) => {
            let mut row = node(world, asked, id, &seen)?;
            spoken::one(&mut row, &faults.texts);
            Ok(row)
        }
        ("GET", [id, "insights"]) => insights::tell(world, faults, asked, id, &seen),
        ("POST", [id, "insights"]) => insights::start(world, faults, asked, id, &seen),
        ("GET", [account, "activities"]) => {
            visible(account, &seen)?;
            let (since, until) = (asked.parameter("since"), asked.parameter("until"));
            page(
                faults,
                asked,
                &world.activities(account, since, until),
                &ACTIVITY,
            )
        }
        ("GET", [id, edge]) => edge_rows(world, faults, asked, (id, edge), &seen),
        ("POST", [id]) => change(world, asked, id, &seen),
        _ => Err(unknown_path(asked)),
    }
}

fn unknown_path(asked: &Asked) -> GraphError {
    let message = format!("Unknown path components: {}", asked.path());
    GraphError::new(2500, None, &message)
}

/// One node by its id: an account, an object of one, a page, a report.
fn node(
    world: &World,
    asked: &Asked,
    id: &str,
    seen: &BTreeSet<String>,
) -> Result<Value, GraphError> {
    let (row, node) = found(world, id, seen).ok_or_else(|| GraphError::no_such_object(id))?;
    select(&row, asked, node).map(Value::Object)
}

fn found(
    world: &World,
    id: &str,
    seen: &BTreeSet<String>,
) -> Option<(Map<String, Value>, &'static Node)> {
    if id.starts_with("act_") {
        let mut accounts = world.accounts(seen).into_iter();
        return Some((
            accounts.find(|row| row.get("id") == Some(&json!(id)))?,
            &ACCOUNT,
        ));
    }
    if let Some(object) = world.object(id, seen) {
        return Some((object.row.clone(), object.kind.node()));
    }
    if let Some(report) = world.report(id, seen) {
        return Some((report.row(), &REPORT));
    }
    let page = json!({"id": id, "name": "A page", "category": "Shop"});
    let page = page.as_object().cloned()?;
    (id == super::PAGE_ID).then_some((page, &PAGE))
}

fn several(world: &World, asked: &Asked, seen: &BTreeSet<String>) -> Result<Value, GraphError> {
    let ids = asked.parameter("ids").ok_or_else(|| unknown_path(asked))?;
    let nodes = ids
        .split(',')
        .take(MOST_IDS)
        .map(|id| Ok((id.to_owned(), node(world, asked, id, seen)?)));
    Ok(Value::Object(nodes.collect::<Result<_, GraphError>>()?))
}

/// The campaigns, ad sets or ads below an account, a campaign or an ad set.
fn edge_rows(
    world: &World,
    faults: &Faults,
    asked: &Asked,
    (parent, edge): (&str, &str),
    seen: &BTreeSet<String>,
) -> Result<Value, GraphError> {
    let kind = match edge {
        "campaigns" => Kind::Campaign,
        "adsets" => Kind::AdSet,
        "ads" => Kind::Ad,
        _ => return Err(unknown_path(asked)),
    };
    if parent.starts_with("act_") {
        visible(parent, seen)?;
    } else {
        let above = world
            .object(parent, seen)
            .ok_or_else(|| GraphError::no_such_object(parent))?;
        if !above.kind.is_above(kind) {
            let message = format!(
                "(#100) Tried accessing nonexisting field ({edge}) on node type ({})",
                above.kind.node().name
            );
            return Err(GraphError::new(100, None, &message));
        }
    }
    let states = states(asked)?;
    let mut rows = world.below(parent, kind, states.as_deref());
    if faults.foreign_row {
        let others = world.below(&another(parent, seen), kind, None);
        rows.splice(1..1, others.into_iter().take(1));
    }
    page(faults, asked, &rows, kind.node())
}

pub(super) fn visible(account: &str, seen: &BTreeSet<String>) -> Result<(), GraphError> {
    if seen.contains(account) {
        Ok(())
    } else {
        Err(GraphError::no_such_object(account))
    }
}

/// An account that the same token sees and that has nothing to do with `id`.
pub(super) fn another(id: &str, seen: &BTreeSet<String>) -> String {
    seen.iter()
        .rfind(|other| !id.contains(bare(other)))
        .cloned()
        .unwrap_or_default()
}

fn states(asked: &Asked) -> Result<Option<Vec<String>>, GraphError> {
    let Some(text) = asked.parameter("effective_status") else {
        return Ok(None);
    };
    let wrong = |_| GraphError::new(100, None, "(#100) Param effective_status must be an array");
    serde_json::from_str(text).map(Some).map_err(wrong)
}

fn change(
    world: &mut World,
    asked: &Asked,
    id: &str,
    seen: &BTreeSet<String>,
) -> Result<Value, GraphError> {
    let row = world
        .object_mut(id, seen)
        .ok_or_else(|| GraphError::no_such_object(id))?;
    for (name, value) in asked
        .parameters
        .iter()
        .filter(|(name, _)| WRITABLE.contains(&name.as_str()))
    {
        row.insert(name.clone(), json!(value));
        if name == "status" {
            row.insert("effective_status".into(), json!(value));
        }
    }
    Ok(json!({"success": true}))
}
