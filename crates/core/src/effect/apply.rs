//! A change carried out on a snapshot, and what cannot be.

use std::collections::BTreeSet;

use crate::effect::{Change, Primitive};
use crate::name::{Currency, ObjectId};
use crate::spend_root::{Budget, Node, SpendRoot, Switch};

/// Objects that one copy may make.
pub const MOST_COPIES: u32 = 100;

/// Why a change cannot be made. None of these is ever converted into a change
/// that could.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Impossible {
    /// The object is not in the spend root.
    #[error("`{0}` is not part of what was read from the vendor")]
    Unknown(ObjectId),
    /// The object is archived or deleted.
    #[error("`{0}` is archived or deleted")]
    Gone(ObjectId),
    /// The budget is held on another level.
    #[error("`{object}` has no budget of its own; its budget is that of `{holder}`")]
    Level {
        /// The object that was named.
        object: ObjectId,
        /// The one that holds the budget.
        holder: ObjectId,
    },
    /// A daily budget for an object with a lifetime budget, or the other way.
    #[error("`{object}` has a {present} budget, and that cannot be changed into a {asked} one")]
    Kind {
        /// The object.
        object: ObjectId,
        /// What it has.
        present: &'static str,
        /// What was asked for.
        asked: &'static str,
    },
    /// The vendor raises the budget by a schedule of its own.
    #[error("`{0}` has a budget schedule, which changes its budget by itself")]
    Scheduled(ObjectId),
    /// An object of that id exists already.
    #[error("`{0}` exists already")]
    Exists(ObjectId),
    /// Amounts below zero, none or too many copies, a currency that is not the root's.
    #[error("{0}")]
    Meaningless(&'static str),
    /// A sum is larger than any amount.
    #[error("the amounts add up to more than can be counted")]
    Range,
}

/// The root as it is after `change`.
pub(super) fn apply(
    root: Option<&SpendRoot>,
    currency: &Currency,
    change: &Change,
) -> Result<SpendRoot, Impossible> {
    let Some(root) = root else {
        return match change {
            Change::Create { under: None, node } => new_root(currency, (**node).clone()),
            _ => Err(Impossible::Meaningless("there is nothing to change")),
        };
    };
    let is_stop = change.primitive() == Primitive::Deactivate;
    if root.currency != *currency && !is_stop {
        let message = "the vendor's amounts are in another currency than the account's";
        return Err(Impossible::Meaningless(message));
    }
    let after = match change {
        Change::Copy {
            object,
            times,
            switch,
        } => copy(root, object, *times, *switch)?,
        other => in_place(root.clone(), other)?,
    };
    if !is_stop {
        check_distinct(&after.top)?;
    }
    Ok(after)
}

fn in_place(mut after: SpendRoot, change: &Change) -> Result<SpendRoot, Impossible> {
    match change {
        Change::SetBudget { object, budget } => set_budget(&mut after, object, *budget)?,
        Change::SetSchedule {
            object,
            starts_at,
            ends_at,
        } => {
            let node = changeable(&mut after, object)?;
            node.starts_at = starts_at.unwrap_or(node.starts_at);
            node.ends_at = ends_at.unwrap_or(node.ends_at);
            if node
                .starts_at
                .zip(node.ends_at)
                .is_some_and(|(start, end)| start >= end)
            {
                return Err(Impossible::Meaningless("it would end before it begins"));
            }
            refuse_schedules(&after, object)?;
        }
        Change::Activate { object } => {
            changeable(&mut after, object)?.switch = Switch::On;
            refuse_schedules(&after, object)?;
        }
        Change::Deactivate { object } => changeable(&mut after, object)?.switch = Switch::Off,
        Change::Delete { object } => changeable(&mut after, object)?.switch = Switch::Gone,
        Change::SetBid { object, bid } => {
            if bid.after_micros.is_some_and(|amount| amount < 0) {
                return Err(Impossible::Meaningless("a bid is not below zero"));
            }
            changeable(&mut after, object)?;
        }
        Change::Create { under, node } => {
            let under = under.as_ref();
            let under = under.ok_or(Impossible::Meaningless("a new root has nothing above it"))?;
            append(&mut after, under, (**node).clone())?;
        }
        // Copies of a root stand beside it, which is no change in place.
        Change::Copy { .. } => return Err(Impossible::Meaningless("copies are made elsewhere")),
    }
    Ok(after)
}

fn set_budget(root: &mut SpendRoot, object: &ObjectId, budget: Budget) -> Result<(), Impossible> {
    if budget.amount_micros() < 0 {
        return Err(Impossible::Meaningless("a budget is not below zero"));
    }
    refuse_schedules(root, object)?;
    let path = root
        .path(object)
        .ok_or_else(|| Impossible::Unknown(object.clone()))?;
    let node = path.last().copied();
    let has_own = node.is_some_and(|node| node.budget.is_some());
    let above = path.iter().copied().filter(|node| node.id != *object);
    let below = node.into_iter().flat_map(Node::family);
    let other = |node: &&Node| node.budget.is_some() && node.id != *object;
    if let Some(holder) = above.chain(below).find(other).filter(|_| !has_own) {
        return Err(Impossible::Level {
            object: object.clone(),
            holder: holder.id.clone(),
        });
    }
    let node = changeable(root, object)?;
    let next = match (node.budget, budget) {
        (Some(Budget::Lifetime { spent_micros, .. }), Budget::Lifetime { amount_micros, .. }) => {
            Budget::Lifetime {
                amount_micros,
                spent_micros,
            }
        }
        (Some(present), asked) if !present.is_like(asked) => {
            return Err(Impossible::Kind {
                object: object.clone(),
                present: word(present),
                asked: word(asked),
            });
        }
        // What has no budget yet has spent nothing of it, whoever says so.
        (_, Budget::Lifetime { amount_micros, .. }) => Budget::Lifetime {
            amount_micros,
            spent_micros: 0,
        },
        (_, daily) => daily,
    };
    node.budget = Some(next);
    Ok(())
}

fn word(budget: Budget) -> &'static str {
    match budget {
        Budget::Daily { .. } => "daily",
        Budget::Lifetime { .. } => "lifetime",
    }
}

/// Nothing is computed over a budget that rises by itself: neither that of the
/// object nor one above or below it.
fn refuse_schedules(root: &SpendRoot, object: &ObjectId) -> Result<(), Impossible> {
    let path = root.path(object).unwrap_or_default();
    let below = path.last().into_iter().flat_map(|node| node.family());
    let mut all = path.iter().copied().chain(below);
    match all.find(|node| node.has_budget_schedule) {
        Some(node) => Err(Impossible::Scheduled(node.id.clone())),
        None => Ok(()),
    }
}

fn changeable<'r>(root: &'r mut SpendRoot, object: &ObjectId) -> Result<&'r mut Node, Impossible> {
    let path = root.path(object).unwrap_or_default();
    if let Some(gone) = path.iter().find(|node| node.switch == Switch::Gone) {
        return Err(Impossible::Gone(gone.id.clone()));
    }
    root.node_mut(object)
        .ok_or_else(|| Impossible::Unknown(object.clone()))
}

fn append(root: &mut SpendRoot, under: &ObjectId, new: Node) -> Result<(), Impossible> {
    new.family().try_for_each(check_new)?;
    refuse_schedules(root, under)?;
    let brings_budget = new.family().find(|node| node.budget.is_some());
    let path = root.path(under).unwrap_or_default();
    let holder = path.iter().find(|node| node.budget.is_some());
    if let (Some(new), Some(holder)) = (brings_budget, holder) {
        return Err(Impossible::Level {
            object: new.id.clone(),
            holder: holder.id.clone(),
        });
    }
    let parent = changeable(root, under)?;
    parent.children.get_or_insert_default().push(new);
    Ok(())
}

/// Two objects of one id would count as one.
fn check_distinct(top: &Node) -> Result<(), Impossible> {
    let mut seen = BTreeSet::new();
    match top.family().find(|node| !seen.insert(&node.id)) {
        Some(twin) => Err(Impossible::Exists(twin.id.clone())),
        None => Ok(()),
    }
}

fn check_new(node: &Node) -> Result<(), Impossible> {
    if node.budget.is_some_and(|budget| budget.amount_micros() < 0) {
        return Err(Impossible::Meaningless("a budget is not below zero"));
    }
    if node.has_budget_schedule {
        return Err(Impossible::Scheduled(node.id.clone()));
    }
    if let Some(Budget::Lifetime { spent_micros, .. }) = node.budget
        && spent_micros != 0
    {
        return Err(Impossible::Meaningless("what is new has spent nothing"));
    }
    Ok(())
}

fn copy(
    root: &SpendRoot,
    object: &ObjectId,
    times: u32,
    switch: Switch,
) -> Result<SpendRoot, Impossible> {
    if times == 0 || times > MOST_COPIES {
        return Err(Impossible::Meaningless("1 to 100 copies can be made"));
    }
    refuse_schedules(root, object)?;
    let mut after = root.clone();
    let original = changeable(&mut after, object)?.clone();
    let copies = (1..=times)
        .map(|number| renamed(&original, number, switch))
        .collect::<Result<Vec<_>, _>>()?;
    let path = root.path(object).unwrap_or_default();
    match path
        .len()
        .checked_sub(2)
        .and_then(|parent| path.get(parent))
    {
        Some(parent) => {
            let parent = parent.id.clone();
            let parent = changeable(&mut after, &parent)?;
            parent.children.get_or_insert_default().extend(copies);
            Ok(after)
        }
        // Roots of their own; the original stays what it is, and is left out
        // of neither side.
        None => Ok(SpendRoot {
            currency: after.currency,
            top: holder([after.top].into_iter().chain(copies).collect())?,
        }),
    }
}

/// A copy under names that the vendor has yet to give.
fn renamed(node: &Node, number: u32, switch: Switch) -> Result<Node, Impossible> {
    let mut copy = node.clone();
    copy.switch = switch;
    rename(&mut copy, number)?;
    Ok(copy)
}

fn rename(node: &mut Node, number: u32) -> Result<(), Impossible> {
    node.id = ObjectId::parse(&format!("copy/{number}/{}", node.id))
        .map_err(|_| Impossible::Meaningless("the object's id is too long to copy it"))?;
    // What the original has spent, its copy has not.
    if let Some(Budget::Lifetime { spent_micros, .. }) = &mut node.budget {
        *spent_micros = 0;
    }
    node.children
        .iter_mut()
        .flatten()
        .try_for_each(|child| rename(child, number))
}

fn new_root(currency: &Currency, top: Node) -> Result<SpendRoot, Impossible> {
    top.family().try_for_each(check_new)?;
    check_distinct(&top)?;
    let currency = currency.clone();
    Ok(SpendRoot { currency, top })
}

const HOLDER: &str = "_";

/// What holds roots side by side, and is no object itself.
fn holder(nodes: Vec<Node>) -> Result<Node, Impossible> {
    let id = ObjectId::parse(HOLDER);
    let id = id.map_err(|_| Impossible::Meaningless("roots side by side have no name"))?;
    Ok(Node {
        children: Some(nodes),
        ..Node::bare(id, "")
    })
}

pub(super) fn is_holder(id: &ObjectId) -> bool {
    id.as_str() == HOLDER
}
