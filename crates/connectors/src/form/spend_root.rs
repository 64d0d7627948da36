//! How a connector file says what holds and switches budgets.

use serde::Deserialize;
use serde_saphyr::Spanned;

use super::UnitForm;

/// What holds and switches budgets, from the root down.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SpendRootForm {
    pub unit: UnitForm,
    pub pages: PagesForm,
    pub levels: Vec<LevelForm>,
}

/// How everything of a level is listed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PagesForm {
    pub rows: Spanned<String>,
    pub next: Spanned<String>,
    pub cursor: Spanned<String>,
    pub limit: Spanned<String>,
    pub after: Spanned<String>,
    pub most_rows: Spanned<u32>,
    pub most_pages: Spanned<u32>,
}

/// One kind of object, and what its fields mean.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LevelForm {
    pub kind: Spanned<String>,
    /// All of this kind below one root; the root itself has none.
    pub list: Option<Spanned<String>>,
    /// Where it says what stands above it.
    pub parent: Option<Spanned<String>>,
    /// Where it says what its root is.
    pub root: Option<Spanned<String>>,
    pub name: Spanned<String>,
    pub switch: SwitchForm,
    pub starts: Option<Spanned<String>>,
    pub ends: Option<Spanned<String>>,
    pub budget: Option<BudgetForm>,
    pub bid: Option<Spanned<String>>,
    /// Where a new one is made in an account, and all of an account are listed.
    pub create: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SwitchForm {
    pub field: Spanned<String>,
    pub on: Vec<Spanned<String>>,
    pub off: Vec<Spanned<String>>,
    pub gone: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BudgetForm {
    pub daily: Spanned<String>,
    pub lifetime: Spanned<String>,
    pub remaining: Spanned<String>,
    /// Where the vendor says that it raises the budget by a schedule of its own.
    pub scheduled: Option<Spanned<String>>,
}
