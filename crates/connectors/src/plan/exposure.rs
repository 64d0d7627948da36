//! How all live budgets of an account are read.

use super::Segment;
use super::spend_root::PagesPlan;

/// All that runs in an account, level by level of the spend root.
#[derive(Debug)]
pub(crate) struct ExposurePlan {
    pub overspend_percent: u32,
    pub filter_parameter: String,
    pub pages: PagesPlan,
    /// The roots.
    pub top: ListPlan,
    /// What stands below them, level by level.
    pub below: Vec<ListPlan>,
}

/// All of one kind in an account.
#[derive(Debug)]
pub(crate) struct ListPlan {
    pub path: Vec<Segment>,
    /// The JSON text of the states in which it, and all above it, is on.
    pub states: String,
    /// The fields that show what is above it, the root first.
    pub above_fields: Vec<String>,
}
