//! How a change is made: what it sets is known from how a spend root is read,
//! so that what is written and what is read back cannot part.

use super::QueryValue;
use crate::pointer::Pointer;

/// What holds for every change at a vendor.
#[derive(Debug)]
pub(crate) struct ChangesPlan {
    pub done: Pointer,
    /// The parameter, and what it is sent with.
    pub rehearse: (String, String),
    pub quiet_ms: u64,
    pub reads: u32,
    /// Where the connector makes new objects.
    pub creates: Option<CreatesPlan>,
}

/// How something new is told from others, once it is there.
#[derive(Debug)]
pub(crate) struct CreatesPlan {
    /// Where the answer says which one it is.
    pub made: Pointer,
    /// The parameter by which a list is searched for a name.
    pub locate_parameter: String,
    /// What it is sent with, before and after the name as JSON.
    pub locate_around: (String, String),
}

/// What one tool changes, by the names of its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ChangePlan {
    SetBudget { daily: String, lifetime: String },
    Activate,
    Deactivate,
    SetBid { bid: String },
    Rename { name: String },
    Create(Box<CreatePlan>),
}

/// What a new object is made of: names of arguments, but for its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CreatePlan {
    /// Its kind.
    pub makes: String,
    pub name: String,
    pub daily: Option<String>,
    pub lifetime: Option<String>,
    pub ends: Option<String>,
    pub bid: Option<String>,
    /// What else the vendor wants to know, and holds no money.
    pub settings: Vec<(String, QueryValue)>,
    pub owned: Vec<OwnedPlan>,
}

/// Where an argument holds the id of an object that is to be the account's own.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OwnedPlan {
    pub argument: String,
    /// Where it stands in the object that the argument is.
    pub member: String,
    /// A kind of `objects`.
    pub kind: String,
}
