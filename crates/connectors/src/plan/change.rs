//! How a change is made: what it sets is known from how a spend root is read,
//! so that what is written and what is read back cannot part.

use crate::pointer::Pointer;

/// What holds for every change at a vendor.
#[derive(Debug)]
pub(crate) struct ChangesPlan {
    pub done: Pointer,
    /// The parameter, and what it is sent with.
    pub rehearse: (String, String),
    pub quiet_ms: u64,
    pub reads: u32,
}

/// What one tool changes, by the names of its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ChangePlan {
    SetBudget { daily: String, lifetime: String },
    Activate,
    Deactivate,
    SetBid { bid: String },
    Rename { name: String },
}
