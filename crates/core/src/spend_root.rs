//! A spend root as its vendor described it at one moment: what holds budgets,
//! what switches them, and which of them are live. Knows no vendor: at Meta the
//! root is the campaign, at Google the budget with every campaign on it.

#[cfg(test)]
pub(crate) mod sketch;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::name::{Currency, ObjectId};

/// A spend root, whole: whoever reads it from the vendor leaves nothing out,
/// or refuses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct SpendRoot {
    /// What every amount in it is in.
    pub currency: Currency,
    /// The root itself.
    pub top: Node,
}

/// One object of a spend root, with what stands below it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Node {
    /// The vendor's id.
    pub id: ObjectId,
    /// What it is, in the connector's word, such as `campaign`.
    pub kind: String,
    /// How it is switched, apart from what is above it.
    pub switch: Switch,
    /// When it begins to run; absent, at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<Timestamp>,
    /// When it ends; absent, never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Timestamp>,
    /// Its own budget, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// Whether the vendor raises its budget by a schedule of its own.
    #[serde(default)]
    pub has_budget_schedule: bool,
    /// What stands below it; absent for what spends by itself, such as an ad.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub children: Option<Vec<Node>>,
}

/// How an object is switched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Switch {
    /// It runs if everything above it does.
    On,
    /// It is paused.
    Off,
    /// It is archived or deleted, and does not come back.
    Gone,
}

/// A budget, in millionths of the currency's major unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all_fields = "camelCase")]
pub enum Budget {
    /// An average for each day.
    Daily {
        /// For a day.
        amount_micros: i64,
    },
    /// For the whole life of the object.
    Lifetime {
        /// For its life.
        amount_micros: i64,
        /// What of it is spent already.
        spent_micros: i64,
    },
}

impl Budget {
    /// The amount, whatever it is for.
    pub fn amount_micros(self) -> i64 {
        match self {
            Self::Daily { amount_micros } | Self::Lifetime { amount_micros, .. } => amount_micros,
        }
    }

    /// Whether both are for a day, or both for a life.
    pub fn is_like(self, other: Self) -> bool {
        matches!(
            (self, other),
            (Self::Daily { .. }, Self::Daily { .. })
                | (Self::Lifetime { .. }, Self::Lifetime { .. })
        )
    }
}

/// A budget in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed<'r> {
    /// The budget.
    pub budget: Budget,
    /// Whether money can be spent from it: it and all above it run, and so
    /// does something at the very bottom below it.
    pub is_live: bool,
    /// From when it is spent; absent, at once.
    pub starts_at: Option<Timestamp>,
    /// Until when; absent, without an end.
    pub ends_at: Option<Timestamp>,
    /// The object that holds it.
    pub node: &'r Node,
}

impl SpendRoot {
    /// Every budget of the root at `now`, by the object that holds it.
    pub fn budgets(&self, now: Timestamp) -> BTreeMap<&ObjectId, Placed<'_>> {
        let mut found = BTreeMap::new();
        let above = Above {
            runs: true,
            starts_at: None,
            ends_at: None,
        };
        collect(&self.top, above, now, &mut found);
        found
    }

    /// The object of that id, and all that stand above it, the root first.
    pub fn path(&self, id: &ObjectId) -> Option<Vec<&Node>> {
        let mut path = Vec::new();
        descend(&self.top, id, &mut path).then_some(path)
    }

    /// The object of that id.
    pub fn node(&self, id: &ObjectId) -> Option<&Node> {
        self.path(id)?.pop()
    }

    /// Whether the object of that id and everything above it run at `now`.
    pub fn is_running(&self, id: &ObjectId, now: Timestamp) -> bool {
        let path = self.path(id).unwrap_or_default();
        !path.is_empty() && path.iter().all(|node| node.runs(now))
    }

    /// Whether the object of that id spends by itself, without an end.
    pub fn is_endless(&self, id: &ObjectId) -> bool {
        let path = self.path(id).unwrap_or_default();
        let spends = path.last().is_some_and(|node| node.children.is_none());
        spends && path.iter().all(|node| node.ends_at.is_none())
    }

    /// The object of that id, to change it.
    pub fn node_mut(&mut self, id: &ObjectId) -> Option<&mut Node> {
        find_mut(&mut self.top, id)
    }
}

impl Node {
    /// An object that is on, without a budget, dates or anything below it.
    pub fn bare(id: ObjectId, kind: impl Into<String>) -> Self {
        Self {
            id,
            kind: kind.into(),
            switch: Switch::On,
            starts_at: None,
            ends_at: None,
            budget: None,
            has_budget_schedule: false,
            children: None,
        }
    }

    /// Whether it would run at `now` if all above it did. What starts later
    /// counts: nobody is asked again when it does.
    pub fn runs(&self, now: Timestamp) -> bool {
        self.switch == Switch::On && self.ends_at.is_none_or(|end| end > now)
    }

    /// Itself and everything below.
    pub fn family(&self) -> impl Iterator<Item = &Self> {
        let mut waiting = vec![self];
        std::iter::from_fn(move || {
            let next = waiting.pop()?;
            waiting.extend(next.children.iter().flatten().rev());
            Some(next)
        })
    }
}

/// What the objects above one say together.
#[derive(Clone, Copy)]
struct Above {
    runs: bool,
    starts_at: Option<Timestamp>,
    ends_at: Option<Timestamp>,
}

/// Collects the budgets of `node` and below; answers whether something there
/// spends, if all above runs.
fn collect<'r>(
    node: &'r Node,
    above: Above,
    now: Timestamp,
    found: &mut BTreeMap<&'r ObjectId, Placed<'r>>,
) -> bool {
    let here = Above {
        runs: above.runs && node.runs(now),
        starts_at: above.starts_at.max(node.starts_at),
        ends_at: earlier(above.ends_at, node.ends_at),
    };
    let spends = match &node.children {
        None => here.runs,
        Some(children) => {
            let mut spends = false;
            // Every child is looked at; `any` would stop at the first.
            for child in children {
                spends |= collect(child, here, now, found);
            }
            spends
        }
    };
    if let Some(budget) = node.budget {
        let placed = Placed {
            budget,
            is_live: spends,
            starts_at: here.starts_at.max(first_start(node, now)),
            ends_at: earlier(here.ends_at, last_end(node, now)),
            node,
        };
        found.insert(&node.id, placed);
    }
    spends
}

/// When the last of what spends directly below ends, if all of it does.
fn last_end(node: &Node, now: Timestamp) -> Option<Timestamp> {
    let ends = spending(node, now).map(|child| child.ends_at);
    ends.collect::<Option<Vec<_>>>()?.into_iter().max()
}

/// When the first of it begins, if nothing has begun.
fn first_start(node: &Node, now: Timestamp) -> Option<Timestamp> {
    let starts = spending(node, now).map(|child| child.starts_at);
    starts.collect::<Option<Vec<_>>>()?.into_iter().min()
}

/// The children that spend; where none does, all that may again. What is
/// paused until later, or holds nothing that runs, would make a budget seem to
/// last longer than it does.
fn spending(node: &Node, now: Timestamp) -> impl Iterator<Item = &Node> {
    let children = || node.children.iter().flatten();
    let does_one = children().any(|child| spends(child, now));
    children()
        .filter(move |child| spends(child, now) || (!does_one && child.switch != Switch::Gone))
}

/// Whether it, or something at the very bottom below it, would spend if all
/// above it ran.
fn spends(node: &Node, now: Timestamp) -> bool {
    let below = node.children.as_deref();
    let does_one = || below.is_none_or(|all| all.iter().any(|child| spends(child, now)));
    node.runs(now) && does_one()
}

fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

fn descend<'r>(node: &'r Node, id: &ObjectId, path: &mut Vec<&'r Node>) -> bool {
    path.push(node);
    if node.id == *id {
        return true;
    }
    for child in node.children.iter().flatten() {
        if descend(child, id, path) {
            return true;
        }
    }
    path.pop();
    false
}

fn find_mut<'r>(node: &'r mut Node, id: &ObjectId) -> Option<&'r mut Node> {
    if node.id == *id {
        return Some(node);
    }
    let mut children = node.children.iter_mut().flatten();
    children.find_map(|child| find_mut(child, id))
}
