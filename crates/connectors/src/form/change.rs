//! How a connector file says what a tool changes.

use serde::Deserialize;
use serde_saphyr::Spanned;

use super::{Entries, QueryForm};
use crate::plan::change::OwnedPlan;

/// What holds for every change at a vendor.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangesForm {
    /// Where an answer says that the change was made, by `true`.
    pub done: Spanned<String>,
    pub rehearse: RehearseForm,
    pub settle: SettleForm,
    pub create: Option<CreatesForm>,
}

/// How something new is told from others, once it is there.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreatesForm {
    /// Where the answer says which one it is.
    pub made: Spanned<String>,
    pub locate: LocateForm,
}

/// How the list of an account is searched for a name.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LocateForm {
    pub parameter: Spanned<String>,
    /// JSON in which `"{name}"` stands for the name.
    pub value: Spanned<String>,
}

/// The parameter by which the vendor checks a change and makes none.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RehearseForm {
    pub parameter: Spanned<String>,
    pub value: String,
}

/// When what is unknown counts as not made.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SettleForm {
    pub quiet_seconds: Spanned<u32>,
    pub reads: Spanned<u32>,
}

/// What one tool changes; the words after each kind name arguments. Kinds without
/// one are written with braces, or unknown words beside them would be ignored.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case", tag = "kind")]
pub(crate) enum ChangeForm {
    SetBudget { daily: String, lifetime: String },
    Activate {},
    Deactivate {},
    SetBid { bid: String },
    Rename { name: String },
    Create(Box<CreateForm>),
}

/// A new object, which is made paused.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateForm {
    /// Its kind.
    pub makes: String,
    pub name: String,
    pub daily: Option<String>,
    pub lifetime: Option<String>,
    pub ends: Option<String>,
    pub bid: Option<String>,
    /// What else the vendor wants to know, by parameter.
    pub settings: Entries<QueryForm>,
    /// Ids within settings, of objects that are to be the account's own.
    #[serde(default)]
    pub owned: Vec<OwnedPlan>,
}
