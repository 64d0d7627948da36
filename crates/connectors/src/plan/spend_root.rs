//! How what holds and switches budgets is read, whole.

use std::collections::BTreeMap;

use tenantry_core::spend_root::{Budget, Switch};

use super::{MoneyUnit, Segment};
use crate::pointer::Pointer;

/// How a spend root is read.
#[derive(Debug)]
pub(crate) struct SpendRootPlan {
    pub unit: MoneyUnit,
    pub pages: PagesPlan,
    pub top: LevelPlan,
    /// What stands below it, level by level.
    pub below: Vec<BelowPlan>,
}

/// The parameter that says what is asked of each object.
pub(crate) const FIELDS: &str = "fields";

/// How all objects of a level are listed.
#[derive(Debug, Clone)]
pub(crate) struct PagesPlan {
    pub rows: Pointer,
    pub next: Pointer,
    pub cursor: Pointer,
    pub limit_parameter: String,
    pub after_parameter: String,
    pub most_rows: u32,
    pub most_pages: u32,
}

/// A level below the root.
#[derive(Debug)]
pub(crate) struct BelowPlan {
    pub list: Vec<Segment>,
    pub parent_field: String,
    pub root_field: String,
    pub level: LevelPlan,
}

/// What the fields of one kind of object mean.
#[derive(Debug, Clone)]
pub(crate) struct LevelPlan {
    pub kind: String,
    pub name_field: String,
    pub switch_field: String,
    pub switches: BTreeMap<String, Switch>,
    /// The words that are written.
    pub on_word: String,
    pub off_word: String,
    pub starts_field: Option<String>,
    pub ends_field: Option<String>,
    pub budget: Option<BudgetPlan>,
    pub bid_field: Option<String>,
    /// Where a new one is made in an account, and all of an account are listed.
    pub create: Option<Vec<Segment>>,
}

/// Where an object says what its budget is: the names of fields.
#[derive(Debug, Clone)]
pub(crate) struct BudgetPlan {
    pub daily: String,
    pub lifetime: String,
    pub remaining: String,
    pub scheduled: Option<String>,
}

impl SpendRootPlan {
    /// The level of that kind, the root's own among them.
    pub fn level(&self, kind: &str) -> Option<&LevelPlan> {
        self.levels().find(|level| level.kind == kind)
    }

    /// All levels, from the root down.
    pub fn levels(&self) -> impl Iterator<Item = &LevelPlan> {
        let below = self.below.iter().map(|below| &below.level);
        [&self.top].into_iter().chain(below)
    }

    /// The kind that stands right above another one; the root has none.
    pub fn above(&self, kind: &str) -> Option<&str> {
        let mut levels = self.levels().zip(&self.below);
        let found = levels.find(|(_, below)| below.level.kind == kind);
        found.map(|(above, _)| above.kind.as_str())
    }

    /// The level of that kind below the root.
    pub fn below(&self, kind: &str) -> Option<&BelowPlan> {
        self.below.iter().find(|below| below.level.kind == kind)
    }
}

impl PagesPlan {
    /// The parameters that every page is asked for with.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        [FIELDS, &self.limit_parameter, &self.after_parameter].into_iter()
    }

    /// How many objects are read at most.
    pub fn most(&self) -> u64 {
        u64::from(self.most_pages) * u64::from(self.most_rows)
    }
}

impl BelowPlan {
    /// The fields in which an object names what is above it.
    pub fn above_fields(&self) -> impl Iterator<Item = &str> {
        let (parent, root) = (self.parent_field.as_str(), self.root_field.as_str());
        // Where the root is the parent, both are read from one field.
        [parent].into_iter().chain((root != parent).then_some(root))
    }
}

impl BudgetPlan {
    /// The field that holds a budget of that kind.
    pub fn field(&self, budget: Budget) -> &str {
        match budget {
            Budget::Daily { .. } => &self.daily,
            Budget::Lifetime { .. } => &self.lifetime,
        }
    }
}

impl LevelPlan {
    /// The same, read as far as the switch goes: no money, no times.
    pub fn switch_alone(&self) -> Self {
        Self {
            starts_field: None,
            ends_field: None,
            budget: None,
            bid_field: None,
            ..self.clone()
        }
    }

    /// The fields that are read of an object.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        let budget = self.budget.iter().flat_map(|budget| {
            let own = [&budget.daily, &budget.lifetime, &budget.remaining];
            own.into_iter().chain(&budget.scheduled)
        });
        [&self.name_field, &self.switch_field]
            .into_iter()
            .chain(&self.starts_field)
            .chain(&self.ends_field)
            .chain(budget)
            .chain(&self.bid_field)
            .map(String::as_str)
    }
}
