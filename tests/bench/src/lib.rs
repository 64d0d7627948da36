//! What `cargo xtask bench` measures with: a load, and the servers that get it;
//! and what a ledger takes beside its bare engine.
//!
//! The load is the same for every server: one tool call a request, over
//! connections that stay open. Each server is a program of its own, so that
//! each has one core and its own memory.

pub mod changes;
pub mod load;
pub mod raw;
pub mod wire;
