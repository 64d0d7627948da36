//! The fake Meta through real HTTP.

#![expect(clippy::unwrap_used, reason = "tests stop at the first surprise")]

mod basics;
mod batches;
mod bench;
mod budgets;
mod creates;
mod effects;
mod limits;
mod orders;
mod schedules;
mod statuses;
mod trees;
mod writes;
