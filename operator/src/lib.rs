//! The builder: turns McpTenants into running, isolated servers.
//!
//! ```text
//!  controller ─► tenant ─► fetch → validate → build → apply → report
//!                          reads   pure       pure    writes  pure, then one write
//! ```
//! Beside them `policies` judges the SafetyPolicies, from which `validate`
//! binds those that concern a tenant. Of several operators one acts
//! (`leader`); the others stand by. Only `tenant/apply.rs` writes objects, only
//! `tenant/report.rs` and `policies/report.rs` status and Events. No Secret is
//! read here, and no code of the server is linked.

pub mod admin;
pub mod allowance;
pub mod api_server;
pub mod canary;
pub mod client;
pub mod context;
pub mod controller;
pub mod freshness;
pub mod guard;
pub mod leader;
pub mod memory;
pub mod metrics;
pub mod policies;
pub mod program;
pub mod retry;
pub mod settings;
pub mod telling;
pub mod tenant;
pub mod waiting;
pub mod wall;
pub mod watch;
