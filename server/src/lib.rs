//! The counter: serves one organisation over MCP, holds its keys, keeps its
//! record. `run` is the way in; `pipeline` is the heart.
//!
//! What the contract, keys, refusals and audit lines mean stands in
//! `tenantry-core`; how vendors are spoken to, in `tenantry-connectors`.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::expect_used))]

pub mod activity;
pub mod admin;
pub mod approvals;
pub mod audit;
pub mod book;
pub mod catalog;
pub mod cli;
pub mod clock;
pub mod control_plane;
pub mod counter;
pub mod crash;
pub mod credentials;
pub mod exposure;
pub mod gate;
pub mod in_force;
pub mod isolation;
pub mod knowledge;
pub mod limiter;
pub mod listener;
pub mod mcp;
pub mod metrics;
pub mod notify;
pub mod pipeline;
pub mod places;
pub mod readiness;
pub mod report;
pub mod run;
pub mod settler;
pub mod summary;
pub mod token_watch;
