//! What a change does to money (WRITES §3): three amounts, daily, lifetime and
//! financial, that are never added together.
//!
//! A change is applied to the snapshot of its spend root, and the effect is the
//! difference between the two: nothing is read off an argument. So a budget
//! counts once however many objects share it, and counts only if money can be
//! spent from it.

mod apply;
mod difference;
#[cfg(test)]
pub(crate) mod sketch;
mod step;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::name::{Currency, ObjectId};
use crate::spend_root::{Budget, Node, SpendRoot, Switch};

pub use apply::Impossible;
pub use difference::active_daily;
pub use step::Step;

/// A change to a spend root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The object's own budget becomes this. What a lifetime budget has spent
    /// is the vendor's to say, and is taken over.
    SetBudget {
        /// Which object.
        object: ObjectId,
        /// The budget.
        budget: Budget,
    },
    /// The object begins or ends at another time.
    SetSchedule {
        /// Which object.
        object: ObjectId,
        /// The new beginning, if it changes; `Some(None)` takes it away.
        starts_at: Option<Option<Timestamp>>,
        /// The new end, if it changes; `Some(None)` takes it away.
        ends_at: Option<Option<Timestamp>>,
    },
    /// The object is switched on.
    Activate {
        /// Which object.
        object: ObjectId,
    },
    /// The object is switched off.
    Deactivate {
        /// Which object.
        object: ObjectId,
    },
    /// An object appears, below another one or as a root of its own.
    Create {
        /// Below which object.
        under: Option<ObjectId>,
        /// The object.
        node: Box<Node>,
    },
    /// Copies of an object appear beside it.
    Copy {
        /// Which object.
        object: ObjectId,
        /// How many.
        times: u32,
        /// How the copies are switched.
        switch: Switch,
    },
    /// The object is archived or deleted.
    Delete {
        /// Which object.
        object: ObjectId,
    },
    /// The object's bid changes; budgets do not.
    SetBid {
        /// Which object.
        object: ObjectId,
        /// The bid.
        bid: BidChange,
    },
}

/// What kind of thing a change is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Primitive {
    /// A budget is set.
    SetBudget,
    /// A beginning or an end is set.
    SetSchedule,
    /// Something is switched on.
    Activate,
    /// Something is switched off.
    Deactivate,
    /// Something is created.
    Create,
    /// Something is copied.
    Copy,
    /// A bid is set.
    SetBid,
    /// A financial record gets another amount.
    FinancialAmount,
    /// A financial record gets another state.
    FinancialState,
    /// Records that hold no money are changed.
    Records,
    /// Something is archived or deleted.
    Delete,
}

/// What rises and what falls, in millionths of the major unit. A fall gives
/// nothing back of a rise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Delta {
    /// What becomes spendable.
    pub increase_micros: i64,
    /// What stops being spendable.
    pub decrease_micros: i64,
}

/// A budget that a change sets, or makes live.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct BudgetChange {
    /// The object that holds it.
    pub object: ObjectId,
    /// What was configured, if anything was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Budget>,
    /// What is configured then.
    pub after: Budget,
    /// Whether money can be spent from it then and could not before.
    pub becomes_live: bool,
}

/// A bid before and after, in millionths of the major unit. Absent is a bid
/// without a cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct BidChange {
    /// Before.
    pub before_micros: Option<i64>,
    /// After.
    pub after_micros: Option<i64>,
}

/// What a change does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Effect {
    /// What kind of thing it is.
    pub primitive: Primitive,
    /// What the amounts are in; absent where there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<Currency>,
    /// Live daily budgets.
    #[serde(default)]
    pub daily: Delta,
    /// Live lifetime budgets.
    #[serde(default)]
    pub lifetime: Delta,
    /// By how much more can be spent a day: daily budgets, and what is left of
    /// lifetime budgets for each day that is left, rounded up.
    #[serde(default)]
    pub exposure_micros: i64,
    /// The amount of a financial record.
    #[serde(default)]
    pub financial: Delta,
    /// The amount that a financial record has then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount_micros: Option<i64>,
    /// The state that a financial record has then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// The budgets that are set or made live.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<BudgetChange>,
    /// The views in which budgets rise or fall by a percentage; every limit
    /// holds in each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
    /// Whether a budget is set where there was none, or an end is taken away:
    /// no percentage can say by how much that is more.
    #[serde(default)]
    pub is_percent_undefined: bool,
    /// Whether a budget has no end then, and had one or did not exist.
    #[serde(default)]
    pub becomes_endless: bool,
    /// The bid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bid: Option<BidChange>,
    /// How many objects appear.
    #[serde(default)]
    pub created: u32,
    /// Whether one of them runs at once, with all that is above it.
    #[serde(default)]
    pub creates_running: bool,
    /// How many records without money change.
    #[serde(default)]
    pub records: u32,
    /// Every object that is concerned: those of the change, all above and below
    /// them, and whatever shares their budget.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub touched: BTreeSet<ObjectId>,
}

impl Effect {
    /// What `change` does to `root` at `now`; a change that creates a root of
    /// its own has none before it.
    pub fn of(
        root: Option<&SpendRoot>,
        currency: &Currency,
        change: &Change,
        now: Timestamp,
    ) -> Result<Self, Impossible> {
        let after = apply::apply(root, currency, change)?;
        difference::between(root, &after, change, now)
    }

    /// What it does to a financial record.
    pub fn financial(
        object: ObjectId,
        currency: Currency,
        before_micros: Option<i64>,
        after_micros: i64,
    ) -> Result<Self, Impossible> {
        let before = before_micros.unwrap_or(0);
        let change = i128::from(after_micros) - i128::from(before);
        Ok(Self {
            currency: Some(currency),
            financial: difference::delta([change])?,
            amount_micros: Some(after_micros),
            is_percent_undefined: before <= 0 && after_micros > 0,
            steps: Step::between(before.into(), after_micros.into())
                .into_iter()
                .collect(),
            touched: BTreeSet::from([object]),
            ..Self::nothing(Primitive::FinancialAmount)
        })
    }

    /// A financial record gets this state.
    pub fn financial_state(object: ObjectId, state: impl Into<String>) -> Self {
        Self {
            state: Some(state.into()),
            touched: BTreeSet::from([object]),
            ..Self::nothing(Primitive::FinancialState)
        }
    }

    /// These records change, and hold no money.
    pub fn records(objects: impl IntoIterator<Item = ObjectId>) -> Self {
        let touched: BTreeSet<_> = objects.into_iter().collect();
        Self {
            records: u32::try_from(touched.len()).unwrap_or(u32::MAX),
            touched,
            ..Self::nothing(Primitive::Records)
        }
    }

    /// Something of an object of `root` changes that holds no money.
    pub fn record_of(root: &SpendRoot, object: ObjectId) -> Result<Self, Impossible> {
        let touched = difference::concerned(root, &object, true);
        if touched.is_empty() {
            return Err(Impossible::Unknown(object));
        }
        Ok(Self {
            touched,
            ..Self::records([object])
        })
    }

    /// Whether it makes more money spendable, or records worth more.
    pub fn rises(&self) -> bool {
        self.budgets.iter().any(BudgetChange::rises)
            || self.exposure_micros > 0
            || self.financial.increase_micros > 0
    }

    /// Whether it switches something off and makes nothing rise: the one kind
    /// of change that no policy stops.
    pub fn only_stops(&self) -> bool {
        let rises = self.daily.increase_micros > 0
            || self.lifetime.increase_micros > 0
            || self.created > 0
            || self.records > 0
            || self.bid.is_some();
        self.primitive == Primitive::Deactivate && !rises && !self.rises()
    }

    fn nothing(primitive: Primitive) -> Self {
        Self {
            primitive,
            currency: None,
            daily: Delta::default(),
            lifetime: Delta::default(),
            exposure_micros: 0,
            financial: Delta::default(),
            amount_micros: None,
            state: None,
            budgets: Vec::new(),
            steps: Vec::new(),
            is_percent_undefined: false,
            becomes_endless: false,
            bid: None,
            created: 0,
            creates_running: false,
            records: 0,
            touched: BTreeSet::new(),
        }
    }
}

impl BudgetChange {
    /// Whether it is more than before, or can be spent and could not.
    pub fn rises(&self) -> bool {
        let before = self.before.map_or(0, Budget::amount_micros);
        self.becomes_live || self.after.amount_micros() > before
    }
}

impl Primitive {
    /// Every kind, in order.
    pub const ALL: [Self; 11] = [
        Self::SetBudget,
        Self::SetSchedule,
        Self::Activate,
        Self::Deactivate,
        Self::Create,
        Self::Copy,
        Self::SetBid,
        Self::FinancialAmount,
        Self::FinancialState,
        Self::Records,
        Self::Delete,
    ];

    /// The word in policies and the record.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SetBudget => "set_budget",
            Self::SetSchedule => "set_schedule",
            Self::Activate => "activate",
            Self::Deactivate => "deactivate",
            Self::Create => "create",
            Self::Copy => "copy",
            Self::SetBid => "set_bid",
            Self::FinancialAmount => "financial_amount",
            Self::FinancialState => "financial_state",
            Self::Records => "records",
            Self::Delete => "delete",
        }
    }

    /// Whether new objects appear.
    pub fn creates(self) -> bool {
        matches!(self, Self::Create | Self::Copy)
    }
}

impl Change {
    /// What kind of thing it is.
    pub fn primitive(&self) -> Primitive {
        match self {
            Self::SetBudget { .. } => Primitive::SetBudget,
            Self::SetSchedule { .. } => Primitive::SetSchedule,
            Self::Activate { .. } => Primitive::Activate,
            Self::Deactivate { .. } => Primitive::Deactivate,
            Self::Create { .. } => Primitive::Create,
            Self::Copy { .. } => Primitive::Copy,
            Self::Delete { .. } => Primitive::Delete,
            Self::SetBid { .. } => Primitive::SetBid,
        }
    }

    /// The object that it names: the one that it changes, or below which
    /// another appears.
    pub fn object(&self) -> Option<&ObjectId> {
        match self {
            Self::SetBudget { object, .. }
            | Self::SetSchedule { object, .. }
            | Self::Activate { object }
            | Self::Deactivate { object }
            | Self::Copy { object, .. }
            | Self::Delete { object }
            | Self::SetBid { object, .. } => Some(object),
            Self::Create { under, .. } => under.as_ref(),
        }
    }

    fn bid(&self) -> Option<BidChange> {
        match self {
            Self::SetBid { bid, .. } => Some(*bid),
            _ => None,
        }
    }
}
