//! How a connector file says where all live budgets of an account are listed.

use serde::Deserialize;
use serde_saphyr::Spanned;

/// All that runs in an account, level by level of the spend root.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExposureForm {
    /// How much of a daily budget the vendor may spend on one day.
    pub overspend_percent: Spanned<u32>,
    /// The parameter that takes the states, as the JSON text of a list.
    pub filter: Spanned<String>,
    pub most_pages: Spanned<u32>,
    pub lists: Vec<ListForm>,
}

/// All of one kind in an account.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListForm {
    pub kind: Spanned<String>,
    pub path: Spanned<String>,
    /// Every state in which neither it nor anything above is switched off.
    pub states: Vec<Spanned<String>>,
    /// Where its rows show what is above it.
    #[serde(default)]
    pub above: Vec<AboveForm>,
}

/// Something above, which a row holds as an object with its switch.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AboveForm {
    pub kind: Spanned<String>,
    pub field: Spanned<String>,
}
