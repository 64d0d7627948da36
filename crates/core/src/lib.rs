//! The law: what names, access, keys, the contract, refusals, answers and the
//! audit record mean.
//!
//! Nothing here waits, reads a clock, touches a file or knows Kubernetes; time
//! and randomness are passed in. What needs those lives in the rooms that call
//! this one.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::expect_used))]

pub mod access;
pub mod answer;
pub mod approval;
pub mod audit;
pub mod authorize;
pub mod cause;
pub mod contract_version;
pub mod digest;
pub mod effect;
pub mod fair_share;
pub mod freeze;
pub mod idempotency;
pub mod key;
pub mod ledger_mark;
pub mod money;
pub mod name;
pub mod notification;
pub mod policy;
pub mod reason;
pub mod spend_root;
pub mod strict_json;
pub mod tenant;
pub mod text;
pub mod trace;
