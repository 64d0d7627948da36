//! The fake Meta through real HTTP.

#![expect(clippy::unwrap_used, reason = "tests stop at the first surprise")]

mod basics;
mod bench;
mod budgets;
mod creates;
mod effects;
mod schedules;
mod statuses;
mod trees;
mod writes;
