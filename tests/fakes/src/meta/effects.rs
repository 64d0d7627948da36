//! What was really changed, in order. Nothing leaves this log: whatever an
//! answer said, a test counts here how often a change came about.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A log without an end would eat the machine, and one that forgets would lie:
/// when it is full, nothing is changed any more.
const MOST_EFFECTS: usize = 100_000;

/// What kind of thing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EffectKind {
    /// A campaign, an ad set or an ad came to be.
    Create,
    /// A name.
    Rename,
    /// A daily or a lifetime budget.
    SetBudget,
    /// A bid or the strategy for bids.
    SetBid,
    /// The start or the end.
    SetSchedule,
    /// What it is switched to.
    SetStatus,
    /// A high-demand period with a budget of its own came to be.
    AddBudgetSchedule,
}

/// One change that came about, even if it set what was set already.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Effect {
    /// From 1, without gaps.
    pub sequence: usize,
    /// When, by the fake's clock.
    pub at: String,
    /// Whose it is, with `act_`.
    pub account: String,
    /// The object's id.
    pub object: String,
    /// What was changed.
    pub kind: EffectKind,
    /// The fields concerned before; null for what is new.
    pub before: Value,
    /// The same fields after.
    pub after: Value,
    /// The `x-fb-request-id` of the request that did it.
    pub request: String,
}

/// The log.
#[derive(Default)]
pub(super) struct Effects {
    all: Vec<Effect>,
}

impl Effects {
    pub fn is_full(&self) -> bool {
        self.all.len() >= MOST_EFFECTS
    }

    /// Appends one; its number is given here.
    pub fn append(&mut self, effect: Effect) {
        let sequence = self.all.len() + 1;
        self.all.push(Effect { sequence, ..effect });
    }

    pub fn all(&self) -> Vec<Effect> {
        self.all.clone()
    }
}
