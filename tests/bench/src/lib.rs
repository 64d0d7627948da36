//! What `cargo xtask bench` measures with: a load, and the servers that get it.
//!
//! The load is the same for every server: one tool call a request, over
//! connections that stay open. Each server is a program of its own, so that
//! each has one core and its own memory.

pub mod load;
pub mod wire;
