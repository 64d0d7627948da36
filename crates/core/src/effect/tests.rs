//! What changes do: builders, and a page for each thing that must hold.

mod active;
mod doubt;
mod moves;
mod percent;
mod properties;

use super::*;
use crate::spend_root::Node;
use jiff::{SignedDuration, Timestamp};

const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);

fn days(count: i64) -> Timestamp {
    NOW + SignedDuration::from_hours(24 * count)
}

fn id(text: &str) -> ObjectId {
    ObjectId::parse(text).unwrap()
}

fn eur() -> Currency {
    Currency::parse("EUR").unwrap()
}

/// Millionths of that many euros.
fn micros(major: i64) -> i64 {
    major * 1_000_000
}

fn daily(major: i64) -> Budget {
    Budget::Daily {
        amount_micros: micros(major),
    }
}

fn lifetime(major: i64, spent: i64) -> Budget {
    Budget::Lifetime {
        amount_micros: micros(major),
        spent_micros: micros(spent),
    }
}

/// An object that is on, with nothing below it yet.
fn node(name: &str) -> Node {
    Node::bare(id(name), "object")
}

impl Node {
    fn off(mut self) -> Self {
        self.switch = Switch::Off;
        self
    }

    fn with(mut self, budget: Budget) -> Self {
        self.budget = Some(budget);
        self
    }

    fn until(mut self, end: Timestamp) -> Self {
        self.ends_at = Some(end);
        self
    }

    fn over(mut self, children: impl IntoIterator<Item = Self>) -> Self {
        self.children = Some(children.into_iter().collect());
        self
    }
}

/// An ad set with one ad that is on.
fn ad_set(name: &str) -> Node {
    node(name).over([node(&format!("{name}-ad"))])
}

fn root(top: Node) -> SpendRoot {
    SpendRoot {
        currency: eur(),
        top,
    }
}

fn effect(top: Node, change: &Change) -> Result<Effect, Impossible> {
    Effect::of(Some(&root(top)), &eur(), change, NOW)
}

fn set_budget(object: &str, budget: Budget) -> Change {
    Change::SetBudget {
        object: id(object),
        budget,
    }
}

fn activate(object: &str) -> Change {
    Change::Activate { object: id(object) }
}

fn end_at(object: &str, end: Option<Timestamp>) -> Change {
    Change::SetSchedule {
        object: id(object),
        starts_at: None,
        ends_at: Some(end),
    }
}

/// Rise and fall of daily and of lifetime budgets, in whole euros.
fn moves(effect: &Effect) -> [i64; 4] {
    let Effect {
        daily, lifetime, ..
    } = effect;
    [
        daily.increase_micros,
        daily.decrease_micros,
        lifetime.increase_micros,
        lifetime.decrease_micros,
    ]
    .map(|amount| amount / 1_000_000)
}

/// Campaign budget, ad sets and ads: Meta's CBO.
fn cbo() -> Node {
    node("c")
        .with(daily(200))
        .over([ad_set("a"), ad_set("b"), ad_set("d").off()])
}

/// Budgets on the ad sets: Meta's ABO.
fn abo() -> Node {
    node("c").over([
        ad_set("a").with(daily(50)),
        ad_set("b").with(daily(70)),
        ad_set("d").with(daily(30)).off(),
    ])
}
