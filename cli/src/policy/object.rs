//! Objects of a vendor as cases write them: what holds budgets, what switches
//! them, and what stands below.

use jiff::Timestamp;
use serde::Deserialize;
use tenantry_core::money::MoneyError;
use tenantry_core::name::ObjectId;
use tenantry_core::policy::amount::Amount;
use tenantry_core::spend_root::{Budget, Node, Switch};

use super::question::CaseFlaw;

/// One object, with what stands below it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Object {
    pub id: String,
    /// Left out, active.
    #[serde(default)]
    pub status: Status,
    /// Left out, at once.
    pub starts_at: Option<Timestamp>,
    /// Left out, never.
    pub ends_at: Option<Timestamp>,
    /// Its daily budget.
    pub daily: Option<String>,
    /// Or its lifetime budget.
    pub lifetime: Option<Lifetime>,
    /// Whether the vendor raises its budget by a schedule of its own.
    #[serde(default)]
    pub budget_schedule: bool,
    /// What stands below it; left out, it spends by itself, as an ad does.
    pub children: Option<Vec<Object>>,
}

/// A budget for the whole life of an object.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lifetime {
    pub amount: String,
    /// What of it is spent already; left out, nothing.
    pub spent: Option<String>,
}

/// How an object is switched.
#[derive(Deserialize, Clone, Copy, Default)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    #[default]
    Active,
    Paused,
    Archived,
}

impl Object {
    /// The same as the law has it.
    pub fn node(&self) -> Result<Node, CaseFlaw> {
        let children = self.children.as_ref();
        let children = children.map(|all| all.iter().map(Self::node).collect());
        Ok(Node {
            switch: self.status.into(),
            starts_at: self.starts_at,
            ends_at: self.ends_at,
            budget: self.budget()?,
            has_budget_schedule: self.budget_schedule,
            children: children.transpose()?,
            ..Node::bare(ObjectId::parse(&self.id)?, "object")
        })
    }

    fn budget(&self) -> Result<Option<Budget>, CaseFlaw> {
        match (&self.daily, &self.lifetime) {
            (None, None) => Ok(None),
            (Some(daily), None) => Ok(Some(Budget::Daily {
                amount_micros: micros(daily)?,
            })),
            (None, Some(lifetime)) => Ok(Some(Budget::Lifetime {
                amount_micros: micros(&lifetime.amount)?,
                spent_micros: micros(lifetime.spent.as_deref().unwrap_or("0"))?,
            })),
            (Some(_), Some(_)) => Err(CaseFlaw::TwoBudgets(self.id.clone())),
        }
    }
}

impl From<Status> for Switch {
    fn from(status: Status) -> Self {
        match status {
            Status::Active => Self::On,
            Status::Paused => Self::Off,
            Status::Archived => Self::Gone,
        }
    }
}

/// A decimal amount in millionths.
pub fn micros(text: &str) -> Result<i64, MoneyError> {
    Ok(Amount::parse(text)?.micros())
}
