//! The truth: what Meta answers when nothing is switched.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::asked::Asked;
use super::creates;
use super::faults::Faults;
use super::fields::{ACCOUNT, ACTIVITY, AD, CREATIVE, Node, PAGE, PERIOD, REPORT};
use super::filtering;
use super::insights;
use super::paging::{Part, View};
use super::schedules;
use super::spoken;
use super::tokens;
use super::wire::{GraphError, Told};
use super::world::{Kind, World};
use super::writes::{self, Call};

/// The ids that one `?ids=` may hold.
const MOST_IDS: usize = 50;

/// Answers truthfully, but for faults in the content of lists.
pub(super) fn tell(world: &mut World, faults: &Faults, asked: &Asked, request: &str) -> Told {
    answer(world, faults, asked, request).map_or_else(Told::Error, Told::Json)
}

fn answer(
    world: &mut World,
    faults: &Faults,
    asked: &Asked,
    request: &str,
) -> Result<Value, GraphError> {
    let seen = tokens::authenticate(world, faults, asked)?;
    let call = Call {
        asked,
        seen: &seen,
        request,
    };
    let segments = asked.segments();
    match (asked.method.as_str(), segments.get(1..).unwrap_or_default()) {
        ("GET", path) => read(&View::new(world, faults, asked, &seen), asked, path),
        ("POST", [id, "insights"]) => insights::start(world, faults, asked, id, &seen),
        ("POST", [id, "budget_schedules"]) => schedules::add(world, &call, id),
        ("POST", [account, edge]) if account.starts_with("act_") => {
            let kind = kind_behind(edge).ok_or_else(|| unknown_path(asked))?;
            creates::create(world, &call, account, kind)
        }
        ("POST", [id]) => writes::update(world, &call, id),
        ("DELETE", [id]) => writes::delete(world, &call, id),
        _ => Err(unknown_path(asked)),
    }
}

fn kind_behind(edge: &str) -> Option<Kind> {
    match edge {
        "campaigns" => Some(Kind::Campaign),
        "adsets" => Some(Kind::AdSet),
        "ads" => Some(Kind::Ad),
        _ => None,
    }
}

fn read(view: &View<'_>, asked: &Asked, path: &[&str]) -> Result<Value, GraphError> {
    let part = Part::of(asked);
    match path {
        ["me", "adaccounts"] => view.page(&part, &view.world.accounts(view.seen), &ACCOUNT),
        ["debug_token"] => tokens::inspect(view.world, view.faults, asked),
        // `?ids=` asks for several nodes at once, whoever they belong to.
        [] => several(view, asked),
        [id] => {
            let mut row = node(view, asked, id)?;
            spoken::one(&mut row, &view.faults.texts);
            Ok(row)
        }
        [id, "insights"] => insights::tell(view, asked, id),
        [account, "activities"] => {
            visible(account, view.seen)?;
            let (since, until) = (asked.parameter("since"), asked.parameter("until"));
            let rows = view.world.activities(account, since, until);
            view.page(&part, &rows, &ACTIVITY)
        }
        [id, "budget_schedules"] => {
            let found = view.world.object(id, view.seen);
            let found = found.ok_or_else(|| GraphError::no_such_object(id))?;
            if found.kind == Kind::Ad {
                return Err(GraphError::no_such_field("budget_schedules", AD.name));
            }
            view.page(&part, &view.world.periods_of(id), &PERIOD)
        }
        [id, edge] => edge_rows(view, asked, id, edge),
        _ => Err(unknown_path(asked)),
    }
}

fn unknown_path(asked: &Asked) -> GraphError {
    let message = format!("Unknown path components: {}", asked.path());
    GraphError::new(2500, None, &message)
}

/// One node by its id: an account, an object of one, a page, a report.
fn node(view: &View<'_>, asked: &Asked, id: &str) -> Result<Value, GraphError> {
    let found = found(view.world, id, view.seen);
    let (row, node) = found.ok_or_else(|| GraphError::no_such_object(id))?;
    let fields = asked.parameter("fields").unwrap_or_default();
    view.select(&row, fields, node).map(Value::Object)
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
    if let Some(creative) = world.creative(id, seen) {
        return Some((creative, &CREATIVE));
    }
    if let Some(report) = world.report(id, seen) {
        return Some((report.row(), &REPORT));
    }
    let page = json!({"id": id, "name": "A page", "category": "Shop"});
    let page = page.as_object().cloned()?;
    (id == super::PAGE_ID).then_some((page, &PAGE))
}

fn several(view: &View<'_>, asked: &Asked) -> Result<Value, GraphError> {
    let ids = asked.parameter("ids").ok_or_else(|| unknown_path(asked))?;
    let nodes = ids
        .split(',')
        .take(MOST_IDS)
        .map(|id| Ok((id.to_owned(), node(view, asked, id)?)));
    Ok(Value::Object(nodes.collect::<Result<_, GraphError>>()?))
}

/// The campaigns, ad sets or ads below an account, a campaign or an ad set.
fn edge_rows(
    view: &View<'_>,
    asked: &Asked,
    parent: &str,
    edge: &str,
) -> Result<Value, GraphError> {
    let kind = kind_behind(edge).ok_or_else(|| unknown_path(asked))?;
    if parent.starts_with("act_") {
        visible(parent, view.seen)?;
    } else {
        let above = view.world.object(parent, view.seen);
        let above = above.ok_or_else(|| GraphError::no_such_object(parent))?;
        if !above.kind.is_above(kind) {
            return Err(GraphError::no_such_field(edge, above.kind.node().name));
        }
    }
    let mut rows = view.below(parent, kind, asked.parameter("effective_status"))?;
    filtering::keep(&mut rows, asked.parameter("filtering"))?;
    view.page(&Part::of(asked), &rows, kind.node())
}

pub(super) fn visible(account: &str, seen: &BTreeSet<String>) -> Result<(), GraphError> {
    if seen.contains(account) {
        Ok(())
    } else {
        Err(GraphError::no_such_object(account))
    }
}
