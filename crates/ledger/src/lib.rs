//! The book: who claimed which key, what was reserved, sent and settled, who is
//! asked, and the chain of all that happened. In a file of one process (SQLite)
//! or in a database of many (PostgreSQL), with the same meaning.
//!
//! Each call is one transaction, and every transaction that writes locks one row
//! first. So the book has one writer at a time, whoever asks, and what a
//! decision has read is still so when its money is reserved. Nothing here knows
//! a vendor, decides over a change or reads a clock.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::expect_used))]

pub mod approval;
pub mod batch;
pub mod change;
pub mod claim;
pub mod error;
pub mod exposure;
mod facts;
mod group_commit;
pub mod identity;
pub mod inquiry;
pub mod ledger;
pub mod line;
pub mod list;
pub mod outbox;
mod page;
pub mod place;
pub mod reserve;
mod schema;
pub mod settle;
mod sql;
pub mod sweep;
mod tally;
