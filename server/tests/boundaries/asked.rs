//! The change of a line, as the call of a tool; or why there is none.

use serde_json::{Value, json};
use tenantry_fakes::meta::Kind;

use crate::line::{Case, id, micros};
use crate::tree::{Budget, CENT, Node};

/// What Meta takes at least, by the day.
const LEAST: i64 = 100 * CENT;

/// The key of idempotency of every change: each has a ledger of its own.
const KEY: &str = "0d9f4f7e-5a0b-4c1e-9d43-6a6f8c000001";

/// A call.
pub struct Asked {
    /// What it is about.
    pub tree: Node,
    /// Of which tool.
    pub tool: &'static str,
    /// Its arguments.
    pub arguments: Value,
    /// With which API key.
    pub key: &'static str,
}

/// The call of a line. What it cannot say stands in the error, in a few words.
pub fn of(case: &Case) -> Result<Asked, &'static str> {
    let mut tree = Node::read(case.on.as_deref().unwrap_or("c:100[a]"));
    let key = key(case)?;
    is_reachable(case)?;
    let words: Vec<&str> = case.change.splitn(3, ' ').collect();
    let (verb, object) = (words[0], words[1]);
    let rest = words.get(2).copied().unwrap_or_default();
    let may_round = !case.expect.starts_with("permitted");
    let (tool, mut arguments) = match verb {
        "set" => (
            "meta_set_budget",
            set(case, &tree, object, rest, may_round)?,
        ),
        "activate" => ("meta_activate", named(&tree, object)?),
        "deactivate" => ("meta_pause", named(&tree, object)?),
        "bid" => ("meta_set_bid", bid(case, &mut tree, rest, may_round)?),
        "records" if object == "1" => ("meta_rename", renamed(&tree)),
        _ => return Err("no tool yet"),
    };
    if let Some(flaw) = tree.flaw() {
        return Err(flaw);
    }
    arguments["idempotency_key"] = json!(KEY);
    Ok(Asked {
        tree,
        tool,
        arguments,
        key,
    })
}

/// Who asks. What else is said of the caller is so by the tool, or never.
fn key(case: &Case) -> Result<&'static str, &'static str> {
    let key = case.by.get("key").map_or("bot", String::as_str);
    let known = ["bot", "boss"].into_iter().find(|known| *known == key);
    let others = case.by.keys().any(|field| field != "key");
    known
        .filter(|_| !others)
        .ok_or("another tool, class or vendor")
}

/// What no server can be brought to.
fn is_reachable(case: &Case) -> Result<(), &'static str> {
    if !case.agreed.is_empty() {
        return Err("people who agreed");
    }
    if case.undoes.is_some() {
        return Err("a change that is taken back");
    }
    if !case.facts.overspend.is_empty() {
        return Err("vendors that overspend");
    }
    if !case.facts.must_hold.is_empty() {
        return Err("live budgets of other accounts");
    }
    let exposure = case.facts.exposure.as_deref().unwrap_or_default();
    if exposure.starts_with("in:") {
        return Err("a reading of the future");
    }
    let own = |charge: &String| {
        let is_open = charge.starts_with("open") && charge.contains("path=c");
        let is_elsewhere = charge.contains("account=") || charge.contains("connector=");
        is_open && !is_elsewhere && !case.change.starts_with("deactivate")
    };
    if case.charges.iter().any(own) {
        return Err("another change of the root under way");
    }
    Ok(())
}

fn named(tree: &Node, object: &str) -> Result<Value, &'static str> {
    let (_, kind) = tree.find(object).ok_or("an object that is not drawn")?;
    let argument = match kind {
        Kind::Campaign => "campaign_id",
        Kind::AdSet => "ad_set_id",
        Kind::Ad => "ad_id",
    };
    Ok(json!({argument: id(object)}))
}

/// A name is the one record that changes.
fn renamed(tree: &Node) -> Value {
    json!({"campaign_id": id(&tree.name), "name": "Another"})
}

fn set(
    case: &Case,
    tree: &Node,
    object: &str,
    rest: &str,
    may_round: bool,
) -> Result<Value, &'static str> {
    let after = Budget::read(rest);
    let found = tree.find(object).and_then(|(node, _)| node.budget);
    let is_same = |before: &Budget| before.is_lifetime == after.is_lifetime && before.micros > 0;
    let before = found.filter(is_same);
    let before = before.ok_or("a budget where there is none of its kind")?;
    let micros = in_cents(before.micros, after.micros, may_round)?;
    if micros < LEAST {
        return Err("less than Meta takes");
    }
    let mut arguments = named(tree, object)?;
    let field = if after.is_lifetime {
        "lifetime_budget"
    } else {
        "daily_budget"
    };
    arguments[field] = amount(case, micros);
    Ok(arguments)
}

/// Bids stand on ad sets; the tables name what stands above.
fn bid(case: &Case, tree: &mut Node, rest: &str, may_round: bool) -> Result<Value, &'static str> {
    let (before, after) = rest.split_once(' ').unwrap_or_default();
    if [before, after]
        .iter()
        .any(|bid| *bid == "none" || *bid == "0")
    {
        return Err("a bid without a cap");
    }
    let (before, after) = (micros(before), micros(after));
    let cents = in_cents(before, after, may_round)?;
    let (name, bid) = tree.first_ad_set().ok_or("no ad set")?;
    *bid = Some(before);
    Ok(json!({"ad_set_id": id(name), "bid": amount(case, cents)}))
}

/// An amount in whole cents. What is too much by a millionth is so by a cent,
/// and what just fits would not.
fn in_cents(before: i64, after: i64, may_round: bool) -> Result<i64, &'static str> {
    if after % CENT == 0 {
        return Ok(after);
    }
    if !may_round {
        return Err("parts of a cent");
    }
    let down = after - after % CENT;
    Ok(if after > before { down + CENT } else { down })
}

fn amount(case: &Case, micros: i64) -> Value {
    let cents = micros / CENT;
    let text = format!("{}.{:02}", cents / 100, cents % 100);
    json!({"amount": text, "currency": case.currency()})
}
