//! From the lists of an account to its spend roots. Pure.

use std::collections::{BTreeMap, BTreeSet};

use tenantry_core::name::{Currency, ObjectId};
use tenantry_core::spend_root::SpendRoot;

use super::Row;

/// An object below a root, as a list of the whole account has it.
pub(crate) struct Below {
    pub root: ObjectId,
    pub row: Row,
    /// Whether its own row says that something above it is off.
    pub is_under_off: bool,
}

/// All roots of the account; `below` goes from the level right below them to
/// the lowest one. Whose parent is not listed is left out only if its own row
/// says why: the lists hold what is on, under what is on.
pub(crate) fn assemble(
    currency: &Currency,
    tops: Vec<Row>,
    below: Vec<Vec<Below>>,
) -> Result<Vec<SpendRoot>, String> {
    let levels = below.len();
    let mut listed: BTreeSet<ObjectId> = tops.iter().map(|top| top.node.id.clone()).collect();
    if listed.len() < tops.len() {
        return Err("a root stands twice".into());
    }
    let mut families: BTreeMap<ObjectId, Vec<Vec<Row>>> = BTreeMap::new();
    for (depth, level) in below.into_iter().enumerate() {
        let level = under_listed(level, &listed)?;
        listed.extend(level.iter().map(|one| one.row.node.id.clone()));
        for Below { root, row, .. } in level {
            let family = families.entry(root).or_insert_with(|| empty(levels));
            if let Some(rows) = family.get_mut(depth) {
                rows.push(row);
            }
        }
    }
    let mut roots = Vec::new();
    for top in tops {
        let family = families.remove(&top.node.id);
        let family = family.unwrap_or_else(|| empty(levels));
        roots.push(super::assemble(currency.clone(), top, family)?.root);
    }
    match families.first_key_value() {
        Some((root, _)) => Err(format!("something stands below `{root}`, which is no root")),
        None => Ok(roots),
    }
}

/// Those whose parent is listed.
fn under_listed(level: Vec<Below>, listed: &BTreeSet<ObjectId>) -> Result<Vec<Below>, String> {
    let is_listed = |one: &Below| {
        one.row
            .parent
            .as_ref()
            .is_some_and(|id| listed.contains(id))
    };
    let (kept, rest): (Vec<_>, Vec<_>) = level.into_iter().partition(is_listed);
    match rest.iter().find(|one| !one.is_under_off) {
        Some(Below { row, .. }) => Err(format!(
            "`{}` stands below something that is on and was not listed",
            row.node.id
        )),
        None => Ok(kept),
    }
}

fn empty(levels: usize) -> Vec<Vec<Row>> {
    (0..levels).map(|_| Vec::new()).collect()
}
